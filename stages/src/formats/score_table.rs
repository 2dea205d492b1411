//! The rows of score tables: what `score/dice` writes and summaries, partitions and figures read.
//!
//! Decides the columns and their order (those of the original analysis: `dataset`, `sid`, `hemisphere`, `parcellation`,
//! `method1`, `method2`, `tag`, `label`, `score`), the order of tags and labels wherever they are listed, and that the scores
//! of a subject count if its part of the split is `test`, or `val` where the split has two parts. Does not depend on how a score is made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe_contract::{Column, Failure};
use polars::prelude::DataFrame;

use super::data_table::{self, DataTable, Partition, STAMP, SplitCounts};

/// The label of the mean over labels.
pub const MEAN: &str = "mean";

/// The tag of a pair of raters.
pub const RELIABILITY: &str = "rely";

/// The dataset of simulated subjects.
pub const SIMULATED: &str = "simulated";

/// The columns of the published figures, in their order: a dataset and a tag. `NYU` appears for areas only.
pub const COLUMNS: [(&str, &str); 14] = [
    ("HCP", "prior"),
    ("HCP", "inf"),
    ("HCP", "anat"),
    ("HCP", "t1t2"),
    ("HCP", "trac"),
    ("HCP", "nofn"),
    ("HCP", "full"),
    ("HCP", "func"),
    ("HCP", "nodw"),
    ("HCP", "not2"),
    ("HCP", RELIABILITY),
    ("NYU", "anat"),
    ("NYU", "func"),
    ("NYU", "fnyu"),
];

/// The column `dataset` of every table.
pub const DATASET_COLUMN: Column = Column::new("dataset", "where the subjects come from").levels(&[
    ("HCP", "Human Connectome Project"),
    ("NYU", "NYU Retinotopy Dataset"),
    (SIMULATED, "simulated subjects"),
]);
/// The column `hemisphere` of tables with a row each.
pub const HEMISPHERE_COLUMN: Column = Column::new("hemisphere", "the hemisphere").levels(HEMISPHERES);
/// Words for hemispheres.
const HEMISPHERES: &[(&str, &str)] = &[("lh", "left"), ("rh", "right")];
/// The column `parcellation` of every table.
pub const PARCELLATION_COLUMN: Column = Column::new("parcellation", "what the cortex is divided into")
    .levels(&[("area", "visual areas V1, V2 and V3"), ("ring", "five rings of eccentricity")]);
/// The column `label` of every table.
pub const LABEL_COLUMN: Column = Column::new("label", "number of the area or ring that is scored").levels(&[
    ("1", "V1, or the ring 0-0.5 deg"),
    ("2", "V2, or the ring 0.5-1 deg"),
    ("3", "V3, or the ring 1-2 deg"),
    ("4", "the ring 2-4 deg"),
    ("5", "the ring 4-7 deg"),
    (MEAN, "the mean over all areas or rings"),
]);
/// The column `region` of tables for readers.
pub const REGION_COLUMN: Column =
    Column::new("region", "what `label` is: an area, the degrees of eccentricity of a ring, or `mean`");
/// The column `tag` of every table.
pub const TAG_COLUMN: Column = Column::new(
    "tag",
    "whose labels are scored against a rater's; empty for pairs without a rater, which are in no figure",
)
.levels(TAGS);
/// What a Dice score is, as the unit of columns.
pub const DICE_UNIT: &str = "Dice score, 0 to 1";

/// The column `low` of tables of means.
pub const LOW_COLUMN: Column = Column::measured("low", DICE_UNIT, "lower end of the interval around the mean");
/// The column `high` of tables of means.
pub const HIGH_COLUMN: Column = Column::measured("high", DICE_UNIT, "upper end of the interval around the mean");
/// The column `level` of tables of means.
pub const LEVEL_COLUMN: Column = Column::measured(
    "level",
    "share, 0 to 1",
    "confidence level of the interval, corrected for `comparisons` intervals",
);

/// The columns of a table of scores.
pub const SCORE_COLUMNS: &[Column] = &[
    DATASET_COLUMN,
    Column::new("sid", "the subject"),
    HEMISPHERE_COLUMN,
    PARCELLATION_COLUMN,
    Column::new(
        "method1",
        "of the two that are compared, the one whose name comes first: a rater, a model's inputs, `prior` or `inf`",
    ),
    Column::new("method2", "the other one"),
    TAG_COLUMN,
    LABEL_COLUMN,
    Column::measured(
        "score",
        DICE_UNIT,
        "how well the two agree: twice the vertices that have the label in both, divided by the sum of those that have it in each",
    ),
    STAMP,
];

/// How many intervals a published figure draws, the number for which they are corrected: two hemispheres times 14 columns for
/// areas, 11 for rings.
pub fn comparisons(parcellation: &str) -> u32 {
    if parcellation == "ring" { 22 } else { 28 }
}

