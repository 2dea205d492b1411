//! What every figure is tested for, and a way to look at it.

use std::path::{Path, PathBuf};

use crate::formats::drawing::{Drawing, save};

const FILES: [&str; 3] = ["figure.svg", "figure.pdf", "figure.png"];

/// Asserts that a figure is the same bytes whenever it is rendered.
pub fn assert_same_bytes_twice(draw: impl Fn() -> Drawing) {
    let bytes = || {
        let folder = tempfile::tempdir().unwrap();
        save(&draw(), folder.path()).unwrap();
        FILES.map(|file| fs_err::read(folder.path().join(file)).unwrap())
    };
    assert!(bytes() == bytes());
}

/// Saves a figure; below the folder that `PIPE_FIGURES` names, if it is set.
pub fn look_at(name: &str, draw: impl Fn() -> Drawing) {
    in_a_folder(name, |folder| save(&draw(), folder).unwrap());
}

/// Lets a figure be saved into a folder, and asserts that it is there in its three formats.
pub fn in_a_folder(name: &str, save: impl FnOnce(&Path)) {
    let own = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("PIPE_FIGURES").map_or_else(|| own.path().to_owned(), PathBuf::from).join(name);
    save(&folder);
    for file in FILES {
        assert!(folder.join(file).is_file(), "`{name}` has no `{file}`");
    }
}
