//! Views of a running pipeline: functions from events to lines. They use neither a terminal nor a clock.
//!
//! [`run_state::RunState`] holds the state of the run; [`plain`] gives lines for a log, [`live`] a block to be replaced again
//! and again, `--json` prints the events themselves. [`fit`] makes text fit into columns.

pub mod fit;
pub mod live;
mod milestones;
pub mod plain;
pub mod run_state;
