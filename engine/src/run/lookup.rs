//! Looks up instances: what their inputs are, what their key is, what is recorded under it. Starts and stores nothing.
//!
//! An instance can be looked up when all it reads has been. Each instance is looked up once: what is found is saved, and
//! its readers use the digests of content from there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use pipe_cache::{
    Action, Artifact, Blob, Content, ContentForm, Digest, Filter, IGNORED, Made, Store, Stored, Tree, Visible,
    is_missing,
};
use pipe_contract::{Arity, Coordinates, Failure, Kind, Presence, Registry, Value};

use super::state_dir::LocalState;
use crate::exec;
use crate::ids::InstanceId;
use crate::key::{self, CellList, CellState, Input, KeyParts, Parts, Reason};
use crate::plan::{Command, GatherId, Link, Plan, ProjectFile, Source, Stage, Work};
use crate::report::{cache_failure, project_root};

/// Looks up the instances of one plan.
pub(super) struct Lookup<'a> {
    pub plan: &'a Plan,
    pub store: &'a Store,
    pub local: LocalState,
    /// The caller's `PATH`, in which tools of commands are found.
    search: OsString,
    stages: Vec<Declared<'a>>,
    known: Vec<Known>,
    keys: Vec<Option<Digest<Action>>>,
    gathers: BTreeMap<GatherId, Gathered>,
    files: BTreeMap<Arc<ProjectFile>, Visible>,
    /// By what they ignore and show; a filter is made of patterns, which costs more than using it.
    filters: BTreeMap<FilterRule, Rc<Filter>>,
    trees: BTreeMap<Digest<Content>, Rc<Tree>>,
    /// By declared tools and the opening of the body: ten thousand stages may use the same tool.
    facts: BTreeMap<(String, String), exec::Facts>,
    buffer: Vec<u8>,
}

/// [`ProjectFile::ignore`] and [`ProjectFile::only`].
type FilterRule = (Option<Vec<String>>, Option<String>);

/// What is known of an instance's outputs.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// It was not looked up, or cannot be yet.
    Open,
    /// Its outputs, in the store.
    Outputs(Rc<[Stored]>),
    /// A missing cell, found by `origin`.
    Absent { cause: Rc<str>, origin: InstanceId },
}

/// An artifact at the other end of a link.
#[derive(Clone, Debug)]
pub(super) enum Linked {
    Present(Artifact),
    Absent {
        cause: Rc<str>,
        origin: InstanceId,
    },
    /// This instance is not known.
    Open(InstanceId),
}

/// The outcome of a lookup.
#[derive(Clone, Debug)]
pub(super) enum LookupOutcome {
    Hit,
    /// Recorded, or an input that it needs is absent (`origin` is another instance then).
    Absent {
        cause: Rc<str>,
        origin: InstanceId,
    },
    Miss(Miss),
    /// Inputs are not known: these instances.
    Blocked(Vec<InstanceId>),
    Failed(Failure),
}

/// Work that is not recorded.
#[derive(Clone, Debug)]
pub(super) struct Miss {
    pub key: Digest<Action>,
    cause: MissCause,
}

#[derive(Clone, Debug)]
enum MissCause {
    NoRecord,
    Damaged(Vec<Blob>),
    Forced,
    RetryAbsent(String),
}

impl Miss {
    /// Whether there may be a record that is to be replaced.
    pub fn ignores_records(&self) -> bool {
        matches!(self.cause, MissCause::Forced)
    }
}

/// Which records lookups ignore.
#[derive(Clone, Debug, Default)]
pub(super) struct LookupOptions {
    /// All records of these instances.
    pub forced: BTreeSet<InstanceId>,
    /// Recorded absences.
    pub absences: bool,
}

/// A stage with what its kind declares.
struct Declared<'a> {
    work: Declaration<'a>,
    simulated: Option<bool>,
}

enum Declaration<'a> {
    Kind {
        kind: &'a Kind,
        neutral: Vec<(&'a str, &'a Value)>,
    },
    Command {
        command: &'a Arc<Command>,
    },
    /// The plan names a kind that the registry does not have.
    Unknown(&'a str),
}

#[derive(Clone, Copy, Debug)]
struct Gathered {
    digest: Digest<Content>,
    present: usize,
    cells: usize,
}

