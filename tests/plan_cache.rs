//! Cached plans: used while nothing changed, made anew when they are damaged or of another version, never trusted.

use std::path::PathBuf;

use fs_err as fs;

use crate::support::Space;

const STUDY: &str = r#"pipe: 1
pipeline: study
params: { subjects: [s01, s02], epochs: 3 }
stages:
  a: { each: { sid: $params.subjects }, run: 'echo "$EACH_SID" > "$OUT_T"', out: { t: t.txt } }
  b: { run: 'cat "$IN_T"/* > "$OUT_T"', in: { t: $a(*).t }, with: { epochs: $params.epochs }, out: { t: t.txt } }
results: { "b.txt": $b.t }
"#;

/// The one cached plan.
fn cached(space: &Space) -> PathBuf {
    let folder = space.root().join("state/pipe/plans");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("`{}`: {error}", folder.display()));
    let plans: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let [plan] = plans.try_into().expect("one plan");
    plan
}

fn planned(space: &Space) -> String {
    space.pipe(["plan", "pipeline.yaml", "--expand", "--json"]).exits(0).stdout
}

#[test]
fn a_damaged_plan_is_made_anew() {
    let space = Space::with(STUDY);
    let plan = planned(&space);
    let path = cached(&space);
    let good = fs::read(&path).expect("readable");
    let earlier = |text: &str| [text.as_bytes(), &good[16..]].concat();
    let mut bad: Vec<Vec<u8>> = vec![Vec::new(), good[..40].to_vec(), good[..good.len() - 1].to_vec()];
    bad.extend([vec![0xff; good.len()], earlier("pipe kept plan 2"), [good.as_slice(), b"x"].concat()]);
    for at in (0..good.len()).step_by(good.len() / 12) {
        let mut other = good.clone();
        other[at] ^= 0x41;
        bad.push(other);
    }
    for bytes in bad {
        fs::write(&path, &bytes).expect("written");
        assert_eq!(planned(&space), plan);
        assert_eq!(fs::read(&path).expect("readable"), good, "it is replaced");
    }
}

#[test]
fn what_is_not_a_file_in_the_place_of_a_plan_is_not_read() {
    let space = Space::with(STUDY);
    let plan = planned(&space);
    let path = cached(&space);
    fs::remove_file(&path).expect("removed");
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo is there");
    assert!(made.success());
    assert_eq!(planned(&space), plan, "reading a named pipe would wait for ever");
    assert!(fs::metadata(&path).expect("there").is_file(), "it is replaced");
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("a folder");
    assert_eq!(planned(&space), plan);
}

#[test]
fn a_cached_plan_follows_the_file_and_the_command_line() {
    let space = Space::with(STUDY);
    assert_eq!(planned(&space), planned(&space));
    space.edit("pipeline.yaml", "[s01, s02]", "[s01, s03]");
    space.pipe(["plan", "pipeline.yaml", "--expand"]).exits(0).shows("sid=s03").hides("sid=s02");
    space.pipe(["plan", "pipeline.yaml", "--expand", "--set", "subjects=[s09]"]).exits(0).shows("sid=s09").hides("s03");
    space.pipe(["plan", "pipeline.yaml", "--expand"]).exits(0).shows("sid=s03").hides("s09");
}
