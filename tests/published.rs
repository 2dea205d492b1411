//! What lies under `results/`: of which run it is, with which parameters, and what becomes of files that were edited.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use crate::support::{Shown, Space};

/// Two stages in a row and one beside them, with a param.
const PIPELINE: &str = r#"pipe: 1
pipeline: p
params: { epochs: 2, text: a }
profiles: { demo: { default: true, params: { text: b } } }
stages:
  train:
    run: echo "$PARAM_EPOCHS" > "$OUT_MODEL"
    with: { epochs: $params.epochs }
    out: { model: model.txt }
  score:
    run: cat "$IN_MODEL" "$IN_MODEL" > "$OUT_TABLE"
    in: { model: $train.model }
    out: { table: table.csv }
  note:
    run: echo "$PARAM_TEXT" > "$OUT_TEXT"
    with: { text: $params.text }
    out: { text: text.txt }
results:
  "table.csv": $score.table
  "note.txt": $note.text
"#;

fn json(space: &Space, name: &str) -> Value {
    serde_json::from_str(&space.read(name)).unwrap_or_else(|error| panic!("`{name}` is not JSON: {error}"))
}

#[test]
fn results_obey_the_umask() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  a: { run: 'echo 1 > $OUT_Y; cp $OUT_Y $OUT_X; chmod 755 $OUT_X', out: { y: y.txt, x: x.sh } }\nresults: { y.txt: $a.y, \"in/x.sh\": $a.x }\n",
    );
    let run = |umask: &str| {
        let pipe = space.command(["run", "pipeline.yaml"]);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"])
            .arg(pipe.get_program())
            .args(pipe.get_args());
        command.env_clear().envs(pipe.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Shown::of(command.current_dir(space.project()).stdin(Stdio::null())).exits(0);
    };
    let mode = |name: &str| fs::metadata(space.path(name)).expect("it is there").permissions().mode() & 0o777;
    for (umask, file, executable) in [("077", 0o600, 0o700), ("002", 0o664, 0o775)] {
        run(umask);
        assert_eq!((mode("results/p/y.txt"), mode("results/p/in/x.sh")), (file, executable), "umask {umask}");
        assert_eq!(mode("results/p/.published"), file);
        assert_eq!(mode("results/p/y.txt.provenance.json"), file);
        fs::remove_dir_all(space.path("results")).expect("removed");
    }
}

#[test]
fn a_file_of_another_program_is_not_taken_for_the_lockfile() {
    let space = Space::with(PIPELINE);
    space.write("pipeline.demo.lock", "{\"owner\": \"another program\"}\n");
    space.pipe(["run", "pipeline.yaml"]).exits(2).shows("is not a lockfile of pipe").shows("hint:");
    assert_eq!(space.read("pipeline.demo.lock"), "{\"owner\": \"another program\"}\n");
    assert_eq!(space.read("results/p/demo/note.txt"), "b\n", "results are there all the same");
}

#[test]
fn empty_folders_of_an_artifact_are_published() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  a: { run: 'mkdir -p $OUT_Y/a/empty; echo 1 > $OUT_Y/x', out: { y: y/ } }\nresults: { r/: $a.y }\n",
    );
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    assert!(space.path("results/p/r/a/empty").is_dir());
    assert!(space.path("results/p/r.provenance.json").is_file(), "beside the folder, not in it");
    fs::remove_dir(space.path("results/p/r/a/empty")).expect("removed");
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    assert!(space.path("results/p/r/a/empty").is_dir());
}

#[test]
fn dots_in_the_name_of_a_result_mean_nothing() {
    let space =
        Space::with(&PIPELINE.replace("\"table.csv\"", "./sub/./table.csv").replace("\"note.txt\"", "./note.txt"));
    space.pipe(["run", "pipeline.yaml"]).exits(0).hides("edited");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("unchanged").hides("edited");
    assert_eq!(
        (space.read("results/p/demo/sub/table.csv"), space.read("results/p/demo/note.txt")),
        ("2\n2\n".into(), "b\n".into())
    );
    assert!(space.read("pipeline.demo.lock").contains("\"sub/table.csv\""));
    // A profile means the same result by the same name.
    space.edit("pipeline.yaml", "params: { text: b }", "results: { note.txt: none }, params: { text: b }");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("stale note.txt");
    space.edit("pipeline.yaml", "./note.txt:", "sub/table.csv:");
    space.pipe(["plan", "pipeline.yaml"]).exits(2).shows("two results are called `sub/table.csv`").shows("first here");
    space.edit("pipeline.yaml", "  sub/table.csv:", "  ./:");
    space
        .pipe(["plan", "pipeline.yaml"])
        .exits(2)
        .shows("`./` is not the name of a result")
        .shows("hint: a relative path");
}

