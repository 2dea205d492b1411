//! The book, followed to the letter: the files of each page are written into an empty project, its sessions are typed, and
//! what is seen is compared with what the page shows. What cannot be followed (builds, downloads) is checked for commands,
//! options and recipes that do not exist.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;

use crate::support::markdown::{Fence, Help, fences, invocations, matches, recipes, session};
use crate::support::not_run::has_program;
use crate::support::paper::worker;
use crate::support::{Shown, Space, workspace};

/// Pages with sessions; each has a test of its own.
const FOLLOWED: [&str; 7] =
    ["first-pipeline.md", "keys.md", "language.md", "rsa.md", "run-stages.md", "variance.md", "your-data.md"];

/// Pages that `scripts/book pages` writes.
const GENERATED: [&str; 3] = ["glossary.md", "kinds.md", "reference.md"];

#[test]
fn the_first_chapter_can_be_followed() {
    follow("first-pipeline.md");
}

#[test]
fn the_chapter_on_keys_can_be_followed() {
    follow("keys.md");
}

#[test]
fn the_chapter_on_the_language_can_be_followed() {
    follow("language.md");
}

#[test]
fn the_chapter_on_run_stages_can_be_followed() {
    follow("run-stages.md");
}

#[test]
fn the_chapter_on_encoding_models_can_be_followed() {
    follow("variance.md");
}

#[test]
fn the_chapter_on_similarity_of_networks_can_be_followed() {
    worker();
    follow("rsa.md");
}

#[test]
fn the_chapter_on_own_data_can_be_followed() {
    follow("your-data.md");
}

#[test]
fn every_page_with_a_session_is_followed() {
    let with_sessions = pages().into_iter().filter(|(_, text)| text.contains("```console"));
    let names: Vec<String> = with_sessions.map(|(name, _)| name).collect();
    assert_eq!(names, FOLLOWED);
}

/// A box of YAML that is not a file is a quotation from a pipeline that other tests run; code is never on its own.
#[test]
fn every_fragment_is_quoted_from_something_that_runs() {
    let runs = pipelines();
    for (name, text) in pages() {
        let own: Vec<Fence> = fences(&text);
        let files = own.iter().filter(|fence| fence.file.is_some()).map(|fence| fence.text.as_str());
        let sources: Vec<&str> = runs.iter().map(String::as_str).chain(files).collect();
        for fence in own.iter().filter(|fence| fence.file.is_none()) {
            let place = format!("{name}:{}", fence.line);
            match fence.language.as_str() {
                "yaml" => {
                    let quoted =
                        sources.iter().any(|source| format!("\n{source}").contains(&format!("\n{}", fence.text)));
                    assert!(quoted, "{place}: not in a pipeline of `examples/` or `pipelines/`:\n{}", fence.text);
                }
                "rust" => assert_eq!(name, "your-kind.md", "{place}: the documentation test reads that page only"),
                "console" | "sh" | "text" | "toml" => {}
                other => panic!("{place}: a box of `{other}` without the line \"File `NAME`:\" is not run"),
            }
        }
    }
}

#[test]
fn every_command_and_recipe_of_the_book_exists() {
    let space = Space::new();
    let mut help = Help::of(&space);
    let justfile = fs::read_to_string(workspace().join("justfile")).expect("the justfile can be read");
    for (name, text) in pages().into_iter().filter(|(name, _)| !GENERATED.contains(&name.as_str())) {
        for invocation in invocations(&text) {
            help.check(&invocation);
        }
        for recipe in recipes(&text) {
            let there = justfile.lines().any(|line| line.split([' ', ':']).next() == Some(&recipe));
            assert!(there, "{name}: there is no recipe `{recipe}`");
        }
    }
}

#[test]
fn generated_pages_are_current() {
    let mut command = Command::new("python3");
    command.arg(workspace().join("scripts/book")).arg("check").env("PIPE", env!("CARGO_BIN_EXE_pipe"));
    Shown::of(&mut command).exits(0);
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let contents = fs::read_to_string(workspace().join("docs/mkdocs.yml")).expect("it can be read");
    for (name, _) in pages() {
        assert!(contents.contains(&format!(": {name}\n")), "`{name}` is not in docs/mkdocs.yml");
    }
}

/// What a user waits for and has to have room for: a row for every recipe and every command.
#[test]
fn every_recipe_and_command_has_a_row_with_its_costs() {
    let page = fs::read_to_string(book().join("costs.md")).expect("the page can be read");
    let (_, table) = page.split_once("| command | time | download | disk |\n").expect("the table of costs");
    let rows = table.lines().take_while(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(1));
    let costs: BTreeSet<String> = rows.flat_map(commands).collect();
    let justfile = fs::read_to_string(workspace().join("justfile")).expect("the justfile can be read");
    let heads = justfile.lines().filter(|line| line.starts_with(char::is_alphabetic) && !line.contains(":="));
    let recipes = heads.filter_map(|line| line.split([' ', ':']).next()).map(|recipe| format!("./just {recipe}"));
    let help = Space::new().pipe(["--help"]).exits(0).stdout;
    let (_, verbs) = help.split_once("Commands:\n").expect("the list of commands");
    let verbs = verbs.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    let verbs = verbs.filter(|verb| *verb != "help").map(|verb| format!("pipe {verb}"));
    let offered: BTreeSet<String> = recipes.chain(verbs).collect();
    for expected in ["./just demo", "./just wheel-test", "pipe run", "pipe completions"] {
        assert!(offered.contains(expected), "`{expected}` is not found among {offered:?}");
    }
    let missing: Vec<&String> = offered.difference(&costs).collect();
    assert!(missing.is_empty(), "docs/book/costs.md has no row for {missing:?}");
}

