//! `figure/joint`: the model with all feature spaces against a model of one space, a place a response.
//!
//! The one space is the best of every response, or the same named one for all. What lies above the line gains from more than one space.
//! Responses are counted in squares, because ten thousand dots would hide how many lie where; colours are steps of the logarithm of the
//! count. The best single space is chosen on the same stimuli, so it is a little too good: the gain is a lower bound. Responses far below
//! 0 lie at the edge, and are counted.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::figure_of_table::{self, shortened};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::axes::{Scale, colour_bar, label, left_axis, ticks};
use crate::formats::drawing::colour::sequential;
use crate::formats::drawing::{Anchor, Colour, Drawing, FigureNotes, Lettering, Raster, Stroke, text_width};
use crate::numeric::counts::real;
use crate::numeric::statistics::quantile;

/// The kind.
pub(super) struct Joint;

/// The word for the best space of every response.
const BEST: &str = "best";

parameters! {
    struct Parameters {
        /// the space whose model all spaces together are compared with; `best`: that with the highest R2, for every response anew
        against: String = BEST.to_owned();
        /// R2 at which the axes begin; lower ones lie at the edge
        low: f64 = -0.1, in -1.0..=0.0;
        /// squares along an axis
        squares: usize = 60, in 5..=200;
    }
}

impl StageKind for Joint {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "figure/joint",
            2,
            "R2 of the model with all spaces against the best, or a named, model of one space",
        )
        .input("scores", &["table/encoding"], "scores of models of single spaces and of the one with all spaces")
        .folder("figure", "figure", "figure.svg, figure.pdf, figure.png, and table.csv with the squares")
        .described(&[data_table::CSV], COLUMNS)
        .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let pairs = figure_of_table::read_at(task, "scores", |folder| read(folder, &parameters.against))?;
        let density = Density::new(&pairs.values, &parameters);
        let cells = density.cells();
        let table = DataTable::of(COLUMNS)
            .numbers("single", cells.iter().map(|cell| cell.0))
            .numbers("joint", cells.iter().map(|cell| cell.1))
            .integers("n", cells.iter().map(|cell| i64::try_from(cell.2).unwrap_or(i64::MAX)));
        figure_of_table::write(task, &draw(&pairs, &density, task.simulated), table)?;
        Ok(Ended::done())
    }
}

const R2: &str = "share of variance";

/// What is in the table beside the figure.
const COLUMNS: &[Column] = &[
    Column::measured(
        "single",
        R2,
        "the middle of a square: the highest R2 of a model of one space, or R2 of the named one",
    ),
    Column::measured("joint", R2, "the middle of a square: R2 of the model with all spaces"),
    Column::new("n", "responses in the square"),
    STAMP,
];

/// R2 of one space and of all spaces, by response.
#[derive(Debug, PartialEq)]
struct Pairs {
    /// The model with the most spaces.
    joint: String,
    /// The one space; none for the best of every response.
    single: Option<String>,
    values: Vec<(f64, f64)>,
}

fn read(folder: &std::path::Path, against: &str) -> Result<Pairs, Failure> {
    let table = data_table::read(folder)?;
    let (ids, models) = (data_table::texts(&table, "id")?, data_table::texts(&table, "model")?);
    let (spaces, r2) = (data_table::integers(&table, "spaces")?, data_table::maybe_numbers(&table, "r2")?);
    let most = spaces.iter().copied().max().unwrap_or(0);
    let rows = 0..ids.len();
    let Some(first) = rows.clone().find(|row| most > 1 && spaces[*row] == most) else {
        return Err(Failure::input(format!("the model with the most spaces has {most}, expected 2 or more"))
            .hint("fit all spaces together too: `models: all`"));
    };
    let named = (against != BEST).then_some(against);
    let is_single = |row: &usize| spaces[*row] == 1 && named.is_none_or(|named| models[*row] == named);
    if let (Some(named), None) = (named, rows.clone().find(is_single)) {
        let known: BTreeSet<&String> = rows.filter(|row| spaces[*row] == 1).map(|row| &models[row]).collect();
        let known: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
        return Err(Failure::input(format!("there is no model of the space `{named}` alone"))
            .hint(format!("`against` is `{BEST}` or one of {}", known.join(", "))));
    }
    let mut single: BTreeMap<&str, f64> = BTreeMap::new();
    for row in rows.clone().filter(is_single) {
        if let Some(r2) = r2[row] {
            single.entry(&ids[row]).and_modify(|best| *best = best.max(r2)).or_insert(r2);
        }
    }
    let joint = |row: &usize| models[*row] == models[first];
    let values: Vec<(f64, f64)> =
        rows.filter(joint).filter_map(|row| Some((*single.get(ids[row].as_str())?, r2[row]?))).collect();
    if values.is_empty() {
        return Err(Failure::input(format!("no response has R2 by `{}` and by a model of one space", models[first])));
    }
    Ok(Pairs { joint: models[first].clone(), single: named.map(str::to_owned), values })
}

