//! Writes the manifest of a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pipe_cache::{Content, Digest};
use pipe_contract::Failure;

use super::ended::{EndedTable, Report};
use super::lookup::{Known, Lookup};
use super::options::RunOptions;
use super::run_summary::Summary;
use super::state_dir::{StateDir, make_folder};
use crate::ids::InstanceId;
use crate::report::{Git, InstanceReport, Machine, Manifest, commit_of, project_root, work_tree_is_dirty};

/// The version of the layout of manifests.
const VERSION: u32 = 1;
/// How many manifests of a pipeline are saved.
const SAVED: usize = 100;

/// Writes the manifest and removes the oldest ones; returns its path.
pub(super) fn write(
    lookup: &Lookup<'_>,
    ended: &EndedTable,
    state_dir: &StateDir,
    options: &RunOptions,
    summary: &Summary,
    began: jiff::Timestamp,
) -> Result<PathBuf, Failure> {
    let plan = lookup.plan;
    let mut earlier = state_dir.run_folders()?;
    earlier.retain(|folder| *folder != state_dir.run_folder(&summary.run));
    let state = state_of(lookup);
    // Nothing worked, nothing went wrong: an earlier manifest may have it all.
    let quiet = summary.counts.ran + summary.counts.failed + summary.counts.skipped == 0;
    let same_as = if quiet { earlier.last().and_then(|folder| same_state(folder, state)) } else { None };
    let hits = if same_as.is_some() { BTreeMap::new() } else { hits_of(lookup, ended) };
    let project = project_root(plan);
    let manifest = Manifest {
        manifest: VERSION,
        run: summary.run.clone(),
        pipe_version: env!("CARGO_PKG_VERSION"),
        pipeline: plan.pipeline.clone(),
        profile: plan.profile.clone(),
        file: plan.file.clone(),
        seed: plan.seed,
        simulated: plan.simulated,
        began: began.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        wall_seconds: summary.wall.as_secs_f64(),
        cpu_seconds: summary.cpu.as_secs_f64(),
        peak_memory_bytes: summary.peak_memory,
        stopped: summary.stopped,
        exit_code: summary.exit_code(),
        counts: BTreeMap::from([
            ("hit", summary.counts.hit),
            ("ran", summary.counts.ran),
            ("absent", summary.counts.absent),
            ("failed", summary.counts.failed),
            ("skipped", summary.counts.skipped),
        ]),
        machine: Machine::this(options.capacities.cpu, options.capacities.gpus.len()),
        git: commit_of(project).map(|commit| Git {
            commit,
            // This starts a process, which a run of hits does not.
            dirty: if quiet { None } else { work_tree_is_dirty(project) },
        }),
        instances: ended.reports().map(|(id, report)| instance(lookup, id, report)).collect(),
        hits,
        same_as,
        state,
        claims: summary.claims.clone(),
        results: summary.results.folder.clone(),
        written: summary.results.written.clone(),
        lockfile: summary.lockfile.clone(),
    };
    let folder = state_dir.run_folder(&summary.run);
    make_folder(&folder)?;
    let path = folder.join("manifest.json");
    let json = serde_json::to_vec(&manifest)
        .map_err(|error| Failure::internal(format!("the manifest has no JSON form: {error}")))?;
    let aside = folder.join("manifest.json.new");
    fs::write(&aside, json).map_err(|error| Failure::io("write", &aside, &error))?;
    fs::rename(&aside, &path).map_err(|error| Failure::io("write", &path, &error))?;
    for old in earlier.iter().rev().skip(SAVED) {
        let _ = fs::remove_dir_all(old);
    }
    Ok(path)
}

/// A digest of all labels and keys together; the order is that of the plan.
fn state_of(lookup: &Lookup<'_>) -> Digest<Content> {
    let mut hasher = blake3::Hasher::new();
    for id in lookup.plan.ids() {
        hasher.update(lookup.plan.label(id).as_bytes());
        hasher.update(lookup.key_of(id).map_or([0; 32], |key| *key.as_bytes()).as_slice());
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

/// The run whose manifest has the particulars of this state, if the last run was in the same state.
fn same_state(folder: &Path, state: Digest<Content>) -> Option<String> {
    let text = fs::read(folder.join("manifest.json")).ok()?;
    let last: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let same = last.get("state")?.as_str()? == state.to_string() && last.get("exit_code")?.as_u64()? == 0;
    let of = last.get("same_as").or_else(|| last.get("run"))?.as_str()?;
    same.then(|| of.to_owned())
}

fn hits_of(lookup: &Lookup<'_>, ended: &EndedTable) -> BTreeMap<String, Digest<pipe_cache::Action>> {
    let plan = lookup.plan;
    let hits = plan.ids().filter(|id| ended.report(*id).is_none());
    hits.filter_map(|id| Some((plan.label(id), lookup.key_of(id)?))).collect()
}

fn instance(lookup: &Lookup<'_>, id: InstanceId, report: &Report) -> InstanceReport {
    let plan = lookup.plan;
    let outputs = match lookup.known(id) {
        Known::Outputs(outputs) => outputs.iter().map(|stored| (stored.port.clone(), stored.artifact.digest)).collect(),
        _ => BTreeMap::new(),
    };
    InstanceReport {
        label: plan.label(id),
        outcome: report.outcome.clone(),
        reasons: report.reasons.iter().map(ToString::to_string).collect(),
        key: report.key,
        seed: plan.instance(id).seed,
        attempts: report.attempts,
        wall_seconds: report.usage.wall.as_secs_f64(),
        cpu_seconds: report.usage.cpu.as_secs_f64(),
        peak_memory_bytes: report.usage.peak_rss,
        isolation: report.usage.isolation.map(|isolation| isolation.files.word()),
        network: report.usage.isolation.map(|isolation| isolation.network.word()),
        ran_on: report.ran_on.clone(),
        outputs,
        notes: report.notes.clone(),
        log: report.log.clone(),
    }
}
