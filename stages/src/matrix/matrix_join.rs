//! `matrix/join`: several matrices of features side by side, as one with several feature spaces.
//!
//! Rows are joined by their ids, in the order of the first matrix, and must be the same in all. What else is known of columns is kept
//! as far as all matrices have it. Each space comes from one matrix: a name that two of them have is refused.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};
use polars::prelude::{Column, DataFrame, PolarsError};

use crate::formats::data_table;
use crate::formats::matrix::{ID, Matrix, MatrixAbout, MatrixAxis, MatrixWriter, SPACE};
use crate::formats::npy_file::{Float, FloatType};

/// The kind.
pub(super) struct Join;

parameters! {
    struct Parameters {
        /// the axis whose coordinate names the space of each matrix; empty: spaces keep their names
        axis: String = String::new();
        /// new names for spaces, old: new
        rename: BTreeMap<String, String> = BTreeMap::new();
    }
}

/// Numbers that are copied at a time.
const MOST_AT_ONCE: usize = 1 << 24;

impl StageKind for Join {
    fn kind(&self) -> Kind {
        Kind::new("matrix/join", 1, "matrices of features side by side, as one with several spaces")
            .gather("matrices", &["matrix"], "matrices with the same rows, in any order")
            .folder(
                "matrix",
                "matrix",
                "their columns one after the other; its column `space` says which space each is of",
            )
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let Parameters { axis, rename } = task.parameters()?;
        let mut given = Vec::new();
        for (at, path) in task.present("matrices") {
            let space = match axis.as_str() {
                "" => None,
                axis => Some(at.get(axis).cloned().ok_or_else(|| {
                    Failure::input(format!("a matrix is at `{at}`, expected a coordinate on the axis `{axis}`"))
                        .hint("`axis` names an axis over which the matrices are gathered, such as `layer` of `$features(*).matrix`")
                })?),
            };
            let matrix = Matrix::open(path)?;
            let spaces = match space {
                Some(space) => vec![space; matrix.columns().len()],
                None => {
                    let _ = matrix.spaces()?;
                    data_table::texts(matrix.columns().table(), SPACE)?
                }
            };
            let spaces = spaces.into_iter().map(|space| rename.get(&space).cloned().unwrap_or(space)).collect();
            given.push(Given { rows: Vec::new(), matrix, spaces });
        }
        join_rows(&mut given)?;
        check_spaces(&given, &rename)?;
        let notes: Vec<String> = task.absences("matrices").into_iter().collect();
        notes.iter().for_each(|note| context.log(note));
        let float_type = match given.iter().all(|given| given.matrix.float_type() == FloatType::F32) {
            true => FloatType::F32,
            false => FloatType::F64,
        };
        let first = &given[0].matrix;
        let to =
            MatrixWriter::create(task.output("matrix")?, first.rows(), &columns(&given)?, &about(&given), float_type)?;
        match float_type {
            FloatType::F32 => copy::<f32>(&given, &to)?,
            FloatType::F64 => copy::<f64>(&given, &to)?,
        }
        Ok(Ended::noted(notes))
    }
}

/// A matrix that is joined.
struct Given {
    matrix: Matrix,
    /// The space of each column.
    spaces: Vec<String>,
    /// Where the rows of the first matrix are in it.
    rows: Vec<usize>,
}

fn join_rows(given: &mut [Given]) -> Result<(), Failure> {
    let Some(first) = given.first() else {
        return Err(Failure::input("port `matrices` has no matrix, expected at least one"));
    };
    let (ids, place) = (first.matrix.rows().ids().to_vec(), first.matrix.place());
    for given in given {
        let at = |failure: Failure| failure.at(given.matrix.place());
        given.rows = given.matrix.rows().positions_of(&ids, "rows of the first matrix").map_err(at)?;
        let (more, count) = (given.matrix.rows().len(), ids.len());
        if more > count {
            return Err(at(Failure::input(format!(
                "the matrix has {more} rows, but the first has {count}: `{place}`"
            ))
            .hint("all matrices need the same rows: import them with the same table `rows`")));
        }
    }
    Ok(())
}

