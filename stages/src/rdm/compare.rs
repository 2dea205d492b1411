//! `rdm/compare`: how well RDMs of models predict those of subjects, with noise ceiling, intervals and tests.
//!
//! Every model is compared with the RDM of every subject on all pairs of stimuli; its score is the mean over subjects. Intervals and tests
//! are those of resamples ([`comparison_inference`](super::comparison_inference)); beside them the stimuli of the models are put in random
//! orders, the same for all models, which needs no more than one subject and asks only whether a model has to do with the data at all. The
//! largest score of all models in each order corrects for their number (Westfall and Young 1993). Models whose weights are to be fitted
//! are those of `rdm/combine`.

use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, Progress, StageKind, Task, parameters};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;

use super::comparison_inference::Bootstrapped;
use super::comparison_inputs::{ComparisonGroup, ComparisonParameters, MEASURES, RdmMeasure};
use super::comparison_scores::{Resample, SampledGroup, scores, scores_of, similarities};
use super::comparison_tables::{
    Compared, DIFFERENCE_COLUMNS, DifferenceRow, MODEL_COLUMNS, ModelRow, difference_table, model_table,
};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::numeric::dissimilarity::{pair_index, pairs};
use crate::numeric::random_rows::{shuffled, single_rows};

/// The kind.
pub(super) struct CompareRdms;

parameters! {
    struct Parameters {
        /// resamples; none for no intervals and no tests that need them
        draws: usize = 1000, in 0..=100_000;
        /// random orders of the models' stimuli; none for no tests by them
        permutations: usize = 1000, in 0..=100_000;
        ..inputs: ComparisonParameters;
    }
}

/// By model and RDM of the data.
const SIMILARITY_COLUMNS: &[Column] = &[
    Column::new("group", "the group of the data, a value of the column `by`; empty without one"),
    Column::new("measure", "how alike two RDMs are").levels(MEASURES),
    Column::new("model", "the model"),
    Column::new("rdm", "the RDM of the data"),
    Column::new("subject", "whose it is"),
    Column::measured("similarity", "the measure", "how alike the two are"),
    STAMP,
];

impl StageKind for CompareRdms {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "rdm/compare",
            1,
            "models compared with RDMs of subjects: similarity, noise ceiling, intervals, tests",
        )
        .input("data", &["rdms"], "RDMs of subjects")
        .input("models", &["rdms"], "RDMs of models, of the same entries")
        .folder("table", "table/rdm-comparison", "a row a group, measure and model")
        .described(data_table::FILES, MODEL_COLUMNS)
        .folder("differences", "table/rdm-differences", "a row a group, measure and pair of models")
        .described(data_table::FILES, DIFFERENCE_COLUMNS)
        .folder("similarities", "table/rdm-similarities", "a row a group, measure, model and RDM of the data")
        .described(data_table::FILES, SIMILARITY_COLUMNS)
        .parameters::<Parameters>();
        Kind { stamped: true, random: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let (groups, mut notes) = ComparisonGroup::read(task, &parameters.inputs)?;
        let (mut models, mut differences, mut each) = (Vec::new(), Vec::new(), Vec::new());
        for group in &groups {
            for measure in &parameters.inputs.measures {
                let compared = compare(group, *measure, &parameters, task.seed()?, context)?;
                models.extend(compared.models());
                differences.extend(compared.differences(&(0..group.models.len()).collect::<Vec<usize>>()));
                each.extend(with_each(group, *measure));
            }
            notes.extend(remarks(group, &parameters));
        }
        write(task, &parameters, &models, &differences, &each)?;
        Ok(Ended::noted(notes))
    }
}

/// All that is known of the models of a group by a measure.
fn compare<'a>(
    group: &'a ComparisonGroup,
    measure: RdmMeasure,
    parameters: &Parameters,
    seed: u64,
    context: &dyn Context,
) -> Result<Compared<'a>, Failure> {
    let of = measure.similarity();
    let found = scores(group, of, &Resample::all(group));
    defined(group, measure, &found)?;
    let bootstrapped =
        Bootstrapped::run(group, parameters.inputs.bootstrap, parameters.draws, seed, context, |resample, _| {
            Ok(vec![scores(group, of, resample)])
        })?;
    Ok(Compared {
        group,
        measure,
        names: group.models.iter().map(|(name, _)| name.clone()).collect(),
        scores: found,
        bootstrapped,
        level: parameters.inputs.level,
        permuted: permuted(group, measure, parameters.permutations, seed, context)?,
    })
}

