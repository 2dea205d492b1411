//! The kind `hcp/fetch`: the files of one subject that the pipeline reads, from an `HCP_1200` tree or bucket.
//!
//! Decides which files belong to a subject: every required one, the optional ones where there are any, nothing else. A subject
//! without a required file is *absent* (`not-found`), whichever file it is: an incomplete subject is of no use downstream.

use pipe_contract::{Context, Ended, Failure, Kind, Probe, StageKind, Task};

use crate::formats::subject_folder::{optional_files, required_files};
use crate::transfer::local_file::place as place_file;
use crate::transfer::object_store::Wanted;
use crate::transfer::tree_source::{ask, bring, bringing, checked_sid};

/// `hcp/fetch`: one subject's files.
pub struct HcpFetch;

impl StageKind for HcpFetch {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
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
        .folder(
            "files",
            "subject",
            "`<sid>/` with the required files, and the optional ones where there are any.",
        );
        bringing(kind)
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let sid = checked_sid(task.coordinate("sid")?)?;
        let files = files(sid);
        let brought = bring(task, &files, context)?;
        if let Some(lacking) = brought.lacking {
            return Ok(Ended::Absent {
                cause: "not-found".to_owned(),
                detail: format!("subject `{sid}` lacks a required file: `{lacking}` does not exist"),
            });
        }
        let target = task.output("files")?;
        for want in &files {
            let file = brought.folder.join(&want.key);
            if file.is_file() {
                place_file(&file, &target.join(&want.key))?;
            }
        }
        Ok(Ended::done())
    }

    fn probe(&self, task: &Task, context: &dyn Context) -> Result<Option<Probe>, Failure> {
        let sid = checked_sid(task.coordinate("sid")?)?;
        ask(task, sid, &files(sid), context)
    }
}

/// The files of a subject: the required ones, then those that it may lack.
fn files(sid: &str) -> Vec<Wanted> {
    let wanted = |required: bool| move |key: String| Wanted { key, required };
    required_files(sid)
        .into_iter()
        .map(wanted(true))
        .chain(optional_files(sid).into_iter().map(wanted(false)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::{Silent, Value};

    use super::*;
    use crate::test_support::tasks;
    use crate::transfer::local_file::create_parent;

    fn write_subject(folder: &Path, sid: &str, without: Option<&str>) {
        for key in required_files(sid) {
            if without != Some(key.as_str()) {
                create_parent(&folder.join(&key)).unwrap();
                fs_err::write(folder.join(&key), &key).unwrap();
            }
        }
    }

    fn task(folder: &Path, sid: &str) -> Task {
        let mut task = tasks::task(&HcpFetch, folder);
        task.at = [("sid", sid)].into_iter().collect();
        tasks::give(&mut task, "source", &folder.join("in"));
        task
    }

    #[test]
    fn files_that_no_kind_reads_are_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("in");
        write_subject(&source, "s01", None);
        fs_err::write(source.join("s01/T1w/other.nii.gz"), "big").unwrap();
        let optional = &optional_files("s01")[0];
        create_parent(&source.join(optional)).unwrap();
        fs_err::write(source.join(optional), "sphere").unwrap();
        let mut task = task(folder.path(), "s01");
        task.outputs.insert("files".to_owned(), folder.path().join("out"));
        assert_eq!(HcpFetch.run(&task, &Silent).unwrap(), Ended::done());
        let files = walkdir::WalkDir::new(folder.path().join("out"));
        let files = files.into_iter().filter(|entry| entry.as_ref().unwrap().file_type().is_file());
        assert_eq!(files.count(), required_files("s01").len() + 1);
    }

    #[test]
    fn a_subject_with_a_file_missing_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let missing = required_files("s02").remove(3);
        write_subject(&folder.path().join("in"), "s02", Some(&missing));
        let mut task = task(folder.path(), "s02");
        task.outputs.insert("files".to_owned(), folder.path().join("out"));
        match HcpFetch.run(&task, &Silent).unwrap() {
            Ended::Absent { cause, detail } => {
                assert_eq!(cause, "not-found");
                assert!(detail.contains("subject `s02`") && detail.contains(&missing), "{detail}");
            }
            other => panic!("{other:?}"),
        }
        assert!(!folder.path().join("out").exists());
    }

    #[test]
    fn one_source_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let mut given = task(folder.path(), "s01");
        tasks::set(&mut given, "url", Value::Text("s3://bucket/x".into()));
        let message = |task: &Task| HcpFetch.run(task, &Silent).unwrap_err().message;
        assert_eq!(message(&given), "`hcp/fetch` has both a `source` and a `url`");
        given.inputs.clear();
        tasks::set(&mut given, "url", Value::Text(String::new()));
        assert_eq!(message(&given), "`hcp/fetch` has neither a `source` nor a `url`");
    }
}
