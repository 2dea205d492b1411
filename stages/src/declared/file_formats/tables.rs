//! Tables as text or Parquet: compared column by column, previewed by their first rows.
//!
//! All are read as texts, so that a column of numbers is whatever can be read as numbers on both sides, and a table without a line
//! of names, which other programs write, is compared like any other. Whole numbers are compared as texts, and so are lists in a cell.

use std::fmt::Write as _;
use std::path::Path;

use fs_err::File;
use pipe_contract::Failure;
use polars::prelude::{AnyValue, Column, CsvWriter, DataFrame, DataType, PolarsError, SerWriter};

use super::difference::difference;
use crate::formats::data_table;

type Rows = Vec<csv::StringRecord>;

pub(super) fn compare_csv(before: &Path, now: &Path) -> Result<f64, String> {
    compare(delimited(before, b','), delimited(now, b','))
}

pub(super) fn compare_tsv(before: &Path, now: &Path) -> Result<f64, String> {
    compare(delimited(before, b'\t'), delimited(now, b'\t'))
}

pub(super) fn compare_parquet(before: &Path, now: &Path) -> Result<f64, String> {
    compare(parquet(before), parquet(now))
}

pub(super) fn head_of_csv(path: &Path, rows: usize) -> Result<String, Failure> {
    Ok(head(&delimited(path, b',')?, rows))
}

pub(super) fn head_of_tsv(path: &Path, rows: usize) -> Result<String, Failure> {
    Ok(head(&delimited(path, b'\t')?, rows))
}

pub(super) fn head_of_parquet(path: &Path, rows: usize) -> Result<String, Failure> {
    Ok(head(&parquet(path)?, rows))
}

pub(super) fn columns_of_csv(path: &Path) -> Result<Vec<String>, Failure> {
    first(path, b',')
}

pub(super) fn columns_of_tsv(path: &Path) -> Result<Vec<String>, Failure> {
    first(path, b'\t')
}

pub(super) fn columns_of_parquet(path: &Path) -> Result<Vec<String>, Failure> {
    let frame = data_table::read_parquet(path)?;
    Ok(frame.get_column_names().iter().map(ToString::to_string).collect())
}

fn open(path: &Path, delimiter: u8) -> Result<csv::Reader<std::fs::File>, Failure> {
    let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
    Ok(csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(file.into_file()))
}

fn unreadable(path: &Path, error: &csv::Error) -> Failure {
    Failure::input(format!("it is not a table: {error}")).at(path.display().to_string())
}

/// The names of the columns, without the rest of the table.
fn first(path: &Path, delimiter: u8) -> Result<Vec<String>, Failure> {
    let first = open(path, delimiter)?.into_records().next().transpose().map_err(|error| unreadable(path, &error))?;
    Ok(first.unwrap_or_default().iter().map(String::from).collect())
}

fn delimited(path: &Path, delimiter: u8) -> Result<Rows, Failure> {
    open(path, delimiter)?.into_records().collect::<Result<_, _>>().map_err(|error| unreadable(path, &error))
}

/// A Parquet file as it would be in CSV.
fn parquet(path: &Path) -> Result<Rows, Failure> {
    let mut frame = with_lists_as_text(&data_table::read_parquet(path)?)?;
    let mut text = Vec::new();
    CsvWriter::new(&mut text)
        .n_threads(1)
        .finish(&mut frame)
        .map_err(|error| Failure::internal(format!("a table has no text: {error}")))?;
    let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&text[..]);
    reader.into_records().collect::<Result<_, _>>().map_err(|error| unreadable(path, &error))
}

/// The table with each list of a column of lists as one text, which CSV has in their place.
fn with_lists_as_text(frame: &DataFrame) -> Result<DataFrame, Failure> {
    let text = |column: &Column| -> Result<Column, PolarsError> {
        if !matches!(column.dtype(), DataType::List(_)) {
            return Ok(column.clone());
        }
        let cells: Vec<String> =
            (0..column.len()).map(|row| column.get(row).map(|cell| in_brackets(&cell))).collect::<Result<_, _>>()?;
        Ok(Column::new(column.name().clone(), cells))
    };
    let columns: Result<Vec<Column>, PolarsError> = frame.columns().iter().map(text).collect();
    columns
        .and_then(|columns| DataFrame::new(frame.height(), columns))
        .map_err(|error| Failure::internal(format!("lists in a table have no text: {error}")))
}

/// A value in full; lists in square brackets.
fn in_brackets(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::List(list) => {
            let items: Vec<String> = list.iter().map(|item| in_brackets(&item)).collect();
            format!("[{}]", items.join(", "))
        }
        AnyValue::Float64(number) => format!("{number:?}"),
        other => other.to_string(),
    }
}

fn compare(before: Result<Rows, Failure>, now: Result<Rows, Failure>) -> Result<f64, String> {
    let (before, now) = (before.map_err(|error| error.to_string())?, now.map_err(|error| error.to_string())?);
    if before.len() != now.len() {
        return Err(format!("it had {} lines and has {} now", before.len(), now.len()));
    }
    let mut largest = 0.0_f64;
    for (line, (a, b)) in before.iter().zip(&now).enumerate() {
        if a.len() != b.len() {
            return Err(format!("line {} had {} columns and has {} now", line + 1, a.len(), b.len()));
        }
        for (column, (a, b)) in a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b) {
            match (a.parse(), b.parse()) {
                (Ok(a_number), Ok(b_number)) if !(is_whole(a) && is_whole(b)) => {
                    largest = largest.max(difference(a_number, b_number));
                }
                _ => {
                    let name = before[0].get(column).unwrap_or_default();
                    return Err(format!("line {}, column `{name}`: it was `{a}` and is `{b}` now", line + 1));
                }
            }
        }
    }
    Ok(largest)
}

