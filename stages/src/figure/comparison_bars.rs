//! `figure/comparison`: how well models predict the RDMs of subjects, a panel a group and measure.
//!
//! A bar is the mean similarity of a model, with its interval; a grey band is the noise ceiling. A dot below a bar says that its similarity
//! is above 0, a ring that this is not shown; lines above bars join models that differ, each line two of them. All marks are corrected for
//! their family as asked. Every panel has a scale of its own, because measures do. Names of models stand upright below the last row of
//! marks, so that long ones fit.

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::{Arity, Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, choice, parameters};

use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::axes::{Scale, left_axis, ticks};
use crate::formats::drawing::{Anchor, Colour, Drawing, FigureNotes, Lettering, Stroke, WIDEST, save, text_width};
use crate::numeric::counts::real;

/// The kind.
pub(super) struct ComparisonBars;

parameters! {
    struct Parameters {
        /// the models that have a bar, in this order; none for all of the table
        models: Vec<String> = Vec::new();
        /// the order of the bars: `as_given`, or the highest first in every panel
        order: BarOrder = BarOrder::AsGiven;
        /// how marks are corrected for their family
        correction: MarkCorrection = MarkCorrection::Holm;
        /// p or rate up to which there is a mark
        alpha: f64 = 0.05, in 0.0..=1.0;
    }
}

choice! {
    /// The order of the bars of a panel.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum BarOrder {
        /// That of the table or of `models`.
        AsGiven = "as_given",
        /// The highest first.
        Highest = "highest",
    }
}

choice! {
    /// Which probability a mark is of.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum MarkCorrection {
        /// Holm's, for all models or pairs of a panel.
        Holm = "holm",
        /// The false discovery rate over the same.
        Fdr = "fdr",
        /// None.
        Uncorrected = "none",
    }
}

impl MarkCorrection {
    fn column(self) -> &'static str {
        match self {
            Self::Holm => "p_holm",
            Self::Fdr => "q",
            Self::Uncorrected => "p",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Holm => "p by Holm's correction",
            Self::Fdr => "false discovery rate",
            Self::Uncorrected => "p, not corrected for the number of tests",
        }
    }
}

/// What is in the table beside the figure.
const COLUMNS: &[Column] = &[
    Column::new("group", "the group of the data: a panel"),
    Column::new("measure", "how alike two RDMs are: a panel"),
    Column::new("model", "the model: a bar"),
    Column::measured("similarity", "the measure", "height of the bar: the mean over subjects"),
    Column::measured("low", "the measure", "lower end of the interval; empty without one"),
    Column::measured("high", "the measure", "upper end of the interval"),
    Column::measured("ceiling_low", "the measure", "lower end of the band; empty without one"),
    Column::measured("ceiling_high", "the measure", "upper end of the band"),
    Column::measured("p", "probability", "what the dot is of, corrected as asked; empty without a test"),
    Column::new("above_zero", "true: a dot"),
    Column::new("differs_from", "the models that a line joins it to, divided by ;"),
    STAMP,
];

impl StageKind for ComparisonBars {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "figure/comparison",
            1,
            "Bars of the similarity of models with data, with noise ceiling and differences",
        )
        .input("table", &["table/rdm-comparison"], "what models reach, as `rdm/compare` and `rdm/combine` have it")
        .port("differences", &["table/rdm-differences"], Arity::One, true, "how models differ, for lines above bars")
        .folder("figure", "figure", "figure.svg, figure.pdf, figure.png, and table.csv with the bars")
        .described(&[data_table::CSV], COLUMNS)
        .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let at = |path: &Path| {
            let place = path.display().to_string();
            move |failure: Failure| failure.at(place.clone())
        };
        let path = task.one("table")?;
        let bars = read_bars(path, &parameters).map_err(at(path))?;
        let lines = match task.maybe("differences") {
            Some(path) => read_lines(path, &parameters).map_err(at(path))?,
            None => Vec::new(),
        };
        let (panels, left_out) = panels(bars, &lines, &parameters).map_err(at(path))?;
        let folder = task.output("figure")?;
        save(&draw(&panels, &parameters, task.simulated), folder)?;
        write_table(&panels, task.simulated, folder)?;
        let mut notes: Vec<String> =
            without_lines(&panels).map(|note| format!("{IMPORTANT}{note}")).into_iter().collect();
        if left_out > 0 {
            notes.push(format!(
                "{IMPORTANT}{left_out} models have no bar: a panel has room for the {MOST_BARS} highest"
            ));
        }
        Ok(Ended::noted(notes))
    }
}

