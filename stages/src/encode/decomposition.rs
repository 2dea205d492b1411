//! The training rows of a model along the axes on which they do not correlate: what makes every penalty cheap.
//!
//! With the centred rows X = U S V^T the weights of ridge regression are V (S^2 + penalty)^-1 V^T X^T Y, so one decomposition serves all
//! penalties and all responses. Decides by shape how it is found: from X^T X with the features no more than the rows (primal), else from
//! X X^T (dual). Axes whose eigenvalue is below [`cutoff`] carry only rounding errors and are left out: with penalty 0 this is the
//! solution of minimum norm. Products here are in `f64` whatever the features are in.

use std::ops::Range;

use pipe_contract::Failure;

use super::design::Design;
use super::real_number::Real;
use crate::numeric::counts::real;
use crate::numeric::linear_algebra::{Eigen, MatrixView, gram, principal_part, product, symmetric_eigen};

/// A decomposed set of training rows.
pub(super) struct Decomposition<T> {
    /// The groups that it is of, and their number of rows.
    pub train: Vec<usize>,
    pub count: usize,
    /// The columns of the design that the model has.
    pub columns: Vec<usize>,
    /// Means of all columns of the design over the training rows.
    pub means: Vec<f64>,
    /// Squared singular values, the largest first.
    pub eigenvalues: Vec<f64>,
    /// Columns of the model by axes.
    pub axes: Vec<f64>,
    /// The training rows along the axes, rows by axes; only of a dual decomposition, which has no use for products of features
    /// and responses.
    pub rows: Option<Vec<T>>,
}

/// The share of the largest eigenvalue below which an eigenvalue is a rounding error: the longer axis times the precision of `f64`.
pub(super) fn cutoff(rows: usize, columns: usize) -> f64 {
    real(rows.max(columns)) * f64::EPSILON
}

/// Whether the decomposition of so many columns is the dual one.
pub(super) fn is_dual(rows: usize, columns: usize) -> bool {
    columns > rows
}

/// The Gram matrix of all columns over groups, about their means.
pub(super) fn training_gram<T: Real>(design: &Design<T>, grams: &[Vec<f64>], train: &[usize]) -> Vec<f64> {
    let mut sum = vec![0.0; design.width() * design.width()];
    for group in train {
        sum.iter_mut().zip(&grams[*group]).for_each(|(sum, number)| *sum += number);
    }
    let (means, count) = (design.means(train), real(design.count(train)));
    for (column, mean) in sum.chunks_exact_mut(means.len()).zip(&means) {
        column.iter_mut().zip(&means).for_each(|(number, other)| *number -= count * mean * other);
    }
    sum
}

/// The Gram matrix of all columns over a group, about means that are not its own.
pub(super) fn held_gram<T: Real>(design: &Design<T>, grams: &[Vec<f64>], held: usize, means: &[f64]) -> Vec<f64> {
    let (mut result, sums, count) = (grams[held].clone(), design.sums(held), real(design.groups()[held].len()));
    for ((column, mean), sum) in result.chunks_exact_mut(means.len()).zip(means).zip(sums) {
        for ((number, other_mean), other_sum) in column.iter_mut().zip(means).zip(sums) {
            *number += count * mean * other_mean - sum * other_mean - other_sum * mean;
        }
    }
    result
}

impl<T: Real> Decomposition<T> {
    /// Decomposes the training rows of these groups. `gram` is that of [`training_gram`]; it is used if the decomposition is primal.
    /// If `all` is set, no axis is left out and the decomposition is primal: what an inverse does.
    ///
    /// # Errors
    /// As [`symmetric_eigen`].
    pub fn new(design: &Design<T>, train: &[usize], set: &[usize], gram: &[f64], all: bool) -> Result<Self, Failure> {
        let factors = vec![1.0; design.columns(set).len()];
        Self::scaled(design, train, set, gram, all, &factors)
    }

