//! `rdm/rsatoolbox`: RDMs as a file that rsatoolbox opens.
//!
//! Decides which columns of the index and of the entries become descriptors: all that rsatoolbox can read, by their names; the others are
//! left out and named. Ids must be among them, because they are what RDMs and entries are joined by.

use pipe_contract::{Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};
use polars::prelude::{DataFrame, DataType};

use crate::formats::data_table;
use crate::formats::matrix::ID;
use crate::formats::rdm_set::{DISSIMILARITY, RdmSet};
use crate::formats::rsatoolbox_file::{RdmDescriptor, RsatoolboxRdms, can_be_decoded, can_be_descriptor};

/// The kind.
pub(super) struct RsatoolboxExport;

parameters! {
    struct Parameters {
        /// what the numbers are, as rsatoolbox is to show it; empty for the dissimilarity that the index has, if it has one for all
        measure: String = String::new();
    }
}

/// What rsatoolbox shows where nothing is known.
const UNKNOWN: &str = "unknown";

impl StageKind for RsatoolboxExport {
    fn kind(&self) -> Kind {
        Kind::new(
            "rdm/rsatoolbox",
            1,
            "RDMs as an HDF5 file that `rsatoolbox.rdm.load_rdm(path, file_type='hdf5')` opens",
        )
        .input("rdms", &["rdms"], "the RDMs; numbers are written as they are, also where rsatoolbox would square them")
        .file("file", "file", "HDF5: dissimilarities, descriptors of RDMs (the index) and of patterns (the entries)")
        .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let path = task.one("rdms")?;
        let set = RdmSet::read(path)?;
        let at = |failure: Failure| failure.at(path.display().to_string());
        let mut notes = Vec::new();
        let about = set.about();
        let measure = if parameters.measure.is_empty() { measure_of(&set) } else { parameters.measure };
        let of = |text: &str| if can_be_decoded(&[text.to_owned()]) { text.to_owned() } else { UNKNOWN.to_owned() };
        let rdms = RsatoolboxRdms {
            dissimilarities: (0..set.len()).flat_map(|rdm| set.triangle(rdm).iter().copied()).collect(),
            count: set.len(),
            measure: of(&measure),
            about: [("entries", &about.entries), ("unit", &about.unit), ("order", &about.order.to_string())]
                .map(|(name, text)| (name.to_owned(), of(text)))
                .to_vec(),
            rdms: descriptors(set.index().table(), "the index", &mut notes).map_err(at)?,
            patterns: descriptors(set.entries().table(), "the entries", &mut notes).map_err(at)?,
        };
        rdms.write(task.output("file")?)?;
        if set.diagonal(0).is_some() {
            notes.push(format!(
                "{IMPORTANT}some diagonal numbers are not 0; the file has none, rsatoolbox takes them for 0"
            ));
        }
        Ok(Ended::noted(notes))
    }
}

/// The dissimilarity of all RDMs, if it is one.
fn measure_of(set: &RdmSet) -> String {
    let words = data_table::words(set.index().table(), DISSIMILARITY).unwrap_or_default();
    match words.first() {
        Some(first) if words.iter().all(|word| word == first) => first.clone(),
        _ => UNKNOWN.to_owned(),
    }
}

/// The columns that rsatoolbox can read; the others are noted.
fn descriptors(table: &DataFrame, of: &str, notes: &mut Vec<String>) -> Result<Vec<(String, RdmDescriptor)>, Failure> {
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for column in table.columns() {
        let name = column.name().as_str();
        match descriptor(table, name, column.dtype()) {
            Some(descriptor) if can_be_descriptor(name) => found.push((name.to_owned(), descriptor)),
            _ if name == ID => {
                return Err(Failure::input(format!(
                    "ids of {of} have letters outside of ASCII, which rsatoolbox does not read"
                ))
                .hint("name RDMs and entries in plain letters"));
            }
            _ => left_out.push(format!("`{name}`")),
        }
    }
    if !left_out.is_empty() {
        let names = left_out.join(", ");
        notes.push(format!("columns of {of} that rsatoolbox cannot read are left out: {names}"));
    }
    Ok(found)
}

/// A column as a descriptor; `None` for texts outside of ASCII, texts that are missing, and types without a counterpart.
fn descriptor(table: &DataFrame, name: &str, of: &DataType) -> Option<RdmDescriptor> {
    match of {
        DataType::String => {
            data_table::texts(table, name).ok().filter(|texts| can_be_decoded(texts)).map(RdmDescriptor::Texts)
        }
        DataType::Boolean => {
            let flags = data_table::flags(table, name).ok()?;
            Some(RdmDescriptor::WholeNumbers(flags.into_iter().map(i64::from).collect()))
        }
        DataType::Int64 => data_table::integers(table, name).ok().map(RdmDescriptor::WholeNumbers),
        DataType::Float64 => {
            let numbers = data_table::maybe_numbers(table, name).ok()?;
            Some(RdmDescriptor::Numbers(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::formats::hdf5;
    use crate::formats::matrix::MatrixAxis;
    use crate::formats::rdm_set::RdmAbout;
    use crate::test_support::tasks;

    fn export(set: &RdmSet, folder: &std::path::Path) -> Result<(hdf5::File, Vec<String>), Failure> {
        set.write(&folder.join("given"))?;
        let mut task = tasks::task(&RsatoolboxExport, folder);
        tasks::give(&mut task, "rdms", &folder.join("given"));
        let notes = tasks::run(&RsatoolboxExport, &task)?;
        Ok((hdf5::File::open(task.output("file")?)?, notes))
    }

    fn example(id: &str, diagonals: Option<Vec<f64>>) -> RdmSet {
        let index = DataTable::new().text("id", [id]).text(DISSIMILARITY, ["cosine"]).integers("rank", [3]);
        let entries = DataTable::new()
            .text("id", ["a", "b", "c"])
            .text("name", ["ä", "b", "c"])
            .optional_numbers("size", [Some(1.0), None, Some(2.0)])
            .integers("index", [4, 5, 6])
            .flags("shared", [true, false, true]);
        let axis = |table: DataTable| MatrixAxis::new(table.build().unwrap()).unwrap();
        RdmSet::new(axis(index), axis(entries), vec![1.0, 2.0, 3.0], diagonals, RdmAbout::of("stimuli")).unwrap()
    }

    #[test]
    fn columns_become_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let export = |set: &RdmSet| export(set, folder.path());
        let (file, notes) = export(&example("one", None)).unwrap();
        assert_eq!(file.numbers("dissimilarities", None).unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(file.whole_numbers("rdm_descriptors/rank").unwrap(), [3]);
        assert_eq!(file.whole_numbers("pattern_descriptors/shared").unwrap(), [1, 0, 1]);
        assert!(file.numbers("pattern_descriptors/size", None).unwrap()[1].is_nan());
        assert!(!file.has("pattern_descriptors/name").unwrap() && !file.has("pattern_descriptors/index").unwrap());
        assert_eq!(notes, ["columns of the entries that rsatoolbox cannot read are left out: `name`, `index`"]);
        let (_, notes) = export(&example("one", Some(vec![0.0, 1.0, 0.0]))).unwrap();
        assert!(notes[1].starts_with(IMPORTANT), "{notes:?}");
        assert!(export(&example("größe", None)).err().unwrap().message.contains("outside of ASCII"));
    }
}
