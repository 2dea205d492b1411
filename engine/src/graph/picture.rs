//! What all output formats share: nodes with their lines of text, edges with their ports.

use std::collections::BTreeMap;

use super::{State, View};
use crate::ids::InstanceId;
use crate::plan::{Link, Plan, Source, Stage, Work};

/// A drawable graph. Nodes are in topological order, files first.
pub(super) struct Picture {
    pub title: String,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

/// A box.
pub(super) struct Node {
    /// Unique, made of letters, digits and `_`.
    pub id: String,
    pub name: String,
    /// The kind, or `run`; empty for files.
    pub work: String,
    /// `inputs x outputs = 16`; empty without axes.
    pub axes: String,
    /// How many instances in each state.
    pub states: BTreeMap<State, usize>,
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
    pub gathers: Option<usize>,
}

impl Node {
    /// The state that colours it: the one that most needs to be seen.
    pub fn state(&self) -> Option<State> {
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
            Some(count) => format!("{} ({count})", self.input),
            None => self.input.clone(),
        }
    }
}

/// Collects nodes and edges; holds the node of each instance.
struct Builder<'a> {
    plan: &'a Plan,
    expand: bool,
    picture: Picture,
    /// Node by instance (expanded) or by stage (folded).
    places: Vec<usize>,
    files: BTreeMap<&'a std::path::Path, usize>,
}

impl Picture {
    pub fn new(plan: &Plan, view: View<'_>) -> Self {
        let title = match &plan.profile {
            Some(profile) => format!("{}, profile {profile}", plan.pipeline),
            None => plan.pipeline.clone(),
        };
        let picture = Picture { title, nodes: Vec::new(), edges: Vec::new() };
        let mut builder = Builder { plan, expand: view.expand, picture, places: Vec::new(), files: BTreeMap::new() };
        builder.add_files();
        builder.add_nodes(view.states);
        builder.add_edges();
        builder.add_results();
        builder.picture
    }
}

impl<'a> Builder<'a> {
    /// The instances whose inputs are rendered: all, or one a stage, because all cells of a stage read the same ports.
    fn readers(&self) -> Vec<InstanceId> {
        if self.expand {
            return self.plan.ids().collect();
        }
        let mut readers: Vec<InstanceId> =
            self.plan.stages.iter().map(|stage| InstanceId(stage.instances.start)).collect();
        readers.sort();
        readers
    }

    fn add_files(&mut self) {
        for reader in self.readers() {
            let plan: &'a Plan = self.plan;
            for source in plan.instance(reader).inputs.values() {
                for link in links(source) {
                    if let Link::File(path) = link {
                        self.add_file(path);
                    }
                }
            }
        }
    }

    fn add_file(&mut self, path: &'a std::path::Path) {
        if self.files.contains_key(path) {
            return;
        }
        self.files.insert(path, self.picture.nodes.len());
        let name = path.strip_prefix(&self.plan.folder).unwrap_or(path).display().to_string();
        let id = format!("file{}", self.files.len());
        self.picture.nodes.push(Node {
            id,
            name,
            work: String::new(),
            axes: String::new(),
            states: BTreeMap::new(),
            is_file: true,
            results: Vec::new(),
        });
    }

    fn add_nodes(&mut self, states: Option<&[State]>) {
        let count = if self.expand { self.plan.instances.len() } else { self.plan.stages.len() };
        self.places = vec![0; count];
        for reader in self.readers() {
            let stage_id = self.plan.instance(reader).stage;
            let stage = &self.plan.stages[stage_id.index()];
            let covered = if self.expand { reader.0..reader.0 + 1 } else { stage.instances.clone() };
            let mut tally = BTreeMap::new();
            for state in covered.filter_map(|id| states.and_then(|states| states.get(id as usize))) {
                *tally.entry(*state).or_insert(0) += 1;
            }
            let place = if self.expand { reader.index() } else { stage_id.index() };
            self.places[place] = self.picture.nodes.len();
            self.picture.nodes.push(Node {
                id: if self.expand { format!("i{}", reader.0) } else { identifier(&stage.name) },
                name: if self.expand { self.plan.label(reader) } else { stage.name.clone() },
                work: work(stage),
                axes: if self.expand { String::new() } else { axes(stage) },
                states: tally,
                is_file: false,
                results: Vec::new(),
            });
        }
    }

    fn place(&self, id: InstanceId) -> usize {
        self.places[if self.expand { id.index() } else { self.plan.instance(id).stage.index() }]
    }

    fn add_edges(&mut self) {
        for reader in self.readers() {
            let to = self.place(reader);
            let plan: &'a Plan = self.plan;
            for (input, source) in &plan.instance(reader).inputs {
                let mut seen: BTreeMap<(usize, &str), usize> = BTreeMap::new();
                for link in links(source) {
                    let (from, output) = match link {
                        Link::Output { instance, port, .. } => (self.place(*instance), &**port),
                        Link::File(path) => (self.files.get(path.as_path()).copied().unwrap_or_default(), ""),
                    };
                    *seen.entry((from, output)).or_insert(0) += 1;
                }
                let many = matches!(source, Source::Many(_)) && !self.expand;
                for ((from, output), count) in seen {
                    let gathers = many.then_some(count);
                    self.picture.edges.push(Edge {
                        from,
                        to,
                        output: output.to_owned(),
                        input: input.clone(),
                        gathers,
                    });
                }
            }
        }
    }

    fn add_results(&mut self) {
        for result in &self.plan.results {
            if let Link::Output { instance, .. } = &result.link {
                let place = self.place(*instance);
                self.picture.nodes[place].results.push(result.path.clone());
            }
        }
    }
}

fn links(source: &Source) -> Box<dyn Iterator<Item = &Link> + '_> {
    match source {
        Source::One(link) => Box::new(std::iter::once(link)),
        Source::Many(cells) => Box::new(cells.iter().map(|(_, link)| link)),
    }
}

fn work(stage: &Stage) -> String {
    match &stage.work {
        Work::Kind(kind) => kind.clone(),
        Work::Command(_) => "run".to_owned(),
    }
}

fn axes(stage: &Stage) -> String {
    if stage.axes.is_empty() {
        String::new()
    } else {
        format!("{} = {}", stage.axes.join(" x "), stage.instances.len())
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
