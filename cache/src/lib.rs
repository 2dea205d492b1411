//! The content-hashed cache: blobs, folders as trees, records of work done, and the per-machine state beside them.
//!
//! | question | home |
//! |---|---|
//! | how is a folder represented? | [`Tree`] |
//! | is this blob there and whole? where can it be read? | [`Store`] |
//! | how does something get into the store, and what if we are killed meanwhile? | [`Session`] |
//! | what was made under a key? | [`Record`], remembered in an [`Index`] |
//! | what is in this file of the project? | [`Sources`] |
//! | does another process work on the same key? | [`Locks`] |
//!
//! The store is immutable files only and may be shared between machines. Index, sources, locks and other [`Table`]s
//! belong to one machine; they hold only what can be determined again.
//!
//! Knows nothing about pipelines, kinds or what a key means; see "Keys, records, blobs" in `engine/DESIGN.md`.

mod digest;
mod error;
mod index;
mod locks;
mod record;
mod session;
mod sources;
mod store;
mod table;
mod tree;
mod visible;

#[cfg(test)]
mod tests;

pub use digest::{Action, Content, Digest, NotADigest};
pub use error::{Error, Result};
pub use index::Index;
pub use locks::{Lock, Locks};
pub use record::{Made, Record, Stored};
pub use session::{Session, remove_all};
pub use sources::{Identity, Sources, Visible, is_missing};
pub use store::{DEFAULT_NAME, Found, Inspection, SEALED, Store};
pub use table::Table;
pub use tree::{Artifact, Blob, ContentForm, Entry, Tree};
pub use visible::{Filter, IGNORED};
