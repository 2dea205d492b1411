//! The lockfile: digests of all published results of one profile, for reviewers and CI, with what is needed to say why
//! others come out.
//!
//! It lies beside the pipeline file, as `<file>.<profile>.lock`, and is made to be committed: JSON with one entry a line,
//! sorted, without times, paths or machines. A file of that name that is not a lockfile belongs to another program and is
//! never replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_cache::{Content, Digest};
use pipe_contract::{Failure, Value};
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// The version of the form of lockfiles that is written.
///
/// 2 adds parameters, stages and tolerances; 1 had results only, and is still read.
pub const LOCKFILE_VERSION: u32 = 2;

/// Such a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lockfile {
    /// Its version; [`LOCKFILE_VERSION`] or an earlier one.
    pub lock: u32,
    /// The pipeline.
    pub pipeline: String,
    /// The profile, if the file has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The final value of every param, as [`crate::plan::ParamValue`] has it. (Since 2; early ones have `1.1` where `1.10` is
    /// written.)
    #[serde(default)]
    pub parameters: BTreeMap<String, Value>,
    /// Digests of the keys and outputs of every stage, in the order in which they run. (Since 2.)
    #[serde(default)]
    pub stages: Vec<LockedStage>,
    /// By path below the results folder.
    pub results: BTreeMap<String, Locked>,
}

/// All instances of a stage together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedStage {
    /// The stage.
    pub stage: String,
    /// Whether the same work was to be done.
    pub keys: LockedDigests,
    /// Whether the same was made.
    pub outputs: LockedDigests,
}

/// A digest over the instances of a stage, and marks by which the one that differs is found. Nothing of a stage with
/// restricted data, because digests of small artifacts can be guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LockedDigests {
    /// `DIGEST MARKS`; empty if nothing is locked.
    ///
    /// The digest is that of the coordinates of the instances, in the order of the plan, with what is locked of each. The marks
    /// are those of each instance alone, the first [`MARK`] hexadecimal digits: enough to name an instance, too few to vouch for
    /// it. They are one after the other, without anything between them; a stage of one instance needs no name and has none.
    text: String,
}

/// The length of a mark.
const MARK: usize = 6;
/// The length of a digest.
const DIGEST: usize = 64;

impl LockedDigests {
    /// Of instances: coordinates, and the digests that are locked of each.
    fn of<'i, D: IntoIterator<Item = &'i [u8; 32]>>(instances: impl ExactSizeIterator<Item = (&'i str, D)>) -> Self {
        let has_marks = instances.len() > 1;
        let (mut whole, mut marks) = (Vec::new(), String::new());
        for (at, digests) in instances {
            let start = whole.len();
            whole.extend_from_slice(&(at.len() as u64).to_le_bytes());
            whole.extend_from_slice(at.as_bytes());
            digests.into_iter().for_each(|digest| whole.extend_from_slice(digest));
            if has_marks {
                marks.push_str(&Digest::<Content>::of(&whole[start..]).short(MARK));
            }
        }
        let digest = Digest::<Content>::of(&whole).to_string();
        Self { text: if has_marks { [&digest, " ", &marks].concat() } else { digest } }
    }

    /// The position among the instances of the first one that an earlier lockfile does not have like this; `None` if it
    /// is not known, or if instances are only missing.
    pub fn first_unlike(&self, earlier: &Self) -> Option<usize> {
        let known: BTreeSet<&[u8]> = earlier.marks().collect();
        if known.is_empty() { None } else { self.marks().position(|mark| !known.contains(mark)) }
    }

    /// Whether two differ; what is not known does not.
    pub fn differs_from(&self, other: &Self) -> bool {
        matches!((self.digest(), other.digest()), (Some(ours), Some(theirs)) if ours != theirs)
    }

    fn digest(&self) -> Option<&str> {
        self.text.get(..DIGEST)
    }

    fn marks(&self) -> impl Iterator<Item = &[u8]> {
        self.text.as_bytes().get(DIGEST + 1..).unwrap_or_default().chunks(MARK)
    }
}

impl From<LockedDigests> for String {
    fn from(digests: LockedDigests) -> Self {
        digests.text
    }
}

impl TryFrom<String> for LockedDigests {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (digest, marks) = text.split_once(' ').unwrap_or((&text, ""));
        digest.parse::<Digest<Content>>().map_err(|error| error.to_string())?;
        if !marks.is_ascii() || marks.len() % MARK != 0 {
            return Err(format!("expected marks of {MARK} digits, found `{marks}`"));
        }
        Ok(Self { text })
    }
}

