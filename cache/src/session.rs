//! A process at work in a cache: its private folder in the same file system, from which finished things are moved to
//! their places, and the group-wise flush to disk.
//!
//! The folder is `work/NAME` with a lock file `work/NAME.lock` beside it. The lock dies with its holder, so the next
//! session, on whatever machine, sees which folders are leftovers and removes them. Nothing depends on process ids.
//!
//! Blobs and records become visible by a rename, which a kill cannot split. Against a loss of power they are flushed
//! in groups (`flush`), and the end of a run waits for the rest. What was visible but not yet on disk at a power cut has
//! a wrong size or digest afterwards and counts as missing.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Digest;
use crate::blobs::Found;
use crate::error::{Error, Result};
use crate::flush::Flusher;
use crate::layout::RETAINED;
use crate::removal::{empty, remove_all};
use crate::seal::{hash, seal};
use crate::shard::into_shard;
use crate::store::Store;
use crate::sweep::{sweep, sweep_leftovers, sweep_lock};
use crate::tree::{Artifact, Blob, Entry, Tree};
use crate::view::View;

/// A process at work in a cache. Dropping it removes its folder.
pub struct Session {
    store: Store,
    folder: PathBuf,
    /// Held until the end; see the module's text.
    _lock: File,
    lock_path: PathBuf,
    counter: AtomicU64,
    /// Folders that were used and are as good as new.
    spare: Mutex<Vec<PathBuf>>,
    /// Empty files, likewise.
    spare_files: Mutex<Vec<PathBuf>>,
    /// Names in `kept/` when the session began, and those it added.
    retained: Mutex<BTreeSet<OsString>>,
    flusher: Flusher,
}

