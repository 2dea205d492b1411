//! `labels/osf`: a rater's manual labels of a subject, from the Open Science Framework.
//!
//! The project lists the labels that are not to be trained on; that list is read once a process. By default such labels are absent
//! (`excluded`). The study leaves them out of its training targets only and scores against all of them: for that, `listed: keep`
//! gives every rater's labels, and `labels/exclude` takes the listed ones out where targets are made.
//!
//! With a listing of the project, such as the package `neuropythy` ships, the service is asked for the files alone: 181 subjects with
//! four raters are 724 files, and one question for each would take longer than the files, or be refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use pipe_contract::{Arity, Context, Ended, Failure, Kind, Probe, StageKind, Task, choice, parameters};

use super::exclude::{Exclusion, absent, excluded, parse};
use super::from_file::from_hdf5;
use crate::transfer::osf_listing::OsfFiles;
use crate::transfer::osf_project::Project;

/// How often an instance that waits for another one's download checks for a cancellation.
const WAIT: Duration = Duration::from_millis(50);

/// One project's exclusions, once an instance has read them.
type ExclusionsSlot = Mutex<Option<Arc<Vec<Exclusion>>>>;

/// The kind.
pub struct LabelsOsf;

parameters! {
    struct Parameters {
        /// The project's id, `gqnp8`: it holds `normalized/<rater>/<sid>.labels.hdf5`.
        project: String;
        /// Labels that the project's list of exclusions names: `absent` (the cause is `excluded`), or `keep`, as the
        /// study's scores do.
        listed: Listed = Listed::Absent, neutral Listed::Absent;
    }
}

choice! {
    /// What happens to labels that the project's list of exclusions names.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Listed {
        /// They are absent, `excluded`.
        Absent = "absent",
        /// They are fetched like the others.
        Keep = "keep",
    }
}

impl StageKind for LabelsOsf {
    fn kind(&self) -> Kind {
        let mut kind =
            Kind::new("labels/osf", 1, "A rater's manual labels of a subject, from the Open Science Framework.")
                .port(
                    "listing",
                    &[],
                    Arity::One,
                    true,
                    "A listing of the project, in the form of `hcp_lines_osftree.json.gz` of the package `neuropythy`; without it the service is asked for every file.",
                )
                .folder(
                    "labels",
                    "labels",
                    "{lh,rh}.area.mgz (0..3) and {lh,rh}.ring.mgz (0..5), one value per native vertex.",
                )
                .parameters::<Parameters>();
        kind.axes = vec!["rater", "sid"];
        kind.network = true;
        kind.absences = vec!["not-found", "excluded"];
        kind
    }

    fn probe(&self, task: &Task, context: &dyn Context) -> Result<Option<Probe>, Failure> {
        let project = task.parameters::<Parameters>()?.project;
        Project::open(&project)?.probe(context).map(Some)
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let project = OsfFiles::of(task, &task.parameters::<Parameters>()?.project)?;
        fetch(&project, task, context)
    }
}

/// The path of a rater's labels of a subject in the project.
fn labels_path(rater: &str, sid: &str) -> String {
    format!("normalized/{rater}/{sid}.labels.hdf5")
}

/// The labels of a task.
fn fetch(project: &OsfFiles, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
    let (sid, rater) = (task.coordinate("sid")?, task.coordinate("rater")?);
    let Parameters { listed, .. } = task.parameters()?;
    if listed == Listed::Absent {
        let exclusions = exclusions(project, task, context)?;
        if let Some(hemisphere) = excluded(&exclusions, rater, sid) {
            return Ok(absent(rater, sid, hemisphere));
        }
    }
    let name = labels_path(rater, sid);
    let Some(entry) = project.find(&name, context)? else { return Ok(project.lacks(&name)) };
    let file = task.scratch.join("labels.hdf5");
    let mut notes = project.download(&entry, task, &file, context)?;
    notes.extend(from_hdf5(&file, task.output("labels")?)?);
    Ok(Ended::noted(notes))
}

