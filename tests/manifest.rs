//! What runs leave behind for programs: the manifest and the log of events, each as its schema says; metrics; and what
//! `verify` finds by the lockfile.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use crate::support::json_schema::{assert_valid, errors};
use crate::support::{Space, workspace};

/// Every way an instance can end, a gather, a folder with an entry that is read, a retry, metrics, a claim that fails.
const ALL_ENDS: &str = r#"
pipe: 1
pipeline: ends
params: { letters: [a, b] }
stages:
  make:
    each: { letter: $params.letters }
    run: |
      echo "loss 1 0.5" >> "$METRICS"
      echo "made $EACH_LETTER"
      cat "$IN_TEXT" > "$OUT_D/$EACH_LETTER.txt"
      printf 'n,value\n1,2\n' > "$OUT_TABLE"
    in: { text: text.txt }
    with: { own: $each.letter, same: [1, { two: 2.50 }] }
    out: { d: d/, table: t.csv }
  join: { run: 'cat "$IN_ALL"/* > "$OUT_Y"', in: { all: $make(*).table }, out: { y: y.txt } }
  part: { run: 'cat "$IN_X" > "$OUT_Y"', in: { x: $make(letter=a).d/a.txt, more: "*.txt" }, out: { y: y.txt } }
  bad: { run: 'echo "no such luck"; exit 7', out: { y: y.txt } }
  after: { run: 'cp "$IN_X" "$OUT_Y"', in: { x: $bad.y }, out: { y: y.txt } }
  slow: { run: sleep 60, net: true, retry: 1, timeout: 0.2 s, out: { y: y.txt } }
  gone:
    each: { rater: [A1], sid: [s1] }
    uses: labels/exclude
    in: { labels: $make(letter=a).d, exclusions: excluded.json }
    absent: [excluded]
  needs: { each: { rater: [A1], sid: [s1] }, run: 'ls "$IN_X" > "$OUT_Y"', in: { x: $gone.labels }, out: { y: y.txt } }
results: { y.txt: $join.y }
claims:
  - text: two is three
    cell: { table: $make(letter=a).table, where: { n: 1 }, column: value }
    equals: 3
    within: 0.5
"#;

fn schema(space: &Space, of: &str) -> String {
    space.pipe(["schema", of]).exits(0).stdout
}

fn manifest(space: &Space) -> Value {
    let shown = space.pipe(["status", "pipeline.yaml", "--json"]).exits(0);
    serde_json::from_str(&shown.stdout).expect("the manifest is JSON")
}

/// The folders of the runs of a space, oldest first.
fn run_folders(space: &Space) -> Vec<PathBuf> {
    let found = fs::read_dir(space.root()).expect("it can be listed").flatten();
    let mut folders: Vec<PathBuf> = found
        .flat_map(|entry| crate::support::paper::files_below(&entry.path()))
        .filter(|path| path.file_name().is_some_and(|name| name == "events.jsonl"))
        .map(|path| path.parent().expect("a folder").to_owned())
        .collect();
    folders.sort();
    folders
}

