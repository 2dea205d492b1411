//! Digests of files outside the store (sources, published results), remembered by what `stat` returns for them.
//!
//! A file is hashed unless its size, modification time, change time and inode are those it had when it was hashed.
//! As in git, a file that was changed just before it was hashed is not remembered: another change in the same tick of
//! the file system's clock could not be seen. It is hashed again next time, when it has settled.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::seal::hash;
use crate::tree::{Artifact, Blob, Entry, Tree};
use crate::visible::Filter;
use crate::{Digest, Table};

/// Longer than the tick of any file system's clock (FAT has 2 s).
const SETTLED: Duration = Duration::from_secs(2);
/// Longer than the tick of the kernel's clock (10 ms at most), which is what stamps have that show more than milliseconds.
const SETTLED_FINE: Duration = Duration::from_millis(100);
const MILLISECOND: i64 = 1_000_000;

/// Remembered digests of files.
#[derive(Debug)]
pub struct Sources {
    table: Table,
    seen: usize,
}

/// What `stat` returns for a file that was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    executable: bool,
}

/// The content of a file or folder as a [`Filter`] shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// The content.
    pub artifact: Artifact,
    /// The listing, if the folder holds more than it shows: a reader needs a folder with only these entries.
    pub part: Option<Tree>,
}

impl Identity {
    fn of(found: &Metadata) -> Self {
        Self {
            size: found.size(),
            inode: found.ino(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            executable: found.mode() & 0o100 != 0,
        }
    }

    fn encode(&self) -> [u8; 49] {
        let mut bytes = [0; 49];
        let numbers = [
            self.size,
            self.inode,
            self.modified.0 as u64,
            self.modified.1 as u64,
            self.changed.0 as u64,
            self.changed.1 as u64,
        ];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[48] = u8::from(self.executable);
        bytes
    }

    /// Whether the file had rested long enough at this time for the identity to be trusted.
    fn settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        let Ok(seconds) = u64::try_from(seconds) else { return true };
        let last = UNIX_EPOCH + Duration::new(seconds, u32::try_from(nanoseconds).unwrap_or(0));
        let rest = if nanoseconds % MILLISECOND == 0 { SETTLED } else { SETTLED_FINE };
        now.duration_since(last).is_ok_and(|rested| rested >= rest)
    }
}

