//! `regions/summary`: the spread of a column of a table within regions of interest, and everywhere.
//!
//! Decides that a region is the set of units listed for it, that missing values are counted and not used, and which quantiles stand for
//! a region. A region without any unit in the table is kept, with no values: it is not the same as a region that was never asked for.
//! Independent of what the numbers are.

use std::collections::BTreeMap;

use pipe_contract::{Arity, Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};
use polars::prelude::DataFrame;

use super::region_spread::{UnitSpread, named_or_all};
use crate::formats::data_table::{self, DataTable};

/// The kind.
pub(super) struct RegionSummary;

parameters! {
    struct Parameters {
        /// the column of numbers
        column: String = "r2".to_owned();
        /// the column that says what a number belongs to, such as `model`; each of its values is summed up apart; empty for none
        by: String = "model".to_owned();
        /// values of that column that are summed up, in this order; none for all that there are
        groups: Vec<String> = Vec::new();
        /// regions, in this order; none for all that there are
        only: Vec<String> = Vec::new();
        /// the name of all units together; empty to leave it out
        everywhere: String = "all".to_owned();
    }
}

const COLUMNS: &[Column] = &[
    Column::new("group", "the value of the column by which numbers were grouped; empty if by none"),
    Column::new("region", "the region; `all` is every unit of the table, in a region or not"),
    Column::new("n", "units with a number"),
    Column::new("n_missing", "units without one: constant responses, or those below the least ceiling"),
    Column::new("min", "the least number"),
    Column::new("median", "the median"),
    Column::new("mean", "the mean"),
    Column::new("max", "the greatest number"),
    data_table::STAMP,
];

impl StageKind for RegionSummary {
    fn kind(&self) -> Kind {
        let kind = Kind::new("regions/summary", 2, "least, median, mean and greatest of a column within regions")
            .input("table", &[], "a table with a column `id` (units) and a column of numbers, such as scores of models")
            .port(
                "regions",
                &["regions"],
                Arity::One,
                true,
                "which unit is in which region; without it, everywhere only",
            )
            .folder(
                "table",
                "table/by-region",
                "a row a group and region, in the order of the table and of the regions",
            )
            .described(data_table::FILES, COLUMNS)
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let table = Numbers::read(task, &parameters)?;
        let regions = named_or_all(task, &parameters.only)?;
        if !parameters.everywhere.is_empty() {
            let hint = "call that row differently, `everywhere: every unit`, or leave it out, `everywhere: \"\"`";
            regions.without(&parameters.everywhere, hint)?;
        }
        let mut notes = Vec::new();
        let mut rows = Vec::new();
        for (group, numbers) in &table.groups {
            if !parameters.everywhere.is_empty() {
                rows.push((group, &parameters.everywhere, UnitSpread::of(numbers.values().copied())));
            }
            for (region, units) in &regions.0 {
                let spread = UnitSpread::of(units.iter().filter_map(|unit| numbers.get(unit).copied()));
                if spread.numbers.is_empty() && spread.missing == 0 {
                    notes.push(format!("{IMPORTANT}region `{region}` has no unit in the table ({group})"));
                }
                rows.push((group, region, spread));
            }
        }
        notes.iter().for_each(|note| context.log(note));
        let of = |pick: fn(&UnitSpread) -> Option<f64>| {
            rows.iter().map(move |(.., spread)| pick(spread)).collect::<Vec<_>>()
        };
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let table = DataTable::of(COLUMNS)
            .text("group", rows.iter().map(|(group, ..)| group.as_str()))
            .text("region", rows.iter().map(|(_, region, _)| region.as_str()))
            .integers("n", rows.iter().map(|(.., spread)| count(spread.numbers.len())))
            .integers("n_missing", rows.iter().map(|(.., spread)| count(spread.missing)))
            .optional_numbers("min", of(UnitSpread::least))
            .optional_numbers("median", of(UnitSpread::median))
            .optional_numbers("mean", of(UnitSpread::mean))
            .optional_numbers("max", of(UnitSpread::greatest))
            .stamped(task.simulated);
        data_table::write(task.output("table")?, &mut table.build()?)?;
        Ok(Ended::noted(notes))
    }
}

/// The numbers of a table: by group in the order of the table, and by unit.
struct Numbers {
    groups: Vec<(String, BTreeMap<String, Option<f64>>)>,
}

impl Numbers {
    fn read(task: &Task, parameters: &Parameters) -> Result<Self, Failure> {
        let path = task.one("table")?;
        let table = data_table::read(path)?;
        Self::of(&table, parameters).map_err(|failure| failure.at(path.display().to_string()))
    }

    fn of(table: &DataFrame, parameters: &Parameters) -> Result<Self, Failure> {
        let ids = data_table::texts(table, "id")?;
        let by = match parameters.by.as_str() {
            "" => vec![String::new(); ids.len()],
            by => data_table::texts(table, by)?,
        };
        let mut groups: Vec<(String, BTreeMap<String, Option<f64>>)> = Vec::new();
        let mut positions: BTreeMap<String, usize> = BTreeMap::new();
        for ((id, group), number) in ids.into_iter().zip(by).zip(data_table::maybe_numbers(table, &parameters.column)?)
        {
            let position = *positions.entry(group.clone()).or_insert_with(|| {
                groups.push((group.clone(), BTreeMap::new()));
                groups.len() - 1
            });
            if groups[position].1.insert(id.clone(), number).is_some() {
                let hint = "`by` must distinguish all rows of a unit";
                return Err(Failure::input(format!("`{id}` is there twice in the group `{group}`")).hint(hint));
            }
        }
        Self { groups }.only(&parameters.groups, &parameters.by)
    }

