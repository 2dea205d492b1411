//! `labels/template`: labels from anatomy alone, by the retinotopic template of Benson et al. (2014) on fsaverage.
//!
//! Decides the study's `prior` (section 4.3): angle and eccentricity become x and y, which are interpolated from
//! fsaverage to the subject through the registered spheres, and become eccentricity again; the area is that of the
//! corner with the largest weight; where it is 0 the eccentricity is 0.
//! fsaverage's own sphere is not among the template's files: it follows from their triangles
//! ([`crate::numeric::icosahedron`]).

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};
use rayon::prelude::*;

use super::label_files::{create, write};
use crate::formats::subject_folder::Subject;
use crate::formats::{freesurfer, mgh};
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::address::Address;
use crate::numeric::bands::area_and_ring;
use crate::numeric::icosahedron::freesurfer_sphere;
use crate::numeric::sphere::SphereLocator;

/// The kind.
pub struct TemplateLabels;

impl StageKind for TemplateLabels {
    fn kind(&self) -> Kind {
        Kind::new("labels/template", 1, "labels V1 to V3 and their rings from anatomy alone, by the Benson 2014 template")
            .input(
                "template",
                &["files"],
                "`{lh,rh}.benson14_{angle,eccen,varea}.v4_0.mgz` and `{lh,rh}.benson14_retinotopy.v4_0.sphere.reg` on fsaverage",
            )
            .input("subject", &["subject"], "surfaces of the subject, as in HCP_1200")
            .folder("labels", "labels", "`{lh,rh}.{area,ring}.mgz`: int32 per native vertex, 0 where none")
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let subject = Subject::open(task.one("subject")?)?;
        let output = task.output("labels")?;
        create(output)?;
        for hemisphere in HEMISPHERES {
            let template = Template::read(task.one("template")?, hemisphere)?;
            let (area, ring) = template.labels(&subject, hemisphere)?;
            let labelled = area.iter().filter(|&&label| label > 0).count();
            context.log(&format!("{}: {labelled} of {} vertices labelled", hemisphere.name(), area.len()));
            write(output, hemisphere, &area, Some(&ring))?;
        }
        Ok(Ended::done())
    }
}

/// The template of one hemisphere.
pub(super) struct Template {
    /// fsaverage's sphere.
    pub(super) sphere: SphereLocator,
    /// Horizontal and vertical position in the visual field at each vertex, in degrees.
    x: Vec<f32>,
    y: Vec<f32>,
    /// The visual area: 1 to 3 are V1 to V3, others up to 12.
    area: Vec<i32>,
}

impl Template {
    pub(super) fn read(folder: &Path, hemisphere: Hemisphere) -> Result<Self, Failure> {
        let h = hemisphere.name();
        let file = |name: String| {
            let path = folder.join(&name);
            if path.exists() {
                return Ok(path);
            }
            Err(Failure::input(format!("the template has no `{name}`"))
                .at(folder.display().to_string())
                .hint("take `neuropythy/lib/data/fsaverage/surf/*benson14*` out of the package neuropythy"))
        };
        let map = |quantity: &str| file(format!("{h}.benson14_{quantity}.v4_0.mgz"));
        let path = file(format!("{h}.benson14_retinotopy.v4_0.sphere.reg"))?;
        let faces = freesurfer::read_surface(&path)?.triangles;
        let at = |failure: Failure| failure.at(path.display().to_string());
        let points = freesurfer_sphere(&faces).map_err(at)?;
        let (angle, eccentricity) = (mgh::read_f32(&map("angle")?)?, mgh::read_f32(&map("eccen")?)?);
        let area = mgh::read_i32(&map("varea")?)?;
        for (name, found) in [("angle", angle.len()), ("eccen", eccentricity.len()), ("varea", area.len())] {
            if found != points.len() {
                let expected = points.len();
                return Err(at(Failure::input(format!(
                    "the template's `{name}` has {found} values for {expected} vertices"
                ))));
            }
        }
        let (x, y) =
            angle.iter().zip(&eccentricity).map(|(&angle, &eccentricity)| position(angle, eccentricity)).unzip();
        Ok(Self { sphere: SphereLocator::new(&points, &faces).map_err(at)?, x, y, area })
    }