fn events(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("events.jsonl")).expect("it can be read");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn manifests_and_events_are_as_their_schemas_say() {
    let space = Space::with(ALL_ENDS);
    space.write("text.txt", "pear\n");
    space.write("excluded.json", r#"[["A1", "s1", "lh"]]"#);
    space.pipe(["run", "pipeline.yaml"]).exits(1);
    let first = manifest(&space);
    space.pipe(["run", "pipeline.yaml"]).exits(1);
    let second = manifest(&space);
    space.pipe(["run", "pipeline.yaml", "make", "--set", "letters=[a, b, c]"]).exits(1);
    space.edit("pipeline.yaml", "exit 7", "echo 1 > $OUT_Y");
    space.pipe(["run", "pipeline.yaml", "join"]).exits(1);
    let third = manifest(&space);
    space.pipe(["run", "pipeline.yaml", "join"]).exits(1);
    let null = manifest(&space);
    assert_valid(&schema(&space, "manifest"), &[first.clone(), second, third, null]);
    let outcomes: Vec<&str> =
        first["instances"]["data"].as_array().expect("rows").iter().filter_map(|row| row[2].as_str()).collect();
    assert_eq!(&outcomes[..5], ["ran", "ran", "ran", "ran", "failed"]);
    let folders = run_folders(&space);
    assert_eq!(folders.len(), 5);
    let lines: Vec<Value> = folders.iter().flat_map(|folder| events(folder)).collect();
    assert_valid(&schema(&space, "events"), &lines);
    let absent: Vec<&Value> = lines.iter().filter(|line| line["outcome"] == "absent").take(2).collect();
    assert_eq!(absent[0]["detail"], "the project excludes lh of subject `s1` by rater `A1`");
    assert_eq!((&absent[1]["origin"], absent[1].get("detail")), (&"gone(rater=A1, sid=s1)".into(), None));
    let text = first.to_string();
    for rust in ["\"Ok\"", "\"Err\"", "\"secs\"", "\"nanos\"", "\"Some\""] {
        assert!(!text.contains(rust), "{rust} in {text}");
    }
}

#[test]
fn schemas_are_strict() {
    let space = Space::with("pipe: 1\npipeline: p\nstages:\n  a: { run: 'echo 1 > $OUT_Y', out: { y: y } }\n");
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let good = manifest(&space);
    let change = |at: &str, to: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(at).unwrap_or_else(|| panic!("no {at}")) = to;
        changed
    };
    let schema: Value = serde_json::from_str(&schema(&space, "manifest")).expect("JSON");
    let wrong = [
        change("/manifest", 1.into()),
        change("/instances/columns/0", "stages".into()),
        change("/instances/data/0/2", "done".into()),
        change("/instances/data/0/3", "blake3:1234".into()),
        change("/wall_seconds", serde_json::json!({ "secs": 1, "nanos": 2 })),
    ];
    assert!(errors(&schema, &wrong).iter().all(|error| !error.is_empty()));
    assert_eq!(errors(&schema, std::slice::from_ref(&good)), [""]);
    assert!(workspace().join("engine/schemas/manifest.schema.json").is_file());
}

#[test]
fn metrics_are_logged_as_they_are_measured_and_shown_while_a_stage_runs() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  fit:\n    out: { y: y }\n    run: |\n      for step in 1 2; do echo \"loss $step 0.$step\" >> \"$METRICS\"; done\n      \
         until test -e \"$IN_GO/go\"; do sleep 0.1; done; echo 1 > \"$OUT_Y\"\n    in: { go: wait }\n",
    );
    space.write("wait/note.txt", "x");
    let mut run = space.command(["run", "pipeline.yaml"]).stderr(Stdio::null()).spawn().expect("it starts");
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let status = space.pipe(["status", "pipeline.yaml"]).ends_in_any_way();
        if status.text().contains("loss 0.2000 at 2") {
            break;
        }
        assert!(Instant::now() < until, "no metric of `fit`: {}", status.text());
        sleep(Duration::from_millis(100));
    }
    let folder = run_folders(&space).remove(0);
    let metrics = events(&folder).into_iter().filter(|line| line["event"] == "metric").collect::<Vec<_>>();
    assert_eq!(metrics.len(), 2);
    assert_eq!(
        (&metrics[1]["name"], &metrics[1]["step"], &metrics[1]["value"]),
        (&"loss".into(), &2.into(), &0.2.into())
    );
    run.kill().expect("it is there");
    run.wait().expect("it ends");
}

#[test]
fn verify_names_the_first_cell_that_differs() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nparams: { sid: [s1, s2, s3] }\nstages:\n  \
         score: { each: { sid: $params.sid }, run: 'cp $IN_X $OUT_Y', in: { x: \"${each.sid}.txt\" }, out: { y: y.txt } }\n  \
         all: { run: 'cat $IN_X/* > $OUT_Y', in: { x: $score(*).y }, out: { y: y.txt } }\nresults: { y.txt: $all.y }\n",
    );
    for sid in ["s1", "s2", "s3"] {
        space.write(&format!("{sid}.txt"), sid);
    }
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.write("s2.txt", "other");
    space
        .pipe(["verify", "pipeline.yaml"])
        .exits(1)
        .shows("first difference: stage `score` at `score(sid=s2)`: its key differs");
}
