//! `labels/cohort`: which subjects with manual labels are part of the study, and why the others are not.
//!
//! Applies the rule of `declared::hcp_study` to the project's own files: a subject is left out when the list of exclusions has more
//! than one rater, or the average `mean` itself, for one of its hemispheres. A pipeline has its subjects as a list, because axes are
//! known before anything is fetched; the outcome of the rule is compared with that list, and a difference is an important note.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};

use super::exclude::{Exclusion, excluded, parse};
use crate::formats::data_table::{self, DataTable};
use crate::transfer::osf_listing::{FORM, OsfListing};

/// The columns of its table.
const COLUMNS: &[Column] = &[
    Column::new("sid", "the subject"),
    Column::new("raters", "raters with labels of the subject, separated by spaces"),
    Column::new("excluded", "labels that are not trained on, as rater:hemisphere, separated by spaces"),
    Column::new("part", "whether the subject is part of the study").levels(&[
        ("study", "part of it"),
        ("excluded", "left out, because more than one rater's labels of a hemisphere are excluded"),
    ]),
];

/// So many subjects are named in a note.
const NAMED: usize = 8;

/// The kind.
pub struct LabelsCohort;

parameters! {
    struct Parameters {
        /// The subjects of the pipeline, to be compared with the outcome of the rule; empty for no comparison.
        subjects: Vec<String> = Vec::new();
    }
}

impl StageKind for LabelsCohort {
    fn kind(&self) -> Kind {
        Kind::new(
            "labels/cohort",
            1,
            "Which subjects with manual labels are part of the study, and why others are not.",
        )
        .input("listing", &[], "The listing of the project `gqnp8`, as the package `neuropythy` ships it.")
        .input(
            "exclusions",
            &[],
            "`normalized/logs/exclusions.json` of the project: a list of [rater, subject, hemisphere].",
        )
        .folder("table", "table/cohort", "a row a subject with labels: raters, exclusions, part of the study or not")
        .described(data_table::FILES, COLUMNS)
        .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let (listing, exclusions) = (task.one("listing")?, task.one("exclusions")?);
        let labels = labels_of(&OsfListing::read(listing)?);
        if labels.is_empty() {
            return Err(Failure::input("the listing has no file `normalized/<rater>/<sid>.labels.hdf5`")
                .at(listing.display().to_string())
                .hint(format!("expected {FORM}, of the project `gqnp8`")));
        }
        let exclusions = parse(exclusions).map_err(|failure| {
            let message = format!("the file {}", failure.message);
            Failure { message, ..failure }.at(exclusions.display().to_string())
        })?;
        let rows = rows(labels, &exclusions);
        let kept: BTreeSet<&str> = rows.iter().filter(|row| row.is_kept).map(|row| row.sid.as_str()).collect();
        context.log(&format!("{} subjects have labels, {} of them are part of the study", rows.len(), kept.len()));
        let listed = task.parameters::<Parameters>()?.subjects;
        let mut frame = DataTable::of(COLUMNS)
            .text("sid", rows.iter().map(|row| row.sid.as_str()))
            .text("raters", rows.iter().map(|row| row.raters.as_str()))
            .text("excluded", rows.iter().map(|row| row.excluded.as_str()))
            .text("part", rows.iter().map(|row| if row.is_kept { "study" } else { "excluded" }))
            .build()?;
        data_table::write(task.output("table")?, &mut frame)?;
        Ok(Ended::noted(if listed.is_empty() { Vec::new() } else { differences(&listed, &kept) }))
    }
}

/// A subject with labels.
struct Row {
    sid: String,
    raters: String,
    excluded: String,
    is_kept: bool,
}

/// The raters of each subject who has labels by a rater, not only the average of them.
fn labels_of(listing: &OsfListing) -> BTreeMap<String, BTreeSet<String>> {
    let mut raters: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in listing.paths() {
        let parts: Vec<&str> = path.split('/').collect();
        if let ["normalized", rater, file] = parts[..]
            && rater != "mean"
            && let Some(sid) = file.strip_suffix(".labels.hdf5")
        {
            raters.entry(sid.to_owned()).or_default().insert(rater.to_owned());
        }
    }
    raters
}

fn rows(labels: BTreeMap<String, BTreeSet<String>>, exclusions: &[Exclusion]) -> Vec<Row> {
    let spaced = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>().join(" ");
    let row = |(sid, raters): (String, BTreeSet<String>)| {
        let here = exclusions.iter().filter(|exclusion| exclusion.sid() == sid);
        let named = here.map(|exclusion| format!("{}:{}", exclusion.rater(), exclusion.hemisphere()));
        Row {
            excluded: spaced(named.collect()),
            is_kept: excluded(exclusions, "mean", &sid).is_none(),
            raters: spaced(raters),
            sid,
        }
    };
    labels.into_iter().map(row).collect()
}

