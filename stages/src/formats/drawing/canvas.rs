//! A figure under construction: a small SVG writer.
//!
//! Decides how shapes and texts become SVG: lengths are points with at most two decimals, y points down. Independent of files.

use std::fmt::Write as _;

use base64::Engine as _;

use super::colour::Colour;
use super::font::{self, FALLBACKS, FAMILY};
use super::raster::Raster;

/// A place on the drawing: points from the left and from the top.
pub type CanvasPoint = (f64, f64);

/// The style of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stroke {
    /// Its colour.
    pub colour: Colour,
    /// Its width in points.
    pub width: f64,
    /// Its opacity, 0 to 1.
    pub opacity: f64,
    /// Points that are inked and left out in turn; `None` for an unbroken line.
    pub dashes: Option<(f64, f64)>,
}

impl Stroke {
    /// An opaque line.
    pub const fn new(colour: Colour, width: f64) -> Self {
        Self { colour, width, opacity: 1.0, dashes: None }
    }

    /// The same, broken into dashes of `ink` points with `gap` points between them.
    #[must_use]
    pub const fn dashed(mut self, ink: f64, gap: f64) -> Self {
        self.dashes = Some((ink, gap));
        self
    }

    fn attributes(self) -> String {
        let mut text = format!(r#"fill="none" stroke="{}" stroke-width="{}""#, self.colour.hex(), number(self.width));
        if self.opacity < 1.0 {
            let _ = write!(text, r#" stroke-opacity="{}""#, number(self.opacity));
        }
        if let Some((ink, gap)) = self.dashes {
            let _ = write!(text, r#" stroke-dasharray="{} {}""#, number(ink), number(gap));
        }
        text
    }
}

/// The alignment of a text relative to its point, along its own direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The text begins there.
    Start,
    /// The text is centred there.
    Middle,
    /// The text ends there.
    End,
}

/// How a text is set. Its point is at half the height of capital letters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lettering {
    /// Font size in points.
    pub size: f64,
    /// Its colour.
    pub colour: Colour,
    /// Its alignment relative to its point.
    pub anchor: Anchor,
    /// Turned clockwise about its point, in degrees.
    pub turn: f64,
    /// The colour of an edge around the letters, which keeps them readable on a map.
    pub halo: Option<Colour>,
}

impl Lettering {
    /// Horizontal text that begins at its point, nearly black.
    pub const fn new(size: f64) -> Self {
        Self { size, colour: Colour::INK, anchor: Anchor::Start, turn: 0.0, halo: None }
    }

    /// The same, anchored otherwise.
    #[must_use]
    pub const fn anchor(mut self, anchor: Anchor) -> Self {
        self.anchor = anchor;
        self
    }

    /// The same in another colour.
    #[must_use]
    pub const fn colour(mut self, colour: Colour) -> Self {
        self.colour = colour;
        self
    }

    /// The same, turned clockwise by so many degrees.
    #[must_use]
    pub const fn turn(mut self, degrees: f64) -> Self {
        self.turn = degrees;
        self
    }

    /// The same with an edge of this colour around the letters.
    #[must_use]
    pub const fn halo(mut self, colour: Colour) -> Self {
        self.halo = Some(colour);
        self
    }
}

/// Width of the edge of a [halo](Lettering::halo), in font sizes.
const HALO: f64 = 0.28;

/// Height of capital letters in font sizes; half of it centres text on its point.
const CAPITAL: f64 = 0.727;

/// A figure under construction, painted back to front.
#[derive(Clone, Debug)]
pub struct Drawing {
    width: f64,
    height: f64,
    pub(super) title: String,
    pub(super) body: String,
    /// Texts that are not blank.
    pub(super) texts: usize,
    /// The size of the smallest text, and that text.
    pub(super) smallest: Option<(f64, String)>,
    clips: usize,
}

impl Drawing {
    /// An empty white sheet of this size in points. The title is for machines (PDF and SVG metadata), it is not visible.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        Self { width, height, title: title.to_string(), body: String::new(), texts: 0, smallest: None, clips: 0 }
    }

    /// Width in points.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Height in points.
    pub fn height(&self) -> f64 {
        self.height
    }

    /// A straight line.
    pub fn line(&mut self, from: CanvasPoint, to: CanvasPoint, stroke: Stroke) {
        self.lines(&[vec![from, to]], stroke);
    }