/// Counts of responses in squares.
struct Density {
    low: f64,
    high: f64,
    squares: usize,
    /// From the lower left, by row.
    counts: Vec<usize>,
    /// Responses that lie below the axes.
    below: usize,
}

impl Density {
    fn new(values: &[(f64, f64)], parameters: &Parameters) -> Self {
        let (low, squares) = (parameters.low, parameters.squares);
        let high = values.iter().flat_map(|(x, y)| [*x, *y]).fold(0.05, f64::max);
        let high = (high * 20.0).ceil() / 20.0;
        let place = |value: f64| {
            let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "one of the squares")]
            let place = (share * real(squares)) as usize;
            place.min(squares - 1)
        };
        let mut counts = vec![0; squares * squares];
        for (x, y) in values {
            counts[place(*y) * squares + place(*x)] += 1;
        }
        let below = values.iter().filter(|(x, y)| x.min(*y) < low).count();
        Self { low, high, squares, counts, below }
    }

    fn most(&self) -> usize {
        self.counts.iter().copied().max().unwrap_or(0)
    }

    /// The colour of a square that has so many responses.
    fn colour(&self, count: usize) -> Colour {
        sequential(1.0 - (real(count).ln() / real(self.most()).max(2.0).ln()).clamp(0.0, 1.0) * 0.9)
    }

    /// The middles of all squares that have responses, and their counts.
    fn cells(&self) -> Vec<(f64, f64, usize)> {
        let middle = |at: usize| self.low + (self.high - self.low) * (real(at) + 0.5) / real(self.squares);
        let cell = |(at, count): (usize, &usize)| (middle(at % self.squares), middle(at / self.squares), *count);
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(cell).collect()
    }
}

/// Length of an axis.
const SIDE: f64 = 220.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 44.0;

fn draw(pairs: &Pairs, density: &Density, simulated: bool) -> Drawing {
    let width = LEFT + SIDE + 70.0;
    let notes = FigureNotes::new(&notes(pairs, density), width - 20.0, (6.5, 9.0));
    let bottom = TOP + SIDE;
    let mut drawing = Drawing::new(width, bottom + 34.0 + notes.height() + 8.0, "All spaces against one");
    let one = pairs.single.as_deref().unwrap_or("the best one");
    let title = shortened(&format!("All spaces together against {one} alone"), width - 20.0, 9.0);
    drawing.text((10.0, 11.0), &title, Lettering::new(9.0));
    if simulated {
        drawing.simulated_stamp((width - 8.0, 20.0));
    }
    let mut pixels = Raster::new(density.squares, density.squares);
    for (at, count) in density.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        pixels.set(at % density.squares, density.squares - 1 - at / density.squares, density.colour(*count));
    }
    drawing.image((LEFT, TOP), SIDE, SIDE, &pixels, false);
    let across = Scale::new((density.low, density.high), (LEFT, LEFT + SIDE));
    let up = Scale::new((density.low, density.high), (bottom, TOP));
    let (values, step) = ticks(density.low, density.high, 6);
    drawing.line((across.at(0.0), TOP), (across.at(0.0), bottom), Stroke::new(Colour::RULE, 0.5));
    drawing.line((LEFT, up.at(0.0)), (LEFT + SIDE, up.at(0.0)), Stroke::new(Colour::RULE, 0.5));
    drawing.line((LEFT, bottom), (LEFT + SIDE, TOP), Stroke::new(Colour::INK, 0.6).dashed(3.0, 2.0));
    left_axis(&mut drawing, LEFT, &up, &values, step, 7.0);
    drawing.line((LEFT, bottom), (LEFT + SIDE, bottom), Stroke::new(Colour::INK, 0.6));
    for value in &values {
        let x = across.at(*value);
        drawing.line((x, bottom), (x, bottom + 2.5), Stroke::new(Colour::INK, 0.6));
        drawing.text((x, bottom + 8.0), &label(*value, step), Lettering::new(7.0).anchor(Anchor::Middle));
    }
    let middle = Lettering::new(8.0).anchor(Anchor::Middle);
    let of_one = match &pairs.single {
        Some(name) => format!("R\u{b2} of {name} alone"),
        None => "R\u{b2} of the best single space".to_owned(),
    };
    drawing.text((LEFT + SIDE / 2.0, bottom + 20.0), &shortened(&of_one, SIDE, 8.0), middle);
    drawing.text((12.0, TOP + SIDE / 2.0), "R\u{b2} of all spaces", middle.turn(-90.0));
    key(&mut drawing, density, (LEFT + SIDE + 12.0, TOP));
    notes.draw(&mut drawing, (10.0, bottom + 32.0));
    drawing
}

