//! Matrices as artifacts: numbers with a name for every row and column.
//!
//! A folder: `values.npy` (32-bit or 64-bit floats, always stored by column, so that blocks of columns are read alone), `rows.parquet` and
//! `columns.parquet` (a column `id`, unique, and any others), `about.json` (what the axes are, the unit, what was done to the numbers).
//! Decides this form, and that matrices are joined by ids and never by position. Independent of what the numbers mean.
//!
//! Columns that others rely on: `space` of features; `i`, `j`, `k` of voxels (indices in the volume along the axes x, y, z of NIfTI);
//! `hemisphere` and `vertex` of vertices.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::Failure;
use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

use super::data_table::{self, DataTable};
use super::npy_file::{Float, FloatType, NpyFile, NpyWriter};

/// The file of the numbers.
pub const VALUES: &str = "values.npy";
/// The file of the rows.
pub const ROWS: &str = "rows.parquet";
/// The file of the columns.
pub const COLUMNS: &str = "columns.parquet";
/// The file about the matrix.
pub const ABOUT: &str = "about.json";

/// The column of ids.
pub const ID: &str = "id";
/// The column of feature spaces.
pub const SPACE: &str = "space";

/// So many ids are named in a message.
const NAMED: usize = 3;

/// The names of rows or columns, and what else is known of them.
#[derive(Clone, Debug)]
pub struct MatrixAxis {
    table: DataFrame,
    ids: Vec<String>,
    positions: BTreeMap<String, usize>,
}

impl MatrixAxis {
    /// From a table with a text column `id`.
    ///
    /// # Errors
    /// Input: no such column, no row, an empty id, or one id twice.
    pub fn new(table: DataFrame) -> Result<Self, Failure> {
        let ids = data_table::texts(&table, ID)?;
        if ids.is_empty() {
            return Err(Failure::input("there is no row, expected at least one"));
        }
        let mut positions = BTreeMap::new();
        for (position, id) in ids.iter().enumerate() {
            if id.is_empty() {
                return Err(Failure::input(format!("the id in row {} is empty", position + 1)));
            }
            match positions.entry(id.clone()) {
                Entry::Vacant(place) => place.insert(position),
                Entry::Occupied(first) => {
                    let rows = format!("rows {} and {}", first.get() + 1, position + 1);
                    return Err(Failure::input(format!("`{id}` is the id of {rows}, expected each id once")));
                }
            };
        }
        Ok(Self { table, ids, positions })
    }

    /// Ids alone.
    ///
    /// # Errors
    /// As [`MatrixAxis::new`].
    pub fn of_ids<T: Into<String>>(ids: impl IntoIterator<Item = T>) -> Result<Self, Failure> {
        Self::new(DataTable::new().text(ID, ids).build()?)
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let table = data_table::read_parquet(path)?;
        Self::new(table).map_err(|failure| failure.at(path.display().to_string()))
    }

    /// The ids, in order.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Never: an axis has at least one id.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids and all that is known of them.
    pub fn table(&self) -> &DataFrame {
        &self.table
    }

    /// Some of them, in this order.
    ///
    /// # Errors
    /// As [`MatrixAxis::new`]: none, or one twice. Internal: a position that is not there.
    pub fn part(&self, positions: &[usize]) -> Result<Self, Failure> {
        Self::new(data_table::rows(&self.table, positions)?)
    }

    /// Where an id is.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.positions.get(id).copied()
    }

    /// Where each of these ids is. `what` says in a message what has them all and should be there, such as
    /// ``stimuli of `split` ``.
    ///
    /// # Errors
    /// Input: some are not there; the message has their number and the first of them.
    pub fn positions_of<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a String>,
        what: &str,
    ) -> Result<Vec<usize>, Failure> {
        let (mut found, mut lacking, mut all) = (Vec::new(), Vec::new(), 0);
        for id in ids {
            all += 1;
            match self.position(id) {
                Some(position) => found.push(position),
                None => lacking.push(id.as_str()),
            }
        }
        if lacking.is_empty() {
            return Ok(found);
        }
        let more = if lacking.len() > NAMED { ", ..." } else { "" };
        let named: Vec<String> = lacking.iter().take(NAMED).map(|id| format!("`{id}`")).collect();
        let here: Vec<String> = self.ids.iter().take(NAMED).map(|id| format!("`{id}`")).collect();
        Err(Failure::input(format!(
            "{} of {all} {what} are not there: {}{more}; the ids begin with {}",
            lacking.len(),
            named.join(", "),
            here.join(", ")
        ))
        .hint("rows and columns are joined by their ids: give both the same ones"))
    }
}