    /// These groups in this order, or all.
    fn only(mut self, wanted: &[String], by: &str) -> Result<Self, Failure> {
        if wanted.is_empty() {
            return Ok(self);
        }
        let mut groups = Vec::new();
        for name in wanted {
            let Some(at) = self.groups.iter().position(|(known, _)| known == name) else {
                let known: Vec<&str> = self.groups.iter().map(|(known, _)| known.as_str()).collect();
                let message = format!("no row has `{name}` in the column `{by}`; it has {}", known.join(", "));
                return Err(Failure::input(message).hint("each of `groups` is named once"));
            };
            groups.push(self.groups.remove(at));
        }
        Ok(Self { groups })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks::{give, run, set, task};
    use pipe_contract::Value;

    fn given(folder: &std::path::Path) -> Task {
        let scores = DataTable::new()
            .text("id", ["a", "b", "c", "a", "b", "c"])
            .text("model", ["X", "X", "X", "Y", "Y", "Y"])
            .optional_numbers("r2", [Some(0.1), Some(0.3), None, Some(-0.5), Some(0.0), Some(0.25)]);
        data_table::write(&folder.join("scores"), &mut scores.build().unwrap()).unwrap();
        let regions = DataTable::new()
            .text("region", ["V2", "V2", "V1", "FFA"])
            .text("group", ["retino", "retino", "retino", "face"])
            .text("id", ["b", "c", "a", "z"]);
        data_table::write(&folder.join("regions"), &mut regions.build().unwrap()).unwrap();
        let mut task = task(&RegionSummary, folder);
        give(&mut task, "table", &folder.join("scores"));
        give(&mut task, "regions", &folder.join("regions"));
        task
    }

    fn csv(task: &Task) -> String {
        fs_err::read_to_string(task.output("table").unwrap().join(data_table::CSV)).unwrap()
    }

    #[test]
    fn regions_have_their_spread_and_missing_values_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let task = given(folder.path());
        let notes = run(&RegionSummary, &task).unwrap();
        insta::assert_snapshot!(csv(&task), @r"
        group,region,n,n_missing,min,median,mean,max
        X,all,2,1,0.1,0.2,0.2,0.3
        X,V2,1,1,0.3,0.3,0.3,0.3
        X,V1,1,0,0.1,0.1,0.1,0.1
        X,FFA,0,0,,,,
        Y,all,3,0,-0.5,0.0,-0.08333333333333333,0.25
        Y,V2,2,0,0.0,0.125,0.125,0.25
        Y,V1,1,0,-0.5,-0.5,-0.5,-0.5
        Y,FFA,0,0,,,,
        ");
        assert_eq!(notes[0], "important: region `FFA` has no unit in the table (X)");
    }

    #[test]
    fn a_region_is_a_set_and_not_called_as_the_row_of_everything() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        let regions = |names: [&str; 4]| {
            let table = DataTable::new().text("region", names).text("id", ["a", "b", "a", "a"]);
            data_table::write(&folder.path().join("regions"), &mut table.build().unwrap()).unwrap();
        };
        regions(["V1", "V1", "V1", "V2"]);
        run(&RegionSummary, &task).unwrap();
        // Of V1 a has 0.1 and b 0.3 by the model X.
        assert_eq!(csv(&task).lines().nth(2).unwrap(), "X,V1,2,0,0.1,0.2,0.2,0.3");
        regions(["V1", "V1", "all", "all"]);
        let message = run(&RegionSummary, &task).unwrap_err().message;
        assert_eq!(message, "a region is called `all`, as the row of all units is");
        set(&mut task, "everywhere", Value::Text(String::new()));
        run(&RegionSummary, &task).unwrap();
        assert_eq!(csv(&task).lines().nth(2).unwrap(), "X,all,1,0,0.1,0.1,0.1,0.1");
    }

    #[test]
    fn one_region_alone_and_everywhere_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        set(&mut task, "only", Value::List(vec![Value::Text("V1".into())]));
        set(&mut task, "everywhere", Value::Text(String::new()));
        run(&RegionSummary, &task).unwrap();
        assert_eq!(csv(&task).lines().count(), 3);
        set(&mut task, "only", Value::List(vec![Value::Text("V9".into())]));
        assert!(run(&RegionSummary, &task).unwrap_err().message.contains("no region `V9`; there are V2, V1, FFA"));
        set(&mut task, "only", Value::List(vec![Value::Text("V1".into())]));
        set(&mut task, "groups", Value::List(vec![Value::Text("Y".into())]));
        run(&RegionSummary, &task).unwrap();
        assert_eq!(csv(&task).lines().nth(1), Some("Y,V1,1,0,-0.5,-0.5,-0.5,-0.5"));
        assert_eq!(csv(&task).lines().count(), 2);
        set(&mut task, "groups", Value::List(vec![Value::Text("Z".into())]));
        let message = run(&RegionSummary, &task).unwrap_err().message;
        assert_eq!(message, "no row has `Z` in the column `model`; it has X, Y");
        set(&mut task, "groups", Value::List(Vec::new()));
        task.inputs.remove("regions");
        assert!(run(&RegionSummary, &task).unwrap_err().message.contains("port `regions` is not given"));
        set(&mut task, "by", Value::Text(String::new()));
        set(&mut task, "only", Value::List(Vec::new()));
        assert!(run(&RegionSummary, &task).unwrap_err().message.contains("`a` is there twice in the group ``"));
    }
}
