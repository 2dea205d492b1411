//! The states of a run's instances and the one function that changes them.
//!
//! ```text
//! Waiting ──► Checking ──► Queued ──► Running ──► Committing ──► Ended(hit | ran | absent | failed | skipped | left out)
//!                             ▲          │            │
//!                             │          ▼            │
//!                             └─ Aside(key locked | before a retry)
//! ```
//! An end is for good, except where a reader finds what an instance made damaged: it is reopened (checked again), and
//! its reader waits again.
//! From every state an instance may be skipped; a checked one may be a hit, absent or failed without running.
//! What an absent input means to its readers is not decided here: they are checked like others.
//!
//! Nothing is decided about an instance before *all* its inputs have ended. So a skip is reported a little
//! later, but the end of a run, with its reasons, does not depend on the order in which instances ran.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use pipe_contract::Failure;

use crate::ids::InstanceId;
use crate::plan::Plan;
use crate::sched::dag::{Dag, DagNode};
use crate::sched::priority;
use crate::sched::resources::{Capacities, Grant, Resources};

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Some input has not ended.
    Waiting,
    /// No input failed and all have ended; `run` decides whether it is a hit, is absent, or must run.
    Checking,
    /// It must run and waits for its amounts.
    Queued,
    /// It holds its amounts.
    Running,
    /// Its work is over and its amounts are given back; what it made is being stored.
    Committing,
    /// It started, could not go on, and holds no amounts until `run` queues it again.
    Aside(Aside),
    /// It has ended, for good.
    Ended(Ending),
}

/// Why an instance that was started waits to be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// Another process works on the same key and has locked it.
    KeyLocked,
    /// An attempt failed for a reason that may pass, and the pause before the next one is not over.
    BeforeRetry,
}

/// How an instance ended, without the particulars, which `run` keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its outputs were there.
    Hit,
    /// It succeeded.
    Ran,
    /// A missing cell.
    Absent,
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
    /// This instance failed in a run with the option to fail fast.
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
    /// Only these instances are in the run; `None` is all of them. See [`needed_by`](super::needed_by).
    pub wanted: Option<Vec<bool>>,
    /// Test hook: ready instances are taken in an order sampled from this seed instead of by critical path.
    pub shuffle: Option<u64>,
}

/// How many instances are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// [`State::Waiting`].
    pub waiting: usize,
    /// [`State::Checking`].
    pub checking: usize,
    /// [`State::Queued`].
    pub queued: usize,
    /// [`State::Running`].
    pub running: usize,
    /// [`State::Committing`].
    pub committing: usize,
    /// [`Aside::KeyLocked`].
    pub key_locked: usize,
    /// [`Aside::BeforeRetry`].
    pub before_retry: usize,
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
    dag: Dag,
    stage_of: Vec<u32>,
    states: Vec<State>,
    counts: StateCounts,
    /// By node: edges whose other end has not ended.
    pending: Vec<u32>,
    /// By node: the smallest failed instance above it, [`STOPPED`] or [`NO_INSTANCE`].
    failed_above: Vec<u32>,
    /// Ranks of instances in `Checking` that [`Core::next_check`] has not given out.
    checks: BinaryHeap<Reverse<u32>>,
    resources: Resources,
    /// Position in the order of starting, by instance, and back.
    rank_of: Vec<u32>,
    by_rank: Vec<InstanceId>,
    longest: Vec<f64>,
    settled: Vec<(InstanceId, Because)>,
    fail_fast: bool,
    /// Set once nothing may start any more.
    stopped: bool,
    /// See [`Core::defect`].
    defect: Option<String>,
}

const NO_INSTANCE: u32 = u32::MAX;
/// Larger than any instance, so that a failure is named before a stop.
const STOPPED: u32 = u32::MAX - 1;

impl Core {
    /// A run of `plan` that has not begun.
    ///
    /// # Errors
    /// A stage asks for more memory, GPUs or network than `capacities` can ever give (`cpu` is clipped).
    pub fn new(plan: &Plan, capacities: Capacities, options: Options) -> Result<Self, Failure> {
        let dag = Dag::new(plan);
        let resources = Resources::new(plan, capacities)?;
        let longest = dag.critical_paths(|id| priority::duration(&options.durations, id));
        let by_rank = priority::order(plan, &longest, &options.durations, options.shuffle);
        let mut rank_of = vec![0; by_rank.len()];
        for (rank, id) in by_rank.iter().enumerate() {
            rank_of[id.index()] = rank as u32;
        }
        let mut core = Self {
            stage_of: plan.instances.iter().map(|instance| instance.stage.0).collect(),
            states: vec![State::Waiting; dag.instances()],
            counts: StateCounts { waiting: dag.instances(), ..StateCounts::default() },
            pending: dag.inputs().to_vec(),
            failed_above: vec![NO_INSTANCE; dag.nodes()],
            checks: BinaryHeap::new(),
            resources,
            rank_of,
            by_rank,
            longest,
            settled: Vec::new(),
            fail_fast: options.fail_fast,
            stopped: false,
            defect: None,
            dag,
        };
        core.open(options.wanted.as_deref());
        Ok(core)
    }