#[test]
fn values_set_by_hand_have_a_results_folder_of_their_own() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let lockfile = space.read("pipeline.demo.lock");
    let list = space.read("results/p/demo/.published");
    space.pipe(["run", "pipeline.yaml", "--set", "epochs=3"]).exits(0).shows("results/p/demo+epochs=3");
    assert_eq!(space.read("results/p/demo/table.csv"), "2\n2\n");
    assert_eq!(space.read("results/p/demo/.published"), list);
    assert_eq!(space.read("pipeline.demo.lock"), lockfile);
    assert_eq!(space.read("results/p/demo+epochs=3/table.csv"), "3\n3\n");
    let parameters = json(&space, "results/p/demo+epochs=3/parameters.json");
    assert_eq!(parameters["set"], serde_json::json!({ "epochs": "3" }));
    assert_eq!(parameters["parameters"]["epochs"], serde_json::json!({ "value": 3, "origin": "set" }));
    assert_eq!(parameters["parameters"]["text"], serde_json::json!({ "value": "b", "origin": "profile" }));

    let lockfile = json(&space, "pipeline.demo.lock");
    assert_eq!(lockfile["lock"], 2);
    assert_eq!(lockfile["parameters"], serde_json::json!({ "epochs": 2, "text": "b" }));

    // Names that no file can have, and long ones.
    space.pipe(["run", "pipeline.yaml", "--set", "text=a/../b:c"]).exits(0);
    space.pipe(["run", "pipeline.yaml", "--set", "text=a/..-b:c"]).exits(0);
    space.pipe(["run", "pipeline.yaml", "--set", &format!("text={}", "long ".repeat(40))]).exits(0);
    let entries = fs::read_dir(space.path("results/p")).expect("it can be listed");
    let names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    assert!(names.iter().all(|name| name.len() < 80 && !name.contains([':', ' '])), "{names:?}");
    for name in names.iter().filter(|name| *name != "demo") {
        assert!(space.path(format!("results/p/{name}/parameters.json")).is_file(), "{name}");
    }
}

#[test]
fn parameters_are_shown_as_written_because_that_is_what_a_stage_gets() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nparams: { v: 1.10, list: [1.10, 2], n: 3 }\nstages:\n  \
         a: { run: 'echo $PARAM_V $PARAM_N > $OUT_Y', with: { v: $params.v, n: $params.n }, out: { y: y } }\n\
         results: { y.txt: $a.y }\n",
    );
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    assert_eq!(space.read("results/p/y.txt"), "1.10 3\n");
    let expected = serde_json::json!({ "v": "1.10", "list": ["1.10", 2], "n": 3 });
    let lockfile = space.read("pipeline.lock");
    assert_eq!(json(&space, "pipeline.lock")["parameters"], expected);
    let published = json(&space, "results/p/.published");
    assert_eq!(published["runs"].as_object().expect("runs").values().next().expect("one")["parameters"], expected);
    let sidecar = json(&space, "results/p/y.txt.provenance.json");
    assert_eq!(sidecar["published_by"]["parameters"], expected);
    assert_eq!(sidecar["made_by"]["parameters"], serde_json::json!({ "v": "1.10", "n": "3" }));
    space.pipe(["run", "pipeline.yaml", "--set", "v=0x1F"]).exits(0);
    let parameters = json(&space, "results/p+v=0x1F/parameters.json");
    assert_eq!(parameters["parameters"]["v"], serde_json::json!({ "value": "0x1F", "origin": "set" }));
    // A lockfile that has the number instead is read, and written anew by the next run.
    space.edit("pipeline.lock", "\"v\": \"1.10\"", "\"v\": 1.1");
    space.pipe(["verify", "pipeline.yaml"]).exits(0);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    assert_eq!(space.read("pipeline.lock"), lockfile);
}

