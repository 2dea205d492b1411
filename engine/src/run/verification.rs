//! Reproduction from nothing, compared with the lockfile.
//!
//! Bytes first. Where they differ and a kind behind the result promises numbers only within a tolerance, tables and
//! tensors are compared number by number with the locked file, if the user's cache or results still have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pipe_cache::{Blob, Content, Digest, Found, Store};
use pipe_contract::{Failure, Registry, Repro};

use super::execute::{Outlet, refuse_restricted, run_in};
use super::options::{Places, RunOptions, Selection};
use super::run_summary::Summary;
use super::stop::Stop;
use crate::event::Event;
use crate::plan::{Link, Plan, Work};
use crate::report::{Locked, Lockfile, cache_failure, lockfile_path, results_folder};
use crate::sched::needed_by;

/// The outcome of a verification.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The run in the scratch cache.
    pub run: Summary,
    /// One comparison for every result of the lockfile or the plan, by path.
    pub comparisons: Vec<Comparison>,
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

impl Verification {
    /// 0 if every result is the same or within tolerance and the run succeeded; else the run's code, or 1.
    pub fn exit_code(&self) -> u8 {
        let good = |comparison: &Comparison| matches!(comparison.verdict, Verdict::Same | Verdict::Within { .. });
        match self.run.exit_code() {
            0 => u8::from(!self.comparisons.iter().all(good)),
            code => code,
        }
    }
}

/// Reruns the plan in a scratch cache (below `scratch`, or a temporary folder that is dropped) and compares every
/// result with the lockfile. Publishes nothing and writes no lockfile.
///
/// # Errors
/// As for [`super::run`]; also if there is no lockfile, or `scratch` is not empty.
pub fn verify(
    plan: &Plan,
    options: &RunOptions,
    scratch: Option<&Path>,
    events: &mut dyn FnMut(Event),
    stop: &Stop,
) -> Result<Verification, Failure> {
    refuse_restricted(plan)?;
    let path = lockfile_path(plan);
    let lockfile = Lockfile::read(&path)?.ok_or_else(|| {
        Failure::input(format!("there is no lockfile `{}`", path.display()))
            .hint("`pipe run` writes it after a whole and successful run; commit it")
    })?;
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
    let references = References { store: Store::open(&options.places.cache).ok(), results: results_folder(plan) };
    let tolerances = Tolerances::of(plan, &options.exec.registry);
    let paths: BTreeSet<&String> = lockfile.results.keys().chain(made.keys()).collect();
    let compare = |path: &String| {
        let verdict = match (lockfile.results.get(path), made.get(path)) {
            (Some(_), None) => Verdict::Missing,
            (None, _) => Verdict::New,
            (Some(locked), Some(now)) if locked.digest == now.digest => Verdict::Same,
            (Some(locked), Some(now)) => {
                references.compare(path, locked, &scratch.blob_path(&blob(now)), tolerances.at(path))
            }
        };
        Comparison { path: path.clone(), verdict }
    };
    let comparisons = paths.into_iter().map(compare).collect();
    Ok(Verification { run, comparisons })
}

fn blob(locked: &Locked) -> Blob {
    Blob { digest: locked.digest, bytes: locked.bytes, executable: false }
}

/// The tolerance of every line of `results:`: the largest among the kinds it depends on, 0 if all are exact.
struct Tolerances(BTreeMap<String, f64>);

impl Tolerances {
    fn of(plan: &Plan, registry: &Registry) -> Self {
        let tolerance = |link: &Link| {
            let Link::Output { instance, .. } = link else { return 0.0 };
            let needed = needed_by(plan, &BTreeSet::from([*instance]));
            let stages: BTreeSet<usize> =
                plan.ids().filter(|id| needed[id.index()]).map(|id| plan.instance(id).stage.index()).collect();
            stages
                .into_iter()
                .map(|stage| match &plan.stages[stage].work {
                    Work::Command(_) => 0.0,
                    Work::Kind(name) => match registry.kind(name).map(|kind| kind.repro) {
                        Some(Repro::Within(tolerance)) => tolerance,
                        _ => 0.0,
                    },
                })
                .fold(0.0, f64::max)
        };
        Self(plan.results.iter().map(|published| (published.path.clone(), tolerance(&published.link))).collect())
    }

    fn at(&self, path: &str) -> f64 {
        let in_folder = |name: &str| name.ends_with('/') && path.starts_with(name);
        self.0.iter().find(|(name, _)| *name == path || in_folder(name)).map_or(0.0, |(_, tolerance)| *tolerance)
    }
}

/// Where the locked bytes may still be.
struct References {
    store: Option<Store>,
    results: std::path::PathBuf,
}

impl References {
    fn compare(&self, path: &str, locked: &Locked, now: &Path, tolerance: f64) -> Verdict {
        if tolerance == 0.0 {
            return Verdict::Different("other bytes, and everything behind it promises the same".into());
        }
        let Some(reference) = self.find(path, locked) else {
            return Verdict::Different(format!(
                "other bytes; numbers may differ by {tolerance:e}, but the locked file is neither in the cache nor in \
                 `results/`, so they cannot be compared"
            ));
        };
        let Ok(now) = fs::read(now) else { return Verdict::Different("it cannot be read".into()) };
        match largest_difference(path, &reference, &now) {
            Ok(largest) if largest <= tolerance => Verdict::Within { largest, tolerance },
            Ok(largest) => Verdict::Different(format!("numbers differ by {largest:e}, {tolerance:e} is allowed")),
            Err(why) => Verdict::Different(why),
        }
    }

