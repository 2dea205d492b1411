//! `labels/exclude`: a rater's labels, absent where a project's list of exclusions names them.
//!
//! It sits between the labels and the training targets, because the study leaves excluded labels out of training but keeps them in
//! its scores. Decides when a list names a pair of rater and subject: either hemisphere takes the whole pair out, and the derived
//! rater `mean` is out where more than one rater is.

use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};
use serde::Deserialize;

use crate::transfer::local_file::copy;

/// The kind.
pub struct LabelsExclude;

impl StageKind for LabelsExclude {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new(
            "labels/exclude",
            1,
            "A rater's labels, absent where a list of exclusions names them: for training targets.",
        )
        .input("labels", &["labels"], "The labels of one rater and subject.")
        .input(
            "exclusions",
            &[],
            "JSON: a list of [rater, subject, hemisphere], such as `normalized/logs/exclusions.json` of the project `gqnp8`.",
        )
        .folder("labels", "labels", "The same labels.");
        kind.axes = vec!["rater", "sid"];
        kind.absences = vec!["excluded"];
        kind
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let (sid, rater) = (task.coordinate("sid")?, task.coordinate("rater")?);
        let list = task.one("exclusions")?;
        let exclusions = parse(list).map_err(|failure| Failure {
            message: format!("the file {}", failure.message),
            ..failure.at(list.display().to_string())
        })?;
        if let Some(hemisphere) = excluded(&exclusions, rater, sid) {
            return Ok(absent(rater, sid, hemisphere));
        }
        let (from, to) = (task.one("labels")?, task.output("labels")?);
        let mut files = 0;
        for entry in fs_err::read_dir(from).map_err(|error| Failure::io("list", from, &error))? {
            let entry = entry.map_err(|error| Failure::io("list", from, &error))?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
            files += 1;
        }
        if files == 0 {
            return Err(Failure::input("the folder of labels is empty").at(from.display().to_string()));
        }
        Ok(Ended::done())
    }
}

/// How an excluded pair of rater and subject ends.
pub(super) fn absent(rater: &str, sid: &str, hemisphere: &str) -> Ended {
    let detail = format!("the project excludes {hemisphere} of subject `{sid}` by rater `{rater}`");
    Ended::Absent { cause: "excluded".to_owned(), detail }
}

/// Labels that are not to be trained on: rater, subject, hemisphere.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Exclusion(String, Id, String);

/// A subject's id, which the list writes as a number or as text.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    /// As text.
    fn text(&self) -> String {
        match self {
            Id::Number(number) => number.to_string(),
            Id::Text(text) => text.clone(),
        }
    }

    fn is(&self, sid: &str) -> bool {
        match self {
            Id::Number(number) => number.to_string() == sid,
            Id::Text(text) => text == sid,
        }
    }
}

impl Exclusion {
    /// The rater.
    pub(super) fn rater(&self) -> &str {
        &self.0
    }

    /// The subject.
    pub(super) fn sid(&self) -> String {
        self.1.text()
    }

    /// The hemisphere.
    pub(super) fn hemisphere(&self) -> &str {
        &self.2
    }
}

/// Reads a list of exclusions. The message of a failure has no subject: it goes on from "the file ...".
pub(super) fn parse(file: &Path) -> Result<Vec<Exclusion>, Failure> {
    let bytes = fs_err::read(file).map_err(|error| Failure::io("read", file, &error))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::input(format!("is not a list of [rater, subject, hemisphere]: {error}")))
}

/// The hemisphere that excludes a (rater, subject), if one does; either takes the whole pair out. The derived rater
/// `mean` is excluded where more than one rater is.
pub(super) fn excluded(exclusions: &[Exclusion], rater: &str, sid: &str) -> Option<&'static str> {
    ["lh", "rh"].into_iter().find(|hemisphere| {
        let here = exclusions.iter().filter(|Exclusion(_, id, h)| id.is(sid) && h == hemisphere);
        let mut raters: Vec<&str> = here.map(|Exclusion(rater, _, _)| rater.as_str()).collect();
        raters.sort_unstable();
        raters.dedup();
        raters.contains(&rater) || (rater == "mean" && raters.len() > 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks;

    const LIST: &str = r#"[["A1", 100610, "lh"], ["A2", "100610", "lh"], ["A3", 102311, "rh"]]"#;

    #[test]
    fn one_hemisphere_excludes_the_pair_and_two_raters_the_mean() {
        let list: Vec<Exclusion> = serde_json::from_str(LIST).unwrap();
        assert_eq!(excluded(&list, "A1", "100610"), Some("lh"));
        assert_eq!(excluded(&list, "A2", "100610"), Some("lh"));
        assert_eq!(excluded(&list, "A3", "100610"), None);
        assert_eq!(excluded(&list, "A3", "102311"), Some("rh"));
        assert_eq!(excluded(&list, "mean", "100610"), Some("lh"));
        assert_eq!(excluded(&list, "mean", "102311"), None);
        let twice: Vec<Exclusion> = serde_json::from_str(r#"[["A1", 5, "lh"], ["A1", "5", "lh"]]"#).unwrap();
        assert_eq!(excluded(&twice, "mean", "5"), None, "one rater, listed twice");
    }

    #[test]
    fn listed_labels_are_absent_and_the_others_are_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("list.json"), LIST).unwrap();
        let given = tasks::labels(&folder.path().join("given"), &[0, 1, 2]);
        let run = |rater: &str, sid: &str| {
            let out = folder.path().join(rater);
            fs_err::create_dir_all(&out).unwrap();
            let mut task = tasks::task(&LabelsExclude, &out);
            task.at = [("rater", rater), ("sid", sid)].into_iter().collect();
            tasks::give(&mut task, "labels", &given);
            tasks::give(&mut task, "exclusions", &folder.path().join("list.json"));
            (LabelsExclude.run(&task, &pipe_contract::Silent).unwrap(), out.join("labels"))
        };
        let (ended, out) = run("A2", "100610");
        let Ended::Absent { cause, detail } = ended else { panic!("{ended:?}") };
        assert_eq!((cause.as_str(), out.exists()), ("excluded", false));
        assert_eq!(detail, "the project excludes lh of subject `100610` by rater `A2`");
        let (ended, out) = run("A4", "100610");
        assert_eq!(ended, Ended::done());
        for name in ["lh.area.mgz", "rh.ring.mgz"] {
            assert_eq!(fs_err::read(out.join(name)).unwrap(), fs_err::read(given.join(name)).unwrap());
        }
    }

    #[test]
    fn another_file_than_a_list_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("list.json"), r#"{"A1": 1}"#).unwrap();
        let mut task = tasks::task(&LabelsExclude, folder.path());
        task.at = [("rater", "A1"), ("sid", "1")].into_iter().collect();
        tasks::give(&mut task, "labels", folder.path());
        tasks::give(&mut task, "exclusions", &folder.path().join("list.json"));
        let failure = tasks::run(&LabelsExclude, &task).unwrap_err();
        assert!(failure.message.starts_with("the file is not a list of [rater, subject, hemisphere]"), "{failure}");
    }
}
