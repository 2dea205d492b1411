//! Facts about the tools of `run:` stages that enter their keys, and the `PATH` that goes with them.
//!
//! | declared | fact |
//! |---|---|
//! | `tools: { x: x --version }` | the first line of what that prints |
//! | `tools: { python: { venv: .venv } }` | a digest of what can be imported there ([`super::venv`]) |
//! | nothing | the digest of the executable that the body's first word names, or its `#!` line |
//! | R among the tools | a digest of the names and versions in the user's R libraries |
//!
//! The shell is a fact of every body ([`super::shell`]).
//!
//! A null run starts no process and reads no large file: a fact is remembered under the identity of the file it was found
//! in (device, inode, size, times), so it is determined again only when that file is another one. Paths stay out of
//! facts, so that the same tool elsewhere is the same tool.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use fs_err as fs;
use pipe_contract::Failure;

use super::first_word::{first_word, program};
use super::memo::{Memo, identity, remembered};
use super::readable::{Installations, r_libraries};
use super::search_path::{SYSTEM_PATH, find, joined, without_repeats};
use super::shell::Interpreter;
use super::venv;
use crate::key::FactName;
use crate::plan::{Command, ProgramLine, Shell, Tool};

/// What is true of the tools of a `run:` stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Enter the key, such as `tool:python` to a digest of the installed distributions.
    pub key: BTreeMap<String, String>,
    /// The `PATH` of the stage: virtual environments, the folders of its tools, the system's folders.
    pub path: OsString,
    /// Installations of its tools, which it may read.
    pub readable: Vec<PathBuf>,
    /// Variables that its tools need to find what is installed for this user.
    pub variables: BTreeMap<String, OsString>,
    /// What runs its body.
    pub(super) interpreter: Interpreter,
}

/// How long a tool may take to print its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);

/// What of a command its facts depend on: commands for which this is equal have equal facts, of one project and `PATH`.
pub type DependsOn<'c> = (Shell, Option<&'c str>, &'c BTreeMap<String, Tool>, Option<String>);

/// What the facts of a command depend on.
pub fn what_facts_depend_on(command: &Command) -> DependsOn<'_> {
    let program = command.body.lines().next().filter(|line| line.starts_with("#!"));
    let first = if command.tools.is_empty() { first_word(&command.body) } else { None };
    (command.shell, program, &command.tools, first)
}

/// Finds the facts of a command. `project` is the folder of the pipeline file, `search` the caller's `PATH`.
/// Starts a process only for a `tools:` version that `memo` does not hold.
///
/// # Errors
/// A tool is not there, or does not print its version.
pub fn facts_of(command: &Command, project: &Path, search: &OsStr, memo: &mut dyn Memo) -> Result<Facts, Failure> {
    let mut key = BTreeMap::new();
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut installations = Installations::new(project);
    // Environments first: a tool of theirs comes before one of the same name elsewhere.
    for (name, tool) in &command.tools {
        if let Tool::Venv(folder) = tool {
            let folder = project.join(folder);
            let environment = venv::look_at(name, &folder, memo)?;
            key.insert(FactName::Tool(name).text(), environment.fact);
            installations.add_environment(&folder);
            environment.outside.iter().for_each(|place| installations.add_folder(place));
            folders.push(folder.join("bin"));
        }
    }
    let system = || std::env::split_paths(SYSTEM_PATH);
    let search = joined(folders.iter().cloned().chain(std::env::split_paths(search)).chain(system()));
    let interpreter = Interpreter::of(command, &search)?;
    key.insert(FactName::Shell.text(), interpreter.fact().to_owned());
    let mut executables: Vec<PathBuf> = Vec::new();
    for (name, tool) in &command.tools {
        if let Tool::Version(version) = tool {
            let executable = find_tool(name, version, &search)?;
            key.insert(FactName::Tool(name).text(), version_fact(name, version, &executable, memo)?);
            executables.push(executable);
        }
    }
    if command.tools.is_empty() {
        let executable = match ProgramLine::of(&command.body) {
            Some(_) => Some(interpreter.executable.clone()),
            None => first_word(&command.body).and_then(|word| find(&word, &search)),
        };
        let file = executable.clone().unwrap_or_else(|| interpreter.executable.clone());
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if is_shim(&file) {
            key.insert(FactName::Tool(&name).text(), shim_fact(&name, &file)?);
        } else {
            key.insert(FactName::Program(&name).text(), executable_fact(&file, memo)?);
        }
        executables.extend(executable);
    }
    folders.extend(executables.iter().filter_map(|executable| executable.parent()).map(Path::to_path_buf));
    executables.push(interpreter.executable.clone());
    executables.iter().for_each(|executable| installations.add_tool(executable));
    let mut variables = BTreeMap::new();
    let uses_r = executables.iter().any(|path| path.ends_with("R") || path.ends_with("Rscript"));
    if let Some(libraries) = uses_r.then(|| r_packages(&key, memo)).transpose()?.flatten() {
        libraries.folders.iter().chain(&libraries.linked).for_each(|place| installations.add_folder(place));
        variables.insert("R_LIBS_USER".to_owned(), joined(libraries.folders));
        key.insert(FactName::RPackages.text(), libraries.fact);
    }
    let path = joined(without_repeats(folders.into_iter().chain(system())));
    Ok(Facts { key, path, readable: installations.into_found(), variables, interpreter })
}

