//! Published results, then a reproduction from nothing, compared with the lockfile.
//!
//! What is published is compared first: a rerun says nothing about files that were edited since. Where a rerun differs, the
//! lockfile's digests of keys and outputs tell a pipeline that was edited from a stage that does not repeat itself.

use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::Failure;

use super::comparison::{ResultComparison, comparisons};
use super::execute::{Outlet, run_in};
use super::options::{Places, RunOptions, Selection};
use super::published_check::PublishedCheck;
use super::run_summary::Summary;
use super::state_dirs::StateDirs;
use super::stop::Stop;
use crate::event::Event;
use crate::ids::InstanceId;
use crate::plan::Plan;
use crate::report::{Lockfile, lockfile_path};

/// The outcome of a verification.
#[derive(Clone, Debug)]
pub struct Verification {
    /// What is published.
    pub published: PublishedCheck,
    /// The run in the scratch cache, and what it made; `None` if it was not asked for.
    pub rerun: Option<Rerun>,
}

/// A run from nothing, compared with the lockfile.
#[derive(Clone, Debug)]
pub struct Rerun {
    /// The run in the scratch cache.
    pub run: Summary,
    /// One comparison for every result of the lockfile or the plan, by path.
    pub comparisons: Vec<ResultComparison>,
    /// The first stage that differs, if a result does and the lockfile says enough.
    pub first: Option<FirstDifference>,
    /// The temporary folder with the scratch cache, if it was retained: a stage failed, and its folder and log are there.
    pub retained: Option<PathBuf>,
}

/// The first stage, in the order in which they run, at which a rerun departs from the lockfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstDifference {
    /// Its name.
    pub stage: String,
    /// The label of its first instance that differs; `None` if it has one only, or fewer than the lockfile has.
    pub cell: Option<String>,
    /// In what it differs.
    pub what: Departure,
}

/// In what a stage differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Its key: the pipeline, a parameter, an input file or a tool is not what it was.
    Edited,
    /// Its key is the same and it made other bytes: it does not repeat itself.
    NotRepeated,
    /// It is not in the lockfile.
    Added,
}

impl Verification {
    /// 0 if every published result is as the lockfile has it, every one made now is the same or within tolerance, and
    /// the run succeeded; else the run's code, or 1. Where nothing was ever published, the rerun alone decides.
    pub fn exit_code(&self) -> u8 {
        let altered = !self.published.altered.is_empty();
        match &self.rerun {
            None => u8::from(altered || !self.published.was_published),
            Some(rerun) => match rerun.run.exit_code() {
                0 => u8::from(altered || !rerun.comparisons.iter().all(|comparison| comparison.verdict.is_good())),
                code => code,
            },
        }
    }
}

/// How to verify.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyOptions<'v> {
    /// Where the scratch cache is to be; a temporary folder that is removed if not given.
    pub scratch: Option<&'v Path>,
    /// Compare only what is published.
    pub no_rerun: bool,
}

/// Compares published results with the lockfile, then reruns the plan in a scratch cache and compares every result.
/// Publishes nothing and writes no lockfile. `altered` is called before the rerun.
///
/// # Errors
/// As for [`super::run`]; also if there is no lockfile, the plan has params that were set by hand, or `scratch` is not empty.
pub fn verify(
    plan: &Plan,
    options: &RunOptions,
    how: VerifyOptions<'_>,
    altered: &mut dyn FnMut(&PublishedCheck),
    events: &mut dyn FnMut(Event),
    stop: &Stop,
) -> Result<Verification, Failure> {
    if !plan.set.is_empty() {
        return Err(Failure::input("a run with `--set` has no lockfile, so its results cannot be verified")
            .hint("verify without `--set`, or make a profile of these parameters"));
    }
    let path = lockfile_path(plan);
    let lockfile = Lockfile::read(&path)?.ok_or_else(|| {
        Failure::input(format!("there is no lockfile `{}`", path.display()))
            .hint("`pipe run` writes it after a whole and successful run; commit it")
    })?;
    let mut verification =
        Verification { published: PublishedCheck::of(plan, &lockfile, &options.places)?, rerun: None };
    altered(&verification.published);
    if !how.no_rerun {
        verification.rerun = Some(rerun(plan, options, how.scratch, &lockfile, events, stop)?);
    }
    Ok(verification)
}

