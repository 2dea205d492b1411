//! `simulate/encoded`: responses of cortex that follow the features of one space, such as a layer of a network.
//!
//! The response of a unit (voxel or vertex) is a weighted sum of the features, with normal weights of its own, and normal noise; its variance
//! over the stimuli is 1 on average. The share of the features, the noise ceiling, is exact and varies smoothly over the cortex. Features are
//! taken as they are: those of large variance count more, as their principal components do. So it is known what models fitted to the
//! responses should find: the space explains each unit up to its ceiling, and no other space has a unique part beside it. What fitting on
//! finitely many stimuli loses is not in the ceiling. Independent of how the features were made, and of the cortex, of which it needs places
//! in millimetres.

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::field::Field;
use super::random_stream::Stream;
use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::{Matrix, MatrixAbout, MatrixAxis, MatrixWriter};
use crate::formats::nearest_names::nearest;
use crate::formats::npy_file::FloatType;
use crate::numeric::counts::real;
use crate::numeric::vector::Point;

/// The kind.
pub(super) struct SimulateEncoded;

parameters! {
    struct Parameters {
        /// the feature space that responses follow
        space: String;
        /// noise ceiling where it is lowest: explainable share of the variance
        lowest_ceiling: f64 = 0.15, in 0.0..=1.0;
        /// noise ceiling where it is highest
        highest_ceiling: f64 = 0.65, in 0.0..=1.0;
        /// distance in millimetres over which the noise ceiling varies
        length: f64 = 18.0, in 1.0..=1000.0;
    }
}

/// The columns of the table of ceilings.
const CEILING: &[Column] = &[
    Column::new("id", "the voxel or vertex"),
    Column::measured("ceiling", "share", "the share of the variance of its responses that is not noise"),
    data_table::STAMP,
];

/// Numbers of all features of the space at most: 1 GB.
const MOST_NUMBERS: usize = 1 << 27;

