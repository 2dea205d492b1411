//! Linear support vector machines of two classes on products of patterns, and how well pairs of classes are decoded from held-out patterns.
//!
//! C-SVC by sequential minimal optimisation with working sets of second order (Fan, Chen and Lin 2005; Chang and Lin, LIBSVM, 2011),
//! with LIBSVM's tolerance, 32-bit products and ties, so that predictions are those of scikit-learn's `SVC(kernel="linear")`; that of
//! `LinearSVC` is another model. Patterns are never needed, only their products (Gram matrix), which are computed once for all fits:
//! for few long patterns that is most of the work. Decides that patterns come in the order first class, second class. Independent of
//! what the patterns are.

use pipe_contract::Failure;

use super::linear_algebra::principal_part;

/// The penalty of margin errors.
const COST: f64 = 1.0;
/// The violation of the optimality conditions at which a fit ends.
const TOLERANCE: f64 = 1e-3;
/// In place of a curvature that is not positive.
const FLAT: f64 = 1e-12;
/// Steps after which a fit fails.
const MOST_STEPS: usize = 10_000_000;

/// A fitted machine.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearSvm {
    /// Of each pattern it was fitted on, with the sign of its class.
    weights: Vec<f64>,
    offset: f64,
}

impl LinearSvm {
    /// Fits a machine to patterns of which the first `firsts` are of the first class, all others of the second. `products` holds the
    /// inner products of all pairs of them: symmetric, `size * size`.
    ///
    /// # Errors
    /// Input: a product is not finite. Stage: the fit does not converge. Internal: `products` has another length, or a class is empty.
    pub fn fit(products: &[f64], size: usize, firsts: usize) -> Result<Self, Failure> {
        if products.len() != size * size || firsts == 0 || firsts >= size {
            let message = format!("{} products of {size} patterns, {firsts} of the first class", products.len());
            return Err(Failure::internal(message));
        }
        if products.iter().any(|product| !product.is_finite()) {
            return Err(not_finite());
        }
        let mut dual = SvmDual::new(products, size, firsts);
        for _ in 0..MOST_STEPS {
            match dual.working_set() {
                Some((i, j)) => dual.step(i, j),
                None => return Ok(dual.machine()),
            }
        }
        Err(Failure::stage(format!("a support vector machine did not converge in {MOST_STEPS} steps")))
    }

    /// The signed distance, in margins, of a pattern from the border: above 0 it is of the first class. `products` are those of it with
    /// each pattern that the machine was fitted on.
    pub fn decision(&self, products: impl IntoIterator<Item = f64>) -> f64 {
        self.weights.iter().zip(products).map(|(weight, product)| weight * product).sum::<f64>() - self.offset
    }
}

fn not_finite() -> Failure {
    Failure::input("patterns have products that are not finite, so they cannot be classified")
        .hint("values are missing, infinite or too large")
}

/// The dual problem while it is solved: weights `alpha` of 0 to [`COST`] that minimise `alpha Q alpha / 2 - sum(alpha)` with
/// `sum(sign * alpha) = 0`.
struct SvmDual {
    size: usize,
    signs: Vec<f64>,
    alphas: Vec<f64>,
    /// `Q alpha - 1`.
    gradient: Vec<f64>,
    /// Products times both signs.
    q: Vec<f32>,
    /// The products of patterns with themselves.
    diagonal: Vec<f64>,
}

impl SvmDual {
    fn new(products: &[f64], size: usize, firsts: usize) -> Self {
        let signs: Vec<f64> = (0..size).map(|at| if at < firsts { 1.0 } else { -1.0 }).collect();
        let signed = |at: usize| (signs[at / size] * signs[at % size] * products[at]) as f32;
        Self {
            size,
            alphas: vec![0.0; size],
            gradient: vec![-1.0; size],
            q: (0..size * size).map(signed).collect(),
            diagonal: (0..size).map(|at| products[at * size + at]).collect(),
            signs,
        }
    }

    fn q(&self, i: usize, j: usize) -> f64 {
        f64::from(self.q[i * self.size + j])
    }

    fn can_rise(&self, at: usize) -> bool {
        self.alphas[at] < COST
    }

