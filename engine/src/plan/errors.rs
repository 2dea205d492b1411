//! The mistakes found so far. Planning goes on after a mistake, so that all of a file are reported together.

use std::cell::RefCell;

use crate::diag::Diagnostic;

/// Collects mistakes behind a shared reference, because every step of planning may find some.
#[derive(Default)]
pub(super) struct Errors(RefCell<Vec<Diagnostic>>);

impl Errors {
    /// Adds one.
    pub fn add(&self, error: Diagnostic) {
        self.0.borrow_mut().push(error);
    }

    /// Adds several.
    pub fn add_all(&self, errors: impl IntoIterator<Item = Diagnostic>) {
        errors.into_iter().for_each(|error| self.add(error));
    }

    /// The value, if it is not a mistake, which is added.
    pub fn take<T>(&self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// All of them, in the order in which they were found.
    pub fn into_found(self) -> Vec<Diagnostic> {
        self.0.into_inner()
    }
}
