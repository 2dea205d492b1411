//! The files of a `model` artifact beside its weights, and the table of how the training went.
//!
//! Nothing in them names a subject: the original writes both lists of ids into `options.json`, but a split that follows families
//! reveals twins, and models are published. Nor do they hold times, which no second run would repeat.

use std::path::Path;

use fs_err as fs;
use pipe_contract::{Column, Failure, io_reason};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use crate::formats::epoch_table::{EPOCH_COLUMNS, EPOCHS};
use crate::formats::image_conventions::{Alignment, DepthUnit, Normalisation};
use crate::formats::json_file;
pub use crate::formats::json_file::write_json;

/// Weights under the original's state-dict names.
pub const WEIGHTS: &str = "model.safetensors";
/// [`ModelOptions`] as JSON.
pub const OPTIONS: &str = "options.json";
/// The rounds ([`super::training_schedule::Round`]) as a JSON list.
pub const PLAN: &str = "plan.json";
/// One row on the selected weights: `input`, `loss`, `dice`. The original's column `training_time` is left out.
pub const TRAINING: &str = "training.tsv";
/// One row a restart, written by `unet/best`.
pub const RESTARTS: &str = "restarts.tsv";

/// What is in [`TRAINING`].
pub const TRAINING_COLUMNS: &[Column] = &[
    Column::new("input", "the input code of the network, such as `anat`"),
    Column::measured("loss", "loss, at least 0", "least validation loss of the round whose weights were kept"),
    Column::measured(
        "dice",
        "soft Dice loss, 0 to 1",
        "least validation Dice loss of that round; one minus a soft Dice score, so less is better",
    ),
];

/// What is in [`RESTARTS`].
pub const RESTART_COLUMNS: &[Column] = &[
    Column::new("restart", "the restart of the training"),
    Column::measured("loss", "loss, at least 0", "its least validation loss"),
    Column::measured(
        "dice_loss",
        "soft Dice loss, 0 to 1",
        "its least validation Dice loss, by which one is chosen; less is better",
    ),
    Column::new("kept", "whether it is the chosen one").levels(MARKS),
];

/// What to do about a folder that is not a model's.
const GIVE: &str = "give the `model` port of `unet/train`, `unet/best` or `unet/import`";

/// How tables of a model mark a row.
const MARKS: &[(&str, &str)] = &[("*", "yes"), ("", "no")];

/// The first line of a table with tabulators.
pub fn header(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    format!("{}\n", names.join("\t"))
}

/// What a network is and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelOptions {
    /// Input code, such as `anat`.
    pub inputs: String,
    /// Output code, `area` or `ring`. The name is the original's.
    pub prediction: String,
    /// Input channels in order.
    pub channels: Vec<String>,
    /// Label channels in order.
    pub feature_names: Vec<String>,
    /// `resnet18` or `resnet34`.
    pub base_model: String,
    /// Always false: the encoder starts from random weights.
    pub pretrained: bool,
    /// Height of the training images in pixels; they are twice as wide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<u32>,
    /// How far the maps of the training reached from the occipital pole, in degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radius: Option<f64>,
    /// How coordinates of subjects outside of the training's dataset get into its space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment: Option<Alignment>,
    /// The unit of depth in the training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convexity: Option<DepthUnit>,
    /// What batch normalisation uses in predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bn: Option<Normalisation>,
    /// Samples (a subject seen by a rater) trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_samples: Option<u64>,
    /// Samples validated on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_samples: Option<u64>,
    /// The subjects of the training were simulated; not written where they were not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
    /// Always null; see the module's header.
    pub partition: Option<()>,
}

impl ModelOptions {
    /// Options without the facts of a training.
    pub fn new(inputs: &str, outputs: &str, base_model: &str) -> Result<Self, Failure> {
        let own = |names: Vec<&str>| names.into_iter().map(String::from).collect();
        Ok(Self {
            inputs: inputs.into(),
            prediction: outputs.into(),
            channels: own(super::channels::of_inputs(inputs)?),
            feature_names: own(super::channels::of_outputs(outputs)?),
            base_model: base_model.into(),
            pretrained: false,
            pixels: None,
            radius: None,
            alignment: None,
            convexity: None,
            bn: None,
            training_samples: None,
            validation_samples: None,
            simulated: false,
            partition: None,
        })
    }
}

