//! NumPy's legacy random numbers (`numpy.random.seed`, `numpy.random.shuffle`), bit for bit: MT19937, whose state a seed fills by
//! Knuth's multiplicative rule, and numbers below a bound by masked rejection.
//!
//! For splits that others drew with NumPy and that have to come out the same. What we draw ourselves has a stage's seed and `ChaCha8`.

/// Words of the state.
const WORDS: usize = 624;
/// How far apart the words are that a new one is made of.
const SHIFT: usize = 397;

/// A generator.
#[derive(Clone, Debug)]
pub struct LegacyRandom {
    state: [u32; WORDS],
    next: usize,
}

impl LegacyRandom {
    /// As after `numpy.random.seed(seed)`.
    pub fn seeded(seed: u32) -> Self {
        let mut state = [seed; WORDS];
        for at in 1..WORDS {
            let before = state[at - 1];
            let place = u32::try_from(at).expect("the state has 624 words");
            state[at] = (before ^ before >> 30).wrapping_mul(1_812_433_253).wrapping_add(place);
        }
        Self { state, next: WORDS }
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == WORDS {
            self.renew();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    fn renew(&mut self) {
        for at in 0..WORDS {
            let joined = self.state[at] & 0x8000_0000 | self.state[(at + 1) % WORDS] & 0x7fff_ffff;
            let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + SHIFT) % WORDS] ^ joined >> 1 ^ twist;
        }
        self.next = 0;
    }

    /// A whole number from 0 to `most`, both included.
    pub fn up_to(&mut self, most: u32) -> u32 {
        if most == 0 {
            return 0;
        }
        let mask = u32::MAX >> most.leading_zeros();
        loop {
            let sampled = self.next_u32() & mask;
            if sampled <= most {
                return sampled;
            }
        }
    }

    /// Puts a list into a random order, as `numpy.random.shuffle` does with an array of one axis.
    ///
    /// # Panics
    /// The list has more than 2^32 elements.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let most = u32::try_from(last).expect("at most 2^32 elements");
            list.swap(last, self.up_to(most) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The numbers of these tests are NumPy's, by `tests/fidelity/encoding/make_data_goldens.py`.

    #[test]
    fn words_are_those_of_numpy() {
        for (seed, first, word_1500) in [
            (0, [2_357_136_044, 2_546_248_239, 3_071_714_933], 3_447_536_480),
            (171_301, [4_252_207_970, 1_936_497_708, 3_155_592_118], 2_034_680_981),
            (u32::MAX, [419_326_371, 479_346_978, 3_918_654_476], 3_191_189_008),
        ] {
            let mut random = LegacyRandom::seeded(seed);
            assert_eq!([(); 3].map(|()| random.next_u32()), first, "seed {seed}");
            assert_eq!((3..1500).map(|_| random.next_u32()).last(), Some(word_1500), "seed {seed}");
        }
    }

    #[test]
    fn lists_are_shuffled_as_numpy_does() {
        let shuffled = |seed, count: usize| {
            let mut list: Vec<usize> = (0..count).collect();
            LegacyRandom::seeded(seed).shuffle(&mut list);
            list
        };
        assert_eq!(shuffled(171_301, 12), [9, 3, 5, 7, 11, 1, 4, 0, 10, 8, 6, 2]);
        let long = shuffled(42_102, 9000);
        assert_eq!(long[..6], [1677, 2838, 4881, 7592, 1966, 1842]);
        assert_eq!(long[8994..], [3818, 4322, 6658, 3358, 8749, 354]);
        assert_eq!((shuffled(1, 0), shuffled(1, 1)), (Vec::new(), vec![0]));
    }
}
