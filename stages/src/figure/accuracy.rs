//! `figure/accuracy`: the Dice score of every model, figures 3 and 4 of the paper.
//!
//! One panel per label. The order of columns, colours, sizes, rules and intervals are those of the published figure (5 by
//! 1.5 inches a panel, left hemisphere cyan at -0.1 and right hemisphere red at +0.1 of its column, one faint dot per
//! score, mean and interval in black). It differs on purpose in two ways. Columns without scores are left out, where the
//! original keeps their place, and columns that the paper does not have are appended by name. And where a column has
//! fewer scores than the paper's 132, its dots are more opaque, or a small study's would not be seen.
//!
//! A dot is one subject and rater: `points: false` draws means and intervals only. Two lines per panel, which the original does not have,
//! say between what a model's score can be expected: how well raters agree among themselves, and what a template reaches without any
//! image. Below the panels it says what the intervals are, what n counts, how the subjects were split and what the codes mean.
//!
//! A second dataset (the paper's figure 3 has three columns of NYU) has a split of its own, so it comes through ports of its own. What a
//! release counts is the fewest subjects behind anything that is shown; `others_are_public` leaves those of the second dataset out of it.

use std::collections::BTreeSet;

use pipe_contract::{Arity, Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};
use polars::prelude::DataFrame;

use crate::declared::held_out_inputs::{self, Comparisons};
use crate::formats::data_table::{self, DataTable, STAMP, SplitCounts};
use crate::formats::drawing::axes::{Scale, left_axis};
use crate::formats::drawing::{
    Anchor, Colour, Drawing, FigureNotes, Lettering, SMALLEST_TEXT, Stroke, WIDEST, save, text_width,
};
use crate::formats::score_table::{
    self, DATASET_COLUMN, DICE_UNIT, HEMISPHERE_COLUMN, HIGH_COLUMN, HeldOut, LABEL_COLUMN, LEVEL_COLUMN, LOW_COLUMN,
    MEAN, PARCELLATION_COLUMN, REGION_COLUMN, RELIABILITY, TAG_COLUMN,
};
use crate::numeric::counts::{real, subjects};
use crate::numeric::statistics::{Spread, confidence, error_multiplier};

/// The kind.
pub(super) struct Accuracy;

parameters! {
    struct Parameters {
        /// draw a dot per score, that is per subject, rater and hemisphere
        points: bool = true;
        /// opacity of these dots where a column has the paper's 132 of them; fewer are darker
        opacity: f64 = 0.05, in 0.0..=1.0;
        /// the data of the subjects at `other_scores` are public: a rule of `release:` about numbers of subjects counts those at
        /// `scores` alone
        others_are_public: bool = false, neutral false;
        ..intervals: Comparisons;
    }
}

impl StageKind for Accuracy {
    fn kind(&self) -> Kind {
        let kind = Kind::new("figure/accuracy", 4, "Dice scores of held-out subjects per model, one panel per label");
        let kind = held_out_inputs::declare(kind, "score tables of subjects")
            .port(
                "other_scores",
                &["table/scores"],
                Arity::Many,
                true,
                "score tables of a second dataset, such as NYU, whose columns follow",
            )
            .port("other_split", &["split"], Arity::One, true, "the split of the second dataset's subjects")
            .folder(
                "figure",
                "figure",
                "figure.svg, figure.pdf, figure.png, and table.csv with the means and intervals shown",
            )
            .described(&[data_table::CSV], COLUMNS)
            .aggregating()
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { points, opacity, others_are_public, intervals } = task.parameters()?;
        let (mut scores, mut notes) = held_out_inputs::read(task)?;
        let (mut splits, fewest) = (vec![scores.split], scores.fewest_subjects());
        if let Some(other) = other(task)? {
            splits.push(other.split);
            scores = together(scores, other)?;
            notes.extend(task.absences("other_scores"));
        }
        let comparisons = intervals.of(&scores.parcellation);
        let bars = bars(&scores, comparisons);
        bars.iter().filter(|bar| bar.label == MEAN).for_each(|bar| context.log(&bar.line()));
        let dots = if points { opacity } else { 0.0 };
        let folder = task.output("figure")?;
        save(&draw(&scores, &splits, &bars, comparisons, dots, task.simulated), folder)?;
        data_table::write_csv(
            &folder.join(data_table::CSV),
            &mut frame(&scores.parcellation, &bars, comparisons, task.simulated)?,
        )?;
        let subjects = match (points, others_are_public) {
            (true, _) => 1,
            (false, true) => fewest,
            (false, false) => scores.fewest_subjects(),
        };
        Ok(Ended::noted(notes).aggregating("figure", subjects))
    }
}

