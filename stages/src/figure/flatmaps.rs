//! `figure/flatmaps`: a contact sheet of flat-map images, a row per subject and a column per channel.
//!
//! Shows the inputs of the networks: raw values, colours per channel with one range for all subjects (2nd to 98th
//! percentile), both hemispheres side by side, with the borders of one rater's areas where targets are given. Shows polar angle and
//! eccentricity in place of pRF x and y. Channels that no subject has (all zero) are left out and named in the log.

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::{Arity, Context, Coordinates, Ended, Failure, Kind, StageKind, Task, parameters};

use super::outline::{Segment, level_lines};
use crate::formats::drawing::axes::colour_bar;
use crate::formats::drawing::{Anchor, Colour, Drawing, Lettering, Raster, Stroke, colour, save};
use crate::formats::tensors;
use crate::numeric::counts::{self, real};
use crate::numeric::statistics::quantile;

/// The kind.
pub(super) struct Flatmaps;

parameters! {
    struct Parameters {
        /// columns, by the images' channel names, also prf_angle and prf_eccentricity; none for the usual eight
        channels: Vec<String> = Vec::new();
        /// rows at most; the first by id are shown
        subjects: usize = 6, in 1..=50;
        /// whose areas are outlined; empty: the first by name
        rater: String = String::new();
    }
}

/// What a column shows and how.
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

/// Everything that can be shown, in the order of columns.
const CHANNELS: [Channel; 16] = [
    channel("x", "x", "mm", Map::Diverging),
    channel("y", "y", "mm", Map::Sequential),
    channel("z", "z", "mm", Map::Sequential),
    channel("curvature", "curvature", "1/mm", Map::Diverging),
    channel("convexity", "convexity", "a.u.", Map::Diverging),
    channel("thickness", "thickness", "mm", Map::Sequential),
    channel("surface_area", "surface area", "mm²", Map::Sequential),
    channel("myelin", "myelin", "T1w/T2w", Map::Sequential),
    channel("dwi_OR", "optic radiation", "a.u.", Map::Sequential),
    channel("dwi_VOF", "vertical occipital f.", "a.u.", Map::Sequential),
    channel("prf_angle", "polar angle", "0 to 180 deg", Map::Angle),
    channel("prf_eccentricity", "eccentricity", "deg", Map::Eccentricity),
    channel("prf_x", "pRF x", "deg", Map::Diverging),
    channel("prf_y", "pRF y", "deg", Map::Diverging),
    channel("prf_sigma", "pRF size", "deg", Map::Sequential),
    channel("prf_cod", "variance explained", "0 to 1", Map::Sequential),
];

/// The channels shown by default.
const USUAL: [&str; 8] =
    ["curvature", "convexity", "thickness", "surface_area", "myelin", "prf_angle", "prf_eccentricity", "prf_cod"];

const fn channel(name: &'static str, title: &'static str, unit: &'static str, map: Map) -> Channel {
    Channel { name, title, unit, map }
}

impl StageKind for Flatmaps {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "figure/flatmaps",
            1,
            "Contact sheet of flat-map images, a row per subject and a column per channel",
        )
        .gather("images", &["images"], "images of subjects, one per coordinate `sid`")
        .port(
            "targets",
            &["targets"],
            Arity::Many,
            true,
            "label images, one per `sid` and `rater`, for outlines of V1 to V3",
        )
        .folder("figure", "picture", "figure.svg, figure.pdf, figure.png")
        .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let mut subjects = Vec::new();
        for (at, file) in task.present("images").take(parameters.subjects) {
            subjects.push(SubjectImages::read(sid(at, "images")?, file)?);
        }
        if subjects.is_empty() {
            return Err(Failure::input("no subject has images, expected at least one"));
        }
        outlines(task, &parameters.rater, &mut subjects)?;
        let requested = requested(&parameters.channels)?;
        let (shown, empty): (Vec<&Channel>, Vec<&Channel>) = requested.into_iter().partition(|channel| {
            subjects
                .iter()
                .any(|subject| subject.values(channel).is_some_and(|values| values.iter().any(|v| *v != 0.0)))
        });
        let names: Vec<&str> = empty.iter().map(|channel| channel.name).collect();
        if !names.is_empty() {
            context.log(&format!("left out because no subject has it: {}", names.join(", ")));
        }
        if shown.is_empty() {
            return Err(Failure::input(format!("none of the channels {} has a value other than 0", names.join(", "))));
        }
        let all = task.present("images").count();
        save(&draw(&subjects, &shown, all, task.simulated), task.output("figure")?)?;
        Ok(Ended::done())
    }
}

