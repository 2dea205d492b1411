//! The tables of comparisons: what models reach, with errors and tests corrected for their family, and how models differ.
//!
//! Decides the families: the models of one group and measure for tests against 0 and against the ceiling, and all pairs of them for
//! differences. A p without correction stays beside Holm's and the false discovery rate, so that others can be computed.

use pipe_contract::{Column, Failure};
use polars::prelude::DataFrame;

use super::comparison_inference::{Bootstrapped, RdmError};
use super::comparison_inputs::{ComparisonGroup, MEASURES, RdmMeasure};
use crate::formats::data_table::{DataTable, STAMP};
use crate::numeric::multiple_tests::{holm, share_reaching};
use crate::numeric::statistics::false_discovery;

/// What models reach.
pub(super) const MODEL_COLUMNS: &[Column] = &[
    Column::new("group", "the group of the data, a value of the column `by`; empty without one"),
    Column::new("measure", "how alike two RDMs are").levels(MEASURES),
    Column::new("model", "the model; of a combination its models, joined by +"),
    Column::measured(
        "similarity",
        "the measure",
        "the mean over subjects of the similarity of the model with the data; 0 of a combination in which no model has a weight",
    ),
    Column::measured(
        "se",
        "the measure",
        "its standard error from resamples; empty where nothing is resampled, or too little to tell it from what folds add",
    ),
    Column::measured("low", "the measure", "lower end of the interval, by Student's t"),
    Column::measured("high", "the measure", "upper end of the interval"),
    Column::new("level", "the share of the distribution that the interval holds"),
    Column::measured("ceiling_low", "the measure", "what a true model is expected to reach; empty of one subject"),
    Column::measured("ceiling_high", "the measure", "what no model exceeds"),
    Column::measured(
        "p",
        "probability",
        "of a similarity as high if the true one is 0 or less (one side); empty of cosines of data that are never negative, \
         where 0 is not what a wrong model reaches",
    ),
    Column::measured("p_holm", "probability", "p corrected by Holm's rule for all models of the group and measure"),
    Column::measured("q", "false discovery rate", "p by the rule of Benjamini and Hochberg over the same models"),
    Column::measured(
        "p_ceiling",
        "probability",
        "of a distance as large from the lower end of the ceiling if the true one is 0 (two sides)",
    ),
    Column::measured("p_ceiling_holm", "probability", "p_ceiling corrected by Holm's rule"),
    Column::measured("q_ceiling", "false discovery rate", "p_ceiling by the rule of Benjamini and Hochberg"),
    Column::measured(
        "p_permuted",
        "probability",
        "share of random orders of the models' stimuli with a similarity as high, this one included",
    ),
    Column::measured(
        "p_permuted_largest",
        "probability",
        "the same with the largest similarity of all models in each order, which corrects for all of them",
    ),
    Column::new("stimuli", "stimuli that are compared"),
    Column::new(
        "pairs",
        "pairs of them that are compared; of cross-validated scores all pairs, of which those within a fold are scored",
    ),
    Column::new("subjects", "subjects of the group"),
    Column::new("draws", "resamples that the error is from"),
    STAMP,
];

/// How models differ.
pub(super) const DIFFERENCE_COLUMNS: &[Column] = &[
    Column::new("group", "the group of the data, a value of the column `by`; empty without one"),
    Column::new("measure", "how alike two RDMs are").levels(MEASURES),
    Column::new("model", "the model"),
    Column::new("other", "the model that it is compared with"),
    Column::measured("difference", "the measure", "the similarity of the model less that of the other"),
    Column::measured(
        "se",
        "the measure",
        "its standard error from resamples, the same for both models; empty where nothing is resampled",
    ),
    Column::measured("low", "the measure", "lower end of the interval, by Student's t"),
    Column::measured("high", "the measure", "upper end of the interval"),
    Column::measured("p", "probability", "of a difference as large if the true one is 0 (two sides)"),
    Column::measured("p_holm", "probability", "p corrected by Holm's rule for all pairs of the group and measure"),
    Column::measured("q", "false discovery rate", "p by the rule of Benjamini and Hochberg over the same pairs"),
    STAMP,
];

