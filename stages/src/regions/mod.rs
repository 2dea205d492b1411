//! `regions/...`: which voxels or vertices belong to which region of interest, and what tables say of each region.

mod annotation_regions;
mod pair_ranking;
mod parts_identity;
mod region_dictionary;
mod region_import;
mod region_members;
mod region_selection;
mod region_spread;
mod regions_of_overlay;
mod summary;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(annotation_regions::AnnotationRegions);
    registry.add(region_dictionary::Dictionary);
    registry.add(region_import::RegionImport);
    registry.add(regions_of_overlay::RegionsOfOverlay);
    registry.add(region_selection::RegionSelection);
    registry.add(summary::RegionSummary);
    registry.add(parts_identity::PartsIdentity);
    registry.add(pair_ranking::PairRanking);
}
