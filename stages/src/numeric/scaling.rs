//! Multidimensional scaling: items as points of a plane or of space whose distances are those of a dissimilarity matrix, or have its order.
//!
//! Decides from where a layout is sought and which one is kept: from the points of classical scaling and from seeded random ones, each moved
//! until its raw stress is least nearby ([`stress_descent`](super::stress_descent)); the least stress of all is kept, the first of equals.
//! More starts therefore never raise stress. A dissimilarity that is NaN counts with weight 0. The layout has a fixed orientation
//! ([`principal_orientation`](super::principal_orientation)), so that equal matrices give equal figures.
//!
//! Trade-off: every start is found alone, so that threads do not show in the result; nothing is learnt from one for the next.

use pipe_contract::Failure;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::classical_scaling::classical_scaling;
use super::counts::real;
use super::dissimilarity::{pair_count, pair_index, pairs};
use super::isotonic::IsotonicOrder;
use super::linear_algebra::{Eigen, MatrixView, product, symmetric_eigen};
use super::principal_orientation::orient;
use super::stress_descent::{Descent, DescentLimits, LayoutStress, descend};
use super::stress_gradient::distances;

/// Items and how different they are.
#[derive(Clone, Copy, Debug)]
pub struct ScalingProblem<'a> {
    /// What the items are called, for messages.
    pub names: &'a [String],
    /// The upper triangle of the matrix by rows: pairs 0-1, 0-2, ..., 1-2, ... NaN where a dissimilarity is not known.
    pub triangle: &'a [f64],
}

/// How a layout is sought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalingOptions {
    /// Axes of the layout: 2 or 3.
    pub dims: usize,
    /// Only the order of dissimilarities counts (Kruskal, 1964); else distances shall equal them.
    pub ordinal: bool,
    /// One start is that of classical scaling.
    pub classical: bool,
    /// Random starts; at least one if there is no other.
    pub restarts: usize,
    /// When a descent ends.
    pub limits: DescentLimits,
    /// Of the random starts.
    pub seed: u64,
}

/// A layout.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledLayout {
    /// Coordinates, one axis after the other.
    pub points: Vec<f64>,
    /// Raw stress: the sum over pairs of (distance - what it should be)^2. Of an ordinal layout, what distances should be are those of the
    /// isotonic regression, with a mean square of 1.
    pub stress: f64,
    /// Stress-1: the square root of raw stress over the sum of squared distances.
    pub stress_1: f64,
    /// The start that it was found from: 0 is the classical one, others are random.
    pub start: usize,
    /// Steps from that start.
    pub steps: usize,
    /// The descent ended by its tolerance.
    pub converged: bool,
    /// Pairs that have no dissimilarity.
    pub missing: usize,
}

