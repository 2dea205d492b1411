//! Distances in units of noise: Mahalanobis distances of mean patterns, and their cross-validated squares (crossnobis).
//!
//! Decides the estimates. With `S` the covariance of noise and `d` the difference of two patterns, Mahalanobis is `sqrt(d' S^-1 d)`, in standard
//! deviations of the noise; it is above 0 where the true distance is 0, because `d` has noise. Crossnobis (Nili et al. 2014; Walther et al.
//! 2016) is the mean of `d_a' S^-1 d_b` over all pairs of different runs `a`, `b`, in squared standard deviations; noise of different runs
//! is independent, so its expectation is the true squared distance, and it may be negative. It is computed from distances of sums: for runs
//! whose whitened patterns are `x_r`, `sum over a != b of d_a d_b` is the squared distance of sums over runs minus the sum of squared distances
//! in runs. A covariance of each run is averaged over the two runs of a pair. Divided by the number of features only on request.

use pipe_contract::Failure;

use crate::formats::nearest_names::nearest;
use crate::numeric::counts::real;
use crate::numeric::dissimilarity::{Dissimilarities, Dissimilarity, PatternSums, pair_count, pairs};
use crate::numeric::linear_algebra::MatrixView;
use crate::numeric::noise_covariance::{NoiseCovariance, ShrinkageIntensity};

/// Measurements of entries, some of them several times, in runs.
#[derive(Clone, Debug)]
pub(super) struct Measurements {
    /// Rows by features, column after column.
    pub values: Vec<f64>,
    /// The entry of every row.
    pub entry_of: Vec<usize>,
    /// How many entries.
    pub entries: usize,
    /// The run of every row; all 0 where runs are not used.
    pub run_of: Vec<usize>,
    /// The names of runs.
    pub runs: Vec<String>,
}

/// Residuals of the same features.
#[derive(Clone, Debug)]
pub(super) struct NoiseResiduals {
    /// Rows by features, column after column.
    pub values: Vec<f64>,
    /// The run of every row.
    pub run_of: Vec<String>,
    /// Degrees of freedom of all, or of each run; 0: rows minus 1.
    pub freedom: usize,
}

impl Measurements {
    fn features(&self) -> usize {
        self.values.len() / self.entry_of.len()
    }

    fn rows(&self) -> usize {
        self.entry_of.len()
    }

    /// The mean patterns of entries over the rows that are taken, entry after entry; NaN where an entry has no row.
    fn means(&self, takes: impl Fn(usize) -> bool) -> Vec<f64> {
        let (rows, features) = (self.rows(), self.features());
        let taken: Vec<usize> = (0..rows).filter(|row| takes(*row)).collect();
        let mut counts = vec![0_usize; self.entries];
        taken.iter().for_each(|row| counts[self.entry_of[*row]] += 1);
        let mut means = vec![0.0; self.entries * features];
        for feature in 0..features {
            for row in &taken {
                means[self.entry_of[*row] * features + feature] += self.values[feature * rows + row];
            }
        }
        for (pattern, count) in means.chunks_exact_mut(features).zip(counts) {
            pattern.iter_mut().for_each(|sum| *sum /= real(count));
        }
        means
    }

    fn of_run(&self, run: usize) -> Vec<f64> {
        self.means(|row| self.run_of[row] == run)
    }

    /// What is left of rows without the mean of their entry, or of their entry in their run; and the degrees of freedom.
    fn deviations(&self, rows: &[usize]) -> (Vec<f64>, usize) {
        let mut present = vec![false; self.entries];
        rows.iter().for_each(|row| present[self.entry_of[*row]] = true);
        let (all, features) = (self.rows(), self.features());
        let within: Vec<bool> = (0..all).map(|row| rows.binary_search(&row).is_ok()).collect();
        let means = self.means(|row| within[row]);
        let deviation = |feature: usize, row: usize| {
            self.values[feature * all + row] - means[self.entry_of[row] * features + feature]
        };
        let left = (0..features).flat_map(|feature| rows.iter().map(move |row| (feature, *row)));
        let left = left.map(|(feature, row)| deviation(feature, row)).collect();
        (left, rows.len() - present.iter().filter(|present| **present).count())
    }
}

/// One covariance for all rows.
///
/// # Errors
/// As [`NoiseCovariance::of`].
pub(super) fn covariance_of_all(
    measured: &Measurements,
    residuals: Option<&NoiseResiduals>,
    shrinkage: ShrinkageIntensity,
) -> Result<NoiseCovariance, Failure> {
    let (values, freedom) = match residuals {
        Some(residuals) => residuals.centred(&(0..residuals.run_of.len()).collect::<Vec<_>>()),
        None => measured.deviations(&(0..measured.rows()).collect::<Vec<_>>()),
    };
    estimate(&values, measured.features(), freedom, shrinkage)
}

