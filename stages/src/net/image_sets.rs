//! Which images make which entries of which dissimilarity matrices.
//!
//! Decides sets (stimuli with equal values of the grouping variables, in the order in which they first come), entries (what a row of a matrix
//! stands for: a stimulus, or the values of some variables) and combinations (entries that are sums of the patterns of others). All sets
//! have the same entries in the order of the first set, and are joined by these and never by position. Independent of networks and of what
//! is computed of the patterns.

use std::collections::BTreeMap;

use pipe_contract::{Failure, Value};
use polars::prelude::{Column, DataFrame, DataType, IdxCa, IdxSize, NewChunkedArray};

use crate::formats::data_table;
use crate::formats::matrix::{ID, MatrixAxis};
use crate::formats::nearest_names::nearest;
use crate::formats::stimulus_set::STIMULUS_COLUMNS;

/// Where the pattern of an entry comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum EntryPattern {
    /// The stimulus at this position.
    Stimulus(usize),
    /// The sum of these stimuli's patterns, each times a weight.
    Sum(Vec<(usize, f64)>),
}

/// Stimuli with equal values of the grouping variables.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSet {
    /// The values, in the order of [`ImageSets::grouping`].
    pub labels: Vec<String>,
    /// One an entry.
    pub patterns: Vec<EntryPattern>,
}

/// Sets of images with the same entries.
#[derive(Clone, Debug)]
pub struct ImageSets {
    /// What a row of every matrix stands for: ids and variables.
    pub entries: MatrixAxis,
    /// The grouping variables.
    pub grouping: Vec<String>,
    /// The sets; one without labels where there are no grouping variables.
    pub sets: Vec<ImageSet>,
}

/// An entry that is a sum of the patterns of others.
#[derive(Clone, Debug, PartialEq)]
pub struct Combination {
    /// The id of the new entry.
    pub name: String,
    /// Ids of entries.
    pub of: Vec<String>,
    /// One for each of them; for a mean each is 1 over their number.
    pub weights: Vec<f64>,
}

impl Combination {
    /// Reads `{ name, stimuli: [ids of entries], weights: [numbers] }`; without weights it is the mean.
    ///
    /// # Errors
    /// Input: another form, no entries, or not as many weights as entries.
    pub fn parse(given: &BTreeMap<String, Value>) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            Failure::input(format!("an item of `combine` {what}"))
                .hint("write for example `{ name: pair, stimuli: [cat, dog], weights: [0.5, 0.5] }`; without `weights` it is the mean")
        };
        if let Some(other) = given.keys().find(|key| !["name", "stimuli", "weights"].contains(&key.as_str())) {
            return Err(wrong(&format!("has `{other}`, expected `name`, `stimuli` and if wanted `weights`")));
        }
        let name = given.get("name").and_then(Value::as_text).ok_or_else(|| wrong("has no `name`"))?;
        let list = |key: &str| match given.get(key) {
            Some(Value::List(values)) => Some(values.as_slice()),
            _ => None,
        };
        let of: Option<Vec<String>> =
            list("stimuli").and_then(|ids| ids.iter().map(|id| id.as_text().map(str::to_owned)).collect());
        let of = of.filter(|of| !of.is_empty()).ok_or_else(|| wrong("has no list `stimuli` of ids of entries"))?;
        let weights = match given.get("weights") {
            None => vec![1.0 / of.len() as f64; of.len()],
            Some(_) => {
                let numbers =
                    list("weights").and_then(|weights| weights.iter().map(number).collect::<Option<Vec<f64>>>());
                let numbers = numbers.filter(|numbers| numbers.iter().all(|number| number.is_finite()));
                numbers.ok_or_else(|| wrong("has `weights` that are not a list of numbers"))?
            }
        };
        if weights.len() != of.len() {
            return Err(wrong(&format!("has {} `weights` for {} entries", weights.len(), of.len())));
        }
        Ok(Self { name: name.to_owned(), of, weights })
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        _ => None,
    }
}

