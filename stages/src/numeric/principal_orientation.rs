//! One orientation for a cloud of points that may be turned and mirrored at will, so that equal clouds are shown alike.
//!
//! The mean goes to the origin, axes are the principal ones by falling variance, and on every axis the point that is farthest out (the first
//! of equals) is on the positive side. Where axes have equal variance (a square, an equilateral triangle) the principal ones are not
//! determined; then the first point, in the order of the list, that is not at the origin lies on the first of these axes, and so on.

use pipe_contract::Failure;

use super::counts::real;
use super::linear_algebra::{Eigen, MatrixView, gram, product, symmetric_eigen};

/// Variances, or distances, that differ by less than this share of the largest count as equal.
const EQUAL: f64 = 1e-6;

/// Moves, turns and mirrors `count` points in place; their coordinates are one axis after the other.
///
/// # Errors
/// Input: a coordinate is not finite. Stage: no convergence.
pub fn orient(points: &mut [f64], count: usize) -> Result<(), Failure> {
    if count == 0 {
        return Ok(());
    }
    let dims = points.len() / count;
    for axis in points.chunks_exact_mut(count) {
        let mean = axis.iter().sum::<f64>() / real(count);
        axis.iter_mut().for_each(|coordinate| *coordinate -= mean);
    }
    let Eigen { values, vectors } = symmetric_eigen(&gram(MatrixView::new(points, count, dims)), dims)?;
    turn(points, count, &vectors);
    let ends_group = |last: usize| values.get(last + 1).is_none_or(|next| values[last] - next > EQUAL * values[0]);
    let mut first = 0;
    for last in (0..dims).filter(|last| ends_group(*last)) {
        if last > first && values[first] > 0.0 {
            turn_to_first_points(&mut points[first * count..(last + 1) * count], count);
        }
        first = last + 1;
    }
    points.chunks_exact_mut(count).for_each(mirror);
    Ok(())
}

/// Puts points on other axes, each a column of `vectors`.
fn turn(points: &mut [f64], count: usize, vectors: &[f64]) {
    let dims = points.len() / count;
    let turned = product(MatrixView::new(points, count, dims), MatrixView::new(vectors, dims, dims));
    points.copy_from_slice(&turned);
}

/// Turns points so that the first one away from the origin lies on the first axis, the first one away from that axis in the plane of the
/// first two, and so on.
fn turn_to_first_points(points: &mut [f64], count: usize) {
    let dims = points.len() / count;
    let norm = |vector: &[f64]| vector.iter().map(|part| part * part).sum::<f64>().sqrt();
    let place = |at: usize| points.iter().skip(at).step_by(count).copied().collect::<Vec<f64>>();
    let farthest = (0..count).map(|at| norm(&place(at))).fold(0.0, f64::max);
    let mut axes: Vec<Vec<f64>> = Vec::new();
    for at in 0..count {
        let mut rest = place(at);
        for axis in &axes {
            let along: f64 = rest.iter().zip(axis).map(|(a, b)| a * b).sum();
            rest.iter_mut().zip(axis).for_each(|(part, of_axis)| *part -= along * of_axis);
        }
        let length = norm(&rest);
        // Directions of points that are nearly on the axes so far would be those of rounding errors.
        if axes.len() < dims && length > 1e-3 * farthest {
            axes.push(rest.iter().map(|part| part / length).collect());
        }
    }
    if axes.len() == dims {
        turn(points, count, &axes.concat());
    }
}

/// Mirrors an axis so that the point farthest out is on the positive side.
fn mirror(axis: &mut [f64]) {
    let farthest = axis.iter().fold(0.0_f64, |most, coordinate| most.max(coordinate.abs()));
    let first = axis.iter().find(|coordinate| coordinate.abs() >= farthest * (1.0 - EQUAL));
    let sign = if first.is_some_and(|coordinate| *coordinate < 0.0) { -1.0 } else { 1.0 };
    // Adding 0 makes a negative zero a plain one.
    axis.iter_mut().for_each(|coordinate| *coordinate = sign * *coordinate + 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} {expected:?}");
    }

    /// The points turned by an angle, shifted, and mirrored.
    fn moved(points: &[f64], angle: f64, mirrored: bool) -> Vec<f64> {
        let (sin, cos) = libm::sincos(angle);
        let (x, y) = points.split_at(points.len() / 2);
        let sign = if mirrored { -1.0 } else { 1.0 };
        let turned_x = x.iter().zip(y).map(|(x, y)| cos * x - sin * y + 7.0);
        turned_x.chain(x.iter().zip(y).map(|(x, y)| sign * (sin * x + cos * y) - 3.0)).collect()
    }

    #[test]
    fn a_turned_cloud_is_shown_alike() {
        // python -c "import numpy as n; X=n.array([[0,0],[4,1],[1,2],[2,-1.]]); X-=X.mean(0); w,v=n.linalg.eigh(X.T@X); print((X@v[:,::-1]).T)"
        let cloud = [0.0, 4.0, 1.0, 2.0, 0.0, 1.0, 2.0, -1.0];
        let mut expected = cloud.to_vec();
        orient(&mut expected, 4).unwrap();
        let signed = [
            [-1.800_131_301_615, 2.295_892_703_35, -0.548_742_915_973, 0.052_981_514_239],
            [-0.268_379_017_335, 0.203_412_621_792, 1.584_733_798_519, -1.519_767_402_976],
        ];
        close(&expected, signed.as_flattened());
        for (angle, mirrored) in [(0.3, false), (2.0, true), (-1.4, true), (3.1, false)] {
            let mut points = moved(&cloud, angle, mirrored);
            orient(&mut points, 4).unwrap();
            close(&points, &expected);
        }
    }

    #[test]
    fn axes_of_equal_variance_follow_the_first_points() {
        // An equilateral triangle whose corners are 1 from the origin.
        let half = 3.0_f64.sqrt() / 2.0;
        let triangle = [1.0, -0.5, -0.5, 0.0, half, -half];
        for (angle, mirrored) in [(0.0, false), (1.0, true), (-2.5, false)] {
            let mut points = moved(&triangle, angle, mirrored);
            orient(&mut points, 3).unwrap();
            close(&points, &triangle);
        }
    }

    #[test]
    fn points_on_a_line_or_at_one_place_are_no_error() {
        let mut line = [3.0, 3.0, 3.0, -1.0, 0.0, 4.0];
        orient(&mut line, 3).unwrap();
        close(&line, &[-2.0, -1.0, 3.0, 0.0, 0.0, 0.0]);
        let mut place = [5.0, 5.0, 1.0, 1.0];
        orient(&mut place, 2).unwrap();
        assert_eq!(place, [0.0; 4]);
        orient(&mut [], 0).unwrap();
        assert!(orient(&mut [f64::INFINITY, 1.0], 2).is_err());
    }
}
