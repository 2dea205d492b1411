//! `score/dice`: how well every two methods agree about one subject's labels.
//!
//! Scores count vertices of the flat map (not area), separately for each hemisphere. Decides which pairs are compared, what
//! their tag is, and which pairs are skipped: a pair whose second method has a label that the first lacks, as in the
//! original; the reverse scores 0 and counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe_contract::{Arity, Context, Ended, Failure, Kind, StageKind, Task, parameters};

use crate::declared::map_radius::MapRadius;
use crate::formats::score_table::{self, MEAN, RELIABILITY, SIMULATED, Score};
use crate::formats::subject_folder::Subject;
use crate::formats::{data_table, mgh};
use crate::hemisphere::HEMISPHERES;
use crate::numeric::counts::real;
use crate::numeric::flatmap;
use crate::numeric::overlap::dice;

/// The kind.
pub(super) struct DiceScores;

parameters! {
    struct Parameters {
        /// value of the column `dataset`, such as HCP or NYU; empty: `HCP`, or `simulated` where subjects are
        dataset: String = String::new();
        ..map: MapRadius;
    }
}

impl StageKind for DiceScores {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "score/dice",
            1,
            "Dice scores of every two methods (models, raters, prior, inferred) for one subject",
        )
        .gather("models", &["labels"], "predicted labels, one per coordinate `inputs`, whose name becomes the method's")
        .gather("raters", &["labels"], "manual labels, one per coordinate `rater`, whose name becomes the method's")
        .port("prior", &["labels"], Arity::One, true, "labels of the template, the method `prior`")
        .port("inferred", &["labels"], Arity::One, true, "labels of the inferred maps, the method `inf`")
        .input("subject", &["subject"], "the subject's files, for the mesh on which the labels lie")
        .folder(
            "table",
            "table/scores",
            "columns dataset, sid, hemisphere, parcellation, method1, method2, tag, label, score; \
                 sorted by hemisphere, method1, method2, label",
        )
        .described(data_table::FILES, score_table::SCORE_COLUMNS)
        .parameters::<Parameters>();
        Kind { axes: vec!["outputs", "sid"], stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { dataset, map: MapRadius { radius } } = task.parameters()?;
        let dataset = dataset_of(dataset, task.simulated)?;
        let (sid, parcellation) = (task.coordinate("sid")?, task.coordinate("outputs")?);
        let highest = score_table::label_names(parcellation)?.len();
        let methods = methods(task)?;
        let subject = Subject::open(task.one("subject")?)?;
        let (mut rows, mut notes) = (Vec::new(), Vec::new());
        notes.extend(task.absences("models"));
        notes.extend(task.absences("raters"));
        for hemisphere in HEMISPHERES {
            let mesh = subject.registered(hemisphere)?;
            let map = flatmap::project(&mesh.sphere, &mesh.triangles, hemisphere, radius.to_radians())
                .map_err(|failure| failure.at(format!("{sid}, {}", hemisphere.name())))?;
            let name = hemisphere.name();
            let mut labels = BTreeMap::new();
            for (method, source) in &methods {
                let file = source.labels.join(format!("{name}.{parcellation}.mgz"));
                // A rater may lack this parcellation; every other method must have it.
                if source.role == Role::Rater && !file.exists() {
                    notes.push(format!("{name}: `{method}` is left out, which has no `{parcellation}` there"));
                    continue;
                }
                let whole = read_labels(&file, mesh.sphere.len(), highest)
                    .map_err(|failure| failure.at(format!("{sid}, {name}, `{method}`: {}", file.display())))?;
                labels.insert(method.as_str(), map.pick(&whole));
            }
            for ((method1, first), (method2, second)) in pairs(&labels) {
                let values = match compare(first, second) {
                    Comparison::Scores(values) => values,
                    Comparison::Skipped(lacking) => {
                        notes.push(format!("{name}: skipped `{method1}`-`{method2}`: {}", lacks(method1, &lacking)));
                        continue;
                    }
                };
                let tag = tag((method1, methods[method1].role), (method2, methods[method2].role));
                rows.extend(values.into_iter().map(|(label, score)| Score {
                    dataset: dataset.clone(),
                    sid: sid.to_string(),
                    hemisphere: name.to_string(),
                    parcellation: parcellation.to_string(),
                    method1: method1.to_string(),
                    method2: method2.to_string(),
                    tag: tag.to_string(),
                    label,
                    score,
                }));
            }
        }
        notes.iter().for_each(|note| context.log(note));
        data_table::write(task.output("table")?, &mut score_table::table(&rows, task.simulated)?)?;
        Ok(Ended::noted(notes))
    }
}

