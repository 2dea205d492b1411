//! What can be found out about a task before it runs: whether its source answers, and how much will come.

/// What a kind found at its source without fetching anything ([`crate::StageKind::probe`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// One sentence, without a full stop: where the source is, with which key it was opened, what is there of one task.
    pub found: String,
    /// Bytes that the task would fetch, if the source says so.
    pub bytes: Option<u64>,
    /// The source answered, but what the task needs is not all there.
    pub incomplete: bool,
}
