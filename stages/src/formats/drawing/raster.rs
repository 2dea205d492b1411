//! Pixels with transparency, and their PNG.

use super::colour::Colour;

/// An image of 8-bit sRGB pixels with alpha, transparent at first. Row 0 is the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raster {
    width: usize,
    height: usize,
    rgba: Vec<u8>,
}

impl Raster {
    /// A transparent image.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, rgba: vec![0; width * height * 4] }
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Paints a pixel; nothing if it lies outside.
    pub fn set(&mut self, column: usize, row: usize, colour: Colour) {
        if column < self.width && row < self.height {
            let at = (row * self.width + column) * 4;
            self.rgba[at..at + 4].copy_from_slice(&[colour.red, colour.green, colour.blue, 255]);
        }
    }

    /// Whether a pixel inside the image has been painted.
    pub fn painted(&self, column: usize, row: usize) -> bool {
        column < self.width && row < self.height && self.rgba[(row * self.width + column) * 4 + 3] > 0
    }

    /// The PNG file.
    pub(super) fn png(&self) -> Vec<u8> {
        encode(self.width, self.height, &self.rgba, None)
    }
}

/// A PNG file of RGBA bytes. `pixels_per_metre` sets the size at which viewers show it.
///
/// Cannot fail: the bytes go to memory and their number fits the size, which is checked here.
pub(super) fn encode(width: usize, height: usize, rgba: &[u8], pixels_per_metre: Option<u32>) -> Vec<u8> {
    assert_eq!(rgba.len(), width * height * 4, "four bytes a pixel");
    let side = |side: usize| u32::try_from(side).expect("images have fewer than 2^32 pixels a side");
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(width), side(height));
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    encoder.set_pixel_dims(pixels_per_metre.map(|density| png::PixelDimensions {
        xppu: density,
        yppu: density,
        unit: png::Unit::Meter,
    }));
    let mut writer = encoder.write_header().expect("memory takes a header");
    writer.write_image_data(rgba).expect("memory takes an image");
    writer.finish().expect("memory takes an end");
    bytes
}
