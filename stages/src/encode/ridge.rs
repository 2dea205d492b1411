//! `encode/ridge`: predicts responses from features by ridge regression, for every set of feature spaces.
//!
//! Decides what is fitted when. In each fold of the split, every model chooses a penalty for every response, is fitted on all rows that may
//! be looked at with that penalty, and predicts the test rows; predictions of all folds are scored together. Rows are centred on what is
//! trained on, and the mean is not penalised. `compat: lab08` does what the lab does instead. With `standardise`, the scale of every
//! feature is learnt once a fold, from all rows that may be looked at (train and choose), as a pipeline of scikit-learn's StandardScaler
//! and RidgeCV does that is fitted on these rows: inner folds, single rows that are left out and held-out rows have that scale too. Test
//! rows never enter it. Work is spread over blocks of responses, each computed on its own, so the number of threads does not show in the
//! numbers.
//!
//! What is multiplied, in 10^9 operations, for 300 features, 8,100 rows to train and 900 to choose by, 1,000 test rows, 10,000 responses
//! and 20 penalties: features by responses 54, losses of all penalties by Gram matrices 22 (of predictions it would be 108), axes by
//! products 5 in `f64`, predictions 6, decompositions less than 1. All seven sets of three spaces share the 54 and need 2.85 times the
//! losses, and 5 folds 5 times: so responses are read once for all models of a fold, and a block is large enough for fast products.
//!
//! Memory: the features; for the models that are fitted together at most [`MODEL_BYTES`] (or one model, if that takes more); for each
//! thread [`BLOCK_BYTES`](super::blocks::BLOCK_BYTES); some 100 bytes for each model and response.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use pipe_contract::{
    Context, Ended, Failure, IMPORTANT, Kind, Progress, Repro, StageKind, Task, Value, choice, parameters,
};
use rayon::prelude::*;

use super::agreement::Agreement;
use super::blocks::{BlockRoom, ResponseBlock, blocks};
use super::choice::{ChoiceLosses, Choose, Held, least};
use super::decomposition::{Decomposition, cutoff, held_gram, is_dual, training_gram};
use super::design::{Design, FitRound};
use super::encoding_inputs::{self, EncodingInputs};
use super::encoding_scores::{self, ChosenPenalties, Fitted, FittedFold};
use super::features::FeatureSources;
use super::penalty_grid::{self, PenaltyGrid};
use super::real_number::Real;
use crate::declared::lab_compat::LabCompat;
use crate::formats::data_table;
use crate::formats::matrix::Matrix;
use crate::formats::npy_file::{Float, FloatType};
use crate::formats::predictions::{Model, PredictionsPart, PredictionsWriter};
use crate::formats::stimulus_split::Fold;
use crate::numeric::linear_algebra::{MatrixView, product};

/// The kind.
pub(super) struct Ridge;

/// Models are fitted together as long as they take no more than so many bytes.
const MODEL_BYTES: usize = 512 << 20;

choice! {
    /// In what products are computed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum ProductPrecision {
        /// Products and sums in 64 bits.
        Float64 = "float64",
        /// Products in 32 bits, long sums in 64 bits; twice as fast.
        Float32 = "float32",
    }
}

