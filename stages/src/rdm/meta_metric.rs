//! Dissimilarities between RDMs of the same entries.
//!
//! Decides what is compared: the upper triangles as vectors, or for alignment (CKA) the centred Gram matrices that they are squared
//! distances of. An entry that has no defined dissimilarity to any other in one of two RDMs is left out of both. The
//! published function looks at whole rows with the diagonal, which is 0 also for a constant pattern, so that it keeps such entries and gives
//! NaN. What is then still undefined makes the result undefined, or is left out pair by pair. All RDMs that lack the same entries are
//! compared by one product of matrices.

use std::collections::BTreeMap;

use crate::numeric::dissimilarity::{Dissimilarities, Dissimilarity, PatternSums, pair_count, pair_index, pairs};
use crate::numeric::kernel_alignment::{centred_gram, unbiased_gram};
use crate::numeric::linear_algebra::MatrixView;

/// How two RDMs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetaMetric {
    /// Their upper triangles as patterns.
    Triangles(Dissimilarity),
    /// 1 minus linear centred kernel alignment.
    Alignment {
        /// By the unbiased estimator.
        debiased: bool,
    },
}

/// RDMs of the same entries.
pub(super) struct ComparedRdms {
    /// Upper triangles by rows.
    pub triangles: Vec<Vec<f64>>,
    /// How many entries each has.
    pub entries: usize,
    /// Of every RDM, whether its numbers are distances, whose squares alignment takes; else they are squares already.
    pub distances: Vec<bool>,
}

impl ComparedRdms {
    /// The dissimilarities of all pairs of RDMs. With `by_pairs`, undefined pairs of entries are left out too, where triangles are compared.
    pub fn dissimilarities(&self, metric: MetaMetric, by_pairs: bool) -> Dissimilarities {
        let count = self.triangles.len();
        let mut classes: BTreeMap<Vec<bool>, Vec<usize>> = BTreeMap::new();
        for (rdm, triangle) in self.triangles.iter().enumerate() {
            classes.entry(defined_entries(triangle, self.entries)).or_default().push(rdm);
        }
        let classes: Vec<(Vec<bool>, Vec<usize>)> = classes.into_iter().collect();
        let mut all = Dissimilarities { triangle: vec![f64::NAN; pair_count(count)], diagonal: vec![f64::NAN; count] };
        for (at, (defined, rdms)) in classes.iter().enumerate() {
            self.fill(&mut all, rdms, None, defined, metric);
            for (also, others) in &classes[at + 1..] {
                let both: Vec<bool> = defined.iter().zip(also).map(|(one, other)| *one && *other).collect();
                self.fill(&mut all, rdms, Some(others.as_slice()), &both, metric);
            }
        }
        if let (true, MetaMetric::Triangles(of)) = (by_pairs, metric) {
            self.fill_by_pairs(&mut all, of);
        }
        all
    }

    /// Compares RDMs with each other, or with others, over the entries that are kept.
    fn fill(
        &self,
        all: &mut Dissimilarities,
        rdms: &[usize],
        others: Option<&[usize]>,
        kept: &[bool],
        metric: MetaMetric,
    ) {
        let entries: Vec<usize> = (0..self.entries).filter(|entry| kept[*entry]).collect();
        let members: Vec<usize> = rdms.iter().chain(others.into_iter().flatten()).copied().collect();
        let vectors: Vec<f64> = members.iter().flat_map(|rdm| self.vector(*rdm, &entries, metric)).collect();
        let mut sums = PatternSums::new(members.len());
        sums.add(MatrixView::new(&vectors, vectors.len() / members.len(), members.len()).transposed());
        let found = sums.dissimilarities(match metric {
            MetaMetric::Triangles(of) => of,
            MetaMetric::Alignment { .. } => Dissimilarity::Cosine,
        });
        let count = self.triangles.len();
        for ((i, j), value) in pairs(members.len()).zip(&found.triangle) {
            let between = i < rdms.len() && j >= rdms.len();
            if others.is_none() || between {
                let (first, second) = (members[i].min(members[j]), members[i].max(members[j]));
                all.triangle[pair_index(count, first, second)] = *value;
            }
        }
        if others.is_none() {
            rdms.iter().zip(found.diagonal).for_each(|(rdm, value)| all.diagonal[*rdm] = value);
        }
    }

    /// What stands for an RDM in the comparison, of some of its entries; empty where there are too few.
    fn vector(&self, rdm: usize, entries: &[usize], metric: MetaMetric) -> Vec<f64> {
        let triangle = &self.triangles[rdm];
        let value = |(i, j): (usize, usize)| triangle[pair_index(self.entries, entries[i], entries[j])];
        let kept = pairs(entries.len()).map(value);
        let MetaMetric::Alignment { debiased } = metric else { return kept.collect() };
        let squared: Vec<f64> = match self.distances[rdm] {
            true => kept.map(|distance| distance * distance).collect(),
            false => kept.collect(),
        };
        match debiased {
            true if entries.len() < 4 => Vec::new(),
            true => unbiased_gram(&squared, entries.len()),
            false if entries.len() < 2 => Vec::new(),
            false => centred_gram(&squared, entries.len()),
        }
    }

    /// Compares what is still undefined over the pairs of entries that both RDMs have.
    fn fill_by_pairs(&self, all: &mut Dissimilarities, of: Dissimilarity) {
        for ((i, j), value) in pairs(self.triangles.len()).zip(&mut all.triangle) {
            if value.is_nan() {
                *value = over_common_pairs(&self.triangles[i], &self.triangles[j], of).triangle[0];
            }
        }
        for (triangle, value) in self.triangles.iter().zip(&mut all.diagonal) {
            if value.is_nan() {
                *value = over_common_pairs(triangle, triangle, of).diagonal[0];
            }
        }
    }
}

