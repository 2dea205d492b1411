//! What happens in a run, written to its folder as it happens: `events.jsonl`, one JSON object a line.
//!
//! ```text
//! {"at":0.0,"event":"began","version":1,"run":"2026-...","began":"2026-11-25T19:40:00Z","instances":1026,"process":4711}
//! {"at":0.8,"event":"started","id":3,"label":"train(rater=A1)","attempt":1,"hits":40}
//! {"at":1.9,"event":"metric","id":3,"name":"train/loss","step":1,"value":0.693}
//! {"at":9.1,"event":"retrying","id":3,"failure":{...},"pause_seconds":1.0}
//! {"at":9.9,"event":"ended","id":3,"outcome":"failed","failure":{...},"retained":"...","log":"..."}
//! {"at":9.9,"event":"noted","note":"important: no tracts","labels":["images(sid=s01)"]}
//! {"at":9.9,"event":"claim","text":"two is three","found":2.0,"equals":3.0,"within":0.5,"holds":false}
//! {"at":9.9,"event":"failure","failure":{...}}
//! {"at":10.0,"event":"finished","exit_code":1,"hits":40}
//! ```
//! - `at` is in seconds since the run began. `hits` is how many instances were hits so far; it is there when it has changed.
//!   A hit has no line of its own.
//! - An absence has `detail`, what the stage said that found it, or `origin`, the label of the instance that did. What a stage
//!   with restricted data said is not here.
//! - `metric` is a number that a stage measured: name, step and value. Those of a `run:` stage are read about once a second;
//!   those of a stage with restricted data are not here ([`super::withheld`]).
//! - `reopened` takes an end back: what the instance made was found damaged, and is made again.
//! - Notes of an instance that worked are in its `ended`. `noted` is a note about results that this run did not make but uses.
//! - `failure` is what went wrong besides instances: a result that could not be published, or the run as a whole.
//! - `ended` has the label only if there is no `started` before it; both name the instance by its number in the plan.
//! - The process that writes it holds a lock on the file until it ends. A log without `finished` whose lock is free is of a run
//!   that was killed. Its last line may be torn and is then ignored.
//!
//! `engine/schemas/events.schema.json` describes every line. A log that cannot be written does not stop a run: its rest is
//! missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::TryLockError;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fs_err::{self as fs, File};
use pipe_contract::{Failure, Metric};
use serde::{Deserialize, Serialize};

use super::clock;
use crate::event::Outcome;
use crate::ids::InstanceId;
use crate::report::ClaimReport;

/// The version of this form.
const VERSION: u32 = 1;
/// The name of the file in the folder of a run.
pub(super) const FILE: &str = "events.jsonl";

/// One line.
#[derive(Serialize, Deserialize)]
struct Line {
    at: f64,
    #[serde(flatten)]
    what: What,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hits: Option<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum What {
    Began {
        version: u32,
        run: String,
        began: String,
        instances: usize,
        process: u32,
    },
    Started {
        id: InstanceId,
        label: String,
        attempt: u32,
    },
    Metric {
        id: InstanceId,
        #[serde(flatten)]
        metric: Metric,
    },
    Retrying {
        id: InstanceId,
        failure: Failure,
        pause_seconds: f64,
    },
    Reopened {
        id: InstanceId,
        was_hit: bool,
    },
    Ended {
        id: InstanceId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        #[serde(flatten)]
        outcome: Outcome,
        /// Of a failure, if something was printed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log: Option<PathBuf>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    Noted {
        note: String,
        labels: Vec<String>,
    },
    Claim(ClaimReport),
    Failure {
        failure: Failure,
    },
    Stopping,
    Finished {
        exit_code: u8,
    },
}

/// The log of a run that goes on.
pub(super) struct EventLog {
    clock: Instant,
    /// Locked; `None` after it could not be written.
    file: Option<File>,
    started: BTreeSet<InstanceId>,
    hits: usize,
    written_hits: usize,
}

impl EventLog {
    /// Begins the log of a run in its folder, which exists.
    pub fn begin(folder: &Path, run: &str, began: jiff::Timestamp, instances: usize) -> Self {
        let path = folder.join(FILE);
        let opened = File::options().create_new(true).append(true).open(&path);
        let file = opened.inspect_err(|error| tracing::warn!(%error, "the events of this run are not logged")).ok();
        // Where files cannot be locked, a run that goes on looks like one that was killed.
        if let Some(Err(error)) = file.as_ref().map(File::lock) {
            tracing::warn!(%error, "the log of events cannot be locked");
        }
        let mut log = Self { clock: Instant::now(), file, started: BTreeSet::new(), hits: 0, written_hits: 0 };
        let began = clock::written(began);
        log.write(What::Began { version: VERSION, run: run.to_owned(), began, instances, process: std::process::id() });
        log
    }

