//! How well each penalty does, for every response: by held-out rows, by generalised cross-validation, by leaving out one row at a time.
//!
//! With b the training rows along the axes of a decomposition times a response, s its eigenvalues and d = 1 / (s + penalty), weights
//! along the axes are w = b d. Rows that are held out enter in one of two ways, whichever is less to compute: by their Gram matrix G along
//! the axes, |y|^2 - 2 w.c + w.G w with c their product with the response, or by predictions |y - X w|^2. Of G w the diagonal part is in
//! `f64`, so that in `f32` only what the axes correlate on held-out rows is rounded. Generalised cross-validation needs no rows
//! at all: the squared error on the training rows is |y|^2 - sum of b^2 (2 d - s d^2). The loss is a mean square over rows; of inner folds
//! it is the mean over folds of their mean squares, so that a fold counts no more for being a row longer (as in himalaya and in
//! scikit-learn's searches).

use std::ops::Range;

use pipe_contract::{Failure, choice};

use super::blocks::ResponseBlock;
use super::decomposition::Decomposition;
use super::design::{Design, FitRound, inner_folds};
use super::long_sums::dot;
use super::real_number::Real;
use crate::numeric::counts::real;
use crate::numeric::linear_algebra::{MatrixView, product, product_into};

choice! {
    /// By what penalties are chosen.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Choose {
        /// The part `choose` of the split.
        HeldOut = "held-out",
        /// Inner folds of the rows that may be looked at.
        Folds = "folds",
        /// Generalised cross-validation on them.
        Gcv = "gcv",
        /// Leaving out one of them at a time.
        Loo = "loo",
    }
}

/// Rows of the Gram matrix of held-out rows that are multiplied at a time; what is below the diagonal is left out but for corners.
const PANEL: usize = 64;

/// A share of a row that its own response has less than this much in common with is a rounding error.
const LEAST_FREEDOM: f64 = 1e-9;

/// What is prepared once to tell the losses of a model for any block of responses.
pub(super) enum ChoiceLosses<T> {
    /// Rounds with rows that are held out.
    Held(Vec<Held<T>>),
    /// Generalised cross-validation by the final decomposition.
    Gcv,
    /// Leaving out one row at a time, by the final decomposition: its training rows along its axes, and by penalty the factor of
    /// each row's squared error, rows by penalties.
    Loo { rows: Vec<T>, factors: Vec<f64> },
}

/// A round with rows that are held out.
pub(super) struct Held<T> {
    decomposition: Decomposition<T>,
    group: usize,
    by: By<T>,
}

enum By<T> {
    /// The Gram matrix along the axes: its diagonal, and twice what is above it, in panels of rows.
    Gram { diagonal: Vec<f64>, panels: Vec<Vec<T>> },
    /// Rows along the axes.
    Rows(Vec<T>),
}

impl Choose {
    /// Groups of rows that may be looked at, of which the first `train` are trained on.
    ///
    /// # Errors
    /// Input: nothing is held out to choose by, or more folds than rows.
    pub fn groups(self, train: usize, seen: usize, folds: usize) -> Result<Vec<std::ops::Range<usize>>, Failure> {
        match self {
            Choose::HeldOut if train == seen => Err(Failure::input("the split has no stimuli of the part `choose`")
                .hint("choose by `folds`, `gcv` or `loo`, or have the split hold some out")),
            Choose::HeldOut => Ok(vec![0..train, train..seen]),
            Choose::Folds => inner_folds(seen, folds),
            Choose::Gcv | Choose::Loo => Ok(vec![Range { start: 0, end: seen }]),
        }
    }

    /// The fits by which penalties are chosen, of so many groups.
    pub fn rounds(self, groups: usize) -> Vec<FitRound> {
        match self {
            Choose::HeldOut => vec![FitRound { train: vec![0], held: 1 }],
            Choose::Folds => (0..groups)
                .map(|held| FitRound { train: (0..groups).filter(|group| *group != held).collect(), held })
                .collect(),
            Choose::Gcv | Choose::Loo => Vec::new(),
        }
    }
}

impl<T> Held<T> {
    /// Whether products of features and responses are needed.
    pub fn is_primal(&self) -> bool {
        self.decomposition.rows.is_none()
    }
}

