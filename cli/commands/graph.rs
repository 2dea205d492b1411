//! `pipe graph`: the pipeline as text, DOT, Mermaid or SVG.

use pipe_engine::graph::{self, Format, GraphView, NodeState};
use pipe_engine::run::{self, Standing};

use super::{CommandError, planned, registry, run_options, selection};
use crate::args::{self, GraphFormat};
use crate::printer;

/// Draws the pipeline.
pub fn graph(args: &args::GraphArgs) -> Result<u8, CommandError> {
    let registry = registry();
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let wanted = run::wanted(&plan, &selection(&args.selection))?;
    let states = if args.no_state {
        None
    } else {
        let status = run::status(&plan, &run_options(&args.pipeline, &args.place, registry)?)?;
        Some(status.standings.iter().map(state).collect::<Vec<_>>())
    };
    let view = GraphView { expand: args.expand, states: states.as_deref(), wanted: wanted.as_deref() };
    let format = match args.format {
        GraphFormat::Text => Format::Text,
        GraphFormat::Dot => Format::Dot,
        GraphFormat::Mermaid => Format::Mermaid,
        GraphFormat::Svg => Format::Svg,
    };
    let drawing = graph::draw(&plan, view, format)?;
    printer::data(&drawing.text);
    if let Some(note) = &drawing.note {
        printer::note(&format!("note: {note}"));
    }
    Ok(0)
}

fn state(standing: &Standing) -> NodeState {
    match standing {
        Standing::Hit => NodeState::Hit,
        Standing::Absent { .. } => NodeState::Absent,
        Standing::Fails { .. } => NodeState::Failed,
        Standing::Skipped { .. } => NodeState::Skipped,
        Standing::Runs { .. } | Standing::Depends { .. } | Standing::LeftOut => NodeState::Waiting,
    }
}
