//! `grid/partition`: the split that a published partition id stands for.
//!
//! An id is the list of all subjects in ascending order as a number in binary: 1 for a subject that trains, 0 for one
//! that validates. That of the grid search is public (it does not follow families, so it says nothing about who is
//! related); the id of the paper's final split, which follows them, is not.

use std::collections::BTreeMap;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};

use crate::formats::data_table::{self, Partition, SplitCounts};

/// The kind.
pub(super) struct PublicPartition;

parameters! {
    struct Parameters {
        /// the partition id: `0x` and hexadecimal digits, a bit a subject
        id: String;
        /// how many subjects the id is about; with another number its bits would be those of other subjects
        subjects: usize, in 1..=100_000;
    }
}

impl StageKind for PublicPartition {
    fn kind(&self) -> Kind {
        Kind::new("grid/partition", 1, "The split that a published partition id stands for.")
            .gather(
                "subjects",
                &[],
                "One artifact per subject (axis `sid`), all that the id is about; absent ones have a bit and no part.",
            )
            .folder("table", "split", "Who trains and who validates: columns `sid`, `partition` (`trn`, `val`).")
            .described(data_table::FILES, data_table::SPLIT_COLUMNS)
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { id, subjects } = task.parameters()?;
        let mut all = BTreeMap::new();
        for cell in task.many("subjects") {
            let sid = cell.at.get("sid").ok_or_else(|| {
                Failure::input(format!(
                    "an artifact at port `subjects` has the coordinates [{}], expected one on `sid`",
                    cell.at
                ))
                .hint("gather a stage that has the axis `sid`: `subjects: $subject(*).files`")
            })?;
            all.insert(sid.clone(), matches!(cell.artifact, pipe_contract::Presence::Present(_)));
        }
        let sids: Vec<String> = all.keys().cloned().collect();
        if sids.len() != subjects {
            return Err(Failure::input(format!("the partition id is about {subjects} subjects, found {}", sids.len()))
                .hint("gather all subjects that the id is about, also those whose files are missing"));
        }
        let mut split = decoded(&id, &sids)?;
        split.retain(|sid, _| all[sid]);
        context.log(&SplitCounts::of(&split).words());
        data_table::write_split(task.output("table")?, &split)?;
        Ok(Ended::noted(task.absences("subjects").into_iter().collect()))
    }
}

/// Subjects in ascending order: by number where all ids are numbers, as in the original, else as text.
fn ascending(sids: &[String]) -> Vec<&String> {
    let mut sorted: Vec<&String> = sids.iter().collect();
    let number = |sid: &str| sid.parse::<u64>().ok();
    if sids.iter().all(|sid| number(sid).is_some()) {
        sorted.sort_by_key(|sid| (number(sid), *sid));
    } else {
        sorted.sort();
    }
    sorted
}

/// The parts of all subjects. A number with fewer digits than subjects begins with zeros.
fn decoded(id: &str, sids: &[String]) -> Result<BTreeMap<String, Partition>, Failure> {
    let unfit = |what: String| {
        Failure::input(what).hint("a partition id looks like `0x3ffbe8`: a bit a subject, the first subject's first")
    };
    let digits = id.strip_prefix("0x").filter(|digits| !digits.is_empty());
    let digits =
        digits.ok_or_else(|| unfit(format!("found the partition id `{id}`, expected `0x` and hexadecimal digits")))?;
    let mut bits = Vec::new();
    for digit in digits.chars() {
        let value = digit
            .to_digit(16)
            .ok_or_else(|| unfit(format!("`{digit}` in the partition id is not a hexadecimal digit")))?;
        bits.extend((0..4).rev().map(|bit| value >> bit & 1 == 1));
    }
    let first = bits.iter().position(|bit| *bit).unwrap_or(bits.len());
    let significant = &bits[first..];
    let Some(zeros) = sids.len().checked_sub(significant.len()) else {
        return Err(unfit(format!("the partition id has {} bits, found {} subjects", significant.len(), sids.len())));
    };
    let trains = std::iter::repeat_n(false, zeros).chain(significant.iter().copied());
    let part = |trains| if trains { Partition::Trn } else { Partition::Val };
    Ok(ascending(sids).into_iter().zip(trains).map(|(sid, trains)| (sid.clone(), part(trains))).collect())
}

