//! The catalogue of stage kinds of one binary.

use std::collections::BTreeMap;

use crate::{Context, Ended, Failure, Kind, Runs, Task};

/// Code behind a kind.
pub trait StageKind: Send + Sync {
    /// The declaration.
    fn kind(&self) -> Kind;

    /// Does the work of one task; see the crate's promises.
    ///
    /// # Errors
    /// Whatever went wrong, with whose move it is.
    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure>;
}

/// What this binary has behind a kind.
pub enum Implementation {
    /// Code that runs here.
    Here(Box<dyn StageKind>),
    /// Declared here, run by the worker binary.
    Worker,
}

/// Kinds by name.
#[derive(Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, (Kind, Implementation)>,
}

impl Registry {
    /// Nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind with its code.
    ///
    /// # Panics
    /// If the name is taken: two kinds of one name are a defect of this binary.
    pub fn add(&mut self, stage: impl StageKind + 'static) {
        let kind = stage.kind();
        self.insert(kind, Implementation::Here(Box::new(stage)));
    }

    /// Declares a kind that the worker runs.
    ///
    /// # Panics
    /// If the name is taken, or the kind says that it runs on a thread.
    pub fn declare(&mut self, kind: Kind) {
        assert!(kind.runs != Runs::Thread, "`{}` is declared for the worker but runs on a thread", kind.name);
        self.insert(kind, Implementation::Worker);
    }

    fn insert(&mut self, kind: Kind, implementation: Implementation) {
        let name = kind.name;
        let before = self.kinds.insert(name, (kind, implementation));
        assert!(before.is_none(), "two kinds are called `{name}`");
    }

    /// The declaration of a kind.
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.get(name).map(|(kind, _)| kind)
    }

    /// The code of a kind, if it runs here.
    pub fn stage(&self, name: &str) -> Option<&dyn StageKind> {
        match self.kinds.get(name) {
            Some((_, Implementation::Here(stage))) => Some(stage.as_ref()),
            _ => None,
        }
    }

    /// All declarations, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values().map(|(kind, _)| kind)
    }
}
