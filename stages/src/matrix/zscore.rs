//! `matrix/zscore`: every column with mean 0 and standard deviation 1 over the rows that may be looked at.
//!
//! The population's standard deviation (divided by the number of rows), mean and deviations in `f64`. A column that has the same
//! value in all of these rows has no such scale. The lab instead calculates in the type of the file, row after row, first those that
//! train, then those that choose, and adds 1e-6 to every standard deviation, so that a constant column becomes zeros.
//!
//! One matrix has one scale, so a split of several folds is refused: `standardise` of `encode/ridge` and `encode/banded` learns a scale in
//! every fold.

use pipe_contract::{Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, choice, parameters};

use super::seen_rows;
use crate::declared::lab_compat::LabCompat;
use crate::formats::matrix::{Matrix, MatrixWriter};
use crate::formats::npy_file::{Float, FloatType};
use crate::numeric::counts::real;

/// The kind.
pub(super) struct ZScore;

parameters! {
    struct Parameters {
        /// what happens to columns that have the same value in all rows that are looked at; the lab keeps them
        constant: Constant = Constant::Refuse;
        /// follow the lab: arithmetic in the type of the file, in its order, and 1e-6 added to every standard deviation
        compat: LabCompat = LabCompat::None;
    }
}

choice! {
    /// What happens to constant columns.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Constant {
        /// They are a failure.
        Refuse = "refuse",
        /// They are left out.
        Drop = "drop",
    }
}

/// Numbers that are held at a time.
const MOST_AT_ONCE: usize = 1 << 24;
/// So many columns are named in a message.
const NAMED: usize = 5;

impl StageKind for ZScore {
    fn kind(&self) -> Kind {
        let kind = Kind::new("matrix/zscore", 1, "every column with mean 0 and standard deviation 1").input(
            "matrix",
            &["matrix"],
            "a matrix of finite numbers",
        );
        seen_rows::declare(kind)
            .folder("matrix", "matrix", "its numbers standardised, in all of its rows")
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let matrix = Matrix::open(task.one("matrix")?)?;
        let notes = match matrix.float_type() {
            FloatType::F32 => standardise::<f32>(task, &matrix, MOST_AT_ONCE),
            FloatType::F64 => standardise::<f64>(task, &matrix, MOST_AT_ONCE),
        }?;
        notes.iter().for_each(|note| context.log(note));
        Ok(Ended::noted(notes))
    }
}

fn standardise<T: Single>(task: &Task, matrix: &Matrix, most: usize) -> Result<Vec<String>, Failure> {
    let Parameters { constant, compat } = task.parameters()?;
    let (seen, rows) = seen_rows::read(task, matrix)?;
    let (height, width) = (matrix.rows().len(), matrix.columns().len());
    let step = (most / height).max(1);
    let blocks = || (0..width).step_by(step).map(|first| first..(first + step).min(width));
    let mut kept = Vec::new();
    for block in blocks() {
        let values = matrix.block::<T>(block.clone(), None)?;
        for (column, values) in block.zip(values.chunks_exact(height)) {
            seen_rows::check_finite(matrix, column, values.iter().map(|value| value.wide()))?;
            let first = values[seen[0]];
            if compat == LabCompat::Lab08 || seen.iter().any(|row| values[*row] != first) {
                kept.push(column);
            }
        }
    }
    let mut notes = Vec::new();
    if kept.len() < width {
        let ids = matrix.columns().ids();
        let constants = (0..width).filter(|column| kept.binary_search(column).is_err());
        let named: Vec<String> = constants.take(NAMED).map(|column| format!("`{}`", ids[column])).collect();
        let (count, more) = (width - kept.len(), if width - kept.len() > NAMED { ", ..." } else { "" });
        let what = format!("{count} of {width} columns have the same value in {rows}: {}{more}", named.join(", "));
        if constant == Constant::Refuse || kept.is_empty() {
            return Err(Failure::input(what)
                .at(matrix.place())
                .hint("they have no standard deviation; `constant: drop` leaves them out"));
        }
        notes.push(format!("{IMPORTANT}{what}; left out"));
    }
    let step = match compat {
        LabCompat::None => format!("z-scored by {rows}"),
        LabCompat::Lab08 => format!("z-scored by {rows}, as the lab does"),
    };
    let axis = matrix.columns().part(&kept)?;
    let about = matrix.about().clone().then(step);
    let to = MatrixWriter::create(task.output("matrix")?, matrix.rows(), &axis, &about, T::TYPE)?;
    let mut written = 0;
    for block in blocks() {
        let values = matrix.block::<T>(block.clone(), None)?;
        for (column, values) in block.zip(values.chunks_exact(height)) {
            if kept.binary_search(&column).is_ok() {
                let scaled = match compat {
                    LabCompat::None => scaled(values, &seen),
                    LabCompat::Lab08 => scaled_by_lab(values, &seen),
                };
                to.columns(written, &scaled)?;
                written += 1;
            }
        }
    }
    Ok(notes)
}

