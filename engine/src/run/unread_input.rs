//! Why an input of the project cannot be read, and what to do. Looks at the path again; decides nothing.

use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_cache::{Error, is_missing};
use pipe_contract::Failure;

use crate::plan::{Plan, ProjectFile};
use crate::report::cache_failure;

/// The failure of an instance whose input `file` could not be read.
pub(super) fn unread(plan: &Plan, file: &ProjectFile, error: &Error) -> Failure {
    let shown = |path: &Path| path.strip_prefix(&plan.folder).unwrap_or(path).display().to_string();
    if let Error::Odd { path, what } = error {
        let target = fs::read_link(path).map_or(String::new(), |target| format!(": `{}`", target.display()));
        return Failure::input(format!(
            "`{}` in the input `{}` is {what}{target}",
            path.display(),
            file.path.display()
        ))
        .hint("remove it, or leave it out: `in: { NAME: { path: FOLDER, ignore: [NAME] } }`");
    }
    if let Some(link) = broken_link(&file.path) {
        return through_broken_link(&shown(&file.path), &shown(&link.path), &link);
    }
    if error.io_kind() == Some(std::io::ErrorKind::PermissionDenied) {
        return Failure::input(format!("the input `{}` cannot be read: {error}", shown(&file.path)))
            .hint("give your user the right to read it (`ls -l` shows who has it)");
    }
    if !is_missing(error) {
        return cache_failure(error);
    }
    let failure = Failure::input(format!("`{}` does not exist", file.path.display()));
    let below = file.path.strip_prefix(&plan.folder).ok().and_then(|below| below.to_str());
    match below {
        Some(name) if plan.stages.iter().any(|stage| stage.name == name) => failure.hint(format!(
            "an output of stage `{name}` is written `${name}.PORT`; plain text is a file of the project"
        )),
        Some(_) => failure.hint("in `in:`, plain text is a file or folder relative to the pipeline file"),
        None => failure.hint("the path is outside of the project: is it right on this machine?"),
    }
}

/// Whether nothing is at a path, not even a link that leads to nothing.
pub(super) fn is_not_there(path: &Path) -> bool {
    !path.exists() && broken_link(path).is_none()
}

/// A symbolic link that leads to nothing.
struct BrokenLink {
    path: PathBuf,
    target: PathBuf,
    /// It leads to itself.
    is_cyclic: bool,
}

/// The first link on the way to a path that leads to nothing: the path itself, or a folder above it.
fn broken_link(path: &Path) -> Option<BrokenLink> {
    let mut way: Vec<&Path> = path.ancestors().collect();
    way.reverse();
    let link = way.into_iter().find(|place| place.is_symlink() && fs::metadata(place).is_err())?;
    let is_cyclic = fs::metadata(link).is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound);
    Some(BrokenLink { path: link.to_owned(), target: fs::read_link(link).ok()?, is_cyclic })
}

fn through_broken_link(input: &str, link: &str, broken: &BrokenLink) -> Failure {
    let what = if broken.is_cyclic { "which cannot be followed" } else { "which does not exist" };
    let is = format!("is a symbolic link to `{}`, {what}", broken.target.display());
    let message = if input == link {
        format!("the input `{input}` {is}")
    } else {
        format!("the input `{input}` cannot be read: `{link}` {is}")
    };
    Failure::input(message).hint(format!(
        "a link is followed from the folder it lies in: make it anew (`ln -sfn TARGET {link}`), or make what it names"
    ))
}