    /// [`new`](Self::new) of features that are multiplied by a factor each, which makes their penalties smaller by its square. Axes
    /// are still those of the features as they are.
    ///
    /// # Errors
    /// As [`symmetric_eigen`].
    pub fn scaled(
        design: &Design<T>,
        train: &[usize],
        set: &[usize],
        gram: &[f64],
        all: bool,
        factors: &[f64],
    ) -> Result<Self, Failure> {
        let (train, count) = (train.to_vec(), design.count(train));
        let (columns, means) = (design.columns(set), design.means(&train));
        let width = columns.len();
        if all || !is_dual(count, width) {
            let mut part = principal_part(gram, design.width(), &columns);
            for (column, factor) in part.chunks_exact_mut(width).zip(factors) {
                column.iter_mut().zip(factors).for_each(|(number, other)| *number *= factor * other);
            }
            let Eigen { values, vectors } = symmetric_eigen(&part, width)?;
            let kept = if all { width } else { above_cutoff(&values, cutoff(count, width)) };
            let (eigenvalues, mut axes) = (values[..kept].to_vec(), vectors[..kept * width].to_vec());
            scale_rows(&mut axes, factors);
            return Ok(Self { train, count, columns, means, eigenvalues, axes, rows: None });
        }
        let groups: Vec<_> = train.iter().map(|group| design.groups()[*group].clone()).collect();
        let mut x = design.about(&groups, &columns, &means);
        for (column, factor) in x.chunks_exact_mut(count).zip(factors) {
            column.iter_mut().for_each(|number| *number *= factor);
        }
        let x = MatrixView::new(&x, count, width);
        let Eigen { values, vectors } = symmetric_eigen(&outer_gram(x), count)?;
        let kept = above_cutoff(&values, cutoff(count, width));
        // U S, the rows along the axes, and X^T U / S, the axes.
        let scaled = |by: &dyn Fn(f64) -> f64| -> Vec<f64> {
            let columns = vectors.chunks_exact(count).zip(&values[..kept]);
            columns
                .flat_map(|(vector, value)| vector.iter().map(|number| number * by(*value)).collect::<Vec<_>>())
                .collect()
        };
        let rows = scaled(&f64::sqrt).into_iter().map(T::of).collect();
        let mut axes = product(x.transposed(), MatrixView::new(&scaled(&|value| 1.0 / value.sqrt()), count, kept));
        scale_rows(&mut axes, factors);
        Ok(Self { train, count, columns, means, eigenvalues: values[..kept].to_vec(), axes, rows: Some(rows) })
    }

    /// How many axes.
    pub fn len(&self) -> usize {
        self.eigenvalues.len()
    }

    /// Other rows of the design, less the means: rows by features.
    pub fn features(&self, design: &Design<T>, rows: Range<usize>) -> Vec<T> {
        design.about(&[rows], &self.columns, &self.means).into_iter().map(T::of).collect()
    }

    /// RidgeWeights along the axes, axes by responses, from what [`Block::along`](super::blocks::ResponseBlock::along) gives and a penalty for each.
    pub fn weights(&self, along: &[f64], penalties: &[f64]) -> Vec<f64> {
        let weight = |at: usize, axis: usize| along[at * self.len() + axis] / (self.eigenvalues[axis] + penalties[at]);
        (0..penalties.len()).flat_map(|at| (0..self.len()).map(move |axis| weight(at, axis))).collect()
    }

    /// Other rows of the design along the axes, rows by axes.
    pub fn along(&self, design: &Design<T>, rows: Range<usize>) -> Vec<T> {
        let count = rows.len();
        let x = design.about(&[rows], &self.columns, &self.means);
        let along = product(
            MatrixView::new(&x, count, self.columns.len()),
            MatrixView::new(&self.axes, self.columns.len(), self.len()),
        );
        along.into_iter().map(T::of).collect()
    }
}

/// Multiplies each row of a matrix, column after column, by a factor.
fn scale_rows(matrix: &mut [f64], factors: &[f64]) {
    for column in matrix.chunks_exact_mut(factors.len().max(1)) {
        column.iter_mut().zip(factors).for_each(|(number, factor)| *number *= factor);
    }
}

/// `x x^T`, through its transpose.
fn outer_gram(x: MatrixView<'_, f64>) -> Vec<f64> {
    gram(x.transposed())
}

fn above_cutoff(descending: &[f64], cutoff: f64) -> usize {
    let least = descending.first().map_or(0.0, |largest| largest.max(0.0) * cutoff);
    descending.iter().take_while(|value| **value > least).count()
}
