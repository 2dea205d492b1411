//! `flatmap/images`: the input of a network: maps of a subject as images of the flattened occipital cortex.
//!
//! Decides the channels, their order (that of the study's `full` input) and the values of a measurement that a subject
//! does not have: zeros, which is what the study's own program does, with a note.
//!
//! Pictures for a network that is already trained follow its options: size, reach, unit of depth, and how coordinates of subjects of other
//! datasets are made comparable ([`super::template_space`]).

use std::path::Path;

use pipe_contract::{Arity, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, choice, parameters};
use rayon::prelude::*;

use super::painting::{Painting, PictureFrame, both, check_count, picture, size, with_options};
use super::template_space::TemplateSpace;
use crate::formats::image_conventions::{Alignment, DepthUnit};
use crate::formats::mgh;
use crate::formats::subject_folder::{Cortex, Subject};
use crate::formats::tensors::{self, Tensor, Tensors};
use crate::hemisphere::Hemisphere;
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

parameters! {
    struct Parameters {
        /// how coordinates get into the space of the training: `model` is what the model's options say, `none` without them
        alignment: AlignmentSource = AlignmentSource::Model, neutral AlignmentSource::Model;
        /// the unit of depth: `model` is what the model's options say, `cm` without them
        convexity: DepthUnitSource = DepthUnitSource::Model, neutral DepthUnitSource::Model;
        ..painting: Painting;
    }
}

choice! {
    /// What decides the alignment.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum AlignmentSource {
        /// The model's options.
        Model = "model",
        /// Coordinates stay as they are.
        None = "none",
        /// Each hemisphere is turned and shifted onto that of `reference`.
        Fsaverage = "fsaverage",
    }
}

choice! {
    /// What decides the unit of depth.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum DepthUnitSource {
        /// The model's options.
        Model = "model",
        /// That of FreeSurfer 5.
        Cm = "cm",
        /// That of FreeSurfer 6 to 8.
        Mm = "mm",
    }
}

/// How the maps of a subject are brought into what a network reads.
struct Conversion {
    frame: PictureFrame,
    space: Option<TemplateSpace>,
    unit: DepthUnit,
}

impl Conversion {
    fn of(task: &Task) -> Result<Self, Failure> {
        let parameters: Parameters = task.parameters()?;
        let frame = PictureFrame::of(&parameters.painting, task)?;
        let stated = frame.model.as_ref();
        let alignment = match parameters.alignment {
            AlignmentSource::Model => stated.map_or(Alignment::None, |model| model.alignment),
            AlignmentSource::None => Alignment::None,
            AlignmentSource::Fsaverage => Alignment::Fsaverage,
        };
        let unit = match parameters.convexity {
            DepthUnitSource::Model => stated.map_or(DepthUnit::Cm, |model| model.convexity),
            DepthUnitSource::Cm => DepthUnit::Cm,
            DepthUnitSource::Mm => DepthUnit::Mm,
        };
        let space = match (alignment, task.maybe("reference")) {
            (Alignment::None, _) => None,
            (Alignment::Fsaverage, Some(reference)) => Some(TemplateSpace::open(reference)?),
            (Alignment::Fsaverage, None) => {
                return Err(Failure::input("coordinates are to be aligned to fsaverage, but there is no `reference`")
                    .hint("give fsaverage as `reference`, as `freesurfer/subject` reads it"));
            }
        };
        Ok(Self { frame, space, unit })
    }

    /// Whether a channel matters: without the options of a network, every one does.
    fn is_read(&self, channel: &str) -> bool {
        self.frame.model.as_ref().is_none_or(|model| model.channels.iter().any(|name| name == channel))
    }

    /// Brings coordinates and depth into the space and the unit of the network.
    fn apply(
        &self,
        cortex: &mut Cortex,
        subject: &Subject,
        hemisphere: Hemisphere,
        context: &dyn Context,
    ) -> Result<(), Failure> {
        if let Some(space) = &self.space {
            let said = space.align(cortex, hemisphere).map_err(|failure| failure.at(subject.place(hemisphere)))?;
            context.log(&format!("{}: {said}", hemisphere.name()));
        }
        cortex.convexity.iter_mut().for_each(|depth| *depth *= self.unit.per_cm());
        Ok(())
    }

    /// Metadata; what is usual (no alignment, the unit of FreeSurfer 5) is not written.
    fn about(&self, tensors: Tensors, subject: &Subject) -> Result<Tensors, Failure> {
        let mut tensors = self.frame.about(tensors, subject)?;
        if self.space.is_some() {
            tensors = tensors.about("alignment", Alignment::Fsaverage.word());
        }
        if self.unit != DepthUnit::Cm {
            tensors = tensors.about("convexity", self.unit.word());
        }
        Ok(tensors)
    }
}

