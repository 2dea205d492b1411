//! What shape every layer's output has for images of a size, without computing it.
//!
//! Walks the steps of an architecture as the worker does, with shapes in the place of tensors, and records a call for each time that a layer
//! runs, in the order in which they run. Sizes follow PyTorch's rules for convolutions and pooling. Independent of weights and libtorch.

use std::collections::BTreeMap;

use pipe_contract::Failure;

use super::architecture::{
    Architecture, BlockStep, ConvolutionShape, LayerKind, ModuleBlock, NetworkModule, PoolingWindow,
};

/// One run of a layer for one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerCall {
    /// The layer's rank, from 1.
    pub rank: usize,
    /// How often it has run, this time included: above 1 for the rectification of a residual block and the layers of a recurrence.
    pub call: usize,
    /// The shape of its output: [channels, height, width], or \[numbers\].
    pub shape: Vec<usize>,
}

impl LayerCall {
    /// Numbers of the output.
    pub fn units(&self) -> usize {
        self.shape.iter().product()
    }
}

/// All runs of layers for one image of `height` x `width` pixels, in order.
///
/// # Errors
/// Input: the image is too small for the network. Internal: layers that do not fit to each other, a defect of an architecture.
pub fn layer_calls(architecture: &Architecture, height: usize, width: usize) -> Result<Vec<LayerCall>, Failure> {
    let mut walk = Walk { calls: Vec::new(), counts: BTreeMap::new() };
    let image = vec![3, height, width];
    walk.block(&architecture.root, 1, image).map_err(|fault| match fault {
        Fault::TooSmall => Failure::input(format!(
            "images of {height} x {width} pixels are too small for `{}`: nothing is left of them before its last layers",
            architecture.name
        ))
        .hint("raise `side` of the network's preprocessing; its weights were made for 224 pixels where they are published"),
        Fault::Misfit(words) => Failure::internal(format!("`{}`: {words}", architecture.name)),
    })?;
    Ok(walk.calls)
}

/// Why a shape cannot be computed.
enum Fault {
    TooSmall,
    Misfit(String),
}

struct Walk {
    calls: Vec<LayerCall>,
    /// Runs so far by rank.
    counts: BTreeMap<usize, usize>,
}

impl Walk {
    /// The shape of a block's output; its first layer has this rank.
    fn block(&mut self, block: &ModuleBlock, first: usize, input: Vec<usize>) -> Result<Vec<usize>, Fault> {
        let mut current = input;
        let mut kept: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let recall = |kept: &BTreeMap<usize, Vec<usize>>, place: usize| {
            kept.get(&place).cloned().ok_or_else(|| Fault::Misfit(format!("nothing is remembered in place {place}")))
        };
        for step in &block.steps {
            match step {
                BlockStep::Run { module, stride } => {
                    let before: usize = block.modules[..*module].iter().map(|named| named.module.layer_count()).sum();
                    current = self.module(&block.modules[*module].module, first + before, current, *stride)?;
                }
                BlockStep::Keep(place) => drop(kept.insert(*place, current.clone())),
                BlockStep::Take(place) => current = recall(&kept, *place)?,
                BlockStep::Add(place) => {
                    let other = recall(&kept, *place)?;
                    if other != current {
                        return Err(Fault::Misfit(format!("{other:?} is added to {current:?}")));
                    }
                }
                BlockStep::Join(places) => {
                    let parts = places.iter().map(|place| recall(&kept, *place)).collect::<Result<Vec<_>, _>>()?;
                    current = joined(&parts)?;
                }
                BlockStep::Relu => {}
                BlockStep::Flatten => current = vec![current.iter().product()],
            }
        }
        Ok(current)
    }

    fn module(
        &mut self,
        module: &NetworkModule,
        rank: usize,
        input: Vec<usize>,
        stride: Option<usize>,
    ) -> Result<Vec<usize>, Fault> {
        match module {
            NetworkModule::Block(block) => self.block(block, rank, input),
            NetworkModule::Layer(kind) => {
                let shape = output(*kind, stride, input)?;
                let count = self.counts.entry(rank).or_default();
                *count += 1;
                self.calls.push(LayerCall { rank, call: *count, shape: shape.clone() });
                Ok(shape)
            }
        }
    }
}

fn joined(parts: &[Vec<usize>]) -> Result<Vec<usize>, Fault> {
    let [first, ..] = parts else { return Err(Fault::Misfit("nothing is joined".to_owned())) };
    if parts.iter().any(|part| part.len() != 3 || part[1..] != first[1..]) {
        return Err(Fault::Misfit(format!("images of different sizes are joined: {parts:?}")));
    }
    Ok(vec![parts.iter().map(|part| part[0]).sum(), first[1], first[2]])
}

