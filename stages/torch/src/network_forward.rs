//! A network of `pipe_stages::net` with libtorch's operations: the steps of its tree, one after another, on stimuli in batches.
//!
//! Decides that all batches go through a layer before the next layer begins, and that a hook sees the output of each layer when it is
//! computed. Where the published program overwrites its input (rectifications, residual sums), this one does too, which saves memory: a
//! hook that needs the output must copy or use it before it returns, and one that keeps the tensor itself finds in it what PyTorch's
//! hooks find that do not copy (`alias_inplace`). Independent of which layers are of interest and of what is made of them.

use std::ops::ControlFlow;

use pipe_contract::Failure;
use pipe_stages::net::architecture::{Architecture, BlockStep, LayerKind, ModuleBlock, NetworkModule};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use crate::draws;
use crate::kernels::MOMENTUM;

/// A network that shares the memory of its weights.
#[derive(Debug)]
pub struct ForwardNetwork {
    root: RunBlock,
    weights: Vec<NamedWeight>,
}

/// A tensor of a network's state.
#[derive(Debug)]
struct NamedWeight {
    name: String,
    tensor: Tensor,
    /// Whether an optimiser changes it; statistics of normalisations are none of these.
    is_trained: bool,
}

/// What layers with two modes do.
#[derive(Debug)]
pub enum ForwardMode {
    /// Normalisations use their running statistics, dropouts do nothing.
    Evaluate,
    /// Every normalisation first takes the statistics of what comes to it, of all batches together, as its running ones: mean and
    /// population variance of each channel.
    Calibrate,
    /// Normalisations use the batch and update their running statistics, dropouts take their masks from this generator.
    Train(Box<ChaCha8Rng>),
}

/// Sees the output of a layer: the layer's place in the layer book, from 0, and a tensor for each batch, [stimuli, ...]. To
/// break ends the network there.
pub type ForwardHook<'a> = dyn FnMut(usize, &[Tensor]) -> Result<ControlFlow<()>, Failure> + 'a;

#[derive(Debug)]
enum RunModule {
    Layer(RunLayer),
    Block(RunBlock),
}

#[derive(Debug)]
struct RunBlock {
    modules: Vec<RunModule>,
    steps: Vec<BlockStep>,
}

#[derive(Debug)]
struct RunLayer {
    place: usize,
    kind: LayerKind,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    statistics: Option<Statistics>,
}

/// Running mean and variance of a normalisation, one number a channel each.
#[derive(Debug)]
struct Statistics {
    mean: Tensor,
    variance: Tensor,
}

/// Why a walk ended early.
enum Halt {
    Enough,
    Failed(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Halt::Failed(failure)
    }
}

impl ForwardNetwork {
    /// The network of an architecture, whose tensors a function gives by the names of the state dict and whether an optimiser may change
    /// them.
    ///
    /// # Errors
    /// Those of the function.
    pub fn new(
        architecture: &Architecture,
        mut tensor: impl FnMut(&str, bool) -> Result<Tensor, Failure>,
    ) -> Result<Self, Failure> {
        let mut building = Building { tensor: &mut tensor, weights: Vec::new(), layers: 0 };
        let root = building.block(&architecture.root, "")?;
        Ok(Self { root, weights: building.weights })
    }

    /// The tensors that an optimiser changes, in the order of their registration; they share the network's memory.
    pub fn trained(&self) -> Vec<Tensor> {
        let trained = self.weights.iter().filter(|weight| weight.is_trained);
        trained.map(|weight| weight.tensor.shallow_clone()).collect()
    }

    /// The tensors that change in a training, with their names; they share the network's memory.
    pub fn state(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.weights.iter().map(|weight| (weight.name.as_str(), &weight.tensor))
    }

    /// The answers [stimuli, classes] of each batch [stimuli, 3, height, width]; none if the hook ended the walk.
    ///
    /// # Errors
    /// Those of the hook. Internal: an architecture uses a value that it did not remember.
    ///
    /// # Panics
    /// If libtorch refuses an operation, as where an image is too small for the network: sizes are checked before.
    pub fn forward(
        &self,
        batches: Vec<Tensor>,
        mode: &mut ForwardMode,
        hook: &mut ForwardHook<'_>,
    ) -> Result<Option<Vec<Tensor>>, Failure> {
        match self.root.run(batches, &mut Walk { mode, hook }) {
            Ok(answers) => Ok(Some(answers)),
            Err(Halt::Enough) => Ok(None),
            Err(Halt::Failed(failure)) => Err(failure),
        }
    }
}

/// What is known while a network is put together.
struct Building<'a> {
    tensor: &'a mut dyn FnMut(&str, bool) -> Result<Tensor, Failure>,
    weights: Vec<NamedWeight>,
    layers: usize,
}

