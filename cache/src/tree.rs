//! Artifacts as content: files, and folders as sorted listings.
//!
//! A folder is one flat listing of all files below it, sorted by path bytes, with digest, size and whether the file is
//! executable; folders without anything in them are listed too. Owners, times and other permissions are not content.
//! One flat listing, not one per folder level: a stage's output has few files, and one read gives all blobs of an
//! artifact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Content, Digest};

/// What an artifact is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentForm {
    /// A file.
    File,
    /// A file that its owner may execute.
    Executable,
    /// A folder; its digest is that of its listing.
    Folder,
}

/// An artifact as content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Artifact {
    /// File, executable or folder.
    pub form: ContentForm,
    /// Of the bytes, or of the listing.
    pub digest: Digest<Content>,
    /// Size of the file, or of all files together.
    pub bytes: u64,
}

/// One file of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blob {
    /// Of its bytes.
    pub digest: Digest<Content>,
    /// Its size.
    pub bytes: u64,
    /// Stored with the permission to execute. The same bytes with and without are two blobs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// The listing of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

/// What is at a path of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File(Blob),
    /// A folder with nothing in it.
    EmptyFolder,
}

const MAGIC: &[u8] = b"pipe tree 1\n";

impl Tree {
    /// Adds an entry at a `/`-separated relative path.
    pub fn insert(&mut self, path: String, entry: Entry) {
        self.entries.insert(path, entry);
    }

    /// Paths and their entries, sorted by path bytes.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Blob)> {
        self.entries().filter_map(|(path, entry)| match entry {
            Entry::File(blob) => Some((path, blob)),
            Entry::EmptyFolder => None,
        })
    }

    /// The listing as bytes: what is hashed and stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (path, entry) in &self.entries {
            match entry {
                Entry::File(blob) => {
                    let form = if blob.executable { 'x' } else { 'f' };
                    bytes.extend_from_slice(format!("{form} {} {} ", blob.digest, blob.bytes).as_bytes());
                }
                Entry::EmptyFolder => bytes.extend_from_slice(b"d "),
            }
            bytes.extend_from_slice(path.as_bytes());
            bytes.push(0);
        }
        bytes
    }

    /// Reads a stored listing; `None` if the bytes are not a listing.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = std::str::from_utf8(bytes.strip_prefix(MAGIC)?).ok()?;
        let mut tree = Self::default();
        while !rest.is_empty() {
            let (line, after) = rest.split_once('\0')?;
            rest = after;
            let (form, line) = line.split_once(' ')?;
            if form == "d" {
                tree.insert(line.to_owned(), Entry::EmptyFolder);
                continue;
            }
            let (digest, line) = line.split_once(' ')?;
            let (size, path) = line.split_once(' ')?;
            let executable = match form {
                "f" => false,
                "x" => true,
                _ => return None,
            };
            let blob = Blob { digest: digest.parse().ok()?, bytes: size.parse().ok()?, executable };
            tree.insert(path.to_owned(), Entry::File(blob));
        }
        Some(tree)
    }

    /// The folder as an artifact.
    pub fn artifact(&self) -> Artifact {
        Artifact {
            form: ContentForm::Folder,
            digest: Digest::of(&self.encode()),
            bytes: self.files().map(|(_, blob)| blob.bytes).sum(),
        }
    }

    /// The artifact at a path inside: a file, or a folder with its own listing. `None` if nothing does.
    pub fn entry(&self, path: &str) -> Option<Artifact> {
        let path = path.trim_end_matches('/');
        match self.entries.get(path) {
            Some(Entry::File(blob)) => return Some(Artifact::from(*blob)),
            Some(Entry::EmptyFolder) => return Some(Tree::default().artifact()),
            None => {}
        }
        let below = format!("{path}/");
        let mut inner = Tree::default();
        for (name, entry) in self.entries.range(below.clone()..).take_while(|(name, _)| name.starts_with(&below)) {
            inner.insert(name[below.len()..].to_owned(), *entry);
        }
        (!inner.entries.is_empty()).then(|| inner.artifact())
    }
}

impl From<Blob> for Artifact {
    fn from(blob: Blob) -> Self {
        let form = if blob.executable { ContentForm::Executable } else { ContentForm::File };
        Self { form, digest: blob.digest, bytes: blob.bytes }
    }
}

impl Artifact {
    /// The blob that holds a file.
    pub fn blob(&self) -> Option<Blob> {
        let blob = |executable| Blob { digest: self.digest, bytes: self.bytes, executable };
        match self.form {
            ContentForm::File => Some(blob(false)),
            ContentForm::Executable => Some(blob(true)),
            ContentForm::Folder => None,
        }
    }
}
