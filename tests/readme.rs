//! What the README promises, executed: its five-line pipeline, and every command and option that it names.

use std::collections::BTreeSet;
use std::fs;

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

/// Lines of code, in fences and in backticks, that start with `pipe `.
fn invocations(readme: &str) -> Vec<String> {
    let inline = readme.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let fenced = readme.lines().map(|line| line.trim().trim_start_matches("$ "));
    let lines = inline.chain(fenced).filter(|code| code.starts_with("pipe ") && !code.starts_with("pipe runs "));
    lines.map(|code| code.split(" # ").next().unwrap_or(code).trim().to_owned()).collect()
}

#[test]
fn every_command_and_option_in_the_readme_exists() {
    let space = Space::new();
    let known: BTreeSet<String> = {
        let help = space.pipe(["--help"]).exits(0).stdout;
        let listed = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
        listed
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect()
    };
    let (mut commands, mut options) = (BTreeSet::new(), BTreeSet::new());
    for invocation in invocations(&readme()) {
        let mut words = invocation.split_whitespace().skip(1);
        let verb = words.next().expect("`pipe ` is followed by something").to_owned();
        assert!(known.contains(&verb), "`{invocation}`: there is no command `{verb}`, only {known:?}");
        let help = space.pipe([verb.as_str(), "--help"]).exits(0).stdout;
        for option in words.filter(|word| word.starts_with("--")) {
            let name = option.split('=').next().unwrap_or(option);
            assert!(
                help.contains(&format!("{name} ")) || help.contains(&format!("{name}\n")),
                "`{invocation}`: `pipe {verb}` has no `{name}`"
            );
            options.insert(name.to_owned());
        }
        commands.insert(verb);
    }
    for expected in ["run", "plan", "graph", "why", "log", "path", "verify", "stages", "schema"] {
        assert!(commands.contains(expected), "the README does not show `pipe {expected}`");
    }
    assert!(options.contains("--profile"), "{options:?}");
}

/// Files that the README links to, and those that it gives commands for, are in the checkout.
#[test]
fn every_file_in_the_readme_exists() {
    let readme = readme();
    let links =
        readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains("://"));
    let missing: Vec<&str> = links.filter(|link| !workspace().join(link).exists()).collect();
    assert_eq!(missing, Vec::<&str>::new(), "links that lead nowhere");
    for file in ["just", "pipelines/benson2025.yaml", "Dockerfile"] {
        assert!(workspace().join(file).is_file(), "the README mentions `{file}`");
    }
    let recipes = fs::read_to_string(workspace().join("justfile")).expect("the justfile can be read");
    for recipe in readme
        .split("./just ")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || c == '-')).next())
    {
        let there = recipes.lines().any(|line| line.split([' ', ':']).next() == Some(recipe));
        assert!(there, "the README names `./just {recipe}`, and the justfile has no such recipe");
    }
}
