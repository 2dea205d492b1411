//! `rdm/import`: RDMs that others made, with names for them and for their entries.
//!
//! A file holds one RDM or many: an array of structures with a field for the RDM and one for its name (as MATLAB's RSA toolbox writes
//! them), stacks of squares, upper triangles. Names come from the file, from tables, or are counted from 1, with as many digits as the
//! last, so that they sort as they count. Other properties in a file of rsatoolbox become columns. Names such as `hIT | BE | Session: 1` can be divided into columns. Decides how RDMs and names are
//! joined: by name where both have names, else in order, which then must be equally many.

use pipe_contract::{
    Arity, Column as Described, ColumnMeaning, Context, Ended, Failure, Kind, StageKind, Task, parameters,
};
use polars::prelude::{Column, DataFrame};

use super::file_properties::FileProperties;
use super::rdm_forms::{RawRdm, RdmForm};
use super::rdm_source::{RdmSource, WantedRdms};
use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::{ID, MatrixAxis};
use crate::formats::rdm_set::{DISSIMILARITY, RdmAbout, RdmSet};

/// The kind.
pub(super) struct RdmImport;

parameters! {
    struct Parameters {
        /// the variable of a MATLAB file, the array of an NPZ file or the dataset of an HDF5 file; empty if it has only one
        variable: String = String::new();
        /// the field of MATLAB's structures that holds the RDM
        field: String = "RDM".to_owned();
        /// the field of MATLAB's structures that holds the name of the RDM; RDMs are numbered where there is no such field
        name_field: String = "name".to_owned();
        /// whether numbers are squares or upper triangles by rows
        form: RdmForm = RdmForm::Auto;
        /// rsatoolbox's descriptor of patterns that is the id of entries, such as `conds`; entries are numbered where there is no `id`
        entry_descriptor: String = ID.to_owned();
        /// rsatoolbox's descriptor of RDMs that is their id; RDMs are numbered where there is no `id`
        rdm_descriptor: String = ID.to_owned();
        /// the column of a CSV or Parquet file that holds the names of its rows; all others are numbers; empty if there is none
        id_column: String = String::new();
        /// the column of the table `entries` that holds their ids
        entry_ids: String = ID.to_owned();
        /// the column of the table `index` that holds the ids of the RDMs
        rdm_ids: String = ID.to_owned();
        /// columns that the names of RDMs are divided into, such as `[region, subject, session]`; none to leave names as they are
        name_parts: Vec<String> = Vec::new();
        /// what lies between the parts of a name; blanks around it are dropped
        separator: String = "|".to_owned();
        /// the dissimilarity that the numbers are, in words; empty if it is not known
        dissimilarity: String = String::new();
        /// the unit of the numbers; empty if they have none
        unit: String = String::new();
        /// what the entries are, in the plural
        entries_are: String = "stimuli".to_owned();
        /// 1 for dissimilarities of patterns, 2 for dissimilarities of RDMs, and so on
        order: u32 = 1, in 1..=9;
    }
}

/// A file of others does not say what its columns mean.
fn of_tables() -> ColumnMeaning {
    ColumnMeaning {
        about: "a column of the table that was given, or a part of the name".to_owned(),
        ..ColumnMeaning::default()
    }
}

const INDEX: &[Described] = &[
    Described::new("id", "the RDM"),
    Described::new("dissimilarity", "what the numbers are, in words; only where it was said"),
];

const ENTRIES: &[Described] = &[Described::new("id", "the entry: what a row and a column of every RDM stand for")];

