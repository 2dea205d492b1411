//! Writes the manifest of a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_cache::{Content, Digest};
use pipe_contract::Failure;

use super::clock;
use super::disclosure::Disclosure;
use super::ended::EndedTable;
use super::lookup::Lookup;
use super::manifest_tables::tables;
use super::options::RunOptions;
use super::run_summary::{Counts, Summary};
use super::state_dir::{StateDir, make_folder};
use crate::report::{
    Git, MANIFEST_EDITION, Machine, Manifest, ManifestHead, Tables, commit_of, project_root, work_tree_is_dirty,
};

/// How many manifests of a pipeline are saved, besides one that the last of them refers to.
const SAVED: usize = 100;

/// A manifest that was written.
pub(super) struct Written {
    pub path: PathBuf,
    /// An earlier run has the same keys, and this one did nothing.
    pub is_same: bool,
}

/// Writes the manifest and removes the oldest ones.
pub(super) fn write(
    lookup: &mut Lookup<'_>,
    ended: &EndedTable,
    state_dir: &StateDir,
    options: &RunOptions,
    summary: &Summary,
    began: jiff::Timestamp,
) -> Result<Written, Failure> {
    let plan = lookup.plan;
    let disclosure = Disclosure::of(plan, state_dir)?;
    let mut earlier = state_dir.run_folders()?;
    earlier.retain(|folder| *folder != state_dir.run_folder(&summary.run));
    let state = state_of(lookup, &disclosure);
    // Nothing worked, nothing went wrong: an earlier manifest may have it all.
    let quiet = summary.counts.ran + summary.counts.failed + summary.counts.skipped == 0;
    let same_as = if quiet { earlier.last().and_then(|folder| same_state(folder, state)) } else { None };
    let tables = if same_as.is_some() { Tables::default() } else { tables(lookup, ended, &disclosure) };
    let project = project_root(plan);
    let manifest = Manifest {
        manifest: MANIFEST_EDITION,
        run: summary.run.clone(),
        pipe_version: env!("CARGO_PKG_VERSION").to_owned(),
        pipeline: plan.pipeline.clone(),
        profile: plan.profile.clone(),
        file: plan.file.clone(),
        seed: plan.seed,
        parameters: plan.params.clone(),
        set: plan.set.clone(),
        simulated: plan.simulated,
        began: clock::written(began),
        ended: clock::written(clock::now()),
        wall_seconds: summary.wall.as_secs_f64(),
        cpu_seconds: summary.cpu.as_secs_f64(),
        peak_memory_bytes: summary.peak_memory,
        stopped: summary.stopped,
        exit_code: summary.exit_code(),
        counts: by_outcome(&summary.counts),
        machine: Machine::this(options.capacities.cpu, options.capacities.gpus.len()),
        git: commit_of(project).map(|commit| Git {
            commit,
            // This starts a process, which a run of hits does not.
            dirty: if quiet { None } else { work_tree_is_dirty(project) },
        }),
        same_as,
        state,
        claims: summary.claims.clone(),
        results: summary.results.folder.clone(),
        written: summary.results.written.clone(),
        lockfile: summary.lockfile.clone(),
        logs: state_dir.logs(),
        tables,
    };
    let folder = state_dir.run_folder(&summary.run);
    make_folder(&folder)?;
    let path = manifest.write(&folder)?;
    let is_same = manifest.same_as.is_some();
    remove_oldest(&earlier, manifest.same_as.map(|run| state_dir.run_folder(&run)).as_deref());
    Ok(Written { path, is_same })
}

/// How many instances ended in which way, as the manifest names the ways.
fn by_outcome(counts: &Counts) -> BTreeMap<String, usize> {
    let Counts { hit, ran, absent, failed, skipped } = *counts;
    let all = [("hit", hit), ("ran", ran), ("absent", absent), ("failed", failed), ("skipped", skipped)];
    all.map(|(outcome, number)| (outcome.to_owned(), number)).into()
}

/// Removes the folders of the oldest runs, but not one whose manifest has the tables of another.
fn remove_oldest(folders: &[PathBuf], referred: Option<&Path>) {
    for old in folders.iter().rev().skip(SAVED).filter(|old| Some(old.as_path()) != referred) {
        let _ = fs::remove_dir_all(old);
    }
}

/// A digest of all labels and keys together; the order is that of the plan.
fn state_of(lookup: &Lookup<'_>, disclosure: &Disclosure<'_>) -> Digest<Content> {
    let mut hasher = blake3::Hasher::new();
    for id in lookup.plan.ids() {
        hasher.update(lookup.plan.label(id).as_bytes());
        hasher.update(lookup.key_of(id).map_or([0; 32], |key| *disclosure.key(id, &key).as_bytes()).as_slice());
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

/// The run whose manifest has the particulars of this state, if the last run was in the same state.
fn same_state(folder: &Path, state: Digest<Content>) -> Option<String> {
    let last = ManifestHead::read(folder)?;
    (last.state == state && last.exit_code == 0).then_some(last.same_as.unwrap_or(last.run))
}
