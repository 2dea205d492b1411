//! HDF5 in the shapes this field uses: labels (`{lh,rh}/visual_area`, whole numbers), pRF results in MATLAB
//! v7.3 (numbers in several dimensions behind a user block of 512 bytes).
//!
//! Reading goes through `hdf5-reader`, which requires the exact type on disk; here any number type is read and
//! converted, because writers differ. Writing goes through `hdf5-writer`, whose bytes depend on the content
//! only; the MATLAB user block is put before its superblock, and the superblock then gets its new address.

use std::path::Path;

use hdf5_reader::{Dataset, Hdf5File, SliceInfo, SliceInfoElem};
use hdf5_writer::{
    AttributeBuilder, ByteOrder, DatasetBuilder, Datatype, FILTER_DEFLATE, FILTER_SHUFFLE, FilterDescription,
    Hdf5Builder, WriteOptions, jenkins_lookup3,
};
use pipe_contract::Failure;

use super::binary;

/// An open file.
pub struct File {
    name: String,
    file: Hdf5File,
}

/// Which part of a dimension to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// One index; the dimension disappears.
    At(u64),
    /// All of it.
    All,
}

impl File {
    /// Opens a file.
    ///
    /// # Errors
    /// The file is missing, damaged or not HDF5; input's blame.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        if !path.is_file() {
            return Err(Failure::input("the file does not exist").at(name));
        }
        match Hdf5File::open(path) {
            Ok(file) => Ok(Self { name, file }),
            Err(error) => Err(Failure::input(format!("the file cannot be read as HDF5: {error}"))
                .at(name)
                .hint("check that the download is complete; MATLAB files before v7.3 are not HDF5")),
        }
    }

    /// Whether there is a dataset of this path.
    pub fn has(&self, dataset: &str) -> bool {
        self.file.dataset(dataset).is_ok()
    }

    /// The lengths of a dataset's dimensions, slowest first.
    ///
    /// # Errors
    /// There is no such dataset; input's blame.
    pub fn shape(&self, dataset: &str) -> Result<Vec<u64>, Failure> {
        Ok(self.dataset(dataset)?.shape().to_vec())
    }

    /// A whole dataset of whole numbers, or of floats that are all whole, slowest dimension first.
    ///
    /// # Errors
    /// There is no such dataset, it is damaged, or holds something else; input's blame.
    pub fn whole_numbers(&self, dataset: &str) -> Result<Vec<i64>, Failure> {
        let numbers = self.numbers(dataset, None)?;
        numbers
            .iter()
            .map(|value| whole(*value))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| self.fault(dataset, "holds numbers with a fraction, expected whole numbers".to_owned()))
    }

    /// A dataset of numbers, or a part of it, slowest dimension first.
    ///
    /// # Errors
    /// There is no such dataset, it is damaged, holds no numbers, or the pick does not fit; input's blame.
    pub fn numbers(&self, dataset: &str, pick: Option<&[Pick]>) -> Result<Vec<f64>, Failure> {
        let found = self.dataset(dataset)?;
        let selection = match pick {
            Some(pick) => self.selection(dataset, found.shape(), pick)?,
            None => SliceInfo::all(found.ndim()),
        };
        read_as_f64(&found, &selection).map_err(|why| self.fault(dataset, why).hint(INCOMPLETE))
    }

    fn selection(&self, dataset: &str, shape: &[u64], pick: &[Pick]) -> Result<SliceInfo, Failure> {
        let outside = shape.len() != pick.len()
            || shape.iter().zip(pick).any(|(length, pick)| matches!(pick, Pick::At(index) if index >= length));
        if outside {
            return Err(self.fault(dataset, format!("has shape {shape:?}, which has no part {pick:?}")));
        }
        let selections = pick
            .iter()
            .map(|pick| match pick {
                Pick::At(index) => SliceInfoElem::Index(*index),
                Pick::All => SliceInfoElem::Slice { start: 0, end: u64::MAX, step: 1 },
            })
            .collect();
        Ok(SliceInfo { selections })
    }

    fn dataset(&self, dataset: &str) -> Result<Dataset, Failure> {
        self.file.dataset(dataset).map_err(|error| {
            Failure::input(format!("dataset `{dataset}` cannot be read: {error}"))
                .at(self.name.clone())
                .hint(INCOMPLETE)
        })
    }

    fn fault(&self, dataset: &str, what: String) -> Failure {
        Failure::input(format!("dataset `{dataset}` {what}")).at(self.name.clone())
    }
}

/// The remedy for data that are not at the address in the file.
const INCOMPLETE: &str = "check that the file is the right one and complete: copy or download it again";

fn whole(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    (value.fract() == 0.0 && value.abs() < 9.0e15).then_some(value as i64)
}

