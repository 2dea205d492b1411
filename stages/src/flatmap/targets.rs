//! `flatmap/labels`: the targets of a network, as one image per label.
//!
//! Painted with the nearest vertex's label and then resized like the input, so that targets are fractional at borders.
//! A rater may have labelled areas and no sectors: then there are channels for the areas only, as the metadata lists.

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};
use rayon::prelude::*;

use super::painting::{Painting, PictureFrame, both, check_count, picture, size, with_options};
use crate::formats::mgh;
use crate::formats::subject_folder::Subject;
use crate::formats::tensors::{self, Tensor, Tensors};
use crate::hemisphere::Hemisphere;
use crate::numeric::flatmap::{FlatMapRaster, PAINTED_PIXELS};

/// The channels: the file that holds the labels, the label, the name.
const CHANNELS: [(&str, i32, &str); 8] = [
    ("area", 1, "V1"),
    ("area", 2, "V2"),
    ("area", 3, "V3"),
    ("ring", 1, "E0"),
    ("ring", 2, "E1"),
    ("ring", 3, "E2"),
    ("ring", 4, "E3"),
    ("ring", 5, "E4"),
];

/// The files of labels, without the hemisphere.
const FILES: [&str; 2] = ["area", "ring"];

/// The kind.
pub struct Targets;

impl StageKind for Targets {
    fn kind(&self) -> Kind {
        let kind = Kind::new("flatmap/labels", 2, "paints a subject's labels onto the flattened occipital cortex")
            .input("subject", &["subject"], "surfaces of the subject, as in HCP_1200")
            .input("labels", &["labels"], "visual areas, rings of eccentricity or both, on the native mesh");
        let mut kind = with_options(kind)
            .file(
                "images",
                "targets",
                "safetensors: `targets` f32 [channels, pixels, 2 pixels], 0 to 1; metadata `channels` (V1, V2, V3, E0 to E4, as far as labelled), `radius` (degrees), `sid`",
            )
            .parameters::<Painting>();
        kind.size = Some(|task| Ok(size(&task.parameters()?, CHANNELS.len())));
        kind
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let frame = PictureFrame::of(&task.parameters()?, task)?;
        let subject = Subject::open(task.one("subject")?)?;
        let folder = task.one("labels")?;
        let hemispheres = subject.hemispheres()?;
        let there = |file: &str| hemispheres.iter().all(|hemisphere| folder.join(name(*hemisphere, file)).exists());
        let (present, lacking): (Vec<&str>, Vec<&str>) = FILES.into_iter().partition(|file| there(file));
        if present.is_empty() {
            return Err(Failure::input("the labels have neither areas nor rings of both hemispheres")
                .at(folder.display().to_string())
                .hint("`{lh,rh}.area.mgz`, `{lh,rh}.ring.mgz` or all four are expected"));
        }
        let halves = both(&subject, |hemisphere| Half::of(&subject, hemisphere, folder, &present, &frame))?;
        let channels: Vec<_> = CHANNELS.into_iter().filter(|(file, ..)| present.contains(file)).collect();
        let pixels = frame.pixels;
        let images: Vec<f32> = channels
            .par_iter()
            .flat_map_iter(|(file, label, _)| picture(&halves, pixels, |half| half.paint(file, *label)))
            .collect();
        let names: Vec<&str> = channels.iter().map(|(_, _, name)| *name).collect();
        let tensors = Tensors::new()
            .with("targets", Tensor::f32(&[channels.len(), pixels, 2 * pixels], images))
            .about("channels", names.join(","));
        tensors::write(task.output("images")?, &frame.about(tensors, &subject)?)?;
        let notes = lacking.iter().map(|file| format!("no `{file}` labels of both hemispheres: no channels for them"));
        Ok(Ended::noted(notes.collect()))
    }
}

/// What a file of labels is called.
fn name(hemisphere: Hemisphere, file: &str) -> String {
    format!("{}.{file}.mgz", hemisphere.name())
}

/// What is painted of one hemisphere.
struct Half {
    raster: FlatMapRaster,
    /// Labels per vertex, by file.
    labels: BTreeMap<&'static str, Vec<i32>>,
}

