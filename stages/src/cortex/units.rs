//! `cortex/units`: the voxels or the vertices of a cortex, where responses can come from.
//!
//! With a transform, a unit is a voxel that the grey matter reaches: the nearest voxel of a point between the white and the pial surface
//! above a vertex of the flat surface, at one of several depths. Without one, a unit is a vertex of the flat surface. Decides how units
//! are called: a voxel by its index in the volume, last axis fastest, as NumPy flattens it; a vertex by hemisphere and number.
//! Independent of responses.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Column, Context, Ended, Failure, Kind, StageKind, Task, parameters};

use crate::formats::brain_places::{CORTEX, TRANSFORM};
use crate::formats::cortex::{FlattenedCortex, SurfaceName, Transform};
use crate::formats::data_table::{self, DataTable};
use crate::hemisphere::Hemisphere;
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

/// Every column that the table can have: `i`, `j`, `k` and `transform` of voxels, `hemisphere` and `vertex` of vertices.
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
    Column::new(CORTEX, "the subject whose cortex it is; kinds that read places refuse those of another one"),
    Column::new(TRANSFORM, "the transform in whose volume the voxel is; likewise"),
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
        let table = match parameters.of {
            Of::Vertices => vertices(&cortex)?,
            Of::Voxels => {
                let (name, transform) = cortex.transform(&parameters.transform).map_err(|failure| {
                    failure.at(folder.display().to_string()).hint("`of: vertices` takes the vertices of its surfaces")
                })?;
                voxels(&cortex, &name, &transform, parameters.depths)?
            }
        };
        let mut table = table.build()?;
        context.log(&format!("{} units", table.height()));
        if table.height() == 0 {
            return Err(Failure::input("no vertex lies in the volume of the transform, expected some")
                .at(folder.display().to_string()));
        }
        data_table::write(task.output("table")?, &mut table)?;
        Ok(Ended::done())
    }
}

/// A vertex of the flat surface that a triangle has.
struct FlatVertex {
    hemisphere: Hemisphere,
    /// Its number in the hemisphere.
    number: usize,
    white: Point,
    pial: Point,
}

impl FlatVertex {
    /// The point at a depth, from 0 on the white surface to 1 on the pial one.
    fn at(&self, depth: f64) -> Point {
        add(scale(self.white, 1.0 - depth), scale(self.pial, depth))
    }

    /// Whether a pixel of a flat map there shows the volume, for which both surfaces must lie in it: others reach voxels that no pixel
    /// shows.
    fn is_shown_by(&self, transform: &Transform) -> bool {
        [self.white, self.pial]
            .into_iter()
            .all(|point| depth_samples::is_inside(transform.shape, depth_samples::map(&transform.to_voxels, point)))
    }
}

fn flat_vertices(cortex: &FlattenedCortex) -> Result<Vec<FlatVertex>, Failure> {
    let are_flat = cortex.flat_sheets()?.are_flat();
    let (white, pial) = (cortex.points(SurfaceName::White)?, cortex.points(SurfaceName::Pial)?);
    let numbers = cortex.hemispheres()?.into_iter().flat_map(|(hemisphere, count)| {
        let of_hemisphere = move |number| (hemisphere, number);
        (0..count).map(of_hemisphere)
    });
    let all = numbers.zip(white.into_iter().zip(pial)).zip(are_flat).filter(|(_, is_flat)| *is_flat);
    Ok(all.map(|(((hemisphere, number), (white, pial)), _)| FlatVertex { hemisphere, number, white, pial }).collect())
}

fn vertices(cortex: &FlattenedCortex) -> Result<DataTable, Failure> {
    let units = flat_vertices(cortex)?;
    let table = DataTable::new()
        .text("id", units.iter().map(|unit| format!("{}/{:06}", unit.hemisphere.name(), unit.number)))
        .text("hemisphere", units.iter().map(|unit| unit.hemisphere.name()))
        .integers("vertex", units.iter().map(|unit| whole(unit.number)));
    Ok(with_places(table, units.iter().map(|unit| unit.at(0.5)))
        .text(CORTEX, units.iter().map(|_| cortex.about().subject.as_str())))
}

