//! Trains a network to name one variable of images: cross-entropy, stochastic gradient descent with momentum or Adam.
//!
//! Decides the order of images (every epoch in a new order of its own stream, so that the same seed gives the same weights) and which images
//! are held out: a share of each class. Nothing is chosen by the images that are held out; they only show what the network has learned.
//! Independent of where images and networks come from.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use pipe_contract::{Context, Failure, Metric, Progress};
use tch::{Device, Kind, Tensor};

use crate::adam::Adam;
use crate::backend::forget_gradients;
use crate::draws;
use crate::network_forward::{ForwardMode, ForwardNetwork};
use crate::network_images::NetworkImages;

/// How weights follow gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DescentRule {
    /// `v = momentum v + gradient; weight -= rate v`, as PyTorch's SGD.
    Momentum(f64),
    /// Adam with PyTorch's defaults.
    Adam,
}

/// How a network is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassifierPlan {
    /// How weights follow gradients.
    pub rule: DescentRule,
    /// The learning rate.
    pub rate: f64,
    /// This times a weight is added to its gradient, as PyTorch's `weight_decay`.
    pub decay: f64,
    /// Steps.
    pub iterations: usize,
    /// Images of a step; fewer at the end of an epoch.
    pub batch: usize,
    /// After so many steps loss and accuracy are measured on all images.
    pub measured_every: usize,
    /// The seed of orders and masks.
    pub seed: u64,
}

/// The images of a training.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelledImages {
    /// Images (their places) with the numbers of their classes that weights follow.
    pub trained: Vec<(usize, i64)>,
    /// Those that are only looked at.
    pub held_out: Vec<(usize, i64)>,
}

/// What was measured after some steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingRow {
    /// Steps so far.
    pub iteration: usize,
    /// Whether of the images that are held out.
    pub held_out: bool,
    /// Mean cross-entropy, natural logarithm.
    pub loss: f64,
    /// The share of images that are named right, 0 to 1.
    pub accuracy: f64,
}

/// Which stimuli are held out.
#[derive(Clone, Copy, Debug)]
pub enum HeldOutImages<'a> {
    /// A share of each class, rounded, but never the last stimulus of one.
    OfEachClass(f64),
    /// A share of the groups whose number each stimulus has, rounded, at least one and never the last one.
    Groups(f64, &'a [usize]),
}

impl LabelledImages {
    /// Stimuli with the number of their class each, and with the place of each among the different images. One whose image is trained on
    /// for another stimulus is not held out.
    pub fn split(classes: &[usize], of_stimuli: &[usize], held_out: HeldOutImages<'_>, seed: u64) -> Self {
        let is_held_out = match held_out {
            HeldOutImages::OfEachClass(share) => of_each_class(classes, share, seed),
            HeldOutImages::Groups(share, groups) => of_groups(groups, share, seed),
        };
        let mut images = Self::default();
        for ((class, image), is_held_out) in classes.iter().zip(of_stimuli).zip(is_held_out) {
            let to = if is_held_out { &mut images.held_out } else { &mut images.trained };
            to.push((*image, *class as i64));
        }
        let trained: BTreeSet<usize> = images.trained.iter().map(|(image, _)| *image).collect();
        let is_seen = |(image, _): &(usize, i64)| trained.contains(image);
        let (seen, unseen): (Vec<_>, Vec<_>) = images.held_out.into_iter().partition(is_seen);
        images.trained.extend(seen);
        images.held_out = unseen;
        images
    }
}

fn of_each_class(classes: &[usize], share: f64, seed: u64) -> Vec<bool> {
    let mut is_held_out = vec![false; classes.len()];
    let mut by_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (stimulus, class) in classes.iter().enumerate() {
        by_class.entry(*class).or_default().push(stimulus);
    }
    for (class, members) in by_class {
        let count = rounded_share(members.len(), share).min(members.len() - 1);
        let order = draws::order(&mut draws::stream(seed, &format!("held out {class}")), members.len());
        order[..count].iter().for_each(|at| is_held_out[members[*at]] = true);
    }
    is_held_out
}

fn of_groups(groups: &[usize], share: f64, seed: u64) -> Vec<bool> {
    let all: Vec<usize> = groups.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let count = rounded_share(all.len(), share).max(1).min(all.len().saturating_sub(1));
    let order = draws::order(&mut draws::stream(seed, "held out groups"), all.len());
    let held_out: BTreeSet<usize> = order[..count].iter().map(|at| all[*at]).collect();
    groups.iter().map(|group| held_out.contains(group)).collect()
}