/// The scores of the second dataset, if it is given.
fn other(task: &Task) -> Result<Option<HeldOut>, Failure> {
    match (task.present("other_scores").count(), task.maybe("other_split")) {
        (0, None) => Ok(None),
        (0, Some(_)) => Err(Failure::input("port `other_split` has a split, but port `other_scores` has no table")
            .hint("give the figure both, or neither")),
        (_, None) => Err(Failure::input("port `other_scores` has tables, but port `other_split` has no split")
            .hint("give the figure the split of the second dataset, which says whose scores count")),
        (_, Some(split)) => {
            let split = data_table::split(split)?;
            HeldOut::read(task.present("other_scores").map(|(_, path)| path), &split).map(Some)
        }
    }
}

/// The scores of two datasets as those of one figure.
fn together(mut first: HeldOut, second: HeldOut) -> Result<HeldOut, Failure> {
    if first.parcellation != second.parcellation {
        return Err(Failure::input(format!(
            "found scores of `{}` and, at port `other_scores`, of `{}`, expected one parcellation",
            first.parcellation, second.parcellation
        )));
    }
    let datasets = |scores: &HeldOut| scores.scores.iter().map(|s| s.dataset.clone()).collect::<BTreeSet<_>>();
    if let Some(both) = datasets(&first).intersection(&datasets(&second)).next() {
        return Err(Failure::input(format!("both ports of scores have the dataset `{both}`, expected two datasets"))
            .hint("set `dataset` of the second `score/dice`, such as `NYU`"));
    }
    first.subjects.extend(second.subjects);
    first.scores.extend(second.scores);
    Ok(first)
}

/// A mean with its interval: one column, label and hemisphere.
struct Bar {
    column: (String, String),
    label: String,
    hemisphere: &'static str,
    spread: Spread,
    half: f64,
}

impl Bar {
    /// As the original prints it.
    fn line(&self) -> String {
        format!(
            "{} {} {:<5}: {:5.3} \u{b1} {:5.3}",
            self.label, self.hemisphere, self.column.1, self.spread.mean, self.half
        )
    }
}

const HEMISPHERES: [(&str, f64, Colour); 2] =
    [("lh", -0.1, Colour::rgb(51, 204, 204)), ("rh", 0.1, Colour::rgb(255, 102, 102))];

/// All means, by label, column and hemisphere.
fn bars(scores: &HeldOut, comparisons: u32) -> Vec<Bar> {
    let mut bars = Vec::new();
    for label in scores.labels() {
        for column in scores.columns() {
            for (hemisphere, ..) in HEMISPHERES {
                if let Some(spread) = Spread::of(&scores.values(&column, &label, Some(hemisphere))) {
                    let half = spread.half_width(comparisons);
                    bars.push(Bar { column: column.clone(), label: label.clone(), hemisphere, spread, half });
                }
            }
        }
    }
    bars
}

/// What is in the table beside the figure.
const COLUMNS: &[Column] = &[
    PARCELLATION_COLUMN,
    LABEL_COLUMN,
    REGION_COLUMN,
    DATASET_COLUMN,
    TAG_COLUMN,
    HEMISPHERE_COLUMN,
    Column::new("n_scores", "scores: subjects times raters (or pairs of raters)"),
    Column::measured("mean", DICE_UNIT, "mean of the scores"),
    LOW_COLUMN,
    HIGH_COLUMN,
    LEVEL_COLUMN,
    STAMP,
];

