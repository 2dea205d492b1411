//! A plan as a picture: text, DOT, Mermaid or SVG. Axes are folded (one node a stage) unless they are expanded.
//!
//! All four are made from one [`Picture`]; none needs Graphviz, a font or a clock, so a plan always looks the same.

mod dot;
mod file_nodes;
mod graph_view;
mod layered_layout;
mod limits;
mod mermaid;
mod picture;
mod svg;
mod text;

use pipe_contract::Failure;

use crate::plan::Plan;
pub use graph_view::{Format, GraphView, NodeState, RenderedGraph};
use limits::GraphLimits;
use picture::Picture;

/// Draws a plan.
///
/// # Errors
/// The graph is larger than what the format can show; the hint names what can.
pub fn draw(plan: &Plan, view: GraphView<'_>, format: Format) -> Result<RenderedGraph, Failure> {
    let limits = GraphLimits { view, format };
    limits.check_plan(plan)?;
    let picture = Picture::new(plan, view);
    limits.check_picture(&picture)?;
    let text = match format {
        Format::Text => text::write(&picture),
        Format::Dot => dot::write(&picture),
        Format::Mermaid => mermaid::write(&picture),
        Format::Svg => svg::write(&picture),
    };
    let note = limits.check_text(&picture, &text)?;
    Ok(RenderedGraph { text, note })
}
