//! `nyu/fetch`: the files of one subject of the NYU Retinotopy Dataset that the pipeline reads, from a tree or the public bucket.
//!
//! Decides which files belong to a subject and sorts them into three folders, so that kinds that read FreeSurfer subjects find what
//! they expect in `surf/`. A subject without one of them is *absent* (`not-found`).

use pipe_contract::{Arity, Context, Ended, Failure, Kind, Probe, StageKind, Task};

use crate::transfer::local_file::place as place_file;
use crate::transfer::object_store::Wanted;
use crate::transfer::tree_source::{ask, bring, bringing, checked_sid};

/// What FreeSurfer wrote, without `lh.` or `rh.`.
const SURF: [&str; 7] = ["white", "pial", "sphere.reg", "curv", "sulc", "thickness", "area"];
/// The maps of `prfanalyze-vista` that are read.
pub(super) const MAPS: [&str; 4] = ["x", "y", "sigma", "vexpl"];
/// The rater's areas.
pub(super) const AREAS: &str = "ROIs_V1-4";

/// The kind.
pub struct NyuFetch;

impl StageKind for NyuFetch {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "nyu/fetch",
            1,
            "The files of one subject of the NYU Retinotopy Dataset, from its tree or bucket (OpenNeuro ds003787).",
        )
        .port(
            "source",
            &[],
            Arity::One,
            true,
            "A folder with `derivatives/{freesurfer,prfanalyze-vista,ROIs}/<sid>/...`, as the dataset has them; instead of `url`.",
        )
        .folder(
            "files",
            "files",
            "`surf/{lh,rh}.{white,pial,sphere.reg,curv,sulc,thickness,area}`, `prf/{lh,rh}.{x,y,sigma,vexpl}.mgz`, `rois/{lh,rh}.ROIs_V1-4.mgz`.",
        );
        bringing(kind)
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let sid = checked_sid(task.coordinate("sid")?)?;
        let files = files(sid);
        let wanted: Vec<Wanted> = files.iter().map(|(want, _)| want.clone()).collect();
        let brought = bring(task, &wanted, context)?;
        if let Some(lacking) = brought.lacking {
            let detail = format!("subject `{sid}` lacks a required file: `{lacking}` does not exist");
            return Ok(Ended::Absent { cause: "not-found".to_owned(), detail });
        }
        let target = task.output("files")?;
        for (want, place) in &files {
            place_file(&brought.folder.join(&want.key), &target.join(place))?;
        }
        Ok(Ended::done())
    }

    fn probe(&self, task: &Task, context: &dyn Context) -> Result<Option<Probe>, Failure> {
        let sid = checked_sid(task.coordinate("sid")?)?;
        let files: Vec<Wanted> = files(sid).into_iter().map(|(want, _)| want).collect();
        ask(task, sid, &files, context)
    }
}

/// The files of a subject in the dataset, with their places in the output.
fn files(sid: &str) -> Vec<(Wanted, String)> {
    let mut files = Vec::new();
    let mut add = |key: String, place: String| files.push((Wanted { key, required: true }, place));
    for h in ["lh", "rh"] {
        for name in SURF {
            add(format!("derivatives/freesurfer/{sid}/surf/{h}.{name}"), format!("surf/{h}.{name}"));
        }
        for name in MAPS {
            add(
                format!("derivatives/prfanalyze-vista/{sid}/ses-nyu3t01/{h}.{name}.mgz"),
                format!("prf/{h}.{name}.mgz"),
            );
        }
        add(format!("derivatives/ROIs/{sid}/{h}.{AREAS}.mgz"), format!("rois/{h}.{AREAS}.mgz"));
    }
    files
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use pipe_contract::{Silent, Value};

    use super::*;
    use crate::test_support::tasks;
    use crate::transfer::loopback::{LoopbackAnswer, Server};

    const SID: &str = "sub-wlsubj001";

    fn task(folder: &Path, url: &str, endpoint: &str) -> Task {
        let mut task = tasks::task(&NyuFetch, folder);
        task.at = [("sid", SID)].into_iter().collect();
        tasks::set(&mut task, "url", Value::Text(url.into()));
        tasks::set(&mut task, "endpoint", Value::Text(endpoint.into()));
        task.outputs.insert("files".to_owned(), folder.join("out"));
        task
    }

    #[test]
    fn a_subject_arrives_from_a_public_bucket_without_a_signature() {
        let signed = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&signed);
        let server = Server::start(move |request, _| {
            if request.headers.iter().any(|(name, _)| name == "authorization" || name.starts_with("x-amz")) {
                *counted.lock().unwrap() += 1;
            }
            match request.target.strip_prefix("/openneuro.org/ds003787/derivatives/") {
                Some(key) => LoopbackAnswer::ok(key),
                None => LoopbackAnswer::status(404),
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let task = task(folder.path(), "s3://openneuro.org/ds003787", &server.address());
        assert_eq!(NyuFetch.run(&task, &Silent).unwrap(), Ended::done());
        let read = |place: &str| fs_err::read_to_string(folder.path().join("out").join(place)).unwrap();
        assert_eq!(read("surf/lh.sphere.reg"), "freesurfer/sub-wlsubj001/surf/lh.sphere.reg");
        assert_eq!(read("prf/rh.vexpl.mgz"), "prfanalyze-vista/sub-wlsubj001/ses-nyu3t01/rh.vexpl.mgz");
        assert_eq!(read("rois/lh.ROIs_V1-4.mgz"), "ROIs/sub-wlsubj001/lh.ROIs_V1-4.mgz");
        assert_eq!((*signed.lock().unwrap(), server.requests()), (0, 24));
    }

    #[test]
    fn a_subject_without_a_file_is_absent_and_the_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("tree");
        for (want, _) in files(SID).iter().filter(|(want, _)| !want.key.contains("ROIs")) {
            let path = source.join(&want.key);
            crate::transfer::local_file::create_parent(&path).unwrap();
            fs_err::write(path, "x").unwrap();
        }
        let mut task = task(folder.path(), "", "");
        tasks::give(&mut task, "source", &source);
        let Ended::Absent { detail, .. } = NyuFetch.run(&task, &Silent).unwrap() else { panic!("it was made") };
        assert!(detail.contains("derivatives/ROIs/sub-wlsubj001/lh.ROIs_V1-4.mgz` does not exist"), "{detail}");
    }
}
