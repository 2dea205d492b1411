//! The loss of the paper: a share of re-weighted cross-entropy, the rest Dice.

use tch::{Reduction, Tensor};

/// The three losses of a batch, scalars on the device.
#[derive(Debug)]
pub struct Losses {
    /// Cross-entropy: summed over classes, each weighted with its share of negative pixels in the whole batch.
    pub bce: Tensor,
    /// Dice loss: mean over samples and classes.
    pub dice: Tensor,
    /// `weight * bce + (1 - weight) * dice`.
    pub total: Tensor,
}

/// Losses of logits against targets, both [samples, classes, height, width]; targets lie in 0..1 and need not be 0 or 1.
pub fn losses(logits: &Tensor, gold: &Tensor, bce_weight: f64) -> Losses {
    let bce = bce(logits, gold);
    let dice = dice(logits, gold);
    let total = &bce * bce_weight + &dice * (1.0 - bce_weight);
    Losses { bce, dice, total }
}

const PIXELS: [i64; 2] = [2, 3];

/// `mean over samples and classes of 1 - (2 sum(p g) + 1) / (sum(p^2) + sum(g^2) + 1)` with `p = sigmoid(logits)`.
fn dice(logits: &Tensor, gold: &Tensor) -> Tensor {
    let p = logits.sigmoid();
    let sum = |x: Tensor| x.sum_dim_intlist(PIXELS.as_slice(), false, None);
    let overlap = sum(&p * gold) * 2.0 + 1.0;
    let sizes = sum(&p * &p) + sum(gold * gold) + 1.0;
    (1_f64 - overlap / sizes).mean(None)
}

/// `sum over classes of (mean cross-entropy) * (pixels - sum of targets) / pixels`, both over the whole batch.
fn bce(logits: &Tensor, gold: &Tensor) -> Tensor {
    let whole = [0, PIXELS[0], PIXELS[1]];
    let each = logits.binary_cross_entropy_with_logits::<Tensor>(gold, None, None, Reduction::None);
    let mean = each.mean_dim(whole.as_slice(), false, None);
    let negative = 1_f64 - gold.mean_dim(whole.as_slice(), false, None);
    (mean * negative).sum(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfect_and_opposite_drawings_have_the_losses_by_hand() {
        // One sample, one class, four pixels, half of them labelled; logits of +-40 are probabilities of 0 and 1.
        let gold = Tensor::from_slice(&[1_f32, 1.0, 0.0, 0.0]).view([1, 1, 2, 2]);
        let right = (&gold - 0.5) * 80.0;
        let good = losses(&right, &gold, 0.75);
        assert!(good.bce.double_value(&[]).abs() < 1e-6 && good.dice.double_value(&[]).abs() < 1e-6);
        let bad = losses(&-right, &gold, 0.75);
        // Dice: 1 - (0 + 1) / (2 + 2 + 1); cross-entropy: 40 a pixel, times the negative half.
        assert!((bad.dice.double_value(&[]) - 0.8).abs() < 1e-6);
        assert!((bad.bce.double_value(&[]) - 20.0).abs() < 1e-5);
        assert!((bad.total.double_value(&[]) - (0.75 * 20.0 + 0.25 * 0.8)).abs() < 1e-5);
    }
}
