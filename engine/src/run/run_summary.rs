//! The outcome of a run.

use std::path::PathBuf;
use std::time::Duration;

use pipe_contract::{Blame, Failure};
use serde::Serialize;

use crate::event::Outcome;
use crate::report::{ClaimReport, Results};

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The run's id, also in [`crate::event::Event::Began`].
    pub run: String,
    /// How many instances ended in which way.
    pub counts: Counts,
    /// Failed instances, in the order of the plan.
    pub failed: Vec<FailedInstance>,
    /// Labels of missing cells, each with its [`Outcome::Absent`].
    pub absent: Vec<(String, Outcome)>,
    /// Skipped instances: label, and the label of the instance at fault or `stopped`.
    pub skipped: Vec<(String, String)>,
    /// Notes of stages about the results that this run made or uses: label, note.
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
    /// A stop was requested.
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

impl Counts {
    /// How many ended.
    pub fn ended(&self) -> usize {
        self.hit + self.ran + self.absent + self.failed + self.skipped
    }
}

/// A failed instance.
#[derive(Clone, Debug)]
pub struct FailedInstance {
    /// Its label.
    pub label: String,
    /// What went wrong.
    pub failure: Failure,
    /// Its log.
    pub log: PathBuf,
    /// The folder it worked in, if it was retained.
    pub retained: Option<PathBuf>,
}

impl Summary {
    /// Nothing has happened yet.
    pub(super) fn of_run(run: String, stopped: bool) -> Self {
        Self {
            run,
            counts: Counts::default(),
            failed: Vec::new(),
            absent: Vec::new(),
            skipped: Vec::new(),
            notes: Vec::new(),
            results: Results::default(),
            claims: Vec::new(),
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            peak_memory: 0,
            manifest: PathBuf::new(),
            lockfile: None,
            stopped,
        }
    }

    /// 0 if nothing is wrong; else the code of the worst failure (internal, environment, input, stage); 1 for a claim
    /// that does not hold; 130 if it was stopped.
    pub fn exit_code(&self) -> u8 {
        let blames = self.failed.iter().map(|failed| &failed.failure).chain(&self.results.failures);
        if let Some(worst) = blames.map(|failure| failure.blame).max_by_key(|blame| severity(*blame)) {
            return worst.exit_code();
        }
        if self.stopped { STOPPED } else { u8::from(!self.claims.iter().all(|claim| claim.holds)) }
    }
}

/// What shells report for a program that SIGINT ended.
const STOPPED: u8 = 130;

/// The worse failure decides the exit code: our own defects, then what prevents all work.
fn severity(blame: Blame) -> u8 {
    match blame {
        Blame::Stage => 0,
        Blame::Input => 1,
        Blame::Environment => 2,
        Blame::Internal => 3,
    }
}
