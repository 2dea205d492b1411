//! Means, standard errors and percentiles of lists of numbers, and the normal distribution's quantiles.
//!
//! Decides how uncertainty is stated everywhere: standard error and its multiplier as the original analysis has them
//! (`summarize_dist`), percentiles as numpy's default. Sums run from left to right, so order decides the last bit.

use super::counts::real;
use published::{CENTRE_OVER, CENTRE_UNDER, FAR_OVER, FAR_UNDER, NEAR_OVER, NEAR_UNDER};

/// The share of a normal distribution within one standard deviation, as the original analysis rounds it.
const WITHIN_ONE_SD: f64 = 0.682_689_5;

/// Mean and spread of a list of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many numbers.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Population standard deviation about the mean.
    pub sd: f64,
    /// Standard error of the mean: `sqrt(sum of squared deviations) / count`.
    pub se: f64,
}

impl Spread {
    /// Mean and spread; `None` of no numbers.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = real(values.len());
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Some(Self { count: values.len(), mean, sd: (squares / count).sqrt(), se: squares.sqrt() / count })
    }

    /// Half the width of the interval around the mean when a figure shows `comparisons` intervals.
    pub fn half_width(&self, comparisons: u32) -> f64 {
        self.se * error_multiplier(comparisons)
    }

    /// The interval around the mean when a figure shows `comparisons` intervals.
    pub fn bounds(&self, comparisons: u32) -> (f64, f64) {
        let half = self.half_width(comparisons);
        (self.mean - half, self.mean + half)
    }
}

/// How many standard errors make half an interval: one for a single interval, more for several (Bonferroni's correction
/// of the 68.27 % of one standard deviation). 28 comparisons (14 columns of two hemispheres): 2.532275.
pub fn error_multiplier(comparisons: u32) -> f64 {
    let alpha = 1.0 - WITHIN_ONE_SD;
    normal_quantile(1.0 - alpha / (2.0 * f64::from(comparisons.max(1))))
}

/// The level of one interval when a figure shows `comparisons` of them: all together hold the 68.27 % of one standard deviation.
pub fn confidence(comparisons: u32) -> f64 {
    1.0 - (1.0 - WITHIN_ONE_SD) / f64::from(comparisons.max(1))
}

/// The `share`-quantile (0 to 1) of numbers sorted ascending, interpolated linearly between neighbours; NaN of no numbers.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share.clamp(0.0, 1.0) * real(last);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and `last`")]
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (place - real(below)) * (sorted[above] - sorted[below])
}

/// The two quantiles that have a share `level` of the numbers between them, as [`quantile`] of the same numbers sorted. They are put
/// in another order. NaN of no numbers and where one of them is NaN.
pub fn interval_of(numbers: &mut [f64], level: f64) -> (f64, f64) {
    if numbers.is_empty() || numbers.iter().any(|number| number.is_nan()) {
        return (f64::NAN, f64::NAN);
    }
    let tail = (1.0 - level) / 2.0;
    (selected(numbers, tail), selected(numbers, 1.0 - tail))
}

