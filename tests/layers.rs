//! Arrows between crates and between the engine's modules go one way; this fails with the offending import.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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

/// The engine's ladder: each module may use only those before it.
const LADDER: [&str; 12] =
    ["diag", "ids", "event", "spec", "plan", "graph", "schema", "key", "sched", "exec", "report", "run"];

/// The cache's ladder.
const CACHE: [&str; 19] = [
    "digest", "error", "removal", "tree", "seal", "shard", "table", "record", "index", "sources", "locks", "flush",
    "sweep", "layout", "store", "blobs", "view", "session", "publish",
];

/// The leaves of the stages, a ladder: each may use only those before it.
const LEAVES: [&str; 4] = ["hemisphere", "numeric", "formats", "transfer"];

/// Folders of the stages that hold no kinds and that only tests use.
const TESTS_OF_STAGES: [&str; 1] = ["test_support"];

#[test]
fn crates_import_downwards() {
    for (folder, allowed) in CRATES {
        for (file, text) in sources(&workspace().join(folder)) {
            for name in ["pipe_contract", "pipe_cache", "pipe_engine", "pipe_stages", "pipe_torch"] {
                let own = OWN.contains(&(name, folder));
                let used = code(&text).any(|line| line.contains(&format!("{name}::")));
                assert!(own || !used || allowed.contains(&name), "`{}` may not use `{name}`", file.display());
            }
        }
    }
}

#[test]
fn engine_modules_form_a_ladder() {
    check_ladder(&workspace().join("engine/src"), &LADDER);
}

#[test]
fn cache_modules_form_a_ladder() {
    check_ladder(&workspace().join("cache/src"), &CACHE);
    let listed: BTreeSet<String> = CACHE.iter().map(ToString::to_string).collect();
    let files = sources(&workspace().join("cache/src")).into_iter();
    let names = files.filter_map(|(path, _)| Some(path.file_stem()?.to_str()?.to_owned()));
    let there: BTreeSet<String> = names.filter(|name| name != "lib" && name != "tests").collect();
    assert_eq!(there, listed);
}

#[test]
fn leaves_of_the_stages_form_a_ladder_below_the_kinds() {
    let root = workspace().join("stages/src");
    check_ladder(&root, &LEAVES);
    for leaf in LEAVES {
        for (file, text) in module(&root, leaf) {
            for kinds in kind_folders(&root) {
                assert!(!modules(&text).contains(&kinds), "leaf `{}` may not use `{kinds}`", file.display());
            }
        }
    }
}

#[test]
fn folders_of_kinds_do_not_import_each_other() {
    let root = workspace().join("stages/src");
    let folders = kind_folders(&root);
    assert!(folders.contains("labels"), "{folders:?}");
    for folder in &folders {
        for (file, text) in sources(&root.join(folder)) {
            for other in folders.iter().filter(|other| *other != folder) {
                assert!(!modules(&text).contains(other), "`{}` may not use `{other}`", file.display());
            }
        }
    }
}

/// The folders of the stages that are named for the prefix of their kinds.
fn kind_folders(root: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(root).unwrap_or_else(|error| panic!("`{}`: {error}", root.display()));
    let folders = entries.map(|entry| entry.expect("a folder entry").path()).filter(|path| path.is_dir());
    let names = folders.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    names.filter(|name| !LEAVES.contains(&name.as_str()) && !TESTS_OF_STAGES.contains(&name.as_str())).collect()
}

fn check_ladder(root: &Path, ladder: &[&str]) {
    for (rung, name) in ladder.iter().enumerate() {
        for (file, text) in module(root, name) {
            for above in &ladder[rung + 1..] {
                assert!(!modules(&text).contains(*above), "`{}` is below `{above}` and may not use it", file.display());
            }
        }
    }
}

/// The files of a module, which is one file or a folder.
fn module(root: &Path, name: &str) -> Vec<(PathBuf, String)> {
    if root.join(name).is_dir() {
        return sources(&root.join(name));
    }
    let file = root.join(format!("{name}.rs"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
    vec![(file, text)]
}

#[test]
fn modules_are_found_however_they_are_imported() {
    let text = "use crate::plan::Plan;\nuse crate::{\n    key::{self, Parts as run}, spec::*,\n    event};\n// crate::sched::no\n";
    let text = format!("{text}fn f() {{ crate::exec::start(); pipe_crate::x::y() }}");
    assert_eq!(modules(&text).into_iter().collect::<Vec<_>>(), ["event", "exec", "key", "plan", "spec"]);
}

/// The modules of its own crate that a source names, by a path from `crate` or in a group of them.
fn modules(text: &str) -> BTreeSet<String> {
    let code: String = code(text).flat_map(|line| [line, "\n"]).collect();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let path = &code[at + "crate::".len()..];
        let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let Some(group) = path.strip_prefix('{') else {
            found.insert(name(path));
            continue;
        };
        let mut depth = 1;
        let mut begins = true;
        for (place, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' => begins = depth == 1,
                _ if begins && !c.is_whitespace() => {
                    found.insert(name(&group[place..]));
                    begins = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// Lines that are not comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// All Rust files below a folder, with their text; nested crates are left out.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("`{}`: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
            found.push((path, text));
        }
    }
    found.sort();
    found
}
