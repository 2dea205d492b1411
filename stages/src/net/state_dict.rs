//! The tensors of a network: names, shapes, what each is; and the comparison of weights from elsewhere with them.
//!
//! The names are those of PyTorch's state dicts, in the order of registration. The comparison is strict: what lacks, what is there beside
//! it, and what has another shape is named, because weights that fit by half make a network that runs and means nothing. Allowed are what
//! PyTorch itself allows (counters of batches that files before PyTorch 0.4.1 do not have) and the heads that only a training uses.
//! Independent of file formats and libtorch.

use std::collections::BTreeMap;

use pipe_contract::Failure;

use super::architecture::{Architecture, LayerKind};
use super::layer_book::{BookLayer, LayerBook};
use crate::formats::nearest_names::nearest;
use crate::formats::tensors::{Tensor, TensorValues, Tensors};

/// One tensor of a state dict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    /// Its name, such as `features.0.weight`.
    pub name: String,
    /// Its shape: kernels are [out, in, height, width], matrices [out, in].
    pub shape: Vec<usize>,
    /// What it is.
    pub role: TensorRole,
}

/// What a tensor is in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorRole {
    /// Kernels of a convolution.
    Kernel {
        /// Channels in times kernel area.
        fan_in: usize,
        /// Channels out times kernel area.
        fan_out: usize,
    },
    /// The matrix of a linear layer.
    Matrix {
        /// Numbers in.
        fan_in: usize,
    },
    /// The offset of a convolution or of a linear layer.
    Bias {
        /// As of its kernels or matrix.
        fan_in: usize,
    },
    /// The scale of a batch normalisation.
    Scale,
    /// The offset of a batch normalisation.
    Offset,
    /// The running mean of a batch normalisation; not trained.
    Mean,
    /// The running variance of a batch normalisation; not trained.
    Variance,
    /// How many batches it has seen, a 64-bit whole number; not trained and not used.
    Batches,
}

impl TensorRole {
    /// Whether training changes it by gradients.
    pub fn is_trained(self) -> bool {
        !matches!(self, TensorRole::Mean | TensorRole::Variance | TensorRole::Batches)
    }
}

