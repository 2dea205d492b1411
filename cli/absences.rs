//! Absent cells in few lines: where each absence arose, in the words of the stage that found it, how many instances are absent
//! because of it, and how to ask again.
//!
//! Cells of one stage with one cause are a group; of a long group the first few are shown. An absence that no other answer can
//! be had to (a list of exclusions names the cell) has no remedy here: the kind of its stage does not use the network.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use pipe_contract::Registry;
use pipe_engine::event::Outcome;
use pipe_engine::plan::{Plan, Work};

use crate::grouped::{several, stage};
use crate::printer::{CARE, HINT, styled};
use crate::quantities;

/// An absent cell.
#[derive(Clone, Copy, Debug)]
pub struct Absent<'a> {
    pub label: &'a str,
    pub cause: &'a str,
    /// Found by an earlier run.
    pub recorded: bool,
    /// The one that found it, if this one needs that one.
    pub origin: Option<&'a str>,
    /// What the stage said that found it.
    pub detail: Option<&'a str>,
}

impl<'a> Absent<'a> {
    /// The cell of this label, if it ended as absent.
    pub fn of(label: &'a str, outcome: &'a Outcome) -> Option<Self> {
        let Outcome::Absent { cause, recorded, origin, detail } = outcome else { return None };
        Some(Self { label, cause, recorded: *recorded, origin: origin.as_deref(), detail: detail.as_deref() })
    }
}

/// How much of long lists is shown.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// So many groups.
    pub groups: usize,
    /// So many cells of each.
    pub cells: usize,
}

/// The stages that ask a source, which may have another answer another time.
pub fn fetching(plan: &Plan, registry: &Registry) -> BTreeSet<String> {
    let asks = |work: &Work| matches!(work, Work::Kind(name) if registry.kind(name).is_some_and(|kind| kind.network));
    plan.stages.iter().filter(|stage| asks(&stage.work)).map(|stage| stage.name.clone()).collect()
}

/// Absent cells as lines. `fetching` are the stages that can be asked again.
pub fn text<'a>(absent: impl Iterator<Item = Absent<'a>>, most: Most, fetching: &BTreeSet<String>) -> String {
    let (found, inherited): (Vec<_>, Vec<_>) = absent.partition(|cell| cell.origin.is_none());
    let mut behind = BTreeMap::<&str, usize>::new();
    for cell in &inherited {
        *behind.entry(cell.origin.unwrap_or_default()).or_default() += 1;
    }
    let groups = groups(&found);
    let mut text = String::new();
    for cells in groups.iter().take(most.groups) {
        group(&mut text, cells, &behind, most.cells);
    }
    let left: usize = groups.iter().skip(most.groups).map(Vec::len).sum();
    if left > 0 {
        let _ = writeln!(text, "{} {left} more of other stages; `pipe status` has all of them", styled(CARE, "absent"));
    }
    elsewhere(&mut text, &found, &inherited);
    let asked: BTreeSet<&str> =
        found.iter().map(|cell| stage(cell.label)).filter(|name| fetching.contains(*name)).collect();
    if !asked.is_empty() {
        let names = asked.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let hint = styled(HINT, "hint:");
        let _ = writeln!(text, "  {hint} another run does not ask again for {names}; `--retry-absent` does");
    }
    text
}

/// The cells of each stage and cause, in the order they come.
fn groups<'c, 'a>(found: &'c [Absent<'a>]) -> Vec<Vec<&'c Absent<'a>>> {
    let mut groups: Vec<Vec<&Absent<'_>>> = Vec::new();
    let mut place = BTreeMap::new();
    for cell in found {
        let at = *place.entry((stage(cell.label), cell.cause, cell.recorded)).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(cell),
            None => groups.push(vec![cell]),
        }
    }
    groups
}

/// A single cell is one line; of several, each has a line below that of the group.
fn group(text: &mut String, cells: &[&Absent<'_>], behind: &BTreeMap<&str, usize>, most: usize) {
    let Some(first) = cells.first() else { return };
    let behind = |cell: &Absent<'_>| behind.get(cell.label).copied().unwrap_or(0);
    let word = styled(CARE, "absent");
    let known = if first.recorded { " (recorded earlier)" } else { "" };
    let said = |cell: &Absent<'_>| cell.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    if cells.len() == 1 {
        let with = with_it(behind(first), "it");
        let _ = writeln!(text, "{word} {}: {}{known}{}{with}", first.label, first.cause, said(first));
        return;
    }
    let with = with_it(cells.iter().map(|cell| behind(cell)).sum(), "them");
    let count = quantities::count(cells.len(), "cell");
    let _ = writeln!(text, "{word} {}: {} in {count}{known}{with}", stage(first.label), first.cause);
    for cell in cells.iter().take(most) {
        let with = match behind(cell) {
            0 => String::new(),
            number => format!(" ({number} more with it)"),
        };
        let _ = writeln!(text, "  {}{}{with}", cell.label, said(cell));
    }
    if cells.len() > most {
        let _ = writeln!(text, "  and {} more; `pipe status` has all of them", cells.len() - most);
    }
}

