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
        let text = listing(&Project::open(&project)?, &folder, context)?;
        let target = task.output("file")?;
        fs_err::write(target, text).map_err(|error| Failure::io("write", target, &error))?;
        Ok(Ended::done())
    }
}

fn listing(project: &Project, folder: &str, context: &dyn Context) -> Result<String, Failure> {
    let files = project.files_below(folder, context)?;
    if files.is_empty() {
        return Err(Failure::input(format!("the folder `{folder}` of project `{}` has no files", project.id()))
            .hint("check `folder:` and the project's page"));
    }
    context.log(&format!("{} files", files.len()));
    OsfListing::text(&files)
}

#[cfg(test)]
mod tests {
    use pipe_contract::Silent;
    use serde_json::json;

    use super::*;
    use crate::transfer::loopback::{LoopbackAnswer, Server};

    #[test]
    fn a_folder_is_listed_from_the_top_of_the_storage_on() {
        let server = Server::start(|request, _| {
            let entry = |kind: &str, name: &str, path: &str| {
                json!({ "attributes": { "name": name, "kind": kind, "path": path },
                    "links": { "download": format!("https://osf.io/download/{name}/") } })
            };
            let page = |entries: serde_json::Value| {
                LoopbackAnswer::ok(json!({ "data": entries, "links": { "next": null } }).to_string())
            };
            match request.target.split('?').next().unwrap_or_default() {
                "/nodes/fffff/files/osfstorage/" => page(json!([
                    entry("folder", "maps", "/m/"),
                    entry("folder", "none", "/n/"),
                    entry("file", "x", "/x")
                ])),
                "/nodes/fffff/files/osfstorage/m/" => page(json!([entry("file", "1.mgz", "/f")])),
                _ => page(json!([])),
            }
        });
        let project = Project::at("fffff", &server.address()).unwrap();
        let of = |folder: &str| listing(&project, folder, &Silent).map(|text| serde_json::from_str(&text).unwrap());
        let maps = json!({ "maps": { "1.mgz": "https://osf.io/download/1.mgz/" } });
        assert_eq!(of("maps").unwrap(), maps);
        let all: serde_json::Value = of("").unwrap();
        assert_eq!((&all["maps"], &all["x"]), (&maps["maps"], &json!("https://osf.io/download/x/")));
        assert_eq!(of("none").unwrap_err().message, "the folder `none` of project `fffff` has no files");
    }
}
