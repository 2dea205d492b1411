//! Commits an attempt: checks what it left, moves it into the store, and publishes the record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use fs_err as fs;
use pipe_cache::{Made, Record, Stored, remove_all};
use pipe_contract::{Ended, Failure, Form, Kind, RanOn};

use super::attempt::Attempt;
use super::lookup::{Known, Lookup, Miss};
use super::provenance::provenance;
use super::state_dir::LastWork;
use super::storage::Storage;
use super::withheld::append;
use crate::exec::{Usage, output_path, outputs_folder};
use crate::ids::InstanceId;
use crate::plan::Work;
use crate::report::cache_failure;

/// The outcome of an attempt that did not fail.
pub(super) enum Committed {
    Outputs { ran_on: Option<RanOn>, notes: Vec<String> },
    Absent { cause: String },
}

/// Checks and stores what an attempt left, and publishes the record.
pub(super) struct Commit<'c, 'a> {
    pub id: InstanceId,
    pub miss: &'c Miss<'a>,
    pub attempt: &'c Attempt,
    pub storage: Storage<'c>,
}

impl Commit<'_, '_> {
    pub fn carry_out(
        &self,
        lookup: &mut Lookup<'_>,
        ended: Ended,
        usage: Usage,
        orphans: bool,
    ) -> Result<Committed, Failure> {
        let Self { id, miss, storage, .. } = *self;
        lookup.check_sources(id, &miss.inputs)?;
        let (made, ran_on, notes, aggregated) = match ended {
            Ended::Absent { cause, detail } => {
                check_may_be_absent(lookup, id, &cause)
                    .map_err(|failure| Failure { message: format!("{}: {detail}", failure.message), ..failure })?;
                append(&self.attempt.log, &format!("absent ({cause}): {detail}\n"))?;
                (Made::Absent { cause }, None, vec![detail], BTreeMap::new())
            }
            Ended::Done { ran_on, notes, aggregated } => {
                if let Some(kind) = lookup.kind(id) {
                    check_aggregated(kind, &aggregated)?;
                }
                let notes = notes.into_iter().chain(miss.inputs.coverage_notes()).collect();
                (Made::Outputs(self.ingest(lookup)?), ran_on, notes, aggregated)
            }
        };
        for list in miss.inputs.cell_lists() {
            storage.session.put(list.as_bytes()).map_err(|error| storage.failure(&error))?;
        }
        let parts = serde_json::to_value(lookup.parts(id, &miss.inputs)?)
            .map_err(|error| Failure::internal(format!("the parts of a key have no JSON form: {error}")))?;
        let label = lookup.plan.label(id);
        let record =
            Record { made, parts, provenance: provenance(&label, usage, ran_on.as_ref(), &notes, &aggregated) };
        let published = storage.session.publish(&miss.key, record, miss.ignores_records());
        let record = published.map_err(|error| storage.failure(&error))?;
        lookup.save_notes(id, &miss.key, &record)?;
        lookup.local(id).index.put(&miss.key, &record.made).map_err(|error| cache_failure(&error))?;
        lookup
            .local(id)
            .note_done(&label, LastWork { key: miss.key, seconds: usage.wall.as_secs_f64(), of_profile: false })?;
        self.clean_up(lookup, orphans);
        Ok(match record.made {
            Made::Absent { cause } => {
                let known: Rc<str> = cause.as_str().into();
                lookup.set_known(id, Known::Absent { cause: known, origin: id });
                lookup.save_absence_detail(id, notes.into_iter().next().unwrap_or_default());
                Committed::Absent { cause }
            }
            Made::Outputs(outputs) => {
                lookup.set_known(id, Known::Outputs(outputs.into()));
                Committed::Outputs { ran_on, notes }
            }
        })
    }

    /// Removes what a finished instance no longer needs. It is finished whether or not that succeeds. A folder in which
    /// an orphaned process may still be at work is not used again.
    fn clean_up(&self, lookup: &Lookup<'_>, orphans: bool) {
        let Storage { state_dir, session, .. } = self.storage;
        let folder = &self.attempt.folder;
        let retained = session.remove_retained(&state_dir.retained_name(lookup.plan, self.id));
        let used = if orphans { remove_all(folder) } else { session.give_back(folder) };
        let checkpoint = match lookup.kind(self.id) {
            Some(kind) if kind.checkpoint => remove_all(&state_dir.checkpoint(&self.miss.key)),
            _ => Ok(()),
        };
        for cleared in [retained, used, checkpoint] {
            if let Err(error) = cleared {
                tracing::warn!(%error, "something that is not needed stays in the cache");
            }
        }
    }

