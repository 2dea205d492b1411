//! The run loop: takes decisions from the scheduler, looks up instances, starts work on the executor, and commits its
//! outputs.
//!
//! ```text
//! look up ──hit──────────────────────────────► ended
//!    │ miss
//!    ▼
//! queued ──► lock the key ──taken──► aside (key locked), queued again
//!               │ ours (and no record was published meanwhile)
//!               ▼
//!            working ──transient──► aside (before a retry), queued again
//!               │ done
//!               ▼
//!            committing: what comes before all readers is started, outputs checked, stored, record published ──► ended
//! ```
//! A record is published before the end is reported, so work that was reported as ended is never done twice.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pipe_cache::remove_all;
use pipe_contract::{Device, Failure, Progress};

use super::attempt::{Attempt, AttemptPlace, Due, Slots};
use super::commit::{Commit, Committed};
use super::disclosure::Disclosure;
use super::ended::{EndedTable, FinishedWork, Report};
use super::event_log::EventLog;
use super::lookup::{Known, Lookup, LookupOptions, LookupOutcome};
use super::lost_outputs::{self, TimesLost, input_paths};
use super::options::RunOptions;
use super::prepare_task::prepare;
use super::publish_results::Publishing;
use super::sessions::Sessions;
use super::state_dirs::StateDirs;
use super::stop::Stop;
use super::storage::{CacheHealth, Storage};
use super::withheld::{self, is_withheld};
use crate::event::{Event, Outcome};
use crate::exec::{Executor, Finished, Job, Message};
use crate::ids::InstanceId;
use crate::plan::Plan;
use crate::report::cache_failure;
use crate::sched::{Aside, Because, Core, Ending, Grant, Options, State, needed_by};

/// How long the executor is waited for when nothing is due.
const LONG: Duration = Duration::from_secs(3600);
/// How often a key that another process works on is looked up.
const POLL: Duration = Duration::from_millis(50);
/// The pause before the second attempt; it doubles from attempt to attempt, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A run going on.
pub(super) struct RunLoop<'a> {
    pub lookup: Lookup<'a>,
    dirs: &'a StateDirs,
    pub(super) disclosure: Rc<Disclosure<'a>>,
    options: &'a RunOptions,
    lookup_options: LookupOptions,
    events: &'a mut dyn FnMut(Event),
    /// The same events, for later readers.
    pub log: EventLog,
    stop: &'a Stop,
    sessions: Sessions,
    executor: Option<Executor>,
    /// What is to be done, by instance, from its lookup to its end.
    due: BTreeMap<InstanceId, Due<'a>>,
    working: BTreeMap<InstanceId, Attempt>,
    slots: Slots,
    /// Those that are [`Aside::KeyLocked`].
    key_locked: Vec<InstanceId>,
    /// Those that are [`Aside::BeforeRetry`], with the end of their pause.
    before_retry: Vec<(Instant, InstanceId)>,
    pub ended: EndedTable,
    pub used: Used,
    times_lost: TimesLost,
    /// Set by the caller of a run whose results go to the project.
    pub publishing: Option<Publishing<'a>>,
    health: CacheHealth,
}

/// What jobs used in all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// Of processes; threads are part of our own process.
    pub cpu: Duration,
    pub peak_rss: u64,
}

impl<'a> RunLoop<'a> {
    pub fn new(
        lookup: Lookup<'a>,
        disclosure: Disclosure<'a>,
        (options, lookup_options): (&'a RunOptions, LookupOptions),
        events: &'a mut dyn FnMut(Event),
        log: EventLog,
        stop: &'a Stop,
    ) -> Self {
        Self {
            disclosure: Rc::new(disclosure),
            dirs: lookup.dirs,
            lookup,
            options,
            lookup_options,
            events,
            log,
            stop,
            sessions: Sessions::default(),
            executor: None,
            due: BTreeMap::new(),
            working: BTreeMap::new(),
            slots: Slots::default(),
            key_locked: Vec::new(),
            before_retry: Vec::new(),
            ended: EndedTable::default(),
            used: Used::default(),
            times_lost: TimesLost::default(),
            publishing: None,
            health: CacheHealth::default(),
        }
    }

    fn plan(&self) -> &'a Plan {
        self.lookup.plan
    }

