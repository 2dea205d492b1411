//! `table/import`: a table of others, with a column of ids.
//!
//! Ids become text, as they are written, and must be unique. Of the other columns of a CSV file, those whose every value is `True` or
//! `False` hold truth values, those of digits whole numbers, other numbers floats, and all else text; numbers with leading zeros are
//! text, because they are names. A Parquet file has types of its own; numbers become 64 bits wide.

use std::path::Path;

use pipe_contract::{Column as Described, ColumnMeaning, Context, Ended, Failure, Kind, StageKind, Task, parameters};
use polars::prelude::{Column, DataFrame, DataType};

use crate::formats::csv_text::{CsvText, is_missing};
use crate::formats::data_table;
use crate::formats::matrix::{ID, MatrixAxis};

/// The kind.
pub(super) struct TableImport;

parameters! {
    struct Parameters {
        /// the column that holds the ids
        id: String = ID.to_owned();
        /// the columns that are kept beside it; none for all
        columns: Vec<String> = Vec::new();
    }
}

const COLUMNS: &[Described] = &[Described::new("id", "the id of the row; all other columns are those of the file")];

/// A file of others does not say what its columns mean.
fn of_file() -> ColumnMeaning {
    ColumnMeaning { about: "a column of the imported file".to_owned(), ..ColumnMeaning::default() }
}

impl StageKind for TableImport {
    fn kind(&self) -> Kind {
        Kind::new("table/import", 1, "a table of a CSV or Parquet file, with a column of ids")
            .input("file", &[], "CSV with a line of names (fields divided by comma, tab or semicolon), or Parquet")
            .folder("table", "table", "its rows in their order: `id`, then the other columns with types")
            .described(data_table::FILES, COLUMNS)
            .others(|_, _, _| of_file())
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let path = task.one("file")?;
        let at = |failure: Failure| match failure.place {
            None => failure.at(path.display().to_string()),
            Some(_) => failure,
        };
        let mut table = read(path, &parameters).map_err(at)?;
        MatrixAxis::new(table.clone()).map_err(at)?;
        context.log(&format!("{} rows of {} columns", table.height(), table.width()));
        data_table::write(task.output("table")?, &mut table)?;
        Ok(Ended::done())
    }
}

/// The table with its ids first.
fn read(path: &Path, parameters: &Parameters) -> Result<DataFrame, Failure> {
    let file =
        if data_table::is_parquet(path)? { data_table::read_parquet(path)? } else { read_csv(path, &parameters.id)? };
    let names: Vec<String> = file.get_column_names().iter().map(ToString::to_string).collect();
    let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let absent =
        |name: &String| Failure::input(format!("there is no column `{name}`; the file has {}", listed.join(", ")));
    if !names.contains(&parameters.id) {
        return Err(absent(&parameters.id).hint("`id` names the column that holds the ids"));
    }
    if let Some(name) = parameters.columns.iter().find(|name| !names.contains(name)) {
        return Err(absent(name));
    }
    let mut columns = vec![Column::new(ID.into(), data_table::words(&file, &parameters.id)?)];
    let is_kept = |name: &str| parameters.columns.is_empty() || parameters.columns.iter().any(|kept| kept == name);
    for column in
        file.columns().iter().filter(|column| column.name() != parameters.id.as_str() && is_kept(column.name()))
    {
        if column.name() == ID {
            return Err(Failure::input(format!(
                "the ids are those of `{}`, but there is another column `{ID}`",
                parameters.id
            ))
            .hint("choose that one, or list the columns that are kept in `columns`"));
        }
        columns.push(plain(column)?);
    }
    DataFrame::new_infer_height(columns).map_err(|error| Failure::internal(error.to_string()))
}

/// A column of one of the four types that tables have here.
fn plain(column: &Column) -> Result<Column, Failure> {
    let to = match column.dtype() {
        DataType::Boolean | DataType::String => return Ok(column.clone()),
        whole if whole.is_integer() => DataType::Int64,
        DataType::Float32 | DataType::Float64 => DataType::Float64,
        other => {
            return Err(Failure::input(format!(
                "column `{}` holds {other}, expected numbers, text or truth values",
                column.name()
            ))
            .hint("list the columns that are kept in `columns`"));
        }
    };
    column.strict_cast(&to).map_err(|error| Failure::input(format!("column `{}`: {error}", column.name())))
}

fn read_csv(path: &Path, id: &str) -> Result<DataFrame, Failure> {
    let mut file = CsvText::open(path)?;
    let names = file.names().to_vec();
    let mut fields: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    while let Some(record) = file.read()? {
        fields.iter_mut().zip(record).for_each(|(column, field)| column.push(field.to_owned()));
    }
    let typed = |(name, fields): (&String, Vec<String>)| match name == id {
        true => Column::new(name.as_str().into(), fields),
        false => typed(name, fields),
    };
    DataFrame::new_infer_height(names.iter().zip(fields).map(typed).collect())
        .map_err(|error| Failure::internal(error.to_string()))
}