impl StageKind for SimulateEncoded {
    fn kind(&self) -> Kind {
        let kind = Kind::new("simulate/encoded", 1, "makes responses to stimuli that follow the features of one space")
            .input("features", &["matrix"], "features of stimuli, of one space or several: columns `space`")
            .input(
                "units",
                &["table"],
                "voxels or vertices: columns `id`, `x`, `y`, `z` (millimetres) and any others, which the responses keep",
            )
            .folder("responses", "matrix", "responses of unit variance, stimuli by units")
            .folder("ceiling", "table", "the true noise ceiling, a row a unit")
            .described(data_table::FILES, CEILING)
            .parameters::<Parameters>();
        Kind { random: true, stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        if parameters.lowest_ceiling > parameters.highest_ceiling {
            let (low, high) = (parameters.lowest_ceiling, parameters.highest_ceiling);
            return Err(Failure::input(format!("`lowest_ceiling` {low} is above `highest_ceiling` {high}")));
        }
        let matrix = Matrix::open(task.one("features")?)?;
        let features = centred_features(&matrix, &parameters.space)?;
        let (units, places) = units(task)?;
        let seed = task.seed()?;
        let ceilings = ceilings(seed, &places, &parameters);
        let about = MatrixAbout {
            rows: matrix.about().rows.clone(),
            columns: "units".into(),
            unit: "standard deviations".into(),
            history: vec![format!("simulated from `{}`", parameters.space)],
        };
        let responses = MatrixWriter::create(task.output("responses")?, matrix.rows(), &units, &about, FloatType::F32)?;
        for (unit, (id, ceiling)) in units.ids().iter().zip(&ceilings).enumerate() {
            if unit % 256 == 0 && context.cancelled() {
                return Err(Failure::stage("stopped before all responses were made"));
            }
            responses.columns(unit, &response(seed, id, *ceiling, &features))?;
        }
        let mut table = DataTable::of(CEILING)
            .text("id", units.ids().iter().map(String::as_str))
            .numbers("ceiling", ceilings)
            .stamped(task.simulated)
            .build()?;
        data_table::write(task.output("ceiling")?, &mut table)?;
        Ok(Ended::done())
    }
}

/// The units and their places.
fn units(task: &Task) -> Result<(MatrixAxis, Vec<Point>), Failure> {
    let path = task.one("units")?;
    let at = |failure: Failure| failure.at(path.display().to_string());
    let axis = MatrixAxis::new(data_table::read(path)?).map_err(at)?;
    let column = |name| data_table::numbers(axis.table(), name).map_err(at);
    let (x, y, z) = (column("x")?, column("y")?, column("z")?);
    let places = x.iter().zip(&y).zip(&z).map(|((x, y), z)| [*x, *y, *z]).collect();
    Ok((axis, places))
}

/// The features of a space with the mean 0, each a number a stimulus.
fn centred_features(matrix: &Matrix, space: &str) -> Result<Vec<Vec<f64>>, Failure> {
    let spaces = matrix.spaces()?;
    let Some((_, columns)) = spaces.iter().find(|(known, _)| known == space) else {
        let like = nearest(space, spaces.iter().map(|(known, _)| known.as_str()));
        let message = format!("there is no feature space `{space}`; most like it: {like}");
        return Err(Failure::input(message).at(matrix.place()));
    };
    let (height, width) = (matrix.rows().len(), columns.len());
    if height.saturating_mul(width) > MOST_NUMBERS {
        let found = format!("`{space}` has {width} features of {height} stimuli");
        let message = format!("{found}, expected at most {MOST_NUMBERS} numbers");
        return Err(Failure::input(message).at(matrix.place()).hint("reduce it first (`matrix/pca`)"));
    }
    let mut features = Vec::with_capacity(width);
    for column in columns {
        let values = matrix.block::<f64>(*column..*column + 1, None)?;
        if let Some((value, row)) = values.iter().zip(matrix.rows().ids()).find(|(value, _)| !value.is_finite()) {
            let id = &matrix.columns().ids()[*column];
            let message = format!("column `{id}` is {value} in row `{row}`, expected finite numbers");
            return Err(Failure::input(message).at(matrix.place()));
        }
        let mean = values.iter().sum::<f64>() / real(height);
        let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
        if values.iter().any(|value| *value != values[0]) {
            features.push(centred);
        }
    }
    if features.is_empty() {
        let message = format!("all features of `{space}` are the same for all stimuli");
        return Err(Failure::input(message).at(matrix.place()));
    }
    Ok(features)
}

/// Between the lowest and the highest, smoothly over space.
fn ceilings(seed: u64, places: &[Point], parameters: &Parameters) -> Vec<f64> {
    let field = Field::<1>::new(&mut Stream::new(seed, "ceiling"), parameters.length, 1.0);
    let span = parameters.highest_ceiling - parameters.lowest_ceiling;
    let level = |place: &Point| 1.0 / (1.0 + libm::exp(-1.7 * field.at(*place)[0]));
    places.iter().map(|place| parameters.lowest_ceiling + span * level(place)).collect()
}

/// The responses of one unit, a number a stimulus.
fn response(seed: u64, unit: &str, ceiling: f64, features: &[Vec<f64>]) -> Vec<f64> {
    let mut stream = Stream::new(seed, &format!("unit {unit}"));
    let stimuli = features[0].len();
    let mut signal = vec![0.0; stimuli];
    for feature in features {
        let weight = stream.normal();
        signal.iter_mut().zip(feature).for_each(|(sum, value)| *sum += weight * value);
    }
    let variance = signal.iter().map(|value| value * value).sum::<f64>() / real(stimuli);
    let (scale, noise) = ((ceiling / variance).sqrt(), (1.0 - ceiling).sqrt());
    signal.iter().map(|value| scale * value + noise * stream.normal()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::matrix::{self, SPACE};
    use crate::test_support::tasks::{give, run, set, task};

    const STIMULI: usize = 2000;

    /// Two spaces of two features each, and one constant feature, of 2,000 stimuli; 40 units on a line.
    fn made(folder: &Path, space: &str) -> Task {
        let mut stream = Stream::new(3, "features");
        let mut values: Vec<f64> = (0..4 * STIMULI).map(|_| stream.normal()).collect();
        values.extend([7.0; STIMULI]);
        let ids = ["a1", "a2", "b1", "b2", "b3"];
        let columns = DataTable::new().text("id", ids).text(SPACE, ["A", "A", "B", "B", "B"]).build().unwrap();
        let rows = MatrixAxis::of_ids((0..STIMULI).map(|at| format!("s{at:04}"))).unwrap();
        let about = MatrixAbout { rows: "stimuli".into(), columns: "features".into(), ..MatrixAbout::default() };
        let features = folder.join("features");
        matrix::write(&features, &rows, &MatrixAxis::new(columns).unwrap(), &about, &values).unwrap();
        let along = |scale: f64| (0..40).map(move |at| f64::from(at) * scale);
        let table = DataTable::new().text("id", (0..40).map(|at| format!("v{at:02}")));
        let table = table.numbers("x", along(2.0)).numbers("y", along(1.0)).numbers("z", along(0.5));
        data_table::write(&folder.join("units"), &mut table.build().unwrap()).unwrap();
        let mut task = task(&SimulateEncoded, folder);
        give(&mut task, "features", &features);
        give(&mut task, "units", &folder.join("units"));
        set(&mut task, "space", Value::Text(space.into()));
        task
    }

    /// R2 of two features that do not correlate, up to chance.
    fn explained(features: &[f64], response: &[f64]) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let squares = dot(response, response);
        features.chunks_exact(STIMULI).map(|of| dot(of, response).powi(2) / dot(of, of) / squares).sum()
    }

    #[test]
    fn the_space_explains_every_unit_up_to_its_ceiling_and_the_other_space_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let task = made(folder.path(), "B");
        run(&SimulateEncoded, &task).unwrap();
        let responses = Matrix::open(task.output("responses").unwrap()).unwrap();
        let features = Matrix::open(&folder.path().join("features")).unwrap();
        let (a, b) = (features.block::<f64>(0..2, None).unwrap(), features.block::<f64>(2..4, None).unwrap());
        let table = data_table::read(task.output("ceiling").unwrap()).unwrap();
        let ceilings = data_table::numbers(&table, "ceiling").unwrap();
        assert_eq!((responses.columns().ids().len(), responses.rows().ids()[1].as_str()), (40, "s0001"));
        for (unit, ceiling) in ceilings.iter().enumerate() {
            let response = responses.block::<f64>(unit..unit + 1, None).unwrap();
            // The standard error of R2 is about 2 sqrt(R2) (1 - R2) / sqrt(2000) < 0.02.
            assert!((explained(&b, &response) - ceiling).abs() < 0.09, "{unit}: {ceiling}");
            assert!(explained(&a, &response) < 0.02, "{unit}");
            assert!((0.15..=0.65).contains(ceiling));
        }
        let least = ceilings.iter().copied().fold(1.0, f64::min);
        let greatest = ceilings.iter().copied().fold(0.0, f64::max);
        assert!(greatest - least > 0.05, "they vary: {least} to {greatest}");
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = made(folder.path(), "C");
        let message = |task: &Task| run(&SimulateEncoded, task).unwrap_err().message;
        assert!(message(&task).starts_with("there is no feature space `C`; most like it: "));
        set(&mut task, "space", Value::Text("B".into()));
        set(&mut task, "lowest_ceiling", Value::Float(0.9));
        assert_eq!(message(&task), "`lowest_ceiling` 0.9 is above `highest_ceiling` 0.65");
    }
}
