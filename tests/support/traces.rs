//! Looks for traces of restricted data in everything that a run has shown or written.

use std::path::PathBuf;

use fs_err as fs;

use super::{Shown, Space};

/// Asserts that none of these bytes is in what was shown, nor in the name or content of any file of the story, but for
/// the restricted store and state, and what lies at `own`: the user's data.
#[track_caller]
pub fn assert_no_traces(space: &Space, shown: &Shown, traces: &[Vec<u8>], own: &[PathBuf]) {
    let found_in = |bytes: &[u8]| {
        let found = traces.iter().find(|trace| bytes.windows(trace.len()).any(|window| window == &trace[..]));
        found.map(|trace| String::from_utf8_lossy(trace).into_owned())
    };
    assert_eq!(found_in(shown.text().as_bytes()), None, "is shown:\n{}", shown.text());
    let restricted = [space.cache().join("restricted"), space.root().join("state/pipe/restricted")];
    let is_passed_over = |path: &std::path::Path| restricted.iter().chain(own).any(|place| place == path);
    let mut looked_at = 0;
    let entries = walkdir::WalkDir::new(space.root()).into_iter().filter_entry(|entry| !is_passed_over(entry.path()));
    for entry in entries {
        let entry = entry.expect("everything can be listed");
        let path = entry.path();
        let bytes = if entry.file_type().is_file() { fs::read(path).expect("it can be read") } else { Vec::new() };
        assert_eq!(found_in(path.as_os_str().as_encoded_bytes()), None, "the name `{}`", path.display());
        assert_eq!(found_in(&bytes), None, "in `{}`", path.display());
        looked_at += 1;
    }
    assert!(looked_at > 20, "only {looked_at} files and folders were looked at");
}
