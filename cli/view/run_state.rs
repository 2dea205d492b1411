//! The state of a run at any moment, folded from its events.

use std::collections::BTreeMap;

use pipe_contract::Progress;
use pipe_engine::event::{Event, Outcome};
use pipe_engine::ids::InstanceId;

use crate::quantities;

/// A running instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// Its label.
    pub label: String,
    /// Its latest progress.
    pub progress: Option<Progress>,
}

/// How many instances ended in each of the five ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Outputs were there.
    pub hit: usize,
    /// Worked.
    pub ran: usize,
    /// Missing cells.
    pub absent: usize,
    /// Went wrong.
    pub failed: usize,
    /// Not tried.
    pub skipped: usize,
}

impl Counts {
    /// All that ended.
    pub fn ended(&self) -> usize {
        self.hit + self.ran + self.absent + self.failed + self.skipped
    }
}

/// The state of a run as its events give it.
#[derive(Clone, Debug, Default)]
pub struct RunState {
    /// Instances in the run.
    pub total: usize,
    /// Ended ones.
    pub counts: Counts,
    /// Running ones, by id so that their lines keep their order.
    pub running: BTreeMap<InstanceId, Running>,
}

impl RunState {
    /// Takes in one event.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Began { instances, .. } => self.total = *instances,
            Event::Started { id, label, .. } => {
                self.running.insert(*id, Running { label: label.clone(), progress: None });
            }
            Event::Progressed { id, progress } => {
                if let Some(running) = self.running.get_mut(id) {
                    running.progress = Some(progress.clone());
                }
            }
            Event::Metric { .. } | Event::Retrying { .. } | Event::Stopping => {}
            Event::Reopened { was_hit, .. } => {
                let counter = self.counter(if *was_hit { &Outcome::Hit } else { &Outcome::Ran });
                *counter = counter.saturating_sub(1);
            }
            Event::Ended { id, outcome, .. } => {
                self.running.remove(id);
                *self.counter(outcome) += 1;
            }
        }
    }

    fn counter(&mut self, outcome: &Outcome) -> &mut usize {
        match outcome {
            Outcome::Hit => &mut self.counts.hit,
            Outcome::Ran => &mut self.counts.ran,
            Outcome::Absent { .. } => &mut self.counts.absent,
            Outcome::Failed { .. } => &mut self.counts.failed,
            Outcome::Skipped { .. } => &mut self.counts.skipped,
        }
    }

    /// `ran 12, hits 40`: the ways that happened, the usual ones always.
    pub fn tally(&self) -> String {
        let counts = &self.counts;
        let mut text = format!("ran {}, hits {}", counts.ran, counts.hit);
        for (number, word) in [(counts.absent, "absent"), (counts.failed, "failed"), (counts.skipped, "skipped")] {
            if number > 0 {
                text.push_str(&format!(", {word} {number}"));
            }
        }
        text
    }
}

/// The share of work done, 0 to 1, if the total is known.
pub fn share(progress: &Progress) -> Option<f64> {
    (progress.total > 0).then(|| (progress.done as f64 / progress.total as f64).clamp(0.0, 1.0))
}

/// `120/288 steps, round 1/3` or `1.5 MiB of 3.0 MiB`.
pub fn progress_text(progress: &Progress) -> String {
    let amount = match (progress.unit.as_str(), progress.total) {
        ("", _) => String::new(),
        ("bytes", 0) => quantities::bytes(progress.done),
        ("bytes", total) => format!("{} of {}", quantities::bytes(progress.done), quantities::bytes(total)),
        (unit, 0) => format!("{} {unit}", progress.done),
        (unit, total) => format!("{}/{total} {unit}", progress.done),
    };
    match (amount.is_empty(), progress.note.is_empty()) {
        (_, true) => amount,
        (true, false) => progress.note.clone(),
        (false, false) => format!("{amount}, {}", progress.note),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn progress(done: u64, total: u64, unit: &str, note: &str) -> Progress {
        Progress { done, total, unit: unit.into(), note: note.into() }
    }

    #[test]
    fn progress_is_shown_in_its_own_unit() {
        assert_eq!(progress_text(&progress(12, 288, "steps", "epoch 1/2")), "12/288 steps, epoch 1/2");
        assert_eq!(progress_text(&progress(1536, 0, "bytes", "")), "1.5 KiB");
        assert_eq!(progress_text(&progress(0, 0, "", "waiting")), "waiting");
        assert_eq!(share(&progress(5, 0, "steps", "")), None);
    }

    #[test]
    fn the_state_counts_each_ending_once() {
        let mut state = RunState::default();
        state.take(&Event::Began { run: "r".into(), instances: 2 });
        let started = |id| Event::Started {
            id: InstanceId(id),
            label: "a".into(),
            why: "first time".into(),
            attempt: 1,
            log: "log".into(),
        };
        state.take(&started(0));
        assert_eq!(state.running.len(), 1);
        let ended = |id, outcome| Event::Ended {
            id: InstanceId(id),
            label: "a".into(),
            outcome,
            wall: Duration::ZERO,
            notes: vec![],
        };
        state.take(&ended(0, Outcome::Ran));
        state.take(&ended(1, Outcome::Skipped { because: "a".into() }));
        assert_eq!(state.counts.ended(), state.total);
        assert!(state.running.is_empty());
        assert_eq!(state.tally(), "ran 1, hits 0, skipped 1");
    }
}
