//! `cortex/flat`: the mapping from pixels of a flattened cortex to the voxels and vertices that they show.
//!
//! Decides nothing of the geometry ([`flat_grid`](crate::numeric::flat_grid), [`depth_samples`](crate::numeric::depth_samples)): joins the
//! surfaces of both hemispheres for it. Made once for a cortex, a height and a sampling; every map is then rendered through it.

use pipe_contract::{Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};

use crate::formats::cortex::{FlattenedCortex, SurfaceName};
use crate::formats::flat_mapping::{AboutFlatMapping, FlatMapping};
use crate::numeric::depth_samples::{MOST_DEPTHS, sample};
use crate::numeric::flat_grid::{FlatGrid, lay_out};

/// The kind.
pub(super) struct Flat;

parameters! {
    struct Parameters {
        /// rows of the picture; its columns follow from the cortex
        height: usize = 1024, in 2..=16_384;
        /// samples between the white and the pial surface; 1 is halfway
        depths: usize = 32, in 1..=MOST_DEPTHS;
        /// the transform to the volume whose voxels are shown; empty for the only one, or for vertices alone if there is none
        transform: String = String::new();
    }
}

impl StageKind for Flat {
    fn kind(&self) -> Kind {
        Kind::new("cortex/flat", 1, "Maps the pixels of a flattened cortex to voxels and vertices.")
            .input("cortex", &["cortex"], "a cortex with flat surfaces")
            .folder(
                "mapping",
                "flat-mapping",
                "mask.npy, and a row a pixel of it: triangles, weights, nearest, curvature; voxel_starts, voxels, voxel_depths; about.json",
            )
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let folder = task.one("cortex")?;
        let mapping = make(&FlattenedCortex::open(folder)?, &parameters).map_err(|failure| match failure.place {
            Some(_) => failure,
            None => failure.at(folder.display().to_string()),
        })?;
        let pixels = mapping.triangles.len();
        let AboutFlatMapping { width, height, .. } = mapping.about;
        context.log(&format!("{width} x {height} pixels, {pixels} of them cortex"));
        let mut notes = Vec::new();
        if let Some(samples) = &mapping.samples {
            let shown = (0..pixels).filter(|pixel| samples.of(*pixel).next().is_some()).count();
            context.log(&format!("{shown} pixels show voxels"));
            if shown == 0 {
                notes.push(format!(
                    "{IMPORTANT}no pixel shows a voxel: the volume of the transform does not reach the cortex"
                ));
            }
        }
        mapping.write(task.output("mapping")?)?;
        Ok(Ended::noted(notes))
    }
}

