//! Banded ridge and partitions from features to tables, against numbers of other programs (`tests/fidelity/encoding/inference.py`).

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::{Failure, Task, Value};
use polars::prelude::DataFrame;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::Deserialize;

use super::banded::Banded;
use super::encoding_partition::EncodingPartition;
use super::ridge::Ridge;
use super::tests::{Data, close, floats, text};
use crate::formats::data_table;
use crate::formats::predictions::Predictions;
use crate::formats::stimulus_split::Fold;
use crate::numeric::random_rows::{shuffled, single_rows};
use crate::numeric::statistics::quantile;
use crate::test_support::tasks;

#[derive(Deserialize)]
struct Goldens {
    penalties: Vec<f64>,
    mixtures: BTreeMap<String, Vec<Vec<f64>>>,
    banded: Vec<Golden>,
    #[serde(rename = "penalty of partition")]
    penalty: f64,
    partition: BTreeMap<String, Vec<f64>>,
}

#[derive(Deserialize)]
struct Golden {
    data: String,
    choose: String,
    mixture: Vec<usize>,
    penalty: Vec<f64>,
    r2: Vec<f64>,
    split: Vec<Vec<f64>>,
}

fn goldens() -> Goldens {
    serde_json::from_str(include_str!("../../../tests/fidelity/encoding/inference.json")).unwrap()
}

fn mixtures(of: &[Vec<f64>]) -> Value {
    Value::List(of.iter().map(|mixture| floats(mixture)).collect())
}

/// A run of `encode/banded`.
struct Ran {
    task: Task,
    folder: tempfile::TempDir,
}

impl Ran {
    fn of(data: &Data, with: &[(&str, Value)]) -> Self {
        Self::try_of(data, with).unwrap()
    }

    fn try_of(data: &Data, with: &[(&str, Value)]) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = data.task(&Banded, folder.path());
        with.iter().for_each(|(name, value)| tasks::set(&mut task, name, value.clone()));
        tasks::run(&Banded, &task)?;
        Ok(Self { task, folder })
    }

    fn table(&self, port: &str) -> DataFrame {
        data_table::read(self.task.output(port).unwrap()).unwrap()
    }

    fn r2(&self) -> Vec<f64> {
        data_table::numbers(&self.table("scores"), "r2").unwrap()
    }

    /// By response, the shares of all spaces.
    fn gammas(&self, spaces: usize) -> Vec<Vec<f64>> {
        data_table::numbers(&self.table("bands"), "gamma").unwrap().chunks(spaces).map(<[f64]>::to_vec).collect()
    }

    /// The table `joint` of a partition of the predictions, by response and row: spaces, mean, total.
    fn joint(&self, spaces: &[&str]) -> Vec<f64> {
        let folder = self.folder.path().join("partition");
        let mut task = tasks::task(&EncodingPartition, &folder);
        tasks::give(&mut task, "predictions", self.task.output("predictions").unwrap());
        tasks::set(&mut task, "bootstrap", Value::Int(0));
        tasks::set(&mut task, "spaces", Value::List(spaces.iter().map(|space| text(space)).collect()));
        tasks::run(&EncodingPartition, &task).unwrap();
        data_table::numbers(&data_table::read(task.output("joint").unwrap()).unwrap(), "estimate").unwrap()
    }
}

#[test]
fn banded_ridge_is_that_of_himalaya_at_given_mixtures() {
    let goldens = goldens();
    assert_eq!(goldens.banded.len(), 4);
    for golden in &goldens.banded {
        let data = if golden.data == "tall" { Data::tall() } else { Data::wide() };
        let given = &goldens.mixtures[&golden.data];
        let with = [
            ("choose", text(&golden.choose)),
            ("penalties", floats(&goldens.penalties)),
            ("mixtures", mixtures(given)),
            // Subsets have no mixtures, so the split of the joint model is that of all spaces.
            ("models", text("full")),
        ];
        let ran = Ran::of(&data, &with);
        let spaces = given[0].len();
        let expected: Vec<Vec<f64>> = golden.mixture.iter().map(|at| given[*at].clone()).collect();
        assert_eq!(ran.gammas(spaces), expected, "{} {}", golden.data, golden.choose);
        close(&data_table::numbers(&ran.table("scores"), "penalty").unwrap(), &golden.penalty, 1e-8);
        close(&ran.r2(), &golden.r2, 1e-8);
        let penalties = data_table::numbers(&ran.table("bands"), "penalty").unwrap();
        let divided = golden
            .penalty
            .iter()
            .zip(&expected)
            .flat_map(|(penalty, shares)| shares.iter().map(move |share| penalty / share));
        for (found, expected) in penalties.iter().zip(divided) {
            assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
        }
        // What spaces contribute is stored in the order of the spaces; its product measure is himalaya's.
        let predictions = Predictions::open(ran.task.output("predictions").unwrap()).unwrap();
        for response in 0..golden.r2.len() {
            let own = response..response + 1;
            let observed: Vec<f64> = predictions.observed(own.clone()).unwrap();
            let mean = observed.iter().sum::<f64>() / observed.len() as f64;
            let contributed: Vec<Vec<f64>> =
                (0..spaces).map(|space| predictions.contributed(space, own.clone()).unwrap().unwrap()).collect();
            let total: f64 = observed.iter().map(|y| (y - mean).powi(2)).sum();
            for space in 0..spaces {
                let sum: f64 = (0..observed.len())
                    .map(|row| {
                        let all: f64 = contributed.iter().map(|one| one[row]).sum();
                        contributed[space][row] * (2.0 * (observed[row] - mean) - all)
                    })
                    .sum();
                close(&[sum / total], &[golden.split[space][response]], 1e-8);
            }
        }
    }
}

