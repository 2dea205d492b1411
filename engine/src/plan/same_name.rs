//! Two pipelines of one project may not have one name: they would share results, logs, lockfile and explanations.
//!
//! Pipelines of a project are the YAML files beside a pipeline file; a folder `pipelines/` belongs to the folder it is in. Only
//! the heads of the other files are read, and only for the name. A file with the same name counts if it can be planned
//! under one of its profiles: what cannot run overwrites nothing, so a broken neighbour does not keep a good file from its work.

use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};
use pipe_contract::Registry;

use super::plan_options::PlanOptions;
use super::resolve::resolve;
use super::resolved::{Amounts, Plan};
use crate::diag::{Class, Diagnostic, Diagnostics, SourceTexts, Span};
use crate::spec::{self, Spec};

/// `pipeline:` is near the beginning of a file.
const HEAD: u64 = 64 << 10;

/// Refuses a plan whose name another pipeline file of the project has too.
///
/// # Errors
/// Both files are named, each with the line of its name.
pub fn refuse_shared_name(plan: &Plan, registry: &Registry) -> Result<(), Diagnostics> {
    let own = fs::canonicalize(&plan.file).unwrap_or_else(|_| plan.file.clone());
    let is_other = |path: &PathBuf| fs::canonicalize(path).is_ok_and(|path| path != own);
    let has_name = |path: &PathBuf| pipeline_of(path).as_deref() == Some(plan.pipeline.as_str());
    let mut files: Vec<PathBuf> = folders(&plan.folder).iter().flat_map(|folder| yaml_files(folder)).collect();
    files.sort();
    let same = files.into_iter().filter(|path| is_other(path) && has_name(path));
    let mut same = same.filter_map(|path| working(&path, &plan.pipeline, registry));
    same.next().map_or(Ok(()), |other| Err(shared_name(plan, &other)))
}

/// A pipeline of this name that can be planned.
fn working(file: &Path, name: &str, registry: &Registry) -> Option<Spec> {
    let spec = spec::load(file).ok().filter(|spec| spec.name.text == name)?;
    let profiles = spec.profiles.iter().map(|profile| Some(profile.name.text.clone()));
    let mut profiles = profiles.chain(spec.profiles.is_empty().then_some(None));
    let plans = profiles.any(|profile| {
        let machine = Amounts { cpu: u32::MAX, gpu: u32::MAX, mem: u64::MAX, net: u32::MAX };
        let options = PlanOptions { profile, set: Vec::new(), machine };
        resolve(&spec, &options, registry).is_ok()
    });
    plans.then_some(spec)
}

/// The error for a plan and a pipeline with the name of the plan.
fn shared_name(plan: &Plan, other: &Spec) -> Diagnostics {
    let mut sources = SourceTexts::default();
    let mut name_in = |file: &Path, shown: &str| {
        let name = spec::load(file).ok()?.name.span;
        Some(Span { file: spec::open(&mut sources, file, shown).ok()?, ..name })
    };
    let message = format!(
        "`{}` and `{}` are both called `{}`, so they would overwrite each other's results",
        plan.file.display(),
        other.file.display(),
        plan.pipeline
    );
    let (here, there) = (
        name_in(&plan.file, &plan.file.display().to_string()),
        name_in(&other.file, &other.file.display().to_string()),
    );
    let error = match here {
        Some(span) => Diagnostic::new(Class::Collision, span, message),
        None => Diagnostic::nowhere(Class::Collision, message),
    };
    let error = there.map_or(error.clone(), |span| error.also(span, "the other one"));
    let hint = "give one of them another name in its line `pipeline:`, or move it to another folder";
    Diagnostics::one(sources, error.hint(hint))
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
