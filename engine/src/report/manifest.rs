//! The manifest: a machine-readable record of what one run did, with one reader for all commands.
//!
//! JSON, one file a run, `manifest.json` in the folder of the run. Its schema is `engine/schemas/manifest.schema.json`.
//!
//! A run has thousands of instances that repeat each other, so whatever repeats is said once, in a table, and named by its
//! index ([`Tables`]). Ten thousand instances are about 2.5 MB.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_cache::{Content, Digest};
use pipe_contract::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::claims::ClaimReport;
use super::git_version::Git;
use super::run_tables::Tables;
use super::this_machine::Machine;
use crate::plan::ParamValue;

/// The edition of the form of manifests that is written and read.
pub const MANIFEST_EDITION: u32 = 2;

/// The name of the file in the folder of a run.
pub const MANIFEST: &str = "manifest.json";

/// What one run did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_EDITION`].
    pub manifest: u32,
    /// The run's id.
    pub run: String,
    /// The version of pipe.
    pub pipe_version: String,
    /// The pipeline.
    pub pipeline: String,
    /// The profile.
    pub profile: Option<String>,
    /// The pipeline file.
    pub file: PathBuf,
    /// The pipeline seed.
    pub seed: u64,
    /// The final value of every param, and what gave it.
    pub parameters: BTreeMap<String, ParamValue>,
    /// What `--set` gave, as typed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Whether subjects are simulated.
    pub simulated: bool,
    /// When it began, UTC.
    pub began: String,
    /// When it ended, UTC.
    pub ended: String,
    /// Seconds from start to end.
    pub wall_seconds: f64,
    /// Seconds of processor time, stages included.
    pub cpu_seconds: f64,
    /// The largest resident set of one process, bytes.
    pub peak_memory_bytes: u64,
    /// A stop was requested.
    pub stopped: bool,
    /// The exit code.
    pub exit_code: u8,
    /// How many instances ended in which way: `hit`, `ran`, `absent`, `failed`, `skipped`.
    pub counts: BTreeMap<String, usize>,
    /// The machine.
    pub machine: Machine,
    /// The project's version, if it is under git.
    pub git: Option<Git>,
    /// The run whose manifest has the tables: nothing has changed since, and the tables are empty here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// A digest of all labels and keys of this run together.
    pub state: Digest<Content>,
    /// The claims.
    pub claims: Vec<ClaimReport>,
    /// Where results were published.
    pub results: PathBuf,
    /// Results that were written, below that folder.
    pub written: Vec<String>,
    /// The lockfile, if it was written or is up to date.
    pub lockfile: Option<PathBuf>,
    /// The folder of logs. That of an instance is `KEY.log`.
    pub logs: PathBuf,
    /// The tables.
    #[serde(flatten)]
    pub tables: Tables,
}
/// What is asked of an earlier manifest by a run that changed nothing.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ManifestHead {
    manifest: u32,
    /// [`Manifest::run`].
    pub run: String,
    /// [`Manifest::exit_code`].
    pub exit_code: u8,
    /// [`Manifest::same_as`].
    #[serde(default)]
    pub same_as: Option<String>,
    /// [`Manifest::state`].
    pub state: Digest<Content>,
    written: Vec<String>,
    lockfile: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Edition {
    manifest: u32,
}

impl Manifest {
    /// Reads the manifest in the folder of a run; `None` if there is none. The tables of a run that changed nothing are
    /// those of the earlier run that has them, if it is still there.
    ///
    /// # Errors
    /// It cannot be read, or is not of this edition.
    pub fn read(folder: &Path) -> Result<Option<Self>, Failure> {
        let Some(mut manifest) = read::<Self>(folder)? else { return Ok(None) };
        if let Some(earlier) = &manifest.same_as
            && let Some(earlier) = read::<Self>(&folder.with_file_name(earlier))?
        {
            manifest.tables = earlier.tables;
        }
        Ok(Some(manifest))
    }

    /// Writes it into the folder of its run, which exists; gives its path.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let path = folder.join(MANIFEST);
        let aside = folder.join(format!("{MANIFEST}.new"));
        let json = serde_json::to_vec(self)
            .map_err(|error| Failure::internal(format!("the manifest has no JSON form: {error}")))?;
        fs::write(&aside, json).map_err(|error| Failure::io("write", &aside, &error))?;
        fs::rename(&aside, &path).map_err(|error| Failure::io("write", &path, &error))?;
        Ok(path)
    }

    /// The name of an instance, as in messages; `None` if there is no such row.
    pub fn label(&self, instance: u32) -> Option<String> {
        let row = self.tables.instances.rows.get(instance as usize)?;
        let stage = self.tables.stages.get(row.stage as usize)?;
        if row.at.is_empty() {
            return Some(stage.name.clone());
        }
        // In the order of names, as coordinates are.
        let at: BTreeMap<_, _> = stage.axes.iter().zip(&row.at).collect();
        let at: Vec<String> = at.into_iter().map(|(axis, value)| format!("{axis}={value}")).collect();
        Some(format!("{}({})", stage.name, at.join(", ")))
    }
}

impl ManifestHead {
    /// Reads the head of the manifest in the folder of a run; `None` if there is none that this program reads.
    pub fn read(folder: &Path) -> Option<Self> {
        let head: Self = serde_json::from_slice(&fs::read(folder.join(MANIFEST)).ok()?).ok()?;
        (head.manifest == MANIFEST_EDITION).then_some(head)
    }

    /// Whether results were in the project when the run ended: it wrote some, or all that its lockfile has were there.
    pub fn left_results(&self) -> bool {
        !self.written.is_empty() || self.lockfile.is_some()
    }
}

fn read<M: DeserializeOwned>(folder: &Path) -> Result<Option<M>, Failure> {
    let path = folder.join(MANIFEST);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io("read", &path, &error)),
    };
    let wrong = |what: String| {
        Failure::environment(format!("`{}` is not a manifest of this version of pipe: {what}", path.display()))
            .hint("it may be deleted; the next run writes one of its own")
    };
    match serde_json::from_slice(&bytes).map(|Edition { manifest }| manifest) {
        Ok(MANIFEST_EDITION) => {}
        Ok(other) => return Err(wrong(format!("expected edition {MANIFEST_EDITION}, found {other}"))),
        Err(error) => return Err(wrong(error.to_string())),
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(error.to_string()))
}
