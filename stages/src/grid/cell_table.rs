//! The table of a grid search: a row a cell, in the order of their numbers, whatever the cells were read from.
//!
//! Decides the columns (the names of the original's data frame, and what it leaves out: whether a cell is there), how
//! the iterations of a cell become five numbers, and that a cell that is missing or there twice has a row without a
//! loss.

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::{Column, Failure, IMPORTANT};
use polars::prelude::DataFrame;

use super::factors::{CellFactors, Factors};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::numeric::statistics::Spread;

/// Soft Dice loss as the unit of columns.
pub const DICE_LOSS: &str = "soft Dice loss, 0 to 1";

/// What can be said of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridCellState {
    /// All that was asked for is there.
    Whole,
    /// Some of it is not: iterations, rounds or epochs.
    Partial,
    /// There, but no epoch counts.
    WithoutLoss,
    /// All its iterations diverged.
    Diverged,
    /// Not there.
    Missing,
    /// There more than once.
    Doubled,
}

impl GridCellState {
    const ALL: [Self; 6] =
        [Self::Whole, Self::Partial, Self::WithoutLoss, Self::Diverged, Self::Missing, Self::Doubled];

    /// The word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Partial => "partial",
            Self::WithoutLoss => "without-loss",
            Self::Diverged => "diverged",
            Self::Missing => "missing",
            Self::Doubled => "doubled",
        }
    }
}

// Columns that the table of the best cells has too.
pub(super) const BASE_MODEL: Column = Column::new("base_model", "the encoder, `resnet18` or `resnet34`");
pub(super) const LR: Column = Column::measured("lr", "per step", "learning rate of the first epoch");
pub(super) const GAMMA: Column =
    Column::measured("gamma", "factor", "factor on the learning rate after each epoch of a round");
pub(super) const BCE_WEIGHT: Column =
    Column::measured("bce_weight", "share, 0 to 1", "share of cross-entropy in the loss of the first round");
pub(super) const BATCH_SIZE: Column = Column::new("batch_size", "samples in a batch");
pub(super) const INPUTS: Column = Column::new("inputs", "the input code of the networks");
pub(super) const ITERATIONS: Column = Column::new("iterations", "iterations behind the losses");
pub(super) const LOSS_MIN: Column =
    Column::measured("loss_min", DICE_LOSS, "least validation Dice loss of all iterations; less is better");
pub(super) const LOSS_MEAN: Column =
    Column::measured("loss_mean", DICE_LOSS, "mean over iterations of their least validation Dice losses");
pub(super) const LOSS_STD: Column =
    Column::measured("loss_std", DICE_LOSS, "population standard deviation over iterations");
pub(super) const PREDICTION: Column = Column::new("prediction", "what the networks label")
    .levels(&[("area", "visual areas V1, V2 and V3"), ("ring", "five rings of eccentricity")]);

pub(super) const STATE: Column = Column::new("state", "what there is of the cell").levels(&[
    ("whole", "all iterations, rounds and epochs"),
    ("partial", "fewer iterations, rounds or epochs than asked for; the losses are of what is there"),
    ("without-loss", "there, but no epoch that counts"),
    ("diverged", "there is no iteration but those that diverged"),
    ("missing", "not there"),
    ("doubled", "there more than once, so that neither counts"),
]);

/// The columns of the table.
pub const COLUMNS: &[Column] = &[
    Column::new("cell_id", "number of the cell: the mixed-radix number of the factors' levels, `base_model` fastest"),
    BASE_MODEL,
    LR,
    GAMMA,
    BCE_WEIGHT,
    BATCH_SIZE,
    INPUTS,
    PREDICTION,
    STATE,
    Column::new("until", "iterations that were asked for: independent trainings, each from fresh weights"),
    ITERATIONS,
    Column::new("diverged", "iterations that diverged: no validation loss of theirs is a finite number"),
    Column::new("val_subjects", "subjects over whom the losses are means, at least; 0 where that is not known"),
    LOSS_MIN,
    LOSS_MEAN,
    Column::measured("loss_median", DICE_LOSS, "median over iterations"),
    LOSS_STD,
    Column::measured("loss_max", DICE_LOSS, "largest of the iterations' least losses"),
    STAMP,
];

/// The five numbers of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellLosses {
    /// The least.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The median, of an even number the middle of two.
    pub median: f64,
    /// The population standard deviation.
    pub std: f64,
    /// The largest.
    pub max: f64,
}

