//! Counts as real numbers, for lengths and shares, and as words of a sentence.

/// A count of things that are held in memory.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn real(count: usize) -> f64 {
    count as f64
}

/// `1 subject`, `8 subjects`.
pub fn subjects(count: usize) -> String {
    match count {
        1 => "1 subject".to_owned(),
        _ => format!("{count} subjects"),
    }
}
