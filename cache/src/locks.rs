//! One worker per key on one machine: locks that die with their holder.
//!
//! All keys share one empty file. A key's lock is on the byte at a place that its first digits choose, beyond the end
//! of the file where nothing is. A file for every key would have to be removed again, which takes care (another
//! process may just be opening it) and is slow: making and deleting a file costs more than all else about a lock.
//!
//! The locks are the kind that belongs to the open file (`F_OFD_SETLK`), not to the process: closing another descriptor
//! of the same file does not give them back.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::{Action, Digest};

/// The locks of one machine.
#[derive(Debug)]
pub struct Locks {
    path: PathBuf,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Opened for the first lock: a run of hits takes none.
    file: Option<File>,
    /// Keys that this process holds: to the kernel they all belong to one holder.
    held: BTreeSet<Digest<Action>>,
}

/// A held lock; dropping it, or dying, gives it back.
#[derive(Debug)]
pub struct Lock {
    key: Digest<Action>,
    shared: Arc<Mutex<Shared>>,
}

impl Locks {
    /// Locks in this file, which belongs to one machine; it is made when it is needed.
    pub fn new(path: PathBuf) -> Self {
        Self { path, shared: Arc::default() }
    }

    /// The lock of a key, or `None` while it is held elsewhere.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn try_lock(&self, key: &Digest<Action>) -> Result<Option<Lock>> {
        let mut shared = lock(&self.shared);
        if shared.held.contains(key) {
            return Ok(None);
        }
        let file = match &mut shared.file {
            Some(file) => file,
            none => none.insert(open(&self.path)?),
        };
        if !set(file, key, libc::F_WRLCK).map_err(Error::io("lock", &self.path))? {
            return Ok(None);
        }
        shared.held.insert(*key);
        Ok(Some(Lock { key: *key, shared: Arc::clone(&self.shared) }))
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(path: &Path) -> Result<File> {
    let open = || File::options().create(true).append(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
            open().map_err(Error::io("open", path))
        }
        opened => opened.map_err(Error::io("open", path)),
    }
}

/// Locks or unlocks the place of a key; `false` while it is held elsewhere.
fn set(file: &File, key: &Digest<Action>, kind: libc::c_int) -> io::Result<bool> {
    let [a, b, c, d, e, f, g, h, ..] = *key.as_bytes();
    // The last byte that can be locked is the largest positive number.
    let place = i64::from_be_bytes([a & 0x3f, b, c, d, e, f, g, h]);
    let range = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: place,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open, and `range` is what this command reads.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) } {
        -1 => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            error => Err(error),
        },
        _ => Ok(true),
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.held.remove(&self.key);
        let given_back = shared.file.as_ref().map_or(Ok(true), |file| set(file, &self.key, libc::F_UNLCK));
        if let Err(error) = given_back {
            tracing::warn!(%error, "a lock stays until this process ends");
        }
    }
}
