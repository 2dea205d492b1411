//! What the README promises, executed: its five-line pipeline, and every command and option that it names.

use std::collections::BTreeSet;

use fs_err as fs;

use crate::support::markdown::{Help, invocations, recipes};
use crate::support::{Shown, Space, workspace};

fn readme() -> String {
    fs::read_to_string(workspace().join("README.md")).expect("the README can be read")
}

/// Code blocks of a language below a heading, up to the next heading of the same level.
fn blocks(readme: &str, heading: &str, language: &str) -> Vec<String> {
    let section = readme.split("\n## ").find(|section| section.lines().next() == Some(heading));
    let section = section.unwrap_or_else(|| panic!("the README has no section `{heading}`"));
    let fence = format!("```{language}\n");
    section.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or(rest).to_owned()).collect()
}

/// Files under the name in their first comment, then the console's commands with what they print.
#[test]
fn the_five_lines_of_the_readme_do_what_it_says() {
    let readme = readme();
    let space = Space::new();
    for text in blocks(&readme, "Five lines", "yaml") {
        let name = text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("the first line names the file");
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
        assert_eq!(lines.count(), 5, "five lines are promised:\n{text}");
        space.write(name, &text);
    }
    let consoles = blocks(&readme, "Five lines", "console");
    assert_eq!(consoles.len(), 1);
    let mut commands = 0;
    for command in consoles[0].split("$ ").skip(1) {
        let (line, prints) = command.split_once('\n').expect("a command is a line");
        let shown = run_line(&space, line).exits(0);
        if !prints.is_empty() {
            assert_eq!(shown.stdout, prints, "what `{line}` prints");
        }
        commands += 1;
    }
    assert_eq!(commands, 2, "the console block runs the pipeline and shows the result");
}

/// A line of a shell, with the binary under test as `pipe`.
fn run_line(space: &Space, line: &str) -> Shown {
    let pipe = format!("pipe() {{ '{}' \"$@\"; }}; {line}", env!("CARGO_BIN_EXE_pipe"));
    let bare = space.command(["stages"]);
    let mut command = std::process::Command::new("sh");
    command.args(["-eu", "-c", &pipe]).current_dir(space.project()).env_clear();
    command.envs(bare.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Shown::of(&mut command)
}

#[test]
fn every_command_and_option_in_the_readme_exists() {
    let space = Space::new();
    let mut help = Help::of(&space);
    let lines = invocations(&readme());
    let commands: BTreeSet<String> = lines.iter().map(|line| help.check(line)).collect();
    for expected in ["run", "plan", "graph", "why", "status", "log", "path", "verify", "stages", "schema"] {
        assert!(commands.contains(expected), "the README does not show `pipe {expected}`");
    }
    assert!(lines.iter().any(|line| line.contains("--profile")), "{lines:?}");
}

/// Files that the README and its companions link to, and those that the README gives commands for, are in the checkout.
#[test]
fn every_file_in_the_readme_exists() {
    for name in ["README.md", "CONTRIBUTING.md", "SECURITY.md", "packaging/README.md"] {
        let page = fs::read_to_string(workspace().join(name)).unwrap_or_else(|error| panic!("`{name}`: {error}"));
        let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let files = targets.filter(|link| !link.contains("://")).map(|link| link.split('#').next().unwrap_or(link));
        let missing: Vec<&str> = files.filter(|file| !workspace().join(file).exists()).collect();
        assert_eq!(missing, Vec::<&str>::new(), "links of {name} that lead nowhere");
    }
    for file in ["just", "pipelines/benson2025.yaml", "Dockerfile", "CITATION.cff"] {
        assert!(workspace().join(file).is_file(), "the README mentions `{file}`");
    }
    let justfile = fs::read_to_string(workspace().join("justfile")).expect("the justfile can be read");
    for name in ["README.md", "CONTRIBUTING.md", "SECURITY.md"] {
        let page = fs::read_to_string(workspace().join(name)).expect("it can be read");
        for recipe in recipes(&page) {
            let there = justfile.lines().any(|line| line.split([' ', ':']).next() == Some(&recipe));
            assert!(there, "{name} names `./just {recipe}`, and the justfile has no such recipe");
        }
    }
}

/// The table of scores is written by a command, with the processor it holds for.
#[test]
fn the_table_of_scores_is_between_its_markers() {
    let readme = readme();
    let (_, rest) = readme.split_once("<!-- demo-seeds -->\n").expect("the first marker");
    let (block, _) = rest.split_once("<!-- /demo-seeds -->\n").expect("the second marker");
    let is_whole = block.contains("| seed |") && block.contains("Made by `./just demo-seeds --write` on: ");
    assert!(is_whole, "not as scripts/demo-seeds writes it:\n{block}");
}

/// The titles of the citation file are those of the manifest and of the paper.
#[test]
fn the_citation_has_the_version_and_the_paper() {
    let citation = fs::read_to_string(workspace().join("CITATION.cff")).expect("it can be read");
    for line in [&format!("version: {}\n", env!("CARGO_PKG_VERSION")), "doi: 10.1101/2025.05.16.654503\n"] {
        assert!(citation.contains(line), "CITATION.cff has no `{}`", line.trim());
    }
}
