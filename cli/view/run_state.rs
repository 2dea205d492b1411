//! The state of a run at any moment, stage by stage, folded from its events. Reads no clock: every event comes with the time
//! since the run began.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pipe_contract::{Objective, Progress, Registry};
use pipe_engine::event::{Event, Outcome};
use pipe_engine::ids::InstanceId;
use pipe_engine::plan::{Amounts, Plan, Stage, Work};
use pipe_engine::run::Counts;
use pipe_engine::sched::{AtWork, Estimate, Forecast};

use crate::best_so_far::BestSoFar;
use crate::quantities;

/// A running instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// Where it is on the axes of its stage: `sid=s03`. Empty if there are none.
    pub at: String,
    /// When its last attempt started.
    pub since: Duration,
    /// Its latest progress.
    pub progress: Option<Progress>,
}

/// One stage.
#[derive(Clone, Debug, Default)]
pub struct StageState {
    /// Its name.
    pub name: String,
    /// How many of its instances are in the run.
    pub total: usize,
    /// How they ended, those that did.
    pub counts: Counts,
    /// How many run.
    pub running: usize,
    /// When the first one started; none did if all are hits.
    pub began: Option<Duration>,
    /// The best of them, if its kind says what that is.
    pub best: Option<BestSoFar>,
}

impl StageState {
    /// How many ended.
    pub fn ended(&self) -> usize {
        self.counts.ended()
    }

    /// Whether some of it worked and some of it has not ended.
    pub fn is_at_work(&self) -> bool {
        self.began.is_some() && self.ended() < self.total
    }
}

/// The state of a run as its events give it.
pub struct RunState {
    plan: Arc<Plan>,
    capacities: Amounts,
    /// The run's id, from its first event.
    pub run: String,
    /// Instances in the run.
    pub total: usize,
    /// How they ended, those that did.
    pub counts: Counts,
    /// By stage, in the order of the file.
    pub stages: Vec<StageState>,
    /// Running ones, by id.
    pub running: BTreeMap<InstanceId, Running>,
    /// The first failure: label and message, in one line.
    pub first_failure: Option<(String, String)>,
    /// A stop was requested.
    pub is_stopping: bool,
    /// By instance: it is in the run and has not ended.
    open: Vec<bool>,
    /// There from the first work on.
    forecast: Option<Forecast>,
}

impl RunState {
    /// A run of this plan on a machine with these capacities, which has not begun.
    pub fn new(plan: Arc<Plan>, registry: &Registry, capacities: Amounts) -> Self {
        let new = |stage: &Stage| StageState {
            name: stage.name.clone(),
            best: objective(stage, registry).map(BestSoFar::new),
            ..StageState::default()
        };
        let stages = plan.stages.iter().map(new);
        Self {
            stages: stages.collect(),
            plan,
            capacities,
            run: String::new(),
            total: 0,
            counts: Counts::default(),
            running: BTreeMap::new(),
            first_failure: None,
            is_stopping: false,
            open: Vec::new(),
            forecast: None,
        }
    }

