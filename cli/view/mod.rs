//! Views of a running pipeline: functions from events to lines. They know no terminal and no clock of their own.
//!
//! [`board::Board`] keeps what is known of the run; [`plain`] gives one line for an event worth telling,
//! [`live`] draws bars over the board, `--json` prints the events themselves.

pub mod board;
pub mod live;
pub mod plain;
