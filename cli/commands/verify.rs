//! `pipe verify`.

use pipe_engine::run::{self, Comparison, Stop, Verdict};

use super::run::View;
use super::{CommandError, planned, registry, run_options};
use crate::args;
use crate::final_report;
use crate::printer::{self, BAD, GOOD, styled};
use crate::signals;

/// Reruns in a scratch cache and compares with the lockfile.
pub fn verify(args: &args::VerifyArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let options = run_options(&args.pipeline, &args.place, registry)?;
    let stop = Stop::new();
    signals::stop_on_signals(&stop)?;
    let mut view = View::choose(false, false);
    let found = run::verify(&plan, &options, args.scratch.as_deref(), &mut |event| view.take(&event), &stop)?;
    view.close();
    for comparison in &found.comparisons {
        printer::note(&line(comparison));
    }
    printer::note(&final_report::text(&found.run));
    Ok(found.exit_code())
}

fn line(comparison: &Comparison) -> String {
    let (style, word, more) = match &comparison.verdict {
        Verdict::Same => (GOOD, "     same", String::new()),
        Verdict::Within { largest, tolerance } => {
            (GOOD, "   within", format!(": differs by {largest:.2e} at most, {tolerance:.2e} is allowed"))
        }
        Verdict::Different(why) => (BAD, "different", format!(": {why}")),
        Verdict::Missing => (BAD, "  missing", ": in the lockfile, but not made".to_owned()),
        Verdict::New => (BAD, "      new", ": made, but not in the lockfile; run the pipeline to update it".to_owned()),
    };
    format!("{} {}{more}", styled(style, word), comparison.path)
}
