//! `figure/pairs`: all pairs of feature spaces as two heat maps: what two spaces share, and what each has that the other has not.
//!
//! Each pair is a partition of its own, so that numbers of different pairs come from different models; they are comparable because
//! the responses are the same. On the left a square is the shared variance of its row and column, the same on both sides of the diagonal;
//! on the right it is the unique variance of its row beside its column. Colours of both begin at 0, lower ones are the same as 0 and
//! have their number.

use std::collections::BTreeMap;

use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, choice, parameters};

use super::figure_of_table;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::axes::colour_bar;
use crate::formats::drawing::colour::sequential;
use crate::formats::drawing::{Anchor, Colour, Drawing, FigureNotes, Lettering, Stroke, WIDEST, text_width};
use crate::numeric::counts::real;

/// The kind.
pub(super) struct Pairs;

choice! {
    /// Which number of a region is shown.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Shown {
        /// The mean over responses.
        Mean = "mean",
        /// The median over responses.
        Median = "median",
    }
}

impl Shown {
    fn word(self) -> &'static str {
        match self {
            Shown::Mean => "mean",
            Shown::Median => "median",
        }
    }
}

parameters! {
    struct Parameters {
        /// the region whose parts are shown
        region: String = "all".to_owned();
        /// which number of the region is shown
        value: Shown = Shown::Mean;
        /// the order of spaces; none for that in which they first come
        spaces: Vec<String> = Vec::new();
    }
}

impl StageKind for Pairs {
    fn kind(&self) -> Kind {
        let kind =
            Kind::new("figure/pairs", 2, "Heat maps of shared and unique variance of all pairs of feature spaces")
                .gather("parts", &["table/region-parts"], "parts by region, a partition of two spaces each")
                .folder("figure", "figure", "figure.svg, figure.pdf, figure.png, and table.csv with the squares")
                .described(&[data_table::CSV], COLUMNS)
                .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let mut grid = Grid::default();
        for (_, path) in task.present("parts") {
            grid.add(path, &parameters).map_err(|failure| failure.at(path.display().to_string()))?;
        }
        grid.order(&parameters.spaces)?;
        let mut notes: Vec<String> = task.absences("parts").into_iter().collect();
        let missing = grid.missing();
        if !missing.is_empty() {
            notes.push(format!("{IMPORTANT}{} pairs have no partition: {}", missing.len(), missing.join(", ")));
        }
        let squares: Vec<(&(String, String), &Square)> = grid.squares.iter().collect();
        let table = DataTable::of(COLUMNS)
            .text("space", squares.iter().map(|(names, _)| names.0.as_str()))
            .text("beside", squares.iter().map(|(names, _)| names.1.as_str()))
            .optional_numbers("unique", squares.iter().map(|(_, square)| square.unique))
            .optional_numbers("shared", squares.iter().map(|(_, square)| square.shared))
            .optional_numbers("total", squares.iter().map(|(_, square)| square.total));
        figure_of_table::write(task, &draw(&grid, &parameters, task.simulated), table)?;
        Ok(Ended::noted(notes))
    }
}

const R2: &str = "share of variance";

/// What is in the table beside the figure.
const COLUMNS: &[Column] = &[
    Column::new("space", "the row of a square"),
    Column::new("beside", "its column: the other space of the pair"),
    Column::measured("unique", R2, "what the space explains that the other does not"),
    Column::measured("shared", R2, "what both explain"),
    Column::measured("total", R2, "R2 of both together"),
    STAMP,
];

/// Two spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Square {
    unique: Option<f64>,
    shared: Option<f64>,
    total: Option<f64>,
}

/// All pairs, each both ways round.
#[derive(Debug, Default, PartialEq)]
struct Grid {
    spaces: Vec<String>,
    squares: BTreeMap<(String, String), Square>,
}

