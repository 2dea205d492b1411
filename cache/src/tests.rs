//! What the cache promises, also after kills and damage and with several processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

struct Space {
    folder: TempDir,
    store: Store,
}

impl Space {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        Self { folder, store }
    }

    fn session(&self) -> Session {
        Session::begin(&self.store).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An output folder with these files, in a folder of the session.
    fn output(&self, session: &Session, files: &[(&str, &str)]) -> PathBuf {
        let out = session.new_folder().unwrap().join("out");
        for (name, text) in files {
            let path = out.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        out
    }
}

fn key(name: &str) -> Digest<Action> {
    Digest::of(name.as_bytes())
}

fn record(outputs: Vec<Stored>) -> Record {
    Record { made: Made::Outputs(outputs), parts: serde_json::json!({"a": 1}), provenance: serde_json::Value::Null }
}

fn stored(port: &str, (artifact, blobs): (Artifact, Vec<Blob>)) -> Stored {
    Stored { port: port.into(), artifact, blobs: if artifact.blob().is_some() { vec![] } else { blobs } }
}

#[test]
fn a_folder_goes_in_and_is_read_as_it_was() {
    let space = Space::new();
    let session = space.session();
    let files = [("a.txt", "one"), ("deep/b.txt", "two"), ("deep/same.txt", "one")];
    let out = space.output(&session, &files);
    fs::create_dir(out.join("empty")).unwrap();
    fs::set_permissions(out.join("a.txt"), Permissions::from_mode(0o700)).unwrap();
    let (artifact, blobs) = session.ingest(&out).unwrap();
    assert_eq!((artifact.form, artifact.bytes, blobs.len()), (ContentForm::Folder, 9, 4));
    assert!(!out.exists());

    let view = session.path(&artifact).unwrap();
    for (name, text) in files {
        assert_eq!(fs::read_to_string(view.join(name)).unwrap(), text);
    }
    assert!(view.join("empty").is_dir());
    let mode = |name: &str| fs::metadata(view.join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("a.txt"), mode("deep/b.txt")), (0o555, 0o444));
    let tree = space.store.tree(&artifact.digest).unwrap();
    assert_eq!(tree.entry("deep/b.txt").unwrap().digest, Digest::of(b"two"));
    let deep = tree.entry("deep").unwrap();
    assert_eq!((deep.form, deep.bytes), (ContentForm::Folder, 6));
    assert_eq!(tree.entry("deeper"), None);
}

#[test]
fn equal_folders_are_equal_whatever_the_order_owner_time_or_umask() {
    let space = Space::new();
    let session = space.session();
    let digest = |files: &[(&str, &str)], mode: u32| {
        let out = space.output(&session, files);
        for (name, _) in files {
            fs::set_permissions(out.join(name), Permissions::from_mode(mode)).unwrap();
        }
        session.ingest(&out).unwrap().0.digest
    };
    let first = digest(&[("a", "1"), ("b", "2")], 0o644);
    assert_eq!(first, digest(&[("b", "2"), ("a", "1")], 0o600));
    assert_ne!(first, digest(&[("b", "1"), ("a", "2")], 0o644));
    assert_ne!(first, digest(&[("a", "1"), ("b", "2")], 0o744), "what can be executed is another file");
}

#[test]
fn links_and_pipes_are_not_artifacts() {
    let space = Space::new();
    let session = space.session();
    let out = space.output(&session, &[("a", "1")]);
    symlink("a", out.join("link")).unwrap();
    let error = session.ingest(&out).unwrap_err().to_string();
    assert!(error.contains("a symbolic link") && error.contains("link`"), "{error}");
}

