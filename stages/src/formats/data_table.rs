//! Tables as artifacts: a folder with `table.csv` for readers and `table.parquet` for programs, the same rows in both.
//!
//! Decides how a table becomes bytes, so that equal tables are equal files on every machine: Parquet without
//! compression and without statistics, in one row group, written by one thread; CSV with `\n` line ends, floats in the shortest
//! form that reads back as the same number, an empty text as `""` and a missing value as nothing at all.
//! Programs read the Parquet file, because CSV has no types (`010512` would become a number).
//! The only names of columns in it are those of a split.

use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fs_err::{self as fs, File};
use pipe_contract::{Column as Described, Failure};
use polars::prelude::{
    Column, CsvWriter, DataFrame, DataType, IdxCa, ParallelStrategy, ParquetCompression, ParquetReader, ParquetWriter,
    PolarsError, SerReader, SerWriter, StatisticsOptions,
};

use crate::numeric::counts::subjects;

/// The file for readers.
pub const CSV: &str = "table.csv";

/// The file for programs.
pub const PARQUET: &str = "table.parquet";

/// Both.
pub const FILES: &[&str] = &[CSV, PARQUET];

/// A table under construction: named, typed columns of one length, in the order in which they were added.
///
/// ```
/// # use pipe_stages::formats::data_table::DataTable;
/// let frame = DataTable::new().text("sid", ["s01", "s02"]).numbers("dice", [0.5, 0.75]).build()?;
/// assert_eq!(frame.height(), 2);
/// # Ok::<(), pipe_contract::Failure>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct DataTable {
    columns: Vec<Column>,
    described: Option<&'static [Described]>,
}

/// The column that [`DataTable::stamped`] adds.
pub const STAMP: Described =
    Described::new("simulated", "true: subjects and data are simulated; tables of real data have no such column")
        .levels(&[("true", "simulated")]);

/// The columns of a split.
pub const SPLIT_COLUMNS: &[Described] = &[
    Described::new("sid", "the subject"),
    Described::new("partition", "what the subject is used for").levels(&[
        ("trn", "training, of two parts as in the paper"),
        ("val", "held out, of two parts: chooses which weights are kept, and is scored"),
        ("train", "training, of three parts"),
        ("choose", "chooses which weights are kept, of three parts"),
        ("test", "scored and used for nothing else, of three parts"),
    ]),
];

/// The columns of a table of families.
pub const FAMILY_COLUMNS: &[Described] = &[
    Described::new("sid", "the subject"),
    Described::new("family", "a number for each family; means nothing elsewhere"),
];

impl DataTable {
    /// No columns yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// No columns yet; only these may come, in this order, so that a data dictionary describes every one.
    pub fn of(described: &'static [Described]) -> Self {
        Self { columns: Vec::new(), described: Some(described) }
    }

    /// Adds a text column. Empty texts stay empty texts, they are not missing values.
    #[must_use]
    pub fn text<T: Into<String>>(mut self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        self.columns.push(Column::new(name.into(), values));
        self
    }

    /// Adds a text column of which some values are missing.
    #[must_use]
    pub fn optional_texts<T: Into<String>>(mut self, name: &str, values: impl IntoIterator<Item = Option<T>>) -> Self {
        let values: Vec<Option<String>> = values.into_iter().map(|value| value.map(Into::into)).collect();
        self.columns.push(Column::new(name.into(), values));
        self
    }

    /// Adds a column of whole numbers.
    #[must_use]
    pub fn integers(mut self, name: &str, values: impl IntoIterator<Item = i64>) -> Self {
        self.columns.push(Column::new(name.into(), values.into_iter().collect::<Vec<_>>()));
        self
    }

    /// Adds a column of numbers.
    #[must_use]
    pub fn numbers(mut self, name: &str, values: impl IntoIterator<Item = f64>) -> Self {
        self.columns.push(Column::new(name.into(), values.into_iter().collect::<Vec<_>>()));
        self
    }

    /// Adds a column of numbers of which some are missing.
    #[must_use]
    pub fn optional_numbers(mut self, name: &str, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        self.columns.push(Column::new(name.into(), values.into_iter().collect::<Vec<_>>()));
        self
    }