/// A model in a panel.
#[derive(Clone, Debug, PartialEq)]
struct ModelBar {
    panel: (String, String),
    model: String,
    similarity: f64,
    interval: Option<(f64, f64)>,
    level: Option<f64>,
    ceiling: Option<(f64, f64)>,
    p: Option<f64>,
    above_zero: bool,
}

/// Two models of a panel that differ.
#[derive(Clone, Debug, PartialEq)]
struct DifferenceLine {
    panel: (String, String),
    models: [String; 2],
}

fn read_bars(folder: &Path, parameters: &Parameters) -> Result<Vec<ModelBar>, Failure> {
    let table = data_table::read(folder)?;
    let texts = |name: &str| data_table::texts(&table, name);
    let numbers = |name: &str| data_table::maybe_numbers(&table, name);
    let (groups, measures, models) = (texts("group")?, texts("measure")?, texts("model")?);
    let (similarities, lows, highs) = (data_table::numbers(&table, "similarity")?, numbers("low")?, numbers("high")?);
    let (bottoms, tops, levels) = (numbers("ceiling_low")?, numbers("ceiling_high")?, numbers("level")?);
    let p = numbers(parameters.correction.column())?;
    let bar = |row: usize| ModelBar {
        panel: (groups[row].clone(), measures[row].clone()),
        model: models[row].clone(),
        similarity: similarities[row],
        interval: lows[row].zip(highs[row]),
        level: levels[row],
        ceiling: bottoms[row].zip(tops[row]),
        p: p[row],
        above_zero: p[row].is_some_and(|p| p <= parameters.alpha),
    };
    let bars: Vec<ModelBar> = (0..models.len()).map(bar).collect();
    if bars.is_empty() {
        return Err(Failure::input("there are no models, expected at least one"));
    }
    Ok(bars)
}

/// The pairs that differ.
fn read_lines(folder: &Path, parameters: &Parameters) -> Result<Vec<DifferenceLine>, Failure> {
    let table = data_table::read(folder)?;
    let texts = |name: &str| data_table::texts(&table, name);
    let (groups, measures) = (texts("group")?, texts("measure")?);
    let (models, others) = (texts("model")?, texts("other")?);
    let p = data_table::maybe_numbers(&table, parameters.correction.column())?;
    let line = |row: usize| DifferenceLine {
        panel: (groups[row].clone(), measures[row].clone()),
        models: [models[row].clone(), others[row].clone()],
    };
    Ok((0..p.len()).filter(|row| p[*row].is_some_and(|p| p <= parameters.alpha)).map(line).collect())
}

/// The bars of a group and measure.
#[derive(Debug)]
struct ComparisonPanel {
    group: String,
    measure: String,
    bars: Vec<ModelBar>,
    /// Places of bars that differ.
    differing: Vec<[usize; 2]>,
    /// The same with the level on which their line lies; none where lines would be too many.
    lines: Vec<([usize; 2], usize)>,
}

impl ComparisonPanel {
    fn lacks_lines(&self) -> bool {
        self.differing.len() > self.lines.len()
    }

    /// The group and measure.
    fn name(&self) -> String {
        if self.group.is_empty() { self.measure.clone() } else { format!("{}, {}", self.group, self.measure) }
    }
}

/// More bars than this cannot be read at the width of a page.
const MOST_BARS: usize = 40;
/// More lines than this say less than the table.
const MOST_LINES: usize = 66;

