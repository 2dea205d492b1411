//! The features of models: matrices of one or several spaces, joined side by side by the ids of their rows.
//!
//! Decides the order of spaces (that of the inputs, then that in which they first come in a matrix), and that a space lies in one
//! matrix and its name can be part of the name of a model. Features are held in memory, those of a space next to each other.

use std::collections::BTreeMap;
use std::ops::Range;

use pipe_contract::{Failure, Task};

use super::real_number::Real;
use crate::formats::matrix::Matrix;
use crate::formats::predictions::JOINED_BY;

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