/// Finds the layout of least stress that any start leads to.
///
/// # Errors
/// Input: fewer than two items, a dissimilarity that is infinite, or negative where distances shall equal it, or items that no chain of
/// dissimilarities joins to the others. Stage: `stop` said so, or eigenvectors do not converge. Internal: not 2 or 3 axes, or not a
/// number for every pair.
pub fn scale(
    problem: ScalingProblem<'_>,
    options: &ScalingOptions,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<ScaledLayout, Failure> {
    problem.check(options.ordinal)?;
    match options.dims {
        2 => problem.least_of_all::<2>(options, stop),
        3 => problem.least_of_all::<3>(options, stop),
        other => Err(Failure::internal(format!("a layout of {other} axes was asked for, expected 2 or 3"))),
    }
}

/// The weights of pairs of which some are missing, and the pseudo-inverse of the matrix of them.
struct PairWeights {
    weights: Vec<f64>,
    inverse: Vec<f64>,
}

impl ScalingProblem<'_> {
    /// How many pairs have no dissimilarity, and the first of them.
    pub fn missing(&self) -> Option<(usize, [&str; 2])> {
        let count = self.triangle.iter().filter(|value| value.is_nan()).count();
        self.first(f64::is_nan).map(|(_, names)| (count, names))
    }

    /// The first dissimilarity that is so, and the names of its pair.
    fn first(&self, is: impl Fn(f64) -> bool) -> Option<(f64, [&str; 2])> {
        let mut of_pairs = pairs(self.names.len()).zip(self.triangle);
        let ((one, two), value) = of_pairs.find(|(_, value)| is(**value))?;
        Some((*value, [self.names[one].as_str(), self.names[two].as_str()]))
    }

    fn check(&self, ordinal: bool) -> Result<(), Failure> {
        let (count, found) = (self.names.len(), self.triangle.len());
        if found != pair_count(count) {
            return Err(Failure::internal(format!("{found} dissimilarities were given for {count} items")));
        }
        if count < 2 {
            return Err(Failure::input(format!("a layout of {count} items was asked for, expected at least 2")));
        }
        if let Some((value, [one, two])) = self.first(f64::is_infinite) {
            let message = format!("the dissimilarity of `{one}` and `{two}` is {value}, expected a finite number");
            return Err(Failure::input(message));
        }
        if let Some((value, [one, two])) = self.first(|value| !ordinal && value < 0.0) {
            return Err(Failure::input(format!(
                "the dissimilarity of `{one}` and `{two}` is {value}, but distances cannot be negative"
            ))
            .hint("only the order of dissimilarities counts in a non-metric layout, which takes negative ones"));
        }
        Ok(())
    }

    fn least_of_all<const D: usize>(
        &self,
        options: &ScalingOptions,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<ScaledLayout, Failure> {
        let count = self.names.len();
        let weights = self.weights()?;
        let given = weights.as_ref().map(|of_pairs| (of_pairs.weights.as_slice(), of_pairs.inverse.as_slice()));
        let known = self.completed();
        let stress = match options.ordinal {
            true => {
                let present = (0..known.len()).filter(|pair| !self.triangle[*pair].is_nan());
                LayoutStress::of_order(count, IsotonicOrder::new(self.triangle, present), known.len(), given)
            }
            false => LayoutStress::metric(count, &known, given),
        };
        let mut starts: Vec<(usize, Vec<f64>)> = Vec::new();
        if options.classical {
            starts.push((0, classical_start(&known, count, D, options.seed)?));
        }
        let random = if options.classical { options.restarts } else { options.restarts.max(1) };
        starts.extend((1..=random).map(|number| (number, random_start(number, &known, count * D, options.seed))));
        let from = |(number, start): (usize, Vec<f64>)| {
            descend::<D>(&mut stress.clone(), start, options.limits, stop).map(|descent| (number, descent))
        };
        let descents: Option<Vec<(usize, Descent)>> = starts.into_par_iter().map(from).collect();
        let descents = descents.ok_or_else(|| Failure::stage("stopped before a layout was found"))?;
        // Lower by less than the tolerance is the same layout, found again.
        let margin = options.limits.tolerance.max(0.0) * stress.size();
        let least =
            descents.into_iter().reduce(|best, next| if next.1.stress < best.1.stress - margin { next } else { best });
        let (start, found) = least.ok_or_else(|| Failure::internal("a layout was sought without a start"))?;
        self.finished::<D>(start, found, stress)
    }

    /// A descent's end in its fixed orientation, with what is said of it.
    fn finished<const D: usize>(
        &self,
        start: usize,
        found: Descent,
        mut stress: LayoutStress<'_>,
    ) -> Result<ScaledLayout, Failure> {
        let Descent { mut points, steps, converged, .. } = found;
        orient(&mut points, self.names.len())?;
        let raw = stress.evaluate::<D>(&points, &mut vec![0.0; points.len()]);
        let mut between = vec![0.0; self.triangle.len()];
        distances::<D>(&points, &mut between);
        let present = between.iter().zip(self.triangle).filter(|(_, value)| !value.is_nan());
        let squares: f64 = present.map(|(distance, _)| distance * distance).sum();
        let stress_1 = if raw > 0.0 { (raw / squares).sqrt() } else { 0.0 };
        let missing = self.triangle.iter().filter(|value| value.is_nan()).count();
        Ok(ScaledLayout { points, stress: raw, stress_1, start, steps, converged, missing })
    }

    /// The matrix with a number in every place and none below 0, for starts: negative ones raise all until the least is 0, and a missing
    /// one is the mean of those that are there.
    fn completed(&self) -> Vec<f64> {
        let known = || self.triangle.iter().copied().filter(|value| !value.is_nan());
        let least = known().fold(0.0, f64::min);
        let mean = known().sum::<f64>() / real(known().count().max(1));
        self.triangle.iter().map(|value| if value.is_nan() { mean - least } else { value - least }).collect()
    }

    /// Weights 1 and 0, where a dissimilarity is missing; nothing if none is.
    fn weights(&self) -> Result<Option<PairWeights>, Failure> {
        if self.missing().is_none() {
            return Ok(None);
        }
        self.check_joined()?;
        let count = self.names.len();
        let weights: Vec<f64> = self.triangle.iter().map(|value| if value.is_nan() { 0.0 } else { 1.0 }).collect();
        let mut matrix = vec![0.0; count * count];
        for ((one, two), weight) in pairs(count).zip(&weights) {
            matrix[one * count + two] = -weight;
            matrix[two * count + one] = -weight;
            matrix[one * count + one] += weight;
            matrix[two * count + two] += weight;
        }
        let Eigen { values, vectors } = symmetric_eigen(&matrix, count)?;
        // All eigenvalues are positive but the last, whose vector is constant, because the items are joined.
        let roots: Vec<f64> = vectors
            .chunks_exact(count)
            .zip(&values)
            .take(count - 1)
            .flat_map(|(vector, value)| vector.iter().map(move |part| part / value.sqrt()))
            .collect();
        let view = MatrixView::new(&roots, count, count - 1);
        Ok(Some(PairWeights { weights, inverse: product(view, view.transposed()) }))
    }

    /// Refuses items that no chain of dissimilarities joins: where one group lies beside another would be arbitrary.
    fn check_joined(&self) -> Result<(), Failure> {
        let count = self.names.len();
        let mut is_joined = vec![false; count];
        let mut waiting = vec![0];
        is_joined[0] = true;
        while let Some(one) = waiting.pop() {
            for two in (0..count).filter(|two| *two != one) {
                let pair = pair_index(count, one.min(two), one.max(two));
                if !is_joined[two] && !self.triangle[pair].is_nan() {
                    is_joined[two] = true;
                    waiting.push(two);
                }
            }
        }
        match is_joined.iter().position(|joined| !joined) {
            None => Ok(()),
            Some(apart) => Err(Failure::input(format!(
                "no chain of dissimilarities joins `{}` to `{}`: where they lie beside each other is not determined",
                self.names[apart], self.names[0]
            ))
            .hint("leave out entries whose dissimilarities are missing")),
        }
    }
}

/// A uniform number from -1/2 to 1/2.
fn around_zero(random: &mut impl Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0 - 0.5
}

/// The random numbers of a start: a stream of its own, so that more starts leave those before as they are.
fn stream(seed: u64, number: usize) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number as u64);
    random
}

