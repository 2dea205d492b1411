//! MGH and MGZ: FreeSurfer's volumes, used here for one value per vertex (maps and overlays).
//!
//! Header of 284 bytes (big-endian), then the values with the first dimension running fastest. Read are
//! 8-bit, 16-bit, 32-bit whole numbers and 32-bit floats with one frame; written are 32-bit whole numbers and
//! floats, shaped `[n, 1, 1]` as FreeSurfer does, packed without name and time. What follows the values (scan
//! parameters, tags) is ignored.
//!
//! Maps for other programs ([`Overlay`]) have several frames if need be, the orientation that FreeSurfer gives its overlays, and a sentence about
//! what they are, at the place of the command that made a file (tag 3, shown by `mri_info`). Volumes ([`Volume`]) keep the
//! orientation of the one they were made from.

use std::path::Path;

use pipe_contract::Failure;

use super::binary::{self, Cursor};
use super::bounds::MOST_VERTICES;

const HEADER_BYTES: usize = 284;
const UINT8: i32 = 0;
const INT32: i32 = 1;
const FLOAT32: i32 = 3;
const INT16: i32 = 4;

/// Values of a map, in the file's own type (8 and 16 bits widened).
#[derive(Clone, Debug, PartialEq)]
pub enum MghValues {
    /// Whole numbers, such as labels.
    Int32(Vec<i32>),
    /// Numbers, such as angles in degrees; NaN where missing.
    Float32(Vec<f32>),
}

/// Reads a map, packed or not, whatever its name.
///
/// # Errors
/// The file is missing, cut off, not MGH, of a type that is not read, or has more than one frame; input's blame.
pub fn read(path: &Path) -> Result<MghValues, Failure> {
    parse(&binary::read_maybe_gzipped(path)?).map_err(|failure| failure.at(path.display().to_string()))
}

/// Reads a map of numbers; whole numbers are taken too.
///
/// # Errors
/// As [`read`].
pub fn read_f32(path: &Path) -> Result<Vec<f32>, Failure> {
    Ok(match read(path)? {
        MghValues::Float32(values) => values,
        #[expect(clippy::cast_precision_loss, reason = "labels and small counts, far below 2^24")]
        MghValues::Int32(values) => values.into_iter().map(|value| value as f32).collect(),
    })
}

/// Reads a map of whole numbers; floats are taken if each is a whole number.
///
/// # Errors
/// As [`read`], or a value is not a whole number.
pub fn read_i32(path: &Path) -> Result<Vec<i32>, Failure> {
    match read(path)? {
        MghValues::Int32(values) => Ok(values),
        MghValues::Float32(values) => values
            .into_iter()
            .enumerate()
            .map(|(vertex, value)| whole(value).ok_or_else(|| not_whole(path, vertex, value)))
            .collect(),
    }
}

fn whole(value: f32) -> Option<i32> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    (value.fract() == 0.0 && value.abs() < 16_777_216.0).then_some(value as i32)
}

fn not_whole(path: &Path, vertex: usize, value: f32) -> Failure {
    Failure::input(format!("value {vertex} is {value}, expected whole numbers (labels)")).at(path.display().to_string())
}

/// Writes numbers; packed if the name ends in `.mgz`.
///
/// # Errors
/// The file cannot be written.
pub fn write_f32(path: &Path, values: &[f32]) -> Result<(), Failure> {
    write(path, FLOAT32, values.len(), values.iter().flat_map(|value| value.to_be_bytes()))
}

/// Writes whole numbers; packed if the name ends in `.mgz`.
///
/// # Errors
/// The file cannot be written.
pub fn write_i32(path: &Path, values: &[i32]) -> Result<(), Failure> {
    write(path, INT32, values.len(), values.iter().flat_map(|value| value.to_be_bytes()))
}

/// A map for other programs.
pub struct Overlay<'a> {
    /// Values of each frame, one a vertex; all of one length.
    pub frames: &'a [Vec<f32>],
    /// Whole numbers are stored as such.
    pub whole: bool,
    /// What the values are.
    pub about: &'a str,
}

impl Overlay<'_> {
    /// Writes the map; packed if the name ends in `.mgz`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let vertices = self.frames.first().map_or(0, Vec::len);
        let header = Header {
            shape: [vertices, 1, 1],
            frames: self.frames.len(),
            kind: if self.whole { INT32 } else { FLOAT32 },
            place: &OVERLAY_PLACE,
        };
        let mut bytes = header.bytes();
        for value in self.frames.iter().flatten() {
            bytes.extend(if self.whole { (*value as i32).to_be_bytes() } else { value.to_be_bytes() });
        }
        push_about(&mut bytes, self.about);
        write_bytes(path, &bytes)
    }
}

