//! The numbers of a file of two axes, whatever its form: HDF5, NPY, NPZ, Parquet, CSV. Its first bytes say which it is, not its name.
//!
//! Numbers are read in parts of bounded size: [`MOST_AT_ONCE`] numbers, or one chunk of an HDF5 file, if that has more. No chunk is in two
//! parts, so a pass over all numbers reads and unpacks every chunk once: a copy of unpacked numbers would save one of the two passes of an
//! import, and cost their size on disk. HDF5 and NPY files of floats are read where they are; the numbers of others are first written
//! into an NPY file in the scratch folder: NPZ by unpacking, CSV record by record, Parquet some columns at a time, and NPY arrays of other
//! types of number whole. Rows and columns are those of the file here.

use std::io::Read;
use std::ops::Range;
use std::path::Path;

use fs_err::File;
use pipe_contract::Failure;
use polars::prelude::{DataFrame, DataType, PolarsError};

use crate::formats::csv_text::{self, CsvText};
use crate::formats::data_table;
use crate::formats::hdf5;
use crate::formats::npy_file::{Float, FloatType, NpyFile, NpyWriter};
use crate::formats::numpy::{self, Npz};

/// Numbers that are read at a time, if the file lets them be read in such parts.
pub(super) const MOST_AT_ONCE: usize = 1 << 24;

/// Numbers that lie together are read at least as many at a time, if there are so many.
const REQUEST: usize = 1024;

/// A file of numbers.
pub(super) struct NumberSource {
    numbers: Numbers,
    /// What it is, such as ``HDF5, dataset `betas` ``.
    pub what: String,
    /// Names of its rows and of its columns, if it has them.
    pub names: [Option<Vec<String>>; 2],
    most_at_once: usize,
}

enum Numbers {
    Hdf5(Box<hdf5::NumberGrid>),
    Npy(NpyFile),
}

/// A part of the numbers of a file.
pub(super) struct SourcePart<T> {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// Row after row, or column after column.
    pub values: Vec<T>,
    pub by_column: bool,
}

impl<T> SourcePart<T> {
    /// The same numbers with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, values: self.values, by_column: !self.by_column }
    }
}

/// Columns that are gathered from rows together: those of a cache line.
const TOGETHER: usize = 16;

impl<T: Float> SourcePart<T> {
    /// Some of its rows and columns, counted as in the whole, one column after the other.
    pub fn picked(&self, rows: &[usize], columns: &[usize]) -> Vec<T> {
        let (height, width) = (self.rows.len(), self.columns.len());
        let at = |row: usize, column: usize| {
            let (row, column) = (row - self.rows.start, column - self.columns.start);
            self.values[if self.by_column { column * height + row } else { row * width + column }]
        };
        let mut picked = vec![T::of(0.0); rows.len() * columns.len()];
        for (group, to) in columns.chunks(TOGETHER).zip(picked.chunks_mut(TOGETHER * rows.len())) {
            for (line, row) in rows.iter().enumerate() {
                for (number, column) in group.iter().enumerate() {
                    to[number * rows.len() + line] = at(*row, *column);
                }
            }
        }
        picked
    }
}

impl NumberSource {
    /// Opens a file. `array` is the name of a dataset or array; it may be empty if there is one only. `id_column` is the column of
    /// a CSV or Parquet file that holds the names of its rows; empty for none.
    pub fn open(path: &Path, array: &str, id_column: &str, scratch: &Path) -> Result<Self, Failure> {
        let form = NumberForm::of(path)?;
        let unused = |name: &str, value: &str, forms: &str| {
            Failure::input(format!("`{name}: {value}` is for {forms}, but the file is {}", form.name()))
                .at(path.display().to_string())
                .hint(format!("leave `{name}` out"))
        };
        if !array.is_empty() && !matches!(form, NumberForm::Hdf5 | NumberForm::Npz) {
            return Err(unused("array", array, "HDF5 and NPZ files"));
        }
        if !id_column.is_empty() && !matches!(form, NumberForm::Parquet | NumberForm::Csv) {
            return Err(unused("id_column", id_column, "CSV and Parquet files"));
        }
        let copy = scratch.join("numbers.npy");
        let mut names = [None, None];
        let mut what = form.name().to_owned();
        let numbers = match form {
            NumberForm::Hdf5 => {
                let file = hdf5::File::open(path)?;
                let array = only(array, file.datasets()?, "dataset", path)?;
                what = format!("{what}, dataset `{array}`");
                Numbers::Hdf5(Box::new(hdf5::NumberGrid::open(&file, &array)?))
            }
            NumberForm::Npy => open_npy(path, &copy)?,
            NumberForm::Npz => {
                let mut archive = Npz::open(path)?;
                let array = only(array, archive.names(), "array", path)?;
                what = format!("{what}, array `{array}`");
                let entry = scratch.join("array.npy");
                archive.extract(&array, &entry)?;
                let at = |failure: Failure| Failure { place: Some(path.display().to_string()), ..failure };
                open_npy(&entry, &copy).map_err(at)?
            }
            NumberForm::Parquet => {
                names = copy_parquet(path, id_column, &copy)?;
                Numbers::Npy(NpyFile::open(&copy)?)
            }
            NumberForm::Csv => {
                names = copy_csv(path, id_column, &copy)?;
                Numbers::Npy(NpyFile::open(&copy)?)
            }
        };
        let source = Self { numbers, what, names, most_at_once: MOST_AT_ONCE };
        let shape = source.shape();
        if shape.contains(&0) {
            return Err(Failure::input(format!("the array has the shape {shape:?}, expected at least one number"))
                .at(path.display().to_string()));
        }
        Ok(source)
    }

