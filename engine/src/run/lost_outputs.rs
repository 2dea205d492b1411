//! What happens when outputs that were recorded turn out to be damaged: they are made anew in the same run.
//!
//! A lookup only takes one `stat` per blob, so damage that changed no time is noticed when the bytes are needed: by a stage
//! about to start, whose inputs are verified once a run, or by results and claims at the end. The instance that made
//! them is reopened: it is looked up again, is a miss now, and runs (its own inputs are verified in turn). The reader waits for
//! it as for any input; its key is made again, because the new bytes may differ.

use std::collections::BTreeSet;

use pipe_cache::{Blob, Error, Found};
use pipe_contract::Failure;

use super::inputs::Linked;
use super::run_loop::RunLoop;
use crate::event::Event;
use crate::ids::InstanceId;
use crate::plan::{Link, Published};
use crate::report::{cache_failure, pieces_of, results_folder};
use crate::sched::{Core, Ending, State, needed_by};

/// How often an instance is made anew in one run; a disk that loses it again after that is named instead.
const ATTEMPTS: u32 = 3;

impl RunLoop<'_> {
    /// Lets a checked or running instance wait for others, whose outputs are damaged or being made anew.
    pub(super) fn wait_for(&mut self, core: &mut Core, id: InstanceId, producers: Vec<InstanceId>) {
        let left_out = |id: &&InstanceId| core.state(**id) == State::Ended(Ending::LeftOut);
        let names: Vec<String> = producers.iter().filter(left_out).take(3).map(|id| self.plan().label(*id)).collect();
        if !names.is_empty() {
            let names = names.join("`, `");
            let failure = Failure::input(format!("it reads `{names}`, which is not cached, or damaged there"))
                .hint("run without `--only` and `--from`, so that it is made first");
            return self.fail(core, id, failure, None);
        }
        for producer in producers {
            if !matches!(core.state(producer), State::Ended(Ending::Hit | Ending::Ran)) {
                continue;
            }
            if let Err(failure) = self.note_lost(producer) {
                return self.fail(core, id, failure, None);
            }
            for reader in core.reopen(producer) {
                if let Some(due) = self.due.get_mut(&reader) {
                    due.outdated = true;
                }
            }
        }
        core.wait_again(id);
    }

    /// Takes back that an instance has ended well.
    fn note_lost(&mut self, id: InstanceId) -> Result<(), Failure> {
        let label = self.plan().label(id);
        let times = self.reopened.entry(id).or_default();
        *times += 1;
        if *times > ATTEMPTS {
            return Err(Failure::environment(format!(
                "what `{label}` made was damaged in the cache {ATTEMPTS} times in this run"
            ))
            .hint("check the disk that holds the cache; `quarantine/` in the cache has the damaged files"));
        }
        self.lookup.forget(id);
        let was_hit = self.ended.take_back(id);
        self.log.reopened(id, was_hit);
        (self.events)(Event::Reopened { id, label, was_hit });
        Ok(())
    }

    /// The instances, among those that ended well, whose outputs are to be published or are read by claims, and are damaged;
    /// they are taken back. What lies in the results folder as it should be is not read.
    pub(super) fn lost_results(&mut self, wanted: Option<&[bool]>) -> Result<Option<Vec<bool>>, Failure> {
        let plan = self.plan();
        let mut lost = BTreeSet::new();
        for published in &plan.results {
            if self.is_lost(published)? {
                lost.extend(maker(&published.link));
            }
        }
        for claim in &plan.claims {
            if let Ok(Linked::Present(located)) = self.lookup.content(&claim.table)
                && let Err(Error::Damaged { .. }) = located.path(&self.state_dir.store, None)
            {
                lost.extend(maker(&claim.table));
            }
        }
        lost.retain(|id| wanted.is_none_or(|wanted| wanted[id.index()]));
        for id in &lost {
            self.note_lost(*id)?;
        }
        Ok((!lost.is_empty()).then(|| needed_by(plan, &lost)))
    }

    /// Whether something that is to be published is damaged.
    fn is_lost(&mut self, published: &Published) -> Result<bool, Failure> {
        let plan = self.plan();
        let artifact = match self.lookup.content(&published.link) {
            Ok(Linked::Present(located)) if maker(&published.link).is_some() => located.artifact,
            Ok(Linked::Open(id)) => return Ok(self.ended.ended_well(id)),
            // A wrong name of an entry is reported when it is published.
            Ok(_) | Err(_) => return Ok(false),
        };
        let store = &self.state_dir.store;
        if artifact.blob().is_none()
            && let Err(Error::Damaged { .. }) = store.tree(&artifact.digest)
        {
            return Ok(true);
        }
        let Ok(pieces) = pieces_of(store, published, &artifact) else { return Ok(false) };
        for piece in pieces {
            let Some(blob) = piece.blob() else { continue };
            let there = self.lookup.local.sources.content(&results_folder(plan).join(&piece.path));
            let is_there = there.is_ok_and(|there| there.digest == blob.digest);
            if !is_there && !self.is_good(&blob)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_good(&self, blob: &Blob) -> Result<bool, Failure> {
        let found = self.state_dir.store.verify(blob).map_err(|error| cache_failure(&error))?;
        Ok(found == Found::Good)
    }
}

/// The instance that made what a link leads to.
fn maker(link: &Link) -> Option<InstanceId> {
    match link {
        Link::Output { instance, .. } => Some(*instance),
        Link::File(_) => None,
    }
}
