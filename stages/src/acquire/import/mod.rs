//! Kinds that read outside files into the artifacts of the pipeline: labels of raters, pRF results.
//!
//! They check what arrives (values, lengths, ids) and know nothing of networks: the kinds that download call the
//! functions here for the parsing.

pub mod labels;
mod prf;

/// Adds the kinds of this topic.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(labels::LabelsImport);
    registry.add(prf::PrfImport);
}
