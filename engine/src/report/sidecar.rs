//! `NAME.provenance.json` beside each published result: which work made it from what, and which run published it.
//!
//! What varies from run to run is here, so that the bytes of a result hold only what its key fixes. Paths are relative to
//! the project, so that a published folder says nothing about the disk of its maker.
//! Its schema is `engine/schemas/provenance.schema.json`.

use std::collections::{BTreeMap, BTreeSet};

use pipe_cache::{Action, Content, ContentForm, Digest};
use pipe_contract::{Failure, Value};
use serde::{Deserialize, Serialize};

use super::git_version::Git;
use super::public_digest::PublicDigest;
use super::result_line::{Piece, ResultLine};
use super::this_machine::Machine;

/// The edition of this form.
const EDITION: u32 = 1;

/// Such a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sidecar {
    /// The edition of this form.
    pub provenance: u32,
    /// The path of the result, below the results folder; a folder ends with `/`.
    pub result: String,
    /// Of the file beside it, or of the listing of the folder beside it.
    pub digest: Digest<Content>,
    /// Its size, or that of all its files together.
    pub bytes: u64,
    /// For a folder: the digests of its files, by path in it. A file there that is not listed was not written by pipe, or was
    /// edited when this was written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Digest<Content>>,
    /// The digests of the data dictionaries of its tables, by path below the results folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dictionaries: BTreeMap<String, Digest<Content>>,
    /// The work that made it.
    pub made_by: MadeBy,
    /// The run that published it.
    pub published_by: PublishedBy,
}

/// What a sidecar describes: the files that lie beside it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DescribedFiles {
    /// [`Sidecar::files`].
    pub files: BTreeMap<String, Digest<Content>>,
    /// [`Sidecar::dictionaries`].
    pub dictionaries: BTreeMap<String, Digest<Content>>,
}

/// The work that made a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MadeBy {
    /// The instance in this pipeline, such as `summary(outputs=area)`.
    pub stage: String,
    /// The output port, with the file in it where the result is one file of a folder: `figure`, `figure/table.csv`.
    pub port: String,
    /// All of what it made there: the result itself, or the folder that the result is a part of.
    pub artifact: OutputDigest,
    /// Its stage kind, or `run`.
    pub kind: String,
    /// The version of the kind.
    pub kind_version: u32,
    /// Its key: equal keys are equal work. Keyed if it is restricted.
    pub key: Option<PublicDigest<Action>>,
    /// Its parameters.
    pub parameters: BTreeMap<String, Value>,
    /// What it read; keyed where that is restricted.
    pub inputs: Vec<InputDigest>,
    /// Names of the restrictions on what it made; a release allows publishing it all the same.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub restricted: BTreeSet<String>,
    /// Its seed, if it is random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether subjects and data are simulated.
    pub simulated: bool,
    /// When and where it worked, as its record has it.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub record: serde_json::Value,
}

/// An output as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputDigest {
    /// File, executable or folder.
    pub form: ContentForm,
    /// Of the file's bytes or the folder's listing, as the manifest has it.
    pub digest: PublicDigest<Content>,
    /// Its size, or that of all its files together.
    pub bytes: u64,
}

/// What was read at an input port: one artifact, or a gather.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputDigest {
    /// The port.
    pub port: String,
    /// File, executable or folder; a gather has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<ContentForm>,
    /// Of the file's bytes, of the folder's listing, or of the list of a gather's cells.
    pub digest: PublicDigest<Content>,
    /// The cells of a gather, sorted by coordinates; not there if the cache has lost the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<Vec<CellDigest>>,
}

/// One cell of a gather: what was there, or why nothing was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellDigest {
    /// Its coordinates, by axis.
    pub at: BTreeMap<String, String>,
    /// File, executable or folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<ContentForm>,
    /// Of the file's bytes or the folder's listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<PublicDigest<Content>>,
    /// The cause of its absence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
}

/// The run that published a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedBy {
    /// Its id.
    pub run: String,
    /// When it began, UTC.
    pub began: String,
    /// The pipeline.
    pub pipeline: String,
    /// The profile, if the file has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The pipeline file, relative to the project.
    pub file: String,
    /// What `--set` gave, as typed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// The final value of every param.
    pub parameters: BTreeMap<String, Value>,
    /// The project's version, if it is under git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// The machine.
    pub machine: Machine,
    /// The version of pipe.
    pub pipe_version: String,
}

impl DescribedFiles {
    /// Whether the text of a sidecar describes these; the rest of it is not read.
    pub fn are_in(&self, sidecar: &str) -> bool {
        serde_json::from_str(sidecar).is_ok_and(|described: Self| described == *self)
    }
}

impl Sidecar {
    /// The sidecar of a result: of the only file that is published, or of a folder with those of its files that are described.
    pub fn new(line: &ResultLine, described: DescribedFiles, made_by: MadeBy, published_by: PublishedBy) -> Self {
        let only = line.pieces.first().and_then(Piece::blob).filter(|_| !line.is_folder());
        let (digest, bytes) =
            only.map_or((line.artifact.digest, line.artifact.bytes), |blob| (blob.digest, blob.bytes));
        let DescribedFiles { files, dictionaries } = described;
        let result = line.path.clone();
        Self { provenance: EDITION, result, digest, bytes, files, dictionaries, made_by, published_by }
    }

    /// Reads a text; `None` if it is not a sidecar of this edition.
    pub fn parse(text: &str) -> Option<Self> {
        let sidecar: Self = serde_json::from_str(text).ok()?;
        (sidecar.provenance == EDITION).then_some(sidecar)
    }

    /// The digests of all files that it describes, by path below the results folder.
    pub fn published_files(&self) -> Vec<(String, Digest<Content>)> {
        let dictionaries = self.dictionaries.iter().map(|(path, digest)| (path.clone(), *digest));
        let own: Vec<(String, Digest<Content>)> = match self.result.strip_suffix('/') {
            Some(folder) => self.files.iter().map(|(name, digest)| (format!("{folder}/{name}"), *digest)).collect(),
            None => vec![(self.result.clone(), self.digest)],
        };
        own.into_iter().chain(dictionaries).collect()
    }

    /// As text.
    ///
    /// # Errors
    /// It has no JSON form: a defect.
    pub fn text(&self) -> Result<String, Failure> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| Failure::internal(format!("the provenance of a result has no JSON form: {error}")))?;
        Ok(format!("{json}\n"))
    }
}
