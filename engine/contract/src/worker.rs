//! The messages between the engine and a worker process.
//!
//! JSON, one message a line, over a socket whose file descriptor is named by the variable [`CHANNEL`];
//! stdout and stderr are the task's log, because native code prints there. The worker sends the first message
//! ([`FromWorker::Hello`]); a stale worker is an error, never a wrong cache entry. One task at a time.

use serde::{Deserialize, Serialize};

use crate::{Ended, Failure, Metric, Progress, Task};

/// The version of these messages.
///
/// 2: [`FromWorker::Metric`]. 1: first form.
pub const PROTOCOL: u32 = 2;

/// The environment variable that holds the number of the worker's channel.
pub const CHANNEL: &str = "PIPE_WORKER_CHANNEL";

/// Engine to worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase")]
pub enum ToWorker {
    /// Do this, then answer with [`FromWorker::Ended`].
    Task {
        /// The work.
        task: Box<Task>,
    },
    /// Stop the running task; it ends with a failure. SIGTERM and SIGKILL follow if it does not.
    Cancel,
    /// Exit with code 0.
    Quit,
}

/// Worker to engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase")]
pub enum FromWorker {
    /// The first message.
    Hello {
        /// [`PROTOCOL`] of the worker.
        protocol: u32,
        /// Digest of the sources of stages and contract it was built from.
        build: String,
        /// Its kinds with their versions.
        kinds: Vec<(String, u32)>,
    },
    /// How far the task has come.
    Progress {
        /// Units done and in all.
        progress: Progress,
    },
    /// The task measured something.
    Metric {
        /// What.
        metric: Metric,
    },
    /// The task ended.
    Ended {
        /// How.
        result: Result<Ended, Failure>,
    },
}
