//! RDMs in files of other programs: MATLAB level 5, NPY, NPZ, HDF5, CSV, Parquet. The first bytes of a file say which it is.
//!
//! Decides which arrays of a file are RDMs and which names it has for them and for their entries: fields of an array of structures
//! (MATLAB), cells, one array with further axes, rows and columns of a table, descriptors (rsatoolbox). MATLAB 7.3 is HDF5 with its axes in
//! the opposite order, which is turned back. Not what forms an array of numbers can have, which
//! [`rdm_forms`](super::rdm_forms) decides. Whole files are read, because a set of RDMs is in memory anyway.

use std::io::Read;
use std::path::Path;

use fs_err::File;
use pipe_contract::Failure;
use polars::prelude::DataFrame;

use super::file_properties::FileProperties;
use super::rdm_forms::{NumberArray, RdmForm};
use crate::formats::csv_text::{self, CsvText};
use crate::formats::data_table;
use crate::formats::hdf5;
use crate::formats::matlab5::{MatArray, MatFile, MatNumbers, MatStructures};
use crate::formats::numpy::{self, Npz};
use crate::formats::rsatoolbox_file::{PATTERN_DESCRIPTORS, RDM_DESCRIPTORS};

/// What a file has.
pub(super) struct RdmSource {
    /// What it is, such as ``MATLAB 5, variable `RDMs` ``.
    pub what: String,
    /// The arrays that hold RDMs, each one or several.
    pub arrays: Vec<NumberArray>,
    /// The names of the arrays.
    pub rdm_names: Option<Vec<String>>,
    /// The names of the entries.
    pub entry_names: Option<Vec<String>>,
    /// What else a file of rsatoolbox says of its RDMs.
    pub of_rdms: FileProperties,
    /// What else it says of the entries.
    pub of_entries: FileProperties,
}

/// Where RDMs are in a file.
pub(super) struct WantedRdms<'a> {
    /// The variable, array or dataset; empty for the only one.
    pub variable: &'a str,
    /// The field of structures that holds the RDM.
    pub field: &'a str,
    /// The field of structures that holds the name.
    pub name_field: &'a str,
    /// The column of a table that holds names of its rows; empty for none.
    pub id_column: &'a str,
    /// Whether numbers are squares or triangles.
    pub form: RdmForm,
    /// rsatoolbox's descriptor of RDMs that is their id.
    pub rdm_descriptor: &'a str,
    /// rsatoolbox's descriptor of patterns that is the id of entries.
    pub entry_descriptor: &'a str,
}

/// rsatoolbox's dataset of RDMs.
const OF_RSATOOLBOX: &str = "dissimilarities";

impl RdmSource {
    /// Reads a file.
    ///
    /// # Errors
    /// Input: it is missing, damaged, of another form, or has not what is asked for. Environment: it cannot be read.
    pub fn read(path: &Path, wanted: &WantedRdms<'_>) -> Result<Self, Failure> {
        let form = FileForm::of(path)?;
        for (name, value, fits) in [
            ("variable", wanted.variable, !matches!(form, FileForm::Npy | FileForm::Parquet | FileForm::Csv)),
            ("id_column", wanted.id_column, matches!(form, FileForm::Parquet | FileForm::Csv)),
        ] {
            if !value.is_empty() && !fits {
                return Err(Failure::input(format!("`{name}: {value}` is not for {} files", form.word()))
                    .hint(format!("leave `{name}` out")));
            }
        }
        match form {
            FileForm::Matlab => of_matlab(path, wanted),
            FileForm::Npy => Ok(Self::unnamed(form.word().to_owned(), of_numpy(&numpy::read_npy(path)?)?)),
            FileForm::Npz => {
                let mut archive = Npz::open(path)?;
                let name = only(wanted.variable, archive.names(), "array")?;
                let what = format!("{}, array `{name}`", form.word());
                Ok(Self::unnamed(what, of_numpy(&archive.array(&name)?)?))
            }
            FileForm::Hdf5 => of_hdf5(path, wanted),
            FileForm::Parquet => of_table(&data_table::read_parquet(path)?, wanted),
            FileForm::Csv => of_csv(path, wanted),
        }
    }

    fn unnamed(what: String, array: NumberArray) -> Self {
        Self::named(what, vec![array], None)
    }

    fn named(what: String, arrays: Vec<NumberArray>, rdm_names: Option<Vec<String>>) -> Self {
        let (of_rdms, of_entries) = (FileProperties::default(), FileProperties::default());
        Self { what, arrays, rdm_names, entry_names: None, of_rdms, of_entries }
    }
}

/// Forms of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileForm {
    Matlab,
    Hdf5,
    Npy,
    Npz,
    Parquet,
    Csv,
}

