//! `encode/significance`: how likely a score is if predictions and responses do not belong together.
//!
//! The test stimuli of predictions are put in random orders, in blocks where neighbours in time are alike, without fitting again; p is
//! (1 + orders whose score is at least as high) / (1 + orders). For a model, squares of responses and of predictions are the same
//! in every order, so R2 and the correlation both rise with the one sum that changes, that of products: they have the same p.
//!
//! The unique part of a space is R2 of all spaces less that of the others. Shuffling both predictions against the response would
//! answer another question: what the space adds to the predictions also matches whatever it has in common with the others, and a model
//! that is merely larger would be significant. So what the space adds is shuffled against the errors of the model without it, which
//! stays in place.
//!
//! This tests what the fuller model predicts better, for whatever reason, and less shrinkage is one. Let B be a copy of A, and one penalty so
//! high that A alone predicts 0.6 of its signal. A copy halves the penalty, so both together predict 0.75 of it: the copy adds 0.15 of the
//! signal, of which the errors without it have 0.4 left, and hardly any other order of the stimuli makes the two match as well. The p of
//! B is small and its unique part 0.9375 - 0.84 of the signal's variance, although B has nothing that A has not. Penalties that are chosen for
//! every model make this small, and without a penalty it is 0. The chapter on `variance.yaml` says how to see it.
//!
//! A sum of products over shuffled rows is not a matrix product: every response has its own pairs of columns. So the numbers of [`ABREAST`]
//! responses lie next to each other in every row, an order moves whole rows, and nothing is gathered number by number. With 200 test
//! stimuli both factors of so many responses take 26 kB, which stay in the first cache for all orders. Each response and map costs two
//! operations a row and order: 76 * 10^9 for 1,000 orders of 200 rows, 19,002 responses and 10 maps. Sums are in `f64` and in the
//! order of the rows, so the counts do not depend on the processor or on the number of threads.
//!
//! Memory: orders of test stimuli take at most [`ORDER_BYTES`], what is read of a block of responses at most [`BLOCK_BYTES`] for each
//! thread, however many models and stimuli there are (or one order, or one response). Results take 24 bytes a map and response, and the
//! table that they are written to about 100.
//!
//! q is the false discovery rate of Benjamini and Hochberg (1995) over all responses of a map, a map being a model or a unique part.

use std::collections::BTreeSet;

use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, Progress, Repro, StageKind, Task, parameters};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;

use super::model_lattice::largest;
use super::stimulus_blocks::BlockedPredictions;
use super::test_block::{TestBlock, waves_within};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::predictions::{Model, Predictions};
use crate::numeric::counts::real;
use crate::numeric::random_rows::shuffled;
use crate::numeric::statistics::false_discovery;

/// The kind.
pub(super) struct Significance;

parameters! {
    struct Parameters {
        /// the spaces whose unique parts are tested, in the model of exactly these, as in `encode/partition`; none: those of the model with the
        /// most spaces
        spaces: Vec<String> = Vec::new(), neutral Vec::new();
        /// random orders of the test stimuli
        permutations: usize = 1000, in 19..=100_000;
        /// consecutive test stimuli of a fold that stay together, where neighbours in time are alike; they must come in the split as they did in
        /// time
        block: usize = 1, in 1..=1_000_000;
        /// q up to which a score counts as significant in the notes
        level: f64 = 0.05, in 0.0..=1.0;
    }
}

/// Orders that are held at a time take at most so many bytes.
const ORDER_BYTES: usize = 256 << 20;

/// What is read of a block of responses, and made of it, takes about so many bytes.
const BLOCK_BYTES: usize = 64 << 20;

/// So many numbers of a response and test stimulus are held at a time: what is observed, what two models predict, what the one leaves and
/// the other adds, and errors.
const HELD_NUMBERS: usize = 6;

/// Responses whose sums are computed side by side.
const ABREAST: usize = 8;

/// The numbers of so many responses in one row.
type Row = [f64; ABREAST];

