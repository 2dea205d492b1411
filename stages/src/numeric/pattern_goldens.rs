//! Dissimilarities, decoding, analyses of variance, layouts and subsets against rsatoolbox, scikit-learn, SciPy and NumPy: the programs
//! `dissimilarities.py`, `decoding.py` and `scaling.py` in `tests/fidelity/rsa`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::classical_scaling::classical_scaling;
use super::dissimilarity::{Dissimilarity, PatternSums, pairs};
use super::extreme_subset::{RdmTriangle, distance_to_uniform, most_dissimilar, most_uniform, nearest_mean};
use super::kernel_alignment::{centred_gram, unbiased_gram};
use super::linear_algebra::MatrixView;
use super::linear_svm::{LinearSvm, decode_pairs};
use super::scaling::{ScalingOptions, ScalingProblem, scale};
use super::stress_descent::DescentLimits;
use super::unit_anova::{EtaSummary, UnitAnova};
use crate::test_support::rsa_goldens::{assert_all_close, rsa_golden};

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

#[derive(Deserialize)]
struct AlignmentGolden {
    plain: f64,
    debiased: f64,
}

#[derive(Deserialize)]
struct DissimilarityGoldens {
    patterns: Vec<Vec<f64>>,
    other: Vec<Vec<f64>>,
    correlation: Vec<f64>,
    euclidean: Vec<f64>,
    squared_euclidean: Vec<f64>,
    cosine: Vec<f64>,
    cka: AlignmentGolden,
}

fn dissimilarities(patterns: &[Vec<f64>], of: Dissimilarity) -> Vec<f64> {
    let width = patterns[0].len();
    let mut sums = PatternSums::new(patterns.len());
    // In two blocks, as activations come.
    for features in [0..width / 2, width / 2..width] {
        let block: Vec<f64> = patterns.iter().flat_map(|pattern| pattern[features.clone()].to_vec()).collect();
        sums.add(MatrixView::new(&block, features.len(), patterns.len()).transposed());
    }
    sums.dissimilarities(of).triangle
}

#[test]
fn dissimilarities_are_those_of_rsatoolbox() {
    let golden: DissimilarityGoldens = rsa_golden("dissimilarities.json");
    for (of, expected) in [
        (Dissimilarity::Correlation, &golden.correlation),
        (Dissimilarity::Euclidean, &golden.euclidean),
        (Dissimilarity::SquaredEuclidean, &golden.squared_euclidean),
        (Dissimilarity::Cosine, &golden.cosine),
    ] {
        assert_all_close(&dissimilarities(&golden.patterns, of), expected, 1e-9, of.word());
    }
}

#[test]
fn alignment_is_that_of_numpy() {
    let golden: DissimilarityGoldens = rsa_golden("dissimilarities.json");
    let entries = golden.patterns.len();
    let squared =
        [&golden.patterns, &golden.other].map(|patterns| dissimilarities(patterns, Dissimilarity::SquaredEuclidean));
    for (gram, expected) in
        [(centred_gram as fn(&[f64], usize) -> Vec<f64>, golden.cka.plain), (unbiased_gram, golden.cka.debiased)]
    {
        let [one, other] = [&squared[0], &squared[1]].map(|squared| gram(squared, entries));
        let found = dot(&one, &other) / (dot(&one, &one) * dot(&other, &other)).sqrt();
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }
}

#[derive(Deserialize)]
struct MachineGolden {
    decisions: Vec<f64>,
}

#[derive(Deserialize)]
struct SummaryGolden {
    mean: f64,
    stdev: f64,
    stdev_features: f64,
}

#[derive(Deserialize)]
struct DecodingGoldens {
    objects: Vec<String>,
    colours: Vec<String>,
    units_of_feature: usize,
    /// Objects by colours.
    patterns: Vec<Vec<f64>>,
    accuracies_of_objects: Vec<(String, String, f64)>,
    accuracies_of_colours: Vec<(String, String, f64)>,
    machine: MachineGolden,
    /// By source; null for a unit that does not vary.
    eta2: BTreeMap<String, Vec<Option<f64>>>,
    summary: BTreeMap<String, SummaryGolden>,
}

impl DecodingGoldens {
    fn products(&self, rows: &[usize], columns: &[usize]) -> Vec<f64> {
        let of_row = |row: &usize| {
            let row = *row;
            columns.iter().map(move |column| dot(&self.patterns[row], &self.patterns[*column]))
        };
        rows.iter().flat_map(of_row).collect()
    }
}