    #[cfg(test)]
    pub fn in_parts_of(self, most_at_once: usize) -> Self {
        Self { most_at_once, ..self }
    }

    /// How many rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        match &self.numbers {
            Numbers::Hdf5(grid) => grid.shape(),
            Numbers::Npy(file) => match file.shape() {
                [rows, columns] => [*rows, *columns],
                shape => [shape.iter().product(), 1],
            },
        }
    }

    /// How wide the floats are that hold its numbers.
    pub fn float_type(&self) -> FloatType {
        match &self.numbers {
            Numbers::Hdf5(grid) => grid.float_type(),
            Numbers::Npy(file) => file.float_type(),
        }
    }

    /// The parts in which all of it is read and written fastest, as ranges of rows and columns, in order: whole columns of the matrix
    /// where that is possible, which are rows of the file if it is `transposed`.
    pub fn parts(&self, transposed: bool) -> Vec<[Range<usize>; 2]> {
        let [rows, columns] = self.shape();
        let (chunk, is_chunked) = match &self.numbers {
            Numbers::Hdf5(grid) => (grid.chunk(), grid.is_chunked()),
            Numbers::Npy(file) if file.by_column() => ([rows, 1], false),
            Numbers::Npy(_) => ([1, columns], false),
        };
        // What lies together need not be read whole, as long as a request is not too small. Chunks of HDF5 are read and unpacked whole
        // in any case, so that a part of one would be paid for as often as there are parts.
        let chunk = match chunk {
            whole if is_chunked => whole,
            [1, width] => [1, width.min(REQUEST)],
            [height, 1] => [height.min(REQUEST), 1],
            other => other,
        };
        let swapped = |[first, second]: [usize; 2]| if transposed { [second, first] } else { [first, second] };
        let mut parts = parts(swapped([rows, columns]), swapped(chunk), self.most_at_once);
        if transposed {
            parts.iter_mut().for_each(|part| part.swap(0, 1));
        }
        parts
    }

    /// A part.
    pub fn read<T: Float>(&self, [rows, columns]: [Range<usize>; 2]) -> Result<SourcePart<T>, Failure> {
        let (values, by_column) = match &self.numbers {
            Numbers::Hdf5(grid) => (grid.read(&[rows.clone(), columns.clone()])?, false),
            Numbers::Npy(file) => {
                let [height, width] = self.shape();
                let by_column = file.by_column();
                let (slow, fast, length) = if by_column { (&columns, &rows, height) } else { (&rows, &columns, width) };
                let values = if fast.len() == length {
                    file.read(slow.start * length, slow.len() * length)?
                } else {
                    let lines = slow.clone().map(|line| file.read(line * length + fast.start, fast.len()));
                    lines.collect::<Result<Vec<Vec<T>>, _>>()?.concat()
                };
                (values, by_column)
            }
        };
        Ok(SourcePart { rows, columns, values, by_column })
    }
}

