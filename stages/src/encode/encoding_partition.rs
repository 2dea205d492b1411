//! `encode/partition`: how much of each response's variance every feature space explains alone, and how much spaces share.
//!
//! The score of a set of spaces is R2 of its model on the test stimuli, 0 for no space; its parts are those of
//! [`crate::numeric::subset_lattice`] and add up to R2 of the model with all spaces. R2 on stimuli that were not fitted is not a
//! variance: parts below 0 occur, by chance or because spaces suppress each other, and are counted ([`super::part_tables`]), never clipped.
//!
//! Intervals are basic bootstrap intervals (see [`super::bootstrap`]) over resamples of the test stimuli, the same for all responses, so
//! that means and medians over a region can be resampled too. Models are not fitted again: the intervals hold the luck of the test
//! stimuli and not that of the training ones.
//!
//! Beside the partition stands the split of the one model with all spaces by the product measure: a space has
//! sum(2 y p - p P) / sum(y^2) of R2, with the observed y about its mean, p what the space contributes and P the sum over spaces.
//! It needs no other model and divides shared variance between the spaces. What the model's mean costs is a part of its own.

use std::ops::Range;

use pipe_contract::{Arity, Context, Ended, Failure, IMPORTANT, Kind, Progress, Repro, StageKind, Task, parameters};
use rayon::prelude::*;

use super::bootstrap::{RowResamples, basic_interval};
use super::encoding_scores::Ceilings;
use super::model_lattice::{self, ModelLattice};
use super::part_tables::{JOINT, PARTS, REGIONS, ROUNDING, ResponseParts, largest};
use super::region_draws::{DRAW_BYTES, DrawSizes, RegionDraws};
use super::regions::{self, ResponseRegion};
use super::stimulus_blocks::BlockedPredictions;
use super::test_block::{TestBlock, r2, waves};
use crate::formats::data_table;
use crate::formats::predictions::Predictions;
use crate::numeric::subset_lattice::{decompose, decompose_into};

/// The kind.
pub(super) struct EncodingPartition;

/// With more spaces, a part is the sum of so many differences that its noise hides it.
const MANY_SPACES: usize = 6;

parameters! {
    struct Parameters {
        /// the spaces of the partition, in written order; none for those of the model with the most spaces
        spaces: Vec<String> = Vec::new();
        /// resamples of the test stimuli; 0 for no intervals
        bootstrap: usize = 1000, in 0..=10_000;
        /// consecutive test stimuli of a fold that are resampled together, where neighbours in time are alike; they must come in the split as they
        /// did in time
        block: usize = 1, in 1..=1_000_000;
        /// share of resamples inside an interval
        interval: f64 = 0.95, in 0.5..=0.9999;
        /// below this ceiling, shares of the ceiling are left empty
        ceiling_floor: f64 = 0.1, in 0.0..=1.0;
    }
}

