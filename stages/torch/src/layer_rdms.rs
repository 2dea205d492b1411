//! Which RDMs of a network's layers there are, in which order, and what their index says of them.
//!
//! Decides the order (sets, layers, dissimilarities, types of activation, kernel sets, permutations; within a run of a network layers come
//! in the order of their first calls, as in the guide), the ids, and how many RDMs there may be. All of it is decided before the network
//! runs, so that a set that is too large, or a name that is there twice, is an error before hours of work. Independent of the numbers.

use pipe_contract::Failure;
use pipe_stages::formats::data_table::DataTable;
use pipe_stages::formats::matrix::MatrixAxis;
use pipe_stages::formats::rdm_set::{DISSIMILARITY, PERMUTATION, SCRAMBLE, scramble_text};
use pipe_stages::net::image_sets::ImageSets;
use pipe_stages::net::kernel_sets::KernelSet;
use pipe_stages::net::network_kinds::ActivationType;
use pipe_stages::net::used_layers::UsedLayer;
use pipe_stages::numeric::dissimilarity::{Dissimilarity, entry_permutation, pair_count};

use crate::network_run::MEGABYTE;

/// What matrices are computed.
#[derive(Clone, Debug)]
pub struct RdmOptions {
    /// Of these dissimilarities.
    pub dissimilarities: Vec<Dissimilarity>,
    /// Of these types of activation.
    pub activations: Vec<ActivationType>,
    /// Of these kernels.
    pub kernel_sets: Vec<KernelSet>,
    /// How many permutations of the entries there are beside the entries as they are.
    pub permutations: usize,
    /// The seed of the permutations.
    pub seed: u64,
    /// Whether the two types of activation of the image itself have each other's names, as in the published analysis.
    pub swap_rgb: bool,
}

/// How matrices are named in an index.
#[derive(Clone, Copy, Debug)]
pub struct RdmNaming<'a> {
    /// The network.
    pub network: &'a str,
    /// Whether there is a column with the number of the run of a layer.
    pub with_steps: bool,
    /// Whether the run is simulated.
    pub simulated: bool,
}

/// One matrix, its entries as they are: places in the lists of sets, layers and options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerRdm {
    /// The set of stimuli.
    pub set: usize,
    /// The layer.
    pub layer: usize,
    /// The dissimilarity.
    pub dissimilarity: usize,
    /// The type of activation.
    pub activation: usize,
    /// The kernel set.
    pub kernel_set: usize,
}

/// Bytes that the numbers of a set may take: what uses a set reads all of it.
const MOST_BYTES: u64 = 8_000_000_000;
/// How many RDMs a set may have: an index has a row for each.
const MOST_RDMS: u64 = 2_000_000;

/// The matrices of some layers and sets.
#[derive(Debug)]
pub struct LayerRdms<'a> {
    /// The layers.
    pub layers: &'a [UsedLayer],
    /// The sets of stimuli.
    pub sets: &'a ImageSets,
    /// What is computed.
    pub options: &'a RdmOptions,
    orders: Vec<Vec<usize>>,
}

impl<'a> LayerRdms<'a> {
    /// Of some layers of some sets.
    ///
    /// # Errors
    /// Input: fewer than two entries, kernels that a layer does not have, or more numbers than may be written.
    pub fn new(layers: &'a [UsedLayer], sets: &'a ImageSets, options: &'a RdmOptions) -> Result<Self, Failure> {
        let entries = sets.entries.len();
        if entries < 2 {
            return Err(Failure::input(format!("an RDM of {entries} stimuli has no pair, expected at least two")));
        }
        for layer in layers {
            options.kernel_sets.iter().try_for_each(|set| set.check(&layer.name, layer.features()))?;
        }
        let mut rdms = Self { layers, sets, options, orders: Vec::new() };
        check_size(rdms.count() as u64, options.permutations as u64 + 1, entries)?;
        rdms.orders =
            (0..=options.permutations).map(|number| entry_permutation(options.seed, number, entries)).collect();
        Ok(rdms)
    }