    /// Adds a column of scores, differences of scores or their spreads, some of them missing, to four decimals: what is counted in
    /// vertices and varies between subjects by hundredths has no further digits that mean something.
    #[must_use]
    pub fn scores(self, name: &str, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        // Adding 0 makes a negative zero a plain one.
        self.optional_numbers(
            name,
            values.into_iter().map(|value| value.map(|value| (value * 1e4).round() / 1e4 + 0.0)),
        )
    }

    /// Adds a column of true and false.
    #[must_use]
    pub fn flags(mut self, name: &str, values: impl IntoIterator<Item = bool>) -> Self {
        self.columns.push(Column::new(name.into(), values.into_iter().collect::<Vec<_>>()));
        self
    }

    /// Adds a column `simulated`, true in every row, if `simulated` is set; call it last.
    ///
    /// Tables of a simulated run carry their stamp as data, where no reader can lose it; a table of real data has no such column.
    #[must_use]
    pub fn stamped(self, simulated: bool) -> Self {
        let rows = self.columns.first().map_or(0, Column::len);
        if simulated { self.flags("simulated", std::iter::repeat_n(true, rows)) } else { self }
    }

    /// The finished table.
    ///
    /// # Errors
    /// Internal: columns of different lengths, two of one name, or one that is not described.
    pub fn build(self) -> Result<DataFrame, Failure> {
        let mut described = self.described.unwrap_or_default().iter();
        for column in self.columns.iter().filter(|_| self.described.is_some()) {
            let name = column.name().as_str();
            if !described.any(|described| described.name == name) {
                return Err(Failure::internal(format!("no data dictionary has the column `{name}` at its place")));
            }
        }
        DataFrame::new_infer_height(self.columns)
            .map_err(|error| Failure::internal(format!("columns do not make a table: {error}")))
    }
}

/// Writes `table.csv` and `table.parquet` into `folder`, which is made if it is not there.
///
/// # Errors
/// Environment: a file cannot be written.
pub fn write(folder: &Path, frame: &mut DataFrame) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
    write_csv(&folder.join(CSV), frame)?;
    write_parquet(&folder.join(PARQUET), frame)
}

/// Writes the CSV file alone, as beside a figure.
///
/// # Errors
/// Environment: the file cannot be written.
pub fn write_csv(path: &Path, frame: &mut DataFrame) -> Result<(), Failure> {
    into_file(path, |file| CsvWriter::new(file).n_threads(1).with_batch_size(BATCH).finish(frame))
}

/// Rows formatted at a time.
const BATCH: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Writes the Parquet file alone, as beside numbers.
///
/// # Errors
/// Environment: the file cannot be written.
pub fn write_parquet(path: &Path, frame: &mut DataFrame) -> Result<(), Failure> {
    frame.rechunk_mut_par();
    let rows = frame.height().max(1);
    into_file(path, |file| {
        ParquetWriter::new(file)
            .with_compression(ParquetCompression::Uncompressed)
            .with_statistics(StatisticsOptions::empty())
            .with_row_group_size(Some(rows))
            .set_parallel(false)
            .finish(frame)
            .map(drop)
    })
}

fn into_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<std::fs::File>) -> Result<(), PolarsError>,
) -> Result<(), Failure> {
    let file = File::create(path).map_err(|error| Failure::io("create", path, &error))?;
    let mut file = BufWriter::new(file.into_file());
    write(&mut file).map_err(|error| Failure::environment(format!("could not write `{}`: {error}", path.display())))?;
    file.flush().map_err(|error| Failure::io("write", path, &error))
}

/// Reads a table artifact (its Parquet file).
///
/// # Errors
/// Input: the folder has no `table.parquet`, or it is not a whole Parquet file. Environment: it cannot be opened.
pub fn read(folder: &Path) -> Result<DataFrame, Failure> {
    let path = folder.join(PARQUET);
    let file = File::open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Failure::input(format!(
            "expected a table: a folder with `{CSV}` and `{PARQUET}`, but `{PARQUET}` is missing"
        ))
        .at(folder.display().to_string())
        .hint("give the `table` port of a stage, or a folder in that form"),
        _ => Failure::io("open", &path, &error),
    })?;
    parse_parquet(file, &path)
}

