//! Two pipelines of one project may not have one name: they would share results, logs, lockfile and explanations.
//!
//! Pipelines of a project are the YAML files beside a pipeline file; a folder `pipelines/` belongs to the folder it is in. Only
//! the heads of the other files are read, and only for the name: what is wrong with them otherwise is not reported here.

use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};
use pipe_contract::Failure;

use super::resolved::Plan;

/// `pipeline:` is near the beginning of a file.
const HEAD: u64 = 64 << 10;

/// Refuses a plan whose name another pipeline file of the project has too.
///
/// # Errors
/// Both files are named.
pub fn refuse_shared_name(plan: &Plan) -> Result<(), Failure> {
    let own = fs::canonicalize(&plan.file).unwrap_or_else(|_| plan.file.clone());
    let is_other = |path: &PathBuf| fs::canonicalize(path).is_ok_and(|path| path != own);
    let has_name = |path: &PathBuf| pipeline_of(path).as_deref() == Some(plan.pipeline.as_str());
    let mut files: Vec<PathBuf> = folders(&plan.folder).iter().flat_map(|folder| yaml_files(folder)).collect();
    files.sort();
    match files.into_iter().find(|path| is_other(path) && has_name(path)) {
        None => Ok(()),
        Some(other) => Err(Failure::input(format!(
            "`{}` and `{}` are both called `{}`, so they would overwrite each other's results",
            plan.file.display(),
            other.display(),
            plan.pipeline
        ))
        .hint("give one of them another name in its line `pipeline:`, or move it to another folder")),
    }
}

/// The folders whose pipelines publish to the same `results/`.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    match folder.parent() {
        Some(parent) if folder.file_name().is_some_and(|name| name == "pipelines") => all.push(parent.to_owned()),
        _ => all.push(folder.join("pipelines")),
    }
    all
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_pipeline = |path: &PathBuf| {
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        yaml && !hidden && path.is_file()
    };
    entries.filter(is_pipeline).collect()
}

/// The name in a pipeline file: the value of `pipeline:` where `pipe:` is there too.
fn pipeline_of(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    let head = String::from_utf8_lossy(&head);
    let value = |key: &str| head.lines().find_map(|line| line.trim_start_matches('\u{feff}').strip_prefix(key));
    value("pipe:")?;
    let name = value("pipeline:")?.split(" #").next()?.trim();
    Some(name.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_read_without_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let name = |text: &str| {
            let path = folder.path().join("p.yaml");
            fs::write(&path, text).unwrap();
            pipeline_of(&path)
        };
        assert_eq!(name("# x\npipe: 1\npipeline: 'a b'  # of mine\nstages: {").as_deref(), Some("a b"));
        assert_eq!(name("\u{feff}pipe: 1\r\npipeline: a\r\n").as_deref(), Some("a"));
        assert_eq!(name("pipeline: a\n"), None);
        assert_eq!(name("pipe: 1\nabout: a part\n"), None);
    }
}
