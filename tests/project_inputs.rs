//! Files, folders and globs of the project as inputs: what desktops, editors and the pipeline itself leave in a folder is
//! not there for a stage, and what cannot be read is named.

use fs_err::os::unix::fs::symlink;

use crate::support::Space;

/// A pipeline that lists the files of its input.
fn listing(input: &str) -> Space {
    Space::with(&format!(
        "pipe: 1\npipeline: p\nstages:\n  a:\n    run: (cd \"$IN_D\"; find . -type f | sort) > \"$OUT_Y\"\n    \
         in: {{ d: {input} }}\n    out: {{ y: y.txt }}\nresults: {{ y.txt: $a.y }}\n"
    ))
}

const RUN: [&str; 2] = ["run", "pipeline.yaml"];

#[test]
fn what_desktops_and_editors_leave_in_a_folder_is_not_there() {
    let space = listing("data");
    space.write("data/a.csv", "1\n");
    space.write("data/sub/b.csv", "2\n");
    space.pipe(RUN).exits(0).shows("ran 1");
    for litter in [".DS_Store", "sub/._b.csv", "__pycache__/x.pyc", "a.csv~", ".#a.csv", ".a.csv.swp", ".git/HEAD"] {
        space.write(&format!("data/{litter}"), "x");
    }
    space.pipe(RUN).exits(0).shows("ran 0, hits 1");
    space.pipe(["run", "pipeline.yaml", "--force", "a"]).exits(0).shows("ran 1");
    assert_eq!(space.read("results/p/y.txt"), "./a.csv\n./sub/b.csv\n", "files, at the same paths");

    space.edit("pipeline.yaml", "d: data", "d: { path: data, ignore: [sub/] }");
    space.pipe(RUN).exits(0).shows("ran 1");
    assert_eq!(space.read("results/p/y.txt"), "./a.csv\n");

    space.edit("pipeline.yaml", "ignore: [sub/]", "ignore: []");
    space.pipe(RUN).exits(0).shows("ran 1");
    assert_eq!(space.read("results/p/y.txt").lines().count(), 9, "{}", space.read("results/p/y.txt"));
}

#[test]
fn a_pipeline_does_not_read_its_own_results() {
    let space = listing(".");
    space.write("results/other/x.txt", "another pipeline's\n");
    space.pipe(RUN).exits(0).shows("ran 1");
    assert!(space.path("pipeline.lock").exists());
    space.pipe(RUN).exits(0).shows("ran 0, hits 1");
    assert_eq!(space.read("results/p/y.txt"), "./pipeline.yaml\n./results/other/x.txt\n");
}

#[test]
fn a_glob_is_a_folder_of_the_files_that_it_names() {
    let space = listing("\"data/*.csv\"");
    space.write("data/b.csv", "2\n");
    space.write("data/a.csv", "1\n");
    space.write("data/notes.txt", "x\n");
    space.write("data/sub/c.csv", "3\n");
    space.pipe(RUN).exits(0).shows("ran 1");
    assert_eq!(space.read("results/p/y.txt"), "./a.csv\n./b.csv\n");
    space.write("data/notes.txt", "y\n");
    space.pipe(RUN).exits(0).shows("ran 0, hits 1");
    space.write("data/c.csv", "3\n");
    space.pipe(RUN).exits(0).shows("ran 1");
    space.edit("pipeline.yaml", "data/*.csv", "data/**/*.csv");
    space.pipe(RUN).exits(0).shows("ran 1");
    assert_eq!(space.read("results/p/y.txt"), "./a.csv\n./b.csv\n./c.csv\n./sub/c.csv\n");
    space.edit("pipeline.yaml", "*.csv", "*.tsv");
    space.pipe(RUN).exits(2).shows("`**/*.tsv` names no file in");
}

