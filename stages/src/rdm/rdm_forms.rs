//! The forms in which an array of numbers can hold RDMs: squares, stacks of them, and upper triangles by rows.
//!
//! Decides what an array of which shape is, that the two halves of a square must agree to [`SAME`], and that one NaN makes a
//! pair undefined. Independent of files.

use pipe_contract::{Failure, choice};

use crate::numeric::dissimilarity::pair_count;

choice! {
    /// What rows of numbers are.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum RdmForm {
        /// Squares where as many rows as columns, else triangles.
        Auto = "auto",
        /// Both triangles and the diagonal, on the last two axes.
        Squares = "squares",
        /// Upper triangles by rows, on the last axis.
        Triangles = "triangles",
    }
}

/// Numbers on axes, the last one fastest.
pub(super) struct NumberArray {
    /// The lengths of the axes.
    pub shape: Vec<usize>,
    /// As many as the shape has.
    pub values: Vec<f64>,
}

/// An RDM as it is in a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RawRdm {
    /// How many entries.
    pub size: usize,
    /// The upper triangle by rows.
    pub triangle: Vec<f64>,
    /// The diagonal; 0 where the file has none.
    pub diagonal: Vec<f64>,
}

/// The halves of a square may differ by this share of its largest number.
const SAME: f64 = 1e-6;

impl NumberArray {
    /// The RDMs of an array, in order.
    ///
    /// # Errors
    /// Input: another number of axes, a square that is not symmetric, a triangle whose length no number of entries has, or no entry.
    pub fn rdms(&self, form: RdmForm) -> Result<Vec<RawRdm>, Failure> {
        let squares = |size: usize| -> Result<Vec<RawRdm>, Failure> {
            self.values.chunks_exact((size * size).max(1)).map(|values| of_square(values, size)).collect()
        };
        let triangles = |pairs: usize| -> Result<Vec<RawRdm>, Failure> {
            let size = entries_of(pairs)?;
            let rdm = |values: &[f64]| RawRdm { size, triangle: values.to_vec(), diagonal: vec![0.0; size] };
            Ok(self.values.chunks_exact(pairs).map(rdm).collect())
        };
        match (self.shape.as_slice(), form) {
            (shape, _) if shape.contains(&0) => Err(self.refused("at least one number")),
            ([.., rows, columns], RdmForm::Squares) if rows != columns => Err(self.refused("as many rows as columns")),
            ([rows, _] | [_, rows, _], RdmForm::Squares) => squares(*rows),
            ([rows, columns], RdmForm::Auto) if rows == columns => squares(*rows),
            ([_, rows, columns], RdmForm::Auto) if rows == columns => squares(*rows),
            ([pairs] | [pairs, 1], RdmForm::Auto | RdmForm::Triangles) => triangles(*pairs),
            ([_, pairs], RdmForm::Auto | RdmForm::Triangles) => triangles(*pairs),
            _ => Err(self.refused("squares (`[n, n]`, `[k, n, n]`) or triangles (`[k, n (n - 1) / 2]`)")),
        }
    }

    fn refused(&self, expected: &str) -> Failure {
        Failure::input(format!("an array has the shape {:?}, expected {expected}", self.shape))
            .hint("`form` says whether the numbers are squares or triangles; the axis of RDMs is the first (in MATLAB the last)")
    }
}

/// How many entries an upper triangle of so many pairs has.
fn entries_of(pairs: usize) -> Result<usize, Failure> {
    let size = pairs.saturating_mul(8).saturating_add(1).isqrt().div_ceil(2);
    if pairs > 0 && pair_count(size) == pairs {
        return Ok(size);
    }
    Err(Failure::input(format!(
        "a triangle has {pairs} numbers, expected n (n - 1) / 2 of n entries: 1, 3, 6, 10, ..."
    )))
}

