//! `score/summary`: mean scores of held-out subjects, one row per tag, label and hemisphere, so that a claim can name a cell.
//!
//! Decides what is averaged: all scores of a tag and label (each subject counts once per rater and hemisphere), per hemisphere as in
//! the published figures and over both. Intervals are those figures': mean plus and minus the standard error times a
//! multiplier that corrects for the number of intervals shown.

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task};
use polars::prelude::DataFrame;

use crate::declared::held_out_inputs::{self, Comparisons};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::score_table::{
    self, DATASET_COLUMN, DICE_UNIT, HIGH_COLUMN, HeldOut, LABEL_COLUMN, LEVEL_COLUMN, LOW_COLUMN, PARCELLATION_COLUMN,
    REGION_COLUMN, TAG_COLUMN,
};
use crate::numeric::statistics::{Spread, confidence, error_multiplier};

/// The kind.
pub(super) struct ScoreSummary;

impl StageKind for ScoreSummary {
    fn kind(&self) -> Kind {
        let kind = Kind::new("score/summary", 2, "Mean scores of held-out subjects per tag and label, with intervals");
        let kind = held_out_inputs::declare(kind, "score tables of subjects")
            .folder(
                "table",
                "table/summary",
                "one row per dataset, tag, label and hemisphere (both, lh, rh), in the order of the published figures: parcellation, \
                 tag, label, dataset, region (what the label is), hemisphere, n_subjects, n_scores (subjects times raters times \
                 hemispheres), dice (mean), sd, se, low, high, level (that of the interval from low to high, corrected for the \
                 number of intervals in the published figure)",
            )
            .described(data_table::FILES, COLUMNS)
            .aggregating()
            .parameters::<Comparisons>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let (scores, notes) = held_out_inputs::read(task)?;
        let comparisons = task.parameters::<Comparisons>()?.of(&scores.parcellation);
        let z = error_multiplier(comparisons);
        context.log(&format!(
            "{} held-out subjects; intervals are {z:.6} standard errors each way",
            scores.subjects.len()
        ));
        let mut frame = summary(&scores, comparisons, task.simulated)?;
        data_table::write(task.output("table")?, &mut frame)?;
        Ok(Ended::noted(notes).aggregating("table", scores.fewest_subjects()))
    }
}

/// What is in the table.
const COLUMNS: &[Column] = &[
    PARCELLATION_COLUMN,
    TAG_COLUMN,
    LABEL_COLUMN,
    DATASET_COLUMN,
    REGION_COLUMN,
    Column::new("hemisphere", "the hemisphere").levels(&[("both", "both together"), ("lh", "left"), ("rh", "right")]),
    Column::new("n_subjects", "subjects that have a score"),
    Column::new("n_scores", "scores: subjects times raters (or pairs of raters) times hemispheres"),
    Column::measured("dice", DICE_UNIT, "mean of the scores"),
    Column::measured("sd", DICE_UNIT, "standard deviation of the scores"),
    Column::measured("se", DICE_UNIT, "standard error of the mean, the scores taken as independent as in the paper"),
    LOW_COLUMN,
    HIGH_COLUMN,
    LEVEL_COLUMN,
    STAMP,
];

