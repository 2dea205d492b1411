//! Brings the coordinates of a subject into the space of fsaverage, as the original does for subjects outside of the Human Connectome
//! Project (section 2.7).
//!
//! fsaverage's points halfway between white and pial are interpolated to the subject's vertices through the sphere that both are registered
//! to; then the subject's hemisphere is shifted and turned, not scaled, so that the squared distances to them are least. Every vertex
//! counts once, each hemisphere moves on its own. A reference of fewer vertices (fsaverage5) gives the same but for the interpolation
//! between them.

use std::path::Path;

use pipe_contract::Failure;
use rayon::prelude::*;

use crate::formats::subject_folder::{Cortex, Subject};
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::rigid_alignment::RigidMotion;
use crate::numeric::sphere::SphereLocator;
use crate::numeric::vector::{Point, distance_squared, norm, subtract};

/// One hemisphere of fsaverage.
struct TemplateHemisphere {
    sphere: SphereLocator,
    /// Points halfway between white and pial, by axis.
    axes: [Vec<f32>; 3],
}

/// fsaverage, left hemisphere first.
pub(super) struct TemplateSpace([TemplateHemisphere; 2]);

impl TemplateSpace {
    /// Reads the `subject` artifact of fsaverage or fsaverage5.
    pub(super) fn open(reference: &Path) -> Result<Self, Failure> {
        let subject = Subject::open(reference)?;
        let read = |hemisphere: Hemisphere| -> Result<TemplateHemisphere, Failure> {
            let cortex = subject.cortex(hemisphere)?;
            let mesh = &cortex.registered;
            let sphere = SphereLocator::new(&mesh.sphere, &mesh.triangles)
                .map_err(|failure| failure.at(subject.place(hemisphere)))?;
            let axis = |axis: usize| cortex.midthickness.iter().map(|point| point[axis] as f32).collect();
            Ok(TemplateHemisphere { sphere, axes: [axis(0), axis(1), axis(2)] })
        };
        let [left, right] = HEMISPHERES;
        Ok(Self([read(left)?, read(right)?]))
    }

    /// Moves the coordinates of a hemisphere; gives the sentence that says how far.
    pub(super) fn align(&self, cortex: &mut Cortex, hemisphere: Hemisphere) -> Result<String, Failure> {
        let template = &self.0[usize::from(hemisphere == Hemisphere::Right)];
        let counterpart = |point: &Point| {
            let address = template.sphere.locate(*point)?;
            Some([0, 1, 2].map(|axis| address.linear(&template.axes[axis])))
        };
        let counterparts: Option<Vec<Point>> = cortex.registered.sphere.par_iter().map(counterpart).collect();
        let counterparts = counterparts
            .ok_or_else(|| Failure::input("a vertex of the registered sphere lies at its centre, expected a sphere"))?;
        let motion = RigidMotion::between(&cortex.midthickness, &counterparts)
            .ok_or_else(|| Failure::input("the coordinates cannot be aligned: one is not a finite number"))?;
        cortex.midthickness.iter_mut().for_each(|point| *point = motion.apply(*point));
        let squares: f64 = cortex.midthickness.iter().zip(&counterparts).map(|(a, b)| distance_squared(*a, *b)).sum();
        Ok(format!(
            "turned by {:.1} degrees and shifted by {:.1} mm onto fsaverage; {:.1} mm from it (root mean square)",
            motion.degrees(),
            norm(subtract(motion.to, motion.from)),
            (squares / counterparts.len() as f64).sqrt()
        ))
    }
}
