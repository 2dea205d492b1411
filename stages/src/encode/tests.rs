//! The kinds of this folder whole, from files to files, against numbers of other programs (`tests/fidelity/encoding/ridge.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipe_contract::{Failure, Task, Value};
use polars::prelude::DataFrame;
use serde::Deserialize;

use super::ridge::Ridge;
use super::ridge_weights::RidgeWeights;
use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::{self, ID, Matrix, MatrixAbout, MatrixAxis, SPACE};
use crate::formats::predictions::Predictions;
use crate::formats::stimulus_split::{Fold, StimulusSplit};
use crate::test_support::tasks;

const NAMES: [&str; 3] = ["A", "B", "C"];

#[derive(Deserialize)]
struct Goldens {
    penalties: Vec<f64>,
    cases: Vec<Case>,
    #[serde(rename = "tall weights at 3")]
    tall_weights: Vec<Vec<f64>>,
    #[serde(rename = "wide weights at 3")]
    wide_weights: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Case {
    data: String,
    choose: String,
    models: BTreeMap<String, Golden>,
}

#[derive(Deserialize)]
struct Golden {
    penalty: Vec<f64>,
    r2: Vec<f64>,
}

fn goldens() -> Goldens {
    serde_json::from_str(include_str!("../../../tests/fidelity/encoding/ridge.json")).unwrap()
}

/// A number from -0.5 to 0.5 for a whole number, as the script has it.
fn mixed(number: u64) -> f64 {
    let number = number * 2_654_435_761 % (1 << 32);
    let number = (number ^ number >> 16) * 2_246_822_519 % (1 << 32);
    (number ^ number >> 13) as f64 / 4_294_967_296.0 - 0.5
}

/// Features by space and responses, each as columns, rows in the order train, choose, test.
#[derive(Clone)]
pub(super) struct Data {
    pub parts: [usize; 3],
    pub spaces: Vec<Vec<Vec<f64>>>,
    pub responses: Vec<Vec<f64>>,
}

impl Data {
    pub fn make(parts: [usize; 3], widths: &[usize], responses: u64) -> Self {
        let rows: u64 = parts.iter().sum::<usize>() as u64;
        let width: u64 = widths.iter().sum::<usize>() as u64;
        let feature = |row: u64, column: u64| mixed(1000 * row + column) + 0.25 * column as f64;
        let weight = |column: u64, response| mixed(1_000_000 + 1000 * column + response) * (1 + column % 3) as f64;
        let noise = |row: u64, response| mixed(2_000_000 + 1000 * row + response) * (1 + response) as f64 / 2.0;
        let response = |row, response| {
            (0..width).map(|column| feature(row, column) * weight(column, response)).sum::<f64>() + noise(row, response)
        };
        let mut columns = (0..width).map(|column| (0..rows).map(|row| feature(row, column)).collect());
        Self {
            parts,
            spaces: widths.iter().map(|width| columns.by_ref().take(*width).collect()).collect(),
            responses: (0..responses).map(|at| (0..rows).map(|row| response(row, at)).collect()).collect(),
        }
    }

    pub fn tall() -> Self {
        Self::make([45, 15, 15], &[4, 1, 5], 6)
    }

    pub fn wide() -> Self {
        Self::make([19, 6, 8], &[15, 25], 5)
    }

    fn rows(&self) -> usize {
        self.parts.iter().sum()
    }

    fn ids(&self, rows: std::ops::Range<usize>) -> Vec<String> {
        rows.map(|row| format!("s{row:03}")).collect()
    }

    /// The same with features on three different scales.
    pub fn on_different_scales(mut self) -> Self {
        for (at, column) in self.spaces.iter_mut().flatten().enumerate() {
            let scale = [1.0, 10.0, 0.1][at % 3];
            column.iter_mut().for_each(|number| *number *= scale);
        }
        self
    }

    /// The same with features about their means over some rows, divided by their deviations there; zeros for those that are constant there.
    pub fn standardised(&self, rows: &[usize]) -> Self {
        let mut scaled = self.clone();
        for column in scaled.spaces.iter_mut().flatten() {
            let seen: Vec<f64> = rows.iter().map(|row| column[*row]).collect();
            let (mean, deviation) = mean_and_deviation(&seen);
            let constant = seen.iter().all(|number| *number == seen[0]);
            column.iter_mut().for_each(|number| *number = if constant { 0.0 } else { (*number - mean) / deviation });
        }
        scaled
    }

