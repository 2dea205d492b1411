//! `prf/...`: the kinds that import results of pRF analyses.

mod from_grayordinates;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(from_grayordinates::PrfImport);
}
