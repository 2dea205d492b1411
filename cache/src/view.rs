//! Views: folder artifacts as folders, made of hard links to blobs, because stages read paths.
//!
//! A file of a view has right bytes if it is the inode of its blob, which has been verified; where it is a copy (a file
//! system without hard links, a blob with too many), it is hashed itself. So a view that still links to a blob
//! that was found damaged and made anew is not whole, and is made anew too.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::blobs::Found;
use crate::error::{Error, Result};
use crate::seal::{hash, is_sealed, seal};
use crate::shard::sharded;
use crate::store::Store;
use crate::tree::{Artifact, Blob, Entry, Tree};

impl Store {
    /// Where an artifact can be read as a file or folder; its bytes are verified, once since the store was opened. For a
    /// folder its view must be there; [`Session::path`](crate::Session::path) makes it.
    ///
    /// # Errors
    /// Something is missing or damaged ([`Error::Damaged`]), or the file system fails.
    pub fn path(&self, artifact: &Artifact) -> Result<PathBuf> {
        match self.view_of(artifact)? {
            View::There(path) => Ok(path),
            View::ToBeMade { path, .. } => Err(Error::Damaged { path }),
        }
    }

    /// Verifies an artifact, and finds its view.
    pub(crate) fn view_of(&self, artifact: &Artifact) -> Result<View> {
        if let Some(blob) = artifact.blob() {
            self.demand(&blob)?;
            return Ok(View::There(self.blob_path(&blob)));
        }
        let path = self.root().join("views").join(sharded(&artifact.digest));
        if self.is_whole_view(&artifact.digest) {
            return Ok(View::There(path));
        }
        let tree = self.tree(&artifact.digest)?;
        for (_, blob) in tree.files() {
            self.demand(blob)?;
        }
        if !self.is_whole(&path, &tree) {
            return Ok(View::ToBeMade { path, tree });
        }
        self.note_whole_view(artifact.digest);
        Ok(View::There(path))
    }

    fn demand(&self, blob: &Blob) -> Result<()> {
        match self.verify(blob)? {
            Found::Good => Ok(()),
            Found::Missing | Found::Damaged => Err(Error::Damaged { path: self.blob_path(blob) }),
        }
    }

    /// Whether every file of a folder is in its view, with its bytes, and nothing else is. Its blobs have been verified.
    pub(crate) fn is_whole(&self, view: &Path, tree: &Tree) -> bool {
        let whole = |path: &str, entry: &Entry| match (fs::symlink_metadata(view.join(path)), entry) {
            (Ok(found), Entry::File(blob)) => {
                found.is_file()
                    && found.len() == blob.bytes
                    && is_sealed(&found)
                    && (self.is_inode_of(&found, blob) || has_bytes_of(&view.join(path), blob))
            }
            (Ok(found), Entry::EmptyFolder) => found.is_dir(),
            (Err(_), _) => false,
        };
        let others = || {
            let entries = walkdir::WalkDir::new(view).into_iter();
            entries.filter(|entry| entry.as_ref().is_ok_and(|entry| !entry.file_type().is_dir())).count()
        };
        view.is_dir() && tree.entries().all(|(path, entry)| whole(path, entry)) && others() == tree.files().count()
    }

    fn is_inode_of(&self, found: &fs::Metadata, blob: &Blob) -> bool {
        fs::symlink_metadata(self.blob_path(blob)).is_ok_and(|own| (own.ino(), own.dev()) == (found.ino(), found.dev()))
    }

    /// Makes a view in a folder that does not exist.
    pub(crate) fn build_view(&self, aside: &Path, tree: &Tree) -> Result<()> {
        // Not one that was used before: it may hold empty folders, which would be part of the view.
        fs::create_dir(aside).map_err(Error::io("create the folder", aside))?;
        for (name, entry) in tree.entries() {
            let target = aside.join(name);
            let folder = match entry {
                Entry::File(_) => target.parent().unwrap_or(aside),
                Entry::EmptyFolder => &target,
            };
            fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
            if let Entry::File(blob) = entry {
                self.link_or_copy(blob, &target)?;
            }
        }
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(aside, open).map_err(Error::io("set the permissions of", aside))
    }

    /// A hard link inside the store; a sealed copy where the file system has none, or the blob has too many.
    fn link_or_copy(&self, blob: &Blob, target: &Path) -> Result<()> {
        let source = self.blob_path(blob);
        if fs::hard_link(&source, target).is_ok() {
            return Ok(());
        }
        self.copy_out(blob, target)?;
        let copy = File::open(target).map_err(Error::io("open", target))?;
        seal(&copy, blob.executable).map_err(Error::io("make read-only", target))
    }
}

/// What [`Store::view_of`] finds.
pub(crate) enum View {
    There(PathBuf),
    ToBeMade { path: PathBuf, tree: Tree },
}

fn has_bytes_of(path: &Path, blob: &Blob) -> bool {
    File::open(path).and_then(|mut file| hash(&mut file, None)).is_ok_and(|(digest, _)| digest == blob.digest)
}
