//! The table of what has ended in a run, and how. The run loop fills it; summary and manifest read it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use pipe_contract::RanOn;

use super::attempt::AttemptPlace;
use crate::event::Outcome;
use crate::exec::Usage;
use crate::ids::InstanceId;
use crate::key::Reason;

/// How the instances of a run ended that did.
#[derive(Debug, Default)]
pub(super) struct EndedTable {
    reports: BTreeMap<InstanceId, Report>,
    hits: BTreeSet<InstanceId>,
}

/// How an instance ended that was not a hit.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub outcome: Outcome,
    pub reasons: Vec<Reason>,
    pub attempts: u32,
    /// The instance that found the absence of an absent one.
    pub origin: Option<InstanceId>,
    pub work: FinishedWork,
}

/// What is known of the last attempt at an instance; nothing of one that did not start.
#[derive(Clone, Debug, Default)]
pub(super) struct FinishedWork {
    pub usage: Usage,
    /// Where it worked, and the seconds since the run began at which it ended.
    pub place: Option<(AttemptPlace, f64)>,
    pub ran_on: Option<RanOn>,
    pub notes: Vec<String>,
    pub log: Option<PathBuf>,
}

impl EndedTable {
    /// An instance was a hit; nothing else is recorded of it.
    pub fn add_hit(&mut self, id: InstanceId) {
        self.hits.insert(id);
    }

    /// Whether an instance has ended.
    pub fn contains(&self, id: InstanceId) -> bool {
        self.hits.contains(&id) || self.reports.contains_key(&id)
    }

    /// Whether an instance has outputs: it was a hit, or it ran.
    pub fn ended_well(&self, id: InstanceId) -> bool {
        self.hits.contains(&id) || self.report(id).is_some_and(|report| report.outcome == Outcome::Ran)
    }

    /// Takes back that an instance has ended; whether it was a hit.
    pub fn take_back(&mut self, id: InstanceId) -> bool {
        self.reports.remove(&id);
        self.hits.remove(&id)
    }

    /// An instance ended and was not a hit.
    pub fn add(&mut self, id: InstanceId, report: Report) {
        self.reports.insert(id, report);
    }

    /// How many were hits.
    pub fn hits(&self) -> usize {
        self.hits.len()
    }

    /// Those that were not, in the order of the plan.
    pub fn reports(&self) -> impl Iterator<Item = (InstanceId, &Report)> {
        self.reports.iter().map(|(id, report)| (*id, report))
    }

    /// The report of one that was not a hit.
    pub fn report(&self, id: InstanceId) -> Option<&Report> {
        self.reports.get(&id)
    }

    /// Whether the absence that an instance found was recorded by an earlier run.
    pub fn was_absence_recorded(&self, origin: InstanceId) -> bool {
        match self.report(origin).map(|report| &report.outcome) {
            Some(Outcome::Absent { recorded, .. }) => *recorded,
            _ => true,
        }
    }
}
