//! Views of a running pipeline: functions from events to lines. They know no terminal and no clock of their own.
//!
//! [`run_state::RunState`] holds the state of the run; [`plain`] gives one line for an event worth showing,
//! [`live`] draws bars from the state, `--json` prints the events themselves.

pub mod live;
pub mod plain;
pub mod run_state;
