//! Means and medians of the parts of responses within regions, in every resample of the test stimuli.
//!
//! The interval of one response needs all resamples of it, a median over responses needs all responses of one resample. To hold what both
//! need would take responses by parts by resamples numbers: 600 MB for 19,002 responses, 8 parts and 1,000 resamples. So parts are
//! computed a second time, as many resamples at a time as fit into [`DRAW_BYTES`]. Does not know how parts are computed.

use std::ops::Range;

use pipe_contract::{Context, Failure, Progress};
use rayon::prelude::*;

use super::bootstrap::basic_interval;
use super::regions::ResponseRegion;
use super::test_block::waves;
use crate::numeric::counts::real;

/// Parts that are held at a time take at most so many bytes, or one resample of all responses.
pub(super) const DRAW_BYTES: usize = 256 << 20;

/// How much is resampled.
#[derive(Clone, Copy)]
pub(super) struct DrawSizes {
    pub responses: usize,
    /// Parts of a response.
    pub parts: usize,
    pub resamples: usize,
    /// Parts that are held at a time take at most so many bytes.
    pub bytes: usize,
}

/// By region, in it by part, and in it by resample.
pub(super) struct RegionDraws {
    parts: usize,
    resamples: usize,
    means: Vec<f64>,
    medians: Vec<f64>,
}

impl RegionDraws {
    /// Computes them. `parts_of` gives the parts of a block of responses in some resamples: by part, in it by resample, and in it by
    /// response; NaN where a response has none, which is left out.
    ///
    /// # Errors
    /// Those of `parts_of`. Stage: cancelled.
    pub fn of(
        regions: &[ResponseRegion],
        sizes: DrawSizes,
        parts_of: &(impl Fn(Range<usize>, Range<usize>) -> Result<Vec<f32>, Failure> + Sync),
        context: &dyn Context,
    ) -> Result<Self, Failure> {
        let DrawSizes { responses, parts, resamples, bytes } = sizes;
        let most = (bytes / (size_of::<f32>() * responses * parts)).clamp(1, resamples);
        let empty = vec![f64::NAN; regions.len() * parts * resamples];
        let mut found = Self { parts, resamples, means: empty.clone(), medians: empty };
        for first in (0..resamples).step_by(most) {
            let lot = first..resamples.min(first + most);
            let values = gathered(sizes, &lot, parts_of, context)?;
            let middles: Vec<Vec<(f64, f64)>> = values
                .par_chunks_exact(responses)
                .map_init(Vec::new, |kept, values| {
                    regions.iter().map(|region| middle(values, &region.members, kept)).collect()
                })
                .collect();
            for (column, middles) in middles.into_iter().enumerate() {
                let (part, resample) = (column / lot.len(), first + column % lot.len());
                for (region, (mean, median)) in middles.into_iter().enumerate() {
                    let at = (region * parts + part) * resamples + resample;
                    (found.means[at], found.medians[at]) = (mean, median);
                }
            }
            let (done, total) = (lot.end as u64, resamples as u64);
            context.progress(Progress { done, total, unit: "resamples".into(), note: String::new() });
        }
        Ok(found)
    }

    /// The intervals of the mean and of the median of a part in a region, of which `mean` and `median` are the estimates.
    pub fn intervals(&self, region: usize, part: usize, mean: f64, median: f64, level: f64) -> [(f64, f64); 2] {
        let first = (region * self.parts + part) * self.resamples;
        let own = |draws: &[f64]| draws[first..first + self.resamples].to_vec();
        [basic_interval(mean, &mut own(&self.means), level), basic_interval(median, &mut own(&self.medians), level)]
    }
}