/// With the models of all sets of spaces, a partition of banded ridge has a joint model whose split is that of himalaya too.
#[test]
fn the_split_of_a_joint_model_adds_up() {
    let ran = Ran::of(&Data::tall(), &[("models", text("all")), ("draws", Value::Int(4))]);
    let names = data_table::texts(&ran.table("scores"), "model").unwrap();
    let r2 = ran.r2();
    let full: Vec<f64> = (0..names.len()).filter(|row| names[*row] == "A+B+C").map(|row| r2[row]).collect();
    for order in [&["A", "B", "C"], &["C", "A", "B"]] {
        let joint = ran.joint(order);
        for (rows, full) in joint.chunks(5).zip(&full) {
            close(&[rows[..4].iter().sum::<f64>(), rows[4]], &[*full, *full], 1e-10);
        }
    }
    let (one, other) = (ran.joint(&["A", "B", "C"]), ran.joint(&["C", "A", "B"]));
    close(&[one[0], one[1], one[2]], &[other[1], other[2], other[0]], 1e-12);
}

#[test]
fn a_share_of_zero_leaves_the_space_out() {
    for data in [Data::tall(), Data::wide()] {
        let spaces = data.spaces.len();
        let (mut left_out, mut other) = (vec![0.0; spaces], vec![1.0]);
        left_out[spaces - 1] = 1.0;
        let with = |mixture: &[f64]| [("mixtures", mixtures(&[mixture.to_vec()])), ("penalties", floats(&[0.3, 3.0]))];
        let ran = Ran::of(&data, &with(&left_out));
        let mut alone = data.clone();
        alone.spaces = vec![data.spaces[spaces - 1].clone()];
        close(&ran.r2(), &Ran::of(&alone, &with(&other)).r2(), 1e-10);
        let penalties = data_table::maybe_numbers(&ran.table("bands"), "penalty").unwrap();
        assert!(penalties[0].is_none() && penalties[spaces - 1].is_some());
        let predictions = Predictions::open(ran.task.output("predictions").unwrap()).unwrap();
        assert!(predictions.contributed::<f64>(0, 0..1).unwrap().unwrap().iter().all(|number| *number == 0.0));
        other.push(0.5);
        assert!(Ran::try_of(&data, &with(&other)).err().unwrap().message.contains("shares that add up to 1"));
    }
}

#[test]
fn equal_shares_are_ridge_with_the_penalty_times_the_number_of_spaces() {
    let data = Data::tall();
    let banded = Ran::of(&data, &[("draws", Value::Int(1)), ("penalties", floats(&[0.1, 1.0, 10.0]))]);
    let folder = tempfile::tempdir().unwrap();
    let mut task = data.task(&Ridge, folder.path());
    tasks::set(&mut task, "penalties", floats(&[0.3, 3.0, 30.0]));
    tasks::set(&mut task, "models", text("full"));
    tasks::run(&Ridge, &task).unwrap();
    let ridge = data_table::read(task.output("scores").unwrap()).unwrap();
    close(&banded.r2(), &data_table::numbers(&ridge, "r2").unwrap(), 1e-10);
    // Each space contributes the same, too.
    let [one, other] =
        [&banded.task, &task].map(|task| Predictions::open(task.output("predictions").unwrap()).unwrap());
    for space in 0..3 {
        let contributed = |of: &Predictions| of.contributed::<f64>(space, 0..data.responses.len()).unwrap().unwrap();
        close(&contributed(&one), &contributed(&other), 1e-10);
    }
}

