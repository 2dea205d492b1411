//! What a run would do, instance by instance, with the reasons; and where things are. Runs nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use fs_err as fs;
use pipe_contract::Failure;

use super::event_log::{self, LoggedRun, Measured};
use super::inputs::LinkedInput;
use super::lookup::{Known, Lookup, LookupOptions, LookupOutcome};
use super::options::RunOptions;
use super::select;
use super::sessions::Sessions;
use super::state_dirs::StateDirs;
use super::withheld::{self, is_withheld};
use crate::ids::InstanceId;
use crate::key::Reason;
use crate::plan::{Link, Plan};
use crate::report::{Manifest, damaged_failure};
use crate::sched::needed_by;

/// What a run would do with every instance, indexed by [`InstanceId`].
#[derive(Clone, Debug)]
pub struct Status {
    /// One for every instance of the plan.
    pub standings: Vec<Standing>,
    /// Recorded seconds of the last work of every instance, where known.
    pub seconds: Vec<Option<f64>>,
}

/// What a run would do with one instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Its outputs are there.
    Hit,
    /// Recorded as a missing cell, or it needs one.
    Absent {
        /// The cause.
        cause: String,
        /// The instance that found it, if this one inherits it from what it reads.
        origin: Option<InstanceId>,
        /// The particulars, in the words of the stage that found it.
        detail: Option<String>,
    },
    /// It would run, for these reasons; a reason's `Display` is a sentence without a full stop.
    Runs {
        /// Not empty.
        reasons: Vec<Reason>,
    },
    /// It may run: its key needs the outputs of instances that would run. If those come out as before, it is a hit.
    Depends {
        /// Of the instances it reads, those that would run or depend themselves, ascending.
        on: Vec<InstanceId>,
    },
    /// It would fail before it starts: an input file is missing, a cell is absent that the stage does not accept.
    Fails {
        /// Why.
        failure: Failure,
    },
    /// It would be skipped: this instance, which it needs directly or indirectly, would fail.
    Skipped {
        /// Of several, the one with the smallest id.
        because: InstanceId,
    },
    /// Not part of the selection.
    LeftOut,
}

/// What a run would do and why, without doing anything.
///
/// # Errors
/// As for [`super::run`], except that restricted sources are allowed.
pub fn status(plan: &Plan, options: &RunOptions) -> Result<Status, Failure> {
    let wanted = select::wanted(plan, &options.selection)?;
    let lookup_options = LookupOptions::of(plan, options, wanted.as_deref())?;
    let dirs = StateDirs::open(plan, &options.places)?;
    let mut lookup = Lookup::new(plan, options, &dirs)?;
    if let Some(wanted) = &wanted {
        lookup.look_up_only_read(wanted);
    }
    let mut standings = Vec::with_capacity(plan.instances.len());
    let mut seconds = Vec::with_capacity(plan.instances.len());
    for id in plan.ids() {
        let last = lookup.local(id).last_work(&plan.label(id))?;
        seconds.push(last.map(|last| last.seconds));
        if wanted.as_ref().is_some_and(|wanted| !wanted[id.index()]) {
            standings.push(Standing::LeftOut);
            continue;
        }
        let standing = match lookup.look_up(id, &lookup_options) {
            LookupOutcome::Hit => Standing::Hit,
            LookupOutcome::Absent { cause, origin } => {
                let detail = lookup.absence_detail(origin);
                Standing::Absent {
                    cause: cause.to_string(),
                    origin: Some(origin).filter(|origin| *origin != id),
                    detail,
                }
            }
            LookupOutcome::Miss(miss) => Standing::Runs { reasons: lookup.reasons(id, &miss)? },
            LookupOutcome::Blocked(on) => match root_failure(&standings, &on) {
                Some(because) => Standing::Skipped { because },
                None => Standing::Depends { on },
            },
            LookupOutcome::Failed(failure) => Standing::Fails { failure },
        };
        standings.push(standing);
    }
    Ok(Status { standings, seconds })
}

/// The instance whose failure keeps one from running that reads these.
fn root_failure(standings: &[Standing], on: &[InstanceId]) -> Option<InstanceId> {
    let root = |id: &InstanceId| match standings.get(id.index()) {
        Some(Standing::Fails { .. }) => Some(*id),
        Some(Standing::Skipped { because }) => Some(*because),
        _ => None,
    };
    on.iter().filter_map(root).min()
}

