//! The test stimuli of predictions, in the blocks that a bootstrap resamples and a permutation puts into another order.
//!
//! Decides that a block is a run of consecutive test stimuli of one fold, so that none reaches over two folds, and that there must be two
//! blocks at least. Predictions have their stimuli in the order of the split, not in that in which they were shown, and do not say which of
//! them are neighbours in time: so larger blocks come with a note on what they rest on. Independent of what is resampled.

use std::ops::Range;

use pipe_contract::{Failure, IMPORTANT, Task};

use crate::formats::data_table;
use crate::formats::predictions::Predictions;
use crate::numeric::random_rows::blocks_within;

/// Predictions with their test stimuli in blocks.
pub(super) struct BlockedPredictions {
    pub predictions: Predictions,
    /// All test stimuli, in order.
    pub blocks: Vec<Range<usize>>,
    /// The most stimuli of a block.
    most: usize,
}

impl BlockedPredictions {
    /// Opens what is at the port `predictions`, with blocks of at most `most` stimuli.
    ///
    /// # Errors
    /// As [`Predictions::open`]. Input: the stimuli have no fold.
    pub fn open(task: &Task, most: usize) -> Result<Self, Failure> {
        Self::of(Predictions::open(task.one("predictions")?)?, most)
    }

    fn of(predictions: Predictions, most: usize) -> Result<Self, Failure> {
        let folds = data_table::integers(predictions.stimuli().table(), "fold");
        let folds = folds.map_err(|failure| failure.at(predictions.place()))?;
        let mut end = 0;
        let run = |fold: &[i64]| {
            end += fold.len();
            end - fold.len()..end
        };
        let runs: Vec<Range<usize>> = folds.chunk_by(|one, next| one == next).map(run).collect();
        Ok(Self { blocks: blocks_within(&runs, most), predictions, most })
    }

    /// That there are blocks to resample; and what is to be noted about them.
    ///
    /// # Errors
    /// Input: there is one block only. `instead` says what else to do than to make blocks smaller, or nothing.
    pub fn check(&self, instead: &str) -> Result<Option<String>, Failure> {
        let (rows, most) = (self.predictions.stimuli().len(), self.most);
        if self.blocks.len() < 2 {
            let message = format!("{rows} test stimuli are one block of {most}, expected at least 2");
            return Err(Failure::input(message)
                .at(self.predictions.place())
                .hint(format!("make `block` smaller{instead}")));
        }
        Ok((most > 1).then(|| {
            format!(
                "{IMPORTANT}`block: {most}` takes consecutive test stimuli of one fold in the order of the split; these are neighbours in \
                 time only if the split has them in the order in which they were shown, and not at random (`split/folds`, a random \
                 part): then `block` has no meaning"
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::matrix::MatrixAxis;
    use crate::formats::npy_file::FloatType;
    use crate::formats::predictions::{Model, PredictionsWriter};

    #[test]
    fn blocks_end_where_folds_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions");
        let write = |folds: &[usize]| {
            let stimuli: Vec<(String, usize)> =
                folds.iter().enumerate().map(|(at, fold)| (format!("s{at}"), *fold)).collect();
            let responses = MatrixAxis::of_ids(["v"]).unwrap();
            let models = [Model { spaces: vec!["A".to_owned()] }];
            PredictionsWriter::create(&path, &models, &stimuli, &responses, FloatType::F64, false).unwrap();
        };
        write(&[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]);
        let of = |most: usize| BlockedPredictions::of(Predictions::open(&path).unwrap(), most).unwrap();
        assert_eq!(of(3).blocks, [0..3, 3..5, 5..8, 8..11, 11..12]);
        assert_eq!(of(100).blocks, [0..5, 5..12], "a fold is a block at most");
        assert_eq!((of(1).blocks.len(), of(1).check("").unwrap()), (12, None));
        let note = of(3).check("").unwrap().unwrap();
        assert!(note.starts_with("important: `block: 3` takes consecutive test stimuli of one fold"), "{note}");
        write(&[0; 12]);
        assert_eq!(of(5).blocks, [0..5, 5..10, 10..12]);
        let failure = of(12).check(", or set `bootstrap: 0`").unwrap_err();
        assert_eq!(failure.message, "12 test stimuli are one block of 12, expected at least 2");
        assert_eq!(failure.hint.unwrap(), "make `block` smaller, or set `bootstrap: 0`");
    }
}
