//! A plan as a picture: text, DOT, Mermaid or SVG. Axes are folded (one node a stage) unless they are expanded.
//!
//! All four are made from one [`Picture`]; none needs Graphviz, a font or a clock, so a plan always looks the same.

mod dot;
mod files;
mod layout;
mod limits;
mod mermaid;
mod picture;
mod svg;
mod text;
mod view;

use pipe_contract::Failure;

use crate::plan::Plan;
use limits::Limits;
use picture::Picture;
pub use view::{Drawing, Format, State, View};

/// Draws a plan.
///
/// # Errors
/// The graph is larger than what the format can show; the hint names what can.
pub fn draw(plan: &Plan, view: View<'_>, format: Format) -> Result<Drawing, Failure> {
    let limits = Limits { view, format };
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
    Ok(Drawing { text, note })
}