/// Where a verification runs.
enum Scratch {
    /// Where the user asked for it.
    Asked(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Scratch {
    /// An empty folder: the one that was asked for, or a temporary one.
    fn new(asked: Option<&Path>) -> Result<Self, Failure> {
        let Some(folder) = asked else {
            let made = tempfile::Builder::new().prefix("pipe-verify-").tempdir();
            let io = |error| Failure::io("create a folder in", &std::env::temp_dir(), &error);
            return Ok(Self::Temporary(made.map_err(io)?));
        };
        if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Failure::input(format!("`{}` is not empty", folder.display()))
                .hint("a verification starts from nothing: name a new folder"));
        }
        Ok(Self::Asked(folder.to_owned()))
    }

    fn places(&self) -> Places {
        let folder = match self {
            Self::Asked(folder) => folder,
            Self::Temporary(folder) => folder.path(),
        };
        Places { cache: folder.join("cache"), state: folder.join("state") }
    }

    /// The temporary folder, which is then left to the user.
    fn retain(self) -> Option<PathBuf> {
        match self {
            Self::Asked(_) => None,
            Self::Temporary(folder) => Some(folder.keep()),
        }
    }
}

fn rerun(
    plan: &Plan,
    options: &RunOptions,
    scratch: Option<&Path>,
    lockfile: &Lockfile,
    events: &mut dyn FnMut(Event),
    stop: &Stop,
) -> Result<Rerun, Failure> {
    let scratch = Scratch::new(scratch)?;
    let places = scratch.places();
    let from_nothing =
        RunOptions { places: places.clone(), selection: Selection::default(), force: Vec::new(), ..options.clone() };
    let (run, made) = run_in(plan, &from_nothing, events, stop, Outlet::Nowhere)?;
    let comparisons = comparisons(plan, options, &StateDirs::open(plan, &places)?, (lockfile, &made));
    let good = comparisons.iter().all(|comparison| comparison.verdict.is_good());
    let first = if good || run.exit_code() != 0 { None } else { first_difference(plan, lockfile, &made) };
    // What the summary names of a failure is in there.
    let retained = if run.failed.is_empty() { None } else { scratch.retain() };
    Ok(Rerun { run, comparisons, first, retained })
}

/// The first stage that differs. Stages run in this order, so those before it made the same.
fn first_difference(plan: &Plan, lockfile: &Lockfile, made: &Lockfile) -> Option<FirstDifference> {
    if lockfile.stages.is_empty() {
        return None;
    }
    made.stages.iter().find_map(|now| {
        let locked = lockfile.stages.iter().find(|locked| locked.stage == now.stage);
        let (what, cell) = match locked {
            None => (Departure::Added, None),
            Some(locked) if now.keys.differs_from(&locked.keys) => {
                (Departure::Edited, now.keys.first_unlike(&locked.keys))
            }
            Some(locked) if now.outputs.differs_from(&locked.outputs) => {
                (Departure::NotRepeated, now.outputs.first_unlike(&locked.outputs))
            }
            Some(_) => return None,
        };
        Some(FirstDifference {
            stage: now.stage.clone(),
            cell: cell.and_then(|cell| label(plan, &now.stage, cell)),
            what,
        })
    })
}

/// The label of the instance at a position among those of a stage.
fn label(plan: &Plan, stage: &str, position: usize) -> Option<String> {
    let stage = plan.stages.iter().find(|known| known.name == stage)?;
    stage.instances.clone().nth(position).map(|id| plan.label(InstanceId(id)))
}