/// A covariance a run, in the order of the runs of the measurements.
///
/// # Errors
/// As [`NoiseCovariance::of`]; Input: a run has no residuals.
pub(super) fn covariances_of_runs(
    measured: &Measurements,
    residuals: Option<&NoiseResiduals>,
    shrinkage: ShrinkageIntensity,
) -> Result<Vec<NoiseCovariance>, Failure> {
    let of_run = |(run, name): (usize, &String)| {
        let (values, freedom) = match residuals {
            Some(residuals) => residuals.centred(&residuals.rows_of(name)?),
            None => {
                let rows: Vec<usize> = (0..measured.rows()).filter(|row| measured.run_of[*row] == run).collect();
                measured.deviations(&rows)
            }
        };
        let found = estimate(&values, measured.features(), freedom, shrinkage);
        found.map_err(|failure| Failure { message: format!("run `{name}`: {}", failure.message), ..failure })
    };
    measured.runs.iter().enumerate().map(of_run).collect()
}

fn estimate(
    values: &[f64],
    features: usize,
    freedom: usize,
    shrinkage: ShrinkageIntensity,
) -> Result<NoiseCovariance, Failure> {
    NoiseCovariance::of(MatrixView::new(values, values.len() / features, features), freedom, shrinkage)
}

impl NoiseResiduals {
    fn rows_of(&self, run: &str) -> Result<Vec<usize>, Failure> {
        let rows: Vec<usize> = (0..self.run_of.len()).filter(|row| self.run_of[*row] == run).collect();
        match rows.is_empty() {
            true => Err(Failure::input(format!("no residual is of run `{run}`")).hint(format!(
                "runs of residuals most like it: {}",
                nearest(run, self.run_of.iter().map(String::as_str))
            ))),
            false => Ok(rows),
        }
    }

    /// Some rows without the means of features over them, and their degrees of freedom.
    fn centred(&self, rows: &[usize]) -> (Vec<f64>, usize) {
        let mut values = Vec::with_capacity(rows.len() * self.values.len() / self.run_of.len());
        for column in self.values.chunks_exact(self.run_of.len()) {
            let mean = rows.iter().map(|row| column[*row]).sum::<f64>() / real(rows.len());
            values.extend(rows.iter().map(|row| column[*row] - mean));
        }
        (values, if self.freedom == 0 { rows.len() - 1 } else { self.freedom })
    }
}

/// Mahalanobis distances of the mean patterns of entries; without a covariance, noise has the variance 1.
///
/// # Errors
/// As [`NoiseCovariance::whitener`].
pub(super) fn mahalanobis(
    measured: &Measurements,
    covariance: Option<&NoiseCovariance>,
    per_feature: bool,
) -> Result<Dissimilarities, Failure> {
    let mut patterns = measured.means(|_| true);
    if let Some(covariance) = covariance {
        covariance.whitener()?.whiten(&mut patterns);
    }
    let Dissimilarities { mut triangle, diagonal } = squared(&patterns, measured.entries);
    let divisor = if per_feature { real(measured.features()) } else { 1.0 };
    triangle.iter_mut().for_each(|value| *value = (*value / divisor).sqrt());
    Ok(Dissimilarities { triangle, diagonal })
}

/// The covariance of noise that crossnobis distances are in units of.
#[derive(Clone, Debug)]
pub(super) enum RunNoise {
    /// Uncorrelated noise of variance 1.
    Identity,
    /// That of all runs.
    Shared(NoiseCovariance),
    /// One a run.
    OfRuns(Vec<NoiseCovariance>),
}

/// Cross-validated squared Mahalanobis distances.
///
/// # Errors
/// Input: fewer than two runs, an entry that a run lacks; as [`NoiseCovariance::whitener`].
pub(super) fn crossnobis(
    measured: &Measurements,
    entries: &[String],
    noise: &RunNoise,
    per_feature: bool,
) -> Result<Dissimilarities, Failure> {
    check_runs(measured, entries)?;
    let runs = measured.runs.len();
    let patterns: Vec<Vec<f64>> = (0..runs).map(|run| measured.of_run(run)).collect();
    let mut sums = match noise {
        RunNoise::Identity => cross_validated(&patterns, measured.entries),
        RunNoise::Shared(covariance) => {
            let whitener = covariance.whitener()?;
            let mut patterns = patterns;
            patterns.iter_mut().for_each(|patterns| whitener.whiten(patterns));
            cross_validated(&patterns, measured.entries)
        }
        RunNoise::OfRuns(covariances) => of_pairs_of_runs(&patterns, covariances, measured.entries)?,
    };
    if per_feature {
        let features = real(measured.features());
        sums.triangle.iter_mut().for_each(|value| *value /= features);
    }
    Ok(sums)
}

