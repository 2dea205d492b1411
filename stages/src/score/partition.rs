//! `score/partition`: how much of the score each source of information brings alone, and how much is shared between sources.
//!
//! A model per subset of k sources gives a score; the parts and their order are those of [`crate::numeric::subset_lattice`]. All
//! 2^k - 1 parts add up to the gain from all sources.
//!
//! Two things make a part uncertain: which subjects were scored, and how the trainings happened to go. Each input therefore has several
//! networks (restarts), a part is of their mean scores, and intervals are percentiles over resamples of both. A resample takes as
//! many subjects as there are, with replacement, and for each input as many of its networks, the same ones for every subject of the
//! resample: a network's luck is common to all subjects, so resampling it for each of them would average it away. Where families
//! are given, they are resampled and not their members, who are alike. The spread between restarts is stated apart as well.
//! Does not depend on what the sources are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe_contract::{
    Arity, Column, Context, Ended, Failure, IMPORTANT, Kind, Parameter, Progress, StageKind, Task, Value, parameters,
};
use polars::prelude::DataFrame;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::part::Part;
use super::partition_figure;
use crate::declared::held_out_inputs;
use crate::formats::data_table::{self, DataTable, STAMP};
use crate::formats::drawing;
use crate::formats::score_table::{self, HeldOut, LABEL_COLUMN, PARCELLATION_COLUMN, REGION_COLUMN};
use crate::numeric::counts::subjects;
use crate::numeric::random_rows::below;
use crate::numeric::statistics::quantile;
use crate::numeric::subset_lattice::{MOST_SOURCES, SubsetLattice, decompose};

/// The kind.
pub(super) struct VariancePartition;

parameters! {
    struct Parameters {
        /// tags to fields; the field named by `over` lists the sources that the tag's model has
        subsets: BTreeMap<String, Fields>;
        /// the field that lists sources
        over: String = "has".to_owned();
        /// resamples of subjects and restarts; 0 for no intervals
        bootstrap: usize = 2000, in 0..=1_000_000;
        /// share of resamples inside an interval
        interval: f64 = 0.95, in 0.5..=0.9999;
        /// restarts that every input must have; with fewer, the noise of training decides about signs
        least_restarts: usize = 3, in 1..=1000;
    }
}

/// What a pipeline says about a subset of sources.
type Fields = BTreeMap<String, Value>;

impl StageKind for VariancePartition {
    fn kind(&self) -> Kind {
        let kind = Kind::new(
            "score/partition",
            4,
            "Unique and shared parts of a score's gain from several sources of information",
        );
        let kind =
            held_out_inputs::declare(kind, "score tables of subjects (axes `sid` and `restart`); a tag per subset of sources")
                .port(
                    "families",
                    &["families"],
                    Arity::One,
                    true,
                    "which subjects are of one family: families are then resampled, not subjects; no output names them",
                )
                .folder(
                    "table",
                    "table/partition",
                    "columns parcellation, label, region, part (base, unique, shared, total), sources (joined by +), order, n_subjects, \
                     n_families (where families were resampled), n_restarts, estimate, low, high, level (share of resamples between \
                     low and high), sd_restarts (standard deviation between restarts); sorted by label, then base, parts by size and \
                     written order of sources, total",
                )
                .described(data_table::FILES, COLUMNS)
                .aggregating()
                .folder("figure", "figure", "the parts of the mean over labels as bars, with the table beside it")
                .described(&[data_table::CSV], COLUMNS)
                .aggregating()
                .parameters::<Parameters>();
        Kind { stamped: true, random: true, ..kind }
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let lattice = Lattice::new(&parameters.subsets, &parameters.over)?;
        let (restarts, left_out) = Restarts::read(task, &lattice.tags)?;
        restarts.check(parameters.least_restarts)?;
        let families = task.maybe("families").map(data_table::families).transpose()?;
        let mut notes = left_out;
        notes.extend(task.absences("scores"));
        let mut parts = Vec::new();
        let labels = restarts.labels();
        for (done, label) in labels.iter().enumerate() {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all labels were resampled"));
            }
            let scored = lattice.scored(&restarts, label)?;
            let all = restarts.subjects().len();
            let left_out = all - scored.subjects.len();
            if left_out > 0 {
                notes.push(format!("label {label}: {left_out} of {} lack a score of some subset", subjects(all)));
            }
            let resamples =
                Resamples { seed: task.seed()?, count: parameters.bootstrap, interval: parameters.interval };
            parts.extend(lattice.parts(label, &scored, families.as_ref(), &resamples)?);
            let (done, total) = (done as u64 + 1, labels.len() as u64);
            context.progress(Progress { done, total, unit: "labels".into(), note: format!("label {label}") });
        }
        notes.iter().for_each(|note| context.log(note));
        let parcellation = restarts.parcellation();
        let mut frame = frame(parcellation, &parts, parameters.interval, task.simulated)?;
        data_table::write(task.output("table")?, &mut frame)?;
        let figure = task.output("figure")?;
        let about = partition_figure::About {
            parcellation,
            sources: lattice.sets.sources(),
            interval: parameters.interval,
            resamples: parameters.bootstrap,
            split: restarts.0[0].split,
            simulated: task.simulated,
        };
        drawing::save(&partition_figure::draw(&about, &parts), figure)?;
        data_table::write_csv(&figure.join(data_table::CSV), &mut frame)?;
        let fewest = parts.iter().map(|part| part.subjects).min().unwrap_or(0);
        Ok(Ended::noted(notes).aggregating("table", fewest).aggregating("figure", fewest))
    }
}

