//! Agreement with pycortex 1.4.0 on its subject S1 at a height of 1,024: mask, sampled values and curvature.
//!
//! The numbers are in `tests/fidelity/encoding/flatmaps.json`, which `python flatmaps.py --golden flatmaps.json` beside it made. Of S1 the
//! flat surfaces, the left hemisphere and one transform are kept beside the project (`just data` runs these tests); with all of its files
//! `flatmaps.py CORTEX MAPPING` compares both hemispheres in every pixel. Bars: 99.9 % of the mask, values within 1e-5 and signs of
//! curvature on 99 %.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use super::pycortex::transform;
use crate::formats::cortex::Transform;
use crate::formats::gifti::{self, Surface};
use crate::numeric::curvature::{STEP, smoothed_mean};
use crate::numeric::depth_samples::{Depths, VoxelSamples, sample};
use crate::numeric::flat_grid::{FlatGrid, FlatMesh, MeshPlace, lay_out};
use crate::numeric::vector::{Point, add, scale};
use crate::test_support::tasks;
use crate::transfer::checksum::Sha256;

/// A hundredth of a millimetre.
const SAME_EXTENT: f64 = 0.01;

#[derive(Deserialize)]
struct Golden {
    height: usize,
    width: usize,
    depths: usize,
    shape: [usize; 3],
    /// Pixels of the mask by row.
    mask_rows: Vec<usize>,
    /// Left, right, bottom, top.
    extents: [f64; 4],
    /// Places in the picture, and the vertex and the values there.
    pixels: String,
    nearest: String,
    values: String,
    values_holes: String,
    values_holes_propagated: String,
    left_vertices: usize,
    /// A bit a vertex of the left hemisphere: its curvature is positive.
    gyri: String,
}

impl Golden {
    fn read() -> Self {
        serde_json::from_str(include_str!("../../../tests/fidelity/encoding/flatmaps.json")).unwrap()
    }

    fn pixels(&self) -> Vec<usize> {
        numbers(&self.pixels).into_iter().map(|pixel| pixel as usize).collect()
    }

    fn nearest(&self) -> Vec<u32> {
        numbers(&self.nearest)
    }

    fn is_gyrus(&self) -> Vec<bool> {
        let bytes = BASE64.decode(&self.gyri).unwrap();
        (0..self.left_vertices).map(|vertex| bytes[vertex / 8] >> (vertex % 8) & 1 == 1).collect()
    }
}

