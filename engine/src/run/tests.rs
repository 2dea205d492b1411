//! Whole runs: real files, real processes, kinds of our own. Stages append a line to a ledger whenever they work.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fs_err::{self as fs, File};
use pipe_contract::{
    ArtifactType, Blame, Comparison, Context, Ended, Failure, FileFormat, Kind, Presence, Preview, Registry, Repro,
    StageKind, Task, Type, Value,
};
use tempfile::TempDir;

use super::*;
use crate::event::{Event, Outcome};
use crate::exec::{Settings, WorkerSettings};
use crate::key::Reason;
use crate::plan::{self, Plan};
use crate::report::{LIST, ListFile, PublishedList};
use crate::sched::Capacities;

/// A kind that writes its `text`, or misbehaves in the way of its `does`.
struct Write;

impl StageKind for Write {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("test/write", 1, "writes a text")
            .port("one", &[], pipe_contract::Arity::One, false, "something")
            .file("out", "text", "the text");
        kind.inputs[0].optional = true;
        kind.axes = Vec::new();
        kind.absences = vec!["not-found", "excluded"];
        kind.network = true;
        kind.param("text", Type::Text, Value::Text("text".into()), "what to write")
            .param("does", Type::Text, Value::Text(String::new()), "how")
            .param("ledger", Type::Text, Value::Text(String::new()), "a file that gets a line")
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let text = |name: &str| task.params[name].as_text().unwrap_or_default().to_owned();
        context.log("at work");
        let ledger = PathBuf::from(text("ledger"));
        if ledger.is_absolute() {
            use std::io::Write;
            writeln!(File::options().create(true).append(true).open(&ledger).unwrap(), "worked").unwrap();
        }
        let attempts = || fs::read_to_string(&ledger).unwrap_or_default().lines().count();
        match text("does").as_str() {
            "absent" => return Ok(Ended::Absent { cause: "not-found".into(), detail: "no source has it".into() }),
            "appear" if attempts() < 2 => {
                return Ok(Ended::Absent { cause: "not-found".into(), detail: String::new() });
            }
            "stutter" if attempts() < 2 => return Err(Failure::environment("503").transient()),
            "nothing" => return Ok(Ended::done()),
            "note" => {
                fs::write(task.output("out")?, text("text")).unwrap();
                return Ok(Ended::noted(vec!["some data are missing".into()]));
            }
            "share" => {
                let shared = context.shared_downloads();
                shared.into_iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
                let named = shared.map_or("none".to_owned(), |folder| folder.display().to_string());
                fs::write(task.output("out")?, named).unwrap();
                return Ok(Ended::done());
            }
            "empty" => fs::write(task.output("out")?, "").unwrap(),
            "meddle" => {
                let source = task.maybe("one").unwrap();
                fs::write(source, "meddled").unwrap();
            }
            _ => {}
        }
        if text("does") != "empty" {
            fs::write(task.output("out")?, text("text")).unwrap();
        }
        Ok(Ended::done())
    }
}

/// A kind that lists what it gets.
struct List;

impl StageKind for List {
    fn kind(&self) -> Kind {
        Kind::new("test/list", 1, "lists cells").gather("cells", &[], "anything").file("out", "text", "a line a cell")
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let line = |cell: &pipe_contract::Cell| match &cell.artifact {
            Presence::Present(path) => format!("{}: {}\n", cell.at, fs::read_to_string(path).unwrap()),
            Presence::Absent(cause) => format!("{}: absent ({cause})\n", cell.at),
        };
        fs::write(task.output("out")?, task.many("cells").iter().map(line).collect::<String>()).unwrap();
        Ok(Ended::done())
    }
}

/// A kind whose number is of as many subjects as there are cells.
struct Count;

impl StageKind for Count {
    fn kind(&self) -> Kind {
        let kind = Kind::new("test/count", 1, "counts cells").gather("cells", &[], "anything");
        kind.file("out", "text", "their number").aggregating()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let cells = task.present("cells").count();
        fs::write(task.output("out")?, cells.to_string()).unwrap();
        Ok(Ended::done().aggregating("out", cells))
    }
}

/// A kind that needs its input.
struct Copy;

impl StageKind for Copy {
    fn kind(&self) -> Kind {
        Kind::new("test/copy", 1, "copies").input("one", &[], "anything").folder("out", "folder", "with `copy.txt`")
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        fs::create_dir(task.output("out")?).unwrap();
        fs::copy(task.one("one")?, task.output("out")?.join("copy.txt")).unwrap();
        Ok(Ended::done())
    }
}

/// A kind that writes a number a little larger at each attempt, and promises no more.
struct Drift;

impl StageKind for Drift {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("test/drift", 1, "writes a number").file("out", "number", "the number");
        kind.repro = Repro::Within(0.1);
        kind.param("ledger", Type::Text, Value::Text(String::new()), "a file that gets a line")
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        use std::io::Write;
        let ledger = task.params["ledger"].as_text().unwrap_or_default();
        writeln!(File::options().create(true).append(true).open(ledger).unwrap(), "worked").unwrap();
        let attempts = fs::read_to_string(ledger).unwrap().lines().count();
        fs::write(task.output("out")?, ["0.5", "0.55", "0.75"][attempts - 1]).unwrap();
        Ok(Ended::done())
    }
}

fn explained(_: &Path, _: &Path, tolerance: f64) -> Option<String> {
    Some(format!("one number by more than {tolerance}"))
}