parameters! {
    pub(super) struct RidgeParameters {
        /// by what penalties are chosen: `held-out` (the part `choose` of the split), `folds` (inner folds of train and choose together),
        /// `gcv` (generalised cross-validation on them), `loo` (leaving out one row of them at a time)
        choose: Choose = Choose::HeldOut;
        /// how many inner folds; runs of rows in the order of the split, the first ones longer by a row; each counts the same
        folds: usize = 5, in 2..=1000;
        /// which sets of spaces are models: `all`, `single`, `full`, or a list of names such as `[A, A+B]`
        models: Value = Value::Text("all".to_owned());
        /// all models take the penalties that the model with all spaces chose: differences of models are then due to features alone, but
        /// small models are penalised too much or too little, which makes unique parts larger
        shared_penalty: bool = false;
        /// divides every feature by its standard deviation over the rows that may be looked at in a fold (train and choose together), so that
        /// one penalty suits features on different scales; the same as `matrix/zscore` with a split of one fold, and what to use with several.
        /// A feature that is constant on these rows is left out in that fold
        standardise: bool = false, neutral false;
        /// in what products are computed: `float64`, or `float32` with long sums in `float64`
        precision: ProductPrecision = ProductPrecision::Float64;
        /// `lab08`: as the lab: its 20 penalties, of which three are negative, a column of ones that is penalised instead of centring, no
        /// refit with the rows that chose, numbers rounded to 32 bits
        compat: LabCompat = LabCompat::None;
        /// also writes what each space contributes to the predictions of the model with all spaces
        contributions: bool = true;
        /// below this ceiling, `r2_of_ceiling` is left empty
        ceiling_floor: f64 = 0.1, in 0.0..=1.0;
        /// an end of the penalties that a larger share of the responses chooses is noted
        edge_share: f64 = 0.1, in 0.0..=1.0;
        ..grid: PenaltyGrid;
    }
}

impl StageKind for Ridge {
    fn kind(&self) -> Kind {
        let kind = Kind::new("encode/ridge", 2, "Predicts responses from sets of feature spaces by ridge regression");
        let kind = encoding_inputs::declare(kind)
            .folder("scores", "table/encoding", "a row a model and response")
            .described(data_table::FILES, encoding_scores::COLUMNS)
            .folder("predictions", "predictions", "observed and predicted responses of the test rows of all folds")
            .parameters::<RidgeParameters>();
        // Products are summed in the order of the instruction set.
        Kind { stamped: true, repro: Repro::Within(1e-6), ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: RidgeParameters = task.parameters()?;
        match parameters.precision {
            ProductPrecision::Float64 => run::<f64>(task, &parameters, MODEL_BYTES, context),
            ProductPrecision::Float32 => run::<f32>(task, &parameters, MODEL_BYTES, context),
        }
    }
}

/// Models are fitted together as long as they take at most `model_bytes`.
pub(super) fn run<T: Real>(
    task: &Task,
    parameters: &RidgeParameters,
    model_bytes: usize,
    context: &dyn Context,
) -> Result<Ended, Failure> {
    let inputs = EncodingInputs::open(task, &parameters.models, parameters.ceiling_floor)?;
    let EncodingInputs { sources, responses, split, spaces, models, named, full, .. } = &inputs;
    if parameters.shared_penalty && full.is_none() {
        return Err(Failure::input(
            "with `shared_penalty`, the model with all spaces chooses, but it is not one of the `models`",
        )
        .hint(format!("add `{}` to the `models`", spaces.join("+"))));
    }
    let contributions = parameters.contributions && spaces.len() > 1 && full.is_some();
    let folder = task.output("predictions")?;
    let writer =
        PredictionsWriter::create(folder, named, &inputs.tested(), responses.columns(), T::TYPE, contributions)?;
    let job = Job {
        sources,
        responses,
        models: &models.sets,
        named,
        full: *full,
        penalties: parameters.penalties(T::TYPE)?,
        parameters,
        model_bytes,
        writer: &writer,
        contributions,
        context,
    };
    let mut fitted = vec![vec![Fitted::default(); responses.columns().len()]; models.sets.len()];
    let mut least_eigenvalues = vec![f64::INFINITY; models.sets.len()];
    let mut notes = inputs.notes(task);
    let mut first = 0;
    for fold in &split.folds {
        notes.extend(job.fit_fold::<T>(fold, first, &mut fitted, &mut least_eigenvalues)?);
        first += fold.test.len();
    }
    let penalties = ChosenPenalties(&job.penalties);
    notes.extend(inputs.write_scores(task, &fitted, &penalties)?);
    notes.extend(remarks(named, &fitted, &least_eigenvalues, &penalties, parameters));
    notes.sort();
    notes.dedup();
    Ok(Ended::noted(notes))
}

/// What is worth a note about what was fitted.
fn remarks(
    models: &[Model],
    fitted: &[Vec<Fitted>],
    least_eigenvalues: &[f64],
    penalties: &ChosenPenalties<'_>,
    parameters: &RidgeParameters,
) -> Vec<String> {
    let mut notes = Vec::new();
    // The model with all spaces is the last one; with shared penalties, it alone has chosen.
    let first = if parameters.shared_penalty { models.len() - 1 } else { 0 };
    for ((model, fitted), least) in models.iter().zip(fitted).zip(least_eigenvalues).skip(first) {
        notes.extend(penalties.notes(&model.name(), fitted, parameters.edge_share, Some(*least)));
        let negative = fitted.iter().filter(|row| row.chosen.iter().any(|at| penalties.0[*at as usize] < 0.0)).count();
        if negative > 0 {
            let (all, name) = (fitted.len(), model.name());
            notes.push(format!(
                "{IMPORTANT}{name}: {negative} of {all} responses chose a negative penalty, as the lab allows"
            ));
        }
    }
    notes
}

impl RidgeParameters {
    /// The penalties, after checking that what is asked for goes together.
    fn penalties(&self, float_type: FloatType) -> Result<Vec<f64>, Failure> {
        if self.compat == LabCompat::None {
            return self.grid.values();
        }
        let refused = |found: &str| Err(Failure::input(format!("`compat: lab08` does not go with {found}")));
        match () {
            () if self.choose != Choose::HeldOut => refused("another `choose` than `held-out`"),
            () if float_type != FloatType::F64 => refused("`precision: float32`"),
            () if self.grid.is_given() => refused("other penalties than its own"),
            () if self.standardise => refused("`standardise`: the lab's scale is that of `matrix/zscore`"),
            () => Ok(penalty_grid::lab08()),
        }
    }

