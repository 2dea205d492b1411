//! The contract between the engine and the stages: what a stage kind declares, what a task carries,
//! how a stage reports, and the messages of a worker process.
//!
//! Engine and stages share nothing else. The engine reads from it what a kind takes, gives
//! and promises; a stage gets input paths and output paths and has no access to caches, schedulers or
//! terminals. Small enough to be read in one sitting; it changes rarely, because a change rebuilds everything.
//!
//! What an implementer promises:
//! - it writes only at the paths in [`Task::outputs`] (and in [`Task::checkpoint`] if it has one);
//! - it reads only [`Task::inputs`], and uses the network only if its [`Kind`] declares it;
//! - the same task gives the same bytes, or differs within the tolerance its kind states ([`Repro`]);
//! - bad input ends in a [`Failure`], never in a panic and never in half an output that looks whole.

mod artifact;
mod column;
mod context;
mod coordinates;
mod failure;
mod kind;
mod param;
pub mod parameters;
mod probe;
mod registry;
mod task;
mod value;
pub mod worker;

pub use artifact::{ArtifactType, Compare, Comparison, Explain, FileFormat, Form, Preview, ReadColumns};
pub use column::{Column, ColumnMeaning, Described, InputColumns, MeaningOf};
pub use context::{Context, Metric, Progress, Silent};
pub use coordinates::Coordinates;
pub use failure::{Blame, Failure, Unwritable, io_reason};
pub use kind::{Arity, Input, Kind, Objective, Output, OutputSize, Repro, Runs};
pub use param::{Param, Type};
pub use parameters::{Bounded, Parameter, Parameters, read_parameter};
pub use probe::Probe;
pub use registry::{Implementation, Registry, StageKind};
pub use task::{Cell, Device, Ended, Given, IMPORTANT, Presence, RanOn, Task};
pub use value::Value;

/// The chapter of the book on writing a kind; its code is compiled and run by the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/book/your-kind.md")]
struct ChapterOfTheBook;
