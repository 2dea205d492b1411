//! The manifest: a machine-readable record of what one run did, with one reader for all commands.
//!
//! JSON, one file a run, `manifest.json` in the folder of the run. Its schema is `engine/schemas/manifest.schema.json`.
//!
//! A run has thousands of instances that repeat each other, so whatever repeats is said once, in a table, and named by its
//! index: kinds with their ports, stages, files of the project, gathers, reasons, environments. Instances and artifacts
//! are lists of rows under one list of columns, the form that `pandas.DataFrame(**table)` takes. Ten thousand
//! instances are about 2.5 MB.
//!
//! An instance is in the row of its number in the plan. Its outputs are rows of `artifacts`; its inputs name such rows, so a
//! digest is said once, where it was made.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;
use pipe_cache::{Action, Content, ContentForm, Digest};
use pipe_contract::{Failure, Form, Value};
use serde::{Deserialize, Serialize};

use super::ClaimReport;
use super::public_digest::PublicDigest;
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

/// What a manifest says instance by instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tables {
    /// Kinds as stages use them.
    pub kinds: Vec<KindEntry>,
    /// Stages, in the order of the plan.
    pub stages: Vec<StageEntry>,
    /// Files and folders of the project that are read.
    pub files: Vec<FileEntry>,
    /// Lists of cells that are read together, in the order of their coordinates, which are those of the instances they
    /// come from.
    pub gathers: Vec<Vec<Reference>>,
    /// Sentences: why instances were no hits.
    pub reasons: Vec<String>,
    /// In what instances worked.
    pub environments: Vec<ExecutionEnvironment>,
    /// The outputs of all instances, in the order of instances and, within one, of the outputs of its kind.
    pub artifacts: Table<ArtifactRow>,
    /// Every instance of the plan, in the order of the plan.
    pub instances: Table<InstanceRow>,
}

/// A kind, or a `run:` command as far as its ports and tools go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindEntry {
    /// Its name; `run` for a command.
    pub kind: String,
    /// Its version; for a command, that of how commands are carried out.
    pub version: u32,
    /// Input ports.
    pub inputs: Vec<InputEntry>,
    /// Output ports.
    pub outputs: Vec<OutputEntry>,
    /// What is known of the tools of a command: versions, or digests of what is installed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, String>,
}

/// An input port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputEntry {
    /// Its name.
    pub port: String,
    /// Artifact types that it reads; it reads anything if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
}

/// An output port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputEntry {
    /// Its name.
    pub port: String,
    /// The artifact type; a command declares none.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// File or folder.
    pub form: Form,
}

/// A stage, with what its instances share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageEntry {
    /// Its name.
    pub name: String,
    /// Index into `kinds`.
    pub kind: u32,
    /// Its axes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<String>,
    /// Parameters that all its instances have the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Value>,
}

/// A file or folder of the project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to the project; absolute if it is outside of it.
    pub path: PathBuf,
    /// For the files of a folder that a glob names: the glob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// What it was; not known of what no stage was looked up for, or what is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<FileContent>,
}

/// What a file or folder was when it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileContent {
    /// File, executable or folder.
    pub form: ContentForm,
    /// Of its bytes, or of its listing; keyed if a restricted stage reads it.
    pub digest: PublicDigest<Content>,
    /// Its size.
    pub bytes: u64,
}

/// What an input reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reference {
    /// Index into `artifacts`.
    Artifact(u32),
    /// One entry of an artifact that is a folder: `[ARTIFACT, PATH]`.
    Entry(u32, String),
    /// Index into `files`.
    File {
        /// The index.
        file: u32,
    },
    /// Index into `gathers`.
    Gather {
        /// The index.
        gather: u32,
    },
}

/// In what an instance worked, as far as that can change bytes or access.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExecutionEnvironment {
    /// `cpu`, the name of the GPU, or `cuda:N` where the name is not known.
    pub device: String,
    /// How many threads it was granted.
    pub threads: u32,
    /// The instruction set that its library chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Its library, such as `libtorch 2.11.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// What kept a `run:` stage from undeclared files: `full`, `files` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    /// What kept a `run:` stage from the network: `none` (it had none), `declared` or `open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// Rows under one list of columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "R: Row"), try_from = "RawTable<R>")]
