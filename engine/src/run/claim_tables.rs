//! Checks the claims of a run: finds the table of each.

use std::path::PathBuf;

use pipe_contract::Failure;

use super::artifact_types::table_at;
use super::inputs::LinkedInput;
use super::lookup::Lookup;
use super::release::refusal;
use super::result_lines::is_wanted;
use super::sessions::Sessions;
use crate::plan::{Claim, Link, Plan};
use crate::report::{ClaimReport, check_claims, damaged_failure};

/// Checks the claims about what the run `wanted`.
pub(super) fn checked_claims(lookup: &mut Lookup<'_>, wanted: Option<&[bool]>) -> Vec<ClaimReport> {
    let plan = lookup.plan;
    let claims: Vec<Claim> = plan.claims.iter().filter(|claim| is_wanted(&claim.table, wanted)).cloned().collect();
    check_claims(&claims, |link| Ok((table_of_link(lookup, link)?, named(plan, link))))
}

/// What an artifact is called in messages.
fn named(plan: &Plan, link: &Link) -> String {
    match link {
        Link::Output { instance, port, entry } => {
            let entry = entry.as_ref().map(|entry| format!("/{entry}")).unwrap_or_default();
            format!("{}.{port}{entry}", plan.label(*instance))
        }
        Link::File(path) => path.strip_prefix(&plan.folder).unwrap_or(path).display().to_string(),
    }
}

/// Where the table of an artifact can be read, or why not.
fn table_of_link(lookup: &mut Lookup<'_>, link: &Link) -> Result<PathBuf, String> {
    // A number of a table that may not be published may not be reported either, nor whether it is as claimed.
    if let Some(why) = refusal(lookup, link).map_err(|failure| with_hint(&failure))? {
        return Err(format!("not checked: its table is {why}"));
    }
    match lookup.content(link).map_err(|failure| with_hint(&failure))? {
        LinkedInput::Present(located) => {
            let path = located
                .path(lookup.dirs, &Sessions::default())
                .map_err(|error| with_hint(&damaged_failure(&error, &named(lookup.plan, link))))?;
            table_at(lookup.plan, lookup.registry, link, path)
        }
        LinkedInput::Absent { cause, .. } => Err(format!("absent ({cause})")),
        LinkedInput::Open(id) => Err(format!("`{}` did not end well", lookup.plan.label(id))),
    }
}

/// A failure in one sentence, which is all that a claim has.
fn with_hint(failure: &Failure) -> String {
    failure.hint.as_ref().map_or_else(|| failure.to_string(), |hint| format!("{failure}; {hint}"))
}
