//! `net/layers`: the layers of networks, with the names, ranks and addresses by which other kinds pick them.
//!
//! Shapes are those of an image as high and as wide as the network's preprocessing makes the shorter side; other images of the same
//! network have other ones. Reads no weights.

use std::collections::BTreeMap;

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};
use polars::prelude::DataFrame;

use super::layer_book::LayerBook;
use super::layer_shapes::layer_calls;
use super::network_folder::NetworkFolder;
use crate::formats::data_table::{self, DataTable};

/// The kind.
pub(super) struct NetworkLayers;

parameters! {
    struct Parameters {
        /// names or addresses of the layers that the table has; empty for all
        layers: Vec<String> = Vec::new();
    }
}

/// The columns of `table/layers`.
const LAYER_COLUMNS: &[Column] = &[
    Column::new("network", "the network"),
    Column::new("layer", "what the layer is and how many of these there were, such as `conv3`"),
    Column::new(
        "rank",
        "its place among all layers, from 1, in the order in which the network's modules are registered",
    ),
    Column::new("type", "what PyTorch calls such a layer"),
    Column::new("address", "names of the modules around it and its own, joined by dots"),
    Column::new(
        "shape",
        "channels, height and width of its output for a square image of the network's size, or its length",
    ),
    Column::new("units", "numbers of that output"),
    Column::new("features", "channels of that output, or its length"),
    Column::new("parameters", "numbers that a training changes"),
    Column::new(
        "runs",
        "how often it runs for one image: above 1 in residual blocks and recurrences; the shape is that of the last",
    ),
];

/// A row of the table.
struct LayerRow {
    network: String,
    layer: String,
    rank: usize,
    class: &'static str,
    address: String,
    shape: Vec<usize>,
    parameters: usize,
    runs: usize,
}

impl StageKind for NetworkLayers {
    fn kind(&self) -> Kind {
        Kind::new("net/layers", 1, "the layers of networks with their names, ranks, addresses and shapes")
            .gather("network", &["network"], "networks, each with a name of its own")
            .folder("table", "table/layers", "a row a layer, in the order of ranks")
            .described(data_table::FILES, LAYER_COLUMNS)
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { layers } = task.parameters()?;
        let mut rows: Vec<LayerRow> = Vec::new();
        for (_, folder) in task.present("network") {
            let network = NetworkFolder::open(folder)?;
            let name = &network.about.name;
            if rows.iter().any(|row| row.network == *name) {
                return Err(Failure::input(format!("two networks are called `{name}`, expected a name for each"))
                    .hint("set `name` where the network is made"));
            }
            rows.extend(rows_of(&network, &layers)?);
        }
        data_table::write(task.output("table")?, &mut table(&rows)?)?;
        Ok(Ended::noted(task.absences("network").into_iter().collect()))
    }
}

/// The rows of one network.
fn rows_of(network: &NetworkFolder, wanted: &[String]) -> Result<Vec<LayerRow>, Failure> {
    let side = network.about.preprocessing.side;
    // The last run of a layer replaces those before.
    let calls: BTreeMap<usize, (usize, Vec<usize>)> = layer_calls(&network.architecture, side, side)?
        .into_iter()
        .map(|call| (call.rank, (call.call, call.shape)))
        .collect();
    let book = LayerBook::of(&network.architecture);
    let rows = book.chosen(wanted)?.into_iter().map(|layer| {
        let (runs, shape) = calls.get(&layer.rank).cloned().ok_or_else(|| {
            Failure::internal(format!("layer `{}` of `{}` never runs", layer.name, network.architecture.name))
        })?;
        Ok(LayerRow {
            network: network.about.name.clone(),
            layer: layer.name.clone(),
            rank: layer.rank,
            class: layer.kind.class(),
            address: layer.address.clone(),
            shape,
            parameters: layer.kind.parameters(),
            runs,
        })
    });
    rows.collect()
}

fn table(rows: &[LayerRow]) -> Result<DataFrame, Failure> {
    let numbers = |of: fn(&LayerRow) -> usize| rows.iter().map(move |row| of(row) as i64);
    let shape = |row: &LayerRow| row.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    DataTable::of(LAYER_COLUMNS)
        .text("network", rows.iter().map(|row| row.network.as_str()))
        .text("layer", rows.iter().map(|row| row.layer.as_str()))
        .integers("rank", numbers(|row| row.rank))
        .text("type", rows.iter().map(|row| row.class))
        .text("address", rows.iter().map(|row| row.address.as_str()))
        .text("shape", rows.iter().map(shape))
        .integers("units", numbers(|row| row.shape.iter().product()))
        .integers("features", numbers(|row| row.shape[0]))
        .integers("parameters", numbers(|row| row.parameters))
        .integers("runs", numbers(|row| row.runs))
        .build()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::Value;

    use super::*;
    use crate::net::random_network::RandomNetwork;
    use crate::test_support::tasks::{gather, run, set, task};

    fn network(folder: &Path, architecture: &str) -> std::path::PathBuf {
        let mut task = task(&RandomNetwork, &folder.join(architecture));
        set(&mut task, "architecture", Value::Text(architecture.to_owned()));
        run(&RandomNetwork, &task).unwrap();
        folder.join(architecture).join("network")
    }

    fn listed(folder: &Path, networks: &[&str], layers: &[&str]) -> Result<String, Failure> {
        let mut task = task(&NetworkLayers, folder);
        for name in networks {
            gather(&mut task, "network", &[("network", *name)], Some(&network(folder, name)));
        }
        let layers = layers.iter().map(|name| Value::Text((*name).to_owned())).collect();
        set(&mut task, "layers", Value::List(layers));
        run(&NetworkLayers, &task)?;
        Ok(fs_err::read_to_string(folder.join("table").join(data_table::CSV)).unwrap())
    }

    #[test]
    fn layers_have_names_addresses_and_shapes() {
        let folder = tempfile::tempdir().unwrap();
        let table = listed(folder.path(), &["alexnet", "cornet_s"], &["conv2", "fc1"]).unwrap();
        insta::assert_snapshot!(table, @r"
        network,layer,rank,type,address,shape,units,features,parameters,runs
        alexnet_random,conv2,4,Conv2d,features.3,192x27x27,139968,192,307392,1
        alexnet_random,fc1,16,Linear,classifier.1,4096,4096,4096,37752832,1
        cornet_s_random,conv2,5,Conv2d,module.V1.conv2,64x56x56,200704,64,36864,1
        cornet_s_random,fc1,65,Linear,module.decoder.linear,1000,1000,1000,513000,1
        ");
        let whole = listed(folder.path(), &["resnet50"], &[]).unwrap();
        assert_eq!(whole.lines().count(), 127);
        assert!(whole.contains("\nresnet50_random,relu2,11,ReLU,layer1.0.relu,256x56x56,802816,256,0,3\n"), "{whole}");
    }

    #[test]
    fn a_layer_that_is_not_there_and_a_name_that_is_there_twice_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let failure = listed(folder.path(), &["alexnet"], &["conv9"]).unwrap_err();
        assert!(
            failure.message.starts_with("`alexnet` has no layer `conv9`; most like it: by name `conv1`"),
            "{failure}"
        );
        let failure = listed(folder.path(), &["alexnet", "alexnet"], &[]).unwrap_err();
        assert_eq!(failure.message, "two networks are called `alexnet_random`, expected a name for each");
    }
}
