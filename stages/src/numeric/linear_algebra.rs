//! Products, Gram matrices, eigenvectors and singular vectors of dense matrices that lie in plain slices, column after column.
//!
//! Decides how numbers are summed: `f64` products in `f64`; products of `f32` in runs of [`Number::RUN`] rows, whose sums are added
//! in `f64` where the name of the function says so. Every function is single-threaded and gives the same bytes each time on one
//! machine; callers spread independent blocks over threads. Eigenvectors and singular vectors have no fixed sign.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par, Side};
use pipe_contract::Failure;

/// A number that matrices are made of.
pub trait Number: faer::traits::RealField + Copy + Into<f64> {
    /// One.
    const ONE: Self;
    /// How many products of [`product_in_f64`] are summed in this type before the sum is added in `f64`: the rounding error of a
    /// sum of `f32` grows with its length.
    const RUN: usize;
}

impl Number for f32 {
    const ONE: Self = 1.0;
    const RUN: usize = 512;
}

impl Number for f64 {
    const ONE: Self = 1.0;
    const RUN: usize = usize::MAX;
}

/// Rows that [`gram`] widens to `f64` at a time.
const GRAM_ROWS: usize = 1024;

/// A matrix in a slice, column after column, or a part of one, or the transpose of either.
#[derive(Clone, Copy, Debug)]
pub struct MatrixView<'a, T>(MatRef<'a, T>);

impl<'a, T: Number> MatrixView<'a, T> {
    /// All of a slice.
    ///
    /// # Panics
    /// The slice does not have `rows` times `columns` numbers.
    pub fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        Self(MatRef::from_column_major_slice(values, rows, columns))
    }

    /// Its transpose; nothing is moved.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self(self.0.transpose())
    }

    /// Some of its rows.
    ///
    /// # Panics
    /// There are no such rows.
    #[must_use]
    pub fn part(self, rows: Range<usize>) -> Self {
        Self(self.0.subrows(rows.start, rows.len()))
    }

    /// The numbers of one of its rows.
    ///
    /// # Panics
    /// There is no such row.
    pub fn row(self, row: usize) -> impl Iterator<Item = T> + 'a {
        self.0.row(row).iter().copied()
    }

    /// How many rows.
    pub fn rows(self) -> usize {
        self.0.nrows()
    }

    /// How many columns.
    pub fn columns(self) -> usize {
        self.0.ncols()
    }

    /// Its numbers in `f64`, column after column.
    pub fn to_f64(self) -> Vec<f64> {
        self.0.col_iter().flat_map(|column| column.iter().map(|number| (*number).into())).collect()
    }
}

/// `a b`, column after column.
///
/// # Panics
/// `a` has not as many columns as `b` has rows.
pub fn product<T: Number>(a: MatrixView<'_, T>, b: MatrixView<'_, T>) -> Vec<T> {
    let mut result = vec![T::zero_impl(); a.rows() * b.columns()];
    product_into(&mut result, a, b);
    result
}

/// `a b` in place of what is in `to`.
///
/// # Panics
/// As [`product`], or `to` has another length than the product.
pub fn product_into<T: Number>(to: &mut [T], a: MatrixView<'_, T>, b: MatrixView<'_, T>) {
    let to = MatMut::from_column_major_slice_mut(to, a.rows(), b.columns());
    matmul(to, Accum::Replace, a.0, b.0, T::ONE, Par::Seq);
}

/// `a b` with the sums over the inner axis in `f64`, column after column.
///
/// # Panics
/// As [`product`].
pub fn product_in_f64<T: Number>(a: MatrixView<'_, T>, b: MatrixView<'_, T>) -> Vec<f64> {
    let mut result = vec![0.0; a.rows() * b.columns()];
    let mut run = vec![T::zero_impl(); result.len()];
    let inner = b.rows();
    for start in (0..inner).step_by(T::RUN) {
        let rows = start..start.saturating_add(T::RUN).min(inner);
        product_into(&mut run, a.transposed().part(rows.clone()).transposed(), b.part(rows));
        result.iter_mut().zip(&run).for_each(|(sum, number)| *sum += (*number).into());
    }
    result
}

