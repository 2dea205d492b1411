//! Declarations of the kinds that run networks on stimuli; `pipe-torch` runs them.
//!
//! Activations are large (a layer of 1,000 images may take gigabytes) and what is made of them is small, so each of these kinds runs the
//! network itself, in as many passes as its memory asks for, and none of them writes activations but `net/features`, on request.

use std::collections::BTreeMap;

use pipe_contract::{Column, ColumnMeaning, InputColumns, Kind, Repro, Runs, Value, choice, parameters};

use super::shipped_architectures::ARCHITECTURES;
use crate::declared::compute_place::ComputePlace;
use crate::formats::data_table::{self, STAMP};

parameters! {
    /// How networks are run, for all kinds that use what their layers give.
    #[derive(Clone, Debug)]
    pub struct ForwardParameters {
        /// names (`conv1`) or addresses (`features.0`) of the layers that are used; empty for all. `original_rgb` is the image itself, of which
        /// `net/rdms` always makes RDMs
        pub layers: Vec<String> = Vec::new();
        /// which runs of a layer count that runs several times for one image: in residual blocks and recurrences
        pub calls: LayerRuns = LayerRuns::Last;
        /// what is cut off the resized image
        pub crop: ImageCrop = ImageCrop::Own;
        /// stimuli that go through the network at a time
        pub batch: usize = 25, in 1..=10_000;
        /// megabytes that activations may take; where they need more, the network runs several times, each time for some of the layers
        pub memory: u64 = 2_000, in 16..=10_000_000;
        /// faults of the guide's program that are reproduced
        pub compat: Vec<NetworkCompat> = Vec::new();
        ..pub place: ComputePlace;
    }
}

choice! {
    /// Which runs of a layer count.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LayerRuns {
        /// The last, as in the guide.
        Last = "last",
        /// Each by itself, with its number.
        All = "all",
    }
}

choice! {
    /// What is cut off the resized image.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ImageCrop {
        /// As in the training of the network, where `net/train` trained it; else nothing.
        Own = "own",
        /// Nothing, as in the guide.
        None = "none",
        /// All but the square in the centre.
        Centre = "centre",
    }
}

choice! {
    /// A fault of the guide's program.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum NetworkCompat {
        /// What a layer gave is read after the next one has overwritten it in place: a convolution before a rectification is recorded rectified.
        AliasInplace = "alias_inplace",
        /// Of `original_rgb`, `unit_level` has the means of the three channels and `feature_means` the pixels.
        SwapRgb = "swap_rgb",
    }
}

choice! {
    /// What of a layer's output is used.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum ActivationType {
        /// Every unit.
        UnitLevel = "unit_level",
        /// The mean of every feature over the image.
        FeatureMeans = "feature_means",
    }
}

impl ActivationType {
    /// Its word in parameters and tables.
    pub fn word(self) -> &'static str {
        match self {
            ActivationType::UnitLevel => "unit_level",
            ActivationType::FeatureMeans => "feature_means",
        }
    }
}

choice! {
    /// How far apart two patterns of activation are.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum PatternDistance {
        /// 1 - Pearson's correlation.
        Correlation = "correlation",
        /// The Euclidean distance.
        Euclidean = "euclidean",
        /// Its square.
        SquaredEuclidean = "squared_euclidean",
        /// 1 - the cosine of the angle.
        Cosine = "cosine",
    }
}