    pub fn fold(&self) -> Fold {
        let [train, choose, _] = self.parts;
        let seen = train + choose;
        Fold { train: self.ids(0..train), choose: self.ids(train..seen), test: self.ids(seen..self.rows()) }
    }

    /// A matrix with its rows in reverse from the row `from` on, and one among them that no split has.
    fn write(&self, folder: &Path, columns: &[Vec<f64>], names: DataTable, from: usize) -> PathBuf {
        let mut order: Vec<usize> = (0..=self.rows()).rev().collect();
        order.rotate_left(from % (self.rows() + 1));
        let mut known = self.ids(0..self.rows());
        known.push("other".to_owned());
        let ids = order.iter().map(|row| known[*row].clone());
        let values: Vec<f64> = columns
            .iter()
            .flat_map(|column| order.iter().map(|row| column.get(*row).copied().unwrap_or(f64::NAN)))
            .collect();
        let axis = MatrixAxis::new(names.build().unwrap()).unwrap();
        let about = MatrixAbout { rows: "stimuli".into(), ..MatrixAbout::default() };
        matrix::write(folder, &MatrixAxis::of_ids(ids).unwrap(), &axis, &about, &values).unwrap();
        folder.to_path_buf()
    }

    pub fn task(&self, stage: &dyn pipe_contract::StageKind, folder: &Path) -> Task {
        self.task_in(stage, folder, &[self.fold()])
    }

    pub fn task_in(&self, stage: &dyn pipe_contract::StageKind, folder: &Path, folds: &[Fold]) -> Task {
        let mut task = tasks::task(stage, folder);
        for (name, columns) in NAMES.iter().zip(&self.spaces) {
            let names = DataTable::new().text(ID, (0..columns.len()).map(|at| format!("f{at}")));
            let names = names.text(SPACE, columns.iter().map(|_| *name));
            // Neither spaces nor responses have their rows in the order of others.
            let path = self.write(&folder.join(format!("features {name}")), columns, names, 7 * columns.len() + 5);
            tasks::gather(&mut task, "features", &[("layer", name)], Some(&path));
        }
        let names = DataTable::new().text(ID, (0..self.responses.len()).map(|at| format!("v{at}")));
        tasks::give(&mut task, "responses", &self.write(&folder.join("responses"), &self.responses, names, 0));
        StimulusSplit { folds: folds.to_vec() }.write(&folder.join("split")).unwrap();
        tasks::give(&mut task, "split", &folder.join("split"));
        task
    }
}

fn mean_and_deviation(numbers: &[f64]) -> (f64, f64) {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    (mean, (numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count).sqrt())
}

pub(super) fn text(word: &str) -> Value {
    Value::Text(word.to_owned())
}

pub(super) fn floats(numbers: &[f64]) -> Value {
    Value::List(numbers.iter().copied().map(Value::Float).collect())
}

/// What a run of `encode/ridge` tells, by model, then by response.
struct Ran {
    notes: Vec<String>,
    scores: DataFrame,
    folder: tempfile::TempDir,
}

impl Ran {
    fn of(data: &Data, with: &[(&str, Value)]) -> Self {
        Self::try_of(data, with).unwrap()
    }

    fn try_of(data: &Data, with: &[(&str, Value)]) -> Result<Self, Failure> {
        Self::in_folds(data, &[data.fold()], with)
    }

    fn in_folds(data: &Data, folds: &[Fold], with: &[(&str, Value)]) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = data.task_in(&Ridge, folder.path(), folds);
        with.iter().for_each(|(name, value)| tasks::set(&mut task, name, value.clone()));
        let notes = tasks::run(&Ridge, &task)?;
        let scores = data_table::read(task.output("scores").unwrap()).unwrap();
        Ok(Self { notes, scores, folder })
    }

    fn column(&self, model: &str, name: &str) -> Vec<f64> {
        let values = data_table::maybe_numbers(&self.scores, name).unwrap();
        let models = data_table::texts(&self.scores, "model").unwrap();
        let of_model = models.iter().zip(values).filter(|(other, _)| *other == model);
        of_model.map(|(_, value)| value.unwrap_or(f64::NAN)).collect()
    }

