//! Subsets of entries that an RDM singles out: the most dissimilar, those of a given mean dissimilarity, the most evenly spread.
//!
//! Decides the greedy order: it begins with the best pair, then adds at each step the entry that makes the subset best; the first one wins
//! ties, and an undefined number (NaN) makes an entry not eligible. The order for a small subset is the beginning of that for a larger one,
//! except where a mean or spread is aimed at. A pair is of two different entries: the published functions look at the diagonal too, and
//! may begin with an entry and itself. Sums are kept from step to step: `n` additions a step.

use super::counts::real;
use super::dissimilarity::{pair_index, pairs};

/// An RDM as its upper triangle by rows.
#[derive(Clone, Copy, Debug)]
pub struct RdmTriangle<'a> {
    /// Pair after pair.
    pub triangle: &'a [f64],
    /// How many entries.
    pub entries: usize,
}

impl RdmTriangle<'_> {
    /// The dissimilarity of two different entries.
    fn at(self, i: usize, j: usize) -> f64 {
        self.triangle[pair_index(self.entries, i.min(j), i.max(j))]
    }
}

/// Entries such that each has the largest sum of dissimilarities to those before it. Fewer than `count` if no other entry has a sum
/// that is defined; none if no pair is defined; never one alone.
pub fn most_dissimilar(rdm: RdmTriangle<'_>, count: usize) -> Vec<usize> {
    grown(rdm, count, |value| value, |subset, entry| subset.sums[entry], || false).unwrap_or_default()
}

/// Entries whose mean dissimilarity over pairs is brought as close to `target` as one addition can at each step.
pub fn nearest_mean(rdm: RdmTriangle<'_>, target: f64, count: usize) -> Vec<usize> {
    grown(
        rdm,
        count,
        |value| -(value - target).abs(),
        |subset, entry| {
            let size = real(subset.chosen.len());
            let pairs = size * (size + 1.0) / 2.0;
            -((subset.total + subset.sums[entry]) / pairs - target).abs()
        },
        || false,
    )
    .unwrap_or_default()
}

/// Entries whose dissimilarities over pairs are spread over 0 to 1 as evenly as one addition can make them at each step, beginning with
/// the largest dissimilarity: by the distance of Kolmogorov and Smirnov to the uniform distribution, the least of which has the largest p.
/// For `m` of `n` entries that are `n m^2` comparisons a step; none if `stop` says so between two steps.
pub fn most_uniform(rdm: RdmTriangle<'_>, count: usize, stop: impl Fn() -> bool) -> Option<Vec<usize>> {
    let mut sorted: Vec<f64> = Vec::new();
    let mut known = 0;
    let score = move |subset: &Subset, entry: usize| {
        if known < subset.chosen.len() {
            let chosen = &subset.chosen;
            for (at, new) in chosen.iter().enumerate().skip(known) {
                sorted.extend(chosen[..at].iter().map(|old| rdm.at(*old, *new)));
            }
            sorted.sort_by(f64::total_cmp);
            known = chosen.len();
        }
        let mut added: Vec<f64> = subset.chosen.iter().map(|chosen| rdm.at(*chosen, entry)).collect();
        added.sort_by(f64::total_cmp);
        -distance_to_uniform(&sorted, &added)
    };
    grown(rdm, count, |value| value, score, stop)
}

/// The largest distance between the distribution of the numbers of two sorted lists and the uniform distribution on 0 to 1; NaN if a
/// number is.
pub fn distance_to_uniform(first: &[f64], second: &[f64]) -> f64 {
    let count = real(first.len() + second.len());
    let (mut first, mut second) = (first.iter().peekable(), second.iter().peekable());
    let (mut largest, mut before) = (0.0_f64, 0.0);
    loop {
        let from_second = match (first.peek(), second.peek()) {
            (Some(a), Some(b)) => b.total_cmp(a).is_lt(),
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (None, None) => return largest,
        };
        let next = if from_second { second.next() } else { first.next() };
        let Some(value) = next.filter(|value| !value.is_nan()) else { return f64::NAN };
        let expected = value.clamp(0.0, 1.0);
        largest = largest.max(expected - before / count).max((before + 1.0) / count - expected);
        before += 1.0;
    }
}

/// A subset under construction.
struct Subset {
    chosen: Vec<usize>,
    /// By entry, the sum of its dissimilarities to the chosen ones.
    sums: Vec<f64>,
    taken: Vec<bool>,
    /// The sum over pairs of chosen ones.
    total: f64,
}

impl Subset {
    fn add(&mut self, rdm: RdmTriangle<'_>, entry: usize) {
        self.total += self.sums[entry];
        self.taken[entry] = true;
        self.chosen.push(entry);
        for other in (0..rdm.entries).filter(|other| *other != entry) {
            self.sums[other] += rdm.at(other, entry);
        }
    }
}

