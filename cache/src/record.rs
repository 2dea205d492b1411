//! What was made, or found missing, under a key; published once, by an atomic move to its final name.
//!
//! A record is a line with the digest of the rest, then JSON: outputs with all their blobs, the parts of the key, and
//! where, when and how it was made. The first record of a key wins; a second process takes over the outputs of the
//! first. A record whose blobs are not all there does not count: it is replaced.
//!
//! Absences lie apart, because a missing cell may be found by a later run: then there is a record, which counts. The
//! other way round, an absence that is published over outputs that are damaged, or by force, takes their record away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, RenameFlags};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::session::{Session, into_shard};
use crate::store::{Found, Store, sharded};
use crate::tree::{Artifact, Blob};
use crate::{Action, Digest};

/// What is known about a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What came out.
    pub made: Made,
    /// The parts of the key; the engine defines their meaning.
    pub parts: serde_json::Value,
    /// Where, when and how; the engine defines its meaning.
    pub provenance: serde_json::Value,
}

/// What came out of the work under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Made {
    /// All outputs, sorted by port. (A list, not a map: ten thousand small maps are memory for nothing.)
    Outputs(Vec<Stored>),
    /// There is nothing to give.
    Absent {
        /// The cause, such as `not-found`.
        cause: String,
    },
}

/// A stored output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The output port.
    pub port: String,
    /// The artifact.
    pub artifact: Artifact,
    /// For a folder: its listing and all files, so that a check need not read the listing. Empty for a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<Blob>,
}

impl Stored {
    /// All blobs behind the output.
    pub fn blobs(&self) -> impl Iterator<Item = Blob> + '_ {
        self.artifact.blob().into_iter().chain(self.blobs.iter().copied())
    }
}

impl Made {
    /// The output at a port.
    pub fn output(&self, port: &str) -> Option<&Stored> {
        match self {
            Made::Outputs(outputs) => outputs.iter().find(|stored| stored.port == port),
            Made::Absent { .. } => None,
        }
    }

    /// The blobs that are missing or damaged.
    ///
    /// # Errors
    /// The file system fails.
    pub fn missing(&self, store: &Store) -> Result<Vec<Blob>> {
        let Made::Outputs(outputs) = self else { return Ok(Vec::new()) };
        let mut missing = Vec::new();
        for blob in outputs.iter().flat_map(Stored::blobs) {
            if store.find(&blob)? != Found::Good {
                missing.push(blob);
            }
        }
        Ok(missing)
    }
}

const MAGIC: &str = "pipe record 1";

impl Store {
    /// The record of a key, or the recorded absence. A damaged one goes into quarantine and does not count. Its blobs
    /// are not checked.
    ///
    /// # Errors
    /// The file system fails.
    pub fn record(&self, key: &Digest<Action>) -> Result<Option<Record>> {
        for folder in ["records", "absences"] {
            if let Some(record) = self.read_record(&self.record_path(folder, key))? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// What was made under a key; recorded absences are ignored. See [`Store::record`].
    ///
    /// # Errors
    /// The file system fails.
    pub fn outputs(&self, key: &Digest<Action>) -> Result<Option<Record>> {
        self.read_record(&self.record_path("records", key))
    }

    fn record_path(&self, folder: &str, key: &Digest<Action>) -> PathBuf {
        self.root().join(folder).join(sharded(key))
    }

    fn read_record(&self, path: &Path) -> Result<Option<Record>> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let record = decode(&text);
        if record.is_none() {
            self.quarantine(path);
        }
        Ok(record)
    }

    /// Publishes what was made under a key. If another process published before, its record is returned and counts,
    /// unless `replace` is set (a forced run), or its blobs are missing.
    ///
    /// # Errors
    /// The cache cannot be written; then nothing is half published.
    pub fn publish(&self, session: &Session, key: &Digest<Action>, record: Record, replace: bool) -> Result<Record> {
        let folder = match record.made {
            Made::Outputs(_) => "records",
            Made::Absent { .. } => "absences",
        };
        let path = self.record_path(folder, key);
        if folder == "absences"
            && !replace
            && let Some(theirs) = self.whole_outputs(key)?
        {
            return Ok(theirs);
        }
        let aside = session.write_aside(&encode(&record))?;
        // An absence records when it was checked last: a later one replaces it.
        let replace = replace || folder == "absences";
        if !replace && !into_shard_first(&aside, &path)? {
            if let Some(theirs) = self.read_record(&path)?
                && theirs.made.missing(self)?.is_empty()
            {
                fs::remove_file(&aside).map_err(Error::io("remove", &aside))?;
                return Ok(theirs);
            }
            into_shard(&aside, &path)?;
        } else if replace {
            into_shard(&aside, &path)?;
        }
        if folder == "absences" {
            // Outputs count before an absence; these lost their blobs or are to be replaced.
            remove_if_there(&self.record_path("records", key))?;
        }
        session.stored();
        Ok(record)
    }

    /// Takes a record away, so that its key is a miss everywhere.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn forget(&self, key: &Digest<Action>) -> Result<()> {
        for folder in ["records", "absences"] {
            remove_if_there(&self.record_path(folder, key))?;
        }
        Ok(())
    }

    /// The record of outputs under a key, if all its blobs are there.
    fn whole_outputs(&self, key: &Digest<Action>) -> Result<Option<Record>> {
        match self.read_record(&self.record_path("records", key))? {
            Some(record) if record.made.missing(self)?.is_empty() => Ok(Some(record)),
            _ => Ok(None),
        }
    }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Moves a file to its final name in a sharded folder; `false` if the name is taken. Where the file system cannot rename
/// without replacing (NFS), links it there.
fn into_shard_first(from: &Path, to: &Path) -> Result<bool> {
    use rustix::io::Errno;
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
            let shard = to.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(shard).map_err(Error::io("create the folder", shard))?;
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

fn encode(record: &Record) -> Vec<u8> {
    // A struct of texts, numbers and maps with text keys always has a JSON form.
    let json = serde_json::to_vec(record).unwrap_or_default();
    let mut bytes = format!("{MAGIC} {}\n", Digest::<Action>::of(&json)).into_bytes();
    bytes.extend_from_slice(&json);
    bytes.push(b'\n');
    bytes
}

fn decode(text: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(text).ok()?;
    let (head, json) = text.split_once('\n')?;
    let digest: Digest<Action> = head.strip_prefix(MAGIC)?.trim().parse().ok()?;
    let json = json.strip_suffix('\n')?;
    (Digest::of(json.as_bytes()) == digest).then(|| serde_json::from_str(json).ok())?
}
