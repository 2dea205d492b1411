//! Does the work of one instance at a time: on a thread, in a worker process, or as a command.
//!
//! Knows threads, processes and time-outs; knows nothing of keys, caches or what should run next.

mod command;
mod facts;
mod guard;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipe_contract::{Coordinates, Ended, Failure, Presence, Progress, Registry, Task, Value};

use crate::ids::InstanceId;
use crate::plan::{Command, Link, Plan};

pub use command::{Placed, layout_inputs, output_path};
pub use facts::{Facts, Forgetful, Memo, facts_of};
pub use guard::serve_if_asked;

/// What an executor needs to know about the machine and the program it is part of.
#[derive(Clone)]
pub struct Settings {
    /// The catalogue; kinds with code run on threads, declared ones in the worker.
    pub registry: Arc<Registry>,
    /// The program that serves as the guard of processes: the `pipe` binary itself, which calls [`serve_if_asked`]
    /// first. `None` is the running program (`/proc/self/exe`).
    pub guard: Option<PathBuf>,
    /// The worker binary, whether or not it exists, and what it must have been built from.
    pub worker: WorkerSettings,
    /// Between asking a task to stop (cancel message, SIGTERM) and SIGKILL.
    pub grace: Duration,
}

/// The worker binary.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The binary `pipe-torch`.
    pub program: PathBuf,
    /// `LD_LIBRARY_PATH` for it, if its libraries are not found otherwise.
    pub libraries: Option<OsString>,
    /// The build id it must report.
    pub build: String,
    /// A reusable worker is replaced after so many tasks.
    pub recycle_after: u32,
}

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
    pub work: Work,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Work {
    /// A kind of the registry, here or in the worker as its declaration says.
    Kind(Box<Task>),
    /// A `run:` stage.
    Command(Box<CommandTask>),
}

/// A `run:` stage with everything it needs, self-contained as [`Task`] is.
#[derive(Clone, Debug)]
pub struct CommandTask {
    /// What was declared.
    pub command: Arc<Command>,
    /// An existing empty folder of its own; the executor lays out its parts. Outputs are found at [`output_path`].
    pub work: PathBuf,
    /// The folder of the pipeline file, for hints about undeclared files.
    pub project: PathBuf,
    /// Inputs by port, see [`layout_inputs`].
    pub inputs: BTreeMap<String, Placed>,
    /// `with:`.
    pub params: BTreeMap<String, Value>,
    /// Coordinates on all axes of the stage.
    pub at: Coordinates,
    /// The seed of a `random: true` stage.
    pub seed: Option<u64>,
    /// Threads it was granted.
    pub threads: u32,
    /// `PATH` of the stage, from [`Facts::path`].
    pub path: OsString,
}

/// What a job tells.
#[derive(Clone, Debug)]
pub enum Message {
    /// How far it has come; at most a few a second.
    Progress {
        /// Which.
        id: InstanceId,
        /// The news.
        progress: Progress,
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
    /// It ended because of [`Executor::cancel`] or [`Executor::kill_all`]: no failure of its own.
    pub cancelled: bool,
    /// What it used.
    pub usage: Usage,
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
}

/// Runs jobs side by side. Not a scheduler: whatever is started runs at once.
pub struct Executor {
    _private: (),
}

impl Executor {
    /// Nothing runs; no process or thread is started before the first job needs one.
    ///
    /// # Errors
    /// The machine gives no pipe.
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        unimplemented!()
    }

    /// Starts a job. Whatever goes wrong is told by [`Executor::next`], as for any other end.
    pub fn start(&mut self, job: Job) {
        unimplemented!()
    }

    /// Asks a job to stop: the cancel flag or message, SIGTERM for commands; SIGKILL to its group after the grace time.
    pub fn cancel(&mut self, id: InstanceId) {
        unimplemented!()
    }

    /// Kills every process at once; every job that is not a thread ends.
    pub fn kill_all(&mut self) {
        unimplemented!()
    }

    /// How many jobs have not ended.
    pub fn running(&self) -> usize {
        unimplemented!()
    }

    /// Waits for news, at most so long. Other threads end the wait through [`Executor::waker`].
    pub fn next(&mut self, timeout: Duration) -> Option<Message> {
        unimplemented!()
    }

    /// Ends a wait in [`Executor::next`] from another thread, such as a signal's.
    pub fn waker(&self) -> Waker {
        unimplemented!()
    }

    /// Kills what still runs, ends idle workers and the guard, and waits for them. Dropping does the same.
    pub fn shutdown(self) {
        unimplemented!()
    }
}

/// Ends a wait in [`Executor::next`].
#[derive(Clone)]
pub struct Waker {
    _private: (),
}

impl Waker {
    /// Ends the wait that is on now, or the next one.
    pub fn wake(&self) {
        unimplemented!()
    }
}
