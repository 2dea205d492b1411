//! Of which type the artifacts of a plan are, as the kinds' crate registered it, and what follows from that: the format of a file,
//! the table of a folder. Outputs of commands have no type; their files have formats by their names.

use std::path::{Path, PathBuf};

use pipe_contract::{ArtifactType, FileFormat, Kind, Output, Registry};

use crate::ids::InstanceId;
use crate::plan::{Link, Plan, Work};

/// The declaration of an output, with its kind; none for outputs of commands and for files of the project.
pub(super) fn declared<'r>(plan: &Plan, registry: &'r Registry, link: &Link) -> Option<(&'r Kind, &'r Output)> {
    let Link::Output { instance, port, .. } = link else { return None };
    let Work::Kind(name) = &plan.stage_of(*instance).work else { return None };
    let kind = registry.kind(name)?;
    Some((kind, kind.output_named(port)?))
}

/// The type of an artifact, as a whole.
fn type_of<'r>(plan: &Plan, registry: &'r Registry, link: &Link) -> Option<&'r ArtifactType> {
    registry.artifact_type(declared(plan, registry, link)?.1.artifact)
}

/// The type of an output of an instance.
pub fn type_of_output<'r>(plan: &Plan, registry: &'r Registry, id: InstanceId, port: &str) -> Option<&'r ArtifactType> {
    type_of(plan, registry, &Link::Output { instance: id, port: port.into(), entry: None })
}

/// The name of an output file as a command declares it: such files have no other.
pub fn declared_name<'p>(plan: &'p Plan, id: InstanceId, port: &str) -> Option<&'p str> {
    match &plan.stage_of(id).work {
        Work::Command(command) => command.out.get(port).map(String::as_str),
        Work::Kind(_) => None,
    }
}

/// The format of a published file.
pub(super) fn format_of_result(plan: &Plan, registry: &Registry, path: &str) -> Option<&'static FileFormat> {
    let published = plan.results.iter().find(|published| match published.path.strip_suffix('/') {
        Some(folder) => path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
        None => published.path == path,
    });
    let artifact = published.and_then(|published| type_of(plan, registry, &published.link));
    registry.format_of(artifact.map(|artifact| artifact.name), path)
}

/// The file that is the table of an artifact at a path: the file itself, what the type of a folder says, or of a folder without
/// a type its one CSV file.
///
/// # Errors
/// It has no table, or several: what it is.
pub(super) fn table_at(plan: &Plan, registry: &Registry, link: &Link, path: PathBuf) -> Result<PathBuf, String> {
    let whole = matches!(link, Link::Output { entry: None, .. });
    if !path.is_dir() {
        return Ok(path);
    }
    match type_of(plan, registry, link).filter(|_| whole) {
        Some(ArtifactType { table: Some(table), .. }) => Ok(path.join(table)),
        Some(artifact) => Err(format!("a folder of the type `{}` has no table; name a file of it", artifact.name)),
        None => only_table(&path),
    }
}

fn only_table(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs_err::read_dir(folder).map_err(|error| pipe_contract::io_reason(&error))?;
    let is_table = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "csv");
    let tables: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_table).collect();
    match &tables[..] {
        [table] => Ok(table.clone()),
        _ => Err(format!("the folder has {} CSV files, not one; name one: `$stage.port/NAME.csv`", tables.len())),
    }
}
