//! `regions/overlay`: which voxels or vertices lie inside the outlines on a flattened cortex.
//!
//! A vertex is in a region if its place in the plane is inside one of its closed outlines; [`members`] says which voxels then are. Only
//! vertices with triangles of the flat surface count. Regions may overlap.

use pipe_contract::{Column, Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task, parameters};
use rayon::prelude::*;

use super::region_members::members;
use crate::formats::brain_places::{self, BrainPlaces};
use crate::formats::cortex::FlattenedCortex;
use crate::formats::data_table::{self, DataTable};
use crate::formats::overlay;
use crate::numeric::flat_grid::plane;
use crate::numeric::polygon::BoxedRings;

/// The kind.
pub(super) struct RegionsOfOverlay;

parameters! {
    struct Parameters {
        /// the layer of outlines
        layer: String = "rois".to_owned();
        /// regions that are taken; none for all of the layer
        names: Vec<String> = Vec::new();
        /// the transform in whose volume voxels lie; empty for the only one
        transform: String = String::new();
        /// the least share of a voxel's samples that must be inside the outline
        share: f64 = 0.5, in 0.0..=1.0;
    }
}

/// The columns of the table.
const COLUMNS: &[Column] = &[
    Column::new("region", "the region"),
    Column::new("group", "the layer of outlines that it is from"),
    Column::new("id", "a voxel or vertex of it; a region has a row for each, and regions may overlap"),
];

impl StageKind for RegionsOfOverlay {
    fn kind(&self) -> Kind {
        Kind::new("regions/overlay", 1, "The voxels or vertices inside outlines on a flattened cortex.")
            .input("cortex", &["cortex"], "a cortex with `overlays.svg`")
            .input(
                "places",
                &[],
                "a matrix (its columns) or a table of ids with `i`, `j`, `k` of voxels, or `hemisphere` and `vertex`",
            )
            .folder("regions", "regions", "columns `region`, `group`, `id`")
            .described(data_table::FILES, COLUMNS)
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let cortex = FlattenedCortex::open(task.one("cortex")?)?;
        let ids = brain_places::read(task.one("places")?)?;
        let places = BrainPlaces::of(&ids, &cortex, &parameters.transform, &[])?;
        let outlines = outlines(&cortex, &parameters)?;
        let members = members(&cortex, &places, &inside(&cortex, &outlines)?, parameters.share)?;
        let all = || outlines.iter().map(|(name, _)| name).zip(&members);
        let empty: Vec<String> =
            all().filter(|(_, members)| members.is_empty()).map(|(name, _)| format!("`{name}`")).collect();
        let rows = || all().flat_map(|(name, members)| members.iter().map(move |member| (name, *member)));
        let table = DataTable::of(COLUMNS)
            .text("region", rows().map(|(name, _)| name.as_str()))
            .text("group", rows().map(|_| parameters.layer.as_str()))
            .text("id", rows().map(|(_, member)| ids.ids()[member].as_str()));
        data_table::write(task.output("regions")?, &mut table.build()?)?;
        Ok(Ended::noted(match empty.is_empty() {
            true => Vec::new(),
            false => vec![format!("{IMPORTANT}no id lies in {}", empty.join(", "))],
        }))
    }
}

/// Closed outlines of a region: x from the left and y from the top, as shares of the box around the flat surface.
type Rings = Vec<Vec<[f64; 2]>>;

fn outlines(cortex: &FlattenedCortex, parameters: &Parameters) -> Result<Vec<(String, Rings)>, Failure> {
    let path = cortex.overlays().ok_or_else(|| {
        Failure::input("the cortex has no `overlays.svg`: it has no outlines").hint("take a cortex from pycortex")
    })?;
    let drawing = overlay::CortexOverlay::read(&path)?;
    let quoted = |names: Vec<&String>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let layer = drawing.layer(&parameters.layer).ok_or_else(|| {
        let there = quoted(drawing.layers.iter().map(|layer| &layer.name).collect());
        Failure::input(format!("the outlines have no layer `{}`, only {there}", parameters.layer))
            .at(path.display().to_string())
    })?;
    let closed = |region: &overlay::OverlayRegion| {
        let lines = region.lines.iter().filter(|line| line.closed);
        (region.name.clone(), lines.map(|line| line.points.clone()).collect())
    };
    let mut all: Vec<(String, Rings)> =
        layer.regions.iter().map(closed).filter(|(_, rings): &(_, Rings)| !rings.is_empty()).collect();
    if let Some(lacking) = parameters.names.iter().find(|name| !all.iter().any(|(known, _)| known == *name)) {
        let there = quoted(all.iter().map(|(name, _)| name).collect());
        return Err(Failure::input(format!("no closed outline is called `{lacking}`, only {there}"))
            .at(path.display().to_string()));
    }
    all.retain(|(name, _)| parameters.names.is_empty() || parameters.names.contains(name));
    Ok(all)
}

