//! Which rows and columns of a matrix with missing values (NaN) are kept.
//!
//! A row that has no value at all is dropped: that stimulus was not shown. A column that then still lacks some value, or has one that
//! is infinite, is excluded: nothing can be fitted to it. By the rule of the lab the first column alone says which rows are dropped.
//! Decides nothing about where the numbers come from.

use pipe_contract::Failure;

use super::source::SourcePart;
use crate::formats::npy_file::Float;

/// MissingCounts values that are no finite numbers, part by part.
pub(super) struct MissingCounts {
    /// Rows that are known to be dropped before anything is counted.
    dropped: Option<Vec<bool>>,
    missing_in_rows: Vec<usize>,
    missing_in_columns: Vec<usize>,
    infinite_in_columns: Vec<usize>,
}

/// Rows and columns that are kept, in order, and what becomes of the others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remaining {
    pub rows: Vec<usize>,
    pub columns: Vec<usize>,
    pub dropped: Vec<Dropped>,
    pub excluded: Vec<Excluded>,
}

/// A row that is dropped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dropped {
    pub row: usize,
    pub missing: usize,
}

/// A column that is excluded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excluded {
    pub column: usize,
    pub missing: usize,
    pub infinite: usize,
}

impl MissingCounts {
    /// Of a matrix with so many rows and columns. With the values of its first column, these say which rows are dropped.
    pub fn new([rows, columns]: [usize; 2], first_column: Option<&[f64]>) -> Self {
        Self {
            dropped: first_column.map(|values| values.iter().map(|value| value.is_nan()).collect()),
            missing_in_rows: vec![0; rows],
            missing_in_columns: vec![0; columns],
            infinite_in_columns: vec![0; columns],
        }
    }

    /// MissingCounts those of a part.
    pub fn add<T: Float>(&mut self, part: &SourcePart<T>) {
        let fast = if part.by_column { part.rows.len() } else { part.columns.len() };
        for (slow, line) in part.values.chunks_exact(fast).enumerate() {
            for (at, value) in line.iter().enumerate().filter(|(_, value)| !value.wide().is_finite()) {
                let (row, column) = if part.by_column { (at, slow) } else { (slow, at) };
                let (row, column) = (part.rows.start + row, part.columns.start + column);
                let is_missing = value.wide().is_nan();
                self.missing_in_rows[row] += usize::from(is_missing);
                if self.dropped.as_ref().is_none_or(|dropped| !dropped[row]) {
                    let counts = if is_missing { &mut self.missing_in_columns } else { &mut self.infinite_in_columns };
                    counts[column] += 1;
                }
            }
        }
    }

    /// What is kept, when all is counted.
    ///
    /// # Errors
    /// Input: nothing is.
    pub fn kept(mut self) -> Result<Remaining, Failure> {
        let width = self.missing_in_columns.len();
        let is_dropped = |row: usize| match &self.dropped {
            Some(dropped) => dropped[row],
            None => self.missing_in_rows[row] == width,
        };
        let all = 0..self.missing_in_rows.len();
        let (dropped, rows): (Vec<usize>, Vec<usize>) = all.partition(|row| is_dropped(*row));
        if self.dropped.is_none() {
            // Each of these rows was counted in every column.
            self.missing_in_columns.iter_mut().for_each(|count| *count -= dropped.len());
        }
        let is_whole = |column: &usize| self.missing_in_columns[*column] + self.infinite_in_columns[*column] == 0;
        let (columns, excluded): (Vec<usize>, Vec<usize>) = (0..width).partition(is_whole);
        if rows.is_empty() || columns.is_empty() {
            let height = self.missing_in_rows.len();
            let what = if rows.is_empty() { format!("all {height} rows") } else { format!("all {width} columns") };
            return Err(Failure::input(format!("{what} have missing values, so that nothing is left")).hint(
                "is the orientation right? rows without any value are dropped, then columns with some missing value are excluded",
            ));
        }
        let dropped = dropped.into_iter().map(|row| Dropped { row, missing: self.missing_in_rows[row] }).collect();
        let excluded = excluded.into_iter().map(|column| Excluded {
            column,
            missing: self.missing_in_columns[column],
            infinite: self.infinite_in_columns[column],
        });
        Ok(Remaining { rows, columns, dropped, excluded: excluded.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: f64 = f64::NAN;

    /// Four rows of three columns, given in two parts, the second column after column.
    fn kept(rows: [[f64; 3]; 4], by_first_column: bool) -> Result<Remaining, Failure> {
        let first: Vec<f64> = rows.iter().map(|row| row[0]).collect();
        let mut counts = MissingCounts::new([4, 3], by_first_column.then_some(&first));
        counts.add(&SourcePart { rows: 0..3, columns: 0..3, values: rows[..3].concat(), by_column: false });
        counts.add(&SourcePart { rows: 3..4, columns: 0..3, values: rows[3].to_vec(), by_column: true });
        counts.kept()
    }

    #[test]
    fn empty_rows_are_dropped_before_columns_are_excluded() {
        let rows = [[1.0, 2.0, 3.0], [N, N, N], [1.0, N, f64::INFINITY], [0.0, N, 0.0]];
        let found = kept(rows, false).unwrap();
        assert_eq!((found.rows, found.columns), (vec![0, 2, 3], vec![0]));
        assert_eq!(found.dropped, [Dropped { row: 1, missing: 3 }]);
        assert_eq!(
            found.excluded,
            [Excluded { column: 1, missing: 2, infinite: 0 }, Excluded { column: 2, missing: 0, infinite: 1 }]
        );
    }

    #[test]
    fn the_first_column_decides_by_the_rule_of_the_lab() {
        let rows = [[N, 2.0, N], [N, N, N], [1.0, 3.0, 4.0], [0.0, N, 0.0]];
        let found = kept(rows, true).unwrap();
        assert_eq!((found.rows, found.columns), (vec![2, 3], vec![0, 2]));
        assert_eq!(found.dropped, [Dropped { row: 0, missing: 2 }, Dropped { row: 1, missing: 3 }]);
        assert_eq!(found.excluded, [Excluded { column: 1, missing: 1, infinite: 0 }]);
        assert!(kept(rows, false).is_err(), "every column lacks a value of the first or last row");
    }

    #[test]
    fn something_must_be_left() {
        let rows = [[1.0, N, 1.0], [N, 1.0, 1.0], [1.0, 1.0, N], [1.0, 1.0, 1.0]];
        assert!(kept(rows, false).unwrap_err().message.starts_with("all 3 columns"));
        assert!(kept([[N; 3]; 4], false).unwrap_err().message.starts_with("all 4 rows"));
    }
}