    fn counts(&self) -> [usize; 5] {
        let RdmOptions { dissimilarities, activations, kernel_sets, .. } = self.options;
        [self.sets.sets.len(), self.layers.len(), dissimilarities.len(), activations.len(), kernel_sets.len()]
    }

    /// How many, each in all of its orders.
    pub fn count(&self) -> usize {
        self.counts().into_iter().fold(1, usize::saturating_mul)
    }

    /// Orders of the entries: as they are, and permuted. They are the same for all matrices, and for all networks of a seed.
    pub fn orders(&self) -> &[Vec<usize>] {
        &self.orders
    }

    /// The place of a matrix among all of them.
    pub fn place(&self, rdm: LayerRdm) -> usize {
        let [_, layers, dissimilarities, activations, kernel_sets] = self.counts();
        let of_layer = (rdm.set * layers + rdm.layer) * dissimilarities + rdm.dissimilarity;
        (of_layer * activations + rdm.activation) * kernel_sets + rdm.kernel_set
    }

    fn rdm(&self, place: usize) -> LayerRdm {
        let [_, layers, dissimilarities, activations, kernel_sets] = self.counts();
        let (rest, kernel_set) = (place / kernel_sets, place % kernel_sets);
        let (rest, activation) = (rest / activations, rest % activations);
        let (rest, dissimilarity) = (rest / dissimilarities, rest % dissimilarities);
        LayerRdm { set: rest / layers, layer: rest % layers, dissimilarity, activation, kernel_set }
    }

    /// Whether the patterns of a type of activation are a layer's units; else they are means of its features.
    pub fn is_of_units(&self, layer: usize, activation: ActivationType) -> bool {
        let swapped = self.options.swap_rgb && self.layers[layer].rank == 0;
        (activation == ActivationType::UnitLevel) != swapped
    }

    /// A row an RDM, permutations of one behind it.
    ///
    /// # Errors
    /// Input: a grouping variable has the name of a column of every index.
    pub fn index(&self, naming: RdmNaming<'_>) -> Result<MatrixAxis, Failure> {
        if let Some(taken) = self.sets.grouping.iter().find(|name| INDEX_COLUMNS.contains(&name.as_str())) {
            return Err(Failure::input(format!(
                "`sets` groups by `{taken}`, which every index of RDMs has as a column"
            ))
            .hint("rename that variable of the stimuli"));
        }
        let RdmNaming { network, with_steps, simulated } = naming;
        let orders = self.orders.len();
        let rows: Vec<(LayerRdm, usize)> =
            (0..self.count() * orders).map(|row| (self.rdm(row / orders), row % orders)).collect();
        let options = self.options;
        let (rdms, layer) = (|| rows.iter().map(|(rdm, _)| *rdm), |rdm: LayerRdm| &self.layers[rdm.layer]);
        let dissimilarity = |rdm: LayerRdm| options.dissimilarities[rdm.dissimilarity].word();
        let activation = |rdm: LayerRdm| options.activations[rdm.activation].word();
        let kernel_set = |rdm: LayerRdm| options.kernel_sets[rdm.kernel_set].name.as_str();
        let id = |(rdm, permutation): &(LayerRdm, usize)| {
            let mut parts = self.sets.sets[rdm.set].labels.clone();
            parts.push(network.to_owned());
            parts.push(layer(*rdm).label(with_steps));
            parts.extend([dissimilarity(*rdm), activation(*rdm)].map(str::to_owned));
            parts.extend((options.kernel_sets.len() > 1).then(|| kernel_set(*rdm).to_owned()));
            parts.extend((options.permutations > 0).then(|| permutation.to_string()));
            parts.join("/")
        };
        let scramble = |permutation: usize| match permutation {
            0 => String::new(),
            _ => scramble_text(&self.orders[permutation]),
        };
        let mut table = DataTable::new()
            .text("id", rows.iter().map(id))
            .text("network", rows.iter().map(|_| network))
            .text("layer", rdms().map(|rdm| layer(rdm).name.as_str()))
            .integers("rank", rdms().map(|rdm| whole(layer(rdm).rank)));
        if with_steps {
            table = table.integers("step", rdms().map(|rdm| whole(layer(rdm).call)));
        }
        table = table
            .text(DISSIMILARITY, rdms().map(dissimilarity))
            .text("activation", rdms().map(activation))
            .text("kernel_set", rdms().map(kernel_set))
            .text("kernels", rdms().map(|rdm| self.kernels(rdm)))
            .integers("features", rdms().map(|rdm| whole(self.features(rdm))))
            .integers(PERMUTATION, rows.iter().map(|(_, permutation)| whole(*permutation)))
            .text(SCRAMBLE, rows.iter().map(|(_, permutation)| scramble(*permutation)));
        for (place, variable) in self.sets.grouping.iter().enumerate() {
            table = table.text(variable, rdms().map(|rdm| self.sets.sets[rdm.set].labels[place].as_str()));
        }
        MatrixAxis::new(table.stamped(simulated).build()?)
    }

