//! The request that a run ends early, made from another thread (the one that waits for signals).

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::exec::Waker;

/// Requests that a run ends: after one request running stages get a moment, after two it ends at once. Clones are the
/// same flag.
#[derive(Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl Stop {
    /// Not requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests it, or requests it more urgently. Not to be called from a signal handler itself (it takes a lock), but
    /// from the thread that waits for signals.
    pub fn request(&self) {
        let _ = self.shared.requests.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_add(1));
        if let Some(waker) = &*self.shared.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake();
        }
    }

    /// How often it was requested.
    pub fn requests(&self) -> u8 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// From now on a request also ends a wait of the executor. If there was one before, its next wait ends at once.
    pub(crate) fn set_waker(&self, waker: Option<Waker>) {
        let mut registered = self.shared.waker.lock().unwrap_or_else(PoisonError::into_inner);
        *registered = waker;
        // Read under the lock: a later request sees the waker, an earlier one is seen here.
        if self.requests() > 0
            && let Some(waker) = &*registered
        {
            waker.wake();
        }
    }
}
