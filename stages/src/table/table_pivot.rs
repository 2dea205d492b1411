//! `table/pivot`: a long table as a wide one: a column for each value of one column, filled from another.
//!
//! A row for each combination of values in the index columns. Rows and new columns come in the order in which they first appear. A cell
//! that two rows would fill is refused, because either would be lost; one that no row fills is empty, and their number is noted. Columns
//! that are neither index nor names nor values are left out.

use std::collections::BTreeMap;

use pipe_contract::{ColumnMeaning, Context, Ended, Failure, InputColumns, Kind, StageKind, Task, Value, parameters};

use super::any_table::{ANY, AnyTable, CellKey, kept, words};
use crate::formats::data_table::{self, STAMP};

/// The kind.
pub(super) struct TablePivot;

parameters! {
    struct Parameters {
        /// the columns whose values make a row
        index: Vec<String>;
        /// the column whose values are the names of the new columns
        names: String;
        /// the column whose values are in them
        values: String;
        /// what is put before the names
        prefix: String = String::new();
    }
}

/// More new columns than this are a mistake: rows and columns are confused.
const MOST_COLUMNS: usize = 10_000;

impl StageKind for TablePivot {
    fn kind(&self) -> Kind {
        let kind = Kind::new("table/pivot", 1, "a long table as a wide one: a column for each value of one column")
            .gather("table", &[], ANY)
            .folder(
                "table",
                "table",
                "a row for each combination in `index`: its columns, then one for each value in `names`",
            )
            .described(data_table::FILES, &[STAMP])
            .others(meaning)
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { index, names, values, prefix } = task.parameters()?;
        let (table, mut notes) = AnyTable::read(task, "table")?;
        if index.is_empty() {
            return Err(Failure::input("`index` is empty, expected at least one column"));
        }
        let index_cells = table.several(&index, "index")?;
        let (name_cells, value_cells) = (table.column(&names)?, table.column(&values)?);
        if let Some(row) = (0..table.height()).find(|row| name_cells.key(*row) == CellKey::Empty) {
            let key = words(&index_cells, row);
            return Err(Failure::input(format!(
                "a row of {key} has no value in `{names}`, expected the name of a column"
            ))
            .hint(format!("keep rows that have one: `table/filter` with `present: [{names}]`")));
        }
        let by_name = table.groups(&[name_cells]);
        if by_name.len() > MOST_COLUMNS {
            return Err(Failure::input(format!(
                "`{names}` has {} different values, expected at most {MOST_COLUMNS}: each would be a column",
                by_name.len()
            )));
        }
        let groups = table.groups(&index_cells);
        let firsts: Vec<Option<usize>> = groups.iter().map(|rows| rows.first().copied()).collect();
        let mut group_of = vec![0; table.height()];
        for (group, rows) in groups.iter().enumerate() {
            rows.iter().for_each(|row| group_of[*row] = group);
        }
        let mut wide = AnyTable::with_height(groups.len(), &[&table]);
        for (name, cells) in index.iter().zip(&index_cells) {
            wide.add(name, cells.take(&firsts))?;
        }
        let mut absent = 0;
        for rows in &by_name {
            let name = name_cells.word(rows[0]);
            let mut of_group: Vec<Option<usize>> = vec![None; groups.len()];
            for row in rows {
                if of_group[group_of[*row]].replace(*row).is_some() {
                    let key = words(&index_cells, *row);
                    return Err(Failure::input(format!("two rows of {key} have `{name}` in the column `{names}`, expected one"))
                        .hint("name more columns in `index`, choose rows with `table/filter`, or sum up with `table/aggregate`"));
                }
            }
            absent += of_group.iter().filter(|row| row.is_none()).count();
            wide.add(&format!("{prefix}{name}"), value_cells.take(&of_group))
                .map_err(|failure| failure.hint("`prefix` is put before the names of new columns"))?;
        }
        if absent > 0 {
            let all = groups.len() * by_name.len();
            notes.push(format!("{absent} of {all} combinations of `index` and `{names}` are in no row, and empty"));
        }
        wide.write(task, context)?;
        Ok(Ended::noted(notes))
    }
}