/// A model in a group by a measure.
#[derive(Clone, Debug)]
pub(super) struct ModelRow {
    group: String,
    measure: RdmMeasure,
    model: String,
    similarity: f64,
    error: Option<RdmError>,
    interval: Option<(f64, f64)>,
    ceiling: [f64; 2],
    /// Not corrected, by Holm, false discovery rate.
    zero: [Option<f64>; 3],
    below_ceiling: [Option<f64>; 3],
    /// Of the model alone, and of the largest.
    permuted: [Option<f64>; 2],
    counts: [usize; 3],
}

/// Two models in a group by a measure.
#[derive(Clone, Debug)]
pub(super) struct DifferenceRow {
    group: String,
    measure: RdmMeasure,
    models: [String; 2],
    difference: f64,
    error: Option<RdmError>,
    interval: Option<(f64, f64)>,
    p: [Option<f64>; 3],
}

/// What is known of the models of a group by a measure.
pub(super) struct Compared<'a> {
    pub group: &'a ComparisonGroup,
    pub measure: RdmMeasure,
    /// The names of what is scored.
    pub names: Vec<String>,
    /// The scores, then the two ends of the ceiling.
    pub scores: Vec<f64>,
    pub bootstrapped: Option<Bootstrapped>,
    pub level: f64,
    /// By random order of stimuli, the scores of all; none where they are not permuted.
    pub permuted: Vec<Vec<f64>>,
}

impl Compared<'_> {
    fn error(&self, of: impl Fn(&[f64]) -> f64) -> Option<RdmError> {
        self.bootstrapped.as_ref().and_then(|bootstrapped| bootstrapped.error(of))
    }

    fn interval(&self, estimate: f64, error: Option<RdmError>) -> Option<(f64, f64)> {
        error.map(|error| error.interval(estimate, self.level))
    }

    /// A row a model.
    pub fn models(&self) -> Vec<ModelRow> {
        let count = self.names.len();
        let low = self.scores[count];
        let errors: Vec<Option<RdmError>> = (0..count).map(|at| self.error(|scores| scores[at])).collect();
        let has_zero = self.group.has_zero(self.measure);
        let zero = family((0..count).map(|at| errors[at].filter(|_| has_zero)?.p_above(self.scores[at])));
        let to_ceiling = |at: usize| {
            let distance = self.scores[at] - low;
            if distance.is_nan() { None } else { self.error(|scores| scores[at] - scores[count])?.p_differs(distance) }
        };
        let below_ceiling = family((0..count).map(to_ceiling));
        let pairs = self.group.present.iter().filter(|present| **present).count();
        let row = |at: usize| ModelRow {
            group: self.group.name.clone(),
            measure: self.measure,
            model: self.names[at].clone(),
            similarity: self.scores[at],
            error: errors[at],
            interval: self.interval(self.scores[at], errors[at]),
            ceiling: [low, self.scores[count + 1]],
            zero: zero[at],
            below_ceiling: below_ceiling[at],
            permuted: self.permuted(at),
            counts: [self.group.stimuli.len(), pairs, self.group.subjects.len()],
        };
        (0..count).map(row).collect()
    }

    fn permuted(&self, at: usize) -> [Option<f64>; 2] {
        if self.permuted.is_empty() {
            return [None; 2];
        }
        let largest = |scores: &Vec<f64>| scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let own = share_reaching(self.scores[at], self.permuted.iter().map(|scores| scores[at]));
        [Some(own), Some(share_reaching(self.scores[at], self.permuted.iter().map(largest)))]
    }

    /// A row a pair of some of the models.
    pub fn differences(&self, of: &[usize]) -> Vec<DifferenceRow> {
        let pairs: Vec<[usize; 2]> = of
            .iter()
            .enumerate()
            .flat_map(|(place, one)| of[place + 1..].iter().map(move |other| [*one, *other]))
            .collect();
        let errors: Vec<Option<RdmError>> =
            pairs.iter().map(|[one, other]| self.error(|scores| scores[*one] - scores[*other])).collect();
        let difference = |[one, other]: &[usize; 2]| self.scores[*one] - self.scores[*other];
        let p = family(pairs.iter().zip(&errors).map(|(pair, error)| (*error)?.p_differs(difference(pair))));
        let row = |(at, pair): (usize, &[usize; 2])| DifferenceRow {
            group: self.group.name.clone(),
            measure: self.measure,
            models: pair.map(|model| self.names[model].clone()),
            difference: difference(pair),
            error: errors[at],
            interval: self.interval(difference(pair), errors[at]),
            p: p[at],
        };
        pairs.iter().enumerate().map(row).collect()
    }
}