fn frame(parcellation: &str, bars: &[Bar], comparisons: u32, simulated: bool) -> Result<DataFrame, Failure> {
    DataTable::of(COLUMNS)
        .text("parcellation", bars.iter().map(|_| parcellation))
        .text("label", bars.iter().map(|bar| bar.label.as_str()))
        .text("region", bars.iter().map(|bar| score_table::region(parcellation, &bar.label)))
        .text("dataset", bars.iter().map(|bar| bar.column.0.as_str()))
        .text("tag", bars.iter().map(|bar| bar.column.1.as_str()))
        .text("hemisphere", bars.iter().map(|bar| bar.hemisphere))
        .integers("n_scores", bars.iter().map(|bar| i64::try_from(bar.spread.count).unwrap_or(i64::MAX)))
        .scores("mean", bars.iter().map(|bar| Some(bar.spread.mean)))
        .scores("low", bars.iter().map(|bar| Some(bar.spread.mean - bar.half)))
        .scores("high", bars.iter().map(|bar| Some(bar.spread.mean + bar.half)))
        .scores("level", bars.iter().map(|_| Some(confidence(comparisons))))
        .stamped(simulated)
        .build()
}

/// Width of the published figure: 5 inches. More columns than its 14 widen it.
const WIDTH: f64 = 360.0;
/// The least distance of two columns.
const STEP: f64 = 20.0;
/// Height of a panel with its share of the space between panels: 1.5 inches.
const PANEL: f64 = 108.0;
/// Space between panels.
const GAP: f64 = 12.0;
/// Space above the first panel.
const HEAD: f64 = 26.0;
const LEFT: f64 = 44.0;
/// Space to the right of the panels.
const MARGIN: f64 = 8.0;
/// Where notes begin.
const NOTES: f64 = 10.0;

/// Distance of two lines of notes, and their size.
const LINE: f64 = 8.5;
const SMALL: f64 = 6.5;

/// What the figure's marks and codes mean, in sentences.
fn notes(scores: &HeldOut, splits: &[SplitCounts], bars: &[Bar], comparisons: u32, points: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let counts = || bars.iter().map(|bar| bar.spread.count);
    let n = match (counts().min().unwrap_or(0), counts().max().unwrap_or(0)) {
        (least, most) if least == most => format!("n = {most}"),
        (least, most) => format!("n = {least} to {most}"),
    };
    let dots = if points { "Coloured dots: one score per subject and rater (or pair of raters). " } else { "" };
    notes.push(format!(
        "{dots}Black: mean and {:.2} standard errors each way; {n} scores of {}, taken as independent as in the paper; with \
         this width {comparisons} intervals hold together at 68.3 %.",
        error_multiplier(comparisons),
        subjects(scores.subjects.len())
    ));
    let columns = scores.columns();
    let there: Vec<&str> = REFERENCES
        .iter()
        .filter(|reference| columns.iter().any(|(_, tag)| tag == reference.tag))
        .map(|reference| reference.words)
        .collect();
    if !there.is_empty() {
        notes.push(format!("Lines across a panel, means of both hemispheres: {}.", there.join("; ")));
    }
    let names = datasets(&columns);
    for (at, split) in splits.iter().enumerate() {
        let name =
            names.get(at).filter(|_| splits.len() > 1).map_or_else(String::new, |(name, ..)| format!("{name}: "));
        notes.push(format!("{name}{}.", split.words()));
    }
    if scores.parcellation == "ring" {
        let rings: Vec<String> = scores
            .labels()
            .iter()
            .filter(|label| *label != MEAN)
            .map(|label| format!("{} {}", score_table::label_name("ring", label), score_table::region("ring", label)))
            .collect();
        notes.push(format!("Rings of eccentricity: {}.", rings.join(", ")));
    }
    let mut codes: Vec<String> = Vec::new();
    for (_, tag) in scores.columns() {
        let code = score_table::explained(&tag).map(|words| format!("{tag}: {words}"));
        codes.extend(code.filter(|code| !codes.contains(code)));
    }
    if !codes.is_empty() {
        notes.push(format!("{}.", codes.join("; ")));
    }
    notes
}

/// A level to compare models with.
struct Reference {
    tag: &'static str,
    /// Points of ink and of gap of its line.
    dashes: (f64, f64),
    words: &'static str,
}

