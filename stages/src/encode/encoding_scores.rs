//! The table `table/encoding`: how well each model predicts each response, and with which penalty.
//!
//! Decides its columns, which rows have no value (a constant response, a ceiling below the floor), and what is worth a note.

use std::path::Path;

use pipe_contract::{Column as Described, Failure, IMPORTANT};
use polars::prelude::DataFrame;

use super::agreement::Agreement;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::matrix::MatrixAxis;
use crate::formats::predictions::Model;
use crate::numeric::counts::real;

/// The columns.
pub(super) const COLUMNS: &[Described] = &[
    Described::new("id", "the response"),
    Described::new("model", "the model: its feature spaces, joined by +"),
    Described::new("spaces", "how many feature spaces it has"),
    Described::new("n_features", "how many features it has"),
    Described::measured(
        "r2",
        "share of variance",
        "1 - squared errors / squares about the mean, of the test rows of all folds; none for a constant response",
    ),
    Described::measured(
        "correlation",
        "correlation",
        "Pearson's, of observed and predicted test rows of all folds; none if either is constant",
    ),
    Described::measured("ceiling", "share of variance", "the share of variance that any model could explain, as given"),
    Described::measured(
        "r2_of_ceiling",
        "share of the ceiling",
        "r2 / ceiling; none where the ceiling is below the floor",
    ),
    Described::measured(
        "penalty",
        "squared features",
        "the penalty that was chosen, of standardised features where these are; over several folds the median one, the lower of two",
    ),
    Described::measured(
        "choice_loss",
        "squared responses",
        "the mean squared error by which the penalty was chosen (for `gcv` its criterion), mean over inner and outer folds; none with a shared penalty",
    ),
    Described::new("at_edge", "the lowest or highest penalty that was tried was chosen, in some fold"),
    STAMP,
];

/// What is known of one response by one model.
#[derive(Clone, Debug, Default)]
pub(super) struct Fitted {
    pub agreement: Agreement,
    /// The penalty of each fold, as its place in the list.
    pub chosen: Vec<u32>,
    /// Sum over folds of the loss at the penalty; none if it was not computed.
    pub loss: Option<f64>,
}

/// What a model says of a response in one fold.
pub(super) struct FittedFold {
    pub chosen: u32,
    pub loss: Option<f64>,
    pub agreement: Agreement,
}

impl Fitted {
    /// Adds a fold.
    pub fn add(&mut self, fold: FittedFold) {
        self.agreement = self.agreement.and(fold.agreement);
        self.chosen.push(fold.chosen);
        self.loss = fold.loss.map(|loss| loss + self.loss.unwrap_or(0.0));
    }
}

/// The rows of the table.
pub(super) struct Rows<'a> {
    pub models: &'a [Model],
    /// How many features each model has.
    pub widths: &'a [usize],
    /// By model, then by response.
    pub fitted: &'a [Vec<Fitted>],
}

/// The ceilings of the responses.
pub(super) struct Ceilings {
    /// By response.
    pub values: Option<Vec<Option<f64>>>,
    /// Below it nothing is divided by a ceiling.
    pub floor: f64,
}

impl Ceilings {
    /// Joins a table with the columns `id` and `ceiling` to responses.
    ///
    /// # Errors
    /// Input: not such a table, a response that it lacks, or a ceiling that is not a share.
    pub fn read(table: Option<&Path>, responses: &MatrixAxis, floor: f64) -> Result<Self, Failure> {
        let read = |path: &Path| {
            let frame = data_table::read(path)?;
            let values = shares(&frame)?;
            let places = MatrixAxis::new(frame)?.positions_of(responses.ids(), "responses")?;
            Ok(places.into_iter().map(|place| values[place]).collect())
        };
        let values = table.map(|path| read(path).map_err(|failure: Failure| failure.at(path.display().to_string())));
        Ok(Self { values: values.transpose()?, floor })
    }

    /// The ceiling of a response.
    pub fn of(&self, response: usize) -> Option<f64> {
        self.values.as_ref().and_then(|values| values[response])
    }

    /// A score as a share of the ceiling of its response; none where that is too low.
    pub fn share(&self, response: usize, score: Option<f64>) -> Option<f64> {
        let ceiling = self.of(response).filter(|ceiling| *ceiling >= self.floor && *ceiling > 0.0)?;
        Some(score? / ceiling)
    }
}

