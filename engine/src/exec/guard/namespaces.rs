//! Namespaces of stages: a network with nothing but `lo` ([`super::network`]), and file systems of which only the folder of
//! the run's work can be changed ([`super::mounts`]).
//!
//! Making namespaces costs some milliseconds, entering them nothing that can be measured. So they are kept: some for each
//! stage that runs at the same time, given to the next stage when all processes of the last one are gone.
//!
//! Root makes them directly. Any other user needs a user namespace around them, in which this user is itself (and its other
//! groups have no name). What the system forbids is left out and reported; the rest is used.

use std::ffi::{CStr, CString, c_int};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::mounts::make_read_only;
use super::network::switch_on_loopback;

/// Namespaces for one stage at a time.
pub(super) struct Namespaces {
    /// The one that the others belong to, if that is not the guard's own.
    users: Option<OwnedFd>,
    network: Option<OwnedFd>,
    mounts: Option<Mounts>,
    /// The folder that can be changed.
    folder: CString,
}

/// A mount namespace.
struct Mounts {
    namespace: OwnedFd,
    /// The root folder in it: entering the namespace alone would leave a `chroot`.
    root: OwnedFd,
}

impl Namespaces {
    pub fn has_network(&self) -> bool {
        self.network.is_some()
    }

    pub fn has_mounts(&self) -> bool {
        self.mounts.is_some()
    }

    /// The numbers by which a child process enters them.
    pub fn entrance(&self) -> Entrance {
        Entrance {
            users: self.users.as_ref().map(AsRawFd::as_raw_fd),
            network: self.network.as_ref().map(AsRawFd::as_raw_fd),
            mounts: self.mounts.as_ref().map(|mounts| (mounts.namespace.as_raw_fd(), mounts.root.as_raw_fd())),
        }
    }
}

/// The namespaces that no process uses.
#[derive(Default)]
pub(super) struct Pool {
    free: Vec<Namespaces>,
    /// Making these failed: it is not tried for every stage again.
    impossible: Wanted,
}

/// Which namespaces.
#[derive(Clone, Copy, Default)]
struct Wanted {
    network: bool,
    mounts: bool,
}

const NETWORK: u8 = 1;
const MOUNTS: u8 = 2;

impl Pool {
    /// Namespaces that no process uses, with a network of their own if `network`; `None` where the system allows none.
    pub fn take(&mut self, network: bool, folder: &CStr) -> Option<Namespaces> {
        self.free.retain(|free| free.folder.as_c_str() == folder);
        let wanted = Wanted { network: network && !self.impossible.network, mounts: !self.impossible.mounts };
        if let Some(fits) = self.free.iter().position(|free| free.has_network() == wanted.network) {
            return Some(self.free.swap_remove(fits));
        }
        if !wanted.network && !wanted.mounts {
            return None;
        }
        let made = make(wanted, folder).ok().filter(|made| made.has_network() || made.has_mounts());
        self.impossible.network |= wanted.network && !made.as_ref().is_some_and(Namespaces::has_network);
        self.impossible.mounts |= wanted.mounts && !made.as_ref().is_some_and(Namespaces::has_mounts);
        made
    }

    /// Gives some back that no process uses any more.
    pub fn give_back(&mut self, namespaces: Namespaces) {
        self.free.push(namespaces);
    }
}

/// Makes namespaces in a child process that exists only for that.
fn make(wanted: Wanted, folder: &CStr) -> io::Result<Namespaces> {
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
            let made = enter_new(with_users.then_some((user, group)), wanted, folder);
            hold(made, to_parent, from_parent)
        }
        child if child < 0 => Err(io::Error::last_os_error()),
        child => {
            drop((to_parent, from_parent));
            let mut made = [0];
            let ready = from_child.read_exact(&mut made);
            let namespaces = ready.and_then(|()| open_those_of(child, with_users, made[0], folder));
            // The end of this pipe ends the child. Nothing is written: it may have ended, and SIGPIPE is not ignored here.
            drop(to_child);
            wait_for(child);
            namespaces.map(without_what_cannot_be_entered)
        }
    }
}

