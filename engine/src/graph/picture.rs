//! What all output formats share: nodes with their lines of text, edges with their ports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::file_nodes;
use super::graph_view::{GraphView, NodeState};
use crate::ids::{GatherId, InstanceId, StageId};
use crate::plan::{Link, Plan, ProjectFile, Source, Stage, Work};

/// A drawable graph. Nodes are in topological order, files first.
pub(super) struct Picture {
    pub title: String,
    /// How many stages, instances and results are shown.
    pub size: (usize, usize, usize),
    pub nodes: Vec<PictureNode>,
    pub edges: Vec<Edge>,
}

/// A box.
pub(super) struct PictureNode {
    /// Unique, made of letters, digits and `_`.
    pub id: String,
    pub name: String,
    /// The kind, or `run`; of several files how many.
    pub work: String,
    /// `inputs x outputs = 16`; empty without axes.
    pub axes: String,
    /// How many instances in each state.
    pub states: BTreeMap<NodeState, usize>,
    pub is_file: bool,
    /// Results that it publishes.
    pub results: Vec<String>,
}

/// An arrow.
pub(super) struct Edge {
    pub from: usize,
    pub to: usize,
    /// The output port; empty for files.
    pub output: String,
    /// The input port.
    pub input: String,
    /// How many artifacts one reader takes, if it gathers.
    pub gathers: Option<CellCounts>,
}

/// How many there are for one reader: the least and the most of all cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellCounts {
    pub least: usize,
    pub most: usize,
}

impl fmt::Display for CellCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CellCounts { least, most } = self;
        if least == most { write!(f, "{most}") } else { write!(f, "{least} to {most}") }
    }
}

impl PictureNode {
    /// The state that colours it: the one that most needs to be seen.
    pub fn state(&self) -> Option<NodeState> {
        self.states.keys().next_back().copied()
    }

    /// `3 ran, 17 hit`; empty without states.
    pub fn tally(&self) -> String {
        let parts: Vec<String> =
            self.states.iter().rev().map(|(state, count)| format!("{count} {}", state.word())).collect();
        parts.join(", ")
    }

    /// Its lines of text, the name first.
    pub fn lines(&self) -> Vec<String> {
        let lines = [self.name.clone(), self.work.clone(), self.axes.clone(), self.tally()];
        lines.into_iter().filter(|line| !line.is_empty()).collect()
    }
}

impl Edge {
    /// The words beside it: the input port, and how many it gathers.
    pub fn label(&self) -> String {
        match self.gathers {
            Some(counts) => format!("{} ({counts})", self.input),
            None => self.input.clone(),
        }
    }
}

/// What is shown as one box: an instance, or the cells of a stage.
struct Group {
    stage: StageId,
    instances: Vec<InstanceId>,
}