/// One row per column of the published figures that has scores, label and hemisphere.
fn summary(scores: &HeldOut, comparisons: u32, simulated: bool) -> Result<DataFrame, Failure> {
    let labels = scores.labels();
    let columns = scores.columns();
    let mut rows = Vec::new();
    for column in &columns {
        for label in &labels {
            for (name, hemisphere) in [("both", None), ("lh", Some("lh")), ("rh", Some("rh"))] {
                if let Some(spread) = Spread::of(&scores.values(column, label, hemisphere)) {
                    rows.push((column, label.as_str(), name, scores.subjects_with(column, label, hemisphere), spread));
                }
            }
        }
    }
    let level = confidence(comparisons);
    DataTable::of(COLUMNS)
        .text("parcellation", rows.iter().map(|_| scores.parcellation.as_str()))
        .text("tag", rows.iter().map(|row| row.0.1.as_str()))
        .text("label", rows.iter().map(|row| row.1))
        .text("dataset", rows.iter().map(|row| row.0.0.as_str()))
        .text("region", rows.iter().map(|row| score_table::region(&scores.parcellation, row.1)))
        .text("hemisphere", rows.iter().map(|row| row.2))
        .integers("n_subjects", rows.iter().map(|row| count(row.3)))
        .integers("n_scores", rows.iter().map(|row| count(row.4.count)))
        .scores("dice", rows.iter().map(|row| Some(row.4.mean)))
        .scores("sd", rows.iter().map(|row| Some(row.4.sd)))
        .scores("se", rows.iter().map(|row| Some(row.4.se)))
        .scores("low", rows.iter().map(|row| Some(row.4.bounds(comparisons).0)))
        .scores("high", rows.iter().map(|row| Some(row.4.bounds(comparisons).1)))
        .scores("level", rows.iter().map(|_| Some(level)))
        .stamped(simulated)
        .build()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::formats::score_table::Score;
    use crate::test_support::scores::{score, task_of_held_out};
    use crate::test_support::tasks;

    /// Two subjects, one rater, two models; the left hemisphere scores a tenth more than the right.
    fn held_out() -> HeldOut {
        let mut rows = Vec::new();
        for (sid, base) in [("a", 0.5), ("b", 0.7)] {
            for (tag, more) in [("prior", 0.0), ("anat", 0.1)] {
                for (hemisphere, side) in [("lh", 0.05), ("rh", -0.05)] {
                    for (label, sign) in [("1", 0.0), ("mean", -0.05)] {
                        rows.push(Score {
                            label: label.into(),
                            ..score(sid, hemisphere, tag, base + more + side + sign)
                        });
                    }
                }
            }
        }
        HeldOut {
            scores: rows,
            subjects: BTreeSet::from(["a".into(), "b".into()]),
            parcellation: "area".into(),
            split: data_table::SplitCounts::default(),
        }
    }

    #[test]
    fn one_row_per_tag_and_label_with_hand_computed_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let mut frame = summary(&held_out(), 1, true).unwrap();
        data_table::write(folder.path(), &mut frame).unwrap();
        let csv = fs_err::read_to_string(folder.path().join(data_table::CSV)).unwrap();
        insta::assert_snapshot!(csv.lines().take(7).collect::<Vec<_>>().join("\n"), @r"
        parcellation,tag,label,dataset,region,hemisphere,n_subjects,n_scores,dice,sd,se,low,high,level,simulated
        area,prior,1,HCP,V1,both,2,4,0.6,0.1118,0.0559,0.5441,0.6559,0.6827,true
        area,prior,1,HCP,V1,lh,2,2,0.65,0.1,0.0707,0.5793,0.7207,0.6827,true
        area,prior,1,HCP,V1,rh,2,2,0.55,0.1,0.0707,0.4793,0.6207,0.6827,true
        area,prior,mean,HCP,mean,both,2,4,0.55,0.1118,0.0559,0.4941,0.6059,0.6827,true
        area,prior,mean,HCP,mean,lh,2,2,0.6,0.1,0.0707,0.5293,0.6707,0.6827,true
        area,prior,mean,HCP,mean,rh,2,2,0.5,0.1,0.0707,0.4293,0.5707,0.6827,true
        ");
        assert_eq!(csv.lines().count(), 1 + 2 * 2 * 3);
    }

    #[test]
    fn the_fewest_subjects_behind_a_row_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let task = task_of_held_out(&ScoreSummary, folder.path());
        let behind = tasks::aggregated(&ScoreSummary, &task).unwrap();
        assert_eq!(behind, [("table".to_owned(), 1)].into(), "only one subject has a score of `func`");
    }
}