/// The scores of held-out subjects, one entry a restart; never empty.
struct Restarts(Vec<HeldOut>);

impl Restarts {
    /// Sorts the tables at port `scores` by their coordinate `restart`; without that axis they are of one restart. A restart in
    /// which some subset has no score at all, because its training diverged, is left out and noted, as long as another is whole.
    fn read(task: &Task, tags: &[String]) -> Result<(Self, Vec<String>), Failure> {
        let split = data_table::split(task.one("split")?)?;
        let mut tables: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
        for (at, path) in task.present("scores") {
            tables.entry(at.get("restart").map_or("", String::as_str)).or_default().push(path);
        }
        let read = |(name, paths)| Ok((name, HeldOut::read(paths, &split)?));
        let restarts = tables.into_iter().map(read).collect::<Result<Vec<(&str, HeldOut)>, Failure>>()?;
        let Some((_, first)) = restarts.first() else {
            return Err(Failure::input("port `scores` has no table, expected at least one"));
        };
        if let Some((_, other)) = restarts.iter().find(|(_, other)| other.parcellation != first.parcellation) {
            let (first, other) = (&first.parcellation, &other.parcellation);
            return Err(Failure::input(format!(
                "found scores of `{first}` and of `{other}`, expected one parcellation"
            ))
            .hint("give the stage the axis `outputs`, so that it reads the scores of one output"));
        }
        let is_whole = |(_, scores): &(&str, HeldOut)| unscored(scores, tags).is_empty();
        if !restarts.iter().any(is_whole) {
            return Ok((Self(restarts.into_iter().map(|(_, scores)| scores).collect()), Vec::new()));
        }
        let (whole, others): (Vec<_>, Vec<_>) = restarts.into_iter().partition(is_whole);
        let note = |(name, scores): (&str, HeldOut)| {
            let lacking = unscored(&scores, tags).join(", ");
            format!("{IMPORTANT}restart {name} is left out of all: it has no scores of {lacking}")
        };
        Ok((Self(whole.into_iter().map(|(_, scores)| scores).collect()), others.into_iter().map(note).collect()))
    }

    fn check(&self, least: usize) -> Result<(), Failure> {
        if self.0.len() >= least {
            return Ok(());
        }
        Err(Failure::input(format!("scores of {} restarts, expected at least {least}", self.0.len())).hint(
            "train every input several times and gather the scores of each (axis `restart`); `least_restarts: 1` goes without, \
             but then the noise of training decides about signs",
        ))
    }

