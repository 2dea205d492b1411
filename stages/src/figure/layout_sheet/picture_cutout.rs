//! A picture cut out of its white ground, in as many pixels as a figure needs.
//!
//! Decides which pixels are ground: those of which every channel is nearer than a range to white. A pixel of the result is the mean of the pixels
//! that it replaces and that are not ground, and covers their share, so that edges stay smooth and no white fringe is left.

use crate::formats::drawing::{Colour, Raster};
use crate::formats::rgb_picture::RgbPicture;

/// Cuts a picture out. `side` is how many pixels its longer side gets at most; `range` 0 leaves all pixels as they are.
pub(super) fn cut_out(picture: &RgbPicture, side: usize, range: u8) -> Raster {
    let longer = picture.width.max(picture.height);
    let few = |length: usize| if longer > side { (length * side / longer).max(1) } else { length };
    let (width, height) = (few(picture.width), few(picture.height));
    let mut raster = Raster::new(width, height);
    let ends = |at: usize, few: usize, all: usize| at * all / few..(at + 1) * all / few;
    for row in 0..height {
        for column in 0..width {
            let mut sums = [0_u64; 3];
            let (mut opaque, mut all) = (0_u64, 0_u64);
            for from_row in ends(row, height, picture.height) {
                for from_column in ends(column, width, picture.width) {
                    let pixel = picture.pixel(from_column, from_row);
                    all += 1;
                    if !is_ground(pixel, range) {
                        opaque += 1;
                        sums.iter_mut().zip(pixel).for_each(|(sum, part)| *sum += u64::from(part));
                    }
                }
            }
            if opaque > 0 {
                let [red, green, blue] = sums.map(|sum| u8::try_from((sum + opaque / 2) / opaque).unwrap_or(u8::MAX));
                raster.set_partly(column, row, Colour::rgb(red, green, blue), opaque as f64 / all as f64);
            }
        }
    }
    raster
}

fn is_ground(pixel: [u8; 3], range: u8) -> bool {
    pixel.iter().all(|part| u8::MAX - part < range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, of: impl Fn(usize, usize) -> [u8; 3]) -> RgbPicture {
        let rgb = (0..width * height).flat_map(|at| of(at % width, at / width)).collect();
        RgbPicture { width, height, rgb }
    }

    #[test]
    fn white_is_transparent_within_the_range() {
        let shades = [[255, 255, 255], [221, 255, 255], [220, 255, 255], [0, 0, 0]];
        let row = picture(4, 1, |column, _| shades[column]);
        let painted = |range: u8| {
            let cut = cut_out(&row, 100, range);
            (0..4).map(|column| cut.painted(column, 0)).collect::<Vec<bool>>()
        };
        assert_eq!(painted(35), [false, false, true, true], "34 from white is ground, 35 is not");
        assert_eq!(painted(0), [true; 4]);
    }

    #[test]
    fn fewer_pixels_are_means_of_what_is_not_ground() {
        // Red to the left and white to the right of an edge that goes through the middle of a pixel of the result.
        let half = picture(8, 4, |column, _| if column < 5 { [200, 40, 0] } else { [255; 3] });
        let cut = cut_out(&half, 4, 35);
        assert_eq!((cut.width(), cut.height()), (4, 2));
        let mut expected = Raster::new(4, 2);
        for (column, row) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            expected.set(column, row, Colour::rgb(200, 40, 0));
        }
        expected.set_partly(2, 0, Colour::rgb(200, 40, 0), 0.5);
        expected.set_partly(2, 1, Colour::rgb(200, 40, 0), 0.5);
        assert_eq!(cut, expected);
        let thin = cut_out(&picture(1, 300, |_, _| [1, 2, 3]), 10, 35);
        assert_eq!((thin.width(), thin.height()), (1, 10));
    }
}
