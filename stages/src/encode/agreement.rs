//! How well predictions agree with observations, gathered over folds.
//!
//! Decides that folds are pooled: the variance of a response is about its mean over all rows that are scored. Sums of squares are about
//! means and are merged exactly, so a response without any variance is distinguished from one with little.

use super::long_sums::mean;
use super::real_number::Real;
use crate::numeric::counts::real;

/// Moments of observations and predictions of one response.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Agreement {
    count: f64,
    observed_mean: f64,
    predicted_mean: f64,
    observed: f64,
    predicted: f64,
    both: f64,
    errors: f64,
}

impl Agreement {
    /// Of observations and predictions of the same rows.
    pub fn of<T: Real>(observed: &[T], predicted: &[T]) -> Self {
        let (observed_mean, predicted_mean) = (mean(observed), mean(predicted));
        let start = Self { count: real(observed.len()), observed_mean, predicted_mean, ..Self::default() };
        observed.iter().zip(predicted).fold(start, |sum, (y, p)| {
            let (y, p) = (y.wide(), p.wide());
            let (dy, dp) = (y - observed_mean, p - predicted_mean);
            Self {
                observed: sum.observed + dy * dy,
                predicted: sum.predicted + dp * dp,
                both: sum.both + dy * dp,
                errors: sum.errors + (y - p) * (y - p),
                ..sum
            }
        })
    }

    /// Of the rows of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let count = self.count + other.count;
        if count == 0.0 {
            return self;
        }
        let (dy, dp) = (other.observed_mean - self.observed_mean, other.predicted_mean - self.predicted_mean);
        let (share, weight) = (other.count / count, self.count * other.count / count);
        Self {
            count,
            observed_mean: self.observed_mean + dy * share,
            predicted_mean: self.predicted_mean + dp * share,
            observed: self.observed + other.observed + dy * dy * weight,
            predicted: self.predicted + other.predicted + dp * dp * weight,
            both: self.both + other.both + dy * dp * weight,
            errors: self.errors + other.errors,
        }
    }

    /// The share of variance that is explained, 1 - squared errors / squares about the mean; none of a constant response.
    pub fn r2(&self) -> Option<f64> {
        (self.observed > 0.0).then(|| 1.0 - self.errors / self.observed)
    }

    /// Pearson's correlation; none if either side is constant.
    pub fn correlation(&self) -> Option<f64> {
        (self.observed > 0.0 && self.predicted > 0.0)
            .then(|| (self.both / self.observed.sqrt() / self.predicted.sqrt()).clamp(-1.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_folds_are_as_one() {
        let observed = [1.0, 4.0, 2.0, 8.0, 5.5];
        let predicted = [1.5, 3.0, 2.0, 6.0, 6.0];
        let whole = Agreement::of(&observed, &predicted);
        let merged = [0..2, 2..2, 2..5]
            .into_iter()
            .fold(Agreement::default(), |sum, rows| sum.and(Agreement::of(&observed[rows.clone()], &predicted[rows])));
        // By hand: mean 4.1, squares about it 31.2, errors 0.25 + 1 + 0 + 4 + 0.25.
        assert!((whole.r2().unwrap() - (1.0 - 5.5 / 31.2)).abs() < 1e-14);
        assert!((merged.r2().unwrap() - whole.r2().unwrap()).abs() < 1e-14);
        assert!((merged.correlation().unwrap() - whole.correlation().unwrap()).abs() < 1e-14);
        // Predictions: mean 3.7, squares about it 18.8, products 22.65.
        assert!((whole.correlation().unwrap() - 22.65 / (31.2_f64 * 18.8).sqrt()).abs() < 1e-14);
    }

    #[test]
    fn constants_have_no_score() {
        let constant = Agreement::of(&[0.1_f32; 7], &[0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.4]);
        assert_eq!((constant.r2(), constant.correlation()), (None, None));
        assert_eq!(constant.and(constant).r2(), None);
        let flat = Agreement::of(&[1.0, 2.0], &[0.3, 0.3]);
        assert_eq!((flat.r2().is_some(), flat.correlation()), (true, None));
    }
}