/// What a parcellation's labels are called, in the order of the numbers 1, 2, ...
///
/// # Errors
/// Input: neither `area` nor `ring`.
pub fn label_names(parcellation: &str) -> Result<&'static [&'static str], Failure> {
    match parcellation {
        "area" => Ok(&["V1", "V2", "V3"]),
        // The original figures count rings from one: E1 is 0 to 0.5 degrees.
        "ring" => Ok(&["E1", "E2", "E3", "E4", "E5"]),
        _ => Err(Failure::input(format!("expected the outputs `area` or `ring`, found `{parcellation}`"))
            .hint("name the coordinates of the axis `outputs` `area` and `ring`")),
    }
}

/// One score of one pair of methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Where the subject comes from, such as `HCP`.
    pub dataset: String,
    /// The subject.
    pub sid: String,
    /// `lh` or `rh`.
    pub hemisphere: String,
    /// `area` or `ring`.
    pub parcellation: String,
    /// The method whose name sorts first.
    pub method1: String,
    /// The other one.
    pub method2: String,
    /// The model's code if one of the two is a rater, `rely` if both are, empty if neither is.
    pub tag: String,
    /// `1`, `2`, ... or `mean`.
    pub label: String,
    /// The score, 0 to 1.
    pub score: f64,
}

/// Scores as a table with the columns in the original's order, rows in the order given.
///
/// # Errors
/// Internal: see [`DataTable::build`].
pub fn table(scores: &[Score], simulated: bool) -> Result<DataFrame, Failure> {
    let text = |field: fn(&Score) -> &str| scores.iter().map(field).collect::<Vec<_>>();
    DataTable::of(SCORE_COLUMNS)
        .text("dataset", text(|s| &s.dataset))
        .text("sid", text(|s| &s.sid))
        .text("hemisphere", text(|s| &s.hemisphere))
        .text("parcellation", text(|s| &s.parcellation))
        .text("method1", text(|s| &s.method1))
        .text("method2", text(|s| &s.method2))
        .text("tag", text(|s| &s.tag))
        .text("label", text(|s| &s.label))
        .numbers("score", scores.iter().map(|s| s.score))
        .stamped(simulated)
        .build()
}

/// Reads a table of scores.
///
/// # Errors
/// As [`data_table::read`] and [`data_table::texts`]; Input: a score that is not a number from 0 to 1.
pub fn read(folder: &Path) -> Result<Vec<Score>, Failure> {
    let at = |failure: Failure| failure.at(folder.display().to_string());
    let frame = data_table::read(folder)?;
    let text = |name: &str| data_table::texts(&frame, name).map(Vec::into_iter).map_err(at);
    let (mut dataset, mut sid, mut hemisphere) = (text("dataset")?, text("sid")?, text("hemisphere")?);
    let (mut parcellation, mut method1, mut method2) = (text("parcellation")?, text("method1")?, text("method2")?);
    let (mut tag, mut label) = (text("tag")?, text("label")?);
    let scores = data_table::numbers(&frame, "score").map_err(at)?;
    if let Some(bad) = scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
        return Err(at(Failure::input(format!("found the score {bad}, expected a number from 0 to 1"))));
    }
    // All columns have the height of the table, so every `next` has a value; a short one would only end the rows.
    let mut row = |score: f64| {
        Some(Score {
            dataset: dataset.next()?,
            sid: sid.next()?,
            hemisphere: hemisphere.next()?,
            parcellation: parcellation.next()?,
            method1: method1.next()?,
            method2: method2.next()?,
            tag: tag.next()?,
            label: label.next()?,
            score,
        })
    };
    Ok(scores.into_iter().map_while(&mut row).collect())
}

/// The tagged scores of held-out subjects.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// Their scores that have a tag, in the order of tables and rows.
    pub scores: Vec<Score>,
    /// The subjects, sorted.
    pub subjects: BTreeSet<String>,
    /// The one parcellation of all scores.
    pub parcellation: String,
    /// How the subjects were split.
    pub split: SplitCounts,
}

