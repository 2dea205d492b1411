//! NIfTI-1 volumes in one file, packed (`*.nii.gz`) or not: labels and numbers are written, headers and numbers read.
//!
//! Written: a header of 352 bytes (little-endian), then 16-bit whole numbers or 32-bit floats, the first axis running fastest. The place of
//! voxels is given by the affine matrix alone (`sform`, code 1: the scanner). Nothing about a subject, program or time is in it but the
//! sentence that is given. Read: both byte orders, the affine as nibabel takes it (`sform`, else `qform`, else the sizes of voxels), and
//! values of 32-bit floats without a scale; other types are refused.

use std::path::Path;

use pipe_contract::Failure;

use super::binary;
use super::mgh::Volume;
use super::number_bytes::bits;
use crate::numeric::depth_samples::Affine;

/// Bytes before the values.
const HEADER: usize = 352;
/// 16-bit whole numbers.
const INT16: i16 = 4;
/// 32-bit floats.
const FLOAT32: i16 = 16;
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

/// How large a volume is and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumePlace {
    /// Voxels along the first three axes.
    pub shape: [usize; 3],
    /// Indices of voxels to the scanner's space, mm.
    pub affine: Affine,
}

/// Writes numbers, one a voxel, the first axis running fastest, NaN where missing; `about` is cut after 79 bytes.
///
/// # Errors
/// Environment: the file cannot be written.
pub fn write_volume(path: &Path, place: &VolumePlace, values: &[f32], about: &str) -> Result<(), Failure> {
    let affine = [place.affine[0], place.affine[1], place.affine[2]];
    let mut bytes = header(place.shape, affine, FLOAT32, 0, about);
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    binary::write(path, &binary::gzip(&bytes))
}

/// Reads how large a volume is and where it lies; of more than three axes, the first three.
///
/// # Errors
/// Input: the file is missing, cut off or not NIfTI-1.
pub fn read_place(path: &Path) -> Result<VolumePlace, Failure> {
    let bytes = binary::read_maybe_gzipped(path)?;
    Header::of(&bytes).and_then(|header| header.place()).map_err(|failure| failure.at(path.display().to_string()))
}

/// Reads a volume of 32-bit floats: where it lies, and its values as [`write_volume`] takes them.
///
/// # Errors
/// Input: as [`read_place`]; more than three axes, another type of values, or a scale.
pub fn read_volume(path: &Path) -> Result<(VolumePlace, Vec<f32>), Failure> {
    let bytes = binary::read_maybe_gzipped(path)?;
    parse_volume(&bytes).map_err(|failure| failure.at(path.display().to_string()))
}

fn parse_volume(bytes: &[u8]) -> Result<(VolumePlace, Vec<f32>), Failure> {
    let header = Header::of(bytes)?;
    let place = header.place()?;
    let shape = place.shape;
    let (kind, scale, shift) = (header.short(70), header.single(112), header.single(116));
    let is_plain = (scale == 0.0 || scale == 1.0) && shift == 0.0;
    if kind != i64::from(FLOAT32) || !is_plain || header.short(40) > 3 {
        return Err(Failure::input(format!(
            "the volume has {} axes, values of type {kind} and the scale {scale}, expected 3 axes of 32-bit floats (type \
             {FLOAT32}) without a scale",
            header.short(40)
        ))
        .hint("with nibabel: `nibabel.Nifti1Image(image.get_fdata(dtype=\"float32\"), image.affine).to_filename(path)`"));
    }
    let start = header.single(108).max(0.0) as usize;
    let count = shape.iter().try_fold(4_usize, |all, axis| all.checked_mul(*axis));
    let data = count.and_then(|count| bytes.get(start.max(HEADER)..)?.get(..count)).ok_or_else(|| {
        Failure::input(format!("a volume of {shape:?} voxels needs more than the {} bytes there are", bytes.len()))
            .hint("the file is cut off: copy or download it again")
    })?;
    let value = |four: &[u8]| f32::from_bits(bits(four, header.big_endian) as u32);
    Ok((place, data.chunks_exact(4).map(value).collect()))
}

/// The header of a file.
struct Header<'b> {
    bytes: &'b [u8],
    big_endian: bool,
}

impl<'b> Header<'b> {
    fn of(bytes: &'b [u8]) -> Result<Self, Failure> {
        let size = bytes.get(..4).map(|four| [false, true].map(|big_endian| bits(four, big_endian)));
        let magic = bytes.get(344..347);
        match (size, magic) {
            (Some([348, _]), Some(b"n+1")) => Ok(Self { bytes, big_endian: false }),
            (Some([_, 348]), Some(b"n+1")) => Ok(Self { bytes, big_endian: true }),
            _ => Err(Failure::input("the file does not begin as NIfTI-1 in one file does")
                .hint("`*.nii` and `*.nii.gz` are read; convert pairs of `*.hdr` and `*.img`, NIfTI-2 and others")),
        }
    }

    fn short(&self, at: usize) -> i64 {
        super::number_bytes::signed(bits(&self.bytes[at..at + 2], self.big_endian), 16)
    }

    fn single(&self, at: usize) -> f64 {
        f64::from(f32::from_bits(bits(&self.bytes[at..at + 4], self.big_endian) as u32))
    }

