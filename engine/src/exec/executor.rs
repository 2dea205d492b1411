//! The executor: one thread, the caller's, that waits for threads, workers, commands and the clock together.
//!
//! All its state is here and nothing is locked: whatever happens elsewhere arrives as a readable descriptor in
//! [`Executor::next`], which therefore has to be called often enough for time-outs to be kept.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use pipe_contract::worker::{FromWorker, ToWorker};
use pipe_contract::{Ended, Failure, Metric, Progress, Runs, Task};

use super::guard::{Answer, Confined, Exit, Guard, How, Limits, ProcessId, Spawn, kill_inside};
use super::job::{CommandTask, FileIsolation, Finished, Isolation, Job, JobWork, Message, NetworkIsolation, Usage};
use super::metric_file::MetricFile;
use super::settings::Settings;
use super::threads::{self, ThreadEnded};
use super::wake::{self, Waker};
use super::worker_process::{self, Worker};
use super::{command, hints, readable};
use crate::ids::InstanceId;

/// The least time between two progress messages of one job.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// More metrics of one attempt are counted only: they are lines of a log that commands read whole.
const MOST_METRICS: usize = 100_000;

/// Runs jobs side by side. Not a scheduler: whatever is started runs at once.
pub struct Executor {
    settings: Settings,
    guard: Option<Guard>,
    jobs: BTreeMap<InstanceId, Running>,
    commands: BTreeMap<ProcessId, InstanceId>,
    workers: BTreeMap<ProcessId, Worker>,
    outbox: VecDeque<Message>,
    downloads: Option<PathBuf>,
    sharing: command::Sharing,
    /// What running commands reach.
    reached: BTreeMap<InstanceId, command::Reach>,
    /// Isolated commands cannot change permissions of what they reach, as one that ended has shown.
    guarded: bool,
    /// What every command may read, found when the first one starts.
    common: Option<Vec<PathBuf>>,
    waker: Waker,
    threads: mpsc::Receiver<ThreadEnded>,
    thread_ended: mpsc::Sender<ThreadEnded>,
}

/// A job that has not ended.
struct Running {
    log: PathBuf,
    started: Instant,
    timeout: Option<Duration>,
    stop: Option<Stop>,
    body: Body,
    /// The latest progress that was not reported.
    progress: Option<Progress>,
    reported_at: Option<Instant>,
    /// Of a command.
    metrics: Option<MetricFile>,
    /// How many metrics were measured; more than [`MOST_METRICS`] are not reported.
    measured: usize,
}

/// Where a job runs.
enum Body {
    Thread(Arc<threads::Shared>),
    Command(ProcessId, Box<CommandTask>),
    Worker(ProcessId),
}

/// A job that is being stopped.
struct Stop {
    cause: StopCause,
    /// What comes next if it has not ended by then.
    next: Option<(Instant, StopStep)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StopCause {
    Cancelled,
    TimedOut,
}

#[derive(Clone, Copy)]
enum StopStep {
    Terminate,
    Kill,
    /// A thread cannot be killed: its job ends without it.
    Abandon,
}

impl Executor {
    /// Nothing runs; no process or thread is started before the first job needs one.
    ///
    /// # Errors
    /// The machine gives no descriptor.
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        let waker = Waker::new()
            .map_err(|error| Failure::environment(format!("could not make an event descriptor: {error}")))?;
        let (thread_ended, threads) = mpsc::channel();
        Ok(Self {
            settings,
            guard: None,
            jobs: BTreeMap::new(),
            commands: BTreeMap::new(),
            workers: BTreeMap::new(),
            outbox: VecDeque::new(),
            downloads: None,
            sharing: command::Sharing::safe(),
            reached: BTreeMap::new(),
            guarded: false,
            common: None,
            waker,
            threads,
            thread_ended,
        })
    }

    /// Tasks that start from now on share this folder for downloads.
    pub fn share_downloads(&mut self, folder: PathBuf) {
        self.downloads = Some(folder);
    }

