//! `grid/best`: the cells with the least losses, and the plans that follow from them.
//!
//! A list for each pair of inputs and predictions and each encoder, as the published figures mark them. The plan of a
//! list's first cell is written as the original's plan files are: three rounds, rates rounded to five decimals. From
//! these plans the final networks are trained.

use std::collections::BTreeMap;

use fs_err as fs;
use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};
use serde_json::json;

use super::cell_table::{
    self, BASE_MODEL, BATCH_SIZE, BCE_WEIGHT, CellLosses, CellRow, GAMMA, INPUTS, ITERATIONS, LOSS_MEAN, LOSS_MIN,
    LOSS_STD, LR, PREDICTION, counted, rounded, with_factors,
};
use crate::formats::data_table::{self, DataTable, STAMP};

/// The kind.
pub(super) struct BestCells;

parameters! {
    struct Parameters {
        /// cells of each list
        count: usize = 5, in 1..=1_000;
        /// epochs of each round of the plans
        epochs: u32 = 10, in 1..=100_000;
    }
}

impl StageKind for BestCells {
    fn kind(&self) -> Kind {
        let kind = Kind::new("grid/best", 1, "The best cells of a grid search, and the plans that follow from them.")
            .input("cells", &["table/grid"], "The cells of a grid search.")
            .folder("table", "table/grid-best", "The best cells for each inputs, prediction and encoder, best first.")
            .described(data_table::FILES, COLUMNS)
            .aggregating()
            .folder(
                "plans",
                "files",
                "`<inputs>_<prediction>_<base_model>.json`: rounds of the best cell, as in the original's plan files.",
            )
            .aggregating()
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { count, epochs } = task.parameters()?;
        let cells = cell_table::read(task.one("cells")?)?;
        let lists = lists(&cells, count);
        if lists.is_empty() {
            return Err(Failure::input(format!("none of {} has a loss", counted(cells.len(), "cell")))
                .hint("see the notes of the stage that read them"));
        }
        let folder = task.output("plans")?;
        fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))?;
        for ((inputs, prediction, base_model), list) in &lists {
            let Some((best, losses)) = list.first() else { continue };
            context.log(&format!("{inputs}_{prediction} {base_model}: cell {}, {:.3}", best.number, losses.min));
            let path = folder.join(format!("{inputs}_{prediction}_{base_model}.json"));
            fs::write(&path, plan(best, epochs)).map_err(|error| Failure::io("write", &path, &error))?;
        }
        let ranked: Vec<(usize, &CellRow, &CellLosses)> = lists
            .values()
            .flat_map(|list| list.iter().enumerate().map(|(rank, (row, losses))| (rank + 1, *row, *losses)))
            .collect();
        write(task, &ranked)?;
        let subjects = cell_table::fewest_subjects(&cells);
        Ok(Ended::done().aggregating("table", subjects).aggregating("plans", subjects))
    }
}

/// What is in the table.
const COLUMNS: &[Column] = &[
    Column::new(
        "rank",
        "place in the list of its inputs, prediction and encoder, from 1: by least loss, then mean loss, then number",
    ),
    Column::new("cell_id", "number of the cell"),
    BASE_MODEL,
    LR,
    GAMMA,
    BCE_WEIGHT,
    BATCH_SIZE,
    INPUTS,
    PREDICTION,
    ITERATIONS,
    LOSS_MIN,
    LOSS_MEAN,
    LOSS_STD,
    STAMP,
];

type ListKey<'a> = (&'a str, &'a str, &'a str);
type BestList<'a> = Vec<(&'a CellRow, &'a CellLosses)>;

/// The best cells by inputs, prediction and encoder.
fn lists(cells: &[CellRow], count: usize) -> BTreeMap<ListKey<'_>, BestList<'_>> {
    let mut lists: BTreeMap<ListKey<'_>, BestList<'_>> = BTreeMap::new();
    for row in cells {
        if let Some(losses) = &row.losses {
            let factors = &row.factors;
            let key = (factors.inputs.as_str(), factors.prediction.as_str(), factors.base_model.as_str());
            lists.entry(key).or_default().push((row, losses));
        }
    }
    for list in lists.values_mut() {
        list.sort_by(|(a, of_a), (b, of_b)| {
            of_a.min.total_cmp(&of_b.min).then(of_a.mean.total_cmp(&of_b.mean)).then(a.number.cmp(&b.number))
        });
        list.truncate(count);
    }
    lists
}

/// The rounds that follow from a cell: rates `lr, 2/3 lr, 1/3 lr` to five decimals, shares `w, w/2, 0`.
fn plan(cell: &CellRow, epochs: u32) -> String {
    let factors = &cell.factors;
    let five = |value: f64| (value * 1e5).round() / 1e5;
    let round = |left: f64, share: f64| {
        json!({
            "gamma": factors.gamma,
            "lr": five(factors.lr * left / 3.0),
            "bce_weight": five(factors.bce_weight * share),
            "batch_size": factors.batch_size,
            "num_epochs": epochs,
        })
    };
    let rounds = [round(3.0, 1.0), round(2.0, 0.5), round(1.0, 0.0)].map(|round| format!(" {round}"));
    format!("[\n{}\n]\n", rounds.join(",\n"))
}

