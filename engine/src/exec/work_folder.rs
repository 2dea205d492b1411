//! The parts of the folder in which one attempt works. Nothing else names them.

use std::path::{Path, PathBuf};

/// The working folder of a command.
pub(super) const FILES: &str = "files";
/// Inputs of a command that are not at their place in the project.
pub(super) const IN: &str = "in";
/// The outputs, of commands and of kinds.
pub(super) const OUT: &str = "out";
/// The lists of gathers of a command.
pub(super) const LISTS: &str = "lists";
/// `HOME` and `TMPDIR` of a command.
pub(super) const TMP: &str = "tmp";
/// Folders that a command gets as copies.
pub(super) const COPIES: &str = "copies";
/// Folders of the project without what is ignored there.
const SEEN: &str = "seen";
/// Temporary files of a kind.
const SCRATCH: &str = "scratch";

/// Where an attempt in `work` leaves its outputs.
pub fn outputs_folder(work: &Path) -> PathBuf {
    work.join(OUT)
}

/// Where a kind that works in `work` puts temporary files.
pub fn scratch_folder(work: &Path) -> PathBuf {
    work.join(SCRATCH)
}

/// Where an attempt in `work` finds folders of the project of which it may see only a part.
pub fn shown_folder(work: &Path) -> PathBuf {
    work.join(SEEN)
}

/// Where a command that works in `work` writes an output declared as `declared` (`out:`).
pub fn output_path(work: &Path, declared: &str) -> PathBuf {
    outputs_folder(work).join(declared.trim_end_matches('/'))
}
