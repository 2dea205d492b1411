//! Real threads and real processes. The test binary serves as its own guard, started by a constructor before `main`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fs_err as fs;
use pipe_contract::{
    Blame, Context, Coordinates, Device, Ended, Failure, Kind, Metric, Presence, Progress, Registry, Runs, StageKind,
    Task, Value,
};
use tempfile::TempDir;

use super::*;
use crate::ids::InstanceId;

#[path = "../../../tests/support/not_run.rs"]
#[expect(dead_code, reason = "shared with the stories")]
mod not_run;

use crate::plan::{Command, Shell, Tool};

/// Runs before the test harness: a test binary that was started as a guard never reaches it.
#[used]
#[unsafe(link_section = ".init_array")]
static SERVE: extern "C" fn() = {
    extern "C" fn serve() {
        serve_if_asked();
    }
    serve
};

const ID: InstanceId = InstanceId(7);
const LONG: Duration = Duration::from_secs(20);

/// A kind that does what its parameter names.
struct OnThread;

impl StageKind for OnThread {
    fn kind(&self) -> Kind {
        Kind::new("test/thread", 1, "does what `do` names")
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        context.log("at work");
        match task.params["do"].as_text() {
            Some("panic") => panic!("the number was {}", 7),
            Some("wait") => {
                while !context.cancelled() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(Failure::stage("stopped"))
            }
            Some("ignore") => {
                std::thread::sleep(Duration::from_secs(3));
                Ok(Ended::done())
            }
            Some("count") => {
                for done in 1..=2000 {
                    context.progress(Progress { done, total: 2000, unit: "steps".into(), note: String::new() });
                    if done % 100 == 0 {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
                Ok(Ended::done())
            }
            _ => Ok(Ended::done()),
        }
    }
}

/// A folder, an executor, and a worker that is a Python script.
struct Space {
    folder: TempDir,
    executor: Executor,
    metrics: Vec<Metric>,
}

impl Space {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut registry = Registry::new();
        registry.add(OnThread);
        for (name, runs) in [("test/fresh", Runs::ProcessFresh), ("test/reusable", Runs::ProcessReusable)] {
            let mut kind = Kind::new(name, 3, "does what `do` names");
            kind.runs = runs;
            registry.declare(kind);
        }
        let program = folder.path().join("worker");
        fs::write(&program, WORKER).expect("writes");
        fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("sets the mode");
        let mut worker = WorkerSettings::new(program, "b1");
        worker.libraries_hint = "install it".into();
        worker.recycle_after = 3;
        let mut settings = Settings::new(Arc::new(registry), worker);
        settings.grace = Duration::from_millis(300);
        change(&mut settings);
        Self { folder, executor: Executor::new(settings).expect("an executor"), metrics: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn job(&self, work: JobWork) -> Job {
        Job { id: ID, log: self.path("log"), timeout: None, work }
    }

    fn task(&self, kind: &str, what: &str) -> JobWork {
        JobWork::Kind(Box::new(Task {
            kind: kind.into(),
            version: 3,
            params: BTreeMap::from([("do".into(), Value::Text(what.into()))]),
            at: Coordinates::none(),
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            seed: None,
            simulated: false,
            device: Device::Cpu,
            threads: 2,
            credential: None,
            accepts_absent: Vec::new(),
            coverage: BTreeMap::new(),
            checkpoint: None,
            scratch: self.folder.path().to_path_buf(),
        }))
    }

    /// A command with one output file `x` unless the body writes another.
    fn command(&self, body: &str, change: impl FnOnce(&mut CommandTask)) -> JobWork {
        let work = self.path("work");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir(&work).expect("a folder");
        let command = Command {
            body: body.into(),
            out: BTreeMap::from([("x".into(), "x.txt".into())]),
            env: BTreeMap::new(),
            tools: BTreeMap::new(),
            shell: Shell::Bash,
            optional: BTreeSet::new(),
            isolated: true,
            net: false,
            random: false,
        };
        let facts = facts_of(&command, &self.path("project"), "".as_ref(), &mut NoMemo).expect("bash");
        let mut task = CommandTask {
            command: Arc::new(command),
            work,
            cache: self.path("store"),
            project: self.path("project"),
            inputs: BTreeMap::new(),
            params: BTreeMap::new(),
            at: Coordinates::none(),
            seed: None,
            threads: 1,
            facts: Arc::new(Facts { path: search_path::SYSTEM_PATH.into(), ..facts }),
        };
        change(&mut task);
        JobWork::Command(Box::new(task))
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, text).expect("writes");
        path
    }

    /// Runs a job to its end.
    fn run(&mut self, work: JobWork) -> Finished {
        let job = self.job(work);
        self.executor.start(job);
        self.wait().0
    }

    fn wait(&mut self) -> (Finished, usize) {
        let until = Instant::now() + LONG;
        let mut reports = 0;
        while Instant::now() < until {
            match self.executor.next(Duration::from_millis(500)) {
                Some(Message::Ended(finished)) => return (*finished, reports),
                Some(Message::Progress { .. }) => reports += 1,
                Some(Message::Metric { metric, .. }) => self.metrics.push(metric),
                None => {}
            }
        }
        panic!("nothing ended within {LONG:?}; log: {}", self.log());
    }

    fn wait_for(&mut self, name: &str) -> String {
        let until = Instant::now() + LONG;
        loop {
            match fs::read_to_string(self.path(name)) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => assert!(Instant::now() < until, "no `{name}`; log: {}", self.log()),
            }
            self.executor.next(Duration::from_millis(5));
        }
    }
}

fn failure(finished: &Finished) -> &Failure {
    finished.result.as_ref().expect_err("should have failed")
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn dies_soon(pid: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(5);
    while is_alive(pid) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    !is_alive(pid)
}

// Threads.

#[test]
fn a_thread_does_a_task_and_writes_its_log() {
    let mut space = Space::new();
    let work = space.task("test/thread", "well");
    assert_eq!(space.run(work).result, Ok(Ended::done()));
    assert_eq!(space.log(), "at work\n");
}

#[test]
fn a_panic_is_an_internal_failure_with_its_place() {
    let mut space = Space::new();
    let work = space.task("test/thread", "panic");
    let finished = space.run(work);
    let failure = failure(&finished);
    assert_eq!(failure.blame, Blame::Internal);
    assert_eq!(failure.message, "`test/thread` panicked: the number was 7");
    assert!(failure.place.as_deref().is_some_and(|place| place.contains("tests.rs")));
}

#[test]
fn a_thread_that_checks_its_flag_stops_and_one_that_does_not_is_abandoned() {
    for (what, message) in [("wait", "stopped before it was done"), ("ignore", "stopped before it was done")] {
        let mut space = Space::new();
        let job = space.job(space.task("test/thread", what));
        space.executor.start(job);
        space.executor.cancel(ID);
        let (finished, _) = space.wait();
        assert!(finished.cancelled);
        assert_eq!(failure(&finished).message, message);
    }
}

#[test]
fn progress_is_thinned_out() {
    let mut space = Space::new();
    let job = space.job(space.task("test/thread", "count"));
    space.executor.start(job);
    let (finished, reports) = space.wait();
    assert!(finished.result.is_ok());
    assert!((1..200).contains(&reports), "{reports} of 2,000 progress messages");
}

#[test]
fn a_waker_ends_a_wait() {
    let mut space = Space::new();
    let waker = space.executor.waker();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        waker.wake();
    });
    // It returns at all.
    assert!(space.executor.next(Duration::from_secs(3600)).is_none());
}

