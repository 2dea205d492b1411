//! `encode/best`: which feature space alone explains each response best, and where on the way through the spaces it lies.
//!
//! Only models of one space are compared. A response that no space explains has no best one, and one that several explain equally well
//! (within a tolerance) is tied: neither is decided by the order in which spaces are written, which a map would show as a region. The
//! weighted mean rank uses all scores instead of the highest: ranks are the places of spaces in their written order, such as layers,
//! from 0, weights are R2, and those below 0 count as 0. `compat: lab08` takes the first highest score, whatever it is.

use pipe_contract::{Arity, Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};

use super::regions::{self, ResponseRegion};
use crate::declared::lab_compat::LabCompat;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::matrix::MatrixAxis;
use crate::numeric::counts::real;
use crate::numeric::statistics::quantile;

/// The kind.
pub(super) struct BestSpace;

parameters! {
    struct Parameters {
        /// scores that differ by no more than this are tied
        tolerance: f64 = 0.0, in 0.0..=1.0;
        /// a response whose highest score is not above this has no best space
        above: f64 = 0.0, in -1.0..=1.0;
        /// `lab08`: as the lab, the first of the highest scores is the best, however low it is
        compat: LabCompat = LabCompat::None;
    }
}

impl StageKind for BestSpace {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "encode/best",
            1,
            "the feature space that explains each response best, and how many responses each does",
        )
        .input("scores", &["table/encoding"], "scores of models; those of a single space are compared")
        .port("regions", &["regions"], Arity::One, true, "regions to count in; all responses are counted in any case")
        .folder("table", "table", "a row a response")
        .described(data_table::FILES, COLUMNS)
        .folder("summary", "table/best", "a row a region and space")
        .described(data_table::FILES, SUMMARY)
        .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let folder = task.one("scores")?;
        let scores = Scores::read(folder).map_err(|failure| failure.at(folder.display().to_string()))?;
        let (regions, mut notes) = regions::read(task, &scores.responses)?;
        let best: Vec<Best> = (0..scores.responses.len()).map(|at| Best::of(&scores.of(at), &parameters)).collect();
        let count = |is: fn(&Best) -> bool| best.iter().filter(|best| is(best)).count();
        let (tied, none) = (count(|best| best.tied.len() > 1), count(|best| best.tied.is_empty()));
        if tied + none > 0 {
            let all = best.len();
            let mark = if real(tied) > 0.01 * real(all) { IMPORTANT } else { "" };
            notes.push(format!("{mark}of {all} responses {tied} are tied and {none} are explained by no space"));
        }
        let mut table = table(&scores, &best, task.simulated)?;
        data_table::write(task.output("table")?, &mut table)?;
        let mut summary = summary(&scores, &best, &regions, task.simulated)?;
        data_table::write(task.output("summary")?, &mut summary)?;
        Ok(Ended::noted(notes))
    }
}

/// R2 of the models of a single space.
struct Scores {
    responses: MatrixAxis,
    /// In their written order.
    spaces: Vec<String>,
    /// By space, R2 of every response; none of a constant one.
    r2: Vec<Vec<Option<f64>>>,
}

impl Scores {
    fn read(folder: &std::path::Path) -> Result<Self, Failure> {
        let table = data_table::read(folder)?;
        let (ids, models) = (data_table::texts(&table, "id")?, data_table::texts(&table, "model")?);
        let (counts, r2) = (data_table::integers(&table, "spaces")?, data_table::maybe_numbers(&table, "r2")?);
        let single = || (0..ids.len()).filter(|row| counts[*row] == 1);
        let mut spaces: Vec<String> = Vec::new();
        for row in single() {
            if !spaces.contains(&models[row]) {
                spaces.push(models[row].clone());
            }
        }
        let Some(first) = spaces.first() else {
            return Err(Failure::input("there is no model of a single space, expected at least one")
                .hint("fit them: `models: single` or `models: all`"));
        };
        let responses = MatrixAxis::of_ids(single().filter(|row| models[*row] == *first).map(|row| ids[row].as_str()))?;
        let mut found: Vec<Vec<Option<Option<f64>>>> = vec![vec![None; responses.len()]; spaces.len()];
        for row in single() {
            let space = spaces.iter().position(|space| *space == models[row]).unwrap_or(0);
            let place = responses.position(&ids[row]).map(|at| &mut found[space][at]);
            if place.is_none_or(|place| place.replace(r2[row]).is_some()) {
                let (id, model) = (&ids[row], &models[row]);
                return Err(Failure::input(format!(
                    "`{id}` has another number of scores by `{model}` than by `{first}`"
                )));
            }
        }
        let whole = |(space, found): (&String, Vec<Option<Option<f64>>>)| {
            found.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| {
                Failure::input(format!("some responses have a score by `{first}` and none by `{space}`"))
            })
        };
        let r2 = spaces.iter().zip(found).map(whole).collect::<Result<_, Failure>>()?;
        Ok(Self { responses, spaces, r2 })
    }

    fn of(&self, response: usize) -> Vec<Option<f64>> {
        self.r2.iter().map(|r2| r2[response]).collect()
    }
}