/// Parts of all responses in some resamples: by part, in it by resample, and in it by response.
fn gathered(
    sizes: DrawSizes,
    lot: &Range<usize>,
    parts_of: &(impl Fn(Range<usize>, Range<usize>) -> Result<Vec<f32>, Failure> + Sync),
    context: &dyn Context,
) -> Result<Vec<f32>, Failure> {
    let DrawSizes { responses, parts, .. } = sizes;
    let mut values = vec![0.0; parts * lot.len() * responses];
    for wave in waves(responses, parts) {
        if context.cancelled() {
            return Err(Failure::stage("stopped before all responses were resampled"));
        }
        let blocks: Vec<Result<Vec<f32>, Failure>> =
            wave.par_iter().map(|block| parts_of(block.clone(), lot.clone())).collect();
        for (block, numbers) in wave.iter().zip(blocks) {
            for (column, numbers) in numbers?.chunks_exact(block.len()).enumerate() {
                values[column * responses + block.start..][..block.len()].copy_from_slice(numbers);
            }
        }
    }
    Ok(values)
}

/// The mean and the median of the numbers of some responses that are not NaN; NaN if none is left. `kept` is room for them.
fn middle(numbers: &[f32], members: &[usize], kept: &mut Vec<f32>) -> (f64, f64) {
    kept.clear();
    kept.extend(members.iter().map(|member| numbers[*member]).filter(|number| !number.is_nan()));
    let count = kept.len();
    if count == 0 {
        return (f64::NAN, f64::NAN);
    }
    let mean = kept.iter().map(|number| f64::from(*number)).sum::<f64>() / real(count);
    let (below, upper, _) = kept.select_nth_unstable_by(count / 2, f32::total_cmp);
    let upper = f64::from(*upper);
    let lower = below.iter().copied().max_by(f32::total_cmp).map_or(upper, f64::from);
    (mean, if count.is_multiple_of(2) { (lower + upper) / 2.0 } else { upper })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipe_contract::Silent;

    #[test]
    fn middles_by_hand() {
        let numbers = [4.0, f32::NAN, 1.0, 7.0, 2.0];
        let of = |members: &[usize]| middle(&numbers, members, &mut Vec::new());
        assert_eq!(of(&[0, 1, 2, 3]), (4.0, 4.0));
        assert_eq!(of(&[4, 3, 2, 0]), (3.5, 3.0));
        assert_eq!(of(&[3]), (7.0, 7.0));
        assert!(of(&[1]).0.is_nan() && of(&[]).1.is_nan());
    }

    /// 300 responses are several blocks; the numbers say of what they are.
    #[test]
    fn resamples_are_kept_apart_however_many_fit() {
        let regions = [vec![7, 250, 299], vec![0]].map(|members| ResponseRegion { name: String::new(), members });
        let number =
            |part: usize, resample: usize, response: usize| (1000 * part + 10 * resample + response % 7) as f32;
        let parts_of = |block: Range<usize>, lot: Range<usize>| -> Result<Vec<f32>, Failure> {
            let (block, lot) = (&block, &lot);
            let columns = (0..2).flat_map(|part| lot.clone().map(move |resample| (part, resample)));
            Ok(columns.flat_map(|(part, resample)| block.clone().map(move |at| number(part, resample, at))).collect())
        };
        for bytes in [0, 2 * 4 * 2 * 300, usize::MAX] {
            let sizes = DrawSizes { responses: 300, parts: 2, resamples: 5, bytes };
            let found = RegionDraws::of(&regions, sizes, &parts_of, &Silent).unwrap();
            for (region, part, resample) in [(0, 0, 0), (0, 1, 4), (1, 1, 3), (1, 0, 2)] {
                let at = (region * 2 + part) * 5 + resample;
                // 7, 250 and 299 leave 0, 5 and 5; 0 leaves 0.
                let (mean, median) = if region == 0 { (10.0 / 3.0, 5.0) } else { (0.0, 0.0) };
                let start = (1000 * part + 10 * resample) as f64;
                assert!((found.means[at] - start - mean).abs() < 1e-4, "{bytes} {region} {part} {resample}");
                assert_eq!(found.medians[at], start + median);
            }
            // Draws from 1000 to 1040 about an estimate of 1010: the ends are turned about it.
            let [mean, _] = found.intervals(1, 1, 1010.0, 1020.0, 0.9999);
            assert!((mean.0 - 980.0).abs() < 0.01 && (mean.1 - 1020.0).abs() < 0.01, "{mean:?}");
        }
    }
}
