//! The run loop: takes decisions from the scheduler, looks up instances, starts work on the executor, and commits its
//! outputs.
//!
//! ```text
//! look up ──hit──────────────────────────────► ended
//!    │ miss
//!    ▼
//! queued ──► lock the key ──taken──► waits, is looked up again
//!               │ ours (and no record was published meanwhile)
//!               ▼
//!            working ──transient──► pause, queued again
//!               │ done
//!               ▼
//!            outputs checked, stored, record published ──► ended
//! ```
//! A record is published before the end is reported, so work that was reported as ended is never done twice.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pipe_cache::{Action, Digest, Lock, Session, remove_all};
use pipe_contract::{Failure, RanOn};

use super::commit::{Committed, retained_name};
use super::lookup::{Known, Lookup, LookupOptions, LookupOutcome, Miss};
use super::options::RunOptions;
use super::state_dir::StateDir;
use super::stop::Stop;
use crate::event::{Event, Outcome};
use crate::exec::{Executor, Finished, Job, Message, Usage};
use crate::ids::InstanceId;
use crate::key::Reason;
use crate::plan::Plan;
use crate::report::cache_failure;
use crate::sched::{Because, Core, Ending, Grant, Need, Options};

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
    pub(super) state_dir: &'a StateDir,
    options: &'a RunOptions,
    lookup_options: LookupOptions,
    pub(super) events: &'a mut dyn FnMut(Event),
    stop: &'a Stop,
    /// Begun by the first instance that must work; a run of hits writes nothing to the cache.
    pub(super) session: Option<Session>,
    executor: Option<Executor>,
    /// What is to be done, by instance, from its lookup to its end.
    pub(super) due: BTreeMap<InstanceId, Due>,
    working: BTreeMap<InstanceId, Working>,
    /// Instances whose key another process has locked.
    locked: Vec<InstanceId>,
    /// Instances that are tried again at a time.
    paused: Vec<(Instant, InstanceId)>,
    /// How every instance ended that did; hits without particulars.
    pub ended: BTreeMap<InstanceId, Report>,
    /// The hits.
    pub hits: BTreeSet<InstanceId>,
    pub used: Used,
    /// How often the outputs of an instance were found damaged.
    pub(super) reopened: BTreeMap<InstanceId, u32>,
    /// The cache cannot be written.
    cache_unwritable: Cell<bool>,
}

/// What jobs used in all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// Of processes; threads are part of our own process.
    pub cpu: Duration,
    pub peak_rss: u64,
}

/// How an instance ended that was not a hit.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub outcome: Outcome,
    pub reasons: Vec<Reason>,
    pub key: Option<Digest<Action>>,
    pub attempts: u32,
    pub usage: Usage,
    pub ran_on: Option<RanOn>,
    pub notes: Vec<String>,
    pub log: Option<PathBuf>,
}

/// Work that was found to be due.
pub(super) struct Due {
    pub miss: Miss,
    pub reasons: Vec<Reason>,
    pub attempts: u32,
    /// What it reads was reopened since its lookup.
    pub outdated: bool,
}

/// Work that is going on.
pub(super) struct Working {
    /// Held for its `Drop`.
    _lock: Lock,
    pub folder: PathBuf,
    pub log: PathBuf,
}

impl<'a> RunLoop<'a> {
    pub fn new(
        lookup: Lookup<'a>,
        state_dir: &'a StateDir,
        options: &'a RunOptions,
        lookup_options: LookupOptions,
        events: &'a mut dyn FnMut(Event),
        stop: &'a Stop,
    ) -> Self {
        Self {
            lookup,
            state_dir,
            options,
            lookup_options,
            events,
            stop,
            session: None,
            executor: None,
            due: BTreeMap::new(),
            working: BTreeMap::new(),
            locked: Vec::new(),
            paused: Vec::new(),
            ended: BTreeMap::new(),
            hits: BTreeSet::new(),
            used: Used::default(),
            reopened: BTreeMap::new(),
            cache_unwritable: Cell::new(false),
        }
    }

