//! Which features of which layers enter a dissimilarity matrix.
//!
//! Decides how sets of kernels are written, that the set of all of them is always there, that every set is there for every network, and
//! that a layer without an item in a set is taken whole, with a note, as in the guide. Kernels are numbered from 0, as PyTorch numbers channels. Independent of libtorch and of what is computed.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Failure, Value};

use super::layer_book::{LayerBook, ORIGINAL_RGB};
use super::used_layers::UsedLayer;

/// The name of the set of all kernels.
pub const ALL_KERNELS: &str = "all";

/// Kernels of some layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSet {
    /// Its name.
    pub name: String,
    /// Kernels by the name of the layer, ascending.
    layers: BTreeMap<String, Vec<usize>>,
}

impl KernelSet {
    /// All kernels of every layer.
    pub fn all() -> Self {
        Self { name: ALL_KERNELS.into(), layers: BTreeMap::new() }
    }

    /// The kernels of a layer, ascending; none if all are taken.
    pub fn of(&self, layer: &str) -> Option<&[usize]> {
        self.layers.get(layer).map(Vec::as_slice)
    }

    /// Checks that the kernels are there.
    ///
    /// # Errors
    /// Input: a layer has fewer features than a kernel's number says.
    pub fn check(&self, layer: &str, features: usize) -> Result<(), Failure> {
        match self.of(layer).and_then(<[usize]>::last) {
            Some(last) if *last >= features => Err(Failure::input(format!(
                "the kernel set `{}` has kernel {last} of `{layer}`, which has {features}, numbered from 0",
                self.name
            ))),
            _ => Ok(()),
        }
    }
}

/// What an item may have.
const KEYS: [&str; 4] = ["name", "network", "layer", "kernels"];

/// What items of kernel sets may name a network by.
#[derive(Clone, Copy, Debug)]
pub struct KernelNetwork<'a> {
    /// What tables call it.
    pub name: &'a str,
    /// Its architecture.
    pub architecture: &'a str,
}

impl KernelNetwork<'_> {
    /// Whether an item counts for this network.
    fn has(self, item: &BTreeMap<String, Value>) -> Result<bool, Failure> {
        match item.get("network") {
            None => Ok(true),
            Some(Value::Text(only)) => Ok(only == self.name || only == self.architecture),
            Some(_) => Err(wrong("has a `network` that is not text")),
        }
    }
}

/// The set of all kernels, then those of items `{ name, layer, kernels: [numbers] }`, of which several of one name are one set. An item with
/// a `network` counts for networks of that name or architecture alone; the set is there for the others too.
///
/// # Errors
/// Input: another form, a layer that the network does not have, or a layer twice in a set.
pub fn kernel_sets(
    given: &[BTreeMap<String, Value>],
    network: KernelNetwork<'_>,
    book: &LayerBook,
) -> Result<Vec<KernelSet>, Failure> {
    let mut sets = vec![KernelSet::all()];
    for item in given {
        if let Some(other) = item.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(wrong(&format!("has `{other}`, expected `name`, `layer`, `kernels` and if wanted `network`")));
        }
        let name = item.get("name").and_then(Value::as_text).ok_or_else(|| wrong("has no `name`"))?;
        if name == ALL_KERNELS {
            return Err(wrong("has the name `all`, which is that of the set of all kernels"));
        }
        let place = sets.iter().position(|set| set.name == name).unwrap_or_else(|| {
            sets.push(KernelSet { name: name.to_owned(), layers: BTreeMap::new() });
            sets.len() - 1
        });
        let (layer, kernels) = layer_and_kernels(item)?;
        if !network.has(item)? {
            continue;
        }
        let layer = if layer == ORIGINAL_RGB { layer.to_owned() } else { book.find(layer)?.name.clone() };
        if sets[place].layers.insert(layer.clone(), kernels).is_some() {
            return Err(wrong(&format!("`{name}` has `{layer}` twice")));
        }
    }
    Ok(sets)
}

/// The layer, as it is written, and the kernels of an item.
fn layer_and_kernels(item: &BTreeMap<String, Value>) -> Result<(&str, Vec<usize>), Failure> {
    let (layer, kernels) = match (item.get("layer"), item.get("kernels")) {
        (Some(Value::Text(layer)), Some(Value::List(kernels))) => (layer, kernels),
        _ => return Err(wrong("needs both a `layer` and a list of `kernels`")),
    };
    let number = |value: &Value| match value {
        Value::Int(number) => usize::try_from(*number).ok(),
        _ => None,
    };
    let numbers: Option<BTreeSet<usize>> = kernels.iter().map(number).collect();
    let numbers = numbers.filter(|numbers| !numbers.is_empty());
    let numbers = numbers.ok_or_else(|| wrong("has `kernels` that are not whole numbers from 0"))?;
    Ok((layer.as_str(), numbers.into_iter().collect()))
}

/// Layers that a note names.
const MOST_NAMED: usize = 5;

/// What to say of sets: which layers are whole in them, and items that are for other networks.
pub fn kernel_notes(
    given: &[BTreeMap<String, Value>],
    network: KernelNetwork<'_>,
    sets: &[KernelSet],
    layers: &[UsedLayer],
) -> Vec<String> {
    let mut notes = Vec::new();
    for set in sets.iter().filter(|set| set.name != ALL_KERNELS) {
        let whole: BTreeSet<&str> =
            layers.iter().map(|layer| layer.name.as_str()).filter(|name| set.of(name).is_none()).collect();
        let named: Vec<&str> = whole.iter().copied().take(MOST_NAMED).collect();
        let more = whole.len() - named.len();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        if !whole.is_empty() {
            let names = named.join("`, `");
            notes.push(format!(
                "in the kernel set `{}` of `{}` layers are whole: `{names}`{more}",
                set.name, network.name
            ));
        }
    }
    for item in given {
        if let Some(Value::Text(other)) = item.get("network").filter(|_| network.has(item).is_ok_and(|has| !has)) {
            notes.push(format!(
                "an item of `kernel_sets` is for the network `{other}`, and not for `{}`, a `{}`",
                network.name, network.architecture
            ));
        }
    }
    notes.dedup();
    notes
}

