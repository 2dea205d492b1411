//! `hcp/tracts`: a subject's files with the end points of two tracts from a folder.
//!
//! The maps of the optic radiation and the vertical occipital fasciculus are no part of the `HCP_1200` bucket and have no public
//! place, so they come from a folder of their own. A subject without them is not absent: its channels are 0, as in the study's own
//! program, which `flatmap/images` notes for each subject. A subject with some of its four maps is an error, because that is an
//! accident of copying.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use crate::formats::subject_folder::{Subject, optional_files};
use crate::transfer::local_file::copy;

/// The kind.
pub struct HcpTracts;

impl StageKind for HcpTracts {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("hcp/tracts", 1, "A subject's files with maps of tract end points from a folder.")
            .input("subject", &["subject"], "The subject's files, as `hcp/fetch` gives them.")
            .input(
                "folder",
                &[],
                "A folder with `<sid>/{lh,rh}.{OR,VOF}_normalized.mgz`, one value per native vertex, NaN where missing.",
            )
            .folder("files", "subject", "The subject's files, with `<sid>/tracts/` where the folder has maps of the subject.");
        kind.axes = vec!["sid"];
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let subject = task.one("subject")?;
        let (sid, target) = (Subject::open(subject)?.sid().to_owned(), task.output("files")?);
        let maps = maps(task.one("folder")?, &sid)?;
        for entry in walkdir::WalkDir::new(subject).sort_by_file_name() {
            let entry = entry.map_err(|error| Failure::environment(error.to_string()))?;
            if entry.file_type().is_file() {
                let below = entry.path().strip_prefix(subject).unwrap_or(entry.path());
                copy(entry.path(), &target.join(below))?;
            }
        }
        for (from, key) in &maps {
            copy(from, &target.join(key))?;
        }
        context.log(&format!("{} maps of tract end points", maps.len()));
        Ok(Ended::done())
    }
}

/// A subject's maps in a folder with their places among the subject's files: all four, or none.
fn maps(folder: &Path, sid: &str) -> Result<Vec<(std::path::PathBuf, String)>, Failure> {
    let keys = optional_files(sid).into_iter().filter(|key| key.starts_with(&format!("{sid}/tracts/")));
    let places = keys.map(|key| (folder.join(key.replacen("/tracts/", "/", 1)), key));
    let (found, lacking): (Vec<_>, Vec<_>) = places.partition(|(path, _)| path.is_file());
    if found.is_empty() || lacking.is_empty() {
        return Ok(found);
    }
    let names: Vec<String> = lacking.iter().map(|(path, _)| path.display().to_string()).collect();
    Err(Failure::input(format!("subject `{sid}` has {} of its 4 maps of tract end points", found.len()))
        .at(names.join(", "))
        .hint("copy the missing ones, or remove the subject's folder: its channels are then 0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::mgh;
    use crate::hemisphere::HEMISPHERES;
    use crate::test_support::tasks;

    #[test]
    fn maps_of_a_folder_become_part_of_the_subject() {
        let folder = tempfile::tempdir().unwrap();
        let subject = tasks::write_subject(folder.path(), "s01", 2);
        let tracts = folder.path().join("tracts");
        fs_err::create_dir_all(tracts.join("s01")).unwrap();
        let vertices = tasks::points(2).len();
        let task = || {
            let mut task = tasks::task(&HcpTracts, folder.path());
            task.at = [("sid", "s01")].into_iter().collect();
            tasks::give(&mut task, "subject", &subject);
            tasks::give(&mut task, "folder", &tracts);
            task
        };
        let cortex = || Subject::open(&folder.path().join("files")).unwrap().cortex(HEMISPHERES[0]).unwrap();
        tasks::run(&HcpTracts, &task()).unwrap();
        assert_eq!(cortex().optic_radiation, None, "no maps are no error");
        mgh::write_f32(&tracts.join("s01/lh.OR_normalized.mgz"), &vec![0.25; vertices]).unwrap();
        let failure = tasks::run(&HcpTracts, &task()).unwrap_err();
        assert_eq!(failure.message, "subject `s01` has 1 of its 4 maps of tract end points");
        assert!(failure.place.unwrap().contains("rh.VOF_normalized.mgz"));
        for name in ["lh.VOF", "rh.OR", "rh.VOF"] {
            mgh::write_f32(&tracts.join(format!("s01/{name}_normalized.mgz")), &vec![0.5; vertices]).unwrap();
        }
        tasks::run(&HcpTracts, &task()).unwrap();
        assert_eq!(cortex().optic_radiation, Some(vec![0.25; vertices]));
        assert_eq!(cortex().vertical_occipital, Some(vec![0.5; vertices]));
    }
}
