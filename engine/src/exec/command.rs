//! `run:` stages: what a body finds when it starts, and what must be there when it ends.
//!
//! ```text
//! WORK/files/   the working folder: declared files of the project at their places, nothing else of it
//! WORK/in/      all other inputs; a stage cannot write here
//! WORK/out/     OUT_*: the folder of outputs; a declared folder exists already
//! WORK/lists/   IN_*_LIST and IN_*_ABSENT of gathers
//! WORK/tmp/     HOME and TMPDIR, empty
//! ```
//! - A file or folder of the project is at its path relative to the pipeline file, so `python scripts/fit.py` works
//!   in the body as it does in the project, once `scripts/fit.py` is declared. All else is in `../in/` under
//!   the name of its port, with the extension it was made with.
//! - `IN_*` and `OUT_*` are relative to the working folder: a body that prints them (`wc -l "$IN_X"`) gives the same bytes
//!   in every run. The value of a folder ends in `/`, so that `find "$IN_X"` looks into it and not at the link.
//! - A gather is a folder with one entry a cell, named by its coordinates (`rater=A1,sid=s01.csv`). `IN_NAME_LIST`
//!   names a text with a line `COORDINATES<TAB>PATH` for each present cell, `IN_NAME_ABSENT` one with
//!   `COORDINATES<TAB>CAUSE` for each absent one, both sorted by coordinates.
//! - `PARAM_*`: text, numbers and booleans as written, nothing for `null`; a list of those one item a line; else JSON,
//!   with numbers as written where JSON allows it.
//! - `EACH_AXIS` is the coordinate, `SEED` the seed, `THREADS` how many threads it was granted (it is not in the key:
//!   a body whose bytes depend on it breaks the promise of every stage).
//! - Names are upper-cased and what is neither letter nor digit becomes `_`.
//!
//! Nothing is copied: a file of the cache gets one more name in `in/`, and folders and files of the project are symbolic
//! links. The rule that a stage writes only to `files`, `out` and `tmp` ([`super::landlock`]) protects what they
//! point to. (Symbolic links for all would do, but making and deleting one costs several times as much as a second name,
//! and was the largest part of what the engine spends on a small stage.) Copies, which look the same, are made where a
//! file cannot have another name, and where a stage could write to the cache, because it runs as root and the kernel has
//! no such rule.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Component, Path, PathBuf};

use pipe_contract::{Coordinates, Ended, Failure, Presence, Value};

use super::{CommandTask, landlock};
use crate::ids::InstanceId;
use crate::plan::{Link, Plan, Source, Work};

/// Where an input appears to a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Placed {
    /// One artifact.
    One {
        /// Path relative to the working folder.
        name: PathBuf,
        /// Where its content is, absolute.
        content: PathBuf,
    },
    /// A gather: a folder with an entry for each present cell.
    Many {
        /// The folder's path relative to the working folder.
        name: PathBuf,
        /// The cells, sorted by coordinates.
        cells: Vec<PlacedCell>,
    },
}

/// One cell of a gather of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedCell {
    /// Coordinates that were gathered or picked.
    pub at: Coordinates,
    /// The entry's name in the gather's folder.
    pub name: String,
    /// Where its content is (absolute), or why there is none.
    pub artifact: Presence,
}

/// The folder of inputs that are not at their place in the project, relative to the working folder.
const IN: &str = "../in";

/// Names the inputs of a `run:` instance; `find` gives the content of a link. A single input that is absent is left out.
pub fn layout_inputs(plan: &Plan, id: InstanceId, mut find: impl FnMut(&Link) -> Presence) -> BTreeMap<String, Placed> {
    let mut placed = BTreeMap::new();
    for (port, source) in &plan.instance(id).inputs {
        let input = match source {
            Source::One(link) => match find(link) {
                Presence::Present(content) => Placed::One { name: name_of(plan, port, link), content },
                Presence::Absent(_) => continue,
            },
            Source::Many(cells) => {
                let cell = |(at, link): &(Coordinates, Link)| PlacedCell {
                    at: at.clone(),
                    name: with_extension(&entry_name(at), extension_of(plan, link)),
                    artifact: find(link),
                };
                Placed::Many { name: Path::new(IN).join(port), cells: cells.iter().map(cell).collect() }
            }
        };
        placed.insert(port.clone(), input);
    }
    placed
}

