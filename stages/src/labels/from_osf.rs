//! `labels/osf`: a rater's manual labels of a subject, from the Open Science Framework.
//!
//! The project lists the labels that are not to be used; that list is read once a process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, Type};
use serde::Deserialize;

use super::from_file::from_hdf5;
use crate::transfer::osf_project::Project;

/// How often an instance that waits for another one's download checks for a cancellation.
const WAIT: Duration = Duration::from_millis(50);

/// One project's exclusions, once an instance has read them.
type ExclusionsSlot = Mutex<Option<Arc<Vec<Exclusion>>>>;

/// The kind.
pub struct LabelsOsf;

#[derive(Deserialize)]
struct Parameters {
    project: String,
}

impl StageKind for LabelsOsf {
    fn kind(&self) -> Kind {
        let mut kind =
            Kind::new("labels/osf", 1, "A rater's manual labels of a subject, from the Open Science Framework.")
                .folder(
                    "labels",
                    "labels",
                    "{lh,rh}.area.mgz (0..3) and {lh,rh}.ring.mgz (0..5), one value per native vertex.",
                )
                .required(
                    "project",
                    Type::Text,
                    "The project's id, `gqnp8`: it holds `normalized/<rater>/<sid>.labels.hdf5`.",
                );
        kind.axes = vec!["rater", "sid"];
        kind.network = true;
        kind.absences = vec!["not-found", "excluded"];
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let (sid, rater) = (task.coordinate("sid")?, task.coordinate("rater")?);
        let project = Project::open(&task.parameters::<Parameters>()?.project)?;
        let exclusions = exclusions(&project, task, context)?;
        if let Some(hemisphere) = excluded(&exclusions, rater, sid) {
            let detail = format!("the project excludes {hemisphere} of subject `{sid}` by rater `{rater}`");
            return Ok(Ended::Absent { cause: "excluded".to_owned(), detail });
        }
        let name = format!("normalized/{rater}/{sid}.labels.hdf5");
        let Some(entry) = project.find(&name, context)? else { return Ok(project.lacks(&name)) };
        let file = task.scratch.join("labels.hdf5");
        let mut notes = entry.download(task, &file, context)?;
        notes.extend(from_hdf5(&file, task.output("labels")?)?);
        Ok(Ended::Done { ran_on: None, notes })
    }
}

/// `normalized/logs/exclusions.json`: rater, subject and hemisphere of labels that are not to be used.
fn exclusions(project: &Project, task: &Task, context: &dyn Context) -> Result<Arc<Vec<Exclusion>>, Failure> {
    static EXCLUSIONS: OnceLock<Mutex<BTreeMap<String, Arc<ExclusionsSlot>>>> = OnceLock::new();
    let key = project.key();
    let slot = {
        let mut slots = EXCLUSIONS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key).or_default())
    };
    // Locked during the download: the other instances wait for it instead of downloading the list again, unless the run is
    // cancelled.
    let mut known = loop {
        match slot.try_lock() {
            Ok(known) => break known,
            Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if context.cancelled() => return Err(Failure::stage("cancelled")),
            Err(TryLockError::WouldBlock) => std::thread::sleep(WAIT),
        }
    };
    if let Some(exclusions) = &*known {
        return Ok(Arc::clone(exclusions));
    }
    let exclusions = read_exclusions(project, task, context)?;
    *known = Some(Arc::clone(&exclusions));
    Ok(exclusions)
}

fn read_exclusions(project: &Project, task: &Task, context: &dyn Context) -> Result<Arc<Vec<Exclusion>>, Failure> {
    let path = "normalized/logs/exclusions.json";
    let entry = project.find(path, context)?.ok_or_else(|| {
        Failure::input(format!(
            "the project `{}` has no `{path}`, so the labels to leave out are unknown",
            project.id()
        ))
        .hint("is it the project of manual labels (`gqnp8`)?")
    })?;
    let file = task.scratch.join("exclusions.json");
    entry.download(task, &file, context)?;
    let bytes = std::fs::read(&file).map_err(|error| Failure::io("read", &file, &error))?;
    serde_json::from_slice(&bytes).map(Arc::new).map_err(|error| {
        Failure::input(format!(
            "`{path}` of project `{}` is not a list of [rater, subject, hemisphere]: {error}",
            project.id()
        ))
    })
}

/// Labels that are not to be used: rater, subject, hemisphere.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Exclusion(String, Id, String);

/// A subject's id, which the list writes as a number or as text.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    fn is(&self, sid: &str) -> bool {
        match self {
            Id::Number(number) => number.to_string() == sid,
            Id::Text(text) => text == sid,
        }
    }
}

/// The hemisphere that excludes a (rater, subject), if one does; either takes the whole pair out. The derived rater
/// `mean` is excluded where more than one rater is.
fn excluded(exclusions: &[Exclusion], rater: &str, sid: &str) -> Option<&'static str> {
    ["lh", "rh"].into_iter().find(|hemisphere| {
        let here = exclusions.iter().filter(|Exclusion(_, id, h)| id.is(sid) && h == hemisphere);
        let mut raters: Vec<&str> = here.map(|Exclusion(rater, _, _)| rater.as_str()).collect();
        raters.sort_unstable();
        raters.dedup();
        raters.contains(&rater) || (rater == "mean" && raters.len() > 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hemisphere_excludes_the_pair_and_two_raters_the_mean() {
        let list = r#"[["A1", 100610, "lh"], ["A2", "100610", "lh"], ["A3", 102311, "rh"]]"#;
        let list: Vec<Exclusion> = serde_json::from_str(list).unwrap();
        assert_eq!(excluded(&list, "A1", "100610"), Some("lh"));
        assert_eq!(excluded(&list, "A2", "100610"), Some("lh"));
        assert_eq!(excluded(&list, "A3", "100610"), None);
        assert_eq!(excluded(&list, "A3", "102311"), Some("rh"));
        assert_eq!(excluded(&list, "mean", "100610"), Some("lh"));
        assert_eq!(excluded(&list, "mean", "102311"), None);
    }
}
