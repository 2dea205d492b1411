//! What is published against the lockfile, before anything is run.
//!
//! A fresh checkout has a lockfile and no results, which does not count; results that were published here and are gone do.
//! Which of the two it is, is decided by what is known: the list of published files and their sidecars, which lie
//! beside the results, a file in the place of any result, and the manifests of this project's runs in the state directory. If
//! all of these were deleted, or results were only published by runs that were killed, nothing of it is known.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::Failure;

use super::comparison::digest_of;
use super::earlier_results::known_files;
use super::options::Places;
use super::state_dirs::StateDirs;
use crate::plan::Plan;
use crate::report::{LIST, Lockfile, ManifestHead, PathState, PublishedList, owner, results_folder};

/// How what is published compares with the lockfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedCheck {
    /// Where results are published.
    pub folder: PathBuf,
    /// Whether any was published here, as far as is known; if not, nothing is altered.
    pub was_published: bool,
    /// How many results the lockfile has.
    pub locked: usize,
    /// Results that are not as the lockfile has them, by path.
    pub altered: Vec<(String, Alteration)>,
}

/// How a published result is not as the lockfile has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// Its bytes were changed since it was published.
    Edited,
    /// It is as it was published, by a run (if that is known) that did not write this lockfile.
    OtherVersion {
        /// The run.
        run: Option<String>,
    },
    /// Other bytes, and nothing says that pipe wrote them.
    Foreign,
    /// It is not there.
    Missing,
}

impl PublishedCheck {
    /// Compares.
    pub(super) fn of(plan: &Plan, lockfile: &Lockfile, places: &Places) -> Result<Self, Failure> {
        let folder = results_folder(plan);
        let list = known_files(plan, &folder)?;
        let mut altered = Vec::new();
        for path in lockfile.results.keys() {
            altered.extend(alteration(&folder, path, lockfile, &list)?.map(|how| (path.clone(), how)));
        }
        let has_list = folder.join(LIST).exists();
        let mut check = Self { folder, was_published: true, locked: lockfile.results.len(), altered };
        if check.is_all_missing() && !has_list && !was_published_before(plan, places)? {
            check.was_published = false;
            check.altered.clear();
        }
        Ok(check)
    }

    /// Whether none of the results is there, although some were published.
    pub fn is_all_missing(&self) -> bool {
        self.locked > 0
            && self.altered.len() == self.locked
            && self.altered.iter().all(|(_, how)| *how == Alteration::Missing)
    }
}

fn alteration(
    folder: &Path,
    path: &str,
    lockfile: &Lockfile,
    list: &PublishedList,
) -> Result<Option<Alteration>, Failure> {
    let target = folder.join(path);
    if fs::metadata(&target).is_ok_and(|found| found.is_dir()) {
        return Ok(Some(Alteration::Foreign));
    }
    let digest = match digest_of(&target) {
        Ok(digest) => digest,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Some(Alteration::Missing));
        }
        Err(error) => return Err(Failure::io("read", &target, &error)),
    };
    if lockfile.results.get(path).is_some_and(|locked| locked.digest == digest) {
        return Ok(None);
    }
    Ok(Some(match owner(list, path, Some(&digest)) {
        PathState::Foreign => Alteration::Foreign,
        PathState::Edited => Alteration::Edited,
        PathState::Same | PathState::Outdated => {
            Alteration::OtherVersion { run: list.version(path, &digest).and_then(|version| version.run.clone()) }
        }
    }))
}

/// Whether a run of this pipeline and profile, from this project and on this machine, published results.
fn was_published_before(plan: &Plan, places: &Places) -> Result<bool, Failure> {
    let folders = StateDirs::open(plan, places)?.run_folders()?;
    Ok(folders.iter().rev().filter_map(|folder| ManifestHead::read(folder)).any(|head| head.left_results()))
}
