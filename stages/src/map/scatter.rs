//! `map/scatter`: a column of a table as a map, each value in its voxel or vertex.
//!
//! Values are joined with places by id, never by position. Decides what a column becomes: numbers stay numbers, texts (and whole numbers
//! with `categories`) become categories.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};
use polars::prelude::{Column, DataFrame, DataType, IdxCa, IdxSize};

use crate::formats::brain_places::{self, BrainPlaces};
use crate::formats::cortex::FlattenedCortex;
use crate::formats::cortical_map::{AboutMap, CorticalMap, MapValues, Measure};
use crate::formats::data_table;
use crate::formats::matrix::ID;
use crate::formats::nifti::VolumePlace;

/// The kind.
pub(super) struct Scatter;

parameters! {
    struct Parameters {
        /// the column of values
        value: String;
        /// words that rows must have in other columns, such as `model: A+B`; all rows if empty
        only: BTreeMap<String, String> = BTreeMap::new();
        /// names of categories in their order: of the words of a text column, or of the whole numbers from 0 of a column of numbers;
        /// empty: words in alphabetical order, and numbers are numbers
        categories: Vec<String> = Vec::new();
        /// the transform in whose volume voxels lie; empty for the only one
        transform: String = String::new();
        /// the shape of the volume that the ids' `i`, `j`, `k` are of, checked against the transform's; empty: not known
        shape: Vec<usize> = Vec::new();
        /// a title for figures
        title: String = String::new();
        /// the unit of numbers
        unit: String = String::new();
        /// the values at the two ends of the colours; empty: decided where it is shown
        limits: Vec<f64> = Vec::new();
    }
}

impl StageKind for Scatter {
    fn kind(&self) -> Kind {
        let kind = Kind::new("map/scatter", 1, "Puts a column of a table into voxels or vertices.")
            .input("values", &[], "a table with a column `id` and the column of values")
            .input(
                "places",
                &[],
                "a matrix (its columns) or a table of the same ids with `i`, `j`, `k` of voxels, or `hemisphere` and `vertex`",
            )
            .input("cortex", &["cortex"], "the cortex that they are of")
            .folder(
                "map",
                "map",
                "volume.nii.gz (NaN outside) or {lh,rh}.func.gii, and map.json: what the values are, and of which brain",
            )
            .parameters::<Parameters>();
        Kind { stamped: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let limits = match parameters.limits[..] {
            [] => None,
            [low, high] if low < high => Some([low, high]),
            _ => {
                let found =
                    format!("found {:?} as `limits`, expected a low and a high number, or none", parameters.limits);
                return Err(Failure::input(found));
            }
        };
        let folder = task.one("values")?;
        let at = |failure: Failure| failure.at(folder.display().to_string());
        let (ids, column) = rows(&data_table::read(folder)?, &parameters).map_err(at)?;
        let (values, measure, categories) = values(&column, &parameters).map_err(at)?;
        let cortex = FlattenedCortex::open(task.one("cortex")?)?;
        let known = brain_places::read(task.one("places")?)?;
        let places = BrainPlaces::of(&known, &cortex, &parameters.transform, &parameters.shape)?;
        let positions = known.positions_of(&ids, "ids of `values`")?;
        let size = match &places {
            BrainPlaces::Voxels { transform, .. } => transform.shape.iter().product(),
            BrainPlaces::Vertices { .. } => cortex.hemispheres()?.iter().map(|(_, count)| count).sum(),
        };
        let mut all = vec![f32::NAN; size];
        let mut taken = vec![false; size];
        for ((id, position), value) in ids.iter().zip(positions).zip(values) {
            let number = places.numbers()[position];
            if std::mem::replace(&mut taken[number], true) {
                return Err(Failure::input(format!("`{id}` is in the same voxel or vertex as another id")));
            }
            all[number] = value;
        }
        let (values, transform) = match places {
            BrainPlaces::Voxels { name, transform, .. } => {
                let place = VolumePlace { shape: transform.shape, affine: transform.affine };
                (MapValues::Volume { place, values: all }, Some(name))
            }
            BrainPlaces::Vertices { .. } => {
                let mut rest = all.as_slice();
                let mut next = |count: usize| {
                    let (these, others) = rest.split_at(count);
                    rest = others;
                    these.to_vec()
                };
                let sides = cortex.hemispheres()?.into_iter().map(|(side, count)| (side, next(count)));
                (MapValues::Vertices(sides.collect()), None)
            }
        };
        let Parameters { title, unit, .. } = parameters;
        let (subject, simulated) = (cortex.about().subject.clone(), task.simulated);
        let about = AboutMap { title, unit, measure, categories, limits, cortex: subject, transform, simulated };
        CorticalMap { about, values }.write(task.output("map")?)?;
        context.log(&format!("{} values", ids.len()));
        Ok(Ended::done())
    }
}

/// The ids and values of the rows that are asked for, each id once.
fn rows(table: &DataFrame, parameters: &Parameters) -> Result<(Vec<String>, Column), Failure> {
    let all = data_table::texts(table, ID)?;
    let mut wanted = vec![true; all.len()];
    for (name, word) in &parameters.only {
        let words = column(table, name)?.cast(&DataType::String).map_err(unexpected)?;
        let words = words.str().map_err(unexpected)?;
        let found: BTreeSet<&str> = words.iter().flatten().collect();
        if !found.contains(word.as_str()) {
            let found: Vec<String> = found.iter().take(10).map(|word| format!("`{word}`")).collect();
            return Err(Failure::input(format!("no row has `{word}` in `{name}`; it has {}", found.join(", "))));
        }
        words.iter().zip(&mut wanted).for_each(|(here, wanted)| *wanted &= here == Some(word.as_str()));
    }
    let kept: Vec<usize> = (0..all.len()).filter(|row| wanted[*row]).collect();
    let ids: Vec<String> = kept.iter().map(|row| all[*row].clone()).collect();
    let mut seen = BTreeSet::new();
    if let Some(twice) = ids.iter().find(|id| !seen.insert(id.as_str())) {
        return Err(Failure::input(format!("`{twice}` has more than one row"))
            .hint("choose rows with `only:`, such as one model and one part"));
    }
    if ids.is_empty() {
        return Err(Failure::input("no row has all the words of `only`"));
    }
    let numbers = kept.iter().map(|row| IdxSize::try_from(*row).map_err(unexpected)).collect::<Result<_, Failure>>()?;
    let values = column(table, &parameters.value)?.take(&IdxCa::from_vec("row".into(), numbers)).map_err(unexpected)?;
    Ok((ids, values))
}

fn column<'a>(table: &'a DataFrame, name: &str) -> Result<&'a Column, Failure> {
    table.column(name).map_err(|_| {
        let there: Vec<String> = table.get_column_names().iter().map(|name| format!("`{name}`")).collect();
        Failure::input(format!("expected a column `{name}`, but the table has {}", there.join(", ")))
    })
}

