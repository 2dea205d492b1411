//! The shared part of a cache: immutable files, each once, under the digest of its bytes.
//!
//! ```text
//! CACHE                   version and id
//! blobs/a/bcdef…[x]       files, read-only; `x`: with the permission to execute
//! views/a/bcdef…/…        folders as they look, made of hard links to blobs, so that stages can read paths
//! records/a/bcdef…        what was made under a key; see `record`
//! absences/a/bcdef…       what was found missing under a key
//! work/                   sessions of running processes; see `session`
//! kept/                   retained folders of failed stages
//! quarantine/             damaged files
//! ```
//!
//! A blob is known to be good when it has its size and the modification time [`SEALED`], which every blob gets when it
//! is stored: a write to a blob, by accident or as root, sets another. So one `stat` suffices, and only a blob
//! whose seal is broken is hashed again: it is sealed anew or goes into quarantine. A change of its permissions alone
//! does not break the seal; they are restored.
//!
//! Nothing outside this folder shares an inode with a blob: results are copies, and outputs with several links are
//! copied in. Views and the inputs of running stages share inodes with blobs, which is why they lie inside.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use std::collections::BTreeSet;

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};

use crate::error::{Error, Result};
use crate::session::{RETAINED, Session, sweep_lock};
use crate::tree::{Artifact, Blob, Entry, Tree};
use crate::{Content, Digest};

/// The modification time of every blob, in seconds since 1970: a time at which no computer wrote anything.
pub const SEALED: i64 = 1;

/// The first line of the file `CACHE`.
const VERSION: &str = "pipe cache 2";

/// The default name of a cache folder. It changes with the layout, so that an earlier version's cache stays
/// as it is.
pub const DEFAULT_NAME: &str = "store-2";

/// The shared part of a cache.
pub struct Store {
    root: PathBuf,
    id: String,
    /// `blobs/`, so that `stat` of a blob needs no long path.
    blobs: OwnedFd,
    /// Folders whose view was found whole by this process.
    whole_views: Mutex<BTreeSet<Digest<Content>>>,
}

/// How a blob was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There, with its size and seal, or with a broken seal and the right digest.
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

impl Store {
    /// Opens the cache in a folder; makes one if there is none.
    ///
    /// # Errors
    /// The folder holds something else, or cannot be made or read.
    pub fn open(root: &Path) -> Result<Self> {
        let id = match read_id(root)? {
            Some(id) => id,
            None => create(root)?,
        };
        let blobs = root.join("blobs");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(&blobs, flags, Mode::empty()).map_err(Error::sys("open the folder", &blobs))?;
        Ok(Self { root: root.to_owned(), id, blobs: handle, whole_views: Mutex::default() })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A random name of this cache, which identifies it in the per-machine state.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where a blob is, or would be.
    pub fn blob_path(&self, blob: &Blob) -> PathBuf {
        self.root.join("blobs").join(blob_name(blob))
    }

    /// Checks a blob: one `stat` if its seal is whole.
    ///
    /// # Errors
    /// The file system fails; a missing blob is not an error.
    pub fn find(&self, blob: &Blob) -> Result<Found> {
        let name = blob_name(blob);
        let stat = match rustix::fs::statat(&self.blobs, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return Ok(Found::Missing),
            Err(errno) => return Err(Error::sys("look at", &self.blob_path(blob))(errno)),
        };
        let sealed = stat.st_mtime as i64 == SEALED && stat.st_mtime_nsec as i64 == 0;
        if sealed && stat.st_size as u64 == blob.bytes {
            if stat.st_mode & 0o777 != mode(blob.executable) {
                // A stage can change those of its inputs. On a read-only cache they stay as they are.
                let _ = fs::set_permissions(self.blob_path(blob), Permissions::from_mode(mode(blob.executable)));
            }
            return Ok(Found::Good);
        }
        self.rehash(blob)
    }

    /// Hashes a blob whose seal or size is not as it should be.
    fn rehash(&self, blob: &Blob) -> Result<Found> {
        let path = self.blob_path(blob);
        let mut file = File::open(&path).map_err(Error::io("open", &path))?;
        let (digest, bytes) = hash(&mut file, None).map_err(Error::io("read", &path))?;
        if digest == blob.digest && bytes == blob.bytes {
            // On a read-only cache it stays unsealed and is hashed again next time.
            let _ = seal(&file, blob.executable);
            return Ok(Found::Good);
        }
        self.quarantine(&path);
        Ok(Found::Damaged)
    }

    /// Moves a damaged file out of the way. On a read-only cache it stays and counts as missing.
    pub(crate) fn quarantine(&self, path: &Path) {
        let folder = self.root.join("quarantine");
        let name = path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('/', "-");
        let moved = fs::create_dir_all(&folder).and_then(|()| {
            let free = (0..1000).map(|n| folder.join(format!("{name}.{n}"))).find(|path| !path.exists());
            fs::rename(path, free.unwrap_or_else(|| folder.join(&name)))
        });
        match moved {
            Ok(()) => tracing::warn!(path = %path.display(), "damaged file of the cache put into quarantine"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "damaged file of the cache cannot be moved"),
        }
    }

    /// The bytes of a small blob, such as a listing, verified.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read(&self, digest: &Digest<Content>) -> Result<Vec<u8>> {
        let path = self.root.join("blobs").join(sharded(digest));
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        if Digest::of(&bytes) == *digest {
            return Ok(bytes);
        }
        self.quarantine(&path);
        Err(Error::Damaged { path })
    }

