//! What is to be shown of a plan: which instances, folded or not, in which format, with which states.

/// The state of an instance; gives the colour of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
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

impl NodeState {
    /// The word in legends and tallies.
    pub fn word(self) -> &'static str {
        match self {
            NodeState::Hit => "hit",
            NodeState::Ran => "ran",
            NodeState::Absent => "absent",
            NodeState::Waiting => "waiting",
            NodeState::Running => "running",
            NodeState::Skipped => "skipped",
            NodeState::Failed => "failed",
        }
    }

    /// Fill colour: light, so that black text stays readable, and apart in lightness too.
    pub(super) fn colour(self) -> &'static str {
        match self {
            NodeState::Hit => "#d7f0d9",
            NodeState::Ran => "#a6dba0",
            NodeState::Absent => "#eeeeee",
            NodeState::Waiting => "#ffffff",
            NodeState::Running => "#9ecae1",
            NodeState::Skipped => "#fddbc7",
            NodeState::Failed => "#ef8a62",
        }
    }
}

/// What to draw.
#[derive(Clone, Copy, Debug, Default)]
pub struct GraphView<'a> {
    /// Expand the axes: one node an instance.
    pub expand: bool,
    /// A state an instance, by id.
    pub states: Option<&'a [NodeState]>,
    /// The instances to draw, by id; `None` is all. What they read from others is left out.
    pub wanted: Option<&'a [bool]>,
}

/// The language of a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Stages in topological order, each with what it reads.
    Text,
    /// For Graphviz.
    Dot,
    /// For Markdown with Mermaid.
    Mermaid,
    /// A picture, readable without any font but the viewer's own.
    Svg,
}

/// A shown plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedGraph {
    /// In the language of the format.
    pub text: String,
    /// Why the usual programs may not show it, and what to use instead.
    pub note: Option<String>,
}
