//! The real pipeline, killed with SIGKILL again and again: the next run continues, ends with the same bytes, does
//! nothing twice and leaves nothing behind.
//!
//! Moments are sampled uniformly over the time of an undisturbed run. A run that was killed is run again, until one
//! ends by itself before its moment: that one is compared with the undisturbed run, and a fresh cache is begun. What a
//! kill has met is found out afterwards, from the process table and from what lies in the cache. Where uniform samples
//! have met storing too seldom, kills are aimed: at the moment when so many blobs are in the store.
//!
//! `PIPE_TEST_SEED` plays a campaign again, `PIPE_TEST_KILLS` sets its length.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fs_err::{self as fs, File};
use serde_json::Value;

use crate::support::paper::{FILE, Paper, Records, begun, blobs, contents, events, files_below, worked};
use crate::support::processes::{self, Process};

/// One network, three subjects: all stages of the paper in a few seconds.
const PROFILE: &str = "    extends: tiny
    params: { subjects: [s01, s02, s03], example: s03, raters: [A1, A2], inputs: { keep: [anat] }, outputs: { keep: [area] } }
";
const KILLS: u64 = 50;
/// So many kills must meet a training, and so many the storing of results.
const OF_EACH: u64 = 10;
/// Nothing that belonged to a killed run exists longer.
const PROCESSES_END: Duration = Duration::from_secs(20);
/// More aimed kills than this are not tried.
const AIMED_AT_MOST: u64 = 100;

#[test]
fn slow_kills_lose_nothing_and_leave_nothing() {
    let seed = number_of("PIPE_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()) * 7919);
    let kills = number_of("PIPE_TEST_KILLS").unwrap_or(KILLS);
    let of_each = OF_EACH.min(kills / 5);
    eprintln!("{kills} kills with PIPE_TEST_SEED={seed}");
    let reference = Reference::make();
    let mut campaign = Campaign { reference: &reference, random: Draws(seed), met: Met::default(), current: None };
    while campaign.met.kills < kills {
        let moment = reference.duration.mul_f64(campaign.random.unit());
        campaign.run(&Aim::At(moment));
    }
    let uniform = campaign.met.kills;
    while (campaign.met.training < of_each || campaign.met.storing < of_each)
        && campaign.met.kills < uniform + AIMED_AT_MOST
    {
        let aim = if campaign.met.storing < of_each {
            Aim::Blobs(campaign.random.unit())
        } else {
            Aim::Training(Duration::from_millis(campaign.random.below(1500)))
        };
        campaign.run(&aim);
    }
    campaign.finish();
    let met = campaign.met;
    eprintln!("undisturbed run {:.1} s; {met:?}", reference.duration.as_secs_f64());
    assert!(met.training >= of_each, "only {} of {} kills met a training", met.training, met.kills);
    assert!(met.storing >= of_each, "only {} of {} kills met storing", met.storing, met.kills);
}

/// What an undisturbed run makes, and how long it takes.
struct Reference {
    artifacts: BTreeMap<String, String>,
    results: BTreeMap<String, Vec<u8>>,
    project: BTreeSet<String>,
    duration: Duration,
    blobs: u64,
}

impl Reference {
    fn make() -> Self {
        let paper = paper();
        // Once to fetch packages, if need be; only then is a duration one.
        paper.pipe("run", "killed", &["--only", "template"]).exits(0);
        let start = Instant::now();
        paper.pipe("run", "killed", &[]).exits(0);
        let duration = start.elapsed();
        let cache = paper.space.cache();
        assert_eq!(leftovers(&paper), Vec::<String>::new(), "an undisturbed run leaves something");
        Self {
            artifacts: Records::of(&cache).artifacts,
            results: contents(&paper.space.path("results")),
            project: project(&paper),
            duration,
            blobs: blobs(&cache).len() as u64,
        }
    }
}

/// A project whose temporary files would lie in a folder of its own.
fn paper() -> Paper {
    let paper = Paper::with_profile("killed", PROFILE);
    fs::create_dir(paper.space.root().join("tmp")).expect("a folder for temporary files");
    paper
}

/// When a run is to be killed.
enum Aim {
    /// So long after its start.
    At(Duration),
    /// As soon as this share of the blobs that are still missing is in the store.
    Blobs(f64),
    /// So long after a training has begun.
    Training(Duration),
}

/// What the kills have met.
#[derive(Debug, Default)]
struct Met {
    kills: u64,
    /// A worker trained.
    training: u64,
    /// An output was being stored, or results were being published.
    storing: u64,
    /// Runs that came to their end before their moment.
    finished: u64,
    /// The longest time that processes of a killed run lived on, milliseconds.
    longest_shutdown: u128,
}

struct Campaign<'a> {
    reference: &'a Reference,
    random: Draws,
    met: Met,
    /// The project that is being killed.
    current: Option<Paper>,
}

