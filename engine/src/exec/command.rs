//! `run:` stages: what a body finds when it starts, and what must be there when it ends.
//!
//! ```text
//! WORK/files/   the working folder: copies of declared files of the project at their places, nothing else of it
//! WORK/in/      all other inputs; a stage cannot write here
//! WORK/out/     OUT_*: the folder of outputs; a declared folder exists already
//! WORK/lists/   IN_*_LIST and IN_*_ABSENT of gathers
//! WORK/tmp/     HOME and TMPDIR, empty
//! WORK/seen/    copies of folders of the project without what is ignored there; `files` and `in` link to them
//! ```
//! - A file or folder of the project is at its path relative to the pipeline file, so `python scripts/fit.py` works
//!   in the body as it does in the project, once `scripts/fit.py` is declared. All else is in `../in/` under
//!   the name of its port, with the extension it was made with.
//! - `IN_*` and `OUT_*` are relative to the working folder: a body that prints them (`wc -l "$IN_X"`) gives the same bytes
//!   in every run. The value of a folder ends in `/`, so that `find "$IN_X"` looks into it and not at the link.
//! - A gather is a folder with one entry a cell, named by its coordinates (`rater=A1,sid=s01.csv`). `IN_NAME_LIST`
//!   names a text with a line `COORDINATES<TAB>PATH` for each present cell, `IN_NAME_ABSENT` one with
//!   `COORDINATES<TAB>CAUSE` for each absent one, both sorted by coordinates.
//! - An input in `optional:` that stays unset has an empty `IN_*`.
//! - `PARAM_*`: text, numbers and booleans as written, nothing for `null`; a list of those one item a line; else JSON,
//!   with numbers as written where JSON allows it.
//! - `METRICS` names a file, not there yet, in which a body may report numbers while it works: `echo "loss $epoch $loss" >>
//!   "$METRICS"`, one `NAME STEP VALUE` a line ([`super::metric_file`]). They are logged with the run and are no output.
//! - `EACH_AXIS` is the coordinate, `SEED` the seed, `THREADS` how many threads it was granted (it is not in the key:
//!   a body whose bytes depend on it breaks the promise of every stage).
//! - Names are upper-cased and what is neither letter nor digit becomes `_`.
//!
//! Files of the project up to [`LARGEST_COPY`] are copies, with the permissions of new files: a program that resolves
//! the path of its script finds the working folder and not the project, whose other files are in no key, and a body that
//! changes a file or its mode changes its own. Larger ones and folders are symbolic links, each with a rule that allows
//! reading it; what is behind them cannot be changed, or is put right and the stage fails ([`Reach::restore`]). A file of
//! the cache gets one more name in `in/`, a folder of it is a link. The rule that a stage reads only what is declared and
//! writes only to `files`, `out` and `tmp` ([`super::landlock`]) protects what links point to.
//! (Symbolic links for all of the cache would do, but making and deleting one costs several times as much as a second
//! name, and was the largest part of what the engine spends on a small stage.) Copies are made of the cache too where a
//! file cannot have another name, and where a stage could write to the cache, because it runs as root and no rule holds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use fs_err::os::unix::fs::{OpenOptionsExt, symlink};
use fs_err::{self as fs, File};
use pipe_contract::{Coordinates, Ended, Failure, Presence, Value, io_reason};

use super::job::CommandTask;
use super::landlock;
use super::placed::Placed;
use super::readable::linked_outside;
use super::work_folder::{COPIES, FILES, IN, LISTS, OUT, TMP, output_path};
use crate::plan::{INPUT_FOLDER, ProgramLine, variable_part};

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
    /// What is safe for one command of those that are started with this.
    pub fn of(self, task: &CommandTask) -> Self {
        let own = Self::safe_for(task.command.isolated, rustix::process::geteuid().is_root());
        if own == Self::Names { self } else { own }
    }

    /// What is safe here.
    pub fn safe() -> Self {
        Self::safe_for(landlock::is_enforced(), rustix::process::geteuid().is_root())
    }

    /// Files of the cache are read-only, which only root ignores, and only rules stop root.
    pub fn safe_for(is_ruled: bool, is_root: bool) -> Self {
        if is_ruled || !is_root { Self::Names } else { Self::Copies }
    }
}

/// The name of the file of metrics in `tmp`.
const METRICS: &str = "metrics";