/// Inputs as they enter the key.
enum Inputs<'a> {
    Ready(Vec<(&'a str, Input)>),
    Absent { cause: Rc<str>, origin: InstanceId },
    Open(BTreeSet<InstanceId>),
}

impl<'a> Lookup<'a> {
    pub fn new(plan: &'a Plan, registry: &'a Registry, store: &'a Store, local: LocalState) -> Self {
        let declared = |stage: &'a Stage| match &stage.work {
            Work::Command(command) => Declared { work: Declaration::Command { command }, simulated: None },
            Work::Kind(name) => match registry.kind(name) {
                None => Declared { work: Declaration::Unknown(name), simulated: None },
                Some(kind) => Declared {
                    simulated: kind.stamped.then_some(plan.simulated),
                    work: Declaration::Kind { neutral: neutral(kind), kind },
                },
            },
        };
        Self {
            stages: plan.stages.iter().map(declared).collect(),
            known: vec![Known::Open; plan.instances.len()],
            keys: vec![None; plan.instances.len()],
            search: std::env::var_os("PATH").unwrap_or_default(),
            gathers: BTreeMap::new(),
            files: BTreeMap::new(),
            filters: BTreeMap::new(),
            trees: BTreeMap::new(),
            facts: BTreeMap::new(),
            buffer: Vec::new(),
            plan,
            store,
            local,
        }
    }

    /// The kind of an instance's stage; `None` for commands.
    pub fn kind(&self, id: InstanceId) -> Option<&'a Kind> {
        match &self.stages[self.plan.instance(id).stage.index()].work {
            Declaration::Kind { kind, .. } => Some(kind),
            _ => None,
        }
    }

    pub fn known(&self, id: InstanceId) -> &Known {
        &self.known[id.index()]
    }

    pub fn set_known(&mut self, id: InstanceId, known: Known) {
        self.known[id.index()] = known;
    }

    /// The key of an instance, if it was looked up so far.
    pub fn key_of(&self, id: InstanceId) -> Option<Digest<Action>> {
        self.keys[id.index()]
    }

    /// Whether an absent artifact at a single port makes the instance absent too.
    pub fn requires(&self, id: InstanceId, port: &str) -> bool {
        match self.kind(id).and_then(|kind| kind.input_named(port)) {
            Some(input) => !input.optional && input.arity == Arity::One,
            None => self.kind(id).is_none(),
        }
    }

    /// Looks up an instance and saves what is found.
    pub fn look_up(&mut self, id: InstanceId, lookup_options: &LookupOptions) -> LookupOutcome {
        self.try_look_up(id, lookup_options).unwrap_or_else(LookupOutcome::Failed)
    }

    /// Whether a stage has an output port.
    pub fn check_port(&self, id: InstanceId, port: &str) -> Result<(), Failure> {
        let ports: Vec<&str> = match &self.stages[self.plan.instance(id).stage.index()].work {
            Declaration::Kind { kind, .. } => kind.outputs.iter().map(|output| output.name).collect(),
            Declaration::Command { command } => command.out.keys().map(String::as_str).collect(),
            Declaration::Unknown(_) => Vec::new(),
        };
        if ports.contains(&port) {
            return Ok(());
        }
        let stage = &self.plan.stage_of(id).name;
        let there = ports.iter().map(|port| format!("`{port}`")).collect::<Vec<_>>().join(", ");
        Err(Failure::input(format!("stage `{stage}` has no output `{port}`")).hint(format!("it has {there}")))
    }

    fn try_look_up(&mut self, id: InstanceId, lookup_options: &LookupOptions) -> Result<LookupOutcome, Failure> {
        match &self.known[id.index()] {
            Known::Open => {}
            Known::Outputs(_) => return Ok(LookupOutcome::Hit),
            Known::Absent { cause, origin } => {
                return Ok(LookupOutcome::Absent { cause: Rc::clone(cause), origin: *origin });
            }
        }
        let inputs = match self.inputs(id)? {
            Inputs::Ready(inputs) => inputs,
            Inputs::Open(on) => return Ok(LookupOutcome::Blocked(on.into_iter().collect())),
            Inputs::Absent { cause, origin } => {
                self.set_known(id, Known::Absent { cause: Rc::clone(&cause), origin });
                return Ok(LookupOutcome::Absent { cause, origin });
            }
        };
        self.check_coverage(id)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let key = self.with_parts(id, &inputs, |parts| parts.key(&mut buffer));
        self.buffer = buffer;
        let key = key?;
        self.keys[id.index()] = Some(key);
        let miss = |cause| Ok(LookupOutcome::Miss(Miss { key, cause }));
        if lookup_options.forced.contains(&id) {
            return miss(MissCause::Forced);
        }
        match self.recall(&key)? {
            None => miss(MissCause::NoRecord),
            Some(Made::Absent { cause }) if lookup_options.absences => miss(MissCause::RetryAbsent(cause)),
            Some(Made::Absent { cause }) => {
                self.check_accepted(id, &cause)?;
                let cause: Rc<str> = cause.into();
                self.set_known(id, Known::Absent { cause: Rc::clone(&cause), origin: id });
                Ok(LookupOutcome::Absent { cause, origin: id })
            }
            Some(made) => {
                let missing = made.missing(self.store).map_err(|error| cache_failure(&error))?;
                match made {
                    Made::Outputs(outputs) if missing.is_empty() => {
                        self.set_known(id, Known::Outputs(outputs.into()));
                        Ok(LookupOutcome::Hit)
                    }
                    _ => miss(MissCause::Damaged(missing)),
                }
            }
        }
    }

    /// What is recorded under a key: in this machine's index, else in the store. Another process may have replaced a
    /// recorded absence by outputs, so then the store is read again.
    fn recall(&mut self, key: &Digest<Action>) -> Result<Option<Made>, Failure> {
        let failure = |error| cache_failure(&error);
        let remembered = self.local.index.get(key);
        if let Some(Made::Outputs(_)) = remembered {
            return Ok(remembered);
        }
        let Some(record) = self.store.record(key).map_err(failure)? else { return Ok(None) };
        if remembered.as_ref() != Some(&record.made) {
            self.local.index.put(key, &record.made).map_err(failure)?;
        }
        Ok(Some(record.made))
    }

    /// What another process published under a key since it was looked up, if it is whole.
    pub fn published_meanwhile(&mut self, id: InstanceId, key: &Digest<Action>) -> Result<bool, Failure> {
        let failure = |error| cache_failure(&error);
        let Some(record) = self.store.outputs(key).map_err(failure)? else { return Ok(false) };
        if !record.made.missing(self.store).map_err(failure)?.is_empty() {
            return Ok(false);
        }
        match record.made {
            Made::Absent { .. } => Ok(false),
            Made::Outputs(outputs) => {
                self.local.index.put(key, &Made::Outputs(outputs.clone())).map_err(failure)?;
                self.set_known(id, Known::Outputs(outputs.into()));
                Ok(true)
            }
        }
    }

    /// A stage lists the causes of absence it accepts; any other is a failure.
    pub fn check_accepted(&self, id: InstanceId, cause: &str) -> Result<(), Failure> {
        let stage = self.plan.stage_of(id);
        if stage.accepts_absent.iter().any(|accepted| accepted == cause) {
            return Ok(());
        }
        Err(Failure::stage(format!("the output is absent: {cause}"))
            .hint(format!("if such cells may be missing, add `absent: [{cause}]` to stage `{}`", stage.name)))
    }

    /// Inputs of an instance by port.
    fn inputs(&mut self, id: InstanceId) -> Result<Inputs<'a>, Failure> {
        let instance = self.plan.instance(id);
        let mut ready = Vec::with_capacity(instance.inputs.len());
        let mut open = BTreeSet::new();
        let mut absent: Option<(Rc<str>, InstanceId)> = None;
        for (port, source) in &instance.inputs {
            match source {
                Source::One(link) => match self.content(link)? {
                    Linked::Present(artifact) => ready.push((port.as_str(), Input::One((&artifact).into()))),
                    Linked::Open(on) => drop(open.insert(on)),
                    Linked::Absent { cause, origin } => {
                        // Of several, the one with the smallest id is named, as the scheduler does.
                        if self.requires(id, port) && absent.as_ref().is_none_or(|(_, earlier)| origin < *earlier) {
                            absent = Some((cause, origin));
                        }
                    }
                },
                Source::Many(cells) => match self.gathered(cells)? {
                    Ok(gathered) => ready.push((port.as_str(), Input::Many(gathered.digest))),
                    Err(on) => open.extend(on),
                },
            }
        }
        Ok(match (open.is_empty(), absent) {
            (false, _) => Inputs::Open(open),
            (true, Some((cause, origin))) => Inputs::Absent { cause, origin },
            (true, None) => Inputs::Ready(ready),
        })
    }

    /// What is at the other end of a link.
    pub fn content(&mut self, link: &Link) -> Result<Linked, Failure> {
        let (instance, port, entry) = match link {
            Link::File(path) => return self.file(path).map(Linked::Present),
            Link::Output { instance, port, entry } => (*instance, port, entry),
        };
        let outputs = match &self.known[instance.index()] {
            Known::Open => return Ok(Linked::Open(instance)),
            Known::Absent { cause, origin } => {
                return Ok(Linked::Absent { cause: Rc::clone(cause), origin: *origin });
            }
            Known::Outputs(outputs) => outputs,
        };
        let Some(stored) = outputs.iter().find(|stored| *stored.port == **port) else {
            let label = self.plan.label(instance);
            return Err(Failure::internal(format!("the record of `{label}` has no output `{port}`")));
        };
        let artifact = stored.artifact;
        match entry {
            None => Ok(Linked::Present(artifact)),
            Some(entry) => self.entry(&artifact, entry, instance, port).map(Linked::Present),
        }
    }

    /// One entry of a folder artifact.
    fn entry(&mut self, folder: &Artifact, entry: &str, of: InstanceId, port: &str) -> Result<Artifact, Failure> {
        let place = || format!("{}.{port}", self.plan.label(of));
        if folder.form != ContentForm::Folder {
            return Err(Failure::input(format!("`{}` is a file, so it has no entry `{entry}`", place())));
        }
        let tree = match self.trees.get(&folder.digest) {
            Some(tree) => Rc::clone(tree),
            None => Rc::new(self.store.tree(&folder.digest).map_err(|error| cache_failure(&error))?),
        };
        let found = tree.entry(entry).ok_or_else(|| {
            let nearest = tree
                .files()
                .map(|(name, _)| name)
                .max_by(|a, b| strsim::jaro(a, entry).total_cmp(&strsim::jaro(b, entry)).then_with(|| b.cmp(a)));
            let failure = Failure::input(format!("`{}` has no entry `{entry}`", place()));
            match nearest {
                Some(nearest) => failure.hint(format!("the nearest entry is `{nearest}`")),
                None => failure.hint("the folder is empty"),
            }
        })?;
        self.trees.insert(folder.digest, tree);
        Ok(found)
    }

    /// The content of a project file or folder.
    fn file(&mut self, file: &Arc<ProjectFile>) -> Result<Artifact, Failure> {
        if let Some(visible) = self.files.get(file) {
            return Ok(visible.artifact);
        }
        let visible = self.visible(file)?;
        let artifact = visible.artifact;
        self.files.insert(Arc::clone(file), visible);
        Ok(artifact)
    }

    /// The part of a folder of the project that a stage may see, if something in the folder is hidden from it.
    pub fn visible_part(&self, file: &ProjectFile) -> Option<&Tree> {
        self.files.get(file).and_then(|visible| visible.part.as_ref())
    }

    fn visible(&mut self, file: &ProjectFile) -> Result<Visible, Failure> {
        let filter = self.filter(file)?;
        let visible =
            self.local.sources.visible(&file.path, &filter).map_err(|error| unread(self.plan, file, &error))?;
        let empty =
            visible.artifact.bytes == 0 && visible.part.as_ref().is_none_or(|part| part.files().next().is_none());
        match &file.only {
            Some(glob) if empty || visible.artifact.form != ContentForm::Folder => {
                Err(Failure::input(format!("`{glob}` names no file in `{}`", file.path.display()))
                    .hint("`*` stops at `/`, `**` does not; ignored files do not count"))
            }
            _ => Ok(visible),
        }
    }

    fn filter(&mut self, file: &ProjectFile) -> Result<Rc<Filter>, Failure> {
        let wanted = (file.ignore.clone(), file.only.clone());
        if let Some(filter) = self.filters.get(&wanted) {
            return Ok(Rc::clone(filter));
        }
        let more = file.ignore.iter().flatten().map(String::as_str);
        let usual = IGNORED.iter().copied().filter(|_| file.ignore.is_some());
        let mut filter = Filter::new(usual.chain(more), file.only.as_deref()).map_err(Failure::input)?;
        if file.ignore.is_some() {
            filter = filter.hiding(written_by(self.plan));
        }
        let filter = Rc::new(filter);
        self.filters.insert(wanted, Rc::clone(&filter));
        Ok(filter)
    }

    /// Whether the project files that an instance reads are still those in its key.
    pub fn check_sources(&mut self, id: InstanceId) -> Result<(), Failure> {
        for link in links(self.plan, id) {
            let Link::File(path) = link else { continue };
            let now = self.visible(path)?.artifact;
            if self.files.get(path).is_none_or(|before| before.artifact != now) {
                return Err(Failure::environment(format!("`{}` changed while a stage was reading it", path.display()))
                    .hint("run again while no other process writes to it"));
            }
        }
        Ok(())
    }

    /// The digest of a gather, or the instances that are not known.
    fn gathered(&mut self, cells: &Arc<[(Coordinates, Link)]>) -> Result<Result<Gathered, Vec<InstanceId>>, Failure> {
        let gather = GatherId::of(cells);
        if let Some(gathered) = self.gathers.get(&gather) {
            return Ok(Ok(*gathered));
        }
        let (states, open) = self.cell_states(cells)?;
        if !open.is_empty() {
            return Ok(Err(open));
        }
        let list = CellList::encode(cells.iter().map(|(at, _)| at).zip(&states));
        let present = states.iter().filter(|state| matches!(state, CellState::Present(_))).count();
        let gathered = Gathered { digest: list.digest(), present, cells: cells.len() };
        self.gathers.insert(gather, gathered);
        Ok(Ok(gathered))
    }

    fn cell_states(&mut self, cells: &[(Coordinates, Link)]) -> Result<(Vec<CellState>, Vec<InstanceId>), Failure> {
        let mut states = Vec::with_capacity(cells.len());
        let mut open = Vec::new();
        for (_, link) in cells {
            match self.content(link)? {
                Linked::Present(artifact) => states.push(CellState::Present((&artifact).into())),
                Linked::Absent { cause, .. } => states.push(CellState::Absent(cause.to_string())),
                Linked::Open(on) => open.push(on),
            }
        }
        Ok((states, open))
    }

    /// The encoded lists of the gathers of an instance, to be stored beside its record.
    pub fn cell_lists(&mut self, id: InstanceId) -> Result<Vec<CellList>, Failure> {
        let mut lists = Vec::new();
        for source in self.plan.instance(id).inputs.values() {
            if let Source::Many(cells) = source {
                let (states, _) = self.cell_states(cells)?;
                lists.push(CellList::encode(cells.iter().map(|(at, _)| at).zip(&states)));
            }
        }
        Ok(lists)
    }

    /// `n of N` for every gather of an instance that has absent cells.
    pub fn coverage_notes(&mut self, id: InstanceId) -> Vec<String> {
        let gathers = self.plan.instance(id).inputs.iter().filter_map(|(port, source)| match source {
            Source::Many(cells) => Some((port, cells)),
            Source::One(_) => None,
        });
        let note = |(port, cells): (&String, &Arc<[(Coordinates, Link)]>)| {
            let gathered = self.gathers.get(&GatherId::of(cells))?;
            let Gathered { present, cells, .. } = gathered;
            (present < cells).then(|| format!("`{port}` has {present} of {cells} cells"))
        };
        gathers.filter_map(note).collect()
    }

    /// The share of present cells that the stage demands.
    fn check_coverage(&mut self, id: InstanceId) -> Result<(), Failure> {
        let plan = self.plan;
        for (port, least) in &plan.stage_of(id).coverage {
            let Some(Source::Many(cells)) = plan.instance(id).inputs.get(port) else { continue };
            let Ok(Gathered { present, cells, .. }) = self.gathered(cells)? else { continue };
            // 0.7 of ten cells are seven, though 0.7 has no exact binary form.
            if (present as f64) < least * cells as f64 - 1e-9 {
                return Err(Failure::input(format!(
                    "`{port}` has {present} of {cells} cells, but `coverage` demands {}",
                    Value::Float(*least)
                ))
                .hint("find out why cells are absent, or lower `coverage`"));
            }
        }
        Ok(())
    }

    /// The parts of an instance's key.
    fn with_parts<T>(
        &mut self,
        id: InstanceId,
        inputs: &[(&'a str, Input)],
        then: impl FnOnce(&Parts<'_>) -> T,
    ) -> Result<T, Failure> {
        let plan = self.plan;
        let instance = plan.instance(id);
        let declared = &self.stages[instance.stage.index()];
        let simulated = declared.simulated;
        let none = BTreeMap::new();
        let parts = Parts {
            kind: key::COMMAND,
            kind_version: key::COMMAND_VERSION,
            params: &instance.params,
            neutral: &[],
            inputs,
            at: &instance.at,
            axes: None,
            seed: instance.seed,
            simulated,
            facts: &none,
        };
        match &declared.work {
            Declaration::Kind { kind, neutral } => Ok(then(&Parts {
                kind: kind.key_name(),
                kind_version: kind.version,
                neutral,
                axes: Some(&kind.axes),
                ..parts
            })),
            Declaration::Command { command } => {
                let command = Arc::clone(command);
                let facts = self.command_facts(id)?.key;
                let facts = described(plan, id, &command, facts);
                Ok(then(&Parts { facts: &facts, ..parts }))
            }
            Declaration::Unknown(name) => {
                Err(Failure::internal(format!("the plan names kind `{name}`, which this program does not have")))
            }
        }
    }

    /// Facts of the tools of an instance that is a command.
    pub fn command_facts(&mut self, id: InstanceId) -> Result<exec::Facts, Failure> {
        let Work::Command(command) = &self.plan.stage_of(id).work else {
            return Err(Failure::internal(format!("`{}` is not a command", self.plan.label(id))));
        };
        let tools = (format!("{:?}", command.tools), opening(&command.body));
        if let Some(facts) = self.facts.get(&tools) {
            return Ok(facts.clone());
        }
        self.local.recall_facts()?;
        let facts = exec::facts_of(command, &self.plan.folder, &self.search, &mut self.local)?;
        self.facts.insert(tools, facts.clone());
        Ok(facts)
    }

    /// The parts of an instance's key, as they are stored beside its record. All its inputs are known.
    pub fn parts(&mut self, id: InstanceId) -> Result<KeyParts, Failure> {
        match self.inputs(id)? {
            Inputs::Ready(inputs) => self.with_parts(id, &inputs, |parts| parts.to_owned()),
            _ => Err(Failure::internal(format!("inputs of `{}` are not known", self.plan.label(id)))),
        }
    }

    /// Why an instance is not a hit; at least one reason.
    pub fn reasons(&mut self, id: InstanceId, miss: &Miss) -> Result<Vec<Reason>, Failure> {
        let known = match &miss.cause {
            MissCause::Forced => Some(Reason::Forced),
            MissCause::RetryAbsent(cause) => Some(Reason::AbsenceRetried { cause: cause.clone() }),
            MissCause::Damaged(blobs) => {
                Some(Reason::OutputsMissing { blobs: blobs.iter().map(|blob| blob.digest.short(8)).collect() })
            }
            MissCause::NoRecord => None,
        };
        if let Some(known) = known {
            return Ok(vec![known]);
        }
        let label = self.plan.label(id);
        let Some(last) = self.local.last_work(&label)? else {
            let begun = self.local.last_begun(&label)? == Some(miss.key);
            return Ok(vec![if begun { Reason::Unfinished } else { Reason::FirstTime }]);
        };
        if last.key == miss.key {
            return Ok(vec![Reason::RecordGone]);
        }
        let record = self.store.record(&last.key).map_err(|error| cache_failure(&error))?;
        let Some(record) = record else { return Ok(vec![Reason::RecordGone]) };
        let now = self.parts(id)?;
        let mut reasons = match serde_json::from_value::<KeyParts>(record.parts) {
            Ok(was) => {
                let store = self.store;
                let reasons = key::explain(&was, &now, &mut |list| CellList::decode(&store.read(list).ok()?));
                reasons.into_iter().map(|reason| under_present_name(reason, self.kind(id))).collect()
            }
            Err(_) => vec![Reason::Layout { was: 0, now: key::LAYOUT }],
        };
        if reasons.is_empty() {
            reasons.push(Reason::RecordGone);
        }
        Ok(reasons)
    }
}

/// A reason with the present name of a renamed kind: the parts of keys have the former one.
fn under_present_name(mut reason: Reason, kind: Option<&Kind>) -> Reason {
    if let (Some(kind), Reason::KindVersion { kind: name, .. } | Reason::KindChanged { now: name, .. }) =
        (kind, &mut reason)
    {
        kind.name.clone_into(name);
    }
    reason
}

/// What the runs of a pipeline write beside it: no input of any of its stages.
fn written_by(plan: &Plan) -> Vec<PathBuf> {
    let mut written = vec![project_root(plan).join("results").join(&plan.pipeline)];
    let stem = plan.file.file_stem().unwrap_or(plan.file.as_os_str()).to_string_lossy();
    let is_lockfile = |name: &str| {
        name.strip_prefix(&*stem).and_then(|rest| rest.strip_suffix(".lock")).is_some_and(|profile| {
            profile.is_empty() || profile.strip_prefix('.').is_some_and(|profile| !profile.contains('.'))
        })
    };
    let entries = std::fs::read_dir(&plan.folder).into_iter().flatten().flatten();
    written
        .extend(entries.filter(|entry| entry.file_name().to_str().is_some_and(is_lockfile)).map(|entry| entry.path()));
    written
}

/// Why an input of the project cannot be read, and what to do.
fn unread(plan: &Plan, file: &ProjectFile, error: &pipe_cache::Error) -> Failure {
    if let pipe_cache::Error::Odd { path, what } = error {
        return Failure::input(format!("`{}` in the input `{}` is {what}", path.display(), file.path.display()))
            .hint("remove it, or leave it out: `in: { NAME: { path: FOLDER, ignore: [NAME] } }`");
    }
    if !is_missing(error) {
        return cache_failure(error);
    }
    let failure = Failure::input(format!("`{}` does not exist", file.path.display()));
    let below = file.path.strip_prefix(&plan.folder).ok().and_then(|below| below.to_str());
    match below {
        Some(name) if plan.stages.iter().any(|stage| stage.name == name) => failure.hint(format!(
            "an output of stage `{name}` is written `${name}.PORT`; plain text is a file of the project"
        )),
        Some(_) => failure.hint("in `in:`, plain text is a file or folder relative to the pipeline file"),
        None => failure.hint("the path is outside of the project: is it right on this machine?"),
    }
}

/// All links of an instance.
pub(super) fn links(plan: &Plan, id: InstanceId) -> impl Iterator<Item = &Link> {
    plan.instance(id).inputs.values().flat_map(|source| -> Box<dyn Iterator<Item = &Link>> {
        match source {
            Source::One(link) => Box::new(std::iter::once(link)),
            Source::Many(cells) => Box::new(cells.iter().map(|(_, link)| link)),
        }
    })
}

/// Values at which parameters of a kind stay out of the key.
fn neutral(kind: &Kind) -> Vec<(&str, &Value)> {
    kind.params.iter().filter_map(|param| Some((param.name, param.neutral.as_ref()?))).collect()
}

/// The part of a body that decides which executable it begins with: its first command up to the first word that is not
/// an assignment.
fn opening(body: &str) -> String {
    let line = body.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    let end = line.split_whitespace().find(|word| !word.contains('='));
    let length = end.map_or(line.len(), |word| word.as_ptr().addr() + word.len() - line.as_ptr().addr());
    line[..length].to_owned()
}

/// Everything about a command that it can see, besides its inputs.
fn described(
    plan: &Plan,
    id: InstanceId,
    command: &Command,
    tools: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut facts = tools;
    facts.insert("body".into(), command.body.clone());
    facts.extend(command.out.iter().map(|(port, path)| (format!("out {port}"), path.clone())));
    facts.extend(command.env.iter().map(|(name, value)| (format!("env {name}"), value.clone())));
    if command.net {
        facts.insert("net".into(), "true".into());
    }
    for (port, placed) in exec::layout_inputs(plan, id, |_| Presence::Present(PathBuf::new())) {
        let name = match placed {
            exec::Placed::One { name, .. } => name.to_string_lossy().into_owned(),
            exec::Placed::Many { name, cells } => {
                let names: String = cells.iter().map(|cell| format!("{}\0", cell.name)).collect();
                format!("{}/{}", name.display(), Digest::<Content>::of(names.as_bytes()).short(16))
            }
        };
        facts.insert(format!("name of {port}"), name);
    }
    facts
}