    /// Looks up instances in order of the plan until one must run or a stop is requested. `true` if none must: then
    /// all have ended.
    pub fn all_known(&mut self, wanted: Option<&[bool]>) -> bool {
        let wanted = |id: InstanceId| wanted.is_none_or(|wanted| wanted[id.index()]);
        let plan = self.lookup.plan;
        // Nothing depends on it while all are hits, and all at once is faster.
        self.lookup.check_later();
        let is_known = |id| {
            self.stop.requests() == 0
                && matches!(
                    self.lookup.look_up(id, &self.lookup_options),
                    LookupOutcome::Hit | LookupOutcome::Absent { .. }
                )
        };
        let all = plan.ids().filter(|id| wanted(*id)).all(is_known);
        if !self.lookup.check() {
            plan.ids().filter(|id| wanted(*id)).for_each(|id| self.lookup.forget(id));
            return false;
        }
        if !all {
            return false;
        }
        for id in self.plan().ids().filter(|id| wanted(*id)) {
            match self.lookup.known(id).clone() {
                Known::Absent { cause, origin } => {
                    self.report_absent(id, &cause, origin, true, FinishedWork::default())
                }
                _ => self.report_hit(id),
            }
        }
        true
    }

    /// Runs what must run, until every wanted instance has ended.
    pub fn work(&mut self, wanted: Option<Vec<bool>>) -> Result<(), Failure> {
        let mut core = self.core(wanted)?;
        let mut stops = 0;
        loop {
            stops = self.handle_stops(&mut core, stops);
            self.requeue(&mut core);
            self.decide(&mut core, stops);
            self.report_settled(&mut core);
            if self.stop.requests() > stops {
                continue;
            }
            if core.is_done() && self.working.is_empty() {
                break;
            }
            if let Some(defect) = core.defect() {
                return Err(Failure::internal(format!("the scheduler refused a step: {defect}")));
            }
            if self.working.is_empty() && self.key_locked.is_empty() && self.before_retry.is_empty() {
                return Err(Failure::internal(format!("nothing can go on: {:?}", core.counts())));
            }
            self.publish();
            let wait = self.until_due();
            match self.executor.as_mut() {
                Some(executor) => {
                    let message = executor.next(wait);
                    self.handle(&mut core, message);
                }
                None => std::thread::sleep(wait.min(POLL)),
            }
        }
        self.stop.set_waker(None);
        if let Some(executor) = self.executor.take() {
            executor.shutdown();
        }
        self.sessions.flush().map_err(|error| cache_failure(&error))
    }

    fn core(&mut self, wanted: Option<Vec<bool>>) -> Result<Core, Failure> {
        let plan = self.plan();
        let mut durations = Vec::with_capacity(plan.instances.len());
        for id in plan.ids() {
            let last = self.lookup.local(id).last_work(&plan.label(id))?;
            durations.push(last.map(|last| last.seconds));
        }
        (self.events)(Event::WorkBegins { recorded: durations.clone() });
        let options = Options { fail_fast: self.options.fail_fast, durations, wanted, shuffle: self.options.shuffle };
        Core::new(plan, self.options.capacities.clone(), options)
    }

    /// Carries out the stop requests since the last time; returns how many there were in all.
    fn handle_stops(&mut self, core: &mut Core, handled: u8) -> u8 {
        let requests = self.stop.requests();
        if handled == 0 && requests > 0 {
            self.log.stopping();
            (self.events)(Event::Stopping);
            self.halt(core);
            let running: Vec<_> = self.working.keys().copied().collect();
            if let Some(executor) = &mut self.executor {
                running.into_iter().for_each(|id| executor.cancel(id));
            }
        }
        if handled < 2
            && requests > 1
            && let Some(executor) = &mut self.executor
        {
            executor.kill_all();
        }
        requests
    }

    /// Starts nothing from now on.
    fn halt(&mut self, core: &mut Core) {
        core.stop();
        self.key_locked.clear();
        self.before_retry.clear();
    }

