//! `labels/inferred`: Bayesian inferred maps of a subject as labels, from the Open Science Framework.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::label_files::{create, write};
use crate::formats::mgh;
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::bands::area_and_ring;
use crate::transfer::osf_project::Project;

/// The kind.
pub struct LabelsInferred;

parameters! {
    struct Parameters {
        /// The project's id, `5gprz`: it holds `inferred_maps/<sid>.{lh,rh}.inf-MSMAll_{varea,eccen}.native32k.mgz`.
        project: String;
    }
}

impl StageKind for LabelsInferred {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new(
            "labels/inferred",
            1,
            "Bayesian inferred maps of a subject as labels, from the Open Science Framework.",
        )
        .folder("labels", "labels", "{lh,rh}.area.mgz (0..3) and {lh,rh}.ring.mgz (0..5), one value per native vertex.")
        .parameters::<Parameters>();
        kind.axes = vec!["sid"];
        kind.network = true;
        kind.absences = vec!["not-found"];
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let sid = task.coordinate("sid")?;
        let project = Project::open(&task.parameters::<Parameters>()?.project)?;
        let folder = task.scratch.join("maps");
        let mut notes = Vec::new();
        for hemisphere in ["lh", "rh"] {
            for quantity in ["varea", "eccen"] {
                let name = format!("{sid}.{hemisphere}.inf-MSMAll_{quantity}.native32k.mgz");
                let path = format!("inferred_maps/{name}");
                let Some(entry) = project.find(&path, context)? else { return Ok(project.lacks(&path)) };
                notes.extend(entry.download(task, &folder.join(name), context)?);
            }
        }
        let path = |hemisphere: Hemisphere, quantity: &str| {
            folder.join(format!("{sid}.{}.inf-MSMAll_{quantity}.native32k.mgz", hemisphere.name()))
        };
        from_inferred(path, task.output("labels")?)?;
        Ok(Ended::noted(notes))
    }
}

/// Reads inferred maps, `{lh,rh}.inf-MSMAll_{varea,eccen}.native32k.mgz` under any prefix that `path` gives them,
/// and writes a `labels` artifact. `path` gets a hemisphere and `varea` or `eccen`.
///
/// # Errors
/// A map is missing, damaged, or the two of a hemisphere differ in length (input's blame); the folder cannot be
/// written.
fn from_inferred<P: AsRef<Path>>(path: impl Fn(Hemisphere, &str) -> P, output: &Path) -> Result<(), Failure> {
    let mut maps: Vec<(Hemisphere, Vec<i32>, Vec<i32>)> = Vec::new();
    for hemisphere in HEMISPHERES {
        let (varea_file, eccen_file) = (path(hemisphere, "varea"), path(hemisphere, "eccen"));
        // Areas are whole numbers, which some programs write as floats, with NaN where they have nothing.
        let varea = mgh::read_f32(varea_file.as_ref())?;
        let eccen = mgh::read_f32(eccen_file.as_ref())?;
        if varea.len() != eccen.len() {
            return Err(Failure::input(format!(
                "{} has {} areas and {} eccentricities, expected equal numbers",
                hemisphere.name(),
                varea.len(),
                eccen.len()
            ))
            .at(eccen_file.as_ref().display().to_string()));
        }
        let areas = whole(&varea).map_err(|failure| failure.at(varea_file.as_ref().display().to_string()))?;
        // An eccentricity that is not a number is in no band, so it gives no label either.
        let labels = areas.into_iter().zip(&eccen).map(|(area, eccen)| area_and_ring(area, f64::from(*eccen)));
        let (area, ring) = labels.unzip();
        maps.push((hemisphere, area, ring));
    }
    create(output)?;
    for (hemisphere, area, ring) in maps {
        write(output, hemisphere, &area, Some(&ring))?;
    }
    Ok(())
}

/// Numbers of areas; 0 where there is none.
fn whole(values: &[f32]) -> Result<Vec<i32>, Failure> {
    let number = |(vertex, value): (usize, &f32)| match *value {
        value if !value.is_finite() => Ok(0),
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
        value if value.fract() == 0.0 && value.abs() < 1000.0 => Ok(value as i32),
        value => Err(Failure::input(format!("the area is {value} at vertex {vertex}, expected a whole number"))),
    };
    values.iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inferred_maps_become_labels() {
        let folder = tempfile::tempdir().unwrap();
        let path = |hemisphere: Hemisphere, quantity: &str| {
            folder.path().join(format!("1.{}.inf-MSMAll_{quantity}.native32k.mgz", hemisphere.name()))
        };
        for hemisphere in HEMISPHERES {
            mgh::write_i32(&path(hemisphere, "varea"), &[1, 0, 3]).unwrap();
            mgh::write_f32(&path(hemisphere, "eccen"), &[0.7, 0.0, 9.0]).unwrap();
        }
        let output = folder.path().join("out");
        from_inferred(path, &output).unwrap();
        assert_eq!(mgh::read_i32(&output.join("lh.area.mgz")).unwrap(), [1, 0, 0]);
        assert_eq!(mgh::read_i32(&output.join("rh.ring.mgz")).unwrap(), [2, 0, 0]);

        mgh::write_f32(&path(Hemisphere::Left, "varea"), &[2.0, f32::NAN, 1.0]).unwrap();
        mgh::write_f32(&path(Hemisphere::Left, "eccen"), &[0.7, 1.0, f32::NAN]).unwrap();
        from_inferred(path, &output).unwrap();
        assert_eq!(mgh::read_i32(&output.join("lh.area.mgz")).unwrap(), [2, 0, 0]);
        mgh::write_f32(&path(Hemisphere::Left, "varea"), &[2.5, 0.0, 1.0]).unwrap();
        let error = from_inferred(path, &output).unwrap_err();
        assert_eq!(error.message, "the area is 2.5 at vertex 0, expected a whole number");
    }
}