#[test]
fn nothing_outside_shares_an_inode_with_a_blob() {
    let space = Space::new();
    let session = space.session();
    let out = space.output(&session, &[("a", "mine")]);
    let outside = space.path("outside");
    fs::hard_link(out.join("a"), &outside).unwrap();
    let (artifact, _) = session.ingest(&out.join("a")).unwrap();
    fs::write(&outside, "evil").unwrap();
    assert_eq!(space.store.read(&artifact.digest).unwrap(), b"mine");

    let copy = space.path("copy");
    space.store.copy_out(&artifact.blob().unwrap(), &copy).unwrap();
    fs::write(&copy, "evil").unwrap();
    assert_eq!(space.store.read(&artifact.digest).unwrap(), b"mine");
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o644);
}

/// Ways to damage a blob of 8 bytes.
fn damage(path: &Path, how: &str) {
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    match how {
        "deleted" => fs::remove_file(path).unwrap(),
        "truncated" => File::options().write(true).open(path).unwrap().set_len(3).unwrap(),
        "emptied" => File::options().write(true).open(path).unwrap().set_len(0).unwrap(),
        "flipped" => {
            let mut bytes = fs::read(path).unwrap();
            bytes[2] ^= 1;
            fs::write(path, bytes).unwrap();
        }
        _ => unreachable!(),
    }
}

#[test]
fn a_record_with_a_missing_or_damaged_blob_does_not_count() {
    for how in ["deleted", "truncated", "emptied", "flipped"] {
        let space = Space::new();
        let session = space.session();
        let out = space.output(&session, &[("x", "contents"), ("y", "other")]);
        let output = stored("out", session.ingest(&out).unwrap());
        let view = session.path(&output.artifact).unwrap();
        session.publish(&key("k"), record(vec![output.clone()]), false).unwrap();
        let found = space.store.record(&key("k")).unwrap().unwrap();
        assert_eq!(found.made.missing(&space.store).unwrap(), []);

        let blob = *output.blobs.iter().find(|blob| blob.bytes == 8).unwrap();
        damage(&space.store.blob_path(&blob), how);
        assert_eq!(found.made.missing(&space.store).unwrap(), [blob], "{how}");
        if how != "deleted" {
            assert!(!space.store.blob_path(&blob).exists(), "{how}: it is in quarantine");
            assert_eq!(fs::read_dir(space.path("cache/quarantine")).unwrap().count(), 1);
        }
        // The same work again heals the record, the blob and the view.
        let again = space.output(&session, &[("x", "contents"), ("y", "other")]);
        let output = stored("out", session.ingest(&again).unwrap());
        session.publish(&key("k"), record(vec![output.clone()]), false).unwrap();
        assert_eq!(found.made.missing(&space.store).unwrap(), []);
        let fresh = Store::open(space.store.root()).unwrap();
        assert_eq!(Session::begin(&fresh).unwrap().path(&output.artifact).unwrap(), view);
        assert_eq!(fs::read_to_string(view.join("x")).unwrap(), "contents");
    }
}

#[test]
fn a_broken_seal_costs_one_look_and_no_work() {
    let space = Space::new();
    let session = space.session();
    let blob = session.put(b"contents").unwrap();
    let path = space.store.blob_path(&blob);
    File::open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(space.store.find(&blob).unwrap(), Found::Good);
    assert_eq!(fs::metadata(&path).unwrap().mtime(), SEALED, "sealed anew");
}

#[test]
fn inspection_finds_what_stat_cannot() {
    let space = Space::new();
    let session = space.session();
    let good = session.put(b"good").unwrap();
    let bad = session.put(b"baad").unwrap();
    let path = space.store.blob_path(&bad);
    damage(&path, "flipped");
    let sealed = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(SEALED as u64);
    File::options().write(true).open(&path).unwrap().set_modified(sealed).unwrap();
    assert_eq!(space.store.find(&bad).unwrap(), Found::Good, "one `stat` cannot tell");
    let inspection = space.store.inspect().unwrap();
    assert_eq!((inspection.good, inspection.damaged), (1, vec![path]));
    assert_eq!(space.store.find(&bad).unwrap(), Found::Missing);
    assert_eq!(space.store.find(&good).unwrap(), Found::Good);
}

