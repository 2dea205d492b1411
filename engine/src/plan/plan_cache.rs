//! The plan cache: a plan saved on disk, so that a large pipeline is not read and expanded again while nothing changed.
//!
//! A cached plan is valid for exactly one binary, one set of options and the bytes of every file that the plan was made
//! from. A cached plan that is missing, older or damaged only means that a new one is made: nothing is lost but time.
//!
//! ```text
//! MAGIC | BLAKE3 of the rest | validity: request, files | plan          both in the binary form of `postcard`
//! ```
//! The form is private to one build, whose id is part of the request, so a changed field needs no version here. Bytes with the
//! right checksum are not trusted either: whatever they say is bounded by their length, and every number in the plan must
//! lead into its table ([`is_sound`]).

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipe_contract::Registry;
use serde::{Deserialize, Serialize};

use super::binary;
use super::plan_options::PlanOptions;
use super::resolve::resolve_with_sources;
use super::resolved::{Link, Plan, Source};
use crate::diag::{Diagnostics, SourceTexts};
use crate::ids::InstanceId;
use crate::spec;

/// The first bytes of every cached plan.
const MAGIC: &[u8; 16] = b"pipe plan cache\n";
/// No cached plan is larger: some 200 bytes an instance, for the most cells that a few stages may have.
const MAX_BYTES: u64 = 1 << 30;

/// A BLAKE3 digest.
type Hash = [u8; 32];

/// What a cached plan is valid for.
#[derive(Serialize, Deserialize)]
struct Validity {
    /// Of file, options and binary.
    request: Hash,
    /// The files that the plan was made from.
    files: Vec<ReadFile>,
}

/// A file as it was when the plan was made.
#[derive(Serialize, Deserialize)]
struct ReadFile {
    #[serde(with = "binary::path")]
    path: PathBuf,
    digest: Hash,
}

/// As [`super::plan`], but returns the plan cached in `folder` if it is still valid, and saves a new one.
///
/// `build` identifies the binary: the declarations of its stage kinds are part of a plan, and so is this code.
///
/// # Errors
/// As [`super::plan`].
pub fn plan_cached(
    file: &Path,
    options: &PlanOptions,
    registry: &Registry,
    build: &str,
    folder: &Path,
) -> Result<Plan, Diagnostics> {
    let request = request(file, options, build);
    let path = folder.join(format!("{}.plan", blake3::Hash::from_bytes(request).to_hex()));
    if let Some(plan) = read_bounded(&path).and_then(|bytes| decode(&bytes, &request)) {
        return Ok(plan);
    }
    let (made, sources) = resolve_with_sources(&spec::load(file)?, options, registry)?;
    if let Err(error) = save(&path, &made, &sources, request) {
        // A plan that cannot be saved is still a plan.
        tracing::debug!(%error, path = %path.display(), "the plan is not cached");
    }
    Ok(made)
}