#[test]
fn the_list_and_the_sidecars_say_which_run_made_a_file() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let first = json(&space, "results/p/demo/.published");
    let run = |list: &Value, file: &str| list["files"][file][0]["run"].as_str().expect("a run").to_owned();
    let sidecar = json(&space, "results/p/demo/table.csv.provenance.json");
    assert_eq!(sidecar["published_by"]["run"], run(&first, "table.csv").as_str());
    assert_eq!(sidecar["made_by"]["stage"], "score");
    assert_eq!(sidecar["made_by"]["inputs"][0]["port"], "model", "{sidecar:#}");
    assert!(!sidecar.to_string().contains(space.project().to_str().expect("UTF-8")), "no path of this disk");
    // A run that changes nothing writes nothing.
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    assert_eq!(json(&space, "results/p/demo/.published"), first);
    assert_eq!(json(&space, "results/p/demo/table.csv.provenance.json"), sidecar);

    space.edit("pipeline.yaml", "epochs: 2", "epochs: 5");
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let second = json(&space, "results/p/demo/.published");
    assert_ne!(run(&second, "table.csv"), run(&first, "table.csv"));
    assert_eq!(run(&second, "note.txt"), run(&first, "note.txt"), "the first run made it");
    assert_eq!(second["runs"][run(&second, "table.csv")]["parameters"]["epochs"], 5);
    assert_eq!(second["runs"][run(&second, "note.txt")]["parameters"]["epochs"], 2);
}

#[test]
fn results_appear_when_their_stage_ends_and_older_ones_are_named() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    // The note is made anew at once; the table is not, because training waits while a file is there, and then fails.
    space.edit("pipeline.yaml", "text: b", "text: c");
    space.write("wait", "");
    let waits = format!(
        "isolation: none\n    run: while [ -e '{}' ]; do sleep 0.1; done; false; echo >",
        space.path("wait").display()
    );
    space.edit("pipeline.yaml", "run: echo \"$PARAM_EPOCHS\" >", &waits);
    let mut run = space.command(["run", "pipeline.yaml", "-j2"]);
    let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pipe starts");
    let begun = Instant::now();
    while space.read("results/p/demo/note.txt") != "c\n" {
        assert!(begun.elapsed() < Duration::from_secs(60), "the note does not appear before the run has ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(run.try_wait().expect("a child"), None, "the note appears only when the run has ended");
    space.pipe(["status", "pipeline.yaml"]).exits(0).shows("goes on").shows("earlier version").shows("table.csv");
    fs::remove_file(space.path("wait")).expect("removed");
    let output = run.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let last = stderr.trim_end().lines().last().expect("a line");
    assert!(last.contains("earlier version") && last.contains("table.csv"), "{stderr}");
    assert_eq!(space.read("results/p/demo/table.csv"), "2\n2\n");
    space.pipe(["status", "pipeline.yaml"]).exits(0).shows("earlier version").shows("table.csv").hides("note.txt");
}

#[test]
fn an_edited_result_is_kept_and_named_last_until_it_is_to_be_overwritten() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.write("results/p/demo/note.txt", "mine\n");
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(0);
    let last = shown.stderr.trim_end().lines().last().expect("a line");
    assert!(last.contains("edited") && last.contains("note.txt") && last.contains("--overwrite"), "{}", shown.stderr);
    assert_eq!(space.read("results/p/demo/note.txt"), "mine\n");
    space.pipe(["run", "pipeline.yaml", "--overwrite"]).exits(0).hides("edited");
    assert_eq!(space.read("results/p/demo/note.txt"), "b\n");
}

#[test]
fn verify_compares_what_is_published_first() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.write("results/p/demo/note.txt", "mine\n");
    fs::remove_file(space.path("results/p/demo/table.csv")).expect("removed");
    let shown = space.pipe(["verify", "pipeline.yaml"]).exits(1).shows("same note.txt").shows("same table.csv");
    let first: Vec<&str> = shown.stderr.lines().take(2).collect();
    assert!(first[0].contains("edited note.txt") && first[1].contains("missing table.csv"), "{}", shown.stderr);
    space.pipe(["verify", "pipeline.yaml", "--no-rerun"]).exits(1).shows("edited note.txt").hides("ran ");
    space.pipe(["run", "pipeline.yaml", "--overwrite"]).exits(0);
    space.pipe(["verify", "pipeline.yaml", "--no-rerun"]).exits(0);
}