/// Reads any number type as 64-bit floats. Whole numbers beyond 2^53 would lose digits; none occur here.
fn read_as_f64(dataset: &Dataset, selection: &SliceInfo) -> Result<Vec<f64>, String> {
    macro_rules! read {
        ($type:ty, $convert:expr) => {
            dataset
                .read_slice::<$type>(selection)
                .map(|array| array.iter().copied().map($convert).collect())
                .map_err(|error| format!("is damaged: {error}"))
        };
    }
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    match dataset.dtype() {
        Datatype::FloatingPoint { size: 4, .. } => read!(f32, f64::from),
        Datatype::FloatingPoint { size: 8, .. } => read!(f64, |value| value),
        Datatype::FixedPoint { size: 1, signed: true, .. } => read!(i8, f64::from),
        Datatype::FixedPoint { size: 1, signed: false, .. } => read!(u8, f64::from),
        Datatype::FixedPoint { size: 2, signed: true, .. } => read!(i16, f64::from),
        Datatype::FixedPoint { size: 2, signed: false, .. } => read!(u16, f64::from),
        Datatype::FixedPoint { size: 4, signed: true, .. } => read!(i32, f64::from),
        Datatype::FixedPoint { size: 4, signed: false, .. } => read!(u32, f64::from),
        Datatype::FixedPoint { size: 8, signed: true, .. } => read!(i64, |value| value as f64),
        Datatype::FixedPoint { size: 8, signed: false, .. } => read!(u64, |value| value as f64),
        other => Err(format!("is of type {other:?}, expected numbers")),
    }
}

/// A file to be written: datasets by path, groups made as needed.
#[derive(Default)]
pub struct Builder {
    datasets: Vec<DatasetBuilder>,
}

impl Builder {
    /// Nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds 32-bit whole numbers in one dimension.
    pub fn whole_numbers(&mut self, path: &str, values: &[i32]) {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let kind = Datatype::FixedPoint { size: 4, signed: true, byte_order: ByteOrder::LittleEndian };
        self.datasets.push(DatasetBuilder::new(path, kind, vec![values.len() as u64]).raw_data(raw));
    }

    /// Adds 64-bit floats, the type of MATLAB's ordinary numbers.
    pub fn doubles(&mut self, path: &str, shape: &[u64], values: &[f64]) {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.datasets
            .push(DatasetBuilder::new(path, float(8), shape.to_vec()).raw_data(raw).attribute(class("double")));
    }

    /// Adds 32-bit floats in chunks that are shuffled and packed, as MATLAB stores large arrays.
    pub fn packed_singles(&mut self, path: &str, shape: &[u64], chunk: &[u64], values: &[f32]) {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.datasets.push(
            DatasetBuilder::new(path, float(4), shape.to_vec())
                .chunked(chunk.to_vec())
                .filter(filter(FILTER_SHUFFLE, 4))
                .filter(filter(FILTER_DEFLATE, 3))
                .raw_data(raw)
                .attribute(class("single")),
        );
    }

    /// Writes the file as it is.
    ///
    /// # Errors
    /// The file cannot be written; or, internal, datasets do not fit their shapes.
    pub fn write(self, path: &Path) -> Result<(), Failure> {
        let bytes = self.encode()?;
        binary::write(path, &bytes)
    }

    /// Writes the file as MATLAB v7.3 does: behind a block of 512 bytes with its name (without platform and time).
    ///
    /// # Errors
    /// As [`Builder::write`].
    pub fn write_matlab(self, path: &Path) -> Result<(), Failure> {
        let bytes = behind_user_block(self.encode()?)?;
        binary::write(path, &bytes)
    }

    fn encode(self) -> Result<Vec<u8>, Failure> {
        let builder = self.datasets.into_iter().fold(Hdf5Builder::new(), Hdf5Builder::dataset);
        let options = WriteOptions { byte_order: ByteOrder::LittleEndian, ..WriteOptions::default() };
        builder
            .into_plan()
            .and_then(|plan| plan.encode(options))
            .map_err(|error| Failure::internal(format!("could not make an HDF5 file: {error}")))
    }
}

fn float(size: u8) -> Datatype {
    Datatype::FloatingPoint { size, byte_order: ByteOrder::LittleEndian }
}

/// The attribute by which MATLAB recognises its own types.
fn class(name: &str) -> AttributeBuilder {
    AttributeBuilder::fixed_string("MATLAB_class", name)
}

fn filter(id: u16, value: u32) -> FilterDescription {
    FilterDescription { id, name: None, client_data: vec![value] }
}

/// Length of MATLAB's user block, one of the places where HDF5 looks for its superblock.
const USER_BLOCK: usize = 512;

