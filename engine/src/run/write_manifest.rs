//! Writes the manifest of a run, and the provenance that records carry.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pipe_cache::{Content, Digest};
use pipe_contract::{Failure, RanOn};

use super::run_loop::{Report, RunLoop};
use super::state_dir::{StateDir, make_folder};
use super::{RunOptions, Summary};
use crate::exec::Usage;
use crate::ids::InstanceId;
use crate::plan::Plan;
use crate::report::{Git, InstanceReport, Machine, Manifest, commit_of, project_root, work_tree_is_dirty};

/// The version of the layout of manifests.
const VERSION: u32 = 1;
/// How many manifests of a pipeline are saved.
const SAVED: usize = 100;

/// The current time, UTC. The one place of the engine that reads the clock.
pub(super) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The name of a run: its time, in an order that sorts, and what keeps two runs of one moment apart.
pub(super) fn run_id(began: jiff::Timestamp) -> String {
    let process = std::process::id();
    format!("{}-{process}", began.strftime("%Y-%m-%dT%H-%M-%S-%3f"))
}

/// Where, when and how an instance worked, for its record.
pub(super) fn provenance(label: &str, usage: Usage, ran_on: Option<&RanOn>, notes: &[String]) -> serde_json::Value {
    serde_json::json!({
        "instance": label,
        "ended": now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "wall_seconds": usage.wall.as_secs_f64(),
        "cpu_seconds": usage.cpu.as_secs_f64(),
        "peak_memory_bytes": usage.peak_rss,
        "host": host(),
        "architecture": std::env::consts::ARCH,
        "pipe_version": env!("CARGO_PKG_VERSION"),
        "ran_on": ran_on,
        "isolation": usage.isolation.map(|isolation| isolation.files.word()),
        "network": usage.isolation.map(|isolation| isolation.network.word()),
        "notes": notes,
    })
}

/// The machine's name, read once.
fn host() -> &'static str {
    static HOST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    HOST.get_or_init(|| Machine::this(0, 0).host)
}

/// Writes the manifest and removes the oldest ones; returns its path.
pub(super) fn write(
    run_loop: &RunLoop<'_>,
    state_dir: &StateDir,
    options: &RunOptions,
    summary: &Summary,
    began: jiff::Timestamp,
) -> Result<PathBuf, Failure> {
    let plan = run_loop.lookup.plan;
    let earlier = state_dir.run_folders()?;
    let state = state_of(run_loop);
    // Nothing worked, nothing went wrong: an earlier manifest may have it all.
    let quiet = summary.counts.ran + summary.counts.failed + summary.counts.skipped == 0;
    let same_as = if quiet { earlier.last().and_then(|folder| same_state(folder, state)) } else { None };
    let hits = if same_as.is_some() { BTreeMap::new() } else { hits_of(run_loop) };
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
        instances: run_loop.ended.iter().map(|(id, report)| instance(run_loop, plan, *id, report)).collect(),
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
fn state_of(run_loop: &RunLoop<'_>) -> Digest<Content> {
    let mut hasher = blake3::Hasher::new();
    for id in run_loop.lookup.plan.ids() {
        hasher.update(run_loop.lookup.plan.label(id).as_bytes());
        hasher.update(run_loop.lookup.key_of(id).map_or([0; 32], |key| *key.as_bytes()).as_slice());
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

fn hits_of(run_loop: &RunLoop<'_>) -> BTreeMap<String, Digest<pipe_cache::Action>> {
    let plan = run_loop.lookup.plan;
    let hits = plan.ids().filter(|id| !run_loop.ended.contains_key(id));
    hits.filter_map(|id| Some((plan.label(id), run_loop.lookup.key_of(id)?))).collect()
}

fn instance(run_loop: &RunLoop<'_>, plan: &Plan, id: InstanceId, report: &Report) -> InstanceReport {
    let outputs = match run_loop.lookup.known(id) {
        super::lookup::Known::Outputs(outputs) => {
            outputs.iter().map(|stored| (stored.port.clone(), stored.artifact.digest)).collect()
        }
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
