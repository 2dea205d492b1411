//! What is at a path of a results folder, compared with what is to be there: the one place that says whose a file is.

use std::io::ErrorKind;
use std::path::Path;

use fs_err as fs;
use pipe_cache::{Content, Digest, Sources, is_missing};
use pipe_contract::Failure;

use super::cache_failure;
use super::published_list::PublishedList;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// What is to be there.
    Same,
    /// Nothing, or a file as pipe published it.
    Outdated,
    /// A file that pipe published, and that was changed since.
    Edited,
    /// A file that pipe did not write.
    Foreign,
}

/// Whose a file with this digest is.
pub fn owner(list: &PublishedList, path: &str, digest: Option<&Digest<Content>>) -> PathState {
    match list.files.get(path) {
        None => PathState::Foreign,
        Some(versions) if versions.iter().any(|version| Some(&version.digest) == digest) => PathState::Outdated,
        Some(_) => PathState::Edited,
    }
}

/// The state of the path of a file below a results folder.
///
/// # Errors
/// It cannot be read, or a folder is in the way.
pub(super) fn state_of_file(
    sources: &mut Sources,
    folder: &Path,
    (path, wanted): (&str, &Digest<Content>),
    list: &PublishedList,
) -> Result<PathState, Failure> {
    let target = folder.join(path);
    if target.is_dir() {
        return Err(Failure::input(format!("`{}` is a folder, where a file is to be published", target.display()))
            .hint("move the folder away, or give the result another name"));
    }
    match sources.content(&target) {
        Ok(there) if there.digest == *wanted => Ok(PathState::Same),
        Ok(there) => Ok(owner(list, path, Some(&there.digest))),
        Err(error) if is_missing(&error) => match fs::symlink_metadata(&target) {
            // A link that leads nowhere: pipe publishes no links.
            Ok(_) => Ok(owner(list, path, None)),
            Err(error) if error.kind() == ErrorKind::NotADirectory => Err(file_above(folder, path)),
            Err(_) => Ok(PathState::Outdated),
        },
        Err(error) => Err(cache_failure(&error)),
    }
}

/// The state of the path of an empty folder below a results folder.
///
/// # Errors
/// A file is in the way.
pub(super) fn state_of_folder(folder: &Path, path: &str) -> Result<PathState, Failure> {
    match fs::metadata(folder.join(path)) {
        Ok(found) if found.is_dir() => Ok(PathState::Same),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(PathState::Outdated),
        _ => Err(file_above(folder, path)),
    }
}

/// A file is where a folder is to be, at a path or above it.
fn file_above(folder: &Path, path: &str) -> Failure {
    let above = path.match_indices('/').map(|(end, _)| &path[..end]).chain([path]);
    let file = above.map(|path| folder.join(path)).find(|path| !path.is_dir()).unwrap_or_else(|| folder.join(path));
    Failure::input(format!("`{}` is a file, where a folder is to be published", file.display()))
        .hint("move the file away, or give the result another name")
}
