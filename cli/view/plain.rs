//! The plain view, for logs, pipes and simple terminals: a line where a stage begins and one where it ends, and how far the run
//! is from time to time; with `--verbose` one for every instance. Each line begins with the time since the run began.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pipe_engine::event::{Event, Outcome};
use pipe_engine::ids::InstanceId;

use super::milestones;
use super::run_state::{RunState, StageState, progress_text};
use crate::printer::{BAD, CARE, DIM, GOOD, styled};
use crate::quantities;

/// How far the run is, is said at most this often at first; later after a twentieth of the time it took so far.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LATER: u32 = 20;
/// Progress of one running instance is printed at most this often (`--verbose`).
const PROGRESS_PAUSE: Duration = Duration::from_secs(5);
/// So many stages at work are named where it is said how far the run is.
const NAMED: usize = 4;
/// Lines are as long as they are: there are no columns to fit in.
const ANY_WIDTH: usize = 1000;

/// Turns events into lines.
pub struct Plain {
    state: RunState,
    is_verbose: bool,
    is_begun: bool,
    /// When it was said last how far the run is.
    last_summary: Duration,
    /// When progress of an instance was last printed.
    last_progress: BTreeMap<InstanceId, Duration>,
    /// Stages of which a failed or repeated attempt was reported.
    reported: BTreeSet<(String, &'static str)>,
}

impl Plain {
    /// Of a run that has not begun; `is_verbose` reports every instance.
    pub fn new(state: RunState, is_verbose: bool) -> Self {
        Self {
            state,
            is_verbose,
            is_begun: false,
            last_summary: Duration::ZERO,
            last_progress: BTreeMap::new(),
            reported: BTreeSet::new(),
        }
    }

    /// The lines for an event that came at `now`.
    pub fn take(&mut self, event: &Event, now: Duration) -> Vec<String> {
        let was_begun = |state: &RunState, id: &InstanceId| state.stage_of(*id).began.is_some();
        let first_of_stage = matches!(event, Event::Started { id, .. } if !was_begun(&self.state, id));
        self.state.take(event, now);
        let own = if self.is_verbose { self.instance_line(event, now) } else { self.stage_line(event, first_of_stage) };
        let lines = self.head(event).into_iter().chain(own).chain(milestones::urgent(event));
        let lines = lines.chain(self.best_line(event));
        let lines = lines.chain(milestones::stage_ended(&self.state, event, now, ANY_WIDTH));
        lines.map(|line| at(now, &line)).collect()
    }

    /// The line that says how far the run is, if it is time for one.
    pub fn tick(&mut self, now: Duration) -> Option<String> {
        let pause = FIRST_PAUSE.max(now / LATER);
        if !self.is_begun || now < self.last_summary + pause {
            return None;
        }
        self.last_summary = now;
        Some(at(now, &format!("{} {}", styled(DIM, "   ..."), self.summary(now))))
    }

    /// The first line, when work begins.
    fn head(&mut self, event: &Event) -> Option<String> {
        if !matches!(event, Event::WorkBegins { .. }) || std::mem::replace(&mut self.is_begun, true) {
            return None;
        }
        let stages = self.state.stages.iter().filter(|stage| stage.total > 0).count();
        Some(format!(
            "{} {}: {} of {}; times are since it began",
            styled(DIM, "   run"),
            self.state.run,
            quantities::count(self.state.total, "instance"),
            quantities::count(stages, "stage")
        ))
    }

    /// Lines of a stage as a whole, and the first of its failed or repeated attempts.
    fn stage_line(&mut self, event: &Event, first_of_stage: bool) -> Option<String> {
        match event {
            Event::Started { id, why, .. } if first_of_stage => {
                let StageState { name, total, .. } = self.state.stage_of(*id);
                // Of several instances, each has its own reason.
                let more = if *total > 1 { format!(": {total} instances") } else { styled(DIM, &format!(" ({why})")) };
                Some(format!("{} {name}{more}", styled(DIM, " start")))
            }
            Event::Retrying { id, label, failure, pause } if self.is_first(*id, "again") => {
                let message = failure.to_string();
                let reason = message.lines().next().unwrap_or_default();
                Some(format!("{} {label} in {}: {reason}", styled(CARE, " again"), quantities::duration(*pause)))
            }
            // Where the stage has ended with it, that is said anyway.
            Event::Ended { id, label, outcome: Outcome::Failed { .. }, .. }
                if self.state.stage_of(*id).is_at_work() && self.is_first(*id, "failed") =>
            {
                Some(format!("{} {label}: see `pipe status` now, or the report at the end", styled(BAD, "failed")))
            }
            _ => None,
        }
    }

