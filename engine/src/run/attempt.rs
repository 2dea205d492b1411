//! Work from the moment it is found to be due until it has ended.

use std::path::PathBuf;

use pipe_cache::Lock;
use pipe_contract::Device;

use super::lookup::Miss;
use crate::key::Reason;

/// Work that was found to be due, through all its attempts.
pub(super) struct Due<'a> {
    pub miss: Miss<'a>,
    pub reasons: Vec<Reason>,
    pub attempts: u32,
    /// What it reads was reopened since its lookup.
    pub outdated: bool,
}

/// One attempt that is going on.
pub(super) struct Attempt {
    /// Of the key. Held for its `Drop`.
    pub _lock: Lock,
    pub folder: PathBuf,
    pub log: PathBuf,
    pub place: AttemptPlace,
}

/// Where and since when an attempt works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct AttemptPlace {
    /// The number of its slot: no two attempts that run at one time have the same.
    pub slot: u32,
    /// Seconds since the run began.
    pub started: f64,
    /// What it was granted.
    pub device: Device,
    /// How many it was granted.
    pub threads: u32,
}

/// The slots that attempts hold. A new one gets the smallest number that is free, so there are no more numbers than
/// attempts that ran at one time.
#[derive(Debug, Default)]
pub(super) struct Slots {
    held: Vec<bool>,
}

impl Slots {
    pub fn take(&mut self) -> u32 {
        let free = self.held.iter().position(|held| !held).unwrap_or(self.held.len());
        self.held.resize(self.held.len().max(free + 1), false);
        self.held[free] = true;
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    pub fn give_back(&mut self, slot: u32) {
        if let Some(held) = self.held.get_mut(slot as usize) {
            *held = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_free_slot_is_taken() {
        let mut slots = Slots::default();
        assert_eq!([slots.take(), slots.take(), slots.take()], [0, 1, 2]);
        slots.give_back(1);
        assert_eq!([slots.take(), slots.take()], [1, 3]);
    }
}