/// The digest of what a cached plan is valid for: file, options and binary, each part with its length before it.
fn request(file: &Path, options: &PlanOptions, build: &str) -> Hash {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(build.as_bytes());
    part(file.as_os_str().as_encoded_bytes());
    part(&[u8::from(options.profile.is_some())]);
    part(options.profile.as_deref().unwrap_or_default().as_bytes());
    for (name, value) in &options.set {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    let machine = &options.machine;
    for amount in [u64::from(machine.cpu), u64::from(machine.gpu), machine.mem, u64::from(machine.net)] {
        part(&amount.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// The bytes of a regular file that is not too large.
fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    // Looked at before it is opened: opening a named pipe would wait.
    let is_plan = fs_err::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= MAX_BYTES);
    let file = is_plan.then(|| fs_err::File::open(path).ok()).flatten()?;
    let mut bytes = Vec::with_capacity(usize::try_from(file.metadata().ok()?.len().min(MAX_BYTES)).ok()?);
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn digest(path: &Path) -> Option<Hash> {
    Some(*blake3::hash(&fs_err::read(path).ok()?).as_bytes())
}

/// The digests are those of the texts that were read: a later change of a file makes the plan useless, not wrong.
fn save(path: &Path, plan: &Plan, sources: &SourceTexts, request: Hash) -> std::io::Result<()> {
    let files = sources.iter().filter(|source| source.path.is_absolute());
    let files = files.map(|source| ReadFile { path: source.path.clone(), digest: source.digest }).collect();
    let bytes = postcard::to_allocvec(&(Validity { request, files }, plan)).map_err(std::io::Error::other)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(blake3::hash(&bytes).as_bytes())?;
    file.write_all(&bytes)?;
    file.persist(path)?;
    tidy(folder)
}

/// The number of plans in the cache; beyond it, the oldest are removed.
const MAX_PLANS: usize = 64;
/// A temporary file of this age belongs to a killed process: it is not written to any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// Removes unfinished files of killed processes, and the oldest plans beyond [`MAX_PLANS`].
fn tidy(folder: &Path) -> std::io::Result<()> {
    let mut plans = Vec::new();
    for entry in fs_err::read_dir(folder)?.flatten() {
        let (Ok(found), path) = (entry.metadata(), entry.path()) else { continue };
        let Ok(changed) = found.modified() else { continue };
        if path.extension().is_some_and(|extension| extension == "plan") {
            plans.push((changed, path));
        } else if entry.file_name().as_encoded_bytes().starts_with(b".tmp")
            && changed.elapsed().is_ok_and(|age| age > ABANDONED_AFTER)
        {
            fs_err::remove_file(path)?;
        }
    }
    plans.sort();
    let many = plans.len().saturating_sub(MAX_PLANS);
    // Another process may have removed it first.
    plans.into_iter().take(many).for_each(|(_, path)| drop(fs_err::remove_file(path)));
    Ok(())
}

/// The plan, if these bytes are complete, belong to this request, and no file has changed since.
fn decode(bytes: &[u8], request: &Hash) -> Option<Plan> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, rest) = rest.split_at_checked(32)?;
    if blake3::hash(rest).as_bytes().as_slice() != sum {
        return None;
    }
    let (validity, rest) = postcard::take_from_bytes::<Validity>(rest).ok()?;
    let unchanged = |file: &ReadFile| digest(&file.path).as_ref() == Some(&file.digest);
    (validity.request == *request && validity.files.iter().all(unchanged)).then(|| read_plan(rest)).flatten()
}

/// The plan that these bytes are, and nothing else.
fn read_plan(bytes: &[u8]) -> Option<Plan> {
    let (plan, rest) = postcard::take_from_bytes::<Plan>(bytes).ok()?;
    (rest.is_empty() && is_sound(&plan)).then_some(plan)
}

/// Whether every number in a plan leads into its table, and instances only read instances before them.
fn is_sound(plan: &Plan) -> bool {
    let Ok(instances) = u32::try_from(plan.instances.len()) else { return false };
    let is_below = |link: &Link, limit: u32| link.producer().is_none_or(|producer| producer.0 < limit);
    // The first instance that may read a gather.
    let after: Vec<u32> = plan
        .gathers
        .iter()
        .map(|cells| cells.iter().filter_map(|(_, link)| link.producer()).map(|InstanceId(id)| id.saturating_add(1)))
        .map(|after| after.max().unwrap_or(0))
        .collect();
    let reads_earlier = |source: &Source, id: u32| match source {
        Source::One(link) => is_below(link, id),
        Source::Many(gather) => after.get(gather.index()).is_some_and(|after| *after <= id),
    };
    let of_its_stage =
        |stage: usize, id: u32| plan.stages.get(stage).is_some_and(|stage| stage.instances.contains(&id));
    let stages =
        plan.stages.iter().all(|stage| stage.instances.start < stage.instances.end && stage.instances.end <= instances);
    let reads = (0..instances).zip(&plan.instances).all(|(id, instance)| {
        of_its_stage(instance.stage.index(), id) && instance.inputs.values().all(|source| reads_earlier(source, id))
    });
    let mut published =
        plan.results.iter().map(|result| &result.link).chain(plan.claims.iter().map(|claim| &claim.table));
    let mut released = plan.releases.iter().flat_map(|release| &release.ports);
    stages
        && reads
        && after.iter().all(|after| *after <= instances)
        && published.all(|link| is_below(link, instances))
        && released.all(|(stage, _)| stage.index() < plan.stages.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "pipe: 1\npipeline: p\nparams: { subjects: { lines: ids.txt }, m: { a: [1, { b: null }], c: -0.5 } }\nstages:\n  \
        a: { each: { sid: $params.subjects }, run: x, with: { n: 1, f: 0.5, l: [a, true], m: $params.m }, random: true, out: { t: t.txt, d: d/ } }\n  \
        b: { each: { r: 1..3 }, run: x, in: { t: $a(*).t, f: x.csv, g: { path: \"data/*.csv\", ignore: [b*] } }, tools: { sh: sh --version }, timeout: 3 s, out: { t: t.txt } }\n  \
        c: { run: x, in: { e: $a(sid=s1).d/x.txt }, tools: { py: { venv: v } }, shell: sh, out: { t: t.txt } }\n\
        results: { \"t_${r}.txt\": $b.t }\n\
        claims: [{ text: c, cell: { table: $a(sid=s1).t, where: { x: y }, column: c }, equals: 1 }]\n\
        release: [{ ports: [a.t], because: x, approved: y 2026 }, { ports: [b.t], because: z }]\n";

    /// A folder with the file, and a cache.
    struct Project {
        folder: tempfile::TempDir,
        options: PlanOptions,
    }

    impl Project {
        fn new() -> Self {
            let project = Self { folder: tempfile::tempdir().expect("a folder"), options: PlanOptions::default() };
            fs_err::write(project.file(), FILE).expect("written");
            project.write_ids("s1\ns2\n");
            project
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("p.yaml")
        }

        fn write_ids(&self, lines: &str) {
            fs_err::write(self.folder.path().join("ids.txt"), lines).expect("written");
        }

        fn plan(&self, build: &str) -> Plan {
            let cache = self.folder.path().join("cache");
            plan_cached(&self.file(), &self.options, &Registry::new(), build, &cache)
                .unwrap_or_else(|error| panic!("{error}"))
        }

        fn cached(&self) -> Vec<PathBuf> {
            let entries = fs_err::read_dir(self.folder.path().join("cache")).into_iter().flatten();
            entries.map(|entry| entry.expect("an entry").path()).collect()
        }

        fn request(&self) -> Hash {
            request(&self.file(), &self.options, "build")
        }
    }

    #[test]
    fn a_cached_plan_is_used_until_a_byte_changes() {
        let project = Project::new();
        let first = project.plan("build");
        let [path] = project.cached().try_into().expect("one plan");
        let bytes = fs_err::read(&path).expect("readable");
        assert_eq!(decode(&bytes, &project.request()), Some(first.clone()));
        assert_eq!(project.plan("build"), first);
        let gather = |id: usize| match first.instances[id].inputs["t"] {
            Source::Many(gather) => gather,
            Source::One(_) => panic!("a gather"),
        };
        assert_eq!(gather(2), gather(4), "readers share gathers");

        project.write_ids("s1\ns3\n");
        assert_eq!(project.plan("build").instances[1].at["sid"], "s3", "a change of equal size is noticed");
        project.plan("other build");
        assert_eq!(project.cached().len(), 2, "another binary has plans of its own");
    }

    #[test]
    fn damaged_bytes_are_not_a_plan_and_are_replaced() {
        let project = Project::new();
        let plan = project.plan("build");
        let [path] = project.cached().try_into().expect("one plan");
        let bytes = fs_err::read(&path).expect("readable");
        for cut in [0, 10, 40, bytes.len() / 2, bytes.len() - 1] {
            assert_eq!(decode(&bytes[..cut], &project.request()), None);
        }
        for at in (0..bytes.len()).step_by(37) {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_eq!(decode(&other, &project.request()), None);
        }
        fs_err::write(&path, &bytes[..bytes.len() / 2]).expect("written");
        assert_eq!(project.plan("build"), plan);
        assert_eq!(fs_err::read(&path).expect("readable"), bytes, "made anew");
    }

    /// Bytes that pass the checksum, as a forged or mistaken writer could make them, neither panic nor take much memory,
    /// and whatever is read can be walked.
    #[test]
    fn bytes_with_the_right_checksum_are_bounded() {
        let bytes = postcard::to_allocvec(&Project::new().plan("build")).expect("written");
        assert!(read_plan(&bytes).is_some());
        let mut read = 0;
        for at in 0..bytes.len() {
            assert_eq!(read_plan(&bytes[..at]), None, "{at} bytes");
            for wrong in [bytes[at] ^ 1, bytes[at] ^ 0x80, 0, 3, 0x7f, 0xff] {
                let mut other = bytes.clone();
                other[at] = wrong;
                if let Some(plan) = read_plan(&other) {
                    read += 1;
                    plan.ids().for_each(|id| drop((plan.label(id), plan.reads(id))));
                    plan.refused_results();
                }
            }
        }
        assert!(read > 100, "most texts and numbers may be other ones: {read}");
    }
}
