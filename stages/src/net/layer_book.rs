//! The layers of a network with their names, ranks and addresses.
//!
//! Decides the names: those of the guide (`pfa:fetch_layers`). Layers are counted in the order in which their modules are registered, which
//! is not always that in which they run: the one rectification of a residual block comes after the block's convolutions. A name is what the
//! layer is and how many of these there were (`conv3`); the rank counts all layers from 1. The guide has no rule for blocks of ResNet-18
//! and -34, whose layers it leaves out; here the rule is the same for every block. Independent of sizes of images and of weights.

use pipe_contract::Failure;

use super::architecture::{Architecture, LayerKind, ModuleBlock, NetworkModule};
use crate::formats::nearest_names::nearest;

/// The name of the image itself, as a network is given it, where it is treated as a layer; its rank is 0.
pub const ORIGINAL_RGB: &str = "original_rgb";

/// A layer of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct BookLayer {
    /// Its name, such as `conv3`.
    pub name: String,
    /// Its place among all layers, from 1.
    pub rank: usize,
    /// Names of the modules around it and its own, joined by dots, such as `features.6`; for CORnet-S it begins with `module`.
    pub address: String,
    /// What the names of its tensors begin with: the address without that.
    pub tensors: String,
    /// What it computes.
    pub kind: LayerKind,
}

/// All layers of a network, by rank.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerBook {
    /// The architecture.
    pub architecture: &'static str,
    layers: Vec<BookLayer>,
}

impl LayerKind {
    /// What the name of such a layer begins with.
    pub fn prefix(self) -> &'static str {
        match self {
            LayerKind::Convolution(_) => "conv",
            LayerKind::BatchNorm { .. } => "batchnorm",
            LayerKind::Relu { .. } => "relu",
            LayerKind::MaxPool(_) => "maxpool",
            LayerKind::AdaptiveAveragePool { .. } => "avgpool",
            LayerKind::Linear { .. } => "fc",
            LayerKind::Dropout { .. } => "dropout",
            LayerKind::Flatten => "flatten",
            LayerKind::Identity => "identity",
        }
    }

    /// What PyTorch calls it.
    pub fn class(self) -> &'static str {
        match self {
            LayerKind::Convolution(_) => "Conv2d",
            LayerKind::BatchNorm { .. } => "BatchNorm2d",
            LayerKind::Relu { .. } => "ReLU",
            LayerKind::MaxPool(_) => "MaxPool2d",
            LayerKind::AdaptiveAveragePool { .. } => "AdaptiveAvgPool2d",
            LayerKind::Linear { .. } => "Linear",
            LayerKind::Dropout { .. } => "Dropout",
            LayerKind::Flatten => "Flatten",
            LayerKind::Identity => "Identity",
        }
    }

    /// The numbers of such a layer that training changes.
    pub fn parameters(self) -> usize {
        match self {
            LayerKind::Convolution(shape) => {
                let kernels = shape.outputs * shape.inputs * shape.kernel * shape.kernel;
                kernels + if shape.bias { shape.outputs } else { 0 }
            }
            LayerKind::BatchNorm { channels, .. } => 2 * channels,
            LayerKind::Linear { inputs, outputs } => inputs * outputs + outputs,
            _ => 0,
        }
    }
}

impl ModuleBlock {
    /// How many layers are in it, at any depth.
    pub fn layer_count(&self) -> usize {
        self.modules.iter().map(|named| named.module.layer_count()).sum()
    }
}

impl NetworkModule {
    /// How many layers it is or has in it.
    pub fn layer_count(&self) -> usize {
        match self {
            NetworkModule::Layer(_) => 1,
            NetworkModule::Block(block) => block.layer_count(),
        }
    }
}

impl LayerBook {
    /// The layers of an architecture.
    pub fn of(architecture: &Architecture) -> Self {
        let mut layers = Vec::with_capacity(architecture.root.layer_count());
        collect(&architecture.root, "", &mut layers);
        if let Some(prefix) = architecture.address_prefix {
            layers.iter_mut().for_each(|layer| layer.address = format!("{prefix}.{}", layer.tensors));
        }
        Self { architecture: architecture.name, layers }
    }

    /// All layers; that of rank r is at r - 1.
    pub fn layers(&self) -> &[BookLayer] {
        &self.layers
    }

