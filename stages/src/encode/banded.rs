//! `encode/banded`: ridge regression with a penalty for every feature space and response, found by random search.
//!
//! The weights of a response are those of ridge regression on features that are multiplied by the square root of a share gamma of their
//! space; shares add up to 1, and the penalty of a space is the common penalty divided by its gamma. Shares are tried from a list of
//! mixtures, the same for all responses: equal ones first, then draws from Dirichlet distributions whose concentrations take turns (La Tour
//! et al. 2022). Each response keeps the mixture and penalty with the least squared error on held-out rows and is fitted on all rows
//! that may be looked at with them. Of equally good ones the first is kept. A space whose share is exactly 0 is left out.
//!
//! The products of features with features and with responses do not depend on the mixture: a mixture costs a decomposition and what each
//! penalty costs. Everything else is as in `encode/ridge`, `standardise` included. Mixtures are prepared together as long as they take no
//! more than [`MIXTURE_BYTES`].

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use pipe_contract::{
    Column, Context, Ended, Failure, Kind, Progress, Repro, StageKind, Task, Value, choice, parameters,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;

use super::agreement::Agreement;
use super::blocks::{BlockRoom, ResponseBlock, blocks};
use super::choice::{Choose, Held, held_losses, least};
use super::decomposition::{Decomposition, held_gram, is_dual, training_gram};
use super::design::{Design, FitRound};
use super::encoding_inputs::{self, EncodingInputs};
use super::encoding_scores::{self, ChosenPenalties, Fitted, FittedFold};
use super::features::FeatureSources;
use super::penalty_grid::PenaltyGrid;
use super::real_number::Real;
use super::ridge::ProductPrecision;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::matrix::Matrix;
use crate::formats::predictions::{Model, PredictionsPart, PredictionsWriter};
use crate::formats::stimulus_split::Fold;
use crate::numeric::counts::real;
use crate::numeric::linear_algebra::{MatrixView, product};
use crate::numeric::random_rows::shares;

/// The kind.
pub(super) struct Banded;

/// Mixtures are prepared together as long as they take no more than so many bytes.
const MIXTURE_BYTES: usize = 256 << 20;

choice! {
    /// By what mixtures and penalties are chosen.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum ChooseBands {
        /// The part `choose` of the split.
        HeldOut = "held-out",
        /// Inner folds of the rows that may be looked at.
        Folds = "folds",
    }
}

parameters! {
    struct Parameters {
        /// by what mixtures and penalties are chosen: `held-out` (the part `choose` of the split) or `folds` (inner folds of train and
        /// choose together)
        choose: ChooseBands = ChooseBands::HeldOut;
        /// how many inner folds; runs of rows in the order of the split, the first ones longer by a row; each counts the same
        folds: usize = 5, in 2..=1000;
        /// which sets of spaces are models: `all`, `single`, `full`, or a list of names such as `[A, A+B]`
        models: Value = Value::Text("full".to_owned());
        /// how many mixtures are tried, the one of equal shares included
        draws: usize = 100, in 1..=100_000;
        /// concentrations of the distributions that mixtures are sampled from, in turn
        concentrations: Vec<f64> = vec![0.1, 1.0];
        /// the mixtures that are tried, a share for each space each, instead of sampled ones; only for the model with all spaces
        mixtures: Vec<Vec<f64>> = Vec::new();
        /// divides every feature by its standard deviation over the rows that may be looked at in a fold (train and choose together), before
        /// shares are applied; a feature that is constant on these rows is left out in that fold
        standardise: bool = false, neutral false;
        /// in what products are computed: `float64`, or `float32` with long sums in `float64`
        precision: ProductPrecision = ProductPrecision::Float64;
        /// below this ceiling, `r2_of_ceiling` is left empty
        ceiling_floor: f64 = 0.1, in 0.0..=1.0;
        /// an end of the penalties that a larger share of the responses chooses is noted
        edge_share: f64 = 0.1, in 0.0..=1.0;
        ..grid: PenaltyGrid;
    }
}

