//! `split/random`: which subjects are held out, sampled at random.
//!
//! Each subject gets a number from the seed and its id, and those with the smallest are held out. So the order in
//! which subjects are listed does not matter, and adding a subject moves at most one other to the other side.

use std::collections::BTreeMap;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, Type, Value};
use sha2::{Digest, Sha256};

use crate::formats::data_table::{self, Partition};

/// The kind.
pub struct Random;

#[derive(serde::Deserialize)]
struct Parameters {
    held_out: f64,
}

impl StageKind for Random {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("split/random", 1, "holds out a share of the subjects, sampled at random")
            .gather("subjects", &[], "one artifact per subject, on the axis `sid`; absent subjects are left out")
            .folder("table", "split", "who trains and who is held out: columns `sid`, `partition` (`trn`, `val`)")
            .param(
                "held_out",
                Type::Float(0.0, 1.0),
                Value::Float(0.2),
                "share of the subjects held out, rounded to whole subjects (halves to even)",
            );
        kind.random = true;
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { held_out } = task.parameters()?;
        let subjects = present(task)?;
        let split = draw(&subjects, held_out, task.seed()?)?;
        let held = split.values().filter(|&&side| side == Partition::Val).count();
        context.log(&format!("{} subjects train, {held} are held out", split.len() - held));
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

fn draw(subjects: &[String], held_out: f64, seed: u64) -> Result<BTreeMap<String, Partition>, Failure> {
    let held = (held_out * subjects.len() as f64).round_ties_even() as usize;
    if held == 0 || held == subjects.len() {
        let count = subjects.len();
        let side = if held == 0 { "hold out" } else { "train on" };
        return Err(Failure::input(format!("holding out {held_out} of {count} subjects leaves no subject to {side}"))
            .hint("change `held_out`, or take more subjects"));
    }
    let mut ranked: Vec<([u8; 32], &String)> = subjects.iter().map(|sid| (number(seed, sid), sid)).collect();
    ranked.sort();
    let side = |index: usize| if index < held { Partition::Val } else { Partition::Trn };
    let split: BTreeMap<_, _> = ranked.into_iter().enumerate().map(|(i, (_, sid))| (sid.clone(), side(i))).collect();
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
            assert_eq!(held(&draw(&subjects(count), share, 1).unwrap()).len(), expected, "{share} of {count}");
        }
    }

    #[test]
    fn the_seed_decides_and_the_order_does_not() {
        let mut listed = subjects(20);
        let first = draw(&listed, 0.4, 7).unwrap();
        listed.reverse();
        assert_eq!(draw(&listed, 0.4, 7).unwrap(), first);
        assert_ne!(draw(&listed, 0.4, 8).unwrap(), first);
        assert_eq!(held(&first), held(&draw(&subjects(20), 0.4, 7).unwrap()));
    }

    #[test]
    fn another_subject_moves_at_most_one() {
        let before = draw(&subjects(20), 0.4, 3).unwrap();
        let after = draw(&subjects(21), 0.4, 3).unwrap();
        let moved = before.iter().filter(|(sid, side)| after[*sid] != **side).count();
        assert!(moved <= 1, "{moved}");
    }

    #[test]
    fn both_sides_need_a_subject() {
        assert!(draw(&subjects(4), 0.1, 1).unwrap_err().message.contains("no subject to hold out"));
        assert!(draw(&subjects(4), 1.0, 1).unwrap_err().message.contains("no subject to train on"));
        assert!(draw(&[], 0.5, 1).is_err());
        assert!(draw(&["a".into(), "a".into(), "b".into()], 0.4, 1).unwrap_err().message.contains("twice"));
    }
}
