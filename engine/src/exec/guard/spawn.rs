//! Starts one process: `clone` with the semantics of `vfork`, which is how `posix_spawn` works inside the C library,
//! written out because `posix_spawn` cannot set the parent-death signal or a Landlock rule.
//!
//! Between `clone` and `execve` the child shares this process's memory and runs on a stack of its own, while the guard
//! is suspended. So [`child`] makes system calls and nothing else: no allocation, no lock, no panic.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::rc::Rc;

use super::frames::{CHANNEL_NUMBER, Confined, Reader};
use super::namespaces::{self, Entrance, Namespaces, Pool};
use crate::exec::landlock::{self, Confinement};

/// A process that runs.
pub(super) struct Started {
    pub pid: libc::pid_t,
    pub pidfd: OwnedFd,
    pub confined: Confined,
    /// Those that it is in.
    pub namespaces: Option<Namespaces>,
}

/// The step that failed, in words, and how.
type NotStarted = (&'static str, io::Error);

/// Starts processes, one at a time.
pub(super) struct Spawner {
    stack: Vec<u128>,
    /// This process, the parent of all.
    parent: libc::pid_t,
    confinement: Option<Confinement>,
    pub namespaces: Pool,
}

/// What the child needs, laid out before it exists, and where it writes what went wrong.
struct ChildSetup {
    program: *const c_char,
    folder: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    output: c_int,
    channel: Option<c_int>,
    rules: Option<c_int>,
    entrance: Option<Entrance>,
    parent: libc::pid_t,
    failed: Option<&'static str>,
    error: c_int,
}

const STACK_BYTES: usize = 64 * 1024;

impl Spawner {
    pub fn new() -> io::Result<Self> {
        // The ABI requires a stack to be aligned to 16 bytes, hence the element type.
        let stack = vec![0; STACK_BYTES / size_of::<u128>()];
        let parent = std::process::id() as libc::pid_t;
        Ok(Self { stack, parent, confinement: Confinement::new()?, namespaces: Pool::default() })
    }

    /// Starts what the rest of a request names; the first descriptor is its output, the second its channel.
    pub fn spawn(&mut self, request: &mut Reader<'_>, descriptors: &[OwnedFd]) -> Result<Started, NotStarted> {
        let fault = || ("read the request for", io::Error::from(io::ErrorKind::InvalidData));
        let program = request.text().ok_or_else(fault)?;
        let folder = request.text().ok_or_else(fault)?;
        let arguments = request.texts().ok_or_else(fault)?;
        let environment = request.texts().ok_or_else(fault)?;
        let output = descriptors.first().ok_or_else(fault)?;
        let limited = request.byte().ok_or_else(fault)? == 1;
        let (rules, namespaces) = if limited { self.limits(request, output)? } else { (None, None) };
        let mut setup = ChildSetup {
            program: program.as_ptr(),
            folder: folder.as_ptr(),
            arguments: ptr::null(),
            environment: ptr::null(),
            output: output.as_raw_fd(),
            channel: descriptors.get(1).map(AsRawFd::as_raw_fd),
            rules: rules.as_ref().map(|rules| rules.as_raw_fd()),
            entrance: namespaces.as_ref().map(Namespaces::entrance),
            parent: self.parent,
            failed: None,
            error: 0,
        };
        let (arguments, environment) = (pointers(&arguments), pointers(&environment));
        setup.arguments = arguments.as_ptr();
        setup.environment = environment.as_ptr();
        match self.clone(&mut setup) {
            Ok((pid, pidfd)) => {
                let complete = self.confinement.as_ref().is_some_and(Confinement::is_complete);
                let holds = |which: fn(&Namespaces) -> bool| namespaces.as_ref().is_some_and(which);
                let confined = Confined {
                    files: rules.is_some() && complete,
                    network: holds(Namespaces::has_network),
                    read_only: holds(Namespaces::has_mounts),
                };
                Ok(Started { pid, pidfd, confined, namespaces })
            }
            Err(failed) => {
                namespaces.into_iter().for_each(|namespaces| self.namespaces.give_back(namespaces));
                Err(failed)
            }
        }
    }

    /// The rule set and the namespaces for the limits that a request goes on with, as far as this kernel has them.
    fn limits(
        &mut self,
        request: &mut Reader<'_>,
        output: &OwnedFd,
    ) -> Result<(Option<Rc<OwnedFd>>, Option<Namespaces>), NotStarted> {
        let fault = || ("read the limits for", io::Error::from(io::ErrorKind::InvalidData));
        let writable = request.texts().ok_or_else(fault)?;
        let readable = request.texts().ok_or_else(fault)?;
        let common = request.texts().ok_or_else(fault)?;
        let changeable = request.text().ok_or_else(fault)?;
        let may_use_network = request.byte().ok_or_else(fault)? == 1;
        let rules = match &mut self.confinement {
            Some(confinement) => Some(
                confinement
                    .rules(&writable, &readable, &common, output)
                    .map_err(|error| ("make the rules for reading and writing for", error))?,
            ),
            None => None,
        };
        Ok((rules, self.namespaces.take(!may_use_network, changeable)))
    }

    fn clone(&mut self, setup: &mut ChildSetup) -> Result<(libc::pid_t, OwnedFd), NotStarted> {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        let mut pidfd: c_int = -1;
        // SAFETY: the stack is ours, aligned, and grows down from its end; `CLONE_VFORK` suspends this process until
        // the child has left it, so `setup` and what it points to exist long enough and nothing else uses them.
        let pid = unsafe {
            let top = self.stack.as_mut_ptr().add(self.stack.len());
            libc::clone(child, top.cast(), flags, ptr::from_mut(setup).cast(), &mut pidfd as *mut c_int)
        };
        if pid < 0 {
            return Err(("make a process for", io::Error::last_os_error()));
        }
        // SAFETY: the call succeeded, so the descriptor is open and ours.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        match setup.failed {
            None => Ok((pid, pidfd)),
            Some(step) => {
                let mut status = 0;
                // SAFETY: reaps the child, which has ended or is about to.
                unsafe { libc::waitpid(pid, &mut status, 0) };
                Err((step, io::Error::from_raw_os_error(setup.error)))
            }
        }
    }
}