fn over_common_pairs(x: &[f64], y: &[f64], of: Dissimilarity) -> Dissimilarities {
    let both = || x.iter().zip(y).filter(|(x, y)| x.is_finite() && y.is_finite());
    let vectors: Vec<f64> = both().map(|(x, _)| *x).chain(both().map(|(_, y)| *y)).collect();
    let mut sums = PatternSums::new(2);
    sums.add(MatrixView::new(&vectors, vectors.len() / 2, 2).transposed());
    sums.dissimilarities(of)
}

/// Of every entry, whether it has a defined dissimilarity to another one.
fn defined_entries(triangle: &[f64], entries: usize) -> Vec<bool> {
    let mut defined = vec![false; entries];
    for ((i, j), value) in pairs(entries).zip(triangle) {
        if !value.is_nan() {
            defined[i] = true;
            defined[j] = true;
        }
    }
    defined
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORRELATION: MetaMetric = MetaMetric::Triangles(Dissimilarity::Correlation);

    fn compared(triangles: &[&[f64]], entries: usize) -> ComparedRdms {
        let triangles: Vec<Vec<f64>> = triangles.iter().map(|triangle| triangle.to_vec()).collect();
        ComparedRdms { distances: vec![false; triangles.len()], triangles, entries }
    }

    /// 1 minus Pearson's correlation.
    fn correlation(x: &[f64], y: &[f64]) -> f64 {
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let (mx, my) = (mean(x), mean(y));
        let dot = |f: &dyn Fn(usize) -> f64| (0..x.len()).map(f).sum::<f64>();
        let over = dot(&|i| (x[i] - mx) * (y[i] - my));
        1.0 - over / (dot(&|i| (x[i] - mx).powi(2)) * dot(&|i| (y[i] - my).powi(2))).sqrt()
    }

    #[test]
    fn triangles_are_patterns() {
        let rows: [&[f64]; 3] = [&[1.0, 2.0, 4.0], &[3.0, 1.0, 1.0], &[2.0, 4.0, 8.5]];
        let found = compared(&rows, 3).dissimilarities(CORRELATION, false);
        for ((i, j), value) in pairs(3).zip(&found.triangle) {
            assert!((value - correlation(rows[i], rows[j])).abs() < 1e-14);
        }
        assert_eq!(found.diagonal, [0.0; 3]);
    }

    /// Entry 1 of the second RDM of four is undefined: both lose it, so pairs 0-2, 0-3, 2-3 are left. The third has one undefined pair.
    #[test]
    fn undefined_entries_are_left_out_of_both() {
        let nan = f64::NAN;
        let rows: [&[f64]; 4] = [
            &[1.0, 2.0, 4.0, 3.0, 5.0, 2.5],
            &[nan, 3.0, 1.0, nan, nan, 2.0],
            &[1.0, 2.0, 6.0, nan, 5.0, 2.0],
            &[2.0, 2.0, 1.0, 7.0, 5.0, 2.0],
        ];
        let found = compared(&rows, 4).dissimilarities(CORRELATION, false);
        let at = |i, j| found.triangle[pair_index(4, i, j)];
        assert!((at(0, 1) - correlation(&[2.0, 4.0, 2.5], &[3.0, 1.0, 2.0])).abs() < 1e-14);
        assert!((at(0, 3) - correlation(rows[0], rows[3])).abs() < 1e-14, "neither lacks an entry");
        // Without entry 1 the undefined pair of the third RDM (1 and 2) is gone too.
        assert!((at(1, 2) - correlation(&[3.0, 1.0, 2.0], &[2.0, 6.0, 2.0])).abs() < 1e-14);
        assert!(at(0, 2).is_nan() && at(2, 3).is_nan() && found.diagonal[2].is_nan() && found.diagonal[1] == 0.0);
        let found = compared(&rows, 4).dissimilarities(CORRELATION, true);
        let expected = correlation(&[1.0, 2.0, 4.0, 5.0, 2.5], &[1.0, 2.0, 6.0, 5.0, 2.0]);
        assert!((found.triangle[pair_index(4, 0, 2)] - expected).abs() < 1e-14 && found.diagonal[2] == 0.0);
        let none = compared(&[&[nan, nan, 1.0], &[1.0, nan, nan]], 3).dissimilarities(CORRELATION, true);
        assert!(none.triangle[0].is_nan(), "they have one entry in common");
    }

    #[test]
    fn alignment_of_distances_is_that_of_their_squares() {
        let places = [[0.0, 1.0], [2.0, 0.5], [1.0, 3.0], [-1.0, 2.0], [0.5, 0.25]];
        let squared: Vec<f64> = pairs(5)
            .map(|(i, j)| places[i].iter().zip(places[j]).map(|(x, y): (&f64, f64)| (x - y).powi(2)).sum::<f64>())
            .collect();
        let distances: Vec<f64> = squared.iter().map(|value| value.sqrt()).collect();
        let other: Vec<f64> = squared.iter().map(|value| 3.0 * value).collect();
        for debiased in [false, true] {
            let compared = ComparedRdms {
                triangles: vec![squared.clone(), distances.clone(), other.clone()],
                entries: 5,
                distances: vec![false, true, false],
            };
            let found = compared.dissimilarities(MetaMetric::Alignment { debiased }, false);
            assert!(found.triangle.iter().all(|value| value.abs() < 1e-12), "{found:?}");
        }
        let few = compared(&[&[1.0, 2.0, 3.0], &[2.0, 2.0, 3.0]], 3);
        let debiased = few.dissimilarities(MetaMetric::Alignment { debiased: true }, false);
        assert!(debiased.triangle[0].is_nan(), "three entries are too few");
    }
}
