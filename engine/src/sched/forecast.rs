//! Estimates how long the rest of a run takes. Reads no clock: what runs is given with
//! the time since its start.
//!
//! Every instance that has not ended is expected to take, by the first of these that applies:
//!
//! | known | expected |
//! |---|---|
//! | it runs and reports how much of its work is done | its time so far, divided by that share |
//! | what it took in an earlier run | that, times how much longer others of its stage took in this run than they had before |
//! | what others of its stage took in this run | their mean |
//! | what others of its stage took in earlier runs | their mean |
//! | what running ones of its stage will take, by their reports | their mean |
//! | nothing of these | nothing, and the estimate is a lower bound |
//!
//! The rest takes at least as long as the longest chain of what is expected, and at least as long as each resource needs
//! for the sum of what uses it. The larger one is the estimate: a run that keeps its slots busy comes near it. An instance that
//! will turn out to be a hit is counted as if it had to run, because that cannot be known before.

use std::collections::BTreeMap;

use crate::ids::InstanceId;
use crate::plan::{Amounts, Plan};
use crate::sched::dag::Dag;
use crate::sched::priority::known_duration;

/// A share of work below this says too little about the rest.
const LEAST_SHARE: f64 = 0.05;
/// What runs longer than expected is expected to run for this part of its time more.
const OVERTIME: f64 = 0.1;

/// What is known about the durations of a run.
pub struct Forecast {
    dag: Dag,
    stage_of: Vec<u32>,
    amounts: Vec<Amounts>,
    capacities: Amounts,
    recorded: Vec<Option<f64>>,
    measured: Vec<Measured>,
    /// By stage: the mean of what is recorded.
    mean_recorded: Vec<Option<f64>>,
}

/// What instances of one stage took in this run.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    number: f64,
    seconds: f64,
    /// Of those with a recorded duration: what they took, and what they had taken.
    again: f64,
    before: f64,
}

/// A running instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtWork {
    /// Seconds since its start.
    pub elapsed: f64,
    /// The share of its work that is done, 0 to 1, if it reports that.
    pub share: Option<f64>,
}

/// How long the rest of a run takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Seconds.
    pub seconds: f64,
    /// Something is known about each instance that has not ended; else it takes longer.
    pub is_complete: bool,
}

impl Forecast {
    /// Nothing of the run has ended; `recorded` has the seconds of earlier runs by instance.
    pub fn new(plan: &Plan, capacities: &Amounts, recorded: Vec<Option<f64>>) -> Self {
        let stage_of: Vec<u32> = plan.instances.iter().map(|instance| instance.stage.0).collect();
        let recorded: Vec<Option<f64>> = plan.ids().map(|id| known_duration(&recorded, id)).collect();
        let mut sums = vec![(0.0, 0.0); plan.stages.len()];
        for (stage, seconds) in stage_of.iter().zip(&recorded) {
            if let Some(seconds) = seconds {
                let (number, sum) = &mut sums[*stage as usize];
                *number += 1.0;
                *sum += seconds;
            }
        }
        Self {
            dag: Dag::new(plan),
            amounts: plan.stages.iter().map(|stage| stage.amounts.clone().clipped_to(capacities)).collect(),
            capacities: capacities.clone(),
            measured: vec![Measured::default(); plan.stages.len()],
            mean_recorded: sums.into_iter().map(|(number, sum)| mean(number, sum)).collect(),
            stage_of,
            recorded,
        }
    }

    /// An instance worked and ended well.
    pub fn worked(&mut self, id: InstanceId, seconds: f64) {
        let measured = &mut self.measured[self.stage_of[id.index()] as usize];
        measured.number += 1.0;
        measured.seconds += seconds;
        if let Some(before) = self.recorded[id.index()] {
            measured.again += seconds;
            measured.before += before;
        }
    }

    /// How long the `open` instances take, of which some are at work. None if nothing is known about any of them.
    pub fn rest(&self, open: impl Fn(InstanceId) -> bool, at_work: &BTreeMap<InstanceId, AtWork>) -> Option<Estimate> {
        let of_reports = self.means_of_reports(at_work);
        let mut left = vec![0.0; self.stage_of.len()];
        let (mut known, mut unknown) = (0_usize, 0_usize);
        for (index, left) in left.iter_mut().enumerate() {
            let id = InstanceId(index as u32);
            if !open(id) {
                continue;
            }
            match self.left_of(id, at_work.get(&id), &of_reports) {
                Some(seconds) => (*left, known) = (seconds, known + 1),
                None => unknown += 1,
            }
        }
        let chain = self.dag.critical_paths(|id| left[id.index()]).into_iter().fold(0.0, f64::max);
        let seconds = self.busiest_resource(&left).max(chain);
        (known > 0).then_some(Estimate { seconds, is_complete: unknown == 0 })
    }

    /// What one instance still takes.
    fn left_of(&self, id: InstanceId, at_work: Option<&AtWork>, of_reports: &[Option<f64>]) -> Option<f64> {
        let stage = self.stage_of[id.index()] as usize;
        let expected = || {
            let measured = &self.measured[stage];
            let again = if measured.before > 0.0 { measured.again / measured.before } else { 1.0 };
            let own = self.recorded[id.index()].map(|seconds| seconds * again);
            let others = || mean(measured.number, measured.seconds).or(self.mean_recorded[stage]);
            own.or_else(others).or(of_reports[stage])
        };
        match at_work {
            None => expected(),
            Some(at_work) => {
                let whole = by_report(at_work).or_else(expected)?;
                Some((whole - at_work.elapsed).max(at_work.elapsed * OVERTIME))
            }
        }
    }

    fn means_of_reports(&self, at_work: &BTreeMap<InstanceId, AtWork>) -> Vec<Option<f64>> {
        let mut sums = vec![(0.0, 0.0); self.measured.len()];
        for (id, at_work) in at_work {
            if let Some(seconds) = by_report(at_work) {
                let (number, sum) = &mut sums[self.stage_of[id.index()] as usize];
                *number += 1.0;
                *sum += seconds;
            }
        }
        sums.into_iter().map(|(number, sum)| mean(number, sum)).collect()
    }

    /// The time that the resource with the most work needs for it.
    fn busiest_resource(&self, left: &[f64]) -> f64 {
        let mut work = [0.0; 4];
        for (stage, seconds) in self.stage_of.iter().zip(left) {
            for (work, amount) in work.iter_mut().zip(parts(&self.amounts[*stage as usize])) {
                *work += seconds * amount;
            }
        }
        let needed = work.iter().zip(parts(&self.capacities)).filter(|(_, capacity)| *capacity > 0.0);
        needed.map(|(work, capacity)| work / capacity).fold(0.0, f64::max)
    }
}

/// What a running instance takes in all, by its own report.
fn by_report(at_work: &AtWork) -> Option<f64> {
    at_work.share.filter(|share| *share >= LEAST_SHARE).map(|share| at_work.elapsed / share)
}

fn mean(number: f64, sum: f64) -> Option<f64> {
    (number > 0.0).then(|| sum / number)
}

fn parts(amounts: &Amounts) -> [f64; 4] {
    [f64::from(amounts.cpu), f64::from(amounts.gpu), amounts.mem as f64, f64::from(amounts.net)]
}
