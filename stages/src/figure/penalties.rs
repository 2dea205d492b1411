//! `figure/penalties`: how many responses chose each penalty, a panel a model.
//!
//! Penalties are places in a list and not numbers on an axis: grids span ten powers of ten, and those of the lab are partly negative.
//! Bars of penalties at an end of the list are marked, because a better one may lie beyond. All panels have one scale.

use std::collections::BTreeSet;

use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};

use super::figure_of_table::{self, shortened};
use super::space_order::OrderedSpaces;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::axes::{Scale, left_axis, ticks};
use crate::formats::drawing::{Anchor, Colour, Drawing, FigureNotes, Lettering, Stroke, WIDEST, text_width};
use crate::formats::predictions::JOINED_BY;
use crate::numeric::counts::real;

/// The kind.
pub(super) struct PenaltyHistograms;

parameters! {
    struct Parameters {
        /// the models that have a panel, in this order; none for all of them
        models: Vec<String> = Vec::new();
        /// the order of spaces in names of models, and that of models if `models` is empty; none for that of the table
        spaces: Vec<String> = Vec::new(), neutral Vec::new();
    }
}

impl StageKind for PenaltyHistograms {
    fn kind(&self) -> Kind {
        let kind =
            Kind::new("figure/penalties", 2, "Histograms of the penalties that responses chose, a panel a model")
                .input("scores", &["table/encoding"], "scores of models, with their penalties")
                .folder("figure", "figure", "figure.svg, figure.pdf, figure.png, and table.csv with the counts")
                .described(&[data_table::CSV], COLUMNS)
                .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let mut histograms = figure_of_table::read_at(task, "scores", |folder| Histograms::read(folder, &parameters))?;
        let mut notes = Vec::new();
        let left_out = histograms.models.len().saturating_sub(MOST_PANELS);
        if left_out > 0 {
            notes.push(format!("{IMPORTANT}{left_out} models have no panel: the figure has room for {MOST_PANELS}"));
            histograms.models.truncate(MOST_PANELS);
        }
        let rows = || {
            let of = |model| histograms.penalties.iter().enumerate().map(move |(at, penalty)| (model, at, penalty));
            histograms.models.iter().flat_map(of)
        };
        let table = DataTable::of(COLUMNS)
            .text("model", rows().map(|(model, ..): (&Histogram, _, _)| model.name.as_str()))
            .numbers("penalty", rows().map(|(.., penalty)| *penalty))
            .integers("n", rows().map(|(model, at, _)| i64::try_from(model.counts[at]).unwrap_or(i64::MAX)))
            .numbers("share", rows().map(|(model, at, _)| model.share(at)));
        figure_of_table::write(task, &draw(&histograms, task.simulated), table)?;
        Ok(Ended::noted(notes))
    }
}

/// What is in the table beside the figure.
const COLUMNS: &[Column] = &[
    Column::new("model", "the model: a panel"),
    Column::measured("penalty", "squared features", "a penalty that some response of some model chose"),
    Column::new("n", "responses that chose it"),
    Column::measured("share", "share of responses", "height of the bar"),
    STAMP,
];

/// A model.
#[derive(Debug, PartialEq)]
struct Histogram {
    name: String,
    /// By penalty, how many responses chose it.
    counts: Vec<usize>,
    /// Responses that chose the first or last penalty that was tried.
    at_edge: usize,
}

impl Histogram {
    fn all(&self) -> usize {
        self.counts.iter().sum()
    }

    fn share(&self, at: usize) -> f64 {
        real(self.counts[at]) / real(self.all())
    }
}

/// All models, on one list of penalties.
#[derive(Debug, PartialEq)]
struct Histograms {
    /// Ascending.
    penalties: Vec<f64>,
    models: Vec<Histogram>,
}

