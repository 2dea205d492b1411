//! What the README promises, executed: its five-line pipeline, and every command and option that it names.

use std::collections::BTreeSet;

use fs_err as fs;

use crate::support::markdown::{Help, invocations, recipes};
use crate::support::{Shown, Space, workspace};

fn readme() -> String {
    fs::read_to_string(workspace().join("README.md")).expect("the README can be read")
}

/// The text below a heading, up to the next heading of the same level.
fn section<'r>(readme: &'r str, heading: &str) -> &'r str {
    let section = readme.split("\n## ").find(|section| section.lines().next() == Some(heading));
    section.unwrap_or_else(|| panic!("the README has no section `{heading}`"))
}

/// Code blocks of a language below a heading, in order.
fn blocks(readme: &str, heading: &str, language: &str) -> Vec<String> {
    let section = section(readme, heading);
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
    let (_, rest) = readme.split_once(BEGIN).expect("the first marker");
    let (block, _) = rest.split_once(END).expect("the second marker");
    let is_whole = block.contains("| seed |") && block.contains("Made by `./just demo-seeds --write` on: ");
    assert!(is_whole, "not as scripts/demo-seeds writes it:\n{block}");
}

const BEGIN: &str = "<!-- demo-seeds -->\n";
const END: &str = "<!-- /demo-seeds -->\n";

/// Answers as `pipe` does after runs in which the networks learned, or did not: `ANATOMY` is the Dice score of anatomy.
const RAN: &str = r#"#!/bin/sh
set -eu
[ "$1" = path ] || exit 0
out=$(mktemp -d -p "$ANSWERS")
case "$3 $5" in
split.table*) { echo sid,partition; for n in 1 2 3 4 5 6 7 8; do echo "s$n,test"; done; echo t1,train; } ;;
*swapped) printf 'tag,label,score\nanat,mean,0.5\n' ;;
*) printf 'tag,label,score\nprior,mean,0.5\nanat,1,0.9\nanat,mean,%s\nfunc,mean,0.7\nrely,mean,0.8\n' "$ANATOMY" ;;
esac > "$out/table.csv"
echo "$out"
"#;

/// `scripts/demo-seeds --write` in a checkout with this README, where the runs left this Dice score of anatomy: what it
/// showed, and the README after it.
fn demo_seeds_write(readme: &str, anatomy: &str) -> (Shown, String) {
    use std::os::unix::fs::PermissionsExt;
    let space = Space::new();
    for file in ["scripts/demo-seeds", "scripts/libtorch", "pipelines/benson2025.yaml"] {
        space.write(file, fs::read(workspace().join(file)).unwrap_or_else(|error| panic!("`{file}`: {error}")));
    }
    space.write("README.md", readme);
    space.write("target/release/pipe", RAN);
    let executable = std::fs::Permissions::from_mode(0o755);
    fs::set_permissions(space.path("target/release/pipe"), executable).expect("it can be executed");
    let mut command = std::process::Command::new("python3");
    command.arg(space.path("scripts/demo-seeds")).args(["--seeds", "7,8", "--write"]).current_dir(space.root());
    command.env_remove("CARGO_TARGET_DIR").env("ANSWERS", space.root()).env("ANATOMY", anatomy);
    let shown = Shown::of(&mut command);
    let after = space.read("README.md");
    (shown, after)
}

#[test]
fn the_command_for_the_table_of_scores_replaces_what_is_between_the_markers() {
    let before = format!("# a\n\n{BEGIN}| old |\n{END}\nbelow {{0}} \\1\n");
    let (shown, after) = demo_seeds_write(&before, "0.625");
    shown.exits(0).shows("12 passed, 0 failed").shows("written to README.md");
    let rest = after.strip_prefix(&format!("# a\n\n{BEGIN}")).unwrap_or_else(|| panic!("above the table: {after}"));
    let (table, below) = rest.split_once(END).unwrap_or_else(|| panic!("no second marker: {after}"));
    assert_eq!(below, "\nbelow {0} \\1\n", "what is below the table");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("| seed | test subjects | template | swapped | anatomy |"), "{table}");
    assert_eq!(lines[2], "| 7 | 8 | 0.500 | 0.500 | 0.625 | 0.700 | 0.800 | 8 of 8 |");
    assert!(lines[3].starts_with("| 8 | 8 |"), "a line for each seed: {table}");
    let made_by = lines.last().expect("a last line");
    assert!(made_by.starts_with("Made by `./just demo-seeds --write` on: ") && lines.len() == 6, "{table}");
    assert!(made_by.contains("libtorch "), "the numbers depend on it: {made_by}");
}

#[test]
fn the_command_for_the_table_of_scores_writes_nothing_where_a_verdict_fails_or_a_marker_is_missing() {
    let before = format!("# a\n\n{BEGIN}| old |\n{END}");
    let (shown, after) = demo_seeds_write(&before, "0.51");
    shown.exits(1).shows("FAILS: seed 7: anat is +0.010 against prior, at least +0.05").hides("written to");
    assert_eq!(after, before);
    let unmarked = format!("# a\n\n{BEGIN}| old |\n");
    let (shown, after) = demo_seeds_write(&unmarked, "0.625");
    shown.exits(1).shows("error: README.md has the markers").hides("seed in").hides("passed");
    assert_eq!(after, unmarked);
}

/// The profile has subjects, stages and a claim, which could be taken for results.
#[test]
fn the_readme_says_that_the_real_data_were_not_run() {
    let readme = readme();
    let real = section(&readme, "The real data");
    assert!(real.contains("`hcp`") && real.contains("**not run**"), "not said of the profile `hcp`:\n{real}");
}

/// Before the first command: how long it takes, what it fetches, and where all other commands are listed.
#[test]
fn the_readme_says_what_its_first_commands_cost() {
    let readme = readme();
    let first = section(&readme, "Two commands");
    for (what, words) in [
        ("the download of libtorch", "libtorch (545 MB)"),
        ("the download of the anatomy", "(69 MB)"),
        ("the time of the demo", "less than five minutes on two cores"),
        ("the table of costs", "[Time, download and disk](docs/book/costs.md)"),
    ] {
        assert!(first.contains(words), "{what} is missing (`{words}`):\n{first}");
    }
    let costs = fs::read_to_string(workspace().join("docs/book/costs.md")).expect("the page can be read");
    let demo = costs.lines().find(|line| line.starts_with("| `./just demo` |")).expect("a row for the demo");
    assert!(demo.contains(" 4 min 20 s ") && demo.contains(" 69 MB"), "it differs from the README: {demo}");
    assert!(costs.contains(" 545 MB: libtorch"), "it differs from the README");
}

/// The titles of the citation file are those of the manifest and of the paper.
#[test]
fn the_citation_has_the_version_and_the_paper() {
    let citation = fs::read_to_string(workspace().join("CITATION.cff")).expect("it can be read");
    for line in [&format!("version: {}\n", env!("CARGO_PKG_VERSION")), "doi: 10.1101/2025.05.16.654503\n"] {
        assert!(citation.contains(line), "CITATION.cff has no `{}`", line.trim());
    }
}
