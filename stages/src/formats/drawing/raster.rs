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

    /// Paints a pixel that covers `coverage` (0 to 1) of its place; nothing if it lies outside.
    pub fn set_partly(&mut self, column: usize, row: usize, colour: Colour, coverage: f64) {
        self.set(column, row, colour);
        if column < self.width && row < self.height {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte first")]
            let alpha = (coverage.clamp(0.0, 1.0) * 255.0).round() as u8;
            self.rgba[(row * self.width + column) * 4 + 3] = alpha;
        }
    }

    /// Whether a pixel inside the image has been painted.
    pub fn painted(&self, column: usize, row: usize) -> bool {
        column < self.width && row < self.height && self.rgba[(row * self.width + column) * 4 + 3] > 0
    }

    /// The same picture in fewer pixels, at most as many as it has: each is the pixel at its middle, so that no colour is new.
    #[must_use]
    pub fn thinned(&self, width: usize, height: usize) -> Self {
        let middle = |at: usize, few: usize, all: usize| (2 * at + 1) * all / (2 * few);
        let mut thin = Self::new(width, height);
        for (at, pixel) in thin.rgba.chunks_exact_mut(4).enumerate() {
            let (column, row) = (middle(at % width, width, self.width), middle(at / width, height, self.height));
            let from = (row * self.width + column) * 4;
            pixel.copy_from_slice(&self.rgba[from..from + 4]);
        }
        thin
    }

    /// The PNG file. Transparent pixels beside painted ones take their mean colour and stay transparent: programs that
    /// enlarge colour and transparency each for itself would else mix the black of unpainted pixels into the rim.
    pub(super) fn png(&self) -> Vec<u8> {
        let mut rgba = self.rgba.clone();
        let mut coloured: Vec<bool> = rgba.chunks_exact(4).map(|pixel| pixel[3] > 0).collect();
        for _ in 0..RIM {
            let mut rim = Vec::new();
            for pixel in (0..coloured.len()).filter(|pixel| !coloured[*pixel]) {
                let (mut sums, mut count) = ([0_u32; 3], 0);
                for other in self.beside(pixel).filter(|other| coloured[*other]) {
                    count += 1;
                    for (sum, part) in sums.iter_mut().zip(&rgba[other * 4..]) {
                        *sum += u32::from(*part);
                    }
                }
                if count > 0 {
                    rim.push((pixel, sums.map(|sum| u8::try_from(sum / count).unwrap_or(u8::MAX))));
                }
            }
            for (pixel, colour) in rim {
                rgba[pixel * 4..pixel * 4 + 3].copy_from_slice(&colour);
                coloured[pixel] = true;
            }
        }
        encode(self.width, self.height, &rgba, None)
    }

    /// The pixels around a pixel, up to eight.
    fn beside(&self, pixel: usize) -> impl Iterator<Item = usize> {
        let (row, column, width) = (pixel / self.width, pixel % self.width, self.width);
        let rows = row.saturating_sub(1)..(row + 2).min(self.height);
        let columns = column.saturating_sub(1)..(column + 2).min(width);
        rows.flat_map(move |row| columns.clone().map(move |column| row * width + column))
    }
}

/// How many pixels beyond the painted ones take their colour.
const RIM: usize = 2;

/// How hard a PNG is packed. The usual 6, with the best filter for each row, takes four times as long for flat maps, and makes them a fifth
/// smaller.
const LEVEL: u8 = 2;

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
    encoder.set_filter(png::Filter::Paeth);
    encoder.set_deflate_compression(png::DeflateCompression::Level(LEVEL));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(raster: &Raster) -> Vec<u8> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(raster.png())).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_rim_has_the_colour_of_what_is_painted_and_stays_transparent() {
        let mut raster = Raster::new(5, 1);
        raster.set(0, 0, Colour::rgb(200, 100, 50));
        let bytes = decoded(&raster);
        assert_eq!(bytes[..4], [200, 100, 50, 255]);
        assert_eq!(bytes[4..12], [200, 100, 50, 0, 200, 100, 50, 0]);
        assert_eq!(bytes[12..], [0; 8], "far from the rim there is no colour");
    }

    #[test]
    fn fewer_pixels_are_some_of_those_there_were() {
        let colour = |at: usize| Colour::rgb(u8::try_from(at).unwrap(), 0, 0);
        let mut raster = Raster::new(6, 3);
        (0..17).for_each(|at| raster.set(at % 6, at / 6, colour(at)));
        let mut thin = Raster::new(2, 1);
        thin.set(0, 0, colour(7));
        thin.set(1, 0, colour(10));
        assert_eq!(raster.thinned(2, 1), thin, "columns 1 and 4 of the middle row");
        assert_eq!(raster.thinned(6, 3), raster, "transparent where it was");
    }

    #[test]
    fn pixels_cover_a_part_of_their_place() {
        let mut raster = Raster::new(1, 1);
        raster.set_partly(0, 0, Colour::BLACK, 0.5);
        raster.set_partly(3, 0, Colour::BLACK, 0.5);
        assert_eq!(decoded(&raster), [0, 0, 0, 128]);
        assert!(raster.painted(0, 0) && !raster.painted(3, 0));
    }
}