impl Grid {
    fn add(&mut self, folder: &std::path::Path, parameters: &Parameters) -> Result<(), Failure> {
        let table = data_table::read(folder)?;
        let texts = |name: &str| data_table::texts(&table, name);
        let (regions, parts, spaces) = (texts("region")?, texts("part")?, texts("spaces")?);
        let values = data_table::maybe_numbers(&table, parameters.value.word())?;
        let region = &parameters.region;
        let rows: Vec<usize> = (0..parts.len()).filter(|row| regions[*row] == *region).collect();
        if rows.is_empty() {
            let mut known: Vec<&str> = regions.iter().map(String::as_str).collect();
            known.dedup();
            return Err(Failure::input(format!("there are no parts of the region `{region}`"))
                .hint(format!("there are those of {}", known.join(", "))));
        }
        let of = |part: &str| rows.iter().copied().filter(|row| parts[*row] == part).collect::<Vec<usize>>();
        let (unique, shared, total) = (of("unique"), of("shared"), of("total"));
        let ([a, b], [shared], [total]) = (unique.as_slice(), shared.as_slice(), total.as_slice()) else {
            return Err(Failure::input(format!("found a partition of {} spaces, expected 2", unique.len()))
                .hint("name the two spaces of a pair: `spaces` of `encode/partition`"));
        };
        for (row, beside) in [(*a, *b), (*b, *a)] {
            let square = Square { unique: values[row], shared: values[*shared], total: values[*total] };
            if self.squares.insert((spaces[row].clone(), spaces[beside].clone()), square).is_some() {
                return Err(Failure::input(format!("`{}` and `{}` are a pair twice", spaces[row], spaces[beside])));
            }
            if !self.spaces.contains(&spaces[row]) {
                self.spaces.push(spaces[row].clone());
            }
        }
        Ok(())
    }

    /// Puts the spaces in a given order.
    fn order(&mut self, asked: &[String]) -> Result<(), Failure> {
        if self.spaces.is_empty() {
            return Err(Failure::input("port `parts` has no table, expected at least one"));
        }
        if asked.is_empty() {
            return Ok(());
        }
        let (mut given, mut found) = (asked.to_vec(), self.spaces.clone());
        given.sort();
        found.sort();
        if given != found {
            return Err(Failure::input(format!(
                "`spaces` are {}, but the pairs are of {}",
                asked.join(", "),
                self.spaces.join(", ")
            )));
        }
        self.spaces = asked.to_vec();
        Ok(())
    }

    fn square(&self, row: usize, column: usize) -> Option<&Square> {
        self.squares.get(&(self.spaces[row].clone(), self.spaces[column].clone()))
    }

    /// The pairs that are not there.
    fn missing(&self) -> Vec<String> {
        let pairs =
            (0..self.spaces.len()).flat_map(|row| (row + 1..self.spaces.len()).map(move |column| (row, column)));
        pairs
            .filter(|(row, column)| self.square(*row, *column).is_none())
            .map(|(row, column)| format!("{} and {}", self.spaces[row], self.spaces[column]))
            .collect()
    }

    /// The largest of one number of all squares.
    fn highest(&self, of: fn(&Square) -> Option<f64>) -> f64 {
        self.squares.values().filter_map(of).fold(1e-3, f64::max)
    }
}

const HEAD: f64 = 30.0;
/// Above squares: the name of the map, and its key.
const NAME: f64 = 34.0;
const GAP: f64 = 14.0;

fn draw(grid: &Grid, parameters: &Parameters, simulated: bool) -> Drawing {
    let count = real(grid.spaces.len());
    let names = grid.spaces.iter().map(|name| text_width(name, 6.5)).fold(0.0, f64::max);
    let left = names + 16.0;
    let side = ((WIDEST - left - GAP - 10.0) / (2.0 * count)).min(40.0);
    let width = (left + GAP + 10.0 + 2.0 * count * side).max(330.0);
    let notes = FigureNotes::new(&notes(grid, parameters), width - 20.0, (6.5, 9.0));
    let foot = HEAD + NAME + side * count + 8.0 + names + 6.0;
    let mut drawing = Drawing::new(width, foot + notes.height() + 6.0, "Pairs of feature spaces");
    drawing.text((10.0, 11.0), "What two feature spaces explain, each and both", Lettering::new(9.0));
    if simulated {
        drawing.simulated_stamp((width - 8.0, 18.0));
    }
    let panels: [(&str, Get); 2] = [
        ("shared by row and column", |square| square.shared),
        ("unique to the row, beside the column", |square| square.unique),
    ];
    for (panel, (name, of)) in panels.into_iter().enumerate() {
        let corner = (left + real(panel) * (count * side + GAP), HEAD + NAME);
        draw_map(&mut drawing, grid, of, side, corner);
        key(&mut drawing, grid.highest(of), name, corner);
        let below = corner.1 + side * count + 4.0;
        for (column, name) in grid.spaces.iter().enumerate() {
            let x = corner.0 + side * (real(column) + 0.5);
            drawing.text((x, below), name, Lettering::new(6.5).anchor(Anchor::End).turn(-90.0));
        }
        if panel == 0 {
            for (row, name) in grid.spaces.iter().enumerate() {
                let y = corner.1 + side * (real(row) + 0.5);
                drawing.text((left - 5.0, y), name, Lettering::new(6.5).anchor(Anchor::End));
            }
        }
    }
    notes.draw(&mut drawing, (10.0, foot));
    drawing
}

