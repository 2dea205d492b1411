//! Bilinear resizing of images with antialiasing, as `torchvision.transforms.Resize(..., antialias=True)` does on tensors.
//!
//! One filter serves every factor. Shrinking by `f` weighs inputs by a triangle of half-width `f` around the output's
//! centre `f (i + 0.5)`; enlarging uses half-width 1, which is plain bilinear interpolation with half-pixel centres
//! (as in the original: antialiasing has no effect when enlarging). Weights are cut off at the image's border and
//! renormalised. Columns first, then rows.

use rayon::prelude::*;

/// The weights with which one output pixel reads a run of inputs.
struct Tap {
    first: usize,
    weights: Vec<f64>,
}

/// Resizes `channels` images that lie one behind the other, rows from top to bottom.
///
/// `images` holds `channels * rows * columns` values; the answer holds `channels * to_rows * to_columns`.
/// NaN spreads to every output that reads it.
///
/// # Panics
/// If `images` has another length, or a size is zero.
pub fn resize(
    images: &[f32],
    channels: usize,
    (rows, columns): (usize, usize),
    (to_rows, to_columns): (usize, usize),
) -> Vec<f32> {
    assert_eq!(images.len(), channels * rows * columns, "images and their size disagree");
    assert!(rows * columns * to_rows * to_columns > 0, "an image has no pixels");
    if (rows, columns) == (to_rows, to_columns) {
        return images.to_vec();
    }
    let across = taps(columns, to_columns);
    let down = taps(rows, to_rows);
    let mut out = vec![0.0f32; channels * to_rows * to_columns];
    out.par_chunks_mut(to_rows * to_columns)
        .zip(images.par_chunks(rows * columns))
        .for_each(|(out, image)| resize_one(image, columns, &across, &down, out));
    out
}

fn resize_one(image: &[f32], columns: usize, across: &[Tap], down: &[Tap], out: &mut [f32]) {
    let width = across.len();
    let mut narrow = vec![0.0f64; image.len() / columns * width];
    for (row, narrow) in image.chunks_exact(columns).zip(narrow.chunks_exact_mut(width)) {
        for (tap, value) in across.iter().zip(narrow) {
            let inputs = &row[tap.first..tap.first + tap.weights.len()];
            *value = inputs.iter().zip(&tap.weights).map(|(&input, weight)| f64::from(input) * weight).sum();
        }
    }
    let mut sums = vec![0.0f64; width];
    for (tap, out) in down.iter().zip(out.chunks_exact_mut(width)) {
        sums.fill(0.0);
        for (input, weight) in narrow[tap.first * width..].chunks_exact(width).zip(&tap.weights) {
            sums.iter_mut().zip(input).for_each(|(sum, input)| *sum += input * weight);
        }
        out.iter_mut().zip(&sums).for_each(|(out, sum)| *out = *sum as f32);
    }
}