/// The panels in the order of the table, and how many models have no bar.
fn panels(
    bars: Vec<ModelBar>,
    lines: &[DifferenceLine],
    parameters: &Parameters,
) -> Result<(Vec<ComparisonPanel>, usize), Failure> {
    for model in &parameters.models {
        if !bars.iter().any(|bar| bar.model == *model) {
            let mut known: Vec<String> = bars.iter().map(|bar| format!("`{}`", bar.model)).collect();
            known.sort();
            known.dedup();
            return Err(
                Failure::input(format!("there is no model `{model}`")).hint(format!("there are {}", known.join(", ")))
            );
        }
    }
    let mut found: Vec<((String, String), Vec<ModelBar>)> = Vec::new();
    for bar in bars {
        match found.iter_mut().find(|(panel, _)| *panel == bar.panel) {
            Some((_, own)) => own.push(bar),
            None => found.push((bar.panel.clone(), vec![bar])),
        }
    }
    let (mut panels, mut left_out) = (Vec::new(), 0);
    for (panel, mut own) in found {
        if !parameters.models.is_empty() {
            let place = |bar: &ModelBar| parameters.models.iter().position(|model| *model == bar.model);
            own.retain(|bar| place(bar).is_some());
            own.sort_by_key(place);
        }
        if parameters.order == BarOrder::Highest || own.len() > MOST_BARS {
            own.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        }
        left_out += own.len().saturating_sub(MOST_BARS);
        own.truncate(MOST_BARS);
        let differing = differing(&own, lines.iter().filter(|line| line.panel == panel));
        let lines = if differing.len() > MOST_LINES { Vec::new() } else { stacked(&differing) };
        panels.push(ComparisonPanel { group: panel.0, measure: panel.1, bars: own, differing, lines });
    }
    Ok((panels, left_out))
}

/// The places of bars that differ, short distances first.
fn differing<'a>(bars: &[ModelBar], lines: impl Iterator<Item = &'a DifferenceLine>) -> Vec<[usize; 2]> {
    let place = |model: &String| bars.iter().position(|bar| bar.model == *model);
    let mut ends: Vec<[usize; 2]> = lines
        .filter_map(|line| {
            let (one, other) = (place(&line.models[0])?, place(&line.models[1])?);
            Some([one.min(other), one.max(other)])
        })
        .collect();
    ends.sort_by_key(|[left, right]| (right - left, *left));
    ends
}

/// Lines on the lowest level on which none lies over them.
fn stacked(ends: &[[usize; 2]]) -> Vec<([usize; 2], usize)> {
    let mut levels: Vec<Vec<[usize; 2]>> = Vec::new();
    let mut found = Vec::new();
    for [left, right] in ends.iter().copied() {
        let free = |level: &Vec<[usize; 2]>| level.iter().all(|[from, to]| right < *from || left > *to);
        let level = levels.iter().position(free).unwrap_or_else(|| {
            levels.push(Vec::new());
            levels.len() - 1
        });
        levels[level].push([left, right]);
        found.push(([left, right], level));
    }
    found
}

const BAR: Colour = Colour::rgb(38, 110, 160);
const BAND: Colour = Colour::rgb(222, 222, 226);

/// Height of the bars of a panel.
const PANEL: f64 = 110.0;
/// Above a panel: its name.
const NAME: f64 = 15.0;
/// Above the first panel: title.
const HEAD: f64 = 24.0;
/// Left of a panel: numbers and the measure.
const LEFT: f64 = 44.0;
/// Below the bars: marks.
const MARKS: f64 = 12.0;
/// Between two lines.
const LEVEL: f64 = 3.0;
/// Size of the names of models, and the least distance of two of them.
const LETTERS: f64 = 6.5;
const LEAST_STEP: f64 = 9.0;

/// Where panels lie: as many beside each other as fit.
struct BarLayout {
    step: f64,
    width: f64,
    columns: usize,
    rows: Vec<f64>,
    /// Room for lines above the bars and for names below them, the same in all panels.
    lines: f64,
    names: f64,
}

