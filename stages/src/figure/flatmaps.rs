//! `figure/flatmaps`: what the networks see: a row per channel, a column per subject.
//!
//! Shows the images as the networks have them: raw values, colours per channel with one range for all subjects (2nd to 98th
//! percentile), both hemispheres side by side, with the borders of one rater's areas where targets are given. All 14 channels are
//! rows, in the order of the network that sees all of them; polar angle and eccentricity can be asked for. Channels that no subject has
//! (all zero) are left out and named, in the figure and in the log.

use std::collections::BTreeMap;

use pipe_contract::{Arity, Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};
use polars::prelude::DataFrame;

use super::outline::Segment;
use super::subject_images::{NamedImages, SubjectImages, sid};
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing::axes::colour_bar;
use crate::formats::drawing::{
    Anchor, Colour, Drawing, FigureNotes, Lettering, SMALLEST_TEXT, Stroke, WIDEST, colour, save, text_width, wrapped,
};
use crate::numeric::counts::{self, real};
use crate::numeric::statistics::quantile;

/// The kind.
pub(super) struct Flatmaps;

parameters! {
    struct Parameters {
        /// rows, by the images' channel names, also prf_angle and prf_eccentricity; none for all 14 channels
        channels: Vec<String> = Vec::new();
        /// columns at most; the first subjects by id are shown
        subjects: usize = 6, in 1..=12;
        /// whose areas are outlined; empty: the first by name
        rater: String = String::new();
        /// whose borders the lines are, for the note below the maps: `a rater's`, `predicted`
        lines: String = "a rater's".to_owned(), neutral "a rater's".to_owned();
    }
}

/// What a row shows and how.
struct Channel {
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    map: Map,
}

/// How values become colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Map {
    /// Least to greatest, dark to light.
    Sequential,
    /// Symmetric around zero.
    Diverging,
    /// Polar angle out of `prf_x` and `prf_y`.
    Angle,
    /// Eccentricity out of `prf_x` and `prf_y`.
    Eccentricity,
}

/// Everything that can be shown, in the order of rows: the channels of the network that sees all, and two that are computed from them.
const CHANNELS: [Channel; 16] = [
    channel("x", "x, to the right", "mm", Map::Diverging),
    channel("y", "y, to the front", "mm", Map::Sequential),
    channel("z", "z, upwards", "mm", Map::Sequential),
    channel("curvature", "curvature", "1/mm", Map::Diverging),
    channel("convexity", "convexity (sulc)", "a.u.", Map::Diverging),
    channel("thickness", "thickness", "mm", Map::Sequential),
    channel("surface_area", "surface area", "mm²", Map::Sequential),
    channel("myelin", "myelin", "T1w/T2w ratio", Map::Sequential),
    channel("dwi_OR", "optic radiation", "a.u.", Map::Sequential),
    channel("dwi_VOF", "vertical occipital fasciculus", "a.u.", Map::Sequential),
    channel("prf_x", "pRF x", "deg", Map::Diverging),
    channel("prf_y", "pRF y", "deg", Map::Diverging),
    channel("prf_sigma", "pRF size", "deg", Map::Sequential),
    channel("prf_cod", "pRF variance explained", "0 to 1", Map::Sequential),
    channel("prf_angle", "polar angle", "deg", Map::Angle),
    channel("prf_eccentricity", "eccentricity", "deg", Map::Eccentricity),
];

const fn channel(name: &'static str, title: &'static str, unit: &'static str, map: Map) -> Channel {
    Channel { name, title, unit, map }
}

/// What is in `table.csv`.
const COLUMNS: &[Column] = &[
    Column::new("sid", "the subject"),
    Column::new("channel", "the channel of the networks' images, or computed from them"),
    Column::new("unit", "the unit of all numbers in the row"),
    Column::new("n_pixels", "pixels with a colour"),
    Column::new("low", "2nd percentile of the subject's values"),
    Column::new("median", "median of the subject's values"),
    Column::new("high", "98th percentile of the subject's values"),
    Column::new("from", "value of the first colour, the same for all subjects"),
    Column::new("to", "value of the last colour, the same for all subjects"),
    STAMP,
];

/// A subject in the figure.
struct Shown {
    images: SubjectImages,
    /// Borders of a rater's areas, in pixels.
    borders: Option<(NamedImages, Vec<Segment>)>,
}

