//! The tensors of a network by name: made fresh, read, written, copied.

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::Failure;
use pipe_stages::unet::weight_layout::{self, Role, WeightEntry};
use tch::{Device, Kind, Tensor};

use crate::draws;

/// Which network: encoder, channels in, channels out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkShape {
    /// Basic blocks in the encoder's four stages.
    pub depths: [usize; 4],
    /// Input channels.
    pub inputs: usize,
    /// Output channels (classes).
    pub outputs: usize,
}

impl NetworkShape {
    /// The shape of a network on a named encoder.
    ///
    /// # Errors
    /// Input: an unknown encoder.
    pub fn new(base_model: &str, inputs: usize, outputs: usize) -> Result<Self, Failure> {
        let depths = weight_layout::depths(base_model).ok_or_else(|| {
            Failure::input(format!("unknown encoder `{base_model}`, expected `resnet18` or `resnet34`"))
        })?;
        Ok(Self { depths, inputs, outputs })
    }
}

/// All tensors of a network, in the order of the state dict.
#[derive(Debug)]
pub struct Weights {
    /// Which network they are of.
    pub shape: NetworkShape,
    entries: Vec<(WeightEntry, Tensor)>,
}

impl Weights {
    /// Fresh weights from a seed: PyTorch's default start for convolutions, Kaiming's for the encoder. The numbers are sampled here and
    /// not by libtorch, so they are the same on every device.
    pub fn fresh(shape: NetworkShape, seed: u64, device: Device) -> Self {
        Self::make(shape, device, |entry| {
            let mut generator = draws::stream(seed, &format!("weights {}", entry.name));
            match entry.role {
                Role::Encoder => {
                    let fan_out = entry.shape[0] * entry.shape[2] * entry.shape[3];
                    draws::normal(&mut generator, entry.count(), (2.0 / fan_out as f64).sqrt())
                }
                Role::Uniform { fan_in } => draws::uniform(&mut generator, entry.count(), 1.0 / (fan_in as f64).sqrt()),
                Role::Scale | Role::Variance => vec![1.0; entry.count()],
                Role::Offset | Role::Mean | Role::Batches => vec![0.0; entry.count()],
            }
        })
    }

    /// Weights whose numbers a function gives, last axis fastest.
    pub fn make(shape: NetworkShape, device: Device, mut numbers: impl FnMut(&WeightEntry) -> Vec<f32>) -> Self {
        let entries = weight_layout::state_dict(shape.depths, shape.inputs, shape.outputs).into_iter().map(|entry| {
            let size: Vec<i64> = entry.shape.iter().map(|axis| *axis as i64).collect();
            let kind = if entry.role == Role::Batches { Kind::Int64 } else { Kind::Float };
            let tensor = laid_out(&Tensor::from_slice(&numbers(&entry)).reshape(size).to_kind(kind), device);
            let tensor = tensor.set_requires_grad(entry.role.is_trained());
            (entry, tensor)
        });
        Self { shape, entries: entries.collect() }
    }

    /// The same numbers with 64 bits, in which a network and its training do not depend on the processor's instruction
    /// set beyond the last digits: for comparisons with other programs.
    #[must_use]
    pub fn double(self) -> Self {
        let convert = |(entry, tensor): (WeightEntry, Tensor)| {
            let kind = if entry.role == Role::Batches { Kind::Int64 } else { Kind::Double };
            let tensor = tensor.detach().to_kind(kind).set_requires_grad(entry.role.is_trained());
            (entry, tensor)
        };
        Self { shape: self.shape, entries: self.entries.into_iter().map(convert).collect() }
    }