#[test]
fn verify_tells_results_that_are_gone_from_a_fresh_checkout() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    fs::remove_dir_all(space.path("results")).expect("removed");
    let shown = space.pipe(["verify", "pipeline.yaml"]).exits(1).shows("same note.txt").shows("same table.csv");
    assert!(shown.stderr.lines().next().is_some_and(|line| line.contains("missing all 2 results")), "{}", shown.stderr);
    shown.shows("2 published results are not as the lockfile has them");
    space.write("results/p/demo/note.txt", "b\n");
    let shown = space.pipe(["verify", "pipeline.yaml", "--no-rerun"]).exits(1).shows("missing table.csv");
    shown.shows("1 published result is not as the lockfile has it");
    // A fresh checkout has the lockfile and no results: the rerun alone decides.
    for file in ["pipeline.yaml", "pipeline.demo.lock"] {
        space.write(&format!("clone/{file}"), space.read(file));
    }
    space.pipe(["verify", "clone/pipeline.yaml"]).exits(0).shows("no results were published");
    space.pipe(["verify", "clone/pipeline.yaml", "--no-rerun"]).exits(1).shows("no results were published");
    space.write("clone/results/p/demo/note.txt", "mine\n");
    space.pipe(["verify", "clone/pipeline.yaml", "--no-rerun"]).exits(1).shows("foreign note.txt");
}

#[test]
fn verify_does_not_call_edited_what_a_later_run_published() {
    let claim = "claims: [{ text: a claim, cell: { table: $score.table, where: {}, column: \"3\" }, equals: 1, within: 0.1 }]\n";
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.write("pipeline.yaml", format!("{}{claim}", space.read("pipeline.yaml").replace("epochs: 2", "epochs: 3")));
    space.pipe(["run", "pipeline.yaml"]).exits(1);
    let shown = space.pipe(["verify", "pipeline.yaml", "--no-rerun"]).exits(1).hides("edited");
    shown.shows("another table.csv: published by run 20");
}

#[test]
fn what_a_failing_verification_names_is_there() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.edit("pipeline.yaml", "cat \"$IN_MODEL\" \"$IN_MODEL\"", "echo no luck >&2; false");
    let shown = space.pipe(["verify", "pipeline.yaml"]).exits(1);
    let named = |mark: &str| {
        let line =
            shown.stderr.lines().find_map(|line| line.split_once(mark)).unwrap_or_else(|| panic!("{}", shown.stderr));
        PathBuf::from(line.1)
    };
    assert!(named("its folder is kept: ").is_dir(), "{}", shown.stderr);
    assert!(fs::read_to_string(named("log: ")).expect("a log").contains("no luck"));
    let scratch = named("is retained; delete it when you have looked: ");
    assert!(named("its folder is kept: ").starts_with(&scratch));
    fs::remove_dir_all(scratch).expect("removed");
}

#[test]
fn verify_tells_an_edited_pipeline_from_one_that_does_not_repeat_itself() {
    let space = Space::with(&PIPELINE.replace("epochs: 2,", "epochs: 2, more: 0,"));
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.edit("pipeline.yaml", "epochs: 2", "epochs: 3");
    let shown = space.pipe(["verify", "pipeline.yaml"]).exits(1).shows("different table.csv");
    shown.shows("stage `train`").shows("its key differs").hides("does not repeat itself");

    let space = Space::with(&PIPELINE.replace("echo \"$PARAM_EPOCHS\"", "od -An -N8 -tx1 /dev/urandom"));
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let shown = space.pipe(["verify", "pipeline.yaml"]).exits(1).shows("different table.csv");
    shown.shows("stage `train`").shows("does not repeat itself").hides("its key differs");
}

#[test]
fn a_cheap_result_is_made_before_long_work() {
    let space = Space::with(
        r#"pipe: 1
pipeline: p
stages:
  long:
    each: { n: 1..6 }
    run: sleep 0.2; echo "$EACH_N" > "$OUT_N"
    out: { n: n.txt }
  all:
    run: cat "$IN_NUMBERS"/* > "$OUT_SUM"
    in: { numbers: $long(*).n }
    out: { sum: sum.txt }
  early:
    run: echo early > "$OUT_X"
    out: { x: x.txt }
results: { sum.txt: $all.sum, early.txt: $early.x }
"#,
    );
    let shown = space.pipe(["run", "pipeline.yaml", "-j1", "--json"]).exits(0);
    let started: Vec<String> = shown
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event["event"] == "started")
        .map(|event| event["label"].as_str().expect("a label").to_owned())
        .collect();
    assert_eq!(started.first().map(String::as_str), Some("early"), "{started:?}");
}