fn of_square(values: &[f64], size: usize) -> Result<RawRdm, Failure> {
    let largest = values.iter().filter(|value| value.is_finite()).fold(0.0, |most: f64, value| most.max(value.abs()));
    let mut triangle = Vec::with_capacity(pair_count(size));
    for row in 0..size {
        for column in row + 1..size {
            let (above, below) = (values[row * size + column], values[column * size + row]);
            if (above - below).abs() > SAME * largest {
                return Err(Failure::input(format!(
                    "the RDM is not symmetric: {above} in row {} and column {}, {below} in row {} and column {}",
                    row + 1,
                    column + 1,
                    column + 1,
                    row + 1
                )));
            }
            triangle.push(if below.is_nan() { below } else { above });
        }
    }
    let diagonal = (0..size).map(|at| values[at * size + at]).collect();
    Ok(RawRdm { size, triangle, diagonal })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], values: &[f64]) -> NumberArray {
        NumberArray { shape: shape.to_vec(), values: values.to_vec() }
    }

    const SQUARE: [f64; 9] = [0.0, 1.0, 2.0, 1.0, 0.5, 3.0, 2.0, 3.0, 0.0];

    #[test]
    fn all_forms_hold_the_same_rdm() {
        let expected = RawRdm { size: 3, triangle: vec![1.0, 2.0, 3.0], diagonal: vec![0.0, 0.5, 0.0] };
        for shape in [&[3, 3][..], &[1, 3, 3]] {
            for form in [RdmForm::Auto, RdmForm::Squares] {
                assert_eq!(array(shape, &SQUARE).rdms(form).unwrap(), std::slice::from_ref(&expected));
            }
        }
        let flat = RawRdm { diagonal: vec![0.0; 3], ..expected };
        for shape in [&[3][..], &[1, 3], &[3, 1]] {
            assert_eq!(array(shape, &[1.0, 2.0, 3.0]).rdms(RdmForm::Auto).unwrap(), std::slice::from_ref(&flat));
        }
        let three = array(&[3, 3], &SQUARE).rdms(RdmForm::Triangles).unwrap();
        assert_eq!((three.len(), three[1].triangle.as_slice()), (3, [1.0, 0.5, 3.0].as_slice()));
        let two = array(&[2, 2, 2], &[0.0, 1.0, 1.0, 0.0, 0.0, 2.0, 2.0, 0.0]).rdms(RdmForm::Auto).unwrap();
        assert_eq!(two.iter().map(|rdm| rdm.triangle[0]).collect::<Vec<_>>(), [1.0, 2.0]);
    }

    #[test]
    fn a_half_that_is_missing_makes_the_pair_undefined() {
        let mut square = SQUARE;
        square[3] = f64::NAN;
        let rdm = array(&[3, 3], &square).rdms(RdmForm::Auto).unwrap().remove(0);
        assert!(rdm.triangle[0].is_nan() && rdm.triangle[1] == 2.0);
    }

    #[test]
    fn what_is_not_an_rdm_is_refused() {
        let message = |shape: &[usize], values: &[f64], form| array(shape, values).rdms(form).unwrap_err().message;
        let mut square = SQUARE;
        square[1] = 1.1;
        assert_eq!(
            message(&[3, 3], &square, RdmForm::Auto),
            "the RDM is not symmetric: 1.1 in row 1 and column 2, 1 in row 2 and column 1"
        );
        assert!(message(&[1, 4], &[0.0; 4], RdmForm::Auto).starts_with("a triangle has 4 numbers"));
        assert!(message(&[2, 3], &[0.0; 6], RdmForm::Squares).contains("as many rows as columns"));
        assert!(message(&[2, 3, 4], &[0.0; 24], RdmForm::Auto).contains("[2, 3, 4], expected squares"));
        assert!(message(&[0, 3, 3], &[], RdmForm::Auto).contains("at least one number"));
        assert!(message(&[], &[1.0], RdmForm::Auto).contains("[], expected squares"));
    }
}
