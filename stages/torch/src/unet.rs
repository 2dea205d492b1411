//! The network of the paper: a U-Net whose encoder is a ResNet of basic blocks. Logits out.
//!
//! Its decoder enlarges bilinearly with aligned corners to the size of the skip connection, joins it and convolves; it has no batch
//! normalisation. Sizes and names are in `pipe_stages::unet::weight_layout`.
//!
//! On the processor its operations are those of `kernels.rs`, on a GPU libtorch's own.

use pipe_stages::unet::declarations::Precision;
use pipe_stages::unet::weight_layout::{UPWARD, WIDTHS, stage};
use tch::{Kind, Tensor};

use crate::kernels::{self, Manner, NormVectors, Then};
use crate::weights::Weights;

/// What batch normalisation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Normalises with the batch and updates the running statistics: training.
    Train,
    /// Normalises with the batch and keeps the running statistics as they are: the published prediction.
    Batch,
    /// Normalises with the running statistics: validation.
    Running,
}

/// Image sides are multiples of this. The original needs multiples of 32, which halve five times; at others the encoder rounds
/// halves up and the decoder enlarges to the size of its skip connection, which at multiples of 32 is the original's doubling.
pub const GRAIN: i64 = 8;

/// A network that shares the memory of its weights.
#[derive(Debug)]
pub struct UNet {
    stem: (Convolution, Norm),
    stages: Vec<Vec<Block>>,
    skips: Vec<Convolution>,
    upward: Vec<Convolution>,
    original: [Convolution; 3],
    last: Convolution,
}

impl UNet {
    /// The network of some weights, in 32 bits or those that the weights have.
    pub fn new(weights: &Weights) -> Self {
        Self::with_precision(weights, Precision::F32)
    }

    /// The network of some weights. With a lower precision, the numbers that convolutions multiply are rounded, except those of
    /// the last one; sums, statistics and the weights themselves are not.
    pub fn with_precision(weights: &Weights, precision: Precision) -> Self {
        let mut network = Self::plain(weights);
        let (original, blocks) = (network.original.iter_mut(), network.stages.iter_mut().flatten());
        let inner = blocks.flat_map(|block| {
            let shortcut = block.shortcut.as_mut().map(|(convolution, _)| convolution);
            [&mut block.first.0, &mut block.second.0].into_iter().chain(shortcut)
        });
        let outer = network.skips.iter_mut().chain(&mut network.upward).chain(original);
        inner.chain(outer).chain([&mut network.stem.0]).for_each(|convolution| convolution.precision = precision);
        network
    }

    fn plain(weights: &Weights) -> Self {
        let same = |name: &str, padding| Convolution::new(weights, name, 1, padding);
        let blocks = |number: usize| {
            let name = stage(number);
            let stride = if number == 1 { 1 } else { 2 };
            let count = weights.shape.depths[number - 1];
            (0..count)
                .map(|block| Block::new(weights, &format!("{name}.{block}"), if block == 0 { stride } else { 1 }))
                .collect()
        };
        Self {
            stem: (Convolution::new(weights, "layer0.0", 2, 3), Norm::new(weights, "layer0.1")),
            stages: (1..=4).map(blocks).collect(),
            skips: (0..WIDTHS.len()).map(|number| same(&format!("layer{number}_1x1.0"), 0)).collect(),
            upward: UPWARD.iter().map(|(name, _, _)| same(&format!("{name}.0"), 1)).collect(),
            original: [0, 1, 2].map(|number| same(&format!("conv_original_size{number}.0"), 1)),
            last: same("conv_last", 0),
        }
    }

    /// Logits [samples, outputs, height, width] of images [samples, inputs, height, width].
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Tensor {
        let [first, second, third] = &self.original;
        let original = second.apply(&first.apply(images, Then::Relu), Then::Relu);
        let steps = self.encode(images, mode);
        let mut x = self.skips[4].apply(&steps[4], Then::Relu);
        for (up, number) in self.upward.iter().zip([3, 2, 1, 0]) {
            let skip = self.skips[number].apply(&steps[number], Then::Relu);
            x = up.join(&x, &skip);
        }
        let x = third.join(&x, &original);
        self.last.apply(&x, Then::Nothing).contiguous()
    }