/// What a matrix is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixAbout {
    /// What its rows are, in the plural, such as `stimuli`.
    pub rows: String,
    /// What its columns are, in the plural, such as `voxels` or `features`.
    pub columns: String,
    /// The unit of its numbers; empty if they have none.
    pub unit: String,
    /// What was done to the numbers, in order.
    pub history: Vec<String>,
}

impl MatrixAbout {
    /// The same with one step more.
    #[must_use]
    pub fn then(mut self, step: impl Into<String>) -> Self {
        self.history.push(step.into());
        self
    }
}

/// A matrix, whose numbers are read when they are asked for.
#[derive(Debug)]
pub struct Matrix {
    folder: PathBuf,
    values: NpyFile,
    rows: MatrixAxis,
    columns: MatrixAxis,
    about: MatrixAbout,
}

impl Matrix {
    /// Opens a matrix and checks that its files fit together.
    ///
    /// # Errors
    /// Input: a file is missing or damaged, or the numbers of rows and columns differ between files.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let values = NpyFile::open(&folder.join(VALUES))?;
        let rows = MatrixAxis::read(&folder.join(ROWS))?;
        let columns = MatrixAxis::read(&folder.join(COLUMNS))?;
        let place = || folder.display().to_string();
        if values.shape() != [rows.len(), columns.len()] {
            return Err(Failure::input(format!(
                "`{VALUES}` has the shape {:?}, but there are {} rows in `{ROWS}` and {} in `{COLUMNS}`",
                values.shape(),
                rows.len(),
                columns.len()
            ))
            .at(place()));
        }
        if !values.by_column() && rows.len() > 1 && columns.len() > 1 {
            return Err(Failure::input(format!("`{VALUES}` is stored by row, expected by column (Fortran order)"))
                .at(place())
                .hint("save it with `numpy.save(path, numpy.asfortranarray(values))`, or use `matrix/import`"));
        }
        let path = folder.join(ABOUT);
        let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::input(format!("there is no `{ABOUT}`")).at(place()),
            _ => Failure::io("read", &path, &error),
        })?;
        let about = serde_json::from_str(&text).map_err(|error| {
            Failure::input(format!("not what `{ABOUT}` holds: {error}")).at(path.display().to_string())
        })?;
        Ok(Self { folder: folder.to_path_buf(), values, rows, columns, about })
    }

    /// Where it lies, for messages.
    pub fn place(&self) -> String {
        self.folder.display().to_string()
    }

    /// Its rows.
    pub fn rows(&self) -> &MatrixAxis {
        &self.rows
    }

    /// Its columns.
    pub fn columns(&self) -> &MatrixAxis {
        &self.columns
    }

    /// What it is.
    pub fn about(&self) -> &MatrixAbout {
        &self.about
    }

    /// How wide its numbers are stored.
    pub fn float_type(&self) -> FloatType {
        self.values.float_type()
    }

    /// A block of columns, one after the other, of all rows or of these in this order.
    ///
    /// # Errors
    /// Environment: it cannot be read. Internal: columns or rows that are not there.
    pub fn block<T: Float>(&self, columns: Range<usize>, rows: Option<&[usize]>) -> Result<Vec<T>, Failure> {
        let mut numbers = Vec::new();
        self.block_into(columns, rows, &mut Vec::new(), &mut numbers)?;
        Ok(numbers)
    }

    /// [`block`](Self::block) into a list in place of what is in it, through `bytes`, as [`NpyFile::read_into`].
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn block_into<T: Float>(
        &self,
        columns: Range<usize>,
        rows: Option<&[usize]>,
        bytes: &mut Vec<u8>,
        numbers: &mut Vec<T>,
    ) -> Result<(), Failure> {
        let height = self.rows.len();
        if let Some(outside) = rows.into_iter().flatten().find(|row| **row >= height) {
            return Err(Failure::internal(format!("row {outside} of {height} was asked for")));
        }
        let picked = rows.map(|rows| (height, rows));
        self.values.read_into(columns.start * height..columns.end * height, picked, bytes, numbers)
    }

    /// Its feature spaces in the order in which they first come, each with its columns.
    ///
    /// # Errors
    /// Input: its columns do not say of which space they are.
    pub fn spaces(&self) -> Result<Vec<(String, Vec<usize>)>, Failure> {
        let of_columns = data_table::texts(self.columns.table(), SPACE).map_err(|failure| {
            failure.at(self.folder.join(COLUMNS).display().to_string()).hint(
                "features need a name of their space: `space` of `matrix/import`, or a column `space` in the table of columns",
            )
        })?;
        let mut spaces: Vec<(String, Vec<usize>)> = Vec::new();
        for (column, space) in of_columns.into_iter().enumerate() {
            match spaces.iter_mut().find(|(known, _)| *known == space) {
                Some((_, columns)) => columns.push(column),
                None => spaces.push((space, vec![column])),
            }
        }
        Ok(spaces)
    }
}

