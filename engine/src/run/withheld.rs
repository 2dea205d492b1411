//! What instances with restricted data say: error messages, notes, measured numbers.
//!
//! Such words may quote the data, so they are only in the log of the instance and beside it, where its data lie. Screen, events,
//! manifest and sidecars say that there are some and how the owner reads them. Two things are said all the same,
//! because nothing in them comes from the data: which declared cause made a cell absent, and what a kind says about the
//! machine or the network (a refused key, a full disk). A command's words are withheld altogether: what they are about is unknown.

use std::path::{Path, PathBuf};

use fs_err::File;
use pipe_cache::Record;
use pipe_contract::{Blame, Failure, Metric, Unwritable};

use super::provenance::notes_of;
use crate::ids::InstanceId;
use crate::plan::{Plan, Work};

/// Whether what an instance says stays in its log.
pub(super) fn is_withheld(plan: &Plan, id: InstanceId) -> bool {
    !plan.instance(id).restricted.is_empty()
}

/// The failure of an attempt as it is reported.
pub(super) fn failure(plan: &Plan, id: InstanceId, failure: Failure, log: &Path) -> Failure {
    let is_of_machine = failure.blame == Blame::Environment && matches!(plan.stage_of(id).work, Work::Kind(_));
    if !is_withheld(plan, id) || is_of_machine {
        return failure;
    }
    let hint = failure.hint.iter().map(|hint| format!("hint: {hint}\n"));
    let said = append(log, &std::iter::once(format!("{failure}\n")).chain(hint).collect::<String>());
    if let Err(failure) = said {
        tracing::warn!(%failure, "the reason of a failure is lost");
    }
    let message = format!("it failed; what it says about it is restricted ({})", names(plan, id));
    // Fixed words, without which a full disk would look like a fault of the stage.
    let full = Some(Unwritable::Full.hint()).filter(|full| failure.hint.as_deref() == Some(full));
    let hint = full.map_or_else(|| read_log(plan, id), |full| format!("{full}; {}", read_log(plan, id)));
    Failure { transient: failure.transient, ..Failure::new(failure.blame, message).hint(hint) }
}

/// The notes of an attempt as they are reported; in full they are in its record and its log.
pub(super) fn notes_of_attempt(plan: &Plan, id: InstanceId, notes: Vec<String>, log: &Path) -> Vec<String> {
    if is_withheld(plan, id)
        && let Err(failure) = append(log, &notes.iter().map(|note| format!("note: {note}\n")).collect::<String>())
    {
        tracing::warn!(%failure, "notes of a stage are in its record only");
    }
    notes_of_record(plan, id, notes)
}

/// The notes of a record as they are reported.
pub(super) fn notes_of_record(plan: &Plan, id: InstanceId, notes: Vec<String>) -> Vec<String> {
    if notes.is_empty() || !is_withheld(plan, id) {
        return notes;
    }
    let stage = &plan.stage_of(id).name;
    vec![format!("what `{stage}` noted is restricted ({}); `pipe log` shows it to you", names(plan, id))]
}

/// What a stage said when it found its cell absent, as it is reported; in full it is in its record and its log.
pub(super) fn absence(plan: &Plan, id: InstanceId, detail: &str) -> String {
    if !is_withheld(plan, id) {
        return detail.to_owned();
    }
    format!("what it says about it is restricted ({}); {}", names(plan, id), read_log(plan, id))
}

/// Adds a metric of an attempt to those beside its log, which only `pipe status --metrics` shows.
pub(super) fn metric(metric: &Metric, log: &Path) {
    let line = serde_json::to_string(metric).map_err(|error| Failure::internal(error.to_string()));
    if let Err(failure) = line.and_then(|line| append(&metrics_beside(log), &format!("{line}\n"))) {
        tracing::warn!(%failure, "a metric of a stage is lost");
    }
}

/// Removes the metrics of an earlier attempt.
pub(super) fn forget_metrics(log: &Path) -> Result<(), Failure> {
    let file = metrics_beside(log);
    match fs_err::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", &file, &error)),
        _ => Ok(()),
    }
}

/// The metrics of the last attempt that has this log, as far as whole lines are there.
pub(super) fn metrics(log: &Path) -> Result<Vec<Metric>, Failure> {
    let file = metrics_beside(log);
    let text = match fs_err::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::io("read", &file, &error)),
    };
    Ok(text.split_inclusive('\n').filter_map(|line| serde_json::from_str(line.strip_suffix('\n')?).ok()).collect())
}

fn metrics_beside(log: &Path) -> PathBuf {
    log.with_extension("metrics.jsonl")
}

/// A record with its notes as they are reported.
pub(super) fn without_notes(plan: &Plan, id: InstanceId, mut record: Record) -> Record {
    let notes = notes_of_record(plan, id, notes_of(&record));
    if let Some(written) = record.provenance.get_mut("notes") {
        *written = notes.into();
    }
    record
}

/// How the owner reads what an instance said.
fn read_log(plan: &Plan, id: InstanceId) -> String {
    let file = plan.file.file_name().unwrap_or(plan.file.as_os_str()).to_string_lossy();
    let profile = plan.profile.as_ref().map(|profile| format!(" -p {profile}")).unwrap_or_default();
    format!("`pipe log {file}{profile} '{}'` shows it to you", plan.label(id))
}

fn names(plan: &Plan, id: InstanceId) -> String {
    plan.instance(id).restricted.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Adds to a log.
pub(super) fn append(log: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let written =
        File::options().create(true).append(true).open(log).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::io("write to the log", log, &error))
}