impl Campaign<'_> {
    /// One run that is killed at its moment, or comes to its end before.
    fn run(&mut self, aim: &Aim) {
        let paper = self.current.take().unwrap_or_else(paper);
        let event_file = paper.space.root().join("events");
        let before = Seen::of(&paper);
        let child = start(&paper, &event_file);
        let there = blobs(&paper.space.cache()).len() as u64;
        let missing = self.reference.blobs.saturating_sub(there);
        let enough = match aim {
            Aim::Blobs(share) => there + 1 + (missing as f64 * share) as u64,
            _ => 0,
        };
        let Some(at_death) = kill(child, aim, enough, &paper, &event_file) else {
            self.check_a_finished_run(&paper, &read_events(&event_file), &before);
            return;
        };
        self.met.kills += 1;
        let events = read_events(&event_file);
        check_nothing_is_done_twice(&events, &before);
        self.wait_for_its_processes(&paper);
        let training = is_training(&events) && at_death.iter().any(|process| process.name == "pipe-torch");
        self.met.training += u64::from(training);
        self.met.storing += u64::from(was_storing(&paper, &events, &before));
        self.current = Some(paper);
    }

    /// Lets the last killed run be continued to its end.
    fn finish(&mut self) {
        if self.current.is_some() {
            self.run(&Aim::At(Duration::from_secs(3600)));
        }
    }

    fn wait_for_its_processes(&mut self, paper: &Paper) {
        let start = Instant::now();
        loop {
            let left = processes::touching(paper.space.root());
            if left.is_empty() {
                break;
            }
            assert!(start.elapsed() < PROCESSES_END, "processes are left after the kill: {left:?}");
            thread::sleep(Duration::from_millis(5));
        }
        self.met.longest_shutdown = self.met.longest_shutdown.max(start.elapsed().as_millis());
    }

    fn check_a_finished_run(&mut self, paper: &Paper, events: &[Value], before: &Seen) {
        self.met.finished += 1;
        check_nothing_is_done_twice(events, before);
        let failed: Vec<_> = worked(events).into_iter().filter(|(_, outcome)| outcome != "ran").collect();
        assert!(failed.is_empty(), "{failed:?}");
        let made = Records::of(&paper.space.cache()).artifacts;
        assert_eq!(made.len(), self.reference.artifacts.len());
        let other = made.iter().filter(|(place, digest)| self.reference.artifacts.get(*place) != Some(digest));
        let other: Vec<&String> = other.map(|(place, _)| place).collect();
        assert!(other.is_empty(), "other bytes than undisturbed: {other:?}\n{}", log_of_training(paper));
        assert!(contents(&paper.space.path("results")) == self.reference.results, "other results");
        assert_eq!(project(paper), self.reference.project, "other files in the project");
        assert_eq!(leftovers(paper), Vec::<String>::new(), "temporary files are left");
        assert_eq!(processes::touching(paper.space.root()).len(), 0, "processes are left");
        let (shown, again) = paper.run("killed", &[]);
        shown.exits(0);
        assert_eq!(worked(&again).len(), 0, "a run after it has nothing to do");
    }
}

/// The log of the training; a resumed one has a line with the number of epochs before it.
fn log_of_training(paper: &Paper) -> String {
    paper.pipe("log", "killed", &["train(inputs=anat, outputs=area, restart=1)"]).stdout
}

/// What was in a cache before a run.
struct Seen {
    keys: BTreeSet<String>,
    orphans: BTreeSet<String>,
}

impl Seen {
    fn of(paper: &Paper) -> Self {
        let cache = paper.space.cache();
        let records = Records::of(&cache);
        let orphans = blobs(&cache).difference(&records.blobs).cloned().collect();
        Self { keys: records.keys, orphans }
    }
}

fn start(paper: &Paper, event_file: &Path) -> Child {
    let mut command = paper.command("run", "killed", &["-j2", "--json"]);
    command.env("TMPDIR", paper.space.root().join("tmp"));
    let event_file = File::create(event_file).expect("a file for events");
    command.stdout(event_file.into_file()).stderr(Stdio::null()).spawn().expect("pipe starts")
}

