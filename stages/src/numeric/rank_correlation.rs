//! Ranks of numbers that may be tied, and Kendall's tau-a between two lists of them.
//!
//! Decides that numbers count as often as a weight says (a whole number: how often a resample has taken it), as if each were listed so
//! often. Numbers are sorted once: a resample keeps the order of what it takes, so that ranks and tau-a of a resample take no sorting.
//! Tau-a takes `n log n` steps: numbers are visited in the order of one list, and a tree of partial sums (Fenwick 1994) over
//! the ranks of the other counts those that lie below and above. Sums of whole weights are exact. Independent of what the numbers are.

/// Places of numbers in ascending order, smallest first; of equal ones the first listed comes first.
///
/// # Panics
/// There are 2^32 numbers or more.
pub fn ascending(numbers: &[f64]) -> Vec<u32> {
    let count = u32::try_from(numbers.len()).expect("fewer than 2^32 numbers");
    let mut order: Vec<u32> = (0..count).collect();
    // Adding 0 makes a negative zero a plain one, which it is equal to.
    order.sort_by(|a, b| (numbers[*a as usize] + 0.0).total_cmp(&(numbers[*b as usize] + 0.0)));
    order
}

/// Which numbers are equal, and which larger.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Places in ascending order.
    order: Vec<u32>,
    /// By place, how many different numbers are smaller.
    level: Vec<u32>,
    /// How many different numbers there are.
    levels: usize,
}

impl Ranking {
    /// Of numbers that are not NaN.
    pub fn of(numbers: &[f64]) -> Self {
        Self::in_order(numbers, ascending(numbers))
    }

    /// Of numbers whose ascending order is known: the places of all of them.
    ///
    /// # Panics
    /// The order has a place that is not there.
    pub fn in_order(numbers: &[f64], order: Vec<u32>) -> Self {
        let mut level = vec![0; numbers.len()];
        let mut levels = 0;
        let mut before = None;
        for place in &order {
            let number = numbers[*place as usize];
            if before.is_some_and(|before| before != number) {
                levels += 1;
            }
            level[*place as usize] = levels;
            before = Some(number);
        }
        Self { order, level, levels: if before.is_some() { levels as usize + 1 } else { 0 } }
    }

    /// Ranks from 1 on, by place; numbers that are equal share the mean of their ranks. A number with the weight 3 takes three ranks.
    ///
    /// # Panics
    /// There are not as many weights as numbers.
    pub fn midranks(&self, weights: &[f64]) -> Vec<f64> {
        assert_eq!(weights.len(), self.level.len(), "a weight a number");
        let mut ranks = vec![0.0; self.level.len()];
        let mut below = 0.0;
        for tied in self.ties() {
            let own: f64 = tied.iter().map(|place| weights[*place as usize]).sum();
            let rank = below + (own + 1.0) / 2.0;
            tied.iter().for_each(|place| ranks[*place as usize] = rank);
            below += own;
        }
        ranks
    }

    /// Places of equal numbers together, in ascending order.
    fn ties(&self) -> impl Iterator<Item = &[u32]> {
        self.order.chunk_by(|a, b| self.level[*a as usize] == self.level[*b as usize])
    }
}

/// Kendall's tau-a: of all pairs of places, the share that two lists order alike, less the share that they order oppositely; pairs that
/// are tied in either count as neither (Kendall 1938). NaN where the weights add up to less than 2.
///
/// # Panics
/// Lists and weights differ in length.
pub fn tau_a(one: &Ranking, other: &Ranking, weights: &[f64]) -> f64 {
    assert!(one.level.len() == weights.len() && other.level.len() == weights.len(), "a weight a number");
    let total: f64 = weights.iter().sum();
    let mut seen = PartialSums::new(other.levels);
    let (mut inserted, mut surplus) = (0.0, 0.0);
    for tied in one.ties() {
        // Those that are smaller in `one` are in the tree.
        for place in tied {
            let level = other.level[*place as usize] as usize;
            let (below, up_to) = (seen.before(level), seen.before(level + 1));
            surplus += weights[*place as usize] * (below - (inserted - up_to));
        }
        for place in tied {
            seen.add(other.level[*place as usize] as usize, weights[*place as usize]);
            inserted += weights[*place as usize];
        }
    }
    if total < 2.0 { f64::NAN } else { surplus / (total * (total - 1.0) / 2.0) }
}

