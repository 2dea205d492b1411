//! Weighted combinations of models, fitted on some stimuli and compared with the data on others.
//!
//! Stimuli are divided into folds at random; weights are fitted on the pairs of the stimuli outside of a fold and scored on the pairs
//! within it, so that no stimulus has a part in both. Pairs between the two are left out. A stimulus that a resample takes twice is in one
//! fold.
//!
//! A fit is least squares in the product of the measure (of the numbers, of their ranks, of numbers less their mean, weighted by their
//! inverse covariance) to the RDMs of all subjects, each divided by its length, which is the combination that is most like all of them as
//! far as the measure is a cosine. Tau-a takes the fit of ranks. Every set of models is solved from the same products. A single model has
//! no weight: it is scored as it is, on the same pairs.
//!
//! For the parts of variance every RDM of the data is fitted by itself, so that R2 is 1 - squared errors / squares about the mean on the
//! pairs within folds (about 0 where the measure takes no mean off), and the lattice divides it among the models
//! ([`subset_lattice`](crate::numeric::subset_lattice)).

use pipe_contract::{Failure, choice};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::comparison_inputs::ComparisonGroup;
use super::comparison_scores::{Resample, SampledGroup};
use crate::numeric::counts::real;
use crate::numeric::linear_algebra::principal_part;
use crate::numeric::random_rows::{shuffled, single_rows};
use crate::numeric::rdm_similarity::{SampledRdm, Similarity};
use crate::numeric::small_least_squares::{least_squares, nonnegative_least_squares};

choice! {
    /// Which weights a model may have.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum ModelWeights {
        /// 0 or more: a model does not predict the opposite of what it says.
        Nonnegative = "nonnegative",
        /// Any.
        Linear = "linear",
    }
}

/// What is fitted, and how.
#[derive(Clone, Debug)]
pub(super) struct Combinations<'a> {
    pub group: &'a ComparisonGroup,
    pub of: Similarity,
    pub weights: ModelWeights,
    /// How many folds.
    pub folds: usize,
    /// Places of models, ascending, in each set.
    pub sets: Vec<Vec<usize>>,
}

/// A fold.
struct FoldPair {
    train: SampledGroup,
    train_models: Vec<SampledRdm>,
    test: SampledGroup,
    test_models: Vec<SampledRdm>,
}

