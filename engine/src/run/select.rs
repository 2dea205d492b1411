//! Resolves names and selections to instances.

use std::collections::BTreeSet;

use pipe_contract::Failure;

use super::options::Selection;
use crate::ids::InstanceId;
use crate::plan::{Plan, Stage};
use crate::sched::needed_by;

/// The instances of a stage by name, narrowed by coordinates if there are any: `score`, `score(sid=s03)`,
/// `score(outputs=area, sid=s03)`.
///
/// # Errors
/// No such stage, axis or coordinate; the nearest known name is the hint.
pub fn named(plan: &Plan, text: &str) -> Result<BTreeSet<InstanceId>, Failure> {
    let (name, narrowed) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        Some((name, inside)) => (name.trim(), inside),
        None => (text.trim(), ""),
    };
    let stage = plan.stages.iter().find(|stage| stage.name == name).ok_or_else(|| {
        let known = plan.stages.iter().map(|stage| stage.name.as_str());
        unknown(format!("there is no stage `{name}`"), name, known)
    })?;
    let all = || stage.instances.clone().map(InstanceId);
    // A label as it is shown, whatever its coordinates hold.
    if let Some(exact) = all().find(|id| plan.label(*id) == text) {
        return Ok(BTreeSet::from([exact]));
    }
    let mut found: BTreeSet<InstanceId> = all().collect();
    for part in narrowed.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (axis, at) = coordinate(stage, part)?;
        let on_axis = |id: &InstanceId| plan.instance(*id).at.get(axis).map(String::as_str);
        if !all().any(|id| on_axis(&id) == Some(at)) {
            let known: BTreeSet<&str> = stage
                .instances
                .clone()
                .filter_map(|id| plan.instance(InstanceId(id)).at.get(axis).map(String::as_str))
                .collect();
            return Err(unknown(format!("axis `{axis}` of stage `{name}` has no `{at}`"), at, known.into_iter()));
        }
        found.retain(|id| on_axis(id) == Some(at));
    }
    if found.is_empty() {
        return Err(Failure::input(format!("stage `{name}` has no instance at `{narrowed}`")));
    }
    Ok(found)
}

fn coordinate<'t>(stage: &Stage, part: &'t str) -> Result<(&'t str, &'t str), Failure> {
    let (axis, at) = part.split_once('=').ok_or_else(|| {
        Failure::input(format!("expected `axis=value` in the brackets of `{}`, found `{part}`", stage.name))
    })?;
    let (axis, at) = (axis.trim(), at.trim());
    if stage.axes.iter().any(|known| known == axis) {
        return Ok((axis, at));
    }
    let known = stage.axes.iter().map(String::as_str);
    Err(unknown(format!("stage `{}` has no axis `{axis}`", stage.name), axis, known))
}

fn unknown<'k>(message: String, name: &str, known: impl Iterator<Item = &'k str>) -> Failure {
    let nearest = known
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)));
    match nearest {
        Some((_, nearest)) => Failure::input(message).hint(format!("the nearest name is `{nearest}`")),
        None => Failure::input(message),
    }
}

/// Marks the instances a selection is about; `None` is all of them.
///
/// # Errors
/// A name that is not there, or a selection of nothing.
pub fn wanted(plan: &Plan, selection: &Selection) -> Result<Option<Vec<bool>>, Failure> {
    let Selection { stages, from, until, only } = selection;
    if [stages, from, until, only].iter().all(|names| names.is_empty()) {
        return Ok(None);
    }
    let some = |names: &[String]| -> Result<BTreeSet<InstanceId>, Failure> {
        names.iter().try_fold(BTreeSet::new(), |mut all, name| {
            all.extend(named(plan, name)?);
            Ok(all)
        })
    };
    let targets: BTreeSet<_> = some(stages)?.union(&some(until)?).copied().collect();
    let sources = some(from)?;
    let only = some(only)?;
    let mut wanted =
        if targets.is_empty() { vec![!sources.is_empty(); plan.instances.len()] } else { needed_by(plan, &targets) };
    if !sources.is_empty() {
        let below = dependents(plan, &sources);
        wanted.iter_mut().zip(below).for_each(|(wanted, below)| *wanted &= below);
    }
    for id in only {
        wanted[id.index()] = true;
    }
    if wanted.iter().any(|wanted| *wanted) {
        return Ok(Some(wanted));
    }
    let list = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let end: Vec<String> = until.iter().chain(stages).cloned().collect();
    Err(Failure::input(format!(
        "nothing is selected: no stage both depends on {} and is needed by {}",
        list(from),
        list(&end)
    ))
    .hint("`pipe graph` shows which stage reads which; were the two meant the other way round?"))
}

/// The instances that are to be made once more, whatever is recorded.
pub(super) fn forced(plan: &Plan, names: &[String], wanted: Option<&[bool]>) -> Result<BTreeSet<InstanceId>, Failure> {
    let mut forced = BTreeSet::new();
    for name in names {
        let found = named(plan, name)?;
        if wanted.is_some_and(|wanted| found.iter().all(|id| !wanted[id.index()])) {
            return Err(Failure::input(format!("`--force {name}` forces nothing: the selection leaves `{name}` out"))
                .hint(format!("select it too, or drop `--force {name}`")));
        }
        forced.extend(found);
    }
    Ok(forced)
}

/// Marks instances and everything that reads them, directly or indirectly.
fn dependents(plan: &Plan, sources: &BTreeSet<InstanceId>) -> Vec<bool> {
    let mut marked = vec![false; plan.instances.len()];
    for id in plan.ids() {
        marked[id.index()] = sources.contains(&id) || plan.reads(id).iter().any(|read| marked[read.index()]);
    }
    marked
}

/// The instances whose outputs a selection reads without running them.
pub(super) fn only_read(plan: &Plan, wanted: &[bool]) -> Vec<bool> {
    let mut read = vec![false; wanted.len()];
    let ids = plan.ids().filter(|id| wanted[id.index()]).collect();
    for (index, needed) in needed_by(plan, &ids).into_iter().enumerate() {
        read[index] = needed && !wanted[index];
    }
    read
}