impl Half {
    fn of(
        subject: &Subject,
        hemisphere: Hemisphere,
        folder: &Path,
        files: &[&'static str],
        frame: &PictureFrame,
    ) -> Result<Self, Failure> {
        let mesh = subject.registered(hemisphere)?;
        let vertices = mesh.sphere.len();
        let read = |file: &&'static str| Ok((*file, read(folder, file, subject, hemisphere, vertices)?));
        let labels = files.iter().map(read).collect::<Result<_, Failure>>()?;
        Ok(Self { raster: frame.map(subject, hemisphere, &mesh)?.raster(PAINTED_PIXELS), labels })
    }

    fn paint(&self, file: &str, label: i32) -> Vec<f32> {
        self.raster.nearest(&self.labels[file], |value| f32::from(u8::from(value == label)))
    }
}

fn read(
    folder: &Path,
    file: &str,
    subject: &Subject,
    hemisphere: Hemisphere,
    vertices: usize,
) -> Result<Vec<i32>, Failure> {
    let name = name(hemisphere, file);
    let most = CHANNELS.iter().filter(|(of, ..)| *of == file).map(|(_, label, _)| *label).max().unwrap_or(0);
    let labels = mgh::read_i32(&folder.join(&name)).map_err(|failure| failure.at(subject.place(hemisphere)))?;
    check_count(&name, labels.len(), subject, hemisphere, vertices)?;
    match labels.iter().position(|label| !(0..=most).contains(label)) {
        None => Ok(labels),
        Some(vertex) => Err(Failure::input(format!(
            "`{name}` has the label {} at vertex {vertex}, expected 0 to {most}",
            labels[vertex]
        ))
        .at(subject.place(hemisphere))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::small_subject::{Ran, VERTICES, labels, write_subject};

    #[test]
    fn labels_become_fractions_of_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let subject = write_subject(folder.path(), "s01");
        let rated = labels(folder.path());
        let ran = Ran::of(&Targets, &[("subject", &subject), ("labels", &rated)], &[("pixels", 32), ("radius", 80)]);
        let file = tensors::read(&ran.output("images")).unwrap();
        assert_eq!(file.text("channels").unwrap(), "V1,V2,V3,E0,E1,E2,E3,E4");
        let (shape, targets) = file.floats("targets").unwrap();
        assert_eq!(shape, [8, 32, 64]);
        assert!(targets.iter().all(|value| (-1e-6..=1.0 + 1e-6).contains(value)));
        let middle = |channel: usize, column: usize| targets[(channel * 32 + 16) * 64 + column];
        // The fixture is V2 in ring 3 on the left and V3 in ring 5 on the right.
        assert_eq!([middle(1, 16), middle(5, 16), middle(2, 48), middle(7, 48)].map(|v| v > 0.999), [true; 4]);
        assert_eq!([middle(0, 16), middle(2, 16), middle(1, 48), middle(3, 48)], [0.0; 4]);
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let subject = write_subject(folder.path(), "s01");
        let rated = labels(folder.path());
        let run = || {
            let inputs: [(&str, &Path); 2] = [("subject", &subject), ("labels", &rated)];
            Ran::try_of(&Targets, &inputs, &[("pixels", 16), ("radius", 80)]).unwrap_err()
        };
        let mut wrong = vec![0; VERTICES];
        wrong[5] = 6;
        mgh::write_i32(&rated.join("lh.ring.mgz"), &wrong).unwrap();
        assert_eq!(run().message, "`lh.ring.mgz` has the label 6 at vertex 5, expected 0 to 5");
        mgh::write_i32(&rated.join("lh.ring.mgz"), &wrong[..9]).unwrap();
        assert!(run().message.contains("has 9 values, but the hemisphere has 642 vertices"));
        fs_err::remove_file(rated.join("lh.ring.mgz")).unwrap();
        fs_err::remove_file(rated.join("rh.area.mgz")).unwrap();
        assert!(run().message.starts_with("the labels have neither areas nor rings"));
    }

    #[test]
    fn labels_without_rings_give_areas_only_and_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let subject = write_subject(folder.path(), "s01");
        let rated = labels(folder.path());
        let run = || {
            let inputs: [(&str, &Path); 2] = [("subject", &subject), ("labels", &rated)];
            let ran = Ran::of(&Targets, &inputs, &[("pixels", 16), ("radius", 80)]);
            (tensors::read(&ran.output("images")).unwrap(), ran.notes().to_vec())
        };
        let (both, _) = run();
        fs_err::remove_file(rated.join("rh.ring.mgz")).unwrap();
        let (areas, notes) = run();
        assert_eq!(notes, ["no `ring` labels of both hemispheres: no channels for them"]);
        assert_eq!(areas.text("channels").unwrap(), "V1,V2,V3");
        let (shape, values) = areas.floats("targets").unwrap();
        assert_eq!(shape, [3, 16, 32]);
        assert_eq!(values, &both.floats("targets").unwrap().1[..3 * 16 * 32]);
    }
}
