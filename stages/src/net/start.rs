//! The weights of a seed.
//!
//! The distributions are those of the programs that published each network ([`StartRule`]), so that an untrained network here is one draw
//! of what `weights=None` gives there. The numbers themselves are not PyTorch's: they come from ChaCha with a stream for each tensor,
//! named by the tensor, so that they are the same on every machine, for any number of threads, and one more tensor changes no other.
//! Independent of libtorch and of how a network computes.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::architecture::{Architecture, StartRule};
use super::state_dict::{StateEntry, TensorRole, state_dict};
use crate::formats::tensors::{Tensor, TensorValues, Tensors};

/// What the numbers of a fresh tensor are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum StartValues {
    /// Uniform in (-bound, bound).
    Uniform(f64),
    /// Normal with the mean 0 and this standard deviation.
    Normal(f64),
    /// One number everywhere.
    Constant(f32),
}

/// The distribution of a tensor.
fn distribution(rule: StartRule, role: TensorRole) -> StartValues {
    use StartValues::{Constant, Normal, Uniform};
    let by_inputs = |fan_in: usize| Uniform(1.0 / (fan_in as f64).sqrt());
    match (role, rule) {
        (TensorRole::Kernel { fan_in, .. }, StartRule::Uniform) => by_inputs(fan_in),
        (TensorRole::Kernel { fan_out, .. }, StartRule::Vgg | StartRule::KaimingByOutputs) => {
            Normal((2.0 / fan_out as f64).sqrt())
        }
        (TensorRole::Kernel { .. }, StartRule::Googlenet) => Normal(0.01),
        (TensorRole::Matrix { .. }, StartRule::Vgg | StartRule::Googlenet) => Normal(0.01),
        (TensorRole::Matrix { fan_in }, StartRule::Uniform | StartRule::KaimingByOutputs) => by_inputs(fan_in),
        (TensorRole::Bias { .. }, StartRule::Vgg | StartRule::Googlenet) => Constant(0.0),
        (TensorRole::Bias { fan_in }, StartRule::Uniform | StartRule::KaimingByOutputs) => by_inputs(fan_in),
        (TensorRole::Scale | TensorRole::Variance, _) => Constant(1.0),
        (TensorRole::Offset | TensorRole::Mean | TensorRole::Batches, _) => Constant(0.0),
    }
}

/// All tensors of a fresh network, by the names of its state dict: the same for the same seed, on every machine.
pub fn fresh_weights(architecture: &Architecture, seed: u64) -> Tensors {
    let entries = state_dict(architecture);
    let tensors = entries.iter().map(|entry| (entry.name.clone(), fresh(entry, architecture.start, seed)));
    Tensors { tensors: tensors.collect(), metadata: Default::default() }
}

/// One tensor of a fresh network.
pub fn fresh(entry: &StateEntry, rule: StartRule, seed: u64) -> Tensor {
    let count = entry.count();
    let values = match (entry.role, distribution(rule, entry.role)) {
        (TensorRole::Batches, _) => TensorValues::I64(vec![0; count]),
        (_, StartValues::Constant(value)) => TensorValues::F32(vec![value; count]),
        (_, StartValues::Uniform(bound)) => {
            TensorValues::F32(sampled(seed, &entry.name, count, &|generator: &mut ChaCha8Rng, part: &mut [f32]| {
                uniform(generator, part, bound)
            }))
        }
        (_, StartValues::Normal(deviation)) => {
            TensorValues::F32(sampled(seed, &entry.name, count, &|generator: &mut ChaCha8Rng, part: &mut [f32]| {
                normal(generator, part, deviation)
            }))
        }
    };
    Tensor { shape: entry.shape.clone(), values }
}

/// Numbers that a thread samples at a time. Even, because normal ones come in pairs; part of the result only in that.
const PART: usize = 1 << 16;

/// `count` numbers of a tensor's stream, of which each takes one word of 32 bits, so that every part begins at a word that is known.
fn sampled(seed: u64, name: &str, count: usize, fill: &(impl Fn(&mut ChaCha8Rng, &mut [f32]) + Sync)) -> Vec<f32> {
    let mut numbers = vec![0.0; count];
    numbers.par_chunks_mut(PART).enumerate().for_each(|(index, part)| {
        let mut generator = stream(seed, name);
        generator.set_word_pos((index * PART) as u128);
        fill(&mut generator, part);
    });
    numbers
}

/// The stream of a seed for one tensor; its number is the FNV-1a hash of the name, 64 bits.
fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(name.bytes().fold(0xcbf2_9ce4_8422_2325, hash));
    generator
}

/// Numbers between -bound and bound.
fn uniform(generator: &mut ChaCha8Rng, part: &mut [f32], bound: f64) {
    part.iter_mut().for_each(|value| *value = ((unit(generator.next_u32()) * 2.0 - 1.0) * bound) as f32);
}

/// Box and Muller's transform, two numbers at a time; the second of the last pair may not be needed.
fn normal(generator: &mut ChaCha8Rng, part: &mut [f32], deviation: f64) {
    for pair in part.chunks_mut(2) {
        let (first, second) = (unit(generator.next_u32()), unit(generator.next_u32()));
        let radius = deviation * (-2.0 * libm::log(first)).sqrt();
        let (sine, cosine) = libm::sincos(std::f64::consts::TAU * second);
        pair[0] = (radius * cosine) as f32;
        if let [_, other] = pair {
            *other = (radius * sine) as f32;
        }
    }
}

