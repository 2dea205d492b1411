//! The kind `hcp/fetch`: the files of one person that the pipeline reads, from an `HCP_1200` tree or bucket.
//!
//! Decides what makes a person: every required file, the optional ones where there are any, nothing else. A person who
//! lacks a required file is *absent* (`not-found`), whichever file it is: half a person is of no use downstream.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, Type, Value};
use serde::Deserialize;

use crate::formats::subject_folder::{optional_files, required_files};
use crate::transfer::credentials::Surroundings;
use crate::transfer::local_file::place;
use crate::transfer::object_store::{Folder, ObjectStore, Wanted, bring_all};
use crate::transfer::s3_client::{Location, Reach, S3};
use crate::transfer::url::work_folder;

/// `hcp/fetch`: one person's files.
pub struct HcpFetch;

#[derive(Deserialize)]
struct Parameters {
    url: String,
    endpoint: String,
    region: String,
}

impl StageKind for HcpFetch {
    fn kind(&self) -> Kind {
        let text = || Value::Text(String::new());
        let mut kind = Kind::new("hcp/fetch", 1, "The files of one person that the pipeline reads, from an HCP_1200 tree or bucket.")
            .port(
                "source",
                &["hcp-tree"],
                pipe_contract::Arity::One,
                true,
                "A folder with `<sid>/T1w/...` and `<sid>/MNINonLinear/...`, as below `HCP_1200/`; instead of `url`.",
            )
            .folder("files", "subject", "`<sid>/` with the required files, and the optional ones where there are any.")
            .param("url", Type::Text, text(), "The place of the people in a bucket, `s3://BUCKET/PREFIX`; instead of `source`.")
            .param("endpoint", Type::Text, text(), "The address of the S3 server; empty for AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's `endpoint_url`, or Amazon.")
            .param("region", Type::Text, text(), "The region of the bucket; empty for AWS_REGION, the profile's `region`, or us-east-1.");
        kind.axes = vec!["sid"];
        kind.network = true;
        kind.checkpoint = true;
        kind.absences = vec!["not-found"];
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let sid = checked_sid(task.coordinate("sid")?)?;
        let parameters: Parameters = task.parameters()?;
        let target = task.output("files")?;
        match (task.maybe("source"), parameters.url.as_str()) {
            (Some(source), "") => fetch(&Folder(source), sid, &task.scratch.join("files"), target, context),
            (None, url) if !url.is_empty() => {
                let reach = Reach {
                    credential: task.credential.as_deref(),
                    endpoint: &parameters.endpoint,
                    region: &parameters.region,
                };
                let store = S3::new(Location::parse(url)?, &reach, &Surroundings::of_process())?;
                fetch(&store, sid, &work_folder(task).join("files"), target, context)
            }
            (None, _) => Err(Failure::input("`hcp/fetch` has neither a `source` nor a `url`")
                .hint("give it `in: { source: ... }` or `with: { url: s3://hcp-openaccess/HCP_1200 }`")),
            (Some(_), _) => {
                Err(Failure::input("`hcp/fetch` has both a `source` and a `url`").hint("give it one of them"))
            }
        }
    }
}

/// A subject's id becomes part of paths and addresses.
fn checked_sid(sid: &str) -> Result<&str, Failure> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !sid.is_empty() && sid.chars().all(legal) {
        return Ok(sid);
    }
    Err(Failure::input(format!("`{sid}` cannot be a subject's id: only letters, digits, `-` and `_`")))
}

fn fetch(
    store: &dyn ObjectStore,
    sid: &str,
    work: &Path,
    target: &Path,
    context: &dyn Context,
) -> Result<Ended, Failure> {
    let wanted = |required: bool| move |key: String| Wanted { key, required };
    let mut all: Vec<Wanted> = required_files(sid).into_iter().map(wanted(true)).collect();
    all.extend(optional_files(sid).into_iter().map(wanted(false)));
    let missing = bring_all(store, &all, work, context)?;
    if let Some(first) = missing.first() {
        return Ok(Ended::Absent {
            cause: "not-found".to_owned(),
            detail: format!("person `{sid}` lacks a required file: there is no `{}`", store.name(first)),
        });
    }
    for want in &all {
        let file = work.join(&want.key);
        if file.is_file() {
            place(&file, &target.join(&want.key))?;
        }
    }
    Ok(Ended::done())
}

#[cfg(test)]
mod tests {
    use pipe_contract::Silent;

    use super::*;
    use crate::transfer::local_file::create_parent;

    fn person(folder: &Path, sid: &str, without: Option<&str>) {
        for key in required_files(sid) {
            if without != Some(key.as_str()) {
                create_parent(&folder.join(&key)).unwrap();
                std::fs::write(folder.join(&key), &key).unwrap();
            }
        }
    }

    #[test]
    fn a_person_is_copied_without_what_nobody_reads() {
        let folder = tempfile::tempdir().unwrap();
        let (source, work, target) = (folder.path().join("in"), folder.path().join("work"), folder.path().join("out"));
        person(&source, "s01", None);
        std::fs::write(source.join("s01/T1w/other.nii.gz"), "big").unwrap();
        let optional = &optional_files("s01")[0];
        create_parent(&source.join(optional)).unwrap();
        std::fs::write(source.join(optional), "sphere").unwrap();
        assert_eq!(fetch(&Folder(&source), "s01", &work, &target, &Silent).unwrap(), Ended::done());
        let files =
            walkdir::WalkDir::new(&target).into_iter().filter(|entry| entry.as_ref().unwrap().file_type().is_file());
        assert_eq!(files.count(), required_files("s01").len() + 1);
    }

    #[test]
    fn a_person_with_a_file_missing_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let (source, work, target) = (folder.path().join("in"), folder.path().join("work"), folder.path().join("out"));
        let missing = required_files("s02").remove(3);
        person(&source, "s02", Some(&missing));
        match fetch(&Folder(&source), "s02", &work, &target, &Silent).unwrap() {
            Ended::Absent { cause, detail } => {
                assert_eq!(cause, "not-found");
                assert!(detail.contains("person `s02`") && detail.contains(&missing), "{detail}");
            }
            other => panic!("{other:?}"),
        }
        assert!(!target.exists());
    }

    #[test]
    fn ids_that_could_lead_elsewhere_are_refused() {
        for bad in ["", "..", "a/b", "a b", "é"] {
            assert!(checked_sid(bad).is_err(), "{bad}");
        }
        assert!(checked_sid("100610").is_ok());
    }
}