    /// Leaves out what is not wanted; what has no inputs to wait for is ready to be checked.
    fn open(&mut self, wanted: Option<&[bool]>) {
        let is_wanted = |index: usize| wanted.is_none_or(|wanted| wanted.get(index).copied().unwrap_or(false));
        // Two passes: no instance is checked before everything that is left out has ended.
        for index in (0..self.states.len()).filter(|index| !is_wanted(*index)) {
            self.set(InstanceId(index as u32), State::Ended(Ending::LeftOut));
        }
        let free: Vec<InstanceId> = (0..self.states.len() as u32)
            .map(InstanceId)
            .filter(|id| self.states[id.index()] == State::Waiting && self.pending[id.index()] == 0)
            .collect();
        for index in (0..self.states.len()).filter(|index| !is_wanted(*index)) {
            self.notify_readers(DagNode(index as u32), NO_INSTANCE);
        }
        for id in free {
            self.set(id, State::Checking);
        }
    }

    /// The next instance whose inputs have all ended and about which nothing is decided; each is given out once.
    pub fn next_check(&mut self) -> Option<InstanceId> {
        self.checks.pop().map(|Reverse(rank)| self.by_rank[rank as usize])
    }

    /// `run` found that a checked instance is not a hit, or that one that was set aside may start again. After a stop
    /// this is ignored: the instance is skipped already.
    pub fn must_run(&mut self, id: InstanceId) {
        if !self.is_skipped(id) {
            self.set(id, State::Queued);
        }
    }

    /// The next instance to start, with the amounts it now holds.
    pub fn next_start(&mut self) -> Option<(InstanceId, Grant)> {
        self.next_start_below(u32::MAX)
    }

    /// The work of a running instance is over: it gives its amounts back, and [`Core::end`] follows when its outputs are
    /// stored.
    pub fn commit(&mut self, id: InstanceId) {
        self.set(id, State::Committing);
    }

    /// As [`Core::next_start`] while an instance is being committed: only what will come before all its readers too, so
    /// that the order is the same as if it had ended already.
    pub fn next_start_during(&mut self, commit: InstanceId) -> Option<(InstanceId, Grant)> {
        let limit = self.first_reader(DagNode(commit.0));
        self.next_start_below(limit)
    }

    /// The smallest rank among the readers that wait for this node only, by however many edges.
    fn first_reader(&self, node: DagNode) -> u32 {
        let (mut first, mut open) = (u32::MAX, vec![node]);
        let mut edges = BTreeMap::<usize, u32>::new();
        while let Some(node) = open.pop() {
            for reader in self.dag.readers(node) {
                let edges = edges.entry(reader.index()).or_default();
                *edges += 1;
                if *edges == self.pending[reader.index()] {
                    match self.dag.instance(*reader) {
                        Some(id) => first = first.min(self.rank_of[id.index()]),
                        None => open.push(*reader),
                    }
                }
            }
        }
        first
    }

    fn next_start_below(&mut self, limit: u32) -> Option<(InstanceId, Grant)> {
        let (rank, class) = self.resources.choose(limit)?;
        let id = self.by_rank[rank as usize];
        let grant = self.resources.grant(id, class);
        self.set(id, State::Running);
        Some((id, grant))
    }

    /// A running instance, or one being committed, holds no amounts any more and is to be started again; [`Core::must_run`] queues it when what it
    /// waits for may be over. After a stop it is skipped instead.
    pub fn set_aside(&mut self, id: InstanceId, why: Aside) {
        if self.stopped {
            self.end(id, Ending::Skipped(Because::Stopped));
            self.settled.push((id, Because::Stopped));
        } else {
            self.set(id, State::Aside(why));
        }
    }

    /// An instance that was checked, running or being committed ended. For one that a stop has skipped meanwhile this is ignored.
    pub fn end(&mut self, id: InstanceId, ending: Ending) {
        if self.is_skipped(id) {
            return;
        }
        self.set(id, State::Ended(ending));
        self.notify_readers(DagNode(id.0), failed_for_readers(id, ending));
        if ending == Ending::Failed && self.fail_fast {
            self.skip_rest(Because::FailFast(id));
        }
    }