/// Where a command writes an output declared as `declared` (`out:`), given its [`CommandTask::work`].
pub fn output_path(work: &Path, declared: &str) -> PathBuf {
    work.join("out").join(declared.trim_end_matches('/'))
}

/// The name of a single input, relative to the working folder.
fn name_of(plan: &Plan, port: &str, link: &Link) -> PathBuf {
    if let Link::File(path) = link
        && path.only.is_none()
        && let Ok(inside) = path.strip_prefix(&plan.folder)
        && inside.components().next().is_some()
        && inside.components().all(|part| matches!(part, Component::Normal(_)))
    {
        return inside.to_path_buf();
    }
    Path::new(IN).join(with_extension(port, extension_of(plan, link)))
}

/// The extension of what is behind a link, if its name has one: programs choose their reader by it.
fn extension_of<'a>(plan: &'a Plan, link: &'a Link) -> Option<&'a str> {
    let name = match link {
        Link::File(file) if file.only.is_some() => return None,
        Link::File(path) => path.file_name()?.to_str()?,
        Link::Output { entry: Some(entry), .. } => entry.rsplit('/').next()?,
        Link::Output { instance, port, entry: None } => match &plan.stage_of(*instance).work {
            Work::Command(command) => command.out.get(&**port)?.rsplit('/').next()?,
            Work::Kind(_) => return None,
        },
    };
    let (stem, last) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty())?;
    // `x.nii.gz` is a `.nii.gz`: the suffix of a compressor does not name the content.
    match stem.rsplit_once('.') {
        Some((stem, _)) if ["gz", "bz2", "xz", "zst"].contains(&last) && !stem.is_empty() => {
            Some(&name[stem.len() + 1..])
        }
        _ => Some(last),
    }
}

fn with_extension(stem: &str, extension: Option<&str>) -> String {
    match extension {
        Some(extension) if !extension.is_empty() => format!("{stem}.{extension}"),
        _ => stem.to_owned(),
    }
}

/// `rater=A1,sid=s01`; what cannot be in a file name is written `%2F`.
fn entry_name(at: &Coordinates) -> String {
    if at.is_empty() {
        return "only".to_owned();
    }
    let safe = |text: &str| text.replace('%', "%25").replace('/', "%2F").replace(',', "%2C");
    at.iter().map(|(axis, at)| format!("{axis}={}", safe(at))).collect::<Vec<_>>().join(",")
}

/// A variable of the environment.
pub(super) type Variable = (String, OsString);

/// How a command gets at what is in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// By more names for the same files, or links to them: it cannot write there.
    Names,
    /// By files of its own.
    Copies,
}

impl Sharing {
    /// What is safe here: files of the cache are read-only, which only root ignores, and only rules stop root.
    pub fn safe() -> Self {
        if landlock::is_enforced() || !rustix::process::geteuid().is_root() { Self::Names } else { Self::Copies }
    }
}

/// The folders of one command.
pub(super) struct Layout {
    pub files: PathBuf,
    pub out: PathBuf,
    pub tmp: PathBuf,
    inputs: PathBuf,
    lists: PathBuf,
}

impl Layout {
    pub fn of(work: &Path) -> Self {
        let below = |name| work.join(name);
        Self { files: below("files"), out: below("out"), tmp: below("tmp"), inputs: below("in"), lists: below("lists") }
    }

    /// Where a name is that is relative to the working folder.
    fn place(&self, name: &Path) -> PathBuf {
        name.strip_prefix(IN).map_or_else(|_| self.files.join(name), |name| self.inputs.join(name))
    }
}

