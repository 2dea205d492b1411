//! A small network that is trained within a pipeline: three convolutions and two matrices, for images of 64 x 64 pixels and up.
//!
//! Of no paper. It has AlexNet's parts (convolution, rectification, pooling, and a classifier behind a pooling to a fixed side), so that its
//! layers can be compared with AlexNet's by name, and so few numbers that it learns to name tens of objects in seconds on a processor.

use super::architecture::{
    Architecture, BlockStep, ConvolutionShape, ModuleBlock, PoolingWindow, StartRule, average_pool, linear, relu,
};

/// The small network.
pub fn small(classes: usize) -> Architecture {
    let pool = || PoolingWindow::new(2, 2).module();
    let features = ModuleBlock::numbered([
        ConvolutionShape::new(3, 16, 5).stride(2).padding(2).module(),
        relu(),
        pool(),
        ConvolutionShape::new(16, 32, 3).padding(1).module(),
        relu(),
        pool(),
        ConvolutionShape::new(32, 64, 3).padding(1).module(),
        relu(),
        pool(),
    ]);
    let classifier = ModuleBlock::numbered([linear(64 * 4 * 4, 128), relu(), linear(128, classes)]);
    let modules = [("features", features.module()), ("avgpool", average_pool(4)), ("classifier", classifier.module())];
    let root = ModuleBlock::of(modules).runs(&["features", "avgpool"]).then(BlockStep::Flatten).runs(&["classifier"]);
    Architecture {
        name: "small",
        root,
        classes,
        address_prefix: None,
        side: 64,
        training_only: &[],
        start: StartRule::Uniform,
    }
}
