//! What work and commit need of the cache, and the one place where its failures are noticed.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use pipe_cache::Session;
use pipe_contract::{Failure, Unwritable};

use super::inputs::Located;
use super::sessions::Sessions;
use super::state_dir::StateDir;
use super::state_dirs::{Access, StateDirs};
use crate::ids::InstanceId;
use crate::report::cache_failure;

/// Whether the cache can still be written.
#[derive(Debug, Default)]
pub(super) struct CacheHealth {
    unwritable: Cell<bool>,
}

impl CacheHealth {
    /// A failure of the cache. If it cannot be written at all, that is noted: whatever is started then would fail too.
    pub fn failure(&self, error: &pipe_cache::Error) -> Failure {
        if error.io_kind().and_then(Unwritable::of).is_some() {
            self.unwritable.set(true);
        }
        cache_failure(error)
    }

    /// A failure was of that sort.
    pub fn is_unwritable(&self) -> bool {
        self.unwritable.get()
    }
}

/// The cache as an attempt at an instance and its commit use it.
#[derive(Clone, Copy)]
pub(super) struct Storage<'s> {
    dirs: &'s StateDirs,
    sessions: &'s Sessions,
    pub state_dir: &'s StateDir,
    pub session: &'s Session,
    health: &'s CacheHealth,
}

impl<'s> Storage<'s> {
    /// That of an instance, whose session was begun.
    pub fn of(
        id: InstanceId,
        dirs: &'s StateDirs,
        sessions: &'s Sessions,
        health: &'s CacheHealth,
    ) -> Result<Self, Failure> {
        let session =
            sessions.of(dirs.access(id)).ok_or_else(|| Failure::internal("no session in the cache was begun"))?;
        Ok(Self { dirs, sessions, state_dir: dirs.of(id), session, health })
    }

    /// The folder in which all stores lie.
    pub fn cache(&self) -> &'s Path {
        self.dirs[Access::OPEN].store.root()
    }

    /// A path at which an input can be read; see [`Located::path`].
    pub fn path(&self, located: &Located) -> Result<PathBuf, pipe_cache::Error> {
        located.path(self.dirs, self.sessions)
    }

    /// Whether there is room for the outputs of one instance while those of another are stored. Without it, what is finished
    /// is stored first, so that it is not lost if the next one fills the disk.
    pub fn has_room(&self) -> bool {
        const ROOM: u64 = 1 << 30;
        let free =
            rustix::fs::statvfs(self.state_dir.store.root()).map(|found| found.f_bavail.saturating_mul(found.f_frsize));
        free.is_ok_and(|free| free >= ROOM)
    }

    /// As [`CacheHealth::failure`].
    pub fn failure(&self, error: &pipe_cache::Error) -> Failure {
        self.health.failure(error)
    }
}
