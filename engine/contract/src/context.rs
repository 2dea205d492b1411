//! What a running stage may report and query: progress, metrics, log lines, and whether to stop.

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

/// A number that a task measures while it works, such as a loss after each epoch.
///
/// It is logged with the run and enters no artifact, so it may depend on the machine.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Metric {
    /// What is measured, such as `train/loss`: not empty, without white space.
    pub name: String,
    /// Where in the task: an epoch, an iteration. Counted by the task.
    pub step: u64,
    /// The value; finite, because JSON has no other numbers.
    pub value: f64,
}

impl Metric {
    /// The metric, if it is one that can be logged: a name without white space and a finite value.
    pub fn new(name: &str, step: u64, value: f64) -> Option<Self> {
        let named = !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(|c: char| c.is_whitespace());
        (named && value.is_finite()).then(|| Self { name: name.to_owned(), step, value })
    }
}

/// No metric has a longer name, in bytes.
const LONGEST_NAME: usize = 200;

/// The engine's side of a running stage.
pub trait Context: Sync {
    /// Reports how far the task has come. Cheap; the receiver thins it out.
    fn progress(&self, progress: Progress);

    /// Reports a number for the run's log of events ([`Metric::new`] says which ones can be logged). Every one is logged.
    fn metric(&self, _metric: Metric) {}

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
