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
//! q is the false discovery rate of Benjamini and Hochberg (1995) over all responses of a map, a map being a model or a unique part.

use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, Progress, Repro, StageKind, Task, parameters};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;

use super::model_lattice::ModelLattice;
use super::test_block::{TestBlock, r2, waves};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::predictions::Predictions;
use crate::numeric::counts::real;
use crate::numeric::linear_algebra::{MatrixView, product_into};
use crate::numeric::random_rows::shuffled;
use crate::numeric::statistics::false_discovery;

/// The kind.
pub(super) struct Significance;

parameters! {
    struct Parameters {
        /// random orders of the test stimuli
        permutations: usize = 1000, in 19..=100_000;
        /// consecutive test stimuli that stay together, where neighbours in time are alike
        block: usize = 1, in 1..=1_000_000;
        /// q up to which a score counts as significant in the notes
        level: f64 = 0.05, in 0.0..=1.0;
    }
}

/// Orders that are applied to a response at a time: their numbers stay in the cache.
const ORDERS: usize = 32;

impl StageKind for Significance {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "encode/significance",
            1,
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
        let predictions = Predictions::open(task.one("predictions")?)?;
        let at = |failure: Failure| failure.at(predictions.place());
        let maps = maps(&predictions).map_err(at)?;
        let rows = predictions.stimuli().len();
        let blocks = rows.div_ceil(parameters.block);
        if blocks < 2 {
            let message = format!("{rows} test stimuli are one block of {}, expected at least 2", parameters.block);
            return Err(at(Failure::input(message)).hint("make `block` smaller"));
        }
        let mut notes = Vec::new();
        let different: f64 = (1..=blocks.min(20)).map(real).product();
        if different < real(parameters.permutations) {
            notes.push(format!(
                "{IMPORTANT}{blocks} blocks of test stimuli have {different} orders, fewer than the {} that are tried: p cannot \
                 be smaller than about {:.2}",
                parameters.permutations,
                1.0 / different
            ));
        }
        let mut random = ChaCha8Rng::seed_from_u64(task.seed()?);
        let orders: Vec<u32> = (0..parameters.permutations)
            .flat_map(|_| shuffled(rows, parameters.block, &mut random))
            .map(|row| u32::try_from(row).map_err(|_| Failure::input("there are 2^32 test stimuli or more")))
            .collect::<Result<_, Failure>>()?;
        let responses = predictions.responses().len();
        let mut found: Vec<Vec<Tested>> = vec![Vec::new(); maps.len()];
        for wave in waves(responses, 8) {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all responses were tested"));
            }
            let done = wave.last().map_or(0, |block| block.end) as u64;
            let blocks: Vec<Result<Vec<Vec<Tested>>, Failure>> =
                wave.into_par_iter().map(|block| tested(&predictions, &maps, block, &orders)).collect();
            for block in blocks {
                found.iter_mut().zip(block?).for_each(|(found, more)| found.extend(more));
            }
            context.progress(Progress { done, total: responses as u64, unit: "responses".into(), note: String::new() });
        }
        notes.extend(write(task, &predictions, &maps, &found, parameters.level)?);
        Ok(Ended::noted(notes))
    }
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

/// All models in their order, then the unique parts of the model with the most spaces that has one without the space.
fn maps(predictions: &Predictions) -> Result<Vec<Map>, Failure> {
    let models = predictions.models();
    let of_model = |(at, model): (usize, &crate::formats::predictions::Model)| Map {
        kind: MapKind::Model,
        spaces: model.name(),
        model: at,
        without: None,
    };
    let mut maps: Vec<Map> = models.iter().enumerate().map(of_model).collect();
    let lattice = ModelLattice::new(models, &[])?;
    let all = lattice.sets.all();
    for (bit, space) in lattice.sets.sources().iter().enumerate() {
        let without = all & !(1 << bit);
        if let (Some(model), Some(without)) = (lattice.model(all), lattice.model(without)) {
            maps.push(Map { kind: MapKind::Unique, spaces: space.clone(), model, without: Some(without) });
        }
    }
    Ok(maps)
}

/// A score, and the share of orders in which it is reached.
#[derive(Clone, Copy, Debug)]
struct Tested {
    score: f64,
    p: f64,
}

