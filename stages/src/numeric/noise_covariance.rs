//! The covariance of noise over features, estimated from residuals, and patterns in units of that noise.
//!
//! Decides the estimate: residuals over degrees of freedom, with the off-diagonal part multiplied by `1 - intensity`. The intensity is
//! given, or the one that Schäfer and Strimmer (2005) derive for the diagonal target after Ledoit and Wolf: the sum of the variances of
//! correlations over the sum of their squares, at most 1. Degrees of freedom may be fewer than residuals minus 1, as where means of entries
//! have been taken off; rsatoolbox 0.3.2 mixes the two numbers there, and both estimates are the same where they are the usual ones. Patterns
//! are whitened by the Cholesky factor: squared Euclidean distances of whitened patterns are squared Mahalanobis distances. A factor whose
//! pivots are rounding ([`LEAST_PIVOT`]) is none: distances would be decided by it.

use faer::linalg::solvers::Llt;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{MatMut, MatRef, Par, Side};
use pipe_contract::Failure;
use rayon::prelude::*;

use super::counts::real;
use super::linear_algebra::{MatrixView, gram};

/// More features than this are refused: their covariance takes 8 bytes for each pair.
pub const MOST_FEATURES: usize = 10_000;

/// A squared pivot of the factor below this share of the variance of its feature is rounding: the others predict the feature.
const LEAST_PIVOT: f64 = 1e-12;

/// Patterns that are whitened together, whatever the number of threads.
const AT_ONCE: usize = 16;

/// How far a covariance is shrunk towards its diagonal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ShrinkageIntensity {
    /// By the intensity that the residuals suggest.
    Estimated,
    /// By this: 0 not at all, 1 to the diagonal.
    Given(f64),
}

/// A covariance of features.
#[derive(Clone, Debug)]
pub struct NoiseCovariance {
    matrix: Vec<f64>,
    features: usize,
    intensity: f64,
}

impl NoiseCovariance {
    /// From residuals (a row an observation, a column a feature), whose means have been taken off, with so many degrees of freedom.
    ///
    /// # Errors
    /// Input: no degree of freedom, too many features, a feature that does not vary, a number that is not finite, or so few residuals
    /// for the features that the covariance has no inverse without shrinkage.
    pub fn of(residuals: MatrixView<'_, f64>, freedom: usize, shrinkage: ShrinkageIntensity) -> Result<Self, Failure> {
        let (rows, features) = (residuals.rows(), residuals.columns());
        check_size(freedom.min(rows.saturating_sub(1)), features, shrinkage)?;
        let freedom = real(freedom);
        let mut matrix = gram(residuals);
        matrix.iter_mut().for_each(|sum| *sum /= freedom);
        let variances: Vec<f64> = (0..features).map(|at| matrix[at * features + at]).collect();
        if let Some(at) = variances.iter().position(|variance| !variance.is_finite() || *variance <= 0.0) {
            let found = if variances[at] == 0.0 { "does not vary" } else { "is not finite" };
            return Err(Failure::input(format!("feature {} of {features} {found} in the residuals", at + 1))
                .hint("leave such features out, or give residuals in which every feature varies"));
        }
        let intensity = match shrinkage {
            ShrinkageIntensity::Given(intensity) => intensity,
            ShrinkageIntensity::Estimated => estimated(residuals, rows, freedom, &matrix, &variances),
        };
        for (at, value) in matrix.iter_mut().enumerate() {
            if at % (features + 1) != 0 {
                *value *= 1.0 - intensity;
            }
        }
        Ok(Self { matrix, features, intensity })
    }

    /// The mean of two covariances of the same features.
    #[must_use]
    pub fn mean_with(&self, other: &Self) -> Self {
        let matrix = self.matrix.iter().zip(&other.matrix).map(|(a, b)| f64::midpoint(*a, *b)).collect();
        Self { matrix, features: self.features, intensity: f64::midpoint(self.intensity, other.intensity) }
    }

