//! The kinds `file` and `file/url`: one file, from the project or from an address.

use std::fs;
use std::path::{Path, PathBuf};

use pipe_contract::{Context, Ended, Failure, Kind, Progress, StageKind, Task, Type, Value};
use serde::Deserialize;
use ureq::http::HeaderMap;

use super::digest::Sha256;
use super::http::{self, Ask, Download, Guard};

/// `file`: a file of the project as an artifact, so that several stages can read it under one name.
pub struct ProjectFile;

impl StageKind for ProjectFile {
    fn kind(&self) -> Kind {
        Kind::new("file", 1, "A file of the project as an artifact.").input("file", &[], "The file.").file(
            "file",
            "file",
            "The same bytes.",
        )
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let source = task.one("file")?;
        if !source.is_file() {
            return Err(Failure::input(format!("`{}` is not a file", source.display()))
                .hint("a folder can be read directly: write its path in `in:` of the stage that needs it"));
        }
        copy(source, task.output("file")?)?;
        Ok(Ended::done())
    }
}

/// `file/url`: a file fetched over HTTP, resumed where it broke off.
pub struct UrlFile;

#[derive(Deserialize)]
struct UrlParameters {
    url: String,
    sha256: String,
}

impl StageKind for UrlFile {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("file/url", 1, "A file fetched over HTTP or HTTPS.")
            .file("file", "file", "The bytes that the address gave.")
            .required("url", Type::Text, "The address, `http://` or `https://`; redirects are followed.")
            .param(
                "sha256",
                Type::Text,
                Value::Text(String::new()),
                "The SHA-256 that the file must have (64 hexadecimal digits); empty for none.",
            );
        kind.network = true;
        kind.checkpoint = true;
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: UrlParameters = task.parameters()?;
        let pin = Sha256::parse_optional(&parameters.sha256)?;
        let notes = fetch_url(&parameters.url, pin.as_ref(), task, task.output("file")?, context)?;
        Ok(Ended::Done { ran_on: None, notes })
    }
}

/// Fetches an address to `target`, compares it with its pin, and remarks when there is none.
///
/// # Errors
/// Input: a malformed address, a file that does not exist, another digest than the pin. Environment: the network, the disk.
pub(super) fn fetch_url(
    url: &str,
    pin: Option<&Sha256>,
    task: &Task,
    target: &Path,
    context: &dyn Context,
) -> Result<Vec<String>, Failure> {
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        return Err(Failure::input(format!("`{}` is no address, expected `https://...`", http::redact(url))));
    }
    let name = http::redact(url);
    let partial = work_folder(task).join("download");
    let ask = || Ok(Ask { url: url.to_owned(), headers: Vec::new() });
    let download = Download {
        name: &name,
        partial: partial.clone(),
        ask: &ask,
        guard: Guard::IfRange,
        verify: &|_: &Path, _: &HeaderMap| Ok(()),
        on_bytes: &|done, total| context.progress(bytes(done, total.unwrap_or(0), "")),
    };
    http::fetch(&http::agent()?, &download, context).map_err(|trouble| trouble.into_failure(&name))?;
    let mut notes = Vec::new();
    match pin {
        Some(pin) => pin.check(&partial, &name).inspect_err(|_| {
            // The next run must not resume from bytes that are known to be wrong.
            let _ = fs::remove_file(&partial);
        })?,
        None => notes.push(format!("`{name}` is not pinned; it has sha256 {}", Sha256::of_file(&partial)?.as_str())),
    }
    place(&partial, target)?;
    Ok(notes)
}

/// Progress in bytes.
pub(super) fn bytes(done: u64, total: u64, note: &str) -> Progress {
    Progress { done, total, unit: "bytes".to_owned(), note: note.to_owned() }
}

/// Where downloads grow: the folder that survives kills where the task has one.
pub(super) fn work_folder(task: &Task) -> PathBuf {
    task.checkpoint.clone().unwrap_or_else(|| task.scratch.clone())
}

/// Moves a finished file to its place, across file systems if need be.
///
/// # Errors
/// Environment: the disk.
pub(super) fn place(from: &Path, to: &Path) -> Result<(), Failure> {
    create_parent(to)?;
    if fs::rename(from, to).is_ok() {
        return Ok(());
    }
    copy(from, to)?;
    fs::remove_file(from).map_err(|error| Failure::io("remove", from, &error))
}

/// Copies the bytes of a file, not its mode or times.
///
/// # Errors
/// Environment: the disk.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    create_parent(to)?;
    let mut source = fs::File::open(from).map_err(|error| Failure::io("read", from, &error))?;
    let mut target = fs::File::create(to).map_err(|error| Failure::io("write", to, &error))?;
    std::io::copy(&mut source, &mut target).map_err(|error| Failure::io("write", to, &error))?;
    Ok(())
}

/// Makes the folder of a file.
///
/// # Errors
/// Environment: the disk.
pub(super) fn create_parent(path: &Path) -> Result<(), Failure> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(|error| Failure::io("create the folder", parent, &error)),
        None => Ok(()),
    }
}