/// The mean over pairs of runs, each whitened by the mean of its two covariances.
fn of_pairs_of_runs(
    patterns: &[Vec<f64>],
    covariances: &[NoiseCovariance],
    entries: usize,
) -> Result<Dissimilarities, Failure> {
    let mut all: Option<Dissimilarities> = None;
    let runs = patterns.len();
    for (first, second) in pairs(runs) {
        let whitener = covariances[first].mean_with(&covariances[second]).whitener()?;
        let mut pair = [patterns[first].clone(), patterns[second].clone()];
        pair.iter_mut().for_each(|patterns| whitener.whiten(patterns));
        let found = cross_validated(&pair, entries);
        match &mut all {
            Some(all) => all.triangle.iter_mut().zip(found.triangle).for_each(|(sum, value)| *sum += value),
            None => all = Some(found),
        }
    }
    let mut all = all.ok_or_else(|| Failure::internal("there is no pair of runs"))?;
    let count = real(pair_count(runs));
    all.triangle.iter_mut().for_each(|sum| *sum /= count);
    Ok(all)
}

/// The mean of products of differences over all pairs of different runs of whitened patterns.
fn cross_validated(patterns: &[Vec<f64>], entries: usize) -> Dissimilarities {
    let runs = patterns.len();
    let total: Vec<f64> = (0..patterns[0].len()).map(|at| patterns.iter().map(|patterns| patterns[at]).sum()).collect();
    let Dissimilarities { mut triangle, diagonal } = squared(&total, entries);
    for patterns in patterns {
        let within = squared(patterns, entries);
        triangle.iter_mut().zip(within.triangle).for_each(|(sum, value)| *sum -= value);
    }
    let pairs = real(runs * (runs - 1));
    triangle.iter_mut().for_each(|sum| *sum /= pairs);
    Dissimilarities { triangle, diagonal }
}

/// Squared distances of patterns that lie one after the other.
fn squared(patterns: &[f64], count: usize) -> Dissimilarities {
    let mut sums = PatternSums::new(count);
    sums.add(MatrixView::new(patterns, patterns.len() / count, count).transposed());
    sums.dissimilarities(Dissimilarity::SquaredEuclidean)
}