/// What is locked of one instance.
#[derive(Clone, Debug)]
pub struct LockedInstance {
    /// Its coordinates, as text.
    pub at: String,
    /// Its key; zeros if it has none.
    pub key: [u8; 32],
    /// Digests of its outputs, by port in ascending order.
    pub outputs: Vec<Digest<Content>>,
}

impl LockedStage {
    /// A stage with its instances in the order of the plan.
    pub fn new(stage: &str, instances: &[LockedInstance]) -> Self {
        let keys = instances.iter().map(|one| (one.at.as_str(), [&one.key]));
        let outputs = instances.iter().map(|one| (one.at.as_str(), one.outputs.iter().map(Digest::as_bytes)));
        let (keys, outputs) = (LockedDigests::of(keys), LockedDigests::of(outputs));
        Self { stage: stage.to_owned(), keys, outputs }
    }

    /// A stage with restricted data.
    pub fn restricted(stage: &str) -> Self {
        Self { stage: stage.to_owned(), keys: LockedDigests::default(), outputs: LockedDigests::default() }
    }
}

/// One published file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Locked {
    /// Of its bytes.
    pub digest: Digest<Content>,
    /// Its size.
    pub bytes: u64,
    /// By how much its numbers may differ, where a kind behind it promises no more. (Since 2.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

/// Where the lockfile of a plan lies.
pub fn lockfile_path(plan: &Plan) -> PathBuf {
    let stem = plan.file.file_stem().unwrap_or(plan.file.as_os_str()).to_string_lossy();
    let profile = plan.profile.as_ref().map(|profile| format!(".{profile}")).unwrap_or_default();
    plan.folder.join(format!("{stem}{profile}.lock"))
}

/// What lies at the place of a lockfile.
enum Found {
    Nothing,
    Lockfile(Lockfile),
    /// A lockfile of a version that this program does not read.
    OtherVersion(u64),
    /// Something else, and why it is not a lockfile.
    Foreign(String),
}

impl Lockfile {
    /// The lockfile of a plan with these stages and results.
    pub fn new(plan: &Plan, stages: Vec<LockedStage>, results: BTreeMap<String, Locked>) -> Self {
        let parameters = plan.params.iter().map(|(name, param)| (name.clone(), param.value.clone())).collect();
        let (pipeline, profile) = (plan.pipeline.clone(), plan.profile.clone());
        Self { lock: LOCKFILE_VERSION, pipeline, profile, parameters, stages, results }
    }

