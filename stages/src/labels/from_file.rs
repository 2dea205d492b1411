//! `labels/import`: visual areas and eccentricity rings per vertex out of the HDF5 files that hold raters' manual labels. Decides
//! which sector is in which ring.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use super::label_files::{create, write};
use crate::formats::hdf5;
use crate::hemisphere::HEMISPHERES;

/// The kind.
pub struct LabelsImport;

impl StageKind for LabelsImport {
    fn kind(&self) -> Kind {
        Kind::new("labels/import", 1, "Reads a rater's visual areas and sectors from an HDF5 file")
            .input("file", &[], "HDF5 with {lh,rh}/{visual_area,visual_sector}, whole numbers per native vertex")
            .folder(
                "labels",
                "labels",
                "{lh,rh}.area.mgz (0..3) and {lh,rh}.ring.mgz (0..5), one value per native vertex",
            )
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let notes = from_hdf5(task.one("file")?, task.output("labels")?)?;
        Ok(Ended::noted(notes))
    }
}

/// Reads `{lh,rh}/{visual_area,visual_sector}` and writes a `labels` artifact. A file without sectors gives areas
/// only; the sentences that are returned say so.
///
/// # Errors
/// The file is not such an HDF5 file, lacks areas, holds values outside 0..3 or 0..26, or sectors of another mesh (input's
/// blame); the folder cannot be written.
pub fn from_hdf5(file: &Path, output: &Path) -> Result<Vec<String>, Failure> {
    let source = hdf5::File::open(file)?;
    let mut notes = Vec::new();
    let mut maps = Vec::new();
    for hemisphere in HEMISPHERES {
        let h = hemisphere.name();
        let area = checked(&source, file, &format!("{h}/visual_area"), 3)?;
        let sectors = format!("{h}/visual_sector");
        let ring = if source.has(&sectors)? {
            let sector = checked(&source, file, &sectors, 26)?;
            if sector.len() != area.len() {
                return Err(Failure::input(format!(
                    "{h} has areas for {} vertices and sectors for {}, expected equal numbers",
                    area.len(),
                    sector.len()
                ))
                .at(file.display().to_string()));
            }
            Some(sectors_to_rings(&area, &sector))
        } else {
            notes.push(format!("{h} has no sectors, so there are no rings"));
            None
        };
        maps.push((hemisphere, area, ring));
    }
    create(output)?;
    for (hemisphere, area, ring) in maps {
        write(output, hemisphere, &area, ring.as_deref())?;
    }
    Ok(notes)
}

/// Area and ring of each vertex from a sector map: the band of a sector gives the ring, and a vertex of V1 to V3
/// whose sector is none of those from 0.5 degrees on is in the innermost ring.
pub fn sectors_to_rings(area: &[i32], sector: &[i32]) -> Vec<i32> {
    area.iter()
        .zip(sector)
        .map(|(area, sector)| match band(*sector) {
            Some(band) => band + 1,
            None if (1..=3).contains(area) => 1,
            None => 0,
        })
        .collect()
}

/// The eccentricity band 1 to 4 of a sector; none for the foveal ones (1 and 6, band 0) and for no sector.
/// Sectors count V1d0-V1d4, V1v0-V1v4, V2d1-V2d4, V2v1-V2v4, V3d1-V3d4, V3v1-V3v4 from 1.
fn band(sector: i32) -> Option<i32> {
    let band = match sector {
        1..=10 => (sector - 1) % 5,
        11..=26 => (sector - 11) % 4 + 1,
        _ => 0,
    };
    (band > 0).then_some(band)
}

fn checked(source: &hdf5::File, file: &Path, dataset: &str, most: i64) -> Result<Vec<i32>, Failure> {
    source
        .whole_numbers(dataset)?
        .into_iter()
        .enumerate()
        .map(|(vertex, value)| {
            i32::try_from(value).ok().filter(|_| (0..=most).contains(&value)).ok_or_else(|| {
                Failure::input(format!("dataset `{dataset}` is {value} at vertex {vertex}, expected 0 to {most}"))
                    .at(file.display().to_string())
            })
        })
        .collect()
}

/// The names of the sectors, from 1; index 0 is "no sector".
#[cfg(test)]
fn sector_names() -> Vec<String> {
    let quarters = |area: u8, first: u8| {
        ['d', 'v'].into_iter().flat_map(move |side| (first..5).map(move |band| format!("V{area}{side}{band}")))
    };
    std::iter::once("none".to_owned()).chain(quarters(1, 0)).chain(quarters(2, 1)).chain(quarters(3, 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::mgh;

    #[test]
    fn the_ring_of_a_sector_is_the_digit_in_its_name() {
        let names = sector_names();
        assert_eq!(names.len(), 27);
        for (sector, name) in names.iter().enumerate().skip(1) {
            let digit: i32 = name[3..].parse().unwrap();
            let area: i32 = name[1..2].parse().unwrap();
            assert_eq!(sectors_to_rings(&[area], &[sector as i32]), [digit + 1], "{name}");
        }
        // Foveal V2 and V3 have no sector; outside the areas the ring is 0.
        assert_eq!(sectors_to_rings(&[2, 3, 0], &[0, 0, 0]), [1, 1, 0]);
    }

    #[test]
    fn a_file_of_h5py_becomes_labels() {
        let folder = tempfile::tempdir().unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
        let output = folder.path().join("labels");
        assert!(from_hdf5(&fixtures.join("labels_earliest.hdf5"), &output).unwrap().is_empty());
        assert_eq!(mgh::read_i32(&output.join("lh.area.mgz")).unwrap(), [0, 1, 2, 3]);
        assert_eq!(mgh::read_i32(&output.join("rh.ring.mgz")).unwrap(), [0, 1, 1, 5]);
    }

    fn file_with(areas: &[i32], sectors: Option<&[i32]>) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.hdf5");
        let mut builder = hdf5::Builder::new();
        for h in ["lh", "rh"] {
            builder.whole_numbers(&format!("{h}/visual_area"), areas);
            if let Some(sectors) = sectors {
                builder.whole_numbers(&format!("{h}/visual_sector"), sectors);
            }
        }
        builder.write(&path).unwrap();
        (folder, path)
    }

    #[test]
    fn labels_that_cannot_be_are_errors() {
        let (folder, path) = file_with(&[0, 4], Some(&[0, 0]));
        let error = from_hdf5(&path, &folder.path().join("out")).unwrap_err();
        assert_eq!(error.message, "dataset `lh/visual_area` is 4 at vertex 1, expected 0 to 3");
        assert!(!folder.path().join("out").exists());

        let (folder, path) = file_with(&[0, 1, 2], Some(&[0, 27]));
        let error = from_hdf5(&path, &folder.path().join("out")).unwrap_err();
        assert_eq!(error.message, "dataset `lh/visual_sector` is 27 at vertex 1, expected 0 to 26");

        let (folder, path) = file_with(&[0, 1, 2], Some(&[0, 2]));
        let error = from_hdf5(&path, &folder.path().join("out")).unwrap_err();
        assert_eq!(error.message, "lh has areas for 3 vertices and sectors for 2, expected equal numbers");
    }

    #[test]
    fn a_rater_without_sectors_gives_areas_only() {
        let (folder, path) = file_with(&[0, 1, 2], None);
        let output = folder.path().join("out");
        let notes = from_hdf5(&path, &output).unwrap();
        assert_eq!(notes[0], "lh has no sectors, so there are no rings");
        assert!(output.join("lh.area.mgz").exists() && !output.join("lh.ring.mgz").exists());
    }
}
