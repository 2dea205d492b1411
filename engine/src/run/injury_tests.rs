//! Injured caches: no wrong result, ever. Bits flip without a change of time, as on a disk that loses them.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err::{self as fs, File};
use pipe_cache::{Action, Digest, Made, Store};

use super::tests::Space;
use super::*;
use crate::event::Event;

/// Three fetched texts, through folders and entries of folders to a gather and two results.
const TEXTS: &str = r#"
params: { n: [n1, n2, n3] }
stages:
  made: { each: { n: $params.n }, uses: test/write, with: { text: "made of text: ${each.n}" } }
  folder: { each: { n: $params.n }, uses: test/copy, in: { one: $made.out } }
  again:
    each: { n: $params.n }
    uses: test/list
    in:
      cells:
        - $folder.out/copy.txt
  whole: { uses: test/list, in: { cells: $made(*).out } }
  all: { uses: test/list, in: { cells: $again(*).out } }
results: { "all.txt": $all.out, "whole.txt": $whole.out, "one/": "$folder(n=n1).out" }
"#;

const STAGES: [&str; 5] = ["made", "folder", "again", "whole", "all"];

/// The next number of the SplitMix64 sequence.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as usize % end
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Flips one bit of a file.
fn flip(path: &Path, bit: usize, restore_time: bool) {
    let found = fs::metadata(path).unwrap();
    let mut bytes = fs::read(path).unwrap();
    if bytes.is_empty() {
        return;
    }
    let bit = bit % (8 * bytes.len());
    bytes[bit / 8] ^= 1 << (bit % 8);
    overwrite(path, &bytes);
    if restore_time {
        File::open(path).unwrap().set_modified(found.modified().unwrap()).unwrap();
    }
}

/// Overwrites in place, so that hard links see it.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

fn below(folders: &[PathBuf], is_file: bool) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| walkdir::WalkDir::new(folder).min_depth(1))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file() == is_file)
        .map(walkdir::DirEntry::into_path)
        .collect();
    found.sort();
    found
}

/// One random injury of cache or state directory; says what it was.
fn injure(space: &Space, random: &mut Random) -> String {
    let folders = [space.cache(), space.folder.path().join("state")];
    let mut files = below(&folders, true);
    files.retain(|path| !path.ends_with("manifest.json"));
    let Some(path) = (!files.is_empty()).then(|| random.one_of(&files).clone()) else { return "nothing".into() };
    let how = match random.below(12) {
        0..=4 => {
            flip(&path, random.below(1 << 20), true);
            "flipped, time restored"
        }
        5..=7 => {
            flip(&path, random.below(1 << 20), false);
            "flipped"
        }
        8 => {
            let bytes = fs::read(&path).unwrap();
            overwrite(&path, &bytes[..random.below(bytes.len() + 1)]);
            "truncated"
        }
        9 | 10 => {
            fs::remove_file(&path).unwrap();
            "removed"
        }
        _ => {
            let folder = random.one_of(&below(&folders, false)).clone();
            fs::remove_dir_all(&folder).unwrap();
            return format!("`{}` removed", folder.display());
        }
    };
    format!("`{}` {how}", path.display())
}