fn scaled<T: Float>(values: &[T], seen: &[usize]) -> Vec<T> {
    let count = real(seen.len());
    let mean = seen.iter().map(|row| values[*row].wide()).sum::<f64>() / count;
    let variance = seen.iter().map(|row| (values[*row].wide() - mean).powi(2)).sum::<f64>() / count;
    let sd = variance.sqrt();
    values.iter().map(|value| T::of((value.wide() - mean) / sd)).collect()
}

/// What the lab adds to every standard deviation.
const ADDED: f64 = 1e-6;

/// A column as NumPy standardises it: it adds the rows of a matrix one after the other in the type of the file, and every step is
/// rounded to that.
fn scaled_by_lab<T: Single>(values: &[T], seen: &[usize]) -> Vec<T> {
    let count = T::of(real(seen.len()));
    let seen = || seen.iter().map(|row| values[*row]);
    let mean = seen().fold(T::of(0.0), T::plus).over(count);
    let squares = seen().map(|value| value.minus(mean)).map(|difference| difference.times(difference));
    let sd = squares.fold(T::of(0.0), T::plus).over(count).root().plus(T::of(ADDED));
    values.iter().map(|value| value.minus(mean).over(sd)).collect()
}

/// Arithmetic that is rounded to the type at every step. A result of one operation in `f64`, rounded once more, is the one in `f32`.
trait Single: Float {
    fn plus(self, other: Self) -> Self {
        Self::of(self.wide() + other.wide())
    }

    fn minus(self, other: Self) -> Self {
        Self::of(self.wide() - other.wide())
    }

    fn times(self, other: Self) -> Self {
        Self::of(self.wide() * other.wide())
    }

    fn over(self, other: Self) -> Self {
        Self::of(self.wide() / other.wide())
    }

    fn root(self) -> Self {
        Self::of(self.wide().sqrt())
    }
}

