//! A training with 16 bits learns as one with 32 does, and processors that would have to imitate 16 bits are refused.

use pipe_contract::{Blame, Silent};
use pipe_stages::unet::declarations::{self, ComputePlace, Pin, Precision};
use pipe_stages::unet::training_schedule::Round;
use pipe_torch::backend::prepare;
use pipe_torch::samples::{Pair, Samples};
use pipe_torch::training::{Training, shuffled};
use pipe_torch::weights::{NetworkShape, Weights};
use tch::{Kind, Tensor};

use crate::support::{device, task};

/// Waves of which the targets are the crests.
fn samples(count: i64) -> Samples {
    let (kind, pixels) = ((Kind::Float, device()), 32);
    let line = |count: i64| Tensor::arange(count, kind);
    let (rows, columns) = (line(pixels).view([1, 1, -1, 1]), line(2 * pixels).view([1, 1, 1, -1]));
    let phase = line(count * 3).view([count, 3, 1, 1]);
    let images = (rows / 6.0 + &phase * 1.7).sin() + (columns / 7.0 + phase * 0.9).cos();
    let targets = images.gt(0.5).to_kind(Kind::Float);
    let pair = |index| Pair { subject: index, target: index };
    let count = count as usize;
    Samples {
        images,
        targets,
        train: (2..count).map(pair).collect(),
        validation: (0..2).map(pair).collect(),
        seen: Default::default(),
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the curves of the book's chapter on costs")]
fn the_loss_falls_with_sixteen_bits_as_with_thirty_two() {
    let samples = samples(8);
    let plan = [Round { lr: 0.001, gamma: 0.9, bce_weight: 0.5, num_epochs: 6, batch_size: 3 }];
    let curve = |precision| {
        let weights = Weights::fresh(NetworkShape::new("resnet18", 3, 3).unwrap(), 5, device());
        let mut training = Training::new(weights, &samples, &plan, shuffled(5), &Silent).with_precision(precision);
        while !training.is_done() {
            training.advance().unwrap();
        }
        training.state.rows.iter().map(|row| (row.train.loss, row.validation.loss)).collect::<Vec<_>>()
    };
    let (full, half) = (curve(Precision::F32), curve(Precision::Bf16));
    println!("f32 {full:.4?}\nbf16 {half:.4?}");
    assert_ne!(full, half);
    for (epoch, (full, half)) in full.iter().zip(&half).enumerate() {
        let off = (full.0 - half.0).abs() / full.0;
        assert!(off < 0.05, "epoch {epoch}: training loss {} with 32 bits, {} with 16", full.0, half.0);
    }
    assert!(half[5].0 < 0.6 * half[0].0, "it does not learn: {half:?}");
}

#[test]
fn a_processor_without_sixteen_bits_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let task = task(&declarations::train(), folder.path(), &[]);
    let backend = prepare(&ComputePlace { threads: 1, device: Pin::Cpu }, &task).unwrap();
    assert!(backend.check_precision(Precision::F32).is_ok());
    let flags = fs_err::read_to_string("/proc/cpuinfo").unwrap();
    match backend.check_precision(Precision::Bf16) {
        Ok(()) => assert!(flags.contains("avx512_bf16")),
        Err(failure) => {
            assert!(!flags.contains("avx512_bf16"));
            assert_eq!(failure.blame, Blame::Environment);
            assert!(failure.hint.unwrap().contains("`precision: f32`"));
        }
    }
}