/// One number of a square.
type Get = fn(&Square) -> Option<f64>;

/// The name of a map and its key of colours.
fn key(drawing: &mut Drawing, highest: f64, name: &str, corner: (f64, f64)) {
    drawing.text((corner.0, corner.1 - 26.0), name, Lettering::new(7.5));
    drawing.text((corner.0, corner.1 - 11.0), "0", Lettering::new(6.0));
    colour_bar(drawing, (corner.0 + 6.0, corner.1 - 14.0), 60.0, 6.0, |share| sequential(1.0 - share * 0.9));
    drawing.text((corner.0 + 69.0, corner.1 - 11.0), &number(highest), Lettering::new(6.0));
}

fn draw_map(drawing: &mut Drawing, grid: &Grid, of: Get, side: f64, corner: (f64, f64)) {
    let highest = grid.highest(of);
    let count = grid.spaces.len();
    for (row, column) in (0..count * count).map(|at| (at / count, at % count)) {
        let (x, y) = (corner.0 + side * real(column), corner.1 + side * real(row));
        if row == column {
            continue;
        }
        match grid.square(row, column).and_then(of) {
            Some(value) => {
                let share = (value / highest).clamp(0.0, 1.0);
                drawing.rectangle((x, y), side, side, 0.0, sequential(1.0 - share * 0.9));
                // Numbers that would be wider than their square are in the table.
                let (words, size) = (number(value), (side * 0.3).min(6.5));
                if size >= 5.0 && text_width(&words, size) < side - 1.0 {
                    let colour = if share > 0.42 { Colour::WHITE } else { Colour::INK };
                    let lettering = Lettering::new(size).anchor(Anchor::Middle).colour(colour);
                    drawing.text((x + side / 2.0, y + side / 2.0), &words, lettering);
                }
            }
            None => {
                drawing.rectangle((x, y), side, side, 0.0, Colour::FAINT);
                let (low, high) = (side * 0.3, side * 0.7);
                let cross =
                    [vec![(x + low, y + low), (x + high, y + high)], vec![(x + low, y + high), (x + high, y + low)]];
                drawing.lines(&cross, Stroke::new(Colour::QUIET, 0.5));
            }
        }
    }
    drawing.frame(corner, side * real(count), side * real(count), Stroke::new(Colour::INK, 0.4));
}

fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = if text == "-0.000" { "0.000".to_owned() } else { text };
    text.replace('-', "\u{2212}")
}

