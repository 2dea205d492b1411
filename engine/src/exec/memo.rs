//! What is remembered between runs about files outside the project, under the identity of the file it was found in.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fs_err as fs;
use pipe_contract::Failure;

/// Remembers facts between runs. Keys hold the identity of the file a fact was found in.
pub trait Memo {
    /// A remembered fact.
    fn recall(&self, key: &str) -> Option<String>;
    /// Remembers a fact.
    fn remember(&mut self, key: &str, fact: &str);
}

/// Remembers nothing.
pub struct NoMemo;

impl Memo for NoMemo {
    fn recall(&self, _: &str) -> Option<String> {
        None
    }

    fn remember(&mut self, _: &str, _: &str) {}
}

/// Identifies a file without reading it: any change of content changes one of these.
pub(super) fn identity(path: &Path) -> Result<String, Failure> {
    let found = fs::metadata(path).map_err(|error| Failure::io("look at", path, &error))?;
    Ok(format!(
        "{} {} {} {} {}.{} {}.{}",
        path.display(),
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec()
    ))
}

/// A fact from memory, or found now and remembered.
pub(super) fn remembered(
    memo: &mut dyn Memo,
    key: &str,
    find: impl FnOnce() -> Result<String, Failure>,
) -> Result<String, Failure> {
    if let Some(fact) = memo.recall(key) {
        return Ok(fact);
    }
    let fact = find()?;
    memo.remember(key, &fact);
    Ok(fact)
}
