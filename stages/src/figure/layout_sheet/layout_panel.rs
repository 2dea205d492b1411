//! One panel of a layout figure: trajectories, dots, pictures and labels at the places of a layout.
//!
//! Decides what lies on what: trajectories below dots, dots below pictures, labels on top, and in space what is nearer to the eye on top of
//! what is farther. A label that would lie on another or leave the panel at every place around its point is left out and counted.

use super::entry_marks::EntryMarks;
use super::layout_projection::{LayoutLook, PanelWindow, SeenLayout, ViewAngles};
use crate::figure::panel_grid::PanelPlace;
use crate::formats::drawing::axes::{label, ticks};
use crate::formats::drawing::{Anchor, CanvasPoint, Colour, Drawing, Lettering, Stroke, text_width};
use crate::numeric::counts::real;

/// How panels look.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanelStyle {
    /// Axes or a bar.
    pub look: LayoutLook,
    /// Radius of dots in points; none if 0.
    pub dots: f64,
    /// Width of trajectories in points.
    pub line: f64,
    /// Trajectories have heads at the ends of segments.
    pub arrows: bool,
    /// Longer side of a picture: a share of the extent of the points.
    pub picture: f64,
    /// Width of a border around pictures in points; none if 0.
    pub border: f64,
}

/// A layout in its panel.
pub(super) struct LayoutPanel {
    /// The entries that have a place.
    pub entries: Vec<usize>,
    /// Their places as they are seen, in the same order.
    pub seen: SeenLayout,
    /// Edges of the box around a layout of three axes, as they are seen.
    pub edges: Vec<[[f64; 2]; 2]>,
    /// What of the plane is shown.
    pub window: PanelWindow,
}

/// Size of labels and numbers.
const SIZE: f64 = 6.0;
/// Length and half the width of the head of an arrow.
const HEAD: (f64, f64) = (4.0, 1.6);

impl LayoutPanel {
    /// Of points with two or three coordinates; `extent` as [`PanelWindow::around`].
    pub(super) fn new(
        entries: Vec<usize>,
        points: &[[f64; 3]],
        dims: usize,
        angles: ViewAngles,
        (look, extent): (LayoutLook, f64),
    ) -> Self {
        let seen = SeenLayout::new(points, dims, angles);
        let edges = if dims == 3 { box_edges(points, angles) } else { Vec::new() };
        let shown: Vec<[f64; 2]> = seen.points.iter().chain(edges.as_flattened()).copied().collect();
        let window = PanelWindow::around(&shown, look, extent);
        Self { entries, seen, edges, window }
    }

    /// Paints the panel; returns how many labels had no room.
    pub(super) fn paint(
        &self,
        drawing: &mut Drawing,
        place: PanelPlace,
        marks: &EntryMarks,
        style: &PanelStyle,
    ) -> usize {
        drawing.rectangle(place.at, place.side, place.side, 0.0, Colour::WHITE);
        let at = |point: [f64; 2]| canvas(place, self.window.share(point));
        for [from, to] in &self.edges {
            drawing.line(at(*from), at(*to), Stroke::new(Colour::RULE, 0.4));
        }
        let picture = style.picture * place.side * self.window.extent() / self.window.length();
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by(|a, b| self.seen.nearness[*a].total_cmp(&self.seen.nearness[*b]));
        let placed: Vec<PlacedEntry> = order
            .iter()
            .map(|number| {
                let entry = self.entries[*number];
                let size = marks.pictures[entry].map(|cutout| {
                    let (width, height) = (real(marks.cutouts[cutout].width()), real(marks.cutouts[cutout].height()));
                    let scale = picture / width.max(height);
                    (width * scale, height * scale)
                });
                PlacedEntry { entry, at: at(self.seen.points[*number]), picture: size }
            })
            .collect();
        drawing.begin_clip(place.at, place.side, place.side);
        for path in &marks.paths {
            trajectory(drawing, path, &placed, marks, style);
        }
        for one in placed.iter().filter(|_| style.dots > 0.0) {
            drawing.dots([one.at], style.dots, marks.colours[one.entry], 1.0);
        }
        for one in &placed {
            one.paint_picture(drawing, marks, style.border);
        }
        drawing.end_clip();
        drawing.frame(place.at, place.side, place.side, Stroke::new(Colour::INK, 0.5));
        match style.look {
            LayoutLook::Paper => scale_bar(drawing, place, self.window.length()),
            LayoutLook::Guide => guide_axes(drawing, place),
        }
        labels(drawing, place, &placed, marks, style.dots)
    }
}

