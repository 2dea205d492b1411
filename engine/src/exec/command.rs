//! `run:` stages.
use super::*;
use std::path::Path;

/// Where an input appears in the working folder of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Placed {
    /// One artifact.
    One {
        /// Path below the working folder.
        name: PathBuf,
        /// Where its content is.
        content: PathBuf,
    },
    /// A gather: a folder with an entry for each present cell.
    Many {
        /// The folder's path below the working folder.
        name: PathBuf,
        /// The cells, sorted by coordinates.
        cells: Vec<PlacedCell>,
    },
}

/// One cell of a gather of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedCell {
    /// Coordinates that were gathered or picked.
    pub at: Coordinates,
    /// The entry's name in the gather's folder.
    pub name: String,
    /// Where its content is, or why there is none.
    pub artifact: Presence,
}

/// Names the inputs of a `run:` instance; `find` gives the content of a link. A single input that is absent is left out.
pub fn layout_inputs(plan: &Plan, id: InstanceId, find: impl FnMut(&Link) -> Presence) -> BTreeMap<String, Placed> {
    unimplemented!()
}

/// Where a command writes an output declared as `declared` (`out:`), given its [`CommandTask::work`].
pub fn output_path(work: &Path, declared: &str) -> PathBuf {
    unimplemented!()
}
