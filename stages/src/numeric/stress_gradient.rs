//! Distances between points, how far they are from those they should have, and in which direction that becomes less.
//!
//! The kernel of multidimensional scaling: one pass over all pairs, nothing is allocated. Points are coordinates, one axis after the other;
//! pairs are those of an upper triangle by rows: (0, 1), (0, 2), ..., (1, 2), ... Sums run side by side in [`WIDTH`] parts, a fixed number, so
//! that the bytes do not depend on the processor. Independent of where the target distances come from.

/// Pairs that are computed side by side; a compiler makes one vector instruction of them.
const WIDTH: usize = 4;

/// The distances that points should have.
#[derive(Clone, Copy, Debug)]
pub struct PairTargets<'a> {
    /// A distance a pair, finite.
    pub distances: &'a [f64],
    /// How much each pair counts, not negative; `None`: all the same, 1.
    pub weights: Option<&'a [f64]>,
}

/// The raw stress of points in `D` dimensions, `sum over pairs of w (d - target)^2`, and half its gradient in place of what is in
/// `gradient`: of point i, `sum over j of w (1 - target / d) (x_i - x_j)`. Two points at one place have no direction from each other
/// and do not move each other.
///
/// # Panics
/// `gradient` has another length than `points`, or there are fewer targets or weights than pairs.
pub fn stress_and_gradient<const D: usize>(points: &[f64], targets: PairTargets<'_>, gradient: &mut [f64]) -> f64 {
    gradient.fill(0.0);
    let count = points.len() / D;
    let (mut stress, mut first) = (0.0, 0);
    for at in 0..count {
        let pairs = first..first + count - at - 1;
        first = pairs.end;
        let row = PairRow {
            own: std::array::from_fn(|axis| points[axis * count + at]),
            others: std::array::from_fn(|axis| &points[axis * count + at + 1..(axis + 1) * count]),
            targets: &targets.distances[pairs.clone()],
            weights: targets.weights.map(|weights| &weights[pairs.clone()]),
        };
        let mut parts = gradient.chunks_exact_mut(count);
        let mut of_others: [&mut [f64]; D] =
            std::array::from_fn(|_| parts.next().map(|part| &mut part[at + 1..]).unwrap_or_default());
        let (of_row, of_own) = row.add(&mut of_others);
        stress += of_row;
        for (axis, sum) in of_own.into_iter().enumerate() {
            gradient[axis * count + at] += sum;
        }
    }
    stress
}

/// The distances between points in `D` dimensions, a pair each.
///
/// # Panics
/// `to` is shorter than there are pairs.
pub fn distances<const D: usize>(points: &[f64], to: &mut [f64]) {
    let count = points.len() / D;
    let mut first = 0;
    for at in 0..count {
        let row = &mut to[first..first + count - at - 1];
        first += row.len();
        row.fill(0.0);
        for axis in points.chunks_exact(count) {
            row.iter_mut()
                .zip(&axis[at + 1..])
                .for_each(|(sum, other)| *sum += (axis[at] - other) * (axis[at] - other));
        }
        row.iter_mut().for_each(|square| *square = square.sqrt());
    }
}

/// One point and all that come after it.
struct PairRow<'a, const D: usize> {
    own: [f64; D],
    others: [&'a [f64]; D],
    targets: &'a [f64],
    weights: Option<&'a [f64]>,
}

impl<const D: usize> PairRow<'_, D> {
    /// Adds the gradients of the others; returns the stress of the row and the gradient of its own point.
    fn add(&self, of_others: &mut [&mut [f64]; D]) -> (f64, [f64; D]) {
        let whole = self.targets.len() - self.targets.len() % WIDTH;
        let (mut stress, mut sums) = ([0.0; WIDTH], [[0.0; WIDTH]; D]);
        for start in (0..whole).step_by(WIDTH) {
            self.add_run(start, of_others, &mut stress, &mut sums);
        }
        let (mut last_stress, mut last_sums) = ([0.0; 1], [[0.0; 1]; D]);
        for start in whole..self.targets.len() {
            self.add_run(start, of_others, &mut last_stress, &mut last_sums);
        }
        let of_own = std::array::from_fn(|axis| sums[axis].iter().sum::<f64>() + last_sums[axis][0]);
        (stress.iter().sum::<f64>() + last_stress[0], of_own)
    }

    /// The same of `L` pairs from `start` on.
    #[inline]
    fn add_run<const L: usize>(
        &self,
        start: usize,
        of_others: &mut [&mut [f64]; D],
        stress: &mut [f64; L],
        sums: &mut [[f64; L]; D],
    ) {
        let targets = run::<L>(self.targets, start);
        let weights = self.weights.map_or([1.0; L], |weights| run::<L>(weights, start));
        let apart: [[f64; L]; D] = std::array::from_fn(|axis| {
            let others = run::<L>(self.others[axis], start);
            std::array::from_fn(|slot| self.own[axis] - others[slot])
        });
        let distances: [f64; L] = std::array::from_fn(|slot| {
            apart.iter().map(|differences| differences[slot] * differences[slot]).sum::<f64>().sqrt()
        });
        let missed: [f64; L] = std::array::from_fn(|slot| distances[slot] - targets[slot]);
        let pulls: [f64; L] = std::array::from_fn(|slot| {
            if distances[slot] > 0.0 { weights[slot] * missed[slot] / distances[slot] } else { 0.0 }
        });
        for (slot, sum) in stress.iter_mut().enumerate() {
            *sum += weights[slot] * missed[slot] * missed[slot];
        }
        for (axis, differences) in apart.iter().enumerate() {
            let moves: [f64; L] = std::array::from_fn(|slot| pulls[slot] * differences[slot]);
            sums[axis].iter_mut().zip(moves).for_each(|(sum, part)| *sum += part);
            of_others[axis][start..start + L].iter_mut().zip(moves).for_each(|(sum, part)| *sum -= part);
        }
    }
}

