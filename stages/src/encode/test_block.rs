//! A block of responses to the test stimuli, in double precision: what every score of predictions is computed from.
//!
//! Decides what R2 is: one minus the squared errors over the squares of the observed responses about their mean over the test
//! stimuli; undefined for a response that is the same for all of them.

use std::ops::Range;

use pipe_contract::Failure;

use crate::formats::predictions::Predictions;
use crate::numeric::counts::real;

/// Responses of all models that are scored at a time: large enough for fast products, small enough for a core's share of memory.
const BLOCK: usize = 1024;

/// More responses at a time are no faster.
const MOST: usize = 128;

/// So many blocks of a few models are computed at once; what they give is added up in their order.
const WAVE: usize = 8;

/// Blocks of responses in waves of blocks that are computed at once. More models make smaller blocks and waves, because what is
/// kept of each grows with them.
pub(super) fn waves(responses: usize, models: usize) -> Vec<Vec<Range<usize>>> {
    in_waves(responses, (BLOCK / models.max(1)).clamp(4, MOST), (BLOCK / models.max(1)).clamp(2, WAVE))
}

/// [`waves`] of blocks of which what is kept is small. Each takes at most so many bytes of `of_one` for a response, or has one response.
pub(super) fn waves_within(bytes: usize, of_one: usize, responses: usize) -> Vec<Vec<Range<usize>>> {
    in_waves(responses, (bytes / of_one.max(1)).clamp(1, MOST), WAVE)
}

fn in_waves(responses: usize, block: usize, at_once: usize) -> Vec<Vec<Range<usize>>> {
    let blocks: Vec<Range<usize>> =
        (0..responses).step_by(block).map(|first| first..responses.min(first + block)).collect();
    blocks.chunks(at_once).map(<[_]>::to_vec).collect()
}

/// Observed responses of a block, those of one response after those of another.
pub(super) struct TestBlock {
    responses: Range<usize>,
    rows: usize,
    /// About their mean over the test stimuli.
    pub centred: Vec<f64>,
    /// Their means.
    pub means: Vec<f64>,
    /// By response, the sum of squares about the mean; 0 for a constant one.
    pub totals: Vec<f64>,
}

impl TestBlock {
    /// Reads the observed responses of a block.
    pub fn read(predictions: &Predictions, responses: Range<usize>) -> Result<Self, Failure> {
        let rows = predictions.stimuli().len();
        let mut centred: Vec<f64> = predictions.observed(responses.clone())?;
        let (mut means, mut totals) = (Vec::new(), Vec::new());
        for column in centred.chunks_exact_mut(rows) {
            let constant = column.iter().all(|value| *value == column[0]);
            let mean = if constant { column[0] } else { column.iter().sum::<f64>() / real(rows) };
            column.iter_mut().for_each(|value| *value -= mean);
            means.push(mean);
            totals.push(column.iter().map(|value| value * value).sum());
        }
        Ok(Self { responses, rows, centred, means, totals })
    }

    /// How many responses.
    pub fn width(&self) -> usize {
        self.totals.len()
    }

    /// What a model predicts, about the means of the observed responses.
    pub fn predicted(&self, predictions: &Predictions, model: usize) -> Result<Vec<f64>, Failure> {
        let mut predicted: Vec<f64> = predictions.predicted(model, self.responses.clone())?;
        for (column, mean) in predicted.chunks_exact_mut(self.rows).zip(&self.means) {
            column.iter_mut().for_each(|value| *value -= mean);
        }
        Ok(predicted)
    }

    /// The errors of a model: observed less predicted.
    pub fn errors(&self, predictions: &Predictions, model: usize) -> Result<Vec<f64>, Failure> {
        let predicted = self.predicted(predictions, model)?;
        Ok(self.centred.iter().zip(predicted).map(|(observed, predicted)| observed - predicted).collect())
    }

    /// R2 of a model from its errors, by response; NaN for a constant one.
    pub fn r2(&self, errors: &[f64]) -> Vec<f64> {
        let squares =
            errors.chunks_exact(self.rows).map(|column| column.iter().map(|error| error * error).sum::<f64>());
        squares.zip(&self.totals).map(|(squares, total)| r2(squares, *total)).collect()
    }
}

/// R2 from the sums of squared errors and of squares about the mean; NaN where the latter is 0.
pub(super) fn r2(errors: f64, total: f64) -> f64 {
    if total > 0.0 { 1.0 - errors / total } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_as_wide_as_memory_lets_them_be() {
        assert_eq!(waves_within(1000, 300, 7), [[0..3, 3..6, 6..7]]);
        assert_eq!(waves_within(1000, 5000, 9)[0].len(), WAVE, "one response each, so many at once");
        assert_eq!(waves_within(usize::MAX, 1, 300), [[0..128, 128..256, 256..300]]);
        assert_eq!(waves(300, 8), [[0..128, 128..256, 256..300]]);
        assert_eq!(waves(14, 512), [[0..4, 4..8].to_vec(), [8..12, 12..14].to_vec()]);
    }
}