/// Voxel sizes (mm), three direction cosines by column, and the centre (mm), as a header has them.
type VoxelPlace = [f32; 15];

/// That of every overlay of FreeSurfer: voxels of 1 mm, the coronal slices of a conformed volume.
const OVERLAY_PLACE: VoxelPlace = [1.0, 1.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];

/// A volume of whole numbers, the first axis running fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Voxels along each axis.
    pub shape: [usize; 3],
    /// One number a voxel.
    pub values: Vec<i32>,
    place: VoxelPlace,
}

impl Volume {
    /// The same place with other numbers.
    ///
    /// # Panics
    /// If `values` are of another number.
    pub fn with(&self, values: Vec<i32>) -> Self {
        assert_eq!(values.len(), self.values.len(), "numbers of another volume");
        Self { values, ..self.clone() }
    }

    /// From the number of a voxel along each axis to mm in the space of FreeSurfer's surfaces, which has its origin in the middle of
    /// the volume: rows of a 3 x 4 matrix.
    pub fn to_surface_space(&self) -> [[f64; 4]; 3] {
        let size = |axis: usize| f64::from(self.place[axis]);
        let middle = |axis: usize| size(axis) * self.shape[axis] as f64 / 2.0;
        [[-size(0), 0.0, 0.0, middle(0)], [0.0, 0.0, size(2), -middle(2)], [0.0, -size(1), 0.0, middle(1)]]
    }

    /// From the number of a voxel along each axis to mm in the space of the scanner: rows of a 3 x 4 matrix.
    pub fn to_scanner_space(&self) -> [[f64; 4]; 3] {
        std::array::from_fn(|row| {
            let cosine = |axis: usize| f64::from(self.place[3 + 3 * axis + row]) * f64::from(self.place[axis]);
            let shift: f64 = (0..3).map(|axis| cosine(axis) * self.shape[axis] as f64 / 2.0).sum();
            [cosine(0), cosine(1), cosine(2), f64::from(self.place[12 + row]) - shift]
        })
    }

    /// Writes the volume with a sentence about it; packed if the name ends in `.mgz`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path, about: &str) -> Result<(), Failure> {
        let header = Header { shape: self.shape, frames: 1, kind: INT32, place: &self.place };
        let mut bytes = header.bytes();
        bytes.extend(self.values.iter().flat_map(|value| value.to_be_bytes()));
        push_about(&mut bytes, about);
        write_bytes(path, &bytes)
    }

    /// A volume of a conformed head, for simulated data: voxels of `size` mm, centred at the origin of surfaces and scanner alike.
    pub fn conformed(shape: [usize; 3], size: f32, values: Vec<i32>) -> Self {
        let mut place = OVERLAY_PLACE;
        place[..3].fill(size);
        Self { shape, values, place }
    }
}

/// Reads a volume of whole numbers, such as a segmentation.
///
/// # Errors
/// The file is missing, cut off, not MGH, has several frames, no orientation, or values that are not whole; input's blame.
pub fn read_volume(path: &Path) -> Result<Volume, Failure> {
    parse_volume(&binary::read_maybe_gzipped(path)?).map_err(|failure| failure.at(path.display().to_string()))
}

fn parse_volume(bytes: &[u8]) -> Result<Volume, Failure> {
    let mut cursor = Cursor::new(bytes);
    let (shape, frames, kind) = parse_start(&mut cursor)?;
    let oriented = cursor.i16("the orientation flag")?;
    let place: Vec<f32> = cursor.fours(15, "the orientation", f32::from_be_bytes)?;
    cursor.take(HEADER_BYTES - 90, "the header")?;
    let place: VoxelPlace = place.try_into().map_err(|_| Failure::internal("an orientation has fifteen numbers"))?;
    if frames != 1 {
        return Err(Failure::input(format!("the file holds {frames} frames, expected 1")));
    }
    if oriented == 0 || !place.iter().all(|value| value.is_finite()) || place[..3].iter().any(|size| *size <= 0.0) {
        return Err(Failure::input("the volume does not say where its voxels lie (its header has no orientation)")
            .hint("make it with FreeSurfer again; a volume for other programs may have lost its header"));
    }
    let count = voxels(shape);
    if count > MOST_VOXELS {
        return Err(Failure::input(format!("a volume of {shape:?} voxels, expected at most {MOST_VOXELS}")));
    }
    let values = match parse_values(&mut cursor, kind, count)? {
        MghValues::Int32(values) => values,
        MghValues::Float32(values) => values
            .into_iter()
            .enumerate()
            .map(|(voxel, value)| {
                whole(value)
                    .ok_or_else(|| Failure::input(format!("voxel {voxel} is {value}, expected whole numbers (labels)")))
            })
            .collect::<Result<_, _>>()?,
    };
    Ok(Volume { shape, values, place })
}