const REFERENCES: [Reference; 2] = [
    Reference { tag: RELIABILITY, dashes: (4.0, 2.0), words: "dashed, raters among themselves (rely)" },
    Reference { tag: "prior", dashes: (0.8, 1.6), words: "dotted, a template without a network (prior)" },
];

fn draw(
    scores: &HeldOut,
    splits: &[SplitCounts],
    bars: &[Bar],
    comparisons: u32,
    opacity: f64,
    simulated: bool,
) -> Drawing {
    let (labels, columns) = (scores.labels(), scores.columns());
    let datasets = datasets(&columns);
    let right = (LEFT + STEP * real(columns.len())).clamp(WIDTH - MARGIN, WIDEST - MARGIN);
    let step = (right - LEFT) / real(columns.len());
    let size = (step / 3.4).clamp(SMALLEST_TEXT, 7.5);
    let widest = columns.iter().map(|(_, tag)| text_width(tag, size)).fold(0.0, f64::max);
    // Names that do not fit beside each other are turned.
    let turned = widest > step - 2.0;
    let names = if turned { widest + 8.0 } else { 16.0 };
    let axis = names + if datasets.len() > 1 { 14.0 } else { 2.0 };
    let notes = notes(scores, splits, bars, comparisons, opacity > 0.0);
    let notes = FigureNotes::new(&notes, right - NOTES, (SMALL, LINE));
    let foot = axis + notes.height() + 4.0;
    let height = HEAD + PANEL * real(labels.len()) - GAP + foot;
    let title = format!("Dice scores per model, {}", scores.parcellation);
    let mut drawing = Drawing::new(right + MARGIN, height, &title);
    head(&mut drawing, scores, &datasets, opacity > 0.0, simulated);
    let x = |column: usize, offset: f64| LEFT + step * (real(column) + 0.5 + offset);
    for (row, label) in labels.iter().enumerate() {
        let top = HEAD + PANEL * real(row);
        let scale = Scale::new((-0.025, 1.025), (top + PANEL - GAP, top));
        rules(&mut drawing, &scale, right);
        for (name, first, last) in &datasets {
            references(&mut drawing, scores, label, name, (x(*first, -0.5), x(*last, 0.5)), &scale);
        }
        for (at, column) in columns.iter().enumerate() {
            for (hemisphere, offset, colour) in HEMISPHERES {
                if opacity > 0.0 {
                    let values = scores.values(column, label, Some(hemisphere));
                    let opacity = even_ink(opacity, values.len());
                    let centres = values.into_iter().map(|value| (x(at, offset), scale.at(value)));
                    drawing.dots(centres, 1.25, colour, opacity);
                }
                let of = |bar: &&Bar| bar.label == *label && bar.column == *column && bar.hemisphere == hemisphere;
                if let Some(bar) = bars.iter().find(of) {
                    interval(&mut drawing, x(at, offset), 0.05 * step, &scale, bar, opacity > 0.0);
                }
            }
        }
        let name = if label == MEAN { "Mean".into() } else { score_table::label_name(&scores.parcellation, label) };
        let lettering = Lettering::new(8.0).anchor(Anchor::Middle).turn(-90.0);
        drawing.text((15.0, scale.at(0.5)), &format!("{name} Dice score"), lettering);
    }
    let bottom = HEAD + PANEL * real(labels.len()) - GAP;
    for (at, (_, tag)) in columns.iter().enumerate() {
        let lettering = Lettering::new(size);
        match turned {
            true => drawing.text((x(at, 0.0), bottom + 4.0), tag, lettering.anchor(Anchor::End).turn(-90.0)),
            false => drawing.text((x(at, 0.0), bottom + 8.0), tag, lettering.anchor(Anchor::Middle)),
        }
    }
    notes.draw(&mut drawing, (NOTES, bottom + axis));
    if datasets.len() > 1 {
        for (name, first, last) in datasets {
            let (from, to, y) = (x(first, -0.4), x(last, 0.4), bottom + names);
            drawing.line((from, y), (to, y), Stroke::new(Colour::INK, 0.5));
            drawing.text((f64::midpoint(from, to), y + 6.5), name, Lettering::new(7.5).anchor(Anchor::Middle));
        }
    }
    drawing
}

