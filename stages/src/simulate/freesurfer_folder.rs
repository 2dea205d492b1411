//! `simulate/freesurfer`: a folder of FreeSurfer subjects, as `recon-all` leaves them in its SUBJECTS_DIR.
//!
//! It holds fsaverage5 as it is (which lies in FreeSurfer's own folder too) and simulated subjects: the same warps as those of
//! `simulate/subject`, in the files of FreeSurfer 6 to 8. Heads lie in the scanner as they happen to: turned and shifted, so that
//! coordinates mean nothing before they are aligned. The cortex between white and pial is in `mri/ribbon.mgz`, in voxels of 2 mm.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::atlas::Atlas;
use super::individual::{Amplitudes, Head, Side};
use super::random_stream::Stream;
use super::subject_files;
use crate::formats::freesurfer::{self, Surface};
use crate::formats::mgh::Volume;
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::mesh::vertex_areas;
use crate::numeric::vector::{Point, add};

/// The kind.
pub struct SimulateFreeSurfer;

parameters! {
    struct Parameters {
        /// the simulated subjects; fsaverage5 is there besides
        subjects: Vec<String> = Vec::new();
        ..amplitudes: Amplitudes;
    }
}

/// What the anatomy itself is called.
const AVERAGE: &str = "fsaverage5";

/// FreeSurfer 6 and later write depth in millimetres, FreeSurfer 5 (and fsaverage5) in centimetres or so.
const DEPTH: f32 = 10.0;

/// S.d. of the pitch of a head in the scanner, in degrees.
const PITCH: f64 = 8.0;
/// S.d. of its place along each axis, in mm.
const PLACE: f64 = 10.0;

/// Voxels along each axis of the ribbon, and their size in mm.
const VOXELS: usize = 128;
const VOXEL_SIZE: f32 = 2.0;

impl StageKind for SimulateFreeSurfer {
    fn kind(&self) -> Kind {
        let kind =
            Kind::new("simulate/freesurfer", 1, "Makes a folder of FreeSurfer subjects: fsaverage5 and simulated ones")
                .input(
                    "anatomy",
                    &["files"],
                    "fsaverage5 as nilearn packages it: {sphere,white,pial,curv,sulc,thick,area}_{left,right}.gii.gz",
                )
                .input("template", &["files"], "{lh,rh}.benson14_{varea,angle,eccen}.v4_0.mgz on fsaverage")
                .folder(
                    "subjects",
                    "freesurfer-subjects",
                    "<sid>/surf/... and <sid>/mri/ribbon.mgz as in FreeSurfer's SUBJECTS_DIR",
                )
                .folder(
                    "labels",
                    "labels-raw",
                    "<rater>/<sid>.labels.hdf5 of the raters A1 to A4 for the simulated subjects",
                )
                .parameters::<Parameters>();
        Kind { random: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { subjects, amplitudes } = task.parameters()?;
        if let Some(bad) = subjects.iter().find(|sid| !is_simple(sid)) {
            return Err(Failure::input(format!("`{bad}` cannot be a simulated subject's id"))
                .hint("use 1 to 20 letters, digits, `-` and `_`, and not `fsaverage5`"));
        }
        let seed = task.seed()?;
        let output = task.output("subjects")?;
        let atlases: Vec<Atlas> = HEMISPHERES
            .into_iter()
            .map(|hemisphere| Atlas::read(task.one("anatomy")?, task.one("template")?, hemisphere))
            .collect::<Result<_, Failure>>()?;
        for atlas in &atlases {
            write_average(output, atlas)?;
        }
        for sid in &subjects {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all subjects were made"));
            }
            let own = own_seed(seed, sid);
            let (head, pose) = (Head::sample(own), Pose::sample(own));
            let mut ribbon = Ribbon::new();
            let mut sides = Vec::new();
            for atlas in &atlases {
                let side = Side::sample(own, &head, atlas, &amplitudes);
                write_side(output, sid, atlas, &side, &pose, &mut ribbon)?;
                sides.push(side);
            }
            ribbon.write(&output.join(sid))?;
            let [left, right] = &sides[..] else { return Err(Failure::internal("a subject has two hemispheres")) };
            subject_files::write_labels(task.output("labels")?, sid, [left, right], &amplitudes)?;
        }
        Ok(Ended::done())
    }
}

fn is_simple(sid: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=20).contains(&sid.len()) && sid.chars().all(legal) && sid != AVERAGE
}

/// A subject is the same whichever others are made beside it.
fn own_seed(seed: u64, sid: &str) -> u64 {
    (Stream::new(seed, sid).uniform() * 9_007_199_254_740_992.0) as u64
}

/// How a head lies in the scanner.
struct Pose {
    sine: f64,
    cosine: f64,
    place: Point,
}

impl Pose {
    fn sample(seed: u64) -> Self {
        let mut stream = Stream::new(seed, "pose");
        let (sine, cosine) = libm::sincos((PITCH * stream.normal()).to_radians());
        Self { sine, cosine, place: std::array::from_fn(|_| PLACE * stream.normal()) }
    }

    fn of(&self, [x, y, z]: Point) -> Point {
        add([x, self.cosine * y - self.sine * z, self.sine * y + self.cosine * z], self.place)
    }
}

fn surface(points: &[Point], atlas: &Atlas) -> Surface {
    Surface {
        coordinates: points.iter().map(|point| point.map(|x| x as f32)).collect(),
        triangles: atlas.faces.clone(),
    }
}

