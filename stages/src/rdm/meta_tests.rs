//! `rdm/meta` on small sets.

use std::path::Path;

use pipe_contract::{Failure, IMPORTANT, Value};

use super::meta::MetaRdms;
use super::rdm_sets::joined;
use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::MatrixAxis;
use crate::formats::rdm_set::{RdmAbout, RdmSet};
use crate::test_support::tasks;

/// RDMs of four colours: of two objects in two layers, by two dissimilarities.
fn first_order() -> RdmSet {
    let all = || (0..8_usize).map(|at| (at / 4, at / 2 % 2, at % 2));
    let object = |at: usize| ["cup", "hat"][at];
    let layer = |at: usize| ["conv1", "fc1"][at];
    let of = |at: usize| ["correlation", "euclidean"][at];
    let index = DataTable::new()
        .text("id", all().map(|(o, l, d)| format!("{}-{}-{}", object(o), layer(l), of(d))))
        .text("network", ["alexnet"; 8])
        .text("layer", all().map(|(_, l, _)| layer(l)))
        .integers("rank", all().map(|(_, l, _)| [1, 17][l]))
        .text("object", all().map(|(o, _, _)| object(o)))
        .integers("features", all().map(|(_, l, _)| [64, 4096][l]))
        .text("dissimilarity", all().map(|(_, _, d)| of(d)))
        .integers("permutation", [0; 8]);
    let values: Vec<f64> = (0..48).map(|at| f64::from(at * at * 7 % 31) + 1.0).collect();
    let index = MatrixAxis::new(index.build().unwrap()).unwrap();
    let entries = MatrixAxis::of_ids(["000", "090", "180", "270"]).unwrap();
    RdmSet::new(index, entries, values, None, RdmAbout::of("stimuli")).unwrap()
}

fn run(folder: &Path, set: &RdmSet, parameters: &[(&str, Value)]) -> Result<(RdmSet, Vec<String>), Failure> {
    let path = folder.join("in");
    set.write(&path).unwrap();
    let mut task = tasks::task(&MetaRdms, folder);
    tasks::gather(&mut task, "rdms", &[], Some(&path));
    for (name, value) in parameters {
        tasks::set(&mut task, name, value.clone());
    }
    let notes = tasks::run(&MetaRdms, &task)?;
    Ok((RdmSet::read(&folder.join("rdms")).unwrap(), notes))
}

fn list(words: &[&str]) -> Value {
    Value::List(words.iter().map(|word| Value::Text((*word).to_owned())).collect())
}

fn names(set: &RdmSet) -> Vec<String> {
    set.index().table().get_column_names().iter().map(ToString::to_string).collect()
}

/// 1 minus Pearson's correlation.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mx, my) = (mean(x), mean(y));
    let over: f64 = x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum();
    let squares = |x: &[f64], m: f64| x.iter().map(|x| (x - m).powi(2)).sum::<f64>();
    1.0 - over / (squares(x, mx) * squares(y, my)).sqrt()
}

#[test]
fn objects_are_compared_within_layers() {
    let folder = tempfile::tempdir().unwrap();
    let first = first_order();
    let grouping = list(&["network", "layer", "dissimilarity"]);
    let set =
        [("entry", list(&["object"])), ("grouping", grouping), ("dissimilarity", list(&["correlation", "euclidean"]))];
    let (found, notes) = run(folder.path(), &first, &set).unwrap();
    assert!(notes.is_empty());
    assert_eq!((found.len(), found.about().order, found.about().entries.as_str()), (8, 2, "objects"));
    assert_eq!(found.entries().ids(), ["cup", "hat"]);
    assert_eq!(found.sub_entries().unwrap().ids()[3], "270");
    let expected = [
        "network",
        "layer",
        "dissimilarity_sub",
        "rank",
        "entry_subset",
        "dissimilarity",
        "unit",
        "permutation",
        "scramble",
    ];
    assert_eq!(names(&found)[1..], expected);
    assert_eq!(
        found.index().ids()[..2],
        ["alexnet/conv1/correlation/correlation", "alexnet/conv1/correlation/euclidean"]
    );
    // RDM 0 is of the cup, RDM 4 of the hat, both in `conv1` by correlation.
    assert!((found.triangle(0)[0] - correlation(first.triangle(0), first.triangle(4))).abs() < 1e-14);
    let squared: f64 = first.triangle(0).iter().zip(first.triangle(4)).map(|(x, y)| (x - y).powi(2)).sum();
    assert!((found.triangle(1)[0] - squared.sqrt()).abs() < 1e-12);
    // The rest is the same: `rank` and `features` follow from the layer.
    let set = [("entry", list(&["object"]))];
    let (rest, _) = run(folder.path(), &first, &set).unwrap();
    assert_eq!(rest.len(), 4);
    assert!(names(&rest).contains(&"permutation_sub".to_owned()) && rest.triangle(0) == found.triangle(0));
}

