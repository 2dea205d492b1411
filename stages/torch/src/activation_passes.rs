//! Runs stimuli through a network as often as its plan says and hands the activations of the chosen layers to what uses them.
//!
//! Decides in what form activations are used: blocks of [`UNIT_BLOCK`] units of all different images, and means of features of all of
//! them, in the order in which the network computes layers. Whatever the memory limit, the same blocks come in the same order, so it shows
//! in no number. The image itself comes first, as the layer `original_rgb` of rank 0. Independent of what is made of activations.

use std::ops::{ControlFlow, Range};

use pipe_contract::{Context, Failure, Progress};
use pipe_stages::net::architecture::Architecture;
use pipe_stages::net::passes::{LayerPiece, PassPlan, UNIT_BLOCK};
use pipe_stages::net::used_layers::{LayerPasses, PassSettings, PlannedStimuli, UsedLayer, planned};
use tch::{Device, Kind, Tensor};

use crate::network_forward::{ForwardMode, ForwardNetwork};
use crate::network_images::NetworkImages;

/// What is made of activations.
pub trait ActivationUse {
    /// Whether single units are used.
    fn uses_units(&self) -> bool;

    /// Whether means of features are used.
    fn uses_means(&self) -> bool;

    /// Takes some units of a layer (its place in the list of layers): image after image, `units.len()` numbers each.
    ///
    /// # Errors
    /// Whatever keeps the numbers from being used.
    fn units(&mut self, layer: usize, units: Range<usize>, values: &[f32]) -> Result<(), Failure>;

    /// Takes the means of a layer's features over space: image after image, a number a feature.
    ///
    /// # Errors
    /// As [`units`](Self::units).
    fn means(&mut self, layer: usize, values: &[f64]) -> Result<(), Failure>;

    /// A layer is complete.
    ///
    /// # Errors
    /// As [`units`](Self::units).
    fn finish(&mut self, layer: usize) -> Result<(), Failure>;
}

/// A network, images, and the layers that are used of it.
#[derive(Debug)]
pub struct ActivationPasses<'a> {
    network: &'a ForwardNetwork,
    images: &'a NetworkImages,
    layers: &'a [UsedLayer],
    /// Places in `layers` in the order in which the network computes them.
    order: Vec<usize>,
    settings: PassSettings,
    plan: PassPlan,
    device: Device,
}

impl<'a> ActivationPasses<'a> {
    /// Plans passes for a use of some layers.
    ///
    /// # Errors
    /// As [`planned`].
    pub fn new(
        (architecture, network): (&Architecture, &'a ForwardNetwork),
        images: &'a NetworkImages,
        layers: &'a [UsedLayer],
        settings: PassSettings,
        (uses_units, uses_means): (bool, bool),
        device: Device,
    ) -> Result<Self, Failure> {
        let stimuli = PlannedStimuli { count: images.len(), size: images.size() };
        let LayerPasses { order, plan } = planned(architecture, layers, stimuli, settings, (uses_units, uses_means))?;
        Ok(Self { network, images, layers, order, settings, plan, device })
    }

    /// How often images go through the network.
    pub fn passes(&self) -> usize {
        self.plan.passes.len()
    }

    /// One sentence about the passes.
    pub fn note(&self) -> String {
        let (images, passes) = (self.images.len(), self.passes());
        match passes {
            1 => format!("{images} different images went through the network once"),
            _ => format!("{images} different images went through the network in {passes} passes, as `memory` allows"),
        }
    }

    /// Runs all passes.
    ///
    /// # Errors
    /// Those of the use. Stage: the task was cancelled.
    pub fn run(&self, user: &mut dyn ActivationUse, context: &dyn Context) -> Result<(), Failure> {
        let _guard = tch::no_grad_guard();
        for (number, pieces) in self.plan.passes.iter().enumerate() {
            let pass = Pass { of: self, pieces, number };
            if self.plan.block >= self.images.len() && !self.settings.alias_in_place {
                pass.use_at_once(user, context)?;
            } else {
                pass.hold(user, context)?;
            }
        }
        Ok(())
    }
}

/// Takes the rank and the call of a layer, and its output of each batch.
type TakeOutput<'a> = dyn FnMut(usize, usize, &[Tensor]) -> Result<ControlFlow<()>, Failure> + 'a;

/// One pass of all images.
struct Pass<'a> {
    of: &'a ActivationPasses<'a>,
    pieces: &'a [LayerPiece],
    number: usize,
}