    /// Starts a job. [`Executor::next`] reports whatever goes wrong, as for any other end.
    pub fn start(&mut self, job: Job) {
        let Job { id, log, timeout, work } = job;
        let started = Instant::now();
        let body = match work {
            JobWork::Kind(task) => self.start_kind(id, task, &log),
            JobWork::Command(task) => self.start_command(id, task, &log),
        };
        match body {
            Ok(body) => {
                let metrics = match &body {
                    Body::Command(_, task) => Some(MetricFile::new(command::metrics_path(&task.work))),
                    Body::Thread(_) | Body::Worker(_) => None,
                };
                let (progress, reported_at) = (None, None);
                let running =
                    Running { log, started, timeout, stop: None, body, progress, reported_at, metrics, measured: 0 };
                self.jobs.insert(id, running);
            }
            Err(failure) => {
                let usage = Usage { wall: started.elapsed(), ..Usage::default() };
                let ended = Finished { id, result: Err(failure), cancelled: false, usage, orphans: false };
                self.outbox.push_back(Message::Ended(Box::new(ended)));
            }
        }
    }

    fn start_kind(&mut self, id: InstanceId, task: Box<Task>, log: &std::path::Path) -> Result<Body, Failure> {
        let registry = &self.settings.registry;
        let Some(runs) = registry.kind(&task.kind).map(|kind| kind.runs) else {
            return Err(Failure::internal(format!("this binary has no kind `{}`", task.kind)));
        };
        if registry.stage(&task.kind).is_some() {
            let (registry, ended) = (Arc::clone(registry), self.thread_ended.clone());
            let places = (log.to_path_buf(), self.downloads.clone());
            return threads::start(id, task, registry, places, ended, self.waker.clone()).map(Body::Thread);
        }
        let idle = self.workers.values_mut().find(|worker| {
            runs == Runs::ProcessReusable
                && matches!(worker.phase, worker_process::WorkerPhase::Idle)
                && worker.threads == task.threads
                && worker.descriptor().is_some()
        });
        if let Some(worker) = idle {
            // If the message cannot be sent, the worker has died and its exit ends the job.
            worker.assign(id, task);
            return Ok(Body::Worker(worker.process));
        }
        let guard = start_guard(&mut self.guard, &self.settings)?;
        let worker = Worker::start(guard, &self.settings.worker, id, task, runs, log)?;
        let process = worker.process;
        self.workers.insert(process, worker);
        Ok(Body::Worker(process))
    }

    fn start_command(
        &mut self,
        id: InstanceId,
        task: Box<CommandTask>,
        log: &std::path::Path,
    ) -> Result<Body, Failure> {
        let command::Prepared { layout, environment, reach } =
            command::prepare(&task, self.sharing.of(&task), command::Reach::of(&task, self.guarded))?;
        let interpreter = &task.facts.interpreter;
        let arguments = interpreter.arguments(&task.command.body, &layout.files)?;
        command::check_sizes(&task, &environment)?;
        let output = worker_process::open_log(log)?;
        let common = self.common.get_or_insert_with(|| {
            let mut common = readable::system(&[&task.project, &task.cache]);
            common.extend(self.settings.readable.iter().cloned());
            common
        });
        let guard = start_guard(&mut self.guard, &self.settings)?;
        let arguments: Vec<&std::ffi::OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        let limits = Limits {
            writable: &[&layout.files, &layout.out, &layout.tmp],
            readable: &reach.readable,
            common,
            changeable: task.work.parent().unwrap_or(&task.work),
            network: task.command.net,
        };
        let spawn = Spawn {
            program: &interpreter.program,
            arguments: &arguments,
            environment: &environment,
            folder: &layout.files,
            limits: task.command.isolated.then_some(limits),
        };
        let process = guard
            .spawn(spawn, output.as_fd(), None)
            .map_err(|error| Failure::environment(format!("could not start the command: {error}")))?;
        self.commands.insert(process, id);
        self.reached.insert(id, reach);
        Ok(Body::Command(process, task))
    }

    /// Cancels a job: the cancel flag for threads, a message for workers, SIGTERM for commands. SIGTERM to a worker
    /// follows after the grace time, SIGKILL after another. A thread that ignores the flag is abandoned after the grace
    /// time: its job ends and what it writes is ignored.
    pub fn cancel(&mut self, id: InstanceId) {
        self.stop(id, StopCause::Cancelled);
    }

