//! How alike two RDMs are: the measures that representational similarity analysis compares them by, on all pairs of stimuli or on those
//! of a sample.
//!
//! A sample takes stimuli any number of times; a pair of different stimuli counts as often as both together are taken, and a pair of a
//! stimulus with itself is left out, because every model predicts its 0. Pairs that lack a number are left out of all RDMs. So a
//! resample is one weight a pair: nothing is copied, and ranks need no sorting ([`rank_correlation`](super::rank_correlation)).
//!
//! All measures but tau-a are cosines of vectors made of the numbers: as they are (cosine), less their mean (Pearson), their ranks less the
//! mean rank (Spearman), and with the inverse covariance of the numbers in the product (whitened, [`rdm_whitening`](super::rdm_whitening)).
//! Rho-a divides by what ranks without ties have (Schütt et al. 2023, eLife 12:e82566). An RDM whose vector is 0 has no similarity: NaN.
//!
//! The pooled RDM of subjects, from which noise ceilings come, is the mean of their numbers divided by their root mean square (cosine), of
//! z-scores (Pearson), or of ranks: it is the RDM that is most like all of them, exactly for these, nearly for tau-a and for whitened
//! measures, for which rsatoolbox 0.3.2 pools in the same way.

use super::rank_correlation::{Ranking, ascending, rank_squares, tau_a};
use super::rdm_whitening::{WhitenedRdm, WhiteningForm};

/// A measure of how alike two RDMs are; 1 at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Similarity {
    /// The correlation of the numbers.
    Pearson,
    /// The correlation of their ranks.
    Spearman,
    /// Kendall's tau-a: pairs of pairs that are ordered alike, less those that are ordered oppositely.
    TauA,
    /// Spearman's without a correction for ties: what tau-a is in expectation where ties are broken by chance, at the cost of a sort.
    RhoA,
    /// The cosine of the numbers, for which 0 means that two stimuli are not different.
    Cosine,
    /// Pearson's weighted by the inverse covariance of the numbers.
    WhitenedPearson,
    /// The cosine weighted by the inverse covariance of the numbers.
    WhitenedCosine,
}

impl Similarity {
    /// Whether it takes no more from numbers than their order.
    pub fn is_of_ranks(self) -> bool {
        matches!(self, Self::Spearman | Self::TauA | Self::RhoA)
    }

    /// Whether numbers are weighted by their inverse covariance.
    pub fn is_whitened(self) -> bool {
        matches!(self, Self::WhitenedPearson | Self::WhitenedCosine)
    }

    fn is_centred(self) -> bool {
        matches!(self, Self::Pearson | Self::WhitenedPearson)
    }
}

/// An RDM and, where a measure needs it, the order of its numbers.
#[derive(Clone, Debug)]
pub struct OrderedRdm {
    numbers: Vec<f64>,
    order: Vec<u32>,
}

impl OrderedRdm {
    /// Of an upper triangle by rows.
    pub fn new(numbers: Vec<f64>) -> Self {
        let order = ascending(&numbers);
        Self { numbers, order }
    }

    /// Whether some number is below 0, as noise makes them where the true dissimilarity is 0 and the estimate without bias.
    pub fn has_negative(&self) -> bool {
        self.numbers.iter().any(|number| *number < 0.0)
    }

    /// The same RDM with its stimuli in another order: pair `at` becomes what pair `pairs[at]` is.
    ///
    /// # Panics
    /// `pairs` are not all pairs, each once.
    pub fn permuted(&self, pairs: &[u32]) -> Self {
        let numbers = pairs.iter().map(|from| self.numbers[*from as usize]).collect();
        let mut place = vec![0; pairs.len()];
        for (at, from) in (0..).zip(pairs) {
            place[*from as usize] = at;
        }
        Self { numbers, order: self.order.iter().map(|from| place[*from as usize]).collect() }
    }
}

/// Pairs of stimuli, each with a weight.
#[derive(Clone, Debug)]
pub struct PairSample {
    of: Similarity,
    /// Places of the pairs in the triangle of all stimuli, ascending.
    pairs: Vec<u32>,
    /// By place in that triangle, the place in `pairs`, or [`ABSENT`].
    places: Vec<u32>,
    /// How often each pair is in the sample.
    weights: Vec<f64>,
    /// How many pairs with copies.
    size: f64,
    form: Option<WhiteningForm>,
}

