//! The rows of one fold of a split, as models see them: features, in groups of rows that are fitted on or held out together.
//!
//! Decides how inner folds are cut (runs of the rows in the order of the split, the first ones longer by one), and which groups are
//! trained on in which round. Features are shifted by their means over all rows that may be looked at, which changes no result and keeps
//! the digits of sums of squares.

use std::ops::Range;

use pipe_contract::Failure;
use rayon::prelude::*;

use super::features::Features;
use super::real_number::Real;
use crate::numeric::counts::real;
use crate::numeric::linear_algebra::{MatrixView, gram};

/// Runs of rows whose Gram matrices are computed at the same time have at least so many rows, and take together about so many bytes at
/// most.
const GRAM_RUN: usize = 2048;
const GRAM_BYTES: usize = 64 << 20;

/// A fit: which groups are trained on, and which one is predicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FitRound {
    pub train: Vec<usize>,
    pub held: usize,
}

/// Features of the rows of a fold.
pub(super) struct Design<T> {
    /// Rows by columns, column after column: the groups, then the rows that models are scored on.
    values: Vec<T>,
    rows: usize,
    /// Which columns are those of each space; with a constant, its column is one more space, the last.
    spaces: Vec<Range<usize>>,
    groups: Vec<Range<usize>>,
    /// Sums of every column over each group.
    sums: Vec<Vec<f64>>,
    /// Whether means are taken off; else the constant stands for them.
    centred: bool,
}

impl<T: Real> Design<T> {
    /// From the features of all rows, of which the groups are the first ones. Without `centred` nothing is shifted and a column of ones
    /// is added.
    pub fn new(features: Features<T>, groups: Vec<Range<usize>>, centred: bool) -> Self {
        let Features { mut values, rows, mut spaces } = features;
        let seen = groups.last().map_or(0, |last| last.end);
        if centred {
            for column in values.chunks_exact_mut(rows) {
                let mean = column[..seen].iter().map(|number| number.wide()).sum::<f64>() / real(seen);
                column.iter_mut().for_each(|number| *number = T::of(number.wide() - mean));
            }
        } else {
            let first = values.len() / rows;
            values.extend(std::iter::repeat_n(T::ONE, rows));
            spaces.push(first..first + 1);
        }
        let sum = |column: &[T], group: &Range<usize>| -> f64 {
            column[group.clone()].iter().map(|number| number.wide()).sum()
        };
        let sums = groups.iter().map(|group| values.chunks_exact(rows).map(|column| sum(column, group)).collect());
        let sums = sums.collect();
        Self { values, rows, spaces, groups, sums, centred }
    }

    /// The groups.
    pub fn groups(&self) -> &[Range<usize>] {
        &self.groups
    }

    /// The rows that models are scored on.
    pub fn test(&self) -> Range<usize> {
        self.groups.last().map_or(0, |last| last.end)..self.rows
    }

    /// Whether means are taken off.
    pub fn centred(&self) -> bool {
        self.centred
    }

    /// The columns of each space; the constant, if there is one, is the last.
    pub fn spaces(&self) -> &[Range<usize>] {
        &self.spaces
    }

    /// How many columns.
    pub fn width(&self) -> usize {
        self.values.len() / self.rows
    }

    /// How many rows these groups have.
    pub fn count(&self, groups: &[usize]) -> usize {
        groups.iter().map(|group| self.groups[*group].len()).sum()
    }

    /// The columns of a set of spaces, the constant included.
    pub fn columns(&self, set: &[usize]) -> Vec<usize> {
        let constant = (!self.centred).then_some(self.spaces.len() - 1);
        set.iter().copied().chain(constant).flat_map(|space| self.spaces[space].clone()).collect()
    }

