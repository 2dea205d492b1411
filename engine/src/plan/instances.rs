//! The instances of all stages, in topological order: parameters, inputs, seeds and restrictions of every cell.

use std::collections::BTreeSet;

use super::instance_params::StageParams;
use super::planning::Planning;
use super::ports::{self, Gathers, Port};
use super::resolved::{GatheredCell, Instance, Link, Source};
use super::seed::seed;
use crate::diag::{Class, Diagnostic};
use crate::ids::StageId;

/// Sets the id of the first instance of every stage, in topological order.
pub(super) fn number(context: &mut Planning<'_>, order: &[usize]) -> Option<()> {
    let mut next: u32 = 0;
    for stage in order {
        let draft = &mut context.drafts[*stage];
        draft.base = next;
        let after = u32::try_from(draft.cells.len()).ok().and_then(|cells| next.checked_add(cells));
        let Some(after) = after else {
            let message = "this pipeline has more than 2^32 instances";
            context.env.errors.add(Diagnostic::new(Class::Axes, draft.entry.name.span, message));
            return None;
        };
        next = after;
    }
    Some(())
}

/// The instances of all stages, and what they gather.
pub(super) fn instances(
    context: &Planning<'_>,
    pipeline_seed: u64,
    mut ports: Vec<Vec<Port>>,
    order: &[usize],
) -> (Vec<Instance>, Vec<Vec<GatheredCell>>) {
    let mut gathers = Gathers::default();
    let cells = context.drafts.iter().map(|draft| draft.cells.len()).sum();
    let mut instances: Vec<Instance> = Vec::with_capacity(cells);
    for stage in order {
        let draft = &context.drafts[*stage];
        let params = StageParams::new(&context.env, draft);
        let before = context.env.errors.count();
        for cell in 0..draft.cells.len() {
            instances.push(instance(context, &params, pipeline_seed, *stage, &mut ports[*stage], &mut gathers, cell));
            // One cell is enough to show what is wrong with a stage.
            if context.env.errors.count() > before {
                break;
            }
        }
        if context.env.errors.count() > before {
            // Ids no longer fit, and this plan will not be used: fill up so that later stages can be checked too.
            let until = draft.base as usize + draft.cells.len();
            let filler = instances.last().cloned();
            instances.extend(filler.into_iter().cycle().take(until.saturating_sub(instances.len())));
        }
    }
    let gathers = gathers.into_table();
    inherit(&mut instances, &gathers);
    (instances, gathers)
}

fn instance(
    context: &Planning<'_>,
    params: &StageParams<'_>,
    pipeline_seed: u64,
    stage: usize,
    ports: &mut [Port],
    gathers: &mut Gathers,
    cell: usize,
) -> Instance {
    let (env, draft) = (&context.env, &context.drafts[stage]);
    let at = draft.coordinates(cell);
    let sources = ports.iter_mut().filter_map(|port| {
        let source = env.errors.take(ports::source(context, gathers, stage, port, cell))?;
        Some((port.name.clone(), source))
    });
    Instance {
        stage: StageId(u32::try_from(stage).unwrap_or(u32::MAX)),
        inputs: sources.collect(),
        params: env.errors.take(params.of_cell(env, draft, cell)).unwrap_or_default(),
        seed: env.errors.take(seed(env, draft, pipeline_seed, cell, &at)).flatten(),
        restricted: draft.decl.restricted.iter().map(|name| name.text.clone()).collect(),
        at,
    }
}

/// Restrictions travel to every reader. Instances are in topological order, so one pass is enough.
fn inherit(instances: &mut [Instance], gathers: &[Vec<GatheredCell>]) {
    if instances.iter().all(|instance| instance.restricted.is_empty()) {
        return;
    }
    // Many instances share a gather: its restrictions are computed once.
    let mut of_gathers: Vec<Option<BTreeSet<String>>> = vec![None; gathers.len()];
    for number in 0..instances.len() {
        let (before, rest) = instances.split_at_mut(number);
        let Some(instance) = rest.first_mut() else { return };
        for source in instance.inputs.values() {
            match source {
                Source::One(link) => instance.restricted.extend(restrictions(before, link)),
                Source::Many(gather) => {
                    let cells = &gathers[gather.index()];
                    let inherited = of_gathers[gather.index()]
                        .get_or_insert_with(|| cells.iter().flat_map(|(_, link)| restrictions(before, link)).collect());
                    instance.restricted.extend(inherited.iter().cloned());
                }
            }
        }
    }
}

fn restrictions(instances: &[Instance], link: &Link) -> impl Iterator<Item = String> {
    let made_by = link.producer().and_then(|id| instances.get(id.index()));
    made_by.into_iter().flat_map(|instance| instance.restricted.iter().cloned())
}