/// Refuses RDMs that have no similarity with any.
pub(super) fn defined(group: &ComparisonGroup, measure: RdmMeasure, scores: &[f64]) -> Result<(), Failure> {
    if !scores[..group.models.len()].iter().any(|score| score.is_nan()) {
        return Ok(());
    }
    let each = similarities(group, measure.similarity());
    let all_of_model = |model: &Vec<f64>| model.iter().all(|number| number.is_nan());
    let name = match each.iter().position(all_of_model) {
        Some(model) => format!("the model `{}`", group.models[model].0),
        None => {
            let undefined =
                |rdm: &usize| each.iter().any(|model| model.get(*rdm).is_some_and(|number| number.is_nan()));
            let rdm = (0..group.data.len()).find(undefined).unwrap_or(0);
            format!("the RDM `{}` of the data", group.data[rdm].id)
        }
    };
    Err(Failure::input(format!(
        "{name} has the same number for all pairs, so that `{}` of it is undefined",
        measure.word()
    ))
    .hint("leave it out, or take a measure in which ties count: `rho_a`, `tau_a`"))
}

/// Orders that are tried between two looks at whether the run is to stop.
const AT_A_TIME: usize = 64;

/// By random order of the stimuli of the models, the same for all, the scores of the models.
fn permuted(
    group: &ComparisonGroup,
    measure: RdmMeasure,
    count: usize,
    seed: u64,
    context: &dyn Context,
) -> Result<Vec<Vec<f64>>, Failure> {
    if count > 0 && !group.models_complete {
        return Err(Failure::input(
            "some model lacks numbers for some pairs, so that its stimuli cannot be put in other orders",
        )
        .hint("`permutations: 0` leaves this test out; or leave out the stimuli or the model"));
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Resamples take the first stream.
    random.set_stream(1);
    let stimuli = single_rows(group.stimuli.len());
    let orders: Vec<Vec<usize>> = (0..count).map(|_| shuffled(&stimuli, &mut random)).collect();
    let Some(sampled) = SampledGroup::new(group, measure.similarity(), &Resample::all(group)) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::with_capacity(count);
    for part in orders.chunks(AT_A_TIME) {
        if context.cancelled() {
            return Err(Failure::stage("stopped before all orders of the stimuli were tried"));
        }
        found.par_extend(part.par_iter().map(|order| {
            let moved = moved_pairs(order);
            let models: Vec<_> = group.models.iter().map(|(_, rdm)| rdm.permuted(&moved)).collect();
            scores_of(&sampled, &models)
        }));
        let (done, total) = (found.len() as u64, count as u64);
        context.progress(Progress { done, total, unit: "orders of the stimuli".into(), note: String::new() });
    }
    Ok(found)
}

/// By pair of places, which pair of stimuli an order puts there.
fn moved_pairs(order: &[usize]) -> Vec<u32> {
    let from = |(one, other): (usize, usize)| {
        let (one, other) = (order[one], order[other]);
        pair_index(order.len(), one.min(other), one.max(other))
    };
    // An RDM in memory has fewer than 2^32 pairs, as its order of numbers needs.
    pairs(order.len()).map(from).map(|pair| u32::try_from(pair).unwrap_or(u32::MAX)).collect()
}

/// A model and an RDM of the data.
struct SimilarityRow<'a> {
    group: &'a str,
    measure: RdmMeasure,
    model: &'a str,
    rdm: &'a str,
    subject: &'a str,
    similarity: f64,
}

