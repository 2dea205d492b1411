//! Rows of a table by words: values of columns as text, rows with given values, and texts with `{column}` filled in from a row.
//!
//! For kinds that choose RDMs or entries by what is known of them and write that into titles. Independent of what columns mean. A column or
//! value that is not there is refused with the nearest names, because it is more often misspelt than absent.

use std::collections::BTreeMap;

use pipe_contract::{Failure, Value};
use polars::prelude::{Column, DataFrame, DataType, PolarsError};

use super::nearest_names::nearest;

/// The values of a column as words, none where it has no value. Numbers have their shortest form.
///
/// # Errors
/// Input: no such column, or one that holds lists.
pub fn words_of(table: &DataFrame, name: &str) -> Result<Vec<Option<String>>, Failure> {
    let column = column(table, name)?;
    match column.dtype() {
        DataType::String => Ok(column.str().map_err(unexpected)?.iter().map(|text| text.map(str::to_owned)).collect()),
        DataType::Boolean => {
            Ok(column.bool().map_err(unexpected)?.iter().map(|flag| flag.map(|flag| flag.to_string())).collect())
        }
        whole if whole.is_integer() => {
            let wide = column.cast(&DataType::Int64).map_err(unexpected)?;
            let numbers = wide.i64().map_err(unexpected)?;
            Ok(numbers.iter().map(|number| number.map(|number| number.to_string())).collect())
        }
        _ => Ok(numbers_of(table, name)?.into_iter().map(|number| number.map(|number| number.to_string())).collect()),
    }
}

/// The values of a column of numbers, whole or not; none where it has no value, or one that is not a number.
///
/// # Errors
/// Input: no such column, or it holds something else.
pub fn numbers_of(table: &DataFrame, name: &str) -> Result<Vec<Option<f64>>, Failure> {
    let column = column(table, name)?;
    if !column.dtype().is_primitive_numeric() {
        return Err(Failure::input(format!("column `{name}` holds {}, expected numbers", column.dtype())));
    }
    let wide = column.cast(&DataType::Float64).map_err(unexpected)?;
    let numbers = wide.f64().map_err(unexpected)?;
    Ok(numbers.iter().map(|number| number.filter(|number| !number.is_nan())).collect())
}

/// Whether a column holds numbers.
///
/// # Errors
/// Input: no such column.
pub fn holds_numbers(table: &DataFrame, name: &str) -> Result<bool, Failure> {
    Ok(column(table, name)?.dtype().is_primitive_numeric())
}

/// The rows that have one of the given values in every column of `only` (one value or a list of them), in their order. `parameter` is what
/// `only` is called where it was written.
///
/// # Errors
/// Input: no such column, a value that no row has, or no row that meets all conditions.
pub fn rows_with(table: &DataFrame, only: &BTreeMap<String, Value>, parameter: &str) -> Result<Vec<usize>, Failure> {
    let mut rows: Vec<usize> = (0..table.height()).collect();
    for (name, value) in only {
        let words = words_of(table, name)?;
        let values = match value {
            Value::List(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        let asked: Vec<String> = values.iter().map(word_of).collect();
        let known = || words.iter().flatten().map(String::as_str);
        if let Some(absent) = asked.iter().find(|word| !known().any(|known| known == word.as_str())) {
            let mut distinct: Vec<&str> = known().collect();
            distinct.sort_unstable();
            distinct.dedup();
            let failure = Failure::input(format!("no row has `{absent}` in the column `{name}` of `{parameter}`"));
            return Err(failure.hint(format!("the nearest values are {}", nearest(absent, distinct.into_iter()))));
        }
        rows.retain(|row| words[*row].as_ref().is_some_and(|word| asked.contains(word)));
    }
    if rows.is_empty() {
        let columns: Vec<String> = only.keys().map(|name| format!("`{name}`")).collect();
        return Err(Failure::input(format!(
            "no row meets the conditions of `{parameter}` on {} together",
            columns.join(", ")
        )));
    }
    Ok(rows)
}

/// A parameter as a word: 1 and 1.0 are the same one.
fn word_of(value: &Value) -> String {
    match value {
        Value::Float(number) => number.to_string(),
        other => other.to_string(),
    }
}

/// A text with columns in it, such as `{object}_000`.
#[derive(Clone, Debug)]
pub struct RowTemplate {
    /// Texts between columns, one more than there are columns.
    texts: Vec<String>,
    /// The words of each column.
    columns: Vec<Vec<Option<String>>>,
}

impl RowTemplate {
    /// For the rows of a table. A `{` without a `}` is a letter as any other.
    ///
    /// # Errors
    /// Input: a column that is not there.
    pub fn new(template: &str, table: &DataFrame) -> Result<Self, Failure> {
        let (mut texts, mut columns, mut text) = (Vec::new(), Vec::new(), String::new());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            text.push_str(before);
            texts.push(std::mem::take(&mut text));
            columns.push(words_of(table, name)?);
            rest = after;
        }
        texts.push(text + rest);
        Ok(Self { texts, columns })
    }

    /// The text of a row; nothing where the row has no value in one of the columns.
    ///
    /// # Panics
    /// There is no such row.
    pub fn of_row(&self, row: usize) -> Option<String> {
        let mut filled = self.texts[0].clone();
        for (words, text) in self.columns.iter().zip(&self.texts[1..]) {
            filled.push_str(words[row].as_deref()?);
            filled.push_str(text);
        }
        Some(filled)
    }
}

fn column<'a>(table: &'a DataFrame, name: &str) -> Result<&'a Column, Failure> {
    table.column(name).map_err(|_| {
        let near = nearest(name, table.get_column_names().into_iter().map(|name| name.as_str()));
        Failure::input(format!("there is no column `{name}`")).hint(format!("the nearest names are {near}"))
    })
}

