//! `unet/train`: from images, targets and a split to the weights of one network.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use pipe_contract::{Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task};
use pipe_stages::formats::channel_statistics::{self, CHANNELS, TrainedChannel};
use pipe_stages::formats::epoch_table::DIVERGED;
use pipe_stages::formats::image_conventions::{Alignment, Normalisation};
use pipe_stages::unet::declarations::TrainingParameters;
use pipe_stages::unet::model_folder::{
    self, EPOCH_COLUMNS, EPOCHS, ModelOptions, OPTIONS, PLAN, RestartOutcome, TRAINING, WEIGHTS,
};
use pipe_stages::unet::{declarations, training_schedule};

use crate::backend::{self, Backend};
use crate::checkpoint::Checkpoint;
use crate::samples::Samples;
use crate::training::{EpochRow, Training, TrainingState, preamble, shuffled};
use crate::weights::{NetworkShape, Snapshot, Weights};

/// The kind.
pub struct Train;

impl StageKind for Train {
    fn kind(&self) -> Kind {
        declarations::train()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let params: TrainingParameters = task.parameters()?;
        let plan = plan(&params)?;
        let backend = backend::prepare(&params.place, task)?;
        backend.check_precision(params.precision)?;
        let mut options = ModelOptions::new(&params.inputs, &params.outputs, &params.base_model)?;
        let (samples, mut notes) = Samples::read(task, &options, params.ignores_split, backend.device)?;
        notes.iter().for_each(|note| context.log(note));
        options.pixels = Some(samples.pixels());
        options.radius = Some(samples.seen.radius);
        options.convexity = samples.seen.convexity;
        // Whatever space the training's coordinates are in, it is close to fsaverage's, and that of other subjects is not.
        options.alignment = Some(Alignment::Fsaverage);
        options.bn = Some(Normalisation::Batch);
        options.training_samples = Some(samples.train.len() as u64);
        options.validation_samples = Some(samples.validation.len() as u64);
        options.simulated = task.simulated;
        let seed = task.seed()?;
        let shape = NetworkShape::new(&params.base_model, options.channels.len(), options.feature_names.len())?;
        let weights = match task.maybe("initial") {
            Some(model) => initial(model, &options, shape, backend.device)?,
            None => Weights::fresh(shape, seed, backend.device),
        };
        let training =
            Training::new(weights, &samples, &plan, shuffled(seed), context).with_precision(params.precision);
        let training = finish(training, task, &backend, &params.inputs, context)?;
        let Some(best) = &training.state.overall.weights else { return diverged(&training.state) };
        notes.extend(partly_diverged(&training.state));
        write(&training, best, &options, &plan, &params, task.output("model")?)?;
        describe(&samples.seen.channels, task.output("model")?)?;
        Ok(Ended::Done { ran_on: Some(backend.ran_on), notes, aggregated: std::collections::BTreeMap::new() })
    }
}

/// The weights of a model, to be trained further: of a network of the same channels, labels and size of images.
fn initial(
    folder: &Path,
    options: &ModelOptions,
    shape: NetworkShape,
    device: tch::Device,
) -> Result<Weights, Failure> {
    let pixels = |options: &ModelOptions| match options.pixels {
        Some(pixels) => format!("{pixels} pixels"),
        None => "an unknown size".to_owned(),
    };
    let from: ModelOptions = model_folder::read_json(&folder.join(OPTIONS))?;
    let same = [
        ("the encoder", from.base_model.clone(), options.base_model.clone()),
        ("channels", from.channels.join(", "), options.channels.join(", ")),
        ("labels", from.feature_names.join(", "), options.feature_names.join(", ")),
        ("images of", pixels(&from), pixels(options)),
    ];
    match same.iter().find(|(_, found, expected)| found != expected) {
        None => Ok(Weights::read(&folder.join(WEIGHTS), shape, device)?.to_be_trained()),
        Some((what, found, expected)) => {
            Err(Failure::input(format!("the model at `initial` has {what} {found}, this training has {expected}"))
                .at(folder.display().to_string())
                .hint("a training can go on only from a model of the same network and size of images"))
        }
    }
}

/// The rounds as listed, or as they follow from the first.
fn plan(parameters: &TrainingParameters) -> Result<Vec<training_schedule::Round>, Failure> {
    let first = training_schedule::Round {
        lr: parameters.learning_rate,
        gamma: parameters.gamma,
        bce_weight: parameters.bce_weight,
        num_epochs: parameters.epochs,
        batch_size: parameters.batch_size,
    };
    match parameters.schedule.as_slice() {
        [] => Ok(training_schedule::rounds(&first, parameters.rounds)),
        listed => training_schedule::listed(listed, &first),
    }
}

