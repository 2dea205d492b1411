//! The real anatomy and the real retinotopic template from which subjects are simulated: FreeSurfer's fsaverage5 as nilearn
//! packages it, and the template of Benson et al. (2014) on fsaverage, whose first 10,242 vertices are fsaverage5's.
//!
//! Decides how the template is read between vertices: areas by the distance to the nearest vertex of each area, so
//! that a border can be moved by a number of millimetres; receptive fields by visual field coordinates.

use std::path::Path;

use pipe_contract::Failure;

use crate::formats::{gifti, mgh};
use crate::hemisphere::Hemisphere;
use crate::numeric::nearest::NearestPoint;
use crate::numeric::projection::occipital_pole;
use crate::numeric::sphere::SphereLocator;
use crate::numeric::vector::{Point, distance_squared, dot, norm};

/// One hemisphere of the anatomy with the template's maps on it.
pub struct Atlas {
    /// Which one.
    pub hemisphere: Hemisphere,
    /// Triangles.
    pub faces: Vec<[u32; 3]>,
    /// Vertices on the sphere of radius 100.
    pub sphere: Vec<Point>,
    /// Vertices on the border of white matter, in mm.
    pub white: Vec<Point>,
    /// Vertices halfway between white matter and pia, in mm.
    pub midthickness: Vec<Point>,
    /// Curvature, 1/mm.
    pub curvature: Vec<f32>,
    /// Sulcal depth.
    pub convexity: Vec<f32>,
    /// Thickness in mm, 0 on the medial wall.
    pub thickness: Vec<f32>,
    /// Area of the vertex, mm^2.
    pub area: Vec<f32>,
    locator: SphereLocator,
    /// Distance in sphere units to the nearest vertex that is in none of V1-V3, in V1, in V2, in V3.
    distance: [Vec<f32>; 4],
    /// The visual field position of each vertex, in degrees; NaN outside of all visual areas.
    field: [Vec<f32>; 2],
    /// The area of each vertex, 0 to 12.
    varea: Vec<i32>,
}

/// The template at a point of the sphere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spot {
    /// Distance in sphere units to none of V1-V3, V1, V2, V3; 0 inside.
    pub distance: [f64; 4],
    /// Visual field position in degrees, right and up of fixation; NaN outside of all visual areas.
    pub field: [f64; 2],
    /// The template's area, 0 to 12 (1 to 3 are V1 to V3).
    pub varea: i32,
}

impl Spot {
    /// Distance from fixation in degrees; NaN outside of all visual areas.
    pub fn eccentricity(&self) -> f64 {
        libm::hypot(self.field[0], self.field[1])
    }
}

impl Atlas {
    /// Reads a hemisphere out of the folders of the two packages' data files.
    ///
    /// # Errors
    /// A file is missing, damaged or does not fit the others; input's blame.
    pub fn read(anatomy: &Path, template: &Path, hemisphere: Hemisphere) -> Result<Self, Failure> {
        let side = match hemisphere {
            Hemisphere::Left => "left",
            Hemisphere::Right => "right",
        };
        let file = |name: &str| anatomy.join(format!("{name}_{side}.gii.gz"));
        let sphere = gifti::read_surface(&file("sphere"))?;
        let vertices = sphere.coordinates.len();
        let points = |name: &str| {
            let surface = gifti::read_surface(&file(name))?;
            expect(surface.coordinates.len(), vertices, &file(name))?;
            Ok::<_, Failure>(surface.points())
        };
        let scalars = |name: &str| {
            let values = gifti::read_scalars(&file(name))?;
            expect(values.len(), vertices, &file(name))?;
            Ok::<_, Failure>(values)
        };
        let (white, pial) = (points("white")?, points("pial")?);
        let midthickness =
            white.iter().zip(&pial).map(|(w, p)| std::array::from_fn(|axis| (w[axis] + p[axis]) / 2.0)).collect();
        let on_fsaverage = |name: &str| template.join(format!("{}.benson14_{name}.v4_0.mgz", hemisphere.name()));
        let varea = mgh::read_i32(&on_fsaverage("varea"))?;
        let (angle, eccen) = (mgh::read_f32(&on_fsaverage("angle"))?, mgh::read_f32(&on_fsaverage("eccen"))?);
        for (name, found) in [("varea", varea.len()), ("angle", angle.len()), ("eccen", eccen.len())] {
            if found < vertices {
                return Err(Failure::input(format!(
                    "the template has {found} vertices, expected at least the {vertices} of the anatomy"
                ))
                .at(on_fsaverage(name).display().to_string()));
            }
        }
        let sphere_points: Vec<Point> = sphere.points();
        let varea = varea[..vertices].to_vec();
        Ok(Self {
            hemisphere,
            white,
            midthickness,
            curvature: scalars("curv")?,
            convexity: scalars("sulc")?,
            // Averaging left values just below zero on the medial wall.
            thickness: scalars("thick")?.into_iter().map(|value| value.max(0.0)).collect(),
            area: scalars("area")?,
            locator: SphereLocator::new(&sphere_points, &sphere.triangles)?,
            distance: [0, 1, 2, 3].map(|class| distances(&sphere_points, &varea, class)),
            field: visual_field(hemisphere, &varea, &angle, &eccen),
            varea,
            faces: sphere.triangles,
            sphere: sphere_points,
        })
    }

