//! `regions/identity`: the parts of a partition by region, and what they add up to in every voxel.
//!
//! Parts are added unit by unit and compared with R2 of the model with all their spaces, which comes from the scores of the models
//! and not from the partition. Decides nothing about the parts: what differs is in the table and noted.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Arity, Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task};

use super::region_spread::{UnitSpread, named_or_all};
use crate::formats::data_table::{self, DataTable};

/// The kind.
pub(super) struct PartsIdentity;

/// More than the arithmetic explains: scores and parts are sums of the same numbers in another order.
const ODD: f64 = 1e-9;

/// The name of all units together.
const ALL: &str = "all";

const R2: &str = "share of variance";

const COLUMNS: &[Column] = &[
    Column::new("region", "the region; `all` is every unit of the table, in a region or not"),
    Column::new("quantity", "what the row is about").levels(&[
        ("unique", "lost when this space alone is taken away"),
        ("shared", "lost only when all of these spaces are taken away; below 0 where they help each other"),
        ("sum", "the sum of all parts of a unit"),
        ("model", "R2 of the model with all spaces, from its scores"),
        ("difference", "the distance of the two, unit by unit: 0, but for rounding"),
    ]),
    Column::new("spaces", "the feature spaces, joined by +"),
    Column::new("n", "units with a number"),
    Column::measured("min", R2, "the least number"),
    Column::measured("median", R2, "the median"),
    Column::measured("mean", R2, "the mean"),
    Column::measured("max", R2, "the greatest number"),
    data_table::STAMP,
];

impl StageKind for PartsIdentity {
    fn kind(&self) -> Kind {
        let kind = Kind::new("regions/identity", 1, "parts by region, and that they add up to R2 in every unit")
            .input("parts", &["table/parts"], "unique and shared parts of every unit")
            .input("scores", &["table/encoding"], "R2 of the models, that with all spaces of the parts among them")
            .port(
                "regions",
                &["regions"],
                Arity::One,
                true,
                "which unit is in which region; without it, everywhere only",
            )
            .folder("table", "table/parts-identity", "rows of everywhere, then of every region")
            .described(data_table::FILES, COLUMNS);
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let rows = rows(task)?;
        let regions = named_or_all(task, &[])?;
        let all: BTreeSet<&String> = rows.iter().flat_map(|row| row.numbers.keys()).collect();
        let everywhere: (String, Vec<String>) = (ALL.to_owned(), all.into_iter().cloned().collect());
        let mut found = Vec::new();
        for (region, units) in std::iter::once(&everywhere).chain(&regions.0) {
            for row in &rows {
                found.push((region, row, UnitSpread::of(units.iter().map(|unit| row.numbers.get(unit).copied()))));
            }
        }
        // That of everywhere, which is the last of the first region.
        let worst = found.get(rows.len() - 1).and_then(|(.., spread)| spread.greatest()).unwrap_or(0.0);
        let mark = if worst > ODD { IMPORTANT } else { "" };
        let note =
            format!("{mark}the parts add up to R2 of {}, at most {worst:.1e} apart", rows[rows.len() - 1].spaces);
        context.log(&note);
        let of = |pick: fn(&UnitSpread) -> Option<f64>| {
            found.iter().map(move |(.., spread)| pick(spread)).collect::<Vec<_>>()
        };
        let table = DataTable::of(COLUMNS)
            .text("region", found.iter().map(|(region, ..)| region.as_str()))
            .text("quantity", found.iter().map(|(_, row, _)| row.quantity.as_str()))
            .text("spaces", found.iter().map(|(_, row, _)| row.spaces.as_str()))
            .integers("n", found.iter().map(|(.., spread)| i64::try_from(spread.numbers.len()).unwrap_or(i64::MAX)))
            .optional_numbers("min", of(UnitSpread::least))
            .optional_numbers("median", of(UnitSpread::median))
            .optional_numbers("mean", of(UnitSpread::mean))
            .optional_numbers("max", of(UnitSpread::greatest))
            .stamped(task.simulated);
        data_table::write(task.output("table")?, &mut table.build()?)?;
        Ok(Ended::noted(vec![note]))
    }
}

/// A quantity of every unit that has it.
struct Quantity {
    quantity: String,
    spaces: String,
    numbers: BTreeMap<String, f64>,
}

/// The parts in their order, then their sum, R2 of the model, and the distance of the two.
fn rows(task: &Task) -> Result<Vec<Quantity>, Failure> {
    let path = task.one("parts")?;
    let at = |failure: Failure| failure.at(path.display().to_string());
    let table = data_table::read(path)?;
    let texts = |name: &str| data_table::texts(&table, name).map_err(at);
    let (ids, parts, spaces) = (texts("id")?, texts("part")?, texts("spaces")?);
    let estimates = data_table::maybe_numbers(&table, "estimate").map_err(at)?;
    let mut rows: Vec<Quantity> = Vec::new();
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    let mut total = None;
    for (((id, part), spaces), estimate) in ids.into_iter().zip(parts).zip(spaces).zip(estimates) {
        if part == "total" {
            total = Some(spaces);
            continue;
        }
        let place = rows.iter().position(|row| row.quantity == part && row.spaces == spaces).unwrap_or_else(|| {
            rows.push(Quantity { quantity: part, spaces, numbers: BTreeMap::new() });
            rows.len() - 1
        });
        if let Some(estimate) = estimate {
            *sums.entry(id.clone()).or_default() += estimate;
            rows[place].numbers.insert(id, estimate);
        }
    }
    let spaces = total.ok_or_else(|| at(Failure::input("there is no part `total`, which names all spaces")))?;
    let model = model(task, &spaces)?;
    let apart = sums.iter().filter_map(|(id, sum)| Some((id.clone(), (sum - model.get(id)?).abs()))).collect();
    for (quantity, numbers) in [("sum", sums), ("model", model), ("difference", apart)] {
        rows.push(Quantity { quantity: quantity.to_owned(), spaces: spaces.clone(), numbers });
    }
    Ok(rows)
}

