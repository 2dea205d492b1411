//! `regions/annotation`: the regions of a FreeSurfer annotation (`lh.aparc.annot`) as voxels or vertices.
//!
//! Decides where the files are, that a region of both hemispheres is one region unless they are kept apart, and which names mean "no
//! region". Regions follow the table of colours of the left hemisphere, then what the right one alone has; every vertex is in at most one.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};

use super::region_members::members;
use crate::formats::annotation::{self, Annotation};
use crate::formats::brain_places::{self, BrainPlaces};
use crate::formats::cortex::FlattenedCortex;
use crate::formats::data_table::{self, DataTable};
use crate::hemisphere::Hemisphere;

/// The kind.
pub(super) struct AnnotationRegions;

/// How FreeSurfer's annotations and usual parcellations call what is not cortex or was left out.
const NO_REGION: [&str; 6] = [
    "unknown",
    "???",
    "medial_wall",
    "corpuscallosum",
    "freesurfer_defined_medial_wall",
    "background+freesurfer_defined_medial_wall",
];

parameters! {
    struct Parameters {
        /// the annotation: the files' names without `lh.` or `rh.` and `.annot`
        annotation: String = "aparc".to_owned();
        /// regions that are taken, as the files name them; none for all
        names: Vec<String> = Vec::new();
        /// names that mean that a vertex is in no region, in upper or lower case; not used where `names` are given
        without: Vec<String> = NO_REGION.map(String::from).to_vec();
        /// the regions of the hemispheres are apart: `lh.V1` and `rh.V1`; else both are `V1`
        apart: bool = false;
        /// the transform in whose volume voxels lie; empty for the only one
        transform: String = String::new();
        /// the least share of a voxel's samples that must be of vertices of the region
        share: f64 = 0.5, in 0.0..=1.0;
    }
}

/// The columns of the regions.
const COLUMNS: &[Column] = &[
    Column::new("region", "the region"),
    Column::new("group", "the annotation that it is from"),
    Column::new("id", "a voxel or vertex of it; a region has a row for each"),
];

/// The columns of the table of colours.
const COLOURS: &[Column] = &[
    Column::new("id", "hemisphere and name of the region, such as `lh.V1`"),
    Column::new("region", "the region, as the other table names it"),
    Column::new("hemisphere", "the hemisphere").levels(&[("lh", "left"), ("rh", "right")]),
    Column::new("number", "the number of the region in the file"),
    Column::new("red", "the red part of its colour, 0 to 255"),
    Column::new("green", "the green part"),
    Column::new("blue", "the blue part"),
    Column::new("n_vertices", "how many vertices it has, on the flat surface or not"),
];

impl StageKind for AnnotationRegions {
    fn kind(&self) -> Kind {
        Kind::new("regions/annotation", 1, "The voxels or vertices of the regions of a FreeSurfer annotation.")
            .input(
                "label",
                &[],
                "a folder with `{lh,rh}.<annotation>.annot`, or that of a FreeSurfer subject whose `label` has them",
            )
            .input("cortex", &["cortex"], "the cortex whose vertices are annotated")
            .input(
                "places",
                &[],
                "a matrix (its columns) or a table of ids with `i`, `j`, `k` of voxels, or `hemisphere` and `vertex`",
            )
            .folder("regions", "regions", "columns `region`, `group`, `id`")
            .described(data_table::FILES, COLUMNS)
            .folder("colours", "table", "a row a region and hemisphere: its number, colour and size in the annotation")
            .described(data_table::FILES, COLOURS)
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let cortex = FlattenedCortex::open(task.one("cortex")?)?;
        let ids = brain_places::read(task.one("places")?)?;
        let places = BrainPlaces::of(&ids, &cortex, &parameters.transform, &[])?;
        let sides = sides(task.one("label")?, &cortex, &parameters.annotation)?;
        let regions = Regions::of(&sides, &parameters)?;
        let members = members(&cortex, &places, &regions.vertices, parameters.share)?;
        let all = || regions.names.iter().zip(&members);
        let rows = || all().flat_map(|(name, members)| members.iter().map(move |member| (name, *member)));
        let table = DataTable::of(COLUMNS)
            .text("region", rows().map(|(name, _)| name.as_str()))
            .text("group", rows().map(|_| parameters.annotation.as_str()))
            .text("id", rows().map(|(_, member)| ids.ids()[member].as_str()));
        data_table::write(task.output("regions")?, &mut table.build()?)?;
        data_table::write(task.output("colours")?, &mut colours(&regions.entries).build()?)?;
        context.log(&format!("{} regions", regions.names.len()));
        let empty: Vec<String> =
            all().filter(|(_, members)| members.is_empty()).map(|(name, _)| format!("`{name}`")).collect();
        Ok(Ended::noted(match empty.is_empty() {
            true => Vec::new(),
            false => vec![format!("{IMPORTANT}no id lies in {}", empty.join(", "))],
        }))
    }
}

