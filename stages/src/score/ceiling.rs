//! `score/ceiling`: which share of a response's variance can be explained, from responses to stimuli that were shown several times.
//!
//! What differs between repeats of one stimulus is noise; what is left of the variance between stimuli is signal. The ceiling of the mean
//! of n repeats is signal / (signal + noise / n). Two estimates of the signal are offered. `anova` takes noise off the mean squares
//! between stimuli, which also holds for stimuli that were shown different numbers of times. `nsd` is that of the Natural Scenes Dataset
//! (Allen et al. 2022): the variance of all single responses less the mean over stimuli of the variance of their repeats; n is then
//! the 3 of that data set, or a harmonic mean where numbers differ. A signal below 0 is a ceiling of 0, and counted.
//! Stimuli that were shown once say nothing about noise and are left out.

use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, Progress, StageKind, Task, choice, parameters};
use rayon::prelude::*;

use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::matrix::Matrix;
use crate::numeric::counts::real;

/// The kind.
pub(super) struct NoiseCeiling;

choice! {
    /// How signal is estimated.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Estimate {
        /// From mean squares between and within stimuli.
        Anova = "anova",
        /// From the variance of single responses and that of repeats.
        Nsd = "nsd",
    }
}

parameters! {
    struct Parameters {
        /// the column of the table of rows that says of which stimulus a row is
        stimulus: String = "stimulus".to_owned();
        /// the ceiling is that of the mean of so many repeats; a harmonic mean where stimuli differ
        repeats: f64, in 1.0..=1_000_000.0;
        /// how signal is estimated: `anova` from mean squares between and within stimuli, `nsd` from the variance of single responses
        estimate: Estimate = Estimate::Anova;
    }
}

/// Numbers that are read at a time.
const READ: usize = 1 << 22;

impl StageKind for NoiseCeiling {
    fn kind(&self) -> Kind {
        let kind = Kind::new("score/ceiling", 1, "noise ceilings of responses from repeats of stimuli")
            .input(
                "responses",
                &["matrix"],
                "responses, a row a presentation; its table of rows says of which stimulus",
            )
            .folder("table", "table", "a row a response")
            .described(data_table::FILES, COLUMNS)
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let matrix = Matrix::open(task.one("responses")?)?;
        let repeats = Repeats::of(
            &data_table::texts(matrix.rows().table(), &parameters.stimulus)
                .map_err(|failure| failure.at(matrix.place()))?,
        )
        .map_err(|failure| failure.at(matrix.place()))?;
        let (height, width) = (matrix.rows().len(), matrix.columns().len());
        let mut variances = Vec::with_capacity(width);
        let step = (READ / height).max(1);
        for first in (0..width).step_by(step) {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all ceilings were computed"));
            }
            let columns = first..width.min(first + step);
            let (done, total) = (columns.end as u64, width as u64);
            let block: Vec<f64> = matrix.block(columns, None)?;
            let of_column = |column: &[f64]| repeats.variances(column, parameters.estimate);
            variances.extend(block.par_chunks_exact(height).map(of_column).collect::<Vec<Variances>>());
            context.progress(Progress { done, total, unit: "responses".into(), note: String::new() });
        }
        let mut notes = Vec::new();
        if repeats.once > 0 {
            notes.push(format!("{} stimuli were shown once and are left out", repeats.once));
        }
        let below = variances.iter().filter(|one| one.signal < 0.0).count();
        if below > 0 {
            let mark = if real(below) > 0.5 * real(width) { IMPORTANT } else { "" };
            notes.push(format!(
                "{mark}{below} of {width} responses have an estimate of signal below 0: their ceiling is 0"
            ));
        }
        let some = |value: f64| value.is_finite().then_some(value);
        let mut table = DataTable::of(COLUMNS)
            .text("id", matrix.columns().ids().iter().map(String::as_str))
            .optional_numbers("ceiling", variances.iter().map(|one| some(one.ceiling(parameters.repeats))))
            .optional_numbers("signal", variances.iter().map(|one| some(one.signal)))
            .optional_numbers("noise", variances.iter().map(|one| some(one.noise)))
            .stamped(task.simulated)
            .build()?;
        data_table::write(task.output("table")?, &mut table)?;
        Ok(Ended::noted(notes))
    }
}

