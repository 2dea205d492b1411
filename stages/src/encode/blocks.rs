//! Blocks of responses: how many at a time, and what of them models need.
//!
//! Decides the memory of a block ([`BLOCK_BYTES`], for each thread) and that the product of all features with a block of responses is
//! computed once, for every model and penalty; it is by far the longest product. Responses are shifted by their means over all rows that
//! may be looked at, which changes no result and keeps the digits of sums of squares.

use std::ops::Range;

use pipe_contract::Failure;

use super::decomposition::Decomposition;
use super::design::Design;
use super::real_number::Real;
use crate::formats::matrix::Matrix;
use crate::numeric::counts::real;
use crate::numeric::linear_algebra::{MatrixView, product, product_in_f64};

/// A block of responses and what is computed of it take about so many bytes.
pub(super) const BLOCK_BYTES: usize = 64 << 20;

/// More responses at a time are no faster.
const MOST: usize = 256;

/// The responses of some columns in the rows of a design.
pub(super) struct ResponseBlock<T> {
    pub width: usize,
    rows: usize,
    /// The rows that models are scored on by responses, as they are.
    pub observed: Vec<T>,
    /// Rows by responses, less the shifts.
    values: Vec<T>,
    /// What was taken off each response.
    shifts: Vec<f64>,
    /// By group: sums and sums of squares of every response, and columns of the design by responses, if that is needed.
    sums: Vec<Vec<f64>>,
    squares: Vec<Vec<f64>>,
    cross: Vec<Vec<f64>>,
}

/// Cuts responses into blocks. `rows` is how many rows a response has in its file, `columns` how many a design has.
pub(super) fn blocks<T: Real>(responses: usize, rows: usize, columns: usize, groups: usize) -> Vec<Range<usize>> {
    let of_one = rows * 4 * size_of::<T>() + columns * 8 * (groups + 8);
    let width = (BLOCK_BYTES / of_one).clamp(1, MOST);
    (0..responses).step_by(width).map(|first| first..(first + width).min(responses)).collect()
}

impl<T: Real> ResponseBlock<T> {
    /// Reads responses in these rows of their file and computes what models need; `cross` says whether that is products with features.
    ///
    /// # Errors
    /// Input: a number is not finite. Environment: the file cannot be read.
    pub fn read(
        design: &Design<T>,
        responses: &Matrix,
        columns: Range<usize>,
        rows: &[usize],
        cross: bool,
    ) -> Result<Self, Failure> {
        let mut values = responses.block::<T>(columns.clone(), Some(rows))?;
        if !design.centred() {
            super::real_number::narrow(&mut values);
        }
        let (width, seen) = (columns.len(), design.test().start);
        let observed = values.chunks_exact(rows.len()).flat_map(|column| column[seen..].iter().copied()).collect();
        let mut shifts = vec![0.0; width];
        for (at, column) in values.chunks_exact_mut(rows.len()).enumerate() {
            if let Some(bad) = column.iter().position(|number| !number.wide().is_finite()) {
                let (response, id) =
                    (&responses.columns().ids()[columns.start + at], &responses.rows().ids()[rows[bad]]);
                let value = column[bad].wide();
                return Err(Failure::input(format!(
                    "response `{response}` to `{id}` is {value}, expected a finite number"
                ))
                .at(responses.place())
                .hint("leave the response out; `matrix/import` does, and lists it"));
            }
            if design.centred() {
                shifts[at] = mean(&column[..seen]);
                column.iter_mut().for_each(|number| *number = T::of(number.wide() - shifts[at]));
            }
        }
        let mut block = Self {
            width,
            rows: rows.len(),
            observed,
            values,
            shifts,
            sums: Vec::new(),
            squares: Vec::new(),
            cross: Vec::new(),
        };
        for group in design.groups() {
            let of = |term: &dyn Fn(f64) -> f64| -> Vec<f64> {
                (0..width)
                    .map(|at| block.column(at, group.clone()).iter().map(|number| term(number.wide())).sum())
                    .collect()
            };
            let (sums, squares) = (of(&|number| number), of(&|number| number * number));
            if cross {
                let products = product_in_f64(design.part(group.clone()).transposed(), block.part(group.clone()));
                block.cross.push(products);
            }
            block.sums.push(sums);
            block.squares.push(squares);
        }
        Ok(block)
    }

