//! From a drawing to files: `figure.svg`, `figure.pdf`, `figure.png`, with the bundled font and no other.
//!
//! A missing font or glyph leaves blank paper in most renderers; here it is an error that names the character.

use std::path::Path;

use krilla_svg::SurfaceExt;
use pipe_contract::Failure;
use resvg::tiny_skia;
use resvg::usvg;

use super::canvas::Drawing;
use super::font::{self, FAMILY};
use super::measure::each_text;
use super::raster;

/// The widest figure, in points: 183 mm, two columns of a journal.
pub const WIDEST: f64 = 183.0 / 25.4 * 72.0;

/// The smallest text, in points.
pub const SMALLEST_TEXT: f64 = 5.0;

/// Dots per inch of the PNG.
const DENSITY: f32 = 300.0;

/// Writes `figure.svg`, `figure.pdf` and `figure.png` (300 dots per inch) into `folder`, which is made if it is not there.
///
/// # Errors
/// Internal: a text has a character that the bundled font lacks, or the figure cannot be printed at its size: it is wider than
/// [`WIDEST`] or has text below [`SMALLEST_TEXT`]. Environment: a file cannot be written.
pub fn save(drawing: &Drawing, folder: &Path) -> Result<(), Failure> {
    can_be_printed(drawing)?;
    let tree = parse(drawing)?;
    fs_err::create_dir_all(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
    write(&folder.join("figure.svg"), drawing.svg().as_bytes())?;
    write(&folder.join("figure.pdf"), &pdf(&tree, &drawing.title)?)?;
    write(&folder.join("figure.png"), &png(&tree)?)
}

/// Holds every figure of every kind to a size at which a journal can print it as it is.
fn can_be_printed(drawing: &Drawing) -> Result<(), Failure> {
    if drawing.width() > WIDEST + 1e-9 {
        let (wide, widest) = (drawing.width() / 72.0 * 25.4, WIDEST / 72.0 * 25.4);
        return Err(Failure::internal(format!("a figure is {wide:.1} mm wide, expected at most {widest:.0} mm")));
    }
    match &drawing.smallest {
        Some((size, text)) if *size < SMALLEST_TEXT => Err(Failure::internal(format!(
            "the text `{text}` of a figure is {size:.1} pt high, expected at least {SMALLEST_TEXT:.0} pt"
        ))),
        _ => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs_err::write(path, bytes).map_err(|error| Failure::io("write", path, &error))
}

fn parse(drawing: &Drawing) -> Result<usvg::Tree, Failure> {
    let tree = usvg::Tree::from_str(&drawing.bare_svg(), &font::options())
        .map_err(|error| Failure::internal(format!("a figure is not well-formed SVG: {error}")))?;
    let (mut seen, mut lacking) = (0, None);
    each_text(tree.root(), &mut |text| {
        seen += 1;
        let glyphs = text.layouted().iter().flat_map(|span| &span.positioned_glyphs);
        lacking = lacking.take().or_else(|| glyphs.filter(|glyph| glyph.id.0 == 0).map(|g| g.text.clone()).next());
    });
    if let Some(text) = lacking {
        return Err(Failure::internal(format!("the figures' font has no glyph for `{text}`"))
            .hint("use Latin or Greek letters in names that a figure shows"));
    }
    if seen != drawing.texts {
        let message = format!("{seen} of {} texts of a figure found the font `{FAMILY}`", drawing.texts);
        return Err(Failure::internal(message));
    }
    Ok(tree)
}

fn png(tree: &usvg::Tree) -> Result<Vec<u8>, Failure> {
    // usvg's unit is 1/96 inch.
    let scale = DENSITY / 96.0;
    let size = tree.size().to_int_size().scale_by(scale);
    let size = size.ok_or_else(|| Failure::internal("a figure has no size"))?;
    let mut pixels = tiny_skia::Pixmap::new(size.width(), size.height()).ok_or_else(|| {
        Failure::internal(format!("a figure of {} x {} pixels is too large", size.width(), size.height()))
    })?;
    let (across, down) = (size.width() as f32 / tree.size().width(), size.height() as f32 / tree.size().height());
    resvg::render(tree, tiny_skia::Transform::from_scale(across, down), &mut pixels.as_mut());
    let rgba: Vec<u8> = pixels
        .pixels()
        .iter()
        .map(|pixel| pixel.demultiply())
        .flat_map(|c| [c.red(), c.green(), c.blue(), c.alpha()])
        .collect();
    let per_metre = (f64::from(DENSITY) / 0.0254).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "11811")]
    let density = Some(per_metre as u32);
    Ok(raster::encode(size.width() as usize, size.height() as usize, &rgba, density))
}

