//! `apply/volume`: labels in the voxels of a subject's cortex, from labels on its surfaces.
//!
//! Every voxel that `mri/ribbon.mgz` says is cortex gets the label of the vertex to which it is nearest, measured to points on the line
//! from white to pial: the ribbon is filled from inside to outside. Voxels elsewhere are 0. The volume has the place and size of
//! the ribbon. A subject without that file has no volume: its absence is recorded, not a failure.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};
use rayon::prelude::*;

use super::region_names::{Division, UNLABELLED};
use super::surface_labels::{Naming, Predicted, check_tag};
use crate::formats::freesurfer::{self, Surface};
use crate::formats::mgh::{self, Volume};
use crate::formats::subject_folder::Subject;
use crate::hemisphere::Hemisphere;
use crate::numeric::nearest::NearestPoint;
use crate::numeric::vector::Point;

/// The kind.
pub(super) struct VolumeLabels;

/// The cause of a missing cell.
const NO_RIBBON: &str = "no-ribbon";

/// The file that says which voxels are cortex.
const RIBBON: &str = "mri/ribbon.mgz";

/// Points on the line from white to pial, both ends included.
const DEPTHS: usize = 5;

/// What the ribbon has for cortex.
fn cortex_of(hemisphere: Hemisphere) -> i32 {
    if hemisphere == Hemisphere::Left { 3 } else { 42 }
}

