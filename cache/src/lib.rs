//! The content-hashed cache: blobs, folders as trees, records of work done, and the per-machine state beside them.
//!
//! Knows nothing about pipelines, kinds or keys' meaning; see "Keys, records, blobs" in `engine/DESIGN.md`.

mod digest;
mod error;
mod table;
mod tree;

pub use digest::{Action, Content, Digest, NotADigest};
pub use error::{Error, Result};
pub use table::Table;
pub use tree::{Artifact, Blob, Entry, Form, Tree};
