//! What the tests leave out because this machine lacks something. It is written past the capture of test output, and into
//! the file `PIPE_TEST_NOT_RUN`, which `./just test` prints at its end.

use std::io::Write;
use std::process::{Command, Stdio};

use fs_err as fs;

/// Reports that a part of the tests does not run here, and why.
pub fn not_run(what: &str, why: &str) {
    let line = format!("NOT RUN: {what}, because {why}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr can be written");
    if let Some(list) = std::env::var_os("PIPE_TEST_NOT_RUN") {
        let list = fs::OpenOptions::new().create(true).append(true).open(list.as_os_str());
        list.expect("the list of what is not run").write_all(line.as_bytes()).expect("a line is added");
    }
}

/// Whether a program can be started; without it, reports what does not run.
///
/// # Panics
/// The program is missing and `PIPE_TEST_COMPLETE` is set, as it is in CI: there it can be installed.
pub fn has_program(program: &str, what: &str) -> bool {
    let mut command = Command::new(program);
    if command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
        return true;
    }
    assert!(std::env::var_os("PIPE_TEST_COMPLETE").is_none(), "{what} cannot be run, because there is no `{program}`");
    not_run(what, &format!("`{program}` is not installed"));
    false
}
