//! An archive of the grid search with made-up losses: options and plans of the cells as the original's script wrote
//! them, and logs in every form that a reader meets. The scripts beside this file have the original's reader read the
//! same logs.

use std::fmt::Write as _;
use std::path::Path;

use pipe_contract::Failure;

use crate::program::{folder, write_text};
use crate::scattered;

/// Cells of the published grid.
const CELLS: usize = 1800;

/// The forms of a log. A cell has that of its number modulo 4.
#[derive(Clone, Copy, PartialEq)]
enum LogForm {
    /// As trainings of the study print it.
    Published,
    /// The same, broken off behind a line about an epoch.
    BrokenOff,
    /// Five epochs a round, counted with one digit.
    FewEpochs,
    /// As trainings of 2022 printed it: iterations begin with what the network sees, and are not counted.
    Of2022,
}

const FORMS: [LogForm; 4] = [LogForm::Published, LogForm::BrokenOff, LogForm::FewEpochs, LogForm::Of2022];

/// Writes the archive. `cells` has `opts_grid00000.json` and `plan_grid00000.json` of every cell.
pub fn write_archive(cells: &Path, archive: &Path) -> Result<(), Failure> {
    for number in 0..CELLS {
        let place = folder(archive.join(format!("grid{number:05}")))?;
        let read = |name: &str| {
            let path = cells.join(format!("{name}_grid{number:05}.json"));
            fs_err::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))
        };
        let options = read("opts")?;
        let values: serde_json::Value =
            serde_json::from_str(&options).map_err(|error| Failure::internal(format!("cell {number}: {error}")))?;
        let inputs =
            values["inputs"].as_str().ok_or_else(|| Failure::internal(format!("cell {number} has no inputs")))?;
        write_text(&place.join("opts.json"), &options)?;
        write_text(&place.join("plan.json"), &read("plan")?)?;
        write_text(&place.join("run.log"), &log(number, inputs))?;
    }
    Ok(())
}

fn log(number: usize, inputs: &str) -> String {
    let form = FORMS[number % FORMS.len()];
    let epochs = if form == LogForm::FewEpochs { 5 } else { 10 };
    let mut chance = scattered(number as u64 + 1, 1000).into_iter();
    let mut text = String::new();
    for iteration in 0..=number / FORMS.len() % 3 {
        let line = "=".repeat(85);
        if form == LogForm::Of2022 {
            let _ = writeln!(text, "{line}\nTraining: {inputs}\n");
        } else {
            let start = format!("Iteration {iteration}");
            let _ = writeln!(text, "\n{start:<15}{:>70}\n{line}\n", "Partition ID: 0x2f");
            let _ = writeln!(text, "{inputs} {}\n", "-".repeat(84 - inputs.len()));
        }
        for _ in 0..3 {
            write_round(&mut text, epochs, &mut chance);
        }
    }
    if form == LogForm::BrokenOff {
        text.truncate(text.rfind("*\n").map_or(0, |at| at + 2));
    }
    text
}

/// The least Dice loss is not always where the loss is least.
fn write_round(text: &mut String, epochs: usize, chance: &mut impl Iterator<Item = f64>) {
    text.push_str("epoch    lr     dt[s]   trn bce   trn dice  trn loss   val bce   val dice  val loss\n");
    text.push_str("=====--=======--=====-+-========--========--========-+-========--========--========\n");
    let mut best = f64::INFINITY;
    for epoch in 1..=epochs {
        let [bce, dice, loss] = [0.2, 0.1, 0.11].map(|least| least + chance.next().unwrap_or(0.5));
        let star = if loss < best { "*" } else { "" };
        best = best.min(loss);
        let (head, train) = ("0.00375   12.5", "   0.300     0.400     0.350");
        let _ = writeln!(text, "{epoch:2}/{epochs:2}  {head} | {train} | {bce:8.3}  {dice:8.3}  {loss:8.3} {star}");
    }
    let _ = writeln!(text, "Best val loss: {best:.6}\n");
}
