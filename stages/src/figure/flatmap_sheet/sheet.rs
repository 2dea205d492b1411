//! The sheet of a flat map or of several: pictures in a grid, their titles, outlines, keys of colours and notes.
//!
//! Decides sizes and places. What pixels show is settled before.

use pipe_contract::choice;

use super::lines::{LineFrame, LineStyle, Lines, light_style, paper_style};
use crate::figure::legend::{Legend, bar};
use crate::formats::drawing::{Anchor, CanvasPoint, Colour, Drawing, FigureNotes, Lettering, Raster, wrapped};
use crate::numeric::counts::real;

choice! {
    /// How a flat map looks.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum FigureStyle {
        /// For a paper: dark outlines with a light edge, the key of colours below.
        Paper = "paper",
        /// As in the published exercise: white outlines and names, `Blues` from 0 to 0.4 for numbers, `BPROG` from -0.5 to 4.5 for
        /// categories, a bar in the picture, and its titles.
        Lab08 = "lab08",
    }
}

choice! {
    /// Where names of regions are written.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Names {
        /// On pictures that are wide enough for most of them.
        Auto = "auto",
        /// On all pictures.
        All = "all",
        /// Nowhere.
        None = "none",
    }
}

/// One picture of the sheet.
pub(super) struct SheetCell {
    /// Above it.
    pub title: String,
    /// Its pixels, row 0 at the top.
    pub picture: Raster,
    /// Its own key; none where one key is for all.
    pub legend: Option<Legend>,
}

/// A sheet, ready to be rendered.
pub(super) struct Sheet {
    /// Of the whole.
    pub title: String,
    /// One or more, by rows.
    pub cells: Vec<SheetCell>,
    /// The key of all pictures, if they share one.
    pub legend: Option<Legend>,
    /// What is shown on every picture.
    pub lines: Lines,
    /// Where names are written.
    pub names: Names,
    /// Size of names in points; that of the look if 0.
    pub names_size: f64,
    /// Sentences below all.
    pub notes: Vec<String>,
    /// Pictures beside each other; by their number if 0.
    pub columns: usize,
    /// Width in points.
    pub width: f64,
    /// Dots per inch of pictures at most.
    pub dpi: f64,
    /// How it looks.
    pub look: FigureStyle,
}

const MARGIN: f64 = 8.0;
const GAP: f64 = 8.0;
const SIZE: f64 = 7.0;
const LINE: f64 = 8.5;
const NOTE: (f64, f64) = (6.0, 8.0);
/// The title of the whole: its size, and the distance of its lines.
const TITLE: (f64, f64) = (8.0, 10.0);
/// What the stamp of simulated data takes to the right of the title.
const STAMP: f64 = 84.0;
/// The width from which names are written of themselves, and that of a picture across a page.
const NAMED: f64 = 240.0;
const PAGE: f64 = 502.0;
/// pycortex's names are 14 points, of which 72 are 96 pixels, in a drawing of 1,024.
const LAB_NAMES: f64 = 14.0 * 96.0 / 72.0 / 1024.0;

/// Places of a row of pictures.
struct Row {
    titles: Vec<Vec<String>>,
    top: f64,
    title_height: f64,
}

/// Places of everything above the notes.
struct Places {
    columns: usize,
    cell: f64,
    picture: f64,
    rows: Vec<Row>,
    bottom: f64,
}

impl Sheet {
    /// Pictures beside each other, and the width of each.
    fn columns(&self) -> (usize, f64) {
        let count = self.cells.len();
        let auto = match count {
            0 | 1 => 1,
            2..=4 => 2,
            5..=9 => 3,
            _ => 4,
        };
        let columns = if self.columns == 0 { auto } else { self.columns.min(count.max(1)) };
        (columns, (self.width - 2.0 * MARGIN - GAP * real(columns - 1)) / real(columns))
    }

