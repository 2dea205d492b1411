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
use super::state_dir::make_folder;
use super::state_dirs::Access;
use crate::plan::Plan;
use crate::report::{
    Git, MANIFEST_EDITION, Machine, Manifest, ManifestHead, Tables, commit_of, project_root, work_tree_is_dirty,
};

/// How many manifests of a pipeline are saved, besides one that the last of them refers to.
const SAVED: usize = 100;

/// A manifest that was written.
pub(super) struct WrittenManifest {
    pub path: PathBuf,
    /// An earlier run has the same keys, and this one did nothing.
    pub is_same: bool,
}

/// Writes the manifest and removes the oldest ones.
pub(super) fn write(
    lookup: &mut Lookup<'_>,
    ended: &EndedTable,
    disclosure: &Disclosure<'_>,
    options: &RunOptions,
    summary: &Summary,
    began: jiff::Timestamp,
) -> Result<WrittenManifest, Failure> {
    let dirs = lookup.dirs;
    let mut earlier = dirs.run_folders()?;
    earlier.retain(|folder| *folder != dirs.run_folder(&summary.run));
    let state = state_of(lookup, disclosure);
    let last = earlier.last().filter(|_| changed_nothing(summary));
    let same_as = last.and_then(|folder| same_state(folder, state));
    let tables = match same_as {
        Some(_) => Tables::default(),
        None => tables(lookup, ended, disclosure)?,
    };
    let instances = Instances { state, same_as, tables };
    let manifest = manifest(lookup.plan, options, summary, began, instances, dirs[Access::OPEN].logs());
    let folder = dirs.run_folder(&summary.run);
    make_folder(&folder)?;
    let path = manifest.write(&folder)?;
    let is_same = manifest.same_as.is_some();
    let referred = manifest.same_as.map(|run| dirs.run_folder(&run));
    for old in earlier.iter().rev().skip(SAVED).filter(|old| Some(*old) != referred.as_ref()) {
        let _ = fs::remove_dir_all(old);
    }
    Ok(WrittenManifest { path, is_same })
}

/// Nothing worked, nothing went wrong: an earlier manifest may have it all.
fn changed_nothing(summary: &Summary) -> bool {
    summary.counts.ran + summary.counts.failed + summary.counts.skipped == 0
}

/// What a manifest says of the instances.
struct Instances {
    state: Digest<Content>,
    same_as: Option<String>,
    tables: Tables,
}

fn manifest(
    plan: &Plan,
    options: &RunOptions,
    summary: &Summary,
    began: jiff::Timestamp,
    Instances { state, same_as, tables }: Instances,
    logs: PathBuf,
) -> Manifest {
    let project = project_root(plan);
    // Whether files differ from the commit is asked of git, a process that a run of hits does not start.
    let is_dirty = || if changed_nothing(summary) { None } else { work_tree_is_dirty(project) };
    Manifest {
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
        counts: counts_by_word(&summary.counts),
        machine: Machine::this(options.capacities.cpu, options.capacities.gpus.len()),
        git: commit_of(project).map(|commit| Git { commit, dirty: is_dirty() }),
        same_as,
        state,
        claims: summary.claims.clone(),
        results: summary.results.folder.clone(),
        written: summary.results.written.clone(),
        lockfile: summary.lockfile.clone(),
        logs,
        tables,
    }
}

fn counts_by_word(Counts { hit, ran, absent, failed, skipped }: &Counts) -> BTreeMap<String, usize> {
    let words = [("hit", hit), ("ran", ran), ("absent", absent), ("failed", failed), ("skipped", skipped)];
    words.map(|(word, number)| (word.to_owned(), *number)).into()
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