    /// Looks up and starts whatever can be. A start that ends at once (a hit after all, a failure) may make more
    /// instances ready.
    /// Breaks off when there are more stop requests than were handled.
    fn decide(&mut self, core: &mut Core, handled: u8) {
        loop {
            let mut moved = false;
            loop {
                if self.stop.requests() > handled {
                    return;
                }
                let Some(id) = core.next_check() else { break };
                self.check(core, id);
                moved = true;
            }
            while self.stop.requests() <= handled
                && let Some((id, grant)) = core.next_start()
            {
                self.start(core, id, &grant);
                moved = true;
            }
            if !moved {
                break;
            }
        }
    }

    /// Starts what can use the amounts of an instance that is about to be committed: hashing and storing its outputs takes
    /// this thread, not the processors of the stages.
    fn start_during(&mut self, core: &mut Core, commit: InstanceId) {
        let storage = Storage::of(commit, self.dirs, &self.sessions, &self.health);
        let has_room = storage.is_ok_and(|storage| storage.has_room());
        while has_room
            && self.stop.requests() == 0
            && let Some((id, grant)) = core.next_start_during(commit)
        {
            self.start(core, id, &grant);
        }
    }

    /// How long nothing is due besides messages of the executor.
    fn until_due(&self) -> Duration {
        let now = Instant::now();
        let pause = self.before_retry.iter().map(|(at, _)| at.saturating_duration_since(now)).min().unwrap_or(LONG);
        let publish = self.publishing.as_ref().and_then(Publishing::until_due).unwrap_or(LONG);
        let wait = pause.min(publish);
        if self.key_locked.is_empty() { wait } else { wait.min(POLL) }
    }

    /// Publishes results of stages that have ended, when it is time.
    fn publish(&mut self) {
        if let Some(publishing) = &mut self.publishing {
            publishing.publish_due(&mut self.lookup);
        }
    }

    /// The results of an instance with outputs can be published.
    fn has_outputs(&mut self, id: InstanceId) {
        if let Some(publishing) = &mut self.publishing {
            publishing.ended(id);
        }
    }

    /// Decides about an instance whose inputs have all ended.
    fn check(&mut self, core: &mut Core, id: InstanceId) {
        match self.lookup.look_up(id, &self.lookup_options) {
            LookupOutcome::Hit => {
                core.end(id, Ending::Hit);
                self.report_hit(id);
            }
            LookupOutcome::Absent { cause, origin } => {
                core.end(id, Ending::Absent);
                let recorded = origin == id || self.ended.was_absence_recorded(origin);
                self.report_absent(id, &cause, origin, recorded, FinishedWork::default());
            }
            LookupOutcome::Miss(miss) => match self.lookup.reasons(id, &miss) {
                Ok(reasons) => {
                    self.due.insert(id, Due { miss, reasons, attempts: 0, outdated: false });
                    core.must_run(id);
                }
                Err(failure) => self.fail(core, id, failure, None),
            },
            LookupOutcome::Blocked(on) => self.wait_for(core, id, on),
            LookupOutcome::Failed(failure) => self.fail(core, id, failure, None),
        }
    }

    /// Queues what waited for a pause or for the lock of another process.
    fn requeue(&mut self, core: &mut Core) {
        let now = Instant::now();
        let (due, later): (Vec<_>, _) =
            std::mem::take(&mut self.before_retry).into_iter().partition(|(at, _)| *at <= now);
        self.before_retry = later;
        for id in due.into_iter().map(|(_, id)| id).chain(std::mem::take(&mut self.key_locked)) {
            core.must_run(id);
        }
    }

    /// Starts an instance that holds its amounts.
    fn start(&mut self, core: &mut Core, id: InstanceId, grant: &Grant) {
        match self.try_start(id, grant) {
            Ok(Start::Working) => {}
            Ok(Start::Locked) => {
                core.set_aside(id, Aside::KeyLocked);
                self.key_locked.push(id);
            }
            Ok(Start::InputsLost(producers)) => self.wait_for(core, id, producers),
            Ok(Start::Hit) => {
                self.due.remove(&id);
                core.end(id, Ending::Hit);
                self.report_hit(id);
            }
            Err(failure) => self.fail(core, id, failure, None),
        }
    }

