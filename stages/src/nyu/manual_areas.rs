//! `nyu/labels`: the manual areas of a subject of the NYU Retinotopy Dataset, as `labels`.
//!
//! The dataset has V1, V2, V3 and hV4 (1 to 4); the study takes hV4 out, which is why 4 becomes 0. There are no rings.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use super::fetch_subject::AREAS;
use crate::formats::mgh;
use crate::hemisphere::HEMISPHERES;

/// The label of hV4.
const HV4: i32 = 4;

/// The kind.
pub struct NyuLabels;

impl StageKind for NyuLabels {
    fn kind(&self) -> Kind {
        Kind::new("nyu/labels", 1, "Manual areas V1 to V3 of a subject of the NYU Retinotopy Dataset")
            .input(
                "files",
                &["files"],
                "`rois/{lh,rh}.ROIs_V1-4.mgz`, as `nyu/fetch` gives them: 0..4, one value a vertex; 4 (hV4) becomes 0",
            )
            .folder("labels", "labels", "{lh,rh}.area.mgz (0..3), one value per native vertex; no rings")
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let (folder, output) = (task.one("files")?.join("rois"), task.output("labels")?);
        let mut all = Vec::new();
        for hemisphere in HEMISPHERES {
            let path = folder.join(format!("{}.{AREAS}.mgz", hemisphere.name()));
            let areas = mgh::read_i32(&path)?;
            if let Some(vertex) = areas.iter().position(|area| !(0..=HV4).contains(area)) {
                let message = format!("the area is {} at vertex {vertex}, expected 0 to {HV4}", areas[vertex]);
                return Err(Failure::input(message).at(path.display().to_string()));
            }
            all.push((hemisphere, areas));
        }
        fs_err::create_dir_all(output).map_err(|error| Failure::io("create", output, &error))?;
        for (hemisphere, areas) in all {
            let kept: Vec<i32> = areas.into_iter().map(|area| if area == HV4 { 0 } else { area }).collect();
            mgh::write_i32(&output.join(format!("{}.area.mgz", hemisphere.name())), &kept)?;
        }
        Ok(Ended::done())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks;

    #[test]
    fn hv4_is_not_an_area_of_the_study() {
        let folder = tempfile::tempdir().unwrap();
        let rois = folder.path().join("in/rois");
        fs_err::create_dir_all(&rois).unwrap();
        mgh::write_i32(&rois.join("lh.ROIs_V1-4.mgz"), &[0, 1, 2, 3, 4]).unwrap();
        // Some programs write labels as numbers with a point.
        mgh::write_f32(&rois.join("rh.ROIs_V1-4.mgz"), &[4.0, 3.0, 0.0]).unwrap();
        let mut task = tasks::task(&NyuLabels, folder.path());
        tasks::give(&mut task, "files", &folder.path().join("in"));
        tasks::run(&NyuLabels, &task).unwrap();
        let read = |h: &str| mgh::read_i32(&folder.path().join(format!("labels/{h}.area.mgz"))).unwrap();
        assert_eq!((read("lh"), read("rh")), (vec![0, 1, 2, 3, 0], vec![0, 3, 0]));
        mgh::write_i32(&rois.join("lh.ROIs_V1-4.mgz"), &[0, 7]).unwrap();
        let failure = tasks::run(&NyuLabels, &task).unwrap_err();
        assert_eq!(failure.message, "the area is 7 at vertex 1, expected 0 to 4");
    }
}