/// The Gram matrix `a^T a`, in `f64` throughout; exactly symmetric.
pub fn gram<T: Number>(a: MatrixView<'_, T>) -> Vec<f64> {
    let size = a.columns();
    let mut result = vec![0.0; size * size];
    for start in (0..a.rows()).step_by(GRAM_ROWS) {
        let rows = start..(start + GRAM_ROWS).min(a.rows());
        let wide = a.part(rows.clone()).to_f64();
        let wide = MatRef::from_column_major_slice(&wide, rows.len(), size);
        let to = MatMut::from_column_major_slice_mut(&mut result, size, size);
        let (lower, all) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
        triangular::matmul(to, lower, Accum::Add, wide.transpose(), all, wide, all, 1.0, Par::Seq);
    }
    for column in 0..size {
        for row in column + 1..size {
            result[row * size + column] = result[column * size + row];
        }
    }
    result
}

/// The rows and columns of a square matrix that are listed, in that order.
///
/// # Panics
/// `indices` reach outside.
pub fn principal_part(matrix: &[f64], size: usize, indices: &[usize]) -> Vec<f64> {
    indices.iter().flat_map(|column| indices.iter().map(move |row| matrix[column * size + row])).collect()
}

/// Eigenvalues and eigenvectors of a symmetric matrix.
#[derive(Clone, Debug)]
pub struct Eigen {
    /// The largest first.
    pub values: Vec<f64>,
    /// Unit vectors in the same order, one column each.
    pub vectors: Vec<f64>,
}

/// Decomposes a symmetric matrix, of which the lower triangle is read.
///
/// # Errors
/// Input: it has a number that is not finite. Stage: no convergence.
///
/// # Panics
/// The slice has not `size` times `size` numbers.
pub fn symmetric_eigen(matrix: &[f64], size: usize) -> Result<Eigen, Failure> {
    finite(matrix)?;
    if size == 0 {
        return Ok(Eigen { values: Vec::new(), vectors: Vec::new() });
    }
    let found = MatRef::from_column_major_slice(matrix, size, size).self_adjoint_eigen(Side::Lower);
    let found = found.map_err(|_| Failure::stage("the eigenvectors of a symmetric matrix did not converge"))?;
    let vectors = found.U();
    Ok(Eigen {
        values: found.S().column_vector().iter().rev().copied().collect(),
        vectors: (0..size).rev().flat_map(|column| vectors.col(column).iter().copied()).collect(),
    })
}

/// A thin singular value decomposition `u s v^T`.
#[derive(Clone, Debug)]
pub struct ThinSvd {
    /// Left vectors, one column each; as many as there are values.
    pub u: Vec<f64>,
    /// Singular values, the largest first: as many as the shorter axis is long.
    pub values: Vec<f64>,
    /// Right vectors, one column each.
    pub v: Vec<f64>,
}

/// Decomposes any matrix.
///
/// # Errors
/// As [`symmetric_eigen`].
pub fn thin_svd(matrix: MatrixView<'_, f64>) -> Result<ThinSvd, Failure> {
    matrix.0.col_iter().try_for_each(|column| finite(column.iter()))?;
    let found = matrix.0.thin_svd();
    let found = found.map_err(|_| Failure::stage("the singular vectors of a matrix did not converge"))?;
    Ok(ThinSvd {
        u: MatrixView(found.U()).to_f64(),
        values: found.S().column_vector().iter().copied().collect(),
        v: MatrixView(found.V()).to_f64(),
    })
}