/// Probabilities of a family: as they are, by Holm, as false discovery rates.
fn family(p: impl Iterator<Item = Option<f64>>) -> Vec<[Option<f64>; 3]> {
    let p: Vec<f64> = p.map(|p| p.unwrap_or(f64::NAN)).collect();
    let (corrected, rates) = (holm(&p), false_discovery(&p));
    let some = |number: f64| (!number.is_nan()).then_some(number);
    (0..p.len()).map(|at| [some(p[at]), some(corrected[at]), some(rates[at])]).collect()
}

/// The table of models.
///
/// # Errors
/// Internal: columns do not fit.
pub(super) fn model_table(rows: &[ModelRow], level: f64, simulated: bool) -> Result<DataFrame, Failure> {
    let some = |number: f64| (!number.is_nan()).then_some(number);
    let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let count = |at: usize| rows.iter().map(move |row| whole(row.counts[at]));
    DataTable::of(MODEL_COLUMNS)
        .text("group", rows.iter().map(|row| row.group.as_str()))
        .text("measure", rows.iter().map(|row| row.measure.word()))
        .text("model", rows.iter().map(|row| row.model.as_str()))
        .numbers("similarity", rows.iter().map(|row| row.similarity))
        .optional_numbers("se", rows.iter().map(|row| Some(row.error?.se)))
        .optional_numbers("low", rows.iter().map(|row| Some(row.interval?.0)))
        .optional_numbers("high", rows.iter().map(|row| Some(row.interval?.1)))
        .optional_numbers("level", rows.iter().map(|row| row.interval.map(|_| level)))
        .optional_numbers("ceiling_low", rows.iter().map(|row| some(row.ceiling[0])))
        .optional_numbers("ceiling_high", rows.iter().map(|row| some(row.ceiling[1])))
        .optional_numbers("p", rows.iter().map(|row| row.zero[0]))
        .optional_numbers("p_holm", rows.iter().map(|row| row.zero[1]))
        .optional_numbers("q", rows.iter().map(|row| row.zero[2]))
        .optional_numbers("p_ceiling", rows.iter().map(|row| row.below_ceiling[0]))
        .optional_numbers("p_ceiling_holm", rows.iter().map(|row| row.below_ceiling[1]))
        .optional_numbers("q_ceiling", rows.iter().map(|row| row.below_ceiling[2]))
        .optional_numbers("p_permuted", rows.iter().map(|row| row.permuted[0]))
        .optional_numbers("p_permuted_largest", rows.iter().map(|row| row.permuted[1]))
        .integers("stimuli", count(0))
        .integers("pairs", count(1))
        .integers("subjects", count(2))
        .integers("draws", rows.iter().map(|row| whole(row.error.map_or(0, |error| error.draws))))
        .stamped(simulated)
        .build()
}

/// The table of differences.
///
/// # Errors
/// Internal: columns do not fit.
pub(super) fn difference_table(rows: &[DifferenceRow], simulated: bool) -> Result<DataFrame, Failure> {
    DataTable::of(DIFFERENCE_COLUMNS)
        .text("group", rows.iter().map(|row| row.group.as_str()))
        .text("measure", rows.iter().map(|row| row.measure.word()))
        .text("model", rows.iter().map(|row| row.models[0].as_str()))
        .text("other", rows.iter().map(|row| row.models[1].as_str()))
        .numbers("difference", rows.iter().map(|row| row.difference))
        .optional_numbers("se", rows.iter().map(|row| Some(row.error?.se)))
        .optional_numbers("low", rows.iter().map(|row| Some(row.interval?.0)))
        .optional_numbers("high", rows.iter().map(|row| Some(row.interval?.1)))
        .optional_numbers("p", rows.iter().map(|row| row.p[0]))
        .optional_numbers("p_holm", rows.iter().map(|row| row.p[1]))
        .optional_numbers("q", rows.iter().map(|row| row.p[2]))
        .stamped(simulated)
        .build()
}