impl StageKind for RdmImport {
    fn kind(&self) -> Kind {
        Kind::new(
            "rdm/import",
            1,
            "RDMs of a file (MATLAB 5, NPY, NPZ, HDF5, CSV, Parquet) with names for them and their entries",
        )
        .input("file", &[], "squares or upper triangles; what the file is, its first bytes say")
        .port(
            "entries",
            &["table"],
            Arity::One,
            true,
            "a row an entry, in the order of the RDMs if the file has no names",
        )
        .port("index", &["table"], Arity::One, true, "a row an RDM, in the order of the file if it has no names")
        .folder("rdms", "rdms", "the RDMs, with their index and their entries")
        .described(&["index.parquet"], INDEX)
        .others(|_, _, _| of_tables())
        .described(&["entries.parquet"], ENTRIES)
        .others(|_, _, _| of_tables())
        .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let path = task.one("file")?;
        let at = |failure: Failure| match failure.place {
            None => failure.at(path.display().to_string()),
            Some(_) => failure,
        };
        let (set, mut notes) = import(task, &parameters).map_err(at)?;
        context.log(&format!("{} RDMs of {} {}", set.len(), set.entries().len(), set.about().entries));
        let undefined: usize =
            (0..set.len()).map(|rdm| set.triangle(rdm).iter().filter(|number| number.is_nan()).count()).sum();
        set.write(task.output("rdms")?)?;
        if undefined > 0 {
            notes.push(format!("{undefined} pairs of all RDMs have no number (NaN)"));
        }
        Ok(Ended::noted(notes))
    }
}

/// The set, and notes about what is left out of it.
fn import(task: &Task, parameters: &Parameters) -> Result<(RdmSet, Vec<String>), Failure> {
    let wanted = WantedRdms {
        variable: &parameters.variable,
        field: &parameters.field,
        name_field: &parameters.name_field,
        id_column: &parameters.id_column,
        form: parameters.form,
        rdm_descriptor: &parameters.rdm_descriptor,
        entry_descriptor: &parameters.entry_descriptor,
    };
    let source = RdmSource::read(task.one("file")?, &wanted)?;
    let (rdms, names) = all_rdms(&source, parameters.form)?;
    let size = rdms[0].size;
    let (of_rdms, of_entries) = (&source.of_rdms, &source.of_entries);
    of_rdms.check(rdms.len(), "RDMs")?;
    of_entries.check(size, "entries")?;
    let of_file = source.entry_names.as_deref();
    let entries = Names { port: "entries", ids: &parameters.entry_ids, of_file, more: of_entries };
    let entries = MatrixAxis::new(entries.table(task, size)?)?;
    let index = Names { port: "index", ids: &parameters.rdm_ids, of_file: names.as_deref(), more: of_rdms };
    let index = MatrixAxis::new(with_columns(index.table(task, rdms.len())?, parameters)?).map_err(|failure| {
        failure.hint("RDMs need names of their own: number them with `name_field: none`, or give a table `index`")
    })?;
    let about = RdmAbout {
        order: parameters.order,
        unit: parameters.unit.clone(),
        ..RdmAbout::of(parameters.entries_are.clone())
    };
    let about = about.then(format!("imported from {}", source.what));
    let diagonals = rdms.iter().flat_map(|rdm| rdm.diagonal.iter().copied()).collect();
    let triangles = rdms.iter().flat_map(|rdm| rdm.triangle.iter().copied()).collect();
    let left_out: Vec<String> = [of_rdms, of_entries].into_iter().flat_map(|of| of.left_out.clone()).collect();
    let note = format!("properties that cannot be columns are left out: {}", left_out.join(", "));
    let notes = if left_out.is_empty() { Vec::new() } else { vec![note] };
    Ok((RdmSet::new(index, entries, triangles, Some(diagonals), about)?, notes))
}

/// All RDMs of a file with their names, if it has names.
fn all_rdms(source: &RdmSource, form: RdmForm) -> Result<(Vec<RawRdm>, Option<Vec<String>>), Failure> {
    let (mut rdms, mut names): (Vec<RawRdm>, Vec<String>) = (Vec::new(), Vec::new());
    for (at, array) in source.arrays.iter().enumerate() {
        let more = array.rdms(form)?;
        // The rows of one table have a name each, else an array has one name.
        let own = source.rdm_names.as_deref().unwrap_or_default();
        let several = source.arrays.len() == 1 && own.len() == more.len();
        for number in 0..more.len() {
            let name = if several { own.get(number) } else { own.get(at) };
            names.extend(name.map(|name| match more.len() {
                _ if several => name.clone(),
                1 => name.clone(),
                _ => format!("{name} {}", number + 1),
            }));
        }
        rdms.extend(more);
    }
    let Some(first) = rdms.first() else { return Err(Failure::input("the file has no RDM, expected at least one")) };
    if let Some(other) = rdms.iter().position(|rdm| rdm.size != first.size) {
        return Err(Failure::input(format!(
            "RDM {} has {} entries, but the first has {}: RDMs of a set have the same entries",
            other + 1,
            rdms[other].size,
            first.size
        )));
    }
    if let Some(bad) =
        rdms.iter().position(|rdm| rdm.triangle.iter().chain(&rdm.diagonal).any(|number| number.is_infinite()))
    {
        return Err(Failure::input(format!("RDM {} has an infinite number; a pair that is undefined is NaN", bad + 1)));
    }
    let names = (names.len() == rdms.len()).then_some(names);
    Ok((rdms, names))
}

