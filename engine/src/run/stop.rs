//! The wish that a run ends early, told from another thread (a signal's).

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::exec::Waker;

/// Asks a run to end: once, and running stages get a moment; twice, and it ends at once. Clones are the same flag.
#[derive(Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    asked: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks, or asks more urgently. Not to be called from a signal handler itself (it takes a lock), but from the
    /// thread that waits for signals.
    pub fn ask(&self) {
        let _ = self.shared.asked.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_add(1));
        if let Some(waker) = &*self.shared.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake();
        }
    }

    /// How often it was asked.
    pub fn asked(&self) -> u8 {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// From now on asking also ends a wait of the executor. If somebody asked before, its next wait ends at once.
    pub(crate) fn wakes(&self, waker: Option<Waker>) {
        let mut registered = self.shared.waker.lock().unwrap_or_else(PoisonError::into_inner);
        *registered = waker;
        // Read under the lock: whoever asks after this sees the waker, whoever asked before is seen here.
        if self.asked() > 0
            && let Some(waker) = &*registered
        {
            waker.wake();
        }
    }
}
