//! `matrix/import`: the numbers of a file, with names for its rows and columns.
//!
//! A file is converted once, part by part, so that its size does not matter: afterwards each column lies together and is read alone.
//! 32-bit floats stay such. Names come from the file (CSV, Parquet), from tables, or are counted up from 0. Where both have names, they
//! are joined by them, never by position, and the table adds its columns; it may be of more than the file has. Rows and columns with
//! missing values are left out by the rules of [`missing`](super::missing), and listed.

use std::ops::Range;

use pipe_contract::{
    Arity, Column as Described, Context, Ended, Failure, IMPORTANT, Kind, Progress, StageKind, Task, choice, parameters,
};
use polars::prelude::{Column, DataFrame};

use super::missing::{MissingCounts, Remaining};
use super::source::{NumberSource, SourcePart};
use crate::declared::lab_compat::LabCompat;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::matrix::{ID, MatrixAbout, MatrixAxis, MatrixWriter, SPACE};
use crate::formats::npy_file::{Float, FloatType};

/// The kind.
pub(super) struct MatrixImport;

parameters! {
    struct Parameters {
        /// the dataset of an HDF5 file (`/betas`) or the array of an NPZ file; empty if it has only one
        array: String = String::new();
        /// whether the rows of the file are those of the matrix
        orientation: Orientation = Orientation::AsStored;
        /// the column of a CSV or Parquet file that holds the ids of its rows; all others are numbers; empty if there is none
        id_column: String = String::new();
        /// the column of the table `rows` that holds their ids
        row_ids: String = ID.to_owned();
        /// the column of the table `columns` that holds their ids
        column_ids: String = ID.to_owned();
        /// the feature space that all columns belong to; empty if they are no features, or the table `columns` says it
        space: String = String::new();
        /// what the rows are, in the plural
        row_axis: String = "stimuli".to_owned();
        /// what the columns are, in the plural, such as `voxels` or `features`
        column_axis: String = "columns".to_owned();
        /// the unit of the numbers; empty if they have none
        unit: String = String::new();
        /// what happens to missing values (NaN)
        missing: Missing = Missing::LeaveOut;
        /// a column of the table `rows` with the number of repeats of each: the rows that are dropped must be exactly those that
        /// have none; empty: not checked
        repeats: String = String::new();
        /// follow the lab, where the first column alone decides which rows are dropped
        compat: LabCompat = LabCompat::None;
    }
}

choice! {
    /// How the rows of the file lie.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Orientation {
        /// Rows of the file are rows of the matrix.
        AsStored = "as-stored",
        /// Rows of the file are columns of the matrix.
        Transposed = "transposed",
    }
}

choice! {
    /// What happens to missing values.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Missing {
        /// Rows without any value are dropped, then columns that still lack some are excluded.
        LeaveOut = "leave-out",
        /// A missing value is a failure.
        Refuse = "refuse",
    }
}

const DROPPED: &[Described] = &[
    Described::new("id", "the row"),
    Described::new("position", "its position in the file, from 0"),
    Described::new("n_missing", "columns in which it has no value"),
    Described::new("reason", "why it was dropped").levels(&[
        ("no value", "it has no value in any column"),
        ("first column", "it has no value in the first column, by the rule of the lab"),
    ]),
    STAMP,
];

const EXCLUDED: &[Described] = &[
    Described::new("id", "the column"),
    Described::new("position", "its position in the file, from 0"),
    Described::new("n_missing", "rows, of those that are kept, in which it has no value"),
    Described::new("n_infinite", "rows, of those that are kept, in which its value is infinite"),
    Described::new("reason", "why it was excluded")
        .levels(&[("missing", "it lacks some value"), ("infinite", "it lacks none, but some value is infinite")]),
    STAMP,
];

