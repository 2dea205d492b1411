//! Kinds that make maps: values put where they belong in the brain.

mod scatter;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(scatter::Scatter);
}