/// `L` numbers from `start` on.
#[inline]
fn run<const L: usize>(numbers: &[f64], start: usize) -> [f64; L] {
    let mut run = [0.0; L];
    run.copy_from_slice(&numbers[start..start + L]);
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look irregular.
    fn numbers(count: usize, step: f64) -> Vec<f64> {
        (0..count).map(|at| ((at as f64 + 1.0) * step).sin() * 43_758.5).map(|x| x - x.floor()).collect()
    }

    /// The stress by its definition, a sum over pairs.
    fn by_definition(points: &[f64], dims: usize, targets: &[f64], weights: &[f64]) -> f64 {
        let count = points.len() / dims;
        let pairs = (0..count).flat_map(|one| (one + 1..count).map(move |two| (one, two)));
        let distance = |(one, two): (usize, usize)| {
            let square = |axis: usize| (points[axis * count + one] - points[axis * count + two]).powi(2);
            (0..dims).map(square).sum::<f64>().sqrt()
        };
        pairs
            .zip(targets.iter().zip(weights))
            .map(|(pair, (target, weight))| weight * (distance(pair) - target).powi(2))
            .sum()
    }

    fn check<const D: usize>(count: usize) {
        let (points, pairs) = (numbers(count * D, 0.7), count * (count - 1) / 2);
        let (targets, weights) = (numbers(pairs, 1.3), numbers(pairs, 1.9));
        let mut gradient = vec![7.0; points.len()];
        let given = PairTargets { distances: &targets, weights: Some(&weights) };
        let stress = stress_and_gradient::<D>(&points, given, &mut gradient);
        let expected = by_definition(&points, D, &targets, &weights);
        assert!((stress - expected).abs() < 1e-12 * expected.max(1.0), "{stress} {expected}");
        for (at, found) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut points = points.clone();
                points[at] += by;
                by_definition(&points, D, &targets, &weights)
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((2.0 * found - slope).abs() < 1e-6 * slope.abs().max(1.0), "{at}: {found} {slope}");
        }
        let plain = PairTargets { distances: &targets, weights: None };
        let expected = by_definition(&points, D, &targets, &vec![1.0; pairs]);
        assert!((stress_and_gradient::<D>(&points, plain, &mut gradient) - expected).abs() < 1e-12 * expected.max(1.0));
        let mut found = vec![0.0; pairs];
        distances::<D>(&points, &mut found);
        let own = PairTargets { distances: &found, weights: None };
        assert!(stress_and_gradient::<D>(&points, own, &mut gradient) < 1e-28);
    }

    #[test]
    fn stress_and_gradient_are_those_of_the_definition() {
        for count in [2, 3, 5, 6, 11] {
            check::<2>(count);
            check::<3>(count);
        }
    }

    #[test]
    fn points_at_one_place_do_not_move_each_other() {
        let (points, targets) = ([1.0, 1.0, 3.0, 2.0, 2.0, 2.0], [0.5, 1.0, 1.0]);
        let mut gradient = [0.0; 6];
        let given = PairTargets { distances: &targets, weights: None };
        // By hand: 0.5^2 + 1 + 1; both are 2 from the third, 1 too much.
        assert!((stress_and_gradient::<2>(&points, given, &mut gradient) - 2.25).abs() < 1e-15);
        assert_eq!(gradient, [-1.0, -1.0, 2.0, 0.0, 0.0, 0.0]);
    }
}
