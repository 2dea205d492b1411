//! Random draws: which rows a resample takes, in which order a permutation puts them, and how a whole is shared.
//!
//! Numbers are uniform by rejection, so a draw depends on nothing but the generator. Rows may be kept together in blocks of
//! consecutive ones, because neighbours in time are alike and would otherwise count as independent.

use std::ops::Range;

use rand_core::Rng;

use super::statistics::normal_quantile;

/// A uniform number below `limit` (not 0), by rejection.
pub fn below(limit: usize, random: &mut impl Rng) -> usize {
    let limit = limit as u64;
    let fair = u64::MAX - u64::MAX % limit;
    loop {
        let draw = random.next_u64();
        if draw < fair {
            #[expect(clippy::cast_possible_truncation, reason = "below a usize")]
            return (draw % limit) as usize;
        }
    }
}

/// Cuts runs of rows (of one after the other, from 0 on) into blocks of `most` consecutive rows (not 0). The last block of a run may be
/// shorter; none reaches over two runs.
pub fn blocks_within(runs: &[Range<usize>], most: usize) -> Vec<Range<usize>> {
    let of_run = |run: &Range<usize>| {
        let end = run.end;
        run.clone().step_by(most).map(move |first| first..end.min(first.saturating_add(most)))
    };
    runs.iter().flat_map(of_run).collect()
}

/// As many rows, each a block of its own.
pub fn single_rows(count: usize) -> Vec<Range<usize>> {
    (0..count).map(|row| row..row + 1).collect()
}

/// How often each row is taken by a resample with replacement of as many blocks as there are. Blocks are those of [`blocks_within`]; where
/// some are shorter, resamples have different numbers of rows.
pub fn resampled(blocks: &[Range<usize>], random: &mut impl Rng) -> Vec<u32> {
    let mut times = vec![0; blocks.last().map_or(0, |last| last.end)];
    for _ in blocks {
        let taken = blocks[below(blocks.len(), random)].clone();
        times[taken].iter_mut().for_each(|times| *times += 1);
    }
    times
}

/// All rows in a random order of their blocks (Fisher and Yates), which are those of [`blocks_within`].
pub fn shuffled(blocks: &[Range<usize>], random: &mut impl Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, below(last + 1, random));
    }
    order.into_iter().flat_map(|at| blocks[at].clone()).collect()
}

/// Shares of a whole that add up to 1, from a symmetric Dirichlet distribution of this concentration: at 1 all divisions are as likely,
/// below 1 most of the whole goes to few shares.
pub fn shares(count: usize, concentration: f64, random: &mut impl Rng) -> Vec<f64> {
    // Shares of independent gamma variates. Their logarithms, because a variate of a small concentration may be too small for a float.
    let logs: Vec<f64> = (0..count).map(|_| log_gamma_variate(concentration, random)).collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sizes: Vec<f64> = logs.iter().map(|log| libm::exp(log - largest)).collect();
    let sum: f64 = sizes.iter().sum();
    sizes.into_iter().map(|size| size / sum).collect()
}

/// The logarithm of a gamma variate of unit scale: the method of Marsaglia and Tsang (2000), for shapes below 1 through shape + 1.
fn log_gamma_variate(shape: f64, random: &mut impl Rng) -> f64 {
    if shape < 1.0 {
        let larger = log_gamma_variate(shape + 1.0, random);
        return larger + libm::log(unit(random)) / shape;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let normal = normal_quantile(unit(random));
        let v = (1.0 + c * normal).powi(3);
        if v > 0.0 && libm::log(unit(random)) < 0.5 * normal * normal + d * (1.0 - v + libm::log(v)) {
            return libm::log(d * v);
        }
    }
}

/// A uniform number between 0 and 1, neither of them.
fn unit(random: &mut impl Rng) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let whole = (random.next_u64() >> 11) as f64;
    (whole + 0.5) / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    /// One run of so many rows in blocks.
    fn blocks(rows: usize, most: usize) -> Vec<Range<usize>> {
        blocks_within(&[Range { start: 0, end: rows }], most)
    }

    #[test]
    fn every_order_is_as_likely() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            *counts.entry(shuffled(&blocks(3, 1), &mut random)).or_insert(0) += 1;
        }
        // 1000 of each are expected, with a standard deviation of 29.
        assert!(counts.len() == 6 && counts.values().all(|count| (880..=1120).contains(count)), "{counts:?}");
    }

    /// A share of a symmetric Dirichlet distribution has the mean 1 / k and the variance (k - 1) / (k^2 (k c + 1)).
    #[test]
    fn shares_have_the_moments_of_their_distribution() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for concentration in [0.1, 1.0, 4.0] {
            let draws: Vec<Vec<f64>> = (0..20_000).map(|_| shares(3, concentration, &mut random)).collect();
            assert!(draws.iter().all(|draw| (draw.iter().sum::<f64>() - 1.0).abs() < 1e-12));
            let mean = draws.iter().map(|draw| draw[1]).sum::<f64>() / 20_000.0;
            let variance = draws.iter().map(|draw| (draw[1] - mean).powi(2)).sum::<f64>() / 20_000.0;
            let expected = 2.0 / (9.0 * (3.0 * concentration + 1.0));
            assert!((mean - 1.0 / 3.0).abs() < 0.01, "{concentration}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.04, "{concentration}: {variance}, not {expected}");
        }
    }

    #[test]
    fn blocks_stay_together() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..20 {
            let order = shuffled(&blocks(11, 4), &mut random);
            assert!(order.windows(2).all(|pair| pair[1] == pair[0] + 1 || pair[1] % 4 == 0), "{order:?}");
            let mut sorted = order;
            sorted.sort_unstable();
            assert_eq!(sorted, (0..11).collect::<Vec<_>>());
            let times = resampled(&blocks(11, 4), &mut random);
            assert!(times.chunks(4).all(|block| block.iter().all(|times| *times == block[0])), "{times:?}");
            assert_eq!([times[0], times[4], times[8]].iter().sum::<u32>(), 3);
        }
    }

    #[test]
    fn blocks_do_not_reach_over_runs() {
        assert_eq!(blocks(7, 3), [0..3, 3..6, 6..7]);
        let runs = [0..5, 5..9];
        let blocks = blocks_within(&runs, 3);
        assert_eq!(blocks, [0..3, 3..5, 5..8, 8..9]);
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..20 {
            // What follows a row is its neighbour, or the row is the last of a block.
            let order = shuffled(&blocks, &mut random);
            assert!(
                order.windows(2).all(|pair| pair[1] == pair[0] + 1 || [2, 4, 7, 8].contains(&pair[0])),
                "{order:?}"
            );
            let times = resampled(&blocks, &mut random);
            assert!(blocks.iter().all(|block| times[block.clone()].iter().all(|other| *other == times[block.start])));
            assert_eq!([0, 3, 5, 8].map(|first| times[first]).iter().sum::<u32>(), 4);
        }
    }

    #[test]
    fn a_resample_takes_as_many_rows_as_there_are() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let times = resampled(&blocks(1000, 1), &mut random);
        assert_eq!(times.iter().sum::<u32>(), 1000);
        // A share 1/e is not taken.
        let left_out = times.iter().filter(|times| **times == 0).count();
        assert!((320..=420).contains(&left_out), "{left_out}");
    }
}
