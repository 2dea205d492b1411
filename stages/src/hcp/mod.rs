//! `hcp/...`: the kinds that read releases of the Human Connectome Project.

mod fetch;
mod tracts;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(fetch::HcpFetch);
    registry.add(tracts::HcpTracts);
}
