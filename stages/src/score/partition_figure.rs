//! The figure of `score/partition`: a bar per part of the gain, below it which sources the part belongs to, and in words what bars,
//! error bars and numbers are.

use super::part::Part;
use crate::formats::data_table::SplitCounts;
use crate::formats::drawing::axes::{Scale, left_axis, ticks};
use crate::formats::drawing::{Anchor, Colour, Drawing, FigureNotes, Lettering, Stroke, WIDEST, text_width, wrapped};
use crate::formats::score_table::{self, MEAN};
use crate::numeric::counts::{real, subjects};

/// Height of the bars' panel in points.
const PANEL: f64 = 130.0;
/// Distance of two rows of the matrix of sources.
const ROW: f64 = 13.0;
/// Space above the panel, for title and stamp.
const HEAD: f64 = 46.0;

const UNIQUE: Colour = Colour::rgb(38, 110, 160);
const SHARED: Colour = Colour::rgb(150, 160, 172);
const TOTAL: Colour = Colour::rgb(96, 100, 108);

/// What the figure states beside the parts.
pub(super) struct About<'a> {
    /// `area` or `ring`.
    pub parcellation: &'a str,
    /// The sources in their written order.
    pub sources: &'a [String],
    /// Share of resamples inside an interval.
    pub interval: f64,
    /// How many resamples.
    pub resamples: usize,
    /// How the subjects were split.
    pub split: SplitCounts,
    /// Whether the data are simulated.
    pub simulated: bool,
}

/// Draws the parts of the mean over labels (of the last label, if there is no mean).
pub(super) fn draw(about: &About<'_>, parts: &[Part]) -> Drawing {
    let sources = about.sources;
    let label =
        if parts.iter().any(|part| part.label == MEAN) { MEAN } else { parts.last().map_or(MEAN, |p| &p.label) };
    let shown: Vec<&Part> = parts.iter().filter(|part| part.label == label).collect();
    let bars = largest(&shown);
    let left_out = shown.iter().filter(|part| part.kind != "base").count() - bars.len();
    let names = sources.iter().map(|name| text_width(name, 7.5)).fold(0.0, f64::max);
    let left = (names + 22.0).max(58.0);
    let step = ((WIDEST - left - 28.0) / real(bars.len())).min(46.0);
    let layout = Layout { step, named: step >= NAMED, turned: step < 24.0 };
    let right = left + 8.0 + step * real(bars.len()) + 8.0;
    let bottom = HEAD + PANEL;
    let width = right.max(308.0) + 12.0;
    let notes = FigureNotes::new(&notes(about, &bars, left_out, layout.turned), width - 20.0, (6.5, LINE));
    let lines = bars.iter().map(|part| layout.name(part, sources).len()).max().unwrap_or(0);
    let matrix_top = bottom + 10.0 + NAME * real(lines);
    let foot = 30.0 + notes.height();
    let height = matrix_top + ROW * real(sources.len()) + foot;
    let mut drawing = Drawing::new(width, height, "Unique and shared parts of the gain in Dice");
    head(&mut drawing, about, label, &shown);
    notes.draw(&mut drawing, (10.0, height - notes.height() - 4.0));

    let scale = value_scale(&bars, bottom);
    let (values, tick) = ticks(scale.values.0, scale.values.1, 7);
    for value in &values {
        drawing.line((left, scale.at(*value)), (right, scale.at(*value)), Stroke::new(Colour::FAINT, 0.5));
    }
    let x = |index: usize| left + 8.0 + step * (real(index) + 0.5);
    for (index, part) in bars.iter().enumerate() {
        bar(&mut drawing, x(index), step * 0.62, &scale, part);
    }
    drawing.line((left, scale.at(0.0)), (right, scale.at(0.0)), Stroke::new(Colour::INK, 0.6));
    left_axis(&mut drawing, left, &scale, &values, tick, 7.0);
    let axis = Lettering::new(8.0).anchor(Anchor::Middle).turn(-90.0);
    drawing.text((12.0, HEAD + PANEL / 2.0), "gain in Dice score", axis);
    for (index, part) in bars.iter().enumerate() {
        for (line, words) in layout.name(part, sources).iter().enumerate() {
            let y = bottom + 6.0 + NAME * (real(line) + 0.5);
            drawing.text((x(index), y), words, Lettering::new(6.0).anchor(Anchor::Middle));
        }
    }
    matrix(&mut drawing, sources, &bars, (left, right), matrix_top, &layout, x);
    drawing
}