impl BarLayout {
    fn of(panels: &[ComparisonPanel]) -> Self {
        let bars = panels.iter().map(|panel| panel.bars.len()).max().unwrap_or(1).max(1);
        let room = WIDEST - 12.0;
        let step = ((room - LEFT - 6.0) / real(bars)).clamp(LEAST_STEP, 22.0);
        let width = (LEFT + step * real(bars) + 6.0).max(LEFT + 60.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few panels")]
        let most = ((room / width).floor() as usize).max(1);
        let rows = panels.len().div_ceil(most);
        let columns = panels.len().div_ceil(rows.max(1)).max(1);
        let levels = panels.iter().flat_map(|panel| &panel.lines).map(|(_, level)| level + 1).max().unwrap_or(0);
        let widest = panels.iter().flat_map(|panel| &panel.bars).map(|bar| text_width(&bar.model, LETTERS));
        let (lines, names) = (LEVEL * real(levels) + 4.0, widest.fold(0.0, f64::max) + 6.0);
        let height = NAME + lines + PANEL + MARKS + names + 6.0;
        Self { step, width, columns, rows: (0..rows).map(|row| HEAD + height * real(row)).collect(), lines, names }
    }

    /// The left end of a panel's bars, and their lower end.
    fn place(&self, index: usize) -> (f64, f64) {
        let (row, column) = (index / self.columns, index % self.columns);
        (LEFT + self.width * real(column), self.rows[row] + NAME + self.lines + PANEL)
    }

    fn bottom(&self) -> f64 {
        self.rows.last().map_or(HEAD, |top| top + NAME + self.lines + PANEL + MARKS + self.names + 6.0)
    }

    fn x(&self, left: f64, bar: usize) -> f64 {
        left + 3.0 + self.step * (real(bar) + 0.5)
    }
}

fn draw(panels: &[ComparisonPanel], parameters: &Parameters, simulated: bool) -> Drawing {
    let layout = BarLayout::of(panels);
    let width = (layout.width * real(layout.columns) + 12.0).clamp(300.0, WIDEST);
    let notes = FigureNotes::new(&notes(panels, parameters), width - 20.0, (6.5, 9.0));
    let mut drawing = Drawing::new(width, layout.bottom() + notes.height() + 8.0, "Models compared with data");
    drawing.text((10.0, 11.0), "How alike models and data are", Lettering::new(9.0));
    if simulated {
        drawing.simulated_stamp((width - 8.0, 5.0));
    }
    for (index, panel) in panels.iter().enumerate() {
        draw_panel(&mut drawing, panel, &layout, layout.place(index));
    }
    notes.draw(&mut drawing, (10.0, layout.bottom() + 2.0));
    drawing
}

fn draw_panel(drawing: &mut Drawing, panel: &ComparisonPanel, layout: &BarLayout, (left, bottom): (f64, f64)) {
    let right = left + layout.step * real(panel.bars.len()) + 6.0;
    let top = bottom - PANEL;
    let scale = value_scale(panel, (bottom, top));
    let name = shortened(&panel.name(), layout.width - 14.0);
    drawing.text((left - LEFT + 10.0, top - layout.lines - 7.0), &name, Lettering::new(7.0));
    if let Some((low, high)) = panel.bars.iter().find_map(|bar| bar.ceiling) {
        let (low, high) = (scale.at(low), scale.at(high));
        // At least a line where both ends are the same.
        drawing.rectangle((left, high), right - left, (low - high).max(0.6), 0.0, BAND);
    }
    let (values, step) = ticks(scale.values.0, scale.values.1, 5);
    for value in &values {
        drawing.line((left, scale.at(*value)), (right, scale.at(*value)), Stroke::new(Colour::FAINT, 0.5));
    }
    left_axis(drawing, left, &scale, &values, step, 6.5);
    for (index, bar) in panel.bars.iter().enumerate() {
        draw_bar(drawing, bar, &scale, layout.x(left, index), layout.step * 0.66);
        mark(drawing, bar, (layout.x(left, index), bottom + MARKS / 2.0));
        let upright = Lettering::new(LETTERS).anchor(Anchor::End).turn(-90.0);
        drawing.text((layout.x(left, index), bottom + MARKS + 1.0), &bar.model, upright);
    }
    drawing.line((left, scale.at(0.0)), (right, scale.at(0.0)), Stroke::new(Colour::INK, 0.6));
    for ([one, other], level) in &panel.lines {
        let y = top - 2.0 - LEVEL * (real(*level) + 0.5);
        drawing.line((layout.x(left, *one), y), (layout.x(left, *other), y), Stroke::new(Colour::INK, 0.7));
        drawing.dots([(layout.x(left, *one), y), (layout.x(left, *other), y)], 0.9, Colour::INK, 1.0);
    }
}

/// A name that fits above its panel.
fn shortened(name: &str, width: f64) -> String {
    let mut kept = name.to_owned();
    let mut shown = kept.clone();
    while !kept.is_empty() && text_width(&shown, 7.0) > width {
        kept.pop();
        shown = format!("{kept}\u{2026}");
    }
    shown
}

fn draw_bar(drawing: &mut Drawing, bar: &ModelBar, scale: &Scale, x: f64, width: f64) {
    let (zero, end) = (scale.at(0.0), scale.at(bar.similarity));
    drawing.rectangle((x - width / 2.0, zero.min(end)), width, (zero - end).abs(), 0.0, BAR);
    if let Some((low, high)) = bar.interval {
        let (low, high, half) = (scale.at(low), scale.at(high), (width / 3.0).min(2.0));
        let foot = |y: f64| vec![(x - half, y), (x + half, y)];
        drawing.lines(&[vec![(x, low), (x, high)], foot(low), foot(high)], Stroke::new(Colour::INK, 0.6));
    }
}

/// A dot where the similarity is above 0, a ring where that is not shown, nothing without a test.
fn mark(drawing: &mut Drawing, bar: &ModelBar, at: (f64, f64)) {
    match bar.p {
        Some(_) if bar.above_zero => drawing.dots([at], 2.0, Colour::INK, 1.0),
        Some(_) => drawing.ring(at, 1.8, Stroke::new(Colour::QUIET, 0.6)),
        None => {}
    }
}

/// Zero, all bars, intervals and the ceiling, with some air.
fn value_scale(panel: &ComparisonPanel, places: (f64, f64)) -> Scale {
    let ends = |bar: &ModelBar| {
        let pairs = [bar.interval, bar.ceiling].into_iter().flatten();
        pairs.flat_map(|(low, high)| [low, high]).chain([bar.similarity]).collect::<Vec<f64>>()
    };
    let all: Vec<f64> = panel.bars.iter().flat_map(ends).collect();
    let low = all.iter().copied().fold(0.0, f64::min);
    let high = all.iter().copied().fold(0.0, f64::max);
    let air = ((high - low) * 0.05).max(1e-6);
    Scale::new((if low < 0.0 { low - air } else { 0.0 }, high + air), places)
}

fn notes(panels: &[ComparisonPanel], parameters: &Parameters) -> Vec<String> {
    let bars = || panels.iter().flat_map(|panel| &panel.bars);
    let mut notes = vec!["A bar: the mean over subjects of the similarity of a model's RDM with theirs.".to_owned()];
    if let Some(level) = bars().find_map(|bar| bar.level) {
        notes.push(format!("Error bars: {:.0} % intervals from resamples.", level * 100.0));
    }
    if bars().any(|bar| bar.ceiling.is_some()) {
        notes.push(
            "Grey: the noise ceiling, from what a true model is expected to reach to what no model exceeds.".to_owned(),
        );
    }
    if bars().any(|bar| bar.p.is_some()) {
        let (words, alpha) = (parameters.correction.words(), parameters.alpha);
        notes.push(format!(
            "Dots: above 0; rings: not shown to be. Lines: models that differ ({words}, up to {alpha})."
        ));
    }
    notes.extend(without_lines(panels));
    notes
}

/// What is said of panels in which pairs differ, but too many for lines.
fn without_lines(panels: &[ComparisonPanel]) -> Option<String> {
    let names: Vec<String> = panels
        .iter()
        .filter(|panel| panel.lacks_lines())
        .map(|panel| format!("{} ({} pairs)", panel.name(), panel.differing.len()))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "More than {MOST_LINES} pairs of models differ, too many for lines; table.csv lists them: {}.",
            names.join("; ")
        )
    })
}

