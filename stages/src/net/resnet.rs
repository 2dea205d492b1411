//! ResNet-18, -34 and -50 (He et al. 2016) as torchvision has them: the stride of a bottleneck is that of its 3 x 3 convolution.
//!
//! Decides the two blocks. A block has one rectification that runs two or three times; the shortcut is computed after the block's own
//! convolutions, and the sum overwrites the output of the last normalisation. 11,689,512, 21,797,672 and 25,557,032 parameters with
//! 1,000 classes.

use super::architecture::{
    Architecture, BlockStep, ConvolutionShape, ModuleBlock, NetworkModule, PoolingWindow, StartRule, average_pool,
    batch_norm, linear, relu,
};

/// Channels within the blocks of the four stages.
const WIDTHS: [usize; 4] = [64, 128, 256, 512];

/// How many channels a bottleneck gives for each channel within.
const EXPANSION: usize = 4;

/// ResNet-18: two blocks of two convolutions a stage.
pub fn resnet18(classes: usize) -> Architecture {
    resnet("resnet18", [2, 2, 2, 2], basic_block, 1, classes)
}

/// ResNet-34: blocks of two convolutions.
pub fn resnet34(classes: usize) -> Architecture {
    resnet("resnet34", [3, 4, 6, 3], basic_block, 1, classes)
}

/// ResNet-50: blocks of three convolutions, narrow in the middle.
pub fn resnet50(classes: usize) -> Architecture {
    resnet("resnet50", [3, 4, 6, 3], bottleneck, EXPANSION, classes)
}

/// Makes a block out of its channels in, its channels within, and its stride.
type MakeBlock = fn(usize, usize, usize) -> ModuleBlock;

fn resnet(name: &'static str, depths: [usize; 4], block: MakeBlock, expansion: usize, classes: usize) -> Architecture {
    let mut modules = vec![
        ("conv1".to_owned(), ConvolutionShape::new(3, 64, 7).stride(2).padding(3).without_bias().module()),
        ("bn1".to_owned(), batch_norm(64)),
        ("relu".to_owned(), relu()),
        ("maxpool".to_owned(), PoolingWindow::new(3, 2).padding(1).module()),
    ];
    let mut inputs = 64;
    for (number, (width, depth)) in WIDTHS.into_iter().zip(depths).enumerate() {
        let mut stage = Vec::new();
        for place in 0..depth {
            let stride = if number > 0 && place == 0 { 2 } else { 1 };
            stage.push(block(inputs, width, stride).module());
            inputs = width * expansion;
        }
        modules.push((format!("layer{}", number + 1), ModuleBlock::numbered(stage).module()));
    }
    modules.push(("avgpool".to_owned(), average_pool(1)));
    modules.push(("fc".to_owned(), linear(inputs, classes)));
    let all = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"];
    let root = ModuleBlock::of(modules).runs(&all).then(BlockStep::Flatten).runs(&["fc"]);
    Architecture {
        name,
        root,
        classes,
        address_prefix: None,
        side: 224,
        training_only: &[],
        start: StartRule::KaimingByOutputs,
    }
}

/// Two 3 x 3 convolutions.
fn basic_block(inputs: usize, width: usize, stride: usize) -> ModuleBlock {
    let modules = vec![
        ("conv1", ConvolutionShape::new(inputs, width, 3).stride(stride).padding(1).without_bias().module()),
        ("bn1", batch_norm(width)),
        ("relu", relu()),
        ("conv2", ConvolutionShape::new(width, width, 3).padding(1).without_bias().module()),
        ("bn2", batch_norm(width)),
    ];
    residual(modules, &["conv1", "bn1", "relu", "conv2", "bn2"], shortcut(inputs, width, stride))
}

/// A 1 x 1, a 3 x 3 and a 1 x 1 convolution.
fn bottleneck(inputs: usize, width: usize, stride: usize) -> ModuleBlock {
    let outputs = width * EXPANSION;
    let modules = vec![
        ("conv1", ConvolutionShape::new(inputs, width, 1).without_bias().module()),
        ("bn1", batch_norm(width)),
        ("conv2", ConvolutionShape::new(width, width, 3).stride(stride).padding(1).without_bias().module()),
        ("bn2", batch_norm(width)),
        ("conv3", ConvolutionShape::new(width, outputs, 1).without_bias().module()),
        ("bn3", batch_norm(outputs)),
        ("relu", relu()),
    ];
    let steps = ["conv1", "bn1", "relu", "conv2", "bn2", "relu", "conv3", "bn3"];
    residual(modules, &steps, shortcut(inputs, outputs, stride))
}

/// What fits the input of a block to its output, where they have different shapes.
fn shortcut(inputs: usize, outputs: usize, stride: usize) -> Option<NetworkModule> {
    let convolution = ConvolutionShape::new(inputs, outputs, 1).stride(stride).without_bias();
    (stride != 1 || inputs != outputs)
        .then(|| ModuleBlock::numbered([convolution.module(), batch_norm(outputs)]).module())
}

/// Modules, the order in which they run, and the input (or its shortcut) added to what comes out, rectified.
fn residual(
    mut modules: Vec<(&'static str, NetworkModule)>,
    steps: &[&str],
    shortcut: Option<NetworkModule>,
) -> ModuleBlock {
    const INPUT: usize = 0;
    const OUTPUT: usize = 1;
    let has_shortcut = shortcut.is_some();
    modules.extend(shortcut.map(|shortcut| ("downsample", shortcut)));
    let block = ModuleBlock::of(modules).then(BlockStep::Keep(INPUT)).runs(steps);
    let block = if has_shortcut {
        let fitted = block.then(BlockStep::Keep(OUTPUT)).then(BlockStep::Take(INPUT)).runs(&["downsample"]);
        fitted.then(BlockStep::Keep(INPUT)).then(BlockStep::Take(OUTPUT))
    } else {
        block
    };
    block.then(BlockStep::Add(INPUT)).runs(&["relu"])
}
