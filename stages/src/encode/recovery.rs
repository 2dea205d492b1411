//! `encode/recovery`: how far the parts of a variance partition are from the truth that simulated responses were made of.
//!
//! Parts are joined with the truth by unit and set of spaces, in whichever order spaces are written. Decides which numbers say how far: the
//! mean error (the bias: fitting on finitely many stimuli loses variance, so totals are too small), the root of the mean squared error,
//! and the correlation over units. Independent of how the parts were estimated.

use std::collections::BTreeMap;

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task};

use super::agreement::Agreement;
use crate::formats::data_table::{self, DataTable};
use crate::numeric::counts::real;

/// The kind.
pub(super) struct Recovery;

const COLUMNS: &[Column] = &[
    Column::new("spaces", "the spaces of the part, joined by +; `all` is every part of every unit together"),
    Column::new("n", "units, or units and parts"),
    Column::measured("truth", "share", "mean of the true values"),
    Column::measured("mean_error", "share", "mean of estimate minus truth"),
    Column::measured("rmse", "share", "root of the mean squared difference of estimate and truth"),
    Column::new("correlation", "Pearson correlation of estimate and truth over units"),
    data_table::STAMP,
];

/// The name of all parts together.
const ALL: &str = "all";
/// Rows of the sum of parts, which is not a part.
const TOTAL: &str = "total";

impl StageKind for Recovery {
    fn kind(&self) -> Kind {
        let kind = Kind::new("encode/recovery", 1, "the error of estimated parts against those of a simulation")
            .input("parts", &["table/parts"], "parts of `encode/partition`")
            .input("truth", &["table/truth"], "true parts of `simulate/responses`")
            .folder("table", "table/recovery", "a row a set of spaces, in the order of the parts, then `all`")
            .described(data_table::FILES, COLUMNS);
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let at = |port: &str| Ok::<_, Failure>(task.one(port)?.display().to_string());
        let truth = truth(task).map_err(|failure| failure.at(at("truth").unwrap_or_default()))?;
        let parts = data_table::read(task.one("parts")?)?;
        let read = |name| data_table::texts(&parts, name);
        let rows = read("id")?.into_iter().zip(read("part")?).zip(read("spaces")?);
        let mut pairs: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
        let mut all = Vec::new();
        for (((id, part), spaces), estimate) in rows.zip(data_table::maybe_numbers(&parts, "estimate")?) {
            let Some(estimate) = estimate.filter(|_| part != TOTAL) else { continue };
            let value = *truth.get(&(id.clone(), sorted(&spaces))).ok_or_else(|| {
                Failure::input(format!("the truth has no value of `{spaces}` at `{id}`"))
                    .hint("give the parts of models of these simulated responses")
            })?;
            all.push((estimate, value));
            match pairs.iter_mut().find(|(known, _)| *known == spaces) {
                Some((_, list)) => list.push((estimate, value)),
                None => pairs.push((spaces, vec![(estimate, value)])),
            }
        }
        if all.is_empty() {
            return Err(Failure::input("the table of parts has no estimate").at(at("parts")?));
        }
        pairs.push((ALL.to_owned(), all));
        let of = |number: fn(&[(f64, f64)]) -> f64| pairs.iter().map(move |(_, list)| number(list)).collect::<Vec<_>>();
        let table = DataTable::of(COLUMNS)
            .text("spaces", pairs.iter().map(|(spaces, _)| spaces.as_str()))
            .integers("n", pairs.iter().map(|(_, list)| i64::try_from(list.len()).unwrap_or(i64::MAX)))
            .numbers("truth", of(|list| mean(list.iter().map(|(_, truth)| *truth))))
            .numbers("mean_error", of(|list| mean(list.iter().map(|(estimate, truth)| estimate - truth))))
            .numbers("rmse", of(|list| mean(list.iter().map(|(estimate, truth)| (estimate - truth).powi(2))).sqrt()))
            .optional_numbers("correlation", pairs.iter().map(|(_, list)| correlation(list)))
            .stamped(task.simulated);
        data_table::write(task.output("table")?, &mut table.build()?)?;
        Ok(Ended::done())
    }
}

/// The name of a set of spaces, the same for all orders in which they are written.
fn sorted(spaces: &str) -> String {
    let mut names: Vec<&str> = spaces.split('+').collect();
    names.sort_unstable();
    names.join("+")
}

/// True values by unit and [`sorted`] spaces.
fn truth(task: &Task) -> Result<BTreeMap<(String, String), f64>, Failure> {
    let table = data_table::read(task.one("truth")?)?;
    let keys = data_table::texts(&table, "id")?
        .into_iter()
        .zip(data_table::texts(&table, "spaces")?.into_iter().map(|spaces| sorted(&spaces)));
    Ok(keys.zip(data_table::numbers(&table, "value")?).collect())
}

fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = real(numbers.len());
    numbers.sum::<f64>() / count
}

/// Pearson's, over the pairs of estimate and truth; none if either is constant.
fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let (estimates, truths): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    Agreement::of(&truths, &estimates).correlation()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::tasks::{give, run, task};

    #[test]
    fn errors_are_those_against_the_truth() {
        let folder = tempfile::tempdir().unwrap();
        let parts = DataTable::new()
            .text("id", ["v1", "v1", "v1", "v2", "v2", "v2"])
            .text("part", ["unique", "shared", "total", "unique", "shared", "total"])
            .text("spaces", ["A", "B+A", "B+A", "A", "B+A", "B+A"])
            .numbers("estimate", [0.25, 0.0, 9.0, 0.5, 0.25, 9.0]);
        let truth = DataTable::new()
            .text("id", ["v2", "v1", "v1", "v2"])
            .text("spaces", ["A", "A", "A+B", "A+B"])
            .numbers("value", [0.5, 0.5, 0.25, 0.25]);
        let path = |name: &str| folder.path().join(name);
        data_table::write(&path("parts"), &mut parts.build().unwrap()).unwrap();
        data_table::write(&path("truth"), &mut truth.build().unwrap()).unwrap();
        let mut task = task(&Recovery, folder.path());
        give(&mut task, "parts", &path("parts"));
        give(&mut task, "truth", &path("truth"));
        run(&Recovery, &task).unwrap();
        let csv = fs_err::read_to_string(task.output("table").unwrap().join(data_table::CSV)).unwrap();
        insta::assert_snapshot!(csv, @r"
        spaces,n,truth,mean_error,rmse,correlation
        A,2,0.5,-0.125,0.1767766952966369,
        B+A,2,0.25,-0.125,0.1767766952966369,
        all,4,0.375,-0.125,0.1767766952966369,0.7071067811865475
        ");
        let other = DataTable::new().text("id", ["v1"]).text("spaces", ["A"]).numbers("value", [0.5]);
        data_table::write(&path("truth"), &mut other.build().unwrap()).unwrap();
        assert!(run(&Recovery, &task).unwrap_err().message.contains("no value of `B+A` at `v1`"));
    }
}
