//! What the kinds that split stimuli share: the table that they split, and how what is left of a split without some stimuli is written.
//!
//! A split is sampled of the whole table, and only then restricted to the stimuli that were measured: so it does not depend on what is
//! missing, as in the lab.

use pipe_contract::{Arity, Context, Ended, Failure, Kind, Task};
use polars::prelude::DataFrame;

use crate::formats::data_table;
use crate::formats::matrix::{Matrix, MatrixAxis};
use crate::formats::stimulus_split::{COLUMNS, Fold, StimulusSplit};

/// Declares the ports.
pub(super) fn declare(kind: Kind, what: &'static str) -> Kind {
    kind.input("table", &["table"], what)
        .port(
            "within",
            &["matrix"],
            Arity::One,
            true,
            "a matrix: stimuli that are none of its rows are left out of what was split",
        )
        .folder(
            "split",
            "split/stimuli",
            "the part of each stimulus: columns `id`, `fold` (from 0), `part` (`train`, `choose`, `test`)",
        )
        .described(data_table::FILES, COLUMNS)
}

/// The stimuli of a table.
pub(super) struct Stimuli {
    pub axis: MatrixAxis,
    place: String,
}

impl Stimuli {
    pub fn read(task: &Task) -> Result<Self, Failure> {
        let folder = task.one("table")?;
        let place = folder.display().to_string();
        let axis = MatrixAxis::new(data_table::read(folder)?).map_err(|failure| failure.at(place.clone()))?;
        Ok(Self { axis, place })
    }

    pub fn ids(&self) -> &[String] {
        self.axis.ids()
    }

    /// A column, as read by `read`.
    pub fn column<T>(
        &self,
        name: &str,
        read: impl FnOnce(&DataFrame, &str) -> Result<Vec<T>, Failure>,
    ) -> Result<Vec<T>, Failure> {
        read(self.axis.table(), name).map_err(|failure| failure.at(self.place.clone()))
    }

    /// Writes folds, whose parts are positions in the table, in ascending order.
    pub fn write(&self, task: &Task, context: &dyn Context, folds: &[[Vec<usize>; 3]]) -> Result<Ended, Failure> {
        let within = task.maybe("within").map(Matrix::open).transpose()?;
        let is_in = |id: &String| within.as_ref().is_none_or(|matrix| matrix.rows().position(id).is_some());
        let list = |positions: &Vec<usize>| {
            let mut positions = positions.clone();
            positions.sort_unstable();
            positions.into_iter().map(|at| self.ids()[at].clone()).filter(is_in).collect()
        };
        let fold = |[train, choose, test]: &[Vec<usize>; 3]| Fold {
            train: list(train),
            choose: list(choose),
            test: list(test),
        };
        let split = StimulusSplit { folds: folds.iter().map(fold).collect() };
        let left_out = self.ids().iter().filter(|id| !is_in(id)).count();
        for (number, (fold, before)) in split.folds.iter().zip(folds).enumerate() {
            let after = [&fold.train, &fold.choose, &fold.test];
            for ((after, before), part) in after.into_iter().zip(before).zip(["train", "choose", "test"]) {
                let must_have = part != "choose" || !before.is_empty();
                if after.is_empty() && must_have {
                    let why = if before.is_empty() { "" } else { " that is a row of `within`" };
                    return Err(Failure::input(format!("fold {number} has no stimulus{why} for the part `{part}`"))
                        .at(self.place.clone()));
                }
            }
            let [train, choose, test] = after.map(Vec::len);
            context.log(&format!("fold {number}: {train} stimuli train, {choose} choose penalties, {test} are tested"));
        }
        split.write(task.output("split")?)?;
        let note = format!("{left_out} of {} stimuli are no rows of `within` and left out", self.ids().len());
        Ok(Ended::noted(if left_out > 0 { vec![note] } else { Vec::new() }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use pipe_contract::{StageKind, Value};

    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::formats::matrix::{self, MatrixAbout};
    use crate::test_support::tasks;

    /// Splits a table by a kind; `within` are the rows of the matrix there, if there is one.
    pub fn split(
        kind: &dyn StageKind,
        table: DataTable,
        set: &[(&str, Value)],
        within: Option<&[&str]>,
    ) -> Result<(StimulusSplit, Vec<String>), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(kind, folder.path());
        let path = |name: &str| folder.path().join(name);
        data_table::write(&path("given"), &mut table.build().unwrap()).unwrap();
        tasks::give(&mut task, "table", &path("given"));
        if let Some(rows) = within {
            write_matrix(&path("within"), rows);
            tasks::give(&mut task, "within", &path("within"));
        }
        for (name, value) in set {
            tasks::set(&mut task, name, value.clone());
        }
        let notes = tasks::run(kind, &task)?;
        Ok((StimulusSplit::read(&path("split")).unwrap(), notes))
    }

    fn write_matrix(folder: &Path, rows: &[&str]) {
        let axis = MatrixAxis::of_ids(rows.iter().copied()).unwrap();
        let columns = MatrixAxis::of_ids(["v"]).unwrap();
        matrix::write(folder, &axis, &columns, &MatrixAbout::default(), &vec![0.0_f32; rows.len()]).unwrap();
    }
}