    /// Several open lines through their points, as one element.
    pub fn lines(&mut self, lines: &[Vec<CanvasPoint>], stroke: Stroke) {
        if lines.iter().any(|line| line.len() > 1) {
            let path = lines.iter().map(|line| path_through(line)).collect::<String>();
            let style = stroke.attributes();
            self.element(&format!(r#"<path d="{path}" {style} stroke-linecap="round" stroke-linejoin="round"/>"#));
        }
    }

    /// A filled polygon.
    pub fn polygon(&mut self, corners: &[CanvasPoint], fill: Colour) {
        if corners.len() > 2 {
            self.element(&format!(r#"<path d="{}Z" fill="{}"/>"#, path_through(corners), fill.hex()));
        }
    }

    /// A filled rectangle with its upper left corner at `at`; `round` is the radius of its corners.
    pub fn rectangle(&mut self, at: CanvasPoint, width: f64, height: f64, round: f64, fill: Colour) {
        let (x, y, w, h) = (number(at.0), number(at.1), number(width), number(height));
        let corner = if round > 0.0 { format!(r#" rx="{}""#, number(round)) } else { String::new() };
        self.element(&format!(r#"<rect x="{x}" y="{y}" width="{w}" height="{h}"{corner} fill="{}"/>"#, fill.hex()));
    }

    /// The outline of a rectangle with its upper left corner at `at`.
    pub fn frame(&mut self, at: CanvasPoint, width: f64, height: f64, stroke: Stroke) {
        let (x, y, w, h) = (number(at.0), number(at.1), number(width), number(height));
        self.element(&format!(r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" {}/>"#, stroke.attributes()));
    }

    /// The outline of a disc.
    pub fn ring(&mut self, centre: CanvasPoint, radius: f64, stroke: Stroke) {
        let (x, y, r) = (number(centre.0), number(centre.1), number(radius));
        self.element(&format!(r#"<circle cx="{x}" cy="{y}" r="{r}" {}/>"#, stroke.attributes()));
    }

    /// Dots of one size and colour. Each has its own opacity: where they overlap they add up.
    pub fn dots(&mut self, centres: impl IntoIterator<Item = CanvasPoint>, radius: f64, fill: Colour, opacity: f64) {
        let radius = number(radius);
        let mut dots = String::new();
        for (x, y) in centres {
            let _ = write!(dots, r#"<circle cx="{}" cy="{}" r="{radius}"/>"#, number(x), number(y));
        }
        if !dots.is_empty() {
            let opacity =
                if opacity < 1.0 { format!(r#" fill-opacity="{}""#, decimals(opacity, 4)) } else { String::new() };
            self.element(&format!(r#"<g fill="{}"{opacity}>{dots}</g>"#, fill.hex()));
        }
    }

    /// A line of text; nothing for blank text.
    pub fn text(&mut self, at: CanvasPoint, text: &str, lettering: Lettering) {
        if text.trim().is_empty() {
            return;
        }
        self.texts += 1;
        if self.smallest.as_ref().is_none_or(|(size, _)| lettering.size < *size) {
            self.smallest = Some((lettering.size, text.to_owned()));
        }
        let anchor = match lettering.anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let (x, y) = (number(at.0), number(at.1));
        let turn = if lettering.turn == 0.0 { String::new() } else { format!(" rotate({})", number(lettering.turn)) };
        let halo = lettering.halo.map_or_else(String::new, |colour| {
            let width = number(lettering.size * HALO);
            let hex = colour.hex();
            format!(r#" stroke="{hex}" stroke-width="{width}" stroke-linejoin="round" paint-order="stroke""#)
        });
        self.element(&format!(
            r#"<text transform="translate({x} {y}){turn}" y="{}" font-size="{}" fill="{}"{halo}{anchor}>{}</text>"#,
            number(lettering.size * CAPITAL / 2.0),
            number(lettering.size),
            lettering.colour.hex(),
            escaped(text)
        ));
    }

    /// Pixels stretched over a rectangle with its upper left corner at `at`; `smooth` interpolates between them.
    pub fn image(&mut self, at: CanvasPoint, width: f64, height: f64, pixels: &Raster, smooth: bool) {
        let (x, y, w, h) = (number(at.0), number(at.1), number(width), number(height));
        let data = base64::engine::general_purpose::STANDARD.encode(pixels.png());
        let rendering = if smooth { "optimizeQuality" } else { "optimizeSpeed" };
        self.element(&format!(
            r#"<image x="{x}" y="{y}" width="{w}" height="{h}" preserveAspectRatio="none" image-rendering="{rendering}" xlink:href="data:image/png;base64,{data}"/>"#
        ));
    }

    /// Clips what follows to a rectangle, until [`end_clip`](Self::end_clip).
    pub fn begin_clip(&mut self, at: CanvasPoint, width: f64, height: f64) {
        self.clips += 1;
        let (x, y, w, h, clip) = (number(at.0), number(at.1), number(width), number(height), self.clips);
        self.element(&format!(
            r##"<clipPath id="clip{clip}"><rect x="{x}" y="{y}" width="{w}" height="{h}"/></clipPath><g clip-path="url(#clip{clip})">"##
        ));
    }

    /// Clips what follows to the inside of rings, until [`end_clip`](Self::end_clip); no ring clips all.
    pub fn begin_clip_to(&mut self, rings: &[Vec<CanvasPoint>]) {
        self.clips += 1;
        let clip = self.clips;
        let path: String = rings.iter().map(|ring| path_through(ring) + "Z").collect();
        self.element(&format!(
            r##"<clipPath id="clip{clip}"><path d="{path}"/></clipPath><g clip-path="url(#clip{clip})">"##
        ));
    }

    /// Ends the innermost clip.
    pub fn end_clip(&mut self) {
        self.element("</g>");
    }

    /// The stamp of simulated data, with its upper right corner at `corner`. Returns the stamp's width in points.
    pub fn simulated_stamp(&mut self, corner: CanvasPoint) -> f64 {
        let (width, height) = (78.0, 12.0);
        self.rectangle((corner.0 - width, corner.1), width, height, 2.0, Colour::STAMP);
        let lettering = Lettering::new(7.0).colour(Colour::WHITE).anchor(Anchor::Middle);
        self.text((corner.0 - width / 2.0, corner.1 + height / 2.0), "SIMULATED DATA", lettering);
        width
    }

    /// The drawing as an SVG document, self-contained: the font travels in it.
    pub fn svg(&self) -> String {
        self.document(&font::style())
    }

    /// The same without the font, for readers that have it.
    pub(super) fn bare_svg(&self) -> String {
        self.document("")
    }

    fn document(&self, style: &str) -> String {
        let (width, height) = (number(self.width), number(self.height));
        let title = escaped(&self.title);
        let body = &self.body;
        format!(
            r##"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}pt" height="{height}pt" viewBox="0 0 {width} {height}" font-family="{FAMILY}, {FALLBACKS}">
<title>{title}</title>
{style}<rect width="{width}" height="{height}" fill="#ffffff"/>
{body}</svg>
"##
        )
    }

    fn element(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }
}

fn path_through(points: &[CanvasPoint]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let _ = write!(path, "{}{} {}", if index == 0 { "M" } else { "L" }, number(*x), number(*y));
    }
    path
}

/// A length with at most two decimals and no trailing zeros, `.` as the point whatever the locale.
fn number(value: f64) -> String {
    decimals(value, 2)
}

fn decimals(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_minus_zero() {
        assert_eq!(["0", "-1.5", "0", "12.35", "100"], [0.0, -1.5, -0.001, 12.345_01, 100.0].map(number));
    }

    #[test]
    fn an_svg_names_fonts_for_programs_that_ignore_its_own() {
        let svg = Drawing::new(10.0, 10.0, "").svg();
        assert!(svg.contains(r#"font-family="Inter, Helvetica, Arial, sans-serif""#));
        assert!(svg.contains("@font-face"));
    }

    #[test]
    fn text_is_escaped() {
        let mut drawing = Drawing::new(10.0, 10.0, "a < b & \"c\"");
        drawing.text((1.0, 1.0), "x<y&z", Lettering::new(7.0));
        let svg = drawing.bare_svg();
        assert!(svg.contains("x&lt;y&amp;z") && svg.contains("<title>a &lt; b &amp; &quot;c&quot;</title>"), "{svg}");
    }
}
