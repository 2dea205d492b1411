//! The product of two RDMs weighted by the inverse covariance of their numbers, for noise that is independent and equal in all stimuli.
//!
//! Numbers of an RDM that share a stimulus share its noise. For squared distances of patterns with such noise the covariance of their
//! estimates is, to a factor, `V` = 4 for a pair with itself, 1 for two pairs with one stimulus in common, 0 else (Diedrichsen et al. 2020,
//! arXiv 2007.02789, section 2.4 with `Sigma = I`). `V` is never made: `V x` at a pair `ij` is `2 x_ij + r_i + r_j` with the row sums `r`,
//! so that `V^-1 d` is half the upper triangle of the doubly centred matrix `H D H`, and `d^T V^-1 e` is `<D, H E H> / 4`: what linear CKA
//! computes of the patterns. All of it follows from row sums.
//!
//! A resample takes stimuli several times, and pairs of a stimulus with itself have no number; RDMs may lack others. Then the inverse
//! is that of the part of `V` that is there. By the rule for inverses of parts, it is `V^-1` with the best values of what is missing put
//! in: `product = B(D, E) - b_D^T M^-1 b_E` over the missing pairs, of which copies of one are one unknown, because their best values
//! are equal. `M` has a row for every stimulus that is taken twice or more and for every missing pair, and is factored once a resample.

use super::cholesky::Cholesky;

/// A form for the RDMs of one sample of stimuli.
#[derive(Clone, Debug)]
pub struct WhiteningForm {
    /// By stimulus of the sample, how often it is taken.
    times: Vec<f64>,
    /// How many stimuli there are with copies.
    size: f64,
    /// By pair that has a number: its stimuli, and how often it is in the sample.
    pairs: Vec<[u32; 2]>,
    weights: Vec<f64>,
    /// Pairs without a number.
    unknown: Vec<Unknown>,
    factor: Cholesky,
}

/// Pairs without a number whose stimuli are copies of the same two, or of the same one.
#[derive(Clone, Copy, Debug)]
struct Unknown {
    one: usize,
    other: usize,
    /// The row sum of a copy of `one`, if every such pair is 1, and that of a copy of `other`.
    sums: [f64; 2],
    /// The sum of all row sums.
    total: f64,
}

/// An RDM as the form takes it.
#[derive(Clone, Debug)]
pub struct WhitenedRdm {
    /// By pair that has a number.
    numbers: Vec<f64>,
    /// By stimulus, the sum of its row.
    sums: Vec<f64>,
    total: f64,
    /// What the product loses to the unknown pairs, in the coordinates of the factor.
    unknown: Vec<f64>,
}

impl WhiteningForm {
    /// Of stimuli that are taken so often, and of pairs of different stimuli: those that have a number, and those that lack it. `None`
    /// where the form has no inverse, which takes fewer than three stimuli.
    ///
    /// # Panics
    /// A pair has a stimulus that is not there.
    pub fn new(times: &[u32], pairs: Vec<[u32; 2]>, missing: &[[u32; 2]]) -> Option<Self> {
        let times: Vec<f64> = times.iter().map(|times| f64::from(*times)).collect();
        let size: f64 = times.iter().sum();
        let twice = (0..times.len()).filter(|at| times[*at] > 1.0).map(|at| Unknown::copies(at, &times));
        let between = missing.iter().map(|[one, other]| Unknown::between(*one as usize, *other as usize, &times));
        let unknown: Vec<Unknown> = twice.chain(between).collect();
        let mut products = vec![0.0; unknown.len() * unknown.len()];
        for (row, one) in unknown.iter().enumerate() {
            for (column, other) in unknown[..=row].iter().enumerate() {
                products[row * unknown.len() + column] = one.product(other, row == column, &times, size);
            }
        }
        let factor = Cholesky::of(&products, unknown.len()).filter(|_| size > 2.0)?;
        let weight = |[one, other]: &[u32; 2]| times[*one as usize] * times[*other as usize];
        let weights = pairs.iter().map(weight).collect();
        Some(Self { times, size, pairs, weights, unknown, factor })
    }

    /// An RDM, of which these are the numbers of the pairs that have one.
    ///
    /// # Panics
    /// There are fewer numbers than pairs.
    pub fn prepared(&self, numbers: Vec<f64>) -> WhitenedRdm {
        let mut sums = vec![0.0; self.times.len()];
        for ([one, other], number) in self.pairs.iter().zip(&numbers) {
            let (one, other) = (*one as usize, *other as usize);
            sums[one] += self.times[other] * number;
            sums[other] += self.times[one] * number;
        }
        let total = sums.iter().zip(&self.times).map(|(sum, times)| sum * times).sum();
        let mut unknown: Vec<f64> =
            self.unknown.iter().map(|of| of.centred(&sums, total, &self.times, self.size)).collect();
        self.factor.forward(&mut unknown);
        WhitenedRdm { numbers, sums, total, unknown }
    }

