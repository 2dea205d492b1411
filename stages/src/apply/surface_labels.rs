//! `apply/surfaces`: labels on a subject's surfaces in the files of other programs: overlays, annotations and probabilities of FreeSurfer,
//! labels of GIFTI.
//!
//! Decides names and headers. File names are the original's (`lh.benson2025_varea.mgz`); every name of a label and every header says
//! that labels end at 7 degrees.

use std::path::{Path, PathBuf};

use pipe_contract::{Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};

use super::region_names::{Division, Region, UNLABELLED};
use crate::formats::annotation::{self, AnnotationEntry};
use crate::formats::gifti::{self, LabelEntry};
use crate::formats::mgh::{self, Overlay};
use crate::formats::subject_folder::Subject;
use crate::hemisphere::{HEMISPHERES, Hemisphere};

/// The kind.
pub(super) struct SurfaceLabels;

parameters! {
    pub(super) struct Naming {
        /// the beginning of file names
        pub(super) tag: String = "benson2025".to_owned();
    }
}

impl StageKind for SurfaceLabels {
    fn kind(&self) -> Kind {
        Kind::new("apply/surfaces", 1, "Writes predicted labels for FreeSurfer and as GIFTI")
            .gather("labels", &["labels"], "predicted labels, one per coordinate `outputs` (`area`, `ring`)")
            .input("subject", &["subject"], "the subject's files")
            .folder(
                "files",
                "surface-labels",
                "{lh,rh}.<tag>_{varea,vring}.mgz (FreeSurfer overlay), .annot, .label.gii, and <tag>_{varea,vring}_probabilities.mgz, a \
                 frame a label",
            )
            .parameters::<Naming>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let naming: Naming = task.parameters()?;
        check_tag(&naming.tag)?;
        let subject = Subject::open(task.one("subject")?)?;
        let present = subject.hemispheres()?;
        let output = task.output("files")?;
        fs_err::create_dir_all(output).map_err(|error| Failure::io("create", output, &error))?;
        for (at, labels) in task.present("labels") {
            let division = Division::at(at)?;
            for hemisphere in &present {
                let vertices = subject.registered(*hemisphere)?.sphere.len();
                let predicted = Predicted::read(labels, &division, *hemisphere, vertices)
                    .map_err(|failure| failure.at(subject.place(*hemisphere)))?;
                predicted.write(
                    &output.join(format!("{}.{}_{}", hemisphere.name(), naming.tag, division.file)),
                    &division,
                    *hemisphere,
                )?;
            }
        }
        let mut notes: Vec<String> = task.absences("labels").into_iter().collect();
        if present.len() < HEMISPHERES.len() {
            notes.push(format!("{IMPORTANT}labels of one hemisphere only, predicted without the other"));
        }
        Ok(Ended::noted(notes))
    }
}

/// A tag becomes part of file names.
pub(super) fn check_tag(tag: &str) -> Result<(), Failure> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !tag.is_empty() && tag.len() <= 60 && tag.chars().all(legal) {
        return Ok(());
    }
    Err(Failure::input(format!("`{tag}` cannot begin file names: only letters, digits, `-` and `_`, at most 60")))
}

/// What a network predicts of one hemisphere.
pub(super) struct Predicted {
    /// One a vertex.
    pub(super) labels: Vec<i32>,
    /// For each label its probability at each vertex, if they were asked for.
    pub(super) probabilities: Option<Vec<Vec<f32>>>,
}

impl Predicted {
    pub(super) fn read(
        folder: &Path,
        division: &Division,
        hemisphere: Hemisphere,
        vertices: usize,
    ) -> Result<Self, Failure> {
        let (h, outputs) = (hemisphere.name(), division.outputs);
        let labels = mgh::read_i32(&folder.join(format!("{h}.{outputs}.mgz")))?;
        if labels.len() != vertices {
            return Err(Failure::input(format!("{} labels for {vertices} vertices", labels.len()))
                .hint("labels and subject are not of one mesh"));
        }
        division.check(&labels)?;
        let path = folder.join(format!("{h}.{outputs}_probabilities.mgz"));
        let probabilities = if path.exists() { Some(mgh::read_frames(&path)?) } else { None };
        if let Some(frames) = &probabilities
            && (frames.len() != division.regions.len() || frames.iter().any(|frame| frame.len() != vertices))
        {
            return Err(Failure::input(format!(
                "probabilities of {} labels, expected {} of {vertices} vertices",
                frames.len(),
                division.regions.len()
            )));
        }
        Ok(Self { labels, probabilities })
    }

    fn write(&self, path: &Path, division: &Division, hemisphere: Hemisphere) -> Result<(), Failure> {
        let with = |ending: &str| PathBuf::from(format!("{}{ending}", path.display()));
        let whole: Vec<f32> = self.labels.iter().map(|label| *label as f32).collect();
        Overlay { frames: &[whole], whole: true, about: division.about }.write(&with(".mgz"))?;
        let regions: Vec<Region> = std::iter::once(UNLABELLED).chain(division.regions.iter().copied()).collect();
        let entries: Vec<AnnotationEntry<'_>> =
            regions.iter().map(|r| AnnotationEntry { name: r.name, colour: r.colour }).collect();
        annotation::write(&with(".annot"), &self.labels, &entries)?;
        write_gifti(&with(".label.gii"), &self.labels, division, hemisphere)?;
        match &self.probabilities {
            Some(frames) => {
                let about = format!("probability of each label, a frame each; {}", division.about);
                Overlay { frames, whole: false, about: &about }.write(&with("_probabilities.mgz"))
            }
            None => Ok(()),
        }
    }
}

