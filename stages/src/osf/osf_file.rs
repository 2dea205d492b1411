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

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::test_support::tasks;
    use crate::transfer::loopback::{LoopbackAnswer, Server};

    /// SHA-256 of `results`, by `sha256sum`.
    const RESULTS: &str = "c099142bc3186ded72786ba27e9ea6d2da240fb9fd3fe79b479ecf8e734b2850";

    #[test]
    fn a_file_has_the_digest_that_is_asked_for_else_that_of_the_listing() {
        let server = Server::start(|_, _| LoopbackAnswer::ok("results"));
        let folder = tempfile::tempdir().unwrap();
        let listing = folder.path().join("listing.json");
        let listed = |digest: &str| {
            let address = format!("{}/download/a/#sha256={digest}", server.address());
            fs_err::write(&listing, serde_json::json!({ "a.mat": address }).to_string()).unwrap();
        };
        let run = |name: &str, digest: &str| {
            let own = tempfile::tempdir().unwrap();
            let mut task = tasks::task(&OsfFile, own.path());
            for (parameter, value) in [("project", "bw9ec"), ("name", name), ("sha256", digest)] {
                tasks::set(&mut task, parameter, Value::Text(value.into()));
            }
            tasks::give(&mut task, "listing", &listing);
            tasks::run(&OsfFile, &task)?;
            Ok::<_, Failure>(fs_err::read_to_string(task.output("file").unwrap()).unwrap())
        };
        let wrong = "0".repeat(64);
        listed(RESULTS);
        assert_eq!(run("a.mat", "").unwrap(), "results");
        let failure = run("a.mat", &wrong).unwrap_err();
        assert!(failure.message.contains(RESULTS) && failure.message.contains(&wrong), "{failure}");
        assert_eq!(run("b.mat", "").unwrap_err().message, "the project `bw9ec` has no file `b.mat`");
        listed(&wrong);
        assert_eq!(run("a.mat", RESULTS).unwrap(), "results", "what the file says goes before the listing");
        assert!(run("a.mat", "").is_err());
    }
}