/// The column `ceiling`, numbers or whole numbers; none where it has no value or is NaN.
fn shares(table: &DataFrame) -> Result<Vec<Option<f64>>, Failure> {
    let values = data_table::maybe_any_numbers(table, "ceiling")?;
    let is_share = |value: f64| (0.0..=1.0 + 1e-6).contains(&value);
    let values: Vec<Option<f64>> = values.into_iter().map(|value| value.filter(|value| !value.is_nan())).collect();
    match values.iter().flatten().find(|value| !is_share(**value)) {
        None => Ok(values),
        Some(other) => Err(Failure::input(format!("found a ceiling of {other}, expected shares of variance, 0 to 1"))
            .hint("is it in percent? divide the column by 100")),
    }
}

/// Writes the table.
///
/// # Errors
/// Environment: a file cannot be written.
pub(super) fn write(
    folder: &Path,
    responses: &MatrixAxis,
    Rows { models, widths, fitted }: &Rows<'_>,
    penalties: &ChosenPenalties<'_>,
    ceilings: &Ceilings,
    simulated: bool,
) -> Result<(), Failure> {
    let rows = || {
        fitted
            .iter()
            .enumerate()
            .flat_map(|(model, rows)| rows.iter().enumerate().map(move |(at, row)| (model, at, row)))
    };
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let names: Vec<String> = models.iter().map(Model::name).collect();
    let table = DataTable::of(COLUMNS)
        .text("id", rows().map(|(_, at, _)| responses.ids()[at].as_str()))
        .text("model", rows().map(|(model, ..)| names[model].as_str()))
        .integers("spaces", rows().map(|(model, ..)| whole(models[model].spaces.len())))
        .integers("n_features", rows().map(|(model, ..)| whole(widths[model])))
        .optional_numbers("r2", rows().map(|(.., row)| row.agreement.r2()))
        .optional_numbers("correlation", rows().map(|(.., row)| row.agreement.correlation()))
        .optional_numbers("ceiling", rows().map(|(_, at, _)| ceilings.of(at)))
        .optional_numbers("r2_of_ceiling", rows().map(|(_, at, row)| ceilings.share(at, row.agreement.r2())))
        .numbers("penalty", rows().map(|(.., row)| penalties.median(&row.chosen)))
        .optional_numbers("choice_loss", rows().map(|(.., row)| row.loss.map(|loss| loss / real(row.chosen.len()))))
        .flags("at_edge", rows().map(|(.., row)| penalties.at_edge(&row.chosen)));
    data_table::write(folder, &mut table.stamped(simulated).build()?)
}

/// A penalty that is no more than this share of an eigenvalue leaves the weights along its axis as they are.
const NEGLIGIBLE: f64 = 0.01;

/// The penalties that were tried, in order.
pub(super) struct ChosenPenalties<'a>(pub &'a [f64]);

