//! `NAME.provenance.json` beside each published result: which work made it from what, and which run published it.
//!
//! What varies from run to run is here, so that the bytes of a result hold only what its key fixes. Paths are relative to
//! the project, so that a published folder says nothing about the disk of its maker.

use std::collections::{BTreeMap, BTreeSet};

use pipe_cache::{Action, Content, ContentForm, Digest};
use pipe_contract::{Failure, Value};
use serde::{Deserialize, Serialize};

use super::git_version::Git;
use super::public_digest::PublicDigest;
use super::this_machine::Machine;

/// The edition of this form.
const EDITION: u32 = 1;

/// Such a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sidecar {
    /// The edition of this form.
    pub provenance: u32,
    /// The path of the result, below the results folder.
    pub result: String,
    /// Of the artifact: the bytes of a file, or the listing of a folder.
    pub digest: Digest<Content>,
    /// Its size, or that of all its files together.
    pub bytes: u64,
    /// The work that made it.
    pub made_by: MadeBy,
    /// The run that published it.
    pub published_by: PublishedBy,
}

/// The work that made a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MadeBy {
    /// The instance in this pipeline, such as `summary(outputs=area)`.
    pub stage: String,
    /// The output port.
    pub port: String,
    /// Its stage kind, or `run`.
    pub kind: String,
    /// The version of the kind.
    pub kind_version: u32,
    /// Its key: equal keys are equal work. Keyed if it is restricted.
    pub key: Option<PublicDigest<Action>>,
    /// Its parameters.
    pub parameters: BTreeMap<String, Value>,
    /// Digests of what it read, by port; keyed where that is restricted.
    pub inputs: BTreeMap<String, InputDigest>,
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

/// What was read at an input port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputDigest {
    /// One artifact.
    One {
        /// File, executable or folder.
        form: ContentForm,
        /// Of the file's bytes or the folder's listing.
        digest: PublicDigest<Content>,
    },
    /// A gather: the digest of the list of its cells.
    Many(PublicDigest<Content>),
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

impl Sidecar {
    /// The sidecar of a result.
    pub fn new(
        result: &str,
        (digest, bytes): (Digest<Content>, u64),
        made_by: MadeBy,
        published_by: PublishedBy,
    ) -> Self {
        Self { provenance: EDITION, result: result.to_owned(), digest, bytes, made_by, published_by }
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