/// How a list of subjects differs from those that the rule gives.
fn differences(listed: &[String], kept: &BTreeSet<&str>) -> Vec<String> {
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    let note = |subjects: Vec<&str>, why: &str| {
        let more = if subjects.len() > NAMED { ", ..." } else { "" };
        let some = subjects[..subjects.len().min(NAMED)].join(", ");
        (!subjects.is_empty()).then(|| format!("{IMPORTANT}{} of the subjects {why}: {some}{more}", subjects.len()))
    };
    let lacking =
        note(listed.difference(kept).copied().collect(), "are left out by the project's exclusions or have no labels");
    let surplus =
        note(kept.difference(&listed).copied().collect(), "with labels that are not excluded are not in the list");
    [lacking, surplus].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;
    use serde_json::json;

    use super::*;
    use crate::declared::hcp_study::{EXCLUDED, SUBJECTS};
    use crate::test_support::{study, tasks};

    /// A listing in which every subject has labels of every rater, but two of A4; as in the real one.
    fn listing() -> serde_json::Value {
        let mut raters = serde_json::Map::new();
        for rater in ["A1", "A2", "A3", "A4", "mean"] {
            let mut sids = study::all_subjects();
            sids.truncate(if rater == "A4" { 179 } else { 181 });
            let files = sids.iter().map(|sid| (format!("{sid}.labels.hdf5"), json!("https://osf.io/download/x/")));
            raters.insert(rater.to_owned(), serde_json::Value::Object(files.collect()));
        }
        json!({ "normalized": raters, "tables": {} })
    }

    /// Two raters of one hemisphere take a subject out; two raters of two hemispheres, or one, do not.
    fn exclusions() -> serde_json::Value {
        let mut list = vec![json!(["A1", 100610, "lh"]), json!(["A2", "100610", "rh"]), json!(["A3", 102311, "rh"])];
        for (index, sid) in EXCLUDED.iter().enumerate() {
            let hemisphere = if index % 2 == 0 { "lh" } else { "rh" };
            let sid: u64 = sid.parse().unwrap();
            list.extend([json!(["A1", sid, hemisphere]), json!(["A4", sid, hemisphere])]);
        }
        list.into()
    }

    fn run(
        listing: &serde_json::Value,
        exclusions: &serde_json::Value,
        subjects: &[String],
    ) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&LabelsCohort, folder.path());
        for (port, value) in [("listing", listing), ("exclusions", exclusions)] {
            let path = folder.path().join(format!("{port}.json"));
            fs_err::write(&path, value.to_string()).unwrap();
            tasks::give(&mut task, port, &path);
        }
        tasks::set(&mut task, "subjects", Value::List(subjects.iter().cloned().map(Value::Text).collect()));
        let notes = tasks::run(&LabelsCohort, &task).unwrap();
        let table = fs_err::read_to_string(task.output("table").unwrap().join(data_table::CSV)).unwrap();
        (notes, table.lines().map(str::to_owned).collect())
    }

    #[test]
    fn the_rule_gives_the_163_of_the_181() {
        assert_eq!((study::subjects().len(), study::all_subjects().len()), (SUBJECTS, SUBJECTS + EXCLUDED.len()));
        let (notes, table) = run(&listing(), &exclusions(), &study::subjects());
        assert_eq!(notes, Vec::<String>::new(), "the list that ships is what the rule gives");
        assert_eq!(table.len(), 1 + 181);
        assert_eq!(table.iter().filter(|line| line.ends_with(",study")).count(), SUBJECTS);
        assert!(table.contains(&"100610,A1 A2 A3 A4,A1:lh A2:rh,study".to_owned()), "two hemispheres are no agreement");
        assert!(table.contains(&"125525,A1 A2 A3 A4,A1:lh A4:lh,excluded".to_owned()));
        assert_eq!(table.last().unwrap(), "995174,A1 A2 A3,\"\",study");
    }

    #[test]
    fn a_list_that_the_rule_does_not_give_is_noted() {
        let mut subjects = study::subjects();
        subjects[0] = EXCLUDED[0].to_owned();
        let (notes, _) = run(&listing(), &exclusions(), &subjects);
        let [lacking, surplus] = &notes[..] else { panic!("{notes:?}") };
        assert!(lacking.starts_with(IMPORTANT) && lacking.ends_with("have no labels: 125525"), "{lacking}");
        assert!(surplus.ends_with("not in the list: 100610"), "{surplus}");
    }

    #[test]
    fn the_average_can_be_excluded_by_name() {
        let (notes, table) = run(&listing(), &json!([["mean", 100610, "rh"]]), &[]);
        assert!(notes.is_empty() && table.contains(&"100610,A1 A2 A3 A4,mean:rh,excluded".to_owned()));
    }

    #[test]
    #[ignore = "needs the listing of the package neuropythy: `just data`"]
    fn the_real_listing_has_the_181() {
        let real = OsfListing::read(&tasks::data("neuropythy").join("hcp_lines_osftree.json.gz")).unwrap();
        let sids: Vec<String> = labels_of(&real).into_keys().collect();
        assert_eq!(sids, study::all_subjects());
    }
}