impl Histograms {
    fn read(folder: &std::path::Path, parameters: &Parameters) -> Result<Self, Failure> {
        let table = data_table::read(folder)?;
        let (models, penalties) = (data_table::texts(&table, "model")?, data_table::numbers(&table, "penalty")?);
        let edges = data_table::flags(&table, "at_edge")?;
        let mut names: Vec<&String> = Vec::new();
        for model in &models {
            if !names.contains(&model) {
                names.push(model);
            }
        }
        let shown = match parameters.models.is_empty() {
            true => names,
            false => named(&names, &parameters.models)?,
        };
        let mut levels = penalties.clone();
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        let of = |name: &String| {
            let rows = (0..models.len()).filter(|row| models[*row] == *name);
            let mut histogram = Histogram { name: name.clone(), counts: vec![0; levels.len()], at_edge: 0 };
            for row in rows {
                let place = levels.binary_search_by(|level| level.total_cmp(&penalties[row]));
                histogram.counts[place.unwrap_or_else(|place| place)] += 1;
                histogram.at_edge += usize::from(edges[row]);
            }
            histogram
        };
        let models: Vec<Histogram> = shown.into_iter().map(of).collect();
        let models = if parameters.spaces.is_empty() { models } else { in_order(models, parameters)? };
        Ok(Self { penalties: levels, models })
    }
}

/// The spaces of a model, in the order of its name.
fn spaces_of(model: &str) -> Vec<String> {
    model.split(JOINED_BY).map(str::to_owned).collect()
}

/// The models of these names, whose spaces may be in any order.
fn named<'a>(names: &[&'a String], asked: &[String]) -> Result<Vec<&'a String>, Failure> {
    let set = |name: &str| spaces_of(name).into_iter().collect::<BTreeSet<String>>();
    let find = |asked: &String| {
        names.iter().copied().find(|name| set(name) == set(asked)).ok_or_else(|| {
            let known = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            Failure::input(format!("there are no scores of the model `{asked}`")).hint(format!("there are {known}"))
        })
    };
    asked.iter().map(find).collect()
}

/// Models with their spaces in the asked order, and in that of their spaces where no models are named.
fn in_order(models: Vec<Histogram>, parameters: &Parameters) -> Result<Vec<Histogram>, Failure> {
    let mut ranked = Vec::with_capacity(models.len());
    for histogram in models {
        let OrderedSpaces { names, rank } = OrderedSpaces::of(&spaces_of(&histogram.name), &parameters.spaces)?;
        ranked.push((rank, Histogram { name: names.join(JOINED_BY), ..histogram }));
    }
    if parameters.models.is_empty() {
        ranked.sort_by(|a, b| a.0.cmp(&b.0));
    }
    Ok(ranked.into_iter().map(|(_, histogram)| histogram).collect())
}

/// As many panels fit on a page.
const MOST_PANELS: usize = 32;
/// Height of a panel's bars.
const PANEL: f64 = 48.0;
/// Above a panel: its name; below it: penalties.
const NAME: f64 = 13.0;
const FOOT: f64 = 16.0;
const HEAD: f64 = 34.0;
const LEFT: f64 = 42.0;
const GAP: f64 = 12.0;

const BAR: Colour = Colour::rgb(38, 110, 160);

/// Where panels lie.
struct Layout {
    step: f64,
    width: f64,
    columns: usize,
    rows: usize,
}

impl Layout {
    fn of(histograms: &Histograms) -> Self {
        let (panels, levels) = (histograms.models.len().max(1), real(histograms.penalties.len().max(1)));
        let room = WIDEST - LEFT - 10.0;
        let columns = match panels {
            1 => 1,
            2..=4 => 2,
            5..=12 => 3,
            _ => 4,
        };
        let most = (room + GAP) / real(columns) - GAP;
        let step = ((most - 6.0) / levels).min(14.0);
        Self { step, width: (step * levels + 6.0).max(90.0), columns, rows: panels.div_ceil(columns) }
    }