    /// The layer with a name, else the one with an address; an address may lack its `module.`. Where both are the same word and not the
    /// same layer (`maxpool3` of GoogLeNet), the name counts.
    ///
    /// # Errors
    /// Input: there is no such layer; the message has the names and addresses most like it.
    pub fn find(&self, wanted: &str) -> Result<&BookLayer, Failure> {
        let by_name = self.layers.iter().find(|layer| layer.name == wanted);
        let by_address = || self.layers.iter().find(|layer| layer.address == wanted || layer.tensors == wanted);
        by_name.or_else(by_address).ok_or_else(|| {
            let names = self.layers.iter().map(|layer| layer.name.as_str());
            let addresses = self.layers.iter().map(|layer| layer.address.as_str());
            Failure::input(format!(
                "`{}` has no layer `{wanted}`; most like it: by name {}, by address {}",
                self.architecture,
                nearest(wanted, names),
                nearest(wanted, addresses)
            ))
            .hint("`net/layers` lists the layers of a network with their names and addresses")
        })
    }

    /// What to say where a word is the name of one layer and the address of another: which of them [`find`](Self::find) takes.
    pub fn ambiguity(&self, wanted: &str) -> Option<String> {
        let named = self.layers.iter().find(|layer| layer.name == wanted)?;
        let other = self.layers.iter().find(|layer| layer.rank != named.rank && layer.address == wanted)?;
        Some(format!(
            "`{wanted}` is the name of the layer `{}`, which is taken, and the address of another, whose name is `{}`",
            named.address, other.name
        ))
    }

    /// The layers with these names or addresses in order of rank, each once; all of them where none is given. [`ORIGINAL_RGB`] may be
    /// among the names: it is not a layer of the network and is left out here.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn chosen(&self, wanted: &[String]) -> Result<Vec<&BookLayer>, Failure> {
        if wanted.is_empty() {
            return Ok(self.layers.iter().collect());
        }
        let names = wanted.iter().filter(|name| *name != ORIGINAL_RGB);
        let mut found = names.map(|name| self.find(name)).collect::<Result<Vec<_>, _>>()?;
        found.sort_by_key(|layer| layer.rank);
        found.dedup_by_key(|layer| layer.rank);
        Ok(found)
    }
}

