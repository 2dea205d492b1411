//! Against PyTorch: the numbers in `golden/golden.json` come from `golden/make.py`, an independent rendering in plain PyTorch.
//!
//! Both compute with 64 bits. With 32, a unit whose activation is nearly zero falls on one or the other side of its ReLU by
//! the processor's instruction set, and PyTorch's own gradients differ by more than a percent between machines. Images
//! through a network are compared with 32 bits too, which is what a pipeline computes with.

use std::path::Path;

use pipe_contract::Silent;
use pipe_stages::unet::training_schedule::{Round, rounds};
use pipe_torch::adam::Adam;
use pipe_torch::loss::losses;
use pipe_torch::samples::{Pair, Samples};
use pipe_torch::training::{EpochSide, Means, Training};
use pipe_torch::unet::{Mode, UNet};
use pipe_torch::weights::{NetworkShape, Weights};
use serde_json::Value;
use tch::{Kind, Tensor};

use crate::support::{device, targets, tensor, weights};

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/golden.json");
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

/// Two numbers agree to `tolerance` times a scale.
fn close(what: &str, ours: f64, theirs: f64, scale: f64, tolerance: f64) {
    let difference = (ours - theirs).abs();
    assert!(difference <= tolerance * scale, "{what}: {ours} here, {theirs} in PyTorch (scale {scale:e})");
}

/// A tensor has the sums and single values of a digest; compared on the scale of its mean size.
fn matches(what: &str, ours: &Tensor, digest: &Value, tolerance: f64) {
    let ours = ours.detach().to_device(tch::Device::Cpu).to_kind(Kind::Double).reshape([-1]);
    let count = ours.numel() as f64;
    let size = number(&digest["abs"]) / count;
    close(
        &format!("{what}, sum of sizes"),
        ours.abs().sum(Kind::Double).double_value(&[]) / count,
        size,
        size,
        tolerance,
    );
    close(
        &format!("{what}, sum"),
        ours.sum(Kind::Double).double_value(&[]) / count,
        number(&digest["sum"]) / count,
        size,
        tolerance,
    );
    let step = digest["step"].as_i64().unwrap();
    for (index, value) in digest["at"].as_array().unwrap().iter().enumerate() {
        let at = index as i64 * step;
        close(&format!("{what}, element {at}"), ours.double_value(&[at]), number(value), size, 10.0 * tolerance);
    }
}

fn shape(golden: &Value) -> NetworkShape {
    let count = |name: &str| golden[name].as_u64().unwrap() as usize;
    NetworkShape::new(golden["base_model"].as_str().unwrap(), count("inputs"), count("outputs")).unwrap()
}

