//! Outlines and names of regions and sulci on a flat map.
//!
//! Decides which lines of an overlay are shown, how they stay visible on any colour, and where names go: where a shape has most room, moved
//! by less than a line where another name is in the way, and left out where there is no room at all.

use std::collections::BTreeMap;

use pipe_contract::Failure;

use crate::formats::drawing::{Anchor, CanvasPoint, Colour, Drawing, Lettering, Stroke, text_width};
use crate::formats::overlay::{CortexOverlay, OverlayLayer, OverlayRegion, SULCI};
use crate::numeric::counts::real;
use crate::numeric::polygon::{Point2, area};

/// Where a picture of pixels lies on a drawing.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineFrame {
    /// Its upper left corner.
    pub at: CanvasPoint,
    /// Its width and height in points.
    pub size: (f64, f64),
    /// Its columns and rows.
    pub pixels: (usize, usize),
}

impl LineFrame {
    /// Where a share of the flat surface's box lies. The middles of the first and the last pixel are its ends.
    pub(super) fn place(&self, [x, y]: Point2) -> CanvasPoint {
        let along = |share: f64, count: usize| (0.5 + share * (real(count) - 1.0)) / real(count);
        let (x, y) = (along(x, self.pixels.0), along(y, self.pixels.1));
        (self.at.0 + x * self.size.0, self.at.1 + y * self.size.1)
    }
}

/// How lines and names look.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineStyle {
    /// The line.
    pub line: Stroke,
    /// What lies below it, wider and of the opposite lightness.
    pub casing: Stroke,
    /// Names, in this size.
    pub names: Lettering,
}

/// A box on the drawing: left, top, right, bottom.
pub(super) type Box4 = [f64; 4];

/// The chosen lines of an overlay.
pub(super) struct Lines {
    layers: Vec<OverlayLayer>,
}

impl Lines {
    /// The regions of these layers which the overlay does not hide; or those named in `only`, hidden or not.
    ///
    /// # Errors
    /// Input: a name in `only` that no region of the layers has.
    pub(super) fn choose(overlay: &CortexOverlay, layers: &[String], only: &[String]) -> Result<Self, Failure> {
        let mut chosen: Vec<OverlayLayer> =
            overlay.layers.iter().filter(|layer| layers.contains(&layer.name)).cloned().collect();
        let known = |name: &String| chosen.iter().flat_map(|layer| &layer.regions).any(|region| region.name == *name);
        if let Some(name) = only.iter().find(|name| !known(name)) {
            let all: Vec<&str> =
                chosen.iter().flat_map(|layer| &layer.regions).map(|region| region.name.as_str()).collect();
            return Err(Failure::input(format!(
                "found no region `{name}` in the layers {} of the overlay",
                layers.join(", ")
            ))
            .hint(format!("they have {}", all.join(", "))));
        }
        for layer in &mut chosen {
            layer.regions.retain(|region| if only.is_empty() { !region.hidden } else { only.contains(&region.name) });
        }
        chosen.retain(|layer| !layer.regions.is_empty());
        Ok(Self { layers: chosen })
    }

    /// The layers that have something to draw, by name.
    pub(super) fn layers(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|layer| layer.name.as_str())
    }

    /// Draws the lines of all layers, clipped to the cortex where their layer is.
    pub(super) fn draw(&self, drawing: &mut Drawing, frame: LineFrame, style: LineStyle) {
        let placed = |points: &[Point2]| points.iter().map(|point| frame.place(*point)).collect::<Vec<CanvasPoint>>();
        for layer in &self.layers {
            let lines = layer.regions.iter().flat_map(|region| &region.lines).map(|line| {
                let mut points = placed(&line.points);
                points.extend(points.first().copied().filter(|_| line.closed));
                points
            });
            let lines: Vec<Vec<CanvasPoint>> = lines.collect();
            let clip: Vec<Vec<CanvasPoint>> = layer.edge.iter().map(|ring| placed(ring)).collect();
            if !clip.is_empty() {
                drawing.begin_clip_to(&clip);
            }
            let dashed = |stroke: Stroke| if layer.name == SULCI { stroke.dashed(3.0, 2.0) } else { stroke };
            drawing.lines(&lines, dashed(style.casing));
            drawing.lines(&lines, dashed(style.line));
            if !clip.is_empty() {
                drawing.end_clip();
            }
        }
    }

    /// Where names go inside the frame and outside `taken`, the largest regions first, and those names for which there is no room.
    pub(super) fn names(&self, frame: LineFrame, size: f64, taken: &[Box4]) -> (Vec<(CanvasPoint, &str)>, Vec<&str>) {
        let mut labels: Vec<(&OverlayRegion, Point2, f64)> = Vec::new();
        for layer in &self.layers {
            for region in &layer.regions {
                let size = match layer.name == SULCI {
                    true => 0.0,
                    false => region.lines.iter().map(|line| area(&line.points)).sum(),
                };
                labels.extend(region.labels.iter().map(|label| (region, *label, size)));
            }
        }
        labels.sort_by(|one, two| two.2.total_cmp(&one.2));
        let mut widths: BTreeMap<&str, f64> = BTreeMap::new();
        let (mut taken, mut placed, mut lacking) = (taken.to_vec(), Vec::new(), Vec::new());
        for (region, label, _) in labels {
            let width = *widths.entry(&region.name).or_insert_with(|| text_width(&region.name, size));
            match free_place(frame, (width, size), frame.place(label), &taken) {
                Some((place, its_box)) => {
                    placed.push((place, region.name.as_str()));
                    taken.push(its_box);
                }
                None => lacking.push(region.name.as_str()),
            }
        }
        lacking.sort_unstable();
        lacking.dedup();
        (placed, lacking)
    }
}

