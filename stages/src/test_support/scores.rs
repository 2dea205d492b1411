//! A score to vary.

use crate::formats::score_table::Score;

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
