//! Pictures of 8-bit red, green and blue, and how networks take them: shorter side resized, centre cropped, normalised.
//!
//! Decides that every step rounds as Pillow and torchvision do, so that networks see here what they see there; and the helpers for
//! figures: white pixels found, made transparent, a margin added. Independent of file formats ([`picture_file`](super::picture_file)).

use pipe_contract::Failure;

use super::drawing::{Colour, Raster};
use super::exif::Orientation;
use crate::numeric::pillow_resize::{pillow_resized, shorter_side_size};

/// Bytes of a pixel.
const CHANNELS: usize = 3;

/// The most pixels of a picture, 134 million.
pub const MOST_PIXELS: usize = 1 << 27;

/// Mean of red, green and blue over the pictures of ImageNet, 0 to 1, as torchvision's weights need it.
pub const IMAGENET_MEAN: [f32; CHANNELS] = [0.485, 0.456, 0.406];
/// Their standard deviations.
pub const IMAGENET_STD: [f32; CHANNELS] = [0.229, 0.224, 0.225];

/// A picture of 8-bit sRGB. Row 0 is the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbPicture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of every pixel, row by row: `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl RgbPicture {
    /// Of one colour.
    pub fn filled(width: usize, height: usize, colour: [u8; CHANNELS]) -> Self {
        Self { width, height, rgb: colour.repeat(width * height) }
    }

    /// Red, green and blue of a pixel inside the picture.
    pub fn pixel(&self, column: usize, row: usize) -> [u8; CHANNELS] {
        let at = (row * self.width + column) * CHANNELS;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// The pixels, row by row.
    pub fn pixels(&self) -> impl Iterator<Item = [u8; CHANNELS]> {
        self.rgb.chunks_exact(CHANNELS).map(|pixel| [pixel[0], pixel[1], pixel[2]])
    }

    /// Of this size, from the place here that each pixel comes from, as column and row.
    fn gathered(&self, (width, height): (usize, usize), source: impl Fn(usize, usize) -> (usize, usize)) -> Self {
        let mut rgb = Vec::with_capacity(width * height * CHANNELS);
        for row in 0..height {
            for column in 0..width {
                let (from_column, from_row) = source(column, row);
                rgb.extend(self.pixel(from_column, from_row));
            }
        }
        Self { width, height, rgb }
    }

    /// Turned upright.
    #[must_use]
    pub fn upright(self, orientation: Orientation) -> Self {
        if orientation == Orientation::default() {
            return self;
        }
        let Orientation { transposed, mirrored, flipped } = orientation;
        let (width, height) = if transposed { (self.height, self.width) } else { (self.width, self.height) };
        self.gathered((width, height), |column, row| {
            let column = if mirrored { width - 1 - column } else { column };
            let row = if flipped { height - 1 - row } else { row };
            if transposed { (row, column) } else { (column, row) }
        })
    }

    /// In another size, by Pillow's bilinear filter with antialiasing.
    ///
    /// # Errors
    /// Input: the size has no pixels, or too many.
    pub fn resized(&self, width: usize, height: usize) -> Result<Self, Failure> {
        check_size(width, height)?;
        let rgb = pillow_resized(&self.rgb, CHANNELS, (self.width, self.height), (width, height));
        Ok(Self { width, height, rgb })
    }
}

/// That a picture of this size may be made.
///
/// # Errors
/// Input: it has no pixels, or more than [`MOST_PIXELS`].
pub fn check_size(width: usize, height: usize) -> Result<(), Failure> {
    match width.checked_mul(height) {
        Some(1..=MOST_PIXELS) => Ok(()),
        _ => Err(Failure::input(format!(
            "a picture would have {width} x {height} pixels, expected at least 1 and at most {MOST_PIXELS}"
        ))),
    }
}

/// The picture with its shorter side resized to `side` pixels; the longer keeps the proportion, rounded down, as
/// `torchvision.transforms.Resize(side)` on a picture of Pillow.
///
/// # Errors
/// Input: `side` is 0, or the longer side gets too long.
pub fn resize_shorter_side(picture: &RgbPicture, side: usize) -> Result<RgbPicture, Failure> {
    let (width, height) = shorter_side_size((picture.width, picture.height), side);
    picture.resized(width, height)
}

/// The middle square of `side` pixels, as `torchvision.transforms.CenterCrop(side)`, whose half pixels are rounded to even.
///
/// # Errors
/// Input: the picture is smaller.
pub fn centre_crop(picture: &RgbPicture, side: usize) -> Result<RgbPicture, Failure> {
    let (width, height) = (picture.width, picture.height);
    if side == 0 || side > width.min(height) {
        return Err(Failure::input(format!("a square of {side} pixels cannot be cut out of {width} x {height}"))
            .hint("resize the shorter side to at least that many pixels first"));
    }
    let (left, top) = (half_to_even(width - side), half_to_even(height - side));
    Ok(picture.gathered((side, side), |column, row| (left + column, top + row)))
}