impl StageKind for MatrixImport {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "matrix/import",
            1,
            "numbers of a file (HDF5, NPY, NPZ, Parquet, CSV) as a matrix with named rows and columns",
        )
        .input("file", &[], "numbers on two axes; what the file is, its first bytes say")
        .port(
            "rows",
            &["table"],
            Arity::One,
            true,
            "a table with a row for each row of the matrix, in the same order if the file has no names",
        )
        .port(
            "columns",
            &["table"],
            Arity::One,
            true,
            "a table with a row for each column of the matrix, in the same order if the file has no names",
        )
        .folder("matrix", "matrix", "the numbers, stored by column, and the tables of its rows and columns")
        .folder("dropped", "table", "rows that are left out, with position, number of missing values and reason")
        .described(data_table::FILES, DROPPED)
        .folder(
            "excluded",
            "table",
            "columns that are left out, with position, numbers of missing and infinite values and reason",
        )
        .described(data_table::FILES, EXCLUDED)
        .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let path = task.one("file")?;
        let source = NumberSource::open(path, &parameters.array, &parameters.id_column, &task.scratch)?;
        let numbers =
            Numbers { transposed: parameters.orientation == Orientation::Transposed, context, source: &source };
        let notes = match source.float_type() {
            FloatType::F32 => numbers.import::<f32>(task, &parameters),
            FloatType::F64 => numbers.import::<f64>(task, &parameters),
        };
        Ok(Ended::noted(notes.map_err(|failure| match failure.place {
            None => failure.at(path.display().to_string()),
            Some(_) => failure,
        })?))
    }
}

/// The numbers of a file in the orientation of the matrix.
struct Numbers<'a> {
    source: &'a NumberSource,
    transposed: bool,
    context: &'a dyn Context,
}

impl Numbers<'_> {
    /// Rows and columns of something that the source has in two, by its own axes.
    fn oriented<T>(&self, [rows, columns]: [T; 2]) -> [T; 2] {
        if self.transposed { [columns, rows] } else { [rows, columns] }
    }

    fn import<T: Float>(&self, task: &Task, parameters: &Parameters) -> Result<Vec<String>, Failure> {
        let shape = self.oriented(self.source.shape());
        let [rows, columns] = self.axes(task, parameters, shape)?;
        let first_column = match parameters.compat {
            LabCompat::None => None,
            LabCompat::Lab08 => Some(self.source.read::<f64>(self.oriented([0..shape[0], 0..1]))?.values),
        };
        let mut counts = MissingCounts::new(shape, first_column.as_deref());
        self.each_part::<T>("looking for missing values", |part| {
            counts.add(part);
            Ok(())
        })?;
        let kept = counts.kept()?;
        let notes = kept.notes(shape, parameters)?;
        if !parameters.repeats.is_empty() {
            check_repeats(&rows, &kept, &parameters.repeats)?;
        }
        kept.write(task, parameters.compat, &rows, &columns)?;
        let about = MatrixAbout {
            rows: parameters.row_axis.clone(),
            columns: parameters.column_axis.clone(),
            unit: parameters.unit.clone(),
            history: Vec::new(),
        };
        let [height, width] = shape;
        let mut step = format!("imported from {}, {height} x {width}", self.source.what);
        for (what, list) in [("rows dropped", kept.dropped.len()), ("columns excluded", kept.excluded.len())] {
            step += &format!(", {list} {what}");
        }
        let to = MatrixWriter::create(
            task.output("matrix")?,
            &rows.part(&kept.rows)?,
            &columns.part(&kept.columns)?,
            &about.then(step),
            T::TYPE,
        )?;
        self.each_part::<T>("writing", |part| kept.copy(part, &to))?;
        notes.iter().for_each(|note| self.context.log(note));
        Ok(notes)
    }

    /// Reads all numbers, part by part.
    fn each_part<T: Float>(
        &self,
        doing: &str,
        mut with: impl FnMut(&SourcePart<T>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let parts = self.source.parts(self.transposed);
        let total = parts.len() as u64;
        for (done, ranges) in (1..).zip(parts) {
            if self.context.cancelled() {
                return Err(Failure::stage("stopped before all numbers were read"));
            }
            let part = self.source.read::<T>(ranges)?;
            with(&if self.transposed { part.transposed() } else { part })?;
            self.context.progress(Progress { done, total, unit: "parts".into(), note: doing.into() });
        }
        Ok(())
    }

    /// Names of the rows and columns.
    fn axes(&self, task: &Task, parameters: &Parameters, shape: [usize; 2]) -> Result<[MatrixAxis; 2], Failure> {
        let [row_names, column_names] = self.oriented(self.source.names.each_ref().map(Option::as_deref));
        let rows = Names { port: "rows", ids: &parameters.row_ids, of_file: row_names };
        let columns = Names { port: "columns", ids: &parameters.column_ids, of_file: column_names };
        let of_space = format!("{}_", parameters.space);
        let prefix = if parameters.space.is_empty() { "c" } else { &of_space };
        let mut features = columns.table(task, shape[1], prefix)?;
        if !parameters.space.is_empty() {
            let space = Column::new(SPACE.into(), vec![parameters.space.as_str(); shape[1]]);
            features.with_column(space).map_err(|error| Failure::internal(error.to_string()))?;
        }
        Ok([MatrixAxis::new(rows.table(task, shape[0], "r")?)?, MatrixAxis::new(features)?])
    }
}