fn unexpected(error: PolarsError) -> Failure {
    Failure::internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;

    fn table() -> DataFrame {
        DataTable::new()
            .text("id", ["a", "b", "c"])
            .optional_texts("layer", [Some("conv1"), None, Some("fc3")])
            .integers("rank", [1, 0, 21])
            .optional_numbers("size", [Some(0.5), Some(f64::NAN), None])
            .flags("trained", [true, false, true])
            .build()
            .unwrap()
    }

    fn only(name: &str, value: Value) -> BTreeMap<String, Value> {
        BTreeMap::from([(name.to_owned(), value)])
    }

    #[test]
    fn values_of_any_type_are_words() {
        let words = |name: &str| {
            words_of(&table(), name).unwrap().into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>()
        };
        assert_eq!(words("layer"), ["conv1", "", "fc3"]);
        assert_eq!(words("rank"), ["1", "0", "21"]);
        assert_eq!(words("size"), ["0.5", "", ""]);
        assert_eq!(words("trained"), ["true", "false", "true"]);
        assert_eq!(numbers_of(&table(), "rank").unwrap(), [Some(1.0), Some(0.0), Some(21.0)]);
        assert!(holds_numbers(&table(), "size").unwrap() && !holds_numbers(&table(), "layer").unwrap());
        assert!(numbers_of(&table(), "layer").unwrap_err().message.contains("expected numbers"));
        let failure = words_of(&table(), "layers").unwrap_err();
        assert_eq!(failure.message, "there is no column `layers`");
        assert!(failure.hint.unwrap().starts_with("the nearest names are `layer`"));
    }

    #[test]
    fn rows_are_chosen_by_values_that_some_row_has() {
        let rows = |only: &BTreeMap<String, Value>| rows_with(&table(), only, "only");
        let text = |word: &str| Value::Text(word.to_owned());
        assert_eq!(rows(&BTreeMap::new()).unwrap(), [0, 1, 2]);
        assert_eq!(rows(&only("rank", Value::Int(21))).unwrap(), [2]);
        assert_eq!(rows(&only("rank", text("21"))).unwrap(), [2], "coordinates of axes are text");
        assert_eq!(rows(&only("rank", Value::Float(1.0))).unwrap(), [0]);
        assert_eq!(rows(&only("layer", Value::List(vec![text("fc3"), text("conv1")]))).unwrap(), [0, 2]);
        let failure = rows(&only("layer", text("conv2"))).unwrap_err();
        assert_eq!(failure.message, "no row has `conv2` in the column `layer` of `only`");
        assert!(failure.hint.unwrap().contains("`conv1`"));
        let both = BTreeMap::from([("layer".to_owned(), text("fc3")), ("trained".to_owned(), Value::Bool(false))]);
        let failure = rows(&both).unwrap_err();
        assert_eq!(failure.message, "no row meets the conditions of `only` on `layer`, `trained` together");
    }

    #[test]
    fn templates_are_filled_in_by_row() {
        let of = |template: &str, row: usize| RowTemplate::new(template, &table()).unwrap().of_row(row);
        assert_eq!(of("{layer}, rank {rank} {", 2).as_deref(), Some("fc3, rank 21 {"));
        assert_eq!(of("{layer}", 1), None, "that row has no layer");
        assert_eq!(of("plain", 1).as_deref(), Some("plain"));
        assert!(RowTemplate::new("{net}", &table()).unwrap_err().message.contains("no column `net`"));
    }
}
