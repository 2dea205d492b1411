//! The program's side of the fidelity check for networks: logits, losses, gradients, a training and a prediction, from
//! the images and targets that the example `fidelity` painted.
//!
//! `fidelity-networks OUT`, the folder that `fidelity` wrote; built by `./just fidelity`.
//!
//! All but the prediction is computed with 64 bits too: with 32, a unit whose activation is nearly zero falls on one or
//! the other side of its ReLU by the instruction set of the processor, and training amplifies it.

mod program;

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use pipe_contract::{Context, Coordinates, Failure, Given, Metric, Progress, Registry, Value};
use pipe_stages::formats::tensors;
use pipe_stages::unet::channels;
use pipe_stages::unet::model_folder::{self, ModelOptions, OPTIONS, WEIGHTS};
use pipe_stages::unet::training_schedule::{Round, rounds};
use pipe_torch::loss::losses;
use pipe_torch::samples::{Pair, Samples};
use pipe_torch::training::{EpochRow, EpochSide, Means, Training, shuffled};
use pipe_torch::unet::{Mode, UNet};
use pipe_torch::weights::{NetworkShape, Weights};
use tch::{Kind, Tensor};

use crate::program::{folder, write_text};

const CPU: tch::Device = tch::Device::Cpu;

fn main() -> ExitCode {
    tch::set_num_threads(1);
    program::run("the folder that the example `fidelity` wrote", |folders| match folders {
        [out] => Some(write_all(out)),
        _ => None,
    })
}

fn write_all(out: &Path) -> Result<(), Failure> {
    let place = out.join("networks");
    folder(place.clone())?;
    for (base, inputs, outputs) in [("resnet18", "anat", "area"), ("resnet34", "func", "ring")] {
        write_network(out, &place, base, inputs, outputs)?;
    }
    write_training(out, &place, Kind::Double, "64")?;
    write_training(out, &place, Kind::Float, "32")?;
    write_prediction(out, &place)
}

/// Some channels of images or targets that the example `fidelity` painted, [1, channels, height, width].
fn painted(out: &Path, file: &str, pixels: usize, wanted: &[&str]) -> Result<Tensor, Failure> {
    let file = tensors::read(&out.join(format!("{file}_{pixels}.safetensors")))?;
    let name = if file.tensors.contains_key("images") { "images" } else { "targets" };
    let (shape, values) = file.floats(name)?;
    let all = Tensor::from_slice(values).view([shape[0] as i64, shape[1] as i64, shape[2] as i64]);
    let names = file.names("channels")?;
    let index: Vec<i64> =
        wanted.iter().filter_map(|name| names.iter().position(|own| own == name)).map(|at| at as i64).collect();
    if index.len() != wanted.len() {
        return Err(Failure::internal(format!("expected the channels {wanted:?} among {names:?}")));
    }
    Ok(all.index_select(0, &Tensor::from_slice(&index)).unsqueeze(0))
}

/// Images of made-up subjects: those of one, each with other scales.
fn subjects(image: &Tensor, count: i64) -> Tensor {
    let scaled: Vec<Tensor> = (0..count).map(|subject| image * (1.0 + 0.0625 * subject as f64)).collect();
    Tensor::cat(&scaled, 0)
}

/// Labels of made-up raters: those of one, moved by pixels.
fn raters(target: &Tensor, count: i64) -> Tensor {
    let moved: Vec<Tensor> = (0..count).map(|rater| target.roll([rater, 1 - rater], [2, 3])).collect();
    Tensor::cat(&moved, 0)
}

