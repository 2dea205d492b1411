//! Which voxels or vertices belong to a region that is known by vertices of a flattened cortex.
//!
//! A vertex belongs to it or not. A voxel does if at least a share of the samples that fall into the voxel, [`DEPTHS`] between the surfaces at
//! each vertex of the flat surface, are of vertices of the region. Independent of where regions are from.

use pipe_contract::Failure;

use crate::formats::brain_places::BrainPlaces;
use crate::formats::cortex::{FlattenedCortex, SurfaceName, Transform};
use crate::numeric::depth_samples::{VoxelSamples, sample};
use crate::numeric::flat_grid::MeshPlace;

/// Samples between the surfaces at each vertex.
const DEPTHS: usize = 32;

/// For each region the positions of the places that are in it, ascending. A region says of every vertex, those of the left hemisphere first,
/// whether it is in it.
pub(super) fn members(
    cortex: &FlattenedCortex,
    places: &BrainPlaces,
    regions: &[Vec<bool>],
    share: f64,
) -> Result<Vec<Vec<usize>>, Failure> {
    let numbers = places.numbers();
    let positions = |is_in: &dyn Fn(usize) -> bool| {
        (0..numbers.len()).filter(|position| is_in(numbers[*position])).collect::<Vec<usize>>()
    };
    let transform = match places {
        BrainPlaces::Vertices { .. } => {
            return Ok(regions.iter().map(|region| positions(&|vertex| region[vertex])).collect());
        }
        BrainPlaces::Voxels { transform, .. } => transform,
    };
    let samples = samples(cortex, transform)?;
    let count = |is_counted: &dyn Fn(usize) -> bool| {
        let mut counts = vec![0_u32; transform.shape.iter().product()];
        for (voxel, depths) in (0..samples.pixels()).filter(|vertex| is_counted(*vertex)).flat_map(|v| samples.of(v)) {
            counts[voxel as usize] += u32::from(depths);
        }
        counts
    };
    let all = count(&|_| true);
    let of_region = |region: &Vec<bool>| {
        let within = count(&|vertex| region[vertex]);
        positions(&|voxel| within[voxel] > 0 && f64::from(within[voxel]) >= share * f64::from(all[voxel]))
    };
    Ok(regions.iter().map(of_region).collect())
}

/// The samples at every vertex; none at those that no flat triangle has.
fn samples(cortex: &FlattenedCortex, transform: &Transform) -> Result<VoxelSamples, Failure> {
    let at_vertex = |(vertex, is_flat): (u32, bool)| MeshPlace {
        corners: [vertex; 3],
        weights: [f64::from(u8::from(is_flat)), 0.0, 0.0],
        nearest: vertex,
    };
    let at_vertices: Vec<MeshPlace> = (0_u32..).zip(cortex.flat_sheets()?.are_flat()).map(at_vertex).collect();
    let (white, pial) = (cortex.points(SurfaceName::White)?, cortex.points(SurfaceName::Pial)?);
    Ok(sample(&at_vertices, &white, &pial, &transform.to_voxels, transform.shape, DEPTHS))
}
