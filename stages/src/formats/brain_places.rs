//! Where ids lie in a brain: in voxels of a volume of a cortex, or at vertices of its surfaces.
//!
//! Read from the columns of a matrix or the rows of a table: `i`, `j`, `k`, or `hemisphere` and `vertex`. Decides that places of another
//! brain are refused: by what their columns say of it, if they do (`cortex` and `transform` of units of a cortex, `volume` of a mask that
//! came with its shape), and as far as numbers show it. Vertices count over both hemispheres, left first; voxels along the first axis of
//! the volume first.

use std::path::Path;

use pipe_contract::Failure;

use super::cortex::{FlattenedCortex, Transform};
use super::data_table;
use super::matrix::{COLUMNS, MatrixAxis};

/// The column that names the subject whose cortex places are on.
pub const CORTEX: &str = "cortex";
/// The column that names the transform in whose volume voxels are.
pub const TRANSFORM: &str = "transform";
/// The column with the shape of the volume that voxels are of, in the words of [`dimensions`]. Not every table has it.
pub const VOLUME: &str = "volume";

/// Where ids lie, in their order.
#[derive(Debug, PartialEq)]
pub enum BrainPlaces {
    /// In voxels of the volume of a transform.
    Voxels {
        /// Their numbers.
        numbers: Vec<usize>,
        /// What the transform is called.
        name: String,
        /// Where the volume lies.
        transform: Box<Transform>,
    },
    /// At vertices.
    Vertices {
        /// Their numbers.
        numbers: Vec<usize>,
    },
}

/// The ids that have places.
///
/// # Errors
/// Input: neither a matrix nor a table with unique ids.
pub fn read(folder: &Path) -> Result<MatrixAxis, Failure> {
    let columns = folder.join(COLUMNS);
    let table = if columns.is_file() { data_table::read_parquet(&columns)? } else { data_table::read(folder)? };
    MatrixAxis::new(table).map_err(|failure| failure.at(folder.display().to_string()))
}

/// `72 x 72 x 22`.
pub fn dimensions(shape: [usize; 3]) -> String {
    let [i, j, k] = shape;
    format!("{i} x {j} x {k}")
}

impl BrainPlaces {
    /// The places of all ids on a cortex. Places that name a cortex or a transform must name this one. `transform` is the one in whose volume
    /// voxels lie, or empty for the only one; `shape` that of the volume which the ids are of, or empty if it is not known.
    ///
    /// # Errors
    /// Input: the columns are not there, a place is not on this cortex, or the volume is another one.
    pub fn of(ids: &MatrixAxis, cortex: &FlattenedCortex, transform: &str, shape: &[usize]) -> Result<Self, Failure> {
        named_as(ids, CORTEX, &cortex.about().subject)?;
        let has = |name: &&str| ids.table().column(name).is_ok();
        if ["i", "j", "k"].iter().all(has) {
            return voxels(ids, cortex, transform, shape);
        }
        if ["hemisphere", "vertex"].iter().all(has) {
            return vertices(ids, cortex);
        }
        let there: Vec<String> = ids.table().get_column_names().iter().map(|name| format!("`{name}`")).collect();
        Err(Failure::input(format!(
            "the places have the columns {}, expected `i`, `j` and `k` of voxels, or `hemisphere` and `vertex`",
            there.join(", ")
        )))
    }

    /// The numbers of all voxels or vertices.
    pub fn numbers(&self) -> &[usize] {
        match self {
            Self::Voxels { numbers, .. } | Self::Vertices { numbers } => numbers,
        }
    }
}

/// Refuses ids that name another cortex or transform. A column of other things than text says nothing of it.
fn named_as(ids: &MatrixAxis, column: &str, here: &str) -> Result<(), Failure> {
    let named = data_table::texts(ids.table(), column).unwrap_or_default();
    match named.iter().find(|named| *named != here) {
        None => Ok(()),
        Some(other) => Err(Failure::input(format!(
            "the places are of the {column} `{other}` (their column `{column}`), but this is the {column} `{here}`"
        ))
        .hint("places, values and cortex must be of one subject and one transform")),
    }
}

fn voxels(
    ids: &MatrixAxis,
    cortex: &FlattenedCortex,
    transform: &str,
    given: &[usize],
) -> Result<BrainPlaces, Failure> {
    let (name, transform) = cortex.transform(transform)?;
    named_as(ids, TRANSFORM, &name)?;
    let shape = transform.shape;
    let another = |found: String| {
        Failure::input(format!("{found}, but the volume of transform `{name}` has {} voxels", dimensions(shape)))
            .hint("this is the mask of another brain, or of another volume of the same one: choose its `transform:`")
    };
    match *given {
        [] => {}
        [i, j, k] if [i, j, k] == shape => {}
        [i, j, k] => return Err(another(format!("the ids are of a volume of {} voxels", dimensions([i, j, k])))),
        _ => return Err(Failure::input(format!("found {given:?} as `shape`, expected three numbers"))),
    }
    if ids.table().column(VOLUME).is_ok() {
        let volumes = data_table::texts(ids.table(), VOLUME)?;
        if let Some(found) = volumes.iter().find(|volume| **volume != dimensions(shape)) {
            return Err(another(format!("the ids are of a volume of {found} voxels")));
        }
    }
    let [i, j, k] = ["i", "j", "k"].map(|axis| data_table::integers(ids.table(), axis));
    let indices = [i?, j?, k?];
    let mut numbers = vec![0; ids.len()];
    let mut step = 1;
    for (axis, length) in indices.iter().zip(shape) {
        for (number, index) in numbers.iter_mut().zip(axis) {
            let Some(index) = usize::try_from(*index).ok().filter(|index| *index < length) else {
                let reach =
                    |axis: &Vec<i64>| axis.iter().max().and_then(|most| usize::try_from(most + 1).ok()).unwrap_or(0);
                let [i, j, k] = &indices;
                let reach = dimensions([reach(i), reach(j), reach(k)]);
                return Err(another(format!("the ids reach over a volume of at least {reach} voxels")));
            };
            *number += step * index;
        }
        step *= length;
    }
    Ok(BrainPlaces::Voxels { numbers, name, transform: Box::new(transform) })
}

