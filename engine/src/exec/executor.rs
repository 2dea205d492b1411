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
use pipe_contract::{Ended, Failure, Progress, Runs, Task};

use super::guard::{Answer, Exit, Guard, How, ProcessId, Spawn, kill_inside};
use super::here::{self, ThreadEnded};
use super::wake::{self, Waker};
use super::worker::{self, Worker};
use super::{CommandTask, Finished, Job, Message, Settings, Usage, Work, command, hints};
use crate::ids::InstanceId;

/// Between two pieces of news of one job.
const THIN: Duration = Duration::from_millis(100);

/// Runs jobs side by side. Not a scheduler: whatever is started runs at once.
pub struct Executor {
    settings: Settings,
    guard: Option<Guard>,
    jobs: BTreeMap<InstanceId, Running>,
    commands: BTreeMap<ProcessId, InstanceId>,
    workers: BTreeMap<ProcessId, Worker>,
    outbox: VecDeque<Message>,
    sharing: command::Sharing,
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
    news: Option<Progress>,
    told: Option<Instant>,
}

/// Where a job runs.
enum Body {
    Thread(Arc<here::Shared>),
    Command(ProcessId, Box<CommandTask>),
    Worker(ProcessId),
}

/// A job that is being stopped.
struct Stop {
    why: Why,
    /// What comes next if it has not ended by then.
    next: Option<(Instant, Push)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Cancelled,
    TimedOut,
}

