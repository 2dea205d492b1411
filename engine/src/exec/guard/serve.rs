//! The guard itself: one loop over its socket and its processes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::frames::{Answer, Confined, Exit, How, ProcessId, Reader};
use super::namespaces::Namespaces;
use super::spawn::{Spawner, Started};
use super::{GUARD_VARIABLE, VERSION};

/// Serves as the guard if this process was started as one, and then never returns.
/// A binary that runs pipelines calls it first in `main`.
pub fn serve_if_asked() {
    if std::env::var_os(GUARD_VARIABLE).is_none() {
        return;
    }
    let code = match Server::take_over().and_then(|mut server| server.serve()) {
        Ok(()) => 0,
        Err(_) => 1,
    };
    sweep();
    std::process::exit(code);
}

/// The guard.
struct Server {
    socket: UnixStream,
    processes: BTreeMap<libc::pid_t, Process>,
    spawner: Spawner,
}

/// A process it has started.
struct Process {
    id: ProcessId,
    pidfd: OwnedFd,
    confined: Confined,
    namespaces: Option<Namespaces>,
}

impl Server {
    /// Prepares this process to be the parent of every process of a run: they inherit its attributes.
    fn take_over() -> io::Result<Self> {
        // SAFETY: plain system calls on numbers; nothing else runs in this process yet.
        let socket = unsafe {
            libc::setsid();
            libc::umask(0o022);
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
            libc::prctl(libc::PR_SET_NAME, c"pipe-guard".as_ptr());
            // Descriptors that a parent process left open are not inherited further.
            libc::close_range(3, libc::c_uint::MAX, 0);
            default_signals();
            // Low numbers stay free for the processes' own.
            let socket = check(libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 10))?;
            let null = check(libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC))?;
            check(libc::dup2(null, 0))?;
            libc::close(null);
            UnixStream::from(OwnedFd::from_raw_fd(socket))
        };
        Ok(Self { socket, processes: BTreeMap::new(), spawner: Spawner::new()? })
    }

    /// Serves until the engine closes its end or dies.
    fn serve(&mut self) -> io::Result<()> {
        self.send(&Answer::Ready(VERSION.to_owned()))?;
        loop {
            let (requested, ended) = self.wait()?;
            if ended {
                self.reap()?;
            }
            if requested && !self.handle_request()? {
                return Ok(());
            }
        }
    }

    /// Waits until a request arrives or a process ends.
    fn wait(&self) -> io::Result<(bool, bool)> {
        let entry = |fd: &dyn AsRawFd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut entries = vec![entry(&self.socket)];
        entries.extend(self.processes.values().map(|process| entry(&process.pidfd)));
        // SAFETY: the count is that of the entries, and their descriptors are open.
        let ready = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, -1) };
        if ready < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return Err(io::Error::last_os_error());
        }
        Ok((entries[0].revents != 0, entries[1..].iter().any(|entry| entry.revents != 0)))
    }

    /// Reaps every process that has ended: those it started, and orphaned ones.
    fn reap(&mut self) -> io::Result<()> {
        while let Child::Ended(pid) = peek() {
            match self.processes.remove(&pid) {
                // The leader is not reaped yet, so its number still names its group and no other.
                Some(Process { id, confined, namespaces, .. }) => {
                    kill_group(pid, libc::SIGKILL);
                    let mut exit = Exit { confined, ..reap_child(pid) };
                    // What left its group while its stage ran must not outlive it. While other stages run, the stage of
                    // an orphaned process is unknown.
                    if self.processes.is_empty() {
                        sweep();
                    } else {
                        exit.orphans = children().iter().any(|child| !self.processes.contains_key(child));
                    }
                    // A network in which an orphaned process may still listen is not given to another stage.
                    if let Some(namespaces) = namespaces.filter(|_| !exit.orphans) {
                        self.spawner.namespaces.give_back(namespaces);
                    }
                    self.send(&Answer::Exited(id, exit))?;
                }
                None => drop(reap_child(pid)),
            }
        }
        Ok(())
    }

    /// Does what a request asks for. False at the end of the socket.
    fn handle_request(&mut self) -> io::Result<bool> {
        let Some((body, descriptors)) = self.receive()? else { return Ok(false) };
        let mut body = Reader(&body);
        match body.byte() {
            Some(b'S') => self.start(&mut body, descriptors),
            Some(b'K') => {
                let (Some(id), Some(signal)) = (body.number(), body.number()) else { return Err(nonsense()) };
                if let Some((pid, _)) = self.processes.iter().find(|(_, process)| process.id == ProcessId(id)) {
                    kill_group(*pid, signal as i32);
                }
                Ok(())
            }
            _ => Err(nonsense()),
        }?;
        Ok(true)
    }

    fn start(&mut self, body: &mut Reader<'_>, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let id = ProcessId(body.number().ok_or_else(nonsense)?);
        let needs_number = descriptors.len() > 1;
        match self.spawner.spawn(body, &descriptors) {
            Ok(Started { pid, pidfd, confined, namespaces }) => {
                self.processes.insert(pid, Process { id, pidfd, confined, namespaces });
                if needs_number { self.send(&Answer::Started(id, pid)) } else { Ok(()) }
            }
            Err((step, error)) => {
                let number = error.raw_os_error().unwrap_or(libc::EINVAL);
                self.send(&Answer::NotStarted(id, step.to_owned(), number))
            }
        }
    }

    /// The next frame with its descriptors; none at the end.
    fn receive(&mut self) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let mut length = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = loop {
            let mut parts = [IoSliceMut::new(&mut length)];
            match recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?.bytes,
            }
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                descriptors.extend(fds);
            }
        }
        if got == 0 {
            return Ok(None);
        }
        self.socket.read_exact(&mut length[got..])?;
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        self.socket.read_exact(&mut body)?;
        Ok(Some((body, descriptors)))
    }

    fn send(&mut self, answer: &Answer) -> io::Result<()> {
        // A closed socket is seen by the next read; SIGPIPE, which is not ignored here, must not come first.
        let frame = answer.frame();
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let mut none = rustix::net::SendAncillaryBuffer::new(&mut []);
            let parts = [io::IoSlice::new(rest)];
            match rustix::net::sendmsg(&self.socket, &parts, &mut none, rustix::net::SendFlags::NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.socket.flush()
    }
}