    fn can_fall(&self, at: usize) -> bool {
        self.alphas[at] > 0.0
    }

    /// The two weights to change: the one that violates optimality most, and the one with which the objective falls most; `None` at
    /// the optimum. Of equal ones the last counts.
    fn working_set(&self) -> Option<(usize, usize)> {
        let (mut up, mut first) = (f64::NEG_INFINITY, None);
        for at in 0..self.size {
            let is_free = if self.signs[at] > 0.0 { self.can_rise(at) } else { self.can_fall(at) };
            let slope = -self.signs[at] * self.gradient[at];
            if is_free && slope >= up {
                (up, first) = (slope, Some(at));
            }
        }
        let i = first?;
        let (mut down, mut second, mut best) = (f64::NEG_INFINITY, None, f64::INFINITY);
        for at in 0..self.size {
            let is_free = if self.signs[at] > 0.0 { self.can_fall(at) } else { self.can_rise(at) };
            if !is_free {
                continue;
            }
            let slope = self.signs[at] * self.gradient[at];
            down = down.max(slope);
            let violation = up + slope;
            if violation > 0.0 {
                let decrease = -(violation * violation) / self.curvature(i, at);
                if decrease <= best {
                    (best, second) = (decrease, Some(at));
                }
            }
        }
        if up + down < TOLERANCE { None } else { second.map(|j| (i, j)) }
    }

    /// Of the objective along the change of two weights.
    fn curvature(&self, i: usize, j: usize) -> f64 {
        let product = self.signs[i] * self.signs[j] * self.q(i, j);
        let curvature = self.diagonal[i] + self.diagonal[j] - 2.0 * product;
        if curvature > 0.0 { curvature } else { FLAT }
    }

    /// Minimises the objective over two weights, within their bounds.
    fn step(&mut self, i: usize, j: usize) {
        let (before_i, before_j) = (self.alphas[i], self.alphas[j]);
        let curvature = self.curvature(i, j);
        let (alpha_i, alpha_j) = if self.signs[i] == self.signs[j] {
            let change = (self.gradient[i] - self.gradient[j]) / curvature;
            with_sum(before_i - change, before_j + change, before_i + before_j)
        } else {
            let change = (-self.gradient[i] - self.gradient[j]) / curvature;
            with_difference(before_i + change, before_j + change, before_i - before_j)
        };
        (self.alphas[i], self.alphas[j]) = (alpha_i, alpha_j);
        let (change_i, change_j) = (alpha_i - before_i, alpha_j - before_j);
        for at in 0..self.size {
            self.gradient[at] += self.q(i, at) * change_i + self.q(j, at) * change_j;
        }
    }

    /// The machine of the weights: the offset is the mean over patterns on the margin, or the middle of where it may be.
    fn machine(&self) -> LinearSvm {
        let (mut lowest, mut highest) = (f64::NEG_INFINITY, f64::INFINITY);
        let (mut sum, mut count) = (0.0, 0);
        for at in 0..self.size {
            let slope = self.signs[at] * self.gradient[at];
            match (self.can_rise(at), self.can_fall(at)) {
                (true, true) => (sum, count) = (sum + slope, count + 1),
                (can_rise, _) if can_rise == (self.signs[at] > 0.0) => highest = highest.min(slope),
                _ => lowest = lowest.max(slope),
            }
        }
        let offset = if count > 0 { sum / f64::from(count) } else { (highest + lowest) / 2.0 };
        let weights = self.signs.iter().zip(&self.alphas).map(|(sign, alpha)| sign * alpha).collect();
        LinearSvm { weights, offset }
    }
}

/// Two weights moved into their bounds along the line of this difference.
fn with_difference(mut i: f64, mut j: f64, difference: f64) -> (f64, f64) {
    if difference > 0.0 {
        if j < 0.0 {
            (i, j) = (difference, 0.0);
        }
        if i > COST {
            (i, j) = (COST, COST - difference);
        }
    } else {
        if i < 0.0 {
            (i, j) = (0.0, -difference);
        }
        if j > COST {
            (i, j) = (COST + difference, COST);
        }
    }
    (i, j)
}

