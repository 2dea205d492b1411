//! `flatmap/...`: the kinds that paint a subject's maps and labels onto the flattened occipital cortex. The geometry itself is in
//! [`crate::numeric`].

mod images;
mod targets;

use pipe_contract::{Failure, Kind, Registry, Type, Value};

use crate::formats::subject_folder::{Registered, Subject};
use crate::hemisphere::Hemisphere;
use crate::numeric::flatmap::{self, FlatMap, PAINTED_PIXELS};
use crate::numeric::resize::resize;

/// Adds the kinds of this folder.
pub fn install(registry: &mut Registry) {
    registry.add(images::Images);
    registry.add(targets::Targets);
}

/// The parameters of how a map is painted, the same for images and targets.
#[derive(serde::Deserialize)]
struct Drawing {
    pixels: usize,
    radius: f64,
}

impl Drawing {
    /// Declares them.
    fn declare(kind: Kind) -> Kind {
        kind.param(
            "pixels",
            Type::Int(8, PAINTED_PIXELS as i64),
            Value::Int(128),
            "rows of the picture, and columns per hemisphere; painted with 512 and then resized with antialiasing",
        )
        .param(
            "radius",
            Type::Float(1.0, 90.0),
            Value::Float(80.0),
            "how far the map reaches from the occipital pole, in degrees; the study has 80 for the Human Connectome Project, 90 elsewhere",
        )
    }

    /// The map of a hemisphere.
    fn map(&self, subject: &Subject, hemisphere: Hemisphere, mesh: &Registered) -> Result<FlatMap, Failure> {
        flatmap::project(&mesh.sphere, &mesh.triangles, hemisphere, self.radius.to_radians())
            .map_err(|failure| failure.at(subject.place(hemisphere)))
    }
}

/// One channel of both hemispheres, as painted, joined and then resized: the blend across the seam is the original's.
fn picture(left: &[f32], right: &[f32], pixels: usize) -> Vec<f32> {
    let painted = flatmap::side_by_side(left, right, PAINTED_PIXELS);
    resize(&painted, 1, (PAINTED_PIXELS, 2 * PAINTED_PIXELS), (pixels, 2 * pixels))
}

/// Checks that a map has one value for each vertex of a subject's hemisphere.
fn check_count(
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
