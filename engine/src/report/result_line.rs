//! One line of `results:`, resolved: the files it publishes and the paths that belong to it. Does not depend on what lies in the
//! results folder.

use std::collections::BTreeSet;
use std::path::Path;

use pipe_cache::{Action, Artifact, Blob, Digest, Entry, Store, Tree};
use pipe_contract::Failure;

use super::damaged_failure;
use super::dictionary::dictionary_path;
use super::public_digest::PublicDigest;
use crate::plan::Published;

/// One line of `results:` with what it publishes.
#[derive(Clone, Debug)]
pub struct ResultLine {
    /// The path in `results:`; a trailing `/` is a folder.
    pub path: String,
    /// Where its content is.
    pub store: Store,
    /// The key of the stage that made it, as it may be written outside of the store.
    pub key: Option<PublicDigest<Action>>,
    /// The key of its record.
    pub record: Option<Digest<Action>>,
    /// What it publishes, as a whole.
    pub artifact: Artifact,
    /// All of the output that `artifact` is, or is an entry of.
    pub whole: Artifact,
    /// Its files and empty folders.
    pub pieces: Vec<Piece>,
    /// Paths of the data dictionaries of its tables.
    pub dictionaries: BTreeSet<String>,
}

/// One file or empty folder to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Path below the results folder.
    pub path: String,
    /// Its name in the artifact, if that is a folder, else that in `results:`.
    pub name: String,
    /// Its content, in the store.
    pub entry: Entry,
}

impl ResultLine {
    /// Every path that belongs to it: its pieces and what lies beside them.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        let pieces = self.pieces.iter().map(|piece| piece.path.clone());
        pieces.chain(self.dictionaries.iter().cloned()).chain([sidecar_path(&self.path)])
    }

    /// Whether it publishes a folder as a whole.
    pub fn is_folder(&self) -> bool {
        self.path.ends_with('/')
    }
}

impl Piece {
    /// The file, if it is one.
    pub fn blob(&self) -> Option<Blob> {
        match self.entry {
            Entry::File(blob) => Some(blob),
            Entry::EmptyFolder => None,
        }
    }
}

/// The pieces that one line of `results:` publishes from an artifact.
///
/// # Errors
/// The listing is damaged (the environment's), or a folder has not exactly one entry of the wanted extension (the stage's).
pub fn pieces_of(store: &Store, published: &Published, artifact: &Artifact) -> Result<Vec<Piece>, Failure> {
    let path = &published.path;
    let folder = path.strip_suffix('/');
    if let Some(blob) = artifact.blob() {
        return match folder {
            None => Ok(vec![Piece { path: path.clone(), name: path.clone(), entry: Entry::File(blob) }]),
            Some(name) => Err(Failure::stage(format!(
                "`{path}` cannot be published: it names a folder, but the artifact is a file"
            ))
            .hint(format!("write `{name}` in `results:`"))),
        };
    }
    let tree = store.tree(&artifact.digest).map_err(|error| damaged_failure(&error, path))?;
    match folder {
        Some(folder) => {
            let piece = |(name, entry): (&str, &Entry)| Piece {
                path: format!("{folder}/{name}"),
                name: name.to_owned(),
                entry: *entry,
            };
            Ok(tree.entries().map(piece).collect())
        }
        None => only_file(path, &tree).map(|piece| vec![piece]),
    }
}

/// The one file of a folder that has the extension of the path it is published under.
fn only_file(path: &str, tree: &Tree) -> Result<Piece, Failure> {
    let extension = |path: &str| Path::new(path).extension().map(|extension| extension.to_string_lossy().into_owned());
    let wanted = extension(path);
    let found: Vec<_> = tree.files().filter(|(name, _)| extension(name) == wanted).collect();
    if let [(name, blob)] = found[..] {
        return Ok(Piece { path: path.to_owned(), name: name.to_owned(), entry: Entry::File(*blob) });
    }
    let there = tree.files().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let wanted = wanted.map_or("without an extension".into(), |wanted| format!("with `.{wanted}`"));
    let message = format!(
        "`{path}` cannot be published: the folder has {} entries {wanted}, not one (there are {there})",
        found.len()
    );
    Err(Failure::stage(message).hint("name the file, `$stage.port/FILE`, or publish the folder, `NAME/`"))
}

/// The path of the sidecar of a result.
pub fn sidecar_path(result: &str) -> String {
    format!("{}.provenance.json", result.trim_end_matches('/'))
}

/// Whether a path of a results folder is that of a sidecar; no result can have such a name.
pub fn is_sidecar(path: &str) -> bool {
    path.ends_with(".provenance.json")
}

/// Whether a path is what a line of `results:` publishes, or lies beside it.
pub(super) fn belongs_to(path: &str, name: &str) -> bool {
    let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    path == name
        || path == sidecar_path(name)
        || path == dictionary_path(name)
        || name.strip_suffix('/').is_some_and(below)
}

#[cfg(test)]
mod tests {
    use pipe_cache::{Content, ContentForm};

    use super::*;
    use crate::plan::{Link, ProjectFile, SourcePlace};

    #[test]
    fn a_damaged_listing_is_the_environments_and_says_which_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        let digest = Digest::<Content>::of(b"no such listing");
        let artifact = Artifact { form: ContentForm::Folder, digest, bytes: 1 };
        let link = Link::File(std::sync::Arc::<ProjectFile>::default());
        let place = SourcePlace { file: "p.yaml".into(), line: 1, column: 1 };
        let published = Published { path: "d/".into(), link, place };
        let failure = pieces_of(&store, &published, &artifact).unwrap_err();
        assert_eq!(failure.blame, pipe_contract::Blame::Environment);
        assert!(failure.message.contains("what the cache has of `d/` is damaged"), "{failure}");
        assert!(failure.hint.is_some_and(|hint| hint.contains("run again")));
    }
}
