//! The lattice of subsets of a few sources of information, and how the gain of all of them is divided over it.
//!
//! A model per subset of k sources gives a score f(subset). As in variance partitioning, every non-empty set C of sources gets the
//! part of the gain that is lost only when all of C is taken away and not already when less is (inclusion and exclusion):
//! u(C) = -sum over W in C of (-1)^(|C|-|W|) f(all sources without W). A single source's part is its unique one; parts of
//! larger sets are shared, and negative where sources help each other. All 2^k - 1 parts add up to f(all) - f(none).
//! Does not depend on what the sources and the scores are.

/// A set of sources, a bit for each in the order of [`SubsetLattice::sources`].
pub type Set = usize;

/// A thousand parts are more than a reader can use, and the sums stay exact enough.
pub const MOST_SOURCES: usize = 10;

/// Which part of the gain a set of sources has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Lost when this source alone is taken away.
    Unique,
    /// Lost only when all of several sources are taken away.
    Shared,
    /// The whole gain.
    Total,
}

impl PartKind {
    /// The word in tables.
    pub fn word(self) -> &'static str {
        match self {
            PartKind::Unique => "unique",
            PartKind::Shared => "shared",
            PartKind::Total => "total",
        }
    }
}

/// Named sources in their written order, and the sets of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubsetLattice {
    sources: Vec<String>,
}

impl SubsetLattice {
    /// Of sources in their written order, of which there are at most [`MOST_SOURCES`].
    pub fn new(sources: Vec<String>) -> Self {
        assert!(sources.len() <= MOST_SOURCES, "callers refuse more sources, in words of their own");
        Self { sources }
    }

    /// The sources in their written order.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// How many sets there are, the empty one included; sets are the numbers below.
    pub fn len(&self) -> usize {
        1 << self.sources.len()
    }

    /// Whether there is nothing but the empty set.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The set of all sources.
    pub fn all(&self) -> Set {
        self.len() - 1
    }

    /// The set of these sources.
    ///
    /// # Errors
    /// The first name that is not a source.
    pub fn set<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<Set, &'n str> {
        names.into_iter().try_fold(0, |set, name| {
            let bit = self.sources.iter().position(|source| source == name).ok_or(name)?;
            Ok(set | 1 << bit)
        })
    }

    /// The sources of a set, in written order.
    pub fn names(&self, set: Set) -> Vec<&str> {
        bits(set).into_iter().map(|bit| self.sources[bit].as_str()).collect()
    }

    /// The sources of a set, joined by `+`.
    pub fn joined(&self, set: Set) -> String {
        self.names(set).join("+")
    }

    /// The parts in the order of every table: unique ones, shared ones by size, in written order of their sources, and the total.
    /// Each with the place at which [`decompose`] has it.
    pub fn parts(&self) -> Vec<(PartKind, Set, usize)> {
        let mut sets: Vec<Set> = (1..self.len()).collect();
        sets.sort_by_key(|set| (order(*set), bits(*set)));
        let kind = |set: Set| if order(set) == 1 { PartKind::Unique } else { PartKind::Shared };
        let total = (PartKind::Total, self.all(), self.len());
        sets.into_iter().map(|set| (kind(set), set, set)).chain([total]).collect()
    }
}

/// How many sources a set has.
pub fn order(set: Set) -> usize {
    set.count_ones() as usize
}

/// The bits of a set, ascending.
fn bits(set: Set) -> Vec<usize> {
    (0..usize::BITS as usize).filter(|bit| set >> bit & 1 == 1).collect()
}

/// From the score of every subset to the score without sources (at 0), the part of every other set (at its bits) and the total gain (at the end).
pub fn decompose(scores: &[f64]) -> Vec<f64> {
    let mut parts = vec![0.0; scores.len() + 1];
    decompose_into(scores, &mut parts);
    parts
}