fn rounded_share(count: usize, share: f64) -> usize {
    (count as f64 * share).round() as usize
}

/// Trains a network whose weights have gradients, and returns what was measured.
///
/// # Errors
/// Stage: cancelled, or the loss is not finite any more. Internal: libtorch refuses a step.
pub fn train_classifier(
    network: &ForwardNetwork,
    images: &NetworkImages,
    labelled: &LabelledImages,
    plan: &ClassifierPlan,
    (device, context): (Device, &dyn Context),
) -> Result<Vec<TrainingRow>, Failure> {
    let mut descent = Descent::new(network.trained(), plan.rule);
    let mut mode = ForwardMode::Train(Box::new(draws::stream(plan.seed, "dropout")));
    let mut rows = Vec::new();
    let mut measure = |iteration: usize| -> Result<(), Failure> {
        for (held_out, part) in [(false, &labelled.trained), (true, &labelled.held_out)] {
            if let Some((loss, accuracy)) = measured(network, images, part, plan.batch, device)? {
                rows.push(TrainingRow { iteration, held_out, loss, accuracy });
                report(iteration, held_out, (loss, accuracy), context);
            }
        }
        Ok(())
    };
    measure(0)?;
    let (mut epoch, mut waiting) = (0_usize, Vec::new());
    for iteration in 1..=plan.iterations {
        if context.cancelled() {
            return Err(Failure::stage("cancelled while training"));
        }
        if waiting.is_empty() {
            waiting = draws::order(&mut draws::stream(plan.seed, &format!("epoch {epoch}")), labelled.trained.len());
            epoch += 1;
        }
        let batch = waiting.split_off(waiting.len().saturating_sub(plan.batch));
        let batch: Vec<(usize, i64)> = batch.iter().map(|at| labelled.trained[*at]).collect();
        descent.forget_gradients();
        let (logits, targets) = answers(network, images, &batch, device, &mut mode)?;
        let loss = logits.cross_entropy_for_logits(&targets);
        let value = loss.double_value(&[]);
        if !value.is_finite() {
            return Err(Failure::stage(format!(
                "the training diverged: its loss became {value} at iteration {iteration}"
            ))
            .hint("lower `learning_rate`"));
        }
        loss.backward();
        descent.step(plan.rate, plan.decay)?;
        if iteration % plan.measured_every.max(1) == 0 || iteration == plan.iterations {
            measure(iteration)?;
            let (done, total) = (iteration as u64, plan.iterations as u64);
            context.progress(Progress { done, total, unit: "steps".into(), note: format!("loss {value:.4}") });
        }
    }
    Ok(rows)
}

fn report(iteration: usize, held_out: bool, (loss, accuracy): (f64, f64), context: &dyn Context) {
    let part = if held_out { "held_out" } else { "train" };
    for (name, value) in [("loss", loss), ("accuracy", accuracy)] {
        if let Some(metric) = Metric::new(&format!("{part}/{name}"), iteration as u64, value) {
            context.metric(metric);
        }
    }
}

/// Logits and classes of some images.
fn answers(
    network: &ForwardNetwork,
    images: &NetworkImages,
    labelled: &[(usize, i64)],
    device: Device,
    mode: &mut ForwardMode,
) -> Result<(Tensor, Tensor), Failure> {
    let (places, classes): (Vec<usize>, Vec<i64>) = labelled.iter().copied().unzip();
    let batch = images.as_network_takes_them(vec![images.chosen(&places, device)?]);
    let mut nothing = |_: usize, _: &[Tensor]| -> Result<ControlFlow<()>, Failure> { Ok(ControlFlow::Continue(())) };
    let logits = network.forward(batch, mode, &mut nothing)?.and_then(|mut batches| batches.pop());
    let logits = logits.ok_or_else(|| Failure::internal("a network gave no answers"))?;
    Ok((logits, Tensor::from_slice(&classes).to_device(device)))
}

/// Mean loss and accuracy over images; none of no images.
fn measured(
    network: &ForwardNetwork,
    images: &NetworkImages,
    labelled: &[(usize, i64)],
    batch: usize,
    device: Device,
) -> Result<Option<(f64, f64)>, Failure> {
    let _guard = tch::no_grad_guard();
    let (mut loss, mut right) = (0.0, 0.0);
    for part in labelled.chunks(batch.max(1)) {
        let (logits, targets) = answers(network, images, part, device, &mut ForwardMode::Evaluate)?;
        loss += logits.cross_entropy_for_logits(&targets).double_value(&[]) * part.len() as f64;
        right += logits.argmax(-1, false).eq_tensor(&targets).sum(Kind::Int64).int64_value(&[]) as f64;
    }
    let count = labelled.len() as f64;
    Ok((!labelled.is_empty()).then(|| (loss / count, right / count)))
}

