//! How far two numbers are apart, for every comparison.

/// Relative for numbers above 1, absolute below; not finite numbers differ infinitely unless they are the same.
pub(super) fn difference(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let difference = (a - b).abs() / a.abs().max(b.abs()).max(1.0);
    if difference.is_nan() { f64::INFINITY } else { difference }
}

/// The largest difference between numbers at the same places.
pub(super) fn largest(a: impl Iterator<Item = f64>, b: impl Iterator<Item = f64>) -> f64 {
    a.zip(b).map(|(a, b)| difference(a, b)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative_above_one_and_absolute_below() {
        assert_eq!(difference(1.0, 1.5), 0.5 / 1.5);
        assert_eq!(difference(0.5, 0.25), 0.25);
        assert_eq!(difference(-200.0, -100.0), 0.5);
        assert_eq!(difference(f64::NAN, f64::NAN), 0.0);
        assert_eq!(difference(f64::NAN, 1.0), f64::INFINITY);
        assert_eq!(difference(f64::INFINITY, f64::INFINITY), 0.0);
    }
}