#[test]
fn globs_have_classes_and_alternatives_as_those_of_packages_have() {
    let space = listing("\"data/{lh,rh}.[ab].csv\"");
    for name in ["lh.a.csv", "rh.b.csv", "lh.c.csv", "xh.a.csv", "scan[1].csv"] {
        space.write(&format!("data/{name}"), "1\n");
    }
    space.pipe(RUN).exits(0).shows("ran 1");
    assert_eq!(space.read("results/p/y.txt"), "./lh.a.csv\n./rh.b.csv\n");
    space.edit("pipeline.yaml", "data/{lh,rh}.[ab].csv", "data/[!lr]*");
    space.pipe(RUN).exits(0).shows("ran 1");
    assert_eq!(space.read("results/p/y.txt"), "./scan[1].csv\n./xh.a.csv\n");
    space.edit("pipeline.yaml", "data/[!lr]*", "data/{{l,x}h.a,rh.b}.csv");
    space.pipe(RUN).exits(0).shows("ran 1");
    assert_eq!(space.read("results/p/y.txt"), "./lh.a.csv\n./rh.b.csv\n./xh.a.csv\n");
    space.edit("pipeline.yaml", "data/{{l,x}h.a,rh.b}.csv", "data/{subject}.csv");
    space.pipe(RUN).exits(2).shows("nothing fills in `{subject}`").shows("alternatives of a glob are `{a,b}`");
    space.edit("pipeline.yaml", "data/{subject}.csv", "data/[ab");
    space.pipe(RUN).exits(2).shows("a pattern that cannot be read");
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  a:\n    in: { d: 'scan\\[1\\].csv' }\n    run: cat \"$IN_D\" > \"$OUT_Y\"\n    \
         out: { y: y.txt }\nresults: { y.txt: $a.y }\n",
    );
    space.write("scan[1].csv", "one\n");
    space.pipe(RUN).exits(0).shows("ran 1");
    assert_eq!(space.read("results/p/y.txt"), "one\n");
}

/// Also with files that a body makes changes to: a second name for the user's file would change with them.
#[test]
fn a_part_of_a_folder_is_a_copy() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  a:\n    isolation: none\n    in: { d: data }\n    out: { y: y.txt }\n    run: |\n      \
         stat -c %h \"$IN_D/a.csv\" > \"$OUT_Y\"\n      echo 2 >> \"$IN_D/a.csv\"\nresults: { y.txt: $a.y }\n",
    );
    space.write("data/a.csv", "1\n");
    space.write("data/.DS_Store", "x");
    space.pipe(RUN).exits(0).shows("ran 1");
    assert_eq!(space.read("results/p/y.txt"), "1\n", "the file has one name");
    assert_eq!(space.read("data/a.csv"), "1\n");
}

#[test]
fn a_link_to_nothing_is_named_and_may_be_ignored() {
    let space = listing("data");
    space.write("data/a.csv", "1\n");
    symlink("nowhere", space.path("data/broken")).expect("a link");
    space
        .pipe(RUN)
        .exits(2)
        .shows("data/broken")
        .shows("a symbolic link to something that does not exist")
        .hides("`data` does not");
    space.edit("pipeline.yaml", "d: data", "d: { path: data, ignore: broken }");
    space.pipe(RUN).exits(0).shows("ran 1");
    assert_eq!(space.read("results/p/y.txt"), "./a.csv\n");
}

#[test]
fn a_selection_that_selects_nothing_says_so() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  a: { run: 'echo 1 > \"$OUT_Y\"', out: { y: y.txt } }\n  \
         c: { run: 'cat \"$IN_X\" > \"$OUT_Y\"', in: { x: $a.y }, out: { y: y.txt } }\n",
    );
    space.pipe(RUN).exits(0);
    let run = |options: &[&str]| space.pipe([&RUN[..], options].concat());
    run(&["--from", "c", "--until", "a"])
        .exits(2)
        .shows("nothing is selected: no stage both depends on `c` and is needed by `a`");
    run(&["--force", "a", "--only", "c"]).exits(2).shows("`--force a` forces nothing");
    run(&["--from", "a", "--until", "c", "--force", "a"]).exits(0).shows("ran 1");
}
