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

/// Topics of the stages, which share data only as artifacts.
const TOPICS: [&str; 5] = ["acquire", "surface", "learn", "score", "figures"];

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
    let root = workspace().join("engine/src");
    for (rung, module) in LADDER.iter().enumerate() {
        let files = if root.join(module).is_dir() {
            sources(&root.join(module))
        } else {
            let file = root.join(format!("{module}.rs"));
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
            vec![(file, text)]
        };
        for (file, text) in files {
            for above in &LADDER[rung + 1..] {
                assert!(!modules(&text).contains(*above), "`{}` is below `{above}` and may not use it", file.display());
            }
        }
    }
}

#[test]
fn topics_do_not_import_each_other() {
    let root = workspace().join("stages/src");
    for topic in TOPICS {
        for (file, text) in sources(&root.join(topic)) {
            for other in TOPICS.iter().filter(|other| **other != topic) {
                assert!(!modules(&text).contains(*other), "`{}` may not use topic `{other}`", file.display());
            }
        }
    }
    for leaf in ["formats", "numeric"] {
        for (file, text) in sources(&root.join(leaf)) {
            for topic in TOPICS {
                assert!(!modules(&text).contains(topic), "leaf `{}` may not use topic `{topic}`", file.display());
            }
        }
    }
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
