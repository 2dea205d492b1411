//! Reads datasets of numbers out of HDF5 files, whatever type of number they have on disk.
//!
//! Goes through `hdf5-reader`, which requires the exact type on disk; here elements are taken as bytes and decoded by their
//! datatype, because writers differ. A file may promise more than it holds, by damage or on purpose: what is read at once is
//! bounded by the size of the file before anything is allocated. What is too large for that is read in parts by `grid`.

use std::path::Path;

use hdf5_reader::error::{Error, Result as ReaderResult};
use hdf5_reader::filters::FILTER_LZ4;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::dataspace::{DataspaceMessage, DataspaceType};
use hdf5_reader::{Dataset, Datatype, H5Type, Hdf5File, OpenOptions, SliceInfo, SliceInfoElem, dtype_element_size};
use pipe_contract::Failure;

use super::number_type::{MOST_BYTES, NumberType};
use crate::formats::bounds::{DEFLATE_RATIO, MOST_VERTICES};

/// An open file.
#[derive(Clone)]
pub struct File {
    name: String,
    file: Hdf5File,
    bytes: u64,
}

/// Which part of a dimension to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexPick {
    /// One index; the dimension disappears.
    At(u64),
    /// All of it.
    All,
}

/// Elements that a dataset may have without being stored, because they have the fill value; more than any hemisphere has.
const MOST_FILLED: u64 = 1 << 20;
/// The most bytes of the texts of one dataset.
const MOST_TEXT: u64 = 256 << 20;
/// The attribute that MATLAB gives to all its datasets.
const OF_MATLAB: &str = "MATLAB_class";
/// The largest chunk of a dataset, unpacked; writers make chunks of some megabytes.
const MOST_CHUNK: usize = 256 << 20;

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
        let bytes = fs_err::metadata(path).map_err(|error| Failure::io("read", path, &error))?.len();
        let header = usize::try_from(bytes).unwrap_or(usize::MAX).min(hdf5_reader::DEFAULT_MAX_OBJECT_HEADER_BYTES);
        let chunk = usize::try_from(bytes.saturating_mul(DEFLATE_RATIO)).unwrap_or(usize::MAX);
        let options = OpenOptions::default()
            .with_max_object_header_bytes(header)
            .with_max_chunk_bytes(chunk.clamp(8 * MOST_FILLED as usize, MOST_CHUNK));
        match Hdf5File::open_with_options(path, options) {
            Ok(file) => Ok(Self { name, file, bytes }),
            Err(error) => Err(Failure::input(format!("the file cannot be read as HDF5: {error}"))
                .at(name)
                .hint("check that the download is complete; MATLAB files before v7.3 are not HDF5")),
        }
    }

    /// Whether there is a dataset of this path.
    ///
    /// # Errors
    /// There is one, but it or the way to it is damaged; input's blame.
    pub fn has(&self, dataset: &str) -> Result<bool, Failure> {
        match self.file.dataset(dataset) {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(self.unreadable(dataset, &error)),
        }
    }

    /// The names of the datasets that are in no group, sorted.
    ///
    /// # Errors
    /// The list of them is damaged; input's blame.
    pub fn datasets(&self) -> Result<Vec<String>, Failure> {
        let names = self.file.root_group().and_then(|root| root.member_names());
        let (_, mut names) = names.map_err(|error| {
            Failure::input(format!("the names of the datasets cannot be read: {error}"))
                .at(self.name.clone())
                .hint(INCOMPLETE)
        })?;
        names.sort();
        Ok(names)
    }

    /// The names of the datasets in a group at the top, sorted; none if there is no such group.
    ///
    /// # Errors
    /// The list of them is damaged; input's blame.
    pub fn members(&self, group: &str) -> Result<Vec<String>, Failure> {
        match self.file.group(group).and_then(|group| group.member_names()) {
            Ok((_, mut names)) => {
                names.sort();
                Ok(names)
            }
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            Err(error) => {
                Err(Failure::input(format!("the names of the datasets in `{group}` cannot be read: {error}"))
                    .at(self.name.clone())
                    .hint(INCOMPLETE))
            }
        }
    }

    /// Whether a dataset holds texts.
    ///
    /// # Errors
    /// There is no such dataset, or it is damaged; input's blame.
    pub fn holds_texts(&self, dataset: &str) -> Result<bool, Failure> {
        Ok(matches!(self.dataset(dataset)?.dtype(), Datatype::String { .. }))
    }

    /// Whether a dataset holds floats, else whole numbers or something else.
    ///
    /// # Errors
    /// There is no such dataset, or it holds no numbers; input's blame.
    pub fn holds_floats(&self, dataset: &str) -> Result<bool, Failure> {
        let found = self.dataset(dataset)?;
        Ok(matches!(found.dtype(), Datatype::FloatingPoint { .. }))
    }

    /// Whether MATLAB wrote a dataset, which has its axes in the order opposite to MATLAB's.
    ///
    /// # Errors
    /// There is no such dataset; input's blame.
    pub fn is_of_matlab(&self, dataset: &str) -> Result<bool, Failure> {
        Ok(self.dataset(dataset)?.attribute(OF_MATLAB).is_ok())
    }

    /// All texts of a dataset, slowest dimension first.
    ///
    /// # Errors
    /// There is no such dataset, it is damaged or empty, or holds something else; input's blame.
    pub fn texts(&self, dataset: &str) -> Result<Vec<String>, Failure> {
        let found = self.dataset(dataset)?;
        let shape = self.checked_shape(dataset, &found)?;
        if !matches!(found.dtype(), Datatype::String { .. }) {
            return Err(self.fault(dataset, "holds no texts".to_owned()));
        }
        let size = found.raw_element_size().map_err(|error| self.unreadable(dataset, &error))?.max(1);
        let most = self.most_stored(&found, 1).min(MOST_TEXT) / size as u64;
        self.check_count(dataset, &shape, shape.iter().copied(), most)?;
        found.read_strings().map_err(|error| self.unread(dataset, &found, &error))
    }

    /// The lengths of a dataset's dimensions, slowest first; none for a single number.
    ///
    /// # Errors
    /// There is no such dataset, or it holds nothing; input's blame.
    pub fn shape(&self, dataset: &str) -> Result<Vec<u64>, Failure> {
        let found = self.dataset(dataset)?;
        self.checked_shape(dataset, &found)
    }

    /// A list of whole numbers, or of floats that are all whole. Further dimensions have the length 1, as MATLAB's lists do.
    ///
    /// # Errors
    /// There is no such dataset, it is damaged, empty, or holds something else; input's blame.
    pub fn whole_numbers(&self, dataset: &str) -> Result<Vec<i64>, Failure> {
        let shape = self.shape(dataset)?;
        if shape.is_empty() || shape.iter().filter(|length| **length > 1).count() > 1 {
            return Err(self.fault(dataset, format!("has shape {shape:?}, expected a list, [number]")));
        }
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
    /// There is no such dataset, it is damaged or empty, holds no numbers, or the pick does not fit; input's blame.
    pub fn numbers(&self, dataset: &str, pick: Option<&[IndexPick]>) -> Result<Vec<f64>, Failure> {
        let found = self.dataset(dataset)?;
        let shape = self.checked_shape(dataset, &found)?;
        let all = vec![IndexPick::All; shape.len()];
        let pick = pick.unwrap_or(&all);
        let selection = self.selection(dataset, &shape, pick)?;
        let kind = self.number_type(dataset, &found)?;
        let most = self.most_stored(&found, kind.size()).min(MOST_VERTICES as u64);
        let read = shape.iter().zip(pick).filter(|(_, pick)| **pick == IndexPick::All);
        self.check_count(dataset, &shape, read.map(|(length, _)| *length), most)?;
        let elements = found.read_slice::<Element>(&selection).map_err(|error| self.unread(dataset, &found, &error))?;
        Ok(elements.iter().map(|element| kind.decode(element.0)).collect())
    }

    fn selection(&self, dataset: &str, shape: &[u64], pick: &[IndexPick]) -> Result<SliceInfo, Failure> {
        let outside = shape.len() != pick.len()
            || shape.iter().zip(pick).any(|(length, pick)| matches!(pick, IndexPick::At(index) if index >= length));
        if outside {
            return Err(self.fault(dataset, format!("has shape {shape:?}, which has no part {pick:?}")));
        }
        let selections = pick
            .iter()
            .map(|pick| match pick {
                IndexPick::At(index) => SliceInfoElem::Index(*index),
                IndexPick::All => SliceInfoElem::Slice { start: 0, end: u64::MAX, step: 1 },
            })
            .collect();
        Ok(SliceInfo { selections })
    }

    /// How its numbers lie in their elements.
    pub(super) fn number_type(&self, dataset: &str, found: &Dataset) -> Result<NumberType, Failure> {
        let message = found.raw_datatype().map_err(|error| self.unreadable(dataset, &error))?;
        let kind = NumberType::parse(&message).map_err(|what| self.fault(dataset, what).hint(AS_NUMBERS))?;
        match found.raw_element_size() {
            Ok(size) if size == kind.size() => Ok(kind),
            _ => Err(self.fault(dataset, "has a damaged datatype".to_owned()).hint(INCOMPLETE)),
        }
    }

    /// The most elements of a dataset that a file of this size can hold.
    pub(super) fn most_stored(&self, found: &Dataset, size: usize) -> u64 {
        let header = self.file.get_or_parse_header(found.address());
        let is_packed = header
            .is_ok_and(|header| header.messages.iter().any(|message| matches!(message, HdfMessage::FilterPipeline(_))));
        let stored = self.bytes.saturating_mul(if is_packed { DEFLATE_RATIO } else { 1 }) / size as u64;
        stored.max(MOST_FILLED)
    }

    /// That what has these lengths is not more than `most` numbers.
    pub(super) fn check_count(
        &self,
        dataset: &str,
        shape: &[u64],
        lengths: impl Iterator<Item = u64>,
        most: u64,
    ) -> Result<(), Failure> {
        let count = lengths.fold(1_u64, u64::saturating_mul);
        if count <= most {
            return Ok(());
        }
        let what = format!(
            "has shape {shape:?}, expected at most {most} numbers in a file of {} bytes: its header is damaged",
            self.bytes
        );
        Err(self.fault(dataset, what).hint(INCOMPLETE))
    }

    /// The lengths of dimensions; an error if a dataset has no element.
    pub(super) fn checked_shape(&self, dataset: &str, found: &Dataset) -> Result<Vec<u64>, Failure> {
        let header =
            self.file.get_or_parse_header(found.address()).map_err(|error| self.unreadable(dataset, &error))?;
        let is_null = |message: &HdfMessage| {
            matches!(message, HdfMessage::Dataspace(DataspaceMessage { dataspace_type: DataspaceType::Null, .. }))
        };
        if header.messages.iter().any(is_null) {
            return Err(self.fault(dataset, "has an empty dataspace, expected at least one number".to_owned()));
        }
        let shape = found.shape().to_vec();
        match shape.contains(&0) {
            true => Err(self.fault(dataset, format!("has shape {shape:?}, expected at least one number"))),
            false => Ok(shape),
        }
    }

    pub(super) fn dataset(&self, dataset: &str) -> Result<Dataset, Failure> {
        self.file.dataset(dataset).map_err(|error| self.unreadable(dataset, &error))
    }

    fn unreadable(&self, dataset: &str, error: &Error) -> Failure {
        self.fault(dataset, format!("cannot be read: {error}")).hint(INCOMPLETE)
    }

    /// An error while reading: a filter that is not there, or damage.
    pub(super) fn unread(&self, dataset: &str, found: &Dataset, error: &Error) -> Failure {
        if !is_about_a_filter(error) {
            return self.fault(dataset, format!("is damaged: {error}")).hint(INCOMPLETE);
        }
        let header = self.file.get_or_parse_header(found.address());
        let filters = header.iter().flat_map(|header| &header.messages).find_map(|message| match message {
            HdfMessage::FilterPipeline(pipeline) => Some(&pipeline.filters),
            _ => None,
        });
        let mut ids = filters.into_iter().flatten().map(|filter| filter.id);
        match ids.rfind(|id| *id > LAST_OF_HDF5 && *id != FILTER_LZ4) {
            Some(id) => self
                .fault(dataset, format!("is packed with {}, which is not read", filter_name(id)))
                .hint("write it again with gzip, in h5py: `new.create_dataset(NAME, data=old[NAME][()], compression=\"gzip\")`"),
            None => self.fault(dataset, format!("cannot be unpacked: {error}")).hint(INCOMPLETE),
        }
    }

    pub(super) fn fault(&self, dataset: &str, what: String) -> Failure {
        Failure::input(format!("dataset `{dataset}` {what}")).at(self.name.clone())
    }
}