/// Where the names of an axis come from.
struct Names<'a> {
    /// The port of a table.
    port: &'a str,
    /// The column of that table.
    ids: &'a str,
    /// Those that the file has: heads of its columns, or its column of ids.
    of_file: Option<&'a [String]>,
}

impl Names<'_> {
    fn table(&self, task: &Task, length: usize, prefix: &str) -> Result<DataFrame, Failure> {
        let Self { port, ids, of_file } = *self;
        let Some(folder) = task.maybe(port) else {
            if ids != ID {
                return Err(Failure::input(format!(
                    "the ids are to come from a column `{ids}`, but there is no table `{port}`"
                )));
            }
            let counted = || (0..length).map(|at| format!("{prefix}{at:05}")).collect();
            return DataTable::new().text(ID, of_file.map_or_else(counted, <[String]>::to_vec)).build();
        };
        let at = |failure: Failure| failure.at(folder.display().to_string());
        let table = data_table::read(folder)?;
        if let Some(names) = of_file {
            return self.joined(with_ids(table, ids).map_err(at)?, names).map_err(at);
        }
        if table.height() != length {
            return Err(Failure::input(format!(
                "the file has {length} {port}, but the table `{port}` has {} rows",
                table.height()
            ))
            .hint("they are counted off in order, so there must be equally many: is it the right table, and the orientation?"));
        }
        with_ids(table, ids).map_err(at)
    }

    /// The rows of a table that have the names of the file, in its order.
    fn joined(&self, table: DataFrame, names: &[String]) -> Result<DataFrame, Failure> {
        let axis = MatrixAxis::new(table)?;
        let place = |name: &String| {
            axis.position(name).ok_or_else(|| {
                let Self { port, ids, .. } = self;
                Failure::input(format!(
                    "the file names its {port}, and `{name}` is not in the column `{ids}` of the table `{port}`"
                ))
                .hint(format!("they are joined by name: name them alike, or leave out `{port}`"))
            })
        };
        let places: Vec<usize> = names.iter().map(place).collect::<Result<_, Failure>>()?;
        data_table::rows(axis.table(), &places)
    }
}

/// A table whose column of this name becomes its column `id`, before all others.
fn with_ids(table: DataFrame, name: &str) -> Result<DataFrame, Failure> {
    let ids = Column::new(ID.into(), data_table::words(&table, name)?);
    let others = table.columns().iter().filter(|column| ![name, ID].contains(&column.name().as_str()));
    let columns = std::iter::once(ids).chain(others.cloned()).collect();
    DataFrame::new_infer_height(columns).map_err(|error| Failure::internal(error.to_string()))
}

/// That the rows that are dropped are those without repeats.
fn check_repeats(rows: &MatrixAxis, kept: &Remaining, column: &str) -> Result<(), Failure> {
    let repeats = data_table::integers(rows.table(), column)?;
    let mut is_dropped = vec![false; rows.len()];
    kept.dropped.iter().for_each(|dropped| is_dropped[dropped.row] = true);
    let differs = |row: &usize| is_dropped[*row] != (repeats[*row] == 0);
    let Some(first) = (0..rows.len()).find(differs) else { return Ok(()) };
    let count = (0..rows.len()).filter(differs).count();
    let (id, has) = (&rows.ids()[first], if is_dropped[first] { "no values" } else { "values" });
    Err(Failure::input(format!(
        "missing values are not where `{column}` is 0 in {count} rows: `{id}`, the first, has {has}, and `{column}` is {}",
        repeats[first]
    ))
    .hint("is this the table of these rows, in their order?"))
}

impl Remaining {
    /// What to say about it, if it may be.
    fn notes(&self, [height, width]: [usize; 2], parameters: &Parameters) -> Result<Vec<String>, Failure> {
        let (rows, columns) = (self.dropped.len(), self.excluded.len());
        if parameters.missing == Missing::Refuse && rows + columns > 0 {
            return Err(Failure::input(format!(
                "values are missing or infinite: {rows} of {height} rows have none, and {columns} of {width} columns lack some"
            ))
            .hint("`missing: leave-out` goes on without them, and lists them"));
        }
        let note = |left_out: usize, all: usize, what: &str, why: &str| {
            (left_out > 0).then(|| format!("{IMPORTANT}{left_out} of {all} {what} are left out: {why}"))
        };
        let why = match parameters.compat {
            LabCompat::None => "they have no value in any column",
            LabCompat::Lab08 => "they have no value in the first column",
        };
        let rows = note(rows, height, &parameters.row_axis, why);
        let columns = note(columns, width, &parameters.column_axis, "some of their values are missing or infinite");
        Ok(rows.into_iter().chain(columns).collect())
    }

