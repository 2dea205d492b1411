//! `flatmap/images`: the input of a network: maps of a subject as images of the flattened occipital cortex.
//!
//! Decides the channels, their order (that of the study's `full` input) and the values of a measurement that a subject
//! does not have: zeros, which is what the study's own program does, with a note.

use std::path::Path;

use pipe_contract::{Arity, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task};
use rayon::prelude::*;

use super::painting::{Painting, check_count, picture, size};
use crate::formats::mgh;
use crate::formats::subject_folder::{Cortex, Subject};
use crate::formats::tensors::{self, Tensor, Tensors};
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::flatmap::{FlatMapRaster, PAINTED_PIXELS};

/// The channels, in their order.
const CHANNELS: [&str; 14] = [
    "x",
    "y",
    "z",
    "curvature",
    "convexity",
    "thickness",
    "surface_area",
    "myelin",
    "dwi_OR",
    "dwi_VOF",
    "prf_x",
    "prf_y",
    "prf_sigma",
    "prf_cod",
];

/// The pRF maps among them, the last four.
const PRF: [&str; 4] = ["prf_x", "prf_y", "prf_sigma", "prf_cod"];

/// The kind.
pub struct Images;

impl StageKind for Images {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("flatmap/images", 1, "paints a subject's maps onto the flattened occipital cortex")
            .input("subject", &["subject"], "surfaces and structural maps of one subject, as in HCP_1200")
            .port("prf", &["prf"], Arity::One, true, "pRF maps on the native mesh; without them those channels are 0")
            .file(
                "images",
                "images",
                "safetensors: `images` f32 [14, pixels, 2 pixels], left hemisphere on the left, top is superior; metadata `channels`, `radius` (degrees), `sid`",
            )
            .parameters::<Painting>();
        kind.size = Some(|task| size(task, CHANNELS.len()));
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let painting: Painting = task.parameters()?;
        let subject = Subject::open(task.one("subject")?)?;
        let mut notes = Vec::new();
        if task.maybe("prf").is_none() {
            notes.push(format!("{IMPORTANT}no pRF maps: {} are 0", PRF.join(", ")));
        }
        let [left, right] = HEMISPHERES;
        let left = Half::of(&subject, left, task.maybe("prf"), &painting, context, &mut notes)?;
        let right = Half::of(&subject, right, task.maybe("prf"), &painting, context, &mut notes)?;
        if context.cancelled() {
            return Err(Failure::stage("cancelled"));
        }
        let pixels = painting.pixels;
        let images: Vec<f32> = (0..CHANNELS.len())
            .into_par_iter()
            .flat_map_iter(|channel| picture(&left.paint(channel), &right.paint(channel), pixels))
            .collect();
        let tensors = Tensors::new()
            .with("images", Tensor::f32(&[CHANNELS.len(), pixels, 2 * pixels], images))
            .about("channels", CHANNELS.join(","))
            .about("radius", painting.radius.to_string())
            .about("sid", subject.sid());
        tensors::write(task.output("images")?, &tensors)?;
        Ok(Ended::noted(notes))
    }
}

/// What is painted of one hemisphere.
struct Half {
    raster: FlatMapRaster,
    /// One map per channel, one value per vertex; nothing for a channel without a measurement.
    maps: Vec<Option<Vec<f32>>>,
}

impl Half {
    fn of(
        subject: &Subject,
        hemisphere: Hemisphere,
        prf: Option<&Path>,
        painting: &Painting,
        context: &dyn Context,
        notes: &mut Vec<String>,
    ) -> Result<Self, Failure> {
        let cortex = subject.cortex(hemisphere)?;
        let map = painting.map(subject, hemisphere, &cortex.registered)?;
        let raster = map.raster(PAINTED_PIXELS);
        context.log(&format!(
            "{}: {} of {} vertices and {} triangles on the map; {} of {} pixels painted",
            hemisphere.name(),
            map.vertices.len(),
            cortex.midthickness.len(),
            map.faces.len(),
            raster.painted.len(),
            raster.candidates
        ));
        for (channel, tract) in [("dwi_OR", &cortex.optic_radiation), ("dwi_VOF", &cortex.vertical_occipital)] {
            if tract.is_none() {
                notes.push(format!("{IMPORTANT}no tract end points for {}: {channel} is 0", hemisphere.name()));
            }
        }
        let functional = match prf {
            Some(folder) => read_prf(folder, subject, hemisphere, cortex.midthickness.len())?,
            None => PRF.iter().map(|_| None).collect(),
        };
        Ok(Self { raster, maps: structural(cortex).into_iter().chain(functional).collect() })
    }