    /// An instance was a hit.
    pub fn hit(&mut self) {
        self.hits += 1;
    }

    /// An attempt begins.
    pub fn started(&mut self, id: InstanceId, label: &str, attempt: u32) {
        self.started.insert(id);
        self.write(What::Started { id, label: label.to_owned(), attempt });
    }

    /// A running instance measured something.
    pub fn metric(&mut self, id: InstanceId, metric: &Metric) {
        self.write(What::Metric { id, metric: metric.clone() });
    }

    /// An attempt failed and is made again.
    pub fn retrying(&mut self, id: InstanceId, failure: &Failure, pause_seconds: f64) {
        self.write(What::Retrying { id, failure: failure.clone(), pause_seconds });
    }

    /// What an instance made was found damaged: its end no longer counts.
    pub fn reopened(&mut self, id: InstanceId, was_hit: bool) {
        self.hits -= usize::from(was_hit && self.hits > 0);
        self.write(What::Reopened { id, was_hit });
    }

    /// Seconds since the run began, to the millisecond.
    pub fn seconds(&self) -> f64 {
        (self.clock.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }

    /// An instance ended that was not a hit.
    pub fn ended(&mut self, id: InstanceId, label: &str, outcome: &Outcome, log: Option<&Path>, notes: &[String]) {
        let label = (!self.started.remove(&id)).then(|| label.to_owned());
        let log = match outcome {
            Outcome::Failed { .. } => log.filter(|log| has_text(log)).map(Path::to_path_buf),
            _ => None,
        };
        self.write(What::Ended { id, label, outcome: outcome.clone(), log, notes: notes.to_vec() });
    }

    /// Notes about the results of hits, each with its label.
    pub fn noted(&mut self, notes: &[(String, String)]) {
        let mut labels = BTreeMap::<&str, Vec<String>>::new();
        for (label, note) in notes {
            labels.entry(note).or_default().push(label.clone());
        }
        for (note, labels) in labels {
            self.write(What::Noted { note: note.to_owned(), labels });
        }
    }

    /// A claim was checked.
    pub fn claim(&mut self, claim: &ClaimReport) {
        self.write(What::Claim(claim.clone()));
    }

    /// Something went wrong besides instances.
    pub fn failure(&mut self, failure: &Failure) {
        self.write(What::Failure { failure: failure.clone() });
    }

    /// A stop was requested.
    pub fn stopping(&mut self) {
        self.write(What::Stopping);
    }

    /// The run is over.
    pub fn finished(&mut self, exit_code: u8) {
        self.write(What::Finished { exit_code });
    }

    fn write(&mut self, what: What) {
        let at = self.seconds();
        let Some(file) = &mut self.file else { return };
        let hits = (self.hits != self.written_hits).then_some(self.hits);
        let written =
            serde_json::to_vec(&Line { at, what, hits }).map_err(std::io::Error::other).and_then(|mut line| {
                line.push(b'\n');
                file.write_all(&line)
            });
        match written {
            Ok(()) => self.written_hits = self.hits,
            Err(error) => {
                tracing::warn!(%error, "the rest of this run's events is not logged");
                self.file = None;
            }
        }
    }
}

/// Whether a file has something in it.
fn has_text(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() > 0)
}

/// One run as its log tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedRun {
    /// Its id.
    pub run: String,
    /// When it began, UTC.
    pub began: String,
    /// How many instances are in it.
    pub instances: usize,
    /// Whether it goes on.
    pub phase: Phase,
    /// From its begin to its last event.
    pub seconds: f64,
    /// How many instances were hits.
    pub hits: usize,
    /// Those that ended and were no hits, in the order of the plan.
    pub ended: Vec<LoggedEnd>,
    /// Those that had started and not ended.
    pub running: Vec<LoggedStart>,
    /// What was measured, in the order of the plan.
    pub measured: Vec<Measured>,
    /// Notes of stages about results that the run made or uses: label, note.
    pub notes: Vec<(String, String)>,
    /// The claims that were checked.
    pub claims: Vec<ClaimReport>,
    /// What went wrong besides instances.
    pub failures: Vec<Failure>,
    /// A stop was requested.
    pub stopped: bool,
    /// Its folder.
    pub folder: PathBuf,
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It goes on.
    Running,
    /// It ended by itself, with this exit code.
    Finished(u8),
    /// Its process ended before the run did.
    Killed,
}

