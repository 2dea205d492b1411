//! `score/summary`: mean scores of held-out subjects, one row per tag and label, so that a claim can name a cell.
//!
//! Decides what is averaged: all scores of a tag and label (each subject counts once per rater and hemisphere), per hemisphere as in
//! the published figures and over both. Intervals are those figures': mean plus and minus the standard error times a
//! multiplier that corrects for the number of intervals shown.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, Type, Value};
use polars::prelude::DataFrame;
use serde::Deserialize;

use crate::formats::data_table::{self, Table};
use crate::formats::score_table::{self, HeldOut};
use crate::numeric::statistics::{Spread, error_multiplier};

/// The kind.
pub(super) struct Summary;

#[derive(Deserialize)]
struct Parameters {
    comparisons: u32,
}

impl StageKind for Summary {
    fn kind(&self) -> Kind {
        let kind = Kind::new("score/summary", 1, "Mean scores of held-out subjects per tag and label, with intervals")
            .gather("scores", &["table/scores"], "score tables of subjects")
            .input("split", &["split"], "who is held out (`partition` is `val`)")
            .folder(
                "table",
                "table/summary",
                "one row per dataset, tag and label: parcellation, tag, label, dataset, people, scores, dice, sd, se, low, high, \
                 then scores, dice, sd, se, low and high of lh and rh; in the order of the published figures",
            )
            .param(
                "comparisons",
                Type::Int(0, 10_000),
                Value::Int(0),
                "number of intervals for which widths are corrected; 0: as many as the published figure draws (28 for area, 22 for ring)",
            );
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { comparisons } = task.parameters()?;
        let (scores, notes) = super::held_out(task)?;
        let comparisons = if comparisons == 0 { score_table::comparisons(&scores.parcellation) } else { comparisons };
        let z = error_multiplier(comparisons);
        context.log(&format!(
            "{} held-out subjects; intervals are {z:.6} standard errors each way",
            scores.subjects.len()
        ));
        let mut frame = summary(&scores, comparisons, task.simulated)?;
        data_table::write(task.output("table")?, &mut frame)?;
        Ok(Ended::Done { ran_on: None, notes })
    }
}

/// One row per column of the published figures that has scores, and label.
fn summary(scores: &HeldOut, comparisons: u32, simulated: bool) -> Result<DataFrame, Failure> {
    let labels = scores.labels();
    let columns = scores.columns();
    let cells: Vec<_> = columns
        .iter()
        .flat_map(|column| labels.iter().map(move |label| (column, label.as_str())))
        .filter(|(column, label)| !scores.values(column, label, None).is_empty())
        .collect();
    let subjects = cells.iter().map(|(column, label)| count(scores.subjects_with(column, label)));
    let mut table = Table::new()
        .text("parcellation", cells.iter().map(|_| scores.parcellation.as_str()))
        .text("tag", cells.iter().map(|(column, _)| column.1.as_str()))
        .text("label", cells.iter().map(|(_, label)| *label))
        .text("dataset", cells.iter().map(|(column, _)| column.0.as_str()))
        .integers("people", subjects);
    for (hemisphere, end) in [(None, ""), (Some("lh"), "_lh"), (Some("rh"), "_rh")] {
        let spreads: Vec<Option<Spread>> =
            cells.iter().map(|(column, label)| Spread::of(&scores.values(column, label, hemisphere))).collect();
        let numbers = |number: fn(&Spread) -> f64| spreads.iter().map(move |spread| spread.as_ref().map(number));
        let bounds = |side: fn((f64, f64)) -> f64| {
            spreads.iter().map(move |spread| spread.as_ref().map(|spread| side(spread.bounds(comparisons))))
        };
        table = table
            .integers(
                &format!("scores{end}"),
                spreads.iter().map(|spread| spread.map_or(0, |spread| count(spread.count))),
            )
            .optional_numbers(&format!("dice{end}"), numbers(|spread| spread.mean))
            .optional_numbers(&format!("sd{end}"), numbers(|spread| spread.sd))
            .optional_numbers(&format!("se{end}"), numbers(|spread| spread.se))
            .optional_numbers(&format!("low{end}"), bounds(|(low, _)| low))
            .optional_numbers(&format!("high{end}"), bounds(|(_, high)| high));
    }
    table.stamped(simulated).build()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::formats::score_table::Score;

    /// Two subjects, one rater, two models; the left hemisphere scores a tenth more than the right.
    fn held_out() -> HeldOut {
        let mut rows = Vec::new();
        for (sid, base) in [("a", 0.5), ("b", 0.7)] {
            for (tag, more) in [("prior", 0.0), ("anat", 0.1)] {
                for (hemisphere, side) in [("lh", 0.05), ("rh", -0.05)] {
                    for (label, sign) in [("1", 0.0), ("mean", -0.05)] {
                        rows.push(Score {
                            dataset: "HCP".into(),
                            sid: sid.into(),
                            hemisphere: hemisphere.into(),
                            parcellation: "area".into(),
                            method1: "A1".into(),
                            method2: tag.into(),
                            tag: tag.into(),
                            label: label.into(),
                            score: base + more + side + sign,
                        });
                    }
                }
            }
        }
        HeldOut { scores: rows, subjects: BTreeSet::from(["a".into(), "b".into()]), parcellation: "area".into() }
    }

    #[test]
    fn one_row_per_tag_and_label_with_hand_computed_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let mut frame = summary(&held_out(), 1, true).unwrap();
        data_table::write(folder.path(), &mut frame).unwrap();
        let csv = std::fs::read_to_string(folder.path().join(data_table::CSV)).unwrap();
        let short =
            csv.lines().map(|line| line.split(',').map(shorten).collect::<Vec<_>>().join(",")).collect::<Vec<_>>();
        insta::assert_snapshot!(short.join("\n"), @r"
        parcellation,tag,label,dataset,people,scores,dice,sd,se,low,high,scores_lh,dice_lh,sd_lh,se_lh,low_lh,high_lh,scores_rh,dice_rh,sd_rh,se_rh,low_rh,high_rh,simulated
        area,prior,1,HCP,2,4,0.600000,0.111803,0.055902,0.544098,0.655902,2,0.650000,0.100000,0.070711,0.579289,0.720711,2,0.550000,0.100000,0.070711,0.479289,0.620711,true
        area,prior,mean,HCP,2,4,0.550000,0.111803,0.055902,0.494098,0.605902,2,0.600000,0.100000,0.070711,0.529289,0.670711,2,0.500000,0.100000,0.070711,0.429289,0.570711,true
        area,anat,1,HCP,2,4,0.700000,0.111803,0.055902,0.644098,0.755902,2,0.750000,0.100000,0.070711,0.679289,0.820711,2,0.650000,0.100000,0.070711,0.579289,0.720711,true
        area,anat,mean,HCP,2,4,0.650000,0.111803,0.055902,0.594098,0.705902,2,0.700000,0.100000,0.070711,0.629289,0.770711,2,0.600000,0.100000,0.070711,0.529289,0.670711,true
        ");
    }

    /// Rounds numbers to six decimals, so that the snapshot shows what a reader can check.
    fn shorten(cell: &str) -> String {
        match cell.parse::<f64>() {
            Ok(number) if cell.contains('.') => format!("{number:.6}"),
            _ => cell.to_string(),
        }
    }
}