/// The id of two lists, and how long they are: `0x2f (5 train, 2 validate)`.
pub(super) fn in_words(training: &[String], validation: &[String]) -> String {
    let all: Vec<String> = training.iter().chain(validation).cloned().collect();
    let bits: Vec<bool> = ascending(&all).into_iter().map(|sid| training.contains(sid)).collect();
    let padding = std::iter::repeat_n(false, (4 - bits.len() % 4) % 4);
    let bits: Vec<bool> = padding.chain(bits).collect();
    let digit = |four: &[bool]| four.iter().fold(0, |value, bit| value * 2 + u32::from(*bit));
    let digits: String = bits.chunks(4).filter_map(|four| char::from_digit(digit(four), 16)).collect();
    let digits = digits.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    format!("0x{digits} ({} train, {} validate)", training.len(), validation.len())
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::test_support::tasks::{self, gather, set, task};

    fn sids(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_id_is_a_bit_a_subject_in_ascending_order() {
        let all = sids(&["900", "1000", "20", "7", "30"]);
        let split = decoded("0xb", &all).unwrap();
        let trains: Vec<&str> = split.iter().filter(|(_, part)| part.trains()).map(|(sid, _)| sid.as_str()).collect();
        // 7, 20, 30, 900, 1000 are 0, 1, 0, 1, 1.
        assert_eq!(trains, ["1000", "20", "900"]);
        assert_eq!(in_words(&sids(&["900", "1000", "20"]), &sids(&["7", "30"])), "0xb (3 train, 2 validate)");
        assert_eq!(in_words(&[], &sids(&["7"])), "0x0 (0 train, 1 validate)");
    }

    #[test]
    fn an_id_that_does_not_fit_is_refused() {
        let message = |id: &str| decoded(id, &sids(&["1", "2", "3"])).unwrap_err().message;
        assert_eq!(message("0x1f"), "the partition id has 5 bits, found 3 subjects");
        assert!(message("7").contains("expected `0x`") && message("0x").contains("expected `0x`"));
        assert_eq!(message("0x1g"), "`g` in the partition id is not a hexadecimal digit");
    }

    #[test]
    fn absent_subjects_have_a_bit_and_no_part() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task(&PublicPartition, folder.path());
        for (sid, there) in [("10", true), ("11", false), ("12", true), ("9", true)] {
            gather(&mut task, "subjects", &[("sid", sid)], there.then_some(folder.path()));
        }
        set(&mut task, "id", Value::Text("0x6".into()));
        set(&mut task, "subjects", Value::Int(4));
        tasks::run(&PublicPartition, &task).unwrap();
        let split = data_table::split(task.output("table").unwrap()).unwrap();
        // 9, 10, 11, 12 are 0, 1, 1, 0.
        let expected = [("10", Partition::Trn), ("12", Partition::Val), ("9", Partition::Val)];
        assert_eq!(split, expected.map(|(sid, part)| (sid.to_owned(), part)).into_iter().collect());
        set(&mut task, "subjects", Value::Int(5));
        let failure = tasks::run(&PublicPartition, &task).unwrap_err();
        assert_eq!(failure.message, "the partition id is about 5 subjects, found 4");
    }

    /// The lists of the original's `grid-params.json`, and the 163 subjects of the shipped list.
    #[test]
    #[ignore = "reads real data that is not part of the project"]
    fn the_shipped_id_is_the_published_partition() {
        let path = tasks::data("visual-autolabel").join("grid-params.json");
        let text = fs_err::read_to_string(path).unwrap();
        let parameters: serde_json::Value = serde_json::from_str(&text).unwrap();
        let side = |index: usize| -> Vec<String> {
            let ids = parameters["static"]["partition"][index].as_array().unwrap();
            ids.iter().map(ToString::to_string).collect()
        };
        let (training, validation) = (side(0), side(1));
        let pipelines = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines");
        let shipped = fs_err::read_to_string(pipelines.join("gridsearch.yaml")).unwrap();
        let id = in_words(&training, &validation).split(' ').next().unwrap().to_owned();
        assert!(shipped.contains(&format!("id: \"{id}\"")), "{id} is not in the shipped pipeline");
        let list = fs_err::read_to_string(pipelines.join("hcp_subjects.txt")).unwrap();
        let sids: Vec<String> = list.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        let split = decoded(&id, &sids).unwrap();
        for (sids, part) in [(training, Partition::Trn), (validation, Partition::Val)] {
            assert!(sids.iter().all(|sid| split[sid] == part));
        }
        assert_eq!(SplitCounts::of(&split).words(), "130 subjects train; 33 choose the weights and are scored");
    }
}