impl Single for f32 {}
impl Single for f64 {}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::formats::matrix::{self, MatrixAbout, MatrixAxis};
    use crate::formats::stimulus_split::{Fold, StimulusSplit};
    use crate::test_support::tasks;

    /// Rows `a` to `f`, of which `f` is tested; columns of 32 bits.
    fn run(columns: &[[f32; 6]], set: &[(&str, &str)], with_split: bool) -> Result<Scaled, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&ZScore, folder.path());
        let path = folder.path().join("in");
        let rows = MatrixAxis::of_ids(["a", "b", "c", "d", "e", "f"]).unwrap();
        let names = MatrixAxis::of_ids((0..columns.len()).map(|at| format!("c{at}"))).unwrap();
        matrix::write(&path, &rows, &names, &MatrixAbout::default(), &columns.concat()).unwrap();
        tasks::give(&mut task, "matrix", &path);
        if with_split {
            let text = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
            let fold = Fold { train: text(&["a", "c", "e"]), choose: text(&["b", "d"]), test: text(&["f"]) };
            let split = folder.path().join("split");
            StimulusSplit { folds: vec![fold] }.write(&split).unwrap();
            tasks::give(&mut task, "split", &split);
        }
        for (name, value) in set {
            tasks::set(&mut task, name, Value::Text((*value).to_owned()));
        }
        let notes = tasks::run(&ZScore, &task)?;
        let matrix = Matrix::open(&folder.path().join("matrix")).unwrap();
        Ok(Scaled {
            values: matrix.block(0..matrix.columns().len(), None).unwrap(),
            columns: matrix.columns().ids().to_vec(),
            history: matrix.about().history.clone(),
            notes,
        })
    }

    #[derive(Debug)]
    struct Scaled {
        values: Vec<f32>,
        columns: Vec<String>,
        history: Vec<String>,
        notes: Vec<String>,
    }

    const COLUMN: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 9.0];

    #[test]
    fn seen_rows_have_mean_0_and_deviation_1() {
        let scaled = run(&[COLUMN], &[], true).unwrap();
        let sd = 2_f64.sqrt();
        let expected = [-2.0, -1.0, 0.0, 1.0, 2.0, 6.0].map(|x| f32::of(x / sd));
        assert_eq!(scaled.values, expected);
        assert_eq!(scaled.history, ["z-scored by 5 of 6 rows, those that `split` trains on or chooses by"]);
        let all = run(&[COLUMN], &[], false).unwrap().values;
        assert!(all.iter().sum::<f32>().abs() < 1e-6 && f64::from(all[5]) < 6.0 / sd);
    }

    #[test]
    fn constant_columns_are_refused_or_dropped_or_zeros() {
        let constant = [3.0, 3.0, 3.0, 3.0, 3.0, 4.0];
        let failure = run(&[COLUMN, constant], &[], true).unwrap_err();
        assert!(failure.message.starts_with("1 of 2 columns have the same value in 5 of 6 rows"), "{failure}");
        assert!(failure.message.ends_with("chooses by: `c1`") && failure.hint.unwrap().contains("constant: drop"));
        assert!(run(&[COLUMN, constant], &[], false).is_ok(), "it is not constant over all rows");
        let dropped = run(&[constant, COLUMN], &[("constant", "drop")], true).unwrap();
        assert_eq!((dropped.columns, dropped.notes.len()), (vec!["c1".to_owned()], 1));
        assert!(run(&[constant], &[("constant", "drop")], true).is_err());
        let kept = run(&[constant], &[("compat", "lab08")], true).unwrap();
        assert_eq!(kept.values, [0.0, 0.0, 0.0, 0.0, 0.0, 1.0 / 1e-6]);
    }

    /// The numbers of `numbers(200, 5)` in `tests/fidelity/encoding/make_data_goldens.py`, a column.
    fn column(column: usize) -> Vec<f32> {
        (0..200_i64)
            .map(|row| {
                let at = 5 * row + i64::try_from(column).unwrap();
                ((at * at * 7919 + at * 104_729) % 10_007) as f32 / 997.0
            })
            .collect()
    }

    #[test]
    fn the_labs_arithmetic_is_bit_exact() {
        let train = (0..200).filter(|row| row % 10 < 7);
        let seen: Vec<usize> = train.chain((0..200).filter(|row| [7, 8].contains(&(row % 10)))).collect();
        let scaled: Vec<Vec<f32>> = (0..5).map(|at| scaled_by_lab(&column(at), &seen)).collect();
        let bits = |row: usize| scaled.iter().map(|column| column[row].to_bits()).collect::<Vec<_>>();
        // NumPy's.
        assert_eq!(bits(0), [3_216_736_238, 3_211_070_783, 3_214_980_796, 1_015_109_004, 3_174_555_437]);
        assert_eq!(bits(199), [1_057_982_594, 1_055_375_755, 3_206_590_443, 3_187_090_555, 3_213_172_438]);
        let sum: u64 = scaled.concat().iter().map(|value| u64::from(value.to_bits())).sum();
        assert_eq!(sum, 2_091_121_281_845);
    }

    /// Rows without names of their own are counted, and a split of images does not know such names.
    #[test]
    fn a_split_of_other_rows_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&ZScore, folder.path());
        let rows = MatrixAxis::of_ids(["r00000", "r00001"]).unwrap();
        let names = MatrixAxis::of_ids(["c0"]).unwrap();
        let path = folder.path().join("in");
        matrix::write(&path, &rows, &names, &MatrixAbout::default(), &[1.0_f32, 2.0]).unwrap();
        tasks::give(&mut task, "matrix", &path);
        let [train, choose, test] = ["46003", "61883", "829"].map(|id| vec![id.to_owned()]);
        StimulusSplit { folds: vec![Fold { train, choose, test }] }.write(&folder.path().join("split")).unwrap();
        tasks::give(&mut task, "split", &folder.path().join("split"));
        let failure = tasks::run(&ZScore, &task).unwrap_err();
        assert!(failure.message.starts_with("2 of 2 stimuli of `split` are not there: `46003`"), "{failure}");
    }

    #[test]
    fn several_folds_are_refused_with_what_scales_in_every_fold() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&ZScore, folder.path());
        let path = folder.path().join("in");
        let rows = MatrixAxis::of_ids(["a", "b"]).unwrap();
        let names = MatrixAxis::of_ids(["c0"]).unwrap();
        matrix::write(&path, &rows, &names, &MatrixAbout::default(), &[1.0_f32, 2.0]).unwrap();
        tasks::give(&mut task, "matrix", &path);
        let fold = |train: &str, test: &str| Fold {
            train: vec![train.to_owned()],
            choose: Vec::new(),
            test: vec![test.to_owned()],
        };
        let split = StimulusSplit { folds: vec![fold("a", "b"), fold("b", "a")] };
        split.write(&folder.path().join("split")).unwrap();
        tasks::give(&mut task, "split", &folder.path().join("split"));
        let failure = tasks::run(&ZScore, &task).unwrap_err();
        assert_eq!(failure.message, "the split has 2 folds, expected a fixed split of one");
        assert!(failure.hint.unwrap().contains("`standardise: true` of `encode/ridge`"));
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        let failure = run(&[[1.0, 2.0, f32::NAN, 0.0, 0.0, 0.0]], &[], false).unwrap_err();
        assert_eq!(failure.message, "column `c0` is NaN in row `c`, expected finite numbers");
    }
}