/// As many as a shape has; a damaged header may promise more than there are numbers for.
fn voxels(shape: [usize; 3]) -> usize {
    shape.iter().fold(1, |product: usize, length| product.saturating_mul(*length))
}

/// The number of values of all frames.
fn checked(count: usize, frames: usize) -> Result<usize, Failure> {
    let all = count.saturating_mul(frames);
    if all <= MOST_VOXELS {
        return Ok(all);
    }
    Err(Failure::input(format!(
        "the file promises {all} values, expected at most {MOST_VOXELS}: the header is damaged"
    )))
}

/// Those of a cube of 512.
const MOST_VOXELS: usize = 1 << 27;

struct Header<'a> {
    shape: [usize; 3],
    frames: usize,
    kind: i32,
    place: &'a VoxelPlace,
}

impl Header<'_> {
    fn bytes(&self) -> Vec<u8> {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let [width, height, depth] = self.shape.map(number);
        let mut bytes = Vec::new();
        for field in [1, width, height, depth, number(self.frames), self.kind, 0] {
            bytes.extend(field.to_be_bytes());
        }
        bytes.extend(1_i16.to_be_bytes());
        bytes.extend(self.place.iter().flat_map(|value| value.to_be_bytes()));
        bytes.resize(HEADER_BYTES, 0);
        bytes
    }
}

/// Where FreeSurfer keeps the commands that made a file.
const COMMAND_TAG: i32 = 3;

/// Scan parameters (five numbers, none known), then the sentence.
fn push_about(bytes: &mut Vec<u8>, about: &str) {
    bytes.extend([0; 20]);
    bytes.extend(COMMAND_TAG.to_be_bytes());
    bytes.extend((about.len() as u64 + 1).to_be_bytes());
    bytes.extend(about.as_bytes());
    bytes.push(0);
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let packed = path.extension().is_some_and(|extension| extension == "mgz");
    if packed { binary::write(path, &binary::gzip(bytes)) } else { binary::write(path, bytes) }
}

/// Reads a map of several frames, one value per vertex each.
///
/// # Errors
/// As [`read`], but the number of frames is free.
pub fn read_frames(path: &Path) -> Result<Vec<Vec<f32>>, Failure> {
    let bytes = binary::read_maybe_gzipped(path)?;
    parse_frames(&bytes).map_err(|failure| failure.at(path.display().to_string()))
}

fn parse_frames(bytes: &[u8]) -> Result<Vec<Vec<f32>>, Failure> {
    let mut cursor = Cursor::new(bytes);
    let (shape, frames, kind) = parse_start(&mut cursor)?;
    let count = voxels(shape);
    let frames = usize::try_from(frames).ok().filter(|frames| (1..=1000).contains(frames));
    let frames = frames.ok_or_else(|| Failure::input("the number of frames is not from 1 to 1000"))?;
    cursor.take(HEADER_BYTES - 28, "the header")?;
    #[expect(clippy::cast_precision_loss, reason = "labels and small counts, far below 2^24")]
    let values = match parse_values(&mut cursor, kind, checked(count, frames)?)? {
        MghValues::Float32(values) => values,
        MghValues::Int32(values) => values.into_iter().map(|value| value as f32).collect(),
    };
    Ok(values.chunks_exact(count).map(<[f32]>::to_vec).collect())
}

fn write(path: &Path, kind: i32, count: usize, values: impl Iterator<Item = u8>) -> Result<(), Failure> {
    write_bytes(path, &format(kind, count, values))
}

fn format(kind: i32, count: usize, values: impl Iterator<Item = u8>) -> Vec<u8> {
    let width = i32::try_from(count).unwrap_or(i32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + 4 * count);
    // Version, three dimensions, frames, type, degrees of freedom; then "orientation not given".
    for number in [1, width, 1, 1, 1, kind, 0] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(0_i16.to_be_bytes());
    bytes.resize(HEADER_BYTES, 0);
    bytes.extend(values);
    bytes
}