/// In several folds, every response has a mixture and a penalty in each; predictions are those of every fold alone, and scored together.
#[test]
fn folds_of_banded_ridge_are_pooled() {
    let data = Data::tall();
    let first = data.fold();
    let second = Fold { train: first.test.clone(), choose: first.choose.clone(), test: first.train[..20].to_vec() };
    let run = |folder: &Path, folds: &[Fold]| {
        let mut task = data.task_in(&Banded, folder, folds);
        tasks::set(&mut task, "draws", Value::Int(6));
        tasks::set(&mut task, "penalties", floats(&[0.1, 1.0, 10.0]));
        tasks::run(&Banded, &task).unwrap();
        let predictions = Predictions::open(task.output("predictions").unwrap()).unwrap();
        (data_table::read(task.output("bands").unwrap()).unwrap(), predictions, task)
    };
    let folder = tempfile::tempdir().unwrap();
    let (bands, both, task) = run(&folder.path().join("both"), &[first.clone(), second.clone()]);
    let folds = data_table::integers(&bands, "fold").unwrap();
    let responses = data.responses.len();
    // Rows are by fold, then by response, then by space.
    assert_eq!((folds.len(), folds[3 * responses - 1], folds[3 * responses]), (6 * responses, 0, 1));
    let gammas = data_table::numbers(&bands, "gamma").unwrap();
    let r2 = data_table::numbers(&data_table::read(task.output("scores").unwrap()).unwrap(), "r2").unwrap();
    for (number, fold) in [&first, &second].into_iter().enumerate() {
        let (alone, own, _) = run(&folder.path().join(number.to_string()), std::slice::from_ref(fold));
        let part = 3 * responses * number..3 * responses * (number + 1);
        assert_eq!(gammas[part], data_table::numbers(&alone, "gamma").unwrap());
        let rows = [0..15, 15..35][number].clone();
        for response in 0..responses {
            let all: Vec<f64> = both.predicted(0, response..response + 1).unwrap();
            close(&all[rows.clone()], &own.predicted::<f64>(0, response..response + 1).unwrap(), 1e-12);
        }
    }
    for (response, r2) in r2.iter().enumerate() {
        let own = response..response + 1;
        let (y, p): (Vec<f64>, Vec<f64>) = (both.observed(own.clone()).unwrap(), both.predicted(0, own).unwrap());
        let mean = y.iter().sum::<f64>() / 35.0;
        let errors: f64 = y.iter().zip(&p).map(|(y, p)| (y - p).powi(2)).sum();
        close(&[*r2], &[1.0 - errors / y.iter().map(|y| (y - mean).powi(2)).sum::<f64>()], 1e-12);
    }
}

/// The scale of every fold is that of its own rows, as if features had been scaled by hand before.
#[test]
fn every_fold_of_banded_ridge_has_a_scale_of_its_own() {
    let data = Data::tall().on_different_scales();
    let first = data.fold();
    let second = Fold { train: first.test.clone(), choose: first.choose.clone(), test: first.train[..20].to_vec() };
    let run = |data: &Data, folds: &[Fold], standardise: bool| {
        let folder = tempfile::tempdir().unwrap();
        let mut task = data.task_in(&Banded, folder.path(), folds);
        tasks::set(&mut task, "draws", Value::Int(6));
        tasks::set(&mut task, "penalties", floats(&[0.1, 1.0, 10.0]));
        tasks::set(&mut task, "standardise", Value::Bool(standardise));
        tasks::run(&Banded, &task).unwrap();
        let predictions = Predictions::open(task.output("predictions").unwrap()).unwrap();
        predictions.predicted::<f64>(0, 0..data.responses.len()).unwrap()
    };
    let all = run(&data, &[first.clone(), second.clone()], true);
    // Rows are in the order train (45), choose (15), test (15).
    let seen = [(0..60).collect::<Vec<usize>>(), (45..75).collect()];
    for ((fold, seen), rows) in [first, second].iter().zip(&seen).zip([0..15, 15..35]) {
        let alone = run(&data.standardised(seen), std::slice::from_ref(fold), false);
        for (all, alone) in all.chunks(35).zip(alone.chunks(rows.len())) {
            close(&all[rows.clone()], alone, 1e-9);
        }
        let as_they_are = run(&data, std::slice::from_ref(fold), false);
        assert!(alone.iter().zip(&as_they_are).any(|(one, other)| (one - other).abs() > 1e-3));
    }
}

