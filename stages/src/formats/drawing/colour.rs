//! Colours and colour maps, all made from formulas in OKLCH, a space in which equal steps look equal.
//!
//! OKLab's two matrices are those of its definition (B. Ottosson, 2020); no map is copied from anywhere.

/// An opaque sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// Red, 0 to 255.
    pub red: u8,
    /// Green, 0 to 255.
    pub green: u8,
    /// Blue, 0 to 255.
    pub blue: u8,
}

impl Colour {
    /// White.
    pub const WHITE: Self = Self::rgb(255, 255, 255);
    /// Black.
    pub const BLACK: Self = Self::rgb(0, 0, 0);
    /// Nearly black, for text and axes.
    pub const INK: Self = Self::rgb(34, 34, 34);
    /// Grey for text of second rank.
    pub const QUIET: Self = Self::rgb(110, 110, 110);
    /// Light grey for rules at ticks.
    pub const RULE: Self = Self::rgb(216, 216, 216);
    /// Lighter grey for rules between ticks.
    pub const FAINT: Self = Self::rgb(238, 238, 238);
    /// Dark orange of the simulated stamp, readable below white text.
    pub const STAMP: Self = Self::rgb(190, 80, 0);

    /// From bytes.
    pub const fn rgb(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// From sRGB fractions, 0 to 1; what lies outside is clipped.
    pub fn fractions(red: f64, green: f64, blue: f64) -> Self {
        Self::rgb(byte(red), byte(green), byte(blue))
    }

    /// From OKLCH: lightness 0 to 1, chroma from 0 (grey) to about 0.3, hue in degrees (about 29 red, 110 yellow, 142 green, 264 blue).
    /// A colour that a screen cannot show gets the largest chroma that it can.
    pub fn oklch(lightness: f64, chroma: f64, hue: f64) -> Self {
        let (sin, cos) = libm::sincos(hue.to_radians());
        let at = |chroma: f64| linear_srgb(lightness, chroma * cos, chroma * sin);
        let shown = |rgb: [f64; 3]| rgb.iter().all(|part| (-1e-6..=1.0 + 1e-6).contains(part));
        let (mut low, mut high) = (0.0, chroma);
        if shown(at(chroma)) {
            low = chroma;
        } else {
            for _ in 0..24 {
                let middle = f64::midpoint(low, high);
                if shown(at(middle)) { low = middle } else { high = middle }
            }
        }
        let [red, green, blue] = at(low).map(gamma);
        Self::fractions(red, green, blue)
    }

    /// On the way to `other`: this colour at 0, the other at 1, mixed in sRGB.
    #[must_use]
    pub fn towards(self, other: Self, share: f64) -> Self {
        let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * share) / 255.0;
        Self::fractions(mix(self.red, other.red), mix(self.green, other.green), mix(self.blue, other.blue))
    }

    /// `#rrggbb`.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

fn byte(fraction: f64) -> u8 {
    // A cast saturates, so nothing outside 0..=255 can come out.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte first")]
    let value = (fraction.clamp(0.0, 1.0) * 255.0).round() as u8;
    value
}

/// OKLab to linear sRGB.
fn linear_srgb(lightness: f64, a: f64, b: f64) -> [f64; 3] {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ]
}

/// The transfer curve of sRGB.
fn gamma(linear: f64) -> f64 {
    if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * libm::pow(linear, 1.0 / 2.4) - 0.055 }
}

/// The colour of a polar angle in degrees from the upper vertical meridian, the same on both sides: dark violet at the upper
/// vertical meridian, green at the horizontal, light yellow at the lower. Lightness rises evenly, so readers with any colour vision and
/// grey print can read it; marks on it need an edge of the opposite lightness.
pub fn polar_angle(degrees: f64) -> Colour {
    let share = (degrees.abs() % 360.0).min(360.0 - degrees.abs() % 360.0) / 180.0;
    Colour::oklch(0.36 + 0.54 * share, 0.12, 305.0 - 200.0 * share)
}

/// The eccentricity at which [`eccentricity`] reaches its last colour, in degrees.
pub const ECCENTRICITY_END: f64 = 12.0;

/// The colour of an eccentricity in degrees: from dark purple at the fovea over red to light yellow at [`ECCENTRICITY_END`] and
/// beyond, in steps of the logarithm, because cortex gives each octave about the same room. Lightness rises evenly, as for
/// [`polar_angle`].
pub fn eccentricity(degrees: f64) -> Colour {
    let share = eccentricity_share(degrees);
    Colour::oklch(0.34 + 0.56 * share, 0.13, -25.0 + 120.0 * share)
}

/// Where an eccentricity lies on the scale of [`eccentricity`], 0 to 1.
pub fn eccentricity_share(degrees: f64) -> f64 {
    let octaves = |degrees: f64| (degrees.max(0.0) / 0.5).ln_1p();
    (octaves(degrees) / octaves(ECCENTRICITY_END)).min(1.0)
}

