//! `figure/parts`: unique and shared variance by region, a panel a region.
//!
//! A bar is the mean of a part over the responses of the region, with its interval; dots below say which spaces the part belongs to,
//! because names of shared parts of three spaces and more do not fit below bars. All panels have one scale. Parts below 0 are shown
//! as they are. Where there are more parts than can be read, the largest shared ones are shown, by their mean over all panels.

use std::collections::BTreeMap;

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::figure_of_table;
use super::space_order::OrderedSpaces;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::axes::{Scale, left_axis, ticks};
use crate::formats::drawing::{Anchor, Colour, Drawing, FigureNotes, Lettering, Stroke, WIDEST, text_width};
use crate::numeric::counts::real;

/// The kind.
pub(super) struct PartBars;

parameters! {
    struct Parameters {
        /// the regions that have a panel, in this order; none for all of the table
        regions: Vec<String> = Vec::new();
        /// the order of spaces, and so of parts; none for that of the table
        spaces: Vec<String> = Vec::new(), neutral Vec::new();
    }
}

impl StageKind for PartBars {
    fn kind(&self) -> Kind {
        let kind = Kind::new("figure/parts", 2, "Bars of unique and shared variance with intervals, a panel a region")
            .input("parts", &["table/region-parts"], "parts by region, as `encode/partition` has them")
            .folder("figure", "figure", "figure.svg, figure.pdf, figure.png, and table.csv with the bars")
            .described(&[data_table::CSV], COLUMNS)
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let mut bars = figure_of_table::read_at(task, "parts", read)?;
        if !parameters.spaces.is_empty() {
            bars = in_order(bars, &parameters.spaces)?;
        }
        let panels = panels(&bars, &parameters.regions)?;
        let shown: Vec<&Bar> = panels.iter().flat_map(|panel| panel.bars.iter().copied()).collect();
        let table = DataTable::of(COLUMNS)
            .text("region", shown.iter().map(|bar| bar.region.as_str()))
            .text("part", shown.iter().map(|bar| bar.part.as_str()))
            .text("spaces", shown.iter().map(|bar| bar.spaces.join("+")))
            .integers("n", shown.iter().map(|bar| bar.count))
            .optional_numbers("mean", shown.iter().map(|bar| bar.mean))
            .optional_numbers("low", shown.iter().map(|bar| Some(bar.interval?.0)))
            .optional_numbers("high", shown.iter().map(|bar| Some(bar.interval?.1)));
        figure_of_table::write(task, &draw(&panels, task.simulated), table)?;
        Ok(Ended::done())
    }
}

const R2: &str = "share of variance";

/// What is in the table beside the figure.
const COLUMNS: &[Column] = &[
    Column::new("region", "the region: a panel"),
    Column::new("part", "which part of R2").levels(&[
        ("unique", "lost when this space alone is taken away"),
        ("shared", "lost only when all of these spaces are taken away"),
        ("total", "R2 of the model with all spaces"),
    ]),
    Column::new("spaces", "the feature spaces that the part belongs to, joined by +"),
    Column::new("n", "responses of the region"),
    Column::measured("mean", R2, "height of the bar: the mean over responses; empty without responses"),
    Column::measured("low", R2, "lower end of the interval"),
    Column::measured("high", R2, "upper end of the interval"),
    STAMP,
];

/// A part in a region.
#[derive(Clone, Debug, PartialEq)]
struct Bar {
    region: String,
    part: String,
    spaces: Vec<String>,
    count: i64,
    mean: Option<f64>,
    interval: Option<(f64, f64)>,
    level: Option<f64>,
}