#[test]
fn the_first_record_wins_unless_it_is_replaced_or_has_lost_its_blobs() {
    let space = Space::new();
    let session = space.session();
    let made = |text: &str| {
        let blob = session.put(text.as_bytes()).unwrap();
        record(vec![stored("out", (blob.into(), vec![]))])
    };
    let publish = |record: Record, replace| session.publish(&key("k"), record, replace).unwrap();
    let first = made("first");
    assert_eq!(publish(first.clone(), false), first);
    assert_eq!(publish(made("second"), false), first, "the loser adopts");
    assert_eq!(publish(made("forced"), true), made("forced"));
    assert_eq!(space.store.record(&key("k")).unwrap().unwrap(), made("forced"));
    damage(&space.store.blob_path(&made("forced").made.output("out").unwrap().artifact.blob().unwrap()), "deleted");
    assert_eq!(publish(first.clone(), false), first);
}

#[test]
fn a_torn_record_does_not_count_and_is_replaced() {
    let space = Space::new();
    let session = space.session();
    let whole = record(vec![]);
    session.publish(&key("k"), whole.clone(), false).unwrap();
    let path = space.path(&format!("cache/records/{}/{}", &key("k").to_string()[..1], &key("k").to_string()[1..]));
    let text = fs::read(&path).unwrap();
    for length in [0, 1, 40, text.len() / 2, text.len() - 1] {
        fs::remove_file(&path).ok();
        fs::write(&path, &text[..length]).unwrap();
        assert_eq!(space.store.record(&key("k")).unwrap(), None, "{length} of {} bytes", text.len());
        assert_eq!(session.publish(&key("k"), whole.clone(), false).unwrap(), whole);
        assert_eq!(space.store.record(&key("k")).unwrap(), Some(whole.clone()));
    }
}

#[test]
fn an_absence_gives_way_to_outputs() {
    let space = Space::new();
    let session = space.session();
    let absent = Record { made: Made::Absent { cause: "not-found".into() }, ..record(vec![]) };
    session.publish(&key("k"), absent.clone(), false).unwrap();
    assert_eq!(space.store.record(&key("k")).unwrap(), Some(absent));
    session.publish(&key("k"), record(vec![]), false).unwrap();
    assert_eq!(space.store.record(&key("k")).unwrap(), Some(record(vec![])));
    space.store.forget(&key("k")).unwrap();
    assert_eq!(space.store.record(&key("k")).unwrap(), None);
}

#[test]
fn an_absence_takes_the_place_of_outputs_that_are_not_whole_or_to_be_replaced() {
    let space = Space::new();
    let session = space.session();
    let absent = || Record { made: Made::Absent { cause: "not-found".into() }, ..record(vec![]) };
    let blob = session.put(b"content").unwrap();
    let outputs = || record(vec![stored("out", (blob.into(), vec![]))]);
    for key in [key("forced"), key("damaged"), key("whole")] {
        session.publish(&key, outputs(), false).unwrap();
    }
    assert_eq!(session.publish(&key("whole"), absent(), false).unwrap(), outputs());
    session.publish(&key("forced"), absent(), true).unwrap();
    fs::remove_file(space.store.blob_path(&blob)).unwrap();
    session.publish(&key("damaged"), absent(), false).unwrap();
    assert_eq!(space.store.record(&key("whole")).unwrap(), Some(outputs()));
    assert_eq!(space.store.record(&key("forced")).unwrap(), Some(absent()));
    assert_eq!(space.store.record(&key("damaged")).unwrap(), Some(absent()));
}