    /// Kills every process at once. The jobs of threads are cancelled and end at once too, without their threads.
    pub fn kill_all(&mut self) {
        let ids: Vec<InstanceId> = self.jobs.keys().copied().collect();
        for id in ids {
            self.stop(id, StopCause::Cancelled);
            let step = if matches!(self.jobs[&id].body, Body::Thread(_)) { StopStep::Abandon } else { StopStep::Kill };
            self.apply_step(id, step);
        }
    }

    /// How many jobs have not ended.
    pub fn running(&self) -> usize {
        self.jobs.len()
    }

    /// Ends a wait in [`Executor::next`] from another thread, such as a signal's.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Kills what still runs, ends idle workers and the guard, and waits for them. Dropping does the same.
    pub fn shutdown(self) {
        drop(self);
    }

    /// The next message. Waits for it, at most so long or until a [`Waker`] ends the wait.
    pub fn next(&mut self, timeout: Duration) -> Option<Message> {
        let until = Instant::now() + timeout;
        loop {
            self.handle_timers();
            if let Some(message) = self.outbox.pop_front() {
                return Some(message);
            }
            let deadline = self.next_deadline().map_or(until, |deadline| deadline.min(until));
            let woken = self.wait_for_events(deadline);
            if woken || (Instant::now() >= until && self.outbox.is_empty()) {
                self.report_progress();
                return self.outbox.pop_front();
            }
        }
    }