/// The outcome for one response.
#[derive(Debug, PartialEq)]
struct Best {
    /// The best spaces, by their places: one, several that are tied, or none.
    tied: Vec<usize>,
    /// The highest score.
    r2: Option<f64>,
    mean_rank: Option<f64>,
}

impl Best {
    fn of(scores: &[Option<f64>], parameters: &Parameters) -> Self {
        let highest = scores.iter().copied().flatten().reduce(f64::max);
        let lab08 = parameters.compat == LabCompat::Lab08;
        let within = |highest: f64| match lab08 {
            true => scores.iter().position(|score| *score == Some(highest)).into_iter().collect(),
            false if highest <= parameters.above => Vec::new(),
            false => {
                let is_best = |at: &usize| scores[*at].is_some_and(|score| score >= highest - parameters.tolerance);
                (0..scores.len()).filter(is_best).collect()
            }
        };
        let weights = || scores.iter().map(|score| score.unwrap_or(0.0).max(0.0));
        let sum: f64 = weights().sum();
        let ranks: f64 = weights().enumerate().map(|(rank, weight)| real(rank) * weight).sum();
        Self { tied: highest.map_or_else(Vec::new, within), r2: highest, mean_rank: (sum > 0.0).then(|| ranks / sum) }
    }

    /// The one best space.
    fn only(&self) -> Option<usize> {
        match self.tied.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }
}

fn table(scores: &Scores, best: &[Best], simulated: bool) -> Result<polars::prelude::DataFrame, Failure> {
    let name = |best: &Best| best.only().map(|at| scores.spaces[at].as_str());
    let tied = |best: &Best| match best.tied.as_slice() {
        [] | [_] => None,
        tied => Some(tied.iter().map(|at| scores.spaces[*at].as_str()).collect::<Vec<_>>().join("+")),
    };
    DataTable::of(COLUMNS)
        .text("id", scores.responses.ids().iter().map(String::as_str))
        .optional_texts("best", best.iter().map(name))
        .optional_numbers("rank", best.iter().map(|best| best.only().map(real)))
        .optional_numbers("r2", best.iter().map(|best| best.r2))
        .optional_texts("tied", best.iter().map(tied))
        .optional_numbers("mean_rank", best.iter().map(|best| best.mean_rank))
        .stamped(simulated)
        .build()
}

fn summary(
    scores: &Scores,
    best: &[Best],
    regions: &[ResponseRegion],
    simulated: bool,
) -> Result<polars::prelude::DataFrame, Failure> {
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let rows = || regions.iter().flat_map(move |region| (0..scores.spaces.len()).map(move |space| (region, space)));
    let count = |region: &ResponseRegion, is: &dyn Fn(&Best) -> bool| {
        whole(region.members.iter().filter(|at| is(&best[**at])).count())
    };
    let values: Vec<Vec<f64>> = rows()
        .map(|(region, space)| {
            let mut values: Vec<f64> = region.members.iter().filter_map(|at| scores.r2[space][*at]).collect();
            values.sort_by(f64::total_cmp);
            values
        })
        .collect();
    DataTable::of(SUMMARY)
        .text("region", rows().map(|(region, _)| region.name.as_str()))
        .text("space", rows().map(|(_, space)| scores.spaces[space].as_str()))
        .integers("rank", rows().map(|(_, space)| whole(space)))
        .integers("n", rows().map(|(region, _)| whole(region.members.len())))
        .integers("n_best", rows().map(|(region, space)| count(region, &|best| best.only() == Some(space))))
        .integers(
            "n_tied",
            rows().map(|(region, space)| count(region, &|best| best.tied.len() > 1 && best.tied.contains(&space))),
        )
        .integers("n_none", rows().map(|(region, _)| count(region, &|best| best.tied.is_empty())))
        .optional_numbers("min_r2", values.iter().map(|values| values.first().copied()))
        .optional_numbers("median_r2", values.iter().map(|values| (!values.is_empty()).then(|| quantile(values, 0.5))))
        .optional_numbers("max_r2", values.iter().map(|values| values.last().copied()))
        .stamped(simulated)
        .build()
}

/// What is in the table of responses.
const COLUMNS: &[Column] = &[
    Column::new("id", "the response: a voxel, vertex or neuron"),
    Column::new(
        "best",
        "the space whose model has the highest R2; empty where several are tied or none explains anything",
    ),
    Column::new("rank", "its place in the written order of spaces, from 0"),
    Column::measured("r2", "share of variance", "the highest R2 of a single space; empty for a constant response"),
    Column::new("tied", "the spaces that are tied, joined by +; empty where none are"),
    Column::measured(
        "mean_rank",
        "places",
        "mean of the places of all spaces, weighted by R2; empty where none is above 0",
    ),
    STAMP,
];

