//! One piece of work, self-contained: the same task can be handed to a thread, a local worker or another machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Coordinates, Failure, Parameters, Value};

/// Everything a kind needs to do its work once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The kind.
    pub kind: String,
    /// Its version, checked by the worker.
    pub version: u32,
    /// All parameters, typed and with defaults filled in.
    pub params: BTreeMap<String, Value>,
    /// Coordinates on the axes the kind declares ([`crate::Kind::axes`]), no others.
    pub at: Coordinates,
    /// Inputs by port; an unset optional port is not there.
    pub inputs: BTreeMap<String, Given>,
    /// Where each output port is to be written; parent folders exist, the paths themselves do not.
    pub outputs: BTreeMap<String, PathBuf>,
    /// The seed, for kinds that are random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The run is simulated; set only for kinds that are stamped.
    #[serde(default)]
    pub simulated: bool,
    /// Where to compute.
    pub device: Device,
    /// How many threads it was granted.
    pub threads: u32,
    /// The name of the credential to use, never the secret itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Causes of absence that the stage accepts (`absent:`); any other is a failure.
    #[serde(default)]
    pub accepts_absent: Vec<String>,
    /// The least share of cells that must be present, by gather port (`coverage:`), 0 to 1.
    #[serde(default)]
    pub coverage: BTreeMap<String, f64>,
    /// A folder that survives kills and is removed after success, for kinds with checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<PathBuf>,
    /// An empty folder for temporary files.
    pub scratch: PathBuf,
}

/// What arrives at an input port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Given {
    /// One artifact.
    One(PathBuf),
    /// A gather, sorted by coordinates.
    Many(Vec<Cell>),
}

/// One cell of a gather.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Coordinates on the axes that were gathered or picked.
    pub at: Coordinates,
    /// The artifact, or why there is none.
    pub artifact: Presence,
}

/// An artifact, or the reason for its absence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// There, at this path.
    Present(PathBuf),
    /// Not there, for this cause (`not-found`, `excluded`).
    Absent(String),
}

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The CUDA device of this index.
    Cuda(u32),
}

/// Opens a note that changes what a result means: missing data replaced by zeros, cells left out.
pub const IMPORTANT: &str = "important: ";

/// How a task ended when it did not fail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// All outputs are written.
    Done {
        /// What it ran on, where that can change bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ran_on: Option<RanOn>,
        /// Sentences for the summary: warnings, coverage.
        /// One that begins with [`IMPORTANT`] is shown before the others.
        #[serde(default)]
        notes: Vec<String>,
        /// By output port that [aggregates](crate::Output::aggregates): the fewest subjects behind anything that it shows.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        aggregated: BTreeMap<String, u64>,
    },
    /// There is nothing to give, for a cause the kind declares.
    Absent {
        /// The cause, one of [`crate::Kind::absences`].
        cause: String,
        /// The particulars, for the log.
        detail: String,
    },
}

/// What a task ran on, where that can change bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RanOn {
    /// `cpu` or the name of the GPU.
    pub device: String,
    /// The instruction set libraries chose, such as `AVX2`.
    pub instructions: String,
    /// Libraries whose version can change bytes, such as `libtorch 2.11.0`.
    pub library: String,
    /// Threads used inside operations.
    pub threads: u32,
}

impl Ended {
    /// Done, with nothing to remark.
    pub fn done() -> Self {
        Self::noted(Vec::new())
    }

    /// Done, with these notes.
    pub fn noted(notes: Vec<String>) -> Self {
        Ended::Done { ran_on: None, notes, aggregated: BTreeMap::new() }
    }

    /// Adds how many subjects are behind an output: the fewest behind anything that it shows.
    #[must_use]
    pub fn aggregating(mut self, port: &str, subjects: usize) -> Self {
        if let Ended::Done { aggregated, .. } = &mut self {
            aggregated.insert(port.to_owned(), subjects as u64);
        }
        self
    }
}

impl Task {
    /// The parameters as the kind's own struct.
    ///
    /// # Errors
    /// Internal: the plan has checked parameters against the declaration, so a mismatch is a defect of the kind.
    pub fn parameters<P: Parameters>(&self) -> Result<P, Failure> {
        P::read(&self.params)
            .map_err(|error| Failure::internal(format!("parameters of `{}` do not fit its code: {error}", self.kind)))
    }

    /// The artifact at a required port of one.
    ///
    /// # Errors
    /// Internal: the plan has checked the ports.
    pub fn one(&self, port: &str) -> Result<&Path, Failure> {
        match self.inputs.get(port) {
            Some(Given::One(path)) => Ok(path),
            _ => Err(Failure::internal(format!("`{}` got no single artifact at port `{port}`", self.kind))),
        }
    }

    /// The artifact at an optional port of one.
    pub fn maybe(&self, port: &str) -> Option<&Path> {
        match self.inputs.get(port) {
            Some(Given::One(path)) => Some(path),
            _ => None,
        }
    }

    /// The cells at a gathering port; none if the port is unset.
    pub fn many(&self, port: &str) -> &[Cell] {
        match self.inputs.get(port) {
            Some(Given::Many(cells)) => cells,
            _ => &[],
        }
    }

    /// The present cells at a gathering port.
    pub fn present(&self, port: &str) -> impl Iterator<Item = (&Coordinates, &Path)> {
        self.many(port).iter().filter_map(|cell| match &cell.artifact {
            Presence::Present(path) => Some((&cell.at, path.as_path())),
            Presence::Absent(_) => None,
        })
    }

    /// One sentence about the absent cells at a gathering port, if there are any.
    pub fn absences(&self, port: &str) -> Option<String> {
        let cells = self.many(port);
        let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
        for cell in cells {
            if let Presence::Absent(cause) = &cell.artifact {
                *causes.entry(cause).or_default() += 1;
            }
        }
        let absent: usize = causes.values().sum();
        let causes: Vec<String> = causes.into_iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        (absent > 0).then(|| format!("{} of {} `{port}` ({})", cells.len() - absent, cells.len(), causes.join(", ")))
    }

    /// Where an output port is to be written.
    ///
    /// # Errors
    /// Internal: the engine gives a path for every declared port.
    pub fn output(&self, port: &str) -> Result<&Path, Failure> {
        self.outputs
            .get(port)
            .map(PathBuf::as_path)
            .ok_or_else(|| Failure::internal(format!("`{}` was given no path for output `{port}`", self.kind)))
    }

    /// The coordinate on an axis that the kind declares.
    ///
    /// # Errors
    /// Internal: the plan has checked that the stage has the axis.
    pub fn coordinate(&self, axis: &str) -> Result<&str, Failure> {
        self.at
            .get(axis)
            .map(String::as_str)
            .ok_or_else(|| Failure::internal(format!("`{}` was given no coordinate on axis `{axis}`", self.kind)))
    }

    /// The seed of a random kind.
    ///
    /// # Errors
    /// Internal: the engine gives every random kind a seed.
    pub fn seed(&self) -> Result<u64, Failure> {
        self.seed.ok_or_else(|| Failure::internal(format!("`{}` was given no seed", self.kind)))
    }
}
