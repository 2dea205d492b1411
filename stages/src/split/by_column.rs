//! `split/column`: the split of stimuli that a column of their table says.

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::stimuli::{self, Stimuli};
use crate::formats::data_table;

/// The kind.
pub(super) struct ByColumn;

parameters! {
    struct Parameters {
        /// the column: text, whole numbers, or truth values (`true`, `false`)
        column: String = "part".to_owned();
        /// its values for stimuli that models are fitted on
        train: Vec<String> = vec!["train".to_owned()];
        /// its values for stimuli by which penalties are chosen
        choose: Vec<String> = vec!["choose".to_owned()];
        /// its values for stimuli that models are scored on
        test: Vec<String> = vec!["test".to_owned()];
        /// its values for stimuli that are not used
        unused: Vec<String> = Vec::new();
    }
}

impl StageKind for ByColumn {
    fn kind(&self) -> Kind {
        let kind = Kind::new("split/column", 1, "the split of stimuli that a column of their table says");
        stimuli::declare(kind, "a table of stimuli, with a column that says the part of each")
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { column, train, choose, test, unused } = task.parameters()?;
        let stimuli = Stimuli::read(task)?;
        let values = [("train", &train), ("choose", &choose), ("test", &test), ("unused", &unused)];
        let mut parts: [Vec<usize>; 4] = Default::default();
        for (at, value) in stimuli.column(&column, data_table::words)?.into_iter().enumerate() {
            let holders: Vec<usize> = (0..values.len()).filter(|part| values[*part].1.contains(&value)).collect();
            match holders.as_slice() {
                [part] => parts[*part].push(at),
                [] => {
                    let id = &stimuli.ids()[at];
                    return Err(Failure::input(format!(
                        "`{id}` has `{value}` in the column `{column}`, which is of no part"
                    ))
                    .hint("`train`, `choose`, `test` and `unused` list the values of each part"));
                }
                [first, second, ..] => {
                    let (first, second) = (values[*first].0, values[*second].0);
                    return Err(Failure::input(format!(
                        "`{value}` is listed for `{first}` and for `{second}`, expected one"
                    )));
                }
            }
        }
        let [train, choose, test, _] = parts;
        stimuli.write(task, context, &[[train, choose, test]])
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::formats::stimulus_split::Fold;
    use crate::split::stimuli::tests::split;

    fn table() -> DataTable {
        let ids = ["a", "b", "c", "d"];
        let table = DataTable::new().text("id", ids).text("part", ["test", "train", "choose", "train"]);
        table.flags("shared", [true, false, true, false]).integers("run", [1, 2, 3, 4])
    }

    fn list(values: &[&str]) -> Value {
        Value::List(values.iter().map(|value| Value::Text((*value).to_owned())).collect())
    }

    fn by(set: &[(&str, Value)]) -> Result<Fold, Failure> {
        split(&ByColumn, table(), set, None).map(|(mut split, _)| split.folds.remove(0))
    }

    fn fold(train: &[&str], choose: &[&str], test: &[&str]) -> Fold {
        let [train, choose, test] = [train, choose, test].map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        Fold { train, choose, test }
    }

    #[test]
    fn values_of_any_type_say_the_part() {
        assert_eq!(by(&[]).unwrap(), fold(&["b", "d"], &["c"], &["a"]));
        let shared = [("column", Value::Text("shared".into())), ("train", list(&["false"])), ("test", list(&["true"]))];
        assert_eq!(by(&shared).unwrap(), fold(&["b", "d"], &[], &["a", "c"]));
        let run = |unused: &[&str]| {
            by(&[
                ("column", Value::Text("run".into())),
                ("train", list(&["4", "1"])),
                ("test", list(&["2"])),
                ("unused", list(unused)),
            ])
        };
        assert_eq!(run(&["3"]).unwrap(), fold(&["a", "d"], &[], &["b"]));
        assert_eq!(run(&[]).unwrap_err().message, "`c` has `3` in the column `run`, which is of no part");
    }

    #[test]
    fn mistakes_have_a_sentence() {
        let message = |set: &[(&str, Value)]| by(set).unwrap_err().message;
        assert!(
            message(&[("choose", list(&["choose", "train"]))])
                .contains("`train` is listed for `train` and for `choose`")
        );
        assert!(message(&[("column", Value::Text("x".into()))]).contains("expected a column `x`"));
        assert!(
            message(&[("test", list(&[])), ("unused", list(&["test"]))]).contains("no stimulus for the part `test`")
        );
    }
}
