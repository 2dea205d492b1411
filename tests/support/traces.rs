//! Looks for traces of restricted data in everything that a run has shown or written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fs_err as fs;

use super::{Shown, Space};

/// Bytes that are looked for, by how they begin: a real pipeline has thousands of traces and megabytes to search.
struct Traces<'a> {
    begins: Vec<bool>,
    by_word: BTreeMap<[u8; WORD], Vec<&'a [u8]>>,
}

/// No trace is shorter.
const WORD: usize = 8;

impl<'a> Traces<'a> {
    fn new(traces: &'a [Vec<u8>]) -> Self {
        let mut begins = vec![false; 1 << 16];
        let mut by_word: BTreeMap<[u8; WORD], Vec<&[u8]>> = BTreeMap::new();
        for trace in traces {
            begins[usize::from(u16::from_le_bytes([trace[0], trace[1]]))] = true;
            by_word.entry(trace[..WORD].try_into().expect("a trace has a word")).or_default().push(trace);
        }
        Self { begins, by_word }
    }

    /// The first one in some bytes, as text.
    fn found_in(&self, bytes: &[u8]) -> Option<String> {
        bytes.windows(WORD).enumerate().find_map(|(at, word)| {
            if !self.begins[usize::from(u16::from_le_bytes([word[0], word[1]]))] {
                return None;
            }
            let traces = self.by_word.get(word)?;
            let trace = traces.iter().find(|trace| bytes[at..].starts_with(trace))?;
            Some(String::from_utf8_lossy(trace).into_owned())
        })
    }
}

/// Asserts that none of these bytes is in what was shown, nor in the name or content of any file of the story, but for
/// the restricted store and state, and what lies at `own`: the user's data.
#[track_caller]
pub fn assert_no_traces(space: &Space, shown: &Shown, traces: &[Vec<u8>], own: &[PathBuf]) {
    let traces = Traces::new(traces);
    for place in own.iter().filter(|place| place.is_file()) {
        let bytes = fs::read(place).expect("the user's own file");
        assert!(traces.found_in(&bytes).is_some(), "the search finds nothing in `{}`", place.display());
    }
    assert_eq!(traces.found_in(shown.text().as_bytes()), None, "is shown:\n{}", shown.text());
    let restricted = [space.cache().join("restricted"), space.root().join("state/pipe/restricted")];
    let is_passed_over = |path: &std::path::Path| restricted.iter().chain(own).any(|place| place == path);
    let mut looked_at = 0;
    let entries = walkdir::WalkDir::new(space.root()).into_iter().filter_entry(|entry| !is_passed_over(entry.path()));
    for entry in entries {
        let entry = entry.expect("everything can be listed");
        let path = entry.path();
        let bytes = if entry.file_type().is_file() { fs::read(path).expect("it can be read") } else { Vec::new() };
        assert_eq!(traces.found_in(path.as_os_str().as_encoded_bytes()), None, "the name `{}`", path.display());
        assert_eq!(traces.found_in(&bytes), None, "in `{}`", path.display());
        looked_at += 1;
    }
    assert!(looked_at > 20, "only {looked_at} files and folders were looked at");
}
