//! `rdm/frame`: columns, order and cells as in the guide.

use std::path::Path;

use pipe_contract::{Failure, Value};
use polars::prelude::{DataFrame, Series};

use super::frame::RdmFrame;
use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::MatrixAxis;
use crate::formats::rdm_set::{RdmAbout, RdmSet};
use crate::test_support::tasks;

/// RDMs of three colours of two objects in a layer, plain and permuted.
fn first_order(network: &str) -> RdmSet {
    let index = DataTable::new()
        .text("id", ["hat0", "hat1", "cup0", "cup1"])
        .text("network", [network; 4])
        .text("layer", ["conv1"; 4])
        .integers("rank", [1; 4])
        .text("activation", ["feature_means", "feature_means", "unit_level", "unit_level"])
        .integers("features", [3, 3, 27, 27])
        .text("dissimilarity", ["correlation", "correlation", "euclidean", "euclidean"])
        .text("unit", [""; 4])
        .integers("permutation", [0, 1, 0, 1])
        .text("scramble", ["", "[2,0,1]", "", "[2,0,1]"])
        .text("object", ["hat", "hat", "cup", "cup"]);
    let entries = DataTable::new()
        .text("id", ["a", "b", "c"])
        .text("path", ["images/a.png", "images/b.png", "images/c.png"])
        .integers("colour", [0, 90, 180]);
    let axis = |table: DataTable| MatrixAxis::new(table.build().unwrap()).unwrap();
    let values = (0..12).map(f64::from).collect();
    RdmSet::new(axis(index), axis(entries), values, None, RdmAbout::of("stimuli")).unwrap()
}

fn run(folder: &Path, sets: &[RdmSet], parameters: &[(&str, Value)]) -> Result<DataFrame, Failure> {
    let mut task = tasks::task(&RdmFrame, folder);
    for (at, set) in sets.iter().enumerate() {
        let path = folder.join(format!("in{at}"));
        set.write(&path).unwrap();
        tasks::gather(&mut task, "rdms", &[("part", at.to_string().as_str())], Some(&path));
    }
    for (name, value) in parameters {
        tasks::set(&mut task, name, value.clone());
    }
    tasks::run(&RdmFrame, &task)?;
    data_table::read_parquet(&folder.join("frame"))
}

fn names(frame: &DataFrame) -> Vec<String> {
    frame.get_column_names().iter().map(ToString::to_string).collect()
}

fn cell(frame: &DataFrame, column: &str, row: usize) -> Series {
    frame.column(column).unwrap().list().unwrap().get_as_series(row).unwrap()
}

fn numbers(series: &Series) -> Vec<f64> {
    series.f64().unwrap().iter().map(Option::unwrap).collect()
}

fn whole(series: &Series) -> Vec<i64> {
    series.i64().unwrap().iter().map(Option::unwrap).collect()
}

fn words(series: &Series) -> Vec<String> {
    series.str().unwrap().iter().map(|text| text.unwrap().to_owned()).collect()
}