/// The remedy for data that are not at the address in the file.
const INCOMPLETE: &str = "check that the file is the right one and complete: copy or download it again";
/// The remedy for other types.
const AS_NUMBERS: &str = "write the dataset again as whole numbers, or as floats of 32 or 64 bits";

/// Filters with a number up to this one are part of HDF5; others are registered.
const LAST_OF_HDF5: u16 = 255;

/// The name of a registered filter that h5py or its plugins write.
fn filter_name(id: u16) -> String {
    let name = match id {
        305 => "LZO",
        307 => "bzip2",
        32000 => "LZF",
        32001 => "Blosc",
        32008 => "bitshuffle",
        32013 => "ZFP",
        32015 => "Zstandard",
        32017 => "SZ",
        32026 => "Blosc2",
        _ => return format!("the filter {id}"),
    };
    format!("the filter {name} ({id})")
}

fn is_missing(error: &Error) -> bool {
    match error {
        Error::DatasetNotFound(_) | Error::GroupNotFound(_) => true,
        Error::Context { source, .. } => is_missing(source),
        _ => false,
    }
}

fn is_about_a_filter(error: &Error) -> bool {
    match error {
        Error::UnsupportedFilter(_) => true,
        Error::Context { source, .. } => is_about_a_filter(source),
        _ => false,
    }
}

