//! The content-hashed cache: blobs, folders as trees, records of work done, and the per-machine state beside them.
//!
//! | question | home |
//! |---|---|
//! | how is a folder represented? | [`Tree`] |
//! | is this blob there and whole? where can it be read? | [`Store`]: `blobs`, `view` |
//! | how does something get into the store, and what if we are killed meanwhile? | [`Session`] |
//! | what was made under a key? | [`Record`], remembered in an [`Index`] |
//! | what is in this file of the project? | [`Sources`] |
//! | does another process work on the same key? | [`Locks`] |
//! | what may only its owner open? | [`Store::restricted`], [`private_folder`] |
//!
//! The store is immutable files only and may be shared between machines. Index, sources, locks and other [`Table`]s
//! belong to one machine; they hold only what can be determined again.
//!
//! Modules are layers; each uses only those before it:
//!
//! ```text
//! digest → error → private → removal → tree → seal → shard → table → record → index → sources → locks → flush → sweep → layout → store → blobs → view → session → publish
//! ```
//!
//! Raw `std::fs` is allowed here (`clippy.toml`), because every I/O error passes through [`Error::io`], which adds the path.
//!
//! Does not depend on pipelines, kinds or what a key means; see "Keys, records, blobs" in `engine/DESIGN.md`.

mod blobs;
mod digest;
mod error;
mod flush;
mod index;
mod layout;
mod locks;
mod private;
mod publish;
mod record;
mod removal;
mod seal;
mod session;
mod shard;
mod sources;
mod store;
mod sweep;
mod table;
mod tree;
mod view;
mod visible;

#[cfg(test)]
mod tests;

pub use blobs::{Found, Inspection};
pub use digest::{Action, Content, Digest, NotADigest};
pub use error::{Error, Result};
pub use index::Index;
pub use layout::DEFAULT_NAME;
pub use locks::{Lock, Locks};
pub use private::private_folder;
pub use record::{Made, Record, Stored};
pub use removal::remove_all;
pub use seal::SEALED;
pub use session::Session;
pub use sources::{Identity, Sources, Visible, is_missing};
pub use store::Store;
pub use table::Table;
pub use tree::{Artifact, Blob, ContentForm, Entry, Tree};
pub use visible::{Filter, IGNORED};
