//! `split/random`: who is held out, drawn at random.
//!
//! Everybody gets a number from the seed and their own id, and those with the smallest are held out. So the order in
//! which people are listed does not matter, and adding a person moves at most one other to the other side.

use std::collections::BTreeMap;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, Type, Value};
use sha2::{Digest, Sha256};

use crate::formats::table::{self, Partition};

/// The kind.
pub struct Random;

#[derive(serde::Deserialize)]
struct Parameters {
    held_out: f64,
}

impl StageKind for Random {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("split/random", 1, "holds out a share of the people, drawn at random")
            .gather("subjects", &[], "one artifact per person, on the axis `sid`; people who are absent are left out")
            .folder("table", "split", "who trains and who is held out: columns `sid`, `partition` (`trn`, `val`)")
            .param(
                "held_out",
                Type::Float(0.0, 1.0),
                Value::Float(0.2),
                "share of the people held out, rounded to whole people (halves to even)",
            );
        kind.random = true;
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { held_out } = task.parameters()?;
        let people = present(task)?;
        let split = draw(&people, held_out, task.seed()?)?;
        let held = split.values().filter(|&&side| side == Partition::Val).count();
        context.log(&format!("{} people train, {held} are held out", split.len() - held));
        table::write_split(task.output("table")?, &split)?;
        Ok(Ended::done())
    }
}

/// Ids of the people who are present at the port `subjects`, in the order of the gather.
pub(super) fn present(task: &Task) -> Result<Vec<String>, Failure> {
    task.present("subjects")
        .map(|(at, _)| {
            at.get("sid").cloned().ok_or_else(|| {
                Failure::input(format!("the people of a split are told apart by the axis `sid`, but one is at `{at}`"))
                    .hint("gather a stage that has the axis `sid`: `subjects: $subject(*).files`")
            })
        })
        .collect()
}

fn draw(people: &[String], held_out: f64, seed: u64) -> Result<BTreeMap<String, Partition>, Failure> {
    let held = (held_out * people.len() as f64).round_ties_even() as usize;
    if held == 0 || held == people.len() {
        let count = people.len();
        let side = if held == 0 { "hold out" } else { "train on" };
        return Err(Failure::input(format!("holding out {held_out} of {count} people leaves nobody to {side}"))
            .hint("change `held_out`, or take more people"));
    }
    let mut drawn: Vec<([u8; 32], &String)> = people.iter().map(|sid| (number(seed, sid), sid)).collect();
    drawn.sort();
    let side = |index: usize| if index < held { Partition::Val } else { Partition::Trn };
    let split: BTreeMap<_, _> = drawn.into_iter().enumerate().map(|(i, (_, sid))| (sid.clone(), side(i))).collect();
    if split.len() < people.len() {
        return Err(Failure::input("a person is listed twice").hint("gather one artifact per person"));
    }
    Ok(split)
}

/// A number that only this seed gives this person.
fn number(seed: u64, sid: &str) -> [u8; 32] {
    Sha256::new().chain_update("split/random").chain_update(seed.to_le_bytes()).chain_update(sid).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(count: usize) -> Vec<String> {
        (1..=count).map(|i| format!("s{i:02}")).collect()
    }

    fn held(split: &BTreeMap<String, Partition>) -> Vec<&str> {
        split.iter().filter(|(_, side)| **side == Partition::Val).map(|(sid, _)| sid.as_str()).collect()
    }

    #[test]
    fn counts_are_rounded_to_people() {
        for (count, share, expected) in [(20, 0.4, 8), (163, 0.2, 33), (5, 0.3, 2), (5, 0.5, 2), (3, 0.5, 2)] {
            assert_eq!(held(&draw(&people(count), share, 1).unwrap()).len(), expected, "{share} of {count}");
        }
    }

    #[test]
    fn the_seed_decides_and_the_order_does_not() {
        let mut listed = people(20);
        let first = draw(&listed, 0.4, 7).unwrap();
        listed.reverse();
        assert_eq!(draw(&listed, 0.4, 7).unwrap(), first);
        assert_ne!(draw(&listed, 0.4, 8).unwrap(), first);
        assert_eq!(held(&first), held(&draw(&people(20), 0.4, 7).unwrap()));
    }

    #[test]
    fn another_person_moves_at_most_one() {
        let before = draw(&people(20), 0.4, 3).unwrap();
        let after = draw(&people(21), 0.4, 3).unwrap();
        let moved = before.iter().filter(|(sid, side)| after[*sid] != **side).count();
        assert!(moved <= 1, "{moved}");
    }

    #[test]
    fn both_sides_need_somebody() {
        assert!(draw(&people(4), 0.1, 1).unwrap_err().message.contains("nobody to hold out"));
        assert!(draw(&people(4), 1.0, 1).unwrap_err().message.contains("nobody to train on"));
        assert!(draw(&[], 0.5, 1).is_err());
        assert!(draw(&["a".into(), "a".into(), "b".into()], 0.4, 1).unwrap_err().message.contains("twice"));
    }
}
