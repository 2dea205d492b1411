//! Work from the moment it is found to be due until it has ended.

use std::path::PathBuf;

use pipe_cache::Lock;

use super::lookup::Miss;
use crate::key::Reason;

/// Work that was found to be due, through all its attempts.
pub(super) struct Due<'a> {
    pub miss: Miss<'a>,
    pub reasons: Vec<Reason>,
    pub attempts: u32,
    /// What it reads was reopened since its lookup.
    pub outdated: bool,
}

/// One attempt that is going on.
pub(super) struct Attempt {
    /// Of the key. Held for its `Drop`.
    pub _lock: Lock,
    pub folder: PathBuf,
    pub log: PathBuf,
}
