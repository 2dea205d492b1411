//! What of an artifact enters a key.

use pipe_cache::{Artifact, Content, ContentForm, Digest};
use serde::{Deserialize, Serialize};

/// Form and digest of an artifact: what of it enters a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressed {
    /// File, executable or folder.
    pub form: ContentForm,
    /// Of the file's bytes or the folder's listing.
    pub digest: Digest<Content>,
}

impl From<&Artifact> for Addressed {
    fn from(artifact: &Artifact) -> Self {
        Self { form: artifact.form, digest: artifact.digest }
    }
}
