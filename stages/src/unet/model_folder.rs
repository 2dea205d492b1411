//! The files of a `model` artifact beside its weights, and the table of how the training went.
//!
//! Nothing in them names a subject: the original writes both lists of ids into `options.json`, but a split that follows families
//! reveals twins, and models are published. Nor do they hold times, which no second run would repeat.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use pipe_contract::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Weights under the original's state-dict names.
pub const WEIGHTS: &str = "model.safetensors";
/// [`Options`] as JSON.
pub const OPTIONS: &str = "options.json";
/// The rounds ([`super::training_schedule::Round`]) as a JSON list.
pub const PLAN: &str = "plan.json";
/// One row on the selected weights: `input`, `loss`, `dice`. The original's column `training_time` is left out.
pub const TRAINING: &str = "training.tsv";
/// One row an epoch: learning rate, losses on both sides, and which epoch was selected.
pub const EPOCHS: &str = "epochs.tsv";
/// One row a restart, written by `unet/best`.
pub const RESTARTS: &str = "restarts.tsv";

/// What a network is and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
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
    /// Height of the training images in pixels; they are twice as wide. Absent for imported weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<u32>,
    /// Samples (a subject seen by a rater) trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_samples: Option<u64>,
    /// Samples validated on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_samples: Option<u64>,
    /// Always null; see the module's header.
    pub partition: Option<()>,
}

impl Options {
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
            training_samples: None,
            validation_samples: None,
            partition: None,
        })
    }
}

/// The row of [`TRAINING`].
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Input code.
    pub input: String,
    /// Lowest validation loss in the selected round.
    pub loss: f64,
    /// Lowest validation Dice loss in the selected round, the smallest of all rounds.
    pub dice: f64,
}

impl Outcome {
    /// The text of `training.tsv`.
    pub fn to_tsv(&self) -> String {
        format!("input\tloss\tdice\n{}\t{:?}\t{:?}\n", self.input, self.loss, self.dice)
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

/// Writes a JSON file of a model folder, with a stable layout.
///
/// # Errors
/// Environment: it cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::internal(format!("could not write `{}` as JSON: {error}", path.display())))?;
    let _ = writeln!(text);
    fs::write(path, text).map_err(|error| Failure::io("write", path, &error))
}

/// Reads a JSON file of a model folder.
///
/// # Errors
/// Input: it is missing or holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = fs::read_to_string(path).map_err(|error| no_model(path, &error))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::input(format!("not the options of a model: {error}")).at(path.display().to_string()))
}

fn no_model(path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("a model has `{OPTIONS}`, `{TRAINING}` and `{WEIGHTS}`, but one cannot be read: {error}"))
        .at(path.display().to_string())
        .hint("give the `model` port of `unet/train`, `unet/best` or `unet/import`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_hold_no_ids_and_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { pixels: Some(64), ..Options::new("not2", "ring", "resnet18").unwrap() };
        let path = folder.path().join(OPTIONS);
        write_json(&path, &options).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("\"partition\": null"));
        assert_eq!(read_json::<Options>(&path).unwrap(), options);
    }

    #[test]
    fn outcomes_come_back_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let outcome = Outcome { input: "anat".into(), loss: 0.1 + 0.2, dice: 1.0 / 3.0 };
        fs::write(folder.path().join(TRAINING), outcome.to_tsv()).unwrap();
        assert_eq!(Outcome::read(folder.path()).unwrap(), outcome);
    }

    #[test]
    fn a_broken_table_is_reported_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(TRAINING), "input\tdice\nanat\tnone\n").unwrap();
        let failure = Outcome::read(folder.path()).unwrap_err();
        assert!(failure.message.contains("`loss`") && failure.place.unwrap().ends_with(TRAINING));
    }
}
