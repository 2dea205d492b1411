//! GoogLeNet (Szegedy et al. 2015) as torchvision has it: with batch normalisation, without offsets in convolutions, and with 3 x 3
//! kernels in the third branch where the paper has 5 x 5.
//!
//! Decides the inception module. The two heads that only its training uses are not part of it; published weights have them. 6,624,904
//! parameters with 1,000 classes.

use super::architecture::{
    Architecture, BlockStep, ConvolutionShape, LayerKind, ModuleBlock, NetworkModule, PoolingWindow, StartRule,
    average_pool, dropout, linear,
};

/// What its normalisations add to variances.
const EPSILON: f64 = 0.001;

/// The kernels of an inception module.
#[derive(Clone, Copy)]
struct Inception {
    name: &'static str,
    inputs: usize,
    /// Of the 1 x 1 convolution that is the first branch.
    single: usize,
    /// Of the 1 x 1 and the 3 x 3 convolution of the second branch.
    second: (usize, usize),
    /// Of the 1 x 1 and the 3 x 3 convolution of the third branch.
    third: (usize, usize),
    /// Of the 1 x 1 convolution after the pooling of the fourth branch.
    pooled: usize,
}

const fn inception(
    name: &'static str,
    inputs: usize,
    single: usize,
    second: (usize, usize),
    third: (usize, usize),
    pooled: usize,
) -> Inception {
    Inception { name, inputs, single, second, third, pooled }
}

/// Table 1 of the paper.
const BEFORE_POOL_3: [Inception; 2] = [
    inception("inception3a", 192, 64, (96, 128), (16, 32), 32),
    inception("inception3b", 256, 128, (128, 192), (32, 96), 64),
];
const BEFORE_POOL_4: [Inception; 5] = [
    inception("inception4a", 480, 192, (96, 208), (16, 48), 64),
    inception("inception4b", 512, 160, (112, 224), (24, 64), 64),
    inception("inception4c", 512, 128, (128, 256), (24, 64), 64),
    inception("inception4d", 512, 112, (144, 288), (32, 64), 64),
    inception("inception4e", 528, 256, (160, 320), (32, 128), 128),
];
const AT_THE_END: [Inception; 2] = [
    inception("inception5a", 832, 256, (160, 320), (32, 128), 128),
    inception("inception5b", 832, 384, (192, 384), (48, 128), 128),
];

/// GoogLeNet.
pub fn googlenet(classes: usize) -> Architecture {
    let wide_pool = || PoolingWindow::new(3, 2).ceil().module();
    let mut modules = vec![
        ("conv1", convolution(ConvolutionShape::new(3, 64, 7).stride(2).padding(3))),
        ("maxpool1", wide_pool()),
        ("conv2", convolution(ConvolutionShape::new(64, 64, 1))),
        ("conv3", convolution(ConvolutionShape::new(64, 192, 3).padding(1))),
        ("maxpool2", wide_pool()),
    ];
    modules.extend(BEFORE_POOL_3.map(|measures| (measures.name, measures.module())));
    modules.push(("maxpool3", wide_pool()));
    modules.extend(BEFORE_POOL_4.map(|measures| (measures.name, measures.module())));
    modules.push(("maxpool4", PoolingWindow::new(2, 2).ceil().module()));
    modules.extend(AT_THE_END.map(|measures| (measures.name, measures.module())));
    modules.push(("avgpool", average_pool(1)));
    let before_flat: Vec<&str> = modules.iter().map(|(name, _)| *name).collect();
    modules.extend([("dropout", dropout(0.2)), ("fc", linear(1024, classes))]);
    let root = ModuleBlock::of(modules).runs(&before_flat).then(BlockStep::Flatten).runs(&["dropout", "fc"]);
    Architecture {
        name: "googlenet",
        root,
        classes,
        address_prefix: None,
        side: 224,
        training_only: &["aux1.", "aux2."],
        start: StartRule::Googlenet,
    }
}

/// A convolution, a normalisation, and a rectification without a module of its own.
fn convolution(shape: ConvolutionShape) -> NetworkModule {
    let norm = NetworkModule::Layer(LayerKind::BatchNorm { channels: shape.outputs, epsilon: EPSILON });
    ModuleBlock::chain([("conv", shape.without_bias().module()), ("bn", norm)]).then(BlockStep::Relu).module()
}

impl Inception {
    /// Four branches on the same input, one after another along the channels.
    fn module(self) -> NetworkModule {
        const INPUT: usize = 4;
        let (inputs, (narrow, wide), (thin, thick)) = (self.inputs, self.second, self.third);
        let pair = |narrow: usize, wide: usize| {
            let first = convolution(ConvolutionShape::new(inputs, narrow, 1));
            ModuleBlock::numbered([first, convolution(ConvolutionShape::new(narrow, wide, 3).padding(1))]).module()
        };
        let pool = PoolingWindow::new(3, 1).padding(1).ceil().module();
        let pooled = convolution(ConvolutionShape::new(inputs, self.pooled, 1));
        let modules = [
            ("branch1", convolution(ConvolutionShape::new(inputs, self.single, 1))),
            ("branch2", pair(narrow, wide)),
            ("branch3", pair(thin, thick)),
            ("branch4", ModuleBlock::numbered([pool, pooled]).module()),
        ];
        let mut block = ModuleBlock::of(modules).then(BlockStep::Keep(INPUT));
        for (place, name) in ["branch1", "branch2", "branch3", "branch4"].into_iter().enumerate() {
            block = block.then(BlockStep::Take(INPUT)).runs(&[name]).then(BlockStep::Keep(place));
        }
        block.then(BlockStep::Join(vec![0, 1, 2, 3])).module()
    }
}