impl StageKind for Significance {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "encode/significance",
            2,
            "permutation tests of the scores of models and of unique parts, with false discovery rates",
        )
        .input("predictions", &["predictions"], "test responses and what models predict of them")
        .folder("table", "table/significance", "a row a response and map, maps one after the other")
        .described(data_table::FILES, COLUMNS)
        .parameters::<Parameters>();
        Kind { stamped: true, random: true, repro: Repro::Within(1e-5), ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let blocked = BlockedPredictions::open(task, parameters.block)?;
        let predictions = &blocked.predictions;
        let maps = maps(predictions.models(), &parameters.spaces).map_err(|failure| failure.at(predictions.place()))?;
        let about_blocks = blocked.check("")?;
        let (blocks, mut notes) = (blocked.blocks.len(), Vec::new());
        let different: f64 = (1..=blocks.min(20)).map(real).product();
        if different < real(parameters.permutations) {
            notes.push(format!(
                "{IMPORTANT}{blocks} blocks of test stimuli have {different} orders, fewer than the {} that are tried: p cannot \
                 be smaller than about 1/{different}",
                parameters.permutations,
            ));
        }
        notes.extend(about_blocks);
        let room = Room { orders: ORDER_BYTES, block: BLOCK_BYTES };
        let found = all_tested(&blocked, &maps, parameters.permutations, task.seed()?, room, context)?;
        notes.extend(write(task, predictions, &maps, &found, &parameters)?);
        Ok(Ended::noted(notes))
    }
}

/// The most bytes of the orders that are held at a time, and of what is held of a block of responses.
#[derive(Clone, Copy)]
struct Room {
    orders: usize,
    block: usize,
}

/// By map, the results of all responses. Where not all orders fit into memory, responses are read again for each lot of them.
fn all_tested(
    blocked: &BlockedPredictions,
    maps: &[Map],
    tries: usize,
    seed: u64,
    room: Room,
    context: &dyn Context,
) -> Result<Vec<Vec<Tested>>, Failure> {
    let predictions = &blocked.predictions;
    let (rows, responses) = (predictions.stimuli().len(), predictions.responses().len());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut found = vec![vec![Tested { score: f64::NAN, reached: 0 }; responses]; maps.len()];
    let most = (room.orders / (size_of::<u32>() * rows)).clamp(1, tries);
    for first in (0..tries).step_by(most) {
        let orders: Vec<u32> = (first..tries.min(first + most))
            .flat_map(|_| shuffled(&blocked.blocks, &mut random))
            .map(|row| u32::try_from(row).map_err(|_| Failure::input("there are 2^32 test stimuli or more")))
            .collect::<Result<_, Failure>>()?;
        for wave in waves_within(room.block, HELD_NUMBERS * size_of::<f64>() * rows, responses) {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all responses were tested"));
            }
            let done = (first * responses + wave.last().map_or(0, |block| block.end) * (orders.len() / rows)) as u64;
            let blocks: Vec<Result<Vec<Vec<Counted>>, Failure>> =
                wave.par_iter().map(|block| counted(predictions, maps, block.clone(), &orders)).collect();
            for (block, of_maps) in wave.iter().zip(blocks) {
                for (found, counted) in found.iter_mut().zip(of_maps?) {
                    for (tested, (score, reached)) in found[block.clone()].iter_mut().zip(counted) {
                        tested.score = score;
                        tested.reached += reached;
                    }
                }
            }
            let (total, unit) = ((tries * responses) as u64, "responses in orders".into());
            context.progress(Progress { done, total, unit, note: String::new() });
        }
    }
    Ok(found)
}

/// What is tested of every response.
struct Map {
    kind: MapKind,
    spaces: String,
    model: usize,
    /// The model without the space whose unique part is tested.
    without: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum MapKind {
    Model,
    Unique,
}

impl MapKind {
    fn word(self) -> &'static str {
        match self {
            MapKind::Model => "model",
            MapKind::Unique => "unique",
        }
    }
}

