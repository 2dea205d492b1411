//! `pipe run`.

use std::time::Instant;

use pipe_engine::event::Event;
use pipe_engine::run::{self, Stop};

use super::{CommandError, planned, registry, run_options, selection};
use crate::args;
use crate::final_report;
use crate::printer;
use crate::signals;
use crate::view::live::Live;
use crate::view::plain::Plain;

/// Runs a pipeline; the exit code is the summary's.
pub fn run(args: &args::RunArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let mut options = run_options(&args.pipeline, &args.place, registry)?;
    options.selection = selection(&args.selection);
    options.force.clone_from(&args.force);
    options.fail_fast = args.fail_fast;
    options.overwrite = args.overwrite;
    options.retry_absent = args.retry_absent;
    options.shuffle = args.shuffle_ready;

    let stop = Stop::new();
    signals::stop_on_signals(&stop)?;
    let mut view = View::choose(args.json, args.plain);
    let summary = run::run(&plan, &options, &mut |event| view.take(&event), &stop)?;
    view.close();
    if args.json {
        printer::data(&format!("{}\n", summary_json(&summary)));
    } else {
        printer::note(&final_report::text(&summary));
    }
    Ok(summary.exit_code())
}

/// How events are shown.
pub enum View {
    /// Bars.
    Live(Box<Live>),
    /// Lines.
    Plain(Plain),
    /// The events themselves, on stdout.
    Json,
}

impl View {
    /// Bars only on a terminal whose lines can be redrawn.
    pub fn choose(json: bool, plain: bool) -> Self {
        match (json, plain || !printer::can_redraw()) {
            (true, _) => View::Json,
            (false, true) => View::Plain(Plain::default()),
            (false, false) => View::Live(Box::new(Live::new())),
        }
    }

    /// Shows an event.
    pub fn take(&mut self, event: &Event) {
        match self {
            View::Live(live) => live.take(event),
            View::Plain(plain) => {
                if let Some(line) = plain.line(event, Instant::now()) {
                    printer::note(&line);
                }
            }
            View::Json => match serde_json::to_string(event) {
                Ok(line) => printer::data(&format!("{line}\n")),
                Err(error) => printer::note(&format!("an event could not be written as JSON: {error}")),
            },
        }
    }

    /// Clears the bars before the report.
    pub fn close(self) {
        if let View::Live(live) = self {
            live.close();
        }
    }
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