#[test]
fn mixtures_are_sampled_by_the_seed_and_more_of_them_choose_no_worse() {
    let data = Data::tall();
    let loss = |draws: i64, concentrations: &[f64]| {
        let with = [("draws", Value::Int(draws)), ("concentrations", floats(concentrations))];
        data_table::numbers(&Ran::of(&data, &with).table("scores"), "choice_loss").unwrap()
    };
    let (few, many) = (loss(1, &[0.1, 1.0]), loss(30, &[0.1, 1.0]));
    assert!(few.iter().zip(&many).all(|(few, many)| many <= few) && few != many);
    assert_eq!(many, loss(30, &[0.1, 1.0]));
    assert_ne!(many, loss(30, &[5.0]));
    let refused = |with: &[(&str, Value)]| Ran::try_of(&data, with).err().unwrap().message;
    assert!(refused(&[("concentrations", floats(&[0.0]))]).starts_with("`concentrations` are [0.0]"));
    assert!(refused(&[("penalties", floats(&[0.0, 1.0]))]).contains("makes all mixtures the same"));
    let given = mixtures(&[vec![0.2, 0.3, 0.5]]);
    assert!(refused(&[("mixtures", given), ("models", text("all"))]).contains("models of fewer"));
}

#[test]
fn narrow_products_choose_as_well() {
    let data = Data::tall();
    let of = |precision: &str| Ran::of(&data, &[("draws", Value::Int(10)), ("precision", text(precision))]);
    let loss = |ran: &Ran| data_table::numbers(&ran.table("scores"), "choice_loss").unwrap();
    let (wide, narrow) = (of("float64"), of("float32"));
    for (wide, narrow) in loss(&wide).iter().zip(loss(&narrow)) {
        assert!((narrow / wide - 1.0).abs() < 1e-5, "{narrow} {wide}");
    }
}

/// Predictions of ridge models of all sets of spaces.
fn ridge(data: &Data, folder: &Path, penalties: &[f64]) -> Task {
    let mut task = data.task(&Ridge, folder);
    tasks::set(&mut task, "penalties", floats(penalties));
    tasks::run(&Ridge, &task).unwrap();
    let mut partition = tasks::task(&EncodingPartition, &folder.join("partition"));
    tasks::give(&mut partition, "predictions", task.output("predictions").unwrap());
    tasks::set(&mut partition, "bootstrap", Value::Int(20));
    tasks::run(&EncodingPartition, &partition).unwrap();
    partition
}

/// Estimates by spaces, without the total.
fn parts(task: &Task) -> BTreeMap<String, Vec<f64>> {
    let table = data_table::read(task.output("parts").unwrap()).unwrap();
    let texts = |name: &str| data_table::texts(&table, name).unwrap();
    let estimates = data_table::numbers(&table, "estimate").unwrap();
    let mut parts: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for ((part, spaces), estimate) in texts("part").iter().zip(texts("spaces")).zip(estimates) {
        if part != "total" {
            parts.entry(spaces).or_default().push(estimate);
        }
    }
    parts
}

#[test]
fn partitions_are_those_of_scikit_learn_and_the_definition() {
    let goldens = goldens();
    let folder = tempfile::tempdir().unwrap();
    let found = parts(&ridge(&Data::tall(), folder.path(), &[goldens.penalty]));
    assert_eq!(found.len(), goldens.partition.len());
    for (spaces, expected) in &goldens.partition {
        close(&found[spaces], expected, 1e-8);
    }
}

#[test]
fn a_space_that_is_given_twice_has_no_unique_part() {
    let mut data = Data::tall();
    data.spaces[1] = data.spaces[0].clone();
    let folder = tempfile::tempdir().unwrap();
    let found = parts(&ridge(&data, folder.path(), &[0.0]));
    for spaces in ["A", "B"] {
        close(&found[spaces], &vec![0.0; data.responses.len()], 1e-6);
    }
}

/// Responses in an order of their own have nothing to do with the features.
#[test]
fn shuffled_responses_are_not_explained() {
    let mut data = Data::make([150, 50, 100], &[4, 1, 5], 60);
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for response in &mut data.responses {
        let rows = single_rows(response.len());
        *response = shuffled(&rows, &mut random).into_iter().map(|row| response[row]).collect();
    }
    let folder = tempfile::tempdir().unwrap();
    let partition = ridge(&data, folder.path(), &[0.1, 1.0, 10.0, 100.0, 1000.0]);
    let table = data_table::read(partition.output("regions").unwrap()).unwrap();
    let (part, median) = (data_table::texts(&table, "part").unwrap(), data_table::numbers(&table, "median").unwrap());
    let total = part.iter().position(|part| part == "total").unwrap();
    assert!(median[total] <= 0.0, "{}", median[total]);
    let mut banded = Ran::of(&data, &[("draws", Value::Int(5))]).r2();
    banded.sort_by(f64::total_cmp);
    assert!(quantile(&banded, 0.5) <= 0.0);
}
