//! Points moved until their stress is least: the steps of SMACOF, lengthened by what earlier steps showed of the curvature.
//!
//! A step of SMACOF (De Leeuw, 1977) is the Guttman transform `V^+ B(X) X`, which is the point itself less `V^+` times half the gradient
//! of stress, and never raises stress. Near a minimum such steps become short; therefore steps are those of a quasi-Newton method with a short
//! memory (Liu and Nocedal, 1989) that takes `V^+` as its first guess, and one that would raise stress is replaced by the plain one.
//! Stress therefore never rises. Nothing is allocated in the loop. Independent of starts and of how layouts are turned.
//!
//! Decides when a descent has converged: [`SETTLED`] steps in a row lowered stress by little, and could not have lowered it by more, judged by
//! the product of step and gradient. One step alone may be short by chance. Little is a share of stress itself, because in a matrix
//! with few very large numbers a share of their squares hides all that the layout could still gain.

use super::counts::real;
use super::isotonic::IsotonicOrder;
use super::linear_algebra::{MatrixView, product_into};
use super::stress_gradient::{PairTargets, distances, stress_and_gradient};

/// When a descent ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DescentLimits {
    /// After so many steps.
    pub steps: usize,
    /// When steps lower stress by less than this share of it, or of [`SMALL_STRESS`] of the sum of squares of the distances that points should
    /// have, where stress is smaller.
    pub tolerance: f64,
}

/// Where a descent ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Descent {
    /// Coordinates, one axis after the other.
    pub points: Vec<f64>,
    /// Raw stress there.
    pub stress: f64,
    /// Steps that were taken.
    pub steps: usize,
    /// It ended by the tolerance, not by the number of steps.
    pub converged: bool,
}

/// What is minimised: the raw stress of points about the distances that pairs should have.
#[derive(Clone, Debug)]
pub struct LayoutStress<'a> {
    count: usize,
    /// The distances that pairs should have.
    targets: Vec<f64>,
    weights: Option<&'a [f64]>,
    /// The pseudo-inverse of `V`, where pairs have weights.
    inverse: Option<&'a [f64]>,
    /// The order that distances should have, where only that counts: targets are then fitted to every layout.
    order: Option<DistanceOrder>,
}

/// An order of pairs, and room for the distances between points.
#[derive(Clone, Debug)]
struct DistanceOrder {
    order: IsotonicOrder,
    distances: Vec<f64>,
}

impl<'a> LayoutStress<'a> {
    /// Of `count` points whose distances should be these, a pair each by rows of the upper triangle; with the weights of the pairs and the
    /// pseudo-inverse of `V`, the matrix of the weights (off the diagonal negative, with rows that add up to 0), or with equal weights.
    pub fn metric(count: usize, targets: &[f64], weights: Option<(&'a [f64], &'a [f64])>) -> Self {
        let (weights, inverse) = weights.unzip();
        Self { count, targets: targets.to_vec(), weights, inverse, order: None }
    }

    /// The same of points whose distances should only have the order of these numbers. The distances that they should have are those of
    /// isotonic regression, multiplied so that their sum of squares is the number of pairs in the order (Kruskal, 1964).
    pub fn of_order(count: usize, order: IsotonicOrder, pairs: usize, weights: Option<(&'a [f64], &'a [f64])>) -> Self {
        let (weights, inverse) = weights.unzip();
        let order = Some(DistanceOrder { order, distances: vec![0.0; pairs] });
        Self { count, targets: vec![0.0; pairs], weights, inverse, order }
    }

    /// Raw stress of points, and half its gradient.
    pub fn evaluate<const D: usize>(&mut self, points: &[f64], gradient: &mut [f64]) -> f64 {
        if let Some(of_pairs) = &mut self.order {
            distances::<D>(points, &mut of_pairs.distances);
            of_pairs.order.fit(&of_pairs.distances, &mut self.targets);
            let squares: f64 = self.targets.iter().map(|target| target * target).sum();
            let factor = if squares > 0.0 { (real(of_pairs.order.len()) / squares).sqrt() } else { 0.0 };
            self.targets.iter_mut().for_each(|target| *target *= factor);
        }
        stress_and_gradient::<D>(points, PairTargets { distances: &self.targets, weights: self.weights }, gradient)
    }

