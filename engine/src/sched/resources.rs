//! What a run may use at one time, which instance holds how much of it, and which goes first when it does not suffice.
//!
//! Amounts are named (`cpu`, `gpu`, `mem`, `net`), not a thread count. Queued instances that ask for the same
//! amounts form a class with a queue of its own, so choosing looks at one head per class and not at all instances.
//! A head that cannot start reserves the resources it lacks: no instance of lower rank takes more of those, while
//! others still start. So a stage that needs all processors is not starved by small ones, and a stage that waits
//! for the GPU does not stop those that need none.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use pipe_contract::Failure;

use crate::ids::InstanceId;
use crate::plan::{Amounts, Plan};

/// What a run may use at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// Processor slots (`-j`), at least 1.
    pub cpu: u32,
    /// The GPUs by their CUDA index; a slot is one whole GPU.
    pub gpus: Vec<u32>,
    /// Memory, bytes.
    pub mem: u64,
    /// How many instances may use the network at one time, at least 1.
    pub net: u32,
}

impl Capacities {
    /// As amounts of which a stage may need a part.
    pub fn amounts(&self) -> Amounts {
        let gpu = u32::try_from(self.gpus.len()).unwrap_or(u32::MAX);
        Amounts { cpu: self.cpu, gpu, mem: self.mem, net: self.net }
    }
}

/// What an instance holds while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Processor slots: the number of threads it may use.
    pub cpu: u32,
    /// CUDA indexes of its GPUs.
    pub gpus: Vec<u32>,
    /// Memory, bytes.
    pub mem: u64,
    /// Dag slots.
    pub net: u32,
}

/// Amounts in an arbitrary order, as the identity of a class.
type Shape = (u32, u32, u64, u32);

/// Which resources are short, one bit each.
type Short = u8;

/// The queued instances of one shape; the smallest rank goes first.
struct Class {
    amounts: Amounts,
    waiting: BinaryHeap<Reverse<u32>>,
}

/// Capacities, grants and the queues in front of them.
pub(super) struct Resources {
    capacities: Capacities,
    free: Capacities,
    classes: Vec<Class>,
    /// The class of each stage.
    class_of: Vec<u32>,
    grants: BTreeMap<InstanceId, Grant>,
}

impl Resources {
    /// Nothing is held, nothing waits.
    pub fn new(plan: &Plan, mut capacities: Capacities) -> Result<Self, Failure> {
        capacities.cpu = capacities.cpu.max(1);
        capacities.net = capacities.net.max(1);
        let mut shapes: BTreeMap<Shape, u32> = BTreeMap::new();
        let mut classes = Vec::new();
        let mut class_of = Vec::with_capacity(plan.stages.len());
        for stage in &plan.stages {
            let all = capacities.amounts();
            let amounts = stage.amounts.clone().clipped_to(&all);
            if let Some(why) = amounts.never_fits(&all) {
                return Err(Failure::environment(format!("stage `{}` {why}", stage.name))
                    .hint("lower its `resources:`, give it an alternative, or run it on a larger machine"));
            }
            let shape = (amounts.cpu, amounts.gpu, amounts.mem, amounts.net);
            class_of.push(*shapes.entry(shape).or_insert_with(|| {
                classes.push(Class { amounts, waiting: BinaryHeap::new() });
                classes.len() as u32 - 1
            }));
        }
        Ok(Self { free: capacities.clone(), capacities, classes, class_of, grants: BTreeMap::new() })
    }

    /// Queues an instance of this stage under its rank.
    pub fn queue(&mut self, stage: usize, rank: u32) {
        self.classes[self.class_of[stage] as usize].waiting.push(Reverse(rank));
    }

