//! Worker processes: one task at a time, sent over a socket in the messages of [`pipe_contract::worker`].
//!
//! A worker is started for a task and sends a hello message before it gets it. One of a `process: fresh` kind quits
//! after its task; one of a `process: reusable` kind waits for the next, until it has done [`WorkerSettings::recycle_after`].
//! stdout and stderr of a fresh worker are its task's log. A reusable one writes to a file in memory, whose content is
//! moved to the log of the task at the end of each.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use pipe_contract::worker::{CHANNEL, FromWorker, PROTOCOL, ToWorker};
use pipe_contract::{Ended, Failure, Registry, Runs, Task};

use super::guard::{CHANNEL_NUMBER, Exit, Guard, How, ProcessId, Spawn};
use super::hints;
use super::search_path::SYSTEM_PATH;
use super::settings::WorkerSettings;
use crate::ids::InstanceId;

/// How long a worker may take to load its libraries and send its hello message.
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a worker may take to end after a quit message or after it has closed its channel.
pub(super) const EXIT_TIMEOUT: Duration = Duration::from_secs(10);
/// No message of a worker is longer.
const LONGEST_MESSAGE: usize = 16 << 20;

/// A worker process, from its start to the end of the process.
pub(super) struct Worker {
    pub process: ProcessId,
    /// Its process number, once the guard has sent it.
    pub pid: Option<i32>,
    channel: Option<UnixStream>,
    inbox: Vec<u8>,
    output: File,
    pub reusable: bool,
    pub threads: u32,
    pub done: u32,
    pub phase: WorkerPhase,
    /// When it is killed if its phase has not changed by then.
    pub deadline: Option<Instant>,
    /// Why it is being killed, if its job did not cause that.
    pub fault: Option<Failure>,
    /// Processor time of earlier tasks.
    spent: Duration,
}

/// The phase a worker is in.
pub(super) enum WorkerPhase {
    /// It loads; the task waits for its hello message.
    Starting(InstanceId, Box<Task>),
    /// It works. If it closes its channel now, the task's failure waits for the exit code.
    Working(InstanceId),
    /// It waits for a task.
    Idle,
    /// It was sent a quit message. The end of a fresh one's task is held here until its processor time is known.
    Exiting(Option<(InstanceId, Result<Ended, Failure>)>),
}

impl Worker {
    /// Starts a worker for a task.
    pub fn start(
        guard: &mut Guard,
        settings: &WorkerSettings,
        id: InstanceId,
        task: Box<Task>,
        runs: Runs,
        log: &Path,
    ) -> Result<Self, Failure> {
        if !settings.program.is_file() {
            return Err(Failure::environment(format!(
                "the kind `{}` runs in the worker `pipe-torch`, and there is no `{}`",
                task.kind,
                settings.program.display()
            ))
            .hint("build it with `./just build`; everything that needs no libtorch runs without it"));
        }
        let failed = |error: io::Error| Failure::environment(format!("could not start a worker: {error}"));
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        // A worker that stops reading must not stop the engine.
        ours.set_write_timeout(Some(Duration::from_secs(20))).map_err(failed)?;
        let reusable = runs == Runs::ProcessReusable;
        let output = if reusable {
            let flags = rustix::fs::MemfdFlags::CLOEXEC;
            let file = File::from(rustix::fs::memfd_create("pipe-worker-output", flags).map_err(|e| failed(e.into()))?);
            rustix::fs::fcntl_setfl(&file, rustix::fs::OFlags::APPEND).map_err(|e| failed(e.into()))?;
            file
        } else {
            open_log(log)?
        };
        let environment = environment(settings, &task, reusable);
        let spawn = Spawn {
            program: &settings.program,
            arguments: &["pipe-torch".as_ref()],
            environment: &environment,
            folder: if reusable { Path::new("/") } else { &task.scratch },
            limits: None,
        };
        let process = guard.spawn(spawn, output.as_fd(), Some(theirs.as_fd())).map_err(failed)?;
        Ok(Self {
            process,
            pid: None,
            channel: Some(ours),
            inbox: Vec::new(),
            output,
            reusable,
            threads: task.threads,
            done: 0,
            phase: WorkerPhase::Starting(id, task),
            deadline: Some(Instant::now() + HELLO_TIMEOUT),
            fault: None,
            spent: Duration::ZERO,
        })
    }