#[test]
fn many_publish_one_key_and_all_agree() {
    let space = Space::new();
    let publish = |text: String| {
        let session = space.session();
        let blob = session.put(text.as_bytes()).unwrap();
        let record = record(vec![stored("out", (blob.into(), vec![]))]);
        session.publish(&key("k"), record, false).unwrap()
    };
    let winners: Vec<Record> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || publish(format!("{n}")))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(winners.iter().all(|winner| *winner == winners[0]));
    assert_eq!(space.store.record(&key("k")).unwrap().unwrap(), winners[0]);
    assert_eq!(fs::read_dir(space.path("cache/work")).unwrap().count(), 1, "only the sweep lock is left");
}

#[test]
fn what_a_dead_session_left_is_removed_and_a_living_one_keeps_its_folder() {
    let space = Space::new();
    let living = space.session();
    let folder = living.new_folder().unwrap();
    // As a killed process leaves it: its lock is free.
    let dead = space.path("cache/work/session-dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("half"), "half").unwrap();
    File::create(dead.with_extension("lock")).unwrap();
    let orphan = space.path("cache/work/session-orphan");
    fs::create_dir(&orphan).unwrap();
    Session::sweep_leftovers(&space.store).unwrap();
    assert!(!dead.exists() && !dead.with_extension("lock").exists() && !orphan.exists());
    assert!(folder.exists());
    drop(living);
    assert_eq!(fs::read_dir(space.path("cache/work")).unwrap().count(), 1);
}

#[test]
fn retained_folders_are_replaced_and_removed() {
    let space = Space::new();
    let session = space.session();
    for text in ["first", "second"] {
        let folder = session.new_folder().unwrap();
        fs::write(folder.join("x"), text).unwrap();
        let retained = session.retain(&folder, "stage").unwrap();
        assert_eq!(fs::read_to_string(retained.join("x")).unwrap(), text);
    }
    session.remove_retained("stage").unwrap();
    session.remove_retained("stage").unwrap();
    assert_eq!(fs::read_dir(space.path("cache/kept")).unwrap().count(), 0);
}

#[test]
fn only_a_cache_or_an_empty_folder_becomes_one() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let id = Store::open(&root).unwrap().id().to_owned();
    assert_eq!(Store::open(&root).unwrap().id(), id);
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("thesis.tex"), "").unwrap();
    assert!(Store::open(&other).err().unwrap().to_string().contains("thesis.tex"));
    fs::set_permissions(root.join("CACHE"), Permissions::from_mode(0o644)).unwrap();
    fs::write(root.join("CACHE"), "pipe cache 9\nx\n").unwrap();
    assert!(Store::open(&root).err().unwrap().to_string().contains("pipe cache 9"));
}

#[test]
fn one_lock_a_key() {
    let space = Space::new();
    let (ours, theirs) = (Locks::new(space.path("locks")), Locks::new(space.path("locks")));
    let lock = ours.try_lock(&key("a")).unwrap().unwrap();
    assert!(ours.try_lock(&key("a")).unwrap().is_none());
    assert!(theirs.try_lock(&key("a")).unwrap().is_none());
    assert!(theirs.try_lock(&key("b")).unwrap().is_some());
    drop(lock);
    assert!(theirs.try_lock(&key("a")).unwrap().is_some());
    assert!(ours.try_lock(&key("a")).unwrap().is_some());
}

#[test]
fn keys_with_the_same_first_digits_have_different_locks() {
    let space = Space::new();
    let (ours, theirs) = (Locks::new(space.path("locks")), Locks::new(space.path("locks")));
    let numbered = |n: u8| {
        let mut bytes = [0xff; 32];
        bytes[7] = n;
        Digest::from_bytes(bytes)
    };
    let first = ours.try_lock(&numbered(1)).unwrap().unwrap();
    let second = ours.try_lock(&numbered(2)).unwrap().unwrap();
    let third = theirs.try_lock(&numbered(3)).unwrap().unwrap();
    drop(first);
    assert!(theirs.try_lock(&numbered(1)).unwrap().is_some());
    assert!(theirs.try_lock(&numbered(2)).unwrap().is_none());
    assert!(ours.try_lock(&numbered(3)).unwrap().is_none());
    drop((second, third));
    assert_eq!(fs::metadata(space.path("locks")).unwrap().len(), 0);
}

