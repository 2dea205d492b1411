//! `table/sort`: the rows of a table in the order of the values of some columns.
//!
//! By the first column, rows that are equal in it by the second, and so on; rows that are equal in all stay in the order that they have.
//! Numbers are ordered by size, text by code points (`V10` before `V2`, capitals before small letters), false before true. Rows without
//! a value are last, in either direction.
//!
//! A column of ranks says the place of every row, from 1, in the whole table or anew within the rows that have the same values in other
//! columns. Rows that are equal in all columns of the order, without a value too, have the rank of the first of them, and those after them
//! the rank that they would have otherwise: 1, 2, 2, 4.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use pipe_contract::{ColumnMeaning, Context, Ended, Failure, InputColumns, Kind, StageKind, Task, Value, parameters};

use super::any_table::{ANY, AnyTable, CellKey, ColumnCells, kept, keys};
use crate::formats::data_table::{self, STAMP};

/// The kind.
pub(super) struct TableSort;

parameters! {
    struct Parameters {
        /// the columns, the one that decides first at the beginning
        by: Vec<String>;
        /// those of them that are ordered from high to low
        descending: Vec<String> = Vec::new();
        /// the name of a new column of ranks, from 1, equal where rows are equal in all of `by`; empty for none
        rank: String = String::new(), neutral String::new();
        /// columns within whose values ranks begin anew
        within: Vec<String> = Vec::new(), neutral Vec::new();
    }
}