fn read(folder: &std::path::Path) -> Result<Vec<Bar>, Failure> {
    let table = data_table::read(folder)?;
    let texts = |name: &str| data_table::texts(&table, name);
    let numbers = |name: &str| data_table::maybe_numbers(&table, name);
    let (regions, parts, spaces) = (texts("region")?, texts("part")?, texts("spaces")?);
    let (means, lows, highs, levels) = (numbers("mean")?, numbers("low")?, numbers("high")?, numbers("level")?);
    let counts = data_table::integers(&table, "n")?;
    let bar = |row: usize| Bar {
        region: regions[row].clone(),
        part: parts[row].clone(),
        spaces: spaces[row].split('+').map(str::to_owned).collect(),
        count: counts[row],
        mean: means[row],
        interval: lows[row].zip(highs[row]),
        level: levels[row],
    };
    // The split of the joint model is another division of the same variance, which would look like more parts of this one.
    let bars: Vec<Bar> = (0..parts.len()).filter(|row| parts[*row] != "joint").map(bar).collect();
    if bars.is_empty() {
        return Err(Failure::input("there are no parts, expected at least one")
            .hint("the table is that of regions from `encode/partition`"));
    }
    Ok(bars)
}

/// Bars in the asked order of spaces: in every region unique parts, then shared ones, then the total.
fn in_order(bars: Vec<Bar>, asked: &[String]) -> Result<Vec<Bar>, Failure> {
    let mut regions: BTreeMap<String, usize> = BTreeMap::new();
    let mut ranked = Vec::with_capacity(bars.len());
    for bar in bars {
        let next = regions.len();
        let region = *regions.entry(bar.region.clone()).or_insert(next);
        let OrderedSpaces { names, rank } = OrderedSpaces::of(&bar.spaces, asked)?;
        let part = ["unique", "shared"].iter().position(|part| bar.part == *part).unwrap_or(2);
        ranked.push(((region, part, rank), Bar { spaces: names, ..bar }));
    }
    ranked.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(ranked.into_iter().map(|(_, bar)| bar).collect())
}

/// The bars of a region.
struct Panel<'a> {
    region: &'a str,
    bars: Vec<&'a Bar>,
    /// How many parts are left out.
    left_out: usize,
}

/// More bars than this cannot be read at the width of a page.
const MOST_BARS: usize = 32;

fn panels<'a>(bars: &'a [Bar], regions: &'a [String]) -> Result<Vec<Panel<'a>>, Failure> {
    let mut there: Vec<&str> = Vec::new();
    for bar in bars {
        if !there.contains(&bar.region.as_str()) {
            there.push(&bar.region);
        }
    }
    if let Some(unknown) = regions.iter().find(|region| !there.contains(&region.as_str())) {
        let known = there.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(
            Failure::input(format!("there are no parts of the region `{unknown}`")).hint(format!("there are {known}"))
        );
    }
    let shown: Vec<&str> = if regions.is_empty() { there } else { regions.iter().map(String::as_str).collect() };
    let of = |region: &str| bars.iter().filter(|bar| bar.region == region).collect::<Vec<_>>();
    // The largest shared parts, by their mean size over panels, where not all have room.
    let mut sizes: BTreeMap<String, f64> = BTreeMap::new();
    for bar in shown.iter().flat_map(|region| of(region)).filter(|bar| bar.part == "shared") {
        *sizes.entry(bar.spaces.join("+")).or_default() += bar.mean.unwrap_or(0.0).abs();
    }
    let always = shown.first().map_or(0, |region| of(region).iter().filter(|bar| bar.part != "shared").count());
    let mut order: Vec<(&String, &f64)> = sizes.iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(a.1).then(a.0.cmp(b.0)));
    let kept: Vec<&String> = order.iter().take(MOST_BARS.saturating_sub(always)).map(|(name, _)| *name).collect();
    let panel = |region| {
        let all = of(region);
        let bars: Vec<&Bar> =
            all.iter().copied().filter(|bar| bar.part != "shared" || kept.contains(&&bar.spaces.join("+"))).collect();
        Panel { region, left_out: all.len() - bars.len(), bars }
    };
    Ok(shown.into_iter().map(panel).collect())
}

const UNIQUE: Colour = Colour::rgb(38, 110, 160);
const SHARED: Colour = Colour::rgb(150, 160, 172);
const TOTAL: Colour = Colour::rgb(96, 100, 108);

/// Height of the bars of a panel.
const PANEL: f64 = 78.0;
/// Above a panel: its name.
const NAME: f64 = 14.0;
/// Distance of two rows of dots.
const ROW: f64 = 10.0;
/// Above the first panel: title and key of colours.
const HEAD: f64 = 40.0;
/// Between two panels of a row.
const GAP: f64 = 12.0;
/// Between two rows of panels.
const APART: f64 = 10.0;

