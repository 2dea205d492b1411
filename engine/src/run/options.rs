//! How a run is to be done, and where its files are.

use std::env;
use std::path::PathBuf;

use pipe_cache::DEFAULT_NAME;
use pipe_contract::Failure;

use crate::exec;
use crate::sched::Capacities;

/// How a run is to be done.
#[derive(Clone)]
pub struct RunOptions {
    /// Where its files are.
    pub places: Places,
    /// The catalogue of kinds, the guard and the worker.
    pub exec: exec::Settings,
    /// What may be used at one time.
    pub capacities: Capacities,
    /// Which stages; all of them by default.
    pub selection: Selection,
    /// Stages or instances (`score(sid=s03)`) that run although they are cached.
    pub force: Vec<String>,
    /// Start nothing after the first failure.
    pub fail_fast: bool,
    /// Run stages again whose cells were recorded as absent.
    pub retry_absent: bool,
    /// Params that were set by hand (`--set`), as they were written. Explanations compare with the last run of the same ones.
    pub set: Vec<(String, String)>,
    /// Replace results that were edited since they were published, and files that pipe did not write.
    pub overwrite: bool,
    /// Write the lockfile after a whole and successful run. Off when params were set by hand (`--set`), because the
    /// lockfile is about the profile as the file has it.
    pub lock: bool,
    /// Test hook: ready instances start in a random order made from this seed.
    pub shuffle: Option<u64>,
}

impl RunOptions {
    /// Of a run that does everything, forces nothing and writes the lockfile.
    pub fn new(places: Places, exec: exec::Settings, capacities: Capacities) -> Self {
        Self {
            places,
            exec,
            capacities,
            selection: Selection::default(),
            force: Vec::new(),
            fail_fast: false,
            retry_absent: false,
            set: Vec::new(),
            overwrite: false,
            lock: true,
            shuffle: None,
        }
    }
}

/// Which stages of a plan a run is about; everything if all four are empty. Names are stages or instances
/// (`score(sid=s03)`, where axes left out match all).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// These and what they need.
    pub stages: Vec<String>,
    /// These and what depends on them; what they need must be cached.
    pub from: Vec<String>,
    /// These and what they need, with nothing after them.
    pub until: Vec<String>,
    /// Only these; what they need must be cached.
    pub only: Vec<String>,
}

/// The folders of the cache and of the local state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The cache: immutable blobs and records, may be shared between machines.
    pub cache: PathBuf,
    /// The folder of per-machine state; each cache has a folder of its own below it.
    pub state: PathBuf,
}

impl Places {
    /// The given cache, else the folder [`DEFAULT_NAME`] in `$XDG_CACHE_HOME/pipe`, else in `~/.cache/pipe` (libtorch lies beside it); the
    /// state is `$XDG_STATE_HOME/pipe`, else `~/.local/state/pipe`. (`PIPE_CACHE` is an option of the command line and arrives as `cache`.)
    ///
    /// # Errors
    /// Neither variable gives the user's folders.
    pub fn find(cache: Option<PathBuf>) -> Result<Self, Failure> {
        let cache = match cache {
            Some(folder) => std::path::absolute(&folder).map_err(|error| Failure::io("resolve", &folder, &error))?,
            None => users_folder("XDG_CACHE_HOME", ".cache")?.join("pipe").join(DEFAULT_NAME),
        };
        Ok(Self { cache, state: users_folder("XDG_STATE_HOME", ".local/state")?.join("pipe") })
    }
}

/// The folder a variable names, if it is absolute as the XDG rules require, else one below the home folder.
fn users_folder(variable: &str, below_home: &str) -> Result<PathBuf, Failure> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home))).ok_or_else(|| {
        Failure::environment(format!("neither `{variable}` nor `HOME` names an absolute folder"))
            .hint(format!("set `HOME`, or `{variable}`"))
    })
}