    /// Waits for one of the descriptors and reads what has arrived. True if a waker requested a return.
    fn wait_for_events(&mut self, until: Instant) -> bool {
        let workers: Vec<ProcessId> =
            self.workers.values().filter(|worker| worker.descriptor().is_some()).map(|worker| worker.process).collect();
        let mut descriptors: Vec<BorrowedFd<'_>> = vec![self.waker.descriptor()];
        descriptors.extend(workers.iter().filter_map(|process| self.workers[process].descriptor()));
        descriptors.extend(self.guard.as_ref().and_then(Guard::descriptor));
        let Ok(ready) = wake::wait(&descriptors, until) else { return true };
        let guard_ready = ready.len() > workers.len() + 1 && ready[workers.len() + 1];
        for (process, _) in workers.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            self.read_worker(*process);
        }
        if guard_ready {
            self.read_guard();
        }
        let woken = ready[0] && self.waker.settle();
        if ready[0] {
            self.read_threads();
        }
        woken
    }

    // Threads.

    fn read_threads(&mut self) {
        while let Ok(ended) = self.threads.try_recv() {
            let is_this = self.jobs.get(&ended.id).is_some_and(|job| match &job.body {
                Body::Thread(thread) => Arc::ptr_eq(thread, &ended.thread),
                Body::Command(..) | Body::Worker(_) => false,
            });
            if is_this {
                self.report_metrics(ended.id, ended.thread.take_metrics());
                let usage = Usage { cpu: ended.cpu, ..Usage::default() };
                self.finish(ended.id, ended.result, usage, false);
            }
        }
        let mut metrics = Vec::new();
        for (id, job) in &mut self.jobs {
            let Body::Thread(thread) = &job.body else { continue };
            if let Some(progress) = thread.take_progress() {
                job.progress = Some(progress);
            }
            metrics.push((*id, thread.take_metrics()));
        }
        metrics.into_iter().for_each(|(id, metrics)| self.report_metrics(id, metrics));
    }

    // Processes.

    fn read_guard(&mut self) {
        let Some(guard) = self.guard.as_mut() else { return };
        let alive = guard.read();
        while let Some(answer) = self.guard.as_mut().and_then(Guard::answer) {
            match answer {
                Answer::Ready(_) => {}
                Answer::Started(process, pid) => {
                    if let Some(worker) = self.workers.get_mut(&process) {
                        worker.pid = Some(pid);
                    }
                }
                Answer::NotStarted(process, step, number) => {
                    self.not_started(process, &step, number);
                }
                Answer::Exited(process, exit) => self.exited(process, &exit),
            }
        }
        if let Err(error) = alive {
            self.lose_guard(&error);
        }
    }

    fn not_started(&mut self, process: ProcessId, step: &str, number: i32) {
        let error = std::io::Error::from_raw_os_error(number);
        let failure = match self.commands.get(&process).and_then(|id| self.jobs.get(id)).map(|job| &job.body) {
            Some(Body::Command(_, task)) if number == libc::E2BIG => command::too_large(task),
            _ => Failure::environment(format!("could not {step} it: {error}")),
        };
        self.process_failed(process, failure);
    }

    /// Without the guard no process of this run is left.
    fn lose_guard(&mut self, error: &std::io::Error) {
        self.guard = None;
        self.guarded = false;
        for job in self.jobs.values() {
            if let Body::Command(_, task) = &job.body {
                kill_inside(&task.work);
            }
        }
        let processes: Vec<ProcessId> = self.commands.keys().chain(self.workers.keys()).copied().collect();
        for process in processes {
            self.process_failed(process, Failure::environment(format!("its process is gone: {error}")));
        }
    }

    /// Ends the job of a process of which no further message will arrive.
    fn process_failed(&mut self, process: ProcessId, failure: Failure) {
        let id = match (self.commands.remove(&process), self.workers.remove(&process)) {
            (Some(id), _) => Some(id),
            (None, worker) => worker.and_then(|worker| worker.job()),
        };
        if let Some(id) = id {
            self.finish(id, Err(failure), Usage::default(), true);
        }
    }

    fn exited(&mut self, process: ProcessId, exit: &Exit) {
        match self.commands.remove(&process) {
            Some(id) => self.command_ended(id, exit),
            None => self.worker_ended(process, exit),
        }
    }

    fn command_ended(&mut self, id: InstanceId, exit: &Exit) {
        let Some(Running { body: Body::Command(_, task), log, stop, .. }) = self.jobs.get(&id) else { return };
        let result = match exit.how {
            How::Code(0) => command::collect(task),
            _ if stop.is_some() => Err(Failure::stage(format!("the command ended with {}", hints::describe(exit)))),
            _ => Err(hints::command_failure(task, exit, log)),
        };
        let isolation = isolation_of(task, exit.confined);
        if task.command.isolated {
            self.guarded = exit.confined.read_only;
        }
        if exit.confined.read_only {
            self.reached.remove(&id); // Nothing of it can have changed.
        }
        let (metrics, note) = self.jobs.get_mut(&id).and_then(|job| job.metrics.take()).map(MetricFile::finish).unzip();
        let result = result.map(|ended| with_notes(ended, isolation, note.flatten()));
        self.report_metrics(id, metrics.unwrap_or_default());
        let usage = Usage { cpu: exit.cpu, peak_rss: exit.peak_rss, isolation: Some(isolation), ..Usage::default() };
        self.finish(id, result, usage, exit.orphans);
    }

    // Workers.

    fn read_worker(&mut self, process: ProcessId) {
        let Some(worker) = self.workers.get_mut(&process) else { return };
        match worker.receive() {
            Ok((messages, ended)) => {
                for message in messages {
                    self.handle_message(process, message);
                }
                if ended && let Some(worker) = self.workers.get_mut(&process) {
                    worker.deadline.get_or_insert(Instant::now() + worker_process::EXIT_TIMEOUT);
                }
            }
            Err(failure) => self.fail_worker(process, failure),
        }
    }

    fn handle_message(&mut self, process: ProcessId, message: FromWorker) {
        let Some(worker) = self.workers.get_mut(&process) else { return };
        match (std::mem::replace(&mut worker.phase, worker_process::WorkerPhase::Idle), message) {
            (worker_process::WorkerPhase::Starting(id, task), hello) => {
                let settings = &self.settings;
                match worker_process::accept(&hello, &settings.worker, &settings.registry, &task.kind) {
                    Ok(()) => {
                        worker.assign(id, task);
                    }
                    Err(failure) => {
                        worker.phase = worker_process::WorkerPhase::Starting(id, task);
                        self.fail_worker(process, failure);
                    }
                }
            }
            (worker_process::WorkerPhase::Working(id), FromWorker::Progress { progress }) => {
                worker.phase = worker_process::WorkerPhase::Working(id);
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.progress = Some(progress);
                }
            }
            (worker_process::WorkerPhase::Working(id), FromWorker::Metric { metric }) => {
                worker.phase = worker_process::WorkerPhase::Working(id);
                self.report_metrics(id, vec![metric]);
            }
            (worker_process::WorkerPhase::Working(id), FromWorker::Ended { result }) => {
                self.task_ended(process, id, result)
            }
            (phase, message) => {
                worker.phase = phase;
                self.fail_worker(
                    process,
                    Failure::internal(format!("the worker sent an unexpected message: {message:?}")),
                );
            }
        }
    }

    /// A worker has ended its task. A fresh one is waited for, because what it used is known only at its end.
    fn task_ended(&mut self, process: ProcessId, id: InstanceId, result: Result<Ended, Failure>) {
        let recycle_after = self.settings.worker.recycle_after.max(1);
        let Some(worker) = self.workers.get_mut(&process) else { return };
        if !worker.reusable {
            worker.phase = worker_process::WorkerPhase::Exiting(Some((id, result)));
            worker.quit();
            return;
        }
        worker.done += 1;
        let (cpu, peak_rss) = worker.usage();
        if let Some(job) = self.jobs.get(&id) {
            worker.move_output(&job.log);
        }
        worker.phase = worker_process::WorkerPhase::Idle;
        // One whose task was being stopped may be in an undefined state: it does not get another task.
        let stopped = self.jobs.get(&id).is_some_and(|job| job.stop.is_some());
        if worker.done >= recycle_after || stopped {
            worker.phase = worker_process::WorkerPhase::Exiting(None);
            worker.quit();
        }
        self.finish(id, result, Usage { cpu, peak_rss, ..Usage::default() }, false);
    }

    /// Kills a worker that broke the protocol; its job fails with this when it is gone.
    fn fail_worker(&mut self, process: ProcessId, failure: Failure) {
        if let Some(worker) = self.workers.get_mut(&process) {
            worker.fault.get_or_insert(failure);
            worker.deadline = None;
        }
        self.signal(process, libc::SIGKILL);
    }

    fn worker_ended(&mut self, process: ProcessId, exit: &Exit) {
        // Its last messages may still be in the channel.
        self.read_worker(process);
        let Some(mut worker) = self.workers.remove(&process) else { return };
        let cpu = exit.cpu.saturating_sub(worker.spent());
        let Some(id) = worker.job() else { return };
        let Some(job) = self.jobs.get(&id) else { return };
        worker.move_output(&job.log);
        let log = job.log.clone();
        let result = match (worker.phase, worker.fault) {
            (_, Some(fault)) => Err(fault),
            (worker_process::WorkerPhase::Exiting(Some((_, result))), None) => result,
            (worker_process::WorkerPhase::Starting(..), None) => {
                Err(worker_process::load_failure(&self.settings.worker, exit, &log).unwrap_or_else(|| died(exit, &log)))
            }
            (_, None) => Err(died(exit, &log)),
        };
        self.finish(id, result, Usage { cpu, peak_rss: exit.peak_rss, ..Usage::default() }, exit.orphans);
    }

    // Ends and stops.

    /// Ends a job; `usage` is without its wall time.
    fn finish(&mut self, id: InstanceId, result: Result<Ended, Failure>, usage: Usage, orphans: bool) {
        let Some(job) = self.jobs.remove(&id) else { return };
        let reach = self.reached.remove(&id);
        let result = match (&job.body, reach.as_ref().and_then(command::Reach::restore)) {
            (Body::Command(_, task), Some(path)) => result.and(Err(command::changed_permissions(task, path))),
            _ => result,
        };
        if let (Body::Command(_, task), Err(_)) = (&job.body, &result) {
            command::unshare_inputs(task);
        }
        let usage = Usage { wall: job.started.elapsed(), ..usage };
        let result = result.map(|ended| with_unreported(ended, job.measured));
        let (result, cancelled) = match (job.stop.map(|stop| stop.cause), result) {
            (Some(StopCause::Cancelled), Err(_)) => (Err(Failure::stage("stopped before it was done")), true),
            (Some(StopCause::TimedOut), Err(_)) => (Err(timed_out(job.timeout.unwrap_or_default())), false),
            (_, result) => (result, false),
        };
        self.outbox.push_back(Message::Ended(Box::new(Finished { id, result, cancelled, usage, orphans })));
    }

    fn stop(&mut self, id: InstanceId, cause: StopCause) {
        let grace = self.settings.grace;
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.stop.is_none()) else { return };
        let next = match &job.body {
            Body::Thread(thread) => {
                thread.cancel();
                StopStep::Abandon
            }
            // A time-out has no grace: the time was the grace.
            Body::Command(..) | Body::Worker(_) if cause == StopCause::TimedOut => StopStep::Kill,
            Body::Command(..) => StopStep::Terminate,
            Body::Worker(process) => {
                if let Some(worker) = self.workers.get_mut(process) {
                    worker.send(&ToWorker::Cancel);
                }
                StopStep::Terminate
            }
        };
        let at_once = cause == StopCause::TimedOut || matches!(job.body, Body::Command(..));
        let at_once = at_once && !matches!(job.body, Body::Thread(_));
        job.stop = Some(Stop { cause, next: (!at_once).then(|| (Instant::now() + grace, next)) });
        if at_once {
            self.apply_step(id, next);
        }
    }

    fn apply_step(&mut self, id: InstanceId, step: StopStep) {
        let grace = self.settings.grace;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let process = match &job.body {
            Body::Thread(_) => None,
            Body::Command(process, _) | Body::Worker(process) => Some(*process),
        };
        if let Some(stop) = job.stop.as_mut() {
            stop.next = matches!(step, StopStep::Terminate).then(|| (Instant::now() + grace, StopStep::Kill));
        }
        match (step, process) {
            (StopStep::Terminate, Some(process)) => self.signal(process, libc::SIGTERM),
            (StopStep::Kill, Some(process)) => self.signal(process, libc::SIGKILL),
            (StopStep::Abandon, _) | (_, None) => {
                let failure = Failure::stage("did not stop after its cancellation; its thread was abandoned");
                self.finish(id, Err(failure), Usage::default(), false);
            }
        }
    }

    fn signal(&mut self, process: ProcessId, signal: i32) {
        let sent = self.guard.as_mut().map(|guard| guard.signal(process, signal));
        if let Some(Err(error)) = sent {
            self.lose_guard(&error);
        }
    }

    // Time.

    /// Does what is due: time-outs, the next step of a stop, workers that hang, metrics of commands, progress that was held
    /// back.
    fn handle_timers(&mut self) {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let late = |job: &Running| job.stop.is_none() && due(job.timeout.map(|timeout| job.started + timeout));
        for id in self.ids(late) {
            self.stop(id, StopCause::TimedOut);
        }
        for id in self.ids(|job| due(job.next_step().map(|(at, _)| at))) {
            if let Some((_, step)) = self.jobs[&id].next_step() {
                self.apply_step(id, step);
            }
        }
        for id in self.ids(|job| due(job.metrics.as_ref().map(MetricFile::due))) {
            let metrics = self.jobs.get_mut(&id).and_then(|job| job.metrics.as_mut()).map(MetricFile::read);
            self.report_metrics(id, metrics.unwrap_or_default());
        }
        let hung: Vec<ProcessId> =
            self.workers.values().filter(|worker| due(worker.deadline)).map(|worker| worker.process).collect();
        for process in hung {
            self.kill_overdue(process);
        }
        self.report_progress();
    }

    /// Kills a worker that sends no hello message or does not exit.
    fn kill_overdue(&mut self, process: ProcessId) {
        let Some(worker) = self.workers.get_mut(&process) else { return };
        worker.deadline = None;
        if matches!(worker.phase, worker_process::WorkerPhase::Starting(..)) {
            let seconds = worker_process::HELLO_TIMEOUT.as_secs();
            let failure = Failure::environment(format!("the worker sent no hello message within {seconds} s"));
            worker.fault.get_or_insert(failure.hint("see its log"));
        }
        self.signal(process, libc::SIGKILL);
    }

    /// Reports the latest progress of every job, each at most once in [`PROGRESS_INTERVAL`].
    fn report_progress(&mut self) {
        let now = Instant::now();
        for (id, job) in &mut self.jobs {
            if job.reported_at.is_none_or(|at| now >= at + PROGRESS_INTERVAL)
                && let Some(progress) = job.progress.take()
            {
                job.reported_at = Some(now);
                self.outbox.push_back(Message::Progress { id: *id, progress });
            }
        }
    }

    fn report_metrics(&mut self, id: InstanceId, metrics: Vec<Metric>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let room = MOST_METRICS.saturating_sub(job.measured);
        job.measured += metrics.len();
        self.outbox.extend(metrics.into_iter().take(room).map(|metric| Message::Metric { id, metric }));
    }

    fn next_deadline(&self) -> Option<Instant> {
        let jobs = self.jobs.values().flat_map(|job| {
            let timeout = job.timeout.filter(|_| job.stop.is_none()).map(|timeout| job.started + timeout);
            let progress = job.reported_at.filter(|_| job.progress.is_some()).map(|at| at + PROGRESS_INTERVAL);
            let metrics = job.metrics.as_ref().map(MetricFile::due);
            [timeout, progress, metrics, job.next_step().map(|(at, _)| at)]
        });
        jobs.chain(self.workers.values().map(|worker| worker.deadline)).flatten().min()
    }

    fn ids(&self, holds: impl Fn(&Running) -> bool) -> Vec<InstanceId> {
        self.jobs.iter().filter(|(_, job)| holds(job)).map(|(id, _)| *id).collect()
    }
}

