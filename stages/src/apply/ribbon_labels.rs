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
            let division = Division::of(at.get("outputs").map_or("", String::as_str))?;
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