/// Whether a file is a Parquet file, by its first bytes.
///
/// # Errors
/// Input: the file does not exist. Environment: it cannot be read.
pub fn is_parquet(path: &Path) -> Result<bool, Failure> {
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::input("the file does not exist"),
        _ => Failure::io("read", path, &error),
    })?;
    let mut head = Vec::new();
    file.take(4).read_to_end(&mut head).map_err(|error| Failure::io("read", path, &error))?;
    Ok(head == b"PAR1")
}

/// Reads a Parquet file.
///
/// # Errors
/// Input: it is not a whole Parquet file. Environment: it cannot be opened.
pub fn read_parquet(path: &Path) -> Result<DataFrame, Failure> {
    parse_parquet(File::open(path).map_err(|error| Failure::io("open", path, &error))?, path)
}

/// Some columns of a Parquet file, so that a wide one is read in parts.
///
/// # Errors
/// As [`read_parquet`]; Input: a column is not there.
pub fn read_parquet_columns(path: &Path, columns: &[String]) -> Result<DataFrame, Failure> {
    with_parquet(path, |reader| reader.with_columns(Some(columns.to_vec())).finish().map_err(|error| error.to_string()))
}

/// A Parquet file without its rows, and how many it has.
///
/// # Errors
/// As [`read_parquet`].
pub fn parquet_head(path: &Path) -> Result<(DataFrame, usize), Failure> {
    with_parquet(path, |mut reader| {
        let rows = reader.num_rows().map_err(|error| error.to_string())?;
        let head = reader.with_slice(Some((0, 0))).finish().map_err(|error| error.to_string())?;
        Ok((head, rows))
    })
}

fn parse_parquet(file: File, path: &Path) -> Result<DataFrame, Failure> {
    caught(file, path, |reader| reader.finish().map_err(|error| error.to_string()))
}

fn with_parquet<T>(path: &Path, read: impl FnOnce(Reader) -> Result<T, String>) -> Result<T, Failure> {
    caught(File::open(path).map_err(|error| Failure::io("open", path, &error))?, path, read)
}

type Reader = ParquetReader<std::fs::File>;

fn caught<T>(file: File, path: &Path, read: impl FnOnce(Reader) -> Result<T, String>) -> Result<T, Failure> {
    let bytes = file.metadata().map_err(|error| Failure::io("read", path, &error))?.len();
    // polars panics on some damaged files.
    let read = catch_unwind(AssertUnwindSafe(|| bounded_parquet(file.into_file(), bytes).and_then(read)))
        .unwrap_or_else(|_| Err("a page of it is damaged".to_owned()));
    read.map_err(|problem| {
        Failure::input(format!("not a readable Parquet file: {problem}")).at(path.display().to_string())
    })
}

/// Cells that any table may have; repeated values take no room in a Parquet file, so more must be in proportion to its size.
const MOST_CELLS: u64 = 1 << 24;

fn bounded_parquet(file: std::fs::File, bytes: u64) -> Result<Reader, String> {
    let mut reader = ParquetReader::new(file).read_parallel(ParallelStrategy::None);
    let metadata = reader.get_metadata().map_err(|error| error.to_string())?;
    let cells = metadata.row_groups.iter().fold(0_u64, |all, group| {
        all.saturating_add((group.num_rows() as u64).saturating_mul(group.n_columns() as u64))
    });
    let most = bytes.max(MOST_CELLS);
    if cells > most {
        return Err(format!("it promises {cells} cells, expected at most {most} in {bytes} bytes"));
    }
    Ok(reader)
}

/// Some rows of a table, in this order.
///
/// # Errors
/// Internal: a row that is not there.
pub fn rows(frame: &DataFrame, rows: &[usize]) -> Result<DataFrame, Failure> {
    let indices: Option<Vec<_>> = rows.iter().map(|row| (*row).try_into().ok()).collect();
    let taken = indices.map(|indices| frame.take(&IdxCa::from_vec("row".into(), indices)));
    match taken {
        Some(Ok(taken)) => Ok(taken),
        _ => Err(Failure::internal(format!("rows were asked for of which {} has no such one", frame.height()))),
    }
}

