//! `control/...`: the kinds that make control conditions.

mod swap;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(swap::Swap);
}
