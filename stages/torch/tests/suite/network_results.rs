//! The kinds that run networks on stimuli, as the engine uses them.

use std::path::{Path, PathBuf};

use pipe_contract::{Ended, Failure, Kind, Silent};
use pipe_stages::formats::data_table;
use pipe_stages::formats::matrix::Matrix;
use pipe_stages::formats::rdm_set::RdmSet;
use pipe_stages::formats::tensors::Tensors;
use pipe_stages::net::network_folder::NetworkFolder;
use pipe_stages::net::network_kinds;
use pipe_stages::numeric::dissimilarity::{pair_index, reordered};
use serde_json::json;

use crate::network_support::{SIDE, Shown, crossed, network_task, picture, write_seeded, write_stimuli};
use crate::support::{bytes, run};

/// Stimuli and a network in a folder of their own.
struct Study {
    folder: tempfile::TempDir,
    stimuli: PathBuf,
    network: PathBuf,
}

impl Study {
    fn new(shown: &[Shown], architecture: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stimuli = write_stimuli(folder.path(), shown);
        let network = write_seeded(folder.path(), architecture);
        Self { folder, stimuli, network }
    }

    fn try_run(&self, kind: &Kind, to: &str, params: &[(&str, serde_json::Value)]) -> Result<Vec<String>, Failure> {
        let to = self.folder.path().join(to);
        let network = kind.input_named("network").map(|_| self.network.as_path());
        match run(&network_task(kind, (self.stimuli.as_path(), network), &to, params), &Silent)? {
            Ended::Done { notes, .. } => Ok(notes),
            other => panic!("not done: {other:?}"),
        }
    }

    fn run(&self, kind: &Kind, to: &str, params: &[(&str, serde_json::Value)]) -> PathBuf {
        self.try_run(kind, to, params).unwrap();
        self.folder.path().join(to)
    }

    fn rdms(&self, to: &str, params: &[(&str, serde_json::Value)]) -> RdmSet {
        RdmSet::read(&self.run(&network_kinds::rdms(), to, params).join("rdms")).unwrap()
    }
}

/// The values of a column of the index.
fn index(rdms: &RdmSet, column: &str) -> Vec<String> {
    data_table::words(rdms.index().table(), column).unwrap()
}

fn triangle<'a>(rdms: &'a RdmSet, id: &str) -> &'a [f64] {
    let ids = rdms.index().ids();
    rdms.triangle(rdms.index().position(id).unwrap_or_else(|| panic!("no {id} in {ids:?}")))
}

#[test]
fn there_is_an_rdm_of_every_layer_and_the_image() {
    let study = Study::new(&crossed(), "small");
    let rdms = study.rdms("a", &[("dissimilarities", json!(["correlation", "euclidean"]))]);
    // 13 layers and the image, two dissimilarities, two types of activation.
    assert_eq!(rdms.len(), 14 * 4);
    assert_eq!(rdms.entries().ids(), ["s0", "s1", "s2", "s3", "s4", "s5"]);
    let ranks = data_table::integers(rdms.index().table(), "rank").unwrap();
    assert!(ranks.chunks(4).enumerate().all(|(at, ranks)| ranks == [at as i64; 4]), "{ranks:?}");
    assert_eq!(rdms.index().ids()[0], "small_random/original_rgb/correlation/unit_level");
    assert_eq!(index(&rdms, "layer")[4..12], ["conv1", "conv1", "conv1", "conv1", "relu1", "relu1", "relu1", "relu1"]);
    assert!((0..rdms.len()).all(|rdm| rdms.triangle(rdm).iter().all(|value| value.is_finite() && *value > 0.0)));
    let again = study.rdms("b", &[("dissimilarities", json!(["correlation", "euclidean"]))]);
    assert!((0..rdms.len()).all(|rdm| rdms.triangle(rdm) == again.triangle(rdm)));
}