    /// Lets a checked or running instance wait for others, whose outputs are damaged or being made anew.
    fn wait_for(&mut self, core: &mut Core, id: InstanceId, producers: Vec<InstanceId>) {
        let left_out = |id: &&InstanceId| core.state(**id) == State::Ended(Ending::LeftOut);
        let names: Vec<String> = producers.iter().filter(left_out).take(3).map(|id| self.plan().label(*id)).collect();
        if !names.is_empty() {
            let names = names.join("`, `");
            let failure = Failure::input(format!("it reads `{names}`, which is not cached, or damaged there"))
                .hint("run without `--only` and `--from`, so that it is made first");
            return self.fail(core, id, failure, None);
        }
        for producer in producers {
            if !matches!(core.state(producer), State::Ended(Ending::Hit | Ending::Ran)) {
                continue;
            }
            if let Err(failure) = self.take_back(producer) {
                return self.fail(core, id, failure, None);
            }
            for reader in core.reopen(producer) {
                if let Some(due) = self.due.get_mut(&reader) {
                    due.outdated = true;
                }
            }
        }
        core.wait_again(id);
    }

    /// Takes back that an instance has ended well: its outputs are damaged.
    fn take_back(&mut self, id: InstanceId) -> Result<(), Failure> {
        let label = self.plan().label(id);
        self.times_lost.add(id, &label)?;
        self.lookup.forget(id);
        let was_hit = self.ended.take_back(id);
        self.log.reopened(id, was_hit);
        (self.events)(Event::Reopened { id, label, was_hit });
        Ok(())
    }

    /// What must run again because results or tables of claims are damaged; `None` if nothing must.
    pub fn reopen_lost_results(&mut self, wanted: Option<&[bool]>) -> Result<Option<Vec<bool>>, Failure> {
        let lost = lost_outputs::lost_results(&mut self.lookup, &self.ended, wanted)?;
        for id in &lost {
            self.take_back(*id)?;
        }
        Ok((!lost.is_empty()).then(|| needed_by(self.plan(), &lost)))
    }

    fn try_start(&mut self, id: InstanceId, grant: &Grant) -> Result<Start, Failure> {
        let label = self.plan().label(id);
        let Some(due) = self.due.get_mut(&id) else {
            return Err(Failure::internal(format!("`{label}` was started without being due")));
        };
        if due.outdated {
            return Ok(Start::InputsLost(Vec::new()));
        }
        let key = due.miss.key;
        let state_dir = self.dirs.of(id);
        let lock = state_dir.locks.try_lock(&key).map_err(|error| self.health.failure(&error))?;
        let Some(lock) = lock else { return Ok(Start::Locked) };
        if !due.miss.ignores_records() && self.lookup.published_meanwhile(id, &key)? {
            return Ok(Start::Hit);
        }
        self.sessions.begin(self.dirs, self.dirs.access(id)).map_err(|error| self.health.failure(&error))?;
        let storage = Storage::of(id, self.dirs, &self.sessions, &self.health)?;
        let paths = match input_paths(&due.miss.inputs, storage)? {
            Ok(paths) => paths,
            Err(lost) => return Ok(Start::InputsLost(lost)),
        };
        let folder = storage.session.new_folder().map_err(|error| storage.failure(&error))?;
        let log = state_dir.log(&key);
        if due.attempts == 0 {
            storage.session.new_file(&log).map_err(|error| storage.failure(&error))?;
            withheld::forget_metrics(&log)?;
        }
        self.lookup.local(id).note_begun(&label, &key)?;
        let work = prepare(&mut self.lookup, storage, id, &due.miss, paths, grant, &folder)?;
        let executor = match &mut self.executor {
            Some(executor) => executor,
            none => {
                let executor = none.insert(Executor::new(self.options.exec.clone())?);
                executor.share_downloads(storage.session.shared_folder());
                executor
            }
        };
        self.stop.set_waker(Some(executor.waker()));
        due.attempts += 1;
        let why = due.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        self.log.started(id, &label, due.attempts);
        (self.events)(Event::Started { id, label, why, attempt: due.attempts, log: log.clone() });
        let device = grant.gpus.first().map_or(Device::Cpu, |index| Device::Cuda(*index));
        let place = AttemptPlace { slot: self.slots.take(), started: self.log.seconds(), device, threads: grant.cpu };
        self.working.insert(id, Attempt { _lock: lock, folder, log: log.clone(), place });
        executor.start(Job { id, log, timeout: self.lookup.plan.stage_of(id).timeout, work });
        Ok(Start::Working)
    }

