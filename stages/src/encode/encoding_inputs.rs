//! What `encode/ridge` and `encode/banded` are given and write alike: the declaration of their inputs, how these are opened and checked
//! against each other, and the table of scores. Does not know how models are fitted.

use pipe_contract::{Arity, Failure, IMPORTANT, Kind, Task, Value};

use super::encoding_scores::{self, Ceilings, ChosenPenalties, Fitted};
use super::features::FeatureSources;
use super::models::Models;
use crate::formats::matrix::Matrix;
use crate::formats::predictions::Model;
use crate::formats::stimulus_split::StimulusSplit;

/// Declares the ports `features`, `responses`, `split` and `ceiling`.
pub(super) fn declare(kind: Kind) -> Kind {
    kind.gather(
        "features",
        &["matrix"],
        "matrices of features (stimuli by features, column `space`), joined by the ids of stimuli",
    )
    .input("responses", &["matrix"], "the responses (stimuli by voxels, vertices, neurons)")
    .input("split", &["split/stimuli"], "what is fitted on, chosen by and scored on")
    .port(
        "ceiling",
        &["table"],
        Arity::One,
        true,
        "columns `id` (every response) and `ceiling` (the share of its variance that any model could explain)",
    )
}

/// What is at these ports, and which models are asked for.
pub(super) struct EncodingInputs {
    pub sources: FeatureSources,
    pub responses: Matrix,
    pub split: StimulusSplit,
    pub ceilings: Ceilings,
    /// The names of the feature spaces, in order.
    pub spaces: Vec<String>,
    pub models: Models,
    /// The models with names.
    pub named: Vec<Model>,
    /// Where the model with all spaces is.
    pub full: Option<usize>,
}

impl EncodingInputs {
    /// Opens what a task is given. `models` is the parameter of that name; below `ceiling_floor` nothing is divided by a ceiling.
    ///
    /// # Errors
    /// Input: as [`FeatureSources::open`], [`Matrix::open`], [`StimulusSplit::read`], [`Ceilings::read`] and [`Models::of`].
    pub fn open(task: &Task, models: &Value, ceiling_floor: f64) -> Result<Self, Failure> {
        let sources = FeatureSources::open(task)?;
        let responses = Matrix::open(task.one("responses")?)?;
        let split = StimulusSplit::read(task.one("split")?)?;
        let ceilings = Ceilings::read(task.maybe("ceiling"), responses.columns(), ceiling_floor)?;
        let spaces = sources.names();
        let models = Models::of(models, &spaces)?;
        let (named, full) = (models.named(&spaces), models.full(spaces.len()));
        Ok(Self { sources, responses, split, ceilings, spaces, models, named, full })
    }

    /// The test stimuli of all folds, each with its fold.
    pub fn tested(&self) -> Vec<(String, usize)> {
        let folds = self.split.folds.iter().enumerate();
        folds.flat_map(|(at, fold)| fold.test.iter().map(move |id| (id.clone(), at))).collect()
    }

    /// What is worth a note before anything is fitted: many models, features that are absent.
    pub fn notes(&self, task: &Task) -> Vec<String> {
        self.models.note.iter().cloned().chain(task.absences("features")).collect()
    }

    /// Writes the table `scores`, `fitted` by model, then by response. Returns a note if some responses have no score.
    ///
    /// # Errors
    /// Environment: a file cannot be written.
    pub fn write_scores(
        &self,
        task: &Task,
        fitted: &[Vec<Fitted>],
        penalties: &ChosenPenalties<'_>,
    ) -> Result<Option<String>, Failure> {
        let of_spaces = self.sources.widths();
        let width = |set: &Vec<usize>| set.iter().map(|space| of_spaces[*space]).sum();
        let widths: Vec<usize> = self.models.sets.iter().map(width).collect();
        let rows = encoding_scores::Rows { models: &self.named, widths: &widths, fitted };
        let folder = task.output("scores")?;
        encoding_scores::write(folder, self.responses.columns(), &rows, penalties, &self.ceilings, task.simulated)?;
        let constant = fitted[0].iter().filter(|row| row.agreement.r2().is_none()).count();
        let all = fitted[0].len();
        Ok((constant > 0).then(|| {
            format!("{IMPORTANT}{constant} of {all} responses are constant on the test rows and have no score")
        }))
    }
}