    /// The sum of squares of the distances that pairs should have, to which the tolerance is relative.
    pub fn size(&self) -> f64 {
        match (&self.order, self.weights) {
            (Some(of_pairs), _) => real(of_pairs.order.len()),
            (None, None) => self.targets.iter().map(|target| target * target).sum(),
            (None, Some(weights)) => {
                self.targets.iter().zip(weights).map(|(target, weight)| weight * target * target).sum()
            }
        }
    }

    /// `V^+` times half a gradient, in place: the step that leads to the Guttman transform.
    fn precondition(&self, step: &mut [f64], room: &mut [f64]) {
        match self.inverse {
            None => step.iter_mut().for_each(|part| *part /= real(self.count)),
            Some(inverse) => {
                let dims = step.len() / self.count;
                let inverse = MatrixView::new(inverse, self.count, self.count);
                product_into(room, inverse, MatrixView::new(step, self.count, dims));
                step.copy_from_slice(room);
            }
        }
    }
}

/// Steps before the memory of a descent begins: from far away, the curvature of one step says little about the next.
const PLAIN_STEPS: usize = 10;

/// Steps in a row that must be small.
const SETTLED: usize = 3;

/// Stress below this share of the sum of squares of the distances that points should have is that of a layout that fits.
const SMALL_STRESS: f64 = 1e-4;

/// Steps between two looks at whether to stop.
const LOOK: usize = 64;

/// Moves points in `D` dimensions until their stress is least nearby; `None` if `stop` says so.
pub fn descend<const D: usize>(
    stress: &mut LayoutStress<'_>,
    start: Vec<f64>,
    limits: DescentLimits,
    stop: &(dyn Fn() -> bool + Sync),
) -> Option<Descent> {
    let empty = || vec![0.0; start.len()];
    let (mut gradient, mut step, mut tried, mut tried_gradient, mut room) =
        (empty(), empty(), empty(), empty(), empty());
    let mut memory = StepMemory::new(start.len());
    let mut points = start;
    let mut value = stress.evaluate::<D>(&points, &mut gradient);
    let (size, mut settled) = (stress.size(), 0);
    for number in 1..=limits.steps {
        if number % LOOK == 0 && stop() {
            return None;
        }
        step.copy_from_slice(&gradient);
        memory.direct(&mut step, |step| stress.precondition(step, &mut room));
        subtract(&mut tried, &points, &step);
        let mut expected = dot(&step, &gradient);
        let mut next = stress.evaluate::<D>(&tried, &mut tried_gradient);
        if rises(value, next) && !memory.is_empty() {
            memory.clear();
            step.copy_from_slice(&gradient);
            stress.precondition(&mut step, &mut room);
            subtract(&mut tried, &points, &step);
            expected = dot(&step, &gradient);
            next = stress.evaluate::<D>(&tried, &mut tried_gradient);
        }
        // A plain step that does not lower stress: what is left are rounding errors.
        if rises(value, next) {
            return Some(Descent { points, stress: value, steps: number, converged: true });
        }
        if number > PLAIN_STEPS {
            memory.add((&points, &tried), (&gradient, &tried_gradient));
        }
        std::mem::swap(&mut points, &mut tried);
        std::mem::swap(&mut gradient, &mut tried_gradient);
        let gained = value - next;
        value = next;
        let least = limits.tolerance * value.max(SMALL_STRESS * size);
        let is_small = gained <= least && (expected <= least || gained <= 0.0);
        settled = if is_small { settled + 1 } else { 0 };
        if settled == SETTLED {
            return Some(Descent { points, stress: value, steps: number, converged: true });
        }
    }
    Some(Descent { points, stress: value, steps: limits.steps, converged: false })
}

/// Whether stress would rise, or be not a number.
fn rises(value: f64, next: f64) -> bool {
    next.is_nan() || next > value
}