/// Lays out the folders of a command and returns its environment.
///
/// # Errors
/// Two inputs map to one place, two names become one variable, or an I/O error.
pub(super) fn prepare(task: &CommandTask, sharing: Sharing) -> Result<(Layout, Vec<Variable>), Failure> {
    let layout = Layout::of(&task.work);
    for folder in [&layout.files, &layout.out, &layout.tmp, &layout.inputs] {
        match fs::create_dir(folder) {
            // A working folder that an earlier stage used: its parts are there, and empty.
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Failure::io("make the folder", folder, &error));
            }
            _ => {}
        }
    }
    for declared in task.command.out.values() {
        prepare_output(&task.work, declared)?;
    }
    let mut variables = Variables::default();
    variables.system(task, &layout);
    for (name, value) in &task.command.env {
        variables.add(format!("variable `{name}` of `env:`"), name.clone(), value.into())?;
    }
    for (port, placed) in &task.inputs {
        let value = place(task, sharing, &layout, port, placed, &mut variables)?;
        variables.add(format!("input `{port}`"), format!("IN_{}", shouted(port)), value)?;
    }
    for (port, declared) in &task.command.out {
        let value = format!("../out/{declared}").into();
        variables.add(format!("output `{port}`"), format!("OUT_{}", shouted(port)), value)?;
    }
    for (name, value) in &task.params {
        let text = parameter_text(value)?.into();
        variables.add(format!("parameter `{name}`"), format!("PARAM_{}", shouted(name)), text)?;
    }
    for (axis, at) in task.at.iter() {
        variables.add(format!("axis `{axis}`"), format!("EACH_{}", shouted(axis)), at.into())?;
    }
    if let Some(seed) = task.seed {
        variables.add("the seed".to_owned(), "SEED".to_owned(), seed.to_string().into())?;
    }
    Ok((layout, variables.list))
}

/// The environment as it is built; the same name from two sources is an error.
#[derive(Default)]
struct Variables {
    list: Vec<Variable>,
    owners: BTreeMap<String, String>,
}

impl Variables {
    /// What every command gets. `env:` may replace any of these.
    fn system(&mut self, task: &CommandTask, layout: &Layout) {
        let threads = task.threads.max(1).to_string();
        self.list = [
            ("PATH", task.path.clone()),
            ("HOME", layout.tmp.clone().into()),
            ("TMPDIR", layout.tmp.clone().into()),
            ("LANG", "C.UTF-8".into()),
            ("LC_ALL", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("THREADS", threads.into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    }

    fn add(&mut self, owner: String, name: String, value: OsString) -> Result<(), Failure> {
        if let Some(before) = self.owners.get(&name) {
            return Err(Failure::input(format!("{before} and {owner} both become the variable `{name}`"))
                .hint("rename one of them"));
        }
        self.list.retain(|(known, _)| *known != name);
        self.list.push((name.clone(), value));
        self.owners.insert(name, owner);
        Ok(())
    }
}

/// `prf-raw` as part of a variable: `PRF_RAW`.
pub(super) fn shouted(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

fn parameter_text(value: &Value) -> Result<String, Failure> {
    let is_plain = |value: &Value| !matches!(value, Value::List(_) | Value::Map(_));
    Ok(match value {
        Value::Null => String::new(),
        Value::List(items) if items.iter().all(is_plain) => {
            items.iter().map(parameter_text).collect::<Result<Vec<_>, _>>()?.join("\n")
        }
        Value::List(_) | Value::Map(_) => serde_json::to_string(value)
            .map_err(|error| Failure::internal(format!("a parameter has no JSON form: {error}")))?,
        plain => plain.to_string(),
    })
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::io("make the folder", path, &error))
}

/// Makes the folder an output goes to, or the output itself if it is one.
fn prepare_output(work: &Path, declared: &str) -> Result<(), Failure> {
    let path = output_path(work, declared);
    let inside = Path::new(declared).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if declared.trim_end_matches('/').is_empty() || !inside {
        return Err(Failure::input(format!("output `{declared}` is not a path below the stage's output folder")));
    }
    match path.parent() {
        _ if declared.ends_with('/') => make_folder(&path),
        // Most outputs lie in the output folder itself, which is there.
        Some(parent) if declared.contains('/') => make_folder(parent),
        _ => Ok(()),
    }
}

/// Puts an input in its place and returns the value of its variable.
fn place(
    task: &CommandTask,
    sharing: Sharing,
    layout: &Layout,
    port: &str,
    placed: &Placed,
    variables: &mut Variables,
) -> Result<OsString, Failure> {
    match placed {
        Placed::One { name, content } => {
            if !is_inside_another(port, name, content, &task.inputs)? {
                provide(task, sharing, content, layout, name)?;
            }
            Ok(value_of(name, content))
        }
        Placed::Many { name, cells } => {
            make_folder(&layout.place(name))?;
            make_folder(&layout.lists)?;
            let (mut present, mut absent) = (String::new(), String::new());
            for cell in cells {
                let at = one_line(&cell.at)?;
                match &cell.artifact {
                    Presence::Present(content) => {
                        provide(task, sharing, content, layout, &name.join(&cell.name))?;
                        let path = value_of(&name.join(&cell.name), content);
                        present.push_str(&format!("{at}\t{}\n", path.to_string_lossy()));
                    }
                    Presence::Absent(cause) => absent.push_str(&format!("{at}\t{cause}\n")),
                }
            }
            for (suffix, text) in [("LIST", present), ("ABSENT", absent)] {
                let file = format!("{port}.{}", suffix.to_lowercase());
                let path = layout.lists.join(&file);
                fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))?;
                let name = format!("IN_{}_{suffix}", shouted(port));
                variables.add(format!("the list of input `{port}`"), name, format!("../lists/{file}").into())?;
            }
            let mut value = name.clone().into_os_string();
            value.push("/");
            Ok(value)
        }
    }
}

fn one_line(at: &Coordinates) -> Result<String, Failure> {
    let text = at.to_string();
    if text.contains(['\t', '\n']) {
        return Err(Failure::input(format!("coordinates `{}` hold a tab or a line break", text.escape_debug()))
            .hint("a list of a gather has one line a cell; use other axis values"));
    }
    Ok(text)
}

fn value_of(name: &Path, content: &Path) -> OsString {
    let mut value = name.as_os_str().to_owned();
    if content.is_dir() {
        value.push("/");
    }
    value
}

/// Makes a content readable under a name that does not exist.
fn provide(task: &CommandTask, sharing: Sharing, content: &Path, layout: &Layout, name: &Path) -> Result<(), Failure> {
    let place = layout.place(name);
    if !is_shared(task, name, content) {
        return link(content, &place);
    }
    if sharing == Sharing::Names && fs::hard_link(content, &place).is_ok() {
        return Ok(());
    }
    match (sharing, content.is_dir()) {
        (Sharing::Names, true) => link(content, &place),
        (Sharing::Copies, true) => {
            let own = task.work.join("copies").join(name.strip_prefix(IN).unwrap_or(name));
            make_folder(own.parent().unwrap_or(&task.work))?;
            copy(content, &own)?;
            link(&own, &place)
        }
        // The file system has no hard links, or none for files of another user, or the file has as many as it can have.
        (_, false) => copy(content, &place),
    }
}

/// Whether an input may be one more name of a file of the cache.
fn is_shared(task: &CommandTask, name: &Path, content: &Path) -> bool {
    name.starts_with(IN) && content.starts_with(&task.cache)
}

fn link(content: &Path, place: &Path) -> Result<(), Failure> {
    let linked = match symlink(content, place) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            make_folder(place.parent().unwrap_or(place))?;
            symlink(content, place)
        }
        linked => linked,
    };
    linked.map_err(|error| Failure::io("link an input to", place, &error))
}