/// Where something that is read comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Origin<'a> {
    /// A group, by number, and its port.
    Output(usize, &'a str),
    /// Files of the project: one that all cells of the reader read, or those that differ from cell to cell.
    Files(BTreeSet<&'a ProjectFile>),
}

/// What the cells of a group read at one port.
struct PortReads<'a> {
    input: &'a str,
    gathers: bool,
    from: Vec<(Origin<'a>, CellCounts)>,
}

impl Picture {
    pub fn new(plan: &Plan, view: GraphView<'_>) -> Self {
        let title = match &plan.profile {
            Some(profile) => format!("{}, profile {profile}", plan.pipeline),
            None => plan.pipeline.clone(),
        };
        let groups = groups(plan, view);
        let places = places(plan, &groups);
        let reads: Vec<Vec<PortReads<'_>>> = groups.iter().map(|group| reads(plan, &places, group)).collect();
        let (mut nodes, files) = file_nodes(plan, &reads);
        let first = nodes.len();
        nodes.extend(groups.iter().map(|group| node(plan, view, group)));
        let mut results = 0;
        for result in &plan.results {
            let place = result.link.producer().and_then(|id| places[id.index()]);
            if let Some(place) = place {
                nodes[first + place].results.push(result.path.clone());
                results += 1;
            }
        }
        let edges =
            reads.iter().enumerate().flat_map(|(to, ports)| edges(ports, first, first + to, &files, view.expand));
        let stages: BTreeSet<StageId> = groups.iter().map(|group| group.stage).collect();
        let instances = groups.iter().map(|group| group.instances.len()).sum();
        Self { title, size: (stages.len(), instances, results), edges: edges.collect(), nodes }
    }
}

/// The groups in topological order.
fn groups(plan: &Plan, view: GraphView<'_>) -> Vec<Group> {
    let is_wanted = |id: &InstanceId| view.wanted.is_none_or(|wanted| wanted[id.index()]);
    if view.expand {
        let group = |id| Group { stage: plan.instance(id).stage, instances: vec![id] };
        return plan.ids().filter(is_wanted).map(group).collect();
    }
    let mut groups: Vec<Group> = (0..).map(StageId).zip(&plan.stages).map(|(id, stage)| group_of(id, stage)).collect();
    groups.iter_mut().for_each(|group| group.instances.retain(is_wanted));
    groups.retain(|group| !group.instances.is_empty());
    groups.sort_by_key(|group| group.instances[0]);
    groups
}

fn group_of(id: StageId, stage: &Stage) -> Group {
    Group { stage: id, instances: stage.instances.clone().map(InstanceId).collect() }
}

/// The group of each instance that is shown.
fn places(plan: &Plan, groups: &[Group]) -> Vec<Option<usize>> {
    let mut places = vec![None; plan.instances.len()];
    for (number, group) in groups.iter().enumerate() {
        group.instances.iter().for_each(|id| places[id.index()] = Some(number));
    }
    places
}

/// What the cells of a group read, port by port.
fn reads<'a>(plan: &'a Plan, places: &[Option<usize>], group: &Group) -> Vec<PortReads<'a>> {
    let inputs = || group.instances.iter().map(|id| &plan.instance(*id).inputs);
    let ports: BTreeSet<&str> = inputs().flat_map(|inputs| inputs.keys().map(String::as_str)).collect();
    let reads = |port: &'a str| {
        let mut gathers: BTreeSet<GatherId> = BTreeSet::new();
        // A gather that many cells read is walked once.
        let distinct = inputs().filter_map(|inputs| inputs.get(port)).filter(|source| match source {
            Source::One(_) => true,
            Source::Many(gather) => gathers.insert(*gather),
        });
        let cells: Vec<CellReads<'_>> = distinct.map(|source| cell_reads(plan, places, source)).collect();
        PortReads { input: port, from: merged(&cells), gathers: !gathers.is_empty() }
    };
    ports.into_iter().map(reads).collect()
}

/// What one cell reads at a port.
struct CellReads<'a> {
    outputs: BTreeMap<(usize, &'a str), usize>,
    files: BTreeSet<&'a ProjectFile>,
}

fn cell_reads<'a>(plan: &'a Plan, places: &[Option<usize>], source: &'a Source) -> CellReads<'a> {
    let mut reads = CellReads { outputs: BTreeMap::new(), files: BTreeSet::new() };
    for link in plan.links(source) {
        match link {
            Link::File(file) => drop(reads.files.insert(file)),
            Link::Output { instance, port, .. } => {
                if let Some(place) = places[instance.index()] {
                    *reads.outputs.entry((place, &**port)).or_insert(0) += 1;
                }
            }
        }
    }
    reads
}

