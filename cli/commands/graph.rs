//! `pipe graph`: the pipeline as text, DOT, Mermaid or SVG.

use pipe_engine::graph;
use pipe_engine::run;

use super::{Trouble, planned, registry, run_options};
use crate::args::{self, GraphFormat};
use crate::printer;

/// Draws the pipeline.
pub fn graph(args: &args::Graph) -> Result<u8, Trouble> {
    let registry = registry();
    let plan = planned(&args.pipeline, &args.place, &registry)?;
    let options = run_options(&args.pipeline, &args.place, registry)?;
    let _ = (run::status(&plan, &options)?, args.no_state);
    let text = match args.format {
        GraphFormat::Text => graph::text(&plan, args.expand),
        GraphFormat::Dot => graph::dot(&plan, args.expand),
        GraphFormat::Mermaid => graph::mermaid(&plan, args.expand),
        GraphFormat::Svg => graph::svg(&plan, args.expand),
    };
    printer::data(&text);
    Ok(0)
}
