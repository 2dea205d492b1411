//! What the store costs for each output of a stage: taking in a small file, a folder of them, and finding a blob again.
//!
//! `./just bench-parts` runs it.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use fs_err as fs;
use pipe_cache::{Blob, Session, Store};

fn main() {
    divan::main();
}

const FILES: usize = 100;

/// An empty store with a session.
fn store() -> (tempfile::TempDir, Store, Session) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("store")).expect("a store");
    let session = Session::begin(&store).expect("a session");
    (folder, store, session)
}

/// Bytes that no other call gives.
fn fresh_text() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{:0>1000}\n", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Files of 1 kB, each new to the store.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn store_small_files(bencher: Bencher) {
    let (_folder, _store, session) = store();
    let outputs = || {
        let folder = session.new_folder().expect("a folder");
        for number in 0..FILES {
            fs::write(folder.join(number.to_string()), fresh_text()).expect("written");
        }
        folder
    };
    bencher.counter(ItemsCount::new(FILES)).with_inputs(outputs).bench_local_values(|folder| {
        for number in 0..FILES {
            session.ingest(&folder.join(number.to_string())).expect("stored");
        }
    });
}

/// The same files as one folder.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn store_a_folder(bencher: Bencher) {
    let (_folder, _store, session) = store();
    let outputs = || {
        let folder = session.new_folder().expect("a folder").join("out");
        fs::create_dir(&folder).expect("a folder");
        for number in 0..FILES {
            fs::write(folder.join(number.to_string()), fresh_text()).expect("written");
        }
        folder
    };
    bencher
        .counter(ItemsCount::new(FILES))
        .with_inputs(outputs)
        .bench_local_values(|folder| session.ingest(&folder).expect("stored"));
}

/// One large file, which is mostly its hash.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn store_16_megabytes(bencher: Bencher) {
    const LENGTH: usize = 16 << 20;
    let (_folder, _store, session) = store();
    let output = || {
        let path = session.new_folder().expect("a folder").join("out");
        let mut content = fresh_text().into_bytes();
        content.resize(LENGTH, 7);
        fs::write(&path, content).expect("written");
        path
    };
    bencher
        .counter(BytesCount::new(LENGTH))
        .with_inputs(output)
        .bench_local_values(|path| session.ingest(&path).expect("stored"));
}

/// Blobs that are there and whole.
#[divan::bench]
fn find_blobs(bencher: Bencher) {
    let (_folder, store, session) = store();
    let blobs: Vec<Blob> = (0..FILES).map(|_| session.put(fresh_text().as_bytes()).expect("stored")).collect();
    bencher.counter(ItemsCount::new(FILES)).bench_local(|| {
        for blob in &blobs {
            divan::black_box(store.find(blob).expect("looked for"));
        }
    });
}

/// The bytes of a file that was stored by an earlier run.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn verify_256_megabytes(bencher: Bencher) {
    const LENGTH: usize = 256 << 20;
    let (_folder, store, session) = store();
    let blob = session.put(&vec![7; LENGTH]).expect("stored");
    bencher
        .counter(BytesCount::new(LENGTH))
        .with_inputs(|| Store::open(store.root()).expect("the same store"))
        .bench_local_values(|store| store.verify(&blob).expect("read"));
}