    fn predictions(&self) -> Predictions {
        Predictions::open(&self.folder.path().join("predictions")).unwrap()
    }
}

#[track_caller]
pub(super) fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{found} {expected}");
    }
}

fn refused(data: &Data, with: &[(&str, Value)]) -> String {
    Ran::try_of(data, with).err().expect("refused").message
}

#[test]
fn penalties_and_scores_are_those_of_other_programs() {
    let Goldens { penalties, cases, .. } = goldens();
    assert_eq!(cases.len(), 9);
    for Case { data, choose, models } in cases {
        let data = if data == "tall" { Data::tall() } else { Data::wide() };
        let with = match choose.as_str() {
            "lab08" => vec![("compat", text("lab08"))],
            _ => vec![("choose", text(&choose)), ("penalties", floats(&penalties))],
        };
        let ran = Ran::of(&data, &with);
        assert_eq!(ran.scores.height(), models.len() * data.responses.len());
        for (model, golden) in models {
            let penalty = ran.column(&model, "penalty");
            // The levels are given with 17 digits here and as powers there: the last one differs.
            close(&penalty, &golden.penalty, 1e-12);
            close(&ran.column(&model, "r2"), &golden.r2, 1e-8);
        }
    }
}

#[test]
fn narrow_products_choose_as_well() {
    let penalties = goldens().penalties;
    for (data, choose) in [("tall", "held-out"), ("tall", "folds"), ("tall", "gcv"), ("wide", "loo"), ("wide", "folds")]
    {
        let data = if data == "tall" { Data::tall() } else { Data::wide() };
        let with =
            |precision| [("choose", text(choose)), ("penalties", floats(&penalties)), ("precision", text(precision))];
        let (wide, narrow) = (Ran::of(&data, &with("float64")), Ran::of(&data, &with("float32")));
        for model in ["A", "B", "A+B"] {
            let (best, found) = (wide.column(model, "choice_loss"), narrow.column(model, "choice_loss"));
            let penalties = wide.column(model, "penalty").into_iter().zip(narrow.column(model, "penalty"));
            for ((best, found), (wide, narrow)) in best.iter().zip(found).zip(penalties) {
                // Another penalty may be chosen where its loss is the same to 1e-5; the loss itself has the rounding of its products.
                let most = if wide == narrow { 1e-4 } else { 1e-5 };
                assert!((found / best - 1.0).abs() < most, "{choose} {model} {found} {best}");
            }
            if wide.column(model, "penalty") == narrow.column(model, "penalty") {
                close(&narrow.column(model, "r2"), &wide.column(model, "r2"), 1e-4);
            }
        }
        assert_eq!(narrow.predictions().observed::<f32>(0..1).unwrap().len(), data.parts[2]);
    }
}

#[test]
fn a_space_that_is_given_twice_explains_nothing_alone() {
    let mut data = Data::tall();
    data.spaces[1] = data.spaces[0].clone();
    let ran = Ran::of(&data, &[("penalties", floats(&[0.0]))]);
    close(&ran.column("A+B+C", "r2"), &ran.column("A+C", "r2"), 1e-9);
    close(&ran.column("A+B+C", "r2"), &ran.column("B+C", "r2"), 1e-9);
    close(&ran.column("A+B", "r2"), &ran.column("A", "r2"), 1e-9);
    assert!(ran.notes.iter().any(|note| note.starts_with("A+B: 4 of 8 features add nothing")), "{:?}", ran.notes);
}

/// A copied space is a space whose penalty is halved, and a constant feature is none.
#[test]
fn copies_and_constants_are_solved_exactly() {
    let data = Data::tall();
    let mut copied = data.clone();
    copied.spaces = vec![data.spaces[0].clone(), data.spaces[0].clone(), vec![vec![7.0; data.rows()]]];
    let (one, two) =
        (Ran::of(&data, &[("penalties", floats(&[0.5]))]), Ran::of(&copied, &[("penalties", floats(&[1.0]))]));
    close(&two.column("A+B", "r2"), &one.column("A", "r2"), 1e-9);
    close(&two.column("A+B+C", "r2"), &one.column("A", "r2"), 1e-9);
    // Nothing is left but the mean, which explains nothing of other rows.
    assert!(two.column("C", "r2").iter().all(|r2| (-1.0..=0.0).contains(r2)));
}