fn voxels(cortex: &FlattenedCortex, name: &str, transform: &Transform, depths: usize) -> Result<DataTable, Failure> {
    let mut found: BTreeMap<[usize; 3], (Point, usize)> = BTreeMap::new();
    for vertex in flat_vertices(cortex)?.into_iter().filter(|vertex| vertex.is_shown_by(transform)) {
        let reached: BTreeSet<[usize; 3]> = (1..=depths)
            .map(|depth| vertex.at(real(depth) / real(depths + 1)))
            .map(|point| nearest_voxel(transform, point))
            .collect();
        for voxel in reached {
            let (sum, count) = found.entry(voxel).or_insert(([0.0; 3], 0));
            *sum = add(*sum, vertex.at(0.5));
            *count += 1;
        }
    }
    let [_, rows, columns] = transform.shape;
    let index = |axis: usize| found.keys().map(move |voxel| whole(voxel[axis]));
    let table = DataTable::new()
        .text("id", found.keys().map(|[i, j, k]| format!("v{:07}", (i * rows + j) * columns + k)))
        .integers("i", index(0))
        .integers("j", index(1))
        .integers("k", index(2));
    Ok(with_places(table, found.values().map(|(sum, count)| scale(*sum, 1.0 / real(*count))))
        .text(CORTEX, found.keys().map(|_| cortex.about().subject.as_str()))
        .text(TRANSFORM, found.keys().map(|_| name)))
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Of a point inside of the volume; in the outer half of a last voxel, that voxel.
fn nearest_voxel(transform: &Transform, point: Point) -> [usize; 3] {
    let at = depth_samples::map(&transform.to_voxels, point);
    [0, 1, 2].map(|axis: usize| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside of the volume")]
        let index = at[axis].round_ties_even() as usize;
        index.min(transform.shape[axis] - 1)
    })
}

