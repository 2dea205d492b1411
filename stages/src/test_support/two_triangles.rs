//! A cortex that is as small as one can be: a triangle a hemisphere, all three surfaces the same, with any transforms.

use std::path::Path;

use crate::formats::cortex::{self, FlattenedCortex, NewCortexHemisphere, Transform};
use crate::formats::gifti::Surface;
use crate::hemisphere::HEMISPHERES;

/// Writes the cortex of the subject `S1` into a folder and opens it.
pub fn write_two_triangles(folder: &Path, transforms: &[(&str, Transform)]) -> FlattenedCortex {
    let surface = || Surface { coordinates: vec![[0.0; 3]; 3], triangles: vec![[0, 1, 2]] };
    let both = HEMISPHERES.map(|hemisphere| NewCortexHemisphere {
        hemisphere,
        flat: surface(),
        pial: surface(),
        white: surface(),
        curvature: vec![0.0; 3],
        curvature_from: String::new(),
    });
    let transforms: Vec<(String, Transform)> =
        transforms.iter().map(|(name, transform)| ((*name).to_owned(), transform.clone())).collect();
    cortex::write(folder, "made", "S1", &both, &transforms).unwrap();
    FlattenedCortex::open(folder).unwrap()
}