/// How one instance ended.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedEnd {
    /// Its label.
    pub label: String,
    /// How.
    pub outcome: Outcome,
    /// The log of its last attempt, for a failure that printed something.
    pub log: Option<PathBuf>,
    /// Seconds from its first start to its end; 0 if it did not start.
    pub seconds: f64,
}

/// An instance that had started and not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedStart {
    /// Its label.
    pub label: String,
    /// The seconds since the run began at which it started first.
    pub started: f64,
    /// The last value of each of its metrics, by name.
    pub metrics: BTreeMap<String, Metric>,
}

/// What one instance measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Its label.
    pub label: String,
    /// In the order in which it came; an attempt that was repeated begins at the first step again.
    pub metrics: Vec<Metric>,
}

/// Reads the log of a run; `None` if its folder has none.
///
/// # Errors
/// It cannot be read, or a line is not an event that this version knows.
pub(super) fn read(folder: &Path) -> Result<Option<LoggedRun>, Failure> {
    let path = folder.join(FILE);
    // Before it is read: a run that ends in between has written its end.
    let is_running = is_locked(&path);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io("read", &path, &error)),
    };
    // The last line may be torn; without any other the run was killed while it wrote its first.
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let Some(first) = lines.next() else { return Ok(None) };
    let phase = if is_running { Phase::Running } else { Phase::Killed };
    let mut reading = Reading::begin(first, phase, folder).map_err(|what| unknown(&path, 1, &what))?;
    for (number, line) in (2..).zip(lines) {
        let line = serde_json::from_slice(line).map_err(|error| unknown(&path, number, &of_line(&error)))?;
        reading.add(line);
    }
    Ok(Some(reading.end()))
}

/// A log as far as it is read.
struct Reading {
    logged: LoggedRun,
    started: BTreeMap<InstanceId, LoggedStart>,
    ended: Vec<(InstanceId, LoggedEnd, Vec<String>)>,
    measured: BTreeMap<InstanceId, Measured>,
}

impl Reading {
    /// After the first line, or what is wrong with it.
    fn begin(first: &[u8], phase: Phase, folder: &Path) -> Result<Self, String> {
        let (run, began, instances) = match serde_json::from_slice(first).map_err(|error| of_line(&error))? {
            Line { what: What::Began { version: VERSION, run, began, instances, .. }, .. } => (run, began, instances),
            Line { what: What::Began { version, .. }, .. } => {
                return Err(format!("expected version {VERSION}, found {version}"));
            }
            _ => return Err("expected the event `began`".to_owned()),
        };
        let logged = LoggedRun {
            run,
            began,
            instances,
            phase,
            seconds: 0.0,
            hits: 0,
            ended: Vec::new(),
            running: Vec::new(),
            measured: Vec::new(),
            notes: Vec::new(),
            claims: Vec::new(),
            failures: Vec::new(),
            stopped: false,
            folder: folder.to_owned(),
        };
        Ok(Self { logged, started: BTreeMap::new(), ended: Vec::new(), measured: BTreeMap::new() })
    }

