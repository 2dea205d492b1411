//! How a registered sphere is turned so that the occipital pole faces the viewer, and seen from infinitely far away.
//!
//! Decides the `occipital_pole` map projection of neuropythy: the two centres per hemisphere are those of its
//! `lib/projections/{lh,rh}.occipital_pole.mp.json` (method orthographic, registration fsaverage).

use std::f64::consts::PI;

use super::vector::{Point, cross, dot, norm, scale, unit};
use crate::hemisphere::Hemisphere;

/// The radius of the map in the published analysis of the Human Connectome Project, in radians (80 degrees).
pub const HCP_RADIUS: f64 = PI / 2.25;

/// The radius of the map for the other FreeSurfer subjects in the published analysis, in radians.
pub const FREESURFER_RADIUS: f64 = PI / 2.0;

/// What a map is centred on, as points on the fsaverage sphere (mm, FreeSurfer's axes: right, anterior, superior).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pole {
    /// Comes to lie in the middle of the map.
    pub center: Point,
    /// Comes to lie to the right of the middle, on the x axis.
    pub right: Point,
}

/// The occipital pole of a hemisphere.
pub fn occipital_pole(hemisphere: Hemisphere) -> Pole {
    match hemisphere {
        Hemisphere::Left => Pole { center: [-8.19, -83.55, -54.34], right: [36.55, -75.07, -55.03] },
        Hemisphere::Right => Pole { center: [-19.10, -77.49, -60.25], right: [28.41, -75.75, -58.78] },
    }
}

/// A rotation of space, by rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotation(pub [Point; 3]);

impl Rotation {
    /// The rotation that brings the pole's center to +z and its right point to y = 0, x > 0.
    pub fn facing(pole: &Pole) -> Self {
        let up = rotation_to_z(pole.center);
        let right = up.apply(pole.right);
        let angle = -libm::atan2(right[1], right[0]);
        around_z(angle).after(&up)
    }

    /// The rotated point.
    pub fn apply(&self, point: Point) -> Point {
        self.0.map(|row| dot(row, point))
    }

    /// This rotation after another.
    fn after(&self, first: &Rotation) -> Rotation {
        let column = |c: usize| first.0.map(|row| row[c]);
        Rotation(self.0.map(|row| [dot(row, column(0)), dot(row, column(1)), dot(row, column(2))]))
    }
}

/// The smallest rotation that brings a direction to +z.
fn rotation_to_z(direction: Point) -> Rotation {
    const Z: Point = [0.0, 0.0, 1.0];
    let angle = libm::acos((dot(direction, Z) / norm(direction)).clamp(-1.0, 1.0));
    // A direction along z has no axis of its own: nothing to turn, or half a turn around x.
    let axis = unit(cross(direction, Z)).unwrap_or([1.0, 0.0, 0.0]);
    around(axis, angle)
}

/// The rotation by `angle` (radians, right-handed) around a unit axis, by Rodrigues' formula.
fn around(axis: Point, angle: f64) -> Rotation {
    let (sin, cos) = libm::sincos(angle);
    let [x, y, z] = axis;
    let row = |outer: Point, skew: Point, one: Point| {
        let (a, b, c) = (scale(outer, 1.0 - cos), scale(skew, sin), scale(one, cos));
        [a[0] + b[0] + c[0], a[1] + b[1] + c[1], a[2] + b[2] + c[2]]
    };
    Rotation([
        row([x * x, x * y, x * z], [0.0, -z, y], [1.0, 0.0, 0.0]),
        row([y * x, y * y, y * z], [z, 0.0, -x], [0.0, 1.0, 0.0]),
        row([z * x, z * y, z * z], [-y, x, 0.0], [0.0, 0.0, 1.0]),
    ])
}

fn around_z(angle: f64) -> Rotation {
    around([0.0, 0.0, 1.0], angle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hemisphere::HEMISPHERES;

    #[test]
    fn the_centre_faces_the_viewer_and_the_right_point_lies_right() {
        for hemisphere in HEMISPHERES {
            let pole = occipital_pole(hemisphere);
            let rotation = Rotation::facing(&pole);
            let [x, y, z] = rotation.apply(pole.center);
            assert!(x.abs() < 1e-12 && y.abs() < 1e-12 && (z - norm(pole.center)).abs() < 1e-12);
            let [x, y, _] = rotation.apply(pole.right);
            assert!(x > 0.0 && y.abs() < 1e-12);
        }
    }

    #[test]
    fn directions_along_z_are_no_special_case_for_the_caller() {
        for z in [5.0, -5.0] {
            let rotation = Rotation::facing(&Pole { center: [0.0, 0.0, z], right: [0.0, 1.0, 0.0] });
            let center = rotation.apply([0.0, 0.0, z]);
            assert!((center[2] - 5.0).abs() < 1e-12);
            let right = rotation.apply([0.0, 1.0, 0.0]);
            assert!((right[0] - 1.0).abs() < 1e-12);
        }
    }

    /// The alignment matrix that neuropythy 0.13.0 gives for the left hemisphere.
    #[test]
    fn agrees_with_the_original() {
        let expected = [
            [0.9897597518564688, -0.004223342984479327, -0.14268075195714458],
            [0.11691179791874232, -0.5495068751039447, 0.8272688956566082],
            [-0.08189789443220086, -0.8354785201233677, -0.543386029724761],
        ];
        let Rotation(rows) = Rotation::facing(&occipital_pole(Hemisphere::Left));
        for (row, wanted) in rows.iter().flatten().zip(expected.iter().flatten()) {
            assert!((row - wanted).abs() < 1e-14, "{row} is not {wanted}");
        }
    }
}
