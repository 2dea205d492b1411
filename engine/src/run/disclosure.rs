//! How digests of one plan may leave the store: those of restricted data only keyed ([`PublicDigest`]). Sizes of restricted data, which
//! show how many subjects there are, leave it with plain digests only.
//!
//! | digest | keyed |
//! |---|---|
//! | of an output of a restricted instance | unless its release was approved: whether a rule of release holds is only known when it is published, and its files' digests are in the lockfile then |
//! | the key of a restricted instance | always: it is made from digests of restricted inputs |
//! | of a file that a restricted instance reads | always: a restriction is declared on the stage that reads the file |
//! | a list of cells | if one of them would be keyed |

use std::collections::BTreeSet;

use pipe_cache::{Action, Content, Digest, Store};
use pipe_contract::{Coordinates, Failure};

use super::state_dirs::StateDirs;
use crate::ids::{InstanceId, StageId};
use crate::key::{Addressed, CellList, CellState, KeyInput};
use crate::plan::{Link, Plan, Release, ReleaseWhy, Source};
use crate::report::{CellDigest, DigestKey, InputDigest, PublicDigest};

/// Shows digests of one plan.
pub(super) struct Disclosure<'a> {
    pub plan: &'a Plan,
    /// `None` for a plan without restricted data.
    key: Option<DigestKey>,
    released: BTreeSet<(StageId, &'a str)>,
}

impl<'a> Disclosure<'a> {
    /// For a run, which writes digests: makes this machine's secret if the plan has restricted data and there is none yet.
    pub fn for_run(plan: &'a Plan, dirs: &StateDirs) -> Result<Self, Failure> {
        Self::new(plan, || DigestKey::open(dirs.secret()))
    }

    /// For a command that only reads, which makes nothing. Without the secret of this machine there are no keyed digests
    /// to compare with, and one of this process gives others.
    pub fn for_reading(plan: &'a Plan, dirs: &StateDirs) -> Result<Self, Failure> {
        Self::new(plan, || DigestKey::find(dirs.secret())?.map_or_else(DigestKey::of_this_process, Ok))
    }

    fn new(plan: &'a Plan, key: impl FnOnce() -> Result<DigestKey, Failure>) -> Result<Self, Failure> {
        let restricted = plan.instances.iter().any(|instance| !instance.restricted.is_empty());
        let key = restricted.then(key).transpose()?;
        let approved = |release: &&Release| matches!(release.why, ReleaseWhy::Approved { approved: Some(_), .. });
        let ports = plan.releases.iter().filter(approved).flat_map(|release| &release.ports);
        Ok(Self { plan, key, released: ports.map(|(stage, port)| (*stage, port.as_str())).collect() })
    }

    /// Whether the outputs of an instance are restricted.
    pub fn is_restricted(&self, id: InstanceId) -> bool {
        !self.plan.instance(id).restricted.is_empty()
    }

    /// The key of an instance.
    pub fn key(&self, id: InstanceId, key: &Digest<Action>) -> PublicDigest<Action> {
        self.show(self.is_restricted(id), key)
    }

    /// The digest of an output.
    pub fn output(&self, id: InstanceId, port: &str, digest: &Digest<Content>) -> PublicDigest<Content> {
        self.show(self.is_restricted_port(id, port), digest)
    }

    /// The size of an output: it shows how many subjects there are.
    pub fn bytes(&self, id: InstanceId, port: &str, bytes: u64) -> Option<u64> {
        (!self.is_restricted_port(id, port)).then_some(bytes)
    }

    /// The digest of a file of the project, given whether a restricted instance reads it.
    pub fn file(&self, restricted: bool, digest: &Digest<Content>) -> PublicDigest<Content> {
        self.show(restricted, digest)
    }

    /// What is at an input port of an instance; the store has the list of a gather's cells.
    pub fn input(&self, id: InstanceId, port: &str, input: &KeyInput, store: &Store) -> InputDigest {
        let restricted =
            self.plan.instance(id).inputs.get(port).is_none_or(|source| self.is_restricted_source(id, source));
        let port = port.to_owned();
        match input {
            KeyInput::One(Addressed { form, digest }) => {
                InputDigest { port, form: Some(*form), digest: self.show(restricted, digest), cells: None }
            }
            KeyInput::Many(list) => {
                let cells = store.read(list).ok().and_then(|bytes| CellList::decode(&bytes));
                let cell = |(at, state): (Coordinates, CellState)| self.cell(restricted, at, state);
                let cells = cells.map(|cells| cells.into_iter().map(cell).collect());
                InputDigest { port, form: None, digest: self.show(restricted, list), cells }
            }
        }
    }

    /// One cell of a gather.
    fn cell(&self, restricted: bool, Coordinates(at): Coordinates, state: CellState) -> CellDigest {
        match state {
            CellState::Present(Addressed { form, digest }) => {
                CellDigest { at, form: Some(form), digest: Some(self.show(restricted, &digest)), absent: None }
            }
            CellState::Absent(cause) => CellDigest { at, form: None, digest: None, absent: Some(cause) },
        }
    }

    fn is_restricted_port(&self, id: InstanceId, port: &str) -> bool {
        self.is_restricted(id) && !self.released.contains(&(self.plan.instance(id).stage, port))
    }

    fn is_restricted_source(&self, reader: InstanceId, source: &Source) -> bool {
        let is_restricted = |link: &Link| match link {
            Link::Output { instance, port, .. } => self.is_restricted_port(*instance, port),
            Link::File(_) => self.is_restricted(reader),
        };
        self.plan.links(source).any(is_restricted)
    }

    fn show<Of: Copy>(&self, restricted: bool, digest: &Digest<Of>) -> PublicDigest<Of> {
        match self.key.as_ref().filter(|_| restricted) {
            Some(key) => key.keyed(digest),
            None => PublicDigest::Plain(*digest),
        }
    }
}