    /// Writes the lists of what is left out.
    fn write(&self, task: &Task, compat: LabCompat, rows: &MatrixAxis, columns: &MatrixAxis) -> Result<(), Failure> {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let reason = match compat {
            LabCompat::None => "no value",
            LabCompat::Lab08 => "first column",
        };
        let list = &self.dropped;
        let dropped = DataTable::of(DROPPED)
            .text("id", list.iter().map(|dropped| rows.ids()[dropped.row].as_str()))
            .integers("position", list.iter().map(|dropped| whole(dropped.row)))
            .integers("n_missing", list.iter().map(|dropped| whole(dropped.missing)))
            .text("reason", list.iter().map(|_| reason))
            .stamped(task.simulated);
        data_table::write(task.output("dropped")?, &mut dropped.build()?)?;
        let list = &self.excluded;
        let excluded = DataTable::of(EXCLUDED)
            .text("id", list.iter().map(|excluded| columns.ids()[excluded.column].as_str()))
            .integers("position", list.iter().map(|excluded| whole(excluded.column)))
            .integers("n_missing", list.iter().map(|excluded| whole(excluded.missing)))
            .integers("n_infinite", list.iter().map(|excluded| whole(excluded.infinite)))
            .text("reason", list.iter().map(|excluded| if excluded.missing > 0 { "missing" } else { "infinite" }))
            .stamped(task.simulated);
        data_table::write(task.output("excluded")?, &mut excluded.build()?)
    }

    /// Writes the rows and columns of a part that are kept.
    fn copy<T: Float>(&self, part: &SourcePart<T>, to: &MatrixWriter) -> Result<(), Failure> {
        let within = |kept: &[usize], range: &Range<usize>| {
            kept.partition_point(|at| *at < range.start)..kept.partition_point(|at| *at < range.end)
        };
        let (rows, columns) = (within(&self.rows, &part.rows), within(&self.columns, &part.columns));
        if rows.is_empty() || columns.is_empty() {
            return Ok(());
        }
        let values = part.picked(&self.rows[rows.clone()], &self.columns[columns.clone()]);
        to.block(rows.start, columns.start, rows.len(), &values)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::matrix::Matrix;
    use crate::formats::npy_file::NpyWriter;
    use crate::test_support::tasks;

    const N: f64 = f64::NAN;

    struct Case {
        folder: tempfile::TempDir,
        task: Task,
    }

    impl Case {
        fn of(bytes: &[u8]) -> Self {
            let case = Self::empty();
            fs_err::write(case.path("file"), bytes).unwrap();
            case
        }

        /// A file of 32-bit floats, stored by row.
        fn rows<const W: usize>(rows: &[[f64; W]]) -> Self {
            let case = Self::empty();
            let file = NpyWriter::create(&case.path("file"), &[rows.len(), W], false, FloatType::F32).unwrap();
            file.write_at(0, &rows.concat()).unwrap();
            case
        }

        fn empty() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut task = tasks::task(&MatrixImport, folder.path());
            tasks::give(&mut task, "file", &folder.path().join("file"));
            Self { folder, task }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn table(mut self, port: &str, table: DataTable) -> Self {
            let path = self.path(port);
            data_table::write(&path, &mut table.build().unwrap()).unwrap();
            tasks::give(&mut self.task, port, &path);
            self
        }

        fn set(mut self, name: &str, value: &str) -> Self {
            tasks::set(&mut self.task, name, Value::Text(value.to_owned()));
            self
        }

        fn run(&self) -> Result<Matrix, Failure> {
            tasks::run(&MatrixImport, &self.task)?;
            Ok(Matrix::open(&self.path("matrix")).unwrap())
        }

        fn message(&self) -> String {
            self.run().unwrap_err().message
        }

        fn csv(&self, output: &str) -> String {
            fs_err::read_to_string(self.path(output).join(data_table::CSV)).unwrap()
        }
    }

    fn values(matrix: &Matrix) -> Vec<f64> {
        matrix.block(0..matrix.columns().len(), None).unwrap()
    }

    #[test]
    fn names_are_counted_or_come_from_tables_or_the_file() {
        let rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let counted = Case::rows(&rows).run().unwrap();
        assert_eq!(
            (counted.rows().ids(), counted.columns().ids()),
            (&["r00000", "r00001"].map(String::from)[..], &["c00000", "c00001", "c00002"].map(String::from)[..])
        );
        assert_eq!((values(&counted), counted.float_type()), (vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0], FloatType::F32));
        let case = Case::rows(&rows)
            .table("rows", DataTable::new().integers("image", [7, 9]).text("id", ["x", "y"]))
            .table("columns", DataTable::new().text("id", ["v1", "v2", "v3"]).integers("i", [3, 4, 5]))
            .set("row_ids", "image")
            .set("column_axis", "voxels")
            .set("unit", "sd")
            .set("row_axis", "images");
        let named = case.run().unwrap();
        assert_eq!((named.rows().ids(), named.columns().ids()[2].as_str()), (&["7", "9"].map(String::from)[..], "v3"));
        assert_eq!(data_table::integers(named.columns().table(), "i").unwrap(), [3, 4, 5]);
        let about = named.about();
        assert_eq!((about.rows.as_str(), about.columns.as_str(), about.unit.as_str()), ("images", "voxels", "sd"));
        assert_eq!(about.history, ["imported from NPY, 2 x 3, 0 rows dropped, 0 columns excluded"]);
        assert!(named.spaces().is_err());
        let features =
            Case::of(b"image,f1,f2\nx,1,2\ny,3,4\n").set("id_column", "image").set("space", "Conv1").run().unwrap();
        assert_eq!(
            (features.rows().ids(), features.columns().ids()),
            (&["x", "y"].map(String::from)[..], &["f1", "f2"].map(String::from)[..])
        );
        assert_eq!(features.spaces().unwrap(), [("Conv1".to_owned(), vec![0, 1])]);
        let features = Case::rows(&rows).set("space", "Conv1").run().unwrap();
        assert_eq!(features.columns().ids()[1], "Conv1_00001");
    }