/// All models in their order, then unique parts: those of `spaces` in the model of exactly these; if none are named, those of the spaces of
/// the largest model, as far as there is a model without the space.
fn maps(models: &[Model], spaces: &[String]) -> Result<Vec<Map>, Failure> {
    let of_model =
        |(at, model): (usize, &Model)| Map { kind: MapKind::Model, spaces: model.name(), model: at, without: None };
    let mut maps: Vec<Map> = models.iter().enumerate().map(of_model).collect();
    let mut sets: BTreeSet<BTreeSet<&String>> = BTreeSet::new();
    if let Some(twice) = models.iter().find(|model| !sets.insert(model.spaces.iter().collect())) {
        return Err(Failure::input(format!("two models have the spaces `{}`, expected one", twice.name())));
    }
    let tested = match (spaces, largest(models)) {
        ([], None) => return Ok(maps),
        ([], Some(model)) => models[model].spaces.as_slice(),
        (named, _) => named,
    };
    if let Some(twice) = (1..tested.len()).find(|at| tested[..*at].contains(&tested[*at])) {
        return Err(Failure::input(format!("`spaces` name `{}` twice", tested[twice])));
    }
    let all: Vec<&String> = tested.iter().collect();
    let model = model_of(models, &all).ok_or_else(|| lacking(models, &all))?;
    // What a single space explains is all unique, and tested as a model.
    for at in (0..all.len()).filter(|_| all.len() > 1) {
        let mut others = all.clone();
        let space = others.remove(at).clone();
        match model_of(models, &others) {
            Some(without) => maps.push(Map { kind: MapKind::Unique, spaces: space, model, without: Some(without) }),
            None if spaces.is_empty() => {}
            None => return Err(lacking(models, &others)),
        }
    }
    Ok(maps)
}

/// The place of the model of exactly these spaces, in any order.
fn model_of(models: &[Model], spaces: &[&String]) -> Option<usize> {
    let is_of = |model: &Model| {
        model.spaces.len() == spaces.len() && spaces.iter().all(|space| model.spaces.iter().any(|own| own == *space))
    };
    models.iter().position(is_of)
}

/// That unique parts were asked for that need a model of these spaces.
fn lacking(models: &[Model], spaces: &[&String]) -> Failure {
    let name = Model { spaces: spaces.iter().map(|space| (*space).clone()).collect() }.name();
    let known: Vec<String> = models.iter().map(|model| format!("`{}`", model.name())).collect();
    let message = format!("the unique parts of `spaces` need a model of `{name}`; the models are {}", known.join(", "));
    Failure::input(message).hint("name other `spaces`, or add the model to the `models` of `encode/ridge`")
}

/// A score, and the number of orders in which it is reached.
type Counted = (f64, usize);

/// A score, and in how many orders it was reached.
#[derive(Clone, Copy, Debug)]
struct Tested {
    score: f64,
    reached: usize,
}

impl Tested {
    /// After so many orders; NaN without a score.
    fn p(self, tries: usize) -> f64 {
        if self.score.is_nan() { f64::NAN } else { (1.0 + real(self.reached)) / (1.0 + real(tries)) }
    }
}

/// By map, the results of a block of responses. What models predict is read map by map: of many models and stimuli it is large.
fn counted(
    predictions: &Predictions,
    maps: &[Map],
    responses: std::ops::Range<usize>,
    orders: &[u32],
) -> Result<Vec<Vec<Counted>>, Failure> {
    let block = TestBlock::read(predictions, responses)?;
    let rows = predictions.stimuli().len();
    let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
    let r2 = |predicted: &[f64]| block.r2(&less(&block.centred, predicted));
    let of_map = |map: &Map| -> Result<Vec<Counted>, Failure> {
        let reached = |fixed: &[f64], moved: &[f64]| reached(fixed, moved, rows, orders);
        let predicted = block.predicted(predictions, map.model)?;
        let (scores, reached) = match map.without {
            None => (r2(&predicted), reached(&block.centred, &predicted)),
            Some(without) => {
                let without = block.predicted(predictions, without)?;
                let (left, added) = (less(&block.centred, &without), less(&predicted, &without));
                (less(&r2(&predicted), &r2(&without)), reached(&left, &added))
            }
        };
        Ok(scores.into_iter().zip(reached).collect())
    };
    maps.iter().map(of_map).collect()
}