    /// Handles a message of the executor.
    fn handle(&mut self, core: &mut Core, message: Option<Message>) {
        match message {
            None => {}
            Some(Message::Progress { id, progress }) => {
                let note = if is_withheld(self.plan(), id) { String::new() } else { progress.note };
                (self.events)(Event::Progressed { id, progress: Progress { note, ..progress } });
            }
            Some(Message::Metric { id, metric }) if is_withheld(self.plan(), id) => {
                if let Some(attempt) = self.working.get(&id) {
                    withheld::metric(&metric, &attempt.log);
                }
            }
            Some(Message::Metric { id, metric }) => {
                self.log.metric(id, &metric);
                (self.events)(Event::Metric { id, metric });
            }
            Some(Message::Ended(finished)) => self.finish(core, *finished),
        }
    }

    /// An attempt is over.
    fn finish(&mut self, core: &mut Core, finished: Finished) {
        let Finished { id, result, cancelled, usage, orphans } = finished;
        let Some(attempt) = self.working.remove(&id) else { return };
        self.slots.give_back(attempt.place.slot);
        let work = FinishedWork { usage, place: Some((attempt.place, self.log.seconds())), ..FinishedWork::default() };
        if usage.peak_rss > 0 {
            self.used.cpu += usage.cpu;
            self.used.peak_rss = self.used.peak_rss.max(usage.peak_rss);
        }
        if cancelled && result.is_err() {
            let _ = remove_all(&attempt.folder);
            core.end(id, Ending::Skipped(Because::Stopped));
            return self.report_skipped(id, Because::Stopped, FinishedWork { log: Some(attempt.log), ..work });
        }
        if result.is_ok() {
            core.commit(id);
            self.start_during(core, id);
        }
        let committed = result.and_then(|ended| {
            let due = self.due.get(&id).ok_or_else(|| Failure::internal("an instance worked without being due"))?;
            let storage = Storage::of(id, self.dirs, &self.sessions, &self.health)?;
            let commit = Commit { id, miss: &due.miss, attempt: &attempt, storage };
            commit.carry_out(&mut self.lookup, ended, usage, orphans)
        });
        let plan = self.plan();
        match committed.map_err(|failure| withheld::failure(plan, id, failure, &attempt.log)) {
            Ok(Committed::Outputs { ran_on, notes }) => {
                let notes = withheld::notes_of_attempt(plan, id, notes, &attempt.log);
                core.end(id, Ending::Ran);
                let session = self.sessions.of(self.dirs.access(id));
                let silent = !orphans && session.is_some_and(|session| session.take_back(&attempt.log));
                self.report_ran(id, FinishedWork { ran_on, notes, log: (!silent).then_some(attempt.log), ..work });
            }
            Ok(Committed::Absent { cause }) => {
                core.end(id, Ending::Absent);
                let work = FinishedWork { log: Some(attempt.log), ..work };
                self.report_absent(id, &cause, id, false, work);
            }
            Err(failure) if !core.is_stopped() && self.may_retry(id, &failure) => {
                self.retry(core, id, failure, &attempt)
            }
            Err(failure) => self.fail(core, id, failure, Some((attempt, work))),
        }
    }

    fn may_retry(&self, id: InstanceId, failure: &Failure) -> bool {
        let attempts = self.due.get(&id).map_or(0, |due| due.attempts);
        failure.transient && attempts <= self.plan().stage_of(id).retry && self.stop.requests() == 0
    }

    fn retry(&mut self, core: &mut Core, id: InstanceId, failure: Failure, attempt: &Attempt) {
        let _ = remove_all(&attempt.folder);
        let attempts = self.due.get(&id).map_or(1, |due| due.attempts);
        let pause = PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
        let label = self.plan().label(id);
        self.log.retrying(id, &failure, pause.as_secs_f64());
        (self.events)(Event::Retrying { id, label, failure, pause });
        core.set_aside(id, Aside::BeforeRetry);
        self.before_retry.push((Instant::now() + pause, id));
    }

