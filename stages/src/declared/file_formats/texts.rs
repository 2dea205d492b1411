//! Texts: compared by their bytes, previewed by their first lines.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use fs_err::File;
use pipe_contract::Failure;

/// So many lines are shown, of so much that is read.
const LINES: usize = 40;
const READ: u64 = 64 << 10;

pub(super) fn summary(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::io("read", path, &error);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(READ + 1).read_to_end(&mut bytes).map_err(failed)?;
    let is_cut = bytes.len() as u64 > READ;
    let text = String::from_utf8_lossy(&bytes);
    let mut shown = String::new();
    let mut lines = text.lines();
    for line in lines.by_ref().take(LINES) {
        let _ = writeln!(shown, "{line}");
    }
    if is_cut || lines.next().is_some() {
        shown.push_str("...\n");
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.txt");
        fs_err::write(&path, "one\ntwo").unwrap();
        assert_eq!(summary(&path).unwrap(), "one\ntwo\n");
        fs_err::write(&path, "line\n".repeat(100)).unwrap();
        assert_eq!(summary(&path).unwrap().lines().count(), LINES + 1);
        assert!(summary(&path).unwrap().ends_with("line\n...\n"));
    }
}