    /// The left and the lower end of a panel's bars.
    fn place(&self, index: usize) -> (f64, f64) {
        let (row, column) = (index / self.columns, index % self.columns);
        (LEFT + (self.width + GAP) * real(column), HEAD + (NAME + PANEL + FOOT) * real(row) + NAME + PANEL)
    }
}

fn draw(histograms: &Histograms, simulated: bool) -> Drawing {
    let layout = Layout::of(histograms);
    let right = layout.place(layout.columns.min(histograms.models.len().max(1)) - 1).0 + layout.width;
    let width = (right + 10.0).max(300.0);
    let notes = FigureNotes::new(&notes(histograms), width - 20.0, (6.5, 9.0));
    let bottom = HEAD + (NAME + PANEL + FOOT) * real(layout.rows);
    let mut drawing = Drawing::new(width, bottom + 12.0 + notes.height() + 6.0, "Penalties that were chosen");
    drawing.text((10.0, 11.0), "Penalties that responses chose", Lettering::new(9.0));
    if simulated {
        drawing.simulated_stamp((width - 8.0, 5.0));
    }
    let shares = histograms.models.iter().flat_map(|model| (0..model.counts.len()).map(|at| model.share(at)));
    let highest = shares.fold(0.05, f64::max);
    for (index, model) in histograms.models.iter().enumerate() {
        let (left, bottom) = layout.place(index);
        let scale = Scale::new((0.0, highest * 1.04), (bottom, bottom - PANEL));
        let (values, step) = ticks(0.0, highest, 3);
        let name = shortened(&model.name, layout.width, 7.0);
        drawing.text((left, bottom - PANEL - 6.0), &name, Lettering::new(7.0));
        for value in &values {
            drawing.line(
                (left, scale.at(*value)),
                (left + layout.width, scale.at(*value)),
                Stroke::new(Colour::FAINT, 0.5),
            );
        }
        for at in (0..model.counts.len()).filter(|at| model.counts[*at] > 0) {
            let (x, top) = (left + 3.0 + layout.step * real(at), scale.at(model.share(at)));
            drawing.rectangle((x + layout.step * 0.1, top), layout.step * 0.8, bottom - top, 0.0, BAR);
        }
        drawing.line((left, bottom), (left + layout.width, bottom), Stroke::new(Colour::INK, 0.6));
        if index % layout.columns == 0 {
            left_axis(&mut drawing, left, &scale, &values, step, 6.5);
        }
        penalty_axis(&mut drawing, &histograms.penalties, &layout, (left, bottom));
    }
    let middle = Lettering::new(7.0).anchor(Anchor::Middle);
    drawing.text((f64::midpoint(LEFT, right), bottom + 4.0), "penalty", middle);
    drawing.text((10.0, f64::midpoint(HEAD + NAME, bottom - FOOT)), "share of responses", middle.turn(-90.0));
    notes.draw(&mut drawing, (10.0, bottom + 12.0));
    drawing
}

/// Penalties below a panel; every second one and so on where they would touch, counted from the last one.
fn penalty_axis(drawing: &mut Drawing, penalties: &[f64], layout: &Layout, (left, bottom): (f64, f64)) {
    let words: Vec<String> = penalties.iter().map(|penalty| short(*penalty)).collect();
    let widest = words.iter().map(|word| text_width(word, 5.5)).fold(0.0, f64::max);
    let every = (1..=words.len()).find(|every| layout.step * real(*every) > widest + 2.0).unwrap_or(words.len().max(1));
    for (at, word) in words.iter().enumerate().rev().step_by(every) {
        let x = left + 3.0 + layout.step * (real(at) + 0.5);
        drawing.line((x, bottom), (x, bottom + 2.0), Stroke::new(Colour::INK, 0.5));
        drawing.text((x, bottom + 7.0), word, Lettering::new(5.5).anchor(Anchor::Middle));
    }
}

