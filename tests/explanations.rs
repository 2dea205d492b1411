//! What `status`, `why` and `plan` say: read as a user reads it, after a failure, while a run goes on, and after a kill.

use std::thread::sleep;
use std::time::{Duration, Instant};

use fs_err as fs;

use crate::support::{Shown, Space};

/// One stage that fails, one that works, one that needs the first.
const MIXED: &str = r#"
pipe: 1
pipeline: mixed
params: { letter: a }
stages:
  bad: { run: 'echo "no such luck"; exit 7', out: { y: y.txt } }
  good: { run: 'echo "$PARAM_LETTER" > "$OUT_Y"', with: { letter: $params.letter }, out: { y: y.txt } }
  after: { run: 'cp "$IN_X" "$OUT_Y"', in: { x: $bad.y }, out: { y: y.txt } }
"#;

fn status(space: &Space) -> Shown {
    space.pipe(["status", "pipeline.yaml"]).exits(0)
}

#[test]
fn status_says_how_every_stage_ended() {
    let space = Space::with(MIXED);
    status(&space).shows("never ran here");
    space.pipe(["run", "pipeline.yaml"]).exits(1);
    status(&space)
        .shows("ended with exit code 1")
        .shows("ran good")
        .shows("failed bad: the command ended with exit code 7")
        .shows("no such luck")
        .shows("log: /")
        .shows("its folder is kept: /")
        .shows("skipped after: because of `bad`")
        .shows("ran 1, hits 0, failed 1, skipped 1")
        .hides("?");
    space.edit("pipeline.yaml", "exit 7", "echo 1 > $OUT_Y");
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    status(&space).shows("ended well").shows("ran bad").shows("ran after").shows("ran 2, hits 1").hides("failed");
}

#[test]
fn status_while_a_run_goes_on_and_after_a_kill() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  quick: { run: 'echo 1 > $OUT_Y', out: { y: y } }\n  \
         slow: { run: 'sleep 60; cp $IN_X $OUT_Y', in: { x: $quick.y }, out: { y: y } }\n",
    );
    let mut run =
        space.command(["run", "pipeline.yaml"]).stderr(std::process::Stdio::null()).spawn().expect("it starts");
    let until = Instant::now() + Duration::from_secs(60);
    while !space.pipe(["status", "pipeline.yaml"]).ends_in_any_way().text().contains("running slow") {
        assert!(Instant::now() < until, "`slow` does not start");
        sleep(Duration::from_millis(50));
    }
    status(&space).shows("goes on").shows("ran quick").shows("so far; 1 of 2 have not ended");
    run.kill().expect("it is there");
    run.wait().expect("it ends");
    status(&space)
        .shows("was killed before its end")
        .shows("ran quick")
        .shows("killed slow")
        .shows("1 of 2 had not ended");
}

#[test]
fn a_missing_input_is_named_by_why_and_plan() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  a: { run: 'cp $IN_X $OUT_Y', in: { x: nothere.csv }, out: { y: y } }\n  \
         b: { run: 'cp $IN_X $OUT_Y', in: { x: $a.y }, out: { y: y } }\n",
    );
    space.pipe(["why", "pipeline.yaml"]).exits(0).shows("to fail a").shows("nothere.csv").hides("nothing would run");
    space
        .pipe(["plan", "pipeline.yaml"])
        .exits(0)
        .shows("would fail: ")
        .shows("nothere.csv")
        .shows("would fail 1, would be skipped 1");
    space.write("nothere.csv", "1\n");
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.pipe(["why", "pipeline.yaml"]).exits(0).shows("nothing would run: every output is cached");
}

#[test]
fn a_failure_is_not_called_an_interruption() {
    let space = Space::with(MIXED);
    space.pipe(["run", "pipeline.yaml"]).exits(1);
    space
        .pipe(["why", "pipeline.yaml", "bad"])
        .exits(0)
        .shows("the last attempt at the same work failed")
        .hides("begun");
}

#[test]
fn why_compares_with_the_run_of_the_same_params_or_says_with_which() {
    let space = Space::with(MIXED);
    space.edit("pipeline.yaml", "exit 7", "echo 1 > $OUT_Y");
    let with = |letter: &str, verb: &'static str| {
        let set = format!("letter={letter}");
        let stage = if verb == "why" { &["good"][..] } else { &[] };
        let args = [verb, "pipeline.yaml", "--set", &set].into_iter().chain(stage.iter().copied());
        space.pipe(args.collect::<Vec<_>>()).exits(0)
    };
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    with("b", "why").shows("parameter `letter` changed: a -> b").shows("compared with the last run without `--set`");
    with("b", "run");
    // Another body: each compares with its own last run, so the parameter is not a reason.
    space.edit("pipeline.yaml", "echo \"$PARAM_LETTER\"", "printf \"$PARAM_LETTER\"");
    space.pipe(["why", "pipeline.yaml", "good"]).exits(0).shows("body changed").hides("parameter");
    with("b", "why").shows("body changed").hides("parameter").hides("compared");
}

