//! `split/folds`: folds in which every stimulus is tested once.
//!
//! Each stimulus, or group of stimuli that must stay together, gets a number from the seed and its name. The largest groups are dealt
//! first, the next always to the fold with the fewest stimuli; among equals the number decides. So the order of the table does not
//! matter. Of those that a fold does not test, some may choose penalties: the first in an order of the fold's own, again whole groups.

use std::collections::BTreeMap;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};
use sha2::{Digest, Sha256};

use super::stimuli::{self, Stimuli};
use crate::formats::data_table;
use crate::numeric::counts::real;

/// The kind.
pub(super) struct Folds;

parameters! {
    struct Parameters {
        /// number of folds
        folds: usize = 5, in 2..=1_000_000;
        /// a column of the table whose equal values stay together; empty if every stimulus is on its own
        groups: String = String::new();
        /// share of the stimuli that a fold does not test that choose penalties in it
        choose: f64 = 0.0, in 0.0..=0.9;
    }
}

impl StageKind for Folds {
    fn kind(&self) -> Kind {
        let kind = Kind::new("split/folds", 1, "folds in which every stimulus is tested once");
        let kind = stimuli::declare(kind, "a table of stimuli").parameters::<Parameters>();
        Kind { random: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { folds, groups, choose } = task.parameters()?;
        let stimuli = Stimuli::read(task)?;
        let names = match groups.as_str() {
            "" => stimuli.ids().to_vec(),
            column => stimuli.column(column, data_table::words)?,
        };
        let dealt = deal(&names, folds, choose, task.seed()?)?;
        stimuli.write(task, context, &dealt)
    }
}

/// Train, choose and test of every fold, as positions in `names`, whose equal ones stay together.
fn deal(names: &[String], folds: usize, choose: f64, seed: u64) -> Result<Vec<[Vec<usize>; 3]>, Failure> {
    let mut groups: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
    names.iter().enumerate().for_each(|(at, name)| groups.entry(name).or_default().push(at));
    if groups.len() < folds {
        let what = if groups.len() < names.len() { "groups" } else { "stimuli" };
        return Err(Failure::input(format!("{} {what} cannot be dealt to {folds} folds", groups.len())));
    }
    let mut order: Vec<(&String, &Vec<usize>)> = groups.iter().map(|(name, group)| (*name, group)).collect();
    order.sort_by_cached_key(|(name, group)| (usize::MAX - group.len(), number(seed, 0, name)));
    let mut tested: Vec<Vec<usize>> = vec![Vec::new(); folds];
    let mut fold_of: BTreeMap<&String, usize> = BTreeMap::new();
    for (name, group) in &order {
        let fewest = (0..folds).min_by_key(|fold| tested[*fold].len()).unwrap_or(0);
        tested[fewest].extend(*group);
        fold_of.insert(name, fewest);
    }
    let mut dealt = Vec::new();
    for (fold, test) in tested.into_iter().enumerate() {
        let wanted = choose * real(names.len() - test.len());
        order.sort_by_cached_key(|(name, _)| number(seed, fold + 1, name));
        let (mut train, mut choosing) = (Vec::new(), Vec::new());
        for (_, group) in order.iter().filter(|(name, _)| fold_of[name] != fold) {
            let to = if real(choosing.len() + group.len()) <= wanted.round() { &mut choosing } else { &mut train };
            to.extend(*group);
        }
        if choose > 0.0 && choosing.is_empty() {
            return Err(Failure::input(format!(
                "`choose: {choose}` leaves no stimulus in fold {fold} to choose penalties by"
            ))
            .hint("take a larger share, or smaller groups"));
        }
        dealt.push([train, choosing, test]);
    }
    Ok(dealt)
}

/// A number that only this seed gives this name, for this purpose.
fn number(seed: u64, purpose: usize, name: &str) -> [u8; 32] {
    let purpose = (purpose as u64).to_le_bytes();
    Sha256::new()
        .chain_update("split/folds")
        .chain_update(seed.to_le_bytes())
        .chain_update(purpose)
        .chain_update(name)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::split::stimuli::tests::split;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("s{number:02}")).collect()
    }

    /// Names instead of positions.
    fn tested(names: &[String], seed: u64) -> Vec<Vec<String>> {
        let fold = |[_, _, test]: [Vec<usize>; 3]| {
            let mut test: Vec<String> = test.into_iter().map(|at| names[at].clone()).collect();
            test.sort();
            test
        };
        deal(names, 4, 0.0, seed).unwrap().into_iter().map(fold).collect()
    }

    #[test]
    fn every_stimulus_is_tested_once() {
        for [train, choose, test] in deal(&names(10), 3, 0.3, 1).unwrap() {
            let mut all = [train.clone(), choose.clone(), test.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..10).collect::<Vec<_>>());
            assert!((3..=4).contains(&test.len()) && choose.len() == 2);
        }
        let mut all: Vec<String> = tested(&names(10), 1).concat();
        all.sort();
        assert_eq!(all, names(10));
    }

    #[test]
    fn the_seed_decides_and_the_order_does_not() {
        let mut listed = names(20);
        let first = tested(&listed, 7);
        listed.reverse();
        assert_eq!(tested(&listed, 7), first);
        assert_ne!(tested(&listed, 8), first);
    }

    #[test]
    fn groups_stay_together() {
        let groups = ["a", "b", "a", "c", "b", "a", "d", "e"].map(String::from);
        let dealt = deal(&groups, 2, 0.4, 3).unwrap();
        for parts in &dealt {
            for group in ["a", "b", "c", "d", "e"] {
                let holds = parts.iter().filter(|part| part.iter().any(|at| groups[*at] == group)).count();
                assert_eq!(holds, 1, "{group}");
            }
        }
        assert_eq!(dealt[0][2].len(), 4, "sizes are as equal as groups let them be");
        let message = |folds, choose| deal(&groups, folds, choose, 3).unwrap_err().message;
        assert_eq!(message(6, 0.0), "5 groups cannot be dealt to 6 folds");
        assert!(message(2, 0.01).contains("leaves no stimulus in fold 0 to choose penalties by"));
        assert_eq!(deal(&names(3), 4, 0.0, 1).unwrap_err().message, "3 stimuli cannot be dealt to 4 folds");
    }

    #[test]
    fn a_column_of_the_table_makes_groups() {
        let table = || DataTable::new().text("id", names(6)).integers("run", [1, 2, 3, 1, 2, 3]);
        let set = [("folds", Value::Int(3)), ("groups", Value::Text("run".into()))];
        let (found, _) = split(&Folds, table(), &set, None).unwrap();
        let mut tests: Vec<Vec<String>> = found.folds.into_iter().map(|fold| fold.test).collect();
        tests.sort();
        assert_eq!(tests, [["s00", "s03"], ["s01", "s04"], ["s02", "s05"]]);
        let (alone, _) = split(&Folds, table(), &[("folds", Value::Int(6))], None).unwrap();
        assert!(alone.folds.iter().all(|fold| (fold.train.len(), fold.choose.len(), fold.test.len()) == (5, 0, 1)));
    }
}
