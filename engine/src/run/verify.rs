//! Reproduction from nothing, compared with the lockfile.

use super::Summary;

/// What came of a verification.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The run in the scratch cache.
    pub run: Summary,
    /// One comparison for every result of the lockfile or the plan, by path.
    pub comparisons: Vec<Comparison>,
}

/// One result against the lockfile.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Its path below the results folder.
    pub path: String,
    /// How it compares.
    pub verdict: Verdict,
}

/// How a result compares with the lockfile.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The same bytes.
    Same,
    /// Other bytes, but numbers agree within the tolerance of the kinds behind it.
    Within {
        /// The largest relative difference found.
        largest: f64,
        /// The tolerance.
        tolerance: f64,
    },
    /// Different, and why that is wrong.
    Different(String),
    /// In the lockfile, but not made now.
    Missing,
    /// Made now, but not in the lockfile.
    New,
}

impl Verification {
    /// 0 if every result is the same or within tolerance and the run succeeded.
    pub fn exit_code(&self) -> u8 {
        unimplemented!()
    }
}
