//! Dissimilarities of all pairs of patterns, from features that arrive in blocks.
//!
//! Decides how sums are kept: the squared Euclidean distance of every pair, and mean and sum of squares of every pattern, from which
//! every dissimilarity here follows. Features are gathered into chunks of a fixed number, so that results do not depend on the blocks in
//! which they were given. In a chunk, each feature is centred over the patterns, which changes no distance, and each pattern over the
//! features, whose squared difference of means is put back, so that a product of matrices loses fewer digits; `|x|^2 + |y|^2 - 2 x y` is
//! summed in `f64` over chunks. A pair whose distance in a chunk is small next to its norms is computed there from the differences
//! themselves, in `f64`: identical patterns have the distance 0 exactly, and a distance of 1e-3 between patterns of norm 100 keeps its digits.
//!
//! Trade-off: fewer than [`NARROW_FROM`] patterns, or numbers of 64 bits, are multiplied in `f64` (relative error of a squared distance below
//! 1e-11); more patterns of 32 bits are multiplied in `f32`, twice as fast, with relative errors of some 1e-7 and below 1e-6. Each is divided by
//! a power of two there, so that neither small nor large numbers leave the range of 32 bits, and where many patterns are near each other
//! their products are repeated in `f64`, which is cheaper than their differences.
//! Correlation and cosine are computed from distances, `1 - cos = (|x - y|^2 - (|x| - |y|)^2) / (2 |x| |y|)`, so that they keep their
//! digits for patterns that are nearly alike; `1 - r` from a correlation that is rounded to 1 would be 0.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;

use super::counts::real;
use super::linear_algebra::{MatrixView, Number};
use super::pattern_moments::{PatternMoments, PatternScale, squared_distance, sum_of_squares};
use super::random_rows::{shuffled, single_rows};

/// How many pairs `n` entries make.
pub fn pair_count(n: usize) -> usize {
    n * n.saturating_sub(1) / 2
}

/// Where the pair of entries `i` and `j`, `i < j < n`, is in an upper triangle that lies row after row.
pub fn pair_index(n: usize, i: usize, j: usize) -> usize {
    i * (2 * n - i - 1) / 2 + j - i - 1
}

/// The pairs of `n` entries in the order of an upper triangle that lies row after row.
pub fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
}

/// The permutation of this number (0: entries as they are) of `n` entries. It depends on the seed, the number and `n` alone, so that
/// all RDMs of one run have the same permutations, as a joint null distribution needs.
pub fn entry_permutation(seed: u64, number: usize, n: usize) -> Vec<usize> {
    if number == 0 {
        return (0..n).collect();
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number as u64);
    shuffled(&single_rows(n), &mut random)
}

/// The upper triangle whose pair `i`, `j` is the pair `order[i]`, `order[j]` of another.
///
/// # Panics
/// `order` reaches outside of `n` entries, or the triangle is too short.
pub fn reordered(triangle: &[f64], n: usize, order: &[usize]) -> Vec<f64> {
    let of = |i: usize, j: usize| triangle[pair_index(n, order[i].min(order[j]), order[i].max(order[j]))];
    pairs(order.len()).map(|(i, j)| of(i, j)).collect()
}

/// How different two patterns `x` and `y` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dissimilarity {
    /// 1 minus Pearson's correlation over features. 0 of identical patterns, also of constant ones; NaN if one of two different
    /// patterns is constant.
    Correlation,
    /// The norm of `x - y`.
    Euclidean,
    /// The squared norm of `x - y`; not divided by the number of features.
    SquaredEuclidean,
    /// 1 minus the cosine of the angle. 0 of identical patterns, also of zeros; NaN if one of two different patterns is all zeros.
    Cosine,
}

impl Dissimilarity {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Correlation, Self::Euclidean, Self::SquaredEuclidean, Self::Cosine];

    /// The word in tables and pipeline files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Correlation => "correlation",
            Self::Euclidean => "euclidean",
            Self::SquaredEuclidean => "squared_euclidean",
            Self::Cosine => "cosine",
        }
    }

    /// The dissimilarity of this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.word() == word)
    }
}