#[test]
fn used_folders_are_given_out_again_only_when_nothing_is_in_them() {
    let space = Space::new();
    let session = space.session();
    let folder = session.new_folder().unwrap();
    fs::create_dir_all(folder.join("out/deep")).unwrap();
    fs::write(folder.join("out/deep/rest"), "rest").unwrap();
    symlink("nowhere", folder.join("out/link")).unwrap();
    fs::write(folder.join("rest"), "rest").unwrap();
    session.give_back(&folder).unwrap();
    assert_eq!(session.new_folder().unwrap(), folder);
    let there: Vec<_> =
        walkdir::WalkDir::new(&folder).min_depth(1).into_iter().map(|entry| entry.unwrap().into_path()).collect();
    assert_eq!(there, [folder.join("out")], "an empty folder may stay");
    fs::set_permissions(folder.join("out"), Permissions::from_mode(0o500)).unwrap();
    session.give_back(&folder).unwrap();
    assert_ne!(session.new_folder().unwrap(), folder, "its permissions were changed");
    assert!(!folder.exists());
}

#[test]
fn sources_notice_what_stat_notices() {
    let space = Space::new();
    let (table, file) = (space.path("sources"), space.path("data.csv"));
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let content = || Sources::open(&table).unwrap().content(&file).unwrap();
    fs::write(&file, "abc").unwrap();
    let first = content();
    assert_eq!(first, Artifact { form: ContentForm::File, digest: Digest::of(b"abc"), bytes: 3 });
    // Same size, same modification time; the change time differs.
    fs::write(&file, "abd").unwrap();
    File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    assert_eq!(content().digest, Digest::of(b"abd"));
    fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(content().form, ContentForm::Executable);
    fs::remove_file(&file).unwrap();
    assert!(is_missing(&Sources::open(&table).unwrap().content(&file).unwrap_err()));
}

#[test]
fn only_settled_files_are_remembered() {
    let space = Space::new();
    let (table, file) = (space.path("sources"), space.path("data.csv"));
    fs::write(&file, "abc").unwrap();
    Sources::open(&table).unwrap().content(&file).unwrap();
    assert!(!table.exists(), "a file changed this moment may change again within the same tick");
    std::thread::sleep(std::time::Duration::from_millis(2100));
    Sources::open(&table).unwrap().content(&file).unwrap();
    assert_eq!(Table::open(&table).unwrap().rows(), 1);
}

#[test]
fn what_was_just_written_can_be_waited_for() {
    let space = Space::new();
    let (table, file) = (space.path("sources"), space.path("model"));
    fs::write(&file, "abc").unwrap();
    Sources::open(&table).unwrap().remember(std::slice::from_ref(&file)).unwrap();
    let has_fine_clock = fs::metadata(&file).unwrap().ctime_nsec() % 1_000_000 != 0;
    assert_eq!(Table::open(&table).unwrap().rows(), usize::from(has_fine_clock));
}

#[test]
fn source_folders_are_listings_and_follow_links() {
    let space = Space::new();
    fs::create_dir_all(space.path("data/inner")).unwrap();
    fs::write(space.path("data/inner/a"), "1").unwrap();
    fs::write(space.path("elsewhere"), "2").unwrap();
    symlink(space.path("elsewhere"), space.path("data/b")).unwrap();
    let mut sources = Sources::open(&space.path("sources")).unwrap();
    let tree = sources.tree(&space.path("data")).unwrap();
    assert_eq!(tree.files().map(|(name, _)| name).collect::<Vec<_>>(), ["b", "inner/a"]);
    // The same folder, made by a stage, has the same digest.
    let session = space.session();
    let out = space.output(&session, &[("inner/a", "1"), ("b", "2")]);
    let (artifact, _) = session.ingest(&out).unwrap();
    assert_eq!(sources.content(&space.path("data")).unwrap(), artifact);
}

