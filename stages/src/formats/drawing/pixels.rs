//! A drawing as a given number of pixels, for pictures that are data: stimuli, not figures. Independent of paper sizes.

use pipe_contract::Failure;
use resvg::{tiny_skia, usvg};

use super::canvas::Drawing;
use super::font;

/// The drawing stretched over so many pixels: red, green and blue of each, row by row from the top. Edges are antialiased.
///
/// # Errors
/// Internal: there are no pixels, or too many, or the drawing is not well-formed.
pub fn rendered_pixels(drawing: &Drawing, width: usize, height: usize) -> Result<Vec<u8>, Failure> {
    let tree = usvg::Tree::from_str(&drawing.bare_svg(), &font::options())
        .map_err(|error| Failure::internal(format!("a drawing is not well-formed SVG: {error}")))?;
    let impossible = || Failure::internal(format!("a drawing cannot have {width} x {height} pixels"));
    let (columns, rows) = u32::try_from(width).ok().zip(u32::try_from(height).ok()).ok_or_else(impossible)?;
    let mut pixels = tiny_skia::Pixmap::new(columns, rows).ok_or_else(impossible)?;
    pixels.fill(tiny_skia::Color::WHITE);
    let (across, down) = (columns as f32 / tree.size().width(), rows as f32 / tree.size().height());
    resvg::render(&tree, tiny_skia::Transform::from_scale(across, down), &mut pixels.as_mut());
    let opaque = pixels.pixels().iter().map(|pixel| pixel.demultiply());
    Ok(opaque.flat_map(|colour| [colour.red(), colour.green(), colour.blue()]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::drawing::Colour;

    #[test]
    fn a_drawing_fills_its_pixels() {
        let mut drawing = Drawing::new(4.0, 2.0, "");
        drawing.rectangle((2.0, 0.0), 3.0, 2.0, 0.0, Colour::rgb(10, 20, 30));
        let pixels = rendered_pixels(&drawing, 8, 4).unwrap();
        assert_eq!(pixels.len(), 96);
        for (at, pixel) in pixels.chunks_exact(3).enumerate() {
            let expected: [u8; 3] = if at % 8 < 4 { [255, 255, 255] } else { [10, 20, 30] };
            let is_near = pixel.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= 1);
            assert!(is_near, "{at}: {pixel:?}, not {expected:?}");
        }
        assert!(rendered_pixels(&drawing, 0, 4).is_err());
    }
}
