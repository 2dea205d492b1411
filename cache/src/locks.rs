//! One worker per key on one machine: locks that die with their holder.
//!
//! A lock is one of [`BUCKETS`] files that stay where they are, chosen by the first digits of the key. A file for every
//! key would have to be removed again, which takes care (somebody may just be opening it) and is dear: ext4 steps over
//! recently deleted inodes when it makes new ones. Inside a process keys of one bucket are told apart; two processes
//! with different keys in one bucket wait for each other now and then, which costs time and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::{Action, Digest};

/// How many lock files there are at most: three hexadecimal digits.
pub const BUCKETS: usize = 4096;

/// A folder of locks.
#[derive(Debug)]
pub struct Locks {
    folder: PathBuf,
    held: Arc<Mutex<Held>>,
}

/// Buckets that this process holds, with the keys it holds them for.
type Held = BTreeMap<String, (File, BTreeSet<Digest<Action>>)>;

/// A held lock; dropping it, or dying, gives it back.
#[derive(Debug)]
pub struct Lock {
    bucket: String,
    key: Digest<Action>,
    held: Arc<Mutex<Held>>,
}

impl Locks {
    /// Locks as files in this folder, which belongs to one machine.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, held: Arc::default() }
    }

    /// The lock of a key, or `None` while somebody else holds it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn try_lock(&self, key: &Digest<Action>) -> Result<Option<Lock>> {
        let bucket = key.short(3);
        let mut held = lock(&self.held);
        if !held.contains_key(&bucket) {
            let path = self.folder.join(&bucket);
            let file = open(&path)?;
            match file.try_lock() {
                Ok(()) => held.insert(bucket.clone(), (file, BTreeSet::new())),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
            };
        }
        let ours = held.get_mut(&bucket).is_some_and(|(_, keys)| keys.insert(*key));
        Ok(ours.then(|| Lock { bucket, key: *key, held: Arc::clone(&self.held) }))
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(path: &Path) -> Result<File> {
    let open = || File::options().create(true).append(true).open(path);
    match open() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
            open().map_err(Error::io("open", path))
        }
        opened => opened.map_err(Error::io("open", path)),
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some((_, keys)) = held.get_mut(&self.bucket) {
            keys.remove(&self.key);
            if keys.is_empty() {
                // Closing the file gives the lock back.
                held.remove(&self.bucket);
            }
        }
    }
}
