//! The kind `hcp/fetch`: the files of one subject that the pipeline reads, from an `HCP_1200` tree or bucket.
//!
//! Decides which files belong to a subject: every required one, the optional ones where there are any, nothing else. A subject
//! without a required file is *absent* (`not-found`), whichever file it is: an incomplete subject is of no use downstream.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, Probe, StageKind, Task, parameters};

use crate::formats::subject_folder::{optional_files, required_files};
use crate::transfer::credentials::CredentialVariables;
use crate::transfer::local_file::place;
use crate::transfer::object_store::{Folder, ObjectStore, Wanted, fetch_all};
use crate::transfer::s3_client::{AccessOptions, Location, ObjectSize, S3};
use crate::transfer::url::work_folder;

/// `hcp/fetch`: one subject's files.
pub struct HcpFetch;

parameters! {
    struct Parameters {
        /// The place of the subjects in a bucket, `s3://BUCKET/PREFIX`; instead of `source`.
        url: String = String::new();
        /// The address of the S3 server; empty for AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's `endpoint_url`, or Amazon.
        endpoint: String = String::new();
        /// The region of the bucket; empty for AWS_REGION, the profile's `region`, or us-east-1.
        region: String = String::new();
    }
}

impl StageKind for HcpFetch {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new(
            "hcp/fetch",
            1,
            "The files of one subject that the pipeline reads, from an HCP_1200 tree or bucket.",
        )
        .port(
            "source",
            &["hcp-tree"],
            pipe_contract::Arity::One,
            true,
            "A folder with `<sid>/T1w/...` and `<sid>/MNINonLinear/...`, as below `HCP_1200/`; instead of `url`.",
        )
        .folder("files", "subject", "`<sid>/` with the required files, and the optional ones where there are any.")
        .parameters::<Parameters>();
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
                let store = parameters.bucket(task)?;
                fetch(&store, sid, &work_folder(task).join("files"), target, context)
            }
            (None, _) => Err(Failure::input("`hcp/fetch` has neither a `source` nor a `url`")
                .hint("give it `in: { source: ... }` or `with: { url: s3://hcp-openaccess/HCP_1200 }`")),
            (Some(_), _) => {
                Err(Failure::input("`hcp/fetch` has both a `source` and a `url`").hint("give it one of them"))
            }
        }
    }

    fn probe(&self, task: &Task, context: &dyn Context) -> Result<Option<Probe>, Failure> {
        let parameters: Parameters = task.parameters()?;
        match parameters.url.is_empty() {
            true => Ok(None),
            false => probe(&parameters.bucket(task)?, checked_sid(task.coordinate("sid")?)?, context).map(Some),
        }
    }
}

impl Parameters {
    /// The bucket, opened with the credential of a task.
    fn bucket(&self, task: &Task) -> Result<S3, Failure> {
        let options =
            AccessOptions { credential: task.credential.as_deref(), endpoint: &self.endpoint, region: &self.region };
        S3::new(Location::parse(&self.url)?, &options, &CredentialVariables::of_process())
    }
}

/// Asks for the size of every file of a subject.
fn probe(store: &S3, sid: &str, context: &dyn Context) -> Result<Probe, Failure> {
    let sizes =
        |files: Vec<String>| files.iter().map(|file| asked(store, file, context)).collect::<Result<Vec<_>, _>>();
    let (required, others) = (sizes(required_files(sid))?, sizes(optional_files(sid))?);
    let there = |sizes: &[ObjectSize]| sizes.iter().filter(|size| **size != ObjectSize::Missing).count();
    let bytes = required.iter().chain(&others).try_fold(0_u64, |sum, size| match size {
        ObjectSize::Bytes(bytes) => Some(sum + (*bytes)?),
        ObjectSize::Missing => Some(sum),
    });
    let incomplete = there(&required) < required.len();
    let found = format!(
        "{} opens with {}; subject `{sid}` has {} of {} required files and {} of {} others",
        store.name("").trim_end_matches('/'),
        store.access(),
        there(&required),
        required.len(),
        there(&others),
        others.len(),
    );
    // The size of an incomplete subject says nothing about the others.
    Ok(Probe { found, bytes: bytes.filter(|_| !incomplete), incomplete })
}

fn asked(store: &S3, file: &str, context: &dyn Context) -> Result<ObjectSize, Failure> {
    if context.cancelled() {
        return Err(Failure::environment(format!("the server of `{}` answers too slowly", store.name(file)))
            .hint("a run would take its time; try again when the network is less busy")
            .transient());
    }
    store.size(file, context)
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
    let missing = fetch_all(store, &all, work, context)?;
    if let Some(first) = missing.first() {
        return Ok(Ended::Absent {
            cause: "not-found".to_owned(),
            detail: format!("subject `{sid}` lacks a required file: `{}` does not exist", store.name(first)),
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

    fn write_subject(folder: &Path, sid: &str, without: Option<&str>) {
        for key in required_files(sid) {
            if without != Some(key.as_str()) {
                create_parent(&folder.join(&key)).unwrap();
                fs_err::write(folder.join(&key), &key).unwrap();
            }
        }
    }

    #[test]
    fn files_that_no_kind_reads_are_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let (source, work, target) = (folder.path().join("in"), folder.path().join("work"), folder.path().join("out"));
        write_subject(&source, "s01", None);
        fs_err::write(source.join("s01/T1w/other.nii.gz"), "big").unwrap();
        let optional = &optional_files("s01")[0];
        create_parent(&source.join(optional)).unwrap();
        fs_err::write(source.join(optional), "sphere").unwrap();
        assert_eq!(fetch(&Folder(&source), "s01", &work, &target, &Silent).unwrap(), Ended::done());
        let files =
            walkdir::WalkDir::new(&target).into_iter().filter(|entry| entry.as_ref().unwrap().file_type().is_file());
        assert_eq!(files.count(), required_files("s01").len() + 1);
    }

    #[test]
    fn a_subject_with_a_file_missing_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let (source, work, target) = (folder.path().join("in"), folder.path().join("work"), folder.path().join("out"));
        let missing = required_files("s02").remove(3);
        write_subject(&source, "s02", Some(&missing));
        match fetch(&Folder(&source), "s02", &work, &target, &Silent).unwrap() {
            Ended::Absent { cause, detail } => {
                assert_eq!(cause, "not-found");
                assert!(detail.contains("subject `s02`") && detail.contains(&missing), "{detail}");
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