    fn lab08(&self) -> bool {
        self.compat == LabCompat::Lab08
    }
}

/// What is fitted, the same in every fold.
struct Job<'a> {
    sources: &'a FeatureSources,
    responses: &'a Matrix,
    models: &'a [Vec<usize>],
    named: &'a [Model],
    full: Option<usize>,
    penalties: Vec<f64>,
    parameters: &'a RidgeParameters,
    model_bytes: usize,
    writer: &'a PredictionsWriter,
    contributions: bool,
    context: &'a dyn Context,
}

/// A model that is ready to be fitted to any block of responses.
struct Prepared<T> {
    model: usize,
    /// How its penalties are chosen; none if they are those of the model with all spaces.
    losses: Option<ChoiceLosses<T>>,
    /// The rows that it is fitted on at last.
    last: Decomposition<T>,
    test: TestRows<T>,
}

impl<T> Prepared<T> {
    /// Whether products of features and responses are needed to fit it.
    fn needs_cross(&self) -> bool {
        let held = match &self.losses {
            Some(ChoiceLosses::Held(rounds)) => rounds.iter().any(|round| round.is_primal()),
            _ => false,
        };
        held || self.last.rows.is_none()
    }
}

/// The test rows of a model, less the training means.
enum TestRows<T> {
    /// Along the axes, rows by axes.
    Axes(Vec<T>),
    /// Rows by features, where contributions of spaces are asked for, and the columns of each space.
    Features(Vec<T>, Vec<Range<usize>>),
}

