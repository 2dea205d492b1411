//! Dissimilarities against their definitions, in all layouts, sizes and types of numbers.

use super::dissimilarity::{
    Dissimilarities, Dissimilarity, PatternSums, entry_permutation, pair_count, pair_index, pairs, reordered,
};
use super::linear_algebra::{MatrixView, Number};

/// Numbers between -0.5 and 0.5 that look irregular.
fn numbers(count: usize, step: f64) -> Vec<f64> {
    (0..count).map(|i| ((i as f64 + 1.0) * step).sin() * 43_758.5).map(|x| x - x.floor() - 0.5).collect()
}

/// The dissimilarities of patterns that lie one after the other.
fn of_patterns<T: Number>(patterns: &[T], n: usize, of: Dissimilarity) -> Dissimilarities {
    let mut sums = PatternSums::new(n);
    sums.add(MatrixView::new(patterns, patterns.len() / n, n).transposed());
    sums.dissimilarities(of)
}

fn by_hand(x: &[f64], y: &[f64], of: Dissimilarity) -> f64 {
    let about = |x: &[f64], centre: bool| -> Vec<f64> {
        let mean = if centre { x.iter().sum::<f64>() / x.len() as f64 } else { 0.0 };
        x.iter().map(|value| value - mean).collect()
    };
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let angle = |centre| {
        let (x, y) = (about(x, centre), about(y, centre));
        1.0 - dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt()
    };
    let squared = || x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>();
    match of {
        Dissimilarity::Correlation => angle(true),
        Dissimilarity::Cosine => angle(false),
        Dissimilarity::SquaredEuclidean => squared(),
        Dissimilarity::Euclidean => squared().sqrt(),
    }
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found} {expected}");
    }
}

#[test]
fn pairs_are_counted_by_rows() {
    let listed: Vec<(usize, usize)> = pairs(5).collect();
    assert_eq!((listed.len(), pair_count(5), pair_count(1), pair_count(0)), (10, 10, 0, 0));
    assert!(listed.iter().enumerate().all(|(at, (i, j))| pair_index(5, *i, *j) == at));
    assert_eq!(listed[..5], [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2)]);
}

/// By the definitions in Python: `1 - dot(x, y) / sqrt(dot(x, x) * dot(y, y))`, for correlation of centred lists.
#[test]
fn small_ones_by_their_definitions() {
    let patterns = [1.0, 2.0, 4.0, 8.0, 2.0, 1.0, 0.0, 3.0, -1.0, 5.0, 2.0, 2.0];
    for (of, expected) in [
        (Dissimilarity::Correlation, CORRELATION),
        (Dissimilarity::Euclidean, [43_f64.sqrt(), 53_f64.sqrt(), 30_f64.sqrt()]),
        (Dissimilarity::SquaredEuclidean, [43.0, 53.0, 30.0]),
        (Dissimilarity::Cosine, COSINE),
    ] {
        let found = of_patterns(&patterns, 3, of);
        close(&found.triangle, &expected, 1e-14);
        assert_eq!(found.diagonal, [0.0; 3]);
        assert_eq!(Dissimilarity::of_word(of.word()), Some(of));
    }
    assert_eq!(Dissimilarity::of_word("manhattan"), None);
}

const CORRELATION: [f64; 3] = [0.541_268_289_074_435_6, 0.868_123_905_320_842_6, 1.316_227_766_016_838];
const COSINE: [f64; 3] = [0.188_320_550_086_572_22, 0.386_146_101_261_432_23, 0.587_485_676_337_304_9];

#[test]
fn all_pairs_of_several_tiles_and_chunks() {
    let (n, features) = (70, 1300);
    let patterns: Vec<f64> = numbers(n * features, 0.7).iter().enumerate().map(|(at, x)| x + (at % 7) as f64).collect();
    let pattern = |at: usize| &patterns[at * features..(at + 1) * features];
    for of in Dissimilarity::ALL {
        let expected: Vec<f64> = pairs(n).map(|(i, j)| by_hand(pattern(i), pattern(j), of)).collect();
        close(&of_patterns(&patterns, n, of).triangle, &expected, 1e-11);
    }
}

