//! The plan cache: a plan saved on disk, so that a large pipeline is not read and expanded again while nothing changed.
//!
//! A cached plan is valid for exactly one binary, one set of options and the bytes of every file that the plan was made
//! from. A cached plan that is missing, older or truncated only means that a new one is made: nothing is lost but time.
//!
//! The format is private to one version and not meant for exchange: numbers are little-endian, a text or a gather is
//! written at its first use and then referred to by its number (so that readers share gathers again), a struct is its
//! fields in order. The macro lists all fields of each struct, so a new field cannot be forgotten here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipe_contract::{Coordinates, Registry, Value};

use super::Options;
use super::resolved::{
    Amounts, Claim, Command, GatherId, Instance, Link, ParamOrigin, ParamValue, Place, Plan, ProjectFile, Published,
    Release, ReleaseWhy, Shell, Source, Stage, Tool, Work,
};
use crate::diag::{Diagnostics, Sources};
use crate::ids::{InstanceId, StageId};
use crate::spec;

/// The first bytes of every cached plan; raised when the format changes in a way that fields do not show.
const MAGIC: &[u8; 16] = b"pipe kept plan 2";

/// A BLAKE3 digest.
type Hash = [u8; 32];

/// As [`super::plan`], but returns the plan cached in `folder` if it is still valid, and saves a new one.
///
/// `build` identifies the binary: the declarations of its stage kinds are part of a plan, and so is this code.
///
/// # Errors
/// As [`super::plan`].
pub fn plan_cached(
    file: &Path,
    options: &Options,
    registry: &Registry,
    build: &str,
    folder: &Path,
) -> Result<Plan, Diagnostics> {
    let request = request(file, options, build);
    let path = folder.join(format!("{}.plan", blake3::Hash::from_bytes(request).to_hex()));
    if let Some(plan) = std::fs::read(&path).ok().and_then(|bytes| decode(&bytes, &request)) {
        return Ok(plan);
    }
    let (made, sources) = super::resolve_with_sources(&spec::load(file)?, options, registry)?;
    let _ = save(&path, &made, &sources, request); // a plan that cannot be saved is still a plan
    Ok(made)
}

/// What a cached plan is valid for: file, options and binary.
fn request(file: &Path, options: &Options, build: &str) -> Hash {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let mut writer = Writer::default();
    (build.to_owned(), file).write(&mut writer);
    options.profile.write(&mut writer);
    options.set.write(&mut writer);
    options.machine.write(&mut writer);
    *blake3::hash(&writer.bytes).as_bytes()
}

fn digest(path: &Path) -> Option<Hash> {
    Some(*blake3::hash(&std::fs::read(path).ok()?).as_bytes())
}

/// The digests are those of the texts that were read: a later change of a file makes the plan useless, not wrong.
fn save(path: &Path, plan: &Plan, sources: &Sources, request: Hash) -> std::io::Result<()> {
    let files = sources.iter().filter(|source| source.path.is_absolute());
    let files: Vec<(PathBuf, Hash)> = files.map(|source| (source.path.clone(), source.digest)).collect();
    let mut writer = Writer::default();
    request.write(&mut writer);
    files.write(&mut writer);
    plan.write(&mut writer);
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(blake3::hash(&writer.bytes).as_bytes())?;
    file.write_all(&writer.bytes)?;
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
    for entry in std::fs::read_dir(folder)?.flatten() {
        let (Ok(found), path) = (entry.metadata(), entry.path()) else { continue };
        let Ok(changed) = found.modified() else { continue };
        if path.extension().is_some_and(|extension| extension == "plan") {
            plans.push((changed, path));
        } else if entry.file_name().as_encoded_bytes().starts_with(b".tmp")
            && changed.elapsed().is_ok_and(|age| age > ABANDONED_AFTER)
        {
            std::fs::remove_file(path)?;
        }
    }
    plans.sort();
    let many = plans.len().saturating_sub(MAX_PLANS);
    // Another process may have removed it first.
    plans.into_iter().take(many).for_each(|(_, path)| drop(std::fs::remove_file(path)));
    Ok(())
}

/// The plan, if these bytes are complete, belong to this request, and no file has changed since.
fn decode(bytes: &[u8], request: &Hash) -> Option<Plan> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, rest) = rest.split_at_checked(32)?;
    if blake3::hash(rest).as_bytes().as_slice() != sum {
        return None;
    }
    let mut reader = Reader { bytes: rest, texts: Vec::new(), gathers: Vec::new() };
    if &Hash::read(&mut reader)? != request {
        return None;
    }
    let files: Vec<(PathBuf, Hash)> = Codec::read(&mut reader)?;
    if files.iter().any(|(path, known)| digest(path).as_ref() != Some(known)) {
        return None;
    }
    Plan::read(&mut reader).filter(|_| reader.bytes.is_empty())
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    texts: BTreeMap<Arc<str>, u32>,
    /// Gathers by the address of their first cell: what is shared is the same allocation.
    gathers: BTreeMap<GatherId, u32>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    texts: Vec<Arc<str>>,
    gathers: Vec<Arc<[(Coordinates, Link)]>>,
}

