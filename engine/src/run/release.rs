//! Whether what an instance made may be published, or a number of it reported: what the plan decides, and what only the record
//! of the work knows.
//!
//! A rule about numbers of subjects is declared by the kind and checked twice: the plan refuses it for outputs that
//! do not aggregate, and here the kind's own count, after absences, has to reach it.

use pipe_contract::Failure;

use super::lookup::Lookup;
use super::provenance::subjects_behind;
use crate::plan::{Link, ReleaseWhy, Unreleased};
use crate::report::cache_failure;

/// Why an artifact may not leave the restricted store; `None` if it may, or is not restricted.
pub(super) fn refusal(lookup: &Lookup<'_>, link: &Link) -> Result<Option<Unreleased>, Failure> {
    let plan = lookup.plan;
    if let Some(refusal) = plan.refusal(link) {
        return Ok(Some(refusal));
    }
    let (Link::Output { instance, port, .. }, Some(ReleaseWhy::Aggregate(least))) = (link, plan.release_of(link))
    else {
        return Ok(None);
    };
    // What did not end well is missing for that reason.
    let Some(key) = lookup.key_of(*instance) else { return Ok(None) };
    let Some(record) = lookup.store(*instance).record(&key).map_err(|error| cache_failure(&error))? else {
        return Ok(None);
    };
    let behind = subjects_behind(&record, port).unwrap_or(0);
    let why = format!("its release asks for {least} subjects behind everything that it shows, and there are {behind}");
    Ok(if behind < u64::from(*least) { plan.refusal_because(link, why) } else { None })
}
