//! The subjects of the study, for tests.

use crate::declared::hcp_study::EXCLUDED;

/// The list that ships.
const LIST: &str = include_str!("../../../pipelines/hcp_subjects.txt");

/// The subjects of the study, in the order of the list that ships.
pub fn subjects() -> Vec<String> {
    LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Those and the excluded ones, sorted: all subjects with manual labels.
pub fn all_subjects() -> Vec<String> {
    let mut all: Vec<String> = subjects().into_iter().chain(EXCLUDED.map(str::to_owned)).collect();
    all.sort();
    all
}
