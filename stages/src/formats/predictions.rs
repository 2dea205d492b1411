//! Observed and predicted responses to the stimuli that models are scored on: the artifact `predictions`.
//!
//! A folder: `observed.npy` (responses by stimuli) and `predicted.npy` (models by responses by stimuli), both with the stimuli of a
//! response one after the other; `models.parquet` (model, spaces), `rows.parquet` (the stimuli: id, fold), `columns.parquet` (the
//! responses, as in the matrix they come from). Predictions have the mean that the model gives them. `contributions.npy` is there if
//! the models tell how much each space contributes (spaces by responses by stimuli): those of the model with all spaces, without the mean.
//! Decides this form. Scores, permutation tests and partitions are made of it without fitting again.

use std::ops::Range;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::Failure;

use super::data_table::{self, DataTable};
use super::matrix::{COLUMNS, ID, MatrixAxis, ROWS};
use super::npy_file::{Float, FloatType, NpyFile, NpyWriter};

const OBSERVED: &str = "observed.npy";
const PREDICTED: &str = "predicted.npy";
const CONTRIBUTIONS: &str = "contributions.npy";
const MODELS: &str = "models.parquet";

/// What joins the names of spaces in the name of a model.
pub const JOINED_BY: &str = "+";

/// A model: a set of feature spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its spaces, in written order; at least one.
    pub spaces: Vec<String>,
}

impl Model {
    /// Its name: its spaces, joined by `+`.
    pub fn name(&self) -> String {
        self.spaces.join(JOINED_BY)
    }
}

/// Predictions that are read in blocks of responses.
#[derive(Debug)]
pub struct Predictions {
    folder: PathBuf,
    models: Vec<Model>,
    stimuli: MatrixAxis,
    responses: MatrixAxis,
    observed: NpyFile,
    predicted: NpyFile,
    contributions: Option<NpyFile>,
}

impl Predictions {
    /// Opens predictions and checks that their files fit together.
    ///
    /// # Errors
    /// Input: a file is missing or damaged, or the shapes differ.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let place = folder.display().to_string();
        let axis = |file: &str| {
            let path = folder.join(file);
            MatrixAxis::new(data_table::read_parquet(&path)?).map_err(|failure| failure.at(path.display().to_string()))
        };
        let (stimuli, responses) = (axis(ROWS)?, axis(COLUMNS)?);
        let spaces = data_table::texts(&data_table::read_parquet(&folder.join(MODELS))?, "spaces");
        let model = |spaces: String| Model { spaces: spaces.split(JOINED_BY).map(String::from).collect() };
        let models: Vec<Model> = spaces.map_err(|failure| failure.at(&place))?.into_iter().map(model).collect();
        let observed = NpyFile::open(&folder.join(OBSERVED))?;
        let predicted = NpyFile::open(&folder.join(PREDICTED))?;
        let path = folder.join(CONTRIBUTIONS);
        let contributions = if path.is_file() { Some(NpyFile::open(&path)?) } else { None };
        let (width, height) = (responses.len(), stimuli.len());
        let spaces = models.iter().map(|model| model.spaces.len()).max().unwrap_or(0);
        let mut expected = vec![
            (OBSERVED, &observed, vec![width, height]),
            (PREDICTED, &predicted, vec![models.len(), width, height]),
        ];
        expected.extend(contributions.iter().map(|file| (CONTRIBUTIONS, file, vec![spaces, width, height])));
        for (name, file, shape) in expected {
            if file.shape() != shape || file.by_column() {
                return Err(Failure::input(format!(
                    "`{name}` has the shape {:?}, expected {shape:?} (last axis fastest)",
                    file.shape()
                ))
                .at(place));
            }
        }
        Ok(Self { folder: folder.to_path_buf(), models, stimuli, responses, observed, predicted, contributions })
    }

    /// Where they lie, for messages.
    pub fn place(&self) -> String {
        self.folder.display().to_string()
    }

    /// The models, in order.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The stimuli, with a column `fold`.
    pub fn stimuli(&self) -> &MatrixAxis {
        &self.stimuli
    }

    /// The responses.
    pub fn responses(&self) -> &MatrixAxis {
        &self.responses
    }

    /// The observed responses of a block, those of one response after those of another.
    ///
    /// # Errors
    /// Environment: they cannot be read.
    pub fn observed<T: Float>(&self, responses: Range<usize>) -> Result<Vec<T>, Failure> {
        let height = self.stimuli.len();
        self.observed.read(responses.start * height, responses.len() * height)
    }

    /// What a model predicts of a block, likewise.
    ///
    /// # Errors
    /// Environment: they cannot be read.
    pub fn predicted<T: Float>(&self, model: usize, responses: Range<usize>) -> Result<Vec<T>, Failure> {
        self.part(&self.predicted, model, responses)
    }

    /// What a space (in the order of the model with all spaces) contributes to the predictions of that model, likewise; `None` if
    /// the models do not tell.
    ///
    /// # Errors
    /// Environment: they cannot be read.
    pub fn contributed<T: Float>(&self, space: usize, responses: Range<usize>) -> Result<Option<Vec<T>>, Failure> {
        self.contributions.as_ref().map(|file| self.part(file, space, responses)).transpose()
    }

    fn part<T: Float>(&self, file: &NpyFile, first: usize, responses: Range<usize>) -> Result<Vec<T>, Failure> {
        let (width, height) = (self.responses.len(), self.stimuli.len());
        file.read((first * width + responses.start) * height, responses.len() * height)
    }
}

