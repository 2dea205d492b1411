//! Which voxels a pixel of a flattened cortex shows: samples between the white and the pial surface, and what is made of their values.
//!
//! Decides, as pycortex does: depths are equally spaced between the surfaces without their ends; a sample is the nearest voxel (halves to
//! even); a pixel of which either surface lies outside of the volume shows nothing. A pixel keeps each voxel once with the number of its
//! depths. Missing values and categories: see [`Depths`] and [`VoxelSamples::modes`].

use rayon::prelude::*;

use super::counts::real;
use super::flat_grid::MeshPlace;
use super::vector::{Point, add, scale, subtract};

/// An affine map of space: three rows of four numbers, and a last row of `0 0 0 1`.
pub type Affine = [[f64; 4]; 4];

/// The most depths there can be: their number at a voxel has 8 bits.
pub const MOST_DEPTHS: usize = 255;

/// Pixels that one thread works on at a time.
const BLOCK: usize = 4096;

/// What a mean over depths does where some have no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depths {
    /// It is the mean of the others.
    IgnoreNan,
    /// It has no value either, as in pycortex with `nanmean=False`: holes where the cortex meets the mask.
    AllOrNan,
}

/// The voxels of many pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoxelSamples {
    /// Where those of each pixel begin; one more entry than pixels.
    pub starts: Vec<u32>,
    /// Voxels, as they follow each other from white to pial; the first axis of the volume runs fastest.
    pub voxels: Vec<u32>,
    /// At how many depths each is the nearest.
    pub depths: Vec<u8>,
}

/// A point mapped by an affine.
pub fn map(affine: &Affine, point: Point) -> Point {
    [0, 1, 2].map(|row: usize| {
        let [x, y, z, shift] = affine[row];
        x * point[0] + y * point[1] + z * point[2] + shift
    })
}

/// Whether a volume of this shape shows what is at a point between its indices, as pycortex has it: from the centres of the first voxels on.
pub fn is_inside(shape: [usize; 3], point: Point) -> bool {
    (0..3).all(|axis| point[axis] >= 0.0 && point[axis] < real(shape[axis]))
}

/// The nearest whole number, halves to even, of a number from 0 to 2^51. The same as [`f64::round_ties_even`], which is a call of a function
/// where the processor's instruction for it is not assumed, and there are a hundred million numbers here: the spacing of numbers from 2^52
/// on is 1.
fn whole(number: f64) -> f64 {
    const FROM_HERE_WHOLE: f64 = 4_503_599_627_370_496.0;
    (number + FROM_HERE_WHOLE) - FROM_HERE_WHOLE
}

