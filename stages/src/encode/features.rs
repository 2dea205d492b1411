//! The features of models: matrices of one or several spaces, joined side by side by the ids of their rows.
//!
//! Decides the order of spaces (that of the inputs, then that in which they first come in a matrix), and that a space lies in one
//! matrix and its name can be part of the name of a model. Features are held in memory, those of a space next to each other. Decides too what
//! the scale of a feature is, where features are standardised: that of the rows that may be looked at, and none for a feature that
//! is constant there.

use std::collections::BTreeMap;
use std::ops::Range;

use pipe_contract::{Failure, IMPORTANT, Task};

use super::long_sums::{mean, sum};
use super::real_number::Real;
use crate::formats::matrix::Matrix;
use crate::formats::predictions::JOINED_BY;
use crate::numeric::counts::real;

/// Numbers that are read at a time.
const READ: usize = 1 << 23;

/// Where the features of each space lie.
pub(super) struct FeatureSources {
    matrices: Vec<Matrix>,
    spaces: Vec<Source>,
}

struct Source {
    name: String,
    matrix: usize,
    columns: Vec<usize>,
}

/// Features in memory, column after column.
pub(super) struct Features<T> {
    /// Rows by columns.
    pub values: Vec<T>,
    /// How many rows.
    pub rows: usize,
    /// Which columns are those of each space.
    pub spaces: Vec<Range<usize>>,
}

impl<T: Real> Features<T> {
    /// Takes off every column its mean over the first `seen` rows and divides it by its standard deviation there (that of the population,
    /// divided by the number of rows). A column with one value in all of these rows has no deviation: it becomes zeros, in all other rows
    /// too, as if it were left out. Returns the deviations, 0 for such a column.
    pub fn standardise(&mut self, seen: usize) -> Vec<f64> {
        self.values.chunks_exact_mut(self.rows).map(|column| standardise(column, seen)).collect()
    }
}

fn standardise<T: Real>(column: &mut [T], seen: usize) -> f64 {
    let (rows, centre) = (&column[..seen], mean(&column[..seen]));
    let deviation = (sum(rows, |number| (number - centre).powi(2)) / real(seen)).sqrt();
    if rows.iter().all(|number| *number == rows[0]) || deviation == 0.0 {
        column.fill(T::of(0.0));
        return 0.0;
    }
    column.iter_mut().for_each(|number| *number = T::of((number.wide() - centre) / deviation));
    deviation
}

impl FeatureSources {
    /// Opens what is at the port `features`.
    ///
    /// # Errors
    /// Input: no matrix, one without names of spaces, a space in two of them, a name that has `+` in it or is empty.
    pub fn open(task: &Task) -> Result<Self, Failure> {
        let mut sources = Self { matrices: Vec::new(), spaces: Vec::new() };
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        for (_, path) in task.present("features") {
            let matrix = Matrix::open(path)?;
            for (name, columns) in matrix.spaces()? {
                if name.is_empty() || name.contains(JOINED_BY) {
                    return Err(Failure::input(format!("`{name}` cannot be the name of a space"))
                        .at(matrix.place())
                        .hint(format!(
                            "names are not empty and have no `{JOINED_BY}`, which joins them in names of models"
                        )));
                }
                if let Some(other) = places.insert(name.clone(), matrix.place()) {
                    return Err(Failure::input(format!("the space `{name}` is in two matrices, expected each in one"))
                        .at(matrix.place())
                        .hint(format!("the other is `{other}`; rename one of them")));
                }
                sources.spaces.push(Source { name, matrix: sources.matrices.len(), columns });
            }
            sources.matrices.push(matrix);
        }
        match sources.spaces.is_empty() {
            true => Err(Failure::input("there are no features").hint("all matrices at `features` are absent")),
            false => Ok(sources),
        }
    }

    /// The names of the spaces, in order.
    pub fn names(&self) -> Vec<String> {
        self.spaces.iter().map(|space| space.name.clone()).collect()
    }

