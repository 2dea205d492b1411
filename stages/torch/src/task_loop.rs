//! The worker's side of the protocol with the engine: hello, one task at a time, progress, a result.
//!
//! A thread reads messages, so that a cancellation arrives while a task runs and the end of the engine ends the process at once; the
//! main thread works, because libtorch keeps state by thread. Stdout is the task's log.

use std::any::Any;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use pipe_contract::worker::{CHANNEL, FromWorker, PROTOCOL, ToWorker};
use pipe_contract::{Context, Ended, Failure, Metric, Progress, StageKind, Task};

/// The socket to the engine.
#[derive(Debug)]
pub struct Channel(UnixStream);

impl Channel {
    /// Takes over the socket that the environment names.
    ///
    /// # Errors
    /// Environment: there is none, as when the worker is started by hand.
    pub fn from_environment() -> Result<Self, Failure> {
        let by_hand = |found: &str| {
            Failure::environment(format!("this is the worker that `pipe` starts for kinds that need libtorch; {found}"))
                .hint("run `pipe run FILE` instead")
        };
        let name = std::env::var(CHANNEL).map_err(|_| by_hand(&format!("the variable {CHANNEL} is not set")))?;
        let wrong = || by_hand(&format!("{CHANNEL} is `{name}`, which is not the number of an open socket"));
        let number: i32 = name.parse().ok().filter(|number| *number > 2).ok_or_else(wrong)?;
        // SAFETY: borrowed only to query its type; an unused number gives an error.
        let borrowed = unsafe { rustix::fd::BorrowedFd::borrow_raw(number) };
        let status = rustix::fs::fstat(borrowed).map_err(|_| wrong())?;
        if rustix::fs::FileType::from_raw_mode(status.st_mode) != rustix::fs::FileType::Socket {
            return Err(wrong());
        }
        // Nothing that libtorch may start inherits it.
        rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC).map_err(|_| wrong())?;
        // SAFETY: an open socket that the parent made for this process; nothing else in it uses the number.
        Ok(Self(UnixStream::from(unsafe { OwnedFd::from_raw_fd(number) })))
    }

    /// A channel over a socket of one's own, for tests.
    pub fn over(socket: UnixStream) -> Self {
        Self(socket)
    }
}

/// Sends `hello` and runs tasks until the engine sends `quit` or ends between two tasks.
///
/// # Errors
/// Internal: the engine uses another protocol. Environment: the channel breaks.
pub fn serve(channel: Channel, stages: &[Box<dyn StageKind>]) -> Result<(), Failure> {
    let reading =
        channel.0.try_clone().map_err(|error| Failure::environment(format!("the channel breaks: {error}")))?;
    let writer = MessageWriter { socket: Mutex::new(channel.0), cancelled: Arc::new(AtomicBool::new(false)) };
    writer.write(&hello(stages))?;
    let messages = read_messages(reading, Arc::clone(&writer.cancelled));
    for received in messages {
        let Received::Task(task) = received? else { return Ok(()) };
        let result = perform(&task, stages, &writer);
        // Before the result is sent: the engine may end as soon as it has it.
        BUSY.store(false, Ordering::SeqCst);
        writer.write(&FromWorker::Ended { result })?;
    }
    Ok(())
}

fn hello(stages: &[Box<dyn StageKind>]) -> FromWorker {
    let kinds = stages.iter().map(|stage| stage.kind()).map(|kind| (kind.name.to_string(), kind.version)).collect();
    FromWorker::Hello { protocol: PROTOCOL, build: pipe_stages::BUILD_ID.into(), kinds }
}

enum Received {
    Task(Box<Task>),
    Quit,
}

/// Whether a task is running or waiting to.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Reads messages on a thread of its own. Messages come in order, so a cancel belongs to the last task before it.
fn read_messages(socket: UnixStream, cancelled: Arc<AtomicBool>) -> Receiver<Result<Received, Failure>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(socket).lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(ToWorker::Task { task }) => {
                    cancelled.store(false, Ordering::SeqCst);
                    BUSY.store(true, Ordering::SeqCst);
                    send(&sender, Ok(Received::Task(task)));
                }
                Ok(ToWorker::Cancel) => cancelled.store(true, Ordering::SeqCst),
                Ok(ToWorker::Quit) => {
                    cancelled.store(true, Ordering::SeqCst);
                    return send(&sender, Ok(Received::Quit));
                }
                Err(error) => {
                    let failure =
                        Failure::internal(format!("the engine sent a message that is not understood: {error}"))
                            .hint("build `pipe` and `pipe-torch` from the same sources");
                    return send(&sender, Err(failure));
                }
            }
        }
        // The engine is gone. A task whose result has no receiver must not run on for hours.
        if BUSY.load(Ordering::SeqCst) {
            exit(1);
        }
        send(&sender, Ok(Received::Quit));
    });
    receiver
}

fn send(sender: &Sender<Result<Received, Failure>>, received: Result<Received, Failure>) {
    // Fails only when the main thread has ended already.
    let _ = sender.send(received);
}

fn perform(task: &Task, stages: &[Box<dyn StageKind>], writer: &MessageWriter) -> Result<Ended, Failure> {
    let stage = stages.iter().find(|stage| stage.kind().name == task.kind).ok_or_else(|| {
        Failure::internal(format!("the worker has no kind `{}`", task.kind))
            .hint("build `pipe` and `pipe-torch` from the same sources")
    })?;
    let version = stage.kind().version;
    if version != task.version {
        return Err(Failure::internal(format!(
            "the worker has version {version} of `{}`, the task needs {}",
            task.kind, task.version
        ))
        .hint("build `pipe` and `pipe-torch` from the same sources"));
    }
    // libtorch's own errors arrive as panics of `tch`.
    catch_unwind(AssertUnwindSafe(|| stage.run(task, writer)))
        .unwrap_or_else(|panic| Err(of_panic(&*panic, &task.kind)))
}

fn of_panic(panic: &(dyn Any + Send), kind: &str) -> Failure {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let words = words.unwrap_or("no words").lines().next().unwrap_or_default();
    if words.contains("out of memory") || words.contains("can't allocate memory") {
        return Failure::environment(format!("`{kind}` ran out of memory: {words}"))
            .hint("lower `batch_size` (of `net/...`: `batch` and `memory`), run fewer stages side by side (`-j`), or use smaller images (`pixels`, `side`)");
    }
    Failure::internal(format!("`{kind}` panicked: {words}"))
        .hint("the stage's log has the whole message; please report it")
}

struct MessageWriter {
    socket: Mutex<UnixStream>,
    cancelled: Arc<AtomicBool>,
}

impl MessageWriter {
    fn write(&self, message: &FromWorker) -> Result<(), Failure> {
        let mut line = serde_json::to_string(message)
            .map_err(|error| Failure::internal(format!("a message cannot be written as JSON: {error}")))?;
        line.push('\n');
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        socket.write_all(line.as_bytes()).map_err(|error| Failure::environment(format!("the engine is gone: {error}")))
    }
}

impl Context for MessageWriter {
    fn progress(&self, progress: Progress) {
        // If the engine is gone, the reading thread ends the process.
        let _ = self.write(&FromWorker::Progress { progress });
    }

    fn metric(&self, metric: Metric) {
        let _ = self.write(&FromWorker::Metric { metric });
    }

    fn log(&self, line: &str) {
        let mut out = std::io::stdout().lock();
        // Flushed line by line: the log is read while the task runs.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }
}