/// Splits two axes into parts of whole chunks with at most so many numbers, if a chunk has not more: whole columns, else whole rows,
/// else chunks.
fn parts(shape: [usize; 2], chunk: [usize; 2], most: usize) -> Vec<[Range<usize>; 2]> {
    let [rows, columns] = shape;
    let times = |height: usize, width: usize| (most / (height * width)).max(1);
    let (height, width) = match () {
        () if rows * chunk[1] <= most => (rows, chunk[1] * times(rows, chunk[1])),
        () if chunk[0] * columns <= most => (chunk[0] * times(chunk[0], columns), columns),
        () => (chunk[0], chunk[1] * times(chunk[0], chunk[1])),
    };
    let steps = |length: usize, step: usize| {
        (0..length).step_by(step).map(move |start| start..start.saturating_add(step).min(length))
    };
    steps(rows, height).flat_map(|rows| steps(columns, width).map(move |columns| [rows.clone(), columns])).collect()
}

/// Forms of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberForm {
    Hdf5,
    Npy,
    Npz,
    Parquet,
    Csv,
}

impl NumberForm {
    fn of(path: &Path) -> Result<Self, Failure> {
        if !path.is_file() {
            let found = if path.is_dir() { "the path is a folder, expected a file" } else { "the file does not exist" };
            return Err(Failure::input(found).at(path.display().to_string()));
        }
        let mut head = Vec::new();
        File::open(path)
            .and_then(|file| file.take(1024).read_to_end(&mut head))
            .map_err(|error| Failure::io("read", path, &error))?;
        const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";
        // MATLAB has 512 bytes of its own before.
        let is_hdf5 = [0, 512].iter().any(|at| head.get(*at..).is_some_and(|rest| rest.starts_with(HDF5)));
        Ok(match &head[..] {
            _ if is_hdf5 => Self::Hdf5,
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Self::Npy,
            [b'P', b'K', 3, 4, ..] => Self::Npz,
            [b'P', b'A', b'R', b'1', ..] => Self::Parquet,
            head if head.contains(&0) => {
                return Err(Failure::input("the file is none of HDF5, NPY, NPZ, Parquet and CSV")
                    .at(path.display().to_string()));
            }
            _ => Self::Csv,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hdf5 => "HDF5",
            Self::Npy => "NPY",
            Self::Npz => "NPZ",
            Self::Parquet => "Parquet",
            Self::Csv => "CSV",
        }
    }
}

/// The array that is meant: the one of this name, or the only one.
fn only(array: &str, names: Vec<String>, what: &str, path: &Path) -> Result<String, Failure> {
    if !array.is_empty() {
        return Ok(array.to_owned());
    }
    let count = names.len();
    match <[String; 1]>::try_from(names) {
        Ok([only]) => Ok(only),
        Err(names) => {
            let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            Err(Failure::input(format!("the file has {count} {what}s at its top, expected one: {}", listed.join(", ")))
                .at(path.display().to_string())
                .hint(format!("say which {what} is meant, with `array`")))
        }
    }
}

/// Opens an array of floats, or first copies one of other numbers.
fn open_npy(path: &Path, copy: &Path) -> Result<Numbers, Failure> {
    let file = match NpyFile::open(path) {
        Ok(file) => file,
        Err(refused) => {
            // It may hold whole numbers, or floats of another width or order of bytes.
            let array = numpy::read_npy(path);
            let Ok((array, values)) = array.and_then(|array| array.floats().map(|values| (array, values))) else {
                return Err(refused);
            };
            let to = NpyWriter::create(copy, array.shape(), false, FloatType::F64)?;
            to.write_at(0, &values)?;
            NpyFile::open(copy)?
        }
    };
    if !(1..=2).contains(&file.shape().len()) {
        return Err(Failure::input(format!("the array has the shape {:?}, expected two axes", file.shape()))
            .at(path.display().to_string())
            .hint("save it with further axes joined: `numpy.save(path, values.reshape(len(values), -1))`"));
    }
    Ok(Numbers::Npy(file))
}

type Names = [Option<Vec<String>>; 2];

/// Which of these columns hold numbers: all but the one with names of rows.
fn numbers_beside(columns: &[String], id_column: &str, path: &Path) -> Result<(Option<usize>, Vec<usize>), Failure> {
    let at = |failure: Failure| failure.at(path.display().to_string());
    let ids = columns.iter().position(|name| name == id_column);
    if ids.is_none() && !id_column.is_empty() {
        return Err(at(Failure::input(format!("there is no column `{id_column}`"))));
    }
    let others: Vec<usize> = (0..columns.len()).filter(|column| Some(*column) != ids).collect();
    if others.is_empty() {
        return Err(at(Failure::input(format!("there is no column of numbers beside `{id_column}`"))));
    }
    Ok((ids, others))
}

/// Writes the numbers of a CSV file into an NPY file.
fn copy_csv(path: &Path, id_column: &str, copy: &Path) -> Result<Names, Failure> {
    let mut file = CsvText::open(path)?;
    let mut rows = 0;
    while file.read()?.is_some() {
        rows += 1;
    }
    let mut file = CsvText::open(path)?;
    let columns = file.names().to_vec();
    let (id, numbers) = numbers_beside(&columns, id_column, path)?;
    if let Some(column) = numbers.iter().find(|column| columns[**column] == csv_text::unnamed(**column + 1)) {
        let name = &columns[*column];
        return Err(Failure::input(format!("column {} has no name", column + 1))
            .at(path.display().to_string())
            .hint(format!("if it is an index, such as pandas writes: `id_column: {name}`; else name it")));
    }
    let to = NpyWriter::create(copy, &[rows, numbers.len()], false, FloatType::F64)?;
    let at_once = (MOST_AT_ONCE / 16 / numbers.len()).max(1);
    let (mut ids, mut values, mut written) = (Vec::new(), Vec::new(), 0);
    while let Some(record) = file.read()? {
        let number = |column: &usize| match record[*column].trim() {
            field if csv_text::is_missing(field) => Ok(f64::NAN),
            field => field.parse::<f64>().map_err(|_| *column),
        };
        let first = values.len();
        values.extend(numbers.iter().map_while(|column| number(column).ok()));
        if let Some(column) = numbers.get(values.len() - first) {
            let (name, field) = (&columns[*column], record[*column].to_owned());
            return Err(file.fault(format!("column `{name}` has `{field}`, expected a number")).hint(ONLY_NUMBERS));
        }
        ids.extend(id.map(|column| record[column].to_owned()));
        if values.len() >= at_once * numbers.len() {
            to.write_at(written, &values)?;
            written += values.len();
            values.clear();
        }
    }
    to.write_at(written, &values)?;
    Ok([id.map(|_| ids), Some(numbers.into_iter().map(|column| columns[column].clone()).collect())])
}

/// Writes the numbers of a Parquet file into an NPY file; they are of 32 bits if all of its numbers are.
fn copy_parquet(path: &Path, id_column: &str, copy: &Path) -> Result<Names, Failure> {
    let (head, rows) = data_table::parquet_head(path)?;
    let columns: Vec<String> = head.get_column_names().iter().map(ToString::to_string).collect();
    let (id, numbers) = numbers_beside(&columns, id_column, path)?;
    let is_narrow = numbers.iter().all(|column| head.columns()[*column].dtype() == &DataType::Float32);
    let float_type = if is_narrow { FloatType::F32 } else { FloatType::F64 };
    let names: Vec<String> = numbers.into_iter().map(|column| columns[column].clone()).collect();
    let to = NpyWriter::create(copy, &[rows, names.len()], true, float_type)?;
    let mut written = 0;
    for block in names.chunks((MOST_AT_ONCE / 4 / rows.max(1)).max(1)) {
        let frame = data_table::read_parquet_columns(path, block)?;
        for name in block {
            to.write_at(written, &floats(&frame, name, path)?)?;
            written += rows;
        }
    }
    let ids = id.map(|_| {
        let frame = data_table::read_parquet_columns(path, &[id_column.to_owned()])?;
        data_table::words(&frame, id_column).map_err(|failure| failure.at(path.display().to_string()))
    });
    Ok([ids.transpose()?, Some(names)])
}

/// A column as floats; what is missing is NaN.
fn floats(frame: &DataFrame, name: &str, path: &Path) -> Result<Vec<f64>, Failure> {
    let internal = |error: PolarsError| Failure::internal(error.to_string());
    let column = frame.column(name).map_err(internal)?;
    let found = column.dtype();
    if !found.is_primitive_numeric() && *found != DataType::Boolean {
        return Err(Failure::input(format!("column `{name}` holds {found}, expected numbers"))
            .at(path.display().to_string())
            .hint(ONLY_NUMBERS));
    }
    let wide = column.cast(&DataType::Float64).map_err(internal)?;
    Ok(wide.f64().map_err(internal)?.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

const ONLY_NUMBERS: &str =
    "a column with the names of the rows is given by `id_column`; other columns that hold no numbers must be removed";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::formats::hdf5::Builder;

    #[test]
    fn parts_are_whole_chunks_and_cover_all() {
        let of = |shape, chunk, most| parts(shape, chunk, most);
        assert_eq!(of([5, 7], [5, 1], 20), [[0..5, 0..4], [0..5, 4..7]], "whole columns");
        assert_eq!(of([5, 7], [2, 3], 30), [[0..5, 0..6], [0..5, 6..7]], "whole columns of chunks");
        assert_eq!(of([5, 7], [1, 7], 20), [[0..2, 0..7], [2..4, 0..7], [4..5, 0..7]], "whole rows");
        let chunks = [[0..2, 0..3], [0..2, 3..6], [0..2, 6..7], [2..4, 0..3], [2..4, 3..6], [2..4, 6..7]];
        assert_eq!(of([4, 7], [2, 3], 6), chunks);
        assert_eq!(of([3, 4], [1, 4], 1), [[0..1, 0..4], [1..2, 0..4], [2..3, 0..4]], "a chunk is not divided");
    }

    /// All numbers of a source, column after column, put together from parts of at most five numbers.
    fn all(source: NumberSource) -> Vec<f64> {
        let source = source.in_parts_of(5);
        let values = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<u64>>();
        let (plain, transposed) = (together(&source, false), together(&source, true));
        assert_eq!(values(plain.clone()), values(transposed));
        plain
    }

    fn together(source: &NumberSource, transposed: bool) -> Vec<f64> {
        let [rows, columns] = source.shape();
        let mut all = vec![f64::NAN; rows * columns];
        for ranges in source.parts(transposed) {
            let part = source.read::<f64>(ranges).unwrap();
            let (lines, fields): (Vec<usize>, Vec<usize>) =
                (part.rows.clone().collect(), part.columns.clone().collect());
            let picked = part.picked(&lines, &fields);
            let turned = part.transposed().picked(&fields, &lines);
            for (number, (column, values)) in fields.iter().zip(picked.chunks(lines.len())).enumerate() {
                all[column * rows + lines[0]..][..lines.len()].copy_from_slice(values);
                assert_eq!(values[0].to_bits(), turned[number].to_bits());
            }
        }
        all
    }

    fn open(path: &Path, array: &str, id_column: &str) -> Result<NumberSource, Failure> {
        let scratch = path.parent().unwrap().join("scratch");
        fs_err::create_dir_all(&scratch).unwrap();
        NumberSource::open(path, array, id_column, &scratch)
    }

    /// A pass over packed chunks of any shape asks for every chunk once, in parts that are not larger than what is held at a time.
    #[test]
    fn every_packed_chunk_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let (shape, most): ([usize; 2], usize) = ([40, 3000], 60_000);
        let values: Vec<f32> = (0..shape[0] * shape[1]).map(|at| f32::of((at % 9973) as f64)).collect();
        let by_column: Vec<f64> = (0..shape[1])
            .flat_map(|column| (0..shape[0]).map(move |row| ((row * 3000 + column) % 9973) as f64))
            .collect();
        for chunk in [[1, 3000], [40, 10], [7, 450], [40, 3000]] {
            let path = folder.path().join(format!("{}x{}", chunk[0], chunk[1]));
            let mut builder = Builder::new();
            builder.packed_singles(
                "x",
                &shape.map(|length| length as u64),
                &chunk.map(|length| length as u64),
                &values,
            );
            builder.write(&path).unwrap();
            for transposed in [false, true] {
                let source = open(&path, "", "").unwrap().in_parts_of(most);
                let largest =
                    source.parts(transposed).into_iter().map(|[rows, columns]| rows.len() * columns.len()).max();
                assert!(largest.unwrap() <= most.max(chunk[0] * chunk[1]), "{chunk:?}: {largest:?}");
                assert_eq!(together(&source, transposed), by_column);
                let Numbers::Hdf5(grid) = &source.numbers else { panic!("an HDF5 file") };
                let chunks = shape[0].div_ceil(chunk[0]) * shape[1].div_ceil(chunk[1]);
                assert_eq!(grid.chunks_read(), chunks as u64, "{chunk:?} {transposed}");
            }
        }
    }

    const BY_COLUMN: [f64; 6] = [1.0, 4.0, 2.5, 5.0, 3.0, 6.0];

    #[test]
    fn all_forms_hold_the_same_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let by_row = [1.0, 2.5, 3.0, 4.0, 5.0, 6.0];
        let narrow: Vec<f32> = by_row.iter().map(|value| f32::of(*value)).collect();
        let mut builder = Builder::new();
        builder.packed_singles("x", &[2, 3], &[1, 2], &narrow);
        builder.write(&path("x")).unwrap();
        NpyWriter::create(&path("rows"), &[2, 3], false, FloatType::F64).unwrap().write_at(0, &by_row).unwrap();
        NpyWriter::create(&path("columns"), &[2, 3], true, FloatType::F32).unwrap().write_at(0, &BY_COLUMN).unwrap();
        fs_err::write(path("csv"), "a,id,b,c\n1,x,2.5,3\n4,y,5,6e0\n").unwrap();
        let table = DataTable::new()
            .numbers("a", [1.0, 4.0])
            .integers("id", [7, 8])
            .optional_numbers("b", [Some(2.5), Some(5.0)]);
        let mut table = table.integers("c", [3, 6]).build().unwrap();
        data_table::write_parquet(&path("parquet"), &mut table).unwrap();
        for (name, id, float_type, ids) in [
            ("x", "", FloatType::F32, None),
            ("rows", "", FloatType::F64, None),
            ("columns", "", FloatType::F32, None),
            ("csv", "id", FloatType::F64, Some(["x", "y"])),
            ("parquet", "id", FloatType::F64, Some(["7", "8"])),
        ] {
            let source = open(&path(name), "", id).unwrap();
            assert_eq!((source.shape(), source.float_type()), ([2, 3], float_type), "{name}");
            assert_eq!(source.names[0].as_deref(), ids.map(|ids| ids.map(String::from)).as_ref().map(|ids| &ids[..]));
            assert_eq!(source.names[1].is_some(), ids.is_some());
            assert_eq!(all(source), BY_COLUMN, "{name}");
        }
    }