/// What is absent because of cells.
fn with_it(number: usize, them: &str) -> String {
    match number {
        0 => String::new(),
        1 => format!("; 1 instance that needs {them} is absent too"),
        _ => format!("; {number} instances that need {them} are absent too"),
    }
}

/// Cells that are absent because of others that are no part of this run.
fn elsewhere(text: &mut String, found: &[Absent<'_>], inherited: &[Absent<'_>]) {
    let here: BTreeSet<&str> = found.iter().map(|cell| cell.label).collect();
    let mut by_origin = BTreeMap::<(&str, &str), Vec<&str>>::new();
    for cell in inherited {
        let origin = cell.origin.unwrap_or_default();
        if !here.contains(origin) {
            by_origin.entry((origin, cell.cause)).or_default().push(cell.label);
        }
    }
    for ((origin, cause), labels) in by_origin {
        let Some((first, others)) = labels.split_first() else { continue };
        let cells = several(first, others);
        let _ = writeln!(text, "{} {cells}: {cause}, as `{origin}` is", styled(CARE, "absent"));
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    const ALL: Most = Most { groups: usize::MAX, cells: usize::MAX };
    const FEW: Most = Most { groups: 2, cells: 2 };

    fn found<'a>(label: &'a str, cause: &'a str, detail: &'a str) -> Absent<'a> {
        Absent { label, cause, recorded: false, origin: None, detail: Some(detail) }
    }

    fn needs<'a>(label: &'a str, origin: &'a str) -> Absent<'a> {
        Absent { label, cause: "not-found", recorded: false, origin: Some(origin), detail: None }
    }

    fn shown(absent: &[Absent<'_>], most: Most) -> String {
        strip_str(&text(absent.iter().copied(), most, &BTreeSet::from(["subject".to_owned()]))).to_string()
    }

    #[test]
    fn one_cell_is_one_line_with_what_needs_it() {
        let all = [
            found("subject(sid=s2)", "not-found", "`s2/rh.sulc` does not exist"),
            needs("images(sid=s2)", "subject(sid=s2)"),
            needs("score(sid=s2)", "subject(sid=s2)"),
        ];
        assert_eq!(
            shown(&all, FEW),
            "absent subject(sid=s2): not-found: `s2/rh.sulc` does not exist; 2 instances that need it are absent too\n  \
             hint: another run does not ask again for `subject`; `--retry-absent` does\n"
        );
    }

    #[test]
    fn cells_of_a_stage_and_cause_are_a_group() {
        let all = [
            found("kept(sid=s1)", "excluded", "the list names s1"),
            found("kept(sid=s2)", "excluded", "the list names s2"),
            found("kept(sid=s3)", "excluded", "the list names s3"),
            Absent { recorded: true, ..found("kept(sid=s4)", "excluded", "the list names s4") },
            needs("targets(sid=s2)", "kept(sid=s2)"),
        ];
        let group = "absent kept: excluded in 3 cells; 1 instance that needs them is absent too\n  \
                     kept(sid=s1): the list names s1\n  kept(sid=s2): the list names s2 (1 more with it)\n";
        let recorded = "absent kept(sid=s4): excluded (recorded earlier): the list names s4\n";
        assert_eq!(shown(&all, FEW), format!("{group}  and 1 more; `pipe status` has all of them\n{recorded}"));
        assert_eq!(shown(&all, ALL), format!("{group}  kept(sid=s3): the list names s3\n{recorded}"));
    }

    #[test]
    fn many_groups_are_cut_and_origins_outside_of_the_run_are_named() {
        let all = [found("a", "not-found", "x"), found("b", "not-found", "y"), found("c", "not-found", "z")];
        assert!(shown(&all, FEW).ends_with("absent 1 more of other stages; `pipe status` has all of them\n"));
        let outside = [needs("images(sid=s2)", "subject(sid=s2)"), needs("score(sid=s2)", "subject(sid=s2)")];
        let expected = "absent images(sid=s2) and 1 more (score): not-found, as `subject(sid=s2)` is\n";
        assert_eq!(shown(&outside, FEW), expected);
    }
}
