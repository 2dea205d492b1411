//! Restricted data stay where their owner alone can open them: not a byte of them is written elsewhere or shown, whatever
//! the stages that read them print, note, measure or fail with.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;

use crate::support::traces::assert_no_traces;
use crate::support::{Shown, Space};

/// What the restricted file of these stories holds, and nothing else does.
const CANARY: &str = "canary-6f1d";
/// A number made of restricted data.
const NUMBER: &str = "0.271828";

/// Every way in which a stage can say something, on the way from a restricted file to a released number.
const PIPELINE: &str = r#"
pipe: 1
pipeline: families
stages:
  family: { uses: file, in: { file: family.csv }, restricted: hcp }
  pairs:
    run: |
      cat "$IN_FAMILY"
      cat "$IN_FAMILY" >&2
      cat "$IN_FAMILY" > "$OUT_TABLE"
      echo "twin/$(head -n 1 "$IN_FAMILY") 1 $(tail -n 1 "$IN_FAMILY")" >> "$METRICS"
    in: { family: $family.file }
    out: { table: pairs.csv }
  mean:
    run: |
      echo "mean $(head -n 1 "$IN_TABLE")"
      (echo dice; tail -n 1 "$IN_TABLE") > "$OUT_TABLE"
    in: { table: $pairs.table }
    out: { table: mean.csv }
  open: { run: 'echo open > "$OUT_T"', out: { t: open.txt } }
results: { pairs.csv: $pairs.table, mean.csv: $mean.table, open.txt: $open.t }
claims:
  - { text: it is so, cell: { table: $mean.table, where: {}, column: dice }, equals: 0.25, within: 0.1 }
"#;

fn space() -> Space {
    let space = Space::with(PIPELINE);
    space.write("family.csv", family());
    space
}

/// Nothing of the restricted data was shown or left outside of their store; only the user's own file has it.
#[track_caller]
fn nothing_left(space: &Space, shown: &Shown) {
    let digest = blake3::hash(family().as_bytes());
    let traces =
        [CANARY.as_bytes(), NUMBER.as_bytes(), digest.to_hex().as_bytes(), digest.as_bytes()].map(<[u8]>::to_vec);
    assert_no_traces(space, shown, &traces, &[space.path("family.csv")]);
}

