//! `rdm/combine`: combinations of models whose weights are fitted, by cross-validation over stimuli, and what models explain in common.
//!
//! Scores of combinations are on pairs within folds ([`model_combinations`](super::model_combinations)); single models are scored on the
//! same pairs, as they are, and so is the noise ceiling, so that all rows of the table can be compared with each other, but not with those
//! of `rdm/compare`. Stimuli are divided into folds several times and scores averaged. A set of models is one row; unique and shared parts
//! of R2 come from all sets of models, as in variance partitioning.

use pipe_contract::{Column, Context, Ended, Failure, Kind, Repro, StageKind, Task, choice, parameters};
use rayon::prelude::*;

use super::comparison_inference::{Bootstrapped, RdmError};
use super::comparison_inputs::{ComparisonGroup, ComparisonParameters, MEASURES, RdmMeasure};
use super::comparison_scores::Resample;
use super::comparison_tables::{Compared, DIFFERENCE_COLUMNS, MODEL_COLUMNS, difference_table, model_table};
use super::model_combinations::{Combinations, ModelWeights};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::nearest_names::nearest;
use crate::numeric::counts::real;
use crate::numeric::subset_lattice::{MOST_SOURCES, PartKind, SubsetLattice, decompose};

/// The kind.
pub(super) struct CombineModels;

parameters! {
    struct Parameters {
        /// the models that are combined, in this order; none for all
        combined: Vec<String> = Vec::new();
        /// which weights models may have
        weights: ModelWeights = ModelWeights::Nonnegative;
        /// which sets of models are fitted: `all`, which the parts of R2 need, or `full`: all models together
        sets: CombinedSets = CombinedSets::All;
        /// parts that the stimuli are divided into; each is left out of a fit and scored
        folds: usize = 5, in 2..=1_000;
        /// divisions of the stimuli into folds, over which scores are averaged
        divisions: usize = 10, in 1..=1_000;
        /// resamples; none for no intervals and no tests that need them
        draws: usize = 200, in 0..=100_000;
        ..inputs: ComparisonParameters;
    }
}

choice! {
    /// Which sets of models are fitted.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum CombinedSets {
        /// Every set.
        All = "all",
        /// All models together, beside each alone.
        Full = "full",
    }
}

const WEIGHT_COLUMNS: &[Column] = &[
    Column::new("group", "the group of the data, a value of the column `by`; empty without one"),
    Column::new("measure", "how alike two RDMs are").levels(MEASURES),
    Column::new("model", "the model, in the combination of all models"),
    Column::new(
        "weight",
        "its weight, the mean over folds and divisions: RDMs of subjects have the length 1, models the one they have",
    ),
    Column::new("least", "the least of its weights"),
    Column::new("largest", "the largest of its weights"),
    Column::new("share_zero", "share of the fits in which its weight is 0"),
    STAMP,
];

const R2: &str = "share of variance";

const PART_COLUMNS: &[Column] = &[
    Column::new("group", "the group of the data, a value of the column `by`; empty without one"),
    Column::new("measure", "the measure in whose product is fitted: of numbers, of their ranks, weighted")
        .levels(MEASURES),
    Column::new("part", "which part of R2").levels(&[
        ("unique", "lost when this model alone is taken away"),
        ("shared", "lost only when all of these models are taken away"),
        ("total", "R2 of all models together"),
    ]),
    Column::new("models", "the models that the part belongs to, joined by +"),
    Column::measured("estimate", R2, "the mean over subjects; below 0 by chance, or where models help each other"),
    Column::measured("se", R2, "the standard error over subjects; empty of one"),
    Column::measured("low", R2, "lower end of the interval over subjects, by Student's t"),
    Column::measured("high", R2, "upper end of the interval"),
    Column::new("subjects", "subjects of the group"),
    STAMP,
];

