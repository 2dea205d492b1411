//! The loop of a run: asks the scheduler what may happen, the desk what is known, the executor to work, and stores
//! what comes out.
//!
//! ```text
//! look up ──hit──────────────────────────────► ended
//!    │ miss
//!    ▼
//! queued ──► lock the key ──taken──► waits, is looked up again
//!               │ ours (and nobody published meanwhile)
//!               ▼
//!            working ──transient──► pause, queued again
//!               │ done
//!               ▼
//!            outputs checked, stored, record published ──► ended
//! ```
//! A record is published before the end is told, so whatever people saw end is never done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use pipe_cache::{Action, Digest, Lock, Made, Record, Session, Stored, remove_all};
use pipe_contract::{Cell, Device, Ended, Failure, Form, Given, Kind, Presence, RanOn, Task};

use super::desk::{Desk, Known, Linked, Look, Miss, Passing, links};
use super::options::RunOptions;
use super::stop::Stop;
use super::workplace::{LastWork, Workplace, file_name, make_folder};
use crate::event::{Event, Outcome};
use crate::exec::{CommandTask, Executor, Finished, Job, Message, Usage, Work, layout_inputs, output_path};
use crate::ids::InstanceId;
use crate::key::Reason;
use crate::plan::{Action as Planned, Link, Plan, Source};
use crate::report::cache_failure;
use crate::sched::{Because, Core, Ending, Grant, Need, Options};

/// How long the executor is waited for when nothing is due.
const LONG: Duration = Duration::from_secs(3600);
/// How often a key that another process works on is looked at.
const POLL: Duration = Duration::from_millis(50);
/// The pause before the second attempt; it doubles from attempt to attempt, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A run going on.
pub(super) struct Drive<'a> {
    pub desk: Desk<'a>,
    place: &'a Workplace,
    options: &'a RunOptions,
    passing: Passing,
    events: &'a mut dyn FnMut(Event),
    stop: &'a Stop,
    /// Begun by the first instance that must work; a run of hits writes nothing to the cache.
    session: Option<Session>,
    executor: Option<Executor>,
    /// What is to be done, by instance, from its look-up to its end.
    due: BTreeMap<InstanceId, Due>,
    working: BTreeMap<InstanceId, Working>,
    /// Instances whose key is locked by somebody else.
    locked: Vec<InstanceId>,
    /// Instances that are tried again at a time.
    paused: Vec<(Instant, InstanceId)>,
    /// How every instance ended that did; hits without particulars.
    pub ended: BTreeMap<InstanceId, Report>,
    pub hits: usize,
    pub used: Used,
}

/// What jobs used in all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// Of processes; threads are part of our own process.
    pub cpu: Duration,
    pub peak_rss: u64,
}

/// How an instance ended that was no hit.
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
struct Due {
    miss: Miss,
    reasons: Vec<Reason>,
    attempts: u32,
}

/// Work that is going on.
struct Working {
    /// Held for its `Drop`.
    _lock: Lock,
    folder: PathBuf,
    log: PathBuf,
}

impl<'a> Drive<'a> {
    pub fn new(
        desk: Desk<'a>,
        place: &'a Workplace,
        options: &'a RunOptions,
        passing: Passing,
        events: &'a mut dyn FnMut(Event),
        stop: &'a Stop,
    ) -> Self {
        Self {
            desk,
            place,
            options,
            passing,
            events,
            stop,
            session: None,
            executor: None,
            due: BTreeMap::new(),
            working: BTreeMap::new(),
            locked: Vec::new(),
            paused: Vec::new(),
            ended: BTreeMap::new(),
            hits: 0,
            used: Used::default(),
        }
    }

