//! How things go wrong, and who has to act.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who has to act after an error; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// A stage ran and failed: exit code 1.
    Stage,
    /// The pipeline file, a parameter or an input file is wrong: exit code 2.
    Input,
    /// Disk, network, credentials, a missing GPU or program: exit code 3.
    Environment,
    /// A broken promise of our own, to be reported: exit code 70.
    Internal,
}

impl Blame {
    /// The exit code of `pipe` for this blame.
    pub fn exit_code(self) -> u8 {
        match self {
            Blame::Stage => 1,
            Blame::Input => 2,
            Blame::Environment => 3,
            Blame::Internal => 70,
        }
    }
}

/// Why a stage could not do its work: what was found, what was expected and where; the remedy is a field of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Who has to act.
    pub blame: Blame,
    /// What was found and what was expected, names in backticks, without a final full stop.
    pub message: String,
    /// Where: a file, with subject, hemisphere, line or dataset as far as they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The same task may succeed later without any change (a time-out, a 503): worth a retry.
    #[serde(default)]
    pub transient: bool,
}

impl Failure {
    /// A failure without place or hint.
    pub fn new(blame: Blame, message: impl Into<String>) -> Self {
        Self { blame, message: message.into(), place: None, hint: None, transient: false }
    }

    /// An input is not what it should be.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Blame::Input, message)
    }

    /// The stage itself failed.
    pub fn stage(message: impl Into<String>) -> Self {
        Self::new(Blame::Stage, message)
    }

    /// The machine or the network prevents it.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Blame::Environment, message)
    }

    /// A promise of our own is broken.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Blame::Internal, message)
    }

    /// An I/O error at a path. Full disks, read-only mounts and missing rights count as environment.
    pub fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let failure = Self::environment(format!("could not {doing} `{}`: {error}", path.display()));
        match error.kind() {
            StorageFull | QuotaExceeded => {
                failure.hint("the disk is full: free some space and run again; what was finished is kept")
            }
            ReadOnlyFilesystem | PermissionDenied => {
                failure.hint("give this user the right to it, or name another place, then run again")
            }
            _ => failure,
        }
    }

    /// Adds where.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marks the failure as worth a retry.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.transient = true;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(place) = &self.place {
            write!(f, " (in {place})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