impl StageKind for CombineModels {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "rdm/combine",
            1,
            "weighted combinations of models by cross-validation over stimuli, and what models explain in common",
        )
        .input("data", &["rdms"], "RDMs of subjects")
        .input("models", &["rdms"], "RDMs of models, of the same entries")
        .folder(
            "table",
            "table/rdm-comparison",
            "a row a group, measure and set of models, on pairs of left-out stimuli",
        )
        .described(data_table::FILES, MODEL_COLUMNS)
        .folder("differences", "table/rdm-differences", "a row a pair of models, single ones and all together")
        .described(data_table::FILES, DIFFERENCE_COLUMNS)
        .folder("weights", "table/rdm-weights", "a row a group, measure and model")
        .described(data_table::FILES, WEIGHT_COLUMNS)
        .folder("parts", "table/rdm-parts", "a row a group, measure and part of R2; none where not all sets are fitted")
        .described(data_table::FILES, PART_COLUMNS)
        .parameters::<Parameters>();
        Kind { stamped: true, random: true, repro: Repro::Within(1e-6), ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let (mut groups, mut notes) = ComparisonGroup::read(task, &parameters.inputs)?;
        let mut found = Found::default();
        for group in &mut groups {
            choose(group, &parameters)?;
            notes.extend(group.zero_note(&parameters.inputs.measures));
            for measure in &parameters.inputs.measures {
                Fit { group: &*group, measure: *measure, parameters: &parameters, seed: task.seed()?, context }
                    .add_to(&mut found)?;
            }
        }
        let level = parameters.inputs.level;
        data_table::write(task.output("table")?, &mut model_table(&found.models, level, task.simulated)?)?;
        data_table::write(task.output("differences")?, &mut difference_table(&found.differences, task.simulated)?)?;
        found.write_weights(task)?;
        found.write_parts(task)?;
        Ok(Ended::noted(notes))
    }
}

/// Keeps the models that are asked for, in that order, and checks that they can be combined.
fn choose(group: &mut ComparisonGroup, parameters: &Parameters) -> Result<(), Failure> {
    if !parameters.combined.is_empty() {
        let mut chosen = Vec::new();
        for name in &parameters.combined {
            let model = group.models.iter().find(|(known, _)| known == name).cloned();
            let near = || nearest(name, group.models.iter().map(|(known, _)| known.as_str()));
            chosen.push(model.ok_or_else(|| {
                Failure::input(format!("there is no model `{name}`")).hint(format!("there are {}", near()))
            })?);
        }
        group.models = chosen;
    }
    let count = group.models.len();
    if parameters.sets == CombinedSets::All && count > MOST_SOURCES {
        return Err(Failure::input(format!(
            "all sets of {count} models are too many, expected at most {MOST_SOURCES} models"
        ))
        .hint("choose models with `combined`, or fit `sets: full`"));
    }
    // A fold needs three stimuli for pairs that can be compared, also in most resamples, in which a third of the stimuli lack.
    let resampled = parameters.draws > 0 && parameters.inputs.bootstrap.is_of_stimuli();
    let (stimuli, each) = (group.stimuli.len(), if resampled { 6 } else { 3 });
    if stimuli < each * parameters.folds {
        let why = if resampled { ", because resamples take about two thirds of them" } else { "" };
        let message = format!("{stimuli} stimuli in {} folds, expected at least {each} in each{why}", parameters.folds);
        return Err(Failure::input(message).hint("take fewer `folds` (at least 2), or resample `subjects` alone"));
    }
    Ok(())
}

/// One group by one measure.
struct Fit<'a> {
    group: &'a ComparisonGroup,
    measure: RdmMeasure,
    parameters: &'a Parameters,
    seed: u64,
    context: &'a dyn Context,
}

/// The weight of a model over all fits.
struct WeightRow {
    group: String,
    measure: RdmMeasure,
    model: String,
    fits: Vec<f64>,
}