    fn plan(&self) -> &'a Plan {
        self.desk.plan
    }

    /// Looks up instances in order of the plan until one must run. `true` if none must: then all have ended.
    pub fn all_known(&mut self, wanted: Option<&[bool]>) -> bool {
        let wanted = |id: InstanceId| wanted.is_none_or(|wanted| wanted[id.index()]);
        for id in self.plan().ids().filter(|id| wanted(*id)) {
            match self.desk.look(id, &self.passing) {
                Look::Hit | Look::Absent { .. } => {}
                Look::Miss(_) | Look::Blocked(_) | Look::Failed(_) => return false,
            }
        }
        for id in self.plan().ids().filter(|id| wanted(*id)) {
            match self.desk.known(id).clone() {
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
            stops = self.obey_stops(&mut core, stops);
            while let Some(id) = core.next_check() {
                self.check(&mut core, id);
            }
            self.bring_back(&mut core);
            while let Some((id, grant)) = core.next_start() {
                self.start(&mut core, id, &grant);
            }
            self.report_settled(&mut core);
            if core.is_done() && self.working.is_empty() {
                break;
            }
            if let Some(defect) = core.defect() {
                return Err(Failure::internal(format!("the scheduler refused a step: {defect}")));
            }
            // Something may be checked at once: an end that `start` or `report_settled` gave.
            let wait = if self.is_idle(&core) { Duration::ZERO } else { self.until_due() };
            match self.executor.as_mut() {
                Some(executor) => {
                    let message = executor.next(wait);
                    self.take(&mut core, message);
                }
                None => std::thread::sleep(wait.min(POLL)),
            }
        }
        self.stop.wakes(None);
        if let Some(executor) = self.executor.take() {
            executor.shutdown();
        }
        self.session.as_ref().map_or(Ok(()), |session| session.flush().map_err(|error| cache_failure(&error)))
    }

    fn core(&mut self, wanted: Option<Vec<bool>>) -> Result<Core, Failure> {
        let plan = self.plan();
        let mut durations = Vec::with_capacity(plan.instances.len());
        for id in plan.ids() {
            let last = self.desk.memory.last_work(&plan.label(id))?;
            durations.push(last.map(|last| last.seconds));
        }
        let options = Options { fail_fast: self.options.fail_fast, durations, wanted, shuffle: self.options.shuffle };
        let desk = &self.desk;
        Core::new(plan, self.options.capacities.clone(), options, |id, port| {
            if desk.requires(id, port) { Need::Required } else { Need::Optional }
        })
    }

    /// Passes on wishes to stop that came since the last time; returns how many there were in all.
    fn obey_stops(&mut self, core: &mut Core, obeyed: u8) -> u8 {
        let asked = self.stop.asked();
        if obeyed == 0 && asked > 0 {
            (self.events)(Event::Stopping);
            self.halt(core);
            let running: Vec<_> = self.working.keys().copied().collect();
            if let Some(executor) = &mut self.executor {
                running.into_iter().for_each(|id| executor.cancel(id));
            }
        }
        if obeyed < 2
            && asked > 1
            && let Some(executor) = &mut self.executor
        {
            executor.kill_all();
        }
        asked
    }

    /// Starts nothing any more.
    fn halt(&mut self, core: &mut Core) {
        core.stop();
        self.locked.clear();
        self.paused.clear();
    }

    fn is_idle(&self, core: &Core) -> bool {
        let counts = core.counts();
        self.working.is_empty()
            && self.locked.is_empty()
            && self.paused.is_empty()
            && counts.checking + counts.queued > 0
    }

    /// How long nothing is due besides what the executor tells.
    fn until_due(&self) -> Duration {
        let now = Instant::now();
        let pause = self.paused.iter().map(|(at, _)| at.saturating_duration_since(now)).min().unwrap_or(LONG);
        if self.locked.is_empty() { pause } else { pause.min(POLL) }
    }

    /// Decides about an instance whose inputs have all ended.
    fn check(&mut self, core: &mut Core, id: InstanceId) {
        match self.desk.look(id, &self.passing) {
            Look::Hit => {
                core.end(id, Ending::Hit);
                self.report_hit(id);
            }
            Look::Absent { cause, origin } => {
                core.end(id, Ending::Absent { origin });
                self.report_absent(id, &cause, true, None);
            }
            Look::Miss(miss) => match self.desk.reasons(id, &miss) {
                Ok(reasons) => {
                    self.due.insert(id, Due { miss, reasons, attempts: 0 });
                    core.must_run(id);
                }
                Err(failure) => self.fail(core, id, failure, None),
            },
            Look::Blocked(on) => {
                let names: Vec<String> = on.iter().take(3).map(|id| self.plan().label(*id)).collect();
                let failure = Failure::input(format!("it reads `{}`, which is not cached", names.join("`, `")))
                    .hint("run without `--only` and `--from`, so that it is made first");
                self.fail(core, id, failure, None);
            }
            Look::Failed(failure) => self.fail(core, id, failure, None),
        }
    }

    /// Queues what waited for a pause or for somebody else's lock.
    fn bring_back(&mut self, core: &mut Core) {
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
            Ok(Start::Hit) => {
                self.due.remove(&id);
                core.end(id, Ending::Hit);
                self.report_hit(id);
            }
            Err(failure) => {
                // The cache or the state is in the way, and will be for everything else.
                self.fail(core, id, failure, None);
                self.halt(core);
            }
        }
    }

    fn try_start(&mut self, id: InstanceId, grant: &Grant) -> Result<Start, Failure> {
        let Some(due) = self.due.get(&id) else {
            return Err(Failure::internal(format!("`{}` was started without being due", self.plan().label(id))));
        };
        let (key, first, may_adopt) = (due.miss.key, due.attempts == 0, !due.miss.ignores_records());
        let cache = |error| cache_failure(&error);
        let Some(lock) = self.place.locks.try_lock(&key).map_err(cache)? else { return Ok(Start::Locked) };
        if may_adopt && self.desk.published_meanwhile(id, &key)? {
            return Ok(Start::Hit);
        }
        if self.session.is_none() {
            self.session = Some(Session::begin(&self.place.store).map_err(cache)?);
        }
        let folder = self.session()?.new_folder().map_err(cache)?;
        let log = if first { self.place.new_log(&key)? } else { self.place.log(&key) };
        let label = self.plan().label(id);
        self.desk.memory.note_begun(&label, &key)?;
        let work = self.work_of(id, grant, &key, &folder)?;
        if self.executor.is_none() {
            let executor = Executor::new(self.options.exec.clone())?;
            self.stop.wakes(Some(executor.waker()));
            self.executor = Some(executor);
        }
        let Some(due) = self.due.get_mut(&id) else { return Ok(Start::Working) };
        due.attempts += 1;
        let why = due.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        (self.events)(Event::Started { id, label, why, attempt: due.attempts, log: log.clone() });
        self.working.insert(id, Working { _lock: lock, folder, log: log.clone() });
        if let Some(executor) = &mut self.executor {
            executor.start(Job { id, log, timeout: self.desk.plan.stage_of(id).timeout, work });
        }
        Ok(Start::Working)
    }

    fn session(&self) -> Result<&Session, Failure> {
        self.session.as_ref().ok_or_else(|| Failure::internal("no session in the cache was begun"))
    }

    /// The work of an instance, self-contained.
    fn work_of(&mut self, id: InstanceId, grant: &Grant, key: &Digest<Action>, folder: &Path) -> Result<Work, Failure> {
        let plan = self.plan();
        let stage = plan.stage_of(id);
        let mut paths = BTreeMap::new();
        for link in links(plan, id) {
            let presence = self.presence(link)?;
            paths.insert(link, presence);
        }
        let find = |link: &Link| paths.get(link).cloned().unwrap_or(Presence::Absent("unknown".into()));
        match &stage.action {
            Planned::Command(command) => {
                let instance = plan.instance(id);
                Ok(Work::Command(Box::new(CommandTask {
                    command: command.clone(),
                    work: folder.to_owned(),
                    project: plan.folder.clone(),
                    inputs: layout_inputs(plan, id, find),
                    params: instance.params.clone(),
                    at: instance.at.clone(),
                    seed: instance.seed,
                    threads: grant.cpu,
                    path: self.desk.command_facts(id)?.path,
                })))
            }
            Planned::Kind(_) => {
                let kind = self.desk.kind(id).ok_or_else(|| Failure::internal("a kind vanished from the registry"))?;
                self.task(id, kind, grant, key, folder, find).map(|task| Work::Kind(Box::new(task)))
            }
        }
    }

    /// Where an artifact can be read.
    fn presence(&mut self, link: &Link) -> Result<Presence, Failure> {
        if let Link::File(path) = link {
            return Ok(Presence::Present(path.to_path_buf()));
        }
        let cache = |error| cache_failure(&error);
        let entry = match link {
            Link::Output { instance, port, entry: Some(entry) } => {
                let whole = Link::Output { instance: *instance, port: port.clone(), entry: None };
                Some((self.desk.content(&whole)?, entry))
            }
            _ => None,
        };
        let store = &self.place.store;
        match (self.desk.content(link)?, entry) {
            (Linked::Absent { cause, .. }, _) => Ok(Presence::Absent(cause.to_string())),
            (Linked::Open(id), _) => Err(Failure::internal(format!(
                "an input of a started stage, `{}`, is not known",
                self.plan().label(id)
            ))),
            (Linked::Present(_), Some((Linked::Present(folder), entry))) => {
                let path = store.path(&folder, self.session.as_ref()).map_err(cache)?;
                Ok(Presence::Present(path.join(entry.trim_end_matches('/'))))
            }
            (Linked::Present(artifact), _) => {
                store.path(&artifact, self.session.as_ref()).map(Presence::Present).map_err(cache)
            }
        }
    }

    fn task(
        &self,
        id: InstanceId,
        kind: &Kind,
        grant: &Grant,
        key: &Digest<Action>,
        folder: &Path,
        find: impl Fn(&Link) -> Presence,
    ) -> Result<Task, Failure> {
        let plan = self.plan();
        let (stage, instance) = (plan.stage_of(id), plan.instance(id));
        let (out, scratch) = (folder.join("out"), folder.join("scratch"));
        make_folder(&out)?;
        make_folder(&scratch)?;
        let checkpoint = kind.checkpoint.then(|| self.place.checkpoint(key));
        if let Some(folder) = &checkpoint {
            make_folder(folder)?;
        }
        let given = |source: &Source| match source {
            Source::One(link) => match find(link) {
                Presence::Present(path) => Some(Given::One(path)),
                Presence::Absent(_) => None,
            },
            Source::Many(cells) => {
                let cell = |(at, link): &(_, Link)| Cell { at: Clone::clone(at), artifact: find(link) };
                Some(Given::Many(cells.iter().map(cell).collect()))
            }
        };
        Ok(Task {
            kind: kind.name.to_owned(),
            version: kind.version,
            params: instance.params.clone(),
            at: instance
                .at
                .iter()
                .filter(|(axis, _)| kind.axes.contains(&axis.as_str()))
                .map(|(a, c)| (a, c))
                .collect(),
            inputs: instance.inputs.iter().filter_map(|(port, source)| Some((port.clone(), given(source)?))).collect(),
            outputs: kind.outputs.iter().map(|output| (output.name.to_owned(), out.join(output.name))).collect(),
            seed: instance.seed,
            simulated: kind.stamped && plan.simulated,
            device: grant.gpus.first().map_or(Device::Cpu, |index| Device::Cuda(*index)),
            threads: grant.cpu,
            credential: stage.credential.clone(),
            accepts_absent: stage.accepts_absent.clone(),
            coverage: stage.coverage.clone(),
            checkpoint,
            scratch,
        })
    }

    /// Takes in what the executor tells.
    fn take(&mut self, core: &mut Core, message: Option<Message>) {
        match message {
            None => {}
            Some(Message::Progress { id, progress }) => (self.events)(Event::Progressed { id, progress }),
            Some(Message::Ended(finished)) => self.finish(core, *finished),
        }
    }

    /// An attempt is over.
    fn finish(&mut self, core: &mut Core, finished: Finished) {
        let Finished { id, result, cancelled, usage } = finished;
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
        let ended = result.and_then(|ended| self.store(id, ended, usage, &working));
        match ended {
            Ok(Kept::Outputs { ran_on, notes }) => {
                core.end(id, Ending::Ran);
                self.report_ran(id, usage, ran_on, notes, working.log);
            }
            Ok(Kept::Absent { cause }) => {
                core.end(id, Ending::Absent { origin: id });
                self.report_absent(id, &cause, false, Some((working.log, usage)));
            }
            Err(failure) if self.may_retry(id, &failure) => self.retry(core, id, failure, &working),
            Err(failure) => self.fail(core, id, failure, Some((working, usage))),
        }
    }

    fn may_retry(&self, id: InstanceId, failure: &Failure) -> bool {
        let attempts = self.due.get(&id).map_or(0, |due| due.attempts);
        failure.transient && attempts <= self.plan().stage_of(id).retry && self.stop.asked() == 0
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

    /// Checks and stores what an attempt left, and publishes the record.
    fn store(&mut self, id: InstanceId, ended: Ended, usage: Usage, working: &Working) -> Result<Kept, Failure> {
        let key = self.desk.key_of(id).ok_or_else(|| Failure::internal("an instance worked without a key"))?;
        let cache = |error| cache_failure(&error);
        self.desk.check_sources(id)?;
        let (made, ran_on, notes) = match ended {
            Ended::Absent { cause, detail } => {
                self.check_may_be_absent(id, &cause)
                    .map_err(|failure| Failure { message: format!("{}: {detail}", failure.message), ..failure })?;
                (Made::Absent { cause }, None, vec![detail])
            }
            Ended::Done { ran_on, notes } => (Made::Outputs(self.ingest(id, &working.folder)?), ran_on, notes),
        };
        let session = self.session.as_ref().ok_or_else(|| Failure::internal("no session in the cache was begun"))?;
        for list in self.desk.cell_lists(id)? {
            session.put(&self.place.store, list.as_bytes()).map_err(cache)?;
        }
        let parts = serde_json::to_value(self.desk.parts(id)?)
            .map_err(|error| Failure::internal(format!("the parts of a key have no JSON form: {error}")))?;
        let provenance = super::manifest::provenance(&self.plan().label(id), usage, ran_on.as_ref(), &notes);
        let forced = self.due.get(&id).is_some_and(|due| due.miss.ignores_records());
        let record = Record { made, parts, provenance };
        let record = self.place.store.publish(session, &key, record, forced).map_err(cache)?;
        self.desk.memory.index.put(&key, &record.made).map_err(cache)?;
        let last = LastWork { key, seconds: usage.wall.as_secs_f64() };
        self.desk.memory.note_done(&self.plan().label(id), last)?;
        session.forget_kept(&kept_name(self.plan(), id)).map_err(cache)?;
        remove_all(&working.folder).map_err(cache)?;
        remove_all(&self.place.checkpoint(&key)).map_err(cache)?;
        Ok(match record.made {
            Made::Absent { cause } => {
                let known: Rc<str> = cause.as_str().into();
                self.desk.set_known(id, Known::Absent { cause: known, origin: id });
                Kept::Absent { cause }
            }
            Made::Outputs(outputs) => {
                self.desk.set_known(id, Known::Outputs(outputs.into()));
                let notes = notes.into_iter().chain(self.desk.coverage_notes(id)).collect();
                Kept::Outputs { ran_on, notes }
            }
        })
    }

    /// A kind may report only the causes it declares, and the stage must accept them.
    fn check_may_be_absent(&self, id: InstanceId, cause: &str) -> Result<(), Failure> {
        match self.desk.kind(id) {
            Some(kind) if !kind.absences.contains(&cause) => {
                Err(Failure::internal(format!("`{}` reports an absence it does not declare: `{cause}`", kind.name)))
            }
            _ => self.desk.check_accepted(id, cause),
        }
    }

    /// Moves the outputs of an attempt into the store.
    fn ingest(&self, id: InstanceId, folder: &Path) -> Result<Vec<Stored>, Failure> {
        let plan = self.plan();
        let mut paths: Vec<(String, PathBuf)> = match &plan.stage_of(id).action {
            Planned::Command(command) => {
                command.out.iter().map(|(port, path)| (port.clone(), output_path(folder, path))).collect()
            }
            Planned::Kind(_) => {
                let kind = self.desk.kind(id).ok_or_else(|| Failure::internal("a kind vanished from the registry"))?;
                check_outputs(kind, &folder.join("out"))?
            }
        };
        paths.sort();
        let session = self.session()?;
        let mut outputs = Vec::with_capacity(paths.len());
        for (port, path) in paths {
            let (artifact, blobs) = session.ingest(&self.place.store, &path).map_err(|error| {
                let failure = cache_failure(&error);
                failure.at(format!("output `{port}`"))
            })?;
            let blobs = if artifact.blob().is_some() { Vec::new() } else { blobs };
            outputs.push(Stored { port, artifact, blobs });
        }
        Ok(outputs)
    }

    /// An instance failed; `working` is there if it was an attempt that did.
    fn fail(&mut self, core: &mut Core, id: InstanceId, failure: Failure, working: Option<(Working, Usage)>) {
        let (log, kept, usage) = match working {
            None => (None, None, Usage::default()),
            Some((working, usage)) => {
                let session = self.session.as_ref();
                let kept = session.and_then(|session| {
                    let kept = session.keep(&working.folder, &kept_name(self.desk.plan, id));
                    kept.inspect_err(|error| tracing::warn!(%error, "a failed stage's folder is lost")).ok()
                });
                (Some(working.log), kept, usage)
            }
        };
        core.end(id, Ending::Failed);
        self.report(id, Outcome::Failed { failure, kept }, usage, None, Vec::new(), log);
    }

    /// Tells of ends that the scheduler decided.
    fn report_settled(&mut self, core: &mut Core) {
        for (id, ending) in core.settled() {
            match ending {
                Ending::Skipped(because) => self.report_skipped(id, because, None),
                Ending::Absent { origin } => {
                    let (cause, recorded) = match (self.desk.known(origin).clone(), self.ended.get(&origin)) {
                        (Known::Absent { cause, .. }, Some(report)) => {
                            (cause, matches!(report.outcome, Outcome::Absent { recorded: true, .. }))
                        }
                        (Known::Absent { cause, .. }, None) => (cause, true),
                        _ => ("absent".into(), false),
                    };
                    self.desk.set_known(id, Known::Absent { cause: Rc::clone(&cause), origin });
                    self.report_absent(id, &cause, recorded, None);
                }
                Ending::Hit | Ending::Ran | Ending::Failed | Ending::LeftOut => {}
            }
        }
    }

    fn report_hit(&mut self, id: InstanceId) {
        self.hits += 1;
        let label = self.plan().label(id);
        (self.events)(Event::Ended { id, label, outcome: Outcome::Hit, wall: Duration::ZERO, notes: Vec::new() });
    }

    fn report_ran(&mut self, id: InstanceId, usage: Usage, ran_on: Option<RanOn>, notes: Vec<String>, log: PathBuf) {
        self.report(id, Outcome::Ran, usage, ran_on, notes, Some(log));
    }

    fn report_absent(&mut self, id: InstanceId, cause: &str, recorded: bool, work: Option<(PathBuf, Usage)>) {
        let (log, usage) = work.map_or((None, Usage::default()), |(log, usage)| (Some(log), usage));
        self.report(id, Outcome::Absent { cause: cause.to_owned(), recorded }, usage, None, Vec::new(), log);
    }

    fn report_skipped(&mut self, id: InstanceId, because: Because, work: Option<(&Path, Usage)>) {
        let because = match because {
            Because::Failed(root) | Because::FailFast(root) => self.plan().label(root),
            Because::Stopped => "stopped".to_owned(),
        };
        let (log, usage) = work.map_or((None, Usage::default()), |(log, usage)| (Some(log.to_owned()), usage));
        self.report(id, Outcome::Skipped { because }, usage, None, Vec::new(), log);
    }

    fn report(
        &mut self,
        id: InstanceId,
        outcome: Outcome,
        usage: Usage,
        ran_on: Option<RanOn>,
        notes: Vec<String>,
        log: Option<PathBuf>,
    ) {
        let due = self.due.remove(&id);
        let label = self.plan().label(id);
        (self.events)(Event::Ended { id, label, outcome: outcome.clone(), wall: usage.wall, notes: notes.clone() });
        let (reasons, attempts) = due.map_or((Vec::new(), 0), |due| (due.reasons, due.attempts));
        let key = self.desk.key_of(id);
        self.ended.insert(id, Report { outcome, reasons, key, attempts, usage, ran_on, notes, log });
    }

    /// The keys of all instances that were looked up.
    pub fn keys(&self) -> BTreeSet<Digest<Action>> {
        self.plan().ids().filter_map(|id| self.desk.key_of(id)).collect()
    }
}