    /// The template at a point of the sphere.
    pub fn spot(&self, point: Point) -> Spot {
        let Some(address) = self.locator.locate(point) else {
            return Spot {
                distance: [0.0, f64::INFINITY, f64::INFINITY, f64::INFINITY],
                field: [f64::NAN; 2],
                varea: 0,
            };
        };
        Spot {
            distance: std::array::from_fn(|class| address.linear(&self.distance[class])),
            field: std::array::from_fn(|axis| address.linear(&self.field[axis])),
            varea: address.nearest(&self.varea),
        }
    }

    /// The angle in radians between a point of the sphere and the occipital pole.
    pub fn angle_to_pole(&self, point: Point) -> f64 {
        let pole = occipital_pole(self.hemisphere).center;
        libm::acos((dot(pole, point) / (norm(pole) * norm(point))).clamp(-1.0, 1.0))
    }

    /// Whether a vertex is cortex; the others are the medial wall.
    pub fn is_cortex(&self, vertex: usize) -> bool {
        self.thickness[vertex] > 0.0
    }

    /// The middle of the medial wall on the sphere.
    pub fn medial_wall(&self) -> Point {
        let wall = (0..self.sphere.len()).filter(|vertex| !self.is_cortex(*vertex));
        wall.fold([0.0; 3], |sum, vertex| std::array::from_fn(|axis| sum[axis] + self.sphere[vertex][axis]))
    }
}

fn expect(found: usize, vertices: usize, path: &Path) -> Result<(), Failure> {
    if found == vertices {
        return Ok(());
    }
    Err(Failure::input(format!("the file has {found} vertices, expected {vertices}, as the sphere has"))
        .at(path.display().to_string()))
}

/// The distance of each vertex to the nearest vertex of a class: 0 for none of V1-V3, else the area.
fn distances(sphere: &[Point], varea: &[i32], class: i32) -> Vec<f32> {
    let in_class = |varea: i32| if class == 0 { !(1..=3).contains(&varea) } else { varea == class };
    let members: Vec<Point> =
        sphere.iter().zip(varea).filter(|(_, varea)| in_class(**varea)).map(|(point, _)| *point).collect();
    let nearest = NearestPoint::new(&members);
    sphere
        .iter()
        .map(|point| match nearest.nearest(*point) {
            Some(member) => distance_squared(*point, members[member as usize]).sqrt() as f32,
            None => f32::INFINITY,
        })
        .collect()
}

/// Visual field coordinates from the template's angle (degrees from the upper vertical meridian, into the visual
/// field opposite to the hemisphere) and eccentricity.
fn visual_field(hemisphere: Hemisphere, varea: &[i32], angle: &[f32], eccen: &[f32]) -> [Vec<f32>; 2] {
    let side = match hemisphere {
        Hemisphere::Left => 1.0,
        Hemisphere::Right => -1.0,
    };
    let along =
        |axis: &dyn Fn(f64) -> f64| {
            varea
                .iter()
                .zip(angle.iter().zip(eccen))
                .map(|(varea, (angle, eccen))| {
                    if *varea > 0 {
                        (f64::from(*eccen) * axis(f64::from(*angle).to_radians())) as f32
                    } else {
                        f32::NAN
                    }
                })
                .collect()
        };
    [along(&|angle| side * libm::sin(angle)), along(&libm::cos)]
}
