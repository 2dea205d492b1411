//! `encode/weights`: the weights of one model with the penalties that `encode/ridge` chose.
//!
//! Decides on which rows: all that are trained on or chosen by in any fold of the split, in the order in which they first come. For a
//! fixed split these are the rows of the last fit. Weights are those of features about their means on these rows, in the features' own
//! units, also where the penalties are of standardised ones; the mean of a response has no weight.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, Repro, StageKind, Task, Value, parameters};
use rayon::prelude::*;

use super::blocks::{BlockRoom, ResponseBlock, blocks};
use super::decomposition::{Decomposition, is_dual, training_gram};
use super::design::Design;
use super::features::FeatureSources;
use super::models;
use super::real_number::Real;
use super::ridge::ProductPrecision;
use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::{ID, Matrix, MatrixAbout, MatrixAxis, MatrixWriter, SPACE};
use crate::formats::predictions::JOINED_BY;
use crate::formats::stimulus_split::StimulusSplit;
use crate::numeric::linear_algebra::{MatrixView, product};

/// The kind.
pub(super) struct RidgeWeights;

parameters! {
    struct Parameters {
        /// the model, by the names of its spaces joined by `+`; empty: the one with all spaces
        model: String = String::new();
        /// whether the penalties are those of standardised features, as in `encode/ridge`; weights are of features as they are in any case
        standardise: bool = false, neutral false;
        /// in what products are computed, as in `encode/ridge`
        precision: ProductPrecision = ProductPrecision::Float64;
    }
}

impl StageKind for RidgeWeights {
    fn kind(&self) -> Kind {
        let kind = Kind::new("encode/weights", 1, "The weights of a ridge model, with the penalties that were chosen")
            .gather("features", &["matrix"], "matrices of features, as `encode/ridge` got them")
            .input("responses", &["matrix"], "the responses")
            .input(
                "split",
                &["split/stimuli"],
                "the weights are fitted on all stimuli that are trained on or chosen by in any fold",
            )
            .input("scores", &["table/encoding"], "the penalty of every response, as `encode/ridge` chose it")
            .folder("weights", "matrix", "features (ids `SPACE/FEATURE`; columns `space` and `feature`) by responses")
            .parameters::<Parameters>();
        Kind { repro: Repro::Within(1e-6), ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        match parameters.precision {
            ProductPrecision::Float64 => run::<f64>(task, &parameters, context),
            ProductPrecision::Float32 => run::<f32>(task, &parameters, context),
        }
    }
}

fn run<T: Real>(task: &Task, parameters: &Parameters, context: &dyn Context) -> Result<Ended, Failure> {
    let sources = FeatureSources::open(task)?;
    let responses = Matrix::open(task.one("responses")?)?;
    let split = StimulusSplit::read(task.one("split")?)?;
    let names = sources.names();
    let name = if parameters.model.is_empty() { names.join(JOINED_BY) } else { parameters.model.clone() };
    let spaces = models::parse(&Value::Text(name), &names)?;
    let model = spaces.iter().map(|space| names[*space].as_str()).collect::<Vec<_>>().join(JOINED_BY);
    let penalties = penalties(task.one("scores")?, &model, responses.columns())?;
    let mut listed = BTreeSet::new();
    let ids: Vec<String> =
        split.folds.iter().flat_map(|fold| fold.seen()).filter(|id| listed.insert(*id)).cloned().collect();
    let rows = responses.rows().positions_of(&ids, "stimuli of `split`");
    let rows = rows.map_err(|failure| failure.at(responses.place()))?;
    let mut features = sources.read::<T>(&ids, &spaces, false)?;
    let (mut deviations, mut notes) = (None, Vec::new());
    if parameters.standardise {
        let of_columns = features.standardise(ids.len());
        notes = sources.about_constants(&spaces, &of_columns);
        deviations = Some(of_columns);
    }
    let design = Design::new(features, vec![Range { start: 0, end: ids.len() }], true);
    let set: Vec<usize> = (0..spaces.len()).collect();
    let dual = is_dual(ids.len(), design.width());
    let gram = if dual { Vec::new() } else { training_gram(&design, &design.grams(), &[0]) };
    let of = Decomposition::new(&design, &[0], &set, &gram, false)?;
    let features = spaces.iter().flat_map(|space| sources.ids(*space).map(|id| (names[*space].as_str(), id)));
    let features: Vec<(&str, &str)> = features.collect();
    let table = DataTable::new()
        .text(ID, features.iter().map(|(space, feature)| format!("{space}/{feature}")))
        .text(SPACE, features.iter().map(|(space, _)| *space))
        .text("feature", features.iter().map(|(_, feature)| *feature));
    let about =
        MatrixAbout { rows: "features".into(), columns: responses.about().columns.clone(), ..MatrixAbout::default() };
    let about = about.then(format!("ridge regression on {model}, {} stimuli", ids.len()));
    let axis = MatrixAxis::new(table.build()?)?;
    let writer = MatrixWriter::create(task.output("weights")?, &axis, responses.columns(), &about, T::TYPE)?;
    let blocks = blocks::<T>(responses.columns().len(), responses.rows().len(), design.width(), 1);
    blocks.into_par_iter().try_for_each_init(BlockRoom::default, |room, columns| {
        if context.cancelled() {
            return Err(Failure::stage("stopped before all weights were computed"));
        }
        let block = ResponseBlock::read(&design, &responses, columns.clone(), &rows, !dual, room)?;
        let along = of.weights(&block.along(&design, &of), &penalties[columns.clone()]);
        let mut weights = product(
            MatrixView::new(&of.axes, design.width(), of.len()),
            MatrixView::new(&along, of.len(), block.width),
        );
        block.leave(room);
        if let Some(deviations) = &deviations {
            weights.chunks_exact_mut(deviations.len()).for_each(|of_response| in_own_units(of_response, deviations));
        }
        writer.columns(columns.start, &weights)
    })?;
    Ok(Ended::noted(notes))
}

/// Weights of features from those of features that were divided by their deviations; 0 without a deviation.
fn in_own_units(weights: &mut [f64], deviations: &[f64]) {
    for (weight, deviation) in weights.iter_mut().zip(deviations) {
        *weight = if *deviation == 0.0 { 0.0 } else { *weight / deviation };
    }
}

/// The penalty of every response for a model.
fn penalties(table: &Path, model: &str, responses: &MatrixAxis) -> Result<Vec<f64>, Failure> {
    let read = || {
        let frame = data_table::read(table)?;
        let (ids, models) = (data_table::texts(&frame, ID)?, data_table::texts(&frame, "model")?);
        let rows = ids.into_iter().zip(models).zip(data_table::numbers(&frame, "penalty")?);
        let of_model: BTreeMap<String, f64> =
            rows.filter(|((_, name), _)| name == model).map(|((id, _), penalty)| (id, penalty)).collect();
        if of_model.is_empty() {
            return Err(Failure::input(format!("the scores have no row of the model `{model}`"))
                .hint("name one of its `models`, spaces in the order of the features"));
        }
        let penalty = |id: &String| match of_model.get(id) {
            Some(penalty) if *penalty < 0.0 => {
                Err(Failure::input(format!("the penalty of `{id}` is {penalty}, expected at least 0"))
                    .hint("weights are of centred features: they do not go with `compat: lab08`"))
            }
            Some(penalty) => Ok(*penalty),
            None => Err(Failure::input(format!("the scores have no row of response `{id}` and model `{model}`"))),
        };
        responses.ids().iter().map(penalty).collect()
    };
    read().map_err(|failure: Failure| failure.at(table.display().to_string()))
}
