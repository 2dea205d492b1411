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
        let failure = Self::environment(format!("could not {doing} `{}`: {}", path.display(), io_reason(error)));
        match Unwritable::of(error.kind()) {
            Some(unwritable) => failure.hint(unwritable.hint()),
            None => failure,
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

/// The system's reason for an I/O error, for a message that names the path itself: an error of `fs_err` names it too.
pub fn io_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let named = error.get_ref().is_some() && text.starts_with("failed to ");
    match text.rsplit_once("`: ") {
        Some((_, reason)) if named => reason.to_owned(),
        _ => text,
    }
}

/// Why nothing more can be written to a place: whatever else is tried there would fail too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritable {
    /// The disk is full, or the user's share of it.
    Full,
    /// It may not be written, by this user or at all.
    Denied,
}

impl Unwritable {
    /// What an I/O error means, if it means this.
    pub fn of(kind: std::io::ErrorKind) -> Option<Self> {
        use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match kind {
            StorageFull | QuotaExceeded => Some(Self::Full),
            ReadOnlyFilesystem | PermissionDenied => Some(Self::Denied),
            _ => None,
        }
    }

    /// What to do.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Full => "the disk is full: free some space and run again; finished work stays in the cache",
            Self::Denied => "give this user the right to it, or name another place, then run again",
        }
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_path_is_named_once() {
        let path = Path::new("/no/such: `file`");
        let said = |error: io::Error| Failure::io("read", path, &error).message;
        let expected = "could not read `/no/such: `file``: No such file or directory (os error 2)";
        assert_eq!(said(fs_err::read(path).unwrap_err()), expected);
        assert_eq!(said(fs_err::File::open(path).unwrap_err()), expected);
        assert_eq!(said(fs_err::rename(path, "/no/such/other").unwrap_err()), expected);
        assert_eq!(said(io::Error::from_raw_os_error(2)), expected);
        assert_eq!(
            said(io::Error::other("failed to parse it")),
            "could not read `/no/such: `file``: failed to parse it"
        );
    }

    #[test]
    fn what_to_do_is_known_for_a_path_that_is_named() {
        let path = Path::new("/dev/full");
        let full = fs_err::write(path, "text").unwrap_err();
        assert_eq!(Failure::io("write", path, &full).hint.as_deref(), Some(Unwritable::Full.hint()));
    }
}
