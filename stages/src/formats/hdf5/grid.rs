//! Datasets of two dimensions that are read in parts, for files that do not fit into memory.
//!
//! Decides how numbers become floats (32 bits where those hold every number of the type on disk, else 64), and that a dataset may not
//! have more numbers than its file can hold: so nothing is made, here or by who copies it, for a length that only a header states.

use std::ops::Range;

use hdf5_reader::{Dataset, H5Type, SliceInfo, SliceInfoElem};
use pipe_contract::Failure;

use super::number_type::NumberType;
use super::reader::{Element, File};
use crate::formats::npy_file::{Float, FloatType};

/// A dataset of numbers with two dimensions, or one, which then are rows of one number.
pub struct NumberGrid {
    file: File,
    name: String,
    found: Dataset,
    kind: NumberType,
    shape: [usize; 2],
    chunk: [usize; 2],
}

impl NumberGrid {
    /// Opens a dataset.
    ///
    /// # Errors
    /// There is no such dataset, it is damaged or empty, holds no numbers, or has more of them than the file can hold; input's blame.
    pub fn open(file: &File, name: &str) -> Result<Self, Failure> {
        let found = file.dataset(name)?;
        let lengths = file.checked_shape(name, &found)?;
        let kind = file.number_type(name, &found)?;
        let most = file.most_stored(&found, kind.size());
        file.check_count(name, &lengths, lengths.iter().copied(), most)?;
        let two = |lengths: &[u64]| {
            let length = |at: usize| lengths.get(at).map_or(1, |length| usize::try_from(*length).unwrap_or(usize::MAX));
            [length(0), length(1)]
        };
        if !(1..=2).contains(&lengths.len()) {
            return Err(file.fault(name, format!("has shape {lengths:?}, expected two dimensions")).hint(
                "a matrix has rows and columns: write it again with further dimensions joined, in NumPy \
                 `values.reshape(len(values), -1)`",
            ));
        }
        let shape = two(&lengths);
        let chunk = match found.chunks() {
            Some(chunk) => two(&chunk.into_iter().map(u64::from).collect::<Vec<_>>()),
            None => [1, shape[1]],
        };
        let chunk = [0, 1].map(|axis| chunk[axis].clamp(1, shape[axis]));
        Ok(Self { file: file.clone(), name: name.to_owned(), found, kind, shape, chunk })
    }

    /// How many rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// The rows and columns that lie together in the file: a part that has whole ones is read fastest.
    pub fn chunk(&self) -> [usize; 2] {
        self.chunk
    }

    /// Whether the file has chunks, of which each is read and unpacked whole for any part of it: a reader of all numbers gets every chunk
    /// once if its parts are made of whole ones.
    pub fn is_chunked(&self) -> bool {
        self.found.chunks().is_some()
    }

    /// How many chunks were asked for since the file was opened, by this grid and all others of the file.
    #[cfg(test)]
    pub fn chunks_read(&self) -> u64 {
        let stats = self.found.chunk_cache_stats();
        stats.hits + stats.misses
    }

    /// The narrowest float that holds all its numbers; whole numbers are of 64 bits.
    pub fn float_type(&self) -> FloatType {
        self.kind.float_type()
    }

    /// Some of its rows and columns, row after row.
    ///
    /// # Errors
    /// It is damaged or packed with something that is not read; input's blame.
    pub fn read<T: Float>(&self, part: &[Range<usize>; 2]) -> Result<Vec<T>, Failure> {
        let axes = part.iter().take(self.found.ndim());
        let slice =
            |range: &Range<usize>| SliceInfoElem::Slice { start: range.start as u64, end: range.end as u64, step: 1 };
        let selection = SliceInfo { selections: axes.map(slice).collect() };
        match self.kind.ieee() {
            Some(FloatType::F32) => self.slice(&selection, |value: &f32| T::of(f64::from(*value))),
            Some(FloatType::F64) => self.slice(&selection, |value: &f64| T::of(*value)),
            None => self.slice(&selection, |element: &Element| T::of(self.kind.decode(element.0))),
        }
    }