fn unexpected(error: impl std::fmt::Display) -> Failure {
    Failure::internal(error.to_string())
}

/// The values, NaN where missing, what they are, and the names of categories.
fn values(column: &Column, parameters: &Parameters) -> Result<(Vec<f32>, Measure, Vec<String>), Failure> {
    let name = &parameters.value;
    if column.dtype() == &DataType::String {
        let words = column.str().map_err(unexpected)?;
        let mut categories = parameters.categories.clone();
        if categories.is_empty() {
            categories = words.iter().flatten().map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect();
        }
        let number = |word: Option<&str>| match word {
            None => Ok(f32::NAN),
            Some(word) => match categories.iter().position(|category| category == word) {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^24")]
                Some(number) => Ok(number as f32),
                None => Err(Failure::input(format!("`{name}` has the word `{word}`, which is not in `categories`"))),
            },
        };
        return Ok((words.iter().map(number).collect::<Result<_, Failure>>()?, Measure::Category, categories));
    }
    if !column.dtype().is_primitive_numeric() && column.dtype() != &DataType::Boolean {
        return Err(Failure::input(format!("column `{name}` holds {}, expected numbers or text", column.dtype())));
    }
    let numbers = column.cast(&DataType::Float64).map_err(unexpected)?;
    let numbers = numbers.f64().map_err(unexpected)?;
    #[expect(clippy::cast_possible_truncation, reason = "maps are stored as 32-bit floats")]
    let numbers: Vec<f32> = numbers.iter().map(|number| number.map_or(f32::NAN, |number| number as f32)).collect();
    if parameters.categories.is_empty() {
        return Ok((numbers, Measure::Number, Vec::new()));
    }
    let last = parameters.categories.len() - 1;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^24")]
    let is_category = |value: f32| value.is_nan() || (value.fract() == 0.0 && (0.0..=last as f32).contains(&value));
    match numbers.iter().find(|value| !is_category(**value)) {
        Some(other) => Err(Failure::input(format!(
            "`{name}` has the value {other}, expected whole numbers from 0 to {last}: the places of `categories`"
        ))),
        None => Ok((numbers, Measure::Category, parameters.categories.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::cortex::Transform;
    use crate::formats::data_table::DataTable;
    use crate::test_support::tasks::{self, give, set, task};
    use crate::test_support::two_triangles::write_two_triangles;

    const AFFINE: [[f64; 4]; 4] =
        [[2.0, 0.0, 0.0, 1.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn texts(words: &[&str]) -> Value {
        Value::List(words.iter().map(|word| text(word)).collect())
    }

    fn of_model(model: &str) -> Value {
        Value::Map([("model".to_owned(), text(model))].into())
    }

    /// A task with three voxels, which have two rows each.
    fn given(folder: &Path) -> Task {
        let transform = Transform { to_voxels: AFFINE, shape: [3, 2, 2], affine: AFFINE };
        write_two_triangles(&folder.join("cortex"), &[("t", transform)]);
        let places = DataTable::new()
            .text("id", ["a", "b", "c", "d"])
            .integers("i", [2, 0, 1, 0])
            .integers("j", [1, 0, 0, 1])
            .integers("k", [1, 0, 1, 0])
            .text("hemisphere", ["lh", "rh", "rh", "lh"])
            .integers("vertex", [2, 0, 1, 0]);
        data_table::write(&folder.join("places"), &mut places.build().unwrap()).unwrap();
        let values = DataTable::new()
            .text("id", ["c", "a", "b", "c", "a", "b"])
            .text("model", ["A", "A", "A", "B", "B", "B"])
            .optional_numbers("r2", [Some(0.3), Some(0.1), None, Some(3.0), Some(1.0), Some(2.0)])
            .integers("rank", [2, 0, 1, 0, 0, 3])
            .text("best", ["conv2", "conv1", "conv2", "fc", "fc", "fc"]);
        data_table::write(&folder.join("values"), &mut values.build().unwrap()).unwrap();
        let mut task = task(&Scatter, &folder.join("out"));
        for port in ["cortex", "places", "values"] {
            give(&mut task, port, &folder.join(port));
        }
        set(&mut task, "value", text("r2"));
        set(&mut task, "only", of_model("A"));
        task
    }

    fn map(task: &Task) -> Result<CorticalMap, Failure> {
        tasks::run(&Scatter, task)?;
        CorticalMap::read(task.output("map").unwrap())
    }

    fn volume(map: &CorticalMap) -> Vec<(usize, f32)> {
        let MapValues::Volume { place, values } = &map.values else { panic!("{map:?}") };
        assert_eq!((place.shape, place.affine), ([3, 2, 2], AFFINE));
        values.iter().copied().enumerate().filter(|(_, value)| !value.is_nan()).collect()
    }

    #[test]
    fn values_are_joined_by_id_and_the_rest_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        set(&mut task, "title", text("R2"));
        set(&mut task, "unit", text("share"));
        set(&mut task, "limits", Value::List(vec![Value::Float(0.0), Value::Float(0.4)]));
        let numbers = map(&task).unwrap();
        assert_eq!(volume(&numbers), [(7, 0.3), (11, 0.1)]);
        let AboutMap { title, unit, measure, limits, .. } = numbers.about;
        assert_eq!(
            (title.as_str(), unit.as_str(), measure, limits),
            ("R2", "share", Measure::Number, Some([0.0, 0.4]))
        );
        set(&mut task, "only", of_model("B"));
        assert_eq!(volume(&map(&task).unwrap()), [(0, 2.0), (7, 3.0), (11, 1.0)]);
    }

    #[test]
    fn a_map_says_of_which_brain_it_is_and_whether_it_is_simulated() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        let AboutMap { cortex, transform, simulated, .. } = map(&task).unwrap().about;
        assert_eq!((cortex.as_str(), transform.as_deref(), simulated), ("S1", Some("t"), false));
        task.simulated = true;
        assert!(map(&task).unwrap().about.simulated);
        let mut places = data_table::read(&folder.path().join("places")).unwrap().drop_many(["i", "j", "k"]);
        data_table::write(&folder.path().join("places"), &mut places).unwrap();
        assert_eq!(map(&task).unwrap().about.transform, None);
    }

    #[test]
    fn words_and_numbered_names_are_categories() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        set(&mut task, "value", text("best"));
        let words = map(&task).unwrap();
        assert_eq!(volume(&words), [(0, 1.0), (7, 1.0), (11, 0.0)]);
        assert_eq!(
            (words.about.measure, words.about.categories.join(" ")),
            (Measure::Category, "conv1 conv2".to_owned())
        );
        set(&mut task, "categories", texts(&["conv2", "conv1"]));
        assert_eq!(volume(&map(&task).unwrap()), [(0, 0.0), (7, 0.0), (11, 1.0)]);
        set(&mut task, "categories", texts(&["conv2"]));
        assert!(map(&task).unwrap_err().message.contains("the word `conv1`, which is not in `categories`"));
        set(&mut task, "value", text("rank"));
        set(&mut task, "categories", texts(&["x", "y", "z"]));
        let numbered = map(&task).unwrap();
        assert_eq!(volume(&numbered), [(0, 1.0), (7, 2.0), (11, 0.0)]);
        assert_eq!(numbered.about.measure, Measure::Category);
        set(&mut task, "categories", texts(&["x", "y"]));
        assert!(map(&task).unwrap_err().message.contains("the value 2, expected whole numbers from 0 to 1"));
    }

    #[test]
    fn vertices_have_a_map_a_hemisphere() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        let mut places = data_table::read(&folder.path().join("places")).unwrap().drop_many(["i", "j", "k"]);
        data_table::write(&folder.path().join("places"), &mut places).unwrap();
        let MapValues::Vertices(maps) = map(&task).unwrap().values else { panic!() };
        assert_eq!([maps[0].1[2], maps[1].1[1]], [0.1, 0.3]);
        assert_eq!(maps.iter().flat_map(|(_, values)| values).filter(|value| !value.is_nan()).count(), 2);
        let far =
            DataTable::new().text("id", ["a", "b", "c"]).text("hemisphere", ["lh"; 3]).integers("vertex", [0, 3, 1]);
        data_table::write(&folder.path().join("far"), &mut far.build().unwrap()).unwrap();
        give(&mut task, "places", &folder.path().join("far"));
        assert!(map(&task).unwrap_err().message.contains("`b` is vertex 3 of `lh`, but the cortex has 3"));
    }

    #[test]
    fn the_mask_of_another_brain_and_unclear_rows_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        let places = |i: [i64; 3]| {
            let places = DataTable::new().text("id", ["a", "b", "c"]).integers("i", i);
            let mut places = places.integers("j", [0, 0, 1]).integers("k", [0; 3]).build().unwrap();
            data_table::write(&folder.path().join("other"), &mut places).unwrap();
        };
        places([0, 1, 81]);
        give(&mut task, "places", &folder.path().join("other"));
        assert_eq!(
            map(&task).unwrap_err().message,
            "the ids reach over a volume of at least 82 x 2 x 1 voxels, but the volume of transform `t` has 3 x 2 x 2 voxels"
        );
        places([1, 1, 1]);
        assert!(map(&task).unwrap_err().message.contains("in the same voxel or vertex as another id"));
        set(&mut task, "shape", Value::List([81, 104, 83].map(Value::Int).to_vec()));
        assert_eq!(
            map(&task).unwrap_err().message,
            "the ids are of a volume of 81 x 104 x 83 voxels, but the volume of transform `t` has 3 x 2 x 2 voxels"
        );
        // A smaller mask would fit into the volume: the shape that came with it tells.
        let places = DataTable::new().text("id", ["a", "b", "c"]).integers("i", [0, 1, 1]).integers("j", [0, 0, 1]);
        let mut places = places.integers("k", [0; 3]).text("volume", ["2 x 2 x 2"; 3]).build().unwrap();
        data_table::write(&folder.path().join("other"), &mut places).unwrap();
        set(&mut task, "shape", Value::List(Vec::new()));
        assert_eq!(
            map(&task).unwrap_err().message,
            "the ids are of a volume of 2 x 2 x 2 voxels, but the volume of transform `t` has 3 x 2 x 2 voxels"
        );
        let mut task = given(folder.path());
        set(&mut task, "transform", text("u"));
        assert!(map(&task).unwrap_err().message.contains("no transform `u`"));
        set(&mut task, "transform", text("t"));
        set(&mut task, "only", Value::Map(BTreeMap::new()));
        assert_eq!(map(&task).unwrap_err().message, "`c` has more than one row");
        set(&mut task, "only", of_model("C"));
        assert_eq!(map(&task).unwrap_err().message, "no row has `C` in `model`; it has `A`, `B`");
        set(&mut task, "only", of_model("A"));
        set(&mut task, "limits", Value::List(vec![Value::Float(1.0)]));
        assert!(map(&task).unwrap_err().message.contains("expected a low and a high number"));
    }
}
