//! Where instances work: a store, and the state directory with what this machine has saved of the pipeline.
//!
//! ```text
//! <state>/<cache id>/
//!   keys.lock                               a process that works on a key locks a byte of it
//!   logs/<key>.log                          what the last work under a key printed, if anything
//!   logs/<key>.metrics.jsonl                what it measured, if it has restricted data
//!   checkpoints/<key>/                      of kinds that write some; removed after success
//!   projects/<folder digest>/<pipeline>[@<profile>]/
//!     index                                 key -> what was made
//!     sources                               file -> digest, by the answer of `stat`
//!     journal                               instance -> its last keys and seconds
//!     notes                                 key -> what its stage noted
//!     facts                                 tool -> version
//!     runs/<run>/                           `events.jsonl`, `manifest.json`
//!   …/<pipeline>[@<profile>]+<name>=<value>/runs/<run>/     those of runs with `--set`
//! ```
//! Two projects never share a folder here, whatever their pipelines are called: a project is its absolute path.
//! Everything here may be deleted at any time: it costs time, explanations and logs, never results.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_cache::{Action, Content, Digest, Index, Locks, Sources, Store, Table, remove_all};
use pipe_contract::Failure;

use crate::exec;
use crate::ids::InstanceId;
use crate::plan::Plan;
use crate::report::{cache_failure, project_root};

/// A store and its state directory.
pub(super) struct StateDir {
    pub store: Store,
    pub locks: Locks,
    /// `<state>/<cache id>`.
    state: PathBuf,
    /// A digest of the project's path.
    project: String,
}

/// What this machine has saved of a pipeline. Journal and facts are read only when they are needed: not in a run in
/// which all are hits.
pub(super) struct LocalState {
    pub index: Index,
    pub sources: Sources,
    folder: PathBuf,
    /// The params that were set by hand, as they were written; empty for the profile as it is.
    set: String,
    journal: Option<Table>,
    facts: Option<Table>,
    notes: Option<Table>,
}

/// What the journal has of an instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LastWork {
    pub key: Digest<Action>,
    pub seconds: f64,
    /// It was without `--set`, although this run has some.
    pub of_profile: bool,
}

impl StateDir {
    /// That of a store, in a folder of local state.
    pub fn new(plan: &Plan, store: Store, local: &Path) -> Self {
        let state = local.join(store.id());
        let project = Digest::<Content>::of(project_root(plan).as_os_str().as_encoded_bytes()).short(16);
        let locks = Locks::new(state.join("keys.lock"));
        Self { store, locks, state, project }
    }

    /// The folder of what is saved of a pipeline; `variant` is that of a run with `--set`.
    pub fn scope_of(&self, plan: &Plan, variant: &str) -> PathBuf {
        let name = match &plan.profile {
            Some(profile) => format!("{}@{}", file_name(&plan.pipeline), file_name(profile)),
            None => file_name(&plan.pipeline),
        };
        self.state.join("projects").join(&self.project).join(format!("{name}{variant}"))
    }

    /// The state of a run whose params were `set` by hand.
    pub fn local_state(&self, plan: &Plan, set: &[(String, String)]) -> Result<LocalState, Failure> {
        let failure = |error| cache_failure(&error);
        let folder = self.scope_of(plan, "");
        Ok(LocalState {
            index: Index::open(&folder.join("index")).map_err(failure)?,
            sources: Sources::open(&folder.join("sources")).map_err(failure)?,
            folder,
            set: set.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
            journal: None,
            facts: None,
            notes: None,
        })
    }

    /// The log of the last work under a key. An empty one is removed when the work is done.
    pub fn log(&self, key: &Digest<Action>) -> PathBuf {
        self.logs().join(format!("{key}.log"))
    }

    /// The folder of logs.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// The checkpoint folder of a key.
    pub fn checkpoint(&self, key: &Digest<Action>) -> PathBuf {
        self.state.join("checkpoints").join(key.to_string())
    }

    /// Removes checkpoints of work that is done: what a kill between publishing and cleaning up has left.
    pub fn sweep_checkpoints(&self) -> Result<(), Failure> {
        let Ok(entries) = fs::read_dir(self.state.join("checkpoints")) else { return Ok(()) };
        for entry in entries.flatten() {
            let Ok(key) = entry.file_name().to_string_lossy().parse::<Digest<Action>>() else { continue };
            let done = self.store.record(&key).map_err(|error| cache_failure(&error))?.is_some();
            // The process that holds the lock cleans up itself.
            let free = done.then(|| self.locks.try_lock(&key)).transpose().map_err(|error| cache_failure(&error))?;
            if free.flatten().is_some() {
                remove_all(&entry.path()).map_err(|error| cache_failure(&error))?;
            }
        }
        Ok(())
    }

    /// The name under which the folder of a failed instance is retained.
    pub fn retained_name(&self, plan: &Plan, id: InstanceId) -> String {
        let profile = plan.profile.as_ref().map(|profile| format!("@{profile}")).unwrap_or_default();
        let name = file_name(&format!("{}{profile},{}", plan.pipeline, plan.label(id)));
        format!("{name},{}", &self.project[..8])
    }
}

impl LocalState {
    fn journal(&mut self) -> Result<&mut Table, Failure> {
        open_once(&mut self.journal, &self.folder, "journal")
    }

