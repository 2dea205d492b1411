//! Which outputs of a network's layers are used, and in how many passes they fit into memory.
//!
//! Decides what layer names and calls mean (the image itself first, the others in the order of their first calls), and what the worker
//! holds while it runs, so that the number of passes is known without libtorch. Independent of what is made of activations.

use pipe_contract::Failure;

use super::architecture::Architecture;
use super::layer_book::{LayerBook, ORIGINAL_RGB};
use super::layer_shapes::{LayerCall, layer_calls};
use super::network_kinds::LayerRuns;
use super::passes::{LayerLoad, PassPlan, PassRequest, plan};

/// A layer's output at one of its calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedLayer {
    /// The layer's name, such as `conv3`.
    pub name: String,
    /// Its rank, from 1; 0 for the image itself.
    pub rank: usize,
    /// Which of its calls this is, from 1.
    pub call: usize,
    /// How many calls it has.
    pub calls: usize,
    /// [channels, height, width], or \[numbers\].
    pub shape: Vec<usize>,
}

impl UsedLayer {
    /// Its name; with the number of its run behind it, where it has several and each is used.
    pub fn label(&self, with_steps: bool) -> String {
        if with_steps && self.calls > 1 { format!("{}@{}", self.name, self.call) } else { self.name.clone() }
    }

    /// Numbers of the output.
    pub fn units(&self) -> usize {
        self.shape.iter().product()
    }

    /// Features: channels, or numbers where there are none.
    pub fn features(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Units of one feature; they lie one after another.
    pub fn units_of_feature(&self) -> usize {
        self.shape.iter().skip(1).product()
    }
}

/// The layers to use: the image first, the others in the order of their first calls, calls of one layer in order.
///
/// # Errors
/// Input: a name that is not a layer; images that are too small for the network.
pub fn used_layers(
    architecture: &Architecture,
    (height, width): (usize, usize),
    wanted: &[String],
    calls: LayerRuns,
) -> Result<Vec<UsedLayer>, Failure> {
    let book = LayerBook::of(architecture);
    let chosen = book.chosen(wanted)?;
    let all = layer_calls(architecture, height, width)?;
    let image = UsedLayer { name: ORIGINAL_RGB.into(), rank: 0, call: 1, calls: 1, shape: vec![3, height, width] };
    let mut layers = vec![image];
    for first in all.iter().filter(|call| call.call == 1) {
        let Some(layer) = chosen.iter().find(|layer| layer.rank == first.rank) else { continue };
        let of_layer: Vec<&LayerCall> = all.iter().filter(|call| call.rank == first.rank).collect();
        let skipped = match calls {
            LayerRuns::All => 0,
            LayerRuns::Last => of_layer.len() - 1,
        };
        layers.extend(of_layer.iter().skip(skipped).map(|call| UsedLayer {
            name: layer.name.clone(),
            rank: layer.rank,
            call: call.call,
            calls: of_layer.len(),
            shape: call.shape.clone(),
        }));
    }
    Ok(layers)
}

/// How activations are computed.
#[derive(Clone, Copy, Debug)]
pub struct PassSettings {
    /// Images that operations take at a time.
    pub batch: usize,
    /// Bytes that activations may take.
    pub limit: u64,
    /// What a layer gave is read when the whole network has run, without a copy at the hook: later layers that overwrite their
    /// input have changed it by then (PyTorch's hooks without a copy, as in the published analysis).
    pub alias_in_place: bool,
}

/// The stimuli that passes are planned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedStimuli {
    /// Different images.
    pub count: usize,
    /// Height and width of each in pixels, as the network takes them.
    pub size: (usize, usize),
}

/// The passes of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerPasses {
    /// Places of the used layers in the order in which the network computes them.
    pub order: Vec<usize>,
    /// The passes; a piece's layer is a place in `order`.
    pub plan: PassPlan,
}

/// Plans the passes in which the units of layers, the means of their features, or both are used.
///
/// # Errors
/// As [`plan`] and [`layer_calls`].
pub fn planned(
    architecture: &Architecture,
    layers: &[UsedLayer],
    stimuli: PlannedStimuli,
    settings: PassSettings,
    (uses_units, uses_means): (bool, bool),
) -> Result<LayerPasses, Failure> {
    let (height, width) = stimuli.size;
    let calls = layer_calls(architecture, height, width)?;
    let computed = |layer: &UsedLayer| calls.iter().position(|call| (call.rank, call.call) == (layer.rank, layer.call));
    let mut order: Vec<usize> = (0..layers.len()).collect();
    // The image is none of the calls and comes first.
    order.sort_by_key(|place| computed(&layers[*place]));
    let load = |place: &usize| LayerLoad {
        units: if uses_units { layers[*place].units() } else { 0 },
        beside: if uses_means { layers[*place].features() * size_of::<f64>() / size_of::<f32>() } else { 0 },
    };
    let loads: Vec<LayerLoad> = order.iter().map(load).collect();
    let plan = plan(&PassRequest {
        loads: &loads,
        largest: largest_layer(&calls, stimuli.size),
        stimuli: stimuli.count,
        batch: settings.batch,
        // Without copies at the hooks, what a batch gave exists beside what is held of it.
        limit: if settings.alias_in_place { settings.limit / 2 } else { settings.limit },
        at_once: !settings.alias_in_place,
    })?;
    Ok(LayerPasses { order, plan })
}