impl StageKind for Banded {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "encode/banded",
            2,
            "Predicts responses from feature spaces by ridge regression with a penalty for every space",
        );
        let kind = encoding_inputs::declare(kind)
            .folder(
                "scores",
                "table/encoding",
                "a row a model and response; its penalty is the one before it is divided by shares",
            )
            .described(data_table::FILES, encoding_scores::COLUMNS)
            .folder("bands", "table/bands", "a row a model, fold, response and space")
            .described(data_table::FILES, COLUMNS)
            .folder("predictions", "predictions", "observed and predicted responses of the test rows of all folds")
            .parameters::<Parameters>();
        Kind { stamped: true, random: true, repro: Repro::Within(1e-6), ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        match parameters.precision {
            ProductPrecision::Float64 => run::<f64>(task, &parameters, context),
            ProductPrecision::Float32 => run::<f32>(task, &parameters, context),
        }
    }
}

/// What is in the table of bands.
const COLUMNS: &[Column] = &[
    Column::new("id", "the response"),
    Column::new("model", "the model: its feature spaces, joined by +"),
    Column::new("fold", "the fold of the split, from 0"),
    Column::new("space", "the feature space"),
    Column::measured("gamma", "share", "the share of the space in the mixture that was chosen; 0 leaves it out"),
    Column::measured(
        "penalty",
        "squared features",
        "the penalty of the space: that of the model / gamma; empty where gamma is 0",
    ),
    STAMP,
];

fn run<T: Real>(task: &Task, parameters: &Parameters, context: &dyn Context) -> Result<Ended, Failure> {
    let inputs = EncodingInputs::open(task, &parameters.models, parameters.ceiling_floor)?;
    let EncodingInputs { sources, responses, split, spaces, models, named, full, .. } = &inputs;
    if !parameters.mixtures.is_empty() && named.iter().any(|model| model.spaces.len() < spaces.len()) {
        return Err(Failure::input("`mixtures` are given, which are of all spaces, but there are models of fewer")
            .hint("leave out `mixtures`, or set `models: full`"));
    }
    let penalties = parameters.grid.values()?;
    if let Some(penalty) = penalties.iter().find(|penalty| **penalty == 0.0) {
        return Err(Failure::input(format!("the penalty {penalty} makes all mixtures the same"))
            .hint("penalties of banded ridge are above 0"));
    }
    let contributions = spaces.len() > 1 && full.is_some();
    let folder = task.output("predictions")?;
    let writer =
        PredictionsWriter::create(folder, named, &inputs.tested(), responses.columns(), T::TYPE, contributions)?;
    let search = Search { sources, responses, parameters, penalties: &penalties, context };
    let width = responses.columns().len();
    let mut fitted = vec![vec![Fitted::default(); width]; named.len()];
    let mut bands: Vec<Band> = Vec::new();
    let mut notes = inputs.notes(task);
    for (at, set) in models.sets.iter().enumerate() {
        let mixtures = parameters.mixtures(set.len(), task.seed()?)?;
        let mut first = 0;
        for (number, fold) in split.folds.iter().enumerate() {
            let part = writer.part(first..first + fold.test.len());
            let out = Out { part, model: at, contributes: contributions && *full == Some(at) };
            let (chosen, of_fold) = search.fit_fold::<T>(fold, set, &mixtures, &out)?;
            notes.extend(of_fold);
            for (response, (draw, fold)) in chosen.into_iter().enumerate() {
                bands.push(Band {
                    model: at,
                    fold: number,
                    response,
                    gammas: mixtures[draw].clone(),
                    penalty: fold.chosen,
                });
                fitted[at][response].add(fold);
            }
            first += fold.test.len();
        }
    }
    let tried = ChosenPenalties(&penalties);
    notes.extend(inputs.write_scores(task, &fitted, &tried)?);
    write_bands(task, responses.columns().ids(), named, &bands, &penalties)?;
    for (model, fitted) in named.iter().zip(&fitted) {
        // Features of a small share have small eigenvalues: there is no least one that holds for all responses.
        notes.extend(tried.notes(&model.name(), fitted, parameters.edge_share, None));
    }
    notes.sort();
    notes.dedup();
    Ok(Ended::noted(notes))
}