fn half_to_even(count: usize) -> usize {
    let half = count / 2;
    if count.is_multiple_of(2) { half } else { half + half % 2 }
}

/// What a network takes: `3 * height * width` numbers, red first, rows from the top; bytes over 255, less the mean of ImageNet, over
/// its standard deviation, in 32-bit steps as torchvision's `ToTensor` and `Normalize`.
pub fn normalised(picture: &RgbPicture) -> Vec<f32> {
    normalised_by(picture, IMAGENET_MEAN, IMAGENET_STD)
}

/// [`normalised`] with these means and standard deviations of red, green and blue.
pub fn normalised_by(picture: &RgbPicture, mean: [f32; CHANNELS], std: [f32; CHANNELS]) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(picture.rgb.len());
    for channel in 0..CHANNELS {
        let bytes = picture.rgb.iter().skip(channel).step_by(CHANNELS);
        numbers.extend(bytes.map(|byte| (f32::from(*byte) / 255.0 - mean[channel]) / std[channel]));
    }
    numbers
}

/// Which pixels are not white, row by row: white is a pixel of which all of red, green and blue are above `threshold`.
pub fn nonwhite(picture: &RgbPicture, threshold: u8) -> Vec<bool> {
    picture.pixels().map(|pixel| pixel.iter().any(|part| *part <= threshold)).collect()
}

/// A picture that shows where another is not white: white there, black elsewhere.
pub fn nonwhite_mask(picture: &RgbPicture, threshold: u8) -> RgbPicture {
    let rgb = nonwhite(picture, threshold).into_iter().flat_map(|is| [if is { 255 } else { 0 }; CHANNELS]).collect();
    RgbPicture { width: picture.width, height: picture.height, rgb }
}

/// The picture on white so that it takes the share `ratio` (above 0, at most 1) of each side, its shorter side resized to `side`. The
/// margin on each of two sides is `round(length * (1 - ratio) / (2 * ratio))` pixels before resizing, half pixels to even.
///
/// # Errors
/// Input: such a ratio is not possible, or the size is not.
pub fn shrunk(picture: &RgbPicture, ratio: f64, side: usize) -> Result<RgbPicture, Failure> {
    if !(ratio > 0.0 && ratio <= 1.0) {
        return Err(Failure::input(format!("pictures cannot shrink to a share of {ratio}, expected above 0 up to 1")));
    }
    let margin = |length: usize| (length as f64 * (1.0 - ratio) / (2.0 * ratio)).round_ties_even() as usize;
    let (across, down) = (margin(picture.width), margin(picture.height));
    let padded = |length: usize, margin: usize| length.saturating_add(margin.saturating_mul(2));
    let (width, height) = (padded(picture.width, across), padded(picture.height, down));
    check_size(width, height)?;
    let mut sheet = RgbPicture::filled(width, height, [255; CHANNELS]);
    for (row, line) in picture.rgb.chunks_exact(picture.width * CHANNELS).enumerate() {
        let at = ((down + row) * width + across) * CHANNELS;
        sheet.rgb[at..at + line.len()].copy_from_slice(line);
    }
    resize_shorter_side(&sheet, side)
}

