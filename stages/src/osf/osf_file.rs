//! `osf/file`: one file of a project on the Open Science Framework.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, Type, Value};
use serde::Deserialize;

use crate::transfer::checksum::Sha256;
use crate::transfer::osf_project::Project;

/// The kind.
pub struct OsfFile;

#[derive(Deserialize)]
struct FileParameters {
    project: String,
    name: String,
    sha256: String,
}

impl StageKind for OsfFile {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("osf/file", 1, "One file of a project on the Open Science Framework.")
            .file("file", "prf-raw", "The bytes of the file.")
            .required("project", Type::Text, "The project's id, such as `bw9ec`.")
            .required("name", Type::Text, "The file's path in the project's storage, such as `prfresults59k.mat`.")
            .param(
                "sha256",
                Type::Text,
                Value::Text(String::new()),
                "The SHA-256 that the file must have; empty for the one that the project's listing gives.",
            );
        kind.network = true;
        kind.checkpoint = true;
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: FileParameters = task.parameters()?;
        let pin = Sha256::parse_optional(&parameters.sha256)?;
        let project = Project::open(&parameters.project)?;
        let Some(mut entry) = project.find(&parameters.name, context)? else {
            return Err(Failure::input(format!(
                "the project `{}` has no file `{}`",
                parameters.project, parameters.name
            ))
            .hint("check the project's page; names are case-sensitive, folders are written `a/b.mat`"));
        };
        entry.sha256 = pin.map(|pin| pin.as_str().to_owned()).or(entry.sha256);
        let notes = entry.download(task, task.output("file")?, context)?;
        Ok(Ended::Done { ran_on: None, notes })
    }
}