/// How much room bars have.
struct Layout {
    /// Distance of two bars.
    step: f64,
    /// Bars have names, beside the matrix below them.
    named: bool,
    /// Numbers are turned, because bars are close.
    turned: bool,
}

/// The distance of bars from which they have names, and the distance of two lines of a name.
const NAMED: f64 = 34.0;
const NAME: f64 = 7.0;

impl Layout {
    /// Whose part a bar is, in lines; nothing where bars have no room for names.
    fn name(&self, part: &Part, sources: &[String]) -> Vec<String> {
        if !self.named {
            return Vec::new();
        }
        let of: Vec<&str> = sources
            .iter()
            .enumerate()
            .filter(|(row, _)| part.set >> row & 1 == 1)
            .map(|(_, name)| name.as_str())
            .collect();
        let words = match (part.kind, of.as_slice()) {
            ("total", _) => "all together".to_owned(),
            (_, [one]) => format!("{one} only"),
            (_, several) => format!("shared: {}", several.join(", ")),
        };
        wrapped(&words, self.step - 2.0, 6.0)
    }
}

/// More bars than this cannot be read at the width of a page.
const MOST_BARS: usize = 32;

/// The parts that are shown, in their order: all of them, or unique parts, the total, and as many shared ones as fit, the largest.
fn largest<'a>(shown: &[&'a Part]) -> Vec<&'a Part> {
    let all: Vec<&Part> = shown.iter().copied().filter(|part| part.kind != "base").collect();
    let always = |part: &&&Part| part.kind == "unique" || part.kind == "total";
    let room = MOST_BARS.saturating_sub(all.iter().filter(always).count());
    let mut sizes: Vec<f64> = all.iter().filter(|part| !always(part)).map(|part| part.estimate.abs()).collect();
    sizes.sort_by(|a, b| b.total_cmp(a));
    let Some(least) = sizes.get(room) else { return all };
    all.iter().filter(|part| always(part) || part.estimate.abs() > *least).copied().collect()
}

/// Size of turned numbers.
const SMALL: f64 = 5.5;

/// Distance of two lines of notes.
const LINE: f64 = 9.0;

/// What error bars are, what n counts, and what the numbers under the bars are.
fn notes(about: &About<'_>, bars: &[&Part], left_out: usize, turned: bool) -> Vec<String> {
    let Some(part) = bars.first() else { return Vec::new() };
    let networks = if part.restarts == 1 {
        "one network an input: the noise of training is not in the error bars".to_string()
    } else {
        format!("of the {} networks of each input", part.restarts)
    };
    let whom = match part.families {
        Some(families) => format!("{families} families ({})", subjects(part.subjects)),
        None => subjects(part.subjects),
    };
    let resampled = if part.restarts == 1 { format!("{whom}; {networks}") } else { format!("{whom} and {networks}") };
    let mut notes = Vec::new();
    if part.interval.is_some() {
        let (level, count) = (about.interval * 100.0, about.resamples);
        notes.push(format!("Error bars: {level:.0} % of {count} resamples of {resampled}."));
    }
    notes.push("Dots: the sources whose part a bar is. Parts below 0: sources that help each other.".into());
    if part.sd_restarts.is_some() && !turned {
        notes.push(
            "Under each bar: its height, and the standard deviation (SD) between restarts of one network an input."
                .into(),
        );
    }
    if left_out > 0 {
        notes.push(format!("Not shown: the {left_out} smallest shared parts, which are in the table."));
    }
    notes.push(format!("{}.", about.split.words()));
    notes
}

/// Title, what is added up, the key of colours, and the stamp.
fn head(drawing: &mut Drawing, about: &About<'_>, label: &str, shown: &[&Part]) {
    let what = match label {
        MEAN if about.parcellation == "ring" => "mean of five rings".to_string(),
        MEAN => "mean of V1, V2, V3".to_string(),
        _ => score_table::region(about.parcellation, label),
    };
    drawing.text((10.0, 11.0), &format!("Where the gain comes from: {what}"), Lettering::new(9.0));
    let find = |kind: &str| shown.iter().find(|part| part.kind == kind);
    if let (Some(base), Some(total)) = (find("base"), find("total")) {
        let range =
            total.interval.map_or_else(String::new, |(low, high)| format!(" [{}, {}]", signed(low), signed(high)));
        let all = base.estimate + total.estimate;
        let text = format!(
            "Dice {:.3} without these sources, {all:.3} with all of them: {}{range}",
            base.estimate,
            signed(total.estimate)
        );
        drawing.text((10.0, 23.0), &text, Lettering::new(7.0).colour(Colour::QUIET));
    }
    let mut x = 10.0;
    for (colour, text) in [(UNIQUE, "unique"), (SHARED, "shared (lost only with all of them)"), (TOTAL, "all together")]
    {
        drawing.rectangle((x, 31.0), 7.0, 7.0, 0.0, colour);
        drawing.text((x + 10.0, 34.5), text, Lettering::new(7.0));
        x += 10.0 + text_width(text, 7.0) + 12.0;
    }
    if about.simulated {
        drawing.simulated_stamp((drawing.width() - 8.0, 5.0));
    }
}