#[test]
fn decoding_is_that_of_scikit_learn() {
    let golden: DecodingGoldens = rsa_golden("decoding.json");
    let (objects, colours) = (golden.objects.len(), golden.colours.len());
    let all: Vec<usize> = (0..objects * colours).collect();
    let products = golden.products(&all, &all);
    let by_object: Vec<Vec<usize>> =
        (0..objects).map(|of| (0..colours).map(|at| of * colours + at).collect()).collect();
    let by_colour: Vec<Vec<usize>> =
        (0..colours).map(|of| (0..objects).map(|at| at * colours + of).collect()).collect();
    for (bins, names, expected) in [
        (by_object, &golden.objects, &golden.accuracies_of_objects),
        (by_colour, &golden.colours, &golden.accuracies_of_colours),
    ] {
        let found = decode_pairs(&products, all.len(), &bins).unwrap();
        let found: Vec<(String, String, f64)> =
            found.iter().map(|pair| (names[pair.first].clone(), names[pair.second].clone(), pair.accuracy)).collect();
        assert_eq!(&found, expected);
    }
    // The first two objects without their first colours; there the first object is the class -1, here it is the first.
    let train: Vec<usize> = (1..colours).chain(colours + 1..2 * colours).collect();
    let machine = LinearSvm::fit(&golden.products(&train, &train), train.len(), colours - 1).unwrap();
    let decisions = [0, colours].map(|left_out| -machine.decision(golden.products(&[left_out], &train)));
    assert_all_close(&decisions, &golden.machine.decisions, 5e-3, "decisions; both stop where no step of 1e-3 is left");
}

#[test]
fn shares_of_variance_are_those_of_numpy() {
    let golden: DecodingGoldens = rsa_golden("decoding.json");
    let (colours, units) = (golden.colours.len(), golden.patterns[0].len());
    let mut anova = UnitAnova::new([golden.objects.len(), colours], units).unwrap();
    for (at, pattern) in golden.patterns.iter().enumerate() {
        anova.add([at / colours, at % colours], pattern).unwrap();
    }
    let found = anova.finish().unwrap();
    let [object, colour] = &found.factors;
    for (source, found) in [("object", object), ("colour", colour), ("interaction", &found.interaction)] {
        for (unit, (found, expected)) in found.iter().zip(&golden.eta2[source]).enumerate() {
            match expected {
                None => assert!(found.is_nan(), "{source} {unit}: {found}"),
                Some(expected) => assert!((found - expected).abs() < 1e-9, "{source} {unit}: {found}, not {expected}"),
            }
        }
        let summary = EtaSummary::of(found, units / golden.units_of_feature).unwrap();
        let SummaryGolden { mean, stdev, stdev_features } = golden.summary[source];
        assert_all_close(
            &[summary.mean, summary.std, summary.std_of_kernel_means],
            &[mean, stdev, stdev_features],
            1e-9,
            source,
        );
    }
}

#[derive(Deserialize)]
struct StressGolden {
    guide: f64,
    best: f64,
}

#[derive(Deserialize)]
struct KolmogorovGolden {
    numbers: Vec<f64>,
    distance: f64,
}

#[derive(Deserialize)]
struct ScalingGoldens {
    entries: usize,
    dissimilarities: Vec<f64>,
    stress: StressGolden,
    stress_1: f64,
    classical_distances: Vec<f64>,
    kolmogorov: Vec<KolmogorovGolden>,
    dissimilar: Vec<usize>,
    target: f64,
    mean_of: Vec<usize>,
    uniform: Vec<usize>,
}

#[test]
fn layouts_have_no_more_stress_than_those_of_scikit_learn() {
    let golden: ScalingGoldens = rsa_golden("scaling.json");
    let points = classical_scaling(&golden.dissimilarities, golden.entries, 2).unwrap();
    let (x, y) = points.split_at(golden.entries);
    let found: Vec<f64> = pairs(golden.entries).map(|(i, j)| (x[i] - x[j]).hypot(y[i] - y[j])).collect();
    assert_all_close(&found, &golden.classical_distances, 1e-6, "distances of classical scaling");
    let names: Vec<String> = (0..golden.entries).map(|entry| entry.to_string()).collect();
    let problem = ScalingProblem { names: &names, triangle: &golden.dissimilarities };
    let options = |ordinal: bool, restarts: usize| ScalingOptions {
        dims: 2,
        ordinal,
        classical: true,
        restarts,
        limits: DescentLimits { steps: 3000, tolerance: 1e-12 },
        seed: 1,
    };
    let stress = |restarts| scale(problem, &options(false, restarts), &|| false).unwrap().stress;
    // From the classical start alone each descent ends nearby, and not at the same place.
    let StressGolden { guide, best } = golden.stress;
    let found = stress(40);
    assert!(found <= best * (1.0 + 1e-6) && found <= guide * (1.0 + 1e-6), "{found}, not {best}");
    let ordinal = scale(problem, &options(true, 40), &|| false).unwrap().stress_1;
    assert!(ordinal <= golden.stress_1 * (1.0 + 1e-3), "{ordinal}, not {}", golden.stress_1);
}

#[test]
fn subsets_are_those_of_the_published_rules() {
    let golden: ScalingGoldens = rsa_golden("scaling.json");
    let rdm = RdmTriangle { triangle: &golden.dissimilarities, entries: golden.entries };
    assert_eq!(most_dissimilar(rdm, golden.entries), golden.dissimilar);
    assert_eq!(nearest_mean(rdm, golden.target, golden.mean_of.len()), golden.mean_of);
    assert_eq!(most_uniform(rdm, golden.uniform.len(), || false).unwrap(), golden.uniform);
    for KolmogorovGolden { numbers, distance } in &golden.kolmogorov {
        let mut sorted = numbers.clone();
        sorted.sort_by(f64::total_cmp);
        assert!((distance_to_uniform(&sorted, &[]) - distance).abs() < 1e-12, "{numbers:?}");
    }
}
