//! The manifest: a machine-readable record of what one run did.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pipe_cache::{Action, Content, Digest};
use pipe_contract::RanOn;
use serde::Serialize;

use super::ClaimReport;
use crate::event::Outcome;

/// What one run did. JSON, one file a run.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// The version of this form.
    pub manifest: u32,
    /// The run's id.
    pub run: String,
    /// The version of pipe.
    pub pipe_version: &'static str,
    /// The pipeline.
    pub pipeline: String,
    /// The profile.
    pub profile: Option<String>,
    /// The pipeline file.
    pub file: PathBuf,
    /// The pipeline seed.
    pub seed: u64,
    /// Whether subjects are simulated.
    pub simulated: bool,
    /// When it began, UTC.
    pub began: String,
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
    /// `ran`, `hit`, `absent`, `failed`, `skipped`.
    pub counts: BTreeMap<&'static str, usize>,
    /// The machine.
    pub machine: Machine,
    /// The project's version, if it is under git.
    pub git: Option<Git>,
    /// Everything that was not a hit, in the order of the plan.
    pub instances: Vec<InstanceReport>,
    /// Keys of hits, by label. Left out if all are hits and an earlier manifest has the same ([`Manifest::same_as`]).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hits: BTreeMap<String, Digest<Action>>,
    /// The run whose manifest has the rest: nothing has changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
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
}

/// One instance that was not a hit.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceReport {
    /// Its label.
    pub label: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Why it was not a hit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Its key, if its inputs were known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest<Action>>,
    /// Its seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How often it was tried.
    pub attempts: u32,
    /// Seconds from start to end of the last attempt.
    pub wall_seconds: f64,
    /// Seconds of processor time of the last attempt.
    pub cpu_seconds: f64,
    /// The largest resident set of its processes, bytes; 0 if it had none of its own.
    pub peak_memory_bytes: u64,
    /// What kept a `run:` stage from undeclared files: `full`, `files` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<&'static str>,
    /// What kept a `run:` stage from the network: `none` (it had none), `declared` or `open`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<&'static str>,
    /// What it ran on, where that can change bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ran_on: Option<RanOn>,
    /// Digests of its outputs, by port.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Digest<Content>>,
    /// Its notes for the summary.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
}

/// Where a run took place.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// Such as `linux`.
    pub os: &'static str,
    /// Such as `x86_64`.
    pub architecture: &'static str,
    /// Processor slots that the run offered.
    pub cpu: u32,
    /// GPUs that the run offered.
    pub gpus: usize,
}

impl Machine {
    /// This machine.
    pub fn this(cpu: u32, gpus: usize) -> Self {
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            os: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            cpu,
            gpus,
        }
    }
}

/// A project's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Git {
    /// The commit.
    pub commit: String,
    /// Whether files differed from it; not looked up when nothing ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty: Option<bool>,
}

/// The commit that is checked out in the work tree a folder lies in, read from git's files: no process is started.
pub fn commit_of(folder: &Path) -> Option<String> {
    let git = folder.ancestors().map(|folder| folder.join(".git")).find(|path| path.exists())?;
    // A linked work tree has a file that names its folder, which in turn names the common one.
    let own = match fs::read_to_string(&git) {
        Ok(text) => git.parent()?.join(text.trim().strip_prefix("gitdir: ")?),
        Err(_) => git,
    };
    let common = fs::read_to_string(own.join("commondir")).map_or(own.clone(), |text| own.join(text.trim()));
    let head = fs::read_to_string(own.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else { return Some(head.trim().to_owned()) };
    let loose = fs::read_to_string(common.join(name)).ok().map(|text| text.trim().to_owned());
    loose.or_else(|| {
        let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
        packed.lines().find_map(|line| Some(line.strip_suffix(name)?.trim().to_owned()).filter(|id| !id.is_empty()))
    })
}

/// Whether git sees uncommitted changes; `None` if git cannot be run.
pub fn work_tree_is_dirty(folder: &Path) -> Option<bool> {
    let output = Command::new("git")
        .args(["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(!output.stdout.is_empty())
}