parameters! {
    /// Parameters of `net/rdms`.
    #[derive(Clone, Debug)]
    pub struct RdmParameters {
        /// how far apart two patterns are
        pub dissimilarities: Vec<PatternDistance> = vec![PatternDistance::Correlation];
        /// what of a layer's output is used
        pub activations: Vec<ActivationType> = vec![ActivationType::UnitLevel, ActivationType::FeatureMeans];
        /// RDMs of some of a layer's features beside those of all: `{ name, layer, kernels: [0, 5] }`, numbered from 0; several of one name are
        /// one set, layers that a set does not have are taken whole; `network` restricts an item to networks of this name or architecture
        pub kernel_sets: Vec<BTreeMap<String, Value>> = Vec::new();
        /// RDMs with entries in a random order, beside the one with their own
        pub permutations: u32 = 0, in 0..=100_000;
        /// the seed of these orders: with the same one, all layers and networks have the same orders, as a joint null distribution needs
        pub permutation_seed: u64 = 0, in 0..=9_007_199_254_740_991;
        /// variables whose values name an entry; empty for the stimulus's `id`
        pub entries: Vec<String> = Vec::new();
        /// variables by whose values stimuli are grouped: an RDM for each combination
        pub sets: Vec<String> = Vec::new();
        /// entries that are made of others, after these: `{ name, stimuli: [a, b], weights: [0.5, 0.5] }`; without weights their mean
        pub combine: Vec<BTreeMap<String, Value>> = Vec::new();
        ..pub forward: ForwardParameters;
    }
}

parameters! {
    /// Parameters of `net/features`.
    #[derive(Clone, Debug)]
    pub struct FeatureParameters {
        /// what of a layer's output is used
        pub activation: ActivationType = ActivationType::UnitLevel;
        ..pub forward: ForwardParameters;
    }
}

parameters! {
    /// Parameters of `net/anova`.
    #[derive(Clone, Debug)]
    pub struct AnovaParameters {
        /// the two variables; every combination of their values is one stimulus
        pub factors: Vec<String>;
        /// variables by whose values stimuli are grouped: an analysis for each combination
        pub sets: Vec<String> = Vec::new();
        ..pub forward: ForwardParameters;
    }
}

parameters! {
    /// Parameters of `net/decode`.
    #[derive(Clone, Debug)]
    pub struct DecodingParameters {
        /// the two variables; values of each are decoded, across the values of the other
        pub variables: Vec<String>;
        /// variables by whose values stimuli are grouped: an analysis for each combination
        pub sets: Vec<String> = Vec::new();
        /// what of a layer's output is used
        pub activation: ActivationType = ActivationType::UnitLevel;
        /// the penalty `C` of errors in the support vector machine
        pub penalty: f64 = 1.0, in 1e-9..=1e9;
        ..pub forward: ForwardParameters;
    }
}

parameters! {
    /// Parameters of `net/calibrate`.
    #[derive(Clone, Debug)]
    pub struct CalibrationParameters {
        /// images whose statistics are taken, spread evenly over the different ones; all if there are fewer
        pub images: usize = 64, in 1..=10_000;
        /// what is cut off the resized image
        pub crop: ImageCrop = ImageCrop::Own;
        /// images that operations take at a time
        pub batch: usize = 16, in 1..=10_000;
        /// megabytes that activations may take: these images are between two layers at the same time
        pub memory: u64 = 2_000, in 16..=10_000_000;
        ..pub place: ComputePlace;
    }
}

choice! {
    /// By which rule a training changes weights.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum TrainingRule {
        /// Adam (Kingma and Ba 2015).
        Adam = "adam",
        /// Stochastic gradient descent with momentum.
        Sgd = "sgd",
    }
}

parameters! {
    /// Parameters of `net/train`.
    #[derive(Clone, Debug)]
    pub struct NetworkTraining {
        /// the variable of the stimuli whose values the network is trained to name
        pub variable: String;
        /// the architecture
        pub architecture: String = "small".to_owned(), one_of ARCHITECTURES;
        /// what tables call the network; empty for the architecture, with `_trained` behind it
        pub name: String = String::new();
        /// pixels of the shorter side of images; 0 for those that the architecture is made for
        pub side: usize = 0, in 0..=4096;
        /// what is cut off the resized image
        pub crop: ImageCrop = ImageCrop::None;
        /// share of the stimuli of each value that are not trained on, at random; accuracy and loss of them are in the table
        pub held_out: f64 = 0.0, in 0.0..=0.9;
        /// a variable whose values keep stimuli together: all of one value are trained on or held out; empty for none
        pub held_out_by: String = String::new();
        /// by which rule weights change
        pub optimiser: TrainingRule = TrainingRule::Adam;
        /// learning rate
        pub learning_rate: f64 = 0.001, in 0.0..=1e3;
        /// momentum of stochastic gradient descent
        pub momentum: f64 = 0.9, in 0.0..=1.0;
        /// this times a weight is added to its gradient, as PyTorch's `weight_decay`
        pub weight_decay: f64 = 0.0, in 0.0..=1e3;
        /// batches that are trained on
        pub iterations: u32 = 200, in 1..=10_000_000;
        /// stimuli in a batch
        pub batch: usize = 16, in 1..=10_000;
        /// iterations from one row of the table to the next
        pub log_every: u32 = 10, in 1..=1_000_000;
        ..pub place: ComputePlace;
    }
}