pub struct Table<R> {
    columns: Vec<String>,
    /// The rows.
    #[serde(rename = "data")]
    pub rows: Vec<R>,
}

/// A row of a [`Table`]: in JSON a list, with its values in the order of the columns.
pub trait Row: Sized + serde::de::DeserializeOwned {
    /// The names of its values.
    const COLUMNS: &[&str];
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "R: Row"))]
struct RawTable<R> {
    columns: Vec<String>,
    data: Vec<R>,
}

impl<R: Row> TryFrom<RawTable<R>> for Table<R> {
    type Error = String;

    fn try_from(raw: RawTable<R>) -> Result<Self, String> {
        if raw.columns != R::COLUMNS {
            return Err(format!("expected the columns {:?}, found {:?}", R::COLUMNS, raw.columns));
        }
        Ok(raw.data.into())
    }
}

impl<R: Row> From<Vec<R>> for Table<R> {
    fn from(rows: Vec<R>) -> Self {
        Self { columns: R::COLUMNS.iter().map(|name| (*name).to_owned()).collect(), rows }
    }
}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        Vec::new().into()
    }
}

/// An output of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "ArtifactTuple", into = "ArtifactTuple")]
pub struct ArtifactRow {
    /// Index into `instances`.
    pub instance: u32,
    /// Index into the outputs of its kind.
    pub port: u32,
    /// Of its bytes, or of its listing; nothing if it is not there, keyed if it is restricted and not released.
    pub digest: Option<PublicDigest<Content>>,
    /// Its size.
    pub bytes: Option<u64>,
}

type ArtifactTuple = (u32, u32, Option<PublicDigest<Content>>, Option<u64>);

impl Row for ArtifactRow {
    const COLUMNS: &[&str] = &["instance", "port", "digest", "bytes"];
}

impl From<ArtifactTuple> for ArtifactRow {
    fn from((instance, port, digest, bytes): ArtifactTuple) -> Self {
        Self { instance, port, digest, bytes }
    }
}

impl From<ArtifactRow> for ArtifactTuple {
    fn from(row: ArtifactRow) -> Self {
        (row.instance, row.port, row.digest, row.bytes)
    }
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "InstanceTuple", into = "InstanceTuple")]
pub struct InstanceRow {
    /// Index into `stages`.
    pub stage: u32,
    /// Its coordinates, in the order of the axes of its stage.
    pub at: Vec<String>,
    /// How it ended.
    pub outcome: OutcomeWord,
    /// Its key, if its inputs were known; keyed if it is restricted.
    pub key: Option<PublicDigest<Action>>,
    /// What it reads, in the order of the input ports of its kind; nothing at a port that is not set.
    pub inputs: Vec<Option<Reference>>,
    /// Seconds from the beginning of the run to that of its last attempt.
    pub started: Option<f64>,
    /// Seconds from the beginning of the run to the end of its last attempt.
    pub ended: Option<f64>,
    /// The number of the slot it worked in: instances that worked at one time have different ones.
    pub slot: Option<u32>,
    /// Seconds of processor time of the last attempt.
    pub cpu_seconds: Option<f64>,
    /// The largest resident set of its processes, bytes; nothing if it had none of its own.
    pub peak_memory_bytes: Option<u64>,
    /// Indexes into `reasons`: why it was no hit.
    pub reasons: Vec<u32>,
    /// Index into `environments`.
    pub environment: Option<u32>,
    /// What few instances have.
    pub details: Option<Box<Details>>,
}

type InstanceTuple = (
    u32,
    Vec<String>,
    OutcomeWord,
    Option<PublicDigest<Action>>,
    Vec<Option<Reference>>,
    Option<f64>,
    Option<f64>,
    Option<u32>,
    Option<f64>,
    Option<u64>,
    Vec<u32>,
    Option<u32>,
    Option<Box<Details>>,
);

