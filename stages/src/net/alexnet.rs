//! AlexNet in the form of Krizhevsky (2014), "One weird trick for parallelizing convolutional neural networks", as torchvision has it.
//!
//! Independent of the other networks. 61,100,840 parameters with 1,000 classes.

use super::architecture::{
    Architecture, BlockStep, ConvolutionShape, ModuleBlock, PoolingWindow, StartRule, average_pool, dropout, linear,
    relu,
};

/// AlexNet.
pub fn alexnet(classes: usize) -> Architecture {
    let pool = || PoolingWindow::new(3, 2).module();
    let features = ModuleBlock::numbered([
        ConvolutionShape::new(3, 64, 11).stride(4).padding(2).module(),
        relu(),
        pool(),
        ConvolutionShape::new(64, 192, 5).padding(2).module(),
        relu(),
        pool(),
        ConvolutionShape::new(192, 384, 3).padding(1).module(),
        relu(),
        ConvolutionShape::new(384, 256, 3).padding(1).module(),
        relu(),
        ConvolutionShape::new(256, 256, 3).padding(1).module(),
        relu(),
        pool(),
    ]);
    let classifier = ModuleBlock::numbered([
        dropout(0.5),
        linear(256 * 6 * 6, 4096),
        relu(),
        dropout(0.5),
        linear(4096, 4096),
        relu(),
        linear(4096, classes),
    ]);
    let modules = [("features", features.module()), ("avgpool", average_pool(6)), ("classifier", classifier.module())];
    let root = ModuleBlock::of(modules).runs(&["features", "avgpool"]).then(BlockStep::Flatten).runs(&["classifier"]);
    Architecture {
        name: "alexnet",
        root,
        classes,
        address_prefix: None,
        side: 224,
        training_only: &[],
        start: StartRule::Uniform,
    }
}
