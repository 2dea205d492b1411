//! Whether a blob is there and has the right bytes, and reading it.
//!
//! Two questions, because one is asked of ten thousand blobs and the other is slow:
//!
//! - [`Store::find`]: one `stat`. A blob has its size and the modification time [`SEALED`], which every blob gets when it
//!   is stored: a write to a blob, by accident or as root, sets another. Only a blob whose seal is broken is hashed
//!   again: it is sealed anew or goes into quarantine. A change of its permissions alone does not break the seal; they
//!   are restored. Enough to say that work is recorded.
//! - [`Store::verify`]: the bytes, once since the store was opened unless this process wrote them. A disk that loses a bit
//!   changes no time, so this is what every blob passes before a stage or a user reads it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::num::NonZero;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::AtFlags;

use crate::error::{Error, Result};
use crate::seal::{SEALED, hash, is_damage, mode, seal};
use crate::shard::{blob_name, sharded};
use crate::store::Store;
use crate::tree::{Artifact, Blob, Tree};
use crate::{Content, Digest};

/// How a blob was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There, with its size and seal, or with the right digest.
    Good,
    /// Not there.
    Missing,
    /// There, but with other bytes; now in quarantine if the cache can be written.
    Damaged,
}

/// The result of [`Store::inspect`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Blobs with the right digest.
    pub good: usize,
    /// Bytes of these.
    pub bytes: u64,
    /// Files whose content does not match their name; now in quarantine if the cache can be written.
    pub damaged: Vec<PathBuf>,
}

/// As many looks take several times as long as starting a thread.
const WORTH_A_THREAD: usize = 256;

impl Store {
    /// Where a blob is, or would be.
    pub fn blob_path(&self, blob: &Blob) -> PathBuf {
        self.root().join("blobs").join(blob_name(blob))
    }

    /// Checks a blob: one `stat` if its seal is whole.
    ///
    /// # Errors
    /// The file system fails; a missing blob is not an error.
    pub fn find(&self, blob: &Blob) -> Result<Found> {
        let name = blob_name(blob);
        let stat = match rustix::fs::statat(self.blobs_folder(), name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return Ok(Found::Missing),
            Err(errno) => return Err(Error::sys("look at", &self.blob_path(blob))(errno)),
        };
        if stat.st_mode & 0o777 != mode(blob.executable) {
            // A stage can change those of its inputs. On a read-only cache they stay as they are.
            let _ = fs::set_permissions(self.blob_path(blob), Permissions::from_mode(mode(blob.executable)));
        }
        let sealed = stat.st_mtime as i64 == SEALED && stat.st_mtime_nsec as i64 == 0;
        if sealed && stat.st_size as u64 == blob.bytes { Ok(Found::Good) } else { self.rehash(blob) }
    }

    /// Whether [`Store::find`] finds all of these, and the file system does not fail. Many are looked at by several threads: a
    /// run in which nothing is to be done waits for little else.
    pub fn has_all(&self, blobs: &[Blob]) -> bool {
        let has = |part: &[Blob]| part.iter().all(|blob| matches!(self.find(blob), Ok(Found::Good)));
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(blobs.len() / WORTH_A_THREAD);
        if threads < 2 {
            return has(blobs);
        }
        let mut parts = blobs.chunks(blobs.len().div_ceil(threads));
        let own = parts.next().unwrap_or_default();
        thread::scope(|scope| {
            let others: Vec<_> = parts.map(|part| scope.spawn(move || has(part))).collect();
            let all = has(own);
            others.into_iter().all(|other| other.join().unwrap_or(false)) && all
        })
    }

    /// Checks the bytes of a blob, unless that was done since the store was opened, or this process wrote them.
    ///
    /// # Errors
    /// The file system fails; a missing or damaged blob is not an error.
    pub fn verify(&self, blob: &Blob) -> Result<Found> {
        match self.find(blob)? {
            Found::Good if !self.was_hashed(blob) => self.rehash(blob),
            found => Ok(found),
        }
    }

    /// Hashes a blob.
    fn rehash(&self, blob: &Blob) -> Result<Found> {
        let path = self.blob_path(blob);
        let hashed = File::open(&path).and_then(|mut file| Ok((hash(&mut file, None)?, file)));
        match hashed {
            Ok(((digest, bytes), file)) if digest == blob.digest && bytes == blob.bytes => {
                // On a read-only cache it stays unsealed and is hashed again next time.
                let _ = seal(&file, blob.executable);
                self.note_hashed(*blob);
                return Ok(Found::Good);
            }
            Err(error) if !is_damage(&error) => return Err(Error::io("read", &path)(error)),
            _ => {}
        }
        self.lose(&blob.digest, &path);
        Ok(Found::Damaged)
    }

