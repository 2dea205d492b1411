//! Waiting for several things at once: descriptors, other threads, and the clock.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Ends a wait in [`super::Executor::next`] from another thread, such as a signal's.
#[derive(Clone)]
pub struct Waker(Arc<Shared>);

struct Shared {
    /// An eventfd: readable from the first wake to the next [`Waker::settle`].
    event: OwnedFd,
    /// [`super::Executor::next`] is to return, not only to read its threads.
    must_return: AtomicBool,
}

impl Waker {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: a plain system call; a descriptor that is returned is new.
        let event = unsafe {
            match libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) {
                descriptor if descriptor < 0 => return Err(io::Error::last_os_error()),
                descriptor => OwnedFd::from_raw_fd(descriptor),
            }
        };
        Ok(Self(Arc::new(Shared { event, must_return: AtomicBool::new(false) })))
    }

    /// Ends the wait that is on now, or the next one.
    pub fn wake(&self) {
        self.0.must_return.store(true, Ordering::SeqCst);
        self.nudge();
    }

    /// Makes the executor read its threads.
    pub(super) fn nudge(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: writes eight bytes, as an eventfd requires; that its counter is full is as good as a wake.
        unsafe { libc::write(self.0.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Clears the wakes so far; true if one of them requested a return.
    pub(super) fn settle(&self) -> bool {
        let mut count = [0_u8; 8];
        // SAFETY: reads eight bytes into eight; the descriptor does not block.
        unsafe { libc::read(self.0.event.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        self.0.must_return.swap(false, Ordering::SeqCst)
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.0.event)
    }
}

/// Waits until one of the descriptors can be read or `until` has come; returns which can be.
pub(super) fn wait(descriptors: &[BorrowedFd<'_>], until: Instant) -> io::Result<Vec<bool>> {
    let entry = |fd: &BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut entries: Vec<libc::pollfd> = descriptors.iter().map(entry).collect();
    // Rounded up, so that what is waited for has come when the wait is over.
    let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
    let milliseconds = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the count is that of the entries, and their descriptors are borrowed for as long.
    let ready = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, milliseconds) };
    if ready < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
        return Err(io::Error::last_os_error());
    }
    Ok(entries.iter().map(|entry| ready > 0 && entry.revents != 0).collect())
}