const ABSENT: u32 = u32::MAX;

/// An RDM on the pairs of a sample, ready to be compared by the measure of the sample.
#[derive(Clone, Debug)]
pub struct SampledRdm {
    /// The vector whose cosines are taken; of whitened measures before the weighting.
    vector: Vec<f64>,
    /// Its length in the product of the measure.
    length: f64,
    /// Its length in the plain product.
    plain: f64,
    ranking: Option<Ranking>,
    whitened: Option<WhitenedRdm>,
}

impl PairSample {
    /// Of stimuli that are taken so often each, and of the pairs (an upper triangle by rows) that have a number in all RDMs. `None` where
    /// fewer than three stimuli are taken or fewer than two pairs have a number.
    ///
    /// # Panics
    /// `present` are not the pairs of as many stimuli.
    pub fn new(of: Similarity, times: &[u32], present: &[bool]) -> Option<Self> {
        let taken: Vec<usize> = (0..times.len()).filter(|at| times[*at] > 0).collect();
        let mut sample = Self {
            of,
            pairs: Vec::new(),
            places: vec![ABSENT; present.len()],
            weights: Vec::new(),
            size: 0.0,
            form: None,
        };
        let (mut ends, mut missing) = (Vec::new(), Vec::new());
        let stimuli = times.len();
        for (first, one) in (0_u32..).zip(&taken) {
            // The pairs of a stimulus with those after it lie together.
            let begin = one * (2 * stimuli - one - 1) / 2;
            for (second, other) in (first + 1..).zip(&taken[first as usize + 1..]) {
                let pair = begin + other - one - 1;
                if !present[pair] {
                    missing.push([first, second]);
                    continue;
                }
                sample.places[pair] = u32::try_from(sample.pairs.len()).ok()?;
                sample.pairs.push(u32::try_from(pair).ok()?);
                sample.weights.push(f64::from(times[*one]) * f64::from(times[*other]));
                ends.push([first, second]);
            }
        }
        sample.size = sample.weights.iter().sum();
        if taken.len() < 3 || sample.pairs.len() < 2 {
            return None;
        }
        if of.is_whitened() {
            let times: Vec<u32> = taken.iter().map(|at| times[*at]).collect();
            sample.form = Some(WhiteningForm::new(&times, ends, &missing)?);
        }
        Some(sample)
    }

    /// How many different pairs it has.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Never: a sample has at least two pairs.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// How many pairs it has, counted as often as they are taken.
    pub fn size(&self) -> f64 {
        self.size
    }

    /// Its pairs of an RDM of all stimuli.
    pub fn of(&self, rdm: &OrderedRdm) -> SampledRdm {
        let numbers: Vec<f64> = self.pairs.iter().map(|pair| rdm.numbers[*pair as usize]).collect();
        if !self.of.is_of_ranks() {
            return self.prepared(numbers);
        }
        let order = rdm.order.iter().map(|pair| self.places[*pair as usize]).filter(|place| *place != ABSENT);
        let ranking = Ranking::in_order(&numbers, order.collect());
        self.ranked(ranking)
    }

    /// An RDM that has these numbers at its pairs.
    ///
    /// # Panics
    /// There are not as many numbers as pairs.
    pub fn of_numbers(&self, numbers: Vec<f64>) -> SampledRdm {
        assert_eq!(numbers.len(), self.pairs.len(), "a number a pair");
        if self.of.is_of_ranks() { self.ranked(Ranking::of(&numbers)) } else { self.prepared(numbers) }
    }

    fn ranked(&self, ranking: Ranking) -> SampledRdm {
        let middle = f64::midpoint(1.0, self.size);
        let vector: Vec<f64> = ranking.midranks(&self.weights).into_iter().map(|rank| rank - middle).collect();
        let length = self.dot(&vector, &vector).sqrt();
        let ranking = (self.of == Similarity::TauA).then_some(ranking);
        SampledRdm { vector, length, plain: length, ranking, whitened: None }
    }

