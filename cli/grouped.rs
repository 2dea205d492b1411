//! Lists of instances in few lines: equal failures, absences and skips once, with how many there are and a few of them by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use pipe_contract::{Failure, IMPORTANT};

use crate::printer::{BAD, CARE, HINT, styled};

/// So many others of a group are named.
const NAMED: usize = 3;
/// A failed instance.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    pub label: &'a str,
    pub failure: &'a Failure,
    /// Of its last attempt, if that printed something.
    pub log: Option<&'a Path>,
    pub retained: Option<&'a Path>,
}

/// Failures in blocks of equal ones, the first of each in full; at most so many blocks. `all` is where each of them can be looked
/// up, if that is to be said here.
pub fn failures<'a>(failed: impl Iterator<Item = Failed<'a>>, most: usize, all: Option<&Path>) -> String {
    let groups = groups(failed.map(|failed| (likeness(failed.label, failed.failure), failed)));
    let mut text = String::new();
    for (first, others) in groups.iter().take(most) {
        let labels: Vec<&str> = others.iter().map(|other| other.label).collect();
        text.push_str(&failure(&format!("{}: ", several(first.label, &labels)), first.failure));
        let of_first = if others.is_empty() { "" } else { " of the first" };
        if let Some(log) = first.log {
            let _ = writeln!(text, "  log{of_first}: {}", log.display());
        }
        if let Some(folder) = first.retained {
            let _ = writeln!(text, "  its folder is kept: {}", folder.display());
        }
    }
    let left: usize = groups.iter().skip(most).map(|(_, others)| 1 + others.len()).sum();
    if left > 0 {
        let messages = match groups.len() - most {
            1 => "another message".to_owned(),
            number => format!("{number} other messages"),
        };
        let _ = writeln!(text, "{} {left} more, with {messages}; `pipe status` has all of them", styled(BAD, "failed"));
    }
    if let Some(all) = all
        && (left > 0 || groups.iter().any(|(_, others)| !others.is_empty()))
    {
        let _ = writeln!(text, "  each of them: {}", all.display());
    }
    text
}

/// What went wrong, with its hint. `of` is what it went wrong with.
pub fn failure(of: &str, failure: &Failure) -> String {
    let mut text = format!("{} {of}{failure}\n", styled(BAD, "failed"));
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "  {} {hint}", styled(HINT, "hint:"));
    }
    text
}

/// Notes of instances: equal ones once, with how many have them; important ones first.
pub fn notes(notes: &[(String, String)]) -> Vec<String> {
    let mut groups = groups(notes.iter().map(|(label, note)| (note, (label, note))));
    groups.sort_by_key(|((_, note), _)| !note.starts_with(IMPORTANT));
    let line = |((label, note), others): &((&String, &String), Vec<_>)| {
        let note = note.strip_prefix(IMPORTANT).unwrap_or(note);
        match others.len() {
            0 => format!("{label}: {note}"),
            more => format!("{label} and {more} more: {note}"),
        }
    };
    groups.iter().map(line).collect()
}

/// Skipped instances, with the label of the one at fault or `stopped`: a line for each stage and cause.
pub fn skipped<'a>(skipped: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut stopped = Vec::new();
    let mut others = Vec::new();
    for (label, because) in skipped {
        if because == "stopped" { stopped.push(label) } else { others.push((label, because)) }
    }
    // Of many, the causes are many as well, and they are reported as failures.
    let groups = groups(others.into_iter().map(|(label, because)| (stage(label).to_owned(), (label, because))));
    let line = |((first, because), others): &((&str, &str), Vec<(&str, &str)>)| {
        let labels: Vec<&str> = others.iter().map(|(label, _)| *label).collect();
        let other_causes = others.iter().any(|(_, other)| other != because);
        let more = if other_causes { " and others" } else { "" };
        format!("{}: because of `{because}`{more}", several(first, &labels))
    };
    let mut lines: Vec<String> = groups.iter().map(line).collect();
    if let Some((first, others)) = stopped.split_first() {
        lines.push(format!("{}: the run was stopped", several(first, others)));
    }
    lines
}