fn vertices(ids: &MatrixAxis, cortex: &FlattenedCortex) -> Result<BrainPlaces, Failure> {
    let sides = data_table::texts(ids.table(), "hemisphere")?;
    let vertices = data_table::integers(ids.table(), "vertex")?;
    let hemispheres = cortex.hemispheres()?;
    let mut numbers = Vec::with_capacity(ids.len());
    for (id, (side, vertex)) in ids.ids().iter().zip(sides.iter().zip(vertices)) {
        let (mut first, mut there) = (0, 0);
        for (hemisphere, count) in &hemispheres {
            if hemisphere.name() == side {
                there = *count;
                break;
            }
            first += count;
        }
        match usize::try_from(vertex) {
            Ok(vertex) if vertex < there => numbers.push(first + vertex),
            _ => {
                let found = format!("`{id}` is vertex {vertex} of `{side}`, but the cortex has {there} vertices there");
                return Err(Failure::input(found)
                    .hint("the ids are of another brain, or of the same one at another resolution"));
            }
        }
    }
    Ok(BrainPlaces::Vertices { numbers })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::test_support::two_triangles::write_two_triangles;

    const UNIT: [[f64; 4]; 4] =
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

    /// A cortex with two transforms to volumes of one shape.
    fn cortex(folder: &Path) -> FlattenedCortex {
        let transform = Transform { to_voxels: UNIT, shape: [4, 3, 2], affine: UNIT };
        write_two_triangles(folder, &["full", "part"].map(|name| (name, transform.clone())))
    }

    fn axis(table: DataTable) -> MatrixAxis {
        MatrixAxis::new(table.build().unwrap()).unwrap()
    }

    #[test]
    fn voxels_and_vertices_have_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let cortex = cortex(folder.path());
        let voxels = || DataTable::new().text("id", ["a", "b"]).integers("i", [3, 0]).integers("j", [1, 2]);
        let of_voxels = axis(voxels().integers("k", [1, 0]));
        let places = BrainPlaces::of(&of_voxels, &cortex, "part", &[4, 3, 2]).unwrap();
        // The first axis runs fastest: 3 + 4 * (1 + 3 * 1), 0 + 4 * 2.
        assert_eq!(places.numbers(), [19, 8]);
        assert!(matches!(&places, BrainPlaces::Voxels { name, .. } if name == "part"));
        let of_vertices =
            axis(DataTable::new().text("id", ["a", "b"]).text("hemisphere", ["rh", "lh"]).integers("vertex", [2, 1]));
        assert_eq!(BrainPlaces::of(&of_vertices, &cortex, "", &[]).unwrap().numbers(), [5, 1]);
        let nothing = BrainPlaces::of(&axis(voxels()), &cortex, "part", &[]).unwrap_err();
        assert!(nothing.message.contains("the columns `id`, `i`, `j`, expected `i`, `j` and `k`"), "{nothing}");
    }

    #[test]
    fn places_of_another_cortex_or_transform_are_refused_although_their_numbers_fit() {
        let folder = tempfile::tempdir().unwrap();
        let cortex = cortex(folder.path());
        let named = |cortex: &str, transform: &str| {
            let table = DataTable::new().text("id", ["a"]).integers("i", [0]).integers("j", [0]).integers("k", [0]);
            axis(table.text(CORTEX, [cortex]).text(TRANSFORM, [transform]))
        };
        assert!(BrainPlaces::of(&named("S1", "full"), &cortex, "full", &[]).is_ok());
        assert_eq!(
            BrainPlaces::of(&named("S2", "full"), &cortex, "full", &[]).unwrap_err().message,
            "the places are of the cortex `S2` (their column `cortex`), but this is the cortex `S1`"
        );
        assert_eq!(
            BrainPlaces::of(&named("S1", "part"), &cortex, "full", &[]).unwrap_err().message,
            "the places are of the transform `part` (their column `transform`), but this is the transform `full`"
        );
        let numbered = DataTable::new().text("id", ["a"]).text("hemisphere", ["lh"]).integers("vertex", [0]);
        assert!(BrainPlaces::of(&axis(numbered.integers(CORTEX, [7])), &cortex, "", &[]).is_ok());
    }
}
