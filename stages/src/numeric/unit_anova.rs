//! How much of the variance of each unit's responses two factors explain: eta squared of a balanced design with one stimulus a cell.
//!
//! Decides that responses are never kept: stimuli come one after the other, and each unit has a few running sums, in `f64` and of
//! differences from its first response, because sums of squares of large numbers lose the variance. Memory is `units * (levels of the
//! first + levels of the second + 3)` numbers. With one stimulus a cell the interaction has what the two factors do not explain, noise
//! included. Independent of what units are.

use pipe_contract::Failure;

/// Running sums of a design.
#[derive(Clone, Debug)]
pub struct UnitAnova {
    levels: [usize; 2],
    units: usize,
    /// Which cells were added.
    seen: Vec<bool>,
    /// The first response of each unit.
    shift: Vec<f64>,
    sums: Vec<f64>,
    squares: Vec<f64>,
    /// Sums by level of each factor: `levels * units`.
    by_level: [Vec<f64>; 2],
}

/// Shares of variance by unit; NaN for a unit that responds to all stimuli alike.
#[derive(Clone, Debug, PartialEq)]
pub struct EtaSquared {
    /// Of the two factors.
    pub factors: [Vec<f64>; 2],
    /// Of their interaction, which has all that remains.
    pub interaction: Vec<f64>,
}

impl UnitAnova {
    /// No stimulus yet, of a design with so many levels of each factor and so many units.
    ///
    /// # Errors
    /// Input: a factor has fewer than two levels. Internal: there are no units.
    pub fn new(levels: [usize; 2], units: usize) -> Result<Self, Failure> {
        if let Some(few) = levels.iter().find(|levels| **levels < 2) {
            return Err(Failure::input(format!("a factor has {few} levels, expected at least 2 of both")));
        }
        if units == 0 {
            return Err(Failure::internal("a layer has no units"));
        }
        let zeros = |count: usize| vec![0.0; count * units];
        Ok(Self {
            levels,
            units,
            seen: vec![false; levels[0] * levels[1]],
            shift: Vec::new(),
            sums: zeros(1),
            squares: zeros(1),
            by_level: levels.map(zeros),
        })
    }

    /// Adds the responses of all units to the stimulus of a cell, a level of each factor.
    ///
    /// # Errors
    /// Input: two stimuli of one cell. Internal: there is no such cell, or not a response of each unit.
    pub fn add<T: Copy + Into<f64>>(&mut self, cell: [usize; 2], responses: &[T]) -> Result<(), Failure> {
        let [first, second] = cell;
        if first >= self.levels[0] || second >= self.levels[1] || responses.len() != self.units {
            let (levels, units, found) = (self.levels, self.units, responses.len());
            return Err(Failure::internal(format!(
                "{found} responses in cell {cell:?} of {levels:?} and {units} units"
            )));
        }
        let place = first * self.levels[1] + second;
        if std::mem::replace(&mut self.seen[place], true) {
            return Err(Failure::input(format!(
                "there are two stimuli of level {} of the first factor and {} of the second, expected one",
                first + 1,
                second + 1
            ))
            .hint("group the stimuli by their other variables, so that each group has one stimulus a cell"));
        }
        if self.shift.is_empty() {
            self.shift = responses.iter().map(|response| (*response).into()).collect();
        }
        let [firsts, seconds] = &mut self.by_level;
        let firsts = &mut firsts[first * self.units..][..self.units];
        let seconds = &mut seconds[second * self.units..][..self.units];
        for (unit, response) in responses.iter().enumerate() {
            let response: f64 = (*response).into();
            let response = response - self.shift[unit];
            self.sums[unit] += response;
            self.squares[unit] += response * response;
            firsts[unit] += response;
            seconds[unit] += response;
        }
        Ok(())
    }

    /// The shares of variance, when every cell has its stimulus.
    ///
    /// # Errors
    /// Input: a cell has none.
    pub fn finish(&self) -> Result<EtaSquared, Failure> {
        if let Some(place) = self.seen.iter().position(|seen| !seen) {
            let (first, second) = (place / self.levels[1] + 1, place % self.levels[1] + 1);
            return Err(Failure::input(format!(
                "there is no stimulus of level {first} of the first factor and {second} of the second, expected one of each"
            ))
            .hint("the analysis needs every combination of both variables: complete the stimuli, or filter them"));
        }
        let none = || Vec::with_capacity(self.units);
        let mut result = EtaSquared { factors: [none(), none()], interaction: none() };
        for unit in 0..self.units {
            let [first, second, interaction] = self.shares(unit);
            result.factors[0].push(first);
            result.factors[1].push(second);
            result.interaction.push(interaction);
        }
        Ok(result)
    }

    fn shares(&self, unit: usize) -> [f64; 3] {
        let [first_levels, second_levels] = self.levels.map(|levels| levels as f64);
        let correction = self.sums[unit] * self.sums[unit] / (first_levels * second_levels);
        let total = self.squares[unit] - correction;
        if total <= 0.0 || !total.is_finite() {
            return [f64::NAN; 3];
        }
        let of_factor = |factor: usize, others: f64| {
            let sums = self.by_level[factor].iter().skip(unit).step_by(self.units);
            sums.map(|sum| sum * sum).sum::<f64>() / others - correction
        };
        let (first, second) = (of_factor(0, second_levels), of_factor(1, first_levels));
        [first, second, total - first - second].map(|part| part / total)
    }
}

/// What a layer's units have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EtaSummary {
    /// The mean over units.
    pub mean: f64,
    /// The population standard deviation over units.
    pub std: f64,
    /// The population standard deviation over kernels of the mean over each kernel's units.
    pub std_of_kernel_means: f64,
}

