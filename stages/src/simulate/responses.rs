//! `simulate/responses`: responses of cortex to stimuli, of which it is known how much each feature space explains, alone and together.
//!
//! For every non-empty set T of spaces there are latent variables that all spaces of T have and no other has: independent, normal, of
//! variance 1. The features of a space are its latent variables, turned by a rotation of its own, so that no feature is a latent variable,
//! and independent noise, which every feature has its own of: spaces correlate, and none is a copy of a part of another. The response of a
//! unit (voxel or vertex) is a sum over T of a random direction among the latent variables of T with the variance c(T), and noise; its
//! variance is 1. The shares of the c(T) and their sum, the noise ceiling, vary smoothly over the cortex; in named regions one space is
//! favoured.
//!
//! The truth is exact, that of models fitted on infinitely many stimuli: R2 of the spaces M is c' C^-1 c with C the covariance of their
//! features and c theirs with the response. A rotation of each space takes the features back to the latent variables, each with the share
//! `noise` of noise, so C falls apart into blocks of one latent variable, which m = |T and M| features have: R2 is the sum over T of
//! c(T) m (1 - noise) / (m (1 - noise) + noise). The parts of R2 are those of [`crate::numeric::subset_lattice`]; without noise they are
//! the c(T). What fitting on finitely many stimuli loses is not in them.
//!
//! Independent of how the cortex was made: it needs places in millimetres.

use std::collections::BTreeMap;

use pipe_contract::{Arity, Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::field::Field;
use super::random_stream::Stream;
use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::{self, MatrixAbout, MatrixAxis, MatrixWriter};
use crate::formats::npy_file::FloatType;
use crate::numeric::counts::real;
use crate::numeric::subset_lattice::{PartKind, Set, SubsetLattice, decompose, order};
use crate::numeric::vector::Point;

/// The kind.
pub(super) struct SimulateResponses;

parameters! {
    struct Parameters {
        /// the feature spaces, in written order
        spaces: Vec<String>;
        /// latent variables of each set of spaces
        latent: usize = 12, in 1..=200;
        /// share of the variance of every feature that is noise of its own; 0: what spaces have in common they have exactly, and features
        /// of several spaces together are linearly dependent
        noise: f64 = 0.1, in 0.0..=0.99;
        /// stimuli
        stimuli: usize = 1200, in 10..=100_000;
        /// stimuli of these that are marked as `shared`, to be scored on
        shared: usize = 200, in 1..=100_000;
        /// noise ceiling where it is lowest: explainable share of the variance
        lowest_ceiling: f64 = 0.15, in 0.0..=1.0;
        /// noise ceiling where it is highest
        highest_ceiling: f64 = 0.65, in 0.0..=1.0;
        /// distance in millimetres over which the maps of the parts vary
        length: f64 = 18.0, in 1.0..=1000.0;
        /// regions to the space that they favour; needs the port `regions`
        favour: BTreeMap<String, String> = BTreeMap::new();
    }
}

/// The columns of the table of stimuli.
const STIMULI: &[Column] = &[
    Column::new("id", "the stimulus"),
    Column::new("shared", "whether models are to be scored on it"),
    Column::new("n_reps", "how often it was shown"),
    data_table::STAMP,
];

/// The columns of the table of ceilings.
const CEILING: &[Column] = &[
    Column::new("id", "the voxel or vertex"),
    Column::measured("ceiling", "share", "the share of the variance of its responses that is not noise"),
    data_table::STAMP,
];

/// The columns of the table of true parts.
pub const TRUTH: &[Column] = &[
    Column::new("id", "the voxel or vertex"),
    Column::new("spaces", "the spaces of the part, joined by +"),
    Column::measured(
        "value",
        "share",
        "the part of R2 that these spaces have, of models fitted on infinitely many stimuli",
    ),
    data_table::STAMP,
];

/// How much a favoured space gains: its share is multiplied by e to this power.
const FAVOURED: f64 = 2.0;

impl StageKind for SimulateResponses {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "simulate/responses",
            1,
            "makes responses to stimuli and features of the stimuli, of which it is known what explains what",
        )
        .input(
            "units",
            &["table"],
            "voxels or vertices: columns `id`, `x`, `y`, `z` (millimetres) and any others, which the responses keep",
        )
        .port("regions", &["regions"], Arity::One, true, "regions of the units, for `favour`")
        .folder("responses", "matrix", "responses of unit variance, stimuli by units")
        .folder("features", "matrix", "features of all spaces, stimuli by features")
        .folder("stimuli", "table", "the stimuli, a row each")
        .described(data_table::FILES, STIMULI)
        .folder("ceiling", "table", "the true noise ceiling, a row a unit")
        .described(data_table::FILES, CEILING)
        .folder("truth", "table/truth", "the true parts, a row a unit and set of spaces")
        .described(data_table::FILES, TRUTH)
        .parameters::<Parameters>();
        Kind { random: true, stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let units = Units::read(task, &parameters)?;
        let lattice = lattice(&parameters)?;
        let seed = task.seed()?;
        let latent = Latent::draw(seed, &lattice, &parameters);
        let stimuli = stimuli_ids(parameters.stimuli);
        write_features(task, seed, &lattice, &latent, &parameters, &stimuli)?;
        write_stimuli(task, &parameters, &stimuli)?;
        let shares = units.shares(seed, &lattice, &parameters);
        write_truth(task, &units, &lattice, &shares, parameters.noise)?;
        let rows = MatrixAxis::of_ids(stimuli)?;
        let about = MatrixAbout {
            rows: "stimuli".into(),
            columns: "units".into(),
            unit: "standard deviations".into(),
            history: vec!["simulated".into()],
        };
        let responses = MatrixWriter::create(task.output("responses")?, &rows, &units.axis, &about, FloatType::F32)?;
        for (unit, shares) in shares.iter().enumerate() {
            if unit % 256 == 0 && context.cancelled() {
                return Err(Failure::stage("stopped before all responses were made"));
            }
            let response = latent.response(seed, &units.axis.ids()[unit], shares);
            responses.columns(unit, &response)?;
        }
        Ok(Ended::done())
    }
}

