//! Where something with a digest lies in a folder of the store, and how a finished file gets there in one step.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, RenameFlags};
use rustix::io::Errno;

use crate::Digest;
use crate::error::{Error, Result};
use crate::tree::Blob;

/// `a/bcdef…` of a digest. Sixteen folders, because a folder costs more than a file: 256 of them would be a fifth of what
/// a cache of a thousand small files makes. A million files are 60,000 in a folder, which every file system supports.
pub(crate) fn sharded<Of>(digest: &Digest<Of>) -> String {
    let mut name = digest.to_string();
    name.insert(1, '/');
    name
}

/// The same of a blob, which has a mark if it can be executed.
pub(crate) fn blob_name(blob: &Blob) -> String {
    let mut name = sharded(&blob.digest);
    if blob.executable {
        name.push('x');
    }
    name
}

/// Renames into a sharded folder, which is made if it is not there.
pub(crate) fn into_shard(from: &Path, to: &Path) -> Result<()> {
    let renamed = match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_shard(to)?;
            fs::rename(from, to)
        }
        renamed => renamed,
    };
    renamed.map_err(Error::io("store", to))
}

/// Moves a file to its final name in a sharded folder; `false` if the name is taken. Where the file system cannot rename
/// without replacing (NFS), links it there.
pub(crate) fn into_shard_first(from: &Path, to: &Path) -> Result<bool> {
    let place = || match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let linked = rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty());
            // A second name that stays behind goes with the session.
            linked.inspect(|()| drop(fs::remove_file(from)))
        }
        placed => placed,
    };
    let placed = match place() {
        Err(Errno::NOENT) => {
            make_shard(to)?;
            place()
        }
        placed => placed,
    };
    match placed {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(Error::sys("store", to)(errno)),
    }
}

fn make_shard(to: &Path) -> Result<()> {
    let shard = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(shard).map_err(Error::io("create the folder", shard))
}
