//! What the end of a log shows about a failure: the last lines, and the line to add to the pipeline file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use pipe_contract::Failure;

use super::command::Layout;
use super::guard::{Exit, How};
use super::{CommandTask, Placed};

/// How much of a log is read.
const TAIL_BYTES: u64 = 16 * 1024;
/// How many of its lines are repeated in a message.
const TAIL_LINES: usize = 5;

/// The end of a log, as text.
pub fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// The last lines of a log, each on a line of its own under the message.
pub fn last_lines(tail: &str) -> String {
    let lines: Vec<&str> = tail.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    if last.is_empty() { String::new() } else { format!("; its log ends with\n    {}", last.join("\n    ")) }
}

/// `exit code 2`, `signal SIGSEGV (invalid memory access)`.
pub fn describe(exit: &Exit) -> String {
    match exit.how {
        How::Code(code) => format!("exit code {code}"),
        How::Signal(signal) => format!("signal {}", signal_name(signal)),
    }
}

fn signal_name(signal: i32) -> String {
    let (name, meaning) = match signal {
        libc::SIGHUP => ("SIGHUP", "its terminal went away"),
        libc::SIGINT => ("SIGINT", "interrupted"),
        libc::SIGILL => ("SIGILL", "an instruction this processor does not have"),
        libc::SIGABRT => ("SIGABRT", "it called abort"),
        libc::SIGBUS => ("SIGBUS", "a file it had mapped shrank, or the disk is full"),
        libc::SIGFPE => ("SIGFPE", "a division by zero"),
        libc::SIGKILL => ("SIGKILL", "killed from outside, often for lack of memory"),
        libc::SIGSEGV => ("SIGSEGV", "invalid memory access"),
        libc::SIGPIPE => ("SIGPIPE", "it wrote to a closed pipe"),
        libc::SIGTERM => ("SIGTERM", "terminated from outside"),
        libc::SIGXCPU => ("SIGXCPU", "out of processor time"),
        libc::SIGXFSZ => ("SIGXFSZ", "a file larger than allowed"),
        other => return other.to_string(),
    };
    format!("{name} ({meaning})")
}

/// The failure of a command that did not end with code 0.
pub fn command_failure(task: &CommandTask, exit: &Exit, log: &Path) -> Failure {
    let tail = tail(log);
    let failure = Failure::stage(format!("the command ended with {}{}", describe(exit), last_lines(&tail)));
    match hint(task, exit, &tail) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn hint(task: &CommandTask, exit: &Exit, tail: &str) -> Option<String> {
    let undeclared = undeclared_files(task, tail);
    if !undeclared.is_empty() {
        let lines: Vec<String> =
            undeclared.iter().map(|path| format!("`{}: {}`", port_name(path), path.display())).collect();
        return Some(format!(
            "a stage sees only its declared inputs, and the log names what is in the project; add to its `in:` {}",
            lines.join(", ")
        ));
    }
    if exit.how == How::Code(127) {
        return Some(
            "a program was not found on the stage's `PATH`; name it under `tools:`, as in `tools: { x: x --version }`"
                .into(),
        );
    }
    let denied = ["Permission denied", "Read-only file system", "PermissionError"];
    if denied.iter().any(|words| tail.contains(words)) {
        return Some("a stage may write only to its `$OUT_...`, its working folder and `$TMPDIR`".into());
    }
    if tail.contains("parameter not set") || tail.contains("unbound variable") {
        return Some("the body runs under `sh -eu`: a variable that is not set ends it".into());
    }
    None
}

/// Paths in the log that exist in the project and are not inputs; at most three.
fn undeclared_files(task: &CommandTask, tail: &str) -> BTreeSet<PathBuf> {
    let files = Layout::of(&task.work).files;
    let declared: Vec<&Path> =
        task.inputs.values().map(|(Placed::One { name, .. } | Placed::Many { name, .. })| name.as_path()).collect();
    let breaks = |c: char| c.is_whitespace() || "'\"`,;:()[]<>|=".contains(c);
    tail.split(breaks)
        // A bare word such as `data` is more often a word than a folder.
        .filter(|word| word.contains(['/', '.']))
        .filter_map(|word| {
            let path = Path::new(word);
            let inside = path.strip_prefix(&files).or_else(|_| path.strip_prefix(&task.project)).unwrap_or(path);
            let inside = inside.strip_prefix("./").unwrap_or(inside);
            let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
            (plain && inside.components().next().is_some()).then(|| inside.to_path_buf())
        })
        .filter(|path| !declared.iter().any(|name| path.starts_with(name)))
        .filter(|path| !files.join(path).exists() && task.project.join(path).exists())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .take(3)
        .collect()
}

/// A port name for a file: its stem, in the letters of names.
fn port_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().to_lowercase();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("file_{name}") } else { name }
}
