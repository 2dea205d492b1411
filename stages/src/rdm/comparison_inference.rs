//! Standard errors of scores from resamples of stimuli, of subjects, or of both, and what follows from them: intervals and probabilities.
//!
//! A resample of both at once has too large a variance: it holds the noise of single measurements about three times. What is known of the
//! three variances (both, subjects alone, stimuli alone) corrects it (Schütt et al. 2023, eLife 12:e82566, "2-factor bootstrap"), with `n /
//! (n - 1)` of each factor for its few levels, and never below the larger of the single ones. Resamples of one factor take that factor `n /
//! (n - 1)` alone. Scores that were cross-validated vary with the folds too; with several divisions into folds a resample, the variance
//! that infinitely many divisions would leave follows from that of one and of their mean.
//!
//! Intervals and tests take Student's t with one less degrees of freedom than the factor with fewer levels has, as rsatoolbox does. A
//! resample without a score (too few different stimuli, one subject for a ceiling) is left out.

use pipe_contract::{Context, Failure, Progress};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;

use super::comparison_inputs::{BootstrapOver, ComparisonGroup};
use super::comparison_scores::Resample;
use crate::numeric::counts::real;
use crate::numeric::random_rows::{resampled, single_rows};
use crate::numeric::student_t::{both_tails, quantile_of_tail, upper_tail};

/// Resamples that are evaluated between two looks at whether the run is to stop.
const AT_A_TIME: usize = 64;

/// Scores of resamples.
pub(super) struct Bootstrapped {
    over: BootstrapOver,
    stimuli: f64,
    subjects: f64,
    /// Of both factors, subjects alone, stimuli alone, as far as they are needed: by resample and division into folds the scores.
    sets: Vec<Vec<Vec<Vec<f64>>>>,
}

/// The standard error of a number, and from how many resamples it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RdmError {
    pub se: f64,
    pub freedom: f64,
    pub draws: usize,
}

impl Bootstrapped {
    /// Evaluates resamples. `evaluate` gives, for a resample and its number, the scores of each division into folds (one where there are
    /// none). `None` where nothing is resampled.
    ///
    /// # Errors
    /// Input: one subject, where subjects are resampled. Stage: stopped; those of `evaluate`.
    pub fn run(
        group: &ComparisonGroup,
        over: BootstrapOver,
        draws: usize,
        seed: u64,
        context: &dyn Context,
        evaluate: impl Fn(&Resample, u64) -> Result<Vec<Vec<f64>>, Failure> + Sync,
    ) -> Result<Option<Self>, Failure> {
        if over == BootstrapOver::Neither || draws == 0 {
            return Ok(None);
        }
        if group.subjects.len() < 2 && over != BootstrapOver::Stimuli {
            return Err(Failure::input(format!(
                "there is one subject, `{}`, so that subjects cannot be resampled",
                group.subjects[0]
            ))
            .hint("`bootstrap: stimuli` resamples stimuli alone; `subject` names the column of subjects"));
        }
        let resamples = resamples(group, draws, seed);
        let all = Resample::all(group);
        let mut sets = Vec::new();
        for kind in kinds(over) {
            let mut set = Vec::with_capacity(draws);
            for (first, part) in (0_u64..).step_by(AT_A_TIME).zip(resamples.chunks(AT_A_TIME)) {
                if context.cancelled() {
                    return Err(Failure::stage("stopped before all resamples were evaluated"));
                }
                let numbered: Vec<(u64, &Resample)> = (first..).zip(part).collect();
                let found: Vec<Result<Vec<Vec<f64>>, Failure>> =
                    numbered.par_iter().map(|(number, both)| evaluate(&kind.of(both, &all), *number)).collect();
                for scores in found {
                    set.push(scores?);
                }
                let (done, total) = ((sets.len() * draws + set.len()) as u64, (kinds(over).len() * draws) as u64);
                context.progress(Progress { done, total, unit: "resamples".into(), note: String::new() });
            }
            sets.push(set);
        }
        Ok(Some(Self { over, stimuli: real(group.stimuli.len()), subjects: real(group.subjects.len()), sets }))
    }

    /// The standard error of what is computed of scores, such as a difference; `None` where fewer than two resamples have it, and where
    /// the resamples are so few that nothing of their variance is left without that of the folds.
    pub fn error(&self, of: impl Fn(&[f64]) -> f64) -> Option<RdmError> {
        let mut variances = Vec::new();
        let (mut draws, mut vary) = (usize::MAX, false);
        for set in &self.sets {
            let runs: Vec<Vec<f64>> = set.iter().map(|runs| runs.iter().map(|scores| of(scores)).collect()).collect();
            let defined: Vec<&Vec<f64>> =
                runs.iter().filter(|runs| runs.iter().all(|number| !number.is_nan())).collect();
            draws = draws.min(defined.len());
            variances.push(variance_without_folds(&defined)?);
            vary |= variance(&means(&defined))? > 0.0;
        }
        let (r, p) = (self.subjects / (self.subjects - 1.0), self.stimuli / (self.stimuli - 1.0));
        let (variance, freedom) = match (self.over, variances.as_slice()) {
            (BootstrapOver::Stimuli, [stimuli]) => (p * stimuli, self.stimuli),
            (BootstrapOver::Subjects, [subjects]) => (r * subjects, self.subjects),
            (_, [both, subjects, stimuli]) => {
                let corrected = r * subjects + p * stimuli - r * p * (both - subjects - stimuli);
                let least = (r * subjects).max(p * stimuli);
                (corrected.max(least).min(*both), self.subjects.min(self.stimuli))
            }
            _ => return None,
        };
        if vary && variance <= 0.0 {
            return None;
        }
        Some(RdmError { se: variance.max(0.0).sqrt(), freedom: freedom - 1.0, draws })
    }
}