    /// Pixels of a picture in the figure, across and down: its own, or fewer where they would be finer than asked.
    fn pixels(&self, picture: &Raster) -> (usize, usize) {
        let share = (self.columns().1 / 72.0 * self.dpi / real(picture.width())).min(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most as many as there are")]
        let some = |count: usize| ((real(count) * share).round() as usize).max(1);
        (some(picture.width()), some(picture.height()))
    }

    /// Dots per inch that the pictures have.
    pub(super) fn density(&self) -> f64 {
        let dots = self.cells.first().map_or(0, |cell| self.pixels(&cell.picture).0);
        real(dots) / self.columns().1 * 72.0
    }

    /// The title of the whole, beside the stamp.
    fn title_lines(&self) -> Vec<String> {
        wrapped(&self.title, self.width - 2.0 * MARGIN - STAMP, TITLE.0)
    }

    fn places(&self, simulated: bool) -> Places {
        let (columns, cell) = self.columns();
        let shape = self.cells.first().map_or(0.5, |first| real(first.picture.height()) / real(first.picture.width()));
        let picture = cell * shape;
        let mut top = match self.title_lines().len() {
            0 if simulated => 2.0 * MARGIN,
            0 => MARGIN,
            lines => 10.0 + TITLE.1 * real(lines),
        };
        let mut rows = Vec::new();
        for cells in self.cells.chunks(columns) {
            let titles: Vec<Vec<String>> = cells.iter().map(|cell_of| wrapped(&cell_of.title, cell, SIZE)).collect();
            let title_height = LINE * real(titles.iter().map(Vec::len).max().unwrap_or(0));
            let legends = cells.iter().filter_map(|cell_of| cell_of.legend.as_ref());
            let legend_height = legends.map(|legend| self.height_below(legend, cell)).fold(0.0, f64::max);
            rows.push(Row { titles, top, title_height });
            top += title_height + picture + legend_height + GAP;
        }
        Places { columns, cell, picture, rows, bottom: top }
    }

    /// How much room a key takes below its picture; the published look has bars in the picture.
    fn height_below(&self, legend: &Legend, width: f64) -> f64 {
        match legend {
            Legend::Bar { .. } if self.look == FigureStyle::Lab08 => 4.0,
            _ => legend.height(width) + 3.0,
        }
    }

    /// Where every picture lies.
    fn frames(&self, places: &Places) -> Vec<LineFrame> {
        let frame = |(at, cell): (usize, &SheetCell)| {
            let row = &places.rows[at / places.columns];
            let left = MARGIN + (places.cell + GAP) * real(at % places.columns);
            LineFrame {
                at: (left, row.top + row.title_height),
                size: (places.cell, places.picture),
                pixels: (cell.picture.width(), cell.picture.height()),
            }
        };
        self.cells.iter().enumerate().map(frame).collect()
    }

    fn style(&self, frame: LineFrame) -> LineStyle {
        let own = |size: f64| if self.names_size > 0.0 { self.names_size } else { size };
        match self.look {
            FigureStyle::Paper => paper_style((frame.size.0 / PAGE).clamp(0.5, 1.0), own(6.0)),
            FigureStyle::Lab08 => light_style(frame.size.1, own((LAB_NAMES * frame.size.1).max(5.0))),
        }
    }

    /// The figure; `simulated` stamps it.
    pub(super) fn draw(&self, simulated: bool) -> Drawing {
        let places = self.places(simulated);
        let frames = self.frames(&places);
        let named = self.names == Names::All || (self.names == Names::Auto && places.cell >= NAMED);
        let (mut labels, mut lacking) = (Vec::new(), Vec::new());
        for (cell, frame) in self.cells.iter().zip(&frames).filter(|_| named) {
            let taken: Vec<[f64; 4]> = self.bar_inside(cell, *frame).map(|bar| bar.1).into_iter().collect();
            let (placed, without) = self.lines.names(*frame, self.style(*frame).names.size, &taken);
            labels.push(placed);
            lacking.extend(without);
        }
        lacking.sort_unstable();
        lacking.dedup();
        let mut notes = self.notes.clone();
        if !lacking.is_empty() {
            notes.push(format!("Some names have no room: {}.", lacking.join(", ")));
        }
        let inner = self.width - 2.0 * MARGIN;
        let notes = FigureNotes::new(&notes, inner, NOTE);
        let legend_height = self.legend.as_ref().map_or(0.0, |legend| legend.height(inner) + 4.0);
        let height = places.bottom + legend_height + notes.height() + MARGIN;
        let mut drawing =
            Drawing::new(self.width, height, if self.title.is_empty() { "Flat maps" } else { &self.title });
        for (line, words) in self.title_lines().iter().enumerate() {
            drawing.text((MARGIN, 11.0 + TITLE.1 * real(line)), words, Lettering::new(TITLE.0));
        }
        if simulated {
            drawing.simulated_stamp((self.width - MARGIN, if self.title.is_empty() { 2.0 } else { 4.0 }));
        }
        for (at, (cell, frame)) in self.cells.iter().zip(&frames).enumerate() {
            let row = &places.rows[at / places.columns];
            self.titles(&mut drawing, *frame, &row.titles[at % places.columns]);
            let (across, down) = self.pixels(&cell.picture);
            let picture = cell.picture.thinned(across, down);
            drawing.image(frame.at, frame.size.0, frame.size.1, &picture, false);
            let style = self.style(*frame);
            self.lines.draw(&mut drawing, *frame, style);
            for (place, name) in labels.get(at).into_iter().flatten() {
                drawing.text(*place, name, style.names);
            }
            match (self.bar_inside(cell, *frame), &cell.legend) {
                (Some((place, _)), Some(Legend::Bar { scale, unit, below, above })) => {
                    let size = (0.2 * frame.size.0, (0.04 * frame.size.1).max(3.0));
                    bar(&mut drawing, place, size, scale, (unit, *below, *above));
                }
                (_, Some(legend)) => {
                    legend.draw(&mut drawing, (frame.at.0, frame.at.1 + frame.size.1 + 3.0), frame.size.0);
                }
                (_, None) => {}
            }
        }
        if let Some(legend) = &self.legend {
            legend.draw(&mut drawing, (MARGIN, places.bottom), inner);
        }
        notes.draw(&mut drawing, (MARGIN, places.bottom + legend_height));
        drawing
    }

    /// Titles of pictures: to the left, or in the middle as in the published look.
    fn titles(&self, drawing: &mut Drawing, frame: LineFrame, lines: &[String]) {
        for (line, words) in lines.iter().enumerate() {
            let y = frame.at.1 - LINE * (real(lines.len() - line) - 0.5) - 0.5;
            match self.look {
                FigureStyle::Paper => drawing.text((frame.at.0, y), words, Lettering::new(SIZE)),
                FigureStyle::Lab08 => {
                    let middle = frame.at.0 + frame.size.0 / 2.0;
                    drawing.text((middle, y), words, Lettering::new(SIZE).anchor(Anchor::Middle).colour(Colour::INK));
                }
            }
        }
    }

    /// Where the bar of the published look lies in a picture (from 0.4 to 0.6 of its width, 0.07 to 0.11 of its height above its
    /// bottom), and what it takes with its numbers.
    fn bar_inside(&self, cell: &SheetCell, frame: LineFrame) -> Option<(CanvasPoint, [f64; 4])> {
        if self.look != FigureStyle::Lab08 || !matches!(cell.legend, Some(Legend::Bar { .. })) {
            return None;
        }
        let at = (frame.at.0 + 0.4 * frame.size.0, frame.at.1 + 0.89 * frame.size.1);
        let width = 0.2 * frame.size.0;
        Some((at, [at.0 - 12.0, at.1 - 3.0, at.0 + width + 40.0, at.1 + 0.04 * frame.size.1 + 14.0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::overlay::CortexOverlay;
    use crate::test_support::figures::{assert_readable, attributes};

    /// A sheet of so many pictures, each twice as many pixels wide as high, 183 mm wide.
    fn sheet(count: usize, across: usize, title: &str, dpi: f64) -> Sheet {
        let overlay = CortexOverlay { layers: Vec::new() };
        let cell = |at: usize| SheetCell {
            title: format!("Picture {at} of several whose titles are long"),
            picture: Raster::new(across, across / 2),
            legend: None,
        };
        Sheet {
            title: title.to_owned(),
            cells: (0..count).map(cell).collect(),
            legend: None,
            lines: Lines::choose(&overlay, &[], &[]).unwrap(),
            names: Names::None,
            names_size: 0.0,
            notes: Vec::new(),
            columns: 0,
            width: 518.0,
            dpi,
            look: FigureStyle::Paper,
        }
    }

    #[test]
    fn pictures_have_their_own_pixels_or_as_many_as_asked() {
        // One picture is 502 points wide, of three 247 points.
        let found = |count: usize, dpi: f64| {
            let sheet = sheet(count, 1000, "", dpi);
            (sheet.pixels(&sheet.cells[0].picture), sheet.density())
        };
        let near = |(pixels, density): ((usize, usize), f64), wanted: (usize, usize), dpi: f64| {
            assert_eq!(pixels, wanted);
            assert!((density - dpi).abs() < 0.1, "{density}");
        };
        near(found(1, 600.0), (1000, 500), 143.4);
        near(found(1, 72.0), (502, 251), 72.0);
        near(found(3, 200.0), (686, 343), 200.0);
    }

    #[test]
    fn long_titles_leave_room_for_the_stamp() {
        let words = "What the feature spaces of the network explain of the responses of the whole cortex, alone and together, in one subject";
        let top = |title: &str, simulated: bool| {
            let drawing = sheet(4, 100, title, 600.0).draw(simulated);
            assert_readable(&drawing);
            attributes(&drawing.svg(), "<image", "y")[0]
        };
        assert_eq!(top("Short", true), top("Short", false));
        assert!((top(words, true) - top("Short", true) - 10.0).abs() < 1e-9, "two lines");
        assert!((top("", true) - top("", false) - 8.0).abs() < 1e-9, "the stamp is above the pictures");
    }
}