/// Dissimilarities of all pairs of some entries, NaN where they are undefined.
#[derive(Clone, Debug, PartialEq)]
pub struct Dissimilarities {
    /// The upper triangle by rows.
    pub triangle: Vec<f64>,
    /// Of every entry with itself.
    pub diagonal: Vec<f64>,
}

/// Features of a chunk.
const CHUNK: usize = 512;
/// From so many patterns on, numbers of 32 bits are multiplied in 32 bits.
pub const NARROW_FROM: usize = 256;
/// Features that one thread averages at a time.
const AVERAGED: usize = 64;

/// Sums over features of `n` patterns, which grow by blocks of features.
#[derive(Clone, Debug)]
pub struct PatternSums {
    patterns: usize,
    /// Features in the sums, without those that are still held.
    features: usize,
    /// Held features, [`CHUNK`] places a pattern; empty when none is.
    chunk: Vec<f64>,
    held: usize,
    /// Some held number came in 64 bits.
    wide: bool,
    moments: Vec<PatternMoments>,
    tiles: Vec<Tile>,
}

impl PatternSums {
    /// Of `n` patterns, without features so far.
    pub fn new(n: usize) -> Self {
        let side = n.div_ceil(6).clamp(32, 192);
        let strips: Vec<Range<usize>> = (0..n).step_by(side).map(|start| start..n.min(start + side)).collect();
        let tiles = strips.iter().enumerate().flat_map(|(at, rows)| {
            strips[at..].iter().map(move |columns| Tile {
                rows: rows.clone(),
                columns: columns.clone(),
                distances: vec![0.0; rows.len() * columns.len()],
            })
        });
        Self {
            patterns: n,
            features: 0,
            chunk: Vec::new(),
            held: 0,
            wide: false,
            moments: vec![PatternMoments::default(); n],
            tiles: tiles.collect(),
        }
    }

    /// Adds a block of features: a row a pattern, a column a feature.
    ///
    /// # Panics
    /// The block has another number of rows than there are patterns.
    pub fn add<T: Number>(&mut self, block: MatrixView<'_, T>) {
        assert_eq!(block.rows(), self.patterns, "a row of the block is a pattern");
        let by_feature = block.transposed();
        let mut first = 0;
        while first < block.columns() {
            let count = (CHUNK - self.held).min(block.columns() - first);
            self.hold(by_feature.part(first..first + count).transposed());
            first += count;
            if self.held == CHUNK {
                self.sum_chunk();
            }
        }
    }

    fn hold<T: Number>(&mut self, block: MatrixView<'_, T>) {
        self.chunk.resize(self.patterns * CHUNK, 0.0);
        let held = self.held;
        self.chunk.par_chunks_exact_mut(CHUNK).enumerate().for_each(|(pattern, row)| {
            for (place, value) in row[held..].iter_mut().zip(block.row(pattern)) {
                *place = value.into();
            }
        });
        self.held += block.columns();
        self.wide |= size_of::<T>() > size_of::<f32>();
    }

    /// Takes the held features into the sums.
    fn sum_chunk(&mut self) {
        match self.wide || self.patterns < NARROW_FROM {
            true => self.sum_chunk_in::<f64>(),
            false => self.sum_chunk_in::<f32>(),
        }
        self.features += self.held;
        self.held = 0;
        self.wide = false;
    }

