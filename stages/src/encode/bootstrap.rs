//! Resamples of test stimuli, the same ones for all responses, and sums over them as matrix products.
//!
//! A resample is how often each row is taken, so a sum over its rows is a product of one matrix for all responses and models.
//! Products run in single precision, in runs whose sums are added in double precision: what they decide are percentiles, whose
//! Monte Carlo error is thousands of times larger.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::numeric::linear_algebra::{MatrixView, product_in_f64};
use crate::numeric::random_rows::resampled;

/// How often each row is taken by each resample.
pub(super) struct RowResamples {
    /// How many resamples.
    pub count: usize,
    rows: usize,
    /// Resamples by rows, column after column.
    times: Vec<f32>,
    /// How many rows each resample has.
    sizes: Vec<f64>,
}

impl RowResamples {
    /// So many resamples of so many rows, in blocks of `block` consecutive ones.
    pub fn new(seed: u64, count: usize, rows: usize, block: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut times = vec![0.0; count * rows];
        let mut sizes = Vec::with_capacity(count);
        for resample in 0..count {
            let taken = resampled(rows, block, &mut random);
            sizes.push(f64::from(taken.iter().sum::<u32>()));
            for (row, taken) in taken.into_iter().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "a row is taken a few times")]
                let taken = taken as f32;
                times[row * count + resample] = taken;
            }
        }
        Self { count, rows, times, sizes }
    }

    /// Sums of numbers (those of one response after those of another) over the rows of every resample: by response, those of all
    /// resamples.
    fn sums(&self, numbers: impl Iterator<Item = f64>) -> Vec<f64> {
        #[expect(clippy::cast_possible_truncation, reason = "single precision, as said above")]
        let numbers: Vec<f32> = numbers.map(|number| number as f32).collect();
        let columns = numbers.len() / self.rows;
        product_in_f64(
            MatrixView::new(&self.times, self.count, self.rows),
            MatrixView::new(&numbers, self.rows, columns),
        )
    }

    /// Sums of squares of errors in every resample.
    pub fn squares(&self, errors: &[f64]) -> Vec<f64> {
        self.sums(errors.iter().map(|error| error * error))
    }

    /// Sums of squares about the mean of the resample, of numbers whose mean over all rows is 0.
    pub fn totals(&self, centred: &[f64]) -> Vec<f64> {
        let mut totals = self.squares(centred);
        let sums = self.sums(centred.iter().copied());
        for (at, (total, sum)) in totals.iter_mut().zip(sums).enumerate() {
            *total -= sum * sum / self.sizes[at % self.count];
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_rows_taken() {
        let rows = 40;
        let resamples = RowResamples::new(5, 12, rows, 3);
        let numbers: Vec<f64> = (0..2 * rows).map(|at| ((at * 37) % 41) as f64 - 20.0).collect();
        let (squares, totals) = (resamples.squares(&numbers), resamples.totals(&numbers));
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for resample in 0..12 {
            let taken = resampled(rows, 3, &mut random);
            for response in 0..2 {
                let chosen: Vec<f64> =
                    (0..rows).flat_map(|row| vec![numbers[response * rows + row]; taken[row] as usize]).collect();
                let mean = chosen.iter().sum::<f64>() / chosen.len() as f64;
                let square: f64 = chosen.iter().map(|x| x * x).sum();
                let total: f64 = chosen.iter().map(|x| (x - mean).powi(2)).sum();
                let at = response * 12 + resample;
                assert!((squares[at] - square).abs() < 1e-3 && (totals[at] - total).abs() < 1e-2);
            }
        }
    }
}