/// The format of its output.
const NUMBER: FileFormat = FileFormat {
    name: "number",
    ends: &[".number"],
    comparison: Comparison::ByNumber(|before, now| {
        let read = |path: &Path| fs::read_to_string(path).unwrap().parse::<f64>().map_err(|error| error.to_string());
        Ok((read(before)? - read(now)?).abs())
    }),
    explain: Some(explained),
    preview: Preview::Summary(|path| fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))),
    columns: None,
};

/// A random kind that writes its seed.
struct Seed(Kind);

impl StageKind for Seed {
    fn kind(&self) -> Kind {
        self.0.clone()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        fs::write(task.output("out")?, task.seed.unwrap().to_string()).unwrap();
        Ok(Ended::done())
    }
}

pub(super) struct Space {
    pub folder: TempDir,
    registry: Arc<Registry>,
}

/// A summary and how instances ended that were not hits.
pub(super) struct Ran {
    pub summary: Summary,
    pub whys: BTreeMap<String, String>,
    pub events: Vec<Event>,
}

impl Space {
    pub fn with(pipeline: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("project")).unwrap();
        let mut registry = Registry::new();
        registry.add(Write);
        registry.add(List);
        registry.add(Copy);
        registry.add(Drift);
        registry.add(Count);
        registry.add_type(ArtifactType::file("number", "a number", &[&NUMBER]));
        let space = Self { folder, registry: Arc::new(registry) };
        space.write("p.yaml", &format!("pipe: 1\npipeline: p\n{pipeline}"));
        space
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("project").join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("`{name}`: {error}"))
    }

    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "no `{from}` in `{name}`");
        self.write(name, &text.replace(from, to));
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn plan(&self) -> Plan {
        plan::plan(&self.path("p.yaml"), &plan::PlanOptions::default(), &self.registry)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub fn options(&self) -> RunOptions {
        let worker = WorkerSettings::new("none".into(), "b");
        let exec = Settings { grace: Duration::from_millis(300), ..Settings::new(Arc::clone(&self.registry), worker) };
        let capacities = Capacities { cpu: 2, gpus: Vec::new(), mem: u64::MAX, net: 2 };
        RunOptions::new(Places { cache: self.cache(), state: self.state() }, exec, capacities)
    }

    pub fn run(&self) -> Ran {
        self.run_with(&self.options())
    }

    pub fn run_with(&self, options: &RunOptions) -> Ran {
        self.try_run(options).unwrap_or_else(|failure| panic!("{failure}"))
    }

    pub fn try_run(&self, options: &RunOptions) -> Result<Ran, Failure> {
        let (mut whys, mut events) = (BTreeMap::new(), Vec::new());
        let mut take = |event: Event| {
            if let Event::Started { label, why, .. } = &event {
                whys.insert(label.clone(), why.clone());
            }
            events.push(event);
        };
        let summary = run(&self.plan(), options, &mut take, &Stop::new())?;
        Ok(Ran { summary, whys, events })
    }

    /// Where the blob of an output is.
    pub fn blob(&self, label: &str, port: &str) -> PathBuf {
        let plan = self.plan();
        let id = named(&plan, label).unwrap().into_iter().next().unwrap();
        path_of(&plan, &self.options(), id, port, None).unwrap()
    }

    fn ledger(&self, name: &str) -> usize {
        fs::read_to_string(self.folder.path().join(name)).map_or(0, |text| text.lines().count())
    }
}

impl Ran {
    /// `ran hit absent failed skipped`.
    #[track_caller]
    pub fn counts(&self, expected: [usize; 5]) -> &Self {
        let Counts { ran, hit, absent, failed, skipped } = self.summary.counts;
        assert_eq!([ran, hit, absent, failed, skipped], expected, "{:?}", self.summary);
        let ended = self.events.iter().filter(|event| matches!(event, Event::Ended { .. })).count();
        assert_eq!(ended, expected.iter().sum::<usize>(), "every instance ends once");
        self
    }

    fn failure(&self) -> &Failure {
        &self.summary.failed[0].failure
    }
}

/// Two commands in a row, and one beside them.
const WORDS: &str = r#"
stages:
  upper:
    run: tr a-z A-Z < "$IN_TEXT" > "$OUT_TEXT"
    in: { text: text.txt }
    out: { text: upper.txt }
  sorted:
    run: sort "$IN_TEXT" > "$OUT_TEXT"
    in: { text: $upper.text }
    out: { text: sorted.txt }
  alone:
    run: echo alone > "$OUT_A"
    out: { a: a.txt }
results:
  "sorted.txt": $sorted.text
  "alone.txt": $alone.a
"#;

fn words() -> Space {
    let space = Space::with(WORDS);
    space.write("text.txt", "b\na\n");
    space
}

#[test]
fn the_second_run_touches_nothing() {
    let space = words();
    let first = space.run();
    first.counts([3, 0, 0, 0, 0]);
    assert_eq!(space.read("results/p/sorted.txt"), "A\nB\n");
    assert_eq!(first.whys["upper"], "first time");
    let modified = || fs::metadata(space.cache().join("work")).unwrap().modified().unwrap();
    let before = modified();
    let second = space.run();
    second.counts([0, 3, 0, 0, 0]);
    assert_eq!((second.summary.exit_code(), second.summary.results.unchanged.len()), (0, 2));
    assert_eq!(modified(), before, "no session was begun");
}

