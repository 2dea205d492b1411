//! The order in which ready instances start. Decided once for a run, from recorded durations and the shape of the plan.
//!
//! The longest remaining chain goes first, because the run cannot end before it. Before that go instances that bring a
//! result with little work: users wait for it, and the run ends hardly later. An instance does so if a result is made by
//! it, or by a chain of instances of which each only waits for the one before, within a tenth of the longest chain of the
//! run. Work of unknown duration counts as little: the first run is the one whose first results are waited for most.

use crate::ids::InstanceId;
use crate::plan::{Link, Plan};

/// What is little work, as a part of the longest chain.
const LITTLE: f64 = 0.1;

/// The recorded duration, or 1 s; what cannot be a duration counts as none.
pub(super) fn duration(recorded: &[Option<f64>], id: InstanceId) -> f64 {
    known_duration(recorded, id).unwrap_or(1.0)
}

/// The recorded duration, if it is one.
pub(super) fn known_duration(recorded: &[Option<f64>], id: InstanceId) -> Option<f64> {
    recorded.get(id.index()).copied().flatten().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
}

/// The order of starting; `longest` is the remaining chain of every instance. A seed shuffles it instead.
pub(super) fn order(plan: &Plan, longest: &[f64], recorded: &[Option<f64>], shuffle: Option<u64>) -> Vec<InstanceId> {
    let mut ids: Vec<InstanceId> = (0..longest.len() as u32).map(InstanceId).collect();
    match shuffle {
        None => {
            let limit = longest.iter().copied().fold(0.0, f64::max) * LITTLE;
            let mut work = work_to_result(plan, recorded);
            // What is not little does not count: it goes by its chain.
            work.iter_mut().for_each(|work| *work = work.filter(|work| *work <= limit));
            let key = |id: &InstanceId| work[id.index()].unwrap_or(f64::INFINITY);
            ids.sort_by(|a, b| {
                let by_chain = longest[b.index()].total_cmp(&longest[a.index()]);
                key(a).total_cmp(&key(b)).then(by_chain).then(a.cmp(b))
            });
        }
        Some(seed) => {
            let mut state = seed;
            for last in (1..ids.len()).rev() {
                ids.swap(last, (splitmix(&mut state) % (last as u64 + 1)) as usize);
            }
        }
    }
    ids
}

/// Seconds from the start of an instance to a result that waits for nothing else; unknown ones count as none.
fn work_to_result(plan: &Plan, recorded: &[Option<f64>]) -> Vec<Option<f64>> {
    let own = |id: InstanceId| known_duration(recorded, id).unwrap_or(0.0);
    let mut work: Vec<Option<f64>> = vec![None; plan.instances.len()];
    for published in &plan.results {
        if let Link::Output { instance, .. } = &published.link {
            work[instance.index()] = Some(own(*instance));
        }
    }
    // Readers have larger ids, so one pass down is enough.
    for index in (0..work.len()).rev() {
        let Some(of_reader) = work[index] else { continue };
        let read = plan.reads(InstanceId(index as u32));
        let (Some(only), 1) = (read.first().copied(), read.len()) else { continue };
        let through = own(only) + of_reader;
        let known = &mut work[only.index()];
        *known = Some(known.map_or(through, |known| known.min(through)));
    }
    work
}

/// The next number of the SplitMix64 sequence (Steele, Lea, Flood 2014); enough to shuffle a queue in tests.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_that_cannot_be_count_as_none() {
        let recorded = [Some(2.0), None, Some(f64::NAN), Some(-1.0)];
        let of = |index| duration(&recorded, InstanceId(index));
        assert_eq!([of(0), of(1), of(2), of(3), of(9)], [2.0, 1.0, 1.0, 1.0, 1.0]);
    }
}
