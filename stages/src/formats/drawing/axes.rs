//! Where numbers lie on an axis, and which of them get a tick.

use super::canvas::{Anchor, CanvasPoint, Drawing, Lettering, Stroke};
use super::colour::Colour;
use super::raster::Raster;

/// A straight axis: numbers between two ends to points on the drawing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The numbers at the two ends.
    pub values: (f64, f64),
    /// Their places on the drawing, in points.
    pub places: (f64, f64),
}

impl Scale {
    /// An axis from `values.0` at `places.0` to `values.1` at `places.1`.
    pub const fn new(values: (f64, f64), places: (f64, f64)) -> Self {
        Self { values, places }
    }

    /// Where a number lies, also beyond the ends.
    pub fn at(&self, value: f64) -> f64 {
        let share = (value - self.values.0) / (self.values.1 - self.values.0);
        self.places.0 + share * (self.places.1 - self.places.0)
    }
}

/// Round numbers (1, 2 or 5 times a power of ten apart) between `low` and `high`, about `wanted` of them, and their distance.
pub fn ticks(low: f64, high: f64, wanted: usize) -> (Vec<f64>, f64) {
    #[expect(clippy::cast_precision_loss, reason = "a handful of ticks")]
    let rough = (high - low) / wanted.max(1) as f64;
    if !(rough.is_finite() && rough > 0.0) {
        return (vec![low], 1.0);
    }
    let power = 10f64.powi(decade(rough));
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    // Multiples are counted in whole numbers, so that no error adds up along the axis.
    #[expect(clippy::cast_possible_truncation, reason = "a handful of ticks")]
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    #[expect(clippy::cast_precision_loss, reason = "a handful of ticks")]
    let values = (first..=last).map(|count| count as f64 * step).collect();
    (values, step)
}

#[expect(clippy::cast_possible_truncation, reason = "an exponent of ten")]
fn decade(value: f64) -> i32 {
    libm::log10(value).floor() as i32
}

/// A number as a tick label: as many decimals as the distance between ticks needs, with a true minus sign.
pub fn label(value: f64, step: f64) -> String {
    #[expect(clippy::cast_sign_loss, reason = "not negative after max")]
    let places = (-decade(step * 1.000_001)).max(0) as usize;
    let text = format!("{value:.places$}");
    if text.trim_start_matches('-').chars().all(|digit| matches!(digit, '0' | '.')) {
        return text.trim_start_matches('-').to_string();
    }
    text.replace('-', "\u{2212}")
}

/// Draws a vertical axis at `x`: a tick and its label to the left for each of `values`.
pub fn left_axis(drawing: &mut Drawing, x: f64, scale: &Scale, values: &[f64], step: f64, size: f64) {
    let stroke = Stroke::new(Colour::INK, 0.6);
    drawing.line((x, scale.places.0), (x, scale.places.1), stroke);
    for value in values {
        let y = scale.at(*value);
        drawing.line((x - 2.5, y), (x, y), stroke);
        let lettering = Lettering::new(size).anchor(Anchor::End);
        drawing.text((x - 4.5, y), &label(*value, step), lettering);
    }
}

/// Draws a colour bar with its upper left corner at `at`: `colour` gives the colour at 0 (left) to 1 (right).
pub fn colour_bar(drawing: &mut Drawing, at: CanvasPoint, width: f64, height: f64, colour: impl Fn(f64) -> Colour) {
    const STEPS: usize = 128;
    let mut pixels = Raster::new(STEPS, 1);
    for step in 0..STEPS {
        #[expect(clippy::cast_precision_loss, reason = "128 steps")]
        pixels.set(step, 0, colour((step as f64 + 0.5) / STEPS as f64));
    }
    drawing.image(at, width, height, &pixels, false);
    drawing.frame(at, width, height, Stroke::new(Colour::INK, 0.4));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 1.0, 5).0, [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(-0.013, 0.034, 5), (vec![-0.01, 0.0, 0.01, 0.02, 0.03], 0.01));
        assert_eq!(ticks(3.0, 3.0, 5).0, [3.0]);
    }

    #[test]
    fn labels_have_the_decimals_of_the_step() {
        assert_eq!(label(0.6000000000000001, 0.2), "0.6");
        assert_eq!(label(-0.01, 0.01), "\u{2212}0.01");
        assert_eq!(label(-0.0, 0.5), "0.0");
        assert_eq!(label(250.0, 50.0), "250");
    }
}
