//! `table/sort`: the rows of a table in the order of the values of some columns.
//!
//! By the first column, rows that are equal in it by the second, and so on; rows that are equal in all stay in the order that they have.
//! Numbers are ordered by size, text by code points (`V10` before `V2`, capitals before small letters), false before true. Rows without
//! a value are last, in either direction.

use std::cmp::Ordering;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::any_table::{ANY, AnyTable, CellKey, kept};
use crate::formats::data_table::{self, STAMP};

/// The kind.
pub(super) struct TableSort;

parameters! {
    struct Parameters {
        /// the columns, the one that decides first at the beginning
        by: Vec<String>;
        /// those of them that are ordered from high to low
        descending: Vec<String> = Vec::new();
    }
}

impl StageKind for TableSort {
    fn kind(&self) -> Kind {
        let kind = Kind::new("table/sort", 1, "the rows of a table in the order of the values of some columns")
            .gather("table", &[], ANY)
            .folder("table", "table", "all rows in this order, those without a value last")
            .described(data_table::FILES, &[STAMP])
            .others(|name, _, inputs| kept("table", name, inputs))
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { by, descending } = task.parameters()?;
        let (table, notes) = AnyTable::read(task, "table")?;
        if by.is_empty() {
            return Err(Failure::input("`by` is empty, expected at least one column"));
        }
        if let Some(other) = descending.iter().find(|name| !by.contains(name)) {
            return Err(Failure::input(format!("`descending` has `{other}`, which is not in `by`"))
                .hint("`by` lists all columns that decide the order"));
        }
        let columns: Vec<_> = table.several(&by, "by")?;
        let directions: Vec<bool> = by.iter().map(|name| descending.contains(name)).collect();
        let mut rows: Vec<usize> = (0..table.height()).collect();
        rows.sort_by(|a, b| {
            let by_column = columns.iter().zip(&directions);
            let mut orders = by_column.map(|(cells, descending)| compare(cells.key(*a), cells.key(*b), *descending));
            orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        table.rows(&rows).write(task, context)?;
        Ok(Ended::noted(notes))
    }
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
    use crate::table::any_table::tests::{give, given, list, made};
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
    fn columns_are_there_and_named_once() {
        let message = |by: &[&str], descending: &[&str]| sorted(by, descending).unwrap_err().message;
        assert_eq!(message(&[], &[]), "`by` is empty, expected at least one column");
        assert_eq!(message(&["r3"], &[]), "there is no column `r3`");
        assert_eq!(message(&["r2", "r2"], &[]), "`by` has `r2` twice, expected each column once");
        assert_eq!(message(&["r2"], &["rank"]), "`descending` has `rank`, which is not in `by`");
    }
}