    /// How many features each space has.
    pub fn widths(&self) -> Vec<usize> {
        self.spaces.iter().map(|space| space.columns.len()).collect()
    }

    /// The ids of the features of a space.
    pub fn ids(&self, space: usize) -> impl Iterator<Item = &str> {
        let Source { matrix, columns, .. } = &self.spaces[space];
        columns.iter().map(|column| self.matrices[*matrix].columns().ids()[*column].as_str())
    }

    /// A sentence for each of these spaces that has features without a deviation, as [`Features::standardise`] gives them.
    pub fn about_constants(&self, spaces: &[usize], deviations: &[f64]) -> Vec<String> {
        let (mut first, mut notes) = (0, Vec::new());
        for Source { name, columns, .. } in spaces.iter().map(|space| &self.spaces[*space]) {
            let all = columns.len();
            let constant = deviations[first..first + all].iter().filter(|deviation| **deviation == 0.0).count();
            first += all;
            if constant > 0 {
                notes.push(format!(
                    "{IMPORTANT}{name}: {constant} of {all} features have one value on all rows that a fold fits on and are left out there"
                ));
            }
        }
        notes
    }

    /// Reads the rows with these ids, in this order, of these spaces; if `narrow`, rounded to 32 bits.
    ///
    /// # Errors
    /// Input: an id is not there, or a number is not finite. Environment: a file cannot be read.
    pub fn read<T: Real>(&self, ids: &[String], spaces: &[usize], narrow: bool) -> Result<Features<T>, Failure> {
        let rows = self.matrices.iter().map(|matrix| {
            let found = matrix.rows().positions_of(ids, "stimuli of `split`");
            found.map_err(|failure| failure.at(matrix.place()))
        });
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let mut features = Features { values: Vec::new(), rows: ids.len(), spaces: Vec::new() };
        let mut first = 0;
        for Source { matrix, columns, .. } in spaces.iter().map(|space| &self.spaces[*space]) {
            let most = (READ / self.matrices[*matrix].rows().len()).max(1);
            for run in columns.chunk_by(|a, b| a + 1 == *b).flat_map(|run| run.chunks(most)) {
                let mut read = self.matrices[*matrix].block::<T>(run[0]..run[0] + run.len(), Some(&rows[*matrix]))?;
                if narrow {
                    super::real_number::narrow(&mut read);
                }
                if let Some(bad) = read.iter().position(|number| !number.wide().is_finite()) {
                    let feature = &self.matrices[*matrix].columns().ids()[run[bad / ids.len()]];
                    let (value, id) = (read[bad].wide(), &ids[bad % ids.len()]);
                    return Err(Failure::input(format!(
                        "feature `{feature}` of `{id}` is {value}, expected a finite number"
                    ))
                    .at(self.matrices[*matrix].place()));
                }
                features.values.extend(read);
            }
            features.spaces.push(first..first + columns.len());
            first += columns.len();
        }
        Ok(features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::npy_file::Float;

    /// Of 1, 3, 5 the mean is 3 and the deviation sqrt(8 / 3).
    #[test]
    fn columns_have_the_scale_of_the_rows_that_are_seen() {
        let values = vec![1.0, 3.0, 5.0, 11.0, 0.1, 0.1, 0.1, 7.0];
        let mut features = Features { values, rows: 4, spaces: vec![0..1, 1..2] };
        let deviations = features.standardise(3);
        let deviation = (8.0_f64 / 3.0).sqrt();
        assert!((deviations[0] - deviation).abs() < 1e-15 && deviations[1] == 0.0, "{deviations:?}");
        let expected = [-2.0, 0.0, 2.0, 8.0].map(|number| number / deviation);
        assert!(features.values.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-15));
        assert_eq!(features.values[4..], [0.0; 4], "its only other value is in a row that is not seen");
        let values = vec![1.0_f32, 3.0, 5.0, 11.0];
        let mut narrow = Features { values, rows: 4, spaces: vec![Range { start: 0, end: 1 }] };
        narrow.standardise(3);
        assert_eq!(narrow.values, expected.map(f32::of));
    }
}