/// Whether a cell is a whole number as it is written: a count, or the number of a subject, of which near is not the same.
fn is_whole(cell: &str) -> bool {
    cell.strip_prefix('-').unwrap_or(cell).bytes().all(|byte| byte.is_ascii_digit())
}

/// Aligned columns; numbers to the right.
fn head(rows: &Rows, wanted: usize) -> String {
    let Some((names, body)) = rows.split_first() else { return "an empty table\n".to_owned() };
    let shown = &rows[..=wanted.min(body.len())];
    let width = |column: usize| shown.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let is_number = |column: usize| {
        let mut cells = shown[1..].iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty());
        cells.all(|cell| cell.parse::<f64>().is_ok())
    };
    let layout: Vec<(usize, bool)> =
        (0..names.len()).map(|column| (width(column).unwrap_or(0), is_number(column))).collect();
    let mut text = String::new();
    for row in shown {
        let cells = row.iter().zip(&layout).map(|(cell, (width, right))| match right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "{} of {} rows, {} columns", shown.len() - 1, body.len(), names.len());
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use polars::prelude::{NamedFrom, Series};

    use super::*;
    use crate::formats::data_table::DataTable;

    struct Two(tempfile::TempDir);

    impl Two {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            fs_err::write(&path, text).unwrap();
            path
        }

        fn csv(&self, before: &str, now: &str) -> Result<f64, String> {
            compare_csv(&self.write("before", before), &self.write("now", now))
        }
    }

    #[test]
    fn tables_are_compared_by_column() {
        let two = Two::new();
        assert_eq!(two.csv("a,b\nx,1.0\n", "a,b\nx,1.5\n"), Ok(0.5 / 1.5));
        assert_eq!(two.csv("a\n0.5\n", "a\n0.25\n"), Ok(0.25));
        assert_eq!(two.csv("1,2\n3,4\n", "1,2.5\n3,4\n"), Ok(0.2), "no line of names");
        assert_eq!(two.csv("tag\nx\n", "tag\ny\n").unwrap_err(), "line 2, column `tag`: it was `x` and is `y` now");
        assert!(two.csv("sid\n100610\n", "sid\n100620\n").is_err(), "numbers of subjects");
        assert!(two.csv("sid\n010512\n", "sid\n10512\n").is_err());
        assert!(two.csv("n\n20\n", "n\n21\n").is_err(), "counts");
        assert_eq!(two.csv("a\n1\n", "a\n1\n2\n").unwrap_err(), "it had 2 lines and has 3 now");
        assert_eq!(two.csv("a,b\n1,2\n", "a\n1\n").unwrap_err(), "line 1 had 2 columns and has 1 now");
        assert!(two.csv("a\n", "b\n").is_err());
        let (before, now) = (two.write("a.tsv", "a\tb\n1,0\t2\n"), two.write("b.tsv", "a\tb\n1,0\t2.5\n"));
        assert_eq!(compare_tsv(&before, &now), Ok(0.2));
    }

    #[test]
    fn parquet_is_compared_and_previewed_like_its_text() {
        let two = Two::new();
        let write = |name: &str, dice: f64| {
            let folder = two.0.path().join(name);
            let table = DataTable::new().text("sid", ["010512", "s02"]).numbers("dice", [0.5, dice]);
            data_table::write(&folder, &mut table.build().unwrap()).unwrap();
            folder.join(data_table::PARQUET)
        };
        let (before, now) = (write("before", 0.75), write("now", 0.5));
        assert_eq!(compare_parquet(&before, &now), Ok(0.25));
        assert_eq!(columns_of_parquet(&now).unwrap(), ["sid", "dice"]);
        assert_eq!(head_of_parquet(&before, 1).unwrap(), "   sid  dice\n010512   0.5\n1 of 2 rows, 2 columns\n");
    }

    #[test]
    fn lists_in_cells_are_compared_as_text() {
        let two = Two::new();
        let write = |name: &str, number: f64| {
            let inner = |numbers: &[f64]| Series::new("".into(), numbers);
            let rows = Series::new("".into(), [inner(&[0.0, number]), inner(&[0.5])]);
            let cells = Column::from(Series::new("matrix".into(), [rows]));
            let path = two.0.path().join(name);
            data_table::write_parquet(&path, &mut DataFrame::new(1, vec![cells]).unwrap()).unwrap();
            path
        };
        let (before, now) = (write("before", 0.1), write("now", 0.2));
        assert_eq!(head_of_parquet(&before, 1).unwrap(), "matrix\n[[0.0, 0.1], [0.5]]\n1 of 1 rows, 1 columns\n");
        assert_eq!(compare_parquet(&before, &before), Ok(0.0));
        assert!(compare_parquet(&before, &now).is_err());
    }

    #[test]
    fn the_head_is_aligned_and_says_how_much_there_is() {
        let two = Two::new();
        let path = two.write("t.csv", "tag,n,dice\nanat,4,0.61\nprior,12,0.5\nfunc,4,\n");
        insta::assert_snapshot!(head_of_csv(&path, 10).unwrap(), @r"
        tag     n  dice
        anat    4  0.61
        prior  12   0.5
        func    4
        3 of 3 rows, 3 columns
        ");
        assert_eq!(columns_of_csv(&path).unwrap(), ["tag", "n", "dice"]);
        assert_eq!(head_of_csv(&two.write("empty.csv", ""), 3).unwrap(), "an empty table\n");
    }
}
