//! The stores and state directories of one plan: those of data without restrictions, and for each set of restrictions
//! ones of their own, which only their owner can open.
//!
//! ```text
//! <cache>/…                               see `pipe_cache::Store`; <cache>/restricted/<names>/… likewise
//! <state>/<cache id>/…                    see `state_dir`; <state>/restricted/<names>/<cache id>/… likewise
//! <state>/restricted.key                  secret of this machine ([`crate::report::DigestKey`])
//! ```
//! Which of them an instance uses is decided by the plan that is carried out, never by what was recorded: after
//! a stage was restricted, what it made before is not looked for, and what reads it is made again in the restricted store.
//! Events and manifests lie in the open state directory and are about all instances; what they may say of
//! restricted ones is decided in `disclosure`.

use std::collections::BTreeSet;
use std::ops::Index;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_cache::{Blob, Session, Store, private_folder};
use pipe_contract::Failure;

use super::options::Places;
use super::state_dir::{LocalState, StateDir, file_name, make_folder};
use crate::ids::InstanceId;
use crate::plan::Plan;
use crate::report::{cache_failure, variant};

/// The stores and state directories of one plan, by [`Access`].
pub(super) struct StateDirs {
    /// The first is of data without restrictions.
    all: Vec<StateDir>,
    /// By instance; empty if the plan has no restricted data.
    of: Vec<Access>,
    runs: PathBuf,
    /// The folder of the state directories of restricted data.
    restricted: PathBuf,
    secret: PathBuf,
}

/// Which restrictions the data in a store are under: the number of a [`StateDir`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Access(usize);

impl Access {
    /// None.
    pub const OPEN: Self = Self(0);

    /// For tables with a row for each.
    pub fn index(self) -> usize {
        self.0
    }
}

impl StateDirs {
    /// Opens those that a plan needs, and makes what is missing.
    ///
    /// # Errors
    /// One cannot be made or read, or it is for restricted data and others can open it.
    pub fn open(plan: &Plan, places: &Places) -> Result<Self, Failure> {
        let failure = |error| cache_failure(&error);
        let store = Store::open(&places.cache).map_err(failure)?;
        let sets: BTreeSet<&BTreeSet<String>> =
            plan.instances.iter().map(|instance| &instance.restricted).filter(|set| !set.is_empty()).collect();
        let mut all = vec![StateDir::new(plan, store.clone(), &places.state)];
        if !sets.is_empty() {
            make_folder(&places.state)?;
        }
        let restricted = places.state.join("restricted");
        for set in &sets {
            let name = file_name(&set.iter().map(String::as_str).collect::<Vec<_>>().join(","));
            let state = restricted.join(&name);
            private_folder(&restricted).and_then(|()| private_folder(&state)).map_err(failure)?;
            all.push(StateDir::new(plan, store.restricted(&name).map_err(failure)?, &state));
        }
        let access =
            |set: &BTreeSet<String>| Access(sets.iter().position(|known| *known == set).map_or(0, |at| at + 1));
        let of = match sets.is_empty() {
            true => Vec::new(),
            false => plan.instances.iter().map(|instance| access(&instance.restricted)).collect(),
        };
        // A run with `--set` is not the last run of the profile.
        let runs = all[0].scope_of(plan, &variant(plan)).join("runs");
        Ok(Self { all, of, runs, restricted, secret: places.state.join("restricted.key") })
    }

    /// Which of them an instance uses.
    pub fn access(&self, id: InstanceId) -> Access {
        self.of.get(id.index()).copied().unwrap_or(Access::OPEN)
    }

    /// The one that an instance uses.
    pub fn of(&self, id: InstanceId) -> &StateDir {
        &self[self.access(id)]
    }

    /// All of them, in order of [`Access`].
    pub fn all(&self) -> &[StateDir] {
        &self.all
    }

    /// What is saved of data under restrictions that the plan does not have: of stages that were restricted differently
    /// before. It serves explanations only, so what cannot be read is left out.
    pub fn former_states(&self, plan: &Plan, set: &[(String, String)]) -> Vec<LocalState> {
        let open = &self.all[Access::OPEN.index()].store;
        let is_of_plan = |store: &Store| self.all.iter().any(|state_dir| state_dir.store.root() == store.root());
        let names = open.restricted_names().into_iter();
        let stores = names.filter_map(|name| Some((open.restricted(&name).ok()?, self.restricted.join(name))));
        let states = stores.filter(|(store, _)| !is_of_plan(store));
        states.filter_map(|(store, local)| StateDir::new(plan, store, &local).local_state(plan, set).ok()).collect()
    }

    /// Removes what runs that were killed have left.
    pub fn sweep(&self) -> Result<(), Failure> {
        for state_dir in &self.all {
            Session::sweep_leftovers(&state_dir.store).map_err(|error| cache_failure(&error))?;
            state_dir.sweep_checkpoints()?;
        }
        Ok(())
    }

    /// Where a blob is, in whichever store has it.
    pub fn blob_path(&self, blob: &Blob) -> PathBuf {
        let paths = self.all.iter().map(|state_dir| state_dir.store.blob_path(blob));
        let mut there = paths.filter(|path| path.exists());
        there.next().unwrap_or_else(|| self.all[0].store.blob_path(blob))
    }

    /// The file of this machine's secret for digests of restricted data. Only [`super::disclosure`] reads or makes it.
    pub fn secret(&self) -> &Path {
        &self.secret
    }

    /// The folder of a run.
    pub fn run_folder(&self, run: &str) -> PathBuf {
        self.runs.join(run)
    }

    /// The folders of earlier runs, oldest first.
    pub fn run_folders(&self) -> Result<Vec<PathBuf>, Failure> {
        let entries = match fs::read_dir(&self.runs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::io("list", &self.runs, &error)),
        };
        let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        Ok(folders)
    }
}

impl Index<Access> for StateDirs {
    type Output = StateDir;

    fn index(&self, access: Access) -> &StateDir {
        &self.all[access.0]
    }
}