impl<T: Real> Held<T> {
    /// Prepares a round. `gram` is that of the held-out group about the training means, all columns of the design.
    pub fn new(design: &Design<T>, decomposition: Decomposition<T>, group: usize, gram: &[f64]) -> Self {
        let (rows, axes) = (design.groups()[group].clone(), decomposition.len());
        // Products by rows cost as many as there are rows, those by the Gram matrix half as many as there are axes.
        if decomposition.rows.is_some() || 2 * rows.len() < axes {
            let by = By::Rows(decomposition.along(design, rows));
            return Self { decomposition, group, by };
        }
        let width = decomposition.columns.len();
        let gram = crate::numeric::linear_algebra::principal_part(gram, design.width(), &decomposition.columns);
        let v = MatrixView::new(&decomposition.axes, width, axes);
        let gram =
            product(v.transposed(), MatrixView::new(&product(MatrixView::new(&gram, width, width), v), width, axes));
        let at = |row: usize, column: usize| gram[column * axes + row];
        let panel = |first: usize| -> Vec<T> {
            let rows = first..(first + PANEL).min(axes);
            let number = |row, column| if row < column { T::of(2.0 * at(row, column)) } else { T::of(0.0) };
            (first..axes).flat_map(|column| rows.clone().map(move |row| number(row, column))).collect()
        };
        let diagonal = (0..axes).map(|axis| at(axis, axis)).collect();
        let by = By::Gram { diagonal, panels: (0..axes).step_by(PANEL).map(panel).collect() };
        Self { decomposition, group, by }
    }

    /// About how many bytes one takes.
    pub fn bytes(rows: usize, columns: usize) -> usize {
        let axes = rows.min(columns);
        8 * axes * (2 * columns + axes)
    }

    /// Adds squared errors on the held-out rows, penalties by responses.
    fn add(&self, design: &Design<T>, block: &ResponseBlock<T>, penalties: &[f64], losses: &mut [f64]) {
        let of = &self.decomposition;
        let (b, means) = (block.along(design, of), block.means(design, &of.train));
        match &self.by {
            By::Rows(rows) => {
                let held = design.groups()[self.group].clone();
                let observed = Observed { block, rows: held, means: &means };
                add_errors(of, rows, &b, &observed, penalties, None, losses);
            }
            By::Gram { diagonal, panels } => {
                let c = block.held_along(design, self.group, of, &means);
                let yy = block.squares_about(design, self.group, &means);
                add_by_gram(of, diagonal, panels, &b, &c, &yy, penalties, losses);
            }
        }
    }
}

/// The mean over rounds of the mean squared error on the rows that a round holds out, penalties by responses.
pub(super) fn held_losses<T: Real>(
    rounds: &[Held<T>],
    design: &Design<T>,
    block: &ResponseBlock<T>,
    penalties: &[f64],
) -> Vec<f64> {
    let mut losses = vec![0.0; penalties.len() * block.width];
    let mut squares = losses.clone();
    for round in rounds {
        squares.fill(0.0);
        round.add(design, block, penalties, &mut squares);
        let rows = real(rounds.len()) * real(design.groups()[round.group].len());
        losses.iter_mut().zip(&squares).for_each(|(loss, squares)| *loss += squares / rows);
    }
    losses
}

/// |y|^2 - 2 w.c + w.G w for every penalty and response.
#[expect(clippy::too_many_arguments, reason = "the terms of one formula")]
fn add_by_gram<T: Real>(
    of: &Decomposition<T>,
    diagonal: &[f64],
    panels: &[Vec<T>],
    b: &[f64],
    c: &[f64],
    yy: &[f64],
    penalties: &[f64],
    losses: &mut [f64],
) {
    let (axes, width) = (of.len(), yy.len());
    // Sums over axes of b^2 (d^2 diag G) and of (b c) (-2 d), by products of penalties by axes with axes by responses.
    let factors = |factor: &dyn Fn(f64, usize) -> f64| -> Vec<f64> {
        let d = |axis: usize, penalty: &f64| 1.0 / (of.eigenvalues[axis] + penalty);
        (0..axes).flat_map(|axis| penalties.iter().map(move |penalty| factor(d(axis, penalty), axis))).collect()
    };
    let paired = |other: &[f64]| b.iter().zip(other).map(|(b, other)| b * other).collect::<Vec<f64>>();
    let sums = |factors: &[f64], pairs: &[f64]| {
        product(MatrixView::new(factors, penalties.len(), axes), MatrixView::new(pairs, axes, width))
    };
    let squares = sums(&factors(&|d, axis| d * d * diagonal[axis]), &paired(b));
    let crosses = sums(&factors(&|d, _| -2.0 * d), &paired(c));
    for (at, yy) in yy.iter().enumerate() {
        for penalty in at * penalties.len()..(at + 1) * penalties.len() {
            losses[penalty] += yy + squares[penalty] + crosses[penalty];
        }
    }
    let mut scaled = vec![T::of(0.0); axes * width];
    let mut products = vec![T::of(0.0); PANEL * width];
    for (nth, penalty) in penalties.iter().enumerate() {
        scale(&mut scaled, b, &of.eigenvalues, *penalty);
        let weights = MatrixView::new(&scaled, axes, width);
        for (first, panel) in (0..axes).step_by(PANEL).zip(panels) {
            let height = PANEL.min(axes - first);
            let products = &mut products[..height * width];
            product_into(products, MatrixView::new(panel, height, axes - first), weights.part(first..axes));
            for (at, crossed) in products.chunks_exact(height).enumerate() {
                let w = &scaled[at * axes + first..at * axes + first + height];
                losses[at * penalties.len() + nth] += dot(w, crossed);
            }
        }
    }
}

