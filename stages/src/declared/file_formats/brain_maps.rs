//! Maps of the brain for other programs, compared number by number: volumes (NIfTI-1) and one value a vertex (GIFTI).

use std::path::Path;

use pipe_contract::Failure;

use super::arrays::NumberRange;
use super::difference::{Differences, largest_of_finite, place_in};
use crate::formats::{gifti, nifti};

/// Volumes of one shape and place; only values may differ, and be missing in the same voxels.
pub(super) fn compare_nifti(before: &Path, now: &Path) -> Result<f64, String> {
    let read = |path: &Path| nifti::read_volume(path).map_err(|failure| failure.to_string());
    let ((place, before), (other, now)) = (read(before)?, read(now)?);
    if place.shape != other.shape {
        return Err(format!("it had {:?} voxels and has {:?} now", place.shape, other.shape));
    }
    if place.affine != other.affine {
        return Err("its voxels lie elsewhere (another affine)".to_owned());
    }
    largest_of_finite(wide(before), wide(now), |index| place_in(&place.shape, true, index))
}

/// One value a vertex; missing at the same vertices.
pub(super) fn compare_gifti(before: &Path, now: &Path) -> Result<f64, String> {
    let read = |path: &Path| gifti::read_scalars(path).map_err(|failure| failure.to_string());
    let (before, now) = (read(before)?, read(now)?);
    if before.len() != now.len() {
        return Err(format!("it had {} vertices and has {} now", before.len(), now.len()));
    }
    largest_of_finite(wide(before), wide(now), |index| vec![index])
}

pub(super) fn explain_nifti(before: &Path, now: &Path, tolerance: f64) -> Option<String> {
    let ((place, before), (_, now)) = (nifti::read_volume(before).ok()?, nifti::read_volume(now).ok()?);
    explained(before, now, tolerance, |index| place_in(&place.shape, true, index))
}

pub(super) fn explain_gifti(before: &Path, now: &Path, tolerance: f64) -> Option<String> {
    let (before, now) = (gifti::read_scalars(before).ok()?, gifti::read_scalars(now).ok()?);
    explained(before, now, tolerance, |index| vec![index])
}

fn explained(before: Vec<f32>, now: Vec<f32>, tolerance: f64, place: impl Fn(usize) -> Vec<usize>) -> Option<String> {
    let mut differences = Differences::beyond(tolerance);
    for (index, (a, b)) in wide(before).zip(wide(now)).enumerate() {
        differences.add(a, b, || place(index));
    }
    differences.words()
}

pub(super) fn summary_of_nifti(path: &Path) -> Result<String, Failure> {
    let (place, values) = nifti::read_volume(path)?;
    Ok(format!("a volume of {:?} voxels, {}\n", place.shape, range(values)))
}

pub(super) fn summary_of_gifti(path: &Path) -> Result<String, Failure> {
    let values = gifti::read_scalars(path)?;
    Ok(format!("{} vertices, {}\n", values.len(), range(values)))
}

fn wide(values: Vec<f32>) -> impl Iterator<Item = f64> {
    values.into_iter().map(f64::from)
}

fn range(values: Vec<f32>) -> NumberRange {
    let mut range = NumberRange::default();
    wide(values).for_each(|value| range.add(value));
    range
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::nifti::VolumePlace;

    #[test]
    fn volumes_are_compared_by_number_in_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let affine =
            |size: f64| [[size, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let write = |name: &str, shape: [usize; 3], size: f64, values: [f32; 4]| {
            let path = folder.path().join(name);
            nifti::write_volume(&path, &VolumePlace { shape, affine: affine(size) }, &values, "a map").unwrap();
            path
        };
        let before = write("a.nii.gz", [2, 2, 1], 2.0, [1.0, f32::NAN, 0.5, 4.0]);
        let with = |shape, size, values| compare_nifti(&before, &write("b.nii.gz", shape, size, values));
        assert_eq!(with([2, 2, 1], 2.0, [1.0, f32::NAN, 0.25, 4.0]), Ok(0.25));
        let explained = explain_nifti(&before, &folder.path().join("b.nii.gz"), 0.1).unwrap();
        assert!(explained.starts_with("1 by more, at most by 2.50e-1"), "{explained}");
        assert!(explained.ends_with("first at [0, 1, 0] it was 0.5 and is 0.25 now"), "{explained}");
        let missing = with([2, 2, 1], 2.0, [1.0, f32::NAN, f32::NAN, 4.0]).unwrap_err();
        assert_eq!(missing, "at [0, 1, 0] it was 0.5 and is NaN now");
        let turned = with([1, 2, 2], 2.0, [1.0, f32::NAN, 0.5, 4.0]).unwrap_err();
        assert_eq!(turned, "it had [2, 2, 1] voxels and has [1, 2, 2] now");
        assert!(with([2, 2, 1], 3.0, [1.0, f32::NAN, 0.5, 4.0]).unwrap_err().contains("another affine"));
        assert_eq!(summary_of_nifti(&before).unwrap(), "a volume of [2, 2, 1] voxels, 0.5000 to 4.0000, 1 missing\n");
    }

    #[test]
    fn values_of_vertices_are_compared_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, values: &[f32]| {
            let path = folder.path().join(name);
            gifti::write_scalars(&path, values).unwrap();
            path
        };
        let before = write("a.func.gii", &[0.5, 2.0, f32::NAN]);
        assert_eq!(compare_gifti(&before, &write("b.func.gii", &[0.5, 1.0, f32::NAN])), Ok(0.5));
        let explained = explain_gifti(&before, &folder.path().join("b.func.gii"), 0.1).unwrap();
        assert!(explained.ends_with("first at [1] it was 2 and is 1 now"), "{explained}");
        let missing = compare_gifti(&before, &write("b.func.gii", &[0.5, 2.0, 0.0])).unwrap_err();
        assert_eq!(missing, "at [2] it was NaN and is 0 now");
        assert_eq!(
            compare_gifti(&before, &write("b.func.gii", &[0.5])).unwrap_err(),
            "it had 3 vertices and has 1 now"
        );
        assert_eq!(summary_of_gifti(&before).unwrap(), "3 vertices, 0.5000 to 2.0000, 1 missing\n");
    }
}