#[test]
fn patterns_have_the_columns_of_the_guide() {
    let folder = tempfile::tempdir().unwrap();
    let sets = [first_order("vgg19"), first_order("alexnet")];
    let frame = run(folder.path(), &sets, &[("name", Value::Text("colours".into()))]).unwrap();
    let guide = [
        "df_name",
        "model",
        "layer",
        "layer_num",
        "layer_label",
        "dissim_metric",
        "activation_type",
        "matrix",
        "entry_keys",
        "entry_labels",
        "kernel_set_name",
        "kernel_inds",
        "perm",
        "perm_scramble",
        "dissim_rankings",
        "object",
    ];
    assert_eq!(names(&frame)[..16], guide);
    assert_eq!(names(&frame)[16..], ["part"]);
    let text = |column: &str| data_table::texts(&frame, column).unwrap();
    // Sorted by the labels `object` and `part`.
    assert_eq!(text("object"), ["cup", "cup", "cup", "cup", "hat", "hat", "hat", "hat"]);
    assert_eq!(text("model")[..4], ["vgg19", "vgg19", "alexnet", "alexnet"]);
    assert_eq!(text("perm")[..2], ["orig_data", "1"]);
    assert_eq!((text("dissim_metric")[0].as_str(), text("dissim_metric")[4].as_str()), ("euclidean_distance", "corr"));
    let matrix = cell(&frame, "matrix", 0);
    let rows = (0..3).map(|row| numbers(&matrix.list().unwrap().get_as_series(row).unwrap()));
    assert_eq!(rows.collect::<Vec<_>>(), [[0.0, 6.0, 7.0], [6.0, 0.0, 8.0], [7.0, 8.0, 0.0]]);
    assert_eq!(words(&cell(&frame, "layer_label", 0)), ["conv1", "1"]);
    assert_eq!(words(&cell(&frame, "entry_keys", 0).list().unwrap().get_as_series(1).unwrap()), ["90"]);
    assert_eq!(words(&cell(&frame, "entry_labels", 0))[2], r#"{"colour": "180"}"#);
    // The layer has three kernels, as its feature means say, also where patterns are of all 27 units.
    assert!((0..8).all(|row| whole(&cell(&frame, "kernel_inds", row)) == [0, 1, 2]));
    assert_eq!(whole(&cell(&frame, "perm_scramble", 0)), [0, 1, 2]);
    assert_eq!(whole(&cell(&frame, "perm_scramble", 1)), [2, 0, 1]);
    // The largest is 8, of entries 1 and 2.
    assert_eq!(whole(&cell(&frame, "dissim_rankings", 0)), [1, 2, 0]);
}

#[test]
fn higher_orders_have_sorted_columns_and_renamed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let index = DataTable::new()
        .text("id", ["b", "a"])
        .text("network", ["alexnet"; 2])
        .text("layer", ["fc1", "conv1"])
        .text("activation", ["unit_level"; 2])
        .text("dissimilarity_sub", ["correlation", "euclidean"])
        .integers("rank", [17, 1])
        .text("entry_subset", ["all"; 2])
        .text("dissimilarity", ["correlation"; 2])
        .text("unit", [""; 2])
        .integers("permutation", [0, 2])
        .text("scramble", ["", "[[1,0],[0,1]]"]);
    let axis = |table: DataTable| MatrixAxis::new(table.build().unwrap()).unwrap();
    let entries = DataTable::new().text("id", ["cup", "hat"]).text("obj", ["cup", "hat"]);
    let about = RdmAbout { order: 2, ..RdmAbout::of("objects") };
    let set = RdmSet::new(axis(index), axis(entries), vec![0.5, 0.25], None, about).unwrap();
    let set = set.with_sub_entries(MatrixAxis::of_ids(["000", "090"]).unwrap());
    set.write(&folder.path().join("in")).unwrap();
    let mut task = tasks::task(&RdmFrame, folder.path());
    tasks::gather(&mut task, "rdms", &[], Some(&folder.path().join("in")));
    tasks::run(&RdmFrame, &task).unwrap();
    let frame = data_table::read_parquet(&folder.path().join("frame")).unwrap();
    // As printed in the guide for 176 rows.
    let guide = "activation_type df_name dissim_metric dissim_metric_sub dissim_rankings entry_keys entry_keys_sub \
                 entry_labels entry_labels_sub entry_var_subset layer matrix model perm";
    assert_eq!(names(&frame), guide.split_whitespace().collect::<Vec<_>>());
    assert_eq!(data_table::texts(&frame, "layer").unwrap(), ["conv1", "fc1"]);
    assert_eq!(data_table::texts(&frame, "dissim_metric_sub").unwrap(), ["euclidean_distance", "corr"]);
    assert_eq!(data_table::texts(&frame, "perm").unwrap(), ["2", "orig_data"]);
    assert_eq!(words(&cell(&frame, "entry_labels_sub", 0)), [r#"{"id": "000"}"#, r#"{"id": "090"}"#]);
}

/// 24 RDMs, more than a sort looks at one by one, with labels that are numbers but for some.
#[test]
fn labels_that_are_partly_numbers_have_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let sorted = |labels: &[String], name: &str| {
        let index = DataTable::new()
            .text("id", (0..labels.len()).map(|at| format!("r{at}")))
            .text("layer", vec!["conv1"; labels.len()])
            .text("object", labels);
        let axis = |table: DataTable| MatrixAxis::new(table.build().unwrap()).unwrap();
        let entries = DataTable::new().text("id", ["a", "b"]);
        let values = vec![1.0; labels.len()];
        let set = RdmSet::new(axis(index), axis(entries), values, None, RdmAbout::of("stimuli")).unwrap();
        let folder = folder.path().join(name);
        fs_err::create_dir(&folder).unwrap();
        data_table::texts(&run(&folder, &[set], &[]).unwrap(), "object").unwrap()
    };
    let numbers: Vec<String> = (0..24).map(|at| (at * 7 % 24).to_string()).collect();
    assert_eq!(sorted(&numbers, "numbers"), (0..24).map(|at| at.to_string()).collect::<Vec<_>>());
    let mut mixed: Vec<String> =
        numbers.iter().map(|number| if number.len() > 1 { format!("{number}a") } else { number.clone() }).collect();
    let found = sorted(&mixed, "mixed");
    mixed.sort();
    assert_eq!(found, mixed);
}

#[test]
fn frames_that_are_too_large_or_mixed_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let failure = run(folder.path(), &[first_order("a")], &[("most_bytes", Value::Int(1000))]).unwrap_err();
    // 4 rows of 9 + 24 + 16 cells of 8 bytes.
    assert_eq!(failure.message, "the frame would take about 1568 bytes, expected at most 1000");
    let first = first_order("a");
    let about = RdmAbout { order: 2, ..first.about().clone() };
    let values = (0..4).flat_map(|rdm| first.triangle(rdm).to_vec()).collect();
    let second = RdmSet::new(first.index().clone(), first.entries().clone(), values, None, about).unwrap();
    let failure = run(folder.path(), &[first, second], &[]).unwrap_err();
    assert!(failure.message.contains("has the order 2, but the first has 1"), "{failure}");
}