impl StageKind for Flatmaps {
    fn kind(&self) -> Kind {
        let kind =
            Kind::new("figure/flatmaps", 4, "The networks' images of subjects, a row per channel, a column per subject")
                .gather("images", &["images"], "images of subjects, one per coordinate `sid`")
                .port(
                    "targets",
                    &["targets"],
                    Arity::Many,
                    true,
                    "label images, one per `sid` and `rater`, for outlines of V1 to V3",
                )
                .port(
                    "subjects",
                    &["subject"],
                    Arity::Many,
                    true,
                    "the files that the images were painted from, one per `sid`: they say how much of a pixel at the rim is painted; \
                     without them two pixels at the rim are left out",
                )
                .folder("figure", "figure", "figure.svg, figure.pdf, figure.png, and table.csv with the values shown")
                .described(&[data_table::CSV], COLUMNS)
                .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let requested = requested(&parameters.channels)?;
        let mut files = BTreeMap::new();
        for (at, folder) in task.present("subjects") {
            files.insert(sid(at, "subjects")?, folder);
        }
        let mut subjects = Vec::new();
        for (at, file) in task.present("images").take(parameters.subjects) {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all images were read"));
            }
            let sid = sid(at, "images")?;
            let mut images = SubjectImages::read(sid, file, files.get(sid).copied())?;
            add_angle_and_eccentricity(&mut images);
            subjects.push(Shown { borders: borders(task, &parameters.rater, &images)?, images });
        }
        if subjects.is_empty() {
            return Err(Failure::input("no subject has images, expected at least one"));
        }
        let (shown, empty): (Vec<&Channel>, Vec<&Channel>) = requested.into_iter().partition(|channel| {
            let mut values = subjects.iter().filter_map(|subject| subject.images.channels.get(channel.name));
            values.any(|values| values.iter().any(|value| *value != 0.0))
        });
        let empty: Vec<&str> = empty.iter().map(|channel| channel.name).collect();
        if !empty.is_empty() {
            context.log(&format!("left out because no subject has it: {}", empty.join(", ")));
        }
        if shown.is_empty() {
            return Err(Failure::input(format!("none of the channels {} has a value other than 0", empty.join(", "))));
        }
        let sheet = Sheet {
            subjects: &subjects,
            channels: &shown,
            empty: &empty,
            all: task.present("images").count(),
            lines: &parameters.lines,
        };
        let folder = task.output("figure")?;
        save(&sheet.draw(task.simulated), folder)?;
        data_table::write_csv(&folder.join(data_table::CSV), &mut sheet.table(task.simulated)?)?;
        Ok(Ended::noted(task.absences("images").into_iter().collect()))
    }
}

/// The requested channels, or those of the networks.
fn requested(names: &[String]) -> Result<Vec<&'static Channel>, Failure> {
    let known = |name: &str| CHANNELS.iter().find(|channel| channel.name == name);
    if names.is_empty() {
        return Ok(CHANNELS.iter().take(NETWORK).collect());
    }
    let unknown = |name: &str| {
        let all: Vec<&str> = CHANNELS.iter().map(|channel| channel.name).collect();
        Failure::input(format!("unknown channel `{name}`")).hint(format!("known are {}", all.join(", ")))
    };
    names.iter().map(|name| known(name).ok_or_else(|| unknown(name))).collect()
}

/// How many of [`CHANNELS`] networks see; what follows is computed from them.
const NETWORK: usize = 14;

/// Adds polar angle and eccentricity where there are pRF positions.
fn add_angle_and_eccentricity(images: &mut SubjectImages) {
    if let (Some(x), Some(y)) = (images.channels.get("prf_x"), images.channels.get("prf_y")) {
        let both = |of: fn(f32, f32) -> f32| x.iter().zip(y).map(|(x, y)| of(*x, *y)).collect::<Vec<f32>>();
        let (angle, eccentricity) = (both(|x, y| libm::atan2f(x, y).to_degrees()), both(libm::hypotf));
        images.channels.insert("prf_angle".into(), angle);
        images.channels.insert("prf_eccentricity".into(), eccentricity);
    }
}

