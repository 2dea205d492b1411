//! What a convolutional network consists of, as data: a tree of modules in the order of their registration, and for each module that
//! has others in it the steps by which it computes.
//!
//! Decides the words of that tree, and nothing about any one network (those are files of their own) or about tensors. Shapes, names of
//! tensors and the layer book are read from the tree without libtorch; the worker walks the same steps with it, so that both agree.
//! The trade-off: residual sums, branches and recurrences are written as steps with numbered places, which is longer than a function
//! would be and can be checked and counted.

/// A network: its modules, how it computes, what its fresh weights are sampled from.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Its name, such as `alexnet`.
    pub name: &'static str,
    /// All modules and the steps from an image to the answers.
    pub root: ModuleBlock,
    /// Number of answers: the length of its last output.
    pub classes: usize,
    /// What the address of every layer begins with, as the guide writes it: `module` for CORnet-S, which its authors wrap for several
    /// GPUs. Names of tensors do not have it.
    pub address_prefix: Option<&'static str>,
    /// Pixels of the shorter side of images that it is made for.
    pub side: usize,
    /// Beginnings of the names of tensors that published weights have beside those of the network, for training alone, such as `aux1.`
    pub training_only: &'static [&'static str],
    /// What fresh weights are sampled from.
    pub start: StartRule,
}

/// What fresh weights are sampled from, by the programs that published each network (torchvision's constructors, CORnet's). In all of
/// them batch normalisations start as the identity: scale and running variance 1, offset and running mean 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartRule {
    /// PyTorch's own: kernels, matrices and offsets uniform within 1 / sqrt(inputs times kernel area). AlexNet, the small network.
    Uniform,
    /// VGG: kernels normal with the variance 2 / (outputs times kernel area) (He et al. 2015, by outputs), matrices normal with the
    /// standard deviation 0.01, offsets 0.
    Vgg,
    /// ResNet and CORnet-S: kernels as in VGG, the matrix and its offset as PyTorch's own.
    KaimingByOutputs,
    /// GoogLeNet as the guide's `random`: kernels and the matrix normal with the standard deviation 0.01 (torchvision cuts it off at 2,
    /// which is 200 standard deviations), the matrix's offset 0 (torchvision's own is uniform; the guide sets it to 0).
    Googlenet,
}

/// A module with its name in the module around it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedModule {
    /// Its name, such as `conv1`, or its number in a sequence.
    pub name: String,
    /// The module.
    pub module: NetworkModule,
}

/// A module of a network.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkModule {
    /// One that computes by itself: a layer.
    Layer(LayerKind),
    /// One that consists of others.
    Block(ModuleBlock),
}

/// What a layer computes. Images are [channels, height, width] each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LayerKind {
    /// A convolution in two dimensions.
    Convolution(ConvolutionShape),
    /// Batch normalisation over channels; with its running statistics outside of training.
    BatchNorm {
        /// Channels.
        channels: usize,
        /// What is added to variances.
        epsilon: f64,
    },
    /// `max(x, 0)`.
    Relu {
        /// Whether PyTorch's program overwrites its input (all of torchvision's and CORnet's do).
        in_place: bool,
    },
    /// The largest of each window.
    MaxPool(PoolingWindow),
    /// The mean of each of `side` x `side` parts of the image.
    AdaptiveAveragePool {
        /// Rows and columns of the output.
        side: usize,
    },
    /// A matrix and an offset.
    Linear {
        /// Numbers in.
        inputs: usize,
        /// Numbers out.
        outputs: usize,
    },
    /// Sets a share of its inputs to 0 in training, and returns its input otherwise.
    Dropout {
        /// The share.
        share: f64,
    },
    /// [channels, height, width] as one list.
    Flatten,
    /// Returns its input.
    Identity,
}

/// The measures of a convolution; kernels, strides and borders are the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionShape {
    /// Channels in.
    pub inputs: usize,
    /// Channels out: kernels.
    pub outputs: usize,
    /// Height and width of a kernel.
    pub kernel: usize,
    /// Pixels from one place of the kernel to the next.
    pub stride: usize,
    /// Pixels of zeros around the image.
    pub padding: usize,
    /// Whether it has an offset for each kernel.
    pub bias: bool,
}

/// The measures of a pooling, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolingWindow {
    /// Height and width of a window.
    pub kernel: usize,
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Pixels around the image, which are never the largest.
    pub padding: usize,
    /// Whether a last window that reaches beyond the image counts.
    pub ceil: bool,
}

/// A module that consists of others.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleBlock {
    /// Its modules in the order of their registration, which is the order of the layer book and of the state dict.
    pub modules: Vec<NamedModule>,
    /// How it computes its output from its input, the current value at the start.
    pub steps: Vec<BlockStep>,
}

/// A step of a block. There is one current value; others are remembered in numbered places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockStep {
    /// A module of the block takes the current value; its output is the current value.
    Run {
        /// The module's place in [`ModuleBlock::modules`].
        module: usize,
        /// Another stride than the module's own, for a convolution that is used with several.
        stride: Option<usize>,
    },
    /// Remembers the current value (the tensor itself, not a copy).
    Keep(usize),
    /// The remembered value becomes the current one.
    Take(usize),
    /// Adds a remembered value to the current one, in place.
    Add(usize),
    /// The remembered values, one after another along the channels, become the current value.
    Join(Vec<usize>),
    /// `max(x, 0)` of the current value in place, without a module of its own.
    Relu,
    /// [channels, height, width] as one list, without a module of its own.
    Flatten,
}

