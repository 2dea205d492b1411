//! How wide texts are when set in the figures' font, and where they break into lines; the notes below a figure.

use resvg::usvg::{self, Node};

use super::canvas::{CanvasPoint, Drawing, Lettering};
use super::colour::Colour;
use super::font;
use crate::numeric::counts::real;

/// How wide a text is in points when set at this size.
pub fn text_width(text: &str, size: f64) -> f64 {
    let mut drawing = Drawing::new(10.0, 10.0, "");
    drawing.text((0.0, 0.0), text, Lettering::new(size));
    let Ok(tree) = usvg::Tree::from_str(&drawing.bare_svg(), &font::options()) else { return 0.0 };
    let mut width = 0.0f64;
    each_text(tree.root(), &mut |text| width = width.max(f64::from(text.bounding_box().width())));
    width
}

/// A text in lines that are at most `width` points wide when set at this size, broken between words.
pub fn wrapped(text: &str, width: f64, size: f64) -> Vec<String> {
    let space = text_width("n n", size) - text_width("nn", size);
    let (mut lines, mut used): (Vec<String>, f64) = (Vec::new(), 0.0);
    for word in text.split_whitespace() {
        let own = text_width(word, size);
        match lines.last_mut() {
            Some(line) if used + space + own <= width => {
                line.push(' ');
                line.push_str(word);
                used += space + own;
            }
            _ => {
                lines.push(word.to_string());
                used = own;
            }
        }
    }
    lines
}

/// The notes below a figure: quiet lines that fit its width.
pub struct FigureNotes {
    lines: Vec<String>,
    size: f64,
    apart: f64,
}

impl FigureNotes {
    /// Notes in lines of at most `width` points, set at a size and so far apart.
    pub fn new(notes: &[String], width: f64, (size, apart): (f64, f64)) -> Self {
        Self { lines: notes.iter().flat_map(|note| wrapped(note, width, size)).collect(), size, apart }
    }

    /// How high all lines are.
    pub fn height(&self) -> f64 {
        self.apart * real(self.lines.len())
    }

    /// Draws them from `at` on down.
    pub fn draw(&self, drawing: &mut Drawing, at: CanvasPoint) {
        for (row, line) in self.lines.iter().enumerate() {
            let y = at.1 + self.apart * (real(row) + 0.5);
            drawing.text((at.0, y), line, Lettering::new(self.size).colour(Colour::QUIET));
        }
    }
}

/// A text of a figure, and where its ink lies, in points: left, top, right and bottom.
#[cfg(test)]
pub type TextBox = (String, [f64; 4]);

/// The size of a figure in points, and its texts.
#[cfg(test)]
pub fn text_boxes(svg: &str) -> ((f64, f64), Vec<TextBox>) {
    let tree = usvg::Tree::from_str(svg, &font::options()).unwrap();
    // usvg measures in 1/96 inch.
    let points = |pixels: f32| f64::from(pixels) * 0.75;
    let mut boxes = Vec::new();
    each_text(tree.root(), &mut |text| {
        let words = text.chunks().iter().map(usvg::TextChunk::text).collect();
        // Glyphs have a box in the coordinates of their text.
        if let Some(ink) = text.flattened().bounding_box().transform(text.abs_transform()) {
            boxes.push((words, [ink.left(), ink.top(), ink.right(), ink.bottom()].map(points)));
        }
    });
    ((points(tree.size().width()), points(tree.size().height())), boxes)
}

/// Visits every text of a group.
pub(super) fn each_text(group: &usvg::Group, visit: &mut impl FnMut(&usvg::Text)) {
    for node in group.children() {
        match node {
            Node::Text(text) => visit(text),
            Node::Group(group) => each_text(group, visit),
            Node::Path(_) | Node::Image(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_between_words() {
        let text = "one two three four five six seven eight nine ten";
        let lines = wrapped(text, 60.0, 7.0);
        assert!(lines.len() > 2 && lines.iter().all(|line| text_width(line, 7.0) <= 60.5), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert_eq!(wrapped("a", 1.0, 7.0), ["a"]);
    }

    #[test]
    fn wider_texts_measure_wider() {
        let width = text_width("anat", 10.0);
        assert!(width > 15.0 && width < 30.0, "{width}");
        assert!((text_width("anat", 20.0) - 2.0 * width).abs() < 0.1);
    }
}