    /// Some rows of one response, shifted.
    pub fn column(&self, at: usize, rows: Range<usize>) -> &[T] {
        &self.values[at * self.rows + rows.start..at * self.rows + rows.end]
    }

    /// What was taken off a response.
    pub fn shift(&self, at: usize) -> f64 {
        self.shifts[at]
    }

    fn part(&self, rows: Range<usize>) -> MatrixView<'_, T> {
        MatrixView::new(&self.values, self.rows, self.width).part(rows)
    }

    /// The mean of each response over groups; zeros if means are not taken off.
    pub fn means(&self, design: &Design<T>, groups: &[usize]) -> Vec<f64> {
        let count = if design.centred() { real(design.count(groups)) } else { f64::INFINITY };
        (0..self.width).map(|at| groups.iter().map(|group| self.sums[*group][at]).sum::<f64>() / count).collect()
    }

    /// Sums of squares of each response over a group, about these means.
    pub fn squares_about(&self, design: &Design<T>, group: usize, means: &[f64]) -> Vec<f64> {
        let (sums, squares, count) = (&self.sums[group], &self.squares[group], real(design.groups()[group].len()));
        (0..self.width).map(|at| squares[at] - means[at] * (2.0 * sums[at] - count * means[at])).collect()
    }

    /// Training rows along the axes of a decomposition, times the responses: axes by responses.
    pub fn along(&self, design: &Design<T>, of: &Decomposition<T>) -> Vec<f64> {
        let Some(rows) = &of.rows else {
            return self.projected(design, &of.train, of, &self.means(design, &of.train));
        };
        // The rows are centred, so the means of the responses drop out.
        let (rows, mut first, mut sum) =
            (MatrixView::new(rows, of.count, of.len()), 0, vec![0.0; of.len() * self.width]);
        for group in of.train.iter().map(|group| design.groups()[*group].clone()) {
            let part = rows.part(first..first + group.len());
            first += group.len();
            let products = product_in_f64(part.transposed(), self.part(group));
            sum.iter_mut().zip(products).for_each(|(sum, number)| *sum += number);
        }
        sum
    }

    /// Rows of a group along the axes of a primal decomposition, times the responses about these means: axes by responses.
    pub fn held_along(&self, design: &Design<T>, group: usize, of: &Decomposition<T>, means: &[f64]) -> Vec<f64> {
        self.projected(design, &[group], of, means)
    }

    /// Features of groups, about the means of a decomposition, times responses about these means, along the axes.
    fn projected(&self, design: &Design<T>, groups: &[usize], of: &Decomposition<T>, means: &[f64]) -> Vec<f64> {
        let (width, count) = (of.columns.len(), real(design.count(groups)));
        let sums: Vec<f64> =
            of.columns.iter().map(|column| groups.iter().map(|group| design.sums(*group)[*column]).sum()).collect();
        let mut cross = Vec::with_capacity(width * self.width);
        for (at, mean) in means.iter().enumerate() {
            let sum: f64 = groups.iter().map(|group| self.sums[*group][at]).sum();
            for (column, column_sum) in of.columns.iter().zip(&sums) {
                let product: f64 = groups.iter().map(|group| self.cross[*group][at * design.width() + column]).sum();
                cross.push(product - of.means[*column] * (sum - count * mean) - column_sum * mean);
            }
        }
        let axes = MatrixView::new(&of.axes, width, of.len());
        product(axes.transposed(), MatrixView::new(&cross, width, self.width))
    }
}

/// The mean of numbers; of equal numbers exactly that number.
pub(super) fn mean<T: Real>(numbers: &[T]) -> f64 {
    let Some(first) = numbers.first().map(|number| number.wide()) else { return 0.0 };
    first + numbers.iter().map(|number| number.wide() - first).sum::<f64>() / real(numbers.len())
}