fn finite<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> Result<(), Failure> {
    match numbers.into_iter().find(|number| !number.is_finite()) {
        Some(number) => Err(Failure::input(format!("a matrix holds {number}, expected finite numbers"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -0.5 and 0.5 that look irregular.
    fn numbers(count: usize, step: f64) -> Vec<f64> {
        (0..count).map(|i| ((i as f64 + 1.0) * step).sin() * 43_758.5).map(|x| x - x.floor() - 0.5).collect()
    }

    fn by_hand(a: &[f64], b: &[f64], rows: usize, inner: usize, columns: usize) -> Vec<f64> {
        let at = |r: usize, c: usize| (0..inner).map(|i| a[i * rows + r] * b[c * inner + i]).sum::<f64>();
        (0..columns).flat_map(|c| (0..rows).map(move |r| at(r, c))).collect()
    }

    fn close(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= tolerance, "{found} {expected}");
        }
    }

    #[test]
    fn products_are_sums_of_products() {
        let (a, b) = (numbers(7 * 1500, 0.7), numbers(1500 * 5, 1.3));
        let expected = by_hand(&a, &b, 7, 1500, 5);
        let (va, vb) = (MatrixView::new(&a, 7, 1500), MatrixView::new(&b, 1500, 5));
        close(&product(va, vb), &expected, 1e-11);
        close(&product_in_f64(va, vb), &expected, 1e-11);
        let transposed = MatrixView::new(&product(vb.transposed(), va.transposed()), 5, 7).transposed().to_f64();
        close(&transposed, &expected, 1e-11);
        let mut part = vec![9.0; 4 * 5];
        product_into(&mut part, va.part(2..6), vb);
        close(&part, &(0..5).flat_map(|c| expected[c * 7 + 2..c * 7 + 6].to_vec()).collect::<Vec<_>>(), 1e-11);
        assert!(product(MatrixView::new(&a[..0], 0, 3), MatrixView::new(&b[..6], 3, 2)).is_empty());
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "made for a test")]
    fn long_sums_of_narrow_numbers_keep_their_digits() {
        let narrow: Vec<f32> = numbers(60_000, 0.7).into_iter().map(|x| x as f32 + 1.0).collect();
        let wide: Vec<f64> = narrow.iter().map(|x| f64::from(*x)).collect();
        let view = MatrixView::new(&narrow, 60_000, 1);
        let exact = by_hand(&wide, &wide, 1, 60_000, 1)[0];
        let sums = product_in_f64(view.transposed(), view)[0];
        assert!((sums / exact - 1.0).abs() < 1e-6, "{sums} {exact}");
        assert!((gram(view)[0] / exact - 1.0).abs() < 1e-13);
    }

    #[test]
    fn gram_matrices_are_symmetric_and_parts_are_picked() {
        let a = numbers(2100 * 5, 0.3);
        let found = gram(MatrixView::new(&a, 2100, 5));
        let transposed = MatrixView::new(&a, 2100, 5).transposed().to_f64();
        close(&found, &by_hand(&transposed, &a, 5, 2100, 5), 1e-10);
        for (row, column) in [(0, 4), (3, 1), (2, 3)] {
            assert_eq!(found[row * 5 + column].to_bits(), found[column * 5 + row].to_bits());
        }
        assert_eq!(principal_part(&found, 5, &[3, 0]), [found[18], found[15], found[3], found[0]]);
    }

    #[test]
    fn eigenvectors_give_the_matrix_back() {
        let a = numbers(40 * 9, 0.9);
        let matrix = gram(MatrixView::new(&a, 40, 9));
        let Eigen { values, vectors } = symmetric_eigen(&matrix, 9).unwrap();
        assert!(values.is_sorted_by(|a, b| a >= b));
        let view = MatrixView::new(&vectors, 9, 9);
        close(&product(view.transposed(), view), &identity(9), 1e-13);
        let scaled: Vec<f64> = vectors.chunks(9).zip(&values).flat_map(|(v, s)| v.iter().map(move |x| x * s)).collect();
        close(&product(MatrixView::new(&scaled, 9, 9), view.transposed()), &matrix, 1e-12);
        let empty = symmetric_eigen(&[], 0).unwrap();
        assert!(empty.values.is_empty());
        assert!(symmetric_eigen(&[f64::NAN], 1).unwrap_err().message.contains("NaN"));
    }

    #[test]
    fn singular_vectors_give_the_matrix_back() {
        let a = numbers(6 * 4, 0.9);
        for (rows, columns) in [(6, 4), (4, 6)] {
            let ThinSvd { u, values, v } = thin_svd(MatrixView::new(&a, rows, columns)).unwrap();
            assert!(values.len() == 4 && values.is_sorted_by(|a, b| a >= b) && values[3] > 0.0);
            let scaled: Vec<f64> =
                u.chunks(rows).zip(&values).flat_map(|(u, s)| u.iter().map(move |x| x * s)).collect();
            let back = product(MatrixView::new(&scaled, rows, 4), MatrixView::new(&v, columns, 4).transposed());
            close(&back, &a, 1e-14);
        }
        assert!(thin_svd(MatrixView::new(&[f64::INFINITY], 1, 1)).is_err());
    }

    fn identity(size: usize) -> Vec<f64> {
        (0..size * size).map(|at| if at % (size + 1) == 0 { 1.0 } else { 0.0 }).collect()
    }
}
