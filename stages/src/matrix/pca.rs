//! `matrix/pca`: principal components of every feature space.
//!
//! Exact: eigenvectors of the covariance of the columns, or, where there are more columns than rows, of the rows' products, which have
//! the same components. Fitted by the rows that may be looked at; all rows get scores. Sums are in `f64`. A component's sign is the
//! one that makes the largest of its loadings positive (the first of equals), and spaces are never mixed.
//!
//! One matrix has one set of components, so a split of several folds is refused. Without a split, components are those of all rows, tested
//! ones included: features of test stimuli then have a share in what the components are, responses have none. Scores of models on such
//! components are of these stimuli; for others they may be a little too high, the more so the fewer rows there are for each component.

use pipe_contract::{
    Column as Described, Context, Ended, Failure, IMPORTANT, Kind, Repro, StageKind, Task, parameters,
};

use super::seen_rows;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::matrix::{ID, Matrix, MatrixAxis, MatrixWriter, SPACE};
use crate::formats::npy_file::{Float, FloatType};
use crate::numeric::counts::real;
use crate::numeric::linear_algebra::{Eigen, MatrixView, gram, product, symmetric_eigen};

/// The kind.
pub(super) struct Pca;

parameters! {
    struct Parameters {
        /// components of a space that are kept at most
        components: usize = 100, in 1..=1_000_000;
        /// share of the variance that is enough: no more components are kept than explain it; 1: as many as there may be
        variance: f64 = 1.0, in 0.0..=1.0;
    }
}

const EXPLAINED: &[Described] = &[
    Described::new("id", "the component"),
    Described::new("space", "the feature space; empty if columns belong to none"),
    Described::new("component", "its number, from 1"),
    Described::measured(
        "variance",
        "squared unit of the numbers",
        "variance of its scores over the rows it is fitted by (n - 1)",
    ),
    Described::new("share", "share of the variance of all columns of the space"),
    Described::new("cumulative", "share that it and those before it explain together"),
    STAMP,
];

/// Numbers of a block of columns.
const MOST_AT_ONCE: usize = 1 << 23;

impl StageKind for Pca {
    fn kind(&self) -> Kind {
        let kind = Kind::new("matrix/pca", 1, "principal components of every feature space").input(
            "matrix",
            &["matrix"],
            "a matrix of finite numbers; spaces are those of its column `space`",
        );
        let kind = seen_rows::declare(kind)
            .folder("matrix", "matrix", "the scores of all rows: columns are components, with `space` and `component`")
            .folder("explained", "table", "how much variance each component explains")
            .described(data_table::FILES, EXPLAINED)
            .parameters::<Parameters>();
        Kind { stamped: true, repro: Repro::Within(1e-6), ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { components, variance } = task.parameters()?;
        let matrix = Matrix::open(task.one("matrix")?)?;
        let (seen, words) = seen_rows::read(task, &matrix)?;
        let has_spaces = matrix.columns().table().column(SPACE).is_ok();
        let spaces = match has_spaces {
            true => matrix.spaces()?,
            false => vec![(String::new(), (0..matrix.columns().len()).collect())],
        };
        let mut notes = Vec::new();
        let mut found = Vec::new();
        for (space, columns) in &spaces {
            let features = Features { matrix: &matrix, columns, seen: &seen, most: MOST_AT_ONCE };
            let fitted = features.fit(components, variance).map_err(|failure| Failure {
                message: if has_spaces { format!("space `{space}`: {}", failure.message) } else { failure.message },
                ..failure
            })?;
            let count = fitted.variances.len();
            if variance == 1.0 && count < components {
                let of = if has_spaces { format!(" of `{space}`") } else { String::new() };
                notes.push(format!("{IMPORTANT}{count} components{of}, not {components}: there are no more"));
            }
            found.push(fitted);
        }
        notes.iter().for_each(|note| context.log(note));
        write(task, &matrix, &spaces, has_spaces, &found, &words)?;
        Ok(Ended::noted(notes))
    }
}

/// The components of a space.
#[derive(Debug)]
struct Fitted {
    /// Scores of all rows, one component after the other.
    scores: Vec<f64>,
    /// Variance of each component.
    variances: Vec<f64>,
    /// Variance of all columns together.
    total: f64,
}

/// The columns of a space.
struct Features<'a> {
    matrix: &'a Matrix,
    columns: &'a [usize],
    /// The rows to fit by.
    seen: &'a [usize],
    most: usize,
}