/// The unit of a group is that of its RDMs, also where the set has several.
#[test]
fn units_are_those_of_groups() {
    let folder = tempfile::tempdir().unwrap();
    let first = first_order();
    let units = DataTable::new().text("unit", (0..8).map(|at| ["", "mV"][at % 2])).build().unwrap();
    let mut table = first.index().table().clone();
    table.with_column(units.columns()[0].clone()).unwrap();
    let values = (0..8).flat_map(|rdm| first.triangle(rdm).to_vec()).collect();
    let index = MatrixAxis::new(table).unwrap();
    let set = RdmSet::new(index, first.entries().clone(), values, None, first.about().clone()).unwrap();
    let given =
        [("entry", list(&["object", "layer"])), ("dissimilarity", list(&["euclidean", "squared_euclidean", "cosine"]))];
    let (found, _) = run(folder.path(), &set, &given).unwrap();
    assert_eq!(
        data_table::texts(found.index().table(), "dissimilarity_sub").unwrap()[2..4],
        ["correlation", "euclidean"]
    );
    assert_eq!(data_table::texts(found.index().table(), "unit").unwrap(), ["", "", "", "mV", "mV^2", ""]);
}

#[test]
fn alignment_of_unknown_numbers_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_one(&folder.path().join("set"), &["w", "x", "y", "z"], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], true);
    let unknown = RdmSet::read(&folder.path().join("set")).unwrap();
    let given = [("entry", list(&["layer"])), ("dissimilarity", list(&["cka"]))];
    let failure = run(folder.path(), &unknown, &given).unwrap_err();
    assert!(failure.message.contains("the dissimilarity of `a` is ``, expected one of euclidean"), "{failure}");
    let given = [("entry", list(&["object"])), ("dissimilarity", list(&["cosine", "cka"]))];
    assert!(run(folder.path(), &first_order(), &given).is_ok());
}

#[test]
fn more_rdms_than_a_set_has_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let set = [
        ("entry", list(&["object", "layer"])),
        ("permutations", Value::Int(1_000_000)),
        ("dissimilarity", list(&["cosine"])),
    ];
    let many = (0..700).map(|at| format!("{at}"));
    let index = DataTable::new().text("id", many.clone()).text("object", many.clone()).text("layer", many);
    let index = MatrixAxis::new(index.build().unwrap()).unwrap();
    let entries = MatrixAxis::of_ids(["x", "y"]).unwrap();
    let wide = RdmSet::new(index, entries, vec![1.0; 700], None, RdmAbout::of("stimuli")).unwrap();
    let failure = run(folder.path(), &wide, &set).unwrap_err();
    assert!(failure.message.starts_with("1000001 RDMs of 700 entries have more than"), "{failure}");
}