/// The requested channels, or the usual ones.
fn requested(names: &[String]) -> Result<Vec<&'static Channel>, Failure> {
    let known = |name: &str| CHANNELS.iter().find(|channel| channel.name == name);
    if names.is_empty() {
        return Ok(USUAL.into_iter().filter_map(known).collect());
    }
    let unknown = |name: &str| {
        let all: Vec<&str> = CHANNELS.iter().map(|channel| channel.name).collect();
        Failure::input(format!("unknown channel `{name}`")).hint(format!("known are {}", all.join(", ")))
    };
    names.iter().map(|name| known(name).ok_or_else(|| unknown(name))).collect()
}

fn sid<'a>(at: &'a Coordinates, port: &str) -> Result<&'a str, Failure> {
    at.get("sid").map(String::as_str).ok_or_else(|| {
        Failure::input(format!("an artifact at port `{port}` has the coordinates [{at}], expected one on `sid`"))
    })
}

/// One subject's images.
struct SubjectImages {
    sid: String,
    rows: usize,
    columns: usize,
    channels: BTreeMap<String, Vec<f32>>,
    /// Pixels that show cortex.
    cortex: Vec<bool>,
    outline: Vec<Segment>,
}

impl SubjectImages {
    fn read(sid: &str, file: &Path) -> Result<Self, Failure> {
        let images = Images::read(file, "images")?;
        let size = images.rows * images.columns;
        let mut channels = BTreeMap::new();
        for (index, name) in images.names.iter().enumerate() {
            channels.insert(name.clone(), images.values[index * size..(index + 1) * size].to_vec());
        }
        // Outside the map every channel is exactly 0; on it coordinates practically never all are.
        let cortex = (0..size).map(|pixel| channels.values().any(|values| values[pixel] != 0.0)).collect();
        if let (Some(x), Some(y)) = (channels.get("prf_x"), channels.get("prf_y")) {
            let both = |of: fn(f32, f32) -> f32| x.iter().zip(y).map(|(x, y)| of(*x, *y)).collect::<Vec<f32>>();
            let (angle, eccentricity) = (both(|x, y| libm::atan2f(x, y).to_degrees()), both(libm::hypotf));
            channels.insert("prf_angle".into(), angle);
            channels.insert("prf_eccentricity".into(), eccentricity);
        }
        let Images { rows, columns, .. } = images;
        Ok(Self { sid: sid.to_string(), rows, columns, channels, cortex, outline: Vec::new() })
    }

    fn values(&self, channel: &Channel) -> Option<&[f32]> {
        self.channels.get(channel.name).map(Vec::as_slice)
    }

    /// Whether a pixel's value of this channel is worth a colour: cortex, and for pRF parameters a tenth of the variance explained.
    fn counts(&self, channel: &Channel, pixel: usize) -> bool {
        let measured = !channel.name.starts_with("prf_")
            || channel.name == "prf_cod"
            || self.channels.get("prf_cod").is_none_or(|explained| explained[pixel] >= 0.1);
        self.cortex[pixel] && measured
    }
}

