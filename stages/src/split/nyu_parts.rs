//! `split/nyu`: the study's fixed split of the 43 subjects of the NYU Retinotopy Dataset: 34 train, 9 are held out.
//!
//! The list is public, in the study's program and in its options file. Some of the subjects may be absent, or left out; another
//! subject is refused, because the split does not say where it belongs.

use std::collections::BTreeMap;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use super::random::present;
use crate::formats::data_table::{self, Partition, SplitCounts};

/// The subjects that are held out.
const HELD_OUT: [&str; 9] = ["007", "019", "046", "091", "094", "104", "109", "116", "120"];
/// The subjects that train.
const TRAINING: [&str; 34] = [
    "001", "004", "006", "014", "023", "042", "043", "045", "055", "056", "057", "062", "064", "067", "071", "076",
    "079", "081", "083", "084", "085", "086", "087", "088", "090", "092", "095", "105", "114", "115", "117", "118",
    "122", "126",
];
/// What an id has before its number.
const PREFIX: &str = "sub-wlsubj";

/// The kind.
pub struct NyuSplit;

impl StageKind for NyuSplit {
    fn kind(&self) -> Kind {
        Kind::new("split/nyu", 1, "the study's split of the 43 subjects of the NYU Retinotopy Dataset, 34 and 9")
            .gather(
                "subjects",
                &[],
                "one artifact per subject, on the axis `sid`: `sub-wlsubj001` and others of the 43",
            )
            .folder("table", "split", "who trains and who is held out: columns `sid`, `partition` (`trn`, `val`)")
            .described(data_table::FILES, data_table::SPLIT_COLUMNS)
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let subjects = present(task)?;
        let split: BTreeMap<String, Partition> =
            subjects.iter().map(|sid| Ok((sid.clone(), part(sid)?))).collect::<Result<_, Failure>>()?;
        if split.len() < subjects.len() {
            return Err(Failure::input("a subject is listed twice").hint("gather one artifact per subject"));
        }
        context.log(&SplitCounts::of(&split).words());
        data_table::write_split(task.output("table")?, &split)?;
        Ok(Ended::done())
    }
}

fn part(sid: &str) -> Result<Partition, Failure> {
    match sid.strip_prefix(PREFIX) {
        Some(number) if HELD_OUT.contains(&number) => Ok(Partition::Val),
        Some(number) if TRAINING.contains(&number) => Ok(Partition::Trn),
        _ => Err(Failure::input(format!("`{sid}` is none of the 43 subjects of this split"))
            .hint("ids are those of the dataset, such as `sub-wlsubj001`; for others take `split/random`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks;

    fn split(subjects: &[&str], absent: &str) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&NyuSplit, folder.path());
        for sid in subjects {
            tasks::gather(&mut task, "subjects", &[("sid", sid)], (*sid != absent).then_some(folder.path()));
        }
        tasks::run(&NyuSplit, &task)?;
        Ok(fs_err::read_to_string(folder.path().join("table").join(data_table::CSV)).unwrap())
    }

    #[test]
    fn the_parts_are_those_of_the_study() {
        let list = include_str!("../../../pipelines/nyu_subjects.txt");
        let all: Vec<&str> = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert_eq!(all.len(), HELD_OUT.len() + TRAINING.len());
        let table = split(&all, "").unwrap();
        let count = |part: &str| table.lines().filter(|line| line.ends_with(part)).count();
        assert_eq!((count(",trn"), count(",val")), (34, 9));
        assert!(table.contains("sub-wlsubj116,val\n") && table.contains("sub-wlsubj126,trn\n"));
    }

    #[test]
    fn absent_subjects_are_in_neither_part_and_others_are_refused() {
        let table = split(&["sub-wlsubj001", "sub-wlsubj004", "sub-wlsubj007"], "sub-wlsubj004").unwrap();
        assert_eq!(table, "sid,partition\nsub-wlsubj001,trn\nsub-wlsubj007,val\n");
        for other in ["sub-wlsubj121", "100610", "001"] {
            let failure = split(&[other], "").unwrap_err();
            assert_eq!(failure.message, format!("`{other}` is none of the 43 subjects of this split"));
        }
    }
}
