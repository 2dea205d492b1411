//! Published files of an earlier version, for `pipe status`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe_cache::{Content, Digest};
use pipe_contract::Failure;

use super::disclosure::Disclosure;
use super::lookup::{Lookup, LookupOptions};
use super::options::RunOptions;
use super::result_lines::result_lines;
use super::state_dirs::StateDirs;
use crate::plan::Plan;
use crate::report::{ListFile, PublishedList, is_sidecar, results_folder, taken_over};

/// Published files that are not what the plan would publish now, and the run that made each, if it is known: while a run
/// goes on, after a failed or killed one, and after an edit of the pipeline.
///
/// # Errors
/// As for [`super::run`].
pub fn earlier_results(plan: &Plan, options: &RunOptions) -> Result<Vec<(String, Option<String>)>, Failure> {
    let folder = results_folder(plan);
    let list = known_files(plan, &folder)?;
    if list.files.is_empty() {
        return Ok(Vec::new());
    }
    let dirs = StateDirs::open(plan, &options.places)?;
    let mut lookup = Lookup::new(plan, options, &dirs)?;
    for id in plan.ids() {
        let _ = lookup.look_up(id, &LookupOptions::default());
    }
    let disclosure = Disclosure::for_reading(plan, &dirs)?;
    let (_, lines) = result_lines(&mut lookup, &disclosure, None);
    let pieces = lines.iter().flat_map(|line| &line.pieces);
    let now: BTreeMap<&str, Digest<Content>> =
        pieces.filter_map(|piece| Some((piece.path.as_str(), piece.blob()?.digest))).collect();
    let beside: BTreeSet<&String> = lines.iter().flat_map(|line| &line.dictionaries).collect();
    let mut earlier = Vec::new();
    for (path, versions) in list.files.iter().filter(|(path, _)| !is_sidecar(path) && !beside.contains(path)) {
        let as_now = versions.last().is_some_and(|version| now.get(path.as_str()) == Some(&version.digest));
        if !as_now && folder.join(path).exists() {
            earlier.push((path.clone(), versions.first().and_then(|version| version.run.clone())));
        }
    }
    Ok(earlier)
}

/// What was published in a results folder: its list, and what the sidecars say where that is lost or damaged.
pub(super) fn known_files(plan: &Plan, folder: &Path) -> Result<PublishedList, Failure> {
    let list = match ListFile::read(folder)? {
        ListFile::Good(list) => list,
        ListFile::Missing | ListFile::Damaged(_) => PublishedList::default(),
    };
    Ok(taken_over(&list, folder, plan.results.iter().map(|published| published.path.as_str())))
}
