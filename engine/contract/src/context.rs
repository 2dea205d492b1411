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
#[serde(try_from = "WrittenMetric")]
pub struct Metric {
    name: String,
    step: u64,
    value: f64,
}

/// A metric as it was sent or logged, not checked yet.
#[derive(serde::Deserialize)]
struct WrittenMetric {
    name: String,
    step: u64,
    value: f64,
}

impl TryFrom<WrittenMetric> for Metric {
    type Error = String;

    fn try_from(written: WrittenMetric) -> Result<Self, String> {
        let WrittenMetric { name, step, value } = written;
        Metric::new(&name, step, value).ok_or_else(|| format!("`{name}` {step} {value} is not a metric"))
    }
}

impl Metric {
    /// The metric, if it is one that can be logged: a name of at most 200 bytes without white space, and a finite value, because JSON
    /// has no other numbers.
    pub fn new(name: &str, step: u64, value: f64) -> Option<Self> {
        let named = !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(|c: char| c.is_whitespace());
        (named && value.is_finite()).then(|| Self { name: name.to_owned(), step, value })
    }

    /// What is measured, such as `train/loss`: not empty, without white space.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where in the task: an epoch, an iteration. Counted by the task.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The value; finite.
    pub fn value(&self) -> f64 {
        self.value
    }
}

/// No metric has a longer name, in bytes.
const LONGEST_NAME: usize = 200;

/// The engine's side of a running stage.
pub trait Context: Sync {
    /// Reports how far the task has come. Cheap; the receiver thins it out.
    fn progress(&self, progress: Progress);

    /// Reports a number for the run's log of events ([`Metric::new`] says which ones can be logged). The first 100,000 of
    /// an attempt are logged.
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