#[test]
fn spaces_in_another_order_are_the_same_models() {
    let data = Data::tall();
    let mut turned = data.clone();
    turned.spaces.rotate_left(1);
    let (one, other) = (Ran::of(&data, &[]), Ran::of(&turned, &[]));
    for (a, b) in [("A", "C"), ("B+C", "A+B"), ("A+B", "A+C"), ("A+B+C", "A+B+C")] {
        close(&one.column(a, "r2"), &other.column(b, "r2"), 1e-9);
    }
}

#[test]
fn a_shared_penalty_is_that_of_all_spaces() {
    let ran = Ran::of(&Data::tall(), &[("shared_penalty", Value::Bool(true))]);
    let own = Ran::of(&Data::tall(), &[]);
    for model in ["A", "B+C", "A+B+C"] {
        assert_eq!(ran.column(model, "penalty"), own.column("A+B+C", "penalty"));
    }
    assert_ne!(own.column("A", "penalty"), own.column("A+B+C", "penalty"));
    assert!(ran.column("A", "choice_loss").iter().all(|loss| loss.is_nan()));
    assert!(ran.column("A+B+C", "choice_loss").iter().all(|loss| *loss > 0.0));
    let with = [("shared_penalty", Value::Bool(true)), ("models", text("single"))];
    assert!(refused(&Data::tall(), &with).contains("the model with all spaces chooses"));
}

#[test]
fn folds_are_pooled() {
    let data = Data::tall();
    let ids = data.ids(0..75);
    let fold = |test: std::ops::Range<usize>| {
        let rest = ids[..test.start].iter().chain(&ids[test.end..]).cloned().collect();
        Fold { train: rest, choose: Vec::new(), test: ids[test].to_vec() }
    };
    let folds = [fold(0..30), fold(30..50), fold(50..75)];
    let ran = Ran::in_folds(&data, &folds, &[("choose", text("gcv"))]).unwrap();
    let predictions = ran.predictions();
    let stimuli = data_table::integers(predictions.stimuli().table(), "fold").unwrap();
    assert_eq!((stimuli.len(), stimuli[29], stimuli[30], stimuli[74]), (75, 0, 1, 2));
    let full = predictions.models().len() - 1;
    let (observed, predicted) =
        (predictions.observed::<f64>(2..3).unwrap(), predictions.predicted(full, 2..3).unwrap());
    close(&observed, &data.responses[2], 0.0);
    let mean = observed.iter().sum::<f64>() / 75.0;
    let squares: f64 = observed.iter().map(|y| (y - mean).powi(2)).sum();
    let errors: f64 = observed.iter().zip(&predicted).map(|(y, p): (&f64, &f64)| (y - p).powi(2)).sum();
    close(&ran.column("A+B+C", "r2")[2..3], &[1.0 - errors / squares], 1e-12);
    let alone = folds.each_ref().map(|fold| {
        let ran = Ran::in_folds(&data, std::slice::from_ref(fold), &[("choose", text("gcv"))]).unwrap();
        ran.column("A+B+C", "choice_loss")[2]
    });
    close(&ran.column("A+B+C", "choice_loss")[2..3], &[alone.iter().sum::<f64>() / 3.0], 1e-12);
    // Each fold alone predicts what it predicts among the others.
    let alone = Ran::in_folds(&data, &folds[1..2], &[("choose", text("gcv"))]).unwrap();
    close(&alone.predictions().predicted(full, 2..3).unwrap(), &predicted[30..50], 1e-12);
}

