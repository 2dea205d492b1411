//! `table/filter`: the rows of a table that have the values that are asked for.
//!
//! All conditions must hold. Columns and their types are those of the table, and rows keep their order. An empty value is within no
//! bounds and is none of the values of a list. A value that no row has is refused, because it is more often misspelt than absent. That
//! conditions leave no row together is a result: it is noted.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, Value, parameters};

use super::any_table::{ANY, AnyTable, CellKey, ColumnCells, kept};
use crate::formats::data_table::{self, STAMP};
use crate::formats::nearest_names::nearest;

/// The kind.
pub(super) struct TableFilter;

parameters! {
    struct Parameters {
        /// values that rows must have, by column: one or a list, such as `part: shared`, `model: [A, B]`
        only: BTreeMap<String, Value> = BTreeMap::new();
        /// values that rows must not have, by column: one or a list
        except: BTreeMap<String, Value> = BTreeMap::new();
        /// columns in which rows must have a value
        present: Vec<String> = Vec::new();
        /// numbers that those of rows must be above, by column
        above: BTreeMap<String, f64> = BTreeMap::new();
        /// numbers that those of rows must reach, by column
        at_least: BTreeMap<String, f64> = BTreeMap::new();
        /// numbers that those of rows must be below, by column
        below: BTreeMap<String, f64> = BTreeMap::new();
        /// numbers that those of rows must not exceed, by column
        at_most: BTreeMap<String, f64> = BTreeMap::new();
    }
}

impl StageKind for TableFilter {
    fn kind(&self) -> Kind {
        let kind = Kind::new("table/filter", 1, "the rows of a table that have the values that are asked for")
            .gather("table", &[], ANY)
            .folder("table", "table", "these rows in their order, with all columns")
            .described(data_table::FILES, &[STAMP])
            .others(|name, _, inputs| kept("table", name, inputs))
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let (table, mut notes) = AnyTable::read(task, "table")?;
        let is_kept = kept_rows(&table, &parameters)?;
        let rows: Vec<usize> = (0..table.height()).filter(|row| is_kept[*row]).collect();
        let count = format!("{} of {} rows meet the conditions", rows.len(), table.height());
        context.log(&count);
        if rows.is_empty() {
            notes.push(format!("{IMPORTANT}{count}: the table is empty"));
        }
        table.rows(&rows).write(task, context)?;
        Ok(Ended::noted(notes))
    }
}

/// For each row whether it meets all conditions.
fn kept_rows(table: &AnyTable, parameters: &Parameters) -> Result<Vec<bool>, Failure> {
    let mut all_met = vec![true; table.height()];
    for (conditions, expected) in [(&parameters.only, true), (&parameters.except, false)] {
        for (name, value) in conditions {
            let cells = table.column(name)?;
            let values = match value {
                Value::List(values) => values.as_slice(),
                one => std::slice::from_ref(one),
            };
            let listed = listed(name, cells, values, table.height())?;
            let listed: BTreeSet<CellKey<'_>> = (0..values.len()).map(|at| listed.key(at)).collect();
            require(&mut all_met, |row| listed.contains(&cells.key(row)) == expected);
        }
    }
    for cells in table.several(&parameters.present, "present")? {
        require(&mut all_met, |row| cells.key(row) != CellKey::Empty);
    }
    type IsWithin = fn(f64, f64) -> bool;
    let bounds: [(_, IsWithin); 4] = [
        (&parameters.above, |value, bound| value > bound),
        (&parameters.at_least, |value, bound| value >= bound),
        (&parameters.below, |value, bound| value < bound),
        (&parameters.at_most, |value, bound| value <= bound),
    ];
    for (by_column, is_within) in bounds {
        for (name, bound) in by_column {
            let cells = table.column(name)?;
            if !matches!(cells, ColumnCells::Whole(_) | ColumnCells::Numbers(_)) {
                let holds = cells.holds();
                return Err(Failure::input(format!("column `{name}` holds {holds}, expected numbers")));
            }
            require(&mut all_met, |row| cells.number(row).is_some_and(|value| is_within(value, *bound)));
        }
    }
    Ok(all_met)
}

/// Keeps those rows that meet one more condition.
fn require(all_met: &mut [bool], is_met: impl Fn(usize) -> bool) {
    all_met.iter_mut().enumerate().for_each(|(row, met)| *met &= is_met(row));
}

