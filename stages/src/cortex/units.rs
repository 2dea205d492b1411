//! `cortex/units`: the voxels or the vertices of a cortex, where responses can come from.
//!
//! With a transform, a unit is a voxel that the grey matter reaches: the nearest voxel of a point between the white and the pial surface
//! above a vertex of the flat surface, at one of several depths. Without one, a unit is a vertex of the flat surface. Decides how units
//! are called: a voxel by its index in the volume, last axis fastest, as NumPy flattens it; a vertex by hemisphere and number.
//! Independent of responses.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};

use crate::formats::cortex::{FlattenedCortex, SurfaceName, Transform};
use crate::formats::data_table::{self, DataTable};
use crate::numeric::counts::real;
use crate::numeric::depth_samples;
use crate::numeric::vector::{Point, add, scale};

/// The kind.
pub(super) struct CortexUnits;

parameters! {
    struct Parameters {
        /// of what units are: `voxels` of the volume of a transform, or `vertices`
        of: Of = Of::Voxels;
        /// the transform; empty for the only one
        transform: String = String::new();
        /// depths between the surfaces at which voxels are looked for, equally spaced, without the surfaces themselves
        depths: usize = 8, in 1..=64;
    }
}

pipe_contract::choice! {
    /// What units are.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Of {
        /// Voxels.
        Voxels = "voxels",
        /// Vertices.
        Vertices = "vertices",
    }
}

/// Every column that the table can have: `i`, `j`, `k` of voxels, `hemisphere` and `vertex` of vertices.
const COLUMNS: &[Column] = &[
    Column::new(
        "id",
        "the unit: `v` and the index of a voxel (last axis fastest), or hemisphere and number of a vertex",
    ),
    Column::new("i", "index of the voxel along the first axis of the volume"),
    Column::new("j", "index along the second axis"),
    Column::new("k", "index along the third axis"),
    Column::new("hemisphere", "the hemisphere of the vertex").levels(&[("lh", "left"), ("rh", "right")]),
    Column::new("vertex", "the number of the vertex, from 0"),
    Column::measured("x", "mm", "place midway between the surfaces, mean over the vertices that reach the voxel"),
    Column::measured("y", "mm", "likewise"),
    Column::measured("z", "mm", "likewise"),
];

impl StageKind for CortexUnits {
    fn kind(&self) -> Kind {
        Kind::new("cortex/units", 1, "the voxels or vertices of a cortex, with their places")
            .input("cortex", &["cortex"], "the cortex")
            .folder("table", "table", "a row a unit, by index: what the columns of responses are made of")
            .described(data_table::FILES, COLUMNS)
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let folder = task.one("cortex")?;
        let cortex = FlattenedCortex::open(folder)?;
        let mut table = match parameters.of {
            Of::Vertices => vertices(&cortex)?,
            Of::Voxels => {
                let (_, transform) = cortex.transform(&parameters.transform).map_err(|failure| {
                    failure.at(folder.display().to_string()).hint("`of: vertices` takes the vertices of its surfaces")
                })?;
                voxels(&cortex, &transform, parameters.depths)?
            }
        }
        .build()?;
        context.log(&format!("{} units", table.height()));
        if table.height() == 0 {
            return Err(Failure::input("no vertex lies in the volume of the transform, expected some")
                .at(folder.display().to_string()));
        }
        data_table::write(task.output("table")?, &mut table)?;
        Ok(Ended::done())
    }
}

/// Vertices of the flat surface of a hemisphere that are part of a triangle, each with its points on the white and the pial surface.
fn flat_vertices(
    cortex: &FlattenedCortex,
    hemisphere: crate::hemisphere::Hemisphere,
) -> Result<Vec<(usize, Point, Point)>, Failure> {
    let flat = cortex.surface(hemisphere, SurfaceName::Flat)?;
    let white = cortex.surface(hemisphere, SurfaceName::White)?.points();
    let pial = cortex.surface(hemisphere, SurfaceName::Pial)?.points();
    let used: BTreeSet<usize> = flat.triangles.iter().flatten().map(|vertex| *vertex as usize).collect();
    Ok(used.into_iter().map(|vertex| (vertex, white[vertex], pial[vertex])).collect())
}

fn between(white: Point, pial: Point, depth: f64) -> Point {
    add(scale(white, 1.0 - depth), scale(pial, depth))
}

fn vertices(cortex: &FlattenedCortex) -> Result<DataTable, Failure> {
    let mut units = Vec::new();
    for (hemisphere, _) in cortex.hemispheres()? {
        for (vertex, white, pial) in flat_vertices(cortex, hemisphere)? {
            units.push((hemisphere.name(), vertex, between(white, pial, 0.5)));
        }
    }
    let table = DataTable::new()
        .text("id", units.iter().map(|(hemisphere, vertex, _)| format!("{hemisphere}/{vertex:06}")))
        .text("hemisphere", units.iter().map(|(hemisphere, ..)| *hemisphere))
        .integers("vertex", units.iter().map(|(_, vertex, _)| i64::try_from(*vertex).unwrap_or(i64::MAX)));
    Ok(with_places(table, units.iter().map(|(.., place)| *place)))
}

fn voxels(cortex: &FlattenedCortex, transform: &Transform, depths: usize) -> Result<DataTable, Failure> {
    let mut found: BTreeMap<[usize; 3], (Point, usize)> = BTreeMap::new();
    for (hemisphere, _) in cortex.hemispheres()? {
        for (_, white, pial) in flat_vertices(cortex, hemisphere)? {
            let reached: BTreeSet<[usize; 3]> = (1..=depths)
                .map(|depth| between(white, pial, real(depth) / real(depths + 1)))
                .filter_map(|point| nearest_voxel(transform, point))
                .collect();
            for voxel in reached {
                let (sum, count) = found.entry(voxel).or_insert(([0.0; 3], 0));
                *sum = add(*sum, between(white, pial, 0.5));
                *count += 1;
            }
        }
    }
    let [_, rows, columns] = transform.shape;
    let index = |axis: usize| found.keys().map(move |voxel| i64::try_from(voxel[axis]).unwrap_or(i64::MAX));
    let table = DataTable::new()
        .text("id", found.keys().map(|[i, j, k]| format!("v{:07}", (i * rows + j) * columns + k)))
        .integers("i", index(0))
        .integers("j", index(1))
        .integers("k", index(2));
    Ok(with_places(table, found.values().map(|(sum, count)| scale(*sum, 1.0 / real(*count)))))
}

/// `None` outside of the volume.
fn nearest_voxel(transform: &Transform, point: Point) -> Option<[usize; 3]> {
    let at = depth_samples::map(&transform.to_voxels, point);
    let mut voxel = [0; 3];
    for axis in 0..3 {
        let index = at[axis].round_ties_even();
        if !(0.0..real(transform.shape[axis])).contains(&index) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside of the volume")]
        let index = index as usize;
        voxel[axis] = index;
    }
    Some(voxel)
}

fn with_places(table: DataTable, places: impl Iterator<Item = Point>) -> DataTable {
    let places: Vec<Point> = places.collect();
    let along = |axis: usize| places.iter().map(move |place| place[axis]).collect::<Vec<_>>();
    table.numbers("x", along(0)).numbers("y", along(1)).numbers("z", along(2))
}
