//! Bilinear resizing of 8-bit pictures with antialiasing, to the byte as the Python library Pillow does it, because networks were
//! trained and are compared on pictures that it resized.
//!
//! Decides the arithmetic: columns first, then rows, each rounded to bytes; weights are integers of 22 fractional bits. Independent
//! of file formats. [`resize`](super::resize) has the same filter in floating point, for images that are no bytes.

/// Fractional bits of a weight: a sum of bytes times weights must fit 31 bits.
const FRACTION: u32 = 22;

/// The weights with which one output reads a run of inputs.
struct FixedTap {
    first: usize,
    weights: Vec<i32>,
}

/// Width and height of a picture whose shorter side becomes `side`: the other side keeps the proportion and is rounded down, as
/// `torchvision.transforms.Resize(side)` does. All sizes are at least 1.
pub fn shorter_side_size((width, height): (usize, usize), side: usize) -> (usize, usize) {
    let (short, long) = (width.min(height), width.max(height));
    let other = side.saturating_mul(long) / short;
    if width <= height { (side, other) } else { (other, side) }
}

/// Resizes a picture of `channels` bytes a pixel, rows from top to bottom. The answer has `to_height * to_width * channels` bytes.
///
/// # Panics
/// If `pixels` has another length than its size says, or a size is zero.
pub fn pillow_resized(
    pixels: &[u8],
    channels: usize,
    (width, height): (usize, usize),
    (to_width, to_height): (usize, usize),
) -> Vec<u8> {
    assert_eq!(pixels.len(), width * height * channels, "a picture and its size disagree");
    assert!(width.min(height).min(to_width).min(to_height).min(channels) > 0, "a picture has no pixels");
    let narrow = if width == to_width { pixels.to_vec() } else { across(pixels, channels, width, to_width) };
    if height == to_height { narrow } else { down(&narrow, to_width * channels, height, to_height) }
}

fn across(pixels: &[u8], channels: usize, width: usize, to_width: usize) -> Vec<u8> {
    let taps = fixed_taps(width, to_width);
    let mut out = Vec::with_capacity(pixels.len() / width * to_width);
    for row in pixels.chunks_exact(width * channels) {
        for tap in &taps {
            for channel in 0..channels {
                let inputs = row[tap.first * channels + channel..].iter().step_by(channels);
                out.push(to_byte(inputs.zip(&tap.weights).map(|(input, weight)| i32::from(*input) * *weight).sum()));
            }
        }
    }
    out
}

fn down(pixels: &[u8], stride: usize, height: usize, to_height: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(stride * to_height);
    let mut sums = vec![0_i32; stride];
    for tap in fixed_taps(height, to_height) {
        sums.fill(0);
        for (row, weight) in pixels[tap.first * stride..].chunks_exact(stride).zip(&tap.weights) {
            sums.iter_mut().zip(row).for_each(|(sum, input)| *sum += i32::from(*input) * *weight);
        }
        out.extend(sums.iter().map(|sum| to_byte(*sum)));
    }
    out
}

fn to_byte(sum: i32) -> u8 {
    ((sum + (1 << (FRACTION - 1))) >> FRACTION).clamp(0, 255) as u8
}

/// For each of `to` outputs, which of `from` inputs it reads and how much of each: a triangle around the output's centre, whose
/// half-width is the factor of shrinking and at least 1, cut off at the border and scaled to a sum of 1.
fn fixed_taps(from: usize, to: usize) -> Vec<FixedTap> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let per_pixel = 1.0 / reach;
    (0..to)
        .map(|output| {
            let centre = (output as f64 + 0.5) * scale;
            // Conversion cuts towards zero, and at zero for negative numbers.
            let first = (centre - reach + 0.5) as usize;
            let end = ((centre + reach + 0.5) as usize).min(from);
            let weight = |input: usize| (1.0 - ((input as f64 - centre + 0.5) * per_pixel).abs()).max(0.0);
            let weights: Vec<f64> = (first..end).map(weight).collect();
            let total: f64 = weights.iter().sum();
            let fixed = |weight: f64| (0.5 + weight / total * f64::from(1 << FRACTION)) as i32;
            FixedTap { first, weights: weights.into_iter().map(fixed).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a linear congruential generator: `s = (s * 1103515245 + 12345) & 0x7fffffff`, from 1, each `(s >> 16) & 255`.
    fn bytes(count: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = |_| {
            state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
            ((state >> 16) & 255) as u8
        };
        (0..count).map(next).collect()
    }

    /// Pillow 13.0.0: `list(Image.frombytes("RGB", (7, 5), bytes).resize((4, 3), Image.BILINEAR).tobytes())`, and to (9, 6).
    #[test]
    fn bytes_are_those_of_pillow() {
        let picture = bytes(105);
        assert_eq!(
            pillow_resized(&picture, 3, (7, 5), (4, 3)),
            [
                138, 89, 146, 155, 171, 159, 136, 65, 194, 140, 106, 130, 116, 88, 75, 173, 113, 145, 100, 147, 154,
                133, 120, 123, 96, 174, 65, 190, 158, 90, 171, 123, 125, 109, 138, 128
            ]
        );
        assert_eq!(
            pillow_resized(&picture, 3, (7, 5), (9, 6))[..30],
            [
                198, 126, 129, 137, 92, 210, 160, 153, 177, 230, 237, 115, 246, 189, 223, 151, 64, 225, 130, 13, 206,
                106, 75, 156, 49, 222, 86, 135, 43, 86
            ]
        );
        assert_eq!(pillow_resized(&[0, 255, 0, 0, 255, 10], 1, (6, 1), (4, 1)), [96, 85, 85, 102]);
        assert_eq!(pillow_resized(&[0, 255, 0, 0, 255, 10], 1, (6, 1), (9, 1)), [0, 128, 212, 43, 0, 43, 212, 133, 10]);
    }

    #[test]
    fn a_picture_of_one_size_stays_and_of_one_colour_too() {
        assert_eq!(pillow_resized(&bytes(12), 3, (2, 2), (2, 2)), bytes(12));
        assert_eq!(pillow_resized(&[7; 5000], 1, (50, 100), (3, 11)), [7; 33]);
    }

    /// `int(side * long / short)` of torchvision.
    #[test]
    fn the_longer_side_is_rounded_down() {
        assert_eq!(shorter_side_size((500, 375), 224), (298, 224));
        assert_eq!(shorter_side_size((375, 500), 224), (224, 298));
        assert_eq!(shorter_side_size((224, 224), 224), (224, 224));
        assert_eq!(shorter_side_size((3, 1), 2), (6, 2));
    }
}
