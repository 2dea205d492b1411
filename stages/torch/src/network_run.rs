//! What every kind does that runs a network on stimuli: opens both, chooses layers, plans passes, runs them.
//!
//! Decides what the shared parameters mean. Independent of what is made of activations.

use std::collections::BTreeMap;

use pipe_contract::{Context, Ended, Failure, IMPORTANT, Task};
use pipe_stages::formats::stimulus_set::StimulusSet;
use pipe_stages::formats::tensors::{Tensor as StoredTensor, TensorValues, Tensors};
use pipe_stages::net::architecture::Architecture;
use pipe_stages::net::layer_book::LayerBook;
use pipe_stages::net::network_folder::NetworkFolder;
use pipe_stages::net::network_kinds::{ForwardParameters, NetworkCompat};
use pipe_stages::net::used_layers::{PassSettings, UsedLayer, used_layers};
use tch::{Device, Kind, Tensor};

use crate::activation_passes::{ActivationPasses, ActivationUse};
use crate::backend::{self, Backend};
use crate::network_forward::ForwardNetwork;
use crate::network_images::NetworkImages;

/// Bytes of a megabyte.
pub(crate) const MEGABYTE: u64 = 1_000_000;

/// Whether the image itself is one of the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageLayer {
    /// It always is.
    Always,
    /// It is where it is named.
    WhereNamed,
}

/// A network and the stimuli that go through it.
#[derive(Debug)]
pub struct NetworkRun {
    /// The stimuli.
    pub stimuli: StimulusSet,
    /// Their images.
    pub images: NetworkImages,
    /// The layers that are used.
    pub layers: Vec<UsedLayer>,
    folder: NetworkFolder,
    network: ForwardNetwork,
    backend: Backend,
    settings: PassSettings,
    notes: Vec<String>,
}

impl NetworkRun {
    /// Opens the ports `stimuli` and `network` of a task, as the parameters say.
    ///
    /// # Errors
    /// Input: images, weights or layers that are not there or do not fit. Environment: the device.
    pub fn open(task: &Task, params: &ForwardParameters, image: ImageLayer) -> Result<Self, Failure> {
        let backend = backend::prepare(&params.place, task)?;
        let stimuli = StimulusSet::open(task.one("stimuli")?)?;
        let folder = NetworkFolder::open(task.one("network")?)?;
        let images = NetworkImages::read(&stimuli, &folder.about.preprocessing, params.crop)?;
        let mut layers = used_layers(&folder.architecture, images.size(), &params.layers, params.calls)?;
        if image == ImageLayer::WhereNamed && !params.layers.contains(&layers[0].name) {
            layers.remove(0);
        }
        let network = network_of(&folder.architecture, &folder.weights()?, backend.device, false)?;
        let settings = PassSettings {
            batch: params.batch,
            limit: params.memory.saturating_mul(MEGABYTE),
            alias_in_place: params.compat.contains(&NetworkCompat::AliasInplace),
        };
        let book = LayerBook::of(&folder.architecture);
        let notes = params.layers.iter().filter_map(|wanted| book.ambiguity(wanted)).collect();
        let mut run = Self { stimuli, images, layers, folder, network, backend, settings, notes };
        if settings.alias_in_place {
            run.notes
                .push(format!("{IMPORTANT}activations are those that later layers have overwritten (`alias_inplace`)"));
        }
        Ok(run)
    }

    /// The network's modules.
    pub fn architecture(&self) -> &Architecture {
        &self.folder.architecture
    }

    /// What tables call the network.
    pub fn name(&self) -> &str {
        &self.folder.about.name
    }

    /// Runs the network and gives its activations to what uses them. Returns how often it ran, which the log has before the first time.
    ///
    /// # Errors
    /// Those of the use. Input: `memory` is too small. Stage: cancelled.
    pub fn compute(&self, user: &mut dyn ActivationUse, context: &dyn Context) -> Result<String, Failure> {
        let passes = self.passes(user)?;
        context.log(&passes.note());
        passes.run(user, context)?;
        Ok(passes.note())
    }

    fn passes(&self, user: &dyn ActivationUse) -> Result<ActivationPasses<'_>, Failure> {
        ActivationPasses::new(
            (self.architecture(), &self.network),
            &self.images,
            &self.layers,
            self.settings,
            (user.uses_units(), user.uses_means()),
            self.backend.device,
        )
    }

    /// How the task ended, with these notes beside its own.
    pub fn ended(self, notes: impl IntoIterator<Item = String>) -> Ended {
        let notes = self.notes.into_iter().chain(notes).collect();
        Ended::Done { ran_on: Some(self.backend.ran_on), notes, aggregated: BTreeMap::new() }
    }
}

/// A network with weights on a device, with gradients if it is to be trained.
///
/// # Errors
/// Internal: a tensor of the architecture is not among the weights; they were compared before.
pub fn network_of(
    architecture: &Architecture,
    weights: &Tensors,
    device: Device,
    to_be_trained: bool,
) -> Result<ForwardNetwork, Failure> {
    ForwardNetwork::new(architecture, |name, is_trained| {
        let stored = weights.tensors.get(name);
        let stored = stored.ok_or_else(|| Failure::internal(format!("the weights have no `{name}`")))?;
        Ok(tensor_of(stored).to_device(device).set_requires_grad(to_be_trained && is_trained))
    })
}

fn tensor_of(stored: &StoredTensor) -> Tensor {
    let shape: Vec<i64> = stored.shape.iter().map(|axis| *axis as i64).collect();
    match &stored.values {
        TensorValues::F32(numbers) => Tensor::from_slice(numbers).reshape(shape),
        TensorValues::I64(numbers) => Tensor::from_slice(numbers).reshape(shape),
    }
}

/// The weights of a network as they are stored; tensors that it does not use stay as they were.
pub fn stored_weights(network: &ForwardNetwork, mut before: Tensors) -> Tensors {
    for (name, tensor) in network.state() {
        let shape: Vec<usize> = tensor.size().iter().map(|axis| *axis as usize).collect();
        let mut numbers = vec![0.0_f32; tensor.numel()];
        tensor.detach().to_kind(Kind::Float).copy_data(&mut numbers, tensor.numel());
        before.tensors.insert(name.to_owned(), StoredTensor::f32(&shape, numbers));
    }
    before
}
