//! Kinds that train networks and use them, as far as they can be said without libtorch.
//!
//! `unet/train` and `unet/predict` are only *declared* here, so that every pipeline can be planned and checked anywhere;
//! their code is in `pipe-torch`, which this crate never links. What both sides must agree on lives here once: the channels of
//! each input code ([`channels`]), the schedule of a training ([`plan`]) and the files beside a model ([`model`]).
//! Kinds that need no libtorch run on a thread: `unet/best`, `unet/import` and the control `control/swap`.

mod best;
pub mod channels;
mod import;
pub mod kinds;
pub mod layout;
pub mod model;
pub mod plan;
mod pytorch;
mod swap;

/// Adds the kinds of this topic.
pub fn install(registry: &mut pipe_contract::Registry) {
    for kind in kinds::in_worker() {
        registry.declare(kind);
    }
    registry.add(best::Best);
    registry.add(import::Import);
    registry.add(swap::Swap);
}