/// Where responses come from.
struct Units {
    axis: MatrixAxis,
    places: Vec<Point>,
    /// By unit, the space (its number) that its region favours.
    favoured: Vec<Option<usize>>,
}

impl Units {
    fn read(task: &Task, parameters: &Parameters) -> Result<Self, Failure> {
        let path = task.one("units")?;
        let at = |failure: Failure| failure.at(path.display().to_string());
        let axis = MatrixAxis::new(data_table::read(path)?).map_err(at)?;
        let column = |name| data_table::numbers(axis.table(), name).map_err(at);
        let (x, y, z) = (column("x")?, column("y")?, column("z")?);
        let places = x.iter().zip(&y).zip(&z).map(|((x, y), z)| [*x, *y, *z]).collect();
        let mut favoured = vec![None; axis.len()];
        let mut of_regions = BTreeMap::new();
        for (region, space) in &parameters.favour {
            let number = parameters.spaces.iter().position(|known| known == space).ok_or_else(|| {
                let spaces = parameters.spaces.join("`, `");
                Failure::input(format!("`favour` names the space `{space}`, expected one of `{spaces}`"))
            })?;
            of_regions.insert(region.clone(), number);
        }
        match task.maybe("regions") {
            None if of_regions.is_empty() => {}
            None => return Err(Failure::input("`favour` names regions, but the port `regions` is not given")),
            Some(path) => {
                let at = |failure: Failure| failure.at(path.display().to_string());
                let table = data_table::read(path)?;
                let regions = data_table::texts(&table, "region").map_err(at)?;
                for (region, id) in regions.iter().zip(data_table::texts(&table, "id").map_err(at)?) {
                    if let (Some(space), Some(unit)) = (of_regions.get(region), axis.position(&id)) {
                        favoured[unit] = Some(*space);
                    }
                }
                if let Some(unknown) = of_regions.keys().find(|name| !regions.contains(name)) {
                    return Err(at(Failure::input(format!("there is no region `{unknown}`, which `favour` names"))));
                }
            }
        }
        Ok(Self { axis, places, favoured })
    }

