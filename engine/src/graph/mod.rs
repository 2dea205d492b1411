//! A plan as a picture: text, DOT, Mermaid or SVG. Axes are folded (one node a stage) unless they are expanded.
//!
//! All four are made from one [`Picture`]; none needs Graphviz, a font or a clock, so a plan always looks the same.

mod dot;
mod layout;
mod mermaid;
mod picture;
mod svg;
mod text;

use crate::plan::Plan;
use picture::Picture;

/// The state of an instance; gives the colour of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its outputs were there.
    Hit,
    /// Its work is done.
    Ran,
    /// A missing cell.
    Absent,
    /// Not yet started.
    Waiting,
    /// Running now.
    Running,
    /// Something it needs failed.
    Skipped,
    /// Its work failed.
    Failed,
}

impl State {
    /// The word in legends and tallies.
    pub fn word(self) -> &'static str {
        match self {
            State::Hit => "hit",
            State::Ran => "ran",
            State::Absent => "absent",
            State::Waiting => "waiting",
            State::Running => "running",
            State::Skipped => "skipped",
            State::Failed => "failed",
        }
    }

    /// Fill colour: light, so that black text stays readable, and apart in lightness too.
    fn colour(self) -> &'static str {
        match self {
            State::Hit => "#d7f0d9",
            State::Ran => "#a6dba0",
            State::Absent => "#eeeeee",
            State::Waiting => "#ffffff",
            State::Running => "#9ecae1",
            State::Skipped => "#fddbc7",
            State::Failed => "#ef8a62",
        }
    }
}

/// What to draw. `false` and `true` mean folded and expanded axes without states.
#[derive(Clone, Copy, Debug, Default)]
pub struct View<'a> {
    /// Expand the axes: one node an instance.
    pub expand: bool,
    /// A state an instance, by id.
    pub states: Option<&'a [State]>,
}

impl From<bool> for View<'_> {
    fn from(expand: bool) -> Self {
        Self { expand, states: None }
    }
}

/// Stages in topological order, each with what it reads.
pub fn text<'a>(plan: &Plan, view: impl Into<View<'a>>) -> String {
    text::write(plan, &Picture::new(plan, view.into()))
}

/// For Graphviz.
pub fn dot<'a>(plan: &Plan, view: impl Into<View<'a>>) -> String {
    dot::write(&Picture::new(plan, view.into()))
}

/// For Markdown with Mermaid.
pub fn mermaid<'a>(plan: &Plan, view: impl Into<View<'a>>) -> String {
    mermaid::write(&Picture::new(plan, view.into()))
}

/// A picture, readable without any font but the viewer's own.
pub fn svg<'a>(plan: &Plan, view: impl Into<View<'a>>) -> String {
    svg::write(&Picture::new(plan, view.into()))
}
