//! Gives the crate `BUILD_ID`: a digest of the sources that `pipe` and its worker must share.
//!
//! Two binaries built from different sources would disagree on what a kind does and put it under the same key; with this digest the
//! engine notices at the first message. Names and contents only, so it is the same in every folder and at every time.

use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest, Sha256};

/// Relative to this crate.
const SOURCES: [&str; 4] = ["src", "torch/src", "torch/shim.cpp", "../engine/contract/src"];

fn main() {
    let mut digest = Sha256::new();
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
        add(Path::new(source), &mut digest);
    }
    let hex: String = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    println!("cargo:rustc-env=PIPE_BUILD_ID={hex}");
}

fn add(path: &Path, digest: &mut Sha256) {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{error}"));
        let mut entries: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        entries.sort();
        entries.iter().for_each(|entry| add(entry, digest));
        return;
    }
    let name = path.to_string_lossy();
    let content = fs::read(path).unwrap_or_else(|error| panic!("{error}"));
    for part in [name.as_bytes(), &content] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
}