impl Sources {
    /// Reads what is remembered; nothing if the file does not exist.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { table: Table::open(path)?, seen: 0 })
    }

    /// The content of a file or folder. Symbolic links are followed; a folder is a listing of all files below it.
    ///
    /// # Errors
    /// It is not there, cannot be read, changes meanwhile, or holds something that is neither file nor folder.
    pub fn content(&mut self, path: &Path) -> Result<Artifact> {
        let found = fs::metadata(path).map_err(Error::io("read", path))?;
        if found.is_dir() {
            return self.tree(path).map(|tree| tree.artifact());
        }
        Ok(self.file(path, &found)?.into())
    }

    /// The content of a file or folder, without what the filter hides in the folder.
    ///
    /// # Errors
    /// As for [`Sources::content`].
    pub fn visible(&mut self, path: &Path, filter: &Filter) -> Result<Visible> {
        let found = fs::metadata(path).map_err(Error::io("read", path))?;
        if !found.is_dir() {
            return Ok(Visible { artifact: self.file(path, &found)?.into(), part: None });
        }
        let (tree, hidden) = self.filtered(path, filter)?;
        Ok(Visible { artifact: tree.artifact(), part: hidden.then_some(tree) })
    }

    /// Waits until files that were just written have settled, and remembers them, so that they need not be read again.
    /// Where the file system's clock is coarse it does not wait that long, and they are read next time.
    ///
    /// # Errors
    /// As for [`Sources::content`].
    pub fn remember(&mut self, written: &[PathBuf]) -> Result<()> {
        std::thread::sleep(SETTLED_FINE);
        written.iter().try_for_each(|path| self.content(path).map(drop))
    }

    /// The listing of a folder.
    ///
    /// # Errors
    /// As for [`Sources::content`].
    pub fn tree(&mut self, folder: &Path) -> Result<Tree> {
        self.filtered(folder, &Filter::default()).map(|(tree, _)| tree)
    }

    /// The listing of a folder, and whether anything in it is hidden.
    fn filtered(&mut self, folder: &Path, filter: &Filter) -> Result<(Tree, bool)> {
        let (mut tree, mut hidden) = (Tree::default(), false);
        let mut walk = walkdir::WalkDir::new(folder).min_depth(1).follow_links(true).into_iter();
        while let Some(entry) = walk.next() {
            let hides =
                |path: &Path, is_folder| filter.hides(path, path.strip_prefix(folder).unwrap_or(path), is_folder);
            let entry = match entry {
                Err(error) if error.path().is_some_and(|path| hides(path, false)) => {
                    hidden = true;
                    continue;
                }
                entry => entry.map_err(|error| unlisted(folder, error))?,
            };
            let path = entry.path();
            let found = entry.metadata().map_err(|error| Error::io("look at", path)(error.into()))?;
            if hides(path, found.is_dir()) {
                hidden = true;
                if found.is_dir() {
                    walk.skip_current_dir();
                }
                continue;
            }
            let name = relative(folder, path)?;
            if !found.is_dir() {
                if filter.takes(Path::new(&name)) {
                    tree.insert(name, Entry::File(self.file(path, &found)?));
                } else {
                    hidden = true;
                }
            } else if filter.takes_folders() && fs::read_dir(path).map_err(Error::io("list", path))?.next().is_none() {
                tree.insert(name, Entry::EmptyFolder);
            }
        }
        Ok((tree, hidden))
    }

    /// The content of a file for which `stat` returned `found`.
    fn file(&mut self, path: &Path, found: &Metadata) -> Result<Blob> {
        if !found.is_file() {
            return Err(Error::Odd { path: path.to_owned(), what: "neither a file nor a folder" });
        }
        self.seen += 1;
        let identity = Identity::of(found);
        let name = path.as_os_str().as_encoded_bytes();
        let blob = |digest, identity: &Identity| Blob { digest, bytes: identity.size, executable: identity.executable };
        if let Some((known, digest)) = self.table.get(name).and_then(|value| value.split_at_checked(49))
            && *known == identity.encode()
            && let Ok(digest) = digest.try_into()
        {
            return Ok(blob(Digest::from_bytes(digest), &identity));
        }
        let (digest, identity, settled) = read(path)?;
        if settled {
            self.table.put(name, &[&identity.encode()[..], digest.as_bytes()].concat())?;
        }
        Ok(blob(digest, &identity))
    }

    /// Forgets files that were not read in this run, when they are most of what is remembered.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn tidy(&mut self) -> Result<()> {
        if self.table.rows() <= 4 * self.seen + 4096 {
            return Ok(());
        }
        self.table.compact(|name| {
            use std::os::unix::ffi::OsStrExt;
            Path::new(std::ffi::OsStr::from_bytes(name)).exists()
        })
    }
}

/// What a walk could not enter. A link that leads nowhere does not mean that the folder is missing.
fn unlisted(folder: &Path, error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(folder).to_owned();
    if error.loop_ancestor().is_some() {
        return Error::Odd { path, what: "a symbolic link to a folder that it lies in" };
    }
    let is_link = fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
    if is_link && error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Error::Odd { path, what: "a symbolic link to something that does not exist" };
    }
    Error::io("list", &path)(error.into())
}

/// Hashes a file; its identity is the same before and after. Tries again a few times while it is being written.
fn read(path: &Path) -> Result<(Digest<crate::Content>, Identity, bool)> {
    for _ in 0..3 {
        #[expect(clippy::disallowed_methods, reason = "the racy-timestamp rule compares the file's time with now")]
        let now = SystemTime::now();
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let look = |file: &File| file.metadata().map(|found| Identity::of(&found)).map_err(Error::io("look at", path));
        let before = look(&file)?;
        let (digest, bytes) = hash(&mut file, None).map_err(Error::io("read", path))?;
        if look(&file)? == before && bytes == before.size {
            return Ok((digest, before, before.settled(now)));
        }
    }
    Err(Error::Changed { path: path.to_owned() })
}

/// Whether an error means that nothing is there.
pub fn is_missing(error: &Error) -> bool {
    matches!(error.io_kind(), Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

/// The `/`-separated path below a folder.
fn relative(folder: &Path, path: &Path) -> Result<String> {
    let below = path.strip_prefix(folder).unwrap_or(path);
    below
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::Odd { path: path.to_owned(), what: "a name that is not UTF-8" })
}