    /// What an instance made is lost: it is checked again, and whatever reads it is to wait for it again. Returns these
    /// readers, directly or through a gather, in whatever state: those that ended or run had what they needed; the others are
    /// given to [`Core::wait_again`] when their turn comes.
    pub fn reopen(&mut self, id: InstanceId) -> Vec<InstanceId> {
        self.set(id, State::Checking);
        let mut readers = Vec::new();
        let mut open = vec![DagNode(id.0)];
        while let Some(node) = open.pop() {
            for position in self.dag.range(node) {
                let reader = self.dag.reader(position);
                match self.dag.instance(reader) {
                    Some(reader) => readers.push(reader),
                    None if self.pending[reader.index()] == 0 => open.push(reader),
                    None => {}
                }
                self.pending[reader.index()] += 1;
            }
        }
        readers
    }

    /// A checked or running instance reads one that was reopened since: it gives its amounts back and waits, or is checked
    /// again if that one has ended meanwhile.
    pub fn wait_again(&mut self, id: InstanceId) {
        if self.is_skipped(id) {
            return;
        }
        self.set(id, State::Waiting);
        if self.pending[id.index()] == 0
            && let Some((node, failed)) = self.inputs_ended(DagNode(id.0))
        {
            self.notify_readers(node, failed);
        }
    }

    /// Starts nothing any more: whatever does not run is skipped. Instances that run or are being committed still end through [`Core::end`].
    pub fn stop(&mut self) {
        self.skip_rest(Because::Stopped);
    }

    /// Instances whose end was decided here (skipped) since the last call, in order.
    pub fn settled(&mut self) -> Vec<(InstanceId, Because)> {
        std::mem::take(&mut self.settled)
    }

    /// The state of an instance.
    pub fn state(&self, id: InstanceId) -> State {
        self.states[id.index()]
    }

    /// How many instances are in which state.
    pub fn counts(&self) -> StateCounts {
        self.counts
    }

    /// Whether nothing is started any more: the run was stopped, or a failure ended it.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether every instance has ended.
    pub fn is_done(&self) -> bool {
        let StateCounts { waiting, checking, queued, running, committing, key_locked, before_retry, .. } = self.counts;
        waiting + checking + queued + running + committing + key_locked + before_retry == 0
    }

    /// The longest chain of durations from the start of this instance to the end of the run, in seconds.
    pub fn remaining(&self, id: InstanceId) -> f64 {
        self.longest[id.index()]
    }

    /// The only place where a state changes, with its counters, queues and amounts.
    fn set(&mut self, id: InstanceId, next: State) {
        let before = self.states[id.index()];
        if !may_follow(before, next) {
            self.defect.get_or_insert_with(|| format!("instance {} was to go from {before:?} to {next:?}", id.0));
            return;
        }
        *self.counts.of(before) -= 1;
        *self.counts.of(next) += 1;
        self.states[id.index()] = next;
        if before == State::Running {
            self.resources.give_back(id);
        }
        match (before, next) {
            (State::Waiting | State::Ended(_), State::Checking) => self.checks.push(Reverse(self.rank_of[id.index()])),
            (_, State::Queued) => self.resources.queue(self.stage_of[id.index()] as usize, self.rank_of[id.index()]),
            _ => {}
        }
    }

    /// Takes one pending edge off every reader of an ended node, and on through junctions and through instances
    /// whose end follows from it.
    fn notify_readers(&mut self, node: DagNode, failed: u32) {
        let mut ended = vec![(node, failed)];
        while let Some((node, failed)) = ended.pop() {
            for position in self.dag.range(node) {
                let reader = self.dag.reader(position);
                let above = &mut self.failed_above[reader.index()];
                *above = failed.min(*above);
                self.pending[reader.index()] -= 1;
                if self.pending[reader.index()] == 0 {
                    ended.extend(self.inputs_ended(reader));
                }
            }
        }
    }

    /// All inputs of a node have ended. Returns the node if it has thereby ended itself.
    fn inputs_ended(&mut self, node: DagNode) -> Option<(DagNode, u32)> {
        let failed = self.failed_above[node.index()];
        let Some(id) = self.dag.instance(node) else { return Some((node, failed)) };
        if self.states[id.index()] != State::Waiting {
            return None; // Skipped by a stop, or left out: its readers were notified then.
        }
        let because = match failed {
            NO_INSTANCE => {
                self.set(id, State::Checking);
                return None;
            }
            STOPPED => Because::Stopped,
            root => Because::Failed(InstanceId(root)),
        };
        self.set(id, State::Ended(Ending::Skipped(because)));
        self.settled.push((id, because));
        Some((node, failed))
    }