/// A column of the narrowest type that all of its fields have: truth values, whole numbers, floats, text.
fn typed(name: &str, fields: Vec<String>) -> Column {
    let has_values = fields.iter().any(|field| !is_missing(field));
    let is_name = |field: &str| {
        let digits = field.trim_start_matches('-');
        digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !has_values || fields.iter().any(|field| is_name(field.trim())) {
        return Column::new(name.into(), fields);
    }
    let name = || name.into();
    let flags = all(&fields, |field| match field {
        "True" | "true" | "TRUE" => Some(true),
        "False" | "false" | "FALSE" => Some(false),
        _ => None,
    });
    flags
        .map(|flags| Column::new(name(), flags))
        .or_else(|| all(&fields, |field| field.parse::<i64>().ok()).map(|values| Column::new(name(), values)))
        .or_else(|| all(&fields, |field| field.parse::<f64>().ok()).map(|values| Column::new(name(), values)))
        .unwrap_or_else(|| Column::new(name(), fields))
}

/// Every field converted, `None` where one is missing; nothing if one is something else.
fn all<T>(fields: &[String], convert: impl Fn(&str) -> Option<T>) -> Option<Vec<Option<T>>> {
    let one = |field: &String| if is_missing(field) { Some(None) } else { convert(field.trim()).map(Some) };
    fields.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::test_support::tasks;

    fn import(bytes: &[u8], set: &[(&str, Value)]) -> Result<DataFrame, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&TableImport, folder.path());
        let path = folder.path().join("file");
        fs_err::write(&path, bytes).unwrap();
        tasks::give(&mut task, "file", &path);
        for (name, value) in set {
            tasks::set(&mut task, name, value.clone());
        }
        tasks::run(&TableImport, &task)?;
        data_table::read(&folder.path().join("table"))
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    const IMAGES: &[u8] = b",unique_ims,shared1000,n_reps,score,name,code\n\
        0,46003,True,3,0.5,cat,007\n1,61883,False,0,,dog,1\n2,829,True,2,-1e3,,2\n";

    #[test]
    fn columns_have_the_types_of_their_values() {
        let table = import(IMAGES, &[("id", text("unique_ims"))]).unwrap();
        let names: Vec<&str> = table.get_column_names().iter().map(|name| name.as_str()).collect();
        assert_eq!(names, ["id", "column_1", "shared1000", "n_reps", "score", "name", "code"]);
        assert_eq!(data_table::texts(&table, "id").unwrap(), ["46003", "61883", "829"]);
        assert_eq!(data_table::flags(&table, "shared1000").unwrap(), [true, false, true]);
        assert_eq!(data_table::integers(&table, "n_reps").unwrap(), [3, 0, 2]);
        assert!(data_table::numbers(&table, "score").unwrap_err().message.contains("no value in row 2"));
        assert_eq!(data_table::texts(&table, "name").unwrap(), ["cat", "dog", ""]);
        assert_eq!(data_table::texts(&table, "code").unwrap(), ["007", "1", "2"]);
        let by_code = import(IMAGES, &[("id", text("code")), ("columns", Value::List(vec![text("n_reps")]))]).unwrap();
        assert_eq!(by_code.width(), 2);
        assert_eq!(data_table::texts(&by_code, "id").unwrap(), ["007", "1", "2"]);
    }

    #[test]
    fn parquet_files_keep_their_types() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let mut table = DataTable::new().integers("image", [7, 8]).flags("shared", [true, false]).build().unwrap();
        data_table::write_parquet(&path, &mut table).unwrap();
        let bytes = fs_err::read(&path).unwrap();
        let table = import(&bytes, &[("id", text("image"))]).unwrap();
        assert_eq!(data_table::texts(&table, "id").unwrap(), ["7", "8"]);
        assert_eq!(data_table::flags(&table, "shared").unwrap(), [true, false]);
    }

    #[test]
    fn ids_are_there_and_unique() {
        let message = |bytes: &[u8], id: &str| import(bytes, &[("id", text(id))]).unwrap_err().message;
        assert!(message(IMAGES, "id").starts_with("there is no column `id`; the file has `column_1`, `unique_ims`"));
        assert!(message(b"a,b\nx,1\nx,2\n", "a").contains("`x` is the id of rows 1 and 2"));
        assert!(message(b"a,id\nx,1\n", "a").contains("another column `id`"));
        assert!(message(b"a,b\n,1\n", "a").contains("row 1 is empty"));
        assert!(message(b"a,b\n", "a").contains("no row"));
        let columns = Value::List(vec![text("c")]);
        assert!(import(b"a,b\nx,1\n", &[("id", text("a")), ("columns", columns)]).unwrap_err().message.contains("`c`"));
    }
}
