//! What the end of a log shows about a failure: the last lines, and the line to add to the pipeline file.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use fs_err::File;
use pipe_contract::Failure;

use super::command::Layout;
use super::guard::{Exit, How};
use super::job::CommandTask;
use super::placed::Placed;
use super::readable::is_system;
use crate::plan::{ProgramLine, variable_part};

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

/// `exit code 2`, `signal SIGSEGV (invalid memory access)`; of a code by which a shell reports a signal, that signal.
pub fn describe(exit: &Exit) -> String {
    match exit.how {
        How::Code(code) => match signal_of_child(code) {
            Some(signal) => format!("exit code {code}: a program in it ended with signal {}", signal_name(signal)),
            None => format!("exit code {code}"),
        },
        How::Signal(signal) => format!("signal {}", signal_name(signal)),
    }
}

/// Shells report the signal that ended a program as 128 and its number.
fn signal_of_child(code: i32) -> Option<i32> {
    let signal = code - 128;
    KNOWN_SIGNALS.contains(&signal).then_some(signal)
}

const KNOWN_SIGNALS: [i32; 12] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGILL,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGKILL,
    libc::SIGSEGV,
    libc::SIGPIPE,
    libc::SIGTERM,
    libc::SIGXCPU,
    libc::SIGXFSZ,
];

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
    if let Some(hint) = exit_hint(exit) {
        return Some(hint.to_owned());
    }
    if let Some(path) = unreadable_path(task, tail) {
        return Some(format!(
            "a stage reads only its declared inputs, its tools and the system, and `{path}` is none of these; add it to its \
             `in:`, or, for software, its folder to `readable: [...]` of `pipe.toml`",
            path = path.display()
        ));
    }
    let says = |words: &[&str]| words.iter().any(|words| tail.contains(words));
    if says(&["No module named", "Cannot find module", "there is no package called"]) {
        return Some(
            "a package of the project is found if it is declared in `in:`, an installed one if the environment it is \
             installed in is a tool: `tools: { python: { venv: .venv } }`, `tools: { R: R --version }`"
                .into(),
        );
    }
    if says(&NETWORK_WORDS) && !task.command.net {
        return Some("a stage has no network; one that needs it says `net: true`".into());
    }
    if task.command.isolated && says(&["Operation not permitted", "uid_map", "user namespace"]) {
        return Some("a stage may not mount; a rootless container needs `isolation: none` on the stage".into());
    }
    if task.command.isolated && says(&["Read-only file system", "EROFS"]) {
        return Some(
            "a stage may write only to its `$OUT_...`, its working folder and `$TMPDIR`; elsewhere it can change nothing, also no \
             permissions and times, and large files and folders of the project are there, not copies: let the body change a \
             copy (`cp -r \"$IN_X\" copy`)"
                .into(),
        );
    }
    if says(&["Permission denied", "PermissionError", "EACCES"]) {
        return Some(
            "a stage may write only to its `$OUT_...`, its working folder and `$TMPDIR`, and read only its declared \
             inputs, its tools and the system"
                .into(),
        );
    }
    if let Some(hint) = declared_under_another_name(task, tail) {
        return Some(hint);
    }
    if says(&["parameter not set", "unbound variable"]) {
        return Some(
            "the body runs with `-u`: a variable that is not set ends it; an input that may stay unset is named in \
             `optional:`"
                .into(),
        );
    }
    is_silent_no(task, exit, tail).then(|| SILENT_NO.into())
}

/// What ends a shell body with code 1 without a word.
const SILENT_NO: &str = "under `-e` a command that answers no by its exit code ends the body without a word, unless it is a condition: `grep` \
     that finds nothing, `diff` and `cmp` of different files, `read` at the end of its input, `((n++))` from 0, and as the last \
     command `[ ... ] && x`; write `if ...; then ...; fi`, or `|| true` after what may answer no; `set -x` in the first \
     line logs each command";

/// Whether a body for a shell ended with code 1, and neither an `exit` in it nor anything in its log looks like the cause.
fn is_silent_no(task: &CommandTask, exit: &Exit, tail: &str) -> bool {
    let says = |line: &str| {
        let line = line.to_lowercase();
        line.contains(':')
            || ["error", "fail", "cannot", "could not", "not ", "invalid"].iter().any(|word| line.contains(word))
    };
    let body = &task.command.body;
    exit.how == How::Code(1) && !body.contains("exit") && ProgramLine::of(body).is_none() && !tail.lines().any(says)
}

