//! `prf/import`: population receptive fields of one subject, from the results file of the 7T retinotopy study
//! (MATLAB v7.3, all subjects, on fs_LR grayordinates) to the subject's native vertices.
//!
//! Each native vertex takes the value of the nearest fs_LR vertex, both on their spheres under MSMAll. Fs_LR
//! vertices outside the cortex mask have no grayordinate: their value is missing, and so is that of native
//! vertices nearest to them. Visual field coordinates are transferred, not angles, which do not average.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use crate::formats::fs_lr_meshes::{FsLr, cortex_mask, number_of};
use crate::formats::hdf5::{self, IndexPick};
use crate::formats::mgh;
use crate::formats::subject_folder::Subject;
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::nearest::NearestPoint;

/// The kind.
pub struct PrfImport;

/// Index on the first axis of `allresults`: 0 is all runs, 1 and 2 are halves.
const ALL_RUNS: u64 = 0;
/// Indices on the third axis.
const ANGLE: u64 = 0;
const ECCENTRICITY: u64 = 1;
const VARIANCE_EXPLAINED: u64 = 4;
const SIZE: u64 = 5;

impl StageKind for PrfImport {
    fn kind(&self) -> Kind {
        Kind::new("prf/import", 1, "Brings pRF results from fs_LR grayordinates to a subject's native vertices")
            .input(
                "results",
                &["prf-raw"],
                "MATLAB v7.3: subjectids, allresults [split, subject, quantity, grayordinate]; 32k or 59k",
            )
            .input("subject", &["subject"], "the subject's files, for the fs_LR and MSMAll spheres")
            .input("masks", &["files"], "{lh,rh}.atlasroi.{32k,59k}_fs_LR.shape.gii: which fs_LR vertices are cortex")
            .folder(
                "maps",
                "prf",
                "{lh,rh}.prf_{x,y,sigma}.mgz in degrees and prf_cod 0..1 per native vertex, NaN where missing",
            )
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let subject = Subject::open(task.one("subject")?)?;
        let maps = import(task.one("results")?, &subject, task.one("masks")?)?;
        let output = task.output("maps")?;
        fs_err::create_dir_all(output).map_err(|error| Failure::io("create", output, &error))?;
        for (hemisphere, maps) in HEMISPHERES.into_iter().zip(&maps) {
            for (name, values) in maps.named() {
                mgh::write_f32(&output.join(format!("{}.prf_{name}.mgz", hemisphere.name())), values)?;
            }
        }
        Ok(Ended::done())
    }
}

/// Receptive fields, one entry per vertex, NaN where missing.
#[derive(Clone, Debug, Default, PartialEq)]
struct Fields {
    /// Right of fixation, in degrees.
    x: Vec<f32>,
    /// Above fixation, in degrees.
    y: Vec<f32>,
    /// Size, in degrees.
    sigma: Vec<f32>,
    /// Variance explained, 0 to 1.
    cod: Vec<f32>,
}

