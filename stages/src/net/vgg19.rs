//! VGG-19 (Simonyan and Zisserman 2015, configuration E), without batch normalisation, as torchvision has it.
//!
//! Independent of the other networks. 143,667,240 parameters with 1,000 classes.

use super::architecture::{
    Architecture, BlockStep, ConvolutionShape, ModuleBlock, NetworkModule, PoolingWindow, StartRule, average_pool,
    dropout, linear, relu,
};

/// Channels, and how many convolutions in a row have them; a pooling follows each row.
const ROWS: [(usize, usize); 5] = [(64, 2), (128, 2), (256, 4), (512, 4), (512, 4)];

/// VGG-19.
pub fn vgg19(classes: usize) -> Architecture {
    let classifier = ModuleBlock::numbered([
        linear(512 * 7 * 7, 4096),
        relu(),
        dropout(0.5),
        linear(4096, 4096),
        relu(),
        dropout(0.5),
        linear(4096, classes),
    ]);
    let modules = [
        ("features", ModuleBlock::numbered(features()).module()),
        ("avgpool", average_pool(7)),
        ("classifier", classifier.module()),
    ];
    let root = ModuleBlock::of(modules).runs(&["features", "avgpool"]).then(BlockStep::Flatten).runs(&["classifier"]);
    Architecture {
        name: "vgg19",
        root,
        classes,
        address_prefix: None,
        side: 224,
        training_only: &[],
        start: StartRule::Vgg,
    }
}

fn features() -> Vec<NetworkModule> {
    let mut modules = Vec::new();
    let mut inputs = 3;
    for (channels, convolutions) in ROWS {
        for _ in 0..convolutions {
            modules.push(ConvolutionShape::new(inputs, channels, 3).padding(1).module());
            modules.push(relu());
            inputs = channels;
        }
        modules.push(PoolingWindow::new(2, 2).module());
    }
    modules
}
