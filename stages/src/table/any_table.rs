//! Tables of any content in memory: named columns of four types, for kinds that choose, order, join and sum up rows.
//!
//! Decides what is empty (no value, and a number that is not a number), how values are compared, how the tables of a gather become one,
//! and that the stamp of simulated data is not a column to work with: it is taken off when a table is read and put back when the
//! result is written. Independent of what columns mean. Single-threaded, so results do not depend on threads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use pipe_contract::{ColumnMeaning, Context, Coordinates, Failure, InputColumns, Parameter, Task, Value};
use polars::prelude::{Column, DataFrame, DataType, PolarsError};

use crate::formats::data_table::{self, STAMP};
use crate::formats::nearest_names::nearest;

/// What a port takes that takes any table.
pub(super) const ANY: &str =
    "a table, or those of all cells: one below the other, with a column for each axis by which they are gathered";

/// What a column means that is taken over from the table at a port.
pub(super) fn kept(port: &str, name: &str, inputs: &InputColumns<'_>) -> ColumnMeaning {
    inputs(port, name).unwrap_or_else(|| ColumnMeaning {
        about: "as in the table that it comes from, which does not say what it means".to_owned(),
        ..ColumnMeaning::default()
    })
}

/// The values of a column, none where it is empty.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ColumnCells {
    Flags(Vec<Option<bool>>),
    Whole(Vec<Option<i64>>),
    Numbers(Vec<Option<f64>>),
    Texts(Vec<Option<String>>),
}

/// A value as it is compared with others of its column: false before true, numbers by size (0 and -0 are one), text by code points,
/// nothing last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CellKey<'a> {
    Flag(bool),
    Whole(i64),
    /// Bits that are ordered as the numbers are.
    Number(u64),
    Text(&'a str),
    Empty,
}

impl ColumnCells {
    fn read(column: &Column) -> Result<Self, Failure> {
        match column.dtype() {
            DataType::Boolean => Ok(Self::Flags(column.bool().map_err(unexpected)?.iter().collect())),
            DataType::String => {
                let texts = column.str().map_err(unexpected)?;
                Ok(Self::Texts(texts.iter().map(|text| text.map(str::to_owned)).collect()))
            }
            DataType::Float32 | DataType::Float64 => {
                let wide = column.cast(&DataType::Float64).map_err(unexpected)?;
                let numbers = wide.f64().map_err(unexpected)?;
                Ok(Self::Numbers(numbers.iter().map(|number| number.filter(|number| !number.is_nan())).collect()))
            }
            whole if whole.is_integer() => {
                let wide = column
                    .strict_cast(&DataType::Int64)
                    .map_err(|error| Failure::input(format!("column `{}`: {error}", column.name())))?;
                Ok(Self::Whole(wide.i64().map_err(unexpected)?.iter().collect()))
            }
            other => Err(Failure::input(format!(
                "column `{}` holds {other}, expected numbers, text or truth values",
                column.name()
            ))),
        }
    }

    fn into_column(self, name: &str) -> Column {
        match self {
            Self::Flags(values) => Column::new(name.into(), values),
            Self::Whole(values) => Column::new(name.into(), values),
            Self::Numbers(values) => Column::new(name.into(), values),
            Self::Texts(values) => Column::new(name.into(), values),
        }
    }

