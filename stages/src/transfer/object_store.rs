//! One interface to a folder and to a bucket, and the loop that fetches many objects at once.
//!
//! Decides which objects are still to be fetched; independent of stages and file formats.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use pipe_contract::{Context, Failure};

use super::{local_file, url};

/// Objects under keys such as `100610/T1w/100610/surf/lh.white`.
pub trait ObjectStore: Sync {
    /// Fetches an object to `to`, completely or not at all. `on_bytes` is called with the bytes so far, and in all if known.
    ///
    /// # Errors
    /// Anything but a missing object, which is [`Fetched::Missing`].
    fn fetch(
        &self,
        key: &str,
        to: &Path,
        on_bytes: &(dyn Fn(u64, Option<u64>) + Sync),
        context: &dyn Context,
    ) -> Result<Fetched, Failure>;

    /// What messages call an object.
    fn name(&self, key: &str) -> String;

    /// How many objects to fetch at once.
    fn concurrency(&self) -> usize;
}

/// How fetching an object ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The object is complete.
    Complete,
    /// The store has no such object.
    Missing,
}

/// A folder of this machine as a store.
pub struct Folder<'a>(pub &'a Path);

impl ObjectStore for Folder<'_> {
    fn fetch(
        &self,
        key: &str,
        to: &Path,
        on_bytes: &(dyn Fn(u64, Option<u64>) + Sync),
        _: &dyn Context,
    ) -> Result<Fetched, Failure> {
        let source = self.0.join(key);
        if !source.is_file() {
            return Ok(Fetched::Missing);
        }
        local_file::copy(&source, to)?;
        let size = fs_err::metadata(to).map_or(0, |metadata| metadata.len());
        on_bytes(size, Some(size));
        Ok(Fetched::Complete)
    }

    fn name(&self, key: &str) -> String {
        self.0.join(key).display().to_string()
    }

    fn concurrency(&self) -> usize {
        1
    }
}

/// An object to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its key.
    pub key: String,
    /// Without it nothing else is of use: the rest is not fetched.
    pub required: bool,
}

/// Fetches objects to `folder` at their keys, several at once; gives the required ones that are missing, sorted.
/// What lies in `folder` already is taken as fetched. After the first required one that is missing the rest is left.
///
/// # Errors
/// The failure of the first object, in the order of `wanted`, among those that were tried.
pub fn fetch_all(
    store: &dyn ObjectStore,
    wanted: &[Wanted],
    folder: &Path,
    context: &dyn Context,
) -> Result<Vec<String>, Failure> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let tally = Tally::new(wanted.len());
    let ended_early: Mutex<Vec<(usize, Result<(), Failure>)>> = Mutex::new(Vec::new());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(want) = wanted.get(index) else { return };
            let outcome = fetch_one(store, want, folder, &tally, index, context);
            let problem = match outcome {
                Ok(Fetched::Complete) => continue,
                Ok(Fetched::Missing) if !want.required => continue,
                Ok(Fetched::Missing) => Ok(()),
                Err(failure) => Err(failure),
            };
            stop.store(true, Ordering::Relaxed);
            ended_early.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, problem));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..store.concurrency().clamp(1, wanted.len().max(1)) {
            scope.spawn(work);
        }
    });
    let mut ended_early = ended_early.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    ended_early.sort_by_key(|(index, _)| *index);
    let mut missing = Vec::new();
    for (index, problem) in ended_early {
        problem?;
        missing.push(wanted[index].key.clone());
    }
    Ok(missing)
}

fn fetch_one(
    store: &dyn ObjectStore,
    want: &Wanted,
    folder: &Path,
    tally: &Tally,
    index: usize,
    context: &dyn Context,
) -> Result<Fetched, Failure> {
    let target = folder.join(&want.key);
    if target.is_file() {
        tally.finished(context);
        return Ok(Fetched::Complete);
    }
    local_file::create_parent(&target)?;
    let growing = beside(&target);
    let on_bytes = |done: u64, total: Option<u64>| tally.bytes(index, done, total, context);
    let fetched = store.fetch(&want.key, &growing, &on_bytes, context)?;
    if fetched == Fetched::Complete {
        fs_err::rename(&growing, &target).map_err(|error| Failure::io("rename", &growing, &error))?;
    }
    tally.finished(context);
    Ok(fetched)
}

/// Objects grow under another name, so that a file with its right name is always whole.
fn beside(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Bytes of all objects together, for one progress bar.
struct Tally {
    done: Vec<AtomicU64>,
    total: Vec<AtomicU64>,
    files: AtomicUsize,
}

impl Tally {
    fn new(count: usize) -> Self {
        let zeros = || (0..count).map(|_| AtomicU64::new(0)).collect();
        Self { done: zeros(), total: zeros(), files: AtomicUsize::new(0) }
    }

    fn bytes(&self, index: usize, done: u64, total: Option<u64>, context: &dyn Context) {
        self.done[index].store(done, Ordering::Relaxed);
        self.total[index].store(total.unwrap_or(0), Ordering::Relaxed);
        self.report(context);
    }

    fn finished(&self, context: &dyn Context) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.report(context);
    }

    fn report(&self, context: &dyn Context) {
        let sum = |numbers: &[AtomicU64]| numbers.iter().map(|number| number.load(Ordering::Relaxed)).sum();
        let note = format!("{} of {} files", self.files.load(Ordering::Relaxed), self.done.len());
        context.progress(url::bytes(sum(&self.done), sum(&self.total), &note));
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::Silent;

    use super::*;

    fn wanted(keys: &[(&str, bool)]) -> Vec<Wanted> {
        keys.iter().map(|(key, required)| Wanted { key: (*key).to_owned(), required: *required }).collect()
    }

    #[test]
    fn a_folder_gives_what_it_has_and_names_what_is_missing() {
        let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs_err::create_dir_all(source.path().join("s/a")).unwrap();
        fs_err::write(source.path().join("s/a/x"), "x").unwrap();
        let fetch = |keys: &[(&str, bool)]| fetch_all(&Folder(source.path()), &wanted(keys), target.path(), &Silent);
        assert_eq!(fetch(&[("s/a/x", true), ("s/none", false)]).unwrap(), Vec::<String>::new());
        assert_eq!(fs_err::read_to_string(target.path().join("s/a/x")).unwrap(), "x");
        assert_eq!(fetch(&[("s/a/y", true), ("s/a/x", true)]).unwrap(), ["s/a/y"]);
        assert!(!target.path().join("s/a/y").exists() && !target.path().join("s/a/y.part").exists());
    }
}
