//! `score/...`: the kinds that measure how well methods agree, the mean of that, and what each source of information contributes.

use std::collections::BTreeMap;

use pipe_contract::{Failure, Presence, Registry, Task};

use crate::formats::data_table;
use crate::formats::score_table::HeldOut;

mod dice;
mod partition;
mod partition_figure;
mod score_summary;

/// Adds the kinds of this folder.
pub fn install(registry: &mut Registry) {
    registry.add(dice::DiceScores);
    registry.add(score_summary::Summary);
    registry.add(partition::VariancePartition);
}

/// The scores of held-out subjects at the ports `scores` and `split`, and a note if some subjects have none.
fn held_out(task: &Task) -> Result<(HeldOut, Vec<String>), Failure> {
    let split = data_table::split(task.one("split")?)?;
    let scores = HeldOut::read(task.present("scores").map(|(_, path)| path), &split)?;
    let notes = absences(task, "scores").into_iter().collect();
    Ok((scores, notes))
}

/// One sentence about the absent cells of a gather, if there are any.
fn absences(task: &Task, port: &str) -> Option<String> {
    let cells = task.many(port);
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for cell in cells {
        if let Presence::Absent(cause) = &cell.artifact {
            *causes.entry(cause).or_default() += 1;
        }
    }
    let absent: usize = causes.values().sum();
    let causes: Vec<String> = causes.into_iter().map(|(cause, count)| format!("{count} {cause}")).collect();
    (absent > 0).then(|| format!("{} of {} `{port}` ({})", cells.len() - absent, cells.len(), causes.join(", ")))
}
