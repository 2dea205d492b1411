//! Keys of colours: a bar for numbers, names for categories, a square for two maps, discs for three.
//!
//! Independent of cortex. Every key has a height that is known before it is rendered.

use super::scale::ColourScale;
use crate::formats::drawing::axes::{colour_bar, label, ticks};
use crate::formats::drawing::colour_maps::{light, pair};
use crate::formats::drawing::{Anchor, CanvasPoint, Colour, Drawing, Lettering, Raster, Stroke, text_width, wrapped};
use crate::numeric::counts::real;

/// A map that a key of several is about.
#[derive(Clone, Debug)]
pub(super) struct KeyPart {
    /// Its title.
    pub title: String,
    /// Its colours, of which only the limits count.
    pub scale: ColourScale,
}

/// What colours mean.
#[derive(Clone, Debug)]
pub(super) enum Legend {
    /// Numbers between two limits.
    Bar {
        /// Their colours.
        scale: ColourScale,
        /// Their unit; may be empty.
        unit: String,
        /// Some lie below the first colour.
        below: bool,
        /// Some lie above the last colour.
        above: bool,
    },
    /// Categories: colours and what they are.
    Names(Vec<(Colour, String)>),
    /// Two maps at once.
    Pair(Box<[KeyPart; 2]>),
    /// Three maps at once, as red, green and blue light.
    Light(Box<[KeyPart; 3]>),
}

/// Size of letters.
const SIZE: f64 = 6.0;
/// Height of a bar, and of the whole key that it is part of.
const BAR: f64 = 7.0;
const BAR_KEY: f64 = 22.0;
/// The side of a square or a box around discs.
const SIDE: f64 = 60.0;
/// A swatch of a category, the distance between lines, and between entries.
const SWATCH: f64 = 6.5;
const LINE: f64 = 9.5;
const APART: f64 = 10.0;
/// Length of the triangle at the end of a bar in heights of the bar, and the distance of the unit from it.
const TIP: f64 = 0.8;
const UNIT: f64 = 4.0;

impl Legend {
    /// How high the key is where it may be `width` points wide.
    pub(super) fn height(&self, width: f64) -> f64 {
        match self {
            Self::Bar { .. } => BAR_KEY,
            Self::Names(entries) => LINE * real(rows(entries, width).len()),
            Self::Pair(parts) => {
                SIDE + 2.0 * LINE + 2.0 + LINE * real(wrapped(&parts[0].title, SIDE * 2.0, SIZE).len())
            }
            Self::Light(parts) => {
                let lines = parts.iter().map(|part| described(part, width).len()).sum::<usize>();
                SIDE.max(LINE * (real(lines) + 1.0))
            }
        }
    }

    /// Draws the key, centred in `width` points from `at`, its upper left corner.
    pub(super) fn draw(&self, drawing: &mut Drawing, at: CanvasPoint, width: f64) {
        match self {
            Self::Bar { scale, unit, below, above } => {
                let length = (width * 0.5).clamp(width.min(60.0), 170.0);
                // Centred, or further to the left where the unit beside it would have no room.
                let beside = text_width(unit, SIZE) + if *above { TIP * BAR } else { 0.0 } + 2.0 * UNIT;
                let left = at.0 + ((width - length) / 2.0).min(width - length - beside).max(0.0);
                bar(drawing, (left, at.1 + 2.0), (length, BAR), scale, (unit, *below, *above));
            }
            Self::Names(entries) => names(drawing, at, width, entries),
            Self::Pair(parts) => square(drawing, at, width, parts),
            Self::Light(parts) => discs(drawing, at, width, parts),
        }
    }
}

/// A bar with its ticks below; a triangle at an end beyond which values lie, and the unit to the right of it. Letters have an edge, because
/// a bar may lie on cortex.
pub(super) fn bar(
    drawing: &mut Drawing,
    at: CanvasPoint,
    (width, height): (f64, f64),
    scale: &ColourScale,
    (unit, below, above): (&str, bool, bool),
) {
    colour_bar(drawing, at, width, height, |share| scale.of_share(share));
    let tip = height * TIP;
    let ends = [(below, at.0, -tip, 0.0), (above, at.0 + width, tip, 1.0)];
    for (_, edge, tip, share) in ends.into_iter().filter(|end| end.0) {
        let corners = [(edge, at.1), (edge + tip, at.1 + height / 2.0), (edge, at.1 + height)];
        drawing.polygon(&corners, scale.of_share(share));
        drawing.lines(&[corners.to_vec()], Stroke::new(Colour::INK, 0.4));
    }
    let (values, step) = fitting_ticks(scale, width);
    for value in values {
        let x = at.0 + width * scale.share(value);
        drawing.line((x, at.1 + height), (x, at.1 + height + 2.0), Stroke::new(Colour::INK, 0.5));
        let lettering = Lettering::new(SIZE).anchor(Anchor::Middle).halo(Colour::WHITE);
        drawing.text((x, at.1 + height + 6.5), &label(value, step), lettering);
    }
    let right = at.0 + width + if above { tip } else { 0.0 } + UNIT;
    drawing.text((right, at.1 + height / 2.0), unit, Lettering::new(SIZE).halo(Colour::WHITE));
}