impl Fields {
    fn named(&self) -> [(&'static str, &[f32]); 4] {
        [("x", &self.x), ("y", &self.y), ("sigma", &self.sigma), ("cod", &self.cod)]
    }

    /// The fields at these entries.
    fn at(&self, entries: &[Option<u32>]) -> Self {
        let take =
            |values: &[f32]| entries.iter().map(|entry| entry.map_or(f32::NAN, |at| values[at as usize])).collect();
        Self { x: take(&self.x), y: take(&self.y), sigma: take(&self.sigma), cod: take(&self.cod) }
    }
}

/// The fields of both hemispheres on native vertices.
fn import(results: &Path, subject: &Subject, masks: &Path) -> Result<[Fields; 2], Failure> {
    let file = hdf5::File::open(results)?;
    let (mesh, row) = find(&file, results, subject.sid())?;
    let both = [cortex_mask(masks, Hemisphere::Left, mesh)?, cortex_mask(masks, Hemisphere::Right, mesh)?];
    let cortex: [usize; 2] = [0, 1].map(|side| both[side].iter().filter(|inside| **inside).count());
    let grayordinates = read_fields(&file, row)?;
    if cortex[0] + cortex[1] > grayordinates.x.len() {
        return Err(Failure::input(format!(
            "the masks have {} and {} cortical vertices, but `allresults` only {} grayordinates",
            cortex[0],
            cortex[1],
            grayordinates.x.len()
        ))
        .at(masks.display().to_string()));
    }
    let mut maps = [Fields::default(), Fields::default()];
    let mut first = 0;
    for (side, hemisphere) in HEMISPHERES.into_iter().enumerate() {
        let entries = entries_of(&both[side], first);
        first += cortex[side];
        let native = subject.registered(hemisphere)?.sphere.len();
        let msmall = subject.msmall_sphere(hemisphere, native)?;
        let nearest = NearestPoint::new(&subject.fs_lr_sphere(hemisphere, mesh)?).nearest_to_each(&msmall);
        let at: Vec<Option<u32>> =
            nearest.into_iter().map(|vertex| vertex.and_then(|vertex| entries[vertex as usize])).collect();
        maps[side] = grayordinates.at(&at);
        if !maps[side].cod.iter().any(|value| value.is_finite()) {
            return Err(Failure::input(format!(
                "subject `{}` has no receptive field in {}: every value is missing",
                subject.sid(),
                hemisphere.name()
            ))
            .at(results.display().to_string()));
        }
    }
    Ok(maps)
}

/// The mesh of a results file and the row of a subject in it.
fn find(file: &hdf5::File, results: &Path, sid: &str) -> Result<(FsLr, u64), Failure> {
    let place = || results.display().to_string();
    let shape = file.shape("allresults")?;
    let [splits, subjects, quantities, length] = shape[..] else {
        return Err(Failure::input(format!(
            "`allresults` has shape {shape:?}, expected [split, subject, quantity, grayordinate]"
        ))
        .at(place()));
    };
    if splits == 0 || quantities <= SIZE {
        return Err(Failure::input(format!(
            "`allresults` has {splits} splits and {quantities} quantities, expected at least 1 and {}",
            SIZE + 1
        ))
        .at(place()));
    }
    // With and without the subcortical grayordinates, which follow the cortex.
    let mesh = match length {
        91_282 | 59_412 => FsLr::K32,
        170_494 | 108_441 => FsLr::K59,
        other => {
            return Err(Failure::input(format!(
                "`allresults` has {other} grayordinates, expected 91282 or 59412 (32k) or 170494 or 108441 (59k)"
            ))
            .at(place()));
        }
    };
    let wanted = number_of(sid)?;
    let ids = file.whole_numbers("subjectids")?;
    let rows: Vec<usize> = (0..ids.len()).filter(|row| u64::try_from(ids[*row]) == Ok(wanted)).collect();
    match rows[..] {
        [row] if (row as u64) < subjects => Ok((mesh, row as u64)),
        [row] => {
            Err(Failure::input(format!("subject `{sid}` is number {row}, but `allresults` holds {subjects} subjects"))
                .at(place()))
        }
        [] => Err(Failure::input(format!("subject `{sid}` is not among the {} subjects of `subjectids`", ids.len()))
            .at(place())),
        _ => Err(Failure::input(format!("subject `{sid}` is listed {} times in `subjectids`", rows.len())).at(place())),
    }
}

/// Visual field coordinates, size and variance explained of one subject, per grayordinate.
fn read_fields(file: &hdf5::File, row: u64) -> Result<Fields, Failure> {
    let quantity = |index| {
        file.numbers(
            "allresults",
            Some(&[IndexPick::At(ALL_RUNS), IndexPick::At(row), IndexPick::At(index), IndexPick::All]),
        )
    };
    let (angle, eccentricity) = (quantity(ANGLE)?, quantity(ECCENTRICITY)?);
    // Angles run counter-clockwise from the right horizontal meridian.
    let along = |axis: fn(f64) -> f64| {
        angle.iter().zip(&eccentricity).map(|(angle, eccen)| narrow(eccen * axis(angle.to_radians()))).collect()
    };
    Ok(Fields {
        x: along(libm::cos),
        y: along(libm::sin),
        sigma: quantity(SIZE)?.into_iter().map(narrow).collect(),
        cod: quantity(VARIANCE_EXPLAINED)?.into_iter().map(|percent| narrow(percent / 100.0)).collect(),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "maps are stored in single precision")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// The grayordinate of each vertex of a mask, counted from `first`.
fn entries_of(mask: &[bool], first: usize) -> Vec<Option<u32>> {
    let mut next = u32::try_from(first).unwrap_or(u32::MAX);
    mask.iter()
        .map(|inside| {
            inside.then(|| {
                next += 1;
                next - 1
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grayordinates_count_only_the_cortex() {
        assert_eq!(entries_of(&[false, true, true, false, true], 10), [None, Some(10), Some(11), None, Some(12)]);
    }

    fn results(length: usize, ids: &[f64]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.mat");
        let subjects = ids.len() as u64;
        let mut values = vec![f32::NAN; 6 * ids.len() * length];
        // The last subject's first grayordinate: angle 90 degrees (straight up), 3 degrees out, 40 % explained, size 2.
        for (quantity, value) in [90.0, 3.0, 0.0, 0.0, 40.0, 2.0].into_iter().enumerate() {
            values[((ids.len() - 1) * 6 + quantity) * length] = value;
        }
        let mut builder = hdf5::Builder::new();
        builder.doubles("subjectids", &[1, subjects], ids);
        builder.packed_singles("allresults", &[1, subjects, 6, length as u64], &[1, 1, 1, length as u64], &values);
        builder.write_matlab(&path).unwrap();
        (folder, path)
    }

    #[test]
    fn fields_are_visual_field_coordinates() {
        let (_folder, path) = results(59_412, &[3.0, 7.0]);
        let file = hdf5::File::open(&path).unwrap();
        assert_eq!(find(&file, &path, "s07"), Ok((FsLr::K32, 1)));
        let fields = read_fields(&file, 1).unwrap();
        assert!(fields.x[0].abs() < 1e-6);
        assert_eq!((fields.y[0], fields.sigma[0], fields.cod[0]), (3.0, 2.0, 0.4));
        assert!(fields.x[1].is_nan());
    }

    #[test]
    fn errors_name_the_subject_and_the_shape() {
        let (_folder, path) = results(59_412, &[3.0, 7.0]);
        let file = hdf5::File::open(&path).unwrap();
        let unknown = find(&file, &path, "115017").unwrap_err();
        assert_eq!(unknown.message, "subject `115017` is not among the 2 subjects of `subjectids`");
        let (_folder, path) = results(100, &[3.0]);
        let file = hdf5::File::open(&path).unwrap();
        let length = find(&file, &path, "3").unwrap_err();
        assert!(length.message.starts_with("`allresults` has 100 grayordinates, expected 91282"), "{}", length.message);
    }
}
