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
                "the folder of a model, as `results:` publishes it: model.safetensors, options.json and, where there are, plan.json, epochs.tsv, channels.tsv",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::image_conventions::{Alignment, DepthUnit};
    use crate::formats::tensors::{Tensor, Tensors};
    use crate::test_support::small_subject::Ran;
    use crate::unet::weight_layout::{self, Role};

    fn model(folder: &std::path::Path, outputs: usize) {
        let mut weights = Tensors::new();
        for entry in weight_layout::state_dict([2, 2, 2, 2], 7, outputs) {
            let tensor = match entry.role {
                Role::Batches => Tensor::i64(&[], vec![3]),
                _ => Tensor::f32(&entry.shape, vec![0.5; entry.count()]),
            };
            weights.tensors.insert(entry.name, tensor);
        }
        tensors::write(&folder.join(WEIGHTS), &weights).unwrap();
    }

    #[test]
    fn a_published_model_is_taken_over_if_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = ModelOptions::new("anat", "area", "resnet18").unwrap();
        let try_open = || Ran::try_of(&Open, &[("folder", folder.path())], &[]);
        assert!(try_open().unwrap_err().message.contains("cannot be read"), "an empty folder");
        model_folder::write_json(&folder.path().join(OPTIONS), &options).unwrap();
        assert_eq!(try_open().unwrap_err().message, "the options of the model do not say its `pixels`");
        options.pixels = Some(48);
        options.radius = Some(80.0);
        options.alignment = Some(Alignment::Fsaverage);
        options.convexity = Some(DepthUnit::Cm);
        model_folder::write_json(&folder.path().join(OPTIONS), &options).unwrap();
        model(folder.path(), 5);
        assert!(try_open().unwrap_err().message.contains("`conv_last.weight` has the shape [5, 64, 1, 1]"));
        model(folder.path(), 3);
        fs::write(folder.path().join(CHANNELS), "channel\n").unwrap();
        let ran = try_open().unwrap();
        let opened = ran.output("model");
        for name in [WEIGHTS, OPTIONS, CHANNELS] {
            assert_eq!(fs::read(opened.join(name)).unwrap(), fs::read(folder.path().join(name)).unwrap());
        }
        assert!(!opened.join(PLAN).exists());
    }
}
