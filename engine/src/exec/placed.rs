//! The inputs of a command: under which name each appears, and where its content is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pipe_contract::{Coordinates, Presence};

use crate::ids::InstanceId;
use crate::plan::{GatheredCell, InputName, Link, Plan, Source};

/// Where an input appears to a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Placed {
    /// One artifact.
    One {
        /// Path relative to the working folder.
        name: PathBuf,
        /// Where its content is, absolute.
        content: PathBuf,
    },
    /// A gather: a folder with an entry for each present cell.
    Many {
        /// The folder's path relative to the working folder.
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
    /// Where its content is (absolute), or why there is none.
    pub artifact: Presence,
}

/// Where the inputs of a `run:` instance are, under their names; `find` gives the content of a link. A single input that
/// is absent is left out.
pub fn layout_inputs(plan: &Plan, id: InstanceId, mut find: impl FnMut(&Link) -> Presence) -> BTreeMap<String, Placed> {
    let mut placed = BTreeMap::new();
    for (port, source) in &plan.instance(id).inputs {
        let input = match (plan.input_name(port, source), source) {
            (InputName::One(name), Source::One(link)) => match find(link) {
                Presence::Present(content) => Placed::One { name, content },
                Presence::Absent(_) => continue,
            },
            (InputName::Many { folder, entries }, Source::Many(gather)) => {
                let cell = |(name, (at, link)): (String, &GatheredCell)| PlacedCell {
                    at: at.clone(),
                    name,
                    artifact: find(link),
                };
                Placed::Many { name: folder, cells: entries.into_iter().zip(plan.gather(*gather)).map(cell).collect() }
            }
            (InputName::One(_), Source::Many(_)) | (InputName::Many { .. }, Source::One(_)) => continue,
        };
        placed.insert(port.clone(), input);
    }
    placed
}