/// R2 of the model with these spaces, in whatever order they are written.
fn model(task: &Task, spaces: &str) -> Result<BTreeMap<String, f64>, Failure> {
    let path = task.one("scores")?;
    let at = |failure: Failure| failure.at(path.display().to_string());
    let table = data_table::read(path)?;
    let (ids, models) = (data_table::texts(&table, "id").map_err(at)?, data_table::texts(&table, "model").map_err(at)?);
    let r2 = data_table::maybe_numbers(&table, "r2").map_err(at)?;
    let set = |name: &str| name.split('+').map(str::to_owned).collect::<BTreeSet<String>>();
    let wanted = set(spaces);
    let of_model: Vec<usize> = (0..ids.len()).filter(|row| set(&models[*row]) == wanted).collect();
    if of_model.is_empty() {
        return Err(at(Failure::input(format!("there are no scores of the model `{spaces}`, of which the parts are"))));
    }
    Ok(of_model.into_iter().filter_map(|row| Some((ids[row].clone(), r2[row]?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks;

    fn given(folder: &std::path::Path, r2: [Option<f64>; 3]) -> Task {
        let units = || ["a", "b", "c"].into_iter().flat_map(|unit| [unit; 4]);
        let parts = DataTable::new()
            .text("id", units())
            .text("part", ["unique", "unique", "shared", "total"].repeat(3))
            .text("spaces", ["A", "B", "A+B", "A+B"].repeat(3))
            .optional_numbers(
                "estimate",
                [
                    [Some(0.25), Some(0.5), Some(-0.125), Some(0.625)],
                    [Some(0.125), Some(0.0), Some(0.25), Some(0.375)],
                    [None; 4],
                ]
                .concat(),
            );
        data_table::write(&folder.join("parts"), &mut parts.build().unwrap()).unwrap();
        let scores = DataTable::new()
            .text("id", ["a", "b", "c", "a"])
            .text("model", ["B+A", "B+A", "B+A", "A"])
            .optional_numbers("r2", [r2[0], r2[1], r2[2], Some(0.5)]);
        data_table::write(&folder.join("scores"), &mut scores.build().unwrap()).unwrap();
        let regions = DataTable::new().text("region", ["V1", "far"]).text("id", ["b", "z"]);
        data_table::write(&folder.join("regions"), &mut regions.build().unwrap()).unwrap();
        let mut task = tasks::task(&PartsIdentity, folder);
        for port in ["parts", "scores", "regions"] {
            tasks::give(&mut task, port, &folder.join(port));
        }
        task
    }

    #[test]
    fn parts_add_up_in_every_unit() {
        let folder = tempfile::tempdir().unwrap();
        let task = given(folder.path(), [Some(0.625), Some(0.375), None]);
        let notes = tasks::run(&PartsIdentity, &task).unwrap();
        assert_eq!(notes, ["the parts add up to R2 of A+B, at most 0.0e0 apart"]);
        let csv = fs_err::read_to_string(task.output("table").unwrap().join(data_table::CSV)).unwrap();
        insta::assert_snapshot!(csv, @r"
        region,quantity,spaces,n,min,median,mean,max
        all,unique,A,2,0.125,0.1875,0.1875,0.25
        all,unique,B,2,0.0,0.25,0.25,0.5
        all,shared,A+B,2,-0.125,0.0625,0.0625,0.25
        all,sum,A+B,2,0.375,0.5,0.5,0.625
        all,model,A+B,2,0.375,0.5,0.5,0.625
        all,difference,A+B,2,0.0,0.0,0.0,0.0
        V1,unique,A,1,0.125,0.125,0.125,0.125
        V1,unique,B,1,0.0,0.0,0.0,0.0
        V1,shared,A+B,1,0.25,0.25,0.25,0.25
        V1,sum,A+B,1,0.375,0.375,0.375,0.375
        V1,model,A+B,1,0.375,0.375,0.375,0.375
        V1,difference,A+B,1,0.0,0.0,0.0,0.0
        far,unique,A,0,,,,
        far,unique,B,0,,,,
        far,shared,A+B,0,,,,
        far,sum,A+B,0,,,,
        far,model,A+B,0,,,,
        far,difference,A+B,0,,,,
        ");
    }

    #[test]
    fn what_does_not_add_up_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let task = given(folder.path(), [Some(0.625), Some(0.625), None]);
        let notes = tasks::run(&PartsIdentity, &task).unwrap();
        assert_eq!(notes, ["important: the parts add up to R2 of A+B, at most 2.5e-1 apart"]);
        let scores = DataTable::new().text("id", ["a"]).text("model", ["A"]).numbers("r2", [0.5]);
        data_table::write(&folder.path().join("scores"), &mut scores.build().unwrap()).unwrap();
        let failure = tasks::run(&PartsIdentity, &task).unwrap_err();
        assert_eq!(failure.message, "there are no scores of the model `A+B`, of which the parts are");
    }
}
