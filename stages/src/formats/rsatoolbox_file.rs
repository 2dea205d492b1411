//! RDMs as `rsatoolbox.rdm.load_rdm` reads them (0.3): an HDF5 file of a dictionary.
//!
//! Its form, as `RDMs.save` writes and `load_rdm` reads it: the dataset `dissimilarities` (an RDM a row, its upper triangle by rows), the
//! groups `rdm_descriptors` and `pattern_descriptors` (a dataset of texts or numbers for every property of RDMs and of entries), the group
//! `descriptors` (properties of the set) and `dissimilarity_measure`. Decides that texts are of a fixed width and ASCII, because rsatoolbox
//! decodes only such ones, and that single texts are datasets, which are read as texts where attributes would be bytes. Independent of what
//! the properties are.

use std::path::Path;

use hdf5_writer::{ByteOrder, DatasetBuilder, Error, H5WriteElement, Hdf5Builder, WriteOptions};
use pipe_contract::Failure;
use polars::prelude::Column;

use super::{binary, hdf5};

/// A property of RDMs or entries, a value each.
#[derive(Clone, Debug, PartialEq)]
pub enum RdmDescriptor {
    /// Texts in ASCII.
    Texts(Vec<String>),
    /// Numbers; missing ones are NaN.
    Numbers(Vec<f64>),
    /// Whole numbers.
    WholeNumbers(Vec<i64>),
}

/// What a file holds.
#[derive(Clone, Debug)]
pub struct RsatoolboxRdms {
    /// Upper triangles by rows, one RDM after the other.
    pub dissimilarities: Vec<f64>,
    /// How many RDMs.
    pub count: usize,
    /// What the numbers are.
    pub measure: String,
    /// Properties of the set; one at least, as of RDMs and of entries, because a group without any is not written and rsatoolbox needs it.
    pub about: Vec<(String, String)>,
    /// Properties of the RDMs.
    pub rdms: Vec<(String, RdmDescriptor)>,
    /// Properties of the entries.
    pub patterns: Vec<(String, RdmDescriptor)>,
}

/// Whether a name can be that of a property: of an HDF5 object, and not one that rsatoolbox counts up itself.
pub fn can_be_descriptor(name: &str) -> bool {
    !name.is_empty() && name.is_ascii() && !name.contains(['/', '\0']) && !matches!(name, "." | ".." | COUNTED)
}

/// The group of properties of RDMs.
pub const RDM_DESCRIPTORS: &str = "rdm_descriptors";
/// The group of properties of entries.
pub const PATTERN_DESCRIPTORS: &str = "pattern_descriptors";
/// What rsatoolbox counts up itself.
const COUNTED: &str = "index";

/// Properties with their names, and the names of those that are not lists.
pub type Descriptors = (Vec<(String, RdmDescriptor)>, Vec<String>);

/// The properties in one of the two groups of a file, sorted by name; none if there is no such group.
///
/// # Errors
/// Input: the file is damaged, or a list holds neither texts nor numbers.
pub fn descriptors(file: &hdf5::File, group: &str) -> Result<Descriptors, Failure> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for name in file.members(group)?.into_iter().filter(|name| name != COUNTED) {
        let path = format!("{group}/{name}");
        match file.shape(&path)?.len() {
            1 => found.push((name, RdmDescriptor::read(file, &path)?)),
            _ => others.push(name),
        }
    }
    Ok((found, others))
}

/// Whether rsatoolbox can decode texts.
pub fn can_be_decoded(texts: &[String]) -> bool {
    texts.iter().all(|text| text.is_ascii() && !text.contains('\0'))
}

impl RsatoolboxRdms {
    /// Writes the file.
    ///
    /// # Errors
    /// Environment: it cannot be written. Internal: numbers and shapes do not fit, or a text or a name is none that rsatoolbox reads.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let bytes =
            self.encoded().map_err(|error| Failure::internal(format!("could not make an HDF5 file: {error}")))?;
        binary::write(path, &bytes)
    }

    fn encoded(&self) -> Result<Vec<u8>, Error> {
        let pairs = self.dissimilarities.len() / self.count.max(1);
        let mut builder = Hdf5Builder::new()
            .dataset(numbers("dissimilarities".to_owned(), &[self.count, pairs], &self.dissimilarities)?)
            .dataset(DatasetBuilder::fixed_string_data("dissimilarity_measure", Vec::<u64>::new(), &[&self.measure])?);
        for (name, text) in &self.about {
            builder = builder.dataset(DatasetBuilder::fixed_string_data(
                format!("descriptors/{name}"),
                Vec::<u64>::new(),
                &[text],
            )?);
        }
        for (group, descriptors) in [(RDM_DESCRIPTORS, &self.rdms), (PATTERN_DESCRIPTORS, &self.patterns)] {
            for (name, descriptor) in descriptors {
                builder = builder.dataset(descriptor.dataset(format!("{group}/{name}"))?);
            }
        }
        builder.into_plan()?.encode(WriteOptions { byte_order: ByteOrder::LittleEndian, ..WriteOptions::default() })
    }
}