fn check_runs(measured: &Measurements, entries: &[String]) -> Result<(), Failure> {
    let runs = measured.runs.len();
    if runs < 2 {
        return Err(Failure::input("crossnobis needs measurements of at least two runs, but there is one")
            .hint("`run` names the column of the table of rows that says in which run a row was measured"));
    }
    let mut present = vec![false; runs * measured.entries];
    for (run, entry) in measured.run_of.iter().zip(&measured.entry_of) {
        present[run * measured.entries + entry] = true;
    }
    match present.iter().position(|present| !present) {
        None => Ok(()),
        Some(at) => {
            let (run, entry) = (&measured.runs[at / measured.entries], &entries[at % measured.entries]);
            Err(Failure::input(format!("`{entry}` was not measured in run `{run}`, expected every entry in every run"))
                .hint("leave out entries that some run lacks, or join runs"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two entries, two features, three runs of one row an entry; rows: run by run, entry by entry.
    fn measured() -> Measurements {
        let first = [1.0, 3.0, 2.0, 3.0, 0.0, 4.0];
        let second = [0.0, 1.0, 1.0, -1.0, 2.0, 2.0];
        Measurements {
            values: [first, second].concat(),
            entry_of: vec![0, 1, 0, 1, 0, 1],
            entries: 2,
            run_of: vec![0, 0, 1, 1, 2, 2],
            runs: ["1", "2", "3"].map(String::from).to_vec(),
        }
    }

    /// Two uncorrelated features of variance 1.
    fn unit() -> NoiseCovariance {
        let residuals = [1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0];
        NoiseCovariance::of(MatrixView::new(&residuals, 4, 2), 4, ShrinkageIntensity::Given(0.0)).unwrap()
    }

    fn names() -> Vec<String> {
        ["x", "y"].map(String::from).to_vec()
    }

    /// Differences by run: (-2, -1), (-1, 2), (-4, 0). Products: 0, 8, 4; their mean is 4.
    #[test]
    fn crossnobis_is_the_mean_of_products_over_pairs_of_runs() {
        let found = crossnobis(&measured(), &names(), &RunNoise::Identity, false).unwrap();
        assert!((found.triangle[0] - 4.0).abs() < 1e-14 && found.diagonal == [0.0; 2]);
        let found = crossnobis(&measured(), &names(), &RunNoise::Identity, true).unwrap();
        assert!((found.triangle[0] - 2.0).abs() < 1e-14);
        let same = RunNoise::OfRuns(vec![unit(); 3]);
        let found = crossnobis(&measured(), &names(), &same, false).unwrap();
        assert!((found.triangle[0] - 4.0).abs() < 1e-14);
    }

    /// Mean difference (-7/3, 1/3).
    #[test]
    fn mahalanobis_is_of_mean_patterns() {
        let found = mahalanobis(&measured(), Some(&unit()), false).unwrap();
        assert!((found.triangle[0] - (50_f64 / 9.0).sqrt()).abs() < 1e-14);
        let without = mahalanobis(&measured(), None, false).unwrap();
        assert!((found.triangle[0] - without.triangle[0]).abs() < 1e-14);
        let found = mahalanobis(&measured(), Some(&unit()), true).unwrap();
        assert!((found.triangle[0] - (25_f64 / 9.0).sqrt()).abs() < 1e-14);
    }

    /// Deviations of entry 0 in feature 0 from its mean 1: 0, 1, -1; of entry 1 from 10/3: -1/3, -1/3, 2/3. 8/3 over 4 degrees of freedom.
    #[test]
    fn noise_without_residuals_is_the_spread_of_repeated_rows() {
        let covariance = covariance_of_all(&measured(), None, ShrinkageIntensity::Given(0.0)).unwrap();
        assert!((covariance.matrix()[0] - (2.0 + 6.0 / 9.0) / 4.0).abs() < 1e-14, "{:?}", covariance.matrix());
        let failure = covariances_of_runs(&measured(), None, ShrinkageIntensity::Estimated).unwrap_err();
        assert!(failure.message.starts_with("run `1`: the residuals have no degree of freedom"), "{failure}");
    }

    /// Residuals of run 1 have the variances 1 and 3, of run 2 four times as much, of run 3 sixteen times as much.
    #[test]
    fn covariances_of_runs_are_averaged_by_pairs() {
        let residuals = NoiseResiduals {
            values: [
                [-1.0, 1.0, 0.0, -2.0, 2.0, 0.0, -4.0, 4.0, 0.0],
                [1.0, 1.0, -2.0, 2.0, 2.0, -4.0, 4.0, 4.0, -8.0],
            ]
            .concat(),
            run_of: ["1", "1", "1", "2", "2", "2", "3", "3", "3"].map(String::from).to_vec(),
            freedom: 0,
        };
        let covariances = covariances_of_runs(&measured(), Some(&residuals), ShrinkageIntensity::Given(1.0)).unwrap();
        let diagonals: Vec<[f64; 2]> = covariances.iter().map(|c| [c.matrix()[0], c.matrix()[3]]).collect();
        assert_eq!(diagonals, [[1.0, 3.0], [4.0, 12.0], [16.0, 48.0]]);
        let found = crossnobis(&measured(), &names(), &RunNoise::OfRuns(covariances), false).unwrap();
        let pair = |a: [f64; 2], b: [f64; 2], scale: f64| a[0] * b[0] / scale + a[1] * b[1] / (3.0 * scale);
        let (a, b, c) = ([-2.0, -1.0], [-1.0, 2.0], [-4.0, 0.0]);
        let expected = (pair(a, b, 2.5) + pair(a, c, 8.5) + pair(b, c, 10.0)) / 3.0;
        assert!((found.triangle[0] - expected).abs() < 1e-14, "{} {expected}", found.triangle[0]);
        let other = NoiseResiduals { run_of: vec!["run".to_owned(); 9], ..residuals.clone() };
        let failure = covariances_of_runs(&measured(), Some(&other), ShrinkageIntensity::Estimated).unwrap_err();
        assert_eq!(failure.message, "no residual is of run `1`");
        let shared = covariance_of_all(&measured(), Some(&residuals), ShrinkageIntensity::Given(0.0)).unwrap();
        assert!((shared.matrix()[0] - 42.0 / 8.0).abs() < 1e-14);
    }

    #[test]
    fn entries_that_a_run_lacks_are_named() {
        let mut lacking = measured();
        lacking.run_of = vec![0, 0, 1, 2, 2, 2];
        let failure = crossnobis(&lacking, &names(), &RunNoise::Identity, false).unwrap_err();
        assert!(failure.message.starts_with("`y` was not measured in run `2`"), "{failure}");
        let one = Measurements { runs: vec!["1".into()], run_of: vec![0; 6], ..measured() };
        assert!(
            crossnobis(&one, &names(), &RunNoise::Identity, false).unwrap_err().message.contains("at least two runs")
        );
    }
}