/// Puts MATLAB's block in front. Addresses inside a file are relative to the base address of the superblock
/// (version 2: base at byte 12, end of file at byte 28, checksum over the first 44 bytes at byte 44).
fn behind_user_block(mut bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let end = (USER_BLOCK + bytes.len()) as u64;
    let Some(superblock) = bytes.get_mut(..48).filter(|block| block[8] == 2) else {
        return Err(Failure::internal("the HDF5 library wrote a superblock that is not of version 2"));
    };
    superblock[12..20].copy_from_slice(&(USER_BLOCK as u64).to_le_bytes());
    superblock[28..36].copy_from_slice(&end.to_le_bytes());
    let checksum = jenkins_lookup3(&superblock[..44]);
    superblock[44..48].copy_from_slice(&checksum.to_le_bytes());

    // 116 bytes of text, padded with blanks, 8 of subsystem offset, version 0x0200, byte order mark.
    let mut file = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".to_vec();
    file.resize(116, b' ');
    file.resize(124, 0);
    file.extend([0x00, 0x02, b'I', b'M']);
    file.resize(USER_BLOCK, 0);
    file.append(&mut bytes);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)
    }

    fn small() -> Builder {
        let mut builder = Builder::new();
        builder.whole_numbers("lh/visual_area", &[0, 1, 2, 3]);
        builder.whole_numbers("rh/visual_area", &[-1, 7]);
        builder.doubles("subjectids", &[1, 2], &[100_610.0, 102_311.0]);
        let values: Vec<f32> = (0..3 * 2 * 6 * 10).map(|value| value as f32).collect();
        builder.packed_singles("allresults", &[3, 2, 6, 10], &[1, 1, 6, 10], &values);
        builder
    }

    #[test]
    fn files_of_h5py_are_read() {
        for name in ["labels_earliest.hdf5", "labels_latest.hdf5"] {
            let file = File::open(&fixture(name)).unwrap();
            assert_eq!(file.whole_numbers("lh/visual_area").unwrap(), [0, 1, 2, 3], "{name}");
            assert_eq!(file.whole_numbers("rh/visual_sector").unwrap(), [0, 6, 0, 26], "{name}");
        }
        let file = File::open(&fixture("prf_v73.mat")).unwrap();
        assert_eq!(file.numbers("subjectids", None).unwrap(), [100_610.0, 102_311.0]);
        assert_eq!(file.shape("allresults").unwrap(), [3, 2, 6, 10]);
        let part = file.numbers("allresults", Some(&[Pick::At(0), Pick::At(1), Pick::At(5), Pick::All])).unwrap();
        assert_eq!(part, (110..120).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn what_we_write_comes_back_also_behind_a_user_block() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, matlab) = (folder.path().join("plain.hdf5"), folder.path().join("results.mat"));
        small().write(&plain).unwrap();
        small().write_matlab(&matlab).unwrap();
        assert!(std::fs::read(&matlab).unwrap().starts_with(b"MATLAB 7.3 MAT-file"));
        for path in [&plain, &matlab] {
            let file = File::open(path).unwrap();
            assert_eq!(file.whole_numbers("lh/visual_area").unwrap(), [0, 1, 2, 3]);
            assert_eq!(file.whole_numbers("rh/visual_area").unwrap(), [-1, 7]);
            assert_eq!(file.numbers("subjectids", None).unwrap(), [100_610.0, 102_311.0]);
            let part = file.numbers("allresults", Some(&[Pick::At(2), Pick::At(0), Pick::At(1), Pick::All])).unwrap();
            assert_eq!(part, (250..260).map(f64::from).collect::<Vec<_>>());
        }
        let again = folder.path().join("again.mat");
        small().write_matlab(&again).unwrap();
        assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&matlab).unwrap());
    }

    #[test]
    fn errors_name_the_dataset_and_what_was_found() {
        let file = File::open(&fixture("prf_v73.mat")).unwrap();
        let missing = file.numbers("lh/visual_area", None).unwrap_err();
        assert!(missing.message.starts_with("dataset `lh/visual_area` cannot be read"), "{}", missing.message);
        let outside =
            file.numbers("allresults", Some(&[Pick::At(3), Pick::At(0), Pick::At(0), Pick::All])).unwrap_err();
        assert_eq!(
            outside.message,
            "dataset `allresults` has shape [3, 2, 6, 10], which has no part [At(3), At(0), At(0), All]"
        );
        let other = File::open(&fixture("lh.white")).err().unwrap();
        assert!(other.message.starts_with("the file cannot be read as HDF5"), "{}", other.message);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damaged_files_never_panic(at in 0_usize..4000, byte: u8, cut in 0_usize..8000) {
            let mut bytes = behind_user_block(small().encode().unwrap()).unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut.max(at));
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("damaged.mat");
            std::fs::write(&path, bytes).unwrap();
            if let Ok(file) = File::open(&path) {
                let _ = file.numbers("allresults", None);
                let _ = file.whole_numbers("lh/visual_area");
            }
        }
    }
}
