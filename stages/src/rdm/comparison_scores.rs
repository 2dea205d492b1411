//! How well models do and how well any could: mean similarity with the RDMs of subjects, and the noise ceiling, of all stimuli and subjects
//! or of a resample.
//!
//! The ceiling is that of Nili et al. (2014), PLoS Computational Biology 10:e1003553: a model that is the mean of all subjects' RDMs
//! (pooled as the measure needs) is most like all of them, which bounds what any model can reach from above; one that is the mean of all
//! others but the subject it is compared with does as well as a true model would be expected to, from below. A subject that is taken twice
//! by a resample is left out whole. One subject has no ceiling: NaN.

use super::comparison_inputs::ComparisonGroup;
use crate::numeric::rdm_similarity::{OrderedRdm, PairSample, SampledRdm, Similarity};

/// How often each stimulus and each subject is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resample {
    pub stimuli: Vec<u32>,
    pub subjects: Vec<u32>,
}

impl Resample {
    /// All, once.
    pub fn all(group: &ComparisonGroup) -> Self {
        Self { stimuli: vec![1; group.stimuli.len()], subjects: vec![1; group.subjects.len()] }
    }
}

/// RDMs on the pairs of a sample.
pub(super) struct SampledGroup {
    pub sample: PairSample,
    pub data: Vec<SampledData>,
}

/// The RDM of a subject on the pairs of a sample.
pub(super) struct SampledData {
    pub subject: usize,
    /// How much it counts.
    pub weight: f64,
    pub rdm: SampledRdm,
}

/// What the noise leaves to any model.
#[derive(Clone, Copy, Debug)]
pub(super) struct RdmCeiling {
    /// What a true model is expected to reach.
    pub low: f64,
    /// What no model exceeds.
    pub high: f64,
}

impl SampledGroup {
    /// `None` where a resample has too few stimuli, or no subject.
    pub fn new(group: &ComparisonGroup, of: Similarity, resample: &Resample) -> Option<Self> {
        let sample = PairSample::new(of, &resample.stimuli, &group.present)?;
        let taken = group.data.iter().filter(|rdm| resample.subjects[rdm.subject] > 0);
        let data: Vec<SampledData> = taken
            .map(|rdm| SampledData {
                subject: rdm.subject,
                weight: rdm.share * f64::from(resample.subjects[rdm.subject]),
                rdm: sample.of(&rdm.rdm),
            })
            .collect();
        (!data.is_empty()).then_some(Self { sample, data })
    }

    /// Models on the pairs of the sample.
    pub fn models(&self, group: &ComparisonGroup) -> Vec<SampledRdm> {
        group.models.iter().map(|(_, rdm)| self.sample.of(rdm)).collect()
    }

    /// The mean similarity of a model with the RDMs of subjects.
    pub fn score(&self, model: &SampledRdm) -> f64 {
        self.score_of(model, |_| true)
    }

    /// The same over the RDMs of some subjects.
    fn score_of(&self, model: &SampledRdm, is: impl Fn(usize) -> bool) -> f64 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for own in self.data.iter().filter(|own| is(own.subject)) {
            sum += own.weight * self.sample.similarity(model, &own.rdm);
            weights += own.weight;
        }
        sum / weights
    }

    /// The noise ceiling; NaN of fewer than two subjects.
    pub fn ceiling(&self) -> RdmCeiling {
        let mut subjects: Vec<usize> = self.data.iter().map(|own| own.subject).collect();
        subjects.sort_unstable();
        subjects.dedup();
        if subjects.len() < 2 {
            return RdmCeiling { low: f64::NAN, high: f64::NAN };
        }
        let parts: Vec<Vec<f64>> = self.data.iter().map(|own| self.sample.poolable(&own.rdm)).collect();
        let pooled = |is: &dyn Fn(usize) -> bool| {
            let mut sum = vec![0.0; self.sample.len()];
            for (own, part) in self.data.iter().zip(&parts).filter(|(own, _)| is(own.subject)) {
                sum.iter_mut().zip(part).for_each(|(sum, number)| *sum += own.weight * number);
            }
            sum
        };
        let all = pooled(&|_| true);
        let (mut low, mut weights) = (0.0, 0.0);
        for subject in subjects {
            let own = pooled(&|other| other == subject);
            // A mean without the number by which it is divided, which no measure depends on.
            let others = all.iter().zip(&own).map(|(all, own)| all - own).collect();
            let of_subject: f64 = self.data.iter().filter(|own| own.subject == subject).map(|own| own.weight).sum();
            low += of_subject * self.score_of(&self.sample.of_numbers(others), |other| other == subject);
            weights += of_subject;
        }
        RdmCeiling { low: low / weights, high: self.score(&self.sample.of_numbers(all)) }
    }
}

/// By model the mean similarity, then the lower and the upper end of the noise ceiling; all NaN where a resample has too few stimuli.
pub(super) fn scores(group: &ComparisonGroup, of: Similarity, resample: &Resample) -> Vec<f64> {
    let Some(sampled) = SampledGroup::new(group, of, resample) else {
        return vec![f64::NAN; group.models.len() + 2];
    };
    let mut scores: Vec<f64> = sampled.models(group).iter().map(|model| sampled.score(model)).collect();
    let ceiling = sampled.ceiling();
    scores.extend([ceiling.low, ceiling.high]);
    scores
}