    fn add(&mut self, Line { at, what, hits }: Line) {
        let logged = &mut self.logged;
        logged.seconds = at;
        logged.hits = hits.unwrap_or(logged.hits);
        match what {
            What::Began { .. } | What::Retrying { .. } => {}
            What::Started { id, label, .. } => {
                self.started.entry(id).or_insert(LoggedStart { label, started: at, metrics: BTreeMap::new() });
            }
            What::Metric { id, metric } => {
                if let Some(started) = self.started.get_mut(&id) {
                    let new = || Measured { label: started.label.clone(), metrics: Vec::new() };
                    self.measured.entry(id).or_insert_with(new).metrics.push(metric.clone());
                    started.metrics.insert(metric.name().to_owned(), metric);
                }
            }
            What::Ended { id, label, outcome, log, notes } => {
                let start = self.started.remove(&id);
                let (known, since) = start.map_or((String::new(), at), |start| (start.label, start.started));
                let label = label.unwrap_or(known);
                self.ended.push((id, LoggedEnd { label, outcome, log, seconds: at - since }, notes));
            }
            What::Reopened { id, .. } => self.ended.retain(|(of, ..)| *of != id),
            What::Noted { note, labels } => {
                logged.notes.extend(labels.into_iter().map(|label| (label, note.clone())));
            }
            What::Claim(claim) => logged.claims.push(claim),
            What::Failure { failure } => logged.failures.push(failure),
            What::Stopping => logged.stopped = true,
            What::Finished { exit_code } => logged.phase = Phase::Finished(exit_code),
        }
    }

    fn end(self) -> LoggedRun {
        let Self { mut logged, started, mut ended, measured } = self;
        ended.sort_by_key(|(id, ..)| *id);
        let mut notes = Vec::new();
        for (_, end, own) in ended {
            notes.extend(own.into_iter().map(|note| (end.label.clone(), note)));
            logged.ended.push(end);
        }
        logged.running = started.into_values().collect();
        logged.measured = measured.into_values().collect();
        logged.notes.splice(..0, notes);
        logged
    }
}

/// The words of an error about one line, without the number 1 of that line.
fn of_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column", " at column")
}

fn unknown(path: &Path, line: usize, what: &str) -> Failure {
    let folder = path.parent().unwrap_or(path).display();
    Failure::environment(format!("line {line} of the log of events is not one that this version of pipe knows: {what}"))
        .at(format!("{}:{line}", path.display()))
        .hint(format!("delete the folder of that run, which loses no result: `rm -r '{folder}'`"))
}