/// A tensor of named images, all channels of one size.
struct Images {
    names: Vec<String>,
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Images {
    fn read(file: &Path, tensor: &str) -> Result<Self, Failure> {
        let at = |failure: Failure| failure.at(file.display().to_string());
        let file = tensors::read(file)?;
        let (shape, values) = file.floats(tensor).map_err(at)?;
        let names: Vec<String> = file.names("channels").map_err(at)?.into_iter().map(String::from).collect();
        match *shape {
            [channels, rows, columns] if channels == names.len() && rows > 0 && columns > 0 => {
                Ok(Self { names, rows, columns, values: values.to_vec() })
            }
            _ => Err(at(Failure::input(format!(
                "`{tensor}` has the shape {shape:?}, expected [{}, rows, columns] for its {} channels",
                names.len(),
                names.len()
            )))),
        }
    }
}

/// Gives every subject the borders of one rater's areas.
fn outlines(task: &Task, rater: &str, subjects: &mut [SubjectImages]) -> Result<(), Failure> {
    for subject in subjects {
        let mut raters = BTreeMap::new();
        for (at, file) in task.present("targets") {
            if sid(at, "targets")? == subject.sid {
                raters.insert(at.get("rater").map_or("", String::as_str), file);
            }
        }
        let chosen = if rater.is_empty() { raters.values().next() } else { raters.get(rater) };
        let Some(file) = chosen else { continue };
        let targets = Images::read(file, "targets")?;
        if (targets.rows, targets.columns) != (subject.rows, subject.columns) {
            let message = format!(
                "targets of {} x {} pixels, but images of {} x {}",
                targets.rows, targets.columns, subject.rows, subject.columns
            );
            return Err(Failure::input(message).at(file.display().to_string()));
        }
        let size = targets.rows * targets.columns;
        for (index, name) in targets.names.iter().enumerate() {
            if name.starts_with('V') {
                let image = &targets.values[index * size..(index + 1) * size];
                subject.outline.extend(level_lines(image, targets.columns, 0.5));
            }
        }
    }
    Ok(())
}

const CELL: (f64, f64) = (92.0, 46.0);
const GAP: (f64, f64) = (8.0, 6.0);
const HEAD: f64 = 44.0;
const FOOT: f64 = 24.0;
const MARGIN: f64 = 8.0;

fn draw(subjects: &[SubjectImages], channels: &[&Channel], all: usize, simulated: bool) -> Drawing {
    let names = subjects.iter().map(|p| crate::formats::drawing::text_width(&p.sid, 7.5)).fold(0.0, f64::max);
    let left = MARGIN + names + 8.0;
    let width = (left + (CELL.0 + GAP.0) * real(channels.len())).max(230.0) - GAP.0 + MARGIN;
    let height = HEAD + (CELL.1 + GAP.1) * real(subjects.len()) + FOOT;
    let mut drawing = Drawing::new(width, height, "Flat maps of subjects");
    let outlined = subjects.iter().any(|subject| !subject.outline.is_empty());
    let lines = if outlined { " Lines: a rater's borders of V1, V2 and V3." } else { "" };
    let title = format!("Flat maps, left and right hemisphere: {} of {}", subjects.len(), counts::subjects(all));
    drawing.text((MARGIN, 10.0), &title, Lettering::new(8.0));
    let about = format!(
        "Colours end at the 2nd and 98th percentile of the subjects shown. Grey: the pRF explains less than 0.1 of the variance.{lines}"
    );
    drawing.text((MARGIN, 20.0), &about, Lettering::new(6.5).colour(Colour::QUIET));
    if simulated {
        drawing.simulated_stamp((width - MARGIN, 4.0));
    }
    for (row, subject) in subjects.iter().enumerate() {
        let y = HEAD + (CELL.1 + GAP.1) * real(row);
        drawing.text((left - 8.0, y + CELL.1 / 2.0), &subject.sid, Lettering::new(7.5).anchor(Anchor::End));
    }
    for (column, channel) in channels.iter().enumerate() {
        let x = left + (CELL.0 + GAP.0) * real(column);
        let title = Lettering::new(7.5).anchor(Anchor::Middle);
        drawing.text((x + CELL.0 / 2.0, HEAD - 8.0), channel.title, title);
        let range = range(subjects, channel);
        for (row, subject) in subjects.iter().enumerate() {
            let y = HEAD + (CELL.1 + GAP.1) * real(row);
            cell(&mut drawing, (x, y), subject, channel, range);
        }
        key(&mut drawing, (x, height - FOOT + 3.0), channel, range);
    }
    drawing
}

/// The values at the two ends of a channel's colours: 2nd and 98th percentile over all subjects shown.
fn range(subjects: &[SubjectImages], channel: &Channel) -> (f64, f64) {
    let mut values: Vec<f64> = Vec::new();
    for subject in subjects {
        let of_subject = subject.values(channel).unwrap_or_default().iter().enumerate();
        values.extend(
            of_subject.filter(|(pixel, _)| subject.counts(channel, *pixel)).map(|(_, value)| f64::from(*value)),
        );
    }
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    if values.is_empty() {
        return (0.0, 1.0);
    }
    let (low, high) = (quantile(&values, 0.02), quantile(&values, 0.98));
    if channel.map == Map::Diverging {
        let far = low.abs().max(high.abs());
        return (-far, far);
    }
    (low, high)
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

fn cell(drawing: &mut Drawing, at: (f64, f64), subject: &SubjectImages, channel: &Channel, range: (f64, f64)) {
    let mut pixels = Raster::new(subject.columns, subject.rows);
    let values = subject.values(channel).unwrap_or_default();
    for (pixel, value) in values.iter().enumerate() {
        if subject.cortex[pixel] {
            let shown = subject.counts(channel, pixel);
            let colour = if shown { value_colour(channel.map, f64::from(*value), range) } else { colour::grey(0.1) };
            pixels.set(pixel % subject.columns, pixel / subject.columns, colour);
        }
    }
    drawing.image(at, CELL.0, CELL.1, &pixels, true);
    let place = |[x, y]: [f64; 2]| (at.0 + x / real(subject.columns) * CELL.0, at.1 + y / real(subject.rows) * CELL.1);
    let lines: Vec<Vec<(f64, f64)>> = subject.outline.iter().map(|segment| segment.map(place).to_vec()).collect();
    drawing.lines(&lines, Stroke { opacity: 0.8, ..Stroke::new(Colour::WHITE, 0.9) });
    drawing.lines(&lines, Stroke::new(Colour::INK, 0.4));
}

/// The colours of a channel with the values at their ends.
fn key(drawing: &mut Drawing, at: (f64, f64), channel: &Channel, (low, high): (f64, f64)) {
    let (from, width) = (at.0 + 16.0, CELL.0 - 32.0);
    let (start, end) = match channel.map {
        Map::Angle => ((0.0, "upper".to_string()), (180.0, "lower".to_string())),
        Map::Eccentricity => {
            ((0.0, "0".to_string()), (colour::ECCENTRICITY_END, format!("{}", colour::ECCENTRICITY_END)))
        }
        _ => ((low, short(low)), (high, short(high))),
    };
    let value = |share: f64| match channel.map {
        Map::Eccentricity => 0.5 * (share * (colour::ECCENTRICITY_END / 0.5).ln_1p()).exp_m1(),
        _ => start.0 + share * (end.0 - start.0),
    };
    colour_bar(drawing, (from, at.1), width, 5.0, |share| value_colour(channel.map, value(share), (low, high)));
    let small = Lettering::new(5.5).anchor(Anchor::Middle);
    drawing.text((from, at.1 + 11.0), &start.1, small);
    drawing.text((from + width, at.1 + 11.0), &end.1, small);
    drawing.text((from + width / 2.0, at.1 + 11.0), channel.unit, small.colour(Colour::QUIET));
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
    use super::*;
    use crate::test_support::figures::{assert_same_bytes_twice, look_at};

    /// A made-up subject: smooth waves on two discs.
    fn subject(sid: &str, phase: f64) -> SubjectImages {
        let (rows, columns) = (64, 128);
        let mut channels: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        let mut cortex = vec![false; rows * columns];
        let mut area = vec![0.0; rows * columns];
        let names = [
            "curvature",
            "convexity",
            "thickness",
            "surface_area",
            "myelin",
            "prf_angle",
            "prf_eccentricity",
            "prf_cod",
        ];
        for pixel in 0..rows * columns {
            let (x, y) = (real(pixel % 64) / 32.0 - 1.0, 1.0 - real(pixel / columns) / 32.0);
            cortex[pixel] = x.hypot(y) < 0.98;
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
                channels.entry((*name).into()).or_default().push(if cortex[pixel] { value as f32 } else { 0.0 });
            }
        }
        SubjectImages { sid: sid.into(), rows, columns, channels, cortex, outline: level_lines(&area, columns, 0.5) }
    }

    fn example() -> Drawing {
        let subjects: Vec<SubjectImages> = (0..4).map(|at| subject(&format!("s{at:02}"), real(at))).collect();
        draw(&subjects, &requested(&[]).unwrap(), 20, true)
    }

    #[test]
    fn unknown_channels_are_named() {
        let failure = requested(&["curvature".into(), "curv".into()]).err().unwrap();
        assert_eq!(failure.message, "unknown channel `curv`");
        assert_eq!(requested(&[]).unwrap().len(), USUAL.len());
    }

    #[test]
    fn images_must_fit_their_channels() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("images.safetensors");
        let tensors = tensors::Tensors::new()
            .with("images", tensors::Tensor::f32(&[2, 1, 2], vec![0.0; 4]))
            .about("channels", "x,y,z");
        tensors::write(&file, &tensors).unwrap();
        let failure = SubjectImages::read("s01", &file).err().unwrap();
        assert_eq!(failure.message, "`images` has the shape [2, 1, 2], expected [3, rows, columns] for its 3 channels");
    }

    #[test]
    fn every_column_has_its_unit() {
        let shown = example().svg();
        let units = ["1/mm", "a.u.", "mm", "mm²", "T1w/T2w", "0 to 180 deg", "deg", "0 to 1"];
        assert_eq!(units.len(), USUAL.len());
        for unit in units {
            assert!(shown.contains(&format!(">{unit}</text>")), "no column has the unit `{unit}`");
        }
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
