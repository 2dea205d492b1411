//! Smooth random functions on the sphere, and the smooth one-to-one maps of the sphere along them.
//!
//! A field is a sum of plane waves with random directions and lengths (random Fourier features), which approaches
//! the Gaussian process with covariance `sd^2 exp(-d^2 / (2 length^2))`, `d` the straight distance. It can be
//! evaluated anywhere, so that maps are made by flowing along it: unlike a plain displacement, a flow never
//! folds the sheet, however large the warp.

use super::random_stream::Stream;
use crate::numeric::vector::{Point, add, dot, norm, scale, subtract};

/// Waves per field: enough that single waves are not seen over the few correlation lengths of a cortex.
const WAVES: usize = 64;
/// Steps of a flow.
const STEPS: u32 = 6;

/// A random function of space with `N` independent components.
pub struct Field<const N: usize> {
    waves: Vec<Wave<N>>,
}

struct Wave<const N: usize> {
    direction: Point,
    phase: f64,
    amplitudes: [f64; N],
}

impl<const N: usize> Field<N> {
    /// Draws a function of this correlation length whose components have this standard deviation.
    pub fn new(stream: &mut Stream, length: f64, sd: f64) -> Self {
        let amplitude = sd * (2.0 / WAVES as f64).sqrt();
        let waves = (0..WAVES)
            .map(|_| Wave {
                direction: std::array::from_fn(|_| stream.normal() / length),
                phase: std::f64::consts::TAU * stream.uniform(),
                amplitudes: std::array::from_fn(|_| amplitude * stream.normal()),
            })
            .collect();
        Self { waves }
    }

    /// The value at a point.
    pub fn at(&self, point: Point) -> [f64; N] {
        let mut sum = [0.0; N];
        for wave in &self.waves {
            let height = libm::cos(dot(wave.direction, point) + wave.phase);
            for (sum, amplitude) in sum.iter_mut().zip(&wave.amplitudes) {
                *sum += amplitude * height;
            }
        }
        sum
    }
}

impl Field<3> {
    /// Moves a point of the sphere along the field for one unit of time.
    pub fn flow(&self, point: Point) -> Point {
        (0..STEPS).fold(point, |point, _| displaced(point, scale(self.at(point), 1.0 / f64::from(STEPS))))
    }
}

/// A point of the sphere moved along the sphere by the part of a push that runs along it. Maps made of such
/// moves are one-to-one as long as pushes are small against their correlation length.
pub fn displaced(point: Point, push: Point) -> Point {
    let radius = norm(point);
    let outward = scale(point, dot(push, point) / (radius * radius));
    let moved = add(point, subtract(push, outward));
    scale(moved, radius / norm(moved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_spread_and_length_they_should() {
        let (mut variance, mut near, mut count) = (0.0, 0.0, 0.0);
        for seed in 0..400 {
            let field = Field::<1>::new(&mut Stream::new(seed, "field"), 25.0, 3.0);
            for x in [0.0, 60.0, -80.0] {
                let (a, b) = (field.at([x, 10.0, 0.0])[0], field.at([x, 10.0, 25.0])[0]);
                variance += a * a;
                near += a * b;
                count += 1.0;
            }
        }
        assert!((variance / count - 9.0).abs() < 1.0, "{}", variance / count);
        // exp(-1/2) one correlation length away.
        assert!((near / variance - 0.61).abs() < 0.08, "{}", near / variance);
    }

    #[test]
    fn flows_stay_on_the_sphere() {
        let field = Field::<3>::new(&mut Stream::new(1, "flow"), 25.0, 7.0);
        let moved = field.flow([0.0, 60.0, -80.0]);
        assert!((norm(moved) - 100.0).abs() < 1e-9);
        assert!(norm(subtract(moved, [0.0, 60.0, -80.0])) > 0.1);
    }
}
