//! `table/unpivot`: a wide table as a long one: columns of one type below each other, with their names in another column.
//!
//! Every row becomes as many as there are such columns, one after the other, in the order in which these are named. Empty values are kept.
//! What the values of the new column mean is said of the first of the columns, as they hold the same of different things.

use std::collections::BTreeMap;

use pipe_contract::{ColumnMeaning, Context, Ended, Failure, InputColumns, Kind, StageKind, Task, Value, parameters};

use super::any_table::{ANY, AnyTable, ColumnCells, kept};
use crate::formats::data_table::{self, STAMP};

/// The kind.
pub(super) struct TableUnpivot;

parameters! {
    struct Parameters {
        /// the columns whose values are put below each other, in order
        columns: Vec<String>;
        /// the new column of their names
        names: String = "name".to_owned();
        /// the new column of their values
        values: String = "value".to_owned();
    }
}

impl StageKind for TableUnpivot {
    fn kind(&self) -> Kind {
        let kind = Kind::new("table/unpivot", 1, "a wide table as a long one: columns of one type below each other")
            .gather("table", &[], ANY)
            .folder("table", "table", "a row for each row and column: the other columns, then `names` and `values`")
            .described(data_table::FILES, &[STAMP])
            .others(meaning)
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { columns, names, values } = task.parameters()?;
        let (table, notes) = AnyTable::read(task, "table")?;
        let below = stacked(&columns, &table.several(&columns, "columns")?)?;
        let (height, count) = (table.height(), columns.len());
        let rows: Vec<Option<usize>> = (0..height * count).map(|row| Some(row / count)).collect();
        let cells: Vec<Option<usize>> =
            (0..height * count).map(|row| Some(row % count * height + row / count)).collect();
        let mut long = AnyTable::with_height(height * count, &[&table]);
        for (name, cells) in table.columns().filter(|(name, _)| !columns.iter().any(|column| column == name)) {
            long.add(name, cells.take(&rows))?;
        }
        let named = (0..height * count).map(|row| Some(columns[row % count].clone())).collect();
        let other_name = |failure: Failure| failure.hint("`names` and `values` say what the new columns are called");
        long.add(&names, ColumnCells::Texts(named)).map_err(other_name)?;
        long.add(&values, below.take(&cells)).map_err(other_name)?;
        long.write(task, context)?;
        Ok(Ended::noted(notes))
    }
}

/// All values of these columns, those of the first column at the beginning.
fn stacked(names: &[String], columns: &[&ColumnCells]) -> Result<ColumnCells, Failure> {
    let Some((first, others)) = columns.split_first() else {
        return Err(Failure::input("`columns` is empty, expected at least one column"));
    };
    let mut all = (*first).clone();
    for (name, cells) in names[1..].iter().zip(others) {
        if !all.append((*cells).clone()) {
            let (holds, before, first) = (cells.holds(), first.holds(), &names[0]);
            return Err(Failure::input(format!("`{name}` holds {holds}, but `{first}` {before}"))
                .hint("columns that become one are of one type"));
        }
    }
    Ok(all)
}

/// Other columns are kept; the values mean what those of the first column do.
fn meaning(name: &str, values: &BTreeMap<String, Value>, inputs: &InputColumns<'_>) -> ColumnMeaning {
    match <Parameters as pipe_contract::Parameters>::read(values) {
        Ok(parameters) if parameters.names == name => {
            let about = format!("the column that `{}` was in: {}", parameters.values, parameters.columns.join(", "));
            ColumnMeaning { about, ..ColumnMeaning::default() }
        }
        Ok(Parameters { columns, names, values }) if values == name => {
            let ColumnMeaning { about, unit, levels } = kept("table", columns.first().unwrap_or(&values), inputs);
            ColumnMeaning { about: format!("the value of the column in `{names}`: {about}"), unit, levels }
        }
        _ => kept("table", name, inputs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::table::any_table::tests::{given, list, made, text};
    use crate::test_support::tasks::set;

    fn unpivoted(with: &[(&str, Value)]) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let table = DataTable::new()
            .text("id", ["v1", "v2"])
            .optional_numbers("early", [Some(0.25), None])
            .integers("n", [1, 2])
            .numbers("late", [0.5, 0.75])
            .stamped(true);
        let mut task = given(&TableUnpivot, folder.path(), &[("table", table)]);
        set(&mut task, "columns", list(&["late", "early"]));
        for (name, value) in with {
            set(&mut task, name, value.clone());
        }
        Ok(made(&TableUnpivot, &task)?.0)
    }

    #[test]
    fn every_row_has_its_columns_one_after_the_other() {
        let csv = unpivoted(&[("names", text("space")), ("values", text("r2"))]).unwrap();
        insta::assert_snapshot!(csv, @r"
        id,n,space,r2,simulated
        v1,1,late,0.5,true
        v1,1,early,0.25,true
        v2,2,late,0.75,true
        v2,2,early,,true
        ");
    }

    #[test]
    fn columns_are_of_one_type_and_new_names_are_free() {
        let message = |with: &[(&str, Value)]| unpivoted(with).unwrap_err().message;
        assert_eq!(message(&[("columns", list(&[]))]), "`columns` is empty, expected at least one column");
        assert_eq!(message(&[("columns", list(&["late", "n"]))]), "`n` holds whole numbers, but `late` numbers");
        assert_eq!(message(&[("columns", list(&["later"]))]), "there is no column `later`");
        let taken = message(&[("names", text("id"))]);
        assert_eq!(taken, "two columns would be called `id`, expected each name once");
    }

    #[test]
    fn values_mean_what_the_first_column_does() {
        let known = |_: &str, name: &str| {
            Some(ColumnMeaning { about: format!("R2 of {name}"), unit: "share".to_owned(), ..ColumnMeaning::default() })
        };
        let values = [("columns", list(&["early", "late"])), ("names", text("space")), ("values", text("r2"))];
        let values: BTreeMap<String, Value> = values.map(|(name, value)| (name.to_owned(), value)).into();
        let r2 = meaning("r2", &values, &known);
        assert_eq!((r2.about.as_str(), r2.unit.as_str()), ("the value of the column in `space`: R2 of early", "share"));
        assert_eq!(meaning("space", &values, &known).about, "the column that `r2` was in: early, late");
        assert_eq!(meaning("id", &values, &known).about, "R2 of id");
    }
}
