//! Blocks of responses: how many at a time, and what of them models need.
//!
//! Decides the memory of a block ([`BLOCK_BYTES`], for each thread) and that the product of all features with a block of responses is
//! computed once, for every model and penalty; it is by far the longest product. Responses are shifted by their means over all rows that
//! may be looked at, which changes no result and keeps the digits of sums of squares.

use std::ops::Range;

use pipe_contract::Failure;

use super::decomposition::Decomposition;
use super::design::Design;
use super::long_sums::{mean, sum};
use super::real_number::Real;
use crate::formats::matrix::Matrix;
use crate::numeric::counts::real;
use crate::numeric::linear_algebra::{MatrixView, product, product_in_f64};

/// A block of responses and what is computed of it take about so many bytes.
pub(super) const BLOCK_BYTES: usize = 64 << 20;

/// More responses at a time are no faster.
const MOST: usize = 256;

/// Memory that a block leaves to the next one: megabytes take longer to get anew than to fill.
pub(super) struct BlockRoom<T> {
    bytes: Vec<u8>,
    values: Vec<T>,
}

impl<T> Default for BlockRoom<T> {
    fn default() -> Self {
        Self { bytes: Vec::new(), values: Vec::new() }
    }
}

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
        room: &mut BlockRoom<T>,
    ) -> Result<Self, Failure> {
        let mut values = std::mem::take(&mut room.values);
        responses.block_into(columns.clone(), Some(rows), &mut room.bytes, &mut values)?;
        if !design.centred() {
            super::real_number::narrow(&mut values);
        }
        let (width, seen) = (columns.len(), design.test().start);
        let observed = values.chunks_exact(rows.len()).flat_map(|column| column[seen..].iter().copied()).collect();
        let mut shifts = vec![0.0; width];
        let mut sums = vec![vec![0.0; width]; design.groups().len()];
        let mut squares = sums.clone();
        for (at, column) in values.chunks_exact_mut(rows.len()).enumerate() {
            // Sums are finite if all numbers are, and cost less than looking at each.
            let centre = mean(&column[..seen]);
            let doubtful = !(centre.is_finite() && sum(&column[seen..], |number| number).is_finite());
            let bad = doubtful.then(|| column.iter().position(|number| !number.wide().is_finite())).flatten();
            if let Some(bad) = bad {
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
                shifts[at] = centre;
                column.iter_mut().for_each(|number| *number = T::of(number.wide() - shifts[at]));
            }
            for (group, rows) in design.groups().iter().enumerate() {
                let own = &column[rows.clone()];
                sums[group][at] = sum(own, |number| number);
                squares[group][at] = sum(own, |number| number * number);
            }
        }
        let rows = rows.len();
        let mut block = Self { width, rows, observed, values, shifts, sums, squares, cross: Vec::new() };
        if cross {
            let product = |group: &Range<usize>| {
                product_in_f64(design.part(group.clone()).transposed(), block.part(group.clone()))
            };
            block.cross = design.groups().iter().map(product).collect();
        }
        Ok(block)
    }

    /// Leaves its memory to the next block.
    pub fn leave(self, room: &mut BlockRoom<T>) {
        room.values = self.values;
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
        let column_sum = |column: &usize| groups.iter().map(|group| design.sums(*group)[*column]).sum::<f64>();
        let column_sums: Vec<f64> = of.columns.iter().map(column_sum).collect();
        let column_means: Vec<f64> = of.columns.iter().map(|column| of.means[*column]).collect();
        let mut cross = Vec::with_capacity(width * self.width);
        let mut products = vec![0.0; design.width()];
        for (at, mean) in means.iter().enumerate() {
            products.fill(0.0);
            for group in groups {
                let of_group = &self.cross[*group][at * design.width()..(at + 1) * design.width()];
                products.iter_mut().zip(of_group).for_each(|(sum, product)| *sum += product);
            }
            let about_mean = groups.iter().map(|group| self.sums[*group][at]).sum::<f64>() - count * mean;
            let columns = of.columns.iter().zip(&column_sums).zip(&column_means);
            cross.extend(
                columns.map(|((column, sum), column_mean)| products[*column] - column_mean * about_mean - sum * mean),
            );
        }
        let axes = MatrixView::new(&of.axes, width, of.len());
        product(axes.transposed(), MatrixView::new(&cross, width, self.width))
    }
}
