//! `grid/collect`: trainings of our own as the table of a grid search, the same as that of the authors' archive.
//!
//! Reads what `unet/train` leaves beside the weights: its table of epochs, its options and its plan. Trainings that
//! agree in all factors are iterations of one cell. Does not depend on how axes are called: a training is what its
//! files say. Only one that diverged has no files: its coordinates say which cell it is, on axes that are called like the
//! factors.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use pipe_contract::{
    Cell, Context, Coordinates, Ended, Failure, IMPORTANT, Kind, Presence, StageKind, Task, parameters,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cell_table::{self, FoundCell, counted, first};
use super::factors::{CellFactors, Factors};
use crate::formats::data_table;
use crate::formats::epoch_table::DIVERGED;

/// The kind.
pub(super) struct CollectTrainings;

parameters! {
    struct Parameters {
        /// trainings of a cell, each from fresh weights
        until: usize = 2, in 1..=1_000;
        /// raters who may have labelled one subject: validation samples divided by them are subjects, which rules of
        /// release count
        raters: usize = 4, in 1..=1_000;
        /// as the original's reader: only epochs whose loss was the least so far count; else the validation Dice loss
        /// of any epoch
        starred: bool = false;
        ..grid: Factors;
    }
}

impl StageKind for CollectTrainings {
    fn kind(&self) -> Kind {
        let kind = Kind::new("grid/collect", 2, "The cells of a grid search from trained networks, a row a cell.")
            .gather(
                "epochs",
                &[],
                "The tables of epochs of all trainings: `$train(*).model/epochs.tsv`. One that is absent because its training \
                 diverged counts in the cell of its coordinates, on axes called like the factors.",
            )
            .gather("options", &[], "The options of the same trainings: `$train(*).model/options.json`.")
            .gather("plans", &[], "The plans of the same trainings: `$train(*).model/plan.json`.")
            .folder("table", "table/grid", "Factors and validation Dice losses of every cell of the grid.")
            .described(data_table::FILES, cell_table::COLUMNS)
            .aggregating()
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { until, raters, starred, grid } = task.parameters()?;
        grid.check()?;
        let (options, plans) = (by_coordinates(task, "options"), by_coordinates(task, "plans"));
        let mut cells: BTreeMap<usize, CollectedCell> = BTreeMap::new();
        for (at, epochs) in task.present("epochs") {
            let other = |files: &BTreeMap<&Coordinates, &Path>, port: &str| {
                files.get(at).map(|path| path.to_path_buf()).ok_or_else(|| {
                    Failure::input(format!("port `epochs` has a training at [{at}], and port `{port}` has none there"))
                        .hint("the three ports gather files of the same trainings")
                })
            };
            let training = Training::read(epochs, &other(&options, "options")?, &other(&plans, "plans")?, starred)?;
            let number = grid.number(&training.factors).map_err(|message| {
                Failure::input(message)
                    .at(format!("the training at [{at}]"))
                    .hint("give the levels of the grid that was searched: the parameters named like the factors")
            })?;
            cells.entry(number).or_insert_with(|| CollectedCell::new(at)).add(&training, raters);
        }
        let mut unplaced = Vec::new();
        for at in diverged(task) {
            match grid.number_at(at) {
                Some(number) => cells.entry(number).or_insert_with(|| CollectedCell::new(at)).diverged += 1,
                None => unplaced.push(format!("[{at}]")),
            }
        }
        if let Some((number, cell)) = cells.iter().find(|(_, cell)| cell.trainings + cell.diverged > until) {
            let (trainings, place) = (cell.trainings + cell.diverged, &cell.place);
            return Err(Failure::input(format!(
                "cell {number} has {trainings} trainings, expected {until} (one is at [{place}])"
            ))
            .hint("set `until` to the number of restarts, or leave out what was trained twice"));
        }
        let found = |(number, cell): (usize, CollectedCell)| Some(cell.found(grid.cell(number)?, until));
        let found = cells.into_iter().filter_map(found).collect();
        let (rows, mut notes) = cell_table::rows(&grid, found)?;
        if !unplaced.is_empty() {
            notes.push(format!(
                "{IMPORTANT}the cell of {} that diverged is not known, because axes are not called like the factors: {}",
                counted(unplaced.len(), "training"),
                first(&unplaced)
            ));
        }
        notes.extend(task.absences("epochs"));
        notes.iter().for_each(|note| context.log(note));
        cell_table::write(task.output("table")?, &rows, task.simulated)?;
        Ok(Ended::noted(notes).aggregating("table", cell_table::fewest_subjects(&rows)))
    }
}

