//! One worker per key on one machine: a lock that dies with its holder.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::store::sharded;
use crate::{Action, Digest};

/// A folder of locks.
#[derive(Debug)]
pub struct Locks {
    folder: PathBuf,
}

/// A held lock; dropping it, or dying, gives it back.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Locks {
    /// Locks as files below this folder, which belongs to one machine.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Removes the files of locks whose holders died.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn sweep(&self) -> Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("list", &self.folder)(error)),
        };
        for entry in entries.flatten() {
            // Taken and dropped: the drop removes the file.
            drop(try_lock(entry.path())?);
        }
        Ok(())
    }

    /// The lock of a key, or `None` while somebody else holds it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn try_lock(&self, key: &Digest<Action>) -> Result<Option<Lock>> {
        try_lock(self.folder.join(sharded(key).replace('/', "")))
    }
}

fn try_lock(path: PathBuf) -> Result<Option<Lock>> {
    loop {
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        // Its holder removes the file: what was locked may be no longer the file of that name.
        if is_at(&file, &path) {
            return Ok(Some(Lock { file, path }));
        }
    }
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

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held, so that nobody can hold the file of this name meanwhile.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}
