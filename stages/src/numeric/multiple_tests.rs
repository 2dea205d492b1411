//! Probabilities of several tests, corrected so that all of them together are wrong as rarely as one.
//!
//! Decides the procedures: Holm's (1979), which holds for tests that depend on each other in any way, and the largest of all statistics
//! under a null distribution that they share (Westfall and Young 1993). False discovery rates are those of
//! [`statistics`](super::statistics::false_discovery). Independent of what is tested.

use super::counts::real;

/// Corrected probabilities by Holm's step-down procedure: the smallest of `n` is taken `n` times, the next `n - 1` times, and none is
/// smaller than one before. NaN stays NaN and is not counted.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|at| !p[*at].is_nan()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![f64::NAN; p.len()];
    let mut largest: f64 = 0.0;
    for (smaller, at) in order.iter().enumerate() {
        largest = largest.max(p[*at] * real(order.len() - smaller)).min(1.0);
        corrected[*at] = largest;
    }
    corrected
}

/// How many of several draws reach a number, this one included, as a share of them with this one: `(1 + reached) / (1 + draws)`. NaN
/// of NaN. Draws that equal it but for rounding reach it: a probability that is too large is the smaller mistake.
pub fn share_reaching(number: f64, draws: impl Iterator<Item = f64>) -> f64 {
    if number.is_nan() {
        return f64::NAN;
    }
    let least = number - 1e-12 * number.abs();
    let (mut count, mut reached) = (0, 0);
    for draw in draws {
        count += 1;
        reached += usize::from(draw >= least);
    }
    (1.0 + real(reached)) / (1.0 + real(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 4 * 0.01, 3 * 0.02, 2 * 0.03 raised to what is before, 1 * 0.9.
    #[test]
    fn the_smallest_is_corrected_most() {
        let found = holm(&[0.02, 0.01, f64::NAN, 0.9, 0.03]);
        for (found, expected) in found.iter().zip([0.06, 0.04, f64::NAN, 0.9, 0.06]) {
            assert!((found - expected).abs() < 1e-15 || (found.is_nan() && expected.is_nan()), "{found} {expected}");
        }
        assert_eq!(holm(&[0.7, 0.6]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn shares_count_the_number_itself() {
        assert_eq!(share_reaching(2.0, [1.0, 2.0, 3.0].into_iter()), 0.75);
        assert_eq!(share_reaching(9.0, [1.0, 2.0, 3.0].into_iter()), 0.25);
        assert_eq!(share_reaching(0.3, [0.1 + 0.2].into_iter()), 1.0);
        assert!(share_reaching(f64::NAN, [1.0].into_iter()).is_nan());
    }
}
