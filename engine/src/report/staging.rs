//! Puts files at their places in a results folder: each is written aside, in the same file system, and renamed.
//!
//! Decides nothing about what is to be there.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};
use pipe_cache::{Blob, Store, remove_all};
use pipe_contract::Failure;

use super::published_list::{LIST, PublishedList};
use super::{cache_failure, damaged_failure};

/// Where copies are written before they are renamed; removed at the end, or by the next run.
const ASIDE: &str = ".publishing-";

/// Waits until no other process publishes into a folder. The lock is the folder's own, so it leaves no file there.
pub(super) fn lock(folder: &Path) -> Result<File, Failure> {
    let file = File::open(folder).map_err(|error| Failure::io("open", folder, &error))?;
    file.lock().map_err(|error| {
        Failure::io("lock", folder, &error).hint("the project must lie on a file system that can lock folders (flock)")
    })?;
    Ok(file)
}

/// Removes what killed runs left. Called under the lock, so no other process is writing there.
pub(super) fn remove_leftovers(folder: &Path) -> Result<(), Failure> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(ASIDE)) {
        remove_all(&entry.path()).map_err(|error| cache_failure(&error))?;
    }
    Ok(())
}

/// A folder beside the results in which copies are made.
pub(super) struct Staging {
    folder: PathBuf,
    made: Option<PathBuf>,
    count: usize,
    /// The permissions that the user's umask leaves to a new folder.
    mode: u32,
}

impl Staging {
    /// For a results folder, which exists. The folder for copies is made when the first one is.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), made: None, count: 0, mode: 0o777 }
    }

    fn path(&mut self) -> Result<PathBuf, Failure> {
        if self.made.is_none() {
            let made = self.folder.join(format!("{ASIDE}{}", std::process::id()));
            fs::create_dir(&made).map_err(|error| Failure::io("create the folder", &made, &error))?;
            let found = fs::metadata(&made).map_err(|error| Failure::io("read", &made, &error))?;
            self.mode = found.permissions().mode() & 0o777;
            self.made = Some(made);
        }
        self.count += 1;
        Ok(self.made.as_ref().unwrap_or(&self.folder).join(self.count.to_string()))
    }

    /// Copies a blob to its place, with the permissions that the user's own files get.
    pub fn place_blob(&mut self, store: &Store, blob: &Blob, target: &Path) -> Result<(), Failure> {
        let copy = self.path()?;
        store.copy_out(blob, &copy).map_err(|error| damaged_failure(&error, &target.to_string_lossy()))?;
        let mode = self.mode & if blob.executable { 0o777 } else { 0o666 };
        fs::set_permissions(&copy, std::fs::Permissions::from_mode(mode))
            .map_err(|error| Failure::io("set the permissions of", &copy, &error))?;
        self.rename(&copy, target)
    }

    /// Writes a text to its place.
    pub fn place_text(&mut self, text: &str, target: &Path) -> Result<(), Failure> {
        let copy = self.path()?;
        fs::write(&copy, text).map_err(|error| Failure::io("write", &copy, &error))?;
        self.rename(&copy, target)
    }

    fn rename(&self, copy: &Path, target: &Path) -> Result<(), Failure> {
        let parent = target.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(|error| Failure::io("create the folder", parent, &error))?;
        fs::rename(copy, target).map_err(|error| Failure::io("publish", target, &error))
    }

    /// Replaces the list; it is on disk afterwards.
    pub fn write_list(&mut self, list: &PublishedList) -> Result<(), Failure> {
        let path = self.path()?;
        let target = self.folder.join(LIST);
        let io = |error: io::Error| Failure::io("write", &target, &error);
        let mut file = File::create_new(&path).map_err(io)?;
        file.write_all(list.text().as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&path, &target).map_err(io)?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(io)
    }

    /// Waits until all that was placed is on disk.
    pub fn flush(&self) -> Result<(), Failure> {
        let io = |error: io::Error| Failure::io("flush", &self.folder, &error);
        let folder = File::open(&self.folder).map_err(io)?;
        rustix::fs::syncfs(&folder).map_err(|errno| io(errno.into()))
    }

    /// Removes the folder for copies.
    pub fn finish(&self) -> Result<(), Failure> {
        self.made.as_ref().map_or(Ok(()), |made| remove_all(made).map_err(|error| cache_failure(&error)))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(made) = &self.made {
            let _ = remove_all(made);
        }
    }
}
