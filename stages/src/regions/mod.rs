//! `regions/...`: which voxels or vertices belong to which region of interest, and what a table says of each region.

mod region_dictionary;
mod regions_of_overlay;
mod summary;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(region_dictionary::Dictionary);
    registry.add(regions_of_overlay::RegionsOfOverlay);
    registry.add(summary::RegionSummary);
}