/// 61 rows in 5 folds are 13, 12, 12, 12 and 12: every fold counts the same. himalaya's `RidgeCV(alphas=[1.36, 1.4], cv=KFold(5))` on
/// these rows chooses the penalties below, and its `cv_scores_` are these losses. NumPy has more digits, with X and Y as in the script
/// above and `lengths = [13, 12, 12, 12, 12]`, for each penalty and each fold with the held rows `h` of the first 61:
///
/// ```python
/// x, y = X[~h], Y[~h]; mx, my = x.mean(0), y.mean(0)
/// w = np.linalg.solve((x - mx).T @ (x - mx) + penalty * np.eye(10), (x - mx).T @ (y - my))
/// squares.append(((Y[h] - my - (X[h] - mx) @ w) ** 2).sum(0))
/// loss = (np.array(squares) / np.array(lengths)[:, None]).mean(0)
/// ```
///
/// Weighing rows (`sum(squares) / 61`) gives `v2` the other penalty and a loss of 0.22426.
#[test]
fn inner_folds_count_the_same_whatever_their_length() {
    let data = Data::make([46, 15, 14], &[4, 1, 5], 6);
    let with = [("choose", text("folds")), ("penalties", floats(&[1.36, 1.4])), ("models", text("full"))];
    let ran = Ran::of(&data, &with);
    assert_eq!(ran.column("A+B+C", "penalty"), [1.36, 1.36, 1.36, 1.36, 1.36, 1.4]);
    let expected = [0.049838625269, 0.131031867982, 0.2227237708, 0.349029844157, 0.406145434901, 0.875943116123];
    close(&ran.column("A+B+C", "choice_loss"), &expected, 1e-11);
}

#[test]
fn standardised_features_are_those_that_are_scaled_by_hand() {
    for data in [Data::tall().on_different_scales(), Data::wide().on_different_scales()] {
        let seen: Vec<usize> = (0..data.parts[0] + data.parts[1]).collect();
        let by_hand = data.standardised(&seen);
        for choose in ["held-out", "folds", "gcv", "loo"] {
            let with = |standardise| {
                [
                    ("choose", text(choose)),
                    ("penalties", floats(&[0.1, 1.0, 10.0, 100.0])),
                    ("standardise", Value::Bool(standardise)),
                ]
            };
            let (found, expected) = (Ran::of(&data, &with(true)), Ran::of(&by_hand, &with(false)));
            let as_they_are = Ran::of(&data, &with(false));
            for model in ["A", "B", "A+B"] {
                assert_eq!(found.column(model, "penalty"), expected.column(model, "penalty"), "{choose} {model}");
                close(&found.column(model, "r2"), &expected.column(model, "r2"), 1e-9);
            }
            let mut pairs = found.column("A+B", "r2").into_iter().zip(as_they_are.column("A+B", "r2"));
            assert!(pairs.any(|(one, other)| (one - other).abs() > 1e-6), "{choose}");
        }
    }
}

/// Each fold predicts what it predicts on features that are scaled by its own rows; a feature that is constant on these is as if it were
/// not there.
#[test]
fn every_fold_has_a_scale_of_its_own() {
    let mut data = Data::tall().on_different_scales();
    data.spaces[2][1][30..].fill(0.7);
    let ids = data.ids(0..75);
    let parts = [0..30, 30..50, 50..75];
    let rest = |test: &std::ops::Range<usize>| (0..75).filter(|row| !test.contains(row)).collect::<Vec<usize>>();
    let fold = |test: &std::ops::Range<usize>| Fold {
        train: rest(test).into_iter().map(|row| ids[row].clone()).collect(),
        choose: Vec::new(),
        test: ids[test.clone()].to_vec(),
    };
    let folds = parts.each_ref().map(fold);
    let with = |standardise| [("choose", text("folds")), ("standardise", Value::Bool(standardise))];
    let ran = Ran::in_folds(&data, &folds, &with(true)).unwrap();
    let predicted = |ran: &Ran| ran.predictions().predicted::<f64>(6, 0..6).unwrap();
    let all = predicted(&ran);
    for (fold, test) in folds.iter().zip(&parts) {
        let by_hand = data.standardised(&rest(test));
        let alone = predicted(&Ran::in_folds(&by_hand, std::slice::from_ref(fold), &with(false)).unwrap());
        for (all, alone) in all.chunks(75).zip(alone.chunks(test.len())) {
            close(&all[test.clone()], alone, 1e-9);
        }
    }
    let note = "important: C: 1 of 5 features have one value on all rows that a fold fits on and are left out there";
    assert_eq!(ran.notes.iter().filter(|other| *other == note).count(), 1, "{:?}", ran.notes);
    let mut without = data.clone();
    without.spaces[2].remove(1);
    let [all, alone] = [&data, &without].map(|data| Ran::in_folds(data, &folds[..1], &with(true)).unwrap());
    close(&predicted(&all), &predicted(&alone), 1e-9);
    assert!(!alone.notes.iter().any(|other| other.contains("have one value")), "{:?}", alone.notes);
}