fn with_places(table: DataTable, places: impl Iterator<Item = Point>) -> DataTable {
    let places: Vec<Point> = places.collect();
    let along = |axis: usize| places.iter().map(move |place| place[axis]).collect::<Vec<_>>();
    table.numbers("x", along(0)).numbers("y", along(1)).numbers("z", along(2))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::Value;
    use polars::prelude::DataFrame;

    use super::*;
    use crate::formats::brain_places::BrainPlaces;
    use crate::formats::cortex::{self, NewCortexHemisphere};
    use crate::formats::gifti::Surface;
    use crate::formats::matrix::MatrixAxis;
    use crate::hemisphere::HEMISPHERES;
    use crate::numeric::flat_grid::MeshPlace;
    use crate::test_support::tasks::{self, give, set, task};

    const UNIT: [[f64; 4]; 4] =
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

    /// Hemispheres of five vertices, the last without a flat triangle; the right one 10 mm beside the left. Grey matter is from
    /// z = 0.1 to z = 1.9 over all but the vertices 1, over which it is thin; voxels begin `shift` mm to the left.
    fn cortex(folder: &Path, shift: f64) {
        let hemispheres = HEMISPHERES.map(|hemisphere| {
            let from = if hemisphere == Hemisphere::Left { 0.0_f32 } else { 10.0 };
            let surface = |z: f32, z_of_1: f32| Surface {
                coordinates: [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0], [1.0, 1.0]]
                    .iter()
                    .enumerate()
                    .map(|(vertex, [x, y])| [from + x, *y, if vertex == 1 { z_of_1 } else { z }])
                    .collect(),
                triangles: vec![[0, 1, 2], [1, 3, 2]],
            };
            NewCortexHemisphere {
                hemisphere,
                flat: surface(0.0, 0.0),
                pial: surface(1.9, 0.4),
                white: surface(0.1, 0.2),
                curvature: vec![0.0; 5],
                curvature_from: String::new(),
            }
        });
        // The volume ends before the right hemisphere's second column.
        let mut transform = Transform { to_voxels: UNIT, shape: [12, 3, 4], affine: UNIT };
        transform.to_voxels[0][3] = shift;
        cortex::write(folder, "made", "S1", &hemispheres, &[("t".to_owned(), transform)]).unwrap();
    }

    fn units(folder: &Path, shift: f64, parameters: &[(&str, Value)]) -> Result<DataFrame, Failure> {
        cortex(&folder.join("cortex"), shift);
        let mut task = task(&CortexUnits, &folder.join("out"));
        give(&mut task, "cortex", &folder.join("cortex"));
        parameters.iter().for_each(|(name, value)| set(&mut task, name, value.clone()));
        tasks::run(&CortexUnits, &task)?;
        data_table::read(task.output("table").unwrap())
    }

    fn rows(table: &DataFrame) -> Vec<(String, [i64; 3], [f64; 3])> {
        let index = ["i", "j", "k"].map(|name| data_table::integers(table, name).unwrap());
        let place = ["x", "y", "z"].map(|name| data_table::numbers(table, name).unwrap());
        let ids = data_table::texts(table, "id").unwrap();
        let row = |(row, id)| (id, index.each_ref().map(|axis| axis[row]), place.each_ref().map(|axis| axis[row]));
        ids.into_iter().enumerate().map(row).collect()
    }

    #[test]
    fn voxels_that_the_grey_matter_reaches_are_units() {
        let folder = tempfile::tempdir().unwrap();
        let table = units(folder.path(), 0.0, &[("depths", Value::Int(5))]).unwrap();
        let rows = rows(&table);
        // Depths at z = 0.4, 0.7, 1, 1.3, 1.6: the layers 0, 1 and 2 over three vertices, the layer 0 over the thin one.
        let ids: Vec<&str> = rows.iter().map(|(id, ..)| id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "v0000000", "v0000001", "v0000002", "v0000008", "v0000009", "v0000010", "v0000024", "v0000032",
                "v0000033", "v0000034", "v0000120", "v0000121", "v0000122", "v0000128", "v0000129", "v0000130"
            ]
        );
        // The index of a voxel, last axis fastest: (2 * 3 + 0) * 4 + 0, over the thin vertex, whose middle is at z = 0.3.
        let (_, index, place) = &rows[6];
        assert_eq!(*index, [2, 0, 0]);
        assert!((place[0] - 2.0).abs() < 1e-6 && (place[2] - 0.3).abs() < 1e-6, "{place:?}");
        // Every layer has the place midway between the surfaces.
        assert!(rows[..6].iter().all(|(.., place)| (place[2] - 1.0).abs() < 1e-6));
        assert_eq!(data_table::texts(&table, CORTEX).unwrap(), ["S1"; 16]);
        assert_eq!(data_table::texts(&table, TRANSFORM).unwrap(), ["t"; 16]);
        // What reads places finds these voxels: the first axis runs fastest there.
        let opened = FlattenedCortex::open(&folder.path().join("cortex")).unwrap();
        let places = BrainPlaces::of(&MatrixAxis::new(table).unwrap(), &opened, "", &[]).unwrap();
        assert_eq!(places.numbers()[4..7], [12 * 2 + 36, 12 * 2 + 72, 2]);
    }

    #[test]
    fn a_unit_lies_where_a_pixel_shows_it() {
        let folder = tempfile::tempdir().unwrap();
        let table = units(folder.path(), -0.4, &[("depths", Value::Int(5))]).unwrap();
        // The first column of the left hemisphere is 0.4 voxels before the centre of the first voxel: that is the nearest one, but pixels
        // show the volume from its centre on. The last column of the right one is in the outer half of the last voxel, which is shown.
        let mut columns = data_table::integers(&table, "i").unwrap();
        columns.dedup();
        assert_eq!(columns, [2, 10, 11]);
        let opened = FlattenedCortex::open(&folder.path().join("cortex")).unwrap();
        let (_, transform) = opened.transform("t").unwrap();
        let of_vertex = |vertex: u32| MeshPlace { corners: [vertex; 3], weights: [1.0, 0.0, 0.0], nearest: vertex };
        let flat: Vec<MeshPlace> = (0..4).chain(5..9).map(of_vertex).collect();
        let points = [SurfaceName::White, SurfaceName::Pial].map(|name| opened.points(name).unwrap());
        let samples = depth_samples::sample(&flat, &points[0], &points[1], &transform.to_voxels, transform.shape, 5);
        let shown: BTreeSet<usize> = samples.voxels.iter().map(|voxel| *voxel as usize).collect();
        let places = BrainPlaces::of(&MatrixAxis::new(table).unwrap(), &opened, "", &[]).unwrap();
        assert_eq!(places.numbers().iter().copied().collect::<BTreeSet<usize>>(), shown);
    }

    #[test]
    fn a_voxel_that_several_vertices_reach_is_one_unit_midway_between_them() {
        let folder = tempfile::tempdir().unwrap();
        cortex(&folder.path().join("cortex"), 0.0);
        let opened = FlattenedCortex::open(&folder.path().join("cortex")).unwrap();
        let tenth = [[0.1, 0.0, 0.0, 0.0], [0.0, 0.1, 0.0, 0.0], [0.0, 0.0, 0.1, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let transform = Transform { to_voxels: tenth, shape: [2, 1, 1], affine: UNIT };
        let table = voxels(&opened, "t", &transform, 3).unwrap().build().unwrap();
        let rows = rows(&table);
        assert_eq!(rows.len(), 2);
        let mean_z = (1.0 + 0.3 + 1.0 + 1.0) / 4.0;
        for ((_, index, place), (first, x)) in rows.iter().zip([(0, 1.0), (1, 11.0)]) {
            assert_eq!(*index, [first, 0, 0]);
            let expected = [x, 1.0, mean_z];
            assert!(place.iter().zip(expected).all(|(found, x)| (found - x).abs() < 1e-6), "{place:?}");
        }
    }

    #[test]
    fn vertices_of_the_flat_surface_are_units() {
        let folder = tempfile::tempdir().unwrap();
        let table = units(folder.path(), 0.0, &[("of", Value::Text("vertices".to_owned()))]).unwrap();
        let ids = data_table::texts(&table, "id").unwrap();
        assert_eq!(ids.len(), 8, "the vertices 4 have no flat triangle");
        assert_eq!((ids[1].as_str(), ids[4].as_str()), ("lh/000001", "rh/000000"));
        assert_eq!(data_table::integers(&table, "vertex").unwrap(), [0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(data_table::texts(&table, "hemisphere").unwrap()[3..5], ["lh", "rh"]);
        let (x, z) = (data_table::numbers(&table, "x").unwrap(), data_table::numbers(&table, "z").unwrap());
        assert!((x[5] - 12.0).abs() < 1e-6 && (z[5] - 0.3).abs() < 1e-6 && (z[4] - 1.0).abs() < 1e-6);
        assert!(table.column(TRANSFORM).is_err() && data_table::texts(&table, CORTEX).unwrap()[7] == "S1");
    }

    #[test]
    fn a_volume_that_is_elsewhere_or_not_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let failure = units(folder.path(), 0.0, &[("transform", Value::Text("u".to_owned()))]).unwrap_err();
        assert_eq!(failure.message, "the cortex has no transform `u`, only `t`");
        assert_eq!(failure.hint.as_deref(), Some("`of: vertices` takes the vertices of its surfaces"));
        let failure = units(folder.path(), 100.0, &[]).unwrap_err();
        assert_eq!(failure.message, "no vertex lies in the volume of the transform, expected some");
    }
}