/// Samples at every place. `to_voxels` maps points of the surfaces, whose vertices are those of the places, to indices of voxels in a
/// volume of this shape, at most 2^32 voxels.
///
/// # Panics
/// If a place names a vertex that a surface does not have.
pub fn sample(
    places: &[MeshPlace],
    white: &[Point],
    pial: &[Point],
    to_voxels: &Affine,
    shape: [usize; 3],
    depths: usize,
) -> VoxelSamples {
    let at = |place: &MeshPlace, surface: &[Point]| {
        place
            .corners
            .iter()
            .zip(place.weights)
            .fold([0.0; 3], |sum, (corner, weight)| add(sum, scale(surface[*corner as usize], weight)))
    };
    let nearest = |point: Point| {
        let index = |axis: usize| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside of the volume")]
            let index = whole(point[axis]) as usize;
            // A point in the outer half of the last voxel.
            index.min(shape[axis] - 1)
        };
        u32::try_from(index(0) + shape[0] * (index(1) + shape[1] * index(2))).unwrap_or(u32::MAX)
    };
    let shares: Vec<f64> = (1..=depths).map(|depth| real(depth) / real(depths + 1)).collect();
    #[expect(clippy::type_complexity, reason = "how many runs a pixel has, and the runs")]
    let blocks: Vec<(Vec<u32>, Vec<(u32, u8)>)> = places
        .par_chunks(BLOCK)
        .map(|block| {
            let (mut counts, mut runs) = (Vec::with_capacity(block.len()), Vec::with_capacity(4 * block.len()));
            for place in block {
                let before = runs.len();
                let (inner, outer) = (map(to_voxels, at(place, white)), map(to_voxels, at(place, pial)));
                if place.weights != [0.0; 3] && is_inside(shape, inner) && is_inside(shape, outer) {
                    let across = subtract(outer, inner);
                    for share in &shares {
                        let voxel = nearest(add(inner, scale(across, *share)));
                        // A straight line leaves a voxel once, so the same voxel comes in one run.
                        match runs[before..].last_mut() {
                            Some((held, count)) if *held == voxel => *count += 1,
                            _ => runs.push((voxel, 1)),
                        }
                    }
                }
                counts.push(u32::try_from(runs.len() - before).unwrap_or(u32::MAX));
            }
            (counts, runs)
        })
        .collect();
    let mut samples = VoxelSamples { starts: vec![0], ..VoxelSamples::default() };
    let mut end = 0;
    for (counts, runs) in blocks {
        for count in counts {
            end += count;
            samples.starts.push(end);
        }
        let (voxels, depths): (Vec<u32>, Vec<u8>) = runs.into_iter().unzip();
        samples.voxels.extend(voxels);
        samples.depths.extend(depths);
    }
    samples
}