    /// Reads a lockfile; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is not a lockfile of a version that this program reads.
    pub fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let wrong = |what: String| {
            Failure::input(format!("`{}` is not a lockfile of this version of pipe: {what}", path.display()))
                .hint("if it is not another program's file, delete it and run the pipeline: it is written anew")
        };
        match found_at(path)? {
            Found::Nothing => Ok(None),
            Found::Lockfile(lockfile) => Ok(Some(lockfile)),
            Found::Foreign(why) => Err(wrong(why)),
            Found::OtherVersion(version) => {
                Err(wrong(format!("expected `lock` {LOCKFILE_VERSION} or less, found {version}")))
            }
        }
    }

    /// Writes it, if it is not there already with the same content.
    ///
    /// # Errors
    /// The folder cannot be written, or a file that is not a lockfile has its name.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        // One fixed name, so that what a killed run left is removed or replaced by the next.
        let aside = path.with_file_name(format!(".{name}.pipe-writing"));
        let text = self.text();
        // Almost always so, and much cheaper than reading what it says.
        if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
            let _ = fs::remove_file(aside);
            return Ok(());
        }
        match found_at(path)? {
            Found::Nothing | Found::Lockfile(_) | Found::OtherVersion(_) => {}
            Found::Foreign(why) => {
                return Err(Failure::input(format!(
                    "the lockfile was not written: `{}` exists and is not a lockfile of pipe ({why})",
                    path.display()
                ))
                .hint("rename that file, or the pipeline file; if it was a lockfile once, delete it and run again"));
            }
        }
        let io = |error: io::Error| Failure::io("write", path, &error);
        fs::write(&aside, text).map_err(io)?;
        fs::rename(&aside, path).map_err(io)
    }

    /// As text: one entry a line, so that a review shows what moved.
    fn text(&self) -> String {
        let quoted = |text: &str| json(&text);
        let mut text = format!("{{\n  \"lock\": {},\n  \"pipeline\": {},\n", self.lock, quoted(&self.pipeline));
        if let Some(profile) = &self.profile {
            text.push_str(&format!("  \"profile\": {},\n", quoted(profile)));
        }
        let parameter = |(name, value): (&String, &Value)| format!("    {}: {}", quoted(name), json(value));
        text.push_str(&block("parameters", ['{', '}'], self.parameters.iter().map(parameter)));
        text.push_str(",\n");
        // Put together without formatting: there may be ten thousand.
        let stage = |LockedStage { stage, keys, outputs }: &LockedStage| {
            let (stage, keys, outputs) = (&quoted(stage)[..], &keys.text[..], &outputs.text[..]);
            ["    { \"stage\": ", stage, ", \"keys\": \"", keys, "\", \"outputs\": \"", outputs, "\" }"].concat()
        };
        text.push_str(&block("stages", ['[', ']'], self.stages.iter().map(stage)));
        text.push_str(",\n");
        let result = |(path, locked): (&String, &Locked)| {
            let Locked { digest, bytes, tolerance } = locked;
            let tolerance = tolerance.map(|tolerance| format!(", \"tolerance\": {tolerance:e}")).unwrap_or_default();
            format!("    {}: {{ \"digest\": \"{digest}\", \"bytes\": {bytes}{tolerance} }}", quoted(path))
        };
        text.push_str(&block("results", ['{', '}'], self.results.iter().map(result)));
        text.push_str("\n}\n");
        text
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// A member of the outer object with one entry a line.
fn block(name: &str, [open, close]: [char; 2], lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return format!("  \"{name}\": {open}{close}");
    }
    format!("  \"{name}\": {open}\n{}\n  {close}", lines.join(",\n"))
}