impl Building<'_> {
    fn block(&mut self, block: &ModuleBlock, path: &str) -> Result<RunBlock, Failure> {
        let mut modules = Vec::with_capacity(block.modules.len());
        for named in &block.modules {
            let path = if path.is_empty() { named.name.clone() } else { format!("{path}.{}", named.name) };
            modules.push(match &named.module {
                NetworkModule::Layer(kind) => RunModule::Layer(self.layer(*kind, &path)?),
                NetworkModule::Block(inner) => RunModule::Block(self.block(inner, &path)?),
            });
        }
        Ok(RunBlock { modules, steps: block.steps.clone() })
    }

    fn layer(&mut self, kind: LayerKind, path: &str) -> Result<RunLayer, Failure> {
        let place = self.layers;
        self.layers += 1;
        let (has_weight, has_bias) = match kind {
            LayerKind::Convolution(shape) => (true, shape.bias),
            LayerKind::BatchNorm { .. } | LayerKind::Linear { .. } => (true, true),
            _ => (false, false),
        };
        let weight = has_weight.then(|| self.weight(path, "weight", true)).transpose()?;
        let bias = has_bias.then(|| self.weight(path, "bias", true)).transpose()?;
        let statistics = match kind {
            LayerKind::BatchNorm { .. } => Some(Statistics {
                mean: self.weight(path, "running_mean", false)?,
                variance: self.weight(path, "running_var", false)?,
            }),
            _ => None,
        };
        Ok(RunLayer { place, kind, weight, bias, statistics })
    }

    fn weight(&mut self, path: &str, part: &str, is_trained: bool) -> Result<Tensor, Failure> {
        let name = format!("{path}.{part}");
        let tensor = (self.tensor)(&name, is_trained)?;
        let shared = tensor.shallow_clone();
        self.weights.push(NamedWeight { name, tensor, is_trained });
        Ok(shared)
    }
}

/// How layers behave, and who sees their outputs.
struct Walk<'a, 'b> {
    mode: &'a mut ForwardMode,
    hook: &'a mut ForwardHook<'b>,
}

impl RunBlock {
    fn run(&self, batches: Vec<Tensor>, walk: &mut Walk<'_, '_>) -> Result<Vec<Tensor>, Halt> {
        let mut current = batches;
        let mut places = Places::default();
        for step in &self.steps {
            match step {
                BlockStep::Run { module, stride } => current = self.run_module(*module, *stride, current, walk)?,
                BlockStep::Keep(place) => places.keep(*place, &current),
                BlockStep::Take(place) => current = shared(places.get(*place)?),
                BlockStep::Add(place) => {
                    for (sum, other) in current.iter_mut().zip(places.get(*place)?) {
                        let _ = sum.g_add_(other);
                    }
                }
                BlockStep::Join(joined) => {
                    let parts = joined.iter().map(|place| places.get(*place)).collect::<Result<Vec<_>, _>>()?;
                    let join = |batch: usize| {
                        let of_batch: Vec<&Tensor> = parts.iter().map(|part| &part[batch]).collect();
                        Tensor::cat(&of_batch, 1)
                    };
                    current = (0..current.len()).map(join).collect();
                }
                BlockStep::Relu => current.iter_mut().for_each(|x| drop(x.relu_())),
                BlockStep::Flatten => current.iter_mut().for_each(|x| *x = x.flatten(1, -1)),
            }
        }
        Ok(current)
    }

    fn run_module(
        &self,
        module: usize,
        stride: Option<usize>,
        batches: Vec<Tensor>,
        walk: &mut Walk<'_, '_>,
    ) -> Result<Vec<Tensor>, Halt> {
        match &self.modules[module] {
            RunModule::Block(block) => block.run(batches, walk),
            RunModule::Layer(layer) => {
                let found = layer.run(batches, stride, walk.mode);
                match (walk.hook)(layer.place, &found)? {
                    ControlFlow::Continue(()) => Ok(found),
                    ControlFlow::Break(()) => Err(Halt::Enough),
                }
            }
        }
    }
}

/// The values that a block remembers.
#[derive(Default)]
struct Places(Vec<Vec<Tensor>>);

impl Places {
    fn keep(&mut self, place: usize, batches: &[Tensor]) {
        if self.0.len() <= place {
            self.0.resize_with(place + 1, Vec::new);
        }
        self.0[place] = shared(batches);
    }

    fn get(&self, place: usize) -> Result<&[Tensor], Failure> {
        let kept = self.0.get(place).filter(|kept| !kept.is_empty());
        kept.map(Vec::as_slice)
            .ok_or_else(|| Failure::internal(format!("a network uses the remembered value {place} before it is there")))
    }
}

/// The same tensors, not copies.
fn shared(batches: &[Tensor]) -> Vec<Tensor> {
    batches.iter().map(Tensor::shallow_clone).collect()
}

