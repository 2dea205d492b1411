//! The stage kinds that ship: everything about cortex, networks, statistics and sources of data.
//!
//! A kind's prefix is its folder: `labels/template` is in `labels/`. These folders never import each other: they share data as
//! artifacts through ports, and code through the leaves, each of which may use only those before it:
//!
//! ```text
//! hemisphere → numeric → formats → declared → transfer
//! ```
//! (`numeric`: geometry, arithmetic; `formats`: readers, writers; `declared`: artifact types, and what kinds of several folders declare
//! alike; `transfer`: everything that touches the network.)

pub mod apply;
pub mod control;
pub mod cortex;
pub mod declared;
pub mod encode;
pub mod figure;
pub mod file;
pub mod flatmap;
pub mod formats;
pub mod freesurfer;
pub mod grid;
pub mod hcp;
pub mod hemisphere;
pub mod labels;
pub mod map;
pub mod matrix;
pub mod net;
pub mod numeric;
pub mod nyu;
pub mod osf;
pub mod package;
pub mod prf;
pub mod rdm;
pub mod regions;
pub mod score;
pub mod simulate;
pub mod split;
pub mod stimuli;
pub mod table;
#[cfg(test)]
mod test_support;
mod transfer;
pub mod unet;

/// Digest of the sources that `pipe` and its worker share: both must be built from the same ones.
pub const BUILD_ID: &str = env!("PIPE_BUILD_ID");

/// Adds every kind that ships to a registry, and the types of their artifacts.
pub fn install(registry: &mut pipe_contract::Registry) {
    declared::shipped_types::install(registry);
    file::install(registry);
    package::install(registry);
    osf::install(registry);
    hcp::install(registry);
    freesurfer::install(registry);
    nyu::install(registry);
    labels::install(registry);
    prf::install(registry);
    simulate::install(registry);
    flatmap::install(registry);
    table::install(registry);
    matrix::install(registry);
    split::install(registry);
    stimuli::install(registry);
    unet::install(registry);
    net::install(registry);
    control::install(registry);
    score::install(registry);
    figure::install(registry);
    apply::install(registry);
    grid::install(registry);
    encode::install(registry);
    cortex::install(registry);
    map::install(registry);
    rdm::install(registry);
    regions::install(registry);
}
