//! The rotation and shift that bring points onto their counterparts with the least sum of squared distances.
//!
//! The rotation is that of Kabsch (never a reflection), found as Horn (1987) does: the quaternion that belongs to the greatest
//! eigenvalue of a symmetric 4 x 4 matrix, by Jacobi rotations. No weights, as in the original (section 2.7): every vertex counts once.

use super::vector::{Point, add, scale, subtract};

/// A rotation about the origin, after which a shift follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RigidMotion {
    /// Rows of the rotation.
    pub rotation: [Point; 3],
    /// The mean of the points that were aligned, which the rotation turns about.
    pub from: Point,
    /// Where that mean goes.
    pub to: Point,
}

impl RigidMotion {
    /// The motion that brings `points` onto `targets`, their counterparts in the same order.
    ///
    /// Nothing for no points, for numbers of both that differ, and for a coordinate that is not finite.
    pub fn between(points: &[Point], targets: &[Point]) -> Option<Self> {
        if points.is_empty() || points.len() != targets.len() {
            return None;
        }
        let (from, to) = (centroid(points), centroid(targets));
        let mut covariance = [[0.0; 3]; 3];
        for (point, target) in points.iter().zip(targets) {
            let (point, target) = (subtract(*point, from), subtract(*target, to));
            for (row, of_point) in covariance.iter_mut().zip(point) {
                for (sum, of_target) in row.iter_mut().zip(target) {
                    *sum += of_point * of_target;
                }
            }
        }
        let finite = covariance.as_flattened().iter().chain(&from).chain(&to).all(|value| value.is_finite());
        finite.then(|| Self { rotation: rotation_of(best_quaternion(&covariance)), from, to })
    }

    /// Where a point goes.
    pub fn apply(&self, point: Point) -> Point {
        let centred = subtract(point, self.from);
        add(self.rotation.map(|row| super::vector::dot(row, centred)), self.to)
    }

    /// The angle of the rotation, in degrees.
    pub fn degrees(&self) -> f64 {
        let trace = self.rotation[0][0] + self.rotation[1][1] + self.rotation[2][2];
        libm::acos(((trace - 1.0) / 2.0).clamp(-1.0, 1.0)).to_degrees()
    }
}

fn centroid(points: &[Point]) -> Point {
    scale(points.iter().fold([0.0; 3], |sum, point| add(sum, *point)), 1.0 / points.len() as f64)
}

/// The unit quaternion (w, x, y, z) of the rotation, from the sums of products [of point][of target].
fn best_quaternion(s: &[[f64; 3]; 3]) -> [f64; 4] {
    let mut matrix = [
        [s[0][0] + s[1][1] + s[2][2], s[1][2] - s[2][1], s[2][0] - s[0][2], s[0][1] - s[1][0]],
        [s[1][2] - s[2][1], s[0][0] - s[1][1] - s[2][2], s[0][1] + s[1][0], s[2][0] + s[0][2]],
        [s[2][0] - s[0][2], s[0][1] + s[1][0], s[1][1] - s[0][0] - s[2][2], s[1][2] + s[2][1]],
        [s[0][1] - s[1][0], s[2][0] + s[0][2], s[1][2] + s[2][1], s[2][2] - s[0][0] - s[1][1]],
    ];
    let mut vectors = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    for _ in 0..SWEEPS {
        for (p, q) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
            jacobi_step(&mut matrix, &mut vectors, p, q);
        }
    }
    let greatest = (0..4).fold(0, |best, at| if matrix[at][at] > matrix[best][best] { at } else { best });
    std::array::from_fn(|row| vectors[row][greatest])
}

/// Sweeps over all pairs; each doubles the number of right digits, and a 4 x 4 matrix needs about six.
const SWEEPS: usize = 16;

/// Makes the entry (p, q) zero by a rotation in that plane; columns of `vectors` become eigenvectors.
fn jacobi_step(matrix: &mut [[f64; 4]; 4], vectors: &mut [[f64; 4]; 4], p: usize, q: usize) {
    if matrix[p][q] == 0.0 {
        return;
    }
    let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
    let sign = if theta < 0.0 { -1.0 } else { 1.0 };
    let tangent = sign / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for row in matrix.iter_mut().chain(vectors.iter_mut()) {
        (row[p], row[q]) = (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
    }
    let (of_p, of_q) = (matrix[p], matrix[q]);
    matrix[p] = std::array::from_fn(|column| cosine * of_p[column] - sine * of_q[column]);
    matrix[q] = std::array::from_fn(|column| sine * of_p[column] + cosine * of_q[column]);
}

fn rotation_of([w, x, y, z]: [f64; 4]) -> [Point; 3] {
    [
        [w * w + x * x - y * y - z * z, 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), w * w - x * x + y * y - z * z, 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
}

#[cfg(test)]
mod tests {
    use super::super::icosahedron::subdivided;
    use super::super::vector::{distance_squared, dot};
    use super::*;

    /// Points without symmetry.
    fn points() -> Vec<Point> {
        subdivided(2).0.iter().enumerate().map(|(at, p)| [3.0 * p[0] + 0.01 * at as f64, p[1], 2.0 * p[2]]).collect()
    }

    /// 40 degrees about z, then 30 about x.
    fn turned(p: Point) -> Point {
        let (s, c) = libm::sincos(40f64.to_radians());
        let [x, y, z] = [c * p[0] - s * p[1], s * p[0] + c * p[1], p[2]];
        let (s, c) = libm::sincos(30f64.to_radians());
        [x, c * y - s * z, s * y + c * z]
    }

    #[test]
    fn a_motion_is_found_again() {
        let points = points();
        let moved: Vec<Point> = points.iter().map(|p| add(turned(*p), [10.0, -20.0, 5.0])).collect();
        let motion = RigidMotion::between(&points, &moved).unwrap();
        for (point, target) in points.iter().zip(&moved) {
            assert!(distance_squared(motion.apply(*point), *target) < 1e-20);
        }
        // The angle of two turns about axes at a right angle: cos(a/2) = cos(20) cos(15).
        let expected = 2.0 * libm::acos(libm::cos(20f64.to_radians()) * libm::cos(15f64.to_radians())).to_degrees();
        assert!((motion.degrees() - expected).abs() < 1e-9, "{}", motion.degrees());
    }

    #[test]
    fn a_mirrored_counterpart_is_met_by_a_rotation() {
        let points = points();
        let mirrored: Vec<Point> = points.iter().map(|p| [-p[0], p[1], p[2]]).collect();
        let [a, b, c] = RigidMotion::between(&points, &mirrored).unwrap().rotation;
        assert!((dot(a, super::super::vector::cross(b, c)) - 1.0).abs() < 1e-12, "no reflection");
    }

    #[test]
    fn what_cannot_be_aligned_gives_nothing() {
        assert_eq!(RigidMotion::between(&[], &[]), None);
        assert_eq!(RigidMotion::between(&[[0.0; 3]], &[[0.0; 3]; 2]), None);
        assert_eq!(RigidMotion::between(&[[f64::NAN; 3]], &[[0.0; 3]]), None);
    }
}
