//! `pipe graph`: the pipeline as text, DOT, Mermaid or SVG.

use pipe_engine::graph::{self, State, View};
use pipe_engine::run::{self, Standing};

use super::{CommandError, planned, registry, run_options};
use crate::args::{self, GraphFormat};
use crate::printer;

/// Draws the pipeline.
pub fn graph(args: &args::GraphArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let states = if args.no_state {
        None
    } else {
        let status = run::status(&plan, &run_options(&args.pipeline, &args.place, registry)?)?;
        Some(status.standings.iter().map(state).collect::<Vec<_>>())
    };
    let view = View { expand: args.expand, states: states.as_deref() };
    printer::data(&match args.format {
        GraphFormat::Text => graph::text(&plan, view),
        GraphFormat::Dot => graph::dot(&plan, view),
        GraphFormat::Mermaid => graph::mermaid(&plan, view),
        GraphFormat::Svg => graph::svg(&plan, view),
    });
    Ok(0)
}

fn state(standing: &Standing) -> State {
    match standing {
        Standing::Hit => State::Hit,
        Standing::Absent { .. } => State::Absent,
        Standing::Fails { .. } => State::Failed,
        Standing::Skipped { .. } => State::Skipped,
        Standing::Runs { .. } | Standing::Depends { .. } | Standing::LeftOut => State::Waiting,
    }
}