impl Writer {
    fn text(&mut self, text: &str) {
        if let Some(number) = self.texts.get(text) {
            number.to_owned().write(self);
            return;
        }
        let number = length(self.texts.len());
        number.write(self);
        length(text.len()).write(self);
        self.bytes.extend_from_slice(text.as_bytes());
        self.texts.insert(text.into(), number);
    }
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<Arc<str>> {
        let number = u32::read(self)? as usize;
        if number == self.texts.len() {
            let count = u32::read(self)? as usize;
            let text: Arc<str> = std::str::from_utf8(self.take(count)?).ok()?.into();
            self.texts.push(text);
        }
        self.texts.get(number).cloned()
    }
}

fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What a cached plan can hold: how it is written and read.
trait Codec: Sized {
    fn write(&self, writer: &mut Writer);

    /// `None` if the bytes are not what was written.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty),*) => { $(
        impl Codec for $number {
            fn write(&self, writer: &mut Writer) {
                writer.bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                reader.take(size_of::<Self>())?.try_into().ok().map(Self::from_le_bytes)
            }
        }
    )* };
}

macro_rules! fields {
    ($($name:ident { $($field:ident),* })*) => { $(
        impl Codec for $name {
            fn write(&self, writer: &mut Writer) {
                let Self { $($field),* } = self;
                $($field.write(writer);)*
            }

            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                Some(Self { $($field: Codec::read(reader)?),* })
            }
        }
    )* };
}

numbers!(u8, u32, u64, i64, f64);

fields! {
    Plan {
        pipeline, profile, about, file, folder, seed, simulated, params, set, stages, instances, results, claims, releases, made_from
    }
    Stage {
        name, work, axes, instances, amounts, retry, timeout, accepts_absent, coverage, credential, temporary, place
    }
    ParamValue { value, origin }
    Place { file, line, column }
    Command { body, shell, out, env, tools, optional, isolated, net, random }
    Amounts { cpu, gpu, mem, net }
    Instance { stage, at, params, inputs, seed, restricted }
    Published { path, link, place }
    Claim { text, table, filter, column, equals, within, place }
    Release { ports, why }
    ProjectFile { path, only, ignore }
}

impl Codec for Hash {
    fn write(&self, writer: &mut Writer) {
        writer.bytes.extend_from_slice(self);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.take(32)?.try_into().ok()
    }
}

impl Codec for Shell {
    fn write(&self, writer: &mut Writer) {
        (*self == Shell::Sh).write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(if bool::read(reader)? { Shell::Sh } else { Shell::Bash })
    }
}

impl Codec for bool {
    fn write(&self, writer: &mut Writer) {
        u8::from(*self).write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        u8::read(reader).map(|byte| byte == 1)
    }
}

impl Codec for String {
    fn write(&self, writer: &mut Writer) {
        writer.text(self);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.text().map(|text| text.as_ref().to_owned())
    }
}

impl Codec for Arc<str> {
    fn write(&self, writer: &mut Writer) {
        writer.text(self);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.text()
    }
}

impl Codec for PathBuf {
    fn write(&self, writer: &mut Writer) {
        let bytes = self.as_os_str().as_bytes();
        length(bytes.len()).write(writer);
        writer.bytes.extend_from_slice(bytes);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let count = u32::read(reader)? as usize;
        reader.take(count).map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)))
    }
}

