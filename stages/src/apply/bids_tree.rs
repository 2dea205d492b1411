//! `apply/bids`: what was predicted of all subjects as a BIDS derivatives dataset.
//!
//! Decides names by BIDS 1.11: `sub-<label>/anat/` with `hemi-{L,R}_seg-{varea,vring}_dseg.label.gii` and `seg-{varea,vring}_dseg.nii.gz`,
//! tables of labels at the root, sizes of areas in `participants.tsv`. BIDS has no name for probabilities on a surface and none for files of
//! FreeSurfer: those lie outside of the dataset, so that everything in it is valid and nothing has to be ignored.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};
use serde_json::{Map, Value, json};

use super::region_names::{Division, UNLABELLED};
use super::surface_labels::{Naming, Predicted, check_tag, write_gifti};
use crate::formats::subject_folder::Subject;
use crate::formats::{data_table, mgh, nifti};
use crate::hemisphere::{HEMISPHERES, Hemisphere};

/// The kind.
pub(super) struct BidsTree;

/// The version whose names these are.
const BIDS_VERSION: &str = "1.11.0";

impl StageKind for BidsTree {
    fn kind(&self) -> Kind {
        let kind = Kind::new("apply/bids", 1, "Writes predicted labels of all subjects as a BIDS derivatives dataset")
            .gather("labels", &["labels"], "predicted labels, one per coordinates `outputs` (`area`, `ring`) and `sid`")
            .gather("subjects", &["subject"], "the subjects' files, one per coordinate `sid`")
            .gather(
                "volumes",
                &["volume-labels"],
                "volumes of `apply/volume`, one per coordinate `sid`; absent ones have no volume here",
            )
            .gather("tables", &["table/regions"], "tables of `apply/regions`, one per coordinate `sid`")
            .folder("dataset", "bids", "dataset_description.json, participants.tsv, sub-<label>/anat/...")
            .parameters::<Naming>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let naming: Naming = task.parameters()?;
        check_tag(&naming.tag)?;
        let names = names(task)?;
        let root = task.output("dataset")?;
        fs_err::create_dir_all(root).map_err(|error| Failure::io("create", root, &error))?;
        let mut divisions = BTreeMap::new();
        let subjects = by_sid(task, "subjects");
        for (at, labels) in task.present("labels") {
            let division = Division::at(at)?;
            divisions.insert(division.outputs, division);
            let sid = sid_of(at);
            let folder = subjects
                .get(sid)
                .ok_or_else(|| Failure::input(format!("labels of `{sid}`, but no files of it at `subjects`")))?;
            write_surfaces(root, &names[sid], &Subject::open(folder)?, labels, &division)?;
        }
        for (sid, volumes) in by_sid(task, "volumes") {
            for division in divisions.values() {
                let from = volumes.join(format!("{}_{}.mgz", naming.tag, division.file));
                write_volume(root, &names[sid], &mgh::read_volume(&from)?, division)?;
            }
        }
        for division in divisions.values() {
            write(&root.join(format!("seg-{}_dseg.tsv", division.bids)), &label_table(division))?;
        }
        write_json(&root.join("dataset_description.json"), &description(task.simulated))?;
        write(&root.join("README"), &readme(task.simulated))?;
        write_participants(task, root, &names)?;
        let notes = ["labels", "volumes"].map(|port| task.absences(port));
        Ok(Ended::noted(notes.into_iter().flatten().collect()))
    }
}

fn sid_of(at: &pipe_contract::Coordinates) -> &str {
    at.get("sid").map_or("", String::as_str)
}

fn by_sid<'a>(task: &'a Task, port: &str) -> BTreeMap<&'a str, &'a Path> {
    task.present(port).map(|(at, path)| (sid_of(at), path)).collect()
}

/// What a subject is called in BIDS.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BidsName {
    /// `sub-01`.
    subject: String,
    /// `ses-1`, of a subject that FreeSurfer has once a session.
    session: Option<String>,
}

impl BidsName {
    /// `sub-01_ses-1` keeps its parts; of other names letters and digits are kept.
    fn of(sid: &str) -> Self {
        let label = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        let bare = sid.strip_prefix("sub-").unwrap_or(sid);
        match bare.split_once("_ses-") {
            Some((subject, session)) if sid.starts_with("sub-") => {
                Self { subject: format!("sub-{}", label(subject)), session: Some(format!("ses-{}", label(session))) }
            }
            _ => Self { subject: format!("sub-{}", label(bare)), session: None },
        }
    }

    /// The folder of its files, and how their names begin.
    fn place(&self, root: &Path) -> (PathBuf, String) {
        match &self.session {
            Some(session) => {
                (root.join(&self.subject).join(session).join("anat"), format!("{}_{session}", self.subject))
            }
            None => (root.join(&self.subject).join("anat"), self.subject.clone()),
        }
    }
}

