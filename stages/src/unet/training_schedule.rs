//! The schedule of a training: rounds of epochs, each round with a smaller learning rate and less cross-entropy.
//!
//! Either computed from the values of the first round ([`rounds`]), or listed round by round ([`listed`]): the published plans hold
//! rounded rates (0.00187 where the rule gives 0.001873...), so they can only be listed.

use std::collections::BTreeMap;

use pipe_contract::{Failure, Value};
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

/// One round of an explicit list, with the names of the original's plan files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    lr: f64,
    bce_weight: f64,
    gamma: Option<f64>,
    num_epochs: Option<u32>,
    batch_size: Option<u32>,
}

/// The rounds of an explicit list. `lr` and `bce_weight` must be given in each; what else a round leaves out it has from `common`.
///
/// # Errors
/// Input: another name, a missing or unfit value; the message names the round.
pub fn listed(list: &[BTreeMap<String, Value>], common: &Round) -> Result<Vec<Round>, Failure> {
    let read = |(index, given): (usize, &BTreeMap<String, Value>)| {
        let unfit = |words: String| {
            Failure::input(format!("round {} of `schedule`: {words}", index + 1)).hint(
                "a round is written as in the original's plan files: { lr: 0.00375, bce_weight: 0.75 }, and if wanted \
                 gamma, num_epochs, batch_size",
            )
        };
        let found: Listed =
            serde_json::to_value(given).and_then(serde_json::from_value).map_err(|error| unfit(error.to_string()))?;
        let round = Round {
            lr: found.lr,
            bce_weight: found.bce_weight,
            gamma: found.gamma.unwrap_or(common.gamma),
            num_epochs: found.num_epochs.unwrap_or(common.num_epochs),
            batch_size: found.batch_size.unwrap_or(common.batch_size),
        };
        let ranges = [
            ("lr", round.lr, 0.0, 1e6),
            ("bce_weight", round.bce_weight, 0.0, 1.0),
            ("gamma", round.gamma, 0.0, 1.0),
            ("num_epochs", f64::from(round.num_epochs), 1.0, 100_000.0),
            ("batch_size", f64::from(round.batch_size), 1.0, 100_000.0),
        ];
        match ranges.into_iter().find(|(_, value, low, high)| !(*low..=*high).contains(value)) {
            Some((name, value, low, high)) => Err(unfit(format!("`{name}` is {value}, expected {low} to {high}"))),
            None => Ok(round),
        }
    };
    list.iter().enumerate().map(read).collect()
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

    fn rounds_of(list: serde_json::Value) -> Vec<BTreeMap<String, Value>> {
        serde_json::from_value(list).unwrap()
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
    fn listed_rounds_are_taken_as_written() {
        let list = serde_json::json!([
            {"lr": 0.00562, "bce_weight": 0.5}, {"lr": 0.00375, "bce_weight": 0.25, "num_epochs": 2}, {"lr": 0.00187, "bce_weight": 0},
        ]);
        let plan = listed(&rounds_of(list), &first(1.0, 1.0)).unwrap();
        assert_eq!(plan.iter().map(|round| round.lr).collect::<Vec<_>>(), [0.00562, 0.00375, 0.00187]);
        assert_eq!(plan.iter().map(|round| round.bce_weight).collect::<Vec<_>>(), [0.5, 0.25, 0.0]);
        assert_eq!(plan.iter().map(|round| round.num_epochs).collect::<Vec<_>>(), [10, 2, 10]);
        assert!(plan.iter().all(|round| (round.gamma, round.batch_size) == (0.9, 5)));
        // The rule gives the same numbers only before rounding.
        assert_ne!(plan[2].lr, rounds(&first(0.00562, 0.5), 3)[2].lr);
    }

    #[test]
    fn unfit_rounds_are_named() {
        let message = |round: serde_json::Value| {
            listed(&rounds_of(serde_json::json!([round])), &first(1.0, 1.0)).unwrap_err().message
        };
        assert!(message(serde_json::json!({"lr": 0.1})).contains("round 1 of `schedule`: missing field `bce_weight`"));
        assert!(message(serde_json::json!({"lr": 0.1, "bce_weight": 0.5, "rate": 1})).contains("unknown field `rate`"));
        assert!(
            message(serde_json::json!({"lr": 0.1, "bce_weight": 2})).contains("`bce_weight` is 2, expected 0 to 1")
        );
        assert!(
            message(serde_json::json!({"lr": 0.1, "bce_weight": 0, "num_epochs": 0})).contains("`num_epochs` is 0")
        );
    }

    #[test]
    fn the_rate_falls_after_each_epoch() {
        let round = first(0.00375, 0.75);
        assert_eq!(round.rate(0), 0.00375);
        assert!((round.rate(2) - 0.00375 * 0.81).abs() < 1e-12);
    }
}
