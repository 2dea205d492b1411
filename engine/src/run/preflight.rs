//! What can be checked before a long run: which stages have work, whether the sources they fetch from answer, how many bytes
//! will come and whether the disk has room for them. Runs nothing and fetches nothing.
//!
//! One instance of each stage stands for all of them: its source is asked once, and its size times their number is the size of
//! the stage. Inputs are not known before a run, so a size that depends on them is not known either, and is not guessed.

use std::thread;
use std::time::{Duration, Instant};

use pipe_contract::{Context, Failure, Kind, Probe, Progress, Task};

use super::options::RunOptions;
use super::prepare_task::task_before_run;
use super::status::{Standing, status};
use crate::ids::{InstanceId, StageId};
use crate::plan::{Plan, Work};

/// How long a source may take to answer.
const PATIENCE: Duration = Duration::from_secs(40);

/// What there is to do, stage by stage, and whether the machine has room for it.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// In the order of the plan; stages without work are left out.
    pub stages: Vec<StagePreflight>,
    /// Bytes that are free where the cache is.
    pub free: u64,
}

/// What one stage has to do.
#[derive(Clone, Debug)]
pub struct StagePreflight {
    /// The stage.
    pub stage: StageId,
    /// Instances whose outputs are not cached; at least 1 unless [`Self::failure`] is set.
    pub open: usize,
    /// What its source answered, for the first of them.
    pub probe: Option<Probe>,
    /// About how many bytes all of them will add to the cache, where that is known.
    pub bytes: Option<u64>,
    /// Why it would fail.
    pub failure: Option<Failure>,
}

impl Preflight {
    /// Bytes of all stages whose size is known.
    pub fn known_bytes(&self) -> u64 {
        self.stages.iter().filter_map(|stage| stage.bytes).sum()
    }
}

/// Asks the sources of a plan, all at once, for a minute at most.
///
/// # Errors
/// As for [`status`]. What a source refuses is part of the answer.
pub fn preflight(plan: &Plan, options: &RunOptions) -> Result<Preflight, Failure> {
    let standings = status(plan, options)?.standings;
    let registry = &options.exec.registry;
    let deadline = Deadline(Instant::now() + PATIENCE);
    let mut stages: Vec<StagePreflight> = Vec::new();
    thread::scope(|scope| {
        let mut asked = Vec::new();
        for (number, stage) in (0..).zip(&plan.stages) {
            let ids = || stage.instances.clone().map(InstanceId);
            let is_open =
                |id: &InstanceId| matches!(standings[id.index()], Standing::Runs { .. } | Standing::Depends { .. });
            let failure = ids().find_map(|id| match &standings[id.index()] {
                Standing::Fails { failure } => Some(failure.clone()),
                _ => None,
            });
            let open = ids().filter(is_open).count();
            if open == 0 && failure.is_none() {
                continue;
            }
            stages.push(StagePreflight { stage: StageId(number), open, probe: None, bytes: None, failure });
            let (Some(first), Work::Kind(name)) = (ids().find(is_open), &stage.work) else { continue };
            let Some(kind) = registry.kind(name) else { continue };
            let task = task_before_run(plan, first, kind);
            let ask = move || match registry.stage(kind.name) {
                Some(code) => code.probe(&task, &deadline).map(|probe| (size(kind, &task, probe.as_ref()), probe)),
                None => Ok((size(kind, &task, None), None)),
            };
            asked.push((stages.len() - 1, scope.spawn(ask)));
        }
        for (at, asking) in asked {
            let stage = &mut stages[at];
            match asking.join() {
                Ok(Ok((size, probe))) => {
                    stage.bytes = size.map(|bytes| bytes.saturating_mul(stage.open as u64));
                    stage.probe = probe;
                }
                Ok(Err(failure)) => stage.failure = Some(failure),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    Ok(Preflight { stages, free: free_bytes(&options.places.cache)? })
}

/// About how many bytes one task adds to the cache.
fn size(kind: &Kind, task: &Task, probe: Option<&Probe>) -> Option<u64> {
    probe.and_then(|probe| probe.bytes).or_else(|| kind.size.and_then(|size| size(task).ok()))
}

/// Bytes that are free for this user where a folder is.
fn free_bytes(folder: &std::path::Path) -> Result<u64, Failure> {
    match rustix::fs::statvfs(folder) {
        Ok(found) => Ok(found.f_bavail.saturating_mul(found.f_frsize)),
        Err(error) => Err(Failure::io("look at the disk of", folder, &error.into())),
    }
}

/// The context of questions to sources: they stop when the time is over.
#[derive(Clone, Copy)]
struct Deadline(Instant);

impl Context for Deadline {
    fn progress(&self, _: Progress) {}

    fn log(&self, _: &str) {}

    fn cancelled(&self) -> bool {
        Instant::now() >= self.0
    }
}