fn copy(content: &Path, place: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("copy an input to", place, &error);
    for entry in walkdir::WalkDir::new(content) {
        let entry = entry.map_err(|error| failed(error.into()))?;
        let below = entry.path().strip_prefix(content).unwrap_or(Path::new(""));
        let target = if below.as_os_str().is_empty() { place.to_owned() } else { place.join(below) };
        let copied = if entry.file_type().is_dir() {
            fs::create_dir(&target)
        } else {
            fs::copy(entry.path(), &target).map(drop)
        };
        copied.map_err(failed)?;
    }
    Ok(())
}

/// Replaces hard links to files of the cache by symbolic links: users inspect and edit the folder of a failed command,
/// and would not see that a file there belongs to the cache.
pub(super) fn unshare_inputs(task: &CommandTask) {
    let layout = Layout::of(&task.work);
    let replace = |name: &Path, content: &Path| {
        let place = layout.place(name);
        let shared = fs::symlink_metadata(&place).is_ok_and(|found| found.is_file() && found.nlink() > 1);
        if shared && is_shared(task, name, content) && fs::remove_file(&place).is_ok() {
            let _ = symlink(content, &place);
        }
    };
    for placed in task.inputs.values() {
        match placed {
            Placed::One { name, content } => replace(name, content),
            Placed::Many { name, cells } => cells.iter().for_each(|cell| {
                if let Presence::Present(content) = &cell.artifact {
                    replace(&name.join(&cell.name), content);
                }
            }),
        }
    }
}