/// What is in the table.
const COLUMNS: &[Column] = &[
    Column::new("id", "the response: a voxel, vertex or neuron"),
    Column::measured(
        "ceiling",
        "share of variance",
        "the explainable share of the variance of the mean of repeats; empty without variance",
    ),
    Column::measured("signal", "squared responses", "variance between stimuli that is not noise; below 0 by chance"),
    Column::measured("noise", "squared responses", "variance between repeats of a stimulus"),
    STAMP,
];

/// The rows of stimuli that were shown several times.
struct Repeats {
    stimuli: Vec<Vec<usize>>,
    /// Those of all of them.
    rows: Vec<usize>,
    /// How many were shown once.
    once: usize,
}

/// Variances of a response to single presentations.
struct Variances {
    signal: f64,
    noise: f64,
}

impl Variances {
    /// NaN without any variance.
    fn ceiling(&self, repeats: f64) -> f64 {
        let signal = self.signal.max(0.0);
        signal / (signal + self.noise / repeats)
    }
}

impl Repeats {
    /// From the stimulus of every row.
    fn of(stimuli: &[String]) -> Result<Self, Failure> {
        let mut rows: std::collections::BTreeMap<&String, Vec<usize>> = std::collections::BTreeMap::new();
        for (row, stimulus) in stimuli.iter().enumerate() {
            rows.entry(stimulus).or_default().push(row);
        }
        let all = rows.len();
        let several: Vec<Vec<usize>> = rows.into_values().filter(|rows| rows.len() > 1).collect();
        if several.len() < 2 {
            let message = format!("{} of {all} stimuli were shown more than once, expected at least 2", several.len());
            return Err(Failure::input(message)
                .hint("noise is what differs between repeats: give single presentations, not their means"));
        }
        Ok(Self { once: all - several.len(), rows: several.concat(), stimuli: several })
    }

