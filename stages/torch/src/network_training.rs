//! `net/train`: a network that names one variable of the stimuli, trained on them from random weights.
//!
//! Decides what a training is of: the classes are the values of the variable in the order of their texts, the fresh weights are those that
//! `net/random` gives for the same seed. Independent of the arithmetic of the training ([`crate::classifier_training`]).

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};
use pipe_stages::formats::data_table::{self, DataTable};
use pipe_stages::formats::stimulus_set::StimulusSet;
use pipe_stages::net::image_sets::values_by_row;
use pipe_stages::net::layer_shapes::layer_calls;
use pipe_stages::net::network_folder::{ImagePreparation, NETWORK_WEIGHTS, NetworkAbout, WeightSource, write_network};
use pipe_stages::net::network_kinds::{self, ImageCrop, NetworkTraining, TrainingRule};
use pipe_stages::net::shipped_architectures::named;
use pipe_stages::net::start::fresh_weights;

use crate::backend;
use crate::classifier_training::{
    ClassifierPlan, DescentRule, HeldOutImages, LabelledImages, TrainingRow, train_classifier,
};
use crate::network_images::NetworkImages;
use crate::network_run::{network_of, stored_weights};

/// The kind.
pub struct TrainNetwork;

impl StageKind for TrainNetwork {
    fn kind(&self) -> Kind {
        network_kinds::train()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let params: NetworkTraining = task.parameters()?;
        let backend = backend::prepare(&params.place, task)?;
        let seed = task.seed()?;
        let stimuli = StimulusSet::open(task.one("stimuli")?)?;
        let (answers, classes) = numbered(&stimuli, &params.variable)?;
        if answers.len() < 2 {
            return Err(Failure::input(format!(
                "`{}` has one value, expected at least two to tell from each other",
                params.variable
            ))
            .hint("name another variable of the stimuli (`variable`)"));
        }
        let architecture = named(&params.architecture, answers.len())?;
        let side = if params.side == 0 { architecture.side } else { params.side };
        let centre_crop = params.crop == ImageCrop::Centre;
        let preprocessing = ImagePreparation { centre_crop, ..ImagePreparation::imagenet(side) };
        let images = NetworkImages::read(&stimuli, &preprocessing, params.crop)?;
        let (height, width) = images.size();
        layer_calls(&architecture, height, width)?;
        let labelled = labelled(&params, &stimuli, &classes, images.of_stimuli(), seed)?;
        check_classes(&labelled, &answers)?;
        let start = fresh_weights(&architecture, seed);
        let network = network_of(&architecture, &start, backend.device, true)?;
        let rows = train_classifier(&network, &images, &labelled, &plan(&params, seed), (backend.device, context))?;
        let about = NetworkAbout {
            name: if params.name.is_empty() { format!("{}_trained", params.architecture) } else { params.name.clone() },
            architecture: params.architecture.clone(),
            classes: answers.len(),
            answers,
            weights: WeightSource::File(NETWORK_WEIGHTS.to_owned()),
            preprocessing,
            origin: format!("trained to name `{}`", params.variable),
            sha256: None,
        };
        write_network(task.output("network")?, &about, Some(&stored_weights(&network, start)))?;
        write_rows(task.output("training")?, &rows, task.simulated)?;
        let notes = rows.iter().rev().take(1 + usize::from(!labelled.held_out.is_empty())).map(sentence).collect();
        Ok(Ended::Done { ran_on: Some(backend.ran_on), notes, aggregated: BTreeMap::new() })
    }
}

fn plan(params: &NetworkTraining, seed: u64) -> ClassifierPlan {
    ClassifierPlan {
        rule: match params.optimiser {
            TrainingRule::Adam => DescentRule::Adam,
            TrainingRule::Sgd => DescentRule::Momentum(params.momentum),
        },
        rate: params.learning_rate,
        decay: params.weight_decay,
        iterations: params.iterations as usize,
        batch: params.batch,
        measured_every: params.log_every as usize,
        seed,
    }
}

/// The values of a variable in the order of their texts, and for each stimulus the number of its value.
fn numbered(stimuli: &StimulusSet, variable: &str) -> Result<(Vec<String>, Vec<usize>), Failure> {
    let rows = values_by_row(stimuli.variables(), &[variable.to_owned()])?;
    let words: Vec<String> = rows.into_iter().flatten().collect();
    let mut values = words.clone();
    values.sort_unstable();
    values.dedup();
    let numbers = words.iter().map(|word| values.partition_point(|value| value < word)).collect();
    Ok((values, numbers))
}

fn labelled(
    params: &NetworkTraining,
    stimuli: &StimulusSet,
    classes: &[usize],
    of_stimuli: &[usize],
    seed: u64,
) -> Result<LabelledImages, Failure> {
    let share = params.held_out;
    if params.held_out_by.is_empty() || share == 0.0 {
        return Ok(LabelledImages::split(classes, of_stimuli, HeldOutImages::OfEachClass(share), seed));
    }
    let (groups, of_group) = numbered(stimuli, &params.held_out_by)?;
    if groups.len() < 2 {
        return Err(Failure::input(format!(
            "`{}` has one value, so that nothing can be held out by it",
            params.held_out_by
        ))
        .hint("name another variable of the stimuli (`held_out_by`)"));
    }
    Ok(LabelledImages::split(classes, of_stimuli, HeldOutImages::Groups(share, &of_group), seed))
}

/// Every class is among those that weights follow.
fn check_classes(labelled: &LabelledImages, answers: &[String]) -> Result<(), Failure> {
    let lacks = |class: &usize| !labelled.trained.iter().any(|(_, of)| *of == *class as i64);
    match (0..answers.len()).find(lacks) {
        None => Ok(()),
        Some(class) => Err(Failure::input(format!(
            "all stimuli of `{}` are held out, so that nothing is trained to name it",
            answers[class]
        ))
        .hint("lower `held_out`, or hold out by another variable")),
    }
}

fn part(row: &TrainingRow) -> &'static str {
    if row.held_out { "held_out" } else { "train" }
}

fn sentence(row: &TrainingRow) -> String {
    let which = if row.held_out { "held out" } else { "trained on" };
    format!("{:.1} % of the stimuli {which} are named right after {} steps", 100.0 * row.accuracy, row.iteration)
}

fn write_rows(folder: &Path, rows: &[TrainingRow], simulated: bool) -> Result<(), Failure> {
    let mut table = DataTable::new()
        .integers("iteration", rows.iter().map(|row| i64::try_from(row.iteration).unwrap_or(i64::MAX)))
        .text("part", rows.iter().map(part))
        .numbers("loss", rows.iter().map(|row| row.loss))
        .numbers("accuracy", rows.iter().map(|row| row.accuracy))
        .stamped(simulated)
        .build()?;
    data_table::write(folder, &mut table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_an_image_to_train_on_is_named() {
        let answers = ["cat", "dog"].map(str::to_owned);
        let labelled = LabelledImages { trained: vec![(0, 0), (1, 0)], held_out: vec![(2, 1)] };
        assert!(check_classes(&labelled, &answers).unwrap_err().message.contains("`dog`"));
        let labelled = LabelledImages { trained: vec![(0, 1), (1, 0)], held_out: Vec::new() };
        assert!(check_classes(&labelled, &answers).is_ok());
    }
}