#[test]
fn an_edit_runs_what_depends_on_it_and_stops_at_equal_bytes() {
    let space = words();
    space.run();
    space.write("text.txt", "b\nA\n");
    let ran = space.run();
    ran.counts([1, 2, 0, 0, 0]);
    assert!(ran.whys["upper"].starts_with("input `text` changed: "), "{:?}", ran.whys);
    space.edit("p.yaml", "sort \"$IN", "sort -r \"$IN");
    let ran = space.run();
    ran.counts([1, 2, 0, 0, 0]);
    assert!(ran.whys["sorted"].starts_with("body changed: `sort \"$IN_TEXT\""), "{:?}", ran.whys);
    assert_eq!(space.read("results/p/sorted.txt"), "B\nA\n");
    space.edit("p.yaml", "sort -r", "sort");
    space.run().counts([0, 3, 0, 0, 0]);
    assert_eq!(space.read("results/p/sorted.txt"), "A\nB\n");
}

#[test]
fn damaged_and_deleted_blobs_are_noticed_by_a_null_run() {
    for how in ["deleted", "truncated", "flipped"] {
        let space = words();
        space.run();
        let blob = space.blob("sorted", "text");
        fs::set_permissions(&blob, Permissions::from_mode(0o644)).unwrap();
        match how {
            "deleted" => fs::remove_file(&blob).unwrap(),
            "truncated" => File::options().write(true).open(&blob).unwrap().set_len(1).unwrap(),
            _ => fs::write(&blob, "A\nC\n").unwrap(),
        }
        let ran = space.run();
        ran.counts([1, 2, 0, 0, 0]);
        assert!(
            ran.whys["sorted"].starts_with("outputs are missing from the cache or damaged: "),
            "{how}: {:?}",
            ran.whys
        );
        assert_eq!(fs::read_to_string(&blob).unwrap(), "A\nB\n");
    }
}

#[test]
fn state_can_be_lost_and_is_found_again() {
    let space = words();
    space.run();
    fs::remove_dir_all(space.folder.path().join("state")).unwrap();
    space.run().counts([0, 3, 0, 0, 0]);
}

#[test]
fn another_checkout_shares_the_cache() {
    let (here, there) = (words(), words());
    here.run();
    let options = RunOptions { places: here.options().places, ..there.options() };
    there.run_with(&options).counts([0, 3, 0, 0, 0]);
    assert_eq!(there.read("results/p/sorted.txt"), "A\nB\n");
}

#[test]
fn a_cache_that_cannot_be_written_gives_hits_and_one_clear_failure() {
    let space = words();
    space.run();
    // Tests may run as root, whom no permission stops: a file takes the place of the folder of sessions.
    fs::remove_dir_all(space.cache().join("work")).unwrap();
    fs::write(space.cache().join("work"), "in the way").unwrap();
    space.edit("p.yaml", "echo alone", "echo other");
    let failure = space.try_run(&space.options()).map(|ran| ran.failure().clone()).unwrap_or_else(|failure| failure);
    assert_eq!(failure.blame, Blame::Environment);
    assert!(failure.message.contains("work"), "{failure}");
}

