//! By which rows a transformation is fitted: those that a split trains on or chooses by, so that nothing is learnt of those it tests.

use pipe_contract::{Arity, Failure, Kind, Task};

use crate::formats::matrix::Matrix;
use crate::formats::stimulus_split::StimulusSplit;

/// Declares the port `split`.
pub(super) fn declare(kind: Kind) -> Kind {
    kind.port(
        "split",
        &["split/stimuli"],
        Arity::One,
        true,
        "a fixed split, by whose parts `train` and `choose` it is fitted; without it by all rows",
    )
}

/// The rows to fit by, those of `train` before those of `choose`, each in the order of the split; and what they are, in words.
pub(super) fn read(task: &Task, matrix: &Matrix) -> Result<(Vec<usize>, String), Failure> {
    let all = matrix.rows().len();
    let Some(path) = task.maybe("split") else { return Ok(((0..all).collect(), format!("all {all} rows"))) };
    let split = StimulusSplit::read(path)?;
    let [fold] = split.folds.as_slice() else {
        return Err(Failure::input(format!(
            "the split has {} folds, expected a fixed split of one",
            split.folds.len()
        ))
        .at(path.display().to_string())
        .hint(
            "with several folds every row is tested in some: `standardise: true` of `encode/ridge` and `encode/banded` scales features in \
             every fold by its own rows; without `split`, this looks at all rows, those that folds test included",
        ));
    };
    let rows = matrix.rows().positions_of(fold.seen(), "stimuli of `split`");
    let rows = rows.map_err(|failure| failure.at(matrix.place()))?;
    let words = format!("{} of {all} rows, those that `split` trains on or chooses by", rows.len());
    Ok((rows, words))
}

/// That all values of a column are finite numbers.
pub(super) fn check_finite(matrix: &Matrix, column: usize, values: impl Iterator<Item = f64>) -> Result<(), Failure> {
    match values.zip(matrix.rows().ids()).find(|(value, _)| !value.is_finite()) {
        None => Ok(()),
        Some((value, row)) => {
            let id = &matrix.columns().ids()[column];
            Err(Failure::input(format!("column `{id}` is {value} in row `{row}`, expected finite numbers"))
                .at(matrix.place()))
        }
    }
}
