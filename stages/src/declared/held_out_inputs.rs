//! The inputs of every kind that is about the scores of held-out subjects: their declaration, how they are read, and for how many
//! intervals widths are corrected. Does not depend on what the scores are for.

use pipe_contract::{Failure, Kind, Task, parameters};

use crate::formats::data_table;
use crate::formats::score_table::{self, HeldOut};

/// Declares the ports `scores` and `split`.
pub fn declare(kind: Kind, scores: &'static str) -> Kind {
    kind.gather("scores", &["table/scores"], scores).input(
        "split",
        &["split"],
        "whose scores count (`partition` is `test`, or `val` of two parts)",
    )
}

/// The scores of held-out subjects at these ports, and a note if some subjects have none.
///
/// # Errors
/// As [`HeldOut::read`]; the split is not one.
pub fn read(task: &Task) -> Result<(HeldOut, Vec<String>), Failure> {
    let split = data_table::split(task.one("split")?)?;
    let scores = HeldOut::read(task.present("scores").map(|(_, path)| path), &split)?;
    Ok((scores, task.absences("scores").into_iter().collect()))
}

parameters! {
    /// For how many intervals widths are corrected.
    pub struct Comparisons {
        /// number of intervals for which widths are corrected; 0: as many as the published figure draws (28 for area, 22 for ring)
        comparisons: u32 = 0, in 0..=10_000;
    }
}

impl Comparisons {
    /// Their number for a parcellation.
    pub fn of(&self, parcellation: &str) -> u32 {
        if self.comparisons == 0 { score_table::comparisons(parcellation) } else { self.comparisons }
    }
}
