//! What a retinotopy experiment would report for a subject: results on fs_LR grayordinates, as published for the 7T
//! study, with noise, with variance explained well below one, with missing values outside of the scanned slab.

use super::atlas::{Atlas, Spot};
use super::individual::Side;
use super::random_stream::Stream;
use crate::hemisphere::Hemisphere;
use crate::numeric::nearest::NearestPoint;
use crate::numeric::vector::Point;

/// All runs, first half, second half.
pub const SPLITS: usize = 3;
/// Angle, eccentricity, gain, mean signal, variance explained, size.
pub const QUANTITIES: usize = 6;
/// The scanned slab: cortex up to this angle from the occipital pole, in radians.
const SLAB: f64 = 1.75;
/// The stimulus reached this far, in degrees.
const STIMULUS: f64 = 8.0;

/// One vertex' results, in the order of [`QUANTITIES`].
type Report = [f32; QUANTITIES];

/// The results of a hemisphere: for each split one row per quantity, over the vertices of the mask.
pub fn measure(seed: u64, atlas: &Atlas, side: &Side, fs_lr: &[Point], mask: &[bool], noise: f64) -> Vec<Vec<Report>> {
    let nearest = NearestPoint::new(&side.msmall);
    let cortex: Vec<Point> = fs_lr.iter().zip(mask).filter(|(_, cortex)| **cortex).map(|(point, _)| *point).collect();
    let native: Vec<Option<u32>> = cortex.iter().map(|point| nearest.nearest(*point)).collect();
    (0..SPLITS)
        .map(|split| {
            let mut stream = Stream::new(seed, &format!("{} prf {split}", atlas.hemisphere.name()));
            // Half of the data has a noise variance twice as large.
            let noise = if split == 0 { noise } else { noise * std::f64::consts::SQRT_2 };
            cortex
                .iter()
                .zip(&native)
                .map(|(point, native)| match native {
                    Some(native) if atlas.angle_to_pole(*point) < SLAB => {
                        report(&side.spots[*native as usize], atlas.hemisphere, noise, &mut stream)
                    }
                    _ => [f32::NAN; QUANTITIES],
                })
                .collect()
        })
        .collect()
}

/// One vertex. Where there is a map, position and size with noise that grows with eccentricity; elsewhere a fit to
/// nothing, with next to no variance explained.
fn report(spot: &Spot, hemisphere: Hemisphere, noise: f64, stream: &mut Stream) -> Report {
    let eccentricity = spot.eccentricity();
    let draws: [f64; 6] = std::array::from_fn(|_| stream.normal());
    let responds = eccentricity.is_finite() && spot.varea > 0;
    let (x, y, size, explained) = if responds {
        let inside = 1.0 / (1.0 + libm::exp(1.5 * (eccentricity - STIMULUS)));
        let strongest = if spot.varea <= 3 { 0.7 } else { 0.5 };
        let explained = (strongest * inside + 0.08 * draws[0]).clamp(0.01, 0.95);
        let spread = noise * (0.2 + 0.06 * eccentricity);
        let slope = match spot.varea {
            1 => 0.1,
            2 => 0.14,
            3 => 0.2,
            _ => 0.3,
        };
        let size = (0.4 + slope * eccentricity) * libm::exp(0.25 * noise * draws[3]);
        (spot.field[0] + spread * draws[1], spot.field[1] + spread * draws[2], size, explained)
    } else {
        let side = if hemisphere == Hemisphere::Left { 1.0 } else { -1.0 };
        (side * 2.0 + 4.0 * draws[1], 4.0 * draws[2], 1.5 * libm::exp(0.5 * draws[3]), 0.02 * draws[0].abs())
    };
    // Counter-clockwise from the right horizontal meridian, 0 to 360.
    let angle = libm::atan2(y, x).to_degrees();
    let angle = if angle < 0.0 { angle + 360.0 } else { angle };
    let gain = 3.0 * explained * libm::exp(0.2 * draws[4]);
    let mean = 10_000.0 + 800.0 * draws[5];
    [angle, libm::hypot(x, y), gain, mean, 100.0 * explained, size].map(|value| value as f32)
}
