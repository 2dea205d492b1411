//! The tensors of the network: names, shapes and how each starts. The names are those of the original's state dict.
//!
//! A U-Net over a ResNet encoder of basic blocks. `layer0` is the stem (7 x 7, stride 2), `layer1` a pooling layer followed by the
//! ResNet's first stage (hence `layer1.1.`), `layer2` to `layer4` the other stages; the rest is the decoder.

/// One tensor of the state dict.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightEntry {
    /// Its name in the state dict.
    pub name: String,
    /// Its shape; convolutions are [out, in, height, width].
    pub shape: Vec<usize>,
    /// What it is.
    pub role: Role,
}

/// What a tensor is, and with that its value in a fresh network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Encoder kernel: normal, standard deviation sqrt(2 / fan out).
    Encoder,
    /// Any other kernel, and bias: uniform within 1 / sqrt(fan in).
    Uniform {
        /// Inputs times kernel area of its convolution.
        fan_in: usize,
    },
    /// Scale of a batch normalisation: 1.
    Scale,
    /// Offset of a batch normalisation: 0.
    Offset,
    /// Running mean: 0; not trained.
    Mean,
    /// Running variance: 1; not trained.
    Variance,
    /// Number of batches seen, a 64-bit whole number: 0; not trained.
    Batches,
}

impl Role {
    /// Whether the optimiser changes it.
    pub fn is_trained(self) -> bool {
        matches!(self, Role::Encoder | Role::Uniform { .. } | Role::Scale | Role::Offset)
    }
}

impl WeightEntry {
    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Channels after `layer0` to `layer4`.
pub const WIDTHS: [usize; 5] = [64, 64, 128, 256, 512];

/// Decoder steps from the deepest: name, input channels, output channels.
pub const UPWARD: [(&str, usize, usize); 4] = [
    ("conv_up3", 512 + 256, 512),
    ("conv_up2", 512 + 128, 256),
    ("conv_up1", 256 + 64, 256),
    ("conv_up0", 256 + 64, 128),
];

/// Basic blocks in `layer1` to `layer4` of an encoder; `None` for an unknown one.
pub fn depths(base_model: &str) -> Option<[usize; 4]> {
    match base_model {
        "resnet18" => Some([2, 2, 2, 2]),
        "resnet34" => Some([3, 4, 6, 3]),
        _ => None,
    }
}

/// The name before the number of a block: `layer1.1` for stage 1, else `layerN`.
pub fn stage(number: usize) -> String {
    if number == 1 { "layer1.1".into() } else { format!("layer{number}") }
}

/// Every tensor of a network with `inputs` and `outputs` channels, in the order of the original's state dict.
pub fn state_dict(depths: [usize; 4], inputs: usize, outputs: usize) -> Vec<WeightEntry> {
    let mut list = List(Vec::new());
    // Re-created for another number of channels than three, and therefore with the default start of a convolution.
    list.kernel("layer0.0", [64, inputs, 7, 7]);
    list.norm("layer0.1", 64);
    for number in 1..=4 {
        let (from, to) = (WIDTHS[number - 1], WIDTHS[number]);
        for block in 0..depths[number - 1] {
            let name = format!("{}.{block}", stage(number));
            let first = if block == 0 { from } else { to };
            list.encoder(&format!("{name}.conv1"), [to, first, 3, 3]);
            list.norm(&format!("{name}.bn1"), to);
            list.encoder(&format!("{name}.conv2"), [to, to, 3, 3]);
            list.norm(&format!("{name}.bn2"), to);
            if first != to {
                list.encoder(&format!("{name}.downsample.0"), [to, first, 1, 1]);
                list.norm(&format!("{name}.downsample.1"), to);
            }
        }
    }
    for (number, width) in WIDTHS.into_iter().enumerate() {
        list.convolution(&format!("layer{number}_1x1.0"), [width, width, 1, 1]);
    }
    for (name, from, to) in UPWARD {
        list.convolution(&format!("{name}.0"), [to, from, 3, 3]);
    }
    list.convolution("conv_original_size0.0", [64, inputs, 3, 3]);
    list.convolution("conv_original_size1.0", [64, 64, 3, 3]);
    list.convolution("conv_original_size2.0", [64, 64 + 128, 3, 3]);
    list.convolution("conv_last", [outputs, 64, 1, 1]);
    list.0
}

struct List(Vec<WeightEntry>);

impl List {
    fn push(&mut self, name: String, shape: &[usize], role: Role) {
        self.0.push(WeightEntry { name, shape: shape.to_vec(), role });
    }

    fn encoder(&mut self, name: &str, shape: [usize; 4]) {
        self.push(format!("{name}.weight"), &shape, Role::Encoder);
    }

    fn kernel(&mut self, name: &str, shape: [usize; 4]) {
        let fan_in = shape[1..].iter().product();
        self.push(format!("{name}.weight"), &shape, Role::Uniform { fan_in });
    }

    fn convolution(&mut self, name: &str, shape: [usize; 4]) {
        self.kernel(name, shape);
        let fan_in = shape[1..].iter().product();
        self.push(format!("{name}.bias"), &shape[..1], Role::Uniform { fan_in });
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.push(format!("{name}.weight"), &[width], Role::Scale);
        self.push(format!("{name}.bias"), &[width], Role::Offset);
        self.push(format!("{name}.running_mean"), &[width], Role::Mean);
        self.push(format!("{name}.running_var"), &[width], Role::Variance);
        self.push(format!("{name}.num_batches_tracked"), &[], Role::Batches);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::channels;

    fn trained(base_model: &str, inputs: &str, outputs: &str) -> usize {
        let n = channels::of_inputs(inputs).unwrap().len();
        let k = channels::of_outputs(outputs).unwrap().len();
        let entries = state_dict(depths(base_model).unwrap(), n, k);
        entries.iter().filter(|entry| entry.role.is_trained()).map(WeightEntry::count).sum()
    }

    #[test]
    fn trained_parameters_are_the_published_numbers() {
        let table = [
            (
                "resnet18",
                "area",
                [17_814_787, 17_818_499, 17_822_211, 17_825_923, 17_829_635, 17_833_347, 17_837_059, 17_840_771],
            ),
            (
                "resnet18",
                "ring",
                [17_814_917, 17_818_629, 17_822_341, 17_826_053, 17_829_765, 17_833_477, 17_837_189, 17_840_901],
            ),
            (
                "resnet34",
                "area",
                [27_922_947, 27_926_659, 27_930_371, 27_934_083, 27_937_795, 27_941_507, 27_945_219, 27_948_931],
            ),
        ];
        for (base, outputs, counts) in table {
            let ours: Vec<_> = channels::INPUTS.iter().map(|inputs| trained(base, inputs, outputs)).collect();
            assert_eq!(ours, counts, "{base} {outputs}");
        }
    }

    #[test]
    fn names_are_unique() {
        let entries = state_dict([3, 4, 6, 3], 14, 5);
        let names: std::collections::BTreeSet<_> = entries.iter().map(|entry| &entry.name).collect();
        assert_eq!(names.len(), entries.len());
    }
}
