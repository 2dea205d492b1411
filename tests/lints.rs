//! The bans of `clippy.toml` hold in every crate. A crate with a file of its own has all bans but those it is excused from.

use std::collections::BTreeSet;

use fs_err as fs;

use crate::support::workspace;

/// The reason of the bans that `cache/` is excused from: its errors get the path elsewhere.
const RAW_FILES: &str = "its errors lose the path";

/// The paths that a file bans, without those for a reason.
fn bans(file: &str, without: Option<&str>) -> BTreeSet<String> {
    let text = fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{error}"));
    let lines = text.lines().filter(|line| without.is_none_or(|reason| !line.contains(reason)));
    let paths = lines.filter_map(|line| line.split_once("path = \"")?.1.split_once('"'));
    paths.map(|(path, _)| path.to_owned()).collect()
}

#[test]
fn the_cache_is_excused_from_the_bans_of_raw_files_only() {
    let all = bans("clippy.toml", None);
    let raw = &all - &bans("clippy.toml", Some(RAW_FILES));
    assert!(raw.contains("std::fs::read") && raw.iter().all(|path| path.contains("fs::") || path.contains("Path::")));
    assert_eq!(bans("cache/clippy.toml", None), bans("clippy.toml", Some(RAW_FILES)));
}