/// `normalized/logs/exclusions.json`: rater, subject and hemisphere of labels that are not to be used.
fn exclusions(project: &OsfFiles, task: &Task, context: &dyn Context) -> Result<Arc<Vec<Exclusion>>, Failure> {
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

fn read_exclusions(project: &OsfFiles, task: &Task, context: &dyn Context) -> Result<Arc<Vec<Exclusion>>, Failure> {
    let path = "normalized/logs/exclusions.json";
    let entry = project.find(path, context)?.ok_or_else(|| {
        Failure::input(format!(
            "the project `{}` has no `{path}`, so the labels to leave out are unknown",
            project.id()
        ))
        .hint("is it the project of manual labels (`gqnp8`)?")
    })?;
    let file = task.scratch.join("exclusions.json");
    project.download(&entry, task, &file, context)?;
    parse(&file).map(Arc::new).map_err(|failure| Failure {
        message: format!("`{path}` of project `{}` {}", project.id(), failure.message),
        ..failure
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::{Silent, Value};

    use super::*;
    use crate::formats::mgh;
    use crate::test_support::tasks;
    use crate::transfer::loopback::{LoopbackAnswer, Server};
    use crate::transfer::osf_listing::OsfListing;
    use crate::transfer::osf_project::Project;

    /// A page of a project's storage; an entry is its name and, for a folder, the path under which that is listed.
    fn page(address: &str, entries: &[(&str, Option<&str>)]) -> LoopbackAnswer {
        let entry = |(name, folder): &(&str, Option<&str>)| match folder {
            Some(path) => serde_json::json!({ "attributes": { "name": name, "kind": "folder", "path": path } }),
            None => serde_json::json!({
                "attributes": { "name": name, "kind": "file", "path": name },
                "links": { "download": format!("{address}/{name}") },
            }),
        };
        let entries: Vec<serde_json::Value> = entries.iter().map(entry).collect();
        LoopbackAnswer::ok(serde_json::json!({ "data": entries }).to_string())
    }

    /// A project with the labels of rater A1 for two subjects, of whom its list excludes the first.
    fn project() -> Server {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
        let labels = fs_err::read(fixtures.join("labels_earliest.hdf5")).unwrap();
        Server::start(move |request, address| {
            let target = request.target.split('?').next().unwrap_or_default();
            match target.trim_start_matches("/nodes/gqnp8/files/osfstorage") {
                "/" => page(address, &[("normalized", Some("/n/"))]),
                "/n/" => page(address, &[("logs", Some("/n/l/")), ("A1", Some("/n/a/"))]),
                "/n/l/" => page(address, &[("exclusions.json", None)]),
                "/n/a/" => page(address, &[("100610.labels.hdf5", None), ("102311.labels.hdf5", None)]),
                "/exclusions.json" => LoopbackAnswer::ok(r#"[["A1", 100610, "lh"]]"#),
                "/100610.labels.hdf5" | "/102311.labels.hdf5" => LoopbackAnswer::ok(labels.clone()),
                _ => LoopbackAnswer::status(404),
            }
        })
    }

    /// How the labels of a subject by rater A1 end, and their left areas.
    fn labels_of(sid: &str, listed: Option<&str>) -> (Ended, Option<Vec<i32>>) {
        let (server, folder) = (project(), tempfile::tempdir().unwrap());
        let mut task = tasks::task(&LabelsOsf, folder.path());
        task.at = [("rater", "A1"), ("sid", sid)].into_iter().collect();
        tasks::set(&mut task, "project", Value::Text("gqnp8".into()));
        if let Some(listed) = listed {
            tasks::set(&mut task, "listed", Value::Text(listed.into()));
        }
        let project = OsfFiles::Service(Project::at("gqnp8", &server.address()).unwrap());
        let ended = fetch(&project, &task, &Silent).unwrap();
        let areas = task.output("labels").unwrap().join("lh.area.mgz");
        (ended, areas.exists().then(|| mgh::read_i32(&areas).unwrap()))
    }

    #[test]
    fn labels_that_the_project_excludes_are_absent_by_default() {
        let (ended, areas) = labels_of("100610", None);
        let Ended::Absent { cause, detail } = ended else { panic!("excluded labels were fetched: {ended:?}") };
        assert_eq!(cause, "excluded");
        assert_eq!(detail, "the project excludes lh of subject `100610` by rater `A1`");
        assert_eq!(areas, None);
        let (ended, areas) = labels_of("102311", None);
        assert!(matches!(ended, Ended::Done { .. }), "labels that are not listed: {ended:?}");
        assert_eq!(areas, Some(vec![0, 1, 2, 3]));
    }

    /// The study's scores compare with all labels, also those that no network was trained on.
    #[test]
    fn labels_that_the_project_excludes_are_fetched_where_they_are_kept() {
        let (ended, areas) = labels_of("100610", Some("keep"));
        assert!(matches!(ended, Ended::Done { .. }), "{ended:?}");
        assert_eq!(areas, Some(vec![0, 1, 2, 3]));
    }

    /// With a listing the service is asked for files, and for nothing else.
    #[test]
    fn a_listing_answers_which_files_there_are() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats");
        let labels = fs_err::read(fixtures.join("labels_earliest.hdf5")).unwrap();
        let server = Server::start(move |request, _| match request.target.as_str() {
            "/download/one/" => LoopbackAnswer::ok(labels.clone()),
            "/download/list/" => LoopbackAnswer::ok(r#"[["A1", 100610, "lh"]]"#),
            _ => LoopbackAnswer::status(404),
        });
        let address = server.address();
        let tree = serde_json::json!({ "normalized": {
            "A1": { "102311.labels.hdf5": format!("{address}/download/one/") },
            "logs": { "exclusions.json": format!("{address}/download/list/") },
        } });
        let folder = tempfile::tempdir().unwrap();
        let listing = folder.path().join("tree.json");
        fs_err::write(&listing, tree.to_string()).unwrap();
        let run = |rater: &str, sid: &str| {
            let mut task = tasks::task(&LabelsOsf, &folder.path().join(format!("{rater}{sid}")));
            fs_err::create_dir_all(&task.scratch).unwrap();
            task.at = [("rater", rater), ("sid", sid)].into_iter().collect();
            tasks::set(&mut task, "project", Value::Text("gqnp8".into()));
            tasks::give(&mut task, "listing", &listing);
            LabelsOsf.run(&task, &Silent).unwrap()
        };
        assert_eq!(
            run("A1", "102311"),
            Ended::done(),
            "without a note that the file has no digest, which holds for all"
        );
        let Ended::Absent { cause, .. } = run("A1", "100610") else { panic!("excluded labels were fetched") };
        assert_eq!(cause, "excluded");
        let Ended::Absent { cause, detail } = run("A4", "102311") else { panic!("there is no such file") };
        assert_eq!(cause, "not-found");
        assert_eq!(detail, "the listing of project `gqnp8` has no file `normalized/A4/102311.labels.hdf5`");
        assert_eq!(server.requests(), 2, "the list of exclusions and one file");
    }

    /// Raters of the real listing who did not label a subject, by rater.
    fn lacking(listing: &OsfListing) -> Vec<String> {
        let sids = crate::test_support::study::all_subjects();
        let pairs =
            ["A1", "A2", "A3", "A4", "mean"].into_iter().flat_map(|rater| sids.iter().map(move |sid| (rater, sid)));
        let missing = pairs.filter(|(rater, sid)| listing.find(&labels_path(rater, sid)).is_none());
        missing.map(|(rater, _)| rater.to_owned()).collect()
    }

    #[test]
    #[ignore = "needs the listing of the package neuropythy: `just data`"]
    fn every_file_of_the_study_is_in_the_real_listing() {
        let listing = OsfListing::read(&tasks::data("neuropythy").join("hcp_lines_osftree.json.gz")).unwrap();
        // A4 has 179 of the 181 subjects; all others have all.
        assert_eq!(lacking(&listing), ["A4", "A4"]);
        let exclusions = listing.find("normalized/logs/exclusions.json").unwrap();
        assert_eq!(exclusions.address(), Some("https://osf.io/download/k9376/"));
        let labels = listing.paths().into_iter().filter(|path| path.ends_with(".labels.hdf5"));
        assert_eq!(labels.count(), 181 * 5 - 2, "and no other subject has labels");
    }
}
