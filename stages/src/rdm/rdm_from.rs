//! `rdm/from`: RDMs of the patterns in a matrix, one for every group of columns.
//!
//! Decides what a pattern is: a row, or the mean of the rows of one entry; its numbers are the columns of a group, such as a feature space or
//! a layer. Columns are read in blocks, so that only sums over pairs and one block are in memory; distances in units of noise need the whole
//! of a group, which their covariance bounds ([`MOST_FEATURES`]). All permutations of entries come from `permutation_seed`
//! alone and are the same for all RDMs. An undefined dissimilarity (of a constant pattern, or of one with a missing number) is NaN and
//! reported, or refused. Linear CKA compares two representations, not two patterns: it is a dissimilarity of `rdm/meta`.

use std::ops::Range;

use pipe_contract::{
    Arity, Context, Ended, Failure, IMPORTANT, Kind, Progress, Repro, StageKind, Task, choice, parameters,
};
use polars::prelude::DataFrame;

use super::noise_distances::{self, Measurements, NoiseResiduals, RunNoise};
use super::row_groups::{RowGroup, beside, common, grouped};
use crate::formats::data_table::{self, DataTable};
use crate::formats::matrix::{ID, Matrix, MatrixAxis, SPACE};
use crate::formats::npy_file::{Float, FloatType};
use crate::formats::rdm_set::{DISSIMILARITY, PERMUTATION, RdmAbout, RdmSet, SCRAMBLE, scramble_text};
use crate::numeric::counts::real;
use crate::numeric::dissimilarity::{
    Dissimilarities, Dissimilarity, PatternSums, entry_permutation, pair_count, reordered,
};
use crate::numeric::linear_algebra::{MatrixView, Number};
use crate::numeric::noise_covariance::{MOST_FEATURES, NoiseCovariance, ShrinkageIntensity};
use crate::numeric::thread_pool::in_pool;

/// The kind.
pub(super) struct RdmFrom;

parameters! {
    struct Parameters {
        /// how patterns are compared; several make several RDMs of each group of columns
        dissimilarity: Vec<PatternDissimilarity> = vec![PatternDissimilarity::Correlation];
        /// columns of the matrix's table of columns: features with equal values there make one RDM; empty: all features make one
        by: Vec<String> = vec![SPACE.to_owned()];
        /// the column of the matrix's table of rows that names the entry; rows of one entry are averaged
        entry: String = ID.to_owned();
        /// the column of the table of rows, and of residuals, that names the run of a measurement; for `crossnobis` and `covariance: run`
        run: String = String::new();
        /// the noise that `mahalanobis` and `crossnobis` are in units of: `one` covariance of all residuals, one for every `run`
        /// (`crossnobis` only, averaged over the two runs of a pair), or `identity`: none, noise of variance 1
        covariance: NoiseModel = NoiseModel::One;
        /// how the covariance is shrunk towards its diagonal: `estimated` from the residuals (Ledoit and Wolf's idea, Schaefer and
        /// Strimmer's estimate), `given` by `intensity`, or `none`, which needs more residuals than features
        shrinkage: CovarianceShrinkage = CovarianceShrinkage::Estimated;
        /// the intensity of `shrinkage: given`: 0 not at all, 1 to the variances alone
        intensity: f64 = 0.0, in 0.0..=1.0;
        /// degrees of freedom of the residuals (of each run with `covariance: run`); 0: their number minus 1
        freedom: usize = 0;
        /// squared distances (and those of `euclidean` and `mahalanobis` before the root) are divided by the number of features
        per_feature: bool = false;
        /// RDMs of permuted entries, beside those of the entries as they are
        permutations: usize = 0, in 0..=1_000_000;
        /// the seed of these orders: with the same one, RDMs of other stages and of `net/rdms` have the same orders of as many entries
        permutation_seed: u64 = 0, in 0..=9_007_199_254_740_991;
        /// what happens where a dissimilarity is undefined: `keep` it as NaN and say so, or `refuse`
        undefined: Undefined = Undefined::Keep;
    }
}