/// Predictions that are written in blocks of responses.
#[derive(Debug)]
pub struct PredictionsWriter {
    width: usize,
    height: usize,
    observed: NpyWriter,
    predicted: NpyWriter,
    contributions: Option<NpyWriter>,
}

impl PredictionsWriter {
    /// Makes the folder. `stimuli` are id and fold of every stimulus that is scored, `responses` the axis of the responses.
    ///
    /// # Errors
    /// Environment: a file cannot be written. Input: a stimulus is listed twice.
    pub fn create(
        folder: &Path,
        models: &[Model],
        stimuli: &[(String, usize)],
        responses: &MatrixAxis,
        float_type: FloatType,
        contributions: bool,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
        let fold = |(_, fold): &(String, usize)| i64::try_from(*fold).unwrap_or(i64::MAX);
        let rows = DataTable::new().text(ID, stimuli.iter().map(|(id, _)| id.as_str()));
        let rows = MatrixAxis::new(rows.integers("fold", stimuli.iter().map(fold)).build()?)?;
        let names: Vec<String> = models.iter().map(Model::name).collect();
        let mut models_table = DataTable::new().text("model", names.clone()).text("spaces", names).build()?;
        data_table::write_parquet(&folder.join(ROWS), &mut rows.table().clone())?;
        data_table::write_parquet(&folder.join(COLUMNS), &mut responses.table().clone())?;
        data_table::write_parquet(&folder.join(MODELS), &mut models_table)?;
        let (width, height) = (responses.len(), stimuli.len());
        let spaces = models.iter().map(|model| model.spaces.len()).max().unwrap_or(0);
        let file = |name: &str, shape: &[usize]| NpyWriter::create(&folder.join(name), shape, false, float_type);
        Ok(Self {
            width,
            height,
            observed: file(OBSERVED, &[width, height])?,
            predicted: file(PREDICTED, &[models.len(), width, height])?,
            contributions: contributions.then(|| file(CONTRIBUTIONS, &[spaces, width, height])).transpose()?,
        })
    }

    /// The observed responses of a block from the `first` response on, those of one response after those of another.
    ///
    /// # Errors
    /// Environment: they cannot be written.
    pub fn observed<T: Float>(&self, first: usize, values: &[T]) -> Result<(), Failure> {
        self.part(0..self.height).observed(first, values)
    }

    /// What a model predicts of a block, likewise.
    ///
    /// # Errors
    /// Environment: they cannot be written.
    pub fn predicted<T: Float>(&self, model: usize, first: usize, values: &[T]) -> Result<(), Failure> {
        self.part(0..self.height).predicted(model, first, values)
    }

    /// What a space contributes to a block, likewise.
    ///
    /// # Errors
    /// Environment: they cannot be written. Internal: contributions were not announced.
    pub fn contributed<T: Float>(&self, space: usize, first: usize, values: &[T]) -> Result<(), Failure> {
        self.part(0..self.height).contributed(space, first, values)
    }