    /// The listing of a folder.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn tree(&self, digest: &Digest<Content>) -> Result<Tree> {
        let bytes = self.read(digest)?;
        Tree::decode(&bytes).ok_or_else(|| Error::Damaged { path: self.root.join("blobs").join(sharded(digest)) })
    }

    /// All blobs of an artifact: the file, or the listing and all files.
    ///
    /// # Errors
    /// The listing is missing or damaged.
    pub fn blobs_of(&self, artifact: &Artifact) -> Result<Vec<Blob>> {
        if let Some(blob) = artifact.blob() {
            return Ok(vec![blob]);
        }
        let bytes = self.read(&artifact.digest)?;
        let path = || self.root.join("blobs").join(sharded(&artifact.digest));
        let tree = Tree::decode(&bytes).ok_or_else(|| Error::Damaged { path: path() })?;
        let listing = Blob { digest: artifact.digest, bytes: bytes.len() as u64, executable: false };
        let mut blobs = vec![listing];
        blobs.extend(tree.files().map(|(_, blob)| *blob));
        Ok(blobs)
    }

    /// Where an artifact can be read as a file or folder. For a folder its view is made or repaired if necessary, which
    /// takes a `session`; without one (a read-only cache) it must be there.
    ///
    /// # Errors
    /// A blob is missing, or the view cannot be made.
    pub fn path(&self, artifact: &Artifact, session: Option<&Session>) -> Result<PathBuf> {
        if let Some(blob) = artifact.blob() {
            return Ok(self.blob_path(&blob));
        }
        let view = self.root.join("views").join(sharded(&artifact.digest));
        if self.whole_views.lock().unwrap_or_else(PoisonError::into_inner).contains(&artifact.digest) {
            return Ok(view);
        }
        let tree = self.tree(&artifact.digest)?;
        if !is_whole(&view, &tree) {
            let session = session.ok_or_else(|| Error::Damaged { path: view.clone() })?;
            session.make_view(self, &tree, &view)?;
        }
        self.whole_views.lock().unwrap_or_else(PoisonError::into_inner).insert(artifact.digest);
        Ok(view)
    }

    /// The path of one entry of a folder artifact, see [`Store::path`].
    ///
    /// # Errors
    /// As for [`Store::path`].
    pub fn entry_path(&self, folder: &Artifact, entry: &str, session: Option<&Session>) -> Result<PathBuf> {
        Ok(self.path(folder, session)?.join(entry))
    }

    /// Hashes every blob, restores seals, and puts damaged ones into quarantine.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn inspect(&self) -> Result<Inspection> {
        let root = self.root.join("blobs");
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

    /// Copies a file out of the store, verifying its bytes on the way; the copy is a file of its own, writable for its
    /// owner, at a path that does not exist.
    ///
    /// # Errors
    /// The blob is missing or damaged (the copy is removed), or the target cannot be written.
    pub fn copy_out(&self, blob: &Blob, target: &Path) -> Result<()> {
        let source = self.blob_path(blob);
        let mode = Permissions::from_mode(if blob.executable { 0o755 } else { 0o644 });
        if reflink_copy::reflink(&source, target).is_ok() {
            // Shares no inode, and on such file systems no bytes are read: the seal is checked instead.
            let sealed = matches!(self.find(blob)?, Found::Good);
            let copy = File::open(target).map_err(Error::io("open", target))?;
            copy.set_permissions(mode).map_err(Error::io("set the permissions of", target))?;
            let now = Timestamps {
                last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
                last_modification: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
            };
            rustix::fs::futimens(&copy, &now).map_err(Error::sys("set the time of", target))?;
            return if sealed { Ok(()) } else { Err(self.damaged_copy(target, source)) };
        }
        let mut from = File::open(&source).map_err(Error::io("open", &source))?;
        let mut to = File::create_new(target).map_err(Error::io("create", target))?;
        let copied = hash(&mut from, Some(&mut to)).map_err(Error::io("copy to", target));
        let (digest, _) = copied.inspect_err(|_| drop(fs::remove_file(target)))?;
        if digest != blob.digest {
            self.quarantine(&source);
            return Err(self.damaged_copy(target, source));
        }
        to.set_permissions(mode).map_err(Error::io("set the permissions of", target))
    }

    fn damaged_copy(&self, target: &Path, source: PathBuf) -> Error {
        let _ = fs::remove_file(target);
        Error::Damaged { path: source }
    }
}

