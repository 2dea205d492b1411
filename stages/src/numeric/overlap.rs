//! How well two labellings of the same vertices agree. Independent of what labels mean and of which vertices count.

use super::counts::real;

/// The Dice score of a label (section 5 of the analysis): twice the vertices that both labellings give it, over the sum of those that
/// each gives it. Vertices are counted, not their area. Nothing if neither gives it anywhere.
///
/// Both lists have an entry a vertex; what is beyond the shorter one does not count.
pub fn dice(label: i32, first: &[i32], second: &[i32]) -> Option<f64> {
    let (mut both, mut either) = (0, 0);
    for (a, b) in first.iter().zip(second) {
        both += usize::from(*a == label && *b == label);
        either += usize::from(*a == label) + usize::from(*b == label);
    }
    (either > 0).then(|| 2.0 * real(both) / real(either))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_twice_the_overlap_over_both_sizes() {
        let (first, second) = ([1, 1, 1, 2, 0], [1, 1, 2, 2, 0]);
        assert_eq!(dice(1, &first, &second), Some(0.8));
        assert_eq!(dice(2, &first, &second), Some(2.0 / 3.0));
        assert_eq!(dice(3, &first, &second), None);
        assert_eq!(dice(3, &[3, 0], &[0, 0]), Some(0.0));
    }
}
