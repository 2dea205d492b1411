//! What a Markdown page promises: its boxes, the files and sessions that they show, and the commands that it names.
//!
//! A box below the line "File `NAME`:" is the whole content of that file. A `console` box is a session: what is typed comes
//! after `$ `, the lines below it are what is seen.

use std::collections::BTreeMap;

/// A fenced box of a page.
#[derive(Debug, PartialEq)]
pub struct Fence {
    /// The word after the opening fence.
    pub language: String,
    /// Its text, with the final newline.
    pub text: String,
    /// The file whose content it is, if the line above says so.
    pub file: Option<String>,
    /// Its line in the page.
    pub line: usize,
}

/// The boxes of a page, in order.
pub fn fences(page: &str) -> Vec<Fence> {
    let mut found = Vec::new();
    let mut file = None;
    let mut open: Option<Fence> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(fence), None) => fence.text.extend([line, "\n"]),
            (None, Some(language)) => {
                let language = language.to_owned();
                open = Some(Fence { language, text: String::new(), file: file.take(), line: number + 1 });
            }
            (None, None) if line.is_empty() => {}
            (None, None) => {
                file = line.strip_prefix("File `").and_then(|rest| rest.strip_suffix("`:")).map(str::to_owned)
            }
        }
    }
    assert!(open.is_none(), "a box is not closed: {open:?}");
    found
}

/// One command of a session.
#[derive(Debug, PartialEq)]
pub struct Typed {
    /// What is typed.
    pub command: String,
    /// What is seen.
    pub seen: Vec<String>,
}

/// The commands of a `console` box.
pub fn session(text: &str) -> Vec<Typed> {
    let mut typed: Vec<Typed> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), typed.last_mut()) {
            (Some(command), _) => typed.push(Typed { command: command.to_owned(), seen: Vec::new() }),
            (None, Some(last)) => last.seen.push(line.to_owned()),
            (None, None) => panic!("a session begins with `$ `, found `{line}`"),
        }
    }
    typed
}

/// Whether lines are those of a page: `...` on its own is any number of lines, `…` within a line any text.
pub fn matches(seen: &[&str], shown: &[String]) -> bool {
    match shown.split_first() {
        None => seen.is_empty(),
        Some((first, rest)) if first == "..." => (0..=seen.len()).any(|skipped| matches(&seen[skipped..], rest)),
        Some((first, rest)) => {
            seen.split_first().is_some_and(|(line, after)| matches_line(line, first) && matches(after, rest))
        }
    }
}

fn matches_line(line: &str, shown: &str) -> bool {
    let line = line.trim_end();
    let Some((start, rest)) = shown.split_once('…') else { return line == shown.trim_end() };
    let Some(mut line) = line.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('…').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = line.find(part) else { return false };
        line = &line[at + part.len()..];
    }
    line.ends_with(end)
}

/// Lines of code, in boxes and in backticks, that start with `pipe `.
pub fn invocations(page: &str) -> Vec<String> {
    let inline = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let boxes = fences(page);
    let fenced = boxes.iter().filter(|fence| matches!(fence.language.as_str(), "sh" | "console"));
    let fenced = fenced.flat_map(|fence| fence.text.lines()).map(|line| line.trim_start_matches("$ "));
    let lines = inline.chain(fenced).flat_map(|line| line.split(" && ")).filter(|code| code.starts_with("pipe "));
    lines.map(|code| code.split(" # ").next().unwrap_or(code).trim().to_owned()).collect()
}

/// The recipes that a page names: `demo` of `./just demo`.
pub fn recipes(page: &str) -> Vec<String> {
    let word =
        |rest: &str| rest.split(|c: char| !(c.is_alphanumeric() || c == '-')).next().unwrap_or_default().to_owned();
    page.split("./just ").skip(1).map(word).filter(|word| !word.is_empty()).collect()
}

/// Each command of `pipe` with its help, as far as they were asked for.
pub struct Help<'s> {
    space: &'s super::Space,
    commands: Vec<String>,
    texts: BTreeMap<String, String>,
}

impl<'s> Help<'s> {
    /// Reads the list of commands.
    pub fn of(space: &'s super::Space) -> Self {
        let help = space.pipe(["--help"]).exits(0).stdout;
        let listed = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
        let listed = listed.take_while(|line| !line.is_empty());
        let commands = listed.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
        Self { space, commands, texts: BTreeMap::new() }
    }

    /// Asserts that the command and the options of a line exist; returns the command.
    pub fn check(&mut self, invocation: &str) -> String {
        let mut words = invocation.split_whitespace().skip(1);
        let verb = words.next().expect("`pipe ` is followed by something").to_owned();
        if verb.starts_with("--") {
            return verb;
        }
        assert!(
            self.commands.contains(&verb),
            "`{invocation}`: there is no command `{verb}`, only {:?}",
            self.commands
        );
        let space = self.space;
        let help =
            self.texts.entry(verb.clone()).or_insert_with(|| space.pipe([verb.as_str(), "--help"]).exits(0).stdout);
        for option in words.filter(|word| word.starts_with("--")) {
            let name = option.split('=').next().unwrap_or(option);
            let there = help.contains(&format!("{name} ")) || help.contains(&format!("{name}\n"));
            assert!(there, "`{invocation}`: `pipe {verb}` has no `{name}`");
        }
        verb
    }
}

#[test]
fn a_page_is_taken_apart() {
    let page =
        "Text\n\nFile `a.yaml`:\n\n```yaml\npipe: 1\n```\n\n```console\n$ pipe run a.yaml\n...\nran 1\n$ true\n```\n";
    let boxes = fences(page);
    assert_eq!((boxes[0].file.as_deref(), boxes[0].text.as_str()), (Some("a.yaml"), "pipe: 1\n"));
    assert_eq!((boxes[1].file.as_deref(), boxes[1].language.as_str()), (None, "console"));
    let typed = session(&boxes[1].text);
    assert_eq!((typed[0].command.as_str(), typed[0].seen.len(), typed[1].seen.len()), ("pipe run a.yaml", 2, 0));
    assert_eq!(invocations(page), ["pipe run a.yaml"]);
    assert_eq!(recipes("`./just demo-seeds --write`, ./just test."), ["demo-seeds", "test"]);
}

#[test]
fn what_is_left_out_of_a_session_matches_anything() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&["a", "b", "c"], &shown("...\nc")) && matches(&["c"], &shown("...\nc\n...")));
    assert!(!matches(&["a", "c"], &shown("c")) && !matches(&["a"], &shown("a\nb")));
    assert!(matches(&["3 results in /x/results/p"], &shown("3 results in …/results/p")));
    assert!(matches(&["ended at 9, well"], &shown("ended … well")) && !matches(&["ended"], &shown("ended … well")));
}
