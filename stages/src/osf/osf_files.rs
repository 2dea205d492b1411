//! `osf/files`: some files of one folder of a project on the Open Science Framework, such as a published model with its options.

use pipe_contract::{Arity, Context, Ended, Failure, Kind, Probe, StageKind, Task, parameters};

use crate::transfer::local_file::create_parent;
use crate::transfer::osf_listing::OsfFiles;
use crate::transfer::osf_project::Project;

/// The kind.
pub struct OsfFolder;

parameters! {
    struct Parameters {
        /// The project's id, such as `c49dv`.
        project: String;
        /// The folder in the project's storage, such as `models/anat_area`.
        folder: String;
        /// The names of the files in it.
        names: Vec<String>;
    }
}

impl StageKind for OsfFolder {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("osf/files", 1, "Files of a folder of a project on the Open Science Framework.")
            .port(
                "listing",
                &[],
                Arity::One,
                true,
                "A listing of the project, as `osf/listing` makes one; without it the service is asked for each file.",
            )
            .folder("files", "files", "The files, under their names. Without one of them all are absent: `not-found`.")
            .parameters::<Parameters>();
        kind.network = true;
        kind.absences = vec!["not-found"];
        kind
    }

    fn probe(&self, task: &Task, context: &dyn Context) -> Result<Option<Probe>, Failure> {
        let project = task.parameters::<Parameters>()?.project;
        Project::open(&project)?.probe(context).map(Some)
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { project, folder, names } = task.parameters()?;
        if names.is_empty() || names.iter().any(|name| name.is_empty() || name.contains('/')) {
            return Err(Failure::input("`names` is a list of names of files in one folder")
                .hint("write `names: [model.pt, options.json]`, and the folder in `folder:`"));
        }
        let project = OsfFiles::of(task, &project)?;
        let mut entries = Vec::new();
        for name in &names {
            let path = format!("{}/{name}", folder.trim_matches('/'));
            match project.find(path.trim_start_matches('/'), context)? {
                Some(entry) => entries.push(entry),
                None => return Ok(project.lacks(&path)),
            }
        }
        let target = task.output("files")?;
        let mut notes = Vec::new();
        for (name, entry) in names.iter().zip(&entries) {
            let file = target.join(name);
            create_parent(&file)?;
            notes.extend(project.download(entry, task, &file, context)?);
        }
        Ok(Ended::noted(notes))
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::{Silent, Value};

    use super::*;
    use crate::test_support::tasks;
    use crate::transfer::loopback::{LoopbackAnswer, Server};

    #[test]
    fn the_files_of_a_folder_arrive_together_or_not_at_all() {
        let server = Server::start(|request, address| match request.target.as_str() {
            "/weights" => LoopbackAnswer::status(302).with("location", &format!("{address}/storage/weights")),
            "/storage/weights" => LoopbackAnswer::ok("weights"),
            "/options" => LoopbackAnswer::ok("{}"),
            _ => LoopbackAnswer::status(404),
        });
        let address = server.address();
        let folder = tempfile::tempdir().unwrap();
        let listing = folder.path().join("listing.json");
        let tree = serde_json::json!({ "models": {
            "anat_area": { "model.pt": format!("{address}/weights"), "options.json": format!("{address}/options") },
            "anat_ring": { "model.pt": format!("{address}/weights") },
        } });
        fs_err::write(&listing, tree.to_string()).unwrap();
        let task = |model: &str| {
            let mut task = tasks::task(&OsfFolder, &folder.path().join(model));
            fs_err::create_dir_all(&task.scratch).unwrap();
            let names = ["model.pt", "options.json"].map(|name| Value::Text(name.into()));
            tasks::set(&mut task, "project", Value::Text("c49dv".into()));
            tasks::set(&mut task, "folder", Value::Text(format!("models/{model}")));
            tasks::set(&mut task, "names", Value::List(names.into()));
            tasks::give(&mut task, "listing", &listing);
            task
        };
        let given = task("anat_area");
        assert_eq!(OsfFolder.run(&given, &Silent).unwrap(), Ended::done());
        let out = given.output("files").unwrap();
        assert_eq!(fs_err::read_to_string(out.join("model.pt")).unwrap(), "weights");
        assert_eq!(fs_err::read_to_string(out.join("options.json")).unwrap(), "{}");
        let lacking = task("anat_ring");
        let Ended::Absent { detail, .. } = OsfFolder.run(&lacking, &Silent).unwrap() else { panic!("it was made") };
        assert_eq!(detail, "the listing of project `c49dv` has no file `models/anat_ring/options.json`");
        assert!(!lacking.output("files").unwrap().exists());
    }
}