impl Session {
    /// Begins to work; removes what dead sessions left.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn begin(store: &Store) -> Result<Self> {
        let work = store.root().join("work");
        // While this is held no process sweeps, so that the lock below cannot be swept before it is locked.
        let _sweep = sweep_lock(&work)?;
        sweep(&work)?;
        let aside = tempfile::Builder::new()
            .prefix("session-")
            .suffix(".lock")
            .tempfile_in(&work)
            .map_err(Error::io("write in", &work))?;
        let (lock, lock_path) = aside.keep().map_err(|error| Error::io("write in", &work)(error.error))?;
        lock.lock().map_err(Error::io("lock", &lock_path))?;
        let folder = lock_path.with_extension("");
        fs::create_dir(&folder).map_err(Error::io("create the folder", &folder))?;
        let flusher = Flusher::new(store.root())?;
        Ok(Self {
            store: store.clone(),
            folder,
            _lock: lock,
            lock_path,
            counter: AtomicU64::new(0),
            spare: Mutex::default(),
            spare_files: Mutex::default(),
            retained: Mutex::new(names_in(&store.root().join(RETAINED))),
            flusher,
        })
    }

    /// Removes what dead sessions left, if there is anything; cheap if there is not, and silent on a read-only cache.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn sweep_leftovers(store: &Store) -> Result<()> {
        sweep_leftovers(&store.root().join("work"))
    }

    /// The store in which it works.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A folder of this session in which there is nothing, or only empty folders.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn new_folder(&self) -> Result<PathBuf> {
        if let Some(spare) = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(spare);
        }
        let folder = self.fresh_path();
        fs::create_dir(&folder).map_err(Error::io("create the folder", &folder))?;
        Ok(folder)
    }

    /// Gives back a folder that is not needed any more: it is emptied and given out again, because making and deleting some
    /// folders for every stage is slow (an ext4 without a journal skips recently deleted inodes when it makes new ones).
    ///
    /// # Errors
    /// It cannot be emptied; then it is not given out again.
    pub fn give_back(&self, folder: &Path) -> Result<()> {
        if empty(folder)? {
            self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(folder.to_owned());
            return Ok(());
        }
        remove_all(folder)
    }

    /// Makes an empty file at a path, or moves one there that was taken back. What was there is gone.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new_file(&self, path: &Path) -> Result<()> {
        if let Some(spare) = self.spare_files.lock().unwrap_or_else(PoisonError::into_inner).pop()
            && fs::rename(&spare, path).is_ok()
        {
            return Ok(());
        }
        let made = match File::create(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(Path::new("."));
                fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
                File::create(path)
            }
            made => made,
        };
        made.map(drop).map_err(Error::io("create", path))
    }

    /// Takes a file back if it is as good as new, for the same reason as folders; `false` if it stays where it is, because
    /// it is not empty, or it is not in the file system of the cache.
    pub fn take_back(&self, file: &Path) -> bool {
        let own = self.fresh_path();
        let as_new = |found: fs::Metadata| {
            found.is_file() && found.len() == 0 && found.nlink() == 1 && found.mode() & 0o600 == 0o600
        };
        let taken = fs::symlink_metadata(file).is_ok_and(as_new) && fs::rename(file, &own).is_ok();
        if taken {
            self.spare_files.lock().unwrap_or_else(PoisonError::into_inner).push(own);
        }
        taken
    }

    /// Where what several tasks of a run need can be put; it goes with the session. It may have to be made.
    pub fn shared_folder(&self) -> PathBuf {
        self.folder.join("shared")
    }

    fn fresh_path(&self) -> PathBuf {
        self.folder.join(self.counter.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Moves the folder of a failed stage from this session to `kept/NAME`, replacing an earlier one.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn retain(&self, folder: &Path, name: &str) -> Result<PathBuf> {
        let retained = retained_path(self.store.root(), name);
        self.remove_retained(name)?;
        self.retained.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into());
        fs::rename(folder, &retained).map_err(Error::io("move a failed stage's folder to", &retained))?;
        Ok(retained)
    }

    /// Removes `kept/NAME`, if it is there.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_retained(&self, name: &str) -> Result<()> {
        if !self.retained.lock().unwrap_or_else(PoisonError::into_inner).remove(OsStr::new(name)) {
            return Ok(());
        }
        let retained = retained_path(self.store.root(), name);
        // Moved first, so that a kill in between leaves nothing half under the name.
        let away = self.fresh_path();
        match fs::rename(&retained, &away) {
            Ok(()) => remove_all(&away),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("remove", &retained)(error)),
        }
    }

    /// Stores a file or folder that this session wrote: moves its files into the store. What was at `path` is gone
    /// afterwards. Permissions that its maker took away from itself are given back first.
    ///
    /// # Errors
    /// It holds links or devices, names that are not UTF-8, or the disk is full. What was stored until then is whole.
    pub fn ingest(&self, path: &Path) -> Result<(Artifact, Vec<Blob>)> {
        let found = fs::symlink_metadata(path).map_err(Error::io("look at", path))?;
        if found.is_file() {
            let blob = self.ingest_file(path, &found)?;
            return Ok((blob.into(), vec![blob]));
        }
        if !found.is_dir() {
            return Err(odd(path, &found));
        }
        let mut tree = Tree::default();
        self.ingest_folder(path, &found, "", &mut tree)?;
        remove_all(path)?;
        let listing = self.put(&tree.encode())?;
        let mut blobs = vec![listing];
        blobs.extend(tree.files().map(|(_, blob)| *blob));
        Ok((tree.artifact(), blobs))
    }

    /// Adds what is in a folder to a listing, in which its names begin with `prefix`.
    fn ingest_folder(&self, folder: &Path, found: &fs::Metadata, prefix: &str, tree: &mut Tree) -> Result<()> {
        let list = Error::io("list", folder);
        give_owner(folder, found, 0o700)?;
        let mut entries = fs::read_dir(folder).map_err(&list)?.collect::<io::Result<Vec<_>>>().map_err(&list)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        if entries.is_empty() && !prefix.is_empty() {
            tree.insert(prefix.trim_end_matches('/').to_owned(), Entry::EmptyFolder);
        }
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(Error::Odd { path, what: "a name that is not UTF-8" });
            };
            let name = format!("{prefix}{name}");
            let found = fs::symlink_metadata(&path).map_err(Error::io("look at", &path))?;
            if found.is_file() {
                tree.insert(name, Entry::File(self.ingest_file(&path, &found)?));
            } else if found.is_dir() {
                self.ingest_folder(&path, &found, &format!("{name}/"), tree)?;
            } else {
                return Err(odd(&path, &found));
            }
        }
        Ok(())
    }

    /// Hashes a file of this session, seals it and moves it to its name.
    fn ingest_file(&self, path: &Path, found: &fs::Metadata) -> Result<Blob> {
        give_owner(path, found, 0o400)?;
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let executable = found.mode() & 0o100 != 0;
        if found.nlink() > 1 {
            // Another name of this inode exists: the store gets an inode of its own.
            let own = self.fresh_path();
            let mut copy = File::create_new(&own).map_err(Error::io("create", &own))?;
            let (digest, bytes) = hash(&mut file, Some(&mut copy)).map_err(Error::io("copy", path))?;
            fs::remove_file(path).map_err(Error::io("remove", path))?;
            return self.place(&copy, &own, Blob { digest, bytes, executable });
        }
        let (digest, bytes) = hash(&mut file, None).map_err(Error::io("read", path))?;
        self.place(&file, path, Blob { digest, bytes, executable })
    }

    /// Stores bytes.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn put(&self, bytes: &[u8]) -> Result<Blob> {
        let blob = Blob { digest: Digest::of(bytes), bytes: bytes.len() as u64, executable: false };
        if self.store.verify(&blob)? == Found::Good {
            return Ok(blob);
        }
        let path = self.fresh_path();
        let mut file = File::create_new(&path).map_err(Error::io("create", &path))?;
        file.write_all(bytes).map_err(Error::io("write", &path))?;
        self.place(&file, &path, blob)
    }

    /// Seals a written file and renames it to the blob's name, or drops it if the blob is there already, with the right
    /// bytes.
    fn place(&self, file: &File, path: &Path, blob: Blob) -> Result<Blob> {
        if self.store.verify(&blob)? == Found::Good {
            fs::remove_file(path).map_err(Error::io("remove", path))?;
            return Ok(blob);
        }
        seal(file, blob.executable).map_err(Error::io("make read-only", path))?;
        into_shard(path, &self.store.blob_path(&blob))?;
        self.store.note_hashed(blob);
        self.flusher.note();
        Ok(blob)
    }

    /// Where an artifact can be read as a file or folder; its bytes are verified, once since the store was opened. For a
    /// folder its view is made, or made anew, if necessary.
    ///
    /// # Errors
    /// Something is missing or damaged ([`Error::Damaged`]), or the view cannot be made.
    pub fn path(&self, artifact: &Artifact) -> Result<PathBuf> {
        match self.store.view_of(artifact)? {
            View::There(path) => Ok(path),
            View::ToBeMade { path, tree } => {
                self.make_view(&tree, &path)?;
                self.store.note_whole_view(artifact.digest);
                Ok(path)
            }
        }
    }

    /// The same for one artifact of a store in which nothing else is done: a session is begun only if a view is to be made.
    ///
    /// # Errors
    /// As for [`Session::path`].
    pub fn path_once(store: &Store, artifact: &Artifact) -> Result<PathBuf> {
        match store.view_of(artifact)? {
            View::There(path) => Ok(path),
            View::ToBeMade { .. } => Self::begin(store)?.path(artifact),
        }
    }

    /// Makes the view of a folder, or makes it anew.
    fn make_view(&self, tree: &Tree, view: &Path) -> Result<()> {
        let aside = self.fresh_path();
        self.store.build_view(&aside, tree)?;
        if self.store.is_whole(view, tree) {
            // Another process made it meanwhile, and its stages may be reading it.
            return remove_all(&aside);
        }
        if fs::symlink_metadata(view).is_ok() {
            let away = self.fresh_path();
            fs::rename(view, &away).map_err(Error::io("replace", view))?;
            remove_all(&away)?;
        }
        match into_shard(&aside, view) {
            Err(_) if self.store.is_whole(view, tree) => remove_all(&aside),
            placed => placed,
        }
    }

    /// A path for a file that this session is to write and then publish.
    pub(crate) fn write_aside(&self, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.fresh_path();
        let mut file = File::create_new(&path).map_err(Error::io("create", &path))?;
        file.write_all(bytes).map_err(Error::io("write", &path))?;
        file.set_permissions(Permissions::from_mode(0o444)).map_err(Error::io("make read-only", &path))?;
        Ok(path)
    }

    /// Something became visible that is to be flushed.
    pub(crate) fn stored(&self) {
        self.flusher.note();
    }

    /// Waits until all that was stored is on disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn flush(&self) -> Result<()> {
        self.flusher.flush().map_err(|errno| Error::sys("flush", self.store.root())(errno))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let removed = remove_all(&self.folder)
            .and_then(|()| fs::remove_file(&self.lock_path).map_err(Error::io("remove", &self.lock_path)));
        if let Err(error) = removed {
            tracing::warn!(%error, "the work folder of this run stays until the next run");
        }
    }
}

fn names_in(folder: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.file_name())).collect()
}

/// Where the folder of a failed stage is retained.
pub(crate) fn retained_path(root: &Path, name: &str) -> PathBuf {
    root.join(RETAINED).join(name)
}

/// Gives the owner permissions that it lacks on something that it made.
fn give_owner(path: &Path, found: &fs::Metadata, wanted: u32) -> Result<()> {
    // Another name of a file may lie outside: that one is not ours to change.
    if found.mode() & wanted == wanted || (found.is_file() && found.nlink() > 1) {
        return Ok(());
    }
    let mode = Permissions::from_mode(found.mode() & 0o7777 | wanted);
    fs::set_permissions(path, mode).map_err(Error::io("set the permissions of", path))
}

fn odd(path: &Path, found: &fs::Metadata) -> Error {
    let what = if found.is_symlink() { "a symbolic link" } else { "neither a file nor a folder" };
    Error::Odd { path: path.to_owned(), what }
}
