//! What the two programs of the fidelity check have in common: they take the folders of their command line, say on
//! standard error what went wrong, and run a kind without the engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pipe_contract::{Coordinates, Device, Failure, Given, Silent, StageKind, Task, Value};

/// Runs a program on the folders of its command line; `work` gives nothing if it needs another number of them, which
/// `expected` says.
pub fn run(expected: &str, work: impl FnOnce(&[PathBuf]) -> Option<Result<(), Failure>>) -> ExitCode {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (message, code) = match work(&folders) {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(failure)) => (failure.to_string(), 1),
        None => (format!("expected {expected}"), 2),
    };
    complain(&message);
    ExitCode::from(code)
}

#[expect(clippy::print_stderr, reason = "a small program of its own")]
fn complain(message: &str) {
    eprintln!("error: {message}");
}

/// Runs a kind at some coordinates, with its default parameters but for `params`. Outputs are written to `output`, in
/// whose name `{port}` is the port.
pub fn run_kind(
    stage: &dyn StageKind,
    at: Coordinates,
    inputs: BTreeMap<&str, Given>,
    params: &[(&str, Value)],
    output: &Path,
) -> Result<(), Failure> {
    let kind = stage.kind();
    let place = |port: &str| PathBuf::from(output.to_string_lossy().replace("{port}", port));
    let defaults = kind.params.iter().filter_map(|param| Some((param.name.to_owned(), param.default.clone()?)));
    let given = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let task = Task {
        kind: kind.name.to_owned(),
        version: kind.version,
        params: defaults.chain(given).collect(),
        at,
        inputs: inputs.into_iter().map(|(port, given)| (port.to_owned(), given)).collect(),
        outputs: kind.outputs.iter().map(|port| (port.name.to_owned(), place(port.name))).collect(),
        seed: None,
        simulated: false,
        device: Device::Cpu,
        threads: 1,
        credential: None,
        accepts_absent: Vec::new(),
        coverage: BTreeMap::new(),
        checkpoint: None,
        scratch: output.to_path_buf(),
    };
    stage.run(&task, &Silent).map(drop)
}

/// Creates a folder and those above it.
pub fn folder(path: PathBuf) -> Result<PathBuf, Failure> {
    fs_err::create_dir_all(&path).map_err(|error| Failure::io("create", &path, &error))?;
    Ok(path)
}

/// Writes a text file.
pub fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    fs_err::write(path, text).map_err(|error| Failure::io("write", path, &error))
}
