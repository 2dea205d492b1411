//! One part of a score's gain, as `score/partition` computes it and its figure draws it.

/// One row of the result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// The label scored, or `mean`.
    pub label: String,
    /// `base` (score without any source), `unique`, `shared`, or `total` (gain from all sources).
    pub kind: &'static str,
    /// The sources as bits.
    pub set: usize,
    /// The sources by name.
    pub sources: Vec<String>,
    /// How many subjects it is the mean of.
    pub subjects: usize,
    /// How many families they are of, where families were resampled.
    pub families: Option<usize>,
    /// How many restarts of every input it is the mean of.
    pub restarts: usize,
    /// The mean over subjects and restarts.
    pub estimate: f64,
    /// Percentile bounds over resamples of subjects (or families) and restarts.
    pub interval: Option<(f64, f64)>,
    /// Standard deviation between restarts of what one restart of every input gives.
    pub sd_restarts: Option<f64>,
}
