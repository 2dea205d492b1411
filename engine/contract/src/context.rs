//! What a running stage may report and query: progress, log lines, and whether to stop.

use std::path::Path;

/// How far a task has come.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, 0 if unknown.
    pub total: u64,
    /// What is counted, such as `bytes` or `steps`.
    pub unit: String,
    /// A short remark, such as `epoch 7/10, val dice 0.81`.
    #[serde(default)]
    pub note: String,
}

/// The engine's side of a running stage.
pub trait Context: Sync {
    /// Reports how far the task has come. Cheap; the receiver thins it out.
    fn progress(&self, progress: Progress);

    /// Adds a line to the stage's saved log.
    fn log(&self, line: &str);

    /// Whether the task is to stop; long loops check this now and then and end with a failure.
    fn cancelled(&self) -> bool;

    /// A folder that the tasks of a run share, for downloads that several of them need. It is removed when the run ends; it
    /// may have to be made. `None` where tasks share nothing.
    fn shared_downloads(&self) -> Option<&Path> {
        None
    }
}

/// Discards all reports and never cancels; for tests.
pub struct Silent;

impl Context for Silent {
    fn progress(&self, _: Progress) {}

    fn log(&self, _: &str) {}

    fn cancelled(&self) -> bool {
        false
    }
}