impl ChosenPenalties<'_> {
    fn median(&self, chosen: &[u32]) -> f64 {
        let mut values: Vec<f64> = chosen.iter().map(|at| self.0[*at as usize]).collect();
        values.sort_by(f64::total_cmp);
        values[(values.len() - 1) / 2]
    }

    fn at_edge(&self, chosen: &[u32]) -> bool {
        self.0.len() > 1 && chosen.iter().any(|at| self.is_lowest(*at) || self.is_highest(*at))
    }

    fn is_lowest(&self, at: u32) -> bool {
        self.0.iter().all(|penalty| *penalty >= self.0[at as usize])
    }

    fn is_highest(&self, at: u32) -> bool {
        self.0.iter().all(|penalty| *penalty <= self.0[at as usize])
    }

    /// A sentence for each end of the grid that more than a share of the responses of a model chose. The lowest penalty is as good as none
    /// where it takes no more than [`NEGLIGIBLE`] of the least eigenvalue of the features off any weight: lower ones would change
    /// nothing, and it is not noted. Without that eigenvalue it always is.
    pub fn notes(&self, model: &str, fitted: &[Fitted], most: f64, least_eigenvalue: Option<f64>) -> Vec<String> {
        let varying: Vec<&Fitted> = fitted.iter().filter(|row| row.agreement.r2().is_some()).collect();
        if self.0.len() < 2 || varying.is_empty() {
            return Vec::new();
        }
        let lowest = |at: u32| self.is_lowest(at);
        let highest = |at: u32| self.is_highest(at);
        let ends: [(&str, &dyn Fn(u32) -> bool); 2] = [("lowest", &lowest), ("highest", &highest)];
        let note = |(end, is): (&str, &dyn Fn(u32) -> bool)| {
            let count = varying.iter().filter(|row| row.chosen.iter().any(|at| is(*at))).count();
            let penalty = self.0.iter().copied().reduce(if end == "lowest" { f64::min } else { f64::max })?;
            let negligible = end == "lowest" && least_eigenvalue.is_some_and(|least| penalty <= NEGLIGIBLE * least);
            (!negligible && real(count) > most * real(varying.len())).then(|| {
                let all = varying.len();
                format!(
                    "{IMPORTANT}{model}: {count} of {all} responses chose the {end} penalty that was tried, {penalty:e}"
                )
            })
        };
        ends.into_iter().filter_map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_are_shares_by_id() {
        let folder = tempfile::tempdir().unwrap();
        let responses = MatrixAxis::of_ids(["v1", "v2", "v3"]).unwrap();
        let read = |table: DataTable| {
            let table = table.text("id", ["v3", "v2", "v1"]);
            data_table::write(folder.path(), &mut table.build().unwrap()).unwrap();
            Ceilings::read(Some(folder.path()), &responses, 0.1)
        };
        let ceilings = read(DataTable::new().optional_numbers("ceiling", [Some(f64::NAN), None, Some(0.4)])).unwrap();
        assert_eq!([0, 1, 2].map(|at| ceilings.of(at)), [Some(0.4), None, None]);
        assert_eq!([0, 1].map(|at| ceilings.share(at, Some(0.1))), [Some(0.25), None]);
        let whole = read(DataTable::new().integers("ceiling", [0, 0, 1])).unwrap();
        assert_eq!((whole.share(0, Some(0.5)), whole.share(1, Some(0.5))), (Some(0.5), None));
        let failure = read(DataTable::new().numbers("ceiling", [0.4, 35.2, 0.5])).err().unwrap();
        assert_eq!(failure.message, "found a ceiling of 35.2, expected shares of variance, 0 to 1");
        assert_eq!(failure.hint.as_deref(), Some("is it in percent? divide the column by 100"));
        let failure = read(DataTable::new().text("ceiling", ["a", "b", "c"])).err().unwrap();
        assert!(failure.message.contains("expected column `ceiling` to hold f64"), "{failure}");
    }

    #[test]
    fn penalties_over_folds_and_ends() {
        let penalties = ChosenPenalties(&[10.0, 1.0, 100.0]);
        assert_eq!((penalties.median(&[0, 2]), penalties.median(&[2, 1, 2])), (10.0, 100.0));
        assert!(penalties.at_edge(&[0, 1]) && penalties.at_edge(&[2]) && !penalties.at_edge(&[0, 0]));
        assert!(!ChosenPenalties(&[3.0]).at_edge(&[0]));
        let agreement = Agreement::of(&[1.0, 2.0], &[1.0, 2.0]);
        let row = |at| Fitted { agreement, chosen: vec![at], loss: None };
        let fitted: Vec<Fitted> = [0, 0, 0, 1].map(row).into();
        let expected = "important: A: 1 of 4 responses chose the lowest penalty that was tried, 1e0";
        assert_eq!(penalties.notes("A", &fitted, 0.2, None), [expected]);
        assert!(penalties.notes("A", &fitted, 0.25, None).is_empty());
        // Next to an eigenvalue of 100 a penalty of 1 is as good as none.
        assert_eq!(penalties.notes("A", &fitted, 0.2, Some(99.0)), [expected]);
        assert!(penalties.notes("A", &fitted, 0.2, Some(100.0)).is_empty());
        let highest: Vec<Fitted> = [2, 2, 0, 2].map(row).into();
        assert_eq!(penalties.notes("A", &highest, 0.2, Some(1e9)).len(), 1);
    }
}
