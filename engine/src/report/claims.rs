//! Checks claims against table cells.

use serde::Serialize;

/// A claim and what was found.
#[derive(Clone, Debug, Serialize)]
pub struct ClaimReport {
    /// What it says.
    pub text: String,
    /// The value found, or why there is none.
    pub found: Result<f64, String>,
    /// The claimed value.
    pub equals: f64,
    /// The largest accepted distance.
    pub within: f64,
    /// Whether it holds.
    pub holds: bool,
}
