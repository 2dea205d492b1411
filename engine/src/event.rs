//! The events of a run, in the order they happen. The engine prints nothing; `cli` makes lines, bars and JSON from these.

use std::path::PathBuf;
use std::time::Duration;

use pipe_contract::{Failure, Metric, Progress};
use serde::{Deserialize, Serialize};

use crate::ids::InstanceId;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run begins.
    Began {
        /// The run's id, also the name of its folder.
        run: String,
        /// How many instances are in it.
        instances: usize,
        /// Which, by id; all of the plan if there is none.
        #[serde(skip)]
        wanted: Option<Vec<bool>>,
    },
    /// Not all is a hit: work begins.
    WorkBegins {
        /// What instances took in earlier runs, in seconds, by id.
        #[serde(skip)]
        recorded: Vec<Option<f64>>,
    },
    /// An instance starts to work (it is not a hit). Again after a retry.
    Started {
        /// Which.
        id: InstanceId,
        /// Its label.
        label: String,
        /// Why it is not a hit, in words.
        why: String,
        /// From 1.
        attempt: u32,
        /// Where its log is written.
        log: PathBuf,
    },
    /// Progress of a running instance.
    Progressed {
        /// Which.
        id: InstanceId,
        /// The progress.
        progress: Progress,
    },
    /// A running instance measured something.
    Metric {
        /// Which.
        id: InstanceId,
        /// Name, step and value.
        #[serde(flatten)]
        metric: Metric,
    },
    /// An attempt failed and will be made again.
    Retrying {
        /// Which.
        id: InstanceId,
        /// Its label.
        label: String,
        /// Why.
        failure: Failure,
        /// After this pause. (In JSON, seconds.)
        #[serde(rename = "pause_seconds", serialize_with = "seconds")]
        pause: Duration,
    },
    /// An instance ended.
    Ended {
        /// Which.
        id: InstanceId,
        /// Its label.
        label: String,
        /// How.
        outcome: Outcome,
        /// Wall time of its work; zero for hits. (In JSON, seconds.)
        #[serde(rename = "wall_seconds", serialize_with = "seconds")]
        wall: Duration,
        /// Sentences of the stage for the summary.
        notes: Vec<String>,
    },
    /// What an instance made, in this run or an earlier one, was found damaged: it starts again, though it had ended.
    Reopened {
        /// Which.
        id: InstanceId,
        /// Its label.
        label: String,
        /// It had ended as a hit; else it had run.
        was_hit: bool,
    },
    /// A stop was requested; running stages get a moment to end.
    Stopping,
}

/// The five ways a stage can end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Its outputs were there.
    Hit,
    /// It worked.
    Ran,
    /// A missing cell, found now or recorded before.
    Absent {
        /// The cause, such as `not-found`.
        cause: String,
        /// Recorded by an earlier run; the stage did not work again.
        recorded: bool,
        /// The label of the instance that found it, if this one inherits it from what it reads.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<String>,
        /// The particulars, in the words of the stage that found it; only where it was found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// It went wrong.
    Failed {
        /// How.
        failure: Failure,
        /// The folder it worked in, if it was retained.
        retained: Option<PathBuf>,
    },
    /// Something it needs failed, or the run was stopped.
    Skipped {
        /// The label of the instance at fault, or `stopped`.
        because: String,
    },
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_in_json() {
        let (id, label, wall) = (InstanceId(1), "a".to_owned(), Duration::from_millis(1500));
        let event = Event::Ended { id, label, outcome: Outcome::Hit, wall, notes: Vec::new() };
        assert_eq!(serde_json::to_value(&event).unwrap()["wall_seconds"], 1.5);
    }
}
