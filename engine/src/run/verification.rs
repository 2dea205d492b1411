//! Published results, then a reproduction from nothing, compared with the lockfile.
//!
//! What is published is compared first: a rerun says nothing about files that were edited since. Where a rerun differs, the
//! lockfile's digests of keys and outputs tell a pipeline that was edited from a stage that does not repeat itself.
//!
//! Bytes first. Where they differ and a kind behind the result promises numbers only within a tolerance, the file is compared
//! with the locked one as its artifact type says (by column, number or pixel), if the user's cache or results still have it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_cache::{Blob, Content, Digest, Found, Store};
use pipe_contract::{Failure, Registry};

use super::artifact_types::format_of_result;
use super::execute::{Outlet, refuse_restricted, run_in};
use super::options::{Places, RunOptions, Selection};
use super::run_summary::Summary;
use super::stop::Stop;
use crate::event::Event;
use crate::ids::InstanceId;
use crate::plan::Plan;
use crate::report::{Locked, Lockfile, cache_failure, lockfile_path, results_folder};

/// The outcome of a verification.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Where published results are, and whether the folder exists: a fresh checkout has none.
    pub published: (PathBuf, bool),
    /// Published results that are not as the lockfile has them, by path.
    pub altered: Vec<(String, Alteration)>,
    /// The run in the scratch cache, and what it made; `None` if it was not asked for.
    pub rerun: Option<Rerun>,
}

/// How a published result is not as the lockfile has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// Its bytes differ.
    Edited,
    /// It is not there.
    Missing,
}

/// A run from nothing, compared with the lockfile.
#[derive(Clone, Debug)]
pub struct Rerun {
    /// The run in the scratch cache.
    pub run: Summary,
    /// One comparison for every result of the lockfile or the plan, by path.
    pub comparisons: Vec<Comparison>,
    /// The first stage that differs, if a result does and the lockfile says enough.
    pub first: Option<FirstDifference>,
}

/// The first stage, in the order in which they run, at which a rerun departs from the lockfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstDifference {
    /// Its name.
    pub stage: String,
    /// The label of its first instance that differs; `None` if it has one only, or fewer than the lockfile has.
    pub cell: Option<String>,
    /// In what it differs.
    pub what: Departure,
}

/// In what a stage differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Its key: the pipeline, a parameter, an input file or a tool is not what it was.
    Edited,
    /// Its key is the same and it made other bytes: it does not repeat itself.
    NotRepeated,
    /// It is not in the lockfile.
    Added,
}

/// One result against the lockfile.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
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

impl Verification {
    /// 0 if every published result is as the lockfile has it, every one made now is the same or within tolerance, and
    /// the run succeeded; else the run's code, or 1. Where nothing is published, the rerun alone decides.
    pub fn exit_code(&self) -> u8 {
        let altered = !self.altered.is_empty();
        match &self.rerun {
            None => u8::from(altered || !self.published.1),
            Some(rerun) => match rerun.run.exit_code() {
                0 => u8::from(altered || !rerun.comparisons.iter().all(|comparison| comparison.verdict.is_good())),
                code => code,
            },
        }
    }
}

/// How to verify.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyOptions<'v> {
    /// Where the scratch cache is to be; a temporary folder that is removed if not given.
    pub scratch: Option<&'v Path>,
    /// Compare only what is published.
    pub no_rerun: bool,
}

/// Compares published results with the lockfile, then reruns the plan in a scratch cache and compares every result.
/// Publishes nothing and writes no lockfile. `altered` is called before the rerun.
///
/// # Errors
/// As for [`super::run`]; also if there is no lockfile, the plan has params that were set by hand, or `scratch` is not empty.
pub fn verify(
    plan: &Plan,
    options: &RunOptions,
    how: VerifyOptions<'_>,
    altered: &mut dyn FnMut(&Verification),
    events: &mut dyn FnMut(Event),
    stop: &Stop,
) -> Result<Verification, Failure> {
    refuse_restricted(plan)?;
    if !plan.set.is_empty() {
        return Err(Failure::input("a run with `--set` has no lockfile, so its results cannot be verified")
            .hint("verify without `--set`, or make a profile of these parameters"));
    }
    let path = lockfile_path(plan);
    let lockfile = Lockfile::read(&path)?.ok_or_else(|| {
        Failure::input(format!("there is no lockfile `{}`", path.display()))
            .hint("`pipe run` writes it after a whole and successful run; commit it")
    })?;
    let folder = results_folder(plan);
    let exists = folder.is_dir();
    let differences = if exists { alterations(&folder, &lockfile)? } else { Vec::new() };
    let mut verification = Verification { published: (folder, exists), altered: differences, rerun: None };
    altered(&verification);
    if !how.no_rerun {
        verification.rerun = Some(rerun(plan, options, how.scratch, &lockfile, events, stop)?);
    }
    Ok(verification)
}

