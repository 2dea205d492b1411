//! The text at the end of a run: first what went wrong, then where the results are, then what it took.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use fs_err as fs;
use pipe_engine::report::{ClaimReport, LIST, Results};
use pipe_engine::run::Summary;

use crate::absences::{self, Absent, Most};
use crate::grouped::{self, Failed};
use crate::printer::{BAD, DIM, GOOD, styled};
use crate::quantities::{self, tally};

/// Long lists are cut after this many lines; the manifest has them all.
const LINES: usize = 12;
/// So many kinds of failure are shown: of the files that `variance.yaml` asks for by hand, nine, none is left out.
const GROUPS: usize = 10;
/// So much is shown of what is absent.
const ABSENT: Most = Most { groups: 8, cells: 3 };
/// So many new or changed results are listed; the others are in the folder above them.
const PLACES: usize = 24;

/// The summary as text, without a newline at the end. `fetching` are the stages that another run may ask again for what is absent.
pub fn text(summary: &Summary, fetching: &BTreeSet<String>) -> String {
    let failed = summary.failed.iter().map(|failed| Failed {
        label: &failed.label,
        failure: &failed.failure,
        log: Some(failed.log.as_path()).filter(|log| fs::metadata(log).is_ok_and(|log| log.len() > 0)),
        retained: failed.retained.as_deref(),
    });
    let mut text = grouped::failures(failed, GROUPS, Some(&summary.manifest));
    let absent = summary.absent.iter().filter_map(|(label, outcome)| Absent::of(label, outcome));
    text.push_str(&absences::text(absent, ABSENT, fetching));
    let skipped = summary.skipped.iter().map(|(label, because)| (label.as_str(), because.as_str()));
    listed(&mut text, "skipped", &grouped::skipped(skipped), IN_MANIFEST);
    listed(&mut text, "note", &grouped::notes(&summary.notes), IN_MANIFEST);
    text.push_str(&claims(summary.claims.iter()));
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
    not_of_this_run(&mut text, &summary.results);
    text.truncate(text.trim_end().len());
    text
}

/// Published files of an earlier version, a line each, without a newline at the end.
pub fn earlier(files: &[(String, Option<String>)]) -> String {
    let mut text = String::new();
    let made = files.iter().map(|(path, run)| {
        let run = run.as_ref().map_or("an earlier run".to_owned(), |run| format!("run {run}"));
        (path.as_str(), format!("made by {run}"))
    });
    listed(&mut text, "earlier version", &grouped::equal(made), "");
    text.trim_end().to_owned()
}

/// Files under `results/` that are not what this run would have made: said last, where it is read.
fn not_of_this_run(text: &mut String, results: &Results) {
    text.push('\n');
    text.push_str(&earlier(&results.earlier));
    text.push_str(if results.earlier.is_empty() { "" } else { "\n" });
    let mut left_alone = |word: &str, paths: &[String], why: &str| {
        let lines = grouped::equal(
            paths.iter().map(|path| (path.as_str(), format!("{why}, left alone; --overwrite replaces it"))),
        );
        listed(text, word, &lines, "");
    };
    left_alone("in the way", &results.foreign, "it was not written by pipe");
    left_alone("edited", &results.edited, "changed since it was published");
}

/// Where the rest of a list is that is cut short.
const IN_MANIFEST: &str = ", all in the manifest";

fn listed(text: &mut String, word: &str, lines: &[String], all: &str) {
    grouped::list(text, word, lines, LINES, all);
}

/// What was claimed and what was found, a line for each claim.
pub fn claims<'a>(claims: impl Iterator<Item = &'a ClaimReport>) -> String {
    let line = |claim: &ClaimReport| {
        let (style, word) = if claim.holds { (GOOD, "claim holds") } else { (BAD, "claim fails") };
        let found = match &claim.found {
            Ok(value) => format!("found {value}"),
            Err(why) => why.clone(),
        };
        let ClaimReport { text, equals, within, .. } = claim;
        format!("{}: {text} ({found}, claimed {equals} within {within})\n", styled(style, word))
    };
    claims.map(line).collect()
}

fn results(text: &mut String, summary: &Summary) {
    let results = &summary.results;
    if let Some(why) = &results.damaged_list {
        let list = from_here(&results.folder).join(LIST);
        let what =
            format!("{}: it was damaged ({why}), and was made anew from the `.provenance.json` files", list.display());
        let then = "results without one are left alone: delete or move them, or use --overwrite, to publish them again";
        listed(text, "note", &[format!("{what}; {then}")], "");
    }
    let stale = results.stale.iter().map(|path| (path.as_str(), "no result claims it any more".to_owned()));
    listed(text, "stale", &grouped::equal(stale), "");
    let missing = results.missing.iter().map(|(path, why)| (path.as_str(), why.clone()));
    listed(text, "unpublished", &grouped::equal(missing), "");
    for failure in &results.failures {
        text.push_str(&grouped::failure("", failure));
    }
    let there = results.written.len() + results.unchanged.len();
    if there == 0 {
        return;
    }
    let unchanged = match results.unchanged.len() {
        0 => String::new(),
        _ if results.written.is_empty() => ", unchanged".to_owned(),
        number => format!(", {number} unchanged"),
    };
    let folder = from_here(&results.folder);
    let _ = writeln!(text, "{}{unchanged} in {}", quantities::count(there, "result"), folder.display());
    let places = by_place(&results.written);
    for place in places.iter().take(PLACES) {
        let _ = writeln!(text, "  {place}");
    }
    if places.len() > PLACES {
        let _ = writeln!(text, "  and {} more", places.len() - PLACES);
    }
}

/// A path as short as it can be typed here.
fn from_here(path: &Path) -> &Path {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}

/// Published files in few lines: a folder by its name and how many are in it, a file in several formats once.
fn by_place(written: &[String]) -> Vec<String> {
    let mut folders = BTreeMap::<&str, usize>::new();
    let mut files = BTreeMap::<&str, Vec<&str>>::new();
    for path in written {
        match (path.rfind('/'), path.rsplit_once('.')) {
            (Some(slash), _) => *folders.entry(&path[..=slash]).or_default() += 1,
            (None, Some((stem, format))) => files.entry(stem).or_default().push(format),
            (None, None) => drop(files.entry(path).or_default()),
        }
    }
    let file = |(stem, formats): (&&str, &Vec<&str>)| match formats[..] {
        [] => (*stem).to_owned(),
        [format] => format!("{stem}.{format}"),
        _ => format!("{stem}.{{{}}}", formats.join(",")),
    };
    let folder = |(path, files): (&&str, &usize)| {
        format!("{path}{}", styled(DIM, &format!(" ({})", quantities::count(*files, "file"))))
    };
    files.iter().map(file).chain(folders.iter().map(folder)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_listed_by_folder_and_once_for_all_formats() {
        let written =
            ["map.pdf", "map.svg", "table.csv", "README", "models/a/w.bin", "models/a/x.bin"].map(String::from);
        let lines = by_place(&written).into_iter().map(|line| anstream::adapter::strip_str(&line).to_string());
        let expected = ["README", "map.{pdf,svg}", "table.csv", "models/a/ (2 files)"];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }
}
