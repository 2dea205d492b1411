//! The course of a training: `epochs.tsv` in the folder of a model, a row an epoch. Trainings write it, figures read it.

use std::path::Path;

use fs_err as fs;
use pipe_contract::{Column, Failure};

/// One row an epoch: learning rate, losses on both sides (`trn_`, `val_`), and which epoch was selected. `dice_loss` is the loss, one
/// minus a soft Dice score, and so is `dice` in the original's `training.tsv`.
pub const EPOCHS: &str = "epochs.tsv";

/// The cause of absence of a training that has no such table, and no weights: no validation loss of it was a finite number.
pub const DIVERGED: &str = "diverged";

/// What is in [`EPOCHS`].
pub const EPOCH_COLUMNS: &[Column] = &[
    Column::new("round", "round of the training, from 1"),
    Column::new("epoch", "epoch of the round, from 1"),
    Column::measured("lr", "per step", "learning rate of the epoch"),
    Column::measured("trn_bce", "nats", "mean binary cross-entropy of the training samples"),
    Column::measured(
        "trn_dice_loss",
        "soft Dice loss, 0 to 1",
        "mean Dice loss of the training samples; less is better",
    ),
    Column::measured(
        "trn_loss",
        "loss, at least 0",
        "mean loss of the training samples: both, with the weights of the round",
    ),
    Column::measured("val_bce", "nats", "mean binary cross-entropy of the samples that choose the weights"),
    Column::measured(
        "val_dice_loss",
        "soft Dice loss, 0 to 1",
        "mean Dice loss of the samples that choose the weights; less is better",
    ),
    Column::measured("val_loss", "loss, at least 0", "mean loss of the samples that choose the weights"),
    Column::new("improved", "whether the validation loss was the least of the round so far").levels(MARKS),
    Column::new("kept", "whether the model has the weights of this epoch").levels(MARKS),
];

/// How the table marks a row.
const MARKS: &[(&str, &str)] = &[("*", "yes"), ("", "no")];

/// A row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// Round of the training, from 1.
    pub round: u32,
    /// Epoch of the round, from 1.
    pub epoch: u32,
    /// Learning rate.
    pub lr: f64,
    /// Mean Dice loss of the training samples; NaN where the training diverged, as all losses.
    pub trn_dice_loss: f64,
    /// Mean loss of the training samples.
    pub trn_loss: f64,
    /// Mean Dice loss of the samples that choose the weights.
    pub val_dice_loss: f64,
    /// Mean loss of these samples.
    pub val_loss: f64,
    /// Whether the model has the weights of this epoch.
    pub kept: bool,
}

/// Reads the course of a model's training; `None` for a model that has none, such as a published one.
///
/// # Errors
/// Input: no such column, or a row whose value is not a number. Environment: the file cannot be read.
pub fn read(model: &Path) -> Result<Option<Vec<Epoch>>, Failure> {
    let path = model.join(EPOCHS);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    parse(&text).map(Some).map_err(|failure| failure.at(path.display().to_string()))
}

fn parse(text: &str) -> Result<Vec<Epoch>, Failure> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let at = |name: &str| {
        header.iter().position(|column| *column == name).ok_or_else(|| {
            Failure::input(format!("no column `{name}`, found {}", header.join(", ")))
                .hint("give the `model` port of `unet/train` or `unet/best`")
        })
    };
    let columns = ["round", "epoch", "lr", "trn_dice_loss", "trn_loss", "val_dice_loss", "val_loss", "kept"];
    let columns = columns.into_iter().map(|name| Ok((name, at(name)?))).collect::<Result<Vec<_>, Failure>>()?;
    lines.enumerate().map(|(row, line)| epoch(line, &columns, row + 2)).collect()
}

fn epoch(line: &str, columns: &[(&str, usize)], number: usize) -> Result<Epoch, Failure> {
    let cells: Vec<&str> = line.split('\t').collect();
    let cell = |at: usize| cells.get(columns[at].1).copied().unwrap_or_default();
    let bad =
        |at: usize| Failure::input(format!("line {number}: `{}` is `{}`, expected a number", columns[at].0, cell(at)));
    let real = |at: usize| cell(at).parse::<f64>().map_err(|_| bad(at));
    let whole = |at: usize| cell(at).parse::<u32>().map_err(|_| bad(at));
    Ok(Epoch {
        round: whole(0)?,
        epoch: whole(1)?,
        lr: real(2)?,
        trn_dice_loss: real(3)?,
        trn_loss: real(4)?,
        val_dice_loss: real(5)?,
        val_loss: real(6)?,
        kept: cell(7) == "*",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "round\tepoch\tlr\ttrn_bce\ttrn_dice_loss\ttrn_loss\tval_bce\tval_dice_loss\tval_loss\timproved\tkept\n\
        1\t1\t0.004\t1.0\t0.9\t1.0\t0.5\t0.8\t0.6\t*\t\n1\t2\t0.003\t1.0\tNaN\t1.0\t0.5\t0.7\t0.5\t*\t*\n";

    #[test]
    fn rows_are_read_by_the_names_of_their_columns() {
        let rows = parse(TEXT).unwrap();
        assert_eq!((rows.len(), rows[0].lr, rows[0].kept), (2, 0.004, false));
        assert_eq!((rows[1].round, rows[1].epoch, rows[1].val_dice_loss, rows[1].kept), (1, 2, 0.7, true));
        assert!(rows[1].trn_dice_loss.is_nan(), "a training that diverged is shown, not refused");
    }

    #[test]
    fn a_damaged_table_is_named_with_its_line() {
        let failure = parse(&TEXT.replace("0.003", "x")).unwrap_err();
        assert_eq!(failure.message, "line 3: `lr` is `x`, expected a number");
        let failure = parse("round\tepoch\n1\t1\n").unwrap_err();
        assert_eq!(failure.message, "no column `lr`, found round, epoch");
        let short = TEXT.rsplit_once("\t0.7").unwrap().0;
        assert_eq!(parse(short).unwrap_err().message, "line 3: `val_dice_loss` is ``, expected a number");
    }

    #[test]
    fn a_model_without_a_training_has_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        fs::write(folder.path().join(EPOCHS), TEXT).unwrap();
        assert_eq!(read(folder.path()).unwrap().unwrap().len(), 2);
    }
}