    pub(super) fn plan(&self) -> &'a Plan {
        self.lookup.plan
    }

    /// Looks up instances in order of the plan until one must run or a stop is requested. `true` if none must: then
    /// all have ended.
    pub fn all_known(&mut self, wanted: Option<&[bool]>) -> bool {
        let wanted = |id: InstanceId| wanted.is_none_or(|wanted| wanted[id.index()]);
        for id in self.plan().ids().filter(|id| wanted(*id)) {
            if self.stop.requests() > 0 {
                return false;
            }
            match self.lookup.look_up(id, &self.lookup_options) {
                LookupOutcome::Hit | LookupOutcome::Absent { .. } => {}
                LookupOutcome::Miss(_) | LookupOutcome::Blocked(_) | LookupOutcome::Failed(_) => return false,
            }
        }
        for id in self.plan().ids().filter(|id| wanted(*id)) {
            match self.lookup.known(id).clone() {
                Known::Absent { cause, .. } => self.report_absent(id, &cause, true, None),
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
            if self.working.is_empty() && self.locked.is_empty() && self.paused.is_empty() {
                return Err(Failure::internal(format!("nothing can go on: {:?}", core.counts())));
            }
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
        self.session.as_ref().map_or(Ok(()), |session| session.flush().map_err(|error| cache_failure(&error)))
    }

    fn core(&mut self, wanted: Option<Vec<bool>>) -> Result<Core, Failure> {
        let plan = self.plan();
        let mut durations = Vec::with_capacity(plan.instances.len());
        for id in plan.ids() {
            let last = self.lookup.local.last_work(&plan.label(id))?;
            durations.push(last.map(|last| last.seconds));
        }
        let options = Options { fail_fast: self.options.fail_fast, durations, wanted, shuffle: self.options.shuffle };
        let lookup = &self.lookup;
        Core::new(plan, self.options.capacities.clone(), options, |id, port| {
            if lookup.requires(id, port) { Need::Required } else { Need::Optional }
        })
    }

    /// Carries out the stop requests since the last time; returns how many there were in all.
    fn handle_stops(&mut self, core: &mut Core, handled: u8) -> u8 {
        let requests = self.stop.requests();
        if handled == 0 && requests > 0 {
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
        self.locked.clear();
        self.paused.clear();
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
                // First: a gather that is looked up next needs the cells that the scheduler found absent.
                self.report_settled(core);
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

    /// How long nothing is due besides messages of the executor.
    fn until_due(&self) -> Duration {
        let now = Instant::now();
        let pause = self.paused.iter().map(|(at, _)| at.saturating_duration_since(now)).min().unwrap_or(LONG);
        if self.locked.is_empty() { pause } else { pause.min(POLL) }
    }

    /// Decides about an instance whose inputs have all ended.
    fn check(&mut self, core: &mut Core, id: InstanceId) {
        match self.lookup.look_up(id, &self.lookup_options) {
            LookupOutcome::Hit => {
                core.end(id, Ending::Hit);
                self.report_hit(id);
            }
            LookupOutcome::Absent { cause, origin } => {
                core.end(id, Ending::Absent { origin });
                self.report_absent(id, &cause, true, None);
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
        let (due, later) = std::mem::take(&mut self.paused).into_iter().partition(|(at, _)| *at <= now);
        self.paused = later;
        let due: Vec<(Instant, InstanceId)> = due;
        for id in due.into_iter().map(|(_, id)| id).chain(std::mem::take(&mut self.locked)) {
            core.must_run(id);
        }
    }

    /// Starts an instance that holds its amounts.
    fn start(&mut self, core: &mut Core, id: InstanceId, grant: &Grant) {
        match self.try_start(id, grant) {
            Ok(Start::Working) => {}
            Ok(Start::Locked) => {
                core.set_aside(id);
                self.locked.push(id);
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

    fn try_start(&mut self, id: InstanceId, grant: &Grant) -> Result<Start, Failure> {
        let Some(due) = self.due.get(&id) else {
            return Err(Failure::internal(format!("`{}` was started without being due", self.plan().label(id))));
        };
        if due.outdated {
            return Ok(Start::InputsLost(Vec::new()));
        }
        let (key, first, may_adopt) = (due.miss.key, due.attempts == 0, !due.miss.ignores_records());
        let Some(lock) = self.state_dir.locks.try_lock(&key).map_err(|error| self.cache_failure(&error))? else {
            return Ok(Start::Locked);
        };
        if may_adopt && self.lookup.published_meanwhile(id, &key)? {
            return Ok(Start::Hit);
        }
        if self.session.is_none() {
            self.session = Some(Session::begin(&self.state_dir.store).map_err(|error| self.cache_failure(&error))?);
        }
        let lost = self.lost_inputs(id)?;
        if !lost.is_empty() {
            return Ok(Start::InputsLost(lost));
        }
        let folder = self.session()?.new_folder().map_err(|error| self.cache_failure(&error))?;
        let log = self.state_dir.log(&key);
        if first {
            self.session()?.new_file(&log).map_err(|error| self.cache_failure(&error))?;
        }
        let label = self.plan().label(id);
        self.lookup.local.note_begun(&label, &key)?;
        let work = self.work_of(id, grant, &key, &folder)?;
        if self.executor.is_none() {
            let executor = Executor::new(self.options.exec.clone())?;
            self.stop.set_waker(Some(executor.waker()));
            self.executor = Some(executor);
        }
        let Some(due) = self.due.get_mut(&id) else { return Ok(Start::Working) };
        due.attempts += 1;
        let why = due.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        (self.events)(Event::Started { id, label, why, attempt: due.attempts, log: log.clone() });
        self.working.insert(id, Working { _lock: lock, folder, log: log.clone() });
        if let Some(executor) = &mut self.executor {
            executor.start(Job { id, log, timeout: self.lookup.plan.stage_of(id).timeout, work });
        }
        Ok(Start::Working)
    }

    pub(super) fn session(&self) -> Result<&Session, Failure> {
        self.session.as_ref().ok_or_else(|| Failure::internal("no session in the cache was begun"))
    }

    /// Handles a message of the executor.
    fn handle(&mut self, core: &mut Core, message: Option<Message>) {
        match message {
            None => {}
            Some(Message::Progress { id, progress }) => (self.events)(Event::Progressed { id, progress }),
            Some(Message::Ended(finished)) => self.finish(core, *finished),
        }
    }

    /// An attempt is over.
    fn finish(&mut self, core: &mut Core, finished: Finished) {
        let Finished { id, result, cancelled, usage, orphans } = finished;
        let Some(working) = self.working.remove(&id) else { return };
        if usage.peak_rss > 0 {
            self.used.cpu += usage.cpu;
            self.used.peak_rss = self.used.peak_rss.max(usage.peak_rss);
        }
        if cancelled && result.is_err() {
            let _ = remove_all(&working.folder);
            core.end(id, Ending::Skipped(Because::Stopped));
            return self.report_skipped(id, Because::Stopped, Some((&working.log, usage)));
        }
        if self.due.get(&id).is_some_and(|due| due.outdated) {
            // What it read is being made anew, and its key may be another one then.
            let _ = remove_all(&working.folder);
            return core.wait_again(id);
        }
        let ended = result.and_then(|ended| self.commit(id, ended, usage, orphans, &working));
        match ended {
            Ok(Committed::Outputs { ran_on, notes }) => {
                core.end(id, Ending::Ran);
                let silent = !orphans && self.session.as_ref().is_some_and(|session| session.take_back(&working.log));
                self.report_ran(id, usage, ran_on, notes, (!silent).then_some(working.log));
            }
            Ok(Committed::Absent { cause }) => {
                core.end(id, Ending::Absent { origin: id });
                self.report_absent(id, &cause, false, Some((working.log, usage)));
            }
            Err(failure) if !core.is_stopped() && self.may_retry(id, &failure) => {
                self.retry(core, id, failure, &working)
            }
            Err(failure) => self.fail(core, id, failure, Some((working, usage))),
        }
    }

    fn may_retry(&self, id: InstanceId, failure: &Failure) -> bool {
        let attempts = self.due.get(&id).map_or(0, |due| due.attempts);
        failure.transient && attempts <= self.plan().stage_of(id).retry && self.stop.requests() == 0
    }

    fn retry(&mut self, core: &mut Core, id: InstanceId, failure: Failure, working: &Working) {
        let _ = remove_all(&working.folder);
        let attempts = self.due.get(&id).map_or(1, |due| due.attempts);
        let pause = PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
        let label = self.plan().label(id);
        (self.events)(Event::Retrying { id, label, failure, pause });
        core.set_aside(id);
        self.paused.push((Instant::now() + pause, id));
    }

    /// An instance failed; `working` is there if it was an attempt that did.
    pub(super) fn fail(
        &mut self,
        core: &mut Core,
        id: InstanceId,
        failure: Failure,
        working: Option<(Working, Usage)>,
    ) {
        let (log, retained, usage) = match working {
            None => (None, None, Usage::default()),
            Some((working, usage)) => {
                let session = self.session.as_ref();
                let retained = session.and_then(|session| {
                    let retained = session.retain(&working.folder, &retained_name(self.lookup.plan, id));
                    retained.inspect_err(|error| tracing::warn!(%error, "a failed stage's folder is lost")).ok()
                });
                (Some(working.log), retained, usage)
            }
        };
        core.end(id, Ending::Failed);
        self.report(id, Outcome::Failed { failure, retained }, usage, None, Vec::new(), log);
        if self.cache_unwritable.get() {
            self.halt(core);
        }
    }

    /// A failure of the cache. If it cannot be written at all, nothing else is started: it would only fail as well.
    pub(super) fn cache_failure(&self, error: &pipe_cache::Error) -> Failure {
        use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        if let Some(StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied) = error.io_kind() {
            self.cache_unwritable.set(true);
        }
        cache_failure(error)
    }

    /// The keys of all instances that were looked up.
    pub fn keys(&self) -> BTreeSet<Digest<Action>> {
        self.plan().ids().filter_map(|id| self.lookup.key_of(id)).collect()
    }
}

/// The outcome of a start.
enum Start {
    Working,
    /// Outputs that it reads are damaged, or being made anew: of these instances.
    InputsLost(Vec<InstanceId>),
    /// Another process works on the same key.
    Locked,
    /// Another process finished the same key meanwhile.
    Hit,
}
