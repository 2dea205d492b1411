//! What follows when every instance has ended: publishes results, checks claims, collects digests for the lockfile.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pipe_contract::Failure;

use super::inputs::Linked;
use super::lookup::Lookup;
use super::run_summary::Summary;
use super::state_dir::StateDir;
use crate::plan::Link;
use crate::report::{Locked, Piece, Results, check_claims, pieces_of, publish, results_folder};

/// Publishes results, if the run `publishes`, and checks claims.
pub(super) fn finish_results(
    lookup: &mut Lookup<'_>,
    state_dir: &StateDir,
    summary: &mut Summary,
    publishes: bool,
    wanted: Option<&[bool]>,
) {
    let plan = lookup.plan;
    let mut results = Results { folder: results_folder(plan), ..Results::default() };
    let mut pieces = Vec::new();
    for published in &plan.results {
        if !is_wanted(&published.link, wanted) {
            continue;
        }
        match lookup.content(&published.link) {
            Ok(Linked::Present(located)) => match pieces_of(&state_dir.store, published, &located.artifact) {
                Ok(some) => pieces.extend(some),
                Err(why) => {
                    results.failures.push(Failure::stage(format!("`{}` cannot be published: {why}", published.path)));
                }
            },
            Ok(Linked::Absent { cause, .. }) => {
                results.missing.push((published.path.clone(), format!("absent ({cause})")));
            }
            Ok(Linked::Open(id)) => {
                results
                    .missing
                    .push((published.path.clone(), format!("because `{}` did not end well", plan.label(id))));
            }
            Err(failure) => results.failures.push(failure),
        }
    }
    if publishes {
        publish(&state_dir.store, &mut lookup.local.sources, &pieces, wanted.is_none(), &mut results);
    }
    summary.results = results;
    let whole = |link: &&crate::plan::Claim| is_wanted(&link.table, wanted);
    let claims: Vec<_> = plan.claims.iter().filter(whole).cloned().collect();
    summary.claims = check_claims(&claims, |link| path_of_link(lookup, state_dir, link));
}

fn is_wanted(link: &Link, wanted: Option<&[bool]>) -> bool {
    match (link, wanted) {
        (Link::Output { instance, .. }, Some(wanted)) => wanted[instance.index()],
        _ => true,
    }
}

/// Where an artifact can be read, or why not.
fn path_of_link(lookup: &mut Lookup<'_>, state_dir: &StateDir, link: &Link) -> Result<PathBuf, String> {
    match lookup.content(link).map_err(|failure| failure.to_string())? {
        Linked::Present(located) => located.path(&state_dir.store, None).map_err(|error| error.to_string()),
        Linked::Absent { cause, .. } => Err(format!("absent ({cause})")),
        Linked::Open(id) => Err(format!("`{}` did not end well", lookup.plan.label(id))),
    }
}

/// Digests of everything the plan publishes. What cannot be published is left out: it is among the failures of
/// [`finish_results`], and then no lockfile is written.
pub(super) fn locked_results(lookup: &mut Lookup<'_>, state_dir: &StateDir) -> BTreeMap<String, Locked> {
    let mut locked = BTreeMap::new();
    for published in &lookup.plan.results {
        let Ok(Linked::Present(located)) = lookup.content(&published.link) else { continue };
        let Ok(pieces) = pieces_of(&state_dir.store, published, &located.artifact) else { continue };
        let entry = |Piece { path, blob }| (path, Locked { digest: blob.digest, bytes: blob.bytes });
        locked.extend(pieces.into_iter().map(entry));
    }
    locked
}
