//! `net/calibrate`: a network whose batch normalisations have the statistics of stimuli.
//!
//! A kind of its own, and not an option of those that use networks, so that everything that is compared is of one network, whatever else
//! those kinds are given. Decides which images count: so many, spread evenly over all, whatever the memory, which therefore shows in no
//! number. All of them are between two layers at the same time, because a layer's statistics depend on those of the layers before it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};
use pipe_stages::formats::stimulus_set::StimulusSet;
use pipe_stages::net::architecture::{Architecture, LayerKind};
use pipe_stages::net::layer_book::LayerBook;
use pipe_stages::net::layer_shapes::layer_calls;
use pipe_stages::net::network_folder::{NETWORK_WEIGHTS, NetworkAbout, NetworkFolder, WeightSource, write_network};
use pipe_stages::net::network_kinds::{self, CalibrationParameters};
use pipe_stages::net::passes::stimuli_at_once;
use pipe_stages::net::used_layers::largest_layer;
use tch::Tensor;

use crate::backend;
use crate::network_forward::ForwardMode;
use crate::network_images::NetworkImages;
use crate::network_run::{MEGABYTE, network_of, stored_weights};

/// The kind.
pub struct CalibrateNetwork;

impl StageKind for CalibrateNetwork {
    fn kind(&self) -> Kind {
        network_kinds::calibrate()
    }

    fn run(&self, task: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        let params: CalibrationParameters = task.parameters()?;
        let backend = backend::prepare(&params.place, task)?;
        let folder = NetworkFolder::open(task.one("network")?)?;
        let to = task.output("network")?;
        let done = |note: String| Ended::Done {
            ran_on: Some(backend.ran_on.clone()),
            notes: vec![note],
            aggregated: BTreeMap::new(),
        };
        if !has_normalisations(&folder.architecture) {
            let weights = match folder.about.weights {
                WeightSource::Seed(_) => None,
                WeightSource::File(_) => Some(folder.weights()?),
            };
            write_network(to, &folder.about, weights.as_ref())?;
            return Ok(done(format!("`{}` has no batch normalisation, and is given on as it is", folder.about.name)));
        }
        let stimuli = StimulusSet::open(task.one("stimuli")?)?;
        let images = NetworkImages::read(&stimuli, &folder.about.preprocessing, params.crop)?;
        let chosen = spread(images.len(), params.images);
        check_memory(&folder.architecture, images.size(), chosen.len(), params.memory)?;
        let stored = folder.weights()?;
        let network = network_of(&folder.architecture, &stored, backend.device, false)?;
        let batches = chosen.chunks(params.batch).map(|part| images.chosen(part, backend.device));
        let batches = images.as_network_takes_them(batches.collect::<Result<_, _>>()?);
        let mut nothing =
            |_: usize, _: &[Tensor]| -> Result<ControlFlow<()>, Failure> { Ok(ControlFlow::Continue(())) };
        {
            let _guard = tch::no_grad_guard();
            drop(network.forward(batches, &mut ForwardMode::Calibrate, &mut nothing)?);
        }
        let note = format!(
            "batch normalisations have the statistics of {} of {} different images",
            chosen.len(),
            images.len()
        );
        let about = NetworkAbout {
            weights: WeightSource::File(NETWORK_WEIGHTS.to_owned()),
            origin: format!("{}; {note}", folder.about.origin),
            ..folder.about.clone()
        };
        write_network(to, &about, Some(&stored_weights(&network, stored)))?;
        Ok(done(note))
    }
}

fn has_normalisations(architecture: &Architecture) -> bool {
    LayerBook::of(architecture).layers().iter().any(|layer| matches!(layer.kind, LayerKind::BatchNorm { .. }))
}

/// At most so many places among `all`, evenly spread.
fn spread(all: usize, most: usize) -> Vec<usize> {
    let count = all.min(most);
    (0..count).map(|at| at * all / count).collect()
}

/// That all images fit into memory between two layers.
fn check_memory(
    architecture: &Architecture,
    size: (usize, usize),
    images: usize,
    megabytes: u64,
) -> Result<(), Failure> {
    let calls = layer_calls(architecture, size.0, size.1)?;
    let fitting = stimuli_at_once(largest_layer(&calls, size), megabytes.saturating_mul(MEGABYTE));
    if images <= fitting {
        return Ok(());
    }
    Err(Failure::input(format!(
        "{images} images of {} x {} pixels do not fit into `memory` ({megabytes} MB) between two layers; {fitting} would",
        size.0, size.1
    ))
    .hint("raise `memory`, or lower `images`, which gives other statistics"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_spread_over_all() {
        assert_eq!(spread(3, 64), [0, 1, 2]);
        assert_eq!(spread(10, 4), [0, 2, 5, 7]);
    }
}