impl<T: Codec> Codec for Option<T> {
    fn write(&self, writer: &mut Writer) {
        self.is_some().write(writer);
        if let Some(value) = self {
            value.write(writer);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if bool::read(reader)? { T::read(reader).map(Some) } else { Some(None) }
    }
}

impl<A: Codec, B: Codec> Codec for (A, B) {
    fn write(&self, writer: &mut Writer) {
        self.0.write(writer);
        self.1.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some((A::read(reader)?, B::read(reader)?))
    }
}

impl<T: Codec> Codec for Vec<T> {
    fn write(&self, writer: &mut Writer) {
        length(self.len()).write(writer);
        self.iter().for_each(|item| item.write(writer));
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        (0..u32::read(reader)?).map(|_| T::read(reader)).collect()
    }
}

impl<K: Codec + Ord, V: Codec> Codec for BTreeMap<K, V> {
    fn write(&self, writer: &mut Writer) {
        length(self.len()).write(writer);
        self.iter().for_each(|(key, value)| {
            key.write(writer);
            value.write(writer);
        });
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        (0..u32::read(reader)?).map(|_| Codec::read(reader)).collect()
    }
}

impl<T: Codec + Ord> Codec for BTreeSet<T> {
    fn write(&self, writer: &mut Writer) {
        length(self.len()).write(writer);
        self.iter().for_each(|item| item.write(writer));
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        (0..u32::read(reader)?).map(|_| T::read(reader)).collect()
    }
}

impl Codec for Range<u32> {
    fn write(&self, writer: &mut Writer) {
        (self.start, self.end).write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        <(u32, u32)>::read(reader).map(|(start, end)| start..end)
    }
}

impl Codec for Duration {
    fn write(&self, writer: &mut Writer) {
        (self.as_secs(), self.subsec_nanos()).write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (seconds, nanos) = <(u64, u32)>::read(reader)?;
        (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
    }
}

impl Codec for StageId {
    fn write(&self, writer: &mut Writer) {
        self.0.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        u32::read(reader).map(StageId)
    }
}

impl Codec for InstanceId {
    fn write(&self, writer: &mut Writer) {
        self.0.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        u32::read(reader).map(InstanceId)
    }
}

impl Codec for ParamOrigin {
    fn write(&self, writer: &mut Writer) {
        (*self as u8).write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let origins = [Self::File, Self::Include, Self::Profile, Self::Set];
        origins.get(usize::from(u8::read(reader)?)).copied()
    }
}

impl Codec for Coordinates {
    fn write(&self, writer: &mut Writer) {
        self.0.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Codec::read(reader).map(Coordinates)
    }
}

impl Codec for Value {
    fn write(&self, writer: &mut Writer) {
        match self {
            Value::Null => 0_u8.write(writer),
            Value::Bool(value) => (1_u8, *value).write(writer),
            Value::Int(value) => (2_u8, *value).write(writer),
            Value::Float(value) => (3_u8, *value).write(writer),
            Value::Text(value) => {
                4_u8.write(writer);
                value.write(writer);
            }
            Value::List(values) => {
                5_u8.write(writer);
                values.write(writer);
            }
            Value::Map(values) => {
                6_u8.write(writer);
                values.write(writer);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match u8::read(reader)? {
            0 => Some(Value::Null),
            1 => Codec::read(reader).map(Value::Bool),
            2 => Codec::read(reader).map(Value::Int),
            3 => Codec::read(reader).map(Value::Float),
            4 => Codec::read(reader).map(Value::Text),
            5 => Codec::read(reader).map(Value::List),
            6 => Codec::read(reader).map(Value::Map),
            _ => None,
        }
    }
}

impl Codec for Work {
    fn write(&self, writer: &mut Writer) {
        match self {
            Work::Kind(name) => {
                0_u8.write(writer);
                name.write(writer);
            }
            Work::Command(command) => {
                1_u8.write(writer);
                command.as_ref().write(writer);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match u8::read(reader)? {
            0 => Codec::read(reader).map(Work::Kind),
            1 => Codec::read(reader).map(|command| Work::Command(Arc::new(command))),
            _ => None,
        }
    }
}

impl Codec for Tool {
    fn write(&self, writer: &mut Writer) {
        let (tag, text) = match self {
            Tool::Version(command) => (0_u8, command),
            Tool::Venv(folder) => (1, folder),
        };
        tag.write(writer);
        text.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match u8::read(reader)? {
            0 => Codec::read(reader).map(Tool::Version),
            1 => Codec::read(reader).map(Tool::Venv),
            _ => None,
        }
    }
}

impl Codec for Link {
    fn write(&self, writer: &mut Writer) {
        match self {
            Link::Output { instance, port, entry } => {
                0_u8.write(writer);
                instance.write(writer);
                port.write(writer);
                entry.write(writer);
            }
            Link::File(path) => {
                1_u8.write(writer);
                path.as_ref().write(writer);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match u8::read(reader)? {
            0 => Some(Link::Output {
                instance: Codec::read(reader)?,
                port: Codec::read(reader)?,
                entry: Codec::read(reader)?,
            }),
            1 => Codec::read(reader).map(|file| Link::File(Arc::new(file))),
            _ => None,
        }
    }
}

impl Codec for Source {
    fn write(&self, writer: &mut Writer) {
        let cells = match self {
            Source::One(link) => {
                0_u8.write(writer);
                link.write(writer);
                return;
            }
            Source::Many(cells) => cells,
        };
        1_u8.write(writer);
        let next = length(writer.gathers.len());
        let number = *writer.gathers.entry(GatherId::of(cells)).or_insert(next);
        number.write(writer);
        if number == next {
            length(cells.len()).write(writer);
            cells.iter().for_each(|(at, link)| {
                at.write(writer);
                link.write(writer);
            });
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if u8::read(reader)? == 0 {
            return Codec::read(reader).map(Source::One);
        }
        let number = u32::read(reader)? as usize;
        if number == reader.gathers.len() {
            let cells: Vec<(Coordinates, Link)> = Codec::read(reader)?;
            reader.gathers.push(cells.into());
        }
        reader.gathers.get(number).cloned().map(Source::Many)
    }
}

impl Codec for ReleaseWhy {
    fn write(&self, writer: &mut Writer) {
        match self {
            ReleaseWhy::Aggregate(subjects) => (0_u8, *subjects).write(writer),
            ReleaseWhy::Approved { because, approved } => {
                1_u8.write(writer);
                because.write(writer);
                approved.write(writer);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match u8::read(reader)? {
            0 => Codec::read(reader).map(ReleaseWhy::Aggregate),
            1 => Some(ReleaseWhy::Approved { because: Codec::read(reader)?, approved: Codec::read(reader)? }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "pipe: 1\npipeline: p\nparams: { subjects: { lines: ids.txt } }\nstages:\n  \
        a: { each: { sid: $params.subjects }, run: x, with: { n: 1, f: 0.5, l: [a, true] }, random: true, out: { t: t.txt } }\n  \
        b: { each: { r: 1..3 }, run: x, in: { t: $a(*).t, f: x.csv }, tools: { sh: sh --version }, timeout: 3 s, out: { t: t.txt } }\n\
        results: { \"t_${r}.txt\": $b.t }\n\
        claims: [{ text: c, cell: { table: $a(sid=s1).t, where: { x: y }, column: c }, equals: 1 }]\n\
        release: [{ ports: [a.t], because: x, approved: y }]\n";

    fn shown(plan: &Plan) -> String {
        format!("{plan:?}")
    }

    #[test]
    fn a_cached_plan_is_used_until_a_byte_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, ids, cache) =
            (folder.path().join("p.yaml"), folder.path().join("ids.txt"), folder.path().join("cache"));
        std::fs::write(&file, FILE).expect("written");
        std::fs::write(&ids, "s1\ns2\n").expect("written");
        let registry = Registry::new();
        let options = Options::default();
        let plan = || plan_cached(&file, &options, &registry, "build", &cache).expect("plans");
        let count = || std::fs::read_dir(&cache).map_or(0, Iterator::count);

        let first = plan();
        assert_eq!(count(), 1);
        let bytes =
            std::fs::read(std::fs::read_dir(&cache).expect("a cache").next().expect("one").expect("entry").path());
        let request = request(&file, &options, "build");
        let read = decode(&bytes.expect("readable"), &request).expect("right");
        assert_eq!(shown(&read), shown(&first));
        assert_eq!(shown(&plan()), shown(&first));
        let shared = |id: usize| match &read.instances[id].inputs["t"] {
            Source::Many(cells) => cells.clone(),
            Source::One(_) => panic!("a gather"),
        };
        assert!(Arc::ptr_eq(&shared(2), &shared(4)), "readers share gathers again");

        std::fs::write(&ids, "s1\ns3\n").expect("written");
        assert_eq!(plan().instances[1].at["sid"], "s3", "a change of equal size is noticed");
        plan_cached(&file, &options, &registry, "other build", &cache).expect("plans");
        assert_eq!(count(), 2, "another binary has plans of its own");
    }

    #[test]
    fn damaged_bytes_are_not_a_plan() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, cache) = (folder.path().join("p.yaml"), folder.path().join("cache"));
        std::fs::write(&file, FILE).expect("written");
        std::fs::write(folder.path().join("ids.txt"), "s1\n").expect("written");
        plan_cached(&file, &Options::default(), &Registry::new(), "build", &cache).expect("plans");
        let path = std::fs::read_dir(&cache).expect("a cache").next().expect("one").expect("entry").path();
        let bytes = std::fs::read(path).expect("readable");
        let request = request(&file, &Options::default(), "build");
        assert!(decode(&bytes, &request).is_some());
        for cut in [0, 10, 40, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode(&bytes[..cut], &request).is_none());
        }
        for at in (0..bytes.len()).step_by(37) {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(decode(&other, &request).is_none());
        }
    }
}