#[test]
fn a_torn_table_loses_only_what_was_torn() {
    let space = Space::new();
    let path = space.path("table");
    let mut table = Table::open(&path).unwrap();
    for n in 0..10_u8 {
        table.put(&[n], &[n; 5]).unwrap();
    }
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let mut table = Table::open(&path).unwrap();
        assert_eq!(table.rows(), cut / (whole.len() / 10));
        table.put(b"after", b"value").unwrap();
        assert_eq!(Table::open(&path).unwrap().get(b"after"), Some(&b"value"[..]), "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_a_map(puts in vec((vec(any::<u8>(), 0..4), vec(any::<u8>(), 0..8)), 0..40), reopen in 0..40_usize) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        let mut table = Table::open(&path).unwrap();
        let mut map = BTreeMap::new();
        for (index, (key, value)) in puts.into_iter().enumerate() {
            if index == reopen {
                table = Table::open(&path).unwrap();
            }
            table.put(&key, &value).unwrap();
            map.insert(key, value);
        }
        for table in [table, Table::open(&path).unwrap()] {
            let rows: BTreeMap<Vec<u8>, Vec<u8>> = table.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            prop_assert_eq!(&rows, &map);
            prop_assert_eq!(table.iter().count(), map.len());
            for (key, value) in &map {
                prop_assert_eq!(table.get(key), Some(&value[..]));
            }
        }
        let mut table = Table::open(&path).unwrap();
        table.compact(|key| key.len() != 2).unwrap();
        map.retain(|key, _| key.len() != 2);
        prop_assert_eq!(table.rows(), map.len());
        prop_assert!(map.iter().all(|(key, value)| table.get(key) == Some(&value[..])));
    }

    #[test]
    fn a_damaged_table_never_lies(flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        let mut table = Table::open(&path).unwrap();
        for n in 0..20_u32 {
            table.put(&n.to_le_bytes(), &(n * n).to_le_bytes()).unwrap();
        }
        let mut bytes = fs::read(&path).unwrap();
        for (place, flip) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
        }
        fs::write(&path, bytes).unwrap();
        let table = Table::open(&path).unwrap();
        for n in 0..20_u32 {
            let value = table.get(&n.to_le_bytes());
            prop_assert!(value.is_none() || value == Some(&(n * n).to_le_bytes()[..]));
        }
        prop_assert!(table.rows() >= 16, "three flips cost at most a few rows, not {}", 20 - table.rows());
    }

    #[test]
    fn listings_read_back_as_written(files in btree_map("[a-z \n./é]{1,12}", (any::<u64>(), any::<bool>()), 0..8)) {
        let mut tree = Tree::default();
        for (name, (bytes, executable)) in files {
            let digest = Digest::of(name.as_bytes());
            let entry = if bytes % 5 == 0 { Entry::EmptyFolder } else { Entry::File(Blob { digest, bytes, executable }) };
            tree.insert(name, entry);
        }
        let encoded = tree.encode();
        prop_assert_eq!(Tree::decode(&encoded), Some(tree));
        for cut in 0..encoded.len() {
            if let Some(part) = Tree::decode(&encoded[..cut]) {
                prop_assert_eq!(part.encode(), &encoded[..cut], "a part is a listing only if it is one by itself");
            }
        }
    }

    #[test]
    fn an_index_remembers_what_was_made(ports in vec(("[a-z]{1,8}", any::<u64>(), vec(any::<u64>(), 0..3)), 0..4), cause in "[a-z-]{1,9}") {
        let outputs = ports.into_iter().map(|(port, bytes, blobs)| Stored {
            artifact: Artifact { form: if blobs.is_empty() { ContentForm::File } else { ContentForm::Folder }, digest: Digest::of(port.as_bytes()), bytes },
            blobs: blobs.into_iter().map(|bytes| Blob { digest: Digest::of(&bytes.to_le_bytes()), bytes, executable: bytes % 2 == 0 }).collect(),
            port,
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let (made, absent) = (Made::Outputs(outputs.collect()), Made::Absent { cause });
        let mut index = Index::open(&path).unwrap();
        index.put(&key("a"), &made).unwrap();
        index.put(&key("b"), &absent).unwrap();
        let index = Index::open(&path).unwrap();
        prop_assert_eq!(index.get(&key("a")), Some(made));
        prop_assert_eq!(index.get(&key("b")), Some(absent));
        prop_assert_eq!(index.get(&key("c")), None);
    }
}

#[test]
fn an_index_forgets_only_when_it_is_large() {
    let space = Space::new();
    let path = space.path("index");
    let mut index = Index::open(&path).unwrap();
    for n in 0..9000 {
        index.put(&key(&n.to_string()), &Made::Absent { cause: "x".into() }).unwrap();
    }
    let used = || BTreeSet::from([key("7")]);
    Index::open(&path).unwrap().tidy(used).unwrap();
    let index = Index::open(&path).unwrap();
    assert!(index.get(&key("7")).is_some() && index.get(&key("8")).is_none());
    File::options().append(true).open(&path).unwrap().write_all(b"rubbish").unwrap();
    assert!(Index::open(&path).unwrap().get(&key("7")).is_some());
}

#[test]
fn an_empty_file_is_taken_back_and_given_out_again() {
    let space = Space::new();
    let session = space.session();
    let [first, second] = ["state/logs/a", "state/logs/b"].map(|name| space.path(name));
    session.new_file(&first).unwrap();
    let inode = fs::metadata(&first).unwrap().ino();
    assert!(session.take_back(&first) && !first.exists());
    fs::write(&second, "old").unwrap();
    session.new_file(&second).unwrap();
    let found = fs::metadata(&second).unwrap();
    assert_eq!((found.ino(), found.len()), (inode, 0));
    fs::write(&second, "new").unwrap();
    assert!(!session.take_back(&second));
    assert_eq!(fs::read_to_string(&second).unwrap(), "new");
    session.new_file(&second).unwrap();
    assert_eq!(fs::read_to_string(&second).unwrap(), "", "without one to give out");
}

#[test]
fn permissions_of_a_blob_are_put_right() {
    let space = Space::new();
    let session = space.session();
    let blob = session.put(b"precious").unwrap();
    let path = space.store.blob_path(&blob);
    for mode in [0o000, 0o644, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(space.store.find(&blob).unwrap(), Found::Good);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o444, "after {mode:o}");
    }
}