/// Numbers of the largest output of a network for one image, the image itself included.
pub fn largest_layer(calls: &[LayerCall], (height, width): (usize, usize)) -> usize {
    calls.iter().map(LayerCall::units).max().unwrap_or(0).max(3 * height * width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::shipped_architectures::named;

    fn used(name: &str, wanted: &[&str], calls: LayerRuns) -> Vec<UsedLayer> {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        used_layers(&named(name, 10).unwrap(), (224, 224), &wanted, calls).unwrap()
    }

    #[test]
    fn layers_come_in_the_order_of_their_first_calls() {
        let alexnet = used("alexnet", &[], LayerRuns::Last);
        assert_eq!((alexnet.len(), alexnet[0].name.as_str(), alexnet[0].units()), (22, "original_rgb", 150_528));
        assert!(alexnet.windows(2).all(|pair| pair[0].rank < pair[1].rank));
        let conv1 = &alexnet[1];
        assert_eq!((conv1.shape.as_slice(), conv1.features(), conv1.units_of_feature()), (&[64, 55, 55][..], 64, 3025));
        // A bottleneck has one rectification, which runs first behind its first convolution and three times in all.
        let names = |layers: &[UsedLayer]| -> Vec<String> {
            layers.iter().filter(|layer| (5..=13).contains(&layer.rank)).map(|layer| layer.label(true)).collect()
        };
        let last = names(&used("resnet50", &[], LayerRuns::Last));
        let order =
            ["conv2", "batchnorm2", "relu2@3", "conv3", "batchnorm3", "conv4", "batchnorm4", "conv5", "batchnorm5"];
        assert_eq!(last, order);
        assert_eq!(names(&used("resnet50", &[], LayerRuns::All)).len(), 11);
        let few = used("alexnet", &["fc1", "features.0"], LayerRuns::Last);
        assert_eq!(few.iter().map(|layer| layer.rank).collect::<Vec<_>>(), [0, 1, 16]);
    }

    #[test]
    fn the_number_of_passes_is_known_without_a_network() {
        let settings = |limit| PassSettings { batch: 25, limit, alias_in_place: false };
        let passes = |count, settings| {
            let alexnet = named("alexnet", 10).unwrap();
            let layers = used("alexnet", &[], LayerRuns::Last);
            let stimuli = PlannedStimuli { count, size: (224, 224) };
            planned(&alexnet, &layers, stimuli, settings, (true, true)).unwrap()
        };
        // 100 images take 100 x 3 x 193,600 x 4 bytes between two layers, 1,000 ten times that.
        let all = passes(100, settings(232_320_000));
        assert_eq!((all.plan.block, all.plan.passes.len()), (100, 1));
        assert_eq!(all.order, (0..22).collect::<Vec<_>>());
        let thousand = passes(1000, settings(2_000_000_000));
        assert_eq!((thousand.plan.block, thousand.plan.passes.len()), (25, 4));
        let aliased = passes(100, PassSettings { alias_in_place: true, ..settings(232_320_000) });
        assert_eq!(aliased.plan.block, 25);
        assert!(aliased.plan.passes.len() > 1);
    }

    /// In the order of computation the last call of a rectification comes after what follows its first.
    #[test]
    fn passes_follow_the_computation() {
        let layers = used("resnet50", &[], LayerRuns::Last);
        let stimuli = PlannedStimuli { count: 2, size: (224, 224) };
        let settings = PassSettings { batch: 2, limit: 1 << 34, alias_in_place: false };
        let found = planned(&named("resnet50", 10).unwrap(), &layers, stimuli, settings, (false, true)).unwrap();
        let place = |name: &str| found.order.iter().position(|at| layers[*at].name == name).unwrap();
        assert!(place("batchnorm5") < place("relu2") && place("relu2") < place("conv6"));
        assert!(found.plan.passes[0].iter().all(|piece| piece.units.is_empty()));
    }
}