    fn variances(&self, column: &[f64], estimate: Estimate) -> Variances {
        // About the first value, so that a constant response has variances of exactly 0, whatever its value is.
        let value = |row: &usize| column[*row] - column[self.rows[0]];
        let mean = |rows: &[usize]| rows.iter().map(value).sum::<f64>() / real(rows.len());
        let squares = |rows: &[usize], about: f64| rows.iter().map(|row| (value(row) - about).powi(2)).sum::<f64>();
        let (count, stimuli, grand) = (real(self.rows.len()), real(self.stimuli.len()), mean(&self.rows));
        match estimate {
            Estimate::Anova => {
                let within = self.stimuli.iter().map(|rows| squares(rows, mean(rows))).sum::<f64>();
                let between =
                    self.stimuli.iter().map(|rows| real(rows.len()) * (mean(rows) - grand).powi(2)).sum::<f64>();
                let noise = within / (count - stimuli);
                // The number of repeats that makes the estimate right where stimuli differ.
                let size = self.stimuli.iter().map(|rows| real(rows.len()).powi(2)).sum::<f64>();
                let repeats = (count - size / count) / (stimuli - 1.0);
                Variances { signal: (between / (stimuli - 1.0) - noise) / repeats, noise }
            }
            Estimate::Nsd => {
                let of = |rows: &Vec<usize>| squares(rows, mean(rows)) / (real(rows.len()) - 1.0);
                let noise = self.stimuli.iter().map(of).sum::<f64>() / stimuli;
                Variances { signal: squares(&self.rows, grand) / (count - 1.0) - noise, noise }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::matrix::{MatrixAbout, MatrixAxis, MatrixWriter};
    use crate::formats::npy_file::FloatType;
    use crate::test_support::tasks;
    use pipe_contract::Value;

    fn repeats(stimuli: &[&str]) -> Repeats {
        Repeats::of(&stimuli.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn variances_by_hand() {
        let rows = ["a", "b", "once", "a", "b", "a"];
        let column = [1.0, 6.0, 100.0, 2.0, 4.0, 3.0];
        let repeats = repeats(&rows);
        assert_eq!(repeats.once, 1);
        // Means 2 and 5, grand mean 3.2; within 2 + 2, between 3 * 1.44 + 2 * 3.24; 5 - 13 / 5 = 2.4 repeats.
        let anova = repeats.variances(&column, Estimate::Anova);
        assert!((anova.noise - 4.0 / 3.0).abs() < 1e-14);
        assert!((anova.signal - (10.8 - 4.0 / 3.0) / 2.4).abs() < 1e-14);
        // Variances 1 and 2; of all: (4.84 + 1.44 + 0.04 + 7.84 + 0.64) / 4.
        let nsd = repeats.variances(&column, Estimate::Nsd);
        assert!((nsd.noise - 1.5).abs() < 1e-14 && (nsd.signal - (14.8 / 4.0 - 1.5)).abs() < 1e-14);
        assert!((nsd.ceiling(3.0) - 2.2 / (2.2 + 0.5)).abs() < 1e-14);
        assert_eq!(Variances { signal: -0.5, noise: 1.0 }.ceiling(3.0), 0.0);
        assert!(Variances { signal: 0.0, noise: 0.0 }.ceiling(3.0).is_nan());
    }

    /// Responses with a signal of variance 2 and a noise of variance 3.
    #[test]
    fn a_known_ceiling_comes_back() {
        use rand_core::{Rng as _, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let mut uniform =
            |variance: f64| (f64::from(random.next_u32()) / f64::from(u32::MAX) - 0.5) * (12.0 * variance).sqrt();
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..6000).map(|row| format!("s{}", row % 2000)).collect();
        let signal: Vec<f64> = (0..2000).map(|_| uniform(2.0)).collect();
        let values: Vec<f64> = (0..6000).map(|row| signal[row % 2000] + uniform(3.0)).collect();
        let rows = DataTable::new().text("id", (0..6000).map(|row| format!("t{row}"))).text("image", names);
        let rows = MatrixAxis::new(rows.build().unwrap()).unwrap();
        let columns = MatrixAxis::of_ids(["v1", "flat"]).unwrap();
        let given = folder.path().join("given");
        let writer = MatrixWriter::create(&given, &rows, &columns, &MatrixAbout::default(), FloatType::F64).unwrap();
        writer.columns(0, &[values, vec![0.1; 6000]].concat()).unwrap();
        let mut task = tasks::task(&NoiseCeiling, folder.path());
        tasks::give(&mut task, "responses", &given);
        tasks::set(&mut task, "stimulus", Value::Text("image".into()));
        for (estimate, repeats, expected) in [("anova", 3.0, 2.0 / 3.0), ("nsd", 3.0, 2.0 / 3.0), ("anova", 1.0, 0.4)] {
            tasks::set(&mut task, "estimate", Value::Text(estimate.into()));
            tasks::set(&mut task, "repeats", Value::Float(repeats));
            tasks::run(&NoiseCeiling, &task).unwrap();
            let table = data_table::read(task.output("table").unwrap()).unwrap();
            let ceilings = data_table::maybe_numbers(&table, "ceiling").unwrap();
            assert!((ceilings[0].unwrap() - expected).abs() < 0.02, "{estimate}: {ceilings:?}");
            assert_eq!(ceilings[1], None);
        }
        tasks::set(&mut task, "stimulus", Value::Text("id".into()));
        let failure = tasks::run(&NoiseCeiling, &task).unwrap_err();
        assert_eq!(failure.message, "0 of 6000 stimuli were shown more than once, expected at least 2");
    }
}