/// Columns of the index are kept; any other has the values of one column.
fn meaning(name: &str, values: &BTreeMap<String, Value>, inputs: &InputColumns<'_>) -> ColumnMeaning {
    let Ok(parameters) = <Parameters as pipe_contract::Parameters>::read(values) else {
        return kept("table", name, inputs);
    };
    if parameters.index.iter().any(|index| index == name) {
        return kept("table", name, inputs);
    }
    let ColumnMeaning { about, unit, levels } = kept("table", &parameters.values, inputs);
    let word = name.strip_prefix(parameters.prefix.as_str()).unwrap_or(name);
    let about = format!("`{}` where `{}` is `{word}`: {about}", parameters.values, parameters.names);
    ColumnMeaning { about, unit, levels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::table::any_table::tests::{given, list, made, text};
    use crate::test_support::tasks::set;

    fn parts() -> DataTable {
        DataTable::new()
            .text("id", ["v2", "v1", "v2", "v1", "v3"])
            .text("part", ["unique", "unique", "shared", "total", "shared"])
            .numbers("estimate", [0.25, 0.5, 0.125, 1.0, 0.0])
            .integers("n", [1, 2, 3, 4, 5])
            .optional_numbers("low", [None, Some(1.0), Some(2.0), Some(3.0), Some(4.0)])
            .stamped(true)
    }

    fn pivoted(with: &[(&str, Value)]) -> Result<(String, Vec<String>), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(&TablePivot, folder.path(), &[("table", parts())]);
        set(&mut task, "index", list(&["id"]));
        set(&mut task, "names", text("part"));
        set(&mut task, "values", text("estimate"));
        for (name, value) in with {
            set(&mut task, name, value.clone());
        }
        made(&TablePivot, &task)
    }

    #[test]
    fn rows_and_columns_come_in_the_order_in_which_they_appear() {
        let (csv, notes) = pivoted(&[]).unwrap();
        insta::assert_snapshot!(csv, @r"
        id,unique,shared,total,simulated
        v2,0.25,0.125,,true
        v1,0.5,,1.0,true
        v3,,0.0,,true
        ");
        assert_eq!(notes, ["4 of 9 combinations of `index` and `part` are in no row, and empty"]);
        let (csv, _) = pivoted(&[("index", list(&["part"])), ("names", text("n")), ("prefix", text("n_"))]).unwrap();
        insta::assert_snapshot!(csv, @r"
        part,n_1,n_2,n_3,n_4,n_5,simulated
        unique,0.25,0.5,,,,true
        shared,,,0.125,,0.0,true
        total,,,,1.0,,true
        ");
    }

    #[test]
    fn a_cell_that_two_rows_fill_is_refused() {
        let message = |with: &[(&str, Value)]| pivoted(with).unwrap_err().message;
        assert_eq!(
            message(&[("index", list(&["part"])), ("names", text("simulated"))]),
            "there is no column `simulated`"
        );
        let twice = [("index", list(&["part"])), ("names", text("part")), ("prefix", text("is_"))];
        assert_eq!(message(&twice), "two rows of `unique` have `unique` in the column `part`, expected one");
        assert_eq!(
            message(&[("names", text("low"))]),
            "a row of `v2` has no value in `low`, expected the name of a column"
        );
        assert_eq!(message(&[("index", list(&[]))]), "`index` is empty, expected at least one column");
        assert_eq!(message(&[("values", text("estimates"))]), "there is no column `estimates`");
        let same = [("index", list(&["n"])), ("names", text("n"))];
        assert!(pivoted(&same).is_ok());
    }

    #[test]
    fn new_columns_mean_what_their_values_mean() {
        let known = |_: &str, name: &str| {
            Some(ColumnMeaning { about: format!("the {name}"), unit: "share".to_owned(), ..ColumnMeaning::default() })
        };
        let values =
            [("index", list(&["id"])), ("names", text("part")), ("values", text("estimate")), ("prefix", text("p_"))];
        let values: BTreeMap<String, Value> = values.map(|(name, value)| (name.to_owned(), value)).into();
        let unique = meaning("p_unique", &values, &known);
        assert_eq!(unique.about, "`estimate` where `part` is `unique`: the estimate");
        assert_eq!(unique.unit, "share");
        assert_eq!(meaning("id", &values, &known).about, "the id");
    }
}
