//! Reading records, and publishing them: once, by an atomic move to the final name.
//!
//! The first record of a key wins; a second process takes over the outputs of the first. A record whose blobs are not
//! all there does not count: it is replaced.
//!
//! Absences lie apart, because a missing cell may be found by a later run: then there is a record, which counts. The
//! other way round, an absence that is published over outputs that are damaged, or by force, takes their record away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::blobs::Found;
use crate::error::{Error, Result};
use crate::record::{Made, Record, Stored, decode, encode};
use crate::removal::remove_if_there;
use crate::seal::is_damage;
use crate::session::Session;
use crate::shard::{into_shard, into_shard_first, sharded};
use crate::store::Store;
use crate::tree::Blob;
use crate::{Action, Digest};

impl Made {
    /// The blobs of outputs; none of an absence.
    pub fn blobs(&self) -> impl Iterator<Item = Blob> {
        let outputs = match self {
            Made::Outputs(outputs) => outputs.as_slice(),
            Made::Absent { .. } => &[],
        };
        outputs.iter().flat_map(Stored::blobs)
    }

    /// The blobs that are missing or damaged.
    ///
    /// # Errors
    /// The file system fails.
    pub fn missing(&self, store: &Store) -> Result<Vec<Blob>> {
        let mut missing = Vec::new();
        for blob in self.blobs() {
            if store.find(&blob)? != Found::Good {
                missing.push(blob);
            }
        }
        Ok(missing)
    }
}

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
            Err(error) if is_damage(&error) => Vec::new(),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let record = decode(&text);
        if record.is_none() {
            self.quarantine(path);
        }
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

impl Session {
    /// Publishes what was made under a key. If another process published before, its record is returned and counts,
    /// unless `replace` is set (a forced run), or its blobs are missing.
    ///
    /// # Errors
    /// The cache cannot be written; then nothing is half published.
    pub fn publish(&self, key: &Digest<Action>, record: Record, replace: bool) -> Result<Record> {
        let folder = match record.made {
            Made::Outputs(_) => "records",
            Made::Absent { .. } => "absences",
        };
        let path = self.store().record_path(folder, key);
        if folder == "absences"
            && !replace
            && let Some(theirs) = self.store().whole_outputs(key)?
        {
            return Ok(theirs);
        }
        let aside = self.write_aside(&encode(&record))?;
        // An absence records when it was checked last: a later one replaces it.
        let replace = replace || folder == "absences";
        if !replace && !into_shard_first(&aside, &path)? {
            if let Some(theirs) = self.store().read_record(&path)?
                && theirs.made.missing(self.store())?.is_empty()
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
            remove_if_there(&self.store().record_path("records", key))?;
        }
        self.stored();
        Ok(record)
    }
}