    /// The bytes of a small blob, such as a listing, verified.
    ///
    /// # Errors
    /// It is missing or damaged ([`Error::Damaged`]), or the file system fails.
    pub fn read(&self, digest: &Digest<Content>) -> Result<Vec<u8>> {
        let path = self.root().join("blobs").join(sharded(digest));
        match fs::read(&path) {
            Ok(bytes) if Digest::of(&bytes) == *digest => return Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Damaged { path }),
            Err(error) if !is_damage(&error) => return Err(Error::io("read", &path)(error)),
            _ => {}
        }
        self.lose(digest, &path);
        Err(Error::Damaged { path })
    }

    /// Puts a damaged blob into quarantine.
    fn lose(&self, digest: &Digest<Content>, path: &Path) {
        self.forget_hashed(digest);
        self.quarantine(path);
    }

    /// The listing of a folder.
    ///
    /// # Errors
    /// As for [`Store::read`].
    pub fn tree(&self, digest: &Digest<Content>) -> Result<Tree> {
        let bytes = self.read(digest)?;
        Tree::decode(&bytes).ok_or_else(|| Error::Damaged { path: self.root().join("blobs").join(sharded(digest)) })
    }

    /// All blobs of an artifact: the file, or the listing and all files.
    ///
    /// # Errors
    /// As for [`Store::read`].
    pub fn blobs_of(&self, artifact: &Artifact) -> Result<Vec<Blob>> {
        if let Some(blob) = artifact.blob() {
            return Ok(vec![blob]);
        }
        let tree = self.tree(&artifact.digest)?;
        let listing = Blob { digest: artifact.digest, bytes: tree.encode().len() as u64, executable: false };
        let mut blobs = vec![listing];
        blobs.extend(tree.files().map(|(_, blob)| *blob));
        Ok(blobs)
    }

    /// Hashes every blob, restores seals, and puts damaged ones into quarantine.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn inspect(&self) -> Result<Inspection> {
        let root = self.root().join("blobs");
        let mut inspection = Inspection::default();
        for entry in walkdir::WalkDir::new(&root).min_depth(2).sort_by_file_name() {
            let entry = entry.map_err(|error| Error::io("list", &root)(error.into()))?;
            let path = entry.path();
            let mut file = File::open(path).map_err(Error::io("open", path))?;
            let (digest, bytes) = hash(&mut file, None).map_err(Error::io("read", path))?;
            let blob = |executable| Blob { digest, bytes, executable };
            match [false, true].into_iter().find(|executable| self.blob_path(&blob(*executable)) == path) {
                Some(executable) => {
                    let _ = seal(&file, executable);
                    inspection.good += 1;
                    inspection.bytes += bytes;
                }
                None => {
                    self.quarantine(path);
                    inspection.damaged.push(path.to_owned());
                }
            }
        }
        Ok(inspection)
    }

    /// Copies a file out of the store, verifying its bytes; the copy is a file of its own, with the permissions that the
    /// umask leaves to new files, at a path that does not exist. Where the file system can share the bytes, it does.
    ///
    /// # Errors
    /// The blob is missing or damaged ([`Error::Damaged`]; the copy is removed), or the target cannot be written.
    pub fn copy_out(&self, blob: &Blob, target: &Path) -> Result<()> {
        let source = self.blob_path(blob);
        let damaged = || Error::Damaged { path: source.clone() };
        let mut from = match File::open(&source) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged()),
            opened => opened.map_err(Error::io("open", &source))?,
        };
        let mode = if blob.executable { 0o777 } else { 0o666 };
        let mut to = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(target)
            .map_err(Error::io("create", target))?;
        let copied = if rustix::fs::ioctl_ficlone(&to, &from).is_ok() {
            self.verify(blob).map(|found| found == Found::Good)
        } else {
            hash(&mut from, Some(&mut to))
                .map(|(digest, _)| digest == blob.digest)
                .or_else(|error| if is_damage(&error) { Ok(false) } else { Err(error) })
                .map_err(Error::io("copy to", target))
        };
        if let Ok(true) = copied {
            return Ok(());
        }
        let _ = fs::remove_file(target);
        copied?;
        if source.exists() {
            self.lose(&blob.digest, &source);
        }
        Err(damaged())
    }
}