    /// What an instance did last when it ended well: with the same `--set`, else without any.
    pub fn last_work(&mut self, label: &str) -> Result<Option<LastWork>, Failure> {
        let own = self.row("done", label);
        let journal = self.journal()?;
        let same = journal.get(own.as_bytes()).and_then(LastWork::decode);
        let plain = || journal.get(format!("done {label}").as_bytes()).and_then(LastWork::decode);
        Ok(same.or_else(|| plain().map(|last| LastWork { of_profile: true, ..last })))
    }

    /// The name of a row of the journal about an instance under the params of this run.
    fn row(&self, what: &str, label: &str) -> String {
        if self.set.is_empty() { format!("{what} {label}") } else { format!("{what} {label}\n{}", self.set) }
    }

    /// The key under which an instance failed last.
    pub fn last_failed(&mut self, label: &str) -> Result<Option<Digest<Action>>, Failure> {
        let row = self.row("failed", label);
        let bytes = self.journal()?.get(row.as_bytes());
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(Digest::from_bytes))
    }

    /// Notes that an attempt at an instance failed.
    pub fn note_failed(&mut self, label: &str, key: &Digest<Action>) -> Result<(), Failure> {
        let row = self.row("failed", label);
        self.journal()?.put(row.as_bytes(), key.as_bytes()).map_err(|error| cache_failure(&error))
    }

    /// What a stage noted about a result, by its key: the notes of a record, saved so that hits need no record.
    pub fn notes(&mut self, key: &Digest<Action>) -> Result<Vec<String>, Failure> {
        let bytes = self.notes_table()?.get(key.as_bytes());
        Ok(bytes.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default())
    }

    /// Saves the notes of a record; most have none.
    pub fn save_notes(&mut self, key: &Digest<Action>, notes: &[String]) -> Result<(), Failure> {
        if notes.is_empty() {
            return Ok(());
        }
        let json = serde_json::to_vec(notes)
            .map_err(|error| Failure::internal(format!("notes have no JSON form: {error}")))?;
        self.notes_table()?.put(key.as_bytes(), &json).map_err(|error| cache_failure(&error))
    }

    fn notes_table(&mut self) -> Result<&mut Table, Failure> {
        open_once(&mut self.notes, &self.folder, "notes")
    }

    /// The key under which an instance was begun last.
    pub fn last_begun(&mut self, label: &str) -> Result<Option<Digest<Action>>, Failure> {
        let row = self.row("begun", label);
        let bytes = self.journal()?.get(row.as_bytes());
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(Digest::from_bytes))
    }

    /// Notes that an instance begins.
    pub fn note_begun(&mut self, label: &str, key: &Digest<Action>) -> Result<(), Failure> {
        let row = self.row("begun", label);
        self.journal()?.put(row.as_bytes(), key.as_bytes()).map_err(|error| cache_failure(&error))
    }

    /// Notes that an instance ended well.
    pub fn note_done(&mut self, label: &str, work: LastWork) -> Result<(), Failure> {
        let row = self.row("done", label);
        self.journal()?.put(row.as_bytes(), &work.encode()).map_err(|error| cache_failure(&error))
    }

    /// Limits the growth of the tables.
    pub fn tidy(&mut self, keys: impl FnOnce() -> BTreeSet<Digest<Action>>) -> Result<(), Failure> {
        let failure = |error| cache_failure(&error);
        self.index.tidy(keys).map_err(failure)?;
        self.sources.tidy().map_err(failure)?;
        for table in [&mut self.journal, &mut self.facts, &mut self.notes].into_iter().flatten() {
            table.tidy().map_err(failure)?;
        }
        Ok(())
    }
}

impl exec::Memo for LocalState {
    fn recall(&self, key: &str) -> Option<String> {
        let bytes = self.facts.as_ref()?.get(key.as_bytes())?;
        String::from_utf8(bytes.to_vec()).ok()
    }

    fn remember(&mut self, key: &str, fact: &str) {
        let remembered = open_once(&mut self.facts, &self.folder, "facts")
            .and_then(|table| table.put(key.as_bytes(), fact.as_bytes()).map_err(|error| cache_failure(&error)));
        if let Err(failure) = remembered {
            tracing::warn!(%failure, "a tool's version could not be saved; it is looked up again next time");
        }
    }
}

impl LocalState {
    /// Reads the saved facts of tools; before [`exec::facts_of`].
    pub fn recall_facts(&mut self) -> Result<(), Failure> {
        open_once(&mut self.facts, &self.folder, "facts").map(drop)
    }
}

impl LastWork {
    fn encode(self) -> Vec<u8> {
        [&self.key.as_bytes()[..], &self.seconds.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (key, seconds) = bytes.split_at_checked(32)?;
        let seconds = f64::from_le_bytes(seconds.try_into().ok()?);
        Some(Self { key: Digest::from_bytes(key.try_into().ok()?), seconds, of_profile: false })
    }
}

fn open_once<'t>(table: &'t mut Option<Table>, folder: &Path, name: &str) -> Result<&'t mut Table, Failure> {
    match table {
        Some(table) => Ok(table),
        none => Ok(none.insert(Table::open(&folder.join(name)).map_err(|error| cache_failure(&error))?)),
    }
}

pub(super) fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::io("create the folder", path, &error))
}

/// A name as a file name: other characters than letters, digits, `-`, `_`, `=`, `,` and `.` become `-`, and then a digest
/// keeps different names apart.
pub(super) fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=,.".contains(c);
    let mut safe: String = name.chars().map(|c| if plain(c) { c } else { '-' }).take(100).collect();
    if safe != name || name.starts_with('.') || name.is_empty() {
        safe = format!("{}-{}", safe.trim_start_matches('.'), Digest::<Content>::of(name.as_bytes()).short(8));
    }
    safe
}
