//! The mapping from the pixels of a flattened cortex to voxels and vertices as an artifact, and what it makes of a map.
//!
//! A folder of `.npy` files, a row a pixel of the mask, in the order of the picture from the top: `mask` (the picture itself),
//! `triangles`, `weights`, `nearest`, `curvature`, and with a transform `voxel_starts`, `voxels`, `voxel_depths`; `about.json`. Decides this
//! form, and that numbers are averaged while categories are voted on. Vertices of the right hemisphere count after those of the left one,
//! voxels along the first axis of the volume first. Independent of how the mapping was made.

use std::path::Path;

use pipe_contract::Failure;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::brain_places::dimensions;
use super::cortex::{ABOUT, AboutHemisphere};
use super::cortical_map::{AboutMap, CorticalMap, MapValues, Measure};
use super::json_file::{read_json, write_json};
use super::nifti::VolumePlace;
use super::npy_arrays;
use crate::numeric::address::Address;
use crate::numeric::counts::real;
pub use crate::numeric::depth_samples::Depths;
use crate::numeric::depth_samples::{Affine, VoxelSamples};
use crate::numeric::flat_grid::Extents;

/// How far an entry of two affines may differ, in mm: files of volumes hold them in single precision.
const SAME_PLACE: f64 = 1e-3;

/// What a flat mapping is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AboutFlatMapping {
    /// Rows of the picture.
    pub height: usize,
    /// Columns of the picture.
    pub width: usize,
    /// Samples between the surfaces.
    pub depths: usize,
    /// The subject whose cortex it is of; empty if that has no name.
    pub cortex: String,
    /// The transform to voxels; none: vertices only.
    pub transform: Option<String>,
    /// Voxels of the volume along its axes.
    pub volume_shape: Option<[usize; 3]>,
    /// Indices of its voxels to the scanner's space, mm.
    pub volume_affine: Option<Affine>,
    /// What the picture shows of the plane, mm.
    pub extents: Extents,
    /// The hemispheres, left first.
    pub hemispheres: Vec<AboutHemisphere>,
}

/// A flat mapping in memory.
#[derive(Clone, Debug)]
pub struct FlatMapping {
    /// What it is.
    pub about: AboutFlatMapping,
    /// Whether a pixel of the picture shows cortex, row by row from the top.
    pub mask: Vec<bool>,
    /// Corners of the triangle around each pixel of the mask.
    pub triangles: Vec<[u32; 3]>,
    /// Their weights; all 0 outside of every triangle.
    pub weights: Vec<[f32; 3]>,
    /// The nearest vertex.
    pub nearest: Vec<u32>,
    /// The nearest vertex' curvature, gyri positive.
    pub curvature: Vec<f32>,
    /// The voxels of each pixel, if there is a transform.
    pub samples: Option<VoxelSamples>,
}