    /// The best of a stage so far, when one of its instances has ended that is it.
    fn best_line(&self, event: &Event) -> Option<String> {
        let Event::Ended { id, label, outcome: Outcome::Ran, .. } = event else { return None };
        let stage = self.state.stage_of(*id);
        let (best, _) = stage.best.as_ref()?.best()?;
        let line = milestones::best(stage).filter(|_| stage.total > 1 && best == label)?;
        Some(format!("{} {line}", styled(DIM, "   ...")))
    }

    /// Whether nothing was reported of this stage under this word.
    fn is_first(&mut self, id: InstanceId, word: &'static str) -> bool {
        let stage = self.state.stage_of(id).name.clone();
        self.reported.insert((stage, word))
    }

    /// Lines of every instance.
    fn instance_line(&mut self, event: &Event, now: Duration) -> Option<String> {
        match event {
            Event::Started { id, label, why, attempt, .. } => {
                self.last_progress.insert(*id, now);
                let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                Some(format!("{} {label}{again} {}", styled(DIM, " start"), styled(DIM, &format!("({why})"))))
            }
            Event::Progressed { id, progress } => {
                let last = self.last_progress.get_mut(id)?;
                if now.saturating_sub(*last) < PROGRESS_PAUSE {
                    return None;
                }
                *last = now;
                let at = &self.state.running.get(id)?.at;
                let name = &self.state.stage_of(*id).name;
                let label = if at.is_empty() { name.clone() } else { format!("{name}({at})") };
                Some(format!("{} {label}: {}", styled(DIM, "   ..."), progress_text(progress)))
            }
            Event::Retrying { label, failure, pause, .. } => {
                Some(format!("{} {label} in {}: {failure}", styled(CARE, " again"), quantities::duration(*pause)))
            }
            Event::Ended { label, outcome, wall, .. } => {
                let line = match outcome {
                    Outcome::Ran => format!("{} {label} {}", styled(GOOD, "   ran"), quantities::duration(*wall)),
                    Outcome::Absent { cause, recorded: false, .. } => {
                        format!("{} {label}: {cause}", styled(CARE, "absent"))
                    }
                    Outcome::Failed { .. } => {
                        format!("{} {label} {}", styled(BAD, "failed"), quantities::duration(*wall))
                    }
                    Outcome::Hit | Outcome::Skipped { .. } | Outcome::Absent { recorded: true, .. } => return None,
                };
                let share = format!("[{}/{}]", self.state.counts.ended(), self.state.total);
                Some(format!("{line} {}", styled(DIM, &share)))
            }
            _ => None,
        }
    }

    /// `40%, 412/1026; targets 60/128 (2 running), train 3/12 (1 running); about 4 min left`.
    fn summary(&self, now: Duration) -> String {
        let state = &self.state;
        let ended = state.counts.ended();
        let mut text = format!("{}%, {ended}/{}", ended * 100 / state.total.max(1), state.total);
        let at_work: Vec<&StageState> = state.stages.iter().filter(|stage| stage.running > 0).collect();
        let named: Vec<String> = at_work
            .iter()
            .take(NAMED)
            .map(|stage| format!("{} {}/{} ({} running)", stage.name, stage.ended(), stage.total, stage.running))
            .collect();
        if !named.is_empty() {
            text.push_str(&format!("; {}", named.join(", ")));
        }
        if at_work.len() > NAMED {
            text.push_str(&format!(" and {}", quantities::count(at_work.len() - NAMED, "more stage")));
        }
        if state.counts.failed > 0 {
            text.push_str(&format!("; {} failed", state.counts.failed));
        }
        if let Some(left) = state.time_left(now).and_then(|left| quantities::time_left(&left)) {
            text.push_str(&format!("; {left}"));
        }
        text
    }
}

/// A line with its time.
fn at(now: Duration, line: &str) -> String {
    format!("{} {line}", styled(DIM, &quantities::clock(now)))
}