    fn find(&self, path: &str, locked: &Locked) -> Option<Vec<u8>> {
        let cached =
            self.store.as_ref().filter(|store| store.find(&blob(locked)).is_ok_and(|found| found == Found::Good));
        let cached = cached.and_then(|store| store.read(&locked.digest).ok());
        let published = || fs::read(self.results.join(path)).ok();
        cached.or_else(published).filter(|bytes| Digest::<Content>::of(bytes) == locked.digest)
    }
}

/// The largest difference between the numbers of two files of the same form.
fn largest_difference(path: &str, a: &[u8], b: &[u8]) -> Result<f64, String> {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("csv") => table_difference(a, b, b','),
        Some("tsv") => table_difference(a, b, b'\t'),
        Some("safetensors") => tensor_difference(a, b),
        _ => Err("other bytes, and only tables and tensors can be compared by number".into()),
    }
}

/// Relative for numbers above 1, absolute below; not finite numbers differ infinitely unless they are the same.
fn difference(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let difference = (a - b).abs() / a.abs().max(b.abs()).max(1.0);
    if difference.is_nan() { f64::INFINITY } else { difference }
}

fn table_difference(a: &[u8], b: &[u8], delimiter: u8) -> Result<f64, String> {
    let rows = |bytes: &[u8]| {
        let reader =
            csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(bytes);
        reader.into_records().collect::<Result<Vec<_>, _>>().map_err(|error| format!("it is not a table: {error}"))
    };
    let (a, b) = (rows(a)?, rows(b)?);
    if a.len() != b.len() {
        return Err(format!("{} lines were locked, {} were made", a.len(), b.len()));
    }
    let mut largest = 0.0_f64;
    for (line, (a, b)) in a.iter().zip(&b).enumerate() {
        if a.len() != b.len() {
            return Err(format!("line {} had {} columns, now {}", line + 1, a.len(), b.len()));
        }
        for (a, b) in a.iter().zip(b).filter(|(a, b)| a != b) {
            match (a.parse(), b.parse()) {
                (Ok(a), Ok(b)) => largest = largest.max(difference(a, b)),
                _ => return Err(format!("line {}: `{a}` was locked, `{b}` was made", line + 1)),
            }
        }
    }
    Ok(largest)
}

/// Two safetensors files: a length, a JSON header, then little-endian numbers.
fn tensor_difference(a: &[u8], b: &[u8]) -> Result<f64, String> {
    let (header, a) = split_tensors(a).ok_or("the locked file is not a safetensors file")?;
    let (other, b) = split_tensors(b).ok_or("it is not a safetensors file")?;
    if header != other || a.len() != b.len() {
        return Err("names, shapes or metadata of tensors differ".into());
    }
    let tensors = header.as_object().ok_or("its header is not a map")?;
    let mut largest = 0.0_f64;
    for (name, tensor) in tensors.iter().filter(|(name, _)| *name != "__metadata__") {
        let at = |index: usize| usize::try_from(tensor["data_offsets"][index].as_u64()?).ok();
        let (Some(a), Some(b)) = (
            at(0).zip(at(1)).and_then(|(from, to)| a.get(from..to)),
            at(0).zip(at(1)).and_then(|(from, to)| b.get(from..to)),
        ) else {
            return Err(format!("tensor `{name}` lies outside the file"));
        };
        let numbers: fn(&[u8]) -> Vec<f64> = match tensor["dtype"].as_str() {
            Some("F32") => {
                |bytes| bytes.chunks_exact(4).map(|n| f64::from(f32::from_le_bytes([n[0], n[1], n[2], n[3]]))).collect()
            }
            Some("F64") => {
                |bytes| bytes.chunks_exact(8).filter_map(|n| Some(f64::from_le_bytes(n.try_into().ok()?))).collect()
            }
            _ if a == b => continue,
            _ => return Err(format!("tensor `{name}` differs and is not of floating-point numbers")),
        };
        let differences = numbers(a).into_iter().zip(numbers(b)).map(|(a, b)| difference(a, b));
        largest = differences.fold(largest, f64::max);
    }
    Ok(largest)
}

fn split_tensors(bytes: &[u8]) -> Option<(serde_json::Value, &[u8])> {
    let (length, rest) = bytes.split_at_checked(8)?;
    let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
    let (header, data) = rest.split_at_checked(length)?;
    Some((serde_json::from_slice(header).ok()?, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_compared_by_number() {
        assert_eq!(table_difference(b"a,b\nx,1.0\n", b"a,b\nx,1.5\n", b','), Ok(0.5 / 1.5));
        assert_eq!(table_difference(b"a\n0.5\n", b"a\n0.25\n", b','), Ok(0.25));
        assert!(table_difference(b"a\nx\n", b"a\ny\n", b',').unwrap_err().contains("`x` was locked"));
        assert!(table_difference(b"a\n1\n", b"a\n1\n2\n", b',').is_err());
    }

    #[test]
    fn tensors_are_compared_by_number() {
        let file = |numbers: &[f32]| {
            let header =
                format!("{{\"w\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,{}]}}}}", numbers.len() * 4);
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend_from_slice(header.as_bytes());
            numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
            bytes
        };
        assert_eq!(tensor_difference(&file(&[1.0, f32::NAN]), &file(&[1.0, f32::NAN])), Ok(0.0));
        assert_eq!(tensor_difference(&file(&[1.0, 0.5]), &file(&[1.0, 0.25])), Ok(0.25));
        assert_eq!(tensor_difference(&file(&[1.0, 0.5]), &file(&[1.0, f32::NAN])), Ok(f64::INFINITY));
        assert!(tensor_difference(&file(&[1.0]), &file(&[1.0, 2.0])).is_err());
    }
}