/// What became of an attempt that did not fail.
enum Kept {
    Outputs { ran_on: Option<RanOn>, notes: Vec<String> },
    Absent { cause: String },
}

/// What became of a start.
enum Start {
    Working,
    /// Somebody else works on the same key.
    Locked,
    /// Somebody else finished the same key meanwhile.
    Hit,
}

/// The name under which the folder of a failed instance is kept.
fn kept_name(plan: &Plan, id: InstanceId) -> String {
    let profile = plan.profile.as_ref().map(|profile| format!("@{profile}")).unwrap_or_default();
    file_name(&format!("{}{profile},{}", plan.pipeline, plan.label(id)))
}

/// The outputs of a kind, with the form it declares.
fn check_outputs(kind: &Kind, out: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut paths = Vec::with_capacity(kind.outputs.len());
    for output in &kind.outputs {
        let path = out.join(output.name);
        let wrong = |what: &str| {
            let form = match output.form {
                Form::File => "a file that is not empty",
                Form::Folder => "a folder with at least one file",
            };
            Failure::internal(format!("`{}` {what} output `{}`, which is to be {form}", kind.name, output.name))
        };
        let found = std::fs::symlink_metadata(&path).map_err(|_| wrong("did not write"))?;
        match output.form {
            Form::File if !found.is_file() => return Err(wrong("wrote something else as")),
            Form::File if found.len() == 0 => return Err(wrong("wrote nothing into")),
            Form::Folder if !found.is_dir() => return Err(wrong("wrote something else as")),
            Form::Folder if !has_file(&path) => return Err(wrong("wrote nothing into")),
            _ => paths.push((output.name.to_owned(), path)),
        }
    }
    let declared = |name: &str| kind.outputs.iter().any(|output| output.name == name);
    let there = std::fs::read_dir(out).map_err(|error| Failure::io("list", out, &error))?;
    let extra =
        there.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).find(|name| !declared(name));
    match extra {
        Some(extra) => Err(Failure::internal(format!("`{}` wrote `{extra}`, which it does not declare", kind.name))),
        None => Ok(paths),
    }
}

fn has_file(folder: &Path) -> bool {
    walkdir::WalkDir::new(folder).into_iter().any(|entry| entry.is_ok_and(|entry| entry.file_type().is_file()))
}
