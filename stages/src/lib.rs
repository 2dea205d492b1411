//! The stage kinds that ship: everything `pipe` knows about cortex, networks, statistics and where data come from.
//!
//! Topics (`acquire`, `surface`, `learn`, `score`, `figures`) never import each other: they share data as artifacts
//! through ports, and code through the leaves `formats` (readers, writers) and `numeric` (geometry, arithmetic).

pub mod acquire;
pub mod figures;
pub mod formats;
pub mod learn;
pub mod numeric;
pub mod score;
pub mod surface;

/// Digest of the sources that `pipe` and its worker share: both must be built from the same ones.
pub const BUILD_ID: &str = env!("PIPE_BUILD_ID");

/// Adds every kind that ships to a registry.
pub fn install(registry: &mut pipe_contract::Registry) {
    acquire::install(registry);
    surface::install(registry);
    learn::install(registry);
    score::install(registry);
    figures::install(registry);
}
