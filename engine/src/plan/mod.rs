//! What will run, fully resolved: stages expanded over their axes, every reference an edge, every default filled in.
//!
//! ```text
//! profile (which stages, which values) → draft (axes, cells) → inputs (references settled) → order → instances
//! ```
//! Knows the declarations of stage kinds, never their code; reads no file but those that the pipeline names.

mod body;
mod draft;
mod env;
mod fits;
mod input_names;
mod inputs;
mod names;
mod order;
mod plan_cache;
mod profile;
mod resolved;
mod restricted;
mod results;
mod same_name;
mod stage;
mod typed;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe_contract::Registry;

use crate::diag::{Class, Diagnostic, Diagnostics, Sources};
use crate::ids::StageId;
use crate::spec::{self, Spec};
use draft::Draft;
use env::Env;
pub use input_names::{INPUT_FOLDER, InputName};
use inputs::Port;
pub use plan_cache::plan_cached;
pub use resolved::*;
pub use restricted::Refused;
pub use same_name::refuse_shared_name;
pub use variables::variable_part;

/// What the command line adds to a pipeline file.
#[derive(Clone, Debug)]
pub struct Options {
    /// The profile; `None` takes the one with `default: true`, if the file has profiles.
    pub profile: Option<String>,
    /// `--set name=value`, later ones win; values are YAML.
    pub set: Vec<(String, String)>,
    /// What this machine has.
    pub machine: Amounts,
}

impl Default for Options {
    /// The default profile on a machine without GPU and with no limit on any other resource.
    fn default() -> Self {
        let machine = Amounts { cpu: u32::MAX, gpu: 0, mem: u64::MAX, net: u32::MAX };
        Self { profile: None, set: Vec::new(), machine }
    }
}

/// Reads a pipeline file and resolves it under one profile.
///
/// # Errors
/// Everything that is wrong with the file under this profile, each mistake with its place and a remedy.
pub fn plan(file: &Path, options: &Options, registry: &Registry) -> Result<Plan, Diagnostics> {
    resolve(&spec::load(file)?, options, registry)
}

/// A profile's name and its plan, or what is wrong with it.
pub type ProfilePlan = (Option<String>, Result<Plan, Diagnostics>);

/// Resolves a pipeline under each of its profiles, in the order of the file; under none if it has none.
///
/// # Errors
/// If the file itself cannot be read; mistakes of single profiles are beside their names.
pub fn plan_all_profiles(file: &Path, options: &Options, registry: &Registry) -> Result<Vec<ProfilePlan>, Diagnostics> {
    let spec = spec::load(file)?;
    let mut profiles: Vec<Option<String>> =
        spec.profiles.iter().map(|profile| Some(profile.name.text.clone())).collect();
    if profiles.is_empty() {
        profiles.push(None);
    }
    let plan = |profile: Option<String>| {
        let options = Options { profile: profile.clone(), ..options.clone() };
        (profile, resolve(&spec, &options, registry))
    };
    Ok(profiles.into_iter().map(plan).collect())
}

/// Resolves what was read.
///
/// # Errors
/// As [`plan`].
pub fn resolve(spec: &Spec, options: &Options, registry: &Registry) -> Result<Plan, Diagnostics> {
    resolve_with_sources(spec, options, registry).map(|(plan, _)| plan)
}

/// The plan with every text it was made from, those that parameters brought in (`{ lines: FILE }`) included.
fn resolve_with_sources(spec: &Spec, options: &Options, registry: &Registry) -> Result<(Plan, Sources), Diagnostics> {
    let mut sources = spec.sources.clone();
    let mut errors = Vec::new();
    let applied = profile::apply(spec, options, &mut sources, &mut errors);
    let plan = applied.and_then(|applied| {
        // Stages are only looked at when every parameter has a value: otherwise each use would be reported again.
        errors.is_empty().then(|| build(spec, &applied, options, registry, &sources, &mut errors)).flatten()
    });
    match plan {
        Some(plan) if errors.is_empty() => Ok((plan, sources)),
        _ => Err(Diagnostics::new(sources, errors)),
    }
}

