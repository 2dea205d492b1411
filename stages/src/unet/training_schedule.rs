//! The schedule of a training: rounds of epochs, each round with a smaller learning rate and less cross-entropy.

use serde::{Deserialize, Serialize};

/// One round. Written to `plan.json` under the names of the original's plan files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Learning rate of the round's first epoch.
    pub lr: f64,
    /// Factor on the learning rate after each epoch.
    pub gamma: f64,
    /// Share of the cross-entropy in the loss; the rest is the Dice loss.
    pub bce_weight: f64,
    /// Epochs.
    pub num_epochs: u32,
    /// Samples in a batch. Here it takes effect; the original ignores it in a plan (see `batch_size` of `unet/train`).
    pub batch_size: u32,
}

/// The rounds that follow from the first round's values: learning rates `lr, 2/3 lr, 1/3 lr` and weights `w, w/2, 0` for
/// three rounds, and the same straight lines for another number.
pub fn rounds(first: &Round, count: u32) -> Vec<Round> {
    (0..count)
        .map(|index| Round {
            lr: first.lr * f64::from(count - index) / f64::from(count),
            bce_weight: first.bce_weight * (1.0 - f64::from(index) / f64::from(count.max(2) - 1)),
            ..first.clone()
        })
        .collect()
}

impl Round {
    /// The learning rate in an epoch, counted from 0: `lr * gamma^epoch`.
    ///
    /// Multiplied out one epoch after the other, as PyTorch's `StepLR` does.
    pub fn rate(&self, epoch: u32) -> f64 {
        (0..epoch).fold(self.lr, |rate, _| rate * self.gamma)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(lr: f64, bce_weight: f64) -> Round {
        Round { lr, gamma: 0.9, bce_weight, num_epochs: 10, batch_size: 5 }
    }

    #[test]
    fn three_rounds_are_the_published_plan() {
        let plan = rounds(&first(0.00375, 0.75), 3);
        let rates: Vec<_> = plan.iter().map(|round| format!("{:.5}", round.lr)).collect();
        assert_eq!(rates, ["0.00375", "0.00250", "0.00125"]);
        let weights: Vec<_> = plan.iter().map(|round| round.bce_weight).collect();
        assert_eq!(weights, [0.75, 0.375, 0.0]);
    }

    #[test]
    fn other_numbers_of_rounds_work() {
        assert_eq!(rounds(&first(0.1, 0.5), 1), [first(0.1, 0.5)]);
        let two = rounds(&first(0.1, 0.5), 2);
        assert_eq!((two[1].lr, two[1].bce_weight), (0.05, 0.0));
    }

    #[test]
    fn the_rate_falls_after_each_epoch() {
        let round = first(0.00375, 0.75);
        assert_eq!(round.rate(0), 0.00375);
        assert!((round.rate(2) - 0.00375 * 0.81).abs() < 1e-12);
    }
}