#[test]
fn equal_work_is_done_once() {
    let ledger = tempfile::tempdir().unwrap();
    let path = ledger.path().join("ledger").display().to_string();
    let stage =
        |name: &str| format!("  {name}:\n    uses: test/write\n    with: {{ text: same, ledger: \"{path}\" }}\n");
    let stages: String = ["a", "b", "c"].into_iter().map(stage).collect();
    let space = Space::with(&format!("stages:\n{stages}"));
    let both = std::thread::scope(|scope| {
        let run = || space.run().summary.counts;
        let threads = [scope.spawn(run), scope.spawn(run)];
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(both[0].ran + both[1].ran, 1, "{both:?}");
    assert_eq!(both[0].hit + both[1].hit, 5, "{both:?}");
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1);
}

#[test]
fn tasks_of_a_run_share_one_folder_for_downloads() {
    let stage = |name: &str| format!("  {name}: {{ uses: test/write, with: {{ does: share, text: {name} }} }}\n");
    let stages: String = ["a", "b"].map(stage).concat();
    let space = Space::with(&format!("stages:\n{stages}results: {{ a.txt: $a.out, b.txt: $b.out }}\n"));
    space.run().counts([2, 0, 0, 0, 0]);
    let (shared, other) = (space.read("results/p/a.txt"), space.read("results/p/b.txt"));
    assert!(Path::new(&shared).starts_with(space.cache()), "no folder in the cache: `{shared}`");
    assert_eq!(shared, other, "each task downloads for itself");
    assert!(!Path::new(&shared).exists(), "`{shared}` is there after the run");
}

#[test]
fn a_missing_cell_propagates() {
    let space = Space::with(
        r#"
params: { sids: [s1, s2] }
stages:
  fetch:
    each: { sid: $params.sids }
    drop: [{ sid: s2 }]
    uses: test/write
    with: { text: here }
  gone:
    uses: test/write
    with: { does: absent, ledger: "LEDGER" }
    absent: [not-found]
  needs: { uses: test/copy, in: { one: $gone.out } }
  after: { uses: test/copy, in: { one: $needs.out } }
  without: { uses: test/write, in: { one: $gone.out }, with: { text: without } }
  all:
    uses: test/list
    in:
      cells:
        - $fetch(*).out
        - $gone.out
results: { "all.txt": $all.out, "needs.txt": $needs.out }
"#,
    );
    space.edit("p.yaml", "LEDGER", &space.folder.path().join("ledger").display().to_string());
    let first = space.run();
    first.counts([3, 0, 3, 0, 0]);
    assert_eq!(first.summary.exit_code(), 0);
    let absent = |recorded: bool, origin: Option<&str>, detail: Option<&str>| {
        let (origin, detail) = (origin.map(str::to_owned), detail.map(str::to_owned));
        Outcome::Absent { cause: "not-found".into(), recorded, origin, detail }
    };
    let expected = |recorded| {
        let (found, inherited) =
            (absent(recorded, None, Some("no source has it")), absent(recorded, Some("gone"), None));
        [("gone", found), ("needs", inherited.clone()), ("after", inherited)]
            .map(|(label, end)| (label.to_owned(), end))
    };
    assert_eq!(first.summary.absent, expected(false));
    assert!(space.read("results/p/all.txt").contains("absent (not-found)"));
    assert_eq!(first.summary.results.missing, [("needs.txt".to_owned(), "absent (not-found)".to_owned())]);
    let second = space.run();
    second.counts([0, 3, 3, 0, 0]);
    assert_eq!(second.summary.absent, expected(true));
    assert_eq!(space.ledger("ledger"), 1, "the stage did not work again");

    let again = space.run_with(&RunOptions { retry_absent: true, ..space.options() });
    again.counts([0, 3, 3, 0, 0]);
    assert_eq!(again.whys["gone"], "recorded as absent (not-found), retried");
    assert_eq!(space.ledger("ledger"), 2);

    space.edit("p.yaml", "    absent: [not-found]\n", "");
    let refused = space.run();
    assert!(refused.failure().hint.as_ref().unwrap().contains("absent: [not-found]"), "{:?}", refused.failure());
}

#[test]
fn a_cell_that_appears_later_is_used() {
    let space = Space::with(
        "stages:\n  gone:\n    uses: test/write\n    with: { does: appear, ledger: \"LEDGER\" }\n    absent: [not-found]\n  needs: { uses: test/copy, in: { one: $gone.out } }\n",
    );
    space.edit("p.yaml", "LEDGER", &space.folder.path().join("ledger").display().to_string());
    space.run().counts([0, 0, 2, 0, 0]);
    space.run_with(&RunOptions { retry_absent: true, ..space.options() }).counts([2, 0, 0, 0, 0]);
    space.run().counts([0, 2, 0, 0, 0]);
}

#[test]
fn transient_failures_are_tried_again() {
    let space = Space::with(
        "stages:\n  s:\n    uses: test/write\n    with: { does: stutter, ledger: \"LEDGER\" }\n    retry: 1\n",
    );
    space.edit("p.yaml", "LEDGER", &space.folder.path().join("ledger").display().to_string());
    let ran = space.run();
    ran.counts([1, 0, 0, 0, 0]);
    assert!(ran.events.iter().any(|event| matches!(event, Event::Retrying { .. })));
    assert_eq!(space.ledger("ledger"), 2);
}

#[test]
fn outputs_are_what_the_kind_declares() {
    for (does, says) in [("nothing", "did not write output `out`"), ("empty", "wrote nothing into output `out`")] {
        let space = Space::with(&format!("stages:\n  s: {{ uses: test/write, with: {{ does: {does} }} }}\n"));
        let ran = space.run();
        ran.counts([0, 0, 0, 1, 0]);
        assert!(ran.failure().message.contains(says), "{}", ran.failure());
        assert_eq!(ran.summary.exit_code(), 70);
    }
}

#[test]
fn a_source_that_changes_under_a_stage_is_not_recorded() {
    let space = Space::with("stages:\n  s: { uses: test/write, in: { one: data.txt }, with: { does: meddle } }\n");
    space.write("data.txt", "as it was");
    let ran = space.run();
    ran.counts([0, 0, 0, 1, 0]);
    assert!(ran.failure().message.contains("changed while a stage was reading it"), "{}", ran.failure());
}

#[test]
fn the_folder_of_a_failure_is_retained_until_success() {
    let space = Space::with(
        "stages:\n  bad:\n    run: echo error; echo partial > \"$OUT_X\"; exit 3\n    out: { x: x.txt }\n  after: { uses: test/copy, in: { one: $bad.x } }\nresults: { \"x.txt\": $bad.x }\n",
    );
    let ran = space.run();
    ran.counts([0, 0, 0, 1, 1]);
    assert_eq!(ran.summary.skipped, [("after".to_owned(), "bad".to_owned())]);
    let retained = ran.summary.failed[0].retained.clone().unwrap();
    assert!(retained.is_dir());
    assert_eq!(ran.summary.exit_code(), 1);
    let plan = space.plan();
    let log = log_of(&plan, &space.options(), named(&plan, "bad").unwrap().into_iter().next().unwrap()).unwrap();
    assert_eq!(log.as_ref(), Some(&ran.summary.failed[0].log));
    assert_eq!(space.run().whys["bad"], "the last attempt at the same work failed");
    space.edit("p.yaml", "; exit 3", "");
    space.run().counts([2, 0, 0, 0, 0]);
    assert!(!retained.exists());
}

#[test]
fn only_logs_with_text_are_saved() {
    let space = Space::with(
        "stages:\n  loud:\n    run: echo printed; echo 1 > \"$OUT_X\"\n    out: { x: x.txt }\n  silent:\n    run: cp \"$IN_A\" \"$OUT_X\"\n    in: { a: $loud.x }\n    out: { x: x.txt }\n  last:\n    run: cp \"$IN_A\" \"$OUT_X\"; echo too\n    in: { a: $silent.x }\n    out: { x: x.txt }\n",
    );
    let log = |stage: &str| {
        let plan = space.plan();
        let id = *named(&plan, stage).unwrap().first().unwrap();
        log_of(&plan, &space.options(), id).map(|log| log.map(|log| fs::read_to_string(log).unwrap()))
    };
    assert_eq!(log("loud").unwrap_err().message, "there is no log of `loud`: it never worked here");
    space.run().counts([3, 0, 0, 0, 0]);
    // The log that stayed empty was the next stage's.
    assert_eq!(log("loud"), Ok(Some("printed\n".into())));
    assert_eq!(log("silent"), Ok(None));
    assert_eq!(log("last"), Ok(Some("too\n".into())));
    space.edit("p.yaml", "echo printed", "true");
    let ran = space.run_with(&RunOptions { force: vec!["loud".into()], ..space.options() });
    ran.counts([1, 2, 0, 0, 0]);
    assert_eq!(log("loud"), Ok(None), "the earlier log is gone");
}

#[test]
fn a_renamed_kind_has_the_same_keys_and_seeds() {
    let kind = |name| Kind { random: true, ..Kind::new(name, 1, "writes its seed").file("out", "text", "the seed") };
    let registry = |kind| {
        let mut registry = Registry::new();
        registry.add(Seed(kind));
        Arc::new(registry)
    };
    let mut space = Space::with("stages:\n  s: { uses: test/old }\nresults: { \"s.txt\": $s.out }\n");
    space.registry = registry(kind("test/old"));
    space.run().counts([1, 0, 0, 0, 0]);
    let seed = space.read("results/p/s.txt");

    space.registry = registry(kind("test/new").formerly("test/old"));
    let errors = plan::plan(&space.path("p.yaml"), &plan::PlanOptions::default(), &space.registry).unwrap_err();
    let message = errors.render(false);
    assert!(message.contains("unknown stage kind `test/old`"), "{message}");
    assert!(message.contains("hint: this kind is now called `test/new`"), "{message}");
    space.edit("p.yaml", "test/old", "test/new");
    space.run().counts([0, 1, 0, 0, 0]);

    space.registry = registry(Kind { version: 2, ..kind("test/new").formerly("test/old") });
    let ran = space.run();
    ran.counts([1, 0, 0, 0, 0]);
    assert_eq!(ran.whys["s"], "`test/new` has a new version: 1 -> 2");
    assert_eq!(space.read("results/p/s.txt"), seed);
}

#[test]
fn forced_stages_run_and_equal_bytes_stop_there() {
    let space = words();
    space.run();
    let ran = space.run_with(&RunOptions { force: vec!["upper".into()], ..space.options() });
    ran.counts([1, 2, 0, 0, 0]);
    assert_eq!(ran.whys["upper"], "forced");
    let unknown = space.try_run(&RunOptions { force: vec!["uper".into()], ..space.options() }).err().unwrap();
    assert_eq!(unknown.hint.as_deref(), Some("the nearest name is `upper`"));
}

#[test]
fn selections_run_their_part() {
    let select = |field: fn(&mut Selection) -> &mut Vec<String>, name: &str| {
        let mut selection = Selection::default();
        field(&mut selection).push(name.into());
        selection
    };
    let space = words();
    let options = |selection| RunOptions { selection, ..space.options() };
    let only = space.run_with(&options(select(|it| &mut it.only, "sorted")));
    only.counts([0, 0, 0, 1, 0]);
    assert!(only.failure().message.contains("reads `upper`, which is not cached"), "{}", only.failure());
    space.run_with(&options(select(|it| &mut it.until, "upper"))).counts([1, 0, 0, 0, 0]);
    assert!(!space.path("results").exists(), "results of other stages are not touched");
    space.run_with(&options(select(|it| &mut it.only, "sorted"))).counts([1, 0, 0, 0, 0]);
    space.run_with(&options(select(|it| &mut it.stages, "sorted"))).counts([0, 2, 0, 0, 0]);
    space.run_with(&options(select(|it| &mut it.from, "upper"))).counts([0, 2, 0, 0, 0]);
    assert!(!space.path("results/p/alone.txt").exists());
    assert!(!space.path("p.lock").exists(), "a part of the results makes no lockfile");
}

#[test]
fn results_are_copies_that_are_restored_but_never_overwritten() {
    let space = words();
    space.run();
    let target = space.path("results/p/sorted.txt");
    fs::remove_file(&target).unwrap();
    let ran = space.run();
    assert_eq!((ran.counts([0, 3, 0, 0, 0]).summary.results.written.as_slice()), ["sorted.txt"]);

    fs::write(&target, "mine\n").unwrap();
    let ran = space.run();
    assert_eq!(ran.summary.results.edited, ["sorted.txt"]);
    assert_eq!(space.read("results/p/sorted.txt"), "mine\n");
    assert_eq!(fs::read_to_string(space.blob("sorted", "text")).unwrap(), "A\nB\n", "the store has its own copy");

    space.edit("p.yaml", "\"alone.txt\"", "\"only.txt\"");
    let ran = space.run();
    assert_eq!(ran.summary.results.stale, ["alone.txt"]);
    assert_eq!(space.read("results/p/only.txt"), "alone\n");
    fs::remove_file(space.path("results/p/alone.txt")).unwrap();
    assert!(space.run().summary.results.stale.is_empty());
}

fn published_list(folder: &Path) -> PublishedList {
    match ListFile::read(folder).unwrap() {
        ListFile::Good(list) => list,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_run_announced_before_it_was_killed_does_not_look_edited() {
    let space = words();
    space.run();
    let published = space.path("results/p");
    let first = published_list(&published);
    space.edit("p.yaml", "echo alone", "echo second");
    space.run();
    let mut list = published_list(&published);
    assert_ne!(first.files["alone.txt"], list.files["alone.txt"]);
    assert_eq!(first.files["sorted.txt"], list.files["sorted.txt"], "made by the first run");
    list.files.get_mut("alone.txt").unwrap().insert(0, first.files["alone.txt"][0].clone());
    fs::write(published.join(LIST), list.text()).unwrap();
    space.edit("p.yaml", "echo second", "echo third");
    let results = space.run().summary.results;
    assert_eq!((results.written.as_slice(), results.edited.len()), (&["alone.txt".to_owned()][..], 0));
    let list = published_list(&published);
    assert!(list.files.values().all(|versions| versions.len() == 1), "one version a file again: {list:?}");
}

#[test]
fn one_entry_of_a_folder_is_published_by_its_extension() {
    let space = Space::with(
        "stages:\n  a: { uses: test/write }\n  f: { uses: test/copy, in: { one: $a.out } }\n  e: { uses: test/copy, in: { one: $f.out/copy.txt } }\nresults: { \"one.txt\": $e.out, \"whole/\": $f.out }\n",
    );
    let ran = space.run();
    ran.counts([2, 1, 0, 0, 0]); // `e` copies the same bytes as `f`: one work.
    assert_eq!(space.read("results/p/one.txt"), "text");
    assert_eq!(space.read("results/p/whole/copy.txt"), "text");
    space.edit("p.yaml", "one.txt", "one.csv");
    let ran = space.run();
    assert!(ran.summary.results.failures[0].message.contains("0 entries with `.csv`"), "{:?}", ran.summary.results);
}

#[test]
fn a_claim_that_fails_is_exit_code_1() {
    let space = Space::with(
        "stages:\n  t:\n    run: printf 'tag,dice\\nanat,0.5\\n' > \"$OUT_T\"\n    out: { t: t.csv }\nclaims:\n  - text: it works\n    cell: { table: $t.t, where: { tag: anat }, column: dice }\n    equals: 0.5\n    within: 0.01\n",
    );
    assert_eq!(space.run().summary.exit_code(), 0);
    space.edit("p.yaml", "equals: 0.5", "equals: 0.6");
    let ran = space.run();
    assert!(ran.summary.claims[0].found == Ok(0.5) && !ran.summary.claims[0].holds);
    assert_eq!(ran.summary.exit_code(), 1);
}

#[test]
fn status_runs_nothing() {
    let space = words();
    let status = || status(&space.plan(), &space.options()).unwrap();
    let first = status().standings;
    assert_eq!(first[0], Standing::Runs { reasons: vec![Reason::FirstTime] });
    let plan = space.plan();
    let of = |standings: &[Standing], name: &str| {
        standings[named(&plan, name).unwrap().into_iter().next().unwrap().index()].clone()
    };
    let upper = named(&plan, "upper").unwrap().into_iter().collect();
    assert_eq!(of(&first, "sorted"), Standing::Depends { on: upper });
    space.run();
    assert!(status().standings.iter().all(|standing| *standing == Standing::Hit));
    assert!(status().seconds.iter().all(Option::is_some));
    fs::remove_file(space.path("text.txt")).unwrap();
    assert!(matches!(of(&status().standings, "upper"), Standing::Fails { .. }));
}

#[test]
fn a_verification_compares_with_the_lockfile() {
    let space = words();
    let verify = || {
        let how = VerifyOptions::default();
        verify(&space.plan(), &space.options(), how, &mut |_| {}, &mut |_| {}, &Stop::new())
    };
    assert!(verify().unwrap_err().message.contains("no lockfile"));
    space.run();
    let lockfile = space.read("p.lock");
    let good = verify().unwrap();
    assert_eq!((good.exit_code(), good.published.altered.len()), (0, 0));
    let good = good.rerun.unwrap();
    assert_eq!(good.run.counts.ran, 3);
    assert!(good.comparisons.iter().all(|comparison| comparison.verdict == Verdict::Same));
    fs::remove_dir_all(space.path("results")).unwrap();
    space.write("text.txt", "other\n");
    let bad = verify().unwrap();
    assert_eq!(bad.exit_code(), 1);
    let bad = bad.rerun.unwrap();
    assert_eq!(bad.first, Some(FirstDifference { stage: "upper".into(), cell: None, what: Departure::Edited }));
    assert!(matches!(&bad.comparisons[1].verdict, Verdict::Different(why) if why.contains("other bytes")));
    assert!(!space.path("results").exists(), "a verification publishes nothing");
    assert_eq!(space.read("p.lock"), lockfile);
}

#[test]
fn what_a_verification_may_compare_by_number_its_artifact_type_says() {
    let ledger = tempfile::NamedTempFile::new().unwrap();
    let path = ledger.path().display();
    let space = Space::with(&format!(
        "stages:\n  n: {{ uses: test/drift, with: {{ ledger: {path} }} }}\n  c: {{ run: 'cat \"$IN_N\" > \"$OUT_C\"', in: {{ n: $n.out }}, out: {{ c: c.txt }} }}\nresults: {{ n.txt: $n.out, c.txt: $c.c }}\n"
    ));
    let verdicts = || {
        let how = VerifyOptions::default();
        let rerun = verify(&space.plan(), &space.options(), how, &mut |_| {}, &mut |_| {}, &Stop::new()).unwrap().rerun;
        rerun.unwrap().comparisons.into_iter().map(|comparison| comparison.verdict).collect::<Vec<_>>()
    };
    space.run();
    let second = verdicts();
    let says = |verdict: &Verdict, words: &str| matches!(verdict, Verdict::Different(why) if why.contains(words));
    assert!(
        matches!(second[1], Verdict::Within { largest, tolerance: 0.1 } if (largest - 0.05).abs() < 1e-9),
        "{second:?}"
    );
    assert!(says(&second[0], "files of this form cannot be compared by number"), "{second:?}");
    let third = verdicts();
    assert!(says(&third[1], "numbers differ by 2.5e-1, 1e-1 is allowed; one number by more than 0.1"), "{third:?}");
}

#[test]
fn the_order_of_ready_stages_does_not_matter() {
    let stages = "params: { n: [a, b, c, d, e, f] }\nstages:\n  s:\n    each: { n: $params.n }\n    run: echo \"$EACH_N\" > \"$OUT_X\"\n    out: { x: x.txt }\n  all: { uses: test/list, in: { cells: $s(*).x } }\nresults: { \"all.txt\": $all.out }\n";
    let run = |shuffle, cpu| {
        let space = Space::with(stages);
        let capacities = Capacities { cpu, ..space.options().capacities };
        space.run_with(&RunOptions { shuffle, capacities, ..space.options() }).counts([7, 0, 0, 0, 0]);
        space.read("p.lock")
    };
    let first = run(None, 1);
    assert_eq!(run(Some(1), 2), first);
    assert_eq!(run(Some(2), 1), first);
}

#[test]
fn a_stopped_run_reports_the_rest_as_skipped() {
    let space = words();
    let stop = Stop::new();
    stop.request();
    let summary = run(&space.plan(), &space.options(), &mut |_| {}, &stop).unwrap();
    assert!(summary.stopped);
    assert_eq!((summary.counts.skipped, summary.exit_code()), (3, 130));
    assert_eq!(summary.skipped[0], ("upper".to_owned(), "stopped".to_owned()));
}

#[test]
fn no_temporary_file_stays() {
    let space = words();
    space.run();
    let left: Vec<_> =
        fs::read_dir(space.cache().join("work")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["sweep"]);
    let names: Vec<String> = walkdir::WalkDir::new(space.folder.path())
        .min_depth(1)
        .into_iter()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("tmp") || name.starts_with(".publishing") || name.starts_with(".lock"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
}

const LISTING: &str = "stages:\n  a: { run: '(cd \"$IN_D\"; find . -type f | sort) > \"$OUT_Y\"', in: { d: INPUT }, out: { y: y.txt } }\n\
    results: { y.txt: $a.y }\n";

/// A pipeline that lists the files of its input.
fn listing(input: &str) -> Space {
    Space::with(&LISTING.replace("INPUT", input))
}

#[test]
fn what_is_ignored_in_a_folder_is_not_there_for_a_stage() {
    let space = listing("data");
    for name in ["data/a.csv", "data/sub/b.csv"] {
        fs::create_dir_all(space.path(name).parent().unwrap()).unwrap();
        space.write(name, "1\n");
    }
    space.run().counts([1, 0, 0, 0, 0]);
    for name in [".DS_Store", "sub/._b", "__pycache__/x.pyc", "a.csv~", ".a.swp", ".git/HEAD"] {
        let name = format!("data/{name}");
        fs::create_dir_all(space.path(&name).parent().unwrap()).unwrap();
        space.write(&name, "x");
    }
    space.run().counts([0, 1, 0, 0, 0]);
    space.run_with(&RunOptions { force: vec!["a".into()], ..space.options() }).counts([1, 0, 0, 0, 0]);
    assert_eq!(space.read("results/p/y.txt"), "./a.csv\n./sub/b.csv\n");
    let change =
        |input: &str| space.write("p.yaml", &format!("pipe: 1\npipeline: p\n{}", LISTING.replace("INPUT", input)));
    change("{ path: data, ignore: [sub/] }");
    space.run().counts([1, 0, 0, 0, 0]);
    assert_eq!(space.read("results/p/y.txt"), "./a.csv\n");
    change("{ path: data, ignore: [] }");
    space.run().counts([1, 0, 0, 0, 0]);
    assert_eq!(space.read("results/p/y.txt").lines().count(), 8);
}

#[test]
fn a_pipeline_does_not_read_its_own_results_and_lockfile() {
    let space = listing(".");
    space.run().counts([1, 0, 0, 0, 0]);
    assert!(space.path("p.lock").exists());
    space.run().counts([0, 1, 0, 0, 0]);
    assert_eq!(space.read("results/p/y.txt"), "./p.yaml\n");
}

#[test]
fn a_glob_is_a_folder_of_the_files_that_it_names() {
    let space = listing("\"data/*.csv\"");
    fs::create_dir_all(space.path("data/sub")).unwrap();
    for name in ["data/b.csv", "data/a.csv", "data/notes.txt", "data/sub/c.csv"] {
        space.write(name, "1\n");
    }
    space.run().counts([1, 0, 0, 0, 0]);
    assert_eq!(space.read("results/p/y.txt"), "./a.csv\n./b.csv\n");
    space.write("data/notes.txt", "2\n");
    space.run().counts([0, 1, 0, 0, 0]);
    space.write("data/c.csv", "3\n");
    space.run().counts([1, 0, 0, 0, 0]);
    space.write("p.yaml", &format!("pipe: 1\npipeline: p\n{}", LISTING.replace("INPUT", "\"data/**/*.tsv\"")));
    let ran = space.run();
    ran.counts([0, 0, 0, 1, 0]);
    assert!(ran.failure().message.contains("`**/*.tsv` names no file"), "{}", ran.failure());
}

#[test]
fn a_link_to_nothing_in_an_input_is_named() {
    let space = listing("data");
    fs::create_dir_all(space.path("data")).unwrap();
    fs_err::os::unix::fs::symlink("nowhere", space.path("data/broken")).unwrap();
    let ran = space.run();
    ran.counts([0, 0, 0, 1, 0]);
    let said = ran.failure().message.clone();
    assert!(said.contains("data/broken") && said.contains("link to something that does not exist"), "{said}");
}

#[test]
fn selections_that_select_or_force_nothing_are_refused() {
    let space = words();
    let options = |selection, force: &[&str]| RunOptions {
        selection,
        force: force.iter().map(|name| (*name).to_owned()).collect(),
        ..space.options()
    };
    let between = |from: &str, until: &str| Selection {
        from: vec![from.to_owned()],
        until: vec![until.to_owned()],
        ..Selection::default()
    };
    let plan = space.plan();
    let said =
        |options: &RunOptions| run(&plan, options, &mut |_| {}, &Stop::new()).map(drop).expect_err("refused").message;
    assert!(said(&options(between("sorted", "upper"), &[])).contains("nothing is selected"));
    let only = Selection { only: vec!["sorted".into()], ..Selection::default() };
    assert!(said(&options(only, &["upper"])).contains("forces nothing"));
}

#[test]
fn notes_appear_in_every_run_that_uses_the_result() {
    let space = Space::with(
        "stages:\n  a: { uses: test/write, with: { does: note, text: 1 } }\n  b: { uses: test/write, with: { does: note, text: 2 } }\n",
    );
    let notes = |ran: Ran| ran.summary.notes;
    let first = notes(space.run());
    assert_eq!(first.iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(first.iter().all(|(_, note)| note == "some data are missing"));
    assert_eq!(notes(space.run()), first, "a run of hits uses the same results");
    fs::remove_dir_all(space.folder.path().join("state")).unwrap();
    assert_eq!(notes(space.run()), first, "notes are part of the record");
}

#[test]
fn a_run_folder_has_the_events_of_the_run() {
    let space = words();
    space.write("text.txt", "pear");
    let last = || last_run(&space.plan(), &space.options()).unwrap().unwrap();
    space.run().counts([3, 0, 0, 0, 0]);
    let logged = last();
    assert_eq!((logged.phase, logged.ended.len(), logged.hits), (Phase::Finished(0), 3, 0));
    space.run().counts([0, 3, 0, 0, 0]);
    let logged = last();
    assert_eq!((logged.phase, logged.ended.len(), logged.hits), (Phase::Finished(0), 0, 3));
    assert!(logged.folder.join("manifest.json").is_file());
}

#[test]
fn the_next_starts_while_the_last_is_committed_and_a_reader_waits_for_it() {
    // `b` is first, because `c` reads it; `a` comes before `c`, by its number.
    let space = Space::with(
        "stages:\n  a: { uses: test/copy, in: { one: a.txt } }\n  b: { uses: test/copy, in: { one: b.txt } }\n  \
         c: { uses: test/copy, in: { one: $b.out/copy.txt } }\n",
    );
    space.write("a.txt", "apple");
    space.write("b.txt", "pear");
    let mut options = space.options();
    options.capacities.cpu = 1;
    let ran = space.run_with(&options);
    // `c` has the key of `b`: the same work on the same bytes.
    ran.counts([2, 1, 0, 0, 0]);
    let order: Vec<String> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Started { label, .. } => Some(format!("start {label}")),
            Event::Ended { label, .. } => Some(format!("end {label}")),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["start b", "start a", "end b", "end c", "end a"]);
}

#[test]
fn what_needs_a_failure_would_be_skipped() {
    let space = Space::with(
        "stages:\n  a: { uses: test/copy, in: { one: none.txt } }\n  b: { uses: test/copy, in: { one: $a.out/copy.txt } }\n",
    );
    let found = status(&space.plan(), &space.options()).unwrap();
    assert!(matches!(found.standings[0], Standing::Fails { .. }));
    assert_eq!(found.standings[1], Standing::Skipped { because: crate::ids::InstanceId(0) });
}
