//! Looks up instances: what their inputs are, what their key is, what is recorded under it. Starts and stores nothing.
//!
//! An instance can be looked up when all it reads has been. Each instance is looked up once: what is found is saved, and
//! its readers use the digests of content from there. What is found at its inputs goes with a miss to its work and commit.
//!
//! Absence is inherited here and nowhere else: an instance whose required single input is absent is absent for the same
//! cause, and of several absent ones the instance with the smallest id is named.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use pipe_cache::{Action, Artifact, Blob, Content, ContentForm, Digest, Made, Store, Stored, Tree, is_missing};
use pipe_contract::{Arity, Coordinates, Failure, Kind, Registry, Value};

use super::inputs::{Gathered, Home, InputContent, Inputs, Linked, Located};
use super::options::RunOptions;
use super::select::{named, only_read};
use super::state_dir::LocalState;
use crate::exec;
use crate::ids::InstanceId;
use crate::key::{self, CellList, KeyParts, Parts, Reason};
use crate::plan::{Command, GatherId, Link, Plan, Source, Stage, Work};
use crate::report::cache_failure;

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
    gathers: BTreeMap<GatherId, Rc<Gathered>>,
    files: BTreeMap<Arc<PathBuf>, Artifact>,
    trees: BTreeMap<Digest<Content>, Rc<Tree>>,
    /// By [`exec::what_facts_depend_on`]: ten thousand stages may use the same tool.
    facts: BTreeMap<String, exec::Facts>,
    buffer: Vec<u8>,
}

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

/// The outcome of a lookup.
#[derive(Clone, Debug)]
pub(super) enum LookupOutcome<'a> {
    Hit,
    /// Recorded, or an input that it needs is absent (`origin` is another instance then).
    Absent {
        cause: Rc<str>,
        origin: InstanceId,
    },
    Miss(Miss<'a>),
    /// Inputs are not known: these instances.
    Blocked(Vec<InstanceId>),
    Failed(Failure),
}

/// Work that is not recorded.
#[derive(Clone, Debug)]
pub(super) struct Miss<'a> {
    pub key: Digest<Action>,
    pub inputs: Rc<Inputs<'a>>,
    cause: MissCause,
}

#[derive(Clone, Debug)]
enum MissCause {
    NoRecord,
    Damaged(Vec<Blob>),
    Forced,
    RetryAbsent(String),
}

impl Miss<'_> {
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

impl LookupOptions {
    /// As the options of a run have it.
    pub fn of(plan: &Plan, options: &RunOptions) -> Result<Self, Failure> {
        let forced = options.force.iter().try_fold(BTreeSet::new(), |mut all, name| {
            all.extend(named(plan, name)?);
            Ok::<_, Failure>(all)
        })?;
        Ok(Self { forced, absences: options.retry_absent })
    }
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

/// The inputs of an instance, as far as they are known.
enum Resolution<'a> {
    Ready(Inputs<'a>),
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
    fn requires(&self, id: InstanceId, port: &str) -> bool {
        match self.kind(id).and_then(|kind| kind.input_named(port)) {
            Some(input) => !input.optional && input.arity == Arity::One,
            None => self.kind(id).is_none(),
        }
    }

    /// Looks up an instance and saves what is found.
    pub fn look_up(&mut self, id: InstanceId, lookup_options: &LookupOptions) -> LookupOutcome<'a> {
        self.try_look_up(id, lookup_options).unwrap_or_else(LookupOutcome::Failed)
    }

    /// Looks up the instances that a selection leaves out but reads; they are never run.
    pub fn look_up_only_read(&mut self, wanted: &[bool]) {
        let plan = self.plan;
        let needed = only_read(plan, wanted);
        for id in plan.ids().filter(|id| needed[id.index()]) {
            let _ = self.look_up(id, &LookupOptions::default());
        }
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

    fn try_look_up(&mut self, id: InstanceId, lookup_options: &LookupOptions) -> Result<LookupOutcome<'a>, Failure> {
        match &self.known[id.index()] {
            Known::Open => {}
            Known::Outputs(_) => return Ok(LookupOutcome::Hit),
            Known::Absent { cause, origin } => {
                return Ok(LookupOutcome::Absent { cause: Rc::clone(cause), origin: *origin });
            }
        }
        let inputs = match self.resolve_inputs(id)? {
            Resolution::Ready(inputs) => Rc::new(inputs),
            Resolution::Open(on) => return Ok(LookupOutcome::Blocked(on.into_iter().collect())),
            Resolution::Absent { cause, origin } => {
                self.set_known(id, Known::Absent { cause: Rc::clone(&cause), origin });
                return Ok(LookupOutcome::Absent { cause, origin });
            }
        };
        self.check_coverage(id, &inputs)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let key = self.with_parts(id, &inputs, |parts| parts.key(&mut buffer));
        self.buffer = buffer;
        let key = key?;
        self.keys[id.index()] = Some(key);
        let miss = |cause| Ok(LookupOutcome::Miss(Miss { key, inputs, cause }));
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
    fn resolve_inputs(&mut self, id: InstanceId) -> Result<Resolution<'a>, Failure> {
        let mut ready = Inputs::default();
        let mut open = BTreeSet::new();
        let mut absent: Option<(Rc<str>, InstanceId)> = None;
        for (port, source) in &self.plan.instance(id).inputs {
            match source {
                Source::One(link) => match self.content(link)? {
                    Linked::Present(located) => ready.add(port, InputContent::One(link, Ok(located))),
                    Linked::Open(on) => drop(open.insert(on)),
                    Linked::Absent { cause, origin } => {
                        let is_first = absent.as_ref().is_none_or(|(_, earlier)| origin < *earlier);
                        if self.requires(id, port) && is_first {
                            absent = Some((Rc::clone(&cause), origin));
                        }
                        ready.add(port, InputContent::One(link, Err(cause)));
                    }
                },
                Source::Many(cells) => match self.gathered(cells)? {
                    Ok(gathered) => ready.add(port, InputContent::Many(gathered)),
                    Err(on) => open.extend(on),
                },
            }
        }
        Ok(match (open.is_empty(), absent) {
            (false, _) => Resolution::Open(open),
            (true, Some((cause, origin))) => Resolution::Absent { cause, origin },
            (true, None) => Resolution::Ready(ready),
        })
    }

