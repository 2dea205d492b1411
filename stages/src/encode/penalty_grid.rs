//! The penalties that are tried.
//!
//! Decides the grid: a list, or numbers spaced evenly in their logarithm. The 20 of the lab are a grid of their own, because three of
//! them are negative: 0.01 is taken off numbers that begin at 0.0001.
//!
//! The default is for features that are z-scored. Their X^T X over n rows has eigenvalues between n p, if all p features are the same, and
//! a small share of n, where features nearly depend on each other. The lowest penalty, 0.1, takes a thousandth off the weight of an
//! axis with 1 % of the variance of a feature in 10,000 rows, and is least squares for all others; the highest, 1e8, leaves nothing of
//! 10,000 rows of a thousand features but a tenth of what all of them have in common. Neighbours differ by a factor of 3, between which
//! squared errors on held-out rows hardly change; a penalty costs p^2 multiplications a response, so 20 is also what a grid
//! costs. A response that chooses the lowest is fitted best without any: in simulations 59 of 400 chose it, and 59 with 0.001 in its place.

use pipe_contract::{Failure, parameters};

/// The penalties of a pipeline that names none.
const LOWEST: f64 = 0.1;
const HIGHEST: f64 = 1e8;
const COUNT: usize = 20;

parameters! {
    /// Which penalties are tried.
    pub(super) struct PenaltyGrid {
        /// the penalties that are tried, one after the other; of equally good ones the first is chosen; none: those of the next three
        penalties: Vec<f64> = Vec::new();
        /// the lowest of penalties that are spaced evenly in their logarithm
        lowest_penalty: f64 = LOWEST, in 1e-300..=1e300;
        /// the highest of them
        highest_penalty: f64 = HIGHEST, in 1e-300..=1e300;
        /// how many they are
        penalty_count: usize = COUNT, in 2..=1000;
    }
}

impl PenaltyGrid {
    /// Whether it was written in the pipeline, and is not what a pipeline gets that writes nothing.
    pub fn is_given(&self) -> bool {
        !self.penalties.is_empty()
            || (self.lowest_penalty, self.highest_penalty, self.penalty_count) != (LOWEST, HIGHEST, COUNT)
    }

    /// The penalties, in the order in which they are tried.
    ///
    /// # Errors
    /// Input: a negative one, one twice, or a lowest that is not below the highest.
    pub fn values(&self) -> Result<Vec<f64>, Failure> {
        let Self { penalties, lowest_penalty: lowest, highest_penalty: highest, penalty_count: count } = self;
        if penalties.is_empty() {
            if lowest >= highest {
                return Err(Failure::input(format!("the lowest penalty is {lowest}, the highest {highest}"))
                    .hint("`lowest_penalty` is below `highest_penalty`; a single one is a list: `penalties: [100]`"));
            }
            let (low, step) = (lowest.ln(), (highest / lowest).ln() / crate::numeric::counts::real(count - 1));
            let inner = |at: usize| (low + step * crate::numeric::counts::real(at)).exp();
            return Ok((0..*count).map(|at| [inner(at), *lowest, *highest][ends(at, *count)]).collect());
        }
        if let Some(negative) = penalties.iter().find(|penalty| **penalty < 0.0) {
            return Err(Failure::input(format!("the penalty {negative} is negative"))
                .hint("a negative penalty makes weights larger, without bound near an eigenvalue; `compat: lab08` has those of the lab"));
        }
        let mut sorted = penalties.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.windows(2).find(|two| two[0].total_cmp(&two[1]).is_eq()) {
            Some(twice) => Err(Failure::input(format!("the penalty {} is listed twice", twice[0]))),
            None => Ok(penalties.clone()),
        }
    }
}

/// 1 for the first, 2 for the last, else 0: both ends are the numbers that were given, to the last digit.
fn ends(at: usize, count: usize) -> usize {
    usize::from(at == 0) + 2 * usize::from(at + 1 == count)
}

/// The penalties of the lab: 20 from 0.0001 to 1e10 + 0.01, spaced evenly in their logarithm, as 32-bit floats, less 0.01.
#[expect(clippy::cast_possible_truncation, reason = "the lab's penalties are 32-bit floats")]
pub(super) fn lab08() -> Vec<f64> {
    let (low, high) = (1e-4_f64.ln(), (1e10_f64 + 0.01).ln());
    let step = (high - low) / 19.0;
    let exponent = |at: u32| if at == 19 { high } else { f64::from(at) * step + low };
    (0..20).map(|at| f64::from(std::f64::consts::E.powf(exponent(at)) as f32 - 0.01)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(penalties: &[f64]) -> PenaltyGrid {
        PenaltyGrid { penalties: penalties.to_vec(), lowest_penalty: 0.1, highest_penalty: 1e3, penalty_count: 5 }
    }

    #[test]
    fn the_grid_is_even_in_its_logarithm_or_a_list() {
        let values = grid(&[]).values().unwrap();
        assert_eq!((values[0], values[4]), (0.1, 1e3));
        assert!(values.windows(2).all(|two| (two[1] / two[0] - 10.0).abs() < 1e-12), "{values:?}");
        assert_eq!(grid(&[5.0, 0.0]).values().unwrap(), [5.0, 0.0]);
        let failure = |grid: PenaltyGrid| grid.values().unwrap_err().message;
        assert_eq!(failure(grid(&[-0.5])), "the penalty -0.5 is negative");
        assert_eq!(failure(grid(&[2.0, 1.0, 2.0])), "the penalty 2 is listed twice");
        assert_eq!(
            failure(PenaltyGrid { lowest_penalty: 1e3, ..grid(&[]) }),
            "the lowest penalty is 1000, the highest 1000"
        );
    }

    /// `np.logspace(np.log(0.0001), np.log(10**10+0.01), 20, dtype=np.float32, base=np.e) - 0.01` of NumPy 2.
    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "32-bit floats were printed")]
    fn the_labs_penalties_are_numpys_to_the_last_bit() {
        let expected: [f32; 20] = [
            -0.0099,
            -0.009_454_44,
            -0.007_023_648_4,
            0.006_237_767_6,
            0.078_586_68,
            0.473_293_04,
            2.626_650_8,
            14.374_498,
            78.465_996,
            428.123_23,
            2335.7114,
            12742.74,
            69519.27,
            379_269.03,
            2_069_138.1,
            11_288_379.0,
            61_584_820.0,
            335_981_820.0,
            1_832_980_700.0,
            1e10,
        ];
        assert_eq!(lab08().iter().map(|penalty| *penalty as f32).collect::<Vec<_>>(), expected);
    }
}