/// Any blocks, either layout.
#[test]
fn blocks_do_not_show() {
    let (n, features) = (9, 1100);
    let patterns = numbers(n * features, 0.7);
    let whole = of_patterns(&patterns, n, Dissimilarity::Correlation);
    let mut sums = PatternSums::new(n);
    let mut first = 0;
    for width in [1, 500, 40, 0, 559] {
        let columns: Vec<f64> = (first..first + width)
            .flat_map(|f| (0..n).map(move |i| (i, f)))
            .map(|(i, f)| patterns[i * features + f])
            .collect();
        sums.add(MatrixView::new(&columns, n, width));
        first += width;
    }
    assert_eq!((first, sums.features()), (features, features));
    assert_eq!(sums.dissimilarities(Dissimilarity::Correlation), whole);
}

#[test]
fn threads_do_not_show() {
    let patterns = numbers(80 * 700, 0.3);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| of_patterns(&patterns, 80, Dissimilarity::Cosine))
    };
    assert_eq!(with(1), with(3));
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "made for a test")]
fn many_narrow_patterns_keep_their_digits() {
    let (n, features) = (300, 1200);
    let mut narrow: Vec<f32> = numbers(n * features, 0.7).iter().map(|x| *x as f32 + 3.0).collect();
    // Pattern 1 is pattern 0 but for one feature, pattern 2 is pattern 0.
    narrow.copy_within(..features, features);
    narrow.copy_within(..features, 2 * features);
    narrow[features + 700] += 1e-3;
    let wide: Vec<f64> = narrow.iter().map(|x| f64::from(*x)).collect();
    let pattern = |at: usize| &wide[at * features..(at + 1) * features];
    for of in Dissimilarity::ALL {
        let found = of_patterns(&narrow, n, of).triangle;
        for (at, (i, j)) in pairs(n).enumerate().step_by(7).chain([(1, (0, 2)), (0, (0, 1))]) {
            let expected = by_hand(pattern(i), pattern(j), of);
            assert!((found[at] - expected).abs() <= 2e-6 * expected + 1e-13, "{i} {j}: {} {expected}", found[at]);
        }
        assert_eq!(found[1], 0.0, "identical patterns");
    }
    // Patterns whose means differ by many times their spread are correlated as well as others.
    let shifted: Vec<f32> = narrow.iter().enumerate().map(|(at, x)| x + 10.0 * (at / features % 5) as f32).collect();
    let wide_shifted: Vec<f64> = shifted.iter().map(|x| f64::from(*x)).collect();
    let found = of_patterns(&shifted, n, Dissimilarity::Correlation).triangle;
    for (at, (i, j)) in pairs(n).enumerate().skip(3 * n).step_by(101) {
        let pattern = |at: usize| &wide_shifted[at * features..(at + 1) * features];
        let expected = by_hand(pattern(i), pattern(j), Dissimilarity::Correlation);
        assert!((found[at] - expected).abs() <= 2e-6 * expected, "{i} {j}: {} {expected}", found[at]);
    }
    let found = of_patterns(&narrow, n, Dissimilarity::Euclidean).triangle[0];
    let step = wide[features + 700] - wide[700];
    assert!((found / step - 1.0).abs() < 1e-12, "{found} {step}");
}

/// Ten clusters, of which pairs within are near; two tight ones, in which half of all pairs are; and numbers near the ends of the
/// range of 32 bits.
#[test]
#[expect(clippy::cast_possible_truncation, reason = "made for a test")]
fn narrow_patterns_in_clusters_and_of_any_size_are_exact_to_a_millionth() {
    let (n, features) = (300, 512);
    let (centres, noise) = (numbers(10 * features, 0.7), numbers(n * features, 1.3));
    for (clusters, spread, size) in [(10, 0.42, 1.0), (2, 0.1, 1.0), (2, 1e-3, 1.0), (10, 1.0, 1e-22), (10, 1.0, 3e18)]
    {
        let number = |at: usize| centres[at / features % clusters * features + at % features] + spread * noise[at];
        let narrow: Vec<f32> = (0..n * features).map(|at| (size * number(at)) as f32).collect();
        let wide: Vec<f64> = narrow.iter().map(|x| f64::from(*x)).collect();
        let pattern = |at: usize| &wide[at * features..(at + 1) * features];
        for of in [Dissimilarity::SquaredEuclidean, Dissimilarity::Correlation] {
            let found = of_patterns(&narrow, n, of).triangle;
            for (at, (i, j)) in pairs(n).enumerate().step_by(3) {
                let centred = |x: &[f64]| -> Vec<f64> {
                    let mean = x.iter().sum::<f64>() / features as f64;
                    x.iter().map(|value| value - mean).collect()
                };
                let expected = match of {
                    // Without the digits that are lost in 1 minus a correlation near 1: half the squared distance of directions.
                    Dissimilarity::Correlation => {
                        let [x, y] = [i, j].map(|at| centred(pattern(at)));
                        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
                        let (a, b) = (norm(&x), norm(&y));
                        x.iter().zip(&y).map(|(x, y)| (x / a - y / b).powi(2)).sum::<f64>() / 2.0
                    }
                    of => by_hand(pattern(i), pattern(j), of),
                };
                let error = (found[at] / expected - 1.0).abs();
                assert!(error < 1e-6, "{clusters} clusters, {spread}, {size}: {i} {j}: {} {expected}", found[at]);
            }
        }
    }
}