    /// An instance failed; `attempt` is there if it was an attempt that did.
    fn fail(&mut self, core: &mut Core, id: InstanceId, failure: Failure, attempt: Option<(Attempt, FinishedWork)>) {
        let (retained, work) = match attempt {
            None => (None, FinishedWork::default()),
            Some((attempt, work)) => {
                self.note_failed(id);
                let session = self.sessions.of(self.dirs.access(id));
                let retained = session.and_then(|session| {
                    let name = self.dirs.of(id).retained_name(self.lookup.plan, id);
                    let retained = session.retain(&attempt.folder, &name);
                    retained.inspect_err(|error| tracing::warn!(%error, "a failed stage's folder is lost")).ok()
                });
                (retained, FinishedWork { log: Some(attempt.log), ..work })
            }
        };
        core.end(id, Ending::Failed);
        self.report(id, Outcome::Failed { failure, retained }, None, work);
        if self.health.is_unwritable() {
            self.halt(core);
        }
    }

    /// Saves that an attempt failed, for explanations.
    fn note_failed(&mut self, id: InstanceId) {
        let label = self.plan().label(id);
        let noted = self.due.get(&id).map(|due| self.lookup.local(id).note_failed(&label, &due.miss.key));
        if let Some(Err(failure)) = noted {
            tracing::warn!(%failure, "a failure is not in the journal");
        }
    }

    // Ends, as events at once, and in the table for what follows the run.

    /// Reports the ends that the scheduler decided.
    fn report_settled(&mut self, core: &mut Core) {
        for (id, because) in core.settled() {
            self.report_skipped(id, because, FinishedWork::default());
        }
    }

    fn report_hit(&mut self, id: InstanceId) {
        if self.ended.contains(id) {
            return; // Looked up again for the sake of what reads it.
        }
        self.ended.add_hit(id);
        self.has_outputs(id);
        self.log.hit();
        let label = self.plan().label(id);
        (self.events)(Event::Ended { id, label, outcome: Outcome::Hit, wall: Duration::ZERO, notes: Vec::new() });
    }

    fn report_ran(&mut self, id: InstanceId, work: FinishedWork) {
        self.has_outputs(id);
        self.report(id, Outcome::Ran, None, work);
    }

    fn report_absent(&mut self, id: InstanceId, cause: &str, origin: InstanceId, recorded: bool, work: FinishedWork) {
        let (found_by, detail) = match origin == id {
            true => (None, self.lookup.absence_detail(id)),
            false => (Some(self.plan().label(origin)), None),
        };
        let outcome = Outcome::Absent { cause: cause.to_owned(), recorded, origin: found_by, detail };
        self.report(id, outcome, Some(origin), work);
    }

    fn report_skipped(&mut self, id: InstanceId, because: Because, work: FinishedWork) {
        let because = match because {
            Because::Failed(root) | Because::FailFast(root) => self.plan().label(root),
            Because::Stopped => "stopped".to_owned(),
        };
        self.report(id, Outcome::Skipped { because }, None, work);
    }

    fn report(&mut self, id: InstanceId, outcome: Outcome, origin: Option<InstanceId>, work: FinishedWork) {
        if self.ended.contains(id) {
            return; // As for hits.
        }
        let label = self.plan().label(id);
        let notes = if outcome == Outcome::Ran { work.notes.clone() } else { Vec::new() };
        self.log.ended(id, &label, &outcome, work.log.as_deref(), &notes);
        (self.events)(Event::Ended { id, label, outcome: outcome.clone(), wall: work.usage.wall, notes });
        let (reasons, attempts) = self.due.remove(&id).map_or((Vec::new(), 0), |due| (due.reasons, due.attempts));
        self.ended.add(id, Report { outcome, reasons, attempts, origin, work });
    }
}

/// The outcome of a start.
enum Start {
    Working,
    /// Outputs that it reads are damaged, of these instances, or being made anew.
    InputsLost(Vec<InstanceId>),
    /// Another process works on the same key.
    Locked,
    /// Another process finished the same key meanwhile.
    Hit,
}