    /// By how much it was shrunk.
    pub fn intensity(&self) -> f64 {
        self.intensity
    }

    /// Its numbers, column after column.
    pub fn matrix(&self) -> &[f64] {
        &self.matrix
    }

    /// What whitens patterns.
    ///
    /// # Errors
    /// Input: it has no inverse.
    pub fn whitener(&self) -> Result<NoiseWhitener, Failure> {
        let matrix = MatRef::from_column_major_slice(&self.matrix, self.features, self.features);
        let without = |why: String| {
            Failure::input(format!("the covariance of {} features has no inverse{why}", self.features)).hint(
                "shrink it more (`shrinkage: estimated`, or `shrinkage: given` with a larger `intensity`), or leave out features that are \
                 copies or sums of others",
            )
        };
        let factor = matrix.llt(Side::Lower).map_err(|_| without(String::new()))?;
        let pivot = |at: usize| factor.L()[(at, at)].powi(2);
        let is_rounding = |at: &usize| pivot(*at) <= LEAST_PIVOT * self.matrix[at * (self.features + 1)];
        match (0..self.features).find(is_rounding) {
            Some(at) => Err(without(format!(": feature {} is a sum of multiples of those before it", at + 1))),
            None => Ok(NoiseWhitener { factor, features: self.features }),
        }
    }
}

/// Residuals of so few degrees of freedom span fewer dimensions than there are features: without shrinkage, no inverse.
fn check_size(freedom: usize, features: usize, shrinkage: ShrinkageIntensity) -> Result<(), Failure> {
    if freedom == 0 {
        return Err(Failure::input("the residuals have no degree of freedom, expected at least one")
            .hint("give `residuals`, or repeat the measurements of each entry"));
    }
    if features > MOST_FEATURES {
        return Err(Failure::input(format!(
            "there are {features} features, expected at most {MOST_FEATURES} for a covariance of all pairs of them"
        ))
        .hint("reduce them before, as by `matrix/pca`"));
    }
    if shrinkage == ShrinkageIntensity::Given(0.0) && features > freedom {
        return Err(Failure::input(format!(
            "residuals of {freedom} degrees of freedom are too few for the covariance of {features} features, \
             which has no inverse without shrinkage"
        ))
        .hint("shrink it (`shrinkage: estimated`), reduce the features (`matrix/pca`), or give more residuals"));
    }
    Ok(())
}

/// The intensity of Schäfer and Strimmer. With standardised residuals `z`, the product of features `i` and `j` is `w = z_i z_j`; what is
/// needed of it are sums over all pairs of different features, which are found without a list of pairs. Of `n` residuals with `f` degrees of
/// freedom, the mean square of `w` over independent residuals is `n / f` times that of sums over `f`, and the variance of the correlation is
/// `(n sum(w^2) / f^3 - (f + 1) r^2 / f^2)`: with `f = n - 1`, that of the paper.
fn estimated(residuals: MatrixView<'_, f64>, rows: usize, freedom: f64, covariance: &[f64], variances: &[f64]) -> f64 {
    let features = variances.len();
    let mut correlations = 0.0;
    for (column, values) in covariance.chunks_exact(features).enumerate() {
        for (row, value) in values.iter().enumerate().filter(|(row, _)| *row != column) {
            correlations += value * value / (variances[row] * variances[column]);
        }
    }
    if correlations == 0.0 {
        return if features > 1 { 1.0 } else { 0.0 };
    }
    let mut products = 0.0;
    for row in 0..rows {
        let (mut squares, mut fourths) = (0.0, 0.0);
        for (value, variance) in residuals.row(row).zip(variances) {
            let square = value * value / variance;
            squares += square;
            fourths += square * square;
        }
        products += squares * squares - fourths;
    }
    let variance = (real(rows) * products / freedom - (freedom + 1.0) * correlations) / (freedom * freedom);
    (variance / correlations).clamp(0.0, 1.0)
}

/// Divides patterns by the noise.
#[derive(Clone, Debug)]
pub struct NoiseWhitener {
    factor: Llt<f64>,
    features: usize,
}

