//! `unet/import`: weights that somebody else trained, as a `model`.
//!
//! Takes the original's `model.pt` (a state dict of `torch.save`) or a safetensors file, and checks every name and shape against the
//! network that `inputs` and `outputs` ask for, so that a mix-up is told here and not as a bad prediction.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, Stage, Task, Type};
use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::Deserialize;

use super::channels::{INPUTS, OUTPUTS};
use super::layout::{self, Entry, Role};
use super::model::{self, OPTIONS, Options, WEIGHTS};
use super::pytorch::{self, Numbers, Saved};

/// The kind.
pub struct Import;

#[derive(Deserialize)]
struct Params {
    inputs: String,
    outputs: String,
}

impl Stage for Import {
    fn kind(&self) -> Kind {
        Kind::new(
            "unet/import",
            1,
            "takes over weights trained elsewhere, from a PyTorch state dict or a safetensors file",
        )
        .input("weights", &[], "`model.pt` as `torch.save(model.state_dict())` writes it, or a safetensors file")
        .folder("model", "model", "weights and options, as `unet/predict` reads them")
        .required("inputs", Type::Choice(INPUTS), "which channels the network sees")
        .required("outputs", Type::Choice(OUTPUTS), "what it draws")
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let params: Params = task.parameters()?;
        let path = task.one("weights")?;
        let weights: BTreeMap<_, _> = read(path)?.into_iter().map(|saved| (saved.name.clone(), saved)).collect();
        let base_model = base_model(&weights);
        let options = Options::new(&params.inputs, &params.outputs, base_model)?;
        check(&weights, &options).map_err(|failure| failure.at(path.display().to_string()))?;
        let output = task.output("model")?;
        fs::create_dir_all(output).map_err(|error| Failure::io("create", output, &error))?;
        model::write_json(&output.join(OPTIONS), &options)?;
        let target = output.join(WEIGHTS);
        safetensors::serialize_to_file(&weights, None, &target)
            .map_err(|error| Failure::environment(format!("could not write `{}`: {error}", target.display())))?;
        Ok(Ended::done())
    }
}

fn read(path: &Path) -> Result<Vec<Saved>, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::io("read", path, &error))?;
    if bytes.starts_with(b"PK") {
        return pytorch::read(path);
    }
    let problem = |error: String| {
        Failure::input(format!("neither a file of `torch.save` nor a safetensors file: {error}"))
            .at(path.display().to_string())
    };
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| problem(error.to_string()))?;
    let mut saved = Vec::new();
    for (name, view) in tensors.iter() {
        let numbers = match view.dtype() {
            Dtype::F32 => Numbers::F32(view.data().as_chunks().0.iter().copied().map(f32::from_le_bytes).collect()),
            Dtype::I64 => Numbers::I64(view.data().as_chunks().0.iter().copied().map(i64::from_le_bytes).collect()),
            other => {
                return Err(problem(format!("tensor `{name}` has elements of type {other:?}, expected F32 or I64")));
            }
        };
        saved.push(Saved { name: name.into(), shape: view.shape().to_vec(), numbers });
    }
    Ok(saved)
}

fn base_model(weights: &BTreeMap<String, Saved>) -> &'static str {
    if weights.contains_key("layer1.1.2.conv1.weight") { "resnet34" } else { "resnet18" }
}

fn check(weights: &BTreeMap<String, Saved>, options: &Options) -> Result<(), Failure> {
    let depths = layout::depths(&options.base_model).unwrap_or_default();
    let expected = layout::state_dict(depths, options.channels.len(), options.feature_names.len());
    for entry in &expected {
        check_entry(weights.get(&entry.name), entry, options)?;
    }
    let known = |name: &String| expected.iter().any(|entry| entry.name == *name);
    match weights.keys().find(|name| !known(name)) {
        Some(name) => Err(Failure::input(format!("the weights have a tensor `{name}` that the U-Net does not have"))),
        None => Ok(()),
    }
}

fn check_entry(saved: Option<&Saved>, entry: &Entry, options: &Options) -> Result<(), Failure> {
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
        (&saved.numbers, entry.role),
        (Numbers::I64(_), Role::Batches)
            | (
                Numbers::F32(_),
                Role::Encoder | Role::Uniform { .. } | Role::Scale | Role::Offset | Role::Mean | Role::Variance
            )
    );
    if fits {
        Ok(())
    } else {
        Err(Failure::input(format!("tensor `{}` has elements of another type than expected", entry.name)))
    }
}

impl View for &Saved {
    fn dtype(&self) -> Dtype {
        match self.numbers {
            Numbers::F32(_) => Dtype::F32,
            Numbers::I64(_) => Dtype::I64,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match &self.numbers {
            Numbers::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Numbers::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    fn data_len(&self) -> usize {
        match &self.numbers {
            Numbers::F32(values) => 4 * values.len(),
            Numbers::I64(values) => 8 * values.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::Silent;

    use super::*;

    fn weights(inputs: usize, outputs: usize) -> BTreeMap<String, Saved> {
        let entries = layout::state_dict([2, 2, 2, 2], inputs, outputs).into_iter();
        entries
            .map(|entry| {
                let numbers = match entry.role {
                    Role::Batches => Numbers::I64(vec![3]),
                    _ => Numbers::F32(vec![0.5; entry.count()]),
                };
                (entry.name.clone(), Saved { name: entry.name, shape: entry.shape, numbers })
            })
            .collect()
    }

    fn task(folder: &Path, inputs: &str) -> Task {
        serde_json::from_value(serde_json::json!({
            "kind": "unet/import", "version": 1, "params": {"inputs": inputs, "outputs": "area"}, "at": {},
            "inputs": {"weights": {"one": folder.join("weights")}},
            "outputs": {"model": folder.join("out")}, "device": "cpu", "threads": 1, "scratch": folder,
        }))
        .unwrap()
    }

    #[test]
    fn weights_become_a_model_if_they_fit() {
        let folder = tempfile::tempdir().unwrap();
        safetensors::serialize_to_file(&weights(7, 3), None, &folder.path().join("weights")).unwrap();
        Import.run(&task(folder.path(), "anat"), &Silent).unwrap();
        let options: Options = model::read_json(&folder.path().join("out").join(OPTIONS)).unwrap();
        assert_eq!((options.inputs.as_str(), options.base_model.as_str()), ("anat", "resnet18"));
        let failure = Import.run(&task(folder.path(), "func"), &Silent).unwrap_err();
        assert!(failure.message.contains("`layer0.0.weight` has the shape [64, 7, 7, 7]"), "{failure}");
        assert!(failure.message.contains("[64, 11, 7, 7]"), "{failure}");
    }

    #[test]
    fn any_other_file_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("weights"), "hello").unwrap();
        let failure = Import.run(&task(folder.path(), "anat"), &Silent).unwrap_err();
        assert!(failure.message.contains("neither"), "{failure}");
    }
}