/// The first place near `wanted` at which a text meets neither the border of the frame nor anything taken.
fn free_place(
    frame: LineFrame,
    (width, size): (f64, f64),
    wanted: CanvasPoint,
    taken: &[Box4],
) -> Option<(CanvasPoint, Box4)> {
    // Letters with their edge: accents and descenders reach beyond capitals.
    let (w, h) = (width / 2.0 + 0.14 * size, 0.55 * size);
    let steps = [(0.0, 0.0), (0.0, -0.6), (0.0, 0.6), (-0.4, 0.0), (0.4, 0.0), (0.0, -1.1), (0.0, 1.1)];
    let moved = steps.into_iter().chain([(-0.4, -0.8), (0.4, -0.8), (-0.4, 0.8), (0.4, 0.8)]);
    let inside = |value: f64, half: f64, from: f64, length: f64| {
        (length >= 2.0 * half).then(|| value.clamp(from + half, from + length - half))
    };
    for (across, down) in moved {
        let x = inside(wanted.0 + across * width, w, frame.at.0, frame.size.0)?;
        let y = inside(wanted.1 + down * size, h, frame.at.1, frame.size.1)?;
        let own = [x - w, y - h, x + w, y + h];
        let apart = |other: &Box4| own[0] >= other[2] || other[0] >= own[2] || own[1] >= other[3] || other[1] >= own[3];
        if taken.iter().all(apart) {
            return Some(((x, y), own));
        }
    }
    None
}

/// The look of a paper: dark lines and names with a light edge. `scale` is the size of the picture relative to a page.
pub(super) fn paper_style(scale: f64, size: f64) -> LineStyle {
    LineStyle {
        line: Stroke::new(Colour::INK, 0.6 * scale),
        casing: Stroke { opacity: 0.85, ..Stroke::new(Colour::WHITE, 1.5 * scale) },
        names: Lettering::new(size).anchor(Anchor::Middle).halo(Colour::WHITE),
    }
}

