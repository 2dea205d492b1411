//! `score/partition`: how much of the score each source of information brings alone, and how much is shared between sources.
//!
//! A model per subset of k sources gives f(subset). As in variance partitioning, every non-empty set C of sources gets the
//! part of the gain that is lost only when all of C is taken away and not already when less is (inclusion and exclusion):
//! u(C) = -sum over W in C of (-1)^(|C|-|W|) f(all sources without W). A single source's part is its unique one; parts of
//! larger sets are shared, and negative where sources help each other. All 2^k - 1 parts add up to f(all) - f(none).
//! Intervals are percentiles over resamples of subjects. Knows nothing about what the sources are.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::{Context, Ended, Failure, Kind, Progress, StageKind, Task, Type, Value};
use polars::prelude::DataFrame;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde::Deserialize;

use super::partition_figure;
use crate::formats::data_table::{self, Table};
use crate::formats::drawing;
use crate::formats::score_table::HeldOut;
use crate::numeric::statistics::quantile;

/// The kind.
pub(super) struct VariancePartition;

/// A thousand parts are more than a reader can use, and the sums stay exact enough.
const MOST_SOURCES: usize = 10;

#[derive(Deserialize)]
struct Parameters {
    subsets: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    over: String,
    bootstrap: usize,
    interval: f64,
}

impl StageKind for VariancePartition {
    fn kind(&self) -> Kind {
        let kind =
            Kind::new("score/partition", 1, "Unique and shared parts of a score's gain from several sources of information")
                .gather("scores", &["table/scores"], "score tables of subjects; a tag per subset of sources")
                .input("split", &["split"], "who is held out (`partition` is `val`)")
                .folder(
                    "table",
                    "table/partition",
                    "columns parcellation, label, part (base, unique, shared, total), sources (joined by +), order, people, \
                     estimate, low, high; sorted by label, then base, parts by size and written order of sources, total",
                )
                .folder("figure", "figure", "the parts of the mean over labels as bars, with the table beside it")
                .required(
                    "subsets",
                    Type::Map(Box::new(Type::Map(Box::new(Type::Any)))),
                    "tags to fields; the field named by `over` lists the sources that the tag's model has",
                )
                .param("over", Type::Text, Value::Text("has".into()), "the field that lists sources")
                .param("bootstrap", Type::Int(0, 1_000_000), Value::Int(2000), "resamples of subjects; 0 for no intervals")
                .param("interval", Type::Float(0.5, 0.9999), Value::Float(0.95), "share of resamples inside an interval");
        Kind { stamped: true, random: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let lattice = Lattice::new(&parameters.subsets, &parameters.over)?;
        let (scores, mut notes) = super::held_out(task)?;
        let mut parts = Vec::new();
        let labels = scores.labels();
        for (done, label) in labels.iter().enumerate() {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all labels were resampled"));
            }
            let subjects = lattice.subjects(&scores, label)?;
            let left_out = scores.subjects.len() - subjects.len();
            if left_out > 0 {
                notes.push(format!(
                    "label {label}: {left_out} of {} subjects lack a score of some subset",
                    scores.subjects.len()
                ));
            }
            let resamples =
                Resamples { seed: task.seed()?, count: parameters.bootstrap, interval: parameters.interval };
            parts.extend(lattice.parts(label, &subjects, &resamples));
            let (done, total) = (done as u64 + 1, labels.len() as u64);
            context.progress(Progress { done, total, unit: "labels".into(), note: format!("label {label}") });
        }
        notes.iter().for_each(|note| context.log(note));
        let mut frame = frame(&scores.parcellation, &parts, task.simulated)?;
        data_table::write(task.output("table")?, &mut frame)?;
        let figure = task.output("figure")?;
        let drawing =
            partition_figure::draw(&scores.parcellation, &lattice.sources, &parts, parameters.interval, task.simulated);
        drawing::save(&drawing, figure)?;
        data_table::write_csv(&figure.join(data_table::CSV), &mut frame)?;
        Ok(Ended::Done { ran_on: None, notes })
    }
}

