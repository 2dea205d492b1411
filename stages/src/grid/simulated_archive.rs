//! An archive of a grid search, and the trainings of our own with the same numbers, for tests of both readers. Every
//! number follows from cell, iteration, round and epoch.

use std::fmt::Write as _;
use std::path::Path;

use fs_err as fs;
use serde_json::json;

use super::factors::CellFactors;

/// Rounds of a training.
const ROUNDS: usize = 3;
/// Epochs of a round.
const EPOCHS: usize = 10;

/// One epoch.
pub struct SimulatedEpoch {
    /// From 1.
    pub round: usize,
    /// From 1.
    pub epoch: usize,
    /// Validation Dice loss, in thousandths.
    pub dice: u32,
    /// Validation loss, in thousandths.
    pub loss: u32,
    /// The loss is the least of its round so far.
    pub is_starred: bool,
}

/// The epochs of an iteration. The least Dice loss is not always in a starred epoch.
pub fn epochs(cell: usize, iteration: usize) -> Vec<SimulatedEpoch> {
    let mut all = Vec::new();
    for round in 1..=ROUNDS {
        let mut least = u32::MAX;
        for epoch in 1..=EPOCHS {
            let seed = cell * 7919 + iteration * 104_729 + round * 1009 + epoch * 9176;
            let noise =
                |salt: usize| u32::try_from(((seed * 31 + salt) * 2_654_435_761 % 4_294_967_296) >> 20).unwrap() % 60;
            let falling = u32::try_from(60 * (ROUNDS - round) + 9 * (EPOCHS - epoch)).unwrap();
            let (dice, loss) = (100 + falling + noise(1), 110 + falling + noise(2));
            all.push(SimulatedEpoch { round, epoch, dice, loss, is_starred: loss < least });
            least = least.min(loss);
        }
    }
    all
}

/// The least Dice loss of an iteration, in thousandths: of all epochs, or of the starred ones.
pub fn least(cell: usize, iteration: usize, starred_only: bool) -> u32 {
    let all = epochs(cell, iteration).into_iter().filter(|epoch| epoch.is_starred || !starred_only);
    all.map(|epoch| epoch.dice).min().unwrap()
}

/// What the original prints in a training of so many iterations.
pub fn run_log(cell: usize, inputs: &str, iterations: usize) -> String {
    let mut text = String::new();
    for iteration in 0..iterations {
        let start = format!("Iteration {iteration}");
        let _ = writeln!(text, "\n{start:<15}{:>70}\n{}\n", "Partition ID: 0x2f", "=".repeat(85));
        let _ = writeln!(text, "{inputs} {}\n", "-".repeat(84 - inputs.len()));
        let mut best = u32::MAX;
        for one in epochs(cell, iteration) {
            if one.epoch == 1 {
                text.push_str("epoch    lr     dt[s]   trn bce   trn dice  trn loss   val bce   val dice  val loss\n");
                text.push_str("=====--=======--=====-+-========--========--========-+-========--========--========\n");
                best = u32::MAX;
            }
            best = best.min(one.loss);
            let thousandths = |count: u32| f64::from(count) / 1000.0;
            let star = if one.is_starred { "*" } else { "" };
            let _ = writeln!(
                text,
                "{:2}/{EPOCHS:2}  {:7.5}  {:5.1} | {:8.3}  {:8.3}  {:8.3} | {:8.3}  {:8.3}  {:8.3} {star}",
                one.epoch,
                0.00375,
                12.5,
                0.3,
                0.4,
                0.35,
                0.25,
                thousandths(one.dice),
                thousandths(one.loss),
            );
            if one.epoch == EPOCHS {
                let _ = writeln!(text, "Best val loss: {:.6}\n", thousandths(best));
            }
        }
    }
    text
}

/// The three files of a cell, as the authors wrote them.
pub fn cell_files(number: usize, cell: &CellFactors) -> [(String, String); 3] {
    let folder = format!("grid-search/grid{number:05}");
    let options = json!({
        "model_key": format!("grid{number:05}"), "partition": [[100, 200, 300, 400], [500, 600]], "pretrained": false,
        "multiproc": false, "until": 2, "model_cache_path": "/data/models", "data_cache_path": "/data/inputs",
        "base_model": cell.base_model, "gamma": cell.gamma, "batch_size": cell.batch_size, "inputs": cell.inputs,
        "prediction": cell.prediction,
    });
    let (lr, bce) = (cell.lr, cell.bce_weight);
    let plan = json!([
        {"lr": lr, "bce_weight": bce},
        {"lr": lr * 2.0 / 3.0, "bce_weight": bce / 2.0},
        {"lr": lr / 3.0, "bce_weight": 0},
    ]);
    [
        (format!("{folder}/opts.json"), options.to_string()),
        (format!("{folder}/plan.json"), plan.to_string()),
        (format!("{folder}/run.log"), run_log(number, &cell.inputs, 2)),
    ]
}

/// The tables of one training of our own, in a folder: what `grid/collect` reads of those that `unet/train` writes.
pub fn write_training(folder: &Path, number: usize, iteration: usize, cell: &CellFactors) {
    fs::create_dir_all(folder).unwrap();
    let options = json!({
        "inputs": cell.inputs, "prediction": cell.prediction, "base_model": cell.base_model, "pixels": 64,
        "training_samples": 14, "validation_samples": 7, "partition": null,
    });
    let round = |lr: f64, bce_weight: f64| {
        json!({"lr": lr, "gamma": cell.gamma, "bce_weight": bce_weight, "num_epochs": EPOCHS,
            "batch_size": cell.batch_size})
    };
    let (lr, bce) = (cell.lr, cell.bce_weight);
    let plan = json!([round(lr, bce), round(lr * 2.0 / 3.0, bce / 2.0), round(lr / 3.0, 0.0)]);
    let mut table = "round\tepoch\tlr\tval_bce\tval_dice_loss\tval_loss\timproved\tkept\n".to_owned();
    for one in epochs(number, iteration) {
        let star = if one.is_starred { "*" } else { "" };
        let (dice, loss) = (f64::from(one.dice) / 1000.0, f64::from(one.loss) / 1000.0);
        let _ = writeln!(table, "{}\t{}\t0.1\t0.25\t{dice:?}\t{loss:?}\t{star}\t", one.round, one.epoch);
    }
    for (name, text) in [("options.json", options.to_string()), ("plan.json", plan.to_string()), ("epochs.tsv", table)]
    {
        fs::write(folder.join(name), text).unwrap();
    }
}

/// A tar archive of these files, packed or not.
pub fn packed(files: &[(&str, &str)], gzip: bool) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let tar = builder.into_inner().unwrap();
    if !gzip {
        return tar;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    encoder.finish().unwrap()
}
