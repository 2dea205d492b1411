//! `labels/inferred`: Bayesian inferred maps of a subject as labels, from the Open Science Framework.

use std::path::Path;

use pipe_contract::{Arity, Context, Ended, Failure, Kind, Probe, StageKind, Task, parameters};

use super::label_files::{create, write};
use crate::formats::mgh;
use crate::hemisphere::{HEMISPHERES, Hemisphere};
use crate::numeric::bands::area_and_ring;
use crate::transfer::osf_listing::OsfFiles;
use crate::transfer::osf_project::Project;

/// The kind.
pub struct LabelsInferred;

parameters! {
    struct Parameters {
        /// The project's id, `5gprz`: it holds `inferred_maps/<sid>.{lh,rh}.inf-MSMAll_{varea,eccen}.native32k.mgz`.
        /// Empty where `folder` is given.
        project: String = String::new();
    }
}

impl StageKind for LabelsInferred {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new(
            "labels/inferred",
            1,
            "Bayesian inferred maps of a subject as labels, from the Open Science Framework or a folder.",
        )
        .port(
            "listing",
            &[],
            Arity::One,
            true,
            "A listing of the project, as `osf/listing` makes one; without it the service is asked for every file.",
        )
        .port(
            "folder",
            &[],
            Arity::One,
            true,
            "A folder with the files `<sid>.{lh,rh}.inf-MSMAll_{varea,eccen}.native32k.mgz` of all subjects, one value per native vertex; instead of `project`.",
        )
        .folder("labels", "labels", "{lh,rh}.area.mgz (0..3) and {lh,rh}.ring.mgz (0..5), one value per native vertex.")
        .parameters::<Parameters>();
        kind.axes = vec!["sid"];
        kind.network = true;
        kind.absences = vec!["not-found"];
        kind
    }

    fn probe(&self, task: &Task, context: &dyn Context) -> Result<Option<Probe>, Failure> {
        let project = task.parameters::<Parameters>()?.project;
        // Without one they come from a folder.
        if project.is_empty() { Ok(None) } else { Project::open(&project)?.probe(context).map(Some) }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let sid = task.coordinate("sid")?;
        let project = task.parameters::<Parameters>()?.project;
        let (folder, notes) = match (task.maybe("folder"), project.as_str()) {
            (Some(folder), "") => match names(sid).find(|name| !folder.join(name).is_file()) {
                Some(name) => {
                    let detail = format!("the folder of inferred maps has no file `{name}`");
                    return Ok(Ended::Absent { cause: "not-found".to_owned(), detail });
                }
                None => (folder.to_path_buf(), Vec::new()),
            },
            (None, project) if !project.is_empty() => {
                let folder = task.scratch.join("maps");
                let files = OsfFiles::of(task, project)?;
                let mut entries = Vec::new();
                for name in names(sid) {
                    let path = format!("inferred_maps/{name}");
                    match files.find(&path, context)? {
                        Some(entry) => entries.push((name, entry)),
                        None => return Ok(files.lacks(&path)),
                    }
                }
                let mut notes = Vec::new();
                for (name, entry) in entries {
                    notes.extend(files.download(&entry, task, &folder.join(name), context)?);
                }
                (folder, notes)
            }
            (folder, _) => {
                let found = if folder.is_some() {
                    "both a `folder` and a `project`"
                } else {
                    "neither a `folder` nor a `project`"
                };
                return Err(Failure::input(format!("`labels/inferred` has {found}"))
                    .hint("give it `with: { project: 5gprz }` or `in: { folder: ... }`"));
            }
        };
        from_inferred(
            |hemisphere, quantity| folder.join(name(sid, hemisphere.name(), quantity)),
            task.output("labels")?,
        )?;
        Ok(Ended::noted(notes))
    }
}

/// The file of one map of a subject.
fn name(sid: &str, hemisphere: &str, quantity: &str) -> String {
    format!("{sid}.{hemisphere}.inf-MSMAll_{quantity}.native32k.mgz")
}

/// The files of a subject.
fn names(sid: &str) -> impl Iterator<Item = String> {
    let maps =
        ["lh", "rh"].into_iter().flat_map(|hemisphere| ["varea", "eccen"].map(|quantity| (hemisphere, quantity)));
    maps.map(move |(hemisphere, quantity)| name(sid, hemisphere, quantity))
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
    use pipe_contract::{Silent, Value};

    use super::*;
    use crate::test_support::tasks;

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
        mgh::write_i32(&path(Hemisphere::Left, "varea"), &[1, 2]).unwrap();
        let error = from_inferred(path, &output).unwrap_err();
        assert_eq!(error.message, "lh has 2 areas and 3 eccentricities, expected equal numbers");
    }

    #[test]
    fn a_map_that_the_project_does_not_list_is_named_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&LabelsInferred, folder.path());
        task.at = [("sid", "7")].into_iter().collect();
        let listing = folder.path().join("listing.json");
        fs_err::write(&listing, r#"{"inferred_maps": {"7.lh.inf-MSMAll_varea.native32k.mgz": "http://x/"}}"#).unwrap();
        tasks::give(&mut task, "listing", &listing);
        tasks::set(&mut task, "project", Value::Text("5gprz".into()));
        let Ended::Absent { detail, .. } = LabelsInferred.run(&task, &Silent).unwrap() else { panic!("no maps") };
        let expected = "the listing of project `5gprz` has no file `inferred_maps/7.lh.inf-MSMAll_eccen.native32k.mgz`";
        assert_eq!(detail, expected);
    }

    #[test]
    fn maps_may_lie_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let maps = folder.path().join("maps");
        fs_err::create_dir(&maps).unwrap();
        for hemisphere in HEMISPHERES {
            mgh::write_i32(&maps.join(name("102311", hemisphere.name(), "varea")), &[1, 2]).unwrap();
            mgh::write_f32(&maps.join(name("102311", hemisphere.name(), "eccen")), &[0.7, 5.0]).unwrap();
        }
        let task = |sid: &str| {
            let mut task = tasks::task(&LabelsInferred, folder.path());
            task.at = [("sid", sid)].into_iter().collect();
            tasks::give(&mut task, "folder", &maps);
            task
        };
        let mut given = task("102311");
        tasks::run(&LabelsInferred, &given).unwrap();
        let labels = given.output("labels").unwrap();
        assert_eq!(mgh::read_i32(&labels.join("rh.ring.mgz")).unwrap(), [2, 5]);
        let Ended::Absent { detail, .. } = LabelsInferred.run(&task("7"), &Silent).unwrap() else { panic!("no maps") };
        assert_eq!(detail, "the folder of inferred maps has no file `7.lh.inf-MSMAll_varea.native32k.mgz`");
        tasks::set(&mut given, "project", Value::Text("5gprz".into()));
        let failure = tasks::run(&LabelsInferred, &given).unwrap_err();
        assert_eq!(failure.message, "`labels/inferred` has both a `folder` and a `project`");
    }
}