fn write_network(out: &Path, place: &Path, base: &str, inputs: &str, outputs: &str) -> Result<(), Failure> {
    let image = subjects(&painted(out, "images", 128, &channels::of_inputs(inputs)?)?, 2);
    let gold = raters(&painted(out, "targets", 128, &channels::of_outputs(outputs)?)?, 2);
    let shape = NetworkShape::new(base, image.size()[1] as usize, gold.size()[1] as usize)?;
    let weights = Weights::fresh(shape, 18, CPU);
    // A step in training mode, so that the running statistics are not those of a fresh network.
    let _ = tch::no_grad(|| UNet::new(&weights).forward(&image, Mode::Train));
    weights.write(&weights.snapshot(), &place.join(format!("{base}.safetensors")))?;
    let mut results = vec![("image".to_owned(), image.shallow_clone()), ("gold".to_owned(), gold.shallow_clone())];
    for mode in [Mode::Running, Mode::Batch] {
        let name = if mode == Mode::Running { "running" } else { "batch" };
        let logits = tch::no_grad(|| UNet::new(&weights).forward(&image, mode));
        results.push((format!("{name}.32"), logits));
    }
    let weights = weights.double();
    let network = UNet::new(&weights);
    let image = image.to_kind(Kind::Double);
    results.push(("running.64".to_owned(), tch::no_grad(|| network.forward(&image, Mode::Running))));
    let logits = network.forward(&image, Mode::Batch);
    let found = losses(&logits, &gold.to_kind(Kind::Double), 0.75);
    found.total.backward();
    let scalar = |loss: &Tensor| loss.detach().view([1]);
    results.extend([
        ("batch.64".to_owned(), logits.detach()),
        ("bce".to_owned(), scalar(&found.bce)),
        ("dice".to_owned(), scalar(&found.dice)),
        ("loss".to_owned(), scalar(&found.total)),
    ]);
    write(&place.join(format!("{base}.results.safetensors")), results)?;
    let gradients = weights.trained().into_iter().map(|(name, tensor)| (name.to_owned(), tensor.grad())).collect();
    write(&place.join(format!("{base}.gradients.safetensors")), gradients)
}

fn write(path: &Path, named: Vec<(String, Tensor)>) -> Result<(), Failure> {
    let named: Vec<(String, Tensor)> = named.into_iter().map(|(name, tensor)| (name, tensor.contiguous())).collect();
    Tensor::write_safetensors(&named, path)
        .map_err(|error| Failure::internal(format!("could not write `{}`: {error}", path.display())))
}

/// Seven samples of three subjects to train on, three of a fourth to validate: the last batch to train on is smaller.
fn samples(out: &Path, pixels: usize, inputs: &str, kind: Kind) -> Result<Samples, Failure> {
    let image = painted(out, "images", pixels, &channels::of_inputs(inputs)?)?;
    let target = painted(out, "targets", pixels, &channels::of_outputs("area")?)?;
    let pair = |(target, subject): (usize, usize)| Pair { subject, target };
    let all: Vec<Pair> = [0, 0, 1, 1, 2, 2, 1, 3, 3, 3].into_iter().enumerate().map(pair).collect();
    Ok(Samples {
        images: subjects(&image, 4).to_kind(kind),
        targets: raters(&target, 10).to_kind(kind),
        train: all[..7].to_vec(),
        validation: all[7..].to_vec(),
        seen: Default::default(),
    })
}

/// A learning rate at which the last digits are not amplified beyond comparison.
const FIRST: Round = Round { lr: 2e-5, gamma: 0.9, bce_weight: 0.75, num_epochs: 2, batch_size: 3 };

fn write_training(out: &Path, place: &Path, kind: Kind, bits: &str) -> Result<(), Failure> {
    // Not smaller: at 32 rows, a last batch of one sample has two numbers a channel in the deepest layer, and
    // normalising two numbers gives signs, which any last digit turns.
    let samples = samples(out, 64, "anat", kind)?;
    let shape = NetworkShape::new("resnet18", samples.images.size()[1] as usize, samples.targets.size()[1] as usize)?;
    let weights = Weights::fresh(shape, 34, CPU);
    weights.write(&weights.snapshot(), &place.join("training.start.safetensors"))?;
    let weights = if kind == Kind::Double { weights.double() } else { weights };
    let order = |side, epoch: u32, count| {
        let start = epoch as usize + if side == EpochSide::Train { 3 } else { 0 };
        (0..count).map(|index| (index * 5 + start) % count).collect()
    };
    let log = Log::default();
    let plan = rounds(&FIRST, 3);
    let mut training = Training::new(weights, &samples, &plan, Box::new(order), &log);
    while !training.is_done() {
        training.advance()?;
    }
    write_course(&training, &plan, &log, &place.join(format!("training.{bits}.json")))?;
    if bits == "64" {
        read_log(&log, &place.join("grid"))?;
    }
    let best = &training.state.overall;
    let snapshot = best.weights.as_ref().ok_or_else(|| Failure::internal("the training has no best weights"))?;
    write(&place.join(format!("training.{bits}.end.safetensors")), training.weights.named(snapshot))?;
    write(
        &place.join("training.samples.safetensors"),
        vec![
            ("images".into(), samples.images.to_kind(Kind::Float)),
            ("targets".into(), samples.targets.to_kind(Kind::Float)),
        ],
    )
}

