//! The catalogue of stage kinds of one binary.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{ArtifactType, Context, Ended, Failure, FileFormat, Kind, Probe, Runs, Task, Value};

/// Code behind a kind.
pub trait StageKind: Send + Sync {
    /// The declaration.
    fn kind(&self) -> Kind;

    /// Does the work of one task; see the crate's promises.
    ///
    /// # Errors
    /// Whatever went wrong, with who has to act.
    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure>;

    /// What can be said of a task before anything runs (`pipe doctor`): a kind that uses the network sends a request or two with
    /// the credential of the task, and fetches nothing. `None` if it has no way to ask. The task has no inputs, outputs or
    /// folders yet; its context is cancelled when the time for it is over.
    ///
    /// # Errors
    /// What would keep [`StageKind::run`] from its work: no credential, a refusal, a server that does not answer.
    fn probe(&self, _task: &Task, _context: &dyn Context) -> Result<Option<Probe>, Failure> {
        Ok(None)
    }

    /// What to say where a file of the project that is given to this kind is not at its place, instead of that it does not
    /// exist: for kinds that know where it is got from. `None` if this one does not. The parameters are typed and have their
    /// defaults.
    fn asks_for(&self, _params: &BTreeMap<String, Value>, _place: &Path) -> Option<Failure> {
        None
    }
}

/// What this binary has behind a kind.
pub enum Implementation {
    /// Code in this binary.
    Local(Box<dyn StageKind>),
    /// Declared here, run by the worker binary.
    Worker,
}

/// Kinds and artifact types by name.
#[derive(Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, (Kind, Implementation)>,
    types: BTreeMap<&'static str, ArtifactType>,
    formats: Vec<&'static FileFormat>,
}

impl Registry {
    /// Nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind with its code.
    ///
    /// # Panics
    /// If the name, or the name for keys ([`Kind::key_name`]), is taken: that is a defect of this binary.
    pub fn add(&mut self, stage: impl StageKind + 'static) {
        let kind = stage.kind();
        self.insert(kind, Implementation::Local(Box::new(stage)));
    }

    /// Declares a kind that the worker runs.
    ///
    /// # Panics
    /// If one of its names is taken (as for [`Self::add`]), or the kind is declared to run on a thread.
    pub fn declare(&mut self, kind: Kind) {
        assert!(kind.runs != Runs::Thread, "`{}` is declared for the worker but runs on a thread", kind.name);
        self.insert(kind, Implementation::Worker);
    }

    /// Adds an artifact type.
    ///
    /// # Panics
    /// If its name is taken: that is a defect of this binary.
    pub fn add_type(&mut self, artifact: ArtifactType) {
        let before = self.types.insert(artifact.name, artifact);
        assert!(before.is_none(), "an artifact type is registered twice");
    }

    /// Adds a format of files, by which files of no known type are compared and previewed: the outputs of commands.
    pub fn add_format(&mut self, format: &'static FileFormat) {
        self.formats.push(format);
    }

    /// An artifact type.
    pub fn artifact_type(&self, name: &str) -> Option<&ArtifactType> {
        self.types.get(name)
    }

    /// All artifact types, by name.
    pub fn artifact_types(&self) -> impl Iterator<Item = &ArtifactType> {
        self.types.values()
    }

    /// The format of a file: of an artifact of this type, or of any if there is no such type. `name` is the name of the
    /// file in a folder, or any name by which it is known.
    pub fn format_of(&self, artifact: Option<&str>, name: &str) -> Option<&'static FileFormat> {
        match artifact.and_then(|artifact| self.artifact_type(artifact)) {
            Some(artifact) => artifact.format_of(name),
            None => self.formats.iter().copied().find(|format| format.has(name)),
        }
    }

    fn insert(&mut self, kind: Kind, implementation: Implementation) {
        let name = kind.name;
        let key_name = kind.key_name();
        let other = self.kinds().find(|other| other.name != name && other.key_name() == key_name);
        assert!(other.is_none(), "`{name}` and another kind both make keys and seeds under the name `{key_name}`");
        let before = self.kinds.insert(name, (kind, implementation));
        assert!(before.is_none(), "two kinds are called `{name}`");
    }

    /// The declaration of a kind.
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.get(name).map(|(kind, _)| kind)
    }

    /// The kind that had this name before it was renamed.
    pub fn renamed(&self, former: &str) -> Option<&Kind> {
        self.kinds().find(|kind| kind.formerly == Some(former))
    }

    /// The code of a kind, if it runs here.
    pub fn stage(&self, name: &str) -> Option<&dyn StageKind> {
        match self.kinds.get(name) {
            Some((_, Implementation::Local(stage))) => Some(stage.as_ref()),
            _ => None,
        }
    }

    /// All declarations, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values().map(|(kind, _)| kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(kinds: impl IntoIterator<Item = Kind>) -> Registry {
        let mut registry = Registry::new();
        for kind in kinds {
            registry.declare(Kind { runs: Runs::ProcessFresh, ..kind });
        }
        registry
    }

    #[test]
    fn a_renamed_kind_is_found_by_both_names() {
        let registry = registry([Kind::new("a/new", 1, "").formerly("a/old"), Kind::new("a/other", 1, "")]);
        assert!(registry.kind("a/old").is_none());
        assert_eq!(registry.renamed("a/old").map(|kind| kind.name), Some("a/new"));
        assert!(registry.renamed("a/other").is_none());
        assert_eq!(registry.kinds().map(Kind::key_name).collect::<Vec<_>>(), ["a/old", "a/other"]);
    }

    #[test]
    #[should_panic(expected = "two kinds are called `a/b`")]
    fn a_name_is_refused_twice() {
        registry([Kind::new("a/b", 1, ""), Kind::new("a/b", 2, "").formerly("a/c")]);
    }

    #[test]
    #[should_panic(expected = "make keys and seeds under the name `a/old`")]
    fn a_name_for_keys_is_refused_twice() {
        registry([Kind::new("a/old", 1, ""), Kind::new("a/new", 1, "").formerly("a/old")]);
    }
}
