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
