//! What a run would do, instance by instance, with the reasons.

use crate::ids::InstanceId;
use crate::key::Reason;

/// What a run would do with every instance, indexed by [`InstanceId`].
#[derive(Clone, Debug)]
pub struct Status {
    /// One for every instance of the plan.
    pub standings: Vec<Standing>,
    /// Recorded seconds of the last work of every instance, where known.
    pub seconds: Vec<Option<f64>>,
}

/// What a run would do with one instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Its outputs are there.
    Hit,
    /// Recorded as a missing cell, or it needs one.
    Absent {
        /// The cause.
        cause: String,
    },
    /// It would run, for these reasons; a reason's `Display` is a sentence without a full stop.
    Runs {
        /// Not empty.
        reasons: Vec<Reason>,
    },
    /// It may run: its key needs the outputs of instances that would run. If those come out as before, it is a hit.
    Depends {
        /// The instances that would run or depend themselves and that it reads, ascending.
        on: Vec<InstanceId>,
    },
    /// Not part of the selection.
    LeftOut,
}
