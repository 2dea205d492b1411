//! Restrictions on data, computed from the plan graph on every run: which sources are restricted, and which results
//! would publish their data without a release.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::resolved::{Link, Plan, Published, Release, ReleaseWhy};
use crate::ids::{InstanceId, StageId};

/// Why an artifact may not leave the restricted store. Its `Display` is a sentence without a subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreleased {
    /// The restrictions on it.
    pub restrictions: BTreeSet<String>,
    /// Names of stages from a restricted source to the one that makes it, each read by the next.
    pub chain: Vec<String>,
    /// What is missing for its release.
    pub why: String,
}

impl fmt::Display for Unreleased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.restrictions.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        write!(f, "restricted ({names}; {}) and {}", self.chain.join(" -> "), self.why)
    }
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

    /// Results that contain restricted data and are not released.
    pub fn refused_results(&self) -> Vec<(&Published, Unreleased)> {
        self.results.iter().filter_map(|result| Some((result, self.refusal(&result.link)?))).collect()
    }

    /// Why an artifact may not leave the restricted store, as far as that is known before a run.
    pub fn refusal(&self, link: &Link) -> Option<Unreleased> {
        let why = match self.release_of(link) {
            None => "no rule of `release:` permits it",
            Some(ReleaseWhy::Approved { approved: None, .. }) => {
                "its release was not approved yet (`approved:` is missing)"
            }
            Some(ReleaseWhy::Approved { approved: Some(_), .. } | ReleaseWhy::Aggregate(_)) => return None,
        };
        self.refusal_because(link, why.to_owned())
    }

    /// A refusal for a reason; `None` if the artifact is not restricted.
    pub fn refusal_because(&self, link: &Link, why: String) -> Option<Unreleased> {
        let instance = link.producer()?;
        let restrictions = self.instance(instance).restricted.clone();
        (!restrictions.is_empty()).then(|| Unreleased { restrictions, chain: self.chain_of(instance), why })
    }

    /// The rule or reason of the release that names the port of an artifact.
    pub fn release_of(&self, link: &Link) -> Option<&ReleaseWhy> {
        let Link::Output { instance, port, .. } = link else { return None };
        let stage = self.instance(*instance).stage;
        let names = |release: &&Release| release.ports.iter().any(|(of, name)| *of == stage && **name == **port);
        self.releases.iter().find(names).map(|release| &release.why)
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