/// Adds the layers of a block in the order of registration, depth first.
fn collect(block: &ModuleBlock, around: &str, layers: &mut Vec<BookLayer>) {
    for named in &block.modules {
        let path = if around.is_empty() { named.name.clone() } else { format!("{around}.{}", named.name) };
        match &named.module {
            NetworkModule::Block(inner) => collect(inner, &path, layers),
            NetworkModule::Layer(kind) => {
                let prefix = kind.prefix();
                let number = 1 + layers.iter().filter(|layer| layer.kind.prefix() == prefix).count();
                let (name, rank) = (format!("{prefix}{number}"), layers.len() + 1);
                layers.push(BookLayer { name, rank, address: path.clone(), tensors: path, kind: *kind });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::shipped_architectures::named;

    fn book(name: &str) -> LayerBook {
        LayerBook::of(&named(name, 1000).unwrap())
    }

    fn place(book: &LayerBook, name: &str) -> (usize, String) {
        let layer = book.find(name).unwrap();
        (layer.rank, layer.address.clone())
    }

    fn count(book: &LayerBook, prefix: &str) -> usize {
        book.layers().iter().filter(|layer| layer.kind.prefix() == prefix).count()
    }

    /// The counts that the guide's tables have, and those of ResNet-18 and -34 by hand: 4 at the start, 2 at the end, for each block
    /// five, for each of three shortcuts two.
    #[test]
    fn networks_have_as_many_layers_as_in_the_guide() {
        for (name, layers) in [
            ("alexnet", 21),
            ("vgg19", 45),
            ("resnet50", 126),
            ("googlenet", 130),
            ("cornet_s", 66),
            ("resnet18", 4 + 8 * 5 + 3 * 2 + 2),
            ("resnet34", 4 + 16 * 5 + 3 * 2 + 2),
        ] {
            let book = book(name);
            assert_eq!(book.layers().len(), layers, "{name}");
            assert!(book.layers().iter().enumerate().all(|(at, layer)| layer.rank == at + 1), "{name}");
        }
        let resnet = book("resnet50");
        assert_eq!(["conv", "batchnorm", "relu"].map(|prefix| count(&resnet, prefix)), [53, 53, 17]);
        let googlenet = book("googlenet");
        assert_eq!(["conv", "batchnorm", "relu", "maxpool"].map(|prefix| count(&googlenet, prefix)), [57, 57, 0, 13]);
    }

    #[test]
    fn names_ranks_and_addresses_are_those_of_the_guide() {
        let alexnet = book("alexnet");
        assert_eq!(place(&alexnet, "conv3"), (7, "features.6".to_owned()));
        assert_eq!(place(&alexnet, "fc3"), (21, "classifier.6".to_owned()));
        let vgg = book("vgg19");
        for (name, rank) in [("avgpool1", 38), ("fc1", 39), ("relu17", 40), ("dropout1", 41), ("fc2", 42), ("fc3", 45)]
        {
            assert_eq!(place(&vgg, name).0, rank, "{name}");
        }
        let resnet = book("resnet50");
        assert_eq!((place(&resnet, "avgpool1").0, place(&resnet, "fc1").0), (125, 126));
        let googlenet = book("googlenet");
        assert_eq!(["avgpool1", "dropout1", "fc1"].map(|name| place(&googlenet, name).0), [128, 129, 130]);
        assert_eq!(place(&googlenet, "conv3").1, "conv3.conv");
    }

    /// One rectification a block, after the convolutions and before the shortcut.
    #[test]
    fn layers_of_residual_blocks_are_in_the_order_of_registration() {
        let addresses = |name: &str, block: &str| -> Vec<String> {
            let book = book(name);
            let inside = book.layers().iter().filter_map(|layer| layer.address.strip_prefix(block));
            inside.map(str::to_owned).collect()
        };
        assert_eq!(
            addresses("resnet50", "layer1.0."),
            ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "relu", "downsample.0", "downsample.1"]
        );
        assert_eq!(
            addresses("resnet18", "layer2.0."),
            ["conv1", "bn1", "relu", "conv2", "bn2", "downsample.0", "downsample.1"]
        );
        assert_eq!(addresses("resnet18", "layer2.1."), ["conv1", "bn1", "relu", "conv2", "bn2"]);
        assert_eq!(
            addresses("cornet_s", "module.V2."),
            [
                "conv_input",
                "skip",
                "norm_skip",
                "conv1",
                "nonlin1",
                "conv2",
                "nonlin2",
                "conv3",
                "nonlin3",
                "output",
                "norm1_0",
                "norm2_0",
                "norm3_0",
                "norm1_1",
                "norm2_1",
                "norm3_1"
            ]
        );
    }

    #[test]
    fn layers_are_found_by_name_and_address() {
        let cornet = book("cornet_s");
        let first = cornet.find("conv1").unwrap();
        assert_eq!((first.address.as_str(), first.tensors.as_str()), ("module.V1.conv1", "V1.conv1"));
        assert_eq!(cornet.find("module.V1.conv1").unwrap(), first);
        assert_eq!(cornet.find("V1.conv1").unwrap(), first);
        let googlenet = book("googlenet");
        assert_eq!(googlenet.find("maxpool3").unwrap().address, "inception3a.branch4.0");
        assert_eq!(googlenet.find("maxpool5").unwrap().address, "maxpool3");
        let expected = "`maxpool3` is the name of the layer `inception3a.branch4.0`, which is taken, and the address of another, whose name is `maxpool5`";
        assert_eq!(googlenet.ambiguity("maxpool3").as_deref(), Some(expected));
        assert_eq!((googlenet.ambiguity("maxpool5"), book("resnet18").ambiguity("conv1")), (None, None));
        let alexnet = book("alexnet");
        let message = alexnet.find("conv6").unwrap_err().message;
        assert!(message.starts_with("`alexnet` has no layer `conv6`; most like it: by name `conv1`"), "{message}");
        let message = alexnet.find("features.16").unwrap_err().message;
        assert!(message.contains("by address `features.1`"), "{message}");
    }

    #[test]
    fn chosen_layers_are_in_order_and_once() {
        let alexnet = book("alexnet");
        let names = |wanted: &[&str]| -> Vec<String> {
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            alexnet.chosen(&wanted).unwrap().into_iter().map(|layer| layer.name.clone()).collect()
        };
        assert_eq!(names(&["fc1", "original_rgb", "conv1", "features.0"]), ["conv1", "fc1"]);
        assert_eq!(names(&[]).len(), 21);
        assert!(names(&["original_rgb"]).is_empty());
    }
}
