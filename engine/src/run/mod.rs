//! One execution of a plan: looks up every instance, lets the scheduler and the executor do what is missing,
//! stores what comes out, publishes results, checks claims, and leaves a manifest.
//!
//! What people see is made by the caller from [`Event`]s while it goes on and from the [`Summary`] at the end.

mod desk;
mod drive;
mod keep;
mod manifest;
mod options;
mod select;
mod status;
mod stop;
mod summary;
mod task;
mod tell;
mod verify;
mod workplace;

#[cfg(test)]
mod tests;

pub use options::{Places, RunOptions, Selection};
pub use select::named;
pub use status::{Standing, Status, log_of, path_of, status};
pub use stop::Stop;
pub use summary::{Counts, Mishap, Summary};
pub use verify::{Comparison, Verdict, Verification, verify};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pipe_cache::Session;
use pipe_contract::Failure;

use crate::event::{Event, Outcome};
use crate::plan::{Link, Plan};
use crate::report::{
    Locked, Lockfile, Piece, Results, cache_failure, check_claims, lockfile_path, pieces_of, publish, results_folder,
};
use desk::{Desk, Linked, Passing};
use drive::Drive;
use workplace::Workplace;

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
    let began = manifest::now();
    let wanted = select::wanted(plan, &options.selection)?;
    let passing = passing(plan, options)?;
    let place = Workplace::open(plan, &options.places)?;
    Session::sweep_leftovers(&place.store).map_err(|error| cache_failure(&error))?;
    place.sweep_checkpoints()?;
    let mut desk = Desk::new(plan, &options.exec.registry, &place.store, place.memory()?);
    if let Some(wanted) = &wanted {
        look_up_what_is_only_read(&mut desk, wanted);
    }
    let run = manifest::run_id(began);
    let instances = wanted.as_ref().map_or(plan.instances.len(), |wanted| wanted.iter().filter(|it| **it).count());
    events(Event::Began { run: run.clone(), instances });
    let mut drive = Drive::new(desk, &place, options, passing, events, stop);
    if !drive.all_known(wanted.as_deref()) {
        drive.work(wanted.clone())?;
    }
    let mut summary = summarize(&drive, run, stop);
    let whole = wanted.is_none();
    finish_results(&mut drive, &place, &mut summary, outlet, wanted.as_deref());
    let locked = if whole { locked_results(&mut drive, &place) } else { BTreeMap::new() };
    if outlet == Outlet::Project && options.lock && whole && summary.exit_code() == 0 {
        let path = lockfile_path(plan);
        match Lockfile::new(plan, locked.clone()).write(&path) {
            Ok(()) => summary.lockfile = Some(path),
            Err(failure) => summary.results.failures.push(failure),
        }
    }
    let keys = drive.keys();
    if let Err(failure) = drive.desk.memory.tidy(|| keys) {
        // It grows until the next time; what this run did counts.
        tracing::warn!(%failure, "the memory of this pipeline could not be tidied");
    }
    summary.wall = clock.elapsed();
    summary.cpu = own_cpu() + drive.used.cpu;
    summary.peak_memory = own_peak_memory().max(drive.used.peak_rss);
    summary.manifest = manifest::write(&drive, &place, options, &summary, began)?;
    Ok((summary, locked))
}

/// The store that keeps restricted data apart is not there yet, so nothing restricted may enter this one.
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

fn passing(plan: &Plan, options: &RunOptions) -> Result<Passing, Failure> {
    let forced = options.force.iter().try_fold(BTreeSet::new(), |mut all, name| {
        all.extend(named(plan, name)?);
        Ok::<_, Failure>(all)
    })?;
    Ok(Passing { forced, absences: options.retry_absent })
}

/// Instances that a selection leaves out but reads are looked up, never run.
fn look_up_what_is_only_read(desk: &mut Desk<'_>, wanted: &[bool]) {
    let plan = desk.plan;
    let needed = select::only_read(plan, wanted);
    for id in plan.ids().filter(|id| needed[id.index()]) {
        let _ = desk.look(id, &Passing::default());
    }
}

/// Everything that happened to instances.
fn summarize(drive: &Drive<'_>, run: String, stop: &Stop) -> Summary {
    let plan = drive.desk.plan;
    let mut summary = Summary::of_run(run, stop.asked() > 0);
    summary.counts.hit = drive.hits;
    for (id, report) in &drive.ended {
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
            Outcome::Failed { failure, kept } => {
                summary.counts.failed += 1;
                let log = report.log.clone().unwrap_or_default();
                summary.failed.push(Mishap { label, failure: failure.clone(), log, kept: kept.clone() });
            }
        }
    }
    summary
}

/// Publishes results and checks claims.
fn finish_results(
    drive: &mut Drive<'_>,
    place: &Workplace,
    summary: &mut Summary,
    outlet: Outlet,
    wanted: Option<&[bool]>,
) {
    let plan = drive.desk.plan;
    let mut results = Results { folder: results_folder(plan), ..Results::default() };
    let mut pieces = Vec::new();
    for published in &plan.results {
        if !is_wanted(&published.link, wanted) {
            continue;
        }
        match drive.desk.content(&published.link) {
            Ok(Linked::Present(artifact)) => match pieces_of(&place.store, published, &artifact) {
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
        publish(&place.store, &mut drive.desk.memory.sources, &pieces, wanted.is_none(), &mut results);
    }
    summary.results = results;
    let desk = &mut drive.desk;
    let whole = |link: &&crate::plan::Claim| is_wanted(&link.table, wanted);
    let claims: Vec<_> = plan.claims.iter().filter(whole).cloned().collect();
    summary.claims = check_claims(&claims, |link| path_of_link(desk, place, link));
}

fn is_wanted(link: &Link, wanted: Option<&[bool]>) -> bool {
    match (link, wanted) {
        (Link::Output { instance, .. }, Some(wanted)) => wanted[instance.index()],
        _ => true,
    }
}

/// Where an artifact can be read, or why not.
fn path_of_link(desk: &mut Desk<'_>, place: &Workplace, link: &Link) -> Result<PathBuf, String> {
    if let Link::File(path) = link {
        return Ok(path.to_path_buf());
    }
    let artifact = match desk.content(link).map_err(|failure| failure.to_string())? {
        Linked::Present(artifact) => artifact,
        Linked::Absent { cause, .. } => return Err(format!("absent ({cause})")),
        Linked::Open(id) => return Err(format!("`{}` did not end well", desk.plan.label(id))),
    };
    let made = place.store.path(&artifact, None).or_else(|_| {
        let session = Session::begin(&place.store)?;
        place.store.path(&artifact, Some(&session))
    });
    made.map_err(|error| error.to_string())
}

/// Digests of everything the plan publishes. What cannot be published is left out: it is among the failures of
/// [`finish_results`], and then no lockfile is written.
fn locked_results(drive: &mut Drive<'_>, place: &Workplace) -> BTreeMap<String, Locked> {
    let mut locked = BTreeMap::new();
    for published in &drive.desk.plan.results {
        let Ok(Linked::Present(artifact)) = drive.desk.content(&published.link) else { continue };
        let Ok(pieces) = pieces_of(&place.store, published, &artifact) else { continue };
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

/// The largest resident set of this process so far, bytes; 0 if the system does not say.
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
    let place = Workplace::open(plan, &options.places)?;
    let mut manifests = place.run_folders()?.into_iter().rev().map(|folder| folder.join("manifest.json"));
    Ok(manifests.find(|path| path.exists()))
}