    fn place(&self) -> Result<VolumePlace, Failure> {
        let axes = self.short(40);
        let lengths = [42, 44, 46].map(|at| usize::try_from(self.short(at)).unwrap_or(0));
        let shape: [usize; 3] = [0, 1, 2].map(|axis: usize| if axes > axis as i64 { lengths[axis] } else { 1 });
        if !(1..=7).contains(&axes) || shape.contains(&0) {
            return Err(Failure::input(format!("the header has {axes} axes of {lengths:?} voxels: it is damaged")));
        }
        let affine = if self.short(254) > 0 {
            let row = |row: usize| [0, 1, 2, 3].map(|column| self.single(280 + 16 * row + 4 * column));
            [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]]
        } else if self.short(252) > 0 {
            self.quaternion_affine()
        } else {
            self.sizes_affine(shape)
        };
        Ok(VolumePlace { shape, affine })
    }

    /// The affine of a rotation (three of the four numbers of a unit quaternion), sizes of voxels and a shift.
    fn quaternion_affine(&self) -> Affine {
        let [b, c, d] = [256, 260, 264].map(|at| self.single(at));
        let a = (1.0 - b * b - c * c - d * d).max(0.0).sqrt();
        let rotation = [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
            [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
            [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ];
        let turned = if self.single(76) < 0.0 { -1.0 } else { 1.0 };
        let sizes = [self.single(80), self.single(84), self.single(88) * turned];
        let row = |row: usize, shift: usize| {
            let [x, y, z] = rotation[row];
            [x * sizes[0], y * sizes[1], z * sizes[2], self.single(shift)]
        };
        [row(0, 268), row(1, 272), row(2, 276), [0.0, 0.0, 0.0, 1.0]]
    }

    /// The affine of a volume that says nothing of its place: centred, the first axis from right to left, as nibabel takes it.
    fn sizes_affine(&self, shape: [usize; 3]) -> Affine {
        let [x, y, z] = [-self.single(80), self.single(84), self.single(88)];
        let shift = |axis: usize, size: f64| -size * (shape[axis] as f64 - 1.0) / 2.0;
        [[x, 0.0, 0.0, shift(0, x)], [0.0, y, 0.0, shift(1, y)], [0.0, 0.0, z, shift(2, z)], [0.0, 0.0, 0.0, 1.0]]
    }
}

fn format(volume: &Volume, about: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = header(volume.shape, volume.to_scanner_space(), INT16, LABELS, about);
    bytes.reserve(2 * volume.values.len());
    for value in &volume.values {
        let value =
            i16::try_from(*value).map_err(|_| Failure::internal(format!("the label {value} has over 16 bits")))?;
        bytes.extend(value.to_le_bytes());
    }
    Ok(bytes)
}

/// The header of a volume, up to its values.
fn header(shape: [usize; 3], affine: [[f64; 4]; 3], kind: i16, purpose: i16, about: &str) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &348_i32.to_le_bytes());
    put(38, b"r");
    let length = |axis: usize| i16::try_from(shape[axis]).unwrap_or(i16::MAX);
    for (index, field) in [3, length(0), length(1), length(2), 1, 1, 1, 1].into_iter().enumerate() {
        put(40 + 2 * index, &field.to_le_bytes());
    }
    put(68, &purpose.to_le_bytes());
    put(70, &kind.to_le_bytes());
    put(72, &(if kind == INT16 { 16_i16 } else { 32 }).to_le_bytes());
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
    bytes
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

    #[test]
    fn numbers_come_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.nii.gz");
        let affine = [[-2.25, 0.0, 0.0, 81.0], [0.0, -0.5, -2.5, 10.0], [0.0, -2.0, 0.75, 80.5], [0.0, 0.0, 0.0, 1.0]];
        let (place, values) = (VolumePlace { shape: [3, 2, 1], affine }, vec![1.0, -0.5, 1e-9, 3e7, 0.0, 7.25]);
        write_volume(&path, &place, &values, "R2").unwrap();
        assert_eq!(read_volume(&path).unwrap(), (place.clone(), values));
        assert_eq!(read_place(&path).unwrap(), place);
        let mut bytes = binary::read_maybe_gzipped(&path).unwrap();
        assert!(parse_volume(&bytes[..bytes.len() - 1]).unwrap_err().message.contains("needs more than"));
        bytes[70] = 4;
        assert!(parse_volume(&bytes).unwrap_err().message.contains("values of type 4"));
        assert!(parse_volume(&bytes[..200]).unwrap_err().message.contains("does not begin as NIfTI-1"));
    }

    #[test]
    fn a_place_is_read_from_whatever_the_header_has() {
        let mut bytes = header([3, 2, 5], [[0.0; 4]; 3], FLOAT32, 0, "");
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(254, &0_i16.to_le_bytes());
        for (at, value) in
            [(76, -1.0_f32), (80, 2.0), (84, 3.0), (88, 4.0), (256, 0.5), (260, 0.5), (264, 0.5), (268, 7.0)]
        {
            put(at, &value.to_le_bytes());
        }
        let centred = Header::of(&bytes).unwrap().place().unwrap().affine;
        assert_eq!([centred[0], centred[2]], [[-2.0, 0.0, 0.0, 2.0], [0.0, 0.0, 4.0, -8.0]]);
        bytes[252] = 1;
        let turned = Header::of(&bytes).unwrap().place().unwrap().affine;
        // Half of each: x to y, y to z, z to x.
        assert_eq!(turned[..3], [[0.0, 0.0, -4.0, 7.0], [2.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0]]);
    }
}
