//! PNG pictures: compared pixel by pixel, previewed smaller.

use std::path::Path;

use pipe_contract::Failure;
use resvg::tiny_skia::{FilterQuality, Pixmap, PixmapPaint, Transform};

fn read(path: &Path) -> Result<Pixmap, Failure> {
    let bytes = fs_err::read(path).map_err(|error| Failure::io("read", path, &error))?;
    Pixmap::decode_png(&bytes)
        .map_err(|error| Failure::input(format!("not a readable PNG file: {error}")).at(path.display().to_string()))
}

/// The largest difference of a colour at any pixel, as a share of the whole range.
pub(super) fn compare(before: &Path, now: &Path) -> Result<f64, String> {
    let (before, now) = (read(before).map_err(|f| f.to_string())?, read(now).map_err(|f| f.to_string())?);
    let size = |picture: &Pixmap| (picture.width(), picture.height());
    if size(&before) != size(&now) {
        let ((width, height), (columns, rows)) = (size(&before), size(&now));
        return Err(format!("it had {width} x {height} pixels and has {columns} x {rows} now"));
    }
    let largest = before.data().iter().zip(now.data()).map(|(a, b)| a.abs_diff(*b)).max();
    Ok(f64::from(largest.unwrap_or(0)) / 255.0)
}

/// The picture, its longer side at most so many pixels. Halved as long as it is twice as large, so that thin lines stay.
pub(super) fn thumbnail(path: &Path, longest: u32) -> Result<Vec<u8>, Failure> {
    let mut picture = read(path)?;
    loop {
        let side = picture.width().max(picture.height());
        if side <= longest.max(1) {
            break;
        }
        let scale = (f64::from(longest.max(1)) / f64::from(side)).max(0.5);
        picture = scaled(&picture, scale)?;
    }
    picture.encode_png().map_err(|error| Failure::internal(format!("a picture has no PNG form: {error}")))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a size that was a u32")]
fn scaled(picture: &Pixmap, scale: f64) -> Result<Pixmap, Failure> {
    let length = |side: u32| ((f64::from(side) * scale).floor() as u32).max(1);
    let (width, height) = (length(picture.width()), length(picture.height()));
    let mut smaller =
        Pixmap::new(width, height).ok_or_else(|| Failure::internal("a thumbnail without width or height"))?;
    let paint = PixmapPaint { quality: FilterQuality::Bilinear, ..PixmapPaint::default() };
    let ratio = |to: u32, from: u32| (f64::from(to) / f64::from(from)) as f32;
    let fit = Transform::from_scale(ratio(width, picture.width()), ratio(height, picture.height()));
    smaller.draw_pixmap(0, 0, picture.as_ref(), &paint, fit, None);
    Ok(smaller)
}

#[cfg(test)]
mod tests {
    use super::*;
    use resvg::tiny_skia::Color;

    #[test]
    fn pictures_are_compared_by_pixel_and_shown_smaller() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, size: (u32, u32), grey: u8| {
            let mut picture = Pixmap::new(size.0, size.1).unwrap();
            picture.fill(Color::from_rgba8(grey, grey, grey, 255));
            let path = folder.path().join(name);
            picture.save_png(&path).unwrap();
            path
        };
        let before = write("a.png", (300, 120), 255);
        assert_eq!(compare(&before, &before), Ok(0.0));
        assert_eq!(compare(&before, &write("b.png", (300, 120), 204)), Ok(0.2));
        let other = compare(&before, &write("c.png", (30, 12), 255)).unwrap_err();
        assert_eq!(other, "it had 300 x 120 pixels and has 30 x 12 now");
        let small = Pixmap::decode_png(&thumbnail(&before, 100).unwrap()).unwrap();
        assert_eq!((small.width(), small.height()), (100, 40));
        assert!(small.pixels()[50 * 40].alpha() > 250, "nothing is lost at the edges of pixels");
        fs_err::write(folder.path().join("no.png"), "no picture").unwrap();
        assert!(thumbnail(&folder.path().join("no.png"), 100).is_err());
    }
}
