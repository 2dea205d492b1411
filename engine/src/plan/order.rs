//! The order in which stages can be resolved: a stage comes after those it reads. A cycle is reported with its chain.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use super::draft::Draft;
use super::planning::Planning;
use super::ports::Port;
use crate::diag::{Class, Diagnostic, Span};

/// Indexes of the drafts in topological order; among stages that could come next, the first of the file does.
/// `None` if there is a cycle, which is reported.
pub(super) fn order(context: &Planning<'_>, ports: &[Vec<Port>]) -> Option<Vec<usize>> {
    let drafts = &context.drafts;
    let reads: Vec<BTreeMap<usize, Span>> =
        ports.iter().map(|ports| ports.iter().flat_map(Port::stages).collect()).collect();
    let mut waits: Vec<usize> = reads.iter().map(BTreeMap::len).collect();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); drafts.len()];
    for (reader, stages) in reads.iter().enumerate() {
        stages.keys().for_each(|stage| readers[*stage].push(reader));
    }
    let mut ready: BTreeSet<usize> = (0..drafts.len()).filter(|stage| waits[*stage] == 0).collect();
    let mut order = Vec::with_capacity(drafts.len());
    while let Some(stage) = ready.pop_first() {
        order.push(stage);
        for reader in &readers[stage] {
            waits[*reader] -= 1;
            if waits[*reader] == 0 {
                ready.insert(*reader);
            }
        }
    }
    if order.len() < drafts.len() {
        context.env.errors.add_all(cycles(drafts, &reads));
        return None;
    }
    Some(order)
}

fn cycles(drafts: &[Draft<'_>], reads: &[BTreeMap<usize, Span>]) -> Vec<Diagnostic> {
    let mut graph: DiGraph<usize, ()> = DiGraph::new();
    let nodes: Vec<_> = (0..drafts.len()).map(|stage| graph.add_node(stage)).collect();
    for (reader, stages) in reads.iter().enumerate() {
        stages.keys().for_each(|stage| {
            graph.add_edge(nodes[reader], nodes[*stage], ());
        });
    }
    let mut found: Vec<BTreeSet<usize>> = tarjan_scc(&graph)
        .into_iter()
        .map(|component| component.into_iter().map(|node| graph[node]).collect())
        .filter(|stages: &BTreeSet<usize>| {
            stages.len() > 1 || stages.iter().any(|stage| reads[*stage].contains_key(stage))
        })
        .collect();
    found.sort();
    found.iter().map(|stages| cycle(drafts, reads, stages)).collect()
}

/// A shortest cycle through the first stage of a strongly connected set.
fn cycle(drafts: &[Draft<'_>], reads: &[BTreeMap<usize, Span>], stages: &BTreeSet<usize>) -> Diagnostic {
    let first = stages.iter().next().copied().unwrap_or_default();
    let chain = shortest(reads, stages, first);
    let name = |stage: usize| format!("`{}`", drafts[stage].name());
    let names: Vec<String> = chain.iter().chain([&first]).map(|stage| name(*stage)).collect();
    let message = format!("stages form a cycle: {}", names.join(" reads "));
    let next = |position: usize| chain.get(position + 1).copied().unwrap_or(first);
    let span =
        |position: usize| reads[chain[position]].get(&next(position)).copied().unwrap_or(drafts[first].entry.name.span);
    let mut error =
        Diagnostic::new(Class::Cycle, span(0), message).label(format!("{} reads {}", name(first), name(next(0))));
    for (position, stage) in chain.iter().enumerate().skip(1) {
        error = error.also(span(position), format!("{} reads {}", name(*stage), name(next(position))));
    }
    error.hint("a stage can only read outputs of earlier stages: remove one of these references")
}

/// Breadth first from `first` back to itself, inside `stages`.
fn shortest(reads: &[BTreeMap<usize, Span>], stages: &BTreeSet<usize>, first: usize) -> Vec<usize> {
    let mut paths = std::collections::VecDeque::from([vec![first]]);
    let mut seen = BTreeSet::new();
    while let Some(path) = paths.pop_front() {
        let last = path.last().copied().unwrap_or(first);
        if reads[last].contains_key(&first) {
            return path;
        }
        for next in reads[last].keys().filter(|next| stages.contains(next)) {
            if seen.insert(*next) {
                paths.push_back(path.iter().copied().chain([*next]).collect());
            }
        }
    }
    vec![first]
}