/// The look of pycortex: white lines 2 wide in a drawing of 1,024 rows that is `height` points high, white names, both with a dark edge in
/// place of its shadow.
pub(super) fn light_style(height: f64, size: f64) -> LineStyle {
    let pixel = height / 1024.0;
    LineStyle {
        line: Stroke::new(Colour::WHITE, 2.0 * pixel),
        casing: Stroke { opacity: 0.5, ..Stroke::new(Colour::INK, 5.0 * pixel) },
        names: Lettering::new(size).anchor(Anchor::Middle).colour(Colour::WHITE).halo(Colour::INK),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::formats::overlay::OverlayLine;

    /// A region that is a square around a point.
    pub fn square(name: &str, [x, y]: Point2, half: f64) -> OverlayRegion {
        let points = vec![[x - half, y - half], [x + half, y - half], [x + half, y + half], [x - half, y + half]];
        let lines = vec![OverlayLine { points, closed: true }];
        OverlayRegion { name: name.to_owned(), hidden: false, lines, labels: vec![[x, y]] }
    }

    fn lines(regions: Vec<OverlayRegion>) -> Lines {
        Lines { layers: vec![OverlayLayer { name: "rois".into(), regions, edge: Vec::new() }] }
    }

    const FRAME: LineFrame = LineFrame { at: (10.0, 20.0), size: (200.0, 100.0), pixels: (101, 51) };

    #[test]
    fn the_ends_of_the_box_are_the_middles_of_the_outer_pixels() {
        let near = |one: CanvasPoint, two: CanvasPoint| (one.0 - two.0).abs() < 1e-9 && (one.1 - two.1).abs() < 1e-9;
        let pixel = (200.0 / 101.0, 100.0 / 51.0);
        assert!(near(FRAME.place([0.0, 0.0]), (10.0 + pixel.0 / 2.0, 20.0 + pixel.1 / 2.0)));
        assert!(near(FRAME.place([1.0, 1.0]), (210.0 - pixel.0 / 2.0, 120.0 - pixel.1 / 2.0)));
        // The tenth of a hundred steps is the middle of the pixel in column 10.
        assert!(near(FRAME.place([0.1, 0.5]), (10.0 + 10.5 * pixel.0, 70.0)));
    }

    #[test]
    fn names_keep_apart_and_inside_and_those_without_room_are_reported() {
        let crowd = (0..9).map(|at| square(&format!("R{at}"), [0.5, 0.5], 0.2 - 0.01 * f64::from(at))).collect();
        let lines = lines(crowd);
        let (placed, lacking) = lines.names(FRAME, 6.0, &[]);
        assert_eq!(placed[0], ((110.0, 70.0), "R0"), "the largest has its own place");
        assert_eq!(placed.len() + lacking.len(), 9);
        assert!(placed.len() > 2 && !lacking.is_empty(), "{placed:?} {lacking:?}");
        for (at, (one, _)) in placed.iter().enumerate() {
            for (two, _) in &placed[..at] {
                assert!((one.0 - two.0).abs() > 6.0 || (one.1 - two.1).abs() > 6.0, "{placed:?}");
            }
        }
        let edge = super::tests::lines(vec![square("A long name", [0.0, 0.0], 0.1)]);
        let (placed, _) = edge.names(FRAME, 6.0, &[]);
        assert!(placed[0].0.0 > 20.0 && placed[0].0.1 > 22.0, "{placed:?}");
        assert!(edge.names(FRAME, 6.0, &[[0.0, 0.0, 300.0, 200.0]]).0.is_empty());
    }

    #[test]
    fn regions_are_chosen_by_layer_and_name() {
        let mut overlay = CortexOverlay {
            layers: vec![OverlayLayer {
                name: "rois".into(),
                regions: vec![square("V1", [0.2, 0.2], 0.1), square("V2", [0.5, 0.5], 0.1)],
                edge: Vec::new(),
            }],
        };
        overlay.layers[0].regions[1].hidden = true;
        let chosen = |layers: &[&str], only: &[&str]| {
            let texts = |of: &[&str]| of.iter().map(ToString::to_string).collect::<Vec<String>>();
            let lines = Lines::choose(&overlay, &texts(layers), &texts(only))?;
            let names = lines.layers.iter().flat_map(|layer| &layer.regions).map(|region| region.name.clone());
            Ok::<_, Failure>(names.collect::<Vec<String>>())
        };
        assert_eq!(chosen(&["rois"], &[]).unwrap(), ["V1"], "what the file hides stays hidden");
        assert_eq!(chosen(&["rois"], &["V2"]).unwrap(), ["V2"], "unless it is named");
        assert_eq!(chosen(&["sulci"], &[]).unwrap(), Vec::<String>::new());
        let failure = chosen(&["rois"], &["V9"]).unwrap_err();
        assert_eq!(failure.message, "found no region `V9` in the layers rois of the overlay");
        assert_eq!(failure.hint.as_deref(), Some("they have V1, V2"));
    }

    #[test]
    fn sulci_are_dashed_and_layers_are_clipped_to_their_edge() {
        let mut lines = lines(vec![square("V1", [0.5, 0.5], 0.2)]);
        lines.layers[0].edge = vec![vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]];
        lines.layers.push(OverlayLayer {
            name: SULCI.into(),
            regions: vec![square("CaS", [0.2, 0.2], 0.1)],
            edge: vec![],
        });
        let mut drawing = Drawing::new(220.0, 140.0, "");
        lines.draw(&mut drawing, FRAME, paper_style(1.0, 6.0));
        let svg = drawing.svg();
        assert_eq!(svg.matches("<clipPath").count(), 1);
        assert_eq!(svg.matches("stroke-dasharray").count(), 2, "line and casing");
        assert_eq!(svg.matches("<path d=\"M").count(), 5, "the clip, and two strokes of two layers");
    }
}