/// The annotations of the hemispheres of a cortex, left first.
fn sides(folder: &Path, cortex: &FlattenedCortex, name: &str) -> Result<Vec<(Hemisphere, Annotation)>, Failure> {
    let below = folder.join("label");
    let folder = if below.is_dir() { below } else { folder.to_path_buf() };
    let mut sides = Vec::new();
    for (hemisphere, vertices) in cortex.hemispheres()? {
        let path = folder.join(format!("{}.{name}.annot", hemisphere.name()));
        if !path.is_file() {
            return Err(missing(&folder, &path));
        }
        let annotation = annotation::read(&path)?;
        let found = annotation.labels.len();
        if found != vertices {
            let side = hemisphere.name();
            return Err(Failure::input(format!(
                "the annotation of `{side}` is of {found} vertices, but the cortex has {vertices} there"
            ))
            .at(path.display().to_string())
            .hint("it is of another subject, or of the same one at another resolution"));
        }
        sides.push((hemisphere, annotation));
    }
    Ok(sides)
}

/// Says which annotations there are instead.
fn missing(folder: &Path, path: &Path) -> Failure {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return Failure::io("list", folder, &error),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let there: BTreeSet<String> =
        names.filter(|name| name.ends_with(".annot")).map(|name| format!("`{name}`")).collect();
    let hint = match there.is_empty() {
        true => "give the folder `label` of a FreeSurfer subject; this one has no `*.annot`".to_owned(),
        false => format!("`annotation:` names one of those that are there: {}", joined(there)),
    };
    Failure::input("the file does not exist").at(path.display().to_string()).hint(hint)
}

fn joined(names: BTreeSet<String>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// Regions of both hemispheres.
struct Regions {
    names: Vec<String>,
    /// For each region and vertex of the cortex whether it is in it.
    vertices: Vec<Vec<bool>>,
    entries: Vec<ColouredRegion>,
}

/// A region of one hemisphere.
struct ColouredRegion {
    id: String,
    region: String,
    side: &'static str,
    number: i32,
    colour: [u8; 3],
    vertices: usize,
}

impl Regions {
    fn of(sides: &[(Hemisphere, Annotation)], parameters: &Parameters) -> Result<Self, Failure> {
        let all: usize = sides.iter().map(|(_, annotation)| annotation.labels.len()).sum();
        let mut regions = Self { names: Vec::new(), vertices: Vec::new(), entries: Vec::new() };
        let mut first = 0;
        for (hemisphere, annotation) in sides {
            let side = hemisphere.name();
            let mut counts = vec![0; annotation.table.len()];
            annotation.labels.iter().flatten().for_each(|label| counts[*label] += 1);
            let mut regions_of_labels = vec![None; annotation.table.len()];
            for (label, entry) in annotation.table.iter().enumerate() {
                // Tables of colours have entries for much that is not annotated.
                let is_there = counts[label] > 0 || !parameters.names.is_empty();
                if !(is_there && is_taken(&entry.name, parameters)) {
                    continue;
                }
                let id = format!("{side}.{}", entry.name);
                if regions.entries.iter().any(|known| known.id == id) {
                    let name = &entry.name;
                    return Err(Failure::input(format!("the annotation has two regions `{name}` in `{side}`")));
                }
                let region = if parameters.apart { id.clone() } else { entry.name.clone() };
                regions_of_labels[label] = Some(regions.position(&region, all));
                let (number, colour, vertices) = (entry.number, entry.colour, counts[label]);
                regions.entries.push(ColouredRegion { id, region, side, number, colour, vertices });
            }
            for (vertex, label) in annotation.labels.iter().enumerate() {
                if let Some(region) = label.and_then(|label| regions_of_labels[label]) {
                    regions.vertices[region][first + vertex] = true;
                }
            }
            first += annotation.labels.len();
        }
        let names = || sides.iter().flat_map(|(_, annotation)| &annotation.table).map(|entry| &entry.name);
        match parameters.names.iter().find(|wanted| !names().any(|name| name == *wanted)) {
            None => Ok(regions),
            Some(lacking) => Err(Failure::input(format!(
                "the annotation `{}` has no region `{lacking}`, only {}",
                parameters.annotation,
                joined(names().map(|name| format!("`{name}`")).collect())
            ))),
        }
    }

    /// The place of a region of this name, which is added if there is none.
    fn position(&mut self, name: &str, vertices: usize) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.vertices.push(vec![false; vertices]);
            self.names.len() - 1
        })
    }
}