fn bar(drawing: &mut Drawing, x: f64, width: f64, scale: &Scale, part: &Part) {
    let colour = match part.kind {
        "unique" => UNIQUE,
        "total" => TOTAL,
        _ => SHARED,
    };
    let (zero, end) = (scale.at(0.0), scale.at(part.estimate));
    drawing.rectangle((x - width / 2.0, zero.min(end)), width, (zero - end).abs(), 0.0, colour);
    if let Some((low, high)) = part.interval {
        let (low, high) = (scale.at(low), scale.at(high));
        let stroke = Stroke::new(Colour::INK, 0.7);
        let half = (width / 3.0).min(2.0);
        let foot = |y: f64| vec![(x - half, y), (x + half, y)];
        drawing.lines(&[vec![(x, low), (x, high)], foot(low), foot(high)], stroke);
    }
}

/// Which sources each bar belongs to: a filled dot for each of them, joined by a line.
fn matrix(
    drawing: &mut Drawing,
    sources: &[String],
    bars: &[&Part],
    (left, right): (f64, f64),
    top: f64,
    layout: &Layout,
    x: impl Fn(usize) -> f64,
) {
    let y = |row: usize| top + ROW * (real(row) + 0.5);
    for (row, name) in sources.iter().enumerate() {
        if row % 2 == 0 {
            drawing.rectangle((left, y(row) - ROW / 2.0), right - left, ROW, 0.0, Colour::rgb(246, 246, 246));
        }
        drawing.text((left - 6.0, y(row)), name, Lettering::new(7.5).anchor(Anchor::End));
    }
    for (index, part) in bars.iter().enumerate() {
        let has = |row: &usize| part.set >> row & 1 == 1;
        let (inside, outside): (Vec<usize>, Vec<usize>) = (0..sources.len()).partition(has);
        let radius = (layout.step / 4.0).min(2.6);
        drawing.dots(outside.into_iter().map(|row| (x(index), y(row))), radius, Colour::RULE, 1.0);
        if let (Some(first), Some(last)) = (inside.first(), inside.last()) {
            drawing.line((x(index), y(*first)), (x(index), y(*last)), Stroke::new(Colour::INK, 1.2));
        }
        drawing.dots(inside.into_iter().map(|row| (x(index), y(row))), radius, Colour::INK, 1.0);
        let bottom = y(sources.len().saturating_sub(1)) + ROW / 2.0 + 7.0;
        if layout.turned {
            let lettering = Lettering::new(SMALL).anchor(Anchor::End).turn(-90.0);
            drawing.text((x(index), bottom - 6.0), &signed(part.estimate), lettering);
            continue;
        }
        drawing.text((x(index), bottom), &signed(part.estimate), Lettering::new(6.5).anchor(Anchor::Middle));
        if let Some(sd) = part.sd_restarts {
            let lettering = Lettering::new(5.5).anchor(Anchor::Middle).colour(Colour::QUIET);
            drawing.text((x(index), bottom + 9.0), &format!("SD {sd:.3}"), lettering);
        }
    }
}

/// The vertical axis: zero, all bars and all intervals, with some air.
fn value_scale(bars: &[&Part], bottom: f64) -> Scale {
    let ends = |part: &&Part| {
        let (low, high) = part.interval.unwrap_or((part.estimate, part.estimate));
        [low, high, part.estimate]
    };
    let all: Vec<f64> = bars.iter().flat_map(ends).collect();
    let low = all.iter().copied().fold(0.0, f64::min);
    let high = all.iter().copied().fold(0.0, f64::max);
    let air = ((high - low) * 0.06).max(1e-6);
    Scale::new((if low < 0.0 { low - air } else { 0.0 }, high + air), (bottom, bottom - PANEL))
}

