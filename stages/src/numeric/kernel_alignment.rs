//! Linear centred kernel alignment (CKA) of representations, from squared distances between their patterns.
//!
//! CKA of two representations of the same entries is the cosine between their centred Gram matrices (Kornblith et al. 2019). The
//! centred Gram matrix follows from squared Euclidean distances `D`: `K = -1/2 J D J` with `J = I - 1/n` (Torgerson 1952), so RDMs are
//! enough and patterns are not needed. Plain CKA of few entries and many features is near 1 whatever the features are; the debiased one
//! uses the unbiased estimator of Song et al. (2012), whose inner product is that of matrices centred without their diagonals, and may
//! be negative. Decides that both are given as vectors whose cosine is CKA, so that all pairs of many RDMs are one product of matrices.

use super::counts::real;
use super::dissimilarity::pairs;

/// The centred Gram matrix of squared distances (an upper triangle by rows of `n` entries with a diagonal of 0) as a vector of
/// `n (n + 1) / 2` numbers, in which pairs are weighted by `sqrt(2)` because a square matrix has each twice. The cosine between two such
/// vectors is linear CKA.
pub fn centred_gram(squared: &[f64], n: usize) -> Vec<f64> {
    let sums = row_sums(squared, n);
    let count = real(n);
    let mean = sums.iter().sum::<f64>() / (count * count);
    let entry = |value: f64, i: usize, j: usize| -0.5 * (value - sums[i] / count - sums[j] / count + mean);
    let off_diagonal = pairs(n).zip(squared).map(|((i, j), value)| entry(*value, i, j) * std::f64::consts::SQRT_2);
    (0..n).map(|i| entry(0.0, i, i)).chain(off_diagonal).collect()
}

/// Squared distances centred without the diagonal, as an upper triangle by rows: every row sums to 0 over the other entries. The cosine
/// between two such vectors is debiased linear CKA. `n` is at least 4.
pub fn unbiased_gram(squared: &[f64], n: usize) -> Vec<f64> {
    let sums = row_sums(squared, n);
    let count = real(n);
    let total = sums.iter().sum::<f64>() / ((count - 1.0) * (count - 2.0));
    let entry = |value: f64, i: usize, j: usize| -0.5 * (value - (sums[i] + sums[j]) / (count - 2.0) + total);
    pairs(n).zip(squared).map(|((i, j), value)| entry(*value, i, j)).collect()
}

fn row_sums(squared: &[f64], n: usize) -> Vec<f64> {
    let mut sums = vec![0.0; n];
    for ((i, j), value) in pairs(n).zip(squared) {
        sums[i] += value;
        sums[j] += value;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 6;

    /// Features of six entries, entry after entry.
    fn features(width: usize, step: f64) -> Vec<Vec<f64>> {
        (0..N).map(|i| (0..width).map(|f| ((i * width + f + 1) as f64 * step).sin()).collect()).collect()
    }

    fn squared(features: &[Vec<f64>]) -> Vec<f64> {
        pairs(N).map(|(i, j)| features[i].iter().zip(&features[j]).map(|(x, y)| (x - y).powi(2)).sum()).collect()
    }

    fn cosine(x: &[f64], y: &[f64]) -> f64 {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        dot(x, y) / (dot(x, x) * dot(y, y)).sqrt()
    }

    fn gram(features: &[Vec<f64>]) -> [[f64; N]; N] {
        let dot = |i: usize, j: usize| features[i].iter().zip(&features[j]).map(|(x, y)| x * y).sum::<f64>();
        std::array::from_fn(|i| std::array::from_fn(|j| dot(i, j)))
    }

    /// `|Y^T X|^2 / (|X^T X| |Y^T Y|)` of features centred over entries, the definition of linear CKA.
    #[test]
    fn plain_alignment_is_that_of_features() {
        let (x, y) = (features(3, 0.7), features(5, 1.9));
        let centred = |features: &[Vec<f64>]| -> Vec<Vec<f64>> {
            let width = features[0].len();
            let mean = |f: usize| features.iter().map(|row| row[f]).sum::<f64>() / N as f64;
            let means: Vec<f64> = (0..width).map(mean).collect();
            features.iter().map(|row| row.iter().zip(&means).map(|(value, mean)| value - mean).collect()).collect()
        };
        let cross = |x: &[Vec<f64>], y: &[Vec<f64>]| -> f64 {
            let dot = |a: usize, b: usize| x.iter().zip(y).map(|(x, y)| x[a] * y[b]).sum::<f64>();
            (0..x[0].len()).map(|a| (0..y[0].len()).map(|b| dot(a, b).powi(2)).sum::<f64>()).sum()
        };
        let (cx, cy) = (centred(&x), centred(&y));
        let expected = cross(&cx, &cy) / (cross(&cx, &cx) * cross(&cy, &cy)).sqrt();
        let found = cosine(&centred_gram(&squared(&x), N), &centred_gram(&squared(&y), N));
        assert!((found - expected).abs() < 1e-14, "{found} {expected}");
    }

    /// The estimator as Song et al. write it: `tr(KL) + 1'K1 1'L1 / ((n-1)(n-2)) - 2 1'KL1 / (n-2)` of Gram matrices without diagonals.
    #[test]
    fn debiased_alignment_is_that_of_the_unbiased_estimator() {
        let (x, y) = (features(3, 0.7), features(5, 1.9));
        let hollow = |features: &[Vec<f64>]| {
            let mut gram = gram(features);
            (0..N).for_each(|i| gram[i][i] = 0.0);
            gram
        };
        let estimate = |k: &[[f64; N]; N], l: &[[f64; N]; N]| {
            let n = N as f64;
            let trace: f64 = (0..N).flat_map(|i| (0..N).map(move |j| (i, j))).map(|(i, j)| k[i][j] * l[j][i]).sum();
            let rows = |k: &[[f64; N]; N]| k.map(|row| row.iter().sum::<f64>());
            let (rk, rl) = (rows(k), rows(l));
            let sums = rk.iter().sum::<f64>() * rl.iter().sum::<f64>();
            let cross: f64 = rk.iter().zip(&rl).map(|(a, b)| a * b).sum();
            trace + sums / ((n - 1.0) * (n - 2.0)) - 2.0 * cross / (n - 2.0)
        };
        let (k, l) = (hollow(&x), hollow(&y));
        let expected = estimate(&k, &l) / (estimate(&k, &k) * estimate(&l, &l)).sqrt();
        let found = cosine(&unbiased_gram(&squared(&x), N), &unbiased_gram(&squared(&y), N));
        assert!((found - expected).abs() < 1e-13, "{found} {expected}");
    }
}
