//! The messages between the engine and its guard.
//!
//! A frame is its length (u32, little endian) and its body; a body is a tag, numbers, and texts that end in a zero
//! byte, so the guard passes argument and environment texts to `execve` where they lie. Descriptors travel with the
//! first byte of a frame.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Names a process between engine and guard; never used twice, unlike a process number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub u64);

/// A process to start. Its stdin is empty; stdout and stderr go to the first descriptor sent along; the second, if
/// there is one, becomes its descriptor [`CHANNEL_NUMBER`].
pub struct Spawn<'a> {
    /// The program, absolute.
    pub program: &'a Path,
    /// Its arguments, the name it is called by first.
    pub arguments: &'a [&'a OsStr],
    /// The whole environment, as `(name, value)`.
    pub environment: &'a [(String, std::ffi::OsString)],
    /// Its working folder.
    pub folder: &'a Path,
    /// What it may reach, where the kernel can enforce that; `None` is everything that this user may.
    pub limits: Option<Limits<'a>>,
}

/// What a confined process may reach.
pub struct Limits<'a> {
    /// The folders it may write in.
    pub writable: &'a [&'a Path],
    /// Files and folders it may read and execute besides.
    pub readable: &'a [PathBuf],
    /// The same, equal for all processes of a run: they are opened once.
    pub common: &'a [PathBuf],
    /// The folder of all work of the run, `writable` included. The rules for writing do not cover permissions and times:
    /// nothing outside of this folder can be changed, where the kernel has mounts for it.
    pub changeable: &'a Path,
    /// Whether it may use the network; if not it gets a network of its own with nothing but `lo`.
    pub network: bool,
}

/// The descriptor under which a process finds its channel.
pub const CHANNEL_NUMBER: i32 = 3;

/// A message of the engine.
pub enum Request<'a> {
    /// Start a process.
    Spawn(ProcessId, Spawn<'a>),
    /// Send a signal to the group of a process.
    Signal(ProcessId, i32),
}

/// A message of the guard.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It serves, and was built as this version.
    Ready(String),
    /// A process runs under this process number.
    Started(ProcessId, i32),
    /// A process could not be started: the step that failed, and the error number.
    NotStarted(ProcessId, String, i32),
    /// A process and its group are gone.
    Exited(ProcessId, Exit),
}

/// How a process ended and what it used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exit {
    /// The exit code or the signal.
    pub how: How,
    /// User and system time, its waited-for children included.
    pub cpu: Duration,
    /// The largest resident set of it or one of its waited-for children, bytes.
    pub peak_rss: u64,
    /// Orphaned processes are left, whose parent is the guard: its own, or those of another that still runs.
    pub orphans: bool,
    /// What kept it from the rest of the machine.
    pub confined: Confined,
}

/// What kept a process from the rest of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confined {
    /// Rules for reading and writing.
    pub files: bool,
    /// A network of its own.
    pub network: bool,
    /// Mounts on which nothing outside of [`Limits::changeable`] can be changed, permissions and times included.
    pub read_only: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Request<'_> {
    /// The frame of this request.
    ///
    /// # Errors
    /// A text holds a zero byte.
    pub fn frame(&self) -> io::Result<Vec<u8>> {
        let mut frame = Writer::new();
        match self {
            Request::Spawn(id, spawn) => {
                frame.byte(b'S');
                frame.number(id.0);
                frame.text(spawn.program.as_os_str())?;
                frame.text(spawn.folder.as_os_str())?;
                frame.texts(spawn.arguments.iter().copied())?;
                frame.number(spawn.environment.len() as u64);
                for (name, value) in spawn.environment {
                    frame.pair(name, value)?;
                }
                frame.byte(u8::from(spawn.limits.is_some()));
                if let Some(limits) = &spawn.limits {
                    frame.texts(limits.writable.iter().map(|path| path.as_os_str()))?;
                    frame.texts(limits.readable.iter().map(|path| path.as_os_str()))?;
                    frame.texts(limits.common.iter().map(|path| path.as_os_str()))?;
                    frame.text(limits.changeable.as_os_str())?;
                    frame.byte(u8::from(limits.network));
                }
            }
            Request::Signal(id, signal) => {
                frame.byte(b'K');
                frame.number(id.0);
                frame.number(*signal as u64);
            }
        }
        Ok(frame.finish())
    }
}

