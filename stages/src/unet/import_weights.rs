//! `unet/import`: weights trained elsewhere, as a `model`.
//!
//! Takes the original's `model.pt` (a state dict of `torch.save`) or a safetensors file, and checks every name and shape against the
//! network that `inputs` and `outputs` describe, so that a mix-up is an error here and not a bad prediction.

use std::io::Read;
use std::path::Path;

use fs_err as fs;
use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::channels::{INPUTS, OUTPUTS};
use super::model_folder::{self, ModelOptions, OPTIONS, WEIGHTS};
use super::weight_layout::{self, Role, WeightEntry};
use crate::formats::image_conventions::{Alignment, DepthUnit, Normalisation};
use crate::formats::pytorch;
use crate::formats::tensors::{self, Tensor, TensorValues, Tensors};

/// The kind.
pub struct Import;

parameters! {
    struct Parameters {
        /// the input channels
        inputs: String, one_of INPUTS;
        /// what it predicts
        outputs: String, one_of OUTPUTS;
        /// height of the images that the weights were trained on (the published ones: 128); `unet/predict` refuses others
        pixels: u32 = 128, in 8..=512;
        /// how far the maps of the training reached from the occipital pole, in degrees (the published ones: 80)
        radius: f64 = 80.0, in 1.0..=90.0;
        /// how coordinates of subjects outside of the training's dataset get into its space
        alignment: Alignment = Alignment::Fsaverage;
        /// the unit of depth (`sulc`) in the training: that of FreeSurfer 5 in the Human Connectome Project
        convexity: DepthUnit = DepthUnit::Cm;
        /// what batch normalisation uses in predictions: the published scores are those of `batch`
        bn: Normalisation = Normalisation::Batch;
    }
}

impl StageKind for Import {
    fn kind(&self) -> Kind {
        Kind::new(
            "unet/import",
            2,
            "takes over weights trained elsewhere, from a PyTorch state dict or a safetensors file",
        )
        .input("weights", &[], "`model.pt` as `torch.save(model.state_dict())` writes it, or a safetensors file")
        .folder("model", "model", "weights and options, as `unet/predict` reads them")
        .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let params: Parameters = task.parameters()?;
        let path = task.one("weights")?;
        // Other metadata of the file are left out.
        let mut weights = Tensors { metadata: Default::default(), ..read(path)? };
        weights.tensors.values_mut().for_each(unwrap_count);
        let base_model = base_model(&weights);
        let options = ModelOptions {
            pixels: Some(params.pixels),
            radius: Some(params.radius),
            alignment: Some(params.alignment),
            convexity: Some(params.convexity),
            bn: Some(params.bn),
            ..ModelOptions::new(&params.inputs, &params.outputs, base_model)?
        };
        check_weights(&weights, &options).map_err(|failure| failure.at(path.display().to_string()))?;
        let output = task.output("model")?;
        fs::create_dir_all(output).map_err(|error| Failure::io("create", output, &error))?;
        model_folder::write_json(&output.join(OPTIONS), &options)?;
        tensors::write(&output.join(WEIGHTS), &weights)?;
        Ok(Ended::done())
    }
}

/// Some versions of PyTorch save the one number of `num_batches_tracked` as a list of one.
fn unwrap_count(tensor: &mut Tensor) {
    if tensor.shape == [1] && matches!(tensor.values, TensorValues::I64(_)) {
        tensor.shape.clear();
    }
}

/// How a file of `torch.save` begins that is not a zip archive: a pickled number that marks it, before PyTorch 1.6 or by request.
const BEFORE_1_6: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

fn read(path: &Path) -> Result<Tensors, Failure> {
    let mut start = Vec::new();
    let started = fs::File::open(path).and_then(|file| file.take(32).read_to_end(&mut start));
    started.map_err(|error| Failure::io("read", path, &error))?;
    if start.starts_with(b"PK") {
        return pytorch::read(path);
    }
    if start.first() == Some(&0x80) && start.windows(BEFORE_1_6.len()).any(|part| part == BEFORE_1_6) {
        return Err(Failure::input(
            "the weights were saved before PyTorch 1.6 (or in its form, with `_use_new_zipfile_serialization=False`), which is not read",
        )
        .at(path.display().to_string())
        .hint("save them again with PyTorch 1.6 or later: `torch.save(torch.load(FILE, map_location=\"cpu\"), NEW)`"));
    }
    tensors::read(path).map_err(|failure| Failure {
        message: format!("neither a file of `torch.save` nor a safetensors file: {}", failure.message),
        ..failure
    })
}

fn base_model(weights: &Tensors) -> &'static str {
    if weights.tensors.contains_key("layer1.1.2.conv1.weight") { "resnet34" } else { "resnet18" }
}

/// Checks every name and shape of weights against the network that the options describe.
pub(super) fn check_weights(weights: &Tensors, options: &ModelOptions) -> Result<(), Failure> {
    let depths = weight_layout::depths(&options.base_model).unwrap_or_default();
    let expected = weight_layout::state_dict(depths, options.channels.len(), options.feature_names.len());
    for entry in &expected {
        check_entry(weights.tensors.get(&entry.name), entry, options)?;
    }
    let known = |name: &String| expected.iter().any(|entry| entry.name == *name);
    match weights.tensors.keys().find(|name| !known(name)) {
        Some(name) => Err(Failure::input(format!("the weights have a tensor `{name}` that the U-Net does not have"))),
        None => Ok(()),
    }
}