impl CellLosses {
    /// Of the least losses of all iterations; `None` of none.
    pub fn of(iterations: &[f64]) -> Option<Self> {
        let spread = Spread::of(iterations)?;
        let mut sorted = iterations.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        Some(Self { min, mean: spread.mean, median: f64::midpoint(low, high), std: spread.sd, max })
    }
}

/// One cell as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundCell {
    /// Where, for notes: a folder, or coordinates.
    pub place: String,
    /// The values of its factors.
    pub factors: CellFactors,
    /// Iterations that were asked for.
    pub until: usize,
    /// The least Dice losses of its iterations, of those that have one.
    pub losses: Vec<f64>,
    /// Its iterations that diverged, so that they have no loss.
    pub diverged: usize,
    /// Whether all iterations, rounds and epochs are there.
    pub is_whole: bool,
    /// Subjects over whom the losses are means, as far as that is known.
    pub subjects: usize,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct CellRow {
    /// The cell's number.
    pub number: usize,
    /// The values of its factors.
    pub factors: CellFactors,
    /// What there is of it.
    pub state: GridCellState,
    /// Iterations that were asked for; 0 of a cell that does not count.
    pub until: usize,
    /// Iterations behind the losses.
    pub iterations: usize,
    /// Iterations that diverged.
    pub diverged: usize,
    /// Subjects over whom the losses are means, at least; 0 if that is not known.
    pub subjects: usize,
    /// The losses.
    pub losses: Option<CellLosses>,
}

/// The rows of all cells of the grid, and what is to be said about those without a loss.
///
/// # Errors
/// Input: levels that are not a grid, or a cell with a value that is not a level.
pub fn rows(grid: &Factors, found: Vec<FoundCell>) -> Result<(Vec<CellRow>, Vec<String>), Failure> {
    grid.check()?;
    let mut by_number: BTreeMap<usize, Vec<FoundCell>> = BTreeMap::new();
    for cell in found {
        let number = grid.number(&cell.factors).map_err(|message| {
            Failure::input(message)
                .at(cell.place.clone())
                .hint("give the levels of the grid that was searched: the parameters named like the factors")
        })?;
        by_number.entry(number).or_default().push(cell);
    }
    let doubled: Vec<String> = by_number
        .iter()
        .filter(|(_, cells)| cells.len() > 1)
        .map(|(number, cells)| {
            let places: Vec<&str> = cells.iter().map(|cell| cell.place.as_str()).collect();
            format!("{number} ({})", places.join(", "))
        })
        .collect();
    let rows: Vec<CellRow> = (0..grid.count())
        .filter_map(|number| Some(row(number, grid.cell(number)?, by_number.remove(&number).unwrap_or_default())))
        .collect();
    let notes = notes(&rows, &doubled);
    Ok((rows, notes))
}

fn row(number: usize, factors: CellFactors, mut cells: Vec<FoundCell>) -> CellRow {
    let state = GridCellState::Doubled;
    let empty = CellRow { number, factors, state, until: 0, iterations: 0, diverged: 0, subjects: 0, losses: None };
    let cell = match (cells.pop(), cells.is_empty()) {
        (None, _) => return CellRow { state: GridCellState::Missing, ..empty },
        (Some(_), false) => return empty,
        (Some(cell), true) => cell,
    };
    let losses = CellLosses::of(&cell.losses);
    let state = match losses {
        None if cell.diverged > 0 => GridCellState::Diverged,
        None => GridCellState::WithoutLoss,
        Some(_) if cell.is_whole && cell.losses.len() >= cell.until => GridCellState::Whole,
        Some(_) => GridCellState::Partial,
    };
    let FoundCell { until, diverged, subjects, .. } = cell;
    CellRow { state, until, iterations: cell.losses.len(), diverged, subjects, losses, ..empty }
}