impl FileForm {
    fn of(path: &Path) -> Result<Self, Failure> {
        let mut head = Vec::new();
        File::open(path).and_then(|file| file.take(1024).read_to_end(&mut head)).map_err(|error| {
            match error.kind() {
                std::io::ErrorKind::NotFound => Failure::input("the file does not exist"),
                std::io::ErrorKind::IsADirectory => Failure::input("the path is a folder, expected a file"),
                _ => Failure::io("read", path, &error),
            }
        })?;
        const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";
        // MATLAB 7.3 has 512 bytes of its own before.
        let is_hdf5 = [0, 512].iter().any(|at| head.get(*at..).is_some_and(|rest| rest.starts_with(HDF5)));
        Ok(match &head[..] {
            _ if is_hdf5 => Self::Hdf5,
            head if MatFile::is_one(head) => Self::Matlab,
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Self::Npy,
            [b'P', b'K', 3, 4, ..] => Self::Npz,
            [b'P', b'A', b'R', b'1', ..] => Self::Parquet,
            head if head.contains(&0) => {
                return Err(Failure::input("the file is none of MATLAB 5, HDF5, NPY, NPZ, Parquet and CSV"));
            }
            _ => Self::Csv,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Matlab => "MATLAB 5",
            Self::Hdf5 => "HDF5",
            Self::Npy => "NPY",
            Self::Npz => "NPZ",
            Self::Parquet => "Parquet",
            Self::Csv => "CSV",
        }
    }
}

/// The name that is asked for, or the only one.
fn only(wanted: &str, names: Vec<String>, what: &str) -> Result<String, Failure> {
    if !wanted.is_empty() {
        return Ok(wanted.to_owned());
    }
    match <[String; 1]>::try_from(names) {
        Ok([only]) => Ok(only),
        Err(names) => {
            let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let message =
                format!("the file has {} {what}s at its top, expected one: {}", names.len(), listed.join(", "));
            Err(Failure::input(message).hint(format!("say which {what} is meant, with `variable`")))
        }
    }
}

fn of_numpy(array: &numpy::Array) -> Result<NumberArray, Failure> {
    Ok(NumberArray { shape: array.shape().to_vec(), values: array.floats()? })
}

fn of_hdf5(path: &Path, wanted: &WantedRdms<'_>) -> Result<RdmSource, Failure> {
    let file = hdf5::File::open(path)?;
    let mut names = file.datasets()?;
    if names.iter().any(|name| name == OF_RSATOOLBOX) {
        names.retain(|name| name == OF_RSATOOLBOX);
    }
    let name = only(wanted.variable, names, "dataset")?;
    let shape: Vec<usize> =
        file.shape(&name)?.into_iter().map(|axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect();
    let values = file.numbers(&name, None)?;
    let array = match shape.len() == 2 && file.is_of_matlab(&name)? {
        true => by_rows(&values, shape[1], shape[0]),
        false => NumberArray { shape, values },
    };
    let mut source = RdmSource::unnamed(format!("{}, dataset `{name}`", FileForm::Hdf5.word()), array);
    if name == OF_RSATOOLBOX {
        source.of_rdms = FileProperties::read(&file, RDM_DESCRIPTORS, wanted.rdm_descriptor)?;
        source.of_entries = FileProperties::read(&file, PATTERN_DESCRIPTORS, wanted.entry_descriptor)?;
        source.rdm_names = source.of_rdms.ids.clone();
        source.entry_names = source.of_entries.ids.clone();
    }
    Ok(source)
}

/// Numbers that lie column after column, row after row.
fn by_rows(by_column: &[f64], rows: usize, columns: usize) -> NumberArray {
    let by_row = (0..rows).flat_map(|row| by_column.iter().skip(row).step_by(rows.max(1)).copied());
    NumberArray { shape: vec![rows, columns], values: by_row.collect() }
}

fn of_matlab(path: &Path, wanted: &WantedRdms<'_>) -> Result<RdmSource, Failure> {
    let file = MatFile::open(path)?;
    let variable = file.variable(wanted.variable)?;
    let name = if wanted.variable.is_empty() { file.names()[0].to_owned() } else { wanted.variable.to_owned() };
    let what = format!("{}, variable `{name}`", FileForm::Matlab.word());
    let (arrays, rdm_names) = match &variable {
        MatArray::Numbers(numbers) => (vec![of_numbers(numbers)], None),
        MatArray::Cells(_, cells) => (cells.iter().map(rdm_of).collect::<Result<_, Failure>>()?, None),
        MatArray::Structures(structures) => {
            let rdms = structures.field(wanted.field).ok_or_else(|| {
                Failure::input(format!(
                    "the structures have no field `{}`: they are {}",
                    wanted.field,
                    variable.words()
                ))
                .hint("`field` names the field that holds the RDM")
            })?;
            let arrays = rdms.into_iter().map(rdm_of).collect::<Result<_, Failure>>()?;
            (arrays, names_of(structures, wanted.name_field)?)
        }
        MatArray::Text(_) => return Err(Failure::input(format!("`{name}` is a text, expected RDMs"))),
    };
    Ok(RdmSource::named(what, arrays, rdm_names))
}

fn rdm_of(array: &MatArray) -> Result<NumberArray, Failure> {
    match array {
        MatArray::Numbers(numbers) => Ok(of_numbers(numbers)),
        other => Err(Failure::input(format!("an RDM is {}, expected numbers", other.words()))),
    }
}

/// Rows of a matrix stay rows; of three axes the last is that of the RDMs, as is usual in MATLAB.
fn of_numbers(numbers: &MatNumbers) -> NumberArray {
    match numbers.shape[..] {
        [rows, columns] => by_rows(&numbers.values, rows, columns),
        _ => {
            let shape = numbers.shape.iter().rev().copied().collect();
            NumberArray { shape, values: numbers.values.clone() }
        }
    }
}

/// The names of structures; none where they have no such field.
fn names_of(structures: &MatStructures, field: &str) -> Result<Option<Vec<String>>, Failure> {
    let Some(names) = structures.field(field) else { return Ok(None) };
    let name = |array: &MatArray| match array {
        MatArray::Text(rows) if rows.len() == 1 => Ok(rows[0].trim().to_owned()),
        other => Err(Failure::input(format!("the field `{field}` holds {}, expected a name", other.words())).hint(
            "`name_field` names the field with the name of the RDM; with one that is not there, RDMs are numbered",
        )),
    };
    names.into_iter().map(name).collect::<Result<_, Failure>>().map(Some)
}

/// Numbers of a table, which may have a column of names.
fn of_table(frame: &DataFrame, wanted: &WantedRdms<'_>) -> Result<RdmSource, Failure> {
    let id_column = wanted.id_column;
    let columns: Vec<String> = frame.get_column_names().iter().map(ToString::to_string).collect();
    let others: Vec<String> = columns.into_iter().filter(|name| name != id_column).collect();
    let numbers = |name: &String| data_table::maybe_any_numbers(frame, name);
    let numbers: Vec<Vec<Option<f64>>> = others.iter().map(numbers).collect::<Result<_, Failure>>()?;
    let by_row = (0..frame.height()).flat_map(|row| numbers.iter().map(move |column| column[row].unwrap_or(f64::NAN)));
    let array = NumberArray { shape: vec![frame.height(), others.len()], values: by_row.collect() };
    let ids = if id_column.is_empty() { None } else { Some(data_table::words(frame, id_column)?) };
    named_rows(array, ids, others, (FileForm::Parquet, wanted.form))
}

fn of_csv(path: &Path, wanted: &WantedRdms<'_>) -> Result<RdmSource, Failure> {
    let id_column = wanted.id_column;
    let mut file = CsvText::open(path)?;
    let columns = file.names().to_vec();
    let id = columns.iter().position(|name| name == id_column);
    if id.is_none() && !id_column.is_empty() {
        return Err(Failure::input(format!("there is no column `{id_column}`")));
    }
    let (mut ids, mut values, mut rows) = (Vec::new(), Vec::new(), 0);
    while let Some(record) = file.read()? {
        rows += 1;
        let mut wrong = None;
        for (column, field) in record.iter().enumerate() {
            match field.trim() {
                name if Some(column) == id => ids.push(name.to_owned()),
                missing if csv_text::is_missing(missing) => values.push(f64::NAN),
                number => match number.parse() {
                    Ok(number) => values.push(number),
                    Err(_) => wrong = wrong.or(Some((column, number.to_owned()))),
                },
            }
        }
        if let Some((column, field)) = wrong {
            let message = format!("column `{}` has `{field}`, expected a number", columns[column]);
            return Err(file.fault(message).hint("a column with names of the rows is given by `id_column`"));
        }
    }
    let others: Vec<String> =
        columns.into_iter().enumerate().filter(|(at, _)| Some(*at) != id).map(|(_, name)| name).collect();
    let array = NumberArray { shape: vec![rows, others.len()], values };
    named_rows(array, id.map(|_| ids), others, (FileForm::Csv, wanted.form))
}

/// Rows and columns of a square are entries, with the same names; rows of another table, or of triangles, are RDMs, and its columns pairs.
fn named_rows(
    array: NumberArray,
    ids: Option<Vec<String>>,
    columns: Vec<String>,
    (file, form): (FileForm, RdmForm),
) -> Result<RdmSource, Failure> {
    let square = form != RdmForm::Triangles && array.shape[0] == array.shape[1];
    if let Some(ids) = ids.as_ref().filter(|_| square)
        && let Some((row, column)) = ids.iter().zip(&columns).find(|(row, column)| row != column)
    {
        let message =
            format!("a row is called `{row}` where the column is called `{column}`, expected the same entries in both");
        return Err(Failure::input(message).hint("an RDM has its entries in the same order in rows and columns"));
    }
    let (rdm_names, entry_names) = if square { (None, Some(columns)) } else { (ids, None) };
    Ok(RdmSource { entry_names, ..RdmSource::named(file.word().to_owned(), vec![array], rdm_names) })
}