    /// Takes in an event that came at `now`.
    pub fn take(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Began { run, instances, wanted } => {
                self.run.clone_from(run);
                self.total = *instances;
                self.open = self.plan.ids().map(|id| wanted.as_ref().is_none_or(|wanted| wanted[id.index()])).collect();
                for (instance, _) in self.plan.instances.iter().zip(&self.open).filter(|(_, open)| **open) {
                    self.stages[instance.stage.index()].total += 1;
                }
            }
            Event::WorkBegins { recorded } => {
                self.forecast = Some(Forecast::new(&self.plan, &self.capacities, recorded.clone()));
            }
            Event::Started { id, .. } => self.start(*id, now),
            Event::Progressed { id, progress } => {
                if let Some(running) = self.running.get_mut(id) {
                    running.progress = Some(progress.clone());
                }
            }
            Event::Retrying { id, .. } => self.leave(*id),
            Event::Metric { id, metric } => {
                let label = self.plan.label(*id);
                if let Some(best) = &mut self.stage_mut(*id).best {
                    best.take(&label, metric);
                }
            }
            Event::Stopping => self.is_stopping = true,
            Event::Reopened { id, was_hit, .. } => {
                self.open[id.index()] = true;
                let outcome = if *was_hit { Outcome::Hit } else { Outcome::Ran };
                for counts in [&mut self.counts, &mut self.stages[self.plan.instance(*id).stage.index()].counts] {
                    let counter = counter(counts, &outcome);
                    *counter = counter.saturating_sub(1);
                }
            }
            Event::Ended { id, label, outcome, wall, .. } => self.end(*id, label, outcome, *wall),
        }
    }

    fn start(&mut self, id: InstanceId, now: Duration) {
        let running = Running { at: self.plan.instance(id).at.to_string(), since: now, progress: None };
        if self.running.insert(id, running).is_none() {
            let stage = self.stage_mut(id);
            stage.running += 1;
            stage.began.get_or_insert(now);
        }
    }

    /// An instance does not run any more.
    fn leave(&mut self, id: InstanceId) {
        if self.running.remove(&id).is_some() {
            self.stage_mut(id).running -= 1;
        }
    }

    fn end(&mut self, id: InstanceId, label: &str, outcome: &Outcome, wall: Duration) {
        self.leave(id);
        self.open[id.index()] = false;
        *counter(&mut self.counts, outcome) += 1;
        *counter(&mut self.stage_mut(id).counts, outcome) += 1;
        match outcome {
            Outcome::Ran => {
                if let Some(forecast) = &mut self.forecast {
                    forecast.worked(id, wall.as_secs_f64());
                }
            }
            Outcome::Failed { failure, .. } if self.first_failure.is_none() => {
                let message = failure.to_string();
                let in_one_line = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
                self.first_failure = Some((label.to_owned(), in_one_line));
            }
            _ => {}
        }
    }

    /// The stage of an instance.
    pub fn stage_of(&self, id: InstanceId) -> &StageState {
        &self.stages[self.plan.instance(id).stage.index()]
    }

    fn stage_mut(&mut self, id: InstanceId) -> &mut StageState {
        &mut self.stages[self.plan.instance(id).stage.index()]
    }

    /// The longest running instance of a stage.
    pub fn oldest_of(&self, stage: usize) -> Option<&Running> {
        let of_stage = self.running.iter().filter(|(id, _)| self.plan.instance(**id).stage.index() == stage);
        of_stage.map(|(_, running)| running).min_by_key(|running| running.since)
    }

    /// How long the rest takes, as far as that is known at `now`. Unknown after a stop.
    pub fn time_left(&self, now: Duration) -> Option<Estimate> {
        if self.is_stopping {
            return None;
        }
        let at_work = |running: &Running| AtWork {
            elapsed: now.saturating_sub(running.since).as_secs_f64(),
            share: running.progress.as_ref().and_then(share),
        };
        let at_work = self.running.iter().map(|(id, running)| (*id, at_work(running))).collect();
        self.forecast.as_ref()?.rest(|id| self.open[id.index()], &at_work)
    }
}

/// By which metric the instances of a stage are compared.
pub fn objective(stage: &Stage, registry: &Registry) -> Option<Objective> {
    match &stage.work {
        Work::Kind(name) => registry.kind(name)?.objective,
        Work::Command(_) => None,
    }
}

fn counter<'c>(counts: &'c mut Counts, outcome: &Outcome) -> &'c mut usize {
    match outcome {
        Outcome::Hit => &mut counts.hit,
        Outcome::Ran => &mut counts.ran,
        Outcome::Absent { .. } => &mut counts.absent,
        Outcome::Failed { .. } => &mut counts.failed,
        Outcome::Skipped { .. } => &mut counts.skipped,
    }
}

/// The share of work done, 0 to 1, if the total is known.
fn share(progress: &Progress) -> Option<f64> {
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
    use super::*;

    #[test]
    fn progress_is_shown_in_its_own_unit() {
        let progress =
            |done, total, unit: &str, note: &str| Progress { done, total, unit: unit.into(), note: note.into() };
        assert_eq!(progress_text(&progress(12, 288, "steps", "epoch 1/2")), "12/288 steps, epoch 1/2");
        assert_eq!(progress_text(&progress(1536, 0, "bytes", "")), "1.5 KiB");
        assert_eq!(progress_text(&progress(0, 0, "", "waiting")), "waiting");
        assert_eq!(share(&progress(5, 0, "steps", "")), None);
    }
}
