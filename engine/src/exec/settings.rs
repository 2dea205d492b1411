//! What an executor is given about the machine and the program: binaries, the catalogue, times.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipe_contract::Registry;

/// The settings of an executor for this machine and program.
#[derive(Clone)]
pub struct Settings {
    /// The catalogue; kinds with code run on threads, declared ones in the worker.
    pub registry: Arc<Registry>,
    /// The program that serves as the guard: the `pipe` binary itself, which calls [`super::serve_if_asked`]
    /// first. `None` is the running program (`/proc/self/exe`).
    pub guard: Option<PathBuf>,
    /// The worker binary, whether or not it exists, and what it must have been built from.
    pub worker: WorkerSettings,
    /// What every `run:` stage may read besides the system, its tools and its inputs.
    pub readable: Vec<PathBuf>,
    /// The time between the cancellation of a task (cancel message, SIGTERM) and SIGKILL.
    pub grace: Duration,
}

/// The time between the cancellation of a task and its end by force, unless a caller gives another.
const GRACE: Duration = Duration::from_secs(3);

/// How many tasks a reusable worker does, unless a caller gives another number.
const RECYCLE_AFTER: u32 = 200;

impl Settings {
    /// Of a catalogue and a worker: the running program is the guard, and nothing is readable besides what a stage declares.
    pub fn new(registry: Arc<Registry>, worker: WorkerSettings) -> Self {
        Self { registry, guard: None, worker, readable: Vec::new(), grace: GRACE }
    }
}

impl WorkerSettings {
    /// Of a binary that finds its libraries itself.
    pub fn new(program: PathBuf, build: &str) -> Self {
        let (libraries, libraries_hint) = (None, String::new());
        Self { program, libraries, libraries_hint, build: build.to_owned(), recycle_after: RECYCLE_AFTER }
    }
}

/// The worker binary.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The binary `pipe-torch`.
    pub program: PathBuf,
    /// `LD_LIBRARY_PATH` for it, if its libraries are not found otherwise.
    pub libraries: Option<OsString>,
    /// What to do if the loader does not find a library of the worker.
    pub libraries_hint: String,
    /// The build id it must report.
    pub build: String,
    /// A reusable worker is replaced after so many tasks.
    pub recycle_after: u32,
}