fn notes(rows: &[CellRow], doubled: &[String]) -> Vec<String> {
    let numbers = |state: GridCellState| -> Vec<String> {
        rows.iter().filter(|row| row.state == state).map(|row| row.number.to_string()).collect()
    };
    let all = rows.len();
    let note = |cells: &[String], one: &str, more: &str| match cells {
        [] => None,
        [cell] => Some(format!("{IMPORTANT}1 of {all} cells {one}: {cell}")),
        cells => Some(format!("{IMPORTANT}{} of {all} cells {more}: {}", cells.len(), first(cells))),
    };
    [
        note(&numbers(GridCellState::Missing), "is missing and has no loss", "are missing and have no loss"),
        note(doubled, "is there more than once and has no loss", "are there more than once and have no loss"),
        note(&numbers(GridCellState::Diverged), "diverged and has no loss", "diverged and have no loss"),
        note(&numbers(GridCellState::WithoutLoss), "has no epoch that counts", "have no epoch that counts"),
        note(
            &numbers(GridCellState::Partial),
            "has fewer iterations, rounds or epochs than asked for",
            "have fewer iterations, rounds or epochs than asked for",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The first few of a list, and how many more there are.
pub fn first(list: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = list.len().saturating_sub(SHOWN);
    let shown = list.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// `1 folder`, `3 folders`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The fewest subjects behind any loss; 0 if that is not known of one.
pub fn fewest_subjects(rows: &[CellRow]) -> usize {
    rows.iter().filter(|row| row.losses.is_some()).map(|row| row.subjects).min().unwrap_or(0)
}

/// To six decimals: logs have three, and our own losses have no more that mean something.
pub fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6 + 0.0
}

/// Writes the table.
///
/// # Errors
/// As [`data_table::write()`].
pub fn write(folder: &Path, rows: &[CellRow], simulated: bool) -> Result<(), Failure> {
    let whole = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    let loss = |of: fn(&CellLosses) -> f64| rows.iter().map(move |row| row.losses.as_ref().map(|l| rounded(of(l))));
    let table = with_factors(DataTable::of(COLUMNS), rows)
        .text("state", rows.iter().map(|row| row.state.word()))
        .integers("until", rows.iter().map(|row| whole(row.until)))
        .integers("iterations", rows.iter().map(|row| whole(row.iterations)))
        .integers("diverged", rows.iter().map(|row| whole(row.diverged)))
        .integers("val_subjects", rows.iter().map(|row| whole(row.subjects)))
        .optional_numbers("loss_min", loss(|l| l.min))
        .optional_numbers("loss_mean", loss(|l| l.mean))
        .optional_numbers("loss_median", loss(|l| l.median))
        .optional_numbers("loss_std", loss(|l| l.std))
        .optional_numbers("loss_max", loss(|l| l.max));
    data_table::write(folder, &mut table.stamped(simulated).build()?)
}

/// The columns of the number and the factors of cells.
pub fn with_factors<'a>(table: DataTable, rows: impl IntoIterator<Item = &'a CellRow> + Clone) -> DataTable {
    let each = || rows.clone().into_iter();
    let number = |row: &CellRow| i64::try_from(row.number).unwrap_or(i64::MAX);
    table
        .integers("cell_id", each().map(number))
        .text("base_model", each().map(|row| row.factors.base_model.clone()))
        .numbers("lr", each().map(|row| row.factors.lr))
        .numbers("gamma", each().map(|row| row.factors.gamma))
        .numbers("bce_weight", each().map(|row| row.factors.bce_weight))
        .integers("batch_size", each().map(|row| i64::from(row.factors.batch_size)))
        .text("inputs", each().map(|row| row.factors.inputs.clone()))
        .text("prediction", each().map(|row| row.factors.prediction.clone()))
}

/// Reads a table that [`write()`] wrote.
///
/// # Errors
/// As [`data_table::read`] and [`data_table::texts`]; Input: a state that there is not.
pub fn read(folder: &Path) -> Result<Vec<CellRow>, Failure> {
    parse(&data_table::read(folder)?).map_err(|failure| {
        failure.at(folder.display().to_string()).hint("give the `table` of `grid/read` or `grid/collect`")
    })
}

fn parse(frame: &DataFrame) -> Result<Vec<CellRow>, Failure> {
    let text = |name| data_table::texts(frame, name).map(Vec::into_iter);
    let number = |name| data_table::numbers(frame, name).map(Vec::into_iter);
    let count = |name| counts(frame, name).map(Vec::into_iter);
    let loss = |name| optional_numbers(frame, name).map(Vec::into_iter);
    let (mut ids, mut base_model) = (count("cell_id")?, text("base_model")?);
    let (mut lr, mut gamma, mut bce_weight) = (number("lr")?, number("gamma")?, number("bce_weight")?);
    let (mut batch_size, mut inputs, mut prediction) = (count("batch_size")?, text("inputs")?, text("prediction")?);
    let (mut until, mut iterations) = (count("until")?, count("iterations")?);
    let (mut diverged, mut subjects) = (count("diverged")?, count("val_subjects")?);
    let (mut min, mut mean, mut median) = (loss("loss_min")?, loss("loss_mean")?, loss("loss_median")?);
    let (mut std, mut max) = (loss("loss_std")?, loss("loss_max")?);
    // All columns have the height of the table, so every `next` has a value; a short one would only end the rows.
    let mut row = |state: String| -> Option<Result<CellRow, Failure>> {
        let Some(state) = GridCellState::ALL.into_iter().find(|known| known.word() == state) else {
            return Some(Err(Failure::input(format!("`state` of a cell is `{state}`, which is not a state"))));
        };
        let factors = CellFactors {
            base_model: base_model.next()?,
            lr: lr.next()?,
            gamma: gamma.next()?,
            bce_weight: bce_weight.next()?,
            batch_size: u32::try_from(batch_size.next()?).ok()?,
            inputs: inputs.next()?,
            prediction: prediction.next()?,
        };
        let losses = match (min.next()?, mean.next()?, median.next()?, std.next()?, max.next()?) {
            (Some(min), Some(mean), Some(median), Some(std), Some(max)) => {
                Some(CellLosses { min, mean, median, std, max })
            }
            _ => None,
        };
        let (number, until, iterations) = (ids.next()?, until.next()?, iterations.next()?);
        let (diverged, subjects) = (diverged.next()?, subjects.next()?);
        Some(Ok(CellRow { number, factors, state, until, iterations, diverged, subjects, losses }))
    };
    data_table::texts(frame, "state")?.into_iter().map_while(&mut row).collect()
}

/// A column of numbers of which some are missing.
fn optional_numbers(frame: &DataFrame, name: &str) -> Result<Vec<Option<f64>>, Failure> {
    let column = column(frame, name)?;
    let values = column.f64().map_err(|_| other_type(column, "numbers"))?;
    Ok(values.iter().collect())
}

/// A column of counts without missing values.
fn counts(frame: &DataFrame, name: &str) -> Result<Vec<usize>, Failure> {
    let column = column(frame, name)?;
    let values = column.i64().map_err(|_| other_type(column, "whole numbers"))?;
    let count = |value: Option<i64>| value.and_then(|value| usize::try_from(value).ok());
    let counts: Option<Vec<usize>> = values.iter().map(count).collect();
    counts.ok_or_else(|| Failure::input(format!("column `{name}` has a value that is not a count")))
}

fn column<'a>(frame: &'a DataFrame, name: &str) -> Result<&'a polars::prelude::Column, Failure> {
    frame.column(name).map_err(|_| {
        let there: Vec<String> = frame.get_column_names().iter().map(|name| format!("`{name}`")).collect();
        Failure::input(format!("expected a column `{name}`, but the table has {}", there.join(", ")))
    })
}