impl HeldOut {
    /// Keeps the tagged scores of subjects who are held out in `split`.
    ///
    /// # Errors
    /// Input: no table, no held-out subject among them, a subject who is not in the split, or scores of several parcellations;
    /// and as [`read`].
    pub fn read<'a>(
        tables: impl IntoIterator<Item = &'a Path>,
        split: &BTreeMap<String, Partition>,
    ) -> Result<Self, Failure> {
        let (mut scores, mut parcellations, mut unknown) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for folder in tables {
            for score in read(folder)? {
                match split.get(&score.sid) {
                    None => drop(unknown.insert(score.sid)),
                    Some(part) if part.is_scored() && !score.tag.is_empty() => {
                        parcellations.insert(score.parcellation.clone());
                        scores.push(score);
                    }
                    Some(_) => {}
                }
            }
        }
        // Counted, not named: the sides of a split by families reveal relatives.
        if !unknown.is_empty() {
            return Err(Failure::input(format!("subjects who are scored but not in the split: {}", unknown.len()))
                .hint("make split and scores from the same list of subjects"));
        }
        let subjects: BTreeSet<String> = scores.iter().map(|score| score.sid.clone()).collect();
        let mut parcellations = parcellations.into_iter();
        match (parcellations.next(), parcellations.next()) {
            (None, _) => Err(Failure::input("no held-out subject has a score, expected at least one")
                .hint("hold out more subjects (`held_out` of the split), or score those who are held out")),
            (Some(parcellation), None) => Ok(Self { scores, subjects, parcellation, split: SplitCounts::of(split) }),
            (Some(first), Some(second)) => {
                Err(Failure::input(format!("found scores of `{first}` and of `{second}`, expected one parcellation"))
                    .hint("give the stage the axis `outputs`, so that it reads the scores of one output"))
            }
        }
    }

    /// The columns that these scores fill, those of the published figures first, in their order; then others by name;
    /// `rely` closes its dataset.
    pub fn columns(&self) -> Vec<(String, String)> {
        let there: BTreeSet<(&str, &str)> = self.scores.iter().map(|s| (s.dataset.as_str(), s.tag.as_str())).collect();
        let mut columns: Vec<_> = there.into_iter().collect();
        columns.sort_by_key(|(dataset, tag)| column_rank(dataset, tag));
        columns.into_iter().map(|(dataset, tag)| (dataset.to_string(), tag.to_string())).collect()
    }

    /// The labels of these scores: numbers ascending, then `mean`.
    pub fn labels(&self) -> Vec<String> {
        let there: BTreeSet<(u64, &str)> =
            self.scores.iter().map(|s| (label_rank(&s.label), s.label.as_str())).collect();
        there.into_iter().map(|(_, label)| label.to_string()).collect()
    }

    /// The scores of one column and label, of one hemisphere or of both.
    pub fn values(&self, column: &(String, String), label: &str, hemisphere: Option<&str>) -> Vec<f64> {
        self.select(column, label, hemisphere).map(|score| score.score).collect()
    }

    /// How many subjects have a score of this column and label, in one hemisphere or in any.
    pub fn subjects_with(&self, column: &(String, String), label: &str, hemisphere: Option<&str>) -> usize {
        self.select(column, label, hemisphere).map(|score| score.sid.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// The fewest subjects behind a mean of any column and label in one hemisphere or both.
    pub fn fewest_subjects(&self) -> usize {
        let mut cells = BTreeMap::<_, BTreeSet<&str>>::new();
        for Score { dataset, tag, label, hemisphere, sid, .. } in &self.scores {
            cells.entry((dataset, tag, label, hemisphere)).or_default().insert(sid);
        }
        cells.values().map(BTreeSet::len).min().unwrap_or(0)
    }

    fn select<'a>(
        &'a self,
        column: &'a (String, String),
        label: &'a str,
        hemisphere: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Score> {
        self.scores.iter().filter(move |score| {
            score.dataset == column.0
                && score.tag == column.1
                && score.label == label
                && hemisphere.is_none_or(|hemisphere| score.hemisphere == hemisphere)
        })
    }
}

/// The rank of a column: its dataset (those of the published figures first), then its tag.
fn column_rank(dataset: &str, tag: &str) -> (usize, String, usize, String) {
    let dataset_rank = match dataset {
        "HCP" => 0,
        "NYU" => 1,
        _ => 2,
    };
    let known = COLUMNS.iter().position(|(known, code)| *code == tag && (*known == dataset || dataset_rank == 2));
    let tag_rank = match known {
        _ if tag == RELIABILITY => COLUMNS.len() + 1,
        Some(rank) => rank,
        None => COLUMNS.len(),
    };
    (dataset_rank, dataset.to_string(), tag_rank, tag.to_string())
}

/// Numbers by value, then everything else.
fn label_rank(label: &str) -> u64 {
    label.parse().unwrap_or(u64::MAX)
}

/// What a label is, for readers who do not know the codes: `V1`, the degrees of a ring, or `mean`.
pub fn region(parcellation: &str, label: &str) -> String {
    const RINGS: [&str; 5] = ["0-0.5 deg", "0.5-1 deg", "1-2 deg", "2-4 deg", "4-7 deg"];
    let number = label.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    match (parcellation, number.and_then(|number| RINGS.get(number))) {
        ("ring", Some(ring)) => (*ring).to_string(),
        _ => label_name(parcellation, label),
    }
}

/// What a tag's scores are of, for readers who do not know the codes; nothing for codes that are not the paper's.
pub fn explained(tag: &str) -> Option<&'static str> {
    TAGS.iter().find(|(code, _)| *code == tag).map(|(_, words)| *words)
}