/// A sequential map over 0 to 1: dark violet over green to light yellow, lightness rising evenly.
pub fn sequential(share: f64) -> Colour {
    let share = share.clamp(0.0, 1.0);
    Colour::oklch(0.25 + 0.68 * share, 0.11 + 0.05 * share, 305.0 - 200.0 * share)
}

/// A diverging map over 0 to 1 with a light middle: blue, nearly white, red.
pub fn diverging(share: f64) -> Colour {
    let away = (share.clamp(0.0, 1.0) - 0.5) * 2.0;
    let hue = if away < 0.0 { 255.0 } else { 27.0 };
    Colour::oklch(0.97 - 0.47 * away.abs(), 0.17 * away.abs(), hue)
}

/// Colours of things without an order, such as areas or sources, for readers with any colour vision: those of M. Okabe and K. Ito
/// (2008), without black and without yellow, which is too light for lines on white paper.
pub const CATEGORIES: [Colour; 6] = [
    Colour::rgb(0, 114, 178),
    Colour::rgb(230, 159, 0),
    Colour::rgb(0, 158, 115),
    Colour::rgb(204, 121, 167),
    Colour::rgb(213, 94, 0),
    Colour::rgb(86, 180, 233),
];

/// A grey map over 0 to 1: light to dark, neither white nor black.
pub fn grey(share: f64) -> Colour {
    Colour::oklch(0.93 - 0.55 * share.clamp(0.0, 1.0), 0.0, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oklch_meets_known_colours() {
        assert_eq!(Colour::oklch(1.0, 0.0, 0.0), Colour::WHITE);
        assert_eq!(Colour::oklch(0.0, 0.0, 0.0), Colour::BLACK);
        assert_eq!(Colour::oklch(0.627_955, 0.257_683, 29.2339), Colour::rgb(255, 0, 0));
        assert_eq!(Colour::oklch(0.5, 0.0, 0.0), Colour::rgb(99, 99, 99));
    }

    #[test]
    fn impossible_colours_lose_chroma_and_keep_hue() {
        let strong = Colour::oklch(0.7, 0.4, 145.0);
        assert!(strong.green > strong.red && strong.green > strong.blue, "{strong:?}");
    }

    #[test]
    fn the_angle_map_is_symmetric_and_wraps() {
        assert_eq!(polar_angle(-90.0), polar_angle(90.0));
        assert_eq!(polar_angle(-180.0), polar_angle(180.0));
        assert_eq!(polar_angle(270.0), polar_angle(90.0));
        assert_ne!(polar_angle(0.0), polar_angle(180.0));
    }

    /// The lightness (CIE L*, 0 to 100) of a colour as a viewer sees it, by that viewer's matrix on linear sRGB.
    fn lightness(colour: Colour, viewer: &[[f64; 3]; 3]) -> f64 {
        let linear = |byte: u8| {
            let value = f64::from(byte) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let rgb = [colour.red, colour.green, colour.blue].map(linear);
        let seen =
            viewer.map(|row| row.iter().zip(rgb).map(|(weight, part)| weight * part).sum::<f64>().clamp(0.0, 1.0));
        let luminance = 0.2126 * seen[0] + 0.7152 * seen[1] + 0.0722 * seen[2];
        if luminance > 0.008_856 { 116.0 * luminance.cbrt() - 16.0 } else { 903.3 * luminance }
    }

    /// Full colour vision (whose lightness is what grey print keeps), protanopia and deuteranopia: the matrices of Machado, Oliveira
    /// and Fernandes (2009) at full severity.
    const VIEWERS: [(&str, [[f64; 3]; 3]); 3] = [
        ("grey print", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        (
            "protanopia",
            [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
        ),
        (
            "deuteranopia",
            [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
        ),
    ];

    /// Every eighth of a scale is lighter than the one before by four units, which two neighbouring areas show.
    fn rises_for_every_viewer(map: impl Fn(f64) -> Colour) {
        for (name, viewer) in &VIEWERS {
            let steps: Vec<f64> = (0..=8).map(|eighths| lightness(map(f64::from(eighths) / 8.0), viewer)).collect();
            assert!(steps.windows(2).all(|pair| pair[1] - pair[0] >= 4.0), "{name}: {steps:?}");
            assert!(steps[8] - steps[0] >= 45.0, "{name}: {steps:?}");
        }
    }

    #[test]
    fn maps_can_be_read_with_any_colour_vision_and_in_grey() {
        rises_for_every_viewer(|share| polar_angle(180.0 * share));
        rises_for_every_viewer(|share| eccentricity(0.5 * (share * (ECCENTRICITY_END / 0.5).ln_1p()).exp_m1()));
        rises_for_every_viewer(sequential);
    }

    #[test]
    fn the_eccentricity_scale_ends() {
        assert!(eccentricity_share(0.0).abs() < 1e-12);
        assert_eq!(eccentricity(ECCENTRICITY_END), eccentricity(90.0));
        assert!(eccentricity_share(1.0) > 0.3 && eccentricity_share(1.0) < 0.4);
    }
}