impl RdmDescriptor {
    fn read(file: &hdf5::File, path: &str) -> Result<Self, Failure> {
        if file.holds_texts(path)? {
            return file.texts(path).map(Self::Texts);
        }
        match file.holds_floats(path)? {
            true => file.numbers(path, None).map(Self::Numbers),
            false => file.whole_numbers(path).map(Self::WholeNumbers),
        }
    }

    /// The values as words.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Texts(texts) => texts.clone(),
            Self::Numbers(values) => values.iter().map(ToString::to_string).collect(),
            Self::WholeNumbers(values) => values.iter().map(ToString::to_string).collect(),
        }
    }

    /// The values as a column of a table, in which NaN is a missing number.
    pub fn column(self, name: &str) -> Column {
        match self {
            Self::Texts(texts) => Column::new(name.into(), texts),
            Self::Numbers(values) => {
                let values: Vec<Option<f64>> =
                    values.into_iter().map(|value| (!value.is_nan()).then_some(value)).collect();
                Column::new(name.into(), values)
            }
            Self::WholeNumbers(values) => Column::new(name.into(), values),
        }
    }

    fn dataset(&self, path: String) -> Result<DatasetBuilder, Error> {
        match self {
            Self::Texts(texts) => DatasetBuilder::fixed_string_data(path, vec![texts.len() as u64], texts),
            Self::Numbers(values) => numbers(path, &[values.len()], values),
            Self::WholeNumbers(values) => numbers(path, &[values.len()], values),
        }
    }
}

/// Numbers in the same order of bytes on every machine.
fn numbers<T: H5WriteElement>(path: String, shape: &[usize], values: &[T]) -> Result<DatasetBuilder, Error> {
    let shape: Vec<u64> = shape.iter().map(|axis| *axis as u64).collect();
    DatasetBuilder::typed_with_order::<T>(path, shape, ByteOrder::LittleEndian).data(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::hdf5;

    fn example() -> RsatoolboxRdms {
        RsatoolboxRdms {
            dissimilarities: vec![1.0, 2.0, 3.0, 4.0, 5.0, f64::NAN],
            count: 2,
            measure: "correlation".into(),
            about: vec![("entries".into(), "stimuli".into())],
            rdms: vec![
                ("id".into(), RdmDescriptor::Texts(vec!["one".into(), "three".into()])),
                ("rank".into(), RdmDescriptor::WholeNumbers(vec![1, -2])),
            ],
            patterns: vec![
                ("id".into(), RdmDescriptor::Texts(vec!["a".into(), String::new(), "c".into()])),
                ("size".into(), RdmDescriptor::Numbers(vec![0.5, f64::NAN, 2.0])),
            ],
        }
    }

    /// The texts are read by rsatoolbox itself in the golden tests.
    #[test]
    fn datasets_have_the_names_and_shapes_that_are_expected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rdms.hdf5");
        example().write(&path).unwrap();
        let file = hdf5::File::open(&path).unwrap();
        assert_eq!(file.shape("dissimilarities").unwrap(), [2, 3]);
        assert_eq!(file.numbers("dissimilarities", None).unwrap()[..5], [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(file.whole_numbers("rdm_descriptors/rank").unwrap(), [1, -2]);
        assert!(file.numbers("pattern_descriptors/size", None).unwrap()[1].is_nan());
        for text in ["rdm_descriptors/id", "pattern_descriptors/id", "descriptors/entries", "dissimilarity_measure"] {
            assert!(file.has(text).unwrap(), "{text}");
        }
        let bytes = fs_err::read(&path).unwrap();
        assert!(bytes.windows(10).any(|part| part == b"one\0\0three"), "texts of one width");
        example().write(&path).unwrap();
        assert!(fs_err::read(&path).unwrap() == bytes, "the same bytes each time");
    }

    #[test]
    fn properties_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rdms.hdf5");
        example().write(&path).unwrap();
        let file = hdf5::File::open(&path).unwrap();
        assert_eq!(descriptors(&file, RDM_DESCRIPTORS).unwrap(), (example().rdms, Vec::new()));
        let (patterns, others) = descriptors(&file, PATTERN_DESCRIPTORS).unwrap();
        assert_eq!((patterns[0].1.words(), others.len()), (vec!["a".to_owned(), String::new(), "c".to_owned()], 0));
        let sizes = patterns[1].1.clone().column("size");
        assert_eq!((sizes.len(), sizes.null_count()), (3, 1));
        assert!(descriptors(&file, "none").unwrap().0.is_empty());
    }

    #[test]
    fn names_and_texts_that_rsatoolbox_cannot_read_are_known() {
        for (name, can) in [("id", true), ("index", false), ("a/b", false), ("", false), ("größe", false), (".", false)]
        {
            assert_eq!(can_be_descriptor(name), can, "{name}");
        }
        assert!(can_be_decoded(&["a b".into()]) && !can_be_decoded(&["ü".into()]));
        let mut wrong = example();
        wrong.dissimilarities.pop();
        assert!(wrong.write(Path::new("/nonexistent")).unwrap_err().message.contains("could not make an HDF5 file"));
    }
}