    fn parcellation(&self) -> &str {
        &self.0[0].parcellation
    }

    fn labels(&self) -> Vec<String> {
        self.0[0].labels()
    }

    fn subjects(&self) -> BTreeSet<&String> {
        self.0.iter().flat_map(|scores| &scores.subjects).collect()
    }
}

/// The tags that have no score.
fn unscored<'t>(scores: &HeldOut, tags: &'t [String]) -> Vec<&'t str> {
    let scored: BTreeSet<&str> = scores.scores.iter().map(|score| score.tag.as_str()).collect();
    tags.iter().map(String::as_str).filter(|tag| !scored.contains(tag)).collect()
}

/// What the parts of one label are made of.
#[derive(Debug, PartialEq)]
struct Scored {
    /// The subjects, sorted.
    subjects: Vec<String>,
    /// By subject, restart and subset: the mean score.
    scores: Vec<Vec<Vec<f64>>>,
}

/// The sources, and the tag of each set of them.
#[derive(Debug, PartialEq)]
struct Lattice {
    sets: SubsetLattice,
    tags: Vec<String>,
}

impl Lattice {
    /// Checks that the subsets are all subsets of their sources, each once.
    fn new(subsets: &BTreeMap<String, Fields>, over: &str) -> Result<Self, Failure> {
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
        let sets = SubsetLattice::new(sources);
        let mut tags: Vec<Option<&String>> = vec![None; sets.len()];
        for (tag, list) in &lists {
            let set = sets.set(list.iter().map(String::as_str)).map_err(|source| {
                Failure::input(format!(
                    "`{tag}` has `{source}`, but no subset has all sources: [{}] is the largest",
                    sets.sources().join(", ")
                ))
                .hint("give a subset for every combination of sources, also for all of them")
            })?;
            if let Some(before) = tags[set].replace(*tag) {
                let list = list.join(", ");
                return Err(Failure::input(format!(
                    "`{before}` and `{tag}` both have [{list}], expected each subset once"
                )));
            }
        }
        let missing: Vec<String> =
            (0..tags.len()).filter(|set| tags[*set].is_none()).map(|set| list(&sets.names(set))).collect();
        if !missing.is_empty() {
            let message = format!(
                "`subsets` lack {} of the {} subsets of {}: {}",
                missing.len(),
                tags.len(),
                list(&sets.names(sets.all())),
                missing.join(", ")
            );
            return Err(Failure::input(message)
                .hint("shared parts need a model for every combination of sources: add them, or keep fewer sources"));
        }
        Ok(Self { tags: tags.into_iter().flatten().cloned().collect(), sets })
    }

    /// Per subject and restart, the mean score of each subset. Only pairs of rater and hemisphere that all subsets have in all
    /// restarts are averaged, so that a skipped pair makes no difference between them; subjects without such a pair are left out.
    fn scored(&self, restarts: &Restarts, label: &str) -> Result<Scored, Failure> {
        let size = (restarts.0.len(), self.tags.len());
        let mut cells: BTreeMap<(&str, &str, &str, &str), Vec<Option<f64>>> = BTreeMap::new();
        for (restart, scores) in restarts.0.iter().enumerate() {
            for score in scores.scores.iter().filter(|score| score.label == label) {
                let Some(set) = self.tags.iter().position(|tag| *tag == score.tag) else { continue };
                let against = if score.method1 == score.tag { &score.method2 } else { &score.method1 };
                let key = (score.sid.as_str(), score.dataset.as_str(), score.hemisphere.as_str(), against.as_str());
                let cell = cells.entry(key).or_insert_with(|| vec![None; size.0 * size.1]);
                cell[restart * size.1 + set] = Some(score.score);
            }
        }
        let mut sums: BTreeMap<&str, (Vec<f64>, f64)> = BTreeMap::new();
        for ((sid, ..), cell) in &cells {
            if let Some(values) = cell.iter().copied().collect::<Option<Vec<f64>>>() {
                let (sum, count) = sums.entry(sid).or_insert_with(|| (vec![0.0; values.len()], 0.0));
                sum.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
                *count += 1.0;
            }
        }
        if sums.is_empty() {
            return Err(self.nothing_scored(restarts, label));
        }
        let by_restart = |sum: Vec<f64>, count: f64| -> Vec<Vec<f64>> {
            sum.chunks_exact(size.1).map(|sums| sums.iter().map(|sum| sum / count).collect()).collect()
        };
        let (subjects, scores) =
            sums.into_iter().map(|(sid, (sum, count))| (sid.to_string(), by_restart(sum, count))).unzip();
        Ok(Scored { subjects, scores })
    }