    /// Writes some of the stimuli only, as those of one fold.
    pub fn part(&self, stimuli: Range<usize>) -> PredictionsPart<'_> {
        PredictionsPart { whole: self, stimuli }
    }
}

/// Predictions of some of the stimuli, written in blocks of responses.
#[derive(Debug)]
pub struct PredictionsPart<'a> {
    whole: &'a PredictionsWriter,
    stimuli: Range<usize>,
}

impl PredictionsPart<'_> {
    /// As [`PredictionsWriter::observed`].
    ///
    /// # Errors
    /// Likewise.
    pub fn observed<T: Float>(&self, first: usize, values: &[T]) -> Result<(), Failure> {
        self.write(&self.whole.observed, first, values)
    }

    /// As [`PredictionsWriter::predicted`].
    ///
    /// # Errors
    /// Likewise.
    pub fn predicted<T: Float>(&self, model: usize, first: usize, values: &[T]) -> Result<(), Failure> {
        self.write(&self.whole.predicted, model * self.whole.width + first, values)
    }

    /// As [`PredictionsWriter::contributed`].
    ///
    /// # Errors
    /// Likewise.
    pub fn contributed<T: Float>(&self, space: usize, first: usize, values: &[T]) -> Result<(), Failure> {
        let file = self.whole.contributions.as_ref();
        let file = file.ok_or_else(|| Failure::internal("contributions were not announced"))?;
        self.write(file, space * self.whole.width + first, values)
    }

    /// All stimuli of a block lie next to each other; of some of them, each response gets one request.
    fn write<T: Float>(&self, file: &NpyWriter, first: usize, values: &[T]) -> Result<(), Failure> {
        let height = self.whole.height;
        if self.stimuli == (0..height) {
            return file.write_at(first * height, values);
        }
        if self.stimuli.is_empty() || !values.len().is_multiple_of(self.stimuli.len()) || self.stimuli.end > height {
            let (found, stimuli) = (values.len(), &self.stimuli);
            return Err(Failure::internal(format!("{found} numbers are not of the stimuli {stimuli:?} of {height}")));
        }
        for (response, values) in values.chunks_exact(self.stimuli.len()).enumerate() {
            file.write_at((first + response) * height + self.stimuli.start, values)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let responses = MatrixAxis::of_ids(["v1", "v2", "v3"]).unwrap();
        let models = [vec!["A"], vec!["B"], vec!["A", "B"]];
        let models = models.map(|spaces| Model { spaces: spaces.into_iter().map(String::from).collect() });
        let stimuli = [("x".to_owned(), 0), ("y".to_owned(), 1)];
        let writer =
            PredictionsWriter::create(folder.path(), &models, &stimuli, &responses, FloatType::F64, true).unwrap();
        writer.observed(1, &[1.0_f64, 2.0, 3.0, 4.0]).unwrap();
        writer.predicted(2, 2, &[5.0_f64, 6.0]).unwrap();
        writer.contributed(1, 0, &[7.0_f64, 8.0]).unwrap();
        writer.part(1..2).predicted(0, 1, &[9.0_f64, 10.0]).unwrap();
        assert!(writer.part(1..3).predicted(0, 1, &[9.0_f64, 10.0]).is_err());
        let read = Predictions::open(folder.path()).unwrap();
        assert_eq!((read.models(), read.models()[2].name().as_str()), (models.as_slice(), "A+B"));
        assert_eq!(read.observed::<f64>(1..3).unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(read.predicted::<f32>(2, 2..3).unwrap(), [5.0, 6.0]);
        assert_eq!(read.predicted::<f64>(0, 0..3).unwrap(), [0.0, 0.0, 0.0, 9.0, 0.0, 10.0]);
        assert_eq!(read.contributed::<f64>(1, 0..1).unwrap().unwrap(), [7.0, 8.0]);
        assert_eq!(data_table::integers(read.stimuli().table(), "fold").unwrap(), [0, 1]);
        drop(NpyWriter::create(&folder.path().join(OBSERVED), &[2, 3], false, FloatType::F64).unwrap());
        let failure = Predictions::open(folder.path()).unwrap_err();
        assert_eq!(failure.message, "`observed.npy` has the shape [2, 3], expected [3, 2] (last axis fastest)");
    }
}
