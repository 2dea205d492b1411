//! Facts about the tools of `run:` stages that enter their keys.
use super::*;
use std::ffi::OsStr;
use std::path::Path;

/// What is true of the tools of a `run:` stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Enter the key, such as `tool:python` to a digest of the installed distributions.
    pub key: BTreeMap<String, String>,
    /// The `PATH` of the stage.
    pub path: OsString,
}

/// Remembers facts between runs. Keys hold the identity of the file a fact was found in.
pub trait Memo {
    /// A remembered fact.
    fn recall(&self, key: &str) -> Option<String>;
    /// Remembers a fact.
    fn remember(&mut self, key: &str, fact: &str);
}

/// Remembers nothing.
pub struct Forgetful;

impl Memo for Forgetful {
    fn recall(&self, _: &str) -> Option<String> {
        None
    }

    fn remember(&mut self, _: &str, _: &str) {}
}

/// Finds the facts of a command. `project` is the folder of the pipeline file, `search` the caller's `PATH`.
/// Starts a process only for a `tools:` version that `memo` does not hold.
///
/// # Errors
/// A tool that is not there, or whose version command fails.
pub fn facts_of(command: &Command, project: &Path, search: &OsStr, memo: &mut dyn Memo) -> Result<Facts, Failure> {
    unimplemented!()
}