impl NoiseWhitener {
    /// Whitens patterns that lie one after the other.
    ///
    /// # Panics
    /// They are not patterns of the features of the covariance.
    pub fn whiten(&self, patterns: &mut [f64]) {
        patterns.par_chunks_mut(self.features * AT_ONCE).for_each(|patterns| {
            let count = patterns.len() / self.features;
            let patterns = MatMut::from_column_major_slice_mut(patterns, self.features, count);
            solve_lower_triangular_in_place(self.factor.L(), patterns, Par::Seq);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six observations of three features, each with mean 0, column after column.
    const RESIDUALS: [f64; 18] = [
        1.0, -2.0, 0.5, 1.5, -1.0, 0.0, //
        2.0, -1.0, -1.5, 1.0, 0.5, -1.0, //
        -1.0, 0.0, 2.0, -0.5, 1.5, -2.0,
    ];

    fn covariance(shrinkage: ShrinkageIntensity) -> NoiseCovariance {
        NoiseCovariance::of(MatrixView::new(&RESIDUALS, 6, 3), 5, shrinkage).unwrap()
    }

    #[test]
    fn covariances_are_sums_of_products_over_degrees_of_freedom() {
        let found = covariance(ShrinkageIntensity::Given(0.0));
        // 1 + 4 + 0.25 + 2.25 + 1 = 8.5; 2 + 2 - 0.75 + 1.5 - 0.5 = 4.25; -1 + 1 - 0.75 - 1.5 = -2.25.
        for (at, expected) in [(0, 8.5), (1, 4.25), (2, -2.25)] {
            assert!((found.matrix()[at] - expected / 5.0).abs() < 1e-15, "{at}");
        }
        let half = covariance(ShrinkageIntensity::Given(0.5));
        assert!((half.matrix()[1] - 0.425).abs() < 1e-15 && (half.matrix()[0] - 1.7).abs() < 1e-15);
        assert!((found.mean_with(&half).matrix()[1] - 0.6375).abs() < 1e-15);
    }

    /// In Python, from lists of all products `w` of the three pairs, their sums of squares `q` and correlations `r`: with n = 6 and f = 5,
    /// `sum(n * q / f**3 - (f + 1) * r**2 / f**2) / sum(r**2)`; rsatoolbox's formula has the same number there.
    #[test]
    fn the_estimated_intensity_is_that_of_all_pairs() {
        let found = covariance(ShrinkageIntensity::Estimated).intensity();
        assert!((found - 0.975_932_832_178_072_9).abs() < 1e-12, "{found}");
    }

    /// Two measurements of an entry without their mean are `d / 2` and `-d / 2`: eight residuals with four degrees of freedom hold what four
    /// independent ones `d / sqrt(2)` hold, so that covariance and intensity are the same.
    #[test]
    fn residuals_around_means_of_entries_are_shrunk_as_independent_ones() {
        let differences = [1.0, -2.0, 0.5, 1.5, 2.0, -1.0, -1.5, 1.0, -1.0, 1.0, 2.0, -0.5];
        let independent: Vec<f64> = differences.iter().map(|d: &f64| d * 0.5_f64.sqrt()).collect();
        let around_means: Vec<f64> = differences.iter().flat_map(|d| [d / 2.0, -d / 2.0]).collect();
        let of = |values: &[f64], rows: usize| {
            NoiseCovariance::of(MatrixView::new(values, rows, 3), 4, ShrinkageIntensity::Estimated).unwrap()
        };
        let (one, other) = (of(&independent, 4), of(&around_means, 8));
        assert!((one.intensity() - other.intensity()).abs() < 1e-13, "{} {}", one.intensity(), other.intensity());
        assert!(one.intensity() > 0.0 && one.intensity() < 1.0, "{} shows nothing at an end", one.intensity());
        assert!(one.matrix().iter().zip(other.matrix()).all(|(a, b)| (a - b).abs() < 1e-14));
    }

    /// `d^T S^-1 d` with the inverse of a covariance of two features by hand: S = [[2, 1], [1, 2]], S^-1 = [[2, -1], [-1, 2]] / 3.
    #[test]
    fn whitened_distances_are_mahalanobis_distances() {
        let covariance = NoiseCovariance { matrix: vec![2.0, 1.0, 1.0, 2.0], features: 2, intensity: 0.0 };
        let mut patterns = vec![3.0, 1.0, 1.0, 2.0];
        covariance.whitener().unwrap().whiten(&mut patterns);
        let squared = (patterns[0] - patterns[2]).powi(2) + (patterns[1] - patterns[3]).powi(2);
        // d = (2, -1): (2 * 4 + 2 * 2 + 2 * 1) / 3.
        assert!((squared - 14.0 / 3.0).abs() < 1e-14, "{squared}");
        let uncorrelated = NoiseCovariance { matrix: vec![4.0, 0.0, 0.0, 1.0], features: 2, intensity: 0.0 };
        let mut halved = vec![3.0, 1.0];
        uncorrelated.whitener().unwrap().whiten(&mut halved);
        assert_eq!(halved, [1.5, 1.0]);
    }

    #[test]
    fn what_has_no_inverse_is_refused() {
        let message = |rows: usize, freedom, shrinkage| {
            let values: Vec<f64> = RESIDUALS[..rows * 3].to_vec();
            NoiseCovariance::of(MatrixView::new(&values, rows, 3), freedom, shrinkage).unwrap_err().message
        };
        assert!(message(3, 2, ShrinkageIntensity::Given(0.0)).contains("2 degrees of freedom are too few"));
        assert!(message(3, 0, ShrinkageIntensity::Estimated).contains("no degree of freedom"));
        let constant = [1.0, -1.0, 0.0, 0.0];
        let failure =
            NoiseCovariance::of(MatrixView::new(&constant, 2, 2), 1, ShrinkageIntensity::Given(1.0)).unwrap_err();
        assert_eq!(failure.message, "feature 2 of 2 does not vary in the residuals");
        let singular = NoiseCovariance { matrix: vec![1.0; 4], features: 2, intensity: 0.0 };
        assert!(singular.whitener().unwrap_err().message.contains("has no inverse"));
        // Said to have 9 degrees of freedom, six residuals still span five dimensions.
        let many: Vec<f64> = RESIDUALS.iter().chain(&RESIDUALS).enumerate().map(|(at, x)| x + real(at % 5)).collect();
        let none = ShrinkageIntensity::Given(0.0);
        let failure = NoiseCovariance::of(MatrixView::new(&many, 6, 6), 9, none).unwrap_err();
        assert!(
            failure.message.contains("5 degrees of freedom are too few for the covariance of 6 features"),
            "{failure}"
        );
    }

    /// The third feature is the sum of the first two, in many units, so that rounding decides the sign of its pivot.
    #[test]
    fn a_feature_that_others_predict_is_named() {
        for scale in [1.0, 0.1, 1.0 / 3.0, 7.3, 1e-5, 1.7e6, 0.123_456] {
            let (first, second) = (&RESIDUALS[..6], &RESIDUALS[12..]);
            let one = first.iter().map(|x| x * scale);
            let other = second.iter().map(|x| x * scale / 3.0);
            let sum = one.clone().zip(other.clone()).map(|(a, b)| a + 1.1 * b);
            let values: Vec<f64> = one.clone().chain(other.clone()).chain(sum).collect();
            let view = MatrixView::new(&values, 6, 3);
            let found = NoiseCovariance::of(view, 5, ShrinkageIntensity::Given(0.0)).unwrap();
            let failure = found.whitener().unwrap_err();
            assert!(failure.message.starts_with("the covariance of 3 features has no inverse"), "{failure}");
            let shrunk = NoiseCovariance::of(view, 5, ShrinkageIntensity::Given(0.1)).unwrap();
            assert!(shrunk.whitener().is_ok());
        }
    }
}