    fn nothing_scored(&self, restarts: &Restarts, label: &str) -> Failure {
        let missing = restarts.0.iter().map(|scores| unscored(scores, &self.tags)).find(|missing| !missing.is_empty());
        let found = missing.map_or_else(String::new, |missing| format!("; no scores of {}", missing.join(", ")));
        Failure::input(format!("no subject has scores of all subsets for label {label}{found}"))
            .hint("`subsets` and the coordinates `inputs` of the scored models must be the same")
    }

    /// Base, all parts and the total gain of one label.
    fn parts(
        &self,
        label: &str,
        scored: &Scored,
        families: Option<&BTreeMap<String, i64>>,
        resamples: &Resamples,
    ) -> Result<Vec<Part>, Failure> {
        let subsets = self.tags.len();
        let clusters = clusters(&scored.subjects, families)?;
        let restarts: Vec<usize> = (0..scored.scores[0].len()).collect();
        let everyone: Vec<usize> = (0..scored.subjects.len()).collect();
        let of = |restarts: &[usize]| decompose(&mean(scored, &everyone, |_| restarts, subsets));
        let estimates = of(&restarts);
        let intervals = resamples.intervals(scored, &clusters, subsets);
        let each: Vec<Vec<f64>> = restarts.iter().map(|restart| of(&[*restart])).collect();
        let part = |kind: &'static str, set: usize, at: usize| Part {
            label: label.to_string(),
            kind,
            set,
            sources: self.sets.names(set).into_iter().map(str::to_owned).collect(),
            subjects: scored.subjects.len(),
            families: families.map(|_| clusters.len()),
            restarts: restarts.len(),
            estimate: estimates[at],
            interval: intervals.as_ref().map(|intervals| intervals[at]),
            sd_restarts: sample_sd(&each.iter().map(|parts| parts[at]).collect::<Vec<f64>>()),
        };
        let mut parts = vec![part("base", 0, 0)];
        parts.extend(self.sets.parts().into_iter().map(|(kind, set, at)| part(kind.word(), set, at)));
        Ok(parts)
    }
}

/// Which subjects are resampled together, by index: those of one family, or each alone.
fn clusters(subjects: &[String], families: Option<&BTreeMap<String, i64>>) -> Result<Vec<Vec<usize>>, Failure> {
    let Some(families) = families else { return Ok((0..subjects.len()).map(|subject| vec![subject]).collect()) };
    let mut clusters: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    let mut unknown = 0;
    for (index, sid) in subjects.iter().enumerate() {
        match families.get(sid) {
            Some(family) => clusters.entry(*family).or_default().push(index),
            None => unknown += 1,
        }
    }
    // Counted, not named: who is related must not be published.
    if unknown > 0 {
        return Err(Failure::input(format!("{unknown} scored subjects are in no family"))
            .hint("make the families from the same list of subjects as the scores"));
    }
    Ok(clusters.into_values().collect())
}

/// Standard deviation of a sample (divided by one less than the count); none of fewer than two numbers.
fn sample_sd(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of restarts")]
    let count = values.len() as f64;
    let centre = values.iter().sum::<f64>() / count;
    Some((values.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / (count - 1.0)).sqrt())
}

fn sources_of(tag: &str, fields: &Fields, over: &str) -> Result<Vec<String>, Failure> {
    let fault = |found: &str| {
        Failure::input(format!("subset `{tag}` has {found}, expected a list of names in its field `{over}`"))
    };
    let list = fields
        .get(over)
        .ok_or_else(|| fault(&format!("the fields [{}]", fields.keys().cloned().collect::<Vec<_>>().join(", "))))?;
    let names = Vec::<String>::read(list).ok_or_else(|| fault(&format!("`{over}: {list}`")))?;
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return Err(fault(&format!("[{}] with a name twice", names.join(", "))));
    }
    Ok(names)
}

