//! Declarations of the kinds that need libtorch; `pipe-torch` runs them.

use std::collections::BTreeMap;

use pipe_contract::{Arity, Failure, Kind, Objective, Repro, Runs, Task, Value, choice, parameters};

use super::channels::{INPUTS, OUTPUTS, of_inputs, of_outputs};
use super::model_folder::{EPOCH_COLUMNS, EPOCHS, TRAINING, TRAINING_COLUMNS};
use super::weight_layout::{self, WeightEntry};
pub use crate::declared::compute_place::{ComputePlace, Pin};
use crate::formats::channel_statistics::{CHANNEL_COLUMNS, CHANNELS};
use crate::formats::epoch_table::DIVERGED;

/// The encoders.
pub const BASE_MODELS: &[&str] = &["resnet18", "resnet34"];

choice! {
    /// The numbers that convolutions multiply.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Precision {
        /// 32 bits.
        F32 = "f32",
        /// 16 bits, of which 8 are the mantissa.
        Bf16 = "bf16",
    }
}

parameters! {
    /// Parameters of `unet/train`.
    #[derive(Clone, Debug)]
    pub struct TrainingParameters {
        /// the input channels
        pub inputs: String, one_of INPUTS;
        /// what it predicts: visual areas V1-V3 or five rings of eccentricity
        pub outputs: String, one_of OUTPUTS;
        /// epochs in each round
        pub epochs: u32 = 10, in 1..=100_000;
        /// learning rate of the first epoch
        pub learning_rate: f64 = 0.00375, in 0.0..=1e6;
        /// factor on the learning rate after each epoch of a round
        pub gamma: f64 = 0.9, in 0.0..=1.0;
        /// share of cross-entropy in the first round's loss
        pub bce_weight: f64 = 0.75, in 0.0..=1.0;
        /// samples in a batch; 5 is what the published code used, not what its plan files have
        pub batch_size: u32 = 5, in 1..=100_000;
        /// rounds, each from the best weights of the one before
        pub rounds: u32 = 3, in 1..=1_000;
        /// the encoder
        pub base_model: String = "resnet18".to_owned(), one_of BASE_MODELS;
        /// the rounds one by one, as in the original's plan files: `{ lr, bce_weight }` and if wanted `gamma`, `num_epochs`,
        /// `batch_size` (else those of the parameters); replaces `rounds`, `learning_rate` and `bce_weight`
        pub schedule: Vec<BTreeMap<String, Value>> = Vec::new(), neutral Vec::new();
        /// the numbers that convolutions multiply; `bf16` is faster on processors and GPUs that have it and refused on others.
        /// Weights, sums and the optimiser have 32 bits with both
        pub precision: Precision = Precision::F32;
        /// whether the model has its weights; without them it has the course of its training, options and plan, a thousandth of
        /// the bytes, which is all that a search reads of most of its trainings
        pub keep_weights: bool = true, neutral true;
        /// all subjects of the split train and choose which weights are kept, those who are scored too: what the original does on its
        /// NYU dataset, whose class ignores the split. Scores of these weights are not those of held-out subjects
        pub ignores_split: bool = false, neutral false;
        ..pub place: ComputePlace;
    }
}

choice! {
    /// What decides it for a prediction.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum NormalisationSource {
        /// The options of the model; `batch` where they do not say it.
        Model = "model",
        /// The image's own statistics.
        Batch = "batch",
        /// The statistics of the training.
        Running = "running",
    }
}

parameters! {
    /// Parameters of `unet/predict`.
    #[derive(Clone, Debug)]
    pub struct Prediction {
        /// what batch normalisation uses: this image's own statistics, as the published scores do, or the running ones; `model` is
        /// what the model's options say, `batch` where they say nothing
        pub bn: NormalisationSource = NormalisationSource::Model;
        /// write also the probability of each label at each vertex
        pub probabilities: bool = false, neutral false;
        ..pub place: ComputePlace;
    }
}

/// Every kind that the worker runs.
pub fn in_worker() -> Vec<Kind> {
    vec![train(), predict(), device()]
}

