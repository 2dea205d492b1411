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

/// The same where a number that is missing on one side only, or infinite, is named with its place. `place` is that of the n-th number.
///
/// # Errors
/// Where it is, and what was and is there.
pub(super) fn largest_of_finite(
    before: impl Iterator<Item = f64>,
    now: impl Iterator<Item = f64>,
    place: impl Fn(usize) -> Vec<usize>,
) -> Result<f64, String> {
    let mut all = 0.0_f64;
    for (index, (a, b)) in before.zip(now).enumerate() {
        let apart = difference(a, b);
        if apart.is_infinite() {
            return Err(format!("at {:?} it was {a} and is {b} now", place(index)));
        }
        all = all.max(apart);
    }
    Ok(all)
}

/// Where numbers differ by more than a tolerance, and by how much.
#[derive(Clone, Debug, Default)]
pub(super) struct Differences {
    tolerance: f64,
    count: usize,
    absolute: f64,
    relative: f64,
    first: String,
}

impl Differences {
    /// None so far.
    pub(super) fn beyond(tolerance: f64) -> Self {
        Self { tolerance, ..Self::default() }
    }

    /// Looks at a number as it was and is; `place` is where it lies.
    pub(super) fn add(&mut self, before: f64, now: f64, place: impl FnOnce() -> Vec<usize>) {
        if difference(before, now) <= self.tolerance {
            return;
        }
        if self.count == 0 {
            self.first = format!("at {:?} it was {before} and is {now} now", place());
        }
        let absolute = (before - now).abs();
        self.count += 1;
        self.absolute = self.absolute.max(absolute);
        self.relative = self.relative.max(absolute / before.abs().max(now.abs()));
    }

    /// In words; nothing if no number differs too much.
    pub(super) fn words(&self) -> Option<String> {
        let Self { count, absolute, relative, first, .. } = self;
        (*count > 0).then(|| {
            format!(
                "{count} by more, at most by {absolute:.2e} and by {relative:.2e} of the larger number; first {first}"
            )
        })
    }
}

/// Where the n-th number of an array lies along each axis: `by_column` if the first axis runs fastest, else the last does.
pub(super) fn place_in(shape: &[usize], by_column: bool, mut index: usize) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    let mut step = |axis: usize| {
        place[axis] = index % shape[axis];
        index /= shape[axis];
    };
    match by_column {
        true => (0..shape.len()).for_each(&mut step),
        false => (0..shape.len()).rev().for_each(&mut step),
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_numpy() {
        assert_eq!(place_in(&[2, 3], false, 4), [1, 1]);
        assert_eq!(place_in(&[2, 3], true, 4), [0, 2]);
        assert_eq!(place_in(&[7], false, 6), [6]);
    }

    #[test]
    fn differences_are_counted_and_the_first_is_named() {
        let mut differences = Differences::beyond(0.1);
        for (index, (a, b)) in [(1.0, 1.05), (4.0, 2.0), (f64::NAN, f64::NAN), (0.5, 0.1)].into_iter().enumerate() {
            differences.add(a, b, || vec![index]);
        }
        let words =
            "2 by more, at most by 2.00e0 and by 8.00e-1 of the larger number; first at [1] it was 4 and is 2 now";
        assert_eq!(differences.words().unwrap(), words);
        assert_eq!(Differences::beyond(0.1).words(), None);
    }

    #[test]
    fn a_number_that_is_missing_on_one_side_is_named() {
        let compare = |a: [f64; 3], b: [f64; 3]| largest_of_finite(a.into_iter(), b.into_iter(), |index| vec![index]);
        assert_eq!(compare([0.5, f64::NAN, 4.0], [0.25, f64::NAN, 3.0]), Ok(0.25));
        assert_eq!(compare([0.5, f64::NAN, 4.0], [0.25, 1.0, 4.0]).unwrap_err(), "at [1] it was NaN and is 1 now");
    }

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