impl Job<'_> {
    /// Fits all models in one fold, whose test rows begin at `first` among those of all folds. Lowers the least eigenvalue of every model
    /// to that of the rows that it is fitted on at last. Returns what is to be noted.
    fn fit_fold<T: Real>(
        &self,
        fold: &Fold,
        first: usize,
        fitted: &mut [Vec<Fitted>],
        least_eigenvalues: &mut [f64],
    ) -> Result<Vec<String>, Failure> {
        let ids: Vec<String> = fold.seen().chain(&fold.test).cloned().collect();
        let rows = self.responses.rows().positions_of(&ids, "stimuli of `split`");
        let rows = rows.map_err(|failure| failure.at(self.responses.place()))?;
        let (train, seen) = (fold.train.len(), fold.seen().count());
        let groups = self.parameters.choose.groups(train, seen, self.parameters.folds)?;
        let (mut notes, done) = (Vec::new(), AtomicU64::new(0));
        let mut shared: Option<Vec<u32>> = None;
        let together = self.together(seen, ids.len(), groups.len(), size_of::<T>());
        for (nth, models) in together.iter().enumerate() {
            let mut spaces: Vec<usize> = models.iter().flat_map(|model| &self.models[*model]).copied().collect();
            spaces.sort_unstable();
            spaces.dedup();
            let mut features = self.sources.read::<T>(&ids, &spaces, self.parameters.lab08())?;
            if self.parameters.standardise {
                notes.extend(self.sources.about_constants(&spaces, &features.standardise(seen)));
            }
            let design = Design::new(features, groups.clone(), !self.parameters.lab08());
            let prepared = self.prepare(&design, models, &spaces)?;
            notes.extend(
                prepared.iter().filter_map(|one| about_rows(&self.named[one.model], &one.last, &self.penalties)),
            );
            for one in &prepared {
                let least = &mut least_eigenvalues[one.model];
                *least = one.last.eigenvalues.last().map_or(*least, |value| least.min(*value));
            }
            let cross = prepared.iter().any(|one| one.needs_cross());
            let blocks =
                blocks::<T>(self.responses.columns().len(), self.responses.rows().len(), design.width(), groups.len());
            let total = (blocks.len() * together.len()) as u64;
            let part = self.writer.part(first..first + fold.test.len());
            let said = blocks.par_iter().map_init(BlockRoom::default, |room, columns| {
                if self.context.cancelled() {
                    return Err(Failure::stage("stopped before all responses were fitted"));
                }
                let block = ResponseBlock::read(&design, self.responses, columns.clone(), &rows, cross, room)?;
                if nth == 0 {
                    part.observed(columns.start, &block.observed)?;
                }
                let mut shared = shared.as_ref().map(|all| all[columns.clone()].to_vec());
                let mut said = Vec::with_capacity(prepared.len());
                for one in &prepared {
                    let of_one = self.fit_block(&design, one, &block, columns.start, &part, shared.as_deref())?;
                    if Some(one.model) == self.full {
                        shared = Some(of_one.iter().map(|said| said.chosen).collect());
                    }
                    said.push(of_one);
                }
                block.leave(room);
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                self.context.progress(Progress { done, total, unit: "blocks".into(), note: String::new() });
                Ok(said)
            });
            let said: Vec<Vec<Vec<FittedFold>>> = said.collect::<Result<_, Failure>>()?;
            for (columns, said) in blocks.iter().zip(said) {
                for (one, said) in prepared.iter().zip(said) {
                    for (row, said) in fitted[one.model][columns.clone()].iter_mut().zip(said) {
                        row.add(said);
                    }
                }
            }
            if let Some(full) = self.full.filter(|full| models.contains(full)) {
                shared = Some(fitted[full].iter().filter_map(|row| row.chosen.last().copied()).collect());
            }
        }
        Ok(notes)
    }

    /// Models in lots that fit into memory; the one with all spaces is in the first.
    fn together(&self, seen: usize, rows: usize, groups: usize, float: usize) -> Vec<Vec<usize>> {
        let widths = self.sources.widths();
        let width = |set: &[usize]| set.iter().map(|space| widths[*space]).sum::<usize>();
        let rounds = self.parameters.choose.rounds(groups).len();
        let of_model = |model: usize| {
            let width = width(&self.models[model]);
            let axes = width.min(seen);
            (rounds + 1) * Held::<f64>::bytes(seen, width) + float * axes * rows
        };
        let mut order: Vec<usize> = (0..self.models.len()).collect();
        order.sort_by_key(|model| Some(*model) != self.full);
        let mut lots: Vec<Vec<usize>> = Vec::new();
        let (mut spaces, mut bytes): (Vec<usize>, usize) = (Vec::new(), 0);
        for model in order {
            let mut joined: Vec<usize> = spaces.iter().chain(&self.models[model]).copied().collect();
            joined.sort_unstable();
            joined.dedup();
            let grams = 8 * width(&joined).pow(2) * (groups + 2 * (rounds + 1));
            match lots.last_mut() {
                Some(lot) if bytes + of_model(model) + grams <= self.model_bytes => {
                    lot.push(model);
                    (spaces, bytes) = (joined, bytes + of_model(model));
                }
                _ => {
                    lots.push(vec![model]);
                    (spaces, bytes) = (self.models[model].clone(), of_model(model));
                }
            }
        }
        lots
    }

    /// Decomposes the training rows of models, those of all rounds and those of the last fit.
    fn prepare<T: Real>(
        &self,
        design: &Design<T>,
        models: &[usize],
        spaces: &[usize],
    ) -> Result<Vec<Prepared<T>>, Failure> {
        let lab08 = self.parameters.lab08();
        let place = |space: &usize| spaces.iter().position(|other| other == space).unwrap_or(0);
        let sets: Vec<Vec<usize>> =
            models.iter().map(|model| self.models[*model].iter().map(place).collect()).collect();
        let rounds = self.parameters.choose.rounds(design.groups().len());
        let last: Vec<usize> = if lab08 { vec![0] } else { (0..design.groups().len()).collect() };
        let primal =
            |train: &[usize]| lab08 || sets.iter().any(|set| !is_dual(design.count(train), design.columns(set).len()));
        let trains = rounds.iter().map(|round| &round.train).chain([&last]);
        let grams = if trains.into_iter().any(|train| primal(train)) { design.grams() } else { Vec::new() };
        let gram = |train: &[usize]| if primal(train) { training_gram(design, &grams, train) } else { Vec::new() };
        let chooses = |model: usize| !self.parameters.shared_penalty || Some(model) == self.full;
        let held = rounds.par_iter().map(|FitRound { train, held }| {
            let training = gram(train);
            let held_gram =
                if primal(train) { held_gram(design, &grams, *held, &design.means(train)) } else { Vec::new() };
            let of = |(set, model): (&Vec<usize>, &usize)| {
                let decomposed = || Decomposition::new(design, train, set, &training, lab08);
                chooses(*model)
                    .then(decomposed)
                    .transpose()
                    .map(|of| of.map(|of| Held::new(design, of, *held, &held_gram)))
            };
            sets.par_iter().zip(models).map(of).collect::<Result<Vec<_>, Failure>>()
        });
        let decomposed = || {
            let training = gram(&last);
            let of = |set: &Vec<usize>| Decomposition::new(design, &last, set, &training, lab08);
            sets.par_iter().map(of).collect::<Result<Vec<_>, Failure>>()
        };
        let (held, decomposed) = rayon::join(|| held.collect::<Result<Vec<_>, Failure>>(), decomposed);
        let mut held: Vec<Vec<Option<Held<T>>>> = held?;
        let decomposed: Vec<Decomposition<T>> = decomposed?;
        let prepared = decomposed.into_iter().zip(models).enumerate().map(|(at, (last, model))| {
            let losses = chooses(*model).then(|| match self.parameters.choose {
                Choose::HeldOut | Choose::Folds => {
                    ChoiceLosses::Held(held.iter_mut().filter_map(|round| round[at].take()).collect())
                }
                Choose::Gcv => ChoiceLosses::Gcv,
                Choose::Loo => ChoiceLosses::loo(design, &last, &self.penalties),
            });
            let test = if self.contributions && Some(*model) == self.full {
                TestRows::Features(last.features(design, design.test()), design.spaces().to_vec())
            } else {
                TestRows::Axes(last.along(design, design.test()))
            };
            Prepared { model: *model, losses, last, test }
        });
        Ok(prepared.collect())
    }

    /// Fits a model to a block of responses that begins at `first`, and writes what it predicts of these stimuli.
    fn fit_block<T: Real>(
        &self,
        design: &Design<T>,
        one: &Prepared<T>,
        block: &ResponseBlock<T>,
        first: usize,
        part: &PredictionsPart<'_>,
        shared: Option<&[u32]>,
    ) -> Result<Vec<FittedFold>, Failure> {
        let chosen: Vec<(usize, Option<f64>)> = match (&one.losses, shared) {
            (Some(losses), _) => {
                let losses = losses.of(design, &one.last, block, &self.penalties);
                least(&losses, self.penalties.len())?.into_iter().map(|(at, loss)| (at, Some(loss))).collect()
            }
            (None, Some(shared)) => shared.iter().map(|at| (*at as usize, None)).collect(),
            (None, None) => return Err(Failure::internal("no model has chosen the penalties that are shared")),
        };
        let penalties: Vec<f64> = chosen.iter().map(|(at, _)| self.penalties[*at]).collect();
        let weights = one.last.weights(&block.along(design, &one.last), &penalties);
        let (axes, width, height) = (one.last.len(), block.width, design.test().len());
        let mut predicted: Vec<f64> = match &one.test {
            TestRows::Axes(rows) => {
                let weights: Vec<T> = weights.into_iter().map(T::of).collect();
                let predicted = product(MatrixView::new(rows, height, axes), MatrixView::new(&weights, axes, width));
                predicted.into_iter().map(Float::wide).collect()
            }
            TestRows::Features(rows, spaces) => {
                let features = one.last.columns.len();
                let weights =
                    product(MatrixView::new(&one.last.axes, features, axes), MatrixView::new(&weights, axes, width));
                let weights: Vec<T> = weights.into_iter().map(T::of).collect();
                let (rows, weights) =
                    (MatrixView::new(rows, height, features), MatrixView::new(&weights, features, width));
                let mut sum = vec![0.0; height * width];
                for (space, columns) in spaces.iter().enumerate() {
                    let part_of_rows = rows.transposed().part(columns.clone()).transposed();
                    let contributed = product(part_of_rows, weights.part(columns.clone()));
                    sum.iter_mut().zip(&contributed).for_each(|(sum, number)| *sum += number.wide());
                    // Without centring, the column of ones is the last of the design's spaces and no space of the model.
                    if space < self.models[one.model].len() {
                        part.contributed(space, first, &contributed)?;
                    }
                }
                sum
            }
        };
        for ((at, column), mean) in
            predicted.chunks_exact_mut(height).enumerate().zip(block.means(design, &one.last.train))
        {
            let offset = block.shift(at) + mean;
            column.iter_mut().for_each(|number| *number += offset);
        }
        let predicted: Vec<T> = predicted.into_iter().map(T::of).collect();
        part.predicted(one.model, first, &predicted)?;
        let said = chosen.into_iter().zip(block.observed.chunks_exact(height).zip(predicted.chunks_exact(height)));
        Ok(said
            .map(|((at, loss), (observed, predicted))| FittedFold {
                chosen: u32::try_from(at).unwrap_or(u32::MAX),
                loss,
                agreement: Agreement::of(observed, predicted),
            })
            .collect())
    }
}

/// A sentence for what is special about decomposed training rows.
fn about_rows<T>(model: &Model, of: &Decomposition<T>, penalties: &[f64]) -> Option<String> {
    let (columns, axes, name) = (of.columns.len(), of.eigenvalues.len(), model.name());
    if of.rows.is_none() && axes < columns {
        let lacking = columns - axes;
        return Some(format!(
            "{name}: {lacking} of {columns} features add nothing to the others on the training rows (constant or copies of them); with \
             weights of the least norm they share what they explain"
        ));
    }
    let least = of.eigenvalues.first()? * cutoff(of.count, columns);
    let singular = |penalty: &&f64| of.eigenvalues.iter().any(|value| (value + **penalty).abs() <= least);
    let penalty = penalties.iter().filter(|penalty| **penalty < 0.0).find(singular)?;
    Some(format!(
        "{IMPORTANT}{name}: the penalty {penalty} is an eigenvalue of the features: its weights are rounding errors"
    ))
}
