//! The pipelines of `examples/`, each run twice: the results are those in its folder `expected/`, and the second run finds
//! everything in the cache.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::support::not_run::has_program;
use crate::support::{Space, workspace};

/// An example is read at one glance.
const MOST_LINES: usize = 40;

#[test]
fn every_example_runs_and_then_finds_everything_in_the_cache() {
    let examples = examples();
    assert!(examples.len() >= 5, "{examples:?}");
    for example in examples {
        let name = example.file_name().expect("a folder has a name").to_string_lossy().into_owned();
        let files = fs::read_dir(&example).expect("it can be listed").flatten();
        let uses_r = files.map(|file| file.path()).any(|file| file.extension().is_some_and(|of| of == "R"));
        if !uses_r || has_program("Rscript", &format!("examples/{name}")) {
            run_twice(&name, &example);
        }
    }
}

fn run_twice(name: &str, example: &Path) {
    let space = Space::new();
    copy(example, &space.project());
    let run = ["run", "pipeline.yaml"];
    space.pipe(run).exits(0).shows(", hits 0");
    let expected = example.join("expected");
    let mut compared = 0;
    for file in fs::read_dir(&expected).unwrap_or_else(|error| panic!("`{}`: {error}", expected.display())).flatten() {
        let file_name = file.file_name().to_string_lossy().into_owned();
        let wanted = fs::read_to_string(file.path()).expect("it can be read");
        assert_eq!(space.read(&format!("results/{name}/{file_name}")), wanted, "{file_name} of `{name}`");
        compared += 1;
    }
    assert!(compared > 0, "`{name}` has expected results");
    space.pipe(run).exits(0).shows("ran 0, hits ");
    space.pipe(["verify", "pipeline.yaml"]).exits(0);
}

#[test]
fn examples_are_small_and_listed() {
    let listed = fs::read_to_string(workspace().join("docs/book/examples.md")).expect("the page can be read");
    for example in examples() {
        let name = example.file_name().expect("a folder has a name").to_string_lossy().into_owned();
        let text =
            fs::read_to_string(example.join("pipeline.yaml")).unwrap_or_else(|error| panic!("`{name}`: {error}"));
        assert!(text.lines().count() <= MOST_LINES, "`{name}` has {} lines", text.lines().count());
        assert!(text.contains(&format!("pipeline: {name}\n")), "the pipeline of `{name}` has its name");
        assert!(listed.contains(&format!("| `{name}` |")), "`{name}` is not in docs/book/examples.md");
    }
}

fn examples() -> Vec<PathBuf> {
    let entries = fs::read_dir(workspace().join("examples")).expect("the examples can be listed");
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Copies a folder without what a run left in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("it can be listed").flatten() {
        let name = entry.file_name();
        let is_left =
            name == "results" || name == "expected" || Path::new(&name).extension().is_some_and(|of| of == "lock");
        match entry.path() {
            _ if is_left => {}
            path if path.is_dir() => copy(&path, &to.join(name)),
            path => {
                fs::copy(&path, to.join(name)).expect("a file is copied");
            }
        }
    }
}
