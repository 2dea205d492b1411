//! Removes what may be there, also where a command took away its own permissions.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, Permissions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir};
use rustix::path::Arg;

use crate::error::{Error, Result};

/// Removes a folder and everything in it, also where a command took away its own permissions. One that is not there is
/// not an error.
pub fn remove_all(path: &Path) -> Result<()> {
    let first = match fs::remove_dir_all(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => error,
    };
    open_folders(path);
    fs::remove_dir_all(path).map_err(|_| Error::io("remove", path)(first))
}

/// Gives the owner every permission on a folder and the folders in it. Each is opened before it is listed.
fn open_folders(path: &Path) {
    let _ = fs::set_permissions(path, Permissions::from_mode(0o700));
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        open_folders(&entry.path());
    }
}

/// Removes a file, if it is there.
pub(crate) fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes everything in the folders of a folder, and what else lies beside these. `false` if one of them has other
/// permissions than such folders are made with.
///
/// Names are relative to opened folders: after a small stage this is a tenth of what the engine does, most of it to find paths.
pub(crate) fn empty(folder: &Path) -> Result<bool> {
    let (outer, expected) = open_folder(CWD, folder, folder)?;
    for (name, is_folder) in entries(&outer, folder)? {
        let path = folder.join(OsStr::from_bytes(name.to_bytes()));
        if !is_folder {
            remove_file(&outer, &name, &path)?;
            continue;
        }
        // Without the permission to list it, it has others than it was made with.
        let Ok((inner, mode)) = open_folder(&outer, &name, &path) else { return Ok(false) };
        if mode != expected {
            return Ok(false);
        }
        for (name, is_folder) in entries(&inner, &path)? {
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            if is_folder { remove_all(&path) } else { remove_file(&inner, &name, &path) }?;
        }
    }
    Ok(true)
}

/// Opens a folder that may be relative to another, and says its mode.
fn open_folder(parent: impl AsFd, name: impl Arg, path: &Path) -> Result<(OwnedFd, u32)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(Error::sys("open", path))?;
    let mode = rustix::fs::fstat(&folder).map_err(Error::sys("look at", path))?.st_mode;
    Ok((folder, mode))
}

/// The names in an opened folder, and which of them are folders.
fn entries(folder: &OwnedFd, path: &Path) -> Result<Vec<(CString, bool)>> {
    let listed = || -> rustix::io::Result<_> {
        let mut all = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut entries = RawDir::new(folder, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let is_folder = match entry.file_type() {
                FileType::Unknown => {
                    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(found.st_mode).is_dir()
                }
                known => known.is_dir(),
            };
            all.push((name.to_owned(), is_folder));
        }
        Ok(all)
    };
    listed().map_err(Error::sys("list", path))
}

fn remove_file(folder: &OwnedFd, name: &CStr, path: &Path) -> Result<()> {
    rustix::fs::unlinkat(folder, name, AtFlags::empty()).map_err(Error::sys("remove", path))
}