impl StateEntry {
    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Every tensor of an architecture, in the order of its state dict.
pub fn state_dict(architecture: &Architecture) -> Vec<StateEntry> {
    LayerBook::of(architecture).layers().iter().flat_map(entries).collect()
}

/// The tensors of a layer.
fn entries(layer: &BookLayer) -> Vec<StateEntry> {
    let entry = |end: &str, shape: &[usize], role| StateEntry {
        name: format!("{}.{end}", layer.tensors),
        shape: shape.to_vec(),
        role,
    };
    match layer.kind {
        LayerKind::Convolution(shape) => {
            let area = shape.kernel * shape.kernel;
            let (fan_in, fan_out) = (shape.inputs * area, shape.outputs * area);
            let kernels = [shape.outputs, shape.inputs, shape.kernel, shape.kernel];
            let mut list = vec![entry("weight", &kernels, TensorRole::Kernel { fan_in, fan_out })];
            list.extend(shape.bias.then(|| entry("bias", &[shape.outputs], TensorRole::Bias { fan_in })));
            list
        }
        LayerKind::Linear { inputs, outputs } => vec![
            entry("weight", &[outputs, inputs], TensorRole::Matrix { fan_in: inputs }),
            entry("bias", &[outputs], TensorRole::Bias { fan_in: inputs }),
        ],
        LayerKind::BatchNorm { channels, .. } => vec![
            entry("weight", &[channels], TensorRole::Scale),
            entry("bias", &[channels], TensorRole::Offset),
            entry("running_mean", &[channels], TensorRole::Mean),
            entry("running_var", &[channels], TensorRole::Variance),
            entry("num_batches_tracked", &[], TensorRole::Batches),
        ],
        _ => Vec::new(),
    }
}

/// Numbers that training changes.
pub fn parameter_count(architecture: &Architecture) -> usize {
    LayerBook::of(architecture).layers().iter().map(|layer| layer.kind.parameters()).sum()
}

/// What names begin with that were saved from a network wrapped for several GPUs (`torch.nn.DataParallel`).
const WRAPPED: &str = "module.";

/// Faults of one kind that a message lists.
const MOST_NAMED: usize = 5;

/// Weights from elsewhere as exactly the tensors of an architecture: without `module.` in front of all names, and without heads that only
/// its training uses.
///
/// # Errors
/// Input: tensors lack, are there beside those of the architecture, or have another shape or type; the message names them.
pub fn fitted(weights: Tensors, architecture: &Architecture) -> Result<Tensors, Failure> {
    let expected = state_dict(architecture);
    let mut found = unwrapped(weights.tensors);
    let is_left_out = |name: &String| architecture.training_only.iter().any(|start| name.starts_with(start));
    found.retain(|name, _| !is_left_out(name));
    found.values_mut().for_each(unwrap_count);
    for entry in expected.iter().filter(|entry| entry.role == TensorRole::Batches) {
        found.entry(entry.name.clone()).or_insert_with(|| Tensor::i64(&[], vec![0]));
    }
    let mut faults = faults(&found, &expected);
    let is_whole = |tensor: &Tensor| match &tensor.values {
        TensorValues::F32(numbers) => numbers.iter().all(|number| number.is_finite()),
        TensorValues::I64(_) => true,
    };
    let broken = found.iter().find(|(_, tensor)| !is_whole(tensor));
    faults.extend(broken.map(|(name, _)| format!("`{name}` has numbers that are NaN or infinite")));
    if faults.is_empty() {
        return Ok(Tensors { tensors: found, metadata: BTreeMap::new() });
    }
    Err(Failure::input(format!("the weights are not those of `{}`: {}", architecture.name, faults.join("; ")))
        .hint("check `architecture` and `classes`: names and shapes must be those that the weights were trained with"))
}

/// Names without `module.`, where all have it.
fn unwrapped(tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    if !tensors.keys().all(|name| name.starts_with(WRAPPED)) {
        return tensors;
    }
    tensors.into_iter().map(|(name, tensor)| (name[WRAPPED.len()..].to_owned(), tensor)).collect()
}

/// Some versions of PyTorch save the one number of `num_batches_tracked` as a list of one.
fn unwrap_count(tensor: &mut Tensor) {
    if tensor.shape == [1] && matches!(tensor.values, TensorValues::I64(_)) {
        tensor.shape.clear();
    }
}

/// What is wrong, in words: missing tensors, tensors too many, other shapes.
fn faults(found: &BTreeMap<String, Tensor>, expected: &[StateEntry]) -> Vec<String> {
    let by_name: BTreeMap<&str, &StateEntry> = expected.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    let beside: Vec<&str> = found.keys().map(String::as_str).filter(|name| !by_name.contains_key(name)).collect();
    let missing: Vec<&str> =
        expected.iter().map(|entry| entry.name.as_str()).filter(|name| !found.contains_key(*name)).collect();
    let different: Vec<String> = expected.iter().filter_map(|entry| misfit(entry, found.get(&entry.name)?)).collect();
    let lists = [
        listed("missing", &missing, |name| with_nearest(name, &beside)),
        listed("not in the network", &beside, |name| with_nearest(name, &missing)),
        listed("different", &different, String::clone),
    ];
    lists.into_iter().flatten().collect()
}

/// A name, with those most like it among others.
fn with_nearest(name: &str, others: &[&str]) -> String {
    if others.is_empty() {
        return format!("`{name}`");
    }
    format!("`{name}` (most like it: {})", nearest(name, others.iter().copied()))
}

/// Why a tensor is not the expected one.
fn misfit(entry: &StateEntry, tensor: &Tensor) -> Option<String> {
    if tensor.shape != entry.shape {
        return Some(format!("`{}` has the shape {:?}, expected {:?}", entry.name, tensor.shape, entry.shape));
    }
    let is_counter = matches!(tensor.values, TensorValues::I64(_));
    let differs = is_counter != (entry.role == TensorRole::Batches);
    differs.then(|| format!("`{}` has elements of another type than expected", entry.name))
}

/// `missing: a, b and 7 others`; nothing where there are no faults.
fn listed<T>(what: &str, faults: &[T], words: impl Fn(&T) -> String) -> Option<String> {
    let others = faults.len().saturating_sub(MOST_NAMED);
    let rest = if others > 0 { format!(" and {others} others") } else { String::new() };
    let named: Vec<String> = faults.iter().take(MOST_NAMED).map(words).collect();
    (!faults.is_empty()).then(|| format!("{what}: {}{rest}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::shipped_architectures::named;

    fn zeros(name: &str, classes: usize) -> Tensors {
        let mut tensors = Tensors::new();
        for entry in state_dict(&named(name, classes).unwrap()) {
            let tensor = match entry.role {
                TensorRole::Batches => Tensor::i64(&[], vec![0]),
                _ => Tensor::f32(&entry.shape, vec![0.0; entry.count()]),
            };
            tensors.tensors.insert(entry.name, tensor);
        }
        tensors
    }

    /// Published for torchvision's networks (`sum(p.numel() for p in model.parameters())`; GoogLeNet with `aux_logits=False`) and for
    /// CORnet-S; the small network's by hand: 1,216 + 4,640 + 18,496 + 131,200 + 1,290.
    #[test]
    fn networks_have_as_many_parameters_as_published() {
        for (name, count) in [
            ("alexnet", 61_100_840),
            ("vgg19", 143_667_240),
            ("resnet18", 11_689_512),
            ("resnet34", 21_797_672),
            ("resnet50", 25_557_032),
            ("googlenet", 6_624_904),
            ("cornet_s", 53_416_616),
        ] {
            let architecture = named(name, 1000).unwrap();
            assert_eq!(parameter_count(&architecture), count, "{name}");
            let trained = state_dict(&architecture).into_iter().filter(|entry| entry.role.is_trained());
            assert_eq!(trained.map(|entry| entry.count()).sum::<usize>(), count, "{name}");
        }
        assert_eq!(parameter_count(&named("small", 10).unwrap()), 156_842);
    }

    /// Lengths of `model.state_dict()` of torchvision: a tensor for each weight and offset, five for each normalisation.
    #[test]
    fn names_and_shapes_are_those_of_state_dicts() {
        let entries = |name: &str| state_dict(&named(name, 1000).unwrap());
        for (name, count) in [
            ("alexnet", 16),
            ("vgg19", 38),
            ("resnet18", 122),
            ("resnet34", 218),
            ("resnet50", 320),
            ("googlenet", 344),
        ] {
            assert_eq!(entries(name).len(), count, "{name}");
        }
        let shape = |network: &str, name: &str| {
            let found = entries(network).into_iter().find(|entry| entry.name == name);
            found.unwrap_or_else(|| panic!("{network} has no {name}")).shape
        };
        assert_eq!(shape("alexnet", "features.0.weight"), [64, 3, 11, 11]);
        assert_eq!(shape("alexnet", "classifier.1.weight"), [4096, 9216]);
        assert_eq!(shape("vgg19", "features.34.bias"), [512]);
        assert_eq!(shape("resnet18", "layer2.0.downsample.0.weight"), [128, 64, 1, 1]);
        assert_eq!(shape("resnet50", "layer1.0.downsample.0.weight"), [256, 64, 1, 1]);
        assert_eq!(shape("resnet50", "layer4.2.conv3.weight"), [2048, 512, 1, 1]);
        assert_eq!(shape("googlenet", "inception4e.branch3.1.conv.weight"), [128, 32, 3, 3]);
        assert!(shape("googlenet", "conv1.bn.num_batches_tracked").is_empty());
        assert_eq!(shape("cornet_s", "V4.conv2.weight"), [1024, 1024, 3, 3]);
        assert_eq!(shape("cornet_s", "IT.norm3_1.running_var"), [512]);
        assert_eq!(shape("cornet_s", "decoder.linear.weight"), [1000, 512]);
    }

    #[test]
    fn wrapped_weights_and_those_of_heads_for_training_are_taken() {
        let small = named("small", 3).unwrap();
        let plain = zeros("small", 3);
        let mut wrapped = Tensors::new();
        for (name, tensor) in plain.tensors.clone() {
            wrapped.tensors.insert(format!("module.{name}"), tensor);
        }
        assert_eq!(fitted(wrapped, &small).unwrap(), plain);
        let mut trained = zeros("googlenet", 3);
        trained.tensors.insert("aux1.fc2.bias".to_owned(), Tensor::f32(&[1], vec![0.0]));
        trained.tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
        assert_eq!(fitted(trained, &named("googlenet", 3).unwrap()).unwrap(), zeros("googlenet", 3));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |weights| fitted(weights, &named("small", 3).unwrap()).unwrap_err().message;
        let mut renamed = zeros("small", 3);
        let tensor = renamed.tensors.remove("features.0.weight").unwrap();
        renamed.tensors.insert("features.0.kernel".to_owned(), tensor);
        assert_eq!(
            message(renamed),
            "the weights are not those of `small`: missing: `features.0.weight` (most like it: `features.0.kernel`); \
             not in the network: `features.0.kernel` (most like it: `features.0.weight`)"
        );
        assert_eq!(
            message(zeros("small", 4)),
            "the weights are not those of `small`: different: `classifier.2.weight` has the shape [4, 128], expected [3, 128], \
             `classifier.2.bias` has the shape [4], expected [3]"
        );
        let mut broken = zeros("small", 3);
        broken.tensors.insert("features.0.bias".to_owned(), Tensor::f32(&[16], vec![f32::INFINITY; 16]));
        assert!(message(broken).ends_with("`features.0.bias` has numbers that are NaN or infinite"));
        let other = message(zeros("resnet18", 3));
        assert!(other.contains("not in the network: ") && other.contains(" others"), "{other}");
        let mut counter = zeros("small", 3);
        counter.tensors.insert("features.0.bias".to_owned(), Tensor::i64(&[16], vec![0; 16]));
        assert!(message(counter).ends_with("different: `features.0.bias` has elements of another type than expected"));
    }
}
