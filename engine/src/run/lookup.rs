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

use pipe_cache::{
    Action, Artifact, Blob, Content, ContentForm, Digest, Filter, IGNORED, Made, Record, Store, Stored, Tree, Visible,
};
use pipe_contract::{Arity, Failure, Kind, Registry, Value};

use super::inputs::{Gathered, Home, InputContent, Inputs, LinkedInput, Located};
use super::options::RunOptions;
use super::provenance::notes_of;
use super::select::{self, only_read};
use super::state_dir::{LastWork, LocalState};
use super::state_dirs::{Access, StateDirs};
use super::unread_input::{is_not_there, unread};
use super::withheld::{self, is_withheld, notes_of_record};
use crate::exec;
use crate::ids::InstanceId;
use crate::key::{self, CellList, KeyParts, Parts, Reason};
use crate::plan::{Command, GatherId, Link, Plan, ProjectFile, Source, Stage, Work};
use crate::report::{cache_failure, project_root};

/// Looks up the instances of one plan.
pub(super) struct Lookup<'a> {
    pub plan: &'a Plan,
    pub registry: &'a Registry,
    pub dirs: &'a StateDirs,
    /// `--set` of this run.
    set: &'a [(String, String)],
    /// What this machine has saved, by [`Access`].
    locals: Vec<LocalState>,
    /// What it has saved of data under restrictions that this plan does not have; read for the first instance that asks.
    former: Option<Vec<LocalState>>,
    /// The caller's `PATH`, in which tools of commands are found.
    search: OsString,
    stages: Vec<Declared<'a>>,
    known: Vec<Known>,
    keys: Vec<Option<Digest<Action>>>,
    /// By number.
    gathers: Vec<Option<Rc<Gathered<'a>>>>,
    /// By the access of their reader: the digest of a restricted file is not saved with others.
    files: BTreeMap<(Access, Arc<ProjectFile>), Located>,
    /// By what they ignore and show; a filter is made of patterns, which costs more than using it.
    filters: BTreeMap<FilterRule, Rc<Filter>>,
    trees: BTreeMap<Digest<Content>, Rc<Tree>>,
    /// By [`exec::what_facts_depend_on`]: ten thousand stages may use the same tool.
    facts: BTreeMap<exec::DependsOn<'a>, Arc<exec::Facts>>,
    /// The same by stage, for its other instances.
    facts_of_stage: Vec<Option<Arc<exec::Facts>>>,
    buffer: Vec<u8>,
    /// What stages said when they found the cells of these instances absent.
    absence_details: BTreeMap<InstanceId, String>,
    /// Outputs of hits that are still to be checked, by [`Access`]; `None` while each hit is checked at once.
    unchecked: Option<Vec<Vec<Blob>>>,
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
    /// These blobs of these outputs.
    Damaged(Vec<Blob>, Rc<[Stored]>),
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
    pub fn of(plan: &Plan, options: &RunOptions, wanted: Option<&[bool]>) -> Result<Self, Failure> {
        let forced = select::forced(plan, &options.force, wanted)?;
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
    /// For a run or a command with these options.
    pub fn new(plan: &'a Plan, options: &'a RunOptions, dirs: &'a StateDirs) -> Result<Self, Failure> {
        let registry = &options.exec.registry;
        let locals =
            dirs.all().iter().map(|state_dir| state_dir.local_state(plan, &options.set)).collect::<Result<_, _>>()?;
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
        Ok(Self {
            registry,
            set: &options.set,
            stages: plan.stages.iter().map(declared).collect(),
            known: vec![Known::Open; plan.instances.len()],
            keys: vec![None; plan.instances.len()],
            search: std::env::var_os("PATH").unwrap_or_default(),
            gathers: vec![None; plan.gathers.len()],
            files: BTreeMap::new(),
            filters: BTreeMap::new(),
            trees: BTreeMap::new(),
            facts: BTreeMap::new(),
            facts_of_stage: vec![None; plan.stages.len()],
            buffer: Vec::new(),
            absence_details: BTreeMap::new(),
            unchecked: None,
            plan,
            dirs,
            locals,
            former: None,
        })
    }

    /// The store of an instance.
    pub fn store(&self, id: InstanceId) -> &'a Store {
        &self.dirs.of(id).store
    }

    /// What this machine has saved of an instance.
    pub fn local(&mut self, id: InstanceId) -> &mut LocalState {
        &mut self.locals[self.dirs.access(id).index()]
    }

    /// What this machine has saved of what is not restricted: files of the project, results, tools.
    pub fn open_local(&mut self) -> &mut LocalState {
        &mut self.locals[Access::OPEN.index()]
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

    /// The outputs of an instance are not as they were recorded: it is to be looked up again.
    pub fn forget(&mut self, id: InstanceId) {
        self.known[id.index()] = Known::Open;
        self.gathers.fill(None);
    }

    /// From now on, whether the outputs of hits are there is left to [`Lookup::check`].
    pub fn check_later(&mut self) {
        self.unchecked = Some(vec![Vec::new(); self.locals.len()]);
    }

    /// Whether the outputs of all hits since [`Lookup::check_later`] are there. If not, each must be forgotten and looked up again.
    #[must_use]
    pub fn check(&mut self) -> bool {
        let unchecked = self.unchecked.take().unwrap_or_default();
        self.dirs.all().iter().zip(unchecked).all(|(state_dir, blobs)| state_dir.store.has_all(&blobs))
    }

    /// The key of an instance, if it was looked up so far.
    pub fn key_of(&self, id: InstanceId) -> Option<Digest<Action>> {
        self.keys[id.index()]
    }

    /// Whether an absent artifact at a single port makes the instance absent too.
    fn requires(&self, id: InstanceId, port: &str) -> bool {
        match self.kind(id).and_then(|kind| kind.input_named(port)) {
            Some(input) => !input.optional && input.arity == Arity::One,
            None => match &self.stages[self.plan.instance(id).stage.index()].work {
                Declaration::Command { command } => !command.optional.contains(port),
                Declaration::Kind { .. } | Declaration::Unknown(_) => false,
            },
        }
    }

    /// Looks up an instance and saves what is found.
    pub fn look_up(&mut self, id: InstanceId, lookup_options: &LookupOptions) -> LookupOutcome<'a> {
        self.try_look_up(id, lookup_options).unwrap_or_else(LookupOutcome::Failed)
    }

    /// Shortens the tables of this machine that have grown large.
    pub fn tidy(&mut self) -> Result<(), Failure> {
        let keys = &self.keys;
        let tidy = |local: &mut LocalState| local.tidy(|| keys.iter().flatten().copied().collect());
        self.locals.iter_mut().try_for_each(tidy)
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
        match self.recall(id, &key)? {
            None => miss(MissCause::NoRecord),
            Some(Made::Absent { cause }) if lookup_options.absences => miss(MissCause::RetryAbsent(cause)),
            Some(Made::Absent { cause }) => {
                self.check_accepted(id, &cause)?;
                let cause: Rc<str> = cause.into();
                self.set_known(id, Known::Absent { cause: Rc::clone(&cause), origin: id });
                Ok(LookupOutcome::Absent { cause, origin: id })
            }
            Some(made) => {
                let missing = match &mut self.unchecked {
                    Some(unchecked) => {
                        unchecked[self.dirs.access(id).index()].extend(made.blobs());
                        Vec::new()
                    }
                    None => made.missing(self.store(id)).map_err(|error| cache_failure(&error))?,
                };
                match made {
                    Made::Outputs(outputs) if missing.is_empty() => {
                        self.set_known(id, Known::Outputs(outputs.into()));
                        Ok(LookupOutcome::Hit)
                    }
                    Made::Outputs(outputs) => miss(MissCause::Damaged(missing, outputs.into())),
                    Made::Absent { .. } => miss(MissCause::Damaged(missing, Rc::from([]))),
                }
            }
        }
    }

    /// What is recorded under a key: in this machine's index, else in the store. Another process may have replaced a
    /// recorded absence by outputs, so then the store is read again.
    fn recall(&mut self, id: InstanceId, key: &Digest<Action>) -> Result<Option<Made>, Failure> {
        let failure = |error| cache_failure(&error);
        let remembered = self.local(id).index.get(key);
        if let Some(Made::Outputs(_)) = remembered {
            return Ok(remembered);
        }
        let Some(record) = self.store(id).record(key).map_err(failure)? else { return Ok(None) };
        if remembered.as_ref() != Some(&record.made) {
            self.save_notes(id, key, &record)?;
            self.local(id).index.put(key, &record.made).map_err(failure)?;
        }
        if let Made::Absent { .. } = record.made {
            self.save_absence_detail(id, notes_of(&record).into_iter().next().unwrap_or_default());
        }
        Ok(Some(record.made))
    }

    /// Saves the notes of outputs; those of an absence are in its log.
    pub fn save_notes(&mut self, id: InstanceId, key: &Digest<Action>, record: &Record) -> Result<(), Failure> {
        match record.made {
            Made::Outputs(_) => self.local(id).save_notes(key, &notes_of(record)),
            Made::Absent { .. } => Ok(()),
        }
    }

    /// The notes of the outputs that an instance has, as they may be reported.
    pub fn notes(&mut self, id: InstanceId) -> Result<Vec<String>, Failure> {
        let notes = match (self.known(id), self.key_of(id)) {
            (Known::Outputs(_), Some(key)) => self.local(id).notes(&key)?,
            _ => Vec::new(),
        };
        Ok(notes_of_record(self.plan, id, notes))
    }

    /// A stage found the cell of its instance absent, in this run or an earlier one, and said this.
    pub fn save_absence_detail(&mut self, id: InstanceId, detail: String) {
        self.absence_details.insert(id, detail);
    }

    /// What a stage said when it found the cell of its instance absent, as it may be reported.
    pub fn absence_detail(&self, id: InstanceId) -> Option<String> {
        let detail = self.absence_details.get(&id).filter(|detail| !detail.is_empty())?;
        Some(withheld::absence(self.plan, id, detail))
    }

    /// What another process published under a key since it was looked up, if it is whole.
    pub fn published_meanwhile(&mut self, id: InstanceId, key: &Digest<Action>) -> Result<bool, Failure> {
        let failure = |error| cache_failure(&error);
        let Some(record) = self.store(id).outputs(key).map_err(failure)? else { return Ok(false) };
        if !record.made.missing(self.store(id)).map_err(failure)?.is_empty() {
            return Ok(false);
        }
        self.save_notes(id, key, &record)?;
        match record.made {
            Made::Absent { .. } => Ok(false),
            Made::Outputs(outputs) => {
                self.local(id).index.put(key, &Made::Outputs(outputs.clone())).map_err(failure)?;
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
                Source::One(link) => match self.content_of_input(id, link)? {
                    LinkedInput::Present(located) => ready.add(port, InputContent::One(link, Ok(located))),
                    LinkedInput::Open(on) => drop(open.insert(on)),
                    LinkedInput::Absent { cause, origin } => {
                        let is_first = absent.as_ref().is_none_or(|(_, earlier)| origin < *earlier);
                        if self.requires(id, port) && is_first {
                            absent = Some((Rc::clone(&cause), origin));
                        }
                        ready.add(port, InputContent::One(link, Err(cause)));
                    }
                },
                Source::Many(gather) => match self.gathered(self.dirs.access(id), *gather)? {
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

    /// What is at an input of an instance. A file of the project that is not there is asked for by the kind, if that knows how.
    fn content_of_input(&mut self, id: InstanceId, link: &Link) -> Result<LinkedInput, Failure> {
        let found = self.content_for(self.dirs.access(id), link);
        let (Err(_), Link::File(file)) = (&found, link) else { return found };
        let code = self.kind(id).and_then(|kind| self.registry.stage(kind.name));
        let asked = code
            .filter(|_| is_not_there(&file.path))
            .and_then(|code| code.asks_for(&self.plan.instance(id).params, &file.path));
        asked.map_or(found, Err)
    }

    /// What is at the other end of a link, for results and claims.
    pub fn content(&mut self, link: &Link) -> Result<LinkedInput, Failure> {
        self.content_for(Access::OPEN, link)
    }

    /// What is at the other end of a link, for a reader.
    pub fn content_for(&mut self, reader: Access, link: &Link) -> Result<LinkedInput, Failure> {
        let (instance, port, entry) = match link {
            Link::File(file) => return self.file(reader, file).map(LinkedInput::Present),
            Link::Output { instance, port, entry } => (*instance, port, entry),
        };
        let outputs = match &self.known[instance.index()] {
            Known::Open => return Ok(LinkedInput::Open(instance)),
            Known::Absent { cause, origin } => {
                return Ok(LinkedInput::Absent { cause: Rc::clone(cause), origin: *origin });
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
            Some(name) => match self.entry(&whole, name, instance, port)? {
                Some(artifact) => artifact,
                None => {
                    self.forget(instance);
                    return Ok(LinkedInput::Open(instance));
                }
            },
        };
        let home = Home::Store { access: self.dirs.access(instance), whole, entry: entry.clone() };
        Ok(LinkedInput::Present(Located { artifact, home }))
    }

    /// One entry of a folder artifact; `None` if the folder's listing is damaged.
    fn entry(
        &mut self,
        folder: &Artifact,
        entry: &str,
        of: InstanceId,
        port: &str,
    ) -> Result<Option<Artifact>, Failure> {
        let place = || format!("{}.{port}", self.plan.label(of));
        if folder.form != ContentForm::Folder {
            return Err(Failure::input(format!("`{}` is a file, so it has no entry `{entry}`", place())));
        }
        let tree = match self.trees.get(&folder.digest) {
            Some(tree) => Rc::clone(tree),
            None => match self.store(of).tree(&folder.digest) {
                Ok(tree) => Rc::new(tree),
                Err(pipe_cache::Error::Damaged { .. }) => return Ok(None),
                Err(error) => return Err(cache_failure(&error)),
            },
        };
        let found = tree.entry(entry).ok_or_else(|| {
            let nearest = tree
                .files()
                .map(|(name, _)| name)
                .max_by(|a, b| strsim::jaro(a, entry).total_cmp(&strsim::jaro(b, entry)).then_with(|| b.cmp(a)));
            let failure = Failure::input(format!("`{}` has no entry `{entry}`", place()));
            match nearest {
                // The names of entries are data too.
                Some(_) if is_withheld(self.plan, of) => failure,
                Some(nearest) => failure.hint(format!("the nearest entry is `{nearest}`")),
                None => failure.hint("the folder is empty"),
            }
        })?;
        self.trees.insert(folder.digest, tree);
        Ok(Some(found))
    }

    /// The content of a project file or folder.
    fn file(&mut self, reader: Access, file: &Arc<ProjectFile>) -> Result<Located, Failure> {
        let place = (reader, Arc::clone(file));
        if let Some(found) = self.files.get(&place) {
            return Ok(found.clone());
        }
        let Visible { artifact, part } = self.visible(reader, file)?;
        let home = Home::Project { file: Arc::clone(file), part: part.map(Rc::new) };
        let found = Located { artifact, home };
        self.files.insert(place, found.clone());
        Ok(found)
    }

    fn visible(&mut self, reader: Access, file: &ProjectFile) -> Result<Visible, Failure> {
        let filter = self.filter(file)?;
        let sources = &mut self.locals[reader.index()].sources;
        let visible = sources.visible(&file.path, &filter).map_err(|error| unread(self.plan, file, &error))?;
        let empty = visible.artifact == Tree::default().artifact();
        match &file.only {
            Some(glob) if empty || visible.artifact.form != ContentForm::Folder => {
                Err(Failure::input(format!("`{glob}` names no file in `{}`", file.path.display()))
                    .hint("`*` stops at `/`, `**` does not; ignored files do not count; `[` and `{` of a name are `\\[` and `\\{`"))
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

    /// Whether the project files that an instance read are still those in its key.
    pub fn check_sources(&mut self, id: InstanceId, inputs: &Inputs<'_>) -> Result<(), Failure> {
        for located in inputs.present() {
            let Home::Project { file, .. } = &located.home else { continue };
            if self.visible(self.dirs.access(id), file)?.artifact != located.artifact {
                let path = file.path.display();
                return Err(Failure::environment(format!("`{path}` changed while a stage was reading it"))
                    .hint("run again while no other process writes to it"));
            }
        }
        Ok(())
    }

    /// The content of a gather, or the instances that are not known.
    fn gathered(
        &mut self,
        reader: Access,
        gather: GatherId,
    ) -> Result<Result<Rc<Gathered<'a>>, Vec<InstanceId>>, Failure> {
        if let Some(gathered) = &self.gathers[gather.index()] {
            return Ok(Ok(Rc::clone(gathered)));
        }
        let cells = self.plan.gather(gather);
        let mut found = Vec::with_capacity(cells.len());
        let mut open = Vec::new();
        for (_, link) in cells {
            match self.content_for(reader, link)? {
                LinkedInput::Present(located) => found.push(Ok(located)),
                LinkedInput::Absent { cause, .. } => found.push(Err(cause)),
                LinkedInput::Open(on) => open.push(on),
            }
        }
        if !open.is_empty() {
            return Ok(Err(open));
        }
        let gathered = Rc::new(Gathered::new(cells, found));
        self.gathers[gather.index()] = Some(Rc::clone(&gathered));
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
            facts: &[],
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
                let tools = self.command_facts(id)?;
                let facts = key::run_facts(plan, id, &command, &tools.key);
                Ok(then(&Parts { facts: &facts, ..parts }))
            }
            Declaration::Unknown(name) => {
                Err(Failure::internal(format!("the plan names kind `{name}`, which this program does not have")))
            }
        }
    }

    /// Facts of the tools of an instance that is a command.
    pub fn command_facts(&mut self, id: InstanceId) -> Result<Arc<exec::Facts>, Failure> {
        let stage = self.plan.instance(id).stage.index();
        if let Some(facts) = &self.facts_of_stage[stage] {
            return Ok(Arc::clone(facts));
        }
        let plan: &'a Plan = self.plan;
        let Work::Command(command) = &plan.stages[stage].work else {
            return Err(Failure::internal(format!("`{}` is not a command", self.plan.label(id))));
        };
        let same = exec::what_facts_depend_on(command);
        let facts = match self.facts.get(&same) {
            Some(facts) => Arc::clone(facts),
            None => {
                let local = &mut self.locals[Access::OPEN.index()];
                local.recall_facts()?;
                let facts = Arc::new(exec::facts_of(command, &plan.folder, &self.search, local)?);
                self.facts.insert(same, Arc::clone(&facts));
                facts
            }
        };
        self.facts_of_stage[stage] = Some(Arc::clone(&facts));
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
            MissCause::Damaged(blobs, outputs) => Some(Reason::OutputsMissing { outputs: ports_of(blobs, outputs) }),
            MissCause::NoRecord => None,
        };
        if let Some(known) = known {
            return Ok(vec![known]);
        }
        let label = self.plan.label(id);
        let failed = self.local(id).last_failed(&label)? == Some(miss.key);
        let Some(last) = self.local(id).last_work(&label)? else {
            if self.worked_elsewhere(id, &label)? {
                let now = self.plan.instance(id).restricted.clone();
                return Ok(vec![Reason::RestrictionsChanged { now }]);
            }
            let begun = self.local(id).last_begun(&label)? == Some(miss.key);
            return Ok(vec![match (failed, begun) {
                (true, _) => Reason::FailedBefore,
                (false, true) => Reason::Unfinished,
                (false, false) => Reason::FirstTime,
            }]);
        };
        let mut reasons = self.changes(id, miss, &last)?;
        if failed {
            reasons.push(Reason::FailedBefore);
        }
        if last.of_profile {
            reasons.push(Reason::ComparedWithProfile);
        }
        Ok(reasons)
    }

    /// Whether an instance worked when its data were under other restrictions, of this plan or of an earlier one, or under none.
    fn worked_elsewhere(&mut self, id: InstanceId, label: &str) -> Result<bool, Failure> {
        let own = self.dirs.access(id).index();
        let (plan, set, dirs) = (self.plan, self.set, self.dirs);
        let former = self.former.get_or_insert_with(|| dirs.former_states(plan, set));
        let others = self.locals.iter_mut().enumerate().filter(|(access, _)| *access != own).map(|(_, local)| local);
        for local in others.chain(former) {
            if local.last_work(label)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What differs from the last work of an instance; at least one reason.
    fn changes(&mut self, id: InstanceId, miss: &Miss<'_>, last: &LastWork) -> Result<Vec<Reason>, Failure> {
        if last.key == miss.key {
            return Ok(vec![Reason::RecordGone]);
        }
        let record = self.store(id).record(&last.key).map_err(|error| cache_failure(&error))?;
        let Some(record) = record else { return Ok(vec![Reason::RecordGone]) };
        let now = self.parts(id, &miss.inputs)?;
        let mut reasons = match serde_json::from_value::<KeyParts>(record.parts) {
            Ok(was) => {
                let store = self.store(id);
                let reasons = key::explain(&was, &now, &mut |list| CellList::decode(&store.read(list).ok()?));
                let named = |reason| under_present_name(self.with_source(id, reason), self.kind(id));
                reasons.into_iter().map(named).collect()
            }
            Err(_) => vec![Reason::Layout { was: 0, now: key::LAYOUT }],
        };
        if reasons.is_empty() {
            reasons.push(Reason::RecordGone);
        }
        Ok(reasons)
    }

    /// Adds to a changed input where its content comes from.
    fn with_source(&self, id: InstanceId, mut reason: Reason) -> Reason {
        if let Reason::InputChanged { port, from, .. } = &mut reason
            && let Some(Source::One(link)) = self.plan.instance(id).inputs.get(port)
        {
            *from = Some(match link {
                Link::File(path) => path.strip_prefix(&self.plan.folder).unwrap_or(path).display().to_string(),
                Link::Output { instance, port, entry } => {
                    let entry = entry.as_ref().map(|entry| format!("/{entry}")).unwrap_or_default();
                    format!("{}.{port}{entry}", self.plan.label(*instance))
                }
            });
        }
        reason
    }
}

/// The ports of the outputs that some of these blobs belong to.
fn ports_of(blobs: &[Blob], outputs: &[Stored]) -> Vec<String> {
    let is_hit = |stored: &&Stored| {
        let own = stored.artifact.blob();
        let listing = blobs.iter().any(|blob| blob.digest == stored.artifact.digest);
        listing || own.iter().chain(&stored.blobs).any(|blob| blobs.contains(blob))
    };
    outputs.iter().filter(is_hit).map(|stored| stored.port.clone()).collect()
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
    let entries = fs_err::read_dir(&plan.folder).into_iter().flatten().flatten();
    written
        .extend(entries.filter(|entry| entry.file_name().to_str().is_some_and(is_lockfile)).map(|entry| entry.path()));
    written
}

/// Values at which parameters of a kind stay out of the key.
fn neutral(kind: &Kind) -> Vec<(&str, &Value)> {
    kind.params.iter().filter_map(|param| Some((param.name, param.neutral.as_ref()?))).collect()
}
