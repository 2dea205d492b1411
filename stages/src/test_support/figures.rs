//! What every figure is tested for, and a way to look at it.

use std::path::Path;

use crate::formats::drawing::{Drawing, save};

/// Asserts that a figure is the same bytes whenever it is rendered.
pub fn assert_same_bytes_twice(draw: impl Fn() -> Drawing) {
    let bytes = || {
        let folder = tempfile::tempdir().unwrap();
        save(&draw(), folder.path()).unwrap();
        ["svg", "pdf", "png"].map(|end| fs_err::read(folder.path().join(format!("figure.{end}"))).unwrap())
    };
    assert!(bytes() == bytes());
}

/// Saves a figure below the folder that `PIPE_FIGURES` names, if it is set.
pub fn look_at(name: &str, draw: impl Fn() -> Drawing) {
    if let Some(folder) = std::env::var_os("PIPE_FIGURES") {
        save(&draw(), &Path::new(&folder).join(name)).unwrap();
    }
}
