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
    let labels: Vec<_> = all.iter().map(|(_, name)| targets(name, &[3, 32, 64])).collect();
    let pairs: Vec<_> =
        all.iter().enumerate().map(|(target, (subject, _))| Pair { subject: *subject, target }).collect();
    Samples {
        images: Tensor::stack(&images, 0).to_kind(Kind::Double),
        targets: Tensor::stack(&labels, 0).to_kind(Kind::Double),
        train: pairs[..trained.len()].to_vec(),
        validation: pairs[trained.len()..].to_vec(),
        seen: Default::default(),
    }
}

/// How far epochs may drift apart. Training amplifies the last digits about a thousandfold an epoch, until units fall on
/// other sides of their ReLUs (measured: 4e-14, 6e-11, 4e-7, 2e-4, 7e-4, 8e-4): the first epochs show a wrong formula,
/// the later ones a wrong schedule or choice.
const DRIFT: [f64; 6] = [1e-11, 1e-8, 1e-4, 1e-2, 3e-2, 3e-2];

#[test]
fn a_whole_training_agrees_with_pytorch() {
    let golden = &golden()["training"];
    let samples = samples();
    let first = Round { lr: 2e-5, gamma: 0.9, bce_weight: 0.75, num_epochs: 2, batch_size: 3 };
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
    assert_eq!(training.state.rows.len(), history.len());
    let (mut ours_best, mut theirs_best) = (f64::INFINITY, f64::INFINITY);
    let mut same_choices = 0;
    for ((row, theirs), drift) in training.state.rows.iter().zip(history).zip(DRIFT) {
        let what = format!("round {} epoch {}", row.round, row.epoch);
        close(&format!("{what} rate"), row.rate, number(&theirs["lr"]), row.rate, 1e-12);
        if row.epoch == 0 {
            (ours_best, theirs_best) = (f64::INFINITY, f64::INFINITY);
        }
        assert_eq!(row.improved, row.validation.loss < ours_best, "{what}");
        // Whether an epoch is better than the best of its round is decided alike where losses are further apart than they drift; in
        // the last epoch they are 1.4e-4 apart, which processors with other instructions decide otherwise.
        let loss = number(&theirs["val"][2]);
        if (loss - theirs_best).abs() > drift * loss {
            assert_eq!(row.improved, theirs["improved"].as_bool().unwrap(), "{what}");
            same_choices += 1;
        }
        (ours_best, theirs_best) = (ours_best.min(row.validation.loss), theirs_best.min(loss));
        for (side, means) in [("train", row.train), ("val", row.validation)] {
            let Means { bce, dice, loss } = means;
            for (name, ours, index) in [("bce", bce, 0), ("dice", dice, 1), ("loss", loss, 2)] {
                let theirs = number(&theirs[side][index]);
                close(&format!("{what} {side} {name}"), ours, theirs, theirs, drift);
            }
        }
    }
    assert_eq!(same_choices, 5);
    close("best dice", training.state.overall.dice, number(&golden["dice"]), 1.0, 1e-2);

    let chosen = |rows: &mut dyn Iterator<Item = bool>| rows.collect::<Vec<_>>();
    let ours = chosen(&mut training.state.rows.iter().map(|row| row.improved));
    if ours != chosen(&mut history.iter().map(|theirs| theirs["improved"].as_bool().unwrap())) {
        // The weights that were kept are then of the epoch before, of which PyTorch's are not recorded.
        return;
    }
    let best = training.weights.named(training.state.overall.weights.as_ref().unwrap());
    for (name, digest) in golden["weights"].as_object().unwrap() {
        let (_, ours) = best.iter().find(|(own, _)| own == name).unwrap();
        matches(&format!("{name} at the end"), ours, digest, 1e-2);
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