// Commands.

#[test]
fn a_command_sees_exactly_its_environment() {
    let mut space = Space::new();
    let table = space.file("store/1", "a,b\n");
    let finished = {
        let work = space.command("env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= | sort > \"$OUT_X\"", |task| {
            task.inputs.insert("table".into(), Placed::One { name: "../in/table.csv".into(), content: table });
            task.params.insert("rate-max".into(), Value::Float(0.5));
            task.params.insert("list".into(), Value::List(vec![Value::Int(1), Value::Text("b".into())]));
            task.at = [("sid", "s01")].into_iter().collect();
            task.seed = Some(12);
            task.threads = 2;
            Arc::make_mut(&mut task.command).env.insert("LEVEL".into(), "3".into());
        });
        space.run(work)
    };
    assert!(finished.result.is_ok(), "{finished:?} {}", space.log());
    assert!(finished.usage.peak_rss > 100_000 && finished.usage.wall > Duration::ZERO);
    let work = space.path("work");
    let work = work.display();
    let expected = [
        "EACH_SID=s01".to_owned(),
        format!("HOME={work}/tmp"),
        "IN_TABLE=../in/table.csv".into(),
        "LANG=C.UTF-8".into(),
        "LC_ALL=C.UTF-8".into(),
        "LEVEL=3".into(),
        "METRICS=../tmp/metrics".into(),
        "OUT_X=../out/x.txt".into(),
        "PARAM_LIST=1".into(),
        "PARAM_RATE_MAX=0.5".into(),
        format!("PATH={}", search_path::SYSTEM_PATH),
        "SEED=12".into(),
        "THREADS=2".into(),
        format!("TMPDIR={work}/tmp"),
        "TZ=UTC".into(),
        "b".into(),
    ];
    let found = fs::read_to_string(output_path(&space.path("work"), "x.txt")).expect("the output");
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_command_reports_metrics_while_it_works() {
    let mut space = Space::new();
    let body = "echo 'loss 1 0.5' >> \"$METRICS\"; echo 'no metric' >> \"$METRICS\"
        until test -e ../tmp/go; do sleep 0.05; done; printf 'loss 2 2.5e-1' >> \"$METRICS\"; echo 1 > \"$OUT_X\"";
    let job = {
        let work = space.command(body, |_| {});
        space.job(work)
    };
    space.executor.start(job);
    let until = Instant::now() + LONG;
    let first = loop {
        assert!(Instant::now() < until, "no metric within {LONG:?}");
        if let Some(Message::Metric { metric, .. }) = space.executor.next(Duration::from_millis(500)) {
            break metric;
        }
    };
    assert_eq!(Some(first), Metric::new("loss", 1, 0.5));
    space.file("work/tmp/go", "");
    let finished = space.wait().0;
    let Ok(Ended::Done { notes, .. }) = finished.result else { panic!("{finished:?} {}", space.log()) };
    assert!(notes.iter().any(|note| note.contains("first `no metric`")), "{notes:?}");
    assert_eq!(space.metrics, [Metric::new("loss", 2, 0.25).expect("a metric")]);
}

#[test]
fn a_command_has_no_terminal_its_own_group_a_fixed_umask_and_default_signals() {
    let mut space = Space::new();
    let body = "test ! -t 0; read x && exit 1; umask > $OUT_X
        set -- $(cat /proc/self/stat); test \"$5\" != \"$(ps -o pgid= -p $PPID | tr -d ' ')\"
        grep SigIgn /proc/self/status >> $OUT_X; ls /proc/self/fd | wc -l >> $OUT_X";
    let work = space.command(body, |_| {});
    let finished = space.run(work);
    assert!(finished.result.is_ok(), "{finished:?} {}", space.log());
    let text = fs::read_to_string(output_path(&space.path("work"), "x.txt")).expect("the output");
    // 0, 1, 2 and the one `ls` reads the folder with.
    assert_eq!(text, "0022\nSigIgn:\t0000000000000000\n4\n");
}

#[test]
fn only_declared_files_are_there_and_the_log_names_the_line_to_add() {
    let mut space = Space::new();
    space.file("project/scripts/fit.py", "print(1)\n");
    let data = space.file("project/data/x.csv", "1\n");
    let work = space.command("cat data/x.csv > $OUT_X\ncat scripts/fit.py", |task| {
        task.inputs.insert("data".into(), Placed::One { name: "data/x.csv".into(), content: data });
    });
    let finished = space.run(work);
    let failure = failure(&finished);
    assert_eq!(failure.blame, Blame::Stage);
    assert!(failure.message.starts_with("the command ended with exit code 1; its log ends with"), "{failure}");
    let hint = failure.hint.as_deref().expect("a hint");
    assert!(hint.ends_with("add to its `in:` `fit: scripts/fit.py`"), "{hint}");
    assert!(space.log().contains("No such file"));
}

#[test]
fn a_gather_is_a_folder_with_a_list() {
    let mut space = Space::new();
    let content = space.file("store/1", "one\n");
    let cell = |rater: &str, artifact| PlacedCell {
        at: [("rater", rater), ("sid", "s01")].into_iter().collect(),
        name: format!("rater={rater},sid=s01.csv"),
        artifact,
    };
    let cells = vec![cell("A1", Presence::Present(content)), cell("A2", Presence::Absent("not-found".into()))];
    let work = space.command("cat $IN_MANUAL*.csv $IN_MANUAL_LIST $IN_MANUAL_ABSENT > $OUT_X", |task| {
        task.inputs.insert("manual".into(), Placed::Many { name: "../in/manual".into(), cells });
    });
    let finished = space.run(work);
    assert!(finished.result.is_ok(), "{finished:?} {}", space.log());
    let text = fs::read_to_string(output_path(&space.path("work"), "x.txt")).expect("the output");
    let present = "rater=A1, sid=s01\t../in/manual/rater=A1,sid=s01.csv\n";
    assert_eq!(text, format!("one\n{present}rater=A2, sid=s01\tnot-found\n"));
}

#[test]
fn an_input_folder_ends_in_a_slash_and_may_hold_another_input() {
    let mut space = Space::new();
    let inner = space.file("project/data/a/x.csv", "1\n");
    let outer = space.path("project/data");
    let work = space.command("find $IN_ALL -name '*.csv' > $OUT_X; cat $IN_ONE >> $OUT_X", |task| {
        task.inputs.insert("all".into(), Placed::One { name: "data".into(), content: outer });
        task.inputs.insert("one".into(), Placed::One { name: "data/a/x.csv".into(), content: inner });
    });
    let finished = space.run(work);
    assert!(finished.result.is_ok(), "{finished:?} {}", space.log());
    let text = fs::read_to_string(output_path(&space.path("work"), "x.txt")).expect("the output");
    assert_eq!(text, "data/a/x.csv\n1\n");
    let work = space.command("true", |task| {
        let one = |n: &str| Placed::One { name: "same".into(), content: n.into() };
        task.inputs = BTreeMap::from([("a".into(), one("/a")), ("b".into(), one("/b"))]);
    });
    let refused = space.run(work);
    assert_eq!(failure(&refused).message, "inputs `a` and `b` both map to `same` in the working folder");
}

#[test]
fn outputs_are_checked_with_clear_messages() {
    let mut space = Space::new();
    let cases = [
        ("true", "output `x` was declared as `x.txt` and is not there", "the body must write to `$OUT_X`"),
        (
            "echo 1 > x.txt",
            "output `x` was declared as `x.txt` and is not there",
            "the body wrote `x.txt` in its working folder, which is not stored; write to `$OUT_X`",
        ),
        (": > $OUT_X", "output `x` was declared as `x.txt` and is empty", ""),
        (
            "mkdir $OUT_X",
            "output `x` was declared as `x.txt` and is a folder",
            "with a `/` at its end it is declared as a folder",
        ),
        (
            "ln -s /etc/passwd $OUT_X",
            "output `x` was declared as `x.txt` and is a symbolic link",
            "copy the content to `$OUT_X`",
        ),
    ];
    for (body, message, hint) in cases {
        let work = space.command(body, |_| {});
        let finished = space.run(work);
        assert_eq!(failure(&finished).message, message);
        assert_eq!(failure(&finished).hint.as_deref().unwrap_or_default(), hint);
    }
    let folder = |task: &mut CommandTask| {
        Arc::make_mut(&mut task.command).out = BTreeMap::from([("maps".into(), "all/maps/".into())]);
    };
    let work = space.command("mkdir $OUT_MAPS/deep", folder);
    let finished = space.run(work);
    assert_eq!(failure(&finished).message, "output `maps` was declared as `all/maps/` and holds no file");
    let work = space.command("echo 1 > $OUT_MAPS/a; echo 2 > ../out/b", folder);
    let notes = vec!["`b` was written beside the declared outputs and is not stored".to_owned()];
    assert_eq!(space.run(work).result, Ok(Ended::noted(notes)));
}

#[test]
fn a_command_writes_only_below_its_folder() {
    if !writes_are_confined() {
        return not_run::not_run("what a command may write", "this kernel has no Landlock");
    }
    let mut space = Space::new();
    let store = space.file("store/1", "precious\n");
    let reads = |task: &mut CommandTask| {
        task.inputs.insert("a".into(), Placed::One { name: "../in/a".into(), content: store.clone() });
    };
    let elsewhere = tempfile::tempdir().expect("a folder");
    let new_file = format!("echo 1 > $OUT_X; echo 1 > '{}/new'", elsewhere.path().display());
    let new_folder = format!("echo 1 > $OUT_X; mkdir '{}/new'", elsewhere.path().display());
    for body in [
        "cp $IN_A $OUT_X; echo spoilt > $IN_A",
        "rm $IN_A",
        "mv $IN_A $OUT_X",
        "ln $IN_A $OUT_X",
        &new_file,
        &new_folder,
    ] {
        let finished = {
            let work = space.command(body, reads);
            space.run(work)
        };
        assert!(!elsewhere.path().join("new").exists());
        let hint = failure(&finished).hint.clone().unwrap_or_default();
        assert!(hint.starts_with("a stage may write only to its") || body.starts_with("ln"), "{body}: {finished:?}");
        assert_eq!(fs::read_to_string(&store).expect("is there"), "precious\n");
    }
    let work = space.command("stat -c %h $IN_A > $OUT_X; cat $IN_A >> $OUT_X", reads);
    let finished = space.run(work);
    assert!(finished.result.is_ok(), "{finished:?} {}", space.log());
    let text = fs::read_to_string(output_path(&space.path("work"), "x.txt")).expect("the output");
    assert_eq!(text, "2\nprecious\n", "nothing was copied");
    let body = "echo 1 > /dev/null; echo 2 > $TMPDIR/t; mv $TMPDIR/t u; mv u $OUT_X; echo 3 >&2; echo 4 > y";
    let work = space.command(body, |_| {});
    let finished = space.run(work);
    assert!(finished.result.is_ok(), "{finished:?} {}", space.log());
}

#[test]
fn only_root_without_rules_gets_copies_of_the_cache() {
    use command::Sharing::{Copies, Names};
    for (is_ruled, is_root, safe) in
        [(true, true, Names), (true, false, Names), (false, true, Copies), (false, false, Names)]
    {
        assert_eq!(command::Sharing::safe_for(is_ruled, is_root), safe, "rules: {is_ruled}, root: {is_root}");
    }
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(command::Sharing::safe(), command::Sharing::safe_for(writes_are_confined(), is_root));
    let space = Space::new();
    for isolated in [true, false] {
        let JobWork::Command(task) = space.command("true", |task| Arc::make_mut(&mut task.command).isolated = isolated)
        else {
            panic!("a command");
        };
        let own = command::Sharing::safe_for(isolated, is_root);
        assert_eq!((Names.of(&task), Copies.of(&task)), (own, Copies), "isolated: {isolated}, root: {is_root}");
    }
}

#[test]
fn the_record_of_a_command_says_what_was_open_to_it() {
    let space = Space::new();
    let open_network = "network: open (this system allows no network namespace; the stage could use the network)";
    let only_files = "isolation: files (this kernel has no rules for reading; absolute paths were open)";
    let nothing = "isolation: none (all files and the network were open, as the stage asks for)";
    for (isolated, files, network, words, notes) in [
        (true, true, true, ("full", "none"), vec![]),
        (true, false, true, ("files", "none"), vec![only_files]),
        (true, false, false, ("files", "open"), vec![only_files, open_network]),
        (true, true, false, ("full", "open"), vec![open_network]),
        (false, false, false, ("none", "open"), vec![nothing]),
    ] {
        let JobWork::Command(task) = space.command("true", |task| Arc::make_mut(&mut task.command).isolated = isolated)
        else {
            panic!("a command");
        };
        let confined = guard::Confined { files, network, read_only: files };
        let isolation = executor::isolation_of(&task, confined);
        assert_eq!((isolation.files.word(), isolation.network.word()), words, "{confined:?}");
        let notes = notes.into_iter().map(str::to_owned).collect();
        assert_eq!(executor::with_notes(Ended::done(), isolation, None), Ended::noted(notes));
    }
}

#[test]
fn where_nothing_protects_the_cache_a_command_gets_copies() {
    let space = Space::new();
    space.file("store/view/deep/2", "two\n");
    let contents = [("a", space.file("store/1", "precious\n")), ("b", space.path("store/view"))];
    let JobWork::Command(task) = space.command("true", |task| {
        for (port, content) in contents {
            task.inputs.insert(port.into(), Placed::One { name: Path::new("../in").join(port), content });
        }
    }) else {
        panic!("a command");
    };
    command::prepare(&task, command::Sharing::Copies, command::Reach::of(&task, false)).expect("is laid out");
    for (copy, original, text) in [("a", "1", "precious\n"), ("b/deep/2", "view/deep/2", "two\n")] {
        let copy = space.path("work/in").join(copy);
        fs::write(&copy, "spoilt\n").expect("it is the command's own");
        assert_eq!(fs::read_to_string(space.path("store").join(original)).expect("is there"), text);
    }
}

#[test]
fn a_file_that_cannot_have_another_name_is_copied() {
    let elsewhere = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let content = elsewhere.path().join("1");
    fs::write(&content, "precious\n").expect("writes");
    let space = Space::new();
    let JobWork::Command(task) = space.command("true", |task| {
        task.cache = elsewhere.path().to_owned();
        task.inputs.insert("a".into(), Placed::One { name: "../in/a".into(), content });
    }) else {
        panic!("a command");
    };
    command::prepare(&task, command::Sharing::Names, command::Reach::of(&task, false)).expect("is laid out");
    let found = fs::symlink_metadata(space.path("work/in/a")).expect("is there");
    assert!(found.is_file() && found.nlink() == 1, "no link: a body that looks for files finds it");
}

#[test]
fn what_a_failed_command_leaves_shares_no_file_with_the_cache() {
    let mut space = Space::new();
    let content = space.file("store/1", "precious\n");
    let cell = PlacedCell {
        at: [("sid", "s01")].into_iter().collect(),
        name: "sid=s01.csv".into(),
        artifact: Presence::Present(content.clone()),
    };
    let work = space.command("test -f $IN_A && test ! -h $IN_A && exit 4", |task| {
        task.inputs.insert("a".into(), Placed::One { name: "../in/a.csv".into(), content: content.clone() });
        task.inputs.insert("b".into(), Placed::Many { name: "../in/b".into(), cells: vec![cell] });
    });
    let finished = space.run(work);
    assert!(failure(&finished).message.contains("exit code 4"), "{finished:?}");
    assert_eq!(fs::metadata(&content).expect("is there").nlink(), 1);
    for name in ["a.csv", "b/sid=s01.csv"] {
        assert_eq!(fs::read_link(space.path("work/in").join(name)).expect("a link"), content);
    }
}

#[test]
fn what_left_its_group_is_killed_or_reported() {
    let mut space = Space::new();
    let body = "setsid sh -c 'echo $$ > orphan; exec sleep 1000' &
        while ! test -s orphan; do sleep 0.01; done; echo 1 > $OUT_X";
    let work = space.command(body, |_| {});
    let finished = space.run(work);
    let orphan = fs::read_to_string(space.path("work/files/orphan")).expect("a number").trim().to_owned();
    assert!(finished.result.is_ok() && !finished.orphans && !is_alive(&orphan), "alone: {finished:?}");

    // While another runs, the stage of the orphaned process is unknown.
    let beside = Job {
        id: InstanceId(1),
        log: space.path("beside.log"),
        timeout: None,
        work: match space.command("while ! test -e ../out/end; do sleep 0.01; done; echo 1 > $OUT_X", |_| {}) {
            JobWork::Command(task) => {
                let own = space.path("beside");
                fs::create_dir(&own).expect("a folder");
                JobWork::Command(Box::new(CommandTask { work: own, ..*task }))
            }
            kind => kind,
        },
    };
    space.executor.start(beside);
    let work = space.command(body, |_| {});
    let finished = space.run(work);
    let orphan = fs::read_to_string(space.path("work/files/orphan")).expect("a number").trim().to_owned();
    assert!(finished.result.is_ok() && finished.orphans && is_alive(&orphan), "{finished:?}");
    fs::write(space.path("beside/out/end"), "").expect("writes");
    let (finished, _) = space.wait();
    assert!(finished.result.is_ok() && !finished.orphans && !is_alive(&orphan), "the last one: {finished:?}");
}

#[test]
fn a_time_out_kills_the_whole_group() {
    let mut space = Space::new();
    let mut job = space.job(space.command("sleep 1000 & echo $! > pid; wait", |_| {}));
    job.timeout = Some(Duration::from_millis(200));
    space.executor.start(job);
    let pid = space.wait_for("work/files/pid");
    let (finished, _) = space.wait();
    assert_eq!(failure(&finished).message, "took longer than its `timeout` of 0.2 s and was killed");
    assert!(!finished.cancelled && failure(&finished).transient);
    assert!(dies_soon(&pid));
}

#[test]
fn a_cancelled_command_gets_its_grace() {
    let mut space = Space::new();
    let polite = "trap 'echo bye > bye; exit 3' TERM; echo 1 > up; while :; do sleep 0.01; done";
    let stubborn = "trap '' TERM; echo 1 > up; while :; do sleep 0.01; done";
    for (body, has_bye) in [(polite, true), (stubborn, false)] {
        let job = space.job(space.command(body, |_| {}));
        space.executor.start(job);
        space.wait_for("work/files/up");
        space.executor.cancel(ID);
        let (finished, _) = space.wait();
        assert!(finished.cancelled);
        assert_eq!(space.path("work/files/bye").exists(), has_bye);
    }
}

#[test]
fn background_processes_of_a_body_end_with_it() {
    let mut space = Space::new();
    let body = "sleep 1000 & echo $! > $OUT_X; setsid sh -c 'echo $$ >> $OUT_X; exec sleep 1000' & \
                while [ $(wc -l < $OUT_X) -lt 2 ]; do sleep 0.01; done";
    let work = space.command(body, |_| {});
    let finished = space.run(work);
    assert!(finished.result.is_ok(), "{finished:?} {}", space.log());
    let pids = fs::read_to_string(output_path(&space.path("work"), "x.txt")).expect("the output");
    for pid in pids.lines() {
        assert!(dies_soon(pid), "{pid} of {pids}");
    }
}

#[test]
fn the_end_of_the_executor_is_the_end_of_its_processes() {
    let mut space = Space::new();
    let body = "sleep 1000 & echo $! > in; setsid sh -c 'echo $$ > out; exec sleep 1000' & wait";
    let job = space.job(space.command(body, |_| {}));
    space.executor.start(job);
    let pids = [space.wait_for("work/files/in"), space.wait_for("work/files/out")];
    let Space { folder, executor, .. } = space;
    executor.shutdown();
    for pid in pids {
        assert!(!is_alive(&pid), "{pid}");
    }
    drop(folder);
}

/// Not a test: the engine that [`nothing_survives_a_killed_engine`] kills.
#[test]
#[ignore = "started by another test"]
fn victim() {
    let folder = PathBuf::from(std::env::var_os("VICTIM").expect("is set by the test that starts this"));
    let mut space = Space::new();
    let body = format!(
        "cd {}; echo $$ > sh; sleep 1000 & echo $! > in; setsid sh -c 'echo $$ > out; exec sleep 1000' & wait",
        folder.join("out/pids").display()
    );
    // Its own folder replaces that of the stage: the pids must be readable from outside.
    let work = space.command(&body, |task| task.work = folder);
    let job = space.job(work);
    space.executor.start(job);
    loop {
        space.executor.next(LONG);
    }
}

/// An engine that is killed at the end, whatever that is.
struct Victim(std::process::Child);

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().expect("SIGKILL");
        self.0.wait().expect("is gone");
    }
}

