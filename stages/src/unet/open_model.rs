//! `unet/open`: a network that was trained here earlier, from the folder where it was published, as a `model`.
//!
//! The same files again, after a check that they belong together: every name and shape of the weights against the options.

use fs_err as fs;
use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use super::import_weights::check_weights;
use super::model_folder::{self, EPOCHS, ModelOptions, OPTIONS, PLAN, RESTARTS, TRAINING, WEIGHTS};
use crate::formats::channel_statistics::CHANNELS;
use crate::formats::image_conventions::ImageConventions;
use crate::formats::tensors;
use crate::transfer::local_file::copy;

/// The kind.
pub struct Open;

impl StageKind for Open {
    fn kind(&self) -> Kind {
        Kind::new("unet/open", 1, "takes over a model that was trained and published here")
            .input(
                "folder",
                &[],
                "the folder of a model, as `results:` publishes it: model.safetensors, options.json, ...",
            )
            .folder("model", "model", "the same files")
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let (folder, output) = (task.one("folder")?, task.output("model")?);
        let options: ModelOptions = model_folder::read_json(&folder.join(OPTIONS))?;
        // What images for it must be like: better missed here than after the first subject.
        ImageConventions::read(&folder.join(OPTIONS))?;
        let weights = folder.join(WEIGHTS);
        check_weights(&tensors::read(&weights)?, &options)
            .map_err(|failure| failure.at(weights.display().to_string()))?;
        fs::create_dir_all(output).map_err(|error| Failure::io("create", output, &error))?;
        for name in [WEIGHTS, OPTIONS, PLAN, TRAINING, EPOCHS, RESTARTS, CHANNELS] {
            if folder.join(name).is_file() {
                copy(&folder.join(name), &output.join(name))?;
            }
        }
        Ok(Ended::done())
    }
}