impl ImageSets {
    /// Sets and entries of stimuli, whose table has a column `id` and their variables.
    ///
    /// `entries` are the variables whose values together name an entry within a set; none: the `id`. `grouping` are the variables
    /// whose values together name a set; none: all stimuli are one set.
    ///
    /// # Errors
    /// Input: a variable that is not there, two stimuli of one entry in a set, a set without one of the entries, or a combination of
    /// entries that are not there; the message names it.
    pub fn new(
        stimuli: &DataFrame,
        entries: &[String],
        grouping: &[String],
        combinations: &[Combination],
    ) -> Result<Self, Failure> {
        let naming: Vec<String> = if entries.is_empty() { vec![ID.to_owned()] } else { entries.to_vec() };
        let (keys, labels) = (values_by_row(stimuli, &naming)?, values_by_row(stimuli, grouping)?);
        let grouped = grouped(&keys, &labels, grouping)?;
        let Some((first_label, first)) = grouped.first() else {
            return Err(Failure::input("there are no stimuli, expected at least one"));
        };
        let order: Vec<&Vec<String>> = first.iter().map(|row| &keys[*row]).collect();
        let mut sets = Vec::with_capacity(grouped.len());
        for (label, rows) in &grouped {
            let rows = in_order(&order, rows, &keys, (label.as_slice(), first_label.as_slice(), grouping))?;
            sets.push((label.clone(), rows));
        }
        let ids = entry_ids(&order, &naming)?;
        let sums = combinations.iter().map(|combination| places(combination, &ids)).collect::<Result<Vec<_>, _>>()?;
        let mut kept = if entries.is_empty() { variables(stimuli) } else { entries.to_vec() };
        kept.retain(|name| name != ID);
        let entries = entry_axis(stimuli, first, &kept, &ids, combinations)?;
        let set = |(labels, rows): (Vec<String>, Vec<usize>)| {
            let sum = |sum: &Vec<(usize, f64)>| {
                EntryPattern::Sum(sum.iter().map(|(entry, weight)| (rows[*entry], *weight)).collect())
            };
            let own = rows.iter().map(|row| EntryPattern::Stimulus(*row));
            ImageSet { labels, patterns: own.chain(sums.iter().map(sum)).collect() }
        };
        Ok(Self { entries, grouping: grouping.to_vec(), sets: sets.into_iter().map(set).collect() })
    }
}

/// The values of some columns as texts, a list for each row.
///
/// # Errors
/// Input: a column is not there, or a value is missing.
pub fn values_by_row(table: &DataFrame, columns: &[String]) -> Result<Vec<Vec<String>>, Failure> {
    let mut rows = vec![Vec::with_capacity(columns.len()); table.height()];
    for name in columns {
        let is_of_numbers = table.column(name).is_ok_and(|column| column.dtype() == &DataType::Float64);
        let words: Vec<String> = match is_of_numbers {
            true => finite(table, name)?.iter().map(ToString::to_string).collect(),
            false => data_table::words(table, name)
                .map_err(|failure| failure.hint("variables are columns of the table of stimuli"))?,
        };
        rows.iter_mut().zip(words).for_each(|(row, word)| row.push(word));
    }
    Ok(rows)
}

/// The ids of entries: their values with `_` between them.
fn entry_ids(keys: &[&Vec<String>], naming: &[String]) -> Result<Vec<String>, Failure> {
    let mut first: BTreeMap<String, &Vec<String>> = BTreeMap::new();
    for key in keys {
        if let Some(before) = first.insert(key.join("_"), key) {
            return Err(Failure::input(format!(
                "the entries {} and {} have both the id `{}`, which is their values of {} with `_` between them",
                before.join(" and "),
                key.join(" and "),
                key.join("_"),
                naming.join(" and ")
            ))
            .hint("write these values without `_`"));
        }
    }
    Ok(keys.iter().map(|key| key.join("_")).collect())
}

/// Numbers, of which none is missing or NaN.
fn finite(table: &DataFrame, name: &str) -> Result<Vec<f64>, Failure> {
    let numbers = data_table::numbers(table, name)?;
    match numbers.iter().position(|number| number.is_nan()) {
        None => Ok(numbers),
        Some(row) => Err(Failure::input(format!("`{name}` of stimulus {} is NaN, expected a number", row + 1))
            .hint("give it one, or leave out such stimuli (`table/filter`)")),
    }
}

/// Sets with their rows, both in the order in which they first come.
type Grouped = Vec<(Vec<String>, Vec<usize>)>;

fn grouped(keys: &[Vec<String>], labels: &[Vec<String>], grouping: &[String]) -> Result<Grouped, Failure> {
    let mut sets: Grouped = Vec::new();
    let mut places: BTreeMap<&Vec<String>, usize> = BTreeMap::new();
    let mut seen: BTreeMap<(&Vec<String>, &Vec<String>), usize> = BTreeMap::new();
    for (row, (key, label)) in keys.iter().zip(labels).enumerate() {
        if let Some(before) = seen.insert((label, key), row) {
            return Err(Failure::input(format!(
                "stimuli {} and {} are both the entry `{}`{}, expected one stimulus an entry",
                before + 1,
                row + 1,
                key.join("_"),
                of_set(label, grouping)
            ))
            .hint("name entries by more variables (`entries`), or group the stimuli by the others (`sets`)"));
        }
        let place = *places.entry(label).or_insert_with(|| {
            sets.push((label.clone(), Vec::new()));
            sets.len() - 1
        });
        sets[place].1.push(row);
    }
    Ok(sets)
}