impl StageKind for EncodingPartition {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "encode/partition",
            2,
            "unique and shared variance of feature spaces in every response, with intervals, and by region",
        )
        .input("predictions", &["predictions"], "test responses and what the model of every set of spaces predicts of them")
        .port("regions", &["regions"], Arity::One, true, "regions to summarise; all responses are summarised in any case")
        .port("ceiling", &["table"], Arity::One, true, "noise ceilings: columns `id` and `ceiling` (share of variance)")
        .folder("parts", "table/parts", "a row a response and part")
        .described(data_table::FILES, PARTS)
        .folder("regions", "table/region-parts", "a row a region and part")
        .described(data_table::FILES, REGIONS)
        .folder(
            "joint",
            "table/joint",
            "the split of the model with all spaces, a row a response and space; no rows if the predictions lack contributions",
        )
        .described(data_table::FILES, JOINT)
        .parameters::<Parameters>();
        Kind { stamped: true, random: true, repro: Repro::Within(1e-5), ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let blocked = BlockedPredictions::open(task, parameters.block)?;
        let predictions = &blocked.predictions;
        let at = |failure: Failure| failure.at(predictions.place());
        let lattice = ModelLattice::new(predictions.models(), &parameters.spaces).map_err(at)?;
        let models = lattice.complete().map_err(at)?;
        let (regions, mut notes) = regions::read(task, predictions.responses())?;
        let ceilings = task.maybe("ceiling");
        let ceilings = ceilings
            .map(|path| Ceilings::read(Some(path), predictions.responses(), parameters.ceiling_floor))
            .transpose()?;
        let spaces = lattice.sets.sources().len();
        if spaces > MANY_SPACES {
            notes.push(format!(
                "{IMPORTANT}{spaces} spaces have {} parts, each a sum of up to {} scores: few of them rise above their noise",
                lattice.sets.all(),
                lattice.sets.len()
            ));
        }
        let resamples = match parameters.bootstrap {
            0 => None,
            count => {
                notes.extend(blocked.check(", or set `bootstrap: 0`")?);
                Some(RowResamples::new(task.seed()?, count, &blocked.blocks))
            }
        };
        // The model whose contributions are stored, if that is the one with all spaces of the lattice.
        let joint = model_lattice::largest(predictions.models()).filter(|largest| models.last() == Some(largest));
        let splitter = Splitter {
            predictions,
            lattice: &lattice,
            models: &models,
            joint,
            resamples: resamples.as_ref(),
            level: parameters.interval,
        };
        let results = splitter.all(&regions, context)?;
        notes.extend(results.notes(&lattice));
        let stamp = task.simulated;
        let ids = predictions.responses().ids();
        data_table::write(task.output("parts")?, &mut results.parts_table(ids, &lattice, ceilings.as_ref(), stamp)?)?;
        let mut table = results.regions_table(&regions, &lattice, ceilings.as_ref(), parameters.interval, stamp)?;
        data_table::write(task.output("regions")?, &mut table)?;
        data_table::write(task.output("joint")?, &mut results.joint_table(ids, &lattice, stamp)?)?;
        if results.joint.is_none() {
            notes.push("the predictions have no contributions of these spaces: `joint` has no rows".to_owned());
        }
        Ok(Ended::noted(notes))
    }
}

/// Everything that the parts of a block are made from.
struct Splitter<'a> {
    predictions: &'a Predictions,
    lattice: &'a ModelLattice,
    /// By set, from the first that is not empty on, its model.
    models: &'a [usize],
    /// The model whose contributions are stored.
    joint: Option<usize>,
    resamples: Option<&'a RowResamples>,
    level: f64,
}

/// The parts of a block of responses.
struct SplitBlock {
    /// By response, and in it by part in the order of [`decompose`] without the base; NaN for a constant response.
    estimates: Vec<f64>,
    /// Likewise; none without resamples.
    intervals: Vec<(f64, f64)>,
    /// By response, in how many resamples it has no parts; none without resamples.
    undefined: Vec<usize>,
    /// By response, and in it by space, then the part of the mean; none without contributions.
    joint: Vec<f64>,
}

