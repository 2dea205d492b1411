//! From a pipeline file to a plan: the steps in their order. A step that cannot do without what was wrong in an earlier one
//! ends the planning; all mistakes up to there are reported.

use std::path::Path;

use pipe_contract::Registry;

use super::draft::Draft;
use super::env::Env;
use super::errors::Errors;
use super::instances::{instances, number};
use super::order::order;
use super::plan_options::PlanOptions;
use super::planning::Planning;
use super::ports::{self, Port};
use super::profile::{self, Applied};
use super::resolved::{Plan, Stage};
use super::{results, stage};
use crate::diag::{Class, Diagnostic, Diagnostics, SourceTexts};
use crate::spec::{self, Spec};

/// Reads a pipeline file and resolves it under one profile.
///
/// # Errors
/// Everything that is wrong with the file under this profile, each mistake with its place and a remedy.
pub fn plan(file: &Path, options: &PlanOptions, registry: &Registry) -> Result<Plan, Diagnostics> {
    resolve(&spec::load(file)?, options, registry)
}

/// A profile's name and its plan, or what is wrong with it.
pub type ProfilePlan = (Option<String>, Result<Plan, Diagnostics>);

/// Resolves a pipeline under each of its profiles, in the order of the file; under none if it has none.
///
/// # Errors
/// If the file itself cannot be read; mistakes of single profiles are beside their names.
pub fn plan_all_profiles(
    file: &Path,
    options: &PlanOptions,
    registry: &Registry,
) -> Result<Vec<ProfilePlan>, Diagnostics> {
    let spec = spec::load(file)?;
    let mut profiles: Vec<Option<String>> =
        spec.profiles.iter().map(|profile| Some(profile.name.text.clone())).collect();
    if profiles.is_empty() {
        profiles.push(None);
    }
    let plan = |profile: Option<String>| {
        let options = PlanOptions { profile: profile.clone(), ..options.clone() };
        (profile, resolve(&spec, &options, registry))
    };
    Ok(profiles.into_iter().map(plan).collect())
}

/// Resolves what was read.
///
/// # Errors
/// As [`plan`].
pub fn resolve(spec: &Spec, options: &PlanOptions, registry: &Registry) -> Result<Plan, Diagnostics> {
    resolve_with_sources(spec, options, registry).map(|(plan, _)| plan)
}

/// The plan with every text it was made from, those that parameters brought in (`{ lines: FILE }`) included.
pub(super) fn resolve_with_sources(
    spec: &Spec,
    options: &PlanOptions,
    registry: &Registry,
) -> Result<(Plan, SourceTexts), Diagnostics> {
    let mut sources = spec.sources.clone();
    let mut errors = Vec::new();
    let applied = profile::apply(spec, options, &mut sources, &mut errors);
    // Stages are only looked at when every parameter has a value: otherwise each use would be reported again.
    let Some(applied) = applied.filter(|_| errors.is_empty()) else { return Err(Diagnostics::new(sources, errors)) };
    match build(spec, &applied, options, registry, &sources) {
        Ok(plan) => Ok((plan, sources)),
        Err(errors) => Err(Diagnostics::new(sources, errors)),
    }
}

/// The plan of a pipeline under an applied profile.
fn build(
    spec: &Spec,
    applied: &Applied<'_>,
    options: &PlanOptions,
    registry: &Registry,
    sources: &SourceTexts,
) -> Result<Plan, Vec<Diagnostic>> {
    let mut context = Planning { env: env(applied, registry, sources), drafts: Vec::new() };
    let plan = steps(&mut context, spec, applied, options);
    let errors = context.env.errors.into_found();
    plan.filter(|_| errors.is_empty()).ok_or(errors)
}

/// The names of a pipeline under an applied profile.
fn env<'a>(applied: &'a Applied<'_>, registry: &'a Registry, sources: &'a SourceTexts) -> Env<'a> {
    Env {
        sources,
        registry,
        params: &applied.params,
        index: applied.stages.iter().enumerate().map(|(number, entry)| (entry.name.text.as_str(), number)).collect(),
        removed: &applied.removed,
        elsewhere: &applied.elsewhere,
        profile: applied.profile.map(|profile| profile.name.text.as_str()),
        errors: Errors::default(),
    }
}

/// All steps; `None` if one could not be taken. The plan is of no use if there are mistakes.
fn steps<'a>(context: &mut Planning<'a>, spec: &Spec, applied: &'a Applied<'_>, options: &PlanOptions) -> Option<Plan> {
    if applied.stages.is_empty() {
        context.env.errors.add(
            Diagnostic::new(Class::Missing, spec.name.span, "this profile has no stages")
                .hint("add at least one stage"),
        );
        return None;
    }
    for entry in &applied.stages {
        if let Some(decl) = entry.body.as_deref() {
            let draft = Draft::new(&context.env, entry, decl);
            context.drafts.push(draft);
        }
    }
    let ports: Vec<Vec<Port>> = (0..context.drafts.len()).map(|reader| ports::of_stage(context, reader)).collect();
    let order = order(context, &ports)?;
    number(context, &order)?;
    let stages: Vec<Stage> = ports
        .iter()
        .enumerate()
        .map(|(number, ports)| stage::shared(context, number, ports, &options.machine))
        .collect();
    let (instances, gathers) = instances(context, spec.seed, ports, &order);
    let profiles: Vec<&str> = spec.profiles.iter().map(|profile| profile.name.text.as_str()).collect();
    Some(Plan {
        pipeline: spec.name.text.clone(),
        profile: context.env.profile.map(str::to_owned),
        about: spec.about.clone(),
        file: spec.file.clone(),
        folder: spec.file.parent().map(Path::to_path_buf).unwrap_or_default(),
        seed: spec.seed,
        simulated: applied.simulated,
        params: applied.values(),
        set: options.set.iter().cloned().collect(),
        results: results::results(context, &applied.results),
        claims: results::claims(context, &spec.claims, &profiles),
        releases: results::releases(context, &applied.releases),
        stages,
        instances,
        gathers,
    })
}