/// Values of a parameter as values of a column, each of which some row has.
fn listed(name: &str, cells: &ColumnCells, values: &[Value], height: usize) -> Result<ColumnCells, Failure> {
    let listed = cells.of_same_type(values).map_err(|other| {
        let (holds, found) = (cells.holds(), other.type_name());
        let failure =
            Failure::input(format!("column `{name}` holds {holds}, but it is compared with the {found} {other}"));
        match cells {
            ColumnCells::Texts(_) => failure.hint(format!("text that looks like a number has quotes: \"{other}\"")),
            _ => failure,
        }
    })?;
    let absent = {
        let rows = (0..height).filter(|row| cells.key(*row) != CellKey::Empty);
        let known: BTreeMap<CellKey<'_>, usize> = rows.map(|row| (cells.key(row), row)).collect();
        let absent = (0..values.len()).find(|at| !known.contains_key(&listed.key(*at)));
        absent.map(|at| {
            let words: Vec<String> = known.values().map(|row| cells.word(*row)).collect();
            let near = nearest(&listed.word(at), words.iter().map(String::as_str));
            let failure = Failure::input(format!("no row has `{}` in the column `{name}`", listed.word(at)));
            if near.is_empty() { failure } else { failure.hint(format!("the nearest values are {near}")) }
        })
    };
    absent.map_or(Ok(listed), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::table::any_table::tests::{given, list, made, map, text};
    use crate::test_support::tasks::set;

    fn parts() -> DataTable {
        DataTable::new()
            .text("id", ["a", "b", "a", "b", "c"])
            .text("part", ["shared", "shared", "unique", "unique", "shared"])
            .integers("fold", [1, 2, 1, 2, 1])
            .optional_numbers("estimate", [Some(0.25), Some(-0.5), Some(0.1), None, Some(0.75)])
            .flags("at_edge", [true, false, false, false, true])
    }

    /// The ids that remain, and the notes.
    fn filtered(conditions: &[(&str, Value)]) -> Result<(String, Vec<String>), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(&TableFilter, folder.path(), &[("table", parts())]);
        for (name, value) in conditions {
            set(&mut task, name, value.clone());
        }
        let (csv, notes) = made(&TableFilter, &task)?;
        let ids: Vec<&str> = csv.lines().skip(1).map(|line| &line[..1]).collect();
        Ok((ids.join(" "), notes))
    }

    fn ids(conditions: &[(&str, Value)]) -> String {
        filtered(conditions).unwrap().0
    }

    #[test]
    fn rows_keep_their_order_and_columns() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(&TableFilter, folder.path(), &[("table", parts().stamped(true))]);
        set(&mut task, "only", map(&[("part", text("shared")), ("id", list(&["c", "a"]))]));
        insta::assert_snapshot!(made(&TableFilter, &task).unwrap().0, @r"
        id,part,fold,estimate,at_edge,simulated
        a,shared,1,0.25,true,true
        c,shared,1,0.75,true,true
        ");
        set(&mut task, "only", map(&[]));
        assert_eq!(made(&TableFilter, &task).unwrap().0.lines().count(), 6);
    }

    #[test]
    fn all_conditions_hold_and_nothing_is_within_no_bounds() {
        let number = |name: &str, bound: f64| map(&[(name, Value::Float(bound))]);
        assert_eq!(ids(&[("above", number("estimate", 0.1))]), "a c");
        assert_eq!(ids(&[("at_least", number("estimate", 0.1))]), "a a c");
        assert_eq!(ids(&[("below", number("estimate", 0.25))]), "b a");
        assert_eq!(ids(&[("at_most", number("fold", 1.0))]), "a a c");
        assert_eq!(ids(&[("at_least", number("estimate", -9.0)), ("only", map(&[("fold", Value::Int(2))]))]), "b");
        assert_eq!(ids(&[("present", list(&["estimate"]))]), "a b a c");
        assert_eq!(ids(&[("except", map(&[("part", text("unique")), ("id", text("b"))]))]), "a c");
        assert_eq!(ids(&[("only", map(&[("at_edge", Value::Bool(false))]))]), "b a b");
        // Coordinates of axes are text.
        assert_eq!(ids(&[("only", map(&[("fold", text("2")), ("at_edge", text("false"))]))]), "b b");
    }

    #[test]
    fn no_row_is_noted_and_what_is_nowhere_is_refused() {
        let (rows, notes) = filtered(&[("only", map(&[("id", text("c")), ("part", text("unique"))]))]).unwrap();
        assert_eq!((rows.as_str(), notes.len()), ("", 1));
        assert_eq!(notes[0], "important: 0 of 5 rows meet the conditions: the table is empty");
        let failure = |conditions: &[(&str, Value)]| filtered(conditions).unwrap_err();
        let nowhere = failure(&[("only", map(&[("part", list(&["shared", "share"]))]))]);
        assert_eq!(nowhere.message, "no row has `share` in the column `part`");
        assert_eq!(nowhere.hint.unwrap(), "the nearest values are `shared`, `unique`");
        let column = failure(&[("except", map(&[("parts", text("unique"))]))]);
        assert_eq!(column.message, "there is no column `parts`");
        assert!(column.hint.unwrap().starts_with("the nearest names are `part`"));
        let number = failure(&[("only", map(&[("id", Value::Int(7))]))]);
        assert_eq!(number.message, "column `id` holds text, but it is compared with the int 7");
        assert_eq!(number.hint.unwrap(), "text that looks like a number has quotes: \"7\"");
        let word = failure(&[("only", map(&[("fold", text("first"))]))]);
        assert_eq!(word.message, "column `fold` holds whole numbers, but it is compared with the text first");
        let bound = failure(&[("above", map(&[("part", Value::Float(0.0))]))]);
        assert_eq!(bound.message, "column `part` holds text, expected numbers");
        let twice = failure(&[("present", list(&["id", "id"]))]);
        assert_eq!(twice.message, "`present` has `id` twice, expected each column once");
    }
}