/// The borders of one rater's areas of a subject.
fn borders(task: &Task, rater: &str, images: &SubjectImages) -> Result<Option<(NamedImages, Vec<Segment>)>, Failure> {
    let mut raters = BTreeMap::new();
    for (at, file) in task.present("targets") {
        if sid(at, "targets")? == images.sid {
            raters.insert(at.get("rater").map_or("", String::as_str), file);
        }
    }
    let chosen = if rater.is_empty() { raters.values().next() } else { raters.get(rater) };
    let Some(file) = chosen else { return Ok(None) };
    let targets = NamedImages::targets(file, images)?;
    let borders = targets.borders();
    Ok(Some((targets, borders)))
}

/// Whether a pixel's value of this channel is worth a colour: cortex, and for pRF parameters a tenth of the variance explained.
fn counts_in(images: &SubjectImages, channel: &Channel, pixel: usize) -> bool {
    let measured = !channel.name.starts_with("prf_")
        || channel.name == "prf_cod"
        || images.channels.get("prf_cod").is_none_or(|explained| explained[pixel] >= 0.1);
    images.shows(pixel) && measured
}

/// The values of a channel that have a colour, ascending.
fn values(images: &SubjectImages, channel: &Channel) -> Vec<f64> {
    let all = images.channels.get(channel.name).into_iter().flatten().enumerate();
    // Pixels that are mostly outside have the noise of single precision, so they do not decide about colours.
    let inside = all.filter(|(pixel, _)| counts_in(images, channel, *pixel) && images.coverage[*pixel] >= 0.5);
    let mut values: Vec<f64> = inside.map(|(_, value)| f64::from(*value)).filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values
}

const GAP: (f64, f64) = (5.0, 5.0);
const MARGIN: f64 = 8.0;
/// Width of the names of channels, and of the keys of colours.
const NAMES: f64 = 88.0;
const KEYS: f64 = 76.0;
/// The widest map of a subject.
const CELL: f64 = 92.0;
/// The narrowest row: a colour bar with its numbers fits.
const LEAST_ROW: f64 = 24.0;
const SMALL: f64 = 6.0;
const LINE: f64 = 8.0;

/// The figure, ready to be rendered.
struct Sheet<'a> {
    subjects: &'a [Shown],
    channels: &'a [&'a Channel],
    /// Channels that no subject has.
    empty: &'a [&'a str],
    /// How many subjects have images.
    all: usize,
    /// Whose borders the lines are.
    lines: &'a str,
}