#[test]
fn contributions_of_spaces_add_up() {
    let data = Data::tall();
    for (compat, penalised) in [("none", false), ("lab08", true)] {
        let ran = Ran::of(&data, &[("compat", text(compat))]);
        let predictions = ran.predictions();
        let predicted = predictions.predicted::<f64>(6, 0..6).unwrap();
        let parts: Vec<Vec<f64>> =
            (0..3).map(|space| predictions.contributed::<f64>(space, 0..6).unwrap().unwrap()).collect();
        for response in 0..6 {
            let rest: Vec<f64> = (response * 15..(response + 1) * 15)
                .map(|at| predicted[at] - parts.iter().map(|part| part[at]).sum::<f64>())
                .collect();
            // What is left is the mean of the rows that are fitted on, or the weight of the ones.
            assert!(rest.iter().all(|left| (left - rest[0]).abs() < 1e-9), "{rest:?}");
            let mean = data.responses[response][..60].iter().sum::<f64>() / 60.0;
            assert_eq!((rest[0] - mean).abs() < 1e-9, !penalised);
        }
    }
    let without = Ran::of(&data, &[("contributions", Value::Bool(false))]);
    assert!(without.predictions().contributed::<f64>(0, 0..1).unwrap().is_none());
    close(&without.column("A+B+C", "r2"), &Ran::of(&data, &[]).column("A+B+C", "r2"), 1e-12);
}

#[test]
fn neither_threads_nor_lots_of_models_change_numbers() {
    let data = Data::tall();
    let files = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let ran = pool.install(|| Ran::of(&data, &[("choose", text("folds"))]));
        ["scores/table.parquet", "predictions/predicted.npy"]
            .map(|file| fs_err::read(ran.folder.path().join(file)).unwrap())
    };
    assert!(files(1) == files(3));
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // In two folds, of which each has penalties of its own.
    let turned = Fold { train: data.ids(30..75), choose: data.ids(15..30), test: data.ids(0..15) };
    for (folder, bytes) in [(&folder, usize::MAX), (&other, 0)] {
        let mut task = data.task_in(&Ridge, folder.path(), &[data.fold(), turned.clone()]);
        tasks::set(&mut task, "shared_penalty", Value::Bool(true));
        super::ridge::run::<f64>(&task, &task.parameters().unwrap(), bytes, &pipe_contract::Silent).unwrap();
    }
    let [one, two] = [folder, other].map(|folder| data_table::read(&folder.path().join("scores")).unwrap());
    let r2 = |frame: &DataFrame| data_table::numbers(frame, "r2").unwrap();
    close(&r2(&one), &r2(&two), 1e-12);
}

#[test]
fn ceilings_are_joined_by_id_and_small_ones_are_not_divided_by() {
    let (data, folder) = (Data::tall(), tempfile::tempdir().unwrap());
    let mut task = data.task(&Ridge, folder.path());
    let ids = ["v5", "v4", "v3", "v2", "v1", "v0", "v9"];
    let ceilings = [Some(0.5), Some(0.05), None, Some(0.25), Some(0.75), Some(1.0), Some(0.3)];
    let write = |skip: usize| {
        let table = DataTable::new().text(ID, ids.into_iter().skip(skip));
        let mut table = table.optional_numbers("ceiling", ceilings.into_iter().skip(skip)).build().unwrap();
        data_table::write(&folder.path().join("ceilings"), &mut table).unwrap();
    };
    write(0);
    tasks::give(&mut task, "ceiling", &folder.path().join("ceilings"));
    tasks::run(&Ridge, &task).unwrap();
    let frame = data_table::read(task.output("scores").unwrap()).unwrap();
    let of = |name: &str| data_table::maybe_numbers(&frame, name).unwrap()[..6].to_vec();
    let (r2, ceiling, shares) = (of("r2"), of("ceiling"), of("r2_of_ceiling"));
    assert_eq!(ceiling, [Some(1.0), Some(0.75), Some(0.25), None, Some(0.05), Some(0.5)]);
    assert_eq!((shares[1], shares[3], shares[4]), (Some(r2[1].unwrap() / 0.75), None, None));
    tasks::set(&mut task, "ceiling_floor", Value::Float(0.01));
    tasks::run(&Ridge, &task).unwrap();
    let frame = data_table::read(task.output("scores").unwrap()).unwrap();
    assert!(data_table::maybe_numbers(&frame, "r2_of_ceiling").unwrap()[4].is_some());
    write(1);
    assert!(tasks::run(&Ridge, &task).unwrap_err().message.starts_with("1 of 6 responses are not there: `v5`"));
}