    fn sum_chunk_in<T: Multiplied>(&mut self) {
        let (held, before) = (self.held, self.features);
        let means = self.feature_means();
        let mean_of_all = means.iter().sum::<f64>() / real(held);
        let mut centred = vec![T::zero_impl(); self.patterns * held];
        let mut scales = vec![ChunkScale::default(); self.patterns];
        self.chunk
            .par_chunks_exact(CHUNK)
            .zip(centred.par_chunks_exact_mut(held))
            .zip(self.moments.par_iter_mut())
            .zip(scales.par_iter_mut())
            .for_each(|(((row, centred), moments), scale)| {
                let row = &row[..held];
                let level = moments.add(row, before) - mean_of_all;
                let about = || row.iter().zip(&means).map(move |(value, mean)| value - mean - level);
                let size = T::size(about());
                let scale_of = 1.0 / size;
                centred.iter_mut().zip(about()).for_each(|(place, value)| *place = T::of(value * scale_of));
                *scale = ChunkScale { level, size, norm: sum_of_squares(centred) * size * size };
            });
        let chunk =
            CentredChunk { values: &self.chunk, means: &means, centred: &centred, scales: &scales, features: held };
        self.tiles.par_iter_mut().for_each(|tile| tile.add(&chunk));
    }

    /// The mean of every held feature over patterns; 0 where it is not finite, so that one pattern does not spoil the others.
    fn feature_means(&self) -> Vec<f64> {
        let mut means = vec![0.0; self.held];
        means.par_chunks_mut(AVERAGED).enumerate().for_each(|(part, means)| {
            for row in self.chunk.chunks_exact(CHUNK) {
                means.iter_mut().zip(&row[part * AVERAGED..]).for_each(|(sum, value)| *sum += value);
            }
            for mean in means {
                *mean /= real(self.patterns);
                if !mean.is_finite() {
                    *mean = 0.0;
                }
            }
        });
        means
    }

    /// How many features were added.
    pub fn features(&self) -> usize {
        self.features + self.held
    }

    /// The dissimilarities of all pairs over the features so far. A pattern with a number that is not finite has NaN with every
    /// pattern, itself included, and so has every pattern if there is no feature. More features may be added afterwards.
    pub fn dissimilarities(&mut self, of: Dissimilarity) -> Dissimilarities {
        if self.held > 0 {
            self.sum_chunk();
            self.chunk = Vec::new();
        }
        let (n, features) = (self.patterns, real(self.features));
        let scales: Vec<PatternScale> = self.moments.iter().map(|moments| moments.scale(features)).collect();
        let mut triangle = vec![f64::NAN; pair_count(n)];
        for tile in &self.tiles {
            for (column, sums) in tile.columns.clone().zip(tile.distances.chunks_exact(tile.rows.len())) {
                for (row, squared) in tile.rows_above(column).zip(sums) {
                    let pair = PairSums { squared: *squared, features, x: scales[row], y: scales[column] };
                    triangle[pair_index(n, row, column)] = pair.dissimilarity(of);
                }
            }
        }
        let itself = |scale: &PatternScale| if scale.defined { 0.0 } else { f64::NAN };
        Dissimilarities { triangle, diagonal: scales.iter().map(itself).collect() }
    }
}

/// A type that patterns are multiplied in.
trait Multiplied: Number {
    /// A squared distance of at most this share of the two squared norms is computed from differences: the product has
    /// lost so many digits that the error would show.
    const CLOSE: f64;
    /// A tile with many such pairs is multiplied again in 64 bits.
    const AGAIN: bool;

    /// The number that patterns are divided by, so that their products are in the range of the type.
    fn size(numbers: impl Iterator<Item = f64>) -> f64;

    /// Rounded to the nearest.
    fn of(number: f64) -> Self;
}

impl Multiplied for f32 {
    /// The product of 512 numbers is exact to about 5e-7 of the squared norms.
    const CLOSE: f64 = 0.6;
    const AGAIN: bool = true;

