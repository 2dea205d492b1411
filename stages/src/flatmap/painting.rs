//! What `flatmap/images` and `flatmap/labels` share: how large a picture is, how far its map reaches, and how two hemispheres become one
//! picture. Where pictures are for a network that is already trained, its options decide, not the parameters.

use pipe_contract::{Arity, Failure, Kind, Task, choice, parameters};

use crate::formats::image_conventions::ImageConventions;
use crate::formats::subject_folder::{Registered, Subject};
use crate::formats::tensors::Tensors;
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::flatmap::{self, FlatMap, PAINTED_PIXELS};
use crate::numeric::resize::resize;

parameters! {
    /// How a map is painted.
    pub(super) struct Painting {
        /// rows of the picture, and columns per hemisphere; painted with 512 and then resized with antialiasing
        pixels: usize = 128, in 8..=PAINTED_PIXELS;
        /// how far the map reaches from the occipital pole, in degrees; the study has 80 for the Human Connectome Project, 90 elsewhere
        radius: f64 = 80.0, in 1.0..=90.0;
        /// paint as another program does, against what the model's options say
        compat: Compat = Compat::None, neutral Compat::None;
    }
}

choice! {
    /// Which program is imitated.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Compat {
        /// None: images are as the network saw them in its training.
        None = "none",
        /// The original's command line, whose maps reach 90 degrees although its networks were trained with 80.
        CommandLine = "command-line",
    }
}

/// The radius of the original's command line, in degrees.
const COMMAND_LINE_RADIUS: f64 = 90.0;

/// Size and reach of the pictures of a task.
pub(super) struct PictureFrame {
    /// Rows, and columns per hemisphere.
    pub(super) pixels: usize,
    /// Degrees from the occipital pole.
    pub(super) radius: f64,
    compat: Compat,
    /// What the model's options say, where they are given.
    pub(super) model: Option<ImageConventions>,
}

/// Declares the port `options`.
pub(super) fn with_options(kind: Kind) -> Kind {
    kind.port(
        "options",
        &["file"],
        Arity::One,
        true,
        "`options.json` of the model that the pictures are for (`$model.model/options.json`): pixels, radius and whatever else is \
         set nowhere are taken from there",
    )
}

impl PictureFrame {
    /// From the model's options where they are given, else from the parameters.
    pub(super) fn of(painting: &Painting, task: &Task) -> Result<Self, Failure> {
        let model = task.maybe("options").map(ImageConventions::read).transpose()?;
        let (pixels, radius) = match &model {
            Some(model) => (model.pixels, model.radius),
            None => (painting.pixels, painting.radius),
        };
        let radius = if painting.compat == Compat::CommandLine { COMMAND_LINE_RADIUS } else { radius };
        Ok(Self { pixels, radius, compat: painting.compat, model })
    }

    /// The map of a hemisphere.
    pub(super) fn map(&self, subject: &Subject, hemisphere: Hemisphere, mesh: &Registered) -> Result<FlatMap, Failure> {
        flatmap::project(&mesh.sphere, &mesh.triangles, hemisphere, self.radius.to_radians())
            .map_err(|failure| failure.at(subject.place(hemisphere)))
    }

    /// The metadata that all pictures have: radius and subject; what is usual is not written.
    pub(super) fn about(&self, tensors: Tensors, subject: &Subject) -> Result<Tensors, Failure> {
        let mut tensors = tensors.about("radius", self.radius.to_string()).about("sid", subject.sid());
        if self.compat == Compat::CommandLine {
            tensors = tensors.about("compat", "command-line");
        }
        let present = subject.hemispheres()?;
        if present.len() < HEMISPHERES.len() {
            let names: Vec<&str> = present.iter().map(|hemisphere| hemisphere.name()).collect();
            tensors = tensors.about("hemispheres", names.join(","));
        }
        Ok(tensors)
    }
}

/// Bytes of so many channels of pictures.
pub(super) fn size(painting: &Painting, channels: usize) -> u64 {
    (channels * painting.pixels * 2 * painting.pixels * size_of::<f32>()) as u64
}

/// Both hemispheres, left first; nothing for one that the subject does not have.
pub(super) fn both<T>(
    subject: &Subject,
    of: impl FnMut(Hemisphere) -> Result<T, Failure>,
) -> Result<[Option<T>; 2], Failure> {
    let present = subject.hemispheres()?;
    let mut of = of;
    let [left, right] = HEMISPHERES.map(|hemisphere| present.contains(&hemisphere).then_some(hemisphere));
    Ok([left.map(&mut of).transpose()?, right.map(&mut of).transpose()?])
}

/// One channel of both hemispheres, as painted, joined and then resized: the blend across the seam is the original's. A hemisphere that is
/// not there is 0.
pub(super) fn picture<T>(halves: &[Option<T>; 2], pixels: usize, paint: impl Fn(&T) -> Vec<f32>) -> Vec<f32> {
    let half = |half: &Option<T>| half.as_ref().map_or_else(|| vec![0.0; PAINTED_PIXELS * PAINTED_PIXELS], &paint);
    let [left, right] = [half(&halves[0]), half(&halves[1])];
    let painted = flatmap::side_by_side(&left, &right, PAINTED_PIXELS);
    resize(&painted, 1, (PAINTED_PIXELS, 2 * PAINTED_PIXELS), (pixels, 2 * pixels))
}

/// Checks that a map has one value for each vertex of a subject's hemisphere.
pub(super) fn check_count(
    what: &str,
    found: usize,
    subject: &Subject,
    hemisphere: Hemisphere,
    vertices: usize,
) -> Result<(), Failure> {
    if found == vertices {
        return Ok(());
    }
    Err(Failure::input(format!("`{what}` has {found} values, but the hemisphere has {vertices} vertices"))
        .at(subject.place(hemisphere))
        .hint("the map was made for another mesh, or for another subject"))
}