/// By map, the results of a block of responses.
fn tested(
    predictions: &Predictions,
    maps: &[Map],
    responses: std::ops::Range<usize>,
    orders: &[u32],
) -> Result<Vec<Vec<Tested>>, Failure> {
    let block = TestBlock::read(predictions, responses)?;
    let rows = predictions.stimuli().len();
    let predicted: Vec<Vec<f64>> =
        (0..predictions.models().len()).map(|model| block.predicted(predictions, model)).collect::<Result<_, _>>()?;
    let mut results = vec![Vec::with_capacity(block.width()); maps.len()];
    for (response, total) in block.totals.iter().enumerate() {
        let own = response * rows..(response + 1) * rows;
        let observed = &block.centred[own.clone()];
        let errors = |model: usize| observed.iter().zip(&predicted[model][own.clone()]).map(|(y, p)| y - p);
        let squares = |model: usize| errors(model).map(|error| error * error).sum::<f64>();
        // Models are shuffled against the response together, unique parts each against the errors that are left.
        let (models, unique): (Vec<usize>, Vec<usize>) = (0..maps.len()).partition(|map| maps[*map].without.is_none());
        let shuffled: Vec<f64> =
            models.iter().flat_map(|map| predicted[maps[*map].model][own.clone()].iter().copied()).collect();
        let mut reached = counts(observed, &shuffled, orders);
        let mut scores: Vec<f64> = models.iter().map(|map| r2(squares(maps[*map].model), *total)).collect();
        for map in &unique {
            let Map { model, without: Some(without), .. } = maps[*map] else { continue };
            let left: Vec<f64> = errors(without).collect();
            let added = predicted[model][own.clone()].iter().zip(&predicted[without][own.clone()]);
            let added: Vec<f64> = added.map(|(all, others)| all - others).collect();
            reached.extend(counts(&left, &added, orders));
            scores.push(r2(squares(model), *total) - r2(squares(without), *total));
        }
        let tries = real(orders.len() / rows);
        for ((map, score), reached) in models.into_iter().chain(unique).zip(scores).zip(reached) {
            let p = if score.is_nan() { f64::NAN } else { (1.0 + real(reached)) / (1.0 + tries) };
            results[map].push(Tested { score, p });
        }
    }
    Ok(results)
}

/// For every column of `shuffled`, in how many orders of `fixed` its sum of products with it is at least that of the order in which
/// they are. Shuffling one against the other is the same whichever is moved.
fn counts(fixed: &[f64], shuffled: &[f64], orders: &[u32]) -> Vec<usize> {
    let rows = fixed.len();
    let columns = shuffled.len() / rows;
    let view = MatrixView::new(shuffled, rows, columns);
    let sums = |moved: &[f64], to: &mut [f64]| {
        product_into(to, MatrixView::new(moved, rows, moved.len() / rows).transposed(), view)
    };
    let mut as_is = vec![0.0; columns];
    sums(fixed, &mut as_is);
    // Sums that are equal but for rounding count as reached: a p that is too large is the smaller mistake.
    let size = |column: &[f64]| column.iter().map(|number| number * number).sum::<f64>();
    let least: Vec<f64> = as_is
        .iter()
        .zip(shuffled.chunks_exact(rows))
        .map(|(sum, column)| sum - 1e-12 * (size(fixed) * size(column)).sqrt())
        .collect();
    let mut reached = vec![0; columns];
    let (mut moved, mut found) = (Vec::with_capacity(ORDERS * rows), Vec::new());
    for some in orders.chunks(ORDERS * rows) {
        moved.clear();
        moved.extend(some.iter().map(|row| fixed[*row as usize]));
        let tries = some.len() / rows;
        found.resize(tries * columns, 0.0);
        sums(&moved, &mut found);
        for ((reached, sums), least) in reached.iter_mut().zip(found.chunks_exact(tries)).zip(&least) {
            *reached += sums.iter().filter(|sum| *sum >= least).count();
        }
    }
    reached
}

/// Writes the table; returns how many scores are significant.
fn write(
    task: &Task,
    predictions: &Predictions,
    maps: &[Map],
    found: &[Vec<Tested>],
    level: f64,
) -> Result<Vec<String>, Failure> {
    let ids = predictions.responses().ids();
    let rates: Vec<Vec<f64>> =
        found.iter().map(|found| false_discovery(&found.iter().map(|tested| tested.p).collect::<Vec<f64>>())).collect();
    let rows = || maps.iter().enumerate().flat_map(move |(map, about)| (0..ids.len()).map(move |at| (map, at, about)));
    let some = |value: f64| (!value.is_nan()).then_some(value);
    let mut table = DataTable::of(COLUMNS)
        .text("id", rows().map(|(_, at, _)| ids[at].as_str()))
        .text("map", rows().map(|(.., about)| about.kind.word()))
        .text("spaces", rows().map(|(.., about)| about.spaces.as_str()))
        .optional_numbers("score", rows().map(|(map, at, _)| some(found[map][at].score)))
        .optional_numbers("p", rows().map(|(map, at, _)| some(found[map][at].p)))
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
        ("unique", "the unique part of a space in the model with all spaces"),
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
    use crate::formats::predictions::{Model, PredictionsWriter};
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
