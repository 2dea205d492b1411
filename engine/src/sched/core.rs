//! The states of a run's instances and the one door through which they change.

use std::collections::BTreeSet;

use pipe_contract::Failure;

use crate::ids::InstanceId;
use crate::plan::Plan;
use crate::sched::resources::{Capacities, Grant};

/// How an input port takes an absent artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A single required port: the reader is absent too.
    Required,
    /// An optional port (it stays unset) or a gather (the cell is recorded as absent): the reader is checked as usual.
    Optional,
}

/// Where an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Some input has not ended.
    Waiting,
    /// All inputs ended well; `run` decides whether it is a hit, must run, or waits (for a lock, before a retry).
    Checking,
    /// It must run and waits for its amounts.
    Queued,
    /// It holds its amounts.
    Running,
    /// It has ended, for good.
    Ended(Ending),
}

/// How an instance ended, without the particulars, which `run` keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its outputs were there.
    Hit,
    /// It worked.
    Ran,
    /// A missing cell; `origin` is the instance that found it missing (itself, or one upstream).
    Absent {
        /// Where the absence comes from.
        origin: InstanceId,
    },
    /// It went wrong.
    Failed,
    /// It never started, or was not started again.
    Skipped(Because),
    /// Not part of this run ([`Options::wanted`]); its readers use what earlier runs recorded.
    LeftOut,
}

/// Why an instance was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// This instance, which it needs directly or indirectly, failed; of several, the one with the smallest id.
    Failed(InstanceId),
    /// This instance failed and the run was asked to fail fast.
    FailFast(InstanceId),
    /// The run was stopped.
    Stopped,
}

/// How a run is scheduled.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Stop starting anything after the first failure.
    pub fail_fast: bool,
    /// Recorded durations in seconds by instance; where there is none, 1. Missing tail entries count as none.
    pub durations: Vec<Option<f64>>,
    /// Only these instances are in the run; `None` is all of them. See [`needed_by`].
    pub wanted: Option<Vec<bool>>,
    /// Test hook: ready instances are taken in an order drawn from this seed instead of by critical path.
    pub shuffle: Option<u64>,
}

/// How many instances are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// [`State::Waiting`].
    pub waiting: usize,
    /// [`State::Checking`].
    pub checking: usize,
    /// [`State::Queued`].
    pub queued: usize,
    /// [`State::Running`].
    pub running: usize,
    /// [`Ending::Hit`].
    pub hit: usize,
    /// [`Ending::Ran`].
    pub ran: usize,
    /// [`Ending::Absent`].
    pub absent: usize,
    /// [`Ending::Failed`].
    pub failed: usize,
    /// [`Ending::Skipped`].
    pub skipped: usize,
    /// [`Ending::LeftOut`].
    pub left_out: usize,
}

/// The scheduler of one run.
pub struct Core {
    _private: (),
}

impl Core {
    /// A run of `plan` that has not begun. `need` says how a port of an instance takes an absent input; it is asked
    /// for single references only.
    ///
    /// # Errors
    /// An instance asks for more memory, GPUs or network than `capacities` can ever give (`cpu` is clipped).
    pub fn new(
        plan: &Plan,
        capacities: Capacities,
        options: Options,
        need: impl FnMut(InstanceId, &str) -> Need,
    ) -> Result<Self, Failure> {
        unimplemented!()
    }

    /// The next instance whose inputs have all ended and about which nothing is decided; each is given out once.
    pub fn next_check(&mut self) -> Option<InstanceId> {
        unimplemented!()
    }

    /// `run` found that a checked instance is no hit.
    pub fn must_run(&mut self, id: InstanceId) {
        unimplemented!()
    }

    /// The next instance to start, with the amounts it now holds.
    pub fn next_start(&mut self) -> Option<(InstanceId, Grant)> {
        unimplemented!()
    }

    /// A running instance gives its amounts back and is to be tried again; `must_run` queues it when its pause is over.
    pub fn set_aside(&mut self, id: InstanceId) {
        unimplemented!()
    }

    /// A checked or running instance ended.
    pub fn end(&mut self, id: InstanceId, ending: Ending) {
        unimplemented!()
    }

    /// Starts nothing any more: whatever does not run is skipped. Running instances still end through [`Core::end`].
    pub fn stop(&mut self) {
        unimplemented!()
    }

    /// Instances whose end was decided here (skipped, absent through an input) since the last call, in order.
    pub fn settled(&mut self) -> Vec<(InstanceId, Ending)> {
        unimplemented!()
    }

    /// The state of an instance.
    pub fn state(&self, id: InstanceId) -> State {
        unimplemented!()
    }

    /// How many instances are in which state.
    pub fn counts(&self) -> Counts {
        unimplemented!()
    }

    /// Whether every instance has ended.
    pub fn is_done(&self) -> bool {
        unimplemented!()
    }

    /// The longest chain of recorded durations from the start of this instance to the end of the run, in seconds.
    pub fn remaining(&self, id: InstanceId) -> f64 {
        unimplemented!()
    }

    /// Compares counters, queues and amounts with the states they stand for.
    ///
    /// # Errors
    /// What does not agree; a defect of this module.
    pub fn check(&self) -> Result<(), String> {
        unimplemented!()
    }
}

/// Marks the `targets` and everything they read, directly or indirectly.
pub fn needed_by(plan: &Plan, targets: &BTreeSet<InstanceId>) -> Vec<bool> {
    unimplemented!()
}
