//! `cortex/freesurfer`: a FreeSurfer subject with flat surfaces as a cortex, without a volume.
//!
//! Decides which files are read: fsaverage or fsaverage5 as nilearn packages them (`{flat,pial,white,curv}_{left,right}.gii.gz`), or those of
//! FreeSurfer, of which the flat one is a patch that `mris_flatten` wrote. FreeSurfer's curvature is turned around: gyri are positive here. Its
//! patches are turned as pycortex does, so that the temporal lobe is below.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::hemispheres::{Files, SharedParameters};
use crate::formats::gifti::{self, Surface};
use crate::formats::{cortex, freesurfer};
use crate::hemisphere::Hemisphere;

/// The kind.
pub(super) struct FreeSurfer;

parameters! {
    struct Parameters {
        /// the subject's name, for reports
        subject: String = "fsaverage".to_owned();
        /// the flat patch in FreeSurfer's own folder, without `lh.` or `rh.`
        patch: String = "full.flat.patch.3d".to_owned();
        ..shared: SharedParameters;
    }
}

impl StageKind for FreeSurfer {
    fn kind(&self) -> Kind {
        Kind::new("cortex/freesurfer", 1, "Takes over a FreeSurfer subject with flat surfaces, for data by vertex.")
            .input(
                "surf",
                &[],
                "nilearn's folder of fsaverage or fsaverage5, or the folder `surf` of a FreeSurfer subject that has flat patches",
            )
            .folder(
                "cortex",
                "cortex",
                "{lh,rh}.{flat,pial,white}.surf.gii, {lh,rh}.curvature.func.gii (gyri positive), about.json",
            )
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let folder = task.one("surf")?;
        let below = folder.join("surf");
        let folder = if below.is_dir() { below } else { folder.to_path_buf() };
        let is_packaged = ["left", "right"].iter().any(|side| folder.join(format!("white_{side}.gii.gz")).is_file());
        let hemispheres = parameters.shared.read(|hemisphere| match is_packaged {
            true => packaged(&folder, hemisphere),
            false => own(&folder, hemisphere, &parameters.patch),
        })?;
        cortex::write(task.output("cortex")?, "FreeSurfer", &parameters.subject, &hemispheres, &[])?;
        Ok(Ended::done())
    }
}

fn packaged(folder: &Path, hemisphere: Hemisphere) -> Result<Files, Failure> {
    let side = if hemisphere == Hemisphere::Left { "left" } else { "right" };
    let path = |name: &str| folder.join(format!("{name}_{side}.gii.gz"));
    let surface = |name: &str| gifti::read_surface(&path(name));
    let curvature = match path("curv") {
        file if file.is_file() => Some((turned(gifti::read_scalars(&file)?), format!("curv_{side}.gii.gz"))),
        _ => None,
    };
    Ok(Files { flat: surface("flat")?, pial: surface("pial")?, white: surface("white")?, curvature })
}

fn own(folder: &Path, hemisphere: Hemisphere, patch: &str) -> Result<Files, Failure> {
    let name = hemisphere.name();
    let path = |file: &str| folder.join(format!("{name}.{file}"));
    let white = freesurfer::read_surface(&path("white"))?;
    let pial = freesurfer::read_surface(&path("pial"))?;
    let patch = path(patch);
    let flat = flattened(&freesurfer::read_patch(&patch)?, &white)
        .map_err(|failure| failure.at(patch.display().to_string()))?;
    let curvature = match path("curv") {
        file if file.is_file() => Some((turned(freesurfer::read_morphometry(&file)?), format!("{name}.curv"))),
        _ => None,
    };
    Ok(Files { flat, pial, white, curvature })
}

/// The flat surface that a patch makes of a mesh: triangles all of whose corners are in it. Vertices that are not lie at the origin.
fn flattened(patch: &[(u32, [f32; 3])], mesh: &Surface) -> Result<Surface, Failure> {
    let mut coordinates = vec![[0.0; 3]; mesh.coordinates.len()];
    let mut is_in = vec![false; coordinates.len()];
    for (vertex, [x, y, _]) in patch {
        let vertex = *vertex as usize;
        if vertex >= coordinates.len() {
            let count = coordinates.len();
            return Err(Failure::input(format!("the patch names vertex {vertex}, but the white surface has {count}")));
        }
        coordinates[vertex] = [*y, -x, 0.0];
        is_in[vertex] = true;
    }
    let triangles = mesh.triangles.iter().filter(|corners| corners.iter().all(|corner| is_in[*corner as usize]));
    Ok(Surface { triangles: triangles.copied().collect(), coordinates })
}