    #[test]
    fn names_of_the_file_are_joined_with_those_of_tables() {
        let places = || DataTable::new().text("name", ["v1", "v2", "v3"]).integers("i", [1, 2, 3]);
        let file = || Case::of(b"id,v2,v1\nb,1,2\na,3,4\n").set("id_column", "id").set("column_ids", "name");
        let images = DataTable::new().text("id", ["a", "b"]).integers("shown", [5, 6]);
        let matrix = file().table("columns", places()).table("rows", images).run().unwrap();
        assert_eq!(matrix.columns().ids(), ["v2", "v1"].map(String::from));
        assert_eq!(data_table::integers(matrix.columns().table(), "i").unwrap(), [2, 1]);
        assert_eq!(data_table::integers(matrix.rows().table(), "shown").unwrap(), [6, 5]);
        assert_eq!(values(&matrix), [1.0, 3.0, 2.0, 4.0]);
        // Of a file of columns, the heads are rows.
        let rows = DataTable::new().text("id", ["v1", "v2"]).integers("i", [1, 2]);
        let turned = Case::of(b"id,v2,v1\nb,1,2\na,3,4\n").set("id_column", "id").set("orientation", "transposed");
        let turned = turned.table("rows", rows).run().unwrap();
        assert_eq!(data_table::integers(turned.rows().table(), "i").unwrap(), [2, 1]);
        let other = DataTable::new().text("name", ["v1", "x"]);
        assert_eq!(
            file().table("columns", other).message(),
            "the file names its columns, and `v2` is not in the column `name` of the table `columns`"
        );
    }