impl Sheet<'_> {
    fn draw(&self, simulated: bool) -> Drawing {
        let count = real(self.subjects.len());
        let room = WIDEST - 2.0 * MARGIN - NAMES - KEYS - GAP.0 * (count + 1.0);
        let cell = (room / count).min(CELL);
        let width = 2.0 * MARGIN + NAMES + KEYS + (cell + GAP.0) * count + GAP.0;
        let row = (cell / 2.0).max(LEAST_ROW) + GAP.1;
        let notes = FigureNotes::new(&self.notes(), width - 2.0 * MARGIN, (SMALL, LINE));
        let sid_size = 7.0;
        let longest = self.subjects.iter().map(|s| text_width(&s.images.sid, sid_size)).fold(0.0, f64::max);
        // Ids that do not fit beside each other are turned.
        let turned = longest > cell + GAP.0 - 2.0;
        let head = 22.0 + if turned { longest + 4.0 } else { 11.0 };
        let height = head + row * real(self.channels.len()) + notes.height() + 8.0;
        let mut drawing = Drawing::new(width, height, "Flat maps of subjects");
        let title = format!("What the networks see: {} of {}", self.subjects.len(), counts::subjects(self.all));
        drawing.text((MARGIN, 10.0), &title, Lettering::new(8.0));
        if simulated {
            drawing.simulated_stamp((width - MARGIN, 4.0));
        }
        let x = |column: usize| MARGIN + NAMES + GAP.0 + (cell + GAP.0) * real(column);
        for (column, subject) in self.subjects.iter().enumerate() {
            let (centre, sid) = (x(column) + cell / 2.0, &subject.images.sid);
            let lettering = Lettering::new(sid_size);
            match turned {
                true => drawing.text((centre, head - 4.0), sid, lettering.turn(-90.0)),
                false => drawing.text((centre, head - 6.0), sid, lettering.anchor(Anchor::Middle)),
            }
        }
        for (at, channel) in self.channels.iter().enumerate() {
            let top = head + row * real(at);
            let middle = top + (row - GAP.1) / 2.0;
            let lines = wrapped(channel.title, NAMES, 7.0);
            for (line, words) in lines.iter().enumerate() {
                let y = middle + 8.0 * (real(line) - real(lines.len()) / 2.0) - 0.5;
                drawing.text((MARGIN, y), words, Lettering::new(7.0));
            }
            let below = middle + 8.0 * real(lines.len()) / 2.0 - 0.5;
            drawing.text((MARGIN, below), channel.unit, Lettering::new(SMALL).colour(Colour::QUIET));
            let range = self.range(channel);
            for (column, subject) in self.subjects.iter().enumerate() {
                draw_cell(&mut drawing, (x(column), middle - cell / 4.0), cell, subject, channel, range);
            }
            key(&mut drawing, (x(self.subjects.len()), middle - 6.0), channel, range);
        }
        notes.draw(&mut drawing, (MARGIN, head + row * real(self.channels.len()) + 4.0));
        drawing
    }

    /// What the maps are and what marks mean.
    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "Left: left hemisphere; top is superior, and medial is towards the middle. Raw values. Colours end at the 2nd and \
             98th percentile of the subjects shown."
                .to_owned(),
        ];
        if self.channels.iter().any(|channel| channel.name.starts_with("prf_") && channel.name != "prf_cod") {
            notes.push(
                "Grey: the pRF explains less than 0.1 of the variance; the networks see these values too.".into(),
            );
        }
        if self.subjects.iter().any(|subject| subject.borders.is_some()) {
            notes.push(format!("Lines: {} borders of V1, V2 and V3.", self.lines));
        }
        if !self.empty.is_empty() {
            notes.push(format!("No subject shown has a value other than 0 of: {}.", self.empty.join(", ")));
        }
        notes
    }

    fn table(&self, simulated: bool) -> Result<DataFrame, Failure> {
        let mut rows = Vec::new();
        for channel in self.channels {
            let ends = ends(channel, self.range(channel));
            let row = |subject: &Shown| (subject.images.sid.clone(), *channel, values(&subject.images, channel), ends);
            rows.extend(self.subjects.iter().map(row));
        }
        let part = |share: f64| {
            let of = |values: &Vec<f64>| (!values.is_empty()).then(|| quantile(values, share)).map(four_digits);
            rows.iter().map(|row| of(&row.2)).collect::<Vec<_>>()
        };
        DataTable::of(COLUMNS)
            .text("sid", rows.iter().map(|row| row.0.as_str()))
            .text("channel", rows.iter().map(|row| row.1.name))
            .text("unit", rows.iter().map(|row| row.1.unit))
            .integers("n_pixels", rows.iter().map(|row| i64::try_from(row.2.len()).unwrap_or(i64::MAX)))
            .optional_numbers("low", part(0.02))
            .optional_numbers("median", part(0.5))
            .optional_numbers("high", part(0.98))
            .numbers("from", rows.iter().map(|row| four_digits(row.3.0)))
            .numbers("to", rows.iter().map(|row| four_digits(row.3.1)))
            .stamped(simulated)
            .build()
    }

    /// The values at the two ends of a channel's colours: 2nd and 98th percentile over all subjects shown.
    fn range(&self, channel: &Channel) -> (f64, f64) {
        let mut all: Vec<f64> = self.subjects.iter().flat_map(|subject| values(&subject.images, channel)).collect();
        all.sort_by(f64::total_cmp);
        if all.is_empty() {
            return (0.0, 1.0);
        }
        let (low, high) = (quantile(&all, 0.02), quantile(&all, 0.98));
        if channel.map == Map::Diverging {
            let far = low.abs().max(high.abs());
            return (-far, far);
        }
        (low, high)
    }
}

/// The values of a channel's first and last colour.
fn ends(channel: &Channel, range: (f64, f64)) -> (f64, f64) {
    match channel.map {
        Map::Angle => (0.0, 180.0),
        Map::Eccentricity => (0.0, colour::ECCENTRICITY_END),
        Map::Sequential | Map::Diverging => range,
    }
}