/// Sums over the first places of a list that changes, each in as many steps as the length has binary digits.
struct PartialSums(Vec<f64>);

impl PartialSums {
    fn new(length: usize) -> Self {
        Self(vec![0.0; length + 1])
    }

    fn add(&mut self, place: usize, number: f64) {
        let mut node = place + 1;
        while node < self.0.len() {
            self.0[node] += number;
            node += node & node.wrapping_neg();
        }
    }

    /// The sum over the places before this one.
    fn before(&self, place: usize) -> f64 {
        let (mut node, mut sum) = (place, 0.0);
        while node > 0 {
            sum += self.0[node];
            node &= node - 1;
        }
        sum
    }
}

/// The sum of squares of the ranks 1 to `n` about their mean, `(n^3 - n) / 12`: what rho-a divides by (Schütt et al. 2023), which has no
/// correction for ties.
pub fn rank_squares(n: f64) -> f64 {
    (n * n * n - n) / 12.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f64; 8] = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
    const Y: [f64; 8] = [2.0, 7.0, 1.0, 8.0, 2.0, 8.0, 1.0, 8.0];

    /// `scipy.stats.rankdata(X)`.
    #[test]
    fn ranks_are_those_of_scipy() {
        assert_eq!(Ranking::of(&X).midranks(&[1.0; 8]), [4.0, 1.5, 5.0, 1.5, 6.0, 8.0, 3.0, 7.0]);
        assert_eq!(Ranking::of(&[0.0, -0.0, -1.0]).midranks(&[1.0; 3]), [2.5, 2.5, 1.0], "zeros are equal");
        assert!(Ranking::of(&[]).midranks(&[]).is_empty());
    }

    /// Pairs counted one by one.
    fn counted(x: &[f64], y: &[f64]) -> f64 {
        let (mut surplus, mut pairs) = (0.0, 0.0);
        let sign = |a: f64, b: f64| f64::from(i8::from(a > b) - i8::from(a < b));
        for first in 0..x.len() {
            for second in first + 1..x.len() {
                surplus += sign(x[first], x[second]) * sign(y[first], y[second]);
                pairs += 1.0;
            }
        }
        surplus / pairs
    }

    /// `sum(sign(a - b) * sign(c - d)) / 28` over pairs: 4 / 28.
    #[test]
    fn tau_a_counts_pairs() {
        let of = |x: &[f64], y: &[f64]| tau_a(&Ranking::of(x), &Ranking::of(y), &vec![1.0; x.len()]);
        assert_eq!(of(&X, &Y), 4.0 / 28.0);
        assert_eq!((of(&X, &Y), of(&Y, &X)), (counted(&X, &Y), counted(&X, &Y)));
        let ramp: Vec<f64> = (0..300_u32).map(f64::from).collect();
        let wave: Vec<f64> = ramp.iter().map(|at| (at * 37.0) % 101.0).collect();
        assert_eq!(of(&ramp, &wave), counted(&ramp, &wave));
        assert_eq!((of(&ramp, &ramp), of(&ramp, &[1.0; 300])), (1.0, 0.0));
        assert!(of(&[1.0], &[1.0]).is_nan());
    }

    #[test]
    fn a_weight_lists_a_number_so_often() {
        let weights = [1.0, 3.0, 2.0, 1.0, 1.0, 2.0, 4.0, 1.0];
        let often = |numbers: &[f64]| -> Vec<f64> {
            let times = numbers.iter().zip(weights).flat_map(|(number, weight)| vec![*number; weight as usize]);
            times.collect()
        };
        let (x, y) = (often(&X), often(&Y));
        assert_eq!(tau_a(&Ranking::of(&X), &Ranking::of(&Y), &weights), counted(&x, &y));
        let ranks = often(&Ranking::of(&X).midranks(&weights));
        assert_eq!(ranks, Ranking::of(&x).midranks(&vec![1.0; x.len()]));
    }

    #[test]
    fn squares_of_ranks_without_ties() {
        // 1 to 4 about 2.5: 2.25 + 0.25 + 0.25 + 2.25.
        assert_eq!(rank_squares(4.0), 5.0);
    }
}