/// Whether an input is reached through another that is placed already: the same file under a second port, or a file of
/// a folder that is declared too. Anything else at the same place is refused.
fn is_inside_another(port: &str, name: &Path, content: &Path, all: &BTreeMap<String, Placed>) -> Result<bool, Failure> {
    for (other, placed) in all.iter().filter(|(other, _)| *other != port) {
        let (Placed::One { name: place, .. } | Placed::Many { name: place, .. }) = placed;
        let Ok(rest) = name.strip_prefix(place) else { continue };
        let same = rest.as_os_str().is_empty();
        match placed {
            // Of two ports with the same file, the first places it.
            Placed::One { content: outer, .. } if same && outer == content => {
                if other.as_str() < port {
                    return Ok(true);
                }
            }
            Placed::One { content: outer, .. } if !same && outer.join(rest).exists() => return Ok(true),
            _ => return Err(conflict(port, other, name)),
        }
    }
    Ok(false)
}

fn conflict(port: &str, other: &str, name: &Path) -> Failure {
    Failure::input(format!("inputs `{port}` and `{other}` both map to `{}` in the working folder", name.display()))
        .hint("rename one of the two ports")
}

/// After a body that ended well: every declared output is there, of its form, and not empty. Files beside them are
/// reported as notes, because they are not stored.
///
/// # Errors
/// An output is missing, empty or of the wrong form.
pub(super) fn collect(task: &CommandTask) -> Result<Ended, Failure> {
    for (port, declared) in &task.command.out {
        check_output(task, port, declared)?;
    }
    Ok(Ended::Done { ran_on: None, notes: undeclared_outputs(task) })
}

fn check_output(task: &CommandTask, port: &str, declared: &str) -> Result<(), Failure> {
    let path = output_path(&task.work, declared);
    let wrong = |found: &str| Failure::stage(format!("output `{port}` was declared as `{declared}` and {found}"));
    let Ok(found) = fs::symlink_metadata(&path) else {
        return Err(missing(task, port, declared, wrong("is not there")));
    };
    match (declared.ends_with('/'), found.is_dir()) {
        _ if found.is_symlink() => {
            Err(wrong("is a symbolic link").hint(format!("copy the content to `$OUT_{}`", shouted(port))))
        }
        (true, false) => Err(wrong("is a file").hint("without the `/` at its end it is declared as a file")),
        (false, true) => Err(wrong("is a folder").hint("with a `/` at its end it is declared as a folder")),
        (true, true) if !holds_a_file(&path) => Err(wrong("holds no file")),
        (false, false) if !found.is_file() => Err(wrong("is neither a file nor a folder")),
        (false, false) if found.len() == 0 => Err(wrong("is empty")),
        _ => Ok(()),
    }
}

/// The usual mistake is a body that writes to the name instead of the variable.
fn missing(task: &CommandTask, port: &str, declared: &str, failure: Failure) -> Failure {
    let variable = format!("$OUT_{}", shouted(port));
    let misplaced = Layout::of(&task.work).files.join(declared.trim_end_matches('/'));
    if misplaced.exists() {
        failure.hint(format!(
            "the body wrote `{declared}` in its working folder, which is not stored; write to `{variable}`"
        ))
    } else {
        failure.hint(format!("the body must write to `{variable}`"))
    }
}

fn holds_a_file(folder: &Path) -> bool {
    walkdir::WalkDir::new(folder).into_iter().flatten().any(|entry| entry.file_type().is_file())
}

fn undeclared_outputs(task: &CommandTask) -> Vec<String> {
    let out = Layout::of(&task.work).out;
    let declared: Vec<PathBuf> = task.command.out.values().map(|declared| output_path(&task.work, declared)).collect();
    let mut extra: Vec<String> = walkdir::WalkDir::new(&out)
        .into_iter()
        .filter_entry(|entry| !declared.iter().any(|path| path == entry.path()))
        .flatten()
        .filter(|entry| !entry.file_type().is_dir())
        .filter_map(|entry| Some(entry.path().strip_prefix(&out).ok()?.display().to_string()))
        .collect();
    extra.sort();
    match extra.as_slice() {
        [] => Vec::new(),
        [one] => vec![format!("`{one}` was written beside the declared outputs and is not stored")],
        [first, rest @ ..] => {
            vec![format!(
                "`{first}` and {} more were written beside the declared outputs and are not stored",
                rest.len()
            )]
        }
    }
}
