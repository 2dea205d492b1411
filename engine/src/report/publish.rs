//! Copies results to where people look for them.

use std::path::PathBuf;

use pipe_contract::Failure;

/// What was published under `results/`. Paths are relative to [`Results::folder`].
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// `results/<pipeline>/<profile>` of the project, absolute.
    pub folder: PathBuf,
    /// Written or replaced, because they were missing or out of date.
    pub written: Vec<String>,
    /// There already, as they should be.
    pub unchanged: Vec<String>,
    /// Edited by somebody since they were published; left alone.
    pub edited: Vec<String>,
    /// Published earlier, claimed by no result any more; left alone.
    pub stale: Vec<String>,
    /// Not published, and why (`because score(sid=s03) failed`).
    pub missing: Vec<(String, String)>,
    /// The project or its disk was in the way.
    pub failures: Vec<Failure>,
}