    /// The encoder's five outputs, each half as large as the one before.
    fn encode(&self, images: &Tensor, mode: Mode) -> Vec<Tensor> {
        let (convolution, norm) = &self.stem;
        let stem = convolution.apply(images, Then::Nothing);
        let mut steps = vec![norm.apply(&stem, None, Then::Relu, mode)];
        for (index, blocks) in self.stages.iter().enumerate() {
            let before = steps.last().unwrap_or(images);
            let entry = if index == 0 {
                before.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)
            } else {
                before.shallow_clone()
            };
            steps.push(blocks.iter().fold(entry, |x, block| block.apply(&x, mode)));
        }
        steps
    }
}

/// As large as `like`, bilinear with aligned corners.
fn enlarge(x: &Tensor, like: &Tensor) -> Tensor {
    let (from, to) = (x.size(), like.size());
    if x.device().is_cuda() {
        // The GPU's own kernel adds gradients in an order that differs from run to run; a product of matrices does not.
        let (rows, columns) = (steps_between(from[2], to[2], x), steps_between(from[3], to[3], x));
        return rows.matmul(x).matmul(&columns.transpose(0, 1));
    }
    x.upsample_bilinear2d([to[2], to[3]], true, None, None)
}

/// The matrix [to, from] that enlarges `from` values along a line, the first and the last staying in place.
fn steps_between(from: i64, to: i64, like: &Tensor) -> Tensor {
    let scale = if to > 1 { (from - 1) as f64 / (to - 1) as f64 } else { 0.0 };
    let place = Tensor::arange(to, (like.kind(), like.device())).unsqueeze(1) * scale;
    let grid = Tensor::arange(from, (like.kind(), like.device())).unsqueeze(0);
    (1_f64 - (place - grid).abs()).clamp_min(0.0)
}

#[derive(Debug)]
struct Convolution {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
    precision: Precision,
}

impl Convolution {
    fn new(weights: &Weights, name: &str, stride: i64, padding: i64) -> Self {
        let mut convolution = Self::plain(weights, name, stride, padding);
        let has_bias = !name.starts_with("layer") || name.contains("_1x1");
        convolution.bias = has_bias.then(|| weights.get(&format!("{name}.bias")));
        convolution
    }

    /// Without a bias, as everywhere in the encoder.
    fn plain(weights: &Weights, name: &str, stride: i64, padding: i64) -> Self {
        Self { weight: weights.get(&format!("{name}.weight")), bias: None, stride, padding, precision: Precision::F32 }
    }

    fn apply(&self, x: &Tensor, then: Then) -> Tensor {
        let Self { weight, bias, stride, padding, precision } = self;
        if !x.device().is_cuda() {
            let manner = Manner { then, precision: *precision };
            return kernels::convolve(x, weight, bias.as_ref(), *stride, *padding, manner);
        }
        let convolve = |x: &Tensor, weight: &Tensor, bias: Option<&Tensor>| {
            x.conv2d(weight, bias, [*stride; 2], [*padding; 2], [1, 1], 1)
        };
        let half = |tensor: &Tensor| tensor.to_kind(Kind::BFloat16);
        let found = match precision {
            Precision::F32 => convolve(x, weight, bias.as_ref()),
            Precision::Bf16 => convolve(&half(x), &half(weight), bias.as_ref().map(half).as_ref()).to_kind(Kind::Float),
        };
        done(found, then)
    }

    /// ReLU of the convolution of `x`, enlarged, joined with `skip`.
    fn join(&self, x: &Tensor, skip: &Tensor) -> Tensor {
        match &self.bias {
            Some(bias) if !x.device().is_cuda() => kernels::join(x, skip, &self.weight, bias, self.precision),
            _ => self.apply(&Tensor::cat(&[&enlarge(x, skip), skip], 1), Then::Relu),
        }
    }
}