    /// Area and ring of every vertex of a subject's hemisphere.
    fn labels(&self, subject: &Subject, hemisphere: Hemisphere) -> Result<(Vec<i32>, Vec<i32>), Failure> {
        let mesh = subject.registered(hemisphere)?;
        let label = |&point: &[f64; 3]| {
            let address = self.sphere.locate(point).ok_or_else(|| {
                Failure::input("a vertex of the registered sphere lies at its centre").at(subject.place(hemisphere))
            })?;
            Ok(self.label(&address))
        };
        let labels: Result<Vec<(i32, i32)>, Failure> = mesh.sphere.par_iter().map(label).collect();
        Ok(labels?.into_iter().unzip())
    }

    pub(super) fn label(&self, address: &Address) -> (i32, i32) {
        let area = address.nearest(&self.area);
        let eccentricity = if area == 0 { 0.0 } else { libm::hypot(address.linear(&self.x), address.linear(&self.y)) };
        area_and_ring(area, eccentricity)
    }
}

/// The position in the visual field at an angle (degrees, clockwise from the upper vertical meridian) and an eccentricity.
fn position(angle: f32, eccentricity: f32) -> (f32, f32) {
    let (sin, cos) = libm::sincos((90.0 - f64::from(angle)).to_radians());
    let eccentricity = f64::from(eccentricity);
    ((eccentricity * cos) as f32, (eccentricity * sin) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::small_subject::{Ran, VERTICES, template_on, write_subject};
    use crate::test_support::tasks::data;

    #[test]
    fn a_template_on_the_same_sphere_comes_through() {
        let folder = tempfile::tempdir().unwrap();
        let subject = write_subject(folder.path(), "s01");
        let template = template_on(folder.path(), 3);
        let ran = Ran::of(&TemplateLabels, &[("template", &template), ("subject", &subject)], &[]);
        let read = |name: &str| mgh::read_i32(&ran.output("labels").join(name)).unwrap();
        let (area, ring) = (read("lh.area.mgz"), read("lh.ring.mgz"));
        assert_eq!(area.len(), VERTICES);
        let varea = mgh::read_i32(&template.join("lh.benson14_varea.v4_0.mgz")).unwrap();
        let eccen = mgh::read_f32(&template.join("lh.benson14_eccen.v4_0.mgz")).unwrap();
        for vertex in 0..VERTICES {
            let expected = area_and_ring(varea[vertex], f64::from(eccen[vertex]));
            assert_eq!((area[vertex], ring[vertex]), expected, "vertex {vertex}");
        }
        assert!(area.contains(&3) && ring.contains(&5));
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let subject = write_subject(folder.path(), "s01");
        let template = template_on(folder.path(), 3);
        fs_err::remove_file(template.join("rh.benson14_varea.v4_0.mgz")).unwrap();
        let failure = Ran::try_of(&TemplateLabels, &[("template", &template), ("subject", &subject)], &[]).unwrap_err();
        assert_eq!(failure.message, "the template has no `rh.benson14_varea.v4_0.mgz`");
    }

    /// Away from the warp, the template's own sphere has fsaverage's coordinates: the recovered ones must be the same.
    #[test]
    #[ignore = "needs the real data: `just data`"]
    fn the_recovered_sphere_is_that_of_fsaverage() {
        let folder = data("neuropythy/fsaverage");
        for hemisphere in HEMISPHERES {
            let path = folder.join(format!("{}.benson14_retinotopy.v4_0.sphere.reg", hemisphere.name()));
            let warped = freesurfer::read_surface(&path).unwrap();
            let recovered = freesurfer_sphere(&warped.triangles).unwrap();
            let same = recovered.iter().zip(&warped.coordinates).filter(|(recovered, warped)| {
                recovered.iter().zip(warped.iter()).all(|(r, &w)| (r - f64::from(w)).abs() < 1e-4)
            });
            let share = same.count() as f64 / recovered.len() as f64;
            assert!(share > 0.749, "{share}: three quarters of fsaverage lie outside the warp");
        }
    }
}