/// `unet/train`.
pub fn train() -> Kind {
    let mut kind =
        Kind::new("unet/train", 3, "trains one U-Net on flatmap images, from random weights that depend on its seed")
            .gather("images", &["images"], "images of every subject, 14 channels, one cell per subject (axis `sid`)")
            .gather("targets", &["targets"], "label images, one cell per subject and rater (axes `sid` and `rater`)")
            .input(
                "split",
                &["split"],
                "subjects that train (`train`, `trn`) and subjects that choose which weights are kept (`choose`, `val`); `test` is not read",
            )
            .port(
                "initial",
                &["model"],
                Arity::One,
                true,
                "a model whose weights this training starts from (fine-tuning): of the same channels, labels, encoder and pixels",
            )
            .folder(
                "model",
                "model",
                "weights (safetensors, the original's names), options, plan and the course of the training",
            )
            .described(&[TRAINING], TRAINING_COLUMNS)
            .described(&[EPOCHS], EPOCH_COLUMNS)
            .described(&[CHANNELS], CHANNEL_COLUMNS)
            .parameters::<TrainingParameters>();
    kind.stamped = true;
    kind.runs = Runs::ProcessFresh;
    kind.random = true;
    kind.checkpoint = true;
    kind.absences = vec![DIVERGED];
    // Two instruction sets round differently and training amplifies it: several percent of a loss within two epochs.
    kind.repro = Repro::Within(0.05);
    kind.size = Some(weights_size);
    kind.objective = Some(Objective { metric: "validation/dice", less_is_better: false, places: &["round", "epoch"] });
    kind
}

/// Bytes of all else in a model: those of a training of 30 epochs.
const TABLES: u64 = 10_000;

/// Bytes of the weights of a network, which are nearly all of a model that has them.
fn weights_size(task: &Task) -> Result<u64, Failure> {
    let parameters: TrainingParameters = task.parameters()?;
    if !parameters.keep_weights {
        return Ok(TABLES);
    }
    let (inputs, outputs) = (of_inputs(&parameters.inputs)?.len(), of_outputs(&parameters.outputs)?.len());
    let depths = weight_layout::depths(&parameters.base_model).unwrap_or_default();
    let elements: usize = weight_layout::state_dict(depths, inputs, outputs).iter().map(WeightEntry::count).sum();
    Ok(elements as u64 * size_of::<f32>() as u64)
}

/// `unet/predict`.
pub fn predict() -> Kind {
    let mut kind = Kind::new("unet/predict", 3, "predicts labels on a subject's cortex with a trained U-Net")
        .input("model", &["model"], "the network")
        .input("images", &["images"], "the subject's images, as many pixels high as those of the training; their metadata give the radius of the map")
        .input("subject", &["subject"], "the subject's surfaces, for the place of each vertex in the image")
        .folder("labels", "labels", "`{lh,rh}.{area,ring}.mgz`, one label a native vertex, 0 outside the map; on request \
             `{lh,rh}.{area,ring}_probabilities.mgz`, a frame a label")
        .parameters::<Prediction>();
    kind.runs = Runs::ProcessReusable;
    // In labels: a vertex whose probabilities tie to the last digits may get another one.
    kind.repro = Repro::Within(0.01);
    kind
}

/// `unet/device`.
pub fn device() -> Kind {
    let mut kind =
        Kind::new("unet/device", 1, "computes a little on the device that was granted, and says which one it is")
            .file(
                "device",
                "file",
                "one line: the version of libtorch, the device, the instruction set of the processor",
            )
            .parameters::<ComputePlace>();
    kind.runs = Runs::ProcessReusable;
    // The same on the same machine.
    kind.repro = Repro::Within(0.0);
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts of the paper's networks, and four bytes each; what is not trained (statistics of normalisation) is less than a
    /// thousandth.
    #[test]
    fn the_size_of_a_model_is_that_of_its_weights() {
        for (inputs, outputs, base_model, trained) in
            [("anat", "area", "resnet18", 17_814_787), ("full", "ring", "resnet34", 27_949_061_u64)]
        {
            let kind = train();
            let defaults = kind.params.iter().filter_map(|param| Some((param.name.to_owned(), param.default.clone()?)));
            let given = [("inputs", inputs), ("outputs", outputs), ("base_model", base_model)];
            let given = given.map(|(name, value)| (name.to_owned(), Value::Text(value.to_owned())));
            let params: BTreeMap<String, Value> = defaults.chain(given).collect();
            let task: Task = serde_json::from_value(serde_json::json!({
                "kind": kind.name, "version": kind.version, "params": params, "at": {}, "inputs": {}, "outputs": {},
                "device": "cpu", "threads": 1, "scratch": "",
            }))
            .unwrap();
            let size = train().size.unwrap()(&task).unwrap();
            assert!((4 * trained..4 * trained + trained / 250).contains(&size), "{inputs}: {size}");
        }
    }
}
