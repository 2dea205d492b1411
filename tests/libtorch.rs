//! Stories of a worker that holds no path of libtorch, as in a wheel: the user's libtorch is found, or asked for.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;

use crate::support::{Shown, Space};

const ONE_NETWORK: &str = r#"pipe: 1
pipeline: one
stages:
  model: { run: 'echo model > "$OUT_FILE"', out: { file: model.txt } }
  images: { run: 'echo images > "$OUT_FILE"', out: { file: images.txt } }
  subject: { run: 'echo subject > "$OUT_FOLDER"/s', out: { folder: subject/ } }
  predict: { uses: unet/predict, in: { model: $model.file, images: $images.file, subject: $subject.folder } }
"#;

/// A worker that ends as one does whose libraries the loader does not find, and says where it was to look.
const UNLOADED: &str = r#"#!/bin/sh
echo "pipe-torch: error while loading shared libraries: libtorch_cpu.so: not in '$LD_LIBRARY_PATH'" >&2
exit 127
"#;

fn run(space: &Space, variables: &[(&str, &Path)]) -> Shown {
    let worker = space.root().join("pipe-torch");
    fs::write(&worker, UNLOADED).expect("a worker");
    fs::set_permissions(&worker, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    Shown::of(space.command(["run", "pipeline.yaml"]).env("PIPE_WORKER", worker).envs(variables.iter().copied()))
}

/// A Python environment with a torch of this version; its folder of libraries.
fn environment(space: &Space, name: &str, version: &str) -> std::path::PathBuf {
    let package = space.root().join(name).join("lib/python3.12/site-packages/torch");
    let library = package.join("lib/libtorch_cpu.so");
    fs::create_dir_all(package.join("lib")).expect("a folder");
    fs::write(library, "").expect("a library");
    fs::write(package.join("version.py"), format!("__version__ = '{version}'\n")).expect("a version");
    package.join("lib")
}

#[test]
fn without_libtorch_one_sentence_says_what_to_install() {
    let space = Space::with(ONE_NETWORK);
    let shown = run(&space, &[]).exits(3).shows("failed 1");
    let shown = shown.shows("the worker `pipe-torch` could not be loaded: libtorch_cpu.so: not in ''");
    shown.shows("hint: install libtorch beside `pipe` with `pip install torch==2.11.0`");
}

#[test]
fn libtorch_is_found_in_the_active_environment_or_by_its_variable() {
    let space = Space::with(ONE_NETWORK);
    let old = environment(&space, "old", "2.9.1+cu130");
    let active = environment(&space, "active", "2.11.0+cu130");
    let named = environment(&space, "named", "2.11.0+cpu");
    let root = |name: &str| space.root().join(name);
    let shows = |variables: &[(&str, &Path)], folder: &Path| {
        run(&space, variables).exits(3).shows(&format!("not in '{}'", folder.display()));
    };
    shows(&[("VIRTUAL_ENV", &root("active"))], &active);
    shows(&[("VIRTUAL_ENV", &root("old")), ("CONDA_PREFIX", &root("active"))], &active);
    shows(&[("VIRTUAL_ENV", &root("active")), ("PIPE_LIBTORCH", &named)], &named);
    let only_old = run(&space, &[("VIRTUAL_ENV", &root("old"))]).exits(3);
    only_old.shows(&format!("`{}` has libtorch 2.9.1+cu130, expected 2.11.0", old.display()));
    let wrong = run(&space, &[("VIRTUAL_ENV", &root("active")), ("PIPE_LIBTORCH", &old)]).exits(3);
    wrong.shows("hint: correct PIPE_LIBTORCH").shows("not in ''");
}
