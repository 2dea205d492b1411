//! CIELUV, a colour space in which hue can be turned while luminance stays (CIE 15:2004, with the white of D65), and its way to sRGB
//! (IEC 61966-2-1).
//!
//! Decides that a colour which sRGB cannot show is none, so that the luminance of a stimulus is never changed by clipping. Independent of
//! pictures.

/// Linear sRGB to CIE XYZ, whose Y is the luminance, 1 for white.
const XYZ_OF_RGB: [[f64; 3]; 3] = [
    [0.412_456_4, 0.357_576_1, 0.180_437_5],
    [0.212_672_9, 0.715_152_2, 0.072_175_0],
    [0.019_333_9, 0.119_192_0, 0.950_304_1],
];

/// CIE XYZ to linear sRGB.
const RGB_OF_XYZ: [[f64; 3]; 3] = [
    [3.240_454_2, -1.537_138_5, -0.498_531_4],
    [-0.969_266_0, 1.876_010_8, 0.041_556_0],
    [0.055_643_4, -0.204_025_9, 1.057_225_2],
];

/// XYZ of white.
const WHITE: [f64; 3] = [0.950_47, 1.0, 1.088_83];

/// Below this luminance lightness is linear: (6 / 29) cubed.
const DARK: f64 = 216.0 / 24_389.0;

/// Lightness for a unit of luminance there: (29 / 3) cubed.
const SLOPE: f64 = 24_389.0 / 27.0;

/// A part of a linear colour may be so far outside of 0 to 1 by rounding alone.
const ROUNDING: f64 = 1e-6;

/// Lightness (0 to 100), u* and v*.
pub type Luv = [f64; 3];

fn times(matrix: &[[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(vector).map(|(weight, part)| weight * part).sum())
}

fn linear(byte: u8) -> f64 {
    let value = f64::from(byte) / 255.0;
    if value <= 0.040_45 { value / 12.92 } else { libm::pow((value + 0.055) / 1.055, 2.4) }
}

fn encoded(linear: f64) -> u8 {
    let linear = linear.clamp(0.0, 1.0);
    let value = if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * libm::pow(linear, 1.0 / 2.4) - 0.055 };
    (value * 255.0).round() as u8
}

/// The chromaticities u' and v'.
fn chromaticity([x, y, z]: [f64; 3]) -> [f64; 2] {
    let sum = x + 15.0 * y + 3.0 * z;
    [4.0 * x / sum, 9.0 * y / sum]
}

/// The relative luminance of an sRGB colour, 0 to 1.
pub fn luminance(rgb: [u8; 3]) -> f64 {
    times(&XYZ_OF_RGB, rgb.map(linear))[1]
}

/// An sRGB colour in CIELUV.
pub fn luv_of_srgb(rgb: [u8; 3]) -> Luv {
    let xyz = times(&XYZ_OF_RGB, rgb.map(linear));
    let lightness = if xyz[1] > DARK { 116.0 * libm::cbrt(xyz[1]) - 16.0 } else { SLOPE * xyz[1] };
    if lightness <= 0.0 {
        return [0.0; 3];
    }
    let (here, white) = (chromaticity(xyz), chromaticity(WHITE));
    [lightness, 13.0 * lightness * (here[0] - white[0]), 13.0 * lightness * (here[1] - white[1])]
}

/// A CIELUV colour in sRGB; `None` if sRGB cannot show it.
pub fn srgb_of_luv([lightness, u, v]: Luv) -> Option<[u8; 3]> {
    if lightness <= 0.0 {
        return (lightness == 0.0 && u == 0.0 && v == 0.0).then_some([0; 3]);
    }
    let y = if lightness > SLOPE * DARK { ((lightness + 16.0) / 116.0).powi(3) } else { lightness / SLOPE };
    let white = chromaticity(WHITE);
    let (u, v) = (u / (13.0 * lightness) + white[0], v / (13.0 * lightness) + white[1]);
    let (x, z) = (y * 9.0 * u / (4.0 * v), y * (12.0 - 3.0 * u - 20.0 * v) / (4.0 * v));
    let rgb = times(&RGB_OF_XYZ, [x, y, z]);
    let is_shown = v > 0.0 && rgb.iter().all(|part| (-ROUNDING..=1.0 + ROUNDING).contains(part));
    is_shown.then(|| rgb.map(encoded))
}

/// The colour of this lightness and hue (degrees), whose distance from grey is `saturation` times the lightness.
pub fn luv_of_hue(lightness: f64, saturation: f64, hue: f64) -> Luv {
    let (sin, cos) = libm::sincos(hue.to_radians());
    [lightness, saturation * lightness * cos, saturation * lightness * sin]
}

/// The largest saturation that sRGB can show at each of these lightnesses and each of these hues.
pub fn largest_saturation(lightnesses: &[f64], hues: &[f64]) -> f64 {
    let is_shown = |saturation: f64| {
        let shown = |lightness: f64, hue: f64| srgb_of_luv(luv_of_hue(lightness, saturation, hue)).is_some();
        lightnesses.iter().all(|lightness| hues.iter().all(|hue| shown(*lightness, *hue)))
    };
    let (mut low, mut high) = (0.0, 5.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if is_shown(middle) { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that are in common use, such as those of colour-science: red is L* 53.24, u* 175.02, v* 37.76.
    #[test]
    fn primaries_are_where_they_are_known_to_be() {
        let near = |rgb, expected: Luv| {
            let found = luv_of_srgb(rgb);
            assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 0.01), "{found:?}");
        };
        near([255, 0, 0], [53.2408, 175.015, 37.7564]);
        near([0, 255, 0], [87.7347, -83.0775, 107.3985]);
        near([0, 0, 255], [32.297, -9.4054, -130.3423]);
        near([255, 255, 255], [100.0, 0.0, 0.0]);
        near([0, 0, 0], [0.0, 0.0, 0.0]);
    }

    #[test]
    fn colours_come_back() {
        for rgb in [[255, 0, 0], [1, 2, 3], [12, 200, 99], [0, 0, 0], [254, 255, 250], [77, 77, 77]] {
            assert_eq!(srgb_of_luv(luv_of_srgb(rgb)), Some(rgb));
        }
        // Computed by the same formulas in Python.
        assert_eq!(srgb_of_luv([60.0, 40.0, 0.0]), Some([190, 127, 140]));
        assert_eq!(srgb_of_luv([60.0, -40.0, 0.0]), Some([60, 160, 149]));
        assert_eq!(srgb_of_luv([60.0, -48.0, 0.0]), None);
    }

    #[test]
    fn hues_of_one_lightness_have_one_luminance() {
        let expected = (76.0_f64 / 116.0).powi(3);
        for hue in 0..36 {
            let rgb = srgb_of_luv(luv_of_hue(60.0, 0.75, f64::from(hue) * 10.0)).unwrap();
            // Rounding to bytes changes it by at most 0.7 %.
            assert!((luminance(rgb) / expected - 1.0).abs() < 0.008, "{rgb:?}");
        }
    }

    /// At hue 187 and L* 60 sRGB ends at a distance of 47.293 from grey (bisection in Python).
    #[test]
    fn the_largest_saturation_is_at_the_worst_hue() {
        let hues: Vec<f64> = (0..360).map(f64::from).collect();
        assert!((largest_saturation(&[60.0], &hues) - 47.293 / 60.0).abs() < 1e-3);
        assert!(largest_saturation(&[60.0, 90.0], &hues) < 0.5);
    }
}
