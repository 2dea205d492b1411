//! What was made, or found missing, under a key, and its form on disk: a line with the digest of the rest, then JSON with
//! outputs and all their blobs, the parts of the key, and where, when and how it was made.

use serde::{Deserialize, Serialize};

use crate::tree::{Artifact, Blob};
use crate::{Action, Digest};

/// What is known about a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What came out.
    pub made: Made,
    /// The parts of the key; the engine defines their meaning.
    pub parts: serde_json::Value,
    /// Where, when and how; the engine defines its meaning.
    pub provenance: serde_json::Value,
}

/// What came out of the work under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Made {
    /// All outputs, sorted by port. (A list, not a map: ten thousand small maps are memory for nothing.)
    Outputs(Vec<Stored>),
    /// There is nothing to give.
    Absent {
        /// The cause, such as `not-found`.
        cause: String,
    },
}

/// A stored output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The output port.
    pub port: String,
    /// The artifact.
    pub artifact: Artifact,
    /// For a folder: its listing and all files, so that a check need not read the listing. Empty for a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<Blob>,
}

impl Stored {
    /// All blobs behind the output.
    pub fn blobs(&self) -> impl Iterator<Item = Blob> + '_ {
        self.artifact.blob().into_iter().chain(self.blobs.iter().copied())
    }
}

impl Made {
    /// The output at a port.
    pub fn output(&self, port: &str) -> Option<&Stored> {
        match self {
            Made::Outputs(outputs) => outputs.iter().find(|stored| stored.port == port),
            Made::Absent { .. } => None,
        }
    }
}

const MAGIC: &str = "pipe record 1";

/// As stored.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    // A struct of texts, numbers and maps with text keys always has a JSON form.
    let json = serde_json::to_vec(record).unwrap_or_default();
    let mut bytes = format!("{MAGIC} {}\n", Digest::<Action>::of(&json)).into_bytes();
    bytes.extend_from_slice(&json);
    bytes.push(b'\n');
    bytes
}

/// A stored record; `None` if it is damaged.
pub(crate) fn decode(text: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(text).ok()?;
    let (head, json) = text.split_once('\n')?;
    let digest: Digest<Action> = head.strip_prefix(MAGIC)?.trim().parse().ok()?;
    let json = json.strip_suffix('\n')?;
    (Digest::of(json.as_bytes()) == digest).then(|| serde_json::from_str(json).ok())?
}