/// Names as text for messages.
fn list(names: &[&str]) -> String {
    format!("[{}]", names.join(", "))
}

/// What is in the table.
const COLUMNS: &[Column] = &[
    PARCELLATION_COLUMN,
    LABEL_COLUMN,
    REGION_COLUMN,
    Column::new("part", "which part of the gain").levels(&[
        ("base", "the score without any source"),
        ("unique", "lost when this source alone is taken away"),
        ("shared", "lost only when all of these sources are taken away; negative where they help each other"),
        ("total", "the whole gain, from all sources together"),
    ]),
    Column::new("sources", "the sources that the part belongs to, joined by +; empty for the base"),
    Column::new("order", "how many sources these are"),
    Column::new("n_subjects", "subjects of whose scores it is the mean"),
    Column::new("n_families", "families that were resampled; without this column, subjects were"),
    Column::new("n_restarts", "networks of each input of whose scores it is the mean"),
    Column::measured("estimate", "Dice score", "the part: a score for the base, else a difference of scores"),
    Column::measured(
        "low",
        "Dice score",
        "lower end of the interval: a percentile over resamples of subjects (or families) and networks",
    ),
    Column::measured("high", "Dice score", "upper end of the interval"),
    Column::measured("level", "share, 0 to 1", "share of resamples between `low` and `high`"),
    Column::measured(
        "sd_restarts",
        "Dice score",
        "standard deviation of the part between restarts, one network an input; empty with one restart",
    ),
    STAMP,
];

fn frame(parcellation: &str, parts: &[Part], level: f64, simulated: bool) -> Result<DataFrame, Failure> {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let mut table = DataTable::of(COLUMNS)
        .text("parcellation", parts.iter().map(|_| parcellation))
        .text("label", parts.iter().map(|part| part.label.as_str()))
        .text("region", parts.iter().map(|part| score_table::region(parcellation, &part.label)))
        .text("part", parts.iter().map(|part| part.kind))
        .text("sources", parts.iter().map(|part| part.sources.join("+")))
        .integers("order", parts.iter().map(|part| count(part.sources.len())))
        .integers("n_subjects", parts.iter().map(|part| count(part.subjects)));
    if parts.iter().any(|part| part.families.is_some()) {
        table = table.integers("n_families", parts.iter().map(|part| part.families.map_or(0, count)));
    }
    table
        .integers("n_restarts", parts.iter().map(|part| count(part.restarts)))
        .scores("estimate", parts.iter().map(|part| Some(part.estimate)))
        .scores("low", parts.iter().map(|part| part.interval.map(|(low, _)| low)))
        .scores("high", parts.iter().map(|part| part.interval.map(|(_, high)| high)))
        .optional_numbers("level", parts.iter().map(|part| part.interval.map(|_| level)))
        .scores("sd_restarts", parts.iter().map(|part| part.sd_restarts))
        .stamped(simulated)
        .build()
}