/// For a variable that is not set, those that the stage has of this name: `sid: unbound variable` and the axis `sid`.
fn declared_under_another_name(task: &CommandTask, tail: &str) -> Option<String> {
    let unset = tail.lines().rev().find_map(|line| {
        let before =
            [": unbound variable", ": parameter not set"].iter().find_map(|end| line.trim_end().strip_suffix(end))?;
        before.rsplit([' ', ':']).next()
    })?;
    let inputs = task.inputs.keys().map(|port| ("input", "IN", port.as_str()));
    let outputs = task.command.out.keys().map(|port| ("output", "OUT", port.as_str()));
    let params = task.params.keys().map(|name| ("parameter", "PARAM", name.as_str()));
    let axes = task.at.keys().map(|axis| ("axis", "EACH", axis.as_str()));
    let declared: Vec<String> = inputs
        .chain(outputs)
        .chain(params)
        .chain(axes)
        .filter(|(_, _, name)| variable_part(name) == variable_part(unset))
        .map(|(what, prefix, name)| format!("the {what} `{name}` is `${prefix}_{}`", variable_part(name)))
        .collect();
    (!declared.is_empty()).then(|| format!("`${unset}` is not set in a body: {}", declared.join(", ")))
}

/// What programs print when there is no network.
const NETWORK_WORDS: [&str; 8] = [
    "Network is unreachable",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Could not resolve host",
    "Couldn't resolve host",
    "Could not connect to server",
    "Connection refused",
    "ENETUNREACH",
];

/// What an exit code alone says.
fn exit_hint(exit: &Exit) -> Option<&'static str> {
    let signal = match exit.how {
        How::Code(127) => {
            return Some(
                "a program was not found on the stage's `PATH`; name it under `tools:`, as in `tools: { x: x --version }`",
            );
        }
        How::Code(code) => signal_of_child(code)?,
        How::Signal(signal) => signal,
    };
    match signal {
        libc::SIGKILL => {
            Some("if memory is short, give the stage a `mem:` in `resources:` so that fewer run at one time")
        }
        libc::SIGPIPE => Some(
            "the reader of a pipe stopped early, as `head -1` does, and `pipefail` counts that; let it read to the end \
             (`sed -n 1p` instead of `head -1`), or accept it: `{ COMMAND || test $? = 141; } | head -1`",
        ),
        _ => None,
    }
}

/// The first path in a line about missing permission that exists, and that the stage may not read.
fn unreadable_path(task: &CommandTask, tail: &str) -> Option<PathBuf> {
    if !task.command.isolated {
        return None;
    }
    let says = ["Permission denied", "PermissionError", "EACCES", "permission denied", "cannot open", "unable to open"];
    let lines = tail.lines().filter(|line| says.iter().any(|words| line.contains(words)));
    let own = &task.work;
    lines.flat_map(words).map(PathBuf::from).find(|path| {
        let may =
            path.starts_with(own) || is_system(path) || task.facts.readable.iter().any(|known| path.starts_with(known));
        path.is_absolute() && path.components().count() > 2 && !may && path.exists()
    })
}

/// What a line has between blanks, quotes and brackets.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let breaks = |c: char| c.is_whitespace() || "'\"`,;:()[]<>|=\u{2018}\u{2019}\u{201c}\u{201d}".contains(c);
    line.split(breaks).filter(|word| !word.is_empty())
}

/// Paths in the log that exist in the project and are not inputs; at most three.
fn undeclared_files(task: &CommandTask, tail: &str) -> BTreeSet<PathBuf> {
    let files = Layout::of(&task.work).files;
    let declared: Vec<&Path> =
        task.inputs.values().map(|(Placed::One { name, .. } | Placed::Many { name, .. })| name.as_path()).collect();
    words(tail)
        // A bare word such as `data` is more often a word than a folder.
        .filter(|word| word.contains(['/', '.']))
        .map(|word| word.trim_end_matches('.').to_owned())
        .chain(missing_modules(task, tail))
        .filter_map(|word| {
            let path = Path::new(&word);
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

/// Files of the project that a missing module or package may be: `No module named 'a.b'` is `a/b.py` or `a`, beside a
/// declared script or in the project's folder.
fn missing_modules(task: &CommandTask, tail: &str) -> Vec<String> {
    let mut folders: BTreeSet<PathBuf> = BTreeSet::from([PathBuf::new()]);
    for placed in task.inputs.values() {
        let (Placed::One { name, .. } | Placed::Many { name, .. }) = placed;
        folders.extend(name.parent().filter(|folder| !folder.starts_with("..")).map(Path::to_path_buf));
    }
    let after = |words: &'static str| {
        tail.lines().filter_map(move |line| line.split_once(words)).filter_map(|(_, rest)| self::words(rest).next())
    };
    let python = after("No module named").map(|module| module.replace('.', "/"));
    let node = after("Cannot find module").map(|module| module.trim_start_matches("./").to_owned());
    let endings = ["", ".py", ".js", ".mjs"];
    let mut found = Vec::new();
    for module in python.chain(node) {
        let top = module.split('/').next().unwrap_or(&module).to_owned();
        for name in [module.clone(), top] {
            let here = folders.iter().flat_map(|folder| endings.map(|ending| folder.join(format!("{name}{ending}"))));
            let there = here.filter(|path| task.project.join(path).exists());
            found.extend(there.map(|path| path.to_string_lossy().into_owned()));
            if !found.is_empty() {
                break;
            }
        }
    }
    found
}

/// A port name for a file: its stem, in the letters of names.
fn port_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().to_lowercase();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("file_{name}") } else { name }
}
