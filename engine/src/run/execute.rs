//! One execution of a plan, from its first lookup to its manifest.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pipe_contract::Failure;

use super::beside_results::BesideResults;
use super::clock;
use super::disclosure::Disclosure;
use super::ended::EndedTable;
use super::event_log::EventLog;
use super::locked_results::{locked_results, locked_stages};
use super::lookup::{Known, Lookup, LookupOptions};
use super::options::RunOptions;
use super::provenance::wall_seconds_of;
use super::publish_results::{Publishing, finish_results};
use super::run_loop::RunLoop;
use super::run_summary::{FailedInstance, Summary};
use super::select;
use super::state_dir::{LastWork, make_folder};
use super::state_dirs::StateDirs;
use super::stop::Stop;
use super::write_manifest;
use crate::event::{Event, Outcome};
use crate::exec;
use crate::plan::Plan;
use crate::report::{Lockfile, cache_failure, lockfile_path, project_root};

/// Runs a plan: whatever is not cached, in parallel, then publishes its results and checks its claims.
///
/// `events` is called on the calling thread, in the order things happen. `stop` may be triggered from any thread.
///
/// # Errors
/// Only what keeps the run from being carried out at all: an unknown stage in the selection,
/// an unusable cache or state folder. What goes wrong in a stage is in the [`Summary`].
pub fn run(plan: &Plan, options: &RunOptions, events: &mut dyn FnMut(Event), stop: &Stop) -> Result<Summary, Failure> {
    run_in(plan, options, events, stop, Outlet::Project).map(|(summary, _)| summary)
}

/// Where results go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlet {
    /// To the project, with its lockfile.
    Project,
    /// Nowhere; they are only compared.
    Nowhere,
}

pub(super) fn run_in(
    plan: &Plan,
    options: &RunOptions,
    events: &mut dyn FnMut(Event),
    stop: &Stop,
    outlet: Outlet,
) -> Result<(Summary, Lockfile), Failure> {
    let clock = Instant::now();
    let began = clock::now();
    let options = &with_project_settings(plan, options)?;
    let wanted = select::wanted(plan, &options.selection)?;
    let lookup_options = LookupOptions::of(plan, options, wanted.as_deref())?;
    let dirs = StateDirs::open(plan, &options.places)?;
    dirs.sweep()?;
    let mut lookup = Lookup::new(plan, options, &dirs)?;
    if let Some(wanted) = &wanted {
        lookup.look_up_only_read(wanted);
    }
    let run = clock::run_id(began);
    let instances = wanted.as_ref().map_or(plan.instances.len(), |wanted| wanted.iter().filter(|it| **it).count());
    events(Event::Began { run: run.clone(), instances, wanted: wanted.clone() });
    let folder = dirs.run_folder(&run);
    make_folder(&folder)?;
    let disclosure = Disclosure::for_run(plan, &dirs)?;
    let log = EventLog::begin(&folder, &run, began, instances);
    let mut run_loop = RunLoop::new(lookup, disclosure, (options, lookup_options), events, log, stop);
    if outlet == Outlet::Project {
        let (began, disclosure) = (clock::written(began), Rc::clone(&run_loop.disclosure));
        let beside = BesideResults::new(options, &dirs, disclosure, &run, &began);
        run_loop.publishing = Some(Publishing::new(beside, options.overwrite));
    }
    let of_run = OfRun { options, wanted, outlet, began, clock };
    let done = work(&mut run_loop, of_run.wanted.as_deref()).and_then(|()| {
        let summary = summarize(plan, &run_loop.ended, run, stop);
        of_run.complete(&mut run_loop, summary)
    });
    // Without its end in the log, a run looks as if it had been killed.
    done.inspect_err(|failure| {
        run_loop.log.failure(failure);
        run_loop.log.finished(failure.blame.exit_code());
    })
}

/// What does not change while a run goes on.
struct OfRun<'r> {
    options: &'r RunOptions,
    wanted: Option<Vec<bool>>,
    outlet: Outlet,
    began: jiff::Timestamp,
    clock: Instant,
}

