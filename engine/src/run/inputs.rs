//! What a lookup found at the inputs of an instance. It is resolved once and carried to the work and the commit, so that
//! key, task and record are about the same content.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use pipe_cache::{Artifact, Content, Digest, Session, Tree};
use pipe_contract::IMPORTANT;

use super::sessions::Sessions;
use super::state_dirs::{Access, StateDirs};
use crate::ids::InstanceId;
use crate::key::{CellList, CellState, KeyInput};
use crate::plan::{GatheredCell, Link, ProjectFile};

/// An artifact and where it is.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub artifact: Artifact,
    pub home: Home,
}

/// Where an artifact is.
#[derive(Clone, Debug)]
pub(super) enum Home {
    /// A file or folder of the project; the part of a folder that there is for a stage, if that is not all of it.
    Project { file: Arc<ProjectFile>, part: Option<Rc<Tree>> },
    /// An artifact of the store, or one entry of a folder there.
    Store { access: Access, whole: Artifact, entry: Option<Arc<str>> },
}

impl Located {
    /// The artifact of which it is an entry, or it itself.
    pub fn whole(&self) -> Artifact {
        match &self.home {
            Home::Project { .. } => self.artifact,
            Home::Store { whole, .. } => *whole,
        }
    }

    /// A path at which it can be read, never to be written: its place in the project (with all of a folder), its blob in
    /// the store, or a place in a view. A view that does not exist is made in the session of its store, or in one that is begun
    /// for it.
    pub fn path(&self, dirs: &StateDirs, sessions: &Sessions) -> Result<PathBuf, pipe_cache::Error> {
        let (access, whole, entry) = match &self.home {
            Home::Project { file, .. } => return Ok(file.path.clone()),
            Home::Store { access, whole, entry } => (*access, whole, entry),
        };
        let path = match sessions.of(access) {
            Some(session) => session.path(whole),
            None => Session::path_once(&dirs[access].store, whole),
        }?;
        Ok(entry.as_ref().map_or(path.clone(), |entry| path.join(entry.trim_end_matches('/'))))
    }
}

/// What is at the other end of a link.
#[derive(Clone, Debug)]
pub(super) enum LinkedInput {
    Present(Located),
    Absent {
        cause: Rc<str>,
        origin: InstanceId,
    },
    /// This instance is not known.
    Open(InstanceId),
}

/// One artifact of a resolved input: it is there, or it is absent for this cause.
pub(super) type FoundInput = Result<Located, Rc<str>>;

/// The inputs of an instance, by port in ascending order.
#[derive(Debug, Default)]
pub(super) struct Inputs<'a> {
    ports: Vec<(&'a str, InputContent<'a>)>,
}

/// The content at one port.
#[derive(Debug)]
pub(super) enum InputContent<'a> {
    One(&'a Link, FoundInput),
    Many(Rc<Gathered<'a>>),
}

/// A gather, shared by all its readers.
#[derive(Debug)]
pub(super) struct Gathered<'a> {
    cells: &'a [GatheredCell],
    found: Vec<FoundInput>,
    /// Of its [`CellList`].
    digest: Digest<Content>,
    present: usize,
}

impl<'a> Gathered<'a> {
    /// The gather of these cells, each of which was found.
    pub fn new(cells: &'a [GatheredCell], found: Vec<FoundInput>) -> Self {
        let present = found.iter().filter(|found| found.is_ok()).count();
        let digest = cell_list(cells, &found).digest();
        Self { cells, found, digest, present }
    }

    /// How many cells are there, and of how many.
    pub fn coverage(&self) -> (usize, usize) {
        (self.present, self.cells.len())
    }
}

fn cell_list(cells: &[GatheredCell], found: &[FoundInput]) -> CellList {
    let state = |found: &FoundInput| match found {
        Ok(located) => CellState::Present((&located.artifact).into()),
        Err(cause) => CellState::Absent(cause.to_string()),
    };
    let states: Vec<CellState> = found.iter().map(state).collect();
    CellList::encode(cells.iter().map(|(at, _)| at).zip(&states))
}

impl<'a> Inputs<'a> {
    /// Adds the content of the next port.
    pub fn add(&mut self, port: &'a str, content: InputContent<'a>) {
        self.ports.push((port, content));
    }

    /// The gather at a port, if it has one.
    pub fn gather(&self, port: &str) -> Option<&Gathered<'a>> {
        self.gathers().find_map(|(name, gathered)| (name == port).then_some(gathered))
    }

    /// As they enter the key.
    pub fn for_key(&self) -> Vec<(&'a str, KeyInput)> {
        let input = |(port, content): &(&'a str, InputContent<'a>)| match content {
            InputContent::One(_, Ok(located)) => Some((*port, KeyInput::One((&located.artifact).into()))),
            InputContent::One(_, Err(_)) => None,
            InputContent::Many(gathered) => Some((*port, KeyInput::Many(gathered.digest))),
        };
        self.ports.iter().filter_map(input).collect()
    }

    /// The encoded lists of its gathers, to be stored beside the record.
    pub fn cell_lists(&self) -> impl Iterator<Item = CellList> {
        self.gathers().map(|(_, gathered)| cell_list(gathered.cells, &gathered.found))
    }

    /// `n of N` for every gather that has absent cells.
    pub fn coverage_notes(&self) -> impl Iterator<Item = String> {
        self.gathers().filter_map(|(port, gathered)| {
            let (present, cells) = gathered.coverage();
            (present < cells).then(|| format!("{IMPORTANT}`{port}` has {present} of {cells} cells"))
        })
    }

    /// Everything that is there, artifact by artifact.
    pub fn present(&self) -> impl Iterator<Item = &Located> {
        self.links().filter_map(|(_, found)| found.as_ref().ok())
    }

    fn gathers(&self) -> impl Iterator<Item = (&'a str, &Gathered<'a>)> {
        self.ports.iter().filter_map(|(port, content)| match content {
            InputContent::Many(gathered) => Some((*port, &**gathered)),
            InputContent::One(..) => None,
        })
    }

    /// Everything that was found, link by link.
    pub fn links(&self) -> impl Iterator<Item = (&Link, &FoundInput)> {
        self.ports.iter().flat_map(|(_, content)| -> Box<dyn Iterator<Item = (&Link, &FoundInput)>> {
            match content {
                InputContent::One(link, found) => Box::new(std::iter::once((*link, found))),
                InputContent::Many(gathered) => {
                    Box::new(gathered.cells.iter().map(|(_, link)| link).zip(&gathered.found))
                }
            }
        })
    }
}
