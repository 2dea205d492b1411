//! Random numbers that are the same on every machine: ChaCha for the bits, and only exactly specified operations or
//! the portable `libm` behind them. A quantity draws from a stream of its own, so that adding one leaves the
//! others as they were.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
pub struct Stream {
    bits: ChaCha12Rng,
    spare: Option<f64>,
}

impl Stream {
    /// The stream of a name under a seed. Names are at most 24 bytes long.
    pub fn new(seed: u64, name: &str) -> Self {
        debug_assert!(name.len() <= 24, "the name `{name}` does not fit the key");
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        for (slot, byte) in key[8..].iter_mut().zip(name.bytes()) {
            *slot = byte;
        }
        Self { bits: ChaCha12Rng::from_seed(key), spare: None }
    }

    /// Uniform in [0, 1), on a grid of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.bits.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Normal with mean 0 and variance 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // 1 - u is in (0, 1], so its logarithm is finite.
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        let angle = std::f64::consts::TAU * self.uniform();
        self.spare = Some(radius * libm::sin(angle));
        radius * libm::cos(angle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_reproducible_and_apart() {
        let draw = |seed, name| {
            let mut stream = Stream::new(seed, name);
            (0..4).map(|_| stream.normal()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, "lh warp"), draw(1, "lh warp"));
        assert_ne!(draw(1, "lh warp"), draw(1, "rh warp"));
        assert_ne!(draw(1, "lh warp"), draw(2, "lh warp"));
    }

    #[test]
    fn normal_numbers_have_the_moments_they_should() {
        let mut stream = Stream::new(7, "moments");
        let numbers: Vec<f64> = (0..20_000).map(|_| stream.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
    }
}