/// Length of the key of colours.
const KEY: f64 = 46.0;

/// The key of colours.
fn key(drawing: &mut Drawing, density: &Density, (x, y): (f64, f64)) {
    drawing.text((x, y + 4.0), "responses", Lettering::new(6.5));
    let most = density.most();
    let small = Lettering::new(6.5);
    if most < 2 {
        drawing.rectangle((x, y + 11.0), 6.0, 6.0, 0.0, density.colour(1));
        drawing.text((x + 9.0, y + 14.0), "1", small);
        return;
    }
    let at = |share: f64| sequential(1.0 - share * 0.9);
    colour_bar(drawing, (x, y + 11.0), KEY, 6.0, at);
    drawing.text((x, y + 23.0), "1", small);
    drawing.text((x + KEY, y + 23.0), &most.to_string(), small.anchor(Anchor::End));
    // A count between the ends, at its own place, shows that colours are steps of the logarithm.
    if let Some(between) = [1000, 100, 10, 3].into_iter().find(|count| real(*count).powi(2) <= real(most) * 1.5) {
        let place = x + KEY * real(between).ln() / real(most).ln();
        let words = between.to_string();
        let half = text_width(&words, 6.5) / 2.0;
        if place - half > x + 7.0 && place + half < x + KEY - text_width(&most.to_string(), 6.5) - 3.0 {
            drawing.line((place, y + 17.0), (place, y + 19.0), Stroke::new(Colour::INK, 0.5));
            drawing.text((place, y + 23.0), &words, small.anchor(Anchor::Middle));
        }
    }
}