/// What changes weights.
enum Descent {
    Momentum { weights: Vec<Tensor>, velocities: Vec<Tensor>, momentum: f64 },
    Adam { weights: Vec<Tensor>, adam: Adam },
}

impl Descent {
    fn new(weights: Vec<Tensor>, rule: DescentRule) -> Self {
        match rule {
            DescentRule::Momentum(momentum) => {
                let velocities = weights.iter().map(|weight| weight.detach().zeros_like()).collect();
                Descent::Momentum { weights, velocities, momentum }
            }
            DescentRule::Adam => {
                let own = weights.iter().map(Tensor::shallow_clone).collect();
                Descent::Adam { weights, adam: Adam::new(own) }
            }
        }
    }

    fn forget_gradients(&self) {
        let (Descent::Momentum { weights, .. } | Descent::Adam { weights, .. }) = self;
        forget_gradients(weights);
    }

    fn step(&mut self, rate: f64, decay: f64) -> Result<(), Failure> {
        if decay > 0.0 {
            let (Descent::Momentum { weights, .. } | Descent::Adam { weights, .. }) = &*self;
            tch::no_grad(|| {
                for weight in weights {
                    let _ = weight.grad().g_add_(&(weight * decay));
                }
            });
        }
        match self {
            Descent::Adam { adam, .. } => adam.step(rate),
            Descent::Momentum { weights, velocities, momentum } => {
                tch::no_grad(|| {
                    for (weight, velocity) in weights.iter_mut().zip(velocities) {
                        let _ = velocity.g_mul_scalar_(*momentum);
                        let _ = velocity.g_add_(&weight.grad());
                        let _ = weight.g_sub_(&(&*velocity * rate));
                    }
                });
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(part: &[(usize, i64)]) -> Vec<usize> {
        let mut places: Vec<usize> = part.iter().map(|(image, _)| *image).collect();
        places.sort_unstable();
        places
    }

    #[test]
    fn a_share_of_each_class_is_held_out() {
        let classes = [0, 1, 0, 1, 0, 1, 0, 2];
        let of_stimuli: Vec<usize> = (10..18).collect();
        let split = |share| LabelledImages::split(&classes, &of_stimuli, HeldOutImages::OfEachClass(share), 3);
        let images = split(0.5);
        let count = |part: &[(usize, i64)], class| part.iter().filter(|(_, of)| *of == class).count();
        // Half of four, half of three rounded up, and none of one.
        assert_eq!([0, 1, 2].map(|class| count(&images.held_out, class)), [2, 2, 0]);
        assert_eq!([0, 1, 2].map(|class| count(&images.trained, class)), [2, 1, 1]);
        assert_eq!(places(&[images.trained.clone(), images.held_out.clone()].concat()), of_stimuli);
        assert_eq!(images, split(0.5));
        assert!(split(0.0).held_out.is_empty());
    }

    #[test]
    fn an_image_is_not_trained_on_and_held_out() {
        let (classes, of_stimuli) = ([0; 8], [0, 1, 2, 3, 0, 1, 2, 3]);
        for seed in 0..20 {
            let images = LabelledImages::split(&classes, &of_stimuli, HeldOutImages::OfEachClass(0.5), seed);
            assert_eq!(images.trained.len() + images.held_out.len(), 8);
            let trained = places(&images.trained);
            assert!(places(&images.held_out).iter().all(|image| !trained.contains(image)), "{images:?}");
        }
    }

    #[test]
    fn groups_are_held_out_as_a_whole() {
        let (classes, groups) = ([0, 1, 0, 1, 0, 1], [5, 5, 6, 6, 9, 9]);
        let of_stimuli: Vec<usize> = (0..6).collect();
        let split = |share| LabelledImages::split(&classes, &of_stimuli, HeldOutImages::Groups(share, &groups), 1);
        for (share, count) in [(0.01, 2), (0.34, 2), (0.67, 4), (0.9, 4)] {
            let held_out = places(&split(share).held_out);
            assert_eq!(held_out.len(), count, "{share}");
            assert!(held_out.chunks(2).all(|pair| pair[0] % 2 == 0 && pair[1] == pair[0] + 1), "{held_out:?}");
        }
    }
}