/// A text column without missing values.
///
/// # Errors
/// Input: no such column, another type, or a missing value; the message lists the columns.
pub fn texts(frame: &DataFrame, name: &str) -> Result<Vec<String>, Failure> {
    let column = typed(frame, name, &DataType::String)?;
    let values = column.str().map_err(|error| Failure::internal(error.to_string()))?;
    values.iter().enumerate().map(|(row, value)| value.map(String::from).ok_or_else(|| missing(name, row))).collect()
}

/// A column of numbers without missing values.
///
/// # Errors
/// As [`texts`].
pub fn numbers(frame: &DataFrame, name: &str) -> Result<Vec<f64>, Failure> {
    let column = typed(frame, name, &DataType::Float64)?;
    let values = column.f64().map_err(|error| Failure::internal(error.to_string()))?;
    values.iter().enumerate().map(|(row, value)| value.ok_or_else(|| missing(name, row))).collect()
}

/// A column of numbers of which some are missing.
///
/// # Errors
/// As [`texts`], but for missing values.
pub fn maybe_numbers(frame: &DataFrame, name: &str) -> Result<Vec<Option<f64>>, Failure> {
    let column = typed(frame, name, &DataType::Float64)?;
    let values = column.f64().map_err(|error| Failure::internal(error.to_string()))?;
    Ok(values.iter().collect())
}

/// A column of numbers or of whole numbers, of which some are missing.
///
/// # Errors
/// As [`maybe_numbers`].
pub fn maybe_any_numbers(frame: &DataFrame, name: &str) -> Result<Vec<Option<f64>>, Failure> {
    let column = named(frame, name)?;
    if !column.dtype().is_primitive_numeric() {
        return maybe_numbers(frame, name);
    }
    let wide = column.cast(&DataType::Float64).map_err(|error| Failure::internal(error.to_string()))?;
    let values = wide.f64().map_err(|error| Failure::internal(error.to_string()))?;
    Ok(values.iter().collect())
}

/// A column of whole numbers without missing values.
///
/// # Errors
/// As [`texts`].
pub fn integers(frame: &DataFrame, name: &str) -> Result<Vec<i64>, Failure> {
    let column = typed(frame, name, &DataType::Int64)?;
    let values = column.i64().map_err(|error| Failure::internal(error.to_string()))?;
    values.iter().enumerate().map(|(row, value)| value.ok_or_else(|| missing(name, row))).collect()
}

/// A column of true and false without missing values.
///
/// # Errors
/// As [`texts`].
pub fn flags(frame: &DataFrame, name: &str) -> Result<Vec<bool>, Failure> {
    let column = typed(frame, name, &DataType::Boolean)?;
    let values = column.bool().map_err(|error| Failure::internal(error.to_string()))?;
    values.iter().enumerate().map(|(row, value)| value.ok_or_else(|| missing(name, row))).collect()
}

/// A column of texts, whole numbers or truth values as texts, without missing values.
///
/// # Errors
/// As [`texts`].
pub fn words(frame: &DataFrame, name: &str) -> Result<Vec<String>, Failure> {
    let column = named(frame, name)?;
    match column.dtype() {
        DataType::Boolean => Ok(flags(frame, name)?.iter().map(ToString::to_string).collect()),
        whole if whole.is_integer() => {
            let wide = column.cast(&DataType::Int64).map_err(|error| Failure::internal(error.to_string()))?;
            let wide = DataFrame::new_infer_height(vec![wide]).map_err(|error| Failure::internal(error.to_string()))?;
            Ok(integers(&wide, name)?.iter().map(ToString::to_string).collect())
        }
        _ => texts(frame, name),
    }
}

fn typed<'a>(frame: &'a DataFrame, name: &str, expected: &DataType) -> Result<&'a Column, Failure> {
    let column = named(frame, name)?;
    if column.dtype() == expected {
        Ok(column)
    } else {
        let found = column.dtype();
        Err(Failure::input(format!("expected column `{name}` to hold {expected}, but it holds {found}")))
    }
}

