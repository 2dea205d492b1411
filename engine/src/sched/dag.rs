//! Which instance waits for which, in flat arrays.
//!
//! Nodes are the instances, followed by one *junction* for every distinct gather. A gather's cells point to its
//! junction and the junction points to its readers, so 5,000 readers of the same 5,000 cells cost 10,000 edges
//! and not 25 million. Readers of the same cells have the same gather in the plan.
//! Edges run from a node to those that read it and are counted, not deduplicated: a reader waits for each of them.

use std::collections::BTreeSet;

use crate::ids::InstanceId;
use crate::plan::{Link, Plan, Source};

/// An instance or a junction; instances come first and keep their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DagNode(pub u32);

impl DagNode {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The graph of one plan.
pub(super) struct Dag {
    instances: u32,
    /// The readers of node `i` are `readers[first[i]..first[i + 1]]`.
    first: Vec<u32>,
    readers: Vec<DagNode>,
    /// How many edges end at a node.
    inputs: Vec<u32>,
}

impl Dag {
    /// The graph of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let mut edges = Edges { list: Vec::new(), nodes: plan.instances.len() as u32 };
        let mut junctions: Vec<Option<Option<DagNode>>> = vec![None; plan.gathers.len()];
        for id in plan.ids() {
            let reader = DagNode(id.0);
            for source in plan.instance(id).inputs.values() {
                match source {
                    Source::One(Link::Output { instance, .. }) => edges.add(DagNode(instance.0), reader),
                    Source::One(Link::File(_)) => {}
                    Source::Many(gather) => {
                        let links = plan.gather(*gather).iter().map(|(_, link)| link);
                        let junction = *junctions[gather.index()].get_or_insert_with(|| edges.junction(links));
                        if let Some(junction) = junction {
                            edges.add(junction, reader);
                        }
                    }
                }
            }
        }
        edges.into_dag(plan.instances.len() as u32)
    }

    /// How many instances there are.
    pub fn instances(&self) -> usize {
        self.instances as usize
    }

    /// How many instances and junctions there are.
    pub fn nodes(&self) -> usize {
        self.inputs.len()
    }

    /// The instance a node is, unless it is a junction.
    pub fn instance(&self, node: DagNode) -> Option<InstanceId> {
        (node.0 < self.instances).then_some(InstanceId(node.0))
    }

    /// The readers of a node.
    pub fn readers(&self, node: DagNode) -> &[DagNode] {
        &self.readers[self.range(node)]
    }

    /// The positions of a node's edges, for walks that change other tables meanwhile.
    pub fn range(&self, node: DagNode) -> std::ops::Range<usize> {
        self.first[node.index()] as usize..self.first[node.index() + 1] as usize
    }

    /// The reader at a position.
    pub fn reader(&self, position: usize) -> DagNode {
        self.readers[position]
    }

    /// How many edges end at each node.
    pub fn inputs(&self) -> &[u32] {
        &self.inputs
    }

    /// For each instance the longest sum of durations on a path that starts with it.
    pub fn critical_paths(&self, duration: impl Fn(InstanceId) -> f64) -> Vec<f64> {
        // Readers have larger ids than what they read, also through a junction, so going down visits readers first.
        let mut longest = vec![0.0_f64; self.instances as usize];
        let mut behind = vec![None; self.nodes() - self.instances as usize];
        for id in (0..self.instances).rev() {
            let mut after = 0.0_f64;
            for node in self.readers(DagNode(id)).iter().copied() {
                let path = match self.instance(node) {
                    Some(reader) => longest[reader.index()],
                    None => *behind[node.index() - self.instances()].get_or_insert_with(|| {
                        self.readers(node).iter().map(|reader| longest[reader.index()]).fold(0.0, f64::max)
                    }),
                };
                after = after.max(path);
            }
            longest[id as usize] = after + duration(InstanceId(id));
        }
        longest
    }
}

/// Edges as they are found, before they are sorted by the node that is read.
struct Edges {
    list: Vec<(DagNode, DagNode)>,
    nodes: u32,
}

impl Edges {
    fn add(&mut self, read: DagNode, reader: DagNode) {
        self.list.push((read, reader));
    }

    /// A junction for these cells, or none if all of them are files of the project: there is nothing to wait for.
    fn junction<'a>(&mut self, links: impl Iterator<Item = &'a Link>) -> Option<DagNode> {
        let junction = DagNode(self.nodes);
        let before = self.list.len();
        for link in links {
            if let Link::Output { instance, .. } = link {
                self.add(DagNode(instance.0), junction);
            }
        }
        let waits = self.list.len() > before;
        self.nodes += u32::from(waits);
        waits.then_some(junction)
    }

    fn into_dag(self, instances: u32) -> Dag {
        let nodes = self.nodes as usize;
        let mut first = vec![0_u32; nodes + 1];
        let mut inputs = vec![0_u32; nodes];
        for (read, reader) in &self.list {
            first[read.index() + 1] += 1;
            inputs[reader.index()] += 1;
        }
        for index in 0..nodes {
            first[index + 1] += first[index];
        }
        let mut next = first.clone();
        let mut readers = vec![DagNode(0); self.list.len()];
        for (read, reader) in self.list {
            let position = &mut next[read.index()];
            readers[*position as usize] = reader;
            *position += 1;
        }
        Dag { instances, first, readers, inputs }
    }
}

/// Marks the `targets` and everything they read, directly or indirectly.
pub fn needed_by(plan: &Plan, targets: &BTreeSet<InstanceId>) -> Vec<bool> {
    let mut needed = vec![false; plan.instances.len()];
    for target in targets {
        needed[target.index()] = true;
    }
    let mut walked = vec![false; plan.gathers.len()];
    // Readers have larger ids, so one pass down is enough; a gather that many read is walked once.
    for index in (0..plan.instances.len()).rev() {
        if !needed[index] {
            continue;
        }
        for source in plan.instances[index].inputs.values() {
            if let Source::Many(gather) = source
                && std::mem::replace(&mut walked[gather.index()], true)
            {
                continue;
            }
            plan.links(source).filter_map(Link::producer).for_each(|producer| needed[producer.index()] = true);
        }
    }
    needed
}