choice! {
    /// How two patterns are compared.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum PatternDissimilarity {
        /// 1 minus Pearson's correlation.
        Correlation = "correlation",
        /// The distance.
        Euclidean = "euclidean",
        /// The squared distance.
        SquaredEuclidean = "squared_euclidean",
        /// 1 minus the cosine.
        Cosine = "cosine",
        /// The distance in standard deviations of the noise.
        Mahalanobis = "mahalanobis",
        /// The cross-validated squared distance in squared standard deviations of the noise.
        Crossnobis = "crossnobis",
    }
}

choice! {
    /// Which noise distances are in units of.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum NoiseModel {
        /// One covariance.
        One = "one",
        /// A covariance a run.
        Run = "run",
        /// None.
        Identity = "identity",
    }
}

choice! {
    /// How a covariance is shrunk.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum CovarianceShrinkage {
        /// As the residuals suggest.
        Estimated = "estimated",
        /// By a given intensity.
        Given = "given",
        /// Not at all.
        Off = "none",
    }
}

choice! {
    /// What happens to undefined dissimilarities.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Undefined {
        /// They are NaN.
        Keep = "keep",
        /// They are a failure.
        Refuse = "refuse",
    }
}

impl PatternDissimilarity {
    /// That of patterns alone; none for those that need noise.
    fn plain(self) -> Option<Dissimilarity> {
        match self {
            Self::Correlation => Some(Dissimilarity::Correlation),
            Self::Euclidean => Some(Dissimilarity::Euclidean),
            Self::SquaredEuclidean => Some(Dissimilarity::SquaredEuclidean),
            Self::Cosine => Some(Dissimilarity::Cosine),
            Self::Mahalanobis | Self::Crossnobis => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Mahalanobis => "mahalanobis",
            Self::Crossnobis => "crossnobis",
            other => other.plain().map_or("", Dissimilarity::word),
        }
    }

    /// The unit of the dissimilarities of numbers in this unit.
    fn unit(self, of_numbers: &str, covariance: NoiseModel, per_feature: bool) -> String {
        let of_noise = if covariance == NoiseModel::Identity { of_numbers } else { "sd of noise" };
        let squared = |unit: &str| {
            let unit = if unit.is_empty() { String::new() } else { format!("{unit}^2") };
            if per_feature { format!("{unit} per feature").trim().to_owned() } else { unit }
        };
        let root = |unit: &str| match (per_feature, unit) {
            (false, unit) => unit.to_owned(),
            (true, "") => ROOT_MEAN_SQUARE.to_owned(),
            (true, unit) => format!("{unit}, {ROOT_MEAN_SQUARE}"),
        };
        match self {
            Self::Correlation | Self::Cosine => String::new(),
            Self::Euclidean => root(of_numbers),
            Self::SquaredEuclidean => squared(of_numbers),
            Self::Mahalanobis => root(of_noise),
            Self::Crossnobis => squared(of_noise),
        }
    }
}

/// What a distance is that was divided by the root of the number of features.
const ROOT_MEAN_SQUARE: &str = "root mean square over features";
/// Numbers that are read at a time.
const MOST_AT_ONCE: usize = 1 << 22;
/// More numbers than this in all RDMs together are refused: 8 GB.
const MOST_NUMBERS: usize = 1 << 30;
/// More numbers than this are not held for distances in units of noise: 2 GB, and about twice that for means of runs.
const MOST_MEASURED: usize = 1 << 28;
/// So many RDMs are named in a message.
const NAMED: usize = 3;

