//! `net/...`: convolutional networks, their layers, and what is made of their activations, as far as it needs no libtorch.
//!
//! A network is data ([`architecture`]): from it come the layer book ([`layer_book`]), the shapes of all outputs ([`layer_shapes`]), the
//! tensors ([`state_dict`]) and the weights of a seed ([`start`]). The kinds that run networks are only *declared* here; their code is in
//! `pipe-torch`, which this crate never links, and walks the same data. What both sides share beside it: the files of a network
//! ([`network_folder`]) and the passes that fit into memory ([`passes`]).

pub mod alexnet;
pub mod architecture;
pub mod cornet_s;
pub mod crossing;
mod fetch_network;
pub mod googlenet;
pub mod image_sets;
pub mod kernel_sets;
pub mod layer_book;
pub mod layer_shapes;
mod layer_table;
pub mod network_folder;
pub mod network_kinds;
pub mod network_parameters;
mod open_network;
pub mod passes;
mod random_network;
pub mod resnet;
pub mod shipped_architectures;
pub mod small_architecture;
pub mod start;
pub mod state_dict;
pub mod used_layers;
pub mod vgg19;
mod weight_export;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    for kind in network_kinds::in_worker() {
        registry.declare(kind);
    }
    registry.add(random_network::RandomNetwork);
    registry.add(open_network::OpenNetwork);
    registry.add(fetch_network::FetchNetwork);
    registry.add(layer_table::NetworkLayers);
    registry.add(weight_export::WeightExport);
}
