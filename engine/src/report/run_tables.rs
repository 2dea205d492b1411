//! What a manifest says instance by instance: tables, in which everything that repeats is said once and named by its index.
//!
//! An instance is in the row of its number in the plan. Its outputs are rows of `artifacts`; its inputs name such rows, so a
//! digest is said once, where it was made. Independent of how the tables are filled and of the file they are in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pipe_cache::{Action, Content, ContentForm};
use pipe_contract::{Failure, Form, Value};
use serde::{Deserialize, Serialize};

use super::public_digest::PublicDigest;
use super::row_table::{ManifestTable, row};

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
    pub gathers: Vec<Vec<ArtifactReference>>,
    /// Sentences: why instances were no hits.
    pub reasons: Vec<String>,
    /// In what instances worked.
    pub environments: Vec<ExecutionEnvironment>,
    /// The outputs of all instances, in the order of instances and, within one, of the outputs of its kind.
    pub artifacts: ManifestTable<ArtifactRow>,
    /// Every instance of the plan, in the order of the plan.
    pub instances: ManifestTable<InstanceRow>,
}

/// A kind, or a `run:` command as far as its ports and tools go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputEntry {
    /// Its name.
    pub port: String,
    /// Artifact types that it reads; it reads anything if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
}

/// An output port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Its size; nothing if a restricted stage reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What an input reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ArtifactReference {
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

row! {
    /// An output of an instance.
    pub struct ArtifactRow {
        /// Index into `instances`.
        pub instance: u32,
        /// Index into the outputs of its kind.
        pub port: u32,
        /// Of its bytes, or of its listing; nothing if it is not there, keyed if it is restricted and not released.
        pub digest: Option<PublicDigest<Content>>,
        /// Its size; nothing if it is not there, or restricted and not released.
        pub bytes: Option<u64>,
    }
}

row! {
    /// An instance.
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
        pub inputs: Vec<Option<ArtifactReference>>,
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
    /// It printed something: its log is in `logs`, or, with restricted data, in a folder of logs for its owner only.
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