impl RunLayer {
    fn run(&self, batches: Vec<Tensor>, stride: Option<usize>, mode: &mut ForwardMode) -> Vec<Tensor> {
        if let (ForwardMode::Calibrate, Some(statistics)) = (&*mode, &self.statistics) {
            statistics.take_from(&batches);
        }
        // One after another, so that an input is gone before the next output is there.
        batches.into_iter().map(|x| self.apply(x, stride, mode)).collect()
    }

    fn apply(&self, mut x: Tensor, stride: Option<usize>, mode: &mut ForwardMode) -> Tensor {
        let size = |number: usize| number as i64;
        match (self.kind, &self.weight) {
            (LayerKind::Convolution(shape), Some(weight)) => {
                let stride = size(stride.unwrap_or(shape.stride));
                x.conv2d(weight, self.bias.as_ref(), [stride; 2], [size(shape.padding); 2], [1, 1], 1)
            }
            (LayerKind::Linear { .. }, Some(weight)) => x.linear(weight, self.bias.as_ref()),
            (LayerKind::BatchNorm { epsilon, .. }, Some(_)) => self.normalise(&x, epsilon, mode),
            (LayerKind::Relu { in_place: true }, _) => x.relu_(),
            (LayerKind::Relu { in_place: false }, _) => x.relu(),
            (LayerKind::MaxPool(window), _) => x.max_pool2d(
                [size(window.kernel); 2],
                [size(window.stride); 2],
                [size(window.padding); 2],
                [1, 1],
                window.ceil,
            ),
            (LayerKind::AdaptiveAveragePool { side }, _) => x.adaptive_avg_pool2d([size(side); 2]),
            (LayerKind::Flatten, _) => x.flatten(1, -1),
            (LayerKind::Dropout { share }, _) => match mode {
                ForwardMode::Train(generator) => &x * mask(generator, &x, share),
                ForwardMode::Evaluate | ForwardMode::Calibrate => x,
            },
            (LayerKind::Identity, _) => x,
            (LayerKind::Convolution(_) | LayerKind::Linear { .. } | LayerKind::BatchNorm { .. }, None) => {
                unreachable!("a layer with weights was put together with them")
            }
        }
    }

    fn normalise(&self, x: &Tensor, epsilon: f64, mode: &ForwardMode) -> Tensor {
        let (mean, variance) = match &self.statistics {
            Some(Statistics { mean, variance }) => (Some(mean), Some(variance)),
            None => (None, None),
        };
        let is_training = matches!(mode, ForwardMode::Train(_));
        x.batch_norm(self.weight.as_ref(), self.bias.as_ref(), mean, variance, is_training, MOMENTUM, epsilon, true)
    }
}

impl Statistics {
    /// Mean and population variance of each channel of batches [stimuli, channels, height, width], summed in 64 bits.
    fn take_from(&self, batches: &[Tensor]) {
        const ALL_BUT_CHANNELS: [i64; 3] = [0, 2, 3];
        let count: usize = batches.iter().map(|x| x.numel() / x.size()[1].max(1) as usize).sum();
        let mean_of =
            |sums: Vec<Tensor>| Tensor::stack(&sums, 0).sum_dim_intlist([0_i64].as_slice(), false, None) / count as f64;
        let sum = |x: &Tensor| x.sum_dim_intlist(ALL_BUT_CHANNELS.as_slice(), false, Kind::Double);
        let mean = mean_of(batches.iter().map(sum).collect());
        let middle = mean.to_kind(Kind::Float).view([1, -1, 1, 1]);
        let squares = |x: &Tensor| sum(&(x - &middle).square_());
        // Deviations are taken from the rounded mean; what the rounding adds to their mean square is the square of its error.
        let error = &mean - mean.to_kind(Kind::Float).to_kind(Kind::Double);
        let variance = mean_of(batches.iter().map(squares).collect()) - error.square();
        self.mean.shallow_clone().copy_(&mean.to_kind(Kind::Float));
        self.variance.shallow_clone().copy_(&variance.clamp_min(0.0).to_kind(Kind::Float));
    }
}

/// Zeros for a share of the numbers, and for the others what keeps their mean.
fn mask(generator: &mut ChaCha8Rng, like: &Tensor, share: f64) -> Tensor {
    if share >= 1.0 {
        return like.zeros_like();
    }
    let kept = (1.0 / (1.0 - share)) as f32;
    // Uniform in (-1, 1): below 2 share - 1 with the probability `share`.
    let numbers = draws::uniform(generator, like.numel(), 1.0);
    let factors: Vec<f32> =
        numbers.into_iter().map(|number| if f64::from(number) < 2.0 * share - 1.0 { 0.0 } else { kept }).collect();
    Tensor::from_slice(&factors).view(like.size().as_slice()).to_device(like.device())
}
