//! Random numbers of a training: initial weights and the order of samples.
//!
//! Every use has a stream of its own, named by what it is for, of a generator that gives the same numbers on every machine. Nothing
//! is shared between streams, so a resumed training needs no generator state, and one more tensor changes no other.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// The stream of a seed for one purpose.
pub fn stream(seed: u64, purpose: &str) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(fnv1a(purpose));
    generator
}

/// FNV-1a, 64 bits.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `count` numbers, uniform in (-bound, bound).
pub fn uniform(generator: &mut ChaCha8Rng, count: usize, bound: f64) -> Vec<f32> {
    (0..count).map(|_| ((unit(generator.next_u32()) * 2.0 - 1.0) * bound) as f32).collect()
}

/// `count` numbers, normal with mean 0 (Box and Muller's transform, two at a time).
pub fn normal(generator: &mut ChaCha8Rng, count: usize, deviation: f64) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(count + 1);
    while numbers.len() < count {
        let bits = generator.next_u64();
        let radius = deviation * (-2.0 * libm::log(unit((bits >> 32) as u32))).sqrt();
        let (sine, cosine) = libm::sincos(std::f64::consts::TAU * unit(bits as u32));
        numbers.push((radius * cosine) as f32);
        numbers.push((radius * sine) as f32);
    }
    numbers.truncate(count);
    numbers
}

/// The middle of one of 2^32 equal parts of (0, 1).
fn unit(bits: u32) -> f64 {
    (f64::from(bits) + 0.5) / 4_294_967_296.0
}

/// The numbers below `count`, shuffled (Fisher and Yates).
pub fn order(generator: &mut ChaCha8Rng, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, below(generator, last as u64 + 1) as usize);
    }
    order
}

/// Uniform below `end`, without the bias of a plain remainder.
fn below(generator: &mut ChaCha8Rng, end: u64) -> u64 {
    let fair = u64::MAX - u64::MAX % end;
    loop {
        let bits = generator.next_u64();
        if bits < fair {
            return bits % end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(numbers: &[f32]) -> (f64, f64) {
        let count = numbers.len() as f64;
        let mean = numbers.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let variance = numbers.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
        (mean, variance)
    }

    #[test]
    fn moments_are_right() {
        let (mean, variance) = moments(&normal(&mut stream(1, "a"), 100_001, 2.0));
        assert!(mean.abs() < 0.02 && (variance - 4.0).abs() < 0.05, "{mean} {variance}");
        let numbers = uniform(&mut stream(1, "a"), 100_000, 3.0);
        let (mean, variance) = moments(&numbers);
        assert!(mean.abs() < 0.02 && (variance - 3.0).abs() < 0.05, "{mean} {variance}");
        assert!(numbers.iter().all(|x| x.abs() <= 3.0));
    }

    #[test]
    fn orders_are_permutations_and_streams_differ() {
        let first = order(&mut stream(7, "train 0"), 50);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        assert_eq!(first, order(&mut stream(7, "train 0"), 50));
        assert_ne!(first, order(&mut stream(7, "train 1"), 50));
        assert_ne!(first, order(&mut stream(8, "train 0"), 50));
    }
}
