//! Names say their idea where they stand: no two source files of the workspace have one name, and no two types that more than
//! their own file can see. What a search finds is then one thing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::module_graph::rust_sources;
use crate::support::workspace;

/// Sources of the crates, as other code uses them.
const SOURCES: [&str; 6] = ["cli", "engine/contract/src", "engine/src", "cache/src", "stages/src", "stages/torch/src"];

/// Files that every crate or folder has.
const USUAL: [&str; 4] = ["lib.rs", "main.rs", "mod.rs", "tests.rs"];

/// Files that still share their names.
const FILES_LEFT: &[&str] = &[];

/// Types that still share their names.
const TYPES_LEFT: &[&str] = &[];

/// Paths of all sources, relative to the workspace, with their texts.
fn sources() -> impl Iterator<Item = (String, String)> {
    let shown = |path: &Path| path.strip_prefix(workspace()).expect("inside the workspace").display().to_string();
    let files = SOURCES.into_iter().flat_map(|folder| rust_sources(&workspace().join(folder)));
    files.map(move |(path, text)| (shown(&path), text))
}

/// Fails on a name that several places have, except for those that are left; those must be needed.
fn assert_distinct(named: &BTreeMap<String, BTreeSet<String>>, left: &[&str], what: &str) {
    let shared: Vec<String> = named
        .iter()
        .filter(|(name, places)| places.len() > 1 && !left.contains(&name.as_str()))
        .map(|(name, places)| format!("{name}: {}", places.iter().cloned().collect::<Vec<_>>().join(", ")))
        .collect();
    assert!(
        shared.is_empty(),
        "{what} with one name; say in each name what it is where it stands:\n{}",
        shared.join("\n")
    );
    for name in left {
        let is_shared = named.get(*name).is_some_and(|places| places.len() > 1);
        assert!(is_shared, "`{name}` is unique: remove it from the list of those that are left");
    }
}

#[test]
fn no_two_source_files_have_one_name() {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, _) in sources() {
        let name = Path::new(&path).file_name().expect("a file").to_string_lossy().into_owned();
        if !USUAL.contains(&name.as_str()) {
            named.entry(name).or_default().insert(path);
        }
    }
    assert!(named.len() > 200, "only {} files were found", named.len());
    assert_distinct(&named, FILES_LEFT, "source files");
}

/// The types that a source declares for other files.
fn visible_types(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (visibility, rest) = line.trim_start().strip_prefix("pub")?.split_once(' ')?;
        let visible = visibility.is_empty() || (visibility.starts_with('(') && visibility.ends_with(')'));
        let name =
            ["struct ", "enum ", "trait ", "type ", "union "].into_iter().find_map(|word| rest.strip_prefix(word))?;
        let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
        visible.then_some(&name[..end])
    })
}

#[test]
fn no_two_types_have_one_name() {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources().filter(|(path, _)| !path.contains("test")) {
        for name in visible_types(&text) {
            named.entry(name.to_owned()).or_default().insert(path.clone());
        }
    }
    assert!(named.len() > 300, "only {} types were found", named.len());
    assert_distinct(&named, TYPES_LEFT, "types");
}

#[test]
fn declarations_of_types_are_found() {
    let text = "pub struct A;\n  pub(super) enum B<'a> {\nstruct C;\npub fn d() {}\n/// pub struct E\npub(crate) type F = G;\n";
    assert_eq!(visible_types(text).collect::<Vec<_>>(), ["A", "B", "F"]);
}
