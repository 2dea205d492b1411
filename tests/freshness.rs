//! What reruns after which change: the promise that users notice most.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use fs_err as fs;

use crate::support::Space;
use crate::support::not_run::not_run;
use crate::support::paper::files_below;

/// Source file -> words -> count, and a stage beside them that reads nothing.
const PIPELINE: &str = r#"pipe: 1
pipeline: words
params:
  letter: a
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
    run: echo "$PARAM_LETTER" > "$OUT_LETTER"
    with: { letter: $params.letter }
    out: { letter: letter.txt }
results:
  "sorted.txt": $sorted.text
  "letter.txt": $alone.letter
"#;

fn words() -> Space {
    let space = Space::with(PIPELINE);
    space.write("text.txt", "pear\napple\n");
    space
}

#[test]
fn a_second_run_does_nothing() {
    let space = words();
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 3, hits 0");
    assert_eq!(space.read("results/words/sorted.txt"), "APPLE\nPEAR\n");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 0, hits 3");
}

/// Trainings with a plan each, which `fit` takes by its coordinates.
const PLANS: &str = r#"pipe: 1
pipeline: plans
params:
  inputs: [anat, full]
  outputs: [area, ring]
  plans:
    anat: &plans { area: { gamma: 0.9, rounds: [1, 2] }, ring: { gamma: 0.8, rounds: [3] } }
    full: *plans
profiles:
  usual: { default: true }
  gentle: { params: { plans: { full: { area: { gamma: 1.0 } } } } }
stages:
  fit:
    each: { inputs: $params.inputs, outputs: $params.outputs }
    run: echo $EACH_INPUTS $EACH_OUTPUTS $PARAM_GAMMA $PARAM_ROUNDS > "$OUT_MODEL"
    with:
      gamma: $params.plans.${each.inputs}.${each.outputs}.gamma
      rounds: $params.plans.${each.inputs}.${each.outputs}.rounds
    out: { model: model.txt }
results:
  "${inputs}_${outputs}.txt": $fit.model
"#;

#[test]
fn a_training_whose_plan_is_changed_runs_again_and_no_other() {
    let space = Space::with(PLANS);
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 4, hits 0");
    assert_eq!(space.read("results/plans/usual/full_area.txt"), "full area 0.9 1 2\n");
    let set = ["--set", "plans.full.area.gamma=0.95"];
    let plan = space.pipe([&["plan", "pipeline.yaml", "--expand"][..], &set].concat()).stdout;
    let to_run: Vec<&str> = plan.lines().filter(|line| line.trim_start().starts_with("to run")).collect();
    assert_eq!(to_run, [" to run fit(inputs=full, outputs=area)"], "{plan}");
    space.pipe([&["run", "pipeline.yaml"][..], &set].concat()).exits(0).shows("ran 1, hits 3");
    let changed = space.read("results/plans/usual+plans.full.area.gamma=0.95/full_area.txt");
    assert_eq!(changed, "full area 0.95 1 2\n");
    space.pipe(["run", "pipeline.yaml", "--profile", "gentle"]).exits(0).shows("ran 1, hits 3");
    space.edit("pipeline.yaml", "ring: { gamma: 0.8", "ring: { gamma: 0.7");
    space.pipe(["why", "pipeline.yaml"]).shows("fit(inputs=anat, outputs=ring)").shows("`gamma` changed: 0.8 -> 0.7");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 2, hits 2");
}

#[test]
fn an_edit_reruns_what_depends_on_it_and_stops_where_bytes_are_the_same() {
    let space = words();
    space.pipe(["run", "pipeline.yaml"]).exits(0);

    space.edit("text.txt", "pear", "plum");
    space.pipe(["why", "pipeline.yaml", "upper"]).exits(0).shows("input `text` changed");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 2, hits 1");
    assert_eq!(space.read("results/words/sorted.txt"), "APPLE\nPLUM\n");

    // Other source, same upper case: the change stops at `upper`.
    space.edit("text.txt", "plum", "PLUM");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 1, hits 2");

    space.edit("pipeline.yaml", "letter: a", "letter: b");
    space.pipe(["why", "pipeline.yaml", "alone"]).exits(0).shows("parameter `letter` changed: a -> b");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 1, hits 2");
    assert_eq!(space.read("results/words/letter.txt"), "b\n");
}

#[test]
fn going_back_is_a_hit() {
    let space = words();
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.edit("pipeline.yaml", "letter: a", "letter: b");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 1, hits 2");
    space.edit("pipeline.yaml", "letter: b", "letter: a");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 0, hits 3");
    assert_eq!(space.read("results/words/letter.txt"), "a\n");
}

#[test]
fn one_changed_byte_of_equal_size_and_time_is_noticed() {
    let space = words();
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let path = space.path("text.txt");
    let modified = fs::metadata(&path).expect("its metadata").modified().expect("a time");
    space.edit("text.txt", "pear", "peas");
    fs::File::options().write(true).open(&path).expect("the file").set_modified(modified).expect("the old time");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 2, hits 1");
}

