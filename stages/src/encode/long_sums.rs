//! Long sums of numbers, in `f64` and in eight interleaved runs: a fixed order, the same on every machine, whose additions do not wait
//! for each other as those of one run do.

use super::real_number::Real;
use crate::numeric::counts::real;

const RUNS: usize = 8;

/// The sum of a term of every number.
pub(super) fn sum<T: Real>(numbers: &[T], term: impl Fn(f64) -> f64) -> f64 {
    let (chunks, rest) = numbers.as_chunks::<RUNS>();
    let mut runs = [0.0; RUNS];
    for chunk in chunks {
        runs = std::array::from_fn(|run| runs[run] + term(chunk[run].wide()));
    }
    runs.iter().sum::<f64>() + rest.iter().map(|number| term(number.wide())).sum::<f64>()
}

/// The sum of products of two lists of the same length.
pub(super) fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<RUNS>(), b.as_chunks::<RUNS>());
    let mut runs = [0.0; RUNS];
    for (a, b) in a.iter().zip(b) {
        runs = std::array::from_fn(|run| runs[run] + a[run].wide() * b[run].wide());
    }
    runs.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a.wide() * b.wide()).sum::<f64>()
}

/// The mean; of equal numbers exactly that number, of none 0.
pub(super) fn mean<T: Real>(numbers: &[T]) -> f64 {
    let Some(first) = numbers.first().map(|number| number.wide()) else { return 0.0 };
    first + sum(numbers, |number| number - first) / real(numbers.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_have_every_number_once() {
        for count in [0, 1, 7, 8, 9, 40, 43] {
            let (a, b): (Vec<f64>, Vec<f64>) = (0..count).map(|at| (real(at), real(3 * at + 1))).unzip();
            assert_eq!(sum(&a, |x| x * x + 1.0), a.iter().map(|x| x * x + 1.0).sum::<f64>(), "{count}");
            assert_eq!(dot(&a, &b), a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>(), "{count}");
            assert_eq!(mean(&b), if count == 0 { 0.0 } else { b.iter().sum::<f64>() / real(count) }, "{count}");
        }
        assert_eq!(mean(&[0.1_f32; 1000]), f64::from(0.1_f32));
        assert!(mean(&[1.0, f64::INFINITY, 2.0]).is_infinite() && mean(&[f64::NAN; 9]).is_nan());
    }
}