impl Parameters {
    fn choose(&self) -> Choose {
        match self.choose {
            ChooseBands::HeldOut => Choose::HeldOut,
            ChooseBands::Folds => Choose::Folds,
        }
    }

    /// The mixtures of so many spaces that are tried.
    fn mixtures(&self, spaces: usize, seed: u64) -> Result<Vec<Vec<f64>>, Failure> {
        if !self.mixtures.is_empty() {
            for mixture in &self.mixtures {
                let sum: f64 = mixture.iter().sum();
                let shares = mixture.iter().all(|share| (0.0..=1.0).contains(share)) && (sum - 1.0).abs() < 1e-6;
                if mixture.len() != spaces || !shares {
                    let message = format!("the mixture {mixture:?} is not {spaces} shares that add up to 1");
                    return Err(Failure::input(message));
                }
            }
            return Ok(self.mixtures.clone());
        }
        if self.concentrations.is_empty()
            || self.concentrations.iter().any(|number| !(*number > 0.0 && number.is_finite()))
        {
            let message = format!("`concentrations` are {:?}, expected numbers above 0", self.concentrations);
            return Err(Failure::input(message));
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let turns = self.concentrations.iter().cycle();
        let equal = vec![1.0 / real(spaces); spaces];
        // Of one space there is one mixture.
        let sampled = if spaces == 1 { 0 } else { self.draws - 1 };
        let sampled = turns.take(sampled).map(|concentration| shares(spaces, *concentration, &mut random));
        Ok([equal].into_iter().chain(sampled).collect())
    }
}

/// The shares of one response in one fold.
struct Band {
    model: usize,
    fold: usize,
    response: usize,
    gammas: Vec<f64>,
    penalty: u32,
}

fn write_bands(
    task: &Task,
    ids: &[String],
    models: &[Model],
    bands: &[Band],
    penalties: &[f64],
) -> Result<(), Failure> {
    let names: Vec<String> = models.iter().map(Model::name).collect();
    let rows = || bands.iter().flat_map(|band| (0..band.gammas.len()).map(move |space| (band, space)));
    let penalty = |(band, space): (&Band, usize)| {
        let gamma = band.gammas[space];
        (gamma > 0.0).then(|| penalties[band.penalty as usize] / gamma)
    };
    let mut table = DataTable::of(COLUMNS)
        .text("id", rows().map(|(band, _)| ids[band.response].as_str()))
        .text("model", rows().map(|(band, _)| names[band.model].as_str()))
        .integers("fold", rows().map(|(band, _)| i64::try_from(band.fold).unwrap_or(i64::MAX)))
        .text("space", rows().map(|(band, space)| models[band.model].spaces[space].as_str()))
        .numbers("gamma", rows().map(|(band, space)| band.gammas[space]))
        .optional_numbers("penalty", rows().map(penalty))
        .stamped(task.simulated)
        .build()?;
    data_table::write(task.output("bands")?, &mut table)
}

/// What is searched, the same for all models and folds.
struct Search<'a> {
    sources: &'a FeatureSources,
    responses: &'a Matrix,
    parameters: &'a Parameters,
    penalties: &'a [f64],
    context: &'a dyn Context,
}

/// Where the predictions of a model in a fold go.
struct Out<'a> {
    part: PredictionsPart<'a>,
    model: usize,
    /// Whether what each space contributes is asked for.
    contributes: bool,
}