/// The value of the column `dataset`. Scores of simulated subjects must not pass for those of a real dataset.
fn dataset_of(given: String, simulated: bool) -> Result<String, Failure> {
    match (given.as_str(), simulated) {
        ("", true) => Ok(SIMULATED.into()),
        ("", false) => Ok("HCP".into()),
        ("HCP" | "NYU", true) => Err(Failure::input(format!("`dataset` is `{given}`, but the subjects are simulated"))
            .hint(format!("leave `dataset` out: the column then says `{SIMULATED}`"))),
        _ => Ok(given),
    }
}

/// What a method is in relation to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A rater of manual labels.
    Rater,
    /// Anything that is judged against raters.
    Model,
}

struct Method<'a> {
    role: Role,
    labels: &'a Path,
}

/// All methods by name. Names sort by byte, so upper case comes first, as in the original.
fn methods(task: &Task) -> Result<BTreeMap<String, Method<'_>>, Failure> {
    let mut methods = BTreeMap::new();
    let mut add = |name: &str, role, labels| match methods.insert(name.to_string(), Method { role, labels }) {
        None => Ok(()),
        Some(_) => Err(Failure::input(format!("two methods are called `{name}`, expected one"))
            .hint("rename a coordinate of `inputs` or `rater`; `prior` and `inf` are taken where those ports are set")),
    };
    for (port, axis, role) in [("models", "inputs", Role::Model), ("raters", "rater", Role::Rater)] {
        for (at, labels) in task.present(port) {
            let name = at.get(axis).ok_or_else(|| {
                Failure::input(format!(
                    "an artifact at port `{port}` has the coordinates [{at}], expected one on `{axis}`"
                ))
                .hint(format!("give port `{port}` the labels of a stage with the axis `{axis}`"))
            })?;
            add(name, role, labels)?;
        }
    }
    for (port, name) in [("prior", "prior"), ("inferred", "inf")] {
        if let Some(labels) = task.maybe(port) {
            add(name, Role::Model, labels)?;
        }
    }
    Ok(methods)
}

/// Reads labels of a whole hemisphere and checks their number and range.
fn read_labels(file: &Path, vertices: usize, highest: usize) -> Result<Vec<i32>, Failure> {
    let labels = mgh::read_i32(file)?;
    if labels.len() != vertices {
        return Err(Failure::input(format!("labels of {} vertices, but the mesh has {vertices}", labels.len()))
            .hint("the labels belong to another mesh or another subject"));
    }
    match labels.iter().find(|label| usize::try_from(**label).map_or(true, |label| label > highest)) {
        Some(bad) => Err(Failure::input(format!("found the label {bad}, expected 0 to {highest}"))),
        None => Ok(labels),
    }
}

/// Every two entries, the first with the smaller key.
fn pairs<K: Copy, V>(entries: &BTreeMap<K, V>) -> impl Iterator<Item = ((K, &V), (K, &V))> {
    let after = |index| entries.iter().skip(index + 1).map(|(key, value)| (*key, value));
    entries
        .iter()
        .enumerate()
        .flat_map(move |(index, (key, value))| after(index).map(move |other| ((*key, value), other)))
}