impl StageKind for TableSort {
    fn kind(&self) -> Kind {
        let kind = Kind::new("table/sort", 1, "the rows of a table in the order of the values of some columns")
            .gather("table", &[], ANY)
            .folder("table", "table", "all rows in this order, those without a value last; `rank` is the last column")
            .described(data_table::FILES, &[STAMP])
            .others(meaning)
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { by, descending, rank, within } = task.parameters()?;
        let (table, notes) = AnyTable::read(task, "table")?;
        if by.is_empty() {
            return Err(Failure::input("`by` is empty, expected at least one column"));
        }
        if let Some(other) = descending.iter().find(|name| !by.contains(name)) {
            return Err(Failure::input(format!("`descending` has `{other}`, which is not in `by`"))
                .hint("`by` lists all columns that decide the order"));
        }
        if rank.is_empty() && !within.is_empty() {
            return Err(Failure::input(format!("`within` is {}, but there is no `rank`", within.join(", ")))
                .hint("`rank` is the name of the column of ranks"));
        }
        let columns: Vec<_> = table.several(&by, "by")?;
        let of_groups = table.several(&within, "within")?;
        let directions: Vec<bool> = by.iter().map(|name| descending.contains(name)).collect();
        let mut rows: Vec<usize> = (0..table.height()).collect();
        rows.sort_by(|a, b| {
            let by_column = columns.iter().zip(&directions);
            let mut orders = by_column.map(|(cells, descending)| compare(cells.key(*a), cells.key(*b), *descending));
            orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        let mut sorted = table.rows(&rows);
        if !rank.is_empty() {
            let ranks = ranks(&rows, &columns, &of_groups).into_iter().map(Some).collect();
            sorted.add(&rank, ColumnCells::Whole(ranks)).map_err(|failure| failure.hint("`rank` is a new column"))?;
        }
        sorted.write(task, context)?;
        Ok(Ended::noted(notes))
    }
}

/// The rank of each of these rows, which are in order: how many of its group come before the first row that equals it, and one.
fn ranks(rows: &[usize], columns: &[&ColumnCells], of_groups: &[&ColumnCells]) -> Vec<i64> {
    // Of every group the number of its rows so far, and the last of them with its rank.
    let mut groups: BTreeMap<Vec<CellKey<'_>>, (i64, usize, i64)> = BTreeMap::new();
    let mut ranks = Vec::with_capacity(rows.len());
    for row in rows {
        let (count, last, rank) = groups.entry(keys(of_groups, *row)).or_insert((0, *row, 1));
        *count += 1;
        if keys(columns, *row) != keys(columns, *last) {
            *rank = *count;
        }
        *last = *row;
        ranks.push(*rank);
    }
    ranks
}

/// Columns are kept; that of ranks is new.
fn meaning(name: &str, values: &BTreeMap<String, Value>, inputs: &InputColumns<'_>) -> ColumnMeaning {
    let Ok(Parameters { by, descending, rank, within }) = <Parameters as pipe_contract::Parameters>::read(values)
    else {
        return kept("table", name, inputs);
    };
    if rank != name {
        return kept("table", name, inputs);
    }
    let direction = |name: &String| {
        format!("`{name}` from {}", if descending.contains(name) { "high to low" } else { "low to high" })
    };
    let order = by.iter().map(direction).collect::<Vec<_>>().join(", then ");
    let anew = if within.is_empty() { String::new() } else { format!(", anew within each `{}`", within.join("`, `")) };
    let about = format!("the place of the row by {order}, from 1{anew}; equal rows have that of the first of them");
    ColumnMeaning { about, ..ColumnMeaning::default() }
}

/// Empty ones are the greatest, and last in either direction.
fn compare(a: CellKey<'_>, b: CellKey<'_>, descending: bool) -> Ordering {
    let has_values = a != CellKey::Empty && b != CellKey::Empty;
    if descending && has_values { b.cmp(&a) } else { a.cmp(&b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::table::any_table::tests::{give, given, list, made, text};
    use crate::test_support::tasks::{set, task};

    fn sorted(by: &[&str], descending: &[&str]) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let table = DataTable::new()
            .text("id", ["a", "b", "c", "d", "e", "f"])
            .text("region", ["V2", "V10", "V2", "", "v1", "V10"])
            .optional_numbers("r2", [Some(0.5), None, Some(-1.0), Some(0.0), Some(0.5), Some(f64::NAN)])
            .integers("rank", [10, 9, -1, 9, 2, 9]);
        let mut task = given(&TableSort, folder.path(), &[("table", table)]);
        set(&mut task, "by", list(by));
        set(&mut task, "descending", list(descending));
        let csv = made(&TableSort, &task)?.0;
        Ok(csv.lines().skip(1).map(|line| &line[..1]).collect::<Vec<_>>().concat())
    }

    #[test]
    fn rows_are_ordered_by_value_and_empty_ones_are_last() {
        assert_eq!(sorted(&["r2"], &[]).unwrap(), "cdaebf");
        assert_eq!(sorted(&["r2"], &["r2"]).unwrap(), "aedcbf");
        assert_eq!(sorted(&["region"], &[]).unwrap(), "dbface");
        assert_eq!(sorted(&["region", "r2"], &["r2"]).unwrap(), "dbface");
        assert_eq!(sorted(&["rank", "id"], &["id"]).unwrap(), "cefdba");
    }

    #[test]
    fn cells_of_a_stage_are_ranked_together() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(&TableSort, folder.path());
        let shared = |number: f64| DataTable::new().text("part", ["shared"]).numbers("estimate", [number]);
        for (pair, number) in [("a_b", 0.1), ("a_c", 0.3), ("b_c", 0.2)] {
            give(&mut task, "table", &[("pair", pair)], shared(number).stamped(true));
        }
        set(&mut task, "by", list(&["estimate"]));
        set(&mut task, "descending", list(&["estimate"]));
        insta::assert_snapshot!(made(&TableSort, &task).unwrap().0, @r"
        pair,part,estimate,simulated
        a_c,shared,0.3,true
        b_c,shared,0.2,true
        a_b,shared,0.1,true
        ");
    }

    #[test]
    fn ranks_are_equal_where_rows_are_and_begin_anew_within_others() {
        let folder = tempfile::tempdir().unwrap();
        let table = DataTable::new()
            .text("region", ["V1", "V1", "V2", "V1", "V2", "V1", "V1"])
            .text("pair", ["a", "b", "a", "c", "b", "d", "e"])
            .optional_numbers("shared", [Some(0.1), Some(0.3), Some(0.3), Some(0.3), Some(0.4), None, Some(f64::NAN)]);
        let mut task = given(&TableSort, folder.path(), &[("table", table)]);
        set(&mut task, "by", list(&["shared"]));
        set(&mut task, "descending", list(&["shared"]));
        set(&mut task, "rank", text("place"));
        insta::assert_snapshot!(made(&TableSort, &task).unwrap().0, @r"
        region,pair,shared,place
        V2,b,0.4,1
        V1,b,0.3,2
        V2,a,0.3,2
        V1,c,0.3,2
        V1,a,0.1,5
        V1,d,,6
        V1,e,,6
        ");
        set(&mut task, "within", list(&["region"]));
        insta::assert_snapshot!(made(&TableSort, &task).unwrap().0, @r"
        region,pair,shared,place
        V2,b,0.4,1
        V1,b,0.3,1
        V2,a,0.3,2
        V1,c,0.3,1
        V1,a,0.1,3
        V1,d,,4
        V1,e,,4
        ");
        let known = |_: &str, _: &str| None::<ColumnMeaning>;
        let of_rank = meaning("place", &task.params, &known);
        assert_eq!(
            of_rank.about,
            "the place of the row by `shared` from high to low, from 1, anew within each `region`; equal rows have that of the \
             first of them"
        );
        set(&mut task, "rank", text("pair"));
        assert_eq!(
            made(&TableSort, &task).unwrap_err().message,
            "two columns would be called `pair`, expected each name once"
        );
        set(&mut task, "rank", text(""));
        assert_eq!(made(&TableSort, &task).unwrap_err().message, "`within` is region, but there is no `rank`");
    }

    #[test]
    fn columns_are_there_and_named_once() {
        let message = |by: &[&str], descending: &[&str]| sorted(by, descending).unwrap_err().message;
        assert_eq!(message(&[], &[]), "`by` is empty, expected at least one column");
        assert_eq!(message(&["r3"], &[]), "there is no column `r3`");
        assert_eq!(message(&["r2", "r2"], &[]), "`by` has `r2` twice, expected each column once");
        assert_eq!(message(&["r2"], &["rank"]), "`descending` has `rank`, which is not in `by`");
    }
}
