//! `rdm/...`: the kinds that make, compare and show representational dissimilarity matrices (RDMs), of any order. They do not depend on what
//! the patterns are of: layers of networks, voxels, neurons.

mod combine;
mod compare;
#[cfg(test)]
mod comparison_golden;
mod comparison_inference;
mod comparison_inputs;
mod comparison_scores;
mod comparison_tables;
mod dominance;
mod file_properties;
mod frame;
#[cfg(test)]
mod frame_tests;
mod mds;
mod meta;
mod meta_metric;
#[cfg(test)]
mod meta_tests;
mod model_combinations;
mod noise_distances;
mod rdm_forms;
mod rdm_from;
#[cfg(test)]
mod rdm_from_tests;
mod rdm_import;
mod rdm_sets;
mod rdm_source;
mod rdm_variables;
mod row_groups;
mod rsatoolbox_export;
mod subset;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(rdm_from::RdmFrom);
    registry.add(rdm_variables::RdmVariables);
    registry.add(meta::MetaRdms);
    registry.add(subset::RdmSubset);
    registry.add(dominance::Dominance);
    registry.add(frame::RdmFrame);
    registry.add(mds::Mds);
    registry.add(rdm_import::RdmImport);
    registry.add(rsatoolbox_export::RsatoolboxExport);
    registry.add(compare::CompareRdms);
    registry.add(combine::CombineModels);
}