#[test]
fn nothing_survives_a_killed_engine() {
    let folder = tempfile::tempdir().expect("a folder");
    let pids = folder.path().join("out/pids");
    fs::create_dir_all(&pids).expect("a folder");
    let engine = std::process::Command::new("/proc/self/exe")
        .args(["--exact", "exec::tests::victim", "--ignored"])
        .env("VICTIM", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    let engine = Victim(engine);
    let until = Instant::now() + LONG;
    let pids = ["sh", "in", "out"].map(|name| {
        let path = pids.join(name);
        loop {
            match fs::read_to_string(&path) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => assert!(Instant::now() < until, "no `{name}`"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(pids.iter().all(|pid| is_alive(pid)));
    drop(engine);
    for pid in pids {
        assert!(dies_soon(&pid), "{pid} is left");
    }
}

#[test]
fn a_killed_guard_ends_its_processes_and_the_next_job_starts_another() {
    let mut space = Space::new();
    let job = space.job(space.command("sleep 1000 & echo $! > sleep; echo $$ > sh; echo $PPID > guard; wait", |_| {}));
    space.executor.start(job);
    let [guard, sh, sleep] = ["guard", "sh", "sleep"].map(|name| space.wait_for(&format!("work/files/{name}")));
    std::process::Command::new("kill").args(["-KILL", &guard]).status().expect("kills");
    let (finished, _) = space.wait();
    assert_eq!(failure(&finished).blame, Blame::Environment);
    assert!(failure(&finished).message.starts_with("its process is gone"), "{finished:?}");
    assert!(dies_soon(&sh) && dies_soon(&sleep));
    let work = space.command("echo 1 > $OUT_X", |_| {});
    assert!(space.run(work).result.is_ok());
}

#[test]
fn a_second_stop_kills_at_once() {
    let mut space = Space::with(|settings| settings.grace = LONG * 100);
    let job = space.job(space.command("trap '' TERM; echo 1 > up; while :; do sleep 0.01; done", |_| {}));
    space.executor.start(job);
    space.wait_for("work/files/up");
    space.executor.cancel(ID);
    space.executor.kill_all();
    let (finished, _) = space.wait();
    assert!(finished.cancelled);
}

#[test]
fn a_missing_program_and_a_signal_are_described() {
    let mut space = Space::new();
    let work = space.command("no-such-program", |_| {});
    let finished = space.run(work);
    assert!(failure(&finished).hint.as_deref().is_some_and(|hint| hint.contains("`tools:`")));
    let work = space.command("kill -SEGV $$", |_| {});
    let finished = space.run(work);
    assert!(failure(&finished).message.contains("SIGSEGV (invalid memory access)"), "{finished:?}");
}

#[test]
fn two_names_that_become_one_variable_are_refused() {
    let mut space = Space::new();
    let work = space.command("true", |task| {
        task.params = BTreeMap::from([("a-b".into(), Value::Int(1)), ("a_b".into(), Value::Int(2))]);
    });
    let finished = space.run(work);
    let expected = "parameter `a-b` and parameter `a_b` both become the variable `PARAM_A_B`";
    assert_eq!(failure(&finished).message, expected);
}

// Workers.

/// A worker in Python; `do` names what it does.
const WORKER: &str = r#"#!/usr/bin/env python3
import json, os, signal, socket, sys, time
channel = socket.socket(fileno=int(os.environ["PIPE_WORKER_CHANNEL"]))
def send(message):
    channel.sendall((json.dumps(message) + "\n").encode())
build = "stale" if os.path.exists(os.path.join(os.path.dirname(sys.argv[0]), "stale")) else "b1"
send({"say": "hello", "protocol": 2, "build": build, "kinds": [["test/fresh", 3], ["test/reusable", 3]]})
count = 0
for line in channel.makefile():
    message = json.loads(line)
    if message["say"] == "quit":
        sys.exit(0)
    if message["say"] == "cancel":
        continue
    task, count = message["task"], count + 1
    what = task["params"]["do"]
    print("task", count, "threads", os.environ["OMP_NUM_THREADS"], flush=True)
    if what == "die":
        print("about to die", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "exit":
        sys.exit(9)
    if what == "nonsense":
        channel.sendall(b"hello there\n")
        time.sleep(1000)
    if what == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(os.path.join(task["scratch"], "up"), "w").write("%d\n" % os.getpid())
        time.sleep(1000)
    if what == "cooperate":
        open(os.path.join(task["scratch"], "up"), "w").write("%d\n" % os.getpid())
        assert json.loads(channel.makefile().readline())["say"] == "cancel"
        failure = {"blame": "stage", "message": "stopped", "transient": False}
        send({"say": "ended", "result": {"failed": failure}})
        continue
    send({"say": "progress", "progress": {"done": 1, "total": 2, "unit": "steps"}})
    note = "%d %d %s" % (os.getpid(), count, sorted(os.environ))
    send({"say": "ended", "result": {"done": {"notes": [note]}}})
"#;

fn note(finished: &Finished) -> Vec<String> {
    match &finished.result {
        Ok(Ended::Done { notes, .. }) => notes[0].splitn(3, ' ').map(str::to_owned).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fresh_worker_does_one_task_in_a_small_environment() {
    let mut space = Space::new();
    let work = space.task("test/fresh", "well");
    let first = space.run(work);
    assert_eq!(space.log(), "task 1 threads 2\n");
    assert!(first.usage.peak_rss > 1_000_000 && first.usage.cpu > Duration::ZERO, "{:?}", first.usage);
    let work = space.task("test/fresh", "well");
    let second = space.run(work);
    assert_ne!(note(&first)[0], note(&second)[0]);
    for name in ["USER", "LC_CTYPE_", "CARGO", "PIPE_GUARD"] {
        assert!(!note(&first)[2].contains(name), "{first:?}");
    }
}

#[test]
fn a_reusable_worker_does_several_tasks_and_is_replaced_in_time() {
    let mut space = Space::new();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let _ = fs::remove_file(space.path("log"));
        let work = space.task("test/reusable", "well");
        let finished = space.run(work);
        seen.push(note(&finished));
        assert_eq!(space.log(), format!("task {} threads 2\n", seen.last().expect("one")[1]));
    }
    let counts: Vec<&str> = seen.iter().map(|note| note[1].as_str()).collect();
    assert_eq!(counts, ["1", "2", "3", "1"]);
    assert_eq!(seen[0][0], seen[2][0]);
    assert_ne!(seen[2][0], seen[3][0]);
}

#[test]
fn a_worker_that_dies_is_reported_with_its_signal_and_its_last_lines() {
    let mut space = Space::new();
    for kind in ["test/fresh", "test/reusable"] {
        let work = space.task(kind, "die");
        let finished = space.run(work);
        let message = &failure(&finished).message;
        assert!(message.starts_with("the worker died in the middle of the task, with signal SIGSEGV"), "{message}");
        assert!(message.ends_with("about to die"), "{message}");
        let work = space.task(kind, "exit");
        let finished = space.run(work);
        assert!(failure(&finished).message.contains("with exit code 9"), "{finished:?}");
    }
    let work = space.task("test/reusable", "well");
    assert!(space.run(work).result.is_ok());
}

#[test]
fn a_stale_or_a_missing_worker_is_one_clear_error() {
    let mut space = Space::new();
    space.file("stale", "");
    let work = space.task("test/fresh", "well");
    let finished = space.run(work);
    let message = &failure(&finished).message;
    assert!(message.ends_with("it was built as `stale`, expected `b1`"), "{message}");
    let mut space = Space::with(|settings| settings.worker.program = "/no/pipe-torch".into());
    let work = space.task("test/fresh", "well");
    let finished = space.run(work);
    assert_eq!(
        failure(&finished).message,
        "the kind `test/fresh` runs in the worker `pipe-torch`, and there is no `/no/pipe-torch`"
    );
}

#[test]
fn a_worker_without_its_libraries_is_one_clear_error() {
    let loader =
        "#!/bin/sh\necho 'worker: error while loading shared libraries: libx.so: cannot open it' >&2\nexit 127\n";
    for kind in ["test/fresh", "test/reusable"] {
        let mut space = Space::new();
        fs::write(space.path("worker"), loader).expect("writes");
        let work = space.task(kind, "well");
        let finished = space.run(work);
        let failure = failure(&finished);
        assert_eq!(failure.message, "the worker `pipe-torch` could not be loaded: libx.so: cannot open it");
        assert_eq!((failure.blame, failure.hint.as_deref()), (Blame::Environment, Some("install it")));
    }
}

#[test]
fn a_worker_that_breaks_the_protocol_is_killed() {
    let mut space = Space::new();
    let work = space.task("test/reusable", "nonsense");
    let finished = space.run(work);
    assert_eq!(failure(&finished).blame, Blame::Internal);
    assert!(failure(&finished).message.starts_with("the worker sent `hello there`"), "{finished:?}");
}

#[test]
fn a_cancelled_worker_gets_a_message_then_a_signal_then_is_killed() {
    let mut space = Space::new();
    for what in ["cooperate", "hang"] {
        let _ = fs::remove_file(space.path("up"));
        let job = space.job(space.task("test/reusable", what));
        space.executor.start(job);
        let pid = space.wait_for("up");
        space.executor.cancel(ID);
        let (finished, _) = space.wait();
        assert!(finished.cancelled, "{finished:?}");
        space.executor.next(Duration::from_millis(1));
        assert!(dies_soon(&pid));
    }
}

#[test]
fn two_jobs_run_side_by_side() {
    let mut space = Space::new();
    let body = "echo 1 > up; until [ -e go ]; do sleep 0.01; done; echo 1 > $OUT_X";
    for (id, name) in [(1, "a"), (2, "b")] {
        let folder = space.path(name);
        fs::create_dir(&folder).expect("a folder");
        let mut job = space.job(space.command(body, |task| task.work = folder));
        job.id = InstanceId(id);
        space.executor.start(job);
    }
    assert_eq!(space.executor.running(), 2);
    // Both have begun before either may end.
    for name in ["a", "b"] {
        space.wait_for(&format!("{name}/files/up"));
    }
    for name in ["a", "b"] {
        space.file(&format!("{name}/files/go"), "");
    }
    assert!(space.wait().0.result.is_ok() && space.wait().0.result.is_ok());
}

// Facts.

/// Remembers facts, and counts how many it was given.
#[derive(Default)]
struct CountingMemo {
    pages: BTreeMap<String, String>,
    found: usize,
}

impl Memo for CountingMemo {
    fn recall(&self, key: &str) -> Option<String> {
        self.pages.get(key).cloned()
    }

    fn remember(&mut self, key: &str, fact: &str) {
        self.found += 1;
        self.pages.insert(key.into(), fact.into());
    }
}

fn with_tools(body: &str, tools: &[(&str, Tool)]) -> Command {
    Command {
        body: body.into(),
        out: BTreeMap::new(),
        env: BTreeMap::new(),
        tools: tools.iter().map(|(name, tool)| ((*name).to_owned(), tool.clone())).collect(),
        shell: Shell::Bash,
        optional: BTreeSet::new(),
        isolated: true,
        net: false,
        random: false,
    }
}

fn script(folder: &Path, text: &str) {
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("fit"), text).expect("writes");
    fs::set_permissions(folder.join("fit"), std::fs::Permissions::from_mode(0o755)).expect("sets the mode");
}

#[test]
fn facts_are_remembered_by_the_identity_of_the_executable() {
    let folder = tempfile::tempdir().expect("a folder");
    let bin = folder.path().join("bin");
    script(&bin, "#!/bin/sh\necho fit 1.2\necho more\n");
    let mut memo = CountingMemo::default();
    let command = with_tools("fit x", &[("fit", Tool::Version("fit --version".into()))]);
    let facts = facts_of(&command, folder.path(), bin.as_os_str(), &mut memo).expect("facts");
    let expected = [("shell", "bash -euo pipefail"), ("tool:fit", "fit 1.2")];
    assert_eq!(facts.key, expected.map(|(name, fact)| (name.to_owned(), fact.to_owned())).into());
    assert!(facts.path.to_string_lossy().starts_with(&*bin.to_string_lossy()));
    assert_eq!(memo.found, 0, "a script may start anything, so it is asked again");
    script(&bin, "#!/bin/sh\necho fit 1.3\necho more\n");
    let facts = facts_of(&command, folder.path(), bin.as_os_str(), &mut memo).expect("facts");
    assert_eq!(facts.key["tool:fit"], "fit 1.3");
    for program in ["/bin/cat", "/bin/ls"] {
        fs::remove_file(bin.join("fit")).expect("removes");
        fs::copy(program, bin.join("fit")).expect("copies");
        let mut look = || facts_of(&command, folder.path(), bin.as_os_str(), &mut memo).expect("facts").key;
        assert_eq!(look(), look());
    }
    assert_eq!(memo.found, 2);
    let missing = with_tools("x", &[("x", Tool::Version("no-such-tool -V".into()))]);
    let error = facts_of(&missing, folder.path(), bin.as_os_str(), &mut memo).expect_err("is not there");
    assert_eq!(error.message, "tool `x`: `no-such-tool` was not found, which `no-such-tool -V` needs");
}

#[test]
fn without_tools_the_fact_is_the_digest_of_the_first_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let bin = folder.path().join("bin");
    script(&bin, "#!/bin/sh\n");
    let names = |body: &str| -> Vec<String> {
        let facts = facts_of(&with_tools(body, &[]), folder.path(), bin.as_os_str(), &mut NoMemo).expect("facts");
        facts.key.into_keys().filter(|name| name != "shell").collect()
    };
    for body in ["# first\nA=1 fit --x; true", "\"fit\" --x", "A='two words' fit"] {
        assert_eq!(names(body), ["executable:fit"], "{body}");
    }
    for body in ["echo 1", "$IN_SCRIPT", "./run", "for x in 1; do fit; done", ""] {
        assert_eq!(names(body), ["executable:bash"], "{body}");
    }
}

#[test]
fn an_environment_is_identified_by_what_is_installed_not_by_its_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let make = |name: &str, version: &str| {
        let dist = folder.path().join(name).join("lib/python3.12/site-packages/a-1.dist-info");
        fs::create_dir_all(&dist).expect("a folder");
        let record = format!("a.py,sha256={version},3\n../../../bin/a,sha256={name},9\na-1.dist-info/RECORD,,\n");
        fs::write(dist.join("RECORD"), record).expect("writes");
        let config = format!("home = /{name}\nversion = 3.12.1\n");
        fs::write(folder.path().join(name).join("pyvenv.cfg"), config).expect("writes");
        let command = with_tools("python x", &[("python", Tool::Venv(name.into()))]);
        let facts = facts_of(&command, folder.path(), "/usr/bin".as_ref(), &mut NoMemo).expect("facts");
        assert!(facts.path.to_string_lossy().contains(&format!("{name}/bin:")));
        facts.key["tool:python"].clone()
    };
    assert_eq!(make("one", "x"), make("two", "x"));
    assert_ne!(make("one", "x"), make("three", "y"));
    let command = with_tools("python x", &[("python", Tool::Venv("none".into()))]);
    let error = facts_of(&command, folder.path(), "/usr/bin".as_ref(), &mut NoMemo).expect_err("is not there");
    assert!(error.message.contains("found no virtual environment at"));
}