#[test]
fn orders_are_put_above_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let first = first_order();
    let set = [
        ("entry", list(&["object", "layer"])),
        ("grouping", list(&["network", "dissimilarity"])),
        ("dissimilarity", list(&["correlation", "cosine"])),
    ];
    let (second, _) = run(folder.path(), &first, &set).unwrap();
    assert_eq!(second.entries().ids(), ["cup/conv1", "cup/fc1", "hat/conv1", "hat/fc1"]);
    assert_eq!(data_table::integers(second.entries().table(), "rank").unwrap(), [1, 17, 1, 17]);
    assert_eq!((second.len(), second.about().entries.as_str()), (4, "combinations of object and layer"));
    assert!((second.square(0)[1] - correlation(first.triangle(0), first.triangle(2))).abs() < 1e-14);
    let above = tempfile::tempdir().unwrap();
    let set = [("entry", list(&["dissimilarity_sub"])), ("grouping", list(&["network", "dissimilarity"]))];
    let (third, _) = run(above.path(), &second, &set).unwrap();
    assert_eq!((third.about().order, third.len()), (3, 2));
    assert_eq!(third.entries().ids(), ["correlation", "euclidean"]);
    assert_eq!(third.index().ids(), ["alexnet/correlation/correlation", "alexnet/cosine/correlation"]);
    assert!(names(&third).contains(&"dissimilarity_sub".to_owned()));
    let set = [("entry", list(&["network"])), ("grouping", list(&["dissimilarity", "dissimilarity_sub"]))];
    let failure = run(above.path(), &second, &set).unwrap_err();
    assert_eq!(failure.message, "an RDM of 1 networks has no pair, expected at least two");
}

#[test]
fn permutations_shuffle_each_entry_on_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let first = first_order();
    let set =
        [("entry", list(&["object"])), ("permutations", Value::Int(2)), ("only", only("dissimilarity", "euclidean"))];
    let (found, _) = run(folder.path(), &first, &set).unwrap();
    assert_eq!(data_table::integers(found.index().table(), "permutation").unwrap(), [0, 1, 2, 0, 1, 2]);
    let scrambles = data_table::texts(found.index().table(), "scramble").unwrap();
    assert!(scrambles[0].is_empty() && scrambles[1] == scrambles[4] && scrambles[1] != scrambles[2]);
    let orders: Vec<Vec<usize>> = serde_json::from_str(&scrambles[1]).unwrap();
    let shuffled = |rdm: usize, order: &[usize]| {
        let square = first.square(rdm);
        crate::numeric::dissimilarity::pairs(4).map(|(i, j)| square[order[i] * 4 + order[j]]).collect::<Vec<_>>()
    };
    let expected = correlation(&shuffled(1, &orders[0]), &shuffled(5, &orders[1]));
    assert!((found.triangle(1)[0] - expected).abs() < 1e-14);
}

fn only(column: &str, value: &str) -> Value {
    Value::Map([(column.to_owned(), list(&[value]))].into_iter().collect())
}

#[test]
fn subsets_of_entries_are_those_listed() {
    let folder = tempfile::tempdir().unwrap();
    let first = first_order();
    let set = [
        ("entry", list(&["object", "layer"])),
        ("grouping", list(&["dissimilarity"])),
        ("entries", list(&["cup/fc1", "hat/fc1", "cup/conv1"])),
        ("entry_subset", Value::Text("three".into())),
    ];
    let (found, _) = run(folder.path(), &first, &set).unwrap();
    assert_eq!(found.entries().ids(), ["cup/conv1", "cup/fc1", "hat/fc1"]);
    assert_eq!(data_table::texts(found.index().table(), "entry_subset").unwrap(), ["three", "three"]);
    let set = [("entry", list(&["object", "layer"])), ("entries", list(&["cup/fc2"]))];
    let failure = run(folder.path(), &first, &set).unwrap_err();
    assert!(
        failure.message.contains("no RDM is of the entry `cup/fc2`") && failure.hint.unwrap().contains("`cup/fc1`")
    );
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let first = first_order();
    let message = |set: &[(&str, Value)]| run(folder.path(), &first, set).unwrap_err().message;
    let twice = message(&[("entry", list(&["object"])), ("grouping", list(&["layer"]))]);
    assert_eq!(
        twice,
        "`cup-conv1-correlation` and `cup-conv1-euclidean` are both the entry `cup` of group `conv1`, expected one RDM an entry"
    );
    let partial = first.part(&[0, 1, 2, 3, 4, 5], &[0, 1, 2, 3]).unwrap();
    let set = [("entry", list(&["object"])), ("grouping", list(&["layer", "dissimilarity"]))];
    let failure = run(folder.path(), &partial, &set).unwrap_err();
    assert_eq!(
        failure.message,
        "group `fc1/correlation` lacks the entry `hat`; the first group is `conv1/correlation`"
    );
    assert!(message(&[("entry", list(&[]))]).starts_with("`entry` is empty"));
    assert!(message(&[("entry", list(&["object"])), ("grouping", list(&["object"]))]).contains("both in `entry`"));
    assert!(message(&[("entry", list(&["object"])), ("only", only("layer", "conv7"))]).contains("no RDM has `conv7`"));
}

