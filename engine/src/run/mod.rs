//! One execution of a plan: looks up every instance, lets the scheduler and the executor do what is missing,
//! stores what comes out, publishes results, checks claims, and leaves a manifest.
//!
//! What people see is made by the caller from [`Event`]s while it goes on and from the [`Summary`] at the end.

mod options;
mod select;
mod status;
mod stop;
mod summary;
mod verify;

pub use options::{Places, RunOptions, Selection};
pub use select::named;
pub use status::{Standing, Status};
pub use stop::Stop;
pub use summary::{Counts, Mishap, Summary};
pub use verify::{Comparison, Verdict, Verification};

use std::path::{Path, PathBuf};

use pipe_contract::Failure;

use crate::event::Event;
use crate::ids::InstanceId;
use crate::plan::Plan;

/// Runs a plan: whatever is not cached, in parallel, then publishes its results and checks its claims.
///
/// `events` is called on the calling thread, in the order things happen. `stop` may be triggered from any thread.
///
/// # Errors
/// Only what keeps the run from being carried out at all: a restricted source, an unknown stage in the selection,
/// an unusable cache or state folder. What goes wrong in a stage is in the [`Summary`].
pub fn run(plan: &Plan, options: &RunOptions, events: &mut dyn FnMut(Event), stop: &Stop) -> Result<Summary, Failure> {
    unimplemented!()
}

/// What a run would do and why, without doing anything.
///
/// # Errors
/// As for [`run`], except that restricted sources are no obstacle.
pub fn status(plan: &Plan, options: &RunOptions) -> Result<Status, Failure> {
    unimplemented!()
}

/// Reruns the plan in a scratch cache (`scratch`, or a temporary one that is dropped) and compares every result
/// with the lockfile. Publishes nothing and writes no lockfile.
///
/// # Errors
/// As for [`run`]; also if there is no lockfile.
pub fn verify(
    plan: &Plan,
    options: &RunOptions,
    scratch: Option<&Path>,
    events: &mut dyn FnMut(Event),
    stop: &Stop,
) -> Result<Verification, Failure> {
    unimplemented!()
}

/// Where an artifact is: an output port of an instance, or `entry` inside a folder. The path is inside the store:
/// for reading only.
///
/// # Errors
/// The instance has no such port, or is not cached.
pub fn path_of(
    plan: &Plan,
    options: &RunOptions,
    id: InstanceId,
    port: &str,
    entry: Option<&str>,
) -> Result<PathBuf, Failure> {
    unimplemented!()
}

/// The kept log of the last work of an instance.
///
/// # Errors
/// It never worked on this machine.
pub fn log_of(plan: &Plan, options: &RunOptions, id: InstanceId) -> Result<PathBuf, Failure> {
    unimplemented!()
}

/// The manifest (JSON) of the last run of this pipeline and profile from this project, if there is one.
///
/// # Errors
/// The state folder cannot be read.
pub fn last_manifest(plan: &Plan, options: &RunOptions) -> Result<Option<PathBuf>, Failure> {
    unimplemented!()
}
