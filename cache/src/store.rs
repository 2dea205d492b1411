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
//! restricted/NAME/        a store like this one, for data under restrictions; only its owner can open it
//! ```
//!
//! Nothing outside this folder shares an inode with a blob: results are copies, and outputs with several links are
//! copied in. Views and the inputs of running stages share inodes with blobs, which is why they lie inside.
//!
//! This file holds what all operations share; they are in `blobs`, `view`, `session` and `publish`.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result};
use crate::layout::{self, QUARANTINE, RESTRICTED};
use crate::private::private_folder;
use crate::tree::Blob;
use crate::{Content, Digest};

/// The shared part of a cache. A clone is the same store.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    id: String,
    /// `blobs/`, so that `stat` of a blob needs no long path.
    blobs: OwnedFd,
    /// Blobs that were written or hashed since the store was opened.
    hashed: Mutex<BTreeSet<Blob>>,
    /// Folders whose view was found whole since then.
    whole_views: Mutex<BTreeSet<Digest<Content>>>,
}

impl Store {
    /// Opens the cache in a folder; makes one if there is none, and makes anew what is missing of one.
    ///
    /// # Errors
    /// The folder holds something else, or cannot be made or read.
    pub fn open(root: &Path) -> Result<Self> {
        let id = layout::open(root)?;
        let blobs = root.join("blobs");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(&blobs, flags, Mode::empty()).map_err(Error::sys("open the folder", &blobs))?;
        let (hashed, whole_views) = (Mutex::default(), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { root: root.to_owned(), id, blobs: handle, hashed, whole_views }) })
    }

    /// The store of data under restrictions, inside of this one: it is for its owner only, and has blobs and records of
    /// its own.
    ///
    /// # Errors
    /// As for [`Store::open`]; or others may open it.
    pub fn restricted(&self, name: &str) -> Result<Self> {
        let all = self.root().join(RESTRICTED);
        private_folder(&all)?;
        let own = all.join(name);
        private_folder(&own)?;
        Self::open(&own)
    }

    /// The names of the stores of restricted data that are there, sorted; none if their folder cannot be read.
    pub fn restricted_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root().join(RESTRICTED)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// A random name of this cache, which identifies it in the per-machine state.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    pub(crate) fn blobs_folder(&self) -> &OwnedFd {
        &self.shared.blobs
    }

    /// Whether the bytes of a blob were seen since the store was opened: they need not be hashed again.
    pub(crate) fn was_hashed(&self, blob: &Blob) -> bool {
        self.shared.hashed.lock().unwrap_or_else(PoisonError::into_inner).contains(blob)
    }

    pub(crate) fn note_hashed(&self, blob: Blob) {
        self.shared.hashed.lock().unwrap_or_else(PoisonError::into_inner).insert(blob);
    }

    pub(crate) fn is_whole_view(&self, folder: &Digest<Content>) -> bool {
        self.shared.whole_views.lock().unwrap_or_else(PoisonError::into_inner).contains(folder)
    }

    pub(crate) fn note_whole_view(&self, folder: Digest<Content>) {
        self.shared.whole_views.lock().unwrap_or_else(PoisonError::into_inner).insert(folder);
    }

    /// A blob was lost: what was known of it, and of views that may link to it, does not count any more.
    pub(crate) fn forget_hashed(&self, digest: &Digest<Content>) {
        let mut hashed = self.shared.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        hashed.retain(|blob| blob.digest != *digest);
        self.shared.whole_views.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Moves a damaged file out of the way. On a read-only cache it stays and counts as missing.
    pub(crate) fn quarantine(&self, path: &Path) {
        let folder = self.root().join(QUARANTINE);
        let name = path.strip_prefix(self.root()).unwrap_or(path).to_string_lossy().replace('/', "-");
        let moved = fs::create_dir_all(&folder).and_then(|()| {
            let free = (0..1000).map(|n| folder.join(format!("{name}.{n}"))).find(|path| !path.exists());
            fs::rename(path, free.unwrap_or_else(|| folder.join(&name)))
        });
        match moved {
            Ok(()) => tracing::warn!(path = %path.display(), "damaged file of the cache put into quarantine"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "damaged file of the cache cannot be moved"),
        }
    }
}
