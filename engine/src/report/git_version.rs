//! The version of a project that is under git, for manifests and sidecars.

use std::path::Path;
use std::process::{Command, Stdio};

use fs_err as fs;
use serde::{Deserialize, Serialize};

/// A project's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The commit.
    pub commit: String,
    /// Whether files differed from it; not looked up when nothing ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty: Option<bool>,
}

/// The commit that is checked out in the work tree a folder lies in, read from git's files: no process is started.
pub fn commit_of(folder: &Path) -> Option<String> {
    let git = folder.ancestors().map(|folder| folder.join(".git")).find(|path| path.exists())?;
    // A linked work tree has a file that names its folder, which in turn names the common one.
    let own = match fs::read_to_string(&git) {
        Ok(text) => git.parent()?.join(text.trim().strip_prefix("gitdir: ")?),
        Err(_) => git,
    };
    let common = fs::read_to_string(own.join("commondir")).map_or(own.clone(), |text| own.join(text.trim()));
    let head = fs::read_to_string(own.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else { return Some(head.trim().to_owned()) };
    let loose = fs::read_to_string(common.join(name)).ok().map(|text| text.trim().to_owned());
    loose.or_else(|| {
        let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
        packed.lines().find_map(|line| Some(line.strip_suffix(name)?.trim().to_owned()).filter(|id| !id.is_empty()))
    })
}

/// Whether git sees uncommitted changes; `None` if git cannot be run.
pub fn work_tree_is_dirty(folder: &Path) -> Option<bool> {
    let output = Command::new("git")
        .args(["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(!output.stdout.is_empty())
}
