//! What a run came to.

use std::path::PathBuf;
use std::time::Duration;

use pipe_contract::Failure;
use serde::Serialize;

use crate::report::{ClaimReport, Results};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The run's id, also in [`crate::event::Event::Began`].
    pub run: String,
    /// How many instances ended in which way.
    pub counts: Counts,
    /// Failed instances, in the order of the plan.
    pub failed: Vec<Mishap>,
    /// Missing cells: label, cause, and whether it was known from an earlier run.
    pub absent: Vec<(String, String, bool)>,
    /// Skipped instances: label, and the label of the instance at fault or `stopped`.
    pub skipped: Vec<(String, String)>,
    /// Sentences of stages that ran: label, sentence.
    pub notes: Vec<(String, String)>,
    /// What was published.
    pub results: Results,
    /// The claims of this profile.
    pub claims: Vec<ClaimReport>,
    /// From start to end.
    pub wall: Duration,
    /// User and system time of this process and all children it waited for.
    pub cpu: Duration,
    /// The largest resident set of one process, bytes.
    pub peak_memory: u64,
    /// Where the manifest is.
    pub manifest: PathBuf,
    /// The lockfile, if it was written or is up to date.
    pub lockfile: Option<PathBuf>,
    /// Somebody asked it to stop.
    pub stopped: bool,
}

/// How many instances ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Their outputs were there.
    pub hit: usize,
    /// They worked.
    pub ran: usize,
    /// Missing cells.
    pub absent: usize,
    /// They went wrong.
    pub failed: usize,
    /// Something they need failed, or the run was stopped.
    pub skipped: usize,
}

/// A failed instance.
#[derive(Clone, Debug)]
pub struct Mishap {
    /// Its label.
    pub label: String,
    /// What went wrong.
    pub failure: Failure,
    /// Its log.
    pub log: PathBuf,
    /// The folder it worked in, kept.
    pub kept: Option<PathBuf>,
}

impl Summary {
    /// 0 if nothing is wrong; else the code of the worst failure (internal, environment, input, stage); 1 for a claim
    /// that does not hold; 130 if it was stopped.
    pub fn exit_code(&self) -> u8 {
        unimplemented!()
    }
}