#[test]
fn a_new_layout_has_a_new_place() {
    let space = Space::new();
    let text = fs::read_to_string(space.path("cache/CACHE")).unwrap();
    let number = text.lines().next().unwrap().rsplit(' ').next().unwrap();
    assert_eq!(DEFAULT_NAME, format!("store-{number}"));
}

/// Flips a bit of a file without a change of its time, as a disk does.
fn rot(path: &Path) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    damage(path, "flipped");
    File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn bytes_are_verified_where_they_are_read_once_unless_they_were_just_written() {
    let space = Space::new();
    let blob = {
        let session = space.session();
        session.put(b"contents").unwrap()
    };
    let fresh = || Store::open(space.store.root()).unwrap();
    let path = space.store.blob_path(&blob);
    let (store, late) = (fresh(), fresh());
    assert_eq!(store.verify(&blob).unwrap(), Found::Good);
    rot(&path);
    assert_eq!(store.verify(&blob).unwrap(), Found::Good, "it is not read twice");
    assert!(late.path(&blob.into()).is_err());
    assert!(!path.exists(), "in quarantine");
    assert!(late.copy_out(&blob, &space.path("copy")).is_err());
    assert!(!space.path("copy").exists());
}

#[test]
fn the_same_work_again_replaces_what_is_damaged() {
    let space = Space::new();
    let files = [("x", "contents"), ("y", "other"), ("deep/z", "contents")];
    let (artifact, _) = {
        let session = space.session();
        let found = session.ingest(&space.output(&session, &files)).unwrap();
        session.path(&found.0).unwrap();
        found
    };
    let store = Store::open(space.store.root()).unwrap();
    let session = Session::begin(&store).unwrap();
    let view = store.path(&artifact).unwrap();
    let store = Store::open(space.store.root()).unwrap();
    let session = (Session::begin(&store).unwrap(), session).0;
    rot(&view.join("x"));
    assert_eq!(session.ingest(&space.output(&session, &files)).unwrap().0, artifact);
    assert!(store.path(&artifact).is_err(), "the view still links to the damaged file");
    assert_eq!(fs::read_to_string(session.path(&artifact).unwrap().join("deep/z")).unwrap(), "contents");
}

