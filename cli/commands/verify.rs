//! `pipe verify`.

use std::sync::Arc;

use pipe_engine::run::{self, Alteration, Comparison, Departure, FirstDifference, Stop, Verdict, Verification};

use super::{CommandError, planned, registry, run_options};
use crate::args;
use crate::final_report;
use crate::printer::{self, BAD, CARE, GOOD, styled};
use crate::progress::{Progress, Style};
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
    let mut before = |found: &Verification| published(found).iter().for_each(|line| printer::note(line));
    let new = || Progress::new(&plan, options.capacities.amounts(), Style::default());
    let mut events = |event| progress.get_or_insert_with(new).take(&event);
    let found = run::verify(&plan, &options, how, &mut before, &mut events, &stop)?;
    drop(progress);
    if let Some(rerun) = &found.rerun {
        rerun.comparisons.iter().for_each(|comparison| printer::note(&line(comparison)));
        printer::prose(&final_report::text(&rerun.run));
        if let Some(first) = &rerun.first {
            printer::note(&departure(first));
        }
    }
    if !found.altered.is_empty() {
        printer::note(&format!(
            "{} published results in {} are not as the lockfile has them (listed at the top)",
            found.altered.len(),
            found.published.0.display()
        ));
    }
    Ok(found.exit_code())
}

/// What is published, before anything runs.
fn published(found: &Verification) -> Vec<String> {
    let (folder, exists) = &found.published;
    let folder = folder.display();
    if !exists {
        return vec![format!("{} no results are published in {folder}", styled(CARE, "note"))];
    }
    let line = |(path, how): &(String, Alteration)| {
        let (word, more) = match how {
            Alteration::Edited => ("   edited", "changed since it was published; `pipe run --overwrite` puts it back"),
            Alteration::Missing => ("  missing", "it was published and is gone; `pipe run` puts it back"),
        };
        format!("{} {path}: {more}", styled(BAD, word))
    };
    match found.altered.is_empty() {
        true => vec![format!("published results in {folder} are as the lockfile has them")],
        false => found.altered.iter().map(line).collect(),
    }
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

fn line(comparison: &Comparison) -> String {
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
