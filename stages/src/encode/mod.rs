//! `encode/...`: the kinds that predict responses from features. They do not know what the responses are: voxels, neurons, vertices.

mod agreement;
mod banded;
mod best_space;
mod blocks;
mod bootstrap;
mod choice;
mod decomposition;
mod design;
mod encoding_inputs;
mod encoding_partition;
mod encoding_scores;
mod features;
#[cfg(test)]
mod inference_tests;
mod long_sums;
mod model_lattice;
mod models;
mod part_tables;
mod penalty_grid;
mod real_number;
mod recovery;
mod region_draws;
mod regions;
mod ridge;
mod ridge_weights;
mod significance;
mod stimulus_blocks;
mod test_block;
#[cfg(test)]
mod tests;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(banded::Banded);
    registry.add(best_space::BestSpace);
    registry.add(encoding_partition::EncodingPartition);
    registry.add(recovery::Recovery);
    registry.add(ridge::Ridge);
    registry.add(significance::Significance);
    registry.add(ridge_weights::RidgeWeights);
}