/// What is in the summary.
const SUMMARY: &[Column] = &[
    Column::new("region", "the region; `all` has all responses"),
    Column::new("space", "the feature space"),
    Column::new("rank", "its place in the written order of spaces, from 0"),
    Column::new("n", "responses in the region"),
    Column::new("n_best", "of these, how many it is the best space of"),
    Column::new("n_tied", "how many it is one of several best spaces of"),
    Column::new("n_none", "how many have no best space, the same for all spaces"),
    Column::measured("min_r2", "share of variance", "the smallest R2 of its model"),
    Column::measured("median_r2", "share of variance", "the median R2"),
    Column::measured("max_r2", "share of variance", "the largest R2"),
    STAMP,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks;
    use pipe_contract::Value;

    fn parameters(tolerance: f64, above: f64, compat: LabCompat) -> Parameters {
        Parameters { tolerance, above, compat }
    }

    #[test]
    fn ties_and_what_nothing_explains_have_no_best_space() {
        let best = |scores: &[f64], parameters: &Parameters| {
            Best::of(&scores.iter().map(|score| Some(*score)).collect::<Vec<_>>(), parameters)
        };
        let sound = parameters(0.01, 0.0, LabCompat::None);
        assert_eq!(best(&[0.1, 0.3, 0.2], &sound).only(), Some(1));
        let tied = best(&[0.195, 0.1, 0.2], &sound);
        assert_eq!((tied.tied.as_slice(), tied.only(), tied.r2), ([0, 2].as_slice(), None, Some(0.2)));
        assert!(best(&[-0.1, 0.0], &sound).tied.is_empty());
        assert_eq!(best(&[-0.1, -0.2], &parameters(0.0, -0.15, LabCompat::None)).only(), Some(0));
        let lab = parameters(0.01, 0.0, LabCompat::Lab08);
        assert_eq!((best(&[0.195, 0.1, 0.2], &lab).only(), best(&[-0.2, -0.1, -0.1], &lab).only()), (Some(2), Some(1)));
        assert_eq!(Best::of(&[None, None], &lab), Best { tied: vec![], r2: None, mean_rank: None });
    }

    #[test]
    fn the_mean_rank_is_weighted_by_what_is_explained() {
        let rank = |scores: &[f64]| {
            Best::of(
                &scores.iter().map(|score| Some(*score)).collect::<Vec<_>>(),
                &parameters(0.0, 0.0, LabCompat::None),
            )
            .mean_rank
        };
        assert!((rank(&[0.1, 0.0, 0.3]).unwrap() - 1.5).abs() < 1e-15);
        assert!((rank(&[0.1, -5.0, 0.1]).unwrap() - 1.0).abs() < 1e-15);
        assert_eq!(rank(&[-0.1, 0.0]), None);
    }

    #[test]
    fn runs_from_scores_to_counts() {
        let folder = tempfile::tempdir().unwrap();
        let rows = [("a", 1, [0.4, 0.1, -0.1]), ("b", 1, [0.2, 0.1, -0.3]), ("a+b", 2, [0.5, 0.2, 0.0])];
        let cells = || rows.iter().flat_map(|row| (0..3).map(move |at| (row, at)));
        let scores = DataTable::new()
            .text("id", cells().map(|(_, at)| format!("v{at}")))
            .text("model", cells().map(|(row, _)| row.0))
            .integers("spaces", cells().map(|(row, _)| row.1))
            .optional_numbers("r2", cells().map(|(row, at)| Some(row.2[at])));
        data_table::write(&folder.path().join("scores"), &mut scores.build().unwrap()).unwrap();
        let regions = DataTable::new().text("region", ["V1", "V1", "V2"]).text("id", ["v0", "v2", "v9"]);
        data_table::write(&folder.path().join("given"), &mut regions.build().unwrap()).unwrap();
        let mut task = tasks::task(&BestSpace, folder.path());
        tasks::give(&mut task, "scores", &folder.path().join("scores"));
        tasks::give(&mut task, "regions", &folder.path().join("given"));
        let notes = tasks::run(&BestSpace, &task).unwrap();
        assert_eq!(
            notes,
            [
                "important: no response lies in `V2`: n is 0 there, without values",
                "important: of 3 responses 1 are tied and 1 are explained by no space"
            ]
        );
        let csv = |port: &str| fs_err::read_to_string(task.output(port).unwrap().join(data_table::CSV)).unwrap();
        assert_eq!(
            csv("table"),
            "id,best,rank,r2,tied,mean_rank\nv0,a,0.0,0.4,,0.3333333333333333\nv1,,,0.1,a+b,0.5\nv2,,,-0.1,,\n"
        );
        let summary = csv("summary");
        assert!(summary.contains("\nV1,a,0,2,1,0,1,-0.1,0.15,0.4\n"), "{summary}");
        assert!(
            summary.contains("\nV2,b,1,0,0,0,0,,,\n") && summary.contains("\nall,b,1,3,0,1,1,-0.3,0.1,0.2\n"),
            "{summary}"
        );
        tasks::set(&mut task, "compat", Value::Text("lab08".into()));
        assert_eq!(tasks::run(&BestSpace, &task).unwrap().len(), 1);
        assert!(
            fs_err::read_to_string(task.output("summary").unwrap().join(data_table::CSV))
                .unwrap()
                .contains("\nall,a,0,3,3,0,0,")
        );
    }
}