    /// A power of two, which costs no digit: the largest number becomes one between 1 and 2.
    fn size(numbers: impl Iterator<Item = f64>) -> f64 {
        let largest = numbers.fold(0.0, |most: f64, number| most.max(number.abs()));
        match largest > 0.0 && largest.is_finite() {
            true => libm::ldexp(1.0, libm::ilogb(largest).clamp(-MOST_SHIFT, MOST_SHIFT)),
            false => 1.0,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounded to the nearest, as documented")]
    fn of(number: f64) -> Self {
        number as f32
    }
}

impl Multiplied for f64 {
    const CLOSE: f64 = 1e-4;
    const AGAIN: bool = false;

    fn size(_: impl Iterator<Item = f64>) -> f64 {
        1.0
    }

    fn of(number: f64) -> Self {
        number
    }
}

/// Powers of two up to which squares of sizes are numbers too.
const MOST_SHIFT: i32 = 500;
/// One pair in so many that is close makes a product in 64 bits cheaper than their differences.
const MANY: usize = 4;

/// What was taken off and divided out of the features of one pattern.
#[derive(Clone, Copy, Debug, Default)]
struct ChunkScale {
    /// The mean of the pattern less that of all, which was taken off.
    level: f64,
    /// What the rest was divided by.
    size: f64,
    /// The squared norm of the rest, before it was divided.
    norm: f64,
}

/// Features of all patterns that are summed together.
struct CentredChunk<'a, T> {
    /// As they are, [`CHUNK`] places a pattern.
    values: &'a [f64],
    /// The mean of every feature over patterns.
    means: &'a [f64],
    /// Centred over patterns and over features and divided, pattern after pattern.
    centred: &'a [T],
    scales: &'a [ChunkScale],
    features: usize,
}

impl<T: Multiplied> CentredChunk<'_, T> {
    fn patterns(&self, range: &Range<usize>) -> MatRef<'_, T> {
        let part = &self.centred[range.start * self.features..range.end * self.features];
        MatRef::from_row_major_slice(part, range.len(), self.features)
    }

    fn values(&self, pattern: usize) -> &[f64] {
        &self.values[pattern * CHUNK..pattern * CHUNK + self.features]
    }

    /// Some patterns centred in 64 bits, not divided, pattern after pattern.
    fn centred_again(&self, range: &Range<usize>) -> Vec<f64> {
        let about = |pattern: usize| {
            let level = self.scales[pattern].level;
            self.values(pattern).iter().zip(self.means).map(move |(value, mean)| value - mean - level)
        };
        range.clone().flat_map(about).collect()
    }

    /// What is known of some patterns when they are centred so.
    fn scales_again(&self, range: &Range<usize>, centred: &[f64]) -> Vec<ChunkScale> {
        let scale = |(pattern, centred): (usize, &[f64])| ChunkScale {
            size: 1.0,
            norm: sum_of_squares(centred),
            ..self.scales[pattern]
        };
        range.clone().zip(centred.chunks_exact(self.features)).map(scale).collect()
    }
}

/// Some patterns by some patterns that do not come before them.
#[derive(Clone, Debug)]
struct Tile {
    rows: Range<usize>,
    columns: Range<usize>,
    /// Squared distances, column after column; only those of rows before the column are used.
    distances: Vec<f64>,
}

impl Tile {
    /// The rows that come before a column.
    fn rows_above(&self, column: usize) -> Range<usize> {
        self.rows.start..self.rows.end.min(column)
    }

    fn add<T: Multiplied>(&mut self, chunk: &CentredChunk<'_, T>) {
        let products = products(chunk.patterns(&self.rows), chunk.patterns(&self.columns));
        let scales = [&chunk.scales[self.rows.clone()], &chunk.scales[self.columns.clone()]];
        if !T::AGAIN || !self.has_many_close(&products, scales) {
            return self.take(&products, scales, chunk);
        }
        let (rows, columns) = (chunk.centred_again(&self.rows), chunk.centred_again(&self.columns));
        let products = self::products(one_a_row(&rows, chunk.features), one_a_row(&columns, chunk.features));
        let of_rows = chunk.scales_again(&self.rows, &rows);
        let of_columns = chunk.scales_again(&self.columns, &columns);
        self.take(&products, [&of_rows, &of_columns], chunk);
    }