impl StageKind for RdmFrom {
    fn kind(&self) -> Kind {
        let kind = Kind::new("rdm/from", 1, "RDMs of the patterns in a matrix, one for every group of columns")
            .input("matrix", &["matrix"], "patterns: rows are entries or measurements of entries, columns features")
            .port(
                "residuals",
                &["matrix"],
                Arity::One,
                true,
                "noise of the same features, joined by their ids; without it, rows minus the mean of their entry",
            )
            .folder("rdms", "rdms", "an RDM a group of columns, dissimilarity and permutation")
            .parameters::<Parameters>();
        Kind { repro: Repro::Within(1e-6), ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let matrix = Matrix::open(task.one("matrix")?)?;
        let source = PatternSource::open(task, &matrix, &parameters)?;
        source.check_size(&parameters)?;
        let (seed, entries) = (parameters.permutation_seed, source.entries.len());
        let permutations: Vec<Vec<usize>> =
            (0..=parameters.permutations).map(|number| entry_permutation(seed, number, entries)).collect();
        let mut collected = CollectedRdms::default();
        let mut notes = Vec::new();
        for (done, group) in source.groups.iter().enumerate() {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all RDMs were computed"));
            }
            let found = source.compare(group, &parameters, &mut notes);
            let found = found.map_err(|failure| match failure.place {
                Some(_) => failure,
                None => failure.at(format!("{}, `{}`", matrix.place(), group.name())),
            })?;
            for (dissimilarity, found) in parameters.dissimilarity.iter().zip(found) {
                collected.add(group, *dissimilarity, &found, &permutations, &source);
            }
            let (done, total) = (done as u64 + 1, source.groups.len() as u64);
            context.progress(Progress { done, total, unit: "groups".into(), note: group.name() });
        }
        notes.extend(collected.undefined(parameters.undefined, &matrix.place())?);
        notes.iter().for_each(|note| context.log(note));
        collected.set(&source, &parameters)?.write(task.output("rdms")?)?;
        Ok(Ended::noted(notes))
    }
}

/// Where patterns come from.
struct PatternSource<'a> {
    matrix: &'a Matrix,
    /// Columns that make one RDM.
    groups: Vec<RowGroup>,
    /// What all columns of each group have in common.
    common: DataFrame,
    entries: MatrixAxis,
    /// The rows of every entry.
    rows: Vec<Vec<usize>>,
    residuals: Option<Matrix>,
}

impl<'a> PatternSource<'a> {
    fn open(task: &Task, matrix: &'a Matrix, parameters: &Parameters) -> Result<Self, Failure> {
        let at = |failure: Failure| failure.at(matrix.place());
        check_dissimilarities(parameters)?;
        let table = matrix.columns().table();
        let groups = grouped(table, &parameters.by).map_err(|failure| {
            at(failure)
                .hint("`by` names columns of the matrix's table of columns; `by: []` makes one RDM of all features")
        })?;
        let without: Vec<&str> = INDEX_COLUMNS.to_vec();
        let common_columns = common(table, &groups, &without)?;
        let of_entries =
            grouped(matrix.rows().table(), std::slice::from_ref(&parameters.entry)).map_err(|failure| {
                at(failure).hint("`entry` names a column of the matrix's table of rows; `id`: every row is an entry")
            })?;
        if of_entries.len() < 2 {
            return Err(at(Failure::input(format!(
                "an RDM needs at least two entries, but `{}` has one value in all {} rows",
                parameters.entry,
                matrix.rows().len()
            ))));
        }
        let known = common(matrix.rows().table(), &of_entries, &[])?;
        let names = of_entries.iter().map(RowGroup::name).collect();
        let entries = MatrixAxis::new(beside(names, &known, DataFrame::empty())?).map_err(at)?;
        let residuals = task.maybe("residuals").map(Matrix::open).transpose()?;
        let rows = of_entries.into_iter().map(|entry| entry.rows).collect();
        Ok(Self { matrix, groups, common: common_columns, entries, rows, residuals })
    }