/// The row of [`TRAINING`].
#[derive(Clone, Debug, PartialEq)]
pub struct RestartOutcome {
    /// Input code.
    pub input: String,
    /// Lowest validation loss in the selected round.
    pub loss: f64,
    /// Lowest validation Dice loss in the selected round, the smallest of all rounds.
    pub dice: f64,
}

impl RestartOutcome {
    /// The text of `training.tsv`.
    pub fn to_tsv(&self) -> String {
        format!("{}{}\t{:?}\t{:?}\n", header(TRAINING_COLUMNS), self.input, self.loss, self.dice)
    }

    /// Reads `training.tsv` of a model folder.
    ///
    /// # Errors
    /// Input: no such file, or not a row with the three columns.
    pub fn read(model: &Path) -> Result<Self, Failure> {
        let path = model.join(TRAINING);
        let text = fs::read_to_string(&path).map_err(|error| no_model(&path, &error))?;
        let mut lines = text.lines();
        let header: Vec<_> = lines.next().unwrap_or_default().split('\t').collect();
        let row: Vec<_> = lines.next().unwrap_or_default().split('\t').collect();
        let cell = |name: &str| header.iter().position(|column| *column == name).and_then(|at| row.get(at).copied());
        let number = |name: &str| {
            cell(name).and_then(|text| text.parse::<f64>().ok()).ok_or_else(|| {
                Failure::input(format!("column `{name}` of a training table has no number in its first row"))
                    .at(path.display().to_string())
                    .hint("give the `model` port of `unet/train`")
            })
        };
        Ok(Self { input: cell("input").unwrap_or_default().into(), loss: number("loss")?, dice: number("dice")? })
    }
}

/// Reads a JSON file of a model folder.
///
/// # Errors
/// Input: it is missing or holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    if !path.is_file() {
        return Err(no_model(path, &std::io::ErrorKind::NotFound.into()));
    }
    json_file::read_json(path).map_err(|failure| failure.hint(GIVE))
}

fn no_model(path: &Path, error: &std::io::Error) -> Failure {
    let reason = io_reason(error);
    Failure::input(format!("a model has `{OPTIONS}`, `{TRAINING}` and `{WEIGHTS}`, but one cannot be read: {reason}"))
        .at(path.display().to_string())
        .hint(GIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_hold_no_ids_and_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let options = ModelOptions { pixels: Some(64), ..ModelOptions::new("not2", "ring", "resnet18").unwrap() };
        let path = folder.path().join(OPTIONS);
        write_json(&path, &options).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("\"partition\": null"));
        assert_eq!(read_json::<ModelOptions>(&path).unwrap(), options);
    }

    #[test]
    fn only_simulated_models_are_marked() {
        let options = ModelOptions::new("anat", "area", "resnet18").unwrap();
        let text = |simulated| serde_json::to_string(&ModelOptions { simulated, ..options.clone() }).unwrap();
        assert!(text(true).contains("\"simulated\":true") && !text(false).contains("simulated"));
        assert_eq!(serde_json::from_str::<ModelOptions>(&text(false)).unwrap(), options);
    }

    #[test]
    fn outcomes_come_back_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let outcome = RestartOutcome { input: "anat".into(), loss: 0.1 + 0.2, dice: 1.0 / 3.0 };
        fs::write(folder.path().join(TRAINING), outcome.to_tsv()).unwrap();
        assert_eq!(RestartOutcome::read(folder.path()).unwrap(), outcome);
    }

    #[test]
    fn a_broken_table_is_reported_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(TRAINING), "input\tdice\nanat\tnone\n").unwrap();
        let failure = RestartOutcome::read(folder.path()).unwrap_err();
        assert!(failure.message.contains("`loss`") && failure.place.unwrap().ends_with(TRAINING));
    }
}
