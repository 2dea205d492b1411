//! `regions/summary`: the spread of a column of a table within regions of interest, and everywhere.
//!
//! Decides that a region is the units listed for it, that missing values are counted and not used, and which quantiles stand for a
//! region. A region without any unit in the table is kept, with no values: it is not the same as a region that was never asked for.
//! Independent of what the numbers are.

use std::collections::BTreeMap;

use pipe_contract::{Arity, Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};
use polars::prelude::DataFrame;

use crate::formats::data_table::{self, DataTable};
use crate::numeric::counts::real;
use crate::numeric::statistics::quantile;

/// The kind.
pub(super) struct RegionSummary;

parameters! {
    struct Parameters {
        /// the column of numbers
        column: String = "r2".to_owned();
        /// the column that says what a number belongs to, such as `model`; each of its values is summed up apart; empty for none
        by: String = "model".to_owned();
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
        let kind = Kind::new("regions/summary", 1, "least, median, mean and greatest of a column within regions")
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
        let regions = Regions::read(task, &parameters)?;
        let mut notes = Vec::new();
        let mut rows = Vec::new();
        for (group, numbers) in &table.groups {
            if !parameters.everywhere.is_empty() {
                rows.push((group, &parameters.everywhere, Spread::of(numbers.values().copied())));
            }
            for (region, units) in &regions.0 {
                let spread = Spread::of(units.iter().filter_map(|unit| numbers.get(unit).copied()));
                if spread.numbers.is_empty() && spread.missing == 0 {
                    notes.push(format!("{IMPORTANT}region `{region}` has no unit in the table ({group})"));
                }
                rows.push((group, region, spread));
            }
        }
        notes.iter().for_each(|note| context.log(note));
        let of =
            |pick: fn(&Spread) -> Option<f64>| rows.iter().map(move |(.., spread)| pick(spread)).collect::<Vec<_>>();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let table = DataTable::of(COLUMNS)
            .text("group", rows.iter().map(|(group, ..)| group.as_str()))
            .text("region", rows.iter().map(|(_, region, _)| region.as_str()))
            .integers("n", rows.iter().map(|(.., spread)| count(spread.numbers.len())))
            .integers("n_missing", rows.iter().map(|(.., spread)| count(spread.missing)))
            .optional_numbers("min", of(|spread| spread.numbers.first().copied()))
            .optional_numbers("median", of(|spread| spread.quantile(0.5)))
            .optional_numbers("mean", of(Spread::mean))
            .optional_numbers("max", of(|spread| spread.numbers.last().copied()))
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
        Ok(Self { groups })
    }
}

/// Regions in their order, each with its units.
struct Regions(Vec<(String, Vec<String>)>);

impl Regions {
    fn read(task: &Task, parameters: &Parameters) -> Result<Self, Failure> {
        let Some(path) = task.maybe("regions") else {
            return match parameters.only.is_empty() {
                true => Ok(Self(Vec::new())),
                false => Err(Failure::input("`only` names regions, but the port `regions` is not given")),
            };
        };
        let at = |failure: Failure| failure.at(path.display().to_string());
        let table = data_table::read(path)?;
        let names = data_table::texts(&table, "region").map_err(at)?;
        let mut all: Vec<(String, Vec<String>)> = Vec::new();
        for (name, id) in names.into_iter().zip(data_table::texts(&table, "id").map_err(at)?) {
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, units)) => units.push(id),
                None => all.push((name, vec![id])),
            }
        }
        if parameters.only.is_empty() {
            return Ok(Self(all));
        }
        let named = |name: &String| {
            all.iter().find(|(known, _)| known == name).cloned().ok_or_else(|| {
                let known: Vec<&str> = all.iter().map(|(known, _)| known.as_str()).collect();
                at(Failure::input(format!("there is no region `{name}`; there are {}", known.join(", "))))
            })
        };
        Ok(Self(parameters.only.iter().map(named).collect::<Result<_, Failure>>()?))
    }
}

/// Numbers in order, and how many were missing.
struct Spread {
    numbers: Vec<f64>,
    missing: usize,
}

impl Spread {
    fn of(all: impl Iterator<Item = Option<f64>>) -> Self {
        let (mut numbers, mut missing) = (Vec::new(), 0);
        for number in all {
            match number {
                Some(number) => numbers.push(number),
                None => missing += 1,
            }
        }
        numbers.sort_by(f64::total_cmp);
        Self { numbers, missing }
    }

    fn quantile(&self, share: f64) -> Option<f64> {
        (!self.numbers.is_empty()).then(|| quantile(&self.numbers, share))
    }

    fn mean(&self) -> Option<f64> {
        (!self.numbers.is_empty()).then(|| self.numbers.iter().sum::<f64>() / real(self.numbers.len()))
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
    fn one_region_alone_and_everywhere_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        set(&mut task, "only", Value::List(vec![Value::Text("V1".into())]));
        set(&mut task, "everywhere", Value::Text(String::new()));
        run(&RegionSummary, &task).unwrap();
        assert_eq!(csv(&task).lines().count(), 3);
        set(&mut task, "only", Value::List(vec![Value::Text("V9".into())]));
        assert!(run(&RegionSummary, &task).unwrap_err().message.contains("no region `V9`; there are V2, V1, FFA"));
        task.inputs.remove("regions");
        assert!(run(&RegionSummary, &task).unwrap_err().message.contains("port `regions` is not given"));
        set(&mut task, "by", Value::Text(String::new()));
        set(&mut task, "only", Value::List(Vec::new()));
        assert!(run(&RegionSummary, &task).unwrap_err().message.contains("`a` is there twice in the group ``"));
    }
}