impl Splitter<'_> {
    /// Parts of a response: all sets but the empty one, and the total.
    fn width(&self) -> usize {
        self.lattice.sets.len()
    }

    fn all(&self, regions: &[ResponseRegion], context: &dyn Context) -> Result<ResponseParts, Failure> {
        let responses = self.predictions.responses().len();
        let (mut estimates, mut intervals, mut joint) = (Vec::new(), Vec::new(), Vec::new());
        let mut undefined = Vec::new();
        for wave in waves(responses, self.width()) {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all responses were partitioned"));
            }
            let done = wave.last().map_or(0, |block| block.end) as u64;
            let blocks: Vec<Result<SplitBlock, Failure>> =
                wave.into_par_iter().map(|block| self.block(block)).collect();
            for block in blocks {
                let block = block?;
                estimates.extend(block.estimates);
                intervals.extend(block.intervals);
                undefined.extend(block.undefined);
                joint.extend(block.joint);
            }
            context.progress(Progress { done, total: responses as u64, unit: "responses".into(), note: String::new() });
        }
        let by_region = |resamples: &RowResamples| {
            let sizes = DrawSizes { responses, parts: self.width(), resamples: resamples.count, bytes: DRAW_BYTES };
            let parts_of = |block: Range<usize>, lot: Range<usize>| self.resampled(block, &lot, resamples);
            RegionDraws::of(regions, sizes, &parts_of, context)
        };
        let region_draws = self.resamples.map(by_region).transpose()?;
        let joint = (!joint.is_empty()).then_some(joint);
        let resamples = self.resamples.map_or(0, |resamples| resamples.count);
        let width = self.width();
        Ok(ResponseParts { width, responses, estimates, intervals, undefined, resamples, region_draws, joint })
    }

    fn block(&self, responses: Range<usize>) -> Result<SplitBlock, Failure> {
        let block = TestBlock::read(self.predictions, responses.clone())?;
        let errors = self.errors(&block)?;
        let scores: Vec<Vec<f64>> = errors.iter().map(|errors| block.r2(errors)).collect();
        let mut split = SplitBlock {
            estimates: Vec::with_capacity(block.width() * self.width()),
            intervals: Vec::new(),
            undefined: Vec::new(),
            joint: self.joint.map(|model| self.joint(&block, model, &responses)).transpose()?.unwrap_or_default(),
        };
        for response in 0..block.width() {
            let own: Vec<f64> = [0.0].into_iter().chain(scores.iter().map(|scores| scores[response])).collect();
            let parts = decompose(&own);
            adds_up(&parts)?;
            split.estimates.extend(&parts[1..]);
        }
        if let Some(resamples) = self.resamples {
            let count = resamples.count;
            let draws = draws(&block, &errors, resamples, &(0..count));
            let mut by_part = vec![0.0; self.width() * count];
            for (at, estimates) in split.estimates.chunks_exact(self.width()).enumerate() {
                self.each_resample(&draws, at, count, |resample, parts| {
                    for (part, value) in parts.iter().enumerate() {
                        by_part[part * count + resample] = *value;
                    }
                });
                split.undefined.push(by_part[..count].iter().filter(|part| part.is_nan()).count());
                let of_parts = by_part.chunks_exact_mut(count).zip(estimates);
                split.intervals.extend(of_parts.map(|(draws, estimate)| basic_interval(*estimate, draws, self.level)));
            }
        }
        Ok(split)
    }

    /// By set, from the first that is not empty on, the errors of its model.
    fn errors(&self, block: &TestBlock) -> Result<Vec<Vec<f64>>, Failure> {
        self.models.iter().map(|model| block.errors(self.predictions, *model)).collect()
    }

    /// The parts of a block in some resamples: by part, in it by resample, and in it by response.
    fn resampled(
        &self,
        responses: Range<usize>,
        lot: &Range<usize>,
        resamples: &RowResamples,
    ) -> Result<Vec<f32>, Failure> {
        let block = TestBlock::read(self.predictions, responses)?;
        let draws = draws(&block, &self.errors(&block)?, resamples, lot);
        let (count, width) = (lot.len(), block.width());
        let mut by_part = vec![0.0; self.width() * count * width];
        for at in 0..width {
            self.each_resample(&draws, at, count, |resample, parts| {
                for (part, value) in parts.iter().enumerate() {
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "sums over resamples are in single precision too"
                    )]
                    let value = *value as f32;
                    by_part[(part * count + resample) * width + at] = value;
                }
            });
        }
        Ok(by_part)
    }

    /// Gives `take` the parts of the response at `at` in a block, in each of `count` resamples: those of [`decompose`] without the base.
    fn each_resample(&self, draws: &[Vec<f64>], at: usize, count: usize, mut take: impl FnMut(usize, &[f64])) {
        let mut scores = vec![0.0; self.width()];
        let mut parts = vec![0.0; self.width() + 1];
        for resample in 0..count {
            for (score, draws) in scores[1..].iter_mut().zip(draws) {
                *score = draws[at * count + resample];
            }
            decompose_into(&scores, &mut parts);
            take(resample, &parts[1..]);
        }
    }

    /// The product measure of every space and of the mean; nothing if there are no contributions.
    fn joint(&self, block: &TestBlock, model: usize, responses: &Range<usize>) -> Result<Vec<f64>, Failure> {
        let stored = &self.predictions.models()[model].spaces;
        let mut contributions: Vec<Vec<f64>> = Vec::new();
        for space in self.lattice.sets.sources() {
            let place = stored.iter().position(|stored| stored == space);
            let place =
                place.ok_or_else(|| Failure::internal(format!("`{space}` is not in the model with all spaces")))?;
            match self.predictions.contributed(place, responses.clone())? {
                Some(contributed) => contributions.push(contributed),
                None => return Ok(Vec::new()),
            }
        }
        // What is left of the predictions is the model's mean, about that of the test stimuli.
        let predicted = block.predicted(self.predictions, model)?;
        let all = |at: usize| contributions.iter().map(|contribution| contribution[at]).sum::<f64>();
        let together: Vec<f64> = (0..predicted.len()).map(all).collect();
        let rows = block.centred.len() / block.width();
        let mut parts = Vec::new();
        for (response, total) in block.totals.iter().enumerate() {
            let own = response * rows..(response + 1) * rows;
            let share = |sum: f64| if *total > 0.0 { sum / total } else { f64::NAN };
            for contribution in &contributions {
                let sum = own.clone().map(|at| contribution[at] * (2.0 * block.centred[at] - together[at])).sum();
                parts.push(share(sum));
            }
            let mean = |at: usize| {
                let mean = predicted[at] - together[at];
                mean * (2.0 * (block.centred[at] - together[at]) - mean)
            };
            parts.push(share(own.map(mean).sum()));
        }
        Ok(parts)
    }
}

