//! Networks of stages that may not use the machine's: a network namespace with nothing but `lo`.
//!
//! Making a namespace costs some milliseconds, entering one nothing that can be measured. So they are kept: one for each
//! stage that runs at the same time, given to the next stage when all processes of the last one are gone.
//!
//! Root makes one directly. Any other user needs a user namespace around it, in which this user is itself (and its other
//! groups have no name). Where the system forbids user namespaces there is no network of one's own; that is reported.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A network namespace, and the user namespace it belongs to if that is not the guard's own.
pub(super) struct OwnNetwork {
    pub users: Option<OwnedFd>,
    pub network: OwnedFd,
}

/// The networks that no process uses.
#[derive(Default)]
pub(super) struct OwnNetworks {
    free: Vec<OwnNetwork>,
    /// Making one failed: it is not tried for every stage again.
    impossible: bool,
}

impl OwnNetworks {
    /// One that no process uses; `None` where the system does not allow it.
    pub fn take(&mut self) -> Option<OwnNetwork> {
        if self.impossible {
            return None;
        }
        let network = self.free.pop().or_else(|| make().ok());
        self.impossible = network.is_none();
        network
    }

    /// Gives one back that no process uses any more.
    pub fn give_back(&mut self, network: OwnNetwork) {
        self.free.push(network);
    }
}

/// Makes a network in a child process that lives only for that.
fn make() -> io::Result<OwnNetwork> {
    // SAFETY: plain system calls on numbers.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let with_users = user != 0;
    let (mut from_child, to_parent) = channel()?;
    let (from_parent, to_child) = channel()?;
    // SAFETY: the guard has one thread, so the child may do whatever this process may; it ends with `_exit`.
    let child = unsafe { libc::fork() };
    match child {
        0 => {
            drop((from_child, to_child));
            let made = enter_new(with_users.then_some((user, group)));
            hold(made, to_parent, from_parent)
        }
        child if child < 0 => Err(io::Error::last_os_error()),
        child => {
            drop((to_parent, from_parent));
            let mut answer = [0];
            let ready = from_child.read_exact(&mut answer);
            let open =
                |name: &str| fs_err::File::open(format!("/proc/{child}/ns/{name}")).map(|file| file.into_file().into());
            let network = ready.and_then(|()| {
                let users = if with_users { Some(open("user")?) } else { None };
                Ok(OwnNetwork { users, network: open("net")? })
            });
            // The end of this pipe ends the child. Nothing is written: it may have ended, and SIGPIPE is not ignored here.
            drop(to_child);
            let mut status = 0;
            // SAFETY: `status` is a place for a number; the child is ours and about to end.
            unsafe { libc::waitpid(child, &mut status, 0) };
            network
        }
    }
}

/// The child: reports that the namespaces exist, and keeps them until the parent has opened them.
fn hold(made: io::Result<()>, mut to_parent: File, mut from_parent: File) -> ! {
    if made.is_ok() && to_parent.write_all(&[1]).is_ok() {
        let _ = from_parent.read(&mut [0]);
    }
    // SAFETY: ends this process without the clean-up of the parent, whose copy it is.
    unsafe { libc::_exit(0) }
}

/// Moves this process into new namespaces, and switches `lo` on.
fn enter_new(users: Option<(libc::uid_t, libc::gid_t)>) -> io::Result<()> {
    let flags = libc::CLONE_NEWNET | if users.is_some() { libc::CLONE_NEWUSER } else { 0 };
    // SAFETY: a plain system call on numbers.
    check(unsafe { libc::unshare(flags) })?;
    if let Some((user, group)) = users {
        fs_err::write("/proc/self/setgroups", "deny")?;
        fs_err::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs_err::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    switch_on_loopback()
}

fn switch_on_loopback() -> io::Result<()> {
    // SAFETY: a new descriptor, and a request of the size the kernel expects, zeroed except for what is set.
    unsafe {
        let socket =
            OwnedFd::from_raw_fd(check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
            *place = *byte as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)).map(drop)
    }
}

/// A pipe: its reading end and its writing end.
fn channel() -> io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: the call writes two new descriptors into `ends`.
    unsafe {
        check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        Ok((File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])))
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Moves this process into a network. Negative on failure.
///
/// # Safety
/// Makes system calls only, so it may run between `vfork` and `execve`; the descriptors are open namespaces.
pub(super) unsafe fn enter(users: Option<libc::c_int>, network: libc::c_int) -> libc::c_int {
    // SAFETY: plain system calls on numbers.
    unsafe {
        if users.is_some_and(|users| libc::setns(users, libc::CLONE_NEWUSER) < 0) {
            return -1;
        }
        libc::setns(network, libc::CLONE_NEWNET)
    }
}