/// The code of the model if one of the two is a rater, `rely` if both are, nothing if neither is.
fn tag<'n>(first: (&'n str, Role), second: (&'n str, Role)) -> &'n str {
    match (first.1, second.1) {
        (Role::Rater, Role::Rater) => RELIABILITY,
        (Role::Rater, Role::Model) => second.0,
        (Role::Model, Role::Rater) => first.0,
        (Role::Model, Role::Model) => "",
    }
}

/// How two lists of labels compare.
#[derive(Debug, PartialEq)]
enum Comparison {
    /// The score per label of the first list, ascending, then their mean as `mean`.
    Scores(Vec<(String, f64)>),
    /// The second list has these labels and the first does not, or (none given) the first has no label at all.
    Skipped(Vec<i32>),
}

/// Compares labels vertex by vertex; 0 is background. Both lists are equally long.
fn compare(first: &[i32], second: &[i32]) -> Comparison {
    let labels = |list: &[i32]| list.iter().copied().filter(|label| *label > 0).collect::<BTreeSet<i32>>();
    let (of_first, of_second) = (labels(first), labels(second));
    let lacking: Vec<i32> = of_second.difference(&of_first).copied().collect();
    if !lacking.is_empty() || of_first.is_empty() {
        return Comparison::Skipped(lacking);
    }
    let mut scores: Vec<(String, f64)> =
        of_first.into_iter().filter_map(|label| Some((label.to_string(), dice(label, first, second)?))).collect();
    let mean = scores.iter().map(|(_, score)| score).sum::<f64>() / real(scores.len());
    scores.push((MEAN.to_string(), mean));
    Comparison::Scores(scores)
}

fn lacks(method: &str, labels: &[i32]) -> String {
    if labels.is_empty() {
        return format!("`{method}` has no labels on the map");
    }
    let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
    format!("`{method}` lacks label {}", labels.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks;

    fn values(comparison: Comparison) -> Vec<(String, f64)> {
        match comparison {
            Comparison::Scores(scores) => scores,
            Comparison::Skipped(labels) => panic!("skipped for {labels:?}"),
        }
    }

    #[test]
    fn dice_by_hand() {
        // Label 1: both 2, first 3, second 2 -> 4/5. Label 2: both 1, first 2, second 3 -> 2/5.
        let found = values(compare(&[1, 1, 1, 2, 2, 0, 0], &[1, 1, 2, 2, 0, 2, 0]));
        assert_eq!(found, [("1".into(), 0.8), ("2".into(), 0.4), ("mean".into(), (0.8 + 0.4) / 2.0)]);
    }

    #[test]
    fn a_label_that_the_second_lacks_scores_nought_and_counts() {
        let found = values(compare(&[1, 2, 3, 0], &[1, 2, 0, 0]));
        assert_eq!(found[2], ("3".into(), 0.0));
        assert_eq!(found[3], ("mean".into(), 2.0 / 3.0));
    }

    #[test]
    fn a_label_that_the_first_lacks_skips_the_pair() {
        assert_eq!(compare(&[1, 2, 0, 0], &[1, 2, 3, 0]), Comparison::Skipped(vec![3]));
        assert_eq!(compare(&[0, 0], &[0, 0]), Comparison::Skipped(vec![]));
    }

    #[test]
    fn tags_name_the_model_whichever_side_it_is_on() {
        use Role::{Model, Rater};
        assert_eq!(tag(("A1", Rater), ("anat", Model)), "anat");
        assert_eq!(tag(("anat", Model), ("zoe", Rater)), "anat");
        assert_eq!(tag(("A1", Rater), ("A2", Rater)), "rely");
        assert_eq!(tag(("anat", Model), ("func", Model)), "");
    }

    #[test]
    fn every_pair_comes_once_upper_case_first() {
        let names: BTreeMap<&str, ()> = ["anat", "A2", "prior", "A1"].into_iter().map(|name| (name, ())).collect();
        let found: Vec<_> = pairs(&names).map(|((a, ()), (b, ()))| format!("{a}-{b}")).collect();
        assert_eq!(found, ["A1-A2", "A1-anat", "A1-prior", "A2-anat", "A2-prior", "anat-prior"]);
    }

    /// A subject of 642 vertices; labels are bands of latitude, the raters' shifted against each other.
    fn scored(folder: &Path) -> (Task, Vec<String>) {
        let bands = |shift: f64, most: i32| -> Vec<i32> {
            let band = |z: f64| ((z + shift + 1.0) * 4.0) as i32 % (most + 1);
            tasks::points(3).iter().map(|point| band(point[2])).collect()
        };
        let artifact = |name: &str, values: Vec<i32>| tasks::labels(&folder.join(name), &values);
        let mut task = tasks::task(&DiceScores, folder);
        task.at = [("outputs", "area"), ("sid", "s01")].into_iter().collect();
        task.simulated = true;
        tasks::give(&mut task, "subject", &tasks::write_subject(folder, "s01", 3));
        tasks::gather(&mut task, "models", &[("inputs", "anat")], Some(&artifact("anat", bands(0.1, 3))));
        tasks::gather(&mut task, "models", &[("inputs", "func")], Some(&artifact("func", bands(0.05, 2))));
        tasks::gather(&mut task, "raters", &[("rater", "A1")], Some(&artifact("A1", bands(0.0, 3))));
        tasks::gather(&mut task, "raters", &[("rater", "A2")], Some(&artifact("A2", bands(0.02, 3))));
        tasks::gather(&mut task, "raters", &[("rater", "A3")], None);
        tasks::give(&mut task, "prior", &artifact("prior", bands(0.15, 3)));
        let notes = tasks::run(&DiceScores, &task).unwrap();
        (task, notes)
    }

    #[test]
    fn a_subject_is_scored_from_files_to_table() {
        let folder = tempfile::tempdir().unwrap();
        let (task, notes) = scored(folder.path());
        assert_eq!(notes[0], "2 of 3 `raters` (1 not-found)");
        let rows = score_table::read(task.output("table").unwrap()).unwrap();
        let left: Vec<String> = rows
            .iter()
            .filter(|row| row.hemisphere == "lh" && row.label == MEAN)
            .map(|row| format!("{}-{} [{}] {:.4}", row.method1, row.method2, row.tag, row.score))
            .collect();
        insta::assert_snapshot!(left.join("\n"), @r"
        A1-A2 [rely] 0.9013
        A1-anat [anat] 0.6594
        A1-func [func] 0.3110
        A1-prior [prior] 0.3300
        A2-anat [anat] 0.7595
        A2-func [func] 0.3432
        A2-prior [prior] 0.4410
        anat-func [] 0.3691
        anat-prior [] 0.7013
        ");
        // `func` has no label 3: first in its pair it lacks a label and the pair is skipped, second it scores 0.
        assert!(notes.contains(&"lh: skipped `func`-`prior`: `func` lacks label 3".to_string()), "{notes:?}");
        assert!(rows.iter().any(|row| row.method2 == "func" && row.label == "3" && row.score == 0.0));
        let csv = fs_err::read_to_string(task.output("table").unwrap().join(data_table::CSV)).unwrap();
        let head = "dataset,sid,hemisphere,parcellation,method1,method2,tag,label,score,simulated";
        assert_eq!(csv.lines().next(), Some(head));
        assert!(csv.lines().nth(1).unwrap().starts_with("simulated,s01,lh,area,A1,A2,rely,1,"), "{csv}");
        // A pair of two models has an empty tag, which is written as such.
        assert!(csv.contains("anat,func,\"\",1,"), "{csv}");
    }

    #[test]
    fn simulated_scores_do_not_pass_for_real_ones() {
        assert_eq!(dataset_of(String::new(), false).unwrap(), "HCP");
        assert_eq!(dataset_of(String::new(), true).unwrap(), "simulated");
        assert_eq!(dataset_of("mine".into(), true).unwrap(), "mine");
        let failure = dataset_of("HCP".into(), true).unwrap_err();
        assert_eq!(failure.message, "`dataset` is `HCP`, but the subjects are simulated");
    }

    #[test]
    fn a_rater_without_this_parcellation_is_left_out_and_noted() {
        let folder = tempfile::tempdir().unwrap();
        let (mut task, _) = scored(folder.path());
        for name in ["A1/lh.area.mgz", "A1/rh.area.mgz"] {
            fs_err::remove_file(folder.path().join(name)).unwrap();
        }
        task.outputs.insert("table".into(), folder.path().join("without"));
        let notes = tasks::run(&DiceScores, &task).unwrap();
        assert!(notes.contains(&"lh: `A1` is left out, which has no `area` there".to_string()), "{notes:?}");
        let rows = score_table::read(task.output("table").unwrap()).unwrap();
        assert!(rows.iter().all(|row| row.method1 != "A1") && rows.iter().any(|row| row.method1 == "A2"));
        fs_err::remove_file(folder.path().join("anat/lh.area.mgz")).unwrap();
        assert!(tasks::run(&DiceScores, &task).is_err(), "a model must have what it is scored for");
    }

    #[test]
    fn two_methods_of_one_name_and_a_missing_axis_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (mut task, _) = scored(folder.path());
        let manual = folder.path().join("A1");
        tasks::gather(&mut task, "raters", &[("rater", "anat")], Some(&manual));
        let failure = tasks::run(&DiceScores, &task).unwrap_err();
        assert_eq!(failure.message, "two methods are called `anat`, expected one");
        let (mut task, _) = scored(folder.path());
        tasks::gather(&mut task, "raters", &[("sid", "s01")], Some(&manual));
        let failure = tasks::run(&DiceScores, &task).unwrap_err();
        assert!(failure.message.contains("expected one on `rater`"), "{failure}");
    }

    #[test]
    fn labels_of_another_mesh_or_range_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lh.area.mgz");
        mgh::write_i32(&file, &[0, 1, 4]).unwrap();
        assert_eq!(read_labels(&file, 4, 3).unwrap_err().message, "labels of 3 vertices, but the mesh has 4");
        assert_eq!(read_labels(&file, 3, 3).unwrap_err().message, "found the label 4, expected 0 to 3");
        assert_eq!(read_labels(&file, 3, 4).unwrap(), [0, 1, 4]);
    }
}
