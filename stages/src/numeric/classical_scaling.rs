//! Classical scaling (Torgerson, 1952): the points whose inner products are nearest to those that dissimilarities imply.
//!
//! Eigenvectors of `-1/2 J D^2 J` (J takes means off), the largest eigenvalues first, each times the square root of its value; negative ones,
//! which dissimilarities that are no distances have, count as 0. It is exact for distances between points in so few dimensions, and else a
//! start for scaling by stress. All eigenvectors are computed, which takes n^3: for the few hundred items of a figure that is nothing.

use pipe_contract::Failure;

use super::counts::real;
use super::linear_algebra::{Eigen, symmetric_eigen};

/// The points of `count` items in `dims` dimensions, one axis after the other, with their mean at the origin. `triangle` has the dissimilarities by
/// rows of the upper triangle.
///
/// # Errors
/// Input: a dissimilarity is not finite. Stage: the eigenvectors do not converge.
pub fn classical_scaling(triangle: &[f64], count: usize, dims: usize) -> Result<Vec<f64>, Failure> {
    let Eigen { values, vectors } = symmetric_eigen(&inner_products(triangle, count), count)?;
    let mut points = vec![0.0; count * dims];
    let axes = points.chunks_exact_mut(count.max(1)).zip(vectors.chunks_exact(count.max(1)));
    for ((axis, vector), value) in axes.zip(&values) {
        let length = value.max(0.0).sqrt();
        axis.iter_mut().zip(vector).for_each(|(to, part)| *to = part * length);
    }
    Ok(points)
}

/// `-1/2 J D^2 J`, all of it.
fn inner_products(triangle: &[f64], count: usize) -> Vec<f64> {
    let mut products = vec![0.0; count * count];
    let mut pairs = triangle.iter();
    for one in 0..count {
        for (two, dissimilarity) in (one + 1..count).zip(&mut pairs) {
            let product = -0.5 * dissimilarity * dissimilarity;
            products[one * count + two] = product;
            products[two * count + one] = product;
        }
    }
    let means: Vec<f64> =
        products.chunks_exact(count.max(1)).map(|row| row.iter().sum::<f64>() / real(count)).collect();
    let mean = means.iter().sum::<f64>() / real(count);
    for (row, of_row) in products.chunks_exact_mut(count.max(1)).zip(&means) {
        row.iter_mut().zip(&means).for_each(|(product, of_column)| *product += mean - of_row - of_column);
    }
    products
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_a_plane_are_met() {
        // A rectangle of 4 by 3: sides and diagonals.
        let points = classical_scaling(&[4.0, 5.0, 3.0, 3.0, 5.0, 4.0], 4, 2).unwrap();
        let distance = |a: usize, b: usize| libm::hypot(points[a] - points[b], points[4 + a] - points[4 + b]);
        for (a, b, expected) in [(0, 1, 4.0), (0, 2, 5.0), (0, 3, 3.0), (1, 2, 3.0), (1, 3, 5.0), (2, 3, 4.0)] {
            assert!((distance(a, b) - expected).abs() < 1e-12, "{a} {b}: {}", distance(a, b));
        }
        assert!(points[..4].iter().sum::<f64>().abs() < 1e-12);
        let spread = |axis: &[f64]| axis.iter().map(|x| x * x).sum::<f64>();
        assert!((spread(&points[..4]) - 16.0).abs() < 1e-12 && (spread(&points[4..]) - 9.0).abs() < 1e-12);
    }

    #[test]
    fn products_are_those_of_the_formula() {
        // python -c "import numpy as n; D=n.array([[0,1,2],[1,0,4],[2,4,0.]]); J=n.eye(3)-1/3; print(n.linalg.eigvalsh(-.5*J@D**2@J))"
        let found = inner_products(&[1.0, 2.0, 4.0], 3);
        let Eigen { values, .. } = symmetric_eigen(&found, 3).unwrap();
        for (found, expected) in values.iter().zip([8.082_575_69, 0.0, -1.082_575_69]) {
            assert!((found - expected).abs() < 1e-6, "{values:?}");
        }
        let points = classical_scaling(&[1.0, 2.0, 4.0], 3, 3).unwrap();
        assert!(points[3..].iter().all(|x| x.abs() < 1e-6), "negative eigenvalues count as 0: {points:?}");
    }

    #[test]
    fn axes_that_are_not_there_are_zero() {
        let points = classical_scaling(&[2.0], 2, 3).unwrap();
        assert!((points[0].abs() - 1.0).abs() < 1e-12 && points[2..].iter().all(|x| x.abs() < 1e-6), "{points:?}");
        assert!(classical_scaling(&[f64::NAN], 2, 2).is_err());
    }
}