/// The names of all subjects; two that would be one are refused.
fn names(task: &Task) -> Result<BTreeMap<String, BidsName>, Failure> {
    let mut names = BTreeMap::new();
    let mut taken: BTreeMap<(String, Option<String>), String> = BTreeMap::new();
    for cell in ["labels", "subjects", "volumes", "tables"].iter().flat_map(|port| task.many(port)) {
        let sid = sid_of(&cell.at);
        if names.contains_key(sid) {
            continue;
        }
        let name = BidsName::of(sid);
        if name.subject == "sub-" || name.session.as_deref() == Some("ses-") {
            return Err(Failure::input(format!("`{sid}` has neither letters nor digits, so BIDS has no name for it")));
        }
        if let Some(other) = taken.insert((name.subject.clone(), name.session.clone()), sid.to_owned()) {
            return Err(Failure::input(format!("`{other}` and `{sid}` are both `{}` in BIDS", name.subject))
                .hint("names of BIDS have letters and digits only: rename one of the folders"));
        }
        names.insert(sid.to_owned(), name);
    }
    Ok(names)
}

fn side(hemisphere: Hemisphere) -> char {
    hemisphere.letter()
}

fn write_surfaces(
    root: &Path,
    name: &BidsName,
    subject: &Subject,
    labels: &Path,
    division: &Division,
) -> Result<(), Failure> {
    let (folder, stem) = name.place(root);
    fs_err::create_dir_all(&folder).map_err(|error| Failure::io("create", &folder, &error))?;
    let present = subject.hemispheres()?;
    for hemisphere in &present {
        let vertices = subject.registered(*hemisphere)?.sphere.len();
        let predicted = Predicted::read(labels, division, *hemisphere, vertices)
            .map_err(|failure| failure.at(subject.place(*hemisphere)))?;
        let stem = format!("{stem}_hemi-{}_seg-{}_dseg", side(*hemisphere), division.bids);
        write_gifti(&folder.join(format!("{stem}.label.gii")), &predicted.labels, division, *hemisphere)?;
        let mut about = about(division);
        about.insert("Hemispheres".into(), json!(present.len()));
        if present.len() < HEMISPHERES.len() {
            about.insert("Warning".into(), json!("predicted from one hemisphere; the network was trained on both"));
        }
        write_json(&folder.join(format!("{stem}.json")), &Value::Object(about))?;
    }
    Ok(())
}

fn write_volume(root: &Path, name: &BidsName, volume: &mgh::Volume, division: &Division) -> Result<(), Failure> {
    let (folder, stem) = name.place(root);
    fs_err::create_dir_all(&folder).map_err(|error| Failure::io("create", &folder, &error))?;
    let stem = format!("{stem}_seg-{}_dseg", division.bids);
    let short = match division.outputs {
        "area" => "1 V1 (0-7 deg), 2 V2 (0-7 deg), 3 V3 (0-7 deg)",
        _ => "V1-V3 by deg: 1 0-0.5, 2 0.5-1, 3 1-2, 4 2-4, 5 4-7",
    };
    nifti::write_labels(&folder.join(format!("{stem}.nii.gz")), volume, short)?;
    write_json(&folder.join(format!("{stem}.json")), &Value::Object(about(division)))
}

/// What all files of a division say of themselves.
fn about(division: &Division) -> Map<String, Value> {
    let mut about = Map::new();
    about.insert("Description".into(), json!(division.about));
    about.insert("Manual".into(), json!(false));
    about
}

/// The table of labels that BIDS asks for.
fn label_table(division: &Division) -> String {
    let mut text = "index\tname\tcolor\n".to_owned();
    for region in std::iter::once(&UNLABELLED).chain(division.regions) {
        let [red, green, blue] = region.colour;
        let _ = writeln!(text, "{}\t{}\t#{red:02x}{green:02x}{blue:02x}", region.number, region.name);
    }
    text
}

fn description(simulated: bool) -> Value {
    let about = "V1-V3 as far as 7 degrees of eccentricity, predicted from cortical anatomy by a convolutional network";
    json!({
        "Name": if simulated { format!("{about}; SIMULATED DATA") } else { about.to_owned() },
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{ "Name": "pipe", "Version": env!("CARGO_PKG_VERSION"), "Description": "apply/bids" }],
        "HowToAcknowledge": "Benson, Song et al. (2025), doi:10.1101/2025.05.16.654503",
        "ReferencesAndLinks": ["https://doi.org/10.1101/2025.05.16.654503"],
    })
}

