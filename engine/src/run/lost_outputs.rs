//! Finds outputs that were recorded and turn out to be damaged; the run loop has them made anew in the same run.
//!
//! A lookup only takes one `stat` per blob, so damage that changed no time is noticed when the bytes are needed: by a stage
//! about to start, whose inputs are verified once a run, or by results and claims at the end. The instance that made
//! them is reopened: it is looked up again, is a miss now, and runs (its own inputs are verified in turn). The reader waits for
//! it as for any input; its key is made again, because the new bytes may differ.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use pipe_cache::{Error, Found};
use pipe_contract::{Failure, Presence};

use super::ended::EndedTable;
use super::inputs::{Inputs, LinkedInput};
use super::lookup::Lookup;
use super::sessions::Sessions;
use super::storage::Storage;
use crate::ids::InstanceId;
use crate::plan::{Link, Published};
use crate::report::{cache_failure, pieces_of, results_folder};

/// How often an instance is made anew in one run; a disk that loses it again after that is named instead.
const ATTEMPTS: u32 = 3;

/// Where inputs can be read, by link.
pub(super) type InputPaths<'i> = BTreeMap<&'i Link, Presence>;

/// Where all inputs can be read; or, where some are damaged, the instances that made these. Makes the views it reads.
pub(super) fn input_paths<'i>(
    inputs: &'i Inputs<'_>,
    storage: Storage<'_>,
) -> Result<Result<InputPaths<'i>, Vec<InstanceId>>, Failure> {
    let (mut paths, mut lost) = (BTreeMap::new(), BTreeSet::new());
    for (link, found) in inputs.links() {
        let Entry::Vacant(place) = paths.entry(link) else { continue };
        let path = match found {
            Ok(located) => storage.path(located).map(Presence::Present),
            Err(cause) => Ok(Presence::Absent(cause.to_string())),
        };
        match (path, link) {
            (Ok(presence), _) => drop(place.insert(presence)),
            (Err(Error::Damaged { .. }), Link::Output { instance, .. }) => drop(lost.insert(*instance)),
            (Err(error), _) => return Err(storage.failure(&error)),
        }
    }
    Ok(if lost.is_empty() { Ok(paths) } else { Err(lost.into_iter().collect()) })
}

/// How often the outputs of instances were found damaged in one run.
#[derive(Debug, Default)]
pub(super) struct TimesLost(BTreeMap<InstanceId, u32>);

impl TimesLost {
    /// Counts once more; an error if that is too often.
    pub fn add(&mut self, id: InstanceId, label: &str) -> Result<(), Failure> {
        let times = self.0.entry(id).or_default();
        *times += 1;
        if *times <= ATTEMPTS {
            return Ok(());
        }
        Err(Failure::environment(format!("what `{label}` made was damaged in the cache {ATTEMPTS} times in this run"))
            .hint("check the disk that holds the cache; `quarantine/` in the cache has the damaged files"))
    }
}

/// The instances, among those that ended well, whose outputs are to be published or are read by claims, and are damaged.
/// What lies in the results folder as it should be is not read.
pub(super) fn lost_results(
    lookup: &mut Lookup<'_>,
    ended: &EndedTable,
    wanted: Option<&[bool]>,
) -> Result<BTreeSet<InstanceId>, Failure> {
    let plan = lookup.plan;
    let mut lost = BTreeSet::new();
    for published in &plan.results {
        if is_lost(lookup, ended, published)? {
            lost.extend(published.link.producer());
        }
    }
    for claim in &plan.claims {
        if let Ok(LinkedInput::Present(located)) = lookup.content(&claim.table)
            && let Err(Error::Damaged { .. }) = located.path(lookup.dirs, &Sessions::default())
        {
            lost.extend(claim.table.producer());
        }
    }
    lost.retain(|id| wanted.is_none_or(|wanted| wanted[id.index()]));
    Ok(lost)
}

/// Whether something that is to be published is damaged.
fn is_lost(lookup: &mut Lookup<'_>, ended: &EndedTable, published: &Published) -> Result<bool, Failure> {
    let plan = lookup.plan;
    let Some(producer) = published.link.producer() else { return Ok(false) };
    let store = lookup.store(producer);
    let artifact = match lookup.content(&published.link) {
        Ok(LinkedInput::Present(located)) => located.artifact,
        Ok(LinkedInput::Open(id)) => return Ok(ended.ended_well(id)),
        // A wrong name of an entry is reported when it is published.
        Ok(_) | Err(_) => return Ok(false),
    };
    if artifact.blob().is_none()
        && let Err(Error::Damaged { .. }) = store.tree(&artifact.digest)
    {
        return Ok(true);
    }
    let Ok(pieces) = pieces_of(store, published, &artifact) else { return Ok(false) };
    for piece in pieces {
        let Some(blob) = piece.blob() else { continue };
        let there = lookup.open_local().sources.content(&results_folder(plan).join(&piece.path));
        let is_there = there.is_ok_and(|there| there.digest == blob.digest);
        if !is_there && store.verify(&blob).map_err(|error| cache_failure(&error))? != Found::Good {
            return Ok(true);
        }
    }
    Ok(false)
}