    /// The kernels of a matrix that a set names, as a JSON list; empty where a layer is whole.
    fn kernels(&self, rdm: LayerRdm) -> String {
        let layer = &self.layers[rdm.layer];
        let named = self.options.kernel_sets[rdm.kernel_set].of(&layer.name);
        // Of the image with swapped names, the row of means is not that which has as many numbers as there are kernels.
        let channels: Vec<usize> = (0..layer.features()).collect();
        let swapped = (self.options.swap_rgb && layer.rank == 0).then_some(channels.as_slice());
        named.or(swapped).map(scramble_text).unwrap_or_default()
    }

    /// How many numbers a pattern of a matrix has.
    fn features(&self, rdm: LayerRdm) -> usize {
        let layer = &self.layers[rdm.layer];
        let kernels = self.options.kernel_sets[rdm.kernel_set].of(&layer.name).map_or(layer.features(), <[usize]>::len);
        match self.is_of_units(rdm.layer, self.options.activations[rdm.activation]) {
            true => kernels * layer.units_of_feature(),
            false => kernels,
        }
    }
}

/// The columns of every index of RDMs of networks.
const INDEX_COLUMNS: [&str; 13] = [
    "id",
    "network",
    "layer",
    "rank",
    "step",
    DISSIMILARITY,
    "activation",
    "kernel_set",
    "kernels",
    "features",
    PERMUTATION,
    SCRAMBLE,
    "simulated",
];

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// That so many RDMs, each in all orders, are not too many.
fn check_size(each: u64, orders: u64, entries: usize) -> Result<(), Failure> {
    let all = each.saturating_mul(orders);
    let bytes = all.saturating_mul(pair_count(entries) as u64).saturating_mul(size_of::<f64>() as u64);
    if all <= MOST_RDMS && bytes <= MOST_BYTES {
        return Ok(());
    }
    Err(Failure::input(format!(
        "{all} RDMs of {entries} entries ({each}, each in {orders} orders) take {} MB, expected at most {MOST_RDMS} RDMs and {} MB",
        bytes / MEGABYTE,
        MOST_BYTES / MEGABYTE
    ))
    .hint("choose fewer `permutations`, `layers`, `activations` or `dissimilarities`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 254 RDMs of 1,000 stimuli in 101 orders: 254 x 101 x 499,500 x 8 bytes.
    #[test]
    fn sets_that_are_too_large_are_refused_with_their_size() {
        let failure = check_size(254, 101, 1000).unwrap_err();
        assert!(
            failure.message.starts_with("25654 RDMs of 1000 entries (254, each in 101 orders) take 102513 MB"),
            "{failure}"
        );
        assert!(failure.hint.unwrap().contains("`permutations`"));
        assert!(check_size(254, 1, 1000).is_ok() && check_size(254, 1001, 48).is_ok());
        assert!(check_size(254, 100_001, 2).is_err(), "an index of 25 million rows");
        assert!(check_size(u64::MAX, u64::MAX, usize::MAX >> 32).is_err());
    }
}