impl Pass<'_> {
    fn layer(&self, piece: &LayerPiece) -> (usize, &UsedLayer) {
        let place = self.of.order[piece.layer];
        (place, &self.of.layers[place])
    }

    /// The piece of a layer's call, if this pass uses it.
    fn piece(&self, rank: usize, call: usize) -> Option<usize> {
        self.pieces.iter().position(|piece| {
            let (_, layer) = self.layer(piece);
            (layer.rank, layer.call) == (rank, call)
        })
    }

    fn report(&self, images: usize, layers: usize, context: &dyn Context) -> Result<(), Failure> {
        if context.cancelled() {
            return Err(Failure::stage("cancelled while images went through the network"));
        }
        let all = (self.of.images.len() * self.of.passes()) as u64;
        let done = (self.of.images.len() * self.number + images) as u64;
        let note =
            format!("pass {} of {}, {layers} of {} layers", self.number + 1, self.of.passes(), self.pieces.len());
        context.progress(Progress { done, total: all, unit: "images".into(), note });
        Ok(())
    }

    /// All images at the same time; each layer is used when it is computed.
    fn use_at_once(&self, user: &mut dyn ActivationUse, context: &dyn Context) -> Result<(), Failure> {
        let images = self.of.images.len();
        let mut done = 0;
        let mut take = |rank: usize, call: usize, output: &[Tensor]| -> Result<ControlFlow<()>, Failure> {
            if let Some(place) = self.piece(rank, call) {
                let piece = &self.pieces[place];
                let (layer, used) = self.layer(piece);
                let output = Output::Computed(output.iter().map(flat).collect());
                use_piece(user, (layer, used, piece), images, &output)?;
                done += 1;
                self.report(images * done / self.pieces.len(), done, context)?;
            }
            Ok(enough(done >= self.pieces.len()))
        };
        self.forward(0..images, &mut take)
    }

    /// Images in batches; layers are used when all have been through.
    fn hold(&self, user: &mut dyn ActivationUse, context: &dyn Context) -> Result<(), Failure> {
        let images = self.of.images.len();
        let mut held: Vec<Held> =
            self.pieces.iter().map(|piece| Held::of(piece, self.layer(piece).1, images, user)).collect();
        for first in (0..images).step_by(self.of.plan.block) {
            let block = first..(first + self.of.plan.block).min(images);
            let mut kept: Vec<(usize, Tensor)> = Vec::new();
            let mut seen = 0;
            let mut take = |rank: usize, call: usize, output: &[Tensor]| -> Result<ControlFlow<()>, Failure> {
                if let (Some(place), [output]) = (self.piece(rank, call), output) {
                    seen += 1;
                    match self.of.settings.alias_in_place {
                        true => kept.push((place, output.shallow_clone())),
                        false => held[place].fill(first, output),
                    }
                }
                // Layers after the last one may still change what an earlier one gave.
                Ok(enough(seen >= self.pieces.len() && !self.of.settings.alias_in_place))
            };
            self.forward(block.clone(), &mut take)?;
            kept.iter().for_each(|(place, output)| held[*place].fill(first, output));
            self.report(block.end, 0, context)?;
        }
        for (piece, held) in self.pieces.iter().zip(held) {
            let (layer, used) = self.layer(piece);
            use_piece(user, (layer, used, piece), images, &Output::Held(held))?;
        }
        Ok(())
    }

    /// Runs images through the network; `take` sees rank, call and output of each layer, the image itself first.
    fn forward(&self, images: Range<usize>, take: &mut TakeOutput<'_>) -> Result<(), Failure> {
        let of = self.of;
        let ends = images.clone().step_by(of.settings.batch.max(1));
        let batches: Vec<Tensor> = ends
            .map(|first| of.images.batch(first..(first + of.settings.batch).min(images.end), of.device))
            .collect::<Result<_, _>>()?;
        if take(0, 1, &batches)?.is_break() {
            return Ok(());
        }
        let mut calls: Vec<usize> = Vec::new();
        let mut hook = |place: usize, output: &[Tensor]| -> Result<ControlFlow<()>, Failure> {
            if calls.len() <= place {
                calls.resize(place + 1, 0);
            }
            calls[place] += 1;
            take(place + 1, calls[place], output)
        };
        let inputs = of.images.as_network_takes_them(batches);
        of.network.forward(inputs, &mut ForwardMode::Evaluate, &mut hook).map(drop)
    }
}

