//! Rows of a table that have equal values in some columns, and what is known of such a group.
//!
//! Decides that groups are in the order in which they first come, that a column is known of a group if all of its rows have one value, and that
//! values of group columns are compared as words. For features that make one RDM, measurements of one entry, RDMs of one comparison.

use std::collections::BTreeMap;

use pipe_contract::Failure;
use polars::prelude::{AnyValue, Column, DataFrame};

use crate::formats::data_table;
use crate::formats::matrix::ID;

/// Rows with equal values.
#[derive(Clone, Debug)]
pub(super) struct RowGroup {
    /// The values, a word a column.
    pub key: Vec<String>,
    /// Where the rows are, ascending.
    pub rows: Vec<usize>,
}

impl RowGroup {
    /// The values joined by `/`; `all` where there is no column.
    pub fn name(&self) -> String {
        if self.key.is_empty() { "all".to_owned() } else { self.key.join("/") }
    }
}

/// The groups of a table by some of its columns; without columns all rows are one group.
///
/// # Errors
/// Input: a column is not there, or does not hold words.
pub(super) fn grouped(table: &DataFrame, by: &[String]) -> Result<Vec<RowGroup>, Failure> {
    let words: Vec<Vec<String>> = by.iter().map(|name| data_table::words(table, name)).collect::<Result<_, _>>()?;
    let mut places: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut groups: Vec<RowGroup> = Vec::new();
    for row in 0..table.height() {
        let key: Vec<String> = words.iter().map(|column| column[row].clone()).collect();
        let place = *places.entry(key.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push(RowGroup { key, rows: Vec::new() });
        }
        groups[place].rows.push(row);
    }
    Ok(groups)
}

/// A row a group, with the columns that have one value in every group; without `id` and those in `without`.
///
/// # Errors
/// Internal: the table cannot be read.
pub(super) fn common(table: &DataFrame, groups: &[RowGroup], without: &[&str]) -> Result<DataFrame, Failure> {
    let mut names = Vec::new();
    for column in table.columns() {
        let name = column.name().as_str();
        if name != ID && !without.contains(&name) && is_common(column, groups)? {
            names.push(name.to_owned());
        }
    }
    let first: Vec<usize> = groups.iter().filter_map(|group| group.rows.first().copied()).collect();
    data_table::rows(&table.select(names).map_err(unexpected)?, &first)
}

fn is_common(column: &Column, groups: &[RowGroup]) -> Result<bool, Failure> {
    let value = |row: usize| column.get(row).map_err(unexpected);
    for group in groups {
        let mut first: Option<AnyValue<'_>> = None;
        for row in &group.rows {
            let found = value(*row)?;
            if first.as_ref().is_some_and(|known| *known != found) {
                return Ok(false);
            }
            first.get_or_insert(found);
        }
    }
    Ok(true)
}

/// A table with more columns behind its own, which may have none: then it has the rows of the others.
///
/// # Errors
/// Internal: the columns do not fit.
pub(super) fn beside(id: Vec<String>, common: &DataFrame, more: DataFrame) -> Result<DataFrame, Failure> {
    let mut columns = vec![Column::new(ID.into(), id)];
    columns.extend(common.columns().iter().cloned());
    columns.extend(more.into_columns());
    DataFrame::new_infer_height(columns).map_err(unexpected)
}

fn unexpected(error: polars::prelude::PolarsError) -> Failure {
    Failure::internal(format!("a table cannot be put together: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;

    fn example() -> DataFrame {
        DataTable::new()
            .text(ID, ["a", "b", "c", "d"])
            .text("layer", ["fc", "conv", "fc", "conv"])
            .integers("rank", [2, 1, 2, 1])
            .numbers("depth", [0.5, 0.25, 0.75, 0.25])
            .build()
            .unwrap()
    }

    #[test]
    fn groups_come_in_the_order_of_their_first_rows() {
        let groups = grouped(&example(), &["layer".to_owned(), "rank".to_owned()]).unwrap();
        let names: Vec<String> = groups.iter().map(RowGroup::name).collect();
        assert_eq!(names, ["fc/2", "conv/1"]);
        assert_eq!((groups[0].rows.as_slice(), groups[1].rows.as_slice()), ([0, 2].as_slice(), [1, 3].as_slice()));
        let all = grouped(&example(), &[]).unwrap();
        assert_eq!((all.len(), all[0].name().as_str(), all[0].rows.len()), (1, "all", 4));
        assert!(grouped(&example(), &["depth".to_owned()]).is_err(), "numbers are no words");
    }

    #[test]
    fn what_all_rows_of_a_group_share_is_kept() {
        let groups = grouped(&example(), &["layer".to_owned()]).unwrap();
        let kept = common(&example(), &groups, &["layer"]).unwrap();
        assert_eq!(data_table::integers(&kept, "rank").unwrap(), [2, 1]);
        assert_eq!(kept.width(), 1, "`depth` differs within a group");
        let more = DataTable::new().text("x", ["p", "q"]).build().unwrap();
        let table = beside(vec!["f".into(), "c".into()], &kept, more).unwrap();
        let names: Vec<&str> = table.get_column_names().iter().map(|name| name.as_str()).collect();
        assert_eq!(names, [ID, "rank", "x"]);
        let one_by_one = grouped(&example(), &[ID.to_owned()]).unwrap();
        assert_eq!(common(&example(), &one_by_one, &[]).unwrap().width(), 3);
    }
}
