//! Comparisons of RDMs against the numbers of rsatoolbox 0.3.2 and SciPy (`tests/fidelity/rsa/comparisons.py`), and of real brains
//! (`tests/fidelity/rsa/brains.py`).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::comparison_inputs::ComparisonGroup;
use super::comparison_scores::tests::group;
use super::comparison_scores::{Resample, SampledGroup, scores, similarities};
use super::model_combinations::{gram_of, pooled_moments};
use super::rdm_forms::RdmForm;
use super::rdm_source::{RdmSource, WantedRdms};
use crate::numeric::multiple_tests::holm;
use crate::numeric::rdm_similarity::{OrderedRdm, PairSample, Similarity};
use crate::numeric::small_least_squares::{least_squares, nonnegative_least_squares};
use crate::numeric::statistics::false_discovery;
use crate::numeric::student_t::both_tails;
use crate::test_support::tasks;

/// By measure, a row a model, a column a subject.
type Golden = BTreeMap<String, Vec<Vec<f64>>>;

#[derive(Deserialize)]
struct Goldens {
    stimuli: usize,
    models: Vec<Vec<f64>>,
    subjects: Vec<Vec<f64>>,
    similarities: Golden,
    missing_pairs: Vec<usize>,
    missing: Golden,
    times: Vec<u32>,
    resampled: Golden,
    ceilings: BTreeMap<String, [f64; 2]>,
    /// By kind of weights and measure.
    weights: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
    /// t, degrees of freedom, p.
    t: Vec<[f64; 3]>,
    p: Vec<f64>,
    holm: Vec<f64>,
    discovery: Vec<f64>,
}

#[derive(Deserialize)]
struct BrainGoldens {
    subjects: Vec<String>,
    models: Vec<String>,
    similarities: Golden,
    ceilings: BTreeMap<String, [f64; 2]>,
}

const MEASURES: [(&str, Similarity); 7] = [
    ("pearson", Similarity::Pearson),
    ("spearman", Similarity::Spearman),
    ("tau_a", Similarity::TauA),
    ("rho_a", Similarity::RhoA),
    ("cosine", Similarity::Cosine),
    ("whitened_pearson", Similarity::WhitenedPearson),
    ("whitened_cosine", Similarity::WhitenedCosine),
];

fn read<T: DeserializeOwned>(name: &str) -> T {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fidelity/rsa");
    serde_json::from_str(&fs_err::read_to_string(folder.join(name)).unwrap()).unwrap()
}

fn close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance, "{what}: {found:?}, not {expected:?}");
    }
}

/// All similarities of a sample.
fn check(golden: &Golden, goldens: &Goldens, times: &[u32], present: &[bool]) {
    for (word, of) in MEASURES {
        let sample = PairSample::new(of, times, present).unwrap();
        let [models, subjects] = [&goldens.models, &goldens.subjects]
            .map(|rdms| rdms.iter().map(|rdm| sample.of(&OrderedRdm::new(rdm.clone()))).collect::<Vec<_>>());
        for (model, expected) in models.iter().zip(&golden[word]) {
            let found: Vec<f64> = subjects.iter().map(|subject| sample.similarity(model, subject)).collect();
            close(&found, expected, 1e-10, word);
        }
    }
}

#[test]
fn similarities_are_those_of_rsatoolbox_also_of_resamples_and_without_some_pairs() {
    let goldens: Goldens = read("comparisons.json");
    let all = vec![true; goldens.models[0].len()];
    check(&goldens.similarities, &goldens, &vec![1; goldens.stimuli], &all);
    check(&goldens.resampled, &goldens, &goldens.times, &all);
    let mut present = all;
    goldens.missing_pairs.iter().for_each(|pair| present[*pair] = false);
    check(&goldens.missing, &goldens, &vec![1; goldens.stimuli], &present);
}

fn ceilings_are(group: &ComparisonGroup, expected: &BTreeMap<String, [f64; 2]>) {
    for (word, of) in MEASURES {
        let found = scores(group, of, &Resample::all(group));
        close(&found[group.models.len()..], &expected[word], 1e-10, word);
    }
}

#[test]
fn ceilings_and_fitted_weights_are_those_of_rsatoolbox() {
    let goldens: Goldens = read("comparisons.json");
    let group = group(goldens.stimuli, goldens.subjects, goldens.models);
    ceilings_are(&group, &goldens.ceilings);
    for (kind, of_measures) in &goldens.weights {
        for (word, expected) in of_measures {
            let of = MEASURES.iter().find(|(known, _)| known == word).unwrap().1;
            let sampled = SampledGroup::new(&group, of, &Resample::all(&group)).unwrap();
            let models = sampled.models(&group);
            let (gram, moments) = (gram_of(&sampled, &models), pooled_moments(&sampled, &models));
            let fit = if kind == "any" { least_squares } else { nonnegative_least_squares };
            let weights = fit(&gram, &moments).unwrap();
            let length = weights.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
            let unit: Vec<f64> = weights.iter().map(|weight| weight / length).collect();
            // rsatoolbox solves the whitened ones by iteration to 1e-5.
            let tolerance = if word.starts_with("whitened") { 1e-4 } else { 1e-9 };
            close(&unit, expected, tolerance, &format!("{kind} {word}"));
        }
    }
}

#[test]
fn probabilities_are_those_of_scipy() {
    let goldens: Goldens = read("comparisons.json");
    for [t, freedom, p] in goldens.t {
        close(&[both_tails(t, freedom)], &[p], 1e-12, "t");
    }
    close(&holm(&goldens.p), &goldens.holm, 1e-14, "holm");
    close(&false_discovery(&goldens.p), &goldens.discovery, 1e-14, "discovery");
}

/// Human IT and eight models on 92 images, the two sessions of each subject averaged.
#[test]
#[ignore = "reads the real data, which is not part of the project"]
fn brains_are_compared_as_rsatoolbox_compares_them() {
    let goldens: BrainGoldens = read("brains.json");
    let rdms = |file: &str| -> (Vec<String>, Vec<Vec<f64>>) {
        let wanted = WantedRdms {
            variable: "",
            field: "RDM",
            name_field: "name",
            id_column: "",
            form: RdmForm::Auto,
            rdm_descriptor: "id",
            entry_descriptor: "id",
        };
        let source = RdmSource::read(&tasks::data("").join(file), &wanted).unwrap();
        let triangles =
            source.arrays.iter().map(|array| array.rdms(RdmForm::Auto).unwrap().remove(0).triangle).collect();
        (source.rdm_names.unwrap(), triangles)
    };
    let ((names, sessions), (models, of_models)) = (rdms("92_brainRDMs.mat"), rdms("92_modelRDMs.mat"));
    // Four subjects, first of the first session, then of the second.
    assert_eq!((names[..4].to_vec(), models), (goldens.subjects, goldens.models));
    let mean = |at: usize| sessions[at].iter().zip(&sessions[at + 4]).map(|(a, b)| f64::midpoint(*a, *b)).collect();
    let group = group(92, (0..4).map(mean).collect(), of_models);
    ceilings_are(&group, &goldens.ceilings);
    for (word, of) in MEASURES {
        for (found, expected) in similarities(&group, of).iter().zip(&goldens.similarities[word]) {
            close(found, expected, 1e-10, word);
        }
    }
}