/// By model, R2 of every response of a block in every one of some resamples.
fn draws(block: &TestBlock, errors: &[Vec<f64>], resamples: &RowResamples, lot: &Range<usize>) -> Vec<Vec<f64>> {
    let totals = resamples.totals(lot, &block.centred);
    let of_model = |errors: &Vec<f64>| {
        let squares = resamples.squares(lot, errors).into_iter();
        squares.zip(&totals).map(|(errors, total)| r2(errors, *total)).collect()
    };
    errors.iter().map(of_model).collect()
}

/// The identity that makes it a partition, to the precision of the arithmetic.
fn adds_up(parts: &[f64]) -> Result<(), Failure> {
    let (own, total) = (&parts[1..parts.len() - 1], parts[parts.len() - 1]);
    let largest = largest(&parts[1..]);
    let away = (own.iter().sum::<f64>() - total).abs();
    if away > ROUNDING * largest {
        return Err(Failure::internal(format!(
            "parts add up to {total} with an error of {away}, the largest is {largest}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::formats::matrix::MatrixAxis;
    use crate::formats::npy_file::FloatType;
    use crate::formats::predictions::{Model, PredictionsWriter};
    use crate::numeric::counts::real;
    use crate::numeric::random_rows::below;
    use crate::test_support::tasks;
    use pipe_contract::{Silent, Value};
    use polars::prelude::DataFrame;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    const ROWS: usize = 60;

    /// Uniform numbers about 0 with variance 1.
    fn noise(random: &mut ChaCha8Rng, count: usize) -> Vec<f64> {
        (0..count).map(|_| (real(below(1 << 20, random)) / real(1 << 20) - 0.5) * 12f64.sqrt()).collect()
    }

    /// Models of all sets of these spaces, whose predictions are sums of a signal of each space and of one that all have in common. Signals
    /// are made in the order of `signals`, so the same space is the same whatever the order of `spaces`.
    fn predictions(folder: &Path, spaces: &[&str], signals: &[&str], width: usize, contributions: bool) -> PathBuf {
        let folder = folder.join("predictions");
        let sets: Vec<usize> = (1..1 << spaces.len()).collect();
        let members = |set: usize| (0..spaces.len()).filter(move |bit| set >> bit & 1 == 1);
        let model = |set: &usize| Model { spaces: members(*set).map(|bit| spaces[bit].to_owned()).collect() };
        let models: Vec<Model> = sets.iter().map(model).collect();
        let stimuli: Vec<(String, usize)> = (0..ROWS).map(|at| (format!("s{at}"), 0)).collect();
        let responses = MatrixAxis::of_ids((0..width).map(|at| format!("v{at}"))).unwrap();
        let writer = PredictionsWriter::create(&folder, &models, &stimuli, &responses, FloatType::F64, contributions);
        let writer = writer.unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(11);
        for response in 0..width {
            let common = noise(&mut random, ROWS);
            let own: Vec<Vec<f64>> = signals.iter().map(|_| noise(&mut random, ROWS)).collect();
            let left = noise(&mut random, ROWS);
            let place = |space: &str| signals.iter().position(|signal| *signal == space).unwrap();
            let observed: Vec<f64> = (0..ROWS)
                .map(|row| {
                    3.0 + common[row]
                        + left[row]
                        + own.iter().enumerate().map(|(at, own)| own[row] * 0.3 * real(at)).sum::<f64>()
                })
                .collect();
            writer.observed(response, &observed).unwrap();
            let contribution =
                |bit: usize, row: usize, of: usize| common[row] / real(of) + own[place(spaces[bit])][row] * 0.5;
            for (at, set) in sets.iter().enumerate() {
                let of = members(*set).count();
                let predicted: Vec<f64> = (0..ROWS)
                    .map(|row| {
                        // Added in the order of the signals, so that the last bit does not depend on the order of spaces either.
                        let mut bits: Vec<usize> = members(*set).collect();
                        bits.sort_by_key(|bit| place(spaces[*bit]));
                        2.9 + bits.into_iter().map(|bit| contribution(bit, row, of)).sum::<f64>()
                    })
                    .collect();
                writer.predicted(at, response, &predicted).unwrap();
            }
            for bit in (0..spaces.len()).filter(|_| contributions) {
                let values: Vec<f64> = (0..ROWS).map(|row| contribution(bit, row, spaces.len())).collect();
                writer.contributed(bit, response, &values).unwrap();
            }
        }
        folder
    }

    fn task_on(folder: &Path, predictions: &Path) -> Task {
        let mut task = tasks::task(&EncodingPartition, folder);
        tasks::give(&mut task, "predictions", predictions);
        tasks::set(&mut task, "bootstrap", Value::Int(200));
        task
    }

    fn read(task: &Task, port: &str) -> DataFrame {
        data_table::read(task.output(port).unwrap()).unwrap()
    }

    /// By response and part: `v0 unique A`.
    fn by_name(table: &DataFrame, what: &str, number: &str) -> std::collections::BTreeMap<String, f64> {
        let texts = |name: &str| data_table::texts(table, name).unwrap();
        let (ids, parts, spaces) = (texts(what), texts("part"), texts("spaces"));
        let numbers = data_table::maybe_numbers(table, number).unwrap();
        let sorted = |spaces: &str| {
            let mut names: Vec<&str> = spaces.split('+').collect();
            names.sort_unstable();
            names.join("+")
        };
        let name = |row: usize| format!("{} {} {}", ids[row], parts[row], sorted(&spaces[row]));
        (0..ids.len()).map(|row| (name(row), numbers[row].unwrap_or(f64::NAN))).collect()
    }

    #[test]
    fn parts_are_sums_of_the_models_r2() {
        let folder = tempfile::tempdir().unwrap();
        let given = predictions(folder.path(), &["A", "B"], &["A", "B"], 5, true);
        let task = task_on(folder.path(), &given);
        tasks::run(&EncodingPartition, &task).unwrap();
        let parts = by_name(&read(&task, "parts"), "id", "estimate");
        let open = Predictions::open(&given).unwrap();
        for response in 0..5 {
            let observed: Vec<f64> = open.observed(response..response + 1).unwrap();
            let mean = observed.iter().sum::<f64>() / real(ROWS);
            let total: f64 = observed.iter().map(|y| (y - mean).powi(2)).sum();
            let r2 = |model: usize| {
                let predicted: Vec<f64> = open.predicted(model, response..response + 1).unwrap();
                1.0 - observed.iter().zip(&predicted).map(|(y, p)| (y - p).powi(2)).sum::<f64>() / total
            };
            let (a, b, ab) = (r2(0), r2(1), r2(2));
            let expected = [("unique A", ab - b), ("unique B", ab - a), ("shared A+B", a + b - ab), ("total A+B", ab)];
            for (name, expected) in expected {
                let found = parts[&format!("v{response} {name}")];
                assert!((found - expected).abs() < 1e-12, "v{response} {name}: {found}, not {expected}");
            }
            let joint = by_name(&read(&task, "joint"), "id", "estimate");
            let of = |name: &str| joint[&format!("v{response} {name}")];
            let sum = of("space A") + of("space B") + of("mean ");
            assert!((sum - ab).abs() < 1e-12 && (of("total ") - ab).abs() < 1e-14, "{sum} {ab}");
            let contributed = |space| open.contributed::<f64>(space, response..response + 1).unwrap().unwrap();
            let (p, q) = (contributed(0), contributed(1));
            let expected =
                (0..ROWS).map(|row| p[row] * (2.0 * (observed[row] - mean) - p[row] - q[row])).sum::<f64>() / total;
            assert!((of("space A") - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn the_order_of_spaces_permutes_the_parts() {
        let folder = tempfile::tempdir().unwrap();
        let signals = ["A", "B", "C"];
        let of = |spaces: &[&str], asked: &[&str]| {
            let own = folder.path().join(spaces.join("")).join(asked.join(""));
            let given = predictions(&own, spaces, &signals, 4, true);
            let mut task = task_on(&own, &given);
            let list = asked.iter().map(|name| Value::Text((*name).to_owned())).collect();
            tasks::set(&mut task, "spaces", Value::List(list));
            tasks::run(&EncodingPartition, &task).unwrap();
            let (parts, joint) = (read(&task, "parts"), read(&task, "joint"));
            let maps = ["estimate", "low", "high"].map(|number| by_name(&parts, "id", number));
            (maps, by_name(&joint, "id", "estimate"), by_name(&read(&task, "regions"), "region", "mean"))
        };
        let first = of(&["A", "B", "C"], &[]);
        for (spaces, asked) in [(["C", "A", "B"], &[][..]), (["A", "B", "C"], &["B", "C", "A"])] {
            let other = of(&spaces, asked);
            for (first, other) in first.0.iter().zip(&other.0).chain([(&first.1, &other.1), (&first.2, &other.2)]) {
                assert_eq!(first.len(), other.len());
                for (name, value) in first {
                    assert!((value - other[name]).abs() < 1e-9, "{name}: {value}, {}", other[name]);
                }
            }
        }
    }

    #[test]
    fn regions_summarise_their_responses() {
        let folder = tempfile::tempdir().unwrap();
        let given = predictions(folder.path(), &["A", "B"], &["A", "B"], 7, true);
        let regions = DataTable::new().text("region", ["odd", "odd", "odd", "far"]).text("id", ["v1", "v3", "v5", "w"]);
        data_table::write(&folder.path().join("given"), &mut regions.build().unwrap()).unwrap();
        let ceiling = DataTable::new()
            .text("id", (0..7).rev().map(|at| format!("v{at}")))
            .optional_numbers("ceiling", [Some(0.5), None, Some(0.01), Some(0.5), Some(0.5), Some(0.8), Some(0.5)]);
        data_table::write(&folder.path().join("ceiling"), &mut ceiling.build().unwrap()).unwrap();
        let mut task = task_on(folder.path(), &given);
        task.simulated = true;
        tasks::give(&mut task, "regions", &folder.path().join("given"));
        tasks::give(&mut task, "ceiling", &folder.path().join("ceiling"));
        let notes = tasks::run(&EncodingPartition, &task).unwrap();
        assert_eq!(notes[0], "important: no response lies in `far`: n is 0 there, without values");
        let (parts, table) = (by_name(&read(&task, "parts"), "id", "estimate"), read(&task, "regions"));
        let of = |number: &str, name: &str| by_name(&table, "region", number)[name];
        let texts = |name: &str| data_table::texts(&table, name).unwrap();
        let (names, kinds, spaces) = (texts("region"), texts("part"), texts("spaces"));
        let negative = data_table::integers(&table, "n_negative").unwrap();
        let own = ["v1", "v3", "v5"].map(|id| parts[&format!("{id} unique A")]);
        let mean = own.iter().sum::<f64>() / 3.0;
        assert!((of("mean", "odd unique A") - mean).abs() < 1e-15);
        let mut sorted = own;
        sorted.sort_by(f64::total_cmp);
        for (number, at) in [("min", 0), ("median", 1), ("max", 2)] {
            assert!((of(number, "odd unique A") - sorted[at]).abs() < 1e-15, "{number}");
        }
        for row in (0..names.len()).filter(|row| names[*row] == "all" && kinds[*row] != "joint") {
            let part = format!("{} {}", kinds[row], spaces[row]);
            let below = (0..7).filter(|at| parts[&format!("v{at} {part}")] < 0.0).count();
            assert_eq!(negative[row], i64::try_from(below).unwrap(), "{part}");
        }
        assert!(of("low", "odd unique A") < mean && mean < of("high", "odd unique A"));
        let median = of("median", "odd unique A");
        assert!(of("median_low", "odd unique A") < median && median < of("median_high", "odd unique A"));
        assert!(of("mean", "far unique A").is_nan() && of("low", "far unique A").is_nan());
        assert!(of("median_low", "far unique A").is_nan());
        assert_eq!(data_table::integers(&table, "n").unwrap()[..7], [3, 3, 3, 3, 3, 3, 0]);
        // Of the odd ones, v5 has no ceiling and v1 has 0.8.
        let shares = (parts["v1 total A+B"] / 0.8 + parts["v3 total A+B"] / 0.5) / 2.0;
        assert!((of("mean_of_ceiling", "odd total A+B") - shares).abs() < 1e-14);
        let share = by_name(&read(&task, "parts"), "id", "of_ceiling");
        assert!(share["v4 total A+B"].is_nan() && share["v0 total A+B"] > 0.0, "the ceiling of v4 is below the floor");
        let csv = fs_err::read_to_string(task.output("regions").unwrap().join(data_table::CSV)).unwrap();
        assert!(csv.lines().next().unwrap().ends_with(",level,n_of_ceiling,mean_of_ceiling,simulated"), "{csv}");
        let elsewhere = DataTable::new().text("region", ["V1"]).text("id", ["w"]);
        data_table::write(&folder.path().join("given"), &mut elsewhere.build().unwrap()).unwrap();
        let failure = tasks::run(&EncodingPartition, &task).unwrap_err();
        assert_eq!(failure.message, "none of the 1 ids of regions is that of a response");
    }

    /// The interval of a mean over rows is that of its standard error; a share of intervals holds what all rows would give.
    #[test]
    fn intervals_hold_the_luck_of_test_stimuli() {
        let folder = tempfile::tempdir().unwrap();
        let given = predictions(folder.path(), &["A"], &["A"], 200, false);
        let mut task = task_on(folder.path(), &given);
        let of = |task: &Task, number: &str| by_name(&read(task, "parts"), "id", number);
        tasks::set(&mut task, "bootstrap", Value::Int(500));
        tasks::run(&EncodingPartition, &task).unwrap();
        let (low, high, estimate) = (of(&task, "low"), of(&task, "high"), of(&task, "estimate"));
        assert!(low.iter().all(|(name, low)| *low < estimate[name] && estimate[name] < high[name]));
        // The observed is c + e (variances 1), the predicted c + a / 2: errors have a variance of 1.25, so R2 is 1 - 1.25 / 2.
        let held = low.iter().filter(|(name, low)| (**low..high[*name]).contains(&0.375)).count();
        assert!((345..=394).contains(&held), "{held} of 400, unique and total");
        tasks::set(&mut task, "interval", Value::Float(0.5));
        tasks::run(&EncodingPartition, &task).unwrap();
        let narrow = of(&task, "low");
        assert!(narrow.iter().all(|(name, narrow)| *narrow > low[name]));
        tasks::set(&mut task, "block", Value::Int(20));
        tasks::run(&EncodingPartition, &task).unwrap();
        assert_ne!(of(&task, "low"), narrow);
        tasks::set(&mut task, "block", Value::Int(60));
        assert!(tasks::run(&EncodingPartition, &task).unwrap_err().message.contains("one block of 60"));
        tasks::set(&mut task, "bootstrap", Value::Int(0));
        tasks::run(&EncodingPartition, &task).unwrap();
        assert!(of(&task, "low").values().all(|low| low.is_nan()));
    }

    /// A neuron that fires at one test stimulus is silent in a third of the resamples: these are left out of its interval, and neither
    /// its interval nor those of regions are lost or endless.
    #[test]
    fn a_response_at_one_stimulus_keeps_its_interval_and_those_of_regions() {
        let folder = tempfile::tempdir().unwrap();
        let given = predictions(folder.path(), &["A", "B"], &["A", "B"], 3, false);
        let observed = folder.path().join("predictions/observed.npy");
        let open = Predictions::open(&given).unwrap();
        let mut all: Vec<f64> = open.observed(0..3).unwrap();
        all[..ROWS].fill(0.0);
        all[0] = 1.0;
        let writer = crate::formats::npy_file::NpyWriter::create(&observed, &[3, ROWS], false, FloatType::F64).unwrap();
        writer.write_at(0, &all).unwrap();
        let task = task_on(folder.path(), &given);
        let notes = tasks::run(&EncodingPartition, &task).unwrap();
        let note = notes.iter().find(|note| note.contains("constant in some resamples")).unwrap();
        assert!(note.starts_with("important: 1 responses are constant") && note.contains(" of 200: "), "{note}");
        for (port, what) in [("parts", "id"), ("regions", "region")] {
            let table = read(&task, port);
            let (low, high) = (by_name(&table, what, "low"), by_name(&table, what, "high"));
            for (name, low) in &low {
                assert!(low.is_finite() && high[name].is_finite() && *low <= high[name], "{name}: {low}");
                assert!(low.abs() < 1e4 && high[name].abs() < 1e4, "{name}: {low} {}", high[name]);
            }
        }
    }

    #[test]
    fn constant_responses_have_no_parts_and_many_spaces_are_noted() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["A", "B", "C", "D", "E", "F", "G"];
        let given = predictions(folder.path(), &names, &names, 3, false);
        let observed = folder.path().join("predictions/observed.npy");
        let writer = crate::formats::npy_file::NpyWriter::create(&observed, &[3, ROWS], false, FloatType::F64).unwrap();
        writer.write_at(0, &[0.1; ROWS]).unwrap();
        let other: Vec<f64> = (0..2 * ROWS).map(|at| real(at % 7)).collect();
        writer.write_at(ROWS, &other).unwrap();
        let mut task = task_on(folder.path(), &given);
        tasks::set(&mut task, "bootstrap", Value::Int(10));
        let notes = tasks::run(&EncodingPartition, &task).unwrap();
        assert!(notes[0].starts_with("important: 7 spaces have 127 parts"), "{notes:?}");
        assert_eq!(notes[1], "important: 1 responses are constant over the test stimuli: they have no parts");
        assert!(
            notes[2].starts_with("parts below 0, of 2 responses: ") && notes[2].ends_with(" more parts"),
            "{notes:?}"
        );
        assert_eq!(notes[3], "the predictions have no contributions of these spaces: `joint` has no rows");
        let parts = read(&task, "parts");
        let estimates = by_name(&parts, "id", "estimate");
        assert!(estimates["v0 total A+B+C+D+E+F+G"].is_nan() && !estimates["v1 unique A"].is_nan());
        assert_eq!(data_table::integers(&read(&task, "regions"), "n").unwrap()[0], 2);
    }

    #[test]
    fn bytes_do_not_depend_on_threads() {
        let folder = tempfile::tempdir().unwrap();
        let given = predictions(folder.path(), &["A", "B"], &["A", "B"], 300, true);
        let bytes = |threads: usize| {
            let own = folder.path().join(threads.to_string());
            let task = task_on(&own, &given);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| EncodingPartition.run(&task, &Silent)).unwrap();
            ["parts", "regions", "joint"]
                .map(|port| fs_err::read(task.output(port).unwrap().join(data_table::CSV)).unwrap())
        };
        assert!(bytes(1) == bytes(3));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Whatever the scores are, parts add up to the precision that is promised.
        #[test]
        fn parts_add_up(scores in prop::collection::vec(-3.0f64..1.0, 127)) {
            let mut all = vec![0.0];
            all.extend(scores);
            prop_assert!(adds_up(&decompose(&all)).is_ok());
        }
    }
}