/// Where the names of an axis come from.
struct Names<'a> {
    /// The port of a table.
    port: &'a str,
    /// The column of that table.
    ids: &'a str,
    of_file: Option<&'a [String]>,
    /// What else the file says of them.
    more: &'a FileProperties,
}

impl Names<'_> {
    fn table(&self, task: &Task, length: usize) -> Result<DataFrame, Failure> {
        let Self { port, ids, of_file, more } = *self;
        if let Some(names) = of_file.filter(|names| names.len() != length) {
            return Err(Failure::input(format!(
                "the file has {} names for `{port}`, but its numbers are of {length}",
                names.len()
            ))
            .hint("`form` says whether the numbers are squares or triangles"));
        }
        let Some(folder) = task.maybe(port) else {
            if ids != ID {
                return Err(Failure::input(format!(
                    "the ids are to come from a column `{ids}`, but there is no table `{port}`"
                )));
            }
            let digits = length.to_string().len();
            let counted = || (1..=length).map(|at| format!("{at:0digits$}")).collect();
            let table = DataTable::new().text(ID, of_file.map_or_else(counted, <[String]>::to_vec)).build()?;
            return with_properties(table, more);
        };
        let at = |failure: Failure| failure.at(folder.display().to_string());
        let table = with_ids(data_table::read(folder)?, ids).map_err(at)?;
        let Some(names) = of_file else {
            if !more.columns.is_empty() {
                let message = format!("the file has no `{ID}` for `{port}`, but other properties: {}", more.names());
                return Err(at(Failure::input(message)
                    .hint("`entry_descriptor` and `rdm_descriptor` name the one that the table is joined by")));
            }
            if table.height() == length {
                return Ok(table);
            }
            let message = format!("the file has {length} of what the table `{port}` has {} rows of", table.height());
            return Err(at(
                Failure::input(message).hint("they are counted off in order, so there must be equally many")
            ));
        };
        let axis = MatrixAxis::new(table).map_err(at)?;
        let what = format!("names of the file, joined to the column `{ids}` of `{port}`,");
        let places = axis.positions_of(names, &what).map_err(at)?;
        with_properties(data_table::rows(axis.table(), &places)?, more)
    }
}

/// A table with the properties that a file has besides; what the table has already stays.
fn with_properties(mut table: DataFrame, more: &FileProperties) -> Result<DataFrame, Failure> {
    for column in &more.columns {
        if table.column(column.name().as_str()).is_err() {
            table.with_column(column.clone()).map_err(|error| Failure::internal(error.to_string()))?;
        }
    }
    Ok(table)
}

/// A table with its column of ids called `id`, and first.
fn with_ids(table: DataFrame, ids: &str) -> Result<DataFrame, Failure> {
    let words = data_table::words(&table, ids)?;
    if ids != ID && table.column(ID).is_ok() {
        return Err(Failure::input(format!("the ids are those of `{ids}`, but there is another column `{ID}`")));
    }
    let mut columns = vec![Column::new(ID.into(), words)];
    columns.extend(table.columns().iter().filter(|column| column.name() != ids).cloned());
    DataFrame::new_infer_height(columns).map_err(|error| Failure::internal(error.to_string()))
}