    /// Skips whatever has not started.
    fn skip_rest(&mut self, because: Because) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        self.checks.clear();
        self.resources.clear_queues();
        let waits = |state: &State| matches!(state, State::Waiting | State::Checking | State::Queued | State::Aside(_));
        let rest: Vec<InstanceId> =
            (0..self.states.len() as u32).map(InstanceId).filter(|id| waits(&self.states[id.index()])).collect();
        // All of them first, so that none is checked again when its inputs end.
        for id in &rest {
            self.set(*id, State::Ended(Ending::Skipped(because)));
            self.settled.push((*id, because));
        }
        for id in rest {
            self.notify_readers(DagNode(id.0), failed_for_readers(id, Ending::Skipped(because)));
        }
    }

    fn is_skipped(&self, id: InstanceId) -> bool {
        self.stopped && matches!(self.states[id.index()], State::Ended(Ending::Skipped(_)))
    }

    /// A requested change that is not allowed: a defect of the caller. The change was not made, so a run that
    /// goes on would wait for ever.
    pub fn defect(&self) -> Option<&str> {
        self.defect.as_deref()
    }

    /// Compares counters, queues and amounts with the states they count. Walks the whole plan: for tests.
    ///
    /// # Errors
    /// What does not agree; a defect of this module or of its caller.
    pub fn check(&self) -> Result<(), String> {
        if let Some(defect) = &self.defect {
            return Err(defect.clone());
        }
        let mut counts = StateCounts::default();
        for state in &self.states {
            *counts.of(*state) += 1;
        }
        let agree =
            |what: &str, holds: bool| if holds { Ok(()) } else { Err(format!("{what} do not agree with states")) };
        agree("counters", counts == self.counts)?;
        agree("queues", self.resources.waiting() == counts.queued)?;
        agree("checks", self.checks.len() <= counts.checking)?;
        let holds = |(index, state): (usize, &State)| {
            self.resources.holds(InstanceId(index as u32)) == (*state == State::Running)
        };
        agree("amounts", self.states.iter().enumerate().all(holds))?;
        agree("pending inputs", self.recount() == self.pending)?;
        self.resources.check()
    }

    /// What [`Core::pending`] should be, from the states alone.
    fn recount(&self) -> Vec<u32> {
        let mut pending = self.dag.inputs().to_vec();
        let nodes = (0..self.dag.nodes() as u32).map(DagNode);
        let (instances, junctions): (Vec<DagNode>, Vec<DagNode>) =
            nodes.partition(|node| self.dag.instance(*node).is_some());
        for node in instances {
            if matches!(self.states[node.index()], State::Ended(_)) {
                self.dag.readers(node).iter().for_each(|reader| pending[reader.index()] -= 1);
            }
        }
        for node in junctions {
            // A gather without cells of this run never ends and is not waited for.
            if pending[node.index()] == 0 && self.dag.inputs()[node.index()] > 0 {
                self.dag.readers(node).iter().for_each(|reader| pending[reader.index()] -= 1);
            }
        }
        pending
    }
}

/// Which changes there are.
fn may_follow(before: State, next: State) -> bool {
    use State::{Checking, Committing, Ended, Queued, Running, Waiting};
    matches!(
        (before, next),
        (Waiting, Checking | Ended(Ending::Skipped(_) | Ending::LeftOut))
            | (Checking, Queued | Ended(Ending::Hit | Ending::Absent | Ending::Failed | Ending::Skipped(_)))
            | (Queued, Running | Ended(Ending::Skipped(_)))
            | (Running, Committing | Ended(Ending::Hit))
            | (Running | Committing, State::Aside(_) | Ended(Ending::Ran | Ending::Absent))
            | (Running | Committing, Ended(Ending::Failed | Ending::Skipped(_)))
            | (State::Aside(_), Queued | Ended(Ending::Skipped(_)))
            | (Checking | Running, Waiting)
            | (Ended(Ending::Hit | Ending::Ran), Checking)
    )
}

impl StateCounts {
    fn of(&mut self, state: State) -> &mut usize {
        match state {
            State::Waiting => &mut self.waiting,
            State::Checking => &mut self.checking,
            State::Queued => &mut self.queued,
            State::Running => &mut self.running,
            State::Committing => &mut self.committing,
            State::Aside(Aside::KeyLocked) => &mut self.key_locked,
            State::Aside(Aside::BeforeRetry) => &mut self.before_retry,
            State::Ended(Ending::Hit) => &mut self.hit,
            State::Ended(Ending::Ran) => &mut self.ran,
            State::Ended(Ending::Absent) => &mut self.absent,
            State::Ended(Ending::Failed) => &mut self.failed,
            State::Ended(Ending::Skipped(_)) => &mut self.skipped,
            State::Ended(Ending::LeftOut) => &mut self.left_out,
        }
    }
}

/// What the end of an instance adds to [`Core::failed_above`] of its readers.
fn failed_for_readers(id: InstanceId, ending: Ending) -> u32 {
    match ending {
        Ending::Hit | Ending::Ran | Ending::Absent | Ending::LeftOut => NO_INSTANCE,
        Ending::Failed => id.0,
        Ending::Skipped(Because::Failed(root) | Because::FailFast(root)) => root.0,
        Ending::Skipped(Because::Stopped) => STOPPED,
    }
}