/// What is recorded in a cache, by key.
fn records(cache: &Path) -> BTreeMap<String, Made> {
    let store = Store::open(cache).unwrap();
    let mut records = BTreeMap::new();
    for path in below(&[cache.join("records")], true) {
        let name = path.strip_prefix(cache.join("records")).unwrap().to_str().unwrap();
        let key: Digest<Action> = name.replace('/', "").parse().unwrap();
        if let Some(record) = store.record(&key).unwrap() {
            records.insert(key.to_string(), record.made);
        }
    }
    records
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

#[test]
fn hundreds_of_injuries_and_no_wrong_result() {
    let space = Space::with(TEXTS);
    space.run();
    let (results, expected) = (["all.txt", "whole.txt", "one/copy.txt"], records(&space.cache()));
    let texts = results.map(|name| space.read(&format!("results/p/{name}")));
    assert_eq!(expected.len(), 11);
    let template = space.folder.path().join("template");
    fs::create_dir(&template).unwrap();
    copy(&space.cache(), &template.join("cache"));
    copy(&space.folder.path().join("state"), &template.join("state"));

    let mut random = Random(7);
    let (mut healed, rounds) = (0, 120);
    for round in 0..rounds {
        copy(&template.join("cache"), &space.cache());
        copy(&template.join("state"), &space.folder.path().join("state"));
        let injuries: Vec<String> = (0..=random.below(3)).map(|_| injure(&space, &mut random)).collect();
        let about = format!("round {round}: {injuries:?}");
        let mut options = space.options();
        options.force = (0..random.below(3)).map(|_| (*random.one_of(&STAGES)).to_owned()).collect();
        if random.below(2) == 0 {
            fs::remove_dir_all(space.path("results")).unwrap();
        }
        match space.try_run(&options) {
            Ok(ran) if ran.summary.exit_code() == 0 => healed += 1,
            Ok(ran) => assert!(!ran.summary.failed.is_empty(), "{about}: {:?}", ran.summary),
            Err(failure) => assert!(failure.message.contains("cache"), "{about}: {failure}"),
        }
        for (name, text) in results.iter().zip(&texts) {
            let there = fs::read_to_string(space.path(&format!("results/p/{name}")));
            assert!(there.as_ref().map_or(true, |there| there == text), "{about}: `{name}` is {there:?}");
        }
        for (key, made) in records(&space.cache()) {
            assert_eq!(Some(&made), expected.get(&key), "{about}");
        }
        let _ = fs::remove_dir_all(space.path("results"));
        if space.try_run(&space.options()).is_ok_and(|ran| ran.summary.exit_code() == 0) {
            for (name, text) in results.iter().zip(&texts) {
                assert_eq!(&space.read(&format!("results/p/{name}")), text, "{about}, next run");
            }
        }
    }
    assert!(healed * 100 >= rounds * 98, "{healed} of {rounds} healed in the same run");
}

/// Flips a bit of a blob without a change of its time.
fn rot(space: &Space, label: &str) -> PathBuf {
    let path = space.blob(label, "out");
    let path = if path.is_dir() { path.join("copy.txt") } else { path };
    flip(&path, 3, true);
    path
}

#[test]
fn a_damaged_input_is_made_anew_before_its_reader_starts() {
    let space = Space::with(TEXTS);
    space.run();
    let text = space.read("results/p/all.txt");
    // The fetched text and its copy are one blob.
    let folder = rot(&space, "folder(n=n2)");
    let ran = space.run_with(&RunOptions { force: vec!["again".into()], ..space.options() });
    let Counts { ran: worked, hit, failed, .. } = ran.summary.counts;
    // Both are reopened; once the text is there again, the record of its copy is whole.
    assert_eq!((worked, hit, failed), (4, 7, 0), "{:?}", ran.whys);
    assert!(ran.whys["made(n=n2)"].starts_with("outputs are missing"), "{:?}", ran.whys);
    assert_eq!(space.read("results/p/all.txt"), text);
    assert!(fs::read_to_string(folder).unwrap().starts_with("made of text"), "the view too");
    let reopened = ran.events.iter().filter(|event| matches!(event, Event::Reopened { was_hit: true, .. })).count();
    assert_eq!(reopened, 2);
    space.run().counts([0, 11, 0, 0, 0]);
}

#[test]
fn a_damaged_result_is_made_anew_when_it_is_published() {
    let space = Space::with(TEXTS);
    space.run();
    let text = space.read("results/p/whole.txt");
    rot(&space, "whole");
    space.run().counts([0, 11, 0, 0, 0]);
    fs::remove_dir_all(space.path("results")).unwrap();
    let ran = space.run();
    assert_eq!((ran.summary.exit_code(), ran.summary.counts.ran, ran.summary.counts.hit), (0, 1, 10));
    assert_eq!(space.read("results/p/whole.txt"), text);
}

#[test]
fn a_damaged_table_is_made_anew_when_a_claim_reads_it() {
    let space = Space::with(
        "stages:\n  t: { run: 'printf \"tag,dice\\nanat,0.5\\n\" > \"$OUT_OUT\"', out: { out: t.csv } }\n\
         claims: [{ text: it works, cell: { table: $t.out, where: { tag: anat }, column: dice }, equals: 0.5 }]\n",
    );
    assert!(space.run().summary.claims[0].holds);
    let table = rot(&space, "t");
    let ran = space.run();
    let claim = &ran.summary.claims[0];
    assert!(claim.holds && claim.found == Ok(0.5), "{claim:?}");
    assert_eq!((ran.summary.exit_code(), ran.summary.counts.ran, ran.summary.counts.hit), (0, 1, 0));
    assert_eq!(fs::read_to_string(table).unwrap(), "tag,dice\nanat,0.5\n");
}

#[test]
fn a_damaged_input_that_may_not_be_made_is_named() {
    let space = Space::with(TEXTS);
    space.run();
    rot(&space, "whole");
    let path = rot(&space, "again(n=n1)");
    let selection = Selection { only: vec!["all".into()], ..Selection::default() };
    let ran = space.run_with(&RunOptions { force: vec!["all".into()], selection, ..space.options() });
    let failure = &ran.summary.failed[0].failure;
    assert!(failure.message.contains("`again(n=n1)`") && failure.hint.is_some(), "{failure}");
    assert!(!path.exists(), "in quarantine");
}
