//! `freesurfer/subject`: a subject that FreeSurfer's `recon-all` has segmented, in the form that all other kinds read.
//!
//! Decides what of FreeSurfer's folder is used ([`super::surf_files`]), and that depth is stored in the unit of FreeSurfer 5, as in
//! the Human Connectome Project, whatever version wrote it. Coordinates stay those of the subject: images align them.

use pipe_contract::{Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};

use super::surf_files::{SulcUnit, SurfFolder, SurfHemisphere, check_sides, unit_of_sulc};
use crate::formats::subject_folder::{AboutSubject, NewHemisphere, SubjectWriter};
use crate::hemisphere::Hemisphere;

/// The kind.
pub struct FreeSurferSubject;

parameters! {
    struct Parameters {
        /// the unit of `sulc`: FreeSurfer 5 writes about cm, later versions about mm; `auto` decides it from its spread, and refuses what lies between
        sulc: SulcUnit = SulcUnit::Auto;
        /// accept a subject with one hemisphere; everything that is predicted from it is marked
        one_hemisphere: bool = false;
    }
}

impl StageKind for FreeSurferSubject {
    fn kind(&self) -> Kind {
        let kind = Kind::new("freesurfer/subject", 1, "Takes over a subject that FreeSurfer's recon-all has finished")
            .input(
                "surf",
                &[],
                "the folder `surf` of a FreeSurfer subject, with {lh,rh}.{white,pial,sphere.reg,curv,sulc,thickness} and area or area.mid; \
                 or fsaverage5 as nilearn packages it",
            )
            .folder("files", "subject", "`<sid>/` as in HCP_1200, without myelin and MSMAll; `<sid>/about.json` says where it is from")
            .parameters::<Parameters>();
        Kind { axes: vec!["sid"], ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let sid = task.coordinate("sid")?;
        import(task, sid, context).map_err(|failure| {
            let place = failure.place.as_deref().map_or(String::new(), |place| format!(", {place}"));
            Failure { place: Some(format!("subject `{sid}`{place}")), ..failure }
        })
    }
}

fn import(task: &Task, sid: &str, context: &dyn Context) -> Result<Ended, Failure> {
    let parameters: Parameters = task.parameters()?;
    let folder = SurfFolder::open(task.one("surf")?);
    let present = folder.hemispheres(parameters.one_hemisphere)?;
    let sides: Vec<(Hemisphere, SurfHemisphere)> =
        present.iter().map(|h| Ok((*h, folder.read(*h)?))).collect::<Result<_, Failure>>()?;
    if let [(_, left), (_, right)] = &sides[..] {
        check_sides(left, right)?;
    }
    let depths: Vec<&[f32]> = sides.iter().map(|(_, side)| side.sulc.as_slice()).collect();
    let (unit, decided) = unit_of_sulc(parameters.sulc, &depths)?;
    let mut notes = vec![decided];
    if let [only] = present[..] {
        notes.push(format!(
            "{IMPORTANT}only {} is there: predictions from one hemisphere are not those of a whole brain",
            only.name()
        ));
    }
    let about = AboutSubject {
        source: "FreeSurfer".to_owned(),
        hemispheres: present.iter().map(|h| h.name().to_owned()).collect(),
        sulc: if unit == SulcUnit::Mm { "mm" } else { "cm" }.to_owned(),
    };
    let writer = SubjectWriter::new(task.output("files")?, sid, &about)?;
    for (hemisphere, side) in &sides {
        let scale = if unit == SulcUnit::Mm { 0.1 } else { 1.0 };
        let depth: Vec<f32> = side.sulc.iter().map(|value| value * scale).collect();
        context.log(&format!(
            "{}: {} vertices, registered sphere of radius {:.1}, {:.0} cm² halfway between white and pial",
            hemisphere.name(),
            side.white.coordinates.len(),
            side.radius(),
            side.area.iter().map(|area| f64::from(*area)).sum::<f64>() / 100.0
        ));
        writer.write(
            *hemisphere,
            &NewHemisphere {
                white: &side.white,
                sphere: &side.sphere,
                midthickness: side.midthickness(),
                curvature: &side.curvature,
                convexity: &depth,
                thickness: &side.thickness,
                surface_area: &side.area,
            },
        )?;
    }
    Ok(Ended::noted(notes))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::freesurfer::{Surface, write_morphometry, write_surface};
    use crate::formats::subject_folder::Subject;
    use crate::numeric::icosahedron::subdivided;
    use crate::numeric::mesh::vertex_areas;
    use crate::test_support::tasks;

    const VERTICES: usize = 162;

    fn ball(middle: f32, radius: f32) -> Surface {
        let (points, triangles) = subdivided(2);
        let point = |[x, y, z]: [f64; 3]| [x as f32 * radius + middle, y as f32 * radius, z as f32 * radius];
        Surface { coordinates: points.into_iter().map(point).collect(), triangles }
    }

    /// Values with a spread of `size` around 0.
    fn wave(size: f32) -> Vec<f32> {
        (0..VERTICES).map(|vertex| if vertex % 2 == 0 { size } else { -size }).collect()
    }

    /// A subject whose hemispheres are balls at these places: white of 40 mm, pial of 44.
    fn write(surf: &Path, places: [(&str, f32); 2]) {
        fs_err::create_dir_all(surf).unwrap();
        for (h, middle) in places {
            for (name, surface) in
                [("white", ball(middle, 40.0)), ("pial", ball(middle, 44.0)), ("sphere.reg", ball(0.0, 100.0))]
            {
                write_surface(&surf.join(format!("{h}.{name}")), &surface).unwrap();
            }
            for (name, values) in [
                ("curv", wave(0.1)),
                ("sulc", wave(6.0)),
                ("thickness", vec![2.5; VERTICES]),
                ("area", vec![2.0; VERTICES]),
            ] {
                write_morphometry(&surf.join(format!("{h}.{name}")), &values, 320).unwrap();
            }
        }
    }

    fn task(folder: &Path, surf: &Path) -> Task {
        let mut task = tasks::task(&FreeSurferSubject, folder);
        task.at = [("sid", "sub-01")].into_iter().collect();
        tasks::give(&mut task, "surf", surf);
        task
    }

    #[test]
    fn maps_are_those_of_the_files_and_what_lacks_is_computed() {
        let folder = tempfile::tempdir().unwrap();
        let surf = folder.path().join("surf");
        write(&surf, [("lh", -45.0), ("rh", 45.0)]);
        let cortex = |hemisphere| {
            let own = tempfile::tempdir().unwrap();
            let task = task(own.path(), &surf);
            tasks::run(&FreeSurferSubject, &task).unwrap();
            Subject::open(task.output("files").unwrap()).unwrap().cortex(hemisphere).unwrap()
        };
        let left = cortex(Hemisphere::Left);
        assert_eq!((&left.curvature, &left.thickness), (&wave(0.1), &vec![2.5; VERTICES]));
        assert!(left.convexity.iter().zip(wave(0.6)).all(|(depth, expected)| (depth - expected).abs() < 1e-6));
        for (found, expected) in left.midthickness.iter().zip(ball(-45.0, 42.0).points()) {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?} {expected:?}");
        }
        let pial = ball(-45.0, 44.0);
        for (found, pial) in left.surface_area.iter().zip(vertex_areas(&pial.points(), &pial.triangles)) {
            assert!((f64::from(*found) - (2.0 + pial) / 2.0).abs() < 1e-3, "{found} {pial}");
        }
        write_morphometry(&surf.join("rh.area.mid"), &[7.0; VERTICES], 320).unwrap();
        assert_eq!(cortex(Hemisphere::Right).surface_area, [7.0; VERTICES]);
        assert!(cortex(Hemisphere::Right).midthickness.iter().all(|[x, ..]| *x > 0.0), "right is right");
    }

    #[test]
    fn swapped_sides_and_one_side_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let surf = folder.path().join("surf");
        write(&surf, [("lh", 45.0), ("rh", -45.0)]);
        let mut task = task(folder.path(), &surf);
        let failure = tasks::run(&FreeSurferSubject, &task).unwrap_err();
        assert!(failure.message.starts_with("the left hemisphere lies to the right of the right one"), "{failure}");
        for entry in fs_err::read_dir(&surf).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lh.")) {
                fs_err::remove_file(path).unwrap();
            }
        }
        let failure = tasks::run(&FreeSurferSubject, &task).unwrap_err();
        assert_eq!(failure.message, "no file of the left hemisphere is there");
        tasks::set(&mut task, "one_hemisphere", Value::Bool(true));
        let notes = tasks::run(&FreeSurferSubject, &task).unwrap();
        assert!(notes[1].starts_with("important: only rh is there"), "{notes:?}");
        let subject = Subject::open(task.output("files").unwrap()).unwrap();
        assert_eq!(subject.hemispheres().unwrap(), [Hemisphere::Right]);
    }
}
