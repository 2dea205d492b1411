//! Arrows between crates and between the modules of a crate go one way; this fails with the offending import.
//!
//! What uses what is read from the code. Which crate may use which is the table here; the layers of a crate's modules are
//! stated once, in the documentation of its root file, and read from there.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;

use crate::support::module_graph::{ModuleGraph, rust_sources};
use crate::support::workspace;

/// Crate folder, and the crates of ours that its sources may name.
const CRATES: [(&str, &[&str]); 6] = [
    ("engine/contract/src", &[]),
    ("cache/src", &[]),
    ("engine/src", &["pipe_contract", "pipe_cache"]),
    ("stages/src", &["pipe_contract"]),
    ("stages/torch/src", &["pipe_contract", "pipe_stages"]),
    ("cli", &["pipe_contract", "pipe_engine", "pipe_stages"]),
];

/// A crate's binary and tests name their own library.
const OWN: [(&str, &str); 3] =
    [("pipe_engine", "engine/src"), ("pipe_stages", "stages/src"), ("pipe_torch", "stages/torch/src")];

/// Folders of the stages that hold no kinds and that only tests use.
const TESTS_OF_STAGES: [&str; 1] = ["test_support"];

#[test]
fn crates_import_downwards() {
    for (folder, allowed) in CRATES {
        for (file, text) in rust_sources(&workspace().join(folder)) {
            for name in ["pipe_contract", "pipe_cache", "pipe_engine", "pipe_stages", "pipe_torch"] {
                let own = OWN.contains(&(name, folder));
                let used = code(&text).any(|line| line.contains(&format!("{name}::")));
                assert!(own || !used || allowed.contains(&name), "`{}` may not use `{name}`", file.display());
            }
        }
    }
}

#[test]
fn no_files_of_a_crate_use_each_other() {
    let mut cycles = Vec::new();
    for (folder, _) in CRATES {
        for cycle in ModuleGraph::read(&workspace().join(folder)).cycles() {
            let files: Vec<&str> = cycle.iter().map(String::as_str).collect();
            cycles.push(format!("in `{folder}`: {}", files.join(", ")));
        }
    }
    assert!(cycles.is_empty(), "files that use each other:\n{}", cycles.join("\n"));
}

#[test]
fn modules_use_only_those_below_them() {
    let mut wrong = Vec::new();
    let mut found = 0;
    for (folder, _) in CRATES {
        let root = workspace().join(folder);
        let Some(layers) = layers_of(&root) else { continue };
        found += 1;
        let graph = ModuleGraph::read(&root);
        let layer = |module: &Vec<String>| layers.iter().position(|name| Some(name) == module.first());
        for (module, used) in graph.uses() {
            for to in used {
                if let (Some(from), Some(above)) = (layer(&module), layer(&to))
                    && above > from
                {
                    wrong.push(format!("in `{folder}`: {} uses {}", graph.name(&module), graph.name(&to)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not in a lower layer:\n{}", wrong.join("\n"));
    assert!(found >= 2, "the layers of the engine and of the stages are read from `lib.rs`");
}

#[test]
fn every_module_of_the_engine_is_one_of_its_layers() {
    let root = workspace().join("engine/src");
    let layers: BTreeSet<String> = layers_of(&root).expect("it has one").into_iter().collect();
    let modules: BTreeSet<String> =
        ModuleGraph::read(&root).uses().into_keys().filter_map(|module| module.first().cloned()).collect();
    assert_eq!(layers, modules);
}

#[test]
fn folders_of_kinds_do_not_import_each_other() {
    let root = workspace().join("stages/src");
    let leaves = layers_of(&root).expect("the leaves of the stages are layers");
    let folders = kind_folders(&root, &leaves);
    assert!(folders.contains("labels"), "{folders:?}");
    let graph = ModuleGraph::read(&root);
    for (module, used) in graph.uses() {
        let Some(from) = module.first() else { continue };
        for to in used.iter().filter_map(|to| to.first()) {
            let may = from == to || !folders.contains(to);
            assert!(may, "`{}` may not use `{to}`", graph.name(&module));
        }
    }
}

/// The folders of the stages that are named for the prefix of their kinds.
fn kind_folders(root: &Path, leaves: &[String]) -> BTreeSet<String> {
    let entries = fs::read_dir(root).unwrap_or_else(|error| panic!("`{}`: {error}", root.display()));
    let folders = entries.map(|entry| entry.expect("a folder entry").path()).filter(|path| path.is_dir());
    let names = folders.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    names.filter(|name| !leaves.contains(name) && !TESTS_OF_STAGES.contains(&name.as_str())).collect()
}

/// The layers in the documentation of a crate's root file: a line `//! a → b → c`.
fn layers_of(root: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(root.join("lib.rs")).or_else(|_| fs::read_to_string(root.join("main.rs"))).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("//! ").filter(|line| line.contains(" → ")))?;
    Some(line.split(" → ").map(|name| name.trim().to_owned()).collect())
}

/// Lines that are not comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn imports_are_found_however_they_are_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    write("lib.rs", "mod a; mod b; mod c; #[cfg(test)] mod t; pub use a::A; use crate::c::{self, inner::*};");
    write("a.rs", "use crate::{b::B as _, c}; pub struct A; fn f() { crate::c::inner::x(); super::b::y() }");
    write(
        "b.rs",
        "// use crate::c::no;\n#[cfg(test)] mod tests { use crate::c::C; } pub struct B; pub(super) fn y() {}",
    );
    write("c/mod.rs", "mod inner; pub use inner::x; pub struct C; fn g() { \"crate::b::B\"; }");
    write("c/inner.rs", "use super::super::A; pub fn x() {}");
    write("t.rs", "use crate::a::A;");
    let graph = ModuleGraph::read(folder.path());
    let used = |module: &[&str]| -> Vec<String> {
        let module: Vec<String> = module.iter().map(|name| (*name).to_owned()).collect();
        graph.uses()[&module].iter().map(|to| graph.name(to)).collect()
    };
    assert_eq!(used(&[]), ["c/mod.rs", "c/inner.rs"]);
    assert_eq!(used(&["a"]), ["b.rs", "c/mod.rs", "c/inner.rs"]);
    assert_eq!(used(&["b"]), Vec::<String>::new());
    assert_eq!(used(&["c"]), Vec::<String>::new());
    assert_eq!(used(&["c", "inner"]), ["a.rs"]);
    assert_eq!(graph.cycles(), [BTreeSet::from(["a.rs".to_owned(), "c/inner.rs".to_owned()])]);
}
