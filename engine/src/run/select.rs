//! What people mean by `score` or `score(sid=s03)`.

use std::collections::BTreeSet;

use pipe_contract::Failure;

use crate::ids::InstanceId;
use crate::plan::Plan;

/// The instances of a stage by name, narrowed by coordinates if there are any: `score`, `score(sid=s03)`,
/// `score(outputs=area, sid=s03)`.
///
/// # Errors
/// No such stage, axis or coordinate; the nearest known name is the hint.
pub fn named(plan: &Plan, text: &str) -> Result<BTreeSet<InstanceId>, Failure> {
    unimplemented!()
}