impl StageKind for VolumeLabels {
    fn kind(&self) -> Kind {
        let kind = Kind::new("apply/volume", 1, "Fills the cortex of a subject's volume with labels of its surfaces")
            .gather("labels", &["labels"], "predicted labels, one per coordinate `outputs` (`area`, `ring`)")
            .input("subject", &["subject"], "the subject's files")
            .input(
                "freesurfer",
                &[],
                "of the FreeSurfer subject: surf/{lh,rh}.{white,pial} and, if there is one, mri/ribbon.mgz",
            )
            .folder(
                "files",
                "volume-labels",
                "<tag>_{varea,vring}.mgz in the place of the ribbon, and <tag>_{varea,vring}.ctab: names and colours",
            )
            .parameters::<Naming>();
        Kind { absences: vec![NO_RIBBON], ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let naming: Naming = task.parameters()?;
        check_tag(&naming.tag)?;
        let folder = task.one("freesurfer")?;
        let subject = Subject::open(task.one("subject")?)?;
        let path = folder.join(RIBBON);
        if !path.exists() {
            return Ok(Ended::Absent {
                cause: NO_RIBBON.to_owned(),
                detail: format!("subject `{}` has no `{RIBBON}`, so there is no volume of its labels", subject.sid()),
            });
        }
        let placed =
            |failure: Failure| Failure { place: Some(format!("subject `{}`, {RIBBON}", subject.sid())), ..failure };
        let ribbon = mgh::read_volume(&path).map_err(placed)?;
        let mut nearest = Vec::new();
        for hemisphere in subject.hemispheres()? {
            let vertices = subject.registered(hemisphere)?.sphere.len();
            let found = nearest_vertices(&ribbon, folder, hemisphere, vertices)
                .map_err(|failure| failure.at(subject.place(hemisphere)))?;
            if found.is_empty() {
                let message = format!("no voxel is {}, the cortex of {}", cortex_of(hemisphere), hemisphere.name());
                return Err(placed(Failure::input(message).hint("is it the ribbon that `recon-all` made?")));
            }
            context.log(&format!("{}: {} voxels of cortex", hemisphere.name(), found.len()));
            nearest.push((hemisphere, vertices, found));
        }
        let output = task.output("files")?;
        fs_err::create_dir_all(output).map_err(|error| Failure::io("create", output, &error))?;
        for (at, labels) in task.present("labels") {
            let division = Division::at(at)?;
            let mut values = vec![0; ribbon.values.len()];
            for (hemisphere, vertices, found) in &nearest {
                let predicted = Predicted::read(labels, &division, *hemisphere, *vertices)
                    .map_err(|failure| failure.at(subject.place(*hemisphere)))?;
                for (voxel, vertex) in found {
                    values[*voxel] = predicted.labels[*vertex as usize];
                }
            }
            let name = format!("{}_{}", naming.tag, division.file);
            ribbon.with(values).write(&output.join(format!("{name}.mgz")), division.about)?;
            let path = output.join(format!("{name}.ctab"));
            fs_err::write(&path, colour_table(&division)).map_err(|error| Failure::io("write", &path, &error))?;
        }
        Ok(Ended::noted(task.absences("labels").into_iter().collect()))
    }
}

/// Voxels of a hemisphere's cortex, each with its vertex.
fn nearest_vertices(
    ribbon: &Volume,
    folder: &Path,
    hemisphere: Hemisphere,
    vertices: usize,
) -> Result<Vec<(usize, u32)>, Failure> {
    let surface = |file: &str| -> Result<Surface, Failure> {
        let surface = freesurfer::read_surface(&folder.join(format!("surf/{}.{file}", hemisphere.name())))?;
        if surface.coordinates.len() == vertices {
            return Ok(surface);
        }
        let found = surface.coordinates.len();
        Err(Failure::input(format!("`{file}` has {found} vertices, but the labels are on {vertices}")))
    };
    let (white, pial) = (surface("white")?.points(), surface("pial")?.points());
    let points: Vec<Point> = (0..DEPTHS)
        .flat_map(|depth| {
            let share = depth as f64 / (DEPTHS - 1) as f64;
            let between =
                move |(w, p): (&Point, &Point)| std::array::from_fn(|axis| w[axis] + share * (p[axis] - w[axis]));
            white.iter().zip(&pial).map(between)
        })
        .collect();
    let search = NearestPoint::new(&points);
    let rows = ribbon.to_surface_space();
    let [width, height, _] = ribbon.shape;
    let place = |voxel: usize| -> Point {
        let index = [voxel % width, voxel / width % height, voxel / (width * height)].map(|index| index as f64);
        rows.map(|row| row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + row[3])
    };
    let cortex = cortex_of(hemisphere);
    let voxels: Vec<usize> = (0..ribbon.values.len()).filter(|voxel| ribbon.values[*voxel] == cortex).collect();
    Ok(voxels
        .into_par_iter()
        .filter_map(|voxel| search.nearest(place(voxel)).map(|point| (voxel, point % vertices as u32)))
        .collect())
}

/// Names and colours as FreeSurfer's programs read them: number, name without spaces, red, green, blue, alpha.
fn colour_table(division: &Division) -> String {
    let line = |region: &super::region_names::Region| {
        let [red, green, blue] = region.colour;
        format!("{} {} {red} {green} {blue} 0\n", region.number, region.name.replace(' ', "_").replace(',', ""))
    };
    std::iter::once(&UNLABELLED).chain(division.regions).map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use pipe_contract::Silent;

    use super::*;
    use crate::hemisphere::HEMISPHERES;
    use crate::numeric::icosahedron::subdivided;
    use crate::test_support::small_subject::{VERTICES, write_subject};
    use crate::test_support::tasks;

    /// Voxels of 2 mm, more from side to side than up and down.
    const SHAPE: [usize; 3] = [56, 28, 30];
    /// The middles of both hemispheres.
    const MIDDLE: [f64; 2] = [-26.0, 26.0];

    /// White is a ball of 20 mm, pial one of 24 mm that is turned by 30 degrees about the axis that points upwards.
    fn surfaces(folder: &Path) {
        let (points, triangles) = subdivided(3);
        let (sine, cosine) = libm::sincos(30f64.to_radians());
        for (hemisphere, middle) in HEMISPHERES.iter().zip(MIDDLE) {
            let ball =
                |radius: f64, [x, y, z]: Point| [radius * x + middle, radius * y, radius * z].map(|at| at as f32);
            let turned = |[x, y, z]: Point| [cosine * x - sine * y, sine * x + cosine * y, z];
            for (name, coordinates) in [
                ("white", points.iter().map(|point| ball(20.0, *point)).collect()),
                ("pial", points.iter().map(|point| ball(24.0, turned(*point))).collect()),
            ] {
                let surface = Surface { coordinates, triangles: triangles.clone() };
                let path = folder.join(format!("surf/{}.{name}", hemisphere.name()));
                freesurfer::write_surface(&path, &surface).unwrap();
            }
        }
    }

    /// Where the middle of a voxel lies.
    fn place(voxel: usize) -> Point {
        let [width, height, _] = SHAPE;
        let rows = Volume::conformed(SHAPE, 2.0, Vec::new()).to_surface_space();
        let index = [voxel % width, voxel / width % height, voxel / (width * height)].map(|index| index as f64);
        rows.map(|row| row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + row[3])
    }

    /// Distance of a voxel from the middle of a hemisphere, and its direction from there about the axis that points upwards, in degrees.
    fn polar(voxel: usize, side: usize) -> (f64, f64) {
        let [x, y, z] = place(voxel);
        let x = x - MIDDLE[side];
        ((x * x + y * y + z * z).sqrt(), libm::atan2(y, x).to_degrees())
    }

    fn ribbon() -> Vec<i32> {
        let of = |voxel: usize| match [0, 1].map(|side| polar(voxel, side).0) {
            [left, _] if left < 20.0 => 2,
            [left, _] if left < 24.0 => 3,
            [_, right] if right < 20.0 => 41,
            [_, right] if right < 24.0 => 42,
            _ => 0,
        };
        (0..SHAPE.iter().product()).map(of).collect()
    }

    /// On the left, label 1 where white is behind (y > 0 is to the front: label 2); on the right 3.
    fn task(folder: &Path, ribbon: Option<Vec<i32>>) -> (Task, PathBuf) {
        let freesurfer = folder.join("freesurfer");
        for below in ["surf", "mri"] {
            fs_err::create_dir_all(freesurfer.join(below)).unwrap();
        }
        surfaces(&freesurfer);
        if let Some(values) = ribbon {
            Volume::conformed(SHAPE, 2.0, values).write(&freesurfer.join(RIBBON), "made up").unwrap();
        }
        let labels = folder.join("labels");
        fs_err::create_dir_all(&labels).unwrap();
        let left: Vec<i32> = subdivided(3).0.iter().map(|point| if point[1] < 0.0 { 1 } else { 2 }).collect();
        mgh::write_i32(&labels.join("lh.area.mgz"), &left).unwrap();
        mgh::write_i32(&labels.join("rh.area.mgz"), &[3; VERTICES]).unwrap();
        let mut task = tasks::task(&VolumeLabels, folder);
        tasks::give(&mut task, "subject", &write_subject(folder, "s01"));
        tasks::give(&mut task, "freesurfer", &freesurfer);
        tasks::gather(&mut task, "labels", &[("outputs", "area")], Some(&labels));
        (task, freesurfer)
    }

    #[test]
    fn cortex_is_filled_from_white_to_pial_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let (task, _) = task(folder.path(), Some(ribbon()));
        tasks::run(&VolumeLabels, &task).unwrap();
        let files = task.output("files").unwrap();
        let volume = mgh::read_volume(&files.join("benson2025_varea.mgz")).unwrap();
        assert_eq!(volume.shape, SHAPE);
        let mut turned = 0;
        for (voxel, (label, tissue)) in volume.values.iter().zip(ribbon()).enumerate() {
            let (radius, direction) = polar(voxel, 0);
            // The border of the two labels lies at about 4 degrees at the inner end of the ribbon, and at 28 at the outer one.
            let border = if radius < 20.5 { Some(4.0) } else { (radius > 23.0).then_some(28.0) };
            match (tissue, border) {
                (3, Some(border)) => {
                    let beyond = (direction - border).rem_euclid(180.0);
                    let is_front = (direction - border).rem_euclid(360.0) < 180.0;
                    if place(voxel)[2].abs() < 0.7 * radius && beyond.min(180.0 - beyond) > 12.0 {
                        assert_eq!(*label, if is_front { 2 } else { 1 }, "{radius} mm, {direction} degrees");
                        turned += usize::from(is_front != (direction > 0.0));
                    }
                }
                (3, None) => assert!([1, 2].contains(label)),
                (42, _) => assert_eq!(*label, 3),
                _ => assert_eq!(*label, 0, "{tissue}"),
            }
        }
        assert!(turned > 15, "{turned} voxels at the outer end are of another half than the nearest white matter");
        let colours = fs_err::read_to_string(files.join("benson2025_varea.ctab")).unwrap();
        assert!(colours.contains("1 V1_(0-7_deg) 200 60 40 0\n") && colours.lines().count() == 4, "{colours}");
    }