    #[test]
    fn arrays_of_numpy_of_every_type_are_read() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
        let folder = tempfile::tempdir().unwrap();
        let read = |file: &str, array: &str| {
            let copy = folder.path().join(file);
            fs_err::copy(fixtures.join(file), &copy).unwrap();
            open(&copy, array, "")
        };
        for (file, array) in [("column.npy", ""), ("arrays.npz", "whole"), ("arrays.npz", "column")] {
            let source = read(file, array).unwrap();
            assert_eq!((source.shape(), source.float_type()), ([2, 3], FloatType::F64));
            assert_eq!(all(source), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0], "{file} {array}");
        }
        assert_eq!(all(read("arrays.npz", "half").unwrap()), [0.25, -1.5, 0.0]);
        assert_eq!(read("packed.npz", "").unwrap().what, "NPZ, array `zeros`");
        let message = |file: &str, array: &str| read(file, array).err().unwrap().message;
        assert!(message("arrays.npz", "").starts_with("the file has 8 arrays at its top, expected one: `big`"));
        assert!(message("arrays.npz", "text").contains("expected floats"));
        assert!(message("arrays.npz", "one").contains("the shape [], expected two axes"));
        assert!(message("lzf.hdf5", "none").contains("dataset `none`"));
        assert!(message("column.npy", "x").contains("`array: x` is for HDF5 and NPZ files, but the file is NPY"));
        assert!(message("area.mgz", "").contains("none of HDF5"));
        assert_eq!(read("indexes.hdf5", "tree").unwrap().what, "HDF5, dataset `tree`");
    }

    #[test]
    fn faults_of_tables_of_numbers_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        let failure = |text: &str, id: &str| {
            fs_err::write(&path, text).unwrap();
            open(&path, "", id).err().unwrap()
        };
        let wrong = failure("a,b\n1,2\n3,x\n", "");
        assert_eq!(wrong.message, "column `b` has `x`, expected a number");
        assert!(wrong.place.unwrap().ends_with(":3"));
        assert!(failure(",b\n1,2\n", "").hint.unwrap().contains("id_column: column_1"));
        assert!(failure("a,b\n1,2\n", "c").message.contains("no column `c`"));
        assert!(failure("a\n1\n", "a").message.contains("no column of numbers"));
        assert!(failure("a,b\n", "").message.contains("the shape [0, 2]"));
        fs_err::write(&path, "a,b\n,nan\n").unwrap();
        assert!(all(open(&path, "", "").unwrap()).iter().all(|value| value.is_nan()));
        let mut table = DataTable::new().text("a", ["1"]).build().unwrap();
        data_table::write_parquet(&path, &mut table).unwrap();
        assert_eq!(open(&path, "", "").err().unwrap().message, "column `a` holds str, expected numbers");
        assert!(open(&folder.path().join("none"), "", "").err().unwrap().message.contains("does not exist"));
    }
}