/// As many round numbers as have room for their labels below a bar.
fn fitting_ticks(scale: &ColourScale, width: f64) -> (Vec<f64>, f64) {
    let fits = |(values, step): &(Vec<f64>, f64)| {
        let widest = values.iter().map(|value| text_width(&label(*value, *step), SIZE)).fold(0.0, f64::max);
        values.len() < 2 || width * step / (scale.high - scale.low) > widest + 4.0
    };
    let tried = [5, 4, 3, 2].map(|wanted| ticks(scale.low, scale.high, wanted));
    tried.iter().find(|ticks| fits(ticks)).unwrap_or(&tried[3]).clone()
}

/// Entries by line, as many in each as have room.
fn rows(entries: &[(Colour, String)], width: f64) -> Vec<Vec<(usize, f64)>> {
    let mut rows: Vec<Vec<(usize, f64)>> = Vec::new();
    let mut used = f64::INFINITY;
    for (at, (_, name)) in entries.iter().enumerate() {
        let own = SWATCH + 3.0 + text_width(name, SIZE);
        match rows.last_mut() {
            Some(row) if used + APART + own <= width => {
                row.push((at, used + APART));
                used += APART + own;
            }
            _ => {
                rows.push(vec![(at, 0.0)]);
                used = own;
            }
        }
    }
    rows
}

fn names(drawing: &mut Drawing, at: CanvasPoint, width: f64, entries: &[(Colour, String)]) {
    let rows = rows(entries, width);
    let end = |(entry, left): &(usize, f64)| left + SWATCH + 3.0 + text_width(&entries[*entry].1, SIZE);
    let wide = rows.iter().filter_map(|row| row.last()).map(end).fold(0.0, f64::max);
    let left = at.0 + (width - wide).max(0.0) / 2.0;
    for (line, row) in rows.iter().enumerate() {
        let middle = at.1 + LINE * (real(line) + 0.5);
        for (entry, across) in row {
            let (colour, name) = &entries[*entry];
            let x = left + across;
            drawing.rectangle((x, middle - SWATCH / 2.0), SWATCH, SWATCH, 1.0, *colour);
            drawing.text((x + SWATCH + 3.0, middle), name, Lettering::new(SIZE));
        }
    }
}

/// Pixels along a side of a key of two or three maps.
const FINE: usize = 120;

/// A square: the first map to the right, the second upwards.
fn square(drawing: &mut Drawing, (edge, top): CanvasPoint, width: f64, [first, second]: &[KeyPart; 2]) {
    let centre = edge + width / 2.0;
    let mut pixels = Raster::new(FINE, FINE);
    let share = |step: usize| (real(step) + 0.5) / real(FINE);
    for row in 0..FINE {
        for column in 0..FINE {
            pixels.set(column, row, pair(share(column), 1.0 - share(row)));
        }
    }
    let left = centre - SIDE / 2.0;
    drawing.image((left, top), SIDE, SIDE, &pixels, false);
    drawing.frame((left, top), SIDE, SIDE, Stroke::new(Colour::INK, 0.4));
    let ink = Stroke::new(Colour::INK, 0.5);
    let (across, step) = fitting_ticks(&first.scale, SIDE);
    for value in across {
        let x = left + SIDE * first.scale.share(value);
        drawing.line((x, top + SIDE), (x, top + SIDE + 2.0), ink);
        drawing.text((x, top + SIDE + 6.5), &label(value, step), Lettering::new(SIZE).anchor(Anchor::Middle));
    }
    let (up, step) = fitting_ticks(&second.scale, SIDE);
    let mut widest = 0.0_f64;
    for value in up {
        let (y, words) = (top + SIDE * (1.0 - second.scale.share(value)), label(value, step));
        drawing.line((left - 2.0, y), (left, y), ink);
        drawing.text((left - 4.0, y), &words, Lettering::new(SIZE).anchor(Anchor::End));
        widest = widest.max(text_width(&words, SIZE));
    }
    for (line, words) in wrapped(&first.title, SIDE * 2.0, SIZE).iter().enumerate() {
        let y = top + SIDE + LINE * (real(line) + 1.5) + 1.0;
        drawing.text((centre, y), words, Lettering::new(SIZE).anchor(Anchor::Middle));
    }
    let end = left - widest - 10.0;
    let lines = wrapped(&second.title, (end - edge).min(SIDE * 2.0), SIZE);
    for (line, words) in lines.iter().enumerate() {
        let y = top + SIDE / 2.0 + 8.0 * (real(line) + 0.5 - real(lines.len()) / 2.0);
        drawing.text((end, y), words, Lettering::new(SIZE).anchor(Anchor::End));
    }
}