#[derive(Clone, Copy)]
enum Push {
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
            sharing: command::Sharing::safe(),
            waker,
            threads,
            thread_ended,
        })
    }

    /// Starts a job. Whatever goes wrong is told by [`Executor::next`], as for any other end.
    pub fn start(&mut self, job: Job) {
        let Job { id, log, timeout, work } = job;
        let started = Instant::now();
        let body = match work {
            Work::Kind(task) => self.start_kind(id, task, &log),
            Work::Command(task) => self.start_command(id, task, &log),
        };
        match body {
            Ok(body) => {
                let running = Running { log, started, timeout, stop: None, body, news: None, told: None };
                self.jobs.insert(id, running);
            }
            Err(failure) => {
                let usage = Usage { wall: started.elapsed(), ..Usage::default() };
                let ended = Finished { id, result: Err(failure), cancelled: false, usage, strays: false };
                self.outbox.push_back(Message::Ended(Box::new(ended)));
            }
        }
    }

    fn start_kind(&mut self, id: InstanceId, task: Box<Task>, log: &std::path::Path) -> Result<Body, Failure> {
        let registry = &self.settings.registry;
        let Some(runs) = registry.kind(&task.kind).map(|kind| kind.runs) else {
            return Err(Failure::internal(format!("there is no kind `{}` in this binary", task.kind)));
        };
        if registry.stage(&task.kind).is_some() {
            let (registry, ended) = (Arc::clone(registry), self.thread_ended.clone());
            return here::start(id, task, registry, log.to_path_buf(), ended, self.waker.clone()).map(Body::Thread);
        }
        let idle = self.workers.values_mut().find(|worker| {
            runs == Runs::ProcessReusable
                && matches!(worker.stage, worker::Stage::Idle)
                && worker.threads == task.threads
                && worker.descriptor().is_some()
        });
        if let Some(worker) = idle {
            // If it does not take the task, it has died and its exit ends the job.
            worker.give(id, task);
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
        let (layout, environment) = command::prepare(&task, self.sharing)?;
        let output = worker::open_log(log)?;
        let guard = start_guard(&mut self.guard, &self.settings)?;
        let spawn = Spawn {
            program: "/bin/sh".as_ref(),
            arguments: &["sh", "-eu", "-c", &task.command.body].map(AsRef::as_ref),
            environment: &environment,
            folder: &layout.files,
            writable: &[&layout.files, &layout.out, &layout.tmp],
        };
        let process = guard
            .spawn(spawn, output.as_fd(), None)
            .map_err(|error| Failure::environment(format!("could not start the command: {error}")))?;
        self.commands.insert(process, id);
        Ok(Body::Command(process, task))
    }

    /// Asks a job to stop: the cancel flag for threads, a message for workers, SIGTERM for commands. SIGTERM to a worker
    /// follows after the grace time, SIGKILL after another. A thread that does not listen is left behind after the grace
    /// time: its job ends and nobody looks at what it writes.
    pub fn cancel(&mut self, id: InstanceId) {
        self.stop(id, Why::Cancelled);
    }

    /// Kills every process at once. The jobs of threads are asked to stop and end at once too, without their threads.
    pub fn kill_all(&mut self) {
        let ids: Vec<InstanceId> = self.jobs.keys().copied().collect();
        for id in ids {
            self.stop(id, Why::Cancelled);
            let push = if matches!(self.jobs[&id].body, Body::Thread(_)) { Push::Abandon } else { Push::Kill };
            self.push(id, push);
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

    /// The next piece of news. Waits for it, at most so long or until a [`Waker`] says so.
    pub fn next(&mut self, timeout: Duration) -> Option<Message> {
        let until = Instant::now() + timeout;
        loop {
            self.keep_time();
            if let Some(message) = self.outbox.pop_front() {
                return Some(message);
            }
            let alarm = self.next_alarm().map_or(until, |alarm| alarm.min(until));
            let asked = self.look_around(alarm);
            if asked || (Instant::now() >= until && self.outbox.is_empty()) {
                self.tell_news();
                return self.outbox.pop_front();
            }
        }
    }

    /// Waits for one of the descriptors and takes in what is there. True if a waker asked for a return.
    fn look_around(&mut self, until: Instant) -> bool {
        let workers: Vec<ProcessId> =
            self.workers.values().filter(|worker| worker.descriptor().is_some()).map(|worker| worker.process).collect();
        let mut descriptors: Vec<BorrowedFd<'_>> = vec![self.waker.descriptor()];
        descriptors.extend(workers.iter().filter_map(|process| self.workers[process].descriptor()));
        descriptors.extend(self.guard.as_ref().and_then(Guard::descriptor));
        let Ok(ready) = wake::wait(&descriptors, until) else { return true };
        let guard_spoke = ready.len() > workers.len() + 1 && ready[workers.len() + 1];
        for (process, _) in workers.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            self.hear(*process);
        }
        if guard_spoke {
            self.hear_guard();
        }
        let asked = ready[0] && self.waker.settle();
        if ready[0] {
            self.hear_threads();
        }
        asked
    }

    // Threads.

    fn hear_threads(&mut self) {
        while let Ok(ended) = self.threads.try_recv() {
            let is_this = self.jobs.get(&ended.id).is_some_and(|job| match &job.body {
                Body::Thread(thread) => Arc::ptr_eq(thread, &ended.thread),
                Body::Command(..) | Body::Worker(_) => false,
            });
            if is_this {
                self.finish(ended.id, ended.result, ended.cpu, 0, false);
            }
        }
        for job in self.jobs.values_mut() {
            if let Body::Thread(thread) = &job.body
                && let Some(news) = thread.take_news()
            {
                job.news = Some(news);
            }
        }
    }

    // Processes.

    fn hear_guard(&mut self) {
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
                    let error = std::io::Error::from_raw_os_error(number);
                    self.process_failed(process, &format!("could not {step} it: {error}"));
                }
                Answer::Exited(process, exit) => self.exited(process, &exit),
            }
        }
        if let Err(error) = alive {
            self.lose_guard(&error);
        }
    }

    /// Without its guard no process of ours is left.
    fn lose_guard(&mut self, error: &std::io::Error) {
        self.guard = None;
        for job in self.jobs.values() {
            if let Body::Command(_, task) = &job.body {
                kill_inside(&task.work);
            }
        }
        let processes: Vec<ProcessId> = self.commands.keys().chain(self.workers.keys()).copied().collect();
        for process in processes {
            self.process_failed(process, &format!("its process is gone: {error}"));
        }
    }

    /// Ends the job of a process about which there is nothing more to come.
    fn process_failed(&mut self, process: ProcessId, what: &str) {
        let id = match (self.commands.remove(&process), self.workers.remove(&process)) {
            (Some(id), _) => Some(id),
            (None, worker) => worker.and_then(|worker| worker.job()),
        };
        if let Some(id) = id {
            self.finish(id, Err(Failure::environment(what)), Duration::ZERO, 0, true);
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
        self.finish(id, result, exit.cpu, exit.peak_rss, exit.strays);
    }

    // Workers.

    fn hear(&mut self, process: ProcessId) {
        let Some(worker) = self.workers.get_mut(&process) else { return };
        match worker.hear() {
            Ok((messages, ended)) => {
                for message in messages {
                    self.worker_said(process, message);
                }
                if ended && let Some(worker) = self.workers.get_mut(&process) {
                    worker.deadline.get_or_insert(Instant::now() + worker::FAREWELL);
                }
            }
            Err(failure) => self.blame_worker(process, failure),
        }
    }

    fn worker_said(&mut self, process: ProcessId, message: FromWorker) {
        let Some(worker) = self.workers.get_mut(&process) else { return };
        match (std::mem::replace(&mut worker.stage, worker::Stage::Idle), message) {
            (worker::Stage::Greeting(id, task), greeting) => {
                let settings = &self.settings;
                match worker::accept(&greeting, &settings.worker, &settings.registry, &task.kind) {
                    Ok(()) => {
                        worker.give(id, task);
                    }
                    Err(failure) => {
                        worker.stage = worker::Stage::Greeting(id, task);
                        self.blame_worker(process, failure);
                    }
                }
            }
            (worker::Stage::Working(id), FromWorker::Progress { progress }) => {
                worker.stage = worker::Stage::Working(id);
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.news = Some(progress);
                }
            }
            (worker::Stage::Working(id), FromWorker::Ended { result }) => self.task_ended(process, id, result),
            (stage, message) => {
                worker.stage = stage;
                self.blame_worker(process, Failure::internal(format!("the worker said {message:?} out of turn")));
            }
        }
    }

    /// A worker has ended its task. A fresh one is waited for, because only its end tells what it used.
    fn task_ended(&mut self, process: ProcessId, id: InstanceId, result: Result<Ended, Failure>) {
        let recycle_after = self.settings.worker.recycle_after.max(1);
        let Some(worker) = self.workers.get_mut(&process) else { return };
        if !worker.reusable {
            worker.stage = worker::Stage::Leaving(Some((id, result)));
            worker.dismiss();
            return;
        }
        worker.done += 1;
        let (cpu, peak_rss) = worker.usage();
        if let Some(job) = self.jobs.get(&id) {
            worker.hand_over_output(&job.log);
        }
        worker.stage = worker::Stage::Idle;
        // One that was pushed may carry traces of it: it does not get another task.
        let pushed = self.jobs.get(&id).is_some_and(|job| job.stop.is_some());
        if worker.done >= recycle_after || pushed {
            worker.stage = worker::Stage::Leaving(None);
            worker.dismiss();
        }
        self.finish(id, result, cpu, peak_rss, false);
    }

    /// Kills a worker that broke the protocol; its job fails with this when it is gone.
    fn blame_worker(&mut self, process: ProcessId, failure: Failure) {
        if let Some(worker) = self.workers.get_mut(&process) {
            worker.fault.get_or_insert(failure);
            worker.deadline = None;
        }
        self.signal(process, libc::SIGKILL);
    }

    fn worker_ended(&mut self, process: ProcessId, exit: &Exit) {
        // Its last words may still lie in the channel.
        self.hear(process);
        let Some(mut worker) = self.workers.remove(&process) else { return };
        let cpu = exit.cpu.saturating_sub(worker.spent());
        let Some(id) = worker.job() else { return };
        let Some(job) = self.jobs.get(&id) else { return };
        worker.hand_over_output(&job.log);
        let log = job.log.clone();
        let result = match (worker.stage, worker.fault) {
            (_, Some(fault)) => Err(fault),
            (worker::Stage::Leaving(Some((_, result))), None) => result,
            (worker::Stage::Greeting(..), None) => {
                Err(worker::load_failure(&self.settings.worker, exit, &log).unwrap_or_else(|| died(exit, &log)))
            }
            (_, None) => Err(died(exit, &log)),
        };
        self.finish(id, result, cpu, exit.peak_rss, exit.strays);
    }

    // Ends and stops.

    fn finish(&mut self, id: InstanceId, result: Result<Ended, Failure>, cpu: Duration, peak_rss: u64, strays: bool) {
        let Some(job) = self.jobs.remove(&id) else { return };
        if let (Body::Command(_, task), Err(_)) = (&job.body, &result) {
            command::let_go(task);
        }
        let usage = Usage { wall: job.started.elapsed(), cpu, peak_rss };
        let (result, cancelled) = match (job.stop.map(|stop| stop.why), result) {
            (Some(Why::Cancelled), Err(_)) => (Err(Failure::stage("stopped before it was done")), true),
            (Some(Why::TimedOut), Err(_)) => (Err(timed_out(job.timeout.unwrap_or_default())), false),
            (_, result) => (result, false),
        };
        self.outbox.push_back(Message::Ended(Box::new(Finished { id, result, cancelled, usage, strays })));
    }

    fn stop(&mut self, id: InstanceId, why: Why) {
        let grace = self.settings.grace;
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.stop.is_none()) else { return };
        let next = match &job.body {
            Body::Thread(thread) => {
                thread.cancel();
                Push::Abandon
            }
            // A time-out has no grace: the time was the grace.
            Body::Command(..) | Body::Worker(_) if why == Why::TimedOut => Push::Kill,
            Body::Command(..) => Push::Terminate,
            Body::Worker(process) => {
                if let Some(worker) = self.workers.get_mut(process) {
                    worker.say(&ToWorker::Cancel);
                }
                Push::Terminate
            }
        };
        let at_once = why == Why::TimedOut || matches!(job.body, Body::Command(..));
        let at_once = at_once && !matches!(job.body, Body::Thread(_));
        job.stop = Some(Stop { why, next: (!at_once).then(|| (Instant::now() + grace, next)) });
        if at_once {
            self.push(id, next);
        }
    }

    fn push(&mut self, id: InstanceId, push: Push) {
        let grace = self.settings.grace;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let process = match &job.body {
            Body::Thread(_) => None,
            Body::Command(process, _) | Body::Worker(process) => Some(*process),
        };
        if let Some(stop) = job.stop.as_mut() {
            stop.next = matches!(push, Push::Terminate).then(|| (Instant::now() + grace, Push::Kill));
        }
        match (push, process) {
            (Push::Terminate, Some(process)) => self.signal(process, libc::SIGTERM),
            (Push::Kill, Some(process)) => self.signal(process, libc::SIGKILL),
            (Push::Abandon, _) | (_, None) => {
                let failure = Failure::stage("did not stop when it was asked to; its thread was left behind");
                self.finish(id, Err(failure), Duration::ZERO, 0, false);
            }
        }
    }

    fn signal(&mut self, process: ProcessId, signal: i32) {
        let told = self.guard.as_mut().map(|guard| guard.signal(process, signal));
        if let Some(Err(error)) = told {
            self.lose_guard(&error);
        }
    }

    // Time.

    /// Does what is due: time-outs, the next step of a stop, workers that hang, news that was held back.
    fn keep_time(&mut self) {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let late = |job: &Running| job.stop.is_none() && due(job.timeout.map(|timeout| job.started + timeout));
        for id in self.ids(late) {
            self.stop(id, Why::TimedOut);
        }
        for id in self.ids(|job| due(job.next_push().map(|(at, _)| at))) {
            if let Some((_, push)) = self.jobs[&id].next_push() {
                self.push(id, push);
            }
        }
        let hung: Vec<ProcessId> =
            self.workers.values().filter(|worker| due(worker.deadline)).map(|worker| worker.process).collect();
        for process in hung {
            self.give_up_on(process);
        }
        self.tell_news();
    }

    /// Kills a worker that does not greet or does not leave.
    fn give_up_on(&mut self, process: ProcessId) {
        let Some(worker) = self.workers.get_mut(&process) else { return };
        worker.deadline = None;
        if matches!(worker.stage, worker::Stage::Greeting(..)) {
            let seconds = worker::GREETING.as_secs();
            let failure = Failure::environment(format!("the worker did not greet within {seconds} s"));
            worker.fault.get_or_insert(failure.hint("its log may say why"));
        }
        self.signal(process, libc::SIGKILL);
    }

    /// Passes on the latest news of every job that has not told any for a while.
    fn tell_news(&mut self) {
        let now = Instant::now();
        for (id, job) in &mut self.jobs {
            if job.told.is_none_or(|told| now >= told + THIN)
                && let Some(progress) = job.news.take()
            {
                job.told = Some(now);
                self.outbox.push_back(Message::Progress { id: *id, progress });
            }
        }
    }

    fn next_alarm(&self) -> Option<Instant> {
        let jobs = self.jobs.values().flat_map(|job| {
            let timeout = job.timeout.filter(|_| job.stop.is_none()).map(|timeout| job.started + timeout);
            let news = job.told.filter(|_| job.news.is_some()).map(|told| told + THIN);
            [timeout, news, job.next_push().map(|(at, _)| at)]
        });
        jobs.chain(self.workers.values().map(|worker| worker.deadline)).flatten().min()
    }

    fn ids(&self, holds: impl Fn(&Running) -> bool) -> Vec<InstanceId> {
        self.jobs.iter().filter(|(_, job)| holds(job)).map(|(id, _)| *id).collect()
    }
}

impl Running {
    fn next_push(&self) -> Option<(Instant, Push)> {
        self.stop.as_ref()?.next
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