fn notes(pairs: &Pairs, density: &Density) -> Vec<String> {
    let count = pairs.values.len();
    let above = pairs.values.iter().filter(|(single, joint)| joint > single).count();
    let mut gains: Vec<f64> = pairs.values.iter().map(|(single, joint)| joint - single).collect();
    gains.sort_by(f64::total_cmp);
    let gain = format!("{:+.3}", quantile(&gains, 0.5)).replace('-', "\u{2212}");
    let mut notes = vec![
        format!("{count} responses; all spaces: {}. Dashed: no gain.", pairs.joint.replace('+', " + ")),
        format!("Above the line: {above} ({:.0} %). Median gain: {gain}.", 100.0 * real(above) / real(count)),
    ];
    if pairs.single.is_none() {
        notes.push("The best single space is chosen by the same R\u{b2}, which makes it a little too good.".to_owned());
    }
    if density.below > 0 {
        let low = label(density.low, 0.01);
        notes.push(format!("Responses with R\u{b2} below {low}, which lie at the edge: {}.", density.below));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::drawing::text_boxes;
    use crate::test_support::figures::{assert_readable, assert_same_bytes_twice, look_at};
    use crate::test_support::tasks;
    use pipe_contract::Value;

    fn parameters() -> Parameters {
        Parameters { against: BEST.to_owned(), low: -0.1, squares: 60 }
    }

    /// Responses of all sizes, most of them small, with a gain that grows.
    fn example() -> Pairs {
        let value = |at: usize| {
            let (a, b) = (real(at * 7919 % 4001) / 4001.0, real(at * 104_729 % 4003) / 4003.0 - 0.5);
            let single = 0.5 * a * a * a - 0.02;
            (single, single + 0.12 * a * a + 0.05 * b * (0.2 + a) - 0.004)
        };
        let mut values: Vec<(f64, f64)> = (0..4000).map(value).collect();
        values.push((-0.4, -0.2));
        Pairs { joint: "Conv1+Conv4+Conv5".to_owned(), single: None, values }
    }

    fn figure() -> Drawing {
        let pairs = example();
        draw(&pairs, &Density::new(&pairs.values, &parameters()), true)
    }

    #[test]
    fn every_response_lies_in_a_square() {
        let pairs = example();
        let density = Density::new(&pairs.values, &parameters());
        assert_eq!((density.counts.iter().sum::<usize>(), density.below), (4001, 1));
        let corners =
            Density::new(&[(-0.1, 1.0), (1.0, 1.0), (0.999, -0.1)], &Parameters { squares: 10, ..parameters() });
        assert_eq!((corners.counts[90], corners.counts[99], corners.counts[9]), (1, 1, 1));
        assert_eq!(corners.cells()[0].2, 1);
        assert!((corners.cells()[1].0 + 0.045).abs() < 1e-12);
    }

    #[test]
    fn runs_from_scores_to_squares() {
        let folder = tempfile::tempdir().unwrap();
        let rows = [("a", 1, [0.4, 0.1]), ("b", 1, [0.2, 0.3]), ("a+b", 2, [0.5, 0.25])];
        let cells = || rows.iter().flat_map(|row| (0..2).map(move |at| (row, at)));
        let table = |rows: usize| {
            DataTable::new()
                .text("id", cells().take(rows).map(|(_, at)| format!("v{at}")))
                .text("model", cells().take(rows).map(|(row, _)| row.0))
                .integers("spaces", cells().take(rows).map(|(row, _)| row.1))
                .optional_numbers("r2", cells().take(rows).map(|(row, at)| Some(row.2[at])))
        };
        let given = folder.path().join("given");
        data_table::write(&given, &mut table(6).build().unwrap()).unwrap();
        let expected = Pairs { joint: "a+b".into(), single: None, values: vec![(0.4, 0.5), (0.3, 0.25)] };
        assert_eq!(read(&given, BEST).unwrap(), expected);
        let mut task = tasks::task(&Joint, folder.path());
        tasks::give(&mut task, "scores", &given);
        tasks::set(&mut task, "low", Value::Float(0.0));
        tasks::set(&mut task, "squares", Value::Int(5));
        tasks::run(&Joint, &task).unwrap();
        let csv = fs_err::read_to_string(task.output("figure").unwrap().join(data_table::CSV)).unwrap();
        assert_eq!(csv, "single,joint,n\n0.35,0.25,1\n0.45,0.45,1\n");
        tasks::set(&mut task, "against", Value::Text("a".into()));
        tasks::run(&Joint, &task).unwrap();
        let made = |file: &str| fs_err::read_to_string(task.output("figure").unwrap().join(file)).unwrap();
        // By a alone the second response has 0.1, by all spaces 0.25; squares have sides of 0.1.
        assert_eq!(made(data_table::CSV), "single,joint,n\n0.15,0.25,1\n0.45,0.45,1\n");
        let svg = made("figure.svg");
        assert!(svg.contains("All spaces together against a alone") && svg.contains("R\u{b2} of a alone"));
        assert!(!svg.contains("a little too good"), "a named space is not chosen by its R2");
        let mut task = task.clone();
        tasks::set(&mut task, "against", Value::Text("c".into()));
        let failure = tasks::run(&Joint, &task).unwrap_err();
        assert_eq!(failure.message, "there is no model of the space `c` alone");
        assert_eq!(failure.hint.as_deref(), Some("`against` is `best` or one of `a`, `b`"));
        data_table::write(&given, &mut table(4).build().unwrap()).unwrap();
        let failure = tasks::run(&Joint, &task).unwrap_err();
        assert_eq!(failure.message, "the model with the most spaces has 1, expected 2 or more");
    }

    #[test]
    fn words_say_what_is_shown() {
        let (_, texts) = text_boxes(&figure().svg());
        let words = texts.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(" ");
        for text in
            ["4001 responses", "Above the line", "below \u{2212}0.10, which lie at the edge: 1.", "SIMULATED DATA"]
        {
            assert!(words.contains(text), "`{text}` is not in: {words}");
        }
        let few = [(0.1, 0.2), (0.3, 0.1)];
        for single in [None, Some("a"), Some("a space with a name that is too long for one line of a title")] {
            let single = single.map(str::to_owned);
            let pairs = Pairs { joint: "a+b".to_owned(), single, values: few.to_vec() };
            assert_readable(&draw(&pairs, &Density::new(&few, &parameters()), false));
        }
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        assert_same_bytes_twice(figure);
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        look_at("joint", figure);
    }
}