fn turned(values: Vec<f32>) -> Vec<f32> {
    values.into_iter().map(|value| -value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::cortex::{FlattenedCortex, SurfaceName};
    use crate::test_support::tasks::{self, give, task};

    fn square(z: f32) -> Surface {
        Surface {
            coordinates: vec![[0.0, 0.0, z], [4.0, 0.0, z], [0.0, 4.0, z], [4.0, 4.0, z]],
            triangles: vec![[0, 1, 2], [1, 3, 2]],
        }
    }

    fn read(folder: &Path) -> Result<FlattenedCortex, Failure> {
        let mut task = task(&FreeSurfer, &folder.join("out"));
        give(&mut task, "surf", folder);
        tasks::run(&FreeSurfer, &task)?;
        FlattenedCortex::open(task.output("cortex").unwrap())
    }

    #[test]
    fn packaged_surfaces_are_read_and_gyri_are_positive() {
        let folder = tempfile::tempdir().unwrap();
        for side in ["left", "right"] {
            for (name, z) in [("flat", 0.0), ("pial", 2.0), ("white", 1.0)] {
                gifti::write_surface(&folder.path().join(format!("{name}_{side}.gii.gz")), &square(z)).unwrap();
            }
            gifti::write_scalars(&folder.path().join(format!("curv_{side}.gii.gz")), &[0.5, 0.0, -0.25, 1.0]).unwrap();
        }
        let cortex = read(folder.path()).unwrap();
        assert_eq!(cortex.curvature(Hemisphere::Left).unwrap(), [-0.5, 0.0, 0.25, -1.0]);
        assert!(cortex.transform("").is_err());
    }

    #[test]
    fn patches_of_freesurfer_become_flat_surfaces() {
        let folder = tempfile::tempdir().unwrap();
        for h in ["lh", "rh"] {
            freesurfer::write_surface(&folder.path().join(format!("{h}.white")), &square(1.0)).unwrap();
            freesurfer::write_surface(&folder.path().join(format!("{h}.pial")), &square(2.0)).unwrap();
            // -1, then three vertices: two at the border (negative), one inside; counted from 1.
            let mut patch = [-1_i32, 3].iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
            for (vertex, x, y) in [(-1_i32, 1.0_f32, 2.0_f32), (2, 3.0, 4.0), (-3, 5.0, 6.0)] {
                patch.extend(vertex.to_be_bytes());
                patch.extend([x, y, 0.0].iter().flat_map(|number| number.to_be_bytes()));
            }
            fs_err::write(folder.path().join(format!("{h}.full.flat.patch.3d")), patch).unwrap();
        }
        let cortex = read(folder.path()).unwrap();
        let flat = cortex.surface(Hemisphere::Right, SurfaceName::Flat).unwrap();
        assert_eq!(flat.triangles, [[0, 1, 2]]);
        assert_eq!(flat.coordinates, [[2.0, -1.0, 0.0], [4.0, -3.0, 0.0], [6.0, -5.0, 0.0], [0.0; 3]]);
        assert_eq!(cortex.about().hemispheres[0].curvature, "computed");
        assert!(flattened(&[(4, [0.0; 3])], &square(0.0)).unwrap_err().message.contains("names vertex 4"));
    }

    /// On the real fsaverage5, the file's curvature and the computed one agree on what is a gyrus.
    #[test]
    #[ignore = "needs the real data"]
    fn the_sign_of_fsaverage5_is_that_of_computed_curvature() {
        let folder = tasks::data("fsaverage5");
        let path = |name: &str| folder.join(format!("{name}_left.gii.gz"));
        let given = turned(gifti::read_scalars(&path("curv")).unwrap());
        let white = gifti::read_surface(&path("white")).unwrap();
        let computed = crate::numeric::curvature::smoothed_mean(&white.points(), &white.triangles, 20.0).unwrap();
        let product = |a: &mut dyn Iterator<Item = f64>| a.sum::<f64>();
        let across = product(&mut given.iter().zip(&computed).map(|(a, b)| f64::from(*a) * b));
        let lengths =
            product(&mut given.iter().map(|a| f64::from(*a).powi(2))) * product(&mut computed.iter().map(|b| b * b));
        assert!(across / lengths.sqrt() > 0.6, "correlation {}", across / lengths.sqrt());
    }
}