/// That every space comes from one matrix, and that every new name is used.
fn check_spaces(given: &[Given], rename: &BTreeMap<String, String>) -> Result<(), Failure> {
    let mut of_matrix: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, given) in given.iter().enumerate() {
        for space in &given.spaces {
            if *of_matrix.entry(space).or_insert(number) != number {
                return Err(Failure::input(format!("two matrices have the space `{space}`, expected each space once"))
                    .at(given.matrix.place())
                    .hint("`axis` names spaces by the coordinates of their matrices; `rename` gives others"));
            }
        }
    }
    match rename.iter().find(|(_, new)| !of_matrix.contains_key(new.as_str())) {
        Some((old, _)) => Err(Failure::input(format!("`rename` has `{old}`, but no matrix has such a space"))),
        None => Ok(()),
    }
}

/// The joined columns: id, space, and what all matrices know of theirs.
fn columns(given: &[Given]) -> Result<MatrixAxis, Failure> {
    let internal = |error: PolarsError| Failure::internal(error.to_string());
    let tables = || given.iter().map(|given| given.matrix.columns().table());
    let ids = || given.iter().flat_map(|given| given.matrix.columns().ids());
    let spaces = || given.iter().flat_map(|given| &given.spaces);
    let is_unique = ids().collect::<BTreeSet<_>>().len() == ids().count();
    let id = |(id, space): (&String, &String)| if is_unique { id.clone() } else { format!("{space}_{id}") };
    let ids: Vec<String> = ids().zip(spaces()).map(id).collect();
    let spaces: Vec<String> = spaces().cloned().collect();
    let mut columns = vec![Column::new(ID.into(), ids), Column::new(SPACE.into(), spaces)];
    let (first, others) = (given[0].matrix.columns().table(), tables().skip(1));
    let others: Vec<&DataFrame> = others.collect();
    for column in first.columns().iter().filter(|column| ![ID, SPACE].contains(&column.name().as_str())) {
        let same = |table: &&DataFrame| {
            table.column(column.name()).ok().filter(|other| other.dtype() == column.dtype()).cloned()
        };
        if let Some(others) = others.iter().map(same).collect::<Option<Vec<Column>>>() {
            let mut joined = column.clone();
            for other in &others {
                joined.append(other).map_err(internal)?;
            }
            columns.push(joined);
        }
    }
    MatrixAxis::new(DataFrame::new_infer_height(columns).map_err(internal)?)
}

/// What is the same in all; the history of each that has one.
fn about(given: &[Given]) -> MatrixAbout {
    let first = given[0].matrix.about();
    let unit = match given.iter().all(|given| given.matrix.about().unit == first.unit) {
        true => first.unit.clone(),
        false => String::new(),
    };
    let mut history = Vec::new();
    for Given { matrix, spaces, .. } in given {
        let mut names = spaces.clone();
        names.dedup();
        history.extend(matrix.about().history.iter().map(|step| format!("{}: {step}", names.join(", "))));
    }
    MatrixAbout { rows: first.rows.clone(), columns: first.columns.clone(), unit, history }
        .then(format!("{} matrices joined", given.len()))
}