fn build(
    spec: &Spec,
    applied: &profile::Applied<'_>,
    options: &Options,
    registry: &Registry,
    sources: &Sources,
    errors: &mut Vec<Diagnostic>,
) -> Option<Plan> {
    let env = Env {
        sources,
        registry,
        params: &applied.params,
        index: applied.stages.iter().enumerate().map(|(number, entry)| (entry.name.text.as_str(), number)).collect(),
        removed: &applied.removed,
        elsewhere: &applied.elsewhere,
        profile: applied.profile.map(|profile| profile.name.text.as_str()),
    };
    if applied.stages.is_empty() {
        errors.push(
            Diagnostic::new(Class::Missing, spec.name.span, "this profile has no stages")
                .hint("add at least one stage"),
        );
        return None;
    }
    let mut drafts: Vec<Draft<'_>> = Vec::with_capacity(applied.stages.len());
    for entry in &applied.stages {
        if let Some(decl) = entry.body.as_deref() {
            drafts.push(Draft::new(&env, entry, decl, errors));
        }
    }
    let ports: Vec<Vec<Port>> = (0..drafts.len()).map(|reader| inputs::ports(&env, &drafts, reader, errors)).collect();
    let order = match order::order(&drafts, &ports) {
        Ok(order) => order,
        Err(cycles) => {
            errors.extend(cycles);
            return None;
        }
    };
    number(&mut drafts, &order, errors)?;
    let mut stages: Vec<Stage> = drafts.iter().map(|draft| stage::shared(&env, draft, options, errors)).collect();
    for (stage, draft) in stages.iter_mut().zip(&drafts) {
        stage.instances = draft.base..draft.base + u32::try_from(draft.cells.len()).unwrap_or(u32::MAX);
    }
    let instances = instances(&env, spec.seed, &drafts, ports, &order, errors);
    let profiles: Vec<&str> = spec.profiles.iter().map(|profile| profile.name.text.as_str()).collect();
    Some(Plan {
        pipeline: spec.name.text.clone(),
        profile: env.profile.map(str::to_owned),
        about: spec.about.clone(),
        file: spec.file.clone(),
        folder: spec.file.parent().map(Path::to_path_buf).unwrap_or_default(),
        seed: spec.seed,
        simulated: applied.simulated,
        params: applied.values(),
        set: options.set.iter().cloned().collect(),
        results: results::results(&env, &drafts, &applied.results, errors),
        claims: results::claims(&env, &drafts, &spec.claims, &profiles, errors),
        releases: results::releases(&env, &drafts, &applied.releases, errors),
        made_from: sources
            .iter()
            .filter(|source| source.path.is_absolute())
            .map(|source| source.path.clone())
            .collect(),
        stages,
        instances,
    })
}

/// Sets the id of the first instance of every stage, in topological order.
fn number(drafts: &mut [Draft<'_>], order: &[usize], errors: &mut Vec<Diagnostic>) -> Option<()> {
    let mut next: u32 = 0;
    for stage in order {
        drafts[*stage].base = next;
        let cells = u32::try_from(drafts[*stage].cells.len()).ok();
        match cells.and_then(|cells| next.checked_add(cells)) {
            Some(after) => next = after,
            None => {
                let span = drafts[*stage].entry.name.span;
                errors.push(Diagnostic::new(Class::Axes, span, "this pipeline has more than 2^32 instances"));
                return None;
            }
        }
    }
    Some(())
}

fn instances(
    env: &Env<'_>,
    seed: u64,
    drafts: &[Draft<'_>],
    mut ports: Vec<Vec<Port>>,
    order: &[usize],
    errors: &mut Vec<Diagnostic>,
) -> Vec<Instance> {
    let mut instances: Vec<Instance> = Vec::with_capacity(drafts.iter().map(|draft| draft.cells.len()).sum());
    for number in order {
        let draft = &drafts[*number];
        let params = stage::Params::new(env, draft, errors);
        let own: BTreeSet<String> = draft.decl.restricted.iter().map(|name| name.text.clone()).collect();
        let before = errors.len();
        for cell in 0..draft.cells.len() {
            let at = draft.coordinates(cell);
            let mut report = |error: Diagnostic| errors.push(error);
            let inputs: BTreeMap<String, Source> = ports[*number]
                .iter_mut()
                .filter_map(|port| match inputs::source(env, drafts, *number, port, cell) {
                    Ok(source) => Some((port.name.clone(), source)),
                    Err(error) => {
                        report(error);
                        None
                    }
                })
                .collect();
            let params = params.of_cell(env, draft, cell).map_err(&mut report).unwrap_or_default();
            let seed = stage::seed(env, draft, seed, cell, &at).map_err(&mut report).unwrap_or_default();
            let restricted = own.clone();
            instances.push(Instance {
                stage: StageId(u32::try_from(*number).unwrap_or(u32::MAX)),
                at,
                params,
                inputs,
                seed,
                restricted,
            });
            // One cell is enough to show what is wrong with a stage.
            if errors.len() > before {
                break;
            }
        }
        if errors.len() > before {
            // Ids no longer fit, and this plan will not be used: fill up so that later stages can be checked too.
            let until = draft.base as usize + draft.cells.len();
            let filler = instances.last().cloned();
            instances.extend(filler.into_iter().cycle().take(until.saturating_sub(instances.len())));
        }
    }
    inherit(&mut instances);
    instances
}

/// Restrictions travel to every reader. Instances are in topological order, so one pass is enough.
fn inherit(instances: &mut [Instance]) {
    if instances.iter().all(|instance| instance.restricted.is_empty()) {
        return;
    }
    // Many instances share a gather: its restrictions are computed once.
    let mut gathers: BTreeMap<GatherId, BTreeSet<String>> = BTreeMap::new();
    for number in 0..instances.len() {
        let (before, rest) = instances.split_at_mut(number);
        let Some(instance) = rest.first_mut() else { return };
        for source in instance.inputs.values() {
            match source {
                Source::One(link) => instance.restricted.extend(restrictions(before, link)),
                Source::Many(cells) => {
                    let inherited = gathers
                        .entry(GatherId::of(cells))
                        .or_insert_with(|| cells.iter().flat_map(|(_, link)| restrictions(before, link)).collect());
                    instance.restricted.extend(inherited.iter().cloned());
                }
            }
        }
    }
}

fn restrictions(instances: &[Instance], link: &Link) -> impl Iterator<Item = String> {
    let found = match link {
        Link::Output { instance, .. } => {
            instances.get(instance.index()).map(|instance| instance.restricted.iter().cloned())
        }
        Link::File(_) => None,
    };
    found.into_iter().flatten()
}