/// A matrix that is written in blocks.
#[derive(Debug)]
pub struct MatrixWriter {
    values: NpyWriter,
    height: usize,
    width: usize,
}

impl MatrixWriter {
    /// Makes the folder of a matrix with its names; its numbers are zeros until they are given.
    ///
    /// # Errors
    /// Environment: a file cannot be written.
    pub fn create(
        folder: &Path,
        rows: &MatrixAxis,
        columns: &MatrixAxis,
        about: &MatrixAbout,
        float_type: FloatType,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
        data_table::write_parquet(&folder.join(ROWS), &mut rows.table.clone())?;
        data_table::write_parquet(&folder.join(COLUMNS), &mut columns.table.clone())?;
        let path = folder.join(ABOUT);
        let text = serde_json::to_string_pretty(about).map_err(|error| Failure::internal(error.to_string()))? + "\n";
        fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))?;
        let (height, width) = (rows.len(), columns.len());
        let values = NpyWriter::create(&folder.join(VALUES), &[height, width], true, float_type)?;
        Ok(Self { values, height, width })
    }

    /// Whole columns from the `first` on, one after the other.
    ///
    /// # Errors
    /// Environment: they cannot be written. Internal: not whole columns, or more than there are.
    pub fn columns<T: Float>(&self, first: usize, values: &[T]) -> Result<(), Failure> {
        if !values.len().is_multiple_of(self.height) {
            let (found, height) = (values.len(), self.height);
            return Err(Failure::internal(format!("{found} numbers are no whole columns of {height}")));
        }
        self.values.write_at(first * self.height, values)
    }

    /// A block of `height` rows from `first_row` on and of any columns from `first_column` on, one column after the other.
    ///
    /// # Errors
    /// As [`columns`](Self::columns).
    pub fn block<T: Float>(
        &self,
        first_row: usize,
        first_column: usize,
        height: usize,
        values: &[T],
    ) -> Result<(), Failure> {
        if height == self.height {
            return self.columns(first_column, values);
        }
        if height == 0 || !values.len().is_multiple_of(height) || first_row + height > self.height {
            let found = values.len();
            return Err(Failure::internal(format!(
                "{found} numbers from row {first_row} are no block of {height} rows"
            )));
        }
        for (column, part) in (first_column..).zip(values.chunks_exact(height)) {
            self.values.write_at(column * self.height + first_row, part)?;
        }
        Ok(())
    }

    /// Whole rows from the `first` on, one after the other: for sources that are stored by row. Each column gets one request, so
    /// give many rows at once.
    ///
    /// # Errors
    /// As [`columns`](Self::columns).
    pub fn rows<T: Float>(&self, first: usize, values: &[T]) -> Result<(), Failure> {
        let count = values.len() / self.width;
        if !values.len().is_multiple_of(self.width) || first + count > self.height {
            let (found, width) = (values.len(), self.width);
            return Err(Failure::internal(format!("{found} numbers from row {first} are no whole rows of {width}")));
        }
        let mut part = Vec::with_capacity(count);
        for column in 0..self.width {
            part.clear();
            part.extend(values.iter().skip(column).step_by(self.width).copied());
            self.values.write_at(column * self.height + first, &part)?;
        }
        Ok(())
    }
}