/// Waits for the moment and kills. The processes below it at its death; `None` if it came to its end before.
fn kill(mut child: Child, aim: &Aim, enough: u64, paper: &Paper, event_file: &Path) -> Option<Vec<Process>> {
    let start = Instant::now();
    let mut since = None;
    loop {
        if let Some(status) = child.try_wait().expect("its state") {
            assert!(status.success(), "an undisturbed continuation failed: {status}");
            return None;
        }
        let due = match aim {
            Aim::At(moment) => start.elapsed() >= *moment,
            Aim::Blobs(_) => files_below(&paper.space.cache().join("blobs")).len() as u64 >= enough,
            Aim::Training(after) => {
                since = since.or_else(|| is_training(&read_events(event_file)).then(Instant::now));
                since.is_some_and(|since| since.elapsed() >= *after)
            }
        };
        if due {
            break;
        }
        if !matches!(aim, Aim::Blobs(_)) {
            thread::sleep(Duration::from_millis(2));
        }
    }
    // Looking at the process table takes longer than storing a file: only where the moment was not aimed at that.
    let below = if matches!(aim, Aim::Blobs(_)) { Vec::new() } else { processes::below(child.id()) };
    child.kill().expect("SIGKILL is sent");
    child.wait().expect("it ends");
    Some(below)
}

fn read_events(path: &Path) -> Vec<Value> {
    events(&fs::read_to_string(path).expect("events can be read"))
}

/// A training has begun and not ended.
fn is_training(events: &[Value]) -> bool {
    let of_trainings = |event: &&Value| event["label"].as_str().is_some_and(|label| label.starts_with("train("));
    let last = events.iter().rev().filter(of_trainings).find(|event| event["event"] != "progressed");
    last.is_some_and(|event| event["event"] == "started")
}

/// The kill has split the storing of an output (a blob is there that no record needs yet, or a record whose end was not
/// reported) or the publishing of results.
fn was_storing(paper: &Paper, events: &[Value], before: &Seen) -> bool {
    let after = Seen::of(paper);
    let half_stored = after.orphans.difference(&before.orphans).next().is_some();
    let unreported = after.keys.len() - before.keys.len() > worked(events).len();
    let results = files_and_folders(&paper.space.path("results"));
    half_stored || unreported || results.iter().any(|name| name.contains(".publishing-"))
}

/// A key that had a record is not worked on again, and none twice in one run.
fn check_nothing_is_done_twice(events: &[Value], before: &Seen) {
    let begun = begun(events);
    let twice: Vec<_> = begun.iter().filter(|key| before.keys.contains(*key)).collect();
    assert!(twice.is_empty(), "finished before, and begun again: {twice:?}");
    assert_eq!(begun.iter().collect::<BTreeSet<_>>().len(), begun.len(), "begun twice in one run");
}

/// Files of the project, apart from what pipe stores elsewhere.
fn project(paper: &Paper) -> BTreeSet<String> {
    let project = paper.space.project();
    let below = |path: &Path| path.strip_prefix(&project).expect("it lies below").display().to_string();
    files_below(&project).iter().map(|path| below(path)).filter(|name| name != FILE).collect()
}

/// Whatever a killed run must not leave once a run has ended well: work folders, locks, checkpoints, half-written files.
fn leftovers(paper: &Paper) -> Vec<String> {
    let root = paper.space.root();
    let mut found = files_and_folders(&root.join("tmp"));
    found.extend(
        files_and_folders(&paper.space.cache().join("work")).into_iter().filter(|name| !name.ends_with("/sweep")),
    );
    for folder in ["kept", "quarantine", "absences"] {
        found.extend(files_and_folders(&paper.space.cache().join(folder)));
    }
    let state = files_and_folders(&root.join("state"));
    let temporary = |name: &&String| {
        let last = name.rsplit('/').next().unwrap_or(name);
        let inside = |folder: &str| name.contains(&format!("/{folder}/"));
        inside("checkpoints")
            || last.starts_with('.')
            || [".new", ".tmp", ".part"].iter().any(|end| last.ends_with(end))
    };
    found.extend(state.iter().filter(temporary).cloned());
    let results = files_and_folders(&paper.space.path("results"));
    found.extend(results.into_iter().filter(|name| name.contains(".publishing-")));
    found
}

/// Everything below a folder, folders too.
fn files_and_folders(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            found.push(entry.path().display().to_string());
            if entry.file_type().is_ok_and(|form| form.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    found
}

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{variable}` is `{text}`, expected a number")))
}

/// SplitMix64: random numbers that a printed seed repeats.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 inclusive to 1 exclusive.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}
