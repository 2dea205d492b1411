//! `osf/listing`: which files a project on the Open Science Framework has, and where each is downloaded from.
//!
//! Kinds that read many files of one project take it instead of asking the service for each: see `transfer::osf_listing`.

use pipe_contract::{Context, Ended, Failure, Kind, Probe, StageKind, Task, parameters};

use crate::transfer::osf_listing::OsfListing;
use crate::transfer::osf_project::Project;

/// The kind.
pub struct OsfTree;

parameters! {
    struct Parameters {
        /// The project's id, such as `5gprz`.
        project: String;
        /// The folder of its storage that is listed with all below it, such as `inferred_maps`; empty for everything.
        folder: String = String::new();
    }
}

impl StageKind for OsfTree {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new(
            "osf/listing",
            1,
            "Which files a project on the Open Science Framework has: one question a folder and 100 files.",
        )
        .file(
            "file",
            "file",
            "JSON: an object for each folder from the top of the storage on, an address for each file, with `#sha256=...` where the service has a digest.",
        )
        .parameters::<Parameters>();
        kind.network = true;
        kind
    }

    fn probe(&self, task: &Task, context: &dyn Context) -> Result<Option<Probe>, Failure> {
        let project = task.parameters::<Parameters>()?.project;
        Project::open(&project)?.probe(context).map(Some)
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { project, folder } = task.parameters()?;
        let files = Project::open(&project)?.files_below(&folder, context)?;
        if files.is_empty() {
            return Err(Failure::input(format!("the folder `{folder}` of project `{project}` has no files"))
                .hint("check `folder:` and the project's page"));
        }
        context.log(&format!("{} files", files.len()));
        let target = task.output("file")?;
        fs_err::write(target, OsfListing::text(&files)?).map_err(|error| Failure::io("write", target, &error))?;
        Ok(Ended::done())
    }
}
