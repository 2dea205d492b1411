//! Kinds with code in this binary, each task on a thread of its own (not one of rayon's: a stage may use those inside).

use std::any::Any;
use std::cell::RefCell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, mpsc};
use std::time::Duration;

use fs_err::{File, OpenOptions};
use pipe_contract::{Context, Ended, Failure, Metric, Progress, Registry, Task};

use super::wake::Waker;
use crate::ids::InstanceId;

/// What a thread sends when it ends.
pub(super) struct ThreadEnded {
    pub id: InstanceId,
    /// Distinguishes the attempts at one instance: an abandoned thread may end while the next attempt runs.
    pub thread: Arc<Shared>,
    pub result: Result<Ended, Failure>,
    pub cpu: Duration,
}

/// What a running stage and the executor share.
pub(super) struct Shared {
    cancelled: AtomicBool,
    /// The latest progress that the executor has not taken.
    progress: Mutex<Option<Progress>>,
    /// Metrics that the executor has not taken.
    metrics: Mutex<Vec<Metric>>,
    log: PathBuf,
    downloads: Option<PathBuf>,
    open_log: Mutex<Option<File>>,
    waker: Waker,
}

impl Shared {
    /// Sets the cancel flag of the stage.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The latest progress, once.
    pub fn take_progress(&self) -> Option<Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Metrics since the last call.
    pub fn take_metrics(&self) -> Vec<Metric> {
        std::mem::take(&mut *self.metrics.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Context for Shared {
    fn progress(&self, progress: Progress) {
        let before = self.progress.lock().unwrap_or_else(PoisonError::into_inner).replace(progress);
        // Progress that was not taken yet has woken the executor already.
        if before.is_none() {
            self.waker.nudge();
        }
    }

    fn metric(&self, metric: Metric) {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.push(metric);
        if metrics.len() == 1 {
            self.waker.nudge();
        }
    }

    fn log(&self, line: &str) {
        let mut open = self.open_log.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            *open = OpenOptions::new().create(true).append(true).open(&self.log).ok();
        }
        if let Some(file) = open.as_mut() {
            // An error while writing the log does not fail the task.
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn shared_downloads(&self) -> Option<&Path> {
        self.downloads.as_deref()
    }
}

/// Starts a task on a thread.
pub(super) fn start(
    id: InstanceId,
    task: Box<Task>,
    registry: Arc<Registry>,
    (log, downloads): (PathBuf, Option<PathBuf>),
    ended: mpsc::Sender<ThreadEnded>,
    waker: Waker,
) -> Result<Arc<Shared>, Failure> {
    install_panic_hook();
    let shared = Arc::new(Shared {
        cancelled: AtomicBool::new(false),
        progress: Mutex::new(None),
        metrics: Mutex::new(Vec::new()),
        log,
        downloads,
        open_log: Mutex::new(None),
        waker,
    });
    let mine = Arc::clone(&shared);
    let work = move || {
        let result = run(&registry, &task, &mine);
        let cpu = thread_time();
        let waker = mine.waker.clone();
        // The executor may be gone; then the result is dropped.
        let _ = ended.send(ThreadEnded { id, thread: mine, result, cpu });
        waker.nudge();
    };
    std::thread::Builder::new()
        .name(THREAD_NAME.to_owned())
        .spawn(work)
        .map_err(|error| Failure::environment(format!("could not start a thread: {error}")))?;
    Ok(shared)
}

fn run(registry: &Registry, task: &Task, context: &Shared) -> Result<Ended, Failure> {
    let stage = registry
        .stage(&task.kind)
        .ok_or_else(|| Failure::internal(format!("this binary has no code for the kind `{}`", task.kind)))?;
    match catch_unwind(AssertUnwindSafe(|| stage.run(task, context))) {
        Ok(result) => result,
        Err(panic) => {
            let place = PANIC_PLACE.take();
            let failure = Failure::internal(format!("`{}` panicked: {}", task.kind, panic_text(&*panic)))
                .hint("this is a defect of the kind; please report it with the stage's log");
            context.log(&failure.message);
            Err(match place {
                Some(place) => failure.at(place),
                None => failure,
            })
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "without a message".to_owned(),
    }
}

/// Names the threads whose panics become failures.
const THREAD_NAME: &str = "stage";

thread_local! {
    /// Where the last panic of this thread was.
    static PANIC_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic of a stage is reported as its failure; it must not be printed into the progress as well.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some(THREAD_NAME) {
                PANIC_PLACE.set(info.location().map(ToString::to_string));
            } else {
                usual(info);
            }
        }));
    });
}

/// User and system time of this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u32)
}
