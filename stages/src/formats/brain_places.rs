//! Where ids lie in a brain: in voxels of a volume of a cortex, or at vertices of its surfaces.
//!
//! Read from the columns of a matrix or the rows of a table: `i`, `j`, `k`, or `hemisphere` and `vertex`. Decides that places of another brain
//! are refused, as far as numbers tell. Vertices count over both hemispheres, left first; voxels along the first axis of the volume first.

use std::path::Path;

use pipe_contract::Failure;

use super::cortex::{FlattenedCortex, Transform};
use super::data_table;
use super::matrix::{COLUMNS, MatrixAxis};

/// Where ids lie, in their order.
#[derive(Debug, PartialEq)]
pub enum BrainPlaces {
    /// In voxels of the volume of a transform.
    Voxels {
        /// Their numbers.
        numbers: Vec<usize>,
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
    /// The places of all ids on a cortex. `transform` is the one in whose volume voxels lie, or empty for the only one; `shape` that of the
    /// volume which the ids are of, or empty if it is not known.
    ///
    /// # Errors
    /// Input: the columns are not there, a place is not on this cortex, or the volume is another one.
    pub fn of(ids: &MatrixAxis, cortex: &FlattenedCortex, transform: &str, shape: &[usize]) -> Result<Self, Failure> {
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

fn voxels(
    ids: &MatrixAxis,
    cortex: &FlattenedCortex,
    transform: &str,
    given: &[usize],
) -> Result<BrainPlaces, Failure> {
    let (name, transform) = cortex.transform(transform)?;
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
    Ok(BrainPlaces::Voxels { numbers, transform: Box::new(transform) })
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