fn write_table(panels: &[ComparisonPanel], simulated: bool, folder: &Path) -> Result<(), Failure> {
    let rows: Vec<(&ComparisonPanel, usize, &ModelBar)> =
        panels.iter().flat_map(|panel| panel.bars.iter().enumerate().map(move |(at, bar)| (panel, at, bar))).collect();
    let differs = |(panel, at, _): &(&ComparisonPanel, usize, &ModelBar)| {
        let mut others: BTreeMap<usize, &str> = BTreeMap::new();
        for [one, other] in &panel.differing {
            if one == at {
                others.insert(*other, &panel.bars[*other].model);
            } else if other == at {
                others.insert(*one, &panel.bars[*one].model);
            }
        }
        others.into_values().collect::<Vec<&str>>().join(";")
    };
    let mut table = DataTable::of(COLUMNS)
        .text("group", rows.iter().map(|(panel, ..)| panel.group.as_str()))
        .text("measure", rows.iter().map(|(panel, ..)| panel.measure.as_str()))
        .text("model", rows.iter().map(|(.., bar)| bar.model.as_str()))
        .numbers("similarity", rows.iter().map(|(.., bar)| bar.similarity))
        .optional_numbers("low", rows.iter().map(|(.., bar)| Some(bar.interval?.0)))
        .optional_numbers("high", rows.iter().map(|(.., bar)| Some(bar.interval?.1)))
        .optional_numbers("ceiling_low", rows.iter().map(|(.., bar)| Some(bar.ceiling?.0)))
        .optional_numbers("ceiling_high", rows.iter().map(|(.., bar)| Some(bar.ceiling?.1)))
        .optional_numbers("p", rows.iter().map(|(.., bar)| bar.p))
        .flags("above_zero", rows.iter().map(|(.., bar)| bar.above_zero))
        .text("differs_from", rows.iter().map(differs))
        .stamped(simulated)
        .build()?;
    data_table::write_csv(&folder.join(data_table::CSV), &mut table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::drawing::text_boxes;
    use crate::test_support::figures::{assert_readable, assert_same_bytes_twice, look_at};
    use crate::test_support::tasks;
    use pipe_contract::Value;

    fn parameters() -> Parameters {
        Parameters { models: Vec::new(), order: BarOrder::AsGiven, correction: MarkCorrection::Holm, alpha: 0.05 }
    }

    const NAMES: [&str; 8] =
        ["animacy", "FaceBodyManmadeNatobj", "monkeyIT", "EVA", "HMAX", "V1", "Silhouette", "RADON"];

    fn example(models: usize, groups: &[&str], measures: &[&str]) -> Vec<ModelBar> {
        let mut bars = Vec::new();
        for group in groups {
            for (number, measure) in measures.iter().enumerate() {
                for model in 0..models {
                    let similarity = 0.3 / (1.0 + real(model)) - 0.02 + 0.01 * real(number);
                    let name = NAMES[model % 8];
                    bars.push(ModelBar {
                        panel: ((*group).to_owned(), (*measure).to_owned()),
                        model: if model < 8 { name.to_owned() } else { format!("{name}{model}") },
                        similarity,
                        interval: Some((similarity - 0.05, similarity + 0.05)),
                        level: Some(0.95),
                        ceiling: Some((0.26, 0.38)),
                        p: Some(if model < 3 { 0.01 } else { 0.3 }),
                        above_zero: model < 3,
                    });
                }
            }
        }
        bars
    }

    /// Every model differs from the first two.
    fn lines(bars: &[ModelBar]) -> Vec<DifferenceLine> {
        let mut found = Vec::new();
        for bar in bars {
            for first in NAMES[..2].iter().filter(|first| **first != bar.model) {
                found.push(DifferenceLine {
                    panel: bar.panel.clone(),
                    models: [(*first).to_owned(), bar.model.clone()],
                });
            }
        }
        found
    }

    fn figure(models: usize, groups: &[&str], measures: &[&str]) -> Drawing {
        let bars = example(models, groups, measures);
        let lines = lines(&bars);
        let (panels, _) = panels(bars, &lines, &parameters()).unwrap();
        draw(&panels, &parameters(), true)
    }

    #[test]
    fn any_number_of_models_and_panels_is_readable() {
        for (models, groups, measures) in [
            (1, &[""][..], &["rho_a"][..]),
            (8, &["hIT"], &["rho_a", "whitened_cosine"]),
            (8, &["V1", "V4", "hIT"], &["tau_a"]),
            (40, &[""], &["cosine"]),
            (3, &["V1", "V2", "V3", "V4", "hIT", "FFA", "PPA"], &["spearman"]),
        ] {
            let drawing = figure(models, groups, measures);
            assert!(drawing.width() <= WIDEST + 1e-9, "{models}: {}", drawing.width());
            assert_readable(&drawing);
        }
    }

    #[test]
    fn lines_that_would_touch_lie_above_each_other() {
        let bars = example(4, &[""], &["rho_a"]);
        let line = |one: usize, other: usize| DifferenceLine {
            panel: bars[0].panel.clone(),
            models: [NAMES[one].to_owned(), NAMES[other].to_owned()],
        };
        let all = [line(0, 3), line(2, 3), line(0, 1), line(2, 1)];
        let found = stacked(&differing(&bars, all.iter()));
        assert_eq!(found, [([0, 1], 0), ([1, 2], 1), ([2, 3], 0), ([0, 3], 2)]);
        let unknown = DifferenceLine { panel: bars[0].panel.clone(), models: ["V1".to_owned(), "none".to_owned()] };
        assert!(differing(&bars, [&unknown].into_iter()).is_empty());
    }

    /// All pairs of thirteen models differ: 78.
    #[test]
    fn too_many_lines_are_said_and_listed() {
        let bars = example(13, &["hIT"], &["rho_a"]);
        let names: Vec<String> = bars.iter().map(|bar| bar.model.clone()).collect();
        let pairs =
            names.iter().enumerate().flat_map(|(at, one)| names[at + 1..].iter().map(move |other| [one, other]));
        let line =
            |models: [&String; 2]| DifferenceLine { panel: bars[0].panel.clone(), models: models.map(Clone::clone) };
        let lines: Vec<DifferenceLine> = pairs.map(line).collect();
        let (panels, _) = panels(bars.clone(), &lines, &parameters()).unwrap();
        assert!(panels[0].lines.is_empty() && panels[0].differing.len() == 78);
        let drawing = draw(&panels, &parameters(), false);
        assert_readable(&drawing);
        let (_, texts) = text_boxes(&drawing.svg());
        let all = texts.into_iter().map(|(text, _)| text).collect::<Vec<String>>().join(" ");
        assert!(all.contains("More than 66 pairs of models differ") && all.contains("hIT, rho_a (78 pairs)"), "{all}");
        let folder = tempfile::tempdir().unwrap();
        write_table(&panels, false, folder.path()).unwrap();
        let csv = fs_err::read_to_string(folder.path().join(data_table::CSV)).unwrap();
        let last = csv.lines().last().unwrap();
        assert_eq!(last.matches(';').count(), 11, "the last model differs from the twelve others: {last}");
    }

    #[test]
    fn models_are_chosen_and_the_highest_of_many_are_shown() {
        let chosen = Parameters { models: vec!["EVA".to_owned(), "animacy".to_owned()], ..parameters() };
        let (found, left_out) = panels(example(8, &[""], &["rho_a"]), &[], &chosen).unwrap();
        let names: Vec<&str> = found[0].bars.iter().map(|bar| bar.model.as_str()).collect();
        assert_eq!((names, left_out), (vec!["EVA", "animacy"], 0));
        let highest = Parameters { order: BarOrder::Highest, ..chosen };
        let (found, _) = panels(example(8, &[""], &["rho_a"]), &[], &highest).unwrap();
        assert_eq!(found[0].bars[0].model, "animacy");
        let (found, left_out) = panels(example(45, &[""], &["rho_a"]), &[], &parameters()).unwrap();
        assert_eq!((found[0].bars.len(), left_out), (MOST_BARS, 5));
        let unknown = Parameters { models: vec!["V4".to_owned()], ..parameters() };
        let failure = panels(example(2, &[""], &["rho_a"]), &[], &unknown).err().unwrap();
        assert_eq!(failure.message, "there is no model `V4`");
        assert_eq!(failure.hint.unwrap(), "there are `FaceBodyManmadeNatobj`, `animacy`");
    }

    #[test]
    fn words_say_what_is_shown() {
        let (_, texts) = text_boxes(&figure(8, &["hIT"], &["rho_a"]).svg());
        let all = texts.into_iter().map(|(text, _)| text).collect::<Vec<String>>().join(" ");
        for text in
            ["hIT, rho_a", "FaceBodyManmadeNatobj", "95 % intervals", "noise ceiling", "SIMULATED DATA", "Holm's"]
        {
            assert!(all.contains(text), "`{text}` is not in: {all}");
        }
        let bars: Vec<ModelBar> = example(2, &[""], &["rho_a"])
            .into_iter()
            .map(|bar| ModelBar { p: None, ceiling: None, interval: None, level: None, ..bar })
            .collect();
        let (panels, _) = panels(bars, &[], &parameters()).unwrap();
        let svg = draw(&panels, &parameters(), false).svg();
        assert!(!svg.contains("ceiling") && !svg.contains("Dots") && !svg.contains("Error bars"));
    }

    #[test]
    fn the_table_beside_the_figure_has_the_bars_and_their_marks() {
        let folder = tempfile::tempdir().unwrap();
        let table = |names: [&str; 2], second: &str| {
            DataTable::new()
                .text("group", ["", ""])
                .text("measure", ["cosine"; 2])
                .text("model", names)
                .text("other", [second; 2])
        };
        let given = table(["a", "b"], "")
            .numbers("similarity", [0.5, 0.25])
            .optional_numbers("low", [Some(0.25), None])
            .optional_numbers("high", [Some(0.75), None])
            .optional_numbers("level", [Some(0.95), None])
            .optional_numbers("ceiling_low", [Some(0.5); 2])
            .optional_numbers("ceiling_high", [Some(0.75); 2])
            .optional_numbers("p", [Some(0.01), Some(0.04)])
            .optional_numbers("p_holm", [Some(0.02), Some(0.08)])
            .optional_numbers("q", [Some(0.02), None]);
        data_table::write(&folder.path().join("given"), &mut given.build().unwrap()).unwrap();
        let pairs =
            table(["a", "a"], "b").optional_numbers("p_holm", [Some(0.03), None]).optional_numbers("p", [None, None]);
        data_table::write(&folder.path().join("pairs"), &mut pairs.build().unwrap()).unwrap();
        let mut task = tasks::task(&ComparisonBars, folder.path());
        tasks::give(&mut task, "table", &folder.path().join("given"));
        tasks::give(&mut task, "differences", &folder.path().join("pairs"));
        tasks::run(&ComparisonBars, &task).unwrap();
        let csv = || fs_err::read_to_string(task.output("figure").unwrap().join(data_table::CSV)).unwrap();
        let expected = "group,measure,model,similarity,low,high,ceiling_low,ceiling_high,p,above_zero,differs_from\n\
                        \"\",cosine,a,0.5,0.25,0.75,0.5,0.75,0.02,true,b\n\
                        \"\",cosine,b,0.25,,,0.5,0.75,0.08,false,a\n";
        assert_eq!(csv(), expected);
        tasks::set(&mut task, "correction", Value::Text("none".into()));
        tasks::run(&ComparisonBars, &task).unwrap();
        let csv = fs_err::read_to_string(task.output("figure").unwrap().join(data_table::CSV)).unwrap();
        assert!(csv.contains("b,0.25,,,0.5,0.75,0.04,true,\"\"\n"), "{csv}");
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        assert_same_bytes_twice(|| figure(8, &["hIT"], &["rho_a"]));
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        look_at("comparison_of_eight", || figure(8, &["hIT"], &["rho_a", "whitened_cosine"]));
        look_at("comparison_of_regions", || figure(3, &["V1", "V2", "V3", "V4", "hIT", "FFA", "PPA"], &["spearman"]));
        look_at("comparison_of_many", || figure(40, &[""], &["cosine"]));
    }
}
