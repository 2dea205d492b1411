//! The text at the end of a run: first what went wrong, then where the results are, then what it took.

use std::collections::BTreeMap;
use std::fmt::Write;

use pipe_contract::IMPORTANT;
use pipe_engine::report::Results;
use pipe_engine::run::{Counts, Summary};

use crate::printer::{BAD, CARE, DIM, GOOD, HINT, styled};
use crate::quantities;

/// Long lists are cut after this many lines; the manifest has them all.
const LINES: usize = 12;

/// The summary as text, without a newline at the end.
pub fn text(summary: &Summary) -> String {
    let mut text = String::new();
    failures(&mut text, summary);
    listed(
        &mut text,
        "absent",
        summary.absent.iter().map(|(label, cause, recorded)| {
            let known = if *recorded { ", recorded earlier; ask again with --retry-absent" } else { "" };
            format!("{label}: {cause}{known}")
        }),
    );
    listed(&mut text, "skipped", summary.skipped.iter().map(|(label, because)| format!("{label}: {because}")));
    listed(&mut text, "note", note_lines(&summary.notes).into_iter());
    claims(&mut text, summary);
    results(&mut text, summary);
    let style = if summary.exit_code() == 0 { GOOD } else { BAD };
    let stopped = if summary.stopped { "stopped: " } else { "" };
    let _ = writeln!(text, "{stopped}{}", styled(style, &tally(&summary.counts)));
    let _ = write!(
        text,
        "wall {}, CPU {}, peak memory {} (largest process)",
        quantities::duration(summary.wall),
        quantities::duration(summary.cpu),
        quantities::bytes(summary.peak_memory)
    );
    text
}

/// `ran 12, hits 40`: the usual ways always, the others where they happened.
pub fn tally(counts: &Counts) -> String {
    let mut text = format!("ran {}, hits {}", counts.ran, counts.hit);
    for (number, word) in [(counts.absent, "absent"), (counts.failed, "failed"), (counts.skipped, "skipped")] {
        if number > 0 {
            let _ = write!(text, ", {word} {number}");
        }
    }
    text
}

fn failures(text: &mut String, summary: &Summary) {
    for failed in &summary.failed {
        let _ = writeln!(text, "{} {}: {}", styled(BAD, "failed"), failed.label, failed.failure);
        if let Some(hint) = &failed.failure.hint {
            let _ = writeln!(text, "  {} {hint}", styled(HINT, "hint:"));
        }
        if !failed.log.as_os_str().is_empty() {
            let _ = writeln!(text, "  log: {}", failed.log.display());
        }
        if let Some(folder) = &failed.retained {
            let _ = writeln!(text, "  its folder is kept: {}", folder.display());
        }
    }
}

fn listed(text: &mut String, word: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<_> = lines.collect();
    for line in lines.iter().take(LINES) {
        let _ = writeln!(text, "{} {line}", styled(CARE, word));
    }
    if lines.len() > LINES {
        let _ = writeln!(text, "{} {} more, all in the manifest", styled(CARE, word), lines.len() - LINES);
    }
}

/// Equal notes once, with how many stages have them; important ones first.
fn note_lines(notes: &[(String, String)]) -> Vec<String> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (label, note) in notes {
        match groups.iter_mut().find(|(known, _)| known == note) {
            Some((_, labels)) => labels.push(label),
            None => groups.push((note, vec![label])),
        }
    }
    groups.sort_by_key(|(note, _)| !note.starts_with(IMPORTANT));
    let line = |(note, labels): &(&str, Vec<&str>)| {
        let note = note.strip_prefix(IMPORTANT).unwrap_or(note);
        match labels[..] {
            [label] => format!("{label}: {note}"),
            [first, ..] => format!("{first} and {} more: {note}", labels.len() - 1),
            [] => note.to_owned(),
        }
    };
    groups.iter().map(line).collect()
}

fn claims(text: &mut String, summary: &Summary) {
    for claim in &summary.claims {
        let (style, word) = if claim.holds { (GOOD, "claim holds") } else { (BAD, "claim fails") };
        let found = match &claim.found {
            Ok(value) => format!("found {value}"),
            Err(why) => why.clone(),
        };
        let _ = writeln!(
            text,
            "{}: {} ({found}, claimed {} within {})",
            styled(style, word),
            claim.text,
            claim.equals,
            claim.within
        );
    }
}

fn results(text: &mut String, summary: &Summary) {
    let results = &summary.results;
    listed(
        text,
        "edited",
        results.edited.iter().map(|path| {
            format!("{path}: changed since it was published, left alone; delete it to get the result back")
        }),
    );
    listed(text, "stale", results.stale.iter().map(|path| format!("{path}: no result claims it any more")));
    listed(text, "unpublished", results.missing.iter().map(|(path, why)| format!("{path}: {why}")));
    for failure in &results.failures {
        let _ = writeln!(text, "{} {failure}", styled(BAD, "failed"));
        if let Some(hint) = &failure.hint {
            let _ = writeln!(text, "  {} {hint}", styled(HINT, "hint:"));
        }
    }
    let there = results.written.len() + results.unchanged.len();
    if there == 0 {
        return;
    }
    let _ = writeln!(text, "{} in {}", quantities::count(there, "result"), results.folder.display());
    for (place, files) in by_place(results) {
        let new = files.iter().any(|file| results.written.contains(*file));
        let inside =
            if place.ends_with('/') { format!(" ({})", quantities::count(files.len(), "file")) } else { String::new() };
        let _ = writeln!(text, "  {place}{inside}{}", if new { String::new() } else { styled(DIM, " (unchanged)") });
    }
}

/// Published files by what is listed: a file at the top by its own name, everything in a folder as that folder.
fn by_place(results: &Results) -> BTreeMap<&str, Vec<&String>> {
    let mut places = BTreeMap::<&str, Vec<&String>>::new();
    for path in results.written.iter().chain(&results.unchanged) {
        let place = path.rfind('/').map_or(path.as_str(), |slash| &path[..=slash]);
        places.entry(place).or_default().push(path);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_notes_are_shown_once_and_important_ones_first() {
        let of = |label: &str, note: &str| (label.to_owned(), note.to_owned());
        let all = [of("a", "fetched again"), of("b", "important: no tracts"), of("c", "important: no tracts")];
        assert_eq!(note_lines(&all), ["b and 1 more: no tracts", "a: fetched again"]);
    }
}
