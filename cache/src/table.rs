//! A table from bytes to bytes in one append-only file: the last row of a key counts.
//!
//! Read as a whole (ten thousand rows are one read of a few megabytes), appended to by a single write per row, so
//! that several processes may append. Every row has a marker and a checksum: a row torn by a kill or a crash is
//! skipped, and only that row is lost. Such a table may hold only what can be determined again; a lost row costs time,
//! never correctness.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const MARKER: [u8; 4] = *b"\xF5row";
/// Marker, checksum, length of key, length of value.
const HEAD: usize = 4 + 8 + 4 + 4;

/// Tables with fewer rows than this are read in a few milliseconds and are left as they are.
pub(crate) const SMALL: usize = 8192;

/// Such a table.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    /// The file as it was when it was opened.
    bytes: Vec<u8>,
    /// Hash of the key and place of the row in `bytes`, sorted; of equal keys the last one counts.
    rows: Vec<(u64, u32)>,
    /// Rows that were put since.
    fresh: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Opened by the first `put`.
    file: Option<File>,
}

/// A row's place in the file.
struct Row<'t> {
    key: &'t [u8],
    value: &'t [u8],
    end: usize,
}

impl Table {
    /// Reads a table; one that does not exist is empty.
    ///
    /// # Errors
    /// The file cannot be read, or is larger than 4 GiB.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let mut rows = Vec::new();
        let mut place = 0;
        while place < bytes.len() {
            match row_at(&bytes, place).filter(|row| is_whole(&bytes[place..row.end])) {
                Some(row) => {
                    let offset = u32::try_from(place).map_err(|_| {
                        Error::io("read", path)(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 4 GiB"))
                    })?;
                    rows.push((hash(row.key), offset));
                    place = row.end;
                }
                None => place = next_marker(&bytes, place + 1),
            }
        }
        rows.sort_unstable();
        Ok(Self { path: path.to_owned(), bytes, rows, fresh: BTreeMap::new(), file: None })
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        if let Some(value) = self.fresh.get(key) {
            return Some(value);
        }
        let hash = hash(key);
        let end = self.rows.partition_point(|(other, _)| *other <= hash);
        let same = self.rows[..end].iter().rev().take_while(|(other, _)| *other == hash);
        same.filter_map(|(_, place)| row_at(&self.bytes, *place as usize))
            .find(|row| row.key == key)
            .map(|row| row.value)
    }

    /// Sets the value of a key, here and in the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let row = encode(key, value);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(append_to(&self.path)?),
        };
        file.write_all(&row).map_err(Error::io("append to", &self.path))?;
        self.fresh.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// How many rows the file holds, counting replaced ones.
    pub fn rows(&self) -> usize {
        self.rows.len() + self.fresh.len()
    }

    /// All keys with their values, each once, in no useful order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let old = self.rows.iter().enumerate().filter_map(|(index, (hash, place))| {
            let row = row_at(&self.bytes, *place as usize)?;
            let later = self.rows[index + 1..].iter().take_while(|(other, _)| other == hash);
            let mut later = later.filter_map(|(_, place)| row_at(&self.bytes, *place as usize));
            let replaced = self.fresh.contains_key(row.key) || later.any(|other| other.key == row.key);
            (!replaced).then_some((row.key, row.value))
        });
        old.chain(self.fresh.iter().map(|(key, value)| (key.as_slice(), value.as_slice())))
    }

    /// Drops replaced rows when they are most of a large file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn tidy(&mut self) -> Result<()> {
        if self.rows() <= SMALL {
            return Ok(());
        }
        let distinct = self.rows.chunk_by(|(a, _), (b, _)| a == b).count() + self.fresh.len();
        if self.rows() <= 3 * distinct { Ok(()) } else { self.compact(|_| true) }
    }

    /// Rewrites the file with only those keys that `keep` accepts, each once. Rows that another process appends
    /// meanwhile may get lost, which is allowed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn compact(&mut self, mut keep: impl FnMut(&[u8]) -> bool) -> Result<()> {
        let mut kept: Vec<_> = self.iter().filter(|(key, _)| keep(key)).collect();
        kept.sort_unstable();
        let bytes: Vec<u8> = kept.iter().flat_map(|(key, value)| encode(key, value)).collect();
        // One fixed name, locked while it is written: what a killed process left is taken over, and of two processes
        // that compact only one does.
        let aside = self.path.with_extension("new");
        let mut file = File::options().create(true).append(true).open(&aside).map_err(Error::io("open", &aside))?;
        if file.try_lock().is_err() {
            return Ok(());
        }
        file.set_len(0).map_err(Error::io("write", &aside))?;
        file.write_all(&bytes).map_err(Error::io("write", &aside))?;
        fs::rename(&aside, &self.path).map_err(Error::io("replace", &self.path))?;
        *self = Self::open(&self.path)?;
        Ok(())
    }
}

fn append_to(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
    }
    OpenOptions::new().append(true).create(true).open(path).map_err(Error::io("open", path))
}

fn encode(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(HEAD + key.len() + value.len());
    row.extend_from_slice(&MARKER);
    row.extend_from_slice(&[0; 8]);
    row.extend_from_slice(&(key.len() as u32).to_le_bytes());
    row.extend_from_slice(&(value.len() as u32).to_le_bytes());
    row.extend_from_slice(key);
    row.extend_from_slice(value);
    let sum = checksum(&row[12..]);
    row[4..12].copy_from_slice(&sum);
    row
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    sum
}

/// Whether the checksum of a row is right.
fn is_whole(row: &[u8]) -> bool {
    row[4..12] == checksum(&row[12..])
}

/// The row that begins here, if its lengths fit; [`is_whole`] is called once, when the table is opened.
fn row_at(bytes: &[u8], place: usize) -> Option<Row<'_>> {
    let head = bytes.get(place..place + HEAD)?;
    if head[..4] != MARKER {
        return None;
    }
    let number = |at: usize| Some(u32::from_le_bytes(head[at..at + 4].try_into().ok()?) as usize);
    let (key, value) = (number(12)?, number(16)?);
    let start = place + HEAD;
    let end = start.checked_add(key)?.checked_add(value)?;
    let body = bytes.get(start..end)?;
    Some(Row { key: &body[..key], value: &body[key..], end })
}

/// The place of the next marker, or the end.
fn next_marker(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(MARKER.len()).position(|window| window == MARKER).map_or(bytes.len(), |found| from + found)
}

/// FNV-1a: quick and the same everywhere; equal hashes are distinguished by their keys.
fn hash(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
