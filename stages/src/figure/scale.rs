//! From values to colours: which value has the first colour and which the last.
//!
//! Independent of maps on cortex or of drawings.

use crate::formats::drawing::{Colour, ColourMap, colour};
use crate::numeric::counts::real;

/// Colours of values between two limits.
#[derive(Clone, Debug)]
pub(super) struct ColourScale {
    /// The value of the first colour.
    pub low: f64,
    /// The value of the last colour.
    pub high: f64,
    /// The colours, evenly spaced. A formula a pixel would take longer than all else.
    table: Vec<Colour>,
}

/// Divides into five bands, and into 256 colours.
const STEPS: usize = 1280;

impl ColourScale {
    /// Colours of numbers. Of itself a map is diverging for limits around 0, else sequential.
    pub(super) fn numbers(map: ColourMap, (low, high): (f64, f64)) -> Self {
        let around_zero = (low + high).abs() < 1e-9 * (high - low);
        let map = if map == ColourMap::Auto && around_zero { ColourMap::Diverging } else { map };
        Self { low, high, table: table(|share| map.colour(share)) }
    }

    /// Colours of categories 0, 1, ...: each has a flat band from half a step below it to half a step above; `high` is the end of the
    /// last band, after all categories if none is given. Of themselves few categories have colours without an order.
    pub(super) fn categories(map: ColourMap, count: usize, high: Option<f64>) -> Self {
        let bands = count.max(1);
        let flat = |share: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to the number of bands"
            )]
            let band = ((share * real(bands)) as usize).min(bands - 1);
            match map {
                ColourMap::Auto if bands <= colour::CATEGORIES.len() => colour::CATEGORIES[band],
                _ => map.colour((real(band) + 0.5) / real(bands)),
            }
        };
        let table = if high.is_some() { table(|share| map.colour(share)) } else { table(flat) };
        Self { low: -0.5, high: high.unwrap_or(real(bands) - 0.5), table }
    }

    /// How far a value lies from the first colour to the last; less than 0 or more than 1 outside the limits.
    pub(super) fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The colour of a value.
    pub(super) fn colour(&self, value: f64) -> Colour {
        self.of_share(self.share(value))
    }

    /// The colour of a share.
    pub(super) fn of_share(&self, share: f64) -> Colour {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a negative number is 0")]
        let step = (share * real(STEPS)) as usize;
        self.table[step.min(STEPS - 1)]
    }

    /// How many values lie below the first colour and above the last.
    pub(super) fn outside(&self, values: impl IntoIterator<Item = f64>) -> (usize, usize) {
        values.into_iter().fold((0, 0), |(below, above), value| {
            (below + usize::from(value < self.low), above + usize::from(value > self.high))
        })
    }
}

fn table(colour: impl Fn(f64) -> Colour) -> Vec<Colour> {
    (0..STEPS).map(|step| colour((real(step) + 0.5) / real(STEPS))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_the_ends_of_the_map_and_what_lies_outside_is_counted() {
        let scale = ColourScale::numbers(ColourMap::Blues, (0.0, 0.4));
        assert_eq!(scale.colour(-7.0), scale.colour(0.0));
        assert_eq!(scale.colour(0.4), scale.colour(9.0));
        let near = scale.colour(0.0);
        assert!(near.red.abs_diff(247) <= 1 && near.green.abs_diff(251) <= 1 && near.blue == 255, "{near:?}");
        assert_eq!(scale.outside([-0.1, 0.0, 0.4, 0.41, 5.0, f64::NAN]), (1, 2));
    }

    #[test]
    fn a_map_of_itself_is_diverging_around_zero_only() {
        let middle = |limits: (f64, f64)| ColourScale::numbers(ColourMap::Auto, limits).of_share(0.5);
        assert_eq!(middle((-1.0, 1.0)), ColourScale::numbers(ColourMap::Diverging, (-1.0, 1.0)).of_share(0.5));
        assert_eq!(middle((0.0, 1.0)), ColourScale::numbers(ColourMap::Sequential, (0.0, 1.0)).of_share(0.5));
    }

    #[test]
    fn categories_are_flat_bands_around_whole_numbers() {
        let scale = ColourScale::categories(ColourMap::Auto, 3, None);
        assert_eq!([0.0, 1.0, 2.0].map(|value| scale.colour(value)), [0, 1, 2].map(|at| colour::CATEGORIES[at]));
        assert_eq!(scale.colour(0.4), scale.colour(-0.4));
        // The published look: five bands of BPROG from -0.5 to 4.5, whatever the number of categories.
        let lab = ColourScale::categories(ColourMap::Bprog, 3, Some(4.5));
        assert_eq!(lab.colour(2.0), Colour::rgb(255, 23, 36));
        let seven: Vec<Colour> =
            (0..7).map(|at| ColourScale::categories(ColourMap::Auto, 7, None).colour(f64::from(at))).collect();
        assert!((1..7).all(|at| seven[at] != seven[at - 1]), "{seven:?}");
    }
}