fn write(task: &Task, ranked: &[(usize, &CellRow, &CellLosses)]) -> Result<(), Failure> {
    let whole = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    let table = DataTable::of(COLUMNS).integers("rank", ranked.iter().map(|(rank, ..)| whole(*rank)));
    let table = with_factors(table, ranked.iter().map(|(_, row, _)| *row))
        .integers("iterations", ranked.iter().map(|(_, row, _)| whole(row.iterations)))
        .numbers("loss_min", ranked.iter().map(|(.., losses)| rounded(losses.min)))
        .numbers("loss_mean", ranked.iter().map(|(.., losses)| rounded(losses.mean)))
        .numbers("loss_std", ranked.iter().map(|(.., losses)| rounded(losses.std)));
    data_table::write(task.output("table")?, &mut table.stamped(task.simulated).build()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::cell_table::{FoundCell, GridCellState};
    use crate::grid::factors::tests::published;
    use crate::test_support::tasks::{self, give, task};

    fn row(number: usize, losses: &[f64]) -> CellRow {
        CellRow {
            number,
            factors: published().cell(number).unwrap(),
            state: GridCellState::Whole,
            until: 2,
            iterations: losses.len(),
            diverged: 0,
            subjects: 33,
            losses: CellLosses::of(losses),
        }
    }

    /// The published plans of the final trainings, `training-regimes/plans` of the original, are those of these cells.
    #[test]
    fn plans_of_cells_are_the_published_plans() {
        let published = [
            (124, 0.9, [0.00375, 0.0025, 0.00125], [0.75, 0.375, 0.0], 4),
            (740, 1.0, [0.00167, 0.00111, 0.00056], [0.75, 0.375, 0.0], 2),
            (926, 0.9, [0.00562, 0.00375, 0.00187], [0.5, 0.25, 0.0], 4),
            (1530, 0.95, [0.00167, 0.00111, 0.00056], [0.5, 0.25, 0.0], 2),
        ];
        for (number, gamma, lr, bce_weight, batch) in published {
            let rounds: serde_json::Value = serde_json::from_str(&plan(&row(number, &[0.2]), 10)).unwrap();
            for index in 0..3 {
                let expected = json!({"gamma": gamma, "lr": lr[index], "bce_weight": bce_weight[index],
                    "batch_size": batch, "num_epochs": 10});
                assert_eq!(rounds[index], expected, "cell {number}");
            }
        }
    }

    #[test]
    fn lists_are_by_least_loss_then_mean_then_number() {
        let rows = [
            row(2, &[0.2, 0.4]),
            row(4, &[0.2, 0.3]),
            row(10, &[0.2, 0.4]),
            row(0, &[]),
            row(6, &[0.1]),
            row(1, &[0.5]),
        ];
        let lists = lists(&rows, 3);
        let numbers =
            |base_model| lists[&("full", "area", base_model)].iter().map(|(row, _)| row.number).collect::<Vec<_>>();
        assert_eq!(numbers("resnet18"), [6, 4, 2]);
        assert_eq!(numbers("resnet34"), [1]);
    }

    #[test]
    fn best_cells_and_their_plans_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let found = |number: usize, losses: &[f64]| FoundCell {
            place: String::new(),
            factors: published().cell(number).unwrap(),
            until: 2,
            losses: losses.to_vec(),
            diverged: 0,
            is_whole: true,
            subjects: 33,
        };
        let cells = vec![found(124, &[0.174, 0.18]), found(126, &[0.2, 0.3]), found(1376, &[0.4, 0.3])];
        let (rows, _) = cell_table::rows(&published(), cells).unwrap();
        cell_table::write(&folder.path().join("cells"), &rows, false).unwrap();
        let mut task = task(&BestCells, folder.path());
        give(&mut task, "cells", &folder.path().join("cells"));
        tasks::set(&mut task, "epochs", pipe_contract::Value::Int(7));
        assert_eq!(tasks::aggregated(&BestCells, &task).unwrap(), [("plans".into(), 33), ("table".into(), 33)].into());
        let csv = fs::read_to_string(task.output("table").unwrap().join(data_table::CSV)).unwrap();
        insta::assert_snapshot!(csv, @"
        rank,cell_id,base_model,lr,gamma,bce_weight,batch_size,inputs,prediction,iterations,loss_min,loss_mean,loss_std
        1,1376,resnet18,0.00562,0.9,0.5,4,anat,ring,2,0.3,0.35,0.05
        1,124,resnet18,0.00375,0.9,0.75,4,full,area,2,0.174,0.177,0.003
        2,126,resnet18,0.00562,0.9,0.75,4,full,area,2,0.2,0.25,0.05
        ");
        let names = fs::read_dir(task.output("plans").unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["anat_ring_resnet18.json", "full_area_resnet18.json"]);
        let text = fs::read_to_string(task.output("plans").unwrap().join("anat_ring_resnet18.json")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[4], lines.len()), ("[", "]", 5));
        assert_eq!(lines[2], r#" {"batch_size":4,"bce_weight":0.25,"gamma":0.9,"lr":0.00375,"num_epochs":7},"#);
    }

    #[test]
    fn a_grid_without_a_loss_has_no_best_cell() {
        let folder = tempfile::tempdir().unwrap();
        let (rows, _) = cell_table::rows(&published(), Vec::new()).unwrap();
        cell_table::write(&folder.path().join("cells"), &rows, false).unwrap();
        let mut task = task(&BestCells, folder.path());
        give(&mut task, "cells", &folder.path().join("cells"));
        assert_eq!(tasks::run(&BestCells, &task).unwrap_err().message, "none of 1800 cells has a loss");
    }
}