/// Writes a matrix that is in memory, its columns one after the other.
///
/// # Errors
/// As [`MatrixWriter`].
pub fn write<T: Float>(
    folder: &Path,
    rows: &MatrixAxis,
    columns: &MatrixAxis,
    about: &MatrixAbout,
    values: &[T],
) -> Result<(), Failure> {
    MatrixWriter::create(folder, rows, columns, about, T::TYPE)?.columns(0, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> MatrixAbout {
        MatrixAbout { rows: "stimuli".into(), columns: "voxels".into(), ..MatrixAbout::default() }.then("made")
    }

    fn example(folder: &Path) -> Matrix {
        let rows = MatrixAxis::of_ids(["a", "b", "c"]).unwrap();
        let table = DataTable::new().text(ID, ["v1", "v2"]).text(SPACE, ["A", "B"]).build().unwrap();
        write(folder, &rows, &MatrixAxis::new(table).unwrap(), &about(), &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        Matrix::open(folder).unwrap()
    }

    #[test]
    fn blocks_of_columns_and_rows_by_their_ids() {
        let folder = tempfile::tempdir().unwrap();
        let matrix = example(folder.path());
        assert_eq!(matrix.block::<f64>(0..2, None).unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let rows = matrix.rows().positions_of(&["c".to_owned(), "a".to_owned()], "stimuli of `split`").unwrap();
        assert_eq!(matrix.block::<f32>(1..2, Some(&rows)).unwrap(), [6.0, 4.0]);
        assert!(matrix.block::<f32>(1..3, None).is_err() && matrix.block::<f32>(0..1, Some(&[3])).is_err());
        let part = matrix.columns().part(&[1]).unwrap();
        assert_eq!(
            (part.ids(), data_table::texts(part.table(), SPACE).unwrap()),
            (["v2".to_owned()].as_slice(), vec!["B".to_owned()])
        );
        assert!(matrix.columns().part(&[2]).is_err() && matrix.columns().part(&[]).is_err());
        assert_eq!(matrix.about(), &about());
        assert_eq!(matrix.spaces().unwrap(), [("A".to_owned(), vec![0]), ("B".to_owned(), vec![1])]);
        let lacking = ["x", "b", "y", "z", "w"].map(String::from);
        let failure = matrix.rows().positions_of(&lacking, "stimuli of `split`").unwrap_err();
        assert_eq!(
            failure.message,
            "4 of 5 stimuli of `split` are not there: `x`, `y`, `z`, ...; the ids begin with `a`, `b`, `c`"
        );
    }

    #[test]
    fn rows_and_columns_make_the_same_file() {
        let (by_row, by_column) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let matrix = example(by_column.path());
        let writer =
            MatrixWriter::create(by_row.path(), matrix.rows(), matrix.columns(), &about(), FloatType::F32).unwrap();
        writer.rows(0, &[1.0_f64, 4.0]).unwrap();
        writer.rows(1, &[2.0_f64, 5.0, 3.0, 6.0]).unwrap();
        assert!(writer.rows(2, &[0.0_f64; 4]).is_err() && writer.columns(0, &[0.0_f64; 4]).is_err());
        writer.block(1, 0, 2, &[2.0_f64, 3.0, 5.0, 6.0]).unwrap();
        assert!(writer.block(2, 0, 2, &[0.0_f64; 4]).is_err() && writer.block(0, 0, 2, &[0.0_f64; 3]).is_err());
        for file in [VALUES, ROWS, COLUMNS, ABOUT] {
            let read = |folder: &tempfile::TempDir| fs::read(folder.path().join(file)).unwrap();
            assert!(read(&by_row) == read(&by_column), "{file}");
        }
    }

    #[test]
    fn ids_are_unique_and_files_fit() {
        assert!(MatrixAxis::of_ids(["a", "b", "a"]).unwrap_err().message.contains("`a` is the id of rows 1 and 3"));
        assert!(MatrixAxis::of_ids(["a", ""]).unwrap_err().message.contains("row 2 is empty"));
        assert!(MatrixAxis::of_ids(Vec::<String>::new()).is_err());
        let folder = tempfile::tempdir().unwrap();
        example(folder.path());
        let other = NpyWriter::create(&folder.path().join(VALUES), &[3, 3], true, FloatType::F32);
        drop(other.unwrap());
        let failure = Matrix::open(folder.path()).unwrap_err();
        assert!(failure.message.contains("has the shape [3, 3], but there are 3 rows"), "{failure:?}");
        drop(NpyWriter::create(&folder.path().join(VALUES), &[3, 2], false, FloatType::F32).unwrap());
        assert!(Matrix::open(folder.path()).unwrap_err().message.contains("stored by row"));
    }
}
