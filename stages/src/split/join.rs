//! `split/join`: the splits of two sets of subjects as one, for figures and tables that show both.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};

use crate::formats::data_table::{self, Partition, SplitCounts};

/// The kind.
pub struct JoinedSplit;

impl StageKind for JoinedSplit {
    fn kind(&self) -> Kind {
        Kind::new("split/join", 1, "the splits of two sets of subjects as one")
            .input("first", &["split"], "a split")
            .input("second", &["split"], "a split of other subjects, with parts of the same names")
            .folder("table", "split", "the rows of both, sorted: columns `sid`, `partition`")
            .described(data_table::FILES, data_table::SPLIT_COLUMNS)
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let mut all = data_table::split(task.one("first")?)?;
        let second = data_table::split(task.one("second")?)?;
        let shared = second.keys().filter(|sid| all.contains_key(*sid)).count();
        if shared > 0 {
            return Err(Failure::input(format!("{shared} subjects are in both splits, expected none"))
                .hint("join splits of different subjects"));
        }
        all.extend(second);
        let has = |parts: &[Partition]| all.values().any(|part| parts.contains(part));
        if has(&Partition::TWO) && has(&Partition::THREE) {
            return Err(Failure::input(
                "one split has two parts (`trn`, `val`) and the other three (`train`, `choose`, `test`)",
            )
            .hint("make both splits with two parts, or both with three"));
        }
        context.log(&SplitCounts::of(&all).words());
        data_table::write_split(task.output("table")?, &all)?;
        Ok(Ended::done())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks;

    fn join(first: &[(&str, Partition)], second: &[(&str, Partition)]) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&JoinedSplit, folder.path());
        for (port, rows) in [("first", first), ("second", second)] {
            let path = folder.path().join(port);
            let split = rows.iter().map(|(sid, part)| ((*sid).to_owned(), *part)).collect();
            data_table::write_split(&path, &split).unwrap();
            tasks::give(&mut task, port, &path);
        }
        tasks::run(&JoinedSplit, &task)?;
        Ok(fs_err::read_to_string(folder.path().join("table").join(data_table::CSV)).unwrap())
    }

    #[test]
    fn both_are_there_and_sorted() {
        let table =
            join(&[("b", Partition::Trn), ("d", Partition::Val)], &[("c", Partition::Val), ("a", Partition::Trn)]);
        assert_eq!(table.unwrap(), "sid,partition\na,trn\nb,trn\nc,val\nd,val\n");
    }

    #[test]
    fn splits_that_do_not_fit_are_refused() {
        let message = |second: &[(&str, Partition)]| join(&[("a", Partition::Trn)], second).unwrap_err().message;
        assert_eq!(message(&[("a", Partition::Val)]), "1 subjects are in both splits, expected none");
        assert!(message(&[("b", Partition::Test)]).starts_with("one split has two parts"));
    }
}
