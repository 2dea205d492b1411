//! The resolved plan. No field is unset: what was optional in the file has its final value.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipe_contract::{Coordinates, Value};
use serde::{Deserialize, Serialize};

use super::binary;
use super::param_value::ParamValue;
use crate::ids::{GatherId, InstanceId, StageId};

/// A pipeline under one profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The pipeline's name (`pipeline:`).
    pub pipeline: String,
    /// The profile, if the file has any.
    pub profile: Option<String>,
    /// The `about:` of the pipeline.
    pub about: String,
    /// The pipeline file, absolute.
    #[serde(with = "binary::path")]
    pub file: PathBuf,
    /// Its folder: project files are relative to it.
    #[serde(with = "binary::path")]
    pub folder: PathBuf,
    /// The pipeline seed.
    pub seed: u64,
    /// Whether subjects and data are simulated; stamped on figures and tables.
    pub simulated: bool,
    /// Every param with its final value.
    #[serde(with = "binary::params")]
    pub params: BTreeMap<String, ParamValue>,
    /// What `--set` gave, as typed, by param; the last of each.
    pub set: BTreeMap<String, String>,
    /// Stages, in the order of the file; removed ones are not there.
    pub stages: Vec<Stage>,
    /// Instances, in topological order: an instance only reads instances of a smaller id.
    /// The instances of one stage need not be adjacent to those of the next in the file.
    pub instances: Vec<Instance>,
    /// What gathering ports read, by [`GatherId`]: cells sorted by coordinates, which are distinct.
    pub gathers: Vec<Vec<GatheredCell>>,
    /// Files that are published under `results/`.
    pub results: Vec<Published>,
    /// Claims of this profile.
    pub claims: Vec<Claim>,
    /// Rules that lift restrictions from ports.
    pub releases: Vec<Release>,
}

/// One cell of a gather: its coordinates on the axes that were gathered or picked, and the artifact.
pub type GatheredCell = (Coordinates, Link);

/// A stage as written, with what its instances share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name; stages of an include are `namespace.name`.
    pub name: String,
    /// The work.
    pub work: Work,
    /// Its axes, in written order.
    pub axes: Vec<String>,
    /// Its instances, ascending.
    pub instances: Range<u32>,
    /// The chosen alternative of `resources:`, clipped to this machine.
    pub amounts: Amounts,
    /// How often a transient failure is tried again.
    pub retry: u32,
    /// After this the process group is killed.
    pub timeout: Option<Duration>,
    /// Causes of absence it accepts.
    pub accepts_absent: Vec<String>,
    /// The least share of present cells by port, 0 to 1.
    pub coverage: BTreeMap<String, f64>,
    /// The name of the credential that is passed to it.
    pub credential: Option<String>,
    /// Outputs may be dropped when all readers are done.
    pub temporary: bool,
    /// Line and column (from 1) of its name in `file`, for messages.
    pub place: SourcePlace,
}

/// A position in a pipeline file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePlace {
    /// The file.
    #[serde(with = "binary::path")]
    pub file: PathBuf,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// The work of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// `uses:` a kind of the registry.
    Kind(String),
    /// `run:` a command.
    Command(#[serde(with = "binary::shared")] Arc<Command>),
}

/// A `run:` stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The body, passed to its shell unchanged.
    pub body: String,
    /// The shell it runs under, unless it begins with `#!`.
    pub shell: Shell,
    /// Output port to path below the stage's output folder; a trailing `/` means a folder.
    pub out: BTreeMap<String, String>,
    /// Declared environment.
    pub env: BTreeMap<String, String>,
    /// Declared tools.
    pub tools: BTreeMap<String, Tool>,
    /// Inputs that may stay unset.
    pub optional: BTreeSet<String>,
    /// Reads and writes only what is declared; false with `isolation: none`.
    pub isolated: bool,
    /// May use the network.
    pub net: bool,
    /// Has a seed.
    pub random: bool,
}

/// The shell of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Shell {
    /// `bash -euo pipefail`.
    Bash,
    /// `sh -eu`.
    Sh,
}

/// A declared tool of a `run:` stage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tool {
    /// The first line of this command's output is the fact.
    Version(String),
    /// The digest of the distributions installed in this virtual environment (relative to the pipeline file) is the fact.
    Venv(String),
}

/// Amounts of resources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Amounts {
    /// Processor slots, at least 1 for anything that computes.
    pub cpu: u32,
    /// GPU slots.
    pub gpu: u32,
    /// Memory, bytes.
    pub mem: u64,
    /// Network slots.
    pub net: u32,
}

/// A stage at one point of its axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its stage.
    pub stage: StageId,
    /// Coordinates on the stage's axes.
    pub at: Coordinates,
    /// Typed parameters with defaults; for `run:` stages the texts as written ([`crate::spec::Node::as_written`]).
    #[serde(with = "binary::values")]
    pub params: BTreeMap<String, Value>,
    /// Inputs by port; an unset optional port is not there.
    pub inputs: BTreeMap<String, Source>,
    /// For random kinds and `random: true`: from pipeline seed, kind name and coordinates, or the stage's `seed:`.
    pub seed: Option<u64>,
    /// Names of the restrictions on its outputs, its own and inherited.
    pub restricted: BTreeSet<String>,
}

