//! Least squares of a few predictors from their products: with any weights, or with weights that are at least 0.
//!
//! Decides what happens where predictors depend on each other: of all best weights the shortest ones are taken (any sign), and a
//! predictor that adds nothing to those that have a weight gets none (at least 0). Takes products of predictors and of predictors with
//! the response, so that every set of predictors is solved from the same numbers. Independent of the metric in which they are.

use pipe_contract::Failure;

use super::cholesky::Cholesky;
use super::linear_algebra::{principal_part, symmetric_eigen};

/// Eigenvalues below this share of the largest are taken for 0.
const LEAST_EIGENVALUE: f64 = 1e-12;

/// A slope below this share of what it can be is taken for 0.
const LEAST_SLOPE: f64 = 1e-10;

/// The weights `w` for which `w^T gram w - 2 w^T moments` is least; of several the shortest. `gram` holds the products of predictors
/// with each other, `moments` those with the response.
///
/// # Errors
/// Input: a product that is not finite. Stage: no convergence.
pub fn least_squares(gram: &[f64], moments: &[f64]) -> Result<Vec<f64>, Failure> {
    let size = moments.len();
    let eigen = symmetric_eigen(gram, size)?;
    let largest = eigen.values.first().copied().unwrap_or(0.0);
    let mut weights = vec![0.0; size];
    for (value, vector) in eigen.values.iter().zip(eigen.vectors.chunks_exact(size.max(1))) {
        if *value > LEAST_EIGENVALUE * largest {
            let along = vector.iter().zip(moments).map(|(a, b)| a * b).sum::<f64>() / value;
            weights.iter_mut().zip(vector).for_each(|(weight, part)| *weight += along * part);
        }
    }
    Ok(weights)
}

/// The same with weights that are at least 0: the active-set method of Lawson and Hanson (1974, chapter 23) on products, as Bro and De
/// Jong (1997) have it. Of equal slopes the first predictor enters first.
///
/// # Errors
/// Stage: no end after `30 * (predictors + 1)` exchanges, which rounding alone could cause.
pub fn nonnegative_least_squares(gram: &[f64], moments: &[f64]) -> Result<Vec<f64>, Failure> {
    let size = moments.len();
    let mut search =
        Search { gram, moments, weights: vec![0.0; size], active: vec![false; size], barred: vec![false; size] };
    for _ in 0..30 * (size + 1) {
        let Some(entering) = search.steepest() else { return Ok(search.weights) };
        search.active[entering] = true;
        if !search.settle() {
            // It depends on those that have a weight, so that they can do all that it can.
            search.active[entering] = false;
            search.barred[entering] = true;
            search.settle();
        }
    }
    Err(Failure::stage(format!("non-negative weights of {size} predictors did not converge")))
}

struct Search<'a> {
    gram: &'a [f64],
    moments: &'a [f64],
    weights: Vec<f64>,
    active: Vec<bool>,
    /// Predictors that may not enter.
    barred: Vec<bool>,
}

impl Search<'_> {
    /// The predictor without a weight along which the error falls most, if it falls.
    fn steepest(&self) -> Option<usize> {
        let size = self.weights.len();
        let mut best: Option<(usize, f64)> = None;
        for at in (0..size).filter(|at| !self.active[*at] && !self.barred[*at]) {
            let explained: f64 = self.gram[at * size..][..size].iter().zip(&self.weights).map(|(a, b)| a * b).sum();
            let slope = self.moments[at] - explained;
            let scale = self.moments[at].abs().max(explained.abs());
            if slope > LEAST_SLOPE * scale && best.is_none_or(|(_, steepest)| slope > steepest) {
                best = Some((at, slope));
            }
        }
        best.map(|(at, _)| at)
    }

    /// Moves to the best weights of the active predictors, of which those leave that would fall below 0. False where they depend on each
    /// other.
    fn settle(&mut self) -> bool {
        loop {
            let places: Vec<usize> = (0..self.active.len()).filter(|at| self.active[*at]).collect();
            let Some(factor) = Cholesky::of(&principal_part(self.gram, self.active.len(), &places), places.len())
            else {
                return false;
            };
            let mut target: Vec<f64> = places.iter().map(|at| self.moments[*at]).collect();
            factor.solve(&mut target);
            // How far all can move towards the target before the first of them reaches 0.
            let mut step = 1.0;
            let mut leaving = None;
            for (at, target) in places.iter().zip(&target) {
                if *target <= 0.0 {
                    let own = self.weights[*at];
                    let reach = if own > 0.0 { own / (own - target) } else { 0.0 };
                    if leaving.is_none() || reach < step {
                        (step, leaving) = (reach, Some(*at));
                    }
                }
            }
            for (at, target) in places.iter().zip(&target) {
                self.weights[*at] += step * (target - self.weights[*at]);
            }
            let Some(leaving) = leaving else { return true };
            self.weights[leaving] = 0.0;
            self.active[leaving] = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [[f64; 3]; 5] = [[1.0, 2.0, 0.5], [0.0, 1.0, -1.0], [2.0, 0.5, 1.0], [1.5, -1.0, 0.0], [-0.5, 1.0, 2.0]];
    const Y: [f64; 5] = [1.0, 0.5, 1.5, 0.3, -0.7];

    fn products(columns: &[usize]) -> (Vec<f64>, Vec<f64>) {
        let of = |one: usize, other: usize| A.iter().map(|row| row[one] * row[other]).sum::<f64>();
        let gram = columns.iter().flat_map(|a| columns.iter().map(move |b| of(*a, *b))).collect();
        let moments = columns.iter().map(|a| A.iter().zip(Y).map(|(row, y)| row[*a] * y).sum()).collect();
        (gram, moments)
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{found:?} {expected:?}");
        }
    }

    /// `numpy.linalg.lstsq(A, Y)` and `scipy.optimize.nnls(A, Y)`.
    #[test]
    fn weights_are_those_of_numpy_and_scipy() {
        let (gram, moments) = products(&[0, 1, 2]);
        close(&least_squares(&gram, &moments).unwrap(), &[0.6514337119082426, 0.3119082424378729, -0.2651073878331272]);
        close(&nonnegative_least_squares(&gram, &moments).unwrap(), &[0.6098360655737707, 0.2262295081967211, 0.0]);
    }

    #[test]
    fn a_predictor_that_is_given_twice_changes_nothing() {
        let (gram, moments) = products(&[1, 1, 2]);
        let (linear, positive) = (least_squares(&gram, &moments), nonnegative_least_squares(&gram, &moments));
        let (once, moments) = products(&[1, 2]);
        let alone = least_squares(&once, &moments).unwrap();
        close(&linear.unwrap(), &[alone[0] / 2.0, alone[0] / 2.0, alone[1]]);
        let alone = nonnegative_least_squares(&once, &moments).unwrap();
        close(&positive.unwrap(), &[alone[0], 0.0, alone[1]]);
    }

    #[test]
    fn nothing_that_helps_gives_no_weight() {
        close(&nonnegative_least_squares(&[1.0], &[-1.0]).unwrap(), &[0.0]);
        close(&nonnegative_least_squares(&[0.0], &[0.0]).unwrap(), &[0.0]);
        close(&least_squares(&[0.0], &[0.0]).unwrap(), &[0.0]);
        assert!(least_squares(&[f64::NAN], &[0.0]).is_err());
    }
}