/// The index with the parts of its names, and with what the numbers are.
fn with_columns(mut index: DataFrame, parameters: &Parameters) -> Result<DataFrame, Failure> {
    let names = data_table::texts(&index, ID)?;
    let count = parameters.name_parts.len();
    let parts: Vec<Vec<&str>> = if count == 0 {
        Vec::new()
    } else {
        if parameters.separator.is_empty() {
            return Err(Failure::input("`separator` is empty, expected what lies between the parts of a name"));
        }
        names.iter().map(|name| name.split(&parameters.separator).map(str::trim).collect()).collect()
    };
    if let Some(at) = parts.iter().position(|parts| parts.len() != count) {
        let message = format!("the name `{}` has {} parts, but `name_parts` has {count}", names[at], parts[at].len());
        return Err(Failure::input(message).hint("`separator` says what lies between them"));
    }
    let mut added: Vec<(&str, Vec<&str>)> = Vec::new();
    for (at, name) in parameters.name_parts.iter().enumerate() {
        added.push((name.as_str(), parts.iter().map(|parts| parts[at]).collect()));
    }
    if !parameters.dissimilarity.is_empty() {
        added.push((DISSIMILARITY, vec![parameters.dissimilarity.as_str(); names.len()]));
    }
    for (name, values) in added {
        if index.column(name).is_ok() {
            return Err(Failure::input(format!("the index has a column `{name}` already, expected each name once")));
        }
        index.with_column(Column::new(name.into(), values)).map_err(|error| Failure::internal(error.to_string()))?;
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::hdf5;
    use crate::formats::npy_file::{FloatType, NpyWriter};
    use crate::formats::rsatoolbox_file::{RdmDescriptor, RsatoolboxRdms};
    use crate::test_support::tasks;

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    fn import(file: &Path, folder: &Path, with: &[(&str, Value)]) -> Result<RdmSet, Failure> {
        let mut task = tasks::task(&RdmImport, folder);
        tasks::give(&mut task, "file", file);
        for port in ["entries", "index"] {
            if folder.join(format!("given_{port}")).exists() {
                tasks::give(&mut task, port, &folder.join(format!("given_{port}")));
            }
        }
        with.iter().for_each(|(name, value)| tasks::set(&mut task, name, value.clone()));
        tasks::run(&RdmImport, &task)?;
        RdmSet::read(task.output("rdms")?)
    }

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rsa").join(name)
    }

    #[test]
    fn structures_of_matlab_have_names() {
        let folder = tempfile::tempdir().unwrap();
        let set = import(&fixture("packed.mat"), folder.path(), &[("variable", text("RDMs")), ("unit", text("1 - r"))])
            .unwrap();
        assert_eq!(set.index().ids(), ["one", "zwei ü"]);
        assert_eq!(set.entries().ids(), ["1", "2", "3"]);
        assert_eq!((set.triangle(0), set.triangle(1)), ([1.0, 4.0, 2.0].as_slice(), [0.5, 2.0, 1.0].as_slice()));
        assert_eq!((set.about().unit.as_str(), set.about().order), ("1 - r", 1));
        assert_eq!(set.about().history, ["imported from MATLAB 5, variable `RDMs`"]);
        let numbered =
            [("variable", text("RDMs")), ("name_field", text("none")), ("dissimilarity", text("correlation"))];
        let set = import(&fixture("plain.mat"), folder.path(), &numbered).unwrap();
        assert_eq!(set.index().ids(), ["1", "2"]);
        assert_eq!(data_table::texts(set.index().table(), DISSIMILARITY).unwrap(), ["correlation"; 2]);
        let wrong = [("variable", text("RDMs")), ("field", text("rdm"))];
        let failure = import(&fixture("plain.mat"), folder.path(), &wrong).unwrap_err();
        assert!(failure.message.contains("no field `rdm`") && failure.place.unwrap().ends_with("plain.mat"));
    }

    #[test]
    fn names_are_divided_into_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs_err::write(&path, "rdm,a,b,c\nIT | BE | 1,1,2,3\nIT | KO | 2,4,5,nan\n").unwrap();
        let parts = |names: &[&str]| Value::List(names.iter().map(|name| text(name)).collect());
        let with = [("id_column", text("rdm")), ("name_parts", parts(&["region", "subject", "session"]))];
        let set = import(&path, folder.path(), &with).unwrap();
        assert_eq!(data_table::texts(set.index().table(), "subject").unwrap(), ["BE", "KO"]);
        assert!(set.triangle(1)[2].is_nan() && set.triangle(1)[1] == 5.0);
        let wrong = [("id_column", text("rdm")), ("name_parts", parts(&["region"]))];
        let failure = import(&path, folder.path(), &wrong).unwrap_err();
        assert_eq!(failure.message, "the name `IT | BE | 1` has 3 parts, but `name_parts` has 1");
    }

    #[test]
    fn squares_of_a_table_name_their_entries_and_tables_are_joined_by_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs_err::write(&path, "id,x,y,z\nx,0,1,2\ny,1,0,3\nz,2,3,0\n").unwrap();
        let mut table =
            DataTable::new().text("id", ["z", "w", "y", "x"]).text("colour", ["c", "?", "b", "a"]).build().unwrap();
        data_table::write(&folder.path().join("given_entries"), &mut table).unwrap();
        let set = import(&path, folder.path(), &[("id_column", text("id"))]).unwrap();
        assert_eq!((set.len(), set.entries().ids()), (1, ["x", "y", "z"].map(String::from).as_slice()));
        assert_eq!(data_table::texts(set.entries().table(), "colour").unwrap(), ["a", "b", "c"]);
        fs_err::write(&path, "id,x,y\nx,0,1\nz,1,0\n").unwrap();
        let failure = import(&path, folder.path(), &[("id_column", text("id"))]).unwrap_err();
        assert!(failure.message.starts_with("a row is called `z` where the column is called `y`"), "{failure}");
        fs_err::write(&path, "id,x,v\nx,0,1\nv,1,0\n").unwrap();
        let failure = import(&path, folder.path(), &[("id_column", text("id"))]).unwrap_err();
        assert!(failure.message.contains("are not there: `v`"), "{failure}");
    }

    #[test]
    fn stacks_of_numpy_are_counted_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack.npy");
        let numbers: Vec<f64> = (0..10).map(f64::from).collect();
        NpyWriter::create(&path, &[1, 10], false, FloatType::F64).unwrap().write_at(0, &numbers).unwrap();
        let mut table = DataTable::new().text("who", ["s1"]).integers("age", [30]).build().unwrap();
        data_table::write(&folder.path().join("given_index"), &mut table).unwrap();
        let set = import(&path, folder.path(), &[("rdm_ids", text("who"))]).unwrap();
        assert_eq!((set.index().ids(), set.entries().len()), (["s1".to_owned()].as_slice(), 5));
        assert_eq!(data_table::integers(set.index().table(), "age").unwrap(), [30]);
        assert_eq!(set.triangle(0), numbers);
        NpyWriter::create(&path, &[2, 3], false, FloatType::F64).unwrap().write_at(0, &numbers[..6]).unwrap();
        let failure = import(&path, folder.path(), &[("rdm_ids", text("who"))]).unwrap_err();
        assert!(failure.message.starts_with("the file has 2 of what the table `index` has 1 rows"), "{failure}");
        let failure = import(&path, folder.path(), &[("variable", text("x"))]).unwrap_err();
        assert_eq!(failure.message, "`variable: x` is not for NPY files");
    }

    #[test]
    fn files_of_rsatoolbox_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rdms.hdf5");
        let rdms = RsatoolboxRdms {
            dissimilarities: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            count: 2,
            measure: "euclidean".into(),
            about: Vec::new(),
            rdms: Vec::new(),
            patterns: Vec::new(),
        };
        rdms.write(&path).unwrap();
        let set = import(&path, folder.path(), &[]).unwrap();
        assert_eq!((set.len(), set.triangle(1)), (2, [4.0, 5.0, 6.0].as_slice()));
        assert_eq!(set.about().history, ["imported from HDF5, dataset `dissimilarities`"]);
    }

    /// A table in another order is joined by the ids of the file, which rsatoolbox sorts as texts.
    #[test]
    fn names_in_files_of_rsatoolbox_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rdms.hdf5");
        let words = |words: &[&str]| RdmDescriptor::Texts(words.iter().map(|word| (*word).to_owned()).collect());
        let rdms = RsatoolboxRdms {
            dissimilarities: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            count: 2,
            measure: "euclidean".into(),
            about: Vec::new(),
            rdms: vec![("id".into(), words(&["it", "v1"])), ("rank".into(), RdmDescriptor::WholeNumbers(vec![5, 1]))],
            patterns: vec![("conds".into(), words(&["s1", "s10", "s2"])), ("id".into(), words(&["x", "z", "y"]))],
        };
        rdms.write(&path).unwrap();
        let set = import(&path, folder.path(), &[]).unwrap();
        assert_eq!(set.index().ids(), ["it", "v1"]);
        assert_eq!(data_table::integers(set.index().table(), "rank").unwrap(), [5, 1]);
        assert_eq!(set.entries().ids(), ["x", "z", "y"]);
        assert_eq!(data_table::texts(set.entries().table(), "conds").unwrap(), ["s1", "s10", "s2"]);
        let mut table =
            DataTable::new().text("id", ["s1", "s2", "s10"]).text("colour", ["a", "b", "c"]).build().unwrap();
        data_table::write(&folder.path().join("given_entries"), &mut table).unwrap();
        let set = import(&path, folder.path(), &[("entry_descriptor", text("conds"))]).unwrap();
        assert_eq!(set.entries().ids(), ["s1", "s10", "s2"]);
        assert_eq!(data_table::texts(set.entries().table(), "colour").unwrap(), ["a", "c", "b"]);
        let failure = import(&path, folder.path(), &[("entry_descriptor", text("cond"))]).unwrap_err();
        assert_eq!(failure.message, "the file has no list `cond` in `pattern_descriptors`");
        let without = RsatoolboxRdms { patterns: vec![("conds".into(), words(&["s1", "s10", "s2"]))], ..rdms.clone() };
        without.write(&path).unwrap();
        let failure = import(&path, folder.path(), &[]).unwrap_err();
        assert!(failure.message.contains("no `id` for `entries`, but other properties: `conds`"), "{failure}");
        let few = RsatoolboxRdms { rdms: vec![("id".into(), words(&["it"]))], ..rdms };
        few.write(&path).unwrap();
        let failure = import(&path, folder.path(), &[]).unwrap_err();
        assert!(failure.message.starts_with("the property `id` of RDMs has 1 values"), "{failure}");
    }

    /// Three RDMs of three entries look like a square; their columns are pairs.
    #[test]
    fn triangles_have_no_names_of_entries() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs_err::write(&path, "who,p12,p13,p23\na,1,2,3\nb,4,5,6\nc,7,8,9\n").unwrap();
        let with = [("id_column", text("who")), ("form", text("triangles"))];
        let set = import(&path, folder.path(), &with).unwrap();
        assert_eq!(
            (set.index().ids(), set.entries().ids()),
            (["a", "b", "c"].map(String::from).as_slice(), ["1", "2", "3"].map(String::from).as_slice())
        );
        assert_eq!(set.triangle(2), [7.0, 8.0, 9.0]);
        fs_err::write(&path, "p12,p13,p23\n1,2,3\n4,5,6\n7,8,9\n").unwrap();
        let set = import(&path, folder.path(), &with[1..]).unwrap();
        assert_eq!((set.len(), set.entries().ids()[0].as_str()), (3, "1"));
    }

    /// MATLAB's 3 x 6 (three RDMs of four entries) is 6 x 3 in HDF5.
    #[test]
    fn matrices_of_matlab_7_are_turned_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rdms.mat");
        let mut builder = hdf5::Builder::new();
        let by_column: Vec<f64> = (0..18).map(f64::from).collect();
        builder.doubles("RDMs", &[6, 3], &by_column);
        builder.write_matlab(&path).unwrap();
        let set = import(&path, folder.path(), &[]).unwrap();
        assert_eq!((set.len(), set.entries().len()), (3, 4));
        assert_eq!(set.triangle(1), [1.0, 4.0, 7.0, 10.0, 13.0, 16.0]);
    }

    #[test]
    #[ignore = "reads the real data, which is not part of the project"]
    fn human_it_of_the_92_images() {
        let folder = tempfile::tempdir().unwrap();
        let parts = ["region", "subject", "session"].map(text).to_vec();
        let with = [("name_parts", Value::List(parts))];
        let set = import(&tasks::data("").join("92_brainRDMs.mat"), folder.path(), &with).unwrap();
        assert_eq!((set.len(), set.entries().ids()[91].as_str()), (8, "92"));
        let subjects = data_table::texts(set.index().table(), "subject").unwrap();
        assert_eq!(subjects, ["BE", "KO", "SN", "TI", "BE", "KO", "SN", "TI"]);
    }
}