/// Whether the process that writes a log is alive.
fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(folder: &Path) -> EventLog {
        EventLog::begin(folder, "r1", jiff::Timestamp::UNIX_EPOCH, 10)
    }

    #[test]
    fn a_log_is_read_while_it_is_written_after_its_end_and_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        let mut log = begun(folder.path());
        log.hit();
        log.started(InstanceId(1), "a", 1);
        let failure = Failure::stage("broken").hint("mend it");
        log.retrying(InstanceId(1), &failure, 1.0);
        log.started(InstanceId(1), "a", 2);
        log.started(InstanceId(2), "b", 1);
        let outcome = Outcome::Failed { failure, retained: Some("retained".into()) };
        log.ended(InstanceId(1), "a", &outcome, None, &[]);
        log.ended(InstanceId(3), "c", &Outcome::Skipped { because: "a".into() }, None, &[]);
        let now = read(folder.path()).unwrap().unwrap();
        assert_eq!((now.phase, now.hits, now.instances), (Phase::Running, 1, 10));
        assert_eq!(now.began, "1970-01-01T00:00:00Z");
        let ends: Vec<_> = now.ended.iter().map(|end| (end.label.as_str(), end.outcome.clone())).collect();
        assert_eq!(ends, [("a", outcome), ("c", Outcome::Skipped { because: "a".into() })]);
        assert_eq!(now.running[0].label, "b");
        let loss = |step, value| Metric::new("loss", step, value).unwrap();
        log.metric(InstanceId(2), &loss(1, 0.5));
        log.metric(InstanceId(2), &loss(2, 0.25));
        log.reopened(InstanceId(1), false);
        let now = read(folder.path()).unwrap().unwrap();
        assert_eq!(now.running[0].metrics, BTreeMap::from([("loss".into(), loss(2, 0.25))]));
        assert_eq!(now.ended.len(), 1, "an end that was taken back");
        // Killed in the middle of a line.
        log.file.as_mut().unwrap().write_all(b"{\"at\":1,\"ev").unwrap();
        drop(log);
        let killed = read(folder.path()).unwrap().unwrap();
        assert_eq!((killed.phase, killed.ended.len()), (Phase::Killed, 1));
    }

    #[test]
    fn bytes_that_are_no_event_are_named_by_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let mut log = begun(folder.path());
        log.started(InstanceId(1), "a", 1);
        log.finished(0);
        let good = fs::read(&path).unwrap();
        let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
        for (number, damage) in
            [(1, &b"\xff\xfe\n"[..]), (1, b"{}\n"), (2, b"{\"at\":\xff}\n"), (3, b"\0\0\0\n"), (2, b"\n")]
        {
            let mut damaged = lines.clone();
            damaged[number - 1] = damage;
            fs::write(&path, damaged.concat()).unwrap();
            let failure = read(folder.path()).unwrap_err();
            assert_eq!(failure.place.as_deref(), Some(&*format!("{}:{number}", path.display())), "{failure}");
            assert!(failure.message.starts_with(&format!("line {number} of the log of events")), "{failure}");
            assert!(failure.hint.unwrap().contains(&folder.path().display().to_string()));
        }
    }

    #[test]
    fn notes_claims_and_other_failures_are_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = begun(folder.path());
        let of = |label: &str, note: &str| (label.to_owned(), note.to_owned());
        log.noted(&[of("a", "no tracts"), of("b", "fetched"), of("c", "no tracts")]);
        log.started(InstanceId(1), "d", 1);
        log.ended(InstanceId(1), "d", &Outcome::Ran, None, &["few vertices".to_owned()]);
        let claim =
            ClaimReport { text: "two".into(), found: Err("absent".into()), equals: 2.0, within: 0.0, holds: false };
        log.claim(&claim);
        log.failure(&Failure::environment("the disk is full"));
        log.finished(1);
        let read = read(folder.path()).unwrap().unwrap();
        let expected = [of("d", "few vertices"), of("b", "fetched"), of("a", "no tracts"), of("c", "no tracts")];
        assert_eq!(read.notes, expected);
        assert_eq!(read.claims, [claim]);
        assert_eq!(read.failures, [Failure::environment("the disk is full")]);
    }

    #[test]
    fn ten_thousand_instances_are_small() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = begun(folder.path());
        for id in 0..10_000 {
            let label = format!("train(rater=A1, sid={id:06})");
            log.started(InstanceId(id), &label, 1);
            log.ended(InstanceId(id), &label, &Outcome::Ran, None, &[]);
        }
        log.finished(0);
        assert_eq!(read(folder.path()).unwrap().unwrap().phase, Phase::Finished(0));
        assert!(fs::metadata(folder.path().join(FILE)).unwrap().len() < 1_700_000);
    }
}