/// `a/bcdef…` of a digest. Sixteen folders, because a folder costs more than a file: 256 of them would be a fifth of what
/// a cache of a thousand small files makes. A million files are 60,000 in a folder, which every file system supports.
pub(crate) fn sharded<Of>(digest: &Digest<Of>) -> String {
    let mut name = digest.to_string();
    name.insert(1, '/');
    name
}

fn blob_name(blob: &Blob) -> String {
    let mut name = sharded(&blob.digest);
    if blob.executable {
        name.push('x');
    }
    name
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

/// The permissions of a blob.
fn mode(executable: bool) -> u32 {
    if executable { 0o555 } else { 0o444 }
}

/// Makes a file read-only for all users and gives it the time of blobs.
pub(crate) fn seal(file: &File, executable: bool) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode(executable)))?;
    let time = Timespec { tv_sec: SEALED, tv_nsec: 0 };
    Ok(rustix::fs::futimens(file, &Timestamps { last_access: time, last_modification: time })?)
}

/// Whether every file of a folder is in its view, with its size and seal, and nothing else is.
pub(crate) fn is_whole(view: &Path, tree: &Tree) -> bool {
    let whole = |path: &str, entry: &Entry| match (fs::symlink_metadata(view.join(path)), entry) {
        (Ok(found), Entry::File(blob)) => {
            found.is_file() && found.len() == blob.bytes && found.mtime() == SEALED && found.mtime_nsec() == 0
        }
        (Ok(found), Entry::EmptyFolder) => found.is_dir(),
        (Err(_), _) => false,
    };
    let walk = || {
        walkdir::WalkDir::new(view).into_iter().filter(|entry| entry.as_ref().is_ok_and(|e| e.file_type().is_file()))
    };
    view.is_dir() && tree.entries().all(|(path, entry)| whole(path, entry)) && walk().count() == tree.files().count()
}

/// The id of an existing cache; `None` if the folder is missing or empty.
fn read_id(root: &Path) -> Result<Option<String>> {
    let path = root.join("CACHE");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return check_free(root).map(|()| None),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some(VERSION), Some(id)) if !id.is_empty() => Ok(Some(id.to_owned())),
        _ => Err(Error::NotACache {
            path: root.to_owned(),
            found: format!("its file `CACHE` begins with `{}`", text.lines().next().unwrap_or_default()),
        }),
    }
}

/// A cache is made only where nothing is, or where the making of one was interrupted.
fn check_free(root: &Path) -> Result<()> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("list", root)(error)),
    };
    for entry in entries {
        let name = entry.map_err(Error::io("list", root))?.file_name().to_string_lossy().into_owned();
        let ours = FOLDERS.contains(&name.as_str()) || name == "lost+found";
        if !ours {
            return Err(Error::NotACache {
                path: root.to_owned(),
                found: format!("it holds `{name}`, but no file `CACHE`"),
            });
        }
    }
    Ok(())
}

const FOLDERS: [&str; 6] = ["blobs", "views", "records", "absences", "work", RETAINED];

/// Makes a cache. Of two processes that try, one gives the id and both use it.
fn create(root: &Path) -> Result<String> {
    for folder in FOLDERS {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).map_err(Error::io("create the folder", &folder))?;
    }
    let mut random = [0; 16];
    let source = Path::new("/dev/urandom");
    File::open(source).and_then(|mut file| file.read_exact(&mut random)).map_err(Error::io("read", source))?;
    let id = Digest::<Content>::of(&random).short(16);
    // Written in `work/` under the lock of sweepers, so that what a kill leaves is swept.
    let work = root.join("work");
    let _sweep = sweep_lock(&work)?;
    let mut aside = tempfile::Builder::new().prefix("id-").tempfile_in(&work).map_err(Error::io("write in", &work))?;
    writeln!(aside, "{VERSION}\n{id}").map_err(Error::io("write", aside.path()))?;
    aside.as_file().set_permissions(Permissions::from_mode(0o444)).map_err(Error::io("write", aside.path()))?;
    match aside.persist_noclobber(root.join("CACHE")) {
        Ok(_) => Ok(id),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => read_id(root)?
            .ok_or_else(|| Error::NotACache { path: root.to_owned(), found: "its file `CACHE` vanished".into() }),
        Err(error) => Err(Error::io("create", &root.join("CACHE"))(error.error)),
    }
}
