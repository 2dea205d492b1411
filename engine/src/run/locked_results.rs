//! What the lockfile has of a run: digests and tolerances of results, digests of keys and outputs of stages.

use std::collections::{BTreeMap, BTreeSet};

use pipe_cache::{Content, Digest, Entry};
use pipe_contract::{Registry, Repro};

use super::lookup::{Known, Lookup};
use crate::ids::InstanceId;
use crate::plan::{Link, Plan, Work};
use crate::report::{Locked, LockedInstance, LockedStage, Piece, ResultLine};
use crate::sched::needed_by;

/// Digests of everything the plan publishes; `lines` are in its order. What cannot be published has no line: it is among the
/// failures of the results, and then no lockfile is written.
pub(super) fn locked_results(plan: &Plan, registry: &Registry, lines: &[ResultLine]) -> BTreeMap<String, Locked> {
    let mut locked = BTreeMap::new();
    let mut tolerances = Tolerances { plan, registry, known: BTreeMap::new() };
    let mut results = plan.results.iter();
    for line in lines {
        let Some(published) = results.find(|published| published.path == line.path) else { continue };
        let tolerance = tolerances.of(&published.link);
        let files = line.pieces.iter().filter_map(|Piece { path, entry, .. }| match entry {
            Entry::File(blob) => Some((path.clone(), blob)),
            Entry::EmptyFolder => None,
        });
        locked.extend(files.map(|(path, blob)| (path, Locked { digest: blob.digest, bytes: blob.bytes, tolerance })));
    }
    locked
}

/// By how much the numbers of results may differ: as the least exact kind they depend on promises.
struct Tolerances<'t> {
    plan: &'t Plan,
    registry: &'t Registry,
    known: BTreeMap<InstanceId, Option<f64>>,
}

impl Tolerances<'_> {
    fn of(&mut self, link: &Link) -> Option<f64> {
        let Link::Output { instance, .. } = link else { return None };
        if let Some(known) = self.known.get(instance) {
            return *known;
        }
        let needed = needed_by(self.plan, &BTreeSet::from([*instance]));
        let stages: BTreeSet<usize> =
            self.plan.ids().filter(|id| needed[id.index()]).map(|id| self.plan.instance(id).stage.index()).collect();
        let tolerance = stages.into_iter().filter_map(|stage| self.of_work(&self.plan.stages[stage].work));
        let tolerance = tolerance.reduce(f64::max);
        self.known.insert(*instance, tolerance);
        tolerance
    }

    fn of_work(&self, work: &Work) -> Option<f64> {
        let Work::Kind(name) = work else { return None };
        match self.registry.kind(name)?.repro {
            Repro::Within(tolerance) => Some(tolerance),
            Repro::Exact => None,
        }
    }
}

/// Digests of keys and outputs of every stage, in the order in which stages run; none of a stage with restricted data.
pub(super) fn locked_stages(lookup: &Lookup<'_>) -> Vec<LockedStage> {
    let plan = lookup.plan;
    let mut stages: Vec<usize> = (0..plan.stages.len()).collect();
    stages.sort_by_key(|stage| plan.stages[*stage].instances.start);
    let locked = |stage: usize| {
        let name = &plan.stages[stage].name;
        let ids: Vec<InstanceId> = plan.stages[stage].instances.clone().map(InstanceId).collect();
        if ids.iter().any(|id| !plan.instance(*id).restricted.is_empty()) {
            return LockedStage::restricted(name);
        }
        // Without the stage's name, which does not matter to its work.
        let instance = |id: InstanceId| {
            let key = lookup.key_of(id).map_or([0; 32], |key| *key.as_bytes());
            LockedInstance { at: plan.instance(id).at.to_string(), key, outputs: output_digests(lookup, id) }
        };
        LockedStage::new(name, &ids.into_iter().map(instance).collect::<Vec<_>>())
    };
    stages.into_iter().map(locked).collect()
}

/// Digests of the outputs of an instance, by port in ascending order; none if it is absent.
fn output_digests(lookup: &Lookup<'_>, id: InstanceId) -> Vec<Digest<Content>> {
    match lookup.known(id) {
        Known::Outputs(outputs) => outputs.iter().map(|stored| stored.artifact.digest).collect(),
        _ => Vec::new(),
    }
}
