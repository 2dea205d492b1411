//! `split/legacy`: the split that NumPy's legacy generator drew for a lab, bit for bit.
//!
//! Tested are the stimuli of a column of truth values. Of the others a share, rounded up, chooses penalties: positions of all others are
//! shuffled (`numpy.random.seed`, `numpy.random.shuffle`), the last ones choose. Shuffling decides only who that is: every part is in
//! the order of the table. Each subject has a seed of its own.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::stimuli::{self, Stimuli};
use crate::formats::data_table;
use crate::numeric::counts::real;
use crate::numeric::legacy_random::LegacyRandom;

/// The kind.
pub(super) struct Legacy;

parameters! {
    struct Parameters {
        /// the column of truth values whose stimuli are tested
        test: String = "shared1000".to_owned();
        /// share of the other stimuli that choose penalties, rounded up
        held_out: f64 = 0.1, in 0.0..=1.0;
        /// the seed of each subject
        seeds: Vec<u32> = vec![171_301, 42_102, 490_304, 521_005, 11_407, 501_610, 552_211, 450_013, 824_387];
        /// the subject, from 1
        subject: usize = 1, in 1..=1_000_000;
    }
}

impl StageKind for Legacy {
    fn kind(&self) -> Kind {
        let kind = Kind::new("split/legacy", 1, "the split of stimuli that NumPy's legacy generator draws");
        stimuli::declare(kind, "a table of stimuli, with a column of truth values that says which are tested")
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { test, held_out, seeds, subject } = task.parameters()?;
        let stimuli = Stimuli::read(task)?;
        let seed = seeds.get(subject - 1).ok_or_else(|| {
            Failure::input(format!("`subject` is {subject}, but `seeds` are of {} subjects", seeds.len()))
        })?;
        let is_tested = stimuli.column(&test, data_table::flags)?;
        let (test, mut others): (Vec<usize>, Vec<usize>) = (0..is_tested.len()).partition(|at| is_tested[*at]);
        LegacyRandom::seeded(*seed).shuffle(&mut others);
        let choose = others.split_off(others.len() - held_out_of(others.len(), held_out));
        stimuli.write(task, context, &[[others, choose, test]])
    }
}

/// How many are held out: Python's `int(numpy.ceil(count * share))`, with its rounding of the product.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the count")]
fn held_out_of(count: usize, share: f64) -> usize {
    ((real(count) * share).ceil() as usize).min(count)
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::formats::stimulus_split::Fold;
    use crate::split::stimuli::tests::split;

    /// Stimuli `0` to `count - 1`, of which every tenth is tested.
    fn table(count: i64) -> DataTable {
        let ids = (0..count).map(|number| number.to_string());
        DataTable::new().text("id", ids).flags("shared1000", (0..count).map(|number| number % 10 == 3))
    }

    fn sampled(count: i64, set: &[(&str, Value)]) -> Fold {
        split(&Legacy, table(count), set, None).unwrap().0.folds.remove(0)
    }

    // Expected numbers are NumPy's, by `tests/fidelity/encoding/make_data_goldens.py`.

    #[test]
    fn parts_are_those_of_numpy() {
        let fold = sampled(30, &[]);
        assert_eq!(fold.test, ["3", "13", "23"]);
        assert_eq!(fold.choose, ["2", "14", "25"]);
        assert_eq!(fold.train.len(), 24);
        assert!(fold.train.is_sorted_by_key(|id| id.parse::<u32>().unwrap()));
        let second = sampled(30, &[("subject", Value::Int(2)), ("held_out", Value::Float(0.3))]);
        assert_eq!(second.choose, ["1", "2", "5", "8", "11", "15", "18", "26", "29"]);
        let whole = sampled(10_000, &[]);
        assert_eq!((whole.train.len(), whole.choose.len(), whole.test.len()), (8100, 900, 1000));
        assert_eq!(whole.choose[..5], ["46", "48", "49", "77", "119"]);
        assert_eq!(whole.choose[895..], ["9885", "9886", "9927", "9935", "9947"]);
        let sum: u64 = whole.choose.iter().map(|id| id.parse::<u64>().unwrap().pow(2)).sum();
        assert_eq!(sum, 30_393_031_317);
    }

    #[test]
    fn shares_are_rounded_up_as_python_does() {
        for (count, share, expected) in [(9000, 0.1, 900), (100, 0.07, 8), (7, 0.0, 0), (7, 1.0, 7), (7, 0.2, 2)] {
            assert_eq!(held_out_of(count, share), expected, "{share} of {count}");
        }
    }

    #[test]
    fn what_was_not_measured_is_left_out_after_the_split() {
        let all = sampled(30, &[]);
        let ids: Vec<String> = (0..30).filter(|number| number % 7 != 0).map(|number| number.to_string()).collect();
        let within: Vec<&str> = ids.iter().map(String::as_str).collect();
        let (restricted, notes) = split(&Legacy, table(30), &[], Some(&within)).unwrap();
        let left = |list: &[String]| list.iter().filter(|id| ids.contains(id)).cloned().collect::<Vec<_>>();
        let fold = &restricted.folds[0];
        assert_eq!((&fold.train, &fold.choose), (&left(&all.train), &left(&all.choose)));
        assert_eq!(notes, ["5 of 30 stimuli are no rows of `within` and left out"]);
    }

    #[test]
    fn mistakes_have_a_sentence() {
        let message = |set: &[(&str, Value)], within: Option<&[&str]>| {
            split(&Legacy, table(30), set, within).unwrap_err().message
        };
        assert_eq!(message(&[("subject", Value::Int(10))], None), "`subject` is 10, but `seeds` are of 9 subjects");
        assert!(message(&[("test", Value::Text("id".into()))], None).contains("expected column `id` to hold bool"));
        assert_eq!(message(&[("held_out", Value::Float(1.0))], None), "fold 0 has no stimulus for the part `train`");
        let few = ["3", "1", "5"];
        assert!(message(&[], Some(&few)).contains("no stimulus that is a row of `within` for the part `choose`"));
    }
}