/// The paper's tags.
const TAGS: &[(&str, &str)] = &[
    ("prior", "template without a network"),
    ("inf", "Bayesian maps"),
    ("anat", "anatomy"),
    ("t1t2", "anatomy and T2"),
    ("trac", "anatomy and diffusion"),
    ("nofn", "anatomy, T2 and diffusion"),
    ("full", "all inputs"),
    ("func", "anatomy and function"),
    ("nodw", "anatomy, T2 and function"),
    ("not2", "anatomy, diffusion and function"),
    ("fnyu", "func, trained further on NYU"),
    (RELIABILITY, "raters among themselves"),
];

/// A name for a label in figures: `V1` or `E1` for numbers, itself for `mean`.
pub fn label_name(parcellation: &str, label: &str) -> String {
    let names = label_names(parcellation).unwrap_or_default();
    let number = label.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    number.and_then(|number| names.get(number)).map_or_else(|| label.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(sid: &str, dataset: &str, tag: &str, label: &str) -> Score {
        Score {
            dataset: dataset.into(),
            sid: sid.into(),
            hemisphere: "lh".into(),
            parcellation: "area".into(),
            method1: "A1".into(),
            method2: tag.into(),
            tag: tag.into(),
            label: label.into(),
            score: 0.5,
        }
    }

    fn written(scores: &[Score]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        data_table::write(folder.path(), &mut table(scores, false).unwrap()).unwrap();
        folder
    }

    fn split(subjects: &[(&str, Partition)]) -> BTreeMap<String, Partition> {
        subjects.iter().map(|(sid, side)| ((*sid).to_string(), *side)).collect()
    }

    #[test]
    fn scores_are_read_back() {
        let scores = [score("010512", "HCP", "anat", "1"), score("s", "HCP", "", MEAN)];
        assert_eq!(read(written(&scores).path()).unwrap(), scores);
    }

    #[test]
    fn only_tagged_scores_of_held_out_subjects_count() {
        let a = written(&[score("a", "HCP", "anat", "1"), score("a", "HCP", "", "1")]);
        let b = written(&[score("b", "HCP", "anat", "1")]);
        let sides = split(&[("a", Partition::Val), ("b", Partition::Trn)]);
        let held_out = HeldOut::read([a.path(), b.path()], &sides).unwrap();
        assert_eq!(held_out.subjects.into_iter().collect::<Vec<_>>(), ["a"]);
        assert_eq!(held_out.scores.len(), 1);
        let three = split(&[("a", Partition::Test), ("b", Partition::Choose)]);
        let held_out = HeldOut::read([a.path(), b.path()], &three).unwrap();
        assert_eq!(held_out.subjects.into_iter().collect::<Vec<_>>(), ["a"], "who chooses is not scored");
        let failure = HeldOut::read([b.path()], &sides).unwrap_err();
        assert!(failure.message.starts_with("no held-out subject"), "{failure}");
        let failure = HeldOut::read([b.path()], &split(&[])).unwrap_err();
        assert_eq!(failure.message, "subjects who are scored but not in the split: 1");
        assert!(failure.place.is_none(), "a path may hold the id");
    }

    #[test]
    fn columns_are_ordered_as_in_the_paper_and_labels_by_number() {
        let tags =
            [("NYU", "anat"), ("HCP", "rely"), ("HCP", "anat"), ("HCP", "mine"), ("HCP", "prior"), ("NYU", "fnyu")];
        let scores: Vec<Score> =
            tags.iter().flat_map(|(d, t)| [MEAN, "10", "2"].map(|l| score("a", d, t, l))).collect();
        let held_out =
            HeldOut { scores, subjects: BTreeSet::new(), parcellation: "area".into(), split: SplitCounts::default() };
        let names: Vec<String> = held_out.columns().into_iter().map(|(d, t)| format!("{d} {t}")).collect();
        assert_eq!(names, ["HCP prior", "HCP anat", "HCP mine", "HCP rely", "NYU anat", "NYU fnyu"]);
        assert_eq!(held_out.labels(), ["2", "10", "mean"]);
    }

    #[test]
    fn labels_have_names() {
        assert_eq!(["V1", "V3", "mean"], ["1", "3", "mean"].map(|label| label_name("area", label)));
        assert_eq!(label_name("ring", "1"), "E1");
        assert_eq!(["V2", "mean"], ["2", "mean"].map(|label| region("area", label)));
        assert_eq!([region("ring", "1"), region("ring", "5")], ["0-0.5 deg", "4-7 deg"]);
        assert!(COLUMNS.iter().all(|(_, tag)| explained(tag).is_some()));
        assert!(label_names("sect").is_err());
    }
}