/// The mean score of each subset over chosen subjects and over the restarts chosen for the subset, repeats counted.
fn mean<'r>(scored: &Scored, subjects: &[usize], restarts: impl Fn(usize) -> &'r [usize], subsets: usize) -> Vec<f64> {
    let of_subset = |subset: usize| {
        let restarts = restarts(subset);
        let mut sum = 0.0;
        for subject in subjects {
            let scores = &scored.scores[*subject];
            sum += restarts.iter().map(|restart| scores[*restart][subset]).sum::<f64>();
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of subjects and restarts")]
        let count = (subjects.len() * restarts.len()) as f64;
        sum / count
    };
    (0..subsets).map(of_subset).collect()
}

/// How subjects and restarts are resampled.
struct Resamples {
    seed: u64,
    count: usize,
    interval: f64,
}

impl Resamples {
    /// Percentile bounds of everything that [`decompose`] gives; none without resamples or with a single cluster of subjects.
    fn intervals(&self, scored: &Scored, clusters: &[Vec<usize>], subsets: usize) -> Option<Vec<(f64, f64)>> {
        if self.count == 0 || clusters.len() < 2 {
            return None;
        }
        let restarts = scored.scores[0].len();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut draws = vec![Vec::with_capacity(self.count); subsets + 1];
        for _ in 0..self.count {
            let mut some = |limit: usize| -> Vec<usize> { (0..limit).map(|_| below(limit, &mut random)).collect() };
            let subjects: Vec<usize> = some(clusters.len()).into_iter().flat_map(|at| clusters[at].clone()).collect();
            let networks: Vec<Vec<usize>> = (0..subsets).map(|_| some(restarts)).collect();
            let parts = decompose(&mean(scored, &subjects, |subset| &networks[subset], subsets));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::score_table::Score;
    use crate::test_support::scores::score;
    use crate::test_support::tasks;

    fn has(names: &[&str]) -> Fields {
        let list = names.iter().map(|name| Value::Text((*name).into())).collect();
        BTreeMap::from([("has".to_string(), Value::List(list))])
    }

    fn subsets(entries: &[(&str, &[&str])]) -> BTreeMap<String, Fields> {
        entries.iter().map(|(tag, sources)| ((*tag).to_string(), has(sources))).collect()
    }

    fn paper() -> BTreeMap<String, Fields> {
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
        assert_eq!(lattice.sets.sources(), ["t2", "diffusion", "function"]);
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
        let restarts = restarts([scores]);
        let scored = lattice.scored(&restarts, "mean").unwrap();
        assert_eq!((scored.subjects, scored.scores), (vec!["a".to_string()], vec![vec![vec![0.5, 0.75]]]));
        let failure = lattice.scored(&restarts, "1").unwrap_err();
        assert!(failure.message.contains("no subject has scores of all subsets"), "{failure}");
    }

    fn restarts<const N: usize>(scores: [Vec<Score>; N]) -> Restarts {
        let held_out = |scores| HeldOut {
            scores,
            subjects: BTreeSet::new(),
            parcellation: "area".into(),
            split: data_table::SplitCounts::default(),
        };
        Restarts(scores.map(held_out).into())
    }

    #[test]
    fn a_pair_that_one_restart_lacks_is_left_out_of_all() {
        let lattice = Lattice::new(&subsets(&[("anat", &[]), ("func", &["function"])]), "has").unwrap();
        let of =
            |side: &str, shift: f64| [score("a", side, "anat", 0.5 + shift), score("a", side, "func", 0.75 + shift)];
        let first = [of("lh", 0.0), of("rh", 0.125)].concat();
        let scored = lattice.scored(&restarts([first.clone(), of("lh", 0.25).to_vec()]), "mean").unwrap();
        assert_eq!(scored.scores, [[[0.5, 0.75], [0.75, 1.0]]]);
        let failure = lattice.scored(&restarts([first.clone(), first[..1].to_vec()]), "mean").unwrap_err();
        assert!(failure.message.ends_with("; no scores of func"), "{failure}");
    }

    /// Scores by a function of subject, restart and subset.
    fn scored(size: [usize; 3], score: impl Fn(usize, usize, usize) -> f64) -> Scored {
        let [subjects, restarts, subsets] = size;
        let of = |s: usize, r: usize| (0..subsets).map(|set| score(s, r, set)).collect::<Vec<f64>>();
        Scored {
            subjects: (0..subjects).map(|s| format!("s{s:02}")).collect(),
            scores: (0..subjects).map(|s| (0..restarts).map(|r| of(s, r)).collect()).collect(),
        }
    }

    /// Width of the interval of the total gain.
    fn width(scored: &Scored, clusters: &[Vec<usize>]) -> f64 {
        let resamples = Resamples { seed: 7, count: 2000, interval: 0.95 };
        let (low, high) = resamples.intervals(scored, clusters, 2).unwrap()[2];
        high - low
    }

    fn alone(scored: &Scored) -> Vec<Vec<usize>> {
        clusters(&scored.subjects, None).unwrap()
    }

    #[test]
    fn intervals_are_reproducible_and_hold_the_estimate() {
        let scored = scored([12, 1, 2], |s, _, set| [0.5 + 0.01 * (s % 5) as f64, 0.6 + 0.02 * (s % 4) as f64][set]);
        let resamples = Resamples { seed: 7, count: 500, interval: 0.95 };
        let first = resamples.intervals(&scored, &alone(&scored), 2).unwrap();
        assert_eq!(Some(&first), resamples.intervals(&scored, &alone(&scored), 2).as_ref());
        let all: Vec<usize> = (0..12).collect();
        let estimates = decompose(&mean(&scored, &all, |_| &[0], 2));
        for ((low, high), estimate) in first.iter().zip(estimates) {
            assert!(*low < estimate && estimate < *high, "{low} {estimate} {high}");
        }
        // The standard error of the gain's mean, from its spread over subjects, is about a quarter of the interval.
        let gains: Vec<f64> = scored.scores.iter().map(|subject| subject[0][1] - subject[0][0]).collect();
        let se = crate::numeric::statistics::Spread::of(&gains).unwrap().se;
        let width = first[2].1 - first[2].0;
        assert!((width / (2.0 * 1.96 * se) - 1.0).abs() < 0.15, "{width} for {se}");
        assert_eq!(resamples.intervals(&scored, &[vec![0]], 2), None);
    }

    #[test]
    fn the_luck_of_trainings_widens_the_interval_however_many_subjects_there_are() {
        // All subjects are alike; three networks of each input differ by a standard deviation of 0.02.
        let of = |subjects| scored([subjects, 3, 2], |_, r, set| 0.5 + 0.1 * set as f64 + 0.02 * (r as f64 - 1.0));
        let (few, many) = (of(8), of(200));
        let (few, many) = (width(&few, &alone(&few)), width(&many, &alone(&many)));
        assert!((few / many - 1.0).abs() < 0.1 && few > 0.05, "{few} {many}");
        let certain = scored([8, 3, 2], |_, _, set| 0.5 + 0.1 * set as f64);
        assert!(width(&certain, &alone(&certain)) < 1e-12);
    }

    #[test]
    fn the_spread_between_restarts_is_that_of_single_trainings() {
        let lattice = Lattice::new(&subsets(&[("anat", &[]), ("func", &["function"])]), "has").unwrap();
        // The gain is 0.1 + 0.02 (restart - 1): 0.08, 0.1, 0.12.
        let scored = scored([4, 3, 2], |_, r, set| 0.5 + (0.1 + 0.02 * (r as f64 - 1.0)) * set as f64);
        let parts = lattice.parts("mean", &scored, None, &Resamples { seed: 1, count: 0, interval: 0.95 }).unwrap();
        let total = parts.last().unwrap();
        assert!((total.estimate - 0.1).abs() < 1e-12 && (total.sd_restarts.unwrap() - 0.02).abs() < 1e-12);
        assert_eq!((total.restarts, total.subjects, total.families, total.interval), (3, 4, None, None));
    }

    #[test]
    fn families_are_resampled_whole() {
        // Twins are alike: 8 subjects are worth 4.
        let gain = |s: usize| [0.02, 0.1, 0.16, 0.05][s / 2];
        let scored = scored([8, 1, 2], |s, _, set| 0.5 + gain(s) * set as f64);
        let families = (0..8).map(|s| (format!("s{s:02}"), s as i64 / 2)).collect();
        let twins = clusters(&scored.subjects, Some(&families)).unwrap();
        assert_eq!(twins, [[0, 1], [2, 3], [4, 5], [6, 7]]);
        let ratio = width(&scored, &twins) / width(&scored, &alone(&scored));
        assert!((ratio - 2f64.sqrt()).abs() < 0.15, "{ratio}");
        let failure = clusters(&scored.subjects, Some(&BTreeMap::new())).unwrap_err();
        assert_eq!(failure.message, "8 scored subjects are in no family");
    }

    #[test]
    fn parts_are_sorted_by_size_and_written_order() {
        let lattice = Lattice::new(&paper(), "has").unwrap();
        let scored = scored([1, 1, 8], |_, _, _| 0.5);
        let parts = lattice.parts("mean", &scored, None, &Resamples { seed: 1, count: 10, interval: 0.95 }).unwrap();
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
        let models = [("anat", &[][..]), ("t1t2", &["t2"]), ("func", &["function"]), ("nodw", &["t2", "function"])];
        let subsets = models.iter().map(|(tag, names)| ((*tag).to_string(), Value::Map(has(names)))).collect();
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
            // The training of one input diverged in the fourth restart.
            for (restart, shift) in [("1", -0.01), ("2", 0.0), ("3", 0.01), ("4", 0.2)] {
                let table = folder.path().join(format!("{sid}.{restart}"));
                let there = rows.iter().filter(|row| restart != "4" || row.tag != "func");
                let rows: Vec<Score> = there.map(|row| Score { score: row.score + shift, ..row.clone() }).collect();
                data_table::write(&table, &mut crate::formats::score_table::table(&rows, true).unwrap()).unwrap();
                tasks::gather(&mut task, "scores", &[("sid", sid), ("restart", restart)], Some(&table));
            }
            split
                .insert(sid.to_string(), if at == 0 { data_table::Partition::Trn } else { data_table::Partition::Val });
        }
        data_table::write_split(&folder.path().join("split"), &split).unwrap();
        tasks::give(&mut task, "split", &folder.path().join("split"));
        tasks::set(&mut task, "least_restarts", Value::Int(4));
        let failure = tasks::run(&VariancePartition, &task).unwrap_err();
        assert_eq!(failure.message, "scores of 3 restarts, expected at least 4");
        tasks::set(&mut task, "least_restarts", Value::Int(3));
        let notes = tasks::run(&VariancePartition, &task).unwrap();
        assert_eq!(notes, ["important: restart 4 is left out of all: it has no scores of func"]);
        let behind = tasks::aggregated(&VariancePartition, &task).unwrap();
        assert_eq!(behind, [("figure".to_owned(), 3), ("table".to_owned(), 3)].into(), "three are held out");
        let csv = fs_err::read_to_string(task.output("table").unwrap().join(data_table::CSV)).unwrap();
        let head = "parcellation,label,region,part,sources,order,n_subjects,n_restarts,estimate,low,high,level,sd_restarts,simulated";
        assert_eq!(csv.lines().next(), Some(head));
        let frame = data_table::read(task.output("table").unwrap()).unwrap();
        assert_eq!(data_table::texts(&frame, "part").unwrap(), ["base", "unique", "unique", "shared", "total"]);
        assert_eq!(data_table::texts(&frame, "sources").unwrap(), ["", "t2", "function", "t2+function", "t2+function"]);
        let estimates = data_table::numbers(&frame, "estimate").unwrap();
        assert_eq!(data_table::numbers(&frame, "level").unwrap(), [0.95; 5]);
        // All inputs of a restart are shifted alike, so only the base differs between restarts.
        assert_eq!(data_table::numbers(&frame, "sd_restarts").unwrap(), [0.01, 0.0, 0.0, 0.0, 0.0]);
        // Of three held-out subjects: base 0.52, and by hand unique t2 = f(all) - f(function).
        let expected = [0.52, 0.11 - 0.1052, 0.11 - 0.02, 0.02 - (0.11 - 0.1052), 0.11];
        for (found, expected) in estimates.iter().zip(expected) {
            assert!((found - expected).abs() < 0.5e-4 + 1e-9, "{estimates:?}");
        }
        let figure = task.output("figure").unwrap();
        for name in ["figure.svg", "figure.pdf", "figure.png", "table.csv"] {
            assert!(figure.join(name).is_file(), "{name} is missing");
        }
        assert!(fs_err::read_to_string(figure.join("figure.svg")).unwrap().contains("SIMULATED DATA"));
    }
}