#[test]
fn missing_parts_of_a_cache_are_made_anew() {
    let space = Space::new();
    let session = space.session();
    let blob = session.put(b"contents").unwrap();
    drop(session);
    for part in ["blobs", "views", "records", "absences", "work", "kept", "CACHE"] {
        let path = space.path("cache").join(part);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        let store = Store::open(space.store.root()).unwrap_or_else(|error| panic!("without `{part}`: {error}"));
        assert!(path.exists(), "{part}");
        let session = Session::begin(&store).unwrap();
        assert_eq!(session.put(b"contents").unwrap(), blob);
        session.publish(&key(part), record(vec![]), false).unwrap();
    }
    fs::set_permissions(space.path("cache/CACHE"), Permissions::from_mode(0o644)).unwrap();
    for damaged in ["", "pipe cachf 2\n", "pipe cache 3\n0123456789abcdef\n0000000000000000\n"] {
        fs::write(space.path("cache/CACHE"), damaged).unwrap();
        let store = Store::open(space.store.root()).unwrap_or_else(|error| panic!("`{damaged}`: {error}"));
        assert_eq!(store.find(&blob).unwrap(), Found::Good);
        fs::set_permissions(space.path("cache/CACHE"), Permissions::from_mode(0o644)).unwrap();
    }
}

#[test]
fn permissions_that_a_stage_took_away_do_not_matter() {
    let space = Space::new();
    let session = space.session();
    let out = space.output(&session, &[("deep/a", "1"), ("deep/b", "2")]);
    fs::create_dir(out.join("empty")).unwrap();
    for (path, mode) in [("deep/a", 0o000), ("deep/b", 0o222), ("deep", 0o500), ("empty", 0o000), ("", 0o555)] {
        fs::set_permissions(out.join(path), Permissions::from_mode(mode)).unwrap();
    }
    let (artifact, _) = session.ingest(&out).unwrap();
    let again = space.output(&session, &[("deep/a", "1"), ("deep/b", "2")]);
    fs::create_dir(again.join("empty")).unwrap();
    assert_eq!(session.ingest(&again).unwrap().0, artifact);
    assert!(!out.exists());
}

#[test]
fn many_blobs_are_looked_at_together() {
    let space = Space::new();
    let session = space.session();
    let blobs: Vec<Blob> = (0..2000).map(|number: u32| session.put(&number.to_le_bytes()).unwrap()).collect();
    assert!(space.store.has_all(&blobs));
    assert!(space.store.has_all(&[]));
    for injured in [0, 999, 1999] {
        let path = space.store.blob_path(&blobs[injured]);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!space.store.has_all(&blobs), "without the blob {injured}");
        assert_eq!(session.put(&bytes).unwrap(), blobs[injured]);
        assert!(space.store.has_all(&blobs));
    }
}