    /// What it holds, in words.
    pub fn holds(&self) -> &'static str {
        match self {
            Self::Flags(_) => "truth values",
            Self::Whole(_) => "whole numbers",
            Self::Numbers(_) => "numbers",
            Self::Texts(_) => "text",
        }
    }

    /// The value in a row, for comparisons.
    pub fn key(&self, row: usize) -> CellKey<'_> {
        let key = match self {
            Self::Flags(values) => values[row].map(CellKey::Flag),
            Self::Whole(values) => values[row].map(CellKey::Whole),
            Self::Numbers(values) => values[row].map(|number| CellKey::Number(ordered(number))),
            Self::Texts(values) => values[row].as_deref().map(CellKey::Text),
        };
        key.unwrap_or(CellKey::Empty)
    }

    /// The value in a row as text; empty if there is none.
    pub fn word(&self, row: usize) -> String {
        let word = match self {
            Self::Flags(values) => values[row].map(|flag| flag.to_string()),
            Self::Whole(values) => values[row].map(|number| number.to_string()),
            Self::Numbers(values) => values[row].map(|number| number.to_string()),
            Self::Texts(values) => values[row].clone(),
        };
        word.unwrap_or_default()
    }

    /// The value in a row as a number, truth values as 0 and 1; none of text.
    #[expect(clippy::cast_precision_loss, reason = "whole numbers beyond 2^53 are rounded, as everywhere in float64")]
    pub fn number(&self, row: usize) -> Option<f64> {
        match self {
            Self::Flags(values) => values[row].map(|flag| f64::from(u8::from(flag))),
            Self::Whole(values) => values[row].map(|number| number as f64),
            Self::Numbers(values) => values[row],
            Self::Texts(_) => None,
        }
    }

    /// Its values in these rows, nothing where there is no row.
    pub fn take(&self, rows: &[Option<usize>]) -> Self {
        match self {
            Self::Flags(values) => Self::Flags(taken(values, rows)),
            Self::Whole(values) => Self::Whole(taken(values, rows)),
            Self::Numbers(values) => Self::Numbers(taken(values, rows)),
            Self::Texts(values) => Self::Texts(taken(values, rows)),
        }
    }

    /// Parameters as values of the type of this column, or the first one that is of another type. Coordinates of axes are text, so
    /// text that reads as a number or truth value is one where the column holds these.
    pub fn of_same_type(&self, values: &[Value]) -> Result<Self, Value> {
        match self {
            Self::Flags(_) => converted(values).map(Self::Flags),
            Self::Whole(_) => converted(values).map(Self::Whole),
            Self::Numbers(_) => converted(values).map(Self::Numbers),
            Self::Texts(_) => converted(values).map(Self::Texts),
        }
    }

    /// Adds values below; false if they are of another type.
    pub fn append(&mut self, below: Self) -> bool {
        match (self, below) {
            (Self::Flags(values), Self::Flags(below)) => values.extend(below),
            (Self::Whole(values), Self::Whole(below)) => values.extend(below),
            (Self::Numbers(values), Self::Numbers(below)) => values.extend(below),
            (Self::Texts(values), Self::Texts(below)) => values.extend(below),
            _ => return false,
        }
        true
    }
}

fn taken<T: Clone>(values: &[Option<T>], rows: &[Option<usize>]) -> Vec<Option<T>> {
    rows.iter().map(|row| row.and_then(|row| values[row].clone())).collect()
}

fn converted<T: Parameter + FromStr>(values: &[Value]) -> Result<Vec<Option<T>>, Value> {
    let convert = |value: &Value| T::read(value).or_else(|| value.as_text().and_then(|text| text.parse().ok()));
    values.iter().map(|value| convert(value).map(Some).ok_or_else(|| value.clone())).collect()
}