/// Writing half a gigabyte more often would cost more than the work it saves.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(20);

fn finish<'a>(
    mut training: Training<'a>,
    task: &Task,
    backend: &Backend,
    inputs: &str,
    context: &dyn Context,
) -> Result<Training<'a>, Failure> {
    let ran_on = &backend.ran_on;
    let mut checkpoint = task.checkpoint.as_deref().map(|folder| {
        let identity = format!("{} {ran_on:?} {:?}", pipe_stages::BUILD_ID, task.seed);
        Checkpoint::new(folder, identity, CHECKPOINT_EVERY)
    });
    preamble(inputs).iter().for_each(|line| context.log(line));
    if checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.resume(&mut training)) {
        context.log(&format!("goes on after {} epochs that an earlier run did", training.state.rows.len()));
    }
    while !training.is_done() {
        training.advance()?;
        if let Some(checkpoint) = checkpoint.as_mut().filter(|_| !training.is_done()) {
            checkpoint.save(&training)?;
        }
    }
    Ok(training)
}

/// No validation loss was finite, so there are no weights to give.
fn diverged(state: &TrainingState) -> Result<Ended, Failure> {
    let first = state.diverged.ok_or_else(|| Failure::internal("a training has finite losses and no best weights"))?;
    Ok(Ended::Absent {
        cause: DIVERGED.to_owned(),
        detail: format!(
            "the training diverged: its loss became {first}, and no epoch has a finite validation loss. Lower \
             `learning_rate`, or the first `lr` of `schedule`"
        ),
    })
}

/// What to say of a training that has weights although some of its losses are no finite numbers.
fn partly_diverged(state: &TrainingState) -> Option<String> {
    let first = state.diverged?;
    let is_finite = |row: &EpochRow| row.train.loss.is_finite() && row.validation.loss.is_finite();
    let (all, diverged) = (state.rows.len(), state.rows.iter().filter(|row| !is_finite(row)).count());
    Some(format!(
        "{IMPORTANT}the training diverged in {diverged} of {all} epochs (first: {first}); the weights are of another epoch"
    ))
}

fn write(
    training: &Training<'_>,
    weights: &Snapshot,
    options: &ModelOptions,
    plan: &[training_schedule::Round],
    params: &TrainingParameters,
    folder: &Path,
) -> Result<(), Failure> {
    let best = &training.state.overall;
    fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))?;
    model_folder::write_json(&folder.join(OPTIONS), options)?;
    model_folder::write_json(&folder.join(PLAN), &plan)?;
    let outcome = RestartOutcome { input: options.inputs.clone(), loss: best.loss, dice: best.dice };
    for (name, text) in [(TRAINING, outcome.to_tsv()), (EPOCHS, history(&training.state))] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))?;
    }
    if params.keep_weights { training.weights.write(weights, &folder.join(WEIGHTS)) } else { Ok(()) }
}

/// Writes what the images of the training were like, unless too few subjects trained.
fn describe(channels: &[TrainedChannel], folder: &Path) -> Result<(), Failure> {
    if channels.is_empty() {
        return Ok(());
    }
    let path = folder.join(CHANNELS);
    fs::write(&path, channel_statistics::to_tsv(channels)).map_err(|error| Failure::io("write", &path, &error))
}

/// One row an epoch; rounds and epochs count from 1 here, as in the log. `kept` marks the epoch whose weights the model has.
fn history(state: &TrainingState) -> String {
    let mut text = model_folder::header(EPOCH_COLUMNS);
    let mark = |yes: bool| if yes { "*" } else { "" };
    let kept = kept(state);
    for (index, row) in state.rows.iter().enumerate() {
        let (t, v) = (&row.train, &row.validation);
        let _ = writeln!(
            text,
            "{}\t{}\t{:?}\t{:?}\t{:?}\t{:?}\t{:?}\t{:?}\t{:?}\t{}\t{}",
            row.round + 1,
            row.epoch + 1,
            row.rate,
            t.bce,
            t.dice,
            t.loss,
            v.bce,
            v.dice,
            v.loss,
            mark(row.improved),
            mark(Some(index) == kept)
        );
    }
    text
}

/// The last improvement of the first round that reached the smallest validation Dice loss.
fn kept(state: &TrainingState) -> Option<usize> {
    let reached = state.rows.iter().find(|row| row.validation.dice == state.overall.dice)?.round;
    let is_kept = |row: &EpochRow| row.round == reached && row.improved;
    state.rows.iter().rposition(is_kept)
}