    /// By unit, and in it by set without the empty one: the variance that the latent variables of the set explain.
    fn shares(&self, seed: u64, lattice: &SubsetLattice, parameters: &Parameters) -> Vec<Vec<f64>> {
        let field = |name: &str| Field::<1>::new(&mut Stream::new(seed, name), parameters.length, 1.0);
        let fields: Vec<(Set, Field<1>)> =
            (1..lattice.len()).map(|set| (set, field(&format!("share {set}")))).collect();
        let ceiling = field("ceiling");
        let span = parameters.highest_ceiling - parameters.lowest_ceiling;
        self.places
            .iter()
            .zip(&self.favoured)
            .map(|(place, favoured)| {
                let level = 1.0 / (1.0 + libm::exp(-1.7 * ceiling.at(*place)[0]));
                let explained = parameters.lowest_ceiling + span * level;
                let weight = |(set, field): &(Set, Field<1>)| {
                    let gain = if favoured.is_some_and(|space| *set == 1 << space) { FAVOURED } else { 0.0 };
                    libm::exp(field.at(*place)[0] + gain)
                };
                let weights: Vec<f64> = fields.iter().map(weight).collect();
                let sum: f64 = weights.iter().sum();
                weights.iter().map(|weight| explained * weight / sum).collect()
            })
            .collect()
    }
}

/// The sets of the spaces, after checking what is asked for.
fn lattice(parameters: &Parameters) -> Result<SubsetLattice, Failure> {
    let names = &parameters.spaces;
    if names.is_empty() || names.len() > MOST_SPACES {
        let count = names.len();
        return Err(Failure::input(format!("`spaces` has {count} names, expected 1 to {MOST_SPACES}")));
    }
    if let Some(twice) = names.iter().enumerate().find_map(|(i, name)| names[..i].contains(name).then_some(name)) {
        return Err(Failure::input(format!("`spaces` has `{twice}` twice, expected each name once")));
    }
    if parameters.shared >= parameters.stimuli {
        let (shared, all) = (parameters.shared, parameters.stimuli);
        return Err(Failure::input(format!("{shared} of {all} stimuli are shared, which leaves none to fit on")));
    }
    if parameters.lowest_ceiling > parameters.highest_ceiling {
        let (low, high) = (parameters.lowest_ceiling, parameters.highest_ceiling);
        return Err(Failure::input(format!("`lowest_ceiling` {low} is above `highest_ceiling` {high}")));
    }
    Ok(SubsetLattice::new(names.clone()))
}

/// The share of the variance of a latent variable that so many features explain, each of which has it with the share `noise` of noise.
fn known(features: usize, noise: f64) -> f64 {
    if features == 0 {
        return 0.0;
    }
    let signal = real(features) * (1.0 - noise);
    signal / (signal + noise)
}

/// R2 of every set of spaces, the empty one first, on infinitely many stimuli; `shares` are those of [`Units::shares`].
fn true_scores(shares: &[f64], noise: f64) -> Vec<f64> {
    let of = |model: Set| -> f64 {
        let explained = |(set, share): (Set, &f64)| share * known(order(set & model), noise);
        (1..).zip(shares).map(explained).sum()
    };
    (0..=shares.len()).map(of).collect()
}

/// More spaces have more sets than a simulation needs.
const MOST_SPACES: usize = 6;

/// Latent variables of every set.
struct Latent {
    stimuli: usize,
    /// By set without the empty one: its variables, one after the other, a number a stimulus.
    by_set: Vec<Vec<f64>>,
}