/// The recipes and commands of the first cell of a row, each with its program; in "`pipe plan`, `graph`" there are two.
fn commands(cell: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut program = None;
    for code in cell.split('`').skip(1).step_by(2) {
        let mut words = code.split(' ');
        match (words.next(), words.next()) {
            (Some(first @ ("./just" | "pipe")), Some(second)) => {
                program = Some(first);
                found.push(format!("{first} {second}"));
            }
            (Some(alone), None) => found.extend(program.map(|program| format!("{program} {alone}"))),
            _ => program = None,
        }
    }
    found
}

/// `docs/book/crates.md` gives the reason for each dependency of the workspace, and for no other.
#[test]
fn every_dependency_has_its_reason() {
    let page = fs::read_to_string(book().join("crates.md")).expect("the page can be read");
    let (_, table) = page.split_once("| crate | why |\n|---|---|\n").expect("the table of dependencies");
    let rows = table.lines().take_while(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(1));
    let explained: BTreeSet<&str> = rows.flat_map(|names| names.split(',').map(str::trim)).collect();
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).expect("the manifest can be read");
    let (_, declared) = manifest.split_once("[workspace.dependencies]\n").expect("dependencies");
    let (declared, _) = declared.split_once("\n[").expect("a section after them");
    let lines = declared.lines().filter(|line| !line.starts_with('#'));
    let declared = lines.filter_map(|line| line.split_once(" = ").map(|(name, _)| name));
    assert_eq!(declared.filter(|name| !name.starts_with("pipe-")).collect::<BTreeSet<_>>(), explained);
}

/// Writes the files of a page and types its sessions, in its order.
fn follow(name: &str) {
    let text = fs::read_to_string(book().join(name)).unwrap_or_else(|error| panic!("`{name}`: {error}"));
    let space = Space::new();
    let mut sessions = 0;
    for fence in fences(&text) {
        let place = format!("docs/book/{name}:{}", fence.line);
        match (&fence.file, fence.language.as_str()) {
            (Some(_), "r") if !has_program("Rscript", &format!("{place} and what follows there")) => return,
            (Some(file), _) => space.write(file, &fence.text),
            (None, "console") => {
                sessions += 1;
                type_in(&space, &fence, &place);
            }
            _ => {}
        }
    }
    assert!(sessions > 0, "`{name}` has no session");
}

/// Ends what was typed and what was seen, in the output of the shell that runs a session.
const END: char = '\u{1e}';

fn type_in(space: &Space, fence: &Fence, place: &str) {
    let typed = session(&fence.text);
    let mut script = format!("pipe() {{ '{}' \"$@\"; }}\nexec 2>&1\n", env!("CARGO_BIN_EXE_pipe"));
    for line in &typed {
        script += &format!("{}\ncode=$?; printf '{END}%s{END}' $code; (exit $code)\n", line.command);
    }
    let bare = space.command(["stages"]);
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(space.project()).env_clear();
    command.envs(bare.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = Shown::of(&mut command).stdout;
    let mut parts = output.split(END);
    for (index, line) in typed.iter().enumerate() {
        let (seen, code) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let code_is_shown = typed.get(index + 1).is_some_and(|next| next.command == "echo $?");
        assert!(code == "0" || code_is_shown, "{place}: `{}` ended with exit code {code}\n{seen}", line.command);
        let lines: Vec<&str> = seen.lines().collect();
        let shown = line.seen.join("\n");
        assert!(matches(&lines, &line.seen), "{place}: `{}` shows\n{seen}\nand the page\n{shown}", line.command);
    }
}

fn book() -> PathBuf {
    workspace().join("docs/book")
}

/// The pages of the book with their texts, by name.
fn pages() -> Vec<(String, String)> {
    let entries = fs::read_dir(book()).expect("the book can be listed");
    let names: BTreeSet<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".md"))
        .collect();
    names
        .into_iter()
        .map(|name| (name.clone(), fs::read_to_string(book().join(name)).expect("a page can be read")))
        .collect()
}

/// The texts of all pipelines that ship or are examples.
fn pipelines() -> Vec<String> {
    let folders = fs::read_dir(workspace().join("examples")).expect("the examples can be listed");
    let examples = folders.flatten().map(|entry| entry.path().join("pipeline.yaml")).filter(|path| path.is_file());
    let shipped = fs::read_dir(workspace().join("pipelines")).expect("the pipelines can be listed");
    let shipped =
        shipped.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|of| of == "yaml"));
    examples.chain(shipped).map(|path| fs::read_to_string(path).expect("a pipeline can be read")).collect()
}