/// Writes labels as GIFTI, with names and colours.
pub(super) fn write_gifti(
    path: &Path,
    labels: &[i32],
    division: &Division,
    hemisphere: Hemisphere,
) -> Result<(), Failure> {
    let regions = std::iter::once(UNLABELLED).chain(division.regions.iter().copied());
    let table: Vec<LabelEntry<'_>> =
        regions.map(|r| LabelEntry { key: r.number, name: r.name, colour: r.colour, visible: r.number > 0 }).collect();
    let side = if hemisphere == Hemisphere::Left { "CortexLeft" } else { "CortexRight" };
    let about = [("AnatomicalStructurePrimary", side), ("Description", division.about)];
    gifti::write_labels(path, labels, &table, &about)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::mgh::MghValues;
    use crate::formats::subject_folder::{ABOUT, AboutSubject};
    use crate::test_support::small_subject::{VERTICES, write_subject};
    use crate::test_support::tasks;

    fn labels_of(side: i32) -> Vec<i32> {
        (0..VERTICES as i32).map(|vertex| (vertex + side) % 4).collect()
    }

    fn task(folder: &Path, frames: usize) -> Task {
        let labels = folder.join("labels");
        fs_err::create_dir_all(&labels).unwrap();
        for (side, h) in ["lh", "rh"].iter().enumerate() {
            mgh::write_i32(&labels.join(format!("{h}.area.mgz")), &labels_of(side as i32)).unwrap();
            let frames: Vec<Vec<f32>> = (0..frames).map(|frame| vec![0.25 * frame as f32; VERTICES]).collect();
            let probabilities = Overlay { frames: &frames, whole: false, about: "" };
            probabilities.write(&labels.join(format!("{h}.area_probabilities.mgz"))).unwrap();
        }
        let mut task = tasks::task(&SurfaceLabels, folder);
        tasks::set(&mut task, "tag", pipe_contract::Value::Text("mine".into()));
        tasks::give(&mut task, "subject", &write_subject(folder, "s01"));
        tasks::gather(&mut task, "labels", &[("outputs", "area")], Some(&labels));
        task
    }

    /// Other programs read these files in a slow story; here, that each has its own hemisphere, type and name.
    #[test]
    fn each_file_has_the_labels_of_its_hemisphere() {
        let folder = tempfile::tempdir().unwrap();
        let task = task(folder.path(), 3);
        assert_eq!(tasks::run(&SurfaceLabels, &task).unwrap(), Vec::<String>::new());
        let files = task.output("files").unwrap();
        for (side, (h, name)) in [("lh", "CortexLeft"), ("rh", "CortexRight")].into_iter().enumerate() {
            let file = |ending: &str| files.join(format!("{h}.mine_varea{ending}"));
            assert_eq!(mgh::read(&file(".mgz")).unwrap(), MghValues::Int32(labels_of(side as i32)));
            let frames = mgh::read_frames(&file("_probabilities.mgz")).unwrap();
            assert_eq!(frames, [0.0, 0.25, 0.5].map(|value| vec![value; VERTICES]));
            let gifti = fs_err::read_to_string(file(".label.gii")).unwrap();
            assert!(gifti.contains(name) && gifti.contains("V3 (0-7 deg)"), "{h}");
            assert!(file(".annot").is_file());
        }
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let message = |task: &Task| tasks::run(&SurfaceLabels, task).unwrap_err().message;
        let mut task = task(folder.path(), 2);
        assert_eq!(message(&task), "probabilities of 2 labels, expected 3 of 642 vertices");
        let file = folder.path().join("labels/lh.area.mgz");
        mgh::write_i32(&file, &[4; VERTICES]).unwrap();
        assert_eq!(message(&task), "vertex 0 has the label 4, expected 0 to 3");
        mgh::write_i32(&file, &[1; 7]).unwrap();
        assert_eq!(message(&task), "7 labels for 642 vertices");
        for tag in ["", "a/b", "a b", "../x", &"a".repeat(61)] {
            tasks::set(&mut task, "tag", pipe_contract::Value::Text(tag.into()));
            assert!(message(&task).ends_with("only letters, digits, `-` and `_`, at most 60"), "`{tag}`");
        }
    }

    #[test]
    fn one_hemisphere_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let task = task(folder.path(), 3);
        let about = AboutSubject { source: "FreeSurfer".into(), hemispheres: vec!["lh".into()], sulc: "mm".into() };
        fs_err::write(folder.path().join("subject/s01").join(ABOUT), serde_json::to_string(&about).unwrap()).unwrap();
        let notes = tasks::run(&SurfaceLabels, &task).unwrap();
        assert_eq!(notes, ["important: labels of one hemisphere only, predicted without the other"]);
        assert!(!task.output("files").unwrap().join("rh.mine_varea.mgz").exists());
    }
}