/// The middle of one of 2^32 equal parts of (0, 1).
fn unit(bits: u32) -> f64 {
    (f64::from(bits) + 0.5) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::shipped_architectures::named;
    use crate::test_support::rsa_goldens::{assert_all_close, rsa_golden};

    fn values<'a>(weights: &'a Tensors, name: &str) -> &'a [f32] {
        weights.floats(name).unwrap().1
    }

    fn moments(numbers: &[f32]) -> (f64, f64) {
        let count = numbers.len() as f64;
        let mean = numbers.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        (mean, (numbers.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count).sqrt())
    }

    fn entry(name: &str, tensor: &str) -> (StateEntry, StartRule) {
        let architecture = named(name, 1000).unwrap();
        let found = state_dict(&architecture).into_iter().find(|entry| entry.name == tensor);
        (found.unwrap(), architecture.start)
    }

    fn sample(network: &str, tensor: &str, seed: u64) -> Vec<f32> {
        let (entry, rule) = entry(network, tensor);
        match fresh(&entry, rule, seed).values {
            TensorValues::F32(values) => values,
            TensorValues::I64(_) => panic!("{tensor} has whole numbers"),
        }
    }

    /// Standard deviations of torchvision's and CORnet's constructors: 1 / sqrt(3 fan in) of a uniform one, sqrt(2 / fan out) of He's.
    #[test]
    fn distributions_are_those_of_the_published_programs() {
        for (network, tensor, expected) in [
            ("alexnet", "features.3.weight", 1.0 / (3.0 * 64.0 * 25.0_f64).sqrt()),
            ("vgg19", "features.5.weight", (2.0 / (128.0 * 9.0_f64)).sqrt()),
            ("vgg19", "classifier.6.weight", 0.01),
            ("resnet18", "layer3.1.conv1.weight", (2.0 / (256.0 * 9.0_f64)).sqrt()),
            ("resnet18", "fc.weight", 1.0 / (3.0 * 512.0_f64).sqrt()),
            ("googlenet", "fc.weight", 0.01),
            ("googlenet", "conv3.conv.weight", 0.01),
            ("cornet_s", "V2.conv3.weight", (2.0 / 128.0_f64).sqrt()),
        ] {
            let (mean, deviation) = moments(&sample(network, tensor, 3));
            assert!(mean.abs() < expected / 50.0, "{network} {tensor}: {mean}");
            assert!((deviation / expected - 1.0).abs() < 0.02, "{network} {tensor}: {deviation}, not {expected}");
        }
        assert!(sample("alexnet", "features.0.bias", 3).iter().all(|x| f64::from(x.abs()) <= 1.0 / 363.0_f64.sqrt()));
        assert!(
            sample("googlenet", "fc.bias", 3).iter().chain(&sample("vgg19", "features.0.bias", 3)).all(|x| *x == 0.0)
        );
        assert!(sample("resnet50", "bn1.running_var", 3).iter().all(|x| *x == 1.0));
        assert!(sample("resnet50", "fc.bias", 3).iter().any(|x| *x != 0.0));
    }

    #[test]
    fn weights_depend_on_seed_and_name_and_not_on_what_else_is_sampled() {
        let small = named("small", 10).unwrap();
        let (one, again) = (fresh_weights(&small, 1), fresh_weights(&small, 1));
        assert_eq!(one, again);
        assert_eq!(values(&one, "classifier.0.weight"), sample("small", "classifier.0.weight", 1));
        assert_ne!(values(&one, "features.0.weight"), values(&fresh_weights(&small, 2), "features.0.weight"));
        assert_ne!(stream(1, "features.0.weight").next_u64(), stream(1, "features.0.bias").next_u64());
        // Another number of classes changes no tensor of the same shape.
        let other = fresh_weights(&named("small", 4).unwrap(), 1);
        assert_eq!(values(&one, "classifier.0.weight"), values(&other, "classifier.0.weight"));
    }

    /// The parts that threads sample join to the one stream of the tensor.
    #[test]
    fn parts_are_those_of_one_stream() {
        let count = 2 * PART + 3;
        let fill = |generator: &mut ChaCha8Rng, part: &mut [f32]| normal(generator, part, 1.0);
        let parts = sampled(5, "a", count, &fill);
        let mut whole = vec![0.0; count];
        normal(&mut stream(5, "a"), &mut whole, 1.0);
        assert_eq!(parts, whole);
    }

    #[derive(serde::Deserialize)]
    struct TensorGolden {
        name: String,
        distribution: String,
        size: f64,
        numbers: Vec<f64>,
    }

    #[derive(serde::Deserialize)]
    struct WeightGoldens {
        seed: u64,
        tensors: Vec<TensorGolden>,
        last_of_200003_normal: Vec<f64>,
    }

    /// The rule of this file, written anew in NumPy (`tests/fidelity/rsa/weights.py`).
    #[test]
    fn numbers_are_those_of_the_rule_in_numpy() {
        let golden: WeightGoldens = rsa_golden("weights.json");
        let of_normal = |name: &str, count, size| {
            sampled(golden.seed, name, count, &|generator: &mut ChaCha8Rng, part: &mut [f32]| {
                normal(generator, part, size)
            })
        };
        let close = |found: &[f32], expected: &[f64], what: &str| {
            let found: Vec<f64> = found.iter().map(|number| f64::from(*number)).collect();
            assert_all_close(&found, expected, 1e-7, what);
        };
        for TensorGolden { name, distribution, size, numbers } in &golden.tensors {
            let found = match distribution.as_str() {
                "normal" => of_normal(name, numbers.len(), *size),
                _ => sampled(golden.seed, name, numbers.len(), &|generator: &mut ChaCha8Rng, part: &mut [f32]| {
                    uniform(generator, part, *size)
                }),
            };
            close(&found, numbers, name);
        }
        let far = of_normal("classifier.1.weight", 200_003, 1.0);
        close(
            &far[far.len() - golden.last_of_200003_normal.len()..],
            &golden.last_of_200003_normal,
            "behind the first part",
        );
    }
}