fn with_each(group: &ComparisonGroup, measure: RdmMeasure) -> Vec<SimilarityRow<'_>> {
    let each = similarities(group, measure.similarity());
    let row = |model: usize, rdm: usize, similarity: f64| SimilarityRow {
        group: &group.name,
        measure,
        model: &group.models[model].0,
        rdm: &group.data[rdm].id,
        subject: &group.subjects[group.data[rdm].subject],
        similarity,
    };
    let of_model = |(model, numbers): (usize, &Vec<f64>)| -> Vec<SimilarityRow<'_>> {
        numbers.iter().enumerate().map(|(rdm, number)| row(model, rdm, *number)).collect()
    };
    each.iter().enumerate().flat_map(of_model).collect()
}

/// What readers of the tables should be aware of.
fn remarks(group: &ComparisonGroup, parameters: &Parameters) -> Vec<String> {
    let mut notes: Vec<String> = group.zero_note(&parameters.inputs.measures).into_iter().collect();
    let name = if group.name.is_empty() { "the data".to_owned() } else { format!("group `{}`", group.name) };
    if group.subjects.len() == 1 {
        notes.push(format!("{name}: one subject, so there is no noise ceiling"));
    } else if group.subjects.len() < 5 && parameters.draws > 0 && parameters.inputs.bootstrap.is_of_subjects() {
        let count = group.subjects.len();
        notes.push(format!("{IMPORTANT}{name}: {count} subjects are few to resample; errors and tests are rough"));
    }
    notes
}