/// A penalty in two or three digits: `0.0062`, `0.32`, `7.9`, `316`, `1.3e4`.
fn short(penalty: f64) -> String {
    let size = penalty.abs();
    let text = match () {
        () if penalty == 0.0 => "0".to_owned(),
        () if (0.001..0.01).contains(&size) => format!("{penalty:.4}"),
        () if (0.01..0.1).contains(&size) => format!("{penalty:.3}").trim_end_matches('0').to_owned(),
        () if (0.1..1.0).contains(&size) => format!("{penalty:.2}").trim_end_matches('0').to_owned(),
        () if (1.0..10.0).contains(&size) => format!("{penalty:.1}").trim_end_matches(".0").to_owned(),
        () if (10.0..1000.0).contains(&size) => format!("{penalty:.0}"),
        () => format!("{penalty:.1e}").replace(".0e", "e"),
    };
    text.replace('-', "\u{2212}")
}

fn notes(histograms: &Histograms) -> Vec<String> {
    let mut notes = vec!["A bar: responses whose best penalty it was, over several folds the median one.".to_owned()];
    let edges: Vec<String> = histograms
        .models
        .iter()
        .filter(|model| model.at_edge > 0)
        .map(|model| format!("{} {:.0} %", model.name, 100.0 * real(model.at_edge) / real(model.all())))
        .collect();
    if !edges.is_empty() {
        notes.push(format!("Chose the first or last penalty that was tried: {}.", edges.join(", ")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::figures::{assert_readable, assert_same_bytes_twice, look_at};
    use crate::test_support::tasks;
    use pipe_contract::Value;

    fn example(models: usize, penalties: &[f64]) -> Histograms {
        let peak = |model: usize| 0.35 + 0.05 * real(model % 7);
        let count = |model: usize, at: usize| {
            let away = real(at) / real(penalties.len()) - peak(model);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "made for a test")]
            let count = (4000.0 * (-40.0 * away * away).exp()) as usize;
            count + usize::from(at + 1 == penalties.len()) * 900
        };
        let spaces = ["Conv1", "Conv2", "Conv3", "Conv4", "Conv5"];
        let name =
            |set: usize| (0..5).filter(|bit| set >> bit & 1 == 1).map(|bit| spaces[bit]).collect::<Vec<_>>().join("+");
        let model = |at: usize| {
            let counts: Vec<usize> = (0..penalties.len()).map(|level| count(at, level)).collect();
            Histogram { name: name(at + 1), at_edge: counts[counts.len() - 1], counts }
        };
        Histograms { penalties: penalties.to_vec(), models: (0..models).map(model).collect() }
    }

    fn grid() -> Vec<f64> {
        (0..20).map(|at| 10f64.powf(f64::from(at) * 0.5 - 1.0)).collect()
    }

    fn lab() -> Vec<f64> {
        [&[-0.0099, -0.009_454, -0.007_024, 0.006_238][..], &[0.0786, 0.4733, 2.627, 14.37, 78.5, 428.0, 1e10]].concat()
    }

    #[test]
    fn any_number_of_models_is_readable() {
        for (models, penalties) in [(1, vec![100.0]), (3, grid()), (7, lab()), (31, grid())] {
            let drawing = draw(&example(models, &penalties), true);
            assert!(drawing.width() <= WIDEST + 1e-9, "{models}: {}", drawing.width());
            assert_readable(&drawing);
        }
    }

    #[test]
    fn penalties_are_short() {
        let words = [-0.009_454, 0.0, 0.0786, 0.316_2, 0.5, 2.627, 78.466, 12_742.7, 1e10, 1e-5].map(short);
        let expected = ["\u{2212}0.0095", "0", "0.079", "0.32", "0.5", "2.6", "78", "1.3e4", "1e10", "1e\u{2212}5"];
        assert_eq!(words, expected);
    }

    #[test]
    fn runs_from_scores_to_counts() {
        let folder = tempfile::tempdir().unwrap();
        let table = DataTable::new()
            .text("model", ["a", "a", "a", "b", "b", "b"])
            .numbers("penalty", [1.0, 100.0, 100.0, 10.0, 10.0, 1.0])
            .flags("at_edge", [true, true, true, false, false, true]);
        data_table::write(&folder.path().join("given"), &mut table.build().unwrap()).unwrap();
        let mut task = tasks::task(&PenaltyHistograms, folder.path());
        tasks::give(&mut task, "scores", &folder.path().join("given"));
        tasks::run(&PenaltyHistograms, &task).unwrap();
        let csv = fs_err::read_to_string(task.output("figure").unwrap().join(data_table::CSV)).unwrap();
        let third = 1.0 / 3.0;
        let expected = format!(
            "model,penalty,n,share\na,1.0,1,{third}\na,10.0,0,0.0\na,100.0,2,{two}\nb,1.0,1,{third}\nb,10.0,2,{two}\nb,100.0,0,0.0\n",
            two = 2.0 / 3.0
        );
        assert_eq!(csv, expected);
        let svg = fs_err::read_to_string(task.output("figure").unwrap().join("figure.svg")).unwrap();
        assert!(svg.contains("a 100 %, b 33 %"));
        tasks::set(&mut task, "models", Value::List(vec![Value::Text("b".into())]));
        tasks::run(&PenaltyHistograms, &task).unwrap();
        let csv = fs_err::read_to_string(task.output("figure").unwrap().join(data_table::CSV)).unwrap();
        assert!(!csv.contains("\na,"));
        tasks::set(&mut task, "models", Value::List(vec![Value::Text("c".into())]));
        assert!(tasks::run(&PenaltyHistograms, &task).unwrap_err().message.contains("no scores of the model `c`"));
    }

    #[test]
    fn models_come_in_the_order_of_spaces_and_not_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let models = ["early", "late", "middle", "early+late", "early+middle", "late+middle", "early+late+middle"];
        let table = DataTable::new()
            .text("model", models)
            .numbers("penalty", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
            .flags("at_edge", [false; 7]);
        data_table::write(&folder.path().join("given"), &mut table.build().unwrap()).unwrap();
        let mut task = tasks::task(&PenaltyHistograms, folder.path());
        tasks::give(&mut task, "scores", &folder.path().join("given"));
        let texts = |words: &[&str]| Value::List(words.iter().map(|word| Value::Text((*word).into())).collect());
        let panels = |task: &pipe_contract::Task| {
            tasks::run(&PenaltyHistograms, task).unwrap();
            let csv = fs_err::read_to_string(task.output("figure").unwrap().join(data_table::CSV)).unwrap();
            let chosen = csv.lines().filter(|line| line.ends_with(",1,1.0"));
            chosen.map(|line| line.trim_end_matches(",1,1.0").to_owned()).collect::<Vec<String>>()
        };
        tasks::set(&mut task, "spaces", texts(&["early", "middle", "late", "other"]));
        let expected = [
            "early,1.0",
            "middle,3.0",
            "late,2.0",
            "early+middle,5.0",
            "early+late,4.0",
            "middle+late,6.0",
            "early+middle+late,7.0",
        ];
        assert_eq!(panels(&task), expected);
        tasks::set(&mut task, "models", texts(&["middle+early+late", "late"]));
        assert_eq!(panels(&task), ["early+middle+late,7.0", "late,2.0"]);
        tasks::set(&mut task, "spaces", texts(&["early", "late"]));
        let failure = tasks::run(&PenaltyHistograms, &task).unwrap_err();
        assert_eq!(failure.message, "`spaces` lacks `middle`, which is in the table");
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        assert_same_bytes_twice(|| draw(&example(7, &grid()), true));
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        look_at("penalties", || draw(&example(7, &grid()), true));
        look_at("penalties_of_the_lab", || draw(&example(2, &lab()), false));
        look_at("penalties_of_31_models", || draw(&example(31, &grid()), true));
    }
}