fn subtract(to: &mut [f64], a: &[f64], b: &[f64]) {
    to.iter_mut().zip(a.iter().zip(b)).for_each(|(to, (a, b))| *to = a - b);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Steps that are remembered.
const REMEMBERED: usize = 8;

/// One remembered step.
#[derive(Clone, Debug)]
struct PastStep {
    moved: Vec<f64>,
    /// How the gradient changed by it.
    turned: Vec<f64>,
    /// The inner product of both, which is positive where stress curves upwards.
    curvature: f64,
    /// Room for [`StepMemory::direct`].
    share: f64,
}

/// The last steps of a descent, from which the inverse of the second derivatives is guessed.
struct StepMemory {
    /// The oldest first from `oldest` on, around the end.
    steps: Vec<PastStep>,
    oldest: usize,
    count: usize,
}

impl StepMemory {
    fn new(length: usize) -> Self {
        let empty = PastStep { moved: vec![0.0; length], turned: vec![0.0; length], curvature: 0.0, share: 0.0 };
        Self { steps: vec![empty; REMEMBERED], oldest: 0, count: 0 }
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn clear(&mut self) {
        self.count = 0;
    }

    /// Remembers a step, in place of the oldest if there is no room; not one along which stress does not curve upwards.
    fn add(&mut self, (from, to): (&[f64], &[f64]), (before, after): (&[f64], &[f64])) {
        let place = (self.oldest + self.count) % REMEMBERED;
        let is_full = self.count == REMEMBERED;
        let step = &mut self.steps[place];
        subtract(&mut step.moved, to, from);
        subtract(&mut step.turned, after, before);
        step.curvature = dot(&step.moved, &step.turned);
        if step.curvature <= 1e-12 * dot(&step.moved, &step.moved) {
            // A full memory has lost its oldest step to this one.
            if is_full {
                self.oldest = (self.oldest + 1) % REMEMBERED;
                self.count -= 1;
            }
        } else if is_full {
            self.oldest = (self.oldest + 1) % REMEMBERED;
        } else {
            self.count += 1;
        }
    }

    /// A gradient made a step, in place: the two loops of the method, with `first_guess` between them.
    fn direct(&mut self, step: &mut [f64], mut first_guess: impl FnMut(&mut [f64])) {
        for back in (0..self.count).rev() {
            let past = &mut self.steps[(self.oldest + back) % REMEMBERED];
            past.share = dot(&past.moved, step) / past.curvature;
            step.iter_mut().zip(&past.turned).for_each(|(part, turned)| *part -= past.share * turned);
        }
        first_guess(step);
        for forth in 0..self.count {
            let past = &self.steps[(self.oldest + forth) % REMEMBERED];
            let share = past.share - dot(&past.turned, step) / past.curvature;
            step.iter_mut().zip(&past.moved).for_each(|(part, moved)| *part += share * moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: &(dyn Fn() -> bool + Sync) = &|| false;
    const LIMITS: DescentLimits = DescentLimits { steps: 3000, tolerance: 1e-14 };

    /// Six dissimilarities that no four points of a plane have, and a start whose mean is at the origin.
    const TARGETS: [f64; 6] = [1.0, 2.0, 2.5, 1.5, 2.0, 0.5];
    const START: [f64; 8] = [-1.25, -0.25, 0.75, 0.75, -0.375, 0.125, -0.375, 0.625];
    const START_STRESS: f64 = 1.257_354_213_752;

    #[test]
    fn the_first_step_is_the_guttman_transform() {
        // python -c "import numpy as n; X=n.array([[0,0],[1,.5],[2,0],[2,1.]]); D=n.zeros((4,4)); D[n.triu_indices(4,1)]=[1,2,2.5,1.5,2,.5]; D+=D.T; \
        // d=n.linalg.norm(X[:,None]-X,axis=2); B=-n.divide(D,d,where=d>0,out=n.zeros((4,4))); B-=n.diag(B.sum(1)); print((B@X/4).T, ((d-D)**2).sum()/2)"
        let mut stress = LayoutStress::metric(4, &TARGETS, None);
        let one = DescentLimits { steps: 1, tolerance: 0.0 };
        let found = descend::<2>(&mut stress, START.to_vec(), one, NEVER).unwrap();
        let guttman = [
            [-1.282_623_792_125, -0.559_016_994_375, 0.835_410_196_625, 1.006_230_589_875],
            [-0.391_311_896_062, 0.055_901_699_437, -0.292_705_098_312, 0.628_115_294_937],
        ];
        for (found, expected) in found.points.iter().zip(guttman.as_flattened()) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
        assert!((stress.evaluate::<2>(&START, &mut [0.0; 8]) - START_STRESS).abs() < 1e-9);
    }

    #[test]
    fn stress_falls_to_where_its_gradient_is_zero() {
        let mut stress = LayoutStress::metric(4, &TARGETS, None);
        let found = descend::<2>(&mut stress, START.to_vec(), LIMITS, NEVER).unwrap();
        let mut gradient = [0.0; 8];
        let value = stress.evaluate::<2>(&found.points, &mut gradient);
        assert!(found.converged && found.steps < 100, "{found:?}");
        assert_eq!(value, found.stress);
        assert!(value < START_STRESS && gradient.iter().all(|part| part.abs() < 1e-6), "{value} {gradient:?}");
        let mut last = f64::INFINITY;
        for steps in 1..30 {
            let limits = DescentLimits { steps, tolerance: 0.0 };
            let next = descend::<2>(&mut stress, START.to_vec(), limits, NEVER).unwrap().stress;
            assert!(next <= last, "{steps}: {next} after {last}");
            last = next;
        }
    }

    #[test]
    fn weights_of_one_change_nothing() {
        let weights = [1.0; 6];
        // V is 4 on the diagonal less 1 everywhere; its pseudo-inverse 1/4 on the diagonal less 1/16 everywhere.
        let inverse: Vec<f64> = (0..16).map(|at| if at % 5 == 0 { 0.1875 } else { -0.0625 }).collect();
        let mut plain = LayoutStress::metric(4, &TARGETS, None);
        let mut weighted = LayoutStress::metric(4, &TARGETS, Some((weights.as_slice(), inverse.as_slice())));
        assert_eq!(plain.size(), weighted.size());
        let [one, two] =
            [&mut plain, &mut weighted].map(|stress| descend::<2>(stress, START.to_vec(), LIMITS, NEVER).unwrap());
        assert!((one.stress - two.stress).abs() < 1e-10, "{} {}", one.stress, two.stress);
    }

    #[test]
    fn an_order_is_met_where_it_can_be() {
        // Distances of a line in the order of their squares and of other rising functions.
        let order = IsotonicOrder::new(&[1.0, 9.0, 25.0, 4.0, 16.0, 2.0], 0..6);
        let mut stress = LayoutStress::of_order(4, order, 6, None);
        let found = descend::<2>(&mut stress, START.to_vec(), LIMITS, NEVER).unwrap();
        assert!(found.stress < 1e-8, "{found:?}");
        assert!((stress.size() - 6.0).abs() < 1e-15);
    }

    /// Sixty points that cannot have these distances, from a start without symmetry.
    fn rough() -> (Vec<f64>, Vec<f64>) {
        let pairs = (0..60_u32).flat_map(|i| (i + 1..60).map(move |j| (i, j)));
        let targets = pairs.map(|(i, j)| 1.0 + f64::from((i * i * 7 + j * 13 + i * j * 5) % 17) / 10.0).collect();
        (targets, (0..120).map(|at| libm::sin(f64::from(at * at))).collect())
    }

    #[test]
    fn a_descent_can_be_stopped() {
        let (targets, start) = rough();
        let mut stress = LayoutStress::metric(60, &targets, None);
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let at_once = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        let endless = DescentLimits { steps: 1_000_000, tolerance: -1.0 };
        assert_eq!(descend::<2>(&mut stress, start, endless, &at_once), None);
        assert_eq!(asked.into_inner(), 1);
    }

    /// Sixty points and one that should be far from all: its distances are nearly all of the sum of squares.
    #[test]
    fn a_far_point_does_not_end_a_descent() {
        let (targets, start) = rough();
        let mut far = vec![40.0; 60];
        far.extend(targets);
        let start: Vec<f64> =
            start.chunks_exact(60).flat_map(|axis| [3.0].into_iter().chain(axis.iter().copied())).collect();
        let mut stress = LayoutStress::metric(61, &far, None);
        let mut to = |tolerance: f64| {
            descend::<2>(&mut stress, start.clone(), DescentLimits { steps: 3000, tolerance }, NEVER).unwrap()
        };
        let (loose, exact) = (to(1e-9), to(1e-13));
        assert!(loose.converged && exact.converged && loose.steps < exact.steps, "{} {}", loose.steps, exact.steps);
        assert!(loose.stress <= exact.stress * (1.0 + 1e-5), "{} {}", loose.stress, exact.stress);
    }
}