impl Features<'_> {
    fn fit(&self, most_components: usize, share: f64) -> Result<Fitted, Failure> {
        let (rows, seen, width) = (self.matrix.rows().len(), self.seen.len(), self.columns.len());
        if seen < 2 {
            return Err(Failure::input(format!("there are {seen} rows to fit components by, expected at least 2")));
        }
        let by_columns = width <= seen;
        let size = width.min(seen);
        let mut products = vec![0.0; size * size];
        let at_once = if by_columns { width } else { (self.most / rows).max(1) };
        for block in self.columns.chunks(at_once) {
            let centred = self.seen_rows(&self.centred(block)?);
            let view = MatrixView::new(&centred, seen, block.len());
            let of_block = gram(if by_columns { view } else { view.transposed() });
            products.iter_mut().zip(&of_block).for_each(|(sum, product)| *sum += product);
        }
        let sum_of_squares: f64 = (0..size).map(|at| products[at * size + at]).sum();
        if sum_of_squares == 0.0 {
            return Err(Failure::input("all columns are constant, so that there is no component"));
        }
        let Eigen { values, vectors } = symmetric_eigen(&products, size)?;
        let count = count_of(&values, sum_of_squares, most_components, share, width.max(seen));
        let vectors = &vectors[..count * size];
        let mut scores = vec![0.0; rows * count];
        let mut largest = vec![0.0_f64; count];
        for (number, block) in self.columns.chunks((self.most / rows).max(1)).enumerate() {
            let centred = self.centred(block)?;
            let loadings = match by_columns {
                true => {
                    let first = number * (self.most / rows).max(1);
                    let of_block = |vector: &[f64]| vector[first..first + block.len()].to_vec();
                    vectors.chunks_exact(size).flat_map(of_block).collect()
                }
                false => {
                    let seen_rows = self.seen_rows(&centred);
                    let view = MatrixView::new(&seen_rows, seen, block.len());
                    let mut loadings = product(view.transposed(), MatrixView::new(vectors, seen, count));
                    for (loadings, value) in loadings.chunks_exact_mut(block.len()).zip(&values) {
                        loadings.iter_mut().for_each(|loading| *loading /= value.sqrt());
                    }
                    loadings
                }
            };
            for (loadings, largest) in loadings.chunks_exact(block.len()).zip(&mut largest) {
                *largest = loadings.iter().fold(*largest, |most, new| if new.abs() > most.abs() { *new } else { most });
            }
            let of_block =
                product(MatrixView::new(&centred, rows, block.len()), MatrixView::new(&loadings, block.len(), count));
            scores.iter_mut().zip(&of_block).for_each(|(sum, score)| *sum += score);
        }
        for (scores, largest) in scores.chunks_exact_mut(rows).zip(largest) {
            if largest < 0.0 {
                scores.iter_mut().for_each(|score| *score = -*score);
            }
        }
        let degrees = real(seen - 1);
        Ok(Fitted {
            scores,
            variances: values[..count].iter().map(|value| value / degrees).collect(),
            total: sum_of_squares / degrees,
        })
    }

    /// Some columns, each without its mean over the rows to fit by.
    fn centred(&self, columns: &[usize]) -> Result<Vec<f64>, Failure> {
        let mut all = Vec::with_capacity(columns.len() * self.matrix.rows().len());
        for column in columns {
            let values = self.matrix.block::<f64>(*column..column + 1, None)?;
            seen_rows::check_finite(self.matrix, *column, values.iter().copied())?;
            let mean = self.seen.iter().map(|row| values[*row]).sum::<f64>() / real(self.seen.len());
            all.extend(values.iter().map(|value| value - mean));
        }
        Ok(all)
    }

    /// The rows to fit by of some columns.
    fn seen_rows(&self, columns: &[f64]) -> Vec<f64> {
        let columns = columns.chunks_exact(self.matrix.rows().len());
        columns.flat_map(|values| self.seen.iter().map(|row| values[*row])).collect()
    }
}