/// Room to the left of a panel and below it.
pub(super) fn margins(look: LayoutLook) -> (f64, f64) {
    match look {
        LayoutLook::Paper => (0.0, 11.0),
        LayoutLook::Guide => (16.0, 12.0),
    }
}

/// An entry on the drawing.
struct PlacedEntry {
    entry: usize,
    at: CanvasPoint,
    /// Width and height of its picture.
    picture: Option<(f64, f64)>,
}

impl PlacedEntry {
    fn paint_picture(&self, drawing: &mut Drawing, marks: &EntryMarks, border: f64) {
        let (Some((width, height)), Some(cutout)) = (self.picture, marks.pictures[self.entry]) else { return };
        let corner = (self.at.0 - width / 2.0, self.at.1 - height / 2.0);
        drawing.image(corner, width, height, &marks.cutouts[cutout], true);
        if border > 0.0 {
            drawing.frame(corner, width, height, Stroke::new(marks.colours[self.entry], border));
        }
    }

    /// How far what is shown of it reaches from its place.
    fn reach(&self, dots: f64) -> f64 {
        self.picture.map_or(dots, |(width, height)| width.max(height) / 2.0)
    }
}

/// Shares of the side, from below, as a place on the drawing.
fn canvas(place: PanelPlace, [right, up]: [f64; 2]) -> CanvasPoint {
    (place.at.0 + place.side * right, place.at.1 + place.side * (1.0 - up))
}

/// The edges of the box around points, as they are seen.
fn box_edges(points: &[[f64; 3]], angles: ViewAngles) -> Vec<[[f64; 2]; 2]> {
    let ends = [0, 1, 2].map(|axis| {
        let of_axis = || points.iter().map(|point| point[axis]);
        [of_axis().fold(f64::INFINITY, f64::min), of_axis().fold(f64::NEG_INFINITY, f64::max)]
    });
    let corner = |number: usize| {
        let [right, up, _] = angles.seen([0, 1, 2].map(|axis| ends[axis][(number >> axis) & 1]));
        [right, up]
    };
    let edge = |from: usize, axis: usize| {
        let to = from | (1 << axis);
        (to != from).then(|| [corner(from), corner(to)])
    };
    (0..8).flat_map(|from| [0, 1, 2].into_iter().filter_map(move |axis| edge(from, axis))).collect()
}

/// Segments between consecutive entries of a trajectory that have a place.
fn trajectory(drawing: &mut Drawing, path: &[usize], placed: &[PlacedEntry], marks: &EntryMarks, style: &PanelStyle) {
    let there: Vec<&PlacedEntry> =
        path.iter().filter_map(|entry| placed.iter().find(|one| one.entry == *entry)).collect();
    let Some(first) = there.first() else { return };
    let colour = marks.colours[first.entry];
    let agrees = there.iter().all(|one| marks.colours[one.entry] == colour);
    let colour = if agrees { colour } else { Colour::INK };
    let line: Vec<CanvasPoint> = there.iter().map(|one| one.at).collect();
    drawing.lines(&[line], Stroke::new(colour, style.line));
    for pair in there.windows(2).filter(|_| style.arrows) {
        if let Some(head) = arrow_head(pair[0].at, pair[1].at, pair[1].reach(style.dots)) {
            drawing.polygon(&head, colour);
        }
    }
}

/// The head of an arrow whose tip is `before` points from the end of a segment; none where a segment is too short for it.
fn arrow_head(from: CanvasPoint, to: CanvasPoint, before: f64) -> Option<[CanvasPoint; 3]> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = libm::hypot(dx, dy);
    if length < before + HEAD.0 + 1.0 {
        return None;
    }
    let (dx, dy) = (dx / length, dy / length);
    let tip = (to.0 - dx * before, to.1 - dy * before);
    let base = (tip.0 - dx * HEAD.0, tip.1 - dy * HEAD.0);
    let side = |sign: f64| (base.0 - sign * dy * HEAD.1, base.1 + sign * dx * HEAD.1);
    Some([tip, side(1.0), side(-1.0)])
}

/// A bar below the panel, about a quarter of its side, and the distance that it is long.
fn scale_bar(drawing: &mut Drawing, place: PanelPlace, length: f64) {
    let step = ticks(0.0, length, 4).1;
    let (y, long) = (place.at.1 + place.side + 6.0, place.side * step / length);
    drawing.line((place.at.0, y), (place.at.0 + long, y), Stroke::new(Colour::INK, 0.8));
    drawing.text((place.at.0 + long + 3.0, y), &label(step, step), Lettering::new(SIZE).colour(Colour::QUIET));
}