/// What a set of resamples resamples.
#[derive(Clone, Copy, Debug)]
enum Factors {
    Both,
    Subjects,
    Stimuli,
}

impl Factors {
    fn of(self, both: &Resample, all: &Resample) -> Resample {
        match self {
            Self::Both => both.clone(),
            Self::Subjects => Resample { subjects: both.subjects.clone(), ..all.clone() },
            Self::Stimuli => Resample { stimuli: both.stimuli.clone(), ..all.clone() },
        }
    }
}

fn kinds(over: BootstrapOver) -> &'static [Factors] {
    match over {
        BootstrapOver::Stimuli => &[Factors::Stimuli],
        BootstrapOver::Subjects => &[Factors::Subjects],
        BootstrapOver::Both => &[Factors::Both, Factors::Subjects, Factors::Stimuli],
        BootstrapOver::Neither => &[],
    }
}

/// The same resamples for every measure, model and set.
fn resamples(group: &ComparisonGroup, draws: usize, seed: u64) -> Vec<Resample> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut one = || Resample {
        stimuli: resampled(&single_rows(group.stimuli.len()), &mut random),
        subjects: resampled(&single_rows(group.subjects.len()), &mut random),
    };
    (0..draws).map(|_| one()).collect()
}

/// The variance over resamples of the mean over infinitely many divisions into folds; `None` of fewer than two resamples.
fn variance_without_folds(resamples: &[&Vec<f64>]) -> Option<f64> {
    let runs = resamples.first()?.len();
    let of_mean = variance(&means(resamples))?;
    if runs < 2 {
        return Some(of_mean);
    }
    let single = |run: usize| variance(&resamples.iter().map(|runs| runs[run]).collect::<Vec<f64>>());
    let of_one = (0..runs).map(single).sum::<Option<f64>>()? / real(runs);
    Some(((real(runs) * of_mean - of_one) / (real(runs) - 1.0)).max(0.0))
}

/// By resample the mean over divisions into folds.
fn means(resamples: &[&Vec<f64>]) -> Vec<f64> {
    resamples.iter().map(|runs| runs.iter().sum::<f64>() / real(runs.len())).collect()
}

/// About the mean, over one less than there are.
fn variance(numbers: &[f64]) -> Option<f64> {
    if numbers.len() < 2 {
        return None;
    }
    let mean = numbers.iter().sum::<f64>() / real(numbers.len());
    Some(numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / (real(numbers.len()) - 1.0))
}

impl RdmError {
    /// From numbers of subjects themselves: the standard error of their mean. `None` of fewer than two.
    pub fn of_subjects(numbers: &[f64]) -> Option<Self> {
        let se = (variance(numbers)? / real(numbers.len())).sqrt();
        Some(Self { se, freedom: real(numbers.len()) - 1.0, draws: 0 })
    }

    /// The interval that has a share `level` of the distribution.
    pub fn interval(self, estimate: f64, level: f64) -> (f64, f64) {
        let half = self.se * quantile_of_tail((1.0 - level) / 2.0, self.freedom);
        (estimate - half, estimate + half)
    }

    /// The probability of an estimate as high if the truth is 0; none without an error.
    pub fn p_above(self, estimate: f64) -> Option<f64> {
        (self.se > 0.0).then(|| upper_tail(estimate / self.se, self.freedom))
    }