#[test]
fn what_is_special_is_noted() {
    let mut data = Data::tall();
    data.responses[1] = vec![0.1; data.rows()];
    let ran = Ran::of(&data, &[("penalties", floats(&[1e6, 10.0])), ("edge_share", Value::Float(0.5))]);
    assert!(ran.column("A", "r2")[1].is_nan() && ran.column("A", "correlation")[1].is_nan());
    let constant = "important: 1 of 6 responses are constant on the test rows and have no score";
    assert!(ran.notes.iter().any(|note| note == constant), "{:?}", ran.notes);
    let lowest = ran.column("A+C", "penalty").iter().filter(|penalty| **penalty == 10.0).count();
    let edge = ran.notes.iter().any(|note| note.starts_with("important: A+C:") && note.ends_with("1e1"));
    assert_eq!(edge, lowest > 2, "{lowest} {:?}", ran.notes);
    assert!(data_table::flags(&ran.scores, "at_edge").unwrap().iter().all(|edge| *edge));
    let lab = Ran::of(&Data::tall(), &[("compat", text("lab08"))]);
    assert!(
        lab.notes
            .iter()
            .any(|note| note == "important: A: 3 of 6 responses chose a negative penalty, as the lab allows")
    );
}

#[test]
fn mistakes_have_a_sentence() {
    let data = Data::tall();
    let mut hole = data.clone();
    hole.responses[2][70] = f64::NAN;
    assert_eq!(refused(&hole, &[]), "response `v2` to `s070` is NaN, expected a finite number");
    let mut hole = data.clone();
    hole.spaces[2][3][4] = f64::INFINITY;
    assert_eq!(refused(&hole, &[]), "feature `f3` of `s004` is inf, expected a finite number");
    let lab08 = |name: &'static str, value| refused(&data, &[("compat", text("lab08")), (name, value)]);
    assert!(lab08("choose", text("gcv")).contains("another `choose`"));
    assert!(lab08("precision", text("float32")).contains("`precision: float32`"));
    assert!(lab08("penalty_count", Value::Int(7)).contains("other penalties"));
    assert!(lab08("standardise", Value::Bool(true)).contains("does not go with `standardise`"));
    assert!(refused(&data, &[("penalties", floats(&[-1.0]))]).contains("negative"));
    let mut none = data.fold();
    none.train.append(&mut none.choose);
    let failure = Ran::in_folds(&data, &[none], &[]).err().unwrap();
    assert_eq!(failure.message, "the split has no stimuli of the part `choose`");
    let mut strange = data.fold();
    strange.test.push("x".to_owned());
    let failure = Ran::in_folds(&data, &[strange], &[]).err().unwrap();
    assert!(failure.message.starts_with("1 of 76 stimuli of `split` are not there: `x`"), "{failure}");
    let with = [("choose", text("loo")), ("penalties", floats(&[0.0])), ("models", text("full"))];
    assert!(refused(&Data::wide(), &with).starts_with("no penalty can be chosen"));
}

#[test]
fn shuffled_responses_are_not_explained() {
    let mut data = Data::tall();
    for response in &mut data.responses {
        let shuffled: Vec<f64> = (0..response.len()).map(|row| response[row * 37 % response.len()]).collect();
        *response = shuffled;
    }
    let mut r2 = Ran::of(&data, &[("choose", text("folds"))]).column("A+B+C", "r2");
    r2.sort_by(f64::total_cmp);
    assert!(r2[3] <= 0.0, "{r2:?}");
}