/// A cell as its trainings are found.
struct CollectedCell {
    /// Coordinates of its first training.
    place: String,
    trainings: usize,
    /// Trainings that are absent, because they diverged.
    diverged: usize,
    losses: Vec<f64>,
    is_whole: bool,
    /// The fewest behind a loss, of the trainings that are there.
    subjects: Option<usize>,
}

impl CollectedCell {
    fn new(at: &Coordinates) -> Self {
        let place = at.to_string();
        Self { place, trainings: 0, diverged: 0, losses: Vec::new(), is_whole: true, subjects: None }
    }

    fn add(&mut self, training: &Training, raters: usize) {
        self.trainings += 1;
        self.losses.extend(training.dice);
        self.is_whole &= training.is_whole;
        let subjects = training.validation_samples.div_ceil(raters);
        self.subjects = Some(self.subjects.map_or(subjects, |fewest| fewest.min(subjects)));
    }

    fn found(self, factors: CellFactors, until: usize) -> FoundCell {
        let Self { place, diverged, losses, is_whole, subjects, .. } = self;
        FoundCell { place, factors, until, losses, diverged, is_whole, subjects: subjects.unwrap_or(0) }
    }
}

/// Where trainings are absent because they diverged.
fn diverged(task: &Task) -> impl Iterator<Item = &Coordinates> {
    let has_diverged = |cell: &&Cell| matches!(&cell.artifact, Presence::Absent(cause) if cause == DIVERGED);
    task.many("epochs").iter().filter(has_diverged).map(|cell| &cell.at)
}

fn by_coordinates<'a>(task: &'a Task, port: &str) -> BTreeMap<&'a Coordinates, &'a Path> {
    task.present(port).collect()
}

/// What is read of a training's `options.json`.
#[derive(Deserialize)]
struct TrainedOptions {
    inputs: String,
    prediction: String,
    base_model: String,
    validation_samples: Option<usize>,
}

/// What is read of a round of a training's `plan.json`.
#[derive(Deserialize)]
struct TrainedRound {
    lr: f64,
    gamma: f64,
    bce_weight: f64,
    num_epochs: usize,
    batch_size: u32,
}

/// One training.
struct Training {
    factors: CellFactors,
    /// Its least validation Dice loss; none where no epoch counts.
    dice: Option<f64>,
    is_whole: bool,
    validation_samples: usize,
}

impl Training {
    fn read(epochs: &Path, options: &Path, plan: &Path, starred: bool) -> Result<Self, Failure> {
        let (about, rounds): (TrainedOptions, Vec<TrainedRound>) = (json(options)?, json(plan)?);
        let Some(first) = rounds.first() else {
            return Err(
                Failure::input("found a plan without rounds, expected at least one").at(plan.display().to_string())
            );
        };
        let losses = validation_losses(epochs)?;
        let planned: usize = rounds.iter().map(|round| round.num_epochs).sum();
        let counted = losses.iter().filter(|(_, improved)| *improved || !starred).map(|(dice, _)| *dice);
        Ok(Self {
            factors: CellFactors {
                base_model: about.base_model,
                lr: first.lr,
                gamma: first.gamma,
                bce_weight: first.bce_weight,
                batch_size: first.batch_size,
                inputs: about.inputs,
                prediction: about.prediction,
            },
            dice: counted.filter(|dice| !dice.is_nan()).reduce(f64::min),
            is_whole: losses.len() == planned,
            validation_samples: about.validation_samples.unwrap_or(0),
        })
    }
}

/// The validation Dice loss of every epoch, and whether its loss was the least of the round so far.
fn validation_losses(path: &Path) -> Result<Vec<(f64, bool)>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))?;
    let mut lines = text.lines().enumerate();
    let header: Vec<&str> = lines.next().map(|(_, line)| line.split('\t').collect()).unwrap_or_default();
    let unfit = |what: String, line: usize| {
        Failure::input(what)
            .at(format!("{}:{}", path.display(), line + 1))
            .hint("gather `$train(*).model/epochs.tsv` of `unet/train`")
    };
    let column = |name: &str| {
        header
            .iter()
            .position(|column| *column == name)
            .ok_or_else(|| unfit(format!("a table of epochs has no column `{name}`, it has {}", header.join(", ")), 0))
    };
    let (dice, improved) = (column("val_dice_loss")?, column("improved")?);
    lines
        .map(|(number, line)| {
            let cells: Vec<&str> = line.split('\t').collect();
            let value = cells.get(dice).and_then(|text| text.parse().ok());
            let value =
                value.ok_or_else(|| unfit(format!("found `{line}`, expected a number as `val_dice_loss`"), number))?;
            Ok((value, cells.get(improved) == Some(&"*")))
        })
        .collect()
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::input(format!("not a file of a trained network: {error}"))
            .at(path.display().to_string())
            .hint("gather `options.json` and `plan.json` of `$train(*).model` of `unet/train`")
    })
}