/// An element as it is in the file, of at most 8 bytes.
#[derive(Clone)]
pub(super) struct Element(pub(super) [u8; MOST_BYTES]);

impl H5Type for Element {
    fn hdf5_type() -> Datatype {
        <u64 as H5Type>::hdf5_type()
    }

    fn from_bytes(bytes: &[u8], _: &Datatype) -> ReaderResult<Self> {
        let mut element = [0; MOST_BYTES];
        let count = bytes.len().min(MOST_BYTES);
        element[..count].copy_from_slice(&bytes[..count]);
        Ok(Self(element))
    }

    fn element_size(dtype: &Datatype) -> usize {
        dtype_element_size(dtype).unwrap_or(MOST_BYTES)
    }
}

fn whole(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    (value.fract() == 0.0 && value.abs() < 9.0e15).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::hdf5::Builder;

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
        let part = file
            .numbers("allresults", Some(&[IndexPick::At(0), IndexPick::At(1), IndexPick::At(5), IndexPick::All]))
            .unwrap();
        assert_eq!(part, (110..120).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn what_we_write_comes_back_also_behind_a_user_block() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, matlab) = (folder.path().join("plain.hdf5"), folder.path().join("results.mat"));
        small().write(&plain).unwrap();
        small().write_matlab(&matlab).unwrap();
        assert!(fs_err::read(&matlab).unwrap().starts_with(b"MATLAB 7.3 MAT-file"));
        for path in [&plain, &matlab] {
            let file = File::open(path).unwrap();
            assert_eq!(file.whole_numbers("lh/visual_area").unwrap(), [0, 1, 2, 3]);
            assert_eq!(file.whole_numbers("rh/visual_area").unwrap(), [-1, 7]);
            assert_eq!(file.numbers("subjectids", None).unwrap(), [100_610.0, 102_311.0]);
            let part = file
                .numbers("allresults", Some(&[IndexPick::At(2), IndexPick::At(0), IndexPick::At(1), IndexPick::All]))
                .unwrap();
            assert_eq!(part, (250..260).map(f64::from).collect::<Vec<_>>());
        }
        let again = folder.path().join("again.mat");
        small().write_matlab(&again).unwrap();
        assert_eq!(fs_err::read(&again).unwrap(), fs_err::read(&matlab).unwrap());
    }

    #[test]
    fn errors_name_the_dataset_and_what_was_found() {
        let file = File::open(&fixture("prf_v73.mat")).unwrap();
        let missing = file.numbers("lh/visual_area", None).unwrap_err();
        assert!(missing.message.starts_with("dataset `lh/visual_area` cannot be read"), "{}", missing.message);
        let outside = file
            .numbers("allresults", Some(&[IndexPick::At(3), IndexPick::At(0), IndexPick::At(0), IndexPick::All]))
            .unwrap_err();
        assert_eq!(
            outside.message,
            "dataset `allresults` has shape [3, 2, 6, 10], which has no part [At(3), At(0), At(0), All]"
        );
        let other = File::open(&fixture("lh.white")).err().unwrap();
        assert!(other.message.starts_with("the file cannot be read as HDF5"), "{}", other.message);
    }

    #[test]
    fn types_of_numbers_are_read_as_h5py_reads_them() {
        let file = File::open(&fixture("types.hdf5")).unwrap();
        let read = |dataset: &str| file.numbers(dataset, None).unwrap();
        assert_eq!(read("half"), [0.5, -2.0, 65504.0, 2_f64.powi(-24)]);
        assert_eq!(read("half_big"), [0.5, -2.0, 65504.0, 2_f64.powi(-24)]);
        assert_eq!(read("int_big"), [1.0, -2.0, 300.0, -40_000.0]);
        assert_eq!(read("uint64"), [0.0, 1.0, 2.0, 2_f64.powi(63)]);
        // 11 bits from bit 3 on, and the bits around them set.
        assert_eq!(read("offset"), [0.0, 1.0, -1.0, 1023.0]);
        assert_eq!(read("offset_float"), [0.25, -1.5, 0.0, 3.0]);
        assert_eq!(file.whole_numbers("flags").unwrap(), [1, 0, 1, 1]);
        let failure = file.numbers("text", None).unwrap_err();
        assert!(failure.message.contains("holds texts (3 bytes each), expected numbers"), "{failure}");
        assert!(file.has("half").unwrap() && !file.has("nothing").unwrap() && !file.has("no/thing").unwrap());
    }

    #[test]
    fn a_filter_that_is_not_there_is_named() {
        let file = File::open(&fixture("lzf.hdf5")).unwrap();
        let failure = file.numbers("values", None).unwrap_err();
        assert_eq!(failure.message, "dataset `values` is packed with the filter LZF (32000), which is not read");
        assert!(failure.hint.unwrap().contains("compression=\"gzip\""));
    }

    #[test]
    fn lists_are_lists_and_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shapes.hdf5");
        let mut builder = Builder::new();
        builder.doubles("two_rows", &[2, 3], &[0.0; 6]);
        builder.doubles("row", &[1, 3], &[1.0, 2.0, 3.0]);
        builder.doubles("column", &[3, 1], &[1.0, 2.0, 3.0]);
        builder.doubles("none", &[0], &[]);
        builder.write(&path).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(file.whole_numbers("row").unwrap(), [1, 2, 3]);
        assert_eq!(file.whole_numbers("column").unwrap(), [1, 2, 3]);
        let message = |dataset: &str| file.whole_numbers(dataset).unwrap_err().message;
        assert_eq!(message("two_rows"), "dataset `two_rows` has shape [2, 3], expected a list, [number]");
        assert_eq!(message("none"), "dataset `none` has shape [0], expected at least one number");
        let types = File::open(&fixture("types.hdf5")).unwrap();
        let message = |dataset: &str| types.whole_numbers(dataset).unwrap_err().message;
        assert_eq!(message("null"), "dataset `null` has an empty dataspace, expected at least one number");
        assert_eq!(message("scalar"), "dataset `scalar` has shape [], expected a list, [number]");
        assert_eq!(types.numbers("scalar", None).unwrap(), [7.0]);
        // Stored nowhere, because all have the fill value.
        assert_eq!(types.whole_numbers("filled").unwrap(), [5; 10]);
        let message = message("huge");
        assert!(message.starts_with("dataset `huge` has shape [1500000000], expected at most"), "{message}");
    }
}
