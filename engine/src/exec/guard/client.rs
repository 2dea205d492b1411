//! The engine's end of the guard.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pipe_contract::Failure;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::frames::{Answer, ProcessId, Request, Spawn};
use super::{GUARD_VARIABLE, VERSION};

/// A running guard. Dropping it kills everything it started and waits until that is gone.
pub struct Guard {
    socket: Option<UnixStream>,
    process: Child,
    /// Bytes read and not yet a whole frame.
    half: Vec<u8>,
    answers: VecDeque<Answer>,
    next: u64,
}

impl Guard {
    /// Starts a guard from this program.
    ///
    /// # Errors
    /// The program does not start, or is not a guard of this version.
    pub fn start(program: Option<&Path>) -> Result<Self, Failure> {
        let program = program.map_or_else(|| PathBuf::from("/proc/self/exe"), Path::to_path_buf);
        let failed =
            |error: io::Error| Failure::environment(format!("could not start the supervisor process (guard): {error}"));
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let process = Command::new(&program)
            .arg0("pipe-guard")
            .env_clear()
            .env(GUARD_VARIABLE, VERSION)
            .envs(std::env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path)))
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut guard = Self { socket: Some(ours), process, half: Vec::new(), answers: VecDeque::new(), next: 0 };
        guard.wait_until_ready(&program)?;
        Ok(guard)
    }

    /// Waits for the first answer.
    fn wait_until_ready(&mut self, program: &Path) -> Result<(), Failure> {
        let bad_guard = |found: String| {
            Failure::internal(format!(
                "`{}` was started as the supervisor process (guard) and {found}",
                program.display()
            ))
            .hint("its `main` must call `pipe_engine::exec::serve_if_asked` before anything else")
        };
        while self.answers.is_empty() {
            self.read().map_err(|error| bad_guard(format!("ended without an answer: {error}")))?;
        }
        match self.answers.pop_front() {
            Some(Answer::Ready(version)) if version == VERSION => Ok(()),
            other => Err(bad_guard(format!("answered {other:?}, expected version `{VERSION}`"))),
        }
    }

    /// Starts a process. `output` becomes its stdout and stderr.
    ///
    /// # Errors
    /// The guard is gone, or a text holds a zero byte. That the program does not start is an [`Answer`].
    pub fn spawn(
        &mut self,
        spawn: Spawn<'_>,
        output: BorrowedFd<'_>,
        channel: Option<BorrowedFd<'_>>,
    ) -> io::Result<ProcessId> {
        self.next += 1;
        let id = ProcessId(self.next);
        let frame = Request::Spawn(id, spawn).frame()?;
        let descriptors: Vec<BorrowedFd<'_>> = std::iter::once(output).chain(channel).collect();
        self.send(&frame, &descriptors)?;
        Ok(id)
    }

    /// Sends a signal to the group of a process; does nothing if it is gone.
    ///
    /// # Errors
    /// The guard is gone.
    pub fn signal(&mut self, id: ProcessId, signal: i32) -> io::Result<()> {
        let frame = Request::Signal(id, signal).frame()?;
        self.send(&frame, &[])
    }

    /// The next answer that has arrived.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// What to wait on for answers.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Reads what has arrived; waits if nothing has.
    ///
    /// # Errors
    /// The guard is gone, or sends an invalid message.
    pub fn read(&mut self) -> io::Result<()> {
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut buffer = [0; 16 * 1024];
        let length = match socket.read(&mut buffer) {
            Ok(0) => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the supervisor process (guard) is gone"));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        };
        self.half.extend_from_slice(&buffer[..length]);
        let mut from = 0;
        while let Some(body) = whole_frame(&self.half[from..]) {
            let answer = Answer::read(body)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the guard sent an invalid message"))?;
            self.answers.push_back(answer);
            from += 4 + body.len();
        }
        self.half.drain(..from);
        Ok(())
    }

    fn send(&mut self, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let mut sent = retry(|| sendmsg(&*socket, &[IoSlice::new(frame)], &mut control, SendFlags::NOSIGNAL))?;
        let mut none = SendAncillaryBuffer::new(&mut []);
        while sent < frame.len() {
            sent += retry(|| sendmsg(&*socket, &[IoSlice::new(&frame[sent..])], &mut none, SendFlags::NOSIGNAL))?;
        }
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // At the end of its socket the guard kills everything and exits.
        drop(self.socket.take());
        let _ = self.process.wait();
    }
}

/// The body of the frame that starts here, if all of it is there.
fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.get(..u32::from_le_bytes(*length) as usize)
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Kills every process whose working folder lies in `folder`: what a guard that was killed has left. The processes it
/// started die with it; theirs are found by their working folder, because it is private to the stage.
pub fn kill_inside(folder: &Path) {
    let Ok(folder) = fs_err::canonicalize(folder) else { return };
    // A process that forks while the list is read may be missed, so the list is read until it is empty.
    for _ in 0..100 {
        let Ok(entries) = fs_err::read_dir("/proc") else { return };
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<libc::pid_t>().ok());
        let is_inside = |pid: &libc::pid_t| {
            fs_err::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|place| place.starts_with(&folder))
        };
        let inside: Vec<libc::pid_t> = numbers.filter(is_inside).collect();
        if inside.is_empty() {
            return;
        }
        for pid in inside {
            // SAFETY: a plain system call; the process was in the folder a moment ago.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