fn named<'a>(frame: &'a DataFrame, name: &str) -> Result<&'a Column, Failure> {
    frame.column(name).map_err(|_| {
        let there: Vec<String> = frame.get_column_names().iter().map(|name| format!("`{name}`")).collect();
        Failure::input(format!("expected a column `{name}`, but the table has {}", there.join(", ")))
    })
}

fn missing(name: &str, row: usize) -> Failure {
    Failure::input(format!("column `{name}` has no value in row {}", row + 1))
}

/// The part of a split that a subject is in. The paper has two parts, and its held-out subjects have two uses; three parts
/// separate them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    /// Training, of two parts: `trn`.
    Trn,
    /// Held out, of two parts: chooses which weights are kept, and is scored: `val`.
    Val,
    /// Training, of three parts: `train`.
    Train,
    /// Chooses which weights are kept, of three parts: `choose`.
    Choose,
    /// Scored only, of three parts: `test`.
    Test,
}

impl Partition {
    /// The parts of the paper.
    pub const TWO: [Self; 2] = [Self::Trn, Self::Val];
    /// The parts of a split with subjects for scores alone.
    pub const THREE: [Self; 3] = [Self::Train, Self::Choose, Self::Test];

    /// The word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Partition::Trn => "trn",
            Partition::Val => "val",
            Partition::Train => "train",
            Partition::Choose => "choose",
            Partition::Test => "test",
        }
    }

    /// Whether networks are trained on its subjects.
    pub fn trains(self) -> bool {
        matches!(self, Partition::Trn | Partition::Train)
    }

    /// Whether its subjects choose which weights are kept.
    pub fn chooses(self) -> bool {
        matches!(self, Partition::Val | Partition::Choose)
    }

    /// Whether its subjects' scores count: they are held out from training.
    pub fn is_scored(self) -> bool {
        matches!(self, Partition::Val | Partition::Test)
    }
}

/// How many subjects have each use in a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SplitCounts {
    /// Trained on.
    pub train: usize,
    /// Choose which weights are kept.
    pub choose: usize,
    /// Scored.
    pub scored: usize,
    /// The subjects that choose are those that are scored, as in the paper.
    pub two_parts: bool,
}

impl SplitCounts {
    /// Counts the subjects of a split.
    pub fn of(split: &BTreeMap<String, Partition>) -> Self {
        let count = |is: fn(Partition) -> bool| split.values().filter(|part| is(**part)).count();
        Self {
            train: count(Partition::trains),
            choose: count(Partition::chooses),
            scored: count(Partition::is_scored),
            two_parts: split.values().any(|part| *part == Partition::Val),
        }
    }

    /// The numbers as words for a figure or a log, such as `20 subjects train, 4 choose the weights, 8 are scored`.
    pub fn words(&self) -> String {
        let Self { train, choose, scored, two_parts } = *self;
        let verb = |count, one, more| if count == 1 { one } else { more };
        let (trained, are) =
            (format!("{} {}", subjects(train), verb(train, "trains", "train")), verb(scored, "is", "are"));
        let chooses = |count| format!("{count} {} the weights", verb(count, "chooses", "choose"));
        match two_parts {
            true => format!("{trained}; {} and {are} scored", chooses(scored)),
            false => format!("{trained}, {}, {scored} {are} scored", chooses(choose)),
        }
    }
}