/// The true value is the squared distance over twice the squared norm about the mean, to first order.
#[test]
fn correlations_near_1_keep_their_digits() {
    let features = 2000;
    let x = numbers(features, 0.7);
    let mut y = x.clone();
    y[3] += 1e-6;
    let mean = x.iter().sum::<f64>() / features as f64;
    let squares: f64 = x.iter().map(|x| (x - mean).powi(2)).sum();
    let along = (x[3] - mean) / squares.sqrt();
    let step = y[3] - x[3];
    let expected = step * step * (1.0 - 1.0 / features as f64 - along * along) / (2.0 * squares);
    let found = of_patterns(&[x, y].concat(), 2, Dissimilarity::Correlation).triangle[0];
    assert!((found / expected - 1.0).abs() < 1e-4, "{found} {expected}");
}

#[test]
fn what_is_undefined_is_nan() {
    // Zeros twice, 2s twice, a pattern that varies, one with NaN, one that is infinite.
    let (not, infinite) = ([1.0, f64::NAN, 4.0], [1.0, f64::INFINITY, 4.0]);
    let rows = [[0.0; 3], [0.0; 3], [2.0; 3], [2.0; 3], [1.0, 2.0, 4.0], not, infinite];
    let of = |of| of_patterns(rows.as_flattened(), 7, of);
    let nan_of = |found: &Dissimilarities, i, j| found.triangle[pair_index(7, i, j)].is_nan();
    let correlation = of(Dissimilarity::Correlation);
    assert_eq!((correlation.triangle[pair_index(7, 0, 1)], correlation.triangle[pair_index(7, 2, 3)]), (0.0, 0.0));
    assert!(nan_of(&correlation, 0, 2) && nan_of(&correlation, 0, 4) && nan_of(&correlation, 2, 4));
    let cosine = of(Dissimilarity::Cosine);
    assert!(nan_of(&cosine, 0, 4) && cosine.triangle[pair_index(7, 2, 3)] == 0.0);
    assert!((cosine.triangle[pair_index(7, 2, 4)] - (1.0 - 7.0 / 63_f64.sqrt())).abs() < 1e-15);
    let euclidean = of(Dissimilarity::Euclidean);
    assert!((euclidean.triangle[pair_index(7, 0, 2)] - 12_f64.sqrt()).abs() < 1e-14);
    for found in [correlation, cosine, euclidean] {
        assert!((0..7).all(|other| (5..7).all(|at| other == at || nan_of(&found, at.min(other), at.max(other)))));
        assert!(
            found.diagonal[..5].iter().all(|value| *value == 0.0) && found.diagonal[5..].iter().all(|x| x.is_nan())
        );
    }
    let mut empty = PatternSums::new(2);
    assert!(empty.dissimilarities(Dissimilarity::Euclidean).triangle[0].is_nan());
}

#[test]
fn permuted_patterns_have_permuted_dissimilarities() {
    let (n, features) = (50, 600);
    let patterns = numbers(n * features, 0.9);
    let order = entry_permutation(7, 2, n);
    let permuted: Vec<f64> =
        order.iter().flat_map(|at| patterns[at * features..(at + 1) * features].to_vec()).collect();
    let found = of_patterns(&permuted, n, Dissimilarity::Euclidean).triangle;
    let whole = of_patterns(&patterns, n, Dissimilarity::Euclidean).triangle;
    close(&found, &reordered(&whole, n, &order), 1e-12);
    assert_eq!(entry_permutation(7, 0, 4), [0, 1, 2, 3]);
    assert_eq!(entry_permutation(7, 2, n), order);
    assert!(entry_permutation(7, 1, n) != order && entry_permutation(8, 2, n) != order);
    let mut sorted = order;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..n).collect::<Vec<_>>());
}