fn is_taken(name: &str, parameters: &Parameters) -> bool {
    match parameters.names.is_empty() {
        true => !parameters.without.iter().any(|without| without.eq_ignore_ascii_case(name)),
        false => parameters.names.iter().any(|wanted| wanted == name),
    }
}

fn colours(entries: &[ColouredRegion]) -> DataTable {
    let part = |part: usize| entries.iter().map(move |entry| i64::from(entry.colour[part]));
    DataTable::of(COLOURS)
        .text("id", entries.iter().map(|entry| entry.id.as_str()))
        .text("region", entries.iter().map(|entry| entry.region.as_str()))
        .text("hemisphere", entries.iter().map(|entry| entry.side))
        .integers("number", entries.iter().map(|entry| i64::from(entry.number)))
        .integers("red", part(0))
        .integers("green", part(1))
        .integers("blue", part(2))
        .integers("n_vertices", entries.iter().map(|entry| i64::try_from(entry.vertices).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::annotation::AnnotationEntry;
    use crate::formats::cortex::{self, NewCortexHemisphere, Transform};
    use crate::formats::gifti::Surface;
    use crate::hemisphere::HEMISPHERES;
    use crate::test_support::tasks::{self, give, set, task};

    const TABLE: [AnnotationEntry<'_>; 4] = [
        AnnotationEntry { name: "Unknown", colour: [25, 5, 25] },
        AnnotationEntry { name: "V1", colour: [200, 60, 40] },
        AnnotationEntry { name: "V2", colour: [1, 2, 3] },
        AnnotationEntry { name: "V3", colour: [3, 2, 1] },
    ];

    /// Hemispheres of a row of five vertices, 2 mm apart, and one above that makes the triangles; a voxel has 2 mm, and the right
    /// hemisphere is 20 mm to the right. V1 are the vertices 0 and 1 of the left and 0 of the right hemisphere, V2 is on the left alone.
    fn given(folder: &Path) -> Task {
        let hemispheres = HEMISPHERES.map(|hemisphere| {
            let from = if hemisphere == Hemisphere::Left { 0.0_f32 } else { 20.0 };
            let surface = |z: f32| Surface {
                coordinates: (0..5_u8)
                    .map(|i| [from + 2.0 * f32::from(i), 0.0, z])
                    .chain([[from + 4.0, 2.0, z]])
                    .collect(),
                triangles: (0..4).map(|i| [i, i + 1, 5]).collect(),
            };
            let (flat, pial, white) = (surface(0.0), surface(0.5), surface(0.0));
            NewCortexHemisphere {
                hemisphere,
                flat,
                pial,
                white,
                curvature: vec![0.0; 6],
                curvature_from: String::new(),
            }
        });
        let half = [[0.5, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let transform = Transform { to_voxels: half, shape: [15, 2, 1], affine: half };
        cortex::write(&folder.join("cortex"), "", "S1", &hemispheres, &[("t".to_owned(), transform)]).unwrap();
        fs::create_dir_all(folder.join("subject/label")).unwrap();
        for (side, labels) in [("lh", [1, 1, 2, 0, 0, 2]), ("rh", [1, 0, 0, 0, 0, 0])] {
            annotation::write(&folder.join(format!("subject/label/{side}.areas.annot")), &labels, &TABLE).unwrap();
        }
        let sides = ["lh", "rh"].iter().flat_map(|side| [*side; 6]);
        let vertices = DataTable::new()
            .text("id", sides.clone().zip((0..6).chain(0..6)).map(|(side, vertex)| format!("{side}{vertex}")))
            .text("hemisphere", sides)
            .integers("vertex", (0..6).chain(0..6));
        data_table::write(&folder.join("vertices"), &mut vertices.build().unwrap()).unwrap();
        let mut task = task(&AnnotationRegions, &folder.join("out"));
        give(&mut task, "cortex", &folder.join("cortex"));
        give(&mut task, "label", &folder.join("subject"));
        give(&mut task, "places", &folder.join("vertices"));
        set(&mut task, "annotation", Value::Text("areas".to_owned()));
        task
    }

    fn run(task: &Task) -> Result<Vec<String>, Failure> {
        tasks::run(&AnnotationRegions, task)?;
        let table = data_table::read(task.output("regions").unwrap())?;
        let (regions, ids) = (data_table::texts(&table, "region")?, data_table::texts(&table, "id")?);
        assert!(data_table::texts(&table, "group")?.iter().all(|group| group == "areas"));
        Ok(regions.into_iter().zip(ids).map(|(region, id)| format!("{region} {id}")).collect())
    }

    fn names(words: &[&str]) -> Value {
        Value::List(words.iter().map(|word| Value::Text((*word).to_owned())).collect())
    }

    fn label_file(folder: &Path, side: &str) -> PathBuf {
        folder.join(format!("subject/label/{side}.areas.annot"))
    }

    #[test]
    fn vertices_have_the_region_of_their_colour() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        assert_eq!(run(&task).unwrap(), ["V1 lh0", "V1 lh1", "V1 rh0", "V2 lh2", "V2 lh5"]);
        let table = data_table::read(task.output("colours").unwrap()).unwrap();
        assert_eq!(data_table::texts(&table, "id").unwrap(), ["lh.V1", "lh.V2", "rh.V1"]);
        assert_eq!(data_table::texts(&table, "region").unwrap(), ["V1", "V2", "V1"]);
        let numbers = |name: &str| data_table::integers(&table, name).unwrap();
        assert_eq!([numbers("number"), numbers("n_vertices")], [[1, 2, 1], [2, 2, 1]]);
        assert_eq!([numbers("red"), numbers("green"), numbers("blue")], [[200, 1, 200], [60, 2, 60], [40, 3, 40]]);
        set(&mut task, "apart", Value::Bool(true));
        assert_eq!(run(&task).unwrap(), ["lh.V1 lh0", "lh.V1 lh1", "lh.V2 lh2", "lh.V2 lh5", "rh.V1 rh0"]);
    }

    #[test]
    fn regions_are_chosen_by_name_and_empty_ones_are_noted() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        // The folder `label` itself is taken too.
        give(&mut task, "label", &folder.path().join("subject/label"));
        set(&mut task, "names", names(&["V2", "Unknown", "V3"]));
        let found = run(&task).unwrap();
        assert_eq!(found[..2], ["Unknown lh3", "Unknown lh4"]);
        assert_eq!((found.len(), found.last().unwrap().as_str()), (9, "V2 lh5"));
        assert_eq!(tasks::run(&AnnotationRegions, &task).unwrap(), ["important: no id lies in `V3`"]);
        set(&mut task, "names", names(&["V4"]));
        assert_eq!(
            run(&task).unwrap_err().message,
            "the annotation `areas` has no region `V4`, only `Unknown`, `V1`, `V2`, `V3`"
        );
        set(&mut task, "names", names(&[]));
        set(&mut task, "without", names(&["v1"]));
        assert!(run(&task).unwrap().iter().all(|row| !row.starts_with("V1")));
    }

    #[test]
    fn voxels_are_members_by_the_share_of_their_samples() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        let voxels = DataTable::new()
            .text("id", (0..15).map(|i| format!("v{i:02}")))
            .integers("i", 0..15)
            .integers("j", vec![0; 15])
            .integers("k", vec![0; 15]);
        data_table::write(&folder.path().join("voxels"), &mut voxels.build().unwrap()).unwrap();
        give(&mut task, "places", &folder.path().join("voxels"));
        // A vertex is a voxel here; the vertices 5 are in the second row.
        assert_eq!(run(&task).unwrap(), ["V1 v00", "V1 v01", "V1 v10", "V2 v02"]);
        set(&mut task, "share", Value::Float(1.0));
        assert_eq!(run(&task).unwrap().len(), 4);
    }

    #[test]
    fn the_annotation_of_another_brain_or_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        annotation::write(&label_file(folder.path(), "rh"), &[1; 7], &TABLE).unwrap();
        let failure = run(&task).unwrap_err();
        assert_eq!(failure.message, "the annotation of `rh` is of 7 vertices, but the cortex has 6 there");
        assert!(failure.place.unwrap().ends_with("rh.areas.annot"));
        set(&mut task, "annotation", Value::Text("aparc".to_owned()));
        let failure = run(&task).unwrap_err();
        assert!(failure.place.unwrap().ends_with("lh.aparc.annot"));
        assert!(failure.hint.unwrap().ends_with("those that are there: `lh.areas.annot`, `rh.areas.annot`"));
        ["lh", "rh"].iter().for_each(|side| fs::remove_file(label_file(folder.path(), side)).unwrap());
        assert!(run(&task).unwrap_err().hint.unwrap().contains("this one has no `*.annot`"));
    }
}