/// Reads a split: in which part each subject is, from the columns `sid` and `partition`.
///
/// # Errors
/// As [`read`] and [`texts`]; Input: a word that is not a part, parts of both vocabularies, or a subject who is listed twice.
pub fn split(folder: &Path) -> Result<BTreeMap<String, Partition>, Failure> {
    let at = |failure: Failure| failure.at(folder.display().to_string());
    let frame = read(folder)?;
    let sids = texts(&frame, "sid").map_err(at)?;
    let parts = texts(&frame, "partition").map_err(at)?;
    let known = || Partition::TWO.into_iter().chain(Partition::THREE);
    let mut split = BTreeMap::new();
    for (sid, part) in sids.into_iter().zip(parts) {
        let partition = known().find(|known| known.word() == part).ok_or_else(|| {
            at(Failure::input(format!(
                "`{sid}` is in `{part}`, expected `trn` or `val`, or `train`, `choose` or `test`"
            )))
        })?;
        if split.insert(sid.clone(), partition).is_some() {
            return Err(at(Failure::input(format!("`{sid}` is listed twice in the split"))));
        }
    }
    let of_two = split.values().filter(|part| Partition::TWO.contains(part)).count();
    if of_two > 0 && of_two < split.len() {
        return Err(at(Failure::input("the split mixes `trn` and `val` with `train`, `choose` and `test`")
            .hint("two parts are `trn` and `val`, three are `train`, `choose` and `test`")));
    }
    Ok(split)
}

/// Writes which subjects are of one family: columns `sid` and `family`, sorted by `sid`.
///
/// # Errors
/// As [`write()`].
pub fn write_families(folder: &Path, families: &BTreeMap<String, i64>) -> Result<(), Failure> {
    let table = DataTable::of(FAMILY_COLUMNS)
        .text("sid", families.keys().map(String::as_str))
        .integers("family", families.values().copied());
    write(folder, &mut table.build()?)
}

/// Reads which subjects are of one family. Messages name no subject, because the table says who is related.
///
/// # Errors
/// As [`read`] and [`texts`]; Input: a subject who is listed twice.
pub fn families(folder: &Path) -> Result<BTreeMap<String, i64>, Failure> {
    let at = |failure: Failure| failure.at(folder.display().to_string());
    let frame = read(folder)?;
    let sids = texts(&frame, "sid").map_err(at)?;
    let column = typed(&frame, "family", &DataType::Int64).map_err(at)?;
    let values = column.i64().map_err(|error| Failure::internal(error.to_string()))?;
    let mut families = BTreeMap::new();
    for (row, (sid, family)) in sids.into_iter().zip(values.iter()).enumerate() {
        let family = family.ok_or_else(|| at(missing("family", row)))?;
        if families.insert(sid, family).is_some() {
            return Err(at(Failure::input("a subject is listed twice in the table of families")));
        }
    }
    Ok(families)
}