#[test]
fn networks_agree_with_pytorch() {
    for golden in golden()["networks"].as_array().unwrap() {
        let shape = shape(golden);
        let what = golden["base_model"].as_str().unwrap();
        let weights = weights(shape);
        let names: Vec<_> = weights.named(&weights.snapshot()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(serde_json::to_value(names).unwrap(), golden["names"]);
        let trained: usize = weights.trained().iter().map(|(_, tensor)| tensor.numel()).sum();
        assert_eq!(trained as u64, golden["parameters"].as_u64().unwrap());
        check_network(what, weights, golden);
    }
}

/// Relative agreement of what is computed with 64 bits.
const DOUBLE: f64 = 1e-10;

fn check_network(what: &str, weights: Weights, golden: &Value) {
    let NetworkShape { inputs, outputs, .. } = weights.shape;
    let image = tensor("image", &[2, inputs as i64, 32, 64], 4.0);
    check_forward(&format!("{what} with 32 bits"), &weights, &image, golden, 2e-5);
    let (weights, image) = (weights.double(), image.to_kind(Kind::Double));
    check_forward(what, &weights, &image, golden, DOUBLE);

    let gold = targets("gold", &[2, outputs as i64, 32, 64]).to_kind(Kind::Double);
    let logits = UNet::new(&weights).forward(&image, Mode::Train);
    matches(&format!("{what} training"), &logits, &golden["batch"], DOUBLE);
    let found = losses(&logits, &gold, 0.75);
    for (name, ours) in [("bce", &found.bce), ("dice", &found.dice), ("loss", &found.total)] {
        let theirs = number(&golden[name]);
        close(&format!("{what} {name}"), ours.double_value(&[]), theirs, theirs, DOUBLE);
    }
    found.total.backward();
    for (name, digest) in golden["gradients"].as_object().unwrap() {
        matches(&format!("{what} gradient of {name}"), &weights.get(name).grad(), digest, DOUBLE);
    }
    for (name, digest) in golden["buffers"].as_object().unwrap() {
        matches(&format!("{what} {name}"), &weights.get(name), digest, DOUBLE);
    }
    assert_eq!(weights.get("layer0.1.num_batches_tracked").int64_value(&[]), 1);
}

/// Prediction with running and with batch statistics, which changes no weight.
fn check_forward(what: &str, weights: &Weights, image: &Tensor, golden: &Value, tolerance: f64) {
    let network = UNet::new(weights);
    let before = weights.snapshot();
    let plain = tch::no_grad(|| network.forward(image, Mode::Running));
    matches(&format!("{what} running"), &plain, &golden["running"], tolerance);
    let batch = tch::no_grad(|| network.forward(image, Mode::Batch));
    matches(&format!("{what} batch, without side effects"), &batch, &golden["batch"], tolerance);
    for ((name, ours), (_, same)) in weights.named(&weights.snapshot()).iter().zip(weights.named(&before)) {
        assert!(ours.equal(&same), "prediction changed {name}");
    }
}

#[test]
fn adam_agrees_with_pytorch() {
    let parameter = tensor("adam", &[7], 4.0).set_requires_grad(true);
    let mut adam = Adam::new(vec![parameter.shallow_clone()]);
    for (step, theirs) in golden()["adam"].as_array().unwrap().iter().enumerate() {
        adam.forget_gradients();
        (&parameter * tensor(&format!("grad{step}"), &[7], 4.0)).sum(Kind::Float).backward();
        adam.step(0.01).unwrap();
        for (index, value) in theirs.as_array().unwrap().iter().enumerate() {
            close(
                &format!("step {step}, element {index}"),
                parameter.double_value(&[index as i64]),
                number(value),
                1.0,
                1e-6,
            );
        }
    }
}

fn samples() -> Samples {
    let trained = [(0, "trn00"), (0, "trn01"), (1, "trn10"), (1, "trn11"), (2, "trn20"), (2, "trn21"), (1, "trn12")];
    let held_out = [(3, "val30"), (3, "val31"), (3, "val32")];
    let all: Vec<_> = trained.iter().chain(&held_out).collect();
    let images: Vec<_> = (0..4).map(|subject| tensor(&format!("person{subject}"), &[2, 32, 64], 4.0)).collect();
    let given = |name: &str| targets(name, &[3, 32, 64]).to_kind(Kind::Double);
    // Validation is on the opposite of what is trained on, so that losses go up in one epoch and choices are clear.
    let opposite = held_out.iter().map(|(_, name)| 1.0 - given(name));
    let labels: Vec<Tensor> = trained.iter().map(|(_, name)| given(name)).chain(opposite).collect();
    let pairs: Vec<_> =
        all.iter().enumerate().map(|(target, (subject, _))| Pair { subject: *subject, target }).collect();
    Samples {
        images: Tensor::stack(&images, 0).to_kind(Kind::Double),
        targets: Tensor::stack(&labels, 0),
        train: pairs[..trained.len()].to_vec(),
        validation: pairs[trained.len()..].to_vec(),
        seen: Default::default(),
    }
}

/// How far epochs may drift apart. Training amplifies the last digits from epoch to epoch: `make.py drift` on one and two threads, with
/// and without oneDNN, with the instructions AVX-512, AVX2 and SSE4.2 found at most 4e-14, 1e-12, 3e-11, 9e-10, 1e-8 and 9e-6. What is
/// compared in a choice lies 3e-2 apart or more, so choices must be the same everywhere.
const DRIFT: [f64; 6] = [1e-11, 1e-10, 1e-8, 1e-6, 1e-5, 1e-3];

/// How far the weights that are kept may be apart, on the scale of their mean size; found at most 2e-8 in sums and 4e-7 in elements, for which
/// ten times as much is allowed.
const WEIGHT_DRIFT: f64 = 1e-5;

#[test]
fn a_whole_training_agrees_with_pytorch() {
    let golden = &golden()["training"];
    let samples = samples();
    let first = Round { lr: 1e-5, gamma: 0.9, bce_weight: 0.75, num_epochs: 2, batch_size: 3 };
    let plan = rounds(&first, 3);
    let order = |side, epoch: u32, count| {
        let start = epoch as usize + if side == EpochSide::Train { 3 } else { 0 };
        (0..count).map(|index| (index * 5 + start) % count).collect()
    };
    let weights = weights(NetworkShape::new("resnet18", 2, 3).unwrap()).double();
    let mut training = Training::new(weights, &samples, &plan, Box::new(order), &Silent);
    while !training.is_done() {
        training.advance().unwrap();
    }
    let history = golden["history"].as_array().unwrap();
    assert_eq!((training.state.rows.len(), history.len()), (DRIFT.len(), DRIFT.len()));
    for ((row, theirs), drift) in training.state.rows.iter().zip(history).zip(DRIFT) {
        let what = format!("round {} epoch {}", row.round, row.epoch);
        assert_eq!(u64::from(row.round), theirs["round"].as_u64().unwrap(), "{what}");
        close(&format!("{what} rate"), row.rate, number(&theirs["lr"]), row.rate, 1e-12);
        for (side, means) in [("train", row.train), ("val", row.validation)] {
            let Means { bce, dice, loss } = means;
            for (name, ours, index) in [("bce", bce, 0), ("dice", dice, 1), ("loss", loss, 2)] {
                let theirs = number(&theirs[side][index]);
                close(&format!("{what} {side} {name}"), ours, theirs, theirs, drift);
            }
        }
    }
    // The second epoch of the first round is worse than the first, so that the second round begins with weights that were kept.
    let improved: Vec<bool> = training.state.rows.iter().map(|row| row.improved).collect();
    let theirs: Vec<bool> = history.iter().map(|theirs| theirs["improved"].as_bool().unwrap()).collect();
    assert_eq!(improved, theirs);
    assert_eq!(improved, [true, false, true, true, true, true]);
    // The second round has a worse Dice loss than the first, the third a better one.
    close("best dice", training.state.overall.dice, number(&golden["dice"]), 1.0, DRIFT[5]);
    assert_eq!(golden["round"], 2);

    let best = training.weights.named(training.state.overall.weights.as_ref().unwrap());
    for (name, digest) in golden["weights"].as_object().unwrap() {
        let (_, ours) = best.iter().find(|(own, _)| own == name).unwrap();
        matches(&format!("{name} at the end"), ours, digest, WEIGHT_DRIFT);
    }
}

#[test]
fn fresh_weights_start_as_in_pytorch() {
    let weights = Weights::fresh(NetworkShape::new("resnet18", 7, 3).unwrap(), 5, device());
    let deviation = |name: &str| weights.get(name).std(false).double_value(&[]);
    // Kaiming, normal, fan out; and uniform within 1 / sqrt(fan in), which has a deviation of bound / sqrt(3).
    close("encoder", deviation("layer3.0.conv1.weight"), (2.0 / (256.0 * 9.0_f64)).sqrt(), 1.0, 2e-4);
    close("stem", deviation("layer0.0.weight"), 1.0 / (7.0 * 49.0 * 3.0_f64).sqrt(), 1.0, 1e-3);
    close("decoder", deviation("conv_up2.0.weight"), 1.0 / (640.0 * 9.0 * 3.0_f64).sqrt(), 1.0, 1e-4);
    let bias = weights.get("conv_up2.0.bias").abs().max().double_value(&[]);
    assert!(bias <= 1.0 / (640.0 * 9.0_f64).sqrt() && bias > 0.0);
    assert_eq!(deviation("layer4.1.bn2.weight"), 0.0);
    assert_eq!(weights.get("layer4.1.bn2.running_var").double_value(&[0]), 1.0);
}