    /// Reads the weights of a network from a safetensors file.
    ///
    /// # Errors
    /// Input: not such a file, or a tensor is missing or has another shape.
    pub fn read(path: &Path, shape: NetworkShape, device: Device) -> Result<Self, Failure> {
        let problem = |words: String| {
            Failure::input(words)
                .at(path.display().to_string())
                .hint("give the `model` port of `unet/train` (with `keep_weights: true`, the default), `unet/best` or `unet/import`")
        };
        let read = Tensor::read_safetensors(path)
            .map_err(|error| problem(format!("not a safetensors file: {}", first_line(&error))))?;
        let mut read: BTreeMap<String, Tensor> = read.into_iter().collect();
        let mut entries = Vec::new();
        for entry in weight_layout::state_dict(shape.depths, shape.inputs, shape.outputs) {
            let tensor = read
                .remove(&entry.name)
                .ok_or_else(|| problem(format!("no tensor `{}` in the weights", entry.name)))?;
            let size: Vec<i64> = entry.shape.iter().map(|axis| *axis as i64).collect();
            if tensor.size() != size {
                return Err(problem(format!(
                    "tensor `{}` has the shape {:?}, expected {size:?}",
                    entry.name,
                    tensor.size()
                )));
            }
            entries.push((entry, laid_out(&tensor, device)));
        }
        Ok(Self { shape, entries })
    }

    /// The same, with gradients for what an optimiser changes.
    #[must_use]
    pub fn to_be_trained(self) -> Self {
        let trained = |(entry, tensor): (WeightEntry, Tensor)| {
            let tensor = tensor.set_requires_grad(entry.role.is_trained());
            (entry, tensor)
        };
        Self { shape: self.shape, entries: self.entries.into_iter().map(trained).collect() }
    }

    /// Writes a snapshot of these weights as a safetensors file under the original's names.
    ///
    /// # Errors
    /// Environment: it cannot be written.
    pub fn write(&self, snapshot: &Snapshot, path: &Path) -> Result<(), Failure> {
        Tensor::write_safetensors(&self.named(snapshot), path).map_err(|error| {
            Failure::environment(format!("could not write `{}`: {}", path.display(), first_line(&error)))
        })
    }

    /// The tensors of a snapshot with their names, on the processor.
    pub fn named(&self, snapshot: &Snapshot) -> Vec<(String, Tensor)> {
        let names = self.entries.iter().map(|(entry, _)| entry.name.clone());
        names.zip(snapshot.0.iter().map(|tensor| tensor.to_device(Device::Cpu).contiguous())).collect()
    }

    /// A tensor; the network's layers share its memory.
    ///
    /// # Panics
    /// If the layout has no such name: network and layout belong to one program.
    pub fn get(&self, name: &str) -> Tensor {
        let found = self.entries.iter().find(|(entry, _)| entry.name == name);
        found.unwrap_or_else(|| panic!("no tensor `{name}` in the layout")).1.shallow_clone()
    }

    /// The tensors that the optimiser changes, in order, with their names.
    pub fn trained(&self) -> Vec<(&str, Tensor)> {
        let trained = self.entries.iter().filter(|(entry, _)| entry.role.is_trained());
        trained.map(|(entry, tensor)| (entry.name.as_str(), tensor.shallow_clone())).collect()
    }

    /// A copy of everything as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.entries.iter().map(|(_, tensor)| tensor.detach().copy()).collect())
    }

    /// Puts everything back in place, so that layers and optimiser see it.
    pub fn restore(&self, snapshot: &Snapshot) {
        tch::no_grad(|| {
            for ((_, tensor), saved) in self.entries.iter().zip(&snapshot.0) {
                tensor.shallow_clone().copy_(saved);
            }
        });
    }

    /// A snapshot out of named tensors, such as a checkpoint's; `None` if one is missing or does not fit.
    pub fn snapshot_of(&self, mut tensor: impl FnMut(&str) -> Option<Tensor>) -> Option<Snapshot> {
        let fitting = self.entries.iter().map(|(entry, own)| {
            let found = tensor(&entry.name)?;
            (found.size() == own.size() && found.kind() == own.kind()).then(|| found.to_device(own.device()))
        });
        fitting.collect::<Option<Vec<_>>>().map(Snapshot)
    }
}

/// A tensor on a device. On the processor weights of convolutions lie channels last, as its kernels want them: otherwise
/// every step would copy them.
fn laid_out(tensor: &Tensor, device: Device) -> Tensor {
    if device.is_cuda() || tensor.dim() != 4 {
        return tensor.to_device(device);
    }
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// A copy of all tensors of a network.
#[derive(Debug)]
pub struct Snapshot(Vec<Tensor>);

/// libtorch's errors carry a C++ backtrace after the first line.
pub(crate) fn first_line(error: &tch::TchError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}