fn wrong(what: &str) -> Failure {
    Failure::input(format!("an item of `kernel_sets` {what}"))
        .hint("write for example `{ name: first, layer: conv1, kernels: [0, 1, 2] }`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::network_kinds::LayerRuns;
    use crate::net::shipped_architectures::named;
    use crate::net::used_layers::used_layers;

    const NETWORK: KernelNetwork<'static> = KernelNetwork { name: "alexnet_random", architecture: "alexnet" };

    fn read(items: &[&[(&str, Value)]]) -> Result<Vec<KernelSet>, Failure> {
        let item =
            |item: &&[(&str, Value)]| item.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let items: Vec<BTreeMap<String, Value>> = items.iter().map(item).collect();
        kernel_sets(&items, NETWORK, &LayerBook::of(&named("alexnet", 10).unwrap()))
    }

    fn text(word: &str) -> Value {
        Value::Text(word.into())
    }

    fn numbers(numbers: &[i64]) -> Value {
        Value::List(numbers.iter().map(|number| Value::Int(*number)).collect())
    }

    #[test]
    fn items_of_one_name_are_one_set() {
        assert_eq!(read(&[]).unwrap(), [KernelSet::all()]);
        let sets = read(&[
            &[("name", text("few")), ("layer", text("features.0")), ("kernels", numbers(&[5, 0, 5]))],
            &[("name", text("few")), ("layer", text("original_rgb")), ("kernels", numbers(&[2]))],
            &[("name", text("of")), ("network", text("vgg19")), ("layer", text("conv16")), ("kernels", numbers(&[2]))],
            &[("name", text("own")), ("network", text("alexnet")), ("layer", text("fc1")), ("kernels", numbers(&[2]))],
            &[
                ("name", text("own")),
                ("network", text("alexnet_random")),
                ("layer", text("fc2")),
                ("kernels", numbers(&[3])),
            ],
        ])
        .unwrap();
        let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
        assert_eq!(names, ["all", "few", "of", "own"]);
        assert!(sets[2].layers.is_empty(), "every set is there for every network");
        assert_eq!((sets[3].of("fc1"), sets[3].of("fc2")), (Some(&[2][..]), Some(&[3][..])));
        assert_eq!((sets[1].of("conv1"), sets[1].of("original_rgb")), (Some(&[0, 5][..]), Some(&[2][..])));
        assert_eq!((sets[1].of("conv2"), sets[0].of("conv1")), (None, None));
        assert!(sets[1].check("conv1", 6).is_ok() && sets[1].check("conv2", 1).is_ok());
        assert!(sets[1].check("conv1", 5).unwrap_err().message.contains("kernel 5 of `conv1`, which has 5"));
    }

    #[test]
    fn layers_that_are_whole_and_items_for_others_are_noted() {
        let layers = used_layers(
            &named("alexnet", 10).unwrap(),
            (224, 224),
            &["conv1".to_owned(), "fc1".to_owned()],
            LayerRuns::Last,
        );
        let item: BTreeMap<String, Value> =
            [("name", text("few")), ("network", text("alexnat")), ("layer", text("conv1")), ("kernels", numbers(&[0]))]
                .map(|(key, value)| (key.to_owned(), value))
                .into();
        let book = LayerBook::of(&named("alexnet", 10).unwrap());
        let sets = kernel_sets(std::slice::from_ref(&item), NETWORK, &book).unwrap();
        let notes = kernel_notes(&[item], NETWORK, &sets, &layers.unwrap());
        assert_eq!(
            notes[0],
            "in the kernel set `few` of `alexnet_random` layers are whole: `conv1`, `fc1`, `original_rgb`"
        );
        assert_eq!(
            notes[1],
            "an item of `kernel_sets` is for the network `alexnat`, and not for `alexnet_random`, a `alexnet`"
        );
        assert_eq!(notes.len(), 2);
    }

    #[test]
    fn other_forms_are_refused() {
        let message = |item: &[(&str, Value)]| read(&[item]).unwrap_err().message;
        let name = || ("name", text("few"));
        assert!(message(&[]).contains("no `name`"));
        assert!(message(&[("name", text("all"))]).contains("set of all kernels"));
        assert!(message(&[name()]).contains("needs both"));
        assert!(message(&[name(), ("layer", text("conv1"))]).contains("needs both"));
        assert!(message(&[name(), ("layers", text("conv1"))]).contains("`layers`"));
        assert!(
            message(&[name(), ("network", text("vgg19"))]).contains("needs both"),
            "items for others are checked too"
        );
        let of_number = [name(), ("network", numbers(&[1])), ("layer", text("conv1")), ("kernels", numbers(&[1]))];
        assert!(message(&of_number).contains("not text"));
        assert!(message(&[name(), ("layer", text("conv1")), ("kernels", numbers(&[-1]))]).contains("whole numbers"));
        assert!(message(&[name(), ("layer", text("conv9")), ("kernels", numbers(&[1]))]).contains("no layer `conv9`"));
        let twice = [name(), ("layer", text("conv1")), ("kernels", numbers(&[1]))];
        assert!(read(&[&twice, &twice]).unwrap_err().message.contains("`conv1` twice"));
    }
}