impl FlatMapping {
    /// Writes the mapping.
    ///
    /// # Errors
    /// Environment: a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        fs_err::create_dir_all(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
        let path = |name: &str| folder.join(format!("{name}.npy"));
        let pixels = self.triangles.len();
        npy_arrays::write(&path("mask"), &[self.about.height, self.about.width], self.mask.iter().copied())?;
        npy_arrays::write(&path("triangles"), &[pixels, 3], self.triangles.iter().flatten().copied())?;
        npy_arrays::write(&path("weights"), &[pixels, 3], self.weights.iter().flatten().copied())?;
        npy_arrays::write(&path("nearest"), &[pixels], self.nearest.iter().copied())?;
        npy_arrays::write(&path("curvature"), &[pixels], self.curvature.iter().copied())?;
        if let Some(VoxelSamples { starts, voxels, depths }) = &self.samples {
            npy_arrays::write(&path("voxel_starts"), &[starts.len()], starts.iter().copied())?;
            npy_arrays::write(&path("voxels"), &[voxels.len()], voxels.iter().copied())?;
            npy_arrays::write(&path("voxel_depths"), &[depths.len()], depths.iter().copied())?;
        }
        write_json(&folder.join(ABOUT), &self.about)
    }

    /// Reads a mapping and checks that its files fit together.
    ///
    /// # Errors
    /// Input: a file is missing, damaged, or does not fit the others.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let about: AboutFlatMapping = read_json(&folder.join(ABOUT))?;
        let path = |name: &str| folder.join(format!("{name}.npy"));
        let (picture, mask) = npy_arrays::read::<bool, 2>(&path("mask"))?;
        let (of_triangles, triangles) = npy_arrays::read::<u32, 2>(&path("triangles"))?;
        let (of_weights, weights) = npy_arrays::read::<f32, 2>(&path("weights"))?;
        let (_, nearest) = npy_arrays::read::<u32, 1>(&path("nearest"))?;
        let (_, curvature) = npy_arrays::read::<f32, 1>(&path("curvature"))?;
        let samples = match about.transform {
            None => None,
            Some(_) => Some(VoxelSamples {
                starts: npy_arrays::read::<u32, 1>(&path("voxel_starts"))?.1,
                voxels: npy_arrays::read::<u32, 1>(&path("voxels"))?.1,
                depths: npy_arrays::read::<u8, 1>(&path("voxel_depths"))?.1,
            }),
        };
        let pixels = mask.iter().filter(|shown| **shown).count();
        let voxels: usize = about.volume_shape.map_or(0, |shape| shape.iter().product());
        let fits = picture == [about.height, about.width]
            && [of_triangles, of_weights] == [[pixels, 3]; 2]
            && [nearest.len(), curvature.len()] == [pixels; 2]
            && triangles.iter().chain(&nearest).all(|vertex| (*vertex as usize) < about.vertices())
            && samples.as_ref().is_none_or(|samples| {
                samples.pixels() == pixels
                    && samples.starts.is_sorted()
                    && samples.starts.last().is_some_and(|end| *end as usize == samples.voxels.len())
                    && samples.depths.len() == samples.voxels.len()
                    && samples.voxels.iter().all(|voxel| (*voxel as usize) < voxels)
            });
        if !fits {
            return Err(Failure::input("the files of the flat mapping do not fit together")
                .at(folder.display().to_string())
                .hint("a part of it was copied or changed: make it again with `cortex/flat`"));
        }
        let triples = |values: Vec<u32>| values.as_chunks::<3>().0.to_vec();
        let weights = weights.as_chunks::<3>().0.to_vec();
        Ok(Self { about, mask, triangles: triples(triangles), weights, nearest, curvature, samples })
    }

    /// A map in every pixel of the mask, NaN where it has no value. Numbers are means over depths, or between vertices by weights;
    /// categories are the most frequent one, or the nearest vertex' one.
    ///
    /// # Errors
    /// Input: the map is of another cortex, another volume or other surfaces.
    pub fn paint(&self, map: &CorticalMap, rule: Depths) -> Result<Vec<f32>, Failure> {
        self.check_origin(&map.about)?;
        match &map.values {
            MapValues::Volume { place, values } => {
                let samples = self.samples_of(place)?;
                Ok(match map.about.measure {
                    Measure::Number => samples.means(values, rule),
                    Measure::Category => samples.modes(values),
                })
            }
            MapValues::Vertices(hemispheres) => {
                let found: Vec<(&str, usize)> =
                    hemispheres.iter().map(|(h, values)| (h.name(), values.len())).collect();
                let here: Vec<(&str, usize)> =
                    self.about.hemispheres.iter().map(|about| (about.name.as_str(), about.vertices)).collect();
                if found != here {
                    let words = |all: &[(&str, usize)]| {
                        let each: Vec<String> = all.iter().map(|(name, count)| format!("`{name}` {count}")).collect();
                        each.join(", ")
                    };
                    return Err(Failure::input(format!(
                        "the map has vertices {}, but the cortex has {}",
                        words(&found),
                        words(&here)
                    ))
                    .hint("the map is of another brain, or of the same one at another resolution"));
                }
                let values: Vec<f32> = hemispheres.iter().flat_map(|(_, values)| values).copied().collect();
                Ok(match map.about.measure {
                    Measure::Number => self.between_vertices(&values),
                    Measure::Category => self.at_nearest_vertex(&values),
                })
            }
        }
    }

    /// Refuses a map that says that it is of another cortex or transform; equal shapes would not show it.
    fn check_origin(&self, map: &AboutMap) -> Result<(), Failure> {
        let here = &self.about;
        if !map.cortex.is_empty() && !here.cortex.is_empty() && map.cortex != here.cortex {
            let found =
                format!("the map is of the cortex of `{}`, but the flat mapping of `{}`", map.cortex, here.cortex);
            return Err(Failure::input(found).hint("make the map and the mapping of the same `cortex`"));
        }
        match (&map.transform, &here.transform) {
            (Some(of_map), Some(own)) if of_map != own => Err(Failure::input(format!(
                "the map is in the volume of transform `{of_map}`, but the flat mapping in that of `{own}`"
            ))
            .hint("make the map and the mapping with the same `transform:`")),
            _ => Ok(()),
        }
    }

    fn samples_of(&self, place: &VolumePlace) -> Result<&VoxelSamples, Failure> {
        let (Some(samples), Some(shape)) = (&self.samples, self.about.volume_shape) else {
            return Err(Failure::input("the map is a volume, but the flat mapping knows vertices only")
                .hint("make the mapping of a cortex that has a transform to the volume"));
        };
        let hint = "the map is of another brain, or the mapping of another transform of the same cortex";
        if shape != place.shape {
            return Err(Failure::input(format!(
                "the map is a volume of {} voxels, but the transform of the flat mapping is to one of {}",
                dimensions(place.shape),
                dimensions(shape)
            ))
            .hint(hint));
        }
        let is_here = |own: &Affine| {
            let mut pairs = own.iter().flatten().zip(place.affine.iter().flatten());
            pairs.all(|(own, other)| (own - other).abs() <= SAME_PLACE)
        };
        match &self.about.volume_affine {
            Some(own) if !is_here(own) => Err(Failure::input(format!(
                "the voxels of the map lie elsewhere than those of the flat mapping: its affine is {:?}, expected {:?}",
                &place.affine[..3],
                &own[..3]
            ))
            .hint(hint)),
            _ => Ok(samples),
        }
    }

    /// Numbers between vertices by barycentric weights; corners without a value are left out. `values` are one a vertex.
    pub fn between_vertices(&self, values: &[f32]) -> Vec<f32> {
        let value = |(corners, weights): (&[u32; 3], &[f32; 3])| {
            if *weights == [0.0; 3] {
                return f32::NAN;
            }
            #[expect(clippy::cast_possible_truncation, reason = "as narrow as the values were")]
            (Address { corners: *corners, weights: weights.map(f64::from) }.linear(values) as f32)
        };
        self.triangles.par_iter().zip(&self.weights).map(value).collect()
    }

    /// The value of the nearest vertex. `values` are one a vertex.
    pub fn at_nearest_vertex(&self, values: &[f32]) -> Vec<f32> {
        self.nearest.iter().map(|vertex| values[*vertex as usize]).collect()
    }

    /// One value a pixel of the mask as the whole picture, row by row from the top, NaN outside of the mask.
    pub fn picture(&self, values: &[f32]) -> Vec<f32> {
        let mut values = values.iter();
        let pixel = |shown: &bool| if *shown { values.next().copied().unwrap_or(f32::NAN) } else { f32::NAN };
        self.mask.iter().map(pixel).collect()
    }
}

