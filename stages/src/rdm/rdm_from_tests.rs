//! `rdm/from` on small matrices.

use std::path::{Path, PathBuf};

use pipe_contract::{Failure, IMPORTANT, Value};

use super::rdm_from::RdmFrom;
use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::{self, MatrixAbout, MatrixAxis};
use crate::formats::rdm_set::RdmSet;
use crate::numeric::dissimilarity::{entry_permutation, reordered};
use crate::test_support::tasks;

/// A matrix of these columns, of rows `a`, `b`, `c`, ... in runs 1 and 2 by turns.
fn written(folder: &Path, spaces: &[&str], columns: &[&[f64]]) -> PathBuf {
    let path = folder.join("in");
    let rows = columns[0].len();
    let names: Vec<String> = ('a'..='z').take(rows).map(String::from).collect();
    let table = DataTable::new()
        .text("id", names)
        .text("object", (0..rows).map(|row| if row < rows / 2 { "cat" } else { "dog" }))
        .integers("run", (0..rows).map(|row| 1 + i64::from(row % 2 == 1)));
    let ranks = spaces.iter().map(|space| i64::from(*space == "fc"));
    let features = DataTable::new()
        .text("id", (0..columns.len()).map(|at| format!("f{at}")))
        .text("space", spaces.iter().copied())
        .integers("rank", ranks);
    let axis = |table: DataTable| MatrixAxis::new(table.build().unwrap()).unwrap();
    let about =
        MatrixAbout { rows: "stimuli".into(), columns: "features".into(), unit: "mV".into(), history: Vec::new() };
    matrix::write(&path, &axis(table), &axis(features), &about, &columns.concat()).unwrap();
    path
}

fn run(folder: &Path, input: &Path, set: &[(&str, Value)]) -> Result<(RdmSet, Vec<String>), Failure> {
    let mut task = tasks::task(&RdmFrom, folder);
    tasks::give(&mut task, "matrix", input);
    for (name, value) in set {
        tasks::set(&mut task, name, value.clone());
    }
    let notes = tasks::run(&RdmFrom, &task)?;
    Ok((RdmSet::read(&folder.join("rdms")).unwrap(), notes))
}

fn list(words: &[&str]) -> Value {
    Value::List(words.iter().map(|word| Value::Text((*word).to_owned())).collect())
}

fn text(word: &str) -> Value {
    Value::Text(word.to_owned())
}

const COLUMNS: [&[f64]; 4] =
    [&[1.0, 2.0, -1.0, 0.0], &[2.0, 1.0, 5.0, 3.0], &[4.0, 0.0, 2.0, 1.0], &[8.0, 3.0, 2.0, -2.0]];

#[test]
fn every_space_has_its_rdms() {
    let folder = tempfile::tempdir().unwrap();
    let input = written(folder.path(), &["conv", "fc", "conv", "fc"], &COLUMNS);
    let set = [("dissimilarity", list(&["squared_euclidean", "euclidean"]))];
    let (found, notes) = run(folder.path(), &input, &set).unwrap();
    assert_eq!(
        found.index().ids(),
        ["conv/squared_euclidean", "conv/euclidean", "fc/squared_euclidean", "fc/euclidean"]
    );
    assert!(notes.is_empty());
    // a - b in `conv`: (1 - 2, 4 - 0); in `fc`: (2 - 1, 8 - 3).
    assert_eq!((found.triangle(0)[0], found.triangle(2)[0]), (17.0, 26.0));
    assert!((found.triangle(3)[0] - 26_f64.sqrt()).abs() < 1e-15);
    let index = found.index().table();
    assert_eq!(data_table::texts(index, "space").unwrap(), ["conv", "conv", "fc", "fc"]);
    assert_eq!(data_table::integers(index, "rank").unwrap(), [0, 0, 1, 1]);
    assert_eq!(data_table::texts(index, "unit").unwrap(), ["mV^2", "mV", "mV^2", "mV"]);
    assert_eq!((found.about().entries.as_str(), found.about().unit.as_str(), found.about().order), ("stimuli", "", 1));
    assert_eq!(data_table::texts(found.entries().table(), "object").unwrap(), ["cat", "cat", "dog", "dog"]);
}