fn pdf(tree: &usvg::Tree, title: &str) -> Result<Vec<u8>, Failure> {
    let broken = |what: &str| Failure::internal(format!("a figure could not be made a PDF: {what}"));
    // usvg's unit is 1/96 inch, PDF's is 1/72.
    let (width, height) = (tree.size().width() * 0.75, tree.size().height() * 0.75);
    let size = krilla::geom::Size::from_wh(width, height).ok_or_else(|| broken("no size"))?;
    let mut document = krilla::Document::new();
    document.set_metadata(krilla::metadata::Metadata::new().title(title.to_string()));
    let mut page = document.start_page_with(krilla::page::PageSettings::new(size));
    let mut surface = page.surface();
    surface.draw_svg(tree, size, krilla_svg::SvgSettings::default()).ok_or_else(|| broken("drawing failed"))?;
    surface.finish();
    page.finish();
    document.finish().map_err(|error| broken(&format!("{error:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::drawing::{Anchor, Colour, Lettering, Raster, Stroke};

    fn example() -> Drawing {
        let mut drawing = Drawing::new(144.0, 72.0, "An example");
        let mut pixels = Raster::new(2, 1);
        pixels.set(0, 0, Colour::STAMP);
        drawing.image((10.0, 10.0), 40.0, 20.0, &pixels, true);
        drawing.line((0.0, 36.0), (144.0, 36.0), Stroke::new(Colour::INK, 0.5));
        drawing.dots([(70.0, 20.0), (72.0, 20.0)], 3.0, Colour::BLACK, 0.05);
        drawing.text((72.0, 50.0), "r² = 0.5 ± 0.1, θ ≤ 7°", Lettering::new(8.0).anchor(Anchor::Middle));
        drawing.text((130.0, 60.0), "turned", Lettering::new(6.0).turn(-90.0));
        drawing.simulated_stamp((140.0, 4.0));
        drawing
    }

    fn files(drawing: &Drawing) -> Vec<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        save(drawing, folder.path()).unwrap();
        ["svg", "pdf", "png"].map(|end| fs_err::read(folder.path().join(format!("figure.{end}"))).unwrap()).to_vec()
    }

    #[test]
    fn equal_drawings_are_equal_bytes_on_any_thread() {
        let first = files(&example());
        let others: Vec<_> = (0..3).map(|_| std::thread::spawn(|| files(&example()))).collect();
        for other in others {
            assert!(other.join().unwrap() == first);
        }
    }

    #[test]
    fn files_are_whole_and_of_the_right_size() {
        let [svg, pdf, png] = files(&example()).try_into().unwrap();
        let text = String::from_utf8(svg).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        assert_eq!(document.root_element().attribute("width"), Some("144pt"));
        assert!(pdf.starts_with(b"%PDF-") && pdf.trim_ascii_end().ends_with(b"%%EOF"));
        let text = String::from_utf8_lossy(&pdf);
        assert!(!text.contains("CreationDate") && !text.contains("CreateDate"), "a PDF must not hold the time");
        let reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        assert_eq!((reader.info().width, reader.info().height), (600, 300));
    }

    #[test]
    fn a_character_without_a_glyph_is_an_error() {
        let mut drawing = Drawing::new(50.0, 50.0, "");
        drawing.text((5.0, 5.0), "日本", Lettering::new(8.0));
        let failure = parse(&drawing).unwrap_err();
        assert!(failure.message.contains("no glyph for `日`"), "{failure}");
    }

    #[test]
    fn figures_that_cannot_be_printed_as_they_are_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wide = Drawing::new(519.0, 10.0, "");
        assert_eq!(
            save(&wide, folder.path()).unwrap_err().message,
            "a figure is 183.1 mm wide, expected at most 183 mm"
        );
        let mut small = Drawing::new(WIDEST, 10.0, "");
        small.text((5.0, 5.0), "large", Lettering::new(9.0));
        small.text((50.0, 5.0), "small", Lettering::new(4.9));
        let message = save(&small, folder.path()).unwrap_err().message;
        assert_eq!(message, "the text `small` of a figure is 4.9 pt high, expected at least 5 pt");
        assert!(!folder.path().join("figure.svg").exists(), "nothing is written");
    }

    #[test]
    fn another_family_is_an_error() {
        let mut drawing = Drawing::new(50.0, 50.0, "");
        drawing.text((5.0, 5.0), "x", Lettering::new(8.0));
        drawing.body = drawing.body.replace("<text", r#"<text font-family="Arial""#);
        let failure = parse(&drawing).unwrap_err();
        assert!(failure.message.contains("0 of 1 texts"), "{failure}");
    }
}