impl AboutFlatMapping {
    /// Vertices of all hemispheres.
    pub fn vertices(&self) -> usize {
        self.hemispheres.iter().map(|hemisphere| hemisphere.vertices).sum()
    }

    /// How coordinates of outlines, an SVG of this width and height, become those of the picture, where pixel `(c, r)` covers
    /// `[c, c + 1] x [r, r + 1]`: `x -> x * scale[0] + 0.5`, `y -> y * scale[1] + 0.5`.
    pub fn svg_scale(&self, size: [f64; 2]) -> [f64; 2] {
        [real(self.width - 1) / size[0], real(self.height - 1) / size[1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hemisphere::Hemisphere;

    fn mapping() -> FlatMapping {
        let vertices =
            |name: &str, vertices| AboutHemisphere { name: name.to_owned(), vertices, curvature: String::new() };
        FlatMapping {
            about: AboutFlatMapping {
                height: 2,
                width: 2,
                depths: 4,
                cortex: "S1".to_owned(),
                transform: Some("t".to_owned()),
                volume_shape: Some([3, 1, 1]),
                volume_affine: None,
                extents: Extents { left: -1.0, right: 1.0, bottom: 0.0, top: 2.0 },
                hemispheres: vec![vertices("lh", 3), vertices("rh", 1)],
            },
            mask: vec![true, false, true, true],
            triangles: vec![[0, 1, 2], [1, 2, 3], [3, 3, 3]],
            weights: vec![[0.25, 0.25, 0.5], [0.5, 0.5, 0.0], [0.0; 3]],
            nearest: vec![2, 1, 3],
            curvature: vec![0.5, -0.5, 0.25],
            samples: Some(VoxelSamples { starts: vec![0, 2, 3, 3], voxels: vec![0, 1, 2], depths: vec![1, 3, 4] }),
        }
    }

    fn map(measure: Measure, values: MapValues) -> CorticalMap {
        CorticalMap { about: AboutMap { measure, ..AboutMap::default() }, values }
    }

    fn volume(values: Vec<f32>) -> MapValues {
        MapValues::Volume { place: VolumePlace { shape: [values.len(), 1, 1], affine: [[0.0; 4]; 4] }, values }
    }

    #[test]
    fn a_mapping_comes_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        mapping().write(folder.path()).unwrap();
        let read = FlatMapping::open(folder.path()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", mapping()));
        npy_arrays::write(&folder.path().join("nearest.npy"), &[3], [2_u32, 1, 4]).unwrap();
        assert!(FlatMapping::open(folder.path()).unwrap_err().message.contains("do not fit together"));
    }

    #[test]
    fn numbers_are_averaged_and_categories_voted_on() {
        let painted = |measure, values| mapping().paint(&map(measure, values), Depths::IgnoreNan).unwrap();
        assert_eq!(painted(Measure::Number, volume(vec![4.0, 0.0, 7.0]))[..2], [1.0, 7.0]);
        assert_eq!(painted(Measure::Category, volume(vec![4.0, 0.0, 7.0]))[..2], [0.0, 7.0]);
        assert!(painted(Measure::Number, volume(vec![4.0, 0.0, 7.0]))[2].is_nan());
        let vertices =
            || MapValues::Vertices(vec![(Hemisphere::Left, vec![0.0, 1.0, 2.0]), (Hemisphere::Right, vec![9.0])]);
        assert_eq!(painted(Measure::Number, vertices())[..2], [1.25, 1.5]);
        assert_eq!(painted(Measure::Category, vertices()), [2.0, 1.0, 9.0]);
        let picture = mapping().picture(&[1.0, 2.0, 3.0]);
        assert!(picture[1].is_nan() && [picture[0], picture[2], picture[3]] == [1.0, 2.0, 3.0]);
    }

    #[test]
    fn the_map_of_another_brain_is_refused() {
        let failure = |values| mapping().paint(&map(Measure::Number, values), Depths::IgnoreNan).unwrap_err();
        assert_eq!(
            failure(volume(vec![0.0; 4])).message,
            "the map is a volume of 4 x 1 x 1 voxels, but the transform of the flat mapping is to one of 3 x 1 x 1"
        );
        assert_eq!(
            failure(MapValues::Vertices(vec![(Hemisphere::Left, vec![0.0; 5])])).message,
            "the map has vertices `lh` 5, but the cortex has `lh` 3, `rh` 1"
        );
        let mut flat = mapping();
        flat.samples = None;
        let failure = flat.paint(&map(Measure::Number, volume(vec![0.0; 3])), Depths::IgnoreNan).unwrap_err();
        assert!(failure.message.contains("knows vertices only"));
    }

    #[test]
    fn a_map_of_equal_shape_from_elsewhere_is_refused_by_what_it_says_of_itself() {
        let affine = [[2.0, 0.0, 0.0, -90.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let mut flat = mapping();
        flat.about.volume_affine = Some(affine);
        let painted = |cortex: &str, transform: Option<&str>, affine| {
            let place = VolumePlace { shape: [3, 1, 1], affine };
            let values = MapValues::Volume { place, values: vec![1.0; 3] };
            let about =
                AboutMap { cortex: cortex.to_owned(), transform: transform.map(str::to_owned), ..AboutMap::default() };
            flat.paint(&CorticalMap { about, values }, Depths::IgnoreNan)
        };
        // Single precision makes no difference, and a map that says nothing of itself is taken.
        let mut stored = affine;
        stored[0][3] = -90.000_008;
        assert_eq!(painted("S1", Some("t"), stored).unwrap()[..2], [1.0, 1.0]);
        assert!(painted("", None, affine).is_ok());
        assert_eq!(
            painted("S2", Some("t"), affine).unwrap_err().message,
            "the map is of the cortex of `S2`, but the flat mapping of `S1`"
        );
        assert_eq!(
            painted("S1", Some("u"), affine).unwrap_err().message,
            "the map is in the volume of transform `u`, but the flat mapping in that of `t`"
        );
        let mut moved = affine;
        moved[1][3] = 2.0;
        let failure = painted("S1", Some("t"), moved).unwrap_err();
        assert!(failure.message.starts_with("the voxels of the map lie elsewhere"), "{failure}");
        moved[1][3] = f64::NAN;
        assert!(painted("S1", Some("t"), moved).is_err());
    }

    #[test]
    fn both_ends_of_an_svg_are_centres_of_pixels() {
        let about = AboutFlatMapping { width: 101, height: 51, ..mapping().about };
        assert_eq!(about.svg_scale([200.0, 100.0]), [0.5, 0.5]);
    }
}
