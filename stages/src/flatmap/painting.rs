//! What `flatmap/images` and `flatmap/labels` share: how large a picture is, how far its map reaches, and how two hemispheres become one
//! picture.

use pipe_contract::{Failure, Task, parameters};

use crate::formats::subject_folder::{Registered, Subject};
use crate::hemisphere::Hemisphere;
use crate::numeric::flatmap::{self, FlatMap, PAINTED_PIXELS};
use crate::numeric::resize::resize;

parameters! {
    /// How a map is painted.
    pub(super) struct Painting {
        /// rows of the picture, and columns per hemisphere; painted with 512 and then resized with antialiasing
        pub(super) pixels: usize = 128, in 8..=PAINTED_PIXELS;
        /// how far the map reaches from the occipital pole, in degrees; the study has 80 for the Human Connectome Project, 90 elsewhere
        pub(super) radius: f64 = 80.0, in 1.0..=90.0;
    }
}

impl Painting {
    /// The map of a hemisphere.
    pub(super) fn map(&self, subject: &Subject, hemisphere: Hemisphere, mesh: &Registered) -> Result<FlatMap, Failure> {
        flatmap::project(&mesh.sphere, &mesh.triangles, hemisphere, self.radius.to_radians())
            .map_err(|failure| failure.at(subject.place(hemisphere)))
    }
}

/// Bytes of so many channels of pictures.
pub(super) fn size(task: &Task, channels: usize) -> Result<u64, Failure> {
    let painting: Painting = task.parameters()?;
    Ok((channels * painting.pixels * 2 * painting.pixels * size_of::<f32>()) as u64)
}

/// One channel of both hemispheres, as painted, joined and then resized: the blend across the seam is the original's.
pub(super) fn picture(left: &[f32], right: &[f32], pixels: usize) -> Vec<f32> {
    let painted = flatmap::side_by_side(left, right, PAINTED_PIXELS);
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
