//! Whose a file under `results/` is: pipe's own, pipe's own and edited, or another's; and what is written beside it.

use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use serde_json::Value;

use crate::support::Space;
use crate::support::json_schema::assert_valid;

const PIPELINE: &str = r#"pipe: 1
pipeline: p
params: { text: a }
stages:
  note:
    run: echo "$PARAM_TEXT" > "$OUT_TEXT"
    with: { text: $params.text }
    out: { text: text.txt }
  folder:
    run: mkdir "$OUT_D/empty"; echo "$PARAM_TEXT" > "$OUT_D/a.txt"; echo 1 > "$OUT_D/b.csv"
    with: { text: $params.text }
    out: { d: d/ }
  cell:
    each: { n: [1, 2] }
    run: echo "$EACH_N" > "$OUT_N"
    out: { n: n.txt }
  sum:
    run: cat "$IN_NUMBERS"/* "$IN_TEXT" > "$OUT_SUM"
    in: { numbers: $cell(*).n, text: $folder.d/a.txt }
    out: { sum: sum.txt }
results:
  note.txt: $note.text
  d/: $folder.d
  b.csv: $folder.d
  a.txt: $folder.d/a.txt
  sum.txt: $sum.sum
"#;

fn sidecar(space: &Space, result: &str) -> Value {
    let text = space.read(&format!("results/p/{result}.provenance.json"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("the sidecar of `{result}` is not JSON: {error}"))
}

fn digest(space: &Space, path: &str) -> String {
    blake3::hash(&fs::read(space.path(format!("results/p/{path}"))).expect("it is there")).to_hex().to_string()
}

#[test]
fn a_file_that_pipe_did_not_write_is_left_alone_and_nothing_describes_it() {
    let space = Space::with(PIPELINE);
    space.write("results/p/note.txt", "mine\n");
    space.write("results/p/d/a.txt", "mine\n");
    for _ in 0..2 {
        let shown = space.pipe(["run", "pipeline.yaml"]).exits(0).hides("edited");
        shown.shows("note.txt").shows("was not written by pipe").shows("--overwrite");
        assert_eq!(space.read("results/p/note.txt"), "mine\n");
        assert!(!space.path("results/p/note.txt.provenance.json").exists());
        let files = sidecar(&space, "d")["files"].clone();
        assert_eq!(files, serde_json::json!({ "b.csv": digest(&space, "d/b.csv") }), "not of the user's file");
    }
    space.pipe(["run", "pipeline.yaml", "--overwrite"]).exits(0).hides("not written by pipe");
    assert_eq!((space.read("results/p/note.txt"), space.read("results/p/d/a.txt")), ("a\n".into(), "a\n".into()));
    assert_eq!(sidecar(&space, "note.txt")["digest"], digest(&space, "note.txt"));
    assert_eq!(sidecar(&space, "d")["files"]["a.txt"], digest(&space, "d/a.txt"));
}

#[test]
fn a_foreign_table_gets_no_data_dictionary_and_foreign_texts_beside_a_result_stay() {
    let space = Space::with(
        r#"pipe: 1
pipeline: p
stages:
  subject: { each: { sid: [a, b, c, d] }, uses: file, in: { file: subject.txt } }
  split: { uses: split/random, in: { subjects: $subject(*).file }, with: { held_out: 0.5 } }
results: { split.csv: $split.table, other.csv: $split.table }
"#,
    );
    space.write("subject.txt", "a subject\n");
    space.write("results/p/split.csv", "mine\n");
    space.write("results/p/other.json", "{}\n");
    space.write("results/p/other.csv.provenance.json", "{}\n");
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(0);
    shown.shows("split.csv and 2 more").shows("was not written by pipe");
    assert!(
        !space.path("results/p/split.json").exists() && !space.path("results/p/split.csv.provenance.json").exists()
    );
    assert_eq!(space.read("results/p/other.json"), "{}\n");
    assert_eq!(space.read("results/p/other.csv.provenance.json"), "{}\n");
    assert!(space.read("results/p/other.csv").starts_with("sid,"));
}

#[test]
fn what_describes_an_edited_file_stays_as_it_was() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let before = space.read("results/p/note.txt.provenance.json");
    space.write("results/p/note.txt", "mine\n");
    space.edit("pipeline.yaml", "text: a", "text: b");
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(0).hides("not written by pipe");
    shown.shows("edited note.txt").hides("stale");
    assert_eq!(space.read("results/p/note.txt.provenance.json"), before);
    space.pipe(["run", "pipeline.yaml", "--overwrite"]).exits(0);
    assert_eq!(space.read("results/p/note.txt"), "b\n");
    assert_eq!(sidecar(&space, "note.txt")["digest"], digest(&space, "note.txt"));
}

#[test]
fn files_whose_list_is_lost_are_taken_over() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let list = space.read("results/p/.published");
    let lose = || fs::remove_file(space.path("results/p/.published")).expect("removed");

    lose();
    space.pipe(["run", "pipeline.yaml"]).exits(0).hides("edited").hides("not written by pipe");
    assert_eq!(space.read("results/p/.published"), list, "each file has the run that made it");

    // Intact files of an earlier version are replaced, edited ones are still called so.
    lose();
    space.write("results/p/note.txt", "mine\n");
    space.edit("pipeline.yaml", "text: a", "text: b");
    space.pipe(["status", "pipeline.yaml"]).exits(0).shows("earlier version");
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(0).hides("not written by pipe");
    shown.shows("edited note.txt").hides("and 1 more");
    assert_eq!(space.read("results/p/d/a.txt"), "b\n");
    assert_eq!(sidecar(&space, "a.txt")["digest"], digest(&space, "a.txt"));
}

#[test]
fn a_damaged_list_is_made_anew_and_reported() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let list = space.read("results/p/.published");
    let cut = &list.as_bytes()[..list.len() / 2];
    for bytes in [&b"\xff\x17\x00\x80"[..], b"what is this", b"", cut] {
        space.write("results/p/.published", bytes);
        let shown = space.pipe(["run", "pipeline.yaml"]).exits(0).hides("edited").hides("not written by pipe");
        shown.shows(".published: it was damaged").shows("--overwrite");
        assert_eq!(space.read("results/p/.published"), list);
    }
    space.pipe(["run", "pipeline.yaml"]).exits(0).hides("damaged");
    space.write("results/p/.published", "{\"published\": 3}");
    space.pipe(["run", "pipeline.yaml"]).exits(2).shows("written by another version of pipe").shows("hint:");
}

#[test]
fn what_cannot_be_replaced_by_a_file_is_an_error() {
    let space = Space::with(PIPELINE);
    space.write("results/p/note.txt/keep.me", "mine\n");
    space.write("results/p/d", "mine\n");
    let shown = space.pipe(["run", "pipeline.yaml", "--overwrite"]).exits(2);
    shown.shows("note.txt` is a folder").shows("d` is a file, where a folder").shows("hint: move the");
    assert_eq!(
        (space.read("results/p/note.txt/keep.me"), space.read("results/p/d")),
        ("mine\n".into(), "mine\n".into())
    );
}

#[test]
fn a_link_of_the_user_that_leads_nowhere_is_not_replaced() {
    let space = Space::with(PIPELINE);
    space.write("results/p/README", "of the user\n");
    symlink("../annex/note", space.path("results/p/note.txt")).expect("linked");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("note.txt").shows("was not written by pipe");
    assert!(fs::symlink_metadata(space.path("results/p/note.txt")).expect("it is there").is_symlink());
    assert_eq!(space.read("results/p/README"), "of the user\n");
}

#[test]
fn a_sidecar_has_the_digest_of_the_file_beside_it_and_plain_inputs() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    for file in ["note.txt", "b.csv", "a.txt", "sum.txt"] {
        let sidecar = sidecar(&space, file);
        assert_eq!(sidecar["digest"], digest(&space, file), "{file}");
        assert_eq!(sidecar["bytes"], space.read(&format!("results/p/{file}")).len(), "{file}");
    }
    let schema = space.pipe(["schema", "provenance"]).exits(0).stdout;
    assert_valid(&schema, &["note.txt", "b.csv", "a.txt", "sum.txt", "d"].map(|result| sidecar(&space, result)));
    let folder = sidecar(&space, "d");
    let files = serde_json::json!({ "a.txt": digest(&space, "d/a.txt"), "b.csv": digest(&space, "d/b.csv") });
    assert_eq!(folder["files"], files);
    for (file, port) in [("b.csv", "d/b.csv"), ("a.txt", "d/a.txt")] {
        let made_by = sidecar(&space, file)["made_by"].clone();
        assert_eq!((&made_by["port"], &made_by["artifact"]["form"]), (&port.into(), &"folder".into()));
        assert_eq!(made_by["artifact"]["digest"], folder["digest"], "of the whole folder");
    }
    let inputs = sidecar(&space, "sum.txt")["made_by"]["inputs"].clone();
    assert_eq!(inputs[0]["port"], "numbers");
    assert_eq!((&inputs[0]["cells"][0]["at"]["n"], &inputs[0]["cells"][1]["at"]["n"]), (&"1".into(), &"2".into()));
    assert_eq!(inputs[0]["cells"][0]["digest"], blake3::hash(b"1\n").to_hex().to_string());
    assert_eq!((&inputs[1]["port"], &inputs[1]["form"]), (&"text".into(), &"file".into()));
    assert_eq!(inputs[1]["digest"], digest(&space, "a.txt"));
}
