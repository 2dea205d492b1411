//! Removes the work folders of processes that died. A folder belongs to a living process while the lock file beside it is
//! locked; the lock dies with its holder, so nothing depends on process ids, and other machines see it too.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::removal::remove_all;

/// Removes what dead sessions left in `work/`, if there is anything; cheap if there is not, and silent on a read-only cache.
///
/// # Errors
/// The folder cannot be listed.
pub(crate) fn sweep_leftovers(work: &Path) -> Result<()> {
    let anything = match fs::read_dir(work) {
        Ok(mut entries) => entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != SWEEP)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(Error::io("list", work)(error)),
    };
    if !anything {
        return Ok(());
    }
    match sweep_lock(work) {
        Ok(_lock) => sweep(work),
        Err(error) if is_read_only(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The file that is locked while sessions begin and leftovers are removed.
const SWEEP: &str = "sweep";

/// Holds off other sweepers, and sessions that begin. Makes the folder if it is not there.
pub(crate) fn sweep_lock(work: &Path) -> Result<File> {
    let path = work.join(SWEEP);
    let open = || File::options().create(true).append(true).open(&path);
    let opened = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(work).map_err(Error::io("create the folder", work))?;
            open()
        }
        opened => opened,
    };
    let file = opened.map_err(Error::io("open", &path))?;
    file.lock().map_err(Error::io("lock", &path))?;
    Ok(file)
}

/// Removes the folders whose lock is free. Called under the sweep lock.
pub(crate) fn sweep(work: &Path) -> Result<()> {
    let entries = fs::read_dir(work).map_err(Error::io("list", work))?;
    let names: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    for lock_path in names.iter().filter(|path| path.extension().is_some_and(|extension| extension == "lock")) {
        let Ok(lock) = File::open(lock_path) else { continue };
        if lock.try_lock().is_ok() {
            tracing::debug!(lock = %lock_path.display(), "removing what a dead run left");
            let folder = remove_all(&lock_path.with_extension(""));
            or_next_time(folder.and_then(|()| fs::remove_file(lock_path).map_err(Error::io("remove", lock_path))));
        }
    }
    // A kill between removing the two, or a folder whose lock was removed by hand.
    for folder in names.iter().filter(|path| path.is_dir() && !path.with_extension("lock").exists()) {
        or_next_time(remove_all(folder));
    }
    for file in names.iter().filter(|path| path.is_file() && path.extension().is_none() && !path.ends_with(SWEEP)) {
        or_next_time(fs::remove_file(file).map_err(Error::io("remove", file)));
    }
    Ok(())
}

/// What cannot be removed (an NFS file that a dying process still has open, a folder of another user) costs space, but
/// does not stop a run.
fn or_next_time(removed: Result<()>) {
    if let Err(error) = removed {
        tracing::warn!(%error, "what a dead run left stays until the next run");
    }
}

fn is_read_only(error: &Error) -> bool {
    matches!(error.io_kind(), Some(io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied))
}