/// Bits that are ordered as numbers are. Adding 0 makes a negative zero a plain one.
fn ordered(number: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    let bits = (number + 0.0).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn unexpected(error: PolarsError) -> Failure {
    Failure::internal(error.to_string())
}

/// A table.
#[derive(Debug, Default)]
pub(super) struct AnyTable {
    names: Vec<String>,
    columns: Vec<ColumnCells>,
    height: usize,
    /// It is of simulated data.
    simulated: bool,
}

impl AnyTable {
    /// The tables at a port as one, and a note if some are absent.
    ///
    /// # Errors
    /// Input: no table, one that cannot be read, or tables with other columns than the first; the message says where.
    pub fn read(task: &Task, port: &str) -> Result<(Self, Vec<String>), Failure> {
        let mut all: Option<Self> = None;
        for (at, folder) in task.present(port) {
            let placed = |failure: Failure| match failure.place {
                None => failure.at(folder.display().to_string()),
                Some(_) => failure,
            };
            let table = Self::open(folder, at).map_err(placed)?;
            match &mut all {
                Some(all) => all.append(table).map_err(placed)?,
                None => all = Some(table),
            }
        }
        let all = all.ok_or_else(|| Failure::input(format!("no table is present at the port `{port}`")))?;
        Ok((all, task.absences(port).into_iter().collect()))
    }

    /// A table with the coordinates of its cell as columns before its own. An axis that is a column of the table already is that one.
    fn open(folder: &Path, at: &Coordinates) -> Result<Self, Failure> {
        let frame = data_table::read(folder)?;
        let mut table = Self { height: frame.height(), ..Self::default() };
        let own = frame.get_column_names();
        for (axis, value) in at.iter().filter(|(axis, _)| !own.iter().any(|name| name.as_str() == axis.as_str())) {
            table.add(axis, ColumnCells::Texts(vec![Some(value.clone()); table.height]))?;
        }
        for column in frame.columns() {
            table.add(column.name().as_str(), ColumnCells::read(column)?)?;
        }
        table.take_stamp();
        Ok(table)
    }

    fn take_stamp(&mut self) {
        let Some(at) = self.names.iter().position(|name| name == STAMP.name) else { return };
        if matches!(&self.columns[at], ColumnCells::Flags(flags) if flags.iter().all(|flag| *flag == Some(true))) {
            self.names.remove(at);
            self.columns.remove(at);
            self.simulated = true;
        }
    }

    fn append(&mut self, below: Self) -> Result<(), Failure> {
        if self.sorted_names() != below.sorted_names() {
            let (there, here) = (quoted(&self.names), quoted(&below.names));
            return Err(Failure::input(format!("the table has the columns {here}, but those before it have {there}")));
        }
        let mut added: BTreeMap<String, ColumnCells> = below.names.into_iter().zip(below.columns).collect();
        for (name, cells) in self.names.iter().zip(&mut self.columns) {
            if let Some(below) = added.remove(name) {
                let holds = below.holds();
                if !cells.append(below) {
                    let before = cells.holds();
                    return Err(Failure::input(format!(
                        "the column `{name}` holds {holds}, but {before} in the tables before"
                    )));
                }
            }
        }
        self.height += below.height;
        self.simulated |= below.simulated;
        Ok(())
    }

    fn sorted_names(&self) -> BTreeSet<&String> {
        self.names.iter().collect()
    }

    /// Without columns and with so many rows, of simulated data if one of these tables is.
    pub fn with_height(height: usize, tables: &[&Self]) -> Self {
        Self { height, simulated: tables.iter().any(|table| table.simulated), ..Self::default() }
    }

    /// Adds a column, with as many values as there are rows.
    ///
    /// # Errors
    /// Input: there is a column of this name.
    pub fn add(&mut self, name: &str, cells: ColumnCells) -> Result<(), Failure> {
        if self.names.iter().any(|known| known == name) {
            return Err(Failure::input(format!("two columns would be called `{name}`, expected each name once")));
        }
        self.names.push(name.to_owned());
        self.columns.push(cells);
        Ok(())
    }

    /// How many rows it has.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The names of its columns, in their order, with their values.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &ColumnCells)> {
        self.names.iter().map(String::as_str).zip(&self.columns)
    }

    /// The values of a column.
    ///
    /// # Errors
    /// Input: no such column; which names are nearest.
    pub fn column(&self, name: &str) -> Result<&ColumnCells, Failure> {
        self.columns().find(|(known, _)| *known == name).map(|(_, cells)| cells).ok_or_else(|| {
            let near = nearest(name, self.names.iter().map(String::as_str));
            Failure::input(format!("there is no column `{name}`")).hint(format!("the nearest names are {near}"))
        })
    }

    /// The values of several columns.
    ///
    /// # Errors
    /// As [`AnyTable::column`]; Input: one is named twice, where `what` is the parameter that names them.
    pub fn several(&self, names: &[String], what: &str) -> Result<Vec<&ColumnCells>, Failure> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
            return Err(Failure::input(format!("`{what}` has `{twice}` twice, expected each column once")));
        }
        names.iter().map(|name| self.column(name)).collect()
    }

    /// Rows that have the same values in these columns, by group; groups in the order in which they first appear. No columns: one
    /// group of all rows, if there is one.
    pub fn groups(&self, by: &[&ColumnCells]) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut places: BTreeMap<Vec<CellKey<'_>>, usize> = BTreeMap::new();
        for row in 0..self.height {
            let place = *places.entry(keys(by, row)).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[place].push(row);
        }
        groups
    }

    /// Some of its rows, in this order.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let rows: Vec<Option<usize>> = rows.iter().copied().map(Some).collect();
        Self {
            names: self.names.clone(),
            columns: self.columns.iter().map(|cells| cells.take(&rows)).collect(),
            height: rows.len(),
            simulated: self.simulated,
        }
    }

    /// Writes it to the output `table`, with the stamp of simulated data last.
    ///
    /// # Errors
    /// Input: it has another column with the name of the stamp. Environment: a file cannot be written.
    pub fn write(mut self, task: &Task, context: &dyn Context) -> Result<(), Failure> {
        if self.simulated || task.simulated {
            self.add(STAMP.name, ColumnCells::Flags(vec![Some(true); self.height]))?;
        }
        context.log(&format!("{} rows of {} columns", self.height, self.names.len()));
        let columns = self.names.iter().zip(self.columns).map(|(name, cells)| cells.into_column(name)).collect();
        let mut frame = DataFrame::new_infer_height(columns).map_err(unexpected)?;
        data_table::write(task.output("table")?, &mut frame)
    }
}