/// The best of what was tried for a response: mixture, penalty and loss.
type Best = (usize, usize, f64);

/// One fold of one model.
struct Fitting<'a, T> {
    search: &'a Search<'a>,
    design: Design<T>,
    /// The rows of the design in the file of responses.
    rows: Vec<usize>,
    blocks: Vec<Range<usize>>,
    mixtures: &'a [Vec<f64>],
    grams: Vec<Vec<f64>>,
    done: AtomicU64,
    total: u64,
}

/// The mixture of every response and its fit in a fold; and what is to be noted.
type NotedFits = (Vec<(usize, FittedFold)>, Vec<String>);

impl Search<'_> {
    /// The mixture of every response and how well the model does in the fold; and what is to be noted.
    fn fit_fold<T: Real>(
        &self,
        fold: &Fold,
        set: &[usize],
        mixtures: &[Vec<f64>],
        out: &Out<'_>,
    ) -> Result<NotedFits, Failure> {
        let ids: Vec<String> = fold.seen().chain(&fold.test).cloned().collect();
        let rows = self.responses.rows().positions_of(&ids, "stimuli of `split`");
        let rows = rows.map_err(|failure| failure.at(self.responses.place()))?;
        let choose = self.parameters.choose();
        let seen = fold.seen().count();
        let groups = choose.groups(fold.train.len(), seen, self.parameters.folds)?;
        let (mut features, mut notes) = (self.sources.read::<T>(&ids, set, false)?, Vec::new());
        if self.parameters.standardise {
            notes = self.sources.about_constants(set, &features.standardise(seen));
        }
        let design = Design::new(features, groups.clone(), true);
        let all: Vec<usize> = (0..groups.len()).collect();
        let rounds = choose.rounds(groups.len());
        let primal = |train: &[usize]| !is_dual(design.count(train), design.width());
        // A mixture that leaves out spaces may be primal where the whole is not.
        let leaves_out = mixtures.iter().flatten().any(|share| *share == 0.0);
        let trains = rounds.iter().map(|round| &round.train).chain([&all]);
        let needed = leaves_out || trains.into_iter().any(|train| primal(train));
        let (width, height) = (self.responses.columns().len(), self.responses.rows().len());
        let blocks = blocks::<T>(width, height, design.width(), groups.len());
        let lots = lots(mixtures.len(), rounds.len() * Held::<T>::bytes(design.count(&all), design.width()));
        let fitting = Fitting {
            grams: if needed { design.grams() } else { Vec::new() },
            search: self,
            total: (blocks.len() * lots.len()) as u64,
            done: AtomicU64::new(0),
            design,
            rows,
            blocks,
            mixtures,
        };
        let mut best: Vec<Best> = vec![(0, 0, f64::INFINITY); width];
        for lot in lots {
            fitting.choose(lot, &rounds, &mut best)?;
        }
        Ok((fitting.refit(&all, &best, out)?, notes))
    }
}

/// Cuts so many things of so many bytes into lots that fit into memory together.
fn lots(count: usize, bytes: usize) -> Vec<Range<usize>> {
    let size = (MIXTURE_BYTES / bytes.max(1)).max(1);
    (0..count).step_by(size).map(|first| first..count.min(first + size)).collect()
}