    fn prepared(&self, numbers: Vec<f64>) -> SampledRdm {
        let raw = self.dot(&numbers, &numbers);
        let mean = self.weights.iter().zip(&numbers).map(|(w, x)| w * x).sum::<f64>() / self.size;
        let vector: Vec<f64> =
            if self.of.is_centred() { numbers.iter().map(|number| number - mean).collect() } else { numbers };
        // What is left of equal numbers is rounding.
        let defined = |square: f64| if square > LEAST_SQUARE * raw { square.sqrt() } else { 0.0 };
        let plain = defined(self.dot(&vector, &vector));
        let whitened = self.form.as_ref().map(|form| form.prepared(vector.clone()));
        let length = match (&self.form, &whitened) {
            (Some(form), Some(rdm)) => defined(form.product(rdm, rdm)),
            _ => plain,
        };
        SampledRdm { vector, length, plain, ranking: None, whitened }
    }

    fn dot(&self, one: &[f64], other: &[f64]) -> f64 {
        self.weights.iter().zip(one).zip(other).map(|((w, a), b)| w * a * b).sum()
    }

    /// The product whose cosine the measure is; for tau-a that of ranks.
    pub fn product(&self, one: &SampledRdm, other: &SampledRdm) -> f64 {
        match (&self.form, &one.whitened, &other.whitened) {
            (Some(form), Some(one), Some(other)) => form.product(one, other),
            _ => self.dot(&one.vector, &other.vector),
        }
    }

    /// How alike two RDMs are; NaN where one of them is constant and the measure has no answer.
    pub fn similarity(&self, one: &SampledRdm, other: &SampledRdm) -> f64 {
        match (&one.ranking, &other.ranking) {
            (Some(one), Some(other)) => tau_a(one, other, &self.weights),
            _ if self.of == Similarity::RhoA => self.product(one, other) / rank_squares(self.size),
            _ => {
                let lengths = one.length * other.length;
                if lengths > 0.0 { self.product(one, other) / lengths } else { f64::NAN }
            }
        }
    }

    /// An RDM as it goes into a pooled one.
    pub fn poolable(&self, rdm: &SampledRdm) -> Vec<f64> {
        if self.of.is_of_ranks() {
            // Whole numbers and halves: their sums are exact, so that equal means of ranks stay equal.
            return rdm.vector.clone();
        }
        let scale = rdm.plain / self.size.sqrt();
        rdm.vector.iter().map(|number| number / scale).collect()
    }

    /// A combination of RDMs, of their ranks where the measure takes no more from them.
    ///
    /// # Panics
    /// There are not as many weights as RDMs.
    pub fn combined(&self, rdms: &[&SampledRdm], weights: &[f64]) -> SampledRdm {
        assert_eq!(rdms.len(), weights.len(), "a weight an RDM");
        let mut numbers = vec![0.0; self.pairs.len()];
        for (rdm, weight) in rdms.iter().zip(weights) {
            numbers.iter_mut().zip(&rdm.vector).for_each(|(sum, number)| *sum += weight * number);
        }
        self.of_numbers(numbers)
    }
}