/// For each region and vertex whether it is inside.
fn inside(cortex: &FlattenedCortex, outlines: &[(String, Rings)]) -> Result<Vec<Vec<bool>>, Failure> {
    let sheets = cortex.flat_sheets()?;
    let (points, extents) = plane(&sheets.meshes())?;
    let (width, height) = (extents.right - extents.left, extents.top - extents.bottom);
    let shares = points.into_iter().map(|[x, y]| [(x - extents.left) / width, (extents.top - y) / height]);
    let vertices: Vec<([f64; 2], bool)> = shares.zip(sheets.are_flat()).collect();
    let of_region = |rings: &Rings| {
        let rings = BoxedRings::of(rings);
        vertices.par_iter().map(|(share, is_flat)| *is_flat && rings.contain(*share)).collect::<Vec<bool>>()
    };
    Ok(outlines.iter().map(|(_, rings)| of_region(rings)).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipe_contract::Value;

    use super::*;
    use crate::formats::cortex::{self, NewCortexHemisphere, OVERLAYS, Transform};
    use crate::formats::gifti::Surface;
    use crate::hemisphere::Hemisphere;
    use crate::test_support::tasks::{self, give, set, task};

    /// The upper left quarter, one that reaches into two voxels of the lowest row, and one beyond the sheet.
    const OUTLINES: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="80" height="80"
        xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape"><g inkscape:label="rois" id="r">
        <g inkscape:label="shapes" id="s"><g inkscape:label="V1" id="a"><path d="M -1 -1 H 41 V 41 H -1 Z"/></g>
        <g inkscape:label="V2" id="b"><path d="M -1 79 H 17 V 81 H -1 Z"/></g>
        <g inkscape:label="V3" id="c"><path d="M 90 90 H 99 V 99 Z"/></g></g></g></svg>"#;

    /// A sheet of 9 x 9 vertices over voxels of 2 mm, two deep; ids are voxels and vertices.
    fn given(folder: &Path) -> Task {
        let surface = |z: f32| Surface {
            coordinates: (0..81_u8).map(|i| [f32::from(i % 9), f32::from(i / 9), z]).collect(),
            triangles: (0..64_u32)
                .map(|square| square / 8 * 9 + square % 8)
                .flat_map(|at| [[at, at + 1, at + 9], [at + 1, at + 10, at + 9]])
                .collect(),
        };
        let new = NewCortexHemisphere {
            hemisphere: Hemisphere::Left,
            flat: surface(0.0),
            pial: surface(1.0),
            white: surface(0.0),
            curvature: vec![0.0; 81],
            curvature_from: String::new(),
        };
        let half = [[0.5, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let transform = Transform { to_voxels: half, shape: [5, 5, 1], affine: half };
        cortex::write(&folder.join("cortex"), "", "", &[new], &[("t".to_owned(), transform)]).unwrap();
        fs_err::write(folder.join("cortex").join(OVERLAYS), OUTLINES).unwrap();
        let voxels = DataTable::new()
            .text("id", (0..25).map(|i| format!("v{i}")))
            .integers("i", (0..25).map(|i| i % 5))
            .integers("j", (0..25).map(|i| i / 5))
            .integers("k", vec![0; 25]);
        data_table::write(&folder.join("voxels"), &mut voxels.build().unwrap()).unwrap();
        let vertices = DataTable::new()
            .text("id", (0..81).rev().map(|i| format!("p{i}")))
            .text("hemisphere", vec!["lh"; 81])
            .integers("vertex", (0..81).rev());
        data_table::write(&folder.join("vertices"), &mut vertices.build().unwrap()).unwrap();
        let mut task = task(&RegionsOfOverlay, &folder.join("out"));
        give(&mut task, "cortex", &folder.join("cortex"));
        give(&mut task, "places", &folder.join("voxels"));
        task
    }

    fn regions(task: &Task) -> Result<Vec<(String, String)>, Failure> {
        tasks::run(&RegionsOfOverlay, task)?;
        let table = data_table::read(task.output("regions").unwrap())?;
        Ok(data_table::texts(&table, "region")?.into_iter().zip(data_table::texts(&table, "id")?).collect())
    }

    fn of(regions: &[(String, String)], region: &str) -> Vec<String> {
        regions.iter().filter(|(name, _)| name == region).map(|(_, id)| id.clone()).collect()
    }

    #[test]
    fn vertices_inside_are_members() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        give(&mut task, "places", &folder.path().join("vertices"));
        let regions = regions(&task).unwrap();
        let v1 = of(&regions, "V1");
        // Columns 0 to 4 of rows 4 to 8, which are above; in the order of the ids.
        assert_eq!((v1.len(), v1[0].as_str(), v1[24].as_str()), (25, "p76", "p36"));
        assert_eq!(of(&regions, "V2"), ["p1", "p0"]);
        assert!(of(&regions, "V3").is_empty());
        assert_eq!(tasks::run(&RegionsOfOverlay, &task).unwrap().len(), 1, "the empty region is noted");
    }

    #[test]
    fn voxels_are_members_by_the_share_of_their_samples() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        // Coordinates 0, 0.5, 1, ... are rounded to even: voxel 0 has the vertices 0 and 1, voxel 1 vertex 2, voxel 2 those from 3 to 5.
        let half = regions(&task).unwrap();
        assert_eq!(of(&half, "V2"), ["v0"]);
        // Of voxel (2, 2) only 4 of 9 vertices are inside; of its neighbours 2 of 3.
        assert_eq!(of(&half, "V1").len(), 8);
        set(&mut task, "share", Value::Float(0.6));
        assert!(of(&regions(&task).unwrap(), "V2").is_empty());
        set(&mut task, "names", Value::List(vec![Value::Text("V1".to_owned())]));
        assert!(regions(&task).unwrap().iter().all(|(name, _)| name == "V1"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = given(folder.path());
        set(&mut task, "names", Value::List(vec![Value::Text("V4".to_owned())]));
        assert_eq!(regions(&task).unwrap_err().message, "no closed outline is called `V4`, only `V1`, `V2`, `V3`");
        set(&mut task, "layer", Value::Text("sulci".to_owned()));
        assert_eq!(regions(&task).unwrap_err().message, "the outlines have no layer `sulci`, only `rois`");
        fs_err::remove_file(folder.path().join("cortex").join(OVERLAYS)).unwrap();
        assert!(regions(&task).unwrap_err().message.contains("it has no outlines"));
    }
}
