//! `nyu/prf`: pRF maps of a subject of the NYU Retinotopy Dataset, which are on the subject's own mesh, in the form of `prf/import`.
//!
//! The values are those of the dataset, unscaled, as in the study: its stimulus reached 12.4 degrees, that of the Human Connectome
//! Project 8. Decides what is refused: maps of different meshes, and a variance explained that is not a share.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use super::fetch_subject::MAPS;
use crate::formats::mgh;
use crate::hemisphere::HEMISPHERES;

/// What the maps are called in the output, in the order of [`MAPS`].
const NAMES: [&str; 4] = ["x", "y", "sigma", "cod"];
/// A share of variance is at most 1, but for rounding.
const MOST: f32 = 1.001;

/// The kind.
pub struct NyuPrf;

impl StageKind for NyuPrf {
    fn kind(&self) -> Kind {
        Kind::new("nyu/prf", 1, "pRF maps of a subject of the NYU Retinotopy Dataset, unscaled")
            .input(
                "files",
                &["files"],
                "`prf/{lh,rh}.{x,y,sigma,vexpl}.mgz`, as `nyu/fetch` gives them; one value a vertex",
            )
            .folder(
                "maps",
                "prf",
                "{lh,rh}.prf_{x,y,sigma}.mgz in degrees and prf_cod 0..1 per native vertex, NaN where missing",
            )
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let (folder, output) = (task.one("files")?.join("prf"), task.output("maps")?);
        let mut all = Vec::new();
        for hemisphere in HEMISPHERES {
            all.push((hemisphere.name(), read(&folder, hemisphere.name())?));
        }
        fs_err::create_dir_all(output).map_err(|error| Failure::io("create", output, &error))?;
        for (h, maps) in &all {
            for (name, values) in NAMES.iter().zip(maps) {
                mgh::write_f32(&output.join(format!("{h}.prf_{name}.mgz")), values)?;
            }
        }
        Ok(Ended::done())
    }
}

/// The maps of a hemisphere, in the order of [`MAPS`].
fn read(folder: &Path, h: &str) -> Result<[Vec<f32>; 4], Failure> {
    let path = |name: &str| folder.join(format!("{h}.{name}.mgz"));
    let mut maps: [Vec<f32>; 4] = Default::default();
    for (name, map) in MAPS.iter().zip(&mut maps) {
        *map = mgh::read_f32(&path(name))?;
    }
    let vertices = maps[0].len();
    if let Some((name, map)) = MAPS.iter().zip(&maps).find(|(_, map)| map.len() != vertices) {
        let message = format!(
            "{h} has values for {} vertices, and `{h}.{}.mgz` for {vertices}, expected equal numbers",
            map.len(),
            MAPS[0]
        );
        return Err(Failure::input(message).at(path(name).display().to_string()));
    }
    match maps[3].iter().position(|value| *value > MOST) {
        None => Ok(maps),
        Some(vertex) => Err(Failure::input(format!(
            "the variance explained is {} at vertex {vertex}, expected a share, 0 to 1",
            maps[3][vertex]
        ))
        .at(path(MAPS[3]).display().to_string())
        .hint("the file may hold percent: networks were trained on shares")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks;

    fn run(sigma: &[f32], variance: f32) -> Result<Vec<f32>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let prf = folder.path().join("in/prf");
        fs_err::create_dir_all(&prf).unwrap();
        for (h, x) in [("lh", [1.5, -2.0]), ("rh", [-4.0, 8.0])] {
            for (name, values) in
                [("x", &x[..]), ("y", &[0.0, f32::NAN]), ("sigma", sigma), ("vexpl", &[0.25, variance])]
            {
                mgh::write_f32(&prf.join(format!("{h}.{name}.mgz")), values).unwrap();
            }
        }
        let mut task = tasks::task(&NyuPrf, folder.path());
        tasks::give(&mut task, "files", &folder.path().join("in"));
        tasks::run(&NyuPrf, &task)?;
        let out = folder.path().join("maps");
        let x = |h: &str| mgh::read_f32(&out.join(format!("{h}.prf_x.mgz")));
        assert_eq!((x("lh")?, x("rh")?), (vec![1.5, -2.0], vec![-4.0, 8.0]), "unscaled");
        assert!(mgh::read_f32(&out.join("rh.prf_y.mgz"))?[1].is_nan());
        mgh::read_f32(&out.join("rh.prf_cod.mgz"))
    }

    #[test]
    fn maps_keep_their_values() {
        assert_eq!(run(&[1.0, 2.0], 1.0).unwrap(), [0.25, 1.0]);
    }

    #[test]
    fn maps_that_cannot_be_are_refused() {
        let failure = run(&[1.0], 0.5).unwrap_err();
        assert_eq!(failure.message, "lh has values for 1 vertices, and `lh.x.mgz` for 2, expected equal numbers");
        assert!(failure.place.unwrap().ends_with("lh.sigma.mgz"));
        let failure = run(&[1.0, 2.0], 57.0).unwrap_err();
        assert_eq!(failure.message, "the variance explained is 57 at vertex 1, expected a share, 0 to 1");
    }
}