fn signed(value: f64) -> String {
    let text = format!("{value:+.3}");
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::drawing::text_boxes;
    use crate::test_support::figures::{assert_readable, assert_same_bytes_twice, look_at};

    fn part(kind: &'static str, set: usize, estimate: f64, half: f64) -> Part {
        let names = ["t2", "diffusion", "function"];
        let sources = (0..3).filter(|bit| set >> bit & 1 == 1).map(|bit| names[bit].to_string()).collect();
        let interval = Some((estimate - half, estimate + half));
        Part {
            label: "mean".into(),
            kind,
            set,
            sources,
            subjects: 8,
            families: None,
            restarts: 3,
            estimate,
            interval,
            sd_restarts: Some(half / 2.0),
        }
    }

    fn figure(parts: &[Part], sources: &[&str]) -> Drawing {
        let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
        let split = SplitCounts { train: 20, choose: 4, scored: 8, two_parts: false };
        let about =
            About { parcellation: "area", sources: &sources, interval: 0.95, resamples: 2000, split, simulated: true };
        draw(&about, parts)
    }

    fn example() -> Drawing {
        let parts = vec![
            part("base", 0, 0.612, 0.02),
            part("unique", 1, 0.004, 0.003),
            part("unique", 2, -0.002, 0.004),
            part("unique", 4, 0.061, 0.012),
            part("shared", 3, 0.001, 0.003),
            part("shared", 5, 0.012, 0.005),
            part("shared", 6, -0.006, 0.005),
            part("shared", 7, 0.003, 0.006),
            part("total", 7, 0.073, 0.011),
        ];
        figure(&parts, &["t2", "diffusion", "function"])
    }

    /// Two sources, as in the demo.
    fn small() -> Drawing {
        let set = |kind, set, estimate, half| Part {
            sources: (0..2).filter(|bit| set >> bit & 1 == 1).map(|bit| ["t2", "function"][bit].to_string()).collect(),
            ..part(kind, set, estimate, half)
        };
        let parts = [
            set("base", 0, 0.55, 0.02),
            set("unique", 1, 0.014, 0.013),
            set("unique", 2, 0.071, 0.024),
            set("shared", 3, -0.008, 0.015),
            set("total", 3, 0.077, 0.021),
        ];
        figure(&parts, &["t2", "function"])
    }

    /// All texts of a figure, lines joined.
    fn words(drawing: &Drawing) -> String {
        let (_, texts) = text_boxes(&drawing.svg());
        texts.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_say_what_error_bars_and_numbers_are() {
        let shown = words(&example());
        for text in [
            "Error bars: 95 % of 2000 resamples of 8 subjects and of the 3 networks of each input.",
            "gain in Dice score",
            "20 subjects train, 4 choose the weights, 8 are scored.",
            "SD 0.006",
        ] {
            assert!(shown.contains(text), "`{text}` is not in: {shown}");
        }
        let twins = Part { families: Some(18), subjects: 33, ..part("total", 1, 0.1, 0.01) };
        assert!(words(&figure(&[twins], &["t2"])).contains("resamples of 18 families (33 subjects)"));
        let single = Part { restarts: 1, sd_restarts: None, ..part("total", 1, 0.1, 0.01) };
        assert!(words(&figure(&[single], &["t2"])).contains("the noise of training is not in the error bars"));
    }

    /// All parts of so many sources, of different sizes.
    fn of_sources(count: usize) -> Drawing {
        let names: Vec<String> = (0..count).map(|at| format!("source {at}")).collect();
        let mut parts: Vec<Part> = (1..1usize << count)
            .map(|set| Part {
                sources: Vec::new(),
                ..part(
                    if set.is_power_of_two() { "unique" } else { "shared" },
                    set,
                    0.0005 * real(set * 37 % 101) - 0.02,
                    0.004,
                )
            })
            .collect();
        parts.push(part("total", (1 << count) - 1, 0.09, 0.01));
        figure(&parts, &names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn any_number_of_sources_is_readable_and_printable() {
        for count in [1, 2, 3, 4, 7] {
            let drawing = of_sources(count);
            assert!(drawing.width() <= WIDEST + 1e-9, "{count}: {}", drawing.width());
            assert_readable(&drawing);
        }
        assert!(of_sources(7).svg().contains("smallest shared parts, which are in the table."));
    }

    #[test]
    fn bars_say_whose_part_they_are() {
        let svg = example().svg();
        for words in ["t2 only", "diffusion", "function", "all together", "shared: t2,"] {
            assert!(svg.contains(&format!(">{words}</text>")), "no bar says `{words}`");
        }
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        assert_same_bytes_twice(example);
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        look_at("partition", example);
        look_at("partition_small", small);
        look_at("partition_of_four", || of_sources(4));
        look_at("partition_of_five", || of_sources(5));
    }
}