/// Looks up an instance and all it reads.
fn look_up_with_inputs(lookup: &mut Lookup<'_>, id: InstanceId) {
    let plan = lookup.plan;
    let needed = needed_by(plan, &BTreeSet::from([id]));
    for id in plan.ids().filter(|id| needed[id.index()]) {
        let _ = lookup.look_up(id, &LookupOptions::default());
    }
}

/// Where an artifact is: an output port of an instance, or `entry` inside a folder. The path is inside the store:
/// for reading only.
///
/// # Errors
/// The instance has no such port, or is not cached.
pub fn path_of(
    plan: &Plan,
    options: &RunOptions,
    id: InstanceId,
    port: &str,
    entry: Option<&str>,
) -> Result<PathBuf, Failure> {
    let dirs = StateDirs::open(plan, &options.places)?;
    let mut lookup = Lookup::new(plan, options, &dirs)?;
    lookup.check_port(id, port)?;
    look_up_with_inputs(&mut lookup, id);
    match lookup.content(&Link::Output { instance: id, port: port.into(), entry: entry.map(Into::into) })? {
        LinkedInput::Present(located) => {
            let name = || format!("{}.{port}", plan.label(id));
            located.path(&dirs, &Sessions::default()).map_err(|error| damaged_failure(&error, &name()))
        }
        LinkedInput::Absent { cause, .. } => Err(Failure::input(format!("`{}` is absent ({cause})", plan.label(id)))),
        LinkedInput::Open(_) => Err(Failure::input(format!("`{}` is not cached as it is now", plan.label(id)))
            .hint("run it first; `pipe why` explains what has changed")),
    }
}

/// The saved log of an instance: of the work that gave what it has now, or, where it has nothing, of the last attempt. None
/// if that printed nothing, or was done on another machine.
///
/// # Errors
/// It never worked.
pub fn log_of(plan: &Plan, options: &RunOptions, id: InstanceId) -> Result<Option<PathBuf>, Failure> {
    let dirs = StateDirs::open(plan, &options.places)?;
    let mut lookup = Lookup::new(plan, options, &dirs)?;
    let label = plan.label(id);
    look_up_with_inputs(&mut lookup, id);
    let key = match lookup.known(id) {
        Known::Outputs(_) | Known::Absent { .. } => lookup.key_of(id),
        Known::Open => lookup.local(id).last_begun(&label)?,
    };
    let key = key.ok_or_else(|| Failure::input(format!("there is no log of `{label}`: it never worked here")))?;
    let has_text = |log: &PathBuf| fs::metadata(log).is_ok_and(|found| found.len() > 0);
    Ok(Some(dirs.of(id).log(&key)).filter(has_text))
}

/// What instances with restricted data measured in their last work, for their owner: it is in no log of events.
///
/// # Errors
/// The state folder cannot be read.
pub fn restricted_metrics(plan: &Plan, options: &RunOptions) -> Result<Vec<Measured>, Failure> {
    let dirs = StateDirs::open(plan, &options.places)?;
    let mut lookup = Lookup::new(plan, options, &dirs)?;
    let mut all = Vec::new();
    for id in plan.ids().filter(|id| is_withheld(plan, *id)) {
        let label = plan.label(id);
        let Some(key) = lookup.local(id).last_begun(&label)? else { continue };
        let metrics = withheld::metrics(&dirs.of(id).log(&key))?;
        if !metrics.is_empty() {
            all.push(Measured { label, metrics });
        }
    }
    Ok(all)
}

/// The manifest of the last run of this pipeline and profile from this project, if there is one.
///
/// # Errors
/// The state folder cannot be read, or the manifest is not of the edition that this program reads.
pub fn last_manifest(plan: &Plan, options: &RunOptions) -> Result<Option<Manifest>, Failure> {
    for folder in StateDirs::open(plan, &options.places)?.run_folders()?.into_iter().rev() {
        if let Some(manifest) = Manifest::read(&folder)? {
            return Ok(Some(manifest));
        }
    }
    Ok(None)
}

/// The last run of this pipeline and profile from this project, as its log of events has it; also one that goes on, or
/// was killed.
///
/// # Errors
/// The state folder cannot be read.
pub fn last_run(plan: &Plan, options: &RunOptions) -> Result<Option<LoggedRun>, Failure> {
    for folder in StateDirs::open(plan, &options.places)?.run_folders()?.into_iter().rev() {
        if let Some(logged) = event_log::read(&folder)? {
            return Ok(Some(logged));
        }
    }
    Ok(None)
}