/// The rows of a set in the order of the entries.
fn in_order(
    order: &[&Vec<String>],
    rows: &[usize],
    keys: &[Vec<String>],
    (label, first_label, grouping): (&[String], &[String], &[String]),
) -> Result<Vec<usize>, Failure> {
    let by_key: BTreeMap<&Vec<String>, usize> = rows.iter().map(|row| (&keys[*row], *row)).collect();
    let lacking = order.iter().find(|key| !by_key.contains_key(**key)).map(|key| (*key, label, first_label));
    let further = || by_key.keys().find(|key| !order.contains(*key)).map(|key| (*key, first_label, label));
    if let Some((key, without, with)) = lacking.or_else(further) {
        return Err(Failure::input(format!(
            "the entry `{}` is there{} but not{}",
            key.join("_"),
            of_set(with, grouping),
            of_set(without, grouping)
        ))
        .hint("all sets need the same entries: complete the stimuli, or filter them"));
    }
    Ok(order.iter().filter_map(|key| by_key.get(*key).copied()).collect())
}

fn of_set(label: &[String], grouping: &[String]) -> String {
    let named: Vec<String> = grouping.iter().zip(label).map(|(name, value)| format!("`{name}` {value}")).collect();
    if named.is_empty() { String::new() } else { format!(" in the set of {}", named.join(", ")) }
}

/// The entries of a combination by position, with their weights.
fn places(combination: &Combination, ids: &[String]) -> Result<Vec<(usize, f64)>, Failure> {
    let place = |id: &String| {
        ids.iter().position(|known| known == id).ok_or_else(|| {
            let names = nearest(id, ids.iter().map(String::as_str));
            Failure::input(format!("`combine` names the entry `{id}`, which is not there; most like it: {names}"))
        })
    };
    let places = combination.of.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    Ok(places.into_iter().zip(combination.weights.iter().copied()).collect())
}

/// The columns that say what a stimulus shows.
fn variables(stimuli: &DataFrame) -> Vec<String> {
    let names = stimuli.get_column_names().into_iter().map(|name| name.as_str());
    let is_own = |name: &&str| !STIMULUS_COLUMNS.iter().any(|column| column.name == *name);
    names.filter(is_own).map(str::to_owned).collect()
}