    /// The probability of an estimate as far from 0 if the truth is 0; none without an error.
    pub fn p_differs(self, estimate: f64) -> Option<f64> {
        (self.se > 0.0).then(|| both_tails(estimate / self.se, self.freedom))
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::Silent;

    use super::*;
    use crate::numeric::rdm_similarity::Similarity;
    use crate::rdm::comparison_scores::scores;
    use crate::rdm::comparison_scores::tests::{group, irregular};

    fn example(subjects: usize) -> ComparisonGroup {
        let data = (0..subjects).map(|at| irregular(45, 7 + u32::try_from(at).unwrap())).collect();
        group(10, data, vec![irregular(45, 1)])
    }

    fn run(group: &ComparisonGroup, over: BootstrapOver, seed: u64) -> Result<Option<Bootstrapped>, Failure> {
        let evaluate = |resample: &Resample, _| Ok(vec![scores(group, Similarity::Pearson, resample)]);
        Bootstrapped::run(group, over, 200, seed, &Silent, evaluate)
    }

    /// The mean of 1,000 numbers that are resampled has their standard deviation over the root of their number.
    #[test]
    fn resamples_of_subjects_have_the_standard_error_of_a_mean() {
        let group = example(6);
        let all = scores(&group, Similarity::Pearson, &Resample::all(&group))[0];
        let each = crate::rdm::comparison_scores::similarities(&group, Similarity::Pearson).remove(0);
        let expected = RdmError::of_subjects(&each).unwrap();
        let found = run(&group, BootstrapOver::Subjects, 3).unwrap().unwrap().error(|scores| scores[0]).unwrap();
        assert!((found.se / expected.se - 1.0).abs() < 0.15, "{found:?} {expected:?}");
        assert_eq!((found.freedom, found.draws), (5.0, 200));
        let (low, high) = found.interval(all, 0.95);
        // `scipy.stats.t.isf(0.025, 5)`.
        assert!(
            ((high - low) / 2.0 / found.se - 2.570_581_835_636_314).abs() < 1e-12
                && (low + high - 2.0 * all).abs() < 1e-12
        );
    }

    #[test]
    fn the_variance_of_both_lies_between_those_of_one_and_of_both_uncorrected() {
        let group = example(5);
        let both = run(&group, BootstrapOver::Both, 3).unwrap().unwrap();
        let corrected = both.error(|scores| scores[0]).unwrap();
        let single = |over| run(&group, over, 3).unwrap().unwrap().error(|scores: &[f64]| scores[0]).unwrap().se;
        let uncorrected = variance(&both.sets[0].iter().map(|runs| runs[0][0]).collect::<Vec<f64>>()).unwrap().sqrt();
        assert!(corrected.se <= uncorrected && corrected.freedom == 4.0, "{corrected:?} {uncorrected}");
        let larger = single(BootstrapOver::Stimuli).max(single(BootstrapOver::Subjects));
        assert!(corrected.se >= larger.min(uncorrected) - 1e-12, "{corrected:?} {larger}");
        // As texts, because resamples of one subject have no ceiling, and NaN is not equal to itself.
        let draws = |seed: u64| format!("{:?}", run(&group, BootstrapOver::Both, seed).unwrap().unwrap().sets[0]);
        assert_eq!(format!("{:?}", both.sets[0]), draws(3), "the seed decides");
        assert_ne!(draws(3), draws(4));
    }

    #[test]
    fn one_subject_is_not_resampled() {
        let group = example(1);
        let failure = run(&group, BootstrapOver::Both, 3).err().unwrap();
        assert!(failure.message.starts_with("there is one subject, `s0`"), "{failure}");
        let stimuli = run(&group, BootstrapOver::Stimuli, 3).unwrap().unwrap();
        assert!(stimuli.error(|scores| scores[0]).is_some());
        assert!(stimuli.error(|scores| scores[1]).is_none(), "there is no ceiling of one subject");
        assert!(run(&group, BootstrapOver::Neither, 3).unwrap().is_none());
    }

    /// By hand: means 2, 3, 7 have the variance 7; first runs 1, 3, 6 and second ones 3, 3, 8 the variances 19 / 3 and 25 / 3.
    #[test]
    fn what_folds_add_is_taken_off() {
        let resamples = [vec![1.0, 3.0], vec![3.0, 3.0], vec![6.0, 8.0]];
        let found = variance_without_folds(&resamples.iter().collect::<Vec<_>>()).unwrap();
        assert!((found - (2.0 * 7.0 - 22.0 / 3.0)).abs() < 1e-12, "{found}");
        assert_eq!(variance_without_folds(&[]), None);
        assert_eq!(variance_without_folds(&[&vec![1.0]]), None);
    }

    /// Divisions of a resample that have nothing in common, and resamples that are all the same.
    #[test]
    fn an_error_of_0_needs_scores_that_are_all_the_same() {
        let of = |set: Vec<Vec<Vec<f64>>>| {
            let found = Bootstrapped { over: BootstrapOver::Stimuli, stimuli: 9.0, subjects: 3.0, sets: vec![set] };
            found.error(|scores| scores[0]).map(|error| error.se)
        };
        let runs = |one: f64, other: f64| vec![vec![one], vec![other]];
        assert_eq!(of(vec![runs(1.0, 2.0), runs(2.0, 1.0), runs(1.0, 1.5)]), None);
        assert_eq!(of(vec![runs(1.0, 1.0), runs(1.0, 1.0)]), Some(0.0));
    }

    #[test]
    fn probabilities_need_an_error() {
        let error = RdmError { se: 0.5, freedom: 7.0, draws: 10 };
        assert_eq!(error.p_above(1.25), Some(upper_tail(2.5, 7.0)));
        assert_eq!(error.p_differs(-1.25), Some(both_tails(2.5, 7.0)));
        assert_eq!(RdmError { se: 0.0, ..error }.p_above(1.0), None);
    }
}