fn readme(simulated: bool) -> String {
    let stamp = if simulated { "SIMULATED DATA\n\n" } else { "" };
    format!(
        "{stamp}Labels of V1, V2 and V3, and of eccentricity within them, predicted from cortical anatomy.\n\n\
         All labels end at 7 degrees of eccentricity: an area here is not the whole area, and its size in\n\
         participants.tsv is not the size of V1, V2 or V3.\n"
    )
}

/// `participants.tsv`: a row a subject, the size of each label and hemisphere as columns; of sessions the first by name.
fn write_participants(task: &Task, root: &Path, names: &BTreeMap<String, BidsName>) -> Result<(), Failure> {
    let mut columns: BTreeMap<String, String> = BTreeMap::new();
    let mut rows: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for name in names.values() {
        rows.entry(&name.subject).or_default();
    }
    for (sid, table) in by_sid(task, "tables") {
        let Some(name) = names.get(sid) else { continue };
        let row = rows.entry(&name.subject).or_default();
        if !row.is_empty() {
            continue;
        }
        for size in sizes(table)? {
            columns.insert(size.column.clone(), size.about);
            row.insert(size.column, size.area);
        }
    }
    let mut text = "participant_id".to_owned();
    columns.keys().for_each(|column| {
        let _ = write!(text, "\t{column}");
    });
    text.push('\n');
    for (subject, row) in &rows {
        text.push_str(subject);
        for column in columns.keys() {
            let _ = write!(text, "\t{}", row.get(column).map_or("n/a", String::as_str));
        }
        text.push('\n');
    }
    write(&root.join("participants.tsv"), &text)?;
    let mut described = Map::new();
    described.insert("participant_id".into(), json!({ "Description": "the subject" }));
    for (column, about) in &columns {
        described.insert(column.clone(), json!({ "Description": about, "Units": "mm^2" }));
    }
    write_json(&root.join("participants.json"), &Value::Object(described))
}

/// The area of a label, as a column of `participants.tsv`.
struct Size {
    column: String,
    about: String,
    area: String,
}

fn sizes(table: &Path) -> Result<Vec<Size>, Failure> {
    let at = |failure: Failure| failure.at(table.display().to_string());
    let frame = data_table::read(table)?;
    let [hemisphere, parcellation, region] =
        ["hemisphere", "parcellation", "region"].map(|name| data_table::texts(&frame, name).map_err(at));
    let (hemisphere, parcellation, region) = (hemisphere?, parcellation?, region?);
    let areas = frame
        .column("area")
        .and_then(|column| column.f64().cloned())
        .map_err(|error| at(Failure::input(format!("expected a column `area` of numbers: {error}"))))?;
    let labels = frame
        .column("label")
        .and_then(|column| column.i64().cloned())
        .map_err(|error| at(Failure::input(format!("expected a column `label` of whole numbers: {error}"))))?;
    Ok((0..frame.height())
        .map(|row| {
            let short = if parcellation[row] == "area" { "V" } else { "ring" };
            Size {
                column: format!("{}_{short}{}_0to7deg_area", hemisphere[row], labels.get(row).unwrap_or_default()),
                about: format!(
                    "surface area of {} in {}, halfway between white matter and pia",
                    region[row], hemisphere[row]
                ),
                area: areas.get(row).map_or_else(|| "0".to_owned(), |area| format!("{area:?}")),
            }
        })
        .collect())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs_err::write(path, text).map_err(|error| Failure::io("write", path, &error))
}