fn found_at(path: &Path) -> Result<Found, Failure> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            return Ok(Found::Foreign("it is a folder".into()));
        }
        Err(error) => return Err(Failure::io("read", path, &error)),
    };
    let value: serde_json::Value = match serde_json::from_slice(&bytes) {
        Ok(value) => value,
        Err(error) => return Ok(Found::Foreign(error.to_string())),
    };
    let version = value.get("lock").and_then(serde_json::Value::as_u64);
    let (Some(version), true) = (version, value.get("pipeline").is_some_and(serde_json::Value::is_string)) else {
        return Ok(Found::Foreign("it has no `lock` with a number and no `pipeline` with a name".into()));
    };
    if !(1..=u64::from(LOCKFILE_VERSION)).contains(&version) {
        return Ok(Found::OtherVersion(version));
    }
    Ok(serde_json::from_value(value).map_or_else(|error| Found::Foreign(error.to_string()), Found::Lockfile))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lockfile() -> Lockfile {
        let locked = |tolerance| Locked { digest: Digest::of(b"x"), bytes: 1, tolerance };
        let stage = LockedStage::new("s", &instances(&[("a=1", b"k", b"o"), ("a=2", b"l", b"p")]));
        Lockfile {
            lock: 2,
            pipeline: "p".into(),
            profile: Some("demo".into()),
            parameters: BTreeMap::from([
                ("epochs".into(), Value::Int(3)),
                ("rates".into(), Value::List(vec![Value::Float(1e-9), Value::Text("a\nb".into())])),
            ]),
            stages: vec![stage, LockedStage::restricted("r")],
            results: BTreeMap::from([("a \"b\".csv".into(), locked(None)), ("c.csv".into(), locked(Some(1e-5)))]),
        }
    }

    /// Coordinates, key and output.
    type Instance<'i> = (&'i str, &'i [u8], &'i [u8]);

    fn instances(of: &[Instance<'_>]) -> Vec<LockedInstance> {
        let one = |(at, key, output): &Instance<'_>| LockedInstance {
            at: (*at).to_owned(),
            key: *Digest::<Content>::of(key).as_bytes(),
            outputs: vec![Digest::of(output)],
        };
        of.iter().map(one).collect()
    }

    #[test]
    fn the_first_instance_that_differs_is_found() {
        let stage = |of: &[Instance<'_>]| LockedStage::new("s", &instances(of));
        let before = stage(&[("a=1", b"k", b"o"), ("a=2", b"l", b"p"), ("a=3", b"m", b"q")]);
        let same_work = stage(&[("a=1", b"k", b"o"), ("a=2", b"l", b"x"), ("a=3", b"m", b"q")]);
        assert!(!same_work.keys.differs_from(&before.keys) && same_work.outputs.differs_from(&before.outputs));
        assert_eq!(same_work.outputs.first_unlike(&before.outputs), Some(1));
        let added = stage(&[("a=0", b"k", b"o"), ("a=1", b"k", b"o"), ("a=2", b"l", b"p"), ("a=3", b"m", b"q")]);
        assert_eq!(added.keys.first_unlike(&before.keys), Some(0));
        let removed = stage(&[("a=1", b"k", b"o"), ("a=2", b"l", b"p")]);
        assert!(removed.keys.differs_from(&before.keys));
        assert_eq!(removed.keys.first_unlike(&before.keys), None);
        let restricted = LockedStage::restricted("s");
        assert!(!restricted.keys.differs_from(&before.keys));
    }

    #[test]
    fn a_lockfile_reads_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.demo.lock");
        assert_eq!(Lockfile::read(&path).unwrap(), None);
        let empty =
            Lockfile { parameters: BTreeMap::new(), stages: Vec::new(), results: BTreeMap::new(), ..lockfile() };
        for lockfile in [empty, lockfile()] {
            lockfile.write(&path).unwrap();
            assert_eq!(Lockfile::read(&path).unwrap(), Some(lockfile));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn the_first_version_is_read_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.lock");
        let digest = Digest::<Content>::of(b"x");
        let first = format!(
            "{{\n  \"lock\": 1,\n  \"pipeline\": \"p\",\n  \"results\": {{\n    \"a\": {{ \"digest\": \"{digest}\", \"bytes\": 1 }}\n  }}\n}}\n"
        );
        fs::write(&path, first).unwrap();
        let read = Lockfile::read(&path).unwrap().unwrap();
        assert_eq!((read.lock, read.results["a"].bytes, read.stages.len()), (1, 1, 0));
        lockfile().write(&path).unwrap();
        assert_eq!(Lockfile::read(&path).unwrap(), Some(lockfile()));
        fs::write(&path, "{ \"lock\": 3, \"pipeline\": \"p\" }").unwrap();
        assert!(Lockfile::read(&path).unwrap_err().message.contains("expected `lock` 2 or less, found 3"));
    }

    #[test]
    fn a_file_of_another_program_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.lock");
        for foreign in ["{\"owner\": \"another program\"}\n", "", "[1]", "not JSON", "{\"lock\": \"yes\"}"] {
            fs::write(&path, foreign).unwrap();
            let failure = lockfile().write(&path).unwrap_err();
            assert!(failure.message.contains("is not a lockfile of pipe"), "{failure}");
            assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
            assert!(Lockfile::read(&path).is_err());
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(lockfile().write(&path).unwrap_err().message.contains("it is a folder"));
    }
}