impl Answer {
    /// The frame of this answer; its texts are the guard's own and hold no zero byte.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = Writer::new();
        match self {
            Answer::Ready(version) => {
                frame.byte(b'R');
                frame.plain(version.as_bytes());
            }
            Answer::Started(id, pid) => {
                frame.byte(b'P');
                frame.number(id.0);
                frame.number(*pid as u64);
            }
            Answer::NotStarted(id, step, error) => {
                frame.byte(b'N');
                frame.number(id.0);
                frame.plain(step.as_bytes());
                frame.number(*error as u64);
            }
            Answer::Exited(id, exit) => {
                frame.byte(b'E');
                frame.number(id.0);
                let (signalled, number) = match exit.how {
                    How::Code(code) => (0, code),
                    How::Signal(signal) => (1, signal),
                };
                frame.byte(signalled);
                frame.number(number as u64);
                frame.number(exit.cpu.as_micros() as u64);
                frame.number(exit.peak_rss);
                frame.byte(u8::from(exit.orphans));
                frame.byte(u8::from(exit.confined.files));
                frame.byte(u8::from(exit.confined.network));
                frame.byte(u8::from(exit.confined.read_only));
            }
        }
        frame.finish()
    }

    /// Reads the body of a frame; `None` if it is invalid.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut body = Reader(body);
        Some(match body.byte()? {
            b'R' => Answer::Ready(body.text()?.to_str().ok()?.to_owned()),
            b'P' => Answer::Started(ProcessId(body.number()?), body.number()? as i32),
            b'N' => {
                let id = ProcessId(body.number()?);
                Answer::NotStarted(id, body.text()?.to_str().ok()?.to_owned(), body.number()? as i32)
            }
            b'E' => {
                let id = ProcessId(body.number()?);
                let signalled = body.byte()? == 1;
                let number = body.number()? as i32;
                let how = if signalled { How::Signal(number) } else { How::Code(number) };
                let cpu = Duration::from_micros(body.number()?);
                let (peak_rss, orphans) = (body.number()?, body.byte()? == 1);
                let mut flag = || Some(body.byte()? == 1);
                let confined = Confined { files: flag()?, network: flag()?, read_only: flag()? };
                Answer::Exited(id, Exit { how, cpu, peak_rss, orphans, confined })
            }
            _ => return None,
        })
    }
}

/// Puts a frame together.
struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        Self(vec![0; 4])
    }

    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn plain(&mut self, text: &[u8]) {
        self.0.extend_from_slice(text);
        self.0.push(0);
    }

    fn text(&mut self, text: &OsStr) -> io::Result<()> {
        no_zero(text)?;
        self.plain(text.as_bytes());
        Ok(())
    }

    fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a OsStr>) -> io::Result<()> {
        self.number(texts.len() as u64);
        texts.into_iter().try_for_each(|text| self.text(text))
    }

    fn pair(&mut self, name: &str, value: &OsStr) -> io::Result<()> {
        no_zero(OsStr::new(name))?;
        no_zero(value)?;
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
        self.plain(value.as_bytes());
        Ok(())
    }

    fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() - 4) as u32;
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        self.0
    }
}

fn no_zero(text: &OsStr) -> io::Result<()> {
    if text.as_bytes().contains(&0) {
        let what = format!("`{}` holds a zero byte, which no argument or variable of a process can", text.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(())
}

/// Takes a body apart.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    /// The next text.
    pub fn text(&mut self) -> Option<&'a CStr> {
        let text = CStr::from_bytes_until_nul(self.0).ok()?;
        self.0 = &self.0[text.to_bytes_with_nul().len()..];
        Some(text)
    }

    /// The next list of texts.
    pub fn texts(&mut self) -> Option<Vec<&'a CStr>> {
        let count = self.number()?;
        (0..count).map(|_| self.text()).collect()
    }
}