/// What the cells of a group read together.
fn merged<'a>(cells: &[CellReads<'a>]) -> Vec<(Origin<'a>, CellCounts)> {
    let counts = |count: &dyn Fn(&CellReads<'a>) -> usize| CellCounts {
        least: cells.iter().map(count).min().unwrap_or(0),
        most: cells.iter().map(count).max().unwrap_or(0),
    };
    let outputs: BTreeSet<(usize, &str)> = cells.iter().flat_map(|cell| cell.outputs.keys().copied()).collect();
    let output = |from: (usize, &'a str)| {
        let counts = counts(&|cell| cell.outputs.get(&from).copied().unwrap_or(0));
        (Origin::Output(from.0, from.1), counts)
    };
    let all: BTreeSet<&ProjectFile> = cells.iter().flat_map(|cell| cell.files.iter().copied()).collect();
    let (common, others): (BTreeSet<_>, BTreeSet<_>) =
        all.into_iter().partition(|file| cells.iter().all(|cell| cell.files.contains(file)));
    let mut merged: Vec<(Origin<'_>, CellCounts)> = outputs.into_iter().map(output).collect();
    let once = CellCounts { least: 1, most: 1 };
    merged.extend(common.iter().map(|file| (Origin::Files(BTreeSet::from([*file])), once)));
    if !others.is_empty() {
        let counts = counts(&|cell| cell.files.difference(&common).count());
        merged.push((Origin::Files(others), counts));
    }
    merged
}

/// A node for each file or set of files that is read, and where it is.
fn file_nodes<'r, 'a>(
    plan: &Plan,
    reads: &'r [Vec<PortReads<'a>>],
) -> (Vec<PictureNode>, BTreeMap<&'r BTreeSet<&'a ProjectFile>, usize>) {
    let (mut nodes, mut places) = (Vec::new(), BTreeMap::new());
    for (origin, _) in reads.iter().flatten().flat_map(|port| &port.from) {
        let Origin::Files(files) = origin else { continue };
        if places.contains_key(files) {
            continue;
        }
        places.insert(files, nodes.len());
        nodes.push(PictureNode {
            id: format!("file{}", nodes.len() + 1),
            name: file_nodes::name_of(files, &plan.folder),
            work: if files.len() > 1 { format!("{} files", files.len()) } else { String::new() },
            axes: String::new(),
            states: BTreeMap::new(),
            is_file: true,
            results: Vec::new(),
        });
    }
    (nodes, places)
}

fn node(plan: &Plan, view: GraphView<'_>, group: &Group) -> PictureNode {
    let stage = &plan.stages[group.stage.index()];
    let mut states = BTreeMap::new();
    for state in group.instances.iter().filter_map(|id| view.states.and_then(|states| states.get(id.index()))) {
        *states.entry(*state).or_insert(0) += 1;
    }
    let (id, name, axes) = match group.instances.as_slice() {
        [instance] if view.expand => (format!("i{}", instance.0), plan.label(*instance), String::new()),
        instances => (identifier(&stage.name), stage.name.clone(), axes(stage, instances.len())),
    };
    PictureNode { id, name, work: work(stage), axes, states, is_file: false, results: Vec::new() }
}

/// The edges to one node; groups begin at node `first`.
fn edges(
    ports: &[PortReads<'_>],
    first: usize,
    to: usize,
    files: &BTreeMap<&BTreeSet<&ProjectFile>, usize>,
    expand: bool,
) -> Vec<Edge> {
    let edge = |port: &PortReads<'_>, (origin, counts): &(Origin<'_>, CellCounts)| {
        let (from, output) = match origin {
            Origin::Output(group, output) => (first + group, *output),
            Origin::Files(set) => (files.get(set).copied().unwrap_or_default(), ""),
        };
        let gathers = (port.gathers && !expand).then_some(*counts);
        Edge { from, to, output: output.to_owned(), input: port.input.to_owned(), gathers }
    };
    ports.iter().flat_map(|port| port.from.iter().map(move |from| edge(port, from))).collect()
}

fn work(stage: &Stage) -> String {
    match &stage.work {
        Work::Kind(kind) => kind.clone(),
        Work::Command(_) => "run".to_owned(),
    }
}

/// `inputs x outputs = 16`, or `= 3 of 16` where not all cells are shown.
fn axes(stage: &Stage, shown: usize) -> String {
    if stage.axes.is_empty() {
        return String::new();
    }
    let axes = stage.axes.join(" x ");
    match stage.instances.len() {
        all if all == shown => format!("{axes} = {all}"),
        all => format!("{axes} = {shown} of {all}"),
    }
}

/// A stage name in letters that DOT and Mermaid take unquoted; distinct names stay distinct.
fn identifier(name: &str) -> String {
    let mut id = String::from("s_");
    for character in name.chars() {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' => id.push(character),
            '_' => id.push_str("__"),
            '-' => id.push_str("_m"),
            _ => id.push_str("_d"),
        }
    }
    id
}