/// The file in which a command that works in `work` reports metrics.
pub(super) fn metrics_path(work: &Path) -> PathBuf {
    work.join(TMP).join(METRICS)
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
        Self { files: below(FILES), out: below(OUT), tmp: below(TMP), inputs: below(IN), lists: below(LISTS) }
    }

    /// Where a name is that is relative to the working folder.
    fn place(&self, name: &Path) -> PathBuf {
        name.strip_prefix(INPUT_FOLDER).map_or_else(|_| self.files.join(name), |name| self.inputs.join(name))
    }
}

/// A command that is ready to start.
pub(super) struct Prepared {
    pub layout: Layout,
    pub environment: Vec<Variable>,
    pub reach: Reach,
}

/// What a command reaches outside of its folders, besides what every command does.
pub(super) struct Reach {
    /// Where it may read.
    pub readable: Vec<PathBuf>,
    /// Files and folders of the project behind links, with their permissions; `None` if the kernel lets no stage change them.
    linked: Option<Vec<(PathBuf, std::fs::Permissions)>>,
}

impl Reach {
    /// What every command of this task reaches. `guarded`: the kernel lets no isolated stage change permissions.
    pub fn of(task: &CommandTask, guarded: bool) -> Self {
        let readable = std::iter::once(&task.work).chain(&task.facts.readable).cloned().collect();
        let linked = if guarded && task.command.isolated { None } else { Some(Vec::new()) };
        Self { readable, linked }
    }

    /// Adds a file or folder of the project that is behind a link, and what links inside lead to.
    fn add_linked(&mut self, content: &Path) {
        self.readable.push(content.to_owned());
        let linked = &mut self.linked;
        let outside = linked_outside(content, |entry| {
            if let Some(linked) = linked
                && let Ok(found) = entry.metadata()
            {
                linked.push((entry.path().to_owned(), found.permissions()));
            }
        });
        self.readable.extend(outside);
    }

    /// Gives back the permissions that were changed since, and names the first file that had others. Needed only where
    /// the kernel did not refuse such changes.
    pub fn restore(&self) -> Option<&Path> {
        let mut first = None;
        // Folders come before what is in them, which cannot be looked at while they are closed.
        for (path, permissions) in self.linked.iter().flatten() {
            let found = fs::symlink_metadata(path);
            if found.is_ok_and(|found| !found.is_symlink() && found.permissions() != *permissions) {
                let _ = fs::set_permissions(path, permissions.clone());
                first.get_or_insert(path.as_path());
            }
        }
        first
    }
}

/// A stage that changed the permissions of an input which is not a copy.
pub(super) fn changed_permissions(task: &CommandTask, path: &Path) -> Failure {
    let name = path.strip_prefix(&task.project).unwrap_or(path).display();
    Failure::stage(format!(
        "the permissions of `{name}`, an input, changed while the stage ran; they are as before again"
    ))
    .hint("large files and folders of the project are not copied for a stage: let the body change a copy of its own")
}

