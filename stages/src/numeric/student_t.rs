//! Student's t distribution: tails and quantiles, for tests and intervals from an estimated error.
//!
//! The tail is half the regularised incomplete beta function of `dof / (dof + t^2)`, computed by its continued fraction (DLMF 8.17.22, by
//! the method of Lentz as Thompson and Barnett 1986 modified it), good to about 1e-12 of what it is. A quantile is found by bisection of
//! the tail, down to neighbouring floats. Independent of what is tested.

/// The probability that a t of so many degrees of freedom is at least `t`; NaN where either is NaN or there are none.
pub fn upper_tail(t: f64, dof: f64) -> f64 {
    if t.is_nan() || dof.is_nan() || dof <= 0.0 {
        return f64::NAN;
    }
    let half = incomplete_beta(dof / (dof + t * t), dof / 2.0, 0.5) / 2.0;
    if t >= 0.0 { half } else { 1.0 - half }
}

/// The probability that a t is at least as far from 0.
pub fn both_tails(t: f64, dof: f64) -> f64 {
    2.0 * upper_tail(t.abs(), dof)
}

/// The t above which the share `tail` (0 to a half) lies.
pub fn quantile_of_tail(tail: f64, dof: f64) -> f64 {
    if !(0.0..=0.5).contains(&tail) || dof.is_nan() || dof <= 0.0 {
        return f64::NAN;
    }
    if tail == 0.0 {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while upper_tail(high, dof) > tail {
        (low, high) = (high, high * 2.0);
    }
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return middle;
        }
        if upper_tail(middle, dof) > tail { low = middle } else { high = middle }
    }
}

/// The regularised incomplete beta function `I_x(a, b)`.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast on this side; the other follows from I_x(a, b) = 1 - I_{1-x}(b, a).
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let log_beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let front = libm::exp(a * libm::log(x) + b * libm::log1p(-x) - log_beta) / a;
    front / fraction(x, a, b)
}

/// A denominator of the fraction is not let below this.
const TINY: f64 = 1e-300;

/// Terms that the fraction has at most; it takes about the square root of the degrees of freedom.
const TERMS: u32 = 100_000;

/// The continued fraction `1 + d1 / (1 + d2 / (1 + ...))`.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut whole, mut over, mut under) = (1.0, 1.0, 0.0);
    for term in 1..TERMS {
        let m = f64::from(term / 2);
        let d = if term % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        under = 1.0 / away(1.0 + d * under);
        over = away(1.0 + d / over);
        whole *= over * under;
        if (over * under - 1.0).abs() < 1e-16 {
            break;
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-10 * expected.abs(), "{found}, not {expected}");
    }

    /// `scipy.stats.t.sf(t, dof)` of SciPy 1.17.
    #[test]
    fn tails_are_those_of_scipy() {
        for (t, dof, expected) in [
            (0.5, 1.0, 0.35241638234956674),
            (2.0, 3.0, 0.06966298427942152),
            (-1.3, 7.0, 0.8826160823038114),
            (4.0, 91.0, 6.439056747966212e-05),
            (25.0, 7.0, 2.0898485588297177e-08),
            (1.0, 2000.0, 0.15871573905037165),
            (12.0, 999.0, 2.171551953858165e-31),
        ] {
            close(upper_tail(t, dof), expected);
        }
        close(both_tails(-2.5, 7.0), 2.0 * upper_tail(2.5, 7.0));
        assert_eq!((upper_tail(0.0, 3.0), upper_tail(f64::INFINITY, 3.0)), (0.5, 0.0));
        assert!(upper_tail(f64::NAN, 3.0).is_nan() && upper_tail(1.0, 0.0).is_nan());
    }

    /// `scipy.stats.t.isf(tail, dof)`.
    #[test]
    fn quantiles_are_those_of_scipy() {
        for (tail, dof, expected) in [
            (0.025, 1.0, 12.706204736174705),
            (0.025, 3.0, 3.1824463052837086),
            (0.025, 91.0, 1.986377154418618),
            (0.0001, 7.0, 7.063432828157514),
            (0.16, 15.0, 1.0285328423444036),
        ] {
            close(quantile_of_tail(tail, dof), expected);
        }
        assert_eq!((quantile_of_tail(0.0, 4.0), quantile_of_tail(0.5, 4.0) < 1e-12), (f64::INFINITY, true));
        assert!(quantile_of_tail(0.6, 4.0).is_nan());
    }
}