/// Ids and variables of entries; combinations have no variables.
fn entry_axis(
    stimuli: &DataFrame,
    rows: &[usize],
    variables: &[String],
    ids: &[String],
    combinations: &[Combination],
) -> Result<MatrixAxis, Failure> {
    let unexpected = |error: polars::prelude::PolarsError| Failure::internal(error.to_string());
    let known = rows.iter().map(|row| IdxSize::try_from(*row).ok());
    let positions = IdxCa::from_iter_options("row".into(), known.chain(combinations.iter().map(|_| None)));
    let taken = stimuli.select(variables).map_err(unexpected)?;
    let all: Vec<String> =
        ids.iter().chain(combinations.iter().map(|combination| &combination.name)).cloned().collect();
    let mut columns = vec![Column::new(ID.into(), all)];
    for column in taken.columns() {
        columns.push(column.take(&positions).map_err(unexpected)?);
    }
    let table = DataFrame::new_infer_height(columns).map_err(unexpected)?;
    MatrixAxis::new(table).map_err(|failure| failure.at("the entries"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;

    fn stimuli() -> DataFrame {
        DataTable::new()
            .text("id", ["a", "b", "c", "d"])
            .text("path", ["images/a", "images/b", "images/c", "images/d"])
            .text("object", ["cat", "dog", "dog", "cat"])
            .numbers("size", [0.5, 0.5, 1.0, 1.0])
            .build()
            .unwrap()
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn mean(name: &str, of: &[&str]) -> Combination {
        Combination { name: name.into(), of: list(of), weights: vec![1.0 / of.len() as f64; of.len()] }
    }

    #[test]
    fn stimuli_are_entries_of_one_set_where_nothing_is_said() {
        let sets = ImageSets::new(&stimuli(), &[], &[], &[]).unwrap();
        assert_eq!(sets.entries.ids(), ["a", "b", "c", "d"]);
        assert_eq!(sets.sets.len(), 1);
        assert_eq!(sets.sets[0].patterns, [0, 1, 2, 3].map(EntryPattern::Stimulus));
        let names: Vec<&str> = sets.entries.table().get_column_names().iter().map(|name| name.as_str()).collect();
        assert_eq!(names, ["id", "object", "size"]);
    }

    #[test]
    fn sets_are_joined_by_their_entries_and_combined() {
        let sets = ImageSets::new(&stimuli(), &list(&["object"]), &list(&["size"]), &[mean("both", &["dog", "cat"])]);
        let sets = sets.unwrap();
        assert_eq!(sets.entries.ids(), ["cat", "dog", "both"]);
        assert_eq!(sets.sets.iter().map(|set| set.labels[0].as_str()).collect::<Vec<_>>(), ["0.5", "1"]);
        let sum = |first, second| EntryPattern::Sum(vec![(first, 0.5), (second, 0.5)]);
        assert_eq!(sets.sets[0].patterns, [EntryPattern::Stimulus(0), EntryPattern::Stimulus(1), sum(1, 0)]);
        assert_eq!(sets.sets[1].patterns, [EntryPattern::Stimulus(3), EntryPattern::Stimulus(2), sum(2, 3)]);
        let object = sets.entries.table().column("object").unwrap();
        assert_eq!((object.len(), object.null_count()), (3, 1));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let fails = |entries: &[&str], sets: &[&str], combined: &[Combination], table: &DataFrame| {
            ImageSets::new(table, &list(entries), &list(sets), combined).unwrap_err().message
        };
        let all = stimuli();
        let message = fails(&["object"], &[], &[], &all);
        assert_eq!(message, "stimuli 2 and 3 are both the entry `dog`, expected one stimulus an entry");
        let three = all.head(Some(3));
        let message = fails(&["object"], &["size"], &[], &three);
        assert_eq!(message, "the entry `cat` is there in the set of `size` 0.5 but not in the set of `size` 1");
        assert!(fails(&["colour"], &[], &[], &all).contains("`colour`"));
        let message = fails(&[], &[], &[mean("both", &["a", "bb"])], &all);
        assert_eq!(message, "`combine` names the entry `bb`, which is not there; most like it: `b`, `a`, `c`");
        assert!(fails(&[], &[], &[mean("a", &["a", "b"])], &all).contains("`a` is the id of rows 1 and 5"));
    }

    #[test]
    fn the_id_may_name_entries_and_ids_must_differ() {
        let by_id = ImageSets::new(&stimuli(), &list(&["id"]), &[], &[]).unwrap();
        assert_eq!(by_id.entries.ids(), ["a", "b", "c", "d"]);
        let both = ImageSets::new(&stimuli(), &list(&["id", "object"]), &[], &[]).unwrap();
        let names: Vec<&str> = both.entries.table().get_column_names().iter().map(|name| name.as_str()).collect();
        assert_eq!((both.entries.ids()[0].as_str(), names), ("a_cat", vec!["id", "object"]));
        let alike =
            DataTable::new().text("id", ["1", "2"]).text("x", ["a_b", "a"]).text("y", ["c", "b_c"]).build().unwrap();
        let failure = ImageSets::new(&alike, &list(&["x", "y"]), &[], &[]).unwrap_err();
        assert!(
            failure.message.starts_with("the entries a_b and c and a and b_c have both the id `a_b_c`"),
            "{failure}"
        );
        let lacking =
            |value| DataTable::new().text("id", ["1", "2"]).optional_numbers("x", [Some(0.5), value]).build().unwrap();
        let message = |table: &DataFrame| ImageSets::new(table, &list(&["x"]), &[], &[]).unwrap_err().message;
        assert!(message(&lacking(Some(f64::NAN))).contains("`x` of stimulus 2 is NaN"));
        assert!(!message(&lacking(None)).contains("expected column to hold"), "{}", message(&lacking(None)));
        assert!(message(&lacking(None)).contains("`x`"));
    }

    #[test]
    fn combinations_are_means_unless_they_have_weights() {
        let ids = || Value::List(vec![Value::Text("x".into()), Value::Text("y".into())]);
        let given = |items: Vec<(&str, Value)>| items.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let name = || ("name", Value::Text("m".into()));
        let parse = |items| Combination::parse(&given(items));
        assert_eq!(parse(vec![name(), ("stimuli", ids())]).unwrap(), mean("m", &["x", "y"]));
        let weights = |numbers: Vec<Value>| ("weights", Value::List(numbers));
        let found = parse(vec![name(), ("stimuli", ids()), weights(vec![Value::Int(2), Value::Float(-0.5)])]).unwrap();
        assert_eq!(found.weights, [2.0, -0.5]);
        let failure = parse(vec![name(), ("stimuli", ids()), weights(vec![Value::Int(2)])]).unwrap_err();
        assert!(failure.message.contains("1 `weights` for 2 entries") && failure.hint.is_some(), "{failure}");
        assert!(parse(vec![name()]).unwrap_err().message.contains("no list `stimuli`"));
        assert!(parse(vec![("stimuli", ids())]).unwrap_err().message.contains("no `name`"));
        assert!(parse(vec![name(), ("stimulus", ids())]).unwrap_err().message.contains("`stimulus`"));
    }
}