/// For every response (a column of `rows` numbers in both, one after the other), in how many orders of the rows of `moved` its sum of
/// products is at least that of the order in which they are.
fn reached(fixed: &[f64], moved: &[f64], rows: usize, orders: &[u32]) -> Vec<usize> {
    let width = fixed.len() / rows;
    let mut reached = Vec::with_capacity(width);
    for first in (0..width).step_by(ABREAST) {
        let count = ABREAST.min(width - first);
        let own = first * rows..(first + count) * rows;
        let (fixed, moved) = (side_by_side(&fixed[own.clone()], rows), side_by_side(&moved[own], rows));
        reached.extend(&counts(&fixed, &moved, orders)[..count]);
    }
    reached
}

/// Up to [`ABREAST`] columns of so many rows, row by row; columns that are missing are zeros.
fn side_by_side(columns: &[f64], rows: usize) -> Vec<Row> {
    let mut by_row = vec![[0.0; ABREAST]; rows];
    for (at, column) in columns.chunks_exact(rows).enumerate() {
        by_row.iter_mut().zip(column).for_each(|(row, number)| row[at] = *number);
    }
    by_row
}

/// In how many orders each of the responses reaches its sum of products.
fn counts(fixed: &[Row], moved: &[Row], orders: &[u32]) -> [usize; ABREAST] {
    let rows = fixed.len();
    let as_is = products(fixed, moved, 0..rows);
    // Sums that are equal but for rounding count as reached: a p that is too large is the smaller mistake.
    let (size, other) = (products(fixed, fixed, 0..rows), products(moved, moved, 0..rows));
    let least: Row = std::array::from_fn(|at| as_is[at] - 1e-12 * (size[at] * other[at]).sqrt());
    let mut counts = [0; ABREAST];
    for order in orders.chunks_exact(rows) {
        let sums = products(fixed, moved, order.iter().map(|row| *row as usize));
        counts = std::array::from_fn(|at| counts[at] + usize::from(sums[at] >= least[at]));
    }
    counts
}

/// Sums over the rows of `fixed` of products with the rows of `moved` in an order.
fn products(fixed: &[Row], moved: &[Row], order: impl Iterator<Item = usize>) -> Row {
    let mut sums = [0.0; ABREAST];
    for (fixed, row) in fixed.iter().zip(order) {
        let moved = &moved[row];
        sums = std::array::from_fn(|at| sums[at] + fixed[at] * moved[at]);
    }
    sums
}

/// Writes the table; returns how many scores are significant.
fn write(
    task: &Task,
    predictions: &Predictions,
    maps: &[Map],
    found: &[Vec<Tested>],
    &Parameters { permutations: tries, level, .. }: &Parameters,
) -> Result<Vec<String>, Failure> {
    let ids = predictions.responses().ids();
    let rates: Vec<Vec<f64>> = found
        .iter()
        .map(|found| false_discovery(&found.iter().map(|tested| tested.p(tries)).collect::<Vec<f64>>()))
        .collect();
    let rows = || maps.iter().enumerate().flat_map(move |(map, about)| (0..ids.len()).map(move |at| (map, at, about)));
    let some = |value: f64| (!value.is_nan()).then_some(value);
    let mut table = DataTable::of(COLUMNS)
        .text("id", rows().map(|(_, at, _)| ids[at].as_str()))
        .text("map", rows().map(|(.., about)| about.kind.word()))
        .text("spaces", rows().map(|(.., about)| about.spaces.as_str()))
        .optional_numbers("score", rows().map(|(map, at, _)| some(found[map][at].score)))
        .optional_numbers("p", rows().map(|(map, at, _)| some(found[map][at].p(tries))))
        .optional_numbers("q", rows().map(|(map, at, _)| some(rates[map][at])))
        .stamped(task.simulated)
        .build()?;
    data_table::write(task.output("table")?, &mut table)?;
    let note = |(map, rates): (&Map, &Vec<f64>)| {
        let count = rates.iter().filter(|rate| **rate <= level).count();
        let of = rates.iter().filter(|rate| !rate.is_nan()).count();
        format!("{} {}: {count} of {of} responses with q up to {level}", map.kind.word(), map.spaces)
    };
    Ok(maps.iter().zip(&rates).map(note).collect())
}

