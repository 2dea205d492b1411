//! Means and squares of long lists of numbers, and those of a pattern whose features arrive in parts.
//!
//! Decides that sums run in `f64`, in a fixed order, through several sums at once; and that a pattern counts as constant if all of its
//! numbers are equal, not if their squares about a rounded mean are small. Independent of what the numbers are.

use super::counts::real;
use super::linear_algebra::Number;

/// Mean and squares of one pattern over its features.
#[derive(Clone, Copy, Debug)]
pub(super) struct PatternMoments {
    first: f64,
    /// All features have the value of the first.
    constant: bool,
    mean: f64,
    /// The sum of squares about the mean.
    squares: f64,
}

impl Default for PatternMoments {
    fn default() -> Self {
        Self { first: 0.0, constant: true, mean: 0.0, squares: 0.0 }
    }
}

impl PatternMoments {
    /// Adds features to those before, by the formulas of Chan, Golub and LeVeque (1983) for the moments of two parts; gives the mean of
    /// those that are added.
    pub fn add(&mut self, row: &[f64], before: usize) -> f64 {
        if before == 0 {
            self.first = row[0];
        }
        self.constant = self.constant && row.iter().all(|value| *value == self.first);
        let (count, before) = (real(row.len()), real(before));
        let mean = sum(row) / count;
        let shift = mean - self.mean;
        let all = before + count;
        self.squares += squares_about(row, mean) + shift * shift * (before * count / all);
        self.mean += shift * (count / all);
        mean
    }

    /// What patterns of so many features are compared by.
    pub fn scale(&self, features: f64) -> PatternScale {
        let defined = features > 0.0 && self.squares.is_finite() && self.mean.is_finite();
        match self.constant {
            true => PatternScale { defined, mean: self.mean, spread: 0.0, norm: self.first.abs() * features.sqrt() },
            false => {
                let norm = (self.squares + features * self.mean * self.mean).sqrt();
                PatternScale { defined, mean: self.mean, spread: self.squares.sqrt(), norm }
            }
        }
    }
}

/// What a pattern is compared by.
#[derive(Clone, Copy, Debug)]
pub(super) struct PatternScale {
    /// There are features, and all are finite.
    pub defined: bool,
    /// The mean.
    pub mean: f64,
    /// The norm about the mean; 0 of a constant pattern.
    pub spread: f64,
    /// The norm.
    pub norm: f64,
}

/// How many sums a long list is divided among, so that a processor adds several numbers at once.
const APART: usize = 8;

/// The sum of a function of every number, through [`APART`] sums.
fn sum_apart<T: Copy>(numbers: &[T], of: impl Fn(T) -> f64) -> f64 {
    let (whole, rest) = numbers.as_chunks::<APART>();
    let mut sums = [0.0; APART];
    for numbers in whole {
        sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += of(*number));
    }
    sums.iter().sum::<f64>() + rest.iter().map(|number| of(*number)).sum::<f64>()
}

fn sum(numbers: &[f64]) -> f64 {
    sum_apart(numbers, |number| number)
}

fn squares_about(numbers: &[f64], mean: f64) -> f64 {
    sum_apart(numbers, |number| (number - mean) * (number - mean))
}

/// The squared norm.
pub(super) fn sum_of_squares<T: Number>(numbers: &[T]) -> f64 {
    sum_apart(numbers, |number| {
        let number: f64 = number.into();
        number * number
    })
}

/// The squared distance of two lists of one length.
pub(super) fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<APART>(), y.as_chunks::<APART>());
    let mut sums = [0.0; APART];
    for (x, y) in x.iter().zip(y) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += (x - y) * (x - y);
        }
    }
    let rest = x_rest.iter().zip(y_rest).map(|(x, y)| (x - y) * (x - y));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_moments_of_the_whole() {
        let numbers: Vec<f64> = (0..1003).map(|at| f64::from(at * 17 % 41) + 1000.0).collect();
        let mut found = PatternMoments::default();
        let mut before = 0;
        for part in [1, 500, 7, 495] {
            found.add(&numbers[before..before + part], before);
            before += part;
        }
        let scale = found.scale(1003.0);
        let mean = numbers.iter().sum::<f64>() / 1003.0;
        let squares = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        assert!((scale.mean - mean).abs() < 1e-12 && (scale.spread / squares.sqrt() - 1.0).abs() < 1e-13);
        let norm = numbers.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!((scale.norm / norm - 1.0).abs() < 1e-14 && scale.defined);
        assert!(!PatternMoments::default().scale(0.0).defined);
    }

    #[test]
    fn constant_patterns_have_no_spread() {
        let mut constant = PatternMoments::default();
        constant.add(&[0.1; 1001], 0);
        constant.add(&[0.1; 10], 1001);
        let scale = constant.scale(1011.0);
        assert_eq!((scale.spread, scale.norm), (0.0, 0.1 * 1011_f64.sqrt()));
        constant.add(&[0.2], 1011);
        assert!(constant.scale(1012.0).spread > 0.0);
        let mut with_nan = PatternMoments::default();
        with_nan.add(&[1.0, f64::NAN], 0);
        assert!(!with_nan.scale(2.0).defined);
    }

    #[test]
    fn long_sums_take_every_number_once() {
        let numbers: Vec<f64> = (1..=21).map(f64::from).collect();
        assert_eq!((sum(&numbers), sum_of_squares(&numbers)), (231.0, 3311.0));
        let zeros = [0.0; 21];
        assert_eq!((squared_distance(&numbers, &zeros), squares_about(&numbers, 11.0)), (3311.0, 770.0));
        assert_eq!(sum_of_squares(&[3.0_f32, 4.0]), 25.0);
    }
}