impl EtaSummary {
    /// Of the shares of units that lie kernel after kernel. Units without a share (NaN) are left out, and kernels of which no unit has
    /// one; a number is NaN if nothing remains for it. A layer without places has as many kernels as units.
    ///
    /// # Errors
    /// Internal: there are no kernels, or the units are no whole kernels.
    pub fn of(shares: &[f64], kernels: usize) -> Result<Self, Failure> {
        if kernels == 0 || shares.is_empty() || !shares.len().is_multiple_of(kernels) {
            return Err(Failure::internal(format!("{} units are no {kernels} kernels", shares.len())));
        }
        let (mean, std) = moments(shares);
        let means: Vec<f64> = shares.chunks_exact(shares.len() / kernels).map(|kernel| moments(kernel).0).collect();
        Ok(Self { mean, std, std_of_kernel_means: moments(&means).1 })
    }
}

/// Mean and population standard deviation of the numbers that are not NaN.
fn moments(numbers: &[f64]) -> (f64, f64) {
    let there = || numbers.iter().filter(|number| !number.is_nan());
    let count = there().count() as f64;
    let mean = there().sum::<f64>() / count;
    let variance = there().map(|number| (number - mean) * (number - mean)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds all cells of a 2 x 3 design; `cells` are the responses of one unit, the second factor changing fastest.
    fn added(units: &[[f64; 6]]) -> UnitAnova {
        let mut anova = UnitAnova::new([2, 3], units.len()).unwrap();
        for place in 0..6 {
            let responses: Vec<f64> = units.iter().map(|cells| cells[place]).collect();
            anova.add([place / 3, place % 3], &responses).unwrap();
        }
        anova
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12 || found.is_nan() && expected.is_nan(), "{found}, not {expected}");
    }

    /// By hand: of 1, 2, 3, 5, 6, 7 the first factor has 24 of 28, the second 4; of 1, 2, 4, 3, 7, 7 (numpy: `x = np.array(...)`,
    /// total `((x - x.mean()) ** 2).sum()` = 32, `3 * ((x.mean(1) - x.mean()) ** 2).sum()` = 16.667, `2 * (... x.mean(0) ...)` = 13)
    /// they have 50 / 96 and 13 / 32.
    #[test]
    fn shares_are_those_of_the_sums_of_squares() {
        let eta = added(&[[1.0, 2.0, 3.0, 5.0, 6.0, 7.0], [1.0, 2.0, 4.0, 3.0, 7.0, 7.0], [4.0; 6]]).finish().unwrap();
        near(eta.factors[0][0], 24.0 / 28.0);
        near(eta.factors[1][0], 4.0 / 28.0);
        near(eta.interaction[0], 0.0);
        near(eta.factors[0][1], 50.0 / 96.0);
        near(eta.factors[1][1], 13.0 / 32.0);
        near(eta.interaction[1], 1.0 - 50.0 / 96.0 - 13.0 / 32.0);
        assert!(eta.factors[0][2].is_nan() && eta.factors[1][2].is_nan() && eta.interaction[2].is_nan());
    }

    #[test]
    fn large_means_do_not_matter() {
        let small = added(&[[1.0, 2.0, 4.0, 3.0, 7.0, 7.0]]).finish().unwrap();
        let large = added(&[[1.0, 2.0, 4.0, 3.0, 7.0, 7.0].map(|response| response + 1e9)]).finish().unwrap();
        assert_eq!(small, large);
    }

    #[test]
    fn the_order_of_stimuli_does_not_matter_and_numbers_may_be_narrow() {
        let mut anova = UnitAnova::new([2, 3], 1).unwrap();
        for place in [5_usize, 0, 3, 1, 4, 2] {
            let response = [1.0_f32, 2.0, 4.0, 3.0, 7.0, 7.0][place];
            anova.add([place / 3, place % 3], &[response]).unwrap();
        }
        let found = anova.finish().unwrap();
        near(found.factors[0][0], 50.0 / 96.0);
        near(found.factors[1][0], 13.0 / 32.0);
    }

    /// numpy: `np.nanmean`, `np.nanstd` of 0.1, 0.3, nan, 0.8, nan, nan, and of the means 0.2, 0.8, nan of three kernels.
    #[test]
    fn summaries_leave_out_what_is_missing() {
        let n = f64::NAN;
        let summary = EtaSummary::of(&[0.1, 0.3, n, 0.8, n, n], 3).unwrap();
        near(summary.mean, 0.4);
        near(summary.std, (0.26_f64 / 3.0).sqrt());
        near(summary.std_of_kernel_means, 0.3);
        assert!(EtaSummary::of(&[n, n], 1).unwrap().mean.is_nan());
        assert!(EtaSummary::of(&[0.1, 0.2, 0.3], 2).is_err() && EtaSummary::of(&[], 1).is_err());
    }

    #[test]
    fn designs_that_are_not_balanced_are_refused() {
        assert_eq!(
            UnitAnova::new([1, 3], 4).unwrap_err().message,
            "a factor has 1 levels, expected at least 2 of both"
        );
        let mut anova = UnitAnova::new([2, 2], 1).unwrap();
        anova.add([0, 0], &[1.0]).unwrap();
        let message = anova.add([0, 0], &[1.0]).unwrap_err().message;
        assert!(message.starts_with("there are two stimuli of level 1 of the first factor and 1 of the second"));
        anova.add([0, 1], &[1.0]).unwrap();
        let message = anova.finish().unwrap_err().message;
        assert!(message.starts_with("there is no stimulus of level 2 of the first factor and 1 of the second"));
        assert!(anova.add([2, 0], &[1.0]).is_err() && anova.add([1, 0], &[1.0, 2.0]).is_err());
    }
}