/// A set of sources, a bit for each in [`Lattice::sources`].
type Set = usize;

/// The sources, and the tag of each set of them.
#[derive(Debug, PartialEq)]
struct Lattice {
    sources: Vec<String>,
    tags: Vec<String>,
}

impl Lattice {
    /// Checks that the subsets are all subsets of their sources, each once.
    fn new(subsets: &BTreeMap<String, BTreeMap<String, serde_json::Value>>, over: &str) -> Result<Self, Failure> {
        let mut lists = Vec::new();
        for (tag, fields) in subsets {
            lists.push((tag, sources_of(tag, fields, over)?));
        }
        // The largest list gives the order of sources, which is the order in which its author wrote them.
        let sources = lists.iter().map(|(_, list)| list).max_by_key(|list| list.len()).cloned().unwrap_or_default();
        if sources.is_empty() || sources.len() > MOST_SOURCES {
            let message =
                format!("`subsets` name {} sources under `{over}`, expected 1 to {MOST_SOURCES}", sources.len());
            return Err(Failure::input(message));
        }
        let mut tags: Vec<Option<&String>> = vec![None; 1 << sources.len()];
        for (tag, list) in &lists {
            let mut set: Set = 0;
            for source in list {
                let bit = sources.iter().position(|known| known == source).ok_or_else(|| {
                    Failure::input(format!(
                        "`{tag}` has `{source}`, but no subset has all sources: [{}] is the largest",
                        sources.join(", ")
                    ))
                    .hint("give a subset for every combination of sources, also for all of them")
                })?;
                set |= 1 << bit;
            }
            if let Some(before) = tags[set].replace(*tag) {
                let list = list.join(", ");
                return Err(Failure::input(format!(
                    "`{before}` and `{tag}` both have [{list}], expected each subset once"
                )));
            }
        }
        let missing: Vec<String> =
            (0..tags.len()).filter(|set| tags[*set].is_none()).map(|set| written(set, &sources)).collect();
        if !missing.is_empty() {
            let message = format!(
                "`subsets` lack {} of the {} subsets of [{}]: {}",
                missing.len(),
                tags.len(),
                sources.join(", "),
                missing.join(", ")
            );
            return Err(Failure::input(message)
                .hint("shared parts need a model for every combination of sources: add them, or keep fewer sources"));
        }
        Ok(Self { tags: tags.into_iter().flatten().cloned().collect(), sources })
    }

    /// Per subject, the mean score of each subset. Only pairs of rater and hemisphere that all subsets have are averaged, so
    /// that a skipped pair makes no difference between subsets; subjects without such a pair are left out.
    fn subjects(&self, scores: &HeldOut, label: &str) -> Result<Vec<Vec<f64>>, Failure> {
        let mut cells: BTreeMap<(&str, &str, &str, &str), Vec<Option<f64>>> = BTreeMap::new();
        for score in scores.scores.iter().filter(|score| score.label == label) {
            let Some(set) = self.tags.iter().position(|tag| *tag == score.tag) else { continue };
            let against = if score.method1 == score.tag { &score.method2 } else { &score.method1 };
            let key = (score.sid.as_str(), score.dataset.as_str(), score.hemisphere.as_str(), against.as_str());
            cells.entry(key).or_insert_with(|| vec![None; self.tags.len()])[set] = Some(score.score);
        }
        let mut sums: BTreeMap<&str, (Vec<f64>, f64)> = BTreeMap::new();
        for ((sid, ..), cell) in &cells {
            if let Some(values) = cell.iter().copied().collect::<Option<Vec<f64>>>() {
                let (sum, count) = sums.entry(sid).or_insert_with(|| (vec![0.0; self.tags.len()], 0.0));
                sum.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
                *count += 1.0;
            }
        }
        if sums.is_empty() {
            let scored: BTreeSet<&str> = scores.scores.iter().map(|score| score.tag.as_str()).collect();
            let missing: Vec<&str> = self.tags.iter().map(String::as_str).filter(|tag| !scored.contains(tag)).collect();
            let found =
                if missing.is_empty() { String::new() } else { format!("; no scores of {}", missing.join(", ")) };
            return Err(Failure::input(format!("no subject has scores of all subsets for label {label}{found}"))
                .hint("`subsets` and the coordinates `inputs` of the scored models must be the same"));
        }
        Ok(sums.into_values().map(|(sum, count)| sum.into_iter().map(|sum| sum / count).collect()).collect())
    }

