//! Ctrl-C and SIGKILL: what a run leaves behind, and that the next one continues.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::Space;
use crate::support::terminal::Terminal;

/// Some stages that take a while, write more than one file, and feed a gather.
fn slow_pipeline(stages: usize) -> String {
    format!(
        r#"pipe: 1
pipeline: slow
stages:
  part:
    each: {{ n: 1..{stages} }}
    run: |
      for i in 1 2 3; do seq "$EACH_N" 2000 > "$OUT_PARTS/$i.txt"; sleep 0.02; done
    out: {{ parts: parts/ }}
  all:
    run: cut -f2 "$IN_PARTS_LIST" | while read -r folder; do cat "$folder"/*.txt; done | cksum > "$OUT_SUM"
    in: {{ parts: $part(*).parts }}
    out: {{ sum: sum.txt }}
results:
  "sum.txt": $all.sum
"#
    )
}

/// A run of `pipeline.yaml` with at least so many processes below it, and these.
fn started(space: &Space, at_least: usize) -> (Child, Vec<u32>) {
    let mut command = space.command(["run", "pipeline.yaml"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("pipe starts");
    wait_until("the stage is at work", || processes_below(child.id()).len() >= at_least);
    let below = processes_below(child.id());
    (child, below)
}

fn press_ctrl_c(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).expect("SIGINT is sent");
}

/// Waits for the end and returns its stderr.
fn interrupted(child: Child) -> String {
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "as shells report a program that SIGINT ended: {stderr}");
    stderr
}

/// The command as `nohup` starts it: the hang-up signal is ignored.
fn without_hang_up(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().expect("a story has a folder"));
    shell
}

#[test]
fn a_run_that_ignores_hang_up_goes_on_when_its_terminal_is_gone() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  slow: { run: 'sleep 2; echo 1 > $OUT_X', out: { x: x.txt } }\n  \
         next: { run: 'cp $IN_X $OUT_Y', in: { x: $slow.x }, out: { y: y.txt } }\nresults: { y.txt: $next.y }\n",
    );
    let command = space.command(["run", "pipeline.yaml"]);
    let mut terminal = Terminal::start(&mut without_hang_up(&command), 80, 24);
    terminal.until(|screen| screen.contains("slow"));
    assert_eq!(terminal.hang_up(), Some(0));
    assert_eq!(space.read("results/p/y.txt"), "1\n");
    space.pipe(["status", "pipeline.yaml"]).exits(0).shows("ran").hides("killed");
    // Without it, a terminal that is closed ends the run as Ctrl-C does.
    space.edit("pipeline.yaml", "echo 1", "echo 2");
    let mut terminal = Terminal::start(&mut space.command(["run", "pipeline.yaml"]), 80, 24);
    terminal.until(|screen| screen.contains("slow"));
    assert_eq!(terminal.hang_up(), Some(130));
}

#[test]
fn ctrl_c_ends_with_a_summary_and_no_process_is_left() {
    let space = Space::with(
        "pipe: 1\npipeline: wait\nstages:\n  s:\n    run: sleep 1017 & sleep 1017; wait\n    out: { x: x.txt }\n",
    );
    let (child, below) = started(&space, 2);
    press_ctrl_c(&child);
    let stderr = interrupted(child);
    assert!(stderr.contains("skipped 1") && !stderr.contains("failed 1"), "{stderr}");
    wait_until("its processes are gone", || below.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_a_stage_that_will_not_stop() {
    let space = Space::with(
        "pipe: 1\npipeline: stubborn\nstages:\n  s:\n    run: trap '' TERM; while :; do sleep 0.1; done\n    out: { x: x.txt }\n",
    );
    let (mut child, below) = started(&space, 3);
    press_ctrl_c(&child);
    thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().expect("its state").is_none(), "the first one leaves the stage time to end");
    // That it does not wait for the rest of that time is tested beside the executor, with a grace time of half an hour.
    press_ctrl_c(&child);
    let stderr = interrupted(child);
    assert!(stderr.contains("skipped 1"), "{stderr}");
    wait_until("its processes are gone", || below.iter().all(|pid| !is_alive(*pid)));
    assert_eq!(leftovers(&space.cache()), Vec::<String>::new());
}

#[test]
fn a_run_that_was_killed_is_continued() {
    // Twelve pauses of 0.15 s on average fall within it.
    let space = Space::with(&slow_pipeline(60));
    let mut random = Lcg(2026);
    let mut finished = BTreeMap::<String, usize>::new();
    let mut kills = 0;
    for _ in 0..12 {
        let mut child = space.command(RUN).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("pipe starts");
        thread::sleep(Duration::from_millis(random.below(300)));
        let below = processes_below(child.id());
        if child.try_wait().expect("its state").is_none() {
            kills += 1;
        }
        child.kill().expect("SIGKILL is sent");
        let output = child.wait_with_output().expect("it ends");
        count_finished(&String::from_utf8_lossy(&output.stdout), &mut finished);
        wait_until("its processes are gone", || below.iter().all(|pid| !is_alive(*pid)));
    }
    assert!(kills >= 6, "only {kills} of 12 kills met a running pipe");
    count_finished(&space.pipe(RUN).exits(0).stdout, &mut finished);

    let undisturbed = Space::with(&slow_pipeline(60));
    undisturbed.pipe(RUN).exits(0);
    assert_eq!(space.read("results/slow/sum.txt"), undisturbed.read("results/slow/sum.txt"));
    assert_eq!(leftovers(&space.cache()), Vec::<String>::new(), "temporary files are left in the cache");
    assert!(finished.values().all(|times| *times == 1), "a finished stage ran again: {finished:?}");
}

const RUN: [&str; 4] = ["run", "pipeline.yaml", "-j2", "--json"];

/// Counts by label the stages whose end, with work done, was reported; the last line may be cut by the kill.
fn count_finished(events: &str, finished: &mut BTreeMap<String, usize>) {
    for event in events.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        if event["event"] == "ended" && event["outcome"]["outcome"] == "ran" {
            *finished.entry(event["label"].as_str().expect("a label").to_owned()).or_default() += 1;
        }
    }
}

/// A small fixed generator, so that a failing schedule can be played again.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "20 s passed before {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn is_alive(pid: u32) -> bool {
    // A zombie has ended; its new parent will collect it.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

/// All descendants of a process.
fn processes_below(root: u32) -> Vec<u32> {
    let mut children = BTreeMap::<u32, Vec<u32>>::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        found.extend(&below);
        open.extend(below);
    }
    found
}

/// Names in the cache that look temporary.
fn leftovers(cache: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![cache.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a cache folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type().expect("its type").is_dir();
            let session = name.starts_with("session-") && folder.ends_with("work");
            let temporary = session || name.contains("tmp") || name.starts_with('.');
            if temporary && !(is_folder && fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_none())) {
                found.push(entry.path().display().to_string());
            } else if is_folder {
                open.push(entry.path());
            }
        }
    }
    found
}
