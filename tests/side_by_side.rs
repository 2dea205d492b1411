//! Other programs and other users: a lockfile that no longer holds, two runs at once, a reader that goes away.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::Space;

/// A source, two stages in a row, one beside them.
const PIPELINE: &str = r#"pipe: 1
pipeline: pair
params: { letter: a }
stages:
  slow:
    each: { n: 1..4 }
    run: sleep 0.3; echo "$EACH_N" > "$OUT_N"
    out: { n: n.txt }
  sum:
    run: cat "$IN_NUMBERS"/* > "$OUT_SUM"
    in: { numbers: $slow(*).n }
    out: { sum: sum.txt }
  letter:
    run: echo "$PARAM_LETTER" > "$OUT_LETTER"
    with: { letter: $params.letter }
    out: { letter: letter.txt }
results:
  "sum.txt": $sum.sum
  "letter.txt": $letter.letter
"#;

#[test]
fn verify_ends_well_only_while_the_lockfile_holds() {
    let space = Space::with(PIPELINE);
    space.pipe(["verify", "pipeline.yaml"]).exits(2).shows("there is no lockfile");
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.pipe(["verify", "pipeline.yaml"]).exits(0).shows("same letter.txt").shows("same sum.txt").shows("ran 6");

    space.edit("pipeline.yaml", "letter: a }", "letter: b }");
    let shown = space.pipe(["verify", "pipeline.yaml"]).exits(1);
    shown.shows("different letter.txt").shows("same sum.txt");
    // A verification changes neither the cache nor the results nor the lockfile.
    assert_eq!(space.read("results/pair/letter.txt"), "a\n");
    space.pipe(["status", "pipeline.yaml"]).shows("ran 6");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 1, hits 5");
    space.pipe(["verify", "pipeline.yaml"]).exits(0);
}

#[test]
fn two_runs_at_once_share_the_work() {
    let space = Space::with(PIPELINE);
    let start = || {
        let mut command = space.command(["run", "pipeline.yaml", "--json", "-j2"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pipe starts")
    };
    let ended: Vec<_> = [start(), start()].into_iter().map(|run| run.wait_with_output().expect("it ends")).collect();
    let mut ran = 0;
    for output in &ended {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let stdout = String::from_utf8_lossy(&output.stdout);
        let summary: Value = serde_json::from_str(stdout.lines().last().expect("a summary")).expect("JSON");
        let count = |name: &str| summary["counts"][name].as_u64().unwrap_or_else(|| panic!("no `{name}`: {summary}"));
        assert_eq!(count("ran") + count("hit"), 6, "{summary}");
        ran += count("ran");
    }
    assert_eq!(ran, 6, "each stage ran once, in one of the two");
    assert_eq!(space.read("results/pair/sum.txt"), "1\n2\n3\n4\n");
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_run() {
    let space = Space::with(PIPELINE);
    let mut command = space.command(["run", "pipeline.yaml", "--json"]);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("pipe starts");
    let mut first = String::new();
    BufReader::new(run.stdout.take().expect("a pipe")).read_line(&mut first).expect("a line");
    assert!(first.starts_with('{'), "{first}");
    assert!(run.wait().expect("it ends").success());
    assert_eq!(space.read("results/pair/sum.txt"), "1\n2\n3\n4\n");
}