/// By model, how alike it is to each RDM of the data; none where there are too few stimuli.
pub(super) fn similarities(group: &ComparisonGroup, of: Similarity) -> Vec<Vec<f64>> {
    let Some(sampled) = SampledGroup::new(group, of, &Resample::all(group)) else { return Vec::new() };
    let with_all =
        |model: SampledRdm| sampled.data.iter().map(|own| sampled.sample.similarity(&model, &own.rdm)).collect();
    sampled.models(group).into_iter().map(with_all).collect()
}

/// The mean similarity of models that are given on all stimuli, in an order of their own.
pub(super) fn scores_of(sampled: &SampledGroup, models: &[OrderedRdm]) -> Vec<f64> {
    models.iter().map(|model| sampled.score(&sampled.sample.of(model))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rdm::comparison_inputs::SubjectRdm;

    /// Numbers without a pattern, between 0 and 1.
    pub fn irregular(count: usize, seed: u32) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / 16_777_216.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// A group of subjects with one RDM each.
    pub fn group(stimuli: usize, data: Vec<Vec<f64>>, models: Vec<Vec<f64>>) -> ComparisonGroup {
        let names = |prefix: &str, count: usize| (0..count).map(|at| format!("{prefix}{at}")).collect::<Vec<String>>();
        ComparisonGroup {
            name: String::new(),
            stimuli: names("x", stimuli),
            present: vec![true; stimuli * (stimuli - 1) / 2],
            models_complete: true,
            subjects: names("s", data.len()),
            data: data
                .into_iter()
                .enumerate()
                .map(|(subject, numbers)| SubjectRdm {
                    id: format!("s{subject}"),
                    subject,
                    share: 1.0,
                    rdm: OrderedRdm::new(numbers),
                })
                .collect(),
            models: names("m", models.len()).into_iter().zip(models.into_iter().map(OrderedRdm::new)).collect(),
        }
    }

    const DATA: [[f64; 6]; 3] =
        [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 3.0, 2.0, 4.0, 6.0, 6.5], [2.0, 1.5, 3.0, 5.0, 4.0, 4.0]];
    const MODEL: [f64; 6] = [0.0, 0.0, 1.0, 1.0, 2.0, 1.5];

    /// `boot_noise_ceiling` and the mean of `compare` of rsatoolbox 0.3.2 on these numbers (`stages/tests/fixtures/rsa/ceilings.py`).
    #[test]
    fn scores_and_ceilings_are_those_of_rsatoolbox() {
        let group = group(4, DATA.map(Vec::from).to_vec(), vec![MODEL.to_vec()]);
        for (of, expected) in [
            (Similarity::Pearson, [0.8293209839997421, 0.8381808683649146, 0.9271406349051535]),
            (Similarity::Spearman, [0.8077061304025624, 0.8298024991647898, 0.8988531630684419]),
            (Similarity::TauA, [0.6222222222222222, 0.6666666666666666, 0.7999999999999999]),
            (Similarity::RhoA, [0.7809523809523808, 0.8190476190476191, 0.8952380952380953]),
            (Similarity::Cosine, [0.9262017145086049, 0.9704221567662948, 0.9868267347674134]),
            (Similarity::WhitenedPearson, [0.7921129070773509, 0.7528990799943275, 0.8900580257937215]),
            (Similarity::WhitenedCosine, [0.8793802878256377, 0.9238063491314467, 0.9658947016473453]),
        ] {
            let found = scores(&group, of, &Resample::all(&group));
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{of:?}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn a_subject_that_is_taken_twice_counts_twice() {
        let of = Similarity::RhoA;
        let three = group(4, DATA.map(Vec::from).to_vec(), vec![MODEL.to_vec()]);
        let found = scores(&three, of, &Resample { stimuli: vec![1; 4], subjects: vec![2, 0, 1] });
        let each = &similarities(&three, of)[0];
        assert!((found[0] - (2.0 * each[0] + each[2]) / 3.0).abs() < 1e-15);
        // The first, left out whole, is compared with the third alone.
        let pair = group(4, vec![DATA[0].to_vec(), DATA[2].to_vec()], vec![MODEL.to_vec()]);
        let low = scores(&pair, of, &Resample::all(&pair))[1];
        assert!((found[1] - low).abs() < 1e-15, "{found:?} {low}");
        let one = scores(&three, of, &Resample { stimuli: vec![1; 4], subjects: vec![0, 3, 0] });
        assert!(one[1].is_nan() && one[2].is_nan() && one[0] == each[1]);
        let few = scores(&three, of, &Resample { stimuli: vec![3, 1, 0, 0], subjects: vec![1; 3] });
        assert!(few.len() == 3 && few.iter().all(|number| number.is_nan()));
    }

    #[test]
    fn rdms_of_one_subject_share_its_weight() {
        let mut shared = group(4, [DATA[0], DATA[1], DATA[2]].map(Vec::from).to_vec(), vec![MODEL.to_vec()]);
        for (rdm, (subject, share)) in shared.data.iter_mut().zip([(0, 1.0), (0, 1.0), (1, 2.0)]) {
            (rdm.subject, rdm.share) = (subject, share);
        }
        shared.subjects.pop();
        let each = &similarities(&shared, Similarity::TauA)[0];
        let found = scores(&shared, Similarity::TauA, &Resample::all(&shared));
        assert!((found[0] - ((each[0] + each[1]) / 2.0 + each[2]) / 2.0).abs() < 1e-15);
    }
}