    /// The job it has, if any.
    pub fn job(&self) -> Option<InstanceId> {
        match &self.phase {
            WorkerPhase::Starting(id, _) | WorkerPhase::Working(id) | WorkerPhase::Exiting(Some((id, _))) => Some(*id),
            WorkerPhase::Idle | WorkerPhase::Exiting(None) => None,
        }
    }

    /// What to wait on for its messages.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.channel.as_ref().map(AsFd::as_fd)
    }

    /// Sends a message; false if that fails.
    pub fn send(&mut self, message: &ToWorker) -> bool {
        let Some(channel) = self.channel.as_mut() else { return false };
        let Ok(mut line) = serde_json::to_vec(message) else { return false };
        line.push(b'\n');
        channel.write_all(&line).is_ok()
    }

    /// Sends it its next task.
    pub fn assign(&mut self, id: InstanceId, task: Box<Task>) -> bool {
        self.phase = WorkerPhase::Working(id);
        self.deadline = None;
        self.send(&ToWorker::Task { task })
    }

    /// Sends it a quit message.
    pub fn quit(&mut self) {
        self.send(&ToWorker::Quit);
        self.deadline = Some(Instant::now() + EXIT_TIMEOUT);
    }

    /// Reads what has arrived without waiting. The messages, and whether the channel has ended.
    ///
    /// # Errors
    /// What arrived is not in the protocol.
    pub fn receive(&mut self) -> Result<(Vec<FromWorker>, bool), Failure> {
        let mut ended = self.channel.is_none();
        let mut buffer = [0; 64 * 1024];
        while let Some(channel) = self.channel.as_mut() {
            match rustix::net::recv(&*channel, &mut buffer[..], rustix::net::RecvFlags::DONTWAIT) {
                Ok((_, 0)) => ended = true,
                Ok((_, length)) => self.inbox.extend_from_slice(&buffer[..length]),
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => ended = true,
            }
            if ended {
                self.channel = None;
            }
        }
        let mut messages = Vec::new();
        while let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.inbox.drain(..=end).collect();
            messages.push(serde_json::from_slice(&line).map_err(|error| not_a_message(&line, &error.to_string()))?);
        }
        if self.inbox.len() > LONGEST_MESSAGE {
            return Err(not_a_message(&self.inbox, "no message is that long"));
        }
        Ok((messages, ended))
    }

    /// Moves what a reusable worker has printed to the log of its task.
    pub fn move_output(&mut self, log: &Path) {
        if !self.reusable {
            return;
        }
        let mut text = Vec::new();
        let read = self.output.seek(SeekFrom::Start(0)).and_then(|_| self.output.read_to_end(&mut text));
        if read.is_ok_and(|length| length > 0)
            && let Ok(mut log) = open_log(log)
        {
            // An error while writing the log does not fail the task.
            let _ = log.write_all(&text);
        }
        let _ = self.output.set_len(0);
    }

    /// Processor time since the last call, and the largest resident set so far, of a worker that runs on.
    pub fn usage(&mut self) -> (Duration, u64) {
        let Some(pid) = self.pid else { return (Duration::ZERO, 0) };
        let total = processor_time(pid).unwrap_or(self.spent);
        let used = total.saturating_sub(self.spent);
        self.spent = total;
        (used, peak_rss(pid).unwrap_or(0))
    }

    /// Processor time that earlier tasks have accounted for.
    pub fn spent(&self) -> Duration {
        self.spent
    }
}

/// Opens a log to add to it.
pub(super) fn open_log(log: &Path) -> Result<File, Failure> {
    fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(log)
        .map(fs_err::File::into_file)
        .map_err(|error| Failure::io("open the log", log, &error))
}