    /// Base, all parts and the total gain of one label.
    fn parts(&self, label: &str, subjects: &[Vec<f64>], resamples: &Resamples) -> Vec<Part> {
        let subsets = self.tags.len();
        let estimates = decompose(&mean(subjects, 0..subjects.len(), subsets));
        let intervals = resamples.intervals(subjects, subsets);
        let order = |set: Set| set.count_ones() as usize;
        let mut sets: Vec<Set> = (1..subsets).collect();
        sets.sort_by_key(|set| (order(*set), bits(*set)));
        let part = |kind: &'static str, set: Set, at: usize| Part {
            label: label.to_string(),
            kind,
            set,
            sources: bits(set).into_iter().map(|bit| self.sources[bit].clone()).collect(),
            subjects: subjects.len(),
            estimate: estimates[at],
            interval: intervals.as_ref().map(|intervals| intervals[at]),
        };
        let mut parts = vec![part("base", 0, 0)];
        parts.extend(sets.into_iter().map(|set| part(if order(set) == 1 { "unique" } else { "shared" }, set, set)));
        parts.push(part("total", subsets - 1, subsets));
        parts
    }
}

fn sources_of(tag: &str, fields: &BTreeMap<String, serde_json::Value>, over: &str) -> Result<Vec<String>, Failure> {
    let fault = |found: &str| {
        Failure::input(format!("subset `{tag}` has {found}, expected a list of names in its field `{over}`"))
    };
    let list = fields
        .get(over)
        .ok_or_else(|| fault(&format!("the fields [{}]", fields.keys().cloned().collect::<Vec<_>>().join(", "))))?;
    let names: Option<Vec<String>> = list
        .as_array()
        .map(|list| list.iter().map(|name| name.as_str().map(String::from)).collect())
        .unwrap_or_default();
    let names = names.ok_or_else(|| fault(&format!("`{over}: {list}`")))?;
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return Err(fault(&format!("[{}] with a name twice", names.join(", "))));
    }
    Ok(names)
}

/// A set as text for messages.
fn written(set: Set, sources: &[String]) -> String {
    let names: Vec<&str> = bits(set).into_iter().map(|bit| sources[bit].as_str()).collect();
    format!("[{}]", names.join(", "))
}

/// The bits of a set, ascending.
fn bits(set: Set) -> Vec<usize> {
    (0..usize::BITS as usize).filter(|bit| set >> bit & 1 == 1).collect()
}

/// One row of the result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// The label scored, or `mean`.
    pub label: String,
    /// `base` (score without any source), `unique`, `shared`, or `total` (gain from all sources).
    pub kind: &'static str,
    /// The sources as bits.
    pub set: usize,
    /// The sources by name.
    pub sources: Vec<String>,
    /// How many subjects it is the mean of.
    pub subjects: usize,
    /// The mean over subjects.
    pub estimate: f64,
    /// Percentile bounds over resamples of subjects.
    pub interval: Option<(f64, f64)>,
}

fn frame(parcellation: &str, parts: &[Part], simulated: bool) -> Result<DataFrame, Failure> {
    Table::new()
        .text("parcellation", parts.iter().map(|_| parcellation))
        .text("label", parts.iter().map(|part| part.label.as_str()))
        .text("part", parts.iter().map(|part| part.kind))
        .text("sources", parts.iter().map(|part| part.sources.join("+")))
        .integers("order", parts.iter().map(|part| i64::try_from(part.sources.len()).unwrap_or(i64::MAX)))
        .integers("people", parts.iter().map(|part| i64::try_from(part.subjects).unwrap_or(i64::MAX)))
        .numbers("estimate", parts.iter().map(|part| part.estimate))
        .optional_numbers("low", parts.iter().map(|part| part.interval.map(|(low, _)| low)))
        .optional_numbers("high", parts.iter().map(|part| part.interval.map(|(_, high)| high)))
        .stamped(simulated)
        .build()
}