fn notes(grid: &Grid, parameters: &Parameters) -> Vec<String> {
    let of = if parameters.region == "all" {
        "all responses".to_owned()
    } else {
        format!("the responses of {}", parameters.region)
    };
    let mut notes = vec![format!(
        "Parts of R\u{b2} on test stimuli, {} over {of}. Each pair is a partition of its own.",
        parameters.value.word()
    )];
    let missing = grid.missing().len();
    if missing > 0 {
        notes.push(format!("Crossed: {missing} pairs without a partition."));
    }
    if grid.squares.values().any(|square| square.shared.is_some_and(|shared| shared < 0.0)) {
        notes.push("Shared parts below 0: spaces that explain more together than the sum of both.".to_owned());
    }
    let is_below = |part: Option<f64>| part.is_some_and(|part| part < 0.0);
    if grid.squares.values().any(|square| is_below(square.shared) || is_below(square.unique)) {
        notes.push("Below 0 squares have the colour of 0.".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::figures::{assert_readable, assert_same_bytes_twice, look_at, place_of_text};
    use crate::test_support::tasks;
    use pipe_contract::Value;

    fn parameters() -> Parameters {
        Parameters { region: "all".to_owned(), value: Shown::Mean, spaces: Vec::new() }
    }

    fn example(count: usize, missing: usize) -> Grid {
        let spaces: Vec<String> = (1..=count).map(|at| format!("Conv{at}")).collect();
        let mut squares = BTreeMap::new();
        for row in 0..count {
            for column in (0..count).filter(|column| *column != row) {
                let away = real(row.abs_diff(column));
                let shared = if away > 3.5 { -0.004 } else { 0.16 / away };
                let unique = 0.012 * away + 0.004 * real(row);
                let square = Square { unique: Some(unique), shared: Some(shared), total: Some(shared + 2.0 * unique) };
                squares.insert((spaces[row].clone(), spaces[column].clone()), square);
            }
        }
        for column in count - missing..count {
            squares.remove(&(spaces[0].clone(), spaces[column].clone()));
            squares.remove(&(spaces[column].clone(), spaces[0].clone()));
        }
        Grid { spaces, squares }
    }

    fn figure(count: usize, missing: usize) -> Drawing {
        draw(&example(count, missing), &parameters(), true)
    }

    fn partition(folder: &std::path::Path, names: &[&str], values: &[f64]) {
        let (a, b) = (names[0], names[1]);
        let both = format!("{a}+{b}");
        let table = DataTable::new()
            .text("region", ["V1", "all", "all", "all", "all"])
            .text("part", ["total", "unique", "unique", "shared", "total"])
            .text("spaces", [both.as_str(), a, b, &both, &both])
            .numbers("mean", [&[9.0][..], values].concat())
            .numbers("median", [&[8.0][..], values].concat().into_iter().map(|value| value / 2.0));
        data_table::write(folder, &mut table.build().unwrap()).unwrap();
    }

    #[test]
    fn pairs_are_gathered_both_ways_round() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&Pairs, folder.path());
        let pairs = [("c", "a", [0.1, 0.2, 0.3, 0.6]), ("a", "b", [0.01, 0.02, 0.03, 0.06])];
        for (at, (a, b, values)) in pairs.iter().enumerate() {
            let place = folder.path().join(at.to_string());
            partition(&place, &[a, b], values);
            tasks::gather(&mut task, "parts", &[("pair", &at.to_string())], Some(&place));
        }
        let notes = tasks::run(&Pairs, &task).unwrap();
        assert_eq!(notes, ["important: 1 pairs have no partition: c and b"]);
        let csv = || fs_err::read_to_string(task.output("figure").unwrap().join(data_table::CSV)).unwrap();
        assert_eq!(
            csv(),
            "space,beside,unique,shared,total\na,b,0.01,0.03,0.06\na,c,0.2,0.3,0.6\nb,a,0.02,0.03,0.06\nc,a,0.1,0.3,0.6\n"
        );
        let mut task = task.clone();
        tasks::set(&mut task, "value", Value::Text("median".into()));
        tasks::set(&mut task, "spaces", Value::List(["a", "b", "c"].map(|name| Value::Text(name.into())).to_vec()));
        tasks::run(&Pairs, &task).unwrap();
        assert!(csv().contains("\nc,a,0.05,0.15,0.3\n"), "{}", csv());
        let svg = fs_err::read_to_string(task.output("figure").unwrap().join("figure.svg")).unwrap();
        let row = |name: &str| place_of_text(&svg, |text| text == name);
        assert!(row("a").1 > 0.0 && svg.contains("median over all responses"));
        tasks::set(&mut task, "spaces", Value::List(vec![Value::Text("a".into())]));
        assert!(
            tasks::run(&Pairs, &task).unwrap_err().message.contains("`spaces` are a, but the pairs are of c, a, b")
        );
        tasks::set(&mut task, "region", Value::Text("V4".into()));
        assert!(tasks::run(&Pairs, &task).unwrap_err().message.contains("no parts of the region `V4`"));
        tasks::set(&mut task, "region", Value::Text("V1".into()));
        assert!(tasks::run(&Pairs, &task).unwrap_err().message.contains("partition of 0 spaces, expected 2"));
    }

    #[test]
    fn any_number_of_spaces_is_readable() {
        for (count, missing) in [(2, 0), (5, 0), (5, 2), (12, 1)] {
            let drawing = figure(count, missing);
            assert!(drawing.width() <= WIDEST + 1e-9);
            assert_readable(&drawing);
        }
        assert!(figure(5, 2).svg().contains("Crossed: 2 pairs"));
        assert!(figure(5, 0).svg().contains("Shared parts below 0"));
        assert!(figure(5, 0).svg().contains("Below 0 squares have the colour of 0."));
        assert!(!figure(3, 0).svg().contains("Below 0"), "no part is below 0");
    }

    #[test]
    fn numbers_have_a_true_minus_sign() {
        assert_eq!([number(-0.0021), number(-0.0001), number(0.25)], ["\u{2212}0.002", "0.000", "0.250"]);
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        assert_same_bytes_twice(|| figure(5, 1));
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        look_at("pairs", || figure(5, 0));
        look_at("pairs_some_missing", || figure(4, 1));
        look_at("pairs_of_twelve", || figure(12, 0));
    }
}
