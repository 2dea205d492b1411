//! One result of a rerun against the lockfile.
//!
//! Bytes first. Where they differ and a kind behind the result promises numbers only within a tolerance, the file is compared
//! with the locked one as its artifact type says (by column, number or pixel), if the user's cache or results still have it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_cache::{Blob, Content, Digest};
use pipe_contract::Registry;

use super::artifact_types::format_of_result;
use super::options::RunOptions;
use super::state_dirs::StateDirs;
use crate::plan::Plan;
use crate::report::{Locked, Lockfile, results_folder};

/// One result against the lockfile.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultComparison {
    /// Its path below the results folder.
    pub path: String,
    /// How it compares.
    pub verdict: Verdict,
}

/// How a result compares with the lockfile.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The same bytes.
    Same,
    /// Other bytes, but numbers agree within the tolerance of the kinds behind it.
    Within {
        /// The largest difference found, relative for numbers above 1, absolute below.
        largest: f64,
        /// The tolerance.
        tolerance: f64,
    },
    /// Different, and why that is wrong.
    Different(String),
    /// In the lockfile, but not made now.
    Missing,
    /// Made now, but not in the lockfile.
    New,
}

impl Verdict {
    /// Whether this is how it should be.
    pub fn is_good(&self) -> bool {
        matches!(self, Verdict::Same | Verdict::Within { .. })
    }
}

/// Compares every result of the lockfile or of the rerun, whose stores are `scratch`.
pub(super) fn comparisons(
    plan: &Plan,
    options: &RunOptions,
    scratch: &StateDirs,
    (lockfile, made): (&Lockfile, &Lockfile),
) -> Vec<ResultComparison> {
    let references = References {
        dirs: StateDirs::open(plan, &options.places).ok(),
        results: results_folder(plan),
        plan,
        registry: &options.exec.registry,
    };
    let verdict = |path: &String| match (lockfile.results.get(path), made.results.get(path)) {
        (Some(_), None) => Verdict::Missing,
        (None, _) => Verdict::New,
        (Some(locked), Some(now)) if locked.digest == now.digest => Verdict::Same,
        (Some(locked), Some(now)) => {
            // The first version of lockfiles does not say what was promised: what is promised now counts.
            let promised = if lockfile.lock == 1 { now.tolerance } else { locked.tolerance };
            references.compare(path, locked, &scratch.blob_path(&blob(now)), promised.unwrap_or(0.0))
        }
    };
    let paths: BTreeSet<&String> = lockfile.results.keys().chain(made.results.keys()).collect();
    paths.into_iter().map(|path| ResultComparison { path: path.clone(), verdict: verdict(path) }).collect()
}

/// The digest of the bytes of a file.
pub(super) fn digest_of(path: &Path) -> std::io::Result<Digest<Content>> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(path)?)?;
    Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
}

fn blob(locked: &Locked) -> Blob {
    Blob { digest: locked.digest, bytes: locked.bytes, executable: false }
}

/// Where the locked bytes may still be, and how they are compared.
struct References<'r> {
    dirs: Option<StateDirs>,
    results: PathBuf,
    plan: &'r Plan,
    registry: &'r Registry,
}

impl References<'_> {
    fn compare(&self, path: &str, locked: &Locked, now: &Path, tolerance: f64) -> Verdict {
        if tolerance == 0.0 {
            return Verdict::Different("other bytes, and everything behind it promises the same".into());
        }
        let format = format_of_result(self.plan, self.registry, path);
        let Some(compare) = format.and_then(|format| format.comparison.compare()) else {
            let what = format.map_or("files of this form", |format| format.name);
            return Verdict::Different(format!("other bytes, and {what} cannot be compared by number"));
        };
        let Some(reference) = self.find(path, locked) else {
            return Verdict::Different(format!(
                "other bytes; numbers may differ by {tolerance:e}, but the locked file is neither in the cache nor in \
                 `results/`, so they cannot be compared"
            ));
        };
        match compare(&reference, now) {
            Ok(largest) if largest <= tolerance => Verdict::Within { largest, tolerance },
            Ok(largest) => {
                let explain = format.and_then(|format| format.explain);
                let more = explain.and_then(|explain| explain(&reference, now, tolerance));
                let more = more.map_or_else(String::new, |more| format!("; {more}"));
                Verdict::Different(format!("numbers differ by {largest:e}, {tolerance:e} is allowed{more}"))
            }
            Err(why) => Verdict::Different(why),
        }
    }

    /// A file with the locked bytes.
    fn find(&self, path: &str, locked: &Locked) -> Option<PathBuf> {
        let blob = blob(locked);
        let cached = self.dirs.as_ref().map(|dirs| dirs.blob_path(&blob));
        let places = [cached, Some(self.results.join(path))];
        places.into_iter().flatten().find(|place| digest_of(place).is_ok_and(|digest| digest == locked.digest))
    }
}