/// The mean over subjects of each subset's score.
fn mean(subjects: &[Vec<f64>], chosen: impl ExactSizeIterator<Item = usize>, subsets: usize) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a number of subjects")]
    let count = chosen.len() as f64;
    let mut sums = vec![0.0; subsets];
    for subject in chosen {
        sums.iter_mut().zip(&subjects[subject]).for_each(|(sum, value)| *sum += value);
    }
    sums.into_iter().map(|sum| sum / count).collect()
}

/// From the score of every subset to the score without sources (at 0), the part of every other set (at its bits) and the total gain (at the end).
fn decompose(scores: &[f64]) -> Vec<f64> {
    let all = scores.len() - 1;
    // Starts as the loss when exactly the set is taken away; subtracting the parts of its subsets bit by bit
    // (Moebius inversion) leaves what is lost only with the whole set.
    let mut parts: Vec<f64> = (0..scores.len()).map(|set| scores[all] - scores[all & !set]).collect();
    let mut bit = 1;
    while bit <= all {
        for set in (0..parts.len()).filter(|set| set & bit != 0) {
            parts[set] -= parts[set & !bit];
        }
        bit <<= 1;
    }
    parts[0] = scores[0];
    parts.push(scores[all] - scores[0]);
    parts
}

/// How subjects are resampled.
struct Resamples {
    seed: u64,
    count: usize,
    interval: f64,
}

