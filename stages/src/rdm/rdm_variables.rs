//! `rdm/variables`: model RDMs of what is known of entries: an RDM a variable, in which entries are as far apart as their values.
//!
//! Decides what that is: words are equal (0) or not (1), numbers have the distance of their values. Words that are numbers, such as names of
//! sizes, are compared as numbers where that is asked for. A missing value is an error, because a model must have a number for every pair.
//! Independent of what the entries are, and of what the models are compared with.

use pipe_contract::{Column as Described, ColumnMeaning, Context, Ended, Failure, Kind, StageKind, Task, parameters};
use polars::prelude::DataFrame;

use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::{ID, MatrixAxis};
use crate::formats::rdm_set::{DISSIMILARITY, RdmAbout, RdmSet};
use crate::numeric::dissimilarity::{pair_count, pairs};

/// The kind.
pub(super) struct RdmVariables;

parameters! {
    struct Parameters {
        /// the columns that become models, such as `[object, colour]`
        variables: Vec<String>;
        /// those of them whose words are numbers, and are compared as numbers
        numbers: Vec<String> = Vec::new();
    }
}

const INDEX: &[Described] = &[
    Described::new("id", "the variable"),
    Described::new("dissimilarity", "what the numbers are").levels(&[
        ("differs", "0 for equal values, 1 for different ones"),
        ("difference", "the absolute difference of two values"),
    ]),
];

const ENTRIES: &[Described] = &[Described::new("id", "the entry: what a row and a column of every RDM stand for")];

/// Numbers of all models together at most: 8 GB.
const MOST_NUMBERS: usize = 1 << 30;

impl StageKind for RdmVariables {
    fn kind(&self) -> Kind {
        Kind::new("rdm/variables", 1, "model RDMs of variables: entries are as far apart as their values")
            .input("table", &["stimuli", "table"], "a row an entry: `id`, and variables such as `object` or `size`")
            .folder("rdms", "rdms", "an RDM a variable, in the order in which they are given")
            .described(&["index.parquet"], INDEX)
            .described(&["entries.parquet"], ENTRIES)
            .others(|_, _, _| ColumnMeaning {
                about: "a variable of the entries".to_owned(),
                ..ColumnMeaning::default()
            })
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let folder = task.one("table")?;
        let at = |failure: Failure| failure.at(folder.display().to_string());
        models(&data_table::read(folder)?, &parameters).map_err(at)?.write(task.output("rdms")?)?;
        Ok(Ended::done())
    }
}

/// The RDMs of all variables.
fn models(table: &DataFrame, parameters: &Parameters) -> Result<RdmSet, Failure> {
    let Parameters { variables, numbers } = parameters;
    if variables.is_empty() {
        return Err(Failure::input("`variables` is an empty list, expected at least one column"));
    }
    if let Some(other) = numbers.iter().find(|name| !variables.contains(name)) {
        return Err(Failure::input(format!("`numbers` has `{other}`, which is not in `variables`")));
    }
    let size = table.height();
    if pair_count(size).saturating_mul(variables.len()) > MOST_NUMBERS {
        let message = format!("{} models of {size} entries have more than {MOST_NUMBERS} numbers", variables.len());
        return Err(Failure::input(message));
    }
    let mut values = Vec::with_capacity(pair_count(size) * variables.len());
    let mut kinds = Vec::with_capacity(variables.len());
    for name in variables {
        let column = VariableValues::of(table, name, numbers.contains(name))?;
        values.extend(pairs(size).map(|(one, other)| column.distance(one, other)));
        kinds.push(column.word());
    }
    let index = DataTable::new().text(ID, variables.iter().map(String::as_str)).text(DISSIMILARITY, kinds).build()?;
    let names: Vec<&str> = std::iter::once(ID).chain(variables.iter().map(String::as_str)).collect();
    let entries = table.select(names).map_err(|error| Failure::input(error.to_string()))?;
    let about = RdmAbout::of("stimuli").then(format!("models of {}", variables.join(", ")));
    RdmSet::new(MatrixAxis::new(index)?, MatrixAxis::new(entries)?, values, None, about)
}

/// The values of a variable.
#[derive(Debug)]
enum VariableValues {
    Words(Vec<String>),
    Numbers(Vec<f64>),
}

impl VariableValues {
    fn of(table: &DataFrame, name: &str, words_are_numbers: bool) -> Result<Self, Failure> {
        if table.column(name).is_ok_and(|column| column.dtype().is_primitive_numeric()) {
            let numbers = data_table::maybe_any_numbers(table, name)?;
            return Self::finite(name, numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect());
        }
        let words = data_table::words(table, name)?;
        if !words_are_numbers {
            return Ok(Self::Words(words));
        }
        let number = |(row, word): (usize, &String)| {
            let wrong = || Failure::input(format!("`{name}` is `{word}` in row {}, expected a number", row + 1));
            word.trim().parse::<f64>().map_err(|_| wrong())
        };
        Self::finite(name, words.iter().enumerate().map(number).collect::<Result<_, _>>()?)
    }

    fn finite(name: &str, numbers: Vec<f64>) -> Result<Self, Failure> {
        match numbers.iter().position(|number| !number.is_finite()) {
            Some(row) => {
                let message = format!("`{name}` is {} in row {}, expected a finite number", numbers[row], row + 1);
                Err(Failure::input(message))
            }
            None => Ok(Self::Numbers(numbers)),
        }
    }

    fn distance(&self, one: usize, other: usize) -> f64 {
        match self {
            Self::Words(words) => f64::from(u8::from(words[one] != words[other])),
            Self::Numbers(numbers) => (numbers[one] - numbers[other]).abs(),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Words(_) => "differs",
            Self::Numbers(_) => "difference",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> DataFrame {
        let table = DataTable::new().text(ID, ["a", "b", "c"]).text("object", ["cat", "dog", "cat"]);
        let table = table.text("size", ["0.5", "0.75", "1"]).integers("rank", [3, 1, 7]);
        table.build().unwrap()
    }

    fn made(variables: &[&str], numbers: &[&str]) -> Result<RdmSet, Failure> {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        models(&table(), &Parameters { variables: list(variables), numbers: list(numbers) })
    }

    #[test]
    fn words_differ_or_not_and_numbers_have_distances() {
        let set = made(&["object", "size", "rank"], &["size"]).unwrap();
        assert_eq!(set.index().ids(), ["object", "size", "rank"]);
        assert_eq!(set.triangle(0), [1.0, 0.0, 1.0]);
        assert_eq!(set.triangle(1), [0.25, 0.5, 0.25]);
        assert_eq!(set.triangle(2), [2.0, 4.0, 6.0]);
        assert_eq!(made(&["size"], &[]).unwrap().triangle(0), [1.0, 1.0, 1.0]);
        let words = data_table::texts(set.index().table(), DISSIMILARITY).unwrap();
        assert_eq!(words, ["differs", "difference", "difference"]);
        assert_eq!(data_table::texts(set.entries().table(), "object").unwrap(), ["cat", "dog", "cat"]);
    }

    #[test]
    fn what_makes_no_model_is_refused() {
        assert!(made(&[], &[]).unwrap_err().message.contains("empty list"));
        assert!(made(&["colour"], &[]).unwrap_err().message.contains("`colour`"));
        assert!(made(&["object"], &["size"]).unwrap_err().message.contains("not in `variables`"));
        let message = made(&["object"], &["object"]).unwrap_err().message;
        assert_eq!(message, "`object` is `cat` in row 1, expected a number");
    }
}