/// The shape of one layer's output.
fn output(kind: LayerKind, stride: Option<usize>, input: Vec<usize>) -> Result<Vec<usize>, Fault> {
    match kind {
        LayerKind::Relu { .. } | LayerKind::Dropout { .. } | LayerKind::Identity => Ok(input),
        LayerKind::Flatten => Ok(vec![input.iter().product()]),
        LayerKind::Linear { inputs, outputs } => {
            if input != [inputs] {
                return Err(Fault::Misfit(format!("a matrix with {inputs} columns is given {input:?}")));
            }
            Ok(vec![outputs])
        }
        LayerKind::BatchNorm { channels, .. } => {
            image(&input, Some(channels))?;
            Ok(input)
        }
        LayerKind::AdaptiveAveragePool { side } => {
            let [channels, ..] = image(&input, None)?;
            Ok(vec![channels, side, side])
        }
        LayerKind::Convolution(shape) => {
            let [_, height, width] = image(&input, Some(shape.inputs))?;
            let shape = ConvolutionShape { stride: stride.unwrap_or(shape.stride), ..shape };
            Ok(vec![shape.outputs, convolved(&shape, height)?, convolved(&shape, width)?])
        }
        LayerKind::MaxPool(window) => {
            let [channels, height, width] = image(&input, None)?;
            Ok(vec![channels, pooled(&window, height)?, pooled(&window, width)?])
        }
    }
}

/// The three lengths of an image, with this number of channels if one is given.
fn image(input: &[usize], channels: Option<usize>) -> Result<[usize; 3], Fault> {
    match *input {
        [found, height, width] if channels.is_none_or(|channels| channels == found) => Ok([found, height, width]),
        _ => Err(Fault::Misfit(format!("a layer of images with {channels:?} channels is given {input:?}"))),
    }
}

fn convolved(shape: &ConvolutionShape, length: usize) -> Result<usize, Fault> {
    let free = (length + 2 * shape.padding).checked_sub(shape.kernel).ok_or(Fault::TooSmall)?;
    Ok(free / shape.stride + 1)
}

