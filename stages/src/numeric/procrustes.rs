//! Orthogonal Procrustes: the rotation or reflection that brings points nearest to their counterparts.
//!
//! Nothing is stretched, because distances between the points mean something (Schönemann, 1966: with the singular value decomposition
//! `points^T target = U S V^T` the turn is `U V^T`). Both have their mean at the origin.

use pipe_contract::Failure;

use super::counts::real;
use super::linear_algebra::{MatrixView, ThinSvd, product, thin_svd};

/// Turns points, mirrored where that is nearer, so that the sum of squared distances from `target` is least. Both are `count` points, one
/// axis after the other.
///
/// # Errors
/// Input: a coordinate is not finite. Stage: no convergence.
///
/// # Panics
/// The two have different lengths.
pub fn turn_onto(points: &mut [f64], target: &[f64], count: usize) -> Result<(), Failure> {
    if count == 0 {
        return Ok(());
    }
    let dims = points.len() / count;
    let turn = turn_of(MatrixView::new(points, count, dims), MatrixView::new(target, count, dims))?;
    apply(points, &turn, dims);
    Ok(())
}

/// The same where only some points have counterparts: `pairs` of the place of a point and that of its counterpart, whose distances about
/// their means decide the turn of all points. Both are in `dims` dimensions, one axis after the other. Nothing is turned without a pair.
///
/// # Errors
/// As [`turn_onto`].
///
/// # Panics
/// A place is not there.
pub fn turn_some_onto(points: &mut [f64], target: &[f64], dims: usize, pairs: &[[usize; 2]]) -> Result<(), Failure> {
    if pairs.is_empty() {
        return Ok(());
    }
    let some = |of: &[f64], which: usize| about_mean(of, dims, pairs.iter().map(|pair| pair[which]));
    let (own, theirs) = (some(points, 0), some(target, 1));
    let turn = turn_of(MatrixView::new(&own, pairs.len(), dims), MatrixView::new(&theirs, pairs.len(), dims))?;
    apply(points, &turn, dims);
    Ok(())
}

/// Some points about their mean, one axis after the other.
fn about_mean(points: &[f64], dims: usize, places: impl Iterator<Item = usize> + Clone) -> Vec<f64> {
    let mut found = Vec::new();
    for axis in points.chunks_exact(points.len() / dims) {
        let own: Vec<f64> = places.clone().map(|place| axis[place]).collect();
        let mean = own.iter().sum::<f64>() / real(own.len());
        found.extend(own.into_iter().map(|number| number - mean));
    }
    found
}

/// The turn that brings points nearest to their counterparts, column after column.
fn turn_of(points: MatrixView<'_, f64>, target: MatrixView<'_, f64>) -> Result<Vec<f64>, Failure> {
    let dims = points.columns();
    let products = product(points.transposed(), target);
    let ThinSvd { u, v, .. } = thin_svd(MatrixView::new(&products, dims, dims))?;
    Ok(product(MatrixView::new(&u, dims, dims), MatrixView::new(&v, dims, dims).transposed()))
}

fn apply(points: &mut [f64], turn: &[f64], dims: usize) {
    let turned = product(MatrixView::new(points, points.len() / dims, dims), MatrixView::new(turn, dims, dims));
    points.copy_from_slice(&turned);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} {expected:?}");
    }

    #[test]
    fn a_turned_and_mirrored_copy_is_brought_back() {
        let target = [1.0, -2.0, 0.5, 0.5, 3.0, -1.0, -1.5, -0.5];
        let (sin, cos) = libm::sincos(0.7);
        let (x, y) = target.split_at(4);
        let mirrored: Vec<f64> = x.iter().zip(y).map(|(x, y)| -(cos * x - sin * y)).collect();
        let turned: Vec<f64> = x.iter().zip(y).map(|(x, y)| sin * x + cos * y).collect();
        let mut points = [mirrored, turned].concat();
        turn_onto(&mut points, &target, 4).unwrap();
        close(&points, &target);
        turn_onto(&mut [], &[], 0).unwrap();
        assert!(turn_onto(&mut [f64::NAN, 0.0], &[1.0, 1.0], 1).is_err());
    }

    /// Three of four points have counterparts, which lie elsewhere and come in another order; all four are turned by a quarter.
    #[test]
    fn some_points_turn_all() {
        let mut points = [1.0, -2.0, 0.5, 0.5, 3.0, -1.0, -1.5, -0.5];
        // (x, y) becomes (-y, x), and 10 is added: of points 2, 0, 1.
        let target = [11.5, 7.0, 11.0, 10.5, 11.0, 8.0];
        turn_some_onto(&mut points, &target, 2, &[[2, 0], [0, 1], [1, 2]]).unwrap();
        close(&points, &[-3.0, 1.0, 1.5, 0.5, 1.0, -2.0, 0.5, 0.5]);
        turn_some_onto(&mut points, &target, 2, &[]).unwrap();
        close(&points, &[-3.0, 1.0, 1.5, 0.5, 1.0, -2.0, 0.5, 0.5]);
    }

    #[test]
    fn the_turn_is_that_of_scipy() {
        // python -c "import numpy as n; from scipy.linalg import orthogonal_procrustes as o; A=n.array([[1,0],[-2,1],[1,-1.]]); \
        // B=n.array([[0,2],[1,-1],[-1,-1.]]); print((A@o(A,B)[0]).T.ravel())"
        let mut points = [1.0, -2.0, 1.0, 0.0, 1.0, -1.0];
        turn_onto(&mut points, &[0.0, 1.0, -1.0, 2.0, -1.0, -1.0], 3).unwrap();
        close(
            &points,
            &[
                -0.514_495_755_428,
                1.886_484_436_568,
                -1.371_988_681_14,
                0.857_492_925_713,
                -1.200_490_095_998,
                0.342_997_170_285,
            ],
        );
    }
}