/// Points on the pial surface: as far beyond the middle as white is before it.
fn pial(white: &[Point], middle: &[Point]) -> Vec<Point> {
    white.iter().zip(middle).map(|(w, m)| std::array::from_fn(|axis| 2.0 * m[axis] - w[axis])).collect()
}

/// What is written of a hemisphere.
struct Written<'a> {
    white: &'a [Point],
    pial: &'a [Point],
    registered: &'a [Point],
    curvature: &'a [f32],
    sulc: &'a [f32],
    thickness: &'a [f32],
}

impl Written<'_> {
    fn write(&self, subject: &Path, atlas: &Atlas) -> Result<(), Failure> {
        let h = atlas.hemisphere.name();
        let surf = subject.join("surf");
        create(&surf)?;
        for (name, points) in [("white", self.white), ("pial", self.pial), ("sphere.reg", self.registered)] {
            freesurfer::write_surface(&surf.join(format!("{h}.{name}")), &surface(points, atlas))?;
        }
        for (name, values) in [("curv", self.curvature), ("sulc", self.sulc), ("thickness", self.thickness)] {
            freesurfer::write_morphometry(&surf.join(format!("{h}.{name}")), values, atlas.faces.len())?;
        }
        Ok(())
    }
}

fn write_area(subject: &Path, atlas: &Atlas, file: &str, values: &[f32]) -> Result<(), Failure> {
    let path = subject.join(format!("surf/{}.{file}", atlas.hemisphere.name()));
    freesurfer::write_morphometry(&path, values, atlas.faces.len())
}

fn write_average(output: &Path, atlas: &Atlas) -> Result<(), Failure> {
    let subject = output.join(AVERAGE);
    let written = Written {
        white: &atlas.white,
        pial: &pial(&atlas.white, &atlas.midthickness),
        registered: &atlas.sphere,
        curvature: &atlas.curvature,
        sulc: &atlas.convexity,
        thickness: &atlas.thickness,
    };
    written.write(&subject, atlas)?;
    write_area(&subject, atlas, "area", &atlas.area)
}

fn write_side(
    output: &Path,
    sid: &str,
    atlas: &Atlas,
    side: &Side,
    pose: &Pose,
    ribbon: &mut Ribbon,
) -> Result<(), Failure> {
    let subject = output.join(sid);
    let posed = |points: &[Point]| points.iter().map(|point| pose.of(*point)).collect::<Vec<Point>>();
    let (white, pial) = (posed(&side.white), posed(&pial(&side.white, &side.midthickness)));
    let depth: Vec<f32> = side.convexity.iter().map(|value| DEPTH * value).collect();
    let written = Written {
        white: &white,
        pial: &pial,
        registered: &side.registered,
        curvature: &side.curvature,
        sulc: &depth,
        thickness: &side.thickness,
    };
    written.write(&subject, atlas)?;
    let area: Vec<f32> = vertex_areas(&white, &atlas.faces).into_iter().map(|area| area as f32).collect();
    write_area(&subject, atlas, "area", &area)?;
    write_area(&subject, atlas, "area.mid", &side.area)?;
    ribbon.fill(atlas, &white, &pial);
    Ok(())
}

/// Which voxels are cortex: 3 in the left hemisphere, 42 in the right one.
struct Ribbon(Vec<i32>);

/// Steps from white to pial, and along the sides of a triangle: less than a voxel apart on fsaverage5.
const DEPTHS: u32 = 6;
const SIDES: u32 = 6;

impl Ribbon {
    fn new() -> Self {
        Self(vec![0; VOXELS * VOXELS * VOXELS])
    }

    fn fill(&mut self, atlas: &Atlas, white: &[Point], pial: &[Point]) {
        let label = if atlas.hemisphere == Hemisphere::Left { 3 } else { 42 };
        for face in atlas.faces.iter().filter(|face| face.iter().all(|vertex| atlas.is_cortex(*vertex as usize))) {
            for depth in 0..=DEPTHS {
                let share = f64::from(depth) / f64::from(DEPTHS);
                let corner = |vertex: u32| -> Point {
                    let (white, pial) = (white[vertex as usize], pial[vertex as usize]);
                    std::array::from_fn(|axis| white[axis] + share * (pial[axis] - white[axis]))
                };
                let [a, b, c] = face.map(corner);
                for i in 0..=SIDES {
                    for j in 0..=SIDES - i {
                        let (u, v) = (f64::from(i) / f64::from(SIDES), f64::from(j) / f64::from(SIDES));
                        let at =
                            std::array::from_fn(|axis| a[axis] + u * (b[axis] - a[axis]) + v * (c[axis] - a[axis]));
                        self.set(at, label);
                    }
                }
            }
        }
    }

    /// Marks the voxel at a point; what lies outside of the volume is left out.
    fn set(&mut self, [x, y, z]: Point, label: i32) {
        let half = VOXELS as f64 / 2.0;
        let size = f64::from(VOXEL_SIZE);
        let voxel = [half - x / size, half - z / size, half + y / size].map(f64::round);
        if voxel.iter().all(|index| (0.0..VOXELS as f64).contains(index)) {
            let [i, j, k] = voxel.map(|index| index as usize);
            self.0[(k * VOXELS + j) * VOXELS + i] = label;
        }
    }

    fn write(self, subject: &Path) -> Result<(), Failure> {
        let folder = subject.join("mri");
        create(&folder)?;
        let volume = Volume::conformed([VOXELS; 3], VOXEL_SIZE, self.0);
        volume.write(&folder.join("ribbon.mgz"), "simulated")
    }
}

fn create(folder: &Path) -> Result<(), Failure> {
    fs_err::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))
}