/// Names with equal sentences: each sentence once. What is in backticks are labels, of which the stage counts.
pub fn equal<'a>(all: impl Iterator<Item = (&'a str, String)>) -> Vec<String> {
    let likeness = |name: &str, sentence: &str| {
        let words = sentence.split('`').enumerate().map(|(at, piece)| if at % 2 == 1 { stage(piece) } else { piece });
        (kind(name).to_owned(), words.collect::<Vec<_>>().join("`"))
    };
    let groups = groups(all.map(|(name, sentence)| (likeness(name, &sentence), (name, sentence))));
    let line = |((first, sentence), others): &((&str, String), Vec<(&str, String)>)| {
        let names: Vec<&str> = others.iter().map(|(name, _)| *name).collect();
        format!("{}: {sentence}", several(first, &names))
    };
    groups.iter().map(line).collect()
}

/// Adds lines under a word; long lists are cut, and `all` is where the rest is.
pub fn list(text: &mut String, word: &str, lines: &[String], most: usize, all: &str) {
    for line in lines.iter().take(most) {
        let _ = writeln!(text, "{} {line}", styled(CARE, word));
    }
    if lines.len() > most {
        let _ = writeln!(text, "{} {} more{all}", styled(CARE, word), lines.len() - most);
    }
}

/// The first of each key in the order they come, with the others of it.
fn groups<K: Ord, T>(all: impl Iterator<Item = (K, T)>) -> Vec<(T, Vec<T>)> {
    let mut found: Vec<(T, Vec<T>)> = Vec::new();
    let mut place = BTreeMap::new();
    for (key, one) in all {
        match place.get(&key) {
            Some(at) => {
                let (_, others): &mut (T, Vec<T>) = &mut found[*at];
                others.push(one);
            }
            None => {
                place.insert(key, found.len());
                found.push((one, Vec::new()));
            }
        }
    }
    found
}

/// `fit(sid=s01) and 399 more (sid=s02, sid=s03, sid=s04, ...)`; of several stages, these are named.
pub fn several(first: &str, others: &[&str]) -> String {
    if others.is_empty() {
        return first.to_owned();
    }
    let same = others.iter().all(|label| stage(label) == stage(first));
    let name = |label: &&str| if same { coordinates(label).replace(", ", " ") } else { stage(label).to_owned() };
    let mut seen = BTreeSet::new();
    let mut names: Vec<String> = others.iter().map(name).filter(|name| seen.insert(name.clone())).collect();
    let dots = if names.len() > NAMED { ", ..." } else { "" };
    names.truncate(NAMED);
    format!("{first} and {} more ({}{dots})", others.len(), names.join(", "))
}

/// What a name belongs to: a label to its stage, the path of a file to its folder.
fn kind(name: &str) -> &str {
    if name.contains('(') { stage(name) } else { name.trim_end_matches('/').rsplit_once('/').map_or("", |path| path.0) }
}

/// The name of the stage in a label.
pub fn stage(label: &str) -> &str {
    label.split('(').next().unwrap_or(label)
}

fn coordinates(label: &str) -> &str {
    label.strip_prefix(stage(label)).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')')).unwrap_or(label)
}

/// What is equal in failures that only differ in what they are about: the message and hint without the names of the
/// instance, and the end of the log, which follows the first line, without words that have digits in them (addresses, times).
/// The number of an exit code stays.
fn likeness(label: &str, failure: &Failure) -> String {
    let message = failure.to_string();
    let (head, log) = message.split_once('\n').unwrap_or((&message, ""));
    let own: Vec<&str> = coordinates(label).split(", ").filter_map(|at| at.split_once('=').map(|at| at.1)).collect();
    let own: Vec<&str> = own.into_iter().chain([stage(label)]).collect();
    let hint = failure.hint.as_deref().unwrap_or_default();
    format!(
        "{:?}\n{}\n{}\n{}",
        failure.blame,
        without(head, &own),
        without_numbers(&without(log, &own)),
        without(hint, &own)
    )
}