#[test]
fn weights_are_those_of_other_programs() {
    let Goldens { tall_weights, wide_weights, .. } = goldens();
    for (data, expected) in [(Data::tall(), tall_weights), (Data::wide(), wide_weights)] {
        let ran = Ran::of(&data, &[("penalties", floats(&[3.0]))]);
        let folder = tempfile::tempdir().unwrap();
        let mut task = data.task(&RidgeWeights, folder.path());
        tasks::give(&mut task, "scores", &ran.folder.path().join("scores"));
        tasks::run(&RidgeWeights, &task).unwrap();
        let weights = Matrix::open(task.output("weights").unwrap()).unwrap();
        close(&weights.block(0..expected.len(), None).unwrap(), &expected.concat(), 1e-9);
        assert_eq!(weights.rows().ids()[0], "A/f0");
        assert_eq!(weights.columns().ids()[1], "v1");
        tasks::set(&mut task, "precision", text("float32"));
        tasks::run(&RidgeWeights, &task).unwrap();
        let narrow = Matrix::open(task.output("weights").unwrap()).unwrap();
        close(&narrow.block(0..expected.len(), None).unwrap(), &expected.concat(), 1e-4);
        tasks::set(&mut task, "model", text("B+A"));
        tasks::run(&RidgeWeights, &task).unwrap();
        let two = Matrix::open(task.output("weights").unwrap()).unwrap();
        assert_eq!(two.rows().len(), data.spaces[0].len() + data.spaces[1].len());
        tasks::set(&mut task, "model", text("X"));
        assert!(tasks::run(&RidgeWeights, &task).unwrap_err().message.contains("unknown space `X`"));
    }
}

#[test]
fn weights_of_standardised_features_are_of_features_as_they_are() {
    for data in [Data::tall(), Data::wide()] {
        let mut data = data.on_different_scales();
        data.spaces[0][2].fill(0.1);
        let seen: Vec<usize> = (0..data.parts[0] + data.parts[1]).collect();
        let weights = |data: &Data, standardise: bool| {
            let ran = Ran::of(data, &[("penalties", floats(&[3.0])), ("standardise", Value::Bool(standardise))]);
            let folder = tempfile::tempdir().unwrap();
            let mut task = data.task(&RidgeWeights, folder.path());
            tasks::give(&mut task, "scores", &ran.folder.path().join("scores"));
            tasks::set(&mut task, "standardise", Value::Bool(standardise));
            let notes = tasks::run(&RidgeWeights, &task).unwrap();
            assert_eq!(notes.len(), usize::from(standardise), "{notes:?}");
            Matrix::open(task.output("weights").unwrap()).unwrap().block::<f64>(0..data.responses.len(), None).unwrap()
        };
        let (found, scaled) = (weights(&data, true), weights(&data.standardised(&seen), false));
        let features: Vec<&Vec<f64>> = data.spaces.iter().flatten().collect();
        for (found, scaled) in found.chunks(features.len()).zip(scaled.chunks(features.len())) {
            assert_eq!(found[2], 0.0);
            for at in (0..features.len()).filter(|at| *at != 2) {
                let (_, deviation) = mean_and_deviation(&features[at][..seen.len()]);
                close(&[found[at]], &[scaled[at] / deviation], 1e-9 / deviation);
            }
        }
    }
}

#[test]
fn weights_need_the_penalty_of_their_model() {
    let data = Data::tall();
    let single = Ran::of(&data, &[("models", text("single"))]);
    let lab = Ran::of(&data, &[("compat", text("lab08"))]);
    let folder = tempfile::tempdir().unwrap();
    let mut task = data.task(&RidgeWeights, folder.path());
    tasks::give(&mut task, "scores", &single.folder.path().join("scores"));
    assert_eq!(tasks::run(&RidgeWeights, &task).unwrap_err().message, "the scores have no row of the model `A+B+C`");
    tasks::give(&mut task, "scores", &lab.folder.path().join("scores"));
    tasks::set(&mut task, "model", text("A"));
    assert!(tasks::run(&RidgeWeights, &task).unwrap_err().message.contains("expected at least 0"));
}
