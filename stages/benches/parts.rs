//! The geometry that every subject costs: the flat map of a hemisphere, and which points of it the pixels show.
//!
//! `./just bench-parts` runs it. The mesh is a subdivided icosahedron of 163,842 vertices, as fsaverage has.

use divan::Bencher;
use pipe_stages::hemisphere::Hemisphere;
use pipe_stages::numeric::flatmap::{FlatMap, project};
use pipe_stages::numeric::icosahedron::subdivided;

fn main() {
    divan::main();
}

/// The radius of the map in radians: the 80 degrees of the shipped pipeline.
const RADIUS: f64 = 80.0 * std::f64::consts::PI / 180.0;
const LEVEL: u32 = 7;

fn map() -> FlatMap {
    let (sphere, faces) = subdivided(LEVEL);
    project(&sphere, &faces, Hemisphere::Left, RADIUS).expect("a map")
}

#[divan::bench(sample_count = 20)]
fn flatmap_projection(bencher: Bencher) {
    let (sphere, faces) = subdivided(LEVEL);
    bencher.bench_local(|| project(&sphere, &faces, Hemisphere::Left, RADIUS).expect("a map"));
}

#[divan::bench(args = [64, 128, 512], sample_count = 10)]
fn flatmap_raster(bencher: Bencher, pixels: usize) {
    let map = map();
    bencher.bench_local(|| map.raster(pixels));
}
