//! One line for each event worth showing, for logs and pipes; none for hits. Progress of a long stage comes seldom.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pipe_contract::Failure;
use pipe_engine::event::{Event, Outcome};
use pipe_engine::ids::InstanceId;

use super::run_state::{RunState, progress_text};
use crate::printer::{BAD, CARE, DIM, GOOD, HINT, styled};
use crate::quantities;

/// Progress of one running stage is printed at most this often.
const PAUSE: Duration = Duration::from_secs(5);

/// Turns events into lines.
#[derive(Default)]
pub struct Plain {
    state: RunState,
    /// When progress of an instance was last printed.
    last_printed: BTreeMap<InstanceId, Instant>,
}

impl Plain {
    /// The line for an event that arrived at `now`, if it is worth one.
    pub fn line(&mut self, event: &Event, now: Instant) -> Option<String> {
        self.state.take(event);
        match event {
            Event::Started { id, label, why, attempt, .. } => {
                self.last_printed.insert(*id, now);
                let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                Some(format!("{} {label}{again} {}", styled(DIM, " start"), styled(DIM, &format!("({why})"))))
            }
            Event::Progressed { id, progress } => {
                let last = self.last_printed.get_mut(id)?;
                if now.duration_since(*last) < PAUSE {
                    return None;
                }
                *last = now;
                let label = &self.state.running.get(id)?.label;
                Some(format!("{} {label}: {}", styled(DIM, "   ...").as_str(), progress_text(progress)))
            }
            _ => ending(event).map(|line| match event {
                Event::Ended { .. } => {
                    let share = format!("[{}/{}]", self.state.counts.ended(), self.state.total);
                    format!("{line} {}", styled(DIM, &share))
                }
                _ => line,
            }),
        }
    }
}

/// The line for an event that both views keep on screen, if it is one.
pub fn ending(event: &Event) -> Option<String> {
    match event {
        Event::Retrying { label, failure, pause, .. } => {
            Some(format!("{} {label} in {}: {failure}", styled(CARE, " again"), quantities::duration(*pause)))
        }
        Event::Reopened { label, .. } => {
            Some(format!("{} {label}: what it made is damaged in the cache and is made anew", styled(CARE, " again")))
        }
        Event::Stopping => {
            Some(format!("{} running stages get a moment; press Ctrl-C again to end at once", styled(CARE, "  stop")))
        }
        Event::Ended { label, outcome, wall, .. } => match outcome {
            Outcome::Hit | Outcome::Skipped { .. } => None,
            Outcome::Ran => Some(format!("{} {label} {}", styled(GOOD, "   ran"), quantities::duration(*wall))),
            Outcome::Absent { recorded: true, .. } => None,
            Outcome::Absent { cause, .. } => Some(format!("{} {label}: {cause}", styled(CARE, "absent"))),
            Outcome::Failed { failure, .. } => {
                Some(format!("{} {label}: {}", styled(BAD, "failed"), failure_lines(failure)))
            }
        },
        Event::Began { .. } | Event::Started { .. } | Event::Progressed { .. } | Event::Metric { .. } => None,
    }
}

/// A failure with its hint on a line of its own.
pub fn failure_lines(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{failure}\n       {} {hint}", styled(HINT, "hint:")),
        None => failure.to_string(),
    }
}