    fn check_size(&self, parameters: &Parameters) -> Result<(), Failure> {
        let rdms = [parameters.permutations + 1, parameters.dissimilarity.len(), self.groups.len()];
        let all = rdms.iter().try_fold(pair_count(self.entries.len()), |all, count| all.checked_mul(*count));
        match all.filter(|all| *all <= MOST_NUMBERS) {
            Some(_) => Ok(()),
            None => Err(Failure::input(format!(
                "{} RDMs of {} entries have more than {MOST_NUMBERS} numbers, which is the most of one set",
                rdms.iter().map(|count| real(*count)).product::<f64>(),
                self.entries.len()
            ))
            .hint("ask for fewer permutations or entries, or divide the groups of columns among several stages")),
        }
    }

    /// The dissimilarities of one group of columns, in the order of the parameter.
    fn compare(
        &self,
        group: &RowGroup,
        parameters: &Parameters,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Dissimilarities>, Failure> {
        let mut sums = match parameters.dissimilarity.iter().any(|of| of.plain().is_some()) {
            true => Some(in_pool(|| self.sums(&group.rows))?),
            false => None,
        };
        let noisy = parameters.dissimilarity.iter().any(|of| of.plain().is_none());
        let noise = if noisy { Some(in_pool(|| self.noise(group, parameters, notes))?) } else { None };
        let mut found = Vec::new();
        for of in &parameters.dissimilarity {
            found.push(match (of.plain(), &mut sums, &noise) {
                (Some(plain), Some(sums), _) => self.plain(sums, plain, parameters.per_feature),
                (None, _, Some((measured, noise))) => in_pool(|| self.noisy(*of, measured, noise, parameters))?,
                _ => return Err(Failure::internal("patterns were not read")),
            });
        }
        Ok(found)
    }

    fn plain(&self, sums: &mut PatternSums, of: Dissimilarity, per_feature: bool) -> Dissimilarities {
        let features = real(sums.features());
        let mut found = sums.dissimilarities(of);
        let divisor = match of {
            Dissimilarity::Euclidean if per_feature => features.sqrt(),
            Dissimilarity::SquaredEuclidean if per_feature => features,
            _ => 1.0,
        };
        found.triangle.iter_mut().for_each(|value| *value /= divisor);
        found
    }

    fn noisy(
        &self,
        of: PatternDissimilarity,
        measured: &Measurements,
        noise: &RunNoise,
        parameters: &Parameters,
    ) -> Result<Dissimilarities, Failure> {
        match (of, noise) {
            (PatternDissimilarity::Crossnobis, noise) => {
                noise_distances::crossnobis(measured, self.entries.ids(), noise, parameters.per_feature)
            }
            (_, RunNoise::Identity) => noise_distances::mahalanobis(measured, None, parameters.per_feature),
            (_, RunNoise::Shared(covariance)) => {
                noise_distances::mahalanobis(measured, Some(covariance), parameters.per_feature)
            }
            (_, RunNoise::OfRuns(_)) => Err(Failure::internal("Mahalanobis distances take one covariance")),
        }
    }

    /// Sums over the features of a group, read in blocks.
    fn sums(&self, columns: &[usize]) -> Result<PatternSums, Failure> {
        match self.matrix.float_type() {
            FloatType::F32 => self.sums_of::<f32>(columns),
            FloatType::F64 => self.sums_of::<f64>(columns),
        }
    }

    fn sums_of<T: Float + Number>(&self, columns: &[usize]) -> Result<PatternSums, Failure> {
        let n = self.entries.len();
        let mut sums = PatternSums::new(n);
        // Without repeated measurements, entries are rows in the order of the file.
        let averages = self.rows.iter().any(|rows| rows.len() > 1);
        let height = self.matrix.rows().len();
        let (mut bytes, mut numbers): (Vec<u8>, Vec<T>) = (Vec::new(), Vec::new());
        for range in ranges(columns, (MOST_AT_ONCE / height).max(1)) {
            let width = range.len();
            self.matrix.block_into(range, None, &mut bytes, &mut numbers)?;
            match averages {
                true => sums.add(MatrixView::new(&self.averaged(&numbers), n, width)),
                false => sums.add(MatrixView::new(&numbers, n, width)),
            }
        }
        Ok(sums)
    }

    /// The means of entries over their rows, column after column.
    fn averaged<T: Float>(&self, numbers: &[T]) -> Vec<f64> {
        let mean =
            |column: &[T], rows: &[usize]| rows.iter().map(|row| column[*row].wide()).sum::<f64>() / real(rows.len());
        let columns = numbers.chunks_exact(self.matrix.rows().len());
        columns.flat_map(|column| self.rows.iter().map(move |rows| mean(column, rows))).collect()
    }

    /// All measurements of the features of a group, and the noise of its distances.
    fn noise(
        &self,
        group: &RowGroup,
        parameters: &Parameters,
        notes: &mut Vec<String>,
    ) -> Result<(Measurements, RunNoise), Failure> {
        let features = group.rows.len();
        if parameters.covariance != NoiseModel::Identity && features > MOST_FEATURES {
            return Err(Failure::input(format!(
                "there are {features} features, expected at most {MOST_FEATURES} for a covariance of all pairs of them"
            ))
            .hint("reduce them before, as by `matrix/pca`; or leave noise out: `covariance: identity`"));
        }
        let numbers = features.saturating_mul(self.matrix.rows().len());
        if numbers > MOST_MEASURED {
            return Err(Failure::input(format!(
                "{numbers} measured numbers are too many for distances in units of noise, expected at most {MOST_MEASURED}"
            ))
            .hint("these distances need all features of a group in memory: reduce them before, as by `matrix/pca`"));
        }
        let measured = self.measurements(group, parameters)?;
        let residuals = match (&self.residuals, parameters.covariance) {
            (Some(residuals), NoiseModel::One | NoiseModel::Run) => Some(self.residuals(residuals, group, parameters)?),
            _ => None,
        };
        let shrinkage = match parameters.shrinkage {
            CovarianceShrinkage::Estimated => ShrinkageIntensity::Estimated,
            CovarianceShrinkage::Given => ShrinkageIntensity::Given(parameters.intensity),
            CovarianceShrinkage::Off => ShrinkageIntensity::Given(0.0),
        };
        let noise = match parameters.covariance {
            NoiseModel::Identity => RunNoise::Identity,
            NoiseModel::One => {
                let covariance = noise_distances::covariance_of_all(&measured, residuals.as_ref(), shrinkage)?;
                notes.push(shrunk(&group.name(), &[&covariance]));
                RunNoise::Shared(covariance)
            }
            NoiseModel::Run => {
                check_run_covariances(measured.runs.len(), features)?;
                let of_runs = noise_distances::covariances_of_runs(&measured, residuals.as_ref(), shrinkage)?;
                notes.push(shrunk(&group.name(), &of_runs.iter().collect::<Vec<_>>()));
                RunNoise::OfRuns(of_runs)
            }
        };
        Ok((measured, noise))
    }

    fn measurements(&self, group: &RowGroup, parameters: &Parameters) -> Result<Measurements, Failure> {
        let rows = self.matrix.rows();
        let mut entry_of = vec![0; rows.len()];
        for (entry, rows) in self.rows.iter().enumerate() {
            rows.iter().for_each(|row| entry_of[*row] = entry);
        }
        let (mut run_of, mut runs) = (vec![0; rows.len()], vec!["all".to_owned()]);
        if !parameters.run.is_empty() {
            let of_rows = grouped(rows.table(), std::slice::from_ref(&parameters.run));
            let of_rows = of_rows.map_err(|failure| failure.at(self.matrix.place()))?;
            for (run, group) in of_rows.iter().enumerate() {
                group.rows.iter().for_each(|row| run_of[*row] = run);
            }
            runs = of_rows.iter().map(RowGroup::name).collect();
        }
        let values = whole(self.matrix, &group.rows)?;
        Ok(Measurements { values, entry_of, entries: self.entries.len(), run_of, runs })
    }

    fn residuals(&self, from: &Matrix, group: &RowGroup, parameters: &Parameters) -> Result<NoiseResiduals, Failure> {
        let ids = self.matrix.columns().ids();
        let wanted = group.rows.iter().map(|column| &ids[*column]);
        let columns = from.columns().positions_of(wanted, "features of `matrix`");
        let columns = columns.map_err(|failure| failure.at(from.place()))?;
        let run_of = match parameters.covariance {
            NoiseModel::Run => data_table::words(from.rows().table(), &parameters.run).map_err(|failure| {
                failure.at(from.place()).hint("`run` names a column of the rows of residuals too: each has its run")
            })?,
            _ => vec![String::new(); from.rows().len()],
        };
        Ok(NoiseResiduals { values: whole(from, &columns)?, run_of, freedom: parameters.freedom })
    }
}

fn check_dissimilarities(parameters: &Parameters) -> Result<(), Failure> {
    let all = &parameters.dissimilarity;
    let twice = all.iter().enumerate().find(|(at, of)| all[..*at].contains(of));
    if all.is_empty() || twice.is_some() {
        let found = twice.map_or("there is none".to_owned(), |(_, of)| format!("`{}` is listed twice", of.word()));
        return Err(Failure::input(format!("{found} in `dissimilarity`, expected each of them once")));
    }
    let (run, crossnobis) = (parameters.run.as_str(), all.contains(&PatternDissimilarity::Crossnobis));
    if run.is_empty() && (crossnobis || parameters.covariance == NoiseModel::Run) {
        let what = if crossnobis { "`crossnobis`" } else { "`covariance: run`" };
        return Err(Failure::input(format!("{what} needs runs, but `run` is empty"))
            .hint("`run` names the column of the matrix's table of rows that says in which run a row was measured"));
    }
    if parameters.covariance == NoiseModel::Run && all.contains(&PatternDissimilarity::Mahalanobis) {
        return Err(Failure::input("`mahalanobis` compares means over runs, so it has no covariance of each run")
            .hint("take `covariance: one`, or `crossnobis` alone"));
    }
    Ok(())
}

/// Covariances of all runs are in memory at once, beside the mean of two and its factor.
fn check_run_covariances(runs: usize, features: usize) -> Result<(), Failure> {
    let (numbers, most) = (runs.saturating_mul(features).saturating_mul(features), MOST_FEATURES * MOST_FEATURES);
    match numbers <= most {
        true => Ok(()),
        false => Err(Failure::input(format!(
            "covariances of {features} features in each of {runs} runs have {numbers} numbers, expected at most {most}"
        ))
        .hint("take `covariance: one`, or reduce the features before, as by `matrix/pca`")),
    }
}

/// Ranges of consecutive columns of at most so many, in the order of the list.
fn ranges(columns: &[usize], most: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for column in columns {
        match ranges.last_mut() {
            Some(last) if last.end == *column && last.len() < most => last.end += 1,
            _ => ranges.push(*column..*column + 1),
        }
    }
    ranges
}

/// All rows of some columns, column after column.
fn whole(matrix: &Matrix, columns: &[usize]) -> Result<Vec<f64>, Failure> {
    let height = matrix.rows().len();
    let mut values = Vec::with_capacity(columns.len() * height);
    for range in ranges(columns, (MOST_AT_ONCE / height).max(1)) {
        values.extend(matrix.block::<f64>(range, None)?);
    }
    Ok(values)
}

fn shrunk(group: &str, covariances: &[&NoiseCovariance]) -> String {
    let intensities: Vec<String> = covariances.iter().map(|one| format!("{:.4}", one.intensity())).collect();
    format!("`{group}`: covariance shrunk to its diagonal by {}", intensities.join(", "))
}

/// Columns of an index that are written here.
const INDEX_COLUMNS: [&str; 5] = ["features", DISSIMILARITY, "unit", PERMUTATION, SCRAMBLE];

/// RDMs that are found one after the other.
#[derive(Default)]
struct CollectedRdms {
    ids: Vec<String>,
    values: Vec<f64>,
    diagonals: Vec<f64>,
    /// Where in the groups each comes from.
    groups: Vec<usize>,
    features: Vec<i64>,
    dissimilarities: Vec<PatternDissimilarity>,
    permutations: Vec<i64>,
    scrambles: Vec<String>,
    /// RDMs of entries as they are that have undefined pairs: which, how many.
    lacking: Vec<(String, usize)>,
}

impl CollectedRdms {
    fn add(
        &mut self,
        group: &RowGroup,
        of: PatternDissimilarity,
        found: &Dissimilarities,
        permutations: &[Vec<usize>],
        source: &PatternSource<'_>,
    ) {
        let n = source.entries.len();
        let place = source.groups.iter().position(|known| known.key == group.key).unwrap_or(0);
        let plain = format!("{}/{}", group.name(), of.word());
        let undefined = found.triangle.iter().filter(|value| value.is_nan()).count();
        if undefined > 0 {
            self.lacking.push((plain.clone(), undefined));
        }
        for (number, order) in permutations.iter().enumerate() {
            self.ids.push(if number == 0 { plain.clone() } else { format!("{plain}/{number}") });
            self.values.extend(reordered(&found.triangle, n, order));
            self.diagonals.extend(order.iter().map(|entry| found.diagonal[*entry]));
            self.groups.push(place);
            self.features.push(i64::try_from(group.rows.len()).unwrap_or(i64::MAX));
            self.dissimilarities.push(of);
            self.permutations.push(i64::try_from(number).unwrap_or(i64::MAX));
            self.scrambles.push(if number == 0 { String::new() } else { scramble_text(order) });
        }
    }