/// Columns of the table of `net/anova`; columns of its sets come before.
pub const ANOVA_COLUMNS: &[Column] = &[
    Column::new("network", "the network"),
    Column::new("layer", "the layer"),
    Column::new("rank", "its rank; 0 for the image itself"),
    Column::new("step", "which run of the layer it is, where all of them count"),
    Column::new("source", "what the variance is of: one of the two variables, or `interaction`"),
    Column::new("units", "units whose variance over the stimuli is not 0"),
    Column::new("constant", "units whose variance over the stimuli is 0; they count in nothing"),
    Column::measured(
        "eta2_mean",
        "share of variance, 0 to 1",
        "mean over units of the share of variance that the source explains",
    ),
    Column::measured("eta2_stdev", "share of variance", "standard deviation of that share over units (n)"),
    Column::measured(
        "eta2_stdev_features",
        "share of variance",
        "standard deviation (n) over features of the mean share of a feature's units",
    ),
    STAMP,
];

/// Columns of the table of `net/decode`; columns of its sets come before.
pub const DECODING_COLUMNS: &[Column] = &[
    Column::new("network", "the network"),
    Column::new("layer", "the layer"),
    Column::new("rank", "its rank; 0 for the image itself"),
    Column::new("step", "which run of the layer it is, where all of them count"),
    Column::new("decoded", "the variable whose values are decoded"),
    Column::new("across", "the other variable, of whose values one at a time is left out"),
    Column::new("first", "the first value of the pair"),
    Column::new("second", "the second value of the pair"),
    Column::measured("accuracy", "share, 0 to 1", "share of the stimuli left out that are named right; 0.5 by chance"),
    Column::new("tested", "stimuli left out, two at a time"),
    STAMP,
];

/// Columns of the table of `net/train`.
pub const NETWORK_TRAINING_COLUMNS: &[Column] = &[
    Column::new("iteration", "batches trained on so far"),
    Column::new("part", "which stimuli").levels(&[("train", "those trained on"), ("held_out", "the others")]),
    Column::measured("loss", "nats, at least 0", "cross-entropy of the answers"),
    Column::measured("accuracy", "share, 0 to 1", "share of the stimuli that are named right"),
    STAMP,
];

/// Every kind of this folder that the worker runs.
pub fn in_worker() -> Vec<Kind> {
    vec![rdms(), features(), anova(), decode(), train(), calibrate()]
}

/// A kind that takes stimuli and a network.
fn forward(name: &'static str, version: u32, about: &'static str) -> Kind {
    let mut kind = Kind::new(name, version, about).input("stimuli", &["stimuli"], "images with their variables").input(
        "network",
        &["network"],
        "the network that they go through",
    );
    kind.stamped = true;
    kind.runs = Runs::ProcessReusable;
    kind
}

/// `net/rdms`.
pub fn rdms() -> Kind {
    let mut kind = forward(
        "net/rdms",
        1,
        "RDMs of all layers of a network for stimuli, without activations being written",
    )
    .folder(
        "rdms",
        "rdms",
        "an RDM for each set, layer, dissimilarity, type of activation, kernel set and permutation, in this order",
    )
    .parameters::<RdmParameters>();
    // Distances of activations that agree to 1e-4 of their size.
    kind.repro = Repro::Within(1e-3);
    kind
}

