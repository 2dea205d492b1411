//! Fetches one address to one file, and compares it with its pin.

use std::path::{Path, PathBuf};

use fs_err as fs;
use pipe_contract::{Context, Failure, Probe, Progress, Task};
use ureq::http::HeaderMap;

use super::checksum::Sha256;
use super::http::{self, Download, GetRequest, Precondition};
use super::local_file::place;

/// Fetches an address to `target`, compares it with its pin, and remarks when there is none.
///
/// # Errors
/// Input: a malformed address, a file that does not exist, another digest than the pin. Environment: the network, the disk.
pub fn fetch_url(
    url: &str,
    pin: Option<&Sha256>,
    task: &Task,
    target: &Path,
    context: &dyn Context,
) -> Result<Vec<String>, Failure> {
    let name = checked_name(url)?;
    let partial = work_folder(task).join("download");
    let request = || Ok(GetRequest { url: url.to_owned(), headers: Vec::new() });
    let download = Download {
        name: &name,
        partial: partial.clone(),
        request: &request,
        precondition: Precondition::IfRange,
        verify: &|_: &Path, _: &HeaderMap| Ok(()),
        on_bytes: &|done, total| context.progress(bytes(done, total.unwrap_or(0), "")),
    };
    http::fetch(&http::agent()?, &download, context).map_err(|error| error.into_failure(&name))?;
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

/// Asks for the size of what is at an address, without fetching it.
///
/// # Errors
/// As for [`fetch_url`].
pub fn probe_url(url: &str, context: &dyn Context) -> Result<Probe, Failure> {
    let name = checked_name(url)?;
    let request = || Ok(GetRequest { url: url.to_owned(), headers: Vec::new() });
    let bytes = http::size(&http::agent()?, &name, &request, context).map_err(|error| error.into_failure(&name))?;
    Ok(Probe { found: format!("`{name}` is there"), bytes, incomplete: false })
}

/// What messages call an address.
fn checked_name(url: &str) -> Result<String, Failure> {
    let name = http::redact(url);
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(name);
    }
    Err(Failure::input(format!("`{name}` is not an address, expected `https://...`")))
}

/// Progress in bytes.
pub fn bytes(done: u64, total: u64, note: &str) -> Progress {
    Progress { done, total, unit: "bytes".to_owned(), note: note.to_owned() }
}

/// Where downloads grow: the folder that survives kills where the task has one.
pub fn work_folder(task: &Task) -> PathBuf {
    task.checkpoint.clone().unwrap_or_else(|| task.scratch.clone())
}