    /// What to say of undefined dissimilarities.
    fn undefined(&self, policy: Undefined, place: &str) -> Result<Option<String>, Failure> {
        if self.lacking.is_empty() {
            return Ok(None);
        }
        let named: Vec<String> =
            self.lacking.iter().take(NAMED).map(|(id, pairs)| format!("`{id}` ({pairs} pairs)")).collect();
        let more = if self.lacking.len() > NAMED { ", ..." } else { "" };
        let what = format!("dissimilarities are undefined in {} RDMs: {}{more}", self.lacking.len(), named.join(", "));
        match policy {
            Undefined::Keep => Ok(Some(format!("{IMPORTANT}{what}; they are NaN"))),
            Undefined::Refuse => Err(Failure::input(what).at(place).hint(
                "a pattern is constant (`correlation`), all zeros (`cosine`), or has a missing number; `undefined: keep` keeps NaN",
            )),
        }
    }

    fn set(self, source: &PatternSource<'_>, parameters: &Parameters) -> Result<RdmSet, Failure> {
        let matrix = source.matrix.about();
        let unit = |of: PatternDissimilarity| of.unit(&matrix.unit, parameters.covariance, parameters.per_feature);
        let units: Vec<String> = self.dissimilarities.iter().map(|of| unit(*of)).collect();
        let common_unit = units.first().filter(|first| units.iter().all(|unit| unit == *first)).cloned();
        let words: Vec<&str> = parameters.dissimilarity.iter().map(|of| of.word()).collect();
        let more = DataTable::new()
            .integers("features", self.features)
            .text(DISSIMILARITY, self.dissimilarities.iter().map(|of| of.word()))
            .text("unit", units)
            .integers(PERMUTATION, self.permutations)
            .text(SCRAMBLE, self.scrambles)
            .build()?;
        let known = data_table::rows(&source.common, &self.groups)?;
        let index = MatrixAxis::new(beside(self.ids, &known, more)?)?;
        let about = RdmAbout {
            entries: matrix.rows.clone(),
            order: 1,
            unit: common_unit.unwrap_or_default(),
            history: matrix.history.clone(),
        };
        let about = about.then(format!("compared by {}", words.join(", ")));
        RdmSet::new(index, source.entries.clone(), self.values, Some(self.diagonals), about)
    }
}
