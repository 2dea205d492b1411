//! Counts as real numbers, for lengths and shares.

/// A count of things that are held in memory.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn real(count: usize) -> f64 {
    count as f64
}