/// To four significant digits: images are single precision.
fn four_digits(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn value_colour(map: Map, value: f64, (low, high): (f64, f64)) -> Colour {
    let share = if high > low { (value - low) / (high - low) } else { 0.5 };
    match map {
        Map::Sequential => colour::sequential(share),
        Map::Diverging => colour::diverging(share),
        Map::Angle => colour::polar_angle(value),
        Map::Eccentricity => colour::eccentricity(value),
    }
}

/// One map, `width` points wide, with its upper left corner at `at`.
fn draw_cell(drawing: &mut Drawing, at: (f64, f64), width: f64, subject: &Shown, channel: &Channel, range: (f64, f64)) {
    let images = &subject.images;
    let nothing = Vec::new();
    let values = images.channels.get(channel.name).unwrap_or(&nothing);
    let picture = images.picture(|pixel| {
        let value = f64::from(*values.get(pixel)?);
        let shown = counts_in(images, channel, pixel);
        Some(if shown { value_colour(channel.map, value, range) } else { colour::grey(0.1) })
    });
    drawing.image(at, width, width / 2.0, &picture, true);
    if let Some((targets, borders)) = &subject.borders {
        let lines = targets.placed(borders, at, (width, width / 2.0));
        drawing.lines(&lines, Stroke { opacity: 0.8, ..Stroke::new(Colour::WHITE, 0.9) });
        drawing.lines(&lines, Stroke::new(Colour::INK, 0.4));
    }
}

/// The colours of a channel with the values at their ends.
fn key(drawing: &mut Drawing, at: (f64, f64), channel: &Channel, range: (f64, f64)) {
    let (from, to) = ends(channel, range);
    let names = match channel.map {
        Map::Angle => ["0 upper".to_owned(), "180 lower".to_owned()],
        _ => [short(from), short(to)],
    };
    let value = |share: f64| match channel.map {
        Map::Eccentricity => 0.5 * (share * (colour::ECCENTRICITY_END / 0.5).ln_1p()).exp_m1(),
        _ => from + share * (to - from),
    };
    colour_bar(drawing, at, KEYS, 5.0, |share| value_colour(channel.map, value(share), range));
    let small = Lettering::new(SMALLEST_TEXT + 0.5);
    drawing.text((at.0, at.1 + 10.0), &names[0], small);
    drawing.text((at.0 + KEYS, at.1 + 10.0), &names[1], small.anchor(Anchor::End));
    if channel.map == Map::Diverging {
        drawing.text((at.0 + KEYS / 2.0, at.1 + 10.0), "0", small.anchor(Anchor::Middle));
    }
}

/// A number with two significant digits or so.
fn short(value: f64) -> String {
    let size = value.abs();
    let text = match () {
        () if size >= 100.0 => format!("{value:.0}"),
        () if size >= 1.0 => format!("{value:.1}"),
        () => format!("{value:.2}"),
    };
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use pipe_contract::Value;

    use super::*;
    use crate::figure::outline::level_lines;
    use crate::formats::tensors;
    use crate::test_support::figures::{assert_readable, assert_same_bytes_twice, look_at};
    use crate::test_support::small_subject::write_subject;
    use crate::test_support::tasks;

    /// A made-up subject: smooth waves on two discs.
    fn subject(sid: &str, phase: f64) -> Shown {
        let (rows, columns) = (64, 128);
        let mut channels: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        let mut area = vec![0.0; rows * columns];
        let names: Vec<&str> = CHANNELS.iter().map(|channel| channel.name).collect();
        let mut coverage = vec![0.0; rows * columns];
        for pixel in 0..rows * columns {
            let (x, y) = (real(pixel % 64) / 32.0 - 1.0, 1.0 - real(pixel / columns) / 32.0);
            coverage[pixel] = if x.hypot(y) < 0.98 { 1.0f32 } else { 0.0 };
            area[pixel] = if x.hypot(y + 0.2) < 0.4 + 0.03 * phase.sin() { 1.0f32 } else { 0.0 };
            for (index, name) in names.iter().enumerate() {
                let wave = ((3.0 + real(index)) * x + phase).sin() * ((4.0 - 0.3 * real(index)) * y).cos();
                let value = match *name {
                    "prf_angle" => 90.0 - 85.0 * y + 5.0 * wave,
                    "prf_eccentricity" => 6.0 * (1.0 + x) + 0.2 * wave,
                    "prf_cod" => 0.4 + 0.4 * wave,
                    "thickness" => 2.4 + 0.5 * wave,
                    _ => 0.2 * wave,
                };
                #[expect(clippy::cast_possible_truncation, reason = "a test image")]
                channels.entry((*name).into()).or_default().push(value as f32 * coverage[pixel]);
            }
        }
        let borders = level_lines(&area, columns, 0.5);
        let file = tempfile::NamedTempFile::new().unwrap();
        let targets = tensors::Tensors::new()
            .with("targets", tensors::Tensor::f32(&[1, rows, columns], area))
            .about("channels", "V1")
            .about("radius", "80");
        tensors::write(file.path(), &targets).unwrap();
        let images = SubjectImages { sid: sid.into(), rows, columns, channels, coverage };
        Shown { borders: Some((NamedImages::targets(file.path(), &images).unwrap(), borders)), images }
    }

    fn sheet<T>(count: usize, sid: &str, of: impl Fn(&Sheet<'_>) -> T) -> T {
        let subjects: Vec<Shown> = (0..count).map(|at| subject(&format!("{sid}{at:02}"), real(at))).collect();
        let channels = requested(&[]).unwrap();
        of(&Sheet { subjects: &subjects, channels: &channels, empty: &["dwi_OR"], all: 20, lines: "a rater's" })
    }

    fn example() -> Drawing {
        sheet(6, "1150", |sheet| sheet.draw(true))
    }

    #[test]
    fn unknown_channels_are_named() {
        let failure = requested(&["curvature".into(), "curv".into()]).err().unwrap();
        assert_eq!(failure.message, "unknown channel `curv`");
        assert_eq!(requested(&[]).unwrap().len(), 14, "all that the networks see");
    }

    #[test]
    fn images_must_fit_their_channels() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("images.safetensors");
        let tensors = tensors::Tensors::new()
            .with("images", tensors::Tensor::f32(&[2, 1, 2], vec![0.0; 4]))
            .about("channels", "x,y,z")
            .about("radius", "80");
        tensors::write(&file, &tensors).unwrap();
        let failure = SubjectImages::read("s01", &file, None).err().unwrap();
        assert_eq!(failure.message, "`images` has the shape [2, 1, 2], expected [3, rows, columns] for its 3 channels");
    }

    #[test]
    fn every_row_has_its_name_unit_and_colour_bar() {
        let svg = example().svg();
        for channel in &CHANNELS[..NETWORK] {
            assert!(svg.contains(&format!(">{}</text>", channel.unit)), "no row has the unit `{}`", channel.unit);
        }
        for words in ["curvature", "pRF size", "x, to the right"] {
            assert!(svg.contains(&format!(">{words}</text>")), "no row is called `{words}`");
        }
        assert_eq!(svg.matches("<image ").count(), NETWORK * (6 + 1), "a map a subject and a colour bar");
        assert!(svg.contains("has a value other than 0 of: dwi_OR."));
    }

    #[test]
    fn sheets_of_one_and_of_many_subjects_are_readable() {
        for (count, sid) in [(1, "s"), (12, "1150"), (12, "sub-wlsubj0")] {
            let drawing = sheet(count, sid, |sheet| sheet.draw(true));
            assert!(drawing.width() <= WIDEST + 1e-9, "{}", drawing.width());
            assert_readable(&drawing);
        }
    }

    /// Images of 16 x 32 pixels that have a value everywhere, so that without files of the subject 12 x 12 of each half are shown. The pRF
    /// lies to the right of fixation and explains half of the variance in the left half, and 0.05 in the right one.
    fn write_images(folder: &Path, sid: &str, thickness: f32) -> PathBuf {
        let halves = |left: f32, right: f32| -> Vec<f32> {
            (0..512).map(|pixel| if pixel % 32 < 16 { left } else { right }).collect()
        };
        let values = [halves(thickness, thickness), halves(1.0, 1.0), halves(0.0, 0.0), halves(0.5, 0.05)].concat();
        let file = folder.join(format!("{sid}.images"));
        let tensors = tensors::Tensors::new()
            .with("images", tensors::Tensor::f32(&[4, 16, 32], values))
            .about("channels", "thickness,prf_x,prf_y,prf_cod")
            .about("radius", "80");
        tensors::write(&file, &tensors).unwrap();
        file
    }

    /// A task about three subjects, two of whom are to be shown, and one rater's labels of the second.
    fn task(folder: &Path) -> Task {
        let mut task = tasks::task(&Flatmaps, folder);
        let channels = ["thickness", "prf_angle"].map(|name| Value::Text(name.into()));
        tasks::set(&mut task, "channels", Value::List(channels.into()));
        tasks::set(&mut task, "subjects", Value::Int(2));
        tasks::set(&mut task, "lines", Value::Text("predicted".into()));
        for (sid, thickness) in [("s01", 2.0), ("s02", 4.0), ("s03", 9.0)] {
            tasks::gather(&mut task, "images", &[("sid", sid)], Some(&write_images(folder, sid, thickness)));
        }
        let area = (0..512).map(|pixel| if pixel % 32 < 8 { 1.0 } else { 0.0 }).collect();
        let targets = tensors::Tensors::new()
            .with("targets", tensors::Tensor::f32(&[1, 16, 32], area))
            .about("channels", "V1")
            .about("radius", "80");
        tensors::write(&folder.join("targets"), &targets).unwrap();
        tasks::gather(&mut task, "targets", &[("rater", "A1"), ("sid", "s02")], Some(&folder.join("targets")));
        task
    }

    /// The rows of the table, and the figure.
    fn outcome(task: &Task) -> (Vec<String>, String) {
        tasks::run(&Flatmaps, task).unwrap();
        let read = |file: &str| fs_err::read_to_string(task.output("figure").unwrap().join(file)).unwrap();
        (read(data_table::CSV).lines().skip(1).map(str::to_owned).collect(), read("figure.svg"))
    }

    #[test]
    fn what_is_shown_is_what_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(folder.path());
        let (rows, svg) = outcome(&task);
        // Colours have one range for all that are shown; pRF values need a tenth of the variance; to the right is 90 degrees.
        let expected = [
            "s01,thickness,mm,288,2.0,2.0,2.0,2.0,4.0",
            "s02,thickness,mm,288,4.0,4.0,4.0,2.0,4.0",
            "s01,prf_angle,deg,144,90.0,90.0,90.0,0.0,180.0",
            "s02,prf_angle,deg,144,90.0,90.0,90.0,0.0,180.0",
        ];
        assert_eq!(rows, expected);
        assert!(svg.contains(">What the networks see: 2 of 3 subjects</text>"));
        assert!(svg.contains(">Lines: predicted borders of V1, V2 and V3.</text>"));
        tasks::set(&mut task, "rater", Value::Text("A2".into()));
        assert!(!outcome(&task).1.contains(">Lines:"), "no labels are of this rater");
        tasks::set(&mut task, "rater", Value::Text(String::new()));
        tasks::set(&mut task, "subjects", Value::Int(1));
        assert!(!outcome(&task).1.contains(">Lines:"), "labels are of another subject");
        tasks::gather(&mut task, "subjects", &[("sid", "s01")], Some(&write_subject(folder.path(), "s01")));
        let shown: usize = outcome(&task).0[0].split(',').nth(3).unwrap().parse().unwrap();
        assert!((330..400).contains(&shown), "{shown} pixels of two discs of 16 pixels, without those at the seam");
    }

    #[test]
    fn the_table_has_a_row_a_map() {
        let frame = sheet(3, "s", |sheet| sheet.table(true).unwrap());
        assert_eq!(frame.height(), 3 * NETWORK);
        let at = |name: &str| frame.column(name).unwrap().f64().unwrap().get(5 * 3).unwrap();
        // Thickness is 2.4 with a wave of 0.5.
        assert!(at("from") < at("to") && at("low") < at("median") && at("median") < at("high"));
        assert!((1.9..2.4).contains(&at("low")) && (2.4..2.91).contains(&at("high")));
    }

    #[test]
    fn draws_the_same_bytes_twice() {
        assert_same_bytes_twice(example);
    }

    /// For looking at: set `PIPE_FIGURES` to a folder.
    #[test]
    fn can_be_looked_at() {
        look_at("flatmaps", example);
    }
}