/// The whole environment of a worker. `CUDA_VISIBLE_DEVICES` is the caller's, because granted devices are counted
/// within it.
fn environment(settings: &WorkerSettings, task: &Task, reusable: bool) -> Vec<(String, OsString)> {
    let threads = task.threads.max(1).to_string();
    let mut variables: BTreeMap<&str, OsString> = BTreeMap::from([
        ("PATH", SYSTEM_PATH.into()),
        ("LANG", "C.UTF-8".into()),
        ("LC_ALL", "C.UTF-8".into()),
        ("TZ", "UTC".into()),
        ("OMP_NUM_THREADS", threads.clone().into()),
        ("MKL_NUM_THREADS", threads.into()),
        // cuBLAS is deterministic only with a fixed workspace.
        ("CUBLAS_WORKSPACE_CONFIG", ":4096:8".into()),
        ("CUDA_DEVICE_ORDER", "PCI_BUS_ID".into()),
        (CHANNEL, CHANNEL_NUMBER.to_string().into()),
    ]);
    if !reusable {
        variables.insert("TMPDIR", task.scratch.clone().into());
        variables.insert("HOME", task.scratch.clone().into());
    }
    if let Some(libraries) = &settings.libraries {
        variables.insert("LD_LIBRARY_PATH", libraries.clone());
    }
    if let Some(devices) = std::env::var_os("CUDA_VISIBLE_DEVICES") {
        variables.insert("CUDA_VISIBLE_DEVICES", devices);
    }
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Whether a worker with this hello message may have this task.
///
/// # Errors
/// It uses another protocol, was built from other sources, or does not have the kind in this version.
pub(super) fn accept(
    hello: &FromWorker,
    settings: &WorkerSettings,
    registry: &Registry,
    kind: &str,
) -> Result<(), Failure> {
    let stale = |what: String| {
        Err(Failure::environment(format!(
            "the worker `{}` does not fit this `pipe`: {what}",
            settings.program.display()
        ))
        .hint("build both from the same sources with `./just build`"))
    };
    let FromWorker::Hello { protocol, build, kinds } = hello else {
        return stale("its first message is not a hello".to_owned());
    };
    if *protocol != PROTOCOL {
        return stale(format!("it uses protocol {protocol}, expected {PROTOCOL}"));
    }
    if *build != settings.build {
        return stale(format!("it was built as `{build}`, expected `{}`", settings.build));
    }
    let expected = registry.kind(kind).map(|kind| kind.version);
    match (kinds.iter().find(|(name, _)| name == kind), expected) {
        (None, _) => stale(format!("it does not have the kind `{kind}`")),
        (Some((_, found)), Some(version)) if *found != version => {
            stale(format!("its `{kind}` has version {found}, expected {version}"))
        }
        _ => Ok(()),
    }
}

/// What the loader of programs (`ld.so`) prints before it ends a program with exit code 127.
const LOADER_ERRORS: [&str; 2] = ["error while loading shared libraries: ", "symbol lookup error: "];

/// The failure of a worker that the loader could not start because a library is missing or is another one; `None` if
/// the worker ended for another reason.
pub(super) fn load_failure(settings: &WorkerSettings, exit: &Exit, log: &Path) -> Option<Failure> {
    if exit.how != How::Code(127) {
        return None;
    }
    let tail = hints::tail(log);
    let what = LOADER_ERRORS.iter().find_map(|error| tail.lines().find_map(|line| Some(line.split_once(error)?.1)))?;
    let message = format!("the worker `pipe-torch` could not be loaded: {}", what.trim_end());
    Some(Failure::environment(message).hint(settings.libraries_hint.clone()))
}

fn not_a_message(line: &[u8], why: &str) -> Failure {
    let start: String = String::from_utf8_lossy(&line[..line.len().min(200)]).trim_end().escape_debug().collect();
    Failure::internal(format!("the worker sent `{start}`, which is not a message of protocol {PROTOCOL}: {why}"))
}

/// User and system time of a process and of its waited-for children (`proc(5)`, fields 14 to 17).
fn processor_time(pid: i32) -> Option<Duration> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    // SAFETY: returns a number.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1);
    Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// The largest resident set of a process so far, bytes.
fn peak_rss(pid: i32) -> Option<u64> {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