    fn slice<S: H5Type, T>(&self, selection: &SliceInfo, float: impl Fn(&S) -> T) -> Result<Vec<T>, Failure> {
        let elements = self.found.read_slice::<S>(selection);
        let elements = elements.map_err(|error| self.file.unread(&self.name, &self.found, &error))?;
        Ok(elements.iter().map(float).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::formats::hdf5::Builder;

    fn fixture(name: &str) -> File {
        File::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)).unwrap()
    }

    #[test]
    fn parts_are_those_of_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.hdf5");
        let values: Vec<f32> = (0..35).map(|at| at as f32 * 0.1).collect();
        let mut builder = Builder::new();
        builder.packed_singles("packed", &[5, 7], &[2, 3], &values);
        builder.doubles("plain", &[5, 7], &values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>());
        builder.doubles("list", &[5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
        builder.doubles("cube", &[1, 2, 2], &[0.0; 4]);
        builder.write(&path).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(file.datasets().unwrap(), ["cube", "list", "packed", "plain"]);
        let (packed, plain) = (NumberGrid::open(&file, "packed").unwrap(), NumberGrid::open(&file, "/plain").unwrap());
        assert_eq!((packed.shape(), packed.chunk(), packed.float_type()), ([5, 7], [2, 3], FloatType::F32));
        assert_eq!((plain.shape(), plain.chunk(), plain.float_type()), ([5, 7], [1, 7], FloatType::F64));
        for part in [[0..5, 0..7], [1..4, 2..5], [4..5, 6..7]] {
            let expected: Vec<f32> =
                part[0].clone().flat_map(|row| &values[row * 7..][part[1].clone()]).copied().collect();
            assert_eq!(packed.read::<f32>(&part).unwrap(), expected);
            assert_eq!(plain.read::<f32>(&part).unwrap(), expected);
        }
        assert_eq!(packed.read::<f64>(&[0..1, 1..2]).unwrap(), [f64::from(0.1_f32)]);
        let list = NumberGrid::open(&file, "list").unwrap();
        assert_eq!((list.shape(), list.read::<f64>(&[1..3, 0..1]).unwrap()), ([5, 1], vec![2.0, 3.0]));
        let failure = NumberGrid::open(&file, "cube").err().unwrap();
        assert_eq!(failure.message, "dataset `cube` has shape [1, 2, 2], expected two dimensions");
        assert!(NumberGrid::open(&file, "none").err().unwrap().message.contains("dataset `none` cannot be read"));
    }

    #[test]
    fn every_type_is_a_float() {
        let types = fixture("types.hdf5");
        let read = |name: &str| {
            let grid = NumberGrid::open(&types, name).unwrap();
            (grid.float_type(), grid.read::<f64>(&[0..grid.shape()[0], 0..1]).unwrap())
        };
        assert_eq!(read("half_big"), (FloatType::F32, vec![0.5, -2.0, 65504.0, 2_f64.powi(-24)]));
        assert_eq!(read("int_big"), (FloatType::F64, vec![1.0, -2.0, 300.0, -40_000.0]));
        assert_eq!(read("offset_float"), (FloatType::F32, vec![0.25, -1.5, 0.0, 3.0]));
        for index in ["fixed", "extensible", "tree"] {
            let grid = NumberGrid::open(&fixture("indexes.hdf5"), index).unwrap();
            assert_eq!(grid.read::<f64>(&[1..3, 1..3]).unwrap(), [5.0, 6.0, 9.0, 10.0], "{index}");
        }
    }

    #[test]
    fn lengths_that_the_file_cannot_hold_are_refused() {
        let failure = NumberGrid::open(&fixture("types.hdf5"), "huge").err().unwrap();
        let expected = "dataset `huge` has shape [1500000000], expected at most";
        assert!(failure.message.starts_with(expected), "{failure}");
    }
}
