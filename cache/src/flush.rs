//! Flushes what was stored to disk in groups: a thread flushes whatever was stored since its last round, at most a second
//! later. A flush of a file system that holds a thousand new files takes little longer than one of a single file.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};

/// What was stored in one round is flushed together.
const ROUND: Duration = Duration::from_millis(1000);

/// Flushes in rounds on a thread of its own.
pub(crate) struct Flusher {
    shared: Arc<Flushing>,
    thread: Option<JoinHandle<()>>,
}

struct Flushing {
    root: File,
    state: Mutex<FlushState>,
    changed: Condvar,
}

#[derive(Default)]
struct FlushState {
    dirty: bool,
    /// A flush is going on.
    busy: bool,
    ending: bool,
}

impl Flusher {
    /// For the file system of this folder.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        let root_file = File::open(root).map_err(Error::io("open", root))?;
        let shared = Arc::new(Flushing { root: root_file, state: Mutex::default(), changed: Condvar::new() });
        Ok(Self { shared, thread: None }.started())
    }

    fn started(mut self) -> Self {
        let shared = Arc::clone(&self.shared);
        self.thread = std::thread::Builder::new().name("flush".into()).spawn(move || shared.rounds()).ok();
        self
    }

    /// Something became visible that is to be flushed.
    pub(crate) fn note(&self) {
        let mut state = self.shared.lock();
        if !state.dirty {
            state.dirty = true;
            self.shared.changed.notify_all();
        }
    }

    /// Waits until all that was noted is on disk.
    pub(crate) fn flush(&self) -> rustix::io::Result<()> {
        self.shared.flush()
    }
}

impl Flushing {
    fn lock(&self) -> std::sync::MutexGuard<'_, FlushState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was stored, lets more come for a while, flushes.
    fn rounds(&self) {
        let mut state = self.lock();
        while !state.ending {
            if !state.dirty {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.changed.wait_timeout_while(state, ROUND, |state| !state.ending);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if let Err(error) = self.flush() {
                tracing::warn!(%error, "flushing the cache failed; it is tried again");
            }
            state = self.lock();
        }
    }

    /// Flushes what was stored so far; waits for a flush that is going on, and does it again if that one failed.
    fn flush(&self) -> rustix::io::Result<()> {
        let idle = self.changed.wait_while(self.lock(), |state| state.busy);
        let mut state = idle.unwrap_or_else(PoisonError::into_inner);
        if !std::mem::take(&mut state.dirty) {
            return Ok(());
        }
        state.busy = true;
        drop(state);
        let flushed = rustix::fs::syncfs(&self.root);
        let mut state = self.lock();
        state.busy = false;
        state.dirty |= flushed.is_err();
        self.changed.notify_all();
        flushed
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