/// Writes a split: columns `sid` and `partition`, sorted by `sid`.
///
/// # Errors
/// As [`write()`].
pub fn write_split(folder: &Path, split: &BTreeMap<String, Partition>) -> Result<(), Failure> {
    let table = DataTable::of(SPLIT_COLUMNS)
        .text("sid", split.keys().map(String::as_str))
        .text("partition", split.values().map(|side| side.word()));
    write(folder, &mut table.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> DataFrame {
        DataTable::new()
            .text("sid", ["010512", "s,2", ""])
            .integers("n", [3, -1, 0])
            .numbers("dice", [0.1, 1.0, 2.0 / 3.0])
            .optional_numbers("se", [Some(1e-9), None, Some(123_456_789.25)])
            .stamped(true)
            .build()
            .unwrap()
    }

    #[test]
    fn csv_keeps_empty_text_apart_from_missing_values_and_floats_short() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &mut example()).unwrap();
        let text = fs::read_to_string(folder.path().join(CSV)).unwrap();
        insta::assert_snapshot!(text, @r#"
        sid,n,dice,se,simulated
        010512,3,0.1,1e-9,true
        "s,2",-1,1.0,,true
        "",0,0.6666666666666666,123456789.25,true
        "#);
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &mut example()).unwrap();
        let frame = read(folder.path()).unwrap();
        assert!(frame.equals_missing(&example()), "{:?}", frame.columns());
        assert_eq!(texts(&frame, "sid").unwrap(), ["010512", "s,2", ""]);
        assert_eq!(numbers(&frame, "dice").unwrap(), [0.1, 1.0, 2.0 / 3.0]);
    }

    #[test]
    fn equal_tables_are_equal_bytes() {
        let bytes = || {
            let folder = tempfile::tempdir().unwrap();
            let many = DataTable::new().numbers("x", (0..10_000).map(|i| f64::from(i) / 7.0));
            let mut frame = many.text("t", (0..10_000).map(|i| format!("row {i}"))).build().unwrap();
            write(folder.path(), &mut frame).unwrap();
            (fs::read(folder.path().join(CSV)).unwrap(), fs::read(folder.path().join(PARQUET)).unwrap())
        };
        let first = bytes();
        let others: Vec<_> = (0..3).map(|_| std::thread::spawn(bytes)).collect();
        for other in others {
            assert!(other.join().unwrap() == first);
        }
    }

    #[test]
    fn bad_tables_say_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap_err().message.contains("`table.parquet` is missing"));
        fs::write(folder.path().join(PARQUET), b"PAR1 but no more").unwrap();
        assert!(read(folder.path()).unwrap_err().message.contains("not a readable Parquet file"));
        write(folder.path(), &mut example()).unwrap();
        assert!(numbers(&read(folder.path()).unwrap(), "sid").unwrap_err().message.contains("to hold f64"));
        let none = texts(&example(), "tag").unwrap_err();
        assert_eq!(none.message, "expected a column `tag`, but the table has `sid`, `n`, `dice`, `se`, `simulated`");
        assert_eq!(numbers(&example(), "se").unwrap_err().message, "column `se` has no value in row 2");
    }

    #[test]
    fn a_split_is_read_back_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let sides = BTreeMap::from([("s02".to_string(), Partition::Val), ("s01".to_string(), Partition::Trn)]);
        write_split(folder.path(), &sides).unwrap();
        assert_eq!(split(folder.path()).unwrap(), sides);
        let bad = DataTable::new().text("sid", ["a", "a"]).text("partition", ["trn", "val"]);
        write(folder.path(), &mut bad.build().unwrap()).unwrap();
        assert_eq!(split(folder.path()).unwrap_err().message, "`a` is listed twice in the split");
        let bad = DataTable::new().text("sid", ["a"]).text("partition", ["tst"]);
        write(folder.path(), &mut bad.build().unwrap()).unwrap();
        assert_eq!(
            split(folder.path()).unwrap_err().message,
            "`a` is in `tst`, expected `trn` or `val`, or `train`, `choose` or `test`"
        );
    }

    #[test]
    fn families_are_read_back_and_messages_name_no_subject() {
        let folder = tempfile::tempdir().unwrap();
        let given = BTreeMap::from([("s01".to_string(), 1), ("s02".to_string(), 1), ("s03".to_string(), 2)]);
        write_families(folder.path(), &given).unwrap();
        assert_eq!(families(folder.path()).unwrap(), given);
        let twice = DataTable::new().text("sid", ["a", "a"]).integers("family", [1, 2]);
        write(folder.path(), &mut twice.build().unwrap()).unwrap();
        assert_eq!(families(folder.path()).unwrap_err().message, "a subject is listed twice in the table of families");
    }

    #[test]
    fn three_parts_are_read_back_and_not_mixed_with_two() {
        use Partition::{Choose, Test, Train, Trn, Val};
        let folder = tempfile::tempdir().unwrap();
        let of = |parts: &[Partition]| -> BTreeMap<String, Partition> {
            parts.iter().enumerate().map(|(index, part)| (format!("s{index}"), *part)).collect()
        };
        let three = of(&[Train, Train, Choose, Test, Test, Test]);
        write_split(folder.path(), &three).unwrap();
        assert_eq!(split(folder.path()).unwrap(), three);
        let small = SplitCounts { train: 1, choose: 2, scored: 1, two_parts: false };
        assert_eq!(small.words(), "1 subject trains, 2 choose the weights, 1 is scored");
        assert_eq!(SplitCounts::of(&three).words(), "2 subjects train, 1 chooses the weights, 3 are scored");
        assert_eq!(
            SplitCounts::of(&of(&[Trn, Trn, Val])).words(),
            "2 subjects train; 1 chooses the weights and is scored"
        );
        write_split(folder.path(), &of(&[Trn, Choose, Test])).unwrap();
        assert!(split(folder.path()).unwrap_err().message.starts_with("the split mixes"));
    }
}