/// Two weights moved into their bounds along the line of this sum.
fn with_sum(mut i: f64, mut j: f64, sum: f64) -> (f64, f64) {
    if sum > COST {
        if i > COST {
            (i, j) = (COST, sum - COST);
        }
        if j > COST {
            (i, j) = (sum - COST, COST);
        }
    } else {
        if j < 0.0 {
            (i, j) = (sum, 0.0);
        }
        if i < 0.0 {
            (i, j) = (0.0, sum);
        }
    }
    (i, j)
}

/// How well two values of a variable are decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecodedPair {
    /// The first value, by its place among the bins.
    pub first: usize,
    /// The second value.
    pub second: usize,
    /// The share of held-out patterns that were put into the right class; 0.5 is chance.
    pub accuracy: f64,
}

/// How well each pair of values is decoded. `products` are those of all pairs of `size` patterns. A bin holds the patterns of one
/// value; patterns at the same place of two bins belong together, and such a pair is held out at a time while a machine is fitted to
/// all others of both bins. Pairs of bins come in the order (0, 1), (0, 2), ..., (1, 2), ...
///
/// # Errors
/// Input: fewer than two bins, bins of different lengths, or fewer than two patterns in a bin; as [`LinearSvm::fit`]. Internal: a
/// pattern that is not there.
pub fn decode_pairs(products: &[f64], size: usize, bins: &[Vec<usize>]) -> Result<Vec<DecodedPair>, Failure> {
    check_bins(size, bins)?;
    if products.len() != size * size {
        return Err(Failure::internal(format!("{} products of {size} patterns", products.len())));
    }
    let used = bins.concat();
    if used.iter().any(|row| used.iter().any(|column| !products[row * size + column].is_finite())) {
        return Err(not_finite());
    }
    let mut pairs = Vec::new();
    for first in 0..bins.len() {
        for second in first + 1..bins.len() {
            let accuracy = held_out_accuracy(products, size, &bins[first], &bins[second])?;
            pairs.push(DecodedPair { first, second, accuracy });
        }
    }
    Ok(pairs)
}

fn check_bins(size: usize, bins: &[Vec<usize>]) -> Result<(), Failure> {
    let length = bins.first().map_or(0, Vec::len);
    if bins.len() < 2 || length < 2 {
        return Err(Failure::input(format!(
            "{} values with {length} stimuli each cannot be decoded, expected at least 2 of both",
            bins.len()
        )));
    }
    if let Some(other) = bins.iter().position(|bin| bin.len() != length) {
        return Err(Failure::input(format!(
            "the first value has {length} stimuli, but value {} has {}, expected as many of each",
            other + 1,
            bins[other].len()
        ))
        .hint("held-out pairs have one stimulus of each value: complete the stimuli, or filter them"));
    }
    match bins.iter().flatten().find(|pattern| **pattern >= size) {
        Some(pattern) => Err(Failure::internal(format!("pattern {pattern} of {size} was asked for"))),
        None => Ok(()),
    }
}