fn family() -> String {
    format!("{CANARY}\n{NUMBER}\n")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nothing_of_restricted_data_leaves_their_store() {
    let space = space();
    let ran = space.pipe(["run", "pipeline.yaml", "--plain"]).exits(1);
    let ran = ran
        .shows("restricted (hcp; family -> pairs) and no rule of `release:` permits it")
        .shows("not checked: its table is restricted (hcp; family -> pairs -> mean)")
        .shows("ran 4, hits 0");
    nothing_left(&space, &ran);
    assert!(space.path("results/families/open.txt").exists() && !space.path("results/families/mean.csv").exists());
    for folder in [space.cache().join("restricted"), space.root().join("state/pipe/restricted")] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    // Their owner finds them.
    let place = space.pipe(["path", "pipeline.yaml", "pairs.table"]).stdout;
    assert!(place.starts_with(space.cache().join("restricted/hcp").to_str().unwrap()), "{place}");
    assert_eq!(fs::read_to_string(place.trim()).unwrap(), family());
    space.pipe(["log", "pipeline.yaml", "mean"]).shows(&format!("mean {CANARY}"));
    let again = space.pipe(["run", "pipeline.yaml", "--plain"]).exits(1).shows("ran 0, hits 4");
    nothing_left(&space, &again);
    nothing_left(&space, &space.pipe(["status", "pipeline.yaml"]));
    nothing_left(&space, &space.pipe(["run", "pipeline.yaml", "--json"]).exits(1));
}

#[test]
fn a_failure_says_where_its_words_are() {
    let space = space();
    space.edit("pipeline.yaml", "(echo dice;", "cat \"$IN_TABLE\" >&2; exit 3; (echo dice;");
    let failed = space.pipe(["run", "pipeline.yaml", "--plain"]).exits(1);
    let failed = failed
        .shows("it failed; what it says about it is restricted (hcp)")
        .shows("`pipe log pipeline.yaml 'mean'` shows it to you");
    nothing_left(&space, &failed);
    space.pipe(["log", "pipeline.yaml", "mean"]).shows(CANARY).shows("exit code 3");
}

#[test]
fn a_restriction_that_is_added_or_removed_moves_the_work_not_the_data() {
    let space = space();
    space.edit("pipeline.yaml", ", restricted: hcp", "");
    space.edit("pipeline.yaml", "equals: 0.25", "equals: 0.271");
    space.pipe(["run", "pipeline.yaml", "--plain"]).shows("ran 4, hits 0");
    space.edit("pipeline.yaml", "family.csv } }", "family.csv }, restricted: hcp }");
    // What was made in the open before is not used; what is not restricted stays.
    space.pipe(["why", "pipeline.yaml"]).shows("restrictions");
    space.pipe(["run", "pipeline.yaml", "--plain"]).exits(1).shows("ran 3, hits 1");
    space.edit("pipeline.yaml", ", restricted: hcp", "");
    space.pipe(["run", "pipeline.yaml", "--plain"]).shows("ran 0, hits 4");
}

#[test]
fn why_knows_restrictions_that_the_plan_no_longer_has() {
    let space = space();
    space.pipe(["run", "pipeline.yaml", "--plain"]).exits(1).shows("ran 4, hits 0");
    space.edit("pipeline.yaml", "restricted: hcp", "restricted: other");
    let other = "its data are under other restrictions than when it ran last (now other)";
    space.pipe(["why", "pipeline.yaml", "family"]).shows(other).hides("first time");
    space.edit("pipeline.yaml", ", restricted: other", "");
    let removed = "its data were restricted when it ran last, and are not now";
    space.pipe(["why", "pipeline.yaml", "family"]).shows(removed).hides("first time");
    // Another pipeline of the same cache never worked under them.
    space.edit("pipeline.yaml", "pipeline: families", "pipeline: others");
    space.pipe(["why", "pipeline.yaml", "family"]).shows("first time").hides("restricted");
}

/// Labels of two raters, of which a restricted list names one.
const EXCLUDING: &str = r#"
pipe: 1
pipeline: excluding
stages:
  labels: { each: { rater: [A1, A2], sid: [s1] }, run: 'echo 1 > "$OUT_L/lh.area.mgz"', out: { l: l/ } }
  list: { uses: file, in: { file: list.json }, restricted: hcp }
  kept:
    each: { rater: [A1, A2], sid: [s1] }
    uses: labels/exclude
    in: { labels: $labels.l, exclusions: $list.file }
    absent: [excluded]
  copied: { each: { rater: [A1, A2], sid: [s1] }, run: 'cp "$IN_L"/* "$OUT_L"', in: { l: $kept.labels }, out: { l: l/ } }
"#;

#[test]
fn why_a_restricted_cell_is_absent_is_for_its_owner() {
    let space = Space::with(EXCLUDING);
    space.write("list.json", r#"[["A1", "s1", "lh"]]"#);
    let said = b"excludes".to_vec();
    let restricted = "absent kept(rater=A1, sid=s1): excluded";
    let how =
        "what it says about it is restricted (hcp); `pipe log pipeline.yaml 'kept(rater=A1, sid=s1)'` shows it to you";
    for recorded in ["", " (recorded earlier)"] {
        let line = format!("{restricted}{recorded}: {how}; 1 instance that needs it is absent too");
        for more in [&["--plain"][..], &["--json"]] {
            let ran = space.pipe([&["run", "pipeline.yaml"], more].concat());
            assert_no_traces(&space, &ran, std::slice::from_ref(&said), &[]);
            if more == ["--plain"] {
                ran.shows(&line).hides("--retry-absent");
                let status = space.pipe(["status", "pipeline.yaml"]).shows(&line);
                assert_no_traces(&space, &status, std::slice::from_ref(&said), &[]);
                space.pipe(["status", "pipeline.yaml", "--json"]).shows("what it says about it is restricted (hcp)");
            }
        }
    }
    let why =
        space.pipe(["why", "pipeline.yaml", "copied(rater=A1)"]).shows("as `kept(rater=A1, sid=s1)` is").shows(how);
    assert_no_traces(&space, &why, std::slice::from_ref(&said), &[]);
    space.pipe(["log", "pipeline.yaml", "kept(rater=A1)"]).shows("the project excludes");
}

#[test]
fn a_store_that_others_can_open_is_refused() {
    let space = space();
    space.pipe(["run", "pipeline.yaml", "--plain"]).exits(1);
    let folder = space.cache().join("restricted/hcp");
    fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    space
        .pipe(["run", "pipeline.yaml", "--plain"])
        .exits(3)
        .shows("is for restricted data, so it must be for its owner only, but its mode is 755")
        .shows("chmod 700");
}

/// A stage reads from several stores; what is damaged in one of them is made anew in the same run.
#[test]
fn damage_in_a_restricted_store_is_healed() {
    let space = space();
    space.edit("pipeline.yaml", "claims:", "unused:");
    space.edit("pipeline.yaml", "unused:\n  - { text: it is so, cell: { table: $mean.table, where: {}, column: dice }, equals: 0.25, within: 0.1 }\n", "");
    space.edit("pipeline.yaml", "in: { table: $pairs.table }", "in: { table: $pairs.table, open: $open.t }");
    space.pipe(["run", "pipeline.yaml", "--plain"]);
    let place = space.pipe(["path", "pipeline.yaml", "pairs.table"]).stdout;
    let place = Path::new(place.trim());
    let times = fs::metadata(place).unwrap().modified().unwrap();
    fs::set_permissions(place, std::fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(place, family().replace('6', "7")).unwrap();
    fs::File::options().write(true).open(place).unwrap().set_modified(times).unwrap();
    fs::set_permissions(place, std::fs::Permissions::from_mode(0o444)).unwrap();
    space.edit("pipeline.yaml", "(echo dice;", "cat \"$IN_OPEN\"; (echo dice;");
    space
        .pipe(["run", "pipeline.yaml", "--plain"])
        .shows("again pairs: what it made is damaged in the cache and is made anew");
    space.pipe(["show", "pipeline.yaml", "mean.table"]).shows(NUMBER);
    space.pipe(["log", "pipeline.yaml", "mean"]).shows(&format!("mean {CANARY}"));
}

/// Trainings whose losses are means over so many validation samples, each subject labelled by at most four raters.
const CURVES: &str = r#"
pipe: 1
pipeline: curves
params: { samples: 76 }
stages:
  family: { uses: file, in: { file: family.csv }, restricted: hcp }
  train:
    each: { inputs: [anat], outputs: [area], restart: 1..2 }
    run: |
      cat "$IN_FAMILY" >"$OUT_MODEL/subjects.txt"
      echo "{\"training_samples\": 320, \"validation_samples\": $PARAM_SAMPLES}" >"$OUT_MODEL/options.json"
      printf 'round\tepoch\tlr\ttrn_dice_loss\ttrn_loss\tval_dice_loss\tval_loss\tkept\n' >"$OUT_MODEL/epochs.tsv"
      printf '1\t1\t0.01\t0.5\t0.5\t0.6\t0.6\t\n1\t2\t0.01\t0.4\t0.4\t0.5\t0.5\t*\n' >>"$OUT_MODEL/epochs.tsv"
    in: { family: $family.file }
    with: { samples: $params.samples }
    out: { model: model/ }
  learning:
    uses: figure/learning
    in: { models: $train(*).model }
    with: { raters: 4 }
release:
  - { ports: [learning.figure], rule: { aggregate: 20 } }
results: { "learning.{svg,pdf,png,csv}": $learning.figure }
"#;

/// Every number of the figure is a mean over all subjects who validate, or over all who train, so it leaves if these are enough.
#[test]
fn learning_curves_leave_if_enough_subjects_are_behind_them() {
    let space = Space::with(CURVES);
    space.write("family.csv", family());
    let few = space.pipe(["run", "pipeline.yaml", "--plain"]).exits(0);
    let few = few.shows("its release asks for 20 subjects behind everything that it shows, and there are 19");
    nothing_left(&space, &few);
    let published = |name: &str| space.path(format!("results/curves/{name}"));
    assert!(!published("learning.svg").exists() && !published("learning.csv").exists());

    space.edit("pipeline.yaml", "samples: 76", "samples: 77");
    nothing_left(&space, &space.pipe(["run", "pipeline.yaml", "--plain"]).exits(0));
    let table = fs::read_to_string(published("learning.csv")).unwrap();
    let columns = "model,restart,chosen,round,epoch,lr,trn_dice_loss,val_dice_loss,val_dice,trn_loss,val_loss,kept";
    assert_eq!(table.lines().next(), Some(columns), "a column for every number of a subject is one too many");
    assert_eq!(table.lines().count(), 1 + 2 * 2, "a row for each restart and epoch: {table}");
    assert!(published("learning.svg").exists() && published("learning.png").exists());

    // How many raters a subject has is not known to the kind; unless the pipeline says it, nothing is counted.
    space.edit("pipeline.yaml", "    with: { raters: 4 }\n", "");
    let unknown = space.pipe(["run", "pipeline.yaml", "--plain"]).exits(0);
    nothing_left(&space, &unknown.shows("and there are 0"));
}
