//! `split/random`: which subjects are held out, sampled at random.
//!
//! Each subject gets a number from the seed and its id, and those with the smallest are held out. So the order in
//! which subjects are listed does not matter, and adding a subject moves at most one other across each border.
//!
//! With two parts, as in the paper, held-out subjects have two uses: they choose which weights are kept, and they are scored, so their
//! scores are a little too good. With `choose`, other subjects choose, and who is scored is used for nothing else.

use std::collections::BTreeMap;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};
use sha2::{Digest, Sha256};

use crate::formats::data_table::{self, Partition, SplitCounts};

/// The kind.
pub struct Random;

parameters! {
    struct Parameters {
        /// share of the subjects held out for scores, rounded to whole subjects (halves to even)
        held_out: f64 = 0.2, in 0.0..=1.0;
        /// share of the subjects who choose which weights are kept and are neither trained on nor scored; 0, as in the
        /// paper: those held out do both
        choose: f64 = 0.0, in 0.0..=1.0, neutral 0.0;
    }
}

impl StageKind for Random {
    fn kind(&self) -> Kind {
        let kind = Kind::new("split/random", 1, "holds out a share of the subjects, sampled at random")
            .gather("subjects", &[], "one artifact per subject, on the axis `sid`; absent subjects are left out")
            .folder(
                "table",
                "split",
                "who trains and who is held out: columns `sid`, `partition` (`trn`, `val`; with `choose`: `train`, `choose`, `test`)",
            )
            .described(data_table::FILES, data_table::SPLIT_COLUMNS)
            .parameters::<Parameters>();
        Kind { random: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { held_out, choose } = task.parameters()?;
        let subjects = present(task)?;
        let split = draw(&subjects, held_out, choose, task.seed()?)?;
        context.log(&SplitCounts::of(&split).words());
        data_table::write_split(task.output("table")?, &split)?;
        Ok(Ended::done())
    }
}

/// Ids of the subjects that are present at the port `subjects`, in the order of the gather.
pub(super) fn present(task: &Task) -> Result<Vec<String>, Failure> {
    task.present("subjects")
        .map(|(at, _)| {
            at.get("sid").cloned().ok_or_else(|| {
                Failure::input(format!(
                    "the subjects of a split are distinguished by the axis `sid`, but one is at `{at}`"
                ))
                .hint("gather a stage that has the axis `sid`: `subjects: $subject(*).files`")
            })
        })
        .collect()
}

fn draw(subjects: &[String], held_out: f64, choose: f64, seed: u64) -> Result<BTreeMap<String, Partition>, Failure> {
    let whole = |share: f64| (share * subjects.len() as f64).round_ties_even() as usize;
    let (held, choosing) = (whole(held_out), whole(choose));
    let parts = if choose > 0.0 { Partition::THREE } else { [Partition::Trn, Partition::Val, Partition::Val] };
    let lacking = match () {
        () if held == 0 => Some("hold out"),
        () if choose > 0.0 && choosing == 0 => Some("choose weights by"),
        () if held + choosing >= subjects.len() => Some("train on"),
        () => None,
    };
    if let Some(what) = lacking {
        let others = if choose > 0.0 { format!(" and choosing by {choose}") } else { String::new() };
        let count = match subjects.len() {
            1 => "1 subject".to_owned(),
            count => format!("{count} subjects"),
        };
        return Err(Failure::input(format!("holding out {held_out}{others} of {count} leaves no subject to {what}"))
            .hint("change `held_out` or `choose`, or take more subjects"));
    }
    let mut ranked: Vec<([u8; 32], &String)> = subjects.iter().map(|sid| (number(seed, sid), sid)).collect();
    ranked.sort();
    let part = |index: usize| match index {
        _ if index < held => parts[2],
        _ if index < held + choosing => parts[1],
        _ => parts[0],
    };
    let split: BTreeMap<_, _> = ranked.into_iter().enumerate().map(|(i, (_, sid))| (sid.clone(), part(i))).collect();
    if split.len() < subjects.len() {
        return Err(Failure::input("a subject is listed twice").hint("gather one artifact per subject"));
    }
    Ok(split)
}

/// A number that only this seed gives this subject.
fn number(seed: u64, sid: &str) -> [u8; 32] {
    Sha256::new().chain_update("split/random").chain_update(seed.to_le_bytes()).chain_update(sid).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(count: usize) -> Vec<String> {
        (1..=count).map(|i| format!("s{i:02}")).collect()
    }

    fn held(split: &BTreeMap<String, Partition>) -> Vec<&str> {
        split.iter().filter(|(_, side)| **side == Partition::Val).map(|(sid, _)| sid.as_str()).collect()
    }

    #[test]
    fn counts_are_rounded_to_subjects() {
        for (count, share, expected) in [(20, 0.4, 8), (163, 0.2, 33), (5, 0.3, 2), (5, 0.5, 2), (3, 0.5, 2)] {
            assert_eq!(held(&draw(&subjects(count), share, 0.0, 1).unwrap()).len(), expected, "{share} of {count}");
        }
    }

    #[test]
    fn the_seed_decides_and_the_order_does_not() {
        let mut listed = subjects(20);
        let first = draw(&listed, 0.4, 0.0, 7).unwrap();
        listed.reverse();
        assert_eq!(draw(&listed, 0.4, 0.0, 7).unwrap(), first);
        assert_ne!(draw(&listed, 0.4, 0.0, 8).unwrap(), first);
        assert_eq!(held(&first), held(&draw(&subjects(20), 0.4, 0.0, 7).unwrap()));
    }

    #[test]
    fn another_subject_moves_at_most_one() {
        let before = draw(&subjects(20), 0.4, 0.0, 3).unwrap();
        let after = draw(&subjects(21), 0.4, 0.0, 3).unwrap();
        let moved = before.iter().filter(|(sid, side)| after[*sid] != **side).count();
        assert!(moved <= 1, "{moved}");
    }

    #[test]
    fn three_parts_have_the_same_held_out_subjects_as_two() {
        let two = draw(&subjects(32), 0.25, 0.0, 5).unwrap();
        let three = draw(&subjects(32), 0.25, 0.125, 5).unwrap();
        let counts = SplitCounts::of(&three);
        assert_eq!((counts.train, counts.choose, counts.scored), (20, 4, 8));
        assert!(two.iter().all(|(sid, part)| (*part == Partition::Val) == (three[sid] == Partition::Test)));
        let failure = draw(&subjects(8), 0.25, 0.75, 5).unwrap_err();
        assert_eq!(
            failure.message,
            "holding out 0.25 and choosing by 0.75 of 8 subjects leaves no subject to train on"
        );
        assert!(draw(&subjects(8), 0.25, 0.01, 5).unwrap_err().message.ends_with("no subject to choose weights by"));
    }

    #[test]
    fn both_sides_need_a_subject() {
        assert!(draw(&subjects(4), 0.1, 0.0, 1).unwrap_err().message.contains("no subject to hold out"));
        assert!(draw(&subjects(4), 1.0, 0.0, 1).unwrap_err().message.contains("no subject to train on"));
        assert!(draw(&[], 0.5, 0.0, 1).is_err());
        assert!(draw(&["a".into(), "a".into(), "b".into()], 0.4, 0.0, 1).unwrap_err().message.contains("twice"));
    }
}