/// What is in the table.
const COLUMNS: &[Column] = &[
    Column::new("id", "the response: a voxel, vertex or neuron"),
    Column::new("map", "what is tested; q is computed over all responses of a map and its spaces").levels(&[
        ("model", "R2 of a model, whose p is that of its correlation too"),
        (
            "unique",
            "the unique part of a space in the model of all `spaces`; it can be significant by shrinkage alone, as that of a copy of a space",
        ),
    ]),
    Column::new("spaces", "the spaces of the model, joined by +, or the space of the unique part"),
    Column::measured(
        "score",
        "share of variance",
        "R2 or unique part; empty for a response that is constant on the test stimuli",
    ),
    Column::measured("p", "probability", "share of orders of the test stimuli with a score as high, this one included"),
    Column::measured("q", "rate", "false discovery rate if this score and all with smaller p are called significant"),
    STAMP,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::matrix::MatrixAxis;
    use crate::formats::npy_file::FloatType;
    use crate::formats::predictions::PredictionsWriter;
    use crate::numeric::random_rows::single_rows;
    use crate::test_support::tasks;
    use pipe_contract::Value;

    /// Uniform numbers about 0 with variance 1.
    struct Noise(ChaCha8Rng);

    impl Noise {
        fn of(seed: u64) -> Self {
            Self(ChaCha8Rng::seed_from_u64(seed))
        }

        fn column(&mut self, rows: usize) -> Vec<f64> {
            use rand_core::Rng as _;
            (0..rows).map(|_| (f64::from(self.0.next_u32()) / f64::from(u32::MAX) - 0.5) * 12f64.sqrt()).collect()
        }
    }

    const ROWS: usize = 120;
    const WIDTH: usize = 300;

    /// Predictions of the models A, B and A+B; `make` gives the response and what the models predict.
    fn predictions(folder: &std::path::Path, make: impl Fn(&mut Noise) -> [Vec<f64>; 4]) {
        let models = [vec!["A"], vec!["B"], vec!["A", "B"]];
        let models = models.map(|spaces| Model { spaces: spaces.into_iter().map(String::from).collect() });
        let stimuli: Vec<(String, usize)> = (0..ROWS).map(|at| (format!("s{at}"), 0)).collect();
        let responses = MatrixAxis::of_ids((0..WIDTH).map(|at| format!("v{at}"))).unwrap();
        let writer = PredictionsWriter::create(folder, &models, &stimuli, &responses, FloatType::F64, false).unwrap();
        let mut noise = Noise::of(3);
        for response in 0..WIDTH {
            let [observed, predicted @ ..] = make(&mut noise);
            writer.observed(response, &observed).unwrap();
            for (model, predicted) in predicted.iter().enumerate() {
                writer.predicted(model, response, predicted).unwrap();
            }
        }
    }

    fn add(a: &[f64], b: &[f64], times: f64) -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| a + times * b).collect()
    }

    /// All scores, map after map, of a run.
    fn scores(folder: &std::path::Path) -> Vec<f64> {
        let task = tasks::task(&Significance, folder);
        data_table::numbers(&data_table::read(task.output("table").unwrap()).unwrap(), "score").unwrap()
    }

    /// By map, all p and q.
    #[expect(clippy::type_complexity, reason = "maps with p and q, and notes")]
    fn run(folder: &std::path::Path, block: i64) -> (Vec<(String, Vec<f64>, Vec<f64>)>, Vec<String>) {
        let mut task = tasks::task(&Significance, folder);
        tasks::give(&mut task, "predictions", &folder.join("predictions"));
        tasks::set(&mut task, "permutations", Value::Int(199));
        tasks::set(&mut task, "block", Value::Int(block));
        let notes = tasks::run(&Significance, &task).unwrap();
        let table = data_table::read(task.output("table").unwrap()).unwrap();
        let (kinds, spaces) = (data_table::texts(&table, "map").unwrap(), data_table::texts(&table, "spaces").unwrap());
        let (p, q) = (data_table::numbers(&table, "p").unwrap(), data_table::numbers(&table, "q").unwrap());
        let map = |at: usize| {
            let own = at * WIDTH..(at + 1) * WIDTH;
            (format!("{} {}", kinds[own.start], spaces[own.start]), p[own.clone()].to_vec(), q[own].to_vec())
        };
        ((0..p.len() / WIDTH).map(map).collect(), notes)
    }

    /// Row by row and response by response, for more responses than are side by side.
    #[test]
    fn counts_are_those_of_every_order_by_hand() {
        let (rows, width, tries) = (13, ABREAST + 3, 50);
        let mut noise = Noise::of(8);
        let (fixed, mut moved) = (noise.column(rows * width), noise.column(rows * width));
        // Equal predictions: every order has the same sum.
        moved[..rows].fill(0.25);
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let blocks = single_rows(rows);
        let orders: Vec<u32> = (0..tries).flat_map(|_| shuffled(&blocks, &mut random)).map(|row| row as u32).collect();
        let found = reached(&fixed, &moved, rows, &orders);
        for (response, found) in found.iter().enumerate() {
            let (fixed, moved) = (&fixed[response * rows..], &moved[response * rows..]);
            let sum = |order: &[u32]| (0..rows).map(|row| fixed[row] * moved[order[row] as usize]).sum::<f64>();
            let as_is: Vec<u32> = (0..rows as u32).collect();
            let expected = orders.chunks(rows).filter(|order| sum(order) >= sum(&as_is) - 1e-9).count();
            assert_eq!(*found, expected, "{response}");
        }
        assert_eq!((found.len(), found[0]), (width, tries));
        assert!(found[1..].iter().any(|count| *count > 0 && *count < tries), "{found:?}");
    }

    fn share(p: &[f64], level: f64) -> f64 {
        real(p.iter().filter(|p| **p <= level).count()) / real(p.len())
    }

    #[test]
    fn p_is_uniform_where_nothing_is_predicted_and_small_where_something_is() {
        let folder = tempfile::tempdir().unwrap();
        predictions(&folder.path().join("predictions"), |noise| {
            let (a, b, left) = (noise.column(ROWS), noise.column(ROWS), noise.column(ROWS));
            let observed = add(&add(&left, &a, 0.6), &[5.0; ROWS], 1.0);
            [observed, a.clone(), b.clone(), add(&a, &b, 0.1)]
        });
        let (maps, notes) = run(folder.path(), 1);
        let names: Vec<&str> = maps.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["model A", "model B", "model A+B", "unique A", "unique B"]);
        for (name, p, q) in &maps {
            let small = share(p, 0.05);
            match name.as_str() {
                "model B" | "unique B" => {
                    // 300 draws: a standard deviation of 0.0126 about 0.05.
                    assert!((0.015..0.095).contains(&small), "{name}: {small}");
                    assert!((0.42..0.58).contains(&share(p, 0.5)), "{name}");
                    assert!(share(q, 0.05) < 0.01, "{name}");
                }
                _ => assert!(small > 0.98 && share(q, 0.05) > 0.98, "{name}: {small}"),
            }
        }
        assert!(notes[1].starts_with("model B: 0 of 300 responses with q up to 0.05"), "{notes:?}");
        // The order in which rows are counts as one of 200.
        assert!(maps.iter().all(|(_, p, _)| p.iter().all(|p| (1.0 / 200.0..=1.0).contains(p))));
        let scores = scores(folder.path());
        let opened = Predictions::open(&folder.path().join("predictions")).unwrap();
        for response in [0, 7, WIDTH - 1] {
            let own = response..response + 1;
            let y: Vec<f64> = opened.observed(own.clone()).unwrap();
            let mean = y.iter().sum::<f64>() / real(ROWS);
            let r2 = [0, 1, 2].map(|model| {
                let p: Vec<f64> = opened.predicted(model, own.clone()).unwrap();
                let errors: f64 = y.iter().zip(&p).map(|(y, p)| (y - p).powi(2)).sum();
                1.0 - errors / y.iter().map(|y| (y - mean).powi(2)).sum::<f64>()
            });
            let expected = [r2[0], r2[1], r2[2], r2[2] - r2[1], r2[2] - r2[0]];
            for (map, expected) in expected.into_iter().enumerate() {
                let found = scores[map * WIDTH + response];
                assert!((found - expected).abs() < 1e-12, "{map} {response}: {found} {expected}");
            }
        }
    }

    /// Unique parts need the model with all spaces and those that lack one, however many spaces there are; and orders may come in lots.
    #[test]
    fn many_spaces_and_lots_of_orders() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..12).map(|at| format!("s{at}")).collect();
        let models = [names.clone(), names[1..].to_vec(), names[..1].to_vec()].map(|spaces| Model { spaces });
        let stimuli: Vec<(String, usize)> = (0..ROWS).map(|at| (format!("s{at}"), 0)).collect();
        let responses = MatrixAxis::of_ids((0..9).map(|at| format!("v{at}"))).unwrap();
        let path = folder.path().join("predictions");
        let writer = PredictionsWriter::create(&path, &models, &stimuli, &responses, FloatType::F64, false).unwrap();
        let mut noise = Noise::of(4);
        for response in 0..9 {
            writer.observed(response, &noise.column(ROWS)).unwrap();
            (0..3).for_each(|model| writer.predicted(model, response, &noise.column(ROWS)).unwrap());
        }
        let mut task = tasks::task(&Significance, folder.path());
        tasks::give(&mut task, "predictions", &path);
        let blocked = BlockedPredictions::open(&task, 3).unwrap();
        let maps = maps(blocked.predictions.models(), &[]).unwrap();
        let spaces: Vec<&str> = maps.iter().map(|map| map.spaces.as_str()).collect();
        assert_eq!((spaces.len(), spaces[3], maps[3].without), (4, "s0", Some(1)));
        let all = |orders: usize, block: usize| {
            let found = all_tested(&blocked, &maps, 50, 5, Room { orders, block }, &pipe_contract::Silent).unwrap();
            found.concat().into_iter().map(|tested| (tested.score, tested.reached)).collect::<Vec<Counted>>()
        };
        let found = all(usize::MAX, usize::MAX);
        assert!(found.iter().any(|(_, reached)| *reached > 5) && found.iter().all(|(_, reached)| *reached <= 50));
        assert_eq!(all(7 * 4 * ROWS, 4 * HELD_NUMBERS * 8 * ROWS), found);
        assert_eq!(all(0, 0), found);
    }

    /// Of models that are each space, a pair and all three, the unique parts are those of the pair that is named.
    #[test]
    fn unique_parts_are_those_of_the_spaces_that_are_named() {
        let models: Vec<Model> = ["A", "B", "C", "C+A", "A+B+C"]
            .map(|name| Model { spaces: name.split('+').map(String::from).collect() })
            .into();
        let of = |spaces: &[&str]| maps(&models, &spaces.iter().map(ToString::to_string).collect::<Vec<_>>());
        let unique = |spaces: &[&str]| {
            let maps = of(spaces).unwrap();
            assert!(maps[..5].iter().all(|map| map.without.is_none()), "models come first");
            maps[5..].iter().map(|map| (map.spaces.clone(), map.model, map.without)).collect::<Vec<_>>()
        };
        assert_eq!(unique(&["A", "C"]), [("A".to_owned(), 3, Some(2)), ("C".to_owned(), 3, Some(0))]);
        assert_eq!(unique(&[]), [("B".to_owned(), 4, Some(3))], "of all three, only one has a model without it");
        assert!(unique(&["B"]).is_empty());
        let refused = |spaces: &[&str]| of(spaces).err().unwrap().message;
        let known = "the models are `A`, `B`, `C`, `C+A`, `A+B+C`";
        assert_eq!(refused(&["A", "B"]), format!("the unique parts of `spaces` need a model of `A+B`; {known}"));
        assert_eq!(refused(&["A", "B", "C"]), format!("the unique parts of `spaces` need a model of `B+C`; {known}"));
        assert_eq!(refused(&["A", "A"]), "`spaces` name `A` twice");
    }

    /// What the documentation says of shrinkage: a copy is significant where the fuller model only shrinks less.
    #[test]
    fn a_copy_is_significant_by_shrinkage_alone() {
        let folder = tempfile::tempdir().unwrap();
        predictions(&folder.path().join("predictions"), |noise| {
            let (a, left) = (noise.column(ROWS), noise.column(ROWS));
            let times = |factor: f64| a.iter().map(|a| factor * a).collect::<Vec<f64>>();
            [add(&left, &a, 1.0), times(0.6), times(0.6), times(0.75)]
        });
        let (maps, _) = run(folder.path(), 1);
        assert_eq!(maps[3].0, "unique A");
        assert!(share(&maps[3].1, 0.05) > 0.9, "{}", share(&maps[3].1, 0.05));
    }

    /// A larger model that adds nothing but the other's predictions once more has a unique part below 0: not significant.
    #[test]
    fn what_spaces_have_in_common_is_not_unique() {
        let folder = tempfile::tempdir().unwrap();
        predictions(&folder.path().join("predictions"), |noise| {
            let (a, left) = (noise.column(ROWS), noise.column(ROWS));
            [add(&left, &a, 1.0), a.clone(), a.clone(), add(&a, &a, 0.2)]
        });
        let (maps, _) = run(folder.path(), 1);
        assert!(share(&maps[2].1, 0.05) > 0.98);
        assert!(share(&maps[3].1, 0.05) < 0.095, "{}", share(&maps[3].1, 0.05));
    }

    /// Slow drifts in both match by chance; blocks that are as long keep the error rate.
    #[test]
    fn blocks_keep_neighbours_together() {
        let folder = tempfile::tempdir().unwrap();
        let slow = |noise: &mut Noise| noise.column(ROWS / 10).into_iter().flat_map(|x| [x; 10]).collect::<Vec<f64>>();
        predictions(&folder.path().join("predictions"), |noise| {
            let (a, b, observed) = (slow(noise), slow(noise), slow(noise));
            [observed, a.clone(), b.clone(), add(&a, &b, 1.0)]
        });
        assert!(share(&run(folder.path(), 1).0[0].1, 0.05) > 0.2);
        assert!(share(&run(folder.path(), 10).0[0].1, 0.05) < 0.095);
        let (_, notes) = run(folder.path(), 40);
        assert!(notes[0].starts_with("important: 3 blocks of test stimuli have 6 orders"), "{notes:?}");
        let mut task = tasks::task(&Significance, folder.path());
        tasks::give(&mut task, "predictions", &folder.path().join("predictions"));
        tasks::set(&mut task, "block", Value::Int(120));
        assert!(tasks::run(&Significance, &task).unwrap_err().message.contains("one block of 120"));
    }
}