impl<T: Real> Fitting<'_, T> {
    /// The training rows of these groups with the features of a mixture. `gram` is that of all features.
    fn decomposed(&self, train: &[usize], mixture: &[f64], gram: &[f64]) -> Result<Decomposition<T>, Failure> {
        let kept: Vec<usize> = (0..mixture.len()).filter(|space| mixture[*space] > 0.0).collect();
        let spaces = self.design.spaces();
        let factors: Vec<f64> =
            kept.iter().flat_map(|space| std::iter::repeat_n(mixture[*space].sqrt(), spaces[*space].len())).collect();
        Decomposition::scaled(&self.design, train, &kept, gram, false, &factors)
    }

    fn gram(&self, train: &[usize]) -> Vec<f64> {
        if self.grams.is_empty() { Vec::new() } else { training_gram(&self.design, &self.grams, train) }
    }

    fn block(&self, columns: &Range<usize>, cross: bool, room: &mut BlockRoom<T>) -> Result<ResponseBlock<T>, Failure> {
        if self.search.context.cancelled() {
            return Err(Failure::stage("stopped before all mixtures were tried"));
        }
        ResponseBlock::read(&self.design, self.search.responses, columns.clone(), &self.rows, cross, room)
    }

    /// Tries some of the mixtures on all responses.
    fn choose(&self, lot: Range<usize>, rounds: &[FitRound], best: &mut [Best]) -> Result<(), Failure> {
        let design = &self.design;
        let grams: Vec<(Vec<f64>, Vec<f64>)> = rounds
            .iter()
            .map(|FitRound { train, held }| {
                let of_held = if self.grams.is_empty() {
                    Vec::new()
                } else {
                    held_gram(design, &self.grams, *held, &design.means(train))
                };
                (self.gram(train), of_held)
            })
            .collect();
        let prepared: Vec<Vec<Held<T>>> = lot
            .clone()
            .into_par_iter()
            .map(|draw| {
                let of = |(round, (gram, of_held)): (&FitRound, &(Vec<f64>, Vec<f64>))| {
                    let decomposed = self.decomposed(&round.train, &self.mixtures[draw], gram)?;
                    Ok(Held::new(design, decomposed, round.held, of_held))
                };
                rounds.iter().zip(&grams).map(of).collect::<Result<Vec<_>, Failure>>()
            })
            .collect::<Result<_, Failure>>()?;
        let cross = prepared.iter().flatten().any(Held::is_primal);
        let penalties = self.search.penalties;
        let chosen = self.blocks.par_iter().map_init(BlockRoom::default, |room, columns| {
            let block = self.block(columns, cross, room)?;
            let mut best: Vec<Best> = vec![(0, 0, f64::INFINITY); block.width];
            for (draw, held) in lot.clone().zip(&prepared) {
                let losses = held_losses(held, design, &block, penalties);
                for (best, (penalty, loss)) in best.iter_mut().zip(least(&losses, penalties.len())?) {
                    if loss < best.2 {
                        *best = (draw, penalty, loss);
                    }
                }
            }
            block.leave(room);
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            let progress = Progress { done, total: self.total, unit: "blocks".into(), note: String::new() };
            self.search.context.progress(progress);
            Ok(best)
        });
        let chosen: Vec<Vec<Best>> = chosen.collect::<Result<_, Failure>>()?;
        for (best, more) in best.iter_mut().zip(chosen.into_iter().flatten()) {
            if more.2 < best.2 {
                *best = more;
            }
        }
        Ok(())
    }

    /// Fits every response with the mixture and penalty that it chose, on all rows that may be looked at.
    fn refit(&self, all: &[usize], best: &[Best], out: &Out<'_>) -> Result<Vec<(usize, FittedFold)>, Failure> {
        let design = &self.design;
        let mut used: Vec<usize> = best.iter().map(|best| best.0).collect();
        used.sort_unstable();
        used.dedup();
        let gram = self.gram(all);
        let features = design.width();
        let columns: Vec<usize> = (0..features).collect();
        let test = design.about(&[design.test()], &columns, &design.means(all));
        let test: Vec<T> = test.into_iter().map(T::of).collect();
        let mut agreements = vec![Agreement::default(); best.len()];
        for lot in lots(used.len(), 8 * features * features.min(design.count(all))) {
            let draws = &used[lot];
            let decomposed: Vec<Decomposition<T>> = draws
                .par_iter()
                .map(|draw| self.decomposed(all, &self.mixtures[*draw], &gram))
                .collect::<Result<_, Failure>>()?;
            let cross = decomposed.iter().any(|one| one.rows.is_none());
            let found = self.blocks.par_iter().map_init(BlockRoom::default, |room, block| {
                let range = block.clone();
                let block = self.block(block, cross, room)?;
                let mut found: Vec<(usize, Agreement)> = Vec::new();
                for (draw, of) in draws.iter().zip(&decomposed) {
                    let own: Vec<usize> = (0..block.width).filter(|at| best[range.start + at].0 == *draw).collect();
                    if !own.is_empty() {
                        let agreements = self.predict(&block, range.start, &own, best, of, &test, out)?;
                        found.extend(own.iter().map(|at| range.start + at).zip(agreements));
                    }
                }
                block.leave(room);
                Ok(found)
            });
            for (at, agreement) in found.collect::<Result<Vec<_>, Failure>>()?.into_iter().flatten() {
                agreements[at] = agreement;
            }
        }
        let of = |((draw, penalty, loss), agreement): (&Best, Agreement)| {
            let chosen = u32::try_from(*penalty).unwrap_or(u32::MAX);
            (*draw, FittedFold { chosen, loss: Some(*loss), agreement })
        };
        Ok(best.iter().zip(agreements).map(of).collect())
    }

    /// Predicts the responses at `own` in a block, whose first is `first`, and writes the predictions.
    #[expect(clippy::too_many_arguments, reason = "what a prediction is made of")]
    fn predict(
        &self,
        block: &ResponseBlock<T>,
        first: usize,
        own: &[usize],
        best: &[Best],
        of: &Decomposition<T>,
        test: &[T],
        out: &Out<'_>,
    ) -> Result<Vec<Agreement>, Failure> {
        let (design, axes, height) = (&self.design, of.len(), self.design.test().len());
        let along = block.along(design, of);
        let along: Vec<f64> = own.iter().flat_map(|at| along[at * axes..(at + 1) * axes].iter().copied()).collect();
        let penalties: Vec<f64> = own.iter().map(|at| self.search.penalties[best[first + at].1]).collect();
        let weights = of.weights(&along, &penalties);
        let kept =
            product(MatrixView::new(&of.axes, of.columns.len(), axes), MatrixView::new(&weights, axes, own.len()));
        // Spaces that the mixture leaves out have no weight.
        let mut weights = vec![T::of(0.0); design.width() * own.len()];
        for (to, kept) in weights.chunks_exact_mut(design.width()).zip(kept.chunks_exact(of.columns.len())) {
            of.columns.iter().zip(kept).for_each(|(column, weight)| to[*column] = T::of(*weight));
        }
        let (rows, weights) =
            (MatrixView::new(test, height, design.width()), MatrixView::new(&weights, design.width(), own.len()));
        let mut predicted = vec![0.0; height * own.len()];
        for (space, columns) in design.spaces().iter().enumerate() {
            let of_space = rows.transposed().part(columns.clone()).transposed();
            let contributed = product(of_space, weights.part(columns.clone()));
            predicted.iter_mut().zip(&contributed).for_each(|(sum, number)| *sum += number.wide());
            if out.contributes {
                for (at, values) in own.iter().zip(contributed.chunks_exact(height)) {
                    out.part.contributed(space, first + at, values)?;
                }
            }
        }
        let means = block.means(design, &of.train);
        let mut agreements = Vec::with_capacity(own.len());
        for (at, column) in own.iter().zip(predicted.chunks_exact(height)) {
            let offset = block.shift(*at) + means[*at];
            let predicted: Vec<T> = column.iter().map(|number| T::of(number + offset)).collect();
            let observed = &block.observed[at * height..(at + 1) * height];
            out.part.predicted(out.model, first + at, &predicted)?;
            if out.model == 0 {
                out.part.observed(first + at, observed)?;
            }
            agreements.push(Agreement::of(observed, &predicted));
        }
        Ok(agreements)
    }
}