#[cfg(test)]
mod tests {
    use pipe_contract::{Given, Value};

    use super::*;
    use crate::grid::cell_table::{CellLosses, GridCellState, rounded};
    use crate::grid::factors::tests::published;
    use crate::grid::read_archive::ReadArchive;
    use crate::grid::simulated_archive::{cell_files, least, packed, write_training};
    use crate::test_support::tasks::{self, gather, give, set, task};

    /// The trainings of some cells, two each but for those that lack one.
    fn trainings(folder: &Path, numbers: impl Iterator<Item = usize>, lacking: &[(usize, usize)]) -> Task {
        let grid = published();
        let mut task = task(&CollectTrainings, folder);
        for number in numbers {
            for iteration in 0..2 {
                let model = folder.join(format!("trained/{number}/{iteration}"));
                write_training(&model, number, iteration, &grid.cell(number).unwrap());
                let there = !lacking.contains(&(number, iteration));
                let at = [("n", number.to_string()), ("restart", iteration.to_string())];
                let at: Vec<(&str, &str)> = at.iter().map(|(axis, value)| (*axis, value.as_str())).collect();
                for (port, file) in [("epochs", "epochs.tsv"), ("options", "options.json"), ("plans", "plan.json")] {
                    gather(&mut task, port, &at, there.then(|| model.join(file)).as_deref());
                }
            }
        }
        task
    }

    fn rows(task: &Task) -> (Vec<cell_table::CellRow>, Vec<String>) {
        let notes = tasks::run(&CollectTrainings, task).unwrap();
        (cell_table::read(task.output("table").unwrap()).unwrap(), notes)
    }

    #[test]
    fn trainings_of_1800_cells_are_collected() {
        let folder = tempfile::tempdir().unwrap();
        let task = trainings(folder.path(), (0..1800).filter(|number| *number != 900), &[(3, 1), (4, 0), (4, 1)]);
        let (rows, notes) = rows(&task);
        assert_eq!(rows.len(), 1800);
        for row in &rows {
            let dice = [0, 1].map(|iteration| f64::from(least(row.number, iteration, false)) / 1000.0);
            let (state, losses) = match row.number {
                900 | 4 => (GridCellState::Missing, None),
                3 => (GridCellState::Partial, CellLosses::of(&dice[..1])),
                _ => (GridCellState::Whole, CellLosses::of(&dice)),
            };
            assert_eq!(row.state, state, "cell {}", row.number);
            assert_eq!(
                row.losses.map(|found| rounded(found.min)),
                losses.map(|one| rounded(one.min)),
                "cell {}",
                row.number
            );
            assert_eq!(
                row.losses.map(|found| rounded(found.std)),
                losses.map(|one| rounded(one.std)),
                "cell {}",
                row.number
            );
        }
        assert_eq!(
            notes,
            [
                "important: 2 of 1800 cells are missing and have no loss: 4, 900",
                "important: 1 of 1800 cells has fewer iterations, rounds or epochs than asked for: 3",
                "3595 of 3598 `epochs` (3 not-found)",
            ]
        );
    }