fn parse(bytes: &[u8]) -> Result<MghValues, Failure> {
    let mut cursor = Cursor::new(bytes);
    let (shape, frames, kind) = parse_start(&mut cursor)?;
    let count = shape.iter().copied().max().unwrap_or_default();
    if shape.iter().filter(|length| **length > 1).count() > 1 {
        return Err(Failure::input(format!(
            "the file is a volume of {shape:?}, expected one value per vertex, [number, 1, 1]"
        ))
        .hint("a map that FreeSurfer reshaped to fit another format must be written anew, with `--noreshape`"));
    }
    if frames != 1 {
        return Err(Failure::input(format!("the file holds {frames} frames, expected 1")));
    }
    cursor.i16("the orientation flag")?;
    cursor.take(HEADER_BYTES - 30, "the header")?;
    parse_values(&mut cursor, kind, count)
}

/// Shape, frames and type; the cursor is then behind the degrees of freedom.
fn parse_start(cursor: &mut Cursor<'_>) -> Result<([usize; 3], i32, i32), Failure> {
    let version = cursor.i32("the version")?;
    if version != 1 {
        return Err(Failure::input(format!("the file begins with {version}, expected 1, the version of MGH files"))
            .hint("check that the file is MGH or MGZ and complete"));
    }
    let mut shape = [1; 3];
    for (length, name) in shape.iter_mut().zip(["width", "height", "depth"]) {
        *length = cursor.count(&format!("the {name}"), 1, MOST_VERTICES)?;
    }
    let frames = cursor.i32("the number of frames")?;
    let kind = cursor.i32("the type")?;
    cursor.i32("the degrees of freedom")?;
    Ok((shape, frames, kind))
}