fn other_type(column: &polars::prelude::Column, expected: &str) -> Failure {
    Failure::input(format!("expected column `{}` to hold {expected}, but it holds {}", column.name(), column.dtype()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::factors::tests::published;

    /// A whole cell of the published grid with these least losses.
    fn found(number: usize, losses: &[f64]) -> FoundCell {
        FoundCell {
            place: format!("grid{number:05}"),
            factors: published().cell(number).unwrap(),
            until: 2,
            losses: losses.to_vec(),
            diverged: 0,
            is_whole: true,
            subjects: 33,
        }
    }

    /// The five numbers as numpy gives them: `np.mean`, `np.median`, `np.std`, of two and of three iterations.
    #[test]
    fn iterations_become_the_five_numbers_of_the_original() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-15;
        let two = CellLosses::of(&[0.2, 0.17]).unwrap();
        assert!(close(two.mean, 0.185) && close(two.median, 0.185) && close(two.std, 0.015), "{two:?}");
        assert_eq!((two.min, two.max), (0.17, 0.2));
        let three = CellLosses::of(&[0.2, 0.17, 0.5]).unwrap();
        assert!(close(three.mean, 0.29) && close(three.std, 0.148_996_644_257_513_4), "{three:?}");
        assert_eq!(three.median, 0.2);
        assert_eq!(CellLosses::of(&[]), None);
    }

    #[test]
    fn every_cell_has_a_row_and_those_without_a_loss_are_noted() {
        let mut cells: Vec<FoundCell> = (0..1800).map(|number| found(number, &[0.2, 0.3])).collect();
        cells.remove(1799);
        cells.remove(17);
        cells.push(FoundCell { place: "again/grid00005".into(), ..found(5, &[0.1]) });
        cells[0].losses = Vec::new();
        cells[1].losses = vec![0.25];
        cells[2].is_whole = false;
        (cells[3].losses, cells[3].diverged) = (Vec::new(), 2);
        (cells[4].losses, cells[4].diverged) = (vec![0.25], 1);
        (cells[0].subjects, cells[1].subjects) = (5, 20);
        let (rows, notes) = rows(&published(), cells).unwrap();
        assert_eq!(rows.len(), 1800);
        let states: Vec<_> = [0, 1, 2, 3, 4, 5, 6, 17, 1799].map(|at| rows[at].state.word()).to_vec();
        let first = ["without-loss", "partial", "partial", "diverged", "partial", "doubled", "whole"];
        assert_eq!(states, [&first[..], &["missing", "missing"]].concat());
        assert_eq!([3, 4, 6].map(|at: usize| (rows[at].iterations, rows[at].diverged)), [(0, 2), (1, 1), (2, 0)]);
        assert!(
            rows.iter()
                .enumerate()
                .all(|(at, row)| row.number == at && row.losses.is_some() != [0, 3, 5, 17, 1799].contains(&at))
        );
        assert_eq!(
            notes,
            [
                "important: 2 of 1800 cells are missing and have no loss: 17, 1799",
                "important: 1 of 1800 cells is there more than once and has no loss: 5 (grid00005, again/grid00005)",
                "important: 1 of 1800 cells diverged and has no loss: 3",
                "important: 1 of 1800 cells has no epoch that counts: 0",
                "important: 3 of 1800 cells have fewer iterations, rounds or epochs than asked for: 1, 2, 4",
            ]
        );
        assert_eq!(fewest_subjects(&rows), 20, "the fewest behind any loss; a cell without one does not count");
    }

    #[test]
    fn long_lists_are_cut() {
        let (_, notes) = rows(&published(), vec![found(0, &[0.2, 0.2])]).unwrap();
        assert_eq!(
            notes,
            ["important: 1799 of 1800 cells are missing and have no loss: 1, 2, 3, 4, 5, 6, 7, 8 and 1791 more"]
        );
    }

    #[test]
    fn a_cell_outside_of_the_grid_is_refused_with_its_place() {
        let mut cell = found(3, &[0.1]);
        cell.factors.lr = 0.1;
        let failure = rows(&published(), vec![cell]).unwrap_err();
        assert!(failure.message.starts_with("`lr` is 0.1, which is not a level of the grid: 0.00167, "), "{failure}");
        assert_eq!(failure.place.as_deref(), Some("grid00003"));
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut cells =
            vec![found(3, &[0.125, 0.25]), found(8, &[]), found(9, &[0.5]), found(4, &[0.1]), found(4, &[0.1])];
        cells.push(FoundCell { diverged: 2, subjects: 0, ..found(7, &[]) });
        let (rows, _) = rows(&published(), cells).unwrap();
        write(folder.path(), &rows, true).unwrap();
        assert_eq!(read(folder.path()).unwrap(), rows);
        let csv = fs_err::read_to_string(folder.path().join(data_table::CSV)).unwrap();
        let line = csv.lines().find(|line| line.starts_with("3,")).unwrap();
        assert_eq!(line, "3,resnet34,0.0025,0.8,0.5,4,full,area,whole,2,2,0,33,0.125,0.1875,0.1875,0.0625,0.25,true");
        let line = csv.lines().find(|line| line.starts_with("4,")).unwrap();
        assert_eq!(line, "4,resnet18,0.00375,0.8,0.5,4,full,area,doubled,0,0,0,0,,,,,,true");
        let line = csv.lines().find(|line| line.starts_with("7,")).unwrap();
        assert_eq!(line, "7,resnet34,0.00562,0.8,0.5,4,full,area,diverged,2,0,2,0,,,,,,true");
    }

    #[test]
    fn another_table_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut other = DataTable::new().text("cell_id", ["1"]).text("state", ["whole"]).build().unwrap();
        data_table::write(folder.path(), &mut other).unwrap();
        let failure = read(folder.path()).unwrap_err();
        assert_eq!(failure.message, "expected column `cell_id` to hold whole numbers, but it holds str");
    }
}
