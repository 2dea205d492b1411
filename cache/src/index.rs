//! Records of keys on this machine, so that ten thousand lookups are one read: a [`Table`] from keys to what was made.
//! It is only a copy: a key that is not in it is looked up in the store, and a row is used only if the blobs are there.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::Result;
use crate::record::{Made, Stored};
use crate::tree::{Artifact, Blob, ContentForm};
use crate::{Action, Content, Digest, Table};

/// Such an index.
#[derive(Debug)]
pub struct Index {
    table: Table,
}

impl Index {
    /// Reads an index; one that does not exist is empty.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { table: Table::open(path)? })
    }

    /// What was made under a key, as far as it is in the index.
    pub fn get(&self, key: &Digest<Action>) -> Option<Made> {
        decode(self.table.get(key.as_bytes())?)
    }

    /// Remembers what was made under a key.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put(&mut self, key: &Digest<Action>, made: &Made) -> Result<()> {
        self.table.put(key.as_bytes(), &encode(made))
    }

    /// Forgets keys that `used` does not name, when the file has grown large.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn tidy(&mut self, used: impl FnOnce() -> BTreeSet<Digest<Action>>) -> Result<()> {
        if self.table.rows() <= crate::table::SMALL {
            return Ok(());
        }
        let used = used();
        if self.table.rows() <= 3 * used.len() {
            return Ok(());
        }
        self.table.compact(|key| <[u8; 32]>::try_from(key).is_ok_and(|bytes| used.contains(&Digest::from_bytes(bytes))))
    }
}

fn encode(made: &Made) -> Vec<u8> {
    let mut bytes = Vec::new();
    match made {
        Made::Absent { cause } => {
            bytes.push(0);
            text(&mut bytes, cause);
        }
        Made::Outputs(outputs) => {
            bytes.push(1);
            bytes.extend_from_slice(&(outputs.len() as u32).to_le_bytes());
            for stored in outputs {
                text(&mut bytes, &stored.port);
                artifact(&mut bytes, &stored.artifact);
                bytes.extend_from_slice(&(stored.blobs.len() as u32).to_le_bytes());
                for blob in &stored.blobs {
                    artifact(&mut bytes, &Artifact::from(*blob));
                }
            }
        }
    }
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn artifact(bytes: &mut Vec<u8>, artifact: &Artifact) {
    bytes.push(match artifact.form {
        ContentForm::File => 0,
        ContentForm::Executable => 1,
        ContentForm::Folder => 2,
    });
    bytes.extend_from_slice(artifact.digest.as_bytes());
    bytes.extend_from_slice(&artifact.bytes.to_le_bytes());
}

/// Reads what [`encode`] wrote.
fn decode(bytes: &[u8]) -> Option<Made> {
    let mut reader = Reader { rest: bytes };
    match reader.take(1)? {
        [0] => Some(Made::Absent { cause: reader.text()? }),
        [1] => {
            let mut outputs = Vec::new();
            for _ in 0..reader.number()? {
                let port = reader.text()?;
                let artifact = reader.artifact()?;
                let blobs = (0..reader.number()?).map(|_| reader.blob()).collect::<Option<Vec<Blob>>>()?;
                outputs.push(Stored { port, artifact, blobs });
            }
            Some(Made::Outputs(outputs))
        }
        _ => None,
    }
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn artifact(&mut self) -> Option<Artifact> {
        let form = match self.take(1)? {
            [0] => ContentForm::File,
            [1] => ContentForm::Executable,
            [2] => ContentForm::Folder,
            _ => return None,
        };
        let digest: Digest<Content> = Digest::from_bytes(self.take(32)?.try_into().ok()?);
        let bytes = u64::from_le_bytes(self.take(8)?.try_into().ok()?);
        Some(Artifact { form, digest, bytes })
    }

    fn blob(&mut self) -> Option<Blob> {
        self.artifact()?.blob()
    }
}
