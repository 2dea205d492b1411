//! Cholesky factors of small symmetric matrices, and the systems that they solve.
//!
//! Decides when a matrix counts as positive definite: a pivot must be above [`LEAST_PIVOT`] of its diagonal number, else the system has
//! no solution that rounding would not decide. Plain loops, for matrices of at most a few hundred rows; large products and
//! decompositions are those of [`linear_algebra`](super::linear_algebra). Independent of what the matrices are.

/// A pivot below this share of its diagonal number is rounding.
const LEAST_PIVOT: f64 = 1e-12;

/// `L` of a matrix `L L^T`.
#[derive(Clone, Debug)]
pub struct Cholesky {
    size: usize,
    /// By rows, what is above the diagonal is 0.
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors a symmetric matrix of `size` times `size` numbers, of which the lower triangle is read. `None` if it is not positive
    /// definite, to rounding.
    ///
    /// # Panics
    /// The slice has fewer numbers.
    pub fn of(matrix: &[f64], size: usize) -> Option<Self> {
        let mut lower = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let (one, other) = (&lower[row * size..][..column], &lower[column * size..][..column]);
                let left = matrix[row * size + column] - one.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
                lower[row * size + column] = if row == column {
                    if left.is_nan() || left <= LEAST_PIVOT * matrix[row * size + row].abs() {
                        return None;
                    }
                    left.sqrt()
                } else {
                    left / lower[column * size + column]
                };
            }
        }
        Some(Self { size, lower })
    }

    /// `L^-1 b` in place of `b`.
    pub fn forward(&self, b: &mut [f64]) {
        for row in 0..self.size {
            let own = &self.lower[row * self.size..][..=row];
            let known: f64 = own[..row].iter().zip(b.iter()).map(|(a, b)| a * b).sum();
            b[row] = (b[row] - known) / own[row];
        }
    }

    /// The solution `x` of `L L^T x = b` in place of `b`.
    pub fn solve(&self, b: &mut [f64]) {
        self.forward(b);
        for row in (0..self.size).rev() {
            let known: f64 = (row + 1..self.size).map(|below| self.lower[below * self.size + row] * b[below]).sum();
            b[row] = (b[row] - known) / self.lower[row * self.size + row];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.linalg.solve([[4, 2, 1], [2, 5, 3], [1, 3, 6]], [1, 2, 3])`.
    #[test]
    fn systems_are_solved() {
        let factor = Cholesky::of(&[4.0, 2.0, 1.0, 2.0, 5.0, 3.0, 1.0, 3.0, 6.0], 3).unwrap();
        let mut x = [1.0, 2.0, 3.0];
        factor.solve(&mut x);
        for (found, expected) in
            x.iter().zip([0.089_552_238_805_970_16, 0.104_477_611_940_298_5, 0.432_835_820_895_522_4])
        {
            assert!((found - expected).abs() < 1e-15, "{x:?}");
        }
        let mut z = [1.0, 2.0, 3.0];
        factor.forward(&mut z);
        let squared: f64 = z.iter().map(|z| z * z).sum();
        assert!((squared - (x[0] + 2.0 * x[1] + 3.0 * x[2])).abs() < 1e-14, "b^T A^-1 b is the square of L^-1 b");
    }

    #[test]
    fn matrices_that_are_not_positive_definite_are_refused() {
        assert!(Cholesky::of(&[1.0, 1.0, 1.0, 1.0], 2).is_none());
        assert!(Cholesky::of(&[1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(Cholesky::of(&[f64::NAN], 1).is_none());
        assert!(Cholesky::of(&[], 0).is_some());
    }
}
