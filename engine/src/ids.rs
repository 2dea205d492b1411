//! Identifiers that cannot be mixed up: indexes into the dense tables of one plan.

use serde::{Deserialize, Serialize};

/// A stage as written in the pipeline file; index into [`crate::plan::Plan::stages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StageId(pub u32);

/// A stage at one point of its axes, the unit that is scheduled and cached; index into [`crate::plan::Plan::instances`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId(pub u32);

/// A list of cells that one or many ports gather; index into [`crate::plan::Plan::gathers`]. Readers of the same cells have
/// the same number, so whatever is computed for a gather is computed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GatherId(pub u32);

impl StageId {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl InstanceId {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl GatherId {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