/// All features as one RDM; correlation of the first three rows as in `numeric/dissimilarity.rs`.
#[test]
fn all_features_make_one_rdm() {
    let folder = tempfile::tempdir().unwrap();
    let input = written(folder.path(), &["conv", "fc", "conv", "fc"], &COLUMNS);
    let (found, _) = run(folder.path(), &input, &[("by", list(&[]))]).unwrap();
    assert_eq!((found.len(), found.index().ids()[0].as_str()), (1, "all/correlation"));
    assert!((found.triangle(0)[0] - 0.541_268_289_074_435_6).abs() < 1e-14);
    let failure = run(folder.path(), &input, &[("by", list(&["layer"]))]).unwrap_err();
    assert!(failure.message.contains("expected a column `layer`") && failure.hint.unwrap().contains("by: []"));
}

#[test]
fn permutations_are_those_of_the_seed_for_every_group() {
    let folder = tempfile::tempdir().unwrap();
    let input = written(folder.path(), &["conv", "fc", "conv", "fc"], &COLUMNS);
    let set =
        [("dissimilarity", list(&["euclidean"])), ("permutations", Value::Int(2)), ("permutation_seed", Value::Int(5))];
    let (found, _) = run(folder.path(), &input, &set).unwrap();
    assert_eq!(data_table::integers(found.index().table(), "permutation").unwrap(), [0, 1, 2, 0, 1, 2]);
    assert_eq!(found.index().ids()[4], "fc/euclidean/1");
    for (plain, permuted, number) in [(0, 1, 1), (0, 2, 2), (3, 4, 1), (3, 5, 2)] {
        let order = entry_permutation(5, number, 4);
        assert_eq!(found.triangle(permuted), reordered(found.triangle(plain), 4, &order));
    }
}

#[test]
fn repeated_rows_are_averaged() {
    let folder = tempfile::tempdir().unwrap();
    let input = written(folder.path(), &["A"; 4], &COLUMNS);
    let set = [("dissimilarity", list(&["squared_euclidean", "crossnobis"])), ("entry", text("object"))];
    let more = [("run", text("run")), ("covariance", text("identity"))];
    let (found, _) = run(folder.path(), &input, &[&set[..], &more[..]].concat()).unwrap();
    assert_eq!(found.entries().ids(), ["cat", "dog"]);
    // Means: cat (1.5, 1.5, 2, 5.5), dog (-0.5, 4, 1.5, 0).
    assert!((found.triangle(0)[0] - (4.0 + 6.25 + 0.25 + 30.25)).abs() < 1e-13);
    // Run 1: a - c = (2, -3, 2, 6); run 2: b - d = (2, -2, -1, 5): 4 + 6 - 2 + 30.
    assert!((found.triangle(1)[0] - 38.0).abs() < 1e-13);
    let units = |set: &RdmSet| data_table::texts(set.index().table(), "unit").unwrap().join(" | ");
    assert_eq!(units(&found), "mV^2 | mV^2", "without a covariance, numbers are what they were measured in");
    let each =
        [("per_feature", Value::Bool(true)), ("dissimilarity", list(&["euclidean", "mahalanobis", "crossnobis"]))];
    let (found, _) = run(folder.path(), &input, &[&set[1..], &more[..], &each[..]].concat()).unwrap();
    let root = "mV, root mean square over features";
    assert_eq!(units(&found), format!("{root} | {root} | mV^2 per feature"));
    let in_noise = [("run", text("run")), ("shrinkage", text("given")), ("intensity", Value::Float(1.0))];
    let (found, _) = run(folder.path(), &input, &[&set[..], &in_noise[..]].concat()).unwrap();
    assert_eq!(units(&found), "mV^2 | sd of noise^2");
    let failure = run(folder.path(), &input, &set).unwrap_err();
    assert_eq!(failure.message, "`crossnobis` needs runs, but `run` is empty");
    let none = [("shrinkage", text("none")), ("run", text("run"))];
    let failure = run(folder.path(), &input, &[&set[..], &none[..]].concat()).unwrap_err();
    assert!(failure.message.contains("2 degrees of freedom are too few for the covariance of 4 features"), "{failure}");
}

