//! `osf/file`: one file of a project on the Open Science Framework.

use pipe_contract::{Arity, Context, Ended, Failure, Kind, Probe, StageKind, Task, parameters};

use crate::transfer::checksum::Sha256;
use crate::transfer::osf_listing::OsfFiles;
use crate::transfer::osf_project::Project;

/// The kind.
pub struct OsfFile;

parameters! {
    struct Parameters {
        /// The project's id, such as `bw9ec`.
        project: String;
        /// The file's path in the project's storage, such as `prfresults59k.mat`.
        name: String;
        /// The SHA-256 that the file must have; empty for the one that the project's listing gives.
        sha256: String = String::new();
    }
}

impl StageKind for OsfFile {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("osf/file", 1, "One file of a project on the Open Science Framework.")
            .port(
                "listing",
                &[],
                Arity::One,
                true,
                "A listing of the project, as `osf/listing` makes one; without it the service is asked.",
            )
            .file("file", "prf-raw", "The bytes of the file.")
            .parameters::<Parameters>();
        kind.network = true;
        kind.checkpoint = true;
        kind
    }

    fn probe(&self, task: &Task, context: &dyn Context) -> Result<Option<Probe>, Failure> {
        let project = task.parameters::<Parameters>()?.project;
        Project::open(&project)?.probe(context).map(Some)
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let pin = Sha256::parse_optional(&parameters.sha256)?;
        let project = OsfFiles::of(task, &parameters.project)?;
        let Some(mut entry) = project.find(&parameters.name, context)? else {
            return Err(Failure::input(format!(
                "the project `{}` has no file `{}`",
                parameters.project, parameters.name
            ))
            .hint("check the project's page; names are case-sensitive, folders are written `a/b.mat`"));
        };
        entry.sha256 = pin.map(|pin| pin.as_str().to_owned()).or(entry.sha256);
        let notes = project.download(&entry, task, task.output("file")?, context)?;
        Ok(Ended::noted(notes))
    }
}