/// The image's own RDM, computed from its bytes.
#[test]
fn distances_of_images_are_those_of_their_normalised_pixels_and_may_be_swapped() {
    let shown = crossed();
    let study = Study::new(&shown, "small");
    let params = |compat| [("dissimilarities", json!(["euclidean"])), ("layers", json!(["conv2"])), ("compat", compat)];
    let rdms = study.rdms("a", &params(json!([])));
    let std = [0.229, 0.224, 0.225];
    let pixels = |first: usize, second: usize| {
        let bytes = shown[first].2.rgb.iter().zip(&shown[second].2.rgb).enumerate();
        let squares = bytes.map(|(at, (a, b))| ((f64::from(*a) - f64::from(*b)) / 255.0 / std[at % 3]).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let means = |first: usize, second: usize| {
        let sum = |which: usize, channel: usize| {
            shown[which].2.rgb.iter().skip(channel).step_by(3).map(|byte| f64::from(*byte)).sum::<f64>()
        };
        let count = (SIDE * SIDE) as f64;
        let squares = (0..3).map(|c| ((sum(first, c) - sum(second, c)) / count / 255.0 / std[c]).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let (units, features) = ("euclidean/unit_level", "euclidean/feature_means");
    let found = |rdms: &RdmSet, which: &str, first: usize, second: usize| {
        triangle(rdms, &format!("small_random/original_rgb/{which}"))[pair_index(6, first, second)]
    };
    for (first, second) in [(0, 1), (0, 5), (2, 4)] {
        let (of_pixels, of_means) = (pixels(first, second), means(first, second));
        assert!((found(&rdms, units, first, second) / of_pixels - 1.0).abs() < 1e-5, "{of_pixels}");
        assert!((found(&rdms, features, first, second) / of_means - 1.0).abs() < 1e-5, "{of_means}");
    }
    let swapped = study.rdms("b", &params(json!(["swap_rgb"])));
    let of = |rdms: &RdmSet, name: &str| triangle(rdms, &format!("small_random/{name}")).to_vec();
    for (which, other) in [(units, features), (features, units)] {
        assert_eq!(of(&swapped, &format!("original_rgb/{which}")), of(&rdms, &format!("original_rgb/{other}")));
        assert_eq!(of(&swapped, &format!("conv2/{which}")), of(&rdms, &format!("conv2/{which}")));
    }
    let notes = study.try_run(&network_kinds::rdms(), "c", &params(json!(["swap_rgb", "alias_inplace"]))).unwrap();
    assert_eq!(notes.iter().filter(|note| note.starts_with("important: ")).count(), 2, "{notes:?}");
}

#[test]
fn the_published_aliases_can_be_reproduced() {
    let study = Study::new(&crossed(), "small");
    let plain = study.rdms("a", &[]);
    let aliased = study.rdms("b", &[("compat", json!(["alias_inplace"]))]);
    let of =
        |rdms: &RdmSet, layer: &str| triangle(rdms, &format!("small_random/{layer}/correlation/unit_level")).to_vec();
    assert_eq!(of(&aliased, "conv1"), of(&aliased, "relu1"));
    assert_eq!(of(&aliased, "conv1"), of(&plain, "relu1"));
    assert!(of(&plain, "conv1") != of(&plain, "relu1"));
}

#[test]
fn permutations_are_those_of_all_networks() {
    let study = Study::new(&crossed(), "small");
    // The image itself is the same for all networks; the seed of a stage is another one for each of them.
    let image = |seed: u64, of_orders: u64| {
        let to = study.folder.path().join(format!("{seed}_{of_orders}"));
        let params = [
            ("permutations", json!(1)),
            ("permutation_seed", json!(of_orders)),
            ("layers", json!(["conv1"])),
            ("activations", json!(["unit_level"])),
        ];
        let mut task = network_task(
            &network_kinds::rdms(),
            (study.stimuli.as_path(), Some(study.network.as_path())),
            &to,
            &params,
        );
        task.seed = Some(seed);
        run(&task, &Silent).unwrap();
        let rdms = RdmSet::read(&to.join("rdms")).unwrap();
        assert_eq!(index(&rdms, "features")[0], "12288");
        let scramble: Vec<usize> = serde_json::from_str(&index(&rdms, "scramble")[1]).unwrap();
        assert_eq!(reordered(rdms.triangle(0), 6, &scramble), rdms.triangle(1));
        rdms.triangle(1).to_vec()
    };
    assert_eq!(image(1, 0), image(2, 0));
    assert!(image(1, 0) != image(1, 5));
    assert!(!network_kinds::rdms().random);
}

#[test]
fn permutations_are_those_of_all_layers() {
    let study = Study::new(&crossed(), "small");
    let params =
        [("permutations", json!(2)), ("layers", json!(["conv1", "fc2"])), ("activations", json!(["unit_level"]))];
    let rdms = study.rdms("a", &params);
    assert_eq!(rdms.len(), 3 * 3);
    assert_eq!(index(&rdms, "permutation"), ["0", "1", "2", "0", "1", "2", "0", "1", "2"]);
    // The order that explains one layer's permuted RDM explains all of them.
    let order: Vec<usize> =
        orders(6).into_iter().find(|order| reordered(rdms.triangle(0), 6, order) == rdms.triangle(1)).unwrap();
    for layer in 0..3 {
        assert_eq!(reordered(rdms.triangle(3 * layer), 6, &order), rdms.triangle(3 * layer + 1));
        assert!(rdms.triangle(3 * layer + 1) != rdms.triangle(3 * layer + 2));
    }
}

/// All orders of `count` entries.
fn orders(count: usize) -> Vec<Vec<usize>> {
    match count {
        0 => vec![Vec::new()],
        _ => {
            let place = |order: &Vec<usize>, at: usize| [&order[..at], &[count - 1], &order[at..]].concat();
            orders(count - 1).iter().flat_map(|order| (0..count).map(move |at| place(order, at))).collect()
        }
    }
}

#[test]
fn sets_entries_combinations_and_kernels() {
    let study = Study::new(&crossed(), "small");
    let rdms = study.rdms(
        "a",
        &[
            ("dissimilarities", json!(["euclidean"])),
            ("layers", json!(["features.0"])),
            ("entries", json!(["object"])),
            ("sets", json!(["colour"])),
            ("combine", json!([{ "name": "both", "stimuli": ["cup", "key"] }])),
            ("kernel_sets", json!([{ "name": "few", "layer": "conv1", "kernels": [1, 3] }])),
        ],
    );
    assert_eq!(rdms.entries().ids(), ["cup", "hat", "key", "both"]);
    assert_eq!(
        (rdms.len(), index(&rdms, "colour")[0].as_str(), index(&rdms, "colour")[8].as_str()),
        (16, "red", "grey")
    );
    // The mean of two patterns is half their distance away from each.
    for rdm in 0..rdms.len() {
        let of = |first, second| rdms.triangle(rdm)[pair_index(4, first, second)];
        let half = of(0, 2) / 2.0;
        assert!((of(0, 3) / half - 1.0).abs() < 1e-4 && (of(2, 3) / half - 1.0).abs() < 1e-4, "{rdm}: {half}");
    }
    // Squared distances add up over kernels, so a part is smaller; the image has no kernels in the set and is whole.
    let of = |layer: &str, set: &str| triangle(&rdms, &format!("red/small_random/{layer}/euclidean/unit_level/{set}"));
    assert_eq!(of("original_rgb", "few"), of("original_rgb", "all"));
    assert!(of("conv1", "few").iter().zip(of("conv1", "all")).all(|(few, all)| few < all && *few > 0.0));
    let features = study.run(&network_kinds::features(), "f", &[("layers", json!(["conv1"]))]);
    let matrix = Matrix::open(&features.join("matrix")).unwrap();
    let of_kernel = 32 * 32;
    let of = |kernel: usize| -> Vec<f64> { matrix.block(kernel * of_kernel..(kernel + 1) * of_kernel, None).unwrap() };
    let columns = [of(1), of(3)].concat();
    // Cup and hat in red are the stimuli 0 and 2 of 6.
    let squares = columns.chunks(6).map(|column: &[f64]| (column[0] - column[2]).powi(2));
    let few = triangle(&rdms, "red/small_random/conv1/euclidean/unit_level/few");
    assert!((few[0] / squares.sum::<f64>().sqrt() - 1.0).abs() < 1e-5);
}

#[test]
fn features_are_named_and_equal_stimuli_have_equal_rows() {
    let mut shown = crossed();
    shown.push(shown[1].clone());
    let study = Study::new(&shown, "small");
    let folder = study.run(&network_kinds::features(), "a", &[("layers", json!(["conv2", "fc2", "original_rgb"]))]);
    let matrix = Matrix::open(&folder.join("matrix")).unwrap();
    let spaces = matrix.spaces().unwrap();
    let widths: Vec<(&str, usize)> = spaces.iter().map(|(name, columns)| (name.as_str(), columns.len())).collect();
    assert_eq!(
        widths,
        [("small_random/original_rgb", 12_288), ("small_random/conv2", 32 * 16 * 16), ("small_random/fc2", 4)]
    );
    assert_eq!((matrix.rows().len(), matrix.about().rows.as_str()), (7, "stimuli"));
    let last: Vec<f64> = matrix.block(matrix.columns().len() - 4..matrix.columns().len(), None).unwrap();
    assert!(last.chunks(7).all(|column| column[1] == column[6] && column[0] != column[1]));
    let place =
        |name: &str| data_table::integers(matrix.columns().table(), name).unwrap()[12_288 + 2 * 256 + 3 * 16 + 5];
    assert_eq!(["feature", "row", "column"].map(place), [2, 3, 5]);
    let means = study.run(
        &network_kinds::features(),
        "b",
        &[("layers", json!(["conv2"])), ("activation", json!("feature_means"))],
    );
    let means = Matrix::open(&means.join("matrix")).unwrap();
    assert_eq!(means.columns().len(), 32);
    let (units, mean): (Vec<f64>, Vec<f64>) =
        (matrix.block(12_288..12_288 + 256, None).unwrap(), means.block(0..1, None).unwrap());
    let expected = units.chunks(7).map(|unit| unit[4]).sum::<f64>() / 256.0;
    assert!((mean[4] - expected).abs() < 1e-6 * expected.abs(), "{} {expected}", mean[4]);
}

/// Pictures that do not change with their colour's name: all variance is the object's.
#[test]
fn variance_and_decoding_find_the_variable_that_shows() {
    let mut shown: Vec<Shown> = Vec::new();
    for (object, light) in [("cup", 60), ("hat", 200)] {
        for colour in ["red", "grey", "blue"] {
            shown.push((object, colour, picture(object, [light, light, light])));
        }
    }
    let study = Study::new(&shown, "small");
    let layers = ("layers", json!(["original_rgb", "conv1", "fc2"]));
    let table = study.run(&network_kinds::anova(), "a", &[("factors", json!(["object", "colour"])), layers.clone()]);
    let table = data_table::read(&table.join("table")).unwrap();
    assert_eq!(data_table::texts(&table, "source").unwrap()[..3], ["object", "colour", "interaction"]);
    assert_eq!(
        data_table::texts(&table, "layer").unwrap()[..4],
        ["original_rgb", "original_rgb", "original_rgb", "conv1"]
    );
    let shares = data_table::numbers(&table, "eta2_mean").unwrap();
    for shares in shares.chunks(3) {
        assert!((shares[0] - 1.0).abs() < 1e-6 && shares[1].abs() < 1e-6 && shares[2].abs() < 1e-6, "{shares:?}");
    }
    let units: Vec<i64> = data_table::integers(&table, "units").unwrap();
    let constant = data_table::integers(&table, "constant").unwrap();
    assert_eq!((units[0] + constant[0], units[3] + constant[3], units[6]), (12_288, 16_384, 4));

    let table = study.run(&network_kinds::decode(), "d", &[("variables", json!(["object", "colour"])), layers]);
    let table = data_table::read(&table.join("table")).unwrap();
    let (decoded, accuracy) =
        (data_table::texts(&table, "decoded").unwrap(), data_table::numbers(&table, "accuracy").unwrap());
    // For each layer one pair of objects and three pairs of colours; equal pictures are named right half of the time.
    assert_eq!(decoded[..4], ["object", "colour", "colour", "colour"]);
    for accuracy in accuracy.chunks(4) {
        assert_eq!(accuracy, [1.0, 0.5, 0.5, 0.5]);
    }
    assert_eq!(data_table::integers(&table, "tested").unwrap()[..2], [6, 4]);
}

#[test]
fn a_small_network_learns_to_name_objects() {
    let mut shown: Vec<Shown> = Vec::new();
    for (object, light) in [("cup", 60), ("hat", 130), ("key", 200)] {
        shown
            .extend((0..6).map(|at| (object, ["red", "grey"][at % 2], picture(&format!("{object} {at}"), [light; 3]))));
    }
    let study = Study::new(&shown, "small");
    for (to, optimiser, rate) in [("adam", "adam", 0.002), ("sgd", "sgd", 0.02)] {
        let params = [
            ("variable", json!("object")),
            ("held_out", json!(0.34)),
            ("optimiser", json!(optimiser)),
            ("learning_rate", json!(rate)),
            ("iterations", json!(120)),
            ("log_every", json!(40)),
            ("batch", json!(6)),
        ];
        let folder = study.run(&network_kinds::train(), to, &params);
        let again = study.run(&network_kinds::train(), &format!("{to} again"), &params);
        assert!(bytes(&folder.join("network")) == bytes(&again.join("network")), "{optimiser}: other bytes");
        let table = data_table::read(&folder.join("training")).unwrap();
        let accuracy = data_table::numbers(&table, "accuracy").unwrap();
        let loss = data_table::numbers(&table, "loss").unwrap();
        assert_eq!(data_table::integers(&table, "iteration").unwrap(), [0, 0, 40, 40, 80, 80, 120, 120]);
        assert_eq!(data_table::texts(&table, "part").unwrap()[..2], ["train", "held_out"]);
        assert!(
            accuracy[6] == 1.0 && accuracy[7] > 0.8 && loss[6] < loss[0] / 2.0,
            "{optimiser}: {accuracy:?} {loss:?}"
        );
        let network = NetworkFolder::open(&folder.join("network")).unwrap();
        assert_eq!(
            (network.about.name.as_str(), network.about.answers.join(" ")),
            ("small_trained", "cup hat key".into())
        );
        assert!(network.weights().unwrap().tensors.contains_key("classifier.2.bias"));
    }
    let failure = study.try_run(&network_kinds::train(), "e", &[("variable", json!("objects"))]).unwrap_err();
    assert!(failure.message.contains("`objects`"), "{failure}");
}

#[test]
fn untrained_googlenet_is_alive_when_it_is_calibrated() {
    let mut study = Study::new(&crossed()[..3], "googlenet");
    let spread = |study: &Study, to: &str| {
        let folder = study.run(&network_kinds::features(), to, &[("layers", json!(["avgpool1"]))]);
        let matrix = Matrix::open(&folder.join("matrix")).unwrap();
        let values: Vec<f64> = matrix.block(0..matrix.columns().len(), None).unwrap();
        (values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64).sqrt()
    };
    let stored = spread(&study, "a");
    study.network = study.run(&network_kinds::calibrate(), "calibrated", &[]).join("network");
    let calibrated = spread(&study, "b");
    assert!(stored < 1e-4 && calibrated > 1e-2, "{stored} {calibrated}");
    let about = NetworkFolder::open(&study.network).unwrap().about;
    assert_eq!(about.name, "googlenet_random");
    assert_eq!(about.origin, "a seed; batch normalisations have the statistics of 3 of 3 different images");
}

/// A second calibration with the same images finds the statistics that are there, and memory and batches do not show.
#[test]
fn calibration_depends_on_images_alone() {
    let mut study = Study::new(&crossed(), "resnet18");
    let weights = |network: &Path| NetworkFolder::open(network).unwrap().weights().unwrap();
    let fresh = weights(&study.network);
    let of = |study: &Study, to: &str, params: &[(&str, serde_json::Value)]| {
        study.run(&network_kinds::calibrate(), to, params).join("network")
    };
    let once = of(&study, "a", &[]);
    let few = of(&study, "b", &[("images", json!(2))]);
    let small = weights(&of(&study, "c", &[("memory", json!(100))]));
    assert!(weights(&once) == small && weights(&few) != small);
    study.network.clone_from(&once);
    let twice = weights(&of(&study, "d", &[("batch", json!(2))]));
    for (name, tensor) in &weights(&once).tensors {
        let statistic = name.ends_with("running_mean") || name.ends_with("running_var");
        let floats = |tensors: &Tensors| tensors.floats(name).map(|(_, values)| values.to_vec());
        assert_eq!(fresh.tensors[name] != *tensor, statistic, "{name}");
        if statistic {
            let (a, b) = (floats(&weights(&once)).unwrap(), floats(&twice).unwrap());
            let largest = a.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-4 * largest), "{name}");
        }
    }
    let plain = Study::new(&crossed(), "small");
    let to = of(&plain, "a", &[]);
    assert!(NetworkFolder::open(&to).unwrap().about == NetworkFolder::open(&plain.network).unwrap().about);
}

#[test]
fn what_does_not_fit_is_named() {
    let study = Study::new(&crossed(), "small");
    let fails = |params: &[(&str, serde_json::Value)]| study.try_run(&network_kinds::rdms(), "x", params).unwrap_err();
    let failure = fails(&[("layers", json!(["conv9"]))]);
    assert!(failure.message.contains("no layer `conv9`") && failure.message.contains("`conv1`"), "{failure}");
    assert!(fails(&[("entries", json!(["colour"]))]).message.contains("both the entry `red`"));
    assert!(fails(&[("dissimilarities", json!([]))]).message.contains("empty list"));
    let failure = fails(&[("kernel_sets", json!([{ "name": "a", "layer": "conv1", "kernels": [16] }]))]);
    assert!(failure.message.contains("kernel 16 of `conv1`, which has 16"), "{failure}");
    let failure = fails(&[
        ("permutations", json!(100_000)),
        ("kernel_sets", json!([{ "name": "a", "layer": "conv1", "kernels": [1] }])),
    ]);
    assert!(failure.message.contains("RDMs of 6 entries (56, each in 100001 orders)"), "{failure}");
    let one = Study::new(&crossed()[..1], "small");
    let failure = one.try_run(&network_kinds::rdms(), "x", &[]).unwrap_err();
    assert!(failure.message.contains("no pair"), "{failure}");
    fs_err::write(study.network.join("network.json"), "{").unwrap();
    assert!(fails(&[]).place.is_some());
}