    /// What is at the other end of a link.
    pub fn content(&mut self, link: &Link) -> Result<Linked, Failure> {
        let (instance, port, entry) = match link {
            Link::File(path) => {
                let artifact = self.file(path)?;
                return Ok(Linked::Present(Located { artifact, home: Home::Project(Arc::clone(path)) }));
            }
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
        let whole = stored.artifact;
        let artifact = match entry {
            None => whole,
            Some(entry) => self.entry(&whole, entry, instance, port)?,
        };
        Ok(Linked::Present(Located { artifact, home: Home::Store { whole, entry: entry.clone() } }))
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
    fn file(&mut self, path: &Arc<PathBuf>) -> Result<Artifact, Failure> {
        if let Some(artifact) = self.files.get(path) {
            return Ok(*artifact);
        }
        let artifact = self.local.sources.content(path).map_err(|error| {
            if is_missing(&error) {
                Failure::input(format!("`{}` does not exist", path.display()))
                    .hint("in `in:`, plain text is a file or folder relative to the pipeline file")
            } else {
                cache_failure(&error)
            }
        })?;
        self.files.insert(Arc::clone(path), artifact);
        Ok(artifact)
    }

    /// Whether the project files that an instance read are still those in its key.
    pub fn check_sources(&mut self, inputs: &Inputs<'_>) -> Result<(), Failure> {
        for located in inputs.present() {
            let Home::Project(path) = &located.home else { continue };
            let now = self.local.sources.content(path).map_err(|error| cache_failure(&error))?;
            if located.artifact != now {
                return Err(Failure::environment(format!("`{}` changed while a stage was reading it", path.display()))
                    .hint("run again while no other process writes to it"));
            }
        }
        Ok(())
    }

    /// The content of a gather, or the instances that are not known.
    fn gathered(
        &mut self,
        cells: &Arc<[(Coordinates, Link)]>,
    ) -> Result<Result<Rc<Gathered>, Vec<InstanceId>>, Failure> {
        let gather = GatherId::of(cells);
        if let Some(gathered) = self.gathers.get(&gather) {
            return Ok(Ok(Rc::clone(gathered)));
        }
        let mut found = Vec::with_capacity(cells.len());
        let mut open = Vec::new();
        for (_, link) in cells.iter() {
            match self.content(link)? {
                Linked::Present(located) => found.push(Ok(located)),
                Linked::Absent { cause, .. } => found.push(Err(cause)),
                Linked::Open(on) => open.push(on),
            }
        }
        if !open.is_empty() {
            return Ok(Err(open));
        }
        let gathered = Rc::new(Gathered::new(cells, found));
        self.gathers.insert(gather, Rc::clone(&gathered));
        Ok(Ok(gathered))
    }

    /// The share of present cells that the stage demands.
    fn check_coverage(&self, id: InstanceId, inputs: &Inputs<'_>) -> Result<(), Failure> {
        for (port, least) in &self.plan.stage_of(id).coverage {
            let Some((present, cells)) = inputs.gather(port).map(Gathered::coverage) else { continue };
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
        inputs: &Inputs<'_>,
        then: impl FnOnce(&Parts<'_>) -> T,
    ) -> Result<T, Failure> {
        let inputs = inputs.for_key();
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
            inputs: &inputs,
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
                let facts = key::run_facts(plan, id, &command, facts);
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
        let same = exec::what_facts_depend_on(command);
        if let Some(facts) = self.facts.get(&same) {
            return Ok(facts.clone());
        }
        self.local.recall_facts()?;
        let facts = exec::facts_of(command, &self.plan.folder, &self.search, &mut self.local)?;
        self.facts.insert(same, facts.clone());
        Ok(facts)
    }

    /// The parts of an instance's key, as they are stored beside its record.
    pub fn parts(&mut self, id: InstanceId, inputs: &Inputs<'_>) -> Result<KeyParts, Failure> {
        self.with_parts(id, inputs, |parts| parts.to_owned())
    }

    /// Why an instance is not a hit; at least one reason.
    pub fn reasons(&mut self, id: InstanceId, miss: &Miss<'_>) -> Result<Vec<Reason>, Failure> {
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
        let now = self.parts(id, &miss.inputs)?;
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

/// Values at which parameters of a kind stay out of the key.
fn neutral(kind: &Kind) -> Vec<(&str, &Value)> {
    kind.params.iter().filter_map(|param| Some((param.name, param.neutral.as_ref()?))).collect()
}