/// `net/features`.
pub fn features() -> Kind {
    let mut kind = forward("net/features", 1, "activations of layers as features of stimuli, a feature space a layer")
        .folder(
            "matrix",
            "matrix",
            "rows are stimuli, columns units or means of features (numbers of 32 bits); `space` is the network and layer, with `network`, `layer`, `rank`, `feature`, of units `row` and `column`",
        )
        .parameters::<FeatureParameters>();
    kind.repro = Repro::Within(1e-3);
    kind
}

/// `net/anova`.
pub fn anova() -> Kind {
    let mut kind =
        forward("net/anova", 1, "which shares of the variance of a layer's units two variables of the stimuli explain")
            .folder("table", "table/anova", "a row a set, layer and source of variance")
            .described(data_table::FILES, ANOVA_COLUMNS)
            .others(variable)
            .parameters::<AnovaParameters>();
    kind.repro = Repro::Within(1e-3);
    kind
}

/// `net/decode`.
pub fn decode() -> Kind {
    let mut kind = forward(
        "net/decode",
        1,
        "which values of two variables of the stimuli a linear support vector machine decodes from a layer",
    )
    .folder("table", "table/decoding", "a row a set, layer, variable and pair of its values")
    .described(data_table::FILES, DECODING_COLUMNS)
    .others(variable)
    .parameters::<DecodingParameters>();
    // A stimulus at the border of a machine is named right on one processor and wrong on another.
    kind.repro = Repro::Within(0.25);
    kind
}

/// `net/train`.
pub fn train() -> Kind {
    let mut kind = Kind::new(
        "net/train",
        1,
        "trains a network to name a variable of the stimuli, from random weights that depend on its seed",
    )
    .input("stimuli", &["stimuli"], "images with their variables")
    .folder("network", "network", "`network.json` with the values that it names, and the weights")
    .folder("training", "table/training", "loss and accuracy, a row an iteration that is logged and part")
    .described(data_table::FILES, NETWORK_TRAINING_COLUMNS)
    .parameters::<NetworkTraining>();
    kind.stamped = true;
    kind.runs = Runs::ProcessFresh;
    kind.random = true;
    // Two instruction sets round differently, and training amplifies it.
    kind.repro = Repro::Within(0.05);
    kind
}

/// `net/calibrate`.
pub fn calibrate() -> Kind {
    let mut kind = Kind::new(
        "net/calibrate",
        1,
        "a network whose batch normalisations have the statistics of stimuli, so that numbers of an untrained one neither vanish nor grow",
    )
    .input("stimuli", &["stimuli"], "images; what is compared later should use one network that was calibrated once")
    .input("network", &["network"], "the network; one without batch normalisation is given on as it is")
    .folder("network", "network", "the same network with these statistics in the place of its own")
    .parameters::<CalibrationParameters>();
    kind.runs = Runs::ProcessReusable;
    kind.repro = Repro::Within(1e-3);
    kind
}

/// What a column means that has values of a variable of the stimuli.
fn variable(name: &str, _: &BTreeMap<String, Value>, inputs: &InputColumns<'_>) -> ColumnMeaning {
    inputs("stimuli", name).unwrap_or_else(|| ColumnMeaning {
        about: "values of this variable of the stimuli, which are one set".to_owned(),
        ..ColumnMeaning::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_runs_in_the_worker_and_has_its_defaults() {
        for kind in in_worker() {
            assert!(kind.runs != Runs::Thread && kind.name.starts_with("net/"), "{}", kind.name);
            assert!(kind.params.iter().any(|param| param.name == "threads"), "{}", kind.name);
        }
        let rdms = rdms();
        let default = |name: &str| rdms.params.iter().find(|param| param.name == name).unwrap().default.clone();
        assert_eq!(default("dissimilarities"), Some(Value::List(vec![Value::Text("correlation".to_owned())])));
        assert_eq!(default("memory"), Some(Value::Int(2_000)));
        assert_eq!(ActivationType::FeatureMeans.word(), "feature_means");
    }
}
