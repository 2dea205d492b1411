//! `apply/regions`: how large the labelled cortex of a subject is, and how thick; and `apply/cohort`: the tables of all subjects as one.
//!
//! A row a hemisphere and label. Area is that of the surface halfway between white and pial (`area.mid`), thickness the mean over
//! vertices weighted by that area. Labels end at 7 degrees, and the names say so: these are not sizes of whole areas.

use std::path::Path;

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task};

use super::region_names::Division;
use super::surface_labels::Predicted;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::score_table::{HEMISPHERE_COLUMN, PARCELLATION_COLUMN};
use crate::formats::subject_folder::Subject;

/// The kind.
pub(super) struct RegionTable;

/// The columns.
const COLUMNS: &[Column] = &[
    Column::new("sid", "the subject"),
    HEMISPHERE_COLUMN,
    Column::new(
        "hemispheres",
        "how many hemispheres the network saw: predictions from one are not those of a whole brain",
    ),
    PARCELLATION_COLUMN,
    Column::new("label", "number of the area or ring"),
    Column::new("region", "what the label is; an area only as far as 7 degrees of eccentricity"),
    Column::new("vertices", "vertices of the mesh with the label"),
    Column::measured(
        "area",
        "mm²",
        "area of the surface halfway between white matter and pia; missing without vertices",
    ),
    Column::measured("thickness", "mm", "mean thickness of the cortex, weighted by area; missing without vertices"),
    STAMP,
];

impl StageKind for RegionTable {
    fn kind(&self) -> Kind {
        let kind = Kind::new("apply/regions", 1, "Size and thickness of labelled cortex")
            .gather("labels", &["labels"], "predicted labels, one per coordinate `outputs` (`area`, `ring`)")
            .input("subject", &["subject"], "the subject's files")
            .folder(
                "table",
                "table/regions",
                "columns sid, hemisphere, hemispheres, parcellation, label, region, vertices, area, thickness",
            )
            .described(data_table::FILES, COLUMNS);
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let subject = Subject::open(task.one("subject")?)?;
        let mut rows = Vec::new();
        for (at, labels) in task.present("labels") {
            let division = Division::at(at)?;
            rows.extend(regions_of(&subject, labels, &division)?);
        }
        rows.sort_by_key(|row| (row.division, row.hemisphere, row.label));
        let text = |of: fn(&Row) -> String| rows.iter().map(of).collect::<Vec<_>>();
        let mut table = DataTable::of(COLUMNS)
            .text("sid", rows.iter().map(|_| subject.sid()))
            .text("hemisphere", text(|row| row.hemisphere.to_owned()))
            .integers("hemispheres", rows.iter().map(|row| row.hemispheres))
            .text("parcellation", text(|row| row.division.to_owned()))
            .integers("label", rows.iter().map(|row| row.label))
            .text("region", text(|row| row.region.to_owned()))
            .integers("vertices", rows.iter().map(|row| row.vertices))
            .optional_numbers("area", rows.iter().map(|row| row.area.map(|area| rounded(area, 10.0))))
            .optional_numbers("thickness", rows.iter().map(|row| row.thickness.map(|mm| rounded(mm, 1000.0))))
            .stamped(task.simulated)
            .build()?;
        data_table::write(task.output("table")?, &mut table)?;
        Ok(Ended::noted(task.absences("labels").into_iter().collect()))
    }
}

/// The kind that joins the tables of subjects.
pub(super) struct CohortTable;

impl StageKind for CohortTable {
    fn kind(&self) -> Kind {
        let kind = Kind::new("apply/cohort", 1, "Joins the tables of labelled cortex of all subjects")
            .gather("tables", &["table/regions"], "tables of `apply/regions`, one per coordinate `sid`")
            .folder("table", "table/regions", "their rows, by subject")
            .described(data_table::FILES, COLUMNS);
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let mut joined: Option<polars::prelude::DataFrame> = None;
        for (_, path) in task.present("tables") {
            let table = data_table::read(path)?;
            joined = Some(match joined {
                None => table,
                Some(above) => above.vstack(&table).map_err(|error| {
                    Failure::input(format!("tables with different columns: {error}")).at(path.display().to_string())
                })?,
            });
        }
        let mut joined = joined.ok_or_else(|| Failure::input("no subject has a table, expected at least one"))?;
        data_table::write(task.output("table")?, &mut joined)?;
        Ok(Ended::noted(task.absences("tables").into_iter().collect()))
    }
}

/// To the digits that a mesh can mean.
fn rounded(value: f64, digits: f64) -> f64 {
    (value * digits).round() / digits
}

struct Row {
    hemisphere: &'static str,
    hemispheres: i64,
    division: &'static str,
    label: i64,
    region: &'static str,
    vertices: i64,
    area: Option<f64>,
    thickness: Option<f64>,
}

