//! What is said of a fact that is not what it was: a sentence in the words of a pipeline file, without the names that facts have
//! in keys, and without digests, which show a user nothing.

use super::FactName;
use super::run_facts::NAMES_DIGITS;
use crate::plan::INPUT_FOLDER;

/// So many characters of a line are shown.
const SHOWN: usize = 40;

/// The sentence about a fact, without a full stop; one of `was` and `now` is there.
pub(super) fn fact_change(name: &str, was: Option<&str>, now: Option<&str>) -> String {
    match FactName::of(name) {
        Some(FactName::Body) => body(was.unwrap_or_default(), now.unwrap_or_default()),
        Some(FactName::Shell) => shell(was, now),
        Some(FactName::Output(port)) => match (was, now) {
            (Some(was), Some(now)) => format!("output `{port}` is written to another path: `{was}` -> `{now}`"),
            _ => format!("output `{port}` was {}", came_or_went(now)),
        },
        Some(FactName::Variable(name)) => match (was, now) {
            (Some(was), Some(now)) => format!("variable `{name}` changed: {}", from_to(was, now)),
            (_, now) => format!("variable `{name}` of `env:` was {}", came_or_went(now)),
        },
        Some(FactName::Optional(port)) => optional(port, was, now),
        Some(FactName::Network) => match now {
            Some(_) => "the network is allowed now (`net: true`)".to_owned(),
            None => "the network is no longer allowed (no `net: true`)".to_owned(),
        },
        Some(FactName::InputName(port)) => input_name(port, was, now),
        Some(FactName::Tool(name)) => tool(name, was, now),
        Some(FactName::Program(name)) => match (was, now) {
            (Some(_), Some(_)) => format!("program `{name}` changed: its file has other content"),
            (None, _) => format!("program `{name}` counts now, because no `tools:` name what the body runs"),
            (_, None) => format!("program `{name}` no longer counts, because `tools:` name what the body runs"),
        },
        Some(FactName::RPackages) => match (was, now) {
            (Some(_), Some(_)) => "packages in your R library changed".to_owned(),
            (None, _) => "packages in your R library count now".to_owned(),
            (_, None) => "packages in your R library no longer count".to_owned(),
        },
        None => format!("`{name}` changed: {} -> {}", quoted(was), quoted(now)),
    }
}

fn came_or_went(now: Option<&str>) -> String {
    now.map_or_else(|| "removed".to_owned(), |now| format!("added: `{}`", beginning(now)))
}

/// The first line that differs, with its number if there are several.
fn body(was: &str, now: &str) -> String {
    let (was, now): (Vec<&str>, Vec<&str>) = (was.lines().collect(), now.lines().collect());
    let line = was.iter().zip(&now).take_while(|(was, now)| was == now).count();
    let place = if was.len().max(now.len()) > 1 { format!(" in line {}", line + 1) } else { String::new() };
    match (was.get(line), now.get(line)) {
        (Some(was), Some(now)) if was.trim() == now.trim() => format!("body changed{place}: only its spaces"),
        (Some(was), Some(now)) => format!("body changed{place}: {}", from_to(was.trim(), now.trim())),
        (Some(was), None) => format!("body changed{place}: `{}` was removed", beginning(was)),
        (None, Some(now)) => format!("body changed{place}: `{}` was added", beginning(now)),
        (None, None) => "body changed: only at the ends of its lines".to_owned(),
    }
}

fn shell(was: Option<&str>, now: Option<&str>) -> String {
    let program = |fact: &str| match fact.split(' ').next() {
        Some("#!") | None => "the program of its `#!` line".to_owned(),
        Some(shell) => format!("`{shell}`"),
    };
    match (was, now) {
        (Some(was), Some(now)) => format!("the body runs under {} now, before under {}", program(now), program(was)),
        (None, Some(now)) => format!("the body runs under {} now", program(now)),
        (was, None) => format!("the body no longer runs under {}", program(was.unwrap_or("#!"))),
    }
}

/// The value is `set` or `unset`. That the input itself came or went is a reason of its own.
fn optional(port: &str, was: Option<&str>, now: Option<&str>) -> String {
    match (was, now) {
        (None, Some("set")) => format!("input `{port}` is optional now"),
        (None, _) => format!("optional input `{port}` was added, and is not set"),
        (Some("set"), None) => format!("input `{port}` is no longer optional"),
        (_, None) => format!("optional input `{port}` was removed"),
        (_, Some("set")) => format!("optional input `{port}` is set now"),
        _ => format!("optional input `{port}` is not set now"),
    }
}

fn input_name(port: &str, was: Option<&str>, now: Option<&str>) -> String {
    match (was.and_then(file_name), now.and_then(file_name)) {
        (Some(was), Some(now)) => format!("input `{port}` is found under another name: `{was}` -> `{now}`"),
        _ => format!("input `{port}` is found under other names"),
    }
}

/// The name of a single input: a path in the project, or a name of its own. Those of many are a digest ([`super::run_facts()`]).
fn file_name(fact: &str) -> Option<&str> {
    let name = fact.strip_prefix(INPUT_FOLDER).map_or(fact, |name| name.trim_start_matches('/'));
    let last = name.rsplit('/').next().unwrap_or(name);
    let is_digest = last.len() == NAMES_DIGITS && last.bytes().all(|byte| byte.is_ascii_hexdigit());
    (!is_digest).then_some(name)
}

fn tool(name: &str, was: Option<&str>, now: Option<&str>) -> String {
    let version = |fact: &str| match is_digest(fact) {
        true => "an environment".to_owned(),
        false => format!("`{}`", beginning(fact)),
    };
    match (was, now) {
        (Some(was), Some(now)) if is_digest(was) && is_digest(now) => {
            format!("tool `{name}` changed: other packages are installed in its environment")
        }
        (Some(was), Some(now)) if !is_digest(was) && !is_digest(now) => {
            format!("tool `{name}` changed: {}", from_to(was, now))
        }
        (Some(was), Some(now)) => format!("tool `{name}` changed: {} -> {}", version(was), version(now)),
        (None, Some(now)) => format!("tool `{name}` was added: {}", version(now)),
        (_, None) => format!("tool `{name}` was removed"),
    }
}

fn is_digest(fact: &str) -> bool {
    fact.starts_with("blake3:")
}

fn quoted(fact: Option<&str>) -> String {
    match fact {
        None => "not set".to_owned(),
        Some(fact) if is_digest(fact) => "the content of a file".to_owned(),
        Some(fact) => format!("`{}`", beginning(fact)),
    }
}

/// The first line, cut where messages would become unreadable.
fn beginning(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    cut(line, text.trim().len() > line.len())
}

fn cut(line: &str, has_more: bool) -> String {
    let head: String = line.chars().take(SHOWN).collect();
    if has_more || head.len() < line.len() { format!("{head}...") } else { head }
}

/// Two texts so that the place where they differ is seen: long ones are cut before it.
fn from_to(was: &str, now: &str) -> String {
    let same = was.chars().zip(now.chars()).take_while(|(was, now)| was == now).count();
    let from = if same > SHOWN / 2 { same - SHOWN / 4 } else { 0 };
    let shown = |text: &str| {
        let rest: String = text.chars().skip(from).collect();
        let line = rest.lines().next().unwrap_or_default();
        format!("`{}{}`", if from > 0 { "..." } else { "" }, cut(line, rest.lines().count() > 1))
    };
    format!("{} -> {}", shown(was), shown(now))
}