impl VoxelSamples {
    /// How many pixels there are.
    pub fn pixels(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The voxels of a pixel, each with its number of depths.
    pub fn of(&self, pixel: usize) -> impl Iterator<Item = (u32, u8)> {
        let range = self.starts[pixel] as usize..self.starts[pixel + 1] as usize;
        self.voxels[range.clone()].iter().copied().zip(self.depths[range].iter().copied())
    }

    /// The mean over depths of every pixel; NaN where there are no samples or, by `rule`, no values.
    ///
    /// # Panics
    /// If `values` are not one a voxel.
    pub fn means(&self, values: &[f32], rule: Depths) -> Vec<f32> {
        let mean = |pixel: usize| {
            let (mut sum, mut weight) = (0.0, 0.0);
            for (voxel, depths) in self.of(pixel) {
                let (value, depths) = (f64::from(values[voxel as usize]), f64::from(depths));
                if rule == Depths::AllOrNan || !value.is_nan() {
                    sum += value * depths;
                    weight += depths;
                }
            }
            #[expect(clippy::cast_possible_truncation, reason = "as narrow as the values were")]
            ((sum / weight) as f32)
        };
        (0..self.pixels()).into_par_iter().map(mean).collect()
    }

    /// The value that most depths of a pixel have, the smallest of equally frequent ones: for categories, of which a mean would be
    /// another one. Missing values do not count; NaN where there is nothing else.
    ///
    /// # Panics
    /// If `values` are not one a voxel.
    pub fn modes(&self, values: &[f32]) -> Vec<f32> {
        let mode = |pixel: usize| {
            let mut votes: Vec<(f32, u32)> = Vec::new();
            for (voxel, depths) in self.of(pixel) {
                let value = values[voxel as usize];
                match votes.iter_mut().find(|(held, _)| *held == value) {
                    Some((_, count)) => *count += u32::from(depths),
                    None if value.is_nan() => {}
                    None => votes.push((value, u32::from(depths))),
                }
            }
            let better = |a: &(f32, u32), b: &(f32, u32)| a.1.cmp(&b.1).then(b.0.total_cmp(&a.0));
            votes.into_iter().max_by(better).map_or(f32::NAN, |(value, _)| value)
        };
        (0..self.pixels()).into_par_iter().map(mode).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_the_nearest_and_even_ones() {
        for (number, expected) in [(0.0, 0.0), (0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (2.500_000_1, 3.0), (98.49, 98.0)] {
            assert_eq!(whole(number), expected);
        }
        let mut numbers = (0..10_000_u32).map(|step| f64::from(step) / 64.0);
        assert!(numbers.all(|number| whole(number) == number.round_ties_even()));
    }

    const SHIFT: Affine = [[1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

    fn at_vertex(vertex: u32) -> MeshPlace {
        MeshPlace { corners: [vertex; 3], weights: [0.25, 0.25, 0.5], nearest: vertex }
    }

    #[test]
    fn samples_lie_between_the_surfaces_and_not_on_them() {
        let (white, pial) = ([[0.0, 1.0, 1.0]], [[3.0, 1.0, 1.0]]);
        let samples = sample(&[at_vertex(0)], &white, &pial, &SHIFT, [4, 2, 2], 5);
        // Between 0.5 and 3.5: 1, 1.5, 2, 2.5, 3; halves go to the even neighbour.
        assert_eq!(samples.starts, [0, 3]);
        assert_eq!(samples.voxels, [7, 8, 9].map(|voxel| voxel + 6));
        assert_eq!(samples.depths, [1, 3, 1]);
        let middle = sample(&[at_vertex(0)], &white, &pial, &SHIFT, [4, 2, 2], 1);
        assert_eq!((middle.voxels, middle.depths), (vec![14], vec![1]));
    }

    #[test]
    fn a_pixel_shows_nothing_where_a_surface_leaves_the_volume() {
        let white = [[0.0, 0.0, 0.0], [-0.6, 0.0, 0.0], [0.0, 0.0, 0.0]];
        let pial = [[3.4, 1.0, 0.0], [1.0, 0.0, 0.0], [3.5, 0.0, 0.0]];
        let places = [at_vertex(0), at_vertex(1), at_vertex(2), MeshPlace { weights: [0.0; 3], ..at_vertex(0) }];
        let samples = sample(&places, &white, &pial, &SHIFT, [4, 2, 1], 3);
        assert_eq!(samples.starts[1..], [samples.starts[1]; 4]);
        assert!(samples.starts[1] > 0);
        // Up to half a voxel beyond the centre of the last one it is the last one.
        let edge = sample(&[at_vertex(0)], &[[3.2, 0.0, 0.0]], &[[3.4, 0.0, 0.0]], &SHIFT, [4, 1, 1], 2);
        assert_eq!((edge.voxels, edge.depths), (vec![3], vec![2]));
        assert!(samples.means(&[1.0; 8], Depths::IgnoreNan)[1].is_nan() && samples.modes(&[1.0; 8])[3].is_nan());
    }

    #[test]
    fn means_weigh_by_depths_and_treat_missing_values_as_asked() {
        let samples =
            VoxelSamples { starts: vec![0, 2, 4, 5], voxels: vec![0, 1, 1, 2, 2], depths: vec![1, 3, 2, 2, 4] };
        let values = [8.0, 4.0, f32::NAN];
        assert_eq!(samples.means(&values, Depths::IgnoreNan)[..2], [5.0, 4.0]);
        assert!(samples.means(&values, Depths::IgnoreNan)[2].is_nan());
        let propagated = samples.means(&values, Depths::AllOrNan);
        assert_eq!(propagated[0], 5.0);
        assert!(propagated[1].is_nan() && propagated[2].is_nan());
    }

    #[test]
    fn the_most_frequent_category_wins_and_the_smallest_of_equals() {
        let samples = VoxelSamples {
            starts: vec![0, 3, 5, 7],
            voxels: vec![0, 1, 2, 0, 1, 3, 1],
            depths: vec![2, 3, 2, 2, 2, 9, 1],
        };
        // The first and the third voxel are of one category and have more depths together; missing values do not vote.
        let values = [4.0, 1.0, 4.0, f32::NAN];
        assert_eq!(samples.modes(&values), [4.0, 1.0, 1.0]);
    }
}