/// Numbers of four bytes.
fn numbers(packed: &str) -> Vec<u32> {
    let bytes = BASE64.decode(packed).unwrap();
    bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

fn surface(name: &str) -> Surface {
    gifti::read_surface(&tasks::data("pycortex_S1").join(format!("{name}.gii"))).unwrap()
}

fn laid_out(height: usize) -> FlatGrid {
    let flat = ["flat_lh", "flat_rh"].map(surface);
    let planes =
        flat.each_ref().map(|surface| surface.points().into_iter().map(|[x, y, _]| [x, y]).collect::<Vec<_>>());
    let meshes = [0, 1].map(|side: usize| FlatMesh { points: &planes[side], triangles: &flat[side].triangles });
    lay_out(&meshes, height).unwrap()
}

/// The places of the golden pixels.
fn places(golden: &Golden) -> Vec<MeshPlace> {
    let grid = laid_out(golden.height);
    let mut rank = 0;
    let ranks: Vec<usize> = grid
        .mask
        .iter()
        .map(|shown| {
            rank += usize::from(*shown);
            rank
        })
        .collect();
    let pixels = golden.pixels();
    assert!(pixels.iter().all(|pixel| grid.mask[*pixel]), "every golden pixel is one of the mask");
    pixels.iter().map(|pixel| grid.places[ranks[*pixel] - 1]).collect()
}

/// At least 99 of 100.
fn assert_nearly_all(what: &str, hits: impl ExactSizeIterator<Item = bool>) {
    let all = hits.len();
    let hits = hits.filter(|hit| *hit).count();
    assert!(hits * 100 >= all * 99, "{what}: {hits} of {all}");
}

#[test]
#[ignore = "needs the real data"]
fn the_picture_of_s1_has_the_size_and_the_mask_of_pycortex() {
    let golden = Golden::read();
    let grid = laid_out(golden.height);
    assert_eq!((grid.width, grid.height), (golden.width, golden.height));
    let ends = [grid.extents.left, grid.extents.right, grid.extents.bottom, grid.extents.top];
    assert!(ends.iter().zip(golden.extents).all(|(end, theirs)| (end - theirs).abs() < SAME_EXTENT), "{ends:?}");
    let rows = grid.mask.chunks(grid.width).map(|row| row.iter().filter(|shown| **shown).count());
    let different: usize = rows.zip(&golden.mask_rows).map(|(ours, theirs)| ours.abs_diff(*theirs)).sum();
    let all: usize = golden.mask_rows.iter().sum();
    assert!(different * 1000 <= all, "{different} of {all} pixels");
}

/// Every pixel of the mask at another height: `flatmaps.py --count 256`.
#[test]
#[ignore = "needs the real data"]
fn the_mask_of_s1_is_that_of_pycortex() {
    let grid = laid_out(256);
    assert_eq!((grid.width, grid.places.len()), (490, 70_774));
    let bytes: Vec<u8> = grid.mask.iter().map(|shown| u8::from(*shown)).collect();
    let digest = "ea30e4af942dfa399e6fb97a9c9e1837c297fb2cb6fd2f3e8b0c34c5a16656ec";
    assert_eq!(Sha256::of_bytes(&bytes).as_str(), digest);
}

/// A volume of numbers that look irregular, the first axis running fastest; with holes every seventh is missing.
fn volume(shape: [usize; 3], with_holes: bool) -> Vec<f32> {
    let value = |number: u64| {
        let value = f32::from(u16::try_from((number * number * 7919 + number * 104_729) % 10_007).unwrap()) / 997.0;
        if with_holes && number % 7 == 3 { f32::NAN } else { value }
    };
    (0..shape.iter().product::<usize>() as u64).map(value).collect()
}

fn sampled(golden: &Golden, places: &[MeshPlace]) -> VoxelSamples {
    let Transform { to_voxels, shape, .. } = transform(&tasks::data("pycortex_S1")).unwrap();
    assert_eq!(shape, golden.shape);
    // The golden pixels are on the left hemisphere; a pixel that had a corner on the right one would show nothing.
    let right = surface("flat_rh").coordinates.len();
    let [white, pial] = ["wm_lh", "pia_lh"].map(|name| {
        let mut points = surface(name).points();
        assert_eq!(points.len(), golden.left_vertices);
        points.resize(golden.left_vertices + right, [f64::MAX; 3]);
        points
    });
    sample(places, &white, &pial, &to_voxels, shape, golden.depths)
}

#[test]
#[ignore = "needs the real data"]
fn values_of_s1_are_those_that_pycortex_samples() {
    let golden = Golden::read();
    let places = places(&golden);
    let samples = sampled(&golden, &places);
    for (what, theirs, with_holes, rule) in [
        ("numbers", &golden.values, false, Depths::IgnoreNan),
        ("missing ones ignored", &golden.values_holes, true, Depths::IgnoreNan),
        ("missing ones propagated", &golden.values_holes_propagated, true, Depths::AllOrNan),
    ] {
        let ours = samples.means(&volume(golden.shape, with_holes), rule);
        let theirs = numbers(theirs).into_iter().map(f32::from_bits);
        let is_same = |(ours, theirs): (f32, f32)| (ours.is_nan() && theirs.is_nan()) || (ours - theirs).abs() <= 1e-5;
        assert_nearly_all(what, ours.into_iter().zip(theirs).map(is_same));
    }
}

#[test]
#[ignore = "needs the real data"]
fn gyri_of_s1_are_those_of_pycortex_at_vertices_and_in_pixels() {
    let golden = Golden::read();
    let (white, pial) = (surface("wm_lh"), surface("pia_lh"));
    let middle = white.points().into_iter().zip(pial.points()).map(|(a, b)| scale(add(a, b), 0.5));
    let curvature = smoothed_mean(&middle.collect::<Vec<Point>>(), &white.triangles, STEP).unwrap();
    let is_gyrus = golden.is_gyrus();
    assert_eq!(curvature.len(), is_gyrus.len());
    assert_nearly_all("vertices", curvature.iter().zip(&is_gyrus).map(|(value, gyrus)| (*value > 0.0) == *gyrus));

    let places = places(&golden);
    let nearest = golden.nearest();
    assert_nearly_all("nearest vertices", places.iter().zip(&nearest).map(|(place, theirs)| place.nearest == *theirs));
    let at = |(place, theirs): (&MeshPlace, &u32)| {
        curvature.get(place.nearest as usize).is_some_and(|value| (*value > 0.0) == is_gyrus[*theirs as usize])
    };
    assert_nearly_all("pixels", places.iter().zip(&nearest).map(at));
}