/// Axes from -0.1 to 1.1 with ticks at fifths.
fn guide_axes(drawing: &mut Drawing, place: PanelPlace) {
    let ink = Stroke::new(Colour::INK, 0.5);
    for fifths in 0..6 {
        let value = f64::from(fifths) / 5.0;
        let share = (value + 0.1) / 1.2;
        let (x, y) = canvas(place, [share, share]);
        let (left, foot) = (place.at.0, place.at.1 + place.side);
        drawing.line((x, foot), (x, foot - 2.5), ink);
        drawing.line((left, y), (left + 2.5, y), ink);
        drawing.text((x, foot + 5.5), &label(value, 0.2), Lettering::new(SIZE).anchor(Anchor::Middle));
        drawing.text((left - 3.0, y), &label(value, 0.2), Lettering::new(SIZE).anchor(Anchor::End));
    }
}

/// Writes labels beside their points where there is room; returns how many have none.
fn labels(drawing: &mut Drawing, place: PanelPlace, placed: &[PlacedEntry], marks: &EntryMarks, dots: f64) -> usize {
    let (mut taken, mut without): (Vec<[f64; 4]>, usize) = (Vec::new(), 0);
    let mut by_entry: Vec<&PlacedEntry> = placed.iter().collect();
    by_entry.sort_by_key(|one| one.entry);
    for one in by_entry {
        let words = &marks.labels[one.entry];
        if words.trim().is_empty() {
            continue;
        }
        let width = text_width(words, SIZE);
        match free_place(one.at, one.reach(dots), width, place, &taken) {
            Some((at, room)) => {
                drawing.text(at, words, Lettering::new(SIZE).halo(Colour::WHITE));
                taken.push(room);
            }
            None => without += 1,
        }
    }
    without
}

/// Where a label begins, and the room it takes: left, top, right and bottom. Tried are above and to the right (as the published toolbox has
/// it), right, left, above and below.
fn free_place(
    (x, y): CanvasPoint,
    reach: f64,
    width: f64,
    place: PanelPlace,
    taken: &[[f64; 4]],
) -> Option<(CanvasPoint, [f64; 4])> {
    let (beside, above) = (reach + 2.0, reach + 0.9 * SIZE);
    let starts = [
        (x - 0.02 / 1.2 * place.side, y - above),
        (x + beside, y),
        (x - beside - width, y),
        (x - width / 2.0, y - above),
        (x - width / 2.0, y + above),
    ];
    let (left, top) = place.at;
    starts.into_iter().find_map(|start| {
        let room = [start.0 - 0.5, start.1 - 0.55 * SIZE, start.0 + width + 0.5, start.1 + 0.62 * SIZE];
        let inside = room[0] >= left && room[1] >= top && room[2] <= left + place.side && room[3] <= top + place.side;
        let is_free = taken
            .iter()
            .all(|other| room[0] >= other[2] || other[0] >= room[2] || room[1] >= other[3] || other[1] >= room[3]);
        (inside && is_free).then_some((start, room))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_before_what_they_point_at() {
        let [tip, left, right] = arrow_head((0.0, 0.0), (20.0, 0.0), 3.0).unwrap();
        assert_eq!((tip, left, right), ((17.0, 0.0), (13.0, 1.6), (13.0, -1.6)));
        assert!(arrow_head((0.0, 0.0), (5.0, 0.0), 3.0).is_none(), "too short");
    }

    #[test]
    fn labels_avoid_each_other_and_stay_inside() {
        let place = PanelPlace { at: (0.0, 0.0), side: 100.0 };
        let first = free_place((50.0, 50.0), 2.0, 20.0, place, &[]).unwrap();
        assert!(first.0.1 < 48.0, "above the point");
        let second = free_place((50.0, 50.0), 2.0, 20.0, place, &[first.1]).unwrap();
        assert_eq!(second.0, (54.0, 50.0), "to the right");
        let at_edge = free_place((99.0, 50.0), 2.0, 20.0, place, &[]).unwrap();
        assert_eq!(at_edge.0, (75.0, 50.0), "to the left");
        assert!(free_place((50.0, 50.0), 2.0, 120.0, place, &[]).is_none());
    }

    #[test]
    fn a_box_has_twelve_edges_of_its_lengths() {
        let points = [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]];
        // From above only edges along the first two axes have a length.
        let edges = box_edges(&points, ViewAngles { azimuth: 0.0, elevation: 90.0 });
        let mut lengths: Vec<f64> =
            edges.iter().map(|[from, to]| libm::hypot(from[0] - to[0], from[1] - to[1])).collect();
        lengths.sort_by(f64::total_cmp);
        let expected = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0];
        assert!(lengths.iter().zip(expected).all(|(found, length)| (found - length).abs() < 1e-12), "{lengths:?}");
        assert_eq!(edges.len(), 12);
    }
}