/// Nothing is ignored and nothing is blocked: both are inherited through `exec`. Rust ignores SIGPIPE, on whose default
/// `yes | head` relies; `nohup` ignores SIGHUP. A plain system call, because the C library reserves signals 32 and 33.
fn default_signals() {
    /// `SIG_DFL`, no flags, no restorer, an empty mask, as the kernel lays them out on 64-bit machines.
    const DEFAULT: [u64; 4] = [0; 4];
    const MASK_BYTES: usize = 8;
    let nothing: *const libc::c_void = std::ptr::null();
    for signal in 1..=64 {
        // SAFETY: reads 32 bytes of `DEFAULT`, writes nothing. Fails for SIGKILL and SIGSTOP, which are never ignored.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), nothing, MASK_BYTES) };
    }
    // SAFETY: reads the first 8 bytes of `DEFAULT`, an empty set of signals.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, DEFAULT.as_ptr(), nothing, MASK_BYTES);
    }
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a request of this version")
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The state of the guard's children, without reaping one.
enum Child {
    /// One has ended.
    Ended(libc::pid_t),
    /// There are some, and all of them run.
    Running,
    /// There is none.
    None,
}

fn peek() -> Child {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is large enough and zeroed, so its process number is 0 where the call leaves it alone.
    unsafe {
        if libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) < 0 {
            return Child::None;
        }
        match info.assume_init_ref().si_pid() {
            0 => Child::Running,
            pid => Child::Ended(pid),
        }
    }
}

/// Reaps a process that has ended.
fn reap_child(pid: libc::pid_t) -> Exit {
    let mut status = 0;
    let mut used = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both places are large enough; a zeroed `rusage` is valid if the call fails.
    let used = unsafe {
        libc::wait4(pid, &mut status, 0, used.as_mut_ptr());
        used.assume_init()
    };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.max(0) as u64) + Duration::from_micros(time.tv_usec.max(0) as u64)
    };
    let how = if libc::WIFSIGNALED(status) {
        How::Signal(libc::WTERMSIG(status))
    } else {
        How::Code(libc::WEXITSTATUS(status))
    };
    let cpu = time(used.ru_utime) + time(used.ru_stime);
    let peak_rss = used.ru_maxrss.max(0) as u64 * 1024;
    Exit { how, cpu, peak_rss, orphans: false, confined: Confined::default() }
}

fn kill_group(leader: libc::pid_t, signal: i32) {
    // SAFETY: a plain system call; `leader` is a process that was not reaped, so the group is ours.
    unsafe { libc::kill(-leader, signal) };
}

/// Kills every child, and what becomes a child thereby, until there is none.
fn sweep() {
    loop {
        match peek() {
            Child::None => return,
            Child::Ended(pid) => drop(reap_child(pid)),
            Child::Running => {
                let children = children();
                for child in &children {
                    // SAFETY: plain system calls; a child that was not reaped keeps its number. Its group may be one
                    // that it made itself; if it leads none, that call does nothing.
                    unsafe {
                        libc::kill(-child, libc::SIGKILL);
                        libc::kill(*child, libc::SIGKILL);
                    }
                }
                if children.is_empty() {
                    return; // Without `/proc` there is nothing to find them by.
                }
                let mut status = 0;
                // SAFETY: `status` is a place for a number. All children were killed, so one ends soon.
                unsafe { libc::waitpid(-1, &mut status, 0) };
            }
        }
    }
}

/// The processes whose parent this is.
fn children() -> Vec<libc::pid_t> {
    let me = std::process::id().to_string();
    // The guard has one thread, so these are all. Not every kernel has this file.
    if let Ok(text) = fs_err::read_to_string(format!("/proc/self/task/{me}/children")) {
        return text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    }
    let Ok(entries) = fs_err::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<libc::pid_t>().ok());
    numbers.filter(|pid| parent_of(*pid).as_deref() == Some(OsStr::new(&me))).collect()
}

fn parent_of(pid: libc::pid_t) -> Option<std::ffi::OsString> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything: go by the last bracket. Then come the state and the parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1).map(Into::into)
}
