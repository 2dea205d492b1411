//! The commands: each calls the engine with its options and prints the text of the result.

pub mod catalogue;
pub mod doctor;
pub mod graph;
pub mod init;
pub mod inspect;
pub mod plan;
pub mod run;
pub mod show;
pub mod stages;
pub mod verify;

use std::sync::Arc;

use pipe_contract::{Failure, Registry};
use pipe_engine::diag::Diagnostics;
use pipe_engine::exec;
use pipe_engine::plan::Plan;
use pipe_engine::run::{Places, RunOptions, Selection};

use crate::args;
use crate::libtorch;
use crate::machine;

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
    let worker = exec::WorkerSettings {
        libraries: libtorch.path,
        libraries_hint: libtorch.remedy,
        ..exec::WorkerSettings::new(machine::worker(), pipe_stages::BUILD_ID)
    };
    let exec = exec::Settings::new(registry, worker);
    let places = Places::find(place.cache.clone())?;
    let all = RunOptions::new(places, exec, machine::capacities(place.jobs));
    Ok(RunOptions { set: pipeline.set.clone(), lock: pipeline.set.is_empty(), ..all })
}

/// The selection as the engine takes it.
pub fn selection(selection: &args::SelectionArgs) -> Selection {
    Selection {
        stages: selection.stages.clone(),
        from: selection.from.clone(),
        until: selection.until.clone(),
        only: selection.only.clone(),
    }
}
