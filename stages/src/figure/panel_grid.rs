//! A sheet of panels of one shape: places, titles, a key and notes.
//!
//! Decides sizes and places. What a panel shows is painted by its kind.

use super::legend::Legend;
use crate::formats::drawing::{CanvasPoint, Drawing, FigureNotes, Lettering, wrapped};
use crate::numeric::counts::real;

/// A sheet, ready to be rendered.
pub(super) struct PanelGrid {
    /// Of the whole; also for machines, where it is not empty.
    pub title: String,
    /// For machines, where the whole has no title.
    pub name: &'static str,
    /// Above each panel, in lines that are wrapped.
    pub titles: Vec<Vec<String>>,
    /// Panels beside each other; by their number if 0.
    pub columns: usize,
    /// Width of the sheet in points.
    pub width: f64,
    /// Room to the left of each panel and below it, in points.
    pub margins: (f64, f64),
    /// The keys of all panels, one below the other.
    pub legends: Vec<Legend>,
    /// Sentences below all.
    pub notes: Vec<String>,
}

/// The square of a panel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PanelPlace {
    /// Its upper left corner.
    pub at: CanvasPoint,
    /// Its side in points.
    pub side: f64,
}

const MARGIN: f64 = 8.0;
const GAP: f64 = 10.0;
/// Titles of panels: their size, and the distance of lines.
const PANEL_TITLE: (f64, f64) = (7.0, 8.5);
const NOTE: (f64, f64) = (6.0, 8.0);
/// The title of the whole: its size, and the distance of its lines.
const TITLE: (f64, f64) = (8.0, 10.0);
/// What the stamp of simulated data takes to the right of the title.
const STAMP: f64 = 84.0;
const ABOVE_KEY: f64 = 4.0;

impl PanelGrid {
    /// Panels beside each other.
    fn across(&self) -> usize {
        let count = self.titles.len().max(1);
        let auto = match count {
            1 => 1,
            2..=4 => 2,
            5..=9 => 3,
            10..=16 => 4,
            17..=36 => 6,
            _ => 8,
        };
        if self.columns == 0 { auto } else { self.columns.min(count) }
    }

    /// The side of a panel in points.
    pub(super) fn side(&self) -> f64 {
        let across = real(self.across());
        ((self.width - 2.0 * MARGIN - GAP * (across - 1.0)) / across - self.margins.0).max(1.0)
    }

    /// Titles in lines that fit above a panel.
    fn wrapped_titles(&self) -> Vec<Vec<String>> {
        let width = self.side() + self.margins.0;
        self.titles
            .iter()
            .map(|lines| lines.iter().flat_map(|line| wrapped(line, width, PANEL_TITLE.0)).collect())
            .collect()
    }

    /// The figure; `paint` paints a panel by its number. `simulated` stamps it.
    pub(super) fn draw(&self, simulated: bool, mut paint: impl FnMut(&mut Drawing, usize, PanelPlace)) -> Drawing {
        let (across, side, titles) = (self.across(), self.side(), self.wrapped_titles());
        let inner = self.width - 2.0 * MARGIN;
        let head = wrapped(&self.title, inner - STAMP, TITLE.0);
        let mut top = match head.len() {
            0 if simulated => 2.0 * MARGIN,
            0 => MARGIN,
            lines => 10.0 + TITLE.1 * real(lines),
        };
        let mut places = Vec::new();
        for row in titles.chunks(across) {
            let above = PANEL_TITLE.1 * real(row.iter().map(Vec::len).max().unwrap_or(0));
            for column in 0..row.len() {
                let left = MARGIN + real(column) * (side + self.margins.0 + GAP) + self.margins.0;
                places.push(PanelPlace { at: (left, top + above), side });
            }
            top += above + side + self.margins.1 + GAP;
        }
        let keys: f64 = self.legends.iter().map(|legend| legend.height(inner) + ABOVE_KEY).sum();
        let notes = FigureNotes::new(&self.notes, inner, NOTE);
        let title = if self.title.is_empty() { self.name } else { self.title.as_str() };
        let mut drawing = Drawing::new(self.width, top + keys + notes.height() + MARGIN, title);
        for (line, words) in head.iter().enumerate() {
            drawing.text((MARGIN, 11.0 + TITLE.1 * real(line)), words, Lettering::new(TITLE.0));
        }
        if simulated {
            drawing.simulated_stamp((self.width - MARGIN, if head.is_empty() { 2.0 } else { 4.0 }));
        }
        for (number, (place, lines)) in places.into_iter().zip(&titles).enumerate() {
            for (line, words) in lines.iter().enumerate() {
                let y = place.at.1 - PANEL_TITLE.1 * (real(lines.len() - line) - 0.5) - 0.5;
                drawing.text((place.at.0 - self.margins.0, y), words, Lettering::new(PANEL_TITLE.0));
            }
            paint(&mut drawing, number, place);
        }
        for legend in &self.legends {
            legend.draw(&mut drawing, (MARGIN, top), inner);
            top += legend.height(inner) + ABOVE_KEY;
        }
        notes.draw(&mut drawing, (MARGIN, top));
        drawing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::drawing::{Colour, Raster, WIDEST};
    use crate::test_support::figures::{assert_readable, attributes, look_at};

    fn grid(count: usize, title: &str) -> PanelGrid {
        PanelGrid {
            title: title.to_owned(),
            name: "Panels",
            titles: (0..count).map(|at| vec![format!("Panel {at} of several"), "stress = 0.1".to_owned()]).collect(),
            columns: 0,
            width: WIDEST,
            margins: (12.0, 6.0),
            legends: vec![Legend::Names(vec![(Colour::INK, "one".to_owned()), (Colour::QUIET, "two".to_owned())])],
            notes: vec!["A note.".to_owned()],
        }
    }

    fn rendered(count: usize, title: &str, simulated: bool) -> Drawing {
        let pixel = Raster::new(1, 1);
        grid(count, title).draw(simulated, |drawing, _, place| {
            drawing.image(place.at, place.side, place.side, &pixel, false);
        })
    }

    #[test]
    fn panels_are_squares_that_do_not_overlap() {
        for count in [1, 2, 5, 11, 22] {
            let svg = rendered(count, "", false).svg();
            let of = |name: &str| attributes(&svg, "<image", name);
            let (x, y, side) = (of("x"), of("y"), of("width"));
            assert_eq!(x.len(), count);
            for one in 0..count {
                for two in 0..one {
                    let apart = |a: &[f64]| (a[one] - a[two]).abs() >= side[one] + 6.0 - 0.02;
                    assert!(apart(&x) || apart(&y), "{count}: {one} and {two}");
                }
            }
        }
    }

    #[test]
    fn sheets_are_readable_with_and_without_a_title_and_stamp() {
        let long =
            "What the layers of a network see alike, in a sentence that needs a second line and then some more words";
        for title in ["", long] {
            for simulated in [false, true] {
                assert_readable(&rendered(7, title, simulated));
            }
        }
        look_at("panel_grid", || rendered(5, "Five panels", true));
    }
}