/// For each of `to` outputs, which of `from` inputs it reads and how much of each.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let factor = from as f64 / to as f64;
    let reach = factor.max(1.0);
    (0..to)
        .map(|output| {
            let centre = factor * (output as f64 + 0.5);
            // Conversion cuts towards zero, and at zero for negative numbers.
            let first = (centre - reach + 0.5) as usize;
            let end = ((centre + reach + 0.5) as usize).min(from);
            let weight = |input: usize| (1.0 - ((input as f64 + 0.5 - centre) / reach).abs()).max(0.0);
            let weights: Vec<f64> = (first..end).map(weight).collect();
            let total: f64 = weights.iter().sum();
            Tap { first, weights: weights.into_iter().map(|weight| weight / total).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rule, pixel by pixel and without any tables.
    fn naive(image: &[f32], (rows, columns): (usize, usize), (to_rows, to_columns): (usize, usize)) -> Vec<f32> {
        let weight = |from: usize, to: usize, output: usize, input: usize| {
            let factor = from as f64 / to as f64;
            let distance = (input as f64 + 0.5 - factor * (output as f64 + 0.5)) / factor.max(1.0);
            (1.0 - distance.abs()).max(0.0)
        };
        let mut out = Vec::new();
        for r in 0..to_rows {
            for c in 0..to_columns {
                let (mut sum, mut total) = (0.0, 0.0);
                for y in 0..rows {
                    for x in 0..columns {
                        let w = weight(rows, to_rows, r, y) * weight(columns, to_columns, c, x);
                        sum += w * f64::from(image[y * columns + x]);
                        total += w;
                    }
                }
                out.push((sum / total) as f32);
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn agrees_with_the_rule(
            size in (1usize..14, 1usize..14),
            to in (1usize..14, 1usize..14),
            values in prop::collection::vec(-2.0f32..2.0, 2 * 14 * 14),
        ) {
            let images = &values[..2 * size.0 * size.1];
            let got = resize(images, 2, size, to);
            let expected: Vec<f32> = images.chunks(size.0 * size.1).flat_map(|image| naive(image, size, to)).collect();
            for (got, expected) in got.iter().zip(&expected) {
                prop_assert!((got - expected).abs() < 1e-5, "{} is not {}", got, expected);
            }
        }

        #[test]
        fn constants_stay(size in (1usize..40, 1usize..40), to in (1usize..40, 1usize..40)) {
            let out = resize(&vec![0.75; size.0 * size.1], 1, size, to);
            prop_assert!(out.iter().all(|value| (value - 0.75).abs() < 1e-6));
        }
    }

    /// The weights that section 2.6 of the reference gives for the factor four.
    #[test]
    fn a_factor_of_four_reads_eight_inputs() {
        let tap = &taps(512, 128)[10];
        let expected = [1.0, 3.0, 5.0, 7.0, 7.0, 5.0, 3.0, 1.0].map(|w: f64| w / 32.0);
        assert_eq!(tap.first, 38);
        assert!(tap.weights.iter().zip(expected).all(|(got, wanted)| (got - wanted).abs() < 1e-15));
        assert_eq!(taps(512, 128)[0].weights.len(), 6, "cut off at the border");
    }

    #[test]
    fn the_same_size_is_the_same_image() {
        let image: Vec<f32> = (0..35).map(|x| x as f32).collect();
        assert_eq!(resize(&image, 1, (5, 7), (5, 7)), image);
        assert_eq!(resize(&image, 1, (5, 7), (5, 14)).len(), 70);
    }

    /// What libtorch 2.11.0 gives, the operation behind `torchvision.transforms.Resize(..., antialias=True)`, for
    /// `ramp(h, w) = ((arange(h * w) * 7919) % 101 - 50) / 16`, printed to six decimals by
    /// `python -c "import torch, torch.nn.functional as F; [print([round(v, 6) for v in F.interpolate(((torch.arange(h*w,
    /// dtype=torch.float32)*7919)%101-50).div(16).reshape(1,1,h,w), size=(a,b), mode='bilinear', antialias=True).flatten().tolist()])
    /// for h,w,a,b in [(8,16,2,4),(7,10,3,4),(5,6,4,9),(3,4,8,8)]]"`.
    #[test]
    fn agrees_with_torchvision() {
        let ramp = |rows: usize, columns: usize| -> Vec<f32> {
            (0..rows * columns).map(|i| ((i * 7919) % 101) as f32 / 16.0 - 3.125).collect()
        };
        let compare = |from: (usize, usize), to: (usize, usize), expected: &[f32]| {
            let got = resize(&ramp(from.0, from.1), 1, from, to);
            assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() < 2e-6, "{from:?} to {to:?}: {got} is not {expected}");
            }
        };
        compare((8, 16), (2, 4), &GOLDEN_FACTOR_4);
        compare((7, 10), (3, 4), &GOLDEN_BROKEN_FACTOR);
        compare((5, 6), (4, 9), &GOLDEN_SMALLER_AND_LARGER);
        compare((3, 4), (8, 8), &GOLDEN_LARGER);
    }

    #[rustfmt::skip]
    const GOLDEN_FACTOR_4: [f32; 8] =
        [0.233099, -0.165458, -0.067592, -0.048469, 0.317841, -0.209542, -0.125767, -0.116709];
    #[rustfmt::skip]
    const GOLDEN_BROKEN_FACTOR: [f32; 12] = [
        -0.528003, -0.056071, -0.163571, 0.480519, -0.14639, 0.376177, -0.251177, 0.27139, -0.35552, 0.288571, 0.181071, -0.064326,
    ];
    #[rustfmt::skip]
    const GOLDEN_SMALLER_AND_LARGER: [f32; 36] = [
        -2.4375, -1.15625, 0.289063, 0.945313, 0.023437, -0.898437, -0.242187, -1.164062, -2.25, 0.770833, 0.736979, 0.516493,
        -0.230035, -0.450521, -0.671007, -1.417535, -0.322917, 0.958333, 0.296875, 0.263021, 0.042535, -0.703993, -0.924479, -0.53125,
        1.177084, 1.044271, 0.484375, 0.875, -0.210937, -1.132812, -0.476562, 0.96875, 1.888021, 0.440104, 0.570312, 1.0625,
    ];
    #[rustfmt::skip]
    const GOLDEN_LARGER: [f32; 64] = [
        -3.125, -2.484375, -1.203125, 0.078125, 1.359375, 1.0625, -0.8125, -1.75, -2.878906, -2.336914, -1.25293, -0.070312, 1.210938,
        1.012695, -0.665039, -1.503906, -1.402344, -1.452148, -1.551758, -0.960938, 0.320312, 0.713867, 0.219727, -0.027344, 0.074219,
        -0.567383, -1.850586, -1.851562, -0.570312, 0.415039, 1.104492, 1.449219, 0.367188, -0.274414, -1.557617, -1.854492, -1.165039,
        -0.179688, 1.101562, 1.742188, -0.523438, -0.573242, -0.672852, -0.969727, -1.463867, -1.070312, 0.210938, 0.851562, -1.414062,
        -0.87207, 0.211914, -0.084961, -1.762695, -1.960938, -0.679688, -0.039062, -1.5625, -0.921875, 0.359375, 0.0625, -1.8125,
        -2.109375, -0.828125, -0.1875,
    ];
}