fn write(
    task: &Task,
    parameters: &Parameters,
    models: &[ModelRow],
    differences: &[DifferenceRow],
    each: &[SimilarityRow<'_>],
) -> Result<(), Failure> {
    let mut table = model_table(models, parameters.inputs.level, task.simulated)?;
    data_table::write(task.output("table")?, &mut table)?;
    data_table::write(task.output("differences")?, &mut difference_table(differences, task.simulated)?)?;
    let mut table = DataTable::of(SIMILARITY_COLUMNS)
        .text("group", each.iter().map(|row| row.group))
        .text("measure", each.iter().map(|row| row.measure.word()))
        .text("model", each.iter().map(|row| row.model))
        .text("rdm", each.iter().map(|row| row.rdm))
        .text("subject", each.iter().map(|row| row.subject))
        .numbers("similarity", each.iter().map(|row| row.similarity))
        .stamped(task.simulated)
        .build()?;
    data_table::write(task.output("similarities")?, &mut table)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::{Silent, Value};
    use polars::prelude::DataFrame;

    use super::*;
    use crate::formats::matrix::MatrixAxis;
    use crate::formats::rdm_set::{RdmAbout, RdmSet};
    use crate::numeric::rdm_similarity::Similarity;
    use crate::rdm::comparison_scores::tests::{group, irregular};
    use crate::test_support::tasks;

    const STIMULI: usize = 12;
    const PAIRS: usize = STIMULI * (STIMULI - 1) / 2;

    fn write_set(folder: &Path, rdms: &[(&str, Vec<f64>)]) {
        let index = MatrixAxis::of_ids(rdms.iter().map(|(name, _)| *name)).unwrap();
        let entries = MatrixAxis::of_ids((0..STIMULI).map(|at| format!("x{at}"))).unwrap();
        let values = rdms.iter().flat_map(|(_, numbers)| numbers.clone()).collect();
        RdmSet::new(index, entries, values, None, RdmAbout::of("stimuli")).unwrap().write(folder).unwrap();
    }

    /// Six subjects whose RDMs are that of the first model and noise.
    fn subjects(noise: f64) -> Vec<(&'static str, Vec<f64>)> {
        let truth = irregular(PAIRS, 1);
        let of = |seed: u32| truth.iter().zip(irregular(PAIRS, seed)).map(|(a, b)| a + noise * b).collect();
        ["a", "b", "c", "d", "e", "f"].into_iter().zip(11..).map(|(name, seed)| (name, of(seed))).collect()
    }

    fn run(
        data: &[(&str, Vec<f64>)],
        models: &[(&str, Vec<f64>)],
        with: &[(&str, Value)],
    ) -> Result<[DataFrame; 3], Failure> {
        let folder = tempfile::tempdir().unwrap();
        write_set(&folder.path().join("data"), data);
        write_set(&folder.path().join("models"), models);
        let mut task = tasks::task(&CompareRdms, folder.path());
        task.outputs.values_mut().for_each(|path| *path = folder.path().join("out").join(path.file_name().unwrap()));
        tasks::give(&mut task, "data", &folder.path().join("data"));
        tasks::give(&mut task, "models", &folder.path().join("models"));
        tasks::set(&mut task, "draws", Value::Int(100));
        tasks::set(&mut task, "permutations", Value::Int(99));
        with.iter().for_each(|(name, value)| tasks::set(&mut task, name, value.clone()));
        tasks::run(&CompareRdms, &task)?;
        Ok(["table", "differences", "similarities"].map(|port| data_table::read(task.output(port).unwrap()).unwrap()))
    }

    fn column(table: &DataFrame, name: &str) -> Vec<f64> {
        data_table::maybe_numbers(table, name).unwrap().into_iter().map(|number| number.unwrap_or(f64::NAN)).collect()
    }

    #[test]
    fn the_true_model_is_found_and_another_one_is_not() {
        let models = [("true", irregular(PAIRS, 1)), ("other", irregular(PAIRS, 99))];
        let [table, differences, each] = run(&subjects(1.0), &models, &[]).unwrap();
        let (found, low, high) = (column(&table, "similarity"), column(&table, "low"), column(&table, "high"));
        assert!(low[0] > 0.3 && low[0] < found[0] && found[0] < high[0], "{found:?} {low:?}");
        assert!(low[1] < 0.1 && found[1] < 0.3, "{found:?} {low:?}");
        let (p, corrected) = (column(&table, "p"), column(&table, "p_holm"));
        assert!(p[0] < 0.01 && p[1] > 0.05 && corrected[0] >= p[0], "{p:?}");
        assert_eq!(column(&table, "p_permuted")[0], 0.01, "no order reaches it");
        let largest = column(&table, "p_permuted_largest");
        assert!(largest.iter().zip(column(&table, "p_permuted")).all(|(all, own)| *all >= own), "{largest:?}");
        let (bottom, top) = (column(&table, "ceiling_low"), column(&table, "ceiling_high"));
        assert!(bottom[0] < top[0] && found[0] < top[0] && bottom[0] == bottom[1]);
        assert_eq!(data_table::integers(&table, "pairs").unwrap(), [PAIRS as i64; 2]);
        let difference = column(&differences, "difference");
        assert!(difference.len() == 1 && (difference[0] - (found[0] - found[1])).abs() < 1e-15);
        assert!(column(&differences, "p")[0] < 0.05);
        let own = column(&each, "similarity");
        assert!(own.len() == 12 && (own[..6].iter().sum::<f64>() / 6.0 - found[0]).abs() < 1e-12);
    }

    #[test]
    fn all_measures_are_computed_and_the_seed_decides() {
        let words = ["pearson", "spearman", "tau_a", "rho_a", "cosine", "whitened_pearson", "whitened_cosine"];
        let list = Value::List(words.map(|word| Value::Text(word.to_owned())).to_vec());
        let models = [("true", irregular(PAIRS, 1))];
        let with = [("measures", list), ("draws", Value::Int(20)), ("permutations", Value::Int(19))];
        let [table, ..] = run(&subjects(0.5), &models, &with).unwrap();
        assert_eq!(data_table::texts(&table, "measure").unwrap(), words);
        assert!(column(&table, "low").iter().all(|low| *low > 0.0));
        // Any model has a high cosine with data that are never negative.
        let p = column(&table, "p");
        let is_cosine = |at: usize| words[at].contains("cosine");
        assert!((0..7).all(|at| if is_cosine(at) { p[at].is_nan() } else { p[at] < 0.05 }), "{p:?}");
        assert!(column(&table, "p_permuted").iter().all(|p| *p == 0.05));
        let [again, ..] = run(&subjects(0.5), &models, &with).unwrap();
        assert_eq!(column(&table, "se"), column(&again, "se"));
    }

    #[test]
    fn one_subject_has_tests_by_order_only() {
        let models = [("true", irregular(PAIRS, 1)), ("other", irregular(PAIRS, 99))];
        let one = &subjects(0.5)[..1];
        let failure = run(one, &models, &[]).unwrap_err();
        assert!(failure.hint.unwrap().contains("bootstrap: stimuli"), "{}", failure.message);
        let [table, ..] = run(one, &models, &[("bootstrap", Value::Text("none".into()))]).unwrap();
        assert!(column(&table, "ceiling_low")[0].is_nan() && column(&table, "se")[0].is_nan());
        assert!(column(&table, "p_permuted")[0] < 0.05);
        let [table, ..] = run(one, &models, &[("bootstrap", Value::Text("stimuli".into()))]).unwrap();
        assert!(column(&table, "p")[0] < 0.01 && column(&table, "p_ceiling")[0].is_nan());
    }

    /// Estimates around 0, as crossnobis has them.
    #[test]
    fn cosines_of_data_below_zero_are_tested_against_zero() {
        let around = |(name, numbers): (&'static str, Vec<f64>)| {
            (name, numbers.into_iter().map(|d| d - 0.5).collect::<Vec<f64>>())
        };
        let data: Vec<(&str, Vec<f64>)> = subjects(0.5).into_iter().map(around).collect();
        let with = [("measures", Value::List(vec![Value::Text("cosine".into())]))];
        let [table, ..] = run(&data, &[("true", irregular(PAIRS, 1))], &with).unwrap();
        assert!(column(&table, "p")[0] < 0.05, "{:?}", column(&table, "p"));
        let mut group = group(STIMULI, vec![irregular(PAIRS, 3)], vec![irregular(PAIRS, 4)]);
        assert!(group.has_zero(RdmMeasure::RhoA) && !group.has_zero(RdmMeasure::WhitenedCosine));
        let note = group.zero_note(&[RdmMeasure::Pearson, RdmMeasure::Cosine]).unwrap();
        assert!(note.contains("alike by `cosine`; there is no test"), "{note}");
        group.data[0].rdm = crate::numeric::rdm_similarity::OrderedRdm::new(vec![-1.0; PAIRS]);
        assert_eq!(group.zero_note(&[RdmMeasure::Cosine]), None);
    }

    #[test]
    fn constant_rdms_are_named() {
        let with = [("measures", Value::List(vec![Value::Text("spearman".into())]))];
        let failure =
            run(&subjects(0.5), &[("m", irregular(PAIRS, 1)), ("flat", vec![1.0; PAIRS])], &with).unwrap_err();
        assert!(failure.message.starts_with("the model `flat` has the same number for all pairs"), "{failure}");
        let mut data = subjects(0.5);
        data[2].1 = vec![0.5; PAIRS];
        let failure = run(&data, &[("m", irregular(PAIRS, 1))], &with).unwrap_err();
        assert!(failure.message.starts_with("the RDM `c` of the data has the same number"), "{failure}");
        let mut model = irregular(PAIRS, 1);
        model[3] = f64::NAN;
        let failure = run(&subjects(0.5), &[("m", model)], &[]).unwrap_err();
        assert!(failure.message.starts_with("some model lacks numbers"), "{failure}");
    }

    /// Independent of the data, p is uniform: of 60 models about 3 are below 0.05.
    #[test]
    fn orders_of_stimuli_hold_their_level() {
        let models: Vec<Vec<f64>> = (0..60).map(|at| irregular(PAIRS, 500 + at)).collect();
        let group = group(STIMULI, vec![irregular(PAIRS, 3), irregular(PAIRS, 4)], models);
        let orders = permuted(&group, RdmMeasure::Cosine, 199, 5, &Silent).unwrap();
        let found = scores(&group, Similarity::Cosine, &Resample::all(&group));
        let p = (0..60).map(|model| {
            crate::numeric::multiple_tests::share_reaching(found[model], orders.iter().map(|scores| scores[model]))
        });
        let small = p.filter(|p| *p <= 0.05).count();
        assert!(small <= 9, "{small} of 60 models");
        // The first order puts stimulus `order[i]` where `i` was.
        assert_eq!(moved_pairs(&[2, 0, 1]), [1, 2, 0]);
    }
}
