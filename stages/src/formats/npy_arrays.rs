//! `.npy` files of whole arrays of one type of element that is known beforehand: little-endian, the last axis fastest.
//!
//! Decides how an array becomes bytes and back without a detour through wider numbers. Files of any type of element are read by
//! [`super::numpy`], floats that do not fit into memory by [`super::npy_file`]. Independent of what the numbers are.

use std::path::Path;

use pipe_contract::Failure;

use super::{binary, npy_file, numpy};

/// A type of element.
pub(super) trait NpyElement: Copy {
    /// NumPy's name of it.
    const DESCR: &'static str;
    /// Bytes of one.
    const BYTES: usize;

    /// Appends its bytes.
    fn put(self, bytes: &mut Vec<u8>);

    /// From as many bytes as it has.
    fn of(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($($type:ty = $descr:literal),+) => {$(
        impl NpyElement for $type {
            const DESCR: &'static str = $descr;
            const BYTES: usize = size_of::<$type>();

            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }

            fn of(bytes: &[u8]) -> Self {
                Self::from_le_bytes(super::number_bytes::fixed(bytes))
            }
        }
    )+};
}

element!(u8 = "|u1", u32 = "<u4", f32 = "<f4");

impl NpyElement for bool {
    const DESCR: &'static str = "|b1";
    const BYTES: usize = 1;

    fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }

    fn of(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
}

/// Writes an array; `values` are as many as the shape needs.
///
/// # Errors
/// Environment: the file cannot be written.
pub(super) fn write<T: NpyElement>(
    path: &Path,
    shape: &[usize],
    values: impl IntoIterator<Item = T>,
) -> Result<(), Failure> {
    let mut bytes = npy_file::header(shape, false, T::DESCR);
    bytes.reserve(shape.iter().product::<usize>() * T::BYTES);
    values.into_iter().for_each(|value| value.put(&mut bytes));
    binary::write(path, &bytes)
}

/// Reads an array of this type of element and this number of axes.
///
/// # Errors
/// Input: the file is missing, cut off, or holds something else.
pub(super) fn read<T: NpyElement, const AXES: usize>(path: &Path) -> Result<([usize; AXES], Vec<T>), Failure> {
    let bytes = binary::read(path)?;
    let at = |problem: String| Failure::input(problem).at(path.display().to_string());
    let header = numpy::parse_header(&bytes).map_err(at)?;
    if header.descr != T::DESCR || (header.by_column && AXES > 1) {
        let (found, expected) = (&header.descr, T::DESCR);
        return Err(at(format!("the array holds `{found}`, expected `{expected}` stored by row")));
    }
    let shape: [usize; AXES] = header
        .shape
        .as_slice()
        .try_into()
        .map_err(|_| at(format!("the array has the shape {:?}, expected {AXES} axes", header.shape)))?;
    let needed = shape.iter().try_fold(T::BYTES, |all, axis| all.checked_mul(*axis));
    let data = &bytes[header.length..];
    match needed == Some(data.len()) {
        true => Ok((shape, data.chunks_exact(T::BYTES).map(T::of).collect())),
        false => Err(at(format!("an array of shape {shape:?} has {} bytes: it is cut off", data.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back_and_the_general_reader_reads_them_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write(&path, &[2, 3], [1_u32, 2, 3, 4, 5, u32::MAX]).unwrap();
        assert_eq!(read::<u32, 2>(&path).unwrap(), ([2, 3], vec![1, 2, 3, 4, 5, u32::MAX]));
        assert_eq!(numpy::read_npy(&path).unwrap().whole_numbers().unwrap()[5], 4_294_967_295);
        assert!(read::<f32, 2>(&path).unwrap_err().message.contains("holds `<u4`, expected `<f4`"));
        assert!(read::<u32, 1>(&path).unwrap_err().message.contains("expected 1 axes"));
        write(&path, &[3], [true, false, true]).unwrap();
        assert_eq!(read::<bool, 1>(&path).unwrap().1, [true, false, true]);
        assert_eq!(numpy::read_npy(&path).unwrap().flags().unwrap(), [true, false, true]);
        let bytes = fs_err::read(&path).unwrap();
        fs_err::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(read::<bool, 1>(&path).unwrap_err().message.contains("cut off"));
    }
}
