//! Restrictions on data, computed from the plan graph on every run: which sources are restricted, and which results
//! would publish their data without a release.

use std::collections::{BTreeMap, BTreeSet};

use super::resolved::{Link, Plan, Published};
use crate::ids::{InstanceId, StageId};

/// A result that may not be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused<'a> {
    /// The result.
    pub result: &'a Published,
    /// The restrictions on it.
    pub restrictions: BTreeSet<String>,
    /// Names of stages from a restricted source to the one that makes the result, each read by the next.
    pub chain: Vec<String>,
}

impl Plan {
    /// Stages that introduce restricted data, with the names of their own restrictions.
    pub fn restricted_sources(&self) -> BTreeMap<StageId, BTreeSet<String>> {
        let mut sources = BTreeMap::new();
        for id in self.ids() {
            let own = self.own_restrictions(id);
            if !own.is_empty() {
                sources.entry(self.instance(id).stage).or_insert_with(BTreeSet::new).extend(own);
            }
        }
        sources
    }

    /// Restrictions that an instance does not inherit.
    fn own_restrictions(&self, id: InstanceId) -> BTreeSet<String> {
        let restricted = &self.instance(id).restricted;
        if restricted.is_empty() {
            return BTreeSet::new();
        }
        let mut own = restricted.clone();
        for read in self.reads(id) {
            own.retain(|name| !self.instance(read).restricted.contains(name));
        }
        own
    }

    /// Results that contain restricted data and that no release covers, each with the chain of stages from the source.
    pub fn refused_results(&self) -> Vec<Refused<'_>> {
        self.results.iter().filter_map(|result| self.refused(result)).collect()
    }

    fn refused<'a>(&'a self, result: &'a Published) -> Option<Refused<'a>> {
        let restrictions = self.restrictions_of(&result.link);
        let instance = result.link.producer().filter(|_| !restrictions.is_empty())?;
        Some(Refused { result, restrictions, chain: self.chain_of(instance) })
    }

    /// The restrictions on an artifact that no release lifts.
    pub fn restrictions_of(&self, link: &Link) -> BTreeSet<String> {
        let Link::Output { instance, port, .. } = link else { return BTreeSet::new() };
        let made = self.instance(*instance);
        let is_released = |(stage, name): &(StageId, String)| *stage == made.stage && **name == **port;
        if self.releases.iter().any(|release| release.ports.iter().any(is_released)) {
            return BTreeSet::new();
        }
        made.restricted.clone()
    }

    /// From a restricted source down to an instance, by stage names.
    fn chain_of(&self, id: InstanceId) -> Vec<String> {
        let mut chain = vec![self.stage_of(id).name.clone()];
        let mut current = id;
        // Every step goes to a smaller id, so this ends.
        while let Some(next) = self.reads(current).into_iter().find(|read| !self.instance(*read).restricted.is_empty())
        {
            current = next;
            chain.push(self.stage_of(next).name.clone());
        }
        chain.reverse();
        chain
    }
}