/// The root mean square of dissimilarities; 1 if all are 0.
fn typical(known: &[f64]) -> f64 {
    let squares = known.iter().map(|value| value * value).sum::<f64>();
    if squares > 0.0 { (squares / real(known.len())).sqrt() } else { 1.0 }
}

/// Uniform coordinates, about as far from each other as the items.
fn random_start(number: usize, known: &[f64], length: usize, seed: u64) -> Vec<f64> {
    let (size, mut random) = (typical(known), stream(seed, number));
    (0..length).map(|_| size * around_zero(&mut random)).collect()
}

/// The points of classical scaling. Different items that lie at one place there would never part, since a distance of 0 has no
/// direction; the later of two is moved by a little, at random.
fn classical_start(known: &[f64], count: usize, dims: usize, seed: u64) -> Result<Vec<f64>, Failure> {
    let mut points = classical_scaling(known, count, dims)?;
    let (size, mut random) = (typical(known), stream(seed, 0));
    for two in 1..count {
        let meets = (0..two).any(|one| {
            let differs = known[pair_index(count, one, two)] > 0.0;
            differs && points.chunks_exact(count).all(|axis| (axis[one] - axis[two]).abs() <= 1e-6 * size)
        });
        if meets {
            points.chunks_exact_mut(count).for_each(|axis| axis[two] += 0.1 * size * around_zero(&mut random));
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRIC: ScalingOptions = ScalingOptions {
        dims: 2,
        ordinal: false,
        classical: true,
        restarts: 4,
        limits: DescentLimits { steps: 3000, tolerance: 1e-12 },
        seed: 1,
    };

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("e{at}")).collect()
    }

    fn try_scale(count: usize, triangle: &[f64], options: &ScalingOptions) -> Result<ScaledLayout, Failure> {
        scale(ScalingProblem { names: &names(count), triangle }, options, &|| false)
    }

    fn scaled(count: usize, triangle: &[f64], options: &ScalingOptions) -> ScaledLayout {
        try_scale(count, triangle, options).unwrap()
    }

    /// Twelve items whose dissimilarities are not distances in any space.
    fn rough() -> Vec<f64> {
        pairs(12).map(|(i, j)| 1.0 + ((i * i * 7 + j * 13 + i * j * 5) % 17) as f64 / 10.0).collect()
    }

    /// Points of a plane without symmetry, one axis after the other, and the distances between them.
    fn plane(count: usize) -> (Vec<f64>, Vec<f64>) {
        let coordinate = |at: usize| ((at as f64 + 1.0) * 0.7).sin() * 43_758.5;
        let mut points: Vec<f64> = (0..2 * count).map(coordinate).map(|x| x - x.floor()).collect();
        points[..count].iter_mut().for_each(|x| *x *= 3.0);
        let mut between = vec![0.0; pair_count(count)];
        distances::<2>(&points, &mut between);
        (points, between)
    }

    fn close(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < tolerance);
        assert!(near, "{found:?}\n{expected:?}");
    }

    #[test]
    fn distances_of_a_plane_are_met_in_two_and_three_dimensions() {
        let (mut points, between) = plane(15);
        orient(&mut points, 15).unwrap();
        let found = scaled(15, &between, &METRIC);
        close(&found.points, &points, 1e-6);
        assert!(found.stress < 1e-10 && found.stress_1 < 1e-5 && found.converged && found.missing == 0, "{found:?}");
        let in_space = scaled(15, &between, &ScalingOptions { dims: 3, ..METRIC });
        close(&in_space.points[..30], &points, 1e-4);
        assert!(in_space.points[30..].iter().all(|x| x.abs() < 1e-3), "{in_space:?}");
    }

    /// Not above the best of 40 random starts of scikit-learn 1.9.1: `smacof(D, metric=.., n_components=.., normalized_stress=not metric, n_init=40,
    /// random_state=0, eps=1e-12, max_iter=3000)`, where `D[i, j] = 1 + (i * i * 7 + j * 13 + i * j * 5) % 17 / 10` for i < j < 12.
    #[test]
    fn stress_is_not_above_that_of_scikit_learn() {
        let many = ScalingOptions { restarts: 1000, ..METRIC };
        let flat = scaled(12, &rough(), &many);
        assert!(flat.stress <= 15.505_147_456_179_918 * (1.0 + 1e-7), "{}", flat.stress);
        // In three dimensions most starts meet the same layout.
        let in_space = scaled(12, &rough(), &ScalingOptions { dims: 3, ..METRIC });
        assert!((in_space.stress - 6.268_630_264).abs() < 1e-6, "{}", in_space.stress);
        assert!((in_space.stress_1 - 0.162_325_914).abs() < 1e-6, "{}", in_space.stress_1);
        let ordinal = scaled(12, &rough(), &ScalingOptions { ordinal: true, ..METRIC });
        assert!(ordinal.stress_1 <= 0.232_166_722_937_226_3, "{}", ordinal.stress_1);
    }

    #[test]
    fn more_starts_never_raise_stress() {
        for ordinal in [false, true] {
            let mut last = f64::INFINITY;
            for restarts in [0, 1, 4, 16] {
                let found = scaled(12, &rough(), &ScalingOptions { ordinal, restarts, ..METRIC });
                assert!(found.stress <= last + 1e-9, "{ordinal} {restarts}: {} after {last}", found.stress);
                last = found.stress;
            }
        }
        let random = ScalingOptions { classical: false, restarts: 0, ..METRIC };
        assert_eq!(scaled(12, &rough(), &random).start, 1, "at least one start");
    }

    #[test]
    fn turned_patterns_have_the_same_layout() {
        let (points, between) = plane(9);
        let (sin, cos) = libm::sincos(1.1);
        let turn = [cos, sin, -sin, cos];
        let turned = product(MatrixView::new(&points, 9, 2), MatrixView::new(&turn, 2, 2));
        let mut of_turned = between.clone();
        distances::<2>(&turned, &mut of_turned);
        // Each number is a little off, so that no layout is exact.
        let rough = |of: &[f64]| of.iter().zip(rough()).map(|(x, y)| x + 0.1 * y).collect::<Vec<f64>>();
        let [one, two] = [&between, &of_turned].map(|of| scaled(9, &rough(of), &METRIC));
        close(&one.points, &two.points, 1e-4);
        assert!(one.stress > 0.01);
    }

    #[test]
    fn only_the_order_counts_in_an_ordinal_layout() {
        let ordinal = ScalingOptions { ordinal: true, classical: false, ..METRIC };
        let scale = |of: fn(f64) -> f64| scaled(12, &rough().into_iter().map(of).collect::<Vec<f64>>(), &ordinal);
        let found = scale(|x| x);
        let mut between = vec![0.0; 66];
        distances::<2>(&found.points, &mut between);
        let size = between.iter().map(|x| x * x).sum::<f64>() / 66.0;
        assert!((0.8..1.2).contains(&size), "the size of an ordinal layout is fixed: {size}");
        // Starts differ in size only, which the first step takes off.
        assert!((scale(|x| x.powi(3)).stress - found.stress).abs() < 1e-6 * found.stress);
        assert!(scale(|x| x - 5.0).stress > 0.0, "negative dissimilarities have an order");
    }

    #[test]
    fn missing_pairs_count_nothing() {
        let (mut points, mut between) = plane(15);
        orient(&mut points, 15).unwrap();
        (0..between.len()).step_by(7).for_each(|pair| between[pair] = f64::NAN);
        let limits = DescentLimits { tolerance: 1e-15, ..METRIC.limits };
        let found = scaled(15, &between, &ScalingOptions { limits, ..METRIC });
        assert_eq!(found.missing, 15);
        assert!(found.stress < 1e-9, "{found:?}");
        close(&found.points, &points, 1e-3);
        let triangle = [1.0, f64::NAN, f64::NAN, f64::NAN, f64::NAN, 1.0];
        let failure = try_scale(4, &triangle, &METRIC).unwrap_err();
        assert!(failure.message.starts_with("no chain of dissimilarities joins `e2` to `e0`"), "{failure}");
    }

    #[test]
    fn equal_items_meet_and_equal_dissimilarities_spread() {
        let same = scaled(4, &[0.0; 6], &METRIC);
        assert!(same.points.iter().all(|x| x.abs() < 1e-6) && same.stress_1 < 1e-12, "{same:?}");
        let triangle = scaled(3, &[1.0; 3], &METRIC);
        let height = 0.75_f64.sqrt();
        close(&triangle.points, &[height / 1.5, -height / 3.0, -height / 3.0, 0.0, 0.5, -0.5], 1e-5);
        // Classical scaling may put several of seven equally different items at one place; they part.
        let found = scaled(7, &[1.0; 21], &ScalingOptions { restarts: 0, ..METRIC });
        let mut between = vec![0.0; 21];
        distances::<2>(&found.points, &mut between);
        assert!(between.iter().all(|distance| *distance > 0.1), "{between:?}");
        let two = scaled(2, &[4.0], &ScalingOptions { dims: 3, ..METRIC });
        close(&two.points, &[2.0, -2.0, 0.0, 0.0, 0.0, 0.0], 1e-5);
    }

    #[test]
    fn equal_seeds_give_equal_bytes_on_any_number_of_threads() {
        let options = ScalingOptions { classical: false, restarts: 7, ..METRIC };
        let first = scaled(12, &rough(), &options);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| scaled(12, &rough(), &options)), first);
        }
        assert_ne!(scaled(12, &rough(), &ScalingOptions { restarts: 1, seed: 2, ..options }).points, first.points);
    }

    #[test]
    fn what_has_no_layout_is_refused() {
        let message = |count: usize, triangle: &[f64]| try_scale(count, triangle, &METRIC).unwrap_err().message;
        assert_eq!(message(1, &[]), "a layout of 1 items was asked for, expected at least 2");
        let infinite = message(3, &[1.0, f64::INFINITY, 1.0]);
        assert_eq!(infinite, "the dissimilarity of `e0` and `e2` is inf, expected a finite number");
        let negative = message(3, &[1.0, 1.0, -0.5]);
        assert_eq!(negative, "the dissimilarity of `e1` and `e2` is -0.5, but distances cannot be negative");
        assert!(message(3, &[1.0]).contains("1 dissimilarities were given for 3 items"));
        let flat = ScalingOptions { dims: 1, ..METRIC };
        assert!(try_scale(2, &[1.0], &flat).unwrap_err().message.contains("1 axes"));
        let endless = ScalingOptions { limits: DescentLimits { steps: 100_000, tolerance: -1.0 }, ..METRIC };
        let names = names(12);
        let problem = ScalingProblem { names: &names, triangle: &rough() };
        let ended = scale(problem, &ScalingOptions { ordinal: true, ..endless }, &|| true);
        assert!(ended.is_err_and(|failure| failure.message.contains("stopped")));
    }
}
