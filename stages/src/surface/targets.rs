//! `flatmap/labels`: what a network shall draw, as one picture per label.
//!
//! Painted with the nearest vertex's label and then resized like the input, so that targets are fractional at borders.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, Stage, Task};
use rayon::prelude::*;

use super::{Drawing, check_count, picture, place};
use crate::formats::mgh;
use crate::formats::subject::{HEMISPHERES, Hemisphere, Subject};
use crate::formats::tensors::{self, Tensor, Tensors};
use crate::numeric::flatmap::{PAINTED_PIXELS, Raster};

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

/// The kind.
pub struct Targets;

impl Stage for Targets {
    fn kind(&self) -> Kind {
        let kind = Kind::new("flatmap/labels", 1, "paints a person's labels onto the flattened occipital cortex")
            .input("subject", &["subject"], "surfaces of the person, as in HCP_1200")
            .input("labels", &["labels"], "visual areas and rings of eccentricity on the native mesh")
            .file(
                "images",
                "targets",
                "safetensors: `targets` f32 [8, pixels, 2 pixels], 0 to 1; metadata `channels` (V1, V2, V3, E0 to E4), `radius` (degrees), `sid`",
            );
        Drawing::declare(kind)
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let drawing: Drawing = task.parameters()?;
        let subject = Subject::open(task.one("subject")?)?;
        let [left, right] = HEMISPHERES;
        let folder = task.one("labels")?;
        let left = Half::of(&subject, left, folder, &drawing)?;
        let right = Half::of(&subject, right, folder, &drawing)?;
        let pixels = drawing.pixels;
        let images: Vec<f32> = (0..CHANNELS.len())
            .into_par_iter()
            .flat_map_iter(|channel| picture(&left.paint(channel), &right.paint(channel), pixels))
            .collect();
        let tensors = Tensors::new()
            .with("targets", Tensor::f32(&[CHANNELS.len(), pixels, 2 * pixels], images))
            .about("channels", CHANNELS.map(|(_, _, name)| name).join(","))
            .about("radius", drawing.radius.to_string())
            .about("sid", subject.sid());
        tensors::write(task.output("images")?, &tensors)?;
        Ok(Ended::done())
    }
}

/// What is painted of one hemisphere.
struct Half {
    raster: Raster,
    area: Vec<i32>,
    ring: Vec<i32>,
}

impl Half {
    fn of(subject: &Subject, hemisphere: Hemisphere, folder: &Path, drawing: &Drawing) -> Result<Self, Failure> {
        let mesh = subject.registered(hemisphere)?;
        let vertices = mesh.sphere.len();
        let labels = |what: &str, most: i32| read(folder, what, most, subject, hemisphere, vertices);
        let (area, ring) = (labels("area", 3)?, labels("ring", 5)?);
        Ok(Self { raster: drawing.map(subject, hemisphere, &mesh)?.raster(PAINTED_PIXELS), area, ring })
    }

    fn paint(&self, channel: usize) -> Vec<f32> {
        let (file, label, _) = CHANNELS[channel];
        let values = if file == "area" { &self.area } else { &self.ring };
        self.raster.nearest(values, |value| f32::from(u8::from(value == label)))
    }
}

fn read(
    folder: &Path,
    what: &str,
    most: i32,
    subject: &Subject,
    hemisphere: Hemisphere,
    vertices: usize,
) -> Result<Vec<i32>, Failure> {
    let name = format!("{}.{what}.mgz", hemisphere.name());
    let path = folder.join(&name);
    if !path.exists() {
        return Err(Failure::input(format!("the labels have no `{name}`, and targets need areas and rings"))
            .at(place(subject, hemisphere))
            .hint("drawn labels have both; predictions have only what the network draws"));
    }
    let labels = mgh::read_i32(&path).map_err(|failure| failure.at(place(subject, hemisphere)))?;
    check_count(&name, labels.len(), subject, hemisphere, vertices)?;
    match labels.iter().position(|label| !(0..=most).contains(label)) {
        None => Ok(labels),
        Some(vertex) => Err(Failure::input(format!(
            "`{name}` has the label {} at vertex {vertex}, expected 0 to {most}",
            labels[vertex]
        ))
        .at(place(subject, hemisphere))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Ran, VERTICES, labels, person};
    use super::*;

    #[test]
    fn labels_become_fractions_of_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let subject = person(folder.path(), "s01");
        let drawn = labels(folder.path());
        let ran = Ran::of(&Targets, &[("subject", &subject), ("labels", &drawn)], &[("pixels", 32), ("radius", 80)]);
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
        let subject = person(folder.path(), "s01");
        let drawn = labels(folder.path());
        let run = || {
            let inputs: [(&str, &Path); 2] = [("subject", &subject), ("labels", &drawn)];
            Ran::try_of(&Targets, &inputs, &[("pixels", 16), ("radius", 80)]).unwrap_err()
        };
        let mut wrong = vec![0; VERTICES];
        wrong[5] = 6;
        mgh::write_i32(&drawn.join("lh.ring.mgz"), &wrong).unwrap();
        assert_eq!(run().message, "`lh.ring.mgz` has the label 6 at vertex 5, expected 0 to 5");
        mgh::write_i32(&drawn.join("lh.ring.mgz"), &wrong[..9]).unwrap();
        assert!(run().message.contains("has 9 values, but the hemisphere has 642 vertices"));
        std::fs::remove_file(drawn.join("lh.ring.mgz")).unwrap();
        assert!(run().message.starts_with("the labels have no `lh.ring.mgz`"));
    }
}