fn regions_of(subject: &Subject, labels: &Path, division: &Division) -> Result<Vec<Row>, Failure> {
    let present = subject.hemispheres()?;
    let mut rows = Vec::new();
    for hemisphere in present.iter().copied() {
        let cortex = subject.cortex(hemisphere)?;
        let predicted = Predicted::read(labels, division, hemisphere, cortex.midthickness.len())
            .map_err(|failure| failure.at(subject.place(hemisphere)))?;
        for region in division.regions {
            let of_label = || (0..predicted.labels.len()).filter(|vertex| predicted.labels[*vertex] == region.number);
            let area: f64 = of_label().map(|vertex| f64::from(cortex.surface_area[vertex])).sum();
            let volume: f64 = of_label()
                .map(|vertex| f64::from(cortex.surface_area[vertex]) * f64::from(cortex.thickness[vertex]))
                .sum();
            let vertices = of_label().count();
            rows.push(Row {
                hemisphere: hemisphere.name(),
                hemispheres: present.len() as i64,
                division: division.outputs,
                label: i64::from(region.number),
                region: region.name,
                vertices: vertices as i64,
                area: (vertices > 0).then_some(area),
                thickness: (area > 0.0).then(|| volume / area),
            });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::freesurfer::write_morphometry;
    use crate::formats::mgh;
    use crate::formats::subject_folder::{ABOUT, AboutSubject};
    use crate::test_support::small_subject::{VERTICES, write_subject};
    use crate::test_support::tasks;

    fn csv(task: &Task) -> String {
        fs_err::read_to_string(task.output("table").unwrap().join(data_table::CSV)).unwrap()
    }

    /// A task about a subject whose left hemisphere has vertices of 1 mm² and 2 mm up to number 10, then of 3 mm² and 3 mm; all of
    /// the right one have 1.5 mm² and 2 mm. V1 is at 20 vertices on the left, V2 at 5 on the right.
    fn task(folder: &Path) -> Task {
        let subject = write_subject(folder, "s01");
        for (file, first) in [("area.mid", 1.0), ("thickness", 2.0)] {
            let values: Vec<f32> = (0..VERTICES).map(|vertex| if vertex < 10 { first } else { 3.0 }).collect();
            write_morphometry(&subject.join(format!("s01/T1w/s01/surf/lh.{file}")), &values, 1280).unwrap();
        }
        let labels = folder.join("labels");
        fs_err::create_dir_all(&labels).unwrap();
        for (hemisphere, label, count) in [("lh", 1, 20), ("rh", 2, 5)] {
            let values: Vec<i32> = (0..VERTICES).map(|vertex| if vertex < count { label } else { 0 }).collect();
            mgh::write_i32(&labels.join(format!("{hemisphere}.area.mgz")), &values).unwrap();
        }
        let mut task = tasks::task(&RegionTable, folder);
        tasks::give(&mut task, "subject", &subject);
        tasks::gather(&mut task, "labels", &[("outputs", "area")], Some(&labels));
        tasks::gather(&mut task, "labels", &[("outputs", "ring")], None);
        task
    }

    /// By hand: 10 of 1 mm² and 10 of 3 mm² are 40 mm²; their mean thickness is (10 * 1 * 2 + 10 * 3 * 3) / 40.
    #[test]
    fn sizes_are_those_of_the_labels_of_each_hemisphere() {
        let folder = tempfile::tempdir().unwrap();
        let task = task(folder.path());
        assert_eq!(tasks::run(&RegionTable, &task).unwrap(), ["1 of 2 `labels` (1 not-found)"]);
        insta::assert_snapshot!(csv(&task), @"
        sid,hemisphere,hemispheres,parcellation,label,region,vertices,area,thickness
        s01,lh,2,area,1,V1 (0-7 deg),20,40.0,2.75
        s01,lh,2,area,2,V2 (0-7 deg),0,,
        s01,lh,2,area,3,V3 (0-7 deg),0,,
        s01,rh,2,area,1,V1 (0-7 deg),0,,
        s01,rh,2,area,2,V2 (0-7 deg),5,7.5,2.0
        s01,rh,2,area,3,V3 (0-7 deg),0,,
        ");
    }

    #[test]
    fn every_row_says_that_there_was_one_hemisphere() {
        let folder = tempfile::tempdir().unwrap();
        let task = task(folder.path());
        let about = AboutSubject { source: "FreeSurfer".into(), hemispheres: vec!["rh".into()], sulc: "mm".into() };
        fs_err::write(folder.path().join("subject/s01").join(ABOUT), serde_json::to_string(&about).unwrap()).unwrap();
        tasks::run(&RegionTable, &task).unwrap();
        let table = csv(&task);
        assert!(table.lines().count() == 4 && table.lines().skip(1).all(|row| row.starts_with("s01,rh,1,")), "{table}");
    }

    #[test]
    fn a_cohort_has_the_rows_of_all_and_says_who_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let mut cohort = tasks::task(&CohortTable, &folder.path().join("cohort"));
        for sid in ["s01", "s02"] {
            let task = task(&folder.path().join(sid));
            tasks::run(&RegionTable, &task).unwrap();
            tasks::gather(&mut cohort, "tables", &[("sid", sid)], Some(task.output("table").unwrap()));
        }
        tasks::gather(&mut cohort, "tables", &[("sid", "s03")], None);
        assert_eq!(tasks::run(&CohortTable, &cohort).unwrap(), ["2 of 3 `tables` (1 not-found)"]);
        assert_eq!(csv(&cohort).lines().count(), 1 + 2 * 6);
        let mut none = tasks::task(&CohortTable, folder.path());
        tasks::gather(&mut none, "tables", &[("sid", "s03")], None);
        assert_eq!(
            tasks::run(&CohortTable, &none).unwrap_err().message,
            "no subject has a table, expected at least one"
        );
    }
}