#[test]
fn undefined_numbers_are_reported_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = first_order().part(&[0, 4], &[0, 1, 2, 3]).unwrap();
    let mut values = [first.triangle(0), first.triangle(1)].concat();
    values[0] = f64::NAN;
    let set = RdmSet::new(first.index().clone(), first.entries().clone(), values, None, first.about().clone()).unwrap();
    let entry = ("entry", list(&["object"]));
    let (found, notes) = run(folder.path(), &set, std::slice::from_ref(&entry)).unwrap();
    assert!(found.triangle(0)[0].is_nan() && notes[0].starts_with(IMPORTANT), "{notes:?}");
    fs_err::remove_dir_all(folder.path().join("rdms")).unwrap();
    let by = |word: &str| [entry.clone(), ("undefined", Value::Text(word.to_owned()))];
    let (found, notes) = run(folder.path(), &set, &by("pairs")).unwrap();
    assert!((found.triangle(0)[0] - correlation(&set.triangle(0)[1..], &set.triangle(1)[1..])).abs() < 1e-14);
    assert!(notes.is_empty());
    let failure = run(folder.path(), &set, &by("refuse")).unwrap_err();
    assert_eq!(failure.message, "the RDM `cup-conv1-correlation` has undefined numbers");
}

/// A set of one RDM.
fn write_one(folder: &Path, entries: &[&str], values: &[f64], ranked: bool) {
    let index = DataTable::new().text("id", ["a"]).text("layer", ["fc"]);
    let index = if ranked { index.integers("rank", [3]) } else { index };
    let index = MatrixAxis::new(index.build().unwrap()).unwrap();
    let entries = MatrixAxis::of_ids(entries.iter().copied()).unwrap();
    RdmSet::new(index, entries, values.to_vec(), None, RdmAbout::of("stimuli")).unwrap().write(folder).unwrap();
}

#[test]
fn sets_of_the_same_entries_are_joined_by_ids() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_one(&path("one"), &["x", "y", "z"], &[1.0, 2.0, 3.0], true);
    write_one(&path("two"), &["z", "x", "y"], &[4.0, 5.0, 6.0], false);
    let mut task = tasks::task(&MetaRdms, folder.path());
    tasks::gather(&mut task, "rdms", &[("network", "alexnet")], Some(&path("one")));
    let alone = joined(&task, "rdms").unwrap();
    assert_eq!(alone.index().ids(), ["a"]);
    assert_eq!(data_table::texts(alone.index().table(), "network").unwrap(), ["alexnet"]);
    tasks::gather(&mut task, "rdms", &[("network", "vgg19")], Some(&path("two")));
    let both = joined(&task, "rdms").unwrap();
    assert_eq!(both.index().ids(), ["alexnet/a", "vgg19/a"]);
    // Pairs x-y, x-z, y-z; z-x is 4, z-y 5, x-y 6 in the second.
    assert_eq!((both.triangle(0), both.triangle(1)), ([1.0, 2.0, 3.0].as_slice(), [6.0, 4.0, 5.0].as_slice()));
    assert_eq!(names(&both), ["id", "layer", "network"]);
    write_one(&path("two"), &["z", "x", "w"], &[4.0, 5.0, 6.0], false);
    let failure = joined(&task, "rdms").unwrap_err();
    assert!(failure.message.contains("1 of 3 entries of the first set are not there: `y`"), "{failure}");
}