fn done(x: Tensor, then: Then) -> Tensor {
    if then == Then::Relu { x.relu() } else { x }
}

#[derive(Debug)]
struct Norm {
    scale: Tensor,
    offset: Tensor,
    mean: Tensor,
    variance: Tensor,
    batches: Tensor,
}

impl Norm {
    fn new(weights: &Weights, name: &str) -> Self {
        let get = |part| weights.get(&format!("{name}.{part}"));
        Self {
            scale: get("weight"),
            offset: get("bias"),
            mean: get("running_mean"),
            variance: get("running_var"),
            batches: get("num_batches_tracked"),
        }
    }

    /// Normalised, plus a residual.
    fn apply(&self, x: &Tensor, residual: Option<&Tensor>, then: Then, mode: Mode) -> Tensor {
        let Self { scale, offset, mean, variance, batches } = self;
        if mode == Mode::Train {
            let _ = batches.shallow_clone().g_add_scalar_(1);
        }
        if x.device().is_cuda() {
            let running = (mode != Mode::Batch).then_some((mean, variance));
            let x = x.batch_norm(
                Some(scale),
                Some(offset),
                running.map(|(mean, _)| mean),
                running.map(|(_, variance)| variance),
                mode != Mode::Running,
                kernels::MOMENTUM,
                kernels::EPSILON,
                true,
            );
            return done(residual.map_or_else(|| x.shallow_clone(), |residual| &x + residual), then);
        }
        if mode == Mode::Running {
            let factor = scale / (variance + kernels::EPSILON).sqrt();
            return kernels::affine(x, &factor, &(offset - mean * &factor), residual, then);
        }
        let running = (mode == Mode::Train).then_some((mean, variance));
        kernels::normalise(x, NormVectors { scale, offset, running }, residual, then)
    }
}

#[derive(Debug)]
struct Block {
    first: (Convolution, Norm),
    second: (Convolution, Norm),
    shortcut: Option<(Convolution, Norm)>,
}

impl Block {
    fn new(weights: &Weights, name: &str, stride: i64) -> Self {
        let pair = |number, stride| {
            let convolution = Convolution::plain(weights, &format!("{name}.conv{number}"), stride, 1);
            (convolution, Norm::new(weights, &format!("{name}.bn{number}")))
        };
        // The encoder halves and widens in one block, so a stride and a shortcut come together.
        let shortcut = (stride != 1).then(|| {
            let convolution = Convolution::plain(weights, &format!("{name}.downsample.0"), stride, 0);
            (convolution, Norm::new(weights, &format!("{name}.downsample.1")))
        });
        Self { first: pair(1, stride), second: pair(2, 1), shortcut }
    }

    fn apply(&self, x: &Tensor, mode: Mode) -> Tensor {
        let through = |(convolution, norm): &(Convolution, Norm), x: &Tensor, residual: Option<&Tensor>, then| {
            norm.apply(&convolution.apply(x, Then::Nothing), residual, then, mode)
        };
        let shortcut = self.shortcut.as_ref().map(|shortcut| through(shortcut, x, None, Then::Nothing));
        let inner = through(&self.first, x, None, Then::Relu);
        through(&self.second, &inner, Some(shortcut.as_ref().unwrap_or(x)), Then::Relu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enlarging_by_matrices_is_enlarging_bilinearly() {
        for ((height, width), (tall, wide)) in
            [((1, 2), (2, 4)), ((3, 5), (6, 10)), ((8, 16), (16, 32)), ((2, 4), (3, 7)), ((1, 1), (1, 2))]
        {
            let kind = (Kind::Float, tch::Device::Cpu);
            let x = Tensor::arange(2 * height * width, kind).sin().view([1, 2, height, width]);
            let like = Tensor::zeros([1, 1, tall, wide], kind);
            let columns = steps_between(width, wide, &x).transpose(0, 1);
            let product = steps_between(height, tall, &x).matmul(&x).matmul(&columns);
            let difference = (product - enlarge(&x, &like)).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "{height} x {width} to {tall} x {wide}: {difference}");
        }
    }
}
