//! Recognizes published files whose list was lost, by the sidecars beside them.
//!
//! A sidecar has the digests of the files it describes, so a file that still has its digest is pipe's own, and one that has
//! another was edited. What no sidecar describes was not written by pipe, as far as can be known.

use std::path::Path;

use fs_err as fs;
use pipe_cache::Digest;

use super::published_list::{PublishedList, PublishingRun, Version};
use super::result_line::sidecar_path;
use super::sidecar::Sidecar;

/// The list, with what the sidecars of these results (paths of `results:`) say about files that it does not have.
pub fn taken_over<'r>(list: &PublishedList, folder: &Path, results: impl Iterator<Item = &'r str>) -> PublishedList {
    let mut all = list.clone();
    for result in results {
        let path = sidecar_path(result);
        if list.files.contains_key(&path) {
            continue;
        }
        let Ok(text) = fs::read_to_string(folder.join(&path)) else { continue };
        let Some(sidecar) = Sidecar::parse(&text).filter(|sidecar| sidecar.result == result) else { continue };
        let by = &sidecar.published_by;
        all.runs
            .entry(by.run.clone())
            .or_insert_with(|| PublishingRun { began: by.began.clone(), parameters: by.parameters.clone() });
        let files = sidecar.published_files().into_iter().chain([(path, Digest::of(text.as_bytes()))]);
        for (path, digest) in files.filter(|(path, _)| !list.files.contains_key(path)) {
            let version = Version { digest, run: Some(by.run.clone()), key: sidecar.made_by.key };
            all.files.insert(path, vec![version]);
        }
    }
    all
}
