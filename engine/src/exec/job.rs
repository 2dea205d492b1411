//! What goes into the executor and what comes out: jobs, messages about them, and how they ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipe_contract::{Coordinates, Ended, Failure, Metric, Progress, Task, Value};

use super::facts::Facts;
use super::placed::Placed;
use crate::ids::InstanceId;
use crate::plan::Command;

/// One attempt at one instance.
#[derive(Clone, Debug)]
pub struct Job {
    /// Names the job in messages.
    pub id: InstanceId,
    /// Everything the work prints is appended to this file.
    pub log: PathBuf,
    /// After this it is killed and fails.
    pub timeout: Option<Duration>,
    /// The work.
    pub work: JobWork,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum JobWork {
    /// A kind of the registry, on a thread or in the worker as it is declared.
    Kind(Box<Task>),
    /// A `run:` stage.
    Command(Box<CommandTask>),
}

/// A `run:` stage with everything it needs, self-contained as [`Task`] is.
#[derive(Clone, Debug)]
pub struct CommandTask {
    /// What was declared.
    pub command: Arc<Command>,
    /// An existing empty folder of its own; the executor lays out its parts. Outputs are found at [`super::output_path`].
    pub work: PathBuf,
    /// The folder of the cache, to which `work` belongs too.
    pub cache: PathBuf,
    /// The folder of the pipeline file, for hints about undeclared files.
    pub project: PathBuf,
    /// Inputs by port, see [`super::layout_inputs`].
    pub inputs: BTreeMap<String, Placed>,
    /// `with:`.
    pub params: BTreeMap<String, Value>,
    /// Coordinates on all axes of the stage.
    pub at: Coordinates,
    /// The seed of a `random: true` stage.
    pub seed: Option<u64>,
    /// Threads it was granted.
    pub threads: u32,
    /// What is true of its tools.
    pub facts: Arc<Facts>,
}

/// A message about a job.
#[derive(Clone, Debug)]
pub enum Message {
    /// How far it has come; at most a few a second.
    Progress {
        /// Which.
        id: InstanceId,
        /// Units done and in all.
        progress: Progress,
    },
    /// It measured something.
    Metric {
        /// Which.
        id: InstanceId,
        /// What.
        metric: Metric,
    },
    /// It is over; the last message of a job.
    Ended(Box<Finished>),
}

/// The end of a job.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which.
    pub id: InstanceId,
    /// How. Done means that all declared outputs of a command are there; outputs of kinds are checked by `run`.
    pub result: Result<Ended, Failure>,
    /// It ended because of [`super::Executor::cancel`] or [`super::Executor::kill_all`]: no failure of its own.
    pub cancelled: bool,
    /// What it used.
    pub usage: Usage,
    /// Orphaned processes, of this job or of one that runs beside it, may still write to its folder.
    pub orphans: bool,
}

/// What a job used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// From start to end.
    pub wall: Duration,
    /// User and system time of its processes, or of its thread.
    pub cpu: Duration,
    /// The largest resident set of one of its processes, bytes; 0 for threads, which have none of their own.
    pub peak_rss: u64,
    /// What kept a `run:` stage from the rest of the machine; `None` for other work and for what did not start.
    pub isolation: Option<Isolation>,
}

/// What kept a `run:` stage from the rest of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// From files.
    pub files: FileIsolation,
    /// From the network.
    pub network: NetworkIsolation,
}

/// What kept a `run:` stage from files that it does not declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileIsolation {
    /// A private folder, and rules for reading and writing everywhere else.
    Full,
    /// A private folder; this kernel has no rules.
    Files,
    /// A private folder, and the stage has `isolation: none`.
    None,
}

/// What kept a `run:` stage from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkIsolation {
    /// It had a loopback of its own and nothing else.
    None,
    /// It has `net: true`.
    Declared,
    /// This system allows no network of one's own, or the stage has `isolation: none`.
    Open,
}

impl FileIsolation {
    /// As records have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Files => "files",
            Self::None => "none",
        }
    }
}

impl NetworkIsolation {
    /// As records have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Declared => "declared",
            Self::Open => "open",
        }
    }
}
