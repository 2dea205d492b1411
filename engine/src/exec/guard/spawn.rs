//! Starts one process: `clone` with the semantics of `vfork`, which is how `posix_spawn` works inside the C library,
//! written out because `posix_spawn` cannot set the parent-death signal or a Landlock rule.
//!
//! Between `clone` and `execve` the child shares this process's memory and runs on a stack of its own, while the guard
//! stands still. So [`child`] makes system calls and nothing else: no allocation, no lock, no panic.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use super::frames::{CHANNEL_NUMBER, Reader};
use crate::exec::landlock::{self, Confinement};

/// A process that runs.
pub(super) struct Started {
    pub pid: libc::pid_t,
    pub pidfd: OwnedFd,
}

/// The step that failed, in words, and how.
type NotStarted = (&'static str, io::Error);

/// Starts processes, one at a time.
pub(super) struct Spawner {
    stack: Vec<u128>,
    /// This process, the parent of all.
    parent: libc::pid_t,
    confinement: Option<Confinement>,
}

/// What the child needs, laid out before it exists, and where it leaves what went wrong.
struct Orders {
    program: *const c_char,
    folder: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    output: c_int,
    channel: Option<c_int>,
    rules: Option<c_int>,
    parent: libc::pid_t,
    failed: Option<&'static str>,
    error: c_int,
}

const STACK_BYTES: usize = 64 * 1024;

impl Spawner {
    pub fn new() -> io::Result<Self> {
        // 16-byte alignment is what the ABI asks of a stack, hence the element type.
        let stack = vec![0; STACK_BYTES / size_of::<u128>()];
        Ok(Self { stack, parent: std::process::id() as libc::pid_t, confinement: Confinement::new()? })
    }

    /// Starts what the rest of a request says; the first descriptor is its output, the second its channel.
    pub fn spawn(&mut self, request: &mut Reader<'_>, descriptors: &[OwnedFd]) -> Result<Started, NotStarted> {
        let fault = || ("read the request for", io::Error::from(io::ErrorKind::InvalidData));
        let program = request.text().ok_or_else(fault)?;
        let folder = request.text().ok_or_else(fault)?;
        let arguments = request.texts().ok_or_else(fault)?;
        let environment = request.texts().ok_or_else(fault)?;
        let writable = request.texts().ok_or_else(fault)?;
        let output = descriptors.first().ok_or_else(fault)?;
        let rules = match &self.confinement {
            Some(confinement) if !writable.is_empty() => Some(
                confinement.only_writable(&writable, output).map_err(|error| ("make the write rules for", error))?,
            ),
            _ => None,
        };
        let mut orders = Orders {
            program: program.as_ptr(),
            folder: folder.as_ptr(),
            arguments: ptr::null(),
            environment: ptr::null(),
            output: output.as_raw_fd(),
            channel: descriptors.get(1).map(AsRawFd::as_raw_fd),
            rules: rules.as_ref().map(AsRawFd::as_raw_fd),
            parent: self.parent,
            failed: None,
            error: 0,
        };
        let (arguments, environment) = (pointers(&arguments), pointers(&environment));
        orders.arguments = arguments.as_ptr();
        orders.environment = environment.as_ptr();
        self.clone(&mut orders)
    }

    fn clone(&mut self, orders: &mut Orders) -> Result<Started, NotStarted> {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        let mut pidfd: c_int = -1;
        // SAFETY: the stack is ours, aligned, and grows down from its end; `CLONE_VFORK` keeps this process still until
        // the child has left it, so `orders` and what it points to live long enough and nobody else touches them.
        let pid = unsafe {
            let top = self.stack.as_mut_ptr().add(self.stack.len());
            libc::clone(child, top.cast(), flags, ptr::from_mut(orders).cast(), &mut pidfd as *mut c_int)
        };
        if pid < 0 {
            return Err(("make a process for", io::Error::last_os_error()));
        }
        // SAFETY: the call succeeded, so the descriptor is open and ours.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        match orders.failed {
            None => Ok(Started { pid, pidfd }),
            Some(step) => {
                let mut status = 0;
                // SAFETY: takes in the child, which has ended or is about to.
                unsafe { libc::waitpid(pid, &mut status, 0) };
                Err((step, io::Error::from_raw_os_error(orders.error)))
            }
        }
    }
}

/// The list `execve` wants; valid as long as the texts.
fn pointers(texts: &[&CStr]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// The child, from its first instruction to its program.
extern "C" fn child(orders: *mut c_void) -> c_int {
    // SAFETY: `clone` passes what it was given, and the parent stands still. Only system calls follow.
    unsafe {
        let orders = &mut *orders.cast::<Orders>();
        let failed = become_program(orders);
        orders.error = *libc::__errno_location();
        orders.failed = Some(failed);
        libc::_exit(127)
    }
}

/// Returns the step that failed; on success there is nothing to return to.
///
/// # Safety
/// Runs in the child of [`Spawner::clone`] only.
unsafe fn become_program(orders: &Orders) -> &'static str {
    // SAFETY: system calls on numbers and on texts that outlive this child's stay in the parent's memory.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 || libc::getppid() != orders.parent {
            return "tie to its guard";
        }
        if libc::setpgid(0, 0) < 0 {
            return "make a process group for";
        }
        if libc::dup2(orders.output, 1) < 0 || libc::dup2(orders.output, 2) < 0 {
            return "give its log to";
        }
        if orders.channel.is_some_and(|channel| hand_over(channel, CHANNEL_NUMBER) < 0) {
            return "give its channel to";
        }
        if libc::chdir(orders.folder) < 0 {
            return "enter the working folder of";
        }
        if orders.rules.is_some_and(|rules| landlock::restrict_self(rules) < 0) {
            return "apply the write rules to";
        }
        libc::execve(orders.program, orders.arguments, orders.environment);
        "execute"
    }
}

/// Makes a descriptor the one of this number, open in the program.
///
/// # Safety
/// Runs in the child only.
unsafe fn hand_over(descriptor: c_int, number: c_int) -> c_int {
    // SAFETY: plain system calls on numbers. `dup2` onto itself would leave close-on-exec set.
    unsafe {
        if descriptor == number { libc::fcntl(descriptor, libc::F_SETFD, 0) } else { libc::dup2(descriptor, number) }
    }
}