impl OfRun<'_> {
    /// All that follows the last instance: results, claims, lockfile, manifest.
    fn complete(&self, run_loop: &mut RunLoop<'_>, mut summary: Summary) -> Result<(Summary, Lockfile), Failure> {
        let notes = notes_of_hits(run_loop, self.wanted.as_deref())?;
        run_loop.log.noted(&notes);
        summary.notes.extend(notes);
        let lockfile = self.finish(run_loop, &mut summary);
        if let Err(failure) = run_loop.lookup.tidy() {
            // The tables grow until the next time; the run itself is done.
            tracing::warn!(%failure, "the state directory of this pipeline could not be tidied");
        }
        summary.wall = self.clock.elapsed();
        summary.cpu = own_cpu() + run_loop.used.cpu;
        summary.peak_memory = own_peak_memory().max(run_loop.used.peak_rss);
        let RunLoop { lookup, ended, disclosure, .. } = run_loop;
        let manifest = write_manifest::write(lookup, ended, disclosure, self.options, &summary, self.began)?;
        if !manifest.is_same {
            note_hits(lookup, ended)?;
        }
        summary.manifest = manifest.path;
        summary.claims.iter().for_each(|claim| run_loop.log.claim(claim));
        summary.results.failures.iter().for_each(|failure| run_loop.log.failure(failure));
        run_loop.log.finished(summary.exit_code());
        Ok((summary, lockfile))
    }

    /// Publishes the rest of the results, checks claims, and makes the lockfile of a whole run, which is written if all went well.
    fn finish(&self, run_loop: &mut RunLoop<'_>, summary: &mut Summary) -> Lockfile {
        let Self { options, outlet, .. } = *self;
        let wanted = self.wanted.as_deref();
        let RunLoop { lookup, disclosure, publishing, .. } = run_loop;
        let lines = finish_results(lookup, disclosure, summary, publishing.as_mut(), wanted);
        let results = match wanted {
            None => locked_results(lookup.plan, &options.exec.registry, &lines),
            Some(_) => BTreeMap::new(),
        };
        let lockfile = Lockfile::new(lookup.plan, locked_stages(lookup), results);
        if outlet == Outlet::Project && options.lock && wanted.is_none() && summary.exit_code() == 0 {
            let path = lockfile_path(lookup.plan);
            match lockfile.write(&path) {
                Ok(()) => summary.lockfile = Some(path),
                Err(failure) => summary.results.failures.push(failure),
            }
        }
        lockfile
    }
}

/// Brings every instance that is `wanted` to its end.
fn work(run_loop: &mut RunLoop<'_>, wanted: Option<&[bool]>) -> Result<(), Failure> {
    if !run_loop.all_known(wanted) {
        run_loop.work(wanted.map(<[bool]>::to_vec))?;
    }
    while let Some(again) = run_loop.reopen_lost_results(wanted)? {
        run_loop.work(Some(again))?;
    }
    Ok(())
}

/// The options of a run with what the project's `pipe.toml` adds.
fn with_project_settings(plan: &Plan, options: &RunOptions) -> Result<RunOptions, Failure> {
    let project = exec::ProjectSettings::find(&plan.folder, project_root(plan))?;
    let mut options = options.clone();
    options.exec.readable.extend(project.readable);
    Ok(options)
}

/// What stages noted about the results of hits, when they made them.
fn notes_of_hits(run_loop: &mut RunLoop<'_>, wanted: Option<&[bool]>) -> Result<Vec<(String, String)>, Failure> {
    let plan = run_loop.lookup.plan;
    let mut notes = Vec::new();
    for id in plan.ids().filter(|id| wanted.is_none_or(|wanted| wanted[id.index()])) {
        if run_loop.ended.report(id).is_none() {
            notes.extend(run_loop.lookup.notes(id)?.into_iter().map(|note| (plan.label(id), note)));
        }
    }
    Ok(notes)
}

/// Notes the keys of hits that their instances did not have when they worked last: after a stage was renamed, or an edit was
/// taken back. `why` compares with the last run, whether it worked or not.
fn note_hits(lookup: &mut Lookup<'_>, ended: &EndedTable) -> Result<(), Failure> {
    let plan = lookup.plan;
    for id in plan.ids().filter(|id| ended.report(*id).is_none()) {
        let (Known::Outputs(_), Some(key)) = (lookup.known(id), lookup.key_of(id)) else { continue };
        let label = plan.label(id);
        if lookup.local(id).last_work(&label)?.is_some_and(|last| last.key == key) {
            continue;
        }
        let record = lookup.store(id).record(&key).map_err(|error| cache_failure(&error))?;
        let seconds = record.as_ref().and_then(wall_seconds_of).unwrap_or_default();
        lookup.local(id).note_done(&label, LastWork { key, seconds, of_profile: false })?;
    }
    Ok(())
}

/// Everything that happened to instances.
fn summarize(plan: &Plan, ended: &EndedTable, run: String, stop: &Stop) -> Summary {
    let mut summary = Summary::of_run(run, stop.requests() > 0);
    summary.counts.hit = ended.hits();
    for (id, report) in ended.reports() {
        let label = plan.label(id);
        match &report.outcome {
            Outcome::Hit => summary.counts.hit += 1,
            Outcome::Ran => {
                summary.counts.ran += 1;
                summary.notes.extend(report.work.notes.iter().map(|note| (label.clone(), note.clone())));
            }
            Outcome::Absent { .. } => {
                summary.counts.absent += 1;
                summary.absent.push((label, report.outcome.clone()));
            }
            Outcome::Skipped { because } => {
                summary.counts.skipped += 1;
                summary.skipped.push((label, because.clone()));
            }
            Outcome::Failed { failure, retained } => {
                summary.counts.failed += 1;
                let log = report.work.log.clone().unwrap_or_default();
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

/// Processor time of this process, stages on threads included.
fn own_cpu() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// The largest resident set of this process so far, bytes; 0 if the system does not report it.
fn own_peak_memory() -> u64 {
    let text = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