/// Losses of every epoch, and the log.
fn write_course(training: &Training<'_>, plan: &[Round], log: &Log, path: &Path) -> Result<(), Failure> {
    let means = |side: &Means| [side.bce, side.dice, side.loss];
    let row = |row: &EpochRow| {
        serde_json::json!({
            "round": row.round, "epoch": row.epoch, "lr": row.rate, "trn": means(&row.train),
            "val": means(&row.validation), "improved": row.improved,
        })
    };
    let rows: Vec<serde_json::Value> = training.state.rows.iter().map(row).collect();
    let lines = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let all = serde_json::json!({ "plan": plan, "rows": rows, "log": lines });
    write_text(path, &all.to_string())
}

/// What `grid/read` finds in the log of a training of our own, as that of a cell in a grid of one learning rate and one
/// batch size.
fn read_log(log: &Log, place: &Path) -> Result<(), Failure> {
    let cell = folder(place.join("grid-search/grid00000"))?;
    let options = serde_json::json!({
        "base_model": "resnet18", "gamma": FIRST.gamma, "batch_size": FIRST.batch_size, "inputs": "anat",
        "prediction": "area",
    });
    let plan: Vec<serde_json::Value> = rounds(&FIRST, 3)
        .iter()
        .map(|round| serde_json::json!({ "lr": round.lr, "bce_weight": round.bce_weight }))
        .collect();
    let lines = log.0.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
    write_text(&cell.join("opts.json"), &options.to_string())?;
    write_text(&cell.join("plan.json"), &serde_json::json!(plan).to_string())?;
    write_text(&cell.join("run.log"), &format!("Iteration 0\n{lines}\n"))?;
    let mut registry = Registry::new();
    pipe_stages::install(&mut registry);
    let missing = || Failure::internal("there is no kind `grid/read`");
    let stage = registry.stage("grid/read").ok_or_else(missing)?;
    let inputs = [("archive", Given::One(place.join("grid-search")))].into();
    let levels = [
        ("lr", Value::List(vec![Value::Float(FIRST.lr)])),
        ("batch_size", Value::List(vec![Value::Int(i64::from(FIRST.batch_size))])),
    ];
    program::run_kind(stage, Coordinates::none(), inputs, &levels, &place.join("table"))
}

/// Lines of a training's log.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Context for Log {
    fn progress(&self, _: Progress) {}

    fn metric(&self, _: Metric) {}

    fn log(&self, line: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.into());
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// A network that has learned something, and what `unet/predict` makes of it in both modes. Ten epochs, as in the
/// study: the original's reader of logs takes the tenth word, which is another one where epochs are counted with one
/// digit.
fn write_prediction(out: &Path, place: &Path) -> Result<(), Failure> {
    let samples = samples(out, 128, "func", Kind::Float)?;
    let options = ModelOptions { pixels: Some(128), ..ModelOptions::new("func", "area", "resnet18")? };
    let shape = NetworkShape::new(&options.base_model, options.channels.len(), options.feature_names.len())?;
    let plan = [Round { lr: 1e-3, gamma: 0.9, bce_weight: 0.5, num_epochs: 10, batch_size: 2 }];
    let samples =
        Samples { train: samples.train[1..5].to_vec(), validation: samples.validation[..1].to_vec(), ..samples };
    let log = Log::default();
    let mut training = Training::new(Weights::fresh(shape, 5, CPU), &samples, &plan, shuffled(5), &log);
    while !training.is_done() {
        training.advance()?;
    }
    write_course(&training, &plan, &log, &place.join("prediction.json"))?;
    let model = folder(place.join("model"))?;
    model_folder::write_json(&model.join(OPTIONS), &options)?;
    training.weights.write(&training.weights.snapshot(), &model.join(WEIGHTS))?;
    for mode in ["batch", "running"] {
        predict(out, &model, mode, &place.join(format!("labels_{mode}")))?;
    }
    Ok(())
}

fn predict(out: &Path, model: &Path, mode: &str, labels: &Path) -> Result<(), Failure> {
    let stages = pipe_torch::stages();
    let missing = || Failure::internal("there is no kind `unet/predict`");
    let stage = stages.iter().find(|stage| stage.kind().name == "unet/predict").ok_or_else(missing)?;
    let inputs = [
        ("model", model.to_path_buf()),
        ("images", out.join("images_128.safetensors")),
        ("subject", out.join("subject")),
    ];
    let inputs = inputs.into_iter().map(|(port, path)| (port, Given::One(path))).collect();
    program::run_kind(stage.as_ref(), Coordinates::none(), inputs, &[("bn", Value::Text(mode.to_owned()))], labels)
}