/// The lines of a panel that models are compared with, over the columns of one dataset.
fn references(
    drawing: &mut Drawing,
    scores: &HeldOut,
    label: &str,
    dataset: &str,
    (from, to): (f64, f64),
    scale: &Scale,
) {
    for Reference { tag, dashes: (ink, gap), .. } in REFERENCES {
        let values = scores.values(&(dataset.to_owned(), tag.to_owned()), label, None);
        if let Some(spread) = Spread::of(&values) {
            let y = scale.at(spread.mean);
            drawing.line((from, y), (to, y), Stroke::new(Colour::QUIET, 0.7).dashed(ink, gap));
        }
    }
}

/// Scores of a hemisphere in a column of the published figure: 33 subjects times 4 raters.
const PUBLISHED_SCORES: f64 = 132.0;

/// The opacity at which fewer scores than the paper's leave as much ink, at most half.
fn even_ink(opacity: f64, scores: usize) -> f64 {
    (opacity * (PUBLISHED_SCORES / real(scores.max(1))).max(1.0)).min(opacity.max(0.5))
}

/// Which columns belong to each dataset: its name, first and last column.
fn datasets(columns: &[(String, String)]) -> Vec<(&str, usize, usize)> {
    let mut spans: Vec<(&str, usize, usize)> = Vec::new();
    for (at, (dataset, _)) in columns.iter().enumerate() {
        match spans.last_mut() {
            Some((name, _, last)) if name == dataset => *last = at,
            _ => spans.push((dataset, at, at)),
        }
    }
    spans
}

/// Key of the hemispheres, number of subjects, and the stamp.
fn head(drawing: &mut Drawing, scores: &HeldOut, datasets: &[(&str, usize, usize)], points: bool, simulated: bool) {
    let mut x = LEFT;
    let [left, right] = HEMISPHERES.map(|(_, _, colour)| colour);
    // Without dots nothing has a hemisphere's colour.
    let keys = match points {
        true => vec![(Some(left), "left"), (Some(right), "right hemisphere")],
        false => vec![(None, "of each two bars: left, right hemisphere")],
    };
    for (colour, name) in keys {
        if let Some(colour) = colour {
            drawing.dots([(x + 3.0, 11.0)], 2.4, colour, 1.0);
            x += 8.0;
        }
        drawing.text((x, 11.0), name, Lettering::new(7.0));
        x += text_width(name, 7.0) + 10.0;
    }
    let of = |dataset: &str| {
        let of_dataset = scores.scores.iter().filter(|score| score.dataset == dataset);
        of_dataset.map(|score| score.sid.as_str()).collect::<BTreeSet<_>>().len()
    };
    let scored = match datasets {
        [_] | [] => format!("{} scored", subjects(scores.subjects.len())),
        _ => {
            let counts: Vec<String> = datasets.iter().map(|(name, ..)| format!("{} {name}", of(name))).collect();
            format!("subjects scored: {}", counts.join(", "))
        }
    };
    drawing.text((x, 11.0), &scored, Lettering::new(7.0).colour(Colour::QUIET));
    if simulated {
        drawing.simulated_stamp((drawing.width() - MARGIN, 5.0));
    }
}

/// Rules at ticks (every 0.2) and, fainter, between them; the axis.
fn rules(drawing: &mut Drawing, scale: &Scale, right: f64) {
    let tenth = |tenths: i32| f64::from(tenths) / 10.0;
    for tenths in 0..=10 {
        let colour = if tenths % 2 == 0 { Colour::RULE } else { Colour::FAINT };
        let y = scale.at(tenth(tenths));
        drawing.line((LEFT, y), (right, y), Stroke::new(colour, 0.5));
    }
    let ticks: Vec<f64> = (0..=5).map(|fifths| tenth(2 * fifths)).collect();
    let axis = Scale::new((0.0, 1.0), (scale.at(0.0), scale.at(1.0)));
    left_axis(drawing, LEFT, &axis, &ticks, 0.2, 6.5);
}