fn parse_values(cursor: &mut Cursor<'_>, kind: i32, count: usize) -> Result<MghValues, Failure> {
    let what = "the list of values";
    match kind {
        FLOAT32 => Ok(MghValues::Float32(cursor.fours(count, what, f32::from_be_bytes)?)),
        INT32 => Ok(MghValues::Int32(cursor.fours(count, what, i32::from_be_bytes)?)),
        UINT8 => Ok(MghValues::Int32(cursor.take(count, what)?.iter().map(|byte| i32::from(*byte)).collect())),
        INT16 => Ok(MghValues::Int32(
            cursor
                .take(2 * count, what)?
                .chunks_exact(2)
                .map(|b| i32::from(i16::from_be_bytes([b[0], b[1]])))
                .collect(),
        )),
        other => Err(Failure::input(format!(
            "the values are of type {other}, expected 0 (8 bits), 4 (16 bits), 1 (32 bits) or 3 (float)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn maps_come_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let numbers = [0.5_f32, -3.25, 1.0e9];
        for name in ["map.mgz", "map.mgh"] {
            let path = folder.path().join(name);
            write_f32(&path, &numbers).unwrap();
            assert_eq!(read_f32(&path).unwrap(), numbers);
        }
        let path = folder.path().join("area.mgz");
        write_i32(&path, &[0, 3, -1]).unwrap();
        assert_eq!(read_i32(&path).unwrap(), [0, 3, -1]);
        assert_eq!(read_f32(&path).unwrap(), [0.0, 3.0, -1.0]);
    }

    #[test]
    fn files_of_nibabel_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
        assert_eq!(read_f32(&folder.join("values.mgz")).unwrap(), [0.25, -1.5, 0.0, 3.0e7]);
        assert_eq!(read(&folder.join("area.mgz")).unwrap(), MghValues::Int32(vec![0, 1, 2, 3]));
    }

    /// Dimensions and type (bytes 0 to 24) and the values (from byte 284) are those that nibabel writes; the fields
    /// between describe an orientation in space, which a map of vertices does not have.
    #[test]
    fn dimensions_and_values_are_written_as_nibabel_writes_them() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats/values.mgz");
        let theirs = binary::gunzip(&fs_err::read(path).unwrap(), 1000).unwrap();
        let values = [0.25_f32, -1.5, 0.0, 3.0e7];
        let ours = format(FLOAT32, 4, values.into_iter().flat_map(f32::to_be_bytes));
        assert_eq!(ours[..24], theirs[..24]);
        assert_eq!(ours[284..300], theirs[284..300]);
    }

    #[test]
    fn missing_values_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prf.mgz");
        write_f32(&path, &[f32::NAN, 2.0]).unwrap();
        let read = read_f32(&path).unwrap();
        assert!(read[0].is_nan());
        let error = read_i32(&path).unwrap_err();
        assert_eq!(error.message, "value 0 is NaN, expected whole numbers (labels)");
    }

    #[test]
    fn equal_content_gives_equal_bytes_without_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one.mgz"), folder.path().join("two.mgz"));
        write_i32(&one, &[1, 2, 3]).unwrap();
        write_i32(&two, &[1, 2, 3]).unwrap();
        let bytes = fs_err::read(&one).unwrap();
        assert_eq!(bytes, fs_err::read(&two).unwrap());
        assert_eq!(bytes[4..8], [0; 4]);
    }

    #[test]
    fn a_volume_is_refused_and_a_map_has_values() {
        let mut bytes = format(INT32, 4, [0_u8; 16].into_iter());
        bytes[4..16].copy_from_slice(&[0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1]);
        let failure = parse(&bytes).unwrap_err();
        assert!(failure.message.starts_with("the file is a volume of [2, 2, 1]"), "{failure}");
        bytes[4..16].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1]);
        assert_eq!(parse(&bytes), Ok(MghValues::Int32(vec![0; 4])));
        let none = parse(&format(INT32, 0, std::iter::empty())).unwrap_err();
        assert_eq!(none.message, "the width is 0, expected a number from 1 to 20000000: the header is damaged");
    }

    #[test]
    fn errors_say_what_was_found_and_expected() {
        let whole = format(INT32, 3, [0_u8; 12].into_iter());
        let cut = parse(&whole[..290]).unwrap_err();
        assert_eq!(
            cut.message,
            "the file is cut off: the list of values needs 12 bytes from byte 284 on, and 6 are left"
        );
        let other = parse(b"<?xml version").unwrap_err();
        assert_eq!(other.message, "the file begins with 1010792557, expected 1, the version of MGH files");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.mgz");
        let packed = binary::gzip(&whole);
        fs_err::write(&path, &packed[..packed.len() - 9]).unwrap();
        let cut = read(&path).unwrap_err();
        assert!(cut.message.starts_with("the gzip data are damaged or cut off"), "{}", cut.message);
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0_usize..300, byte: u8, cut in 0_usize..300, noise: Vec<u8>) {
            let mut bytes = format(FLOAT32, 4, [0_u8; 16].into_iter());
            bytes[at] = byte;
            bytes.truncate(cut);
            let _ = (parse(&bytes), parse_frames(&bytes), parse_volume(&bytes));
            let _ = (parse(&noise), parse_frames(&noise), parse_volume(&noise));
        }
    }

    #[test]
    fn overlays_have_frames_and_say_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lh.map.mgh");
        let frames = [vec![0.25, 0.5, 1.0], vec![0.0, -1.0, 2.0]];
        Overlay { frames: &frames, whole: false, about: "V1 (0-7 deg)" }.write(&path).unwrap();
        assert_eq!(read_frames(&path).unwrap(), frames);
        assert_eq!(read(&path).unwrap_err().message, "the file holds 2 frames, expected 1");
        let bytes = fs_err::read(&path).unwrap();
        // Behind the values: five scan parameters, tag 3, the length of the text with its zero, the text.
        let tail = &bytes[284 + 24 + 20..];
        assert_eq!(
            (&tail[..4], &tail[4..12], &tail[12..]),
            (&[0, 0, 0, 3][..], &[0, 0, 0, 0, 0, 0, 0, 13][..], &b"V1 (0-7 deg)\0"[..])
        );
        Overlay { frames: &[vec![0.0, 3.0]], whole: true, about: "" }.write(&path).unwrap();
        assert_eq!(read(&path).unwrap(), MghValues::Int32(vec![0, 3]));
    }

    #[test]
    fn volumes_keep_their_place_and_need_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ribbon.mgz");
        let volume = Volume::conformed([4, 3, 2], 2.0, (0..24).collect());
        volume.write(&path, "labels").unwrap();
        assert_eq!(read_volume(&path).unwrap(), volume);
        // FreeSurfer's space of surfaces of a conformed volume: x runs to the left, y up along slices, z down along rows.
        let rows = volume.to_surface_space();
        assert_eq!(rows, [[-2.0, 0.0, 0.0, 4.0], [0.0, 0.0, 2.0, -2.0], [0.0, -2.0, 0.0, 3.0]]);
        assert_eq!(volume.to_scanner_space(), rows, "centred at the origin, both are one");
        let mut bytes = binary::gunzip(&fs_err::read(&path).unwrap(), 10_000).unwrap();
        bytes[28..30].copy_from_slice(&[0, 0]);
        assert!(parse_volume(&bytes).unwrap_err().message.contains("does not say where its voxels lie"));
        bytes[4..16].copy_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
        assert!(parse_volume(&bytes).is_err() && parse_frames(&bytes).is_err(), "more voxels than numbers");
    }
}
