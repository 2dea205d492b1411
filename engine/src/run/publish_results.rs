//! Publishes results while a run goes on, as soon as their stage has ended, and completes them at its end.
//!
//! What is published early is not more than what a run without interruption publishes in the end: results of stages with
//! restricted data wait for the end, where the rules of their release are known to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::beside_results::BesideResults;
use super::claim_tables::checked_claims;
use super::disclosure::Disclosure;
use super::lookup::Lookup;
use super::result_lines::{Line, line_of, result_lines};
use super::run_summary::Summary;
use crate::ids::InstanceId;
use crate::plan::{Link, Plan};
use crate::report::{PublishedBy, Publisher, PublishingRun, ResultLine, Results, parameters_json, results_folder};

/// At least this long between two rounds of publishing while a run goes on: a round writes the list anew.
const ROUND: Duration = Duration::from_millis(500);

/// Publishes the results of one run.
pub(super) struct Publishing<'a> {
    plan: &'a Plan,
    publisher: Publisher,
    beside: BesideResults<'a>,
    /// Lines of `results:` by the instance that makes them.
    lines: BTreeMap<InstanceId, Vec<usize>>,
    /// Lines whose instance has ended since the last round.
    due: BTreeSet<usize>,
    last_round: Instant,
}

impl<'a> Publishing<'a> {
    /// Publishing for the run of these texts; edited files are replaced if it may `overwrite` them.
    pub fn new(beside: BesideResults<'a>, overwrite: bool) -> Self {
        let plan = beside.disclosure.plan;
        let mut lines = BTreeMap::<InstanceId, Vec<usize>>::new();
        for (line, published) in plan.results.iter().enumerate() {
            if let Link::Output { instance, .. } = published.link {
                lines.entry(instance).or_default().push(line);
            }
        }
        let PublishedBy { run, began, parameters, .. } = beside.published_by().clone();
        let about = PublishingRun { began, parameters };
        let parameters = (!plan.set.is_empty()).then(|| parameters_json(plan));
        let publisher = Publisher::new(results_folder(plan), run, about, parameters, overwrite);
        Self { plan, publisher, beside, lines, due: BTreeSet::new(), last_round: Instant::now() }
    }

    /// An instance has outputs now: its results are published in the next round.
    pub fn ended(&mut self, id: InstanceId) {
        if self.plan.instance(id).restricted.is_empty() {
            self.due.extend(self.lines.get(&id).into_iter().flatten());
        }
    }

    /// How long until the next round; `None` if nothing waits for it.
    pub fn until_due(&self) -> Option<Duration> {
        (!self.due.is_empty()).then(|| ROUND.saturating_sub(self.last_round.elapsed()))
    }

    /// Publishes what has ended since the last round, if the next one is due.
    pub fn publish_due(&mut self, lookup: &mut Lookup<'_>) {
        if self.until_due() != Some(Duration::ZERO) {
            return;
        }
        let Self { plan, publisher, beside, due, .. } = self;
        // What cannot be published is reported at the end.
        let lines: Vec<ResultLine> = std::mem::take(due)
            .into_iter()
            .filter_map(|line| match line_of(lookup, &beside.disclosure, &plan.results[line]) {
                Ok(Line::Present(line)) => Some(*line),
                _ => None,
            })
            .collect();
        publisher.publish(&mut lookup.open_local().sources, &lines, beside);
        self.last_round = Instant::now();
    }

    /// Publishes all results that the run `wanted`, and gives their lines.
    pub fn finish(&mut self, lookup: &mut Lookup<'_>, wanted: Option<&[bool]>) -> (Results, Vec<ResultLine>) {
        let Self { publisher, beside, .. } = self;
        let (mut results, lines) = result_lines(lookup, &beside.disclosure, wanted);
        let sources = &mut lookup.open_local().sources;
        publisher.finish(sources, &lines, beside, wanted.is_none(), &mut results);
        (results, lines)
    }
}

/// Publishes results, if the run publishes, and checks claims. What is there of the results is given.
pub(super) fn finish_results(
    lookup: &mut Lookup<'_>,
    disclosure: &Disclosure<'_>,
    summary: &mut Summary,
    publishing: Option<&mut Publishing<'_>>,
    wanted: Option<&[bool]>,
) -> Vec<ResultLine> {
    let (results, lines) = match publishing {
        Some(publishing) => publishing.finish(lookup, wanted),
        None => result_lines(lookup, disclosure, wanted),
    };
    summary.results = results;
    summary.claims = checked_claims(lookup, wanted);
    lines
}
