//! One execution of a plan: looks up every instance, lets the scheduler and the executor do what is missing,
//! commits their outputs, publishes results, checks claims, and leaves a manifest.
//!
//! The caller makes the output from [`Event`]s while the run goes on and from the [`Summary`] at the end.

mod commit;
mod lookup;
mod options;
mod outcomes;
mod prepare_task;
mod run_loop;
mod run_summary;
mod select;
mod state_dir;
mod status;
mod stop;
mod verification;
mod write_manifest;

#[cfg(test)]
mod tests;

pub use options::{Places, RunOptions, Selection};
pub use run_summary::{Counts, FailedInstance, Summary};
pub use select::named;
pub use status::{Standing, Status, log_of, path_of, status};
pub use stop::Stop;
pub use verification::{Comparison, Verdict, Verification, verify};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pipe_cache::Session;
use pipe_contract::Failure;

use crate::event::{Event, Outcome};
use crate::plan::{Link, Plan};
use crate::report::{
    Locked, Lockfile, Piece, Results, cache_failure, check_claims, lockfile_path, pieces_of, publish, results_folder,
};
use lookup::{Linked, Lookup, LookupOptions};
use run_loop::RunLoop;
use state_dir::StateDir;

/// Runs a plan: whatever is not cached, in parallel, then publishes its results and checks its claims.
///
/// `events` is called on the calling thread, in the order things happen. `stop` may be triggered from any thread.
///
/// # Errors
/// Only what keeps the run from being carried out at all: a restricted source, an unknown stage in the selection,
/// an unusable cache or state folder. What goes wrong in a stage is in the [`Summary`].
pub fn run(plan: &Plan, options: &RunOptions, events: &mut dyn FnMut(Event), stop: &Stop) -> Result<Summary, Failure> {
    refuse_restricted(plan)?;
    run_in(plan, options, events, stop, Outlet::Project).map(|(summary, _)| summary)
}

/// Where results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outlet {
    /// To the project, with its lockfile.
    Project,
    /// Nowhere; they are only compared.
    Nowhere,
}

fn run_in(
    plan: &Plan,
    options: &RunOptions,
    events: &mut dyn FnMut(Event),
    stop: &Stop,
    outlet: Outlet,
) -> Result<(Summary, BTreeMap<String, Locked>), Failure> {
    let clock = Instant::now();
    let began = write_manifest::now();
    let wanted = select::wanted(plan, &options.selection)?;
    let lookup_options = lookup_options(plan, options, wanted.as_deref())?;
    let state_dir = StateDir::open(plan, &options.places)?;
    Session::sweep_leftovers(&state_dir.store).map_err(|error| cache_failure(&error))?;
    state_dir.sweep_checkpoints()?;
    let mut lookup = Lookup::new(plan, &options.exec.registry, &state_dir.store, state_dir.local_state()?);
    if let Some(wanted) = &wanted {
        look_up_what_is_only_read(&mut lookup, wanted);
    }
    let run = write_manifest::run_id(began);
    let instances = wanted.as_ref().map_or(plan.instances.len(), |wanted| wanted.iter().filter(|it| **it).count());
    events(Event::Began { run: run.clone(), instances });
    let mut run_loop = RunLoop::new(lookup, &state_dir, options, lookup_options, events, stop);
    if !run_loop.all_known(wanted.as_deref()) {
        run_loop.work(wanted.clone())?;
    }
    let mut summary = summarize(&run_loop, run, stop);
    let whole = wanted.is_none();
    finish_results(&mut run_loop, &state_dir, &mut summary, outlet, wanted.as_deref());
    let locked = if whole { locked_results(&mut run_loop, &state_dir) } else { BTreeMap::new() };
    if outlet == Outlet::Project && options.lock && whole && summary.exit_code() == 0 {
        let path = lockfile_path(plan);
        match Lockfile::new(plan, locked.clone()).write(&path) {
            Ok(()) => summary.lockfile = Some(path),
            Err(failure) => summary.results.failures.push(failure),
        }
    }
    let keys = run_loop.keys();
    if let Err(failure) = run_loop.lookup.local.tidy(|| keys) {
        // The tables grow until the next time; the run itself is done.
        tracing::warn!(%failure, "the state directory of this pipeline could not be tidied");
    }
    summary.wall = clock.elapsed();
    summary.cpu = own_cpu() + run_loop.used.cpu;
    summary.peak_memory = own_peak_memory().max(run_loop.used.peak_rss);
    summary.manifest = write_manifest::write(&run_loop, &state_dir, options, &summary, began)?;
    Ok((summary, locked))
}

/// There is no separate store for restricted data yet, so nothing restricted may enter this one.
fn refuse_restricted(plan: &Plan) -> Result<(), Failure> {
    let restricted = plan.ids().find(|id| !plan.instance(*id).restricted.is_empty());
    let Some(id) = restricted else { return Ok(()) };
    let names: Vec<&str> = plan.instance(id).restricted.iter().map(String::as_str).collect();
    Err(Failure::input(format!(
        "stage `{}` has restricted data ({}), which this version of pipe plans but does not run, because it has no store \
         that keeps them apart",
        plan.stage_of(id).name,
        names.join(", ")
    ))
    .hint("`pipe plan` works; to run, take a profile without restricted sources"))
}

fn lookup_options(plan: &Plan, options: &RunOptions, wanted: Option<&[bool]>) -> Result<LookupOptions, Failure> {
    let forced = select::forced(plan, &options.force, wanted)?;
    Ok(LookupOptions { forced, absences: options.retry_absent })
}