/// A text with these words replaced. What follows `code` is the number of an exit code.
fn without(text: &str, words: &[&str]) -> String {
    let mut before = "";
    replaced(text, |word| {
        let is_code = std::mem::replace(&mut before, word) == "code";
        words.contains(&word) && !is_code
    })
}

/// A text with all words replaced that have a digit in them.
fn without_numbers(text: &str) -> String {
    replaced(text, |word| word.contains(|c: char| c.is_ascii_digit()))
}

fn replaced<'t>(text: &'t str, mut is_replaced: impl FnMut(&'t str) -> bool) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut left = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c: char| !is_word(c)) {
        let word = piece.trim_end_matches(|c: char| !is_word(c));
        left.push_str(if is_replaced(word) { "*" } else { word });
        left.push_str(&piece[word.len()..]);
    }
    left
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    fn shown(failed: &[(String, Failure)]) -> String {
        let failed = failed.iter().map(|(label, failure)| Failed { label, failure, log: None, retained: None });
        strip_str(&failures(failed, 8, Some(Path::new("/m.json")))).to_string()
    }

    #[test]
    fn equal_notes_are_shown_once_and_important_ones_first() {
        let of = |label: &str, note: &str| (label.to_owned(), note.to_owned());
        let all = [of("a", "fetched again"), of("b", "important: no tracts"), of("c", "important: no tracts")];
        assert_eq!(notes(&all), ["b and 1 more: no tracts", "a: fetched again"]);
    }

    #[test]
    fn failures_that_only_differ_in_their_subject_are_one() {
        let of = |sid: u32| {
            let message =
                format!("the command ended with exit code 3; its log ends with\n    s{sid:03} at 0x{sid:x} failed");
            (format!("fit(rater=A1, sid=s{sid:03})"), Failure::stage(message))
        };
        let text = shown(&(1..=400).map(of).collect::<Vec<_>>());
        assert_eq!(
            text,
            "failed fit(rater=A1, sid=s001) and 399 more (rater=A1 sid=s002, rater=A1 sid=s003, rater=A1 sid=s004, ...): \
             the command ended with exit code 3; its log ends with\n    s001 at 0x1 failed\n  each of them: /m.json\n"
        );
    }

    #[test]
    fn failures_of_other_kinds_stay_apart() {
        let of = |code: u32| (format!("fit(n={code})"), Failure::stage(format!("ended with exit code {code}")));
        let text = shown(&[of(1), of(2), of(3)]);
        assert_eq!(text.lines().count(), 3, "{text}");
        let text = shown(&(1..=30).map(of).collect::<Vec<_>>());
        assert!(
            text.ends_with(
                "failed 22 more, with 22 other messages; `pipe status` has all of them\n  each of them: /m.json\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn equal_failures_of_several_stages_name_them() {
        let of = |stage: u32| (format!("s{stage}"), Failure::stage(format!("stage `s{stage}` has no input")));
        assert!(shown(&[of(1), of(2)]).starts_with("failed s1 and 1 more (s2): stage `s1`"));
    }

    #[test]
    fn skipped_ones_are_a_line_each_stage_and_cause() {
        let all = [("b(n=1)", "a(n=1)"), ("b(n=2)", "a(n=2)"), ("c", "a(n=1)"), ("d", "stopped"), ("e", "stopped")];
        let expected = ["b(n=1) and 1 more (n=2): because of `a(n=1)` and others", "c: because of `a(n=1)`"];
        let lines = skipped(all.into_iter());
        assert_eq!(lines[..2], expected);
        assert_eq!(lines[2..], ["d and 1 more (e): the run was stopped"]);
    }
}
