//! After a failure: what is reported, what still runs, what is retained.

use crate::support::Space;

const PIPELINE: &str = r#"pipe: 1
pipeline: broken
stages:
  bad:
    run: |
      echo "about to fail" >&2
      exit 3
    out: { x: x.txt }
  after:
    run: cp "$IN_X" "$OUT_Y"
    in: { x: $bad.x }
    out: { y: y.txt }
  good:
    run: echo fine > "$OUT_Z"
    out: { z: z.txt }
"#;

#[test]
fn a_failure_skips_what_needs_it_and_the_rest_goes_on() {
    let space = Space::with(PIPELINE);
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(1);
    shown.shows("ran 1, hits 0, failed 1, skipped 1").shows("bad").shows("exit code 3").shows("about to fail");
    space.pipe(["log", "pipeline.yaml", "bad"]).exits(0).shows("about to fail");

    space.edit("pipeline.yaml", "exit 3", "echo mended > \"$OUT_X\"");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 2, hits 1");
}

#[test]
fn a_missing_output_is_a_failure_that_names_it() {
    let space = Space::with("pipe: 1\npipeline: none\nstages:\n  s:\n    run: 'true'\n    out: { x: x.txt }\n");
    space.pipe(["run", "pipeline.yaml"]).exits(1).shows("output `x` was declared as `x.txt` and is not there");
}

#[test]
fn an_undeclared_project_file_is_not_there_and_the_line_to_add_is_proposed() {
    let space = Space::with(
        "pipe: 1\npipeline: hidden\nstages:\n  s:\n    run: cat secret.txt > \"$OUT_X\"\n    out: { x: x.txt }\n",
    );
    space.write("secret.txt", "found\n");
    space.pipe(["run", "pipeline.yaml"]).exits(1).shows("add to its `in:` `secret: secret.txt`");
}

#[test]
fn the_environment_of_a_command_is_what_the_file_says() {
    let space = Space::with(
        "pipe: 1\npipeline: bare\nstages:\n  s:\n    run: env | cut -d= -f1 | sort > \"$OUT_X\"\n    env: { MINE: declared }\n    out: { x: x.txt }\nresults: { x.txt: $s.x }\n",
    );
    let mut command = space.command(["run", "pipeline.yaml"]);
    command.env("LEAK", "yes").env("LC_ALL", "C");
    crate::support::Shown::of(&mut command).exits(0);
    let names = space.read("results/bare/x.txt");
    assert!(names.contains("MINE\n"), "{names}");
    assert!(!names.contains("LEAK"), "{names}");
    assert!(!names.contains("PIPE_CACHE"), "{names}");
}

#[test]
fn a_broken_file_is_shown_with_its_line_and_changes_nothing() {
    let space = Space::with("pipe: 1\npipeline: typo\nstages:\n  s:\n    runs: 'true'\n    out: { x: x.txt }\n");
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(2);
    shown.shows("pipeline.yaml:5:5").shows("`runs`").shows("`run`");
    assert!(!space.path("results").exists());
}

#[test]
fn fail_fast_starts_nothing_after_the_first_failure() {
    let space = Space::with(PIPELINE);
    space.edit(
        "pipeline.yaml",
        "run: echo fine > \"$OUT_Z\"",
        "run: sleep 1; echo fine > \"$OUT_Z\"\n    in: { w: $wait.w }",
    );
    let waiting = format!(
        "{}  wait:\n    run: sleep 1; echo w > \"$OUT_W\"\n    out: {{ w: w.txt }}\n",
        space.read("pipeline.yaml")
    );
    space.write("pipeline.yaml", waiting);
    space.pipe(["run", "pipeline.yaml", "--fail-fast", "-j1"]).exits(1).shows("failed 1").hides("ran 2");
}

#[test]
fn what_is_too_large_for_a_process_is_named_with_its_size_and_a_remedy() {
    let list = (0..20_000).map(|subject| format!("subject{subject:06}")).collect::<Vec<_>>().join(", ");
    let of = |body: &str, list: &str| {
        format!(
            "pipe: 1\npipeline: large\nstages:\n  s: {{ run: '{body}', with: {{ l: [{list}] }}, out: {{ x: x.txt }} }}\n"
        )
    };
    let space = Space::with(&of("echo \"$PARAM_L\" > \"$OUT_X\"", &list));
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(2).hides("log: ");
    shown.shows("the variable `PARAM_L` (parameter `l`) has ").shows("write the list to a file of the project");
    space.write("pipeline.yaml", of(&format!("echo {} > \"$OUT_X\"", "x".repeat(140_000)), "a"));
    space.pipe(["run", "pipeline.yaml"]).exits(2).shows("the body has 140").shows("put it into a file of the project");
}
