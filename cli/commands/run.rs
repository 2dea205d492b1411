//! `pipe run`.

use std::sync::Arc;

use pipe_engine::run::{self, Stop};

use super::{CommandError, planned, registry, run_options, selection};
use crate::absences;
use crate::args;
use crate::final_report;
use crate::printer;
use crate::progress::{ProgressDisplay, Style};
use crate::signals;

/// Runs a pipeline; the exit code is the summary's.
pub fn run(args: &args::RunArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = Arc::new(planned(&args.pipeline, &args.place, &registry)?);
    let mut options = run_options(&args.pipeline, &args.place, registry)?;
    options.selection = selection(&args.selection);
    options.force.clone_from(&args.force);
    options.fail_fast = args.fail_fast;
    options.overwrite = args.overwrite;
    options.retry_absent = args.retry_absent;
    options.shuffle = args.shuffle_ready;

    let stop = Stop::new();
    signals::stop_on_signals(&stop)?;
    let style = Style { json: args.json, plain: args.plain, verbose: args.verbose };
    let progress = ProgressDisplay::new(&plan, &options.exec.registry, options.capacities.amounts(), style);
    let summary = run::run(&plan, &options, &mut |event| progress.take(&event), &stop)?;
    drop(progress);
    if args.json {
        printer::data(&format!("{}\n", summary_json(&summary)));
    } else {
        printer::prose(&final_report::text(&summary, &absences::fetching(&plan, &options.exec.registry)));
    }
    // The process is about to end: to free ten thousand instances one by one would only take time.
    std::mem::forget(plan);
    Ok(summary.exit_code())
}

fn summary_json(summary: &run::Summary) -> String {
    serde_json::json!({
        "event": "summary",
        "run": summary.run,
        "counts": summary.counts,
        "wall_seconds": summary.wall.as_secs_f64(),
        "cpu_seconds": summary.cpu.as_secs_f64(),
        "peak_memory_bytes": summary.peak_memory,
        "manifest": summary.manifest,
        "results": summary.results.folder,
        "exit_code": summary.exit_code(),
    })
    .to_string()
}
