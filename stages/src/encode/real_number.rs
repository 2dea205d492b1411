//! The numbers that models are computed with: floats of 32 or 64 bits.

use crate::formats::npy_file::Float;
use crate::numeric::linear_algebra::Number;

/// A float that is stored in files and that matrices are multiplied in.
pub(super) trait Real: Float + Number {}

impl<T: Float + Number> Real for T {}

/// Rounds numbers to 32 bits.
pub(super) fn narrow<T: Real>(numbers: &mut [T]) {
    numbers.iter_mut().for_each(|number| *number = T::of(f32::of(number.wide()).wide()));
}