    fn has_many_close<T: Multiplied>(&self, products: &[T], [rows, columns]: [&[ChunkScale]; 2]) -> bool {
        let (mut close, mut pairs) = (0, 0);
        for ((column, products), own) in self.columns.clone().zip(products.chunks_exact(rows.len())).zip(columns) {
            let above = self.rows_above(column).len();
            let of_pairs = products[..above].iter().zip(rows);
            close += of_pairs
                .filter(|(product, row)| squared(**product, row, own) <= T::CLOSE * (row.norm + own.norm))
                .count();
            pairs += above;
        }
        close * MANY > pairs
    }

    /// Adds the squared distances that follow from products.
    fn take<T: Multiplied, U: Multiplied>(
        &mut self,
        products: &[T],
        [rows, columns]: [&[ChunkScale]; 2],
        chunk: &CentredChunk<'_, U>,
    ) {
        let (height, features) = (self.rows.len(), real(chunk.features));
        for ((at, products), own) in products.chunks_exact(height).enumerate().zip(columns) {
            let column = self.columns.start + at;
            let above = self.rows_above(column);
            let sums = &mut self.distances[at * height..][..above.len()];
            for (((sum, product), scale), row) in sums.iter_mut().zip(products).zip(rows).zip(above) {
                let both = scale.norm + own.norm;
                let squared = squared(*product, scale, own);
                let offset = scale.level - own.level;
                // Features that are 0 in both need no second look.
                *sum += match squared <= T::CLOSE * both && (both > 0.0 || offset != 0.0) {
                    true => squared_distance(chunk.values(row), chunk.values(column)),
                    false => squared + features * offset * offset,
                };
            }
        }
    }
}

/// Patterns that lie one after the other.
fn one_a_row(patterns: &[f64], features: usize) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(patterns, patterns.len() / features, features)
}

/// The products of some patterns with others, column after column.
fn products<T: Multiplied>(rows: MatRef<'_, T>, columns: MatRef<'_, T>) -> Vec<T> {
    let mut products = vec![T::zero_impl(); rows.nrows() * columns.nrows()];
    let to = MatMut::from_column_major_slice_mut(&mut products, rows.nrows(), columns.nrows());
    matmul(to, Accum::Replace, rows, columns.transpose(), T::ONE, Par::Seq);
    products
}

/// The squared distance of two centred patterns, from the product of what they are when divided.
fn squared<T: Multiplied>(product: T, one: &ChunkScale, other: &ChunkScale) -> f64 {
    let product: f64 = product.into();
    one.norm + other.norm - 2.0 * (product * one.size * other.size)
}

/// What is known of two patterns.
struct PairSums {
    /// Their squared distance.
    squared: f64,
    features: f64,
    x: PatternScale,
    y: PatternScale,
}

impl PairSums {
    fn dissimilarity(&self, of: Dissimilarity) -> f64 {
        let Self { squared, features, x, y } = self;
        if !x.defined || !y.defined {
            return f64::NAN;
        }
        if *squared == 0.0 {
            return 0.0;
        }
        match of {
            Dissimilarity::SquaredEuclidean => *squared,
            Dissimilarity::Euclidean => squared.sqrt(),
            Dissimilarity::Cosine => one_minus_cosine(*squared, x.norm, y.norm),
            Dissimilarity::Correlation => {
                let offset = x.mean - y.mean;
                one_minus_cosine(squared - features * offset * offset, x.spread, y.spread)
            }
        }
    }
}

/// From the squared distance of two vectors and their norms; NaN if one of these is 0.
fn one_minus_cosine(squared: f64, x: f64, y: f64) -> f64 {
    if x == 0.0 || y == 0.0 {
        return f64::NAN;
    }
    let difference = x - y;
    ((squared - difference * difference) / (2.0 * x * y)).clamp(0.0, 2.0)
}