fn enough(is_enough: bool) -> ControlFlow<()> {
    if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// [images, units] on the processor, the units in the order of [channels, height, width].
fn flat(output: &Tensor) -> Tensor {
    output.flatten(1, -1).to_device(Device::Cpu)
}

/// Means over space, [images, features], in 64 bits.
fn feature_means(output: &Tensor) -> Tensor {
    match output.dim() {
        4 => output.mean_dim([2_i64, 3].as_slice(), false, Kind::Double),
        _ => output.flatten(1, -1).to_kind(Kind::Double),
    }
}

/// A piece of a layer that is held of all images.
struct Held {
    units: Range<usize>,
    values: Vec<f32>,
    /// None where they are not used, or came with an earlier piece.
    means: Option<Vec<f64>>,
    features: usize,
}

impl Held {
    fn of(piece: &LayerPiece, layer: &UsedLayer, images: usize, user: &dyn ActivationUse) -> Self {
        let means = user.uses_means() && piece.units.start == 0;
        Self {
            units: piece.units.clone(),
            values: vec![0.0; images * piece.units.len()],
            means: means.then(|| vec![0.0; images * layer.features()]),
            features: layer.features(),
        }
    }

    /// Copies the outputs of a batch whose first image is this one.
    fn fill(&mut self, first: usize, output: &Tensor) {
        let flat = flat(output);
        let count = flat.size()[0] as usize;
        let width = self.units.len();
        if width > 0 {
            copy_units(&flat, self.units.clone(), &mut self.values[first * width..(first + count) * width]);
        }
        if let Some(means) = &mut self.means {
            let found = feature_means(output);
            found.copy_data(&mut means[first * self.features..(first + count) * self.features], count * self.features);
        }
    }
}

/// Some columns of [images, units].
fn copy_units(flat: &Tensor, units: Range<usize>, to: &mut [f32]) {
    let part = flat.narrow(1, units.start as i64, units.len() as i64);
    part.to_kind(Kind::Float).copy_data(to, to.len());
}

/// What a layer gave for all images.
enum Output {
    /// [images, units] of each batch.
    Computed(Vec<Tensor>),
    Held(Held),
}

impl Output {
    /// Units of all images, image after image.
    fn block(&self, units: Range<usize>, to: &mut [f32]) {
        let width = units.len();
        match self {
            Output::Computed(batches) => {
                let mut first = 0;
                for batch in batches {
                    let end = first + batch.size()[0] as usize * width;
                    copy_units(batch, units.clone(), &mut to[first..end]);
                    first = end;
                }
            }
            Output::Held(held) => {
                let (all, start) = (held.units.len(), units.start - held.units.start);
                for (to, image) in to.chunks_exact_mut(width).zip(held.values.chunks_exact(all)) {
                    to.copy_from_slice(&image[start..start + width]);
                }
            }
        }
    }
}

fn use_piece(
    user: &mut dyn ActivationUse,
    (place, layer, piece): (usize, &UsedLayer, &LayerPiece),
    images: usize,
    output: &Output,
) -> Result<(), Failure> {
    if user.uses_units() {
        let mut values = vec![0.0; images * UNIT_BLOCK.min(piece.units.len())];
        for first in piece.units.clone().step_by(UNIT_BLOCK) {
            let units = first..(first + UNIT_BLOCK).min(piece.units.end);
            let block = &mut values[..images * units.len()];
            output.block(units.clone(), block);
            user.units(place, units, block)?;
        }
    }
    if user.uses_means() && piece.units.start == 0 {
        match output {
            Output::Held(held) => user.means(place, held.means.as_deref().unwrap_or_default())?,
            Output::Computed(batches) => {
                let mut shape: Vec<i64> = layer.shape.iter().map(|axis| *axis as i64).collect();
                shape.insert(0, -1);
                let mut means = Vec::with_capacity(images * layer.features());
                for batch in batches {
                    let found = feature_means(&batch.view(shape.as_slice()));
                    let start = means.len();
                    means.resize(start + found.numel(), 0.0);
                    found.copy_data(&mut means[start..], found.numel());
                }
                user.means(place, &means)?;
            }
        }
    }
    let is_last = !user.uses_units() || piece.units.end == layer.units();
    if is_last { user.finish(place) } else { Ok(()) }
}