/// [`quantile`] of at least one number in any order.
fn selected(numbers: &mut [f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * real(numbers.len() - 1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
    let at = place.floor() as usize;
    let (_, below, rest) = numbers.select_nth_unstable_by(at, f64::total_cmp);
    let below = *below;
    let above = rest.iter().copied().min_by(f64::total_cmp).unwrap_or(below);
    below + (place - real(at)) * (above - below)
}

/// False discovery rates by the step-up procedure of Benjamini and Hochberg (1995): for each p, the smallest rate at which it is
/// called significant among all. NaN stays NaN and is not counted.
pub fn false_discovery(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|at| !p[*at].is_nan()).collect();
    order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
    let mut rates = vec![f64::NAN; p.len()];
    let mut least: f64 = 1.0;
    for (larger, at) in order.iter().enumerate() {
        least = least.min(p[*at] * real(order.len()) / real(order.len() - larger));
        rates[*at] = least;
    }
    rates
}

/// The quantile of the standard normal distribution: the number below which the share `p` lies.
///
/// Wichura's algorithm AS 241 (Applied Statistics 37, 1988), good to about 1e-16; infinite at 0 and 1, NaN outside.
pub fn normal_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    let from_half = p - 0.5;
    if from_half.abs() <= 0.425 {
        let r = 0.180_625 - from_half * from_half;
        return from_half * polynomial(&CENTRE_OVER, r) / polynomial(&CENTRE_UNDER, r);
    }
    let tail = p.min(1.0 - p);
    let size = if tail > 0.0 {
        let r = (-libm::log(tail)).sqrt();
        if r <= 5.0 {
            polynomial(&NEAR_OVER, r - 1.6) / polynomial(&NEAR_UNDER, r - 1.6)
        } else {
            polynomial(&FAR_OVER, r - 5.0) / polynomial(&FAR_UNDER, r - 5.0)
        }
    } else {
        f64::INFINITY
    };
    if from_half < 0.0 { -size } else { size }
}

/// A polynomial with coefficients of ascending powers.
fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// The coefficients of AS 241, by ascending power.
mod published {
    #![expect(clippy::excessive_precision, reason = "the digits as published")]