/// A vertical bar over the interval with feet, and a dot at the mean. Dots of scores lie below: a thin white edge keeps
/// the bar readable on them.
fn interval(drawing: &mut Drawing, x: f64, foot: f64, scale: &Scale, bar: &Bar, edged: bool) {
    let (low, high) = (scale.at(bar.spread.mean - bar.half), scale.at(bar.spread.mean + bar.half));
    let foot = foot.max(1.2);
    let at = |y: f64| vec![(x - foot, y), (x + foot, y)];
    let lines = [vec![(x, low), (x, high)], at(low), at(high)];
    if edged {
        drawing.lines(&lines, Stroke { opacity: 0.7, ..Stroke::new(Colour::WHITE, 1.3) });
    }
    drawing.lines(&lines, Stroke::new(Colour::BLACK, 0.5));
    drawing.dots([(x, scale.at(bar.spread.mean))], 0.75, Colour::BLACK, 1.0);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pipe_contract::{Given, Value};

    use super::*;
    use crate::formats::score_table::Score;
    use crate::test_support::figures::{assert_readable, assert_same_bytes_twice, look_at};
    use crate::test_support::scores::task_of_held_out;
    use crate::test_support::tasks;

    /// Eight subjects, four raters; scores spread deterministically around a mean per tag.
    fn example(parcellation: &str, nyu: bool) -> HeldOut {
        let means = [
            ("prior", 0.48),
            ("inf", 0.78),
            ("anat", 0.63),
            ("t1t2", 0.635),
            ("trac", 0.64),
            ("nofn", 0.64),
            ("full", 0.67),
            ("func", 0.665),
            ("nodw", 0.672),
            ("not2", 0.66),
            ("rely", 0.81),
            ("fnyu", 0.7),
        ];
        let labels = if parcellation == "area" { 3 } else { 5 };
        let mut scores = Vec::new();
        let datasets: &[&str] = if nyu { &["HCP", "NYU"] } else { &["HCP"] };
        for dataset in datasets {
            for (index, (tag, mean)) in means.iter().enumerate() {
                if (*dataset == "NYU") != matches!(*tag, "fnyu")
                    && !(*dataset == "NYU" && matches!(*tag, "anat" | "func"))
                {
                    continue;
                }
                for pair in 0..32usize {
                    for (hemisphere, side) in [("lh", 0.01), ("rh", -0.01)] {
                        let noise = |salt: usize| real((pair * 7919 + index * 104_729 + salt * 31) % 101) / 101.0 - 0.5;
                        let mut all = 0.0;
                        let mut add = |label: String, score: f64| {
                            scores.push(Score {
                                dataset: (*dataset).into(),
                                sid: format!("s{:02}", pair / 4),
                                hemisphere: hemisphere.into(),
                                parcellation: parcellation.into(),
                                method1: format!("A{}", pair % 4 + 1),
                                method2: (*tag).into(),
                                tag: (*tag).into(),
                                label,
                                score: f64::clamp(score, 0.0, 1.0),
                            });
                        };
                        for label in 1..=labels {
                            let score = mean + side + 0.1 - 0.08 * real(label) + 0.22 * noise(label);
                            all += score / real(labels);
                            add(label.to_string(), score);
                        }
                        add(MEAN.into(), all);
                    }
                }
            }
        }
        let subjects = (0..8).map(|i| format!("s{i:02}")).collect::<BTreeSet<_>>();
        let split = data_table::SplitCounts { train: 20, choose: 4, scored: 8, two_parts: nyu };
        HeldOut { scores, subjects, parcellation: parcellation.into(), split }
    }

    #[test]
    fn the_printed_line_is_the_originals() {
        let spread = Spread { count: 9, mean: 0.745_61, sd: 0.1, se: 0.01 };
        let column = ("HCP".to_string(), "full".to_string());
        let bar = Bar { column, label: "mean".into(), hemisphere: "lh", spread, half: 0.0253 };
        assert_eq!(bar.line(), "mean lh full : 0.746 \u{b1} 0.025");
    }

    #[test]
    fn bars_use_the_corrected_standard_error() {
        let scores = example("area", false);
        let bars = bars(&scores, 28);
        assert_eq!(bars.len(), 4 * 11 * 2);
        let bar = &bars[0];
        assert_eq!((bar.label.as_str(), bar.column.1.as_str(), bar.hemisphere), ("1", "prior", "lh"));
        assert!((bar.half / bar.spread.se - 2.532_275).abs() < 5e-7);
    }

    #[test]
    fn panels_are_five_by_one_and_a_half_inches() {
        for (parcellation, panels) in [("area", 4.0), ("ring", 6.0)] {
            let scores = example(parcellation, false);
            let drawing = draw(&scores, &[scores.split], &bars(&scores, 22), 22, 0.05, false);
            assert!((drawing.width() - 360.0).abs() < 1e-9);
            let notes = drawing.height() - (panels * 108.0 + 32.0);
            assert_readable(&drawing);
            assert!(notes > 0.0 && notes < 108.0, "{}", drawing.height());
        }
    }

    #[test]
    fn the_stamp_and_the_dots_are_there_when_they_should() {
        let scores = example("area", false);
        let bars = bars(&scores, 28);
        let with = draw(&scores, &[scores.split], &bars, 28, 0.05, true).svg();
        let without = draw(&scores, &[scores.split], &bars, 28, 0.0, false).svg();
        assert!(with.contains("SIMULATED DATA") && !without.contains("SIMULATED DATA"));
        let dots = |svg: &str| svg.matches("r=\"1.25\"").count();
        assert_eq!((dots(&with), dots(&without)), (4 * 11 * 2 * 32, 0));
        let key = |svg: &str| (svg.contains(">right hemisphere</text>"), svg.contains(">of each two bars: left,"));
        assert_eq!((key(&with), key(&without)), ((true, false), (false, true)), "a key of colours that are not there");
    }

    #[test]
    fn notes_say_what_is_shown() {
        let scores = example("ring", false);
        let notes = notes(&scores, &[scores.split], &bars(&scores, 22), 22, true).join("\n");
        for words in [
            "Coloured dots: one score per subject and rater",
            "mean and 2.45 standard errors each way; n = 32 scores of 8 subjects",
            "20 subjects train, 4 choose the weights, 8 are scored.",
            "E1 0-0.5 deg, E2 0.5-1 deg",
            "anat: anatomy; t1t2: anatomy and T2",
        ] {
            assert!(notes.contains(words), "{words} is not in\n{notes}");
        }
    }

    #[test]
    fn axes_say_what_they_measure() {
        for (parcellation, names) in [("area", ["V1", "V3", "Mean"]), ("ring", ["E1", "E5", "Mean"])] {
            let scores = example(parcellation, false);
            let svg = draw(&scores, &[scores.split], &bars(&scores, 22), 22, 0.05, false).svg();
            for name in names {
                assert!(svg.contains(&format!(">{name} Dice score</text>")), "no axis is called `{name} Dice score`");
            }
        }
    }

    #[test]
    fn reliability_and_template_are_lines_across_a_panel() {
        let scores = example("area", true);
        let svg = draw(&scores, &[scores.split; 2], &bars(&scores, 28), 28, 0.0, false).svg();
        let lines = |dashes: &str| svg.matches(&format!("stroke-dasharray=\"{dashes}\"")).count();
        assert_eq!((lines("4 2"), lines("0.8 1.6")), (4, 4), "of the first dataset only, one in each panel");
        assert!(
            svg.contains("dashed, raters among themselves (rely)") && svg.contains("subjects scored: 8 HCP, 8 NYU")
        );
        let mut scores = example("area", false);
        scores.scores.retain(|score| score.tag == "anat");
        let svg = draw(&scores, &[scores.split], &bars(&scores, 28), 28, 0.0, false).svg();
        assert!(!svg.contains("stroke-dasharray") && !svg.contains("Lines across"));
    }

    #[test]
    fn many_columns_and_long_names_stay_readable_and_printable() {
        let mut scores = example("area", true);
        for (at, score) in scores.scores.iter_mut().enumerate() {
            score.tag = format!("a_long_code_{:02}", at % 40);
        }
        let drawing = draw(&scores, &[scores.split; 2], &bars(&scores, 28), 28, 0.0, true);
        assert!((drawing.width() - WIDEST).abs() < 1e-9, "{}", drawing.width());
        assert_readable(&drawing);
    }

    #[test]
    fn a_second_dataset_needs_its_split_and_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task_of_held_out(&Accuracy, folder.path());
        let first = task.inputs["scores"].clone();
        task.inputs.insert("other_scores".into(), first);
        let failure = tasks::run(&Accuracy, &task).unwrap_err();
        assert_eq!(failure.message, "port `other_scores` has tables, but port `other_split` has no split");
        tasks::give(&mut task, "other_split", &folder.path().join("split"));
        let failure = tasks::run(&Accuracy, &task).unwrap_err();
        assert_eq!(failure.message, "both ports of scores have the dataset `HCP`, expected two datasets");

        let rows: Vec<Score> = ["lh", "rh"]
            .map(|hemisphere| Score {
                dataset: "NYU".into(),
                ..crate::test_support::scores::score("n1", hemisphere, "fnyu", 0.5)
            })
            .into();
        let table = folder.path().join("nyu");
        data_table::write(&table, &mut score_table::table(&rows, false).unwrap()).unwrap();
        data_table::write_split(
            &folder.path().join("nyu-split"),
            &[("n1".to_owned(), data_table::Partition::Val)].into(),
        )
        .unwrap();
        task.inputs.remove("other_scores");
        tasks::gather(&mut task, "other_scores", &[("sid", "n1")], Some(&table));
        tasks::give(&mut task, "other_split", &folder.path().join("nyu-split"));
        // The last subject of HCP has a model that no other has.
        let Some(Given::Many(cells)) = task.inputs.get_mut("scores") else { panic!("no scores") };
        cells.retain(|cell| cell.at.get("sid").is_some_and(|sid| sid != "s04"));
        let mut behind = |points, public| {
            tasks::set(&mut task, "points", Value::Bool(points));
            tasks::set(&mut task, "others_are_public", Value::Bool(public));
            tasks::aggregated(&Accuracy, &task).unwrap()["figure"]
        };
        assert_eq!([behind(false, false), behind(false, true)], [1, 2], "one subject of NYU, two of HCP");
        assert_eq!(behind(true, true), 1, "points are scores of single subjects");
        let csv = fs_err::read_to_string(task.output("figure").unwrap().join("table.csv")).unwrap();
        assert!(csv.contains("NYU,fnyu,lh") && csv.contains("HCP,anat,lh"), "{csv}");
    }

    #[test]
    fn fewer_scores_are_darker() {
        assert_eq!([132, 200, 33, 4, 0].map(|count| even_ink(0.05, count)), [0.05, 0.05, 0.2, 0.5, 0.5]);
        assert_eq!(even_ink(0.9, 4), 0.9);
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        let scores = example("ring", true);
        assert_same_bytes_twice(|| draw(&scores, &[scores.split], &bars(&scores, 22), 22, 0.05, true));
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        for (parcellation, nyu) in [("area", true), ("ring", false)] {
            let scores = example(parcellation, nyu);
            let splits = if nyu { vec![scores.split; 2] } else { vec![scores.split] };
            look_at(&format!("accuracy_{parcellation}"), || draw(&scores, &splits, &bars(&scores, 28), 28, 0.05, true));
        }
    }

    #[test]
    fn a_dot_is_one_subject_and_a_mean_is_of_those_it_averages() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task_of_held_out(&Accuracy, folder.path());
        let Some(Given::Many(cells)) = task.inputs.get_mut("scores") else { panic!("no scores") };
        cells.retain(|cell| cell.at.get("sid").is_some_and(|sid| sid != "s04"));
        let mut behind = |points| {
            tasks::set(&mut task, "points", Value::Bool(points));
            tasks::aggregated(&Accuracy, &task).unwrap()["figure"]
        };
        assert_eq!([behind(true), behind(false)], [1, 2]);
    }
}