    /// One channel of this half at full size.
    fn paint(&self, channel: usize) -> Vec<f32> {
        match &self.maps[channel] {
            Some(values) => self.raster.linear(values),
            None => vec![0.0; PAINTED_PIXELS * PAINTED_PIXELS],
        }
    }
}

fn structural(cortex: Cortex) -> [Option<Vec<f32>>; 10] {
    let axis = |axis: usize| Some(cortex.midthickness.iter().map(|point| point[axis] as f32).collect());
    [
        axis(0),
        axis(1),
        axis(2),
        Some(cortex.curvature),
        Some(cortex.convexity),
        Some(cortex.thickness),
        Some(cortex.surface_area),
        Some(cortex.myelin),
        cortex.optic_radiation,
        cortex.vertical_occipital,
    ]
}

fn read_prf(
    folder: &Path,
    subject: &Subject,
    hemisphere: Hemisphere,
    vertices: usize,
) -> Result<Vec<Option<Vec<f32>>>, Failure> {
    PRF.iter()
        .map(|channel| {
            let name = format!("{}.{channel}.mgz", hemisphere.name());
            let values = mgh::read_f32(&folder.join(&name)).map_err(|failure| failure.at(subject.place(hemisphere)))?;
            check_count(&name, values.len(), subject, hemisphere, vertices)?;
            Ok(Some(values))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::small_subject::{Ran, prf, write_subject};

    #[test]
    fn a_subject_becomes_fourteen_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let subject = write_subject(folder.path(), "s01");
        let maps = prf(folder.path());
        let ran = Ran::of(&Images, &[("subject", &subject), ("prf", &maps)], &[("pixels", 32), ("radius", 80)]);
        let file = tensors::read(&ran.output("images")).unwrap();
        assert_eq!(file.text("channels").unwrap(), CHANNELS.join(","));
        assert_eq!(file.text("sid").unwrap(), "s01");
        let (shape, images) = file.floats("images").unwrap();
        assert_eq!(shape, [14, 32, 64]);
        assert!(images.iter().all(|value| value.is_finite()), "what is missing is 0");
        let middle = |channel: usize, column: usize| images[(channel * 32 + 16) * 64 + column];
        // The fixture's curvature is -1 on the left and +1 on the right; its thickness is 2 everywhere.
        assert!((middle(3, 16) + 1.0).abs() < 1e-5 && (middle(3, 48) - 1.0).abs() < 1e-5);
        assert!((middle(5, 16) - 2.0).abs() < 1e-5);
        assert_eq!(middle(8, 16), 0.0, "no tract maps");
        assert_eq!(ran.notes().len(), 4, "{:?}", ran.notes());
    }

    #[test]
    fn without_prf_maps_their_channels_are_zero() {
        let folder = tempfile::tempdir().unwrap();
        let subject = write_subject(folder.path(), "s02");
        let ran = Ran::of(&Images, &[("subject", &subject)], &[("pixels", 16), ("radius", 80)]);
        let file = tensors::read(&ran.output("images")).unwrap();
        let (_, images) = file.floats("images").unwrap();
        assert!(images[10 * 16 * 32..].iter().all(|&value| value == 0.0));
        assert_eq!(ran.notes()[0], "important: no pRF maps: prf_x, prf_y, prf_sigma, prf_cod are 0");
    }

    #[test]
    fn maps_of_another_mesh_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let subject = write_subject(folder.path(), "s03");
        let maps = prf(folder.path());
        mgh::write_f32(&maps.join("rh.prf_sigma.mgz"), &[1.0; 7]).unwrap();
        let failure = Ran::try_of(&Images, &[("subject", &subject), ("prf", &maps)], &[("pixels", 16), ("radius", 80)]);
        let failure = failure.unwrap_err();
        assert_eq!(failure.message, "`rh.prf_sigma.mgz` has 7 values, but the hemisphere has 642 vertices");
        assert_eq!(failure.place.as_deref(), Some("subject `s03`, rh"));
    }
}