    #[test]
    fn trainings_give_the_table_that_their_archive_gives() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let grid = published();
        let numbers = || (0..1800).step_by(31);
        let mut collect = trainings(ours.path(), numbers(), &[]);
        let files: Vec<_> = numbers().flat_map(|number| cell_files(number, &grid.cell(number).unwrap())).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let archive = theirs.path().join("file");
        fs::write(&archive, packed(&files, true)).unwrap();
        let mut read = task(&ReadArchive, theirs.path());
        give(&mut read, "archive", &archive);
        for starred in [false, true] {
            set(&mut collect, "starred", Value::Bool(starred));
            let rules = if starred { vec![Value::Text("starred".into())] } else { Vec::new() };
            set(&mut read, "compat", Value::List(rules));
            tasks::run(&ReadArchive, &read).unwrap();
            // 7 samples of at most 4 raters are 2 subjects, as many as the simulated archive has.
            assert_eq!(rows(&collect).0, cell_table::read(read.output("table").unwrap()).unwrap());
        }
    }

    #[test]
    fn absent_trainings_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let task = trainings(folder.path(), 0..5, &[(1, 0), (2, 0), (2, 1)]);
        let (rows, notes) = rows(&task);
        let states: Vec<_> = rows.iter().take(6).map(|row| (row.state, row.iterations)).collect();
        let (whole, missing) = ((GridCellState::Whole, 2), (GridCellState::Missing, 0));
        assert_eq!(states, [whole, (GridCellState::Partial, 1), missing, whole, whole, missing]);
        assert!(notes.contains(&"7 of 10 `epochs` (3 not-found)".to_owned()), "{notes:?}");
        assert_eq!(tasks::aggregated(&CollectTrainings, &task).unwrap()["table"], 2);
    }

    /// Adds a training that diverged, on axes called like the factors but for `gamma`, which has this name.
    fn diverge(task: &mut Task, number: usize, restart: &str, gamma_axis: &str) {
        let cell = published().cell(number).unwrap();
        let at = [
            ("base_model", cell.base_model),
            ("lr", cell.lr.to_string()),
            (gamma_axis, cell.gamma.to_string()),
            ("bce_weight", cell.bce_weight.to_string()),
            ("batch_size", cell.batch_size.to_string()),
            ("inputs", cell.inputs),
            ("prediction", cell.prediction),
            ("restart", restart.to_owned()),
        ];
        for port in ["epochs", "options", "plans"] {
            let Some(Given::Many(cells)) = task.inputs.get_mut(port) else { panic!("no port `{port}`") };
            let artifact = Presence::Absent(DIVERGED.into());
            cells.push(Cell { at: at.iter().cloned().collect(), artifact });
        }
    }

    /// A training that diverged has no files, so its cell is that of its coordinates.
    #[test]
    fn trainings_that_diverged_are_counted_in_their_cells() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = trainings(folder.path(), 0..3, &[]);
        for (number, restart) in [(7, "1"), (8, "1"), (8, "2")] {
            diverge(&mut task, number, restart, "gamma");
        }
        diverge(&mut task, 9, "1", "decay");
        let (rows, notes) = rows(&task);
        let known = [0, 7, 8, 9].map(|at: usize| (rows[at].state, rows[at].iterations, rows[at].diverged));
        let (whole, diverged) = (GridCellState::Whole, GridCellState::Diverged);
        assert_eq!(known, [(whole, 2, 0), (diverged, 0, 1), (diverged, 0, 2), (GridCellState::Missing, 0, 0)]);
        for said in [
            "important: 2 of 1800 cells diverged and have no loss: 7, 8",
            "important: the cell of 1 training that diverged is not known, because axes are not called like the factors: \
             [base_model=resnet34, batch_size=4, bce_weight=0.5, decay=0.8, inputs=full, lr=0.00844, prediction=area, restart=1]",
            "6 of 10 `epochs` (4 diverged)",
        ] {
            assert!(notes.contains(&said.to_owned()), "{notes:?}");
        }
        assert_eq!(
            tasks::aggregated(&CollectTrainings, &task).unwrap()["table"],
            2,
            "a cell without a loss has no subjects"
        );
        diverge(&mut task, 8, "3", "gamma");
        let failure = tasks::run(&CollectTrainings, &task).unwrap_err();
        assert!(failure.message.starts_with("cell 8 has 3 trainings, expected 2"), "{failure}");
    }

    #[test]
    fn more_trainings_than_asked_for_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = trainings(folder.path(), 7..8, &[]);
        set(&mut task, "until", Value::Int(1));
        let failure = tasks::run(&CollectTrainings, &task).unwrap_err();
        assert_eq!(failure.message, "cell 7 has 2 trainings, expected 1 (one is at [n=7, restart=0])");
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let failing = |file: &str, text: &str| {
            let task = trainings(folder.path(), 7..8, &[]);
            fs::write(folder.path().join("trained/7/1").join(file), text).unwrap();
            tasks::run(&CollectTrainings, &task).unwrap_err()
        };
        let failure = failing("epochs.tsv", "round\tepoch\n1\t1\n");
        assert!(
            failure.message.contains("no column `val_dice_loss`") && failure.place.unwrap().ends_with("epochs.tsv:1")
        );
        let failure = failing("epochs.tsv", "val_dice_loss\timproved\n0.5\t*\nx\t\n");
        assert!(failure.place.unwrap().ends_with("epochs.tsv:3"));
        assert!(failing("options.json", "{}").message.contains("missing field `inputs`"));
        assert!(failing("plan.json", "[]").message.contains("a plan without rounds"));
        let mut task = trainings(folder.path(), 7..8, &[]);
        task.inputs.remove("plans");
        assert!(tasks::run(&CollectTrainings, &task).unwrap_err().message.contains("port `plans` has none there"));
    }
}