/// The list for `execve`; valid as long as the texts.
fn pointers(texts: &[&CStr]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// The child, from its first instruction to its program.
extern "C" fn child(setup: *mut c_void) -> c_int {
    // SAFETY: `clone` passes what it was given, and the parent is suspended. Only system calls follow.
    unsafe {
        let setup = &mut *setup.cast::<ChildSetup>();
        let failed = become_program(setup);
        setup.error = *libc::__errno_location();
        setup.failed = Some(failed);
        libc::_exit(127)
    }
}

/// Returns the step that failed; on success there is nothing to return to.
///
/// # Safety
/// Runs in the child of [`Spawner::clone`] only.
unsafe fn become_program(setup: &ChildSetup) -> &'static str {
    // SAFETY: system calls on numbers and on texts that outlive this child's stay in the parent's memory.
    unsafe {
        // First, because another user namespace is another set of credentials.
        if setup.entrance.is_some_and(|entrance| namespaces::enter(&entrance) < 0) {
            return "enter the namespaces of";
        }
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 || libc::getppid() != setup.parent {
            return "tie to its guard";
        }
        if libc::setpgid(0, 0) < 0 {
            return "make a process group for";
        }
        if libc::dup2(setup.output, 1) < 0 || libc::dup2(setup.output, 2) < 0 {
            return "give its log to";
        }
        if setup.channel.is_some_and(|channel| hand_over(channel, CHANNEL_NUMBER) < 0) {
            return "give its channel to";
        }
        if libc::chdir(setup.folder) < 0 {
            return "enter the working folder of";
        }
        if setup.rules.is_some_and(|rules| landlock::restrict_self(rules) < 0) {
            return "apply the rules for reading and writing to";
        }
        libc::execve(setup.program, setup.arguments, setup.environment);
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