/// A last window that reaches beyond the image counts with `ceil`, unless it would begin behind the image.
fn pooled(window: &PoolingWindow, length: usize) -> Result<usize, Fault> {
    let free = (length + 2 * window.padding).checked_sub(window.kernel).ok_or(Fault::TooSmall)?;
    if !window.ceil {
        return Ok(free / window.stride + 1);
    }
    let count = free.div_ceil(window.stride) + 1;
    Ok(if (count - 1) * window.stride >= length + window.padding { count - 1 } else { count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::layer_book::LayerBook;
    use crate::net::shipped_architectures::{ARCHITECTURES, named};

    /// The shape of a layer's last output for square images.
    fn shape(network: &str, layer: &str, side: usize) -> Vec<usize> {
        let architecture = named(network, 1000).unwrap();
        let rank = LayerBook::of(&architecture).find(layer).unwrap().rank;
        let calls = layer_calls(&architecture, side, side).unwrap();
        calls.into_iter().rfind(|call| call.rank == rank).unwrap().shape
    }

    /// Shapes that torchvision's networks have for images of 224 x 224 pixels; those of CORnet-S by hand from its measures.
    #[test]
    fn shapes_are_those_of_pytorch() {
        for (network, layer, expected) in [
            ("alexnet", "conv1", vec![64, 55, 55]),
            ("alexnet", "maxpool1", vec![64, 27, 27]),
            ("alexnet", "conv2", vec![192, 27, 27]),
            ("alexnet", "maxpool3", vec![256, 6, 6]),
            ("alexnet", "avgpool1", vec![256, 6, 6]),
            ("alexnet", "dropout1", vec![9216]),
            ("vgg19", "conv16", vec![512, 14, 14]),
            ("vgg19", "maxpool5", vec![512, 7, 7]),
            ("resnet18", "maxpool1", vec![64, 56, 56]),
            ("resnet34", "avgpool1", vec![512, 1, 1]),
            ("resnet50", "layer4.0.conv1", vec![512, 14, 14]),
            ("resnet50", "layer4.0.conv2", vec![512, 7, 7]),
            ("resnet50", "layer4.2.bn3", vec![2048, 7, 7]),
            ("googlenet", "maxpool1", vec![64, 56, 56]),
            ("googlenet", "maxpool2", vec![192, 28, 28]),
            ("googlenet", "inception3a.branch4.0", vec![192, 28, 28]),
            ("googlenet", "maxpool5", vec![480, 14, 14]),
            ("googlenet", "inception5b.branch1.conv", vec![384, 7, 7]),
            ("googlenet", "avgpool1", vec![1024, 1, 1]),
            ("cornet_s", "V1.output", vec![64, 56, 56]),
            ("cornet_s", "V2.skip", vec![128, 28, 28]),
            ("cornet_s", "V2.conv1", vec![512, 28, 28]),
            ("cornet_s", "V4.output", vec![256, 14, 14]),
            ("cornet_s", "IT.norm2_1", vec![2048, 7, 7]),
            ("cornet_s", "decoder.flatten", vec![512]),
        ] {
            assert_eq!(shape(network, layer, 224), expected, "{network} {layer}");
        }
        for network in ARCHITECTURES {
            assert_eq!(layer_calls(&named(network, 10).unwrap(), 224, 224).unwrap().last().unwrap().shape, [10]);
        }
        assert_eq!(shape("small", "conv1", 64), [16, 32, 32]);
        assert_eq!(shape("small", "maxpool3", 64), [64, 4, 4]);
    }

    /// The numbers of `torch.nn.functional.max_pool2d`'s documentation, by hand.
    #[test]
    fn pooling_follows_pytorchs_rule_for_the_last_window() {
        let window = PoolingWindow::new(3, 2);
        let lengths = |window: &PoolingWindow| [7, 8, 112].map(|length| pooled(window, length).ok().unwrap());
        assert_eq!(lengths(&window), [3, 3, 55]);
        assert_eq!(lengths(&window.ceil()), [3, 4, 56]);
        // A third window would begin at 4, which is in the border behind an image of 3 pixels.
        assert_eq!(pooled(&PoolingWindow::new(2, 2).padding(1).ceil(), 3).ok(), Some(2));
    }

    #[test]
    fn images_need_not_be_square_and_layers_run_several_times() {
        let calls = layer_calls(&named("alexnet", 1000).unwrap(), 224, 300).unwrap();
        assert_eq!(calls[0].shape, [64, 55, 74]);
        let cornet = named("cornet_s", 1000).unwrap();
        let rank = LayerBook::of(&cornet).find("V4.conv1").unwrap().rank;
        let calls = layer_calls(&cornet, 224, 224).unwrap();
        let runs: Vec<_> =
            calls.iter().filter(|call| call.rank == rank).map(|call| (call.call, call.shape[1])).collect();
        assert_eq!(runs, [(1, 28), (2, 14), (3, 14), (4, 14)]);
    }

    /// The order of `forward` in torchvision's bottleneck, and of the published CORnet-S in the first of its passes.
    #[test]
    fn layers_run_in_the_order_of_the_published_programs() {
        let order = |network: &str, block: &str| -> Vec<String> {
            let architecture = named(network, 1000).unwrap();
            let book = LayerBook::of(&architecture);
            let calls = layer_calls(&architecture, 224, 224).unwrap();
            let tensors = calls.iter().map(|call| &book.layers()[call.rank - 1].tensors);
            tensors.filter_map(|name| name.strip_prefix(block).map(str::to_owned)).collect()
        };
        assert_eq!(
            order("resnet50", "layer2.0."),
            ["conv1", "bn1", "relu", "conv2", "bn2", "relu", "conv3", "bn3", "downsample.0", "downsample.1", "relu"]
        );
        assert_eq!(order("resnet34", "layer1.0."), ["conv1", "bn1", "relu", "conv2", "bn2", "relu"]);
        let pass = |number: usize| {
            let norm = |of: usize| format!("norm{of}_{number}");
            let words =
                ["conv1", &norm(1), "nonlin1", "conv2", &norm(2), "nonlin2", "conv3", &norm(3), "nonlin3", "output"];
            words.map(str::to_owned)
        };
        let first = ["conv_input", "skip", "norm_skip"].map(str::to_owned);
        let expected: Vec<String> = first.into_iter().chain(pass(0)).chain(pass(1)).collect();
        assert_eq!(order("cornet_s", "IT."), expected);
        assert_eq!(order("googlenet", "inception3a.branch4."), ["0", "1.conv", "1.bn"]);
    }

    #[test]
    fn an_image_that_is_too_small_is_refused() {
        let failure = layer_calls(&named("alexnet", 1000).unwrap(), 20, 20).unwrap_err();
        assert!(failure.message.starts_with("images of 20 x 20 pixels are too small for `alexnet`"), "{failure}");
    }
}