impl Combinations<'_> {
    /// By set the mean score over folds, then the two ends of the noise ceiling on the same pairs. A fit in which no model has a weight
    /// predicts nothing and scores 0. All NaN where a fold of a resample has
    /// too few stimuli.
    ///
    /// # Errors
    /// Stage: a fit does not converge.
    pub fn scores(&self, resample: &Resample, seed: u64) -> Result<Vec<f64>, Failure> {
        let mut sums = vec![0.0; self.sets.len() + 2];
        for stimuli in self.divided(resample, seed) {
            let Some(fold) = self.fold(resample, &stimuli) else { return Ok(vec![f64::NAN; sums.len()]) };
            let (gram, moments) = (fold.gram(), fold.pooled_moments());
            for (set, sum) in self.sets.iter().zip(&mut sums) {
                let weights = self.fit(&gram, &moments, set, true)?;
                if weights.iter().any(|weight| *weight != 0.0) {
                    let models: Vec<&SampledRdm> = set.iter().map(|model| &fold.test_models[*model]).collect();
                    *sum += fold.test.score(&fold.test.sample.combined(&models, &weights)) / real(self.folds);
                }
            }
            let ceiling = fold.test.ceiling();
            sums[self.sets.len()] += ceiling.low / real(self.folds);
            sums[self.sets.len() + 1] += ceiling.high / real(self.folds);
        }
        Ok(sums)
    }

    /// By fold the weights of a set; none where a fold has too few stimuli.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn fitted_weights(&self, set: &[usize], seed: u64) -> Result<Vec<Vec<f64>>, Failure> {
        let all = Resample::all(self.group);
        let mut found = Vec::with_capacity(self.folds);
        for stimuli in self.divided(&all, seed) {
            let Some(fold) = self.fold(&all, &stimuli) else { return Ok(Vec::new()) };
            found.push(self.fit(&fold.gram(), &fold.pooled_moments(), set, false)?);
        }
        Ok(found)
    }

    /// By RDM of the data, the R2 of each set; NaN where a fold has too few stimuli.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn r2(&self, seed: u64) -> Result<Vec<Vec<f64>>, Failure> {
        let all = Resample::all(self.group);
        let mut errors = vec![vec![0.0; self.sets.len()]; self.group.data.len()];
        let mut totals = vec![0.0; self.group.data.len()];
        for stimuli in self.divided(&all, seed) {
            let Some(fold) = self.fold(&all, &stimuli) else {
                return Ok(vec![vec![f64::NAN; self.sets.len()]; self.group.data.len()]);
            };
            let (gram, test_gram) = (fold.gram(), gram_of(&fold.test, &fold.test_models));
            for (rdm, (errors, total)) in errors.iter_mut().zip(&mut totals).enumerate() {
                let moments = moments_of(&fold.train, &fold.train_models, rdm);
                let test_moments = moments_of(&fold.test, &fold.test_models, rdm);
                let own = fold.test.sample.product(&fold.test.data[rdm].rdm, &fold.test.data[rdm].rdm);
                *total += own;
                for (set, error) in self.sets.iter().zip(errors.iter_mut()) {
                    let weights = self.fit(&gram, &moments, set, false)?;
                    *error += own + change_of_error(&test_gram, &test_moments, set, &weights);
                }
            }
        }
        let r2 = |(errors, total): (&Vec<f64>, &f64)| errors.iter().map(|error| 1.0 - error / total).collect();
        Ok(errors.iter().zip(&totals).map(r2).collect())
    }

    /// By fold, whether each stimulus is in it. Stimuli that a resample does not take are in none.
    fn divided(&self, resample: &Resample, seed: u64) -> Vec<Vec<bool>> {
        let taken: Vec<usize> = (0..resample.stimuli.len()).filter(|at| resample.stimuli[*at] > 0).collect();
        let order = shuffled(&single_rows(taken.len()), &mut ChaCha8Rng::seed_from_u64(seed));
        let mut folds = vec![vec![false; resample.stimuli.len()]; self.folds];
        for (place, at) in order.into_iter().enumerate() {
            folds[place % self.folds][taken[at]] = true;
        }
        folds
    }

    fn fold(&self, resample: &Resample, within: &[bool]) -> Option<FoldPair> {
        let part = |inside: bool| {
            let times = resample.stimuli.iter().zip(within).map(|(times, is)| if *is == inside { *times } else { 0 });
            Resample { stimuli: times.collect(), subjects: resample.subjects.clone() }
        };
        let train = SampledGroup::new(self.group, self.of, &part(false))?;
        let test = SampledGroup::new(self.group, self.of, &part(true))?;
        let (train_models, test_models) = (train.models(self.group), test.models(self.group));
        Some(FoldPair { train, train_models, test, test_models })
    }

    /// The weights of a set; 1 for a single model that is scored as it is.
    fn fit(&self, gram: &[f64], moments: &[f64], set: &[usize], single_as_is: bool) -> Result<Vec<f64>, Failure> {
        if single_as_is && set.len() == 1 {
            return Ok(vec![1.0]);
        }
        let part = principal_part(gram, moments.len(), set);
        let moments: Vec<f64> = set.iter().map(|model| moments[*model]).collect();
        match self.weights {
            ModelWeights::Nonnegative => nonnegative_least_squares(&part, &moments),
            ModelWeights::Linear => least_squares(&part, &moments),
        }
    }
}

impl FoldPair {
    fn gram(&self) -> Vec<f64> {
        gram_of(&self.train, &self.train_models)
    }

    fn pooled_moments(&self) -> Vec<f64> {
        pooled_moments(&self.train, &self.train_models)
    }
}

/// Products of models with the RDMs of all subjects, each divided by its length. An RDM of length 0 has no direction and adds nothing.
pub(super) fn pooled_moments(sampled: &SampledGroup, models: &[SampledRdm]) -> Vec<f64> {
    let mut sums = vec![0.0; models.len()];
    for own in &sampled.data {
        let length = sampled.sample.product(&own.rdm, &own.rdm).max(0.0).sqrt();
        if length > 0.0 {
            for (sum, model) in sums.iter_mut().zip(models) {
                *sum += own.weight * sampled.sample.product(model, &own.rdm) / length;
            }
        }
    }
    sums
}

/// Products of models with each other.
pub(super) fn gram_of(sampled: &SampledGroup, models: &[SampledRdm]) -> Vec<f64> {
    models.iter().flat_map(|one| models.iter().map(|other| sampled.sample.product(one, other))).collect()
}

/// Products of models with an RDM of the data.
fn moments_of(sampled: &SampledGroup, models: &[SampledRdm], rdm: usize) -> Vec<f64> {
    models.iter().map(|model| sampled.sample.product(model, &sampled.data[rdm].rdm)).collect()
}