fn make(cortex: &FlattenedCortex, parameters: &Parameters) -> Result<FlatMapping, Failure> {
    let sheets = cortex.flat_sheets()?;
    let FlatGrid { width, height, extents, mask, places } = lay_out(&sheets.meshes(), parameters.height)?;
    let transform = match (parameters.transform.as_str(), cortex.about().transforms.is_empty()) {
        ("", true) => None,
        (name, _) => Some(cortex.transform(name)?),
    };
    let samples = match &transform {
        None => None,
        Some((_, transform)) => {
            let (white, pial) = (cortex.points(SurfaceName::White)?, cortex.points(SurfaceName::Pial)?);
            Some(sample(&places, &white, &pial, &transform.to_voxels, transform.shape, parameters.depths))
        }
    };
    let curvature = cortex.curvatures()?;
    #[expect(clippy::cast_possible_truncation, reason = "weights are stored as 32-bit floats")]
    let weights = places.iter().map(|place| place.weights.map(|weight| weight as f32)).collect();
    Ok(FlatMapping {
        about: AboutFlatMapping {
            height,
            width,
            depths: parameters.depths,
            cortex: cortex.about().subject.clone(),
            transform: transform.as_ref().map(|(name, _)| name.clone()),
            volume_shape: transform.as_ref().map(|(_, transform)| transform.shape),
            volume_affine: transform.as_ref().map(|(_, transform)| transform.affine),
            extents,
            hemispheres: cortex.about().hemispheres.clone(),
        },
        mask,
        triangles: places.iter().map(|place| place.corners).collect(),
        weights,
        nearest: places.iter().map(|place| place.nearest).collect(),
        curvature: places.iter().map(|place| curvature[place.nearest as usize]).collect(),
        samples,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::cortex::{self, NewCortexHemisphere, Transform};
    use crate::formats::cortical_map::{AboutMap, CorticalMap, MapValues};
    use crate::formats::flat_mapping::Depths;
    use crate::formats::gifti::Surface;
    use crate::formats::nifti::VolumePlace;
    use crate::hemisphere::{HEMISPHERES, Hemisphere};
    use crate::test_support::tasks::{self, give, set, task};

    const UNIT: [[f64; 4]; 4] =
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

    /// Two square sheets, 8 mm wide and 3 mm thick, the right one beside the left one in space too; a voxel is a mm.
    fn sheets(folder: &Path, with_volume: bool) {
        let hemispheres = HEMISPHERES.map(|hemisphere| {
            let from = if hemisphere == Hemisphere::Left { 0.0 } else { 8.0 };
            let corners = |square: u32| square / 8 * 9 + square % 8;
            let surface = |z: f32| Surface {
                coordinates: (0..81_u8).map(|i| [from + f32::from(i % 9), f32::from(i / 9), z]).collect(),
                triangles: (0..64)
                    .map(corners)
                    .flat_map(|at| [[at, at + 1, at + 9], [at + 1, at + 10, at + 9]])
                    .collect(),
            };
            let curvature = (0..81_u8).map(f32::from).collect();
            let (flat, pial, white) = (surface(0.0), surface(3.9), surface(0.9));
            NewCortexHemisphere { hemisphere, flat, pial, white, curvature, curvature_from: String::new() }
        });
        let transform = Transform { to_voxels: UNIT, shape: [17, 9, 5], affine: UNIT };
        let transforms = if with_volume { vec![("t".to_owned(), transform)] } else { Vec::new() };
        cortex::write(folder, "made", "sheets", &hemispheres, &transforms).unwrap();
    }

    fn mapping(folder: &Path, parameters: &[(&str, Value)]) -> Result<FlatMapping, Failure> {
        let mut task = task(&Flat, &folder.join("out"));
        give(&mut task, "cortex", &folder.join("cortex"));
        parameters.iter().for_each(|(name, value)| set(&mut task, name, value.clone()));
        tasks::run(&Flat, &task)?;
        FlatMapping::open(task.output("mapping").unwrap())
    }

    #[test]
    fn a_pixel_shows_the_voxels_below_it() {
        let folder = tempfile::tempdir().unwrap();
        sheets(&folder.path().join("cortex"), true);
        let flat = mapping(folder.path(), &[("height", Value::Int(41))]).unwrap();
        assert_eq!((flat.about.width, flat.about.height, flat.about.transform.as_deref()), (82, 41, Some("t")));
        // Values that are the voxels' own indices.
        let volume = |axis: usize| {
            let voxels = (0..5).flat_map(|k| (0..9).flat_map(move |j| (0..17).map(move |i| [i, j, k])));
            let values = voxels.map(|voxel: [u8; 3]| f32::from(voxel[axis])).collect();
            let values = MapValues::Volume { place: VolumePlace { shape: [17, 9, 5], affine: UNIT }, values };
            let map = CorticalMap { about: AboutMap::default(), values };
            flat.picture(&flat.paint(&map, Depths::IgnoreNan).unwrap())
        };
        let (x, y, z) = (volume(0), volume(1), volume(2));
        // Row 5 from the top is y = 7, column 20 is 16 * 20 / 81 = 3.95 from the left, in space too.
        let pixel = 5 * 82 + 20;
        assert_eq!([x[pixel], y[pixel]], [4.0, 7.0]);
        // Depth t is at 0.9 + 3 t / 33: rounded to 1 six times (t up to 6), to 2 and 3 eleven times each, to 4 four times.
        assert!((z[pixel] - f32::from(6 + 2 * 11 + 3 * 11 + 4 * 4_u8) / 32.0).abs() < 1e-6, "{}", z[pixel]);
        let one = mapping(folder.path(), &[("height", Value::Int(41)), ("depths", Value::Int(1))]).unwrap();
        let samples = one.samples.unwrap();
        assert!(samples.depths.iter().all(|depths| *depths == 1));
        assert!(samples.voxels.iter().all(|voxel| voxel / 153 == 2), "halfway is 2.4");
    }

    #[test]
    fn a_cortex_without_a_volume_has_vertices_alone() {
        let folder = tempfile::tempdir().unwrap();
        sheets(&folder.path().join("cortex"), false);
        let flat = mapping(folder.path(), &[("height", Value::Int(983))]).unwrap();
        assert!(flat.samples.is_none() && flat.about.transform.is_none());
        let vertices: Vec<f32> = (0..162_u8).map(f32::from).collect();
        let halves = vec![(Hemisphere::Left, vertices[..81].to_vec()), (Hemisphere::Right, vertices[81..].to_vec())];
        let map = CorticalMap { about: AboutMap::default(), values: MapValues::Vertices(halves) };
        let painted = flat.picture(&flat.paint(&map, Depths::IgnoreNan).unwrap());
        // The first pixel is the first vertex of the last row of the left sheet.
        assert!((painted[0] - 72.0).abs() < 1e-4, "{}", painted[0]);
        assert_eq!(flat.curvature[0], 72.0);
        let failure = mapping(folder.path(), &[("transform", Value::Text("t".to_owned()))]).unwrap_err();
        assert_eq!(failure.message, "the cortex has no transform `t`, only none");
    }
}