    #[test]
    fn a_subject_without_a_ribbon_has_no_volume() {
        let folder = tempfile::tempdir().unwrap();
        let (task, _) = task(folder.path(), None);
        let Ended::Absent { cause, detail } = VolumeLabels.run(&task, &Silent).unwrap() else { panic!("a volume") };
        assert_eq!((cause.as_str(), task.output("files").unwrap().exists()), (NO_RIBBON, false));
        assert_eq!(detail, "subject `s01` has no `mri/ribbon.mgz`, so there is no volume of its labels");
    }

    #[test]
    fn another_volume_and_other_surfaces_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let one_side: Vec<i32> = ribbon().into_iter().map(|tissue| if tissue == 42 { 0 } else { tissue }).collect();
        let (task, freesurfer) = task(folder.path(), Some(one_side));
        let failure = tasks::run(&VolumeLabels, &task).unwrap_err();
        assert_eq!(failure.message, "no voxel is 42, the cortex of rh");
        assert_eq!(failure.place.as_deref(), Some("subject `s01`, mri/ribbon.mgz"));
        let (points, triangles) = subdivided(2);
        let small = Surface { coordinates: points.iter().map(|point| point.map(|x| x as f32)).collect(), triangles };
        freesurfer::write_surface(&freesurfer.join("surf/lh.pial"), &small).unwrap();
        let failure = tasks::run(&VolumeLabels, &task).unwrap_err();
        assert_eq!(failure.message, "`pial` has 162 vertices, but the labels are on 642");
    }
}
