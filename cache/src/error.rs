//! What can go wrong in a cache. Variants carry fields; the engine decides who has to act.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Something went wrong in the store or in the per-machine state.
#[derive(Debug)]
pub enum Error {
    /// The operating system refused something.
    Io {
        /// What was tried, such as `create the folder`.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The folder holds something that is not a cache of this version.
    NotACache {
        /// The folder.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// An artifact holds something that cannot be stored.
    Odd {
        /// Where.
        path: PathBuf,
        /// Such as `a symbolic link`.
        what: &'static str,
    },
    /// A file changed while it was being hashed.
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A folder is for its owner only, and others may open it.
    Exposed {
        /// The folder.
        path: PathBuf,
        /// Such as `it belongs to another user`.
        found: String,
    },
    /// A stored file is missing, or its content does not match its name; then it was put into quarantine if the cache
    /// can be written.
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The result of whatever touches the store or the state.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: names what was tried and where.
    pub(crate) fn io<'a>(doing: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
        move |error| Error::Io { doing, path: path.to_owned(), error }
    }

    /// The same for errors of system calls.
    pub(crate) fn sys<'a>(doing: &'static str, path: &'a Path) -> impl Fn(rustix::io::Errno) -> Error + 'a {
        move |errno| Error::Io { doing, path: path.to_owned(), error: errno.into() }
    }

    /// The kind of an error of the operating system.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Error::Io { error, .. } => Some(error.kind()),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { doing, path, error } => write!(f, "could not {doing} `{}`: {error}", path.display()),
            Error::NotACache { path, found } => {
                write!(f, "`{}` is not a cache of this version of pipe: {found}", path.display())
            }
            Error::Odd { path, what } => {
                write!(f, "`{}` is {what}; artifacts hold only files and folders", path.display())
            }
            Error::Changed { path } => write!(f, "`{}` changed while it was being read", path.display()),
            Error::Exposed { path, found } => {
                write!(f, "`{}` is for restricted data, so it must be for its owner only, but {found}", path.display())
            }
            Error::Damaged { path } => write!(f, "`{}` of the cache is missing or damaged", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