    pub const CENTRE_OVER: [f64; 8] = [
        3.387_132_872_796_366_608_0e0,
        1.331_416_678_917_843_774_5e2,
        1.971_590_950_306_551_442_7e3,
        1.373_169_376_550_946_112_5e4,
        4.592_195_393_154_987_145_7e4,
        6.726_577_092_700_870_085_3e4,
        3.343_057_558_358_812_810_5e4,
        2.509_080_928_730_122_672_7e3,
    ];
    pub const CENTRE_UNDER: [f64; 8] = [
        1.0,
        4.231_333_070_160_091_125_2e1,
        6.871_870_074_920_579_083_0e2,
        5.394_196_021_424_751_107_7e3,
        2.121_379_430_158_659_586_7e4,
        3.930_789_580_009_271_061_0e4,
        2.872_908_573_572_194_267_4e4,
        5.226_495_278_852_854_561_0e3,
    ];
    pub const NEAR_OVER: [f64; 8] = [
        1.423_437_110_749_683_577_34e0,
        4.630_337_846_156_545_295_90e0,
        5.769_497_221_460_691_405_50e0,
        3.647_848_324_763_204_605_04e0,
        1.270_458_252_452_368_382_58e0,
        2.417_807_251_774_506_117_70e-1,
        2.272_384_498_926_918_458_33e-2,
        7.745_450_142_783_414_076_40e-4,
    ];
    pub const NEAR_UNDER: [f64; 8] = [
        1.0,
        2.053_191_626_637_758_821_87e0,
        1.676_384_830_183_803_849_40e0,
        6.897_673_349_851_000_045_50e-1,
        1.481_039_764_274_800_745_90e-1,
        1.519_866_656_361_645_719_66e-2,
        5.475_938_084_995_344_946_00e-4,
        1.050_750_071_644_416_843_24e-9,
    ];
    pub const FAR_OVER: [f64; 8] = [
        6.657_904_643_501_103_777_20e0,
        5.463_784_911_164_114_369_90e0,
        1.784_826_539_917_291_335_80e0,
        2.965_605_718_285_048_912_30e-1,
        2.653_218_952_657_612_309_30e-2,
        1.242_660_947_388_078_438_60e-3,
        2.711_555_568_743_487_578_15e-5,
        2.010_334_399_292_288_132_65e-7,
    ];
    pub const FAR_UNDER: [f64; 8] = [
        1.0,
        5.998_322_065_558_879_376_90e-1,
        1.369_298_809_227_358_053_10e-1,
        1.487_536_129_085_061_485_25e-2,
        7.868_691_311_456_132_591_00e-4,
        1.846_318_317_510_054_681_80e-5,
        1.421_511_758_316_445_888_70e-7,
        2.044_263_103_389_939_785_64e-15,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `statistics.NormalDist().inv_cdf` of Python 3.11, one per branch.
    #[test]
    fn quantiles_of_the_normal_distribution() {
        for (p, expected) in [
            (0.5, 0.0),
            (0.7, 0.524_400_512_708_040_7),
            (0.05, -1.644_853_626_951_472_4),
            (0.975, 1.959_963_984_540_053_6),
            (1e-6, -4.753_424_308_822_899),
            (1e-20, -9.262_340_089_798_408),
        ] {
            let found = normal_quantile(p);
            assert!((found - expected).abs() <= 1e-14 * expected.abs().max(1.0), "{p}: {found}");
        }
        assert!(normal_quantile(0.0) == f64::NEG_INFINITY && normal_quantile(1.0) == f64::INFINITY);
        assert!(normal_quantile(1.1).is_nan());
    }

    #[test]
    fn the_multipliers_of_the_published_figures() {
        assert!((error_multiplier(28) - 2.532_275).abs() < 5e-7, "area: {}", error_multiplier(28));
        assert!((error_multiplier(22) - 2.446_547).abs() < 5e-7, "ring: {}", error_multiplier(22));
        assert!((confidence(1) - 0.682_689_5).abs() < 1e-12 && (confidence(28) - 0.988_667).abs() < 5e-7);
        assert!((error_multiplier(1) - 1.000_000_016_2).abs() < 1e-9, "one: {}", error_multiplier(1));
    }

    #[test]
    fn spread_by_hand() {
        let spread = Spread::of(&[0.2, 0.4, 0.9]).unwrap();
        // Deviations -0.3, -0.1, 0.4: squares 0.09 + 0.01 + 0.16 = 0.26.
        assert!((spread.mean - 0.5).abs() < 1e-15);
        assert!((spread.sd - (0.26f64 / 3.0).sqrt()).abs() < 1e-15);
        assert!((spread.se - 0.26f64.sqrt() / 3.0).abs() < 1e-15);
        let (low, high) = spread.bounds(22);
        assert!((high - 0.5 - spread.se * error_multiplier(22)).abs() < 1e-15 && (low + high - 1.0).abs() < 1e-15);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn quantiles_interpolate_as_numpy_does() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert!((quantile(&sorted, 0.5) - 3.0).abs() < 1e-15);
        assert!((quantile(&sorted, 0.025) - 1.075).abs() < 1e-15);
        assert!((quantile(&sorted, 1.0) - 8.0).abs() < 1e-15);
        assert!(quantile(&[], 0.5).is_nan());
    }

    /// Values of `scipy.stats.false_discovery_control` (1.17), which has no missing ones.
    #[test]
    fn false_discovery_rates() {
        let rates = false_discovery(&[0.001, 0.2, f64::NAN, 0.8, 0.8, 0.013, 0.04, 0.7]);
        for (found, expected) in rates.iter().zip([0.007, 0.35, f64::NAN, 0.8, 0.8, 0.0455, 0.28 / 3.0, 0.8]) {
            assert!((found - expected).abs() < 1e-15 || (found.is_nan() && expected.is_nan()), "{rates:?}");
        }
        assert_eq!(false_discovery(&[]), Vec::<f64>::new());
    }

    #[test]
    fn intervals_are_the_quantiles_of_the_sorted_numbers() {
        let numbers: Vec<f64> = (0..41).map(|at| f64::from(at * 17 % 41) - 20.0).collect();
        let mut sorted = numbers.clone();
        sorted.sort_by(f64::total_cmp);
        for level in [0.5, 0.683, 0.95, 0.9999] {
            let (low, high) = interval_of(&mut numbers.clone(), level);
            let tail = (1.0 - level) / 2.0;
            assert_eq!([low, high], [quantile(&sorted, tail), quantile(&sorted, 1.0 - tail)]);
        }
        assert_eq!(interval_of(&mut [3.0], 0.95), (3.0, 3.0));
        assert!(interval_of(&mut [], 0.95).0.is_nan() && interval_of(&mut [1.0, f64::NAN], 0.95).1.is_nan());
    }
}
