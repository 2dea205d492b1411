//! Which inputs of a stage that is about to start are damaged in the cache, and which instances made them. What happens then is decided in
//! `lost_outputs.rs`.

use std::collections::BTreeSet;

use pipe_cache::Error;
use pipe_contract::Failure;

use super::inputs::Inputs;
use super::storage::Storage;
use crate::ids::InstanceId;
use crate::plan::Link;

/// The instances that made what is to be read, where that is damaged. Makes the views it reads.
pub(super) fn lost_inputs(inputs: &Inputs<'_>, storage: Storage<'_>) -> Result<Vec<InstanceId>, Failure> {
    let mut lost = BTreeSet::new();
    for (link, found) in inputs.links() {
        let (Link::Output { instance, .. }, Ok(located)) = (link, found) else { continue };
        match located.path(storage.store(), Some(storage.session)) {
            Ok(_) => {}
            Err(Error::Damaged { .. }) => drop(lost.insert(*instance)),
            Err(error) => return Err(storage.failure(&error)),
        }
    }
    Ok(lost.into_iter().collect())
}