/// A part of R2.
struct PartRow {
    group: String,
    measure: RdmMeasure,
    part: PartKind,
    models: String,
    estimate: f64,
    error: Option<RdmError>,
    interval: Option<(f64, f64)>,
    subjects: usize,
}

/// Everything for the tables.
#[derive(Default)]
struct Found {
    models: Vec<super::comparison_tables::ModelRow>,
    differences: Vec<super::comparison_tables::DifferenceRow>,
    weights: Vec<WeightRow>,
    parts: Vec<PartRow>,
}

/// Divisions into folds of every resample; two are enough to take off what folds add to the variance.
const DIVISIONS_OF_RESAMPLE: u64 = 2;

impl Fit<'_> {
    fn add_to(self, found: &mut Found) -> Result<(), Failure> {
        let count = self.group.models.len();
        let lattice =
            SubsetLattice::new(self.group.models.iter().take(MOST_SOURCES).map(|(name, _)| name.clone()).collect());
        let full: Vec<usize> = (0..count).collect();
        let sets: Vec<Vec<usize>> = match self.parameters.sets {
            CombinedSets::All => lattice
                .parts()
                .into_iter()
                .filter(|(part, ..)| *part != PartKind::Total)
                .map(|(_, set, _)| members(set))
                .collect(),
            CombinedSets::Full if count == 1 => vec![full.clone()],
            CombinedSets::Full => full.iter().map(|model| vec![*model]).chain([full.clone()]).collect(),
        };
        let combinations = Combinations {
            group: self.group,
            of: self.measure.similarity(),
            weights: self.parameters.weights,
            folds: self.parameters.folds,
            sets,
        };
        let names: Vec<String> = combinations.sets.iter().map(|set| self.joined(set)).collect();
        let scores = self.averaged(&combinations)?;
        let undefined = |at: &usize| scores[*at].is_nan();
        if let Some(at) = (0..names.len()).find(undefined) {
            return Err(Failure::input(format!(
                "`{}` of `{}` is undefined in some fold",
                self.measure.word(),
                names[at]
            ))
            .hint("an RDM has the same number for all pairs of a fold: take fewer folds, or `rho_a` or `tau_a`"));
        }
        let bootstrapped = Bootstrapped::run(
            self.group,
            self.parameters.inputs.bootstrap,
            self.parameters.draws,
            self.seed,
            self.context,
            |resample, number| {
                let division = |division: u64| {
                    combinations.scores(resample, self.division(DIVISIONS_OF_RESAMPLE * number + division, 1))
                };
                (0..DIVISIONS_OF_RESAMPLE).map(division).collect()
            },
        )?;
        let compared = Compared {
            group: self.group,
            measure: self.measure,
            names,
            scores,
            bootstrapped,
            level: self.parameters.inputs.level,
            permuted: Vec::new(),
        };
        let outer: Vec<usize> = (0..combinations.sets.len())
            .filter(|at| combinations.sets[*at].len() == 1 || combinations.sets[*at].len() == count)
            .collect();
        found.models.extend(compared.models());
        found.differences.extend(compared.differences(&outer));
        found.weights.extend(self.weights(&combinations, &full)?);
        if self.parameters.sets == CombinedSets::All {
            found.parts.extend(self.parts(&combinations, &lattice)?);
        }
        Ok(())
    }

    fn joined(&self, set: &[usize]) -> String {
        set.iter().map(|model| self.group.models[*model].0.as_str()).collect::<Vec<&str>>().join("+")
    }

    /// The seed of a division into folds: of all data (0) or of resamples (1).
    fn division(&self, number: u64, of: u64) -> u64 {
        // Multiples of an odd number are different for different numbers, and far from seeds that are used for something else.
        self.seed ^ (2 * number + of + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Mean scores over divisions.
    fn averaged(&self, combinations: &Combinations<'_>) -> Result<Vec<f64>, Failure> {
        let all = Resample::all(self.group);
        let of = |number: u64| combinations.scores(&all, self.division(number, 0));
        let each: Vec<Result<Vec<f64>, Failure>> = (0..self.divisions()).into_par_iter().map(of).collect();
        mean_of(each)
    }

    fn divisions(&self) -> u64 {
        self.parameters.divisions as u64
    }

    fn weights(&self, combinations: &Combinations<'_>, full: &[usize]) -> Result<Vec<WeightRow>, Failure> {
        let mut fits: Vec<Vec<f64>> = Vec::new();
        for number in 0..self.divisions() {
            fits.extend(combinations.fitted_weights(full, self.division(number, 0))?);
        }
        let row = |model: usize| WeightRow {
            group: self.group.name.clone(),
            measure: self.measure,
            model: self.group.models[model].0.clone(),
            fits: fits.iter().map(|weights| weights[model]).collect(),
        };
        Ok(full.iter().map(|model| row(*model)).collect())
    }

    /// Parts of R2, of every subject and their mean.
    fn parts(&self, combinations: &Combinations<'_>, lattice: &SubsetLattice) -> Result<Vec<PartRow>, Failure> {
        let of = |number: u64| combinations.r2(self.division(number, 0)).map(|by_rdm| by_rdm.concat());
        let each: Vec<Result<Vec<f64>, Failure>> = (0..self.divisions()).into_par_iter().map(of).collect();
        let width = combinations.sets.len();
        let by_rdm: Vec<Vec<f64>> = mean_of(each)?
            .chunks_exact(width)
            .map(|r2| {
                // R2 of no model is 0.
                let mut of_sets = vec![0.0; lattice.len()];
                combinations.sets.iter().zip(r2).for_each(|(set, r2)| of_sets[bits(set)] = *r2);
                decompose(&of_sets)
            })
            .collect();
        let subjects = self.group.subjects.len();
        let of_subject = |subject: usize, at: usize| {
            let own = (0..by_rdm.len()).filter(|rdm| self.group.data[*rdm].subject == subject);
            let numbers: Vec<f64> = own.map(|rdm| by_rdm[rdm][at]).collect();
            numbers.iter().sum::<f64>() / real(numbers.len())
        };
        let row = |(part, set, at): (PartKind, usize, usize)| {
            let numbers: Vec<f64> = (0..subjects).map(|subject| of_subject(subject, at)).collect();
            let estimate = numbers.iter().sum::<f64>() / real(subjects);
            let error = RdmError::of_subjects(&numbers);
            PartRow {
                group: self.group.name.clone(),
                measure: self.measure,
                part,
                models: lattice.joined(set),
                estimate,
                error,
                interval: error.map(|error| error.interval(estimate, self.parameters.inputs.level)),
                subjects,
            }
        };
        Ok(lattice.parts().into_iter().map(row).collect())
    }
}

/// The models of a set of the lattice.
fn members(set: usize) -> Vec<usize> {
    (0..MOST_SOURCES).filter(|bit| set >> bit & 1 == 1).collect()
}

/// The set of the lattice with these models.
fn bits(set: &[usize]) -> usize {
    set.iter().fold(0, |bits, model| bits | 1 << model)
}

/// The mean of lists of the same length.
fn mean_of(lists: Vec<Result<Vec<f64>, Failure>>) -> Result<Vec<f64>, Failure> {
    let count = real(lists.len());
    let mut sums: Vec<f64> = Vec::new();
    for list in lists {
        let list = list?;
        sums.resize(list.len(), 0.0);
        sums.iter_mut().zip(&list).for_each(|(sum, number)| *sum += number / count);
    }
    Ok(sums)
}

impl Found {
    fn write_weights(&self, task: &Task) -> Result<(), Failure> {
        let rows = &self.weights;
        let zeros = |row: &WeightRow| real(row.fits.iter().filter(|weight| **weight == 0.0).count());
        let mut table = DataTable::of(WEIGHT_COLUMNS)
            .text("group", rows.iter().map(|row| row.group.as_str()))
            .text("measure", rows.iter().map(|row| row.measure.word()))
            .text("model", rows.iter().map(|row| row.model.as_str()))
            .numbers("weight", rows.iter().map(|row| row.fits.iter().sum::<f64>() / real(row.fits.len())))
            .numbers("least", rows.iter().map(|row| row.fits.iter().copied().fold(f64::INFINITY, f64::min)))
            .numbers("largest", rows.iter().map(|row| row.fits.iter().copied().fold(f64::NEG_INFINITY, f64::max)))
            .numbers("share_zero", rows.iter().map(|row| zeros(row) / real(row.fits.len())))
            .stamped(task.simulated)
            .build()?;
        data_table::write(task.output("weights")?, &mut table)
    }

    fn write_parts(&self, task: &Task) -> Result<(), Failure> {
        let rows = &self.parts;
        let mut table = DataTable::of(PART_COLUMNS)
            .text("group", rows.iter().map(|row| row.group.as_str()))
            .text("measure", rows.iter().map(|row| row.measure.word()))
            .text("part", rows.iter().map(|row| row.part.word()))
            .text("models", rows.iter().map(|row| row.models.as_str()))
            .numbers("estimate", rows.iter().map(|row| row.estimate))
            .optional_numbers("se", rows.iter().map(|row| Some(row.error?.se)))
            .optional_numbers("low", rows.iter().map(|row| Some(row.interval?.0)))
            .optional_numbers("high", rows.iter().map(|row| Some(row.interval?.1)))
            .integers("subjects", rows.iter().map(|row| i64::try_from(row.subjects).unwrap_or(i64::MAX)))
            .stamped(task.simulated)
            .build()?;
        data_table::write(task.output("parts")?, &mut table)
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;
    use polars::prelude::DataFrame;

    use super::*;
    use crate::formats::matrix::MatrixAxis;
    use crate::formats::rdm_set::{RdmAbout, RdmSet};
    use crate::rdm::comparison_scores::tests::irregular;
    use crate::test_support::tasks;

    const STIMULI: usize = 24;
    const PAIRS: usize = STIMULI * (STIMULI - 1) / 2;

    fn set(rdms: &[(String, Vec<f64>)]) -> RdmSet {
        let index = MatrixAxis::of_ids(rdms.iter().map(|(name, _)| name.as_str())).unwrap();
        let entries = MatrixAxis::of_ids((0..STIMULI).map(|at| format!("x{at}"))).unwrap();
        let values = rdms.iter().flat_map(|(_, numbers)| numbers.clone()).collect();
        RdmSet::new(index, entries, values, None, RdmAbout::of("stimuli")).unwrap()
    }

    /// Three subjects; the data are the sum of models `a` and `b`, and `c` is like `b`.
    fn run(with: &[(&str, Value)]) -> Result<[DataFrame; 4], Failure> {
        let folder = tempfile::tempdir().unwrap();
        let (a, b, other) = (irregular(PAIRS, 100), irregular(PAIRS, 200), irregular(PAIRS, 300));
        let c: Vec<f64> = b.iter().zip(&other).map(|(b, other)| b + 0.3 * other).collect();
        let data = |seed: u32| -> Vec<f64> {
            a.iter().zip(&b).zip(irregular(PAIRS, seed)).map(|((a, b), own)| a + b + 0.3 * own).collect()
        };
        let subjects: Vec<(String, Vec<f64>)> = (0..3).map(|at| (format!("s{at}"), data(7 + at))).collect();
        let models = [("a", &a), ("b", &b), ("c", &c)].map(|(name, numbers)| (name.to_owned(), numbers.clone()));
        set(&subjects).write(&folder.path().join("d"))?;
        set(&models).write(&folder.path().join("m"))?;
        let mut task = tasks::task(&CombineModels, folder.path());
        tasks::give(&mut task, "data", &folder.path().join("d"));
        tasks::give(&mut task, "models", &folder.path().join("m"));
        let list = Value::List(vec![Value::Text("pearson".into())]);
        let given =
            [("measures", list), ("draws", Value::Int(200)), ("folds", Value::Int(4)), ("divisions", Value::Int(3))];
        given.iter().chain(with).for_each(|(name, value)| tasks::set(&mut task, name, value.clone()));
        tasks::run(&CombineModels, &task)?;
        Ok(["table", "differences", "weights", "parts"]
            .map(|port| data_table::read(task.output(port).unwrap()).unwrap()))
    }

    fn column(table: &DataFrame, name: &str) -> Vec<f64> {
        data_table::maybe_numbers(table, name).unwrap().into_iter().map(|number| number.unwrap_or(f64::NAN)).collect()
    }

    #[test]
    fn parts_add_up_and_what_is_alike_is_shared() {
        let [table, differences, weights, parts] = run(&[]).unwrap();
        assert_eq!(data_table::texts(&table, "model").unwrap(), ["a", "b", "c", "a+b", "a+c", "b+c", "a+b+c"]);
        let scores = column(&table, "similarity");
        assert!(scores[3] > scores[0] + 0.1 && scores[3] > scores[1] + 0.1, "{scores:?}");
        let errors = column(&table, "se");
        // Missing where folds vary too much for so few resamples, but never 0.
        assert!(errors.iter().any(|se| *se > 0.0) && errors.iter().all(|se| *se != 0.0), "{errors:?}");
        assert!(scores.iter().zip(column(&table, "ceiling_high")).all(|(score, most)| *score <= most), "{scores:?}");
        assert_eq!(differences.height(), 6, "pairs of three models and all of them together");
        let shares = column(&weights, "share_zero");
        let weights = column(&weights, "weight");
        assert!(weights[0] > 0.0 && weights[1] > weights[2] && shares[0] == 0.0, "{weights:?} {shares:?}");
        let names = data_table::texts(&parts, "models").unwrap();
        let estimates = column(&parts, "estimate");
        let part = |name: &str| estimates[names.iter().position(|own| own == name).unwrap()];
        assert_eq!(names, ["a", "b", "c", "a+b", "a+c", "b+c", "a+b+c", "a+b+c"]);
        let sum: f64 = estimates[..7].iter().sum();
        assert!((sum - estimates[7]).abs() < 1e-12 && estimates[7] > 0.7, "{estimates:?}");
        assert!(part("a") > 0.25 && part("b+c") > 0.2 && part("c") < 0.05, "{names:?} {estimates:?}");
        let [again, ..] = run(&[]).unwrap();
        assert_eq!(format!("{errors:?}"), format!("{:?}", column(&again, "se")), "the seed decides");
    }

    #[test]
    fn some_models_are_combined_with_any_weights() {
        let combined = Value::List(["c", "a"].map(|name| Value::Text(name.into())).to_vec());
        let with =
            [("combined", combined), ("weights", Value::Text("linear".into())), ("sets", Value::Text("full".into()))];
        let [table, differences, weights, parts] = run(&with).unwrap();
        assert_eq!(data_table::texts(&table, "model").unwrap(), ["c", "a", "c+a"]);
        assert_eq!((differences.height(), weights.height(), parts.height()), (3, 2, 0));
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        let failure = run(&[("combined", Value::List(vec![Value::Text("d".into())]))]).unwrap_err();
        assert_eq!(failure.message, "there is no model `d`");
        let failure = run(&[("folds", Value::Int(5))]).unwrap_err();
        assert!(
            failure.message.starts_with("24 stimuli in 5 folds, expected at least 6 in each, because"),
            "{failure}"
        );
        let failure = run(&[("folds", Value::Int(9)), ("bootstrap", Value::Text("subjects".into()))]).unwrap_err();
        assert_eq!(failure.message, "24 stimuli in 9 folds, expected at least 3 in each");
    }
}