/// Grows a subset from the pair whose score is highest by the entries whose scores are highest; none if it is stopped.
fn grown(
    rdm: RdmTriangle<'_>,
    count: usize,
    score_of_pair: impl Fn(f64) -> f64,
    mut score_of_entry: impl FnMut(&Subset, usize) -> f64,
    stop: impl Fn() -> bool,
) -> Option<Vec<usize>> {
    let n = rdm.entries;
    let pair = highest(pairs(n).zip(rdm.triangle).map(|(pair, value)| (pair, score_of_pair(*value))));
    let Some((first, second)) = pair else { return Some(Vec::new()) };
    let mut subset = Subset { chosen: Vec::new(), sums: vec![0.0; n], taken: vec![false; n], total: 0.0 };
    subset.add(rdm, first);
    subset.add(rdm, second);
    while subset.chosen.len() < count {
        if stop() {
            return None;
        }
        let free = (0..n).filter(|entry| !subset.taken[*entry]);
        let Some(best) = highest(free.map(|entry| (entry, score_of_entry(&subset, entry)))) else { break };
        subset.add(rdm, best);
    }
    Some(subset.chosen)
}

/// What has the highest score, the first of several; none if no score is a number.
fn highest<T>(scored: impl Iterator<Item = (T, f64)>) -> Option<T> {
    let mut best: Option<(T, f64)> = None;
    for (what, score) in scored {
        if !score.is_nan() && best.as_ref().is_none_or(|(_, known)| score > *known) {
            best = Some((what, score));
        }
    }
    best.map(|(what, _)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions on a line; dissimilarities are distances.
    fn line(places: &[f64]) -> Vec<f64> {
        pairs(places.len()).map(|(i, j)| (places[i] - places[j]).abs()).collect()
    }

    fn rdm(triangle: &[f64], entries: usize) -> RdmTriangle<'_> {
        RdmTriangle { triangle, entries }
    }

    /// 0 and 10 first; then sums to them are 10 for all: the first; then 1 + 9 + 0 ... of 3: 3 + 7 + 2 = 12, of 6: 6 + 4 + 5 = 15.
    #[test]
    fn the_most_dissimilar_come_first() {
        let triangle = line(&[1.0, 0.0, 3.0, 10.0, 6.0]);
        assert_eq!(most_dissimilar(rdm(&triangle, 5), 5), [1, 3, 0, 4, 2]);
        assert_eq!(most_dissimilar(rdm(&triangle, 5), 3), [1, 3, 0]);
        assert_eq!(most_dissimilar(rdm(&triangle, 5), 0), [1, 3]);
    }

    #[test]
    fn undefined_entries_are_not_chosen() {
        let mut triangle = line(&[1.0, 0.0, 3.0, 10.0]);
        triangle[pair_index(4, 0, 3)] = f64::NAN;
        assert_eq!(most_dissimilar(rdm(&triangle, 4), 4), [1, 3, 2]);
        assert!(most_dissimilar(rdm(&[f64::NAN; 3], 3), 3).is_empty());
        assert_eq!(most_dissimilar(rdm(&[0.0; 3], 3), 3), [0, 1, 2], "never an entry and itself");
    }

    /// Pairs of 0, 1, 3, 10: 1, 3, 10, 2, 9, 7. The nearest to 5.5 are 7 (3 and 10). With 0: (7 + 3 + 10) / 3 = 6.67; with 1:
    /// (7 + 2 + 9) / 3 = 6.
    #[test]
    fn means_come_near_a_target() {
        let triangle = line(&[0.0, 1.0, 3.0, 10.0]);
        assert_eq!(nearest_mean(rdm(&triangle, 4), 5.5, 3), [2, 3, 1]);
        assert_eq!(nearest_mean(rdm(&triangle, 4), 0.9, 2), [0, 1]);
    }

    /// `scipy.stats.kstest([0.1, 0.35, 0.4, 0.95], "uniform").statistic` is 0.35: three of four lie below 0.4.
    #[test]
    fn distances_to_the_uniform_distribution() {
        assert!((distance_to_uniform(&[0.1, 0.4], &[0.35, 0.95]) - 0.35).abs() < 1e-15);
        assert_eq!(distance_to_uniform(&[0.5], &[]), 0.5);
        assert_eq!(distance_to_uniform(&[], &[-1.0, 2.0]), 0.5);
        assert!(distance_to_uniform(&[0.5, f64::NAN], &[0.2]).is_nan());
    }

    /// The pair 0 and 1 first; then the entry at 0.4 gives 0.4, 0.6, 1 (distance 0.4), that at 0.1 gives 0.1, 0.9, 1 (0.567), that at 0.7
    /// gives 0.3, 0.7, 1 (0.367).
    #[test]
    fn uniform_subsets() {
        let triangle = line(&[0.0, 0.4, 0.1, 0.7, 1.0]);
        assert_eq!(most_uniform(rdm(&triangle, 5), 3, || false).unwrap(), [0, 4, 3]);
        assert_eq!(most_uniform(rdm(&triangle, 5), 3, || true), None);
        let four = most_uniform(rdm(&triangle, 5), 4, || false).unwrap();
        let distance = |fourth: usize| {
            let all = [0, 4, 3, fourth];
            let mut values: Vec<f64> = pairs(4).map(|(i, j)| rdm(&triangle, 5).at(all[i], all[j])).collect();
            values.sort_by(f64::total_cmp);
            distance_to_uniform(&values, &[])
        };
        assert!(distance(four[3]) <= distance(1) && distance(four[3]) <= distance(2) && four[..3] == [0, 4, 3]);
    }
}