/// Where panels lie.
struct Layout {
    left: f64,
    step: f64,
    width: f64,
    columns: usize,
    rows: usize,
}

impl Layout {
    fn of(panels: &[Panel<'_>], spaces: &[String]) -> Self {
        let bars = panels.iter().map(|panel| panel.bars.len()).max().unwrap_or(1).max(1);
        let left = spaces.iter().map(|name| text_width(name, 7.0)).fold(26.0, f64::max) + 22.0;
        let room = WIDEST - left - 12.0;
        let step = ((room - 8.0) / real(bars)).min(if panels.len() == 1 { 30.0 } else { 15.0 });
        let width = step * real(bars) + 8.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few panels")]
        let most = (((room + GAP) / (width + GAP)).floor() as usize).max(1);
        // As even as they go: 7 panels in two rows of 4 and 3, not of 6 and 1.
        let rows = panels.len().div_ceil(most);
        let columns = panels.len().div_ceil(rows);
        Self { left, step, width, columns, rows }
    }

    fn right(&self) -> f64 {
        self.left + (self.width + GAP) * real(self.columns) - GAP
    }

    /// The left and the lower end of a panel's bars.
    fn place(&self, index: usize) -> (f64, f64) {
        let (row, column) = (index / self.columns, index % self.columns);
        let bottom = HEAD + (NAME + PANEL + APART) * real(row) + NAME + PANEL;
        (self.left + (self.width + GAP) * real(column), bottom)
    }

    fn x(&self, left: f64, bar: usize) -> f64 {
        left + 4.0 + self.step * (real(bar) + 0.5)
    }
}

fn draw(panels: &[Panel<'_>], simulated: bool) -> Drawing {
    let spaces = panels
        .iter()
        .flat_map(|panel| &panel.bars)
        .find(|bar| bar.part == "total")
        .map_or_else(Vec::new, |bar| bar.spaces.clone());
    let layout = Layout::of(panels, &spaces);
    let width = layout.right().max(300.0) + 10.0;
    let notes = FigureNotes::new(&notes(panels), width - 20.0, (6.5, 9.0));
    let dots = ROW * real(spaces.len()) + 8.0;
    let bottom = HEAD + (NAME + PANEL + APART) * real(layout.rows) + dots;
    let mut drawing = Drawing::new(width, bottom + notes.height() + 8.0, "Unique and shared variance by region");
    head(&mut drawing, simulated);
    let scale = |bottom: f64| value_scale(panels, bottom);
    for (index, panel) in panels.iter().enumerate() {
        let (left, bottom) = layout.place(index);
        let scale = scale(bottom);
        draw_panel(&mut drawing, panel, &layout, &scale, (left, bottom));
        let (values, tick) = ticks(scale.values.0, scale.values.1, 4);
        if index % layout.columns == 0 {
            left_axis(&mut drawing, left, &scale, &values, tick, 6.5);
        }
        // The last panel of each column has the dots, as there may be fewer panels in the last row.
        if index + layout.columns >= panels.len() {
            matrix(&mut drawing, panel, &spaces, &layout, (left, bottom + 8.0), index % layout.columns == 0);
        }
    }
    let middle = f64::midpoint(HEAD + NAME, layout.place(panels.len().saturating_sub(1)).1);
    drawing.text((10.0, middle), "share of variance", Lettering::new(7.0).anchor(Anchor::Middle).turn(-90.0));
    notes.draw(&mut drawing, (10.0, bottom + 4.0));
    drawing
}

/// Title, key of colours and the stamp.
fn head(drawing: &mut Drawing, simulated: bool) {
    drawing.text((10.0, 11.0), "Variance explained by feature spaces, alone and together", Lettering::new(9.0));
    let mut x = 10.0;
    for (colour, text) in [(UNIQUE, "unique"), (SHARED, "shared"), (TOTAL, "all spaces together")] {
        drawing.rectangle((x, 22.5), 7.0, 7.0, 0.0, colour);
        drawing.text((x + 10.0, 26.0), text, Lettering::new(7.0));
        x += 10.0 + text_width(text, 7.0) + 12.0;
    }
    if simulated {
        let corner = (drawing.width() - 8.0, 20.0);
        drawing.simulated_stamp(corner);
    }
}

fn draw_panel(drawing: &mut Drawing, panel: &Panel<'_>, layout: &Layout, scale: &Scale, (left, bottom): (f64, f64)) {
    let count = panel.bars.first().map_or(0, |bar| bar.count);
    let name = format!("{} ({count})", panel.region);
    drawing.text((left, bottom - PANEL - 7.0), &name, Lettering::new(7.0));
    let right = left + layout.width;
    for value in ticks(scale.values.0, scale.values.1, 4).0 {
        drawing.line((left, scale.at(value)), (right, scale.at(value)), Stroke::new(Colour::FAINT, 0.5));
    }
    for (index, bar) in panel.bars.iter().enumerate() {
        let Some(mean) = bar.mean else { continue };
        let colour = match bar.part.as_str() {
            "unique" => UNIQUE,
            "shared" => SHARED,
            _ => TOTAL,
        };
        let (x, zero, end, width) = (layout.x(left, index), scale.at(0.0), scale.at(mean), layout.step * 0.66);
        drawing.rectangle((x - width / 2.0, zero.min(end)), width, (zero - end).abs(), 0.0, colour);
        if let Some((low, high)) = bar.interval {
            let (low, high, half) = (scale.at(low), scale.at(high), (width / 3.0).min(2.0));
            let foot = |y: f64| vec![(x - half, y), (x + half, y)];
            drawing.lines(&[vec![(x, low), (x, high)], foot(low), foot(high)], Stroke::new(Colour::INK, 0.6));
        }
    }
    if count == 0 {
        let middle = Lettering::new(6.5).anchor(Anchor::Middle).colour(Colour::QUIET);
        drawing.text((f64::midpoint(left, right), bottom - PANEL / 2.0), "no responses", middle);
    }
    drawing.line((left, scale.at(0.0)), (right, scale.at(0.0)), Stroke::new(Colour::INK, 0.6));
}

/// Which spaces each bar belongs to: a filled dot for each of them, joined by a line.
fn matrix(
    drawing: &mut Drawing,
    panel: &Panel<'_>,
    spaces: &[String],
    layout: &Layout,
    (left, top): (f64, f64),
    named: bool,
) {
    let y = |row: usize| top + ROW * (real(row) + 0.5);
    for (row, name) in spaces.iter().enumerate() {
        if row % 2 == 0 {
            drawing.rectangle((left, y(row) - ROW / 2.0), layout.width, ROW, 0.0, Colour::rgb(246, 246, 246));
        }
        if named {
            drawing.text((left - 6.0, y(row)), name, Lettering::new(7.0).anchor(Anchor::End));
        }
    }
    for (index, bar) in panel.bars.iter().enumerate() {
        let x = layout.x(left, index);
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            (0..spaces.len()).partition(|row| bar.spaces.contains(&spaces[*row]));
        let radius = (layout.step / 4.0).min(2.3);
        drawing.dots(outside.into_iter().map(|row| (x, y(row))), radius, Colour::RULE, 1.0);
        if let (Some(first), Some(last)) = (inside.first(), inside.last()) {
            drawing.line((x, y(*first)), (x, y(*last)), Stroke::new(Colour::INK, 1.1));
        }
        drawing.dots(inside.into_iter().map(|row| (x, y(row))), radius, Colour::INK, 1.0);
    }
}

/// One scale for all panels: zero, all bars and all intervals, with some air.
fn value_scale(panels: &[Panel<'_>], bottom: f64) -> Scale {
    let ends = |bar: &&Bar| {
        let interval = bar.interval.map(|(low, high)| [low, high]).into_iter().flatten();
        interval.chain(bar.mean).collect::<Vec<f64>>()
    };
    let all: Vec<f64> = panels.iter().flat_map(|panel| &panel.bars).flat_map(ends).collect();
    let low = all.iter().copied().fold(0.0, f64::min);
    let high = all.iter().copied().fold(0.0, f64::max);
    let air = ((high - low) * 0.06).max(1e-6);
    Scale::new((if low < 0.0 { low - air } else { 0.0 }, high + air), (bottom, bottom - PANEL))
}

fn notes(panels: &[Panel<'_>]) -> Vec<String> {
    let bars = || panels.iter().flat_map(|panel| panel.bars.iter());
    let mut notes = vec![
        "A bar: the mean of a part of R\u{b2} on test stimuli over the responses of a region, whose number is in brackets. Dots: the \
         spaces whose part a bar is."
            .to_owned(),
    ];
    if let Some(level) = bars().find_map(|bar| bar.level) {
        notes.push(format!("Error bars: {:.0} % of resamples of the test stimuli.", level * 100.0));
    }
    if bars().any(|bar| bar.mean.is_some_and(|mean| mean < 0.0)) {
        notes.push("Parts below 0: chance, or spaces that help each other.".to_owned());
    }
    match panels.first().map_or(0, |panel| panel.left_out) {
        0 => {}
        left_out => {
            notes.push(format!("Not shown: the {left_out} smallest shared parts, which are in the table of parts."))
        }
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

    /// All parts of so many spaces in so many regions; the second region is empty if there are several.
    fn example(spaces: usize, regions: usize) -> Vec<Bar> {
        let names: Vec<String> = (1..=spaces).map(|at| format!("Conv{at}")).collect();
        let all =
            ["V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4", "FFA-1", "FFA-2", "EBA", "OFA", "PPA", "RSC", "all"];
        let mut bars = Vec::new();
        for (number, region) in all[..regions].iter().enumerate() {
            let mut sets: Vec<usize> = (1..1 << spaces).collect();
            sets.sort_by_key(|set| set.count_ones());
            sets.push((1 << spaces) - 1);
            for (at, set) in sets.iter().enumerate() {
                let part = match at {
                    _ if at + 1 == sets.len() => "total",
                    _ if set.is_power_of_two() => "unique",
                    _ => "shared",
                };
                let size = real((set * 37 + number * 11) % 23) * 0.004 / real(spaces) - 0.004;
                let mean = if part == "total" { 0.16 - 0.01 * real(number % 5) } else { size };
                let empty = number == 1;
                bars.push(Bar {
                    region: (*region).to_owned(),
                    part: part.to_owned(),
                    spaces: (0..spaces).filter(|bit| set >> bit & 1 == 1).map(|bit| names[bit].clone()).collect(),
                    count: if empty { 0 } else { 420 + 10 * i64::try_from(number).unwrap() },
                    mean: (!empty).then_some(mean),
                    interval: (!empty).then_some((mean - 0.006, mean + 0.007)),
                    level: (!empty).then_some(0.95),
                });
            }
        }
        bars
    }

    fn figure(spaces: usize, regions: usize) -> Drawing {
        draw(&panels(&example(spaces, regions), &[]).unwrap(), true)
    }

    #[test]
    fn any_number_of_spaces_and_regions_is_readable() {
        for (spaces, regions) in [(1, 1), (2, 14), (3, 7), (3, 1), (4, 3), (6, 2)] {
            let drawing = figure(spaces, regions);
            assert!(drawing.width() <= WIDEST + 1e-9, "{spaces} {regions}: {}", drawing.width());
            assert_readable(&drawing);
        }
        assert!(figure(6, 2).svg().contains("Not shown: the 32 smallest shared parts"));
    }

    #[test]
    fn regions_are_chosen_by_name() {
        let bars = example(2, 3);
        let asked = ["V2v".to_owned(), "V1v".to_owned()];
        let shown = panels(&bars, &asked).unwrap();
        assert_eq!(shown.iter().map(|panel| panel.region).collect::<Vec<_>>(), asked);
        let unknown = ["V9".to_owned()];
        let failure = panels(&bars, &unknown).err().unwrap();
        assert_eq!(failure.message, "there are no parts of the region `V9`");
    }

    #[test]
    fn bars_come_in_the_asked_order_of_spaces() {
        let bars = example(3, 2);
        let asked = ["Conv2", "Conv3", "Conv1"].map(str::to_owned);
        let ordered = in_order(bars.clone(), &asked).unwrap();
        let words: Vec<String> = ordered.iter().map(|bar| format!("{} {}", bar.part, bar.spaces.join("+"))).collect();
        let of_a_region = [
            "unique Conv2",
            "unique Conv3",
            "unique Conv1",
            "shared Conv2+Conv3",
            "shared Conv2+Conv1",
            "shared Conv3+Conv1",
            "shared Conv2+Conv3+Conv1",
            "total Conv2+Conv3+Conv1",
        ];
        assert_eq!(words[..8], of_a_region);
        assert_eq!(words[8..], of_a_region);
        assert!(ordered[..8].iter().all(|bar| bar.region == "V1v"), "regions stay in their order");
        let unique = |bars: &[Bar]| bars.iter().find(|bar| bar.spaces == ["Conv3"]).unwrap().mean;
        assert_eq!(unique(&ordered), unique(&bars), "a bar keeps its number");
        let failure = in_order(bars, &asked[..2]).unwrap_err();
        assert_eq!(failure.message, "`spaces` lacks `Conv1`, which is in the table");
    }

    #[test]
    fn words_say_what_is_shown() {
        let (_, texts) = text_boxes(&figure(3, 3).svg());
        let words: Vec<String> = texts.into_iter().map(|(text, _)| text).collect();
        let all = words.join(" ");
        for text in ["V1v (420)", "V1d (0)", "no responses", "Error bars: 95 %", "SIMULATED DATA", "Parts below 0"] {
            assert!(all.contains(text), "`{text}` is not in: {all}");
        }
        assert_eq!(words.iter().filter(|word| *word == "Conv1").count(), 1, "spaces are named once");
    }

    #[test]
    fn the_table_beside_the_figure_has_the_bars_and_no_joint_model() {
        let folder = tempfile::tempdir().unwrap();
        let bars = example(2, 2);
        let mut rows = bars.clone();
        rows.push(Bar { part: "joint".to_owned(), ..bars[0].clone() });
        let given = |rows: &[Bar]| {
            let table = DataTable::new()
                .text("region", rows.iter().map(|bar| bar.region.as_str()))
                .text("part", rows.iter().map(|bar| bar.part.as_str()))
                .text("spaces", rows.iter().map(|bar| bar.spaces.join("+")))
                .integers("n", rows.iter().map(|bar| bar.count))
                .optional_numbers("mean", rows.iter().map(|bar| bar.mean))
                .optional_numbers("low", rows.iter().map(|bar| Some(bar.interval?.0)))
                .optional_numbers("high", rows.iter().map(|bar| Some(bar.interval?.1)))
                .optional_numbers("level", rows.iter().map(|bar| bar.level));
            data_table::write(&folder.path().join("given"), &mut table.build().unwrap()).unwrap();
        };
        given(&rows);
        let mut task = tasks::task(&PartBars, folder.path());
        tasks::give(&mut task, "parts", &folder.path().join("given"));
        tasks::run(&PartBars, &task).unwrap();
        let csv = fs_err::read_to_string(task.output("figure").unwrap().join(data_table::CSV)).unwrap();
        assert_eq!((csv.lines().count(), csv.contains("joint")), (9, false), "{csv}");
        tasks::set(&mut task, "regions", Value::List(vec![Value::Text("V1v".into())]));
        tasks::run(&PartBars, &task).unwrap();
        let csv = fs_err::read_to_string(task.output("figure").unwrap().join(data_table::CSV)).unwrap();
        assert_eq!(csv.lines().count(), 5);
        rows.retain(|bar| bar.part == "joint");
        given(&rows);
        assert!(tasks::run(&PartBars, &task).unwrap_err().message.contains("there are no parts"));
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        assert_same_bytes_twice(|| figure(3, 4));
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        look_at("parts_by_region", || figure(2, 14));
        look_at("parts_of_three", || figure(3, 7));
        look_at("parts_of_four", || figure(4, 2));
        look_at("parts_of_one_region", || figure(3, 1));
    }
}
