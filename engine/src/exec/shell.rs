//! The program that runs a body, and how the body is passed to it.
//!
//! | body | runs as |
//! |---|---|
//! | of a stage | `bash -euo pipefail -c BODY` |
//! | with `shell: sh` | `sh -eu -c BODY` |
//! | that begins with `#!PROGRAM ARGUMENT` | `PROGRAM ARGUMENT .body`, a file in the working folder |
//!
//! Without bash a stage fails; it never runs under another shell than the one it was written for.
//!
//! What `pipefail` does not see: a command in `<(...)` or `>(...)`, and one in `local x=$(...)` or `export x=$(...)`, whose
//! exit code is that of `local` (write `local x; x=$(...)`). With `-e`, a command in a condition (`if`, `&&`, `||`) does not
//! end the body.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::Failure;

use super::search_path::{SYSTEM_PATH, find};
use crate::plan::{Command, ProgramLine, Shell};

/// The name of the file, in the working folder, that a body with `#!` is written to.
const BODY_FILE: &str = ".body";

/// What runs a body.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Interpreter {
    /// The program, absolute.
    pub program: PathBuf,
    /// The executable that decides what the body does: the program, or the one that `/usr/bin/env` starts.
    pub executable: PathBuf,
    how: How,
}

#[derive(Clone, Debug, PartialEq)]
enum How {
    Shell(Shell),
    /// A file, after the argument of the `#!` line.
    File(Option<String>),
}

impl Interpreter {
    /// The interpreter of a command. `search` is where programs are looked for that a `#!` line names without a path, and
    /// bash after the system's folders.
    ///
    /// # Errors
    /// It is not there.
    pub fn of(command: &Command, search: &OsStr) -> Result<Self, Failure> {
        if let Some(line) = ProgramLine::of(&command.body) {
            return of_line(&line, search);
        }
        let program = find_shell(command.shell, [SYSTEM_PATH.as_ref(), search])?;
        Ok(Self { executable: program.clone(), program, how: How::Shell(command.shell) })
    }

    /// The name of a shell with its options, for the key; a `#!` line is in the body.
    pub fn fact(&self) -> &'static str {
        match self.how {
            How::Shell(Shell::Bash) => "bash -euo pipefail",
            How::Shell(Shell::Sh) => "sh -eu",
            How::File(_) => "#!",
        }
    }

    /// The arguments with the program's name first. Writes the file, if the body is to be one, into the working folder.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn arguments(&self, body: &str, folder: &Path) -> Result<Vec<OsString>, Failure> {
        let name = self.program.file_name().unwrap_or_default().to_owned();
        let options: &[&str] = match &self.how {
            How::Shell(Shell::Bash) => &["-euo", "pipefail", "-c", body],
            How::Shell(Shell::Sh) => &["-eu", "-c", body],
            How::File(argument) => {
                let path = folder.join(BODY_FILE);
                fs::write(&path, body).map_err(|error| Failure::io("write", &path, &error))?;
                let argument = argument.iter().map(OsString::from);
                return Ok(std::iter::once(name).chain(argument).chain([BODY_FILE.into()]).collect());
            }
        };
        Ok(std::iter::once(name).chain(options.iter().map(OsString::from)).collect())
    }
}

/// A shell, in the first of several `PATH`s that has it.
fn find_shell(shell: Shell, searched: [&OsStr; 2]) -> Result<PathBuf, Failure> {
    let (name, hint) = match shell {
        Shell::Bash => ("bash", "install bash, or write the body for `sh` and add `shell: sh` to the stage"),
        Shell::Sh => ("sh", "install a POSIX shell as `/bin/sh`"),
    };
    searched.into_iter().find_map(|path| find(name, path)).ok_or_else(|| {
        let message = format!("the body runs under `{name}`, which was not found on this machine");
        Failure::environment(message).hint(hint)
    })
}

fn of_line(line: &ProgramLine<'_>, search: &OsStr) -> Result<Interpreter, Failure> {
    let path = PathBuf::from(line.program);
    let missing = |what: &str| {
        Failure::environment(format!("the body begins with `#!{}`, and {what}", line.text))
            .hint("install it, name it under `tools:`, or correct the first line")
    };
    if !path.is_absolute() || !path.is_file() {
        return Err(missing(&format!("there is no program `{}`", line.program)));
    }
    let executable = match line.started_by_env() {
        Some(name) => find(name, search).ok_or_else(|| missing(&format!("`{name}` was not found on the `PATH`")))?,
        None => path.clone(),
    };
    Ok(Interpreter { program: path, executable, how: How::File(line.argument.map(str::to_owned)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bash_is_an_error_and_never_another_shell() {
        let folder = tempfile::tempdir().expect("a folder");
        let sh = folder.path().join("sh");
        fs::write(&sh, "").expect("writes");
        fs::set_permissions(&sh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("sets the mode");
        let searched = [folder.path().as_os_str(), OsStr::new("")];
        assert_eq!(find_shell(Shell::Sh, searched), Ok(sh));
        let missing = find_shell(Shell::Bash, searched).expect_err("is not there");
        assert_eq!(missing.message, "the body runs under `bash`, which was not found on this machine");
        assert!(missing.hint.is_some_and(|hint| hint.contains("`shell: sh`")));
    }

    #[test]
    fn a_missing_program_of_a_first_line_is_named() {
        let of = |body| of_line(&ProgramLine::of(body).expect("a line"), SYSTEM_PATH.as_ref());
        let missing = of("#!/usr/bin/env no-such-program").expect_err("is not there");
        assert!(missing.message.contains("`no-such-program` was not found"), "{missing}");
        let missing = of("#!/no/such/python3 -u").expect_err("is not there");
        assert!(missing.message.contains("there is no program `/no/such/python3`"), "{missing}");
        assert_eq!(of("#!/bin/sh -x -y").expect("is there").how, How::File(Some("-x -y".into())));
    }
}