/// How many components are kept: at most so many, no more than are needed for a share of the sum, none that is only rounding.
fn count_of(values: &[f64], sum: f64, most: usize, share: f64, longest: usize) -> usize {
    let rounding = values[0] * real(longest) * f64::EPSILON;
    let real_ones = values.iter().take_while(|value| **value > rounding).count();
    let mut explained = 0.0;
    let enough = values.iter().position(|value| {
        explained += value;
        share < 1.0 && explained >= share * sum
    });
    most.min(real_ones).min(enough.map_or(values.len(), |last| last + 1)).max(1)
}

fn write(
    task: &Task,
    matrix: &Matrix,
    spaces: &[(String, Vec<usize>)],
    has_spaces: bool,
    found: &[Fitted],
    words: &str,
) -> Result<(), Failure> {
    let mut explained = Vec::new();
    for ((space, _), fitted) in spaces.iter().zip(found) {
        let mut sum = 0.0;
        for (number, variance) in (1_i64..).zip(&fitted.variances) {
            sum += variance;
            let id = if has_spaces { format!("{space}_pc{number:03}") } else { format!("pc{number:03}") };
            explained.push((id, space, number, *variance, variance / fitted.total, sum / fitted.total));
        }
    }
    let ids = || explained.iter().map(|row| row.0.as_str());
    let numbers = || explained.iter().map(|row| row.2);
    let mut columns = DataTable::new().text(ID, ids());
    if has_spaces {
        columns = columns.text(SPACE, explained.iter().map(|row| row.1.as_str()));
    }
    let columns = MatrixAxis::new(columns.integers("component", numbers()).build()?)?;
    let table = DataTable::of(EXPLAINED)
        .text("id", ids())
        .text("space", explained.iter().map(|row| row.1.as_str()))
        .integers("component", numbers())
        .numbers("variance", explained.iter().map(|row| row.3))
        .numbers("share", explained.iter().map(|row| row.4))
        .numbers("cumulative", explained.iter().map(|row| row.5))
        .stamped(task.simulated);
    data_table::write(task.output("explained")?, &mut table.build()?)?;
    let step = format!("{} principal components of {} columns, by {words}", columns.len(), matrix.columns().len());
    let about = matrix.about().clone().then(step);
    let to = MatrixWriter::create(task.output("matrix")?, matrix.rows(), &columns, &about, matrix.float_type())?;
    let mut first = 0;
    for fitted in found {
        match matrix.float_type() {
            FloatType::F64 => to.columns(first, &fitted.scores)?,
            FloatType::F32 => {
                to.columns(first, &fitted.scores.iter().map(|score| f32::of(*score)).collect::<Vec<_>>())?
            }
        }
        first += fitted.variances.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::formats::matrix::{self, MatrixAbout};
    use crate::formats::stimulus_split::{Fold, StimulusSplit};
    use crate::test_support::tasks;

    /// The numbers of `tests/fidelity/encoding/make_data_goldens.py`, column after column.
    fn numbers(rows: usize, columns: usize) -> Vec<f64> {
        let at = |row: usize, column: usize| {
            let at = i64::try_from(row * columns + column).unwrap();
            f64::from(((at * at * 7919 + at * 104_729) % 10_007) as f32 / 997.0)
        };
        (0..columns).flat_map(|column| (0..rows).map(move |row| at(row, column))).collect()
    }

    fn features(folder: &std::path::Path, rows: usize, spaces: &[&str], values: &[f64]) -> Matrix {
        let ids = MatrixAxis::of_ids((0..rows).map(|row| format!("r{row}"))).unwrap();
        let columns = DataTable::new().text(ID, (0..spaces.len()).map(|at| format!("c{at}")));
        let columns = if spaces[0].is_empty() { columns } else { columns.text(SPACE, spaces.iter().copied()) };
        let columns = MatrixAxis::new(columns.build().unwrap()).unwrap();
        matrix::write(folder, &ids, &columns, &MatrixAbout::default(), values).unwrap();
        Matrix::open(folder).unwrap()
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} {expected}");
        }
    }

    /// Fits all rows but the last two, in blocks of two columns.
    fn fit(rows: usize, columns: usize, most: usize, share: f64) -> Fitted {
        let folder = tempfile::tempdir().unwrap();
        let matrix = features(folder.path(), rows, &vec![""; columns], &numbers(rows, columns));
        let (all, seen): (Vec<usize>, Vec<usize>) = ((0..columns).collect(), (0..rows - 2).collect());
        Features { matrix: &matrix, columns: &all, seen: &seen, most: 2 * rows }.fit(most, share).unwrap()
    }

    // Expected numbers are scikit-learn's.

    #[test]
    fn more_rows_than_columns() {
        let found = fit(40, 6, 3, 1.0);
        close(&found.variances, &[16.66394009033622, 13.871936649064697, 8.505624585433127]);
        close(&[found.variances[0] / found.total], &[0.31636439533705896]);
        let row = |row: usize| [0, 1, 2].map(|component| found.scores[component * 40 + row]);
        close(&row(0), &[-1.4212376524289283, -6.430536146412904, -0.4475555929994708]);
        close(&row(39), &[4.227489028145075, 1.2054846884566404, 3.3112296532986947]);
    }

    #[test]
    fn more_columns_than_rows() {
        let found = fit(12, 30, 3, 1.0);
        close(&found.variances, &[50.850331417070095, 41.309488204928314, 38.836184695110916]);
        close(&[found.variances[2] / found.total], &[0.15160380336347784]);
        let row = |row: usize| [0, 1, 2].map(|component| found.scores[component * 12 + row]);
        close(&row(0), &[-7.5443607454691275, -4.294074257288712, -7.1305101892565]);
        close(&row(11), &[-0.32965823313396303, -1.824711175921971, 0.4640392617250748]);
    }

    #[test]
    fn counts_are_bounded_by_share_and_rank() {
        assert_eq!(fit(12, 30, 100, 1.0).variances.len(), 9, "10 rows have 9 differences");
        assert_eq!(fit(40, 6, 100, 1.0).variances.len(), 6);
        // 0.316 and 0.263 and 0.161 of the variance.
        assert_eq!([0.3, 0.5, 0.6].map(|share| fit(40, 6, 100, share).variances.len()), [1, 2, 3]);
        assert_eq!(fit(40, 6, 2, 0.99).variances.len(), 2);
    }

    #[test]
    fn spaces_are_not_mixed_and_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let values = numbers(20, 4);
        features(&path("in"), 20, &["A", "B", "A", "B"], &values);
        let ids = |rows: std::ops::Range<usize>| rows.map(|row| format!("r{row}")).collect();
        let fold = Fold { train: ids(0..10), choose: ids(10..18), test: ids(18..20) };
        StimulusSplit { folds: vec![fold] }.write(&path("split")).unwrap();
        let mut task = tasks::task(&Pca, folder.path());
        tasks::give(&mut task, "matrix", &path("in"));
        tasks::give(&mut task, "split", &path("split"));
        tasks::set(&mut task, "components", Value::Int(1));
        assert!(tasks::run(&Pca, &task).unwrap().is_empty());
        let found = Matrix::open(&path("matrix")).unwrap();
        assert_eq!(found.columns().ids(), ["A_pc001", "B_pc001"]);
        assert_eq!(found.spaces().unwrap(), [("A".to_owned(), vec![0]), ("B".to_owned(), vec![1])]);
        let alone = features(&path("alone"), 20, &["", ""], &[&values[..20], &values[40..60]].concat());
        let seen: Vec<usize> = (0..18).collect();
        let alone = Features { matrix: &alone, columns: &[0, 1], seen: &seen, most: 1 }.fit(1, 1.0).unwrap();
        close(&found.block(0..1, None).unwrap(), &alone.scores);
        let explained = data_table::read(&path("explained")).unwrap();
        close(&data_table::numbers(&explained, "share").unwrap()[..1], &[alone.variances[0] / alone.total]);
        assert_eq!(data_table::texts(&explained, "space").unwrap(), ["A", "B"]);
        tasks::set(&mut task, "components", Value::Int(5));
        let notes = tasks::run(&Pca, &task).unwrap();
        assert_eq!(
            notes,
            [
                "important: 2 components of `A`, not 5: there are no more",
                "important: 2 components of `B`, not 5: there are no more"
            ]
        );
    }

    #[test]
    fn what_has_no_components_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let matrix = features(folder.path(), 3, &[""], &[1.0; 3]);
        let fit = |seen: &[usize]| {
            Features { matrix: &matrix, columns: &[0], seen, most: 9 }.fit(1, 1.0).unwrap_err().message
        };
        assert!(fit(&[0, 1, 2]).contains("all columns are constant"));
        assert!(fit(&[0]).contains("expected at least 2"));
    }
}