/// The words beside discs: what a light is, and at which values it begins and ends.
fn described(part: &KeyPart, width: f64) -> Vec<String> {
    let (low, high) = (part.scale.low, part.scale.high);
    let step = ticks(low, high, 10).1;
    let words = format!("{} ({} to {})", part.title, label(low, step), label(high, step));
    wrapped(&words, (width - SIDE - 3.0 * APART - SWATCH).max(40.0), SIZE)
}

/// Three discs of light that overlap, and what each is.
fn discs(drawing: &mut Drawing, at: CanvasPoint, width: f64, parts: &[KeyPart; 3]) {
    let mut pixels = Raster::new(FINE, FINE);
    // Corners of a triangle around the middle, the first on top.
    let centres = [(0.5, 0.33), (0.33, 0.63), (0.67, 0.63)];
    for row in 0..FINE {
        for column in 0..FINE {
            let (x, y) = ((real(column) + 0.5) / real(FINE), (real(row) + 0.5) / real(FINE));
            let lit = centres.map(|(cx, cy)| libm::hypot(x - cx, y - cy) < 0.31);
            if lit.contains(&true) {
                pixels.set(column, row, light(lit.map(|lit| if lit { 1.0 } else { 0.0 })));
            }
        }
    }
    let lines: Vec<Vec<String>> = parts.iter().map(|part| described(part, width)).collect();
    let wide = lines.iter().flatten().map(|line| text_width(line, SIZE)).fold(0.0, f64::max);
    let all = SIDE + APART + SWATCH + 3.0 + wide;
    let left = at.0 + (width - all).max(0.0) / 2.0;
    drawing.image((left, at.1), SIDE, SIDE, &pixels, true);
    let x = left + SIDE + APART;
    let mut middle = at.1 + LINE / 2.0;
    let colours = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(light);
    for (colour, lines) in colours.into_iter().zip(&lines) {
        drawing.rectangle((x, middle - SWATCH / 2.0), SWATCH, SWATCH, 1.0, colour);
        for line in lines {
            drawing.text((x + SWATCH + 3.0, middle), line, Lettering::new(SIZE));
            middle += LINE;
        }
    }
    let words = "Light adds up: black where all are low, white where all are high.";
    drawing.text((x, middle), words, Lettering::new(SIZE).colour(Colour::QUIET));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::drawing::{ColourMap, text_boxes};

    /// The ends of the texts that a key has where it may be `width` points wide, from 10 on.
    fn ends(legend: &Legend, width: f64) -> (f64, f64) {
        let mut drawing = Drawing::new(width + 20.0, legend.height(width) + 4.0, "");
        legend.draw(&mut drawing, (10.0, 2.0), width);
        let boxes = text_boxes(&drawing.svg()).1;
        boxes.iter().fold((f64::INFINITY, 0.0_f64), |(left, right), (_, ink)| (left.min(ink[0]), right.max(ink[2])))
    }

    fn scale() -> ColourScale {
        ColourScale::numbers(ColourMap::Blues, (0.0, 0.4))
    }

    #[test]
    fn units_stay_beside_their_bar() {
        let bar = |unit: &str| Legend::Bar { scale: scale(), unit: unit.to_owned(), below: false, above: true };
        let (_, right) = ends(&bar("share of variance"), 140.0);
        assert!(right <= 150.0, "{right}");
        let centred = ends(&bar("R\u{b2}"), 140.0).0;
        // The bar is 70 points wide, from 45 to 115; its first number is centred on its end.
        assert!((36.0..45.0).contains(&centred), "{centred}");
    }

    #[test]
    fn titles_of_two_maps_stay_in_a_column() {
        let part = |title: &str| KeyPart { title: title.to_owned(), scale: scale() };
        let parts = Box::new([part("Unique: early layers"), part("Unique: late layers of the network")]);
        // 89 mm without margins.
        let (left, right) = ends(&Legend::Pair(parts), 236.0);
        assert!(left >= 9.5 && right <= 246.5, "{left} {right}");
    }
}
