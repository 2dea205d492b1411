//! `pipe verify`.

use std::collections::BTreeSet;
use std::sync::Arc;

use pipe_engine::run::{self, Alteration, Departure, FirstDifference, PublishedCheck, ResultComparison, Stop, Verdict};

use super::{CommandError, planned, registry, run_options};
use crate::args;
use crate::final_report;
use crate::printer::{self, BAD, CARE, GOOD, styled};
use crate::progress::{ProgressDisplay, Style};
use crate::signals;

/// Compares published results with the lockfile, then reruns in a scratch cache and compares again.
pub fn verify(args: &args::VerifyArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = Arc::new(planned(&args.pipeline, &args.place, &registry)?);
    let options = run_options(&args.pipeline, &args.place, registry)?;
    let stop = Stop::new();
    signals::stop_on_signals(&stop)?;
    let how = run::VerifyOptions { scratch: args.scratch.as_deref(), no_rerun: args.no_rerun };
    let mut progress = None;
    let mut before = |found: &PublishedCheck| published(found).iter().for_each(|line| printer::note(line));
    let new = || ProgressDisplay::new(&plan, &options.exec.registry, options.capacities.amounts(), Style::default());
    let mut events = |event| progress.get_or_insert_with(new).take(&event);
    let found = run::verify(&plan, &options, how, &mut before, &mut events, &stop)?;
    drop(progress);
    if let Some(rerun) = &found.rerun {
        rerun.comparisons.iter().for_each(|comparison| printer::note(&line(comparison)));
        // A rerun from nothing has asked for everything.
        printer::prose(&final_report::text(&rerun.run, &BTreeSet::new()));
        if let Some(first) = &rerun.first {
            printer::note(&departure(first));
        }
        if let Some(folder) = &rerun.retained {
            let what = "the scratch cache with the failed stage is retained; delete it when you have looked";
            printer::note(&format!("{what}: {}", folder.display()));
        }
    }
    let altered = &found.published.altered;
    if !altered.is_empty() {
        let what = match altered.len() {
            1 => "1 published result is not as the lockfile has it".to_owned(),
            number => format!("{number} published results are not as the lockfile has them"),
        };
        printer::note(&format!("{what} (listed at the top), in {}", found.published.folder.display()));
    }
    Ok(found.exit_code())
}

/// What is published, before anything runs.
fn published(found: &PublishedCheck) -> Vec<String> {
    let folder = found.folder.display();
    if !found.was_published {
        return vec![format!("{} no results were published in {folder}", styled(CARE, "note"))];
    }
    if found.altered.is_empty() {
        return vec![format!("published results in {folder} are as the lockfile has them")];
    }
    if found.is_all_missing() && found.locked > 1 {
        let all = format!("all {} results in {folder}: they were published and are gone", found.locked);
        return vec![format!("{} {all}; `pipe run` puts them back", styled(BAD, "  missing"))];
    }
    found.altered.iter().map(alteration).collect()
}

fn alteration((path, how): &(String, Alteration)) -> String {
    let (word, what) = match how {
        Alteration::Edited => {
            ("   edited", "changed since it was published; `pipe run --overwrite` puts it back".to_owned())
        }
        Alteration::OtherVersion { run } => {
            let run = run.as_ref().map_or("an earlier run".to_owned(), |run| format!("run {run}"));
            (
                "  another",
                format!("published by {run}, and the lockfile has another version; `pipe run` brings both up to date"),
            )
        }
        Alteration::Foreign => {
            ("  foreign", "it was not written by pipe; `pipe run --overwrite` replaces it".to_owned())
        }
        Alteration::Missing => ("  missing", "it was published and is gone; `pipe run` puts it back".to_owned()),
    };
    format!("{} {path}: {what}", styled(BAD, word))
}

fn departure(first: &FirstDifference) -> String {
    let stage = match &first.cell {
        Some(cell) => format!("stage `{}` at `{cell}`", first.stage),
        None => format!("stage `{}`", first.stage),
    };
    let what = match first.what {
        Departure::Edited => {
            "its key differs, so the pipeline was edited: the stage itself, a parameter, an input file or a tool"
        }
        Departure::NotRepeated => "its key is the same, but it made other bytes: it does not repeat itself",
        Departure::Added => "it is not in the lockfile, so the pipeline was edited",
    };
    format!("{} {stage}: {what}", styled(BAD, "first difference:"))
}

fn line(comparison: &ResultComparison) -> String {
    let (style, word, more) = match &comparison.verdict {
        Verdict::Same => (GOOD, "     same", String::new()),
        Verdict::Within { largest, tolerance } => {
            (GOOD, "   within", format!(": differs by {largest:.2e} at most, {tolerance:.2e} is allowed"))
        }
        Verdict::Different(why) => (BAD, "different", format!(": {why}")),
        Verdict::Missing => (BAD, " not made", ": in the lockfile, but the rerun did not make it".to_owned()),
        Verdict::New => (BAD, "      new", ": made, but not in the lockfile; run the pipeline to update it".to_owned()),
    };
    format!("{} {}{more}", styled(style, word), comparison.path)
}
