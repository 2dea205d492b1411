//! The sessions of one run, one in each store that it writes to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use pipe_cache::Session;

use super::state_dirs::{Access, StateDirs};

/// The sessions of a run in the stores it uses, each begun by the first instance that must work there; a run of hits writes
/// nothing to a cache.
#[derive(Default)]
pub(super) struct Sessions {
    begun: BTreeMap<Access, Session>,
}

impl Sessions {
    /// Begins the one in the store of an access, if there is none yet.
    pub fn begin(&mut self, dirs: &StateDirs, access: Access) -> Result<(), pipe_cache::Error> {
        if let Entry::Vacant(free) = self.begun.entry(access) {
            free.insert(Session::begin(&dirs[access].store)?);
        }
        Ok(())
    }

    /// The one in the store of an access.
    pub fn of(&self, access: Access) -> Option<&Session> {
        self.begun.get(&access)
    }

    /// Waits until all that was stored is on disk.
    pub fn flush(&self) -> Result<(), pipe_cache::Error> {
        self.begun.values().try_for_each(Session::flush)
    }
}