/// What was observed in some rows: responses less their shifts and these means.
struct Observed<'a, T> {
    block: &'a ResponseBlock<T>,
    rows: std::ops::Range<usize>,
    means: &'a [f64],
}

/// |y - X w|^2 for every penalty and response; with `factors` (rows by penalties) each row's square is multiplied.
fn add_errors<T: Real>(
    of: &Decomposition<T>,
    rows: &[T],
    b: &[f64],
    observed: &Observed<'_, T>,
    penalties: &[f64],
    factors: Option<&[f64]>,
    losses: &mut [f64],
) {
    let (axes, width, height) = (of.len(), observed.block.width, observed.rows.len());
    let mut scaled = vec![T::of(0.0); axes * width];
    let mut predicted = vec![T::of(0.0); height * width];
    for (nth, penalty) in penalties.iter().enumerate() {
        scale(&mut scaled, b, &of.eigenvalues, *penalty);
        product_into(&mut predicted, MatrixView::new(rows, height, axes), MatrixView::new(&scaled, axes, width));
        for (at, predicted) in predicted.chunks_exact(height).enumerate() {
            let mean = observed.means[at];
            let errors = observed.block.column(at, observed.rows.clone()).iter().zip(predicted);
            let squares = errors.map(|(y, predicted)| (y.wide() - mean - predicted.wide()).powi(2));
            losses[at * penalties.len() + nth] += match factors {
                Some(factors) => {
                    squares.zip(&factors[nth * height..]).map(|(square, factor)| square * factor).sum::<f64>()
                }
                None => squares.sum(),
            };
        }
    }
}

/// RidgeWeights along the axes, b / (s + penalty).
fn scale<T: Real>(to: &mut [T], b: &[f64], eigenvalues: &[f64], penalty: f64) {
    let factors: Vec<f64> = eigenvalues.iter().map(|value| 1.0 / (value + penalty)).collect();
    if factors.is_empty() {
        return;
    }
    for (to, b) in to.chunks_exact_mut(factors.len()).zip(b.chunks_exact(factors.len())) {
        to.iter_mut().zip(b).zip(&factors).for_each(|((to, b), factor)| *to = T::of(b * factor));
    }
}

impl<T: Real> ChoiceLosses<T> {
    /// Prepares leaving out one row at a time.
    pub fn loo(design: &Design<T>, of: &Decomposition<T>, penalties: &[f64]) -> Self {
        let count = of.count;
        let rows = of.rows.clone().unwrap_or_else(|| of.along(design, 0..count));
        // A row's own response has the share h of its prediction; 1 / count of it is the mean's.
        let mut factors = Vec::with_capacity(count * penalties.len());
        for penalty in penalties {
            let mut shares = vec![if design.centred() { 1.0 / real(count) } else { 0.0 }; count];
            for (column, value) in rows.chunks_exact(count).zip(&of.eigenvalues) {
                let factor = 1.0 / (value + penalty);
                shares.iter_mut().zip(column).for_each(|(share, x)| *share += factor * x.wide() * x.wide());
            }
            factors.extend(shares.into_iter().map(|share| freedom(1.0 - share).powi(-2)));
        }
        Self::Loo { rows, factors }
    }

