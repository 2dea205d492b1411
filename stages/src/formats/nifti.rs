//! NIfTI-1 volumes of labels, in one file, packed (`*.nii.gz`): only written, for programs and archives that do not read MGH.
//!
//! A header of 352 bytes (little-endian), then 16-bit whole numbers, the first axis running fastest. The place of voxels is given by the
//! affine matrix alone (`sform`, code 1: the scanner). Nothing about a subject, program or time is in it but the sentence that is given.

use std::path::Path;

use pipe_contract::Failure;

use super::binary;
use super::mgh::Volume;

/// Bytes before the values.
const HEADER: usize = 352;
/// 16-bit whole numbers.
const INT16: i16 = 4;
/// The purpose of the values: labels.
const LABELS: i16 = 1002;
/// Characters that a description may have.
const DESCRIPTION: usize = 79;

/// Writes a volume of labels; `about` is cut after 79 bytes.
///
/// # Errors
/// Internal: a label that 16 bits do not hold. Environment: the file cannot be written.
pub fn write_labels(path: &Path, volume: &Volume, about: &str) -> Result<(), Failure> {
    binary::write(path, &binary::gzip(&format(volume, about)?))
}

fn format(volume: &Volume, about: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; HEADER];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &348_i32.to_le_bytes());
    put(38, b"r");
    let length = |axis: usize| i16::try_from(volume.shape[axis]).unwrap_or(i16::MAX);
    for (index, field) in [3, length(0), length(1), length(2), 1, 1, 1, 1].into_iter().enumerate() {
        put(40 + 2 * index, &field.to_le_bytes());
    }
    put(68, &LABELS.to_le_bytes());
    put(70, &INT16.to_le_bytes());
    put(72, &16_i16.to_le_bytes());
    let affine = volume.to_scanner_space();
    for axis in 0..3 {
        let size = affine.iter().map(|row| row[axis] * row[axis]).sum::<f64>().sqrt();
        put(80 + 4 * axis, &(size as f32).to_le_bytes());
    }
    put(76, &1_f32.to_le_bytes());
    put(108, &(HEADER as f32).to_le_bytes());
    put(112, &1_f32.to_le_bytes());
    // Millimetres and seconds.
    put(123, &[2 | 8]);
    let mut end = about.len().min(DESCRIPTION);
    while !about.is_char_boundary(end) {
        end -= 1;
    }
    put(148, &about.as_bytes()[..end]);
    put(254, &1_i16.to_le_bytes());
    for (row, values) in affine.iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            put(280 + 16 * row + 4 * column, &(*value as f32).to_le_bytes());
        }
    }
    put(344, b"n+1\0");
    bytes.reserve(2 * volume.values.len());
    for value in &volume.values {
        let value =
            i16::try_from(*value).map_err(|_| Failure::internal(format!("the label {value} has over 16 bits")))?;
        bytes.extend(value.to_le_bytes());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_says_its_size_place_and_meaning() {
        let volume = Volume::conformed([4, 2, 2], 2.0, (0..16).collect());
        let bytes = format(&volume, "V1 (0-7 deg)").unwrap();
        assert_eq!(bytes.len(), 352 + 32);
        let short = |at: usize| i16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
        let single = |at: usize| f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!([40, 42, 44, 46, 70].map(short), [3, 4, 2, 2, 4]);
        assert_eq!(&bytes[148..160], b"V1 (0-7 deg)");
        // The voxel in the middle (2, 1, 1) lies at the origin.
        let row = |row: usize| [0, 4, 8, 12].map(|at| f64::from(single(280 + 16 * row + at)));
        for of_row in (0..3).map(row) {
            assert_eq!(of_row[0] * 2.0 + of_row[1] + of_row[2] + of_row[3], 0.0);
        }
        assert_eq!(short(352 + 2 * 5), 5);
    }
}