/// The picture for a figure, with every pixel transparent of which each of red, green and blue is nearer than `range` to that of
/// `target`; at a range of 0 none is.
pub fn alphatized(picture: &RgbPicture, target: [u8; CHANNELS], range: u8) -> Raster {
    let mut raster = Raster::new(picture.width, picture.height);
    for (at, [red, green, blue]) in picture.pixels().enumerate() {
        let far = [red, green, blue].iter().zip(target).any(|(part, target)| part.abs_diff(target) >= range);
        if far {
            raster.set(at % picture.width, at / picture.width, Colour::rgb(red, green, blue));
        }
    }
    raster
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels whose red is their number.
    fn counted(width: usize, height: usize) -> RgbPicture {
        let rgb = (0..width * height).flat_map(|at| [at as u8, 0, 255]).collect();
        RgbPicture { width, height, rgb }
    }

    fn reds(picture: &RgbPicture) -> Vec<u8> {
        picture.pixels().map(|pixel| pixel[0]).collect()
    }

    /// Pillow 13.0.0: `ImageOps.exif_transpose` of `Image.frombytes("L", (3, 2), bytes(range(6)))` with each orientation.
    #[test]
    fn pictures_are_turned_upright() {
        let turned = |transposed, mirrored, flipped| {
            let picture = counted(3, 2).upright(Orientation { transposed, mirrored, flipped });
            (picture.width, reds(&picture))
        };
        assert_eq!(turned(false, false, false), (3, vec![0, 1, 2, 3, 4, 5]), "1");
        assert_eq!(turned(false, true, false), (3, vec![2, 1, 0, 5, 4, 3]), "2");
        assert_eq!(turned(false, true, true), (3, vec![5, 4, 3, 2, 1, 0]), "3");
        assert_eq!(turned(false, false, true), (3, vec![3, 4, 5, 0, 1, 2]), "4");
        assert_eq!(turned(true, false, false), (2, vec![0, 3, 1, 4, 2, 5]), "5");
        assert_eq!(turned(true, true, false), (2, vec![3, 0, 4, 1, 5, 2]), "6");
        assert_eq!(turned(true, true, true), (2, vec![5, 2, 4, 1, 3, 0]), "7");
        assert_eq!(turned(true, false, true), (2, vec![2, 5, 1, 4, 0, 3]), "8");
    }

    /// `int(round((height - side) / 2.0))` of torchvision: 0.5 becomes 0, 1.5 and 2.5 become 2.
    #[test]
    fn the_middle_is_cut_out() {
        assert_eq!([1, 3, 5, 4].map(half_to_even), [0, 2, 2, 2]);
        assert_eq!(reds(&centre_crop(&counted(5, 3), 2).unwrap()), [2, 3, 7, 8]);
        assert_eq!(centre_crop(&counted(5, 3), 3).unwrap().width, 3);
        let message = centre_crop(&counted(5, 3), 4).unwrap_err().message;
        assert_eq!(message, "a square of 4 pixels cannot be cut out of 5 x 3");
    }

    /// numpy 2.4: `(np.float32(b) / np.float32(255) - np.float32(m)) / np.float32(s)`.
    #[test]
    fn networks_take_normalised_channels() {
        let picture = RgbPicture { width: 2, height: 1, rgb: vec![0, 128, 255, 10, 20, 30] };
        let expected: [f32; 6] = [-2.117_904, -1.946_656_5, 0.205_182_2, -1.685_574_2, 2.64, -1.281_568_6];
        assert_eq!(normalised(&picture), expected);
        assert_eq!(normalised_by(&picture, [0.0; 3], [1.0; 3])[2], 128.0 / 255.0);
    }

    #[test]
    fn the_shorter_side_is_resized() {
        let resized = resize_shorter_side(&counted(5, 3), 6).unwrap();
        assert_eq!((resized.width, resized.height, resized.rgb.len()), (10, 6, 180));
        assert!(resized.pixels().all(|pixel| pixel[1..] == [0, 255]));
        assert!(resize_shorter_side(&counted(5, 3), 0).is_err());
        let long = RgbPicture::filled(4000, 1, [0; 3]);
        assert!(resize_shorter_side(&long, 224).unwrap_err().message.contains("896000 x 224 pixels"));
    }

    #[test]
    fn white_is_found_and_made_transparent() {
        let picture = RgbPicture { width: 3, height: 1, rgb: vec![255, 255, 231, 255, 230, 255, 221, 221, 250] };
        assert_eq!(nonwhite(&picture, 230), [false, true, true]);
        assert_eq!(nonwhite_mask(&picture, 230).rgb, [0, 0, 0, 255, 255, 255, 255, 255, 255]);
        let raster = alphatized(&picture, [255; 3], 35);
        assert_eq!([0, 1, 2].map(|column| raster.painted(column, 0)), [false, false, false]);
        let raster = alphatized(&picture, [255; 3], 25);
        assert_eq!([0, 1, 2].map(|column| raster.painted(column, 0)), [false, true, true]);
        assert!(alphatized(&picture, [255; 3], 0).painted(0, 0));
    }

    /// A picture of 4 x 2 at half size has margins of 2 and 1.
    #[test]
    fn shrinking_adds_white_in_proportion() {
        let small = shrunk(&RgbPicture::filled(4, 2, [0; 3]), 0.5, 4).unwrap();
        assert_eq!((small.width, small.height), (8, 4));
        let black: Vec<usize> = (0..32).filter(|at| small.rgb[at * 3] == 0).collect();
        assert_eq!(black, [10, 11, 12, 13, 18, 19, 20, 21]);
        let same = counted(3, 3);
        assert_eq!(shrunk(&same, 1.0, 3).unwrap(), same);
        assert!(
            shrunk(&same, 0.0, 3).is_err() && shrunk(&same, f64::NAN, 3).is_err() && shrunk(&same, 1e-9, 3).is_err()
        );
    }
}