#[test]
fn why_compares_with_the_last_run_that_found_its_results_recorded_too() {
    let space = Space::with(MIXED);
    space.edit("pipeline.yaml", "exit 7", "echo 1 > $OUT_Y");
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.edit("pipeline.yaml", "letter: a", "letter: b");
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.edit("pipeline.yaml", "letter: b", "letter: a");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 0");
    space.edit("pipeline.yaml", "letter: a", "letter: c");
    space.pipe(["why", "pipeline.yaml", "good"]).exits(0).shows("parameter `letter` changed: a -> c");
    // A stage that was renamed.
    space.edit("pipeline.yaml", "letter: c", "letter: a");
    space.edit("pipeline.yaml", "good:", "better:");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 0");
    space.edit("pipeline.yaml", "letter: a", "letter: c");
    space
        .pipe(["why", "pipeline.yaml", "better"])
        .exits(0)
        .shows("parameter `letter` changed: a -> c")
        .hides("first time");
}

#[test]
fn a_changed_input_is_called_by_its_name() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  a: { run: 'cp $IN_X $OUT_Y', in: { x: x.csv }, out: { y: y } }\n  \
         b: { run: 'cp $IN_X $OUT_Y', in: { x: $a.y }, out: { y: y } }\n",
    );
    space.write("x.csv", "1\n");
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.write("x.csv", "2\n");
    space.pipe(["why", "pipeline.yaml", "a"]).exits(0).shows("input `x` changed: `x.csv` has other content");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("input `x` changed: `a.y` has other content");
}

#[test]
fn every_change_of_a_command_is_said_in_the_words_of_the_file() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nstages:\n  a:\n    run: |\n      true\n      cat $IN_X > $OUT_Y\n    in: { x: x.csv }\n    out: { y: y.txt }\n    env: { N: \"1\" }\n",
    );
    space.write("x.csv", "1\n");
    let why = |edits: &[(&str, &str)], sentences: &[&str]| {
        space.pipe(["run", "pipeline.yaml"]).exits(0);
        edits.iter().for_each(|(from, to)| space.edit("pipeline.yaml", from, to));
        let shown = space.pipe(["why", "pipeline.yaml", "a"]).exits(0);
        let text = shown.text();
        let reasons: Vec<&str> = text.lines().filter(|line| line.starts_with("          ")).map(str::trim).collect();
        assert_eq!(reasons, sentences, "{text}");
    };
    why(&[("N: \"1\"", "N: \"2\"")], &["variable `N` changed: `1` -> `2`"]);
    why(
        &[("    env: { N: \"2\" }\n", "    net: true\n")],
        &["variable `N` of `env:` was removed", "the network is allowed now (`net: true`)"],
    );
    why(&[("y: y.txt", "y: z.txt")], &["output `y` is written to another path: `y.txt` -> `z.txt`"]);
    why(
        &[("cat $IN_X >", "cat $IN_X $IN_X >")],
        &["body changed in line 2: `cat $IN_X > $OUT_Y` -> `cat $IN_X $IN_X > $OUT_Y`"],
    );
    space.write("x.tsv", "1\n");
    why(&[("x: x.csv", "x: x.tsv")], &["input `x` is found under another name: `x.csv` -> `x.tsv`"]);
    why(&[("{ x: x.tsv }", "{ x: x.tsv, more: x.csv }")], &["input `more` was added"]);
    why(&[("more: x.csv", "other: x.csv")], &["input `more` is called `other` now"]);
    why(
        &[(", other: x.csv", ""), ("y: z.txt", "y: w.txt")],
        &["output `y` is written to another path: `z.txt` -> `w.txt`", "input `other` was removed"],
    );
    why(
        &[("    net: true\n", "    shell: sh\n")],
        &["the network is no longer allowed (no `net: true`)", "the body runs under `sh` now, before under `bash`"],
    );
    why(
        &[("    shell: sh\n", "    tools: { mine: echo mine 1.0 }\n")],
        &[
            "program `sh` no longer counts, because `tools:` name what the body runs",
            "the body runs under `bash` now, before under `sh`",
            "tool `mine` was added: `mine 1.0`",
        ],
    );
}

#[test]
fn two_projects_with_one_pipeline_name_share_neither_logs_nor_folders() {
    let space = Space::new();
    let pipeline = |body: &str| format!("pipe: 1\npipeline: p\nstages:\n  fit: {{ run: '{body}', out: {{ y: y }} }}\n");
    space.write("a/p.yaml", pipeline("echo this is A; exit 1"));
    space.write("b/p.yaml", pipeline("echo this is B; echo 1 > $OUT_Y"));
    let failed = space.pipe(["run", "a/p.yaml"]).exits(1);
    let text = failed.text();
    let kept = text.lines().find_map(|line| line.trim().strip_prefix("its folder is kept: ")).expect("it is kept");
    space.pipe(["run", "b/p.yaml"]).exits(0);
    assert!(fs::metadata(kept).is_ok(), "the other project's success removed `{kept}`");
    space.pipe(["log", "a/p.yaml", "fit"]).exits(0).shows("this is A").hides("this is B");
    space.pipe(["status", "a/p.yaml"]).exits(0).shows("failed fit");
}

#[test]
fn two_files_of_one_folder_with_one_name_are_an_error_that_names_both() {
    let space = Space::with(MIXED);
    space.write("copy.yaml", MIXED);
    space.pipe(["plan", "pipeline.yaml"]).exits(2).shows("pipeline.yaml").shows("copy.yaml").shows("`mixed`");
    space.edit("copy.yaml", "pipeline: mixed", "pipeline: other");
    space.pipe(["plan", "pipeline.yaml"]).exits(0);
}