/// The child: reports what it has made, and keeps it until the parent has opened it.
fn hold(made: io::Result<u8>, mut to_parent: File, mut from_parent: File) -> ! {
    if let Ok(made) = made
        && to_parent.write_all(&[made]).is_ok()
    {
        let _ = from_parent.read(&mut [0]);
    }
    // SAFETY: ends this process without the clean-up of the parent, whose copy it is.
    unsafe { libc::_exit(0) }
}

/// Moves this process into new namespaces. Returns which of those that are wanted there are.
fn enter_new(users: Option<(libc::uid_t, libc::gid_t)>, wanted: Wanted, folder: &CStr) -> io::Result<u8> {
    if let Some((user, group)) = users {
        unshare(libc::CLONE_NEWUSER)?;
        fs_err::write("/proc/self/setgroups", "deny")?;
        fs_err::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs_err::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    let network = || unshare(libc::CLONE_NEWNET).and_then(|()| switch_on_loopback());
    // Writing to devices and shared memory stays allowed, as the rules have it.
    let mounts = || unshare(libc::CLONE_NEWNS).and_then(|()| make_read_only(&[folder, c"/dev"]));
    let mut made = 0;
    if wanted.network && network().is_ok() {
        made |= NETWORK;
    }
    if wanted.mounts && mounts().is_ok() {
        made |= MOUNTS;
    }
    Ok(made)
}

fn unshare(flags: c_int) -> io::Result<()> {
    // SAFETY: a plain system call on numbers.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

/// Opens the namespaces of a process that has `made` them.
fn open_those_of(process: libc::pid_t, with_users: bool, made: u8, folder: &CStr) -> io::Result<Namespaces> {
    let place = |name: &str| format!("/proc/{process}/{name}");
    let open = |name: &str| fs_err::File::open(place(name)).map(|file| OwnedFd::from(file.into_file()));
    let mounts = || Ok::<_, io::Error>(Mounts { namespace: open("ns/mnt")?, root: open("root")? });
    let when = |holds: bool, name: &str| if holds { open(name).map(Some) } else { Ok(None) };
    Ok(Namespaces {
        users: when(with_users, "ns/user")?,
        network: when(made & NETWORK != 0, "ns/net")?,
        mounts: if made & MOUNTS != 0 { Some(mounts()?) } else { None },
        folder: folder.to_owned(),
    })
}

/// Leaves out mounts that can be made and not entered: that needs other rights. Tried once, in a process of its own.
fn without_what_cannot_be_entered(mut namespaces: Namespaces) -> Namespaces {
    if namespaces.has_mounts() {
        let entrance = namespaces.entrance();
        // SAFETY: as in [`make`]; the child makes system calls only.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: the descriptors are open in this copy of the process, which then ends.
            unsafe { libc::_exit(c_int::from(enter(&entrance) < 0)) }
        }
        if child < 0 || wait_for(child) != 0 {
            namespaces.mounts = None;
        }
    }
    namespaces
}

/// Waits for the end of a child of this process; 0 if it ended well.
fn wait_for(child: libc::pid_t) -> c_int {
    let mut status = 0;
    // SAFETY: `status` is a place for a number; the child is ours and about to end.
    unsafe { libc::waitpid(child, &mut status, 0) };
    status
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

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Descriptors of open namespaces, and of the root folder of the mounts.
#[derive(Clone, Copy)]
pub(super) struct Entrance {
    users: Option<c_int>,
    network: Option<c_int>,
    mounts: Option<(c_int, c_int)>,
}

/// Moves this process into namespaces. Negative on failure.
///
/// # Safety
/// Makes system calls only, so it may run between `vfork` and `execve`; the descriptors are open.
pub(super) unsafe fn enter(entrance: &Entrance) -> c_int {
    // SAFETY: plain system calls on numbers and on a constant text.
    unsafe {
        if entrance.users.is_some_and(|users| libc::setns(users, libc::CLONE_NEWUSER) < 0)
            || entrance.network.is_some_and(|network| libc::setns(network, libc::CLONE_NEWNET) < 0)
        {
            return -1;
        }
        match entrance.mounts {
            None => 0,
            Some((namespace, root)) => {
                if libc::setns(namespace, libc::CLONE_NEWNS) < 0 || libc::fchdir(root) < 0 {
                    return -1;
                }
                libc::chroot(c".".as_ptr())
            }
        }
    }
}
