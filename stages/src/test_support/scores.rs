//! Scores to vary, and tasks about them.

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::{StageKind, Task};

use crate::formats::data_table::{self, Partition};
use crate::formats::score_table::{self, Score};
use crate::test_support::tasks;

/// The score of a model against rater `A1`, of the mean over areas.
pub fn score(sid: &str, hemisphere: &str, tag: &str, value: f64) -> Score {
    Score {
        dataset: "HCP".into(),
        sid: sid.into(),
        hemisphere: hemisphere.into(),
        parcellation: "area".into(),
        method1: "A1".into(),
        method2: tag.into(),
        tag: tag.into(),
        label: "mean".into(),
        score: value,
    }
}

/// A task about the scores of four subjects, the first of which was trained on: model `anat` in both hemispheres, and of the last subject
/// model `func` too.
pub fn task_of_held_out(stage: &dyn StageKind, folder: &Path) -> Task {
    let mut task = tasks::task(stage, folder);
    let mut split = BTreeMap::new();
    for (sid, partition) in
        [("s01", Partition::Trn), ("s02", Partition::Val), ("s03", Partition::Val), ("s04", Partition::Val)]
    {
        let tags: &[&str] = if sid == "s04" { &["anat", "func"] } else { &["anat"] };
        let of_both = |tag: &&str| ["lh", "rh"].map(|hemisphere| score(sid, hemisphere, tag, 0.5));
        let rows: Vec<Score> = tags.iter().flat_map(of_both).collect();
        let table = folder.join(sid);
        data_table::write(&table, &mut score_table::table(&rows, false).unwrap()).unwrap();
        tasks::gather(&mut task, "scores", &[("sid", sid)], Some(&table));
        split.insert(sid.to_owned(), partition);
    }
    data_table::write_split(&folder.join("split"), &split).unwrap();
    tasks::give(&mut task, "split", &folder.join("split"));
    task
}