/// By how much the squared error of a combination differs from that of 0: `w^T G w - 2 w^T m`.
fn change_of_error(gram: &[f64], moments: &[f64], set: &[usize], weights: &[f64]) -> f64 {
    let mut change = 0.0;
    for (one, weight) in set.iter().zip(weights) {
        let row: f64 = set.iter().zip(weights).map(|(other, weight)| weight * gram[one * moments.len() + other]).sum();
        change += weight * (row - 2.0 * moments[*one]);
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdm::comparison_scores::tests::{group, irregular};

    const STIMULI: usize = 20;
    const PAIRS: usize = STIMULI * (STIMULI - 1) / 2;

    const MEASURES: [Similarity; 7] = [
        Similarity::Pearson,
        Similarity::Spearman,
        Similarity::TauA,
        Similarity::RhoA,
        Similarity::Cosine,
        Similarity::WhitenedPearson,
        Similarity::WhitenedCosine,
    ];

    /// Data that are 2 times the first model and once the second; the third has nothing to do with them.
    fn example(noise: f64) -> ComparisonGroup {
        let models: Vec<Vec<f64>> = (1..4).map(|seed| irregular(PAIRS, seed * 1000)).collect();
        let data = |seed: u32| -> Vec<f64> {
            let noisy = models[0].iter().zip(&models[1]).zip(irregular(PAIRS, seed));
            noisy.map(|((a, b), own)| 2.0 * a + b + noise * own).collect()
        };
        let data = (0..3).map(|subject| data(50 + subject)).collect();
        group(STIMULI, data, models)
    }

    fn combinations(group: &ComparisonGroup, of: Similarity, weights: ModelWeights) -> Combinations<'_> {
        let sets = vec![vec![0], vec![1], vec![2], vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 1, 2]];
        Combinations { group, of, weights, folds: 4, sets }
    }

    #[test]
    fn the_true_combination_is_found() {
        let group = example(0.0);
        for weights in [ModelWeights::Linear, ModelWeights::Nonnegative] {
            for of in [Similarity::Pearson, Similarity::Cosine, Similarity::WhitenedCosine, Similarity::WhitenedPearson]
            {
                let fitted = combinations(&group, of, weights);
                let scores = fitted.scores(&Resample::all(&group), 3).unwrap();
                assert!((scores[3] - 1.0).abs() < 1e-9 && (scores[6] - 1.0).abs() < 1e-9, "{of:?} {scores:?}");
                assert!(
                    (scores[7] - 1.0).abs() < 1e-9 && scores[0] < 0.99 && scores[2] < scores[3],
                    "{of:?} {scores:?}"
                );
                for weights in fitted.fitted_weights(&[0, 1, 2], 3).unwrap() {
                    assert!(
                        (weights[0] / weights[1] - 2.0).abs() < 1e-6 && weights[2].abs() < 1e-9,
                        "{of:?} {weights:?}"
                    );
                }
                for r2 in fitted.r2(3).unwrap() {
                    assert!((r2[3] - 1.0).abs() < 1e-9 && (r2[6] - 1.0).abs() < 1e-9 && r2[2] < 0.9, "{of:?} {r2:?}");
                }
            }
        }
    }

    #[test]
    fn combinations_do_better_than_their_parts_by_every_measure() {
        let group = example(0.3);
        for of in MEASURES {
            let scores = combinations(&group, of, ModelWeights::Nonnegative).scores(&Resample::all(&group), 3).unwrap();
            assert!(scores[3] > scores[0] && scores[3] > scores[1], "{of:?} {scores:?}");
            assert!(scores[6] <= scores[8], "{of:?}: above what any model can reach, {scores:?}");
        }
    }

    #[test]
    fn models_of_the_opposite_predict_nothing_together() {
        let models: Vec<Vec<f64>> = (1..3).map(|seed| irregular(PAIRS, seed * 1000)).collect();
        let opposite: Vec<f64> = models[0].iter().zip(&models[1]).map(|(a, b)| 3.0 - a - b).collect();
        let group = group(STIMULI, vec![opposite.clone(), opposite], models);
        for of in [Similarity::Pearson, Similarity::Spearman, Similarity::TauA] {
            let sets = vec![vec![0], vec![0, 1]];
            let fitted = Combinations { group: &group, of, weights: ModelWeights::Nonnegative, folds: 4, sets };
            let scores = fitted.scores(&Resample::all(&group), 3).unwrap();
            assert!(scores[0] < -0.1 && scores[1] == 0.0, "a single model is scored as it is: {scores:?}");
            let linear = Combinations { weights: ModelWeights::Linear, ..fitted };
            assert!(linear.scores(&Resample::all(&group), 3).unwrap()[1] > 0.5, "with any weights they predict it");
        }
    }

    #[test]
    fn folds_share_no_stimulus_and_copies_stay_together() {
        let group = example(0.3);
        let fitted = combinations(&group, Similarity::RhoA, ModelWeights::Linear);
        let mut times = vec![1; STIMULI];
        (times[3], times[4]) = (3, 0);
        let folds = fitted.divided(&Resample { stimuli: times, subjects: vec![1; 3] }, 9);
        for stimulus in 0..STIMULI {
            let count = folds.iter().filter(|fold| fold[stimulus]).count();
            assert_eq!(count, usize::from(stimulus != 4));
        }
        let sizes: Vec<usize> = folds.iter().map(|fold| fold.iter().filter(|is| **is).count()).collect();
        assert_eq!(sizes, [5, 5, 5, 4]);
        // Two stimuli in a fold are one pair.
        let few = Combinations { folds: 10, ..fitted };
        assert!(few.scores(&Resample::all(&group), 3).unwrap().iter().all(|score| score.is_nan()));
        assert!(few.r2(3).unwrap()[0][0].is_nan() && few.fitted_weights(&[0], 3).unwrap().is_empty());
    }
}
