//! `rdm/dominance`: which of two variables of the entries dominates a geometry.
//!
//! Of entries that vary in two variables, such as object and colour: `D`, the mean dissimilarity of pairs that differ in one variable and agree
//! in the other, and `S`, that of pairs that agree in the one and differ in the other; the index is `(D - S) / (D + S)`. 1: only the one
//! variable makes a difference; -1: only the other. The two indices are negatives of each other; the published function calls the index
//! of a variable the tolerance of the other one. Pairs that are undefined are left out and counted; an index is missing where a mean is.

use pipe_contract::{Column, ColumnMeaning, Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::row_groups::beside;
use crate::formats::data_table::{self, DataTable};
use crate::formats::rdm_set::RdmSet;
use crate::numeric::counts::real;
use crate::numeric::dissimilarity::pairs;

/// The kind.
pub(super) struct Dominance;

parameters! {
    struct Parameters {
        /// the two columns of the entries
        variables: Vec<String>;
    }
}

const COLUMNS: &[Column] = &[
    Column::new("id", "the RDM, and the variable"),
    Column::new("rdm", "the RDM"),
    Column::new("variable", "the variable whose dominance this is"),
    Column::new("other", "the other variable; the index is also called its tolerance"),
    Column::new("differ", "mean dissimilarity of pairs that differ in the variable and agree in the other (D)"),
    Column::new("agree", "mean dissimilarity of pairs that agree in the variable and differ in the other (S)"),
    Column::new("dominance", "(D - S) / (D + S)"),
    Column::new("pairs_differ", "defined pairs of D"),
    Column::new("pairs_agree", "defined pairs of S"),
    Column::new("undefined", "pairs of either kind without a defined dissimilarity"),
];

impl StageKind for Dominance {
    fn kind(&self) -> Kind {
        Kind::new("rdm/dominance", 1, "which of two variables of the entries dominates the dissimilarities")
            .input("rdms", &["rdms"], "RDMs whose entries vary in two variables")
            .folder("table", "table/dominance", "two rows an RDM, one a variable; then the columns of the index")
            .described(data_table::FILES, COLUMNS)
            .others(|_, _, _| ColumnMeaning {
                about: "as in the index of the RDMs".to_owned(),
                ..ColumnMeaning::default()
            })
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { variables } = task.parameters()?;
        let folder = task.one("rdms")?;
        let at = |failure: Failure| failure.at(folder.display().to_string());
        let set = RdmSet::read(folder)?;
        let [first, second] = two(&set, &variables).map_err(at)?;
        let mut rows = Vec::new();
        for rdm in 0..set.len() {
            let triangle = set.triangle(rdm);
            let by_first = Contrast::of(triangle, &first, &second);
            rows.push(ContrastRow { rdm, variable: 0, contrast: by_first });
            rows.push(ContrastRow { rdm, variable: 1, contrast: Contrast::of(triangle, &second, &first) });
        }
        let mut table = table(&set, &variables, &rows)?;
        data_table::write(task.output("table")?, &mut table)?;
        Ok(Ended::done())
    }
}

/// The words of the two variables.
fn two(set: &RdmSet, variables: &[String]) -> Result<[Vec<String>; 2], Failure> {
    let hint = "`variables` names two columns of the entries of the RDMs, such as `[object, colour]`";
    match variables {
        [first, second] if first != second => {
            let words =
                |name: &str| data_table::words(set.entries().table(), name).map_err(|failure| failure.hint(hint));
            Ok([words(first)?, words(second)?])
        }
        other => {
            Err(Failure::input(format!("`variables` has {} names, expected two different ones", other.len()))
                .hint(hint))
        }
    }
}

/// Sums over the pairs that differ in one of two variables.
#[derive(Clone, Copy, Debug, Default)]
struct Contrast {
    differ: (f64, usize),
    agree: (f64, usize),
    undefined: usize,
}

impl Contrast {
    fn of(triangle: &[f64], variable: &[String], other: &[String]) -> Self {
        let mut sums = Self::default();
        for ((i, j), value) in pairs(variable.len()).zip(triangle) {
            let place = match (variable[i] == variable[j], other[i] == other[j]) {
                (false, true) => &mut sums.differ,
                (true, false) => &mut sums.agree,
                _ => continue,
            };
            if value.is_nan() {
                sums.undefined += 1;
            } else {
                place.0 += value;
                place.1 += 1;
            }
        }
        sums
    }

    fn index(&self) -> Option<f64> {
        let (differ, agree) = (mean(self.differ)?, mean(self.agree)?);
        Some((differ - agree) / (differ + agree)).filter(|index| index.is_finite())
    }
}

fn mean((sum, count): (f64, usize)) -> Option<f64> {
    (count > 0).then(|| sum / real(count))
}

struct ContrastRow {
    rdm: usize,
    variable: usize,
    contrast: Contrast,
}

fn table(set: &RdmSet, variables: &[String], rows: &[ContrastRow]) -> Result<polars::prelude::DataFrame, Failure> {
    let rdms: Vec<usize> = rows.iter().map(|row| row.rdm).collect();
    let ids = set.index().ids();
    let name = |row: &ContrastRow| variables[row.variable].as_str();
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let own = DataTable::new()
        .text("rdm", rows.iter().map(|row| ids[row.rdm].as_str()))
        .text("variable", rows.iter().map(name))
        .text("other", rows.iter().map(|row| variables[1 - row.variable].as_str()))
        .optional_numbers("differ", rows.iter().map(|row| mean(row.contrast.differ)))
        .optional_numbers("agree", rows.iter().map(|row| mean(row.contrast.agree)))
        .optional_numbers("dominance", rows.iter().map(|row| row.contrast.index()))
        .integers("pairs_differ", rows.iter().map(|row| whole(row.contrast.differ.1)))
        .integers("pairs_agree", rows.iter().map(|row| whole(row.contrast.agree.1)))
        .integers("undefined", rows.iter().map(|row| whole(row.contrast.undefined)))
        .build()?;
    let named: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    let index = data_table::rows(&set.index().table().drop_many(named), &rdms)?;
    let keys = rows.iter().map(|row| format!("{}/{}", ids[row.rdm], name(row))).collect();
    beside(keys, &own, index)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::matrix::MatrixAxis;
    use crate::formats::rdm_set::RdmAbout;
    use crate::test_support::tasks;

    /// Two objects in two colours; pairs: cup red - cup blue, cup red - hat red, cup red - hat blue, cup blue - hat red, cup blue - hat blue,
    /// hat red - hat blue.
    fn set(values: Vec<f64>) -> RdmSet {
        let entries = DataTable::new()
            .text("id", ["a", "b", "c", "d"])
            .text("object", ["cup", "cup", "hat", "hat"])
            .text("colour", ["red", "blue", "red", "blue"]);
        let index = DataTable::new().text("id", ["fc1"]).integers("rank", [17]);
        let axis = |table: DataTable| MatrixAxis::new(table.build().unwrap()).unwrap();
        RdmSet::new(axis(index), axis(entries), values, None, RdmAbout::of("stimuli")).unwrap()
    }

    fn run(folder: &Path, values: Vec<f64>, variables: &[&str]) -> Result<String, Failure> {
        set(values).write(&folder.join("in")).unwrap();
        let mut task = tasks::task(&Dominance, folder);
        tasks::give(&mut task, "rdms", &folder.join("in"));
        let variables = variables.iter().map(|name| Value::Text((*name).to_owned())).collect();
        tasks::set(&mut task, "variables", Value::List(variables));
        tasks::run(&Dominance, &task)?;
        Ok(fs_err::read_to_string(folder.join("table").join(data_table::CSV)).unwrap())
    }

    /// Objects: (3 + 5) / 2 = 4; colours: (1 + 2) / 2 = 1.5; (4 - 1.5) / 5.5.
    #[test]
    fn the_index_compares_means_of_pairs() {
        let folder = tempfile::tempdir().unwrap();
        let csv = run(folder.path(), vec![1.0, 3.0, 9.0, 9.0, 5.0, 2.0], &["object", "colour"]).unwrap();
        insta::assert_snapshot!(csv, @r"
        id,rdm,variable,other,differ,agree,dominance,pairs_differ,pairs_agree,undefined,rank
        fc1/object,fc1,object,colour,4.0,1.5,0.45454545454545453,2,2,0,17
        fc1/colour,fc1,colour,object,1.5,4.0,-0.45454545454545453,2,2,0,17
        ");
    }

    #[test]
    fn undefined_pairs_are_left_out_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let csv = run(folder.path(), vec![1.0, f64::NAN, 9.0, 9.0, 5.0, 1.0], &["object", "colour"]).unwrap();
        assert!(csv.contains("fc1/object,fc1,object,colour,5.0,1.0,0.6666666666666666,1,2,1,17"), "{csv}");
        let csv = run(folder.path(), vec![1.0, f64::NAN, 9.0, 9.0, f64::NAN, 1.0], &["object", "colour"]).unwrap();
        assert!(csv.contains("fc1/object,fc1,object,colour,,1.0,,0,2,2,17"), "{csv}");
    }

    #[test]
    fn two_variables_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let message = |variables: &[&str]| run(folder.path(), vec![1.0; 6], variables).unwrap_err().message;
        assert_eq!(message(&["object"]), "`variables` has 1 names, expected two different ones");
        assert!(message(&["object", "object"]).contains("two different ones"));
        assert!(message(&["object", "size"]).contains("expected a column `size`"));
    }
}
