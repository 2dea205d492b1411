//! How bytes are hashed, and how a stored file is marked as hashed: its seal, a modification time that no write leaves.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::fs::{Timespec, Timestamps};

use crate::{Content, Digest};

/// The modification time of every blob, in seconds since 1970: a time at which no computer wrote anything.
pub const SEALED: i64 = 1;

/// The permissions of a blob.
pub(crate) fn mode(executable: bool) -> u32 {
    if executable { 0o555 } else { 0o444 }
}

/// Makes a file read-only for all users and gives it the time of blobs.
pub(crate) fn seal(file: &File, executable: bool) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode(executable)))?;
    let time = Timespec { tv_sec: SEALED, tv_nsec: 0 };
    Ok(rustix::fs::futimens(file, &Timestamps { last_access: time, last_modification: time })?)
}

/// Whether a file has the time of blobs.
pub(crate) fn is_sealed(found: &Metadata) -> bool {
    found.mtime() == SEALED && found.mtime_nsec() == 0
}

/// The digest and length of what is left to read of a file, which is copied to `copy` on the way.
pub(crate) fn hash(from: &mut File, mut copy: Option<&mut File>) -> io::Result<(Digest<Content>, u64)> {
    let mut hasher = blake3::Hasher::new();
    // Small for small files, which most are: zeros for 128 KiB would take longer than all else.
    let mut buffer = vec![0; from.metadata()?.len().clamp(1 << 12, 1 << 17) as usize];
    let mut length = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        length += read as u64;
        if let Some(copy) = &mut copy {
            copy.write_all(&buffer[..read])?;
        }
    }
    Ok((Digest::from_bytes(*hasher.finalize().as_bytes()), length))
}

/// Whether an error of reading means that the disk lost the bytes, or that something else lies where a file should.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO) || error.kind() == io::ErrorKind::IsADirectory
}