/// Lays out the folders of a command, and says what it finds and may read.
///
/// # Errors
/// Two inputs map to one place, two names become one variable, or an I/O error.
pub(super) fn prepare(task: &CommandTask, sharing: Sharing, mut reach: Reach) -> Result<Prepared, Failure> {
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
        let value = place(task, sharing, &layout, port, placed, &mut variables, &mut reach)?;
        variables.add(format!("input `{port}`"), format!("IN_{}", variable_part(port)), value)?;
    }
    for port in task.command.optional.iter().filter(|port| !task.inputs.contains_key(*port)) {
        variables.add(format!("input `{port}`"), format!("IN_{}", variable_part(port)), OsString::new())?;
    }
    for (port, declared) in &task.command.out {
        let value = format!("../out/{declared}").into();
        variables.add(format!("output `{port}`"), format!("OUT_{}", variable_part(port)), value)?;
    }
    for (name, value) in &task.params {
        let text = parameter_text(value)?.into();
        variables.add(format!("parameter `{name}`"), format!("PARAM_{}", variable_part(name)), text)?;
    }
    for (axis, at) in task.at.iter() {
        variables.add(format!("axis `{axis}`"), format!("EACH_{}", variable_part(axis)), at.into())?;
    }
    if let Some(seed) = task.seed {
        variables.add("the seed".to_owned(), "SEED".to_owned(), seed.to_string().into())?;
    }
    Ok(Prepared { layout, environment: variables.list, reach })
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
            ("PATH", task.facts.path.clone()),
            ("HOME", layout.tmp.clone().into()),
            ("TMPDIR", layout.tmp.clone().into()),
            ("LANG", "C.UTF-8".into()),
            ("LC_ALL", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("THREADS", threads.into()),
            ("METRICS", format!("../{TMP}/{METRICS}").into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        self.list.extend(task.facts.variables.iter().map(|(name, value)| (name.clone(), value.clone())));
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

/// The kernel takes no argument and no variable of more bytes, name and end included (`MAX_ARG_STRLEN`).
const LONGEST_TEXT: usize = 32 * 4096;

/// Refuses what no program can be started with, by name.
///
/// # Errors
/// The body or a variable is longer than the kernel allows.
pub(super) fn check_sizes(task: &CommandTask, environment: &[Variable]) -> Result<(), Failure> {
    let body = task.command.body.len();
    if ProgramLine::of(&task.command.body).is_none() && body >= LONGEST_TEXT {
        let message = format!("the body has {body} bytes; the system takes at most {} at once", LONGEST_TEXT - 1);
        return Err(
            Failure::input(message).hint("put it into a file of the project, declare that in `in:`, and run it")
        );
    }
    let too_long = environment.iter().find(|(name, value)| name.len() + value.len() + 2 > LONGEST_TEXT);
    too_long.map_or(Ok(()), |(name, value)| Err(too_long_variable(task, name, value)))
}

/// A variable that is too long, and what to do instead.
fn too_long_variable(task: &CommandTask, name: &str, value: &OsString) -> Failure {
    let owner = task.params.keys().find(|param| format!("PARAM_{}", variable_part(param)) == name);
    let of = owner.map_or(String::new(), |param| format!(" (parameter `{param}`)"));
    let message = format!(
        "the variable `{name}`{of} has {} bytes; the system takes at most {} in one variable",
        value.len(),
        LONGEST_TEXT - name.len() - 2
    );
    Failure::input(message).hint("write the list to a file of the project and declare that in `in:`")
}

/// The system refused to start a command because its arguments and variables are too large together.
pub(super) fn too_large(task: &CommandTask) -> Failure {
    let text = |value: &Value| parameter_text(value).map_or(0, |text| text.len());
    let largest = task.params.iter().max_by_key(|(_, value)| text(value));
    let of = largest.map_or(String::new(), |(name, value)| {
        format!("; the largest is `PARAM_{}` (parameter `{name}`) with {} bytes", variable_part(name), text(value))
    });
    Failure::input(format!("the body and its variables are larger together than the system allows{of}"))
        .hint("write long lists to files of the project and declare these in `in:`")
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
    reach: &mut Reach,
) -> Result<OsString, Failure> {
    match placed {
        Placed::One { name, content } => {
            let is_folder = if is_inside_another(port, name, content, &task.inputs)? {
                content.is_dir()
            } else {
                provide(task, sharing, content, layout, name, reach)?
            };
            Ok(value_of(name, is_folder))
        }
        Placed::Many { name, cells } => {
            make_folder(&layout.place(name))?;
            make_folder(&layout.lists)?;
            let (mut present, mut absent) = (String::new(), String::new());
            for cell in cells {
                let at = one_line(&cell.at)?;
                match &cell.artifact {
                    Presence::Present(content) => {
                        let name = name.join(&cell.name);
                        let is_folder = provide(task, sharing, content, layout, &name, reach)?;
                        let path = value_of(&name, is_folder);
                        present.push_str(&format!("{at}\t{}\n", path.to_string_lossy()));
                    }
                    Presence::Absent(cause) => absent.push_str(&format!("{at}\t{cause}\n")),
                }
            }
            for (suffix, text) in [("LIST", present), ("ABSENT", absent)] {
                let file = format!("{port}.{}", suffix.to_lowercase());
                let path = layout.lists.join(&file);
                fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))?;
                let name = format!("IN_{}_{suffix}", variable_part(port));
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

fn value_of(name: &Path, is_folder: bool) -> OsString {
    let mut value = name.as_os_str().to_owned();
    if is_folder {
        value.push("/");
    }
    value
}

/// Larger files of the project are reached by a link.
const LARGEST_COPY: u64 = 16 << 20;

/// Makes a content readable under a name that does not exist, and says whether it is a folder.
fn provide(
    task: &CommandTask,
    sharing: Sharing,
    content: &Path,
    layout: &Layout,
    name: &Path,
    reach: &mut Reach,
) -> Result<bool, Failure> {
    let place = layout.place(name);
    if !is_shared(task, name, content) {
        let found = fs::metadata(content).map_err(|error| Failure::io("look at", content, &error))?;
        if found.is_file() && found.len() <= LARGEST_COPY {
            return copy_of_project(content, &place).map(|()| false);
        }
        if content.starts_with(&task.cache) {
            reach.readable.push(content.to_owned());
        } else {
            reach.add_linked(content);
        }
        return link(content, &place).map(|()| found.is_dir());
    }
    // Only files can have one more name.
    if sharing == Sharing::Names && fs::hard_link(content, &place).is_ok() {
        return Ok(false);
    }
    let is_folder = content.is_dir();
    match (sharing, is_folder) {
        (Sharing::Names, true) => {
            reach.readable.push(content.to_owned());
            link(content, &place)
        }
        (Sharing::Copies, true) => {
            let own = task.work.join(COPIES).join(name.strip_prefix(INPUT_FOLDER).unwrap_or(name));
            make_folder(own.parent().unwrap_or(&task.work))?;
            copy(content, &own)?;
            link(&own, &place)
        }
        // The file system has no hard links, or none for files of another user, or the file has as many as it can have.
        (_, false) => copy(content, &place),
    }?;
    Ok(is_folder)
}

/// Whether an input may be one more name of a file of the cache.
fn is_shared(task: &CommandTask, name: &Path, content: &Path) -> bool {
    name.starts_with(INPUT_FOLDER) && content.starts_with(&task.cache)
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

/// A copy of a file of the project with the permissions that the user's new files have; executable if the original is.
///
/// # Errors
/// The file cannot be read, or the place exists already.
pub fn copy_of_project(content: &Path, place: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("copy an input to", place, &error);
    let unread = |error: std::io::Error| Failure::io("read", content, &error);
    let mut from = File::open(content).map_err(unread)?;
    let mode = if from.metadata().map_err(unread)?.mode() & 0o100 == 0 { 0o666 } else { 0o777 };
    let create = || File::options().write(true).create_new(true).mode(mode).open(place);
    let mut to = match create() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            make_folder(place.parent().unwrap_or(place))?;
            create().map_err(failed)?
        }
        created => created.map_err(failed)?,
    };
    // On file systems that can, this shares the blocks of the original.
    std::io::copy(&mut from, &mut to).map(drop).map_err(failed)
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
        let found = make_readable(port, &output_path(&task.work, declared))?;
        check_output(task, port, declared, found)?;
    }
    Ok(Ended::noted(undeclared_outputs(task)))
}

/// Gives the permissions to read an output, and to move what is in it: a body may have taken them away (`umask 777`,
/// `cp -p` from a read-only folder), and they are no part of an artifact. Links are left alone. Returns what is at the path.
fn make_readable(port: &str, path: &Path) -> Result<Option<std::fs::Metadata>, Failure> {
    let failed = |what: &str, error: &std::io::Error| {
        let failure =
            Failure::stage(format!("output `{port}`: could not {what} what the body wrote: {}", io_reason(error)));
        match error.kind() {
            std::io::ErrorKind::InvalidFilename => failure
                .hint("paths of more than 4,096 bytes cannot be opened by name; use fewer or shorter folder names"),
            _ => failure,
        }
    };
    let found = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() || found.is_file() => found,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidFilename => return Err(failed("look at", &error)),
        other => return Ok(other.ok()),
    };
    let needed = if found.is_dir() { 0o700 } else { 0o600 };
    if found.mode() & needed != needed {
        let permissions = std::fs::Permissions::from_mode(found.mode() & 0o7777 | needed);
        fs::set_permissions(path, permissions).map_err(|error| failed("give permission to read", &error))?;
    }
    if found.is_dir() {
        for entry in fs::read_dir(path).map_err(|error| failed("list", &error))? {
            let entry = entry.map_err(|error| failed("list", &error))?;
            make_readable(port, &entry.path())?;
        }
    }
    Ok(Some(found))
}

fn check_output(
    task: &CommandTask,
    port: &str,
    declared: &str,
    found: Option<std::fs::Metadata>,
) -> Result<(), Failure> {
    let path = output_path(&task.work, declared);
    let wrong = |found: &str| Failure::stage(format!("output `{port}` was declared as `{declared}` and {found}"));
    let Some(found) = found else {
        return Err(missing(task, port, declared, wrong("is not there")));
    };
    match (declared.ends_with('/'), found.is_dir()) {
        _ if found.is_symlink() => {
            Err(wrong("is a symbolic link").hint(format!("copy the content to `$OUT_{}`", variable_part(port))))
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
    let variable = format!("$OUT_{}", variable_part(port));
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