fn check_entry(saved: Option<&Tensor>, entry: &WeightEntry, options: &ModelOptions) -> Result<(), Failure> {
    let network = format!("a U-Net on {} for `{}` and `{}`", options.base_model, options.inputs, options.prediction);
    let saved = saved
        .ok_or_else(|| Failure::input(format!("the weights have no tensor `{}`, which {network} has", entry.name)))?;
    if saved.shape != entry.shape {
        return Err(Failure::input(format!(
            "tensor `{}` has the shape {:?}, {network} has {:?}",
            entry.name, saved.shape, entry.shape
        ))
        .hint("check `inputs` and `outputs`: the channels must be those the weights were trained with"));
    }
    let fits = matches!(
        (&saved.values, entry.role),
        (TensorValues::I64(_), Role::Batches)
            | (
                TensorValues::F32(_),
                Role::Encoder | Role::Uniform { .. } | Role::Scale | Role::Offset | Role::Mean | Role::Variance
            )
    );
    if fits {
        Ok(())
    } else {
        Err(Failure::input(format!("tensor `{}` has elements of another type than expected", entry.name)))
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::Silent;

    use super::*;

    fn weights(inputs: usize, outputs: usize) -> Tensors {
        let mut weights = Tensors::new();
        for entry in weight_layout::state_dict([2, 2, 2, 2], inputs, outputs) {
            let tensor = match entry.role {
                Role::Batches => Tensor::i64(&[], vec![3]),
                _ => Tensor::f32(&entry.shape, vec![0.5; entry.count()]),
            };
            weights.tensors.insert(entry.name, tensor);
        }
        weights
    }

    fn task(folder: &Path, inputs: &str) -> Task {
        serde_json::from_value(serde_json::json!({
            "kind": "unet/import", "version": 2, "at": {},
            "params": {
                "inputs": inputs, "outputs": "area", "pixels": 128, "radius": 80.0, "alignment": "fsaverage", "convexity": "cm",
                "bn": "batch",
            },
            "inputs": {"weights": {"one": folder.join("weights")}},
            "outputs": {"model": folder.join("out")}, "device": "cpu", "threads": 1, "scratch": folder,
        }))
        .unwrap()
    }

    #[test]
    fn weights_become_a_model_if_they_fit() {
        let folder = tempfile::tempdir().unwrap();
        tensors::write(&folder.path().join("weights"), &weights(7, 3)).unwrap();
        Import.run(&task(folder.path(), "anat"), &Silent).unwrap();
        let options: ModelOptions = model_folder::read_json(&folder.path().join("out").join(OPTIONS)).unwrap();
        assert_eq!((options.inputs.as_str(), options.base_model.as_str()), ("anat", "resnet18"));
        assert_eq!((options.pixels, options.radius), (Some(128), Some(80.0)));
        let conventions =
            crate::formats::image_conventions::ImageConventions::read(&folder.path().join("out").join(OPTIONS));
        assert_eq!(conventions.unwrap().alignment, Alignment::Fsaverage);
        let failure = Import.run(&task(folder.path(), "func"), &Silent).unwrap_err();
        assert!(failure.message.contains("`layer0.0.weight` has the shape [64, 7, 7, 7]"), "{failure}");
        assert!(failure.message.contains("[64, 11, 7, 7]"), "{failure}");
    }

    #[test]
    fn a_count_saved_as_a_list_of_one_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut saved = weights(7, 3);
        for tensor in saved.tensors.values_mut().filter(|tensor| matches!(tensor.values, TensorValues::I64(_))) {
            tensor.shape = vec![1];
        }
        tensors::write(&folder.path().join("weights"), &saved).unwrap();
        Import.run(&task(folder.path(), "anat"), &Silent).unwrap();
        let model = tensors::read(&folder.path().join("out").join(WEIGHTS)).unwrap();
        let count = &model.tensors["layer0.1.num_batches_tracked"];
        assert_eq!((count.shape.len(), &count.values), (0, &TensorValues::I64(vec![3])));
    }

    #[test]
    fn a_file_of_an_old_pytorch_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        // What `torch.save(x, FILE, _use_new_zipfile_serialization=False)` begins with, in protocols 2 and 4.
        for start in [&b"\x80\x02"[..], b"\x80\x04\x95\x0d\0\0\0\0\0\0\0"] {
            let rest = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.";
            fs::write(folder.path().join("weights"), [start, rest].concat()).unwrap();
            let failure = Import.run(&task(folder.path(), "anat"), &Silent).unwrap_err();
            assert!(failure.message.contains("saved before PyTorch 1.6"), "{failure}");
            assert!(failure.hint.unwrap().contains("torch.load"));
        }
    }

    #[test]
    fn any_other_file_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("weights"), "hello").unwrap();
        let failure = Import.run(&task(folder.path(), "anat"), &Silent).unwrap_err();
        assert!(failure.message.contains("neither"), "{failure}");
    }
}