#[test]
fn touching_renaming_and_moving_rerun_nothing() {
    let space = words();
    space.pipe(["run", "pipeline.yaml"]).exits(0);

    let text = space.read("text.txt");
    space.write("text.txt", text);
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 0, hits 3");

    let renamed = space.read("pipeline.yaml").replace("upper", "capitals");
    space.write("pipeline.yaml", renamed.replace("capitals.txt", "upper.txt"));
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 0, hits 3");

    fs::create_dir(space.path("elsewhere")).expect("a folder");
    for name in ["pipeline.yaml", "text.txt"] {
        fs::rename(space.path(name), space.path("elsewhere").join(name)).expect("moved");
    }
    space.pipe(["run", "elsewhere/pipeline.yaml"]).exits(0).shows("ran 0, hits 3");
}

#[test]
fn a_deleted_result_comes_back_and_an_edited_one_is_kept() {
    let space = words();
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let sorted = space.path("results/words/sorted.txt");

    fs::remove_file(&sorted).expect("deleted");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 0, hits 3");
    assert_eq!(space.read("results/words/sorted.txt"), "APPLE\nPEAR\n");

    space.write("results/words/sorted.txt", "mine\n");
    space.pipe(["run", "pipeline.yaml"]).shows("sorted.txt").shows("edited");
    assert_eq!(space.read("results/words/sorted.txt"), "mine\n", "an edited result must not be overwritten");
}

#[test]
fn a_deleted_blob_is_made_again() {
    let space = words();
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let path = space.pipe(["path", "pipeline.yaml", "sorted.text"]).exits(0).stdout;
    fs::remove_file(path.trim()).expect("the blob can be deleted");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 1, hits 2");
    assert_eq!(fs::read_to_string(path.trim()).expect("the blob is back"), "APPLE\nPEAR\n");
}

#[test]
fn large_results_are_known_to_the_next_run_without_reading_them() {
    let space = Space::with(
        "pipe: 1\npipeline: large\nstages:\n  s:\n    run: head -c 17000000 /dev/zero > \"$OUT_X\"\n    out: { x: x.bin }\nresults: { x.bin: $s.x }\n",
    );
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let result = space.path("results/large/x.bin");
    if fs::metadata(&result).expect("the result").ctime_nsec() % 1_000_000 == 0 {
        return not_run("the second run after large results", "the clock of this file system is too coarse");
    }
    let remembered = files_below(&space.root().join("state")).into_iter().filter(|file| file.ends_with("sources"));
    let name = result.to_str().expect("UTF-8").as_bytes();
    let contains =
        |file: &PathBuf| fs::read(file).expect("it can be read").windows(name.len()).any(|part| part == name);
    assert_eq!(remembered.filter(contains).count(), 1, "the result is not among what is remembered");
    space.write("results/large/x.bin", vec![1; 17_000_000]);
    space.pipe(["run", "pipeline.yaml"]).shows("x.bin").shows("edited");
}

#[test]
fn an_edited_include_is_noticed() {
    let space = Space::with(
        "pipe: 1\npipeline: outer\ninclude: { parts: parts.yaml }\nstages:\n  copy:\n    run: cp \"$IN_A\" \"$OUT_B\"\n    in: { a: $parts.make.a }\n    out: { b: b.txt }\nresults:\n  \"b.txt\": $copy.b\n",
    );
    space.write("parts.yaml", "pipe: 1\nstages:\n  make:\n    run: echo one > \"$OUT_A\"\n    out: { a: a.txt }\n");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 2, hits 0");
    space.edit("parts.yaml", "echo one", "echo two");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 2, hits 0");
    assert_eq!(space.read("results/outer/b.txt"), "two\n");
}

#[test]
fn adding_a_subject_runs_its_stages_and_what_gathers_them() {
    let space = Space::with(
        r#"pipe: 1
pipeline: subjects
params:
  subjects: [s01, s02]
stages:
  subject:
    each: { sid: $params.subjects }
    run: echo "$EACH_SID" > "$OUT_NAME"
    out: { name: name.txt }
  longer:
    each: { sid: $params.subjects }
    run: cat "$IN_NAME" "$IN_NAME" > "$OUT_NAME"
    in: { name: $subject.name }
    out: { name: name.txt }
  all:
    run: cut -f2 "$IN_NAMES_LIST" | xargs cat > "$OUT_ALL"
    in: { names: $longer(*).name }
    out: { all: all.txt }
results:
  "all.txt": $all.all
"#,
    );
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 5, hits 0");
    space.edit("pipeline.yaml", "[s01, s02]", "[s01, s02, s03]");
    space.pipe(["why", "pipeline.yaml", "all"]).exits(0).shows("s03");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 3, hits 4");
    assert_eq!(space.read("results/subjects/all.txt"), "s01\ns01\ns02\ns02\ns03\ns03\n");
}