fn copy<T: Float>(given: &[Given], to: &MatrixWriter) -> Result<(), Failure> {
    let mut first = 0;
    for Given { matrix, rows, .. } in given {
        let width = matrix.columns().len();
        let step = (MOST_AT_ONCE / rows.len()).max(1);
        for start in (0..width).step_by(step) {
            let end = (start + step).min(width);
            to.columns(first + start, &matrix.block::<T>(start..end, Some(rows))?)?;
        }
        first += width;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pipe_contract::Value;

    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::formats::matrix;
    use crate::test_support::tasks;

    /// A matrix of one space: ids of its rows, names of its columns, values by column.
    struct Example {
        layer: &'static str,
        space: Option<&'static str>,
        rows: &'static [&'static str],
        columns: &'static [&'static str],
        values: &'static [f32],
    }

    const A: Example = Example {
        layer: "1",
        space: Some("A"),
        rows: &["x", "y"],
        columns: &["a", "b"],
        values: &[1.0, 2.0, 3.0, 4.0],
    };
    const B: Example =
        Example { layer: "2", space: Some("B"), rows: &["y", "x"], columns: &["c"], values: &[5.0, 6.0] };

    #[expect(clippy::type_complexity, reason = "numbers, ids and spaces")]
    fn join(examples: &[Example], set: &[(&str, Value)]) -> Result<(Vec<f64>, Vec<String>, Vec<String>), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&Join, folder.path());
        for (number, example) in examples.iter().enumerate() {
            let path = folder.path().join(format!("in{number}"));
            let mut columns = DataTable::new().text(ID, example.columns.iter().copied());
            if let Some(space) = example.space {
                columns = columns.text(SPACE, example.columns.iter().map(|_| space));
            }
            let columns =
                MatrixAxis::new(columns.integers("rank", example.columns.iter().map(|_| 7)).build().unwrap()).unwrap();
            let rows = MatrixAxis::of_ids(example.rows.iter().copied()).unwrap();
            matrix::write(&path, &rows, &columns, &MatrixAbout::default().then("made"), example.values).unwrap();
            tasks::gather(&mut task, "matrices", &[("layer", example.layer)], Some(&path));
        }
        for (name, value) in set {
            tasks::set(&mut task, name, value.clone());
        }
        tasks::run(&Join, &task)?;
        let joined = Matrix::open(&folder.path().join("matrix")).unwrap();
        assert_eq!(joined.rows().ids(), ["x", "y"]);
        assert_eq!(data_table::integers(joined.columns().table(), "rank").unwrap(), vec![7; joined.columns().len()]);
        let spaces = data_table::texts(joined.columns().table(), SPACE).unwrap();
        Ok((joined.block(0..joined.columns().len(), None).unwrap(), joined.columns().ids().to_vec(), spaces))
    }

    fn renamed(old: &str, new: &str) -> Value {
        Value::Map([(old.to_owned(), Value::Text(new.to_owned()))].into())
    }

    #[test]
    fn rows_are_joined_by_their_ids() {
        let (values, ids, spaces) = join(&[A, B], &[]).unwrap();
        assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 6.0, 5.0]);
        assert_eq!((ids, spaces), (vec!["a".into(), "b".into(), "c".into()], vec!["A".into(), "A".into(), "B".into()]));
        let other = Example { rows: &["x", "z"], ..B };
        assert!(
            join(&[A, other], &[])
                .unwrap_err()
                .message
                .starts_with("1 of 2 rows of the first matrix are not there: `y`")
        );
        let more = Example { rows: &["y", "x", "z"], values: &[1.0, 2.0, 3.0], ..B };
        assert!(join(&[A, more], &[]).unwrap_err().message.contains("has 3 rows, but the first has 2"));
        assert!(join(&[], &[]).is_err());
    }

    #[test]
    fn a_space_comes_from_one_matrix() {
        let again = || [A, Example { layer: "2", ..A }];
        assert_eq!(
            join(&again(), &[]).unwrap_err().message,
            "two matrices have the space `A`, expected each space once"
        );
        let axis = ("axis", Value::Text("layer".into()));
        let (_, ids, spaces) = join(&again(), std::slice::from_ref(&axis)).unwrap();
        assert_eq!(
            (ids, spaces),
            (
                vec!["1_a".into(), "1_b".into(), "2_a".into(), "2_b".into()],
                ["1", "1", "2", "2"].map(String::from).to_vec()
            )
        );
        let (_, _, spaces) = join(&[A, B], &[axis.clone(), ("rename", renamed("2", "last"))]).unwrap();
        assert_eq!(spaces, ["1", "1", "last"]);
        assert!(
            join(&[A, B], &[("rename", renamed("C", "D"))]).unwrap_err().message.contains("no matrix has such a space")
        );
        assert!(join(&[A, B], &[("rename", renamed("A", "B"))]).unwrap_err().message.contains("the space `B`"));
        assert!(
            join(&[A, B], &[("axis", Value::Text("sid".into()))]).unwrap_err().message.contains("on the axis `sid`")
        );
        let without = || Example { space: None, ..B };
        assert!(join(&[A, without()], &[]).unwrap_err().message.contains("column `space`"));
        assert!(join(&[A, without()], &[axis]).is_ok());
    }
}