fn write_json(path: &Path, value: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::internal(error.to_string()))?;
    write(path, &format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::formats::subject_folder::{ABOUT, AboutSubject};
    use crate::test_support::small_subject::{VERTICES, write_subject};
    use crate::test_support::tasks;

    /// A task about subjects by their names in FreeSurfer; the second has its right hemisphere alone, and no table.
    fn task(folder: &Path, sids: &[&str]) -> Task {
        let mut task = tasks::task(&BidsTree, folder);
        for (number, sid) in sids.iter().enumerate() {
            let own = folder.join(sid);
            let subject = write_subject(&own, sid);
            let labels = tasks::labels(&own.join("labels"), &[1 + number as i32; VERTICES]);
            if number == 1 {
                let about =
                    AboutSubject { source: "FreeSurfer".into(), hemispheres: vec!["rh".into()], sulc: "mm".into() };
                fs_err::write(subject.join(sid).join(ABOUT), serde_json::to_string(&about).unwrap()).unwrap();
            }
            let volumes = own.join("volumes");
            for (file, label) in [("varea", 3), ("vring", 5)] {
                let volume = mgh::Volume::conformed([2, 2, 2], 1.0, vec![label; 8]);
                fs_err::create_dir_all(&volumes).unwrap();
                volume.write(&volumes.join(format!("benson2025_{file}.mgz")), "").unwrap();
            }
            let mut sizes = data_table::DataTable::new()
                .text("hemisphere", ["lh", "rh"])
                .text("parcellation", ["area", "ring"])
                .integers("label", [1, 5])
                .text("region", ["V1 (0-7 deg)", "V1-V3 (4-7 deg)"])
                .optional_numbers("area", [Some(10.5 + number as f64), None])
                .build()
                .unwrap();
            data_table::write(&own.join("table"), &mut sizes).unwrap();
            for outputs in ["area", "ring"] {
                tasks::gather(&mut task, "labels", &[("outputs", outputs), ("sid", sid)], Some(&labels));
            }
            tasks::gather(&mut task, "subjects", &[("sid", sid)], Some(&subject));
            tasks::gather(&mut task, "volumes", &[("sid", sid)], (number != 1).then_some(volumes.as_path()));
            let table = own.join("table");
            tasks::gather(&mut task, "tables", &[("sid", sid)], (number != 1).then_some(table.as_path()));
        }
        task
    }

    /// The validator of BIDS and nibabel read such a dataset in a slow story; here, that each file has its own content.
    #[test]
    fn a_dataset_has_the_labels_and_sizes_of_each_subject() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(folder.path(), &["sub-01_ses-1", "left_out", "sub-01_ses-2"]);
        task.simulated = true;
        assert_eq!(tasks::run(&BidsTree, &task).unwrap(), ["2 of 3 `volumes` (1 not-found)"]);
        let root = task.output("dataset").unwrap();
        let read = |file: &str| fs_err::read_to_string(root.join(file)).unwrap();
        assert_eq!(
            read("participants.tsv"),
            "participant_id\tlh_V1_0to7deg_area\trh_ring5_0to7deg_area\nsub-01\t10.5\t0\nsub-leftout\tn/a\tn/a\n"
        );
        assert!(read("README").starts_with("SIMULATED DATA\n"));
        assert!(read("dataset_description.json").contains("; SIMULATED DATA\""));
        let gifti = |stem: &str| read(&format!("{stem}_seg-varea_dseg.label.gii"));
        assert!(gifti("sub-01/ses-1/anat/sub-01_ses-1_hemi-L").contains("CortexLeft"));
        assert!(gifti("sub-leftout/anat/sub-leftout_hemi-R").contains("CortexRight"));
        let about = read("sub-leftout/anat/sub-leftout_hemi-R_seg-vring_dseg.json");
        assert!(about.contains("predicted from one hemisphere") && about.contains("\"Hemispheres\": 1"), "{about}");
        assert!(!root.join("sub-leftout/anat/sub-leftout_hemi-L_seg-varea_dseg.label.gii").exists());
        assert!(!root.join("sub-leftout/anat/sub-leftout_seg-varea_dseg.nii.gz").exists());
        for (division, label) in [("varea", 3), ("vring", 5)] {
            let file = root.join(format!("sub-01/ses-2/anat/sub-01_ses-2_seg-{division}_dseg.nii.gz"));
            let mut bytes = Vec::new();
            let packed = fs_err::read(&file).unwrap();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes[352..], [label, 0].repeat(8));
        }
    }

    #[test]
    fn two_subjects_of_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let message = |sids: &[&str]| tasks::run(&BidsTree, &task(folder.path(), sids)).unwrap_err().message;
        assert_eq!(message(&["s_1", "s1"]), "`s_1` and `s1` are both `sub-s1` in BIDS");
        assert_eq!(message(&["__"]), "`__` has neither letters nor digits, so BIDS has no name for it");
    }

    #[test]
    fn names_of_freesurfer_become_names_of_bids() {
        let name = |sid: &str| BidsName::of(sid);
        assert_eq!(name("sub-01"), BidsName { subject: "sub-01".into(), session: None });
        assert_eq!(name("sub-wl_007"), BidsName { subject: "sub-wl007".into(), session: None });
        assert_eq!(name("fsaverage5").subject, "sub-fsaverage5");
        assert_eq!(name("sub-01_ses-2"), BidsName { subject: "sub-01".into(), session: Some("ses-2".into()) });
        assert_eq!(name("s1_ses-2").session, None);
        let (folder, stem) = name("sub-01_ses-2").place(Path::new("/d"));
        assert_eq!((folder.to_str().unwrap(), stem.as_str()), ("/d/sub-01/ses-2/anat", "sub-01_ses-2"));
    }

    #[test]
    fn tables_of_labels_have_what_bids_asks_for() {
        let text = label_table(&Division::at(&[("outputs", "area")].into_iter().collect()).unwrap());
        assert!(text.starts_with("index\tname\tcolor\n0\t"), "{text}");
        assert!(text.contains("1\tV1 (0-7 deg)\t#c83c28\n"), "{text}");
    }
}