    #[test]
    fn files_of_columns_are_transposed() {
        let case =
            Case::of(b"voxel,x,y\nv1,1,2\nv2,3,4\nv3,5,6\n").set("id_column", "voxel").set("orientation", "transposed");
        let matrix = case.run().unwrap();
        assert_eq!(
            (matrix.rows().ids(), matrix.columns().ids()[2].as_str()),
            (&["x", "y"].map(String::from)[..], "v3")
        );
        assert_eq!(values(&matrix), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let case = Case::rows(&[[1.0, N, 3.0], [4.0, N, 6.0]]).set("orientation", "transposed");
        assert_eq!(values(&case.run().unwrap()), [1.0, 3.0, 4.0, 6.0]);
        assert_eq!(case.csv("dropped"), "id,position,n_missing,reason\nr00001,1,2,no value\n");
    }

    const HOLES: [[f64; 3]; 4] = [[1.0, 2.0, 3.0], [N, N, N], [N, 5.0, 6.0], [7.0, 8.0, f64::INFINITY]];

    #[test]
    fn rows_without_values_and_columns_that_lack_some_are_listed() {
        let case = Case::rows(&HOLES);
        assert_eq!(values(&case.run().unwrap()), [2.0, 5.0, 8.0]);
        assert_eq!(case.csv("dropped"), "id,position,n_missing,reason\nr00001,1,3,no value\n");
        let expected = "id,position,n_missing,n_infinite,reason\nc00000,0,1,0,missing\nc00002,2,0,1,infinite\n";
        assert_eq!(case.csv("excluded"), expected);
        let notes = tasks::run(&MatrixImport, &case.task).unwrap();
        assert_eq!(notes[0], "important: 1 of 4 stimuli are left out: they have no value in any column");
        assert!(notes[1].starts_with("important: 2 of 3 columns are left out"));
        assert!(
            case.set("missing", "refuse").message().contains("1 of 4 rows have none, and 2 of 3 columns lack some")
        );
        let whole = Case::rows(&HOLES[..1]).set("missing", "refuse");
        assert_eq!(values(&whole.run().unwrap()), [1.0, 2.0, 3.0]);
        assert_eq!(whole.csv("dropped"), "id,position,n_missing,reason\n");
    }

    #[test]
    fn by_the_rule_of_the_lab_the_first_column_decides() {
        let repeats = |counts: [i64; 4]| {
            let table = DataTable::new().text("id", ["a", "b", "c", "d"]).integers("n_reps", counts);
            Case::rows(&HOLES).table("rows", table).set("compat", "lab08").set("repeats", "n_reps")
        };
        let case = repeats([3, 0, 0, 1]);
        let matrix = case.run().unwrap();
        assert_eq!(
            (values(&matrix), matrix.rows().ids()),
            (vec![1.0, 7.0, 2.0, 8.0], &["a", "d"].map(String::from)[..])
        );
        assert_eq!(case.csv("dropped"), "id,position,n_missing,reason\nb,1,3,first column\nc,2,1,first column\n");
        assert_eq!(
            repeats([3, 0, 2, 1]).message(),
            "missing values are not where `n_reps` is 0 in 1 rows: `c`, the first, has no values, and `n_reps` is 2"
        );
        assert!(repeats([0, 0, 0, 1]).message().contains("`a`, the first, has values, and `n_reps` is 0"));
        assert!(repeats([3, 0, 0, 1]).set("compat", "none").message().contains("`c`, the first, has values"));
    }

    #[test]
    fn tables_that_do_not_fit_are_refused_with_both_numbers() {
        let rows = [[1.0], [2.0]];
        let three = || DataTable::new().text("id", ["a", "b", "c"]);
        let message = Case::rows(&rows).table("rows", three()).message();
        assert_eq!(message, "the file has 2 rows, but the table `rows` has 3 rows");
        let message = Case::rows(&rows).table("columns", three()).message();
        assert_eq!(message, "the file has 1 columns, but the table `columns` has 3 rows");
        assert!(Case::rows(&rows).set("row_ids", "image").message().contains("there is no table `rows`"));
        let repeated = Case::of(b"id,x\na,1\na,2\n").set("id_column", "id").run().unwrap_err();
        assert!(repeated.message.contains("`a` is the id of rows 1 and 2") && repeated.place.is_some());
    }

    /// Resident memory of this process, in bytes.
    fn resident() -> u64 {
        let status = fs_err::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    #[test]
    #[ignore = "writes a file of 1 GB; run it alone"]
    fn memory_is_bounded() {
        let case = Case::empty();
        let (rows, columns) = (5_000, 50_000);
        let file = NpyWriter::create(&case.path("file"), &[rows, columns], false, FloatType::F32).unwrap();
        let line: Vec<f32> = (0..columns).map(|at| at as f32).collect();
        (0..rows).for_each(|row| file.write_at(row * columns, &line).unwrap());
        let matrix = case.run().unwrap();
        assert_eq!(matrix.block::<f64>(columns - 1..columns, None).unwrap(), vec![(columns - 1) as f64; rows]);
        assert!(resident() < 500 << 20, "{} bytes", resident());
    }
}
