//! How much processor time a training step takes (other programs on the machine do not count): `cargo test -p pipe-torch --test suite step_time -- --ignored --nocapture`.

use rustix::time::{ClockId, clock_gettime};

use pipe_torch::adam::Adam;
use pipe_torch::loss::losses;
use pipe_torch::unet::{Mode, UNet};
use pipe_torch::weights::{NetworkShape, Weights};

use crate::support::{device, targets, tensor};

/// Samples in a batch: the demo's and the published code's.
const BATCHES: [i64; 3] = [1, 2, 5];

/// Processor time of this process so far, all threads together.
fn core_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

#[test]
#[ignore = "a measurement, not a check"]
#[expect(clippy::print_stdout, reason = "a measurement")]
fn seconds_per_sample_step() {
    let weights = Weights::fresh(NetworkShape::new("resnet18", 7, 3).unwrap(), 1, device());
    let network = UNet::new(&weights);
    for (batch, pixels) in BATCHES.into_iter().flat_map(|batch| [32, 48, 56, 64, 128].map(|pixels| (batch, pixels))) {
        let image = tensor("image", &[batch, 7, pixels, 2 * pixels], 4.0);
        let gold = targets("gold", &[batch, 3, pixels, 2 * pixels]);
        let mut adam = Adam::new(weights.trained().into_iter().map(|(_, tensor)| tensor).collect());
        let mut best = [f64::INFINITY; 3];
        for _ in 0..5 {
            let begun = core_seconds();
            adam.forget_gradients();
            losses(&network.forward(&image, Mode::Train), &gold, 0.5).total.backward();
            let learned = core_seconds() - begun;
            adam.step(1e-4).unwrap();
            let stepped = core_seconds() - begun;
            tch::no_grad(|| network.forward(&image, Mode::Running)).sum(tch::Kind::Float).double_value(&[]);
            let shown = core_seconds() - begun;
            let now = [learned, stepped - learned, shown - stepped];
            best.iter_mut().zip(now).for_each(|(best, now)| *best = best.min(now));
        }
        let each = batch as f64;
        println!(
            "batch {batch}, {pixels:3} x {:3}: gradients {:.3} s, Adam {:.3} s, together {:.3} s a sample-step; validation {:.3} s a sample",
            2 * pixels,
            best[0] / each,
            best[1] / each,
            (best[0] + best[1]) / each,
            best[2] / each
        );
    }
}