    /// The loss of every penalty, penalties by responses; infinite where a penalty leaves no freedom to tell.
    pub fn of(
        &self,
        design: &Design<T>,
        last: &Decomposition<T>,
        block: &ResponseBlock<T>,
        penalties: &[f64],
    ) -> Vec<f64> {
        let mut losses = vec![0.0; penalties.len() * block.width];
        match self {
            ChoiceLosses::Held(rounds) => return held_losses(rounds, design, block, penalties),
            ChoiceLosses::Gcv => add_gcv(design, last, block, penalties, &mut losses),
            ChoiceLosses::Loo { rows, factors } => {
                let (b, means) = (block.along(design, last), block.means(design, &last.train));
                let observed = Observed { block, rows: 0..last.count, means: &means };
                add_errors(last, rows, &b, &observed, penalties, Some(factors), &mut losses);
            }
        }
        losses.iter_mut().for_each(|loss| *loss /= real(last.count));
        losses
    }
}

/// Squared errors on the training rows, over the squared share of freedom that a penalty leaves.
fn add_gcv<T: Real>(
    design: &Design<T>,
    of: &Decomposition<T>,
    block: &ResponseBlock<T>,
    penalties: &[f64],
    losses: &mut [f64],
) {
    let (axes, b) = (of.len(), block.along(design, of));
    let means = block.means(design, &of.train);
    let squares: Vec<f64> = b.iter().map(|b| b * b).collect();
    let factor = |value: &f64, penalty: &f64| {
        let d = 1.0 / (value + penalty);
        d * (2.0 - value * d)
    };
    let factors: Vec<f64> =
        of.eigenvalues.iter().flat_map(|value| penalties.iter().map(move |penalty| factor(value, penalty))).collect();
    let explained =
        product(MatrixView::new(&factors, penalties.len(), axes), MatrixView::new(&squares, axes, block.width));
    let mut yy = vec![0.0; block.width];
    for group in &of.train {
        yy.iter_mut().zip(block.squares_about(design, *group, &means)).for_each(|(sum, squares)| *sum += squares);
    }
    let freedom: Vec<f64> = penalties
        .iter()
        .map(|penalty| {
            let trace: f64 = of.eigenvalues.iter().map(|value| value / (value + penalty)).sum();
            freedom(1.0 - (trace + 1.0) / real(of.count)).powi(2)
        })
        .collect();
    for (at, yy) in yy.iter().enumerate() {
        for (nth, freedom) in freedom.iter().enumerate() {
            losses[at * penalties.len() + nth] += (yy - explained[at * penalties.len() + nth]).max(0.0) / freedom;
        }
    }
}

/// A share of freedom, or 0 if it is a rounding error.
fn freedom(share: f64) -> f64 {
    if share < LEAST_FREEDOM { 0.0 } else { share }
}

/// The first of the penalties with the least loss for every response, and that loss.
///
/// # Errors
/// Input: no penalty of some response has a finite loss.
pub(super) fn least(losses: &[f64], penalties: usize) -> Result<Vec<(usize, f64)>, Failure> {
    let least = |losses: &[f64]| {
        let finite = losses.iter().copied().enumerate().filter(|(_, loss)| loss.is_finite());
        finite.reduce(|best, next| if next.1 < best.1 { next } else { best })
    };
    let chosen: Option<Vec<_>> = losses.chunks_exact(penalties).map(least).collect();
    chosen.ok_or_else(|| {
        Failure::input("no penalty can be chosen: with each of them the rows are fitted without error")
            .hint("the features are as many as the rows: try higher penalties, or choose by `held-out` or `folds`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_least_losses_is_chosen() {
        let losses = [2.0, 1.0, 1.0, f64::INFINITY, f64::NAN, 3.0];
        assert_eq!(least(&losses, 3).unwrap(), [(1, 1.0), (2, 3.0)]);
        assert!(
            least(&[1.0, 2.0, f64::INFINITY, f64::NAN], 2).unwrap_err().message.starts_with("no penalty can be chosen")
        );
    }

    #[test]
    fn rounds_train_on_all_groups_but_the_one_that_is_held_out() {
        let round = |train: &[usize], held| FitRound { train: train.to_vec(), held };
        assert_eq!(Choose::Folds.rounds(3), [round(&[1, 2], 0), round(&[0, 2], 1), round(&[0, 1], 2)]);
        assert_eq!(Choose::HeldOut.rounds(2), [round(&[0], 1)]);
        assert!(Choose::Gcv.rounds(1).is_empty() && Choose::Loo.rounds(1).is_empty());
        assert_eq!(Choose::HeldOut.groups(4, 6, 5).unwrap(), [0..4, 4..6]);
        assert_eq!(Choose::Folds.groups(4, 6, 4).unwrap(), [0..2, 2..4, 4..5, 5..6]);
    }
}