/// Noise of the same features in another order, with variances 1, 4, 9 and 16 (of 2 degrees of freedom).
#[test]
fn residuals_are_joined_by_the_ids_of_features() {
    let folder = tempfile::tempdir().unwrap();
    let input = written(folder.path(), &["A"; 4], &COLUMNS);
    let columns: Vec<f64> = [4.0_f64, 3.0, 2.0, 1.0].into_iter().flat_map(|sd| [-sd, 0.0, sd]).collect();
    let residuals = folder.path().join("noise");
    let axis = |ids: &[&str]| MatrixAxis::of_ids(ids.iter().copied()).unwrap();
    let about = MatrixAbout::default();
    matrix::write(&residuals, &axis(&["r1", "r2", "r3"]), &axis(&["f3", "f2", "f1", "f0"]), &about, &columns).unwrap();
    let mut task = tasks::task(&RdmFrom, folder.path());
    tasks::give(&mut task, "matrix", &input);
    tasks::give(&mut task, "residuals", &residuals);
    tasks::set(&mut task, "dissimilarity", list(&["mahalanobis"]));
    tasks::set(&mut task, "shrinkage", text("given"));
    tasks::set(&mut task, "intensity", Value::Float(1.0));
    let notes = tasks::run(&RdmFrom, &task).unwrap();
    assert_eq!(notes, ["`A`: covariance shrunk to its diagonal by 1.0000"]);
    let found = RdmSet::read(&folder.path().join("rdms")).unwrap();
    // a - b = (-1, 1, 4, 5).
    let expected = (1.0_f64 + 1.0 / 4.0 + 16.0 / 9.0 + 25.0 / 16.0).sqrt();
    assert!((found.triangle(0)[0] - expected).abs() < 1e-14);
    assert_eq!(found.about().unit, "sd of noise");
}

#[test]
fn undefined_dissimilarities_are_reported_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let constant: [&[f64]; 2] = [&[1.0, 2.0, 3.0], &[1.0, 0.0, 5.0]];
    let input = written(folder.path(), &["A"; 2], &constant);
    let (found, notes) = run(folder.path(), &input, &[]).unwrap();
    assert!(found.triangle(0)[0].is_nan() && !found.triangle(0)[2].is_nan() && notes[0].starts_with(IMPORTANT));
    assert!(notes[0].contains("undefined in 1 RDMs: `A/correlation` (2 pairs)"), "{notes:?}");
    let failure = run(folder.path(), &input, &[("undefined", text("refuse"))]).unwrap_err();
    assert!(failure.hint.unwrap().contains("a pattern is constant"));
}

#[test]
fn what_makes_no_rdm_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let one: [&[f64]; 1] = [&[1.0]];
    let input = written(folder.path(), &["A"], &one);
    let failure = run(folder.path(), &input, &[]).unwrap_err();
    assert!(failure.message.starts_with("an RDM needs at least two entries"), "{failure}");
    let input = written(folder.path(), &["A"; 4], &COLUMNS);
    let twice = run(folder.path(), &input, &[("dissimilarity", list(&["cosine", "cosine"]))]).unwrap_err();
    assert!(twice.message.contains("`cosine` is listed twice"));
    let many = run(folder.path(), &input, &[("permutations", Value::Int(1 << 30))]).unwrap_err();
    assert!(many.message.contains("RDMs of 4 entries have more than"), "{many}");
}