/// Instances that a selection leaves out but reads are looked up, never run.
fn look_up_what_is_only_read(lookup: &mut Lookup<'_>, wanted: &[bool]) {
    let plan = lookup.plan;
    let needed = select::only_read(plan, wanted);
    for id in plan.ids().filter(|id| needed[id.index()]) {
        let _ = lookup.look_up(id, &LookupOptions::default());
    }
}

/// Everything that happened to instances.
fn summarize(run_loop: &RunLoop<'_>, run: String, stop: &Stop) -> Summary {
    let plan = run_loop.lookup.plan;
    let mut summary = Summary::of_run(run, stop.requests() > 0);
    summary.counts.hit = run_loop.hits;
    for (id, report) in &run_loop.ended {
        let label = plan.label(*id);
        summary.notes.extend(report.notes.iter().map(|note| (label.clone(), note.clone())));
        match &report.outcome {
            Outcome::Hit => summary.counts.hit += 1,
            Outcome::Ran => summary.counts.ran += 1,
            Outcome::Absent { cause, recorded } => {
                summary.counts.absent += 1;
                summary.absent.push((label, cause.clone(), *recorded));
            }
            Outcome::Skipped { because } => {
                summary.counts.skipped += 1;
                summary.skipped.push((label, because.clone()));
            }
            Outcome::Failed { failure, retained } => {
                summary.counts.failed += 1;
                let log = report.log.clone().unwrap_or_default();
                summary.failed.push(FailedInstance {
                    label,
                    failure: failure.clone(),
                    log,
                    retained: retained.clone(),
                });
            }
        }
    }
    summary
}

/// Publishes results and checks claims.
fn finish_results(
    run_loop: &mut RunLoop<'_>,
    state_dir: &StateDir,
    summary: &mut Summary,
    outlet: Outlet,
    wanted: Option<&[bool]>,
) {
    let plan = run_loop.lookup.plan;
    let mut results = Results { folder: results_folder(plan), ..Results::default() };
    let mut pieces = Vec::new();
    for published in &plan.results {
        if !is_wanted(&published.link, wanted) {
            continue;
        }
        match run_loop.lookup.content(&published.link) {
            Ok(Linked::Present(artifact)) => match pieces_of(&state_dir.store, published, &artifact) {
                Ok(some) => pieces.extend(some),
                Err(why) => {
                    results.failures.push(Failure::stage(format!("`{}` cannot be published: {why}", published.path)));
                }
            },
            Ok(Linked::Absent { cause, .. }) => {
                results.missing.push((published.path.clone(), format!("absent ({cause})")));
            }
            Ok(Linked::Open(id)) => {
                results
                    .missing
                    .push((published.path.clone(), format!("because `{}` did not end well", plan.label(id))));
            }
            Err(failure) => results.failures.push(failure),
        }
    }
    if outlet == Outlet::Project {
        publish(&state_dir.store, &mut run_loop.lookup.local.sources, &pieces, wanted.is_none(), &mut results);
    }
    summary.results = results;
    let lookup = &mut run_loop.lookup;
    let whole = |link: &&crate::plan::Claim| is_wanted(&link.table, wanted);
    let claims: Vec<_> = plan.claims.iter().filter(whole).cloned().collect();
    summary.claims = check_claims(&claims, |link| path_of_link(lookup, state_dir, link));
}

fn is_wanted(link: &Link, wanted: Option<&[bool]>) -> bool {
    match (link, wanted) {
        (Link::Output { instance, .. }, Some(wanted)) => wanted[instance.index()],
        _ => true,
    }
}

/// Where an artifact can be read, or why not.
fn path_of_link(lookup: &mut Lookup<'_>, state_dir: &StateDir, link: &Link) -> Result<PathBuf, String> {
    if let Link::File(path) = link {
        return Ok(path.to_path_buf());
    }
    let artifact = match lookup.content(link).map_err(|failure| failure.to_string())? {
        Linked::Present(artifact) => artifact,
        Linked::Absent { cause, .. } => return Err(format!("absent ({cause})")),
        Linked::Open(id) => return Err(format!("`{}` did not end well", lookup.plan.label(id))),
    };
    let made = state_dir.store.path(&artifact, None).or_else(|_| {
        let session = Session::begin(&state_dir.store)?;
        state_dir.store.path(&artifact, Some(&session))
    });
    made.map_err(|error| error.to_string())
}

/// Digests of everything the plan publishes. What cannot be published is left out: it is among the failures of
/// [`finish_results`], and then no lockfile is written.
fn locked_results(run_loop: &mut RunLoop<'_>, state_dir: &StateDir) -> BTreeMap<String, Locked> {
    let mut locked = BTreeMap::new();
    for published in &run_loop.lookup.plan.results {
        let Ok(Linked::Present(artifact)) = run_loop.lookup.content(&published.link) else { continue };
        let Ok(pieces) = pieces_of(&state_dir.store, published, &artifact) else { continue };
        let entry = |Piece { path, blob }| (path, Locked { digest: blob.digest, bytes: blob.bytes });
        locked.extend(pieces.into_iter().map(entry));
    }
    locked
}

/// Processor time of this process, stages on threads included.
fn own_cpu() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// The largest resident set of this process so far, bytes; 0 if the system does not report it.
fn own_peak_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// The manifest (JSON) of the last run of this pipeline and profile from this project, if there is one.
///
/// # Errors
/// The state folder cannot be read.
pub fn last_manifest(plan: &Plan, options: &RunOptions) -> Result<Option<PathBuf>, Failure> {
    let state_dir = StateDir::open(plan, &options.places)?;
    let mut manifests = state_dir.run_folders()?.into_iter().rev().map(|folder| folder.join("manifest.json"));
    Ok(manifests.find(|path| path.exists()))
}