/// What an input port reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// One artifact.
    One(Link),
    /// A gather: [`Plan::gather`] has its cells.
    Many(GatherId),
}

/// One artifact, before it exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Link {
    /// An output of another instance, or one entry of an output folder.
    Output {
        /// The producer.
        instance: InstanceId,
        /// Its port.
        #[serde(with = "binary::shared")]
        port: Arc<str>,
        /// `/`-separated path inside a folder.
        #[serde(with = "binary::shared_option")]
        entry: Option<Arc<str>>,
    },
    /// A file or folder of the project, absolute.
    File(#[serde(with = "binary::shared")] Arc<ProjectFile>),
}

/// A file or folder of the project, or the files of a folder that a glob names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProjectFile {
    /// Absolute; for a glob the folder above its first wildcard.
    #[serde(with = "binary::path")]
    pub path: PathBuf,
    /// The rest of a glob: only the files that it names are there.
    pub only: Option<String>,
    /// Patterns of what is ignored in the folder besides [`pipe_cache::IGNORED`] and what the pipeline itself writes;
    /// `None` ignores nothing at all (`ignore: []`).
    pub ignore: Option<Vec<String>>,
}

impl ProjectFile {
    /// A file or folder in which the usual is ignored.
    pub fn new(path: PathBuf) -> Self {
        Self { path, only: None, ignore: Some(Vec::new()) }
    }
}

impl Deref for ProjectFile {
    type Target = PathBuf;

    fn deref(&self) -> &PathBuf {
        &self.path
    }
}

/// One line of `results:`, resolved to one artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Path below `results/<pipeline>/<profile>/`; a trailing `/` publishes a whole folder.
    /// If the artifact is a folder and this is a file name, the folder's one entry with the same extension is published.
    pub path: String,
    /// The artifact.
    pub link: Link,
    /// Where the rule is written.
    pub place: SourcePlace,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The claim in words.
    pub text: String,
    /// The table.
    pub table: Link,
    /// Column to value: must select exactly one row.
    pub filter: BTreeMap<String, String>,
    /// The column whose value is claimed.
    pub column: String,
    /// The claimed value.
    pub equals: f64,
    /// The largest accepted distance.
    pub within: f64,
    /// Where it is written.
    pub place: SourcePlace,
}

/// A rule that lifts restrictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// `stage.port`.
    pub ports: Vec<(StageId, String)>,
    /// The rule or reason.
    pub why: ReleaseWhy,
}

/// Why a port may be published although its data are restricted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ReleaseWhy {
    /// It aggregates at least this many subjects.
    Aggregate(u32),
    /// Approved by a decision, not by a rule.
    Approved {
        /// The reason.
        because: String,
        /// Who and when; nothing is released before it was.
        approved: Option<String>,
    },
}

impl Plan {
    /// The stage of an instance.
    pub fn stage_of(&self, id: InstanceId) -> &Stage {
        &self.stages[self.instances[id.index()].stage.index()]
    }

    /// The instance.
    pub fn instance(&self, id: InstanceId) -> &Instance {
        &self.instances[id.index()]
    }

    /// All ids, in topological order.
    pub fn ids(&self) -> impl Iterator<Item = InstanceId> + use<> {
        (0..u32::try_from(self.instances.len()).expect("a plan has fewer than 2^32 instances")).map(InstanceId)
    }

    /// The name of an instance in messages: `score(outputs=area, sid=s03)`, or the stage's name if it has no axes.
    pub fn label(&self, id: InstanceId) -> String {
        let instance = self.instance(id);
        let name = &self.stages[instance.stage.index()].name;
        if instance.at.is_empty() { name.clone() } else { [name, "(", &instance.at.to_string(), ")"].concat() }
    }

    /// The cells of a gather.
    pub fn gather(&self, id: GatherId) -> &[GatheredCell] {
        &self.gathers[id.index()]
    }

    /// Every artifact that an input port reads: one, or the cells of its gather.
    pub fn links<'a>(&'a self, source: &'a Source) -> impl Iterator<Item = &'a Link> {
        let (one, cells): (Option<&Link>, &[GatheredCell]) = match source {
            Source::One(link) => (Some(link), &[]),
            Source::Many(gather) => (None, self.gather(*gather)),
        };
        one.into_iter().chain(cells.iter().map(|(_, link)| link))
    }

    /// The instances that `id` reads, each once, ascending.
    pub fn reads(&self, id: InstanceId) -> BTreeSet<InstanceId> {
        self.instance(id).inputs.values().flat_map(|source| self.links(source)).filter_map(Link::producer).collect()
    }
}

impl Link {
    /// The instance that makes the artifact; `None` for a file of the project.
    pub fn producer(&self) -> Option<InstanceId> {
        match self {
            Link::Output { instance, .. } => Some(*instance),
            Link::File(_) => None,
        }
    }
}