/// The user's R libraries.
struct RPackages {
    folders: Vec<PathBuf>,
    /// Packages in them that are links, as those of renv into its cache.
    linked: Vec<PathBuf>,
    fact: String,
}

/// The user's R libraries, if there are any, with a digest of the `DESCRIPTION` of every package.
fn r_packages(known: &BTreeMap<String, String>, memo: &mut dyn Memo) -> Result<Option<RPackages>, Failure> {
    let version = known.values().find(|fact| fact.contains(" version "));
    let folders = r_libraries(version.map(String::as_str));
    let mut descriptions: Vec<PathBuf> = Vec::new();
    for folder in &folders {
        let entries = fs::read_dir(folder).map_err(|error| Failure::io("list", folder, &error))?;
        descriptions
            .extend(entries.flatten().map(|entry| entry.path().join("DESCRIPTION")).filter(|path| path.is_file()));
    }
    if descriptions.is_empty() {
        return Ok(None);
    }
    descriptions.sort_by_key(|path| path.parent().and_then(Path::file_name).map(OsStr::to_owned));
    let mut identities = blake3::Hasher::new();
    for description in &descriptions {
        identities.update(identity(description)?.as_bytes());
    }
    let fact = remembered(memo, &format!("R packages {}", identities.finalize().to_hex()), || {
        let mut hasher = blake3::Hasher::new();
        for description in &descriptions {
            let text = fs::read(description).map_err(|error| Failure::io("read", description, &error))?;
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(&text);
        }
        Ok(format!("blake3:{}", hasher.finalize().to_hex()))
    })?;
    let packages = descriptions.iter().filter_map(|description| description.parent());
    let linked = packages.filter(|package| package.is_symlink()).filter_map(|package| fs::canonicalize(package).ok());
    Ok(Some(RPackages { linked: linked.collect(), folders, fact }))
}

fn find_tool(name: &str, version: &str, search: &OsStr) -> Result<PathBuf, Failure> {
    let word = program(version).unwrap_or_default();
    let found = if word.starts_with('/') {
        Some(PathBuf::from(&word)).filter(|path| path.is_file())
    } else {
        find(&word, search)
    };
    found.ok_or_else(|| {
        Failure::environment(format!("tool `{name}`: `{word}` was not found, which `{version}` needs"))
            .at(format!("`PATH` {}", search.display()))
            .hint(format!("install `{word}`, or put its folder on your `PATH`"))
    })
}

fn executable_fact(file: &Path, memo: &mut dyn Memo) -> Result<String, Failure> {
    let key = format!("digest {}", identity(file)?);
    remembered(memo, &key, || {
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap(file).map_err(|error| Failure::io("read", file, &error))?;
        Ok(format!("blake3:{}", hasher.finalize().to_hex()))
    })
}

fn version_fact(name: &str, version: &str, executable: &Path, memo: &mut dyn Memo) -> Result<String, Failure> {
    if is_shim(executable) || is_script(executable) {
        return first_line(name, version, executable);
    }
    let key = format!("version `{version}` {}", identity(executable)?);
    remembered(memo, &key, || first_line(name, version, executable))
}

/// What a shim starts, by what it says of its version: the shim itself stays the same when another version is chosen.
fn shim_fact(name: &str, shim: &Path) -> Result<String, Failure> {
    first_line(name, &format!("{name} --version"), shim).map_err(|failure| {
        failure.hint(format!(
            "`{}` is a shim: what it starts is not known; say how it tells its version: `tools: {{ {name}: ... }}`",
            shim.display()
        ))
    })
}

/// Whether an executable only chooses another one, as those of pyenv, rbenv, asdf and mise do.
fn is_shim(executable: &Path) -> bool {
    executable.parent().is_some_and(|folder| folder.ends_with("shims"))
}

/// Whether an executable is a script, which may start anything.
fn is_script(executable: &Path) -> bool {
    let mut start = [0; 2];
    fs::File::open(executable).is_ok_and(|mut file| file.read_exact(&mut start).is_ok()) && start == *b"#!"
}

/// The first line a tool prints about its version, on stdout or else on stderr.
fn first_line(name: &str, version: &str, executable: &Path) -> Result<String, Failure> {
    let failed = |what: String| Failure::environment(format!("tool `{name}`: `{version}` {what}"));
    let folder = executable.parent().unwrap_or(Path::new("/"));
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(SYSTEM_PATH);
    let mut child = std::process::Command::new("/bin/sh")
        .args(["-c", version])
        .env_clear()
        .envs([("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("HOME", "/nonexistent")])
        .env("PATH", path)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| failed(format!("does not start: {error}")))?;
    let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let until = Instant::now() + VERSION_TIMEOUT;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) => {
                // SAFETY: a plain system call; the child was not waited for, so its group is still its own.
                unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
                let _ = child.wait();
                return Err(failed(format!("did not end within {} s", VERSION_TIMEOUT.as_secs())));
            }
            Err(error) => return Err(failed(format!("was lost: {error}"))),
        }
    };
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    let line = |text: &str| text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
    match line(&out).or_else(|| line(&err)) {
        _ if !status.success() => Err(failed(format!("ended with {status}: {}", line(&err).unwrap_or_default()))),
        None => Err(failed("printed nothing".to_owned())),
        Some(line) => Ok(line),
    }
}

/// Reads on a thread of its own, so that neither stream can fill up and stop the tool.
fn reader(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(stream) = stream {
            let _ = stream.take(64 * 1024).read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    })
}