/// The values of a row in these columns, for comparisons.
pub(super) fn keys<'a>(columns: &[&'a ColumnCells], row: usize) -> Vec<CellKey<'a>> {
    columns.iter().map(|cells| cells.key(row)).collect()
}

/// The values of a row in these columns, for messages.
pub(super) fn words(columns: &[&ColumnCells], row: usize) -> String {
    let words: Vec<String> = columns.iter().map(|cells| cells.word(row)).collect();
    quoted(&words)
}

/// Names in backticks.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Tables for the tests of kinds.
#[cfg(test)]
pub(super) mod tests {
    use fs_err as fs;
    use pipe_contract::StageKind;

    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::test_support::tasks::{self, gather};

    /// A task with one table at each of these ports.
    pub fn given(stage: &dyn StageKind, folder: &Path, tables: &[(&str, DataTable)]) -> Task {
        let mut task = tasks::task(stage, folder);
        for (port, table) in tables {
            give(&mut task, port, &[], table.clone());
        }
        task
    }

    /// Adds a table at a port.
    pub fn give(task: &mut Task, port: &str, at: &[(&str, &str)], table: DataTable) {
        let folder = task.scratch.join(format!("{port}-{}", task.many(port).len()));
        data_table::write(&folder, &mut table.build().unwrap()).unwrap();
        gather(task, port, at, Some(&folder));
    }

    /// The CSV file that a task made, and its notes.
    pub fn made(stage: &dyn StageKind, task: &Task) -> Result<(String, Vec<String>), Failure> {
        let notes = tasks::run(stage, task)?;
        Ok((fs::read_to_string(task.output("table").unwrap().join(data_table::CSV)).unwrap(), notes))
    }

    /// A parameter that is a list of texts.
    pub fn list(words: &[&str]) -> Value {
        Value::List(words.iter().map(|word| text(word)).collect())
    }

