//! The units of the regions of interest that a task is given, and how numbers of units are spread. Independent of what the numbers are.

use pipe_contract::{Failure, Task};

use crate::formats::region_sets::RegionSets;
use crate::numeric::counts::real;
use crate::numeric::statistics::quantile;

/// The regions at the port `regions`: these in this order, or all in that of the table. None if the port is not given.
///
/// # Errors
/// Input: the table has no such region or lacks a column, or regions are named and the port is not given.
pub(super) fn named_or_all(task: &Task, only: &[String]) -> Result<RegionSets, Failure> {
    let Some(path) = task.maybe("regions") else {
        return match only.is_empty() {
            true => Ok(RegionSets::default()),
            false => Err(Failure::input("`only` names regions, but the port `regions` is not given")),
        };
    };
    let all = RegionSets::read(path)?;
    match only.is_empty() {
        true => Ok(all),
        false => all.only(only).map_err(|failure| failure.at(path.display().to_string())),
    }
}

/// Numbers in order, and how many were missing.
pub(super) struct UnitSpread {
    pub numbers: Vec<f64>,
    pub missing: usize,
}

impl UnitSpread {
    pub fn of(all: impl Iterator<Item = Option<f64>>) -> Self {
        let (mut numbers, mut missing) = (Vec::new(), 0);
        for number in all {
            match number {
                Some(number) => numbers.push(number),
                None => missing += 1,
            }
        }
        numbers.sort_by(f64::total_cmp);
        Self { numbers, missing }
    }

    pub fn least(&self) -> Option<f64> {
        self.numbers.first().copied()
    }

    pub fn greatest(&self) -> Option<f64> {
        self.numbers.last().copied()
    }

    pub fn median(&self) -> Option<f64> {
        (!self.numbers.is_empty()).then(|| quantile(&self.numbers, 0.5))
    }

    pub fn mean(&self) -> Option<f64> {
        (!self.numbers.is_empty()).then(|| self.numbers.iter().sum::<f64>() / real(self.numbers.len()))
    }
}