    /// Takes the rank that may start now out of its queue, with the class whose amounts it is to be given; only ranks below
    /// `limit` are looked at.
    pub fn choose(&mut self, limit: u32) -> Option<(u32, usize)> {
        let head = |(class, waiting): (usize, &Class)| waiting.waiting.peek().map(|Reverse(rank)| (*rank, class));
        let mut heads: Vec<(u32, usize)> = self.classes.iter().enumerate().filter_map(head).collect();
        heads.sort_unstable();
        let mut reserved: Short = 0;
        for (rank, class) in heads.into_iter().take_while(|(rank, _)| *rank < limit) {
            let amounts = &self.classes[class].amounts;
            let lacking = self.lacking(amounts);
            if lacking == 0 && uses(amounts) & reserved == 0 {
                self.classes[class].waiting.pop();
                return Some((rank, class));
            }
            reserved |= lacking;
        }
        None
    }

    /// Gives an instance the amounts of its class; [`Resources::choose`] has seen that they are free.
    pub fn grant(&mut self, id: InstanceId, class: usize) -> Grant {
        let amounts = &self.classes[class].amounts;
        let keep = self.free.gpus.len() - amounts.gpu as usize;
        // The free list is ascending and used from its front, so one GPU at a time is always the first.
        let rest = self.free.gpus.split_off(amounts.gpu as usize);
        debug_assert_eq!(rest.len(), keep);
        let gpus = std::mem::replace(&mut self.free.gpus, rest);
        self.free.cpu -= amounts.cpu;
        self.free.mem -= amounts.mem;
        self.free.net -= amounts.net;
        let grant = Grant { cpu: amounts.cpu, gpus, mem: amounts.mem, net: amounts.net };
        self.grants.insert(id, grant.clone());
        grant
    }

    /// Takes back what an instance holds, if it holds anything.
    pub fn give_back(&mut self, id: InstanceId) {
        let Some(grant) = self.grants.remove(&id) else { return };
        self.free.cpu += grant.cpu;
        self.free.mem += grant.mem;
        self.free.net += grant.net;
        self.free.gpus.extend(grant.gpus);
        self.free.gpus.sort_unstable();
    }

    /// Empties all queues.
    pub fn clear_queues(&mut self) {
        for class in &mut self.classes {
            class.waiting.clear();
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.classes.iter().map(|class| class.waiting.len()).sum()
    }

    /// Whether an instance holds its amounts.
    pub fn holds(&self, id: InstanceId) -> bool {
        self.grants.contains_key(&id)
    }

    /// Compares what is free and what is held with what there is.
    pub fn check(&self) -> Result<(), String> {
        let held = |of: fn(&Grant) -> u64| self.grants.values().map(of).sum::<u64>();
        let (free, all) = (&self.free, &self.capacities);
        let mut gpus: Vec<u32> =
            free.gpus.iter().chain(self.grants.values().flat_map(|grant| &grant.gpus)).copied().collect();
        gpus.sort_unstable();
        let mut known = all.gpus.clone();
        known.sort_unstable();
        let agrees = u64::from(free.cpu) + held(|grant| u64::from(grant.cpu)) == u64::from(all.cpu)
            && free.mem + held(|grant| grant.mem) == all.mem
            && u64::from(free.net) + held(|grant| u64::from(grant.net)) == u64::from(all.net)
            && gpus == known;
        if agrees {
            return Ok(());
        }
        Err(format!("free {free:?} and held {:?} are not together {all:?}", self.grants))
    }

    fn lacking(&self, amounts: &Amounts) -> Short {
        let short = |wanted: u64, free: u64, bit: u8| if wanted > free { 1 << bit } else { 0 };
        short(amounts.cpu.into(), self.free.cpu.into(), 0)
            | short(amounts.gpu.into(), self.free.gpus.len() as u64, 1)
            | short(amounts.mem, self.free.mem, 2)
            | short(amounts.net.into(), self.free.net.into(), 3)
    }
}

fn uses(amounts: &Amounts) -> Short {
    u8::from(amounts.cpu > 0)
        | u8::from(amounts.gpu > 0) << 1
        | u8::from(amounts.mem > 0) << 2
        | u8::from(amounts.net > 0) << 3
}