impl Latent {
    fn draw(seed: u64, lattice: &SubsetLattice, parameters: &Parameters) -> Self {
        let numbers = parameters.latent * parameters.stimuli;
        let of_set = |set: Set| {
            let mut stream = Stream::new(seed, &format!("latent {set}"));
            (0..numbers).map(|_| stream.normal()).collect()
        };
        Self { stimuli: parameters.stimuli, by_set: (1..lattice.len()).map(of_set).collect() }
    }

    /// The responses of one unit, a number a stimulus.
    fn response(&self, seed: u64, unit: &str, shares: &[f64]) -> Vec<f64> {
        let mut stream = Stream::new(seed, &format!("unit {unit}"));
        let explained: f64 = shares.iter().sum();
        let noise = (1.0 - explained).max(0.0).sqrt();
        let mut response: Vec<f64> = (0..self.stimuli).map(|_| noise * stream.normal()).collect();
        for (variables, share) in self.by_set.iter().zip(shares) {
            let count = variables.len() / self.stimuli;
            let direction: Vec<f64> = (0..count).map(|_| stream.normal()).collect();
            let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
            for (variable, along) in variables.chunks_exact(self.stimuli).zip(&direction) {
                let weight = share.sqrt() * along / length;
                response.iter_mut().zip(variable).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        response
    }
}

fn stimuli_ids(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("stimulus{number:05}")).collect()
}

/// The rotation of the latent variables of a space, of which there are so many.
fn rotation_of(seed: u64, space: usize, variables: usize) -> Vec<Vec<f64>> {
    rotation(&mut Stream::new(seed, &format!("rotation {space}")), variables)
}

/// Turns the latent variables of every space by a rotation of its own and adds noise.
fn write_features(
    task: &Task,
    seed: u64,
    lattice: &SubsetLattice,
    latent: &Latent,
    parameters: &Parameters,
    stimuli: &[String],
) -> Result<(), Failure> {
    let (signal, noise) = ((1.0 - parameters.noise).sqrt(), parameters.noise.sqrt());
    let (mut ids, mut spaces, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (space, name) in lattice.sources().iter().enumerate() {
        let with_it = (1..lattice.len()).zip(&latent.by_set).filter(|(set, _)| set >> space & 1 == 1);
        let variables: Vec<&[f64]> =
            with_it.flat_map(|(_, variables)| variables.chunks_exact(parameters.stimuli)).collect();
        for (number, row) in rotation_of(seed, space, variables.len()).iter().enumerate() {
            ids.push(format!("{name}/{:03}", number + 1));
            spaces.push(name.clone());
            let mut stream = Stream::new(seed, &format!("feature {space} {number}"));
            let mut feature: Vec<f64> = (0..parameters.stimuli).map(|_| noise * stream.normal()).collect();
            for (weight, variable) in row.iter().zip(&variables) {
                feature.iter_mut().zip(*variable).for_each(|(sum, value)| *sum += signal * weight * value);
            }
            values.extend(feature);
        }
    }
    let columns = MatrixAxis::new(DataTable::new().text(matrix::ID, ids).text(matrix::SPACE, spaces).build()?)?;
    let rows = MatrixAxis::of_ids(stimuli.iter().map(String::as_str))?;
    let about = MatrixAbout {
        rows: "stimuli".into(),
        columns: "features".into(),
        unit: String::new(),
        history: vec!["simulated".into()],
    };
    MatrixWriter::create(task.output("features")?, &rows, &columns, &about, FloatType::F32)?.columns(0, &values)
}

/// The rows of a random orthogonal matrix: normal numbers, made orthonormal one after the other (Gram and Schmidt).
fn rotation(stream: &mut Stream, size: usize) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(size);
    while rows.len() < size {
        let mut row: Vec<f64> = (0..size).map(|_| stream.normal()).collect();
        // Twice is enough for orthogonality to rounding.
        for _ in 0..2 {
            for before in &rows {
                let along: f64 = row.iter().zip(before).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(before).for_each(|(a, b)| *a -= along * b);
            }
        }
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length > 1e-6 {
            rows.push(row.iter().map(|x| x / length).collect());
        }
    }
    rows
}

fn write_stimuli(task: &Task, parameters: &Parameters, stimuli: &[String]) -> Result<(), Failure> {
    // Spread over the stimuli, as those of a study are.
    let is_shared = |number: usize| {
        let before = number * parameters.shared / parameters.stimuli;
        (number + 1) * parameters.shared / parameters.stimuli > before
    };
    let table = DataTable::of(STIMULI)
        .text("id", stimuli.iter().map(String::as_str))
        .flags("shared", (0..stimuli.len()).map(is_shared))
        .integers("n_reps", stimuli.iter().map(|_| 1))
        .stamped(task.simulated);
    data_table::write(task.output("stimuli")?, &mut table.build()?)
}

fn write_truth(
    task: &Task,
    units: &Units,
    lattice: &SubsetLattice,
    shares: &[Vec<f64>],
    noise: f64,
) -> Result<(), Failure> {
    let ids = units.axis.ids();
    let table = DataTable::of(CEILING)
        .text("id", ids.iter().map(String::as_str))
        .numbers("ceiling", shares.iter().map(|shares| shares.iter().sum()))
        .stamped(task.simulated);
    data_table::write(task.output("ceiling")?, &mut table.build()?)?;
    let own = lattice.parts().into_iter().filter(|(kind, ..)| *kind != PartKind::Total);
    let places: Vec<(String, usize)> = own.map(|(_, set, at)| (lattice.joined(set), at)).collect();
    let mut rows: Vec<(&str, &str, f64)> = Vec::with_capacity(ids.len() * places.len());
    for (id, shares) in ids.iter().zip(shares) {
        let parts = decompose(&true_scores(shares, noise));
        rows.extend(places.iter().map(|(spaces, at)| (id.as_str(), spaces.as_str(), parts[*at])));
    }
    let table = DataTable::of(TRUTH)
        .text("id", rows.iter().map(|(id, ..)| *id))
        .text("spaces", rows.iter().map(|(_, spaces, _)| *spaces))
        .numbers("value", rows.iter().map(|(.., value)| *value))
        .stamped(task.simulated);
    data_table::write(task.output("truth")?, &mut table.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::matrix::Matrix;
    use crate::numeric::linear_algebra::{Eigen, MatrixView, gram, product, symmetric_eigen};
    use crate::test_support::tasks::{give, run, set, task};
    use pipe_contract::Value;

    fn texts(values: &[&str]) -> Value {
        Value::List(values.iter().map(|value| Value::Text((*value).into())).collect())
    }

    fn made(folder: &std::path::Path, seed: u64) -> Task {
        let units = folder.join("units");
        let count = 60;
        let along = |scale: f64| (0..count).map(move |i| f64::from(i) * scale);
        let table = DataTable::new()
            .text("id", (0..count).map(|i| format!("v{i:07}")))
            .numbers("x", along(1.0))
            .numbers("y", along(0.5))
            .numbers("z", along(-0.25));
        data_table::write(&units, &mut table.build().unwrap()).unwrap();
        let mut task = task(&SimulateResponses, folder);
        give(&mut task, "units", &units);
        set(&mut task, "spaces", texts(&["A", "B"]));
        set(&mut task, "latent", Value::Int(3));
        set(&mut task, "stimuli", Value::Int(4000));
        set(&mut task, "shared", Value::Int(500));
        task.seed = Some(seed);
        task.simulated = true;
        task
    }

    /// c' C^-1 c.
    fn quadratic(matrix: &[f64], vector: &[f64]) -> f64 {
        let Eigen { values, vectors } = symmetric_eigen(matrix, vector.len()).unwrap();
        let along = |axis: &[f64]| axis.iter().zip(vector).map(|(a, b)| a * b).sum::<f64>();
        vectors.chunks_exact(vector.len()).zip(values).map(|(axis, value)| along(axis).powi(2) / value).sum()
    }

    /// The share of the squares of `y` that least squares on columns of as many rows explain.
    fn explained(x: &[f64], y: &[f64]) -> f64 {
        let x = MatrixView::new(x, y.len(), x.len() / y.len());
        let with_y = product(x.transposed(), MatrixView::new(y, y.len(), 1));
        quadratic(&gram(x), &with_y) / y.iter().map(|y| y * y).sum::<f64>()
    }

    #[test]
    fn responses_have_the_variance_and_the_parts_that_the_truth_says() {
        for noise in [0.0, 0.1, 0.4] {
            let folder = tempfile::tempdir().unwrap();
            let mut task = made(folder.path(), 3);
            set(&mut task, "noise", Value::Float(noise));
            run(&SimulateResponses, &task).unwrap();
            let features = Matrix::open(task.output("features").unwrap()).unwrap();
            let responses = Matrix::open(task.output("responses").unwrap()).unwrap();
            assert_eq!(
                features.spaces().unwrap().iter().map(|(name, of)| (name.as_str(), of.len())).collect::<Vec<_>>(),
                [("A", 6), ("B", 6)]
            );
            let truth = data_table::read(task.output("truth").unwrap()).unwrap();
            let names = data_table::texts(&truth, "spaces").unwrap();
            assert_eq!(names[..4], ["A", "B", "A+B", "A"]);
            let values = data_table::numbers(&truth, "value").unwrap();
            let mut errors = Vec::new();
            for unit in 0..60 {
                let y = responses.block::<f64>(unit..unit + 1, None).unwrap();
                let variance = y.iter().map(|y| y * y).sum::<f64>() / 4000.0;
                assert!((variance - 1.0).abs() < 0.12, "{variance}");
                let [a, b, shared] = [0, 1, 2].map(|part| values[3 * unit + part]);
                for (columns, expected) in [(0..6, a + shared), (6..12, b + shared), (0..12, a + b + shared)] {
                    // Without noise the twelve features lie on nine axes.
                    if noise == 0.0 && columns == (0..12) {
                        continue;
                    }
                    let found = explained(&features.block::<f64>(columns, None).unwrap(), &y);
                    errors.push(found - expected);
                }
            }
            // The standard error of R2 is about 2 sqrt(R2) (1 - R2) / sqrt(4000) < 0.013; 12 features explain 12 / 4000 by chance.
            assert!(errors.iter().all(|error| error.abs() < 0.06), "{noise}: {errors:?}");
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            assert!(mean.abs() < 0.015, "{noise}: {mean}");
            let stimuli = data_table::read(task.output("stimuli").unwrap()).unwrap();
            assert_eq!(data_table::flags(&stimuli, "shared").unwrap().iter().filter(|shared| **shared).count(), 500);
        }
    }

    /// The sums over latent variables against c' C^-1 c of the features themselves, turned as they are.
    #[test]
    fn true_scores_are_those_of_the_covariance_of_features() {
        let (latent, noise) = (2, 0.2);
        let lattice = SubsetLattice::new(["A", "B", "C"].map(String::from).into());
        let shares = [0.1, 0.05, 0.08, 0.02, 0.12, 0.03, 0.07];
        let scores = true_scores(&shares, noise);
        // All latent variables by features: two a set, in the order of the sets.
        let variables = latent * (lattice.len() - 1);
        let (mut mixing, mut of_space) = (Vec::new(), Vec::new());
        for space in 0..3 {
            let own: Vec<usize> = (0..variables).filter(|variable| (variable / latent + 1) >> space & 1 == 1).collect();
            for row in rotation_of(4, space, own.len()) {
                let mut column = vec![0.0; variables];
                own.iter().zip(row).for_each(|(variable, weight)| column[*variable] = (1.0 - noise).sqrt() * weight);
                mixing.push(column);
                of_space.push(space);
            }
        }
        // The direction of every set is 0.6, 0.8.
        let weights: Vec<f64> = shares.iter().flat_map(|share| [0.6, 0.8].map(|along| along * share.sqrt())).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for (model, score) in scores.iter().enumerate().skip(1) {
            let own: Vec<usize> = (0..mixing.len()).filter(|at| model >> of_space[*at] & 1 == 1).collect();
            let own_noise = |a: usize, b: usize| if a == b { noise } else { 0.0 };
            let covariance: Vec<f64> = own
                .iter()
                .flat_map(|a| own.iter().map(|b| dot(&mixing[*a], &mixing[*b]) + own_noise(*a, *b)).collect::<Vec<_>>())
                .collect();
            let with_response: Vec<f64> = own.iter().map(|at| dot(&mixing[*at], &weights)).collect();
            let expected = quadratic(&covariance, &with_response);
            assert!((score - expected).abs() < 1e-12, "{model}: {score} {expected}");
        }
        assert_eq!(scores[0], 0.0);
        // Without noise the parts are the shares.
        for (part, share) in decompose(&true_scores(&shares, 0.0))[1..8].iter().zip(shares) {
            assert!((part - share).abs() < 1e-14, "{part} {share}");
        }
    }

    #[test]
    fn the_seed_decides() {
        let values = |seed| {
            let folder = tempfile::tempdir().unwrap();
            let task = made(folder.path(), seed);
            run(&SimulateResponses, &task).unwrap();
            fs_err::read(task.output("responses").unwrap().join(matrix::VALUES)).unwrap()
        };
        assert!(values(1) == values(1));
        assert!(values(1) != values(2));
    }

    #[test]
    fn a_favoured_space_gains() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = made(folder.path(), 5);
        set(&mut task, "favour", Value::Map([("V1".to_owned(), Value::Text("A".into()))].into()));
        assert!(run(&SimulateResponses, &task).unwrap_err().message.contains("port `regions` is not given"));
        let regions = folder.path().join("regions");
        let table = DataTable::new().text("region", ["V1"; 30]).text("id", (0..30).map(|i| format!("v{i:07}")));
        data_table::write(&regions, &mut table.build().unwrap()).unwrap();
        give(&mut task, "regions", &regions);
        run(&SimulateResponses, &task).unwrap();
        let values = |task: &Task| {
            let truth = data_table::read(task.output("truth").unwrap()).unwrap();
            data_table::numbers(&truth, "value").unwrap()
        };
        let favoured = values(&task);
        set(&mut task, "favour", Value::Map(BTreeMap::new()));
        run(&SimulateResponses, &task).unwrap();
        let plain = values(&task);
        // Three parts a unit: those of the first 30 change.
        assert_eq!(favoured[90..], plain[90..]);
        let share = |values: &[f64]| -> f64 {
            let (a, all): (Vec<f64>, Vec<f64>) =
                values[..90].chunks_exact(3).map(|parts| (parts[0], parts.iter().sum::<f64>())).unzip();
            a.iter().sum::<f64>() / all.iter().sum::<f64>()
        };
        assert!(share(&favoured) > share(&plain) + 0.2, "{} {}", share(&favoured), share(&plain));
        set(&mut task, "favour", Value::Map([("V9".to_owned(), Value::Text("A".into()))].into()));
        assert!(run(&SimulateResponses, &task).unwrap_err().message.contains("no region `V9`"));
        set(&mut task, "favour", Value::Map([("V1".to_owned(), Value::Text("C".into()))].into()));
        assert!(run(&SimulateResponses, &task).unwrap_err().message.contains("names the space `C`"));
    }

    #[test]
    fn rotations_are_orthogonal() {
        let rows = rotation(&mut Stream::new(1, "rotation"), 9);
        for (i, a) in rows.iter().enumerate() {
            for (j, b) in rows.iter().enumerate() {
                let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
    }
}