/// A square below this share of what it was before the mean was taken off is rounding.
const LEAST_SQUARE: f64 = 1e-24;

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURES: [Similarity; 7] = [
        Similarity::Pearson,
        Similarity::Spearman,
        Similarity::TauA,
        Similarity::RhoA,
        Similarity::Cosine,
        Similarity::WhitenedPearson,
        Similarity::WhitenedCosine,
    ];

    const D: [f64; 10] = [1.0, 2.0, 3.0, 4.0, 1.5, 2.5, 0.5, 3.5, 2.5, 2.0];
    const E: [f64; 10] = [2.0, 1.0, 3.5, 2.0, 0.5, 1.5, 2.5, 3.0, 0.25, 1.75];

    fn between(of: Similarity, times: &[u32], present: &[bool]) -> f64 {
        let sample = PairSample::new(of, times, present).unwrap();
        let rdm = |numbers: &[f64]| sample.of(&OrderedRdm::new(numbers.to_vec()));
        sample.similarity(&rdm(&D), &rdm(&E))
    }

    /// `rsatoolbox.rdm.compare(d, e, method)` 0.3.2 with the methods corr, spearman, tau-a, rho-a, cosine, corr_cov, cosine_cov; of all
    /// stimuli, and of `subsample_pattern('index', [0, 0, 0, 1, 2, 2, 3, 4, 4])`; `stages/tests/fixtures/rsa/similarities.py`.
    #[test]
    fn similarities_are_those_of_rsatoolbox() {
        for (times, all) in [
            (
                [1, 1, 1, 1, 1],
                [
                    0.233_643_842_273_901_36,
                    0.232_416_988_925_045_18,
                    4.0 / 45.0,
                    0.230_303_030_303_030_3,
                    0.844_075_179_123_204_2,
                    0.123_115_698_238_505_86,
                    0.593_793_717_227_213_3,
                ],
            ),
            (
                [3, 1, 2, 1, 2],
                [
                    0.246_060_247_386_325_3,
                    0.251_120_862_881_703_8,
                    0.092_473_118_279_569_89,
                    0.242_943_548_387_096_75,
                    0.843_598_524_392_687_7,
                    0.200_992_464_673_263_2,
                    0.593_178_678_539_453_5,
                ],
            ),
        ] {
            for (of, expected) in MEASURES.into_iter().zip(all) {
                let found = between(of, &times, &[true; 10]);
                assert!((found - expected).abs() < 1e-12, "{of:?} {times:?}: {found}, not {expected}");
            }
        }
    }

    /// A resample is as if stimuli were listed so often.
    #[test]
    fn stimuli_that_are_left_out_and_pairs_without_a_number_change_nothing_else() {
        for of in MEASURES {
            // Stimulus 4 has the last pairs of 0 to 3: without it 6 pairs are left.
            let kept = [0, 1, 2, 4, 5, 7];
            let small = PairSample::new(of, &[2, 1, 1, 1], &[true; 6]).unwrap();
            let rdm = |numbers: &[f64]| small.of(&OrderedRdm::new(kept.iter().map(|at| numbers[*at]).collect()));
            let expected = small.similarity(&rdm(&D), &rdm(&E));
            let found = between(of, &[2, 1, 1, 1, 0], &[true; 10]);
            assert!((found - expected).abs() < 1e-14, "{of:?}: {found} {expected}");
            let mut present = [true; 10];
            for pair in [3, 6, 8, 9] {
                present[pair] = false;
            }
            let found = between(of, &[2, 1, 1, 1, 1], &present);
            assert!((found - expected).abs() < 1e-12, "{of:?}: {found} {expected}");
        }
    }

    #[test]
    fn permuted_stimuli_are_sorted_again() {
        // Stimuli 1 and 0 exchanged: pairs 0-2, 0-3, 0-4 become 1-2, 1-3, 1-4.
        let pairs = [0, 4, 5, 6, 1, 2, 3, 7, 8, 9];
        let permuted = OrderedRdm::new(D.to_vec()).permuted(&pairs);
        let again = OrderedRdm::new(pairs.iter().map(|at| D[*at as usize]).collect());
        assert_eq!(permuted.numbers, again.numbers);
        for of in MEASURES {
            let sample = PairSample::new(of, &[1; 5], &[true; 10]).unwrap();
            let other = sample.of(&OrderedRdm::new(E.to_vec()));
            let [one, two] = [&permuted, &again].map(|rdm| sample.similarity(&sample.of(rdm), &other));
            assert_eq!(one, two, "{of:?}");
        }
    }

    #[test]
    fn constant_rdms_have_a_similarity_only_where_ties_count() {
        for of in MEASURES {
            let sample = PairSample::new(of, &[1; 5], &[true; 10]).unwrap();
            let (flat, other) = (sample.of_numbers(vec![0.3; 10]), sample.of_numbers(E.to_vec()));
            let found = sample.similarity(&flat, &other);
            match of {
                Similarity::TauA | Similarity::RhoA => assert_eq!(found, 0.0),
                Similarity::Cosine | Similarity::WhitenedCosine => assert!(found > 0.5),
                _ => assert!(found.is_nan(), "{of:?}: {found}"),
            }
            let untied = sample.of_numbers((1..=10).map(f64::from).collect());
            let own = sample.similarity(&untied, &untied);
            assert!((own - 1.0).abs() < 1e-12, "{of:?}: {own}");
            assert!(PairSample::new(of, &[2, 1, 0, 0, 0], &[true; 10]).is_none());
        }
    }
}
