//! Epochs and predictions on demand, for a comparison in turn with another program (`scripts/bench-train`).
//!
//! `epoch THREADS SAMPLES BATCH PIXELS PRECISION`, then on standard input one word a line: `train` does an epoch of `unet/train`
//! (all samples and one to validate on), `predict` shows the network four images one by one. Each answer is a line with the wall
//! and the processor seconds it took. Images and targets are noise: no time depends on what they show.

use std::io::{BufRead, Write};
use std::time::Instant;

use pipe_contract::{Device as Asked, Silent, Task};
use pipe_stages::unet::declarations::{ComputePlace, Pin, Precision};
use pipe_stages::unet::training_schedule::Round;
use pipe_torch::backend::prepare;
use pipe_torch::draws;
use pipe_torch::samples::{Pair, Samples};
use pipe_torch::training::{Training, shuffled};
use pipe_torch::unet::{Mode, UNet};
use pipe_torch::weights::{NetworkShape, Weights};
use rustix::time::{ClockId, clock_gettime};
use tch::{Device, Tensor};

const CHANNELS: i64 = 7;
const CLASSES: i64 = 3;

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [threads, samples, batch, pixels, precision] = given.as_slice() else { return };
    let number = |word: &str| word.parse::<u32>().expect("a number");
    let task: Task = serde_json::from_value(serde_json::json!({
        "kind": "unet/train", "version": 0, "params": {}, "at": {}, "inputs": {}, "outputs": {},
        "seed": 7, "device": Asked::Cpu, "threads": 1, "scratch": ".",
    }))
    .expect("a task");
    let place = ComputePlace { threads: number(threads), device: Pin::Cpu };
    let backend = prepare(&place, &task).expect("a processor");
    let precision = if precision == "bf16" { Precision::Bf16 } else { Precision::F32 };
    backend.check_precision(precision).expect("a processor with this precision");

    let samples = noise(number(samples) as usize, i64::from(number(pixels)));
    let round = Round { lr: 1e-4, gamma: 1.0, bce_weight: 0.5, num_epochs: u32::MAX, batch_size: number(batch) };
    let shape = NetworkShape::new("resnet18", CHANNELS as usize, CLASSES as usize).expect("an encoder");
    let weights = Weights::fresh(shape, 1, Device::Cpu);
    let network = UNet::new(&weights);
    let plan = [round];
    let mut training = Training::new(weights, &samples, &plan, shuffled(1), &Silent).with_precision(precision);
    for line in std::io::stdin().lock().lines() {
        let (wall, cpu) = (Instant::now(), core_seconds());
        match line.expect("a line").as_str() {
            "train" => training.advance().expect("an epoch"),
            "predict" => tch::no_grad(|| {
                for image in 0..4 {
                    let image = samples.images.narrow(0, image, 1);
                    let _ = network.forward(&image, Mode::Batch).sigmoid().double_value(&[0, 0, 0, 0]);
                }
            }),
            other => panic!("`{other}` is neither `train` nor `predict`"),
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{} {}", wall.elapsed().as_secs_f64(), core_seconds() - cpu).expect("standard output");
        out.flush().expect("standard output");
    }
}

/// As many samples to train on as asked for and one to validate on.
fn noise(count: usize, pixels: i64) -> Samples {
    let draw = |planes: i64, name: &str| {
        let size = [count as i64 + 1, planes, pixels, 2 * pixels];
        let numbers = draws::uniform(&mut draws::stream(1, name), size.iter().product::<i64>() as usize, 1.0);
        Tensor::from_slice(&numbers).view(size)
    };
    let pair = |index| Pair { subject: index, target: index };
    Samples {
        images: draw(CHANNELS, "images"),
        targets: draw(CLASSES, "targets").ge(0.5).to_kind(tch::Kind::Float),
        train: (0..count).map(pair).collect(),
        validation: vec![pair(count)],
        seen: Default::default(),
    }
}

/// Processor time of this process so far, all threads together.
fn core_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
