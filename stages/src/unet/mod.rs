//! `unet/...`: the kinds that train U-Nets and use them, as far as they need no libtorch.
//!
//! `unet/train` and `unet/predict` are only *declared* here, so that every pipeline can be planned and checked anywhere;
//! their code is in `pipe-torch`, which this crate never links. What both sides must agree on is here once: the channels of
//! each input code ([`channels`]), the schedule of a training ([`training_schedule`]), the names and shapes of the weights
//! ([`weight_layout`]) and the files beside them ([`model_folder`]). `unet/best`, `unet/import` and `unet/open` need no
//! libtorch and run on a thread.

mod best;
pub mod channels;
pub mod declarations;
mod import_weights;
pub mod model_folder;
mod open_model;
pub mod training_schedule;
pub mod weight_layout;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    for kind in declarations::in_worker() {
        registry.declare(kind);
    }
    registry.add(best::Best);
    registry.add(import_weights::Import);
    registry.add(open_model::Open);
}