impl Row for InstanceRow {
    const COLUMNS: &[&str] = &[
        "stage",
        "at",
        "outcome",
        "key",
        "inputs",
        "started",
        "ended",
        "slot",
        "cpu_seconds",
        "peak_memory_bytes",
        "reasons",
        "environment",
        "details",
    ];
}

impl From<InstanceTuple> for InstanceRow {
    fn from(values: InstanceTuple) -> Self {
        let (
            stage,
            at,
            outcome,
            key,
            inputs,
            started,
            ended,
            slot,
            cpu_seconds,
            peak_memory_bytes,
            reasons,
            environment,
            details,
        ) = values;
        Self {
            stage,
            at,
            outcome,
            key,
            inputs,
            started,
            ended,
            slot,
            cpu_seconds,
            peak_memory_bytes,
            reasons,
            environment,
            details,
        }
    }
}

impl From<InstanceRow> for InstanceTuple {
    fn from(row: InstanceRow) -> Self {
        (
            row.stage,
            row.at,
            row.outcome,
            row.key,
            row.inputs,
            row.started,
            row.ended,
            row.slot,
            row.cpu_seconds,
            row.peak_memory_bytes,
            row.reasons,
            row.environment,
            row.details,
        )
    }
}

/// How an instance ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeWord {
    /// Its outputs were there.
    Hit,
    /// It worked.
    Ran,
    /// A missing cell.
    Absent,
    /// It went wrong.
    Failed,
    /// Something it needs failed, or the run was stopped.
    Skipped,
    /// It was not selected.
    LeftOut,
}

/// What few instances have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Its seed, if it is random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Parameters that other instances of its stage have otherwise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Value>,
    /// Names of the restrictions on its outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restricted: Vec<String>,
    /// How often it was tried, if more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Why it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<Absence>,
    /// How it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The folder in which it failed, if it was retained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retained: Option<PathBuf>,
    /// Why it was skipped: the label of the instance at fault, or `stopped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Its notes for the summary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// It printed something: its log is in `logs`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub log: bool,
}

/// Why a cell is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Absence {
    /// The cause, such as `not-found`.
    pub cause: String,
    /// Found by an earlier run.
    pub recorded: bool,
    /// The instance that found it, an index into `instances`, if this one inherits it from what it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<u32>,
    /// The particulars, in the words of the stage that found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
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

fn read<M: serde::de::DeserializeOwned>(folder: &Path) -> Result<Option<M>, Failure> {
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

/// Where a run took place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// Such as `linux`.
    pub os: String,
    /// Such as `x86_64`.
    pub architecture: String,
    /// The instruction set that it has at least: `x86-64-v1` to `x86-64-v4`, else the architecture.
    pub instructions: String,
    /// The processor's name, if the system reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
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
            os: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            instructions: instructions().to_owned(),
            processor: processor(),
            cpu,
            gpus,
        }
    }
}

/// The level of the instruction set, as the System V ABI defines levels.
#[cfg(target_arch = "x86_64")]
fn instructions() -> &'static str {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("cmpxchg16b") && has!("popcnt") && has!("sse3") && has!("sse4.2") && has!("ssse3");
    let v3 =
        has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma") && has!("lzcnt") && has!("movbe");
    let v4 = has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
    match (v2, v2 && v3, v2 && v3 && v4) {
        (_, _, true) => "x86-64-v4",
        (_, true, _) => "x86-64-v3",
        (true, ..) => "x86-64-v2",
        _ => "x86-64-v1",
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> &'static str {
    std::env::consts::ARCH
}

/// Read from the beginning of the list of processors: the kernel writes as much of it as is read.
fn processor() -> Option<String> {
    let mut text = Vec::new();
    fs::File::open("/proc/cpuinfo").ok()?.take(4096).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let name =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.map(str::to_owned)
}

/// A project's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The commit.
    pub commit: String,
    /// Whether files differed from it; not looked up when nothing ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