/// [`decompose`] into a slice that is one longer than `scores`.
pub fn decompose_into(scores: &[f64], parts: &mut [f64]) {
    let all = scores.len() - 1;
    // Starts as the loss when exactly the set is taken away; subtracting the parts of its subsets bit by bit
    // (Moebius inversion) leaves what is lost only with the whole set.
    for (set, part) in parts.iter_mut().enumerate().take(scores.len()) {
        *part = scores[all] - scores[all & !set];
    }
    let mut bit = 1;
    while bit <= all {
        for set in (0..scores.len()).filter(|set| set & bit != 0) {
            parts[set] -= parts[set & !bit];
        }
        bit <<= 1;
    }
    parts[0] = scores[0];
    parts[scores.len()] = scores[all] - scores[0];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lattice(sources: &[&str]) -> SubsetLattice {
        SubsetLattice::new(sources.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn sets_are_named_in_written_order() {
        let lattice = lattice(&["c", "a", "b"]);
        assert_eq!((lattice.len(), lattice.all(), lattice.is_empty()), (8, 7, false));
        assert_eq!(lattice.set(["b", "c"]), Ok(5));
        assert_eq!(lattice.set(["b", "d"]), Err("d"));
        assert_eq!(lattice.joined(5), "c+b");
        assert_eq!(lattice.joined(0), "");
    }

    #[test]
    fn parts_are_sorted_by_size_and_written_order() {
        let lattice = lattice(&["c", "a", "b"]);
        let rows: Vec<String> = lattice
            .parts()
            .into_iter()
            .map(|(kind, set, at)| format!("{} {} {at}", kind.word(), lattice.joined(set)))
            .collect();
        let expected = [
            "unique c 1",
            "unique a 2",
            "unique b 4",
            "shared c+a 3",
            "shared c+b 5",
            "shared a+b 6",
            "shared c+a+b 7",
            "total c+a+b 8",
        ];
        assert_eq!(rows, expected);
    }

    /// Regions of a Venn diagram: a subset's score is the base plus all regions that it touches.
    #[test]
    fn known_regions_come_back() {
        for sources in 1..=4usize {
            let region = |set: usize| if set == 0 { 0.0 } else { 0.01 * (set * set % 7) as f64 - 0.02 };
            let scores: Vec<f64> = (0..1usize << sources)
                .map(|set| 0.4 + (1..1usize << sources).filter(|r| r & set != 0).map(region).sum::<f64>())
                .collect();
            let parts = decompose(&scores);
            for (set, part) in parts.iter().enumerate().take(1 << sources).skip(1) {
                assert!((part - region(set)).abs() < 1e-12, "{sources} sources, set {set:b}: {part}");
            }
            let sum: f64 = parts[1..parts.len() - 1].iter().sum();
            assert!((sum - parts[parts.len() - 1]).abs() < 1e-12 && (parts[0] - 0.4).abs() < 1e-12);
        }
    }

    /// The formula in the module's header, term by term, on numbers without structure.
    #[test]
    fn agrees_with_inclusion_and_exclusion_by_brute_force() {
        let scores: Vec<f64> = (0..16).map(|set| f64::from(set * 37 % 101) / 101.0).collect();
        let parts = decompose(&scores);
        for (set, part) in parts.iter().enumerate().take(16).skip(1) {
            let terms = (0..16usize).filter(|w| w & !set == 0).map(|w| {
                let sign = if (set.count_ones() - w.count_ones()).is_multiple_of(2) { 1.0 } else { -1.0 };
                -sign * scores[15 & !w]
            });
            assert!((part - terms.sum::<f64>()).abs() < 1e-12, "set {set:b}");
        }
    }

    #[test]
    fn additive_sources_share_nothing() {
        // f = 0.5 + 0.1 [first] + 0.02 [second] + 0.2 [third].
        let scores: Vec<f64> = (0..8)
            .map(|set: i32| 0.5 + 0.1 * f64::from(set & 1) + 0.02 * f64::from(set >> 1 & 1) + 0.2 * f64::from(set >> 2))
            .collect();
        let expected = [0.5, 0.1, 0.02, 0.0, 0.2, 0.0, 0.0, 0.0, 0.32];
        for (part, expected) in decompose(&scores).iter().zip(expected) {
            assert!((part - expected).abs() < 1e-12, "{part} is not {expected}");
        }
    }
}
