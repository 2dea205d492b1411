//! Where a point lies on a mesh, independent of the mesh's shape: three corners and their barycentric weights.
//!
//! Decides the two interpolation rules of the original: `linear` leaves out corners that are not finite and
//! renormalises the other weights; `nearest` takes the corner with the largest weight, the first one on a tie.

/// A point of a mesh: a triangle's corners and their weights, which add up to one.
///
/// Weights may lie outside `[0, 1]` by rounding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Address {
    /// Vertex numbers.
    pub corners: [u32; 3],
    /// Barycentric weights of the corners, in the same order.
    pub weights: [f64; 3],
}

impl Address {
    /// The address of a vertex itself.
    pub fn vertex(vertex: u32) -> Self {
        Self { corners: [vertex; 3], weights: [1.0, 0.0, 0.0] }
    }

    /// The value at this point, interpolated between the corners' values. Corners whose value is not finite are
    /// left out and the other weights rescaled to one; NaN if nothing is left.
    ///
    /// # Panics
    /// If `values` is not one per vertex of the mesh.
    pub fn linear(&self, values: &[f32]) -> f64 {
        let (mut sum, mut weight) = (0.0, 0.0);
        let mut dropped = false;
        for (&corner, &share) in self.corners.iter().zip(&self.weights) {
            let value = f64::from(values[corner as usize]);
            if value.is_finite() {
                sum += share * value;
                weight += share;
            } else {
                dropped = true;
            }
        }
        match (dropped, weight == 0.0) {
            (false, _) => sum,
            (true, false) => sum / weight,
            (true, true) => f64::NAN,
        }
    }

    /// The corner with the largest weight, the first of equals.
    pub fn heaviest(&self) -> u32 {
        let [a, b, c] = self.weights;
        let corner = if a >= b && a >= c {
            0
        } else if b >= c {
            1
        } else {
            2
        };
        self.corners[corner]
    }

    /// The value of the [heaviest](Self::heaviest) corner.
    ///
    /// # Panics
    /// If `values` is not one per vertex of the mesh.
    pub fn nearest<T: Copy>(&self, values: &[T]) -> T {
        values[self.heaviest() as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THIRD: Address = Address { corners: [2, 0, 1], weights: [0.5, 0.25, 0.25] };

    #[test]
    fn linear_weighs_corners() {
        assert_eq!(THIRD.linear(&[4.0, 8.0, 1.0]), 3.5);
    }

    #[test]
    fn linear_drops_what_is_not_finite() {
        assert_eq!(THIRD.linear(&[4.0, 8.0, f32::NAN]), 6.0);
        assert_eq!(THIRD.linear(&[f32::INFINITY, f32::NAN, 3.0]), 3.0);
        assert!(THIRD.linear(&[f32::NAN; 3]).is_nan());
        let at_nan = Address { corners: [0, 1, 2], weights: [1.0, 0.0, 0.0] };
        assert!(at_nan.linear(&[f32::NAN, 1.0, 1.0]).is_nan(), "nothing is left when the other weights are zero");
    }

    #[test]
    fn nearest_takes_the_first_of_equals() {
        assert_eq!(THIRD.heaviest(), 2);
        assert_eq!(Address { corners: [7, 8, 9], weights: [0.2, 0.4, 0.4] }.heaviest(), 8);
        assert_eq!(Address { corners: [7, 8, 9], weights: [0.4, 0.2, 0.4] }.heaviest(), 7);
        assert_eq!(THIRD.nearest(&[10, 20, 30]), 30);
    }
}