impl StageKind for Images {
    fn kind(&self) -> Kind {
        let kind = Kind::new("flatmap/images", 2, "paints a subject's maps onto the flattened occipital cortex")
            .input("subject", &["subject"], "surfaces and structural maps of one subject, as in HCP_1200")
            .port("prf", &["prf"], Arity::One, true, "pRF maps on the native mesh; without them those channels are 0")
            .port(
                "reference",
                &["subject"],
                Arity::One,
                true,
                "fsaverage (or fsaverage5), onto which coordinates of subjects of other datasets are turned and shifted",
            );
        let mut kind = with_options(kind)
            .file(
                "images",
                "images",
                "safetensors: `images` f32 [14, pixels, 2 pixels], left hemisphere on the left, top is superior; metadata `channels`, `radius` (degrees), `sid`, and `alignment`, `convexity`, `compat`, `hemispheres` where they are not the usual ones",
            )
            .parameters::<Parameters>();
        kind.size = Some(|task| Ok(size(&task.parameters::<Parameters>()?.painting, CHANNELS.len())));
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let conversion = Conversion::of(task)?;
        let subject = Subject::open(task.one("subject")?)?;
        let mut notes = Vec::new();
        if task.maybe("prf").is_none() && conversion.is_read("prf_x") {
            notes.push(format!("{IMPORTANT}no pRF maps: {} are 0", PRF.join(", ")));
        }
        let prf = task.maybe("prf");
        let halves =
            both(&subject, |hemisphere| Half::of(&subject, hemisphere, prf, &conversion, context, &mut notes))?;
        if context.cancelled() {
            return Err(Failure::stage("cancelled"));
        }
        let pixels = conversion.frame.pixels;
        let images: Vec<f32> = (0..CHANNELS.len())
            .into_par_iter()
            .flat_map_iter(|channel| picture(&halves, pixels, |half| half.paint(channel)))
            .collect();
        let tensors = Tensors::new()
            .with("images", Tensor::f32(&[CHANNELS.len(), pixels, 2 * pixels], images))
            .about("channels", CHANNELS.join(","));
        tensors::write(task.output("images")?, &conversion.about(tensors, &subject)?)?;
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
        conversion: &Conversion,
        context: &dyn Context,
        notes: &mut Vec<String>,
    ) -> Result<Self, Failure> {
        let mut cortex = subject.cortex(hemisphere)?;
        conversion.apply(&mut cortex, subject, hemisphere, context)?;
        let map = conversion.frame.map(subject, hemisphere, &cortex.registered)?;
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
        for (channel, map, what) in [
            ("dwi_OR", &cortex.optic_radiation, "tract end points"),
            ("dwi_VOF", &cortex.vertical_occipital, "tract end points"),
            ("myelin", &cortex.myelin, "myelin map"),
        ] {
            if map.is_none() && conversion.is_read(channel) {
                notes.push(format!("{IMPORTANT}no {what} for {}: {channel} is 0", hemisphere.name()));
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
        cortex.myelin,
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

    /// Beside the numbers there is only a header.
    #[test]
    fn the_size_that_is_foretold_is_that_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let subject = write_subject(folder.path(), "s01");
        let ran = Ran::of(&Images, &[("subject", &subject)], &[("pixels", 32), ("radius", 80)]);
        let mut task = crate::test_support::tasks::task(&Images, folder.path());
        crate::test_support::tasks::set(&mut task, "pixels", pipe_contract::Value::Int(32));
        let size = Images.kind().size.unwrap()(&task).unwrap();
        let file = fs_err::metadata(ran.output("images")).unwrap().len();
        assert!((size..size + 1000).contains(&file), "{size} {file}");
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

    /// Moves the coordinates of both hemispheres of a subject.
    fn turn(subject: &Path, sid: &str) {
        use crate::formats::gifti;
        for letter in ["L", "R"] {
            let path = subject.join(format!("{sid}/T1w/Native/{sid}.{letter}.midthickness.native.surf.gii"));
            let mut mesh = gifti::read_surface(&path).unwrap();
            for [x, y, z] in &mut mesh.coordinates {
                (*x, *y, *z) = (0.8 * *x - 0.6 * *y + 12.0, 0.6 * *x + 0.8 * *y - 30.0, *z + 7.0);
            }
            gifti::write_surface(&path, &mesh).unwrap();
        }
    }

    fn options(folder: &Path, alignment: &str) -> std::path::PathBuf {
        let path = folder.join("options.json");
        let text = format!(
            "{{\"channels\": [\"x\", \"convexity\"], \"pixels\": 24, \"radius\": 70, \"alignment\": \"{alignment}\", \"convexity\": \"mm\"}}"
        );
        fs_err::write(&path, text).unwrap();
        path
    }

    #[test]
    fn images_for_a_network_are_as_its_options_say() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        let (subject, reference) = (write_subject(&here, "s01"), write_subject(&there, "fsaverage"));
        let plain = Ran::of(&Images, &[("subject", &subject)], &[("pixels", 24), ("radius", 70)]);
        turn(&subject, "s01");
        let options = options(folder.path(), "fsaverage");
        // Other parameters do not matter: the network decides.
        let inputs = [("subject", subject.as_path()), ("reference", &reference), ("options", &options)];
        let ran = Ran::of(&Images, &inputs, &[("pixels", 16), ("radius", 80)]);
        assert!(ran.notes().is_empty(), "channels that it does not read are no matter: {:?}", ran.notes());
        let [plain, aligned] = [&plain, &ran].map(|ran| tensors::read(&ran.output("images")).unwrap());
        let (shape, values) = aligned.floats("images").unwrap();
        assert_eq!(shape, [14, 24, 48]);
        assert_eq!([aligned.text("radius").unwrap(), aligned.text("alignment").unwrap()], ["70", "fsaverage"]);
        let (_, before) = plain.floats("images").unwrap();
        let plane = 24 * 48;
        // x, y and z are again what they were before the turn.
        for (a, b) in values[..3 * plane].iter().zip(&before[..3 * plane]) {
            assert!((a - b).abs() < 1e-2, "{a} {b}");
        }
        for (a, b) in values[4 * plane..5 * plane].iter().zip(&before[4 * plane..5 * plane]) {
            assert!((a - 10.0 * b).abs() < 1e-4, "depth in mm: {a} {b}");
        }
        let failure = Ran::try_of(&Images, &inputs[..1], &[("pixels", 16), ("radius", 80)]);
        assert!(failure.is_ok(), "without a network nothing is aligned");
        // What is said goes before the network.
        let own = tempfile::tempdir().unwrap();
        let mut task = crate::test_support::tasks::task(&Images, own.path());
        inputs.iter().for_each(|(port, path)| crate::test_support::tasks::give(&mut task, port, path));
        let mut images = |alignment: &str, convexity: &str| {
            for (name, word) in [("alignment", alignment), ("convexity", convexity)] {
                crate::test_support::tasks::set(&mut task, name, pipe_contract::Value::Text(word.into()));
            }
            crate::test_support::tasks::run(&Images, &task).unwrap();
            let file = tensors::read(task.output("images").unwrap()).unwrap();
            (file.text("alignment").is_ok(), file.floats("images").unwrap().1[4 * plane..5 * plane].to_vec())
        };
        assert_eq!(images("none", "cm"), (false, before[4 * plane..5 * plane].to_vec()));
        assert_eq!(images("fsaverage", "mm"), (true, values[4 * plane..5 * plane].to_vec()));
        let without = [("subject", subject.as_path()), ("options", &options)];
        let failure = Ran::try_of(&Images, &without, &[("pixels", 16), ("radius", 80)]).unwrap_err();
        assert_eq!(failure.message, "coordinates are to be aligned to fsaverage, but there is no `reference`");
    }

    #[test]
    fn a_hemisphere_that_is_not_there_is_blank_and_said() {
        use crate::formats::subject_folder::{ABOUT, AboutSubject};
        let folder = tempfile::tempdir().unwrap();
        let subject = write_subject(folder.path(), "s01");
        let about = AboutSubject { source: "FreeSurfer".into(), hemispheres: vec!["rh".into()], sulc: "mm".into() };
        fs_err::write(subject.join("s01").join(ABOUT), serde_json::to_string(&about).unwrap()).unwrap();
        fs_err::remove_file(subject.join("s01/T1w/s01/surf/lh.white")).unwrap();
        let ran = Ran::of(&Images, &[("subject", &subject)], &[("pixels", 16), ("radius", 80)]);
        let file = tensors::read(&ran.output("images")).unwrap();
        assert_eq!(file.text("hemispheres").unwrap(), "rh");
        let (_, images) = file.floats("images").unwrap();
        let row = |row: usize| &images[5 * 16 * 32 + row * 32..][..32];
        assert!(row(8)[..15].iter().all(|value| *value == 0.0) && (row(8)[24] - 2.0).abs() < 1e-5, "{:?}", row(8));
    }
}