/// Published results that differ from the lockfile.
fn alterations(folder: &Path, lockfile: &Lockfile) -> Result<Vec<(String, Alteration)>, Failure> {
    let mut altered = Vec::new();
    for (path, locked) in &lockfile.results {
        let target = folder.join(path);
        match digest_of(&target) {
            Ok(digest) if digest == locked.digest => {}
            Ok(_) => altered.push((path.clone(), Alteration::Edited)),
            Err(_) if target.is_dir() => altered.push((path.clone(), Alteration::Edited)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                altered.push((path.clone(), Alteration::Missing));
            }
            Err(error) => return Err(Failure::io("read", &target, &error)),
        }
    }
    Ok(altered)
}

fn digest_of(path: &Path) -> std::io::Result<Digest<Content>> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(path)?)?;
    Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
}

fn rerun(
    plan: &Plan,
    options: &RunOptions,
    scratch: Option<&Path>,
    lockfile: &Lockfile,
    events: &mut dyn FnMut(Event),
    stop: &Stop,
) -> Result<Rerun, Failure> {
    let temporary;
    let folder = match scratch {
        Some(folder) => {
            if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
                return Err(Failure::input(format!("`{}` is not empty", folder.display()))
                    .hint("a verification starts from nothing: name a new folder"));
            }
            folder.to_owned()
        }
        None => {
            temporary = tempfile::Builder::new()
                .prefix("pipe-verify-")
                .tempdir()
                .map_err(|error| Failure::io("create a folder in", &std::env::temp_dir(), &error))?;
            temporary.path().to_owned()
        }
    };
    let places = Places { cache: folder.join("cache"), state: folder.join("state") };
    let from_nothing =
        RunOptions { places: places.clone(), selection: Selection::default(), force: Vec::new(), ..options.clone() };
    let (run, made) = run_in(plan, &from_nothing, events, stop, Outlet::Nowhere)?;
    let scratch = Store::open(&places.cache).map_err(|error| cache_failure(&error))?;
    let references = References {
        store: Store::open(&options.places.cache).ok(),
        results: results_folder(plan),
        plan,
        registry: &options.exec.registry,
    };
    let paths: BTreeSet<&String> = lockfile.results.keys().chain(made.results.keys()).collect();
    let compare = |path: &String| {
        let verdict = match (lockfile.results.get(path), made.results.get(path)) {
            (Some(_), None) => Verdict::Missing,
            (None, _) => Verdict::New,
            (Some(locked), Some(now)) if locked.digest == now.digest => Verdict::Same,
            (Some(locked), Some(now)) => {
                // The first version of lockfiles does not say what was promised: what is promised now counts.
                let promised = if lockfile.lock == 1 { now.tolerance } else { locked.tolerance };
                references.compare(path, locked, &scratch.blob_path(&blob(now)), promised.unwrap_or(0.0))
            }
        };
        Comparison { path: path.clone(), verdict }
    };
    let comparisons: Vec<Comparison> = paths.into_iter().map(compare).collect();
    let good = comparisons.iter().all(|comparison| comparison.verdict.is_good());
    let first = if good || run.exit_code() != 0 { None } else { first_difference(plan, lockfile, &made) };
    Ok(Rerun { run, comparisons, first })
}

/// The first stage that differs. Stages run in this order, so those before it made the same.
fn first_difference(plan: &Plan, lockfile: &Lockfile, made: &Lockfile) -> Option<FirstDifference> {
    if lockfile.stages.is_empty() {
        return None;
    }
    made.stages.iter().find_map(|now| {
        let locked = lockfile.stages.iter().find(|locked| locked.stage == now.stage);
        let (what, cell) = match locked {
            None => (Departure::Added, None),
            Some(locked) if now.keys.differs_from(&locked.keys) => {
                (Departure::Edited, now.keys.first_unlike(&locked.keys))
            }
            Some(locked) if now.outputs.differs_from(&locked.outputs) => {
                (Departure::NotRepeated, now.outputs.first_unlike(&locked.outputs))
            }
            Some(_) => return None,
        };
        Some(FirstDifference {
            stage: now.stage.clone(),
            cell: cell.and_then(|cell| label(plan, &now.stage, cell)),
            what,
        })
    })
}

/// The label of the instance at a position among those of a stage.
fn label(plan: &Plan, stage: &str, position: usize) -> Option<String> {
    let stage = plan.stages.iter().find(|known| known.name == stage)?;
    stage.instances.clone().nth(position).map(|id| plan.label(InstanceId(id)))
}

fn blob(locked: &Locked) -> Blob {
    Blob { digest: locked.digest, bytes: locked.bytes, executable: false }
}

/// Where the locked bytes may still be, and how they are compared.
struct References<'r> {
    store: Option<Store>,
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
            Ok(largest) => Verdict::Different(format!("numbers differ by {largest:e}, {tolerance:e} is allowed")),
            Err(why) => Verdict::Different(why),
        }
    }

    /// A file with the locked bytes.
    fn find(&self, path: &str, locked: &Locked) -> Option<PathBuf> {
        let blob = blob(locked);
        let cached = self.store.as_ref().filter(|store| store.find(&blob).is_ok_and(|found| found == Found::Good));
        let places = [cached.map(|store| store.blob_path(&blob)), Some(self.results.join(path))];
        places.into_iter().flatten().find(|place| digest_of(place).is_ok_and(|digest| digest == locked.digest))
    }
}