fn held_out_accuracy(products: &[f64], size: usize, first: &[usize], second: &[usize]) -> Result<f64, Failure> {
    let mut right = 0;
    for held_out in 0..first.len() {
        let others = |bin: &[usize]| [&bin[..held_out], &bin[held_out + 1..]].concat();
        let (firsts, seconds) = (others(first), others(second));
        let seen = [firsts.as_slice(), &seconds].concat();
        let part = principal_part(products, size, &seen);
        let machine = LinearSvm::fit(&part, seen.len(), firsts.len())?;
        let is_first =
            |pattern: usize| machine.decision(seen.iter().map(|other| products[pattern * size + *other])) > 0.0;
        right += usize::from(is_first(first[held_out])) + usize::from(!is_first(second[held_out]));
    }
    Ok(right as f64 / (2 * first.len()) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::linear_algebra::{MatrixView, gram};

    /// 16 patterns of 3 numbers, `(byte - 128) / 64`, of the generator `s = (s * 1103515245 + 12345) & 0x7fffffff` from 1, each
    /// `(s >> 16) & 255`; 1 is added to the first number of the first 8.
    fn patterns() -> Vec<f64> {
        let mut state = 1_u64;
        let next = |at: usize| {
            state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
            let number = (((state >> 16) & 255) as f64 - 128.0) / 64.0;
            if at < 24 && at.is_multiple_of(3) { number + 1.0 } else { number }
        };
        (0..48).map(next).collect()
    }

    fn products(patterns: &[f64], count: usize) -> Vec<f64> {
        let width = patterns.len() / count;
        let product = |i: usize, j: usize| -> f64 {
            (0..width).map(|at| patterns[i * width + at] * patterns[j * width + at]).sum()
        };
        (0..count * count).map(|at| product(at / count, at % count)).collect()
    }

    /// scikit-learn 1.9.1: `-SVC(kernel="linear", C=1).fit(X[seen], y).decision_function(X)`, without the patterns 7 and 15.
    #[test]
    fn decisions_are_those_of_scikit_learn() {
        let all = products(&patterns(), 16);
        let seen: Vec<usize> = (0..7).chain(8..15).collect();
        let part = principal_part(&all, 16, &seen);
        let machine = LinearSvm::fit(&part, 14, 7).unwrap();
        let expected = [
            1.076_195, 0.999_925, 1.000_03, 2.577_737, 1.000_03, 0.839_558, -1.354_033, -0.561_754, -0.999_985,
            -1.197_848, -0.654_884, -1.317_125, 0.672_171, 0.057_667, -1.970_158, -0.453_568,
        ];
        for (pattern, expected) in expected.into_iter().enumerate() {
            let found = machine.decision(seen.iter().map(|other| all[pattern * 16 + other]));
            assert!((found - expected).abs() < 2e-6, "{pattern}: {found}, not {expected}");
        }
    }

    /// The same program, a fit for each held-out pair of `(t, 8 + t)`.
    #[test]
    fn accuracies_are_those_of_scikit_learn() {
        let bins: [Vec<usize>; 2] = [(0..8).collect(), (8..16).collect()];
        let pairs = decode_pairs(&products(&patterns(), 16), 16, &bins).unwrap();
        assert_eq!(pairs, [DecodedPair { first: 0, second: 1, accuracy: 0.75 }]);
        let few = products(&[0.0, 1.0, 0.0, 1.0, 2.0, 1.0], 6);
        let pairs = decode_pairs(&few, 6, &[vec![0, 1, 2], vec![3, 4, 5]]).unwrap();
        assert!((pairs[0].accuracy - 5.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn patterns_without_differences_are_at_chance() {
        let bins = [vec![0, 1, 2], vec![3, 4, 5]];
        for same in [0.0, 4.0] {
            assert!((decode_pairs(&[same; 36], 6, &bins).unwrap()[0].accuracy - 0.5).abs() < 1e-12);
        }
    }

    #[test]
    fn products_may_come_from_the_house_gram() {
        let patterns = patterns();
        let by_house = gram(MatrixView::new(&patterns, 3, 16));
        let bins = [vec![0, 3, 5], vec![8, 9, 11], vec![1, 2, 4]];
        let pairs = decode_pairs(&by_house, 16, &bins).unwrap();
        assert_eq!(pairs, decode_pairs(&products(&patterns, 16), 16, &bins).unwrap());
        assert_eq!(pairs.iter().map(|pair| (pair.first, pair.second)).collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 2)]);
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        let message = |bins: &[Vec<usize>]| decode_pairs(&[1.0; 16], 4, bins).unwrap_err().message;
        assert!(message(&[vec![0, 1]]).starts_with("1 values with 2 stimuli each"));
        assert!(message(&[vec![0], vec![1]]).starts_with("2 values with 1 stimuli each"));
        assert!(message(&[vec![0, 1], vec![2]]).contains("but value 2 has 1"));
        assert!(message(&[vec![0, 1], vec![2, 4]]).contains("pattern 4 of 4"));
        let mut products = [1.0; 16];
        products[6] = f64::NAN;
        assert!(decode_pairs(&products, 4, &[vec![0, 1], vec![2, 3]]).unwrap_err().message.contains("not finite"));
    }
}
