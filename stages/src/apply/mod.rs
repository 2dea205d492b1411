//! `apply/...`: the kinds that write what a trained network says about a subject for other programs, and how far the subject is from
//! those that the network was trained on.

mod bids_tree;
mod likeness;
mod region_names;
mod region_table;
mod ribbon_labels;
mod surface_labels;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(surface_labels::SurfaceLabels);
    registry.add(ribbon_labels::VolumeLabels);
    registry.add(region_table::RegionTable);
    registry.add(region_table::CohortTable);
    registry.add(likeness::Quality);
    registry.add(bids_tree::BidsTree);
}
