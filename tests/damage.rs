//! Damaged caches: a bit that flips without a change of time, a folder that was removed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fs_err::{self as fs, File};

use crate::support::Space;

const PIPELINE: &str = r#"pipe: 1
pipeline: t
stages:
  text: { run: "echo some text > $OUT_T", out: { t: t.txt } }
  folder: { run: "cp $IN_T $OUT_F/copy; mkdir $OUT_F/empty", in: { t: $text.t }, out: { f: f/ } }
  words: { run: "wc -w < $IN_F/copy > $OUT_N", in: { f: $folder.f }, out: { n: n.txt } }
results: { n.txt: $words.n }
"#;

/// Flips a bit of what a stage made, as a disk does: without a change of time.
fn rot(space: &Space, artifact: &str, entry: &str) -> PathBuf {
    let mut path = PathBuf::from(space.pipe(["path", "pipeline.yaml", artifact]).exits(0).stdout.trim());
    if !entry.is_empty() {
        path.push(entry);
    }
    let found = fs::metadata(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    let mut bytes = fs::read(&path).expect("readable");
    let last = bytes.len() - 1;
    bytes[last.min(4)] ^= 0b10_1010;
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("ours");
    fs::write(&path, bytes).expect("writable");
    fs::set_permissions(&path, found.permissions()).expect("ours");
    File::open(&path).expect("readable").set_modified(found.modified().expect("a time")).expect("ours");
    path
}

#[test]
fn an_input_that_lost_a_bit_is_made_anew_before_it_is_read() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 3, hits 0");
    let copy = rot(&space, "folder.f", "copy");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 0, hits 3");
    // The text and its copy are one blob: it is made again, and the folder is whole again.
    space
        .pipe(["run", "pipeline.yaml", "--force", "words", "--plain"])
        .exits(0)
        .shows("what it made is damaged in the cache and is made anew")
        .shows("ran 2, hits 1");
    assert_eq!(space.read("results/t/n.txt").trim(), "2");
    assert_eq!(fs::read_to_string(copy).expect("the view"), "some text\n");
    assert_eq!(fs::read_dir(space.cache().join("quarantine")).expect("there").count(), 1);
}

#[test]
fn a_cache_without_one_of_its_parts_goes_on() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    for part in ["blobs", "views", "records", "work", "kept", "CACHE"] {
        let path = space.cache().join(part);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.expect("removed");
        fs::remove_dir_all(space.path("results")).expect("removed");
        space.pipe(["run", "pipeline.yaml"]).exits(0);
        assert_eq!(space.read("results/t/n.txt").trim(), "2", "without `{part}`");
    }
}

#[test]
fn damaged_content_is_called_by_the_name_of_its_output() {
    let space = Space::with(PIPELINE);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let blob = rot(&space, "words.n", "");
    let name = blob.file_name().expect("a name").to_string_lossy().into_owned();
    space
        .pipe(["path", "pipeline.yaml", "words.n"])
        .exits(3)
        .shows("what the cache has of `words.n` is damaged")
        .hides(&name);
}
