//! The commands: each calls the engine with its options and prints the text of the result.

pub mod catalogue;
pub mod graph;
pub mod init;
pub mod inspect;
pub mod plan;
pub mod run;
pub mod show;
pub mod stages;
pub mod verify;

use std::sync::Arc;
use std::time::Duration;

use pipe_contract::{Failure, Registry};
use pipe_engine::diag::Diagnostics;
use pipe_engine::exec;
use pipe_engine::plan::Plan;
use pipe_engine::run::{Places, RunOptions, Selection};

use crate::args;
use crate::libtorch;
use crate::machine;

/// Time between the request to stop and the kill of running stages.
const GRACE: Duration = Duration::from_secs(3);

/// Why a command could not do its work.
pub enum CommandError {
    /// The pipeline file is wrong: every error with its place.
    File(Box<Diagnostics>),
    /// Anything else.
    Failure(Failure),
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        CommandError::Failure(failure)
    }
}

impl From<Diagnostics> for CommandError {
    fn from(diagnostics: Diagnostics) -> Self {
        CommandError::File(Box::new(diagnostics))
    }
}

/// The catalogue of this binary.
pub fn registry() -> Arc<Registry> {
    let mut registry = Registry::new();
    pipe_stages::install(&mut registry);
    Arc::new(registry)
}

/// The plan of a pipeline under a profile, from the plan cache if nothing it was made from has changed.
pub fn planned(pipeline: &args::Pipeline, place: &args::Place, registry: &Registry) -> Result<Plan, CommandError> {
    let plans = Places::find(place.cache.clone())?.state.join("plans");
    let options = plan_options(pipeline, place);
    let plan = pipe_engine::plan::plan_cached(&pipeline.file, &options, registry, &machine::build(), &plans)?;
    pipe_engine::plan::refuse_shared_name(&plan, registry)?;
    Ok(plan)
}

/// What the command line adds to a pipeline file.
pub fn plan_options(pipeline: &args::Pipeline, place: &args::Place) -> pipe_engine::plan::PlanOptions {
    let machine = machine::capacities(place.jobs).amounts();
    pipe_engine::plan::PlanOptions { profile: pipeline.profile.clone(), set: pipeline.set.clone(), machine }
}

/// Options of a run that does everything and forces nothing.
pub fn run_options(
    pipeline: &args::Pipeline,
    place: &args::Place,
    registry: Arc<Registry>,
) -> Result<RunOptions, Failure> {
    let libtorch = libtorch::find();
    Ok(RunOptions {
        places: Places::find(place.cache.clone())?,
        exec: exec::Settings {
            registry,
            guard: None,
            readable: Vec::new(),
            worker: exec::WorkerSettings {
                program: machine::worker(),
                libraries: libtorch.path,
                libraries_hint: libtorch.remedy,
                build: pipe_stages::BUILD_ID.to_owned(),
                recycle_after: 200,
            },
            grace: GRACE,
        },
        capacities: machine::capacities(place.jobs),
        selection: Selection::default(),
        force: Vec::new(),
        fail_fast: false,
        retry_absent: false,
        set: pipeline.set.clone(),
        overwrite: false,
        lock: pipeline.set.is_empty(),
        shuffle: None,
    })
}

/// The selection as the engine takes it.
pub fn selection(selection: &args::Selection) -> Selection {
    Selection {
        stages: selection.stages.clone(),
        from: selection.from.clone(),
        until: selection.until.clone(),
        only: selection.only.clone(),
    }
}