impl ModuleBlock {
    /// Modules that compute one after another, with these names.
    pub fn chain<S: Into<String>>(modules: impl IntoIterator<Item = (S, NetworkModule)>) -> Self {
        let modules = named(modules);
        let steps = (0..modules.len()).map(BlockStep::run).collect();
        Self { modules, steps }
    }

    /// Modules that compute one after another, named by their numbers from 0.
    pub fn numbered(modules: impl IntoIterator<Item = NetworkModule>) -> Self {
        Self::chain(modules.into_iter().enumerate().map(|(number, module)| (number.to_string(), module)))
    }

    /// Modules with these names, and no steps yet.
    pub fn of<S: Into<String>>(modules: impl IntoIterator<Item = (S, NetworkModule)>) -> Self {
        Self { modules: named(modules), steps: Vec::new() }
    }

    /// Adds steps that run modules one after another.
    ///
    /// # Panics
    /// If the block has no module of one of these names: that is a defect of an architecture.
    #[must_use]
    pub fn runs(mut self, names: &[&str]) -> Self {
        for name in names {
            let module = self.place(name);
            self.steps.push(BlockStep::run(module));
        }
        self
    }

    /// Adds a step that runs a convolution with another stride.
    ///
    /// # Panics
    /// As [`runs`](Self::runs).
    #[must_use]
    pub fn runs_with_stride(mut self, name: &str, stride: usize) -> Self {
        let module = self.place(name);
        self.steps.push(BlockStep::Run { module, stride: Some(stride) });
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, step: BlockStep) -> Self {
        self.steps.push(step);
        self
    }

    /// The place of a module.
    fn place(&self, name: &str) -> usize {
        let found = self.modules.iter().position(|module| module.name == name);
        found.unwrap_or_else(|| panic!("no module `{name}` in the block"))
    }

    /// This block as a module.
    pub fn module(self) -> NetworkModule {
        NetworkModule::Block(self)
    }
}

impl BlockStep {
    /// Runs a module as it is.
    pub fn run(module: usize) -> Self {
        BlockStep::Run { module, stride: None }
    }
}

fn named<S: Into<String>>(modules: impl IntoIterator<Item = (S, NetworkModule)>) -> Vec<NamedModule> {
    modules.into_iter().map(|(name, module)| NamedModule { name: name.into(), module }).collect()
}

impl ConvolutionShape {
    /// A convolution of stride 1 with an offset, without a border.
    pub fn new(inputs: usize, outputs: usize, kernel: usize) -> Self {
        Self { inputs, outputs, kernel, stride: 1, padding: 0, bias: true }
    }

    /// With another stride.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// With a border.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Without an offset, as before a batch normalisation.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// This convolution as a module.
    pub fn module(self) -> NetworkModule {
        NetworkModule::Layer(LayerKind::Convolution(self))
    }
}

impl PoolingWindow {
    /// Windows without a border, where the last one lies within the image.
    pub fn new(kernel: usize, stride: usize) -> Self {
        Self { kernel, stride, padding: 0, ceil: false }
    }

    /// With a border.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// The last window may reach beyond the image.
    #[must_use]
    pub fn ceil(self) -> Self {
        Self { ceil: true, ..self }
    }

    /// This pooling, of maxima, as a module.
    pub fn module(self) -> NetworkModule {
        NetworkModule::Layer(LayerKind::MaxPool(self))
    }
}

/// What PyTorch adds to variances.
pub const EPSILON: f64 = 1e-5;

/// A batch normalisation with PyTorch's epsilon.
pub fn batch_norm(channels: usize) -> NetworkModule {
    NetworkModule::Layer(LayerKind::BatchNorm { channels, epsilon: EPSILON })
}

/// A rectification that overwrites its input.
pub fn relu() -> NetworkModule {
    NetworkModule::Layer(LayerKind::Relu { in_place: true })
}

/// A matrix with an offset.
pub fn linear(inputs: usize, outputs: usize) -> NetworkModule {
    NetworkModule::Layer(LayerKind::Linear { inputs, outputs })
}

/// A dropout of this share.
pub fn dropout(share: f64) -> NetworkModule {
    NetworkModule::Layer(LayerKind::Dropout { share })
}

/// The means of `side` x `side` parts of the image.
pub fn average_pool(side: usize) -> NetworkModule {
    NetworkModule::Layer(LayerKind::AdaptiveAveragePool { side })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_runs_its_modules_in_order() {
        let block = ModuleBlock::numbered([relu(), dropout(0.5)]);
        let names: Vec<_> = block.modules.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["0", "1"]);
        assert_eq!(block.steps, [BlockStep::run(0), BlockStep::run(1)]);
    }

    #[test]
    fn steps_may_run_a_module_twice_and_with_another_stride() {
        let block = ModuleBlock::of([("conv", ConvolutionShape::new(1, 1, 3).stride(2).module()), ("relu", relu())])
            .runs(&["conv", "relu"])
            .then(BlockStep::Keep(0))
            .runs_with_stride("conv", 1)
            .then(BlockStep::Add(0))
            .runs(&["relu"]);
        let run = |module, stride| BlockStep::Run { module, stride };
        let expected =
            [run(0, None), run(1, None), BlockStep::Keep(0), run(0, Some(1)), BlockStep::Add(0), run(1, None)];
        assert_eq!(block.steps, expected);
    }
}