    /// All columns of some rows.
    pub fn part(&self, rows: Range<usize>) -> MatrixView<'_, T> {
        MatrixView::new(&self.values, self.rows, self.width()).part(rows)
    }

    /// Sums of every column over a group.
    pub fn sums(&self, group: usize) -> &[f64] {
        &self.sums[group]
    }

    /// Means of every column over groups; zeros if means are not taken off.
    pub fn means(&self, groups: &[usize]) -> Vec<f64> {
        let count = if self.centred { real(self.count(groups)) } else { f64::INFINITY };
        (0..self.width()).map(|at| groups.iter().map(|group| self.sums[*group][at]).sum::<f64>() / count).collect()
    }

    /// Some columns of some rows less a mean each, column after column.
    pub fn about(&self, rows: &[Range<usize>], columns: &[usize], means: &[f64]) -> Vec<f64> {
        let of = |column: usize| {
            let (first, mean) = (column * self.rows, means[column]);
            rows.iter().flat_map(move |rows| {
                self.values[first + rows.start..first + rows.end].iter().map(move |x| x.wide() - mean)
            })
        };
        columns.iter().flat_map(|column| of(*column)).collect()
    }

    /// The Gram matrix of all columns over each group, not centred.
    pub fn grams(&self) -> Vec<Vec<f64>> {
        self.groups.par_iter().map(|group| self.gram_of(group)).collect()
    }

    /// That of one group. Runs of its rows are multiplied at the same time, and their sums added in order.
    fn gram_of(&self, group: &Range<usize>) -> Vec<f64> {
        let bytes = size_of::<f64>() * self.width() * self.width();
        let run = group.len().div_ceil((GRAM_BYTES / bytes.max(1)).max(1)).max(GRAM_RUN);
        let runs: Vec<Range<usize>> =
            group.clone().step_by(run).map(|first| first..group.end.min(first + run)).collect();
        let grams: Vec<Vec<f64>> = runs.into_par_iter().map(|rows| gram(self.part(rows))).collect();
        let mut sum = vec![0.0; self.width() * self.width()];
        for of_run in grams {
            sum.iter_mut().zip(of_run).for_each(|(sum, number)| *sum += number);
        }
        sum
    }
}

/// Cuts rows into inner folds.
///
/// # Errors
/// Input: there are fewer rows than folds.
pub(super) fn inner_folds(rows: usize, folds: usize) -> Result<Vec<Range<usize>>, Failure> {
    if rows < folds {
        return Err(Failure::input(format!("{rows} rows cannot be cut into {folds} folds")).hint("lower `folds`"));
    }
    let begin = |fold: usize| fold * (rows / folds) + fold.min(rows % folds);
    Ok((0..folds).map(|fold| begin(fold)..begin(fold + 1)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Features<f64> {
        Features { values: vec![1.0, 2.0, 6.0, 5.0, -1.0, 4.0, 0.0, 9.0], rows: 4, spaces: vec![0..1, 1..2] }
    }

    #[test]
    fn inner_folds_are_runs() {
        assert_eq!(inner_folds(8, 3).unwrap(), [0..3, 3..6, 6..8]);
        assert_eq!(inner_folds(2, 3).unwrap_err().message, "2 rows cannot be cut into 3 folds");
    }

    #[test]
    fn columns_are_about_means_of_groups() {
        let design = Design::new(features(), vec![0..2, 2..3], true);
        assert_eq!((design.width(), design.test(), design.count(&[0, 1])), (2, 3..4, 3));
        assert_eq!(design.columns(&[1]), [1]);
        let means = design.means(&[0]);
        assert_eq!(design.about(&[0..2, 3..4], &[0], &means), [-0.5, 0.5, 3.5]);
        assert_eq!(design.about(&[Range { start: 2, end: 3 }], &[1, 0], &means), [-1.5, 4.5]);
        assert_eq!(design.sums(1), [3.0, -1.0]);
    }

    #[test]
    fn runs_of_rows_add_up() {
        let rows = 2 * GRAM_RUN + 5;
        let values: Vec<f64> = (0..rows).map(|at| real(at % 7)).chain((0..rows).map(|at| real(at % 3))).collect();
        let products = |a: usize, b: usize, rows: Range<usize>| rows.map(|at| real((at % a) * (at % b))).sum::<f64>();
        let (spaces, seen) = (Range { start: 0, end: 2 }, Range { start: 0, end: rows - 3 });
        let design = Design::new(Features { values, rows, spaces: vec![spaces] }, vec![seen.clone()], false);
        let grams = design.grams();
        let [aa, ab, bb] = [(7, 7), (7, 3), (3, 3)].map(|(a, b)| products(a, b, seen.clone()));
        assert_eq!((grams[0][0], grams[0][1], grams[0][3], grams[0][4]), (aa, ab, ab, bb));
    }

    #[test]
    fn a_constant_stands_for_means() {
        let design = Design::new(features(), vec![0..2, 2..3], false);
        assert_eq!(design.columns(&[1]), [1, 2]);
        assert_eq!(design.means(&[0]), [0.0; 3]);
        assert_eq!(design.about(&[Range { start: 1, end: 3 }], &[2, 0], &[0.0; 3]), [1.0, 1.0, 2.0, 6.0]);
        assert_eq!(design.grams()[0], [5.0, 7.0, 3.0, 7.0, 17.0, 3.0, 3.0, 3.0, 2.0]);
    }
}