    /// Moves the outputs of an attempt into the store.
    fn ingest(&self, lookup: &Lookup<'_>) -> Result<Vec<Stored>, Failure> {
        let folder = &self.attempt.folder;
        let mut paths: Vec<(String, PathBuf)> = match &lookup.plan.stage_of(self.id).work {
            Work::Command(command) => {
                command.out.iter().map(|(port, path)| (port.clone(), output_path(folder, path))).collect()
            }
            Work::Kind(_) => {
                let kind =
                    lookup.kind(self.id).ok_or_else(|| Failure::internal("a kind vanished from the registry"))?;
                check_outputs(kind, &outputs_folder(folder))?
            }
        };
        paths.sort();
        let storage = self.storage;
        let mut outputs = Vec::with_capacity(paths.len());
        for (port, path) in paths {
            let (artifact, blobs) = storage
                .session
                .ingest(&path)
                .map_err(|error| storage.failure(&error).at(format!("output `{port}`")))?;
            let blobs = if artifact.blob().is_some() { Vec::new() } else { blobs };
            outputs.push(Stored { port, artifact, blobs });
        }
        Ok(outputs)
    }
}

/// A kind may report only the causes it declares, and the stage must accept them.
fn check_may_be_absent(lookup: &Lookup<'_>, id: InstanceId, cause: &str) -> Result<(), Failure> {
    match lookup.kind(id) {
        Some(kind) if !kind.absences.contains(&cause) => {
            Err(Failure::internal(format!("`{}` reports an absence it does not declare: `{cause}`", kind.name)))
        }
        _ => lookup.check_accepted(id, cause),
    }
}

/// A kind says of the outputs that aggregate, and of no others, how many subjects are behind them.
fn check_aggregated(kind: &Kind, aggregated: &BTreeMap<String, u64>) -> Result<(), Failure> {
    let declared: BTreeSet<&str> =
        kind.outputs.iter().filter(|output| output.aggregates).map(|output| output.name).collect();
    let said: BTreeSet<&str> = aggregated.keys().map(String::as_str).collect();
    match declared.symmetric_difference(&said).next() {
        None => Ok(()),
        Some(port) if declared.contains(port) => Err(Failure::internal(format!(
            "`{}` declares that `{port}` aggregates subjects, and does not say how many",
            kind.name
        ))),
        Some(port) => Err(Failure::internal(format!(
            "`{}` says how many subjects are behind `{port}`, and does not declare that it aggregates them",
            kind.name
        ))),
    }
}

/// The outputs of a kind, with the form it declares.
fn check_outputs(kind: &Kind, out: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut paths = Vec::with_capacity(kind.outputs.len());
    for output in &kind.outputs {
        let path = out.join(output.name);
        let wrong = |what: &str| {
            let form = match output.form {
                Form::File => "a file that is not empty",
                Form::Folder => "a folder with at least one file",
            };
            Failure::internal(format!("`{}` {what} output `{}`, which is to be {form}", kind.name, output.name))
        };
        let found = fs::symlink_metadata(&path).map_err(|_| wrong("did not write"))?;
        match output.form {
            Form::File if !found.is_file() => return Err(wrong("wrote something else as")),
            Form::File if found.len() == 0 => return Err(wrong("wrote nothing into")),
            Form::Folder if !found.is_dir() => return Err(wrong("wrote something else as")),
            Form::Folder if !has_file(&path) => return Err(wrong("wrote nothing into")),
            _ => paths.push((output.name.to_owned(), path)),
        }
    }
    let declared = |name: &str| kind.outputs.iter().any(|output| output.name == name);
    let there = fs::read_dir(out).map_err(|error| Failure::io("list", out, &error))?;
    let extra =
        there.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).find(|name| !declared(name));
    match extra {
        Some(extra) => Err(Failure::internal(format!("`{}` wrote `{extra}`, which it does not declare", kind.name))),
        None => Ok(paths),
    }
}

fn has_file(folder: &Path) -> bool {
    walkdir::WalkDir::new(folder).into_iter().any(|entry| entry.is_ok_and(|entry| entry.file_type().is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_counts_subjects_behind_what_it_declares_and_nothing_else() {
        let kind = Kind::new("test/kind", 1, "a kind").file("sum", "text", "a sum").aggregating();
        let kind = kind.file("list", "text", "a list");
        let said = |ports: &[&str]| {
            let aggregated = ports.iter().map(|port| ((*port).to_owned(), 3)).collect();
            check_aggregated(&kind, &aggregated).map_err(|failure| failure.message)
        };
        assert_eq!(said(&["sum"]), Ok(()));
        let silent = "`test/kind` declares that `sum` aggregates subjects, and does not say how many";
        assert_eq!(said(&[]), Err(silent.to_owned()));
        let undeclared =
            "`test/kind` says how many subjects are behind `list`, and does not declare that it aggregates them";
        assert_eq!(said(&["list", "sum"]), Err(undeclared.to_owned()));
    }
}