    /// A parameter that is text.
    pub fn text(word: &str) -> Value {
        Value::Text(word.to_owned())
    }

    /// A parameter that is a map.
    pub fn map(entries: &[(&str, Value)]) -> Value {
        Value::Map(entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    #[test]
    fn values_are_ordered_by_size_and_code_point_and_nothing_is_last() {
        let numbers = ColumnCells::Numbers(
            [f64::NEG_INFINITY, -2.0, -0.5, 0.0, 1e-300, 0.5, 2.0, f64::INFINITY].map(Some).into(),
        );
        assert!((1..8).all(|row| numbers.key(row - 1) < numbers.key(row) && numbers.key(row) < CellKey::Empty));
        let zeros = ColumnCells::Numbers(vec![Some(0.0), Some(-0.0), None]);
        assert_eq!(zeros.key(0), zeros.key(1));
        assert_eq!(zeros.key(2), CellKey::Empty);
        let texts = ColumnCells::Texts(["", "V10", "V2", "v1", "\u{e9}"].map(|text| Some(text.to_owned())).into());
        assert!((1..5).all(|row| texts.key(row - 1) < texts.key(row)));
        assert!(CellKey::Flag(false) < CellKey::Flag(true) && CellKey::Whole(-3) < CellKey::Whole(2));
    }

    #[test]
    fn tables_of_cells_are_one_table_with_their_axes() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&crate::table::table_import::TableImport, folder.path());
        let table = |id: &str, number: f64| DataTable::new().text("id", [id]).numbers("r2", [number]);
        give(&mut task, "table", &[("pair", "a_b"), ("id", "no")], table("x", 0.5).stamped(true));
        let other = DataTable::new().numbers("r2", [f64::NAN]).text("id", ["y"]);
        give(&mut task, "table", &[("pair", "a_c")], other);
        gather(&mut task, "table", &[("pair", "b_c")], None);
        let (table_of_all, notes) = AnyTable::read(&task, "table").unwrap();
        assert_eq!(notes, ["2 of 3 `table` (1 not-found)"]);
        let texts = |words: [&str; 2]| ColumnCells::Texts(words.map(|word| Some(word.to_owned())).into());
        let expected = [("pair", texts(["a_b", "a_c"])), ("id", texts(["x", "y"]))];
        let found: Vec<(&str, &ColumnCells)> = table_of_all.columns().collect();
        assert_eq!(found[..2], expected.each_ref().map(|(name, cells)| (*name, cells)));
        assert_eq!(found[2], ("r2", &ColumnCells::Numbers(vec![Some(0.5), None])));
        assert!(table_of_all.simulated && found.len() == 3);
        let near = table_of_all.column("pairs").unwrap_err();
        assert_eq!(near.message, "there is no column `pairs`");
        assert!(near.hint.unwrap().starts_with("the nearest names are `pair`"));

        let lacking = DataTable::new().text("id", ["z"]);
        give(&mut task, "table", &[("pair", "c_d")], lacking);
        let failure = AnyTable::read(&task, "table").unwrap_err();
        assert_eq!(
            failure.message,
            "the table has the columns `pair`, `id`, but those before it have `pair`, `id`, `r2`"
        );
        assert!(failure.place.unwrap().contains("table-3"));
        let none = tasks::task(&crate::table::table_import::TableImport, folder.path());
        assert_eq!(AnyTable::read(&none, "table").unwrap_err().message, "no table is present at the port `table`");
    }

    #[test]
    fn a_column_of_another_type_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&crate::table::table_import::TableImport, folder.path());
        give(&mut task, "table", &[], DataTable::new().text("n", ["1"]));
        give(&mut task, "table", &[], DataTable::new().integers("n", [1]));
        let message = AnyTable::read(&task, "table").unwrap_err().message;
        assert_eq!(message, "the column `n` holds whole numbers, but text in the tables before");
    }
}