impl Resamples {
    /// Percentile bounds of everything that [`decompose`] gives; none without resamples or with a single subject.
    fn intervals(&self, subjects: &[Vec<f64>], subsets: usize) -> Option<Vec<(f64, f64)>> {
        if self.count == 0 || subjects.len() < 2 {
            return None;
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut draws = vec![Vec::with_capacity(self.count); subsets + 1];
        for _ in 0..self.count {
            let chosen: Vec<usize> = (0..subjects.len()).map(|_| below(subjects.len(), &mut random)).collect();
            let parts = decompose(&mean(subjects, chosen.into_iter(), subsets));
            draws.iter_mut().zip(parts).for_each(|(draws, part)| draws.push(part));
        }
        let tail = (1.0 - self.interval) / 2.0;
        let bounds = |mut draws: Vec<f64>| {
            draws.sort_by(f64::total_cmp);
            (quantile(&draws, tail), quantile(&draws, 1.0 - tail))
        };
        Some(draws.into_iter().map(bounds).collect())
    }
}

/// A uniform number below `limit` (not 0), by rejection.
fn below(limit: usize, random: &mut impl Rng) -> usize {
    let limit = limit as u64;
    let fair = u64::MAX - u64::MAX % limit;
    loop {
        let draw = random.next_u64();
        if draw < fair {
            #[expect(clippy::cast_possible_truncation, reason = "below a usize")]
            return (draw % limit) as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::score_table::Score;
    use crate::test_support::tasks;

    fn subsets(entries: &[(&str, &[&str])]) -> BTreeMap<String, BTreeMap<String, serde_json::Value>> {
        let fields = |sources: &[&str]| BTreeMap::from([("has".to_string(), serde_json::json!(sources))]);
        entries.iter().map(|(tag, sources)| ((*tag).to_string(), fields(sources))).collect()
    }

    fn paper() -> BTreeMap<String, BTreeMap<String, serde_json::Value>> {
        subsets(&[
            ("anat", &[]),
            ("t1t2", &["t2"]),
            ("trac", &["diffusion"]),
            ("nofn", &["t2", "diffusion"]),
            ("func", &["function"]),
            ("nodw", &["t2", "function"]),
            ("not2", &["diffusion", "function"]),
            ("full", &["t2", "diffusion", "function"]),
        ])
    }

    #[test]
    fn the_papers_eight_inputs_are_all_subsets() {
        let lattice = Lattice::new(&paper(), "has").unwrap();
        assert_eq!(lattice.sources, ["t2", "diffusion", "function"]);
        assert_eq!(lattice.tags, ["anat", "t1t2", "trac", "nofn", "func", "nodw", "not2", "full"]);
    }

    #[test]
    fn incomplete_subsets_are_named() {
        let mut some = paper();
        some.remove("nodw");
        some.remove("trac");
        let failure = Lattice::new(&some, "has").unwrap_err();
        assert_eq!(
            failure.message,
            "`subsets` lack 2 of the 8 subsets of [t2, diffusion, function]: [diffusion], [t2, function]"
        );
        let failure = Lattice::new(&subsets(&[("a", &[]), ("b", &["x"]), ("c", &["x"])]), "has").unwrap_err();
        assert_eq!(failure.message, "`b` and `c` both have [x], expected each subset once");
        let failure = Lattice::new(&subsets(&[("a", &[]), ("b", &["x"]), ("c", &["y"])]), "has").unwrap_err();
        assert!(failure.message.contains("no subset has all sources"), "{failure}");
        let failure = Lattice::new(&subsets(&[("a", &[])]), "has").unwrap_err();
        assert!(failure.message.contains("name 0 sources"), "{failure}");
        let failure = Lattice::new(&paper(), "with").unwrap_err();
        assert_eq!(failure.message, "subset `anat` has the fields [has], expected a list of names in its field `with`");
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
        // f = 0.5 + 0.1 [t2] + 0.02 [diffusion] + 0.2 [function].
        let scores: Vec<f64> = (0..8)
            .map(|set: i32| 0.5 + 0.1 * f64::from(set & 1) + 0.02 * f64::from(set >> 1 & 1) + 0.2 * f64::from(set >> 2))
            .collect();
        let expected = [0.5, 0.1, 0.02, 0.0, 0.2, 0.0, 0.0, 0.0, 0.32];
        for (part, expected) in decompose(&scores).iter().zip(expected) {
            assert!((part - expected).abs() < 1e-12, "{part} is not {expected}");
        }
    }

    fn score(sid: &str, hemisphere: &str, tag: &str, value: f64) -> Score {
        Score {
            dataset: "HCP".into(),
            sid: sid.into(),
            hemisphere: hemisphere.into(),
            parcellation: "area".into(),
            method1: "A1".into(),
            method2: tag.into(),
            tag: tag.into(),
            label: "mean".into(),
            score: value,
        }
    }

    #[test]
    fn only_pairs_that_all_subsets_have_are_averaged() {
        let lattice = Lattice::new(&subsets(&[("anat", &[]), ("func", &["function"])]), "has").unwrap();
        let scores = vec![
            score("a", "lh", "anat", 0.5),
            score("a", "lh", "func", 0.75),
            score("a", "rh", "anat", 0.0),
            score("b", "lh", "anat", 0.25),
            score("b", "lh", "prior", 0.9),
        ];
        let held_out = HeldOut { scores, subjects: BTreeSet::new(), parcellation: "area".into() };
        assert_eq!(lattice.subjects(&held_out, "mean").unwrap(), [[0.5, 0.75]]);
        let failure = lattice.subjects(&held_out, "1").unwrap_err();
        assert!(failure.message.contains("no subject has scores of all subsets"), "{failure}");
    }

    #[test]
    fn intervals_are_reproducible_and_hold_the_estimate() {
        let subjects: Vec<Vec<f64>> =
            (0..12).map(|i| vec![0.5 + 0.01 * f64::from(i % 5), 0.6 + 0.02 * f64::from(i % 4)]).collect();
        let resamples = Resamples { seed: 7, count: 500, interval: 0.95 };
        let first = resamples.intervals(&subjects, 2).unwrap();
        assert_eq!(Some(&first), resamples.intervals(&subjects, 2).as_ref());
        let estimates = decompose(&mean(&subjects, 0..12, 2));
        for ((low, high), estimate) in first.iter().zip(estimates) {
            assert!(*low < estimate && estimate < *high, "{low} {estimate} {high}");
        }
        // The standard error of the gain's mean, from its spread over subjects, is about a quarter of the interval.
        let gains: Vec<f64> = subjects.iter().map(|subject| subject[1] - subject[0]).collect();
        let se = crate::numeric::statistics::Spread::of(&gains).unwrap().se;
        let width = first[1].1 - first[1].0;
        assert!((width / (2.0 * 1.96 * se) - 1.0).abs() < 0.15, "{width} for {se}");
        assert_eq!(Resamples { seed: 7, count: 500, interval: 0.95 }.intervals(&subjects[..1], 2), None);
    }

    #[test]
    fn parts_are_sorted_by_size_and_written_order() {
        let lattice = Lattice::new(&paper(), "has").unwrap();
        let subjects = vec![vec![0.5; 8]];
        let parts = lattice.parts("mean", &subjects, &Resamples { seed: 1, count: 10, interval: 0.95 });
        let rows: Vec<String> = parts.iter().map(|part| format!("{} {}", part.kind, part.sources.join("+"))).collect();
        assert_eq!(
            rows,
            [
                "base ",
                "unique t2",
                "unique diffusion",
                "unique function",
                "shared t2+diffusion",
                "shared t2+function",
                "shared diffusion+function",
                "shared t2+diffusion+function",
                "total t2+diffusion+function",
            ]
        );
    }

    /// Four subjects, two sources; the kind from tables to files.
    #[test]
    fn runs_from_tables_to_table_and_figure() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = tasks::task(&VariancePartition, folder.path());
        task.simulated = true;
        let has = |names: &[&str]| {
            let list = Value::List(names.iter().map(|name| Value::Text((*name).into())).collect());
            Value::Map([("has".to_string(), list)].into())
        };
        let models = [("anat", &[][..]), ("t1t2", &["t2"]), ("func", &["function"]), ("nodw", &["t2", "function"])];
        let subsets = models.iter().map(|(tag, names)| ((*tag).to_string(), has(names))).collect();
        tasks::set(&mut task, "subsets", Value::Map(subsets));
        let mut split = BTreeMap::new();
        for (at, sid) in ["s01", "s02", "s03", "s04"].into_iter().enumerate() {
            let base = 0.5 + [0.0, 0.01, 0.03, 0.02][at];
            let gains = [0.0, 0.02, 0.1 + base / 100.0, 0.11];
            let rows: Vec<Score> = models
                .iter()
                .zip(gains)
                .flat_map(|((tag, _), gain)| ["lh", "rh"].map(|hemisphere| score(sid, hemisphere, tag, base + gain)))
                .collect();
            let table = folder.path().join(sid);
            data_table::write(&table, &mut crate::formats::score_table::table(&rows, true).unwrap()).unwrap();
            tasks::gather(&mut task, "scores", &[("sid", sid)], Some(&table));
            split
                .insert(sid.to_string(), if at == 0 { data_table::Partition::Trn } else { data_table::Partition::Val });
        }
        data_table::write_split(&folder.path().join("split"), &split).unwrap();
        tasks::give(&mut task, "split", &folder.path().join("split"));
        tasks::run(&VariancePartition, &task).unwrap();
        let frame = data_table::read(task.output("table").unwrap()).unwrap();
        assert_eq!(data_table::texts(&frame, "part").unwrap(), ["base", "unique", "unique", "shared", "total"]);
        assert_eq!(data_table::texts(&frame, "sources").unwrap(), ["", "t2", "function", "t2+function", "t2+function"]);
        let estimates = data_table::numbers(&frame, "estimate").unwrap();
        // Of three held-out subjects: base 0.52, and by hand unique t2 = f(all) - f(function).
        let expected = [0.52, 0.11 - 0.1052, 0.11 - 0.02, 0.02 - (0.11 - 0.1052), 0.11];
        for (found, expected) in estimates.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{estimates:?}");
        }
        let figure = task.output("figure").unwrap();
        for name in ["figure.svg", "figure.pdf", "figure.png", "table.csv"] {
            assert!(figure.join(name).is_file(), "{name} is missing");
        }
        assert!(std::fs::read_to_string(figure.join("figure.svg")).unwrap().contains("SIMULATED DATA"));
    }
}
