//! CORnet-S (Kubilius et al. 2019): four areas named for the ventral stream, three of them recurrent, and a decoder.
//!
//! Written from the paper and from the structure of the published network (names, measures, number of passes), not from its program. An
//! area's convolutions are the same in each pass; its normalisations are not: each pass has its own, hence the number after `norm1_`.
//! Only the first pass has the strided shortcut, and only there does the 3 x 3 convolution have a stride. 53,416,616 parameters with 1,000
//! classes.

use super::architecture::{
    Architecture, BlockStep, ConvolutionShape, LayerKind, ModuleBlock, NetworkModule, PoolingWindow, StartRule,
    average_pool, batch_norm, linear, relu,
};

/// How many channels there are within an area for each channel that it gives.
const SCALE: usize = 4;

/// CORnet-S.
pub fn cornet_s(classes: usize) -> Architecture {
    let root = ModuleBlock::chain([
        ("V1", v1().module()),
        ("V2", area(64, 128, 2).module()),
        ("V4", area(128, 256, 4).module()),
        ("IT", area(256, 512, 2).module()),
        ("decoder", decoder(classes).module()),
    ]);
    Architecture {
        name: "cornet_s",
        root,
        classes,
        address_prefix: Some("module"),
        side: 224,
        training_only: &[],
        start: StartRule::KaimingByOutputs,
    }
}

fn identity() -> NetworkModule {
    NetworkModule::Layer(LayerKind::Identity)
}

fn v1() -> ModuleBlock {
    ModuleBlock::chain([
        ("conv1", ConvolutionShape::new(3, 64, 7).stride(2).padding(3).without_bias().module()),
        ("norm1", batch_norm(64)),
        ("nonlin1", relu()),
        ("pool", PoolingWindow::new(3, 2).padding(1).module()),
        ("conv2", ConvolutionShape::new(64, 64, 3).padding(1).without_bias().module()),
        ("norm2", batch_norm(64)),
        ("nonlin2", relu()),
        ("output", identity()),
    ])
}

fn decoder(classes: usize) -> ModuleBlock {
    ModuleBlock::chain([
        ("avgpool", average_pool(1)),
        ("flatten", NetworkModule::Layer(LayerKind::Flatten)),
        ("linear", linear(512, classes)),
        ("output", identity()),
    ])
}

/// An area that passes its input through the same convolutions several times.
fn area(inputs: usize, outputs: usize, passes: usize) -> ModuleBlock {
    const BEFORE: usize = 0;
    const SHORTCUT: usize = 1;
    let within = outputs * SCALE;
    let point = |inputs, outputs| ConvolutionShape::new(inputs, outputs, 1).without_bias();
    let fixed = [
        ("conv_input", point(inputs, outputs).module()),
        ("skip", point(outputs, outputs).stride(2).module()),
        ("norm_skip", batch_norm(outputs)),
        ("conv1", point(outputs, within).module()),
        ("nonlin1", relu()),
        ("conv2", ConvolutionShape::new(within, within, 3).stride(2).padding(1).without_bias().module()),
        ("nonlin2", relu()),
        ("conv3", point(within, outputs).module()),
        ("nonlin3", relu()),
        ("output", identity()),
    ];
    let norms = (0..passes).flat_map(|pass| {
        [("norm1", within), ("norm2", within), ("norm3", outputs)]
            .map(|(name, channels)| (format!("{name}_{pass}"), batch_norm(channels)))
    });
    let modules = fixed.into_iter().map(|(name, module)| (name.to_owned(), module)).chain(norms);
    let mut block = ModuleBlock::of(modules).runs(&["conv_input"]);
    for pass in 0..passes {
        block = block.then(BlockStep::Keep(BEFORE));
        block = if pass == 0 {
            block.runs(&["skip", "norm_skip"]).then(BlockStep::Keep(SHORTCUT)).then(BlockStep::Take(BEFORE))
        } else {
            block.then(BlockStep::Keep(SHORTCUT))
        };
        let norm = |number: usize| format!("norm{number}_{pass}");
        block = block.runs(&["conv1", &norm(1), "nonlin1"]);
        block = if pass == 0 { block.runs(&["conv2"]) } else { block.runs_with_stride("conv2", 1) };
        block = block.runs(&[&norm(2), "nonlin2", "conv3", &norm(3)]);
        block = block.then(BlockStep::Add(SHORTCUT)).runs(&["nonlin3", "output"]);
    }
    block
}