    /// `d^T V^-1 e`, to the factor by which `V` is known.
    ///
    /// # Panics
    /// They are RDMs of other forms.
    pub fn product(&self, one: &WhitenedRdm, other: &WhitenedRdm) -> f64 {
        let of_pairs: f64 =
            self.weights.iter().zip(&one.numbers).zip(&other.numbers).map(|((w, a), b)| w * a * b).sum();
        let of_rows: f64 = self.times.iter().zip(&one.sums).zip(&other.sums).map(|((t, a), b)| t * a * b).sum();
        let lost: f64 = one.unknown.iter().zip(&other.unknown).map(|(a, b)| a * b).sum();
        let whole = 2.0 * of_pairs - 2.0 / self.size * of_rows + one.total * other.total / (self.size * self.size);
        (whole - lost) / 4.0
    }
}

impl Unknown {
    fn copies(at: usize, times: &[f64]) -> Self {
        let sum = times[at] - 1.0;
        Self { one: at, other: at, sums: [sum, 0.0], total: times[at] * sum }
    }

    fn between(one: usize, other: usize, times: &[f64]) -> Self {
        Self { one, other, sums: [times[other], times[one]], total: 2.0 * times[one] * times[other] }
    }

    /// Its row sums; those of other stimuli are 0.
    fn rows(&self) -> [(usize, f64); 2] {
        [(self.one, self.sums[0]), (self.other, self.sums[1])]
    }

    /// Sums over rows, weighted by how often a stimulus is taken, of its row sums times others.
    fn along(&self, others: impl Fn(usize) -> f64, times: &[f64]) -> f64 {
        self.rows().into_iter().map(|(at, sum)| times[at] * sum * others(at)).sum()
    }

    /// `<D, H E H>` with an RDM of these row sums that is 0 at its pairs.
    fn centred(&self, sums: &[f64], total: f64, times: &[f64], size: f64) -> f64 {
        self.total * total / (size * size) - 2.0 / size * self.along(|at| sums[at], times)
    }

    /// `<D, H E H>` of two of them.
    fn product(&self, other: &Self, same: bool, times: &[f64], size: f64) -> f64 {
        let row =
            |at: usize| -> f64 { other.rows().into_iter().filter(|(own, _)| *own == at).map(|(_, sum)| sum).sum() };
        // All of its numbers are 1, and no two of them have a pair in common.
        let own = if same { self.total } else { 0.0 };
        own + self.total * other.total / (size * size) - 2.0 / size * self.along(row, times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: [f64; 10] = [1.0, 2.0, 3.0, 4.0, 1.5, 2.5, 0.5, 3.5, 1.25, 2.25];
    const E: [f64; 10] = [2.0, 1.0, 3.5, 2.0, 0.5, 1.5, 2.5, 3.0, 0.25, 1.75];

    /// The pairs of five stimuli, in the order of an upper triangle by rows.
    fn pairs() -> Vec<[u32; 2]> {
        (0..5).flat_map(|one| (one + 1..5).map(move |other| [one, other])).collect()
    }

    fn product(times: &[u32], missing: &[[u32; 2]]) -> f64 {
        let kept: Vec<usize> = (0..10).filter(|at| !missing.contains(&pairs()[*at])).collect();
        let form = WhiteningForm::new(times, kept.iter().map(|at| pairs()[*at]).collect(), missing).unwrap();
        let of = |numbers: &[f64]| form.prepared(kept.iter().map(|at| numbers[*at]).collect());
        form.product(&of(&D), &of(&E))
    }

    /// With `V` made of counts of common stimuli and inverted, `d @ numpy.linalg.inv(V) @ e`: all pairs; without two of them; and of copies
    /// of stimuli (`times` of each) without the pairs of copies (`stages/tests/fixtures/rsa/whitening.py`).
    #[test]
    fn products_are_those_of_the_inverted_covariance() {
        for (times, missing, expected) in [
            ([1, 1, 1, 1, 1], vec![], 4.817_5),
            ([1, 1, 1, 1, 1], vec![[0, 3], [1, 2]], 4.514_473_684_210_527),
            ([3, 1, 2, 1, 2], vec![], 10.774_630_541_871_922),
            ([3, 1, 2, 1, 2], vec![[0, 3], [1, 2]], 11.114_433_643_279_801),
        ] {
            let found = product(&times, &missing);
            assert!(
                (found - expected).abs() < 1e-12 * expected.abs(),
                "{times:?} {missing:?}: {found}, not {expected}"
            );
        }
    }

    #[test]
    fn two_stimuli_have_no_form() {
        assert!(WhiteningForm::new(&[1, 1], vec![[0, 1]], &[]).is_none());
        assert!(WhiteningForm::new(&[], Vec::new(), &[]).is_none());
    }
}