impl Running {
    fn next_step(&self) -> Option<(Instant, StopStep)> {
        self.stop.as_ref()?.next
    }
}

/// What kept a command from the rest of the machine, for its record.
pub(super) fn isolation_of(task: &CommandTask, confined: Confined) -> Isolation {
    let files = match (task.command.isolated, confined.files) {
        (false, _) => FileIsolation::None,
        (true, false) => FileIsolation::Files,
        (true, true) => FileIsolation::Full,
    };
    let network = match (confined.network, task.command.net) {
        (true, _) => NetworkIsolation::None,
        (false, true) => NetworkIsolation::Declared,
        (false, false) => NetworkIsolation::Open,
    };
    Isolation { files, network }
}

/// Adds that not all metrics were reported.
fn with_unreported(ended: Ended, measured: usize) -> Ended {
    match ended {
        Ended::Done { ran_on, mut notes, aggregated } if measured > MOST_METRICS => {
            notes.push(format!("it measured {measured} metrics; the first {MOST_METRICS} are logged"));
            Ended::Done { ran_on, notes, aggregated }
        }
        ended => ended,
    }
}

/// Adds what a command could reach although it does not declare it, and what was wrong with its metrics.
pub(super) fn with_notes(ended: Ended, isolation: Isolation, metrics: Option<String>) -> Ended {
    let files = match isolation.files {
        FileIsolation::Full => None,
        FileIsolation::Files => {
            Some("isolation: files (this kernel has no rules for reading; absolute paths were open)")
        }
        FileIsolation::None => Some("isolation: none (all files and the network were open, as the stage asks for)"),
    };
    let network = match (isolation.network, isolation.files) {
        (NetworkIsolation::Open, FileIsolation::Full | FileIsolation::Files) => {
            Some("network: open (this system allows no network namespace; the stage could use the network)")
        }
        _ => None,
    };
    match ended {
        Ended::Done { ran_on, mut notes, aggregated } => {
            notes.extend([files, network].into_iter().flatten().map(str::to_owned).chain(metrics));
            Ended::Done { ran_on, notes, aggregated }
        }
        absent => absent,
    }
}

/// The guard, started if it is the first time. Free of `self`, so that other parts can be borrowed meanwhile.
fn start_guard<'a>(guard: &'a mut Option<Guard>, settings: &Settings) -> Result<&'a mut Guard, Failure> {
    match guard {
        Some(guard) => Ok(guard),
        none => Ok(none.insert(Guard::start(settings.guard.as_deref())?)),
    }
}

fn died(exit: &Exit, log: &std::path::Path) -> Failure {
    let message = format!(
        "the worker died in the middle of the task, with {}{}",
        hints::describe(exit),
        hints::last_lines(&hints::tail(log))
    );
    match exit.how {
        How::Signal(libc::SIGKILL) => Failure::environment(message)
            .hint("if memory is short, give the stage a `mem:` in `resources:` so that fewer run at one time"),
        _ => Failure::stage(message),
    }
}

fn timed_out(timeout: Duration) -> Failure {
    Failure::stage(format!("took longer than its `timeout` of {} s and was killed", timeout.as_secs_f64()))
        .hint("raise `timeout:` of the stage, or take it away")
        .transient()
}
